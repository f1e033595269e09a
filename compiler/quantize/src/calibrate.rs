//! Steps of the activations, measured on calibration data or given.

use crate::forward::{float_layer, LayerOutputs};
use crate::layers::Layer;
use crate::matrix::Matrix;
use crate::recipe::{Recipe, Scale};
use crate::section::{Problems, Spot};
use crate::source::{is_one_of, would_replace, wrong_shape, Source};
use crate::uniform::choose_step;
use pimc_ir::Code;
use std::path::Path;

/// Bits of the accumulator's stand-in where rows with scales of their own must be made comparable.
pub const WIDE_BITS: u32 = 16;

/// Calibration inputs, samples x inputs, and where they come from.
pub struct Samples {
    /// The inputs.
    pub x: Matrix,
    /// The file's name.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// The steps of one layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerSteps {
    /// Of the activation table's input, for gelu and silu.
    pub pre: Option<f64>,
    /// Of the layer's 8-bit results; none where the accumulator itself is returned.
    pub post: Option<f64>,
    /// Of 16-bit results: for a last layer whose rows have scales of their own.
    pub wide: Option<f64>,
}

/// Reads the calibration inputs that the recipe names. `writes` are files that will be replaced.
pub fn read_samples(
    recipe: &Recipe,
    folder: &Path,
    inputs: Option<usize>,
    writes: &[&Path],
    problems: &Problems,
) -> Option<Samples> {
    let calibration = recipe.calibration.as_ref()?;
    let path = folder.join(&calibration.file.value);
    if is_one_of(&path, writes) {
        problems.push(would_replace(&path).at(&calibration.file.span, "read here"));
        return None;
    }
    let source = match Source::open(&path) {
        Ok(source) => source,
        Err(d) => {
            problems.push(d.at(&calibration.file.span, "named here"));
            return None;
        }
    };
    let mut x = source.matrix(&calibration.tensor, "[samples, inputs]", problems)?;
    if let Some(inputs) = inputs.filter(|&n| n != x.cols) {
        let expected = format!("[samples, {inputs}]");
        wrong_shape(&calibration.tensor, &[x.rows, x.cols], &expected, problems);
        return None;
    }
    x.rows = x.rows.min(calibration.samples);
    x.data.truncate(x.rows * x.cols);
    Some(Samples { x, file: source.name.clone(), sha256: source.sha256.clone() })
}

/// The float network's outputs on the samples, layer by layer.
pub fn run_float(layers: &[Layer<'_>], samples: &Samples) -> Vec<LayerOutputs> {
    let mut outputs: Vec<LayerOutputs> = Vec::new();
    for layer in layers {
        let x = outputs.last().map_or(&samples.x, |o| &o.post);
        outputs.push(float_layer(&layer.float, layer.bias.as_deref(), layer.recipe.activation, x));
    }
    outputs
}

/// The step of the input.
pub fn input_step(recipe: &Recipe, samples: Option<&Samples>, problems: &Problems) -> Option<f64> {
    step(&recipe.input.scale, samples.map(|s| &s.x), 8, "the input", problems)
}

/// The steps of every layer.
pub fn layer_steps(
    layers: &[Layer<'_>],
    outputs: Option<&[LayerOutputs]>,
    problems: &Problems,
) -> Option<Vec<LayerSteps>> {
    let steps = layers.iter().enumerate().map(|(i, layer)| {
        let r = layer.recipe;
        let (pre_values, post_values) = outputs.map(|o| (&o[i].pre, &o[i].post)).unzip();
        let name = |what: &str| format!("{what} of layer `{}`", r.name.value);
        let last = i + 1 == layers.len();
        let table = r.activation.is_table();
        let pre = if table {
            Some(step(&r.pre_scale, pre_values, 8, &name("the activation's input"), problems)?)
        } else {
            None
        };
        // The accumulator of the last layer is returned as it is, or compared, in full precision.
        let accumulator = last && !table;
        let post = if accumulator {
            None
        } else {
            Some(step(&r.scale, post_values, 8, &name("the result"), problems)?)
        };
        let wide = if accumulator && layer.has_row_scales() {
            Some(step(&r.scale, post_values, WIDE_BITS, &name("the result"), problems)?)
        } else {
            None
        };
        Some(LayerSteps { pre, post, wide })
    });
    // All layers are visited before the first failure counts, so that each reports its own.
    let all: Vec<Option<LayerSteps>> = steps.collect();
    all.into_iter().collect()
}

fn step(
    scale: &Spot<Scale>,
    values: Option<&Matrix>,
    bits: u32,
    what: &str,
    problems: &Problems,
) -> Option<f64> {
    let clip = match scale.value {
        Scale::Step(step) => return Some(step),
        Scale::Measured(clip) => clip,
    };
    let Some(values) = values else {
        problems.error(
            Code::P0415,
            &scale.span,
            format!("{what} has no scale"),
            "there is no calibration data to measure it on",
            "add a [calibration] table with `file` and `tensor`, or give the scale as a number",
        );
        return None;
    };
    if let Some(at) = values.data.iter().position(|v| !v.is_finite()) {
        problems.error(
            Code::P0415,
            &scale.span,
            format!("{what} is not finite on sample {}", at / values.cols),
            "the float network overflows",
            "check the calibration data and the weights",
        );
        return None;
    }
    let step = choose_step(&values.data, &[], bits, clip);
    if step.is_none() {
        problems.error(
            Code::P0415,
            &scale.span,
            format!("{what} is zero on all calibration data"),
            "no scale follows from this",
            "check the calibration data and the layer's weights, or give the scale as a number",
        );
    }
    step
}
