//! The float network, run on calibration data.

use crate::gemm::{plain, transposed, Gemm};
use crate::matrix::Matrix;
use crate::recipe::Activation;

impl Activation {
    /// The function's value, in f64.
    pub fn apply(self, x: f64) -> f64 {
        match self {
            Activation::None => x,
            Activation::Relu => x.max(0.0),
            Activation::Gelu => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
            Activation::Silu => x / (1.0 + (-x).exp()),
        }
    }

    /// Whether it is done by a table of 256 entries.
    pub fn is_table(self) -> bool {
        matches!(self, Activation::Gelu | Activation::Silu)
    }
}

/// The error function: the Maclaurin series where it converges fast, the continued fraction of the
/// complement beyond (Abramowitz and Stegun 7.1.5 and 7.1.14); good to 1e-12.
fn erf(x: f64) -> f64 {
    let size = x.abs();
    let value = if size < 2.5 {
        let (mut term, mut total) = (size, size);
        for n in 1..80 {
            term *= -size * size / f64::from(n);
            total += term / f64::from(2 * n + 1);
        }
        total * std::f64::consts::FRAC_2_SQRT_PI
    } else {
        let mut tail = size;
        for n in (1..80).rev() {
            tail = size + f64::from(n) / 2.0 / tail;
        }
        1.0 - (-size * size).exp() / (tail * std::f64::consts::PI.sqrt())
    };
    value.copysign(x)
}

/// What a layer gives before and after its activation: samples x outputs.
pub struct LayerOutputs {
    /// Before the activation.
    pub pre: Matrix,
    /// After it.
    pub post: Matrix,
}

impl LayerOutputs {
    /// Whether nothing overflowed. An activation of an infinity need not show it, so both are asked.
    pub fn are_finite(&self) -> bool {
        self.pre.data.iter().chain(&self.post.data).all(|v| v.is_finite())
    }
}

/// One layer of the float network on `x` (samples x inputs).
pub fn float_layer(
    w: &Matrix,
    bias: Option<&[f32]>,
    activation: Activation,
    x: &Matrix,
) -> LayerOutputs {
    let (samples, outputs) = (x.rows, w.rows);
    let mut pre = vec![0.0f32; samples * outputs];
    let (left, right) = (plain(&x.data, samples, x.cols), transposed(&w.data, outputs, w.cols));
    Gemm::default().product(1.0, left, right, &mut pre);
    if let Some(bias) = bias {
        for row in pre.chunks_mut(outputs) {
            row.iter_mut().zip(bias).for_each(|(v, b)| *v += b);
        }
    }
    let post = pre.iter().map(|&v| activation.apply(f64::from(v)) as f32).collect();
    let matrix = |data| Matrix { rows: samples, cols: outputs, data };
    LayerOutputs { pre: matrix(pre), post: matrix(post) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erf_has_its_tabled_values() {
        // Abramowitz and Stegun, table 7.1.
        let known =
            [(0.0, 0.0), (0.5, 0.520_499_877_8), (1.0, 0.842_700_792_9), (2.0, 0.995_322_265_0)];
        for (x, y) in known {
            assert!((erf(x) - y).abs() < 1e-10 && (erf(-x) + y).abs() < 1e-10, "{x}");
        }
        assert!((erf(2.5 - 1e-9) - erf(2.5 + 1e-9)).abs() < 1e-10);
        assert!((1.0 - erf(3.0) - 2.209_049_7e-5).abs() < 1e-11);
    }

    #[test]
    fn a_layer_is_a_product_a_bias_and_a_function() {
        let w = Matrix { rows: 2, cols: 3, data: vec![1.0, 2.0, 3.0, -1.0, 0.0, 1.0] };
        let x = Matrix { rows: 1, cols: 3, data: vec![1.0, -1.0, 2.0] };
        let got = float_layer(&w, Some(&[0.5, -2.0]), Activation::Relu, &x);
        assert_eq!(got.pre.data, vec![5.5, -1.0]);
        assert_eq!(got.post.data, vec![5.5, 0.0]);
        assert!((Activation::Silu.apply(1.0) - 0.731_058_578_6).abs() < 1e-9);
        assert!((Activation::Gelu.apply(-1.0) + 0.158_655_253_9).abs() < 1e-9);
    }
}
