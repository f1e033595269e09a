//! Instructions at exact clocks: the delay of an instruction is filled in when the next one is placed,
//! and what one delay does not hold is waited for.

use pimc_rtl::isa::{Action, Instr, MIN_DELAY};

/// Longest delay that one instruction carries; longer ones are filled with `Wait`.
const MAX_DELAY: u64 = 1023;
/// Clocks between two instructions, at least.
pub(crate) const STEP: u64 = MIN_DELAY as u64;

/// A program being written, and where in time it is.
#[derive(Debug, Default)]
pub(crate) struct Placing {
    program: Vec<Instr>,
    /// When the last instruction issued.
    last: u64,
    /// The first clock at which an instruction can issue.
    next: u64,
    /// Whether the last instruction's delay may still grow; a loop's end has its own.
    open: bool,
}

impl Placing {
    /// How many instructions there are.
    pub(crate) fn len(&self) -> usize {
        self.program.len()
    }

    /// When the last instruction issued.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The first clock at which an instruction can issue.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// An instruction's action, to be filled in later.
    pub(crate) fn action(&mut self, index: usize) -> Option<&mut Action> {
        self.program.get_mut(index).map(|instr| &mut instr.action)
    }

    /// Waits until clock `at`, or a clock more where only a wait of its own can do it.
    pub(crate) fn wait_until(&mut self, at: u64) {
        if at <= self.next {
            return;
        }
        // The open delay first, then waits of at least the shortest one.
        if self.open {
            self.close(part(at - self.last));
            self.open = true;
        }
        while at > self.next {
            self.push(Action::Wait);
            self.close(part((at - self.last).max(STEP)));
        }
    }

    /// Issues an action at `at`, or as soon after it as an instruction can; the clock.
    pub(crate) fn place(&mut self, action: Action, at: u64) -> u64 {
        self.wait_until(at);
        self.push(action);
        self.last
    }

    /// Issues an action as soon as it can.
    pub(crate) fn push(&mut self, action: Action) {
        self.last = self.next;
        self.program.push(Instr { action, delay: MIN_DELAY });
        self.next = self.last + STEP;
        self.open = true;
    }

    /// Sets the last instruction's delay, which keeps it.
    pub(crate) fn close(&mut self, delay: u64) {
        if let Some(instr) = self.program.last_mut() {
            instr.delay = delay as u32;
        }
        self.next = self.last + delay;
        self.open = false;
    }

    /// Sets the last instruction's delay where that is one of two: the program goes on a step later as a rule.
    pub(crate) fn close_at_times(&mut self, delay: u64) {
        self.close(delay);
        self.next = self.last + STEP;
    }

    /// The last instruction's delay stays as it is.
    pub(crate) fn keep(&mut self) {
        self.open = false;
    }

    /// So many clocks pass in rounds of a loop that ended last.
    pub(crate) fn pass(&mut self, clocks: u64) {
        self.last += clocks;
        self.next += clocks;
    }

    /// The program.
    pub(crate) fn finish(self) -> Vec<Instr> {
        self.program
    }
}

/// The delay with which a wait of so many clocks begins: what is left is nothing, or long enough for a
/// wait.
fn part(whole: u64) -> u64 {
    let gap = whole.min(MAX_DELAY);
    if whole > gap && whole - gap < STEP {
        gap - STEP
    } else {
        gap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every wait comes to its clock, or one later behind a closed delay, in delays that an instruction
    /// has.
    #[test]
    fn waits_are_exact() {
        for whole in (2..3 * MAX_DELAY).chain([100_000]) {
            for open in [true, false] {
                let mut p = Placing::default();
                p.push(Action::Ref);
                if !open {
                    p.keep();
                }
                let at = p.place(Action::End, whole);
                // Behind two clocks that are fixed, a wait takes two more.
                assert_eq!(at, if !open && whole == 3 { 4 } else { whole });
                let program = p.finish();
                let delays: Vec<u64> = program.iter().map(|i| i.delay.into()).collect();
                assert!(delays.iter().all(|d| (STEP..=MAX_DELAY).contains(d)), "{delays:?}");
                assert_eq!(delays[..delays.len() - 1].iter().sum::<u64>(), at);
                assert_eq!(delays[0] == STEP, !open || whole == STEP);
            }
        }
    }

    #[test]
    fn a_wait_never_goes_back() {
        let mut p = Placing::default();
        p.push(Action::Ref);
        p.wait_until(100);
        p.wait_until(50);
        assert_eq!(p.place(Action::End, 0), 100);
    }
}
