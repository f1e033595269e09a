//! A step in the form of the paper (AQPIM, arXiv 2604.18137): tables and centroids stay in DRAM rows,
//! and every code is a column access of its own.
//!
//! [`run`] makes a step, in one order for all who follow it: the clocks and where they go, the DRAM commands,
//! and [`FormMachine`], which executes them on what the banks hold and comes to golden's result.
//! As a mapping it is [`FormPlan`] (`attention = "indirect"` of a target). It ends at the schedule, since no
//! unit of ours does this.
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
//!   4 elements of 16 bits take four rows; [`Gather::Element`] is the way that needs no such thing, and
//!   keeps the weights of the codes in the registers;
//! - units and softmax keep up with whatever comes;
//! - a token is taken in as the paper clusters: distances from all centroids go to the buffer die;
//! - a refresh may interrupt anything at the last clock possible.
//!
//! **Width.** A value takes two bytes, in a row and on the bus, and all clocks and bytes are those of two
//! bytes. Codebooks and exact tokens are int8 and lie in their slots bit by bit. An entry of a table has up
//! to 19 bits (eight products of int8), and so have scores' parts and weights (2^18 is one): the paper's FP16
//! would round them. Here they are executed as the integers they are, in slots that count as two bytes, so
//! that the result is golden's. Slots that held them, of four bytes, would put a table of 512 into two rows,
//! out of a lookup's reach; that is not modelled.

mod append;
mod clocks;
mod die;
mod driver;
mod images;
mod layout;
mod machine;
mod memory;
mod plan;

mod work;
mod writer;

pub use driver::FormDriver;
pub use images::FormImages;
pub use layout::FormLayout;
pub use machine::{FormMachine, Numbers, StepInputs};
pub(crate) use plan::no_hardware;
pub use plan::{Checked, FormPlan};
pub use work::{Follow, Work};
pub use writer::{run, Appended, FormStep, Leaves};

use crate::commands::Timed;
use crate::target::Target;
use pimc_ir::CacheType;

/// Bytes of a value: of an element, a table's entry, a score, a probability.
pub(crate) const VALUE_BYTES: u32 = 2;
/// Bytes of the registers for codes, and of the buffer in which a table is made.
pub(crate) const BUFFER_BYTES: u32 = 512;
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
    /// A token is taken in.
    Append,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 11] = [
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
        Cause::Append,
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
            Cause::Append => "new tokens taken in",
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
    /// What a token that is taken in takes: itself, distances, codes.
    pub appended: u64,
}

impl Moved {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.queries + self.scores + self.probabilities + self.results + self.appended
    }
}

/// A step in the paper's form.
#[derive(Clone, Debug)]
pub struct LiteralStep {
    /// Its DRAM commands, all of them to all banks, where they were kept. The column of a lookup is every
    /// bank's own, counted from the one that its command says.
    pub commands: Vec<Timed>,
    /// Its end.
    pub cycles: u64,
    /// Its clocks by what they go into, in the order of [`Cause::ALL`]; they add up to `cycles`.
    pub causes: [u64; Cause::ALL.len()],
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

/// A step of one key/value head that holds `tokens` tokens, on all banks of a target; query heads that share
/// it come one after the other, as in the paper.
pub fn schedule(target: &Target, cache: &CacheType, tokens: u32, form: Form) -> LiteralStep {
    let room = CacheType { tokens: cache.tokens.max(tokens as usize), ..*cache };
    let layout = FormLayout::new(target, &room, form.gather);
    let compressed = cache.compressed(tokens as usize) as u32;
    let step = FormStep {
        appends: Vec::new(),
        exact: tokens - compressed,
        compressed,
        queries: 1,
        slots: 1,
        group: (cache.heads / cache.kv_heads.max(1)) as u32,
    };
    let mut commands: Vec<Timed> = Vec::new();
    let made = run(target, &layout, form, &step, &mut commands);
    LiteralStep { commands, ..made }
}
