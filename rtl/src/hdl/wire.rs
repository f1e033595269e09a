//! Signals. They stand where rust-hdl's `Signal` would, and differ from it in two ways: a `Wire`
//! keeps its width in a field, and an input reads as what its parent has just driven, so that a
//! unit settles in one evaluation however deep it lies. Each tells `pass` when it changes after the
//! kernel has read it.

use super::pass;
use super::word::{u, Ty, Word};
use rust_hdl_core::prelude::{
    Atom, AtomKind, Block, Clock, Direction, In, Logic, PinConstraint, Probe, Synth,
    TypeDescriptor, TypeKind, VCDValue, VerilogLiteral,
};
use rust_hdl_core::signal::get_signal_id;
use std::any::TypeId;
use std::cell::Cell;
use std::marker::PhantomData;

/// Whether signals of this direction are inputs: their parent's to change, never the kernel's.
const fn is_input<D: Direction>() -> bool {
    matches!(D::KIND, AtomKind::InputParameter)
}

/// Tells `pass` that a signal has changed which was read, as it was before, in the pass `read_in`.
#[inline]
fn tell_change<D: Direction>(read_in: u64) {
    if is_input::<D>() {
        return;
    }
    if matches!(D::KIND, AtomKind::OutputParameter) {
        pass::output();
    }
    if read_in == pass::number() {
        pass::again();
    }
}

/// A signal of run-time type.
#[derive(Clone, Debug)]
pub struct Wire<D: Direction> {
    /// What drives it.
    pub next: Word,
    settled: i128,
    ty: Ty,
    /// The pass in which it was last read before it was driven anew.
    read_in: Cell<u64>,
    claimed: bool,
    id: usize,
    dir: PhantomData<D>,
}

impl<D: Direction> Wire<D> {
    /// A wire at 0.
    pub fn new(ty: Ty) -> Self {
        Wire {
            next: Word::new(ty, 0),
            settled: 0,
            ty,
            read_in: Cell::new(0),
            claimed: false,
            id: get_signal_id(),
            dir: PhantomData,
        }
    }

    /// Its type.
    pub fn ty(&self) -> Ty {
        self.ty
    }

    /// Drives it from a test bench or a cell.
    pub fn set(&mut self, x: i128) {
        self.next = Word::new(self.ty, x);
    }

    /// Its value, of its own type.
    #[inline]
    pub fn val(&self) -> Word {
        // Half of the bits decide fast; to take a signal that was driven for one that was not costs a
        // pass and does no harm.
        if !is_input::<D>() && self.next.exact() as u64 == self.settled as u64 {
            self.read_in.set(pass::number());
        }
        Word::new(self.ty, self.next.exact())
    }

    /// Takes up what drives it; whether that is another value than before.
    #[inline]
    pub(super) fn take(&mut self) -> bool {
        let from = self.next.ty();
        assert!(
            from.width == 0 || (from.signed == self.ty.signed && from.width <= self.ty.width),
            "a wire of type {:?} is driven by {from:?}",
            self.ty
        );
        let before = self.settled;
        self.next = Word::new(self.ty, self.next.exact());
        self.settled = self.next.exact();
        self.settled != before
    }

    /// Its value as a plain integer.
    #[inline]
    pub fn get(&self) -> i128 {
        self.ty.wrap(self.next.exact())
    }
}

impl<D: Direction> Default for Wire<D> {
    fn default() -> Self {
        Wire::new(u(1))
    }
}

impl<D: Direction> Logic for Wire<D> {
    fn update(&mut self) {}
    fn connect(&mut self) {
        self.claimed = true;
    }
}

impl<D: Direction> Block for Wire<D> {
    fn connect_all(&mut self) {}
    #[inline]
    fn update_all(&mut self) {
        if self.take() {
            tell_change::<D>(self.read_in.get());
        }
    }
    /// Whether it is an input that has been driven since it was taken up.
    #[inline]
    fn has_changed(&self) -> bool {
        is_input::<D>() && self.settled != self.get()
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_atom(name, self);
    }
}

impl<D: Direction> Atom for Wire<D> {
    fn bits(&self) -> usize {
        self.ty.width as usize
    }
    fn connected(&self) -> bool {
        self.claimed
    }
    fn changed(&self) -> bool {
        self.settled != self.get()
    }
    fn kind(&self) -> AtomKind {
        D::KIND
    }
    fn descriptor(&self) -> TypeDescriptor {
        let w = self.bits();
        let (name, kind) = if self.ty.signed {
            (format!("s{w}"), TypeKind::Signed(w))
        } else {
            (format!("u{w}"), TypeKind::Bits(w))
        };
        TypeDescriptor { name, kind }
    }
    fn vcd(&self) -> VCDValue {
        let bit = |i: u32| (self.settled >> i & 1 == 1).into();
        VCDValue::Vector((0..self.ty.width).rev().map(bit).collect())
    }
    fn id(&self) -> usize {
        self.id
    }
    fn verilog(&self) -> VerilogLiteral {
        (u(self.ty.width).wrap(self.settled) as u128).into()
    }
    fn constraints(&self) -> Vec<PinConstraint> {
        vec![]
    }
}

/// A signal whose type is known to Rust: `Bit`, `Clock`, or an enum that derives `LogicState`.
#[derive(Clone, Debug)]
pub struct Signal<D: Direction, T: Synth> {
    /// What drives it.
    pub next: T,
    settled: T,
    /// The pass in which it was last read before it was driven anew.
    read_in: Cell<u64>,
    claimed: bool,
    id: usize,
    dir: PhantomData<D>,
}

impl<D: Direction, T: Synth> Signal<D, T> {
    /// Its value.
    #[inline]
    pub fn val(&self) -> T {
        if !is_input::<D>() && self.next == self.settled {
            self.read_in.set(pass::number());
        }
        self.next
    }

    /// Takes up what drives it; whether that is another value than before.
    #[inline]
    pub(super) fn take(&mut self) -> bool {
        let changed = self.settled != self.next;
        self.settled = self.next;
        changed
    }
}

impl Signal<In, Clock> {
    /// Whether this evaluation is a rising edge. A simulated clock changes once per cycle, and
    /// every change is a rising edge: nothing here acts on a falling one.
    #[inline]
    pub fn edge(&self) -> bool {
        self.next != self.settled
    }
}

impl<D: Direction, T: Synth> Default for Signal<D, T> {
    fn default() -> Self {
        Signal {
            next: T::default(),
            settled: T::default(),
            read_in: Cell::new(0),
            claimed: false,
            id: get_signal_id(),
            dir: PhantomData,
        }
    }
}

impl<D: Direction, T: Synth> Logic for Signal<D, T> {
    fn update(&mut self) {}
    fn connect(&mut self) {
        self.claimed = true;
    }
}

impl<D: Direction, T: Synth + 'static> Block for Signal<D, T> {
    fn connect_all(&mut self) {}
    #[inline]
    fn update_all(&mut self) {
        if self.take() {
            tell_change::<D>(self.read_in.get());
        }
    }
    /// Whether it is an input that has been driven since it was taken up.
    #[inline]
    fn has_changed(&self) -> bool {
        // A clock is not a reason to evaluate anything again: registers look for its edge
        // themselves, and an instance asks its unit for it.
        is_input::<D>() && TypeId::of::<T>() != TypeId::of::<Clock>() && self.settled != self.next
    }
    fn accept(&self, name: &str, probe: &mut dyn Probe) {
        probe.visit_atom(name, self);
    }
}

impl<D: Direction, T: Synth + 'static> Atom for Signal<D, T> {
    fn bits(&self) -> usize {
        T::BITS
    }
    fn connected(&self) -> bool {
        self.claimed
    }
    fn changed(&self) -> bool {
        self.settled != self.next
    }
    fn kind(&self) -> AtomKind {
        D::KIND
    }
    fn descriptor(&self) -> TypeDescriptor {
        T::descriptor()
    }
    fn vcd(&self) -> VCDValue {
        self.settled.vcd()
    }
    fn id(&self) -> usize {
        self.id
    }
    fn verilog(&self) -> VerilogLiteral {
        self.settled.verilog()
    }
    fn constraints(&self) -> Vec<PinConstraint> {
        vec![]
    }
}

/// A number fixed when the unit is built, visible to both the simulation and the back end: for
/// expressions (`self.count.val() == self.last.val().into()`) and for indices (`self.v[i *
/// self.step.val() + j]`). A plain field whose name begins with `_` is known to neither, except as
/// the bound of a loop.
#[derive(Clone, Debug)]
pub struct Const {
    x: usize,
    width: u32,
    id: usize,
}

impl Const {
    /// The constant `x`.
    pub fn new(x: usize) -> Self {
        Const { x, width: usize::BITS, id: get_signal_id() }
    }

    /// The constant `x` of `width` bits, which has its field's name in the module too, as a
    /// localparam: `self.opcode.val() == self.op_end.val()` becomes `opcode == OP_END`.
    pub fn named(width: u32, x: usize) -> Self {
        Const { width, ..Const::new(x) }
    }

    /// Its value.
    #[inline]
    pub fn val(&self) -> usize {
        self.x
    }

    /// A bare number has the bits of a literal, whatever the width of its name.
    fn literal_bits(&self) -> usize {
        64
    }
}

/// A word of ones: a constant that, unlike a [`Const`], may be as wide as a word can be.
#[derive(Clone, Debug)]
pub struct Ones {
    bits: u32,
    id: usize,
}

impl Ones {
    /// `bits` ones.
    pub fn new(bits: u32) -> Self {
        Ones { bits, id: get_signal_id() }
    }

    /// The word.
    #[inline]
    pub fn val(&self) -> Word {
        Word::new(u(self.bits), -1)
    }

    fn literal_bits(&self) -> usize {
        self.bits as usize
    }
}

impl Default for Ones {
    fn default() -> Self {
        Ones::new(1)
    }
}

/// The name by which a tree knows [`Ones`] from a [`Const`].
pub(super) const ONES: &str = "ones";

impl Default for Const {
    fn default() -> Self {
        Const::new(0)
    }
}

/// What is fixed when the unit is built: it never changes, and is an atom of the tree under `name`.
macro_rules! constant {
    ($t:ident, $name:expr, |$c:ident| $bits:expr, $vcd:expr, $verilog:expr) => {
        impl Logic for $t {
            fn update(&mut self) {}
        }

        impl Block for $t {
            fn connect_all(&mut self) {}
            fn update_all(&mut self) {}
            fn has_changed(&self) -> bool {
                false
            }
            fn accept(&self, name: &str, probe: &mut dyn Probe) {
                probe.visit_atom(name, self);
            }
        }

        impl Atom for $t {
            fn bits(&self) -> usize {
                let $c = self;
                $bits
            }
            fn connected(&self) -> bool {
                true
            }
            fn changed(&self) -> bool {
                false
            }
            fn kind(&self) -> AtomKind {
                AtomKind::Constant
            }
            fn descriptor(&self) -> TypeDescriptor {
                TypeDescriptor { name: $name.into(), kind: TypeKind::Bits(self.literal_bits()) }
            }
            fn vcd(&self) -> VCDValue {
                let $c = self;
                VCDValue::Vector($vcd)
            }
            fn id(&self) -> usize {
                self.id
            }
            fn verilog(&self) -> VerilogLiteral {
                let $c = self;
                $verilog.into()
            }
            fn constraints(&self) -> Vec<PinConstraint> {
                vec![]
            }
        }
    };
}

constant!(
    Ones,
    ONES,
    |c| c.bits as usize,
    (0..c.bits).map(|_| true.into()).collect(),
    (c.val().get() as u128)
);
constant!(
    Const,
    "const",
    |c| c.width as usize,
    (0..64).rev().map(|i| (c.x >> i & 1 == 1).into()).collect(),
    c.x
);
