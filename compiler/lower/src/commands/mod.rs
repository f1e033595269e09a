//! DRAM commands, each at its clock: those of a program, and traces of them as CSV, which
//! `schedule/commands.csv` is.

mod csv;
mod expand;

pub use csv::{read_csv, write_csv, write_csv_with, write_timed, Trace};
pub(crate) use csv::{write_command, write_end, write_head};
pub(crate) use expand::of_walk;
pub use expand::{expand, expand_with, Expanded};

/// A DRAM command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Opens a row.
    Act {
        /// The row.
        row: u32,
    },
    /// Reads a column of the open row.
    Read {
        /// The row that should be open.
        row: u32,
        /// The column.
        col: u32,
    },
    /// Writes a column of the open row.
    Write {
        /// The row that should be open.
        row: u32,
        /// The column.
        col: u32,
    },
    /// Closes the open row.
    Pre,
    /// Refreshes.
    Ref,
    /// Refresh management: time for the DRAM to refresh rows whose neighbours were opened often. It
    /// pays for no refresh.
    Rfm,
}

impl Command {
    /// Its name in traces: the command names of JEDEC.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Act { .. } => "ACT",
            Command::Read { .. } => "RD",
            Command::Write { .. } => "WR",
            Command::Pre => "PRE",
            Command::Ref => "REF",
            Command::Rfm => "RFM",
        }
    }
}

/// A command at a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timed {
    /// Clock on the command bus, from the program's first instruction.
    pub cycle: u64,
    /// What.
    pub command: Command,
    /// The bank it goes to; none is all of them.
    pub bank: Option<u32>,
    /// The instruction it comes from, or the line of its trace, from 0.
    pub instr: usize,
}
