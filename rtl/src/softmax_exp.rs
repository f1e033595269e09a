//! A score to a probability.

use crate::attention::{AttentionShape, OCTAVE_BITS, PROB_BITS};
use crate::hdl::prelude::*;
use crate::softmax_curve::{SoftmaxCurve, CURVE_LATENCY, PIECE_BITS};

/// Clocks from a score to its probability.
pub const EXP_LATENCY: u32 = CURVE_LATENCY + 5;

/// Bits of a number of octaves that leave something of a probability: 0 to 19.
const OCTAVES_BITS: u32 = 5;

/// `2^-(how far the score is below the largest one)`, rounded.
#[derive(LogicBlock, Default)]
pub struct SoftmaxExp {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// The largest score; held while scores come.
    pub largest: Wire<In>,
    /// A score is there.
    pub valid: Signal<In, Bit>,
    /// It; the least there is where no token is visible.
    pub score: Wire<In>,

    /// Its probability; 0 where no token is visible, and where no score was there.
    pub prob: Wire<Out>,

    highest: Wire<Local>,
    least: Wire<Local>,
    below: Reg,
    product: Reg,
    distance: Wire<Local>,
    is_seen: Signal<Local, Bit>,
    is_near: Signal<Local, Bit>,
    s3_distance: Reg,
    curve: Inst<SoftmaxCurve>,
    octaves: Wire<Local>,
    s4_octaves: Reg,
    s5_octaves: Reg,
    s6_octaves: Reg,
    doubled: Wire<Local>,
    shifted: Reg,
    s8_prob: Reg,
    seen: Reg,
    near: Reg,
    limit: Const,
    mul: Const,
    half: Const,
    shift: Const,
    beyond: Const,
    piece_at: Const,
    octaves_at: Const,
    seen_last: Const,
    near_last: Const,
    _rounds: usize,
    _plain: usize,
    _mul: u32,
    _shift: u32,
    _distance_bits: u32,
    _near_bits: u32,
    _piece_bits: u32,
    _along_bits: u32,
    _octaves_bits: u32,
    _prob_bits: u32,
}

impl SoftmaxExp {
    /// The unit of a shape.
    pub fn new(shape: &AttentionShape) -> Self {
        SoftmaxExp::of(shape.score_bits(), (shape.mul, shape.shift), &shape.exp_table)
    }

    /// The unit of scores of `bits`, which times a factor and shifted are 1/4096 octaves, by such a table.
    pub fn of(bits: u32, (mul, shift): (u32, u32), table: &[u32]) -> Self {
        let product = bits + (u32::BITS - mul.leading_zeros()).max(1);
        // With the half that rounds.
        let rounded = product.max(shift) + 1;
        let near = OCTAVES_BITS + OCTAVE_BITS;
        let distance = (rounded - shift).max(near);
        let along = OCTAVE_BITS - PIECE_BITS;
        let curve = SoftmaxCurve::new("exp2", table, along);
        let value = curve.value.ty().width;
        // The last of the flags is in the clock of the shifted value.
        let flags = EXP_LATENCY - 1 - 2;
        SoftmaxExp {
            largest: Wire::new(s(bits)),
            score: Wire::new(s(bits)),
            prob: Wire::new(u(PROB_BITS)),
            highest: Wire::new(s(bits)),
            least: Wire::new(s(bits)),
            below: Reg::data(u(bits)),
            product: Reg::data(u(rounded)),
            distance: Wire::new(u(distance)),
            s3_distance: Reg::data(u(near)),
            curve: Inst::new(curve),
            octaves: Wire::new(u(OCTAVES_BITS)),
            s4_octaves: Reg::data(u(OCTAVES_BITS)),
            s5_octaves: Reg::data(u(OCTAVES_BITS)),
            s6_octaves: Reg::data(u(OCTAVES_BITS)),
            doubled: Wire::new(u(value + 1)),
            shifted: Reg::data(u(value + 1)),
            s8_prob: Reg::data(u(PROB_BITS)),
            seen: Reg::new(u(2)),
            near: Reg::new(u(flags)),
            limit: Const::new((1 << (bits - 1)) - 1),
            mul: Const::named(rounded, mul as usize),
            half: Const::new(if shift > 0 { 1 << (shift - 1) } else { 0 }),
            shift: Const::new(shift as usize),
            beyond: Const::new((PROB_BITS as usize + 1) << OCTAVE_BITS),
            piece_at: Const::new(along as usize),
            octaves_at: Const::new(OCTAVE_BITS as usize),
            seen_last: Const::new(1),
            near_last: Const::new(flags as usize - 1),
            _rounds: (shift > 0) as usize,
            _plain: (shift == 0) as usize,
            _mul: mul,
            _shift: shift,
            _distance_bits: distance,
            _near_bits: near,
            _piece_bits: PIECE_BITS,
            _along_bits: along,
            _octaves_bits: OCTAVES_BITS,
            _prob_bits: PROB_BITS,
            ..SoftmaxExp::default()
        }
    }
}

impl Logic for SoftmaxExp {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, below, product, s3_distance, s4_octaves, s5_octaves);
        dff_setup!(self, clock, s6_octaves, shifted, s8_prob, seen, near);
        self.curve.clock.next = self.clock.val();

        comment!("---- how far below the largest score, in 1/4096 octaves ----");
        self.highest.next = self.limit.val().into();
        self.least.next = !self.highest.val();
        self.below.d.next = unsigned_cast(self.largest.val() - self.score.val());
        self.is_seen.next = self.valid.val() & (self.score.val() != self.least.val());
        self.seen.d.next = self.seen.q.val() << 1 | self.is_seen.val().into();
        self.product.d.next = self.below.q.val() * self.mul.val().into();
        for _i in 0..self._rounds {
            self.distance.next = bit_cast(
                (self.product.q.val() + self.half.val().into()) >> self.shift.val(),
                self._distance_bits,
            );
        }
        for _i in 0..self._plain {
            self.distance.next = self.product.q.val();
        }

        comment!("---- some octaves below nothing is left ----");
        self.is_near.next = self.seen.q.val().get_bit(self.seen_last.val())
            & (self.distance.val() < self.beyond.val().into());
        self.near.d.next = self.near.q.val() << 1 | self.is_near.val().into();
        self.s3_distance.d.next = bit_cast(self.distance.val(), self._near_bits);

        comment!("---- the fraction of an octave by the curve ----");
        self.curve.piece.next =
            bit_cast(self.s3_distance.q.val() >> self.piece_at.val(), self._piece_bits);
        self.curve.along.next = bit_cast(self.s3_distance.q.val(), self._along_bits);
        self.octaves.next =
            bit_cast(self.s3_distance.q.val() >> self.octaves_at.val(), self._octaves_bits);
        self.s4_octaves.d.next = self.octaves.val();
        self.s5_octaves.d.next = self.s4_octaves.q.val();
        self.s6_octaves.d.next = self.s5_octaves.q.val();

        comment!("---- whole octaves by a shift; half up: a bit below the result is kept, then added ----");
        self.doubled.next = self.curve.value.val() << 1;
        self.shifted.d.next = self.doubled.val() >> self.s6_octaves.q.val();
        self.s8_prob.d.next = 0.into();
        if self.near.q.val().get_bit(self.near_last.val()) {
            self.s8_prob.d.next = bit_cast((self.shifted.q.val() + 1.into()) >> 1, self._prob_bits);
        }
        self.prob.next = self.s8_prob.q.val();
    }
}

impl Unit for SoftmaxExp {
    fn module(&self) -> String {
        format!("pimc_softmax_exp_s{}_m{}_r{}", self.score.ty().width, self._mul, self._shift)
    }

    fn contract(&self) -> Contract {
        let half =
            if self._shift > 0 { format!(" + 2^{}", self._shift - 1) } else { String::new() };
        Contract {
            summary: "A score to a probability.".into(),
            formula: format!(
                "y = ((largest_i - score_i) * {}{half}) >> {}, in 1/4096 octaves; prob_o = 2^(-y / \
                 4096) * 2^18: the fraction of an octave by the curve, then shifted right by the \
                 whole octaves and rounded half up. 0 from 20 octaves on, where no score was valid, \
                 and for the least number of {} bits, which says that no token is visible.",
                self._mul,
                self._shift,
                self.score.ty().width
            ),
            latency: format!("{EXP_LATENCY} clocks from score_i to prob_o."),
            throughput: "A score every clock.".into(),
            preconditions: "largest_i is the largest of the scores, and held while they come."
                .into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("largest", "scores"), ("prob", "probability")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{exp2_neg, softmax, Rng};

    /// All scores of `below` in one row after the other; `None` is a token that is not visible.
    fn check(shape: &AttentionShape, largest: i128, below: &[Option<i128>]) {
        let mut uut = Inst::new(SoftmaxExp::new(shape));
        let least = -(1i128 << (shape.score_bits() - 1));
        let half = if shape.shift > 0 { 1i128 << (shape.shift - 1) } else { 0 };
        uut.largest.set(largest);
        for at in 0..below.len() + EXP_LATENCY as usize {
            let score = below.get(at).copied().flatten().map_or(least, |d| largest - d);
            // What is not valid is the largest score.
            uut.valid.next = at < below.len();
            uut.score.set(if at < below.len() { score } else { largest });
            settle(&mut uut);
            let Some(done) = at.checked_sub(EXP_LATENCY as usize) else {
                assert_eq!(uut.prob.get(), 0);
                clock(&mut uut);
                continue;
            };
            let want = below[done]
                .map_or(0, |d| exp2_neg((d * i128::from(shape.mul) + half) >> shape.shift));
            let (mul, shift) = (shape.mul, shape.shift);
            assert_eq!(uut.prob.get(), want, "{:?} * {mul} >> {shift}", below[done]);
            clock(&mut uut);
        }
        settle(&mut uut);
        assert_eq!(uut.prob.get(), 0, "of no score");
    }

    #[test]
    fn every_distance_in_small_steps() {
        let shape = AttentionShape { mul: 1, shift: 0, ..softmax(4, 1, 1) };
        let all: Vec<_> = (0..21 << 12).map(Some).collect();
        check(&shape, 100_000, &all);
    }

    #[test]
    fn extremes_of_scores_and_of_the_scale() {
        let mut rng = Rng::new(7);
        for (mul, shift) in [(1, 0), (1, 1), (1, 31), (65535, 0), (65535, 31), (40000, 17), (3, 4)]
        {
            let shape = AttentionShape { mul, shift, ..softmax(4, 1, 1) };
            let limit = 1i128 << (shape.score_bits() - 1);
            let mut below = vec![Some(0), None, Some(1), Some(2 * limit - 2), Some(limit)];
            for bits in 0..shape.score_bits() {
                below.push(
                    Some((rng.next() as i128 & (2 * limit - 1)) >> bits)
                        .filter(|d| *d < 2 * limit - 1),
                );
                below.push(Some((1 << bits) - 1));
            }
            check(&shape, limit - 1, &below);
            check(&shape, 1 - limit, &[Some(0), None]);
            check(&shape, -limit, &[None, None]);
        }
    }
}
