//! The reciprocal of a sum of probabilities.

use crate::attention::AttentionShape;
use crate::hdl::prelude::*;
use crate::shape::index_bits;
use crate::softmax_curve::{SoftmaxCurve, CURVE_LATENCY, PIECE_BITS};

/// Clocks from a sum to its reciprocal.
pub const RECIPROCAL_LATENCY: u32 = CURVE_LATENCY + 3;

/// Bits of a sum's fraction: what follows its first one.
pub const FRACTION_BITS: u32 = 15;

/// `1 / sum`: a fraction, and how far it is to be shifted.
#[derive(LogicBlock, Default)]
pub struct SoftmaxReciprocal {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// The sum.
    pub sum: Wire<In>,

    /// 2^46 / sum, times 2^scale.
    pub fraction: Wire<Out>,
    /// The sum has so many bits more than 16.
    pub scale: Wire<Out>,
    /// What follows the first one of the sum, 3 clocks before; of shapes that give log-sum-exps.
    pub behind: Vec<Wire<Out>>,
    /// The sum is 0.
    pub empty: Signal<Out, Bit>,

    s1_sum: Reg,
    above: Wire<Local>,
    found: Wire<Local>,
    s2_sum: Reg,
    s2_scale: Reg,
    s3_fraction: Reg,
    curve: Inst<SoftmaxCurve>,
    s3_scale: Reg,
    s4_scale: Reg,
    s5_scale: Reg,
    s6_scale: Reg,
    empties: Reg,
    above_at: Const,
    piece_at: Const,
    last: Const,
    _bits: u32,
    _logs: usize,
    _above: usize,
    _above_bits: u32,
    _fraction_bits: u32,
    _piece_bits: u32,
    _along_bits: u32,
}

impl SoftmaxReciprocal {
    /// The unit of a shape.
    pub fn new(shape: &AttentionShape) -> Self {
        SoftmaxReciprocal::of(shape.sum_bits(), &shape.reciprocal_table, shape.state())
    }

    /// The unit of sums of `bits` by such a table, beside which there are logarithms or not.
    pub fn of(bits: u32, table: &[u32], logs: bool) -> Self {
        // A sum that is not 0 has its first one above bit 15: the largest probability is 2^18.
        let above = bits - FRACTION_BITS;
        let scale = u(index_bits(above));
        let along = FRACTION_BITS - PIECE_BITS;
        let curve = SoftmaxCurve::new("reciprocal", table, along);
        let later = RECIPROCAL_LATENCY - 1;
        SoftmaxReciprocal {
            sum: Wire::new(u(bits)),
            fraction: Wire::new(curve.value.ty()),
            scale: Wire::new(scale),
            s1_sum: Reg::data(u(bits)),
            above: Wire::new(u(above)),
            found: Wire::new(scale),
            s2_sum: Reg::data(u(bits)),
            s2_scale: Reg::data(scale),
            s3_fraction: Reg::data(u(FRACTION_BITS)),
            curve: Inst::new(curve),
            s3_scale: Reg::data(scale),
            s4_scale: Reg::data(scale),
            s5_scale: Reg::data(scale),
            s6_scale: Reg::data(scale),
            empties: Reg::data(u(later)),
            above_at: Const::new(FRACTION_BITS as usize),
            piece_at: Const::new(along as usize),
            last: Const::new(later as usize - 1),
            behind: vec![Wire::new(u(FRACTION_BITS)); logs as usize],
            _bits: bits,
            _logs: logs as usize,
            _above: above as usize,
            _above_bits: above,
            _fraction_bits: FRACTION_BITS,
            _piece_bits: PIECE_BITS,
            _along_bits: along,
            ..SoftmaxReciprocal::default()
        }
    }
}

impl Logic for SoftmaxReciprocal {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, s1_sum, s2_sum, s2_scale, s3_fraction, s3_scale);
        dff_setup!(self, clock, s4_scale, s5_scale, s6_scale, empties);
        self.curve.clock.next = self.clock.val();

        comment!("---- the first one of the sum ----");
        self.s1_sum.d.next = self.sum.val();
        self.above.next = bit_cast(self.s1_sum.q.val() >> self.above_at.val(), self._above_bits);
        self.found.next = 0.into();
        for k in 0..self._above {
            if self.above.val().get_bit(k) {
                self.found.next = k.into();
            }
        }
        self.s2_scale.d.next = self.found.val();
        self.s2_sum.d.next = self.s1_sum.q.val();
        self.empties.d.next = self.empties.q.val() << 1 | (self.above.val() == 0).into();

        comment!("---- what follows it, on the curve ----");
        self.s3_fraction.d.next =
            bit_cast(self.s2_sum.q.val() >> self.s2_scale.q.val(), self._fraction_bits);
        self.curve.piece.next =
            bit_cast(self.s3_fraction.q.val() >> self.piece_at.val(), self._piece_bits);
        self.curve.along.next = bit_cast(self.s3_fraction.q.val(), self._along_bits);
        self.s3_scale.d.next = self.s2_scale.q.val();
        self.s4_scale.d.next = self.s3_scale.q.val();
        self.s5_scale.d.next = self.s4_scale.q.val();
        self.s6_scale.d.next = self.s5_scale.q.val();
        for i in 0..self._logs {
            self.behind[i].next = self.s3_fraction.q.val();
        }
        self.fraction.next = self.curve.value.val();
        self.scale.next = self.s6_scale.q.val();
        self.empty.next = self.empties.q.val().get_bit(self.last.val());
    }
}

impl Unit for SoftmaxReciprocal {
    fn module(&self) -> String {
        let logs = if self._logs > 0 { "_log" } else { "" };
        format!("pimc_softmax_reciprocal_u{}{logs}", self._bits)
    }

    fn contract(&self) -> Contract {
        Contract {
            summary: "The reciprocal of a sum of probabilities.".into(),
            formula: format!(
                "scale_o = floor(log2 sum_i) - {FRACTION_BITS}; fraction_o = 2^31 / (sum_i >> \
                 scale_o) by the curve through 64 pieces, of which the {PIECE_BITS} bits behind the \
                 first one of the sum choose one and the {} bits behind those the place in it. \
                 empty_o = the sum is 0; the others then say nothing.",
                self._along_bits
            ),
            latency: format!("{RECIPROCAL_LATENCY} clocks."),
            throughput: "A sum every clock.".into(),
            preconditions: format!("A sum is 0 or at least 2^{FRACTION_BITS}."),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("sum", "sum"), ("fraction", "its reciprocal")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{reciprocal, softmax, Rng};

    #[test]
    fn reciprocals_of_all_magnitudes() {
        let shape = AttentionShape { tokens: 1 << 20, ..softmax(4, 1, 1) };
        let mut uut = Inst::new(SoftmaxReciprocal::new(&shape));
        let mut rng = Rng::new(11);
        let mut sums = vec![0, 1 << 18, (1 << 19) - 1, 1 << 19, 1 << 38, (1 << 38) - 1, 0, 3 << 18];
        sums.extend((0..512).map(|i| (1 << 18) + 512 * i));
        sums.extend(
            (0..2000).map(|i| (rng.next() as i128 & ((1 << 38) - 1)) >> (i % 20) | 1 << 18),
        );
        for at in 0..sums.len() + RECIPROCAL_LATENCY as usize {
            uut.sum.set(sums[at.min(sums.len() - 1)]);
            settle(&mut uut);
            if let Some(at) = at.checked_sub(RECIPROCAL_LATENCY as usize) {
                assert_eq!(uut.empty.val(), sums[at] == 0, "{at}");
                if sums[at] > 0 {
                    let (fraction, exponent) = reciprocal(sums[at]);
                    let got = (uut.fraction.get(), uut.scale.get());
                    assert_eq!(got, (fraction, i128::from(exponent) - 15), "{}", sums[at]);
                }
            }
            clock(&mut uut);
        }
    }
}
