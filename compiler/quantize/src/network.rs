//! The integer network: biases, requantisers and tables from real scales.

use crate::calibrate::{LayerSteps, WIDE_BITS};
use crate::layers::Layer;
use crate::matrix::QuantizedMatrix;
use crate::recipe::{Activation, LayerRecipe};
use crate::requant::requant_constants;
use crate::section::Problems;
use pimc_ir::{Code, IntTy, WeightType, I8};

/// One layer in integers.
pub struct IntLayer {
    /// Its name.
    pub name: String,
    /// Its matrix.
    pub matrix: QuantizedMatrix,
    /// Its bias in units of the accumulator.
    pub bias: Option<Vec<i32>>,
    /// Type of the accumulator: holds the product and its sum with the bias for any 8-bit input, and
    /// is at least i32.
    pub accumulator: IntTy,
    /// Whether negative sums become 0.
    pub relu: bool,
    /// How the accumulator becomes the next layer's input.
    pub requant: Option<Requant>,
    /// The activation by table, on the requantiser's result.
    pub table: Option<Table>,
    /// Real value of one step of the layer's result.
    pub step: f64,
}

/// Constants of a requantiser.
pub struct Requant {
    /// One multiplier, or one per row.
    pub mul: Vec<i32>,
    /// The common shift.
    pub shift: u32,
    /// Result type.
    pub to: IntTy,
}

/// A function of 8-bit values.
pub struct Table {
    /// Its name in the module: `gelu` or `silu`.
    pub function: &'static str,
    /// Values from x = -128 on.
    pub values: Vec<i8>,
}

/// Assembles a layer whose input has the step `x_step`.
///
/// With W ~ scale[r] q and x ~ x_step x_q: the accumulator's unit in row r is scale[r] x_step, the
/// bias is rounded to it, and the requantiser multiplies by that unit over the result's step.
pub fn assemble(
    layer: &Layer<'_>,
    matrix: QuantizedMatrix,
    x_step: f64,
    steps: &LayerSteps,
    problems: &Problems,
) -> Option<IntLayer> {
    let recipe = layer.recipe;
    let name = recipe.name.value.clone();
    let unit: Vec<f64> = matrix.scale.iter().map(|s| s * x_step).collect();
    if let Some(bad) = unit.iter().find(|u| !u.is_normal()) {
        problems.error(
            Code::P0415,
            &recipe.scale.span,
            format!("one step of the accumulator of layer `{name}` stands for {bad:e}"),
            "the scale of its input times that of its weights",
            "check the scales given as numbers: one is far from the size of its values",
        );
        return None;
    }
    let bias = match &layer.bias {
        None => None,
        Some(bias) => Some(integer_bias(layer, bias, &unit, problems)?),
    };
    let accumulator = accumulator_type(&matrix, bias.as_deref());
    let Some(accumulator) = accumulator else {
        problems.error(
            Code::P0415,
            &recipe.span,
            format!("the sums of layer `{name}` need more than 64 bits"),
            "this layer",
            "use fewer scalar bits, or give the input a larger scale",
        );
        return None;
    };
    let target = match (steps.pre, steps.post, steps.wide) {
        (Some(pre), _, _) => Some((pre, I8)),
        (None, Some(post), _) => Some((post, I8)),
        (None, None, Some(wide)) => Some((wide, IntTy { bits: WIDE_BITS })),
        (None, None, None) => None,
    };
    let requant = match target {
        None => None,
        Some((step, to)) => {
            let rows = if matrix.one_scale() { &unit[..1] } else { &unit[..] };
            let ratios: Vec<f64> = rows.iter().map(|u| u / step).collect();
            Some(requantiser(layer, &ratios, to, problems)?)
        }
    };
    let table = table(recipe.activation, steps);
    let step = steps.post.or(steps.wide).unwrap_or(unit[0]);
    let relu = recipe.activation == Activation::Relu;
    Some(IntLayer { name, matrix, bias, accumulator, relu, requant, table, step })
}

fn requantiser(
    layer: &Layer<'_>,
    ratios: &[f64],
    to: IntTy,
    problems: &Problems,
) -> Option<Requant> {
    let constants = requant_constants(ratios);
    if constants.is_none() {
        let LayerRecipe { name, scale, .. } = layer.recipe;
        problems.error(
            Code::P0415,
            &scale.span,
            format!("layer `{}` needs a requantiser of ratio {:e}", name.value, ratios[0]),
            "no multiplier of 32 bits and shift up to 62 gives it",
            "check the scales: this one is far from the size of the layer's results",
        );
    }
    constants.map(|(mul, shift)| Requant { mul, shift, to })
}

/// The activation on 8-bit values of step `pre`, as 8-bit values of step `post`.
fn table(activation: Activation, steps: &LayerSteps) -> Option<Table> {
    let function = match activation {
        Activation::Gelu => "gelu",
        Activation::Silu => "silu",
        Activation::None | Activation::Relu => return None,
    };
    let (pre, post) = (steps.pre?, steps.post?);
    let value = |x: i32| (activation.apply(f64::from(x) * pre) / post).round();
    let values = (-128..128).map(|x| value(x).clamp(-128.0, 127.0) as i8).collect();
    Some(Table { function, values })
}

fn integer_bias(
    layer: &Layer<'_>,
    bias: &[f32],
    unit: &[f64],
    problems: &Problems,
) -> Option<Vec<i32>> {
    let rounded: Vec<f64> =
        bias.iter().zip(unit).map(|(&b, u)| (f64::from(b) / u).round()).collect();
    let fits = |b: &f64| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(b);
    if let Some(row) = rounded.iter().position(|b| !fits(b)) {
        let span = layer.recipe.bias.as_ref().map_or(&layer.recipe.span, |b| &b.span);
        problems.error(
            Code::P0415,
            span,
            format!(
                "the bias {} of row {row} of layer `{}` is {:e} steps of the accumulator",
                bias[row], layer.recipe.name.value, rounded[row]
            ),
            "beyond 32 bits",
            "check the bias; or use a format whose steps are coarser",
        );
        return None;
    }
    Some(rounded.into_iter().map(|b| b as i32).collect())
}

/// At least i32; wider where products of this matrix with 8-bit inputs, or their sums with the bias,
/// need it.
fn accumulator_type(matrix: &QuantizedMatrix, bias: Option<&[i32]>) -> Option<IntTy> {
    let (low, high) = match matrix.ty {
        // The language knows generated weights only up to their sign.
        WeightType::Supermask { .. } => {
            let widest = matrix
                .ints
                .chunks(matrix.ty.cols())
                .map(|row| row.iter().map(|q| i128::from(q.unsigned_abs())).sum::<i128>());
            let size = 128 * widest.max().unwrap_or(0);
            (-size, size)
        }
        _ => matrix.product_range(-128, 127),
    };
    let bias = bias.unwrap_or_default().iter().map(|&b| i128::from(b));
    let (least, most) = bias.fold((0, 0), |(lo, hi), b| (b.min(lo), b.max(hi)));
    let narrowest = IntTy::spanning(low + least, high + most)?;
    Some(IntTy { bits: narrowest.bits.max(32) })
}
