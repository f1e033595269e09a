//! Runs the control flow of a program: which instruction issues at which clock.
//!
//! From the program word's meaning alone: an instruction issues, the next one `delay` clocks later;
//! `Loop` repeats what follows, up to its `Next`, `count` times; `End` ends. The first instruction
//! issues at clock 0. What arguments and the time of the next refresh decide is decided here, as
//! the sequencer decides it.

use pimc_rtl::isa::{Action, Instr, SetTo, LOOP_DEPTH, MIN_DELAY};
use pimc_rtl::program::loop_end;
use pimc_rtl::timing::IDLE_CLOCKS;
use std::borrow::Cow;
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
    /// Of `Set` what it sets (of `Advance` how far), of `LoopArg` how often, of `RefreshDue` 1 if it
    /// refreshes; otherwise 0.
    pub value: u32,
}

impl Issue {
    /// Whether the banks are refreshed.
    pub fn refreshes(&self) -> bool {
        match self.action {
            Action::Ref => true,
            Action::RefreshDue { .. } => self.value != 0,
            _ => false,
        }
    }
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
    /// A loop's end is not the instruction behind its `Next`.
    #[error("instruction {index}: a loop that does not end at {end}")]
    LoopEnd {
        /// Which instruction.
        index: usize,
        /// Where it says that it ends.
        end: u32,
    },
    /// An argument that the host did not write.
    #[error("instruction {index}: there is no argument {arg}")]
    Arg {
        /// Which instruction.
        index: usize,
        /// Its place in argument memory.
        arg: u32,
    },
    /// `RefreshDue` when the time of the next refresh is not known.
    #[error("instruction {index}: whether a refresh is due is not known before one")]
    Refresh {
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
    args: Cow<'a, [u32]>,
    /// What a refresh sets the sequencer's counter to.
    interval: u64,
    /// The last refresh.
    refreshed: Option<u64>,
    pointer: u32,
    kept: u32,
    index: usize,
    cycle: u64,
    /// Per open loop: the first instruction of its body, and how often it still runs.
    loops: Vec<(usize, u32)>,
    stopped: bool,
}

impl<'a> Walk<'a> {
    /// A walk from the start of a program that takes no arguments and asks for no time.
    pub fn new(program: &'a [Instr]) -> Walk<'a> {
        Walk::with_args(program, &[][..], 0)
    }

    /// A walk from the start of a program with its arguments, on a DRAM that is refreshed every
    /// `refi` clocks.
    pub fn with_args(program: &'a [Instr], args: impl Into<Cow<'a, [u32]>>, refi: u32) -> Walk<'a> {
        Walk {
            program,
            args: args.into(),
            interval: u64::from(refi.saturating_sub(IDLE_CLOCKS)),
            refreshed: None,
            pointer: 0,
            kept: 0,
            index: 0,
            cycle: 0,
            loops: Vec::new(),
            stopped: false,
        }
    }

    /// The argument `offset` from the pointer.
    fn arg(&self, offset: u32) -> Result<u32, ProgramError> {
        let arg = self.pointer.wrapping_add(offset);
        let missing = ProgramError::Arg { index: self.index, arg };
        self.args.get(arg as usize).copied().ok_or(missing)
    }

    /// Whether fewer than `within` clocks are on the sequencer's counter. A refresh that issues at
    /// clock t sets it to the interval, which it shows from clock t + 1 on.
    fn due(&self, within: u32) -> Result<bool, ProgramError> {
        let unknown = ProgramError::Refresh { index: self.index };
        let refreshed = self.refreshed.filter(|_| self.interval > 0).ok_or(unknown)?;
        let left = (refreshed + 1 + self.interval).saturating_sub(self.cycle);
        Ok(left < u64::from(within))
    }

    /// Begins a loop that runs `rounds` times.
    fn enter(&mut self, rounds: u32) -> Result<(), ProgramError> {
        if self.loops.len() == LOOP_DEPTH {
            return Err(ProgramError::Depth { index: self.index });
        }
        self.loops.push((self.index + 1, rounds));
        Ok(())
    }

    fn step(&mut self) -> Result<Issue, ProgramError> {
        let index = self.index;
        let Some(instr) = self.program.get(index) else { return Err(ProgramError::End) };
        if instr.delay < MIN_DELAY && instr.action != Action::End {
            return Err(ProgramError::Delay { index, delay: instr.delay });
        }
        let mut issue = Issue { cycle: self.cycle, index, action: instr.action, value: 0 };
        let (mut next, mut delay) = (index + 1, instr.delay);
        match instr.action {
            Action::End if self.loops.is_empty() => self.stopped = true,
            Action::End => return Err(ProgramError::End),
            Action::Loop { count: 0 } => return Err(ProgramError::Count { index }),
            Action::Loop { count } => self.enter(count)?,
            Action::LoopArg { arg, end } => {
                if loop_end(self.program, index) != Some(end as usize) {
                    return Err(ProgramError::LoopEnd { index, end });
                }
                issue.value = self.arg(arg)?;
                match issue.value {
                    0 => next = end as usize,
                    rounds => self.enter(rounds)?,
                }
            }
            Action::Next => match self.loops.last_mut() {
                None => return Err(ProgramError::Next { index }),
                Some((body, left)) if *left > 1 => {
                    *left -= 1;
                    next = *body;
                }
                Some(_) => {
                    self.loops.pop();
                }
            },
            Action::Set { to, from, add } => {
                let from = from.map_or(Ok(0), |arg| self.arg(arg))?;
                issue.value = from.wrapping_add(add);
                match to {
                    SetTo::Pointer => self.pointer = issue.value,
                    SetTo::Advance => self.pointer = self.pointer.wrapping_add(issue.value),
                    SetTo::Keep => self.kept = self.pointer.wrapping_add(issue.value),
                    SetTo::Return => self.pointer = self.kept.wrapping_add(issue.value),
                    SetTo::Row | SetTo::Col | SetTo::Param(_) | SetTo::Base => {}
                }
            }
            Action::RefreshDue { within } => {
                issue.value = self.due(within)?.into();
                if issue.value == 0 {
                    delay = MIN_DELAY;
                }
            }
            Action::Row { .. }
            | Action::Act
            | Action::Read
            | Action::Write
            | Action::Pre
            | Action::Ref
            | Action::Wait
            | Action::Stream(_)
            | Action::Vec(_) => {}
        }
        if issue.refreshes() {
            self.refreshed = Some(self.cycle);
        }
        self.index = next;
        self.cycle += u64::from(delay);
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

/// A walk through runs of a program that follow one another: each begins at the clock at which the one before
/// ends.
pub struct RunsWalk<'a> {
    program: &'a [Instr],
    refi: u32,
    /// Argument memory of the runs to come.
    runs: Box<dyn Iterator<Item = Vec<u32>> + 'a>,
    walk: Option<Walk<'a>>,
    /// The clocks at which this run began, and of its last instruction.
    begin: u64,
    last: u64,
}

impl<'a> RunsWalk<'a> {
    /// Runs with these arguments.
    pub fn new(
        program: &'a [Instr],
        runs: Box<dyn Iterator<Item = Vec<u32>> + 'a>,
        refi: u32,
    ) -> RunsWalk<'a> {
        RunsWalk { program, refi, runs, walk: None, begin: 0, last: 0 }
    }
}

impl Iterator for RunsWalk<'_> {
    type Item = Result<Issue, ProgramError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(step) = self.walk.as_mut().and_then(Iterator::next) {
                return Some(step.map(|issue| {
                    self.last = self.begin + issue.cycle;
                    Issue { cycle: self.last, ..issue }
                }));
            }
            self.begin = self.last;
            self.walk = Some(Walk::with_args(self.program, self.runs.next()?, self.refi));
        }
    }
}
