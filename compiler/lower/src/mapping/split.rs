//! Which dimension of a matrix goes over the banks.
//!
//! | split | a bank holds | its codebook | its results |
//! |---|---|---|---|
//! | rows | whole rows, row r in bank r mod banks | all of it | elements of y |
//! | inputs | a slice of every row, the first in bank 0 | of its slice | to be added up over the banks |
//!
//! A matrix may also be cut: a PQ matrix into pieces of neighbouring columns that follow one another,
//! each with its own tables, so that the tables fit the unit's memory; the bases of binary quadratic
//! blocks into slices of their inner dimension, which are bases of their own, so that there is work
//! for every bank.
//!
//! Dealing out the inputs divides the codebook and the tables by the number of banks, where dealing
//! out the rows repeats them in each; but a slice must still fill its columns. The columns that
//! each way streams, and the loads of the inputs, decide.

use super::streams::{lookup_blocks, lookup_lanes, Measure};
use super::Content;
use crate::target::Target;
use pimc_ir::types::bqq_inner;
use pimc_ir::{WeightId, WeightType};
use pimc_rtl::timing::VEC_LATENCY;
use serde::Serialize;

/// Which dimension of a matrix goes over the banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Matrix row r is in bank r mod banks, at index r / banks.
    Rows,
    /// Every matrix row is in every bank, a slice of its inputs in each; binary quadratic weights:
    /// the blocks and bases of a block row, number n in bank n mod banks.
    Inputs,
}

/// Why a weight is split the way it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// Its format can be dealt out over the banks in this way alone.
    Format,
    /// The target asks for it.
    Target,
    /// It takes the fewest clocks.
    Clocks,
}

/// The split of a weight and what it was chosen from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Choice {
    /// The weight.
    pub weight: WeightId,
    /// How it is split.
    pub split: Split,
    /// Pieces that follow one another, or slices of every basis.
    pub pieces: u32,
    /// Why.
    pub why: Why,
    /// Clocks when matrix rows go over the banks, by the cost model; none where the format forbids
    /// it.
    pub rows: Option<u64>,
    /// The same when inputs do.
    pub inputs: Option<u64>,
    /// The same of the way chosen when nothing is cut, whether that fits or not.
    pub uncut: u64,
}

/// How a matrix is dealt out and cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) split: Split,
    pub(super) pieces: u32,
}

/// Slices of a basis that are tried.
const MOST_SLICES: u32 = 16;
/// Planes of inputs that the cost model reckons with, and clocks of a load besides its planes.
const PLANES: u64 = 8;
const LOAD: u64 = PLANES + VEC_LATENCY as u64;

/// How a weight is dealt out and cut, with what each way costs. `entry_bits` is what an entry of its
/// tables can take, `table_bits` the memory of a bank that there is for them.
pub(super) fn choose(
    weight: WeightId,
    ty: &WeightType,
    target: &Target,
    entry_bits: u32,
    table_bits: u64,
) -> Choice {
    let best = |split| {
        let ways = ways(ty, split, target, entry_bits, table_bits).into_iter();
        ways.map(|way| (clocks(ty, way, target), way.pieces)).min()
    };
    let choice = |split, why, rows: Option<(u64, u32)>, inputs: Option<(u64, u32)>| {
        let of = if split == Split::Rows { rows } else { inputs };
        Choice {
            weight,
            split,
            pieces: of.map_or(1, |c| c.1),
            why,
            rows: rows.map(|c| c.0),
            inputs: inputs.map(|c| c.0),
            uncut: clocks(ty, Way { split, pieces: 1 }, target),
        }
    };
    match ty {
        // Signs are generated along a whole row.
        WeightType::Supermask { .. } => choice(Split::Rows, Why::Format, best(Split::Rows), None),
        WeightType::Bqq { .. } => choice(Split::Inputs, Why::Format, None, best(Split::Inputs)),
        WeightType::Pq { .. } | WeightType::Int { .. } => {
            let (rows, inputs) = (best(Split::Rows), best(Split::Inputs));
            let fewer = inputs.map(|c| c.0) < rows.map(|c| c.0);
            match target.split {
                Some(split) => choice(split, Why::Target, rows, inputs),
                None if fewer => choice(Split::Inputs, Why::Clocks, rows, inputs),
                None => choice(Split::Rows, Why::Clocks, rows, inputs),
            }
        }
    }
}

/// The ways to cut a matrix, for that split.
fn ways(
    ty: &WeightType,
    split: Split,
    target: &Target,
    entry_bits: u32,
    table_bits: u64,
) -> Vec<Way> {
    match *ty {
        WeightType::Bqq { block_rows, block_cols, .. } => {
            let inner = bqq_inner(block_rows, block_cols) as u32;
            // As the view of a part of a weight allows: whole bytes of a row of A.
            let sound = |s: &u32| *s == 1 || inner % s == 0 && inner / s % 8 == 0;
            let slices = (1..=MOST_SLICES).filter(sound);
            slices.map(|pieces| Way { split, pieces }).collect()
        }
        WeightType::Pq { k, sub, cols, .. } => {
            let lookup = lookup_lanes(k, sub, target.beat_bits);
            let block = u64::from(lookup.lanes) * k as u64 * u64::from(entry_bits);
            let whole = Measure::new(ty, Content::Codebook, Way { split, pieces: 1 }, 0, target);
            let blocks = lookup_blocks(&lookup, whole.inputs as usize);
            // At least a block, whether it fits or not; then the plan says what is missing.
            let pieces = blocks.div_ceil((table_bits / block.max(1)).max(1));
            let most = (cols / sub) as u64;
            vec![Way { split, pieces: pieces.clamp(1, most.max(1)) as u32 }]
        }
        _ => vec![Way { split, pieces: 1 }],
    }
}

/// Clocks that a weight takes: its columns, one open row at a time with refresh not counted, the loads
/// of its inputs, and what its pieces take besides.
fn clocks(ty: &WeightType, way: Way, target: &Target) -> u64 {
    let columns = |content, piece| {
        let measure = Measure::new(ty, content, way, piece, target);
        target.column_clocks(measure.columns(target))
    };
    let banks = u64::from(target.units());
    let latency = u64::from(VEC_LATENCY);
    // A load moves the bytes of a beat a clock, and every load waits for the one before.
    let bytes = |inputs: usize| (inputs as u64).div_ceil(u64::from(target.beat_bits / 8));
    let loads = match way.split {
        Split::Rows => latency,
        Split::Inputs => banks * latency,
    };
    match *ty {
        WeightType::Pq { rows, cols, .. } => {
            let pieces = pieces(ty, way, target).len() as u64;
            let streams: u64 = (0..pieces as u32)
                .map(|piece| columns(Content::Codebook, piece) + columns(Content::Codes, piece))
                .sum();
            // The sums of every piece but the first are added to those before.
            let adds = (pieces - 1) * ((rows as u64).div_ceil(banks) + latency);
            streams.saturating_add(pieces * loads + adds + bytes(cols))
        }
        WeightType::Int { cols, group, .. } => {
            let groups = group.map_or(1, |size| (cols / size) as u64);
            let each = columns(Content::Int { group: 0 }, 0).saturating_add(loads);
            groups.saturating_mul(each).saturating_add(bytes(cols))
        }
        WeightType::Supermask { cols, .. } => columns(Content::Mask, 0) + loads + bytes(cols),
        WeightType::Bqq { cols, bases, block_cols, .. } => {
            let measure = Measure::new(ty, Content::Blocks, way, 0, target);
            let slots = u64::from(measure.block.slots_less_1) + 1;
            // Neighbouring banks that share a block column load together.
            let sharing = (bases as u64 * u64::from(way.pieces)).min(banks);
            let columns_of_slot = banks.div_ceil(sharing).min((cols / block_cols) as u64);
            let group = PLANES.max(u64::from(target.beat_bits) / banks.max(1));
            let load = (block_cols as u64).div_ceil(u64::from(target.beat_bits)) * group + LOAD;
            columns(Content::Blocks, 0).saturating_add(slots * columns_of_slot * load)
        }
    }
}

/// The pieces of neighbouring columns of a PQ matrix: first input and inputs of each.
pub(super) fn pieces(ty: &WeightType, way: Way, target: &Target) -> Vec<(usize, usize)> {
    let WeightType::Pq { cols, sub, k, .. } = *ty else { return vec![(0, ty.cols())] };
    let lanes = lookup_lanes(k, sub, target.beat_bits).lanes as usize;
    let banks = target.units() as usize;
    let even = (cols / sub).div_ceil(way.pieces.max(1) as usize);
    // Pieces of whole blocks in every bank leave nothing to pad but the last.
    let grain = match way.split {
        Split::Inputs if even > lanes * banks => lanes * banks,
        Split::Inputs if even > banks => banks,
        Split::Rows if even > lanes => lanes,
        _ => 1,
    };
    // Rounded up no piece must have more blocks than an even one.
    let parts = if way.pieces <= 1 { cols / sub } else { even.div_ceil(grain) * grain };
    let starts = (0..cols / sub).step_by(parts.max(1));
    starts.map(|s| (s * sub, parts.min(cols / sub - s) * sub)).collect()
}
