//! The log-sum-exp of a row of scores.

use crate::attention::{AttentionShape, OCTAVE_BITS, PROB_BITS};
use crate::hdl::prelude::*;
use crate::softmax_curve::{SoftmaxCurve, PIECE_BITS};
use crate::softmax_reciprocal::{SoftmaxReciprocal, FRACTION_BITS, RECIPROCAL_LATENCY};

/// Clocks from the largest score to the log-sum-exp.
pub const LOG_LATENCY: u32 = RECIPROCAL_LATENCY + 2;

/// Bits of a log-sum-exp (signed). The least number says that the row sees no token.
pub const LOG_BITS: u32 = 32;

/// The largest score in octaves, and the logarithm of the sum of the probabilities beside it. Works
/// beside the reciprocal of that sum, which has brought it to a fraction and an exponent.
#[derive(LogicBlock, Default)]
pub struct SoftmaxLog {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// The largest score of the row.
    pub largest: Wire<In>,
    /// What follows the first one of the sum, 3 clocks later.
    pub behind: Wire<In>,
    /// The sum has so many bits more than 16, 6 clocks later.
    pub scale: Wire<In>,
    /// The sum is 0; with `scale`.
    pub empty: Signal<In, Bit>,

    /// The log-sum-exp.
    pub value: Wire<Out>,

    curve: Inst<SoftmaxCurve>,
    factor: Wire<Local>,
    s1_largest: Reg,
    s2_product: Reg,
    product: Wire<Local>,
    s3_octaves: Reg,
    s4_octaves: Reg,
    s5_octaves: Reg,
    s6_octaves: Reg,
    whole: Wire<Local>,
    missing: Wire<Local>,
    s7_sum: Reg,
    s7_empty: Flop<Bit>,
    nothing: Wire<Local>,
    most: Vec<Wire<Local>>,
    s8_value: Reg,
    mul: Const,
    half: Const,
    shift: Const,
    octave: Const,
    ahead: Const,
    piece_at: Const,
    limit: Const,
    _mul: u32,
    _shift: u32,
    _value_bits: u32,
    _piece_bits: u32,
    _along_bits: u32,
    _whole_bits: u32,
    _missing_bits: u32,
    _clamps: usize,
}

impl SoftmaxLog {
    /// The unit of a shape that gives log-sum-exps.
    pub fn new(shape: &AttentionShape) -> Self {
        let scale = SoftmaxReciprocal::new(shape).scale.ty();
        let factors = (shape.mul, shape.shift);
        SoftmaxLog::of(shape.score_bits(), factors, scale, &shape.log_table, false)
    }

    /// The unit of scores of `bits`, which times a factor and shifted are 1/4096 octaves, and of sums with
    /// such a scale, by such a table. It may clamp what does not fit, above.
    pub fn of(bits: u32, (mul, shift): (u32, u32), scale: Ty, table: &[u32], clamps: bool) -> Self {
        let score = s(bits);
        let factor = s(u32::BITS - mul.leading_zeros() + 1);
        // With the half that rounds.
        let product = s((score.width + factor.width).max(shift + 1).max(LOG_BITS) + 1);
        let along = FRACTION_BITS - PIECE_BITS;
        // The curve falls, the logarithm of the fraction rises: what it lacks of an octave.
        let lacks: Vec<u32> = table.iter().map(|x| (1 << OCTAVE_BITS) - x).collect();
        let curve = SoftmaxCurve::new("log2", &lacks, along);
        let missing = curve.value.ty().width + 1;
        let whole = scale.width + OCTAVE_BITS + 1;
        let octaves = s(LOG_BITS);
        SoftmaxLog {
            largest: Wire::new(score),
            behind: Wire::new(u(FRACTION_BITS)),
            scale: Wire::new(scale),
            value: Wire::new(octaves),
            curve: Inst::new(curve),
            factor: Wire::new(factor),
            s1_largest: Reg::data(score),
            s2_product: Reg::data(product),
            product: Wire::new(product),
            s3_octaves: Reg::data(octaves),
            s4_octaves: Reg::data(octaves),
            s5_octaves: Reg::data(octaves),
            s6_octaves: Reg::data(octaves),
            whole: Wire::new(s(whole)),
            missing: Wire::new(s(missing)),
            s7_sum: Reg::data(s(LOG_BITS + clamps as u32)),
            most: vec![Wire::new(octaves); clamps as usize],
            nothing: Wire::new(octaves),
            _clamps: clamps as usize,
            s8_value: Reg::data(octaves),
            mul: Const::new(mul as usize),
            half: Const::new(if shift > 0 { 1 << (shift - 1) } else { 0 }),
            shift: Const::new(shift as usize),
            octave: Const::new(OCTAVE_BITS as usize),
            // The curve's octave is one of those that the weights' fraction has beyond 16 bits.
            ahead: Const::new(((PROB_BITS - 1 - FRACTION_BITS - 1) as usize) << OCTAVE_BITS),
            piece_at: Const::new(along as usize),
            limit: Const::new((1 << (LOG_BITS - 1)) - 1),
            _mul: mul,
            _shift: shift,
            _value_bits: LOG_BITS,
            _piece_bits: PIECE_BITS,
            _along_bits: along,
            _whole_bits: whole,
            _missing_bits: missing,
            ..SoftmaxLog::default()
        }
    }
}

impl Logic for SoftmaxLog {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, s1_largest, s2_product, s3_octaves, s4_octaves, s5_octaves);
        dff_setup!(self, clock, s6_octaves, s7_sum, s7_empty, s8_value);
        self.curve.clock.next = self.clock.val();

        comment!("---- the largest score in 1/4096 octaves ----");
        self.factor.next = self.mul.val().into();
        self.s1_largest.d.next = self.largest.val();
        self.s2_product.d.next = self.s1_largest.q.val() * self.factor.val();
        self.product.next = self.s2_product.q.val() + self.half.val().into();
        self.s3_octaves.d.next = bit_cast(self.product.val() >> self.shift.val(), self._value_bits);
        self.s4_octaves.d.next = self.s3_octaves.q.val();
        self.s5_octaves.d.next = self.s4_octaves.q.val();
        self.s6_octaves.d.next = self.s5_octaves.q.val();

        comment!(
            "---- the logarithm of the sum: octaves, less what the curve lacks of the last ----"
        );
        self.curve.piece.next =
            bit_cast(self.behind.val() >> self.piece_at.val(), self._piece_bits);
        self.curve.along.next = bit_cast(self.behind.val(), self._along_bits);
        self.whole.next =
            signed_cast(bit_cast(self.scale.val(), self._whole_bits)) << self.octave.val();
        self.missing.next = signed_cast(bit_cast(self.curve.value.val(), self._missing_bits));
        self.s7_sum.d.next = self.s6_octaves.q.val() + self.whole.val()
            - self.missing.val()
            - self.ahead.val().into();
        self.s7_empty.d.next = self.empty.val();

        comment!("---- the least number where there is no token ----");
        self.nothing.next = self.limit.val().into();
        self.s8_value.d.next = bit_cast(self.s7_sum.q.val(), self._value_bits);
        for i in 0..self._clamps {
            self.most[i].next = self.limit.val().into();
            if self.s7_sum.q.val() > self.most[i].val() {
                self.s8_value.d.next = self.most[i].val();
            }
        }
        if self.s7_empty.q.val() {
            self.s8_value.d.next = !self.nothing.val();
        }
        self.value.next = self.s8_value.q.val();
    }
}

impl Unit for SoftmaxLog {
    fn module(&self) -> String {
        let (score, scale) = (self.largest.ty().width, self.scale.ty().width);
        let clamps = if self._clamps > 0 { "_clamp" } else { "" };
        format!("pimc_softmax_log_s{score}_m{}_r{}_e{scale}{clamps}", self._mul, self._shift)
    }

    fn contract(&self) -> Contract {
        let half =
            if self._shift > 0 { format!(" + 2^{}", self._shift - 1) } else { String::new() };
        Contract {
            summary: "The log-sum-exp of a row of scores, in 1/4096 octaves.".into(),
            formula: format!(
                "value_o = ((largest_i * {}{half}) >> {}) + (scale_i - {}) * 4096 + the logarithm of \
                 behind_i, by a curve through 64 pieces{}; -2^31 where empty_i.",
                self._mul,
                self._shift,
                PROB_BITS - 1 - FRACTION_BITS,
                if self._clamps > 0 { ", clamped above" } else { "" }
            ),
            latency: format!(
                "{LOG_LATENCY} clocks from largest_i to value_o; behind_i comes 3 and scale_i \
                 {RECIPROCAL_LATENCY} clocks after it."
            ),
            throughput: "A row every clock.".into(),
            preconditions: match self._clamps {
                0 => "The log-sum-exp fits 32 bits, above the least of them.".into(),
                _ => String::new(),
            },
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("largest", "largest score, and the sum"), ("value", "log-sum-exp")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{log2, softmax, stated, Rng};

    /// Beside a reciprocal, as in the unit; a new row every clock.
    #[test]
    fn rows_of_all_magnitudes() {
        for (mul, shift, score_bits) in [(1, 0, 11), (40_000, 14, 19), (65_535, 31, 19), (3, 1, 19)]
        {
            let shape = stated(AttentionShape { tokens: 1 << 20, mul, shift, ..softmax(2, 1, 2) });
            let mut log = Inst::new(SoftmaxLog::new(&shape));
            let mut reciprocal = Inst::new(SoftmaxReciprocal::new(&shape));
            let mut rng = Rng::new(5);
            let most = (1i128 << (score_bits.min(shape.score_bits()) - 1)) - 1;
            let mut rows = vec![(most, 1i128 << 38), (-most, 1 << 18), (0, 1 << 18), (7, 0)];
            rows.extend((0..3000).map(|i| {
                let sum = (rng.next() as i128 & ((1 << 38) - 1)) >> (i % 20) | 1 << 18;
                let largest = (rng.next() as i128 & (2 * most + 1)) - most;
                (largest, if i % 17 == 0 { 0 } else { sum })
            }));
            for at in 0..rows.len() + LOG_LATENCY as usize {
                let (largest, sum) = rows[at.min(rows.len() - 1)];
                log.largest.set(largest);
                reciprocal.sum.set(sum);
                settle(&mut reciprocal);
                log.behind.set(reciprocal.behind[0].get());
                log.scale.set(reciprocal.scale.get());
                log.empty.next = reciprocal.empty.val();
                settle(&mut log);
                if let Some(at) = at.checked_sub(LOG_LATENCY as usize) {
                    let (largest, sum) = rows[at];
                    let half = if shift > 0 { 1i128 << (shift - 1) } else { 0 };
                    let octaves = (largest * i128::from(mul) + half) >> shift;
                    let want = if sum == 0 { -(1 << 31) } else { octaves + log2(sum) };
                    assert_eq!(log.value.get(), want, "{largest} {sum} * {mul} >> {shift}");
                }
                clock(&mut log);
                clock(&mut reciprocal);
            }
        }
    }
}
