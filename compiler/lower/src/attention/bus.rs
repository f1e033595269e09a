//! What the bus of a pseudo-channel allows: how fast columns can come whose scores leave the banks, or
//! whose weights come to them, and how many of them while a row is open; how fast columns are changed.

use crate::target::Target;
use pimc_rtl::attention::{AttentionMode, AttentionShape, PROB_BITS};
use pimc_rtl::shape::ChannelShape;
use pimc_rtl::timing::attention_clocks;

/// Clocks between two columns of a stream of `mode`.
pub(crate) fn interval(mode: AttentionMode, a: &AttentionShape, target: &Target) -> u32 {
    let least = target.column_interval();
    let bits = match mode {
        AttentionMode::Scores | AttentionMode::ExactScores => a.score_bits(),
        AttentionMode::Buckets | AttentionMode::ExactValues => PROB_BITS,
        _ => return least,
    };
    let lanes = match mode {
        AttentionMode::Scores | AttentionMode::Buckets => a.lanes(target.beat_bits),
        _ => a.chunk(target.beat_bits),
    };
    // Every token group of a pseudo-channel has its own; scores leave once a block, while weights
    // come with every column of it.
    let groups = (target.banks / a.members).max(1);
    let moved = u64::from(lanes * target.beats() * a.rows() * groups) * u64::from(bits);
    let once = matches!(mode, AttentionMode::Scores | AttentionMode::ExactScores);
    let moved = if once { moved.div_ceil(a.slices.into()) } else { moved };
    least.max(moved.div_ceil(target.bus_bits().into()) as u32)
}

/// Whether the columns of a block follow one another so closely that refreshes can come when they are due.
pub(crate) fn is_quick(a: &AttentionShape, target: &Target) -> bool {
    let slowest =
        [AttentionMode::Scores, AttentionMode::Buckets].map(|mode| interval(mode, a, target));
    let block = u64::from(a.slices) * u64::from(slowest[0].max(slowest[1]));
    block <= u64::from(target.timing.refi / 4)
}

/// Columns that are read while a row is open, in blocks of `block`: no more than a quarter of the time
/// between two refreshes allows, so that refreshes come about when they are due.
pub(crate) fn open_columns(interval: u32, block: u32, target: &Target) -> u32 {
    let t = &target.timing;
    let room = (t.refi / 4).saturating_sub(t.rcd + t.rtp + t.rp);
    (room / interval.max(1) / block * block).clamp(block, target.columns / block * block)
}

/// Clocks from the read of a column that is changed and written back to the read of the next one.
pub(crate) fn replace_interval(mode: AttentionMode, shape: &ChannelShape, target: &Target) -> u32 {
    let e = &target.timing.extra;
    let or = |value: Option<u32>| value.unwrap_or_default();
    attention_clocks(mode, shape) + or(e.cwl) + or(e.bl) + or(e.wtr_l).max(or(e.wtr_s))
}
