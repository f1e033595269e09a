//! Attention cluster: the encoders of a bank whose tokens are clustered, and the means of their tokens.

use crate::attention::{AttentionMode, AttentionParam, AttentionShape};
use crate::attention_encode::AttentionEncode;
use crate::attention_means::AttentionMeans;
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
    /// As many bits of its value as count here.
    pub param_value: Wire<In>,

    /// The encoders take sub-vectors; several where a column has more than a beat of them.
    pub capture: Vec<Signal<In, Bit>>,
    /// Of this slice; only when there are two or more.
    pub capture_slice: Vec<Wire<In>>,
    /// The sub-vectors, as many as are taken of a beat.
    pub captured: Vec<Wire<In>>,
    /// Encoder 0 takes `token`; only where tokens are encoded at once.
    pub take: Vec<Signal<In, Bit>>,
    /// Sub-vectors of every slice.
    pub token: Vec<Wire<In>>,

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

    /// A beat of the codebook is on its second clock.
    pub valid: Signal<In, Bit>,
    /// It is the first of its slice.
    pub first: Signal<In, Bit>,
    /// It is the last of its slice; only where that is padded.
    pub tail: Vec<Signal<In, Bit>>,
    /// Its place in its slice's codebook; only when that has two beats or more.
    pub place: Vec<Wire<In>>,
    /// Its slice; only when there are two or more.
    pub slice: Vec<Wire<In>>,
    /// The beat.
    pub word: Wire<In>,

    /// The code of the chosen encoder in the slice.
    pub code: Wire<Out>,
    /// Its sub-vector.
    pub x: Wire<Out>,
    /// It is put into the beat that is on its second clock.
    pub put: Signal<Out, Bit>,
    /// That beat is kept, for means.
    pub keep: Signal<Out, Bit>,
    /// The lowest sub-vector of the column that was kept.
    pub centroid: Wire<In>,
    /// The column moves down by a sub-vector.
    pub shift: Signal<Out, Bit>,
    /// What comes in above.
    pub mean: Wire<Out>,

    is_clear: Signal<Local, Bit>,
    is_accumulate: Signal<Local, Bit>,
    is_insert: Signal<Local, Bit>,
    updates: Signal<Local, Bit>,
    put_e: Flop<Bit>,
    keep_e: Flop<Bit>,
    end_e: Flop<Bit>,
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
    param_encoder: Const,
    param_weight: Const,
    taken: Const,
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
        self.put.next = self.put_e.q.val();
        self.keep.next = self.keep_e.q.val();

        comment!("---- a codebook passes for all encoders ----");
        for e in 0..self._encoders {
            self.encode[e].clock.next = self.clock.val();
            self.encode[e].valid.next = self.valid.val();
            self.encode[e].first.next = self.first.val();
            self.encode[e].word.next = self.word.val();
        }
        for q in 0..self._takes {
            for j in 0..self.taken.val() {
                self.encode[q * self.taken.val() + j].capture[0].next = self.capture[q].val();
                self.encode[q * self.taken.val() + j].captured[0].next = self.captured[j].val();
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
                self.encode[e].token[s].next = self.token[s].val();
            }
        }
        for i in 0..self._padded {
            for e in 0..self._encoders {
                self.encode[e].tail[i].next = self.tail[i].val();
            }
        }
        for i in 0..self._book {
            for e in 0..self._encoders {
                self.encode[e].place[i].next = self.place[i].val();
            }
        }
        for i in 0..self._sliced {
            // Of a token that is added the slices come without columns.
            self.shown_slice[i].next = self.slice[i].val();
            if self.means.shows[i].val() {
                self.shown_slice[i].next = self.means.slice[i].val();
            }
            for e in 0..self._encoders {
                self.encode[e].capture_slice[i].next = self.capture_slice[i].val();
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
        self.code.next = self.chosen_code.val();
        self.x.next = self.chosen_x.val();

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
        self.means.centroid.next = self.centroid.val();
        self.shift.next = self.means.shift.val();
        self.mean.next = self.means.mean.val();
    }
}

impl AttentionCluster {
    /// For the units of a channel, where tokens are clustered; `taken` sub-vectors are taken of a beat.
    pub fn new(p: &AttentionShape, channel: &ChannelShape, taken: usize) -> Option<Self> {
        let cluster = p.cluster?;
        let modes = channel.bank.modes();
        let mode_bits = index_bits(modes.len() as u32);
        let mode = |mode: AttentionMode| {
            let at = modes.iter().position(|m| *m == StreamMode::Attention(mode));
            Const::named(mode_bits, at.unwrap_or(0))
        };
        let param = |x: AttentionParam| Const::named(p.param_bits(), x.index() as usize);
        let encode = || AttentionEncode::new(p, channel.beat_bits);
        let (one, means) = (encode(), AttentionMeans::new(p, channel)?);
        let encoders = cluster.encoders as usize;
        let (encoder, vector) = (u(index_bits(cluster.encoders)), u(p.sub_bits()));
        let (slice, code) = (u(index_bits(p.slices)), u(p.code_bits()));
        let (take, tailed) = (one.take.len(), means.col_beats.len());
        let apart = tailed.max(one.slice.len());
        let value = match encoders {
            1 => cluster.weight_bits,
            _ => cluster.weight_bits.max(encoder.width),
        };
        Some(AttentionCluster {
            mode: Wire::new(u(mode_bits)),
            is_update: vec![Signal::default(); apart],
            param_index: Wire::new(u(p.param_bits())),
            param_value: Wire::new(u(value)),
            capture: vec![Signal::default(); encoders / taken],
            capture_slice: one.capture_slice.clone(),
            captured: vec![Wire::new(vector); taken],
            take: one.take.clone(),
            token: one.token.clone(),
            col_valid: vec![Signal::default(); tailed],
            col_beats: means.col_beats.clone(),
            word_at: Wire::new(means.word_at.ty()),
            tail: one.tail.clone(),
            place: one.place.clone(),
            slice: one.slice.clone(),
            word: Wire::new(u(channel.beat_bits)),
            code: Wire::new(code),
            x: Wire::new(vector),
            centroid: Wire::new(vector),
            mean: Wire::new(vector),
            shown_slice: vec![Wire::new(slice); one.slice.len()],
            encoder: vec![Reg::new(encoder); (encoders > 1) as usize],
            chosen_code: Wire::new(code),
            chosen_x: Wire::new(vector),
            used_less_1: means.col_beats.iter().map(|beats| Reg::data(beats.ty())).collect(),
            mode_clear: mode(AttentionMode::Clear),
            mode_accumulate: mode(AttentionMode::Accumulate),
            mode_update: mode(AttentionMode::Update),
            mode_insert_centroid: mode(AttentionMode::InsertCentroid),
            param_encoder: param(AttentionParam::Encoder),
            param_weight: param(AttentionParam::Weight),
            taken: Const::new(taken),
            _encoders: encoders,
            _one_encoder: (encoders == 1) as usize,
            _many_encoders: (encoders > 1) as usize,
            _takes: encoders / taken,
            _take: take,
            _take_encoders: take * encoders,
            _slices: p.slices as usize,
            _sliced: one.slice.len(),
            _padded: one.tail.len(),
            _book: one.place.len(),
            _tailed: tailed,
            _apart: apart,
            _encoder_bits: encoder.width,
            _weight_bits: cluster.weight_bits,
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
        let choice = match self._encoders {
            1 => "code_o and x_o are those of the slice.".into(),
            n => format!(
                "code_o and x_o are those of the slice in encoder e, which the parameter {} says, of {n}. \
                 Encoder q * {} + j takes captured_i[j] with capture_i[q].",
                self.param_encoder.val(),
                self.taken.val()
            ),
        };
        Contract {
            summary: "Attention cluster: encoders that share the codebook that passes, and the means of \
                      what they encode."
                .into(),
            formula: format!(
                "{choice}\n\
                 clear (mode {}): all sums := 0.\n\
                 accumulate (mode {}): code_o and x_o of every slice are added to the sums, x_o times \
                 the weight, which is parameter {}.\n\
                 update (mode {}): the column that is kept moves down by a sub-vector as often as it \
                 has any; mean_o is the mean for the lowest one.\n\
                 insert_centroid (mode {}): x_o is put.",
                self.mode_clear.val(),
                self.mode_accumulate.val(),
                self.param_weight.val(),
                self.mode_update.val(),
                self.mode_insert_centroid.val()
            ),
            latency: "That of the encoders and of the means; 1 from busy_i to put_o and keep_o.".into(),
            throughput: "A beat of the codebook every clock.".into(),
            preconditions: "Tokens are there a clock before the first beat. Parameters are held while \
                            what uses them is under way."
                .into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        let columns = if self._tailed > 0 { "col_valid" } else { "busy" };
        vec![
            ("stream_start", "streams and parameters"),
            ("capture", "tokens"),
            (columns, "beat that enters"),
            ("valid", "beat of the codebook, on its second clock"),
            ("code", "what is put into columns"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
