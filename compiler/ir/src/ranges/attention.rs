//! What attention can give, whatever is in the cache.

use super::{Interval, Wide};
use crate::types::CacheType;

/// How far beyond the values' range an element of attention can be, in units of 2^-frac: the reciprocal
/// is at most 2^-12 too large (its straight lines, the 16 bits of its argument, and rounding), and the
/// result is rounded once.
fn margin(frac: u32) -> i128 {
    ((128i128 << frac) >> 12) + 1
}

/// An element of the result of `attend` before its clamp: a mean of values of i8, of `frac` fractional
/// bits.
pub fn mean_range(frac: u32) -> Wide {
    (-(128i128 << frac) - margin(frac), (127i128 << frac) + margin(frac))
}

/// The log-sum-exp of a row that sees a token: the largest score, and at most `tokens` as large.
/// `mul` and `shift` are in their ranges.
pub fn score_bounds(ty: &CacheType, mul: u32, shift: u32) -> Wide {
    // (-128)^2 for each element, and 127 * -128.
    let (lo, hi) = (-(16256 * ty.dim as i128), 16384 * ty.dim as i128);
    let half = if shift > 0 { 1i128 << (shift - 1) } else { 0 };
    let scaled = |m: i128| (m * i128::from(mul) + half) >> shift;
    // log2 of a sum is below the number of its bits.
    let most = i128::from(usize::BITS - ty.tokens.leading_zeros()) << 12;
    (scaled(lo), scaled(hi) + most)
}

/// Every row of `dim` means and, with `state`, its log-sum-exp.
pub(super) fn attend_range(
    ty: &CacheType,
    queries: usize,
    (mul, shift, frac): (u32, u32, u32),
    state: bool,
) -> Vec<Wide> {
    // Without a visible token a row is 0, which every range here holds, and its log-sum-exp the least.
    let nothing = i128::from(i32::MIN);
    let score = score_bounds(ty, mul, shift);
    let row = std::iter::repeat_n(mean_range(frac), ty.dim)
        .chain(state.then_some((nothing.min(score.0), score.1)));
    let row: Vec<Wide> = row.collect();
    row.iter().copied().cycle().take(row.len() * queries * ty.heads).collect()
}

/// Rows of two states merged. An element is a mean of two, times a reciprocal that is at most 2^-12 too
/// large; the logarithm of both weights is that of the larger one and at most an octave.
pub(super) fn merge_range(a: &[Interval], b: &[Interval], dim: usize) -> Vec<Wide> {
    let element = |i: usize, (&a, &b): (&Interval, &Interval)| -> Wide {
        let (lo, hi) = (i128::from(a.0.min(b.0)), i128::from(a.1.max(b.1)));
        if i % (dim + 1) == dim {
            return (a.0.max(b.0).into(), hi + 4096);
        }
        let (lo, hi) = (lo.min(0), hi.max(0));
        (lo + (lo >> 12) - 1, hi + (hi >> 12) + 1)
    };
    a.iter().zip(b).enumerate().map(|(i, pair)| element(i, pair)).collect()
}

#[cfg(test)]
mod tests {
    use crate::softmax_tables::REC;

    /// The claim about the reciprocal, for every argument that it can have: a sum l is below m16 + 1 of
    /// its units, so r * (m16 + 1) is the most that l * r comes to.
    #[test]
    fn the_reciprocal_is_nowhere_much_too_large() {
        for m16 in 1i64 << 15..1 << 16 {
            let (a, b) = ((m16 >> 9 & 63) as usize, m16 & 511);
            let r = REC[a] - (((REC[a] - REC[a + 1]) * b + 256) >> 9);
            let one = r * (m16 + 1);
            assert!(one <= (1 << 31) + (1 << 19), "{m16}: {one}");
        }
    }
}
