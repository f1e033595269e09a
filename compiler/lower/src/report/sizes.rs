//! Sizes: the bytes of weights, the widths of sums and what proves them, the memories.

use crate::area::{unit_memory_bits, Area, ATTACC_UNIT_MM2};
use crate::mapping::Content;
use crate::plan::Plan;
use crate::ranges::{Extent, Wide};
use pimc_ir::{weight_tensors, Model, OpKind};
use serde::Serialize;

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

pub(super) fn pair(range: Wide) -> (String, String) {
    (range.0.to_string(), range.1.to_string())
}

pub(super) fn weights(plan: &Plan, model: &Model) -> Vec<WeightPart> {
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

pub(super) fn widths(plan: &Plan, model: &Model) -> Vec<WidthPart> {
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

/// The area of the hardware, by the proxy.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AreaPart {
    /// Gate equivalents.
    #[serde(flatten)]
    pub gates: Area,
    /// What the target allows a bank unit; none where it sets no bound.
    pub unit_budget: Option<u64>,
    /// Square millimetres of a bank unit in a DRAM process.
    pub bank_mm2: f64,
    /// The same over AttAcc's bank unit; [`crate::area::ATTACC_UNITS_BORNE`] of them are a quarter of
    /// a die.
    pub of_attacc: f64,
}

impl AreaPart {
    pub(super) fn new(plan: &Plan) -> AreaPart {
        let gates = Area::of(&plan.shape);
        let bank_mm2 = gates.bank_mm2();
        let of_attacc = bank_mm2 / ATTACC_UNIT_MM2;
        AreaPart { gates, unit_budget: plan.target.unit_gates, bank_mm2, of_attacc }
    }
}

pub(super) fn memories(plan: &Plan) -> Vec<MemoryPart> {
    let (t, bank) = (&plan.target, &plan.shape.bank);
    let bits = |a: u32, b: u32| u64::from(a) * u64::from(b);
    let tables: u64 =
        bank.lookups.iter().map(|l| bits(l.lanes, l.entry_bits) * bits(l.blocks, l.k)).sum();
    let attention = bank.attention.as_ref();
    let tables = tables + attention.map_or(0, |a| unit_memory_bits(a, &plan.shape));
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
        part(
            "inputs of a bank unit",
            bits(bank.byte_words, plan.shape.load_bits()) + planes,
            t.input_bytes,
        ),
        part("vector memory", bits(buffer.depth, buffer.word_bits), t.vector_bytes),
        part(
            "program memory",
            bits(plan.shape.program_depth, plan.shape.isa.word_bits()),
            (u64::from(t.program_words) * u64::from(plan.shape.isa.word_bits())).div_ceil(8),
        ),
    ]
}
