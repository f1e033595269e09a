//! The elementwise and structural ops.

use pimc_ir::IntTy;

/// `add %a, %b`: `y[i] = a[i] + b[i]`. Both have the same number of elements.
pub fn add(a: &[i64], b: &[i64]) -> Vec<i128> {
    a.iter().zip(b).map(|(&a, &b)| i128::from(a) + i128::from(b)).collect()
}

/// `requant`, one element: `clamp((x*mul + 2^(shift-1)) >> shift)` to the values of `to`, with an
/// arithmetic shift, so a tie goes towards plus infinity. Shift 0 adds nothing. `shift` is 0..=62.
pub fn requant(x: i64, mul: i64, shift: u32, to: IntTy) -> i128 {
    let half = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
    let scaled = (i128::from(x) * i128::from(mul) + half) >> shift;
    scaled.clamp(to.min().into(), to.max().into())
}

/// `relu %x`: `y[i] = max(x[i], 0)`.
pub fn relu(x: &[i64]) -> Vec<i128> {
    x.iter().map(|&x| i128::from(x.max(0))).collect()
}

/// `table %x, @t`: `y[i] = t[x[i] + 128]`; every x is of type i8 and t has 256 entries, the first
/// for x = -128.
pub fn table(x: &[i64], t: &[i64]) -> Vec<i128> {
    x.iter().map(|&x| i128::from(t[(x + 128) as usize])).collect()
}

/// `argmax %x`: the index of the largest element, the lowest such index on a tie.
pub fn argmax(x: &[i64]) -> i128 {
    let mut best = 0;
    for (i, v) in x.iter().enumerate() {
        if *v > x[best] {
            best = i;
        }
    }
    best as i128
}

/// `concat %a, %b, ..`: the vectors end to end, in the order given.
pub fn concat<'a>(xs: impl IntoIterator<Item = &'a [i64]>) -> Vec<i128> {
    xs.into_iter().flatten().map(|&x| i128::from(x)).collect()
}

/// `slice %x, start=S, len=L`: elements `S..S+L`.
pub fn slice(x: &[i64], start: usize, len: usize) -> Vec<i128> {
    x[start..start + len].iter().map(|&x| i128::from(x)).collect()
}
