//! The largest score of a row of queries so far.

use crate::hdl::prelude::*;
use crate::softmax_tree::TreePlan;

/// Compares the scores of a beat in stages, and the largest of them with the largest so far.
#[derive(LogicBlock, Default)]
pub struct SoftmaxMax {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Forgets what was: the largest score is the least there is.
    pub clear: Signal<In, Bit>,
    /// The scores of a beat are there.
    pub valid: Signal<In, Bit>,
    /// They; the least there is where no token is visible.
    pub score: Vec<Wire<In>>,

    /// The largest so far.
    pub largest: Wire<Out>,

    highest: Wire<Local>,
    least: Wire<Local>,
    term: Vec<Wire<Local>>,
    early: Vec<Wire<Local>>,
    late: Vec<Wire<Local>>,
    node: Vec<Reg>,
    there: Reg,
    winner: Wire<Local>,
    kept: Reg,
    limit: Const,
    lead: Const,
    fan: Const,
    first: Const,
    count: Const,
    last: Const,
    stage: Const,
    _plan: Option<TreePlan>,
    _first: usize,
    _later: usize,
    _nodes: usize,
    _missing: usize,
}

impl SoftmaxMax {
    /// Of the scores of a plan, of `bits` bits.
    pub fn new(plan: TreePlan, bits: u32) -> Self {
        let (nodes, score) = (plan.nodes(), s(bits));
        SoftmaxMax {
            score: vec![Wire::new(score); plan.count],
            largest: Wire::new(score),
            highest: Wire::new(score),
            least: Wire::new(score),
            term: vec![Wire::new(score); plan.first * plan.lead],
            early: vec![Wire::new(score); plan.first],
            late: vec![Wire::new(score); plan.later()],
            node: vec![Reg::data(score); nodes],
            there: Reg::new(u(plan.stages as u32)),
            winner: Wire::new(score),
            kept: Reg::data(score),
            limit: Const::new((1 << (bits - 1)) - 1),
            lead: Const::new(plan.lead),
            fan: Const::new(plan.fan),
            first: Const::new(plan.first),
            count: Const::new(plan.count),
            last: Const::new(nodes - 1),
            stage: Const::new(plan.stages - 1),
            _plan: Some(plan),
            _first: plan.first,
            _later: plan.later(),
            _nodes: nodes,
            _missing: plan.missing(),
            ..SoftmaxMax::default()
        }
    }

    /// Clocks from the scores of a beat to the largest one that knows of them.
    pub fn latency(plan: TreePlan) -> u32 {
        plan.stages as u32 + 1
    }
}

impl Logic for SoftmaxMax {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, there, kept);
        for i in 0..self._nodes {
            self.node[i].clock.next = self.clock.val();
        }
        self.highest.next = self.limit.val().into();
        self.least.next = !self.highest.val();
        for i in 0..self.count.val() {
            self.term[i].next = self.score[i].val();
        }
        for i in 0..self._missing {
            self.term[i + self.count.val()].next = self.least.val();
        }

        comment!("---- nodes of the first stage, then those of the others, each a register ----");
        for i in 0..self._first {
            self.early[i].next = self.term[i * self.lead.val()].val();
            for j in 1..self.lead.val() {
                if self.term[i * self.lead.val() + j].val() > self.early[i].val() {
                    self.early[i].next = self.term[i * self.lead.val() + j].val();
                }
            }
        }
        for i in 0..self._later {
            self.late[i].next = self.node[i * self.fan.val()].q.val();
            for j in 1..self.fan.val() {
                if self.node[i * self.fan.val() + j].q.val() > self.late[i].val() {
                    self.late[i].next = self.node[i * self.fan.val() + j].q.val();
                }
            }
        }
        for i in 0..self._first {
            self.node[i].d.next = self.early[i].val();
        }
        for i in 0..self._later {
            self.node[i + self.first.val()].d.next = self.late[i].val();
        }
        self.there.d.next = self.there.q.val() << 1 | self.valid.val().into();

        comment!("---- the largest of all beats ----");
        self.winner.next = self.node[self.last.val()].q.val();
        if self.there.q.val().get_bit(self.stage.val()) & (self.winner.val() > self.kept.q.val()) {
            self.kept.d.next = self.winner.val();
        }
        if self.clear.val() {
            self.kept.d.next = self.least.val();
        }
        self.largest.next = self.kept.q.val();
    }
}

impl Unit for SoftmaxMax {
    fn module(&self) -> String {
        let plan = self._plan.map(|p| p.name()).unwrap_or_default();
        format!("pimc_softmax_max_{plan}_s{}", self.largest.ty().width)
    }

    fn contract(&self) -> Contract {
        let plan = self._plan.unwrap_or_else(|| unreachable!("made by new"));
        Contract {
            summary: "The largest score of a row of queries.".into(),
            formula: format!(
                "largest_o = the largest of the {} scores of every beat since clear_i. The least \
                 number of {} bits is no score, but that of a token which is not seen.",
                plan.count,
                self.largest.ty().width
            ),
            latency: format!("{} clocks from score_i to largest_o.", Self::latency(plan)),
            throughput: "A beat every clock.".into(),
            preconditions: "No beat is on its way at clear_i.".into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("clear", "scores"), ("largest", "the largest so far")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    #[test]
    fn the_largest_of_all_beats_since_the_clear() {
        for (count, levels) in [(4, 2), (7, 2), (8, 2), (20, 2), (56, 3), (64, 2)] {
            let plan = TreePlan::new(count, levels);
            let latency = SoftmaxMax::latency(plan);
            let mut uut = Inst::new(SoftmaxMax::new(plan, 20));
            let mut rng = Rng::new(u64::from(count));
            let least = -(1 << 19);
            for round in 0..12 {
                uut.clear.next = true;
                clock(&mut uut);
                uut.clear.next = false;
                assert_eq!(uut.largest.get(), least);
                let (mut want, mut settled) = (least, least);
                for _ in 0..round {
                    let valid = rng.below(4) > 0;
                    uut.valid.next = valid;
                    for x in &mut uut.score {
                        // What is not valid is larger than all that is.
                        let high = if valid { 0 } else { 1 << 18 };
                        let seen = rng.below(3) > 0 || !valid;
                        let value = rng.below(1 << 18) as i128 - (1 << 18) + high;
                        let value = if seen { value } else { least };
                        x.set(value);
                        want = want.max(if valid { value } else { least });
                    }
                    clock(&mut uut);
                }
                uut.valid.next = false;
                for _ in 1..latency {
                    settled = uut.largest.get();
                    clock(&mut uut);
                }
                assert!(settled <= want, "{plan:?}");
                assert_eq!(uut.largest.get(), want, "{plan:?}");
            }
        }
    }
}
