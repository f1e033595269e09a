//! Codebooks of one key/value head.

use crate::cache::basis::{key_basis, query_roots, value_basis, Basis, BasisKind};
use crate::cache::heads::{Head, View};
use crate::cache::kmeans::{weighted_k_means, Effort, Nearest};
use crate::random::Rng;

/// How a cache is compressed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CacheSettings {
    /// Elements of a sub-vector; divides those of a key.
    pub sub: usize,
    /// Centroids of a sub-vector.
    pub k: usize,
    /// The basis.
    pub basis: BasisKind,
    /// How long to search.
    pub effort: Effort,
}

/// Codebooks of a head in real numbers, and their bases.
#[derive(Clone, Debug)]
pub struct Codebooks {
    /// Elements of a sub-vector.
    pub sub: usize,
    /// Of keys.
    pub key_basis: Basis,
    /// Of values.
    pub value_basis: Basis,
    /// [dim/sub, k, sub], in the keys' basis.
    pub keys: Vec<f32>,
    /// [dim/sub, k, sub], in the values' basis.
    pub values: Vec<f32>,
    /// How much attention each token of the training got.
    pub mass: Vec<f64>,
}

/// Trains the codebooks of `head`. Tokens count by the attention they get; centroids of keys are those
/// of least error of the scores. `rng` gives the stream of a run: keys or values, part, restart.
pub fn train(
    head: &Head,
    view: &View,
    s: &CacheSettings,
    rng: &dyn Fn(&str, usize, usize) -> Rng,
) -> Codebooks {
    let mass = head.mass(view);
    let key_basis = key_basis(head, &mass, s.sub, s.basis);
    let value_basis = value_basis(head, &mass, s.sub, s.basis);
    let (keys, values) = (key_basis.mapped(&head.keys), value_basis.mapped(&head.values));
    let books = |vectors: &[f32], what: &str| -> Vec<f32> {
        let book = |part: usize| {
            let points = sub_vectors(vectors, head.dim, s.sub, part);
            weighted_k_means(&points, &mass, s.sub, s.k, s.effort, |i| rng(what, part, i))
        };
        (0..head.dim / s.sub).flat_map(book).collect()
    };
    let keys = match s.basis {
        // The bases of the others make the metric that of plain distances.
        BasisKind::Metric | BasisKind::Rotated => books(&keys, "keys"),
        BasisKind::Model => {
            let metric = query_roots(head, s.sub);
            undo_parts(&metric, s, books(&metric.mapped(&keys), "keys"))
        }
    };
    let values = books(&values, "values");
    Codebooks { sub: s.sub, key_basis, value_basis, keys, values, mass }
}

/// Centroids back from a basis that maps every sub-vector for itself.
fn undo_parts(basis: &Basis, s: &CacheSettings, mut books: Vec<f32>) -> Vec<f32> {
    for (part, book) in books.chunks_exact_mut(s.k * s.sub).enumerate() {
        for c in book.chunks_exact_mut(s.sub) {
            let mut whole = vec![0.0; basis.dim];
            whole[part * s.sub..][..s.sub].copy_from_slice(c);
            c.copy_from_slice(&basis.undone(&whole)[part * s.sub..][..s.sub]);
        }
    }
    books
}

impl Codebooks {
    /// Keys and values as the centroids stand for them, in the model's basis.
    pub fn decoded(&self, keys: &[f32], values: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let one = |basis: &Basis, vectors: &[f32], books: &[f32]| {
            basis.undone(&nearest(&basis.mapped(vectors), basis.dim, self.sub, books))
        };
        let keys = one(&self.key_basis, keys, &self.keys);
        (keys, one(&self.value_basis, values, &self.values))
    }
}

/// Sub-vector `part` of every vector.
fn sub_vectors(vectors: &[f32], dim: usize, sub: usize, part: usize) -> Vec<f32> {
    vectors.chunks_exact(dim).flat_map(|v| &v[part * sub..][..sub]).copied().collect()
}

/// Every vector with its sub-vectors replaced by the nearest centroids of `books`.
fn nearest(vectors: &[f32], dim: usize, sub: usize, books: &[f32]) -> Vec<f32> {
    let mut out = vectors.to_vec();
    let mut nearest = Nearest::new(vectors.len() / dim);
    for (part, book) in books.chunks_exact(books.len() / (dim / sub)).enumerate() {
        nearest.assign(&sub_vectors(vectors, dim, sub, part), book, sub);
        for (v, &c) in out.chunks_exact_mut(dim).zip(&nearest.index) {
            v[part * sub..][..sub].copy_from_slice(&book[c as usize * sub..][..sub]);
        }
    }
    out
}
