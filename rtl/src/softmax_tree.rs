//! Trees in stages: many values to one, a few levels a clock.

use crate::hdl::prelude::*;

/// How a tree is cut into stages. The first takes what the others leave over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreePlan {
    /// Values.
    pub count: usize,
    /// Nodes of a stage that a node of the next one joins.
    pub fan: usize,
    /// Stages, a clock each.
    pub stages: usize,
    /// Nodes of the first stage.
    pub first: usize,
    /// Values that each of them joins.
    pub lead: usize,
}

impl TreePlan {
    /// Of `count` values, with `levels` levels of operators of two operands in a stage.
    pub fn new(count: u32, levels: u32) -> Self {
        let (count, fan) = (count as usize, 1 << levels);
        let stages = Self::stages(count as u32, levels) as usize;
        let first = 1 << (levels as usize * (stages - 1));
        TreePlan { count, fan, stages, first, lead: count.div_ceil(first) }
    }

    /// Stages of such a tree, at least one.
    pub fn stages(count: u32, levels: u32) -> u32 {
        count.next_power_of_two().trailing_zeros().div_ceil(levels).max(1)
    }

    /// Values of the first stage that are not there.
    pub fn missing(&self) -> usize {
        self.first * self.lead - self.count
    }

    /// Nodes of all stages.
    pub fn nodes(&self) -> usize {
        (0..self.stages).map(|stage| self.first / self.fan.pow(stage as u32)).sum()
    }

    /// Nodes of the stages behind the first.
    pub fn later(&self) -> usize {
        self.nodes() - self.first
    }

    /// As a part of module names.
    pub fn name(&self) -> String {
        format!("n{}_f{}", self.count, self.fan)
    }
}

/// The sum of its inputs, `stages` clocks later.
#[derive(LogicBlock, Default)]
pub struct SumTree {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Values.
    pub x: Vec<Wire<In>>,
    /// Their sum, later.
    pub sum: Wire<Out>,
    term: Vec<Wire<Local>>,
    early: Vec<Wire<Local>>,
    late: Vec<Wire<Local>>,
    node: Vec<Reg>,
    lead: Const,
    fan: Const,
    first: Const,
    count: Const,
    last: Const,
    _plan: Option<TreePlan>,
    _first: usize,
    _later: usize,
    _nodes: usize,
    _missing: usize,
}

impl SumTree {
    /// The tree of a plan: of values of type `x` to a sum of type `sum`, which holds every sum of any of
    /// them.
    pub fn new(plan: TreePlan, x: Ty, sum: Ty) -> Self {
        let nodes = plan.nodes();
        SumTree {
            x: vec![Wire::new(x); plan.count],
            sum: Wire::new(sum),
            term: vec![Wire::new(x); plan.first * plan.lead],
            early: vec![Wire::new(sum); plan.first],
            late: vec![Wire::new(sum); plan.later()],
            node: vec![Reg::data(sum); nodes],
            lead: Const::new(plan.lead),
            fan: Const::new(plan.fan),
            first: Const::new(plan.first),
            count: Const::new(plan.count),
            last: Const::new(nodes - 1),
            _plan: Some(plan),
            _first: plan.first,
            _later: plan.later(),
            _nodes: nodes,
            _missing: plan.missing(),
            ..SumTree::default()
        }
    }
}

impl Logic for SumTree {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self._nodes {
            self.node[i].clock.next = self.clock.val();
        }
        for i in 0..self.count.val() {
            self.term[i].next = self.x[i].val();
        }
        for i in 0..self._missing {
            self.term[i + self.count.val()].next = 0.into();
        }

        comment!("---- nodes of the first stage, then those of the others, each a register ----");
        for i in 0..self._first {
            self.early[i].next = 0.into();
            for j in 0..self.lead.val() {
                self.early[i].next = self.early[i].val() + self.term[i * self.lead.val() + j].val();
            }
        }
        for i in 0..self._later {
            self.late[i].next = 0.into();
            for j in 0..self.fan.val() {
                self.late[i].next = self.late[i].val() + self.node[i * self.fan.val() + j].q.val();
            }
        }
        for i in 0..self._first {
            self.node[i].d.next = self.early[i].val();
        }
        for i in 0..self._later {
            self.node[i + self.first.val()].d.next = self.late[i].val();
        }
        self.sum.next = self.node[self.last.val()].q.val();
    }
}

impl Unit for SumTree {
    fn module(&self) -> String {
        let plan = self._plan.map(|p| p.name()).unwrap_or_default();
        let (x, sum) = (self.x[0].ty(), self.sum.ty());
        let sign = if x.signed { 's' } else { 'u' };
        format!("pimc_sum_tree_{plan}_{sign}{}_{}", x.width, sum.width)
    }

    fn contract(&self) -> Contract {
        let plan = self._plan.unwrap_or_else(|| unreachable!("made by new"));
        let clocks = if plan.stages == 1 { "clock" } else { "clocks" };
        Contract {
            summary: format!("The sum of {} values.", plan.count),
            formula: "sum_o = sum of x_i.".into(),
            latency: format!("{} {clocks}.", plan.stages),
            throughput: "A sum every clock.".into(),
            preconditions: format!("A sum of any of the values fits {} bits.", self.sum.ty().width),
            ..Contract::default()
        }
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    /// Sums of random values and of the extremes, in step with plain integers.
    fn check(count: u32, levels: u32, x: Ty, sum: Ty) {
        let plan = TreePlan::new(count, levels);
        assert_eq!(plan.stages as u32, TreePlan::stages(count, levels));
        let mut uut = Inst::new(SumTree::new(plan, x, sum));
        let mut rng = Rng::new(u64::from(count));
        let least = if x.signed { -(1i128 << (x.width - 1)) } else { 0 };
        let most = x.wrap(if x.signed { !least } else { -1 });
        let mut want = vec![];
        for clock_at in 0..40 {
            let mut total = 0;
            for i in 0..count as usize {
                let value = match clock_at {
                    3 => least,
                    4 => most,
                    _ => x.wrap(rng.next().into()),
                };
                uut.x[i].set(value);
                total += value;
            }
            want.push(total);
            clock(&mut uut);
            if want.len() >= plan.stages {
                let at = want.len() - plan.stages;
                assert_eq!(uut.sum.get(), want[at], "{plan:?}, value {at}");
            }
        }
    }

    #[test]
    fn sums_of_any_count_are_exact() {
        for (count, levels) in
            [(1, 2), (2, 2), (4, 2), (5, 2), (7, 3), (8, 2), (16, 2), (28, 2), (56, 3), (100, 2)]
        {
            check(count, levels, s(9), s(16));
            check(count, levels, u(16), u(23));
        }
    }

    #[test]
    fn a_stage_has_no_more_levels_than_it_may() {
        for levels in 1..5 {
            for count in 1..300 {
                let plan = TreePlan::new(count, levels);
                assert!(plan.lead <= plan.fan && plan.fan == 1 << levels, "{plan:?}");
                assert!(plan.first * plan.lead >= plan.count && plan.missing() < plan.first);
                let nodes = (0..plan.stages as u32).map(|k| plan.fan.pow(k)).sum::<usize>();
                assert_eq!(plan.nodes(), nodes, "{plan:?}");
            }
        }
    }
}
