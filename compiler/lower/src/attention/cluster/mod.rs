//! `cluster`: a cache filled anew in the banks, with codebooks that are made there.
//!
//! The host writes the tokens into the banks itself: those that will stay exact to their places, the others to
//! a region where they wait ([`columns`]). Then the program ([`program`]) runs many times over, on one side of
//! one key/value head at a time; what it does is in argument memory as a script ([`script`]), which
//! [`runs`] deals out.

mod columns;
mod launch;
pub(super) mod program;
mod runs;
pub(super) mod script;

pub use script::{ClusterMap, ScriptSize};

use super::bus::{open_columns, replace_interval};
use super::CacheLayout;
use crate::target::Target;
use pimc_ir::{CacheType, Func, ValueId};
use pimc_rtl::attention::{AttentionMode, AttentionShape, ClusterShape};
use pimc_rtl::shape::ChannelShape;

/// What of the function fills the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterValues {
    /// Keys.
    pub k: ValueId,
    /// Values.
    pub v: ValueId,
    /// Weights.
    pub weights: ValueId,
    /// How many of the tokens are meant.
    pub n: ValueId,
    /// Steps of k-means.
    pub iterations: u32,
}

impl ClusterValues {
    /// Tokens that are given.
    pub(super) fn tokens(&self, func: &Func, cache: &CacheType) -> u32 {
        (func.values[self.k.0].ty.len / cache.token_len()) as u32
    }

    /// What the units need for it, beside those of the cache.
    pub(super) fn shape(
        &self,
        func: &Func,
        cache: &CacheType,
        units: &AttentionShape,
        target: &Target,
    ) -> ClusterShape {
        let tokens = self.tokens(func, cache).min(cache.tokens as u32);
        let most = units.chunk(target.beat_bits) * target.beats();
        ClusterShape {
            // The largest power of two.
            encoders: 1 << target.encoders.clamp(1, most).ilog2(),
            // A weight is not negative.
            weight_bits: (func.values[self.weights.0].ty.elem.bits - 1).clamp(1, 31),
            tokens: cache.compressed(tokens as usize).max(1) as u32,
        }
    }
}

/// How a plan's cache is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterPlan {
    /// Which values are what.
    pub values: ClusterValues,
    /// Tokens that are given in a step.
    pub tokens: u32,
    /// Tokens that are encoded at once.
    pub encoders: u32,
    /// Where its arguments lie.
    pub map: ClusterMap,
}

/// What is done while a row is open, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Columns of a codebook that become means: a power of two, so that rows are divided evenly.
    pub(super) means: u32,
    /// Columns that a centroid is put into.
    pub(super) centroids: u32,
    /// Codes that are put into the columns of a block.
    pub(super) codes: u32,
}

impl Held {
    pub(super) fn new(l: &CacheLayout, shape: &ChannelShape, target: &Target) -> Held {
        let columns =
            |mode, each: u32| open_columns(each * replace_interval(mode, shape, target), 1, target);
        Held {
            means: (1 << columns(AttentionMode::Update, 1).ilog2()).min(target.columns),
            centroids: columns(AttentionMode::InsertCentroid, 1),
            codes: columns(AttentionMode::InsertCode, l.slices),
        }
    }
}

/// Rows and columns of the places of centroid `c`, one in each slice's codebook; rows count from the codebook's
/// first.
pub(super) fn centroid_columns(l: &CacheLayout, c: u32) -> impl Iterator<Item = (u32, u32)> + '_ {
    let column = c / (l.chunk * l.beats);
    (0..l.slices).map(move |slice| {
        let at = slice * l.codebook_columns + column;
        (at / l.columns, at % l.columns)
    })
}
