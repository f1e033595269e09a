//! Hardware whose widths are known only at run time, on rust-hdl.
//!
//! rust-hdl fixes a signal's width in its type, but everything it does with a signal goes through
//! object-safe traits that carry widths as numbers. The signals here implement those traits with
//! the width in a field, so `#[derive(LogicBlock)]` and `#[hdl_gen]` take them as they are: one
//! kernel is the cycle-accurate simulation and the syntax tree that `crate::sv` prints.
//! UNITS.md tells how to write one.

mod cells;
mod pass;
pub mod tree;
mod unit;
mod wire;
mod word;

pub use cells::{Flop, Join, Popcount, Ram, Reg, Split, Table, Unused};
pub use unit::{clock, settle, Card, Contract, Inst, ProvenWidth, Unit};
pub use wire::{Const, Ones, Signal, Wire};
pub use word::{bit_cast, s, signed_cast, u, unsigned_cast, Ty, Word};

/// All that a unit needs: `use crate::hdl::prelude::*;` and nothing from rust-hdl.
pub mod prelude {
    pub use super::{
        bit_cast, clock, s, settle, signed_cast, u, unsigned_cast, Const, Contract, Flop, Inst,
        Join, Ones, Popcount, ProvenWidth, Ram, Reg, Signal, Split, Table, Ty, Unit, Unused, Wire,
        Word,
    };
    pub use crate::{comment, dff_setup};
    pub use rust_hdl_core::prelude::{
        ast, block, clog2, hdl_gen, logic, probe, synth, type_descriptor, Bit, Bits, Block, Clock,
        In, Local, Logic, LogicBlock, LogicState, Out, Synth, ToBits, TypeDescriptor, TypeKind,
        VCDValue, VerilogLiteral,
    };
}

/// Clocks registers and makes them hold their value unless the kernel says otherwise.
#[macro_export]
macro_rules! dff_setup {
    ($self: ident, $clock: ident, $($dff: ident),+ $(,)?) => {
        $($self.$dff.clock.next = $self.$clock.val());+;
        $($self.$dff.d.next = $self.$dff.q.val());+;
    };
}

/// A comment that is printed before the statement that follows: `comment!("---- fold ----");`.
#[macro_export]
macro_rules! comment {
    ($text: literal) => {};
}
