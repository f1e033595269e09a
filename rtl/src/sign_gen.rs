//! Sign generator: the signs of supermask weights, computed instead of stored.
//!
//! Row r of a layer with key = seed ^ mix32(layer) has the seed
//! `s0 = mix32(key ^ mix32(0x9E3779B9 * (r + 1)))`, 0 becoming 0x6D2B79F5; word i is the state of
//! xorshift32 after i + 1 steps and holds the signs of inputs 32i to 32i+31, 1 for minus. A group of
//! inputs is a beat: two words, or four.

use crate::hdl::prelude::*;
use crate::shape::index_bits;

/// 2^32 divided by the golden ratio, the row's multiplier.
const GOLDEN: u32 = 0x9e37_79b9;

/// One row after another of a bank's rows `bank + banks * index`.
#[derive(LogicBlock, Default)]
pub struct SignGen {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The next row is the bank's first. Not in a clock with `start`.
    pub restart: Signal<In, Bit>,
    /// seed ^ mix32(layer).
    pub key: Wire<In>,
    /// Number of the bank.
    pub bank: Wire<In>,
    /// Computes the seed of the next row; `load` may come `SEED_CLOCKS` clocks later.
    pub start: Signal<In, Bit>,
    /// The row's first group follows.
    pub load: Signal<In, Bit>,
    /// A group follows: the row's next one, or with `load` its first.
    pub advance: Signal<In, Bit>,
    /// Signs of the inputs of a group, from the clock after `load` or `advance`.
    pub signs: Wire<Out>,
    second: Signal<Local, Bit>,
    operand: Wire<Local>,
    factor: Wire<Local>,
    product: Wire<Local>,
    fold_15: Wire<Local>,
    fold_16: Wire<Local>,
    keyed: Wire<Local>,
    row_hash: Reg,
    mixed: Reg,
    step: Reg,
    seed: Reg,
    state: Wire<Local>,
    low_a: Wire<Local>,
    low_b: Wire<Local>,
    low_next: Wire<Local>,
    high_a: Wire<Local>,
    high_b: Wire<Local>,
    high_next: Wire<Local>,
    low: Reg,
    high: Reg,
    third_a: Vec<Wire<Local>>,
    third_b: Vec<Wire<Local>>,
    third_next: Vec<Wire<Local>>,
    fourth_a: Vec<Wire<Local>>,
    fourth_b: Vec<Wire<Local>>,
    fourth_next: Vec<Wire<Local>>,
    third: Vec<Reg>,
    fourth: Vec<Reg>,
    golden: Const,
    row_stride: Const,
    _banks: u32,
    _two_words: usize,
    _four_words: usize,
    _beat_bits: u32,
}

impl SignGen {
    /// For a channel of `banks` banks and groups of `beat_bits` inputs, 64 or 128.
    pub fn new(banks: u32, beat_bits: u32) -> Self {
        let word = || Wire::new(u(32));
        let four = (beat_bits > 64) as usize;
        let more = || vec![word(); four];
        SignGen {
            key: Wire::new(u(32)),
            bank: Wire::new(u(index_bits(banks))),
            signs: Wire::new(u(beat_bits)),
            operand: word(),
            factor: word(),
            product: word(),
            fold_15: word(),
            fold_16: word(),
            keyed: word(),
            row_hash: Reg::data(u(32)),
            mixed: Reg::data(u(32)),
            step: Reg::new(u(2)),
            seed: Reg::data(u(32)),
            state: word(),
            low_a: word(),
            low_b: word(),
            low_next: word(),
            high_a: word(),
            high_b: word(),
            high_next: word(),
            low: Reg::data(u(32)),
            high: Reg::data(u(32)),
            third_a: more(),
            third_b: more(),
            third_next: more(),
            fourth_a: more(),
            fourth_b: more(),
            fourth_next: more(),
            third: vec![Reg::data(u(32)); four],
            fourth: vec![Reg::data(u(32)); four],
            golden: Const::new(GOLDEN as usize),
            row_stride: Const::new(GOLDEN.wrapping_mul(banks) as usize),
            _banks: banks,
            _two_words: 1 - four,
            _four_words: four,
            _beat_bits: beat_bits,
            ..SignGen::default()
        }
    }
}

impl Logic for SignGen {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, row_hash, mixed, step, seed, low, high);
        comment!(
            "---- one multiplier: the first row's hash, then the four products of two mix32 ----"
        );
        self.second.next = self.step.q.val().get_bit(0);
        self.operand.next = self.mixed.q.val();
        self.factor.next = 0x7feb352du32.into();
        if self.restart.val() {
            self.operand.next = self.bank.val() + 1.into();
            self.factor.next = self.golden.val().into();
        } else if self.start.val() {
            self.operand.next = self.row_hash.q.val() ^ (self.row_hash.q.val() >> 16);
        } else if self.second.val() {
            self.factor.next = 0x846ca68bu32.into();
        }
        self.product.next = self.operand.val() * self.factor.val();
        self.fold_15.next = self.product.val() ^ (self.product.val() >> 15);
        self.fold_16.next = self.product.val() ^ (self.product.val() >> 16);
        self.keyed.next = self.fold_16.val() ^ self.key.val();

        comment!("---- seed of a row: steps 0 (start) to 3 ----");
        self.mixed.d.next = self.fold_15.val();
        if self.step.q.val() == 1 {
            self.mixed.d.next = self.keyed.val() ^ (self.keyed.val() >> 16);
        }
        if self.start.val() {
            self.step.d.next = 1.into();
        } else if self.step.q.val() != 0 {
            self.step.d.next = self.step.q.val() + 1.into();
        }
        if self.step.q.val() == 3 {
            self.seed.d.next = self.fold_16.val();
            if self.fold_16.val() == 0 {
                self.seed.d.next = 0x6d2b79f5u32.into();
            }
        }
        if self.restart.val() {
            self.row_hash.d.next = self.product.val();
        } else if self.start.val() {
            self.row_hash.d.next = self.row_hash.q.val() + self.row_stride.val().into();
        }

        for _i in 0..self._two_words {
            comment!("---- two xorshift32 words per group of 64 inputs ----");
        }
        for _i in 0..self._four_words {
            comment!("---- four xorshift32 words per group of 128 inputs ----");
        }
        self.state.next = self.high.q.val();
        for i in 0..self._four_words {
            self.state.next = self.fourth[i].q.val();
        }
        if self.load.val() {
            self.state.next = self.seed.q.val();
        }
        self.low_a.next = self.state.val() ^ (self.state.val() << 13);
        self.low_b.next = self.low_a.val() ^ (self.low_a.val() >> 17);
        self.low_next.next = self.low_b.val() ^ (self.low_b.val() << 5);
        self.high_a.next = self.low_next.val() ^ (self.low_next.val() << 13);
        self.high_b.next = self.high_a.val() ^ (self.high_a.val() >> 17);
        self.high_next.next = self.high_b.val() ^ (self.high_b.val() << 5);
        if self.load.val() | self.advance.val() {
            self.low.d.next = self.low_next.val();
            self.high.d.next = self.high_next.val();
        }
        for _i in 0..self._two_words {
            self.signs.next =
                (bit_cast(self.high.q.val(), 64) << 32) | bit_cast(self.low.q.val(), 64);
        }
        for i in 0..self._four_words {
            self.third[i].clock.next = self.clock.val();
            self.fourth[i].clock.next = self.clock.val();
            self.third[i].d.next = self.third[i].q.val();
            self.fourth[i].d.next = self.fourth[i].q.val();
            self.third_a[i].next = self.high_next.val() ^ (self.high_next.val() << 13);
            self.third_b[i].next = self.third_a[i].val() ^ (self.third_a[i].val() >> 17);
            self.third_next[i].next = self.third_b[i].val() ^ (self.third_b[i].val() << 5);
            self.fourth_a[i].next = self.third_next[i].val() ^ (self.third_next[i].val() << 13);
            self.fourth_b[i].next = self.fourth_a[i].val() ^ (self.fourth_a[i].val() >> 17);
            self.fourth_next[i].next = self.fourth_b[i].val() ^ (self.fourth_b[i].val() << 5);
            if self.load.val() | self.advance.val() {
                self.third[i].d.next = self.third_next[i].val();
                self.fourth[i].d.next = self.fourth_next[i].val();
            }
            self.signs.next = (bit_cast(self.high.q.val(), 128) << 32)
                | bit_cast(self.low.q.val(), 128)
                | (self.third[i].q.val() << 64)
                | (self.fourth[i].q.val() << 96);
        }
    }
}

impl Unit for SignGen {
    fn module(&self) -> String {
        format!("pimc_sign_gen_b{}", self._banks)
    }

    fn contract(&self) -> Contract {
        let words = if self._four_words > 0 { "four" } else { "two" };
        Contract {
            summary: "Sign generator: the signs of supermask weights, computed instead of stored."
                .into(),
            formula: "s0(r) = mix32(key ^ mix32(32'h9e3779b9 * (r + 1))), 32'h6d2b79f5 if that is 0; \
                      word i is the state of xorshift32 after i + 1 steps from s0; a 1 is a minus.\n\
                      mix32: v ^= v >> 16; v *= 32'h7feb352d; v ^= v >> 15; v *= 32'h846ca68b; \
                      v ^= v >> 16.\n\
                      xorshift32: x ^= x << 13; x ^= x >> 17; x ^= x << 5."
                .into(),
            latency: format!(
                "{} clocks from start_i to load_i; signs_o one clock after load_i or advance_i.",
                crate::timing::SEED_CLOCKS
            ),
            throughput: format!(
                "A row every {} clocks, a group of {} inputs every clock.",
                crate::timing::SEED_CLOCKS,
                self._beat_bits
            ),
            layout: format!(
                "signs_o[j] is the sign of input j of the group: {words} words, the lower first. Row \
                 r is bank_i + banks * index; start_i counts the index up."
            ),
            preconditions: "restart_i and start_i not in one clock; key_i held from start_i on."
                .into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("restart", "row sequence"), ("start", "row and group control"), ("signs", "signs")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{mix32, signs_of};
    use crate::timing::SEED_CLOCKS;

    /// The signs of a row's groups of `size`.
    fn words(key: u32, row: u32, groups: usize, size: usize) -> Vec<u128> {
        let word = |g: &[i64]| g.iter().rev().fold(0, |w, sign| w << 1 | u128::from(*sign < 0));
        signs_of(key, row, size * groups).chunks(size).map(word).collect()
    }

    /// Rows at the shortest interval: the next row's seed is started while this one is read.
    fn check(banks: u32, bank: u32, key: u32, rows: u32, groups: usize) {
        check_groups(64, banks, bank, key, rows, groups);
        check_groups(128, banks, bank, key, rows, groups);
    }

    fn check_groups(size: u32, banks: u32, bank: u32, key: u32, rows: u32, groups: usize) {
        let mut uut = Inst::new(SignGen::new(banks, size));
        uut.key.set(key as i128);
        uut.bank.set(bank as i128);
        uut.restart.next = true;
        clock(&mut uut);
        uut.restart.next = false;
        let interval = (groups as u32).max(SEED_CLOCKS);
        for cycle in 0..rows * interval + SEED_CLOCKS + 1 {
            let row = (cycle / interval) as usize;
            uut.start.next = cycle % interval == 0 && (row as u32) < rows;
            let read = cycle.checked_sub(SEED_CLOCKS);
            let at = read.map(|c| ((c / interval) as usize, (c % interval) as usize));
            uut.load.next = at.is_some_and(|(_, g)| g == 0);
            uut.advance.next = at.is_some_and(|(_, g)| g > 0 && g < groups);
            clock(&mut uut);
            if let Some((row, group)) = at.filter(|(row, g)| *g < groups && *row < rows as usize) {
                let r = bank + banks * row as u32;
                let want = words(key, r, groups, size as usize)[group];
                assert_eq!(uut.signs.get() as u128, want, "row {r} group {group} of {size}");
            }
        }
    }

    #[test]
    fn signs_follow_the_rule_for_every_bank_and_row() {
        check(16, 0, 0, 5, 1);
        check(16, 15, 0xffff_ffff, 7, 3);
        check(16, 9, 0x5eed ^ mix32(3), 40, 8);
        check(2, 1, 1, 3, 4);
    }

    #[test]
    fn a_seed_is_ready_no_earlier_than_said() {
        let first_signs = |clocks: u32| {
            let mut uut = Inst::new(SignGen::new(16, 64));
            uut.key.set(5);
            uut.restart.next = true;
            clock(&mut uut);
            uut.restart.next = false;
            for cycle in 0..=clocks {
                uut.start.next = cycle == 0;
                uut.load.next = cycle == clocks;
                clock(&mut uut);
            }
            uut.signs.get() as u128
        };
        let want = words(5, 0, 1, 64)[0];
        assert_eq!(first_signs(SEED_CLOCKS), want);
        assert_ne!(first_signs(SEED_CLOCKS - 1), want);
    }

    #[test]
    fn a_seed_of_zero_is_replaced() {
        // mix32 is a bijection with mix32(0) = 0: the key that cancels row 0's hash gives s0 = 0.
        let key = mix32(0x9e37_79b9);
        assert_eq!(mix32(key ^ mix32(0x9e37_79b9)), 0);
        check(16, 0, key, 2, 2);
    }
}
