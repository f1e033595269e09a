//! Steps on a cache beside what is published, as a page: one stack of HBM3 in the organisation of AttAcc,
//! one layer of 32 heads of 128 elements.

mod cluster;
mod page;
mod published;
mod step;

pub use cluster::{Clustering, Distances};
pub use page::page;
pub use published::{attacc, AttAcc, ATTACC, PAPER_SPEEDUP};
pub(crate) use step::bytes as moved;
pub use step::{measure, Bytes, Measured, Part};

use super::StepError;
use crate::legality::Violation;
use crate::target::Target;
use crate::walk::ProgramError;
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::{CacheType, Diagnostics};
use thiserror::Error;

/// Query heads of the layer.
pub const HEADS: u32 = 32;
/// Pseudo-channels of the stack, of 16 banks each.
pub const PSEUDO_CHANNELS: u32 = 64;
/// Most tokens of a cache here.
const TOKENS: usize = 40_000;

/// Why there is no comparison.
#[derive(Debug, Error)]
pub enum CompareError {
    /// The cache does not fit.
    #[error("{0}")]
    Refused(#[from] Diagnostics),
    /// The program does not run.
    #[error("{0}")]
    Program(#[from] ProgramError),
    /// A step is not taken.
    #[error("{0}")]
    Step(#[from] StepError),
    /// A schedule breaks a rule of the DRAM.
    #[error("the schedule breaks a rule: {0}")]
    Illegal(Violation),
    /// No figures are published for a context of so many tokens.
    #[error("no figures of AttAcc for {0} tokens")]
    Unpublished(u32),
}

/// The function of one key/value head that `group` query heads share: of a cache that holds `context` tokens
/// when it is attended to.
pub fn function(group: u32, context: u32, append: bool) -> CacheModel {
    let start = context as usize - usize::from(append);
    let ty = CacheType {
        heads: group as usize,
        kv_heads: 1,
        dim: 128,
        tokens: TOKENS,
        sub: 4,
        k: 512,
        sink: 8,
        recent: 32,
        start,
    };
    CacheModel { append, ..CacheModel::new(ty) }
}

/// The part of a stack that works on one key/value head: of 64 pseudo-channels two for every query head.
///
/// # Errors
/// None of the targets that are built in.
pub fn share(target: &Target, group: u32) -> Result<Target, Diagnostics> {
    let channels = (PSEUDO_CHANNELS / HEADS * group).to_string();
    // Tables of several query heads take more than a target has by default; the page says how much.
    target.with(&[("stack", "channels", &channels), ("unit", "table_bytes", "1000000")])
}
