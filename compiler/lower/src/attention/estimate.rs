//! What a step on a cache should take, told from lengths and the target alone, before there is a
//! program.

use super::layout::CacheLayout;
use super::program::interval;
use crate::estimate::Estimate;
use crate::target::Target;
use pimc_ir::Side;
use pimc_rtl::attention::{AttentionMode, MAX_LATENCY, NORMALISE_LATENCY, SCORE_LATENCY};
use pimc_rtl::isa::MIN_DELAY;
use pimc_rtl::shape::ChannelShape;
use pimc_rtl::timing::{BYTES_LATENCY, COLLECT_CLOCKS};

/// What a step does, of which its clocks depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepSize {
    /// Compressed tokens that are attended to.
    pub compressed: u32,
    /// New tokens that are kept exact.
    pub kept: u32,
    /// Tokens that are encoded when they leave the window.
    pub encoded: u32,
    /// Whether the one that leaves next is encoded.
    pub ahead: bool,
}

/// Clocks of a step by what they go into.
struct Clocks<'a> {
    target: &'a Target,
    shape: &'a ChannelShape,
    layout: &'a CacheLayout,
    streams: u64,
    loads: u64,
    drains: u64,
}

/// The estimate of a step; `ops` holds the clocks of the append, if there is one, and of the attend.
pub(crate) fn estimate(
    target: &Target,
    shape: &ChannelShape,
    layout: &CacheLayout,
    size: StepSize,
) -> (Estimate, [u64; 2]) {
    let Some(attention) = &shape.bank.attention else { return Default::default() };
    let mut c = Clocks { target, shape, layout, streams: 0, loads: 0, drains: 0 };
    let slots = u64::from(layout.slots);
    let (codebook, block) = (layout.slices * layout.codebook_columns, layout.slices);

    // Of every token in every head and side.
    for _ in 0..size.encoded {
        if attention.recent > 0 {
            c.rows(AttentionMode::Capture, block);
        } else {
            c.load(attention.dim);
        }
        c.rows(AttentionMode::Encode, codebook);
        c.replaced(block);
    }
    for _ in 0..size.kept {
        c.load(attention.dim);
        c.replaced(block);
    }
    let append = 2 * slots * (c.streams + c.loads);
    let (mut streams, mut loads) = (2 * slots * c.streams, 2 * slots * c.loads);

    (c.streams, c.loads) = (0, 0);
    for _ in 0..attention.rows() {
        c.load(attention.dim);
    }
    let exact = layout.slices * layout.exact_blocks;
    let per_block = layout.lanes * layout.beats * layout.groups;
    let codes = size.compressed.div_ceil(per_block) * layout.slices;
    for (mode, columns) in [
        (AttentionMode::Table, codebook),
        (AttentionMode::ExactScores, exact),
        (AttentionMode::Scores, codes),
        (AttentionMode::ExactValues, exact),
        (AttentionMode::Buckets, codes),
        (AttentionMode::Combine, codebook),
    ] {
        c.rows(mode, columns);
    }
    if size.ahead {
        for _ in Side::BOTH {
            c.rows(AttentionMode::Capture, block);
            c.replaced(block);
        }
    }
    let results = attention.dim * attention.rows();
    c.drains = u64::from(NORMALISE_LATENCY + results + COLLECT_CLOCKS + SCORE_LATENCY);
    if target.timing.rtp + target.timing.rp < shape.read_latency {
        // A row's turnaround does not hide the largest score.
        c.drains += u64::from(MAX_LATENCY);
    }
    streams += slots * c.streams;
    loads += slots * c.loads;
    let drains = slots * c.drains;
    let attend = slots * (c.streams + c.loads + c.drains);

    let (refi, rfc) = (u64::from(target.timing.refi), u64::from(target.timing.rfc));
    let work = streams + loads + drains;
    // A row is not begun that would not end before the next refresh.
    let row = c.row(AttentionMode::Scores, layout.columns).min(refi / 2);
    let refresh = rfc * (1 + work / (refi - rfc - row / 2));
    let parts = Estimate {
        cycles: work + refresh,
        streams,
        refresh,
        loads,
        buffer: 0,
        drains,
        ops: Vec::new(),
    };
    // Refreshes fall on both alike.
    let share = |op: u64| if work == 0 { 0 } else { op + refresh * op / work };
    (parts, [share(append), share(attend)])
}

impl Clocks<'_> {
    /// Clocks of a row of which so many columns are read, from its activate to the next one's.
    fn row(&self, mode: AttentionMode, columns: u32) -> u64 {
        let t = &self.target.timing;
        let interval = u64::from(interval(mode, self.shape, self.target));
        let read = u64::from(t.rcd) + u64::from(columns - 1) * interval;
        let pre = (read + interval).max(read + u64::from(t.rtp)).max(t.ras.into());
        let gap = u64::from(t.all_bank_activate_gap(self.target.banks));
        // The question whether a refresh is due comes between.
        (pre + u64::from(t.rp + MIN_DELAY)).max(t.rc.into()).max(gap)
    }

    /// A stream of so many columns.
    fn rows(&mut self, mode: AttentionMode, columns: u32) {
        let (whole, rest) = (columns / self.layout.columns, columns % self.layout.columns);
        self.streams += u64::from(whole) * self.row(mode, self.layout.columns);
        if rest > 0 {
            self.streams += self.row(mode, rest);
        }
    }

    /// A load of so many bytes.
    fn load(&mut self, bytes: u32) {
        self.loads += u64::from(bytes / self.layout.sub + BYTES_LATENCY + 2 * MIN_DELAY);
    }

    /// Columns that are read, changed and written back.
    fn replaced(&mut self, columns: u32) {
        let t = &self.target.timing;
        let e = &t.extra;
        let or = |value: Option<u32>| value.unwrap_or_default();
        let unit = self.shape.read_latency + self.shape.beats + 4;
        let written = or(e.cwl) + or(e.bl);
        let column = u64::from(unit + written + or(e.wtr_l).max(or(e.wtr_s)));
        let last = u64::from(unit + written + or(e.wr));
        let row = u64::from(t.rcd + t.rp + 2 * MIN_DELAY);
        self.streams += row + column * u64::from(columns - 1) + last;
    }
}
