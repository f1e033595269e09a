//! One evaluation of a unit is a pass: its kernel runs once, then each of its signals takes up what
//! drives it. Another pass is due only if something changed that the kernel had already read: the
//! signals and cells say so here while they are evaluated, so that nobody has to look at all of
//! them afterwards.

use std::cell::Cell;

/// What a pass has brought about so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Pass {
    /// Its number; no two in a thread have the same.
    number: u64,
    /// The kernel has read what has changed since.
    again: bool,
    /// An output of the unit has changed.
    pub(super) output: bool,
    /// A register or a memory, at any depth, has changed.
    pub(super) state: bool,
}

thread_local! {
    static NOW: Cell<Pass> = const { Cell::new(Pass { number: 0, again: false, output: false, state: false }) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn note(change: impl FnOnce(&mut Pass)) {
    NOW.with(|now| {
        let mut pass = now.get();
        change(&mut pass);
        now.set(pass);
    });
}

/// Number of the pass that runs.
#[inline]
pub(super) fn number() -> u64 {
    NOW.with(|now| now.get().number)
}

/// What the kernel has read in this pass is no longer so.
#[inline]
pub(super) fn again() {
    note(|pass| pass.again = true);
}

/// An output of the unit has changed.
#[inline]
pub(super) fn output() {
    note(|pass| pass.output = true);
}

/// A register or a memory has changed.
#[inline]
pub(super) fn state() {
    note(|pass| pass.state = true);
}

/// Evaluates a unit, pass by pass, until another would change nothing or `most` are done; what the
/// passes brought about together, or `None` if it did not come to rest. The pass that this is part
/// of goes on as before.
pub(super) fn settle(most: usize, mut evaluate: impl FnMut()) -> Option<Pass> {
    let outer = NOW.get();
    let mut all = Pass::default();
    let mut rests = false;
    for _ in 0..most {
        let number = COUNT.get() + 1;
        COUNT.set(number);
        NOW.set(Pass { number, ..Pass::default() });
        evaluate();
        let pass = NOW.get();
        all.output |= pass.output;
        all.state |= pass.state;
        if !pass.again {
            rests = true;
            break;
        }
    }
    NOW.set(outer);
    rests.then_some(all)
}
