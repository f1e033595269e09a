//! The buffer unit: every operation against plain integers, its timing, and what leaves to the
//! banks.

use crate::shapes::{everything, Rng};
use pimc_rtl::buffer_unit::BufferUnit;
use pimc_rtl::hdl::{clock, settle, Inst};
use pimc_rtl::isa::{VecOp, Vector};
use pimc_rtl::shape::{BufferShape, ChannelShape};
use pimc_rtl::timing::vec_clocks;
use std::collections::BTreeMap;

/// A buffer unit between a host and modelled banks.
struct Bench {
    shape: ChannelShape,
    uut: Inst<BufferUnit>,
    /// Results and counts of ones by matrix row.
    results: Vec<(i64, i64)>,
    /// Vector memory, as it should be.
    memory: Vec<i64>,
    /// What the unit loaded into the banks: words by address, planes by (group, plane).
    bytes: BTreeMap<i128, u64>,
    planes: BTreeMap<(i128, i128), u64>,
}

impl Bench {
    fn new(shape: ChannelShape, seed: u64) -> Bench {
        let mut rng = Rng(seed);
        let uut = Inst::new(BufferUnit::new(&shape));
        let bank = &shape.bank;
        let rows = 5 * shape.banks;
        let results = (0..rows)
            .map(|_| (rng.signed(bank.result_bits), i64::from(rng.below(1 << 8))))
            .collect();
        let memory = (0..shape.buffer.depth).map(|_| rng.signed(shape.buffer.word_bits)).collect();
        let mut bench =
            Bench { uut, results, memory, bytes: BTreeMap::new(), planes: BTreeMap::new(), shape };
        for at in 0..bench.memory.len() {
            bench.host_write(at, bench.memory[at]);
        }
        bench
    }

    fn host_write(&mut self, at: usize, x: i64) {
        self.memory[at] = x;
        self.uut.host_we.next = true;
        self.uut.host_addr.set(at as i128);
        self.uut.host_wdata.set(i128::from(x));
        clock(&mut self.uut);
        self.uut.host_we.next = false;
    }

    fn host_read(&mut self, at: usize) -> i64 {
        self.uut.host_addr.set(at as i128);
        clock(&mut self.uut);
        self.uut.host_rdata.get() as i64
    }

    /// One clock with the banks' memories answering.
    fn step(&mut self) {
        settle(&mut self.uut);
        let load = self.uut.load_data.get() as u64;
        if self.uut.byte_we.first().is_some_and(|we| we.val()) {
            self.bytes.insert(self.uut.byte_addr[0].get(), load);
        }
        if self.uut.plane_we.first().is_some_and(|we| we.val()) {
            let at = (self.uut.plane_group[0].get(), self.uut.plane[0].get());
            self.planes.insert(at, load);
        }
        let index = self.uut.drain_index.get() as usize;
        clock(&mut self.uut);
        let banks = self.shape.banks as usize;
        for bank in 0..banks {
            let row = self.results.get(index * banks + bank).copied().unwrap_or((0, 0));
            self.uut.results[bank].set(i128::from(row.0));
            if let Some(ones) = self.uut.ones.get_mut(bank) {
                ones.set(i128::from(row.1));
            }
        }
    }

    /// Runs an operation for exactly the clocks that the scheduler gives it.
    fn run(&mut self, v: Vector) {
        self.uut.busy.next = true;
        self.uut.start.next = true;
        self.uut.op.set(i128::from(v.op.code()));
        self.uut.a.set(i128::from(v.a));
        self.uut.a_step.set(i128::from(v.a_step));
        self.uut.b.set(i128::from(v.b));
        self.uut.b_step.set(i128::from(v.b_step));
        self.uut.d.set(i128::from(v.d));
        self.uut.len_less_1.set(i128::from(v.len - 1));
        for _ in 0..vec_clocks(&v, &self.shape) {
            self.step();
            self.uut.start.next = false;
        }
    }

    /// Compares the whole memory through the host port.
    fn check(&mut self, what: &str) {
        self.uut.busy.next = false;
        for at in 0..self.memory.len() {
            assert_eq!(self.host_read(at), self.memory[at], "{what}: word {at}");
        }
    }
}

/// The low `bits` of `x`, signed.
fn wrap(x: i128, bits: u32) -> i64 {
    ((x << (128 - bits)) >> (128 - bits)) as i64
}

/// What an operation does to vector memory, from the words of its definition.
fn model(v: Vector, shape: &ChannelShape, memory: &mut [i64], results: &[(i64, i64)]) {
    let buffer = &shape.buffer;
    let word = |x: i128| wrap(x, buffer.word_bits);
    let factor = |x: i64| i128::from(wrap(i128::from(x), buffer.mul_bits));
    let at_a = |i: u32| (v.a + i * v.a_step) as usize;
    let at_b = |i: u32| (v.b + i * v.b_step) as usize;
    if matches!(v.op, VecOp::LoadBytes | VecOp::LoadPlanes) {
        return;
    }
    if matches!(v.op, VecOp::Argmax | VecOp::Sum) {
        let a: Vec<i64> = (0..v.len).map(|i| memory[at_a(i)]).collect();
        memory[v.d as usize] = match v.op {
            VecOp::Sum => word(a.iter().map(|x| i128::from(*x)).sum()),
            _ => a.iter().position(|x| Some(x) == a.iter().max()).unwrap() as i64,
        };
        return;
    }
    for i in 0..v.len {
        let a = memory[at_a(i)];
        let b = memory.get(at_b(i)).copied().unwrap_or(0);
        let (result, ones) = results.get(i as usize).copied().unwrap_or((0, 0));
        memory[(v.d + i) as usize] = match v.op {
            VecOp::Copy => a,
            VecOp::Add => word(i128::from(a) + i128::from(b)),
            VecOp::Mul => word(factor(a) * factor(b)),
            VecOp::Relu => a.max(0),
            VecOp::Requant => {
                let r = buffer.requant.unwrap();
                let mul = wrap(i128::from(b), r.mul_bits);
                let shift = b >> r.mul_bits & ((1 << r.shift_bits) - 1);
                let narrow = b >> (r.mul_bits + r.shift_bits) & ((1 << r.narrow_bits) - 1);
                let bits = r.out_bits as i64 - narrow;
                let half = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
                let x = i128::from(wrap(i128::from(a), r.in_bits));
                let y = (x * i128::from(mul) + half) >> shift;
                y.clamp(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) as i64
            }
            VecOp::Table => memory[(i64::from(v.b) + a + 128) as usize],
            VecOp::Drain => result,
            VecOp::DrainMac => word(i128::from(a) + factor(result) * factor(b)),
            VecOp::DrainOnes => word(i128::from(a) + factor(ones) * factor(b)),
            VecOp::Argmax
            | VecOp::Sum
            | VecOp::Collect
            | VecOp::CollectSum
            | VecOp::LoadBytes
            | VecOp::LoadPlanes => unreachable!(),
        };
    }
}

/// Words that `op` can take as A and B.
fn operands(op: VecOp, shape: &ChannelShape, rng: &mut Rng) -> (i64, i64) {
    let any = |rng: &mut Rng| rng.signed(shape.buffer.word_bits);
    match op {
        VecOp::Table => (rng.signed(8), any(rng)),
        VecOp::Requant => {
            let r = shape.buffer.requant.unwrap();
            let bits = 1 + rng.below(r.out_bits);
            let word = shape.buffer.word_bits;
            let (mul, shift) = (rng.signed(r.mul_bits), rng.below(1 << r.shift_bits));
            (any(rng), r.constant(mul, shift, bits, word).unwrap())
        }
        VecOp::Argmax => (i64::from(rng.below(4)) - 3, any(rng)),
        _ => (any(rng), any(rng)),
    }
}

#[test]
fn every_operation_does_what_it_says_within_its_clocks() {
    let mut shape = everything();
    shape.buffer.word_bits = 28;
    let mut bench = Bench::new(shape.clone(), 1);
    let mut rng = Rng(2);
    let ops = shape.buffer.ops.iter();
    for &op in ops.filter(|o| !matches!(o, VecOp::LoadBytes | VecOp::LoadPlanes)) {
        for (len, steps) in [(1, 3), (2, 3), (17, 3), (70, 1), (33, 2), (5, 0)] {
            let (a, b, d) = (3, 80, 400);
            // Only when steps are taken are there several operands.
            for i in 0..len {
                let (x, y) = operands(op, &shape, &mut rng);
                bench.uut.busy.next = false;
                bench.host_write((a + i) as usize, x);
                if op != VecOp::Table {
                    bench.host_write((b + i) as usize, y);
                }
            }
            let v = Vector { op, a, a_step: steps & 1, b, b_step: steps >> 1, d, len, bank: 0 };
            bench.run(v);
            model(v, &shape, &mut bench.memory, &bench.results);
            // The next operation, at once, sees every word that was written.
            let results = if matches!(op, VecOp::Argmax | VecOp::Sum) { 1 } else { len };
            let copy = Vector {
                op: VecOp::Copy,
                a: d,
                a_step: 1,
                b: 0,
                b_step: 0,
                d: 300,
                len: results,
                bank: 0,
            };
            bench.run(copy);
            model(copy, &shape, &mut bench.memory, &bench.results);
            bench.check(&format!("{op:?} len {len} steps {steps}"));
        }
    }
}

#[test]
fn results_may_replace_their_operands() {
    let shape = everything();
    let mut bench = Bench::new(shape.clone(), 3);
    for op in [VecOp::Add, VecOp::DrainMac, VecOp::Relu] {
        let v = Vector { op, a: 10, a_step: 1, b: 200, b_step: 1, d: 10, len: 80, bank: 0 };
        bench.run(v);
        model(v, &shape, &mut bench.memory, &bench.results);
    }
    bench.check("in place");
}

#[test]
fn bytes_are_packed_word_by_word_and_whole_blocks_are_written() {
    // (bytes of a word, bytes of a block, length)
    for (d, b, len) in
        [(8, 64, 64), (8, 8, 1), (6, 12, 30), (1, 3, 7), (4, 16, 35), (3, 9, 9), (8, 12, 40)]
    {
        let mut bench = Bench::new(everything(), u64::from(d * 100 + len));
        let a = 5;
        bench.run(Vector { op: VecOp::LoadBytes, a, a_step: 1, b, b_step: 0, d, len, bank: 0 });
        let mut want: Vec<Vec<u8>> = vec![];
        let bytes: Vec<u8> =
            (a..a + len).map(|at| bench.memory[at as usize].to_le_bytes()[0]).collect();
        for block in bytes.chunks(b as usize) {
            let mut block = block.to_vec();
            block.resize(b as usize, 0);
            want.extend(block.chunks(d as usize).map(<[u8]>::to_vec));
        }
        assert_eq!(bench.bytes.len(), want.len(), "{d} {b} {len}");
        for (at, word) in want.iter().enumerate() {
            let mut padded = [0u8; 8];
            padded[..word.len()].copy_from_slice(word);
            assert_eq!(bench.bytes[&(at as i128)], u64::from_le_bytes(padded), "word {at}");
        }
        bench.check("a load writes nothing");
    }
}

#[test]
fn planes_are_transposed_and_filled_up_with_zeros() {
    for (beat_bits, planes, len) in
        [(64, 9, 1), (64, 9, 64), (64, 9, 65), (64, 9, 150), (16, 16, 40), (16, 1, 33), (8, 3, 24)]
    {
        let mut shape = everything();
        shape.beat_bits = beat_bits;
        if let Some(gated) = &mut shape.bank.gated {
            (gated.planes, gated.groups) = (planes, 5);
        }
        let mut bench = Bench::new(shape, u64::from(beat_bits + len));
        let a = 7;
        bench.run(Vector {
            op: VecOp::LoadPlanes,
            a,
            a_step: 1,
            b: 0,
            b_step: 0,
            d: 0,
            len,
            bank: 0,
        });
        let groups = len.div_ceil(beat_bits);
        assert_eq!(bench.planes.len() as u32, groups * planes, "{beat_bits} {planes} {len}");
        for ((group, plane), word) in &bench.planes {
            for lane in 0..64 {
                let at = *group as u32 * beat_bits + lane;
                let x =
                    if lane < beat_bits && at < len { bench.memory[(a + at) as usize] } else { 0 };
                assert_eq!(word >> lane & 1, (x >> plane & 1) as u64, "{group} {plane} {lane}");
            }
        }
        bench.check("a load writes nothing");
    }
}

#[test]
fn loads_may_follow_at_once_and_begin_anew() {
    let mut bench = Bench::new(everything(), 9);
    for a in [0, 200] {
        bench.run(Vector {
            op: VecOp::LoadBytes,
            a,
            a_step: 1,
            b: 8,
            b_step: 0,
            d: 8,
            len: 11,
            bank: 0,
        });
        bench.run(Vector {
            op: VecOp::LoadPlanes,
            a,
            a_step: 1,
            b: 0,
            b_step: 0,
            d: 0,
            len: 3,
            bank: 0,
        });
    }
    let byte = |i: usize| bench.memory[200 + i].to_le_bytes()[0];
    let word: [u8; 8] = std::array::from_fn(byte);
    assert_eq!(bench.bytes.len(), 2);
    assert_eq!(bench.bytes[&0], u64::from_le_bytes(word));
    assert_eq!(bench.bytes[&1] >> 24, 0, "three bytes are left for the second word");
    let low: u64 = (0..3).map(|i| (bench.memory[200 + i] as u64 & 1) << i).sum();
    assert_eq!(bench.planes[&(0, 0)], low);
}

#[test]
fn a_host_write_does_not_reach_a_running_program() {
    let mut bench = Bench::new(everything(), 11);
    bench.uut.busy.next = true;
    let kept = bench.memory[4];
    bench.host_write(4, kept ^ 1);
    bench.memory[4] = kept;
    bench.check("host write while busy");
}

#[test]
fn a_unit_of_few_operations_still_does_them() {
    let mut shape = everything();
    shape.buffer = BufferShape {
        ops: vec![VecOp::Drain, VecOp::LoadPlanes],
        requant: None,
        mul_bits: 0,
        ..shape.buffer
    };
    let mut bench = Bench::new(shape.clone(), 12);
    let v = Vector { op: VecOp::Drain, a: 0, a_step: 0, b: 0, b_step: 0, d: 30, len: 79, bank: 0 };
    bench.run(v);
    model(v, &shape, &mut bench.memory, &bench.results);
    bench.run(Vector {
        op: VecOp::LoadPlanes,
        a: 0,
        a_step: 1,
        b: 0,
        b_step: 0,
        d: 0,
        len: 65,
        bank: 0,
    });
    assert_eq!(bench.planes.len(), 18);
    bench.check("few operations");
}
