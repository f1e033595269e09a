//! Rules between banks: the data bus, the column interval, the activate window, refreshes of one
//! bank beside one another.

use super::checker::Distance;
use crate::commands::Command;
use crate::target::{Target, Timing};
use std::collections::VecDeque;

/// A command without its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Act,
    Read,
    Write,
    Pre,
    Ref,
    Rfm,
}

impl Kind {
    pub(super) fn of(command: Command) -> Kind {
        match command {
            Command::Act { .. } => Kind::Act,
            Command::Read { .. } => Kind::Read,
            Command::Write { .. } => Kind::Write,
            Command::Pre => Kind::Pre,
            Command::Ref => Kind::Ref,
            Command::Rfm => Kind::Rfm,
        }
    }
}

/// The last commands of a kind: of one bank, by its group, and of all banks.
#[derive(Clone, Default)]
struct Last {
    one: Vec<Option<u64>>,
    all: Option<u64>,
}

impl Last {
    fn new(groups: u32) -> Last {
        Last { one: vec![None; groups as usize], all: None }
    }

    fn set(&mut self, group: Option<u32>, cycle: u64) {
        match group {
            Some(group) => self.one[group as usize] = Some(cycle),
            None => self.all = Some(cycle),
        }
    }
}

/// Clocks from a command of one bank to one of another group, of the same group, and where one of
/// the two goes to all banks.
#[derive(Clone, Copy)]
struct Intervals {
    other: u32,
    same: u32,
    all: u32,
}

/// What is known of the channel.
#[derive(Clone)]
pub(super) struct Channel {
    timing: Timing,
    banks: u32,
    banks_per_group: u32,
    column: Last,
    write: Last,
    read: Option<u64>,
    /// Activates; those of one bank and its refreshes by group.
    activate: Last,
    refresh_one: Option<u64>,
    /// Clocks of activates that count in the activate window, the oldest first.
    window: VecDeque<u64>,
}

impl Channel {
    pub(super) fn new(target: &Target) -> Channel {
        let groups = target.timing.extra.bank_groups.unwrap_or(1).clamp(1, target.banks.max(1));
        Channel {
            timing: target.timing,
            banks: target.banks,
            banks_per_group: (target.banks / groups).max(1),
            column: Last::new(groups),
            write: Last::new(groups),
            read: None,
            activate: Last::new(groups),
            refresh_one: None,
            window: VecDeque::new(),
        }
    }

    /// Values that a command needs and the target does not say.
    pub(super) fn missing(&self, kind: Kind, bank: Option<u32>) -> Vec<&'static str> {
        let x = &self.timing.extra;
        let single = [("bank_groups", x.bank_groups)];
        let column = [("ccd_s", x.ccd_s), ("ccd_l", x.ccd_l)];
        let activate = [("rrd_s", x.rrd_s), ("rrd_l", x.rrd_l)];
        let write = [
            ("rcd_wr", x.rcd_wr),
            ("cwl", x.cwl),
            ("bl", x.bl),
            ("wr", x.wr),
            ("wtr_s", x.wtr_s),
            ("wtr_l", x.wtr_l),
            ("turn", x.turn),
        ];
        let mut needed = Vec::new();
        let one = bank.is_some();
        if one && kind != Kind::Pre {
            needed.extend(single);
        }
        match kind {
            Kind::Read if one => needed.extend(column),
            Kind::Write if one => needed.extend(column.into_iter().chain(write)),
            Kind::Write => needed.extend(write),
            Kind::Act if one => needed.extend(activate),
            Kind::Ref if one => {
                needed.extend(activate);
                needed.extend([("rfc_pb", x.rfc_pb), ("rrefd", x.rrefd)]);
            }
            Kind::Rfm if one => {
                needed.extend(activate);
                needed.extend([("rfm_pb", x.rfm_pb), ("rrefd", x.rrefd)]);
            }
            Kind::Rfm => needed.push(("rfm", x.rfm)),
            _ => {}
        }
        needed.into_iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect()
    }

    /// Clocks for which a refresh holds its banks.
    pub(super) fn refresh_clocks(&self, kind: Kind, bank: Option<u32>) -> Option<u32> {
        let t = &self.timing;
        match (kind, bank) {
            (Kind::Ref, None) => Some(t.rfc),
            (Kind::Ref, Some(_)) => Some(t.extra.rfc_pb.unwrap_or(0)),
            (Kind::Rfm, None) => Some(t.extra.rfm.unwrap_or(0)),
            (Kind::Rfm, Some(_)) => Some(t.extra.rfm_pb.unwrap_or(0)),
            _ => None,
        }
    }

    /// Clocks from a write to the end of its data on the bus.
    pub(super) fn data_end(&self) -> u32 {
        let x = &self.timing.extra;
        x.cwl.unwrap_or(0) + x.bl.unwrap_or(0)
    }

    /// The distances that a command must keep; it is noted as issued.
    pub(super) fn command(&mut self, kind: Kind, bank: Option<u32>, cycle: u64) -> Vec<Distance> {
        let group = bank.map(|bank| bank / self.banks_per_group);
        let mut out = Vec::new();
        match kind {
            Kind::Read | Kind::Write => self.access(kind == Kind::Write, group, cycle, &mut out),
            Kind::Act => {
                self.activates(group, &mut out);
                self.faw(bank, cycle, &mut out);
                self.activate.set(group, cycle);
            }
            Kind::Ref | Kind::Rfm if bank.is_some() => {
                self.activates(group, &mut out);
                self.activate.set(group, cycle);
                self.refresh_one = Some(cycle);
            }
            Kind::Pre | Kind::Ref | Kind::Rfm => {}
        }
        out
    }

    fn access(&mut self, write: bool, group: Option<u32>, cycle: u64, out: &mut Vec<Distance>) {
        let (t, x) = (&self.timing, &self.timing.extra);
        let ccd = Intervals { other: x.ccd_s.unwrap_or(0), same: x.ccd_l.unwrap_or(0), all: t.ccd };
        distances("CCD", "column access", &self.column, group, ccd, out);
        let data_end = self.data_end();
        if write {
            if let Some(read) = self.read {
                let taken = t.cl + x.bl.unwrap_or(0) + x.turn.unwrap_or(0);
                let clocks = taken.saturating_sub(x.cwl.unwrap_or(0));
                out.push(Distance::new("RTW", "read", read, clocks));
            }
            self.write.set(group, cycle);
        } else {
            let long = data_end + x.wtr_l.unwrap_or(0);
            let wtr = Intervals { other: data_end + x.wtr_s.unwrap_or(0), same: long, all: long };
            distances("WTR", "write", &self.write, group, wtr, out);
            self.read = Some(cycle);
        }
        self.column.set(group, cycle);
    }

    /// What an activate keeps, and a refresh of one bank, from earlier ones of either.
    fn activates(&self, group: Option<u32>, out: &mut Vec<Distance>) {
        let x = &self.timing.extra;
        let long = x.rrd_l.unwrap_or(0);
        let rrd = Intervals { other: x.rrd_s.unwrap_or(0), same: long, all: long };
        // Of two all-bank activates each bank keeps its own distance.
        let before = match group {
            Some(_) => self.activate.clone(),
            None => Last { all: None, ..self.activate.clone() },
        };
        distances("RRD", "activate", &before, group, rrd, out);
        if let Some(at) = self.refresh_one {
            let clocks = x.rrefd.unwrap_or(0);
            out.push(Distance::new("RREFD", "refresh of one bank", at, clocks));
        }
    }

    /// The window: an activate needs the fourth activate before it to be `faw` clocks back.
    fn faw(&mut self, bank: Option<u32>, cycle: u64, out: &mut Vec<Distance>) {
        let t = &self.timing;
        let counted = match bank {
            Some(_) => 1,
            None if t.faw_all_bank => self.banks,
            None => return,
        };
        if let Some(&oldest) = self.window.iter().rev().nth(3) {
            out.push(Distance::new("FAW", "fourth activate before it", oldest, t.faw));
        }
        // An all-bank activate stands for its banks activated four to a window from its clock.
        for i in 0..counted {
            let later = u64::from(i / 4) * u64::from(t.faw);
            self.window.push_back(cycle.saturating_add(later));
        }
        while self.window.len() > 4 {
            self.window.pop_front();
        }
    }
}

/// The distances of a command to `group`, or to all banks, from the last ones.
fn distances(
    rule: &'static str,
    from: &'static str,
    last: &Last,
    group: Option<u32>,
    intervals: Intervals,
    out: &mut Vec<Distance>,
) {
    for (g, at) in (0..).zip(&last.one) {
        let clocks = match group {
            None => intervals.all,
            Some(group) if group == g => intervals.same,
            Some(_) => intervals.other,
        };
        out.extend(at.map(|at| Distance::new(rule, from, at, clocks)));
    }
    out.extend(last.all.map(|at| Distance::new(rule, from, at, intervals.all)));
}
