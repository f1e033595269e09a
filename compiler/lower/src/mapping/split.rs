//! Which dimension of a matrix goes over the banks.
//!
//! | split | a bank holds | its codebook | its results |
//! |---|---|---|---|
//! | rows | whole rows, row r in bank r mod banks | all of it | elements of y |
//! | inputs | a slice of every row, the first in bank 0 | of its slice | to be added up over the banks |
//!
//! Dealing out the inputs divides the codebook and the tables by the number of banks, where dealing
//! out the rows repeats them in each; but a slice must still fill its columns. The columns that
//! each way streams, and the loads of the inputs, decide.

use super::streams::Measure;
use super::Content;
use crate::target::Target;
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
    /// Why.
    pub why: Why,
    /// Clocks when matrix rows go over the banks, by the cost model; none where the format forbids
    /// it.
    pub rows: Option<u64>,
    /// The same when inputs do.
    pub inputs: Option<u64>,
}

/// The split of a weight of type `ty`, with what each way costs.
pub(super) fn choose(weight: WeightId, ty: &WeightType, target: &Target) -> Choice {
    let clocks = |split| Some(stream_clocks(ty, split, target));
    let choice = |split, why, rows, inputs| Choice { weight, split, why, rows, inputs };
    match ty {
        // Signs are generated along a whole row.
        WeightType::Supermask { .. } => choice(Split::Rows, Why::Format, clocks(Split::Rows), None),
        WeightType::Bqq { .. } => choice(Split::Inputs, Why::Format, None, clocks(Split::Inputs)),
        WeightType::Pq { .. } | WeightType::Int { .. } => {
            let (rows, inputs) = (clocks(Split::Rows), clocks(Split::Inputs));
            match target.split {
                Some(split) => choice(split, Why::Target, rows, inputs),
                None if inputs < rows => choice(Split::Inputs, Why::Clocks, rows, inputs),
                None => choice(Split::Rows, Why::Clocks, rows, inputs),
            }
        }
    }
}

/// Clocks that a weight takes: its columns, one open row at a time with refresh not counted, and the
/// loads of its inputs.
fn stream_clocks(ty: &WeightType, split: Split, target: &Target) -> u64 {
    // The streams of the weight, and how often the like of them follow one another.
    let (parts, times): (&[Content], u64) = match ty {
        WeightType::Pq { .. } => (&[Content::Codebook, Content::Codes], 1),
        WeightType::Int { cols, group, .. } => {
            (&[Content::Int { group: 0 }], group.map_or(1, |size| (cols / size) as u64))
        }
        WeightType::Bqq { .. } => (&[Content::Blocks], 1),
        WeightType::Supermask { .. } => (&[Content::Mask], 1),
    };
    let columns = parts.iter().map(|part| Measure::new(ty, *part, split, target).columns(target));
    let streams: u64 = columns.map(|columns| target.column_clocks(columns)).sum();
    // A load moves eight bytes a clock, and every load waits for the one before.
    let loads = match split {
        Split::Rows => 1,
        Split::Inputs => u64::from(target.units()),
    };
    let each = streams.saturating_add(loads * u64::from(VEC_LATENCY));
    times.saturating_mul(each).saturating_add((ty.cols() as u64).div_ceil(8))
}
