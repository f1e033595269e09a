//! `cargo bench -p pimc-quantize`: the error of binary quadratic quantization on Gaussian 128x128
//! matrices against the published figures (arXiv 2510.18650), and the time of a basis.
//!
//! Arguments after `--`: the steps of the search (50,000 unless told), the number of matrices (2). From
//! 50,000 steps on, a figure of any matrix that is not within 2 % of the published one is a failure.

use pimc_quantize::bqq::anneal::Anneal;
use pimc_quantize::bqq::scalars::Shape;
use pimc_quantize::bqq::signed::SignedBlock;
use pimc_quantize::bqq::{greedy, refine, round_block, scalar_step};
use pimc_quantize::random::Rng;
use rayon::prelude::*;
use std::time::Instant;

const SHAPE: Shape = Shape { m: 128, n: 128, l: 64 };
const BASES: usize = 4;
const SCALAR_BITS: u32 = 12;
/// Mean squared error of 1 to 4 bases, as published.
const PUBLISHED: [f64; BASES] = [0.3243, 0.1053, 0.0344, 0.0112];
const TOLERANCE: f64 = 0.02;

/// A normal matrix of seed `seed`, brought to zero mean and unit variance.
fn gaussian(seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    let values: Vec<f64> = (0..SHAPE.m * SHAPE.n).map(|_| rng.normal()).collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    values.iter().map(|v| ((v - mean) / variance.sqrt()) as f32).collect()
}

fn mse(block: &SignedBlock, w: &[f32]) -> f64 {
    block.residual(w).iter().map(|e| e * e).sum::<f64>() / w.len() as f64
}

/// Errors with 1 to 4 bases: as published (greedy bases), refined, and with rounded scalars.
fn errors(seed: u64, settings: &Anneal) -> [[f64; 3]; BASES] {
    let w = gaussian(seed);
    let stream = |i| Rng::for_piece(seed, "gaussian", &[i]);
    let bases = greedy(&w, SHAPE, BASES, settings, stream, &|| ());
    let mut all = [[0.0; 3]; BASES];
    for (p, row) in all.iter_mut().enumerate() {
        let mut block = SignedBlock::of(&bases[..=p], SHAPE);
        row[0] = mse(&block, &w);
        refine(&mut block, &w, true);
        row[1] = mse(&block, &w);
        let step = scalar_step(std::slice::from_ref(&block), SCALAR_BITS);
        round_block(&mut block, &w, step, true);
        row[2] = mse(&block, &w);
    }
    all
}

fn main() {
    // `cargo bench` adds `--bench`.
    let numbers: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let steps = numbers.first().copied().unwrap_or(50_000);
    let matrices = numbers.get(1).copied().unwrap_or(2).max(1);
    let settings = Anneal { steps, ..Anneal::default() };
    let begin = Instant::now();
    let all: Vec<[[f64; 3]; BASES]> =
        (1..=matrices as u64).into_par_iter().map(|seed| errors(seed, &settings)).collect();
    let seconds = begin.elapsed().as_secs_f64();
    println!("Gaussian 128x128, {steps} steps, mean squared error");
    println!(
        "seed  bases  published  greedy            refined           {SCALAR_BITS}-bit scalars"
    );
    let mut missed = false;
    for (seed, matrix) in (1..).zip(&all) {
        for (p, (stages, published)) in matrix.iter().zip(&PUBLISHED).enumerate() {
            let mut line = format!("{seed:4}  {:5}  {published:9.4}", p + 1);
            for mse in stages {
                let off = mse / published - 1.0;
                missed |= off.abs() > TOLERANCE;
                line.push_str(&format!("  {mse:.5} ({:+5.2}%)", 100.0 * off));
            }
            println!("{line}");
        }
    }
    let threads = rayon::current_num_threads().min(matrices);
    println!("{:.2} s per basis and thread", seconds * threads as f64 / (matrices * BASES) as f64);
    if missed && steps >= 50_000 {
        println!("not within {} % of the published figures", 100.0 * TOLERANCE);
        std::process::exit(1);
    }
}
