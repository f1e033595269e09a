//! Whole channels, programs written by hand, against the arithmetic of the formats.

use crate::dram::Job;
use crate::shapes::{everything, Rng};
use pimc_rtl::isa::{Stream, VecOp, Vector};
use pimc_rtl::shape::{ChannelShape, StreamMode};

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

/// Words of vector memory: `x` at 0, zeros, and `extra` at 300.
fn memory(shape: &ChannelShape, x: &[i64], extra: &[i64]) -> Vec<i64> {
    let mut memory = vec![0; shape.buffer.depth as usize];
    memory[..x.len()].copy_from_slice(x);
    memory[300..300 + extra.len()].copy_from_slice(extra);
    memory
}

#[test]
fn a_product_quantized_matrix_with_bias_and_requantisation() {
    let shape = everything();
    let l = shape.bank.lookups[0];
    let (k, sub, lanes, chunk) = (l.k as usize, l.sub as usize, l.lanes as usize, l.chunk as usize);
    for (rows, subs) in [(20, 50), (1, 1), (80, 33), (16, 32)] {
        let mut rng = Rng(rows as u64);
        let x = bytes(&mut rng, subs * sub);
        let codebook: Vec<Vec<Vec<i64>>> =
            (0..subs).map(|_| (0..k).map(|_| bytes(&mut rng, sub)).collect()).collect();
        let codes: Vec<Vec<usize>> =
            (0..rows).map(|_| (0..subs).map(|_| rng.below(k as u32) as usize).collect()).collect();
        let (mul, shift) = (12345, 17);
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
        let every = vec![build.chunks(4).map(<[u64]>::to_vec).collect::<Vec<_>>(); 16];
        job.stream(stream(&shape, StreamMode::Build(0), build.len()), &every, 4);
        job.stream(stream(&shape, StreamMode::Lookup(0), blocks), &lay(&coded, &shape), 4);
        job.vector(vector(VecOp::Drain, 0, 0, 150, rows));
        job.vector(Vector { b_step: 1, ..vector(VecOp::Add, 150, 300, 150, rows) });
        job.vector(vector(VecOp::Requant, 150, 300 + rows as u32, 150, rows));
        let got = job.run(&memory(&shape, &x, &extra));

        for r in 0..rows {
            let dot = |s: usize| -> i64 {
                (0..sub).map(|e| codebook[s][codes[r][s]][e] * x[s * sub + e]).sum()
            };
            let y: i64 = (0..subs).map(dot).sum::<i64>() + bias[r];
            let y = ((y * mul + (1 << (shift - 1))) >> shift).clamp(-128, 127);
            assert_eq!(got[150 + r], y, "{rows}x{subs} row {r}");
        }
    }
}

fn mix32(mut v: u32) -> u32 {
    v ^= v >> 16;
    v = v.wrapping_mul(0x7feb_352d);
    v ^= v >> 15;
    v = v.wrapping_mul(0x846c_a68b);
    v ^ v >> 16
}

/// The sign of a weight: bit `col` of a row's sequence, 1 is minus.
fn sign(key: u32, row: u32, col: usize) -> i64 {
    let mut state = mix32(key ^ mix32(0x9E37_79B9u32.wrapping_mul(row + 1)));
    if state == 0 {
        state = 0x6D2B_79F5;
    }
    for _ in 0..=col / 32 {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
    }
    if state >> (col % 32) & 1 == 1 {
        -1
    } else {
        1
    }
}

/// Bits to beats of 64, the first lowest.
fn beats(bits: &[bool]) -> Vec<u64> {
    let word = |c: &[bool]| c.iter().enumerate().map(|(i, b)| u64::from(*b) << i).sum();
    bits.chunks(64).map(word).collect()
}

#[test]
fn a_supermask_of_one_to_three_coats() {
    let shape = everything();
    for (rows, cols, coats) in [(20, 100, 2), (1, 1, 1), (80, 192, 3), (33, 64, 1)] {
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
        job.vector(vector(VecOp::Argmax, 200, 0, 290, rows as usize));
        let got = job.run(&memory(&shape, &x, &[]));

        let y = |r: usize| -> i64 {
            let weight = |c: usize| {
                let kept = masks[r].iter().filter(|coat| coat[c]).count() as i64;
                sign(key, r as u32, c) * kept
            };
            (0..cols).map(|c| weight(c) * x[c]).sum()
        };
        let want: Vec<i64> = (0..rows as usize).map(y).collect();
        assert_eq!(got[200..200 + rows as usize], want, "{rows}x{cols} of {coats} coats");
        let best = want.iter().max();
        let at = want.iter().position(|y| Some(y) == best).unwrap();
        assert_eq!(got[290], at as i64);
    }
}

/// Signs, then the counts of ones times a factor on top: y = sum(+-x) * 1 + 7 * ones.
#[test]
fn signs_with_their_counts_of_ones_and_plain_weights() {
    let shape = everything();
    for (rows, cols) in [(18, 130), (1, 64), (48, 3)] {
        let mut rng = Rng(rows as u64 + 99);
        let x = bytes(&mut rng, cols);
        let bits: Vec<Vec<bool>> =
            (0..rows).map(|_| (0..cols).map(|_| rng.below(2) == 1).collect()).collect();
        let weights: Vec<Vec<i64>> = (0..rows).map(|_| bytes(&mut rng, cols)).collect();
        let signs: Vec<Vec<u64>> = bits.iter().map(|b| beats(b)).collect();
        let word = |c: &[i64]| {
            let mut beat = [0u8; 8];
            c.iter().zip(&mut beat).for_each(|(x, b)| *b = *x as i8 as u8);
            u64::from_le_bytes(beat)
        };
        let plain: Vec<Vec<u64>> =
            weights.iter().map(|w| w.chunks(8).map(word).collect()).collect();

        let mut job = Job::new(shape.clone());
        job.vector(vector(VecOp::LoadPlanes, 0, 0, 0, cols));
        job.stream(stream(&shape, StreamMode::Signs, signs[0].len()), &lay(&signs, &shape), 4);
        job.vector(vector(VecOp::DrainMac, 400, 300, 200, rows));
        job.vector(vector(VecOp::DrainOnes, 200, 301, 200, rows));
        job.vector(vector(VecOp::LoadBytes, 0, 8, 8, cols));
        job.stream(stream(&shape, StreamMode::Mac, plain[0].len()), &lay(&plain, &shape), 4);
        job.vector(vector(VecOp::Drain, 0, 0, 250, rows));
        job.vector(vector(VecOp::Sum, 250, 0, 160, rows));
        let got = job.run(&memory(&shape, &x, &[1, 7]));

        let mut total = 0;
        for r in 0..rows {
            let signed: i64 = (0..cols).map(|c| if bits[r][c] { x[c] } else { -x[c] }).sum();
            let ones = bits[r].iter().filter(|b| **b).count() as i64;
            assert_eq!(got[200 + r], signed + 7 * ones, "{rows}x{cols} signs of row {r}");
            let dot: i64 = (0..cols).map(|c| weights[r][c] * x[c]).sum();
            assert_eq!(got[250 + r], dot, "{rows}x{cols} weights of row {r}");
            total += dot;
        }
        assert_eq!(got[160], total);
    }
}
