//! Clustering of a context's keys and values: what the paper's way moves, and ways within the banks.
//!
//! No program of ours clusters (golden does, by the op `cluster`): apart from the clocks in which a token
//! is encoded, which are those of a schedule, this is arithmetic.

use super::step::parts;
use super::{function, share, CompareError, HEADS, PSEUDO_CHANNELS};
use crate::plan::lower;
use crate::target::Target;

/// Iterations: the paper's, and the default of the op.
pub const ITERATIONS: u64 = 4;
const VALUE_BYTES: u64 = 2;
const SIDES: u64 = 2;
/// Of 512 centroids.
const CODE_BITS: u32 = 9;

/// A way within the banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batched {
    /// Tokens that are compared with a centroid at once.
    pub tokens: u64,
    /// Clocks, refresh included.
    pub clocks: u64,
}

/// Clustering on one stack, of one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clustering {
    /// Tokens.
    pub tokens: u64,
    /// Bytes that the paper's way sends to the buffer die in an iteration: a distance of 16 bits of every
    /// token to every centroid, of every sub-vector, head and side.
    pub distance_bytes: u64,
    /// Clocks in which the pseudo-channels' buses carry those of all iterations.
    pub bus_clocks: u64,
    /// Clocks in which the codebooks, of 16 bits, pass for every token, in all iterations.
    pub pass_clocks: u64,
    /// Clocks in which a token's key and value are encoded, by the schedule, without refreshes.
    pub encode_clocks: u64,
    /// Clocks of encoding token after token, as often as needed, and of the centroids' updates.
    pub one_by_one: u64,
    /// Clocks with several tokens at once.
    pub batched: Vec<Batched>,
    /// Bytes that the ways within the banks move, in all iterations.
    pub update_bytes: u64,
}

impl Clustering {
    /// Clustering of so many tokens.
    ///
    /// # Errors
    /// If the schedule that encodes a token cannot be made.
    pub fn new(target: &Target, tokens: u64) -> Result<Clustering, CompareError> {
        let f = function(1, 4096, true);
        let target = share(target, 1)?;
        let (dim, sub, k) = (f.ty.dim as u64, f.ty.sub as u64, f.ty.k as u64);
        let banks = u64::from(target.banks);
        let column = u64::from(target.column_bits / 8);
        let rate = column / u64::from(target.timing.extra.bl.unwrap_or(2).max(1));
        let parts_of_head = dim / sub;
        let stretch = |clocks: u64| (clocks as f64 * target.refresh_factor()).round() as u64;

        // The paper's way.
        let per_bank = SIDES * tokens * k * VALUE_BYTES;
        let distance_bytes = per_bank * parts_of_head * u64::from(HEADS);
        let bus_clocks = ITERATIONS * per_bank * banks / rate;
        let pass = target.dram_clocks((k * sub * VALUE_BYTES).div_ceil(column));
        let pass_clocks = ITERATIONS * SIDES * tokens * pass;

        // Within the banks: after the last iteration every token is encoded once more.
        let passes = ITERATIONS + 1;
        let encode_clocks = encode_clocks(&target)?;
        // Sums of the elements and of the weights, of 32 bits, leave; centroids come back; weights come in.
        let sums = 4 * k * (sub + 1) * banks;
        let centroids = k * sub * banks;
        let weights = 4 * tokens;
        let update_bus = ITERATIONS * SIDES * (sums + centroids + weights);
        let book = target.dram_clocks((k * sub).div_ceil(column));
        // A codebook is written as fast as it is read.
        let update = update_bus / rate + ITERATIONS * SIDES * book;
        // Codes are written once, after the last pass.
        let codes_of_column = u64::from(target.column_bits / 64 * (64 / CODE_BITS));
        let codes = SIDES * target.dram_clocks(tokens.div_ceil(codes_of_column));
        let batched = |batch: u64| {
            let taken = target.dram_clocks((batch * sub).div_ceil(column));
            let compared = passes * SIDES * tokens.div_ceil(batch) * (taken + book);
            let clocks = compared + codes + update;
            Batched { tokens: batch, clocks: stretch(clocks) }
        };
        Ok(Clustering {
            tokens,
            distance_bytes,
            bus_clocks: stretch(bus_clocks),
            pass_clocks: stretch(pass_clocks),
            encode_clocks,
            one_by_one: stretch(passes * tokens * encode_clocks + update),
            batched: [1, 4, 8, 32].map(batched).to_vec(),
            update_bytes: update_bus * u64::from(PSEUDO_CHANNELS),
        })
    }
}

/// Clocks in which the schedule encodes the key and the value of a token that leaves the window: the second
/// one of a step, for the first was encoded a step ahead.
fn encode_clocks(target: &Target) -> Result<u64, CompareError> {
    let mut f = function(1, 4096, true);
    f.queries = 2;
    let plan = lower(&f.model(&target.name, 1)?, target)?;
    let (parts, _) = parts(&plan)?;
    let leaves = parts.iter().filter(|p| p.what.ends_with("encode the token that leaves"));
    Ok(leaves.map(|p| p.clocks).max().unwrap_or_default())
}
