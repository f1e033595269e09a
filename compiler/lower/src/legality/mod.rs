//! The legality checker: timed commands against the target's rules.
//!
//! It knows commands and a target, and nothing of programs, plans or the scheduler. A command goes
//! to one bank or to all; an all-bank command obeys every rule in every bank.
//!
//! | rule | of | says |
//! |---|---|---|
//! | `BUS` | channel | one command a clock, in order |
//! | `START` | channel | a whole run begins with a refresh of all banks |
//! | `RCD` | bank | activate to read or write |
//! | `RAS` | bank | activate to precharge |
//! | `RC` | bank | activate to activate, and to refresh |
//! | `RP` | bank | precharge to activate, and to refresh |
//! | `RTP` | bank | read to precharge |
//! | `WR` | bank | write to precharge: after the end of its data |
//! | `RFC` | bank | refresh to any command |
//! | `REFI` | bank | refresh to refresh, and to the refresh that may follow the end |
//! | `OPEN` | bank | an activate finds the bank closed, a refresh finds it closed |
//! | `ROW` | bank | a read or write finds the row open that it is meant for |
//! | `CCD` | channel | column access to column access: all-bank, or by bank group |
//! | `RRD` | channel | activate to activate by bank group; a refresh of one bank counts as its activate |
//! | `FAW` | channel | four activates; all-bank activates count only when the target says so |
//! | `WTR` | channel | write to read: after the end of its data, by bank group |
//! | `RTW` | channel | read to write: the data bus turns round |
//! | `RREFD` | channel | refresh of one bank to a refresh or an activate of another |
//! | `RANGE` | bank | rows, columns and banks exist |
//! | `TARGET` | channel | the target says the values that a command needs |
//! | `END` | bank | a whole run ends with all banks closed, with precharge and refresh done |
//!
//! Where simulators differ, this is ours. A precharge of a closed bank is legal and counts for `RP`.
//! A refresh wants `RC` from the bank's activate as an activate does. An all-bank column access or
//! activate beside one of a single bank counts as one of the same bank group, and an all-bank access
//! counts for `RTW` and `WTR` although its data stay beside the banks. `RTW` is
//! `cl + bl + turn - cwl`, `WTR` is `cwl + bl` and the target's wtr, `WR` the same with its wr.
//! Refresh management takes its time as a refresh does and pays for none. With `postpone = n`, a
//! bank may owe n refreshes besides the one that is due: each refresh pays for `refi` clocks, and
//! one that comes early pays for nothing ahead.

mod channel;
mod checker;

pub use checker::Checker;

use crate::commands::Timed;
use crate::target::Target;

/// Violations that are kept of one check; the check stops there.
pub const MAX_VIOLATIONS: usize = 100;

/// A rule that a command breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule's name.
    pub rule: &'static str,
    /// The bank; none where the rule is the channel's.
    pub bank: Option<u32>,
    /// The clock of the command.
    pub cycle: u64,
    /// What was issued.
    pub command: &'static str,
    /// Which instruction or line it comes from, as [`Timed::instr`]; none at the end.
    pub instr: Option<usize>,
    /// The first clock at which the rule would allow it; none where no clock would, or where it
    /// should have come sooner.
    pub earliest: Option<u64>,
    /// The last clock allowed, for a command that comes too late.
    pub latest: Option<u64>,
    /// The rule in words, with its numbers.
    pub why: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at clock {}", self.command, self.cycle)?;
        match self.bank {
            Some(bank) => write!(f, ", bank {bank}")?,
            None => write!(f, ", channel")?,
        }
        write!(f, ": {} ({})", self.rule, self.why)?;
        if let Some(at) = self.earliest {
            write!(f, "; earliest legal clock {at}")?;
        }
        if let Some(at) = self.latest {
            write!(f, "; latest legal clock {at}")?;
        }
        Ok(())
    }
}

/// Checks a whole run: its commands in order, and the clock of its end.
pub fn check(
    target: &Target,
    commands: impl IntoIterator<Item = Timed>,
    end: u64,
) -> Vec<Violation> {
    feed(Checker::new(target), commands).end(end)
}

/// Checks a part of a run: it may begin with any command, with all banks closed and as if they had
/// just been refreshed, and nothing is asked of its end.
pub fn check_part(target: &Target, commands: impl IntoIterator<Item = Timed>) -> Vec<Violation> {
    feed(Checker::of_part(target), commands).stop()
}

fn feed(mut checker: Checker<'_>, commands: impl IntoIterator<Item = Timed>) -> Checker<'_> {
    for timed in commands {
        checker.command(&timed);
        if checker.is_full() {
            break;
        }
    }
    checker
}
