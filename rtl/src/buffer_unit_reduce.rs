//! The reductions: operations whose result is one word.

use crate::hdl::prelude::*;
use crate::isa::VecOp;
use crate::shape::ChannelShape;

/// Stages 1 to 4 of `Sum` (all lanes at once) and `Argmax` (an element per step). Only what the
/// shape asks for is built; optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct VectorReduce {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Number of the operation in [`VecOp::ALL`]; held from its start to its result.
    pub op: Wire<In>,
    /// Stage 1: a step of the operation.
    pub step: Signal<In, Bit>,
    /// Stage 1: it is the first.
    pub first: Signal<In, Bit>,
    /// Stage 1: it is the last.
    pub last: Signal<In, Bit>,
    /// Stage 1: lanes that have an element; only for sums.
    pub there: Vec<Signal<In, Bit>>,
    /// Stage 1: the elements; just the first one when there are no sums.
    pub x: Vec<Wire<In>>,

    /// Stage 4: `y` is the result.
    pub we: Signal<Out, Bit>,
    /// Stage 4: the result.
    pub y: Wire<Out>,

    mine: Signal<Local, Bit>,
    s2_valid: Flop<Bit>,
    s2_first: Flop<Bit>,
    s2_last: Flop<Bit>,
    s3_last: Flop<Bit>,
    s4_last: Flop<Bit>,
    s2_x: Vec<Reg>,
    step_sum: Vec<Wire<Local>>,
    s3_valid: Vec<Flop<Bit>>,
    s3_first: Vec<Flop<Bit>>,
    s3_sum: Vec<Reg>,
    s2_index: Vec<Reg>,
    s2_better: Vec<Signal<Local, Bit>>,
    s3_largest: Vec<Reg>,
    s3_place: Vec<Reg>,
    place: Vec<Wire<Local>>,
    s4_value: Reg,

    op_argmax: Const,
    op_sum: Const,
    _argmax: usize,
    _sum: usize,
    _lanes: usize,
    _elements: usize,
}

impl Logic for VectorReduce {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, s2_valid, s2_first, s2_last, s3_last, s4_last, s4_value);
        for i in 0..self._sum {
            self.s3_valid[i].clock.next = self.clock.val();
            self.s3_first[i].clock.next = self.clock.val();
            self.s3_sum[i].clock.next = self.clock.val();
        }
        for l in 0..self._elements {
            self.s2_x[l].clock.next = self.clock.val();
        }
        for i in 0..self._argmax {
            self.s2_index[i].clock.next = self.clock.val();
            self.s3_largest[i].clock.next = self.clock.val();
            self.s3_place[i].clock.next = self.clock.val();
            self.s2_index[i].d.next = self.s2_index[i].q.val();
            self.s3_largest[i].d.next = self.s3_largest[i].q.val();
            self.s3_place[i].d.next = self.s3_place[i].q.val();
        }

        self.mine.next = false;
        for _i in 0..self._argmax {
            if self.op.val() == self.op_argmax.val() {
                self.mine.next = true;
            }
        }
        for _i in 0..self._sum {
            if self.op.val() == self.op_sum.val() {
                self.mine.next = true;
            }
        }
        self.s2_valid.d.next = self.step.val() & self.mine.val();
        self.s2_first.d.next = self.first.val();
        self.s2_last.d.next = self.last.val() & self.mine.val();
        self.s3_last.d.next = self.s2_last.q.val();
        self.s4_last.d.next = self.s3_last.q.val();

        for l in 0..self._elements {
            self.s2_x[l].d.next = self.x[l].val();
        }
        for l in 0..self._lanes {
            if !self.there[l].val() {
                self.s2_x[l].d.next = 0.into();
            }
        }

        comment!("---- stage 3: the sum over the lanes ----");
        for i in 0..self._sum {
            self.step_sum[i].next = 0.into();
            for l in 0..self._lanes {
                self.step_sum[i].next = self.step_sum[i].val() + self.s2_x[l].q.val();
            }
            self.s3_sum[i].d.next = self.step_sum[i].val();
            self.s3_valid[i].d.next = self.s2_valid.q.val();
            self.s3_first[i].d.next = self.s2_first.q.val();
        }

        comment!("---- stage 3: the largest so far and its place ----");
        for i in 0..self._argmax {
            if self.s2_valid.q.val() {
                self.s2_index[i].d.next = self.s2_index[i].q.val() + 1.into();
            }
            if self.first.val() {
                self.s2_index[i].d.next = 0.into();
            }
            self.s2_better[i].next =
                self.s2_first.q.val() | (self.s2_x[0].q.val() > self.s3_largest[i].q.val());
            if self.s2_valid.q.val() & self.s2_better[i].val() {
                self.s3_largest[i].d.next = self.s2_x[0].q.val();
                self.s3_place[i].d.next = self.s2_index[i].q.val();
            }
        }

        comment!("---- stage 4: the result ----");
        for i in 0..self._sum {
            if self.s3_valid[i].q.val() {
                self.s4_value.d.next = self.s4_value.q.val() + self.s3_sum[i].q.val();
                if self.s3_first[i].q.val() {
                    self.s4_value.d.next = self.s3_sum[i].q.val();
                }
            }
        }
        for i in 0..self._argmax {
            self.place[i].next = self.s3_place[i].q.val();
            if self.op.val() == self.op_argmax.val() {
                self.s4_value.d.next = signed_cast(self.place[i].val());
            }
        }
        self.we.next = self.s4_last.q.val();
        self.y.next = self.s4_value.q.val();
    }
}

impl VectorReduce {
    /// The reductions of a channel's buffer unit; `None` when it has none.
    pub fn new(shape: &ChannelShape) -> Option<Self> {
        let has = |op: VecOp| shape.buffer.ops.contains(&op) as usize;
        let code = |op: VecOp| Const::named(VecOp::bits(), op.code() as usize);
        let word = s(shape.buffer.word_bits);
        let index = u(word.width.min(shape.isa.addr_bits));
        let (argmax, sum) = (has(VecOp::Argmax), has(VecOp::Sum));
        let lanes = shape.lanes() as usize * sum;
        (argmax + sum > 0).then(|| VectorReduce {
            op: Wire::new(u(VecOp::bits())),
            there: vec![Signal::default(); lanes],
            x: vec![Wire::new(word); lanes.max(1)],
            y: Wire::new(word),
            s2_x: vec![Reg::data(word); lanes.max(1)],
            step_sum: vec![Wire::new(word); sum],
            s3_valid: vec![Flop::default(); sum],
            s3_first: vec![Flop::default(); sum],
            s3_sum: vec![Reg::data(word); sum],
            s2_index: vec![Reg::new(index); argmax],
            s2_better: vec![Signal::default(); argmax],
            s3_largest: vec![Reg::data(word); argmax],
            s3_place: vec![Reg::data(index); argmax],
            place: vec![Wire::new(u(word.width)); argmax],
            s4_value: Reg::data(word),
            op_argmax: code(VecOp::Argmax),
            op_sum: code(VecOp::Sum),
            _argmax: argmax,
            _sum: sum,
            _lanes: lanes,
            _elements: lanes.max(1),
            ..VectorReduce::default()
        })
    }

    /// Lanes whose elements it takes.
    pub fn lanes(&self) -> usize {
        self.x.len()
    }
}

impl Unit for VectorReduce {
    fn module(&self) -> String {
        "pimc_vector_reduce".into()
    }

    fn contract(&self) -> Contract {
        let sum = format!("{}: the sum of the elements", VecOp::Sum.code());
        let argmax = format!(
            "{}: the index of the largest element, the lowest on a tie",
            VecOp::Argmax.code()
        );
        let both = [(self._argmax, argmax), (self._sum, sum)];
        let built: Vec<String> = both.into_iter().filter(|b| b.0 > 0).map(|b| b.1).collect();
        Contract {
            summary: "Reductions: vector operations whose result is one word.".into(),
            formula: format!(
                "y_o by op_i:\n{}\nSums wrap at {} bits; that none does is proven where the widths \
                 come from.",
                built.join("\n"),
                self.y.ty().width
            ),
            latency: "3 clocks from the last step to we_o and y_o.".into(),
            throughput: "A step per clock.".into(),
            layout:
                "A step's flags and elements are inputs in stage 1; the index of the largest takes \
                     element 0 of each step. The result is there in stage 4."
                    .into(),
            preconditions:
                "op_i is held from the first step to the result, and steps come without a \
                            break."
                    .into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("op", "steps"), ("we", "result")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
