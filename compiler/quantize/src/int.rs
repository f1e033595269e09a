//! Plain integer weights, `int<RxC, bits, group>`.

use crate::matrix::{bytes_of_i16, bytes_of_i8, Matrix, QuantizedMatrix};
use crate::uniform::{choose_step, code, Clip};
use pimc_ir::WeightType;

/// How a matrix becomes integers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IntSettings {
    /// Bits of one weight, 2..=8.
    pub bits: u32,
    /// Inputs per group scale; divides the columns.
    pub group: Option<usize>,
    /// Each row has a scale of its own, folded into the requantiser. Not with groups.
    pub row_scale: bool,
    /// Bits of the largest group scale, 2..=15.
    pub scale_bits: u32,
}

/// Quantizes `w` with the step of least squared error, per tensor, row or group.
pub fn quantize_int(w: &Matrix, settings: &IntSettings) -> QuantizedMatrix {
    let IntSettings { bits, group, row_scale, scale_bits } = *settings;
    let top = (1i64 << (bits - 1)) - 1;
    let (rows, cols) = (w.rows, w.cols);
    let step = |values: &[f32]| choose_step(values, &[], bits, Clip::Mse);
    // Zeros are exact at any step: a row of them takes the tensor's, so that it is near the others.
    let tensor_step = step(&w.data).unwrap_or(1.0);
    let (scale, multiples) = match group {
        Some(size) => {
            let steps = w.data.chunks(size).map(|values| step(values).unwrap_or(0.0)).collect();
            let (unit, multiples) = group_scales(steps, scale_bits);
            (vec![unit; rows], multiples)
        }
        None if row_scale => {
            ((0..rows).map(|r| step(w.row(r)).unwrap_or(tensor_step)).collect(), Vec::new())
        }
        None => (vec![tensor_step; rows], Vec::new()),
    };
    let multiple = |at: usize| group.map_or(1, |size| multiples[at / size]);
    let codes: Vec<i64> = w
        .data
        .iter()
        .enumerate()
        .map(|(at, &v)| code(f64::from(v), scale[at / cols] * f64::from(multiple(at)), top))
        .collect();
    let mut tensors = vec![bytes_of_i8(&codes.iter().map(|&c| c as i8).collect::<Vec<_>>())];
    let scale_size = match group {
        Some(_) => {
            tensors.push(bytes_of_i16(&multiples));
            16 * multiples.len() as u64
        }
        None if row_scale => 32 * rows as u64,
        None => 32,
    };
    QuantizedMatrix {
        ty: WeightType::Int { rows, cols, bits, group },
        tensors,
        ints: codes.iter().enumerate().map(|(at, c)| c * i64::from(multiple(at))).collect(),
        scale,
        bits: u64::from(bits) * codes.len() as u64 + scale_size,
    }
}

/// Group steps as whole multiples, at least 1, of one unit: the largest has `scale_bits` bits. A step of
/// 0 stands for a group of zeros, which is exact at any.
fn group_scales(steps: Vec<f64>, scale_bits: u32) -> (f64, Vec<i16>) {
    let largest = steps.iter().copied().fold(0.0, f64::max);
    let unit = if largest > 0.0 { largest / ((1i64 << scale_bits) - 1) as f64 } else { 1.0 };
    let multiples = steps.iter().map(|s| (s / unit).round().max(1.0) as i16).collect();
    (unit, multiples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    fn gaussian(rows: usize, cols: usize) -> Matrix {
        let mut rng = Rng::new(11);
        let data =
            (0..rows * cols).map(|at| rng.normal() as f32 * (1 + at / cols) as f32).collect();
        Matrix { rows, cols, data }
    }

    const PLAIN: IntSettings =
        IntSettings { bits: 8, group: None, row_scale: false, scale_bits: 8 };

    #[test]
    fn finer_scales_err_less() {
        let w = gaussian(8, 64);
        let error = |s: &IntSettings| quantize_int(&w, s).relative_mse(&w);
        let bits4 = IntSettings { bits: 4, ..PLAIN };
        let tensor = error(&bits4);
        let row = error(&IntSettings { row_scale: true, ..bits4 });
        let group = error(&IntSettings { group: Some(16), ..bits4 });
        assert!(error(&PLAIN) < 2e-4);
        assert!(row < 0.7 * tensor && group < 0.7 * tensor, "{tensor} {row} {group}");
    }

    #[test]
    fn every_code_is_the_nearest_one() {
        let w = gaussian(4, 32);
        for s in [PLAIN, IntSettings { bits: 3, group: Some(8), ..PLAIN }] {
            let got = quantize_int(&w, &s);
            let group = s.group.unwrap_or(32);
            let top = (1i64 << (s.bits - 1)) - 1;
            let steps: Vec<i64> = match s.group {
                None => vec![1; 4],
                Some(_) => got.tensors[1]
                    .chunks(2)
                    .map(|b| i64::from(i16::from_le_bytes([b[0], b[1]])))
                    .collect(),
            };
            for (at, &v) in w.data.iter().enumerate() {
                let step = steps[at / group] as f64 * got.scale[0];
                let error = |c: i64| (f64::from(v) - c as f64 * step).abs();
                let best = (-top..=top).map(error).fold(f64::INFINITY, f64::min);
                let mine = (f64::from(v) - got.ints[at] as f64 * got.scale[0]).abs();
                assert!(mine <= best + 1e-9, "{at}: {mine} {best}");
            }
        }
    }

    #[test]
    fn zeros_are_exact() {
        let w = Matrix { rows: 2, cols: 4, data: vec![0.0; 8] };
        let got = quantize_int(&w, &IntSettings { group: Some(2), ..PLAIN });
        assert!(got.ints.iter().all(|&q| q == 0));
        assert_eq!(got.relative_mse(&w), 0.0);
    }

    #[test]
    fn a_row_of_zeros_leaves_the_others_as_fine_as_they_were() {
        let mut w = gaussian(3, 32);
        w.data.iter_mut().for_each(|v| *v *= 1e-3);
        w.data[32..64].fill(0.0);
        for s in
            [IntSettings { group: Some(16), ..PLAIN }, IntSettings { row_scale: true, ..PLAIN }]
        {
            let got = quantize_int(&w, &s);
            assert!(got.relative_mse(&w) < 2e-4, "{s:?}: {}", got.relative_mse(&w));
            // A requantiser with one shift for all rows must not find one row far from the rest.
            assert!(got.scale[1] <= 2.0 * got.scale[2], "{s:?}: {:?}", got.scale);
        }
    }
}
