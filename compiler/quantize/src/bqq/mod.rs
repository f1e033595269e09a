//! Binary quadratic quantization (arXiv 2510.18650), `bqq<RxC, bases, block>`.
//!
//! A block W (m x n) becomes sum_i (r_i Y_i Z_i + s_i rowsum(Y_i) + t_i colsum(Z_i)) + u with bit
//! matrices Y_i (m x l), Z_i (l x n). The stages:
//!
//! 1. Bases are found greedily, each on what the ones before leave ([`anneal`]).
//! 2. The block changes to the +-1 form, all 3p+1 scalars are solved jointly, and signs are turned
//!    as long as that lowers the error ([`signed`]).
//! 3. One step serves all scalars of the tensor, so that it can be folded into the requantiser:
//!    scalars are rounded to it, and the signs are polished once more against the rounded ones.

pub mod anneal;
pub mod scalars;
pub mod signed;
#[cfg(test)]
mod tests;

use crate::matrix::{bytes_of_i16, bytes_of_i32, pack_rows, Matrix, QuantizedMatrix};
use crate::random::Rng;
use anneal::{anneal, Anneal, Basis};
use pimc_ir::{bqq_inner, WeightType};
use rayon::prelude::*;
use scalars::Shape;
use signed::SignedBlock;

/// How a matrix becomes bit matrices and scalars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BqqSettings {
    /// Bases per block.
    pub bases: usize,
    /// Rows m of a block; divides the matrix's rows.
    pub block_rows: usize,
    /// Columns n of a block; divides the matrix's columns.
    pub block_cols: usize,
    /// The search for one basis.
    pub anneal: Anneal,
    /// Significant bits of the largest scalar, its sign included, 2..=16.
    pub scalar_bits: u32,
    /// Whether signs are turned one by one after the search (stage 2 and 3).
    pub polish: bool,
}

/// Rounds of joint solve and polishing at most; it mostly stops after a few.
const POLISH_ROUNDS: usize = 20;

/// Finds the bases of one block one after another. `done` is called after each.
pub fn greedy(
    w: &[f32],
    shape: Shape,
    bases: usize,
    settings: &Anneal,
    stream: impl Fn(usize) -> Rng,
    done: &(dyn Fn() + Sync),
) -> Vec<Basis> {
    let mut found: Vec<Basis> = Vec::with_capacity(bases);
    let mut residual = w.to_vec();
    for i in 0..bases {
        let basis = anneal(&residual, shape, settings, &mut stream(i));
        let one = SignedBlock::of(std::slice::from_ref(&basis), shape);
        residual = one.residual(&residual).into_iter().map(|e| e as f32).collect();
        found.push(basis);
        done();
    }
    found
}

/// Joint scalars and polished signs of a block, until no sign turns any more.
pub fn refine(block: &mut SignedBlock, w: &[f32], polish: bool) {
    block.solve_jointly(w);
    for _ in 0..POLISH_ROUNDS {
        if !polish || block.polish_signs(w) == 0 {
            break;
        }
        block.solve_jointly(w);
    }
}

/// Rounds the scalars to multiples of `step` and polishes the signs against them.
pub fn round_block(block: &mut SignedBlock, w: &[f32], step: f64, polish: bool) {
    block.round_scalars(w, step);
    if polish {
        block.polish_signs(w);
        block.round_scalars(w, step);
    }
}

/// The step of the scalars of a tensor: the largest of R, S, T gets `scalar_bits` bits, and U fits
/// in 32. A matrix without any scalar but zero is exact at any step.
pub fn scalar_step(blocks: &[SignedBlock], scalar_bits: u32) -> f64 {
    let top = f64::from((1u32 << (scalar_bits - 1)) - 1);
    let largest = blocks.iter().map(SignedBlock::largest_scalar).fold(0.0, f64::max);
    let u = blocks.iter().map(|b| b.u.abs()).fold(0.0, f64::max);
    let step = if largest > 0.0 { largest / top } else { u / top };
    // Twice the room that U needs now: rounding the others moves it a little.
    let step = step.max(u / f64::from(1u32 << 30));
    if step > 0.0 {
        step
    } else {
        1.0
    }
}

/// Quantizes `w`. `seed` and `name` choose the random streams; `done` is called after each basis.
pub fn quantize_bqq(
    w: &Matrix,
    s: &BqqSettings,
    seed: u64,
    name: &str,
    done: &(dyn Fn() + Sync),
) -> QuantizedMatrix {
    let (m, n) = (s.block_rows, s.block_cols);
    let shape = Shape { m, n, l: bqq_inner(m, n) };
    let across = w.cols / n;
    let block_of = |at: usize| -> Vec<f32> {
        let (br, bc) = (at / across, at % across);
        (0..m).flat_map(|i| &w.row(br * m + i)[bc * n..][..n]).copied().collect()
    };
    let count = w.rows / m * across;
    let mut blocks: Vec<SignedBlock> = (0..count)
        .into_par_iter()
        .map(|at| {
            let values = block_of(at);
            let stream = |i| Rng::for_piece(seed, name, &[at / across, at % across, i]);
            let bases = greedy(&values, shape, s.bases, &s.anneal, stream, done);
            let mut block = SignedBlock::of(&bases, shape);
            refine(&mut block, &values, s.polish);
            block
        })
        .collect();
    let step = scalar_step(&blocks, s.scalar_bits);
    blocks
        .par_iter_mut()
        .enumerate()
        .for_each(|(at, block)| round_block(block, &block_of(at), step, s.polish));
    store(w, s, shape, &blocks, step)
}

/// The tensors and the integer matrix of rounded blocks.
fn store(
    w: &Matrix,
    s: &BqqSettings,
    shape: Shape,
    blocks: &[SignedBlock],
    step: f64,
) -> QuantizedMatrix {
    let Shape { m, n, l } = shape;
    let across = w.cols / n;
    let int = |v: f64| (v / step).round() as i64;
    let is_plus = |v: &f32| *v > 0.0;
    let (mut y, mut z) = (Vec::new(), Vec::new());
    let (mut r, mut ss, mut t) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..s.bases {
        for block in blocks {
            y.extend(pack_rows(block.signs[i].a.iter().map(is_plus), l));
            z.extend(pack_rows(block.signs[i].b.iter().map(is_plus), n));
            let c = block.scalars[i];
            r.push(int(c.r) as i16);
            ss.push(int(c.s) as i16);
            t.push(int(c.t) as i16);
        }
    }
    let u: Vec<i32> = blocks.iter().map(|b| int(b.u) as i32).collect();
    let mut ints = vec![0i64; w.rows * w.cols];
    for (at, block) in blocks.iter().enumerate() {
        let (top, left) = (at / across * m, at % across * n);
        for (cell, v) in block.reconstruct().into_iter().enumerate() {
            ints[(top + cell / n) * w.cols + left + cell % n] = int(v);
        }
    }
    let count = blocks.len() as u64;
    let bits = count * (s.bases * l * (m + n)) as u64 + count * (48 * s.bases as u64 + 32) + 32;
    QuantizedMatrix {
        ty: WeightType::Bqq {
            rows: w.rows,
            cols: w.cols,
            bases: s.bases,
            block_rows: m,
            block_cols: n,
        },
        tensors: vec![
            y,
            z,
            bytes_of_i16(&r),
            bytes_of_i16(&ss),
            bytes_of_i16(&t),
            bytes_of_i32(&u),
        ],
        scale: vec![step; w.rows],
        ints,
        bits,
    }
}
