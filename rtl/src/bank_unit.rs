//! The bank unit: one column register, the beat counter, and the data paths that the shape asks for.
//!
//! A column enters in clock t, its beats go through the data paths one per clock from t + 1, and
//! each beat takes two clocks: one to address the memories, one to compute.

mod build;
#[cfg(test)]
mod tests;

use crate::block_unit::BlockUnit;
use crate::gated_sum::GatedSum;
use crate::hdl::prelude::*;
use crate::lookup_unit::LookupUnit;
use crate::mac_row::MacRow;
use crate::shape::{BankShape, ChannelShape, StreamMode};
use crate::sign_gen::SignGen;
use crate::timing::{BLOCK_LATENCY, SEED_CLOCKS, UNIT_LATENCY};

/// What stands beside one bank. Optional ports are `Vec`s of none or one; one whose block is not
/// built is not there.
#[derive(LogicBlock)]
pub struct BankUnit {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A stream begins: resets every counter. The mode, coats and key are held from here until the
    /// last result of the stream.
    pub stream_start: Signal<In, Bit>,
    /// Index into [`BankShape::modes`]; only when there are two or more.
    pub mode: Vec<Wire<In>>,
    /// Blocks: the fields of [`crate::isa::Block`], in their order.
    pub block: Vec<Wire<In>>,
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
    /// The column, `beats` beats of `beat_bits`.
    pub rd_data: Vec<Wire<In>>,

    /// Byte memory: write `load_data` to word `byte_addr`.
    pub byte_we: Vec<Signal<In, Bit>>,
    /// Byte memory: the word.
    pub byte_addr: Vec<Wire<In>>,
    /// Plane memory: write `load_data` to plane `plane` of group `plane_group`; with two planes at
    /// once, `load_data` and `load_second` to the two planes of pair `plane`.
    pub plane_we: Vec<Signal<In, Bit>>,
    /// Plane memory: the bit of the inputs.
    pub plane: Vec<Wire<In>>,
    /// Plane memory: the group of `beat_bits` inputs.
    pub plane_group: Vec<Wire<In>>,
    /// A word of either memory.
    pub load_data: Wire<In>,
    /// The second of two planes at once.
    pub load_second: Vec<Wire<In>>,

    /// A matrix row is done. There is one after the other, in the order of the stream.
    pub row_valid: Signal<Out, Bit>,
    /// Its result, in the clock of `row_valid`.
    pub row_value: Wire<Out>,

    // Column register and position.
    column: Vec<Reg>,
    column_first: Flop<Bit>,
    column_last: Flop<Bit>,
    beats_less_1: Reg,
    beat: Reg,
    busy: Flop<Bit>,
    word: Wire<Local>,
    unused_word: Vec<Unused>,
    unused_start: Vec<Unused>,
    last_beat: Signal<Local, Bit>,
    row_first: Signal<Local, Bit>,
    next_step: Reg,
    step: Wire<Local>,
    next_coat: Vec<Reg>,
    coat: Vec<Wire<Local>>,
    last_coat: Signal<Local, Bit>,
    first_coat: Vec<Signal<Local, Bit>>,

    // What the stream is.
    mode_build: Vec<Signal<Local, Bit>>,
    mode_lookup: Vec<Signal<Local, Bit>>,
    mode_mask: Vec<Signal<Local, Bit>>,
    mode_blocks: Vec<Signal<Local, Bit>>,
    mode_mac: Vec<Signal<Local, Bit>>,
    building: Signal<Local, Bit>,

    // Memories and data paths.
    byte_raddr: Vec<Wire<Local>>,
    bytes: Vec<Ram>,
    unused_load: Vec<Unused>,
    lookup: Vec<Inst<LookupUnit>>,
    group: Vec<Wire<Local>>,
    plane_en: Vec<Signal<Local, Bit>>,
    plane_data: Vec<Wire<Local>>,
    planes: Vec<Ram>,
    signs: Vec<Inst<SignGen>>,
    blocks: Vec<Inst<BlockUnit>>,
    sum_valid: Vec<Signal<Local, Bit>>,
    sum_first: Vec<Signal<Local, Bit>>,
    sum_bits: Vec<Wire<Local>>,
    gated: Vec<Inst<GatedSum>>,
    mac: Vec<Inst<MacRow>>,

    // Results.
    column_end: Flop<Bit>,
    row_end: Flop<Bit>,
    done: Flop<Bit>,
    row_done: Flop<Bit>,
    column_done: Signal<Local, Bit>,
    acc: Wire<Local>,
    unused_acc: Vec<Unused>,
    column_acc: Wire<Local>,
    unused_column_acc: Vec<Unused>,
    unused_row_done: Vec<Unused>,

    mask_mode: Const,
    blocks_mode: Const,
    mac_mode: Const,
    _shape: ChannelShape,
    _byte_bits: u32,
    _byte_addr_bits: u32,
    _group_bits: u32,
    _result_bits: u32,
    _no_mode: usize,
    _no_start: usize,
    _spare_load: usize,
    _spare_acc: usize,
    _bytes: usize,
    _beats: usize,
    _lookups: usize,
    _mask: usize,
    _blocks: usize,
    _blocks_alone: usize,
    _mac: usize,
    _gated: usize,
    _both: usize,
    _planes: usize,
    _single: usize,
    _low: usize,
    _high: usize,
    _planes_of_mask: usize,
    _planes_of_blocks: usize,
    _tree_planes_of_blocks: usize,
    _many_modes: usize,
    _one_mode: usize,
    _many_coats: usize,
    _one_coat: usize,
}

impl BankUnit {
    /// What the waveform check reads in this clock: the accumulator when a column's beats are all
    /// in it, and the result of a matrix row.
    pub fn observed(&self) -> (Option<i128>, Option<i128>) {
        let column = self.column_done.val().then(|| self.column_acc.get());
        let row = self.row_valid.val().then(|| self.row_value.get());
        (column, row)
    }
}

impl Logic for BankUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, column_first, column_last, beats_less_1, beat, busy, next_step);
        dff_setup!(self, clock, column_end, row_end, done, row_done);
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
            for j in 0..self._mask {
                self.mode_mask[j].next = self.mode[0].val() == self.mask_mode.val();
            }
            for j in 0..self._blocks {
                self.mode_blocks[j].next = self.mode[0].val() == self.blocks_mode.val();
            }
            for j in 0..self._mac {
                self.mode_mac[j].next = self.mode[0].val() == self.mac_mode.val();
            }
        }
        for _i in 0..self._one_mode {
            for j in 0..self._mask {
                self.mode_mask[j].next = true;
            }
            for j in 0..self._blocks {
                self.mode_blocks[j].next = true;
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
        for i in 0..self._no_start {
            self.unused_start[i].x.next = self.stream_start.val().into();
        }
        self.row_first.next = self.column_first.q.val() & (self.beat.q.val() == 0);

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
        for p in 0..self._single {
            self.plane_en[p].next = self.plane_we[0].val() & (self.plane[0].val() == p);
            self.plane_data[p].next = self.load_data.val();
        }
        for h in 0..self._low {
            self.plane_en[2 * h].next = self.plane_we[0].val() & (self.plane[0].val() == h);
            self.plane_data[2 * h].next = self.load_data.val();
        }
        for h in 0..self._high {
            self.plane_en[2 * h + 1].next = self.plane_we[0].val() & (self.plane[0].val() == h);
            self.plane_data[2 * h + 1].next = self.load_second[0].val();
        }
        for p in 0..self._planes {
            self.planes[p].clock.next = self.clock.val();
            self.planes[p].we.next = self.plane_en[p].val();
            self.planes[p].waddr.next = self.plane_group[0].val();
            self.planes[p].wdata.next = self.plane_data[p].val();
        }
        for i in 0..self._gated {
            self.group[i].next = bit_cast(self.step.val(), self._group_bits);
            for j in 0..self._blocks {
                if self.mode_blocks[j].val() {
                    self.group[i].next = self.blocks[j].group.val();
                }
            }
            for p in 0..self._planes {
                self.planes[p].raddr.next = self.group[i].val();
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
            self.signs[i].advance.next =
                self.busy.q.val() & self.mode_mask[i].val() & self.first_coat[i].val();
        }

        comment!("---- binary quadratic blocks ----");
        for j in 0..self._blocks {
            self.blocks[j].clock.next = self.clock.val();
            self.blocks[j].restart.next = self.stream_start.val();
            self.blocks[j].block.next = self.block[j].val();
            self.blocks[j].beat.next = self.busy.q.val() & self.mode_blocks[j].val();
            self.blocks[j].word.next = self.word.val();
            for p in 0..self._planes_of_blocks {
                self.blocks[j].x_planes[p].next = self.planes[p].rdata.val();
            }
            self.blocks[j].sum.next = self.gated[j].sum.val();
            self.blocks[j].ones.next = self.gated[j].ones[j].val();
        }

        comment!("---- gated sum ----");
        for i in 0..self._gated {
            self.gated[i].clock.next = self.clock.val();
            self.sum_valid[i].next = false;
            for j in 0..self._mask {
                self.sum_valid[i].next = self.busy.q.val() & self.mode_mask[j].val();
                self.gated[i].signs[j].next = self.signs[j].signs.val();
            }
            self.sum_first[i].next = self.row_first.val();
            self.sum_bits[i].next = self.word.val();
            for j in 0..self._blocks {
                if self.mode_blocks[j].val() {
                    self.sum_valid[i].next = self.blocks[j].sum_valid.val();
                    self.sum_first[i].next = self.blocks[j].sum_first.val();
                    self.sum_bits[i].next = self.blocks[j].signs.val();
                }
            }
            for j in 0..self._both {
                self.gated[i].masked[j].next = self.mode_mask[j].val();
            }
            self.gated[i].valid.next = self.sum_valid[i].val();
            self.gated[i].first.next = self.sum_first[i].val();
            self.gated[i].bits.next = self.sum_bits[i].val();
            for p in 0..self._planes_of_mask {
                self.gated[i].planes[p].next = self.planes[p].rdata.val();
            }
            for j in 0..self._blocks {
                for p in 0..self._tree_planes_of_blocks {
                    self.gated[i].planes[p].next = self.blocks[j].planes[p].val();
                }
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

        comment!("---- results: two clocks behind the beats, of blocks three ----");
        self.column_end.d.next = self.last_beat.val() & !self.building.val();
        self.row_end.d.next = self.column_last.q.val();
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
        self.row_valid.next = self.column_done.val() & self.row_done.q.val();
        self.row_value.next = self.column_acc.val();
        for i in 0..self._blocks_alone {
            // Waveforms show the columns; rows of blocks do not end with them.
            self.unused_column_acc[i].x.next = self.column_acc.val();
            self.unused_row_done[i].x.next =
                (self.column_done.val() & self.row_done.q.val()).into();
        }
        for j in 0..self._blocks {
            if self.mode_blocks[j].val() {
                self.row_valid.next = self.blocks[j].row_valid.val();
                self.row_value.next = self.blocks[j].row_value.val();
            }
        }
    }
}

/// Names the modes of a bank for its header.
fn mode_names(bank: &BankShape) -> String {
    let name = |(at, m): (usize, &StreamMode)| match m {
        StreamMode::Build(l) => format!("{at} codebook of lookup unit {l}"),
        StreamMode::Lookup(l) => format!("{at} codes of lookup unit {l}"),
        StreamMode::Mask => format!("{at} mask"),
        StreamMode::Blocks => format!("{at} binary quadratic blocks"),
        StreamMode::Mac => format!("{at} int8 weights"),
        StreamMode::Attention(m) => format!("{at} attention: {}", m.name()),
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
        let blocks = if self._blocks > 0 {
            format!(", {BLOCK_LATENCY} from that of a row of a block")
        } else {
            String::new()
        };
        Contract {
            summary: "Bank unit: chews the columns of one DRAM bank into the results of matrix rows."
                .into(),
            formula: format!("Stream modes: {}.", mode_names(bank)),
            latency: format!(
                "{UNIT_LATENCY} clocks from the last beat of a row to row_valid_o and row_value_o{blocks}."
            ),
            throughput: format!("A column every {beats} clocks."),
            layout: format!(
                "A column is {beats} beats of {} bits, the lowest first.",
                self._shape.beat_bits
            ),
            preconditions: format!(
                "Columns at least {beats} clocks apart; the stream's settings held until its last \
                 result.{mask} Results fit {} bits: proven per matrix.",
                bank.result_bits
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("stream_start", "stream settings, held"),
            ("col_valid", "column"),
            ("byte_we", "input memories"),
            ("row_valid", "results of matrix rows"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
