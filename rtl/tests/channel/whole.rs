//! Whole channels, programs written by hand, against the arithmetic of the formats.

use crate::dram::Job;
use crate::shapes::{everything, masked, plain, product_quantized, quadratic, Rng};
use pimc_rtl::isa::{Block, Stream, VecOp, Vector};
use pimc_rtl::shape::{BlockShape, ChannelShape, StreamMode};
use pimc_rtl::testing::signs_of;
use pimc_rtl::timing::column_clocks;

/// Beats of matrix rows to columns: `rows[r]` in bank r mod banks, each row from a column boundary.
fn lay(rows: &[Vec<u64>], shape: &ChannelShape) -> Vec<Vec<Vec<u64>>> {
    let mut banks = vec![vec![]; shape.banks as usize];
    for (r, beats) in rows.iter().enumerate() {
        let bank = &mut banks[r % shape.banks as usize];
        bank.extend(beats.chunks(shape.beats as usize).map(<[u64]>::to_vec));
    }
    banks
}

fn stream(shape: &ChannelShape, mode: StreamMode, beats: usize) -> Stream {
    let per_column = shape.beats as usize;
    Stream {
        mode: shape.bank.modes().iter().position(|m| *m == mode).unwrap() as u32,
        columns_less_1: (beats.div_ceil(per_column) - 1) as u32,
        tail_beats_less_1: ((beats - 1) % per_column) as u32,
        coats_less_1: 0,
        sign_key: 0,
        block: Block::default(),
    }
}

fn vector(op: VecOp, a: usize, b: u32, d: u32, len: usize) -> Vector {
    Vector { op, a: a as u32, a_step: 1, b, b_step: 0, d, len: len as u32, bank: 0, last: 0 }
}

fn bytes(rng: &mut Rng, n: usize) -> Vec<i64> {
    (0..n).map(|_| rng.signed(8)).collect()
}

/// Words of vector memory: `x` at 0, zeros, and words of the caller's where it says.
fn memory(shape: &ChannelShape, x: &[i64], (at, extra): (usize, &[i64])) -> Vec<i64> {
    let mut memory = vec![0; shape.buffer.depth as usize];
    memory[..x.len()].copy_from_slice(x);
    memory[at..at + extra.len()].copy_from_slice(extra);
    memory
}

#[test]
fn a_product_quantized_matrix_with_bias_and_requantisation() {
    for (rows, subs) in [(20, 50), (1, 1), (80, 33), (16, 32)] {
        let at = Places { extra: 300, result: 150 };
        product_quantized_layer(&everything(), (rows, subs), at, (12345, 17));
    }
    for (rows, subs) in [(3, 8), (1, 1), (4, 5)] {
        let at = Places { extra: 8, result: 16 };
        product_quantized_layer(&product_quantized(), (rows, subs), at, (2000, 15));
    }
}

/// Where things lie in vector memory.
#[derive(Clone, Copy)]
struct Places {
    extra: usize,
    result: usize,
}

fn product_quantized_layer(
    shape: &ChannelShape,
    (rows, subs): (usize, usize),
    at: Places,
    (mul, shift): (i64, u32),
) {
    let l = shape.bank.lookups[0];
    let (k, sub, lanes, chunk) = (l.k as usize, l.sub as usize, l.lanes as usize, l.chunk as usize);
    let mut rng = Rng(rows as u64);
    let x = bytes(&mut rng, subs * sub);
    let codebook: Vec<Vec<Vec<i64>>> =
        (0..subs).map(|_| (0..k).map(|_| bytes(&mut rng, sub)).collect()).collect();
    let codes: Vec<Vec<usize>> =
        (0..rows).map(|_| (0..subs).map(|_| rng.below(k as u32) as usize).collect()).collect();
    let bias: Vec<i64> = (0..rows).map(|_| rng.signed(16)).collect();

    let blocks = subs.div_ceil(lanes);
    let mut build = vec![];
    for block in 0..blocks {
        for j in 0..k {
            for c in 0..lanes / chunk {
                let mut beat = [0u8; 8];
                for i in 0..chunk {
                    let s = block * lanes + c * chunk + i;
                    for e in 0..sub {
                        let value = codebook.get(s).map_or(0, |s| s[j][e]);
                        beat[i * sub + e] = value as i8 as u8;
                    }
                }
                build.push(u64::from_le_bytes(beat));
            }
        }
    }
    let pack = |codes: &[usize]| -> Vec<u64> {
        let word = |c: &[usize]| {
            c.iter().enumerate().map(|(i, c)| (*c as u64) << (i as u32 * l.code_bits)).sum()
        };
        codes.chunks(lanes).map(word).collect()
    };
    let coded: Vec<Vec<u64>> = codes.iter().map(|c| pack(c)).collect();

    let requant = shape.buffer.requant.unwrap();
    let constant = requant.constant(mul, shift, 8, shape.buffer.word_bits).unwrap();
    let mut extra = bias.clone();
    extra.push(constant);
    let mut job = Job::new(shape.clone());
    let word = chunk * sub;
    job.vector(vector(VecOp::LoadBytes, 0, (lanes * sub) as u32, word as u32, x.len()));
    let columns: Vec<Vec<u64>> = build.chunks(shape.beats as usize).map(<[u64]>::to_vec).collect();
    let every = vec![columns; shape.banks as usize];
    job.stream(stream(shape, StreamMode::Build(0), build.len()), &every, 4);
    job.collect(vector(VecOp::Collect, 0, 0, at.result as u32, rows));
    job.stream(stream(shape, StreamMode::Lookup(0), blocks), &lay(&coded, shape), 4);
    let (bias_at, y_at) = (at.extra as u32, at.result as u32);
    job.vector(Vector { b_step: 1, ..vector(VecOp::Add, at.result, bias_at, y_at, rows) });
    job.vector(vector(VecOp::Requant, at.result, bias_at + rows as u32, y_at, rows));
    let got = job.run(&memory(shape, &x, (at.extra, &extra)));

    for r in 0..rows {
        let dot = |s: usize| -> i64 {
            (0..sub).map(|e| codebook[s][codes[r][s]][e] * x[s * sub + e]).sum()
        };
        let sum = (0..subs).map(dot).sum::<i64>();
        assert_eq!(got.row(r), sum, "{rows}x{subs} row {r}");
        let y = sum + bias[r];
        let y = ((y * mul + (1 << (shift - 1))) >> shift).clamp(-128, 127);
        assert_eq!(got.memory[at.result + r], y, "{rows}x{subs} row {r}");
    }
}

/// Bits to beats of 64, the first lowest.
fn beats(bits: &[bool]) -> Vec<u64> {
    let word = |c: &[bool]| c.iter().enumerate().map(|(i, b)| u64::from(*b) << i).sum();
    bits.chunks(64).map(word).collect()
}

#[test]
fn a_supermask_of_one_to_three_coats() {
    for (shape, rows, cols, coats) in [
        (everything(), 20, 100, 2),
        (masked(), 1, 1, 1),
        (everything(), 80, 192, 3),
        (everything(), 33, 64, 1),
        (masked(), 33, 130, 1),
    ] {
        let mut rng = Rng(rows * 7 + cols as u64);
        let x = bytes(&mut rng, cols);
        let key = rng.next() as u32;
        let mut bit = |_| rng.below(2) == 1;
        let masks: Vec<Vec<Vec<bool>>> = (0..rows)
            .map(|_| (0..coats).map(|_| (0..cols).map(&mut bit).collect()).collect())
            .collect();
        let row = |coats: &Vec<Vec<bool>>| -> Vec<u64> {
            let coats: Vec<Vec<u64>> = coats.iter().map(|c| beats(c)).collect();
            (0..cols.div_ceil(64)).flat_map(|g| coats.iter().map(move |c| c[g])).collect()
        };
        let laid: Vec<Vec<u64>> = masks.iter().map(row).collect();

        let mut job = Job::new(shape.clone());
        job.vector(vector(VecOp::LoadPlanes, 0, 0, 0, cols));
        let s = Stream {
            coats_less_1: coats as u32 - 1,
            sign_key: key,
            ..stream(&shape, StreamMode::Mask, laid[0].len())
        };
        job.collect(vector(VecOp::Collect, 0, 0, 310, rows as usize));
        job.stream(s, &lay(&laid, &shape), 6);
        let got = job.run(&memory(&shape, &x, (300, &[])));

        let y = |r: usize| -> i64 {
            let signs = signs_of(key, r as u32, cols);
            let weight = |c: usize| {
                let kept = masks[r].iter().filter(|coat| coat[c]).count() as i64;
                signs[c] * kept
            };
            (0..cols).map(|c| weight(c) * x[c]).sum()
        };
        let want: Vec<i64> = (0..rows as usize).map(y).collect();
        let rows = 0..rows as usize;
        assert_eq!(rows.map(|r| got.row(r)).collect::<Vec<_>>(), want, "{cols} of {coats} coats");
        assert_eq!(got.memory[310..310 + want.len()], want, "{cols} of {coats} coats, collected");
    }
}

/// Blocks of one geometry in every bank, and three banks whose inputs are their own.
#[test]
fn quadratic_blocks_with_inputs_of_all_banks_and_of_some() {
    for (shape, cols, inner, rows, slots, units) in [
        (everything(), 128, 70, 5, 1, 2),
        (quadratic(), 64, 64, 3, 3, 4),
        (everything(), 64, 3, 9, 2, 1),
    ] {
        let mut rng = Rng(inner as u64 + 99);
        let (x, own) = (bytes(&mut rng, cols * slots), bytes(&mut rng, cols * slots));
        let mut signs = |rows: usize, cols: usize| -> Vec<Vec<bool>> {
            (0..rows).map(|_| (0..cols).map(|_| rng.below(2) == 1).collect()).collect()
        };
        let factors = |n: usize| if n % 2 == 0 { [-8, -4, -16, -200] } else { [7, 3, 15, 200] };
        let dot = |signs: &[bool], x: &[i64]| -> i64 {
            signs.iter().zip(x).map(|(bit, x)| if *bit { *x } else { -x }).sum()
        };
        let (mut banks, mut want, mut count) = (vec![], vec![], 0);
        for bank in 0..shape.banks as usize {
            let x = if (5..8).contains(&bank) { &own } else { &x };
            let (mut columns, mut results) = (vec![], vec![]);
            for n in 0..units {
                let (b, a, [r, s, t, u]) =
                    (signs(inner, cols), signs(rows, inner), factors(bank + n));
                let x = &x[cols * (n % slots)..][..cols];
                let t_k: Vec<i64> = b.iter().map(|b| dot(b, x)).collect();
                let x_sum: i64 = x.iter().sum();
                let constant = t * t_k.iter().sum::<i64>() + u * x_sum;
                let row = |a: &Vec<bool>| {
                    dot(a, &t_k.iter().map(|t_k| r * t_k + s * x_sum).collect::<Vec<_>>())
                        + constant
                };
                results.extend(a.iter().map(row));
                let mut words: Vec<u64> = b.iter().flat_map(|b| beats(b)).collect();
                let scalars = BlockShape::scalar_beats(cols as u32 / 64) as usize;
                let rts = r as u64 & 0xffff | (t as u64 & 0xffff) << 16 | (2 * s as u64) << 32;
                words.extend([rts, (u - inner as i64 * s) as u64]);
                words.resize(words.len() + scalars - 2, 0);
                words.extend(a.iter().flat_map(|a| beats(a)));
                count = words.len();
                columns.extend(words.chunks(shape.beats as usize).map(<[u64]>::to_vec));
            }
            banks.push(columns);
            want.push(results);
        }
        let mut job = Job::new(shape.clone());
        job.vector(vector(VecOp::LoadPlanes, 0, 0, 0, cols * slots));
        let load = vector(VecOp::LoadPlanes, 200, 0, 0, cols * slots);
        job.vector(Vector { bank: 6, last: 8, ..load });
        let block = Block {
            x_beats_less_1: cols as u32 / 64 - 1,
            inner_less_1: inner as u32 - 1,
            t_beats_less_1: inner.div_ceil(64) as u32 - 1,
            rows_less_1: rows as u32 - 1,
            slots_less_1: slots as u32 - 1,
        };
        let s = Stream { block, ..stream(&shape, StreamMode::Blocks, count) };
        // The slots are the passes over a block row; what is left of the units is a block row too.
        let passes = if units % slots == 0 { slots } else { 1 };
        let elements = units / passes * rows;
        let collect = vector(VecOp::CollectSum, rows, passes as u32, 430, elements);
        job.collect(collect);
        job.stream(s, &banks, 4);
        let got = job.run(&memory(&shape, &x, (200, &own)));
        assert_eq!(got.results, want, "{cols} inputs, {inner} inner sums, {rows} rows");
        let element = |e: usize| -> i64 {
            let unit = |p: usize| (e / rows * passes + p) * rows + e % rows;
            (0..passes).map(|p| want.iter().map(|bank| bank[unit(p)]).sum::<i64>()).sum()
        };
        let sums: Vec<i64> = (0..elements).map(element).collect();
        assert_eq!(got.memory[430..430 + elements], sums);
        let spare = (count as u32).next_multiple_of(shape.beats) - count as u32;
        assert_eq!(got.last_row_clocks, u64::from(column_clocks(&shape) - spare));
    }
}

#[test]
fn plain_weights_in_sixteen_banks_and_in_two() {
    for (shape, rows, cols) in [(everything(), 18, 130), (plain(), 1, 8), (plain(), 5, 29)] {
        let mut rng = Rng(rows as u64 + 7);
        let x = bytes(&mut rng, cols);
        let weights: Vec<Vec<i64>> = (0..rows).map(|_| bytes(&mut rng, cols)).collect();
        let word = |c: &[i64]| {
            let mut beat = [0u8; 8];
            c.iter().zip(&mut beat).for_each(|(x, b)| *b = *x as i8 as u8);
            u64::from_le_bytes(beat)
        };
        let laid: Vec<Vec<u64>> = weights.iter().map(|w| w.chunks(8).map(word).collect()).collect();

        let mut job = Job::new(shape.clone());
        job.vector(vector(VecOp::LoadBytes, 0, 8, 8, cols));
        job.collect(vector(VecOp::Collect, 0, 0, 310, rows));
        job.stream(stream(&shape, StreamMode::Mac, laid[0].len()), &lay(&laid, &shape), 4);
        let got = job.run(&memory(&shape, &x, (300, &[])));

        for (r, row) in weights.iter().enumerate() {
            let y: i64 = row.iter().zip(&x).map(|(w, x)| w * x).sum();
            assert_eq!(got.row(r), y, "{rows}x{cols} row {r}");
            assert_eq!(got.memory[310 + r], y, "{rows}x{cols} row {r}, collected");
        }
    }
}

#[test]
fn the_last_result_comes_when_the_schedule_thinks() {
    let shape = plain();
    let mut job = Job::new(shape.clone());
    job.vector(vector(VecOp::LoadBytes, 0, 8, 8, 32));
    let rows = vec![vec![1; 4]; 3];
    job.stream(stream(&shape, StreamMode::Mac, 4), &lay(&rows, &shape), 6);
    let got = job.run(&memory(&shape, &[1; 32], (300, &[])));
    assert_eq!(got.row(2), 4);
    assert_eq!(got.last_row_clocks, u64::from(column_clocks(&shape)));
}
