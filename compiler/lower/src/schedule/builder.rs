//! Writes instructions at exact clocks: the delay of an instruction is filled in when the next one
//! is placed. Knows the bank and refresh timing, and places refreshes where something waits.

use crate::placing::{Placing, STEP};
use crate::target::{Target, REFRESH_MARGIN};
use pimc_rtl::isa::{Action, Instr};

/// A program being written, and the clocks at which things become possible.
pub(super) struct Builder<'a> {
    target: &'a Target,
    program: Placing,
    /// First clock for an activate.
    act_ready: u64,
    /// First clock for a refresh; all banks are closed whenever the builder is asked.
    ref_ready: u64,
    last_ref: u64,
    /// First clock for a read.
    read_ready: u64,
    /// When the buffer unit takes its next operation.
    pub(super) vec_ready: u64,
    /// When no load holds the memories of the bank units.
    pub(super) unit_ready: u64,
    /// When the results of the last column have left the bank units.
    pub(super) data_ready: u64,
    /// Instructions that follow the next activate, each not before its clock.
    behind: Vec<(Action, u64)>,
    /// Index and clock of those that followed the last one.
    placed: Vec<(usize, u64)>,
}

/// Whether the reads of a row are a loop of two instructions: with fewer clocks between reads there is
/// no room for the loop's end, and each read is an instruction of its own.
pub(super) fn looped(columns: u32, interval: u64) -> bool {
    columns > 1 && interval >= 2 * STEP
}

/// Clocks within one DRAM row of a stream, from its activate.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowTimes {
    /// Columns read.
    pub(super) columns: u32,
    /// Clocks between reads.
    pub(super) interval: u64,
    /// First read.
    pub(super) read: u64,
    /// Precharge.
    pub(super) pre: u64,
    /// Next activate.
    pub(super) next: u64,
}

impl<'a> Builder<'a> {
    /// An empty program, beginning with its refresh at clock 0.
    pub(super) fn new(target: &'a Target) -> Builder<'a> {
        let mut builder = Builder {
            target,
            program: Placing::default(),
            act_ready: 0,
            ref_ready: 0,
            last_ref: 0,
            read_ready: 0,
            vec_ready: 0,
            unit_ready: 0,
            data_ready: 0,
            behind: Vec::new(),
            placed: Vec::new(),
        };
        builder.refresh(0);
        builder
    }

    /// How many instructions there are.
    pub(super) fn len(&self) -> usize {
        self.program.len()
    }

    /// The first clock at which an instruction can issue.
    fn now(&self) -> u64 {
        self.program.next()
    }

    fn refresh(&mut self, at: u64) {
        let rfc = u64::from(self.target.timing.rfc);
        let at = self.program.place(Action::Ref, at.max(self.ref_ready));
        self.last_ref = at;
        self.act_ready = self.act_ready.max(at + rfc);
        self.ref_ready = at + rfc;
    }

    /// Last clock at which a refresh may be put off to, with room for the commands around it.
    fn deadline(&self) -> u64 {
        self.last_ref + u64::from(self.target.timing.refi) - REFRESH_MARGIN / 2
    }

    /// Places the refreshes of a wait until `at`, with all banks closed. After it an instruction
    /// can issue at `at`, and the next refresh is not overdue before that.
    pub(super) fn refresh_until(&mut self, at: u64) {
        let (refi, rfc) = (u64::from(self.target.timing.refi), u64::from(self.target.timing.rfc));
        loop {
            let soonest = self.now().max(self.ref_ready);
            // A refresh inside a wait that is long enough costs nothing.
            let hidden = soonest + rfc <= at && soonest >= self.last_ref + refi / 2;
            if hidden {
                self.refresh(soonest);
            } else if at > self.deadline() - STEP {
                self.refresh(soonest.max(self.deadline() - 2 * STEP));
            } else {
                return;
            }
        }
    }

    /// Issues an action that is no DRAM command, at `at` or later.
    pub(super) fn issue(&mut self, action: Action, at: u64) -> u64 {
        let at = at.max(self.now());
        self.refresh_until(at);
        self.program.place(action, at)
    }

    /// Clocks of a row of which `columns` columns are read, `interval` apart, with so many
    /// instructions between its activate and its reads.
    pub(super) fn row_times(&self, columns: u32, interval: u64, between: usize) -> RowTimes {
        let t = &self.target.timing;
        // The activate, and the loop around the reads where there is one.
        let looped = looped(columns, interval);
        let lead = if looped { 2 * STEP } else { STEP } + between as u64 * STEP;
        let read = u64::from(t.rcd).max(lead);
        let last = read + u64::from(columns - 1) * interval;
        // The next instruction comes an interval after the last read, when a loop's end sets it.
        let free = if looped { last + interval } else { last + STEP };
        let due = (last + u64::from(t.rtp)).max(u64::from(t.ras));
        let pre = if due <= free {
            free
        } else if looped {
            due.max(free + STEP)
        } else {
            due
        };
        let gap = u64::from(t.all_bank_activate_gap(self.target.banks));
        // The next row's first read comes an interval after the last one.
        let reads = last + interval - read;
        let next = (pre + u64::from(t.rp)).max(u64::from(t.rc)).max(gap).max(pre + 2 * STEP);
        let next = next.max(reads);
        RowTimes { columns, interval, read, pre, next }
    }

    /// One row: activate at `at`, its reads, precharge. Returns the clock of the activate.
    fn row(&mut self, times: &RowTimes, at: u64) -> u64 {
        let start = self.program.place(Action::Act, at);
        for (action, from) in std::mem::take(&mut self.behind) {
            let clock = self.program.place(action, from);
            self.placed.push((self.len() - 1, clock));
        }
        if looped(times.columns, times.interval) {
            self.program.place(Action::Loop { count: times.columns }, start + times.read - STEP);
            self.program.place(Action::Read, start + times.read);
            self.program.close(times.interval - STEP);
            self.program.push(Action::Next);
            self.program.close(STEP);
            // The other rounds of the loop.
            let rounds = u64::from(times.columns - 1) * times.interval;
            self.program.pass(rounds);
        } else {
            for column in 0..u64::from(times.columns) {
                self.program.place(Action::Read, start + times.read + column * times.interval);
            }
        }
        self.program.place(Action::Pre, start + times.pre);
        start
    }

    /// Issues actions, each not before its clock; index and clock of each of them.
    pub(super) fn in_order(&mut self, actions: Vec<(Action, u64)>) -> Vec<(usize, u64)> {
        let mut issued = |(action, from)| {
            let clock = self.issue(action, from);
            (self.len() - 1, clock)
        };
        actions.into_iter().map(&mut issued).collect()
    }

    /// One row, in which `behind`, each action not before its clock, comes between the activate and the
    /// reads: the row is opened while what they wait for goes on. Index and clock of each of them.
    pub(super) fn first_row(
        &mut self,
        (columns, interval): (u32, u64),
        behind: Vec<(Action, u64)>,
        reads_from: u64,
        data: u64,
    ) -> Vec<(usize, u64)> {
        let times = self.row_times(columns, interval, behind.len());
        // From each of them to the first read, which may have a loop before it.
        let ahead = behind.len() + usize::from(looped(columns, interval));
        let due = behind.iter().enumerate().map(|(i, b)| b.1 + (ahead - i) as u64 * STEP).max();
        self.behind = behind;
        self.rows(&times, 1, reads_from.max(due.unwrap_or(0)), data);
        std::mem::take(&mut self.placed)
    }

    /// Notes that the last activate of a run of rows came at `start`.
    fn rows_done(&mut self, times: &RowTimes, start: u64, data: u64) {
        let pre = start + times.pre;
        self.act_ready = self.act_ready.max(start + times.next);
        let t = &self.target.timing;
        // A refresh wants `rc` from the activate too, which may be more than `ras` and `rp`.
        self.ref_ready = self.ref_ready.max(pre + u64::from(t.rp)).max(start + u64::from(t.rc));
        let last_read = start + times.read + u64::from(times.columns - 1) * times.interval;
        self.read_ready = last_read + u64::from(self.target.timing.ccd);
        self.data_ready = last_read + data;
    }

    /// Reads `rows` DRAM rows one after another, the first read not before `reads_from`. `data` is
    /// the clocks from a read to its result.
    pub(super) fn rows(&mut self, times: &RowTimes, rows: u64, reads_from: u64, data: u64) {
        let mut left = rows;
        let window = self.window(times);
        let closed = times.next.max(times.pre + u64::from(self.target.timing.rp));
        let reads_from = reads_from.max(self.read_ready).saturating_sub(times.read);
        while left > 0 {
            let at = self.now().max(self.act_ready).max(reads_from);
            self.refresh_until(at);
            let at = at.max(self.now()).max(self.act_ready);
            if at + closed > self.deadline() {
                // The next row would not close in time.
                let rounds = (left / window).min(u64::from(u32::MAX));
                if rounds > 1 && reads_from <= self.ref_ready {
                    let start = self.windows(times, rounds, window);
                    self.rows_done(times, start, data);
                    left -= rounds * window;
                } else {
                    self.refresh(self.now());
                }
                continue;
            }
            let room = (self.deadline() - at - closed) / times.next + 1;
            let count = left.min(room);
            let start = self.repeat(times, count, at);
            self.rows_done(times, start, data);
            left -= count;
        }
    }

    /// Rows that fit between two refreshes when nothing else is going on.
    fn window(&self, times: &RowTimes) -> u64 {
        let lead = u64::from(self.target.timing.rfc).max(2 * STEP);
        let refi = u64::from(self.target.timing.refi);
        ((refi - REFRESH_MARGIN).saturating_sub(lead) / times.next).max(1)
    }

    /// `count` rows from an activate at `at`; returns the clock of the last activate.
    fn repeat(&mut self, times: &RowTimes, count: u64, at: u64) -> u64 {
        if count == 1 {
            return self.row(times, at);
        }
        self.program.place(Action::Loop { count: count as u32 }, at.saturating_sub(STEP));
        let start = self.row(times, self.now());
        self.program.close(times.next - times.pre - STEP);
        self.program.push(Action::Next);
        self.program.close(STEP);
        let rounds = (count - 1) * times.next;
        self.program.pass(rounds);
        start + rounds
    }

    /// `rounds` times a refresh and `window` rows; returns the clock of the last activate.
    fn windows(&mut self, times: &RowTimes, rounds: u64, window: u64) -> u64 {
        let lead = u64::from(self.target.timing.rfc).max(2 * STEP);
        // The activate that follows the refresh may have to wait for the last one's window.
        let begin = self.ref_ready.max(self.act_ready.saturating_sub(lead));
        self.program.place(Action::Loop { count: rounds as u32 }, begin.saturating_sub(STEP));
        self.refresh(self.now());
        let begin = self.program.last();
        let start = self.repeat(times, window, begin + lead);
        if window == 1 {
            self.program.close(times.next - times.pre);
        }
        self.program.push(Action::Next);
        self.program.close(STEP);
        // The other rounds of the loop.
        let others = (rounds - 1) * (self.now() - begin);
        self.program.pass(others);
        self.last_ref += others;
        self.ref_ready += others;
        self.act_ready += others;
        start + others
    }

    /// Ends the program when everything is done; the program and the clock of its end.
    pub(super) fn finish(mut self) -> (Vec<Instr>, u64) {
        let done = self.vec_ready.max(self.data_ready).max(self.act_ready).max(self.ref_ready);
        self.refresh_until(done);
        // A refresh of the wait above must be over as well.
        let done = done.max(self.act_ready).max(self.ref_ready);
        let end = self.issue(Action::End, done);
        (self.program.finish(), end)
    }
}
