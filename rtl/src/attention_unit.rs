//! The attention unit: what stands beside one bank of a product-quantized key/value cache.
//!
//! A column enters in clock t, its beats come one per clock from t + 1. A beat addresses memories on
//! its first clock, meets queries, weights and centroids on its second.

mod build;
#[cfg(test)]
mod tests;

use crate::attention_dots::AttentionDots;
use crate::attention_encode::AttentionEncode;
use crate::attention_lane::AttentionLane;
use crate::attention_outputs::AttentionOutputs;
use crate::attention_place::AttentionPlace;
use crate::attention_queries::AttentionQueries;
use crate::attention_scores::AttentionScores;
use crate::hdl::prelude::*;

/// Chews the columns of one bank. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct AttentionUnit {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The number of this bank: its member in the low bits, its token group above.
    pub bank: Wire<In>,

    /// A stream begins, of the mode that is on `mode` from here to the stream's last beat; at the
    /// latest with its first column.
    pub stream_start: Signal<In, Bit>,
    /// Index into [`crate::shape::BankShape::modes`].
    pub mode: Wire<In>,

    /// A column of the stream is on `rd_data` in this clock.
    pub col_valid: Signal<In, Bit>,
    /// It is the first of a slice's codebook.
    pub col_first: Signal<In, Bit>,
    /// It is the last of a slice's codebook.
    pub col_last: Signal<In, Bit>,
    /// Beats of it that are used, less 1.
    pub col_beats: Wire<In>,
    /// The column.
    pub rd_data: Vec<Wire<In>>,
    /// Weights of a beat of exact values or of value codes, in the clock in which it enters: word
    /// `lane * rows + row`.
    pub prob: Vec<Wire<In>>,

    /// Takes `load_data` for the row of queries that the parameter says, if it is of this member.
    pub byte_we: Signal<In, Bit>,
    /// The number of the sub-vector.
    pub byte_addr: Wire<In>,
    /// The sub-vector, lowest.
    pub load_data: Wire<In>,
    /// Sets a parameter.
    pub param_we: Signal<In, Bit>,
    /// Which: an index of [`crate::attention::AttentionParam`].
    pub param_index: Wire<In>,
    /// Its value.
    pub param_value: Wire<In>,

    /// The scores of a beat are on `score`.
    pub score_valid: Signal<Out, Bit>,
    /// This bank's part of the scores: word `lane * rows + row`.
    pub score: Vec<Wire<Out>>,
    /// The last column into which something was put.
    pub wr_data: Vec<Wire<Out>>,

    /// The sub-vector that was captured in this clock; 0 unless the place is in this group. Only
    /// where there are several groups and tokens leave a window.
    pub x_out: Vec<Wire<Out>>,
    /// `x_out` of this member in all groups, one or another.
    pub x_in: Vec<Wire<In>>,

    /// The output that is read: its row; only when there are two or more.
    pub out_row: Vec<Wire<In>>,
    /// Its slice; only when there are two or more.
    pub out_slice: Vec<Wire<In>>,
    /// Its element in the sub-vector; only when there are two or more.
    pub out_element: Vec<Wire<In>>,
    /// That output, one clock later.
    pub out_value: Wire<Out>,

    // What the stream is.
    is_table: Signal<Local, Bit>,
    is_exact_scores: Vec<Signal<Local, Bit>>,
    is_scores: Signal<Local, Bit>,
    is_exact_values: Vec<Signal<Local, Bit>>,
    is_buckets: Signal<Local, Bit>,
    is_combine: Signal<Local, Bit>,
    is_capture: Vec<Signal<Local, Bit>>,
    is_take: Vec<Signal<Local, Bit>>,
    is_encode: Signal<Local, Bit>,
    is_insert_code: Signal<Local, Bit>,
    is_insert_token: Vec<Signal<Local, Bit>>,
    is_codebook: Vec<Signal<Local, Bit>>,

    // Column register and position.
    column: Vec<Reg>,
    column_first: Flop<Bit>,
    column_last: Vec<Flop<Bit>>,
    unused_last: Vec<Unused>,
    beats_less_1: Reg,
    beat: Reg,
    busy: Flop<Bit>,
    word: Wire<Local>,
    last_beat: Signal<Local, Bit>,
    row_first: Signal<Local, Bit>,
    slice: Vec<Reg>,
    next_word: Vec<Reg>,
    book_word: Vec<Wire<Local>>,
    book_base: Vec<Wire<Local>>,
    book_at: Wire<Local>,
    codes: Split,

    // The beat on its second clock.
    word_e: Reg,
    beat_e: Reg,
    slice_e: Vec<Reg>,
    first_e: Flop<Bit>,
    tail_e: Vec<Flop<Bit>>,
    book_word_e: Vec<Reg>,
    book_at_e: Reg,
    prob_e: Vec<Reg>,
    table_e: Flop<Bit>,
    exact_values_e: Vec<Flop<Bit>>,
    buckets_e: Flop<Bit>,
    combine_e: Flop<Bit>,
    capture_e: Vec<Flop<Bit>>,
    encode_e: Flop<Bit>,
    insert_code_e: Flop<Bit>,
    insert_token_e: Vec<Flop<Bit>>,

    // Queries.
    unused_value: Unused,
    unused_load: Vec<Unused>,
    queries: Inst<AttentionQueries>,

    // Data paths.
    dots: Inst<AttentionDots>,
    table_f: Flop<Bit>,
    book_at_f: Reg,
    lane: Vec<Inst<AttentionLane>>,
    scores: Inst<AttentionScores>,
    outputs: Inst<AttentionOutputs>,
    slice_f: Vec<Reg>,
    place: Inst<AttentionPlace>,
    encode: Inst<AttentionEncode>,

    mode_table: Const,
    mode_exact_scores: Const,
    mode_scores: Const,
    mode_exact_values: Const,
    mode_buckets: Const,
    mode_combine: Const,
    mode_capture: Const,
    mode_take: Const,
    mode_encode: Const,
    mode_insert_code: Const,
    mode_insert_token: Const,
    param_place: Const,
    param_load_row: Const,
    rows: Const,
    entries: Const,
    member_bits: Const,
    book_bits: Const,
    codes_bits: Const,
    word_bits: Const,
    _beats: usize,
    _rows: usize,
    _slices: usize,
    _lanes: usize,
    _entries: usize,
    _probs: usize,
    _exact_entries: usize,
    _exact: usize,
    _capture: usize,
    _take: usize,
    _lasts: usize,
    _no_last: usize,
    _padded: usize,
    _sliced: usize,
    _captured_slice: usize,
    _book: usize,
    _book_alone: usize,
    _slice_alone: usize,
    _both: usize,
    _neither: usize,
    _one_word: usize,
    _two_words: usize,
    _many_rows: usize,
    _members: usize,
    _groups: usize,
    _groups_alone: usize,
    _groups_of_members: usize,
    _x_ports: usize,
    _x_alone: usize,
    _elements: usize,
    _spare_load: usize,
    _codes_bits: u32,
    _lane_bits: u32,
    _beat_bits: u32,
    _member_bits: u32,
    _group_bits: u32,
    _row_bits: u32,
    _vector_bits: u32,
    _first_mode: usize,
    _shape: Option<(crate::attention::AttentionShape, u32, u32)>,
}

impl Logic for AttentionUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, column_first, beats_less_1, beat, busy, word_e, beat_e, first_e);
        dff_setup!(self, clock, book_at_e, table_e, buckets_e, combine_e, encode_e, insert_code_e);
        dff_setup!(self, clock, table_f, book_at_f);
        for b in 0..self._beats {
            self.column[b].clock.next = self.clock.val();
            self.column[b].d.next = self.column[b].q.val();
        }

        comment!("---- what the stream is ----");
        self.is_table.next = self.mode.val() == self.mode_table.val();
        self.is_scores.next = self.mode.val() == self.mode_scores.val();
        self.is_buckets.next = self.mode.val() == self.mode_buckets.val();
        self.is_combine.next = self.mode.val() == self.mode_combine.val();
        self.is_encode.next = self.mode.val() == self.mode_encode.val();
        self.is_insert_code.next = self.mode.val() == self.mode_insert_code.val();
        for i in 0..self._exact {
            self.is_exact_scores[i].next = self.mode.val() == self.mode_exact_scores.val();
            self.is_exact_values[i].next = self.mode.val() == self.mode_exact_values.val();
            self.is_insert_token[i].next = self.mode.val() == self.mode_insert_token.val();
        }
        for i in 0..self._capture {
            self.is_capture[i].next = self.mode.val() == self.mode_capture.val();
        }
        for i in 0..self._take {
            self.is_take[i].next = self.mode.val() == self.mode_take.val();
        }
        for i in 0..self._sliced {
            self.is_codebook[i].next =
                self.is_table.val() | self.is_combine.val() | self.is_encode.val();
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
            self.beats_less_1.d.next = self.col_beats.val();
            self.beat.d.next = 0.into();
            self.busy.d.next = true;
        }
        for i in 0..self._lasts {
            self.column_last[i].clock.next = self.clock.val();
            self.column_last[i].d.next = self.column_last[i].q.val();
            if self.col_valid.val() {
                self.column_last[i].d.next = self.col_last.val();
            }
        }
        for i in 0..self._no_last {
            self.unused_last[i].x.next = self.col_last.val().into();
        }
        self.word.next = self.column[self.beat.q.val().index()].q.val();
        self.row_first.next = self.column_first.q.val() & (self.beat.q.val() == 0);

        comment!("---- position: slice, and in a codebook the word of the tables ----");
        for i in 0..self._sliced {
            self.slice[i].clock.next = self.clock.val();
            self.slice[i].d.next = self.slice[i].q.val();
            if self.last_beat.val() & (self.column_last[i].q.val() | !self.is_codebook[i].val()) {
                self.slice[i].d.next = self.slice[i].q.val() + 1.into();
            }
            if self.stream_start.val() {
                self.slice[i].d.next = 0.into();
            }
        }
        for i in 0..self._book {
            self.next_word[i].clock.next = self.clock.val();
            self.next_word[i].d.next = self.next_word[i].q.val();
            self.book_word[i].next = self.next_word[i].q.val();
            if self.row_first.val() {
                self.book_word[i].next = 0.into();
            }
            if self.busy.q.val() {
                self.next_word[i].d.next = self.book_word[i].val() + 1.into();
            }
        }
        for _i in 0..self._neither {
            self.book_at.next = 0.into();
        }
        for i in 0..self._book_alone {
            self.book_at.next = self.book_word[i].val();
        }
        for i in 0..self._slice_alone {
            self.book_at.next = self.slice[i].q.val();
        }
        for i in 0..self._both {
            self.book_base[i].next = self.slice[i].q.val() << self.book_bits.val();
            self.book_at.next = self.book_base[i].val() | self.book_word[i].val();
        }
        for _i in 0..self._one_word {
            self.codes.x.next = bit_cast(self.word.val(), self._codes_bits);
        }
        for _i in 0..self._two_words {
            self.codes.x.next = bit_cast(self.word.val(), self._codes_bits)
                | (bit_cast(self.word.val() >> self.word_bits.val(), self._codes_bits)
                    << self.codes_bits.val());
        }

        // The beat on its second clock.
        self.word_e.d.next = self.word.val();
        self.beat_e.d.next = self.beat.q.val();
        self.first_e.d.next = self.row_first.val();
        self.book_at_e.d.next = self.book_at.val();
        self.table_e.d.next = self.busy.q.val() & self.is_table.val();
        self.buckets_e.d.next = self.busy.q.val() & self.is_buckets.val();
        self.combine_e.d.next = self.busy.q.val() & self.is_combine.val();
        // Whatever a codebook passes for, it tells the centroid nearest to the token.
        self.encode_e.d.next = self.busy.q.val()
            & (self.is_table.val() | self.is_combine.val() | self.is_encode.val());
        self.insert_code_e.d.next = self.busy.q.val() & self.is_insert_code.val();
        for i in 0..self._sliced {
            self.slice_e[i].clock.next = self.clock.val();
            self.slice_e[i].d.next = self.slice[i].q.val();
        }
        for i in 0..self._padded {
            self.tail_e[i].clock.next = self.clock.val();
            self.tail_e[i].d.next = self.last_beat.val() & self.column_last[i].q.val();
        }
        for i in 0..self._book {
            self.book_word_e[i].clock.next = self.clock.val();
            self.book_word_e[i].d.next = self.book_word[i].val();
        }
        for i in 0..self._probs {
            self.prob_e[i].clock.next = self.clock.val();
            self.prob_e[i].d.next = self.prob[i].val();
        }
        for i in 0..self._exact {
            self.exact_values_e[i].clock.next = self.clock.val();
            self.exact_values_e[i].d.next = self.busy.q.val() & self.is_exact_values[i].val();
            self.insert_token_e[i].clock.next = self.clock.val();
            self.insert_token_e[i].d.next = self.busy.q.val() & self.is_insert_token[i].val();
        }
        for i in 0..self._capture {
            self.capture_e[i].clock.next = self.clock.val();
            self.capture_e[i].d.next = self.busy.q.val() & self.is_capture[i].val();
        }

        comment!("---- queries ----");
        self.unused_value.x.next = self.param_value.val();
        for i in 0..self._spare_load {
            self.unused_load[i].x.next = self.load_data.val();
        }
        self.queries.clock.next = self.clock.val();
        for i in 0..self._members {
            self.queries.member[i].next = bit_cast(self.bank.val(), self._member_bits);
        }
        for i in 0..self._many_rows {
            self.queries.row_we[i].next =
                self.param_we.val() & (self.param_index.val() == self.param_load_row.val());
            self.queries.row[i].next = bit_cast(self.param_value.val(), self._row_bits);
        }
        self.queries.we.next = self.byte_we.val();
        self.queries.addr.next = self.byte_addr.val();
        self.queries.data.next = bit_cast(self.load_data.val(), self._vector_bits);
        for i in 0..self._sliced {
            self.queries.at[i].next = self.slice_e[i].q.val();
        }

        comment!("---- products with the queries ----");
        self.dots.clock.next = self.clock.val();
        self.dots.word.next = self.word_e.q.val();
        for r in 0..self._rows {
            self.dots.query[r].next = self.queries.shown[r].val();
        }
        self.table_f.d.next = self.table_e.q.val();
        self.book_at_f.d.next = self.book_at_e.q.val();

        comment!("---- a table and buckets for every code of a beat ----");
        for l in 0..self._lanes {
            self.lane[l].clock.next = self.clock.val();
            self.lane[l].code.next = self.codes.y[l].val();
            self.lane[l].build.next = self.table_f.q.val();
            self.lane[l].build_at.next = self.book_at_f.q.val();
            self.lane[l].add.next = self.buckets_e.q.val();
            self.lane[l].read.next = self.is_combine.val();
            self.lane[l].read_at.next = self.book_at.val();
        }
        for i in 0..self._sliced {
            for l in 0..self._lanes {
                self.lane[l].slice[i].next = self.slice[i].q.val();
            }
        }
        for l in 0..self._lanes {
            for e in 0..self._entries {
                self.lane[l].entry[e].next = self.dots.dot[e].val();
            }
        }
        for l in 0..self._lanes {
            for r in 0..self._rows {
                self.lane[l].prob[r].next = self.prob_e[l * self.rows.val() + r].q.val();
            }
        }

        comment!("---- scores ----");
        self.scores.clock.next = self.clock.val();
        self.scores.valid.next = self.busy.q.val() & self.is_scores.val();
        for i in 0..self._exact {
            self.scores.valid.next =
                self.busy.q.val() & (self.is_scores.val() | self.is_exact_scores[i].val());
            self.scores.exact[i].next = self.is_exact_scores[i].val();
        }
        for i in 0..self._sliced {
            self.scores.slice[i].next = self.slice[i].q.val();
            self.scores.beat[i].next = self.beat.q.val();
        }
        for l in 0..self._lanes {
            for r in 0..self._rows {
                self.scores.part[l * self.rows.val() + r].next = self.lane[l].part[r].val();
            }
        }
        for e in 0..self._exact_entries {
            self.scores.dot[e].next = self.dots.dot[e].val();
        }
        self.score_valid.next = self.scores.score_valid.val();
        for i in 0..self._probs {
            self.score[i].next = self.scores.score[i].val();
        }

        comment!("---- outputs ----");
        self.outputs.clock.next = self.clock.val();
        self.outputs.clear.next = self.stream_start.val() & self.is_table.val();
        self.outputs.combine.next = self.combine_e.q.val();
        self.outputs.word.next = self.word_e.q.val();
        for i in 0..self._exact {
            self.outputs.exact[i].next = self.exact_values_e[i].q.val();
        }
        for e in 0..self._exact_entries {
            self.outputs.prob[e].next = self.prob_e[e].q.val();
        }
        for l in 0..self._lanes {
            for e in 0..self._entries {
                self.outputs.bucket[l * self.entries.val() + e].next = self.lane[l].bucket[e].val();
            }
        }
        for i in 0..self._many_rows {
            self.outputs.out_row[i].next = self.out_row[i].val();
        }
        for i in 0..self._sliced {
            self.outputs.slice[i].next = self.slice_e[i].q.val();
            self.outputs.out_slice[i].next = self.out_slice[i].val();
        }
        for i in 0..self._elements {
            self.outputs.out_element[i].next = self.out_element[i].val();
        }
        self.out_value.next = self.outputs.out_value.val();

        comment!("---- the place: captures and inserts ----");
        self.place.clock.next = self.clock.val();
        self.place.set.next =
            self.param_we.val() & (self.param_index.val() == self.param_place.val());
        self.place.set_lane.next = bit_cast(self.param_value.val(), self._lane_bits);
        self.place.set_beat.next = bit_cast(self.param_value.val() >> 8, self._beat_bits);
        for i in 0..self._groups {
            self.place.set_group[i].next = bit_cast(self.param_value.val() >> 16, self._group_bits);
        }
        for i in 0..self._groups_alone {
            self.place.group[i].next = self.bank.val();
        }
        for i in 0..self._groups_of_members {
            self.place.group[i].next =
                bit_cast(self.bank.val() >> self.member_bits.val(), self._group_bits);
        }
        self.place.word.next = self.word_e.q.val();
        self.place.beat.next = self.beat_e.q.val();
        self.place.put_code.next = self.insert_code_e.q.val();
        self.place.code.next = self.encode.code.val();
        for i in 0..self._exact {
            self.place.put_token[i].next = self.insert_token_e[i].q.val();
            self.place.token[i].next = self.queries.shown[0].val();
        }
        for i in 0..self._capture {
            self.place.take[i].next = self.capture_e[i].q.val();
        }
        for b in 0..self._beats {
            self.wr_data[b].next = self.place.column[b].val();
        }
        for i in 0..self._x_ports {
            self.x_out[i].next = self.place.taken[i].val();
        }

        comment!("---- the nearest centroids ----");
        self.encode.clock.next = self.clock.val();
        self.encode.valid.next = self.encode_e.q.val();
        self.encode.first.next = self.first_e.q.val();
        self.encode.word.next = self.word_e.q.val();
        for i in 0..self._take {
            self.encode.take[i].next = self.stream_start.val() & self.is_take[i].val();
            for s in 0..self._slices {
                self.encode.token[s].next = self.queries.token[s].val();
            }
        }
        for i in 0..self._capture {
            self.encode.capture[i].next = self.place.taken_valid[i].val();
        }
        for i in 0..self._captured_slice {
            self.slice_f[i].clock.next = self.clock.val();
            self.slice_f[i].d.next = self.slice_e[i].q.val();
            self.encode.capture_slice[i].next = self.slice_f[i].q.val();
        }
        for i in 0..self._x_ports {
            self.encode.captured[i].next = self.x_in[i].val();
        }
        for i in 0..self._x_alone {
            self.encode.captured[i].next = self.place.taken[i].val();
        }
        for i in 0..self._padded {
            self.encode.tail[i].next = self.tail_e[i].q.val();
        }
        for i in 0..self._book {
            self.encode.place[i].next = self.book_word_e[i].q.val();
        }
        for i in 0..self._sliced {
            self.encode.slice[i].next = self.slice_e[i].q.val();
        }
    }
}

impl Unit for AttentionUnit {
    fn module(&self) -> String {
        "pimc_attention_unit".into()
    }

    fn contract(&self) -> Contract {
        build::contract(self)
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        let select = match (self._many_rows, self._sliced, self._elements) {
            (1, ..) => "out_row",
            (_, 1, _) => "out_slice",
            (_, _, 1) => "out_element",
            _ => "out_value",
        };
        vec![
            ("bank", "the number of this bank, fixed"),
            ("stream_start", "stream"),
            ("col_valid", "column, and weights of its beats"),
            ("byte_we", "queries"),
            ("param_we", "parameters"),
            ("score_valid", "scores"),
            ("wr_data", "column to write"),
            ("x_out", "captured sub-vector, over all token groups"),
            (select, "outputs"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
