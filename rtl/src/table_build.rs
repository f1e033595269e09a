//! Table builder: dot products of the centroids of a codebook with the input, one beat per clock.
//!
//! A beat of the codebook holds centroid j of `chunk` neighbouring sub-vectors. Beats come in the
//! order block, centroid, chunk; the builder counts along and says which word of the input goes
//! with the beat and where the products go.

use crate::hdl::prelude::*;
use crate::shape::{index_bits, LookupShape};

/// Bits of an int8.
const BYTE: u32 = 8;

/// Fills the tables of a [`crate::table_lookup::TableLookup`].
#[derive(LogicBlock)]
pub struct TableBuild {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The next beat is the codebook's first.
    pub restart: Signal<In, Bit>,
    /// A beat is on `centroids`.
    pub valid: Signal<In, Bit>,
    /// `chunk` parts of centroids, `sub` bytes each.
    pub centroids: Wire<In>,
    /// The word of the input that goes with the beat, in the same clock.
    pub byte_addr: Wire<Out>,
    /// That word, one clock later.
    pub bytes: Wire<In>,
    /// Writes the products, two clocks after the beat.
    pub we: Signal<Out, Bit>,
    /// To the tables of which chunk; only when there are several.
    pub part: Vec<Wire<Out>>,
    /// To which entry: block and centroid.
    pub addr: Wire<Out>,
    /// One product per table of the chunk.
    pub entry: Vec<Wire<Out>>,
    chunk_at: Vec<Reg>,
    last_part: Signal<Local, Bit>,
    last_centroid: Vec<Signal<Local, Bit>>,
    base: Vec<Reg>,
    entry_at: Reg,
    valid_e: Flop<Bit>,
    part_e: Vec<Reg>,
    addr_e: Reg,
    centroids_e: Reg,
    centroid: Split,
    x: Split,
    product: Vec<Wire<Local>>,
    dot: Vec<Wire<Local>>,
    valid_w: Flop<Bit>,
    part_w: Vec<Reg>,
    addr_w: Reg,
    entry_w: Vec<Reg>,
    sub: Const,
    parts: Const,
    last_part_index: Const,
    last_centroid_index: Const,
    block_step: Const,
    _shape: Option<LookupShape>,
    _many_parts: usize,
    _many_blocks: usize,
    _both: usize,
    _neither: usize,
    _block_gap: usize,
    _chunk: usize,
    _terms: usize,
    _code_bits: u32,
}

/// Width of a table entry: modular, so the bits of the proven range, but a factor must fit.
pub fn entry_bits(p: &LookupShape) -> u32 {
    p.entry_bits.max(BYTE)
}

/// Entries of a table. A block takes 2^code_bits of them, so that an address is a concatenation.
pub fn table_depth(p: &LookupShape) -> u32 {
    ((p.blocks - 1) << p.code_bits) + p.k
}

/// Bits of a table address.
pub fn addr_bits(p: &LookupShape) -> u32 {
    index_bits(table_depth(p)).max(p.code_bits)
}

impl TableBuild {
    /// The builder of a lookup unit, with an input memory of `byte_words` words.
    pub fn new(p: &LookupShape, byte_words: u32) -> Self {
        let parts = p.chunks();
        let many = (parts > 1) as usize;
        let many_blocks = (p.blocks > 1) as usize;
        let (chunk, terms) = (p.chunk as usize, (p.chunk * p.sub) as usize);
        let word = terms as u32 * BYTE;
        let entry = s(entry_bits(p));
        let (part, addr) = (u(index_bits(parts)), u(addr_bits(p)));
        let byte_addr = u(index_bits(byte_words));
        TableBuild {
            clock: Signal::default(),
            restart: Signal::default(),
            valid: Signal::default(),
            centroids: Wire::new(u(word)),
            byte_addr: Wire::new(byte_addr),
            bytes: Wire::new(u(word)),
            we: Signal::default(),
            part: vec![Wire::new(part); many],
            addr: Wire::new(addr),
            entry: vec![Wire::new(entry); chunk],
            chunk_at: vec![Reg::new(part); many],
            last_part: Signal::default(),
            last_centroid: vec![Signal::default(); many_blocks],
            base: vec![Reg::new(byte_addr); many_blocks],
            entry_at: Reg::new(addr),
            valid_e: Flop::default(),
            part_e: vec![Reg::data(part); many],
            addr_e: Reg::data(addr),
            centroids_e: Reg::data(u(word)),
            centroid: Split::signed(terms, BYTE),
            x: Split::signed(terms, BYTE),
            product: vec![Wire::new(s(entry.width.min(2 * BYTE))); terms],
            dot: vec![Wire::new(entry); chunk],
            valid_w: Flop::default(),
            part_w: vec![Reg::data(part); many],
            addr_w: Reg::data(addr),
            entry_w: vec![Reg::data(entry); chunk],
            sub: Const::new(p.sub as usize),
            parts: Const::new(parts as usize),
            last_part_index: Const::new(parts as usize - 1),
            last_centroid_index: Const::new(p.k as usize - 1),
            block_step: Const::new((1 << p.code_bits) - (p.k as usize - 1)),
            _shape: Some(*p),
            _many_parts: many,
            _many_blocks: many_blocks,
            _both: many * many_blocks,
            _neither: (1 - many) * (1 - many_blocks),
            _block_gap: (p.blocks > 1 && p.k < 1 << p.code_bits) as usize,
            _chunk: chunk,
            _terms: terms,
            _code_bits: p.code_bits,
        }
    }
}

impl Logic for TableBuild {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, entry_at, valid_e, addr_e, centroids_e, valid_w, addr_w);
        comment!("---- position: chunk, centroid, block ----");
        self.last_part.next = true;
        for i in 0..self._many_parts {
            self.chunk_at[i].clock.next = self.clock.val();
            self.chunk_at[i].d.next = self.chunk_at[i].q.val();
            self.last_part.next = self.chunk_at[i].q.val() == self.last_part_index.val();
            self.byte_addr.next = self.chunk_at[i].q.val();
            if self.valid.val() {
                self.chunk_at[i].d.next = self.chunk_at[i].q.val() + 1.into();
                if self.last_part.val() {
                    self.chunk_at[i].d.next = 0.into();
                }
            }
            if self.restart.val() {
                self.chunk_at[i].d.next = 0.into();
            }
        }
        if self.valid.val() & self.last_part.val() {
            self.entry_at.d.next = self.entry_at.q.val() + 1.into();
        }
        for i in 0..self._many_blocks {
            self.base[i].clock.next = self.clock.val();
            self.base[i].d.next = self.base[i].q.val();
            self.last_centroid[i].next =
                bit_cast(self.entry_at.q.val(), self._code_bits) == self.last_centroid_index.val();
            if self.valid.val() & self.last_part.val() & self.last_centroid[i].val() {
                self.base[i].d.next = self.base[i].q.val() + self.parts.val().into();
                for _j in 0..self._block_gap {
                    self.entry_at.d.next = self.entry_at.q.val() + self.block_step.val().into();
                }
            }
            if self.restart.val() {
                self.base[i].d.next = 0.into();
            }
            self.byte_addr.next = self.base[i].q.val();
        }
        if self.restart.val() {
            self.entry_at.d.next = 0.into();
        }
        for i in 0..self._both {
            self.byte_addr.next = self.base[i].q.val() + self.chunk_at[i].q.val();
        }
        for _i in 0..self._neither {
            self.byte_addr.next = 0.into();
        }

        comment!("---- multiply: the beat and its word of the input ----");
        self.valid_e.d.next = self.valid.val();
        self.addr_e.d.next = self.entry_at.q.val();
        self.centroids_e.d.next = self.centroids.val();
        for i in 0..self._many_parts {
            self.part_e[i].clock.next = self.clock.val();
            self.part_e[i].d.next = self.chunk_at[i].q.val();
        }
        self.centroid.x.next = self.centroids_e.q.val();
        self.x.x.next = self.bytes.val();
        for i in 0..self._terms {
            self.product[i].next = self.centroid.y[i].val() * self.x.y[i].val();
        }
        for c in 0..self._chunk {
            self.dot[c].next = 0.into();
            for j in 0..self.sub.val() {
                self.dot[c].next = self.dot[c].val() + self.product[c * self.sub.val() + j].val();
            }
        }

        comment!("---- write ----");
        self.valid_w.d.next = self.valid_e.q.val();
        self.addr_w.d.next = self.addr_e.q.val();
        for i in 0..self._many_parts {
            self.part_w[i].clock.next = self.clock.val();
            self.part_w[i].d.next = self.part_e[i].q.val();
            self.part[i].next = self.part_w[i].q.val();
        }
        for c in 0..self._chunk {
            self.entry_w[c].clock.next = self.clock.val();
            self.entry_w[c].d.next = self.dot[c].val();
            self.entry[c].next = self.entry_w[c].q.val();
        }
        self.we.next = self.valid_w.q.val();
        self.addr.next = self.addr_w.q.val();
    }
}

/// `k16_s2_l16_c4_b32`: the numbers of a lookup shape.
pub(crate) fn name_of(p: &LookupShape) -> String {
    format!("k{}_s{}_l{}_c{}_b{}", p.k, p.sub, p.lanes, p.chunk, p.blocks)
}

impl Unit for TableBuild {
    fn module(&self) -> String {
        let shape = self._shape.as_ref().map(name_of).unwrap_or_default();
        let (entry, bytes) = (self.entry[0].ty().width, self.byte_addr.ty().width);
        format!("pimc_table_build_{shape}_e{entry}_x{bytes}")
    }

    fn contract(&self) -> Contract {
        let p = self._shape.unwrap_or_else(|| unreachable!("made by new"));
        Contract {
            summary: format!(
                "Table builder: {} int8 dot products of length {} per clock, one entry for each of {} \
                 tables.",
                p.chunk, p.sub, p.chunk
            ),
            formula: "entry[c] = sum over j of centroid[c][j] * x[c][j].".into(),
            latency: "2 clocks from centroids_i to we_o.".into(),
            throughput: "A beat every clock.".into(),
            layout: format!(
                "Beats come in the order block of {} sub-vectors, centroid (of {}), chunk (of {}). A \
                 beat holds {} centroids of {} bytes, the lowest first, and so does a word of the \
                 input. addr_o is block * {} + centroid; part_o says which {} tables are written.",
                p.lanes,
                p.k,
                p.chunks(),
                p.chunk,
                p.sub,
                1u32 << p.code_bits,
                p.chunk
            ),
            preconditions: format!(
                "bytes_i is the word at byte_addr_o one clock later. A product sum fits {} bits: \
                 proven from the codebook and the range of the inputs.",
                self.entry[0].ty().width
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("restart", "codebook beat"),
            ("byte_addr", "input memory, read in the next clock"),
            ("we", "table write"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
