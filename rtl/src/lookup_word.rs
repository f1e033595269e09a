//! Lookup word: what a word of a beat holds for a lookup unit, where a beat has several.

use crate::hdl::prelude::*;
use crate::shape::WORD_BITS;

/// Centroids and codes begin at the lowest bit of the word; what is above them is padding. Both are
/// taken out in every clock: the lookup unit knows which of them the beat is.
#[derive(LogicBlock)]
pub struct LookupWord {
    /// The word.
    pub word: Wire<In>,
    /// Its parts of centroids.
    pub centroids: Wire<Out>,
    /// Its codes.
    pub codes: Wire<Out>,
    unused_word: Vec<Unused>,
    _spare: usize,
    _centroid_bits: u32,
    _codes_bits: u32,
}

impl LookupWord {
    /// For words with so many bits of centroids and of codes.
    pub fn new(centroid_bits: u32, codes_bits: u32) -> Self {
        let unused_word = Unused::above(u(WORD_BITS), centroid_bits.max(codes_bits));
        LookupWord {
            word: Wire::new(u(WORD_BITS)),
            centroids: Wire::new(u(centroid_bits)),
            codes: Wire::new(u(codes_bits)),
            _spare: unused_word.len(),
            unused_word,
            _centroid_bits: centroid_bits,
            _codes_bits: codes_bits,
        }
    }
}

impl Logic for LookupWord {
    #[hdl_gen]
    fn update(&mut self) {
        self.centroids.next = bit_cast(self.word.val(), self._centroid_bits);
        self.codes.next = bit_cast(self.word.val(), self._codes_bits);
        for i in 0..self._spare {
            self.unused_word[i].x.next = self.word.val();
        }
    }
}

impl Unit for LookupWord {
    fn module(&self) -> String {
        format!("pimc_lookup_word_c{}_s{}", self._codes_bits, self._centroid_bits)
    }

    fn contract(&self) -> Contract {
        Contract {
            summary: "Lookup word: what a word of a beat holds for a lookup unit.".into(),
            formula: "centroids and codes are the low bits of the word.".into(),
            latency: "None.".into(),
            layout: format!(
                "A word of {WORD_BITS} bits holds {} bits of centroids or {} of codes, the first \
                 lowest.",
                self._centroid_bits, self._codes_bits
            ),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("word", "word of a beat"), ("centroids", "what it holds")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        None
    }
}
