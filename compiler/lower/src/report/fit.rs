//! How a matvec fits the machine: what it computes and moves, which share of it is padding, which
//! banks have nothing to do, and what the other mapping would have cost.

use crate::mapping::{lookup_lanes, Choice, Content, Split, StreamPlace, Why};
use crate::plan::Plan;
use pimc_ir::types::bqq_inner;
use pimc_ir::{Model, OpKind, WeightType};
use serde::Serialize;

/// A matvec on the machine.
#[derive(Clone, Debug, Serialize)]
pub struct MatvecPart {
    /// Its weight.
    pub weight: String,
    /// Multiplications and additions that it stands for: rows times columns of its matrix.
    pub macs: u64,
    /// Bytes of the columns that it reads, of all banks.
    pub bytes: u64,
    /// Bits of those that say something about the weight; the copies of a codebook that several
    /// banks need are counted.
    pub bits_used: u64,
    /// Share of the banks' time in its streams in which a bank reads for no row, input or block.
    pub idle_banks: f64,
    /// Share of the bits that the other banks read that are padding.
    pub padding: f64,
    /// MACs of all units when a beat comes in every clock, in 10^9 a second.
    pub unit_gmacs: f64,
    /// Which dimension goes over the banks.
    pub split: Split,
    /// Why.
    pub why: Why,
    /// Clocks by the cost model when matrix rows go over the banks; none where the format forbids it.
    pub rows_cycles: Option<u64>,
    /// The same when inputs do.
    pub inputs_cycles: Option<u64>,
    /// All that in words: why the limit is not lower.
    pub words: Vec<String>,
}

impl MatvecPart {
    /// MACs per byte moved from the banks.
    pub fn intensity(&self) -> f64 {
        self.macs as f64 / self.bytes.max(1) as f64
    }
}

/// Bits of a stream in all banks, and of them those of banks with something to do, and those that
/// say something.
#[derive(Default)]
struct Bits {
    streamed: f64,
    busy: f64,
    used: u64,
}

/// Op `op` of a plan, if it is a matvec.
pub(super) fn matvec(plan: &Plan, model: &Model, op: usize) -> Option<MatvecPart> {
    let OpKind::Matvec { weight, .. } = model.module.func.ops.get(op)?.kind else { return None };
    let choice = *plan.splits.iter().find(|c| c.weight == weight)?;
    let (name, ty) = (&model.module.weights[weight.0].name.text, model.module.weights[weight.0].ty);
    let mut bits = Bits::default();
    let (mut columns, mut per_beat) = (0u64, 0.0f64);
    let steps = plan.steps.iter().filter(|s| s.op == Some(op));
    for place in steps.filter_map(|s| plan.streams.get(s.stream?)) {
        let streamed = f64::from(place.columns)
            * f64::from(plan.target.column_bits)
            * f64::from(plan.target.units());
        bits.streamed += streamed;
        bits.busy += streamed * busy(plan, &ty, place);
        bits.used += used(plan, &ty, place);
        columns += u64::from(place.columns);
        per_beat = per_beat.max(macs_per_beat(plan, &ty, place));
    }
    let bytes = columns * u64::from(plan.target.column_bits / 8) * u64::from(plan.target.units());
    let share = |part: f64, of: f64| if of > 0.0 { (1.0 - part / of).max(0.0) } else { 0.0 };
    let (idle_banks, padding) =
        (share(bits.busy, bits.streamed), share(bits.used as f64, bits.busy));
    let clocks_per_ns = 1000.0 / f64::from(plan.target.timing.tck_ps);
    let words = words(plan, &ty, &choice, idle_banks, padding);
    Some(MatvecPart {
        weight: name.clone(),
        macs: ty.rows() as u64 * ty.cols() as u64,
        bytes,
        bits_used: bits.used,
        idle_banks,
        padding,
        unit_gmacs: per_beat * clocks_per_ns * f64::from(plan.target.units()),
        split: choice.split,
        why: choice.why,
        rows_cycles: choice.rows,
        inputs_cycles: choice.inputs,
        words,
    })
}

/// Share of the banks' places in a stream that hold a row, slice or block.
fn busy(plan: &Plan, ty: &WeightType, place: &StreamPlace) -> f64 {
    let banks = f64::from(plan.target.units());
    let (there, taken) = match (*ty, place.split, place.content) {
        // Every bank builds all tables.
        (WeightType::Pq { .. }, Split::Rows, Content::Codebook) => return 1.0,
        (WeightType::Bqq { rows, cols, bases, block_rows, block_cols }, ..) => {
            let blocks = rows / block_rows * (cols / block_cols) * bases;
            (f64::from(place.rows), blocks as f64 * f64::from(place.slices))
        }
        (ty, Split::Rows, _) => (f64::from(place.rows), ty.rows() as f64),
        (WeightType::Int { cols, group, .. }, ..) => {
            (f64::from(place.inputs), group.unwrap_or(cols) as f64)
        }
        _ => (f64::from(place.inputs), f64::from(place.len)),
    };
    (taken / (there * banks)).min(1.0)
}

/// Bits in a stream of all banks that say something about the weight.
fn used(plan: &Plan, ty: &WeightType, place: &StreamPlace) -> u64 {
    let count = match (*ty, place.content) {
        (WeightType::Pq { k, .. }, Content::Codebook) => {
            let copies = match place.split {
                Split::Rows => plan.target.units() as usize,
                Split::Inputs => 1,
            };
            copies * place.len as usize * k * 8
        }
        (WeightType::Pq { rows, sub, k, .. }, _) => {
            rows * (place.len as usize / sub)
                * lookup_lanes(k, sub, plan.target.beat_bits).code_bits as usize
        }
        (WeightType::Bqq { rows, cols, bases, block_rows, block_cols }, _) => {
            let blocks = rows / block_rows * (cols / block_cols);
            let signs = bqq_inner(block_rows, block_cols) * (block_rows + block_cols);
            // r, s and t of every basis, u of every block.
            blocks * (bases * (signs + 3 * 16) + 32)
        }
        (WeightType::Supermask { rows, cols, coats, .. }, _) => rows * cols * coats,
        (WeightType::Int { rows, cols, bits, group }, _) => {
            rows * group.unwrap_or(cols) * bits as usize
        }
    };
    count as u64
}

/// MACs of the matrix that a beat of the stream stands for.
fn macs_per_beat(plan: &Plan, ty: &WeightType, place: &StreamPlace) -> f64 {
    let beat_bits = plan.target.beat_bits;
    match (*ty, place.content) {
        (WeightType::Pq { .. }, Content::Codebook) => 0.0,
        (WeightType::Pq { sub, k, .. }, _) => {
            f64::from(lookup_lanes(k, sub, beat_bits).lanes) * sub as f64
        }
        (WeightType::Supermask { coats, .. }, _) => f64::from(beat_bits) / coats as f64,
        (WeightType::Int { .. }, _) => f64::from(beat_bits / 8),
        (WeightType::Bqq { bases, block_rows, block_cols, .. }, _) => {
            let beats = (place.row_columns - 1) * plan.target.beats() + place.tail_beats;
            let per_block = f64::from(beats) * bases as f64 * f64::from(place.slices);
            (block_rows * block_cols) as f64 / per_block
        }
    }
}

fn words(plan: &Plan, ty: &WeightType, choice: &Choice, idle: f64, padding: f64) -> Vec<String> {
    let mut words = vec![chosen(choice, ty)];
    let banks = plan.target.units();
    // Less than half a tenth of a percent is nothing to speak of.
    let told = |share: f64| share >= 0.0005;
    if told(idle) {
        let (count, of) = match (*ty, choice.split) {
            (WeightType::Bqq { cols, bases, block_cols, .. }, _) => {
                let slices = choice.pieces as usize;
                (cols / block_cols * bases * slices, "blocks of all bases in a block row")
            }
            (WeightType::Int { group: Some(size), .. }, Split::Inputs) => {
                (size, "inputs in a group")
            }
            (WeightType::Pq { sub, cols, .. }, Split::Inputs) => {
                (cols / sub, "sub-vectors in a row")
            }
            (ty, Split::Inputs) => (ty.cols(), "inputs"),
            (ty, Split::Rows) => (ty.rows(), "rows"),
        };
        let what = if count < banks as usize {
            format!("there are {count} {of} for {banks} banks")
        } else {
            format!("{} {of} are no multiple of {banks} banks", grouped(count as u64))
        };
        words.push(format!("{:.1} % of the banks' time is idle: {what}", 100.0 * idle));
    }
    if told(padding) {
        let what = match *ty {
            WeightType::Int { bits, .. } if bits < 8 => {
                format!(
                    "a weight of {bits} bits takes a byte, and matrix rows end in whole columns"
                )
            }
            WeightType::Bqq { .. } => {
                "rows of a block's factors end in whole beats, blocks in whole columns".into()
            }
            WeightType::Pq { .. } => {
                "codes fill whole beats, matrix rows whole columns".to_string()
            }
            _ => format!("matrix rows end in whole columns of {} bits", plan.target.column_bits),
        };
        words.push(format!(
            "{:.1} % of the bits that they read are padding: {what}",
            100.0 * padding
        ));
    }
    if let (WeightType::Pq { .. }, Split::Rows) = (ty, choice.split) {
        words.push(format!("the codebook moves in each of {banks} banks"));
    }
    words
}

/// What the split was chosen from.
fn chosen(choice: &Choice, ty: &WeightType) -> String {
    let name = |split| match split {
        Split::Rows => "rows",
        Split::Inputs => "inputs",
    };
    let chosen = name(choice.split);
    let costs: Vec<String> = [(Split::Rows, choice.rows), (Split::Inputs, choice.inputs)]
        .iter()
        .filter_map(|&(split, clocks)| {
            Some(format!("{}: {} clocks", name(split), grouped(clocks?)))
        })
        .collect();
    let why = match choice.why {
        Why::Format => "the format allows no other way",
        Why::Target => "the target asks for it",
        Why::Clocks if choice.rows == choice.inputs => {
            "both take the same, and its results need no adding up"
        }
        Why::Clocks => "that takes fewer",
    };
    let cut = match (choice.split, ty) {
        _ if choice.pieces == 1 => String::new(),
        (_, WeightType::Bqq { .. }) => format!(
            "; every basis is cut into {} slices of its inner dimension, since whole ones would take {} clocks",
            choice.pieces,
            grouped(choice.uncut)
        ),
        _ => format!(
            "; cut into {} pieces of columns, since the tables of all do not fit the bank unit: {} clocks if they did",
            choice.pieces,
            grouped(choice.uncut)
        ),
    };
    format!("{} by the cost model; {chosen} go over the banks because {why}{cut}", costs.join(", "))
}

/// A number with commas between groups of three digits.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    out
}
