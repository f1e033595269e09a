//! Where a key/value cache lies in the banks.
//!
//! All banks of the channel work on one key/value head at a time; heads are slots. From row 0 on
//! lie, slot after slot, the codebooks of its keys and values and their exact tokens, each from
//! column 0 of a row; behind them the pages of codes; and behind those, where tokens are clustered, the
//! tokens that are to become codes, laid out as exact ones are. [`pimc_rtl::attention`] says what is in a
//! column.

use super::bus::{interval, open_columns};
use crate::target::Target;
use pimc_ir::{CacheType, Side};
use pimc_rtl::attention::{AttentionMode, AttentionShape};

/// A token's place in its region: which block of columns, which banks, and where in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Block of `slices` columns.
    pub block: u32,
    /// Token group.
    pub group: u32,
    /// Beat.
    pub beat: u32,
    /// Code of the beat, or sub-vector.
    pub lane: u32,
}

impl Place {
    fn of(index: u32, lanes: u32, beats: u32, groups: u32) -> Place {
        let (column, at) = (index / (lanes * beats), index % (lanes * beats));
        Place { block: column / groups, group: column % groups, beat: at / lanes, lane: at % lanes }
    }

    /// As the parameter port has it.
    pub fn word(self) -> u32 {
        self.lane | self.beat << 8 | self.group << 16
    }
}

/// Rows and columns of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheLayout {
    /// Key/value heads, one after the other.
    pub slots: u32,
    /// Sub-vectors of a token in a bank.
    pub slices: u32,
    /// Banks that hold a token together.
    pub members: u32,
    /// Token groups.
    pub groups: u32,
    /// Codes of a beat.
    pub lanes: u32,
    /// Centroids or exact sub-vectors of a beat.
    pub chunk: u32,
    /// Bits of a code.
    pub code_bits: u32,
    /// Elements of a sub-vector.
    pub sub: u32,
    /// Centroids.
    pub k: u32,
    /// Beats of a column.
    pub beats: u32,
    /// Words of 64 bits of a beat.
    pub words: u32,
    /// Columns of a row.
    pub columns: u32,
    /// Columns of the codebook of one slice.
    pub codebook_columns: u32,
    /// Beats used of the last of them.
    pub codebook_tail: u32,
    /// Places of exact tokens.
    pub exact_places: u32,
    /// Blocks of exact tokens.
    pub exact_blocks: u32,
    /// Most blocks of codes.
    pub code_blocks: u32,
    /// Blocks of codes of a page: those that a row holds, or that are read while it is open.
    pub page_blocks: u32,
    /// Most blocks of tokens that wait to be clustered.
    pub stage_blocks: u32,
}

impl CacheLayout {
    /// The layout of a cache with that attention hardware on a target.
    pub(crate) fn new(cache: &CacheType, shape: &AttentionShape, target: &Target) -> CacheLayout {
        let (beats, beat_bits) = (target.beats(), target.beat_bits);
        let (lanes, chunk) = (shape.lanes(beat_bits), shape.chunk(beat_bits));
        let per_codebook = chunk * beats;
        let last = (shape.k - 1) % per_codebook + 1;
        let of = |mode| interval(mode, shape, target);
        let slowest = of(AttentionMode::Scores).max(of(AttentionMode::Buckets));
        let compressed = shape.tokens.saturating_sub(shape.exact_places());
        let staged = shape.cluster.map_or(0, |c| c.tokens);
        CacheLayout {
            slots: cache.kv_heads as u32,
            slices: shape.slices,
            members: shape.members,
            groups: shape.groups,
            lanes,
            chunk,
            code_bits: shape.code_bits(),
            sub: shape.sub,
            k: shape.k,
            beats,
            words: beat_bits / 64,
            columns: target.columns,
            codebook_columns: shape.k.div_ceil(per_codebook),
            codebook_tail: last.div_ceil(chunk),
            exact_places: shape.exact_places(),
            exact_blocks: shape.exact_places().div_ceil(per_codebook * shape.groups),
            code_blocks: compressed.div_ceil(lanes * beats * shape.groups).max(1),
            page_blocks: open_columns(slowest, shape.slices, target) / shape.slices,
            stage_blocks: staged.div_ceil(per_codebook * shape.groups),
        }
    }

    /// Rows of a codebook.
    pub fn codebook_rows(&self) -> u32 {
        (self.slices * self.codebook_columns).div_ceil(self.columns)
    }

    /// Rows of the exact tokens of a side.
    pub fn exact_rows(&self) -> u32 {
        (self.slices * self.exact_blocks).div_ceil(self.columns)
    }

    fn slot_rows(&self) -> u32 {
        2 * (self.codebook_rows() + self.exact_rows())
    }

    /// First row of a codebook.
    pub fn codebook_row(&self, slot: u32, side: Side) -> u32 {
        slot * self.slot_rows() + side as u32 * self.codebook_rows()
    }

    /// First row of the exact tokens.
    pub fn exact_row(&self, slot: u32, side: Side) -> u32 {
        slot * self.slot_rows() + 2 * self.codebook_rows() + side as u32 * self.exact_rows()
    }

    /// Tokens of a page.
    pub fn page_tokens(&self) -> u32 {
        self.page_blocks * self.lanes * self.beats * self.groups
    }

    /// Most pages.
    pub fn pages(&self) -> u32 {
        self.code_blocks.div_ceil(self.page_blocks)
    }

    /// Rows of a page: of every slot one for its keys and one for its values.
    pub fn page_rows(&self) -> u32 {
        2 * self.slots
    }

    /// First row of a page frame; pages are put into frames as they are needed.
    pub fn frame_row(&self, frame: u32) -> u32 {
        self.slots * self.slot_rows() + frame * self.page_rows()
    }

    /// Rows from a page's first to that of a slot's side.
    pub fn row_in_page(&self, slot: u32, side: Side) -> u32 {
        2 * slot + side as u32
    }

    /// Rows of the tokens of a side that wait to be clustered.
    pub fn stage_rows(&self) -> u32 {
        (self.slices * self.stage_blocks).div_ceil(self.columns)
    }

    /// First row of the tokens of a slot's side that wait to be clustered: behind all frames.
    pub fn stage_row(&self, slot: u32, side: Side) -> u32 {
        self.frame_row(self.pages()) + self.row_in_page(slot, side) * self.stage_rows()
    }

    /// Rows of a bank that are used when every page is.
    pub fn rows(&self) -> u64 {
        let page = u64::from(self.page_rows());
        u64::from(self.slots) * u64::from(self.slot_rows())
            + page * (u64::from(self.pages()) + u64::from(self.stage_rows()))
    }

    /// Place of exact token `e`.
    pub fn exact_place(&self, e: u32) -> Place {
        Place::of(e, self.chunk, self.beats, self.groups)
    }

    /// Place of compressed token `t`.
    pub fn code_place(&self, t: u32) -> Place {
        Place::of(t, self.lanes, self.beats, self.groups)
    }

    /// Row and column of a block's first column among those of the exact tokens.
    pub fn exact_at(&self, block: u32) -> (u32, u32) {
        let column = block * self.slices;
        (column / self.columns, column % self.columns)
    }

    /// Page and column of a block of codes.
    pub fn code_at(&self, block: u32) -> (u32, u32) {
        (block / self.page_blocks, block % self.page_blocks * self.slices)
    }

    /// Member number and token group of a bank.
    pub fn bank(&self, bank: u32) -> (u32, u32) {
        (bank % self.members, bank / self.members)
    }

    /// Bit of a code in its column: words are self-contained.
    pub fn code_bit(&self, place: Place) -> u32 {
        let in_word = self.lanes / self.words;
        let word = place.beat * self.words + place.lane / in_word;
        word * 64 + place.lane % in_word * self.code_bits
    }

    /// Byte of a sub-vector in its column.
    pub fn sub_byte(&self, place: Place) -> u32 {
        (place.beat * self.chunk + place.lane) * self.sub
    }
}

/// The hardware of a cache that serves `queries` queries a step, on all banks of a target. The
/// softmax's numbers are filled in by who knows the op.
pub(crate) fn units(cache: &CacheType, queries: u32, target: &Target) -> AttentionShape {
    let parts = (cache.dim / cache.sub) as u32;
    let banks = target.units();
    let members = parts.min(banks);
    AttentionShape {
        dim: cache.dim as u32,
        sub: cache.sub as u32,
        k: cache.k as u32,
        members,
        slices: parts / members,
        groups: banks / members,
        queries,
        query_heads: (cache.heads / cache.kv_heads) as u32,
        sink: cache.sink as u32,
        recent: cache.recent as u32,
        tokens: cache.tokens as u32,
        mul: 1,
        shift: 0,
        frac: 0,
        result_bits: 8,
        exp_table: Vec::new(),
        reciprocal_table: Vec::new(),
        log_table: Vec::new(),
        cluster: None,
    }
}
