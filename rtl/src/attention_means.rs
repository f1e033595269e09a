//! Attention means: what went to the centroids of a bank's codebooks, and the means of it.
//!
//! A word of the memory is a centroid: the sums of its elements and of the weights. They lie as the
//! centroids do, a slice at a power of two, so a column of a codebook is words that follow one another.

use crate::attention::{AttentionShape, ClusterShape, MEAN_CLOCKS};
use crate::attention_divide::AttentionDivide;
use crate::hdl::prelude::*;
use crate::shape::{choice_bits, index_bits, ChannelShape};
use crate::wide_ram::WideRam;

/// Bits of an int8.
const BYTE: u32 = 8;

/// Sums, and a divider for every element of a sub-vector. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct AttentionMeans {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Clears all sums.
    pub clear: Signal<In, Bit>,

    /// Sets the weight of tokens.
    pub set_weight: Signal<In, Bit>,
    /// It.
    pub weight_in: Wire<In>,
    /// Adds a token, slice by slice, from the next clock on.
    pub add: Signal<In, Bit>,
    /// Slices are being added; only when there are two or more.
    pub shows: Vec<Signal<Out, Bit>>,
    /// The slice that is.
    pub slice: Vec<Wire<Out>>,
    /// The nearest centroid of the token's slice.
    pub code: Wire<In>,
    /// The sub-vector of the token's slice.
    pub x: Wire<In>,

    /// A column of the codebook comes.
    pub column: Signal<In, Bit>,
    /// Its first word, as in the tables.
    pub word_at: Wire<In>,
    /// Beats of it that are used, less 1, held; only where some columns have fewer than others.
    pub col_beats: Vec<Wire<In>>,
    /// It is there, from the next clock on; two clocks or more behind `column`.
    pub start: Signal<In, Bit>,
    /// Its lowest sub-vector.
    pub centroid: Wire<In>,
    /// It moves down by a sub-vector, from the beginning to the end once.
    pub shift: Signal<Out, Bit>,
    /// What comes in above: the mean of what went to the lowest one, or that as it is.
    pub mean: Wire<Out>,

    // Clear, and the column's centroids.
    clearing: Flop<Bit>,
    at: Reg,
    at_end: Signal<Local, Bit>,

    // Accumulate.
    weight: Reg,
    factor: Wire<Local>,
    element: Split,
    product: Vec<Reg>,
    adding: Flop<Bit>,
    slice_now: Vec<Reg>,
    base: Vec<Wire<Local>>,
    target: Wire<Local>,
    added: Flop<Bit>,
    added_at: Reg,

    // Memory.
    read_at: Wire<Local>,
    write: Signal<Local, Bit>,
    write_at: Wire<Local>,
    new_sum: Vec<Wire<Local>>,
    new_total: Wire<Local>,
    sums: Inst<WideRam>,
    totals: Ram,

    // Update.
    running: Flop<Bit>,
    step: Reg,
    loads: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    place: Reg,
    is_last: Flop<Bit>,
    place_beat: Vec<Wire<Local>>,
    total: Reg,
    offset: Wire<Local>,
    divide: Vec<Inst<AttentionDivide>>,
    quotient: Join,
    done: Flop<Bit>,

    last_word: Const,
    last_slice: Const,
    last_step: Const,
    last_place: Const,
    slice_at: Const,
    chunk_bits: Const,
    byte: Const,
    _sub: usize,
    _whole: usize,
    _sliced: usize,
    _tailed: usize,
    _beat_bits: u32,
    _factor_bits: u32,
    _shape: Option<(ClusterShape, u32)>,
}

impl Logic for AttentionMeans {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, clearing, at, weight, adding, added, added_at);
        dff_setup!(self, clock, running, step, place, is_last, total, done);

        comment!("---- words one after the other: to clear, or of a column ----");
        self.at_end.next = self.at.q.val() == self.last_word.val();
        if (self.clearing.q.val() | self.loads.val()) & !self.at_end.val() {
            self.at.d.next = self.at.q.val() + 1.into();
        }
        if self.column.val() {
            self.at.d.next = self.word_at.val() << self.chunk_bits.val();
        }
        if self.at_end.val() {
            self.clearing.d.next = false;
        }
        if self.clear.val() {
            self.clearing.d.next = true;
            self.at.d.next = 0.into();
        }

        comment!("---- a token: the nearest centroid of its slices, one a clock ----");
        for _i in 0..self._whole {
            self.adding.d.next = self.add.val();
            self.target.next = self.code.val();
        }
        for i in 0..self._sliced {
            self.slice_now[i].clock.next = self.clock.val();
            self.slice_now[i].d.next = self.slice_now[i].q.val();
            if self.adding.q.val() {
                self.slice_now[i].d.next = self.slice_now[i].q.val() + 1.into();
            }
            if self.slice_now[i].q.val() == self.last_slice.val() {
                self.adding.d.next = false;
            }
            if self.add.val() {
                self.adding.d.next = true;
                self.slice_now[i].d.next = 0.into();
            }
            self.shows[i].next = self.adding.q.val();
            self.slice[i].next = self.slice_now[i].q.val();
            self.base[i].next = self.slice_now[i].q.val() << self.slice_at.val();
            self.target.next = self.base[i].val() | self.code.val();
        }
        self.added.d.next = self.adding.q.val();
        self.added_at.d.next = self.target.val();

        comment!("---- its elements times the weight ----");
        if self.set_weight.val() {
            self.weight.d.next = self.weight_in.val();
        }
        self.factor.next = signed_cast(bit_cast(self.weight.q.val(), self._factor_bits));
        self.element.x.next = self.x.val();
        for j in 0..self._sub {
            self.product[j].clock.next = self.clock.val();
            self.product[j].d.next = self.element.y[j].val() * self.factor.val();
        }

        comment!("---- sums: read, add, write; or cleared ----");
        self.read_at.next = self.at.q.val();
        if self.adding.q.val() {
            self.read_at.next = self.target.val();
        }
        self.write.next = self.added.q.val() | self.clearing.q.val();
        self.write_at.next = self.added_at.q.val();
        if self.clearing.q.val() {
            self.write_at.next = self.at.q.val();
        }
        self.sums.clock.next = self.clock.val();
        self.sums.we.next = self.write.val();
        self.sums.waddr.next = self.write_at.val();
        self.sums.raddr.next = self.read_at.val();
        for j in 0..self._sub {
            self.sums.wdata[j].next = self.new_sum[j].val();
        }
        self.totals.clock.next = self.clock.val();
        self.totals.we.next = self.write.val();
        self.totals.waddr.next = self.write_at.val();
        self.totals.raddr.next = self.read_at.val();
        self.totals.wdata.next = self.new_total.val();
        for j in 0..self._sub {
            self.new_sum[j].next = self.sums.rdata[j].val() + self.product[j].q.val();
            if self.clearing.q.val() {
                self.new_sum[j].next = 0.into();
            }
        }
        self.new_total.next = self.totals.rdata.val() + self.weight.q.val();
        if self.clearing.q.val() {
            self.new_total.next = 0.into();
        }

        comment!("---- a column: a centroid is loaded, then divided bit by bit ----");
        self.loads.next = self.running.q.val() & (self.step.q.val() == 0);
        self.ends.next = self.running.q.val() & (self.step.q.val() == self.last_step.val());
        if self.running.q.val() {
            self.step.d.next = self.step.q.val() + 1.into();
        }
        if self.loads.val() {
            self.place.d.next = self.place.q.val() + 1.into();
            self.is_last.d.next = self.place.q.val() == self.last_place.val();
            self.total.d.next = self.totals.rdata.val();
        }
        for i in 0..self._tailed {
            // What is no centroid stays as it is.
            self.place_beat[i].next =
                bit_cast(self.place.q.val() >> self.chunk_bits.val(), self._beat_bits);
            if self.loads.val() & (self.place_beat[i].val() > self.col_beats[i].val()) {
                self.total.d.next = 0.into();
            }
        }
        if self.ends.val() {
            self.step.d.next = 0.into();
            self.running.d.next = !self.is_last.q.val();
        }
        if self.start.val() {
            self.running.d.next = true;
            self.step.d.next = 0.into();
            self.place.d.next = 0.into();
        }
        self.done.d.next = self.ends.val();
        self.offset.next = self.totals.rdata.val() + (self.totals.rdata.val() << self.byte.val());
        for j in 0..self._sub {
            self.divide[j].clock.next = self.clock.val();
            self.divide[j].load.next = self.loads.val();
            self.divide[j].step.next = self.running.q.val();
            self.divide[j].sum.next = self.sums.rdata[j].val();
            self.divide[j].offset.next = self.offset.val();
            self.divide[j].total.next = self.total.q.val();
        }

        comment!("---- a centroid to which nothing of weight went stays ----");
        for j in 0..self._sub {
            self.quotient.x[j].next = self.divide[j].mean.val();
        }
        self.shift.next = self.done.q.val();
        self.mean.next = self.quotient.y.val();
        if self.total.q.val() == 0 {
            self.mean.next = self.centroid.val();
        }
    }
}

impl AttentionMeans {
    /// The means of the units of a channel, where tokens are clustered.
    pub fn new(p: &AttentionShape, channel: &ChannelShape) -> Option<Self> {
        let cluster = p.cluster?;
        let (beats, beat_bits) = (channel.beats, channel.beat_bits);
        let (words, chunk) = (p.table_words(beat_bits), p.chunk(beat_bits));
        let (chunk_bits, word_bits) = (choice_bits(chunk), choice_bits(words));
        let addr = u((choice_bits(p.slices) + word_bits + chunk_bits).max(1));
        let depth = p.mean_depth(beat_bits);
        let (sum, total) = (s(cluster.sum_bits()), u(cluster.total_bits()));
        let (weight, factor) = (u(cluster.weight_bits), s(cluster.weight_bits + 1));
        let (beat, slice, vector) =
            (u(index_bits(beats)), u(index_bits(p.slices)), u(p.sub_bits()));
        let (sliced, tailed) = ((p.slices > 1) as usize, (words % beats > 0) as usize);
        let sub = p.sub as usize;
        Some(AttentionMeans {
            weight_in: Wire::new(weight),
            shows: vec![Signal::default(); sliced],
            slice: vec![Wire::new(slice); sliced],
            code: Wire::new(u(p.code_bits())),
            x: Wire::new(vector),
            word_at: Wire::new(u(p.table_addr_bits(beat_bits))),
            col_beats: vec![Wire::new(beat); tailed],
            centroid: Wire::new(vector),
            mean: Wire::new(vector),
            at: Reg::data(addr),
            weight: Reg::data(weight),
            factor: Wire::new(factor),
            element: Split::signed(sub, BYTE),
            product: vec![Reg::data(s(cluster.weight_bits + BYTE)); sub],
            slice_now: vec![Reg::data(slice); sliced],
            base: vec![Wire::new(addr); sliced],
            target: Wire::new(addr),
            added_at: Reg::data(addr),
            read_at: Wire::new(addr),
            write_at: Wire::new(addr),
            new_sum: vec![Wire::new(sum); sub],
            new_total: Wire::new(total),
            sums: Inst::new(WideRam::new(depth, addr.width, p.sub, sum)),
            totals: Ram::with_depth(depth as usize, addr.width, total),
            step: Reg::new(u(index_bits(MEAN_CLOCKS))),
            place: Reg::data(u(index_bits(chunk * beats))),
            place_beat: vec![Wire::new(beat); tailed],
            total: Reg::data(total),
            offset: Wire::new(u(AttentionDivide::dividend_bits(&cluster))),
            divide: (0..sub).map(|_| Inst::new(AttentionDivide::new(&cluster))).collect(),
            quotient: Join::new(sub, u(BYTE)),
            last_word: Const::new(depth as usize - 1),
            last_slice: Const::new(p.slices as usize - 1),
            last_step: Const::new(MEAN_CLOCKS as usize - 1),
            last_place: Const::new((chunk * beats) as usize - 1),
            slice_at: Const::new((word_bits + chunk_bits) as usize),
            chunk_bits: Const::new(chunk_bits as usize),
            byte: Const::new(BYTE as usize),
            _sub: sub,
            _whole: 1 - sliced,
            _sliced: sliced,
            _tailed: tailed,
            _beat_bits: beat.width,
            _factor_bits: factor.width,
            _shape: Some((cluster, depth)),
            ..AttentionMeans::default()
        })
    }
}

impl Unit for AttentionMeans {
    fn module(&self) -> String {
        "pimc_attention_means".into()
    }

    fn contract(&self) -> Contract {
        let Some((cluster, depth)) = &self._shape else { return Contract::default() };
        let (slices, centroids) = (self.last_slice.val() + 1, self.last_place.val() + 1);
        let base = match slices {
            1 => String::new(),
            _ => format!(" A slice begins at a multiple of {}.", 1u64 << self.slice_at.val()),
        };
        let used = match self._tailed {
            0 => "",
            _ => " Beats of a column that are not used stay, too.",
        };
        Contract {
            summary: format!(
                "Attention means: sums of the weighted sub-vectors of {} bytes that went to each \
                 centroid, and centroids made of them.",
                self._sub
            ),
            formula: format!(
                "clear: sum[s][c] := 0, total[s][c] := 0.\n\
                 add: for every slice s sum[s][code] += weight * x, total[s][code] += weight.\n\
                 column: c := floor((2 * sum + total) / (2 * total)) in each element where total > 0; \
                 the others stay.{used}"
            ),
            latency: format!(
                "From clear_i to the next add_i or clear_i {depth} clocks, from add_i to the next, and to \
                 another weight or token, {}. From start_i to the last shift_o {}.",
                slices + 1,
                centroids * MEAN_CLOCKS as usize + 1
            ),
            throughput: format!("A slice of a token a clock; a centroid every {MEAN_CLOCKS} clocks."),
            layout: format!(
                "A centroid is a word of {} sums of {} bits and a total of {} bits.{base}",
                self._sub,
                cluster.sum_bits(),
                cluster.total_bits()
            ),
            preconditions: format!(
                "One thing at a time: nothing is cleared or added while a column is made. Between two \
                 clears weights of no more than {} tokens are added, so that no sum overflows.",
                cluster.tokens
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("clear", "sums"),
            ("set_weight", "a token, slice by slice"),
            ("column", "a column of the codebook"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
