//! `attend @kv, %q, %limit, mul=M, shift=S, frac=F`: softmax attention, a row for each query and head.

use super::cache::CacheState;
use super::numbers::{exp2_neg, octaves, Normal, NOTHING};
use pimc_ir::Side;

/// The constants of an `attend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// From a score to 1/4096 octaves: times this,
    pub mul: u32,
    /// shifted right by this.
    pub shift: u32,
    /// Fractional bits of the result.
    pub frac: u32,
    /// The log-sum-exp stands behind the elements of every row.
    pub state: bool,
}

/// Every query i (`q` is `[T][H][D]`) and head h, over the tokens of position below `limit[i]` of key/value
/// head h / (H/G): with s_p = q . key_p and m the largest of them,
/// w_p = 2^-((m - s_p) in octaves), and the result is sum_p w_p * value_p / sum_p w_p with `frac`
/// fractional bits, not clamped; `[T][H][D]`. A row that sees no token is 0.
///
/// With `state` rows are `[D+1]`, the last being the log-sum-exp of the scores in octaves: m plus log2 of
/// the sum of weights; -2^31 where there is no token.
pub fn attend(cache: &CacheState, q: &[i64], limit: &[i64], c: &Softmax) -> Vec<i128> {
    let ty = cache.ty();
    let width = ty.dim + usize::from(c.state);
    let mut out = vec![0; limit.len() * ty.heads * width];
    let visible = |limit: i64| usize::try_from(limit).unwrap_or(0).min(cache.tokens());
    let most = limit.iter().map(|&l| visible(l)).max().unwrap_or(0);
    for g in 0..ty.kv_heads {
        let [keys, values] = Side::BOTH.map(|side| cache.read(side, g, most));
        for (i, &limit) in limit.iter().enumerate() {
            let seen = visible(limit) * ty.dim;
            for h in g * ty.group()..(g + 1) * ty.group() {
                let at = i * ty.heads + h;
                let q = &q[at * ty.dim..][..ty.dim];
                let row = row(q, &keys[..seen], &values[..seen], c);
                out[at * width..][..width].copy_from_slice(&row);
            }
        }
    }
    out
}

/// One query and head over the keys and values of the tokens that it sees, `[n][D]`.
fn row(q: &[i64], keys: &[i8], values: &[i8], c: &Softmax) -> Vec<i128> {
    let dim = q.len();
    let dot = |k: &[i8]| -> i64 { k.iter().zip(q).map(|(&k, &q)| i64::from(k) * q).sum() };
    let scores: Vec<i64> = keys.chunks_exact(dim).map(dot).collect();
    let Some(&most) = scores.iter().max() else {
        let mut row = vec![0; dim];
        row.extend(c.state.then_some(i128::from(NOTHING)));
        return row;
    };
    let (mut sum, mut o) = (0i64, vec![0i64; dim]);
    for (&s, value) in scores.iter().zip(values.chunks_exact(dim)) {
        let weight = exp2_neg(octaves(most - s, c.mul, c.shift));
        if weight == 0 {
            continue;
        }
        sum += weight;
        o.iter_mut().zip(value).for_each(|(o, &v)| *o += weight * i64::from(v));
    }
    let l = Normal::of(sum);
    let mut row: Vec<i128> = o.iter().map(|&o| l.divide(o.into(), c.frac)).collect();
    row.extend(c.state.then(|| i128::from(octaves(most, c.mul, c.shift) + l.log2())));
    row
}
