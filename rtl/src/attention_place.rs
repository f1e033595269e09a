//! Attention place: what is taken out of a column at a place, and what is put into it.

use crate::attention::AttentionShape;
use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape, WORD_BITS};

/// Looks at every beat on its second clock. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct AttentionPlace {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The bank's token group; only when there are two or more.
    pub group: Vec<Wire<In>>,
    /// Sets the place.
    pub set: Signal<In, Bit>,
    /// Its lane.
    pub set_lane: Wire<In>,
    /// Its beat.
    pub set_beat: Wire<In>,
    /// Its token group.
    pub set_group: Vec<Wire<In>>,

    /// The beat is taken from; only where tokens are taken out of columns.
    pub take: Vec<Signal<In, Bit>>,
    /// A code is put into the beat.
    pub put_code: Signal<In, Bit>,
    /// A token is put into the beat; only where tokens are kept exact.
    pub put_token: Vec<Signal<In, Bit>>,
    /// The beat.
    pub word: Wire<In>,
    /// Its place in the column.
    pub beat: Wire<In>,
    /// The code.
    pub code: Wire<In>,
    /// The sub-vector of the token.
    pub token: Vec<Wire<In>>,

    /// A centroid is put into the beat, whatever the token group; only where tokens are clustered, as
    /// what follows.
    pub put_centroid: Vec<Signal<In, Bit>>,
    /// It.
    pub centroid: Vec<Wire<In>>,
    /// The beat is kept as it is.
    pub keep: Vec<Signal<In, Bit>>,
    /// The column moves down by a sub-vector.
    pub shift: Vec<Signal<In, Bit>>,
    /// What comes in above.
    pub shift_in: Vec<Wire<In>>,

    /// The beat before was taken from, in this token group or in another. Where more tokens are taken
    /// than a beat has, one for each beat that may be theirs: 0 is the place's.
    pub taken_valid: Vec<Signal<Out, Bit>>,
    /// The sub-vectors from the place on, as many as are taken of a beat; 0 where the place is in
    /// another group.
    pub taken: Vec<Wire<Out>>,
    /// The column with what was put into it; held.
    pub column: Vec<Wire<Out>>,

    lane: Reg,
    place_beat: Reg,
    place_group: Vec<Reg>,
    passing: Signal<Local, Bit>,
    here: Signal<Local, Bit>,
    takes_from: Vec<Signal<Local, Bit>>,
    passes: Vec<Signal<Local, Bit>>,
    vector: Vec<Split>,
    taken_e: Vec<Flop<Bit>>,
    found: Vec<Wire<Local>>,
    found_e: Vec<Reg>,
    entering: Vec<Wire<Local>>,
    new_vector: Vec<Wire<Local>>,
    new_vectors: Vec<Join>,
    old_codes: Split,
    new_code: Vec<Wire<Local>>,
    new_codes: Join,
    gap: Vec<Wire<Local>>,
    high_gap: Vec<Wire<Local>>,
    code_word: Wire<Local>,
    new_word: Wire<Local>,
    put: Signal<Local, Bit>,
    written: Vec<Reg>,
    codes_bits: Const,
    word_bits: Const,
    high_gap_at: Const,
    sub_bits: Const,
    above: Const,
    last: Const,
    _one_group: usize,
    _groups: usize,
    _exact: usize,
    _cluster: usize,
    _exact_alone: usize,
    _cluster_alone: usize,
    _exact_cluster: usize,
    _cluster_of_groups: usize,
    _put_vectors: usize,
    _take: usize,
    _take_beat: usize,
    _take_beats: usize,
    _taken: usize,
    _takes: usize,
    _vectors: usize,
    _lanes: usize,
    _beats: usize,
    _beats_less_1: usize,
    _one_word: usize,
    _two_words: usize,
    _gap: usize,
    _high_gap: usize,
    _codes_bits: u32,
    _gap_bits: u32,
}

impl Logic for AttentionPlace {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, lane, place_beat);
        comment!("---- the place ----");
        if self.set.val() {
            self.lane.d.next = self.set_lane.val();
            self.place_beat.d.next = self.set_beat.val();
        }
        self.passing.next = self.beat.val() == self.place_beat.q.val();
        for _i in 0..self._one_group {
            self.here.next = self.passing.val();
        }
        for i in 0..self._groups {
            self.place_group[i].clock.next = self.clock.val();
            self.place_group[i].d.next = self.place_group[i].q.val();
            if self.set.val() {
                self.place_group[i].d.next = self.set_group[i].val();
            }
            self.here.next =
                self.passing.val() & (self.place_group[i].q.val() == self.group[i].val());
        }
        for i in 0..self._cluster_of_groups {
            if self.put_centroid[i].val() {
                self.here.next = self.passing.val();
            }
        }

        comment!("---- a sub-vector out of the beat ----");
        for i in 0..self._put_vectors {
            self.vector[i].x.next = self.word.val();
        }
        for i in 0..self._take {
            self.found[i].next = 0.into();
            for c in 0..self._vectors {
                if self.lane.q.val() == c {
                    self.found[i].next = self.vector[i].y[c].val();
                }
            }
        }
        for j in 1..self._taken {
            self.found[j].next = 0.into();
            for c in 0..self._vectors {
                if (self.lane.q.val() | j.into()) == c {
                    self.found[j].next = self.vector[0].y[c].val();
                }
            }
        }
        for i in 0..self._take_beat {
            for j in 0..self._taken {
                self.found_e[j].d.next = 0.into();
                if self.take[i].val() & self.here.val() {
                    self.found_e[j].d.next = self.found[j].val();
                }
            }
            self.taken_e[i].d.next = self.take[i].val() & self.passing.val();
        }
        for i in 0..self._take_beats {
            // Of this beat and of those behind it.
            self.takes_from[i].next = false;
            for q in 0..self._takes {
                self.passes[q].next = self.beat.val() == (self.place_beat.q.val() | q.into());
                self.takes_from[i].next = self.takes_from[i].val() | self.passes[q].val();
            }
            for g in 0..self._groups {
                self.takes_from[i].next =
                    self.takes_from[i].val() & (self.place_group[g].q.val() == self.group[g].val());
            }
            for j in 0..self._taken {
                self.found_e[j].d.next = 0.into();
                if self.take[i].val() & self.takes_from[i].val() {
                    self.found_e[j].d.next = self.found[j].val();
                }
            }
            for q in 0..self._takes {
                self.taken_e[q].d.next = self.take[i].val() & self.passes[q].val();
            }
        }
        for q in 0..self._takes {
            self.taken_e[q].clock.next = self.clock.val();
            self.taken_valid[q].next = self.taken_e[q].q.val();
        }
        for j in 0..self._taken {
            self.found_e[j].clock.next = self.clock.val();
            self.taken[j].next = self.found_e[j].q.val();
        }

        comment!("---- the beat with the code at the place ----");
        for _i in 0..self._one_word {
            self.old_codes.x.next = bit_cast(self.word.val(), self._codes_bits);
        }
        for _i in 0..self._two_words {
            self.old_codes.x.next = bit_cast(self.word.val(), self._codes_bits)
                | (bit_cast(self.word.val() >> self.word_bits.val(), self._codes_bits)
                    << self.codes_bits.val());
        }
        for l in 0..self._lanes {
            self.new_code[l].next = self.old_codes.y[l].val();
            if self.lane.q.val() == l {
                self.new_code[l].next = self.code.val();
            }
        }
        for l in 0..self._lanes {
            self.new_codes.x[l].next = self.new_code[l].val();
        }
        for i in 0..self._gap {
            self.gap[i].next = bit_cast(self.word.val() >> self.codes_bits.val(), self._gap_bits);
        }
        for i in 0..self._high_gap {
            self.high_gap[i].next =
                bit_cast(self.word.val() >> self.high_gap_at.val(), self._gap_bits);
        }
        for _i in 0..self._one_word {
            self.code_word.next = self.new_codes.y.val();
        }
        for _i in 0..self._two_words {
            self.code_word.next = bit_cast(self.new_codes.y.val(), self._codes_bits)
                | (bit_cast(self.new_codes.y.val() >> self.codes_bits.val(), self._codes_bits)
                    << self.word_bits.val());
        }
        for i in 0..self._gap {
            self.code_word.next =
                self.code_word.val() | (self.gap[i].val() << self.codes_bits.val());
        }
        for i in 0..self._high_gap {
            self.code_word.next =
                self.code_word.val() | (self.high_gap[i].val() << self.high_gap_at.val());
        }

        comment!("---- the beat with the token at the place ----");
        for i in 0..self._exact_alone {
            for c in 0..self._vectors {
                self.new_vector[c].next = self.vector[i].y[c].val();
                if self.lane.q.val() == c {
                    self.new_vector[c].next = self.token[i].val();
                }
            }
        }
        for i in 0..self._cluster_alone {
            self.entering[i].next = self.centroid[i].val();
        }
        for i in 0..self._exact_cluster {
            self.entering[i].next = self.token[i].val();
            if self.put_centroid[i].val() {
                self.entering[i].next = self.centroid[i].val();
            }
        }
        for i in 0..self._cluster {
            for c in 0..self._vectors {
                self.new_vector[c].next = self.vector[i].y[c].val();
                if self.lane.q.val() == c {
                    self.new_vector[c].next = self.entering[i].val();
                }
            }
        }
        for i in 0..self._put_vectors {
            for c in 0..self._vectors {
                self.new_vectors[i].x[c].next = self.new_vector[c].val();
            }
        }

        comment!("---- the column, beat by beat ----");
        self.new_word.next = self.code_word.val();
        self.put.next = self.put_code.val();
        for i in 0..self._exact {
            if self.put_token[i].val() {
                self.new_word.next = self.new_vectors[i].y.val();
            }
            self.put.next = self.put_code.val() | self.put_token[i].val();
        }
        for i in 0..self._cluster {
            if self.put_centroid[i].val() {
                self.new_word.next = self.new_vectors[i].y.val();
            }
            self.put.next = self.put.val() | self.put_centroid[i].val() | self.keep[i].val();
        }
        if !self.here.val() {
            self.new_word.next = self.word.val();
        }
        for i in 0..self._cluster {
            if self.keep[i].val() {
                self.new_word.next = self.word.val();
            }
        }
        for b in 0..self._beats {
            self.written[b].clock.next = self.clock.val();
            self.written[b].d.next = self.written[b].q.val();
            if self.put.val() & (self.beat.val() == b) {
                self.written[b].d.next = self.new_word.val();
            }
            self.column[b].next = self.written[b].q.val();
        }
        for i in 0..self._cluster {
            if self.shift[i].val() {
                for b in 0..self._beats_less_1 {
                    self.written[b].d.next = (self.written[b].q.val() >> self.sub_bits.val())
                        | (self.written[b + 1].q.val() << self.above.val());
                }
                self.written[self.last.val()].d.next = (self.written[self.last.val()].q.val()
                    >> self.sub_bits.val())
                    | (self.shift_in[i].val() << self.above.val());
            }
        }
    }
}

impl AttentionPlace {
    /// For the units of a channel.
    pub fn new(p: &AttentionShape, channel: &ChannelShape) -> Self {
        let beat_bits = channel.beat_bits;
        let (lanes, vectors) = (p.lanes(beat_bits) as usize, p.chunk(beat_bits) as usize);
        let (exact, take) = (p.has_exact() as usize, p.captures() as usize);
        let cluster = p.cluster.is_some() as usize;
        let put_vectors = exact.max(cluster);
        // Sub-vectors that are taken of a beat, and beats that they are taken of.
        let taken = take * p.encoders().min(p.chunk(beat_bits)) as usize;
        let takes = take * p.encoders().div_ceil(p.chunk(beat_bits)) as usize;
        let take_beats = (takes > 1) as usize;
        let two = (beat_bits > WORD_BITS) as usize;
        let codes_bits = p.lanes(WORD_BITS) * p.code_bits();
        let gap_bits = WORD_BITS - codes_bits;
        let gap = (gap_bits > 0) as usize;
        let groups = (p.groups > 1) as usize;
        let (lane, beat) = (u(index_bits(p.lanes(beat_bits))), u(index_bits(channel.beats)));
        let group = u(index_bits(p.groups));
        let (word, vector, code) = (u(beat_bits), u(p.sub_bits()), u(p.code_bits()));
        AttentionPlace {
            group: vec![Wire::new(group); groups],
            set_lane: Wire::new(lane),
            set_beat: Wire::new(beat),
            set_group: vec![Wire::new(group); groups],
            take: vec![Signal::default(); take],
            put_token: vec![Signal::default(); exact],
            word: Wire::new(word),
            beat: Wire::new(beat),
            code: Wire::new(code),
            token: vec![Wire::new(vector); exact],
            put_centroid: vec![Signal::default(); cluster],
            centroid: vec![Wire::new(vector); cluster],
            keep: vec![Signal::default(); cluster],
            shift: vec![Signal::default(); cluster],
            shift_in: vec![Wire::new(vector); cluster],
            taken_valid: vec![Signal::default(); takes],
            taken: vec![Wire::new(vector); taken],
            column: vec![Wire::new(word); channel.beats as usize],
            lane: Reg::new(lane),
            place_beat: Reg::new(beat),
            place_group: vec![Reg::new(group); groups],
            takes_from: vec![Signal::default(); take_beats],
            passes: vec![Signal::default(); take_beats * takes],
            taken_e: vec![Flop::default(); takes],
            vector: vec![Split::new(vectors, vector.width); put_vectors],
            found: vec![Wire::new(vector); taken],
            found_e: vec![Reg::data(vector); taken],
            entering: vec![Wire::new(vector); cluster],
            new_vector: vec![Wire::new(vector); put_vectors * vectors],
            new_vectors: vec![Join::new(vectors, vector); put_vectors],
            old_codes: Split::new(lanes, code.width),
            new_code: vec![Wire::new(code); lanes],
            new_codes: Join::new(lanes, code),
            gap: vec![Wire::new(u(gap_bits)); gap],
            high_gap: vec![Wire::new(u(gap_bits)); gap * two],
            code_word: Wire::new(word),
            new_word: Wire::new(word),
            written: vec![Reg::data(word); channel.beats as usize],
            codes_bits: Const::new(codes_bits as usize),
            word_bits: Const::new(WORD_BITS as usize),
            high_gap_at: Const::new((WORD_BITS + codes_bits) as usize),
            _one_group: 1 - groups,
            _groups: groups,
            sub_bits: Const::new(p.sub_bits() as usize),
            above: Const::new((beat_bits - p.sub_bits()) as usize),
            last: Const::new(channel.beats as usize - 1),
            _exact: exact,
            _cluster: cluster,
            _exact_alone: exact * (1 - cluster),
            _cluster_alone: cluster * (1 - exact),
            _exact_cluster: exact * cluster,
            _cluster_of_groups: cluster * groups,
            _put_vectors: put_vectors,
            _take: take,
            _take_beat: take - take_beats,
            _take_beats: take_beats,
            _taken: taken,
            _takes: takes,
            _vectors: vectors,
            _lanes: lanes,
            _beats: channel.beats as usize,
            _beats_less_1: channel.beats as usize - 1,
            _one_word: 1 - two,
            _two_words: two,
            _gap: gap,
            _high_gap: gap * two,
            _codes_bits: codes_bits,
            _gap_bits: gap_bits,
            ..AttentionPlace::default()
        }
    }
}

impl Unit for AttentionPlace {
    fn module(&self) -> String {
        "pimc_attention_place".into()
    }

    fn contract(&self) -> Contract {
        let (lanes, code_bits) = (self._lanes, self.code.ty().width);
        let vectors = match self._put_vectors {
            0 => String::new(),
            _ => format!(
                " Of tokens it has {} lanes of {} bytes.",
                self._vectors,
                self.word.ty().width as usize / 8 / self._vectors
            ),
        };
        let words = match self._two_words {
            0 => "",
            _ => ", as many in each of its words of 64 bits",
        };
        let taken = match (self._taken, self._take_beats) {
            (0, _) => String::new(),
            (1, _) => "taken = the sub-vector at the place.\n".into(),
            (n, 0) => format!("taken = the {n} sub-vectors from the place on, by their lanes.\n"),
            (n, _) => format!(
                "taken = the {n} sub-vectors of the place's beat, and of the {} behind it.\n",
                self._takes - 1
            ),
        };
        let (put, shift) = match self._cluster {
            0 => ("a code or a token", ""),
            _ => (
                "a code, a token or a centroid",
                " With shift_i the column moves down by a sub-vector, and shift_in_i comes in above.",
            ),
        };
        Contract {
            summary: "Attention place: takes a lane out of a column and puts one into it.".into(),
            formula: format!("{taken}column = the column, with {put} at the place.{shift}"),
            latency: "1 clock from a beat to taken_o and to its part of column_o.".into(),
            throughput: "A beat every clock.".into(),
            layout: format!(
                "A beat of codes has {lanes} lanes of {code_bits} bits, the lowest first{words}; the \
                 other bits stay as they are.{vectors}"
            ),
            preconditions: "column_o is held until the next column into which something is put.".into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        let action = if self._take > 0 { "take" } else { "put_code" };
        let result = if self._take > 0 { "taken_valid" } else { "column" };
        let place = if self._groups > 0 { "group" } else { "set" };
        vec![(place, "place"), (action, "beat"), (result, "results")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
