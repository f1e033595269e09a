//! Annealed mean-field search for the two bit matrices of one basis.
//!
//! Bits are relaxed to independent probabilities Y, Z. The energy is the expected squared error
//! plus a temperature term that pulls every probability towards one half; the temperature falls
//! linearly, so that the minimum moves from the centre of the cube to a corner. Each step moves
//! with momentum 1 along the gradient taken at a point ahead (arXiv 2510.18650).

use super::scalars::{solve_scalars, Scalars, Shape};
use crate::gemm::{plain, product, transposed};
use crate::random::Rng;

/// The constants of the search. The defaults are the published ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Anneal {
    /// Gradient steps.
    pub steps: usize,
    /// Temperature of the first step.
    pub t_start: f32,
    /// Temperature of the last step.
    pub t_end: f32,
    /// Step size.
    pub eta: f32,
    /// How far ahead the gradient is taken, in units of the last move.
    pub zeta: f32,
}

impl Default for Anneal {
    fn default() -> Self {
        Anneal { steps: 50_000, t_start: 0.2, t_end: 0.005, eta: 0.06, zeta: 4.0 }
    }
}

/// Gradient of the expected squared error with respect to the bit probabilities.
pub struct Gradient {
    shape: Shape,
    /// Y Z, then the error P = x - (r Y Z + s rowsum Y + t colsum Z + u), m x n.
    error: Vec<f32>,
    /// With respect to Y, m x l.
    pub y: Vec<f32>,
    /// With respect to Z, l x n.
    pub z: Vec<f32>,
    y_row: Vec<f32>,
    z_col: Vec<f32>,
    p_row: Vec<f32>,
    p_col: Vec<f32>,
    y_k: Vec<f32>,
    y2_k: Vec<f32>,
    z_k: Vec<f32>,
    z2_k: Vec<f32>,
}

impl Gradient {
    /// Buffers for blocks of this shape.
    pub fn new(shape: Shape) -> Gradient {
        let Shape { m, n, l } = shape;
        let zeros = |len: usize| vec![0.0f32; len];
        Gradient {
            shape,
            error: zeros(m * n),
            y: zeros(m * l),
            z: zeros(l * n),
            y_row: zeros(m),
            z_col: zeros(n),
            p_row: zeros(m),
            p_col: zeros(n),
            y_k: zeros(l),
            y2_k: zeros(l),
            z_k: zeros(l),
            z2_k: zeros(l),
        }
    }

    /// Fills `y` and `z` with the gradient at (`y`, `z`) for the matrix `x` and the scalars `a`:
    ///
    /// gY = -2P(rZ+s)^T + [r^2 + 2rs(1-2Y) + 2rt] zs - 2[rt + r^2 Y] zs2 + s^2(1-2Y) n, with zs and zs2
    /// the sums over a row of Z of the values and of their squares; gZ likewise.
    pub fn at(&mut self, x: &[f32], y: &[f32], z: &[f32], a: Scalars) {
        let Shape { m, n, l } = self.shape;
        let (r, s, t, u) = (a.r as f32, a.s as f32, a.t as f32, a.u as f32);
        self.bit_sums(y, z);
        product(r, plain(y, m, l), plain(z, l, n), &mut self.error);
        self.p_col.fill(0.0);
        for i in 0..m {
            let row = &mut self.error[i * n..][..n];
            let base = s * self.y_row[i] + u;
            for j in 0..n {
                row[j] = x[i * n + j] - (row[j] + base + t * self.z_col[j]);
                self.p_col[j] += row[j];
            }
            self.p_row[i] = sum(row);
        }
        product(-2.0 * r, plain(&self.error, m, n), transposed(z, l, n), &mut self.y);
        product(-2.0 * r, transposed(y, m, l), plain(&self.error, m, n), &mut self.z);
        let (mf, nf) = (m as f32, n as f32);
        for i in 0..m {
            let common = -2.0 * s * self.p_row[i];
            for k in 0..l {
                let v = y[i * l + k];
                let flip = 1.0 - 2.0 * v;
                self.y[i * l + k] += common
                    + (r * r + 2.0 * r * s * flip + 2.0 * r * t) * self.z_k[k]
                    - 2.0 * (r * t + r * r * v) * self.z2_k[k]
                    + s * s * flip * nf;
            }
        }
        for k in 0..l {
            let (ys, ys2) = (self.y_k[k], self.y2_k[k]);
            for j in 0..n {
                let v = z[k * n + j];
                let flip = 1.0 - 2.0 * v;
                self.z[k * n + j] += -2.0 * t * self.p_col[j]
                    + (r * r + 2.0 * r * s + 2.0 * r * t * flip) * ys
                    - 2.0 * (r * r * v + r * s) * ys2
                    + t * t * flip * mf;
            }
        }
    }

    fn bit_sums(&mut self, y: &[f32], z: &[f32]) {
        let Shape { m, n, l } = self.shape;
        self.y_k.fill(0.0);
        self.y2_k.fill(0.0);
        for i in 0..m {
            let row = &y[i * l..][..l];
            self.y_row[i] = sum(row);
            for ((total, squares), v) in self.y_k.iter_mut().zip(&mut self.y2_k).zip(row) {
                *total += v;
                *squares += v * v;
            }
        }
        self.z_col.fill(0.0);
        for k in 0..l {
            let row = &z[k * n..][..n];
            for (total, v) in self.z_col.iter_mut().zip(row) {
                *total += v;
            }
            self.z_k[k] = sum(row);
            self.z2_k[k] = sum_of_squares(row);
        }
    }
}

/// Sum in eight lanes, which the compiler may keep in vector registers.
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let chunks = values.chunks_exact(8);
    let tail: f32 = chunks.remainder().iter().sum();
    chunks.for_each(|c| (0..8).for_each(|i| lanes[i] += c[i]));
    lanes.iter().sum::<f32>() + tail
}

fn sum_of_squares(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 8];
    let chunks = values.chunks_exact(8);
    let tail: f32 = chunks.remainder().iter().map(|v| v * v).sum();
    chunks.for_each(|c| (0..8).for_each(|i| lanes[i] += c[i] * c[i]));
    lanes.iter().sum::<f32>() + tail
}

/// The bits of one basis and its scalars.
#[derive(Clone, Debug)]
pub struct Basis {
    /// Y, m x l, 0 or 1.
    pub y: Vec<f32>,
    /// Z, l x n, 0 or 1.
    pub z: Vec<f32>,
    /// The least squares scalars on these bits.
    pub scalars: Scalars,
}

/// Finds one basis for the block `residual` (m x n, row major, finite).
pub fn anneal(residual: &[f32], shape: Shape, settings: &Anneal, rng: &mut Rng) -> Basis {
    let Shape { m, n, l } = shape;
    let (low, high) = residual
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(lo, hi), &v| (lo.min(v), hi.max(v)));
    let range = f64::from(high) - f64::from(low);
    if range <= 0.0 || range < f64::from(f32::MIN_POSITIVE) {
        // A constant block is its own optimum with no bits at all.
        let scalars = Scalars { u: f64::from(low), ..Scalars::default() };
        return Basis { y: vec![0.0; m * l], z: vec![0.0; l * n], scalars };
    }
    // The step size and the temperatures are meant for a matrix of unit range.
    let x: Vec<f32> = residual.iter().map(|&v| (f64::from(v) / range) as f32).collect();

    let random = |len: usize, rng: &mut Rng| -> Vec<f32> {
        (0..len).map(|_| rng.uniform() as f32).collect()
    };
    let mut y = Relaxed::starting_at(random(m * l, rng), settings.eta);
    let mut z = Relaxed::starting_at(random(l * n, rng), settings.eta);
    let mut gradient = Gradient::new(shape);
    let mut yz = vec![0.0f32; m * n];
    let mut solve = |y: &[f32], z: &[f32]| {
        product(1.0, plain(y, m, l), plain(z, l, n), &mut yz);
        solve_scalars(&x, y, z, &yz, shape)
    };
    let mut scalars = solve(&y.now, &z.now);
    let fall = (settings.t_start - settings.t_end) / (settings.steps.max(2) - 1) as f32;
    for step in 0..settings.steps {
        let temperature = settings.t_start - fall * step as f32;
        y.look_ahead(settings.zeta);
        z.look_ahead(settings.zeta);
        gradient.at(&x, &y.ahead, &z.ahead, scalars);
        y.advance(&gradient.y, settings.eta, temperature);
        z.advance(&gradient.z, settings.eta, temperature);
        scalars = solve(&y.now, &z.now);
    }
    y.threshold();
    z.threshold();
    let a = solve(&y.now, &z.now);
    let scalars = Scalars { r: a.r * range, s: a.s * range, t: a.t * range, u: a.u * range };
    Basis { y: y.now, z: z.now, scalars }
}

/// Bit probabilities on their way.
struct Relaxed {
    now: Vec<f32>,
    before: Vec<f32>,
    ahead: Vec<f32>,
}

impl Relaxed {
    /// The first move goes a step towards one half.
    fn starting_at(before: Vec<f32>, eta: f32) -> Relaxed {
        let now = before.iter().map(|v| v - eta * (v - 0.5)).collect();
        let ahead = vec![0.0; before.len()];
        Relaxed { now, before, ahead }
    }

    fn look_ahead(&mut self, zeta: f32) {
        for ((ahead, now), before) in self.ahead.iter_mut().zip(&self.now).zip(&self.before) {
            *ahead = now + zeta * (now - before);
        }
    }

    fn advance(&mut self, gradient: &[f32], eta: f32, temperature: f32) {
        for ((before, now), g) in self.before.iter_mut().zip(&self.now).zip(gradient) {
            let next = 2.0 * now - *before - eta * (g + temperature * (now - 0.5));
            *before = next.clamp(0.0, 1.0);
        }
        std::mem::swap(&mut self.now, &mut self.before);
    }

    fn threshold(&mut self) {
        self.now.iter_mut().for_each(|v| *v = if *v >= 0.5 { 1.0 } else { 0.0 });
    }
}
