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

    s0_bank: Reg,
    s0_index: Reg,
    s1_bank: Reg,
    count: Vec<Wire<Local>>,
    s2_word: Reg,
    last_bank: Const,
    _ones: usize,
}

impl Logic for DrainSelect {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, s0_bank, s0_index, s1_bank, s2_word);

        comment!("---- count: banks first, then the index ----");
        if self.step.val() {
            self.s0_bank.d.next = self.s0_bank.q.val() + 1.into();
            if self.s0_bank.q.val() == self.last_bank.val() {
                self.s0_bank.d.next = 0.into();
                self.s0_index.d.next = self.s0_index.q.val() + 1.into();
            }
        }
        if self.start.val() {
            self.s0_bank.d.next = 0.into();
            self.s0_index.d.next = 0.into();
        }
        self.index.next = self.s0_index.q.val();

        comment!("---- select the bank ----");
        self.s1_bank.d.next = self.s0_bank.q.val();
        self.s2_word.d.next = self.results[self.s1_bank.q.val().index()].val();
        for i in 0..self._ones {
            self.count[i].next = self.ones[self.s1_bank.q.val().index()].val();
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
        let ones = ones as usize;
        let count = shape.bank.gated.and_then(|g| g.column_signs).unwrap_or(0).max(1);
        let word = s(shape.buffer.word_bits);
        let index = u(index_bits(shape.bank.result_depth));
        DrainSelect {
            take_ones: vec![Signal::default(); ones],
            index: Wire::new(index),
            results: vec![Wire::new(s(shape.bank.result_bits)); banks],
            ones: vec![Wire::new(u(count)); banks * ones],
            word: Wire::new(word),
            s0_bank: Reg::new(u(index_bits(shape.banks))),
            s0_index: Reg::new(index),
            s1_bank: Reg::new(u(index_bits(shape.banks))),
            count: vec![Wire::new(u(word.width)); ones],
            s2_word: Reg::new(word),
            last_bank: Const::new(banks - 1),
            _ones: ones,
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
