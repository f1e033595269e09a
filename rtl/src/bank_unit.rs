//! The bank unit: one column register, the beat counter, and the data paths that the shape asks for.
//!
//! A column enters in clock t, its beats go through the data paths one per clock from t + 1, and
//! each beat takes two clocks: one to address the memories, one to compute.

use crate::gated_sum::GatedSum;
use crate::hdl::prelude::*;
use crate::lookup_unit::{LookupPorts, LookupUnit};
use crate::mac_row::MacRow;
use crate::shape::{index_bits, BankShape, ChannelShape, StreamMode};
use crate::sign_gen::SignGen;
use crate::timing::{SEED_CLOCKS, UNIT_LATENCY};

/// Bits of the load bus and of a byte memory word.
const WORD: u32 = 64;

/// What stands beside one bank. Optional ports are `Vec`s of none or one; one whose block is not
/// built is not there.
#[derive(LogicBlock)]
pub struct BankUnit {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A stream begins: resets every counter. The mode, coats and key are held from here until the
    /// last result of the stream is written.
    pub stream_start: Signal<In, Bit>,
    /// Index into [`BankShape::modes`]; only when there are two or more.
    pub mode: Vec<Wire<In>>,
    /// Mask: coats less 1; only when the shape knows more than one coat.
    pub coats_less_1: Vec<Wire<In>>,
    /// Mask: the key of the sign generator.
    pub sign_key: Vec<Wire<In>>,
    /// Mask: the number of this bank.
    pub bank: Vec<Wire<In>>,
    /// Mask: seeds the sign generator for the next matrix row, `SEED_CLOCKS` before the clock of
    /// `col_valid` of its first column. Not in a clock with `stream_start`.
    pub sign_start: Vec<Signal<In, Bit>>,

    /// A column of the stream is on `rd_data` in this clock.
    pub col_valid: Signal<In, Bit>,
    /// It is the first of a matrix row. Not looked at when the mode is `Build`.
    pub col_first: Signal<In, Bit>,
    /// It is the last of a matrix row. Not looked at when the mode is `Build`.
    pub col_last: Signal<In, Bit>,
    /// Beats of it that are used, less 1.
    pub col_beats: Wire<In>,
    /// The column, `beats` words of `beat_bits`.
    pub rd_data: Vec<Wire<In>>,

    /// Byte memory: write `load_data` to word `byte_addr`.
    pub byte_we: Vec<Signal<In, Bit>>,
    /// Byte memory: the word.
    pub byte_addr: Vec<Wire<In>>,
    /// Plane memory: write `load_data` to plane `plane` of group `plane_group`.
    pub plane_we: Vec<Signal<In, Bit>>,
    /// Plane memory: the bit of the inputs.
    pub plane: Vec<Wire<In>>,
    /// Plane memory: the group of `beat_bits` inputs.
    pub plane_group: Vec<Wire<In>>,
    /// 64 bits for either memory.
    pub load_data: Wire<In>,

    /// Index of a matrix row in this bank.
    pub drain_index: Wire<In>,
    /// Its result, one clock after `drain_index`.
    pub result: Wire<Out>,
    /// Its count of ones, at the same time; only when ones are counted.
    pub ones: Vec<Wire<Out>>,

    // Column register and position.
    column: Vec<Reg>,
    column_first: Flop<Bit>,
    column_last: Flop<Bit>,
    beats_less_1: Reg,
    beat: Reg,
    busy: Flop<Bit>,
    word: Wire<Local>,
    unused_word: Vec<Unused>,
    last_beat: Signal<Local, Bit>,
    row_first: Signal<Local, Bit>,
    row_last: Signal<Local, Bit>,
    next_step: Reg,
    step: Wire<Local>,
    next_coat: Vec<Reg>,
    coat: Vec<Wire<Local>>,
    last_coat: Signal<Local, Bit>,
    first_coat: Vec<Signal<Local, Bit>>,

    // What the stream is.
    mode_build: Vec<Signal<Local, Bit>>,
    mode_lookup: Vec<Signal<Local, Bit>>,
    mode_signs: Vec<Signal<Local, Bit>>,
    mode_mask: Vec<Signal<Local, Bit>>,
    mode_mac: Vec<Signal<Local, Bit>>,
    building: Signal<Local, Bit>,

    // Memories and data paths.
    byte_raddr: Vec<Wire<Local>>,
    bytes: Vec<Ram>,
    unused_load: Vec<Unused>,
    lookup: Vec<Inst<LookupUnit>>,
    planes: Vec<Ram>,
    signs: Vec<Inst<SignGen>>,
    gated: Vec<Inst<GatedSum>>,
    mac: Vec<Inst<MacRow>>,

    // Results.
    column_end: Flop<Bit>,
    row_end: Flop<Bit>,
    done: Flop<Bit>,
    row_done: Flop<Bit>,
    row: Reg,
    column_done: Signal<Local, Bit>,
    acc: Wire<Local>,
    unused_acc: Vec<Unused>,
    column_acc: Wire<Local>,
    result_we: Signal<Local, Bit>,
    result_index: Wire<Local>,
    result_data: Wire<Local>,
    results: Ram,
    ones_results: Vec<Ram>,

    signs_mode: Const,
    mask_mode: Const,
    mac_mode: Const,
    _shape: ChannelShape,
    _byte_bits: u32,
    _byte_addr_bits: u32,
    _group_bits: u32,
    _result_bits: u32,
    _no_mode: usize,
    _spare_load: usize,
    _spare_acc: usize,
    _bytes: usize,
    _beats: usize,
    _lookups: usize,
    _signs: usize,
    _mask: usize,
    _mac: usize,
    _gated: usize,
    _both: usize,
    _planes: usize,
    _ones: usize,
    _many_modes: usize,
    _one_mode: usize,
    _many_coats: usize,
    _one_coat: usize,
}

/// Widths that follow from a shape.
struct Widths {
    step: u32,
    byte: u32,
    lookup_sum: u32,
    acc: u32,
    ones: u32,
}

impl Widths {
    fn of(shape: &ChannelShape) -> Widths {
        let bank = &shape.bank;
        let steps = bank.lookups.iter().map(|l| l.blocks);
        let steps = steps.chain(bank.gated.map(|g| g.groups));
        let steps = steps.chain(bank.mac.map(|_| bank.byte_words));
        let byte = bank.lookups.iter().map(|l| 8 * l.chunk * l.sub);
        let byte = byte.chain(bank.mac.map(|_| shape.beat_bits));
        let lookup_sum = bank.lookups.iter().map(crate::table_lookup::TableLookup::sum_bits).max();
        let sums = lookup_sum.into_iter();
        let sums = sums.chain(bank.gated.map(|g| g.acc_bits));
        let sums = sums.chain(bank.mac.as_ref().map(MacRow::sum_bits));
        Widths {
            step: index_bits(steps.max().unwrap_or(1)),
            byte: byte.max().unwrap_or(shape.beat_bits),
            lookup_sum: lookup_sum.unwrap_or(1),
            acc: sums.max().unwrap_or(1).max(bank.result_bits),
            ones: bank.gated.and_then(|g| g.column_signs).unwrap_or(0),
        }
    }
}

/// `there` elements, each made by `make`.
fn vec_of<T>(there: bool, make: impl FnOnce() -> T) -> Vec<T> {
    there.then(make).into_iter().collect()
}

impl BankUnit {
    /// The unit of a channel's shape.
    pub fn new(shape: &ChannelShape) -> Self {
        let bank = &shape.bank;
        let w = Widths::of(shape);
        let modes = bank.modes();
        let mode_of = |m: StreamMode| modes.iter().position(|x| *x == m);
        let number = |m: StreamMode| Const::new(mode_of(m).unwrap_or(0));
        let has = |m: StreamMode| mode_of(m).is_some();
        let (signs, mask, mac) =
            (has(StreamMode::Signs), has(StreamMode::Mask), has(StreamMode::Mac));
        let coats = bank.gated.and_then(|g| g.generated_signs).unwrap_or(0);
        let bytes = bank.byte_words > 0;
        let gated = bank.gated.is_some();
        let plane_count = bank.gated.map_or(0, |g| g.planes);
        let groups = bank.gated.map_or(1, |g| g.groups);
        let beat = u(shape.beat_bits);
        let flag = |n: bool| vec![Signal::default(); n as usize];
        let depth = bank.result_depth;
        let memory = |depth: u32, ty: Ty| Ram::with_depth(depth as usize, index_bits(depth), ty);
        let ports = LookupPorts {
            beat_bits: shape.beat_bits,
            step_bits: w.step,
            byte_words: bank.byte_words,
            byte_bits: w.byte,
            sum_bits: w.lookup_sum,
        };
        let lookup = bank.lookups.iter().map(|l| Inst::new(LookupUnit::new(l, &ports))).collect();
        let load_bits = match (gated, bytes) {
            (true, _) => WORD,
            (false, true) => w.byte,
            (false, false) => 0,
        };
        let unused_load = Unused::above(u(WORD), load_bits);
        let unused_acc = Unused::above(s(w.acc), bank.result_bits);
        let many_modes = modes.len() > 1;
        let many_coats = coats > 1;
        BankUnit {
            clock: Signal::default(),
            stream_start: Signal::default(),
            mode: vec_of(many_modes, || Wire::new(u(index_bits(modes.len() as u32)))),
            coats_less_1: vec_of(many_coats, || Wire::new(u(index_bits(coats)))),
            sign_key: vec_of(mask, || Wire::new(u(32))),
            bank: vec_of(mask, || Wire::new(u(index_bits(shape.banks)))),
            sign_start: vec_of(mask, Signal::default),
            col_valid: Signal::default(),
            col_first: Signal::default(),
            col_last: Signal::default(),
            col_beats: Wire::new(u(index_bits(shape.beats))),
            rd_data: vec![Wire::new(beat); shape.beats as usize],
            byte_we: vec_of(bytes, Signal::default),
            byte_addr: vec_of(bytes, || Wire::new(u(index_bits(bank.byte_words)))),
            plane_we: vec_of(gated, Signal::default),
            plane: vec_of(gated, || Wire::new(u(index_bits(plane_count)))),
            plane_group: vec_of(gated, || Wire::new(u(index_bits(groups)))),
            load_data: Wire::new(u(WORD)),
            drain_index: Wire::new(u(index_bits(depth))),
            result: Wire::new(s(bank.result_bits)),
            ones: vec_of(w.ones > 0, || Wire::new(u(w.ones))),

            column: vec![Reg::new(beat); shape.beats as usize],
            column_first: Flop::default(),
            column_last: Flop::default(),
            beats_less_1: Reg::new(u(index_bits(shape.beats))),
            beat: Reg::new(u(index_bits(shape.beats))),
            busy: Flop::default(),
            word: Wire::new(beat),
            unused_word: Unused::above(beat, if modes.is_empty() { 0 } else { shape.beat_bits }),
            last_beat: Signal::default(),
            row_first: Signal::default(),
            row_last: Signal::default(),
            next_step: Reg::new(u(w.step)),
            step: Wire::new(u(w.step)),
            next_coat: vec_of(many_coats, || Reg::new(u(index_bits(coats)))),
            coat: vec_of(many_coats, || Wire::new(u(index_bits(coats)))),
            last_coat: Signal::default(),
            first_coat: vec_of(mask, Signal::default),

            mode_build: vec![Signal::default(); bank.lookups.len()],
            mode_lookup: vec![Signal::default(); bank.lookups.len()],
            mode_signs: flag(signs),
            mode_mask: flag(mask),
            mode_mac: flag(mac),
            building: Signal::default(),

            byte_raddr: vec_of(bytes, || Wire::new(u(index_bits(bank.byte_words)))),
            bytes: vec_of(bytes, || memory(bank.byte_words, u(w.byte))),
            _no_mode: modes.is_empty() as usize,
            _spare_load: unused_load.len(),
            unused_load,
            lookup,
            planes: (0..plane_count).map(|_| memory(groups, beat)).collect(),
            signs: vec_of(mask, || Inst::new(SignGen::new(shape.banks))),
            gated: bank
                .gated
                .iter()
                .map(|g| Inst::new(GatedSum::new(g, shape.beat_bits)))
                .collect(),
            mac: bank.mac.iter().map(|m| Inst::new(MacRow::new(m))).collect(),

            column_end: Flop::default(),
            row_end: Flop::default(),
            done: Flop::default(),
            row_done: Flop::default(),
            row: Reg::new(u(index_bits(depth))),
            column_done: Signal::default(),
            acc: Wire::new(s(w.acc)),
            _spare_acc: unused_acc.len(),
            unused_acc,
            column_acc: Wire::new(s(bank.result_bits)),
            result_we: Signal::default(),
            result_index: Wire::new(u(index_bits(depth))),
            result_data: Wire::new(s(bank.result_bits)),
            results: memory(depth, s(bank.result_bits)),
            ones_results: vec_of(w.ones > 0, || memory(depth, u(w.ones))),

            signs_mode: number(StreamMode::Signs),
            mask_mode: number(StreamMode::Mask),
            mac_mode: number(StreamMode::Mac),
            _shape: shape.clone(),
            _byte_bits: w.byte,
            _byte_addr_bits: index_bits(bank.byte_words),
            _group_bits: index_bits(groups),
            _result_bits: bank.result_bits,
            _bytes: bytes as usize,
            _beats: shape.beats as usize,
            _lookups: bank.lookups.len(),
            _signs: signs as usize,
            _mask: mask as usize,
            _mac: mac as usize,
            _gated: gated as usize,
            _both: (signs && mask) as usize,
            _planes: plane_count as usize,
            _ones: (w.ones > 0) as usize,
            _many_modes: many_modes as usize,
            _one_mode: !many_modes as usize,
            _many_coats: many_coats as usize,
            _one_coat: (mask && !many_coats) as usize,
        }
    }
}

impl BankUnit {
    /// What the waveform check reads in this clock: the accumulator when a column's beats are all
    /// in it, and the result that is written, with its index.
    pub fn observed(&self) -> (Option<i128>, Option<(i128, i128)>) {
        let column = self.column_done.val().then(|| self.column_acc.get());
        let result =
            self.result_we.val().then(|| (self.result_index.get(), self.result_data.get()));
        (column, result)
    }
}

impl Logic for BankUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, column_first, column_last, beats_less_1, beat, busy, next_step);
        dff_setup!(self, clock, column_end, row_end, done, row_done, row);
        for b in 0..self._beats {
            self.column[b].clock.next = self.clock.val();
            self.column[b].d.next = self.column[b].q.val();
        }

        comment!("---- what the stream is ----");
        for _i in 0..self._many_modes {
            for l in 0..self._lookups {
                self.mode_build[l].next = self.mode[0].val() == 2 * l;
                self.mode_lookup[l].next = self.mode[0].val() == 2 * l + 1;
            }
            for j in 0..self._signs {
                self.mode_signs[j].next = self.mode[0].val() == self.signs_mode.val();
            }
            for j in 0..self._mask {
                self.mode_mask[j].next = self.mode[0].val() == self.mask_mode.val();
            }
            for j in 0..self._mac {
                self.mode_mac[j].next = self.mode[0].val() == self.mac_mode.val();
            }
        }
        for _i in 0..self._one_mode {
            for j in 0..self._signs {
                self.mode_signs[j].next = true;
            }
            for j in 0..self._mask {
                self.mode_mask[j].next = true;
            }
            for j in 0..self._mac {
                self.mode_mac[j].next = true;
            }
        }
        self.building.next = false;
        for l in 0..self._lookups {
            self.building.next = self.building.val() | self.mode_build[l].val();
        }

        comment!("---- column register, one beat per clock ----");
        self.last_beat.next = self.busy.q.val() & (self.beat.q.val() == self.beats_less_1.q.val());
        self.beat.d.next = self.beat.q.val() + 1.into();
        if self.last_beat.val() {
            self.busy.d.next = false;
        }
        if self.col_valid.val() {
            for b in 0..self._beats {
                self.column[b].d.next = self.rd_data[b].val();
            }
            self.column_first.d.next = self.col_first.val();
            self.column_last.d.next = self.col_last.val();
            self.beats_less_1.d.next = self.col_beats.val();
            self.beat.d.next = 0.into();
            self.busy.d.next = true;
        }
        self.word.next = self.column[self.beat.q.val().index()].q.val();
        for i in 0..self._no_mode {
            self.unused_word[i].x.next = self.word.val();
        }
        self.row_first.next = self.column_first.q.val() & (self.beat.q.val() == 0);
        self.row_last.next = self.column_last.q.val() & self.last_beat.val();

        comment!("---- position in the matrix row: a step per beat, in a mask per group ----");
        self.last_coat.next = true;
        for i in 0..self._one_coat {
            self.first_coat[i].next = true;
        }
        for i in 0..self._many_coats {
            self.next_coat[i].clock.next = self.clock.val();
            self.next_coat[i].d.next = self.next_coat[i].q.val();
            self.coat[i].next = self.next_coat[i].q.val();
            if self.row_first.val() {
                self.coat[i].next = 0.into();
            }
            self.first_coat[i].next = self.coat[i].val() == 0;
            self.last_coat.next =
                !self.mode_mask[i].val() | (self.coat[i].val() == self.coats_less_1[i].val());
            if self.busy.q.val() {
                self.next_coat[i].d.next = self.coat[i].val() + 1.into();
                if self.last_coat.val() {
                    self.next_coat[i].d.next = 0.into();
                }
            }
        }
        self.step.next = self.next_step.q.val();
        if self.row_first.val() {
            self.step.next = 0.into();
        }
        if self.busy.q.val() {
            self.next_step.d.next = self.step.val();
            if self.last_coat.val() {
                self.next_step.d.next = self.step.val() + 1.into();
            }
        }

        comment!("---- byte memory: inputs of the table builders and the multiply-add row ----");
        for i in 0..self._bytes {
            self.bytes[i].clock.next = self.clock.val();
            self.bytes[i].we.next = self.byte_we[i].val();
            self.bytes[i].waddr.next = self.byte_addr[i].val();
            self.bytes[i].wdata.next = bit_cast(self.load_data.val(), self._byte_bits);
            self.byte_raddr[i].next = 0.into();
            for _j in 0..self._mac {
                self.byte_raddr[i].next = bit_cast(self.step.val(), self._byte_addr_bits);
            }
            for l in 0..self._lookups {
                if self.mode_build[l].val() {
                    self.byte_raddr[i].next = self.lookup[l].byte_addr.val();
                }
            }
            self.bytes[i].raddr.next = self.byte_raddr[i].val();
        }
        for i in 0..self._spare_load {
            self.unused_load[i].x.next = self.load_data.val();
        }

        comment!("---- table lookup ----");
        for l in 0..self._lookups {
            self.lookup[l].clock.next = self.clock.val();
            self.lookup[l].restart.next = self.stream_start.val();
            self.lookup[l].build_valid.next = self.busy.q.val() & self.mode_build[l].val();
            self.lookup[l].lookup_valid.next = self.busy.q.val() & self.mode_lookup[l].val();
            self.lookup[l].first.next = self.row_first.val();
            self.lookup[l].step.next = self.step.val();
            self.lookup[l].word.next = self.word.val();
            self.lookup[l].bytes.next = self.bytes[0].rdata.val();
        }

        comment!("---- bit planes of the inputs ----");
        for p in 0..self._planes {
            self.planes[p].clock.next = self.clock.val();
            self.planes[p].we.next = self.plane_we[0].val() & (self.plane[0].val() == p);
            self.planes[p].waddr.next = self.plane_group[0].val();
            self.planes[p].wdata.next = self.load_data.val();
        }
        for _i in 0..self._gated {
            for p in 0..self._planes {
                self.planes[p].raddr.next = bit_cast(self.step.val(), self._group_bits);
            }
        }

        comment!("---- generated signs ----");
        for i in 0..self._mask {
            self.signs[i].clock.next = self.clock.val();
            self.signs[i].restart.next = self.stream_start.val();
            self.signs[i].key.next = self.sign_key[i].val();
            self.signs[i].bank.next = self.bank[i].val();
            self.signs[i].start.next = self.sign_start[i].val();
            self.signs[i].load.next =
                self.busy.q.val() & self.mode_mask[i].val() & self.row_first.val();
            self.signs[i].advance.next = self.busy.q.val()
                & self.mode_mask[i].val()
                & self.first_coat[i].val()
                & !self.row_first.val();
        }

        comment!("---- gated sum ----");
        for i in 0..self._gated {
            self.gated[i].clock.next = self.clock.val();
            self.gated[i].valid.next = false;
            for j in 0..self._signs {
                self.gated[i].valid.next = self.busy.q.val() & self.mode_signs[j].val();
            }
            for j in 0..self._mask {
                self.gated[i].valid.next = self.busy.q.val() & self.mode_mask[j].val();
                self.gated[i].signs[j].next = self.signs[j].signs.val();
            }
            for j in 0..self._both {
                self.gated[i].valid.next =
                    self.busy.q.val() & (self.mode_signs[j].val() | self.mode_mask[j].val());
                self.gated[i].masked[j].next = self.mode_mask[j].val();
            }
            self.gated[i].first.next = self.row_first.val();
            self.gated[i].bits.next = self.word.val();
            for p in 0..self._planes {
                self.gated[i].planes[p].next = self.planes[p].rdata.val();
            }
        }

        comment!("---- multiply-add row ----");
        for i in 0..self._mac {
            self.mac[i].clock.next = self.clock.val();
            self.mac[i].valid.next = self.busy.q.val() & self.mode_mac[i].val();
            self.mac[i].first.next = self.row_first.val();
            self.mac[i].weights.next = self.word.val();
            self.mac[i].inputs.next = self.bytes[i].rdata.val();
        }

        comment!("---- results: two clocks behind the beats ----");
        self.column_end.d.next = self.last_beat.val() & !self.building.val();
        self.row_end.d.next = self.row_last.val() & !self.building.val();
        self.done.d.next = self.column_end.q.val();
        self.row_done.d.next = self.row_end.q.val();
        self.acc.next = 0.into();
        for i in 0..self._gated {
            self.acc.next = self.gated[i].sum.val();
        }
        for i in 0..self._mac {
            if self.mode_mac[i].val() {
                self.acc.next = self.mac[i].sum.val();
            }
        }
        for l in 0..self._lookups {
            if self.mode_lookup[l].val() {
                self.acc.next = self.lookup[l].sum.val();
            }
        }
        self.column_done.next = self.done.q.val();
        self.column_acc.next = bit_cast(self.acc.val(), self._result_bits);
        for i in 0..self._spare_acc {
            self.unused_acc[i].x.next = self.acc.val();
        }
        self.result_we.next = self.column_done.val() & self.row_done.q.val();
        self.result_index.next = self.row.q.val();
        self.result_data.next = self.column_acc.val();
        if self.result_we.val() {
            self.row.d.next = self.row.q.val() + 1.into();
        }
        if self.stream_start.val() {
            self.row.d.next = 0.into();
        }
        self.results.clock.next = self.clock.val();
        self.results.we.next = self.result_we.val();
        self.results.waddr.next = self.result_index.val();
        self.results.wdata.next = self.result_data.val();
        self.results.raddr.next = self.drain_index.val();
        self.result.next = self.results.rdata.val();
        for i in 0..self._ones {
            self.ones_results[i].clock.next = self.clock.val();
            self.ones_results[i].we.next = self.result_we.val();
            self.ones_results[i].waddr.next = self.result_index.val();
            self.ones_results[i].wdata.next = self.gated[i].ones[i].val();
            self.ones_results[i].raddr.next = self.drain_index.val();
            self.ones[i].next = self.ones_results[i].rdata.val();
        }
    }
}

/// Names the modes of a bank for its header.
fn mode_names(bank: &BankShape) -> String {
    let name = |(at, m): (usize, &StreamMode)| match m {
        StreamMode::Build(l) => format!("{at} codebook of lookup unit {l}"),
        StreamMode::Lookup(l) => format!("{at} codes of lookup unit {l}"),
        StreamMode::Signs => format!("{at} signs"),
        StreamMode::Mask => format!("{at} mask"),
        StreamMode::Mac => format!("{at} int8 weights"),
    };
    bank.modes().iter().enumerate().map(name).collect::<Vec<_>>().join(", ")
}

impl Unit for BankUnit {
    fn module(&self) -> String {
        "pimc_bank_unit".into()
    }

    fn contract(&self) -> Contract {
        let bank = &self._shape.bank;
        let beats = self._shape.beats;
        let mask = if self._mask > 0 {
            format!(
                " sign_start_i comes {SEED_CLOCKS} clocks before col_valid_i of a row's first column."
            )
        } else {
            String::new()
        };
        Contract {
            summary: "Bank unit: chews the columns of one DRAM bank into the results of matrix rows."
                .into(),
            formula: format!("stream modes: {}.", mode_names(bank)),
            latency: format!(
                "{UNIT_LATENCY} clocks from the last beat of a row to its result at drain_index_i."
            ),
            throughput: format!("a column every {beats} clocks."),
            layout: format!(
                "a column is {beats} beats of {} bits, the lowest first. The result of the n-th row of                  a stream is word n of the result memory.",
                self._shape.beat_bits
            ),
            preconditions: format!(
                "columns at least {beats} clocks apart; the stream's settings held until its last                  result is written.{mask} Results fit {} bits: proven per matrix.",
                bank.result_bits
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("stream_start", "stream settings, held"),
            ("col_valid", "column"),
            ("byte_we", "input memories"),
            ("drain_index", "results"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests;
