//! Packs the bytes of a vector into words for the banks' byte memories.

use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};

/// Bytes of a word of byte memory.
pub fn word_bytes(shape: &ChannelShape) -> usize {
    shape.load_bits() as usize / 8
}

/// A step in per clock; a word out per step, or, when a word has more bytes than there are lanes,
/// when it is full.
#[derive(LogicBlock, Default)]
pub struct BytePacker {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// An operation begins: the next word is word 0.
    pub start: Signal<In, Bit>,
    /// A step is there.
    pub valid: Signal<In, Bit>,
    /// It ends its word; only when a word has more bytes than there are lanes.
    pub word_ends: Vec<Signal<In, Bit>>,
    /// Lanes that have an element; the bytes of the others are 0.
    pub there: Vec<Signal<In, Bit>>,
    /// The elements, of which the low 8 bits are taken.
    pub x: Vec<Wire<In>>,

    /// A word is written.
    pub we: Signal<Out, Bit>,
    /// Its address.
    pub addr: Wire<Out>,
    /// Its bytes, the first lowest.
    pub data: Wire<Out>,

    entry: Join,
    part: Vec<Reg>,
    parts: Vec<Reg>,
    full: Flop<Bit>,
    word_addr: Reg,
    word: Join,
    _lanes: usize,
    _whole: usize,
    _split: usize,
    _parts: usize,
}

impl Logic for BytePacker {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, full, word_addr);
        for p in 0..self._parts {
            self.parts[p].clock.next = self.clock.val();
            self.parts[p].d.next = self.parts[p].q.val();
        }
        for i in 0..self._split {
            self.part[i].clock.next = self.clock.val();
            self.part[i].d.next = self.part[i].q.val();
        }

        comment!("---- the bytes of the step ----");
        for l in 0..self._lanes {
            for k in 0..8 {
                self.entry.x[l * 8 + k].next =
                    (self.there[l].val() & self.x[l].val().get_bit(k)).into();
            }
        }

        comment!("---- the word ----");
        for p in 0..self._whole {
            if self.valid.val() {
                self.parts[p].d.next = self.entry.y.val();
            }
            self.full.d.next = self.valid.val();
        }
        for i in 0..self._split {
            for p in 0..self._parts {
                if self.valid.val() {
                    if self.part[i].q.val() == p {
                        self.parts[p].d.next = self.entry.y.val();
                    } else if self.part[i].q.val() == 0 {
                        self.parts[p].d.next = 0.into();
                    }
                }
            }
            if self.valid.val() {
                self.part[i].d.next = self.part[i].q.val() + 1.into();
            }
            if self.start.val() | (self.valid.val() & self.word_ends[i].val()) {
                self.part[i].d.next = 0.into();
            }
            self.full.d.next = self.valid.val() & self.word_ends[i].val();
        }
        for p in 0..self._parts {
            self.word.x[p].next = self.parts[p].q.val();
        }

        comment!("---- write ----");
        self.we.next = self.full.q.val();
        self.addr.next = self.word_addr.q.val();
        self.data.next = self.word.y.val();
        if self.full.q.val() {
            self.word_addr.d.next = self.word_addr.q.val() + 1.into();
        }
        if self.start.val() {
            self.word_addr.d.next = 0.into();
        }
    }
}

impl BytePacker {
    /// The packer of a channel's buffer unit.
    pub fn new(shape: &ChannelShape) -> Self {
        let word = word_bytes(shape);
        let lanes = (shape.lanes() as usize).min(word);
        let parts = word / lanes;
        let split = (parts > 1) as usize;
        let addr = u(index_bits(shape.bank.loaded_words()));
        let part = u(8 * lanes as u32);
        let element = s(shape.buffer.word_bits);
        BytePacker {
            word_ends: vec![Signal::default(); split],
            there: vec![Signal::default(); lanes],
            x: vec![Wire::new(element); lanes],
            addr: Wire::new(addr),
            data: Wire::new(u(shape.load_bits())),
            entry: Join::new(8 * lanes, u(1)),
            part: vec![Reg::new(u(index_bits(parts as u32))); split],
            parts: vec![Reg::data(part); parts],
            word_addr: Reg::new(addr),
            word: Join::new(parts, part),
            _lanes: lanes,
            _whole: 1 - split,
            _split: split,
            _parts: parts,
            ..BytePacker::default()
        }
    }

    /// Lanes whose elements it takes.
    pub fn lanes(&self) -> usize {
        self._lanes
    }
}

impl Unit for BytePacker {
    fn module(&self) -> String {
        let element = self.x.first().map_or(8, |x| x.ty().width);
        format!("pimc_byte_packer_l{}_w{element}_a{}", self._lanes, self.addr.ty().width)
    }

    fn contract(&self) -> Contract {
        let lanes = self._lanes;
        let (latency, throughput) = match self._split {
            0 => (
                "1 clock from a step to we_o.",
                format!("A word of up to {lanes} bytes per clock."),
            ),
            _ => ("1 clock from a word's last step to we_o.", format!("{lanes} bytes per clock.")),
        };
        Contract {
            summary:
                "Byte packer: packs a vector of bytes into words for the banks' byte memories."
                    .into(),
            layout: "Word 0 first. A word takes the low bytes of the elements that are there, the \
                     first lowest, and 0 in the others."
                .into(),
            latency: latency.into(),
            throughput,
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("start", "steps"), ("we", "words of byte memory")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
