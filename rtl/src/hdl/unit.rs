//! Units: blocks with a module of their own, their instances, and the clock.

use super::pass::{self, Pass};
use super::wire::Signal;
use rust_hdl_core::prelude::{Block, Clock, In, Logic, Probe};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// What a module's header promises. Paragraphs are wrapped by the back end; empty ones are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contract {
    /// What it is, in a sentence.
    pub summary: String,
    /// What it computes.
    pub formula: String,
    /// Clocks from what to what.
    pub latency: String,
    /// How often it takes something new.
    pub throughput: String,
    /// How words, codes and memories are laid out.
    pub layout: String,
    /// What it relies on.
    pub preconditions: String,
}

/// A width that is no more than a proof asks for: it has a name in the module, and the reason with
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenWidth {
    /// Its name: `AccW`.
    pub name: &'static str,
    /// Bits.
    pub bits: u32,
    /// Why no more are needed, in a line.
    pub reason: &'static str,
    /// The ports, signals and registers of this width.
    pub fields: &'static [&'static str],
}

impl ProvenWidth {
    /// Of the accumulator `acc` of a matrix row, and of the signals around it.
    pub fn of_row_sum(bits: u32) -> Self {
        ProvenWidth {
            name: "AccW",
            bits,
            reason: "A sum of a matrix row fits, see above; what wraps in between comes back.",
            fields: &["sum", "beat_sum", "kept", "acc"],
        }
    }
}

/// A block that is a module.
pub trait Unit: Block {
    /// The name of its module: `pimc_` and the numbers that change its text. Two units of one name
    /// have the same text.
    fn module(&self) -> String;
    /// What its header says.
    fn contract(&self) -> Contract;
    /// Groups of its ports: the field that begins one, and the comment above it.
    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![]
    }
    /// The width of its sums: `None` if it has none that a proof bounds.
    fn proven_width(&self) -> Option<ProvenWidth> {
        None
    }
    /// Its clock: `None` if it has none. A unit that has registers and does not tell its clock
    /// sees no edge.
    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        None
    }
}

/// A module name with its header, on its way to the back end.
#[derive(Clone, Debug)]
pub struct Card {
    /// [`Unit::module`].
    pub module: String,
    /// [`Unit::contract`].
    pub contract: Contract,
    /// [`Unit::port_groups`].
    pub port_groups: Vec<(&'static str, &'static str)>,
    /// [`Unit::proven_width`].
    pub proven_width: Option<ProvenWidth>,
}

thread_local! {
    // rust-hdl's visitor passes a scope as `&dyn Block`, which cannot be asked for its module; the
    // instance leaves the card here for the visitor, just before its scope opens.
    static CARD: RefCell<Option<Card>> = const { RefCell::new(None) };
}

/// Takes the card of the scope that opens now; `None` if it is not an instance of a unit.
pub(crate) fn take_card() -> Option<Card> {
    CARD.with(|c| c.borrow_mut().take())
}

/// An instance of a unit. It is evaluated only when an input has changed or the clock has an edge
/// that may change its state, and then until it is stable.
pub struct Inst<U> {
    unit: U,
    fresh: bool,
    /// The last edge changed nothing and no input has changed since: another edge will not either.
    quiet: bool,
    /// The clock as the parent drives it.
    outside: bool,
    /// The clock inside is the inverse: edges have been skipped. Every change of the clock is an
    /// edge, so the levels below must not see the changes that this one has skipped.
    inverted: bool,
}

impl<U> Inst<U> {
    /// Instantiates `unit`.
    pub fn new(unit: U) -> Self {
        Inst { unit, fresh: true, quiet: false, outside: false, inverted: false }
    }
}

impl<U: Default> Default for Inst<U> {
    fn default() -> Self {
        Inst::new(U::default())
    }
}

impl<U> Deref for Inst<U> {
    type Target = U;
    fn deref(&self) -> &U {
        &self.unit
    }
}

impl<U> DerefMut for Inst<U> {
    fn deref_mut(&mut self) -> &mut U {
        &mut self.unit
    }
}

impl<U: Unit> Inst<U> {
    fn drive_clock(&mut self, clk: bool) {
        if let Some(clock) = self.unit.clock() {
            clock.next = Clock { clk };
        }
    }
}

impl<U: Unit> Logic for Inst<U> {
    fn update(&mut self) {}
}

impl<U: Unit> Block for Inst<U> {
    fn connect_all(&mut self) {
        self.unit.connect_all();
    }
    fn update_all(&mut self) {
        let outside = self.unit.clock().map_or(self.outside, |c| c.next.clk);
        let edge = outside != self.outside;
        self.outside = outside;
        // What has changed in a unit that has settled can only be an input that its parent has
        // driven since.
        let changed = self.fresh || self.unit.has_changed();
        if edge && self.quiet && !changed {
            self.inverted = !self.inverted;
            return;
        }
        if changed || edge {
            self.fresh = false;
            self.drive_clock(outside != self.inverted);
            let brought = passes(&mut self.unit);
            self.drive_clock(outside);
            self.quiet = edge && !changed && !brought.state;
            if brought.state {
                pass::state();
            }
            if brought.output {
                pass::again();
            }
        }
    }
    fn has_changed(&self) -> bool {
        false
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        let card = Card {
            module: self.unit.module(),
            contract: self.unit.contract(),
            port_groups: self.unit.port_groups(),
            proven_width: self.unit.proven_width(),
        };
        CARD.with(|c| *c.borrow_mut() = Some(card));
        self.unit.accept(name, probe);
        take_card();
    }
}

/// Evaluations after which a block that still changes is taken for a combinational loop.
const MAX_PASSES: usize = 1000;

/// Evaluates `uut` until nothing changes: after its inputs have been driven.
///
/// # Panics
/// If it does not settle.
pub fn settle<B: Block>(uut: &mut B) {
    passes(uut);
}

fn passes<B: Block>(uut: &mut B) -> Pass {
    match pass::settle(MAX_PASSES, || uut.update_all()) {
        Some(brought) => brought,
        None => {
            panic!("a combinational loop: still changing after {MAX_PASSES} evaluations")
        }
    }
}

/// One clock cycle: lets the inputs settle, gives the rising edge, lets the outputs settle.
///
/// # Panics
/// If the unit has no clock, or does not settle.
pub fn clock<U: Unit>(uut: &mut Inst<U>) {
    settle(uut);
    let clock = uut.unit.clock().expect("a unit with a clock");
    clock.next = !clock.val();
    settle(uut);
}

#[cfg(test)]
mod tests {
    use crate::hdl::prelude::*;

    /// Counts the clocks with `enable`, `step` at a time.
    #[derive(LogicBlock, Default)]
    struct Counter {
        clock: Signal<In, Clock>,
        enable: Signal<In, Bit>,
        step: Wire<In>,
        count: Wire<Out>,
        state: Reg,
    }

    impl Logic for Counter {
        #[hdl_gen]
        fn update(&mut self) {
            dff_setup!(self, clock, state);
            if self.enable.val() {
                self.state.d.next = self.state.q.val() + self.step.val();
            }
            self.count.next = self.state.q.val();
        }
    }

    impl Unit for Counter {
        fn module(&self) -> String {
            "counter".into()
        }
        fn contract(&self) -> Contract {
            Contract::default()
        }
        fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
            Some(&mut self.clock)
        }
    }

    /// Two counters in a row: the second steps by the first's count, delayed by a register.
    #[derive(LogicBlock, Default)]
    struct Chain {
        clock: Signal<In, Clock>,
        enable: Signal<In, Bit>,
        total: Wire<Out>,
        counters: Vec<Inst<Counter>>,
        delayed: Reg,
    }

    impl Logic for Chain {
        #[hdl_gen]
        fn update(&mut self) {
            dff_setup!(self, clock, delayed);
            for i in 0..2 {
                self.counters[i].clock.next = self.clock.val();
                self.counters[i].enable.next = self.enable.val();
            }
            self.delayed.d.next = self.counters[0].count.val();
            self.counters[0].step.next = 1.into();
            self.counters[1].step.next = self.delayed.q.val();
            self.total.next = self.counters[1].count.val();
        }
    }

    impl Unit for Chain {
        fn module(&self) -> String {
            "chain".into()
        }
        fn contract(&self) -> Contract {
            Contract::default()
        }
        fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
            Some(&mut self.clock)
        }
    }

    #[test]
    fn registers_at_every_depth_see_the_same_edge() {
        let counter = || {
            Inst::new(Counter {
                step: Wire::new(u(8)),
                count: Wire::new(u(8)),
                state: Reg::new(u(8)),
                ..Counter::default()
            })
        };
        let mut uut = Inst::new(Chain {
            total: Wire::new(u(8)),
            counters: vec![counter(), counter()],
            delayed: Reg::new(u(8)),
            ..Chain::default()
        });
        let (mut first, mut delayed, mut second) = (0i128, 0i128, 0i128);
        for cycle in 0..100 {
            let enable = cycle % 3 != 1;
            uut.enable.next = enable;
            clock(&mut uut);
            if enable {
                second = (second + delayed) & 255;
            }
            delayed = first;
            if enable {
                first = (first + 1) & 255;
            }
            assert_eq!(uut.total.get(), second, "cycle {cycle}");
        }
    }
}
