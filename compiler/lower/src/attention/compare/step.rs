//! A step of ours, measured: its schedule's clocks by part, and what it moves.

use super::{function, share, CompareError};
use crate::attention::bus::interval;
use crate::attention::CacheLayout;
use crate::plan::{lower, Plan};
use crate::target::Target;
use pimc_rtl::attention::{AttentionMode, AttentionShape, PROB_BITS};

/// A part of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it does.
    pub what: String,
    /// Clocks without refreshes.
    pub clocks: u64,
}

/// Bytes that go between the banks and the buffer die, over the bus of one pseudo-channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Queries, and what is appended.
    pub inputs: u64,
    /// Scores, added up over the banks of the pseudo-channel that hold a token together.
    pub scores: u64,
    /// Probabilities.
    pub probabilities: u64,
    /// Results before their division.
    pub results: u64,
}

impl Bytes {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.inputs + self.scores + self.probabilities + self.results
    }
}

/// A step of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Clocks of the schedule.
    pub cycles: u64,
    /// Those of the estimate.
    pub estimate: u64,
    /// Parts in order; with `refresh` they add up to `cycles`.
    pub parts: Vec<Part>,
    /// Clocks of refreshes.
    pub refresh: u64,
    /// Words of the program.
    pub program: usize,
    /// Bytes of the tables of one bank unit.
    pub table_bytes: u64,
    /// Clocks between two columns of codes, of keys and of values.
    pub intervals: [u32; 2],
    /// What goes over a pseudo-channel's bus.
    pub moved: Bytes,
    /// Bytes that the head takes in all its banks: codes, codebooks, exact tokens.
    pub stored: [u64; 3],
}

impl Measured {
    /// Clocks of a part; 0 if there is none of that name.
    pub fn part(&self, what: &str) -> u64 {
        self.parts.iter().filter(|p| p.what == what).map(|p| p.clocks).sum()
    }
}

/// Measures a step on a stack's share of one key/value head that `group` query heads share.
///
/// # Errors
/// If it cannot be lowered, or its commands are not legal.
pub fn measure(
    target: &Target,
    group: u32,
    context: u32,
    append: bool,
) -> Result<Measured, CompareError> {
    let target = share(target, group)?;
    let plan = lower(&function(group, context, append).model(&target.name, 1)?, &target)?;
    if let Some(violation) = plan.violation()? {
        return Err(CompareError::Illegal(violation));
    }
    let (parts, refresh) = parts(&plan)?;
    let (mut table_bytes, mut intervals) = (0, [0; 2]);
    let (mut moved, mut stored) = (Bytes::default(), [0; 3]);
    if let (Some(a), Some(cache)) = (&plan.shape.bank.attention, &plan.cache) {
        let l = &cache.layout;
        let compressed = u64::from(context.saturating_sub(a.exact_places()));
        let entry = u64::from(a.entry_bits() + a.sum_bits()) * u64::from(a.rows());
        let words = u64::from(a.slices * a.table_words(target.beat_bits) * l.chunk);
        table_bytes = (words * entry * u64::from(l.lanes)).div_ceil(8);
        let of = |mode| interval(mode, a, &target);
        intervals = [AttentionMode::Scores, AttentionMode::Buckets].map(of);
        moved = bytes(&target, a, l, compressed, append.into());
        stored = stored_bytes(&target, l, compressed);
    }
    let (cycles, estimate) = (plan.cycles, plan.estimate.cycles);
    let program = plan.program.len();
    Ok(Measured {
        cycles,
        estimate,
        parts,
        refresh,
        program,
        table_bytes,
        intervals,
        moved,
        stored,
    })
}

/// Clocks of the program's parts without refreshes, and those of the refreshes.
fn parts(plan: &Plan) -> Result<(Vec<Part>, u64), CompareError> {
    Ok(parts_of(plan, &step_clocks(plan)?))
}

/// The same from the clocks of the steps.
pub(super) fn parts_of(plan: &Plan, clocks: &[(u64, u64)]) -> (Vec<Part>, u64) {
    let names = ["start"].into_iter().chain(plan.steps.iter().map(|s| s.what.as_str()));
    let part = |(what, clocks): (&str, &(u64, u64))| Part {
        what: what.replace("head 0: ", "").replace("token 0, ", ""),
        clocks: clocks.0,
    };
    let refresh = clocks.iter().map(|c| c.1).sum();
    (names.zip(clocks).map(part).collect(), refresh)
}

/// Clocks of every step without refreshes, and those of its refreshes, in all runs; what precedes the first
/// step comes first.
pub(super) fn step_clocks(plan: &Plan) -> Result<Vec<(u64, u64)>, CompareError> {
    let rfc = u64::from(plan.target.timing.rfc);
    let mut steps = vec![(0, 0); plan.steps.len() + 1];
    let mut last: Option<(u64, usize)> = None;
    for issue in plan.walk() {
        let issue = issue?;
        if let Some((cycle, step)) = last {
            steps[step].0 += issue.cycle - cycle;
        }
        let step = plan.steps.partition_point(|s| s.first <= issue.index);
        if issue.refreshes() {
            steps[step].1 += rfc;
        }
        last = Some((issue.cycle, step));
    }
    // A refresh takes its clocks in the step that it comes in.
    steps.iter_mut().for_each(|s| s.0 = s.0.saturating_sub(s.1));
    Ok(steps)
}

/// What a step on one key/value head moves over a pseudo-channel's bus; the words that it is counted in are those for which
/// `bus::interval` leaves room.
pub(crate) fn bytes(
    target: &Target,
    a: &AttentionShape,
    l: &CacheLayout,
    compressed: u64,
    appended: u32,
) -> Bytes {
    let rows = u64::from(a.rows());
    // Token groups of a pseudo-channel, and tokens of one of them, padding included.
    let groups = u64::from((target.banks / a.members).max(1));
    let block = u64::from(l.lanes * l.beats);
    let codes = compressed.div_ceil(block * u64::from(l.groups)) * block;
    let exact = u64::from(l.exact_blocks * l.chunk * l.beats);
    let tokens = (codes + exact) * groups * rows;
    let dim = u64::from(a.dim);
    let bits = |count: u64, bits: u32| (count * u64::from(bits)).div_ceil(8);
    // Weights of a block come once for every slice of it.
    let probabilities = bits(tokens * u64::from(a.slices), PROB_BITS);
    Bytes {
        inputs: dim * (rows + 2 * u64::from(appended)),
        scores: bits(tokens, a.score_bits()),
        probabilities,
        results: bits(
            u64::from(target.banks.min(a.members) * a.slices * a.sub) * groups * rows,
            a.out_bits(),
        ),
    }
}

/// Bytes of the columns that hold codes, codebooks and exact tokens, in all banks.
fn stored_bytes(target: &Target, l: &CacheLayout, compressed: u64) -> [u64; 3] {
    let column = u64::from(target.column_bits / 8 * target.units());
    let blocks = compressed.div_ceil(u64::from(l.lanes * l.beats * l.groups));
    let both = 2 * u64::from(l.slices) * column;
    [both * blocks, both * u64::from(l.codebook_columns), both * u64::from(l.exact_blocks)]
}
