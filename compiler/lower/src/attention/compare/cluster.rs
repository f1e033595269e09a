//! Clustering of a context's keys and values: what the paper's way moves, which is arithmetic, and ours, which
//! is the schedule of the op `cluster`.

use super::step::{parts_of, step_clocks};
use super::{function, share, CompareError, Part, HEADS};
use crate::attention::StepError;
use crate::plan::{lower, Plan};
use crate::target::Target;
use pimc_ir::generated_cache::{ClusterModel, Prompt};
use pimc_ir::CacheType;
use pimc_rtl::attention::AttentionShape;

/// Iterations: the paper's, and the default of the op.
pub const ITERATIONS: u32 = 4;
const VALUE_BYTES: u64 = 2;
const SIDES: u64 = 2;
/// Bits of a token's weight in our program.
const WEIGHT_BITS: u32 = 16;

/// The paper's way on one stack, of one layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Distances {
    /// Bytes that it sends to the buffer die in an iteration: a distance of 16 bits of every token to every
    /// centroid, of every sub-vector, head and side.
    pub bytes: u64,
    /// Clocks in which the pseudo-channels' buses carry those of all iterations.
    pub bus_clocks: u64,
    /// Clocks in which the codebooks, of 16 bits, pass for every token, in all iterations.
    pub pass_clocks: u64,
}

impl Distances {
    /// Those of so many tokens.
    ///
    /// # Errors
    /// None of the targets that are built in.
    pub fn new(target: &Target, tokens: u64) -> Result<Distances, CompareError> {
        let ty = function(1, 4096, true).ty;
        let target = share(target, 1)?;
        let (dim, sub, k) = (ty.dim as u64, ty.sub as u64, ty.k as u64);
        let banks = u64::from(target.banks);
        let column = u64::from(target.column_bits / 8);
        let rate = column / u64::from(target.timing.extra.bl.unwrap_or(2).max(1));
        let stretch = |clocks: u64| (clocks as f64 * target.refresh_factor()).round() as u64;
        let per_bank = SIDES * tokens * k * VALUE_BYTES;
        let pass = target.dram_clocks((k * sub * VALUE_BYTES).div_ceil(column));
        let iterations = u64::from(ITERATIONS);
        Ok(Distances {
            bytes: per_bank * (dim / sub) * u64::from(HEADS),
            bus_clocks: stretch(iterations * per_bank * banks / rate),
            pass_clocks: stretch(iterations * SIDES * tokens * pass),
        })
    }
}

/// Our program on one stack, of one layer: all heads at once, each on its own pseudo-channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clustering {
    /// Tokens that are encoded while a codebook passes.
    pub encoders: u32,
    /// Clocks of the schedule, refresh included, without the attend of the last run.
    pub cycles: u64,
    /// Those of the estimate.
    pub estimate: u64,
    /// Parts of it without refreshes, which take `refresh` clocks.
    pub parts: Vec<Part>,
    /// Clocks of refreshes.
    pub refresh: u64,
    /// Runs of the program.
    pub runs: u64,
    /// Words of the program, and of argument memory.
    pub words: [u64; 2],
    /// Bytes of the sums of a bank.
    pub sum_bytes: u64,
    /// Bytes that the host writes for all heads: tokens as they lie in the banks, padding included, and
    /// arguments, which hold the weights.
    pub written: [u64; 2],
}

impl Clustering {
    /// Clustering of so many tokens by units of so many encoders at most.
    ///
    /// # Errors
    /// If it cannot be lowered, or its commands are not legal.
    pub fn new(target: &Target, tokens: usize, encoders: u32) -> Result<Clustering, CompareError> {
        let encoders = encoders.to_string();
        let target = share(target, 1)?.with(&[("unit", "encoders", &encoders)])?;
        let f = ClusterModel {
            ty: CacheType { start: 0, ..function(1, 4096, true).ty },
            tokens,
            queries: 1,
            iterations: ITERATIONS,
            weight_bits: WEIGHT_BITS,
        };
        let plan = lower(&f.builder(&target.name, 1).build()?, &target)?;
        if let Some(violation) = plan.violation()? {
            return Err(CompareError::Illegal(violation));
        }
        let clocks = step_clocks(&plan)?;
        // What comes before the first step is the cluster's too.
        let mine = |step: usize| step == 0 || plan.steps[step - 1].op == Some(0);
        let of = |f: &dyn Fn(usize) -> u64| (0..clocks.len()).filter(|&i| mine(i)).map(f).sum();
        let (mut parts, _) = parts_of(&plan, &clocks);
        let mut step = 0..;
        parts.retain(|_| step.next().is_some_and(mine));
        let (runs, written) = written(&plan, &f)?;
        let sums = |a: &AttentionShape| a.mean_memory_bits(target.beat_bits).div_ceil(8);
        let attention = plan.shape.bank.attention.as_ref();
        Ok(Clustering {
            encoders: attention.map_or(1, AttentionShape::encoders),
            cycles: of(&|i| clocks[i].0 + clocks[i].1),
            estimate: plan.estimate.ops.first().copied().unwrap_or(0),
            parts,
            refresh: of(&|i| clocks[i].1),
            runs,
            words: [plan.program.len() as u64, plan.shape.arg_words.into()],
            sum_bytes: attention.map_or(0, sums),
            written,
        })
    }
}

/// How many runs a step takes, and the bytes of tokens and of arguments that the host writes for it.
fn written(plan: &Plan, f: &ClusterModel) -> Result<(u64, [u64; 2]), StepError> {
    let Some(mut driver) = plan.driver() else { return Ok((0, [0; 2])) };
    let inputs = f.step(1, Prompt::Noise, f.tokens);
    let launches = plan.launches(&mut driver, &inputs)?;
    let column = u64::from(plan.target.column_bits / 8);
    let (mut columns, mut words) = (0, 0);
    for launch in &launches {
        columns += launch.columns.len() as u64;
        words += launch.args.len() as u64;
    }
    let heads = u64::from(HEADS);
    Ok((launches.len() as u64, [columns * column * heads, 4 * words * heads]))
}
