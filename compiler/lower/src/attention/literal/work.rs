//! What the units beside the banks and the buffer die do in a step, column access by column access: the
//! other half of its DRAM commands. Addresses are the commands'; only what becomes of a column is told here.

use crate::commands::Timed;
use pimc_ir::Side;

/// What is done with a column, or on the buffer die.
///
/// Tokens, places and centroids are numbered within a bank's token group; `slice` is one of the bank's
/// sub-vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// A query head's vector goes to the banks.
    Query {
        /// Key/value head.
        slot: u32,
        /// Query of the step.
        query: u32,
        /// Query head, of those that share the key/value head.
        head: u32,
    },
    /// Read: products of the query with the centroids in the column go to the unit's buffer.
    Entries {
        /// Sub-vector.
        slice: u32,
        /// The column's first centroid.
        first: u32,
    },
    /// Written: entries of the table, from the unit's buffer.
    Table {
        /// The column's first entry.
        first: u32,
    },
    /// Read: products of the query with exact keys leave for the buffer die.
    ExactKeys {
        /// Sub-vector.
        slice: u32,
        /// The column's number among those of the sub-vector.
        block: u32,
    },
    /// Read: codes go to the unit's registers.
    Codes {
        /// Whether those that were there are forgotten.
        anew: bool,
    },
    /// Read: the entry of a code in a register leaves for the buffer die. The column is the bank's own.
    Key {
        /// The token.
        token: u32,
        /// The register: its place among the codes that are held.
        register: u32,
        /// How many tokens the access serves.
        tokens: u32,
    },
    /// Scores are added up over the banks and become weights.
    Softmax,
    /// Read: exact values times their weights.
    ExactValues {
        /// Sub-vector.
        slice: u32,
        /// The column's number among those of the sub-vector.
        block: u32,
    },
    /// Read: the centroid of a code in a register, or an element of it, times the token's weight. The
    /// column is the bank's own.
    Value {
        /// Sub-vector.
        slice: u32,
        /// The token.
        token: u32,
        /// The register.
        register: u32,
        /// The one element that the row holds; none where all of the centroid is read.
        element: Option<u32>,
        /// How many tokens the access serves.
        tokens: u32,
    },
    /// Sums of weighted values go to the buffer die and are divided.
    Result,
    /// A new token's keys or values go to the banks.
    Token {
        /// Key/value head.
        slot: u32,
        /// Side.
        side: Side,
        /// Token of the step.
        token: u32,
    },
    /// Read: a sub-vector of the exact token that leaves the window goes to the buffer die.
    Capture {
        /// Sub-vector.
        slice: u32,
        /// The place of the token among all groups' exact ones.
        place: u32,
    },
    /// What was captured goes to the banks.
    Captured,
    /// Read: squared differences from the centroids in the column leave for the buffer die, which keeps
    /// the least; of one element they are added up in the unit's buffer, and leave with the last.
    Distances {
        /// Sub-vector.
        slice: u32,
        /// The column's first centroid.
        first: u32,
        /// The one element that the row holds.
        element: Option<u32>,
    },
    /// Numbers of the nearest centroids go to the banks.
    Nearest,
    /// Read: a column that will be written back changed.
    Take,
    /// Written: the column that was taken, a code in it replaced.
    PutCode {
        /// Sub-vector.
        slice: u32,
        /// The token among all groups' compressed ones.
        token: u32,
    },
    /// Written: the column that was taken, an exact sub-vector in it replaced.
    PutToken {
        /// Sub-vector.
        slice: u32,
        /// The place of the token among all groups' exact ones.
        place: u32,
    },
}

impl Work {
    /// In a word, as traces have it.
    pub fn name(self) -> &'static str {
        match self {
            Work::Query { .. } => "query",
            Work::Entries { .. } => "entries",
            Work::Table { .. } => "table",
            Work::ExactKeys { .. } => "exact_keys",
            Work::Codes { .. } => "codes",
            Work::Key { .. } => "lookup_key",
            Work::Softmax => "softmax",
            Work::ExactValues { .. } => "exact_values",
            Work::Value { .. } => "lookup_value",
            Work::Result => "result",
            Work::Token { .. } => "token",
            Work::Capture { .. } => "capture",
            Work::Captured => "captured",
            Work::Distances { .. } => "distances",
            Work::Nearest => "nearest",
            Work::Take => "take",
            Work::PutCode { .. } => "put_code",
            Work::PutToken { .. } => "put_token",
        }
    }
}

/// Who follows a step as it is made, from clock to clock.
pub trait Follow {
    /// A command; with what is done with the column where it is a column access.
    fn command(&mut self, timed: Timed, work: Option<Work>);

    /// What the buffer die does between two commands.
    fn between(&mut self, work: Work);
}

/// Commands kept.
impl Follow for Vec<Timed> {
    fn command(&mut self, timed: Timed, _: Option<Work>) {
        self.push(timed);
    }

    fn between(&mut self, _: Work) {}
}

/// Nobody: only clocks and counts are wanted.
impl Follow for () {
    fn command(&mut self, _: Timed, _: Option<Work>) {}

    fn between(&mut self, _: Work) {}
}

/// Two at once.
impl<A: Follow, B: Follow> Follow for (A, B) {
    fn command(&mut self, timed: Timed, work: Option<Work>) {
        self.0.command(timed, work);
        self.1.command(timed, work);
    }

    fn between(&mut self, work: Work) {
        self.0.between(work);
        self.1.between(work);
    }
}

impl<F: Follow + ?Sized> Follow for &mut F {
    fn command(&mut self, timed: Timed, work: Option<Work>) {
        (**self).command(timed, work);
    }

    fn between(&mut self, work: Work) {
        (**self).between(work);
    }
}
