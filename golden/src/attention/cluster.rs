//! `cluster @kv, %keys, %values, %weights, %n, iterations=I`: a cache filled anew, with codebooks that
//! weighted k-means makes of its tokens, in integers.

use super::cache::{CacheState, Token};
use super::encode::nearest;
use pimc_ir::Side;

/// The cache with these tokens and no others. For every side, head and sub-vector the codebook is made of
/// the tokens that are held as codes, x_0..x_(C-1), which weigh `weights[p][g]` (`[n][G]`, not negative): centroid
/// c begins as x_floor(c*C/k); `iterations` times every x goes to its nearest centroid and every centroid
/// to the mean of what went to it, where that weighs anything. Where no token is held as codes, the
/// codebooks stay.
pub fn cluster(
    cache: &CacheState,
    tokens: &[Token],
    weights: &[i64],
    iterations: u32,
) -> CacheState {
    let ty = cache.ty();
    let compressed = ty.compressed(tokens.len());
    let middle = &tokens[ty.sink.min(tokens.len())..][..compressed];
    let codebooks = Side::BOTH.map(|side| {
        if compressed == 0 {
            return cache.codebook(side).to_vec();
        }
        let mut books = Vec::with_capacity(cache.codebook(side).len());
        for g in 0..ty.kv_heads {
            let weights: Vec<i64> =
                (0..compressed).map(|t| weights[(ty.sink + t) * ty.kv_heads + g]).collect();
            for j in 0..ty.parts() {
                let at = g * ty.dim + j * ty.sub;
                let xs: Vec<&[i8]> =
                    middle.iter().map(|t| &t.side(side)[at..at + ty.sub]).collect();
                books.extend(kmeans(&xs, &weights, ty.k, iterations));
            }
        }
        books
    });
    let mut filled = cache.emptied(codebooks);
    tokens.iter().for_each(|token| filled.append(token.clone()));
    filled
}

/// `k` centroids of the vectors `xs`, of which there is at least one.
fn kmeans(xs: &[&[i8]], weights: &[i64], k: usize, iterations: u32) -> Vec<i8> {
    let sub = xs[0].len();
    let mut book: Vec<i8> = (0..k).flat_map(|c| xs[c * xs.len() / k]).copied().collect();
    for _ in 0..iterations {
        let (mut sums, mut totals) = (vec![0i64; k * sub], vec![0i64; k]);
        for (x, &weight) in xs.iter().zip(weights) {
            let c = nearest(x, &book);
            totals[c] += weight;
            let sum = sums[c * sub..].iter_mut();
            sum.zip(*x).for_each(|(sum, &x)| *sum += weight * i64::from(x));
        }
        for (i, centroid) in book.iter_mut().enumerate() {
            let (sum, total) = (sums[i], totals[i / sub]);
            if total > 0 {
                // The mean of bytes is a byte, rounded to the nearest with halves upward.
                *centroid = (2 * sum + total).div_euclid(2 * total) as i8;
            }
        }
    }
    book
}
