//! The +-1 form of a block, its joint scalars, bit polishing and rounding to integers.
//!
//! With A = 2Y-1 and B = 2Z-1: W = sum_i (R_i A_i B_i + S_i rowsum(A_i) + T_i colsum(B_i)) + U. The
//! {0,1} form is a difference of large terms and needs wide scalars; this one does not.

use super::anneal::Basis;
use super::scalars::{Scalars, Shape};
use crate::gemm::{plain, Gemm};
use crate::linalg::solve_symmetric;

/// The scalars of one basis in the +-1 form; U is kept per block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SignedScalars {
    /// Factor of A B.
    pub r: f64,
    /// Factor of the row sums of A.
    pub s: f64,
    /// Factor of the column sums of B.
    pub t: f64,
}

/// {0,1} to +-1: R = r/4, S = r/4 + s/2, T = r/4 + t/2, and the share l(r/4 + s/2 + t/2) + u of U.
pub fn to_signed(a: Scalars, l: usize) -> (SignedScalars, f64) {
    let quarter = a.r / 4.0;
    let scalars = SignedScalars { r: quarter, s: quarter + a.s / 2.0, t: quarter + a.t / 2.0 };
    (scalars, l as f64 * (quarter + a.s / 2.0 + a.t / 2.0) + a.u)
}

/// Sign matrices of one basis, as +-1.
#[derive(Clone, Debug, PartialEq)]
pub struct Signs {
    /// A, m x l.
    pub a: Vec<f32>,
    /// B, l x n.
    pub b: Vec<f32>,
}

/// A block in the +-1 form with real scalars.
#[derive(Clone, Debug)]
pub struct SignedBlock {
    /// Sizes.
    pub shape: Shape,
    /// Sign matrices, basis by basis.
    pub signs: Vec<Signs>,
    /// Scalars, basis by basis.
    pub scalars: Vec<SignedScalars>,
    /// U.
    pub u: f64,
}

impl SignedBlock {
    /// The sum of the bases found one after another.
    pub fn of(bases: &[Basis], shape: Shape) -> SignedBlock {
        let sign = |bits: &[f32]| bits.iter().map(|v| 2.0 * v - 1.0).collect();
        let signs = bases.iter().map(|b| Signs { a: sign(&b.y), b: sign(&b.z) }).collect();
        let (scalars, shares): (Vec<_>, Vec<f64>) =
            bases.iter().map(|b| to_signed(b.scalars, shape.l)).unzip();
        SignedBlock { shape, signs, scalars, u: shares.iter().sum() }
    }

    /// The matrix it stands for, m x n.
    pub fn reconstruct(&self) -> Vec<f64> {
        let Shape { m, n, .. } = self.shape;
        let mut w = vec![self.u; m * n];
        for (signs, c) in self.signs.iter().zip(&self.scalars) {
            let features = Features::of(signs, self.shape);
            for i in 0..m {
                for j in 0..n {
                    w[i * n + j] += c.r * features.product[i * n + j]
                        + c.s * features.a_row[i]
                        + c.t * features.b_col[j];
                }
            }
        }
        w
    }

    /// `w` minus [`SignedBlock::reconstruct`].
    pub fn residual(&self, w: &[f32]) -> Vec<f64> {
        self.reconstruct().iter().zip(w).map(|(q, &v)| f64::from(v) - q).collect()
    }

    /// Sets all 3p+1 scalars to the least squares solution for the block `w` and these signs.
    pub fn solve_jointly(&mut self, w: &[f32]) {
        let Shape { m, n, .. } = self.shape;
        let features: Vec<Features> =
            self.signs.iter().map(|s| Features::of(s, self.shape)).collect();
        let size = 3 * features.len() + 1;
        let mut h = vec![0.0; size * size];
        let mut v = vec![0.0; size];
        let mut entry = vec![1.0; size];
        for i in 0..m {
            for j in 0..n {
                for (p, f) in features.iter().enumerate() {
                    entry[3 * p] = f.product[i * n + j];
                    entry[3 * p + 1] = f.a_row[i];
                    entry[3 * p + 2] = f.b_col[j];
                }
                for (row, x) in entry.iter().enumerate() {
                    v[row] += x * f64::from(w[i * n + j]);
                    for (cell, y) in h[row * size..][..=row].iter_mut().zip(&entry) {
                        *cell += x * y;
                    }
                }
            }
        }
        for row in 0..size {
            for col in 0..row {
                h[col * size + row] = h[row * size + col];
            }
        }
        let a = solve_symmetric(&h, &v);
        for (p, c) in self.scalars.iter_mut().enumerate() {
            *c = SignedScalars { r: a[3 * p], s: a[3 * p + 1], t: a[3 * p + 2] };
        }
        self.u = a[size - 1];
    }

    /// Goes over all signs once, in order, and turns each whose turning lowers the squared error
    /// against `w`. Returns how many it turned.
    pub fn polish_signs(&mut self, w: &[f32]) -> usize {
        let mut error = self.residual(w);
        let mut turned = 0;
        for p in 0..self.signs.len() {
            turned += self.polish_a(p, &mut error) + self.polish_b(p, &mut error);
        }
        turned
    }

    /// Turning A[i,k] subtracts 2 A[i,k] (R B[k,:] + S) from row i.
    fn polish_a(&mut self, p: usize, error: &mut [f64]) -> usize {
        let Shape { m, n, l } = self.shape;
        let (c, signs) = (self.scalars[p], &mut self.signs[p]);
        let mut turned = 0;
        let mut step = vec![0.0; l * n];
        let mut size = vec![0.0; l];
        for k in 0..l {
            for j in 0..n {
                let d = c.r * f64::from(signs.b[k * n + j]) + c.s;
                step[k * n + j] = d;
                size[k] += d * d;
            }
        }
        for i in 0..m {
            let row = &mut error[i * n..][..n];
            for k in 0..l {
                let (sign, d) = (f64::from(signs.a[i * l + k]), &step[k * n..][..n]);
                // New error e + 2 sign d: the squares change by 4 sign e.d + 4 d.d.
                if sign * dot(row, d) + size[k] < 0.0 {
                    row.iter_mut().zip(d).for_each(|(e, d)| *e += 2.0 * sign * d);
                    signs.a[i * l + k] = -signs.a[i * l + k];
                    turned += 1;
                }
            }
        }
        turned
    }

    /// Turning B[k,j] subtracts 2 B[k,j] (R A[:,k] + T) from column j.
    fn polish_b(&mut self, p: usize, error: &mut [f64]) -> usize {
        let Shape { m, n, l } = self.shape;
        let (c, signs) = (self.scalars[p], &mut self.signs[p]);
        let mut turned = 0;
        let mut step = vec![0.0; l * m];
        let mut size = vec![0.0; l];
        for k in 0..l {
            for i in 0..m {
                let d = c.r * f64::from(signs.a[i * l + k]) + c.t;
                step[k * m + i] = d;
                size[k] += d * d;
            }
        }
        let mut column = vec![0.0; m];
        for j in 0..n {
            (0..m).for_each(|i| column[i] = error[i * n + j]);
            for k in 0..l {
                let (sign, d) = (f64::from(signs.b[k * n + j]), &step[k * m..][..m]);
                if sign * dot(&column, d) + size[k] < 0.0 {
                    column.iter_mut().zip(d).for_each(|(e, d)| *e += 2.0 * sign * d);
                    signs.b[k * n + j] = -signs.b[k * n + j];
                    turned += 1;
                }
            }
            (0..m).for_each(|i| error[i * n + j] = column[i]);
        }
        turned
    }

    /// The largest of |R|, |S| and |T|.
    pub fn largest_scalar(&self) -> f64 {
        let each = self.scalars.iter().flat_map(|c| [c.r, c.s, c.t]);
        each.fold(0.0, |m, v| m.max(v.abs()))
    }

    /// Rounds R, S and T to multiples of `step`; then U to the mean of what they leave.
    pub fn round_scalars(&mut self, w: &[f32], step: f64) {
        let round = |v: f64| (v / step).round() * step;
        for c in &mut self.scalars {
            *c = SignedScalars { r: round(c.r), s: round(c.s), t: round(c.t) };
        }
        let left = self.residual(w);
        self.u = round(self.u + left.iter().sum::<f64>() / left.len() as f64);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 4];
    let (xs, ys) = (a.chunks_exact(4), b.chunks_exact(4));
    let tail: f64 = xs.remainder().iter().zip(ys.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in xs.zip(ys) {
        (0..4).for_each(|i| lanes[i] += x[i] * y[i]);
    }
    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]) + tail
}

/// What the scalars of one basis multiply.
struct Features {
    product: Vec<f64>,
    a_row: Vec<f64>,
    b_col: Vec<f64>,
}

impl Features {
    fn of(signs: &Signs, shape: Shape) -> Features {
        let Shape { m, n, l } = shape;
        let mut product = vec![0.0f32; m * n];
        // Sums of at most l terms of +-1: exact in f32.
        let (a, b) = (plain(&signs.a, m, l), plain(&signs.b, l, n));
        Gemm::default().product(1.0, a, b, &mut product);
        let a_row = signs.a.chunks(l).map(|row| row.iter().map(|&v| f64::from(v)).sum()).collect();
        let mut b_col = vec![0.0; n];
        for row in signs.b.chunks(n) {
            b_col.iter_mut().zip(row).for_each(|(total, &v)| *total += f64::from(v));
        }
        Features { product: product.into_iter().map(f64::from).collect(), a_row, b_col }
    }
}
