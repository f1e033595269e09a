//! The layers of a recipe with their tensors: read, checked against each other, ready to quantize.

use crate::bqq::{quantize_bqq, BqqSettings};
use crate::int::{quantize_int, IntSettings};
use crate::matrix::{Matrix, QuantizedMatrix};
use crate::pq::{quantize_pq, PqSettings};
use crate::recipe::{Format, LayerRecipe, Recipe, SupermaskRecipe};
use crate::section::{NumberOrString, Problems, Spot};
use crate::source::{wrong_shape, RealTensor, Source};
use crate::supermask::{counts_from_planes, import_supermask, mask_from_scores, SupermaskSettings};
use pimc_ir::{Code, Span};

/// A layer with its real numbers.
pub struct Layer<'a> {
    /// What the recipe says.
    pub recipe: &'a LayerRecipe,
    /// The real matrix; of a supermask the one that its mask stands for.
    pub float: Matrix,
    /// The real bias.
    pub bias: Option<Vec<f32>>,
    job: Job,
}

/// What is left to do for a layer.
#[derive(Debug)]
enum Job {
    Pq(PqSettings),
    Bqq(BqqSettings),
    Int(IntSettings),
    Imported(QuantizedMatrix),
}

impl Layer<'_> {
    /// How many times `done` is called by [`Layer::quantize`].
    pub fn steps(&self) -> u64 {
        let pieces = match &self.job {
            Job::Pq(s) if !s.shared => self.float.cols / s.sub,
            Job::Bqq(s) => {
                s.bases * (self.float.rows / s.block_rows) * (self.float.cols / s.block_cols)
            }
            Job::Pq(_) | Job::Int(_) | Job::Imported(_) => 1,
        };
        pieces as u64
    }

    /// What the quantized matrix follows from, besides the file of weights and the seed; none where
    /// there is nothing left to do.
    pub fn task(&self) -> Option<String> {
        let weight = match &self.recipe.format {
            Format::Pq { weight, .. } | Format::Bqq { weight, .. } | Format::Int { weight, .. } => {
                &weight.value
            }
            Format::Supermask(_) => return None,
        };
        // Random streams are drawn by the layer's name.
        Some(format!("{} = {weight} {:?}", self.recipe.name.value, self.job))
    }

    /// Whether rows get scales of their own.
    pub fn has_row_scales(&self) -> bool {
        match &self.job {
            Job::Pq(s) => s.row_scale,
            Job::Int(s) => s.row_scale,
            Job::Bqq(_) | Job::Imported(_) => false,
        }
    }

    /// Quantizes the matrix.
    pub fn quantize(&self, seed: u64, done: &(dyn Fn() + Sync)) -> QuantizedMatrix {
        let name = &self.recipe.name.value;
        match &self.job {
            Job::Pq(s) => quantize_pq(&self.float, s, seed, name, done),
            Job::Bqq(s) => quantize_bqq(&self.float, s, seed, name, done),
            Job::Int(s) => {
                let quantized = quantize_int(&self.float, s);
                done();
                quantized
            }
            Job::Imported(quantized) => {
                done();
                quantized.clone()
            }
        }
    }
}

/// Reads the tensors of every layer. All mistakes are reported; layers that have one are left out.
pub fn read_layers<'a>(recipe: &'a Recipe, source: &Source, problems: &Problems) -> Vec<Layer<'a>> {
    let mut layers = Vec::new();
    // Number of values that reach the next layer, while it is known.
    let mut inputs = recipe.input.length.as_ref().map(|l| l.value as usize);
    for layer in &recipe.layers {
        let read = read_layer(layer, inputs, source, problems);
        inputs = read.as_ref().map(|l| l.float.rows);
        layers.extend(read);
    }
    layers
}

fn read_layer<'a>(
    recipe: &'a LayerRecipe,
    inputs: Option<usize>,
    source: &Source,
    problems: &Problems,
) -> Option<Layer<'a>> {
    const AXES: &str = "[outputs, inputs]";
    // The bias is read in any case, so that its mistakes are reported too.
    let bias = recipe.bias.as_ref().map(|at| (at, source.tensor(at, problems)));
    let (weight, float, job) = match &recipe.format {
        Format::Pq { weight, settings } => {
            let w = source.matrix(weight, AXES, problems)?;
            divides(settings.sub, w.cols, "sub", "inputs", &recipe.span, problems);
            (weight, w, Job::Pq(*settings))
        }
        Format::Bqq { weight, bases, block, anneal, scalar_bits, polish } => {
            let w = source.matrix(weight, AXES, problems)?;
            let (block_rows, block_cols) = block.value;
            divides(block_rows, w.rows, "block", "outputs", &block.span, problems);
            divides(block_cols, w.cols, "block", "inputs", &block.span, problems);
            let settings = BqqSettings {
                bases: *bases,
                block_rows,
                block_cols,
                anneal: *anneal,
                scalar_bits: *scalar_bits,
                polish: *polish,
            };
            (weight, w, Job::Bqq(settings))
        }
        Format::Int { weight, settings } => {
            let w = source.matrix(weight, AXES, problems)?;
            if let Some(group) = settings.group {
                divides(group, w.cols, "group", "inputs", &recipe.span, problems);
            }
            (weight, w, Job::Int(*settings))
        }
        Format::Supermask(mask) => {
            let quantized = read_supermask(mask, inputs, source, problems)?;
            (&mask.source, quantized.dequantized(), Job::Imported(quantized))
        }
    };
    if inputs.is_some_and(|n| n != float.cols) {
        problems.error(
            Code::P0414,
            &weight.span,
            format!(
                "layer `{}` takes {} inputs, but {} values reach it",
                recipe.name.value,
                float.cols,
                inputs.unwrap_or_default()
            ),
            "the numbers must agree",
            "put the layers in the order of evaluation; matrices are [outputs, inputs]",
        );
    }
    let bias = match bias {
        None => None,
        Some((at, tensor)) => {
            let tensor = tensor?;
            if tensor.shape != [float.rows] {
                wrong_shape(at, &tensor.shape, &format!("[{}]", float.rows), problems);
            }
            Some(tensor.values)
        }
    };
    Some(Layer { recipe, float, bias, job })
}

fn divides(part: usize, whole: usize, key: &str, of: &str, span: &Span, problems: &Problems) {
    if whole % part != 0 {
        problems.error(
            Code::P0414,
            span,
            format!("`{key}` {part} does not divide the {whole} {of}"),
            "must divide the matrix evenly",
            &format!("choose a divisor of {whole}, or pad the matrix with zeros"),
        );
    }
}

fn read_supermask(
    s: &SupermaskRecipe,
    inputs: Option<usize>,
    source: &Source,
    problems: &Problems,
) -> Option<QuantizedMatrix> {
    let sigma = read_sigma(&s.sigma, source, problems);
    let tensor = source.tensor(&s.source, problems)?;
    let (rows, cols, counts) = match (&tensor.shape[..], s.from_scores) {
        (&[rows, cols], true) if rows * cols > 0 => {
            let density = s.density.as_ref()?.value;
            (rows, cols, mask_from_scores(&tensor.values, density))
        }
        (&[rows, cols], false) if rows * cols > 0 => {
            (rows, cols, whole_counts(s, &tensor.values, cols, problems)?)
        }
        (&[_, rows, width], false) if rows * width > 0 => {
            let (cols, counts) = counts_of_planes(s, &tensor, inputs, problems)?;
            (rows, cols, counts)
        }
        (shape, _) => {
            let expected = "[outputs, inputs] or packed planes [coats, outputs, inputs/8]";
            wrong_shape(&s.source, shape, expected, problems);
            return None;
        }
    };
    check_density(s, &counts, problems);
    let SupermaskRecipe { coats, seed, layer, pruned, locked, .. } = *s;
    let settings =
        SupermaskSettings { rows, cols, coats, seed, layer, pruned, locked, sigma: sigma? };
    Some(import_supermask(&counts, &settings))
}

/// Coat counts written one by one.
fn whole_counts(
    s: &SupermaskRecipe,
    values: &[f32],
    cols: usize,
    problems: &Problems,
) -> Option<Vec<usize>> {
    if let Some(at) = not_whole(values, s.coats as f32) {
        let place = [at / cols, at % cols];
        let message = format!("mask `{}` holds {} at {place:?}", s.source.value, values[at]);
        let label = format!("coat counts are whole numbers of 0..={}", s.coats);
        let help = "correct the mask, or set `coats` to its largest count";
        problems.error(Code::P0412, &s.source.span, message, &label, help);
        return None;
    }
    Some(values.iter().map(|&v| v as usize).collect())
}

/// The first value that is no whole number of 0..=`top`.
fn not_whole(values: &[f32], top: f32) -> Option<usize> {
    values.iter().position(|&v| v < 0.0 || v > top || v.fract() != 0.0)
}

/// The number of inputs, and coat counts from packed planes [coats, outputs, ceil(inputs/8)].
fn counts_of_planes(
    s: &SupermaskRecipe,
    planes: &RealTensor,
    inputs: Option<usize>,
    problems: &Problems,
) -> Option<(usize, Vec<usize>)> {
    let [coats, rows, width] = planes.shape[..] else { return None };
    let fits = |c: &usize| c.div_ceil(8) == width && coats == s.coats;
    let Some(cols) = inputs.filter(fits) else {
        let expected = match inputs {
            Some(c) => format!("[{}, outputs, {}]", s.coats, c.div_ceil(8)),
            None => "[outputs, inputs], as the number of inputs is unknown here; \
                     give `length` under [input]"
                .to_string(),
        };
        wrong_shape(&s.source, &planes.shape, &expected, problems);
        return None;
    };
    if let Some(at) = not_whole(&planes.values, 255.0) {
        let message = format!("mask `{}` holds {}", s.source.value, planes.values[at]);
        let label = "packed planes are bytes, whole numbers of 0..=255";
        let help = "pack eight weights to a byte, the first in the least significant bit";
        problems.error(Code::P0412, &s.source.span, message, label, help);
        return None;
    }
    let bytes: Vec<u8> = planes.values.iter().map(|&v| v as u8).collect();
    match counts_from_planes(&bytes, coats, rows, cols) {
        Ok(counts) => Some((cols, counts)),
        Err((r, c)) => {
            let message = format!("mask `{}` is not nested at {:?}", s.source.value, [r, c]);
            let help = "plane c+1 must be a subset of plane c";
            problems.error(Code::P0407, &s.source.span, message, "not nested", help);
            None
        }
    }
}

/// A density given beside a mask must be the mask's, within one weight.
fn check_density(s: &SupermaskRecipe, counts: &[usize], problems: &Problems) {
    let Some(density) = &s.density else { return };
    let kept = counts.iter().filter(|&&c| c > 0).count();
    if (density.value * counts.len() as f64 - kept as f64).abs() > 1.0 {
        problems.error(
            Code::P0414,
            &density.span,
            format!("the mask keeps {kept} of {} weights, not {}", counts.len(), density.value),
            "not this mask's density",
            "name the right mask, or leave `density` out",
        );
    }
}

fn read_sigma(sigma: &Spot<NumberOrString>, source: &Source, problems: &Problems) -> Option<f64> {
    let name = match &sigma.value {
        NumberOrString::Number(v) => return Some(*v),
        NumberOrString::String(name) => name,
    };
    let at = Spot { value: name.clone(), span: sigma.span.clone() };
    let tensor = source.tensor(&at, problems)?;
    match tensor.values[..] {
        [v] if v > 0.0 => Some(f64::from(v)),
        [v] => {
            let message = format!("the magnitude `{name}` is {v}");
            let help = "the magnitude of one coat must be positive";
            problems.error(Code::P0415, &sigma.span, message, "not positive", help);
            None
        }
        _ => {
            wrong_shape(&at, &tensor.shape, "one element", problems);
            None
        }
    }
}
