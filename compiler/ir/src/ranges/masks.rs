//! Sums over the set bits of mask words, 64 inputs to a word.

use super::Interval;

/// Bits 64q .. of a row of `len` bits stored eight to a byte, the first one lowest; zero behind the
/// row's end.
#[inline(always)]
pub fn bits_word(bytes: &[u8], q: usize, len: usize) -> u64 {
    let bytes = bytes.get(8 * q..).unwrap_or(&[]);
    let word = match bytes.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => bytes.iter().rev().fold(0, |word, &b| word << 8 | u64::from(b)),
    };
    match len.saturating_sub(64 * q) {
        0 => 0,
        left @ 1..64 => word & (u64::MAX >> (64 - left)),
        _ => word,
    }
}

/// Intervals of inputs, for sums over those whose bits are set.
pub struct MaskInputs {
    x: Vec<Interval>,
    /// Per group of 64 inputs: the interval that all of them have, if they do.
    same: Vec<Option<Interval>>,
}

impl MaskInputs {
    /// Inputs of at most 32 bits.
    pub fn new(x: &[Interval]) -> MaskInputs {
        let same = |x: &[Interval]| x.iter().all(|&other| other == x[0]).then_some(x[0]);
        MaskInputs { x: x.to_vec(), same: x.chunks(64).map(same).collect() }
    }

    /// Adds the inputs of group `group` whose bits are set in `plus`, and takes away those of `minus`.
    /// Bits behind the last input are zero.
    #[inline(always)]
    pub fn add(&self, group: usize, plus: u64, minus: u64, sum: &mut Interval) {
        if let Some((lo, hi)) = self.same[group] {
            let (p, m) = (i64::from(plus.count_ones()), i64::from(minus.count_ones()));
            *sum = (sum.0 + p * lo - m * hi, sum.1 + p * hi - m * lo);
            return;
        }
        let x = &self.x[64 * group..];
        each(plus, |i| *sum = (sum.0 + x[i].0, sum.1 + x[i].1));
        each(minus, |i| *sum = (sum.0 - x[i].1, sum.1 - x[i].0));
    }
}

fn each(mut word: u64, mut of: impl FnMut(usize)) {
    while word != 0 {
        of(word.trailing_zeros() as usize);
        word &= word - 1;
    }
}
