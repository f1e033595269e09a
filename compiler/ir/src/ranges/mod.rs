//! Interval analysis: what every element of every value can be, from the actual weights.
//!
//! A matvec of any weight format is linear in its inputs: `y_r = sum_c W[r][c] x_c` with an integer
//! matrix W that the format describes. With each x_c anywhere in its own interval, the smallest and
//! the largest y_r are sums of the smallest and largest products, so for pq, bqq and int the result
//! is **exact** (both ends are reached). The signs of a supermask are generated, not stored, so here
//! a weight is known only up to its sign, and a locked weight is taken to be possible anywhere: the
//! result is sound, and at most wider.
//!
//! Through a whole function the analysis is exact per op, not over ops: it does not know that two
//! values move together.

mod attention;
mod blocks;
mod masks;
mod rows;
mod vectors;

pub use attention::{mean_range, score_bounds};
pub use blocks::{sign_sum, width, Block, Inputs, Number, Width, TILE};
pub use masks::{bits_word, MaskInputs};
pub use rows::{int_rows, pq_rows, touch, RowSums};
pub use vectors::{vectors, Work};

use crate::module::{OpKind, Operand, ParamId, Scalar, WeightId};
use crate::tensors::{Model, PqView, SupermaskView, WeightView};
use crate::types::{VecTy, WeightType};
use rayon::prelude::*;

/// Smallest and largest value, both included.
pub type Interval = (i64, i64);

/// The same before it is known to fit a type.
pub type Wide = (i128, i128);

/// Every element anywhere in its type.
pub fn of_type(ty: VecTy) -> Vec<Interval> {
    vec![(ty.elem.min(), ty.elem.max()); ty.len]
}

/// Ranges of every value of the function, indexed as `Func::values`, when input i's elements lie in
/// `inputs[i]`. Each interval lies within its value's type.
///
/// `inputs` has one entry per input, as long as its type, within its type.
pub fn analyse(model: &Model, inputs: &[Vec<Interval>]) -> Vec<Vec<Interval>> {
    let func = &model.module.func;
    let mut values: Vec<Vec<Interval>> = inputs.to_vec();
    for (i, op) in func.ops.iter().enumerate() {
        let wide = op_range(model, &op.kind, &values);
        let ty = func.values[func.value_of_op(i).0].ty;
        values.push(narrow(&wide, ty));
    }
    values
}

/// Cuts ranges down to a type.
pub(crate) fn narrow(wide: &[Wide], ty: VecTy) -> Vec<Interval> {
    let (lo, hi) = (i128::from(ty.elem.min()), i128::from(ty.elem.max()));
    // The casts lose nothing: both ends lie within a type of at most 64 bits.
    wide.iter().map(|r| (r.0.clamp(lo, hi) as i64, r.1.clamp(lo, hi) as i64)).collect()
}

/// Range of each element of an op's exact result, given the ranges of the values that it reads; of an op
/// that clamps ([`clamps`]), before its clamp, which needs the result type.
pub fn op_range(model: &Model, kind: &OpKind, values: &[Vec<Interval>]) -> Vec<Wide> {
    let wide = |r: Interval| (i128::from(r.0), i128::from(r.1));
    match kind {
        OpKind::Matvec { weight, x } => matvec_range(model, *weight, &values[x.0]),
        OpKind::Add { a, b } => values[a.0]
            .iter()
            .enumerate()
            .map(|(i, &a)| {
                let b = match b {
                    Operand::Value(b) => wide(values[b.0][i]),
                    Operand::Param(p) => {
                        let b = i128::from(model.param(*p)[i]);
                        (b, b)
                    }
                };
                let a = wide(a);
                (a.0 + b.0, a.1 + b.1)
            })
            .collect(),
        OpKind::Requant { x, mul, shift } => values[x.0]
            .iter()
            .enumerate()
            .map(|(i, &x)| {
                let (mul, shift) = (scalar(model, *mul, i), scalar(model, *shift, i));
                // Monotone in x, upward or downward by the sign of mul.
                let (a, b) = (scaled(x.0, mul, shift), scaled(x.1, mul, shift));
                (a.min(b), a.max(b))
            })
            .collect(),
        OpKind::Relu { x } => values[x.0].iter().map(|&r| wide((r.0.max(0), r.1.max(0)))).collect(),
        OpKind::Table { x, table } => {
            values[x.0].iter().map(|&x| table_range(model, *table, x)).collect()
        }
        OpKind::Argmax { x } => vec![(0, values[x.0].len() as i128 - 1)],
        OpKind::Concat { xs } => {
            xs.iter().flat_map(|x| values[x.0].iter().map(|&r| wide(r))).collect()
        }
        OpKind::Slice { x, start, len } => {
            values[x.0][*start..start + len].iter().map(|&r| wide(r)).collect()
        }
        OpKind::Append { cache, .. } | OpKind::Cluster { cache, .. } => {
            vec![(0, model.module.caches[cache.0].ty.tokens as i128)]
        }
        OpKind::Attend { cache, limit, mul, shift, frac, state, .. } => {
            let (ty, queries) = (&model.module.caches[cache.0].ty, values[limit.0].len());
            attention::attend_range(ty, queries, (*mul, *shift, *frac), *state)
        }
        OpKind::Merge { a, b, dim, .. } => attention::merge_range(&values[a.0], &values[b.0], *dim),
    }
}

/// Whether an op clamps its result to the type of the value that it defines.
pub fn clamps(kind: &OpKind) -> bool {
    matches!(kind, OpKind::Requant { .. } | OpKind::Attend { .. } | OpKind::Merge { .. })
}

/// The constant of a requantiser for element `i`.
fn scalar(model: &Model, s: Scalar, i: usize) -> i64 {
    match s {
        Scalar::Const(n) => n,
        Scalar::Param(p) => model.param(p)[i],
    }
}

/// (x*mul + 2^(shift-1)) >> shift.
fn scaled(x: i64, mul: i64, shift: i64) -> i128 {
    let half = if shift > 0 { 1i128 << (shift - 1) } else { 0 };
    (i128::from(x) * i128::from(mul) + half) >> shift
}

fn table_range(model: &Model, table: ParamId, x: Interval) -> Wide {
    let entries = &model.param(table)[(x.0 + 128) as usize..=(x.1 + 128) as usize];
    let (lo, hi) = entries.iter().fold((i64::MAX, i64::MIN), |r, &t| (r.0.min(t), r.1.max(t)));
    (i128::from(lo), i128::from(hi))
}

/// Range of each row's exact result of a matvec, `x` holding one interval per input column.
/// Exact for pq, bqq and int; sound for supermask (see the module's head).
pub fn matvec_range(model: &Model, w: WeightId, x: &[Interval]) -> Vec<Wide> {
    let ty = model.module.weights[w.0].ty;
    match model.weight(w) {
        WeightView::Pq(v) => pq_range(&v, x),
        WeightView::Bqq(v) => blocks::bqq_rows(&v, x),
        WeightView::Supermask(v) => {
            let far: Vec<Interval> =
                x.iter().map(|x| x.0.abs().max(x.1.abs())).map(|x| (-x, x)).collect();
            let inputs = MaskInputs::new(&far);
            let locked = matches!(ty, WeightType::Supermask { locked, .. } if locked > 0);
            (0..v.rows()).into_par_iter().map(|r| mask_range(&v, locked, r, &inputs)).collect()
        }
        WeightView::Int(v) => {
            let size = v.group().unwrap_or(v.cols());
            let groups = x.chunks(size).enumerate();
            groups.fold(vec![(0, 0); v.rows()], |sums, (g, x)| {
                let part = int_rows(&v, g * size, x, size).rows.into_iter().enumerate();
                let scaled = part.map(|(r, part)| times(v.scale(r, g), part));
                sums.into_iter().zip(scaled).map(|(s, t)| (s.0 + t.0, s.1 + t.1)).collect()
            })
        }
    }
}

fn pq_range(v: &PqView<'_>, x: &[Interval]) -> Vec<Wide> {
    // A component is a byte, and so is an input, so 64 bits hold the sums.
    let entry = |s: usize, j: usize| -> Wide {
        let terms = v.centroid_bytes(s, j).iter().zip(&x[s * v.sub()..]);
        let ends = terms.fold((0, 0), |sum: Interval, (&c, x)| {
            let (a, b) = (i64::from(c as i8) * x.0, i64::from(c as i8) * x.1);
            (sum.0 + a.min(b), sum.1 + a.max(b))
        });
        (ends.0.into(), ends.1.into())
    };
    // A table pays when its entries are used more than once; and a table larger than the codes could
    // be larger than memory.
    if v.rows() < v.k() {
        let row = |r| sum((0..v.parts()).map(|s| entry(s, v.code(r, s))));
        return (0..v.rows()).map(row).collect();
    }
    let entries = (0..v.parts() * v.k())
        .into_par_iter()
        .map(|i| entry(i / v.k(), i % v.k()))
        .collect::<Vec<_>>();
    pq_rows(v, &entries, v.parts()).rows
}

/// A row's sum of the largest magnitudes that its weights can have: their stored coats, or all of them
/// where the generator may lock them.
fn mask_range(v: &SupermaskView<'_>, locked: bool, r: usize, x: &MaskInputs) -> Wide {
    let mut sum = (0, 0);
    for group in 0..v.cols().div_ceil(64) {
        let all = bits_word(&[0xff; 8], 0, v.cols() - 64 * group);
        for coat in 0..v.coats() {
            let word = if locked { all } else { bits_word(v.bytes(coat, r), group, v.cols()) };
            x.add(group, word, 0, &mut sum);
        }
    }
    (sum.0.into(), sum.1.into())
}

/// Range of sum_i weights_i * x_i, exactly.
pub fn dot_range(weights: impl IntoIterator<Item = i64>, x: &[Interval]) -> Wide {
    sum(weights.into_iter().zip(x).map(|(w, x)| product(w, *x)))
}

fn product(w: i64, x: Interval) -> Wide {
    times(w, (x.0.into(), x.1.into()))
}

fn times(w: i64, x: Wide) -> Wide {
    let (a, b) = (i128::from(w) * x.0, i128::from(w) * x.1);
    (a.min(b), a.max(b))
}

fn sum(terms: impl Iterator<Item = Wide>) -> Wide {
    terms.fold((0, 0), |s, t| (s.0 + t.0, s.1 + t.1))
}
