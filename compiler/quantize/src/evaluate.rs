//! The integer network against the float network, on calibration samples, by the golden semantics.

use crate::emit::result_value;
use crate::forward::LayerOutputs;
use crate::matrix::Matrix;
use crate::network::IntLayer;
use pimc_golden::GoldenError;
use pimc_ir::{Model, ValueId};
use rayon::prelude::*;

/// Samples at most; fewer for large networks, see [`PRODUCTS`].
const SAMPLES: usize = 256;
/// Weight times sample products at most.
const PRODUCTS: usize = 200_000_000;

/// How the two networks differ.
pub struct Comparison {
    /// Samples compared.
    pub samples: usize,
    /// Relative squared error of each layer's results.
    pub errors: Vec<f64>,
    /// Share of samples with the same largest result.
    pub agreement: f64,
}

/// The integer input of a sample.
pub fn integer_input(x: &[f32], step: f64) -> Vec<i64> {
    x.iter().map(|&v| (f64::from(v) / step).round().clamp(-128.0, 127.0) as i64).collect()
}

/// Runs both on the first samples.
///
/// # Errors
/// Those of golden; a verified model with 8-bit inputs has none.
pub fn compare(
    model: &Model,
    layers: &[IntLayer],
    x: &Matrix,
    input_step: f64,
    float: &[LayerOutputs],
) -> Result<Comparison, GoldenError> {
    let weights: usize = layers.iter().map(|l| l.matrix.ints.len()).sum();
    let samples = x.rows.min(SAMPLES).min((PRODUCTS / weights.max(1)).max(1));
    let names: Vec<String> = layers.iter().map(result_value).collect();
    let values = &model.module.func.values;
    let places: Vec<Option<usize>> =
        names.iter().map(|n| values.iter().position(|v| v.name.text == *n)).collect();
    let traces: Vec<_> = (0..samples)
        .into_par_iter()
        .map(|i| pimc_golden::run(model, &[integer_input(x.row(i), input_step)]))
        .collect::<Result<_, _>>()?;
    let mut errors = Vec::new();
    let mut agreement = 0;
    for (at, (layer, place)) in layers.iter().zip(&places).enumerate() {
        let (mut error, mut size) = (0.0, 0.0);
        for (i, trace) in traces.iter().enumerate() {
            let Some(place) = place else { continue };
            let (got, want) = (trace.value(ValueId(*place)), float[at].post.row(i));
            for (&q, &v) in got.iter().zip(want) {
                error += (q as f64 * layer.step - f64::from(v)).powi(2);
                size += f64::from(v).powi(2);
            }
            if at + 1 == layers.len() && largest(got.iter()) == largest(want.iter()) {
                agreement += 1;
            }
        }
        errors.push(if size > 0.0 { error / size } else { 0.0 });
    }
    Ok(Comparison { samples, errors, agreement: agreement as f64 / samples.max(1) as f64 })
}

/// Index of the first largest element.
fn largest<'a, T: PartialOrd + 'a>(values: impl Iterator<Item = &'a T>) -> usize {
    let mut best: Option<(usize, &T)> = None;
    for (i, v) in values.enumerate() {
        if best.is_none_or(|(_, b)| v > b) {
            best = Some((i, v));
        }
    }
    best.map_or(0, |(i, _)| i)
}
