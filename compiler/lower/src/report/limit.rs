//! The physical limit: the clocks that the DRAM alone needs for the bytes that a program moves.
//!
//! Every column of every stream takes the column interval of the DRAM, and every row the turnaround
//! that one open row a bank cannot hide: `max(rc, rcd + (columns - 1)*ccd + rtp + rp)` a row. All of
//! that is stretched by `refi / (refi - rfc)`, since refresh takes its share of any time. Nothing
//! else is in it: no load, no operation of the buffer unit, no wait for a result. So a ratio of 1
//! says that all of that is hidden or gone.

use crate::plan::{Plan, Step};
use crate::target::Target;
use pimc_rtl::isa::Action;

/// Clocks that the DRAM needs for `columns` columns of every bank that follow one another.
pub fn stream_limit(target: &Target, columns: u64) -> f64 {
    target.dram_clocks(columns) as f64 * target.refresh_factor()
}

/// Clocks that the DRAM needs for every stream of a plan's program.
pub fn physical_limit(plan: &Plan) -> f64 {
    streams(plan).iter().map(|(_, columns)| stream_limit(&plan.target, *columns)).sum()
}

/// The same of the streams of each op of the function.
pub(super) fn op_limits(plan: &Plan, ops: usize) -> Vec<f64> {
    let mut limits = vec![0.0; ops];
    for (op, columns) in streams(plan) {
        if let Some(limit) = op.and_then(|op| limits.get_mut(op)) {
            *limit += stream_limit(&plan.target, columns);
        }
    }
    limits
}

/// The op and the columns of every stream that a program reads, as often as it does; of a program on a
/// cache those of the run that is told about.
pub(super) fn streams(plan: &Plan) -> Vec<(Option<usize>, u64)> {
    if plan.cache.is_some() {
        let mut reads = vec![0; plan.steps.len()];
        for issue in plan
            .walk()
            .flatten()
            .filter(|issue| matches!(issue.action, Action::Read | Action::Write))
        {
            let step = plan.steps.partition_point(|s| s.first <= issue.index);
            if let Some(reads) = reads.get_mut(step.saturating_sub(1)) {
                *reads += 1;
            }
        }
        let ops = plan.steps.iter().map(|step| step.op);
        return ops.zip(reads).filter(|(_, reads)| *reads > 0).collect();
    }
    let of_step = |step: &Step| {
        let stream = plan.streams.get(step.stream?)?;
        Some((step.op, u64::from(stream.columns)))
    };
    plan.steps.iter().filter_map(of_step).collect()
}

/// Clocks as a multiple of a limit; none without one.
pub fn of_limit(clocks: u64, limit: f64) -> Option<f64> {
    (limit > 0.0).then(|| clocks as f64 / limit)
}
