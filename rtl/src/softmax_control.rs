//! What the streams ask of the softmax: where the scores of a beat go, and where those of a beat of
//! values come from.

use crate::attention::{AttentionMode, AttentionShape, PROB_AHEAD, SCORE_LATENCY};
use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape, StreamMode};
use crate::softmax_memory::READ_LATENCY;

/// Counts beats of scores and columns of values. The memory of scores holds the beats of exact tokens,
/// then those of compressed ones.
#[derive(LogicBlock, Default)]
pub struct SoftmaxControl {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A stream begins.
    pub stream_start: Signal<In, Bit>,
    /// Its mode.
    pub mode: Wire<In>,
    /// The data of a column come `PROB_AHEAD` clocks later.
    pub col_soon: Signal<In, Bit>,
    /// The parts of the scores of a beat are there.
    pub score_valid: Signal<In, Bit>,

    /// Forget largest scores and sums.
    pub clear: Signal<Out, Bit>,
    /// The next beat of scores is the first of its kind.
    pub restart: Signal<Out, Bit>,
    /// Its kind: exact tokens; only where there are any.
    pub exact: Vec<Signal<Out, Bit>>,

    /// The scores of a beat are there.
    pub write: Signal<Out, Bit>,
    /// Where they go.
    pub write_at: Wire<Out>,
    /// Where the next beat's scores are read.
    pub read_at: Wire<Out>,
    /// They are there, `READ_LATENCY` clocks later.
    pub read_valid: Signal<Out, Bit>,
    /// The probabilities of a beat are on their way to the banks, for its first slice.
    pub counts: Signal<Out, Bit>,

    /// The results are wanted.
    pub normalise: Signal<Out, Bit>,

    last_mode: Reg,
    begins: Signal<Local, Bit>,
    scores_begin: Signal<Local, Bit>,
    of_exact: Vec<Flop<Bit>>,
    begun: Reg,
    again: Signal<Local, Bit>,
    due: Reg,
    restarts: Reg,
    write_word: Reg,

    reads: Signal<Local, Bit>,
    values_begin: Signal<Local, Bit>,
    soon: Signal<Local, Bit>,
    running: Flop<Bit>,
    beat: Vec<Reg>,
    is_last: Vec<Signal<Local, Bit>>,
    read_word: Reg,
    first_word: Vec<Reg>,
    slice: Vec<Reg>,
    is_first_slice: Signal<Local, Bit>,
    counted_now: Signal<Local, Bit>,
    ran: Reg,
    counted: Reg,

    mode_table: Const,
    mode_exact_scores: Const,
    mode_scores: Const,
    mode_exact_values: Const,
    mode_buckets: Const,
    mode_normalise: Const,
    codes_at: Const,
    begun_last: Const,
    due_last: Const,
    ran_last: Const,
    counted_last: Const,
    last_beat: Const,
    last_slice: Const,
    _exact: usize,
    _beats: usize,
    _one_beat: usize,
    _slices: usize,
    _numbers: (u32, u32, u32, u32, u32),
}

impl SoftmaxControl {
    /// The unit of a shape in a channel, where scores come `latency` clocks behind their parts.
    pub fn new(shape: &AttentionShape, channel: &ChannelShape, latency: u32) -> Self {
        let modes = channel.bank.modes();
        let bits = channel.isa.mode_bits;
        let number =
            |mode: AttentionMode| modes.iter().position(|m| *m == StreamMode::Attention(mode));
        let mode = |mode: AttentionMode| Const::named(bits, number(mode).unwrap_or(0));
        let (beats, slices) = (channel.beats, shape.slices);
        let exact = (shape.exact_places() > 0) as usize;
        let exact_words = exact as u32 * shape.exact_blocks(channel) * beats;
        let depth = Self::words(shape, channel);
        let word = u(index_bits(depth));
        let (many_beats, many_slices) = ((beats > 1) as usize, (slices > 1) as usize);
        let counted = PROB_AHEAD;
        SoftmaxControl {
            mode: Wire::new(u(bits)),
            exact: vec![Signal::default(); exact],
            write_at: Wire::new(word),
            read_at: Wire::new(word),
            last_mode: Reg::new(u(bits)),
            of_exact: vec![Flop::default(); exact],
            begun: Reg::new(u(SCORE_LATENCY + 1)),
            due: Reg::new(u(latency)),
            restarts: Reg::new(u(latency)),
            write_word: Reg::new(word),
            beat: vec![Reg::new(u(index_bits(beats))); many_beats],
            is_last: vec![Signal::default(); many_beats.max(many_slices)],
            read_word: Reg::new(word),
            first_word: vec![Reg::new(word); many_slices],
            slice: vec![Reg::new(u(index_bits(slices))); many_slices],
            ran: Reg::new(u(READ_LATENCY)),
            counted: Reg::new(u(counted)),
            mode_table: mode(AttentionMode::Table),
            mode_exact_scores: mode(AttentionMode::ExactScores),
            mode_scores: mode(AttentionMode::Scores),
            mode_exact_values: mode(AttentionMode::ExactValues),
            mode_buckets: mode(AttentionMode::Buckets),
            mode_normalise: mode(AttentionMode::Normalise),
            codes_at: Const::named(word.width, exact_words as usize),
            begun_last: Const::new(SCORE_LATENCY as usize),
            due_last: Const::new(latency as usize - 1),
            ran_last: Const::new(READ_LATENCY as usize - 1),
            counted_last: Const::new(counted as usize - 1),
            last_beat: Const::new(beats as usize - 1),
            last_slice: Const::new(slices as usize - 1),
            _exact: exact,
            _beats: many_beats,
            _one_beat: 1 - many_beats,
            _slices: many_slices,
            _numbers: (
                number(AttentionMode::Table).unwrap_or(0) as u32,
                exact_words,
                depth,
                slices,
                latency,
            ),
            ..SoftmaxControl::default()
        }
    }

    /// Words of the memory of scores, at least two.
    pub fn words(shape: &AttentionShape, channel: &ChannelShape) -> u32 {
        let exact = if shape.exact_places() > 0 { shape.exact_blocks(channel) } else { 0 };
        ((exact + shape.code_blocks(channel)) * channel.beats).max(2)
    }
}

impl Logic for SoftmaxControl {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, last_mode, begun, due, restarts, write_word);
        dff_setup!(self, clock, running, read_word, ran, counted);
        for i in 0..self._exact {
            self.of_exact[i].clock.next = self.clock.val();
        }
        for i in 0..self._beats {
            self.beat[i].clock.next = self.clock.val();
        }
        for i in 0..self._slices {
            self.slice[i].clock.next = self.clock.val();
            self.first_word[i].clock.next = self.clock.val();
        }

        comment!("---- streams: one of the mode of the last goes on where that ended ----");
        self.begins.next = self.stream_start.val() & (self.mode.val() != self.last_mode.q.val());
        if self.stream_start.val() {
            self.last_mode.d.next = self.mode.val();
        }
        self.clear.next = self.stream_start.val() & (self.mode.val() == self.mode_table.val());
        self.normalise.next =
            self.stream_start.val() & (self.mode.val() == self.mode_normalise.val());

        comment!("---- scores: the last ones of the stream before may still come for a while ----");
        self.scores_begin.next = self.begins.val() & (self.mode.val() == self.mode_scores.val());
        for i in 0..self._exact {
            self.scores_begin.next = self.begins.val()
                & ((self.mode.val() == self.mode_scores.val())
                    | (self.mode.val() == self.mode_exact_scores.val()));
            self.of_exact[i].d.next = self.of_exact[i].q.val();
            if self.scores_begin.val() {
                self.of_exact[i].d.next = self.mode.val() == self.mode_exact_scores.val();
            }
            self.exact[i].next = self.of_exact[i].q.val();
        }
        self.begun.d.next = self.begun.q.val() << 1 | self.scores_begin.val().into();
        self.again.next = self.begun.q.val().get_bit(self.begun_last.val());
        self.restart.next = self.again.val();

        comment!("---- the scores of a beat to the next word ----");
        self.due.d.next = self.due.q.val() << 1 | self.score_valid.val().into();
        self.restarts.d.next = self.restarts.q.val() << 1 | self.again.val().into();
        self.write.next = self.due.q.val().get_bit(self.due_last.val());
        self.write_at.next = self.write_word.q.val();
        if self.due.q.val().get_bit(self.due_last.val()) {
            self.write_word.d.next = self.write_word.q.val() + 1.into();
        }
        if self.restarts.q.val().get_bit(self.due_last.val()) {
            self.write_word.d.next = self.codes_at.val().into();
            for i in 0..self._exact {
                if self.of_exact[i].q.val() {
                    self.write_word.d.next = 0.into();
                }
            }
        }

        comment!("---- values: a block's beats once for each slice ----");
        self.reads.next = self.mode.val() == self.mode_buckets.val();
        for _i in 0..self._exact {
            self.reads.next = (self.mode.val() == self.mode_buckets.val())
                | (self.mode.val() == self.mode_exact_values.val());
        }
        self.values_begin.next = self.begins.val() & self.reads.val();
        self.soon.next = self.col_soon.val() & self.reads.val();
        for _i in 0..self._one_beat {
            for i in 0..self._slices {
                self.is_last[i].next = self.running.q.val();
            }
            self.running.d.next = self.soon.val();
        }
        for i in 0..self._beats {
            self.is_last[i].next =
                self.running.q.val() & (self.beat[i].q.val() == self.last_beat.val());
            self.beat[i].d.next = self.beat[i].q.val();
            if self.running.q.val() {
                self.beat[i].d.next = self.beat[i].q.val() + 1.into();
            }
            if self.is_last[i].val() {
                self.beat[i].d.next = 0.into();
            }
            self.running.d.next = self.soon.val() | (self.running.q.val() & !self.is_last[i].val());
        }
        self.is_first_slice.next = true;
        for i in 0..self._slices {
            self.is_first_slice.next = self.slice[i].q.val() == 0;
        }
        if self.running.q.val() {
            self.read_word.d.next = self.read_word.q.val() + 1.into();
        }
        for i in 0..self._slices {
            self.slice[i].d.next = self.slice[i].q.val();
            self.first_word[i].d.next = self.first_word[i].q.val();
            if self.is_last[i].val() {
                if self.slice[i].q.val() == self.last_slice.val() {
                    self.slice[i].d.next = 0.into();
                    self.first_word[i].d.next = self.read_word.q.val() + 1.into();
                } else {
                    self.slice[i].d.next = self.slice[i].q.val() + 1.into();
                    self.read_word.d.next = self.first_word[i].q.val();
                }
            }
            if self.values_begin.val() {
                self.slice[i].d.next = 0.into();
                self.first_word[i].d.next = self.codes_at.val().into();
                for _e in 0..self._exact {
                    if self.mode.val() == self.mode_exact_values.val() {
                        self.first_word[i].d.next = 0.into();
                    }
                }
            }
        }
        if self.values_begin.val() {
            self.read_word.d.next = self.codes_at.val().into();
            for _i in 0..self._exact {
                if self.mode.val() == self.mode_exact_values.val() {
                    self.read_word.d.next = 0.into();
                }
            }
        }
        self.read_at.next = self.read_word.q.val();

        comment!("---- in step with the memory, and with the probabilities ----");
        self.ran.d.next = self.ran.q.val() << 1 | self.running.q.val().into();
        self.read_valid.next = self.ran.q.val().get_bit(self.ran_last.val());
        self.counted_now.next = self.running.q.val() & self.is_first_slice.val();
        self.counted.d.next = self.counted.q.val() << 1 | self.counted_now.val().into();
        self.counts.next = self.counted.q.val().get_bit(self.counted_last.val());
    }
}

impl Unit for SoftmaxControl {
    fn module(&self) -> String {
        let (table, exact, depth, slices, latency) = self._numbers;
        format!(
            "pimc_softmax_control_t{table}_e{exact}_d{depth}_s{slices}_b{}_w{latency}_o{}",
            self.last_beat.val() + 1,
            self.mode.ty().width
        )
    }

    fn contract(&self) -> Contract {
        let (_, exact, depth, slices, latency) = self._numbers;
        let beats = self.last_beat.val() + 1;
        let (kinds, order) = match exact {
            0 => ("Scores", String::new()),
            _ => (
                "ExactScores and Scores",
                format!(
                    ", the beats of exact tokens first, those of compressed ones from {exact} on"
                ),
            ),
        };
        Contract {
            summary: "Control of the softmax: where scores go, and where they come from.".into(),
            formula: format!(
                "{kinds} write a word a beat. A column of values reads {beats}, one a clock: those of \
                 its block, which has a column for each of {slices} slices. A stream begins at the \
                 first word of its kind, unless it is of the mode of the stream before."
            ),
            latency: format!(
                "{latency} from score_valid_i to write_o; 1 from col_soon_i to the first beat at \
                 read_at_o, {READ_LATENCY} more to read_valid_o, and {} from col_soon_i to counts_o.",
                PROB_AHEAD + 1
            ),
            layout: format!("{depth} words{order}."),
            preconditions: format!(
                "Columns that are read follow each other by {beats} clocks or more. The scores of a \
                 stream come {SCORE_LATENCY} clocks or less behind the start of the next."
            ),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("stream_start", "streams, columns, scores"),
            ("clear", "starts"),
            ("write", "the memory of scores"),
            ("normalise", "results"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
