//! `matvec @w, %x`: R exact results of C inputs, one function per weight format.
//!
//! Every function takes `x` of C elements and gives R sums without shift, rounding or scale.
//! Input `c` of sub-vector `s` is `x[s*sub + d]` with `c = s*sub + d`; block column `bc` of a BQQ
//! weight covers inputs `bc*n..(bc+1)*n`, block row `br` results `br*m..(br+1)*m`.

use crate::freeze::{effective_coats, row_bytes};
use crate::sign::row_is_negative;
use pimc_ir::{BqqView, IntView, Model, PqView, SupermaskView, WeightId, WeightType, WeightView};

/// `W x` for any weight of `model`; `x` has the weight's `cols` elements, the result its `rows`.
pub fn matvec(model: &Model, weight: WeightId, x: &[i64]) -> Vec<i128> {
    match model.weight(weight) {
        WeightView::Pq(w) => pq(&w, x),
        WeightView::Bqq(w) => bqq(&w, x),
        WeightView::Supermask(w) => {
            supermask(&w, &Generator::of(&model.module.weights[weight.0].ty), x)
        }
        WeightView::Int(w) => int(&w, x),
    }
}

/// Product quantization (Jegou et al., 2011): row `r` is a row of codes, and
/// `y[r] = sum_s codebook[s][code[r][s]] . x_s`, with `x_s` the `s`-th sub-vector of `x`.
pub fn pq(w: &PqView<'_>, x: &[i64]) -> Vec<i128> {
    (0..w.rows())
        .map(|r| {
            x.chunks_exact(w.sub())
                .enumerate()
                .map(|(s, xs)| {
                    let code = w.code(r, s);
                    dot(xs, |d| i64::from(w.centroid(s, code, d)))
                })
                .sum()
        })
        .collect()
}

/// Binary quadratic quantization (arXiv 2510.18650) in the +-1 form. For every block, with
/// `A` (m x l) and `B` (l x n) of its basis `i` in {-1, +1}, `x_bc` the block's inputs,
/// `t[k] = sum_j B[k][j] x_bc[j]` and `X = sum_j x_bc[j]`:
///
/// `y[a] += sum_i ( r_i sum_k A[a][k] t[k] + s_i (sum_k A[a][k]) X + t_i sum_k t[k] ) + u X`.
///
/// The scalars r, s, t are i16 and u is i32; the scale that makes them integers is part of the
/// requantiser that follows.
pub fn bqq(w: &BqqView<'_>, x: &[i64]) -> Vec<i128> {
    let (m, n, l) = (w.block_rows(), w.block_cols(), w.inner());
    let mut y = vec![0i128; w.rows()];
    for (br, y) in y.chunks_exact_mut(m).enumerate() {
        for (bc, x) in x.chunks_exact(n).enumerate() {
            let x_sum: i128 = x.iter().map(|&v| i128::from(v)).sum();
            for i in 0..w.bases() {
                let t: Vec<i128> = (0..l)
                    .map(|k| (0..n).map(|j| signed(w.b(i, br, bc, k, j), x[j].into())).sum())
                    .collect();
                let t_sum: i128 = t.iter().sum();
                let [r_i, s_i, t_i] =
                    [w.r(i, br, bc), w.s(i, br, bc), w.t(i, br, bc)].map(i128::from);
                for (a, y) in y.iter_mut().enumerate() {
                    let sign = |k| w.a(i, br, bc, a, k);
                    let product: i128 = (0..l).map(|k| signed(sign(k), t[k])).sum();
                    let row_sum: i128 = (0..l).map(|k| signed(sign(k), 1)).sum();
                    *y += r_i * product + s_i * row_sum * x_sum + t_i * t_sum;
                }
            }
            let u = i128::from(w.u(br, bc));
            y.iter_mut().for_each(|y| *y += u * x_sum);
        }
    }
    y
}

/// What a supermask weight's values are generated from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Generator {
    /// Seed of the sign generator.
    pub seed: u32,
    /// Layer number given to it.
    pub layer: u32,
    /// Freeze threshold of pruned weights, out of 256.
    pub pruned: u32,
    /// Width of the locked range above it, out of 256.
    pub locked: u32,
}

impl Generator {
    /// The generator of a weight type; the formats that generate nothing have none to speak of and
    /// give all zeros.
    fn of(ty: &WeightType) -> Generator {
        match *ty {
            WeightType::Supermask { seed, layer, pruned, locked, .. } => {
                Generator { seed, layer, pruned, locked }
            }
            _ => Generator::default(),
        }
    }
}

/// Supermask over generated signs (Edge-Popup, arXiv 1911.13299; several coats as in
/// Multicoated Supermasks): `y[r] = sum_c sign(r, c) * coats(r, c) * x[c]`, with the sign of
/// [`crate::sign`] and `coats` the number of set mask planes after the rule of [`crate::freeze`].
pub fn supermask(w: &SupermaskView<'_>, g: &Generator, x: &[i64]) -> Vec<i128> {
    (0..w.rows())
        .map(|r| {
            let row = r as u32;
            let signs = row_is_negative(g.seed, g.layer, row);
            let bytes = row_bytes(g.seed, g.layer, row);
            x.iter()
                .zip(signs.zip(bytes))
                .enumerate()
                .map(|(c, (&x, (negative, byte)))| {
                    let stored = (0..w.coats()).filter(|&coat| w.stored(coat, r, c)).count();
                    let coats = effective_coats(byte, g.pruned, g.locked, w.coats(), stored);
                    signed(!negative, i128::from(x) * coats as i128)
                })
                .sum()
        })
        .collect()
}

/// Plain integers: `y[r] = sum_c q[r][c] x[c]`; when grouped, every group of inputs is summed
/// first and taken times its scale: `y[r] = sum_g scale[r][g] * sum_{c in g} q[r][c] x[c]`.
pub fn int(w: &IntView<'_>, x: &[i64]) -> Vec<i128> {
    let group = w.group().unwrap_or(w.cols());
    (0..w.rows())
        .map(|r| {
            x.chunks(group)
                .enumerate()
                .map(|(g, xs)| i128::from(w.scale(r, g)) * dot(xs, |d| w.q(r, g * group + d)))
                .sum()
        })
        .collect()
}

/// `x` or its negative.
fn signed(positive: bool, x: i128) -> i128 {
    if positive {
        x
    } else {
        -x
    }
}

/// `sum_d weight(d) * x[d]`.
fn dot(x: &[i64], weight: impl Fn(usize) -> i64) -> i128 {
    x.iter().enumerate().map(|(d, &x)| i128::from(weight(d)) * i128::from(x)).sum()
}
