//! A step as column accesses: an order that is the same for the clocks, the commands and the data.

use super::clocks::Clocks;
use super::layout::FormLayout;
use super::{Cause, Follow, Form, Gather, LiteralStep, Work, BUFFER_BYTES, VALUE_BYTES};
use crate::target::Target;
use pimc_ir::Side;
use pimc_rtl::attention::MAX_LATENCY;

/// A token that a step appends. Places and numbers are among those of all token groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// The token that it drives out of the window, if one leaves.
    pub leaves: Option<Leaves>,
    /// The place where it is kept exact, if it is.
    pub keeps: Option<u32>,
}

/// A token that becomes codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaves {
    /// Its place among the exact ones; none where it is the new token itself.
    pub place: Option<u32>,
    /// Its number among the compressed ones.
    pub token: u32,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormStep {
    /// The tokens that it appends.
    pub appends: Vec<Appended>,
    /// Exact tokens after that.
    pub exact: u32,
    /// Compressed tokens after that.
    pub compressed: u32,
    /// Queries that attend to them.
    pub queries: u32,
    /// Key/value heads that are attended to, from the first on.
    pub slots: u32,
    /// Query heads that share one.
    pub group: u32,
}

/// Makes a step, for `follow` to see.
pub fn run(
    target: &Target,
    layout: &FormLayout,
    form: Form,
    step: &FormStep,
    follow: &mut dyn Follow,
) -> LiteralStep {
    let mut w = Writer {
        target,
        form,
        l: layout,
        c: Clocks::new(target, follow),
        tokens: step.compressed.div_ceil(layout.groups),
        exact: step.exact.div_ceil(layout.groups),
    };
    for (i, appended) in step.appends.iter().enumerate() {
        w.append(i as u32, appended);
    }
    for slot in 0..step.slots {
        for query in 0..step.queries {
            for head in 0..step.group {
                w.head(slot, query, head);
            }
        }
    }
    w.c.finish()
}

pub(super) struct Writer<'a> {
    target: &'a Target,
    form: Form,
    pub(super) l: &'a FormLayout,
    pub(super) c: Clocks<'a>,
    /// Compressed and exact tokens of a group.
    tokens: u32,
    exact: u32,
}

impl Writer<'_> {
    /// Row and column of column `at` from a row's first on.
    pub(super) fn at(&self, row: u32, at: u32) -> (u32, u32) {
        (row + at / self.l.columns, at % self.l.columns)
    }

    /// Token groups of a pseudo-channel.
    fn groups(&self) -> u64 {
        u64::from((self.target.banks / self.l.members).max(1))
    }

    /// Bytes of a value of every bank of a pseudo-channel.
    pub(super) fn of_banks(&self, values: u32) -> u64 {
        u64::from(self.target.banks) * u64::from(values) * u64::from(VALUE_BYTES)
    }

    /// Bytes of a sub-vector, or of a sum for it, of every bank of a pseudo-channel.
    pub(super) fn vector_bytes(&self) -> u64 {
        self.of_banks(self.l.slices * self.l.sub)
    }

    /// Bytes with which a token's scores leave a pseudo-channel.
    fn score_bytes(&self) -> u64 {
        if self.form.reduced {
            return self.groups() * u64::from(VALUE_BYTES);
        }
        self.of_banks(1)
    }

    /// One query head.
    fn head(&mut self, slot: u32, query: u32, head: u32) {
        let l = self.l;
        // A bank's part of the query goes in; the part of the result comes out.
        let ends = self.vector_bytes();
        self.c.moved(|m| &mut m.queries, ends);
        self.c.transfer(Cause::Ends, ends);
        self.c.between(Work::Query { slot, query, head });
        for slice in 0..l.slices {
            self.table(slot, slice);
        }

        let blocks = self.exact.div_ceil(l.per_column());
        let of_column = u64::from(l.per_column());
        let scores = self.score_bytes();
        let row = l.exact_row(slot, Side::Key);
        for at in 0..blocks * l.slices {
            let work = Work::ExactKeys { slice: at % l.slices, block: at / l.slices };
            let to = self.at(row, at);
            self.c.read(Cause::Exact, to, scores * of_column, work);
        }
        let exact = u64::from(blocks * l.slices) * of_column;
        let compressed = u64::from(self.tokens * l.slices);
        self.c.moved(|m| &mut m.scores, scores * exact);
        self.keys(slot, scores);
        self.c.moved(|m| &mut m.scores, scores * compressed);
        self.c.softmax(MAX_LATENCY.into());
        self.c.between(Work::Softmax);

        let weights = self.groups() * u64::from(VALUE_BYTES);
        let row = l.exact_row(slot, Side::Value);
        for at in 0..blocks * l.slices {
            let work = Work::ExactValues { slice: at % l.slices, block: at / l.slices };
            let to = self.at(row, at);
            self.c.read(Cause::Exact, to, weights * of_column, work);
        }
        self.values(slot, weights);
        self.c.moved(|m| &mut m.probabilities, weights * (exact + compressed));
        self.c.drain(Cause::Ends);
        self.c.moved(|m| &mut m.results, ends);
        self.c.transfer(Cause::Ends, ends);
        self.c.between(Work::Result);
    }

    /// Centroids whose entries, or distances, the unit's buffer holds.
    pub(super) fn batches(&self) -> impl Iterator<Item = (u32, u32)> {
        let (k, most) = (self.l.k, BUFFER_BYTES / VALUE_BYTES);
        (0..k.div_ceil(most)).map(move |i| (i * most, k.min((i + 1) * most)))
    }

    /// Builds the table of a sub-vector, as much at a time as the buffer holds.
    fn table(&mut self, slot: u32, slice: u32) {
        let l = self.l;
        let (book, table) = (l.book_row(slot, Side::Key, slice), l.table_row(slot, slice));
        for (from, to) in self.batches() {
            for at in l.columns_of(from * l.sub)..l.columns_of(to * l.sub) {
                let work = Work::Entries { slice, first: at * l.per_column() };
                let to = self.at(book, at);
                self.c.read(Cause::Table, to, 0, work);
            }
            for at in l.columns_of(from)..l.columns_of(to) {
                let to = self.at(table, at);
                self.c.write(Cause::Table, to, Work::Table { first: at * l.values });
            }
        }
    }

    /// Codes of a group that are in the registers at a time: how many, and the columns they lie in.
    fn held(&self) -> impl Iterator<Item = (std::ops::Range<u32>, std::ops::Range<u32>)> {
        let (codes, tokens) = (self.l.codes, self.tokens);
        let columns = tokens.div_ceil(codes);
        let batch = (BUFFER_BYTES / (self.l.values * VALUE_BYTES)).max(1);
        (0..columns.div_ceil(batch)).map(move |i| {
            let columns = i * batch..columns.min((i + 1) * batch);
            (columns.start * codes..tokens.min(columns.end * codes), columns)
        })
    }

    /// Reads columns of codes into the registers.
    fn codes(&mut self, row: u32, columns: std::ops::Range<u32>) {
        let first = columns.start;
        for at in columns {
            let to = self.at(row, at);
            self.c.read(Cause::Codes, to, 0, Work::Codes { anew: at == first });
        }
    }

    /// Accesses that serve `most` tokens each: the first token of each, and how many.
    fn accesses(&self, tokens: &std::ops::Range<u32>, most: u32) -> Vec<(u32, u32)> {
        let most = if self.form.whole_columns { most.max(1) } else { 1 };
        let firsts = tokens.clone().step_by(most as usize);
        firsts.map(|first| (first, most.min(tokens.end - first))).collect()
    }

    /// Looks keys up; `bytes` a token go over the bus.
    fn keys(&mut self, slot: u32, bytes: u64) {
        for slice in 0..self.l.slices {
            let (row, table) =
                (self.l.code_row(slot, Side::Key, slice), self.l.table_row(slot, slice));
            for (held, columns) in self.held() {
                self.codes(row, columns);
                for (token, tokens) in self.accesses(&held, self.l.values) {
                    let work = Work::Key { token, register: token - held.start, tokens };
                    let bytes = bytes * u64::from(tokens);
                    self.c.read(Cause::KeyLookups, (table, 0), bytes, work);
                }
            }
        }
    }

    /// Gathers values; `bytes` a token go over the bus.
    fn values(&mut self, slot: u32, bytes: u64) {
        let l = self.l;
        let elements: Vec<Option<u32>> = match self.form.gather {
            Gather::Centroid => vec![None],
            Gather::Element => (0..l.sub).map(Some).collect(),
        };
        let most = match self.form.gather {
            Gather::Centroid => l.per_column(),
            Gather::Element => l.values,
        };
        for slice in 0..l.slices {
            let row = l.code_row(slot, Side::Value, slice);
            let book = l.book_row(slot, Side::Value, slice);
            for (held, columns) in self.held() {
                self.codes(row, columns);
                for &element in &elements {
                    let (at, col) = element.map_or((0, 0), |e| l.element_at(e));
                    // Weights come once: the unit keeps those of the codes that it holds.
                    let bytes = if element.unwrap_or(0) == 0 { bytes } else { 0 };
                    for (token, tokens) in self.accesses(&held, most) {
                        let register = token - held.start;
                        let work = Work::Value { slice, token, register, element, tokens };
                        let bytes = bytes * u64::from(tokens);
                        self.c.read(Cause::ValueLookups, (book + at, col), bytes, work);
                    }
                }
            }
        }
    }
}
