//! The whole way from a recipe to a module.

use crate::cache::quantize::quantize_cache;
use crate::cache::recipe::is_cache_recipe;
use crate::calibrate::{input_step, layer_steps, read_samples, run_float, Samples};
use crate::emit::{module_text, names, tensor_file};
use crate::evaluate::compare;
use crate::forward::LayerOutputs;
use crate::layers::{read_layers, Layer};
use crate::matrix::QuantizedMatrix;
use crate::network::{assemble, IntLayer};
use crate::recipe::{parse_recipe, Output, Recipe};
use crate::report::{LayerReport, Origin, Report};
use crate::section::Problems;
use crate::source::{is_one_of, would_replace, Source};
use pimc_ir::checksum::sha256;
use pimc_ir::{Code, Diagnostic, Diagnostics, Model};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to quantize.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The recipe, a TOML file. Calibration files are looked for relative to its folder.
    pub recipe: &'a Path,
    /// The float weights, a safetensors file.
    pub weights: &'a Path,
    /// Name, without folder, under which the caller will store [`Quantized::tensors`] beside the
    /// module.
    pub tensor_file: &'a str,
    /// The files that the caller will write. None may be one that is read.
    pub writes: &'a [&'a Path],
}

/// Where news of a long run go. Called from several threads.
pub trait Progress: Sync {
    /// A stage begins, with this many steps.
    fn begin(&self, stage: &str, steps: u64);
    /// One step of the stage is done.
    fn step(&self);
}

/// Says nothing.
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn step(&self) {}
}

/// The result: two files and a report.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// Text of the module, formatted.
    pub ir_text: String,
    /// Bytes of its tensor file.
    pub tensors: Vec<u8>,
    /// Error table and provenance.
    pub report: Report,
}

/// Quantizes a network, or the cache of an attention.
///
/// # Errors
/// Everything that is wrong with the recipe; or, if nothing is, with its tensors and how they fit
/// together; or, if nothing is, with the scales. Codes P0401..P0415, located in the recipe.
pub fn quantize(request: &Request<'_>, progress: &dyn Progress) -> Result<Quantized, Diagnostics> {
    let text = RecipeText::read(request.recipe)?;
    let of_cache = is_cache_recipe(&text.text);
    // What is wrong with the recipe goes before what is wrong with files.
    let recipe = if of_cache { None } else { Some(text.parsed()?) };
    let source = open(request.weights)?;
    for read in [request.recipe, request.weights] {
        if is_one_of(read, request.writes) {
            return Err(Diagnostics::one(read.display().to_string(), would_replace(read)));
        }
    }
    let Some(recipe) = recipe else { return quantize_cache(request, &text, &source, progress) };
    let Request { tensor_file, writes, .. } = *request;
    let run = Run { text: &text, recipe: &recipe, source: &source, tensor_file, writes, progress };
    run.whole(&|layer| run.matrix(layer))
}

/// A recipe as text, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct RecipeText {
    /// The text.
    pub text: String,
    /// The name shown in diagnostics and kept in the result.
    pub file_name: String,
    /// Calibration files are looked for relative to this folder.
    pub folder: PathBuf,
}

impl RecipeText {
    /// The recipe in a file.
    ///
    /// # Errors
    /// P0101 to P0103: it cannot be read.
    pub fn read(path: &Path) -> Result<RecipeText, Diagnostics> {
        let (text, file_name) = pimc_ir::read_source(path)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(RecipeText { text, file_name, folder })
    }

    /// The recipe that the text says.
    ///
    /// # Errors
    /// As [`parse_recipe`].
    pub fn parsed(&self) -> Result<Recipe, Diagnostics> {
        parse_recipe(&self.text, &self.file_name)
    }
}

/// Maps the weights.
pub(crate) fn open(weights: &Path) -> Result<Source, Diagnostics> {
    Source::open(weights).map_err(|d| Diagnostics::one(weights.display().to_string(), d))
}

/// One recipe on one file of weights.
pub(crate) struct Run<'a> {
    pub(crate) text: &'a RecipeText,
    pub(crate) recipe: &'a Recipe,
    pub(crate) source: &'a Source,
    pub(crate) tensor_file: &'a str,
    pub(crate) writes: &'a [&'a Path],
    pub(crate) progress: &'a dyn Progress,
}

/// Where the matrix of a layer comes from.
pub(crate) type Matrices<'a> = &'a dyn Fn(&Layer<'_>) -> QuantizedMatrix;

/// The network in integers, and what it is compared with.
pub(crate) struct Network {
    layers: Vec<IntLayer>,
    weight_errors: Vec<f64>,
    input_step: f64,
    samples: Option<Samples>,
    float: Option<Vec<LayerOutputs>>,
}

impl Run<'_> {
    /// The whole way, with matrices from there.
    pub(crate) fn whole(&self, matrices: Matrices<'_>) -> Result<Quantized, Diagnostics> {
        let problems = Problems::default();
        let RecipeText { text, file_name, .. } = self.text;
        match self.integer_network(&problems, matrices) {
            Some(network) if problems.is_empty() => {
                let sha256 = sha256(text.as_bytes());
                self.write(network, Origin { file: file_name.clone(), sha256 })
            }
            _ => Err(problems.into_diagnostics(file_name, text)),
        }
    }

    /// The matrix of a layer, made now.
    pub(crate) fn matrix(&self, layer: &Layer<'_>) -> QuantizedMatrix {
        self.progress.begin(&layer.recipe.name.value, layer.steps());
        layer.quantize(self.recipe.seed, &|| self.progress.step())
    }

    /// Reads, calibrates and quantizes; stops before the long work if anything is wrong.
    fn integer_network(&self, problems: &Problems, matrices: Matrices<'_>) -> Option<Network> {
        let layers = read_layers(self.recipe, self.source, problems);
        check_names(self.recipe, &layers, problems);
        let inputs = layers.first().map(|l| l.float.cols);
        let samples = read_samples(self.recipe, &self.text.folder, inputs, self.writes, problems);
        if !problems.is_empty() {
            return None;
        }
        let float = samples.as_ref().map(|s| run_float(&layers, s));
        let input_step = input_step(self.recipe, samples.as_ref(), problems);
        let steps = layer_steps(&layers, float.as_deref(), problems)?;
        let input_step = input_step?;
        let mut x_step = input_step;
        let (mut ints, mut weight_errors) = (Vec::new(), Vec::new());
        for (layer, steps) in layers.iter().zip(&steps) {
            let matrix = matrices(layer);
            weight_errors.push(matrix.relative_mse(&layer.float));
            let int = assemble(layer, matrix, x_step, steps, problems)?;
            x_step = int.step;
            ints.push(int);
        }
        Some(Network { layers: ints, weight_errors, input_step, samples, float })
    }

    /// Writes the module, reads it back through the verifier and measures it.
    fn write(&self, network: Network, recipe: Origin) -> Result<Quantized, Diagnostics> {
        let file = self.tensor_file;
        let ir_text = pimc_ir::format(&module_text(self.recipe, &network.layers, file))?;
        let cannot = |what: String| {
            let d = Diagnostic::error(Code::P0408, what);
            Diagnostics::one(file, d.help("this is a mistake of the quantizer, not of its input"))
        };
        let bytes: Arc<Vec<u8>> = Arc::new(tensor_file(&network.layers, "").map_err(cannot)?);
        let model = pimc_ir::load_from(ir_text.clone(), "quantized module".to_string(), &|_| {
            Ok(bytes.clone())
        })?;
        let report = self.report(&network, recipe, &model).map_err(cannot)?;
        let metadata = serde_json::to_string(&report).map_err(|e| cannot(e.to_string()))?;
        let tensors = tensor_file(&network.layers, &metadata).map_err(cannot)?;
        Ok(Quantized { ir_text, tensors, report })
    }

    fn report(&self, network: &Network, recipe: Origin, model: &Model) -> Result<Report, String> {
        let Network { layers, input_step, .. } = network;
        let comparison = match (&network.samples, &network.float) {
            (Some(samples), Some(float)) if float.iter().all(LayerOutputs::are_finite) => {
                self.progress.begin("comparison with the float network", 1);
                let got = compare(model, layers, &samples.x, *input_step, float);
                self.progress.step();
                Some(got.map_err(|e| e.to_string())?)
            }
            _ => None,
        };
        let of_layer = |(i, l): (usize, &IntLayer)| LayerReport {
            name: l.name.clone(),
            format: l.matrix.ty.to_string(),
            bits_per_weight: l.matrix.bits as f64 / l.matrix.ints.len() as f64,
            weight_error: network.weight_errors[i],
            weight_step: l.matrix.scale[0],
            result_step: l.step,
            activation_error: comparison.as_ref().map(|c| c.errors[i]),
        };
        let origin = |file: &str, sha256: &str| Origin {
            file: file.to_string(),
            sha256: sha256.to_string(),
        };
        Ok(Report {
            format_version: 1,
            tool: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_string(),
            recipe,
            source: origin(&self.source.name, &self.source.sha256),
            calibration: network.samples.as_ref().map(|s| origin(&s.file, &s.sha256)),
            input_step: Some(*input_step),
            result_step: match self.recipe.output {
                Output::Argmax => None,
                Output::Raw => layers.last().map(|l| l.step),
            },
            samples: comparison.as_ref().map_or(0, |c| c.samples),
            agreement: comparison.as_ref().map(|c| c.agreement),
            layers: layers.iter().enumerate().map(of_layer).collect(),
            cache: None,
        })
    }
}

/// Names of the module are made from those of the layers, and must not meet.
fn check_names(recipe: &Recipe, layers: &[Layer<'_>], problems: &Problems) {
    let mut seen: BTreeMap<String, Option<usize>> = BTreeMap::new();
    for reserved in ["main", "class", recipe.input.name.as_str()] {
        seen.insert(reserved.to_string(), None);
    }
    for (i, name) in names(layers) {
        let Some(earlier) = seen.insert(name.clone(), Some(i)) else { continue };
        if earlier == Some(i) {
            continue;
        }
        let at = &layers[i].recipe.name;
        let whose = match earlier {
            Some(e) => format!("layer `{}` already makes this name", layers[e].recipe.name.value),
            None => "the function, its input or its result has this name".to_string(),
        };
        let message = format!("layer `{}` makes the name `{name}` a second time", at.value);
        problems.error(Code::P0412, &at.span, message, &whose, "choose another name");
    }
}
