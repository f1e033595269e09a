//! `merge %a, %b, dim=D, frac=F`: the attention over the tokens of two states together, from their means
//! and log-sum-exps alone (the merge of flash decoding; Context Memorization, arXiv 2605.18226).

use super::numbers::{exp2_neg, Normal, NOTHING, ONE};

/// Two states of rows `[D+1]`; the result is one, not clamped. Of each row, x is the state with the larger
/// log-sum-exp lx, that of `a` on a tie, and y the other: the weight of x is 1 and that of y w = 2^-(lx - ly),
/// 0 where y has no token. Each element is (x + w*y) / (1 + w), the log-sum-exp lx + log2(1 + w). Where neither
/// has a token the row is that of `a`. Fractional bits stay as they are.
pub fn merge(a: &[i64], b: &[i64], dim: usize) -> Vec<i128> {
    let rows = a.chunks_exact(dim + 1).zip(b.chunks_exact(dim + 1));
    rows.flat_map(|(a, b)| row(a, b, dim)).collect()
}

fn row(a: &[i64], b: &[i64], dim: usize) -> Vec<i128> {
    let (x, y) = if b[dim] > a[dim] { (b, a) } else { (a, b) };
    let (lx, ly) = (x[dim], y[dim]);
    // Where x has no token either, t is 1 and x comes out as it is.
    let w = if ly == NOTHING { 0 } else { exp2_neg(lx - ly) };
    let t = Normal::of(ONE + w);
    let element = |(&x, &y): (&i64, &i64)| {
        t.divide(i128::from(x) * i128::from(ONE) + i128::from(y) * i128::from(w), 0)
    };
    let mut row: Vec<i128> = x[..dim].iter().zip(y).map(element).collect();
    row.push(i128::from(lx + t.log2()));
    row
}
