//! Runs the control flow of a program: which instruction issues at which clock.
//!
//! From the program word's meaning alone: an instruction issues, the next one `delay` clocks later;
//! `Loop` repeats what follows, up to its `Next`, `count` times; `End` ends. The first instruction
//! issues at clock 0.

use pimc_rtl::isa::{Action, Instr, LOOP_DEPTH, MIN_DELAY};
use thiserror::Error;

/// One instruction at the clock of its issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Clock, from the first instruction.
    pub cycle: u64,
    /// Its place in the program.
    pub index: usize,
    /// What it does.
    pub action: Action,
}

/// Why a program cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProgramError {
    /// A delay too short for the sequencer.
    #[error("instruction {index}: delay {delay} is less than {MIN_DELAY}")]
    Delay {
        /// Which instruction.
        index: usize,
        /// Its delay.
        delay: u32,
    },
    /// A `Next` without a `Loop`.
    #[error("instruction {index}: next without a loop")]
    Next {
        /// Which instruction.
        index: usize,
    },
    /// Loops nested too deeply.
    #[error("instruction {index}: loops nest deeper than {LOOP_DEPTH}")]
    Depth {
        /// Which instruction.
        index: usize,
    },
    /// A loop that runs no time at all.
    #[error("instruction {index}: a loop of count 0")]
    Count {
        /// Which instruction.
        index: usize,
    },
    /// The program runs past its last word, or ends inside a loop.
    #[error("the program has no end, or ends inside a loop")]
    End,
}

/// Iterates over a program's instructions in the order of their issue; stops after `End`, or after
/// an error.
pub struct Walk<'a> {
    program: &'a [Instr],
    index: usize,
    cycle: u64,
    /// Per open loop: the first instruction of its body, and how often it still runs.
    loops: Vec<(usize, u32)>,
    stopped: bool,
}

impl<'a> Walk<'a> {
    /// A walk from the program's start.
    pub fn new(program: &'a [Instr]) -> Walk<'a> {
        Walk { program, index: 0, cycle: 0, loops: Vec::new(), stopped: false }
    }

    fn step(&mut self) -> Result<Issue, ProgramError> {
        let index = self.index;
        let Some(instr) = self.program.get(index) else { return Err(ProgramError::End) };
        if instr.delay < MIN_DELAY && instr.action != Action::End {
            return Err(ProgramError::Delay { index, delay: instr.delay });
        }
        let issue = Issue { cycle: self.cycle, index, action: instr.action };
        self.index += 1;
        match instr.action {
            Action::End if self.loops.is_empty() => self.stopped = true,
            Action::End => return Err(ProgramError::End),
            Action::Loop { count: 0 } => return Err(ProgramError::Count { index }),
            Action::Loop { count } if self.loops.len() < LOOP_DEPTH => {
                self.loops.push((self.index, count));
            }
            Action::Loop { .. } => return Err(ProgramError::Depth { index }),
            Action::Next => match self.loops.last_mut() {
                None => return Err(ProgramError::Next { index }),
                Some((body, left)) if *left > 1 => {
                    *left -= 1;
                    self.index = *body;
                }
                Some(_) => {
                    self.loops.pop();
                }
            },
            _ => {}
        }
        self.cycle += u64::from(instr.delay);
        Ok(issue)
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Issue, ProgramError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped {
            return None;
        }
        let step = self.step();
        self.stopped |= step.is_err();
        Some(step)
    }
}
