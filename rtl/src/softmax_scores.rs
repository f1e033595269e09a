//! The banks' parts of scores to the scores of a beat.

use crate::attention::AttentionShape;
use crate::hdl::prelude::*;
use crate::shape::ChannelShape;
use crate::softmax_tree::{SumTree, TreePlan};

/// Adds the parts of the members of a token group; what a query does not see becomes the least number.
#[derive(LogicBlock, Default)]
pub struct SoftmaxScores {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Parts of the scores of a beat, by bank, lane and row.
    pub part: Vec<Wire<In>>,
    /// The tokens that the queries see, by token group, lane and query.
    pub visible: Vec<Wire<In>>,

    /// The scores, by token group, lane and row, later.
    pub score: Vec<Wire<Out>>,

    tree: Vec<Inst<SumTree>>,
    total: Vec<Wire<Local>>,
    line: Vec<Reg>,
    shown: Vec<Wire<Local>>,
    highest: Wire<Local>,
    least: Wire<Local>,
    held: Vec<Reg>,
    limit: Const,
    members: Const,
    scores: Const,
    queries: Const,
    query_heads: Const,
    tokens: Const,
    last_stage: Const,
    _sums: usize,
    _copies: usize,
    _groups: usize,
    _members: usize,
    _scores: usize,
    _all: usize,
    _queries: usize,
    _query_heads: usize,
    _tokens: usize,
    _stages: usize,
    _levels: u32,
}

impl SoftmaxScores {
    /// The unit of a shape in a channel, with so many levels of adders in a stage.
    pub fn new(shape: &AttentionShape, channel: &ChannelShape, levels: u32) -> Self {
        let lanes = shape.score_lanes(channel.beat_bits) as usize;
        let (groups, members) = (shape.groups as usize, shape.members as usize);
        let scores = lanes * shape.rows() as usize;
        let queries = shape.queries as usize;
        let (part, score) = (s(shape.part_bits()), s(shape.score_bits()));
        let stages = Self::latency(shape, levels) as usize - 1;
        let sums = (stages > 0) as usize;
        let flags = groups * lanes * queries;
        let tree = || {
            let plan = TreePlan::new(shape.members, levels);
            Inst::new(SumTree::new(plan, part, score))
        };
        SoftmaxScores {
            part: vec![Wire::new(part); groups * members * scores],
            visible: vec![Wire::new(u(1)); flags],
            score: vec![Wire::new(score); groups * scores],
            tree: (0..sums * groups * scores).map(|_| tree()).collect(),
            total: vec![Wire::new(score); groups * scores],
            line: vec![Reg::data(u(1)); stages * flags],
            shown: vec![Wire::new(u(1)); flags],
            highest: Wire::new(score),
            least: Wire::new(score),
            held: vec![Reg::data(score); groups * scores],
            limit: Const::new((1 << (score.width - 1)) - 1),
            members: Const::new(members),
            scores: Const::new(scores),
            queries: Const::new(queries),
            query_heads: Const::new(shape.query_heads as usize),
            tokens: Const::new(flags),
            last_stage: Const::new(stages.saturating_sub(1) * flags),
            _sums: sums,
            _copies: 1 - sums,
            _groups: groups,
            _members: members,
            _scores: scores,
            _all: groups * scores,
            _queries: queries,
            _query_heads: shape.query_heads as usize,
            _tokens: flags,
            _stages: stages,
            _levels: levels,
            ..SoftmaxScores::default()
        }
    }

    /// Clocks from the parts to the scores.
    pub fn latency(shape: &AttentionShape, levels: u32) -> u32 {
        match shape.members {
            1 => 1,
            members => TreePlan::stages(members, levels) + 1,
        }
    }
}

impl Logic for SoftmaxScores {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self._all {
            self.held[i].clock.next = self.clock.val();
        }
        comment!("---- sums over the members of a token group ----");
        for _s in 0..self._sums {
            for i in 0..self._all {
                self.tree[i].clock.next = self.clock.val();
            }
            for g in 0..self._groups {
                for i in 0..self._scores {
                    for m in 0..self._members {
                        self.tree[g * self.scores.val() + i].x[m].next =
                            self.part[(g * self.members.val() + m) * self.scores.val() + i].val();
                    }
                }
            }
            for i in 0..self._all {
                self.total[i].next = self.tree[i].sum.val();
            }
        }
        for _s in 0..self._copies {
            for i in 0..self._all {
                self.total[i].next = self.part[i].val();
            }
        }

        comment!("---- visibility, in step with them ----");
        for _s in 0..self._sums {
            for i in 0..self._tokens {
                self.line[i].clock.next = self.clock.val();
                self.line[i].d.next = self.visible[i].val();
            }
            for k in 1..self._stages {
                for i in 0..self._tokens {
                    self.line[k * self.tokens.val() + i].clock.next = self.clock.val();
                    self.line[k * self.tokens.val() + i].d.next =
                        self.line[(k - 1) * self.tokens.val() + i].q.val();
                }
            }
            for i in 0..self._tokens {
                self.shown[i].next = self.line[i + self.last_stage.val()].q.val();
            }
        }
        for _s in 0..self._copies {
            for i in 0..self._tokens {
                self.shown[i].next = self.visible[i].val();
            }
        }

        comment!("---- a score that nobody sees is the least number ----");
        self.highest.next = self.limit.val().into();
        self.least.next = !self.highest.val();
        for t in 0..self._tokens {
            for h in 0..self._query_heads {
                self.held[t * self.query_heads.val() + h].d.next = self.least.val();
                if self.shown[t].val().any() {
                    self.held[t * self.query_heads.val() + h].d.next =
                        self.total[t * self.query_heads.val() + h].val();
                }
            }
        }
        for i in 0..self._all {
            self.score[i].next = self.held[i].q.val();
        }
    }
}

impl Unit for SoftmaxScores {
    fn module(&self) -> String {
        format!(
            "pimc_softmax_scores_g{}_m{}_n{}_q{}_h{}_f{}_s{}_{}",
            self._groups,
            self._members,
            self._scores,
            self._queries,
            self._query_heads,
            1 << self._levels,
            self.part[0].ty().width,
            self.score[0].ty().width
        )
    }

    fn contract(&self) -> Contract {
        let sum = match self._members {
            1 => "the part of its bank".to_string(),
            members => format!("the sum of the parts of its {members} banks"),
        };
        let clocks = if self._stages == 0 { "clock" } else { "clocks" };
        Contract {
            summary: "The scores of a beat.".into(),
            formula: format!(
                "score_o of a token group, a lane and a row is {sum}, or the least number of {} bits \
                 where the row's query does not see the token. No score is that small.",
                self.score[0].ty().width
            ),
            latency: format!("{} {clocks}.", self._stages + 1),
            throughput: "A beat every clock.".into(),
            layout: format!(
                "part_i by bank, lane, row; score_o by token group, lane, row; visible_i by token \
                 group, lane, query. A query has {} of the rows, one after the other; a token group \
                 is of {} banks that follow one another.",
                self._query_heads, self._members
            ),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("part", "a beat"), ("score", "its scores")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
