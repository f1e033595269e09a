//! A step in the form of the paper (AQPIM, arXiv 2604.18137): tables and centroids stay in DRAM rows,
//! and every code is a column access of its own. For comparison with our mapping, as DRAM commands alone.
//!
//! It is a function and no mapping of a target: a plan says what the units of a bank do, and no unit of ours
//! does this; its commands and where their clocks go are all that there is to compare.
//!
//! What the paper prints (P): a sub-vector to a bank; 512 values of 16 bits, a sub-vector's table, fill a
//! row of 1 KB; codes of 9 bits are held in the unit's registers and drive the column decoder; adders and
//! multipliers alone beside the banks, so that partial products go to the buffer die unreduced, where the
//! softmax is; values are gathered, then multiplied; tokens in front and the last ones are kept exact;
//! elements of 16 bits. What it does not say we assume, in its favour where two ways are open:
//!
//! - the registers for codes, and the buffer in which a table is made, have 512 bytes: one of the two
//!   buffers of an AttAcc unit (S);
//! - 28 codes of 9 bits lie in a column, as in our layout;
//! - a lookup is an all-bank column access at the all-bank interval, the column every bank's own;
//! - commands of the next lookups run while partial products of the last ones are on the bus;
//! - every centroid of a sub-vector can be looked up in one open row ([`Gather::Centroid`]), though 512 of
//!   4 elements of 16 bits take four rows; [`Gather::Element`] is the way that needs no such thing;
//! - units and softmax keep up with whatever comes, and the step appends nothing;
//! - a refresh may interrupt anything at the last clock possible.

mod clocks;

use crate::commands::Timed;
use crate::target::Target;
use clocks::Clocks;
use pimc_ir::CacheType;
use pimc_rtl::attention::MAX_LATENCY;

/// Bytes of a value: of an element, a table's entry, a score, a probability.
const VALUE_BYTES: u32 = 2;
/// Bytes of the registers for codes, and of the buffer in which a table is made.
const BUFFER_BYTES: u32 = 512;
const WORD_BITS: u32 = 64;

/// How centroids of values are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gather {
    /// A centroid's elements lie side by side: a column access a token. All centroids of a sub-vector
    /// would have to be in one row.
    #[default]
    Centroid,
    /// A row for each element of the centroids: as many column accesses as a sub-vector has elements.
    Element,
}

/// The paper's form, and what could be mended about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// How centroids of values are looked up.
    pub gather: Gather,
    /// Whether a column access serves as many tokens as a column has values for: no lane is idle.
    pub whole_columns: bool,
    /// Whether partial products are added up over the banks of a pseudo-channel before they leave.
    pub reduced: bool,
}

/// What clocks go into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The query goes to the banks, the result to the buffer die.
    Ends,
    /// Columns of the codebook read and of the table written.
    Table,
    /// Columns of exact tokens.
    Exact,
    /// Columns of codes.
    Codes,
    /// Lookups of keys.
    KeyLookups,
    /// Lookups of values.
    ValueLookups,
    /// A column access waits for the pseudo-channel's bus.
    Bus,
    /// Values wait for the last scores and the softmax.
    Softmax,
    /// Rows are opened and closed.
    Rows,
    /// Refresh.
    Refresh,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 10] = [
        Cause::Ends,
        Cause::Table,
        Cause::Exact,
        Cause::Codes,
        Cause::KeyLookups,
        Cause::ValueLookups,
        Cause::Bus,
        Cause::Softmax,
        Cause::Rows,
        Cause::Refresh,
    ];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Ends => "query in, result out",
            Cause::Table => "tables: codebook read, table written",
            Cause::Exact => "exact tokens",
            Cause::Codes => "codes into registers",
            Cause::KeyLookups => "lookups of keys",
            Cause::ValueLookups => "lookups of values",
            Cause::Bus => "column accesses that wait for the bus",
            Cause::Softmax => "last scores and softmax",
            Cause::Rows => "row turnarounds",
            Cause::Refresh => "refresh",
        }
    }
}

/// Bytes that go over the bus of one pseudo-channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Queries.
    pub queries: u64,
    /// Partial products of scores.
    pub scores: u64,
    /// Probabilities.
    pub probabilities: u64,
    /// Results.
    pub results: u64,
}

impl Moved {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.queries + self.scores + self.probabilities + self.results
    }
}

/// A step in the paper's form.
#[derive(Clone, Debug)]
pub struct LiteralStep {
    /// Its DRAM commands, all of them to all banks. The column of a lookup is every bank's own; 0 here.
    pub commands: Vec<Timed>,
    /// Its end.
    pub cycles: u64,
    /// Its clocks by what they go into, in the order of [`Cause::ALL`]; they add up to `cycles`.
    pub causes: [u64; 10],
    /// Column accesses of a bank that are lookups of keys, and of values.
    pub lookups: [u64; 2],
    /// Column accesses of a bank that read codes.
    pub code_columns: u64,
    /// What goes over a pseudo-channel's bus.
    pub moved: Moved,
    /// Clocks that the bus is busy with it.
    pub bus_clocks: u64,
}

impl LiteralStep {
    /// Clocks of a cause.
    pub fn clocks(&self, cause: Cause) -> u64 {
        self.causes[cause as usize]
    }
}

/// Sizes of a step.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    sub: u32,
    k: u32,
    /// Sub-vectors of a bank.
    slices: u32,
    /// Compressed and exact tokens of a bank.
    tokens: u32,
    exact: u32,
    /// Token groups of a pseudo-channel.
    groups: u32,
    column_bytes: u32,
    codes_of_column: u32,
}

/// A step of one key/value head that holds `tokens` tokens, on all banks of a target; query heads that share
/// it come one after the other, as in the paper.
pub fn schedule(target: &Target, cache: &CacheType, tokens: u32, form: Form) -> LiteralStep {
    let parts = (cache.dim / cache.sub.max(1)) as u32;
    let members = parts.min(target.units());
    let over_groups = |n: u32| n.div_ceil(target.units() / members);
    let exact = tokens.min((cache.sink + cache.recent) as u32);
    let code_bits = (cache.k as u32).next_power_of_two().trailing_zeros().max(1);
    let sizes = Sizes {
        sub: cache.sub as u32,
        k: cache.k as u32,
        slices: parts / members,
        tokens: over_groups(tokens - exact),
        exact: over_groups(exact),
        groups: (target.banks / members).max(1),
        column_bytes: target.column_bits / 8,
        codes_of_column: target.column_bits / WORD_BITS * (WORD_BITS / code_bits),
    };
    let mut w = Writer { target, form, sizes, c: Clocks::new(target), next_row: 0 };
    for _ in 0..cache.heads / cache.kv_heads.max(1) {
        w.next_row = 0;
        w.head();
    }
    w.c.finish()
}

struct Writer<'a> {
    target: &'a Target,
    form: Form,
    sizes: Sizes,
    c: Clocks<'a>,
    next_row: u32,
}

impl Writer<'_> {
    /// Rows of their own for so many columns; the first.
    fn rows(&mut self, columns: u32) -> u32 {
        let row = self.next_row;
        self.next_row += columns.div_ceil(self.target.columns);
        row
    }

    /// Reads columns that follow one another from a row's first on; `bytes` go over the bus with each.
    fn columns(&mut self, cause: Cause, row: u32, columns: std::ops::Range<u32>, bytes: u64) {
        for at in columns {
            let (row, col) = (row + at / self.target.columns, at % self.target.columns);
            self.c.read(cause, row, col, bytes);
        }
    }

    /// Columns of so many values.
    fn columns_of(&self, values: u32) -> u32 {
        (values * VALUE_BYTES).div_ceil(self.sizes.column_bytes)
    }

    /// Bytes with which a token's scores leave a pseudo-channel.
    fn score_bytes(&self) -> u64 {
        let sums = if self.form.reduced { self.sizes.groups } else { self.target.banks };
        u64::from(sums * VALUE_BYTES)
    }

    /// One query head.
    fn head(&mut self) {
        let s = self.sizes;
        // A bank's part of the query goes in; the part of the result comes out.
        let ends = u64::from(self.target.banks * s.slices * s.sub * VALUE_BYTES);
        self.c.moved(|m| &mut m.queries, ends);
        self.c.transfer(Cause::Ends, ends);
        let tables: Vec<u32> = (0..s.slices).map(|_| self.table()).collect();

        let exact = self.columns_of(s.exact * s.sub) * s.slices;
        let tokens_of_column = u64::from((s.column_bytes / (s.sub * VALUE_BYTES)).max(1));
        let scores = self.score_bytes();
        let row = self.rows(exact);
        self.columns(Cause::Exact, row, 0..exact, scores * tokens_of_column);
        self.c.moved(|m| &mut m.scores, scores * tokens_of_column * u64::from(exact));
        let of_column = s.column_bytes / VALUE_BYTES;
        let per_access = if self.form.whole_columns { of_column } else { 1 };
        self.codes(Cause::KeyLookups, &tables, 1, per_access, scores);
        self.c.moved(|m| &mut m.scores, scores * u64::from(s.tokens * s.slices));
        self.c.softmax(MAX_LATENCY.into());

        let weights = u64::from(s.groups * VALUE_BYTES);
        let row = self.rows(exact);
        self.columns(Cause::Exact, row, 0..exact, weights * tokens_of_column);
        let book = self.columns_of(s.k * s.sub);
        let books: Vec<u32> = (0..s.slices).map(|_| self.rows(book)).collect();
        let (accesses, values) = match self.form.gather {
            Gather::Centroid => (1, s.sub),
            Gather::Element => (s.sub, 1),
        };
        let per_access = if self.form.whole_columns { (of_column / values).max(1) } else { 1 };
        self.codes(Cause::ValueLookups, &books, accesses, per_access, weights);
        let all = u64::from(exact) * tokens_of_column + u64::from(s.tokens * s.slices);
        self.c.moved(|m| &mut m.probabilities, weights * all);
        self.c.drain();
        self.c.moved(|m| &mut m.results, ends);
        self.c.transfer(Cause::Ends, ends);
    }

    /// Builds the table of a sub-vector, as much at a time as the buffer holds; its row.
    fn table(&mut self) -> u32 {
        let s = self.sizes;
        let book = self.columns_of(s.k * s.sub);
        let row = self.rows(book);
        let table = self.rows(self.columns_of(s.k));
        let most = BUFFER_BYTES / VALUE_BYTES;
        let mut done = 0;
        while done < s.k {
            let now = most.min(s.k - done);
            let from = done * s.sub * VALUE_BYTES / s.column_bytes;
            let to = self.columns_of((done + now) * s.sub);
            self.columns(Cause::Table, row, from..to, 0);
            let from = done * VALUE_BYTES / s.column_bytes;
            for at in from..self.columns_of(done + now) {
                let (row, col) = (table + at / self.target.columns, at % self.target.columns);
                self.c.write(Cause::Table, row, col);
            }
            done += now;
        }
        table
    }

    /// Reads codes into the registers, then looks them up, `accesses` rows of a table each, `per_access`
    /// of them with a column access; until all are through. `bytes` a token go over the bus.
    fn codes(&mut self, cause: Cause, tables: &[u32], accesses: u32, per_access: u32, bytes: u64) {
        let s = self.sizes;
        let columns = s.tokens.div_ceil(s.codes_of_column);
        let batch = (BUFFER_BYTES / s.column_bytes).max(1);
        for &table in tables {
            let row = self.rows(columns);
            let mut from = 0;
            while from < columns {
                let to = (from + batch).min(columns);
                self.columns(Cause::Codes, row, from..to, 0);
                let tokens = (to * s.codes_of_column).min(s.tokens) - from * s.codes_of_column;
                for access in 0..accesses {
                    for i in 0..tokens.div_ceil(per_access) {
                        let here = per_access.min(tokens - i * per_access);
                        let bytes = if access == 0 { bytes * u64::from(here) } else { 0 };
                        self.c.read(cause, table + access, 0, bytes);
                    }
                }
                from = to;
            }
        }
    }
}
