//! The constants of a model in vector memory, each once.

use pimc_ir::{IntTy, Model, OpKind, ParamId, Scalar, WeightId, WeightView};
use std::collections::BTreeMap;

/// Marks an address that counts from the constants' base, which is known only at the end. Values
/// and byte counts stay below it.
pub(super) const FLAG: u32 = 1 << 31;

/// Fields of a requantiser word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequantFields {
    /// Width of mul (signed).
    pub(crate) mul_bits: u32,
    /// Width of shift (unsigned).
    pub(crate) shift_bits: u32,
    /// Width of the widest result (signed).
    pub(crate) out_bits: u32,
}

/// What a run of constants is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Run {
    Param(ParamId),
    Requant(Scalar, Scalar),
    Scales(WeightId, usize),
}

/// Constants placed so far.
pub(super) struct Constants {
    words: Vec<i64>,
    scalars: BTreeMap<i64, u32>,
    runs: Vec<(Run, u32)>,
    requant: Option<RequantFields>,
}

impl Constants {
    pub(super) fn new(model: &Model) -> Constants {
        Constants {
            words: Vec::new(),
            scalars: BTreeMap::new(),
            runs: Vec::new(),
            requant: requant_fields(model),
        }
    }

    pub(super) fn words(&self) -> &[i64] {
        &self.words
    }

    pub(super) fn requant(&self) -> Option<RequantFields> {
        self.requant
    }

    /// The address of a word.
    pub(super) fn scalar(&mut self, word: i64) -> u32 {
        if let Some(&at) = self.scalars.get(&word) {
            return at;
        }
        let at = self.push(&[word]);
        self.scalars.insert(word, at);
        at
    }

    fn push(&mut self, words: &[i64]) -> u32 {
        let at = FLAG + self.words.len() as u32;
        self.words.extend_from_slice(words);
        at
    }

    fn run(&mut self, run: Run, words: impl FnOnce() -> Vec<i64>) -> u32 {
        if let Some((_, at)) = self.runs.iter().find(|(r, _)| *r == run) {
            return *at;
        }
        let at = self.push(&words());
        self.runs.push((run, at));
        at
    }

    /// The address of a parameter's values.
    pub(super) fn param(&mut self, model: &Model, id: ParamId) -> u32 {
        self.run(Run::Param(id), || model.param(id).to_vec())
    }

    /// The address and step of a requantiser's constants: mul in the low bits, shift above.
    pub(super) fn requantiser(
        &mut self,
        model: &Model,
        mul: Scalar,
        shift: Scalar,
        len: usize,
    ) -> (u32, u32) {
        let bits = self.requant.map_or(1, |r| r.mul_bits);
        let word = |i: usize| {
            let low = scalar(model, mul, i) & ((1i64 << bits) - 1);
            scalar(model, shift, i) << bits | low
        };
        match (mul, shift) {
            (Scalar::Const(_), Scalar::Const(_)) => (self.scalar(word(0)), 0),
            _ => (self.run(Run::Requant(mul, shift), || (0..len).map(word).collect()), 1),
        }
    }

    /// The address of the scales of group `group` of an integer weight, one per row.
    pub(super) fn scales(&mut self, model: &Model, weight: WeightId, group: usize) -> u32 {
        self.run(Run::Scales(weight, group), || match model.weight(weight) {
            WeightView::Int(v) => (0..v.rows()).map(|r| v.scale(r, group)).collect(),
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

/// The narrowest fields that hold every requantiser of the model.
fn requant_fields(model: &Model) -> Option<RequantFields> {
    let func = &model.module.func;
    let mut fields: Option<RequantFields> = None;
    for (i, op) in func.ops.iter().enumerate() {
        let OpKind::Requant { mul, shift, .. } = op.kind else { continue };
        let ty = func.values[func.value_of_op(i).0].ty;
        let f = fields.get_or_insert(RequantFields { mul_bits: 1, shift_bits: 1, out_bits: 1 });
        f.out_bits = f.out_bits.max(ty.elem.bits);
        for e in 0..ty.len {
            let (mul, shift) = (scalar(model, mul, e), scalar(model, shift, e));
            let bits = IntTy::spanning(mul.into(), mul.into()).map_or(64, |t| t.bits);
            f.mul_bits = f.mul_bits.max(bits);
            f.shift_bits = f.shift_bits.max(64 - shift.leading_zeros());
        }
    }
    fields
}
