//! Constants of the requantiser: real ratios as `mul / 2^shift`.

/// Significant bits of `mul`: the ratio is met within 2^-16, a five-hundredth of a step at 127.
pub const MUL_BITS: u32 = 16;

/// Largest shift that the language takes.
pub const MAX_SHIFT: u32 = 62;

/// `mul` and `shift` for `ratios`, with one shift for all: the largest ratio gets [`MUL_BITS`]
/// significant bits; `None` if it is not positive and finite, too large for an i32 multiplier, or too
/// small for a shift of 62.
///
/// requant(x) = clamp((x*mul + 2^(shift-1)) >> shift), so mul/2^shift stands for the ratio.
pub fn requant_constants(ratios: &[f64]) -> Option<(Vec<i32>, u32)> {
    let largest = ratios.iter().copied().fold(0.0, f64::max);
    let valid = |r: &f64| r.is_finite() && *r >= 0.0;
    if largest <= 0.0 || !ratios.iter().all(valid) {
        return None;
    }
    // largest = f * 2^e with f in [1, 2).
    let mut exponent = largest.log2().floor() as i32;
    if f64::from(exponent).exp2() > largest {
        exponent -= 1;
    }
    let mut shift = MUL_BITS as i32 - 1 - exponent;
    if (largest * f64::from(shift).exp2()).round() >= f64::from(1u32 << MUL_BITS) {
        shift -= 1;
    }
    // A ratio beyond 2^15 needs no fraction; one below 2^-46 loses significant bits.
    let shift = shift.clamp(0, MAX_SHIFT as i32);
    let scale = f64::from(shift).exp2();
    let muls: Vec<f64> = ratios.iter().map(|r| (r * scale).round()).collect();
    let fits = muls.iter().all(|&m| m <= f64::from(i32::MAX));
    let some = muls.iter().any(|&m| m > 0.0);
    (fits && some).then(|| (muls.into_iter().map(|m| m as i32).collect(), shift as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_met() {
        for ratio in [1.0, 0.5, 0.999_999_9, 1e-9, 3.7e-4, 12.5, 40_000.0, 2e9, 1.0 / 3.0] {
            let (mul, shift) = requant_constants(&[ratio]).unwrap();
            let got = f64::from(mul[0]) / f64::from(shift).exp2();
            assert!((got / ratio - 1.0).abs() <= 2f64.powi(-16), "{ratio}: {mul:?} {shift}");
            assert!(ratio > 60_000.0 || mul[0] < 1 << MUL_BITS);
            assert!(shift <= MAX_SHIFT);
        }
    }

    #[test]
    fn powers_of_two_are_exact_and_small() {
        assert_eq!(requant_constants(&[1.0]), Some((vec![1 << 15], 15)));
        assert_eq!(requant_constants(&[0.25]), Some((vec![1 << 15], 17)));
    }

    #[test]
    fn rows_share_the_shift() {
        let (mul, shift) = requant_constants(&[0.01, 0.0025, 0.0]).unwrap();
        assert!((f64::from(mul[0]) / f64::from(mul[1]) - 4.0).abs() < 1e-3);
        assert_eq!((mul[2], shift), (0, 22));
    }

    #[test]
    fn impossible_ratios_have_none() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e10, 1e-300] {
            assert_eq!(requant_constants(&[bad]), None, "{bad}");
        }
    }
}
