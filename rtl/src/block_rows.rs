//! Block rows: scalars of a block and the results of its rows.

use crate::hdl::prelude::*;
use crate::shape::BlockShape;

/// r*acc + 2s*X*ones + (u'*X + t*T) for every row. One multiplier makes the three products of a
/// block's scalars, one after the other; two make the products of a row.
#[derive(LogicBlock, Default)]
pub struct BlockRows {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// r, t and 2s are there.
    pub rts_valid: Signal<In, Bit>,
    /// Factor of the sum of a row of A.
    pub r: Wire<In>,
    /// Factor of T.
    pub t: Wire<In>,
    /// 2s.
    pub s: Wire<In>,
    /// u' is there.
    pub u_valid: Signal<In, Bit>,
    /// Factor of X.
    pub u: Wire<In>,

    /// A t_k is on `t_k`.
    pub t_valid: Signal<In, Bit>,
    /// k is 0.
    pub t_first: Signal<In, Bit>,
    /// t_k.
    pub t_k: Wire<In>,

    /// All scalars and t_k have come; X is on `x_sum` in the next clock.
    pub setup: Signal<In, Bit>,
    /// X.
    pub x_sum: Wire<In>,

    /// The sum of a row of A is on `acc`, its ones are on `ones`.
    pub acc_valid: Signal<In, Bit>,
    /// sum_k +-t_k.
    pub acc: Wire<In>,
    /// Its +1.
    pub ones: Wire<In>,

    /// The result of a row is on `value`.
    pub valid: Signal<Out, Bit>,
    /// The result.
    pub value: Wire<Out>,

    held_r: Reg,
    held_t: Reg,
    held_s: Reg,
    held_u: Reg,
    t_sum: Reg,
    t_kept: Wire<Local>,
    second: Flop<Bit>,
    third: Flop<Bit>,
    factor: Wire<Local>,
    multiplicand: Wire<Local>,
    product: Wire<Local>,
    held_x: Reg,
    ones_factor: Reg,
    constant: Reg,
    sum: Wire<Local>,
    row_product: Wire<Local>,
    count: Wire<Local>,
    ones_product: Wire<Local>,
    acc_term: Reg,
    ones_term: Reg,
    done: Flop<Bit>,
    _shape: Option<BlockShape>,
    _ones_factor_bits: u32,
    _constant_bits: u32,
    _acc_term_bits: u32,
    _ones_term_bits: u32,
}

impl Logic for BlockRows {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, held_r, held_t, held_s, held_u, t_sum, second, third, held_x);
        dff_setup!(self, clock, ones_factor, constant, acc_term, ones_term, done);

        comment!("---- scalars ----");
        if self.rts_valid.val() {
            self.held_r.d.next = self.r.val();
            self.held_t.d.next = self.t.val();
            self.held_s.d.next = self.s.val();
        }
        if self.u_valid.val() {
            self.held_u.d.next = self.u.val();
        }

        comment!("---- T ----");
        self.t_kept.next = self.t_sum.q.val();
        if self.t_first.val() {
            self.t_kept.next = 0.into();
        }
        if self.t_valid.val() {
            self.t_sum.d.next = self.t_kept.val() + self.t_k.val();
        }

        comment!("---- one multiplier: t*T, 2s*X while X is on its port, then u'*X ----");
        self.second.d.next = self.setup.val();
        self.third.d.next = self.second.q.val();
        self.factor.next = self.held_u.q.val();
        self.multiplicand.next = self.held_x.q.val();
        if self.setup.val() {
            self.factor.next = self.held_t.q.val();
            self.multiplicand.next = self.t_sum.q.val();
        } else if self.second.q.val() {
            self.factor.next = self.held_s.q.val();
            self.multiplicand.next = self.x_sum.val();
        }
        self.product.next = self.factor.val() * self.multiplicand.val();
        self.sum.next = self.product.val();
        if self.third.q.val() {
            self.sum.next = self.product.val() + self.constant.q.val();
        }
        if self.second.q.val() {
            self.held_x.d.next = self.x_sum.val();
            self.ones_factor.d.next = bit_cast(self.product.val(), self._ones_factor_bits);
        }
        if self.setup.val() | self.third.q.val() {
            self.constant.d.next = bit_cast(self.sum.val(), self._constant_bits);
        }

        comment!("---- rows ----");
        self.row_product.next = self.held_r.q.val() * self.acc.val();
        self.count.next = self.ones.val();
        self.ones_product.next = self.ones_factor.q.val() * signed_cast(self.count.val());
        self.acc_term.d.next = bit_cast(self.row_product.val(), self._acc_term_bits);
        self.ones_term.d.next = bit_cast(self.ones_product.val(), self._ones_term_bits);
        self.done.d.next = self.acc_valid.val();
        self.valid.next = self.done.q.val();
        self.value.next = self.acc_term.q.val() + self.ones_term.q.val() + self.constant.q.val();
    }
}

impl BlockRows {
    /// Bits of a t_k that matter to T.
    pub fn t_k_bits(p: &BlockShape) -> u32 {
        p.t_bits.min(p.t_sum_bits)
    }

    /// For blocks of shape `p`. Sums are modular: no term is kept wider than the result.
    pub fn new(p: &BlockShape) -> Self {
        let ones_bits = p.ones_bits();
        let result = p.result_bits;
        let ones_factor = p.ones_factor_bits.min(result);
        let constant = p.constant_bits.min(result);
        let factor = p.t_factor_bits.max(p.s_bits).max(p.u_bits);
        let multiplicand = p.t_sum_bits.max(p.x_sum_bits);
        let product = ones_factor.max(constant).max(factor).max(multiplicand);
        let acc_term = (p.r_bits + p.row_bits).min(result);
        let ones_term = (ones_factor + ones_bits).min(result);
        let wire = |bits: u32| Wire::new(s(bits));
        BlockRows {
            r: Wire::new(s(p.r_bits)),
            t: Wire::new(s(p.t_factor_bits)),
            s: Wire::new(s(p.s_bits)),
            u: Wire::new(s(p.u_bits)),
            t_k: Wire::new(s(Self::t_k_bits(p))),
            x_sum: Wire::new(s(p.x_sum_bits)),
            acc: Wire::new(s(p.row_bits)),
            ones: Wire::new(u(ones_bits)),
            value: Wire::new(s(result)),
            held_r: Reg::data(s(p.r_bits)),
            held_t: Reg::data(s(p.t_factor_bits)),
            held_s: Reg::data(s(p.s_bits)),
            held_u: Reg::data(s(p.u_bits)),
            t_sum: Reg::data(s(p.t_sum_bits)),
            t_kept: wire(p.t_sum_bits),
            factor: wire(factor),
            multiplicand: wire(multiplicand),
            product: wire(product),
            held_x: Reg::data(s(p.x_sum_bits)),
            ones_factor: Reg::data(s(ones_factor)),
            constant: Reg::data(s(constant)),
            sum: wire(product),
            row_product: wire(acc_term.max(p.r_bits).max(p.row_bits)),
            count: Wire::new(u(ones_bits + 1)),
            ones_product: wire(ones_term.max(ones_factor).max(ones_bits + 1)),
            acc_term: Reg::data(s(acc_term)),
            ones_term: Reg::data(s(ones_term)),
            _shape: Some(*p),
            _ones_factor_bits: ones_factor,
            _constant_bits: constant,
            _acc_term_bits: acc_term,
            _ones_term_bits: ones_term,
            ..BlockRows::default()
        }
    }
}

impl Unit for BlockRows {
    fn module(&self) -> String {
        "pimc_block_rows".into()
    }

    fn contract(&self) -> Contract {
        Contract {
            summary: "Block rows: results of the rows of a binary quadratic block.".into(),
            formula:
                "value = r*acc + 2s*X*ones + u'*X + t*T, T = the sum of the t_k since t_first_i."
                    .into(),
            latency:
                "1 clock from acc_i to value_o."
                    .into(),
            throughput: "a row every clock.".into(),
            layout: "s_i is 2s, u_i is u'; all scalars are signed.".into(),
            preconditions: format!(
                "the scalars and the last t_k come before setup_i, X is on x_sum_i one clock after \
                 it, the first acc_i comes 2 clocks after it or later. A scalar stays until the last acc_i of its block. A result fits {} bits, and \
                 every sum its width: proven from the ranges, so that wrapping in between does no \
                 harm.",
                self.value.ty().width
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("rts_valid", "scalars"),
            ("t_valid", "inner sums"),
            ("setup", "products of the scalars"),
            ("acc_valid", "sum of a row of A"),
            ("valid", "its result, one clock later"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::blocks;
    use crate::testing::Rng;

    /// The numbers of a block: r, t, 2s, u', X, t_k, and (acc, ones) of its rows.
    struct Data {
        scalars: [i64; 4],
        x_sum: i64,
        t_k: Vec<i64>,
        rows: Vec<(i64, i64)>,
    }

    /// Values of the rows, `clocks` from `setup` to the first, one a clock.
    fn values(uut: &mut Inst<BlockRows>, data: &Data, clocks: usize) -> Vec<i128> {
        let set_scalars = |uut: &mut Inst<BlockRows>, [r, t, s, u]: [i64; 4]| {
            uut.r.set(r.into());
            uut.t.set(t.into());
            uut.s.set(s.into());
            uut.u.set(u.into());
        };
        set_scalars(uut, data.scalars);
        for (k, t_k) in data.t_k.iter().enumerate() {
            uut.t_valid.next = true;
            uut.t_first.next = k == 0;
            uut.t_k.set(i128::from(*t_k));
            // The scalars come while the last t_k is on its way.
            uut.rts_valid.next = k + 2 == data.t_k.len() || data.t_k.len() == 1;
            uut.u_valid.next = k + 1 == data.t_k.len();
            clock(uut);
        }
        (uut.t_valid.next, uut.t_first.next) = (false, true);
        (uut.rts_valid.next, uut.u_valid.next) = (false, false);
        set_scalars(uut, [-1; 4]);
        uut.t_k.set(-1);
        let mut seen = vec![];
        for at in 0..clocks + data.rows.len() + 1 {
            uut.setup.next = at == 0;
            // X is there for one clock only.
            uut.x_sum.set(if at == 1 { data.x_sum.into() } else { 0 });
            let row = at.checked_sub(clocks).and_then(|row| data.rows.get(row));
            uut.acc_valid.next = row.is_some();
            let (acc, ones) = row.copied().unwrap_or((-1, 1));
            uut.acc.set(acc.into());
            uut.ones.set(ones.into());
            settle(uut);
            if uut.valid.val() {
                seen.push(uut.value.get());
            }
            clock(uut);
        }
        seen
    }

    fn want(data: &Data, result_bits: u32) -> Vec<i128> {
        let [r, t, s, u] = data.scalars.map(i128::from);
        let (x, t_sum) = (i128::from(data.x_sum), i128::from(data.t_k.iter().sum::<i64>()));
        let y = |&(acc, ones): &(i64, i64)| {
            r * i128::from(acc) + s * x * i128::from(ones) + u * x + t * t_sum
        };
        let result = crate::hdl::s(result_bits);
        data.rows.iter().map(|row| result.wrap(y(row))).collect()
    }

    /// A number of `bits`, at an end of its range in two of three cases.
    fn number(rng: &mut Rng, bits: u32) -> i64 {
        let limit = 1i64 << (bits - 1);
        match rng.below(3) {
            0 => -limit,
            1 => limit - 1,
            _ => rng.next() as i64 >> (64 - bits),
        }
    }

    fn data(rng: &mut Rng, p: &BlockShape) -> Data {
        let inner = 1 + rng.below(5) as usize;
        let rows = 1 + rng.below(4) as usize;
        let widths = [p.r_bits, p.t_factor_bits, p.s_bits, p.u_bits];
        Data {
            scalars: widths.map(|bits| number(rng, bits)),
            x_sum: number(rng, p.x_sum_bits),
            t_k: (0..inner).map(|_| number(rng, p.t_bits.min(p.t_sum_bits))).collect(),
            rows: (0..rows)
                .map(|_| (number(rng, p.row_bits), rng.below(u64::from(p.inner) + 1) as i64))
                .collect(),
        }
    }

    fn shapes() -> [BlockShape; 4] {
        let wide = BlockShape { t_sum_bits: 26, constant_bits: 60, result_bits: 62, ..blocks(20) };
        [
            wide,
            BlockShape { u_bits: 40, ones_factor_bits: 27, ..wide },
            // Every term is wider than the result, which wraps.
            BlockShape { result_bits: 9, ..wide },
            // One bit of everything.
            BlockShape {
                inner: 1,
                x_sum_bits: 1,
                t_bits: 1,
                t_sum_bits: 4,
                row_bits: 1,
                r_bits: 1,
                t_factor_bits: 1,
                s_bits: 1,
                u_bits: 1,
                ones_factor_bits: 2,
                constant_bits: 6,
                result_bits: 7,
                ..wide
            },
        ]
    }

    #[test]
    fn rows_agree_with_plain_integers() {
        let mut rng = Rng::new(17);
        for p in shapes() {
            let mut uut = Inst::new(BlockRows::new(&p));
            for round in 0..200 {
                let data = data(&mut rng, &p);
                let got = values(&mut uut, &data, 2 + round % 3);
                assert_eq!(got, want(&data, p.result_bits), "{:?} {:?}", data.scalars, data.t_k);
            }
        }
    }

    #[test]
    fn the_products_of_the_scalars_are_ready_no_earlier_than_said() {
        let p = shapes()[0];
        let data = Data { scalars: [3, 5, 8, 100], x_sum: 7, t_k: vec![10], rows: vec![(2, 1)] };
        let of = |clocks| values(&mut Inst::new(BlockRows::new(&p)), &data, clocks);
        assert_eq!(of(2), want(&data, p.result_bits));
        assert_ne!(of(1), want(&data, p.result_bits));
    }
}
