//! Lookup unit: a table builder and the tables it fills, for one shape of codebook.
//!
//! Its ports have the widths of the bank unit, the same for every shape.

use crate::hdl::prelude::*;
use crate::lookup_word::LookupWord;
use crate::shape::{index_bits, LookupShape, WORD_BITS};
use crate::table_build::{name_of, TableBuild};
use crate::table_lookup::TableLookup;

/// Widths that the units of a bank share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupPorts {
    /// Bits of a beat.
    pub beat_bits: u32,
    /// Bits of a beat's number in its matrix row.
    pub step_bits: u32,
    /// Words of the input memory.
    pub byte_words: u32,
    /// Bits of a word of the input memory.
    pub byte_bits: u32,
    /// Bits of the sum.
    pub sum_bits: u32,
}

/// Product-quantized weights: builds tables from a codebook, then looks codes up.
#[derive(LogicBlock)]
pub struct LookupUnit {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The next beat of a codebook is the first.
    pub restart: Signal<In, Bit>,
    /// The beat is of a codebook.
    pub build_valid: Signal<In, Bit>,
    /// The beat is of codes.
    pub lookup_valid: Signal<In, Bit>,
    /// The beat is the first of a matrix row.
    pub first: Signal<In, Bit>,
    /// The beat's number in its matrix row.
    pub step: Wire<In>,
    /// The beat.
    pub word: Wire<In>,
    /// The word of the input that goes with a beat of a codebook.
    pub byte_addr: Wire<Out>,
    /// That word, one clock later.
    pub bytes: Wire<In>,
    /// Sum of the matrix row so far, two clocks after its beat.
    pub sum: Wire<Out>,
    beat: Vec<Split>,
    part: Vec<Inst<LookupWord>>,
    centroids: Vec<Join>,
    codes: Vec<Join>,
    build: Inst<TableBuild>,
    lookup: Inst<TableLookup>,
    unused_word: Vec<Unused>,
    unused_bytes: Vec<Unused>,
    unused_step: Vec<Unused>,
    _shape: LookupShape,
    _centroid_bits: u32,
    _codes_bits: u32,
    _block_bits: u32,
    _chunk: usize,
    _words: usize,
    _one_word: usize,
    _many_words: usize,
    _many_parts: usize,
    _many_blocks: usize,
    _spare_word: usize,
    _spare_bytes: usize,
    _spare_step: usize,
}

impl LookupUnit {
    /// The unit of a shape behind a bank's ports.
    pub fn new(p: &LookupShape, ports: &LookupPorts) -> Self {
        let centroid_bits = p.chunk * p.sub * 8;
        let codes_bits = p.lanes * p.code_bits;
        // Words of a beat are self-contained; with several, each says what of it is not used.
        let words = ports.beat_bits.div_ceil(WORD_BITS);
        let many = (words > 1) as usize;
        let word_bits = if many > 0 { ports.beat_bits } else { centroid_bits.max(codes_bits) };
        let block_bits = if p.blocks > 1 { index_bits(p.blocks) } else { 0 };
        let unused_word = Unused::above(u(ports.beat_bits), word_bits);
        let part = || Inst::new(LookupWord::new(centroid_bits / words, codes_bits / words));
        let join = |bits: u32| vec![Join::new(words as usize, u(bits / words)); many];
        let unused_bytes = Unused::above(u(ports.byte_bits), centroid_bits);
        let unused_step = Unused::above(u(ports.step_bits), block_bits);
        LookupUnit {
            clock: Signal::default(),
            restart: Signal::default(),
            build_valid: Signal::default(),
            lookup_valid: Signal::default(),
            first: Signal::default(),
            step: Wire::new(u(ports.step_bits)),
            word: Wire::new(u(ports.beat_bits)),
            byte_addr: Wire::new(u(index_bits(ports.byte_words))),
            bytes: Wire::new(u(ports.byte_bits)),
            sum: Wire::new(s(ports.sum_bits)),
            beat: vec![Split::new(words as usize, WORD_BITS); many],
            part: std::iter::repeat_with(part).take(many * words as usize).collect(),
            centroids: join(centroid_bits),
            codes: join(codes_bits),
            build: Inst::new(TableBuild::new(p, ports.byte_words)),
            lookup: Inst::new(TableLookup::new(p)),
            _spare_word: unused_word.len(),
            _spare_bytes: unused_bytes.len(),
            _spare_step: unused_step.len(),
            unused_word,
            unused_bytes,
            unused_step,
            _shape: *p,
            _centroid_bits: centroid_bits,
            _codes_bits: codes_bits,
            _block_bits: block_bits,
            _chunk: p.chunk as usize,
            _words: words as usize,
            _one_word: 1 - many,
            _many_words: many,
            _many_parts: (p.chunks() > 1) as usize,
            _many_blocks: (p.blocks > 1) as usize,
        }
    }
}

impl Logic for LookupUnit {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self._many_words {
            comment!("---- every word of the beat has its own centroids or codes ----");
            self.beat[i].x.next = self.word.val();
            for w in 0..self._words {
                self.part[w].word.next = self.beat[i].y[w].val();
            }
            for w in 0..self._words {
                self.centroids[i].x[w].next = self.part[w].centroids.val();
                self.codes[i].x[w].next = self.part[w].codes.val();
            }
        }

        comment!("---- codebook beats: build the tables ----");
        self.build.clock.next = self.clock.val();
        self.build.restart.next = self.restart.val();
        self.build.valid.next = self.build_valid.val();
        for _i in 0..self._one_word {
            self.build.centroids.next = bit_cast(self.word.val(), self._centroid_bits);
        }
        for i in 0..self._many_words {
            self.build.centroids.next = self.centroids[i].y.val();
        }
        self.build.bytes.next = bit_cast(self.bytes.val(), self._centroid_bits);
        self.byte_addr.next = self.build.byte_addr.val();

        comment!("---- code beats: look up and add ----");
        self.lookup.clock.next = self.clock.val();
        self.lookup.we.next = self.build.we.val();
        self.lookup.waddr.next = self.build.addr.val();
        for i in 0..self._many_parts {
            self.lookup.part[i].next = self.build.part[i].val();
        }
        for c in 0..self._chunk {
            self.lookup.entry[c].next = self.build.entry[c].val();
        }
        self.lookup.valid.next = self.lookup_valid.val();
        self.lookup.first.next = self.first.val();
        for _i in 0..self._one_word {
            self.lookup.codes.next = bit_cast(self.word.val(), self._codes_bits);
        }
        for i in 0..self._many_words {
            self.lookup.codes.next = self.codes[i].y.val();
        }
        for i in 0..self._many_blocks {
            self.lookup.block[i].next = bit_cast(self.step.val(), self._block_bits);
        }
        self.sum.next = self.lookup.sum.val();

        for i in 0..self._spare_word {
            self.unused_word[i].x.next = self.word.val();
        }
        for i in 0..self._spare_bytes {
            self.unused_bytes[i].x.next = self.bytes.val();
        }
        for i in 0..self._spare_step {
            self.unused_step[i].x.next = self.step.val();
        }
    }
}

impl Unit for LookupUnit {
    fn module(&self) -> String {
        let e = crate::table_build::entry_bits(&self._shape);
        format!("pimc_lookup_unit_{}_e{e}_a{}", name_of(&self._shape), self._shape.acc_bits)
    }

    fn contract(&self) -> Contract {
        let p = &self._shape;
        Contract {
            summary: format!(
                "Lookup unit for product-quantized weights: codebooks of {} centroids of {} bytes, {} \
                 lookups per clock.",
                p.k, p.sub, p.lanes
            ),
            formula: "sum += sum over lanes of centroid[code] . x, by way of tables of the products."
                .into(),
            latency: "2 clocks from word_i to sum_o, or to the entries of the tables.".into(),
            throughput: "A beat every clock.".into(),
            layout: format!(
                "Tables for {} blocks of {} sub-vectors; step_i is the block. Bits of word_i and \
                 bytes_i above those used are ignored.",
                p.blocks, p.lanes
            ),
            preconditions: "A codebook is complete, and one clock has passed, before its first codes."
                .into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("restart", "column beat"),
            ("byte_addr", "input memory, read in the next clock"),
            ("sum", "sum of the matrix row so far"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
