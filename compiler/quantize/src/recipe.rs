//! The recipe: which tensors become which layers, in which format. `docs/recipe.md` is its grammar.

use crate::bqq::anneal::Anneal;
use crate::int::IntSettings;
use crate::pq::{Init, PqSettings};
use crate::section::{NumberOrString, Problems, Section, Spot};
use crate::uniform::Clip;
use pimc_ir::{Code, Diagnostics, Span};
use toml::de::DeTable;

/// A recipe as written, its values checked one by one.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Seed of every random choice.
    pub seed: u64,
    /// Target of the module.
    pub target: String,
    /// The network's input.
    pub input: InputRecipe,
    /// Inputs on which activation scales are measured.
    pub calibration: Option<CalibrationRecipe>,
    /// Layers, from the input on.
    pub layers: Vec<LayerRecipe>,
    /// What the function returns.
    pub output: Output,
}

/// `[input]`.
#[derive(Clone, Debug)]
pub struct InputRecipe {
    /// Name of the function's parameter.
    pub name: String,
    /// Number of inputs; otherwise taken from the first layer.
    pub length: Option<Spot<u64>>,
    /// Real value of one step.
    pub scale: Spot<Scale>,
}

/// `[calibration]`.
#[derive(Clone, Debug)]
pub struct CalibrationRecipe {
    /// A safetensors file, relative to the recipe.
    pub file: Spot<String>,
    /// Tensor of shape [samples, inputs].
    pub tensor: Spot<String>,
    /// Samples used at most.
    pub samples: usize,
}

/// How the step of an activation is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// From the calibration data.
    Measured(Clip),
    /// Given.
    Step(f64),
}

/// What the function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The index of the largest result.
    Argmax,
    /// The last layer's results.
    Raw,
}

/// The function applied to a layer's results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// None.
    None,
    /// max(x, 0).
    Relu,
    /// x Phi(x), with the error function; a table of 256 entries.
    Gelu,
    /// x / (1 + e^-x); a table of 256 entries.
    Silu,
}

/// `[[layer]]`.
#[derive(Clone, Debug)]
pub struct LayerRecipe {
    /// Name of the weight in the module.
    pub name: Spot<String>,
    /// Format and where its numbers come from.
    pub format: Format,
    /// Tensor of the bias.
    pub bias: Option<Spot<String>>,
    /// Activation function.
    pub activation: Activation,
    /// Step of the layer's results.
    pub scale: Spot<Scale>,
    /// Step of the activation table's input.
    pub pre_scale: Spot<Scale>,
    /// The layer's header.
    pub span: Span,
}

/// A weight format with its parameters.
#[derive(Clone, Debug)]
pub enum Format {
    /// Product quantization.
    Pq {
        /// The float matrix.
        weight: Spot<String>,
        /// Parameters.
        settings: PqSettings,
    },
    /// Binary quadratic quantization.
    Bqq {
        /// The float matrix.
        weight: Spot<String>,
        /// Bases.
        bases: usize,
        /// Rows and columns of a block.
        block: Spot<(usize, usize)>,
        /// The search.
        anneal: Anneal,
        /// Significant bits of the scalars.
        scalar_bits: u32,
        /// Sign polishing.
        polish: bool,
    },
    /// Plain integers.
    Int {
        /// The float matrix.
        weight: Spot<String>,
        /// Parameters.
        settings: IntSettings,
    },
    /// An imported supermask.
    Supermask(SupermaskRecipe),
}

/// The keys of a supermask layer.
#[derive(Clone, Debug)]
pub struct SupermaskRecipe {
    /// Tensor of coat counts [R, C] or of packed planes [coats, R, ceil(C/8)]; or of scores.
    pub source: Spot<String>,
    /// The source holds scores, of which `density` is kept.
    pub from_scores: bool,
    /// Kept fraction: needed with scores, checked against a mask.
    pub density: Option<Spot<f64>>,
    /// Mask planes.
    pub coats: usize,
    /// Seed of the sign generator.
    pub seed: u32,
    /// Layer number of the sign generator.
    pub layer: u32,
    /// Freeze threshold of pruned weights.
    pub pruned: u32,
    /// Freeze threshold of locked weights.
    pub locked: u32,
    /// Real magnitude of one coat: a number, or a tensor of one element.
    pub sigma: Spot<NumberOrString>,
}

/// Steps of the thorough and of the quick search for one basis.
const BEST_STEPS: usize = 50_000;
const FAST_STEPS: usize = 5_000;

/// Reads a recipe. All mistakes in its text are reported at once.
///
/// # Errors
/// P0411 for text that is no TOML, keys that are unknown, missing or of the wrong type; P0412 for
/// values out of range.
pub fn parse_recipe(source: &str, file_name: &str) -> Result<Recipe, Diagnostics> {
    let problems = Problems::default();
    let (document, errors) = DeTable::parse_recoverable(source);
    for e in &errors {
        let span = e.span().unwrap_or(0..0);
        let help = "a recipe is a TOML file: `key = value` lines under `[table]` headers";
        problems.error(Code::P0411, &span, format!("not TOML: {}", e.message()), "here", help);
    }
    if !problems.is_empty() {
        return Err(problems.into_diagnostics(file_name, source));
    }
    // Absent tables are reported at the beginning of the text.
    let root = Section::new(document.get_ref(), 0..0, "the recipe", &problems);
    let recipe = read(root, &problems);
    match recipe {
        Some(recipe) if problems.is_empty() => Ok(recipe),
        _ => Err(problems.into_diagnostics(file_name, source)),
    }
}

fn read(root: Section<'_>, problems: &Problems) -> Option<Recipe> {
    let seed = root.integer_or("seed", 0, i64::MAX as u64, 0);
    let target = target(&root, problems);
    let input = input(&root, problems);
    let calibration = root.table("calibration", "`[calibration]`").map(|s| {
        let file = s.required_string("file", "name a safetensors file, relative to the recipe");
        let tensor = s.required_string("tensor", "name a tensor of shape [samples, inputs]");
        let samples = s.integer_or("samples", 1, 1 << 32, 1 << 32) as usize;
        s.finish();
        Some(CalibrationRecipe { file: file?, tensor: tensor?, samples })
    });
    let output = root.table("output", "`[output]`").map_or(Output::Raw, |s| {
        let kinds = [("argmax", Output::Argmax), ("raw", Output::Raw)];
        let kind = s.choice("kind", &kinds, Output::Raw);
        s.finish();
        kind
    });
    let sections = root.tables("layer", "`[[layer]]`");
    if sections.is_empty() && problems.is_empty() {
        root.missing("layer", "describe at least one layer under a `[[layer]]` header");
    }
    let layers: Vec<Option<LayerRecipe>> =
        sections.into_iter().map(|s| layer(s, problems)).collect();
    root.finish();
    Some(Recipe {
        seed,
        target,
        input,
        calibration: match calibration {
            None => None,
            Some(read) => Some(read?),
        },
        layers: layers.into_iter().collect::<Option<Vec<_>>>()?,
        output,
    })
}

/// Whether the target is known is for the compiler to say; here it only must fit into the module's text.
pub(crate) fn target(root: &Section<'_>, problems: &Problems) -> String {
    let Some(target) = root.string("target") else { return "hbm3-pim".to_string() };
    if target.value.chars().any(char::is_control) {
        let message = "`target` holds a line break or another control character".to_string();
        let help = "name a built-in target, or the path of a target file";
        problems.error(Code::P0412, &target.span, message, "not one line of text", help);
    }
    target.value
}

fn input(root: &Section<'_>, problems: &Problems) -> InputRecipe {
    let measured = Spot { value: Scale::Measured(Clip::Max), span: 0..0 };
    let Some(s) = root.table("input", "`[input]`") else {
        return InputRecipe { name: "x".to_string(), length: None, scale: measured };
    };
    let name = s.string("name").unwrap_or(Spot { value: "x".to_string(), span: s.span.clone() });
    check_name(&name, problems);
    let length = s.integer("length", 1, 1 << 24);
    let scale = scale(&s, "scale", problems);
    s.finish();
    InputRecipe { name: name.value, length, scale }
}

/// Names go into the module, and from there into hardware.
pub(crate) fn check_name(name: &Spot<String>, problems: &Problems) {
    let mut chars = name.value.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !first || !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        problems.error(
            Code::P0412,
            &name.span,
            format!("`{}` cannot be a name of the module", name.value),
            "not a name",
            "use letters, digits and underscores, and no digit first",
        );
    }
}

pub(crate) fn scale(s: &Section<'_>, key: &'static str, problems: &Problems) -> Spot<Scale> {
    let default = Spot { value: Scale::Measured(Clip::Max), span: s.span.clone() };
    let Some(spot) = s.number_or_string(key) else { return default };
    let value = match &spot.value {
        NumberOrString::Number(step) if step.is_finite() && *step > 0.0 => Some(Scale::Step(*step)),
        NumberOrString::Number(_) => None,
        NumberOrString::String(word) => match word.as_str() {
            "max" => Some(Scale::Measured(Clip::Max)),
            "mse" => Some(Scale::Measured(Clip::Mse)),
            other => other
                .strip_prefix('p')
                .and_then(|p| p.parse::<f64>().ok())
                .filter(|p| *p > 0.0 && *p <= 100.0)
                .map(|p| Scale::Measured(Clip::Percentile(p))),
        },
    };
    let Some(value) = value else {
        problems.error(
            Code::P0412,
            &spot.span,
            format!("`{key}` is not a scale"),
            "expected a positive number or a rule",
            "write the real value of one step, or \"max\", \"mse\" or a percentile as in \"p99.9\"",
        );
        return default;
    };
    Spot { value, span: spot.span }
}

fn layer(s: Section<'_>, problems: &Problems) -> Option<LayerRecipe> {
    let name = s.required_string("name", "name the layer, as in `name = \"fc1\"`");
    if let Some(name) = &name {
        check_name(name, problems);
    }
    let format = format(&s, problems);
    let bias = s.string("bias");
    let activations = [
        ("none", Activation::None),
        ("relu", Activation::Relu),
        ("gelu", Activation::Gelu),
        ("silu", Activation::Silu),
    ];
    let activation = s.choice("activation", &activations, Activation::None);
    let (scale, pre_scale) = (scale(&s, "scale", problems), scale(&s, "pre_scale", problems));
    let span = s.span.clone();
    // After a format that could not be read, its keys would only seem unknown.
    let format = format?;
    s.finish();
    Some(LayerRecipe { name: name?, format, bias, activation, scale, pre_scale, span })
}

fn format(s: &Section<'_>, problems: &Problems) -> Option<Format> {
    let help = "write `format = \"pq\"`, \"bqq\", \"int\" or \"supermask\"";
    let word = s.required_string("format", help)?;
    let weight =
        || s.required_string("weight", "name the tensor of the float matrix [outputs, inputs]");
    match word.value.as_str() {
        "pq" => {
            let weight = weight();
            let sub = s.required_integer("sub", 1, 64);
            let k = s.required_integer("k", 2, 65_536);
            let inits = [("k-means++", Init::PlusPlus), ("strided", Init::Strided)];
            let (shared, row_scale) = (s.boolean("shared", false), s.boolean("row_scale", false));
            let init = s.choice("init", &inits, Init::PlusPlus);
            let restarts = s.integer_or("restarts", 1, 1000, 4) as usize;
            let iterations = s.integer_or("iterations", 1, 100_000, 100) as usize;
            let (sub, k) = (sub?.value as usize, k?.value as usize);
            let settings = PqSettings { sub, k, shared, row_scale, init, restarts, iterations };
            Some(Format::Pq { weight: weight?, settings })
        }
        "bqq" => {
            let weight = weight();
            let bases = s.required_integer("bases", 1, 16);
            let block = s.required_pair("block", 4096);
            let efforts = [("best", BEST_STEPS), ("fast", FAST_STEPS)];
            let effort = s.choice("effort", &efforts, BEST_STEPS);
            let steps = s.integer_or("steps", 2, 10_000_000, effort as u64) as usize;
            let scalar_bits = s.integer_or("scalar_bits", 4, 16, 12) as u32;
            let polish = s.boolean("polish", true);
            let anneal = Anneal { steps, ..Anneal::default() };
            let (bases, block) = (bases?.value as usize, block?);
            Some(Format::Bqq { weight: weight?, bases, block, anneal, scalar_bits, polish })
        }
        "int" => {
            let weight = weight();
            let bits = s.integer_or("bits", 2, 8, 8) as u32;
            let group = s.integer("group", 1, 1 << 24).map(|g| g.value as usize);
            let row_scale = s.boolean("row_scale", false);
            let scale_bits = s.integer_or("scale_bits", 2, 15, 8) as u32;
            if group.is_some() && row_scale {
                problems.error(
                    Code::P0412,
                    &s.span,
                    "`row_scale` and `group` exclude each other".to_string(),
                    "both are given in this layer",
                    "leave one of them out: group scales already differ from row to row",
                );
            }
            Some(Format::Int {
                weight: weight?,
                settings: IntSettings { bits, group, row_scale, scale_bits },
            })
        }
        "supermask" => supermask(s, problems).map(Format::Supermask),
        other => {
            problems.error(
                Code::P0411,
                &word.span,
                format!("there is no format \"{other}\""),
                "expected \"pq\", \"bqq\", \"int\" or \"supermask\"",
                help,
            );
            None
        }
    }
}

fn supermask(s: &Section<'_>, problems: &Problems) -> Option<SupermaskRecipe> {
    let (mask, scores) = (s.string("mask"), s.string("scores"));
    let density = s.number("density", 0.0, 1.0);
    let coats = s.integer_or("coats", 1, 15, 1) as usize;
    let seed = s.required_integer("seed", 0, u64::from(u32::MAX));
    let layer = s.required_integer("layer", 0, u64::from(u32::MAX >> 1));
    let pruned = s.integer_or("pruned", 0, 256, 0) as u32;
    let locked = s.integer_or("locked", 0, 256 - u64::from(pruned), 0) as u32;
    let default = Spot { value: NumberOrString::Number(1.0), span: s.span.clone() };
    let sigma = s.number_or_string("sigma").unwrap_or(default);
    if let NumberOrString::Number(v) = sigma.value {
        if !v.is_finite() || v <= 0.0 {
            let help = "write the magnitude of one coat, or name a tensor of one element";
            let message = "`sigma` must be positive and finite".to_string();
            problems.error(Code::P0412, &sigma.span, message, "not a magnitude", help);
        }
    }
    let from_scores = scores.is_some();
    let source = match (mask, scores) {
        (Some(source), None) | (None, Some(source)) => Some(source),
        (None, None) => {
            s.missing("mask", "name a tensor of coat counts [R, C] or packed planes, or `scores`");
            None
        }
        (Some(_), Some(scores)) => {
            let message = "`mask` and `scores` exclude each other".to_string();
            problems.error(Code::P0412, &scores.span, message, "and there is a mask", "keep one");
            None
        }
    };
    if from_scores && density.is_none() && !s.has("density") {
        s.missing("density", "write the fraction of weights that the mask keeps, 0 to 1");
    }
    if let (true, true, Some(source)) = (from_scores, coats > 1, &source) {
        let message = "scores give a mask of one coat only".to_string();
        let help = "give coat counts as `mask`, or leave `coats` out";
        problems.error(Code::P0412, &source.span, message, "with more coats than one", help);
    }
    Some(SupermaskRecipe {
        source: source?,
        from_scores,
        density,
        coats,
        seed: seed?.value as u32,
        layer: layer?.value as u32,
        pruned,
        locked,
        sigma,
    })
}
