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
use pimc_ir::WeightType;
use pimc_rtl::timing::VEC_LATENCY;

/// Which dimension of a matrix goes over the banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// Matrix row r is in bank r mod banks, at index r / banks.
    Rows,
    /// Every matrix row is in every bank, a slice of its inputs in each; binary quadratic weights:
    /// the blocks and bases of a block row, number n in bank n mod banks.
    Inputs,
}

/// The split of a weight of type `ty`.
pub(super) fn choose(ty: &WeightType, target: &Target) -> Split {
    match ty {
        // Signs are generated along a whole row.
        WeightType::Supermask { .. } => Split::Rows,
        WeightType::Bqq { .. } => Split::Inputs,
        WeightType::Pq { .. } | WeightType::Int { .. } => {
            if let Some(split) = target.split {
                return split;
            }
            let [rows, inputs] =
                [Split::Rows, Split::Inputs].map(|split| stream_clocks(ty, split, target));
            if inputs < rows {
                Split::Inputs
            } else {
                Split::Rows
            }
        }
    }
}

/// Clocks that a weight takes: its columns, one open row at a time with refresh not counted, and the
/// loads of its inputs.
fn stream_clocks(ty: &WeightType, split: Split, target: &Target) -> u64 {
    let parts: &[Content] = match ty {
        WeightType::Pq { .. } => &[Content::Codebook, Content::Codes],
        WeightType::Int { .. } => &[Content::Int { group: 0 }],
        WeightType::Bqq { .. } => &[Content::Blocks],
        WeightType::Supermask { .. } => &[Content::Mask],
    };
    let columns = parts.iter().map(|part| Measure::new(ty, *part, split, target).columns(target));
    let streams: u64 = columns.map(|columns| target.column_clocks(columns)).sum();
    // A load moves the bytes of a beat a clock, and every load waits for the one before.
    let loads = match split {
        Split::Rows => 1,
        Split::Inputs => u64::from(target.units()),
    };
    streams
        + loads * u64::from(VEC_LATENCY)
        + (ty.cols() as u64).div_ceil(u64::from(target.beat_bits / 8))
}
