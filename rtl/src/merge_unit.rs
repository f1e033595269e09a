//! Two states of attention merged: means and log-sum-exps of apart tokens to those of all of them.

use crate::attention::{MergeShape, PROB_BITS};
use crate::hdl::prelude::*;
use crate::shape::ChannelShape;
use crate::softmax_divide::{SoftmaxDivide, DIVIDE_LATENCY};
use crate::softmax_exp::{SoftmaxExp, EXP_LATENCY};
use crate::softmax_log::{SoftmaxLog, LOG_BITS};
use crate::softmax_reciprocal::{SoftmaxReciprocal, RECIPROCAL_LATENCY};

/// Clocks from a start to that of the elements' steps: both log-sum-exps are read, put in order and
/// subtracted; their weights' reciprocal is there when the first sum of elements is.
const GO_CLOCKS: u32 = EXP_LATENCY + RECIPROCAL_LATENCY - 1;

/// Clocks from an element being there to its sum.
const SUM_CLOCKS: u32 = 3;

/// A row of a `Merge`, an element a clock: the log-sum-exps, which stand behind the elements, are read
/// first; the weights follow from them and hold while the elements pass. Optional ports of the units in it
/// are there: it needs logarithms.
#[derive(LogicBlock, Default)]
pub struct MergeUnit {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A merge starts. Its operands, below, are held until the next operation.
    pub start: Signal<In, Bit>,
    /// Address of a's row.
    pub a: Wire<In>,
    /// Address of b's row.
    pub b: Wire<In>,
    /// Elements of a row, its log-sum-exp included, less 1.
    pub len_less_1: Wire<In>,

    /// Stage 0: the log-sum-exps are read in this clock.
    pub reads: Signal<Out, Bit>,
    /// Where that of a lies.
    pub a_addr: Wire<Out>,
    /// Where that of b lies.
    pub b_addr: Wire<Out>,
    /// The steps over all elements start.
    pub go: Signal<Out, Bit>,

    /// Stage 1: an element is there.
    pub step: Signal<In, Bit>,
    /// Stage 1: it is the last one, the log-sum-exp.
    pub last: Signal<In, Bit>,
    /// Stage 1: what was read of a.
    pub x_a: Wire<In>,
    /// Stage 1: what was read of b.
    pub x_b: Wire<In>,

    /// `y` is an element of the result.
    pub we: Signal<Out, Bit>,
    /// It.
    pub y: Wire<Out>,

    phases: Reg,
    a_end: Reg,
    b_end: Reg,
    log_a: Reg,
    log_b: Reg,
    is_b_larger: Signal<Local, Bit>,
    swaps: Flop<Bit>,
    larger: Reg,
    smaller: Reg,
    exp: Inst<SoftmaxExp>,
    one: Wire<Local>,
    weights: Wire<Local>,
    reciprocal: Inst<SoftmaxReciprocal>,
    log: Inst<SoftmaxLog>,
    mean_a: Wire<Local>,
    mean_b: Wire<Local>,
    s2_x: Reg,
    s2_y: Reg,
    weight: Wire<Local>,
    s3_x: Reg,
    s3_product: Reg,
    s4_sum: Reg,
    divide: Inst<SoftmaxDivide>,
    there: Reg,
    lasts: Reg,

    held_at: Const,
    go_at: Const,
    one_weight: Const,
    weight_bits: Const,
    there_last: Const,
    is_log_at: Const,
    _mean_bits: u32,
    _weight_bits: u32,
}

impl MergeUnit {
    /// The unit of a channel that merges.
    pub fn new(shape: &ChannelShape) -> Option<Self> {
        let merge = shape.buffer.merge.as_ref()?;
        let MergeShape { mean_bits, exp_table, reciprocal_table, log_table } = merge;
        let (addr, log, mean) = (u(shape.isa.addr_bits), s(LOG_BITS), s(*mean_bits));
        // The larger log-sum-exp weighs 1, the other one no more.
        let weights = PROB_BITS + 1;
        let octaves = (1, 0);
        let exp = SoftmaxExp::of(LOG_BITS, octaves, exp_table);
        let reciprocal = SoftmaxReciprocal::of(weights, reciprocal_table, true);
        let scale = reciprocal.scale.ty();
        let logs = SoftmaxLog::of(LOG_BITS, octaves, scale, log_table, true);
        let sum = s(mean.width + PROB_BITS);
        let divide = SoftmaxDivide::new(sum, &reciprocal, 0, LOG_BITS);
        Some(MergeUnit {
            a: Wire::new(addr),
            b: Wire::new(addr),
            len_less_1: Wire::new(addr),
            a_addr: Wire::new(addr),
            b_addr: Wire::new(addr),
            x_a: Wire::new(log),
            x_b: Wire::new(log),
            y: Wire::new(log),
            phases: Reg::new(u(GO_CLOCKS)),
            a_end: Reg::data(addr),
            b_end: Reg::data(addr),
            log_a: Reg::data(log),
            log_b: Reg::data(log),
            larger: Reg::data(log),
            smaller: Reg::data(log),
            exp: Inst::new(exp),
            one: Wire::new(u(weights)),
            weights: Wire::new(u(weights)),
            reciprocal: Inst::new(reciprocal),
            log: Inst::new(logs),
            mean_a: Wire::new(mean),
            mean_b: Wire::new(mean),
            s2_x: Reg::data(mean),
            s2_y: Reg::data(mean),
            weight: Wire::new(s(weights)),
            s3_x: Reg::data(mean),
            s3_product: Reg::data(sum),
            s4_sum: Reg::data(sum),
            divide: Inst::new(divide),
            there: Reg::new(u(SUM_CLOCKS + DIVIDE_LATENCY)),
            lasts: Reg::data(u(SUM_CLOCKS + DIVIDE_LATENCY - 1)),
            held_at: Const::new(1),
            go_at: Const::new(GO_CLOCKS as usize - 1),
            one_weight: Const::new(1 << (PROB_BITS - 1)),
            weight_bits: Const::new(PROB_BITS as usize - 1),
            there_last: Const::new((SUM_CLOCKS + DIVIDE_LATENCY) as usize - 1),
            is_log_at: Const::new((SUM_CLOCKS + DIVIDE_LATENCY) as usize - 2),
            _mean_bits: mean.width,
            _weight_bits: weights,
            ..MergeUnit::default()
        })
    }
}

impl Logic for MergeUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, phases, a_end, b_end, log_a, log_b, swaps, larger, smaller);
        dff_setup!(self, clock, s2_x, s2_y, s3_x, s3_product, s4_sum, there, lasts);
        self.exp.clock.next = self.clock.val();
        self.reciprocal.clock.next = self.clock.val();
        self.log.clock.next = self.clock.val();
        self.divide.clock.next = self.clock.val();

        comment!("---- the log-sum-exps, then the elements ----");
        self.phases.d.next = self.phases.q.val() << 1 | self.start.val().into();
        self.a_end.d.next = self.a.val() + self.len_less_1.val();
        self.b_end.d.next = self.b.val() + self.len_less_1.val();
        self.reads.next = self.phases.q.val().get_bit(0);
        self.a_addr.next = self.a_end.q.val();
        self.b_addr.next = self.b_end.q.val();
        self.go.next = self.phases.q.val().get_bit(self.go_at.val());
        if self.phases.q.val().get_bit(self.held_at.val()) {
            self.log_a.d.next = self.x_a.val();
            self.log_b.d.next = self.x_b.val();
        }

        comment!("---- the larger one first, that of a where they are equal ----");
        self.is_b_larger.next = self.log_b.q.val() > self.log_a.q.val();
        self.swaps.d.next = self.is_b_larger.val();
        self.larger.d.next = self.log_a.q.val();
        self.smaller.d.next = self.log_b.q.val();
        if self.is_b_larger.val() {
            self.larger.d.next = self.log_b.q.val();
            self.smaller.d.next = self.log_a.q.val();
        }

        comment!(
            "---- the weight of the other; both together, their reciprocal and logarithm ----"
        );
        self.exp.largest.next = self.larger.q.val();
        self.exp.valid.next = true;
        self.exp.score.next = self.smaller.q.val();
        self.one.next = self.one_weight.val().into();
        self.weights.next = self.one.val() + self.exp.prob.val();
        self.reciprocal.sum.next = self.weights.val();
        self.log.largest.next = self.larger.q.val();
        self.log.behind.next = self.reciprocal.behind[0].val();
        self.log.scale.next = self.reciprocal.scale.val();
        self.log.empty.next = self.reciprocal.empty.val();

        comment!("---- stage 2: the elements, in the same order ----");
        self.mean_a.next = bit_cast(self.x_a.val(), self._mean_bits);
        self.mean_b.next = bit_cast(self.x_b.val(), self._mean_bits);
        self.s2_x.d.next = self.mean_a.val();
        self.s2_y.d.next = self.mean_b.val();
        if self.swaps.q.val() {
            self.s2_x.d.next = self.mean_b.val();
            self.s2_y.d.next = self.mean_a.val();
        }

        comment!("---- stages 3 and 4: weighted, and their sum ----");
        self.weight.next = signed_cast(bit_cast(self.exp.prob.val(), self._weight_bits));
        self.s3_product.d.next = self.s2_y.q.val() * self.weight.val();
        self.s3_x.d.next = self.s2_x.q.val();
        self.s4_sum.d.next =
            (self.s3_x.q.val() << self.weight_bits.val()) + self.s3_product.q.val();

        comment!("---- stages 5 to 7: divided by the weights; last comes the log-sum-exp ----");
        self.there.d.next = self.there.q.val() << 1 | self.step.val().into();
        self.lasts.d.next = self.lasts.q.val() << 1 | self.last.val().into();
        self.divide.dividend.next = self.s4_sum.q.val();
        self.divide.fraction.next = self.reciprocal.fraction.val();
        self.divide.scale.next = self.reciprocal.scale.val();
        self.divide.empty.next = self.reciprocal.empty.val();
        self.divide.is_log[0].next = self.lasts.q.val().get_bit(self.is_log_at.val());
        self.divide.log[0].next = self.log.value.val();
        self.we.next = self.there.q.val().get_bit(self.there_last.val());
        self.y.next = self.divide.value.val();
    }
}

impl Unit for MergeUnit {
    fn module(&self) -> String {
        format!("pimc_merge_unit_x{}_a{}", self._mean_bits, self.a.ty().width)
    }

    fn contract(&self) -> Contract {
        let stages = SUM_CLOCKS + DIVIDE_LATENCY;
        Contract {
            summary: "Two states of attention merged, row by row.".into(),
            formula: format!(
                "x is the row of the larger log-sum-exp lx, that of a where they are equal, and y, ly \
                 the other. w = 2^(18 - (lx - ly) / 4096), 0 where ly is -2^31. An element is (x * \
                 2^18 + y * w) / (2^18 + w), the log-sum-exp lx + 4096 * log2(1 + w / 2^18), in the \
                 arithmetic of the softmax; both are clamped to {LOG_BITS} bits."
            ),
            latency: format!(
                "reads_o 1 clock and go_o {GO_CLOCKS} clocks after start_i; {stages} clocks from an \
                 element to we_o and y_o."
            ),
            throughput: "An element every clock.".into(),
            layout: "Of a row the elements come first, the log-sum-exp is behind them.".into(),
            preconditions: format!(
                "x_a_i and x_b_i show what lies at a_addr_o and b_addr_o one clock after reads_o; no \
                 element comes earlier than 2 clocks after go_o, nor one wider than {} bits.",
                self._mean_bits
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("start", "operation"),
            ("reads", "log-sum-exps, then elements, are read"),
            ("step", "elements"),
            ("we", "result"),
        ]
    }

    fn proven_width(&self) -> Option<ProvenWidth> {
        Some(ProvenWidth {
            name: "MeanW",
            bits: self._mean_bits,
            reason: "Every element that is merged fits, see above.",
            fields: &["mean_a", "mean_b", "s2_x", "s2_y", "s3_x"],
        })
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
