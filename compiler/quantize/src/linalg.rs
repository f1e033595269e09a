//! Small dense symmetric systems, in f64.

/// Solves H a = v for a symmetric positive semi-definite H of size n x n (row major), by the
/// pseudo-inverse: directions in which H is singular get no component.
///
/// H is first scaled to a unit diagonal, so the rank decision does not depend on the units of the
/// unknowns. A Cholesky factorisation serves the regular case, Jacobi rotations the singular one.
pub fn solve_symmetric(h: &[f64], v: &[f64]) -> Vec<f64> {
    let n = v.len();
    let d: Vec<f64> = (0..n)
        .map(|i| if h[i * n + i] > 0.0 { h[i * n + i].sqrt().recip() } else { 0.0 })
        .collect();
    let scaled: Vec<f64> = (0..n * n).map(|at| h[at] * d[at / n] * d[at % n]).collect();
    let rhs: Vec<f64> = (0..n).map(|i| v[i] * d[i]).collect();
    let a = cholesky(&scaled, &rhs).unwrap_or_else(|| pseudo_inverse(scaled, &rhs));
    a.iter().zip(&d).map(|(x, s)| x * s).collect()
}

/// Relative size below which a pivot or an eigenvalue of the scaled matrix counts as zero.
const SINGULAR: f64 = 1e-11;

fn cholesky(h: &[f64], v: &[f64]) -> Option<Vec<f64>> {
    let n = v.len();
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let rest = h[i * n + j] - dot;
            if i == j {
                // Also catches NaN.
                if rest.is_nan() || rest <= SINGULAR {
                    return None;
                }
                l[i * n + i] = rest.sqrt();
            } else {
                l[i * n + j] = rest / l[j * n + j];
            }
        }
    }
    let mut a = v.to_vec();
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| l[i * n + k] * a[k]).sum();
        a[i] = (a[i] - dot) / l[i * n + i];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| l[k * n + i] * a[k]).sum();
        a[i] = (a[i] - dot) / l[i * n + i];
    }
    Some(a)
}

/// H+ v through the eigenvectors of H.
fn pseudo_inverse(h: Vec<f64>, v: &[f64]) -> Vec<f64> {
    let n = v.len();
    let (values, q) = eigen(h, n);
    let largest = values.iter().map(|e| e.abs()).fold(0.0, f64::max);
    let mut a = vec![0.0; n];
    for (e, &eigenvalue) in values.iter().enumerate() {
        if eigenvalue > SINGULAR * largest {
            let along: f64 = (0..n).map(|i| q[i * n + e] * v[i]).sum::<f64>() / eigenvalue;
            (0..n).for_each(|i| a[i] += along * q[i * n + e]);
        }
    }
    a
}

/// Eigenvalues of the symmetric h (n x n, its elements about the size of 1 or less), in no order, and
/// the matrix whose columns are their eigenvectors, by cyclic Jacobi rotations.
pub fn eigen(mut h: Vec<f64>, n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut q = vec![0.0; n * n];
    (0..n).for_each(|i| q[i * n + i] = 1.0);
    for _ in 0..60 {
        let off: f64 = (0..n * n).filter(|at| at / n != at % n).map(|at| h[at] * h[at]).sum();
        if off.is_nan() || off < 1e-30 {
            break;
        }
        for i in 0..n {
            for j in i + 1..n {
                rotate(&mut h, &mut q, n, i, j);
            }
        }
    }
    ((0..n).map(|i| h[i * n + i]).collect(), q)
}

/// One Jacobi rotation that makes h[i][j] zero; `q` collects the rotations.
fn rotate(h: &mut [f64], q: &mut [f64], n: usize, i: usize, j: usize) {
    let hij = h[i * n + j];
    if hij == 0.0 {
        return;
    }
    let theta = (h[j * n + j] - h[i * n + i]) / (2.0 * hij);
    let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let c = (t * t + 1.0).sqrt().recip();
    let s = t * c;
    for k in 0..n {
        let (a, b) = (h[k * n + i], h[k * n + j]);
        (h[k * n + i], h[k * n + j]) = (c * a - s * b, s * a + c * b);
    }
    for k in 0..n {
        let (a, b) = (h[i * n + k], h[j * n + k]);
        (h[i * n + k], h[j * n + k]) = (c * a - s * b, s * a + c * b);
    }
    for k in 0..n {
        let (a, b) = (q[k * n + i], q[k * n + j]);
        (q[k * n + i], q[k * n + j]) = (c * a - s * b, s * a + c * b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    fn times(h: &[f64], a: &[f64]) -> Vec<f64> {
        let n = a.len();
        (0..n).map(|i| (0..n).map(|j| h[i * n + j] * a[j]).sum()).collect()
    }

    /// G^T G of a random `rows` x n matrix G: positive semi-definite of rank min(rows, n).
    fn gram(rng: &mut Rng, rows: usize, n: usize) -> Vec<f64> {
        let g: Vec<f64> = (0..rows * n).map(|_| rng.normal()).collect();
        (0..n * n)
            .map(|at| (0..rows).map(|r| g[r * n + at / n] * g[r * n + at % n]).sum())
            .collect()
    }

    #[test]
    fn solves_regular_systems() {
        let mut rng = Rng::new(3);
        for n in [1, 4, 13] {
            let h = gram(&mut rng, 2 * n + 2, n);
            let want: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
            let got = solve_symmetric(&h, &times(&h, &want));
            assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-9), "{got:?} {want:?}");
        }
    }

    #[test]
    fn solves_singular_systems_that_have_a_solution() {
        let mut rng = Rng::new(4);
        let h = gram(&mut rng, 3, 5);
        let v = times(&h, &[1.0, -2.0, 0.5, 3.0, 1.0]);
        let a = solve_symmetric(&h, &v);
        assert!(times(&h, &a).iter().zip(&v).all(|(x, y)| (x - y).abs() < 1e-8), "{a:?}");
    }

    #[test]
    fn the_zero_system_has_the_zero_solution() {
        assert_eq!(solve_symmetric(&[0.0; 9], &[0.0; 3]), vec![0.0; 3]);
    }
}
