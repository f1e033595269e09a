//! The DRAM commands of a program, each at its clock: what `schedule/commands.csv` lists.

use crate::target::Target;
use crate::walk::{ProgramError, Walk};
use pimc_rtl::isa::{Action, Instr};
use std::io::{self, Write};

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
    /// Closes the open row.
    Pre,
    /// Refreshes.
    Ref,
}

impl Command {
    /// Its name in traces: the command names of JEDEC.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Act { .. } => "ACT",
            Command::Read { .. } => "RD",
            Command::Pre => "PRE",
            Command::Ref => "REF",
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
    /// The instruction it comes from.
    pub instr: usize,
}

/// One thing of an expanded program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Expanded {
    /// A command.
    Command(Timed),
    /// The program's end.
    End {
        /// Its clock.
        cycle: u64,
    },
}

/// Expands a program to its commands, keeping the row and column counters as the sequencer does.
pub fn expand<'a>(
    program: &'a [Instr],
    columns: u32,
) -> impl Iterator<Item = Result<Expanded, ProgramError>> + 'a {
    let (mut row, mut col) = (0u32, 0u32);
    Walk::new(program).filter_map(move |step| {
        let issue = match step {
            Ok(issue) => issue,
            Err(e) => return Some(Err(e)),
        };
        let command = match issue.action {
            Action::Row { row: r, col: c } => {
                (row, col) = (r, c);
                return None;
            }
            Action::Act => Command::Act { row },
            Action::Read => {
                let at = col;
                col = if col + 1 >= columns { 0 } else { col + 1 };
                Command::Read { row, col: at }
            }
            Action::Pre => {
                row = row.wrapping_add(1);
                Command::Pre
            }
            Action::Ref => Command::Ref,
            Action::End => return Some(Ok(Expanded::End { cycle: issue.cycle })),
            Action::Wait
            | Action::Loop { .. }
            | Action::Next
            | Action::Stream(_)
            | Action::Vec(_) => return None,
        };
        let timed = Timed { cycle: issue.cycle, command, bank: None, instr: issue.index };
        Some(Ok(Expanded::Command(timed)))
    })
}

/// Writes `commands.csv`.
pub fn write_csv(program: &[Instr], target: &Target, to: &mut dyn Write) -> io::Result<()> {
    let tck = target.timing.tck_ps;
    writeln!(to, "# Command trace for target {}: every DRAM command of one run.", target.name)?;
    writeln!(to, "# cycle: command bus clock of the DRAM, {tck} ps, from the first command.")?;
    writeln!(to, "# command: ACT RD PRE REF. bank, row, column: -1 is all, or none.")?;
    writeln!(to, "cycle,command,bank,row,column")?;
    for item in expand(program, target.columns) {
        let Expanded::Command(t) = item.map_err(io::Error::other)? else { continue };
        let bank = t.bank.map_or(-1, i64::from);
        let (row, col) = match t.command {
            Command::Act { row } => (i64::from(row), -1),
            Command::Read { row, col } => (i64::from(row), i64::from(col)),
            Command::Pre | Command::Ref => (-1, -1),
        };
        writeln!(to, "{},{},{bank},{row},{col}", t.cycle, t.command.name())?;
    }
    Ok(())
}
