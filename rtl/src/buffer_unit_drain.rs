//! Results out of the banks, one per clock, in the order of the matrix rows.

use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};

/// Element i of a drain is the result of bank i mod banks at index i / banks.
#[derive(LogicBlock, Default)]
pub struct DrainSelect {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// An operation begins: the next element is element 0.
    pub start: Signal<In, Bit>,
    /// An element is read in this clock.
    pub step: Signal<In, Bit>,
    /// Takes the counts of ones; only when they are drained.
    pub take_ones: Vec<Signal<In, Bit>>,

    /// Index of the element in its bank.
    pub index: Wire<Out>,
    /// What every bank holds at `index`, one clock later.
    pub results: Vec<Wire<In>>,
    /// The counts of ones at `index`, one clock later; only when they are drained.
    pub ones: Vec<Wire<In>>,

    /// The element, two clocks after its `step`.
    pub word: Wire<Out>,

    s0_bank: Vec<Reg>,
    s0_index: Reg,
    s1_bank: Vec<Reg>,
    count: Vec<Wire<Local>>,
    s2_word: Reg,
    last_bank: Const,
    _many: usize,
    _one: usize,
    _ones: usize,
    _ones_of_many: usize,
    _ones_of_one: usize,
}

impl Logic for DrainSelect {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, s0_index, s2_word);
        for m in 0..self._many {
            self.s0_bank[m].clock.next = self.clock.val();
            self.s0_bank[m].d.next = self.s0_bank[m].q.val();
            self.s1_bank[m].clock.next = self.clock.val();
        }

        comment!("---- count: banks first, then the index ----");
        for m in 0..self._many {
            if self.step.val() {
                self.s0_bank[m].d.next = self.s0_bank[m].q.val() + 1.into();
                if self.s0_bank[m].q.val() == self.last_bank.val() {
                    self.s0_bank[m].d.next = 0.into();
                    self.s0_index.d.next = self.s0_index.q.val() + 1.into();
                }
            }
        }
        for _m in 0..self._one {
            if self.step.val() {
                self.s0_index.d.next = self.s0_index.q.val() + 1.into();
            }
        }
        if self.start.val() {
            self.s0_index.d.next = 0.into();
            for m in 0..self._many {
                self.s0_bank[m].d.next = 0.into();
            }
        }
        self.index.next = self.s0_index.q.val();

        comment!("---- select the bank ----");
        for m in 0..self._many {
            self.s1_bank[m].d.next = self.s0_bank[m].q.val();
            self.s2_word.d.next = self.results[self.s1_bank[m].q.val().index()].val();
        }
        for _m in 0..self._one {
            self.s2_word.d.next = self.results[0].val();
        }
        for m in 0..self._ones_of_many {
            self.count[m].next = self.ones[self.s1_bank[m].q.val().index()].val();
        }
        for m in 0..self._ones_of_one {
            self.count[m].next = self.ones[0].val();
        }
        for i in 0..self._ones {
            if self.take_ones[i].val() {
                self.s2_word.d.next = signed_cast(self.count[i].val());
            }
        }
        self.word.next = self.s2_word.q.val();
    }
}

impl DrainSelect {
    /// The drain of a channel's buffer unit; `ones` when counts of ones are drained.
    pub fn new(shape: &ChannelShape, ones: bool) -> Self {
        let banks = shape.banks as usize;
        let (ones, many) = (ones as usize, (banks > 1) as usize);
        let count = 1;
        let word = s(shape.buffer.word_bits);
        let index = u(index_bits(shape.buffer.depth));
        DrainSelect {
            take_ones: vec![Signal::default(); ones],
            index: Wire::new(index),
            results: vec![Wire::new(s(shape.bank.result_bits)); banks],
            ones: vec![Wire::new(u(count)); banks * ones],
            word: Wire::new(word),
            s0_bank: vec![Reg::new(u(index_bits(shape.banks))); many],
            s0_index: Reg::new(index),
            s1_bank: vec![Reg::new(u(index_bits(shape.banks))); many],
            count: vec![Wire::new(u(word.width)); ones],
            s2_word: Reg::data(word),
            last_bank: Const::new(banks - 1),
            _many: many,
            _one: 1 - many,
            _ones: ones,
            _ones_of_many: ones * many,
            _ones_of_one: ones * (1 - many),
            ..DrainSelect::default()
        }
    }
}

impl Unit for DrainSelect {
    fn module(&self) -> String {
        let ones = match self.ones.first() {
            Some(ones) => format!("_o{}", ones.ty().width),
            None => String::new(),
        };
        format!(
            "pimc_drain_select_b{}_i{}_r{}{ones}_w{}",
            self.results.len(),
            self.index.ty().width,
            self.results.first().map_or(0, |r| r.ty().width),
            self.word.ty().width,
        )
    }

    fn contract(&self) -> Contract {
        let banks = self.results.len();
        Contract {
            summary: "Drain: takes results out of the banks in the order of the matrix rows."
                .into(),
            formula: format!(
                "Element i of an operation is the word of bank i mod {banks} at index i / {banks}, \
                 sign-extended."
            ),
            latency: "2 clocks from step_i to word_o.".into(),
            throughput: "One element per clock.".into(),
            layout:
                "The banks' words lie side by side, bank 0 lowest; each is the word at index_o \
                     one clock earlier."
                    .into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("start", "which elements"),
            ("index", "results of the banks"),
            ("word", "the element"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
