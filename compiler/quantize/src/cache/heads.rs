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
        *p = exp(*p - largest);
        sum += *p;
    }
    row[..seen].iter_mut().for_each(|p| *p /= sum);
    row[seen..].fill(0.0);
}

/// 1/i! from i = 10 down to 0.
const TAYLOR: [f64; 11] = [
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    1.0 / 2.0,
    1.0,
    1.0,
];

/// e^x of x <= 0, the same on every machine, to single precision: 2^k times the Taylor series at the rest,
/// which is at most ln(2)/2 to either side.
fn exp(x: f32) -> f32 {
    let x = f64::from(x).max(-200.0);
    let k = (x * std::f64::consts::LOG2_E).round();
    let r = x - k * std::f64::consts::LN_2;
    let series = TAYLOR.iter().fold(0.0, |s, c| s * r + c);
    let power = f64::from_bits(((1023 + k as i64) as u64) << 52);
    (power * series) as f32
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_function() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        for i in 0..2000 {
            let x = -0.05 * i as f32;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() <= want * 1e-7 + 1e-45, "{x}");
        }
    }

    #[test]
    fn what_is_exact() {
        let exact = Exact { sink: 2, recent: 3 };
        let held: Vec<usize> = (0..10).filter(|&at| exact.holds(at, 10)).collect();
        assert_eq!(held, [0, 1, 7, 8, 9]);
        assert!((0..10).all(|at| !Exact::default().holds(at, 10)));
    }

    /// Two tokens of one element: scores 0 and ln 3 times the query, by hand.
    #[test]
    fn attention_by_hand() {
        let ln3 = 3f32.ln();
        let head = Head {
            dim: 1,
            queries: vec![vec![1.0, 0.0, 1.0]],
            keys: vec![0.0, ln3, 5.0],
            values: vec![4.0, 8.0, -1.0],
        };
        let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-5);
        let mut view = View { window: 2, causal: false, scale: 1.0 };
        assert!(near(&head.outputs(&view)[0], &[7.0, 6.0, -1.0]));
        let mass: Vec<f32> = head.mass(&view).iter().map(|&m| m as f32).collect();
        assert!(near(&mass, &[0.75, 1.25, 1.0]));
        view.causal = true;
        assert!(near(&head.outputs(&view)[0], &[4.0, 6.0, -1.0]));
        // The first token of each window is exact, the others are given.
        let exact = Exact { sink: 1, recent: 0 };
        let given = head.outputs_of(&view, &exact, &[0.0; 3], &[2.0; 3]);
        assert!(near(&given[0], &[4.0, 3.0, -1.0]), "{given:?}");
    }

    #[test]
    fn deviations() {
        let d = Deviation::of(&[3.0, 4.0, 0.0, 0.0], &[3.0, 0.0, 0.0, 0.0], 2);
        assert_eq!((d.error, d.size, d.rows), (16.0, 25.0, 2));
        assert!((d.relative() - 0.8).abs() < 1e-12 && (d.mean_cosine() - 0.8).abs() < 1e-12);
    }
}
