//! The numbers of the integer softmax. **Normative.** Exponents and logarithms are in octaves (base 2) with
//! 12 fractional bits; weights have 18 (`WEIGHT_BITS`), so that 1 is 262144. Each function looks up a table
//! of `pimc_ir::softmax_tables` at 64 steps of an octave and goes in a straight line between two entries.

use pimc_ir::softmax_tables::{EXP, LOG, REC, WEIGHT_BITS};

/// A weight of 1.
pub const ONE: i64 = 1 << WEIGHT_BITS;

/// The log-sum-exp of no token at all.
pub const NOTHING: i64 = i32::MIN as i64;

/// 2^-y of y >= 0 in octaves, as a weight: 0..=2^18.
pub fn exp2_neg(y: i64) -> i64 {
    let (i, f) = (y >> 12, y & 4095);
    // The largest part of an octave is one: rounded, nothing is left of it here.
    if i > i64::from(WEIGHT_BITS) + 1 {
        return 0;
    }
    let (a, b) = ((f >> 6) as usize, f & 63);
    let e = EXP[a] - (((EXP[a] - EXP[a + 1]) * b + 32) >> 6);
    (e + ((1i64 << i) >> 1)) >> i
}

/// A sum of weights l >= 1, brought to 16 bits by a shift that truncates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normal {
    /// floor(log2 l).
    pub e: u32,
    /// l >> (e - 15): 2^15..2^16.
    pub m16: i64,
}

impl Normal {
    /// Of a sum with a weight of [`ONE`] in it.
    pub fn of(l: i64) -> Normal {
        let e = l.max(ONE).ilog2();
        Normal { e, m16: l >> (e - 15) }
    }

    /// Step of the octave, and place within the step.
    fn step(self) -> (usize, i64) {
        ((self.m16 >> 9 & 63) as usize, self.m16 & 511)
    }

    /// 2^31 / m16: 2^15..=2^16.
    pub fn reciprocal(self) -> i64 {
        let (a, b) = self.step();
        REC[a] - (((REC[a] - REC[a + 1]) * b + 256) >> 9)
    }

    /// log2 of the sum in octaves: 0 of one alone.
    pub fn log2(self) -> i64 {
        let (a, b) = self.step();
        (i64::from(self.e - WEIGHT_BITS) << 12) + LOG[a] + (((LOG[a + 1] - LOG[a]) * b + 256) >> 9)
    }

    /// o / l with `frac` fractional bits, half upward.
    pub fn divide(self, o: i128, frac: u32) -> i128 {
        let s = 16 + self.e - frac;
        (o * i128::from(self.reciprocal()) + (1 << (s - 1))) >> s
    }
}

/// A score, or a difference of two, in octaves: `(s*mul + 2^(shift-1)) >> shift`, where a shift of 0 adds
/// nothing.
pub fn octaves(s: i64, mul: u32, shift: u32) -> i64 {
    let half = if shift == 0 { 0 } else { 1i64 << (shift - 1) };
    (s * i64::from(mul) + half) >> shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_exact() {
        assert_eq!(
            [0, 4096, 18 << 12, 19 << 12, 20 << 12, i64::MAX].map(exp2_neg),
            [1 << 18, 1 << 17, 1, 1, 0, 0]
        );
        let one = Normal::of(1 << 18);
        assert_eq!((one.reciprocal(), one.log2(), one.divide(-128 << 18, 8)), (65536, 0, -32768));
        let two = Normal::of(1 << 19);
        assert_eq!((two.e, two.m16, two.log2()), (19, 1 << 15, 4096));
        let most = Normal::of((1 << 38) - 1);
        assert_eq!((most.e, most.m16, most.log2()), (37, 65535, 20 << 12));
    }

    /// Each against floating point, over all of its range.
    #[test]
    fn errors_are_those_of_straight_lines_and_rounding() {
        let mut worst = [0f64; 3];
        for y in 0..20i64 << 12 {
            let exact = 262_144.0 * (-(y as f64) / 4096.0).exp2();
            worst[0] = worst[0].max((exp2_neg(y) as f64 - exact).abs());
        }
        for m16 in 1i64 << 15..1 << 16 {
            let n = Normal { e: WEIGHT_BITS, m16 };
            let relative = n.reciprocal() as f64 * m16 as f64 / f64::from(1u32 << 31) - 1.0;
            worst[1] = worst[1].max(relative.abs());
            let exact = 4096.0 * (m16 as f64 / 32768.0).log2();
            worst[2] = worst[2].max((n.log2() as f64 - exact).abs());
        }
        assert!(worst[0] < 4.3, "2^-y is off by {} of 262144", worst[0]);
        assert!(worst[1] < 1e-4, "the reciprocal is off by {} of itself", worst[1]);
        assert!(worst[2] < 1.2, "the logarithm is off by {} of 4096 in an octave", worst[2]);
    }
}
