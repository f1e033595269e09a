//! The tables of the integer softmax: powers of two, reciprocals and logarithms, each at 64 steps of an
//! octave and the end of it. **Normative**: `pimc-golden` computes with them and so does the hardware,
//! both with a straight line between two entries (`docs/ops.md`, attend).

/// Fractional bits of a weight: the largest one is 2^15.
pub const WEIGHT_BITS: u32 = 15;

/// `EXP[a] = round(2^WEIGHT_BITS * 2^(-a/64))`.
pub const EXP: [i64; 65] = [
    32_768, 32_415, 32_066, 31_720, 31_379, 31_041, 30_706, 30_376, 30_048, 29_725, 29_405, 29_088,
    28_774, 28_464, 28_158, 27_855, 27_554, 27_258, 26_964, 26_674, 26_386, 26_102, 25_821, 25_543,
    25_268, 24_995, 24_726, 24_460, 24_196, 23_936, 23_678, 23_423, 23_170, 22_921, 22_674, 22_430,
    22_188, 21_949, 21_713, 21_479, 21_247, 21_019, 20_792, 20_568, 20_347, 20_127, 19_911, 19_696,
    19_484, 19_274, 19_066, 18_861, 18_658, 18_457, 18_258, 18_061, 17_867, 17_674, 17_484, 17_296,
    17_109, 16_925, 16_743, 16_562, 16_384,
];

/// `REC[a] = round(2^31 / (2^15 + 512*a))`: the reciprocal of a number of 16 bits, 2^31 being one.
pub const REC: [i64; 65] = [
    65_536, 64_528, 63_550, 62_602, 61_681, 60_787, 59_919, 59_075, 58_254, 57_456, 56_680, 55_924,
    55_188, 54_471, 53_773, 53_092, 52_429, 51_782, 51_150, 50_534, 49_932, 49_345, 48_771, 48_210,
    47_663, 47_127, 46_603, 46_091, 45_590, 45_100, 44_620, 44_151, 43_691, 43_240, 42_799, 42_367,
    41_943, 41_528, 41_121, 40_721, 40_330, 39_946, 39_569, 39_199, 38_836, 38_480, 38_130, 37_787,
    37_449, 37_118, 36_792, 36_472, 36_158, 35_849, 35_545, 35_246, 34_953, 34_664, 34_380, 34_100,
    33_825, 33_554, 33_288, 33_026, 32_768,
];

/// `LOG[a] = round(4096 * log2(1 + a/64))`.
pub const LOG: [i64; 65] = [
    0, 92, 182, 271, 358, 445, 530, 613, 696, 778, 858, 937, 1016, 1093, 1169, 1244, 1319, 1392,
    1465, 1536, 1607, 1677, 1746, 1814, 1882, 1949, 2015, 2080, 2145, 2208, 2272, 2334, 2396, 2457,
    2518, 2578, 2637, 2696, 2754, 2812, 2869, 2926, 2982, 3037, 3092, 3146, 3200, 3254, 3307, 3359,
    3412, 3463, 3514, 3565, 3615, 3665, 3715, 3764, 3812, 3861, 3908, 3956, 4003, 4050, 4096,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out in floating point. No value lies so near to a half that 2^-20 would turn it.
    #[test]
    fn tables_are_what_their_formulas_say() {
        let rounded = |x: f64| {
            assert!(((x - x.floor()) - 0.5).abs() > 1e-6, "{x} could be rounded either way");
            x.round() as i64
        };
        for a in 0..=64 {
            let part = a as f64 / 64.0;
            assert_eq!(EXP[a], rounded((f64::from(WEIGHT_BITS) - part).exp2()), "EXP[{a}]");
            let reciprocal = f64::from(1u32 << 31) / (32768.0 + 512.0 * a as f64);
            assert_eq!(REC[a], rounded(reciprocal), "REC[{a}]");
            assert_eq!(LOG[a], rounded(4096.0 * (1.0 + part).log2()), "LOG[{a}]");
        }
    }
}
