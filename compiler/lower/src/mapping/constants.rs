//! The constants of a model in vector memory, each once.

use pimc_ir::{Model, ParamId, Scalar, VecTy, WeightId, WeightView};
use std::collections::BTreeMap;

/// Marks an address that counts from the constants' base, which is known only at the end. Values
/// and byte counts stay below it.
pub(super) const FLAG: u32 = 1 << 31;

/// A word of the constants. A requantiser's becomes bits once the fields are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Word {
    /// A number.
    Int(i64),
    /// What a requantiser does to one element.
    Requant {
        /// Multiplier.
        mul: i64,
        /// Right shift.
        shift: u32,
        /// Width of the result (signed).
        bits: u32,
    },
}

/// What a run of constants is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Run {
    Param(ParamId),
    Requant(Scalar, Scalar, u32),
    Scales(WeightId, usize),
}

/// Constants placed so far.
#[derive(Default)]
pub(super) struct Constants {
    words: Vec<Word>,
    scalars: BTreeMap<Word, u32>,
    runs: Vec<(Run, u32)>,
}

impl Constants {
    pub(super) fn words(&self) -> &[Word] {
        &self.words
    }

    fn word(&mut self, word: Word) -> u32 {
        if let Some(&at) = self.scalars.get(&word) {
            return at;
        }
        let at = self.push([word]);
        self.scalars.insert(word, at);
        at
    }

    fn push(&mut self, words: impl IntoIterator<Item = Word>) -> u32 {
        let at = FLAG + self.words.len() as u32;
        self.words.extend(words);
        at
    }

    fn run(&mut self, run: Run, words: impl FnOnce() -> Vec<Word>) -> u32 {
        if let Some((_, at)) = self.runs.iter().find(|(r, _)| *r == run) {
            return *at;
        }
        let at = self.push(words());
        self.runs.push((run, at));
        at
    }

    /// The address of a parameter's values.
    pub(super) fn param(&mut self, model: &Model, id: ParamId) -> u32 {
        self.run(Run::Param(id), || model.param(id).iter().map(|&n| Word::Int(n)).collect())
    }

    /// The address and step of the constants of a requantiser with results of type `ty`.
    pub(super) fn requantiser(
        &mut self,
        model: &Model,
        mul: Scalar,
        shift: Scalar,
        ty: VecTy,
    ) -> (u32, u32) {
        let bits = ty.elem.bits;
        let word = |i: usize| Word::Requant {
            mul: scalar(model, mul, i),
            // The verifier holds it to 0..=62.
            shift: scalar(model, shift, i) as u32,
            bits,
        };
        match (mul, shift) {
            (Scalar::Const(_), Scalar::Const(_)) => (self.word(word(0)), 0),
            _ => {
                let run = Run::Requant(mul, shift, bits);
                (self.run(run, || (0..ty.len).map(word).collect()), 1)
            }
        }
    }

    /// The address of the scales of group `group` of an integer weight, one per row.
    pub(super) fn scales(&mut self, model: &Model, weight: WeightId, group: usize) -> u32 {
        self.run(Run::Scales(weight, group), || match model.weight(weight) {
            WeightView::Int(v) => (0..v.rows()).map(|r| Word::Int(v.scale(r, group))).collect(),
            _ => Vec::new(),
        })
    }
}

fn scalar(model: &Model, s: Scalar, i: usize) -> i64 {
    match s {
        Scalar::Const(n) => n,
        Scalar::Param(p) => model.param(p)[i],
    }
}
