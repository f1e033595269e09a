//! Gated sum: one-bit weights choose +x, -x or 0 of a beat of inputs per clock.
//!
//! Inputs lie as bit planes, so a sum of them is one count of ones per plane: -x is ~x + 1, so
//! the planes of a negated input are inverted and the negated inputs counted once more.

use crate::hdl::prelude::*;
use crate::shape::{BlockShape, GatedShape};

/// Sums +-x by sign bits in a column (`Blocks`) or 0/+-x by mask bits and generated signs (`Mask`).
#[derive(LogicBlock)]
pub struct GatedSum {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// A beat is on `bits`.
    pub valid: Signal<In, Bit>,
    /// It is the first of a matrix row.
    pub first: Signal<In, Bit>,
    /// `bits` are mask bits; only when both kinds are built.
    pub masked: Vec<Signal<In, Bit>>,
    /// Sign bits (1 adds) or mask bits (1 takes part).
    pub bits: Wire<In>,
    /// The group's bit planes, one clock after `bits`, the top one negative.
    pub planes: Vec<Wire<In>>,
    /// The group's signs, one clock after mask bits; 1 subtracts.
    pub signs: Vec<Wire<In>>,
    /// Sum so far, two clocks after `bits`.
    pub sum: Wire<Out>,
    /// Ones of sign bits so far, at the same time.
    pub ones: Vec<Wire<Out>>,
    valid_e: Flop<Bit>,
    first_e: Flop<Bit>,
    bits_e: Reg,
    enable: Wire<Local>,
    negate: Wire<Local>,
    plane_count: Vec<Popcount>,
    negate_count: Popcount,
    top_count: Wire<Local>,
    beat_sum: Wire<Local>,
    kept: Wire<Local>,
    acc: Reg,
    ones_count: Vec<Popcount>,
    ones_kept: Vec<Wire<Local>>,
    ones_acc: Vec<Reg>,
    all: Ones,
    top: Const,
    _low_planes: usize,
    _planes: usize,
    _both: usize,
    _signs_only: usize,
    _mask_only: usize,
    _ones: usize,
    _beat_bits: u32,
}

impl GatedSum {
    /// For beats of `beat_bits` inputs; `blocks` whose signs it adds up, if there are any.
    pub fn new(p: &GatedShape, blocks: Option<&BlockShape>, beat_bits: u32) -> Self {
        let masked = p.generated_signs.is_some();
        let both = (blocks.is_some() && masked) as usize;
        let ones = blocks.iter().len();
        let planes = p.planes.max(blocks.map_or(0, |b| b.t_bits)) as usize;
        // Sums are modular: the bits of the proven result are enough, for a count too.
        let (acc_bits, ones_bits) = (p.acc_bits, blocks.map_or(1, BlockShape::ones_bits));
        let count_bits = 32 - beat_bits.leading_zeros();
        let count = || Popcount::modular(beat_bits, s(acc_bits.min(count_bits + 1)));
        let one_count = || Popcount::modular(beat_bits, u(ones_bits.min(count_bits)));
        GatedSum {
            clock: Signal::default(),
            valid: Signal::default(),
            first: Signal::default(),
            masked: vec![Signal::default(); both],
            bits: Wire::new(u(beat_bits)),
            planes: vec![Wire::new(u(beat_bits)); planes],
            signs: vec![Wire::new(u(beat_bits)); masked as usize],
            sum: Wire::new(s(acc_bits)),
            ones: vec![Wire::new(u(ones_bits)); ones],
            valid_e: Flop::default(),
            first_e: Flop::default(),
            bits_e: Reg::data(u(beat_bits)),
            enable: Wire::new(u(beat_bits)),
            negate: Wire::new(u(beat_bits)),
            plane_count: vec![count(); planes],
            negate_count: count(),
            top_count: Wire::new(count().y.ty()),
            beat_sum: Wire::new(s(acc_bits)),
            kept: Wire::new(s(acc_bits)),
            acc: Reg::data(s(acc_bits)),
            ones_count: vec![one_count(); ones],
            ones_kept: vec![Wire::new(u(ones_bits)); ones],
            ones_acc: vec![Reg::data(u(ones_bits)); ones],
            all: Ones::new(beat_bits),
            top: Const::new(planes - 1),
            _low_planes: planes - 1,
            _planes: planes,
            _both: both,
            _signs_only: (blocks.is_some() && !masked) as usize,
            _mask_only: (masked && blocks.is_none()) as usize,
            _ones: ones,
            _beat_bits: beat_bits,
        }
    }
}

impl Logic for GatedSum {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, valid_e, first_e, bits_e, acc);
        self.valid_e.d.next = self.valid.val();
        self.first_e.d.next = self.first.val();
        self.bits_e.d.next = self.bits.val();

        comment!("---- which inputs take part, and which of them are negated ----");
        for _i in 0..self._signs_only {
            self.enable.next = self.all.val();
            self.negate.next = !self.bits_e.q.val();
        }
        for i in 0..self._mask_only {
            self.enable.next = self.bits_e.q.val();
            self.negate.next = self.signs[i].val();
        }
        for i in 0..self._both {
            if self.masked[i].val() {
                self.enable.next = self.bits_e.q.val();
                self.negate.next = self.signs[i].val();
            } else {
                self.enable.next = self.all.val();
                self.negate.next = !self.bits_e.q.val();
            }
        }

        comment!("---- count the ones of every plane ----");
        for p in 0..self._planes {
            self.plane_count[p].x.next =
                self.enable.val() & (self.planes[p].val() ^ self.negate.val());
        }
        self.negate_count.x.next = self.enable.val() & self.negate.val();
        self.top_count.next = self.plane_count[self.top.val()].y.val();
        self.beat_sum.next = self.negate_count.y.val() - (self.top_count.val() << self.top.val());
        for p in 0..self._low_planes {
            self.beat_sum.next = self.beat_sum.val() + (self.plane_count[p].y.val() << p);
        }

        comment!("---- accumulate ----");
        self.kept.next = self.acc.q.val();
        if self.first_e.q.val() {
            self.kept.next = 0.into();
        }
        if self.valid_e.q.val() {
            self.acc.d.next = self.kept.val() + self.beat_sum.val();
        }
        self.sum.next = self.acc.q.val();
        for i in 0..self._ones {
            self.ones_acc[i].clock.next = self.clock.val();
            self.ones_acc[i].d.next = self.ones_acc[i].q.val();
            self.ones_count[i].x.next = self.bits_e.q.val();
            self.ones_kept[i].next = self.ones_acc[i].q.val();
            if self.first_e.q.val() {
                self.ones_kept[i].next = 0.into();
            }
            if self.valid_e.q.val() {
                self.ones_acc[i].d.next = self.ones_kept[i].val() + self.ones_count[i].y.val();
            }
            self.ones[i].next = self.ones_acc[i].q.val();
        }
    }
}

impl Unit for GatedSum {
    fn module(&self) -> String {
        let kind = match (self._both, self._mask_only) {
            (1, _) => "signs_mask",
            (_, 1) => "mask",
            _ => "signs",
        };
        let ones = self.ones.first().map_or(String::new(), |o| format!("_ones{}", o.ty().width));
        format!("pimc_gated_sum_{kind}_p{}_a{}{ones}", self._planes, self.sum.ty().width)
    }

    fn contract(&self) -> Contract {
        let n = self._beat_bits;
        let signs = "Column bits are signs: enable = all, negate = ~bits";
        let mask = "Column bits are a mask: enable = bits, negate = signs";
        let kinds = match (self._both, self._mask_only) {
            (1, _) => format!("{signs}.\n{mask}."),
            (_, 1) => format!("{mask}."),
            _ => format!("{signs}."),
        };
        Contract {
            summary: format!("Gated sum: one-bit weights choose +x, -x or 0 of {n} inputs per clock."),
            formula: format!(
                "sum += sum over planes p of weight(p) * ones(enable & (plane[p] ^ negate)) \
                 + ones(enable & negate), weight(p) = 2^p, of the top plane -2^p.\n{kinds}"
            ),
            latency: "2 clocks from bits_i to sum_o.".into(),
            throughput: "A beat every clock.".into(),
            layout: format!(
                "Bit j of every plane belongs to input j of the group of {n}; planes_i holds plane 0 \
                 in its lowest {n} bits."
            ),
            preconditions: format!(
                "planes_i come one clock after bits_i. The sum of a row fits {} bits: proven from \
                 the range of the inputs, so that wrapping in between does no harm.",
                self.sum.ty().width
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("valid", "column beat"),
            ("planes", "inputs of the group, one clock later"),
            ("sum", "sums of the matrix row so far"),
        ]
    }

    fn proven_width(&self) -> Option<ProvenWidth> {
        Some(ProvenWidth::of_row_sum(self.sum.ty().width))
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{blocks, Rng};

    fn shape(planes: u32, acc_bits: u32, mask: bool) -> GatedShape {
        GatedShape { planes, groups: 4, acc_bits, generated_signs: mask.then_some(3) }
    }

    /// Feeds rows of beats; checks the sum and the ones two clocks after each beat.
    fn check(
        p: &GatedShape,
        blocks: Option<&BlockShape>,
        masked: bool,
        rows: &[Vec<(u128, u128, Vec<i64>)>],
    ) {
        let size = rows[0][0].2.len();
        let mut uut = Inst::new(GatedSum::new(p, blocks, size as u32));
        if blocks.is_some() && p.generated_signs.is_some() {
            uut.masked[0].next = masked;
        }
        for row in rows {
            let (mut sum, mut ones) = (0i64, 0u32);
            for (at, (bits, signs, x)) in row.iter().enumerate() {
                uut.valid.next = true;
                uut.first.next = at == 0;
                uut.bits.set(*bits as i128);
                clock(&mut uut);
                uut.valid.next = false;
                for (b, plane) in uut.planes.iter_mut().enumerate() {
                    let word = (0..size).fold(0u128, |w, j| w | ((x[j] >> b & 1) as u128) << j);
                    plane.set(word as i128);
                }
                if !uut.signs.is_empty() {
                    uut.signs[0].set(*signs as i128);
                }
                clock(&mut uut);
                for (j, x) in x.iter().enumerate() {
                    let bit = bits >> j & 1 == 1;
                    let minus = if masked { signs >> j & 1 == 1 } else { !bit };
                    if bit || !masked {
                        sum += if minus { -x } else { *x };
                    }
                }
                ones += bits.count_ones();
                assert_eq!(uut.sum.get() as i64, sum, "beat {at}");
                if let Some(o) = uut.ones.first() {
                    assert_eq!(o.get() as u32, ones);
                }
            }
        }
    }

    fn rows(rng: &mut Rng, planes: u32, size: usize) -> Vec<Vec<(u128, u128, Vec<i64>)>> {
        let low = -(1i64 << (planes - 1));
        let all = u128::MAX >> (128 - size);
        let word = |rng: &mut Rng| (u128::from(rng.next()) << 64 | u128::from(rng.next())) & all;
        let mut rows = vec![];
        for (bits, signs) in [(0, 0), (all, 0), (0, all), (all, all)] {
            rows.push(vec![(bits, signs, vec![low; size]), (bits, signs, vec![-low - 1; size])]);
        }
        for beats in 1..4 {
            let beat = |rng: &mut Rng| {
                let x = (0..size).map(|_| rng.below(1 << planes) as i64 + low).collect();
                (word(rng), word(rng), x)
            };
            rows.push((0..beats).map(|_| beat(rng)).collect());
        }
        rows
    }

    #[test]
    fn sums_agree_with_plain_integers() {
        let mut rng = Rng::new(7);
        for (planes, size) in [1u32, 2, 8, 16].into_iter().flat_map(|p| [(p, 64usize), (p, 128)]) {
            for (signs, mask) in [(true, false), (false, true), (true, true)] {
                // With blocks the inputs may be the narrower: the tree is as wide as t_k.
                let inputs = if signs { planes.div_ceil(2) } else { planes };
                let p = shape(inputs, planes + 3 + size.ilog2(), mask);
                let blocks = signs.then(|| blocks(planes));
                for masked in [false, true] {
                    if (masked && mask) || (!masked && signs) {
                        check(&p, blocks.as_ref(), masked, &rows(&mut rng, planes, size));
                    }
                }
            }
        }
    }

    #[test]
    fn a_gap_in_the_beats_changes_nothing() {
        let mut uut = Inst::new(GatedSum::new(&shape(8, 20, false), Some(&blocks(8)), 64));
        uut.valid.next = true;
        uut.first.next = true;
        uut.bits.set(1);
        clock(&mut uut);
        uut.valid.next = false;
        uut.planes[0].set(1);
        for _ in 0..5 {
            clock(&mut uut);
            assert_eq!(uut.sum.get(), 1);
        }
    }
}
