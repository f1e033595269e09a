//! Accumulators of the bank units on intervals, and what is collected from them.

use super::{
    join, or_zero, plus, Content, EffectiveMask, Extent, Prover, Split, WeightType, WeightView,
    Wide,
};
use crate::supermask::{sign_key, RowGenerator};

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

impl Prover<'_> {
    /// All columns of a stream of a matvec whose inputs lie at `x`.
    pub(super) fn stream(&mut self, op: usize, stream: usize, x: usize) {
        let mapping = self.mapping;
        let place = &mapping.streams[stream];
        let model = self.model;
        let inputs = |n: usize| self.memory[x..x + n].to_vec();
        match (model.weight(place.weight), place.content) {
            (WeightView::Pq(v), Content::Codebook) => {
                let (sub, k) = (v.sub(), v.k());
                let x = inputs(v.parts() * sub);
                self.tables = (0..v.parts() * k)
                    .map(|i| {
                        let (s, j) = (i / k, i % k);
                        let terms =
                            (0..sub).map(|d| scaled(v.centroid(s, j, d).into(), x[s * sub + d]));
                        sum(terms).end
                    })
                    .collect();
                let none = (Extent::NONE, Extent::NONE);
                let unit = self.proof.lookups.entry((k, sub)).or_insert(none);
                self.tables.iter().for_each(|&entry| unit.0.add(entry, op));
            }
            (WeightView::Pq(v), _) => {
                let parts = place.inputs as usize / v.sub();
                let term = |r: usize, s: usize| self.tables[s * v.k() + v.code(r, s)];
                let rows = shares(place.split, v.rows(), v.parts(), parts, term);
                let any = self.rows(op, &rows);
                let none = (Extent::NONE, Extent::NONE);
                self.proof.lookups.entry((v.k(), v.sub())).or_insert(none).1.add(any, op);
            }
            (WeightView::Bqq(v), _) => {
                let x = inputs(v.cols());
                self.blocks(op, &v, &x);
            }
            (WeightView::Supermask(v), _) => {
                let x = inputs(v.cols());
                let ty = model.module.weights[place.weight.0].ty;
                let key = match ty {
                    WeightType::Supermask { seed, layer, .. } => sign_key(seed, layer),
                    _ => 0,
                };
                let mask =
                    self.masks.entry(place.weight).or_insert_with(|| EffectiveMask::new(&v, &ty));
                let rows: Vec<Vec<Running>> = (0..v.rows())
                    .map(|r| {
                        let mut generator = RowGenerator::new(key, r as u32);
                        let mut signs = 0;
                        let running = sum(x.iter().enumerate().map(|(c, &x)| {
                            if c % 64 == 0 {
                                signs = generator.group();
                            }
                            let weight = i128::from(mask.coats(r, c));
                            scaled(if signs >> (c % 64) & 1 == 1 { -weight } else { weight }, x)
                        }));
                        vec![running]
                    })
                    .collect();
                let any = self.rows(op, &rows);
                self.proof.gated.add(any, op);
            }
            (WeightView::Int(v), content) => {
                let size = v.group().unwrap_or(v.cols());
                let first = match content {
                    Content::Int { group } => group * size,
                    _ => 0,
                };
                let x = inputs(size);
                let term = |r: usize, c: usize| scaled(v.q(r, first + c).into(), x[c]);
                let rows = shares(place.split, v.rows(), size, place.inputs as usize, term);
                let any = self.rows(op, &rows);
                self.proof.mac.add(any, op);
            }
        }
    }

    /// Takes the sums of a stream's rows, one for each bank that has a share of the row; collects
    /// the rows, and returns what an accumulator can be.
    fn rows(&mut self, op: usize, rows: &[Vec<Running>]) -> Wide {
        let any = rows.iter().flatten().map(|r| r.any).fold((0, 0), join);
        let acc = &mut self.proof.ops[op].acc;
        *acc = Some(acc.map_or(any, |a| join(a, any)));
        for (r, banks) in rows.iter().enumerate() {
            // The tree of adders sums the banks in some order.
            let total = sum(banks.iter().map(|b| b.end));
            self.collected(op, r, total);
        }
        any
    }

    /// Writes element `r` of what is collected.
    pub(super) fn collected(&mut self, op: usize, r: usize, total: Running) {
        self.running(op, total.any);
        if let Some((task, v, known)) = self.collect {
            self.write(task, v.d as usize + r, total.end, known, r);
        }
    }
}

/// The sums of each row over the shares of the banks, `share` of the `terms` to a bank.
fn shares(
    split: Split,
    rows: usize,
    terms: usize,
    share: usize,
    term: impl Fn(usize, usize) -> Wide,
) -> Vec<Vec<Running>> {
    let share = match split {
        Split::Rows => terms,
        Split::Inputs => share,
    };
    let starts = || (0..terms).step_by(share.max(1));
    let bank = |r, start: usize| sum((start..terms.min(start + share)).map(|i| term(r, i)));
    (0..rows).map(|r| starts().map(|start| bank(r, start)).collect()).collect()
}
