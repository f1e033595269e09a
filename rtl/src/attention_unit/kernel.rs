//! How an attention unit chews a column, clock by clock.

use super::AttentionUnit;
use crate::hdl::prelude::*;

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
        for i in 0..self._cluster_sliced {
            self.is_codebook[i].next =
                self.is_codebook[i].val() | self.cluster[i].is_update[0].val();
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
        for i in 0..self._tailed {
            // What is written back is whole, also the beats behind the last centroid.
            if self.col_valid.val() & self.cluster[i].is_update[0].val() {
                self.beats_less_1.d.next = self.last_beat_number.val().into();
            }
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
        for i in 0..self._plain {
            self.place[i].clock.next = self.clock.val();
            self.place[i].set.next =
                self.param_we.val() & (self.param_index.val() == self.param_place.val());
            self.place[i].set_lane.next = bit_cast(self.param_value.val(), self._lane_bits);
            self.place[i].set_beat.next = bit_cast(self.param_value.val() >> 8, self._beat_bits);
            for g in 0..self._groups {
                self.place[i].set_group[g].next =
                    bit_cast(self.param_value.val() >> 16, self._group_bits);
            }
            for g in 0..self._groups_alone {
                self.place[i].group[g].next = self.bank.val();
            }
            for g in 0..self._groups_of_members {
                self.place[i].group[g].next =
                    bit_cast(self.bank.val() >> self.member_bits.val(), self._group_bits);
            }
            self.place[i].word.next = self.word_e.q.val();
            self.place[i].beat.next = self.beat_e.q.val();
            self.place[i].put_code.next = self.insert_code_e.q.val();
            self.place[i].code.next = self.encode[i].code.val();
            for e in 0..self._exact {
                self.place[i].put_token[e].next = self.insert_token_e[e].q.val();
                self.place[i].token[e].next = self.queries.shown[0].val();
            }
            for c in 0..self._capture {
                self.place[i].take[c].next = self.capture_e[c].q.val();
            }
            for b in 0..self._beats {
                self.wr_data[b].next = self.place[i].column[b].val();
            }
            for x in 0..self._x_ports {
                self.x_out[x].next = self.place[i].taken[x].val();
            }
        }

        comment!("---- the nearest centroids ----");
        for e in 0..self._plain {
            self.encode[e].clock.next = self.clock.val();
            self.encode[e].valid.next = self.encode_e.q.val();
            self.encode[e].first.next = self.first_e.q.val();
            self.encode[e].word.next = self.word_e.q.val();
            for i in 0..self._take {
                self.encode[e].take[i].next = self.stream_start.val() & self.is_take[i].val();
                for s in 0..self._slices {
                    self.encode[e].token[s].next = self.queries.token[s].val();
                }
            }
            for i in 0..self._capture {
                self.encode[e].capture[i].next = self.place[e].taken_valid[i].val();
            }
            for i in 0..self._captured_slice {
                self.slice_f[i].clock.next = self.clock.val();
                self.slice_f[i].d.next = self.slice_e[i].q.val();
                self.encode[e].capture_slice[i].next = self.slice_f[i].q.val();
            }
            for i in 0..self._x_ports {
                self.encode[e].captured[i].next = self.x_in[i].val();
            }
            for i in 0..self._x_alone {
                self.encode[e].captured[i].next = self.place[e].taken[i].val();
            }
            for i in 0..self._padded {
                self.encode[e].tail[i].next = self.tail_e[i].q.val();
            }
            for i in 0..self._book {
                self.encode[e].place[i].next = self.book_word_e[i].q.val();
            }
            for i in 0..self._sliced {
                self.encode[e].slice[i].next = self.slice_e[i].q.val();
            }
        }

        comment!("---- all of that, several encoders, and the means of tokens ----");
        for e in 0..self._cluster {
            self.cluster[e].clock.next = self.clock.val();
            self.cluster[e].stream_start.next = self.stream_start.val();
            self.cluster[e].mode.next = self.mode.val();
            self.cluster[e].param_we.next = self.param_we.val();
            self.cluster[e].param_index.next = self.param_index.val();
            self.cluster[e].param_value.next = self.param_value.val();
            for g in 0..self._groups_alone {
                self.cluster[e].group[g].next = self.bank.val();
            }
            for g in 0..self._groups_of_members {
                self.cluster[e].group[g].next =
                    bit_cast(self.bank.val() >> self.member_bits.val(), self._group_bits);
            }
            for i in 0..self._tailed {
                self.cluster[e].col_valid[i].next = self.col_valid.val();
                self.cluster[e].col_beats[i].next = self.col_beats.val();
            }
            self.cluster[e].busy.next = self.busy.q.val();
            self.cluster[e].begins.next = self.busy.q.val() & (self.beat.q.val() == 0);
            self.cluster[e].ends.next = self.last_beat.val();
            self.cluster[e].word_at.next = self.book_at.val();
            self.cluster[e].word.next = self.word_e.q.val();
            self.cluster[e].beat.next = self.beat_e.q.val();
            for i in 0..self._sliced {
                self.cluster[e].slice[i].next = self.slice_e[i].q.val();
            }
            self.cluster[e].encode_valid.next = self.encode_e.q.val();
            self.cluster[e].first.next = self.first_e.q.val();
            for i in 0..self._padded {
                self.cluster[e].tail[i].next = self.tail_e[i].q.val();
            }
            for i in 0..self._book {
                self.cluster[e].book_word[i].next = self.book_word_e[i].q.val();
            }
            self.cluster[e].capture.next = self.capture_e[0].q.val();
            self.cluster[e].put_code.next = self.insert_code_e.q.val();
            for i in 0..self._exact {
                self.cluster[e].put_token[i].next = self.insert_token_e[i].q.val();
                self.cluster[e].token[i].next = self.queries.shown[0].val();
            }
            for i in 0..self._take {
                self.cluster[e].take[i].next = self.stream_start.val() & self.is_take[i].val();
                for s in 0..self._slices {
                    self.cluster[e].new_token[s].next = self.queries.token[s].val();
                }
            }
            for x in 0..self._x_ports {
                self.cluster[e].x_in[x].next = self.x_in[x].val();
                self.x_out[x].next = self.cluster[e].x_out[x].val();
            }
            for b in 0..self._beats {
                self.wr_data[b].next = self.cluster[e].column[b].val();
            }
        }
    }
}
