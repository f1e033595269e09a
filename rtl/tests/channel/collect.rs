//! The buffer unit between the banks and vector memory: results that are collected, planes of later
//! groups.

use crate::buffer::{lengths, wide, wrap, Bench, LANES};
use crate::shapes::{everything, Rng};
use pimc_rtl::isa::{VecOp, Vector};
use pimc_rtl::shape::BufferShape;
use pimc_rtl::timing::COLLECT_CLOCKS;

fn collecting(op: VecOp, a: u32, b: u32, d: u32, len: u32) -> Vector {
    Vector { op, a, a_step: 1, b, b_step: 1, d, len, bank: 0, last: 0 }
}

impl Bench {
    /// Starts a collection and shows it the rows of all banks, `most` clocks apart at most, as fast as
    /// they may come at the least; then gives it the clocks that the scheduler gives the last row.
    fn collect(&mut self, v: Vector, seed: u64, most: u32) {
        let mut rng = Rng(seed);
        let (banks, bits) = (self.shape.banks, self.shape.bank.result_bits);
        let rows = match v.op {
            VecOp::Collect => v.len.div_ceil(banks),
            _ => v.len * v.b,
        };
        self.run_for(v, 2);
        for n in 0..rows {
            let results: Vec<i64> = (0..banks).map(|_| rng.signed(bits)).collect();
            for (pin, x) in self.uut.results.iter_mut().zip(&results) {
                pin.set(i128::from(*x));
            }
            self.uut.row_valid.next = true;
            self.step();
            self.uut.row_valid.next = false;
            // Between rows the banks show anything.
            for pin in &mut self.uut.results {
                pin.set(i128::from(rng.signed(bits)));
            }
            let gap = if v.op == VecOp::CollectSum && v.b > 1 && v.a < 4 { 3 } else { 0 };
            for _ in 0..gap + rng.below(most) {
                self.step();
            }
            if v.op == VecOp::Collect {
                for (i, x) in (n * banks..v.len).zip(results) {
                    self.memory[(v.d + i) as usize] = x;
                }
                continue;
            }
            let at = (v.d + n / (v.a * v.b) * v.a + n % v.a) as usize;
            let before = if n / v.a % v.b == 0 { 0 } else { self.memory[at] };
            let sum = i128::from(before) + results.iter().map(|x| i128::from(*x)).sum::<i128>();
            self.memory[at] = wrap(sum, self.shape.buffer.word_bits);
        }
        // The last row came in the clock before this one.
        for _ in 1..COLLECT_CLOCKS {
            self.step();
        }
    }
}

#[test]
fn results_are_collected_side_by_side_and_added_up() {
    for lanes in LANES {
        let mut bench = Bench::new(wide(lanes), 21);
        for (n, len) in lengths(lanes).enumerate() {
            let d = 3 + n as u32;
            bench.collect(collecting(VecOp::Collect, 0, 0, d, len), u64::from(len), 3);
            // At once, in place of an operation that needs what came last.
            let copy = Vector { op: VecOp::Copy, a: d, ..collecting(VecOp::Copy, 0, 0, 400, len) };
            bench.run_both(copy);
        }
        bench.check(&format!("{lanes} lanes side by side"));
        for (a, b, len) in [(1, 1, 1), (5, 1, 5), (1, 4, 3), (3, 2, 9), (7, 3, 21), (16, 2, 64)] {
            for most in [1, 5] {
                bench.collect(collecting(VecOp::CollectSum, a, b, 11, len), 7, most);
                let copy =
                    Vector { op: VecOp::Copy, a: 11, ..collecting(VecOp::Copy, 0, 0, 300, len) };
                bench.run_both(copy);
                bench.check(&format!("{lanes} lanes, {b} passes of {a}, {len}"));
            }
        }
    }
}

/// Rows that nobody collects, and those of another stream, leave memory alone.
#[test]
fn a_collection_ends_where_another_operation_begins() {
    let mut bench = Bench::new(everything(), 22);
    bench.collect(collecting(VecOp::Collect, 0, 0, 40, 33), 1, 2);
    bench.run_both(Vector { op: VecOp::Relu, a: 100, ..collecting(VecOp::Relu, 0, 0, 200, 20) });
    bench.uut.row_valid.next = true;
    bench.step();
    bench.uut.row_valid.next = false;
    for _ in 0..4 {
        bench.step();
    }
    bench.check("a row after the end");
}

/// The program's end one clock earlier would lose the last row.
#[test]
fn a_collection_has_the_clocks_that_it_needs() {
    for (op, lost) in [(VecOp::CollectSum, true), (VecOp::Collect, false)] {
        let mut bench = Bench::new(everything(), 23);
        let at = 60;
        bench.host_write(at, 77);
        bench.uut.busy.next = true;
        bench.run_for(collecting(op, 1, 1, at as u32, 1), 2);
        for pin in &mut bench.uut.results {
            pin.set(5);
        }
        bench.uut.row_valid.next = true;
        bench.step();
        bench.uut.row_valid.next = false;
        // One clock less than the two that the scheduler gives: `busy` falls in the clock after the end's
        // issue.
        assert_eq!(COLLECT_CLOCKS, 2);
        bench.step();
        bench.uut.busy.next = false;
        bench.step();
        assert_eq!(bench.host_read(at) == 77, lost, "{op:?}");
    }
}

#[test]
fn planes_may_begin_at_a_later_group() {
    let mut bench = Bench::new(everything(), 8);
    let v = Vector { op: VecOp::LoadPlanes, a: 5, ..collecting(VecOp::LoadPlanes, 0, 0, 1, 70) };
    bench.load(Vector { b_step: 0, ..v });
    let groups: Vec<i128> = bench.planes.keys().map(|at| at.0).collect();
    assert_eq!((groups[0], *groups.last().unwrap()), (1, 2));
    let low: u64 = (0..64).map(|i| (bench.memory[5 + i] as u64 & 1) << i).sum();
    assert_eq!(bench.planes[&(1, 0)], u128::from(low));
}

#[test]
fn a_unit_of_few_operations_still_does_them() {
    let mut shape = everything();
    shape.buffer = BufferShape {
        ops: vec![VecOp::Collect, VecOp::LoadPlanes],
        requant: None,
        mul_bits: 0,
        merge: None,
        ..shape.buffer
    };
    let mut bench = Bench::new(shape.clone(), 12);
    bench.collect(collecting(VecOp::Collect, 0, 0, 30, 79), 5, 1);
    bench.load(Vector {
        op: VecOp::LoadPlanes,
        a: 0,
        a_step: 1,
        b: 0,
        b_step: 0,
        d: 0,
        len: 65,
        bank: 0,
        last: 0,
    });
    assert_eq!(bench.planes.len(), 18);
    bench.check("few operations");
}
