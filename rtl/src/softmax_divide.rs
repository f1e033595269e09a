//! What was weighted, divided by the sum of the weights.

use crate::hdl::prelude::*;
use crate::softmax_log::LOG_BITS;
use crate::softmax_reciprocal::{SoftmaxReciprocal, FRACTION_BITS};

/// Clocks from an output and the reciprocal of its sum to its quotient.
pub const DIVIDE_LATENCY: u32 = 3;

/// An output times a reciprocal, shifted, rounded half up and clamped. Where rows end in a log-sum-exp that
/// is chosen instead of a quotient, in its turn.
#[derive(LogicBlock, Default)]
pub struct SoftmaxDivide {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// What is divided.
    pub dividend: Wire<In>,
    /// The reciprocal of its sum: the fraction.
    pub fraction: Wire<In>,
    /// How far that is to be shifted.
    pub scale: Wire<In>,
    /// The sum is 0.
    pub empty: Signal<In, Bit>,
    /// A log-sum-exp comes in this place, 2 clocks later; where rows end in one.
    pub is_log: Vec<Signal<In, Bit>>,
    /// It; with `is_log`.
    pub log: Vec<Wire<In>>,

    /// The quotient.
    pub value: Wire<Out>,

    factor: Wire<Local>,
    s1_product: Reg,
    s1_scale: Reg,
    s1_empty: Flop<Bit>,
    coarse: Wire<Local>,
    s2_shifted: Reg,
    s2_empty: Flop<Bit>,
    half_up: Wire<Local>,
    rounded: Wire<Local>,
    largest: Vec<Wire<Local>>,
    smallest: Vec<Wire<Local>>,
    s3_value: Reg,
    coarse_shift: Const,
    limit: Const,
    _frac: u32,
    _logs: usize,
    _clamps: usize,
    _fits: usize,
    _factor_bits: u32,
    _coarse_bits: u32,
    _value_bits: u32,
}

impl SoftmaxDivide {
    /// Quotients of `value_bits`, `frac` of them behind the point, of outputs of type `dividend`, which is
    /// wide enough for the greatest sum; of sums whose reciprocals are of such a unit.
    pub fn new(dividend: Ty, reciprocal: &SoftmaxReciprocal, frac: u32, value_bits: u32) -> Self {
        let (fraction, scale) = (reciprocal.fraction.ty(), reciprocal.scale.ty());
        let logs = reciprocal.behind.len();
        // The fraction with a sign; it is 2^16 at most, so the product has a bit less.
        let factor = s(fraction.width + 1);
        let product = s(dividend.width + factor.width - 1);
        // The least shift, but for the bit that rounds.
        let coarse_shift = 2 * FRACTION_BITS - frac;
        let coarse = s(product.width - coarse_shift);
        let value = s(value_bits);
        let clamps = (value.width < coarse.width) as usize;
        SoftmaxDivide {
            dividend: Wire::new(dividend),
            fraction: Wire::new(fraction),
            scale: Wire::new(scale),
            is_log: vec![Signal::default(); logs],
            log: vec![Wire::new(s(LOG_BITS)); logs],
            value: Wire::new(value),
            factor: Wire::new(factor),
            s1_product: Reg::data(product),
            s1_scale: Reg::data(scale),
            coarse: Wire::new(coarse),
            s2_shifted: Reg::data(coarse),
            half_up: Wire::new(s(coarse.width + 1)),
            rounded: Wire::new(coarse),
            largest: vec![Wire::new(value); clamps],
            smallest: vec![Wire::new(value); clamps],
            s3_value: Reg::data(value),
            coarse_shift: Const::new(coarse_shift as usize),
            limit: Const::new((1 << (value.width - 1)) - 1),
            _frac: frac,
            _logs: logs,
            _clamps: clamps,
            _fits: 1 - clamps,
            _factor_bits: factor.width,
            _coarse_bits: coarse.width,
            _value_bits: value.width,
            ..SoftmaxDivide::default()
        }
    }
}

impl Logic for SoftmaxDivide {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, s1_product, s1_scale, s1_empty, s2_shifted, s2_empty, s3_value);

        comment!("---- product ----");
        self.factor.next = signed_cast(bit_cast(self.fraction.val(), self._factor_bits));
        self.s1_product.d.next = self.dividend.val() * self.factor.val();
        self.s1_scale.d.next = self.scale.val();
        self.s1_empty.d.next = self.empty.val();

        comment!("---- shift; half up: a bit below the result is kept, then added ----");
        self.coarse.next =
            bit_cast(self.s1_product.q.val() >> self.coarse_shift.val(), self._coarse_bits);
        self.s2_shifted.d.next = self.coarse.val() >> self.s1_scale.q.val();
        self.s2_empty.d.next = self.s1_empty.q.val();
        self.half_up.next = self.s2_shifted.q.val() + 1.into();
        self.rounded.next = bit_cast(self.half_up.val() >> 1, self._coarse_bits);

        comment!("---- clamp; a row that sees no token is 0 ----");
        for _i in 0..self._fits {
            self.s3_value.d.next = self.rounded.val();
        }
        for i in 0..self._clamps {
            self.largest[i].next = self.limit.val().into();
            self.smallest[i].next = !self.largest[i].val();
            self.s3_value.d.next = bit_cast(self.rounded.val(), self._value_bits);
            if self.rounded.val() > self.largest[i].val() {
                self.s3_value.d.next = self.largest[i].val();
            }
            if self.rounded.val() < self.smallest[i].val() {
                self.s3_value.d.next = self.smallest[i].val();
            }
        }
        if self.s2_empty.q.val() {
            self.s3_value.d.next = 0.into();
        }
        for i in 0..self._logs {
            if self.is_log[i].val() {
                self.s3_value.d.next = self.log[i].val();
            }
        }
        self.value.next = self.s3_value.q.val();
    }
}

impl Unit for SoftmaxDivide {
    fn module(&self) -> String {
        format!(
            "pimc_softmax_divide_o{}_e{}_q{}_y{}{}",
            self.dividend.ty().width,
            self.scale.ty().width,
            self._frac,
            self._value_bits,
            if self._logs > 0 { "_log" } else { "" }
        )
    }

    fn contract(&self) -> Contract {
        let log = match self._logs {
            0 => "",
            _ => " log_i instead where is_log_i, 2 clocks after dividend_i.",
        };
        Contract {
            summary: "Outputs divided by sums of weights.".into(),
            formula: format!(
                "value_o = clamp((dividend_i * fraction_i + 2^(s - 1)) >> s) to {} signed bits, \
                 s = scale_i + {}, which leaves {} bits behind the point; 0 where empty_i.{log}",
                self._value_bits,
                2 * FRACTION_BITS + 1 - self._frac,
                self._frac
            ),
            latency: format!("{DIVIDE_LATENCY} clocks."),
            throughput: "A quotient every clock.".into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("dividend", "dividend and reciprocal"), ("value", "quotient")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
