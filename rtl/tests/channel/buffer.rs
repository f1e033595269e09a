//! The buffer unit: every operation against plain integers, its timing, and what leaves to the
//! banks.

use crate::shapes::{everything, Rng};
use pimc_rtl::buffer_unit::BufferUnit;
use pimc_rtl::hdl::{clock, settle, Inst};
use pimc_rtl::isa::{VecOp, Vector};
use pimc_rtl::shape::ChannelShape;
use pimc_rtl::testing::merged;
use pimc_rtl::timing::vec_clocks;
use std::collections::BTreeMap;

/// A buffer unit between a host and modelled banks.
pub struct Bench {
    pub shape: ChannelShape,
    pub uut: Inst<BufferUnit>,
    /// Vector memory, as it should be.
    pub memory: Vec<i64>,
    /// What the unit loaded into the banks: words by address, planes by (group, plane).
    bytes: BTreeMap<i128, u128>,
    pub planes: BTreeMap<(i128, i128), u128>,
}

impl Bench {
    pub fn new(shape: ChannelShape, seed: u64) -> Bench {
        let mut rng = Rng(seed);
        let uut = Inst::new(BufferUnit::new(&shape));
        let memory = (0..shape.buffer.depth).map(|_| rng.signed(shape.buffer.word_bits)).collect();
        let mut bench =
            Bench { uut, memory, bytes: BTreeMap::new(), planes: BTreeMap::new(), shape };
        for at in 0..bench.memory.len() {
            bench.host_write(at, bench.memory[at]);
        }
        bench
    }

    pub fn host_write(&mut self, at: usize, x: i64) {
        self.memory[at] = x;
        self.uut.host_we.next = true;
        self.uut.host_addr.set(at as i128);
        self.uut.host_wdata.set(i128::from(x));
        clock(&mut self.uut);
        self.uut.host_we.next = false;
    }

    pub fn host_read(&mut self, at: usize) -> i64 {
        self.uut.host_addr.set(at as i128);
        clock(&mut self.uut);
        self.uut.host_rdata.get() as i64
    }

    /// One clock with the banks' memories answering.
    pub fn step(&mut self) {
        settle(&mut self.uut);
        let word = |w: &pimc_rtl::hdl::Wire<_>| w.get() as u128;
        let load = word(&self.uut.load_data);
        if self.uut.byte_we.first().is_some_and(|we| we.val()) {
            self.bytes.insert(self.uut.byte_addr[0].get(), load);
        }
        if self.uut.plane_we.first().is_some_and(|we| we.val()) {
            let (group, plane) = (self.uut.plane_group[0].get(), self.uut.plane[0].get());
            let words = [load].into_iter().chain(self.uut.load_second.first().map(word));
            let first = plane * i128::from(self.shape.planes_at_once());
            let planes = i128::from(self.shape.bank.gated.unwrap().planes);
            // Behind an odd last plane there is none.
            let taken = (first..planes).zip(words);
            self.planes.extend(taken.map(|(plane, word)| ((group, plane), word)));
        }
        clock(&mut self.uut);
    }

    /// Runs an operation for exactly the clocks that the scheduler gives it.
    fn run(&mut self, v: Vector) {
        self.run_for(v, vec_clocks(&v, &self.shape));
    }

    /// Runs a load. Its last word or plane leaves in the clock in which the next operation may start.
    pub fn load(&mut self, v: Vector) {
        self.run(v);
        self.step();
    }

    /// Starts an operation and gives it so many clocks.
    pub fn run_for(&mut self, v: Vector, clocks: u32) {
        self.uut.busy.next = true;
        self.uut.start.next = true;
        self.uut.op.set(i128::from(v.op.code()));
        self.uut.a.set(i128::from(v.a));
        self.uut.a_step.set(i128::from(v.a_step));
        self.uut.b.set(i128::from(v.b));
        self.uut.b_step.set(i128::from(v.b_step));
        self.uut.d.set(i128::from(v.d));
        self.uut.len_less_1.set(i128::from(v.len - 1));
        for _ in 0..clocks {
            self.step();
            self.uut.start.next = false;
        }
    }

    /// Compares the whole memory through the host port.
    pub fn check(&mut self, what: &str) {
        self.uut.busy.next = false;
        for at in 0..self.memory.len() {
            assert_eq!(self.host_read(at), self.memory[at], "{what}: word {at}");
        }
    }
}

/// The low `bits` of `x`, signed.
pub fn wrap(x: i128, bits: u32) -> i64 {
    ((x << (128 - bits)) >> (128 - bits)) as i64
}

/// What an operation does to vector memory, from the words of its definition.
fn model(v: Vector, shape: &ChannelShape, memory: &mut [i64]) {
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
    if v.op == VecOp::Merge {
        // Of a wider word, elements and log-sum-exps are the low bits.
        let mean_bits = buffer.merge.as_ref().unwrap().mean_bits;
        let row = |at: u32| -> Vec<i64> {
            let bits = |i| if i == v.len - 1 { 32 } else { mean_bits };
            (0..v.len).map(|i| wrap(memory[(at + i) as usize].into(), bits(i))).collect()
        };
        let merged = merged(&row(v.a), &row(v.b));
        memory[v.d as usize..][..merged.len()].copy_from_slice(&merged);
        return;
    }
    for i in 0..v.len {
        let a = memory[at_a(i)];
        let b = memory.get(at_b(i)).copied().unwrap_or(0);
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
            _ => unreachable!("no operation of this test"),
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

/// Every block, in as many banks; matrices have up to 80 rows.
pub fn wide(banks: u32) -> ChannelShape {
    let mut shape = everything();
    shape.banks = banks;
    assert_eq!(shape.check(), Ok(()));
    shape
}

pub const LANES: [u32; 4] = [2, 8, 16, 64];

/// Lengths up to 40 and around multiples of the lanes.
pub fn lengths(lanes: u32) -> impl Iterator<Item = u32> {
    let around = (1..=80 / lanes).flat_map(move |k| lanes * k - 1..=lanes * k + 1);
    let mut all: Vec<u32> = (1..=40).chain(around).filter(|n| (1..=80).contains(n)).collect();
    all.sort_unstable();
    all.dedup();
    all.into_iter()
}

/// Operations from vector memory to vector memory.
fn writing() -> impl Iterator<Item = VecOp> {
    let others = [VecOp::LoadBytes, VecOp::LoadPlanes, VecOp::Collect, VecOp::CollectSum];
    VecOp::ALL.into_iter().filter(move |op| !others.contains(op))
}

impl Bench {
    /// Gives `v` operands that it can take.
    fn prepare(&mut self, v: &Vector, rng: &mut Rng) {
        self.uut.busy.next = false;
        // Only when steps are taken are there several operands.
        for i in 0..v.len {
            let (x, y) = operands(v.op, &self.shape, rng);
            if i == 0 || v.a_step == 1 {
                self.host_write((v.a + i) as usize, x);
            }
            if v.op != VecOp::Table && (i == 0 || v.b_step == 1) {
                self.host_write((v.b + i) as usize, y);
            }
        }
    }

    /// Runs `v` here and in the model.
    pub fn run_both(&mut self, v: Vector) {
        self.run(v);
        model(v, &self.shape, &mut self.memory);
    }
}

#[test]
fn every_operation_does_what_it_says_at_every_length_and_place() {
    for lanes in LANES {
        let mut bench = Bench::new(wide(lanes), u64::from(lanes));
        let mut rng = Rng(2);
        for op in writing() {
            // Sixteen lanes see every length, the others a third of them.
            let every = if lanes == 16 { 1 } else { 3 };
            for (n, len) in lengths(lanes).step_by(every).enumerate() {
                let mut at = |base: u32| base + rng.below(37);
                // A table of 256 words lies behind the rest.
                let (a, d) = (at(0), at(120));
                let b = if op == VecOp::Table { 240 } else { at(240) };
                // Steps of 1 as a rule.
                let steps = if op == VecOp::Merge { 3 } else { [3, 1, 3, 2, 3, 0][n % 6] };
                let v = Vector {
                    op,
                    a,
                    a_step: steps & 1,
                    b,
                    b_step: steps >> 1,
                    d,
                    len,
                    bank: 0,
                    last: 0,
                };
                bench.prepare(&v, &mut rng);
                bench.run_both(v);
                // The next operation, at once, sees every word that was written.
                let results = if matches!(op, VecOp::Argmax | VecOp::Sum) { 1 } else { len };
                let d = 370 + rng.below(40);
                let copy = Vector {
                    op: VecOp::Copy,
                    a: v.d,
                    a_step: 1,
                    b,
                    b_step: 0,
                    d,
                    len: results,
                    bank: 0,
                    last: 0,
                };
                if op != VecOp::Table {
                    bench.run_both(copy);
                }
                if n % 7 == 6 {
                    bench.check(&format!("{lanes} lanes, up to {v:?}"));
                }
            }
            bench.check(&format!("{lanes} lanes, {op:?}"));
        }
    }
}

#[test]
fn results_may_replace_their_operands() {
    for lanes in LANES {
        let mut bench = Bench::new(wide(lanes), 3);
        for op in [VecOp::Add, VecOp::Relu, VecOp::Mul, VecOp::Merge] {
            for (a, b, len) in [(10, 203, 80), (13, 200, 79), (31, 219, 33), (7, 240, 1)] {
                bench.run_both(Vector {
                    op,
                    a,
                    a_step: 1,
                    b,
                    b_step: 1,
                    d: a,
                    len,
                    bank: 0,
                    last: 0,
                });
                bench.run_both(Vector {
                    op,
                    a: b,
                    a_step: 1,
                    b: a,
                    b_step: 1,
                    d: a,
                    len,
                    bank: 0,
                    last: 0,
                });
            }
        }
        // Down by less than a run.
        for by in [1, 3, lanes - 1, lanes, lanes + 1] {
            let a = 100 + by;
            bench.run_both(Vector {
                op: VecOp::Copy,
                a,
                a_step: 1,
                b: 0,
                b_step: 0,
                d: 100,
                len: 75,
                bank: 0,
                last: 0,
            });
        }
        bench.check(&format!("{lanes} lanes in place"));
    }
}

/// The program's end stops writes: what `vec_clocks` gives is enough and no clock too many.
#[test]
fn an_end_one_clock_earlier_loses_the_last_step() {
    for lanes in LANES {
        for op in writing() {
            for len in [1, lanes, lanes + 1] {
                let v = Vector {
                    op,
                    a: 3,
                    a_step: 1,
                    b: 120,
                    b_step: 1,
                    d: 420,
                    len,
                    bank: 0,
                    last: 0,
                };
                let mut rng = Rng(u64::from(len));
                let mut bench = Bench::new(wide(lanes), 5);
                bench.prepare(&v, &mut rng);
                let clocks = vec_clocks(&v, &bench.shape);
                let last = if matches!(op, VecOp::Argmax | VecOp::Sum) { 0 } else { len - 1 };
                // What was there before is no result.
                let at = (v.d + last) as usize;
                let mut want = bench.memory.clone();
                model(v, &bench.shape, &mut want);
                bench.host_write(at, if want[at] == 1 { 2 } else { 1 });
                bench.run_for(v, clocks - 1);
                bench.uut.busy.next = false;
                let early = bench.host_read(at);
                assert_ne!(early, want[at], "{lanes} lanes, {op:?} of {len}, one clock earlier");
                bench.run_for(v, clocks);
                bench.uut.busy.next = false;
                assert_eq!(bench.host_read(at), want[at], "{lanes} lanes, {op:?} of {len}");
            }
        }
    }
}

/// The words of byte memory that a load must write.
fn byte_words(bytes: &[u8], d: u32, b: u32) -> Vec<u128> {
    let mut words = vec![];
    for block in bytes.chunks(b as usize) {
        let mut block = block.to_vec();
        block.resize(b as usize, 0);
        for word in block.chunks(d as usize) {
            let mut padded = [0u8; 16];
            padded[..word.len()].copy_from_slice(word);
            words.push(u128::from_le_bytes(padded));
        }
    }
    words
}

#[test]
fn bytes_are_packed_word_by_word_and_whole_blocks_are_written() {
    let narrow = [(8, 64), (8, 8), (6, 12), (1, 3), (4, 16), (3, 9), (5, 5), (7, 14), (2, 2)];
    let of_two = [(16, 64), (16, 16), (12, 24), (2, 6), (9, 9), (15, 30), (8, 8), (14, 14)];
    for (lanes, beat_bits) in [2, 4, 8, 16, 64].into_iter().flat_map(|l| [(l, 64), (l, 128)]) {
        let shape = ChannelShape { beat_bits, ..wide(lanes) };
        let mut bench = Bench::new(shape, 100);
        let mut rng = Rng(7);
        // Bytes of a word, bytes of a block.
        let of_a_word = narrow.into_iter().chain(of_two.into_iter().filter(|_| beat_bits > 64));
        for (d, b) in of_a_word {
            for len in [1, 2, 5, 7, 8, 9, 15, 16, 17, 30, 35, 40] {
                let a = rng.below(300);
                let a_step = (rng.below(5) > 0) as u32;
                bench.bytes.clear();
                bench.load(Vector {
                    op: VecOp::LoadBytes,
                    a,
                    a_step,
                    b,
                    b_step: 0,
                    d,
                    len,
                    bank: 0,
                    last: 0,
                });
                let byte = |i: u32| bench.memory[(a + i * a_step) as usize].to_le_bytes()[0];
                let bytes: Vec<u8> = (0..len).map(byte).collect();
                let got: Vec<u128> = bench.bytes.values().copied().collect();
                // Words beyond the memory wrap: the address has bits for 20 words.
                let mut want = byte_words(&bytes, d, b);
                let excess = want.len().saturating_sub(32);
                if excess > 0 {
                    let wrapped = want.split_off(32);
                    want[..excess].copy_from_slice(&wrapped);
                }
                assert_eq!(
                    got, want,
                    "{lanes} lanes, {len} from {a} in words of {d}, blocks of {b}, {beat_bits}"
                );
            }
        }
        bench.check("a load writes nothing");
    }
}

#[test]
fn planes_are_transposed_and_filled_up_with_zeros() {
    for (lanes, beat_bits, planes) in [
        (16, 64, 9),
        (16, 64, 2),
        (16, 16, 16),
        (2, 64, 9),
        (2, 8, 1),
        (4, 8, 3),
        (8, 16, 2),
        (64, 64, 1),
        (64, 64, 9),
        (16, 128, 9),
        (2, 128, 3),
        (64, 128, 1),
        (16, 128, 1),
    ] {
        let mut shape = wide(lanes);
        shape.beat_bits = beat_bits;
        if let Some(gated) = &mut shape.bank.gated {
            (gated.planes, gated.groups) = (planes, 20);
        }
        let mut bench = Bench::new(shape, u64::from(beat_bits + lanes));
        for (n, len) in lengths(lanes).chain([128, 129, 150]).enumerate() {
            let (a, a_step) = (7 + len, (n % 5 > 0) as u32);
            bench.planes.clear();
            bench.load(Vector {
                op: VecOp::LoadPlanes,
                a,
                a_step,
                b: 0,
                b_step: 0,
                d: 0,
                len,
                bank: 0,
                last: 0,
            });
            let what = format!("{lanes} lanes, {planes} planes of {beat_bits}, {len} inputs");
            assert_eq!(bench.planes.len() as u32, len.div_ceil(beat_bits) * planes, "{what}");
            for ((group, plane), word) in &bench.planes {
                for lane in 0..128 {
                    let at = *group as u32 * beat_bits + lane;
                    let there = lane < beat_bits && at < len;
                    let x = if there { bench.memory[(a + at * a_step) as usize] } else { 0 };
                    let want = (x >> plane & 1) as u128;
                    assert_eq!(word >> lane & 1, want, "{what}: {group} {plane} {lane}");
                }
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
            last: 0,
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
            last: 0,
        });
    }
    let byte = |i: usize| bench.memory[200 + i].to_le_bytes()[0];
    let word: [u8; 8] = std::array::from_fn(byte);
    let word = u64::from_le_bytes(word);
    assert_eq!(bench.bytes.len(), 2);
    assert_eq!(bench.bytes[&0], word.into());
    assert_eq!(bench.bytes[&1] >> 24, 0, "three bytes are left for the second word");
    let low: u128 = (0..3).map(|i| (bench.memory[200 + i] as u128 & 1) << i).sum();
    assert_eq!(bench.planes[&(0, 0)], low);
}

/// A load that starts anew one clock too early takes the last word or plane of the one before with
/// it to the front.
#[test]
fn a_load_one_clock_earlier_disturbs_the_one_before() {
    for lanes in LANES {
        for (op, b, d, len) in [
            (VecOp::LoadBytes, 8, 8, 16),
            (VecOp::LoadBytes, 6, 3, 19),
            (VecOp::LoadPlanes, 0, 0, 65),
            (VecOp::LoadPlanes, 0, 0, 192),
        ] {
            let loaded = |less: u32| {
                let mut bench = Bench::new(wide(lanes), 31);
                let v = Vector { op, a: 9, a_step: 1, b, b_step: 0, d, len, bank: 0, last: 0 };
                bench.run_for(v, vec_clocks(&v, &bench.shape) - less);
                // The first word and plane of the second load are its own.
                let again = Vector { a: 210, len: 1, ..v };
                bench.run(again);
                (bench.bytes, bench.planes)
            };
            let mut alone = Bench::new(wide(lanes), 31);
            let v = Vector { op, a: 9, a_step: 1, b, b_step: 0, d, len, bank: 0, last: 0 };
            alone.run_for(v, vec_clocks(&v, &alone.shape) + 20);
            let beyond = |(bytes, planes): (BTreeMap<i128, u128>, BTreeMap<(i128, i128), u128>)| {
                let words = if op == VecOp::LoadBytes { b / d } else { 0 };
                let bytes: Vec<_> =
                    bytes.into_iter().filter(|w| w.0 >= i128::from(words)).collect();
                let planes: Vec<_> = planes.into_iter().filter(|w| w.0 .0 > 0).collect();
                (bytes, planes)
            };
            let want = beyond((alone.bytes, alone.planes));
            assert!(!want.0.is_empty() || !want.1.is_empty());
            assert_eq!(beyond(loaded(0)), want, "{lanes} lanes, {op:?} of {len}");
            assert_ne!(
                beyond(loaded(1)),
                want,
                "{lanes} lanes, {op:?} of {len}, one clock earlier"
            );
        }
    }
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
