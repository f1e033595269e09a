//! Which rows of queries are served together. A bank unit holds tables and sums of every row that it serves;
//! where there is no room for those of all rows, a key/value head's codes are read once for each of several
//! passes.

use pimc_rtl::attention::AttentionShape;

/// Rows of queries, of which every query has one for each query head of its key/value head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) queries: u32,
    pub(super) heads: u32,
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
}

/// One pass over the tokens of a key/value head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    /// Which one.
    pub(super) index: u32,
    /// How many there are.
    pub(super) of: u32,
    /// Query heads of a key/value head.
    pub(super) heads: u32,
}

impl Pass {
    /// The passes of a plan with `rows` in all, on units of a shape.
    pub(super) fn all(rows: Rows, units: &AttentionShape) -> impl Iterator<Item = Pass> {
        let of = rows.queries * rows.heads / units.rows();
        (0..of).map(move |index| Pass { index, of, heads: rows.heads })
    }

    /// Query and query head of a row that units of a shape serve in this pass.
    pub(super) fn row(self, row: u32, units: &AttentionShape) -> (u32, u32) {
        let row = self.index * units.rows() + row;
        (row / self.heads, row % self.heads)
    }

    /// How reports name it behind its head; nothing if there is no other.
    pub(super) fn name(self) -> String {
        if self.of == 1 {
            String::new()
        } else {
            format!(", pass {} of {}", self.index + 1, self.of)
        }
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
}
