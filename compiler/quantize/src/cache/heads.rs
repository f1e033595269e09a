//! Queries, keys and values of one key/value head, and the attention between them in real numbers.

use crate::gemm::{plain, transposed, Gemm};

/// Which token sees which.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Tokens of a window: they see each other and no others.
    pub window: usize,
    /// Only earlier tokens and the token itself are seen.
    pub causal: bool,
    /// What the product of query and key is multiplied by before the softmax.
    pub scale: f32,
}

/// One key/value head with the query heads that share it.
#[derive(Clone, Debug)]
pub struct Head {
    /// Elements of a key.
    pub dim: usize,
    /// Of each query head, [tokens, dim].
    pub queries: Vec<Vec<f32>>,
    /// [tokens, dim].
    pub keys: Vec<f32>,
    /// [tokens, dim].
    pub values: Vec<f32>,
}

/// The tokens that stay exact beside the compressed ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exact {
    /// The first ones.
    pub sink: usize,
    /// The last ones.
    pub recent: usize,
}

impl Exact {
    /// Whether the token of position `at` is exact among `tokens`.
    pub fn holds(&self, at: usize, tokens: usize) -> bool {
        at < self.sink || at + self.recent >= tokens
    }
}

impl Head {
    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.keys.len() / self.dim
    }

    /// First tokens and lengths of the windows; the last may be shorter.
    pub fn windows(&self, view: &View) -> impl Iterator<Item = (usize, usize)> {
        let (tokens, window) = (self.tokens(), view.window);
        (0..tokens).step_by(window).map(move |at| (at, window.min(tokens - at)))
    }

    /// How much attention each token gets: the probabilities that all its queries give it, added up.
    pub fn mass(&self, view: &View) -> Vec<f64> {
        let mut mass = vec![0.0; self.tokens()];
        let mut gemm = Gemm::default();
        for (first, n) in self.windows(view) {
            let keys = &self.keys[first * self.dim..][..n * self.dim];
            for queries in &self.queries {
                let mut p = vec![0.0; n * n];
                self.scores(&mut gemm, view, queries, first, keys, &mut p);
                for (i, row) in p.chunks_exact_mut(n).enumerate() {
                    softmax(row, view.seen(i, n));
                    let to = mass[first..][..n].iter_mut();
                    to.zip(&*row).for_each(|(m, &p)| *m += f64::from(p));
                }
            }
        }
        mass
    }

    fn scores(
        &self,
        gemm: &mut Gemm,
        view: &View,
        queries: &[f32],
        first: usize,
        keys: &[f32],
        out: &mut [f32],
    ) {
        let (dim, n) = (self.dim, keys.len() / self.dim);
        let queries = &queries[first * dim..][..n * dim];
        gemm.product(view.scale, plain(queries, n, dim), transposed(keys, n, dim), out);
    }

    /// The results of all queries of every query head, [tokens, dim].
    pub fn outputs(&self, view: &View) -> Vec<Vec<f32>> {
        self.outputs_of(view, &Exact::default(), &self.keys, &self.values)
    }

    /// The results with `keys` and `values` in the place of those that are not exact.
    pub fn outputs_of(
        &self,
        view: &View,
        exact: &Exact,
        keys: &[f32],
        values: &[f32],
    ) -> Vec<Vec<f32>> {
        let dim = self.dim;
        let mut gemm = Gemm::default();
        let some_exact = *exact != Exact::default();
        let of_head = |queries: &Vec<f32>| {
            let mut out = Vec::with_capacity(queries.len());
            for (first, n) in self.windows(view) {
                let part = |all: &'_ [f32]| all[first * dim..][..n * dim].to_vec();
                let (keys, values) = (part(keys), part(values));
                let mut p = vec![0.0; n * n];
                self.scores(&mut gemm, view, queries, first, &keys, &mut p);
                let mut real = vec![0.0; if some_exact { n * n } else { 0 }];
                if some_exact {
                    let keys = part(&self.keys);
                    self.scores(&mut gemm, view, queries, first, &keys, &mut real);
                }
                for (i, row) in p.chunks_exact_mut(n).enumerate() {
                    let seen = view.seen(i, n);
                    let holds = |at: usize| some_exact && exact.holds(at, seen);
                    for at in (0..seen).filter(|&at| holds(at)) {
                        row[at] = real[i * n + at];
                    }
                    softmax(row, seen);
                    let mut sum = vec![0.0f32; dim];
                    for (at, &p) in row[..seen].iter().enumerate() {
                        let v = if holds(at) { &self.values[first * dim..] } else { &values[..] };
                        let v = &v[at * dim..][..dim];
                        sum.iter_mut().zip(v).for_each(|(s, v)| *s += p * v);
                    }
                    out.extend_from_slice(&sum);
                }
            }
            out
        };
        self.queries.iter().map(of_head).collect()
    }
}

impl View {
    /// How many of the window's `n` tokens query `i` sees; they are the first ones.
    pub fn seen(&self, i: usize, n: usize) -> usize {
        if self.causal {
            i + 1
        } else {
            n
        }
    }
}

/// Softmax of the first `seen` elements; the others become 0.
fn softmax(row: &mut [f32], seen: usize) {
    let largest = row[..seen].iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for p in &mut row[..seen] {
        *p = (*p - largest).exp();
        sum += *p;
    }
    row[..seen].iter_mut().for_each(|p| *p /= sum);
    row[seen..].fill(0.0);
}

/// How far results are off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Deviation {
    /// Squared distance from the right results.
    pub error: f64,
    /// Squared size of the right results.
    pub size: f64,
    /// Cosines of right and given results, added up.
    pub cosine: f64,
    /// Number of results.
    pub rows: usize,
}

impl Deviation {
    /// Of results of `dim` elements each.
    pub fn of(right: &[f32], given: &[f32], dim: usize) -> Deviation {
        let mut all = Deviation::default();
        for (r, g) in right.chunks_exact(dim).zip(given.chunks_exact(dim)) {
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
            };
            let off: f64 = r.iter().zip(g).map(|(&x, &y)| f64::from(x - y).powi(2)).sum();
            let sizes = dot(r, r) * dot(g, g);
            all.error += off;
            all.size += dot(r, r);
            all.cosine +=
                if sizes > 0.0 { dot(r, g) / sizes.sqrt() } else { f64::from(off == 0.0) };
            all.rows += 1;
        }
        all
    }

    /// Of both.
    pub fn and(self, other: Deviation) -> Deviation {
        Deviation {
            error: self.error + other.error,
            size: self.size + other.size,
            cosine: self.cosine + other.cosine,
            rows: self.rows + other.rows,
        }
    }

    /// Root of the squared error over the squared size.
    pub fn relative(&self) -> f64 {
        if self.size > 0.0 {
            (self.error / self.size).sqrt()
        } else {
            0.0
        }
    }

    /// Mean cosine.
    pub fn mean_cosine(&self) -> f64 {
        self.cosine / self.rows.max(1) as f64
    }
}
