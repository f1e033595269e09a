//! Which rows of queries are served together. A bank unit holds tables and sums of every row that it serves;
//! where there is no room for those of all rows, a key/value head's codes are read once for each of several
//! passes.

use super::layout::CacheLayout;
use pimc_rtl::attention::AttentionShape;

/// Rows of queries, of which every query has one for each query head of its key/value head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) queries: u32,
    pub(crate) heads: u32,
}

impl Rows {
    /// Rows that can be served together in passes of equal size, most of them first: all heads of some queries, then
    /// some heads of one, so that a pass's rows are neighbours among the results.
    pub(super) fn together(self) -> impl Iterator<Item = Rows> {
        let divisors = |n: u32| (1..=n).rev().filter(move |d| n % d == 0);
        let queries = divisors(self.queries).map(move |queries| Rows { queries, ..self });
        let heads = divisors(self.heads).skip(1).map(|heads| Rows { queries: 1, heads });
        queries.chain(heads)
    }

    /// Units that serve these rows at a time.
    pub(super) fn of(self, units: &AttentionShape) -> AttentionShape {
        AttentionShape { queries: self.queries, query_heads: self.heads, ..units.clone() }
    }

    fn count(self) -> u32 {
        self.queries * self.heads
    }
}

/// One pass over the tokens of a key/value head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// Which one.
    pub(crate) index: u32,
    /// Its first query.
    pub(crate) query: u32,
    /// The first query head of it.
    pub(crate) head: u32,
}

/// The passes of a plan, and what of argument memory is about each: the limits of its queries and, if there are
/// several, where its queries and its results begin, counted from the first pass's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PassMap {
    /// All rows, and those of a pass.
    pub(super) all: Rows,
    pub(super) each: Rows,
    /// Elements of a query, from one query to the next one, and of a row of results.
    dim: u32,
    query_len: u32,
    row_results: u32,
}

impl PassMap {
    /// The passes of `rows` on units of a shape.
    pub(super) fn new(all: Rows, units: &AttentionShape, layout: &CacheLayout) -> PassMap {
        PassMap {
            all,
            each: Rows { queries: units.queries, heads: units.query_heads },
            dim: units.dim,
            query_len: layout.slots * all.heads * units.dim,
            row_results: units.row_results(),
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.all.count() / self.each.count()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Pass> {
        let (each, heads) = (self.each.count(), self.all.heads);
        (0..self.count()).map(move |index| {
            let row = index * each;
            Pass { index, query: row / heads, head: row % heads }
        })
    }

    /// Words about a pass.
    pub(super) fn words(&self) -> u32 {
        self.each.queries + if self.count() > 1 { 2 } else { 0 }
    }

    /// Of those of a pass, where its queries begin, and where its results do.
    pub(super) fn source(&self) -> u32 {
        self.each.queries
    }

    pub(super) fn result(&self) -> u32 {
        self.each.queries + 1
    }

    /// The words about a pass, of queries with these limits.
    pub(super) fn words_of(&self, pass: Pass, limit: impl Fn(u32) -> u32) -> Vec<u32> {
        let mut words: Vec<u32> =
            (pass.query..).take(self.each.queries as usize).map(limit).collect();
        if self.count() > 1 {
            words.push(pass.query * self.query_len + pass.head * self.dim);
            words.push(pass.index * self.results());
        }
        words
    }

    /// Where in a pass's queries row `row` of a key/value head begins.
    pub(super) fn query_at(&self, slot: u32, row: u32) -> u32 {
        let (query, head) = (row / self.each.heads, row % self.each.heads);
        query * self.query_len + (slot * self.all.heads + head) * self.dim
    }

    /// Results of a pass.
    pub(super) fn results(&self) -> u32 {
        self.each.count() * self.row_results
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_served_together() {
        let together = |queries, heads| -> Vec<(u32, u32)> {
            Rows { queries, heads }.together().map(|r| (r.queries, r.heads)).collect()
        };
        assert_eq!(together(1, 1), [(1, 1)]);
        assert_eq!(together(1, 8), [(1, 8), (1, 4), (1, 2), (1, 1)]);
        assert_eq!(together(6, 3), [(6, 3), (3, 3), (2, 3), (1, 3), (1, 1)]);
    }

    #[test]
    fn words_of_passes() {
        let each = |queries, heads| PassMap {
            all: Rows { queries: 2, heads: 4 },
            each: Rows { queries, heads },
            dim: 8,
            query_len: 3 * 4 * 8,
            row_results: 9,
        };
        let words = |map: PassMap| -> Vec<Vec<u32>> {
            map.all().map(|pass| map.words_of(pass, |query| 70 + query)).collect()
        };
        assert_eq!(words(each(2, 4)), [vec![70, 71]]);
        assert_eq!(words(each(1, 4)), [[70, 0, 0], [71, 96, 36]]);
        assert_eq!(words(each(1, 2)), [[70, 0, 0], [70, 16, 18], [71, 96, 36], [71, 112, 54]]);
        assert_eq!(each(2, 4).query_at(2, 5), 96 + (2 * 4 + 1) * 8);
        assert_eq!(each(1, 2).query_at(2, 1), (2 * 4 + 1) * 8);
    }
}
