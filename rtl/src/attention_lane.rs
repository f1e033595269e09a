//! Attention lane: one code of a beat, with the table that it looks up and the buckets that it
//! fills.
//!
//! A word of a slice's table holds the products of the `chunk` centroids of a beat of the codebook
//! with every row; the buckets of those centroids lie at the same address, a memory to each.

use crate::attention::{AttentionShape, PROB_BITS};
use crate::hdl::prelude::*;
use crate::shape::{choice_bits, ChannelShape};
use crate::wide_ram::WideRam;

/// Tables and buckets of a lane. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct AttentionLane {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The lane's code of the beat.
    pub code: Wire<In>,
    /// The beat's slice; only when there are two or more.
    pub slice: Vec<Wire<In>>,

    /// Writes `entry` to the table and clears the buckets of that word.
    pub build: Signal<In, Bit>,
    /// The word.
    pub build_at: Wire<In>,
    /// Products of the word's centroids, of the first one with all rows, and so on.
    pub entry: Vec<Wire<In>>,
    /// The products of the code's centroid, two clocks behind the code.
    pub part: Vec<Wire<Out>>,

    /// The beat before, now on its second clock, adds `prob` to the buckets of its code.
    pub add: Signal<In, Bit>,
    /// The weight of every row.
    pub prob: Vec<Wire<In>>,
    /// Reads the buckets of a word instead of those of a code.
    pub read: Signal<In, Bit>,
    /// The word.
    pub read_at: Wire<In>,
    /// Its buckets, one clock later, as in `entry`.
    pub bucket: Vec<Wire<Out>>,

    code_word: Vec<Wire<Local>>,
    address: Wire<Local>,
    base: Vec<Wire<Local>>,
    unused_code: Vec<Unused>,
    select: Vec<Reg>,
    table: Inst<WideRam>,
    found: Vec<Wire<Local>>,
    looked_up: Vec<Reg>,
    address_e: Reg,
    bucket_raddr: Wire<Local>,
    bucket_waddr: Wire<Local>,
    buckets: Vec<Inst<WideRam>>,
    same: Signal<Local, Bit>,
    old: Vec<Wire<Local>>,
    sum: Vec<Wire<Local>>,
    added: Flop<Bit>,
    added_at: Reg,
    added_to: Vec<Reg>,
    added_sum: Vec<Reg>,
    hit: Vec<Signal<Local, Bit>>,
    chunk_bits: Const,
    word_bits: Const,
    rows: Const,
    _chunk: usize,
    _rows: usize,
    _parted: usize,
    _whole: usize,
    _words_alone: usize,
    _slices_alone: usize,
    _both: usize,
    _neither: usize,
    _one_entry: usize,
    _many_entries: usize,
    _spare_code: usize,
    _word_bits: u32,
    _select_bits: u32,
    _slices: u32,
    _depth: u32,
}

impl Logic for AttentionLane {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, address_e, added, added_at);

        comment!("---- the code: a word of the memories, and a centroid of it ----");
        for i in 0..self._parted {
            self.code_word[i].next =
                bit_cast(self.code.val() >> self.chunk_bits.val(), self._word_bits);
        }
        for i in 0..self._whole {
            self.code_word[i].next = self.code.val();
        }
        for _i in 0..self._neither {
            self.address.next = 0.into();
        }
        for i in 0..self._words_alone {
            self.address.next = self.code_word[i].val();
        }
        for i in 0..self._slices_alone {
            self.address.next = self.slice[i].val();
        }
        for i in 0..self._both {
            self.base[i].next = self.slice[i].val() << self.word_bits.val();
            self.address.next = self.base[i].val() | self.code_word[i].val();
        }
        self.address_e.d.next = self.address.val();
        for i in 0..self._many_entries {
            self.select[i].clock.next = self.clock.val();
            self.select[i].d.next = bit_cast(self.code.val(), self._select_bits);
        }
        for i in 0..self._spare_code {
            self.unused_code[i].x.next = self.code.val();
        }

        comment!("---- table: written with a codebook, looked up with codes ----");
        self.table.clock.next = self.clock.val();
        self.table.we.next = self.build.val();
        self.table.waddr.next = self.build_at.val();
        self.table.raddr.next = self.address.val();
        for c in 0..self._chunk {
            for r in 0..self._rows {
                self.table.wdata[c * self.rows.val() + r].next =
                    self.entry[c * self.rows.val() + r].val();
            }
        }
        for _i in 0..self._one_entry {
            for r in 0..self._rows {
                self.found[r].next = self.table.rdata[r].val();
            }
        }
        for i in 0..self._many_entries {
            for r in 0..self._rows {
                self.found[r].next =
                    self.table.rdata[self.select[i].q.val().index() * self.rows.val() + r].val();
            }
        }
        for r in 0..self._rows {
            self.looked_up[r].clock.next = self.clock.val();
            self.looked_up[r].d.next = self.found[r].val();
            self.part[r].next = self.looked_up[r].q.val();
        }

        comment!("---- buckets: read, add, write; cleared where a table is written ----");
        self.bucket_raddr.next = self.address.val();
        if self.read.val() {
            self.bucket_raddr.next = self.read_at.val();
        }
        self.bucket_waddr.next = self.address_e.q.val();
        if self.build.val() {
            self.bucket_waddr.next = self.build_at.val();
        }
        for c in 0..self._one_entry {
            self.hit[c].next = self.build.val() | self.add.val();
        }
        for i in 0..self._many_entries {
            for c in 0..self._chunk {
                self.hit[c].next =
                    self.build.val() | (self.add.val() & (self.select[i].q.val() == c));
            }
        }
        for c in 0..self._chunk {
            self.buckets[c].clock.next = self.clock.val();
            self.buckets[c].we.next = self.hit[c].val();
            self.buckets[c].waddr.next = self.bucket_waddr.val();
            self.buckets[c].raddr.next = self.bucket_raddr.val();
            for r in 0..self._rows {
                self.buckets[c].wdata[r].next = self.sum[r].val();
            }
        }
        for c in 0..self._chunk {
            for r in 0..self._rows {
                self.bucket[c * self.rows.val() + r].next = self.buckets[c].rdata[r].val();
            }
        }

        comment!("---- a sum that is being written is not in the word that was read ----");
        self.added.d.next = self.add.val();
        self.added_at.d.next = self.address_e.q.val();
        self.same.next = self.added.q.val() & (self.added_at.q.val() == self.address_e.q.val());
        for i in 0..self._many_entries {
            self.added_to[i].clock.next = self.clock.val();
            self.added_to[i].d.next = self.select[i].q.val();
            self.same.next = self.added.q.val()
                & (self.added_at.q.val() == self.address_e.q.val())
                & (self.added_to[i].q.val() == self.select[i].q.val());
        }
        for _i in 0..self._one_entry {
            for r in 0..self._rows {
                self.old[r].next = self.buckets[0].rdata[r].val();
            }
        }
        for i in 0..self._many_entries {
            for r in 0..self._rows {
                self.old[r].next = self.buckets[self.select[i].q.val().index()].rdata[r].val();
            }
        }
        for r in 0..self._rows {
            self.sum[r].next = self.old[r].val() + self.prob[r].val();
            if self.same.val() {
                self.sum[r].next = self.added_sum[r].q.val() + self.prob[r].val();
            }
            if self.build.val() {
                self.sum[r].next = 0.into();
            }
        }
        for r in 0..self._rows {
            self.added_sum[r].clock.next = self.clock.val();
            self.added_sum[r].d.next = self.sum[r].val();
        }
    }
}

impl AttentionLane {
    /// A lane of the units of a channel.
    pub fn new(p: &AttentionShape, channel: &ChannelShape) -> Self {
        let (rows, chunk) = (p.rows(), p.chunk(channel.beat_bits));
        let word_bits = choice_bits(p.table_words(channel.beat_bits));
        let address = u(p.table_addr_bits(channel.beat_bits));
        let depth = p.table_depth(channel.beat_bits);
        let chunk_bits = choice_bits(chunk);
        // A codebook of fewer centroids than a beat holds has codes of fewer bits than a place in it.
        let select_bits = chunk_bits.min(p.code_bits());
        let (entry, sum) = (s(p.entry_bits()), u(p.bucket_bits(channel)));
        let (words, slices) = ((word_bits > 0) as usize, (p.slices > 1) as usize);
        let many = (chunk > 1) as usize;
        let used = if words > 0 { p.code_bits() } else { select_bits };
        let unused_code = Unused::above(u(p.code_bits()), used);
        let (rows_n, entries) = (rows as usize, (rows * chunk) as usize);
        let memory = |fields: u32, ty: Ty| WideRam::new(depth, address.width, fields, ty);
        let bucket = || Inst::new(memory(rows, sum));
        AttentionLane {
            code: Wire::new(u(p.code_bits())),
            slice: vec![Wire::new(u(choice_bits(p.slices))); slices],
            build_at: Wire::new(address),
            entry: vec![Wire::new(entry); entries],
            part: vec![Wire::new(entry); rows_n],
            prob: vec![Wire::new(u(PROB_BITS)); rows_n],
            read_at: Wire::new(address),
            bucket: vec![Wire::new(sum); entries],
            code_word: vec![Wire::new(u(word_bits)); words],
            address: Wire::new(address),
            base: vec![Wire::new(address); words * slices],
            _spare_code: unused_code.len(),
            unused_code,
            select: vec![Reg::data(u(select_bits)); many],
            table: Inst::new(memory(rows * chunk, entry)),
            found: vec![Wire::new(entry); rows_n],
            looked_up: vec![Reg::data(entry); rows_n],
            address_e: Reg::data(address),
            bucket_raddr: Wire::new(address),
            bucket_waddr: Wire::new(address),
            buckets: std::iter::repeat_with(bucket).take(chunk as usize).collect(),
            old: vec![Wire::new(sum); rows_n],
            sum: vec![Wire::new(sum); rows_n],
            added_at: Reg::data(address),
            added_to: vec![Reg::data(u(select_bits)); many],
            added_sum: vec![Reg::data(sum); rows_n],
            hit: vec![Signal::default(); chunk as usize],
            chunk_bits: Const::new(chunk_bits as usize),
            word_bits: Const::new(word_bits as usize),
            rows: Const::new(rows_n),
            _chunk: chunk as usize,
            _rows: rows_n,
            _parted: words * many,
            _whole: words * (1 - many),
            _words_alone: words * (1 - slices),
            _slices_alone: slices * (1 - words),
            _both: words * slices,
            _neither: (1 - words) * (1 - slices),
            _one_entry: 1 - many,
            _many_entries: many,
            _word_bits: word_bits,
            _select_bits: select_bits,
            _slices: p.slices,
            _depth: depth,
            ..AttentionLane::default()
        }
    }
}

impl Unit for AttentionLane {
    fn module(&self) -> String {
        "pimc_attention_lane".into()
    }

    fn contract(&self) -> Contract {
        let (chunk, rows) = (self._chunk, self._rows);
        Contract {
            summary: format!(
                "Attention lane: looks a code up in a table, or adds to its bucket, for {rows} rows of \
                 queries."
            ),
            formula: "part[row] = table[slice][code][row].\n\
                      bucket[slice][code][row] += prob[row]."
                .into(),
            latency: "2 clocks from code_i to part_o, 1 to add_i and prob_i; a bucket may be read 2 \
                      clocks behind its code. Entries and clear buckets are read 1 clock behind \
                      build_i."
                .into(),
            throughput: "A code every clock, also the same one.".into(),
            layout: format!(
                "Centroid c of a slice is entry c % {chunk} of its word c / {chunk}; a slice begins at \
                 a multiple of {}. The memories have {} words; entry_i and bucket_o are a word, \
                 centroid by centroid, each with its {rows} rows.",
                1u64 << self._word_bits,
                self._depth
            ),
            preconditions: "build_i is in no clock with add_i. A bucket's sum fits its bits: proven \
                            from the number of tokens."
                .into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("code", "code of the beat"),
            ("build", "table"),
            ("add", "buckets, one clock behind their code"),
            ("read", "buckets of a word"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
