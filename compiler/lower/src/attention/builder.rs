//! Writes programs whose length is known only when they run: blocks that begin and end with all
//! banks closed, loops whose counts are arguments, refreshes where one is due.
//!
//! The builder counts the clocks of one way through the program: every loop's body once, reads of a
//! row as often as there can be. What becomes possible when ([`Ready`]) is kept in those clocks; where two
//! ways meet, the later of both holds.

use crate::placing::{Placing, STEP};
use crate::target::Target;
use pimc_rtl::isa::{Action, Instr, SetTo, MIN_DELAY};

/// Clocks by which a refresh that is due comes before its deadline, on top of what was counted.
const SLACK: u64 = 16;

/// Clocks at which things become possible.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    /// An activate.
    act: u64,
    /// A refresh; all banks are closed.
    refresh: u64,
    /// A read.
    read: u64,
    /// A write.
    write: u64,
    /// A precharge.
    pre: u64,
    /// A stream: the columns of the last one are through.
    stream: u64,
    /// An operation of the buffer unit.
    vec: u64,
}

impl Ready {
    fn each(self, other: Ready, f: impl Fn(u64, u64) -> u64) -> Ready {
        Ready {
            act: f(self.act, other.act),
            refresh: f(self.refresh, other.refresh),
            read: f(self.read, other.read),
            write: f(self.write, other.write),
            pre: f(self.pre, other.pre),
            stream: f(self.stream, other.stream),
            vec: f(self.vec, other.vec),
        }
    }

    /// Nothing, of which the first is looked for.
    fn never() -> Ready {
        Ready::default().each(Ready::default(), |_, _| u64::MAX)
    }

    /// The later of both.
    fn or(self, other: Ready) -> Ready {
        self.each(other, u64::max)
    }

    /// `clocks` later.
    fn later(self, clocks: u64) -> Ready {
        self.each(self, |a, _| a + clocks)
    }
}

/// A refresh that may be due, and when it was asked.
#[derive(Clone, Copy, Debug)]
struct Due {
    instr: usize,
    at: u64,
}

/// What a loop that is open began with.
struct Open {
    instr: usize,
    /// Whether its body may run more than once.
    again: bool,
    /// Clock of what follows it.
    body: u64,
    ready: Ready,
    dues: Vec<Due>,
    /// Clock of the first refresh in the body that may be due.
    first_due: Option<u64>,
    /// Clocks of the first of each thing in the body; `u64::MAX` where there is none.
    first: Ready,
}

/// A program being written.
pub(super) struct Builder<'a> {
    target: &'a Target,
    program: Placing,
    ready: Ready,
    /// Refreshes after which none has been asked for yet.
    dues: Vec<Due>,
    loops: Vec<Open>,
}

impl<'a> Builder<'a> {
    /// A program that begins with its refresh.
    pub(super) fn new(target: &'a Target) -> Builder<'a> {
        let mut b = Builder {
            target,
            program: Placing::default(),
            ready: Ready::default(),
            dues: Vec::new(),
            loops: Vec::new(),
        };
        b.put(Action::Ref, 0);
        b.refreshed(0);
        b
    }

    /// How many instructions there are.
    pub(super) fn len(&self) -> usize {
        self.program.len()
    }

    /// Waits until clock `at`.
    pub(super) fn wait_until(&mut self, at: u64) {
        self.program.wait_until(at);
    }

    /// The same with all banks closed, for so long that refreshes may be due meanwhile.
    pub(super) fn wait_closed(&mut self, at: u64) {
        let most = u64::from(self.target.timing.refi / 4);
        while at > self.program.next() + most {
            self.wait_until(self.program.next() + most);
            self.refresh_due();
        }
        self.wait_until(at);
    }

    /// Issues an action at `at` or as soon after it as it can; the clock.
    pub(super) fn put(&mut self, action: Action, at: u64) -> u64 {
        self.program.place(action, at)
    }

    /// Issues an action as soon as it can.
    pub(super) fn now_put(&mut self, action: Action) -> u64 {
        self.put(action, 0)
    }

    /// Sets something to a constant plus an argument.
    pub(super) fn set(&mut self, to: SetTo, from: Option<u32>, add: u32) {
        self.now_put(Action::Set { to, from, add });
    }

    fn refreshed(&mut self, at: u64) {
        let rfc = u64::from(self.target.timing.rfc);
        self.ready.act = self.ready.act.max(at + rfc);
        self.ready.refresh = self.ready.refresh.max(at + rfc);
        // A refresh that was taken makes the next instruction wait; one that was not takes a step.
    }

    /// Waits for the end of the program's first refresh.
    pub(super) fn refreshed_wait(&mut self) {
        self.wait_until(self.ready.refresh);
    }

    /// The same if there was none for long; all banks are closed.
    pub(super) fn refresh_between(&mut self) {
        let last = self.dues.iter().map(|due| due.at).max().unwrap_or(0);
        if self.program.next() > last + u64::from(self.target.timing.refi / 4) {
            self.refresh_due();
        }
    }

    /// A refresh here if one will be due before the next of these; all banks are closed.
    pub(super) fn refresh_due(&mut self) -> u64 {
        let instr = Action::RefreshDue { within: 0 };
        let at = self.put(instr, self.ready.refresh);
        let index = self.program.len() - 1;
        // The delay is that of a refresh; without one the next instruction comes a step later, which
        // is the way that is counted. Nothing else may stretch it.
        self.program.close_at_times(self.target.timing.rfc.max(MIN_DELAY).into());
        self.asked(at);
        self.dues = vec![Due { instr: index, at }];
        for open in self.loops.iter_mut().filter(|l| l.first_due.is_none()) {
            open.first_due = Some(at);
        }
        at
    }

    /// At `at` the next refresh that may be due is asked for.
    fn asked(&mut self, at: u64) {
        let dues = std::mem::take(&mut self.dues);
        dues.iter().for_each(|due| self.within(*due, at));
    }

    fn within(&mut self, due: Due, at: u64) {
        if let Some(Action::RefreshDue { within }) = self.program.action(due.instr) {
            *within = (*within).max((at - due.at + SLACK) as u32);
        }
    }

    /// In every loop that is open, this is the first of its kind if there was none.
    fn note(&mut self, kind: impl Fn(&mut Ready) -> &mut u64, at: u64) {
        for open in &mut self.loops {
            let first = kind(&mut open.first);
            *first = at.min(*first);
        }
    }

    /// Activates the row counter's row.
    pub(super) fn act(&mut self) -> u64 {
        let at = self.put(Action::Act, self.ready.act);
        self.note(|first| &mut first.act, at);
        let t = &self.target.timing;
        let gap = u64::from(t.all_bank_activate_gap(self.target.banks)).max(u64::from(t.rc));
        self.ready.act = at + gap;
        self.ready.refresh = self.ready.refresh.max(at + u64::from(t.rc));
        self.ready.read = self.ready.read.max(at + u64::from(t.rcd));
        let rcd_wr = t.extra.rcd_wr.unwrap_or(t.rcd);
        self.ready.write = self.ready.write.max(at + u64::from(rcd_wr));
        self.ready.pre = self.ready.pre.max(at + u64::from(t.ras));
        at
    }

    /// Closes the row and counts the row counter up.
    pub(super) fn pre(&mut self) -> u64 {
        let at = self.put(Action::Pre, self.ready.pre);
        self.note(|first| &mut first.pre, at);
        let rp = u64::from(self.target.timing.rp);
        self.ready.act = self.ready.act.max(at + rp);
        self.ready.refresh = self.ready.refresh.max(at + rp);
        at
    }

    fn after_reads(&mut self, last: u64, interval: u64, data: u64) {
        let t = &self.target.timing;
        self.ready.read = last + interval.max(u64::from(t.ccd));
        self.ready.pre = self.ready.pre.max(last + u64::from(t.rtp));
        self.ready.stream = self.ready.stream.max(last + data);
        let turn = u64::from(t.cl) + self.extra(t.extra.bl) + self.extra(t.extra.turn);
        let write = last + turn.saturating_sub(self.extra(t.extra.cwl));
        self.ready.write = self.ready.write.max(write);
    }

    fn extra(&self, value: Option<u32>) -> u64 {
        value.unwrap_or_default().into()
    }

    /// Waits until the row that was opened can be read and closed, before a loop in whose rounds it can be at
    /// once.
    pub(super) fn settle(&mut self) {
        self.wait_until(self.ready.read.max(self.ready.pre));
    }

    /// Waits until anything can begin: the round of a loop, of whose parts some may be left out.
    pub(super) fn settle_all(&mut self) {
        let r = self.ready;
        let ready = [r.act, r.refresh, r.read, r.write, r.pre, r.stream, r.vec];
        self.wait_until(ready.into_iter().fold(0, u64::max));
    }

    /// Waits until the row that was opened can be read by an instruction `steps` behind this one, before a loop
    /// in every round of which it is read and written.
    pub(super) fn settle_read(&mut self, steps: u64) {
        // The loop's own instruction comes between as well.
        self.wait_until(self.ready.read.saturating_sub((steps + 1) * STEP));
    }

    /// Reads a column, not before `from`; `data` clocks from the read to the end of what its data do.
    pub(super) fn read(&mut self, from: u64, data: u64) -> u64 {
        let at = self.put(Action::Read, self.ready.read.max(from));
        self.note(|first| &mut first.read, at);
        self.after_reads(at, 0, data);
        at
    }

    /// Reads `most` columns or, where an argument says, so many of them; `interval` apart.
    pub(super) fn reads(&mut self, most: u32, count: Option<u32>, interval: u64, data: u64) {
        let looped = interval >= 2 * STEP;
        if !looped || (most == 1 && count.is_none()) {
            // No room for a loop's end between two reads: all of them, one by one.
            for _ in 0..most {
                let at = self.put(Action::Read, self.ready.read);
                self.note(|first| &mut first.read, at);
                self.after_reads(at, interval, data);
            }
            return;
        }
        let at = self.ready.read.max(self.program.next() + STEP) - STEP;
        match count {
            None => self.put(Action::Loop { count: most }, at),
            Some(arg) => self.put(Action::LoopArg { arg, end: 0 }, at),
        };
        let start = self.program.len() - 1;
        let first = self.put(Action::Read, 0);
        self.note(|kinds| &mut kinds.read, first);
        self.put(Action::Next, first + interval - STEP);
        // Behind it there may be a wait, if it is a long one.
        let behind = self.program.len() as u32;
        if let Some(Action::LoopArg { end, .. }) = self.program.action(start) {
            *end = behind;
        }
        // The other rounds. The loop's end keeps its delay.
        let last = first + u64::from(most - 1) * interval;
        self.program.keep();
        self.program.pass(last - first);
        if count.is_some() {
            // With one column alone what was begun before has so much less time.
            self.ready = self.ready.or(self.ready.later(last - first));
        }
        self.after_reads(last, interval, data);
    }

    /// Writes a column, not before `from`.
    pub(super) fn write(&mut self, from: u64) -> u64 {
        let at = self.put(Action::Write, self.ready.write.max(from));
        self.note(|first| &mut first.write, at);
        let t = &self.target.timing;
        let e = &t.extra;
        let written = at + self.extra(e.cwl) + self.extra(e.bl);
        let wtr = self.extra(e.wtr_l).max(self.extra(e.wtr_s));
        self.ready.read = self.ready.read.max(written + wtr);
        self.ready.write = at + u64::from(t.ccd);
        self.ready.pre = self.ready.pre.max(written + self.extra(e.wr));
        at
    }

    /// Begins a stream whose mode the caller knows, when the one before is through.
    pub(super) fn stream(&mut self, action: Action) -> u64 {
        let at = self.put(action, self.ready.stream);
        self.note(|first| &mut first.stream, at);
        // The units know of it a clock later.
        self.ready.read = self.ready.read.max(at + STEP);
        at
    }

    /// The units are busy with something for `clocks` from `at` on, before the next stream.
    pub(super) fn busy(&mut self, at: u64, clocks: u64) {
        self.ready.stream = self.ready.stream.max(at + clocks);
    }

    /// Starts an operation of the buffer unit; the clock at which its results are there.
    pub(super) fn vec(&mut self, action: Action, clocks: u64) -> u64 {
        let at = self.put(action, self.ready.vec);
        self.note(|first| &mut first.vec, at);
        self.ready.vec = at + clocks;
        self.ready.vec
    }

    /// The buffer unit is busy until `at`.
    pub(super) fn vec_until(&mut self, at: u64) {
        self.ready.vec = self.ready.vec.max(at);
    }

    /// When the buffer unit is idle.
    pub(super) fn vec_ready(&self) -> u64 {
        self.ready.vec
    }

    /// When the units are through with the last stream.
    pub(super) fn stream_ready(&self) -> u64 {
        self.ready.stream
    }

    /// Opens a part that an argument, 0 or 1, leaves out. It begins and ends with all banks closed.
    pub(super) fn begin(&mut self, arg: u32) {
        self.open(Action::LoopArg { arg, end: 0 }, false);
    }

    /// Opens a loop whose count is an argument. Its body begins and ends with all banks closed, or with a
    /// row open that is closed and opened in it.
    pub(super) fn begin_again(&mut self, arg: u32) {
        self.open(Action::LoopArg { arg, end: 0 }, true);
    }

    /// Opens a loop of `count` rounds.
    pub(super) fn begin_rounds(&mut self, count: u32) {
        self.open(Action::Loop { count }, true);
    }

    fn open(&mut self, action: Action, again: bool) {
        self.put(action, 0);
        if again {
            // What the body waits for first every round waits for.
            self.program.keep();
        }
        let instr = self.program.len() - 1;
        self.loops.push(Open {
            instr,
            again,
            body: self.program.next(),
            ready: self.ready,
            dues: self.dues.clone(),
            first_due: None,
            first: Ready::never(),
        });
    }

    /// When what the next round does is possible at the clocks of this round, the next round can begin.
    fn next_round(&mut self, open: &Open) {
        let lead = |first: u64| (first != u64::MAX).then_some(first.saturating_sub(open.body));
        let (r, f) = (self.ready, open.first);
        let pairs = [
            (r.act, f.act),
            (r.read, f.read),
            (r.write, f.write),
            (r.pre, f.pre),
            (r.stream, f.stream),
            (r.vec, f.vec),
        ];
        // The loop's end takes a step.
        let from = pairs.iter().filter_map(|&(r, f)| Some(r.saturating_sub(lead(f)? + STEP)));
        self.wait_until(from.max().unwrap_or(0));
    }

    /// Ends the innermost loop, in whose body no refresh can be due and one row stays open: it runs 1 to `most`
    /// times.
    pub(super) fn end_within_row(&mut self, most: u32) {
        let Some(open) = self.loops.pop() else { return };
        self.next_round(&open);
        self.put(Action::Next, 0);
        self.program.keep();
        let end = self.program.len() as u32;
        if let Some(Action::LoopArg { end: to, .. }) = self.program.action(open.instr) {
            *to = end;
        }
        let more = u64::from(most - 1) * (self.program.next() - open.body);
        self.program.pass(more);
        // With one round alone what was begun before has so much less time.
        self.ready = self.ready.later(more);
    }

    /// Ends the innermost loop or part.
    pub(super) fn end(&mut self) {
        let Some(open) = self.loops.pop() else { return };
        let again = open.again;
        if let Some(first) = open.first_due.filter(|_| again) {
            // The next round's first refresh may come as early as the first round's did.
            let r = self.ready;
            let ready = r.act.max(r.refresh).max(r.read).max(r.write).max(r.pre);
            let lead = first - open.body + STEP;
            self.wait_until(ready.saturating_sub(lead));
            self.next_round(&open);
        }
        self.put(Action::Next, 0);
        self.program.keep();
        let end = self.program.len() as u32;
        if let Some(Action::LoopArg { end: to, .. }) = self.program.action(open.instr) {
            *to = end;
        }
        if let Some(first) = open.first_due.filter(|_| again) {
            let from = self.program.next() + (first - open.body);
            self.dues.clone().into_iter().for_each(|due| self.within(due, from));
        }
        // The way that skips the body is shorter by it.
        let skipped = self.program.next() - open.body;
        self.ready = self.ready.or(open.ready.later(skipped));
        let before = open.dues.iter().map(|d| Due { at: d.at + skipped, ..*d });
        self.dues.extend(before);
    }

    /// Ends the program when everything is done.
    pub(super) fn finish(mut self) -> Vec<Instr> {
        let r = self.ready;
        let done = r.vec.max(r.stream).max(r.act).max(r.refresh);
        self.refresh_due();
        let at = self.put(Action::End, done.max(self.program.next()));
        self.asked(at);
        self.program.finish()
    }
}
