//! The report of a plan: bytes, clocks, use of the columns, ranges and widths. `report.json` is this
//! structure; `report.html` shows it.

mod html;
mod timeline;

pub use html::html;

use crate::assembly::one_line;
use crate::commands::{expand, Command, Expanded};
use crate::mapping::Content;
use crate::plan::Plan;
use crate::ranges::{Extent, Wide};
use pimc_ir::{weight_tensors, Model, OpKind};
use pimc_rtl::isa::{Action, VecOp};
use pimc_rtl::timing::vec_clocks;
use serde::Serialize;
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
    #[serde(skip)]
    timeline: Timeline,
}

/// The target's numbers that the report compares with.
#[derive(Clone, Debug, Serialize)]
pub struct TargetPart {
    /// Its name.
    pub name: String,
    /// Banks.
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
    /// The same in microseconds.
    pub microseconds: f64,
    /// Instructions of the program.
    pub instructions: usize,
    /// All-bank activates.
    pub activates: u64,
    /// All-bank column reads.
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
    /// Clocks until the next op's first action, or the end.
    pub cycles: u64,
    /// All-bank column reads.
    pub reads: u64,
    /// Clocks of those reads at the column interval, as a share of the op's clocks.
    pub column_share: f64,
    /// Where its value lies in vector memory: address and words.
    pub region: (u32, u32),
    /// Range of its value.
    pub value: Option<(String, String)>,
    /// Range of its accumulators, prefixes included.
    pub accumulator: Option<(String, String)>,
}

/// One weight.
#[derive(Clone, Debug, Serialize)]
pub struct WeightPart {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: String,
    /// Rows times columns.
    pub elements: u64,
    /// Bytes of its tensors.
    pub tensor_bytes: u64,
    /// Bits of its tensors per element.
    pub bits_per_weight: f64,
    /// Bytes of the columns that hold it, in all banks, padding included.
    pub bank_bytes: u64,
    /// Bytes of those columns that are codebooks, which every bank holds.
    pub codebook_bytes: u64,
}

/// The width of a unit's words.
#[derive(Clone, Debug, Serialize)]
pub struct WidthPart {
    /// Which.
    pub what: String,
    /// Its bits.
    pub bits: u32,
    /// Smallest value.
    pub lo: String,
    /// Largest value.
    pub hi: String,
    /// The line of the op that needs the most.
    pub line: usize,
}

/// A memory.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryPart {
    /// Which.
    pub what: String,
    /// Bytes used, rounded up.
    pub used: u64,
    /// Bytes there.
    pub there: u64,
}

fn pair(range: Wide) -> (String, String) {
    (range.0.to_string(), range.1.to_string())
}

impl Report {
    /// The report of a plan of that model.
    pub fn new(plan: &Plan, model: &Model) -> Report {
        let timeline = Timeline::new(plan);
        let ops = ops(plan, model);
        Report {
            format_version: FORMAT_VERSION,
            model: model.file_name.clone(),
            target: target(plan),
            run: run(plan),
            ops,
            weights: weights(plan, model),
            widths: widths(plan, model),
            memories: memories(plan),
            timeline,
        }
    }
}

fn target(plan: &Plan) -> TargetPart {
    let (t, limits) = (&plan.target, plan.target.limits());
    TargetPart {
        name: t.name.clone(),
        banks: t.units(),
        tck_ps: t.timing.tck_ps,
        peak_gb_s: limits.peak,
        after_rows_gb_s: limits.after_rows,
        after_refresh_gb_s: limits.after_refresh,
    }
}

fn run(plan: &Plan) -> RunPart {
    let (mut activates, mut reads, mut refreshes) = (0, 0, 0);
    for item in expand(&plan.program, plan.target.columns).flatten() {
        if let Expanded::Command(t) = item {
            match t.command {
                Command::Act { .. } => activates += 1,
                Command::Read { .. } => reads += 1,
                Command::Ref => refreshes += 1,
                Command::Pre | Command::Write { .. } | Command::Rfm => {}
            }
        }
    }
    let buffer_cycles = plan
        .program
        .iter()
        .map(|i| match i.action {
            Action::Vec(v) if !collects(v.op) => u64::from(vec_clocks(&v, &plan.shape)),
            _ => 0,
        })
        .sum();
    let picoseconds = plan.cycles as f64 * f64::from(plan.target.timing.tck_ps);
    let bytes = reads as f64 * f64::from(plan.target.column_bits) / 8.0;
    let bank_gb_s = if plan.cycles == 0 { 0.0 } else { 1000.0 * bytes / picoseconds };
    RunPart {
        cycles: plan.cycles,
        microseconds: picoseconds * 1e-6,
        instructions: plan.program.len(),
        activates,
        reads,
        refreshes,
        buffer_cycles,
        bank_gb_s,
        share_of_limit: bank_gb_s / plan.target.limits().after_refresh,
    }
}

fn ops(plan: &Plan, model: &Model) -> Vec<OpPart> {
    let func = &model.module.func;
    let interval = u64::from(plan.target.column_interval());
    // Clock at which each op begins; an op without steps begins where the next one does.
    let mut begins = vec![plan.cycles; func.ops.len() + 1];
    let mut reads = vec![0u64; func.ops.len()];
    for step in plan.steps.iter().rev() {
        if let Some(op) = step.op {
            begins[op] = step.cycle;
            reads[op] += step.stream.map_or(0, |s| u64::from(plan.streams[s].columns));
        }
    }
    for i in (0..func.ops.len()).rev() {
        if !plan.steps.iter().any(|s| s.op == Some(i)) {
            begins[i] = begins[i + 1];
        }
    }
    func.ops
        .iter()
        .enumerate()
        .map(|(i, op)| {
            let cycles = begins[i + 1].saturating_sub(begins[i]);
            let region = plan.regions[func.value_of_op(i).0];
            let proof = &plan.proof.ops[i];
            OpPart {
                text: one_line(model.op_text(i)),
                line: model.line_col(&op.span).0,
                first_cycle: begins[i],
                cycles,
                reads: reads[i],
                column_share: if cycles == 0 {
                    0.0
                } else {
                    (reads[i] * interval) as f64 / cycles as f64
                },
                region: (region.addr, region.len),
                value: proof.value.map(pair),
                accumulator: proof.acc.map(pair),
            }
        })
        .collect()
}

fn weights(plan: &Plan, model: &Model) -> Vec<WeightPart> {
    let column = u64::from(plan.target.column_bits) / 8 * u64::from(plan.target.units());
    let used = |op: &pimc_ir::Op| match op.kind {
        OpKind::Matvec { weight, .. } => Some(weight.0),
        _ => None,
    };
    let used: Vec<usize> = model.module.func.ops.iter().filter_map(used).collect();
    let weights = model.module.weights.iter().enumerate().filter(|(i, _)| used.contains(i));
    weights
        .map(|(i, w)| {
            let specs = weight_tensors(&w.name.text, &w.ty);
            let tensor_bytes: u64 = specs.iter().map(|s| s.bytes() as u64).sum();
            let elements = w.ty.rows() as u64 * w.ty.cols() as u64;
            let columns = |books: bool| -> u64 {
                let of = plan.streams.iter().filter(|s| s.weight.0 == i);
                of.filter(|s| !books || s.content == Content::Codebook)
                    .map(|s| u64::from(s.columns))
                    .sum()
            };
            WeightPart {
                name: w.name.text.clone(),
                ty: w.ty.to_string(),
                elements,
                tensor_bytes,
                bits_per_weight: 8.0 * tensor_bytes as f64 / elements as f64,
                bank_bytes: columns(false) * column,
                codebook_bytes: columns(true) * column,
            }
        })
        .collect()
}

fn widths(plan: &Plan, model: &Model) -> Vec<WidthPart> {
    let mut all = Vec::new();
    let mut push = |what: String, bits: u32, extent: &Extent| {
        let op = model.module.func.ops.get(extent.op);
        let line = op.map_or(0, |op| model.line_col(&op.span).0);
        let (lo, hi) = pair(extent.range);
        all.push(WidthPart { what, bits, lo, hi, line });
    };
    let (proof, shape) = (&plan.proof, &plan.shape);
    for l in &shape.bank.lookups {
        if let Some((entry, acc)) = proof.lookups.get(&(l.k as usize, l.sub as usize)) {
            let of = format!("k={}, sub={}", l.k, l.sub);
            push(format!("table entry, {of}"), l.entry_bits, entry);
            push(format!("lookup accumulator, {of}"), l.acc_bits, acc);
        }
    }
    if let Some(g) = &shape.bank.gated {
        push("bit-plane input".into(), g.planes, &proof.planes);
        push("gated adder tree's accumulator".into(), g.acc_bits, &proof.gated);
    }
    if let (Some(b), Some(p)) = (&shape.bank.blocks, &proof.blocks) {
        push("inner product of a block".into(), b.t_bits, &p.t);
        push("result of a block's row".into(), b.result_bits, &p.result);
    }
    if let Some(m) = &shape.bank.mac {
        push("multiply-add row's accumulator".into(), m.acc_bits, &proof.mac);
    }
    push("word of vector memory".into(), shape.buffer.word_bits, &proof.word);
    if shape.buffer.mul_bits > 0 {
        push("factor of the multiplier".into(), shape.buffer.mul_bits, &proof.factor);
    }
    if let Some(r) = &shape.buffer.requant {
        push("requantiser input".into(), r.in_bits, &proof.requant);
    }
    all
}

fn memories(plan: &Plan) -> Vec<MemoryPart> {
    let (t, bank) = (&plan.target, &plan.shape.bank);
    let bits = |a: u32, b: u32| u64::from(a) * u64::from(b);
    let tables: u64 =
        bank.lookups.iter().map(|l| bits(l.lanes, l.entry_bits) * bits(l.blocks, l.k)).sum();
    let planes =
        bank.gated.map_or(0, |g| bits(g.planes, g.groups) * u64::from(plan.shape.beat_bits));
    let buffer = &plan.shape.buffer;
    let part = |what: &str, bits: u64, there: u64| MemoryPart {
        what: what.into(),
        used: bits.div_ceil(8),
        there,
    };
    let rows = u64::from(plan.dram_rows) * t.row_bytes() * 8;
    vec![
        part("DRAM of a bank", rows, u64::from(t.rows) * t.row_bytes()),
        part("lookup tables of a bank unit", tables, t.table_bytes),
        part("inputs of a bank unit", bits(bank.byte_words, 64) + planes, t.input_bytes),
        part("vector memory", bits(buffer.depth, buffer.word_bits), t.vector_bytes),
        part(
            "program memory",
            bits(plan.shape.program_depth, plan.shape.isa.word_bits()),
            (u64::from(t.program_words) * u64::from(plan.shape.isa.word_bits())).div_ceil(8),
        ),
    ]
}

/// Whether an operation loads the inputs of the bank units.
fn loads(op: VecOp) -> bool {
    matches!(op, VecOp::LoadBytes | VecOp::LoadPlanes)
}

/// Whether an operation collects results, which takes as long as the stream that follows.
fn collects(op: VecOp) -> bool {
    matches!(op, VecOp::Collect | VecOp::CollectSum)
}
