//! Where a cache lies in the banks in the paper's form.
//!
//! A key/value head after the other; of each, of every sub-vector of a bank, the codebook of keys and the
//! row of its table, exact keys, codes of keys, exact values, the codebooks of values, codes of values.
//! Sub-vectors go over the banks first; banks that are left over make token groups: token t is group
//! t mod groups' number t / groups, and exact places likewise.
//!
//! Elements lie in slots of two bytes, as the paper has them. Exact tokens are in columns that hold whole
//! sub-vectors, a column of every slice after the other. Codes lie as in our own layout, none across words.

use super::{Gather, VALUE_BYTES, WORD_BITS};
use crate::target::Target;
use pimc_ir::{CacheType, Side};

/// What a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    /// A codebook.
    Book(Side, u32),
    /// A table, which is written in every step.
    Table,
    /// Exact tokens.
    Exact(Side),
    /// Codes.
    Codes(Side, u32),
}

/// Rows and columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormLayout {
    /// How centroids of values lie.
    pub gather: Gather,
    /// Key/value heads.
    pub slots: u32,
    /// Banks that hold a token together.
    pub members: u32,
    /// Sub-vectors of a token in a bank.
    pub slices: u32,
    /// Token groups, of all pseudo-channels.
    pub groups: u32,
    /// Elements of a sub-vector.
    pub sub: u32,
    /// Centroids.
    pub k: u32,
    /// Columns of a row.
    pub columns: u32,
    /// Slots of a column.
    pub values: u32,
    /// Bits of a code.
    pub code_bits: u32,
    /// Codes of a column.
    pub codes: u32,
    /// Places of exact tokens in a group.
    pub exact: u32,
    /// Most compressed tokens of a group.
    pub compressed: u32,
}

impl FormLayout {
    /// The layout of a cache on all banks of a target.
    pub fn new(target: &Target, cache: &CacheType, gather: Gather) -> FormLayout {
        let parts = (cache.dim / cache.sub.max(1)) as u32;
        let members = parts.min(target.units()).max(1);
        let groups = (target.units() / members).max(1);
        let code_bits = (cache.k as u32).next_power_of_two().trailing_zeros().max(1);
        FormLayout {
            gather,
            slots: cache.kv_heads as u32,
            members,
            slices: parts / members,
            groups,
            sub: cache.sub as u32,
            k: cache.k as u32,
            columns: target.columns,
            values: target.column_bits / 8 / VALUE_BYTES,
            code_bits,
            codes: target.column_bits / WORD_BITS * (WORD_BITS / code_bits),
            exact: ((cache.sink + cache.recent) as u32).div_ceil(groups),
            compressed: (cache.compressed(cache.tokens) as u32).div_ceil(groups),
        }
    }

    /// Columns of so many values.
    pub fn columns_of(&self, values: u32) -> u32 {
        values.div_ceil(self.values)
    }

    /// Sub-vectors of a column.
    pub fn per_column(&self) -> u32 {
        (self.values / self.sub.max(1)).max(1)
    }

    fn rows_of(&self, columns: u32) -> u32 {
        columns.div_ceil(self.columns)
    }

    /// Whether a table, and a row of centroids' elements, is in reach of one open row.
    pub fn table_in_a_row(&self) -> bool {
        self.columns_of(self.k) <= self.columns
    }

    /// Rows over which the centroids of a sub-vector of values lie that a lookup chooses from.
    pub fn rows_in_reach(&self) -> u32 {
        match self.gather {
            Gather::Centroid => self.book_rows(Side::Value),
            Gather::Element => 1,
        }
    }

    /// Whether a codebook has an element of every centroid side by side, instead of a centroid's elements.
    pub(crate) fn by_element(&self, side: Side) -> bool {
        side == Side::Value && self.gather == Gather::Element
    }

    /// Rows of a codebook of one sub-vector.
    pub(crate) fn book_rows(&self, side: Side) -> u32 {
        if self.by_element(side) {
            let last = self.element_at(self.sub.saturating_sub(1));
            return last.0 + self.rows_of(self.columns_of(self.k)).max(1);
        }
        self.rows_of(self.columns_of(self.k * self.sub))
    }

    /// Row and first column of an element of all centroids, from the codebook's first.
    pub(crate) fn element_at(&self, element: u32) -> (u32, u32) {
        let columns = self.columns_of(self.k);
        match self.columns / columns.max(1) {
            0 => (element * self.rows_of(columns), 0),
            per_row => (element / per_row, element % per_row * columns),
        }
    }

    fn table_rows(&self) -> u32 {
        self.rows_of(self.columns_of(self.k))
    }

    fn exact_rows(&self) -> u32 {
        self.rows_of(self.exact.div_ceil(self.per_column()) * self.slices)
    }

    fn code_rows(&self) -> u32 {
        self.rows_of(self.compressed.div_ceil(self.codes))
    }

    /// The regions of a head in order, with their rows.
    fn regions(&self) -> impl Iterator<Item = (Region, u32)> + '_ {
        let slices = || 0..self.slices;
        let books = slices().flat_map(|slice| {
            let book = Region::Book(Side::Key, slice);
            [(book, self.book_rows(Side::Key)), (Region::Table, self.table_rows())]
        });
        let exact = |side| std::iter::once((Region::Exact(side), self.exact_rows()));
        let codes =
            move |side| slices().map(move |slice| (Region::Codes(side, slice), self.code_rows()));
        let values =
            slices().map(|slice| (Region::Book(Side::Value, slice), self.book_rows(Side::Value)));
        books
            .chain(exact(Side::Key))
            .chain(codes(Side::Key))
            .chain(exact(Side::Value))
            .chain(values)
            .chain(codes(Side::Value))
    }

    /// Rows of a head: no more than a bank has, or the cache does not fit.
    fn slot_rows(&self) -> u32 {
        u32::try_from(self.head_rows()).unwrap_or(u32::MAX)
    }

    fn head_rows(&self) -> u64 {
        let both: u64 = Side::BOTH.map(|side| u64::from(self.book_rows(side))).iter().sum();
        let slice = both + u64::from(self.table_rows()) + 2 * u64::from(self.code_rows());
        2 * u64::from(self.exact_rows()) + u64::from(self.slices) * slice
    }

    /// Rows of a bank that are used.
    pub fn rows(&self) -> u64 {
        u64::from(self.slots) * self.head_rows()
    }

    /// The head and region that a row belongs to, and which row of the region it is.
    pub(crate) fn region(&self, row: u32) -> Option<(u32, Region, u32)> {
        if u64::from(row) >= self.rows() {
            return None;
        }
        let (slot, mut at) = (row / self.slot_rows(), row % self.slot_rows());
        for (region, rows) in self.regions() {
            if at < rows {
                return Some((slot, region, at));
            }
            at -= rows;
        }
        None
    }

    /// First row of a sub-vector's codebook.
    pub(crate) fn book_row(&self, slot: u32, side: Side, slice: u32) -> u32 {
        let head = slot * self.slot_rows();
        let keys = self.book_rows(Side::Key) + self.table_rows();
        match side {
            Side::Key => head + slice * keys,
            Side::Value => {
                let before = self.slices * (keys + self.code_rows()) + 2 * self.exact_rows();
                head + before + slice * self.book_rows(Side::Value)
            }
        }
    }

    /// Row of a sub-vector's table.
    pub(crate) fn table_row(&self, slot: u32, slice: u32) -> u32 {
        self.book_row(slot, Side::Key, slice) + self.book_rows(Side::Key)
    }

    /// First row of a side's exact tokens.
    pub(crate) fn exact_row(&self, slot: u32, side: Side) -> u32 {
        let keys = self.book_row(slot, Side::Key, self.slices);
        match side {
            Side::Key => keys,
            Side::Value => keys + self.exact_rows() + self.slices * self.code_rows(),
        }
    }

    /// First row of a sub-vector's codes.
    pub(crate) fn code_row(&self, slot: u32, side: Side, slice: u32) -> u32 {
        let first = match side {
            Side::Key => self.exact_row(slot, side) + self.exact_rows(),
            Side::Value => self.book_row(slot, side, self.slices),
        };
        first + slice * self.code_rows()
    }

    /// Row, column and first slot of a sub-vector of the exact token at a group's place `index`.
    pub(crate) fn exact_at(
        &self,
        slot: u32,
        side: Side,
        slice: u32,
        index: u32,
    ) -> (u32, u32, u32) {
        let (block, at) = (index / self.per_column(), index % self.per_column());
        let column = block * self.slices + slice;
        let row = self.exact_row(slot, side) + column / self.columns;
        (row, column % self.columns, at * self.sub)
    }

    /// Row, column and bit of a code of a group's token `index`.
    pub(crate) fn code_at(&self, slot: u32, side: Side, slice: u32, index: u32) -> (u32, u32, u32) {
        let column = index / self.codes;
        let row = self.code_row(slot, side, slice) + column / self.columns;
        (row, column % self.columns, self.code_bit(index % self.codes))
    }

    /// Bit of a column's code.
    pub(crate) fn code_bit(&self, at: u32) -> u32 {
        let in_word = WORD_BITS / self.code_bits;
        at / in_word * WORD_BITS + at % in_word * self.code_bits
    }

    /// Which of a codebook's values a column's slot holds: centroid and element; none in padding.
    pub(crate) fn centroid_in(
        &self,
        side: Side,
        row: u32,
        col: u32,
        at: u32,
    ) -> Option<(u32, u32)> {
        let (centroid, element) = if self.by_element(side) {
            let columns = self.columns_of(self.k);
            let (element, col) = match self.columns / columns.max(1) {
                0 => {
                    let rows = self.rows_of(columns);
                    (row / rows, row % rows * self.columns + col)
                }
                per_row => (row * per_row + col / columns, col % columns),
            };
            (col * self.values + at, element)
        } else {
            let per = self.per_column();
            let column = row * self.columns + col;
            (column * per + at / self.sub, at % self.sub)
        };
        let whole = self.by_element(side) || at < self.per_column() * self.sub;
        (whole && centroid < self.k && element < self.sub).then_some((centroid, element))
    }

    /// Row and column, from those of a lookup's command, at which the bank finds a code's entry or centroid,
    /// and its first slot. `wide` is how many values it looks up.
    pub(crate) fn own(&self, col: u32, code: u32, wide: u32) -> (u32, u32, u32) {
        let per = (self.values / wide.max(1)).max(1);
        let column = col + code / per;
        (column / self.columns, column % self.columns, code % per * wide)
    }

    /// Member number and token group of a bank.
    pub fn bank(&self, bank: u32) -> (u32, u32) {
        (bank % self.members, bank / self.members)
    }
}
