//! The requantiser: multiply, round, shift, clamp.

use crate::hdl::prelude::*;
use crate::shape::RequantShape;

/// `y = clamp((x*mul + 2^(shift-1)) >> shift)`, two clocks behind its inputs.
#[derive(LogicBlock, Default)]
pub struct Requantiser {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// The value.
    pub x: Wire<In>,
    /// The constants word: mul lowest, shift above it, and above that by how many bits the result
    /// is narrower than `y`, when the shape has that field.
    pub constants: Wire<In>,

    /// The result, two clocks later.
    pub y: Wire<Out>,

    mul: Wire<Local>,
    product: Reg,
    s1_shift: Reg,
    s1_narrow: Vec<Reg>,
    doubled: Wire<Local>,
    shifted: Wire<Local>,
    half_up: Wire<Local>,
    rounded: Reg,
    s2_narrow: Vec<Reg>,
    widest: Wire<Local>,
    largest: Wire<Local>,
    smallest: Wire<Local>,
    limit: Const,
    shift_at: Const,
    narrow_at: Const,
    _narrow: usize,
    _mul_bits: u32,
    _shift_bits: u32,
    _narrow_bits: u32,
    _product_bits: u32,
    _out_bits: u32,
}

impl Logic for Requantiser {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, product, s1_shift, rounded);
        for i in 0..self._narrow {
            self.s1_narrow[i].clock.next = self.clock.val();
            self.s2_narrow[i].clock.next = self.clock.val();
        }

        comment!("---- multiply ----");
        self.mul.next = signed_cast(bit_cast(self.constants.val(), self._mul_bits));
        self.product.d.next = self.x.val() * self.mul.val();
        self.s1_shift.d.next =
            bit_cast(self.constants.val() >> self.shift_at.val(), self._shift_bits);
        for i in 0..self._narrow {
            self.s1_narrow[i].d.next =
                bit_cast(self.constants.val() >> self.narrow_at.val(), self._narrow_bits);
        }

        comment!("---- round half up: one bit below the result is kept, then added ----");
        self.doubled.next = self.product.q.val() << 1;
        self.shifted.next = self.doubled.val() >> self.s1_shift.q.val();
        self.half_up.next = self.shifted.val() + 1.into();
        self.rounded.d.next = bit_cast(self.half_up.val() >> 1, self._product_bits);
        for i in 0..self._narrow {
            self.s2_narrow[i].d.next = self.s1_narrow[i].q.val();
        }

        comment!("---- clamp ----");
        self.widest.next = self.limit.val().into();
        self.largest.next = self.widest.val();
        for i in 0..self._narrow {
            self.largest.next = self.widest.val() >> self.s2_narrow[i].q.val();
        }
        self.smallest.next = !self.largest.val();
        self.y.next = bit_cast(self.rounded.q.val(), self._out_bits);
        if self.rounded.q.val() > self.largest.val() {
            self.y.next = self.largest.val();
        }
        if self.rounded.q.val() < self.smallest.val() {
            self.y.next = self.smallest.val();
        }
    }
}

impl Requantiser {
    /// The requantiser of a shape.
    pub fn new(shape: RequantShape) -> Self {
        let product = shape.in_bits + shape.mul_bits;
        let narrow = (shape.narrow_bits > 0) as usize;
        let out = s(shape.out_bits);
        Requantiser {
            x: Wire::new(s(shape.in_bits)),
            constants: Wire::new(u(shape.constant_bits())),
            mul: Wire::new(s(shape.mul_bits)),
            y: Wire::new(out),
            product: Reg::data(s(product)),
            s1_shift: Reg::data(u(shape.shift_bits)),
            s1_narrow: vec![Reg::data(u(shape.narrow_bits)); narrow],
            doubled: Wire::new(s(product + 1)),
            shifted: Wire::new(s(product + 1)),
            half_up: Wire::new(s(product + 1)),
            rounded: Reg::data(s(product)),
            s2_narrow: vec![Reg::data(u(shape.narrow_bits)); narrow],
            widest: Wire::new(out),
            largest: Wire::new(out),
            smallest: Wire::new(out),
            limit: Const::new((1usize << (shape.out_bits - 1)) - 1),
            shift_at: Const::new(shape.mul_bits as usize),
            narrow_at: Const::new((shape.mul_bits + shape.shift_bits) as usize),
            _narrow: narrow,
            _mul_bits: shape.mul_bits,
            _shift_bits: shape.shift_bits,
            _narrow_bits: shape.narrow_bits,
            _product_bits: product,
            _out_bits: shape.out_bits,
            ..Requantiser::default()
        }
    }
}

impl Unit for Requantiser {
    fn module(&self) -> String {
        let narrow = match self._narrow {
            0 => String::new(),
            _ => format!("_n{}", self._narrow_bits),
        };
        format!(
            "pimc_requantiser_x{}_m{}_s{}_y{}{narrow}",
            self.x.ty().width,
            self._mul_bits,
            self._shift_bits,
            self._out_bits,
        )
    }

    fn contract(&self) -> Contract {
        let (width, mul) = (self._out_bits, self._mul_bits);
        let shift_at = |at: u32| format!("shift in bits {}:{mul}", at - 1);
        let end = mul + self._shift_bits;
        let (clamp, narrow, precondition) = match self._narrow {
            0 => (format!("{width} signed bits"), String::new(), String::new()),
            _ => (
                format!("{width} - narrow signed bits"),
                ", narrow above it".into(),
                format!("narrow is less than {width}."),
            ),
        };
        Contract {
            summary: "Requantiser: multiplies, rounds half up, shifts and clamps.".into(),
            formula: format!(
                "y_o = clamp((x_i * mul + 2^(shift - 1)) >> shift) to {clamp}; the shift is \
                 arithmetic, and a shift of 0 adds nothing. Computed as (((2 * x_i * mul) >> \
                 shift) + 1) >> 1, which is the same for every shift and cannot overflow."
            ),
            latency: "2 clocks from the inputs to y_o.".into(),
            throughput: "One value per clock.".into(),
            layout: format!(
                "constants_i holds mul (signed) in bits {}:0, {}{narrow}.",
                mul - 1,
                shift_at(end)
            ),
            preconditions: precondition,
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("x", "value and constants"), ("y", "result")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The meaning, in exact integers.
    fn requant(x: i128, mul: i128, shift: u32, bits: u32) -> i128 {
        let half = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
        let limit = 1i128 << (bits - 1);
        ((x * mul + half) >> shift).clamp(-limit, limit - 1)
    }

    fn run(shape: RequantShape, cases: &[(i128, i128, u32, u32)]) -> Vec<i128> {
        let mut uut = Inst::new(Requantiser::new(shape));
        let mut out = vec![];
        for at in 0..cases.len() + 2 {
            let (x, mul, shift, bits) = cases[at.min(cases.len() - 1)];
            uut.x.set(x);
            let above = i128::from(shift) | i128::from(shape.out_bits - bits) << shape.shift_bits;
            uut.constants.set(u(shape.mul_bits).wrap(mul) | above << shape.mul_bits);
            settle(&mut uut);
            if at >= 2 {
                out.push(uut.y.get());
            }
            clock(&mut uut);
        }
        out
    }

    fn check(shape: RequantShape, cases: &[(i128, i128, u32, u32)]) {
        for (case, got) in cases.iter().zip(run(shape, cases)) {
            let &(x, mul, shift, bits) = case;
            assert_eq!(got, requant(x, mul, shift, bits), "{shape:?} {case:?}");
        }
    }

    fn shapes() -> [RequantShape; 5] {
        let shape = |in_bits, mul_bits, shift_bits, out_bits, narrow_bits| RequantShape {
            in_bits,
            mul_bits,
            shift_bits,
            out_bits,
            narrow_bits,
        };
        [
            shape(21, 17, 5, 8, 0),
            shape(32, 32, 6, 32, 5),
            shape(8, 2, 3, 16, 4),
            shape(2, 2, 1, 2, 0),
            shape(40, 16, 6, 8, 3),
        ]
    }

    #[test]
    fn extremes_round_and_clamp_exactly() {
        for shape in shapes() {
            let ends = |bits: u32| {
                let limit = 1i128 << (bits - 1);
                [-limit, 1 - limit, -1, 0, 1, limit - 1]
            };
            let widths = if shape.narrow_bits > 0 {
                vec![shape.out_bits, shape.out_bits - 1, 2, 1]
            } else {
                vec![shape.out_bits]
            };
            let mut cases = vec![];
            for x in ends(shape.in_bits) {
                for mul in ends(shape.mul_bits) {
                    for shift in 0..1u32 << shape.shift_bits {
                        for &bits in &widths {
                            if shape.out_bits - bits < 1 << shape.narrow_bits {
                                cases.push((x, mul, shift, bits));
                            }
                        }
                    }
                }
            }
            check(shape, &cases);
        }
    }

    proptest! {
        #[test]
        fn random_values_round_and_clamp_exactly(
            at in 0usize..5,
            values in prop::collection::vec((any::<i64>(), any::<i64>(), any::<u32>()), 1..50),
        ) {
            let shape = shapes()[at];
            let cases: Vec<_> = values.into_iter().map(|(x, mul, r)| {
                let shift = r & ((1 << shape.shift_bits) - 1);
                let narrow = (r >> 8 & ((1 << shape.narrow_bits) - 1)).min(shape.out_bits - 1);
                let x = s(shape.in_bits).wrap(i128::from(x));
                let mul = s(shape.mul_bits).wrap(i128::from(mul));
                (x, mul, shift, shape.out_bits - narrow)
            }).collect();
            check(shape, &cases);
        }

        #[test]
        fn constants_are_packed_as_the_buffer_unit_takes_them_apart(
            mul in -65536i64..65536, shift in 0u32..32, bits in 1u32..17,
        ) {
            let shape = RequantShape {
                in_bits: 20, mul_bits: 17, shift_bits: 5, out_bits: 16, narrow_bits: 4,
            };
            let word = shape.constant(mul, shift, bits, 26).unwrap();
            prop_assert!(s(26).holds(i128::from(word)));
            prop_assert_eq!(s(17).wrap(i128::from(word)), i128::from(mul));
            prop_assert_eq!(word >> 17 & 31, i64::from(shift));
            prop_assert_eq!(word >> 22 & 15, i64::from(16 - bits));
        }
    }

    #[test]
    fn constants_that_do_not_fit_are_refused() {
        let shape =
            RequantShape { in_bits: 20, mul_bits: 4, shift_bits: 3, out_bits: 8, narrow_bits: 0 };
        assert_eq!(shape.constant(-8, 7, 8, 8), Some(0x78));
        assert_eq!(shape.constant(-8, 7, 8, 7), Some(-8));
        for (mul, shift, bits, word) in
            [(8, 0, 8, 8), (-9, 0, 8, 8), (0, 8, 8, 8), (0, 0, 7, 8), (0, 0, 9, 8), (0, 0, 8, 6)]
        {
            assert_eq!(shape.constant(mul, shift, bits, word), None);
        }
    }
}
