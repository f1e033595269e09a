//! The report of a plan: where every clock went, what the DRAM alone would take, bytes, ranges and
//! widths. `report.json` is this structure; `report.html` shows it; `schedule/trace.json` is its
//! timeline for trace viewers.

mod activity;
mod cycles;
mod fit;
mod form;
mod form_page;
mod html;
mod limit;
mod roofline;
mod sizes;
mod tables;
mod timeline;
mod trace;

pub use cycles::{Cycles, Parts};
pub(crate) use fit::grouped;
pub use fit::MatvecPart;
pub use form::{
    BothPart, CausePart, FormReport, FormRun, GatherPart, MappingPart, MovedPart, PaperPart,
    ResidentStep,
};
pub use form_page::form_html;
pub use html::html;
use limit::op_limits;
pub use limit::{of_limit, physical_limit, stream_limit};
pub use sizes::{MemoryPart, WeightPart, WidthPart};
pub use trace::write_trace;

use crate::assembly::one_line;
use crate::estimate::Estimate;
use crate::plan::Plan;
use crate::target::Target;
use activity::Activity;
use pimc_ir::Model;
use serde::Serialize;
pub use sizes::AreaPart;
use sizes::{memories, pair, weights, widths};
use timeline::Timeline;

/// The version of `report.json`.
pub const FORMAT_VERSION: u32 = 1;

/// Everything that the report says.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this structure.
    pub format_version: u32,
    /// The module's file name.
    pub model: String,
    /// The target.
    pub target: TargetPart,
    /// One run of the program.
    pub run: RunPart,
    /// Per op, in order.
    pub ops: Vec<OpPart>,
    /// Per weight, in order.
    pub weights: Vec<WeightPart>,
    /// Per unit: the width of its sums and the range that proves it.
    pub widths: Vec<WidthPart>,
    /// Memories: bits built, bits that the target has.
    pub memories: Vec<MemoryPart>,
    /// The area proxy.
    pub area: AreaPart,
    /// Of a function on a cache: the same step in the paper's form.
    pub paper_form: Option<PaperPart>,
    #[serde(skip)]
    timeline: Timeline,
}

/// The target's numbers that the report compares with.
#[derive(Clone, Debug, Serialize)]
pub struct TargetPart {
    /// Its name.
    pub name: String,
    /// Pseudo-channels, which run in lock step.
    pub channels: u32,
    /// Banks of all of them.
    pub banks: u32,
    /// The clock in picoseconds.
    pub tck_ps: u32,
    /// GB/s of one bank: a column every column interval.
    pub peak_gb_s: f64,
    /// GB/s of one bank after row turnaround.
    pub after_rows_gb_s: f64,
    /// GB/s of one bank after refresh as well.
    pub after_refresh_gb_s: f64,
}

/// One run of the program.
#[derive(Clone, Debug, Serialize)]
pub struct RunPart {
    /// Clocks from the first command to the end.
    pub cycles: u64,
    /// Where they went.
    pub parts: Parts,
    /// Those of them that belong to no op: what comes behind the last one.
    pub end: Parts,
    /// What the cost model expected of the tasks before they were scheduled.
    pub estimate: Estimate,
    /// How far that is from the clocks, as a share of them.
    pub estimate_error: f64,
    /// Clocks that the DRAM alone needs for the columns that are read.
    pub limit_cycles: f64,
    /// The clocks as a multiple of that; none when nothing is read.
    pub of_limit: Option<f64>,
    /// The same in microseconds.
    pub microseconds: f64,
    /// Instructions of the program.
    pub instructions: usize,
    /// All-bank activates.
    pub activates: u64,
    /// All-bank column reads, and writes.
    pub reads: u64,
    /// Refreshes.
    pub refreshes: u64,
    /// Clocks in which the buffer unit works, other than collecting.
    pub buffer_cycles: u64,
    /// GB/s of one bank over the whole run.
    pub bank_gb_s: f64,
    /// That, as a share of the limit after rows and refresh.
    pub share_of_limit: f64,
}

/// One op.
#[derive(Clone, Debug, Serialize)]
pub struct OpPart {
    /// Its text.
    pub text: String,
    /// Its line, from 1.
    pub line: usize,
    /// The clock at which its first action issues.
    pub first_cycle: u64,
    /// Clocks that it takes: the sum of its parts.
    pub cycles: u64,
    /// Where they went.
    pub parts: Parts,
    /// What the cost model expected.
    pub estimate_cycles: u64,
    /// Clocks that the DRAM alone needs for the columns that it reads.
    pub limit_cycles: f64,
    /// Its clocks as a multiple of that; none when it reads nothing.
    pub of_limit: Option<f64>,
    /// All-bank column reads.
    pub reads: u64,
    /// Clocks of those reads at the column interval, as a share of the op's clocks.
    pub column_share: f64,
    /// A matvec's fit to the machine.
    pub matvec: Option<MatvecPart>,
    /// Where its value lies in vector memory: address and words.
    pub region: (u32, u32),
    /// Range of its value.
    pub value: Option<(String, String)>,
    /// Range of its accumulators, prefixes included.
    pub accumulator: Option<(String, String)>,
}

impl Report {
    /// The report of a plan of that model.
    pub fn new(plan: &Plan, model: &Model) -> Report {
        let activity = Activity::of(plan);
        let cycles = Cycles::of(plan, &activity);
        Report {
            format_version: FORMAT_VERSION,
            model: model.file_name.clone(),
            target: target(&plan.target),
            run: run(plan, &activity, &cycles),
            ops: ops(plan, model, &cycles),
            weights: weights(plan, model),
            widths: widths(plan, model),
            memories: memories(plan),
            area: AreaPart::new(plan),
            paper_form: PaperPart::new(plan, model, column_accesses(&activity)),
            timeline: Timeline::new(plan, &activity),
        }
    }
}

impl RunPart {
    /// One run of a plan's program.
    pub fn of(plan: &Plan) -> RunPart {
        let activity = Activity::of(plan);
        run(plan, &activity, &Cycles::of(plan, &activity))
    }
}

fn target(t: &Target) -> TargetPart {
    let limits = t.limits();
    TargetPart {
        name: t.name.clone(),
        channels: t.channels,
        banks: t.units(),
        tck_ps: t.timing.tck_ps,
        peak_gb_s: limits.peak,
        after_rows_gb_s: limits.after_rows,
        after_refresh_gb_s: limits.after_refresh,
    }
}

fn column_accesses(activity: &Activity) -> u64 {
    activity.rows.iter().map(|r| r.columns).sum()
}

/// All-bank column accesses of a plan.
fn accesses(plan: &Plan) -> u64 {
    column_accesses(&Activity::of(plan))
}

fn run(plan: &Plan, activity: &Activity, cycles: &Cycles) -> RunPart {
    let reads: u64 = activity.rows.iter().map(|r| r.columns).sum();
    let picoseconds = plan.cycles as f64 * f64::from(plan.target.timing.tck_ps);
    let bytes = reads as f64 * f64::from(plan.target.column_bits) / 8.0;
    let bank_gb_s = if plan.cycles == 0 { 0.0 } else { 1000.0 * bytes / picoseconds };
    let limit_cycles = physical_limit(plan);
    let estimate = plan.estimate.clone();
    RunPart {
        cycles: plan.cycles,
        parts: cycles.total,
        end: cycles.end,
        estimate_error: estimate.error(plan.cycles),
        estimate,
        limit_cycles,
        of_limit: of_limit(plan.cycles, limit_cycles),
        microseconds: picoseconds * 1e-6,
        instructions: plan.program.len(),
        activates: activity.rows.len() as u64,
        reads,
        refreshes: activity.refreshes.len() as u64,
        buffer_cycles: activity.buffer.iter().map(|b| b.span.to - b.span.from).sum(),
        bank_gb_s,
        share_of_limit: bank_gb_s / plan.target.limits().after_refresh,
    }
}

fn ops(plan: &Plan, model: &Model, cycles: &Cycles) -> Vec<OpPart> {
    let func = &model.module.func;
    let interval = u64::from(plan.target.column_interval());
    // Clock at which each op begins; an op without steps begins where the next one does.
    let mut begins = vec![None; func.ops.len()];
    let mut reads = vec![0u64; func.ops.len()];
    for step in plan.steps.iter().rev() {
        if let Some(op) = step.op {
            begins[op] = Some(step.cycle);
        }
    }
    for (op, columns) in limit::streams(plan) {
        if let Some(reads) = op.and_then(|op| reads.get_mut(op)) {
            *reads += columns;
        }
    }
    let limits = op_limits(plan, func.ops.len());
    let mut next = plan.cycles;
    for begin in begins.iter_mut().rev() {
        next = *begin.get_or_insert(next);
    }
    let part = |(i, op): (usize, &pimc_ir::Op)| {
        let parts = cycles.ops.get(i).copied().unwrap_or_default();
        let (clocks, limit_cycles) = (parts.total(), limits[i]);
        let region = plan.regions[func.value_of_op(i).0];
        let proof = &plan.proof.ops[i];
        let moving = (reads[i] * interval) as f64;
        OpPart {
            text: one_line(model.op_text(i)),
            line: model.line_col(&op.span).0,
            first_cycle: begins[i].unwrap_or(plan.cycles),
            cycles: clocks,
            parts,
            estimate_cycles: plan.estimate.ops.get(i).copied().unwrap_or(0),
            limit_cycles,
            of_limit: of_limit(clocks, limit_cycles),
            reads: reads[i],
            column_share: if clocks == 0 { 0.0 } else { moving / clocks as f64 },
            matvec: fit::matvec(plan, model, i),
            region: (region.addr, region.len),
            value: proof.value.map(pair),
            accumulator: proof.acc.map(pair),
        }
    };
    func.ops.iter().enumerate().map(part).collect()
}
