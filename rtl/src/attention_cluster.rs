//! Attention cluster: what is taken out of columns and put into them where tokens are clustered, the
//! encoders, and the means of what they encode.

use crate::attention::{AttentionMode, AttentionParam, AttentionShape, ARG_BITS};
use crate::attention_encode::AttentionEncode;
use crate::attention_means::AttentionMeans;
use crate::attention_place::AttentionPlace;
use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape, StreamMode};

/// Encoders side by side, of which the parameter chooses one. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct AttentionCluster {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A stream begins.
    pub stream_start: Signal<In, Bit>,
    /// Its mode, as in the attention unit.
    pub mode: Wire<In>,
    /// It makes centroids of what was added; only where the unit treats its columns apart.
    pub is_update: Vec<Signal<Out, Bit>>,
    /// Sets a parameter.
    pub param_we: Signal<In, Bit>,
    /// Which: an index of [`AttentionParam`].
    pub param_index: Wire<In>,
    /// Its value.
    pub param_value: Wire<In>,
    /// The bank's token group; only when there are two or more.
    pub group: Vec<Wire<In>>,

    /// A column is there; only where some have fewer beats that are used, as what follows.
    pub col_valid: Vec<Signal<In, Bit>>,
    /// Those beats, less 1.
    pub col_beats: Vec<Wire<In>>,
    /// A beat enters.
    pub busy: Signal<In, Bit>,
    /// It is the first of its column.
    pub begins: Signal<In, Bit>,
    /// It is the last.
    pub ends: Signal<In, Bit>,
    /// Its word of the tables.
    pub word_at: Wire<In>,

    /// The beat that is on its second clock.
    pub word: Wire<In>,
    /// Its place in the column.
    pub beat: Wire<In>,
    /// Its slice; only when there are two or more.
    pub slice: Vec<Wire<In>>,
    /// It is of a codebook that passes.
    pub encode_valid: Signal<In, Bit>,
    /// The first of its slice.
    pub first: Signal<In, Bit>,
    /// The last of its slice; only where that is padded.
    pub tail: Vec<Signal<In, Bit>>,
    /// Its place in its slice's codebook; only when that has two beats or more.
    pub book_word: Vec<Wire<In>>,
    /// Tokens are taken from it.
    pub capture: Signal<In, Bit>,
    /// A code is put into it.
    pub put_code: Signal<In, Bit>,
    /// A token is put into it; only where tokens are kept exact.
    pub put_token: Vec<Signal<In, Bit>>,
    /// The sub-vector of that token.
    pub token: Vec<Wire<In>>,

    /// Encoder 0 takes `new_token`; only where tokens are encoded at once.
    pub take: Vec<Signal<In, Bit>>,
    /// Sub-vectors of every slice.
    pub new_token: Vec<Wire<In>>,

    /// The sub-vectors that were captured in this clock; 0 unless the place is in this group. Only
    /// where there are several groups.
    pub x_out: Vec<Wire<Out>>,
    /// `x_out` of all groups, one or another.
    pub x_in: Vec<Wire<In>>,
    /// The last column into which something was put.
    pub column: Vec<Wire<Out>>,

    is_clear: Signal<Local, Bit>,
    is_accumulate: Signal<Local, Bit>,
    is_insert: Signal<Local, Bit>,
    updates: Signal<Local, Bit>,
    put_e: Flop<Bit>,
    keep_e: Flop<Bit>,
    end_e: Flop<Bit>,
    unused_value: Unused,
    place: Inst<AttentionPlace>,
    slice_f: Vec<Reg>,
    shown_slice: Vec<Wire<Local>>,
    encode: Vec<Inst<AttentionEncode>>,
    encoder: Vec<Reg>,
    chosen_code: Wire<Local>,
    chosen_x: Wire<Local>,
    used_less_1: Vec<Reg>,
    means: Inst<AttentionMeans>,

    mode_clear: Const,
    mode_accumulate: Const,
    mode_update: Const,
    mode_insert_centroid: Const,
    param_place: Const,
    param_encoder: Const,
    param_weight: Const,
    taken: Const,
    _beats: usize,
    _groups: usize,
    _exact: usize,
    _x_ports: usize,
    _takes_of_groups: usize,
    _takes_alone: usize,
    _encoders: usize,
    _one_encoder: usize,
    _many_encoders: usize,
    _takes: usize,
    _take: usize,
    _take_encoders: usize,
    _slices: usize,
    _sliced: usize,
    _padded: usize,
    _book: usize,
    _tailed: usize,
    _apart: usize,
    _lane_bits: u32,
    _beat_bits: u32,
    _group_bits: u32,
    _vector_bits: u32,
    _encoder_bits: u32,
    _weight_bits: u32,
}

impl Logic for AttentionCluster {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, put_e, keep_e, end_e);
        comment!("---- what the stream is, and of its columns the beat on its second clock ----");
        self.is_clear.next = self.mode.val() == self.mode_clear.val();
        self.is_accumulate.next = self.mode.val() == self.mode_accumulate.val();
        self.is_insert.next = self.mode.val() == self.mode_insert_centroid.val();
        self.updates.next = self.mode.val() == self.mode_update.val();
        for i in 0..self._apart {
            self.is_update[i].next = self.updates.val();
        }
        self.put_e.d.next = self.busy.val() & self.is_insert.val();
        self.keep_e.d.next = self.busy.val() & self.updates.val();
        self.end_e.d.next = self.ends.val() & self.updates.val();

        comment!("---- the place: captures and inserts ----");
        self.unused_value.x.next = self.param_value.val();
        self.place.clock.next = self.clock.val();
        self.place.set.next =
            self.param_we.val() & (self.param_index.val() == self.param_place.val());
        self.place.set_lane.next = bit_cast(self.param_value.val(), self._lane_bits);
        self.place.set_beat.next = bit_cast(self.param_value.val() >> 8, self._beat_bits);
        for i in 0..self._groups {
            self.place.set_group[i].next = bit_cast(self.param_value.val() >> 16, self._group_bits);
            self.place.group[i].next = self.group[i].val();
        }
        self.place.word.next = self.word.val();
        self.place.beat.next = self.beat.val();
        self.place.take[0].next = self.capture.val();
        self.place.put_code.next = self.put_code.val();
        self.place.code.next = self.chosen_code.val();
        for i in 0..self._exact {
            self.place.put_token[i].next = self.put_token[i].val();
            self.place.token[i].next = self.token[i].val();
        }
        self.place.put_centroid[0].next = self.put_e.q.val();
        self.place.centroid[0].next = self.chosen_x.val();
        self.place.keep[0].next = self.keep_e.q.val();
        self.place.shift[0].next = self.means.shift.val();
        self.place.shift_in[0].next = self.means.mean.val();
        for b in 0..self._beats {
            self.column[b].next = self.place.column[b].val();
        }
        for i in 0..self._x_ports {
            self.x_out[i].next = self.place.taken[i].val();
        }

        comment!("---- a codebook passes for all encoders ----");
        for e in 0..self._encoders {
            self.encode[e].clock.next = self.clock.val();
            self.encode[e].valid.next = self.encode_valid.val();
            self.encode[e].first.next = self.first.val();
            self.encode[e].word.next = self.word.val();
        }
        for q in 0..self._takes {
            for j in 0..self.taken.val() {
                self.encode[q * self.taken.val() + j].capture[0].next =
                    self.place.taken_valid[q].val();
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
        for i in 0..self._take {
            self.encode[0].take[i].next = self.take[i].val();
            for e in 1..self._encoders {
                self.encode[e].take[i].next = false;
            }
        }
        for e in 0..self._take_encoders {
            for s in 0..self._slices {
                self.encode[e].token[s].next = self.new_token[s].val();
            }
        }
        for i in 0..self._padded {
            for e in 0..self._encoders {
                self.encode[e].tail[i].next = self.tail[i].val();
            }
        }
        for i in 0..self._book {
            for e in 0..self._encoders {
                self.encode[e].place[i].next = self.book_word[i].val();
            }
        }
        for i in 0..self._sliced {
            self.slice_f[i].clock.next = self.clock.val();
            self.slice_f[i].d.next = self.slice[i].val();
            // Of a token that is added the slices come without columns.
            self.shown_slice[i].next = self.slice[i].val();
            if self.means.shows[i].val() {
                self.shown_slice[i].next = self.means.slice[i].val();
            }
            for e in 0..self._encoders {
                self.encode[e].capture_slice[i].next = self.slice_f[i].q.val();
                self.encode[e].slice[i].next = self.shown_slice[i].val();
            }
        }

        comment!("---- the token of one of them ----");
        for e in 0..self._one_encoder {
            self.chosen_code.next = self.encode[e].code.val();
            self.chosen_x.next = self.encode[e].shown[0].val();
        }
        for i in 0..self._many_encoders {
            self.encoder[i].clock.next = self.clock.val();
            self.encoder[i].d.next = self.encoder[i].q.val();
            if self.param_we.val() & (self.param_index.val() == self.param_encoder.val()) {
                self.encoder[i].d.next = bit_cast(self.param_value.val(), self._encoder_bits);
            }
            self.chosen_code.next = self.encode[self.encoder[i].q.val().index()].code.val();
            self.chosen_x.next = self.encode[self.encoder[i].q.val().index()].shown[0].val();
        }

        comment!("---- the means of tokens ----");
        self.means.clock.next = self.clock.val();
        self.means.clear.next = self.stream_start.val() & self.is_clear.val();
        self.means.set_weight.next =
            self.param_we.val() & (self.param_index.val() == self.param_weight.val());
        self.means.weight_in.next = bit_cast(self.param_value.val(), self._weight_bits);
        self.means.add.next = self.stream_start.val() & self.is_accumulate.val();
        self.means.code.next = self.chosen_code.val();
        self.means.x.next = self.chosen_x.val();
        self.means.column.next = self.begins.val() & self.updates.val();
        self.means.word_at.next = self.word_at.val();
        for i in 0..self._tailed {
            self.used_less_1[i].clock.next = self.clock.val();
            self.used_less_1[i].d.next = self.used_less_1[i].q.val();
            if self.col_valid[i].val() {
                self.used_less_1[i].d.next = self.col_beats[i].val();
            }
            self.means.col_beats[i].next = self.used_less_1[i].q.val();
        }
        self.means.start.next = self.end_e.q.val();
        self.means.centroid.next = bit_cast(self.place.column[0].val(), self._vector_bits);
    }
}

impl AttentionCluster {
    /// For the units of a channel, where tokens are clustered.
    pub fn new(p: &AttentionShape, channel: &ChannelShape) -> Option<Self> {
        let cluster = p.cluster?;
        let modes = channel.bank.modes();
        let mode_bits = index_bits(modes.len() as u32);
        let mode = |mode: AttentionMode| {
            let at = modes.iter().position(|m| *m == StreamMode::Attention(mode));
            Const::named(mode_bits, at.unwrap_or(0))
        };
        let param = |x: AttentionParam| Const::named(p.param_bits(), x.index() as usize);
        let encode = || AttentionEncode::new(p, channel.beat_bits);
        let (place, one, means) =
            (AttentionPlace::new(p, channel), encode(), AttentionMeans::new(p, channel)?);
        let encoders = cluster.encoders as usize;
        let (taken, takes) = (place.taken.len(), place.taken_valid.len());
        let (encoder, vector) = (u(index_bits(cluster.encoders)), u(p.sub_bits()));
        let (slice, code) = (u(index_bits(p.slices)), u(p.code_bits()));
        let (exact, groups) = (place.put_token.len(), place.group.len());
        let (sliced, take, tailed) = (one.slice.len(), one.take.len(), means.col_beats.len());
        let apart = tailed.max(sliced);
        Some(AttentionCluster {
            mode: Wire::new(u(mode_bits)),
            is_update: vec![Signal::default(); apart],
            param_index: Wire::new(u(p.param_bits())),
            param_value: Wire::new(u(ARG_BITS)),
            group: place.group.clone(),
            col_valid: vec![Signal::default(); tailed],
            col_beats: means.col_beats.clone(),
            word_at: Wire::new(means.word_at.ty()),
            word: Wire::new(place.word.ty()),
            beat: Wire::new(place.beat.ty()),
            slice: one.slice.clone(),
            tail: one.tail.clone(),
            book_word: one.place.clone(),
            put_token: place.put_token.clone(),
            token: place.token.clone(),
            take: one.take.clone(),
            new_token: one.token.clone(),
            x_out: vec![Wire::new(vector); groups * taken],
            x_in: vec![Wire::new(vector); groups * taken],
            column: place.column.clone(),
            unused_value: Unused::new(ARG_BITS),
            slice_f: vec![Reg::data(slice); sliced],
            shown_slice: vec![Wire::new(slice); sliced],
            encoder: vec![Reg::new(encoder); (encoders > 1) as usize],
            chosen_code: Wire::new(code),
            chosen_x: Wire::new(vector),
            used_less_1: means.col_beats.iter().map(|beats| Reg::data(beats.ty())).collect(),
            mode_clear: mode(AttentionMode::Clear),
            mode_accumulate: mode(AttentionMode::Accumulate),
            mode_update: mode(AttentionMode::Update),
            mode_insert_centroid: mode(AttentionMode::InsertCentroid),
            param_place: param(AttentionParam::Place),
            param_encoder: param(AttentionParam::Encoder),
            param_weight: param(AttentionParam::Weight),
            taken: Const::new(taken),
            _beats: place.column.len(),
            _groups: groups,
            _exact: exact,
            _x_ports: groups * taken,
            _takes_of_groups: groups * takes,
            _takes_alone: (1 - groups) * takes,
            _encoders: encoders,
            _one_encoder: (encoders == 1) as usize,
            _many_encoders: (encoders > 1) as usize,
            _takes: takes,
            _take: take,
            _take_encoders: take * encoders,
            _slices: p.slices as usize,
            _sliced: sliced,
            _padded: one.tail.len(),
            _book: one.place.len(),
            _tailed: tailed,
            _apart: apart,
            _lane_bits: place.set_lane.ty().width,
            _beat_bits: place.set_beat.ty().width,
            _group_bits: place.group.first().map_or(1, |group| group.ty().width),
            _vector_bits: vector.width,
            _encoder_bits: encoder.width,
            _weight_bits: cluster.weight_bits,
            place: Inst::new(place),
            encode: (0..encoders).map(|_| Inst::new(encode())).collect(),
            means: Inst::new(means),
            ..AttentionCluster::default()
        })
    }
}

impl Unit for AttentionCluster {
    fn module(&self) -> String {
        "pimc_attention_cluster".into()
    }

    fn contract(&self) -> Contract {
        let several = match self._encoders {
            1 => String::new(),
            n => format!(
                "x and code are of one of {n} encoders, which parameter {} says. Encoder e takes the e-th \
                 sub-vector from the place on, by lane and beat.\n",
                self.param_encoder.val()
            ),
        };
        Contract {
            summary: "Attention cluster: takes tokens out of columns, encodes them side by side, and \
                      makes centroids of them."
                .into(),
            formula: format!(
                "{several}\
                 {} clear: sum[s][c] := 0, total[s][c] := 0.\n\
                 {} accumulate: for every slice s sum[s][code[s]] += weight * x[s], total[s][code[s]] += \
                 weight, which is parameter {}.\n\
                 {} update: column = the column with floor((2 * sum + total) / (2 * total)) for each \
                 element of the centroids with total > 0.\n\
                 {} insert_centroid: column = the column with x[s] at the place, in every token group.\n\
                 put_code: column = the column with code[s] at the place; put_token: with the token.",
                self.mode_clear.val(),
                self.mode_accumulate.val(),
                self.param_weight.val(),
                self.mode_update.val(),
                self.mode_insert_centroid.val()
            ),
            latency: "That of the place, the encoders and the means. Of an update: from ends_i a clock to \
                      start_i of the means, and one from their last shift_o to column_o."
                .into(),
            throughput: "A beat every clock; of an update a column at a time.".into(),
            preconditions: "Tokens are there a clock before the first beat of a codebook. Parameters are \
                            held while what uses them is under way."
                .into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        let columns = if self._tailed > 0 { "col_valid" } else { "busy" };
        vec![
            ("stream_start", "streams and parameters"),
            (columns, "beat that enters"),
            ("word", "beat on its second clock"),
            ("take", "new token"),
            ("x_out", "captured sub-vectors, over all token groups"),
            ("column", "column to write"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
