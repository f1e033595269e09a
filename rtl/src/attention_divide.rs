//! Attention divide: an element of the mean of what went to a centroid, a bit a clock.

use crate::attention::ClusterShape;
use crate::hdl::prelude::*;

/// Bits of an element of a centroid, and of the quotient.
const BYTE: u32 = 8;

/// Divides with restoring: of dividend and divisor the halves, so that the quotient, less 128 an int8,
/// is the mean with halves upward.
#[derive(LogicBlock, Default)]
pub struct AttentionDivide {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Takes `sum` and `offset`.
    pub load: Signal<In, Bit>,
    /// Makes the next bit of the quotient, the highest first, in each of 8 clocks.
    pub step: Signal<In, Bit>,
    /// Sum of elements times their weights.
    pub sum: Wire<In>,
    /// 257 times the sum of the weights.
    pub offset: Wire<In>,
    /// The sum of the weights; held from the first step to the last.
    pub total: Wire<In>,
    /// The mean, one clock behind the last step.
    pub mean: Wire<Out>,

    dividend: Wire<Local>,
    rest: Reg,
    low: Reg,
    fits: Signal<Local, Bit>,
    difference: Wire<Local>,
    kept: Wire<Local>,
    byte: Const,
    sign: Const,
    top: Const,
    _byte: u32,
    _dividend_bits: u32,
    _rest_bits: u32,
}

impl Logic for AttentionDivide {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, rest, low);
        comment!(
            "---- dividend: 2 sum + total, and 128 times the divisor 2 total: not negative ----"
        );
        self.dividend.next =
            (unsigned_cast(bit_cast(self.sum.val(), self._dividend_bits)) << 1) + self.offset.val();

        comment!("---- a bit: does half of the divisor fit into what is left? ----");
        self.fits.next = self.rest.q.val() >= self.total.val();
        self.difference.next = self.rest.q.val() - self.total.val();
        self.kept.next = self.rest.q.val();
        if self.fits.val() {
            self.kept.next = self.difference.val();
        }
        // Bits of the dividend leave `low` at its top, bits of the quotient enter it below.
        if self.step.val() {
            self.rest.d.next =
                (self.kept.val() << 1) | self.low.q.val().get_bit(self.top.val()).into();
            self.low.d.next = (self.low.q.val() << 1) | self.fits.val().into();
        }
        if self.load.val() {
            self.rest.d.next = bit_cast(self.dividend.val() >> self.byte.val(), self._rest_bits);
            self.low.d.next = bit_cast(self.dividend.val(), self._byte);
        }

        comment!("---- less 128 ----");
        self.mean.next = self.low.q.val() ^ self.sign.val().into();
    }
}

impl AttentionDivide {
    /// Bits of the dividend: of less than 512 times the sum of the weights.
    pub fn dividend_bits(p: &ClusterShape) -> u32 {
        p.total_bits() + BYTE + 1
    }

    /// For sums of a shape.
    pub fn new(p: &ClusterShape) -> Self {
        let dividend = u(AttentionDivide::dividend_bits(p));
        let (rest, total) = (u(p.total_bits() + 1), u(p.total_bits()));
        AttentionDivide {
            sum: Wire::new(s(p.sum_bits())),
            offset: Wire::new(dividend),
            total: Wire::new(total),
            mean: Wire::new(u(BYTE)),
            dividend: Wire::new(dividend),
            rest: Reg::data(rest),
            low: Reg::data(u(BYTE)),
            difference: Wire::new(rest),
            kept: Wire::new(rest),
            byte: Const::new(BYTE as usize),
            sign: Const::new(1 << (BYTE - 1)),
            top: Const::new(BYTE as usize - 1),
            _byte: BYTE,
            _dividend_bits: dividend.width,
            _rest_bits: rest.width,
            ..AttentionDivide::default()
        }
    }
}

impl Unit for AttentionDivide {
    fn module(&self) -> String {
        "pimc_attention_divide".into()
    }

    fn contract(&self) -> Contract {
        Contract {
            summary: "Attention divide: an element of a weighted mean, by restoring division.".into(),
            formula: "mean = floor((2 * sum + total) / (2 * total)), where offset = 257 * total.".into(),
            latency: format!("load_i, {BYTE} clocks with step_i, then mean_o."),
            throughput: format!("A mean every {} clocks.", BYTE + 1),
            preconditions: format!(
                "sum is of int8 elements times weights of which total is the sum, so the mean fits {BYTE} \
                 bits. Without weights (total = 0) mean_o says nothing."
            ),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("load", "control"), ("sum", "what is divided"), ("mean", "quotient")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
