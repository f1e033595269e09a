//! Softmax over the scores of the banks: probabilities for the banks, and their outputs divided by
//! the sums of those.

use crate::attention::{
    AttentionShape, ARG_BITS, MAX_LATENCY, NORMALISE_LATENCY, PROB_AHEAD, PROB_BITS,
};
use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};
use crate::softmax_control::SoftmaxControl;
use crate::softmax_ends::SoftmaxEnds;
use crate::softmax_exp::SoftmaxExp;
use crate::softmax_max::SoftmaxMax;
use crate::softmax_memory::SoftmaxMemory;
use crate::softmax_normalise::SoftmaxNormalise;
use crate::softmax_scores::SoftmaxScores;
use crate::softmax_sum::SoftmaxSum;
use crate::softmax_tree::TreePlan;
use crate::softmax_visible::SoftmaxVisible;

/// One for all banks of a channel. Scores and probabilities of a lane lie by row; lanes lie by bank or
/// by token group: `(bank * lanes + lane) * rows + row`.
#[derive(LogicBlock, Default)]
pub struct SoftmaxUnit {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A stream begins.
    pub stream_start: Signal<In, Bit>,
    /// Its mode: the number of a stream mode of the banks.
    pub mode: Wire<In>,
    /// The data of a column come `PROB_AHEAD` clocks later.
    pub col_soon: Signal<In, Bit>,

    /// The banks' parts of the scores of a beat are there.
    pub score_valid: Signal<In, Bit>,
    /// They, by bank, lane and row.
    pub score: Vec<Wire<In>>,

    /// Writes a parameter.
    pub param_we: Signal<In, Bit>,
    /// Which: see [`crate::attention::AttentionParam`].
    pub param_index: Wire<In>,
    /// What.
    pub param_value: Wire<In>,

    /// Probabilities of the beat that enters the data path, by token group, lane and row.
    pub prob: Vec<Wire<Out>>,

    /// Row of the outputs that the banks are to show in the next clock.
    pub out_row: Wire<Out>,
    /// Their slice.
    pub out_slice: Wire<Out>,
    /// Their element of the sub-vector.
    pub out_element: Wire<Out>,
    /// An output of every bank, selected a clock ago.
    pub out_value: Vec<Wire<In>>,

    /// A result is there.
    pub value_valid: Signal<Out, Bit>,
    /// It.
    pub value: Wire<Out>,

    control: Inst<SoftmaxControl>,
    ends: Inst<SoftmaxEnds>,
    visible: Inst<SoftmaxVisible>,
    scores: Inst<SoftmaxScores>,
    memory: Inst<SoftmaxMemory>,
    row_largest: Vec<Inst<SoftmaxMax>>,
    lane: Vec<Inst<SoftmaxExp>>,
    row_sum: Vec<Inst<SoftmaxSum>>,
    results: Inst<SoftmaxNormalise>,
    rows: Const,
    _shape: Option<AttentionShape>,
    _channel: (u32, u32, u32, u32),
    _exact: usize,
    _sink: usize,
    _recent: usize,
    _queries: usize,
    _rows: usize,
    _logs: usize,
    _lanes: usize,
    _flags: usize,
    _parts: usize,
    _scores: usize,
    _banks: usize,
}

/// Levels of operators in a stage of the unit's trees: two, or the fewest with which the largest score
/// and the outputs are there in time.
fn levels(shape: &AttentionShape, channel: &ChannelShape) -> u32 {
    let lanes = shape.groups * shape.score_lanes(channel.beat_bits);
    let in_time = |levels: &u32| {
        let largest = SoftmaxMax::latency(TreePlan::new(lanes, *levels));
        SoftmaxScores::latency(shape, *levels) + largest <= MAX_LATENCY
            && TreePlan::stages(shape.groups, *levels) <= 4
    };
    (2..5).find(in_time).unwrap_or(5)
}

impl SoftmaxUnit {
    /// The unit of a shape in a channel.
    pub fn new(shape: &AttentionShape, channel: &ChannelShape) -> Self {
        let levels = levels(shape, channel);
        let rows = shape.rows() as usize;
        let lanes = (shape.groups * shape.score_lanes(channel.beat_bits)) as usize;
        let scores = lanes * rows;
        let parts = scores * shape.members as usize;
        let banks = channel.banks as usize;
        let plan = TreePlan::new(lanes as u32, levels);
        let depth = SoftmaxControl::words(shape, channel);
        let latency = SoftmaxScores::latency(shape, levels);
        let score = shape.score_bits();
        let largest = || Inst::new(SoftmaxMax::new(plan, score));
        let sum = || Inst::new(SoftmaxSum::new(plan, shape.sum_bits()));
        SoftmaxUnit {
            mode: Wire::new(u(channel.isa.mode_bits)),
            score: vec![Wire::new(s(shape.part_bits())); parts],
            param_index: Wire::new(u(shape.param_bits())),
            param_value: Wire::new(u(ARG_BITS)),
            prob: vec![Wire::new(u(PROB_BITS)); scores],
            out_row: Wire::new(u(index_bits(shape.rows()))),
            out_slice: Wire::new(u(index_bits(shape.slices))),
            out_element: Wire::new(u(index_bits(shape.sub))),
            out_value: vec![Wire::new(s(shape.out_bits())); banks],
            value: Wire::new(s(shape.result_bits)),
            control: Inst::new(SoftmaxControl::new(shape, channel, latency)),
            ends: Inst::new(SoftmaxEnds::new(shape, channel)),
            visible: Inst::new(SoftmaxVisible::new(shape, channel)),
            scores: Inst::new(SoftmaxScores::new(shape, channel, levels)),
            memory: Inst::new(SoftmaxMemory::new(depth, scores, score)),
            row_largest: (0..rows).map(|_| largest()).collect(),
            lane: (0..scores).map(|_| Inst::new(SoftmaxExp::new(shape))).collect(),
            row_sum: (0..rows).map(|_| sum()).collect(),
            results: Inst::new(SoftmaxNormalise::new(shape, channel, levels)),
            rows: Const::new(rows),
            _shape: Some(shape.clone()),
            _channel: (channel.banks, channel.beats, channel.beat_bits, channel.isa.mode_bits),
            _exact: (shape.exact_places() > 0) as usize,
            _sink: (shape.sink > 0) as usize,
            _recent: (shape.recent > 0) as usize,
            _queries: shape.queries as usize,
            _rows: rows,
            _logs: if shape.state() { rows } else { 0 },
            _lanes: lanes,
            _flags: lanes * shape.queries as usize,
            _parts: parts,
            _scores: scores,
            _banks: banks,
            ..SoftmaxUnit::default()
        }
    }
}

impl Logic for SoftmaxUnit {
    #[hdl_gen]
    fn update(&mut self) {
        self.control.clock.next = self.clock.val();
        self.ends.clock.next = self.clock.val();
        self.visible.clock.next = self.clock.val();
        self.scores.clock.next = self.clock.val();
        self.memory.clock.next = self.clock.val();
        self.results.clock.next = self.clock.val();
        for r in 0..self._rows {
            self.row_largest[r].clock.next = self.clock.val();
            self.row_sum[r].clock.next = self.clock.val();
        }
        for i in 0..self._scores {
            self.lane[i].clock.next = self.clock.val();
        }

        comment!("---- what the streams ask for ----");
        self.control.stream_start.next = self.stream_start.val();
        self.control.mode.next = self.mode.val();
        self.control.col_soon.next = self.col_soon.val();
        self.control.score_valid.next = self.score_valid.val();

        comment!("---- which tokens the queries see ----");
        self.ends.param_we.next = self.param_we.val();
        self.ends.param_index.next = self.param_index.val();
        self.ends.param_value.next = self.param_value.val();
        self.visible.restart.next = self.control.restart.val();
        for i in 0..self._exact {
            self.visible.exact[i].next = self.control.exact[i].val();
        }
        self.visible.step.next = self.score_valid.val();
        for q in 0..self._queries {
            self.visible.code_end[q].next = self.ends.code_end[q].val();
        }
        for _i in 0..self._sink {
            for q in 0..self._queries {
                self.visible.sink_end[q].next = self.ends.sink_end[q].val();
            }
        }
        for i in 0..self._recent {
            self.visible.old_first[i].next = self.ends.old_first[i].val();
            for q in 0..self._queries {
                self.visible.young_end[q].next = self.ends.young_end[q].val();
                self.visible.old_end[q].next = self.ends.old_end[q].val();
            }
        }

        comment!("---- scores, into memory ----");
        for i in 0..self._parts {
            self.scores.part[i].next = self.score[i].val();
        }
        for i in 0..self._flags {
            self.scores.visible[i].next = self.visible.visible[i].val();
        }
        self.memory.we.next = self.control.write.val();
        self.memory.waddr.next = self.control.write_at.val();
        self.memory.raddr.next = self.control.read_at.val();
        for i in 0..self._scores {
            self.memory.score[i].next = self.scores.score[i].val();
        }

        comment!("---- the largest of a row ----");
        for r in 0..self._rows {
            self.row_largest[r].clear.next = self.control.clear.val();
            self.row_largest[r].valid.next = self.control.write.val();
        }
        for r in 0..self._rows {
            for l in 0..self._lanes {
                self.row_largest[r].score[l].next =
                    self.scores.score[l * self.rows.val() + r].val();
            }
        }

        comment!("---- probabilities ----");
        for i in 0..self._scores {
            self.lane[i].valid.next = self.control.read_valid.val();
            self.lane[i].score.next = self.memory.read[i].val();
        }
        for l in 0..self._lanes {
            for r in 0..self._rows {
                self.lane[l * self.rows.val() + r].largest.next = self.row_largest[r].largest.val();
            }
        }
        for i in 0..self._scores {
            self.prob[i].next = self.lane[i].prob.val();
        }

        comment!("---- their sums ----");
        for r in 0..self._rows {
            self.row_sum[r].clear.next = self.control.clear.val();
            self.row_sum[r].valid.next = self.control.counts.val();
        }
        for r in 0..self._rows {
            for l in 0..self._lanes {
                self.row_sum[r].prob[l].next = self.lane[l * self.rows.val() + r].prob.val();
            }
        }

        comment!("---- results ----");
        self.results.start.next = self.control.normalise.val();
        for r in 0..self._rows {
            self.results.sum[r].next = self.row_sum[r].sum.val();
        }
        for r in 0..self._logs {
            self.results.largest_score[r].next = self.row_largest[r].largest.val();
        }
        for b in 0..self._banks {
            self.results.out_value[b].next = self.out_value[b].val();
        }
        self.out_row.next = self.results.out_row.val();
        self.out_slice.next = self.results.out_slice.val();
        self.out_element.next = self.results.out_element.val();
        self.value_valid.next = self.results.value_valid.val();
        self.value.next = self.results.value.val();
    }
}

impl Unit for SoftmaxUnit {
    fn module(&self) -> String {
        "pimc_softmax_unit".into()
    }

    fn contract(&self) -> Contract {
        let p = self._shape.as_ref().unwrap_or_else(|| unreachable!("made by new"));
        let exact = match p.exact_places() {
            0 => "Scores",
            _ => "ExactScores, Scores",
        };
        let (groups, members, rows) = (p.groups, p.members, p.rows());
        let lanes = self._lanes as u32 / groups;
        Contract {
            summary: format!(
                "Softmax over scores, of queries * heads = {} * {} rows.",
                p.queries, p.query_heads
            ),
            formula: "Table forgets largest scores and sums. Scores are sums over the members of a \
                      token group; of those that a row's query sees the largest is kept. Values read \
                      the scores again: prob_o = 2^18 * 2^-y, y how far the score is below the \
                      largest one, scaled; they are summed by row, each token once. Normalise divides \
                      the outputs of the banks by the sums."
                .into(),
            latency: format!(
                "Largest scores are final {MAX_LATENCY} clocks after the last score_valid_i. prob_o of \
                 beat q is there {} + q clocks after col_soon_i. The first value_o comes \
                 {NORMALISE_LATENCY} clocks after the start of Normalise, then one a clock, {} in all.",
                PROB_AHEAD + 1,
                rows * p.row_results()
            ),
            throughput: "A beat every clock.".into(),
            layout: format!(
                "score_i by bank, lane, row; prob_o by token group, lane, row: {lanes} lanes, {rows} \
                 rows. Bank group * {members} + member of {groups} token groups of {members} banks."
            ),
            preconditions: format!(
                "Modes come in the order Table, {exact}, values, Normalise, and scores in the order of \
                 the blocks, as do columns of values, of which a block has {}. Parameters are there \
                 before the streams of scores.",
                p.slices
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("stream_start", "streams and their columns"),
            ("score_valid", "scores of a beat, from the banks"),
            ("param_we", "parameters"),
            ("prob", "probabilities of a beat, to the banks"),
            ("out_row", "outputs of the banks"),
            ("value_valid", "results"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests;
