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

    /// The beat is taken from; only where tokens leave a window.
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

    /// The beat before was taken from, in this token group or in another.
    pub taken_valid: Vec<Signal<Out, Bit>>,
    /// The sub-vector; 0 where the place is in another.
    pub taken: Vec<Wire<Out>>,
    /// The column with what was put into it; held.
    pub column: Vec<Wire<Out>>,

    lane: Reg,
    place_beat: Reg,
    place_group: Vec<Reg>,
    passing: Signal<Local, Bit>,
    here: Signal<Local, Bit>,
    vector: Vec<Split>,
    taken_e: Vec<Flop<Bit>>,
    found: Vec<Wire<Local>>,
    found_e: Vec<Reg>,
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
    _one_group: usize,
    _groups: usize,
    _exact: usize,
    _take: usize,
    _vectors: usize,
    _lanes: usize,
    _beats: usize,
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

        comment!("---- a sub-vector out of the beat ----");
        for i in 0..self._exact {
            self.vector[i].x.next = self.word.val();
        }
        for i in 0..self._take {
            self.found[i].next = 0.into();
            for c in 0..self._vectors {
                if self.lane.q.val() == c {
                    self.found[i].next = self.vector[i].y[c].val();
                }
            }
            self.found_e[i].clock.next = self.clock.val();
            self.found_e[i].d.next = 0.into();
            if self.take[i].val() & self.here.val() {
                self.found_e[i].d.next = self.found[i].val();
            }
            self.taken_e[i].clock.next = self.clock.val();
            self.taken_e[i].d.next = self.take[i].val() & self.passing.val();
            self.taken_valid[i].next = self.taken_e[i].q.val();
            self.taken[i].next = self.found_e[i].q.val();
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
        for i in 0..self._exact {
            for c in 0..self._vectors {
                self.new_vector[c].next = self.vector[i].y[c].val();
                if self.lane.q.val() == c {
                    self.new_vector[c].next = self.token[i].val();
                }
            }
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
        if !self.here.val() {
            self.new_word.next = self.word.val();
        }
        for b in 0..self._beats {
            self.written[b].clock.next = self.clock.val();
            self.written[b].d.next = self.written[b].q.val();
            if self.put.val() & (self.beat.val() == b) {
                self.written[b].d.next = self.new_word.val();
            }
            self.column[b].next = self.written[b].q.val();
        }
    }
}

impl AttentionPlace {
    /// For the units of a channel.
    pub fn new(p: &AttentionShape, channel: &ChannelShape) -> Self {
        let beat_bits = channel.beat_bits;
        let (lanes, vectors) = (p.lanes(beat_bits) as usize, p.chunk(beat_bits) as usize);
        let (exact, take) = (p.has_exact() as usize, !p.takes() as usize);
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
            taken_valid: vec![Signal::default(); take],
            taken: vec![Wire::new(vector); take],
            column: vec![Wire::new(word); channel.beats as usize],
            lane: Reg::new(lane),
            place_beat: Reg::new(beat),
            place_group: vec![Reg::new(group); groups],
            taken_e: vec![Flop::default(); take],
            vector: vec![Split::new(vectors, vector.width); exact],
            found: vec![Wire::new(vector); take],
            found_e: vec![Reg::data(vector); take],
            new_vector: vec![Wire::new(vector); exact * vectors],
            new_vectors: vec![Join::new(vectors, vector); exact],
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
            _exact: exact,
            _take: take,
            _vectors: vectors,
            _lanes: lanes,
            _beats: channel.beats as usize,
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
        let vectors = match self._exact {
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
        let taken = match self._take {
            0 => "",
            _ => "taken = the sub-vector at the place.\n",
        };
        Contract {
            summary: "Attention place: takes a lane out of a column and puts one into it.".into(),
            formula: format!("{taken}column = the column, with a code or a token at the place."),
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
