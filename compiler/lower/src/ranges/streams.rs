//! Accumulators of the bank units on intervals, and what is collected from them.

use super::{join, or_zero, plus, Content, Extent, Prover, Split, WeightType, WeightView, Wide};
use crate::supermask::{sign_key, MaskRow, RowGenerator};
use pimc_ir::ranges::{int_rows, pq_rows, Interval, MaskInputs, RowSums};
use pimc_ir::{OpKind, SupermaskView};
use rayon::prelude::*;

/// w * x.
pub(super) fn scaled(w: i128, x: Wide) -> Wide {
    let (a, b) = (w.saturating_mul(x.0), w.saturating_mul(x.1));
    (a.min(b), a.max(b))
}

/// A sum: what it is in the end, and what it is on the way.
#[derive(Clone, Copy)]
pub(super) struct Running {
    pub(super) end: Wide,
    pub(super) any: Wide,
}

impl Running {
    pub(super) const ZERO: Running = Running { end: (0, 0), any: (0, 0) };

    pub(super) fn add(&mut self, term: Wide) {
        self.end = plus(self.end, term);
        self.any = plus(self.any, or_zero(term));
    }
}

pub(super) fn sum(terms: impl Iterator<Item = Wide>) -> Running {
    let mut running = Running::ZERO;
    terms.for_each(|t| running.add(t));
    running
}

/// Intervals of the words that a matvec reads; its inputs have at most 32 bits.
pub(super) fn narrow(x: &[Wide]) -> Vec<Interval> {
    x.iter().map(|x| (x.0 as i64, x.1 as i64)).collect()
}

impl Prover<'_> {
    /// All columns of a stream of a matvec whose inputs lie at `x`.
    pub(super) fn stream(&mut self, op: usize, stream: usize, x: usize) {
        let mapping = self.mapping;
        let place = &mapping.streams[stream];
        let model = self.model;
        let inputs = |n: usize| self.memory[x..x + n].to_vec();
        match (place.view(model), place.content) {
            (WeightView::Pq(v), Content::Codebook) => {
                let (sub, k) = (v.sub(), v.k());
                // A component and an input are bytes, so 64 bits hold the sums.
                let x = narrow(&inputs(v.parts() * sub));
                let entry = |i: usize| {
                    let (s, j) = (i / k, i % k);
                    let terms = v.centroid_bytes(s, j).iter().zip(&x[s * sub..]);
                    let ends = terms.fold((0, 0), |sum: Interval, (&c, &x)| {
                        let (a, b) = (i64::from(c as i8) * x.0, i64::from(c as i8) * x.1);
                        (sum.0 + a.min(b), sum.1 + a.max(b))
                    });
                    (i128::from(ends.0), i128::from(ends.1))
                };
                self.tables = (0..v.parts() * k).into_par_iter().map(entry).collect();
                let entries = self.tables.iter().copied().fold((0, 0), join);
                let none = (Extent::NONE, Extent::NONE);
                self.proof.lookups.entry((k, sub)).or_insert(none).0.add(entries, op);
            }
            (WeightView::Pq(v), _) => {
                let share = match place.split {
                    Split::Rows => v.parts(),
                    Split::Inputs => place.inputs as usize / v.sub(),
                };
                let known = self.tables.iter().all(|&e| or_zero(e) == e);
                let whole = place.len as usize == model.module.weights[place.weight.0].ty.cols();
                let whole = whole && share == v.parts();
                let sums = match self.verified(op, x, whole && known) {
                    Some(sums) => sums,
                    None => pq_rows(&v, &self.tables, share),
                };
                self.rows(op, &sums);
                let none = (Extent::NONE, Extent::NONE);
                self.proof.lookups.entry((v.k(), v.sub())).or_insert(none).1.add(sums.share, op);
            }
            (WeightView::Bqq(v), _) => {
                let x = inputs(v.cols());
                self.blocks(op, &v, &x);
            }
            (WeightView::Supermask(v), _) => {
                let x = narrow(&inputs(v.cols()));
                let ty = model.module.weights[place.weight.0].ty;
                let sums = mask_rows(&v, &ty, &x);
                self.rows(op, &sums);
                self.proof.gated.add(sums.share, op);
            }
            (WeightView::Int(v), content) => {
                let size = v.group().unwrap_or(v.cols());
                let first = match content {
                    Content::Int { group } => group * size,
                    _ => 0,
                };
                let share = match place.split {
                    Split::Rows => size,
                    Split::Inputs => place.inputs as usize,
                };
                let words = inputs(size);
                let known = words.iter().all(|&x| or_zero(x) == x);
                let sums = match self.verified(op, x, v.group().is_none() && share == size && known)
                {
                    Some(sums) => sums,
                    None => int_rows(&v, first, &narrow(&words), share),
                };
                self.rows(op, &sums);
                self.proof.mac.add(sums.share, op);
            }
        }
        // The next stream need not find the pages of this one in memory.
        model.release(place.weight);
    }

    /// The sums that the verifier found, where they are those of op's stream: of `whole` rows, no
    /// term of which is to one side of 0, and from inputs that vector memory has at `x` with the very
    /// ranges that the verifier took.
    fn verified(&self, op: usize, x: usize, whole: bool) -> Option<RowSums> {
        let func = &self.model.module.func;
        let OpKind::Matvec { x: value, .. } = func.ops[op].kind else { return None };
        if !whole {
            return None;
        }
        let wide = |r: &Interval| (i128::from(r.0), i128::from(r.1));
        let inputs = self.model.range(value);
        let same = inputs.iter().map(wide).eq(self.memory[x..x + inputs.len()].iter().copied());
        same.then(|| {
            let rows: Vec<Wide> = self.model.range(func.value_of_op(op)).iter().map(wide).collect();
            let all = rows.iter().copied().fold((0, 0), join);
            RowSums { rows, share: all, total: all }
        })
    }

    /// Takes the sums of a stream's rows: of the shares in the banks' accumulators, and of the rows
    /// that are collected from them.
    fn rows(&mut self, op: usize, sums: &RowSums) {
        let acc = &mut self.proof.ops[op].acc;
        *acc = Some(acc.map_or(sums.share, |a| join(a, sums.share)));
        // The tree of adders sums the banks in some order.
        self.running(op, sums.total);
        for (r, &end) in sums.rows.iter().enumerate() {
            self.collected(r, end);
        }
    }

    /// Writes element `r` of what is collected.
    pub(super) fn collected(&mut self, r: usize, end: Wide) {
        if let Some((task, v, known)) = self.collect {
            self.write(task, v.d as usize + r, end, known, r);
        }
    }
}

/// Sums along the rows of a supermask, with the signs that are generated for it.
fn mask_rows(v: &SupermaskView<'_>, ty: &WeightType, x: &[Interval]) -> RowSums {
    let key = match *ty {
        WeightType::Supermask { seed, layer, .. } => sign_key(seed, layer),
        _ => 0,
    };
    let ends = MaskInputs::new(x);
    let wider: Vec<Interval> = x.iter().map(|x| (x.0.min(0), x.1.max(0))).collect();
    let prefixes = (wider != x).then(|| MaskInputs::new(&wider));
    let row = |r: usize| -> (Wide, Wide) {
        let mut signs = RowGenerator::new(key, r as u32);
        let (mut end, mut any) = ((0, 0), (0, 0));
        let mut mask = MaskRow::new(v, ty, r);
        for group in 0..v.cols().div_ceil(64) {
            let minus = signs.group();
            mask.group(group, |word| {
                ends.add(group, word & !minus, word & minus, &mut end);
                if let Some(prefixes) = &prefixes {
                    prefixes.add(group, word & !minus, word & minus, &mut any);
                }
            });
        }
        let wide = |r: Interval| (i128::from(r.0), i128::from(r.1));
        (wide(end), if prefixes.is_some() { wide(any) } else { wide(end) })
    };
    let rows: Vec<(Wide, Wide)> = (0..v.rows()).into_par_iter().map(row).collect();
    let share = rows.iter().map(|r| r.1).fold((0, 0), join);
    let total = rows.iter().map(|r| or_zero(r.0)).fold((0, 0), join);
    RowSums { rows: rows.into_iter().map(|r| r.0).collect(), share, total }
}
