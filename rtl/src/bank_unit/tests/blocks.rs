//! Binary quadratic blocks through a bank unit, against the language's formula.

use super::*;
use crate::isa::Block;
use crate::shape::BlockShape;

/// One block and basis.
struct BlockUnitData {
    /// `inner` rows of signs of the inputs.
    b: Vec<Vec<bool>>,
    /// Rows of signs of the inner sums.
    a: Vec<Vec<bool>>,
    r: i64,
    s: i64,
    t: i64,
    u: i64,
}

/// Units of one geometry, and the inputs of their slots.
struct BlockStream {
    /// Bits of a beat.
    size: usize,
    x_beats: usize,
    x: Vec<Vec<i64>>,
    units: Vec<BlockUnitData>,
}

/// What a unit computes on the way.
struct Values {
    t_k: Vec<i64>,
    x_sum: i64,
    t_sum: i64,
    u: i64,
    acc: Vec<i64>,
    y: Vec<i64>,
}

fn sign(bit: bool) -> i64 {
    if bit {
        1
    } else {
        -1
    }
}

fn dot(signs: &[bool], x: &[i64]) -> i64 {
    signs.iter().zip(x).map(|(b, x)| sign(*b) * x).sum()
}

impl BlockStream {
    fn values(&self, n: usize) -> Values {
        let (unit, x) = (&self.units[n], &self.x[n % self.x.len()]);
        let t_k: Vec<i64> = unit.b.iter().map(|row| dot(row, x)).collect();
        let x_sum: i64 = x.iter().sum();
        let t_sum: i64 = t_k.iter().sum();
        let term = |(a, t): (&bool, &i64)| sign(*a) * (unit.r * t + unit.s * x_sum);
        let y = |row: &Vec<bool>| {
            row.iter().zip(&t_k).map(term).sum::<i64>() + unit.t * t_sum + unit.u * x_sum
        };
        let acc = unit.a.iter().map(|row| dot(row, &t_k)).collect();
        let u = unit.u - unit.b.len() as i64 * unit.s;
        Values { y: unit.a.iter().map(y).collect(), acc, t_k, x_sum, t_sum, u }
    }

    /// The beats of a unit, and what the gated sum is after each.
    fn beats(&self, n: usize) -> Vec<(u128, i64)> {
        let size = self.size;
        let (unit, x, v) = (&self.units[n], &self.x[n % self.x.len()], self.values(n));
        let rows = |rows: &[Vec<bool>], x: &[i64]| -> Vec<(u128, i64)> {
            let beat = |row: &Vec<bool>| {
                let ends = (size..).step_by(size);
                let sums = ends.map(|end: usize| dot(&row[..end.min(row.len())], x));
                bits(row, size).into_iter().zip(sums).collect::<Vec<_>>()
            };
            rows.iter().flat_map(beat).collect()
        };
        let mut beats = rows(&unit.b, x);
        let rts = (unit.r as u64 & 0xffff)
            | (unit.t as u64 & 0xffff) << 16
            | ((2 * unit.s) as u64 & 0xffff_ffff) << 32;
        let count = BlockShape::scalar_beats(self.x_beats as u32) as usize;
        for q in 0..count {
            let word = [rts, v.u as u64].get(q).copied().unwrap_or(0);
            beats.push((word.into(), x.iter().take(size * (q + 1)).sum()));
        }
        beats.extend(rows(&unit.a, &v.t_k));
        beats
    }

    fn fields(&self) -> Block {
        let unit = &self.units[0];
        Block {
            x_beats_less_1: self.x_beats as u32 - 1,
            inner_less_1: unit.b.len() as u32 - 1,
            t_beats_less_1: unit.b.len().div_ceil(self.size) as u32 - 1,
            rows_less_1: unit.a.len() as u32 - 1,
            slots_less_1: self.x.len() as u32 - 1,
        }
    }
}

/// The narrowest shape that holds every value: no spare bit hides a mistake.
fn tight(streams: &[BlockStream]) -> BlockShape {
    let bits = |values: Vec<i64>| {
        let need = |x: i64| 65 - (x ^ x >> 63).leading_zeros();
        values.into_iter().map(need).max().unwrap_or(1)
    };
    let all: Vec<(&BlockUnitData, Values)> = streams
        .iter()
        .flat_map(|s| s.units.iter().enumerate().map(|(n, unit)| (unit, s.values(n))))
        .collect();
    let of = |f: &dyn Fn(&BlockUnitData, &Values) -> Vec<i64>| {
        bits(all.iter().flat_map(|(unit, v)| f(unit, v)).collect())
    };
    BlockShape {
        x_bits: bits(streams.iter().flat_map(|s| s.x.concat()).collect()),
        t_bits: of(&|_, v| v.t_k.clone()),
        inner: all.iter().map(|(unit, _)| unit.b.len() as u32).max().unwrap(),
        x_beats: streams.iter().map(|s| s.x_beats as u32).max().unwrap(),
        x_sum_bits: of(&|_, v| vec![v.x_sum]),
        t_sum_bits: of(&|_, v| vec![v.t_sum]),
        constant_bits: of(&|unit, v| {
            vec![v.u * v.x_sum, unit.t * v.t_sum, v.u * v.x_sum + unit.t * v.t_sum]
        }),
        ones_factor_bits: of(&|unit, v| vec![2 * unit.s * v.x_sum]),
        row_bits: of(&|_, v| v.acc.clone()),
        r_bits: of(&|unit, _| vec![unit.r]),
        t_factor_bits: of(&|unit, _| vec![unit.t]),
        s_bits: of(&|unit, _| vec![2 * unit.s]),
        u_bits: of(&|_, v| vec![v.u]),
        result_bits: of(&|_, v| v.y.clone()),
    }
}

/// A bank for the streams, and `coats` of masks on the same gated sum.
fn bank_for(streams: &[BlockStream], coats: Option<u32>) -> BankShape {
    let blocks = tight(streams);
    let groups = streams.iter().map(|s| s.x_beats * s.x.len()).max().unwrap();
    let sums = blocks.t_bits.max(blocks.x_sum_bits).max(blocks.row_bits);
    let gated = GatedShape {
        planes: if coats.is_some() { 8 } else { blocks.x_bits },
        groups: groups as u32,
        acc_bits: if coats.is_some() { sums.max(21) } else { sums },
        generated_signs: coats,
    };
    let result_bits = blocks.result_bits.max(if coats.is_some() { 21 } else { 1 });
    BankShape { gated: Some(gated), blocks: Some(blocks), result_bits, ..empty() }
}

fn run_blocks(bench: &mut Bench, stream: &BlockStream) {
    let planes = bench.uut.planes.len();
    let padded = |x: &Vec<i64>| {
        let mut x = x.clone();
        x.resize(stream.size * stream.x_beats, 0);
        x
    };
    bench.load_planes(&stream.x.iter().flat_map(padded).collect::<Vec<_>>(), planes);
    let fields = stream.fields().fields();
    let word = fields.iter().rev().fold(0i128, |word, field| word << 9 | i128::from(*field));
    bench.uut.block[0].set(word);
    bench.start(StreamMode::Blocks);
    let units: Vec<Vec<(u128, i64)>> = (0..stream.units.len()).map(|n| stream.beats(n)).collect();
    bench.rows(&units.iter().map(|b| b.iter().map(|b| b.0).collect()).collect::<Vec<_>>());
    let want: Vec<i128> =
        (0..units.len()).flat_map(|n| stream.values(n).y).map(i128::from).collect();
    assert_eq!(bench.results.len(), want.len(), "a result for every row");
    for (row, (got, want)) in bench.results.iter().zip(&want).enumerate() {
        assert_eq!(got, want, "row {row} of {:?}", stream.fields());
    }
    let shape = &bench.uut._shape.bank;
    let (sum, result) = (s(shape.gated.unwrap().acc_bits), s(shape.result_bits));
    let columns: Vec<i128> = units
        .iter()
        .flat_map(|beats| beats.chunks(bench.beats).map(|column| column[column.len() - 1].1))
        .map(|acc| result.wrap(sum.wrap(i128::from(acc))))
        .collect();
    assert_eq!(bench.columns, columns, "the gated sum after every column");
}

/// How the numbers of a stream are chosen.
#[derive(Clone, Copy, Debug)]
enum Numbers {
    Random,
    /// Every sign of B and every input at an end.
    Ends {
        plus: bool,
        x: i64,
    },
}

/// Inputs of a slot, inner dimension, rows, slots, units.
type Geometry = (usize, usize, usize, usize, usize);

fn blocks_of(
    (cols, inner, rows, slots, units): Geometry,
    numbers: Numbers,
    seed: u64,
) -> BlockStream {
    let mut rng = Rng::new(seed);
    let x = |rng: &mut Rng| match numbers {
        Numbers::Random => inputs(rng, cols).into_iter().map(i64::from).collect(),
        Numbers::Ends { x, .. } => vec![x; cols],
    };
    let x = (0..slots).map(|_| x(&mut rng)).collect();
    let mut scalar = |n: usize, bits: u32| {
        let limit = 1i64 << (bits - 1);
        match n % 3 {
            0 => -limit,
            1 => limit - 1,
            _ => rng.below(1 << bits) as i64 - limit,
        }
    };
    let scalars: Vec<[i64; 4]> = (0..units)
        .map(|n| [scalar(n, 16), scalar(n + n / 3, 16), scalar(n + n / 2, 16), scalar(n + 1, 32)])
        .collect();
    let unit = |&[r, s, t, u]: &[i64; 4]| {
        let b = |rng: &mut Rng| match numbers {
            Numbers::Random => rng.below(2) == 1,
            Numbers::Ends { plus, .. } => plus,
        };
        let b = (0..inner).map(|_| (0..cols).map(|_| b(&mut rng)).collect()).collect();
        let mut a: Vec<Vec<bool>> =
            (0..rows).map(|_| (0..inner).map(|_| rng.below(2) == 1).collect()).collect();
        for (row, bit) in a.iter_mut().skip(1).zip([false, true]) {
            row.fill(bit);
        }
        BlockUnitData { b, a, r, s, t, u }
    };
    let units = scalars.iter().map(unit).collect();
    BlockStream { size: 64, x_beats: cols.div_ceil(64), x, units }
}

/// The same blocks on beats of `size` bits.
fn sized(stream: BlockStream, size: u32) -> BlockStream {
    let size = size as usize;
    BlockStream { size, x_beats: stream.x[0].len().div_ceil(size), ..stream }
}

/// All streams one after the other through one bank, columns as close as can be and further apart.
fn check(streams: Vec<BlockStream>, intervals: &[usize]) {
    let mut streams = streams;
    for fold in FOLDS {
        streams = streams.into_iter().map(|stream| sized(stream, fold.0)).collect();
        let bank = bank_for(&streams, None);
        let shape = ChannelShape { beat_bits: fold.0, beats: fold.1, ..channel(bank.clone()) };
        assert_eq!(bank.blocks.unwrap().faults(&shape), Vec::<&str>::new());
        let mut bench = Bench::folded(bank, fold);
        for spare in intervals {
            bench.interval += spare;
            for stream in &streams {
                run_blocks(&mut bench, stream);
            }
        }
    }
}

#[test]
fn blocks_of_every_inner_dimension() {
    for (seed, inner) in [1, 2, 3, 63, 64, 65, 192].into_iter().enumerate() {
        for cols in [1, 64, 100, 384] {
            let stream = blocks_of((cols, inner, 5, 1, 4), Numbers::Random, seed as u64);
            check(vec![stream], &[0, 1]);
        }
    }
}

#[test]
fn blocks_of_one_row_and_of_many() {
    for (cols, inner, rows) in [(1, 1, 1), (64, 3, 2), (64, 64, 128), (380, 192, 384), (128, 65, 1)]
    {
        let stream = blocks_of((cols, inner, rows, 1, 3), Numbers::Random, rows as u64);
        check(vec![stream], &[0, 7]);
    }
}

#[test]
fn blocks_take_the_inputs_of_their_slots() {
    for (cols, slots, units) in [(64, 4, 9), (300, 4, 8), (120, 3, 7), (40, 2, 1)] {
        let stream = blocks_of((cols, 20, 3, slots, units), Numbers::Random, slots as u64);
        check(vec![stream], &[0]);
    }
}

#[test]
fn sums_at_their_ends() {
    for (plus, x) in [(true, -128), (false, -128), (true, 127), (false, 127), (true, 0)] {
        for inner in [1, 64, 70] {
            let numbers = Numbers::Ends { plus, x };
            check(vec![blocks_of((128, inner, 4, 1, 4), numbers, 3)], &[0]);
        }
    }
}

#[test]
fn streams_of_unlike_blocks_follow_each_other() {
    // Fewer inner sums than before in a group, fewer groups, fewer inputs, more of everything.
    let streams = vec![
        blocks_of((128, 130, 6, 2, 4), Numbers::Random, 1),
        blocks_of((128, 67, 3, 1, 2), Numbers::Random, 2),
        blocks_of((60, 2, 9, 4, 5), Numbers::Random, 3),
        blocks_of((384, 192, 2, 1, 2), Numbers::Random, 4),
        blocks_of((64, 1, 1, 1, 6), Numbers::Random, 5),
    ];
    check(streams, &[0, 2]);
}

#[test]
fn blocks_and_masks_take_turns_in_one_gated_sum() {
    let mut rng = Rng::new(11);
    let streams = || {
        [
            blocks_of((130, 70, 4, 1, 3), Numbers::Random, 6),
            blocks_of((64, 3, 4, 3, 4), Numbers::Random, 7),
        ]
    };
    let x: Vec<i64> = inputs(&mut rng, 130).into_iter().map(i64::from).collect();
    for fold in FOLDS {
        let streams = streams().map(|stream| sized(stream, fold.0));
        let mut bench = Bench::folded(bank_for(&streams, Some(3)), fold);
        for coats in [1, 3, 2] {
            streams.iter().for_each(|s| run_blocks(&mut bench, s));
            let weights: Vec<Vec<usize>> = (0..3)
                .map(|_| (0..130).map(|_| rng.below(coats as u64 + 1) as usize).collect())
                .collect();
            run_mask(&mut bench, 6, 77, coats, &weights, &x);
        }
    }
}

#[test]
fn inner_sums_may_be_narrower_than_the_planes() {
    for (plus, x) in [(true, -1), (false, -1), (true, 1), (false, 1)] {
        let stream = blocks_of((2, 3, 4, 1, 3), Numbers::Ends { plus, x }, 9);
        let bank = bank_for(std::slice::from_ref(&stream), Some(1));
        assert!(bank.blocks.unwrap().t_bits < bank.gated.unwrap().planes);
        run_blocks(&mut Bench::new(bank), &stream);
    }
}

#[test]
fn a_result_of_a_block_leaves_when_the_latency_says() {
    let stream = blocks_of((64, 1, 1, 1, 1), Numbers::Random, 8);
    let mut bench = Bench::new(bank_for(std::slice::from_ref(&stream), None));
    bench.load_planes(&stream.x[0], bench.uut.planes.len());
    bench.uut.block[0].set(0);
    bench.start(StreamMode::Blocks);
    let beats = stream.beats(0);
    assert_eq!(beats.len(), 4, "B, two of scalars, A");
    bench.uut.col_valid.next = true;
    bench.uut.col_beats.set(3);
    for (port, beat) in bench.uut.rd_data.iter_mut().zip(&beats) {
        port.set(beat.0 as i128);
    }
    bench.clock();
    bench.uut.col_valid.next = false;
    // The beat of A is the last of the four that begin in clock 0, the next one.
    let mut seen = vec![];
    for clock in 0..20 {
        if bench.uut.row_valid.val() {
            seen.push((clock, bench.uut.row_value.get()));
        }
        bench.clock();
    }
    assert_eq!(seen, [(3 + crate::timing::BLOCK_LATENCY, i128::from(stream.values(0).y[0]))]);
}
