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

/// A linear map and its inverse transposed, both dim x dim, row major.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    /// Elements of a vector.
    pub dim: usize,
    /// The map.
    pub map: Vec<f64>,
    /// Its inverse transposed.
    pub dual: Vec<f64>,
}

/// Eigenvalues below this share of the mean count as this share.
const FLOOR: f64 = 1e-6;

impl Basis {
    /// The identity.
    pub fn identity(dim: usize) -> Basis {
        let map: Vec<f64> = (0..dim * dim).map(|at| f64::from(at / dim == at % dim)).collect();
        Basis { dim, dual: map.clone(), map }
    }

    /// The map of every vector of `vectors`.
    pub fn mapped(&self, vectors: &[f32]) -> Vec<f32> {
        apply(&self.map, vectors, self.dim)
    }

    /// The inverse transposed map of every vector.
    pub fn dual_of(&self, vectors: &[f32]) -> Vec<f32> {
        apply(&self.dual, vectors, self.dim)
    }

    /// The inverse map of every vector.
    pub fn undone(&self, vectors: &[f32]) -> Vec<f32> {
        apply(&self.inverse(), vectors, self.dim)
    }

    /// The inverse map.
    pub fn inverse(&self) -> Vec<f64> {
        transpose(&self.dual, self.dim)
    }

    /// For each sub-vector of `sub` elements the root of its block of `moment` (dim x dim).
    fn roots_of_blocks(moment: &[f64], dim: usize, sub: usize) -> Basis {
        let mut all = Basis { dim, map: vec![0.0; dim * dim], dual: vec![0.0; dim * dim] };
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

    /// This map and then `next`.
    fn then(&self, next: &Basis) -> Basis {
        Basis {
            dim: self.dim,
            map: product(&next.map, &self.map, self.dim),
            dual: product(&next.dual, &self.dual, self.dim),
        }
    }
}

/// The basis of the keys of `head`.
pub fn key_basis(head: &Head, weights: &[f64], sub: usize, kind: BasisKind) -> Basis {
    let dim = head.dim;
    match kind {
        BasisKind::Model => Basis::identity(dim),
        BasisKind::Metric => query_roots(head, sub),
        BasisKind::Rotated => {
            let metric = query_roots(head, dim);
            let spread = covariance(&metric.mapped(&head.keys), weights, dim);
            metric.then(&dealt_out(&spread, dim, sub))
        }
    }
}

/// The basis of the values of `head`.
pub fn value_basis(head: &Head, weights: &[f64], sub: usize, kind: BasisKind) -> Basis {
    match kind {
        BasisKind::Model | BasisKind::Metric => Basis::identity(head.dim),
        BasisKind::Rotated => {
            dealt_out(&covariance(&head.values, weights, head.dim), head.dim, sub)
        }
    }
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

fn covariance(points: &[f32], weights: &[f64], dim: usize) -> Vec<f64> {
    let total: f64 = weights.iter().sum();
    let mut mean = vec![0.0; dim];
    for (p, w) in points.chunks_exact(dim).zip(weights) {
        mean.iter_mut().zip(p).for_each(|(m, &v)| *m += w * f64::from(v) / total);
    }
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
    Basis { dim: n, map: of(&f64::sqrt), dual: of(&|v| v.sqrt().recip()) }
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
    // From the largest on, each to the sub-vector of least product that has room.
    let mut parts: Vec<(f64, Vec<usize>)> = vec![(0.0, Vec::new()); dim / sub];
    for e in order {
        let open = parts.iter_mut().filter(|p| p.1.len() < sub);
        if let Some(part) = open.min_by(|a, b| a.0.total_cmp(&b.0)) {
            part.0 += values[e].max(FLOOR).ln();
            part.1.push(e);
        }
    }
    let rows = parts.iter().flat_map(|p| &p.1);
    let map: Vec<f64> = rows
        .flat_map(|&e| (0..dim).map(move |i| (i, e)))
        .map(|(i, e)| vectors[i * dim + e])
        .collect();
    Basis { dim, dual: map.clone(), map }
}

fn apply(map: &[f64], vectors: &[f32], dim: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(vectors.len());
    for x in vectors.chunks_exact(dim) {
        for row in map.chunks_exact(dim) {
            out.push(row.iter().zip(x).map(|(a, &b)| a * f64::from(b)).sum::<f64>() as f32);
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
