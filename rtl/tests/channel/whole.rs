//! Whole channels, programs written by hand, against the arithmetic of the formats.

use crate::dram::Job;
use crate::shapes::{everything, masked, plain, product_quantized, signed, Rng};
use pimc_rtl::isa::{Stream, VecOp, Vector};
use pimc_rtl::shape::{ChannelShape, StreamMode};
use pimc_rtl::testing::signs_of;

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
    }
}

fn vector(op: VecOp, a: usize, b: u32, d: u32, len: usize) -> Vector {
    Vector { op, a: a as u32, a_step: 1, b, b_step: 0, d, len: len as u32 }
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
    job.stream(stream(shape, StreamMode::Lookup(0), blocks), &lay(&coded, shape), 4);
    let (bias_at, y_at) = (at.extra as u32, at.result as u32);
    job.vector(vector(VecOp::Drain, 0, 0, y_at, rows));
    job.vector(Vector { b_step: 1, ..vector(VecOp::Add, at.result, bias_at, y_at, rows) });
    job.vector(vector(VecOp::Requant, at.result, bias_at + rows as u32, y_at, rows));
    let got = job.run(&memory(shape, &x, (at.extra, &extra)));

    for r in 0..rows {
        let dot = |s: usize| -> i64 {
            (0..sub).map(|e| codebook[s][codes[r][s]][e] * x[s * sub + e]).sum()
        };
        let y: i64 = (0..subs).map(dot).sum::<i64>() + bias[r];
        let y = ((y * mul + (1 << (shift - 1))) >> shift).clamp(-128, 127);
        assert_eq!(got[at.result + r], y, "{rows}x{subs} row {r}");
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
        job.stream(s, &lay(&laid, &shape), 6);
        job.vector(vector(VecOp::Drain, 0, 0, 200, rows as usize));
        let argmax = shape.buffer.ops.contains(&VecOp::Argmax);
        if argmax {
            job.vector(vector(VecOp::Argmax, 200, 0, 290, rows as usize));
        }
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
        assert_eq!(got[200..200 + rows as usize], want, "{rows}x{cols} of {coats} coats");
        let best = want.iter().max();
        let at = want.iter().position(|y| Some(y) == best).unwrap();
        assert!(!argmax || got[290] == at as i64, "{} is not {at}", got[290]);
    }
}

/// Signs, and the counts of ones times a factor on top: y = sum(+-x) * 1 + 7 * ones.
#[test]
fn signs_with_their_counts_of_ones() {
    for (shape, rows, cols) in [(everything(), 18, 130), (everything(), 1, 64), (signed(), 48, 3)] {
        let mut rng = Rng(rows as u64 + 99);
        let x = bytes(&mut rng, cols);
        let bits: Vec<Vec<bool>> =
            (0..rows).map(|_| (0..cols).map(|_| rng.below(2) == 1).collect()).collect();
        let laid: Vec<Vec<u64>> = bits.iter().map(|b| beats(b)).collect();

        let mut job = Job::new(shape.clone());
        job.vector(vector(VecOp::LoadPlanes, 0, 0, 0, cols));
        job.stream(stream(&shape, StreamMode::Signs, laid[0].len()), &lay(&laid, &shape), 4);
        job.vector(vector(VecOp::DrainMac, 400, 300, 200, rows));
        job.vector(vector(VecOp::DrainOnes, 200, 301, 200, rows));
        job.vector(vector(VecOp::Sum, 200, 0, 160, rows));
        let got = job.run(&memory(&shape, &x, (300, &[1, 7])));

        for r in 0..rows {
            let sum: i64 = (0..cols).map(|c| if bits[r][c] { x[c] } else { -x[c] }).sum();
            let ones = bits[r].iter().filter(|b| **b).count() as i64;
            assert_eq!(got[200 + r], sum + 7 * ones, "{rows}x{cols} row {r}");
        }
        assert_eq!(got[160], got[200..200 + rows].iter().sum::<i64>());
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
        job.stream(stream(&shape, StreamMode::Mac, laid[0].len()), &lay(&laid, &shape), 4);
        job.vector(vector(VecOp::Drain, 0, 0, 250, rows));
        job.vector(vector(VecOp::Copy, 250, 0, 350, rows));
        let got = job.run(&memory(&shape, &x, (300, &[])));

        for r in 0..rows {
            let y: i64 = (0..cols).map(|c| weights[r][c] * x[c]).sum();
            assert_eq!(got[350 + r], y, "{rows}x{cols} row {r}");
        }
    }
}
