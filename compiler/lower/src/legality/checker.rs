//! Rules of each bank, and the way of a command through all rules.

use super::channel::{Channel, Kind};
use super::{Violation, MAX_VIOLATIONS};
use crate::commands::{Command, Timed};
use crate::target::Target;

/// Clocks from a program's end to the soonest refresh that the sequencer can be sure of: it is idle
/// one clock after the end, and a start in that clock puts the refresh, the first command of the
/// next run, off by one more.
const END_TO_REFRESH: u64 = 2;

/// What is known of one bank.
#[derive(Clone, Copy, Default)]
struct Bank {
    open: Option<u32>,
    act: Option<u64>,
    pre: Option<u64>,
    read: Option<u64>,
    write: Option<u64>,
    /// The refresh that holds it longest, and for how many clocks.
    refresh: Option<(u64, u32)>,
    /// The clock up to which its refreshes are paid.
    paid: u64,
}

/// A rule about a least distance from an earlier command.
pub(super) struct Distance {
    pub(super) rule: &'static str,
    /// The earlier command in words.
    pub(super) from: &'static str,
    pub(super) at: u64,
    pub(super) clocks: u32,
}

impl Distance {
    pub(super) fn new(rule: &'static str, from: &'static str, at: u64, clocks: u32) -> Distance {
        Distance { rule, from, at, clocks }
    }
}

/// What a rule is applied to: a command, or the end.
#[derive(Clone, Copy)]
struct At {
    cycle: u64,
    command: &'static str,
    instr: Option<usize>,
}

/// The checker: feed it commands in order, then the end.
#[derive(Clone)]
pub struct Checker<'a> {
    target: &'a Target,
    /// Whether this is a whole run, which begins with a refresh.
    whole: bool,
    banks: Vec<Bank>,
    channel: Channel,
    last: Option<u64>,
    refreshed: bool,
    found: Vec<Violation>,
}

impl<'a> Checker<'a> {
    /// A checker of a whole run, on a channel whose banks are closed and idle.
    pub fn new(target: &'a Target) -> Checker<'a> {
        Checker {
            target,
            whole: true,
            banks: vec![Bank::default(); target.banks as usize],
            channel: Channel::new(target),
            last: None,
            refreshed: false,
            found: Vec::new(),
        }
    }

    /// A checker of a part of a run: it may begin with any command.
    pub fn of_part(target: &'a Target) -> Checker<'a> {
        Checker { whole: false, ..Checker::new(target) }
    }

    /// Whether as many violations were found as are kept.
    pub fn is_full(&self) -> bool {
        self.found.len() >= MAX_VIOLATIONS
    }

    /// What was found so far.
    pub fn found(&self) -> &[Violation] {
        &self.found
    }

    fn report(&mut self, violation: Violation) {
        if !self.is_full() {
            self.found.push(violation);
        }
    }

    fn broken(&mut self, rule: &'static str, bank: Option<u32>, at: At, why: String) {
        self.report(Violation {
            rule,
            bank,
            cycle: at.cycle,
            command: at.command,
            instr: at.instr,
            earliest: None,
            latest: None,
            why,
        });
    }

    /// Checks one distance.
    fn apart(&mut self, d: &Distance, bank: Option<u32>, at: At) {
        let earliest = d.at.saturating_add(d.clocks.into());
        if at.cycle < earliest {
            self.report(Violation {
                rule: d.rule,
                bank,
                cycle: at.cycle,
                command: at.command,
                instr: at.instr,
                earliest: Some(earliest),
                latest: None,
                why: format!("{} clocks after the {} at clock {}", d.clocks, d.from, d.at),
            });
        }
    }

    /// Checks one distance from a command that may not have been.
    fn since(
        &mut self,
        rule: &'static str,
        from: (&'static str, Option<u64>),
        clocks: u32,
        bank: u32,
        at: At,
    ) {
        if let (from, Some(then)) = from {
            self.apart(&Distance::new(rule, from, then, clocks), Some(bank), at);
        }
    }

    /// Takes the next command.
    pub fn command(&mut self, timed: &Timed) {
        let at = At { cycle: timed.cycle, command: timed.command.name(), instr: Some(timed.instr) };
        match self.last {
            Some(last) if at.cycle <= last => self.report(Violation {
                rule: "BUS",
                bank: None,
                cycle: at.cycle,
                command: at.command,
                instr: at.instr,
                earliest: Some(last + 1),
                latest: None,
                why: format!("the bus carries one command a clock, the last one at clock {last}"),
            }),
            Some(_) => {}
            None => self.first(timed, at),
        }
        self.last = Some(at.cycle);
        if timed.bank.is_some_and(|bank| bank >= self.target.banks) {
            let why = format!("there are {} banks", self.target.banks);
            return self.broken("RANGE", timed.bank, at, why);
        }
        let kind = Kind::of(timed.command);
        let missing = self.channel.missing(kind, timed.bank);
        if !missing.is_empty() {
            let banks = if timed.bank.is_some() { "a single bank" } else { "all banks" };
            let why = format!(
                "this target does not say {}, which {} of {banks} needs",
                missing.join(", "),
                at.command
            );
            self.broken("TARGET", None, at, why);
        }
        for d in self.channel.command(kind, timed.bank, at.cycle) {
            self.apart(&d, None, at);
        }
        let banks = match timed.bank {
            None => 0..self.target.banks,
            Some(bank) => bank..bank + 1,
        };
        for b in banks {
            self.range(timed, b, at);
            let held = self.banks[b as usize].refresh;
            if let Some((then, clocks)) = held {
                self.apart(&Distance::new("RFC", "refresh", then, clocks), Some(b), at);
            }
            match timed.command {
                Command::Act { row } => self.activate(b, row, at),
                Command::Read { row, .. } => self.access(b, row, false, at),
                Command::Write { row, .. } => self.access(b, row, true, at),
                Command::Pre => self.precharge(b, at),
                Command::Ref => self.refresh(b, timed.bank.is_some(), at),
                Command::Rfm => self.idle(b, "OPEN", at),
            }
            if let Some(clocks) = self.channel.refresh_clocks(kind, timed.bank) {
                let ends = |(then, clocks): (u64, u32)| then.saturating_add(clocks.into());
                if held.is_none_or(|held| ends((at.cycle, clocks)) >= ends(held)) {
                    self.banks[b as usize].refresh = Some((at.cycle, clocks));
                }
            }
        }
    }

    fn first(&mut self, timed: &Timed, at: At) {
        if self.whole && (timed.command != Command::Ref || timed.bank.is_some()) {
            self.broken("START", None, at, "a run begins with a refresh of all banks".into());
        }
        for bank in &mut self.banks {
            bank.paid = at.cycle;
        }
    }

    fn range(&mut self, timed: &Timed, b: u32, at: At) {
        let (row, col) = match timed.command {
            Command::Act { row } => (Some(row), None),
            Command::Read { col, .. } | Command::Write { col, .. } => (None, Some(col)),
            Command::Pre | Command::Ref | Command::Rfm => (None, None),
        };
        let of = |what: &str, n: u32, count: u32| format!("{what} {n}: there are {count}");
        let (rows, columns) = (self.target.rows, self.target.columns);
        let wrong = row
            .filter(|&r| r >= rows)
            .map(|r| of("row", r, rows))
            .or_else(|| col.filter(|&c| c >= columns).map(|c| of("column", c, columns)));
        if let Some(why) = wrong {
            self.broken("RANGE", Some(b), at, why);
        }
    }

    fn activate(&mut self, b: u32, row: u32, at: At) {
        self.idle(b, "OPEN", at);
        let state = &mut self.banks[b as usize];
        state.open = Some(row);
        state.act = Some(at.cycle);
    }

    fn access(&mut self, b: u32, row: u32, write: bool, at: At) {
        let (t, bank) = (self.target.timing, self.banks[b as usize]);
        let rcd = if write { t.extra.rcd_wr.unwrap_or(0) } else { t.rcd };
        match bank.open {
            None => self.broken("ROW", Some(b), at, "no row is open".into()),
            Some(open) => {
                self.since("RCD", ("activate", bank.act), rcd, b, at);
                if open != row {
                    let why = format!("row {open} is open, this is meant for row {row}");
                    self.broken("ROW", Some(b), at, why);
                }
            }
        }
        let state = &mut self.banks[b as usize];
        *(if write { &mut state.write } else { &mut state.read }) = Some(at.cycle);
    }

    fn precharge(&mut self, b: u32, at: At) {
        let (t, bank) = (self.target.timing, self.banks[b as usize]);
        if bank.open.is_some() {
            self.since("RAS", ("activate", bank.act), t.ras, b, at);
            self.since("RTP", ("read", bank.read), t.rtp, b, at);
            let wr = self.channel.data_end() + t.extra.wr.unwrap_or(0);
            self.since("WR", ("write", bank.write), wr, b, at);
        }
        let state = &mut self.banks[b as usize];
        state.open = None;
        state.pre = Some(at.cycle);
    }

    /// What an activate, a refresh and the end ask: a closed bank that has come to rest.
    fn idle(&mut self, b: u32, rule: &'static str, at: At) {
        let (t, bank) = (self.target.timing, self.banks[b as usize]);
        if let Some(open) = bank.open {
            self.broken(rule, Some(b), at, format!("row {open} is open"));
        }
        self.since("RC", ("activate", bank.act), t.rc, b, at);
        self.since("RP", ("precharge", bank.pre), t.rp, b, at);
    }

    fn refresh(&mut self, b: u32, single: bool, at: At) {
        self.deadline(b, 0, at);
        self.idle(b, "OPEN", at);
        self.refreshed |= !single;
        let (refi, latest) = (u64::from(self.target.timing.refi), self.latest(b));
        let state = &mut self.banks[b as usize];
        // A refresh that came too late was told; the next one is due as if it had not been late.
        let paid = state.paid.saturating_add(refi);
        state.paid = if at.cycle > latest { at.cycle } else { paid.min(at.cycle) };
    }

    /// The last clock at which a bank's next refresh may come.
    fn latest(&self, b: u32) -> u64 {
        let t = self.target.timing;
        let owed = u64::from(t.extra.postpone.unwrap_or(0)) + 1;
        self.banks[b as usize].paid.saturating_add(owed * u64::from(t.refi))
    }

    /// The next refresh can come `after` clocks after the command, at the soonest.
    fn deadline(&mut self, b: u32, after: u64, at: At) {
        let latest = self.latest(b).saturating_sub(after);
        if at.cycle > latest {
            let paid = self.banks[b as usize].paid;
            let why = format!("at most {} clocks after clock {paid}", latest.saturating_sub(paid));
            self.report(Violation {
                rule: "REFI",
                bank: Some(b),
                cycle: at.cycle,
                command: at.command,
                instr: at.instr,
                earliest: None,
                latest: Some(latest),
                why: format!("{why}, up to which its refreshes are paid"),
            });
        }
    }

    /// Ends the check at the clock of the run's end.
    pub fn end(mut self, cycle: u64) -> Vec<Violation> {
        let at = At { cycle, command: "END", instr: None };
        if !self.refreshed {
            self.broken("START", None, at, "there is no refresh of all banks at all".into());
        }
        if self.last.is_none() {
            return self.found;
        }
        for b in 0..self.target.banks {
            if let Some((then, clocks)) = self.banks[b as usize].refresh {
                self.apart(&Distance::new("RFC", "refresh", then, clocks), Some(b), at);
            }
            self.deadline(b, END_TO_REFRESH, at);
            self.idle(b, "END", at);
        }
        self.found
    }

    /// Ends the check of a part of a run: a refresh that was due by its last command has come.
    pub fn stop(mut self) -> Vec<Violation> {
        if let Some(cycle) = self.last {
            let at = At { cycle, command: "the last command", instr: None };
            for b in 0..self.target.banks {
                self.deadline(b, 0, at);
            }
        }
        self.found
    }
}
