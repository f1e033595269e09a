//! The sum of the probabilities of a row of queries.

use crate::attention::PROB_BITS;
use crate::hdl::prelude::*;
use crate::softmax_tree::{SumTree, TreePlan};

/// Adds up the probabilities of the beats.
#[derive(LogicBlock, Default)]
pub struct SoftmaxSum {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// The sum is 0.
    pub clear: Signal<In, Bit>,
    /// The probabilities of a beat are there, and count.
    pub valid: Signal<In, Bit>,
    /// They.
    pub prob: Vec<Wire<In>>,

    /// Their sum so far.
    pub sum: Wire<Out>,

    beat: Inst<SumTree>,
    there: Reg,
    total: Reg,
    stage: Const,
    _plan: Option<TreePlan>,
    _count: usize,
}

impl SoftmaxSum {
    /// Of the probabilities of a plan to a sum of `bits` bits.
    pub fn new(plan: TreePlan, bits: u32) -> Self {
        let beat_bits = PROB_BITS + plan.count.next_power_of_two().trailing_zeros();
        SoftmaxSum {
            prob: vec![Wire::new(u(PROB_BITS)); plan.count],
            sum: Wire::new(u(bits)),
            beat: Inst::new(SumTree::new(plan, u(PROB_BITS), u(bits.min(beat_bits)))),
            there: Reg::new(u(plan.stages as u32)),
            total: Reg::data(u(bits)),
            stage: Const::new(plan.stages - 1),
            _plan: Some(plan),
            _count: plan.count,
            ..SoftmaxSum::default()
        }
    }

    /// Clocks from the probabilities of a beat to the sum that has them.
    pub fn latency(plan: TreePlan) -> u32 {
        plan.stages as u32 + 1
    }
}

impl Logic for SoftmaxSum {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, there, total);
        self.beat.clock.next = self.clock.val();
        for i in 0..self._count {
            self.beat.x[i].next = self.prob[i].val();
        }
        self.there.d.next = self.there.q.val() << 1 | self.valid.val().into();
        if self.there.q.val().get_bit(self.stage.val()) {
            self.total.d.next = self.total.q.val() + self.beat.sum.val();
        }
        if self.clear.val() {
            self.total.d.next = 0.into();
        }
        self.sum.next = self.total.q.val();
    }
}

impl Unit for SoftmaxSum {
    fn module(&self) -> String {
        let plan = self._plan.map(|p| p.name()).unwrap_or_default();
        format!("pimc_softmax_sum_{plan}_u{}", self.sum.ty().width)
    }

    fn contract(&self) -> Contract {
        let plan = self._plan.unwrap_or_else(|| unreachable!("made by new"));
        Contract {
            summary: "The sum of the probabilities of a row of queries.".into(),
            formula: format!(
                "sum_o = the sum of the {} probabilities of every beat since clear_i.",
                plan.count
            ),
            latency: format!("{} clocks from prob_i to sum_o.", Self::latency(plan)),
            throughput: "A beat every clock.".into(),
            preconditions: format!(
                "No beat is on its way at clear_i; the sum fits {} bits, as the cache has no more \
                 tokens.",
                self.sum.ty().width
            ),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("clear", "probabilities"), ("sum", "their sum so far")]
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
    fn what_is_valid_is_summed() {
        for (count, levels) in [(4, 2), (7, 2), (8, 3), (20, 2), (64, 2)] {
            let plan = TreePlan::new(count, levels);
            let mut uut = Inst::new(SoftmaxSum::new(plan, 30));
            let mut rng = Rng::new(u64::from(count));
            for round in 0..8 {
                uut.clear.next = true;
                clock(&mut uut);
                uut.clear.next = false;
                let mut want = 0;
                for _ in 0..round {
                    let valid = rng.below(3) > 0;
                    uut.valid.next = valid;
                    for x in &mut uut.prob {
                        let p = if round == 7 { 1 << 18 } else { rng.below((1 << 18) + 1) };
                        x.set(p.into());
                        want += if valid { i128::from(p) } else { 0 };
                    }
                    clock(&mut uut);
                }
                uut.valid.next = false;
                for _ in 1..SoftmaxSum::latency(plan) {
                    clock(&mut uut);
                }
                assert_eq!(uut.sum.get(), want, "{plan:?}");
            }
        }
    }
}
