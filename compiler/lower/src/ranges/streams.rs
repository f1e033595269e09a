//! Accumulators of the bank units on intervals.

use super::{
    join, or_zero, plus, Content, EffectiveMask, Extent, Prover, WeightType, WeightView, Wide,
};
use crate::mapping::StreamPlace;
use crate::supermask::{sign_key, RowGenerator};

/// w * x.
fn scaled(w: i64, x: Wide) -> Wide {
    let (a, b) = (i128::from(w) * x.0, i128::from(w) * x.1);
    (a.min(b), a.max(b))
}

/// A sum: what it is in the end, and what it is on the way.
#[derive(Clone, Copy)]
struct Running {
    end: Wide,
    any: Wide,
}

impl Running {
    const ZERO: Running = Running { end: (0, 0), any: (0, 0) };

    fn add(&mut self, term: Wide) {
        self.end = plus(self.end, term);
        self.any = plus(self.any, or_zero(term));
    }
}

fn sum(terms: impl Iterator<Item = Wide>) -> Running {
    let mut running = Running::ZERO;
    terms.for_each(|t| running.add(t));
    running
}

impl Prover<'_> {
    /// All columns of a stream, with what was loaded last as x.
    pub(super) fn stream(&mut self, op: usize, stream: usize) {
        let mapping = self.mapping;
        let place = &mapping.streams[stream];
        match (self.model.weight(place.weight), place.content) {
            (WeightView::Pq(v), Content::Codebook) => {
                let (sub, k) = (v.sub(), v.k());
                let x = &self.loaded;
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
                let rows: Vec<Running> = (0..v.rows())
                    .map(|r| sum((0..v.parts()).map(|s| self.tables[s * v.k() + v.code(r, s)])))
                    .collect();
                let any = self.rows(op, &rows);
                let none = (Extent::NONE, Extent::NONE);
                self.proof.lookups.entry((v.k(), v.sub())).or_insert(none).1.add(any, op);
            }
            (WeightView::Bqq(v), Content::BqqB { bc }) => {
                let l = v.inner();
                let rows: Vec<Running> = (0..place.matrix_rows as usize)
                    .map(|row| {
                        let (br, i, k) = (row / l / v.bases(), row / l % v.bases(), row % l);
                        self.signed(|j| v.b(i, br, bc, k, j))
                    })
                    .collect();
                let any = self.rows(op, &rows);
                self.proof.gated.add(any, op);
            }
            (WeightView::Bqq(v), Content::BqqA { br, bc, basis }) => {
                let rows: Vec<Running> = (0..v.block_rows())
                    .map(|a| self.signed(|k| v.a(basis, br, bc, a, k)))
                    .collect();
                self.ones = (0..v.block_rows())
                    .map(|a| (0..v.inner()).map(|k| u32::from(v.a(basis, br, bc, a, k))).sum())
                    .collect();
                let any = self.rows(op, &rows);
                self.proof.gated.add(any, op);
            }
            (WeightView::Supermask(v), _) => {
                let ty = self.model.module.weights[place.weight.0].ty;
                let key = match ty {
                    WeightType::Supermask { seed, layer, .. } => sign_key(seed, layer),
                    _ => 0,
                };
                let mask =
                    self.masks.entry(place.weight).or_insert_with(|| EffectiveMask::new(&v, &ty));
                let x = &self.loaded;
                let rows: Vec<Running> = (0..v.rows())
                    .map(|r| {
                        let mut generator = RowGenerator::new(key, r as u32);
                        let mut signs = 0;
                        sum(x.iter().enumerate().map(|(c, &x)| {
                            if c % 64 == 0 {
                                signs = generator.group();
                            }
                            let weight = i64::from(mask.coats(r, c));
                            scaled(if signs >> (c % 64) & 1 == 1 { -weight } else { weight }, x)
                        }))
                    })
                    .collect();
                let any = self.rows(op, &rows);
                self.proof.gated.add(any, op);
            }
            (WeightView::Int(v), content) => {
                let first = match content {
                    Content::Int { group } => group * v.group().unwrap_or(0),
                    _ => 0,
                };
                let x = &self.loaded;
                let rows: Vec<Running> = (0..v.rows())
                    .map(|r| sum(x.iter().enumerate().map(|(c, &x)| scaled(v.q(r, first + c), x))))
                    .collect();
                let any = self.rows(op, &rows);
                self.proof.mac.add(any, op);
            }
            // A BQQ weight has no other streams.
            (WeightView::Bqq(_), _) => {}
        }
    }

    /// One row of signs over what was loaded.
    fn signed(&self, plus: impl Fn(usize) -> bool) -> Running {
        sum(self.loaded.iter().enumerate().map(|(j, &x)| if plus(j) { x } else { (-x.1, -x.0) }))
    }

    /// Takes the results of a stream; returns what the accumulator can be.
    fn rows(&mut self, op: usize, rows: &[Running]) -> Wide {
        self.sums = rows.iter().map(|r| r.end).collect();
        let any = rows.iter().map(|r| r.any).fold((0, 0), join);
        let acc = &mut self.proof.ops[op].acc;
        *acc = Some(acc.map_or(any, |a| join(a, any)));
        any
    }

    /// A sum of results of a stream of B rows over the inputs at `x`, which is the dot product of x
    /// and the rows' column sums: any prefix of it, and the whole.
    pub(super) fn row_sum(&self, stream: usize, first: usize, rows: usize, x: u32) -> (Wide, Wide) {
        let place: &StreamPlace = &self.mapping.streams[stream];
        let (WeightView::Bqq(v), Content::BqqB { bc }) =
            (self.model.weight(place.weight), place.content)
        else {
            return ((0, 0), (0, 0));
        };
        let (n, l) = (v.block_cols(), v.inner());
        let x = &self.memory[x as usize..x as usize + n];
        let mut columns = vec![0i64; n];
        let (mut prefix, mut end) = ((0, 0), (0, 0));
        for row in first..first + rows {
            let (br, i, k) = (row / l / v.bases(), row / l % v.bases(), row % l);
            for (j, column) in columns.iter_mut().enumerate() {
                *column += if v.b(i, br, bc, k, j) { 1 } else { -1 };
            }
            end = sum(columns.iter().zip(x).map(|(&w, &x)| scaled(w, x))).end;
            prefix = join(prefix, end);
        }
        (prefix, end)
    }
}
