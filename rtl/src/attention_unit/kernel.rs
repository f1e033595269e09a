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
        for i in 0..self._cluster {
            self.is_clear[i].next = self.mode.val() == self.mode_clear.val();
            self.is_accumulate[i].next = self.mode.val() == self.mode_accumulate.val();
            self.is_update[i].next = self.mode.val() == self.mode_update.val();
            self.is_insert_centroid[i].next = self.mode.val() == self.mode_insert_centroid.val();
        }
        for i in 0..self._sliced {
            self.is_codebook[i].next =
                self.is_table.val() | self.is_combine.val() | self.is_encode.val();
        }
        for i in 0..self._cluster_sliced {
            self.is_codebook[i].next = self.is_codebook[i].val() | self.is_update[i].val();
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
            if self.col_valid.val() & self.is_update[i].val() {
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
        for i in 0..self._cluster {
            self.update_e[i].clock.next = self.clock.val();
            self.update_e[i].d.next = self.busy.q.val() & self.is_update[i].val();
            self.update_end_e[i].clock.next = self.clock.val();
            self.update_end_e[i].d.next = self.last_beat.val() & self.is_update[i].val();
            self.insert_centroid_e[i].clock.next = self.clock.val();
            self.insert_centroid_e[i].d.next = self.busy.q.val() & self.is_insert_centroid[i].val();
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
        for e in 0..self._one_encoder {
            self.place.code.next = self.encode[e].code.val();
        }
        for i in 0..self._many_encoders {
            self.place.code.next = self.chosen_code[i].val();
        }
        for i in 0..self._cluster {
            self.place.put_centroid[i].next = self.insert_centroid_e[i].q.val();
            self.place.centroid[i].next = self.chosen_x[i].val();
            self.place.keep[i].next = self.update_e[i].q.val();
            self.place.shift[i].next = self.means[i].shift.val();
            self.place.shift_in[i].next = self.means[i].mean.val();
        }
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
        for e in 0..self._encoders {
            self.encode[e].clock.next = self.clock.val();
            self.encode[e].valid.next = self.encode_e.q.val();
            self.encode[e].first.next = self.first_e.q.val();
            self.encode[e].word.next = self.word_e.q.val();
        }
        for i in 0..self._take {
            self.encode[0].take[i].next = self.stream_start.val() & self.is_take[i].val();
            for e in 1..self._encoders {
                self.encode[e].take[i].next = false;
            }
        }
        for e in 0..self._take_encoders {
            for s in 0..self._slices {
                self.encode[e].token[s].next = self.queries.token[s].val();
            }
        }
        for q in 0..self._takes {
            for j in 0..self.taken.val() {
                self.encode[q * self.taken.val() + j].capture[0].next =
                    self.place.taken_valid[q].val();
            }
        }
        for i in 0..self._captured_slice {
            self.slice_f[i].clock.next = self.clock.val();
            self.slice_f[i].d.next = self.slice_e[i].q.val();
            for e in 0..self._encoders {
                self.encode[e].capture_slice[i].next = self.slice_f[i].q.val();
            }
        }
        for q in 0..self._takes_of_groups {
            for j in 0..self.taken.val() {
                self.encode[q * self.taken.val() + j].captured[0].next = self.x_in[j].val();
            }
        }
        for q in 0..self._takes_alone {
            for j in 0..self.taken.val() {
                self.encode[q * self.taken.val() + j].captured[0].next = self.place.taken[j].val();
            }
        }
        for i in 0..self._padded {
            for e in 0..self._encoders {
                self.encode[e].tail[i].next = self.tail_e[i].q.val();
            }
        }
        for i in 0..self._book {
            for e in 0..self._encoders {
                self.encode[e].place[i].next = self.book_word_e[i].q.val();
            }
        }
        for i in 0..self._sliced_alone {
            self.encode[0].slice[i].next = self.slice_e[i].q.val();
        }
        for i in 0..self._cluster_sliced {
            // Of a token that is accumulated the slices come without columns.
            self.shown_slice[i].next = self.slice_e[i].q.val();
            if self.means[i].shows[i].val() {
                self.shown_slice[i].next = self.means[i].slice[i].val();
            }
            for e in 0..self._encoders {
                self.encode[e].slice[i].next = self.shown_slice[i].val();
            }
        }

        comment!("---- the token of one encoder, and the means of tokens ----");
        for i in 0..self._many_encoders {
            self.encoder[i].clock.next = self.clock.val();
            self.encoder[i].d.next = self.encoder[i].q.val();
            if self.param_we.val() & (self.param_index.val() == self.param_encoder.val()) {
                self.encoder[i].d.next = bit_cast(self.param_value.val(), self._encoder_bits);
            }
            self.chosen_code[i].next = self.encode[self.encoder[i].q.val().index()].code.val();
            self.chosen_x[i].next = self.encode[self.encoder[i].q.val().index()].shown[0].val();
        }
        for i in 0..self._cluster_of_one {
            self.chosen_code[i].next = self.encode[i].code.val();
            self.chosen_x[i].next = self.encode[i].shown[i].val();
        }
        for i in 0..self._cluster {
            self.means[i].clock.next = self.clock.val();
            self.means[i].clear.next = self.stream_start.val() & self.is_clear[i].val();
            self.means[i].set_weight.next =
                self.param_we.val() & (self.param_index.val() == self.param_weight.val());
            self.means[i].weight_in.next = bit_cast(self.param_value.val(), self._weight_bits);
            self.means[i].add.next = self.stream_start.val() & self.is_accumulate[i].val();
            self.means[i].code.next = self.chosen_code[i].val();
            self.means[i].x.next = self.chosen_x[i].val();
            self.means[i].column.next =
                self.busy.q.val() & self.is_update[i].val() & (self.beat.q.val() == 0);
            self.means[i].word_at.next = self.book_at.val();
            self.means[i].start.next = self.update_end_e[i].q.val();
            self.means[i].centroid.next = bit_cast(self.place.column[0].val(), self._vector_bits);
        }
        for i in 0..self._tailed {
            self.used_less_1[i].clock.next = self.clock.val();
            self.used_less_1[i].d.next = self.used_less_1[i].q.val();
            if self.col_valid.val() {
                self.used_less_1[i].d.next = self.col_beats.val();
            }
            self.means[i].col_beats[i].next = self.used_less_1[i].q.val();
        }
    }
}
