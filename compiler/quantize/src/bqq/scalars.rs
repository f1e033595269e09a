//! The closed solve of the four scalars of one basis, on bit probabilities.

use crate::linalg::solve_symmetric;
use crate::wide::widest;

/// The scalars of one basis in the {0,1} form: W ~ r Y Z + s rowsum(Y) + t colsum(Z) + u.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scalars {
    /// Factor of the product Y Z.
    pub r: f64,
    /// Factor of the row sums of Y.
    pub s: f64,
    /// Factor of the column sums of Z.
    pub t: f64,
    /// Constant.
    pub u: f64,
}

/// Solves for the scalars of one block again and again, with buffers of its own.
pub struct ScalarSolver<'a> {
    x: &'a [f32],
    shape: Shape,
    x_row: Vec<f64>,
    x_col: Vec<f64>,
    sums: Sums,
}

impl<'a> ScalarSolver<'a> {
    /// For the block `x`, m x n.
    pub fn new(x: &'a [f32], shape: Shape) -> ScalarSolver<'a> {
        let (mut x_row, mut x_col) = (vec![0.0; shape.m], vec![0.0; shape.n]);
        for (i, row) in x.chunks(shape.n).enumerate() {
            for (col, &v) in x_col.iter_mut().zip(row) {
                x_row[i] += f64::from(v);
                *col += f64::from(v);
            }
        }
        ScalarSolver { x, shape, x_row, x_col, sums: Sums::new(shape) }
    }

    /// Minimises the expected squared error over r, s, t, u, for independent bits with
    /// probabilities Y (m x l) and Z (l x n) of being 1, given S = Y Z.
    ///
    /// The Hessian follows from y^2 = y for a bit (arXiv 2510.18650): the square of a sum over k has
    /// the square of the mean plus the variance of its independent terms. On 0/1 values it is the
    /// plain least squares solution; where it is singular, the pseudo-inverse decides.
    pub fn solve(&mut self, y: &[f32], z: &[f32], product: &[f32]) -> Scalars {
        fill(&mut self.sums, y, z, self.shape);
        let Shape { m, n, .. } = self.shape;
        let sums = &self.sums;
        let (squares, v0) = square_and_dot(product, self.x);
        let v1 = dot64(&self.x_row, &sums.y_row);
        let v2 = dot64(&self.x_col, &sums.z_col);
        let v3: f64 = self.x_row.iter().sum();
        // Row and column sums of S need no S.
        let h03: f64 = sums.s_row.iter().sum();
        let h00 = squares + h03 - dot64(&sums.y2_k, &sums.z2_k);
        let h01 = dot64(&sums.y_row, &sums.s_row) + h03 - dot64(&sums.y2_k, &sums.z_k);
        let h02 = dot64(&sums.z_col, &sums.s_col) + h03 - dot64(&sums.y_k, &sums.z2_k);
        let (mf, nf) = (m as f64, n as f64);
        let y_total: f64 = sums.y_row.iter().sum();
        let z_total: f64 = sums.z_col.iter().sum();
        let y2_total: f64 = sums.y2_k.iter().sum();
        let z2_total: f64 = sums.z2_k.iter().sum();
        let h11 = nf * (dot64(&sums.y_row, &sums.y_row) + y_total - y2_total);
        let h22 = mf * (dot64(&sums.z_col, &sums.z_col) + z_total - z2_total);
        let h12 = y_total * z_total;
        let (h13, h23, h33) = (nf * y_total, mf * z_total, mf * nf);
        #[rustfmt::skip]
        let h = [
            h00, h01, h02, h03,
            h01, h11, h12, h13,
            h02, h12, h22, h23,
            h03, h13, h23, h33,
        ];
        let a = solve_symmetric(&h, &[v0, v1, v2, v3]);
        Scalars { r: a[0], s: a[1], t: a[2], u: a[3] }
    }
}

fn dot64(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Sums go in this many lanes, whatever the registers hold.
const LANES: usize = 16;

widest! {
    /// sum s^2 and sum s x, in f64 because the solve is a difference of large terms.
    fn square_and_dot(s: &[f32], x: &[f32]) -> (f64, f64) {
        let (mut square, mut dot) = ([0.0f64; LANES], [0.0f64; LANES]);
        let (ss, xs) = (s.chunks_exact(LANES), x.chunks_exact(LANES));
        for (i, (&s, &x)) in ss.remainder().iter().zip(xs.remainder()).enumerate() {
            square[i] = f64::from(s) * f64::from(s);
            dot[i] = f64::from(s) * f64::from(x);
        }
        for (s, x) in ss.zip(xs) {
            for i in 0..LANES {
                let s = f64::from(s[i]);
                square[i] += s * s;
                dot[i] += s * f64::from(x[i]);
            }
        }
        (square.iter().sum(), dot.iter().sum())
    }
}

/// Sizes of a block: m x n, with inner dimension l.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of the block and of Y.
    pub m: usize,
    /// Columns of the block and of Z.
    pub n: usize,
    /// Columns of Y, rows of Z.
    pub l: usize,
}

/// Sums of bit probabilities and of their squares, and of rows and columns of S = Y Z.
struct Sums {
    y_row: Vec<f64>,
    z_col: Vec<f64>,
    s_row: Vec<f64>,
    s_col: Vec<f64>,
    y_k: Vec<f64>,
    y2_k: Vec<f64>,
    z_k: Vec<f64>,
    z2_k: Vec<f64>,
}

impl Sums {
    fn new(shape: Shape) -> Sums {
        let Shape { m, n, l } = shape;
        let zeros = |len: usize| vec![0.0; len];
        Sums {
            y_row: zeros(m),
            z_col: zeros(n),
            s_row: zeros(m),
            s_col: zeros(n),
            y_k: zeros(l),
            y2_k: zeros(l),
            z_k: zeros(l),
            z2_k: zeros(l),
        }
    }
}

widest! {
    fn fill(sums: &mut Sums, y: &[f32], z: &[f32], shape: Shape) {
        let Shape { n, l, .. } = shape;
        for zeroed in [&mut sums.y_k, &mut sums.y2_k, &mut sums.z_col, &mut sums.s_col] {
            zeroed.fill(0.0);
        }
        for (total, row) in sums.y_row.iter_mut().zip(y.chunks_exact(l)) {
            *total = sum_products(row, |_| 1.0);
            for ((sum, squares), &v) in sums.y_k.iter_mut().zip(&mut sums.y2_k).zip(row) {
                let v = f64::from(v);
                *sum += v;
                *squares += v * v;
            }
        }
        for (k, row) in z.chunks_exact(n).enumerate() {
            sums.z_k[k] = sum_products(row, |_| 1.0);
            sums.z2_k[k] = sum_products(row, |j| f64::from(row[j]));
            let weight = sums.y_k[k];
            for ((sum, s), &v) in sums.z_col.iter_mut().zip(&mut sums.s_col).zip(row) {
                let v = f64::from(v);
                *sum += v;
                *s += weight * v;
            }
        }
        for (total, row) in sums.s_row.iter_mut().zip(y.chunks_exact(l)) {
            *total = sum_products(row, |k| sums.z_k[k]);
        }
    }
}

/// Sum of values times `factor` of their index.
#[inline(always)]
fn sum_products(values: &[f32], factor: impl Fn(usize) -> f64) -> f64 {
    let mut lanes = [0.0f64; LANES];
    for (at, chunk) in values.chunks(LANES).enumerate() {
        for (i, (lane, &v)) in lanes.iter_mut().zip(chunk).enumerate() {
            *lane += f64::from(v) * factor(at * LANES + i);
        }
    }
    lanes.iter().sum()
}
