//! Multiply-add row: the int8 weights of a beat times as many int8 inputs per clock.

use crate::hdl::prelude::*;
use crate::shape::MacShape;

/// acc += sum of the products of a beat.
#[derive(LogicBlock)]
pub struct MacRow {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// A beat is on `weights`.
    pub valid: Signal<In, Bit>,
    /// It is the first of a matrix row.
    pub first: Signal<In, Bit>,
    /// Weights, the first lowest.
    pub weights: Wire<In>,
    /// Their inputs, one clock after `weights`.
    pub inputs: Wire<In>,
    /// Sum so far, two clocks after `weights`.
    pub sum: Wire<Out>,
    valid_e: Flop<Bit>,
    first_e: Flop<Bit>,
    weights_e: Reg,
    weight: Split,
    x: Split,
    product: Vec<Wire<Local>>,
    beat_sum: Wire<Local>,
    kept: Wire<Local>,
    acc: Reg,
    _lanes: usize,
}

impl MacRow {
    /// The row of a shape, for beats of `beat_bits`.
    pub fn new(p: &MacShape, beat_bits: u32) -> Self {
        let acc_bits = Self::sum_bits(p);
        let lanes = beat_bits as usize / 8;
        let word = 8 * lanes as u32;
        MacRow {
            clock: Signal::default(),
            valid: Signal::default(),
            first: Signal::default(),
            weights: Wire::new(u(word)),
            inputs: Wire::new(u(word)),
            sum: Wire::new(s(acc_bits)),
            valid_e: Flop::default(),
            first_e: Flop::default(),
            weights_e: Reg::data(u(word)),
            weight: Split::signed(lanes, 8),
            x: Split::signed(lanes, 8),
            product: vec![Wire::new(s(acc_bits.min(16))); lanes],
            beat_sum: Wire::new(s(acc_bits)),
            kept: Wire::new(s(acc_bits)),
            acc: Reg::data(s(acc_bits)),
            _lanes: lanes,
        }
    }

    /// Width of `sum`: sums are modular and need the bits of the proven result, at least a weight's.
    pub fn sum_bits(p: &MacShape) -> u32 {
        p.acc_bits.max(8)
    }
}

impl Logic for MacRow {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, valid_e, first_e, weights_e, acc);
        self.valid_e.d.next = self.valid.val();
        self.first_e.d.next = self.first.val();
        self.weights_e.d.next = self.weights.val();

        comment!("---- products ----");
        self.weight.x.next = self.weights_e.q.val();
        self.x.x.next = self.inputs.val();
        for i in 0..self._lanes {
            self.product[i].next = self.weight.y[i].val() * self.x.y[i].val();
        }

        comment!("---- adder tree and accumulator ----");
        self.beat_sum.next = 0.into();
        for i in 0..self._lanes {
            self.beat_sum.next = self.beat_sum.val() + self.product[i].val();
        }
        self.kept.next = self.acc.q.val();
        if self.first_e.q.val() {
            self.kept.next = 0.into();
        }
        if self.valid_e.q.val() {
            self.acc.d.next = self.kept.val() + self.beat_sum.val();
        }
        self.sum.next = self.acc.q.val();
    }
}

impl Unit for MacRow {
    fn module(&self) -> String {
        format!("pimc_mac_row_a{}", self.sum.ty().width)
    }

    fn contract(&self) -> Contract {
        let n = match self._lanes {
            8 => "eight".to_string(),
            n => n.to_string(),
        };
        Contract {
            summary: format!(
                "Multiply-add row: {n} int8 weights times {n} int8 inputs per clock."
            ),
            formula: "sum += sum over j of weights[j] * inputs[j], from 0 at first_i.".into(),
            latency: "2 clocks from weights_i to sum_o.".into(),
            throughput: "A beat every clock.".into(),
            layout: "Weight j and input j are byte j, the lowest first.".into(),
            preconditions: format!(
                "inputs_i come one clock after weights_i. The sum of a row fits {} bits: proven from \
                 the weights and the range of the inputs, so that wrapping in between does no harm.",
                self.sum.ty().width
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("valid", "column beat"),
            ("inputs", "inputs, one clock later"),
            ("sum", "sum of the matrix row so far"),
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
    use crate::testing::{pack, Rng};

    fn check<const N: usize>(acc_bits: u32, rows: &[Vec<([i8; N], [i8; N])>]) {
        let mut uut = Inst::new(MacRow::new(&MacShape { acc_bits }, 8 * N as u32));
        for row in rows {
            let mut sum = 0i64;
            for (at, (w, x)) in row.iter().enumerate() {
                uut.valid.next = true;
                uut.first.next = at == 0;
                uut.weights.set(pack(w));
                clock(&mut uut);
                uut.valid.next = false;
                uut.inputs.set(pack(x));
                clock(&mut uut);
                sum += w.iter().zip(x).map(|(w, x)| *w as i64 * *x as i64).sum::<i64>();
                assert_eq!(uut.sum.get() as i64, sum, "beat {at}");
            }
        }
    }

    fn extremes_and_random_bytes<const N: usize>(narrow: u32) {
        let mut rng = Rng::new(3);
        let mut rows = vec![
            vec![([-128; N], [-128; N]); 3],
            vec![([-128; N], [127; N]); 3],
            vec![([0; N], [-128; N])],
        ];
        for beats in [1, 2, 9] {
            let mut byte = || rng.below(256) as u8 as i8;
            rows.push(
                (0..beats)
                    .map(|_| ([0; N].map(|_: i8| byte()), [0; N].map(|_: i8| byte())))
                    .collect(),
            );
        }
        check(24, &rows);
        check(narrow, &rows);
    }

    #[test]
    fn products_of_the_extremes_and_of_random_bytes() {
        extremes_and_random_bytes::<8>(20);
        extremes_and_random_bytes::<16>(21);
    }

    #[test]
    fn a_narrow_accumulator_wraps_in_between_only() {
        // 120 * 120 leaves nine bits twice over and comes back.
        let row = vec![([120, 120, 1, 0, 0, 0, 0, 0], [120, -120, -128, 0, 0, 0, 0, 0])];
        check(9, &[row]);
        check(1, &[vec![([0; 8], [-128; 8])]]);
    }
}
