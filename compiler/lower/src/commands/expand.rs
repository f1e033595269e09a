//! The commands of a program.

use super::{Command, Timed};
use crate::walk::{ProgramError, Walk};
use pimc_rtl::isa::{Action, Instr};

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
