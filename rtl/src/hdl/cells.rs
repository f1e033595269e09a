//! Library cells: the leaves that are not kernels. Each knows how to simulate itself; how it is
//! printed is the back end's business, which recognises it by [`Cell`].
//!
//! They are what a simulation spends its time in, so they evaluate no more than they must: a
//! register and a memory look at their inputs at an edge only, and no cell's input is a reason to
//! evaluate its unit again.

use super::pass;
use super::tree::{cell, Cell};
use super::wire::{Signal, Wire};
use super::word::{u, Ty};
use crate::shape::index_bits;
use rust_hdl_core::prelude::*;

/// How a cell is a block: it is evaluated by a function of its own and shows its ports. No input of
/// a cell is a reason to evaluate the unit that it is in.
macro_rules! cell_block {
    ([$($generic:tt)*] $cell:ty, ports: $($port:ident)+, $evaluate:expr) => {
        impl<$($generic)*> Block for $cell {
            fn connect_all(&mut self) {
                self.connect();
            }
            #[inline]
            fn update_all(&mut self) {
                $evaluate(self);
            }
            #[inline]
            fn has_changed(&self) -> bool {
                false
            }
            fn accept(&self, name: &str, probe: &mut dyn Probe) {
                probe.visit_start_scope(name, self);
                $(self.$port.accept(stringify!($port), probe);)+
                probe.visit_end_scope(name, self);
            }
        }
    };
}

/// The output of a register or a memory has changed, or not, at an edge.
#[inline]
fn tell_state(changed: bool) {
    if changed {
        pass::state();
        pass::again();
    }
}

/// A register of run-time type. One of control is 0 after reset; one of data is not reset, and is
/// written before anybody looks at it. (The simulation begins with 0 in both.)
#[derive(Clone, Debug, Default)]
pub struct Reg {
    /// Next value.
    pub d: Wire<In>,
    /// Value.
    pub q: Wire<Out>,
    /// Clock.
    pub clock: Signal<In, Clock>,
    _data: bool,
}

impl Reg {
    /// A register that is reset to 0.
    pub fn new(ty: Ty) -> Self {
        Reg { d: Wire::new(ty), q: Wire::new(ty), clock: Signal::default(), _data: false }
    }

    /// A register of data: not reset.
    pub fn data(ty: Ty) -> Self {
        Reg { _data: true, ..Reg::new(ty) }
    }

    #[inline]
    fn at_edge(&mut self) {
        if self.clock.edge() {
            self.d.update_all();
            self.update();
            self.clock.update_all();
            tell_state(self.q.take());
        }
    }
}

cell_block!([] Reg, ports: d q clock, Reg::at_edge);

impl Logic for Reg {
    #[inline]
    fn update(&mut self) {
        self.q.next = self.d.val();
    }
    fn connect(&mut self) {
        self.q.connect();
    }
    fn hdl(&self) -> Verilog {
        cell(&Cell::Register { reset: !self._data })
    }
}

/// A register of a Rust type: `Flop<Bit>`, or a state machine's `Flop<State>`, which is in its
/// first state after reset.
#[derive(Clone, Debug, Default)]
pub struct Flop<T: Synth + 'static> {
    /// Next value.
    pub d: Signal<In, T>,
    /// Value.
    pub q: Signal<Out, T>,
    /// Clock.
    pub clock: Signal<In, Clock>,
}

impl<T: Synth + 'static> Flop<T> {
    #[inline]
    fn at_edge(&mut self) {
        if self.clock.edge() {
            self.d.update_all();
            self.update();
            self.clock.update_all();
            tell_state(self.q.take());
        }
    }
}

cell_block!([T: Synth + 'static] Flop<T>, ports: d q clock, Flop::at_edge);

impl<T: Synth + 'static> Logic for Flop<T> {
    #[inline]
    fn update(&mut self) {
        self.q.next = self.d.val();
    }
    fn connect(&mut self) {
        self.q.connect();
    }
    fn hdl(&self) -> Verilog {
        cell(&Cell::Register { reset: true })
    }
}

/// One-write one-read synchronous memory of run-time shape; not reset. A read returns, one clock
/// after its address, the word from before a write in the same clock. An address beyond the depth
/// reads 0 and writes nothing in simulation, and must not be used.
#[derive(Clone, Debug, Default)]
pub struct Ram {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Writes in this clock.
    pub we: Signal<In, Bit>,
    /// Where to.
    pub waddr: Wire<In>,
    /// What.
    pub wdata: Wire<In>,
    /// Address read.
    pub raddr: Wire<In>,
    /// The word, one clock later.
    pub rdata: Wire<Out>,
    _words: Vec<i128>,
}

impl Ram {
    /// A memory of `2^addr_bits` words.
    pub fn new(addr_bits: u32, data: Ty) -> Self {
        Ram::with_depth(1 << addr_bits, addr_bits, data)
    }

    /// A memory of `depth` words.
    pub fn with_depth(depth: usize, addr_bits: u32, data: Ty) -> Self {
        Ram {
            waddr: Wire::new(u(addr_bits)),
            wdata: Wire::new(data),
            raddr: Wire::new(u(addr_bits)),
            rdata: Wire::new(data),
            _words: vec![0; depth],
            ..Ram::default()
        }
    }

    /// Fills it from word 0.
    pub fn load(&mut self, words: impl IntoIterator<Item = i128>) {
        for (m, x) in self._words.iter_mut().zip(words) {
            *m = x;
        }
    }

    /// Its words.
    pub fn words(&self) -> &[i128] {
        &self._words
    }

    #[inline]
    fn at_edge(&mut self) {
        if self.clock.edge() {
            self.we.update_all();
            self.waddr.update_all();
            self.wdata.update_all();
            self.raddr.update_all();
            self.update();
            self.clock.update_all();
            tell_state(self.rdata.take());
        }
    }
}

cell_block!([] Ram, ports: clock we waddr wdata raddr rdata, Ram::at_edge);

impl Logic for Ram {
    fn update(&mut self) {
        let word = self._words.get(self.raddr.val().index());
        self.rdata.set(word.copied().unwrap_or(0));
        if self.we.val() {
            let (at, x) = (self.waddr.val().index(), self.wdata.get());
            if let Some(word) = self._words.get_mut(at).filter(|word| **word != x) {
                *word = x;
                pass::state();
            }
        }
    }
    fn connect(&mut self) {
        self.rdata.connect();
    }
    fn hdl(&self) -> Verilog {
        cell(&Cell::Ram { depth: self._words.len() })
    }
}

/// Count of ones: y = number of set bits of x.
#[derive(Clone, Debug, Default)]
pub struct Popcount {
    /// The bits.
    pub x: Wire<In>,
    /// Their count.
    pub y: Wire<Out>,
}

impl Popcount {
    /// Of a word of `width` bits; the count has just the bits to hold `width`.
    pub fn new(width: u32) -> Self {
        Popcount { x: Wire::new(u(width)), y: Wire::new(u(32 - width.leading_zeros())) }
    }

    /// Of a word of `width` bits; the count is of type `count`, and wraps if that is too small.
    pub fn modular(width: u32, count: Ty) -> Self {
        Popcount { x: Wire::new(u(width)), y: Wire::new(count) }
    }

    #[inline]
    fn follow(&mut self) {
        if self.x.has_changed() {
            self.x.update_all();
            self.update();
            if self.y.take() {
                pass::again();
            }
        }
    }
}

cell_block!([] Popcount, ports: x y, Popcount::follow);

impl Logic for Popcount {
    fn update(&mut self) {
        self.y.set(self.x.get().count_ones() as i128);
    }
    fn connect(&mut self) {
        self.y.connect();
    }
    fn hdl(&self) -> Verilog {
        cell(&Cell::Popcount)
    }
}

/// A table of constants: y = word x, and 0 beyond the last one.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Which word.
    pub x: Wire<In>,
    /// It, in the same clock.
    pub y: Wire<Out>,
    _words: Vec<u64>,
}

impl Table {
    /// Of these unsigned words of `width` bits.
    pub fn new(words: &[u64], width: u32) -> Self {
        Table {
            x: Wire::new(u(index_bits(words.len() as u32))),
            y: Wire::new(u(width)),
            _words: words.to_vec(),
        }
    }

    #[inline]
    fn follow(&mut self) {
        // Its output is not 0 at the start, when no input has changed.
        if self.x.has_changed() || self.y.get() != self.word() {
            self.x.update_all();
            self.update();
            if self.y.take() {
                pass::again();
            }
        }
    }

    fn word(&self) -> i128 {
        self._words.get(self.x.val().index()).copied().unwrap_or(0).into()
    }
}

cell_block!([] Table, ports: x y, Table::follow);

impl Logic for Table {
    fn update(&mut self) {
        let word = self.word();
        self.y.set(word);
    }
    fn connect(&mut self) {
        self.y.connect();
    }
    fn hdl(&self) -> Verilog {
        cell(&Cell::Table { words: self._words.clone() })
    }
}

/// A word seen as parts, the lowest first. Costs nothing: both sides are the same net.
#[derive(Clone, Debug, Default)]
pub struct Split {
    /// The word.
    pub x: Wire<In>,
    /// Its parts.
    pub y: Vec<Wire<Out>>,
}

impl Split {
    /// `count` unsigned parts of `width` bits; the word is as wide as they are together.
    pub fn new(count: usize, width: u32) -> Self {
        Split { x: Wire::new(u(count as u32 * width)), y: vec![Wire::new(u(width)); count] }
    }

    /// `count` signed parts of `width` bits.
    pub fn signed(count: usize, width: u32) -> Self {
        let part = Wire::new(Ty { width, signed: true });
        Split { x: Wire::new(u(count as u32 * width)), y: vec![part; count] }
    }

    #[inline]
    fn follow(&mut self) {
        if self.x.has_changed() {
            self.x.update_all();
            self.update();
            if self.y.iter_mut().fold(false, |any, y| y.take() | any) {
                pass::again();
            }
        }
    }
}

cell_block!([] Split, ports: x y, Split::follow);

impl Logic for Split {
    fn update(&mut self) {
        let mut x = self.x.get();
        for y in &mut self.y {
            y.set(x);
            x >>= y.ty().width;
        }
    }
    fn connect(&mut self) {
        for y in &mut self.y {
            y.connect();
        }
    }
    fn hdl(&self) -> Verilog {
        cell(&Cell::Split)
    }
}

/// Parts joined to a word, the lowest first. Costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Join {
    /// The parts.
    pub x: Vec<Wire<In>>,
    /// The word.
    pub y: Wire<Out>,
}

impl Join {
    /// `count` parts of type `part`.
    pub fn new(count: usize, part: Ty) -> Self {
        Join { x: vec![Wire::new(part); count], y: Wire::new(u(count as u32 * part.width)) }
    }

    #[inline]
    fn follow(&mut self) {
        if self.x.has_changed() {
            self.x.update_all();
            self.update();
            if self.y.take() {
                pass::again();
            }
        }
    }
}

cell_block!([] Join, ports: x y, Join::follow);

impl Logic for Join {
    fn update(&mut self) {
        let word = self.x.iter().rev().fold(0, |word, x| {
            let width = x.ty().width;
            word << width | u(width).wrap(x.get())
        });
        self.y.set(word);
    }
    fn connect(&mut self) {
        self.y.connect();
    }
    fn hdl(&self) -> Verilog {
        cell(&Cell::Join)
    }
}

/// The bits of a word above those that are used, said out loud so that lint knows. Costs nothing. By
/// the convention of the lint tools its field is named `unused_...`; a part is taken of a signal only.
#[derive(Clone, Debug, Default, LogicBlock)]
pub struct Unused {
    /// The word.
    pub x: Wire<In>,
    _used: u32,
}

impl Unused {
    /// All bits of a word of `width` bits.
    pub fn new(width: u32) -> Self {
        Unused { x: Wire::new(u(width)), _used: 0 }
    }

    /// The bits of a word of type `ty` from bit `used` up; nothing when all are used.
    pub fn above(ty: Ty, used: u32) -> Vec<Unused> {
        let there = (used < ty.width) as usize;
        vec![Unused { x: Wire::new(ty), _used: used }; there]
    }
}

impl Logic for Unused {
    fn update(&mut self) {}
    fn hdl(&self) -> Verilog {
        cell(&Cell::Unused { used: self._used })
    }
}
