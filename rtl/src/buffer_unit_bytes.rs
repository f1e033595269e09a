//! Packs the bytes of a vector into words for the banks' byte memories.

use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};

/// Bytes of a word of byte memory.
pub const WORD_BYTES: usize = 8;

/// One byte in per clock; a word out when it is full and when its block ends. Zeros fill up the last
/// block, so that no word of a block is ever read unwritten.
#[derive(LogicBlock, Default)]
pub struct BytePacker {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// An operation begins: the next word is word 0.
    pub start: Signal<In, Bit>,
    /// Bytes that a word takes, 1 to 8; held during the operation.
    pub word_bytes: Wire<In>,
    /// Bytes that a block of words takes; held during the operation.
    pub block_bytes: Wire<In>,
    /// A byte is there.
    pub valid: Signal<In, Bit>,
    /// It is the last one: zeros fill its block.
    pub last: Signal<In, Bit>,
    /// The byte.
    pub x: Wire<In>,

    /// A word is written.
    pub we: Signal<Out, Bit>,
    /// Its address.
    pub addr: Wire<Out>,
    /// Its bytes, the first lowest.
    pub data: Wire<Out>,

    filling: Flop<Bit>,
    shift: Signal<Local, Bit>,
    entry: Wire<Local>,
    in_word: Reg,
    in_block: Reg,
    word_ends: Signal<Local, Bit>,
    block_ends: Signal<Local, Bit>,
    bytes: Vec<Reg>,
    full: Flop<Bit>,
    word_addr: Reg,
    word: Join,
    _bytes: usize,
}

impl Logic for BytePacker {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, filling, in_word, in_block, full, word_addr);
        for i in 0..self._bytes {
            self.bytes[i].clock.next = self.clock.val();
            self.bytes[i].d.next = self.bytes[i].q.val();
        }

        comment!("---- where a word and a block end; zeros fill up the last block ----");
        self.shift.next = self.valid.val() | self.filling.q.val();
        self.block_ends.next = self.in_block.q.val() + 1.into() == self.block_bytes.val();
        self.word_ends.next =
            (self.in_word.q.val() + 1.into() == self.word_bytes.val()) | self.block_ends.val();
        if self.valid.val() & self.last.val() {
            self.filling.d.next = true;
        }
        if self.shift.val() {
            self.in_word.d.next = self.in_word.q.val() + 1.into();
            self.in_block.d.next = self.in_block.q.val() + 1.into();
            if self.word_ends.val() {
                self.in_word.d.next = 0.into();
            }
            if self.block_ends.val() {
                self.in_block.d.next = 0.into();
                self.filling.d.next = false;
            }
        }
        if self.start.val() {
            self.in_word.d.next = 0.into();
            self.in_block.d.next = 0.into();
        }

        comment!("---- the word: its first byte clears the others ----");
        self.entry.next = 0.into();
        if self.valid.val() {
            self.entry.next = self.x.val();
        }
        for i in 0..self._bytes {
            if self.shift.val() {
                if self.in_word.q.val() == i {
                    self.bytes[i].d.next = self.entry.val();
                } else if self.in_word.q.val() == 0 {
                    self.bytes[i].d.next = 0.into();
                }
            }
            self.word.x[i].next = self.bytes[i].q.val();
        }
        self.data.next = self.word.y.val();

        comment!("---- write ----");
        self.full.d.next = self.shift.val() & self.word_ends.val();
        self.we.next = self.full.q.val();
        self.addr.next = self.word_addr.q.val();
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
        let count = u(shape.isa.addr_bits);
        let addr = u(index_bits(shape.bank.byte_words));
        BytePacker {
            word_bytes: Wire::new(count),
            block_bytes: Wire::new(count),
            x: Wire::new(u(8)),
            addr: Wire::new(addr),
            data: Wire::new(u(64)),
            entry: Wire::new(u(8)),
            in_word: Reg::new(u(index_bits(WORD_BYTES as u32))),
            in_block: Reg::new(count),
            bytes: vec![Reg::data(u(8)); WORD_BYTES],
            word_addr: Reg::new(addr),
            word: Join::new(WORD_BYTES, u(8)),
            _bytes: WORD_BYTES,
            ..BytePacker::default()
        }
    }
}

impl Unit for BytePacker {
    fn module(&self) -> String {
        let (count, addr) = (self.word_bytes.ty().width, self.addr.ty().width);
        format!("pimc_byte_packer_c{count}_a{addr}")
    }

    fn contract(&self) -> Contract {
        Contract {
            summary: "Byte packer: packs a vector of bytes into words for the banks' byte memories."
                .into(),
            layout: "Word 0 first. A word takes word_bytes_i bytes, the first lowest, and 0 in the \
                     others; it ends early where a block of block_bytes_i bytes ends. Zeros fill up \
                     the last block."
                .into(),
            latency: "1 clock from the last byte of a word to we_o.".into(),
            throughput: "One byte per clock.".into(),
            preconditions: "word_bytes_i is 1 to 8, block_bytes_i at least 1; both are held from \
                            start_i to the last word."
                .into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("start", "bytes, one by one"), ("we", "words of byte memory")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
