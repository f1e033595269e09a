//! What a step on a cache should take, told from lengths and the target alone, before there is a
//! program.

use super::bus::{interval, open_columns, replace_interval};
use super::cluster::script::ScriptSize;
use super::cluster::Held;
use super::layout::CacheLayout;
use super::CachePlan;
use crate::estimate::Estimate;
use crate::target::Target;
use pimc_rtl::attention::{AttentionMode, AttentionShape, NORMALISE_LATENCY};
use pimc_rtl::isa::MIN_DELAY;
use pimc_rtl::shape::ChannelShape;
use pimc_rtl::timing::{
    accumulate_clocks, attention_clocks, clear_clocks, vec_clocks, BYTES_LATENCY, COLLECT_CLOCKS,
};

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
    /// What is clustered, where there is a program for that.
    pub script: Option<ScriptSize>,
}

/// Clocks before a refresh is overdue that a block does not use: a few instructions, and care.
const MARGIN: u64 = 40;

/// Clocks of a step by what they go into. Blocks, each between two times at which all banks are closed,
/// follow one another; a refresh comes before one that would not end in time.
struct Clocks<'a> {
    target: &'a Target,
    shape: &'a ChannelShape,
    layout: &'a CacheLayout,
    now: u64,
    /// The last refresh.
    refreshed: u64,
    /// Clocks of the last block in which a load could go on: its row is being closed.
    hides: u64,
    parts: Estimate,
}

/// The estimate of a run; behind it the clocks of the cluster, of the append, of the attend and of every merge.
pub(crate) fn estimate(
    target: &Target,
    shape: &ChannelShape,
    plan: &CachePlan,
    size: StepSize,
) -> (Estimate, Vec<u64>) {
    let layout = &plan.layout;
    let Some(attention) = &shape.bank.attention else { return Default::default() };
    // Every program begins with a refresh.
    let rfc = u64::from(target.timing.rfc);
    let parts = Estimate { refresh: rfc, ..Estimate::default() };
    let mut c = Clocks { target, shape, layout, now: rfc, refreshed: 0, hides: 0, parts };
    let (codebook, block) = (layout.slices * layout.codebook_columns, layout.slices);
    let script = size.script.unwrap_or_default();
    c.script(attention, &script);
    let clustered = c.now;
    // What is not clustering belongs to the run that attends.
    let attends = size.script.is_none() || script.attends;
    let times = |n: u32| if attends { 2 * layout.slots * n } else { 0 };
    for _ in 0..times(size.encoded) {
        if attention.recent > 0 {
            c.rows(AttentionMode::Capture, block);
        } else {
            c.load(attention.dim);
        }
        c.rows(AttentionMode::Encode, codebook);
        c.replaced(AttentionMode::InsertCode, block);
    }
    for _ in 0..times(size.kept) {
        c.load(attention.dim);
        c.replaced(AttentionMode::InsertToken, block);
    }
    let appended = c.now;
    let slots = if attends { layout.slots } else { 0 };
    for pass in (0..slots).flat_map(|_| plan.arguments.passes().all()) {
        for _ in 0..attention.rows() {
            c.load(attention.dim);
        }
        let ahead = size.ahead && pass.index == 0;
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
            let encodes = matches!(mode, AttentionMode::Table | AttentionMode::Combine);
            if encodes && ahead {
                c.rows(AttentionMode::Capture, block);
            }
            if matches!(mode, AttentionMode::Scores | AttentionMode::Buckets) {
                c.begins(exact > 0, mode);
            }
            c.rows(mode, columns);
            if encodes && ahead {
                c.replaced(AttentionMode::InsertCode, block);
            }
        }
        let results = attention.row_results() * attention.rows();
        let drain = u64::from(NORMALISE_LATENCY + results + COLLECT_CLOCKS);
        c.refresh(drain);
        c.now += drain;
        c.parts.drains += drain;
    }
    let mut ops = vec![clustered, appended - clustered, c.now - appended];
    for merge in plan.merges.iter().filter(|_| attends) {
        let before = c.now;
        for vector in merge.vectors() {
            let clocks = u64::from(vec_clocks(&vector, shape));
            c.refresh(clocks);
            c.now += clocks;
            c.parts.buffer += clocks;
        }
        ops.push(c.now - before);
    }
    c.parts.cycles = c.now;
    (c.parts, ops)
}

impl Clocks<'_> {
    /// Clocks of a row of which so many columns are read, from its activate to the next one's.
    fn row(&self, mode: AttentionMode, columns: u32) -> u64 {
        let t = &self.target.timing;
        let interval = u64::from(self.interval(mode));
        let read = u64::from(t.rcd) + u64::from(columns - 1) * interval;
        let pre = (read + interval).max(read + u64::from(t.rtp)).max(t.ras.into());
        let gap = u64::from(t.all_bank_activate_gap(self.target.banks));
        // The question whether a refresh is due comes between.
        (pre + u64::from(t.rp + MIN_DELAY)).max(t.rc.into()).max(gap)
    }

    fn interval(&self, mode: AttentionMode) -> u32 {
        let attention = self.shape.bank.attention.as_ref();
        attention.map_or(1, |a| interval(mode, a, self.target))
    }

    /// A refresh, if it would be overdue in so many clocks.
    fn refresh(&mut self, clocks: u64) {
        let (refi, rfc) = (u64::from(self.target.timing.refi), u64::from(self.target.timing.rfc));
        if self.now + clocks + MARGIN > self.refreshed + refi {
            self.refreshed = self.now;
            self.now += rfc;
            self.parts.refresh += rfc;
        }
    }

    /// A block of so many clocks.
    fn block(&mut self, clocks: u64) {
        self.refresh(clocks);
        self.hides = 0;
        self.now += clocks;
        self.parts.streams += clocks;
    }

    /// A stream of so many columns.
    fn rows(&mut self, mode: AttentionMode, columns: u32) {
        let codes = matches!(mode, AttentionMode::Scores | AttentionMode::Buckets);
        let open = match codes {
            true => self.layout.page_blocks * self.layout.slices,
            false => open_columns(self.interval(mode), 1, self.target).min(self.layout.columns),
        };
        let (whole, rest) = (columns / open, columns % open);
        let clocks = self.row(mode, open);
        (0..whole).for_each(|_| self.block(clocks));
        if rest > 0 {
            let clocks = self.row(mode, rest);
            self.block(clocks);
        }
    }

    /// The beginning of a stream of codes, which may take no page at all: it waits for the data of the
    /// stream before, longer than that one's row takes to close.
    fn begins(&mut self, exact: bool, mode: AttentionMode) {
        let t = &self.target.timing;
        let before = match (mode, exact) {
            (AttentionMode::Scores, true) => AttentionMode::ExactScores,
            (AttentionMode::Scores, false) => AttentionMode::Table,
            (_, true) => AttentionMode::ExactValues,
            (_, false) => AttentionMode::Scores,
        };
        let data = attention_clocks(before, self.shape);
        let clocks = data.saturating_sub(t.rtp + t.rp) + 5 * MIN_DELAY;
        self.now += u64::from(clocks);
        self.parts.drains += u64::from(clocks);
    }

    /// A load of so many bytes.
    fn load(&mut self, bytes: u32) {
        let clocks = u64::from(bytes / self.layout.sub + BYTES_LATENCY + 2 * MIN_DELAY);
        let clocks = clocks.saturating_sub(std::mem::take(&mut self.hides));
        self.now += clocks;
        self.parts.loads += clocks;
    }

    /// What is clustered.
    fn script(&mut self, a: &AttentionShape, s: &ScriptSize) {
        let (t, l, step) = (&self.target.timing, self.layout, u64::from(MIN_DELAY));
        let codebook = l.slices * l.codebook_columns;
        let closed = u64::from(t.rtp + t.rp) + step;
        let captured = u64::from(attention_clocks(AttentionMode::Capture, self.shape));
        // From the last column's read to the next activate.
        let read = t.rcd + (l.slices - 1) * self.interval(AttentionMode::Capture);
        let reopened = closed.max(u64::from(t.ras.saturating_sub(read) + t.rp) + step);
        for _ in 0..s.seeds {
            self.rows(AttentionMode::Capture, l.slices);
            // The token is taken before the column is opened that it becomes.
            let waits = (captured + 6 * step).saturating_sub(reopened);
            self.now += waits;
            self.parts.drains += waits;
            self.replaced(AttentionMode::InsertCentroid, l.slices);
        }
        let mut clear = s.clears * clear_clocks(a, self.target.beat_bits);
        while clear > 0 {
            // Refreshes come between.
            let part = clear.min(t.refi / 4);
            self.block(part.into());
            clear -= part;
        }
        // The next token's row is opened, and what was encoded added up; then that token is taken.
        let (encoders, each) = (u64::from(a.encoders()), u64::from(accumulate_clocks(a)));
        let data = u64::from(attention_clocks(AttentionMode::Encode, self.shape));
        let begun = (3 * step).max(data.saturating_sub(closed));
        // The last one is not waited for longer than the round's end takes.
        let added = begun + (encoders - 1) * (each + 2 * step) + each.max(3 * step);
        let taken = added + (3 + u64::from(l.slices > 1)) * step;
        let interval = u64::from(self.interval(AttentionMode::Encode));
        let last = taken.max(t.rcd.into()) + u64::from(l.slices - 1) * interval;
        let batch = (last + u64::from(t.rtp)).max(t.ras.into()) + u64::from(t.rp) + step;
        if s.batches > 0 {
            // The first one's row, which is closed once more behind the last one.
            self.block(u64::from(t.ras + t.rp) + 4 * step);
        }
        for _ in 0..s.batches {
            self.block(batch);
            self.rows(AttentionMode::Encode, codebook);
        }
        let together = Held::new(l, self.shape, self.target).means;
        for _ in 0..s.updates {
            for from in (0..codebook).step_by(together as usize) {
                self.replaced(AttentionMode::Update, together.min(codebook - from));
            }
        }
        for i in 0..s.fills {
            self.rows(AttentionMode::Capture, l.slices);
            self.rows(AttentionMode::Encode, codebook);
            // Codes and rows as evenly as can be.
            let share = |n: u32| n * (i + 1) / s.fills - n * i / s.fills;
            let (rows, codes) = (share(s.pages).max(1), share(s.codes));
            self.replaced(AttentionMode::InsertCode, codes * l.slices);
            for _ in 1..rows {
                self.block(u64::from(t.rcd + t.rp) + 2 * step);
            }
        }
    }

    /// Columns that are read, changed and written back.
    fn replaced(&mut self, mode: AttentionMode, columns: u32) {
        let t = &self.target.timing;
        let e = &t.extra;
        let or = |value: Option<u32>| value.unwrap_or_default();
        let column = u64::from(replace_interval(mode, self.shape, self.target));
        let last = u64::from(attention_clocks(mode, self.shape) + or(e.cwl) + or(e.bl) + or(e.wr));
        let row = u64::from(t.rcd + t.rp + 2 * MIN_DELAY);
        self.block(row + column * u64::from(columns - 1) + last);
        self.hides = u64::from(t.rp);
    }
}
