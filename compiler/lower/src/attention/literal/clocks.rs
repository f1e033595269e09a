//! Commands as soon as the DRAM's rules and the bus allow, and where the clocks go.

use super::{Cause, Follow, LiteralStep, Moved, Work};
use crate::commands::{Command, Timed};
use crate::target::Target;

/// Commands being issued.
pub(super) struct Clocks<'a> {
    target: &'a Target,
    follow: &'a mut dyn Follow,
    issued: usize,
    step: LiteralStep,
    /// The first clock at which the command bus is free, and at which a command may come.
    now: u64,
    act: u64,
    read: u64,
    write: u64,
    pre: u64,
    /// When the last column access has taken its interval.
    column: u64,
    refresh: u64,
    open: Option<u32>,
    /// The clock by which a refresh must come.
    deadline: u64,
    /// The data bus is free, in clocks times [`Clocks::rate`].
    bus: u64,
    /// Bytes of all transfers.
    bytes: u64,
}

impl<'a> Clocks<'a> {
    /// A step that begins with its refresh.
    pub(super) fn new(target: &'a Target, follow: &'a mut dyn Follow) -> Clocks<'a> {
        let step = LiteralStep {
            commands: Vec::new(),
            cycles: 0,
            causes: [0; Cause::ALL.len()],
            lookups: [0; 2],
            code_columns: 0,
            moved: Moved::default(),
            bus_clocks: 0,
        };
        let mut c = Clocks {
            target,
            follow,
            issued: 0,
            step,
            now: 0,
            act: 0,
            read: 0,
            write: 0,
            pre: 0,
            column: 0,
            refresh: 0,
            open: None,
            deadline: 0,
            bus: 0,
            bytes: 0,
        };
        c.refresh();
        c
    }

    fn count(&mut self, cause: Cause, clocks: u64) {
        self.step.causes[cause as usize] += clocks;
    }

    /// Bytes of the bus in a clock.
    fn rate(&self) -> u64 {
        u64::from(self.target.bus_bits() / 8).max(1)
    }

    /// Notes bytes that go over a pseudo-channel's bus.
    pub(super) fn moved(&mut self, of: impl Fn(&mut Moved) -> &mut u64, bytes: u64) {
        *of(&mut self.step.moved) += bytes;
    }

    fn issue(&mut self, command: Command, at: u64, work: Option<Work>) {
        let timed = Timed { cycle: at, command, bank: None, instr: self.issued };
        self.issued += 1;
        self.follow.command(timed, work);
        self.now = at + 1;
    }

    /// What the buffer die does here.
    pub(super) fn between(&mut self, work: Work) {
        self.follow.between(work);
    }

    fn refresh(&mut self) {
        let at = self.now.max(self.refresh);
        let t = &self.target.timing;
        self.issue(Command::Ref, at, None);
        self.count(Cause::Refresh, t.rfc.into());
        self.now = at + u64::from(t.rfc);
        self.deadline = at + u64::from(t.refi);
        (self.act, self.refresh) = (self.now, self.now);
    }

    fn close(&mut self) {
        if self.open.take().is_some() {
            let at = self.now.max(self.pre);
            self.issue(Command::Pre, at, None);
            let closed = at + u64::from(self.target.timing.rp);
            self.act = self.act.max(closed);
            self.refresh = self.refresh.max(closed);
        }
    }

    fn activate(&mut self, row: u32) {
        let at = self.now.max(self.act);
        let t = &self.target.timing;
        self.issue(Command::Act { row }, at, None);
        let gap = u64::from(t.all_bank_activate_gap(self.target.banks)).max(u64::from(t.rc));
        self.act = at + gap;
        self.refresh = self.refresh.max(at + u64::from(t.rc));
        self.read = self.read.max(at + u64::from(t.rcd));
        self.write = self.write.max(at + u64::from(t.extra.rcd_wr.unwrap_or(t.rcd)));
        self.pre = self.pre.max(at + u64::from(t.ras));
        self.open = Some(row);
    }

    /// Clocks from a column access to a precharge.
    fn to_close(&self, writes: bool) -> u64 {
        let t = &self.target.timing;
        let or = |value: Option<u32>| value.unwrap_or_default();
        let e = &t.extra;
        u64::from(if writes { or(e.cwl) + or(e.bl) + or(e.wr) } else { t.rtp })
    }

    /// Opens a row, if another is open or none, and refreshes before if the row could not be closed in time
    /// after a column access; the clock of that access.
    fn ready(&mut self, row: u32, writes: bool) -> u64 {
        if self.open.is_some_and(|open| open != row) {
            self.close();
        }
        let bus = self.bus.div_ceil(self.rate());
        let mut refreshed = false;
        loop {
            let opened = self.open.is_some();
            let wants = if writes { self.write } else { self.read };
            let t = &self.target.timing;
            let act = self.now.max(self.act);
            let least = if opened { self.now } else { act + u64::from(t.rcd) };
            let at = least.max(wants).max(if writes { 0 } else { bus });
            let mut closed = (at + self.to_close(writes)).max(self.pre) + u64::from(t.rp);
            if !opened {
                closed = closed.max(act + u64::from(t.rc.max(t.ras + t.rp)));
            }
            let late = closed.max(self.refresh) > self.deadline;
            // Once is enough: where a whole interval is too short, the checker says so.
            if late && !refreshed {
                self.close();
                self.refresh();
                refreshed = true;
            } else if opened {
                return at;
            } else {
                self.activate(row);
            }
        }
    }

    /// Reads the column at (row, col) for `work`; `bytes` go over the bus with it.
    pub(super) fn read(&mut self, cause: Cause, (row, col): (u32, u32), bytes: u64, work: Work) {
        let at = self.ready(row, false);
        // What the bus alone is waited for.
        let waited = at - at.min(self.now.max(self.read));
        self.count(Cause::Bus, waited);
        self.issue(Command::Read { row, col }, at, Some(work));
        let t = &self.target.timing;
        self.read = at + u64::from(t.ccd);
        self.column = self.read;
        self.count(cause, t.ccd.into());
        self.pre = self.pre.max(at + self.to_close(false));
        let or = |value: Option<u32>| value.unwrap_or_default();
        let (e, cl) = (&t.extra, t.cl);
        let turn = u64::from((cl + or(e.bl) + or(e.turn)).saturating_sub(or(e.cwl)));
        self.write = self.write.max(at + turn);
        self.bus = self.bus.max(at * self.rate()) + bytes;
        self.bytes += bytes;
        match cause {
            Cause::KeyLookups => self.step.lookups[0] += 1,
            Cause::ValueLookups => self.step.lookups[1] += 1,
            Cause::Codes => self.step.code_columns += 1,
            _ => {}
        }
    }

    /// Writes the column at (row, col) with what `work` says.
    pub(super) fn write(&mut self, cause: Cause, (row, col): (u32, u32), work: Work) {
        let at = self.ready(row, true);
        self.issue(Command::Write { row, col }, at, Some(work));
        let t = &self.target.timing;
        let or = |value: Option<u32>| value.unwrap_or_default();
        let e = &t.extra;
        let written = at + u64::from(or(e.cwl) + or(e.bl));
        self.write = at + u64::from(t.ccd);
        self.column = self.write;
        self.count(cause, t.ccd.into());
        self.read = self.read.max(written + u64::from(or(e.wtr_l).max(or(e.wtr_s))));
        self.pre = self.pre.max(at + self.to_close(true));
    }

    /// Nothing more is issued until then, but for a refresh that would come too late. All banks are closed.
    fn wait(&mut self, cause: Cause, until: u64) {
        if until > self.deadline {
            self.refresh();
        }
        // A wait longer than from refresh to refresh has some in it.
        while until > self.deadline {
            self.pass(cause, self.deadline);
            self.refresh();
        }
        self.pass(cause, until);
    }

    /// Clocks go by until then.
    fn pass(&mut self, cause: Cause, until: u64) {
        let from = self.now.max(self.column);
        if until > from {
            self.count(cause, until - from);
            (self.now, self.column) = (until, until);
        }
    }

    /// A transfer that everything waits for.
    pub(super) fn transfer(&mut self, cause: Cause, bytes: u64) {
        self.close();
        let from = self.now.max(self.column);
        self.wait(cause, from + bytes.div_ceil(self.rate()));
        self.bytes += bytes;
    }

    /// The last scores arrive, and their softmax, of `clocks`, begins to answer.
    pub(super) fn softmax(&mut self, clocks: u64) {
        self.close();
        let arrived = self.arrived();
        self.wait(Cause::Softmax, arrived + clocks);
    }

    /// The last data are in the units, or on the buffer die.
    pub(super) fn drain(&mut self, cause: Cause) {
        self.close();
        let arrived = self.arrived();
        self.wait(cause, arrived);
    }

    /// When the data of the last column are through the bus.
    fn arrived(&self) -> u64 {
        let t = &self.target.timing;
        let last = self.column.saturating_sub(u64::from(t.ccd));
        (last + u64::from(t.cl + t.extra.bl.unwrap_or_default()))
            .max(self.bus.div_ceil(self.rate()))
    }

    /// Ends the step, so that the refresh which may follow comes in time.
    pub(super) fn finish(mut self) -> LiteralStep {
        self.close();
        // The sequencer refreshes two clocks after the end at the soonest.
        if self.now.max(self.refresh) + 2 > self.deadline {
            self.refresh();
        }
        let end = self.now.max(self.refresh);
        self.step.cycles = end;
        self.step.bus_clocks = self.bytes.div_ceil(self.rate());
        let counted: u64 = self.step.causes.iter().sum();
        // What no column, bus, wait or refresh takes is rows being opened and closed.
        self.step.causes[Cause::Rows as usize] = end.saturating_sub(counted);
        self.step
    }
}
