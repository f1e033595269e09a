//! The legality checker: timed commands against the target's rules.
//!
//! It knows commands and a target, and nothing of programs, plans or the scheduler. A command goes
//! to one bank or to all; an all-bank command obeys every rule in every bank.
//!
//! | rule | says |
//! |---|---|
//! | `BUS` | one command a clock, in order |
//! | `START` | the first command is a refresh |
//! | `RCD` | activate to read of the same bank |
//! | `RAS` | activate to precharge |
//! | `RC` | activate to activate of the same bank |
//! | `RP` | precharge to activate, and to refresh |
//! | `RTP` | read to precharge |
//! | `CCD` | read to read, the all-bank interval |
//! | `RFC` | refresh to any command |
//! | `REFI` | refresh to refresh, and to the refresh that may follow the end |
//! | `FAW` | four activates; all-bank activates count only when the target says so |
//! | `OPEN` | an activate finds its bank closed, a refresh finds all banks closed |
//! | `ROW` | a read finds the row open that it is meant for |
//! | `RANGE` | rows, columns and banks exist |
//! | `END` | the end finds all banks closed, with precharge and refresh done |

use crate::commands::{Command, Timed};
use crate::target::Target;
use std::collections::VecDeque;

/// Violations that are kept of one check; the check stops there.
pub const MAX_VIOLATIONS: usize = 100;

/// Clocks from a program's end to the soonest refresh that the sequencer can be sure of: it is idle
/// one clock after the end, and a start in that clock puts the refresh, the first command of the
/// next run, off by one more.
const END_TO_REFRESH: u32 = 2;

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

/// What is known of one bank.
#[derive(Clone, Copy, Default)]
struct Bank {
    open: Option<u32>,
    act: Option<u64>,
    pre: Option<u64>,
    read: Option<u64>,
}

/// The checker: feed it commands in order, then the end.
pub struct Checker<'a> {
    target: &'a Target,
    banks: Vec<Bank>,
    last: Option<u64>,
    read: Option<u64>,
    refresh: Option<u64>,
    /// Clocks of activates that count in the activate window, the oldest first.
    window: VecDeque<u64>,
    found: Vec<Violation>,
}

/// A rule about a least distance from an earlier command.
struct Distance {
    rule: &'static str,
    from: &'static str,
    at: Option<u64>,
    clocks: u32,
}

fn distance(rule: &'static str, from: &'static str, at: Option<u64>, clocks: u32) -> Distance {
    Distance { rule, from, at, clocks }
}

impl<'a> Checker<'a> {
    /// A checker of a channel whose banks are closed and idle.
    pub fn new(target: &'a Target) -> Checker<'a> {
        Checker {
            target,
            banks: vec![Bank::default(); target.banks as usize],
            last: None,
            read: None,
            refresh: None,
            window: VecDeque::new(),
            found: Vec::new(),
        }
    }

    /// Whether as many violations were found as are kept.
    pub fn is_full(&self) -> bool {
        self.found.len() >= MAX_VIOLATIONS
    }

    fn report(&mut self, violation: Violation) {
        if !self.is_full() {
            self.found.push(violation);
        }
    }

    fn broken(&mut self, rule: &'static str, bank: Option<u32>, timed: &Timed, why: String) {
        self.report(Violation {
            rule,
            bank,
            cycle: timed.cycle,
            command: timed.command.name(),
            earliest: None,
            latest: None,
            why,
        });
    }

    /// Checks one distance for a command.
    fn apart(&mut self, d: Distance, bank: Option<u32>, cycle: u64, command: &'static str) {
        let Some(at) = d.at else { return };
        let earliest = at + u64::from(d.clocks);
        if cycle < earliest {
            self.report(Violation {
                rule: d.rule,
                bank,
                cycle,
                command,
                earliest: Some(earliest),
                latest: None,
                why: format!("{} clocks after the {} at clock {at}", d.clocks, d.from),
            });
        }
    }

    /// Takes the next command.
    pub fn command(&mut self, timed: &Timed) {
        let (t, cycle, name) = (self.target.timing, timed.cycle, timed.command.name());
        if let Some(last) = self.last.filter(|last| cycle <= *last) {
            self.report(Violation {
                rule: "BUS",
                bank: None,
                cycle,
                command: name,
                earliest: Some(last + 1),
                latest: None,
                why: format!("the bus carries one command a clock, the last one at clock {last}"),
            });
        }
        if self.last.is_none() && timed.command != Command::Ref {
            let why = "a program begins with a refresh".to_string();
            self.broken("START", None, timed, why);
        }
        self.last = Some(cycle);
        self.apart(distance("RFC", "refresh", self.refresh, t.rfc), None, cycle, name);
        let banks = match timed.bank {
            None => 0..self.target.banks,
            Some(bank) if bank < self.target.banks => bank..bank + 1,
            Some(bank) => {
                let why = format!("there are {} banks", self.target.banks);
                self.broken("RANGE", Some(bank), timed, why);
                return;
            }
        };
        match timed.command {
            Command::Act { row } => self.activate(timed, banks, row),
            Command::Read { row, col } => self.read(timed, banks, row, col),
            Command::Pre => self.precharge(timed, banks),
            Command::Ref => self.refresh(timed),
        }
    }

    fn activate(&mut self, timed: &Timed, banks: std::ops::Range<u32>, row: u32) {
        let (t, cycle, name) = (self.target.timing, timed.cycle, timed.command.name());
        if row >= self.target.rows {
            let why = format!("row {row}: a bank has {} rows", self.target.rows);
            self.broken("RANGE", timed.bank, timed, why);
        }
        // The window: an activate needs the fourth activate before it to be `faw` clocks back.
        let counted = match timed.bank {
            Some(_) => 1,
            None if t.faw_all_bank => self.target.banks as usize,
            None => 0,
        };
        if counted > 0 {
            if let Some(&oldest) = self.window.iter().rev().nth(3) {
                let d = distance("FAW", "fourth activate before it", Some(oldest), t.faw);
                self.apart(d, None, cycle, name);
            }
            // An all-bank activate stands for its banks activated four to a window from its clock.
            for i in 0..counted {
                self.window.push_back(cycle + (i as u64 / 4) * u64::from(t.faw));
            }
            while self.window.len() > 4 {
                self.window.pop_front();
            }
        }
        for b in banks {
            let bank = self.banks[b as usize];
            self.apart(distance("RC", "activate", bank.act, t.rc), Some(b), cycle, name);
            self.apart(distance("RP", "precharge", bank.pre, t.rp), Some(b), cycle, name);
            if let Some(open) = bank.open {
                self.broken("OPEN", Some(b), timed, format!("row {open} is open"));
            }
            let state = &mut self.banks[b as usize];
            state.open = Some(row);
            state.act = Some(cycle);
        }
    }

    fn read(&mut self, timed: &Timed, banks: std::ops::Range<u32>, row: u32, col: u32) {
        let (t, cycle, name) = (self.target.timing, timed.cycle, timed.command.name());
        if col >= self.target.columns {
            let why = format!("column {col}: a row has {} columns", self.target.columns);
            self.broken("RANGE", timed.bank, timed, why);
        }
        self.apart(distance("CCD", "read", self.read, t.ccd), None, cycle, name);
        self.read = Some(cycle);
        for b in banks {
            let bank = self.banks[b as usize];
            self.apart(distance("RCD", "activate", bank.act, t.rcd), Some(b), cycle, name);
            match bank.open {
                None => self.broken("ROW", Some(b), timed, "no row is open".into()),
                Some(open) if open != row => {
                    let why = format!("row {open} is open, the read is meant for row {row}");
                    self.broken("ROW", Some(b), timed, why);
                }
                Some(_) => {}
            }
            self.banks[b as usize].read = Some(cycle);
        }
    }

    fn precharge(&mut self, timed: &Timed, banks: std::ops::Range<u32>) {
        let (t, cycle, name) = (self.target.timing, timed.cycle, timed.command.name());
        for b in banks {
            let bank = self.banks[b as usize];
            // A precharge of a closed bank does nothing and is legal.
            if bank.open.is_some() {
                self.apart(distance("RAS", "activate", bank.act, t.ras), Some(b), cycle, name);
                self.apart(distance("RTP", "read", bank.read, t.rtp), Some(b), cycle, name);
                let state = &mut self.banks[b as usize];
                state.open = None;
                state.pre = Some(cycle);
            }
        }
    }

    fn refresh(&mut self, timed: &Timed) {
        if let Some(bank) = timed.bank {
            let why = "a refresh goes to all banks".to_string();
            self.broken("RANGE", Some(bank), timed, why);
        }
        self.deadline(timed.cycle, timed.command.name(), 0);
        self.all_closed(timed.cycle, timed.command.name());
        self.refresh = Some(timed.cycle);
    }

    /// The next refresh can come `after` clocks after the command, at the soonest.
    fn deadline(&mut self, cycle: u64, command: &'static str, after: u32) {
        let refi = self.target.timing.refi.saturating_sub(after);
        if let Some(last) = self.refresh {
            let latest = last + u64::from(refi);
            if cycle > latest {
                self.report(Violation {
                    rule: "REFI",
                    bank: None,
                    cycle,
                    command,
                    earliest: None,
                    latest: Some(latest),
                    why: format!("at most {refi} clocks after the refresh at clock {last}"),
                });
            }
        }
    }

    fn all_closed(&mut self, cycle: u64, command: &'static str) {
        let t = self.target.timing;
        for b in 0..self.target.banks {
            let bank = self.banks[b as usize];
            if let Some(open) = bank.open {
                self.report(Violation {
                    rule: if command == "END" { "END" } else { "OPEN" },
                    bank: Some(b),
                    cycle,
                    command,
                    earliest: None,
                    latest: None,
                    why: format!("row {open} is open"),
                });
            } else {
                self.apart(distance("RP", "precharge", bank.pre, t.rp), Some(b), cycle, command);
            }
        }
    }

    /// Ends the check at the clock of the program's end.
    pub fn end(mut self, cycle: u64) -> Vec<Violation> {
        let rfc = self.target.timing.rfc;
        if self.refresh.is_none() {
            self.report(Violation {
                rule: "START",
                bank: None,
                cycle,
                command: "END",
                earliest: None,
                latest: None,
                why: "there is no refresh at all".into(),
            });
        }
        self.apart(distance("RFC", "refresh", self.refresh, rfc), None, cycle, "END");
        self.deadline(cycle, "END", END_TO_REFRESH);
        self.all_closed(cycle, "END");
        self.found
    }
}

/// Checks a whole run: its commands in order, and the clock of its end.
pub fn check(
    target: &Target,
    commands: impl IntoIterator<Item = Timed>,
    end: u64,
) -> Vec<Violation> {
    let mut checker = Checker::new(target);
    for timed in commands {
        checker.command(&timed);
        if checker.is_full() {
            break;
        }
    }
    checker.end(end)
}
