//! What an element of merged states can be, for every weight that there is.

use pimc_ir::ranges::analyse;
use pimc_ir::softmax_tables::REC;
use pimc_ir::testing::ModelBuilder;

/// The quotient of (x*2^18 + y*w) by 2^18 + w, by the language's page.
fn merged(x: i64, y: i64, w: i64) -> i128 {
    let t = (1i64 << 18) + w;
    let e = t.ilog2();
    let m16 = t >> (e - 15);
    let (a, b) = ((m16 >> 9 & 63) as usize, m16 & 511);
    let r = REC[a] - (((REC[a] - REC[a + 1]) * b + 256) >> 9);
    let sum = (i128::from(x) << 18) + i128::from(y) * i128::from(w);
    (sum * i128::from(r) + (1 << (15 + e))) >> (16 + e)
}

#[test]
fn no_weight_leaves_the_range() {
    let text = "pimc 1\ntarget \"hbm3-pim\"\nfunc @main(%a: i32<2>, %b: i32<2>) -> i32<2> {\n  \
                %m = merge %a, %b, dim=1, frac=0 : i32<2>\n  return %m\n}\n";
    let model = ModelBuilder::new(text).build().unwrap_or_else(|d| panic!("{}", d.render(false)));
    for ((lo, hi), log_a, log_b) in [
        ((-128, 127), (0, 10), (-5, 4)),
        ((-384, 381), (7, 7), (8, 9)),
        ((-(1 << 24), 5), (-9, -9), (-8, -8)),
        ((3, 1 << 20), (0, 0), (0, 0)),
        ((0, 0), (i64::from(i32::MIN), 0), (i64::from(i32::MIN), 3)),
    ] {
        let ranges = analyse(&model, &[vec![(lo, hi), log_a], vec![(lo, hi), log_b]]);
        let m = &ranges[2];
        for w in 0..=1i64 << 18 {
            for (x, y) in [(lo, lo), (hi, hi), (lo, hi), (hi, lo)] {
                let z = merged(x, y, w);
                let held = i128::from(m[0].0) <= z && z <= i128::from(m[0].1);
                assert!(held, "{x} and {y} of weight {w}: {z} outside of {:?}", m[0]);
            }
        }
        // An octave at most is added to the larger one.
        assert_eq!(m[1], (log_a.0.max(log_b.0), log_a.1.max(log_b.1) + 4096));
        // It is no wider than its share of 2^-12 asks for.
        assert!(m[0].1 - hi <= (hi.max(0) >> 12) + 1 + (-hi).max(0), "{:?}", m[0]);
    }
}
