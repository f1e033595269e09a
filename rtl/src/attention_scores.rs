//! Attention scores: the parts of a block's scores, summed over the slices.

use crate::attention::{AttentionShape, SCORE_LATENCY};
use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};
use crate::wide_ram::WideRam;

/// Takes the parts of a beat, of codes or of exact keys, and gives the scores with the block's last
/// slice. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct AttentionScores {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// A beat of codes or of exact keys.
    pub valid: Signal<In, Bit>,
    /// It is of exact keys; only where tokens are kept exact.
    pub exact: Vec<Signal<In, Bit>>,
    /// Its slice; only when there are two or more.
    pub slice: Vec<Wire<In>>,
    /// Its place in the column; only when there are several slices.
    pub beat: Vec<Wire<In>>,
    /// Two clocks later: the parts of codes, of the first lane all rows, and so on.
    pub part: Vec<Wire<In>>,
    /// Two clocks later: the parts of exact keys, in the same order.
    pub dot: Vec<Wire<In>>,
    /// The scores of a beat are on `score`.
    pub score_valid: Signal<Out, Bit>,
    /// The scores; those of lanes without an exact key are 0.
    pub score: Vec<Wire<Out>>,
    valid_e: Flop<Bit>,
    exact_e: Vec<Flop<Bit>>,
    first_e: Vec<Flop<Bit>>,
    last_e: Vec<Flop<Bit>>,
    beat_e: Vec<Reg>,
    valid_f: Flop<Bit>,
    exact_f: Vec<Flop<Bit>>,
    first_f: Vec<Flop<Bit>>,
    last_f: Vec<Flop<Bit>>,
    beat_f: Vec<Reg>,
    term: Vec<Wire<Local>>,
    held: Vec<Inst<WideRam>>,
    sum: Vec<Wire<Local>>,
    done: Flop<Bit>,
    total: Vec<Reg>,
    last_slice: Const,
    _scores: usize,
    _dots: usize,
    _exact: usize,
    _sliced: usize,
    _whole: usize,
    _rows: usize,
}

impl Logic for AttentionScores {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, valid_e, valid_f, done);

        // Along with the lookups and products.
        self.valid_e.d.next = self.valid.val();
        self.valid_f.d.next = self.valid_e.q.val();
        for i in 0..self._exact {
            self.exact_e[i].clock.next = self.clock.val();
            self.exact_e[i].d.next = self.exact[i].val();
            self.exact_f[i].clock.next = self.clock.val();
            self.exact_f[i].d.next = self.exact_e[i].q.val();
        }
        for i in 0..self._sliced {
            self.first_e[i].clock.next = self.clock.val();
            self.first_e[i].d.next = self.slice[i].val() == 0;
            self.first_f[i].clock.next = self.clock.val();
            self.first_f[i].d.next = self.first_e[i].q.val();
            self.last_e[i].clock.next = self.clock.val();
            self.last_e[i].d.next = self.slice[i].val() == self.last_slice.val();
            self.last_f[i].clock.next = self.clock.val();
            self.last_f[i].d.next = self.last_e[i].q.val();
            self.beat_e[i].clock.next = self.clock.val();
            self.beat_e[i].d.next = self.beat[i].val();
            self.beat_f[i].clock.next = self.clock.val();
            self.beat_f[i].d.next = self.beat_e[i].q.val();
        }

        comment!("---- parts ----");
        for i in 0..self._scores {
            self.term[i].next = self.part[i].val();
        }
        for _i in 0..self._exact {
            if self.exact_f[0].q.val() {
                for j in 0..self._scores {
                    self.term[j].next = 0.into();
                }
                for j in 0..self._dots {
                    self.term[j].next = self.dot[j].val();
                }
            }
        }

        comment!("---- sums of the slices so far, a word to every beat of a column ----");
        for i in 0..self._sliced {
            self.held[i].clock.next = self.clock.val();
            self.held[i].we.next = self.valid_f.q.val();
            self.held[i].waddr.next = self.beat_f[i].q.val();
            self.held[i].raddr.next = self.beat_e[i].q.val();
            for j in 0..self._scores {
                self.held[i].wdata[j].next = self.sum[j].val();
            }
        }
        for i in 0..self._sliced {
            for j in 0..self._scores {
                self.sum[j].next = self.held[i].rdata[j].val() + self.term[j].val();
                if self.first_f[i].q.val() {
                    self.sum[j].next = self.term[j].val();
                }
            }
        }
        self.done.d.next = self.valid_f.q.val();
        for i in 0..self._sliced {
            self.done.d.next = self.valid_f.q.val() & self.last_f[i].q.val();
        }
        for _i in 0..self._whole {
            for j in 0..self._scores {
                self.sum[j].next = self.term[j].val();
            }
        }
        for j in 0..self._scores {
            self.total[j].clock.next = self.clock.val();
            self.total[j].d.next = self.sum[j].val();
            self.score[j].next = self.total[j].q.val();
        }
        self.score_valid.next = self.done.q.val();
    }
}

impl AttentionScores {
    /// For the units of a channel.
    pub fn new(p: &AttentionShape, channel: &ChannelShape) -> Self {
        let (rows, lanes) = (p.rows(), p.lanes(channel.beat_bits));
        let scores = (lanes * rows) as usize;
        let dots = (p.chunk(channel.beat_bits) * rows) as usize;
        let (exact, sliced) = (p.has_exact() as usize, (p.slices > 1) as usize);
        let beat = u(index_bits(channel.beats));
        let (term, sum) = (s(p.entry_bits()), s(p.part_bits()));
        let flag = |n: usize| vec![Flop::default(); n];
        let held = || Inst::new(WideRam::of_depth(channel.beats, lanes * rows, sum));
        AttentionScores {
            exact: vec![Signal::default(); exact],
            slice: vec![Wire::new(u(index_bits(p.slices))); sliced],
            beat: vec![Wire::new(beat); sliced],
            part: vec![Wire::new(term); scores],
            dot: vec![Wire::new(term); exact * dots],
            score: vec![Wire::new(sum); scores],
            exact_e: flag(exact),
            first_e: flag(sliced),
            last_e: flag(sliced),
            beat_e: vec![Reg::data(beat); sliced],
            exact_f: flag(exact),
            first_f: flag(sliced),
            last_f: flag(sliced),
            beat_f: vec![Reg::data(beat); sliced],
            term: vec![Wire::new(term); scores],
            held: std::iter::repeat_with(held).take(sliced).collect(),
            sum: vec![Wire::new(sum); scores],
            total: vec![Reg::data(sum); scores],
            last_slice: Const::new(p.slices as usize - 1),
            _scores: scores,
            _dots: exact * dots,
            _exact: exact,
            _sliced: sliced,
            _whole: 1 - sliced,
            _rows: rows as usize,
            ..AttentionScores::default()
        }
    }
}

impl Unit for AttentionScores {
    fn module(&self) -> String {
        "pimc_attention_scores".into()
    }

    fn contract(&self) -> Contract {
        let (lanes, rows) = (self._scores / self._rows, self._rows);
        let slices = self.last_slice.val() + 1;
        let exact = match self._exact {
            0 => "",
            _ => " or of exact keys",
        };
        Contract {
            summary: format!(
                "Attention scores: the scores of {lanes} tokens with {rows} rows of queries per clock."
            ),
            formula: format!(
                "score[lane][row] = sum over the {slices} slices of a block of the parts of codes{exact}."
            ),
            latency: format!(
                "{SCORE_LATENCY} clocks from valid_i of the last slice to score_valid_o."
            ),
            throughput: "A beat every clock.".into(),
            layout: format!(
                "Lane l and row r are word l*{rows} + r of part_i and score_o, and of dot_i as far as \
                 that goes; the scores of the other lanes of exact keys are 0."
            ),
            preconditions: "part_i and dot_i come two clocks behind valid_i.".into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("valid", "beat"), ("part", "its parts, two clocks later"), ("score_valid", "scores")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
