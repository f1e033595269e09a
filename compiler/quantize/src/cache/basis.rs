//! The basis in which keys and values are cut into sub-vectors.
//!
//! A head's scores are the same for the keys A k and the queries A^-T q, whatever A is, and its
//! results are B^-1 of those for the values B v. So the basis is free: the projections that make
//! queries, keys and values, and the one that takes the results, absorb it. (Not where positions
//! rotate queries and keys after their projection: there A must be the identity.)

use crate::cache::heads::Head;
use crate::linalg::eigen;

/// Which basis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BasisKind {
    /// That of the model.
    Model,
    /// Of the keys each sub-vector's own: the one in which the queries' second moment is 1, so that
    /// the nearest centroid is the one of least error of the scores.
    Metric,
    /// Of all elements of keys and of values: uncorrelated after the metric, and dealt out to the
    /// sub-vectors so that the products of their variances are alike (OPQ, Ge et al. 2013).
    Rotated,
}

/// A linear map and its inverse transposed, both dim x dim, row major, and what is taken off behind the
/// map. To the scores of keys an offset adds the same for all tokens, which the softmax does not see;
/// that of values is in the results again.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    /// Elements of a vector.
    pub dim: usize,
    /// The map.
    pub map: Vec<f64>,
    /// Its inverse transposed.
    pub dual: Vec<f64>,
    /// The offset.
    pub offset: Vec<f64>,
}

/// Eigenvalues below this share of the mean count as this share.
const FLOOR: f64 = 1e-6;

impl Basis {
    /// The identity.
    pub fn identity(dim: usize) -> Basis {
        let map: Vec<f64> = (0..dim * dim).map(|at| f64::from(at / dim == at % dim)).collect();
        Basis { dim, dual: map.clone(), map, offset: vec![0.0; dim] }
    }

    /// The map of every vector of `vectors`, less the offset.
    pub fn mapped(&self, vectors: &[f32]) -> Vec<f32> {
        apply(&self.map, vectors, &vec![0.0; self.dim], &self.offset)
    }

    /// The inverse transposed map of every vector.
    pub fn dual_of(&self, vectors: &[f32]) -> Vec<f32> {
        let zero = vec![0.0; self.dim];
        apply(&self.dual, vectors, &zero, &zero)
    }

    /// The inverse map of every vector and the offset.
    pub fn undone(&self, vectors: &[f32]) -> Vec<f32> {
        apply(&self.inverse(), vectors, &self.offset, &vec![0.0; self.dim])
    }

    /// The inverse map.
    pub fn inverse(&self) -> Vec<f64> {
        transpose(&self.dual, self.dim)
    }

    /// For each sub-vector of `sub` elements the root of its block of `moment` (dim x dim).
    fn roots_of_blocks(moment: &[f64], dim: usize, sub: usize) -> Basis {
        let mut all = Basis {
            dim,
            map: vec![0.0; dim * dim],
            dual: vec![0.0; dim * dim],
            offset: vec![0.0; dim],
        };
        for first in (0..dim).step_by(sub) {
            let at = |i: usize| (first + i / sub) * dim + first + i % sub;
            let block: Vec<f64> = (0..sub * sub).map(|i| moment[at(i)]).collect();
            let root = root(&block, sub);
            for i in 0..sub * sub {
                all.map[at(i)] = root.map[i];
                all.dual[at(i)] = root.dual[i];
            }
        }
        all
    }

    /// With the weighted mean of `vectors` as the offset.
    fn centred(mut self, vectors: &[f32], weights: &[f64]) -> Basis {
        self.offset = mean(&self.mapped(vectors), weights, self.dim);
        self
    }

    /// With a factor for every sub-vector, which changes no nearest centroid: values are then of one size in
    /// all sub-vectors, and keys as large as the `queries` that they meet. So 8 bits do for all of them.
    fn balanced(mut self, vectors: &[f32], queries: Option<&[Vec<f32>]>, sub: usize) -> Basis {
        let dim = self.dim;
        let zero = vec![0.0; dim];
        let middle = mean(&self.mapped(vectors), &vec![1.0; vectors.len() / dim], dim);
        let own = sizes(&apply(&self.map, vectors, &zero, &middle), dim, sub);
        let met = match queries {
            None => vec![1.0; dim / sub],
            Some(all) => {
                let each = all.iter().map(|q| sizes(&self.dual_of(q), dim, sub));
                each.fold(vec![0.0; dim / sub], |a, b| {
                    a.iter().zip(b).map(|(a, b)| f64::max(*a, b)).collect()
                })
            }
        };
        for (part, (own, met)) in own.iter().zip(met).enumerate() {
            let ratio = met / own;
            // Of what is zero all over any factor will do.
            if ratio.is_normal() {
                let factor = if queries.is_some() { ratio.sqrt() } else { ratio };
                let rows = part * sub * dim..(part + 1) * sub * dim;
                self.map[rows.clone()].iter_mut().for_each(|v| *v *= factor);
                self.dual[rows].iter_mut().for_each(|v| *v /= factor);
            }
        }
        self
    }

    /// This map and then `next`, without offsets.
    fn then(&self, next: &Basis) -> Basis {
        Basis {
            dim: self.dim,
            map: product(&next.map, &self.map, self.dim),
            dual: product(&next.dual, &self.dual, self.dim),
            offset: vec![0.0; self.dim],
        }
    }
}

/// The largest magnitude in every sub-vector.
fn sizes(vectors: &[f32], dim: usize, sub: usize) -> Vec<f64> {
    let mut sizes = vec![0.0f64; dim / sub];
    for v in vectors.chunks_exact(dim) {
        for (size, part) in sizes.iter_mut().zip(v.chunks_exact(sub)) {
            *size = part.iter().fold(*size, |s, x| s.max(f64::from(x.abs())));
        }
    }
    sizes
}

/// The basis of the keys of `head`.
pub fn key_basis(head: &Head, weights: &[f64], sub: usize, kind: BasisKind) -> Basis {
    let dim = head.dim;
    let basis = match kind {
        BasisKind::Model => Basis::identity(dim),
        BasisKind::Metric => query_roots(head, sub),
        BasisKind::Rotated => {
            let metric = query_roots(head, dim);
            let spread = covariance(&metric.mapped(&head.keys), weights, dim);
            metric.then(&dealt_out(&spread, dim, sub))
        }
    };
    let balanced = basis.balanced(&head.keys, Some(&head.queries), sub);
    balanced.centred(&head.keys, weights)
}

/// The basis of the values of `head`.
pub fn value_basis(head: &Head, weights: &[f64], sub: usize, kind: BasisKind) -> Basis {
    let basis = match kind {
        BasisKind::Model | BasisKind::Metric => Basis::identity(head.dim),
        BasisKind::Rotated => {
            dealt_out(&covariance(&head.values, weights, head.dim), head.dim, sub)
        }
    };
    basis.balanced(&head.values, None, sub).centred(&head.values, weights)
}

/// The roots of the queries' second moment, block by block.
pub fn query_roots(head: &Head, sub: usize) -> Basis {
    let dim = head.dim;
    let mut moment = vec![0.0; dim * dim];
    for q in head.queries.iter().flat_map(|all| all.chunks_exact(dim)) {
        add_square(&mut moment, q, 1.0);
    }
    Basis::roots_of_blocks(&moment, dim, sub)
}

/// moment += w x x'.
fn add_square(moment: &mut [f64], x: &[f32], w: f64) {
    for (row, &a) in moment.chunks_exact_mut(x.len()).zip(x) {
        let a = w * f64::from(a);
        row.iter_mut().zip(x).for_each(|(m, &b)| *m += a * f64::from(b));
    }
}

fn mean(points: &[f32], weights: &[f64], dim: usize) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mut mean = vec![0.0; dim];
    for (p, w) in points.chunks_exact(dim).zip(weights) {
        mean.iter_mut().zip(p).for_each(|(m, &v)| *m += w * f64::from(v) / total);
    }
    mean
}

fn covariance(points: &[f32], weights: &[f64], dim: usize) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mean = mean(points, weights, dim);
    let mut moment = vec![0.0; dim * dim];
    for (p, &w) in points.chunks_exact(dim).zip(weights) {
        let off: Vec<f32> = p.iter().zip(&mean).map(|(&v, m)| (f64::from(v) - m) as f32).collect();
        add_square(&mut moment, &off, w / total);
    }
    moment
}

/// The symmetric root of a second moment, at a mean square of 1, and its inverse.
fn root(moment: &[f64], n: usize) -> Basis {
    let trace: f64 = (0..n).map(|i| moment[i * n + i]).sum();
    if trace <= 0.0 || !trace.is_normal() {
        return Basis::identity(n);
    }
    let (values, vectors) = eigen(moment.iter().map(|v| v * n as f64 / trace).collect(), n);
    let of = |f: &dyn Fn(f64) -> f64| -> Vec<f64> {
        let f: Vec<f64> = values.iter().map(|&v| f(v.max(FLOOR))).collect();
        let at = |i: usize, j: usize| -> f64 {
            (0..n).map(|e| vectors[i * n + e] * f[e] * vectors[j * n + e]).sum()
        };
        (0..n * n).map(|x| at(x / n, x % n)).collect()
    };
    Basis { dim: n, map: of(&f64::sqrt), dual: of(&|v| v.sqrt().recip()), offset: vec![0.0; n] }
}

/// The rotation into the eigenvectors of a covariance, dealt out to sub-vectors.
fn dealt_out(covariance: &[f64], dim: usize, sub: usize) -> Basis {
    let trace: f64 = (0..dim).map(|i| covariance[i * dim + i]).sum();
    if trace <= 0.0 || !trace.is_normal() {
        return Basis::identity(dim);
    }
    let (values, vectors) = eigen(covariance.iter().map(|v| v * dim as f64 / trace).collect(), dim);
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    // From the largest on, each to the sub-vector of least product that has room. Sizes are taken
    // relative to the least, so that every one makes its product larger.
    let least = values.iter().fold(f64::INFINITY, |m, v| m.min(*v)).max(FLOOR);
    let mut parts: Vec<(f64, Vec<usize>)> = vec![(0.0, Vec::new()); dim / sub];
    for e in order {
        let open = parts.iter_mut().filter(|p| p.1.len() < sub);
        if let Some(part) = open.min_by(|a, b| a.0.total_cmp(&b.0)) {
            part.0 += (values[e].max(least) / least).ln();
            part.1.push(e);
        }
    }
    // Row r of a sub-vector is the eigenvectors with the signs of a Hadamard matrix: distances are the same,
    // and no element is much larger than the others.
    let mixes = sub.is_power_of_two();
    let mut map = vec![0.0; dim * dim];
    for (at, row) in map.chunks_exact_mut(dim).enumerate() {
        let (part, r) = (&parts[at / sub].1, at % sub);
        for (c, &e) in part.iter().enumerate() {
            let factor = match mixes {
                true if (r & c).count_ones() % 2 == 1 => -(sub as f64).sqrt().recip(),
                true => (sub as f64).sqrt().recip(),
                false => f64::from(r == c),
            };
            row.iter_mut().enumerate().for_each(|(i, v)| *v += factor * vectors[i * dim + e]);
        }
    }
    Basis { dim, dual: map.clone(), map, offset: vec![0.0; dim] }
}

/// map (x + before) - after, of every vector x.
fn apply(map: &[f64], vectors: &[f32], before: &[f64], after: &[f64]) -> Vec<f32> {
    let dim = before.len();
    let mut out = Vec::with_capacity(vectors.len());
    for x in vectors.chunks_exact(dim) {
        let x: Vec<f64> = x.iter().zip(before).map(|(&x, b)| f64::from(x) + b).collect();
        for (row, off) in map.chunks_exact(dim).zip(after) {
            out.push((row.iter().zip(&x).map(|(a, b)| a * b).sum::<f64>() - off) as f32);
        }
    }
    out
}

fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|x| (0..n).map(|k| a[x / n * n + k] * b[k * n + x % n]).sum()).collect()
}

fn transpose(a: &[f64], n: usize) -> Vec<f64> {
    (0..n * n).map(|x| a[x % n * n + x / n]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    const DIM: usize = 8;

    /// Keys and queries with correlated elements of very different sizes.
    fn head() -> Head {
        let mut rng = Rng::new(5);
        let mut vectors = |n: usize, tilt: f32| -> Vec<f32> {
            let one = |rng: &mut Rng| -> Vec<f32> {
                let x: Vec<f32> = (0..DIM).map(|_| rng.normal() as f32).collect();
                (0..DIM).map(|i| x[i] * (1.0 + i as f32) + tilt * x[(i + 3) % DIM]).collect()
            };
            (0..n).flat_map(|_| one(&mut rng)).collect()
        };
        Head {
            dim: DIM,
            queries: vec![vectors(300, 2.0)],
            keys: vectors(300, 3.0),
            values: vectors(300, 5.0),
        }
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
    }

    #[test]
    fn scores_and_values_stay_as_they_are() {
        let head = head();
        let weights = vec![1.0; 300];
        for kind in [BasisKind::Model, BasisKind::Metric, BasisKind::Rotated] {
            let keys = key_basis(&head, &weights, 2, kind);
            let (k, q) = (keys.mapped(&head.keys), keys.dual_of(&head.queries[0]));
            for i in 0..20 {
                let row = |all: &[f32], i: usize| all[i * DIM..][..DIM].to_vec();
                // All scores of a query are off by the same.
                let between = |q: &[f32], k: &[f32]| {
                    dot(&row(q, i), &row(k, 19 - i)) - dot(&row(q, i), &row(k, 30))
                };
                let want = between(&head.queries[0], &head.keys);
                let got = between(&q, &k);
                assert!((want - got).abs() < 1e-3 * (1.0 + want.abs()), "{kind:?}: {want} {got}");
            }
            let mean = mean(&k, &weights, DIM);
            assert!(mean.iter().all(|m| m.abs() < 1e-4), "{mean:?}");
            let values = value_basis(&head, &weights, 2, kind);
            let back = values.undone(&values.mapped(&head.values));
            let off = back.iter().zip(&head.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off < 1e-4, "{kind:?}: {off}");
        }
    }

    #[test]
    fn the_metric_makes_queries_alike_and_the_rotation_makes_keys_uncorrelated() {
        let head = head();
        let weights = vec![1.0; 300];
        let moment = |vectors: &[f32]| -> Vec<f64> {
            let mut m = vec![0.0; DIM * DIM];
            vectors.chunks(DIM).for_each(|x| add_square(&mut m, x, 1.0));
            m
        };
        let metric = key_basis(&head, &weights, 4, BasisKind::Metric);
        let m = moment(&metric.dual_of(&head.queries[0]));
        for (i, j) in (0..4).flat_map(|i| (0..4).map(move |j| (i, j))) {
            let want = if i == j { m[0] } else { 0.0 };
            assert!((m[i * DIM + j] - want).abs() < 1e-3 * m[0], "{m:?}");
        }
        let rotated = key_basis(&head, &weights, 4, BasisKind::Rotated);
        let c = covariance(&rotated.mapped(&head.keys), &weights, DIM);
        // Between the sub-vectors; within them the uncorrelated elements are mixed.
        for (i, j) in (0..4).flat_map(|i| (4..DIM).map(move |j| (i, j))) {
            let size = (c[i * (DIM + 1)] * c[j * (DIM + 1)]).sqrt();
            assert!(c[i * DIM + j].abs() < 1e-3 * size, "{c:?}");
        }
    }

    #[test]
    fn variances_are_dealt_out_to_equal_products() {
        let sizes = [1.0, 32.0, 2.0, 4.0, 16.0, 8.0];
        let covariance: Vec<f64> =
            (0..36).map(|at| if at / 6 == at % 6 { sizes[at / 6] } else { 0.0 }).collect();
        let basis = dealt_out(&covariance, 6, 3);
        let of = |row: &[f64]| row.iter().zip(&sizes).map(|(m, s)| m * m * s).sum::<f64>();
        let product = |part: usize| {
            (0..3).map(|i| of(&basis.map[(3 * part + i) * 6..][..6])).product::<f64>()
        };
        assert!((product(0) * product(1) - 32768.0).abs() < 1e-6);
        assert!((product(0) / product(1)).log2().abs() < 1.01, "{} {}", product(0), product(1));
        // Two elements are mixed: each has the mean of the variances.
        let basis = dealt_out(&[covariance[7], 0.0, 0.0, covariance[35]], 2, 2);
        let mixed = |r: usize| basis.map[2 * r].powi(2) * 32.0 + basis.map[2 * r + 1].powi(2) * 8.0;
        assert!((mixed(0) - 20.0).abs() < 1e-9 && (mixed(1) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn sub_vectors_are_of_one_size() {
        let head = head();
        let weights = vec![1.0; 300];
        let values = value_basis(&head, &weights, 2, BasisKind::Model);
        let all = sizes(&values.mapped(&head.values), DIM, 2);
        assert!(all.iter().all(|s| (s - 1.0).abs() < 1e-3), "{all:?}");
        let keys = key_basis(&head, &weights, 2, BasisKind::Model);
        let k = sizes(&keys.mapped(&head.keys), DIM, 2);
        let q = sizes(&keys.dual_of(&head.queries[0]), DIM, 2);
        assert!(k.iter().zip(&q).all(|(k, q)| (k / q - 1.0).abs() < 1e-3), "{k:?} {q:?}");
    }
}
