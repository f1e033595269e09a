//! The physical limit: the clocks that the DRAM alone needs for the bytes that a program moves.
//!
//! Every column of every stream takes the column interval of the DRAM, and every row the turnaround
//! that one open row a bank cannot hide: `max(rc, rcd + (columns - 1)*ccd + rtp + rp)` a row. All of
//! that is stretched by `refi / (refi - rfc)`, since refresh takes its share of any time. Nothing
//! else is in it: no load, no operation of the buffer unit, no wait for a result. So a ratio of 1
//! says that all of that is hidden or gone.

use crate::plan::Plan;
use crate::target::Target;

/// Clocks that the DRAM needs for `columns` columns of every bank that follow one another.
pub fn stream_limit(target: &Target, columns: u64) -> f64 {
    target.dram_clocks(columns) as f64 * target.refresh_factor()
}

/// Clocks that the DRAM needs for every stream of a plan's program.
pub fn physical_limit(plan: &Plan) -> f64 {
    streams(plan).map(|(_, columns)| stream_limit(&plan.target, columns)).sum()
}

/// The same of the streams of one op.
pub fn op_limit(plan: &Plan, op: usize) -> f64 {
    let of_op = streams(plan).filter(|s| s.0 == Some(op));
    of_op.map(|(_, columns)| stream_limit(&plan.target, columns)).sum()
}

/// The op and the columns of every stream that a program reads, as often as it does.
fn streams(plan: &Plan) -> impl Iterator<Item = (Option<usize>, u64)> + '_ {
    plan.steps.iter().filter_map(|step| {
        let stream = plan.streams.get(step.stream?)?;
        Some((step.op, u64::from(stream.columns)))
    })
}

/// Clocks as a multiple of a limit; none without one.
pub fn of_limit(clocks: u64, limit: f64) -> Option<f64> {
    (limit > 0.0).then(|| clocks as f64 / limit)
}
