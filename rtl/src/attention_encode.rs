//! Attention encode: the centroid nearest to a sub-vector, a beat of a codebook per clock.

use crate::attention::AttentionShape;
use crate::hdl::prelude::*;
use crate::shape::{choice_bits, index_bits};

/// Bits of an int8.
const BYTE: u32 = 8;
/// Bits of the square of a difference of two int8 (signed, like the difference).
const SQUARE_BITS: u32 = 17;

/// Holds the sub-vectors of a token, and their codes. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct AttentionEncode {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Takes `token`; only where tokens are encoded at once.
    pub take: Vec<Signal<In, Bit>>,
    /// Sub-vectors of every slice.
    pub token: Vec<Wire<In>>,
    /// Takes `captured`; only where tokens are taken out of columns.
    pub capture: Vec<Signal<In, Bit>>,
    /// For this slice; only when there are two or more.
    pub capture_slice: Vec<Wire<In>>,
    /// The sub-vector.
    pub captured: Vec<Wire<In>>,

    /// A beat of the codebook.
    pub valid: Signal<In, Bit>,
    /// It is the first of its slice.
    pub first: Signal<In, Bit>,
    /// It is the last of its slice; only where that is padded.
    pub tail: Vec<Signal<In, Bit>>,
    /// Its place in its slice's codebook; only when that has two beats or more.
    pub place: Vec<Wire<In>>,
    /// Its slice, or that of the code that is shown; only when there are two or more.
    pub slice: Vec<Wire<In>>,
    /// The beat: centroids, the first lowest.
    pub word: Wire<In>,
    /// The code of `slice`.
    pub code: Wire<Out>,
    /// The sub-vector of `slice`; only where tokens are clustered.
    pub shown: Vec<Wire<Out>>,

    x: Vec<Reg>,
    x_now: Wire<Local>,
    x_byte: Split,
    centroid: Split,
    unused_word: Vec<Unused>,
    difference: Vec<Wire<Local>>,
    square: Vec<Wire<Local>>,
    distance: Vec<Wire<Local>>,
    distance_w: Vec<Reg>,
    valid_e: Flop<Bit>,
    first_e: Flop<Bit>,
    tail_e: Vec<Flop<Bit>>,
    place_e: Vec<Reg>,
    slice_e: Vec<Reg>,
    near: Wire<Local>,
    near_at: Vec<Wire<Local>>,
    near_code: Wire<Local>,
    place_base: Vec<Wire<Local>>,
    valid_f: Flop<Bit>,
    first_f: Flop<Bit>,
    slice_f: Vec<Reg>,
    near_w: Reg,
    code_w: Reg,
    best: Reg,
    better: Signal<Local, Bit>,
    found: Vec<Reg>,
    sub: Const,
    chunk_bits: Const,
    _take: usize,
    _shown: usize,
    _capture_whole: usize,
    _capture_sliced: usize,
    _whole: usize,
    _sliced: usize,
    _slices: usize,
    _terms: usize,
    _chunk: usize,
    _full: usize,
    _padded: usize,
    _places: usize,
    _choice: usize,
    _spare_word: usize,
    _word_bits: u32,
    _k: u32,
}

impl Logic for AttentionEncode {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, valid_e, first_e, valid_f, first_f, near_w, code_w, best);

        comment!("---- the token ----");
        for s in 0..self._slices {
            self.x[s].clock.next = self.clock.val();
            self.x[s].d.next = self.x[s].q.val();
        }
        for i in 0..self._take {
            if self.take[i].val() {
                for s in 0..self._slices {
                    self.x[s].d.next = self.token[s].val();
                }
            }
        }
        for i in 0..self._capture_whole {
            if self.capture[i].val() {
                self.x[i].d.next = self.captured[i].val();
            }
        }
        for i in 0..self._capture_sliced {
            for s in 0..self._slices {
                if self.capture[i].val() & (self.capture_slice[i].val() == s) {
                    self.x[s].d.next = self.captured[i].val();
                }
            }
        }
        for i in 0..self._whole {
            self.x_now.next = self.x[i].q.val();
        }
        for i in 0..self._sliced {
            self.x_now.next = self.x[self.slice[i].val().index()].q.val();
        }
        for i in 0..self._shown {
            self.shown[i].next = self.x_now.val();
        }

        comment!("---- distances ----");
        self.x_byte.x.next = self.x_now.val();
        self.centroid.x.next = bit_cast(self.word.val(), self._word_bits);
        for i in 0..self._spare_word {
            self.unused_word[i].x.next = self.word.val();
        }
        for c in 0..self._chunk {
            for j in 0..self.sub.val() {
                self.difference[c * self.sub.val() + j].next =
                    self.centroid.y[c * self.sub.val() + j].val() - self.x_byte.y[j].val();
            }
        }
        for i in 0..self._terms {
            self.square[i].next = self.difference[i].val() * self.difference[i].val();
        }
        for c in 0..self._chunk {
            self.distance[c].next = 0.into();
            for j in 0..self.sub.val() {
                self.distance[c].next =
                    self.distance[c].val() + self.square[c * self.sub.val() + j].val();
            }
        }
        for c in 0..self._chunk {
            self.distance_w[c].clock.next = self.clock.val();
            self.distance_w[c].d.next = self.distance[c].val();
        }
        self.valid_e.d.next = self.valid.val();
        self.first_e.d.next = self.first.val();
        for i in 0..self._padded {
            self.tail_e[i].clock.next = self.clock.val();
            self.tail_e[i].d.next = self.tail[i].val();
        }
        for i in 0..self._places {
            self.place_e[i].clock.next = self.clock.val();
            self.place_e[i].d.next = self.place[i].val();
        }
        for i in 0..self._sliced {
            self.slice_e[i].clock.next = self.clock.val();
            self.slice_e[i].d.next = self.slice[i].val();
            self.slice_f[i].clock.next = self.clock.val();
            self.slice_f[i].d.next = self.slice_e[i].q.val();
        }

        comment!("---- nearest centroid of the beat, the lowest of several; padding never is ----");
        self.near.next = self.distance_w[0].q.val();
        for i in 0..self._choice {
            self.near_at[i].next = 0.into();
        }
        for c in 1..self._full {
            if self.distance_w[c].q.val() < self.near.val() {
                self.near.next = self.distance_w[c].q.val();
                self.near_at[0].next = c.into();
            }
        }
        for i in 0..self._padded {
            for c in self._full..self._chunk {
                if !self.tail_e[i].q.val() & (self.distance_w[c].q.val() < self.near.val()) {
                    self.near.next = self.distance_w[c].q.val();
                    self.near_at[0].next = c.into();
                }
            }
        }
        for i in 0..self._places {
            self.place_base[i].next = self.place_e[i].q.val() << self.chunk_bits.val();
        }
        self.near_code.next = 0.into();
        for i in 0..self._choice {
            self.near_code.next = self.near_at[i].val();
        }
        for i in 0..self._places {
            self.near_code.next = self.near_code.val() | self.place_base[i].val();
        }
        self.near_w.d.next = self.near.val();
        self.code_w.d.next = self.near_code.val();
        self.valid_f.d.next = self.valid_e.q.val();
        self.first_f.d.next = self.first_e.q.val();

        comment!("---- nearest so far ----");
        self.better.next = self.valid_f.q.val()
            & (self.first_f.q.val() | (self.near_w.q.val() < self.best.q.val()));
        if self.better.val() {
            self.best.d.next = self.near_w.q.val();
        }
        for s in 0..self._slices {
            self.found[s].clock.next = self.clock.val();
            self.found[s].d.next = self.found[s].q.val();
        }
        for s in 0..self._whole {
            if self.better.val() {
                self.found[s].d.next = self.code_w.q.val();
            }
            self.code.next = self.found[s].q.val();
        }
        for i in 0..self._sliced {
            for s in 0..self._slices {
                if self.better.val() & (self.slice_f[i].q.val() == s) {
                    self.found[s].d.next = self.code_w.q.val();
                }
            }
            self.code.next = self.found[self.slice[i].val().index()].q.val();
        }
    }
}

impl AttentionEncode {
    /// For a shape with beats of `beat_bits`.
    pub fn new(p: &AttentionShape, beat_bits: u32) -> Self {
        let (slices, sub) = (p.slices as usize, p.sub as usize);
        let (words, whole_chunk) = (p.table_words(beat_bits), p.chunk(beat_bits));
        // Of a codebook that does not fill a beat only what there is; of others the last beat may be
        // padded.
        let chunk = whole_chunk.min(p.k);
        let rest = p.k % chunk;
        let padded = (rest > 0) as usize;
        let full = if rest > 0 { rest } else { chunk };
        let (sliced, places) = ((slices > 1) as usize, (words > 1) as usize);
        let (take, capture) = (p.takes() as usize, p.captures() as usize);
        let shown = p.cluster.is_some() as usize;
        let vector = u(p.sub_bits());
        let word_bits = chunk * p.sub_bits();
        let unused_word = Unused::above(u(beat_bits), word_bits);
        let terms = chunk as usize * sub;
        let distance = s(SQUARE_BITS + choice_bits(p.sub));
        let (slice, place, code) =
            (u(index_bits(p.slices)), u(index_bits(words)), u(p.code_bits()));
        let choice = (chunk > 1) as usize;
        AttentionEncode {
            take: vec![Signal::default(); take],
            token: vec![Wire::new(vector); take * slices],
            capture: vec![Signal::default(); capture],
            capture_slice: vec![Wire::new(slice); capture * sliced],
            captured: vec![Wire::new(vector); capture],
            tail: vec![Signal::default(); padded],
            place: vec![Wire::new(place); places],
            slice: vec![Wire::new(slice); sliced],
            word: Wire::new(u(beat_bits)),
            code: Wire::new(code),
            shown: vec![Wire::new(vector); shown],
            x: vec![Reg::data(vector); slices],
            x_now: Wire::new(vector),
            x_byte: Split::signed(sub, BYTE),
            centroid: Split::signed(terms, BYTE),
            _spare_word: unused_word.len(),
            unused_word,
            difference: vec![Wire::new(s(BYTE + 1)); terms],
            square: vec![Wire::new(s(SQUARE_BITS)); terms],
            distance: vec![Wire::new(distance); chunk as usize],
            distance_w: vec![Reg::data(distance); chunk as usize],
            tail_e: vec![Flop::default(); padded],
            place_e: vec![Reg::data(place); places],
            slice_e: vec![Reg::data(slice); sliced],
            near: Wire::new(distance),
            near_at: vec![Wire::new(u(index_bits(chunk))); choice],
            near_code: Wire::new(code),
            place_base: vec![Wire::new(code); places],
            slice_f: vec![Reg::data(slice); sliced],
            near_w: Reg::data(distance),
            code_w: Reg::data(code),
            best: Reg::data(distance),
            found: vec![Reg::data(code); slices],
            sub: Const::new(sub),
            chunk_bits: Const::new(choice_bits(whole_chunk) as usize),
            _take: take,
            _shown: shown,
            _capture_whole: capture * (1 - sliced),
            _capture_sliced: capture * sliced,
            _whole: 1 - sliced,
            _sliced: sliced,
            _slices: slices,
            _terms: terms,
            _chunk: chunk as usize,
            _full: full as usize,
            _padded: padded,
            _places: places,
            _choice: choice,
            _word_bits: word_bits,
            _k: p.k,
            ..AttentionEncode::default()
        }
    }
}

impl Unit for AttentionEncode {
    fn module(&self) -> String {
        "pimc_attention_encode".into()
    }

    fn contract(&self) -> Contract {
        let (chunk, sub) = (self._chunk, self.sub.val());
        let padding = match self._padded {
            0 => String::new(),
            _ => format!(
                " Of a slice's last beat, marked by tail_i, only the first {} are centroids.",
                self._full
            ),
        };
        let shown = if self._shown > 0 { " and shown_o" } else { "" };
        Contract {
            summary: format!(
                "Attention encode: the nearest of {} centroids of {sub} bytes, {chunk} distances per \
                 clock.",
                self._k
            ),
            formula: "code[slice] = the lowest c of the least sum over j of \
                      (x[slice][j] - centroid[c][j])^2."
                .into(),
            latency: format!(
                "3 clocks from the last word_i of a slice to its code; none from slice_i to code_o{shown}."
            ),
            throughput: "A beat every clock.".into(),
            layout: format!(
                "A beat holds {chunk} centroids, the lowest first; the beats of a slice follow one \
                 another.{padding}"
            ),
            preconditions: "The token has been taken one clock before the first beat.".into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        let token = if self._take > 0 { "take" } else { "capture" };
        let result =
            if self._shown > 0 { "code and token of the slice" } else { "code of the slice" };
        vec![(token, "token"), ("valid", "beat of the codebook"), ("code", result)]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
