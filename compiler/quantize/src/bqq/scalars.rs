//! The closed solve of the four scalars of one basis, on bit probabilities.

use crate::linalg::solve_symmetric;

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

/// Minimises the expected squared error over r, s, t, u, for independent bits with
/// probabilities Y (m x l) and Z (l x n) of being 1, given S = Y Z and the matrix x (m x n).
///
/// The Hessian follows from y^2 = y for a bit (arXiv 2510.18650): the square of a sum over k has
/// the square of the mean plus the variance of its independent terms. On 0/1 values it is the plain
/// least squares solution; where it is singular, the pseudo-inverse decides.
pub fn solve_scalars(x: &[f32], y: &[f32], z: &[f32], product: &[f32], shape: Shape) -> Scalars {
    let Shape { m, n, l } = shape;
    let sums = Sums::of(y, z, shape);
    let (mut h00, mut h01, mut h02, mut h03) = (0.0f64, 0.0f64, 0.0f64, 0.0f64);
    let (mut v0, mut v1, mut v3) = (0.0f64, 0.0f64, 0.0f64);
    let mut x_col = vec![0.0f64; n];
    let mut s_col = vec![0.0f64; n];
    for a in 0..m {
        let (xs, ps) = (&x[a * n..][..n], &product[a * n..][..n]);
        let [square, dot, p_row, x_row] = row_sums(xs, ps);
        for j in 0..n {
            x_col[j] += f64::from(xs[j]);
            s_col[j] += f64::from(ps[j]);
        }
        h00 += square + p_row;
        h01 += (sums.y_row[a] + 1.0) * p_row;
        h03 += p_row;
        v0 += dot;
        v1 += x_row * sums.y_row[a];
        v3 += x_row;
    }
    let mut v2 = 0.0f64;
    for j in 0..n {
        h02 += (1.0 + sums.z_col[j]) * s_col[j];
        v2 += x_col[j] * sums.z_col[j];
    }
    for k in 0..l {
        h00 -= sums.y2_k[k] * sums.z2_k[k];
        h01 -= sums.y2_k[k] * sums.z_k[k];
        h02 -= sums.y_k[k] * sums.z2_k[k];
    }
    let (mf, nf) = (m as f64, n as f64);
    let y_total: f64 = sums.y_row.iter().sum();
    let z_total: f64 = sums.z_col.iter().sum();
    let y2_total: f64 = sums.y2_k.iter().sum();
    let z2_total: f64 = sums.z2_k.iter().sum();
    let y_squares: f64 = sums.y_row.iter().map(|s| s * s).sum();
    let z_squares: f64 = sums.z_col.iter().map(|s| s * s).sum();
    let h11 = nf * (y_squares + y_total - y2_total);
    let h22 = mf * (z_squares + z_total - z2_total);
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

/// sum p^2, sum p x, sum p and sum x of one row, in f64 because the solve is a difference of large
/// terms; in four lanes, so that the compiler may keep them in one register each.
fn row_sums(x: &[f32], p: &[f32]) -> [f64; 4] {
    const LANES: usize = 4;
    let (mut square, mut dot, mut sum_p, mut sum_x) =
        ([0.0f64; LANES], [0.0f64; LANES], [0.0f64; LANES], [0.0f64; LANES]);
    let (xs, ps) = (x.chunks_exact(LANES), p.chunks_exact(LANES));
    let tail = xs.remainder().iter().zip(ps.remainder());
    for (i, (&x, &p)) in tail.enumerate() {
        let (x, p) = (f64::from(x), f64::from(p));
        (square[i], dot[i], sum_p[i], sum_x[i]) = (p * p, p * x, p, x);
    }
    for (x, p) in xs.zip(ps) {
        for i in 0..LANES {
            let (x, p) = (f64::from(x[i]), f64::from(p[i]));
            square[i] += p * p;
            dot[i] += p * x;
            sum_p[i] += p;
            sum_x[i] += x;
        }
    }
    [square, dot, sum_p, sum_x].map(|lanes| (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]))
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

/// Sums of bit probabilities and of their squares.
struct Sums {
    y_row: Vec<f64>,
    z_col: Vec<f64>,
    y_k: Vec<f64>,
    y2_k: Vec<f64>,
    z_k: Vec<f64>,
    z2_k: Vec<f64>,
}

impl Sums {
    fn of(y: &[f32], z: &[f32], shape: Shape) -> Sums {
        let Shape { m, n, l } = shape;
        let (mut y_row, mut y_k, mut y2_k) = (vec![0.0; m], vec![0.0; l], vec![0.0; l]);
        for a in 0..m {
            for k in 0..l {
                let v = f64::from(y[a * l + k]);
                y_row[a] += v;
                y_k[k] += v;
                y2_k[k] += v * v;
            }
        }
        let (mut z_col, mut z_k, mut z2_k) = (vec![0.0; n], vec![0.0; l], vec![0.0; l]);
        for k in 0..l {
            for j in 0..n {
                let v = f64::from(z[k * n + j]);
                z_col[j] += v;
                z_k[k] += v;
                z2_k[k] += v * v;
            }
        }
        Sums { y_row, z_col, y_k, y2_k, z_k, z2_k }
    }
}
