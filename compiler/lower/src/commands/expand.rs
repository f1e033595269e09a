//! The commands of a program.

use super::{Command, Timed};
use crate::walk::{Issue, ProgramError, Walk};
use pimc_rtl::isa::{Action, Instr, SetTo};

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

/// Expands a program that takes no arguments to its commands, for DRAM rows of that many columns.
pub fn expand<'a>(
    program: &'a [Instr],
    columns: u32,
) -> impl Iterator<Item = Result<Expanded, ProgramError>> + 'a {
    of_walk(Walk::new(program), columns)
}

/// The same with the arguments of a run, on a DRAM that is refreshed every `refi` clocks.
pub fn expand_with<'a>(
    program: &'a [Instr],
    args: &'a [u32],
    refi: u32,
    columns: u32,
) -> impl Iterator<Item = Result<Expanded, ProgramError>> + 'a {
    of_walk(Walk::with_args(program, args, refi), columns)
}

/// The commands of a walk, keeping the row and column counters as the sequencer does.
pub(crate) fn of_walk<'a>(
    walk: impl Iterator<Item = Result<Issue, ProgramError>> + 'a,
    columns: u32,
) -> impl Iterator<Item = Result<Expanded, ProgramError>> + 'a {
    let (mut row, mut col) = (0u32, 0u32);
    let count = move |col: u32| if col + 1 >= columns { 0 } else { col + 1 };
    walk.filter_map(move |step| {
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
                col = count(col);
                Command::Read { row, col: at }
            }
            Action::Write => {
                let at = col;
                col = count(col);
                Command::Write { row, col: at }
            }
            Action::Set { to: SetTo::Row, .. } => {
                (row, col) = (issue.value, 0);
                return None;
            }
            Action::Set { to: SetTo::Col, .. } => {
                col = issue.value;
                return None;
            }
            Action::RefreshDue { .. } if issue.refreshes() => Command::Ref,
            Action::Pre => {
                row = row.wrapping_add(1);
                Command::Pre
            }
            Action::Ref => Command::Ref,
            Action::End => return Some(Ok(Expanded::End { cycle: issue.cycle })),
            Action::Wait
            | Action::Set { .. }
            | Action::RefreshDue { .. }
            | Action::Loop { .. }
            | Action::LoopArg { .. }
            | Action::Next
            | Action::Stream(_)
            | Action::Vec(_) => return None,
        };
        let timed = Timed { cycle: issue.cycle, command, bank: None, instr: issue.index };
        Some(Ok(Expanded::Command(timed)))
    })
}
