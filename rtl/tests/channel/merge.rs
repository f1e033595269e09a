//! Merges of states of attention against plain integers, at the ends of what they take.

use crate::buffer::{wide, Bench};
use crate::shapes::{merging, Rng};
use pimc_rtl::isa::{VecOp, Vector};
use pimc_rtl::testing::merge;

/// Log-sum-exps in either order, equal, far apart, of no token on either side or both, at the ends of their
/// range; elements at the ends of theirs.
#[test]
fn merges_of_extremes() {
    let (least, most) = (i64::from(i32::MIN), i64::from(i32::MAX));
    let none = [(least, least), (least, 3), (3, least), (least + 1, least), (least, least + 1)];
    let ends = [(most, most), (most - 2047, most - 2048), (most, least + 1), (least + 1, most)];
    let near = [(5, 5), (0, 1), (1, 0), (-4096, 0), (77, -5000), (-9999, -1)];
    // The last distance at which something is left of a weight, and the first at which nothing is.
    let far = [(0, 18 << 12), ((20 << 12) - 1, 0), (0, 20 << 12), (20 << 12, 0), (1 << 30, -7)];
    let shapes = [(merging(), 32, 32), (wide(4), 32, 33), (wide(16), 9, 40)];
    for (mut shape, mean_bits, word_bits) in shapes {
        shape.buffer.word_bits = word_bits;
        shape.buffer.depth = 300;
        shape.isa.addr_bits = 9;
        shape.buffer.merge = Some(merge(mean_bits));
        let mut bench = Bench::new(shape, 9);
        let mut rng = Rng(3);
        for (n, (log_a, log_b)) in none.into_iter().chain(ends).chain(near).chain(far).enumerate() {
            let limit = 1i64 << (mean_bits - 1);
            let ends = [-limit, limit - 1, 0, -1, 1];
            let mut pairs: Vec<_> = ends.iter().flat_map(|x| ends.map(|y| (*x, y))).collect();
            pairs.extend((0..5).map(|_| (rng.signed(mean_bits), rng.signed(mean_bits))));
            pairs.push((log_a, log_b));
            for (i, (x, y)) in pairs.iter().enumerate() {
                bench.host_write(40 + i, *x);
                bench.host_write(101 + i, *y);
            }
            let (op, len) = (VecOp::Merge, pairs.len() as u32);
            let (a_step, b_step, bank, last) = (1, 1, 0, 0);
            let v = Vector { op, a: 40, a_step, b: 101, b_step, d: 203, len, bank, last };
            bench.run_both(v);
            bench.check(&format!("{mean_bits} bits, {n}: {log_a} and {log_b}"));
        }
    }
}
