//! Annealed mean-field search for the two bit matrices of one basis.
//!
//! Bits are relaxed to independent probabilities Y, Z. The energy is the expected squared error
//! plus a temperature term that pulls every probability towards one half; the temperature falls
//! linearly, so that the minimum moves from the centre of the cube to a corner. Each step moves
//! with momentum 1 along the gradient taken at a point ahead (arXiv 2510.18650).

use super::scalars::{ScalarSolver, Scalars, Shape};
use crate::gemm::{plain, transposed, Gemm};
use crate::random::Rng;
use crate::wide::widest;

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
    gemm: Gemm,
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
            gemm: Gemm::default(),
        }
    }

    /// Fills `y` and `z` with the gradient at (`y`, `z`) for the matrix `x` and the scalars `a`:
    ///
    /// gY = -2P(rZ+s)^T + [r^2 + 2rs(1-2Y) + 2rt] zs - 2[rt + r^2 Y] zs2 + s^2(1-2Y) n, with zs and zs2
    /// the sums over a row of Z of the values and of their squares; gZ likewise.
    pub fn at(&mut self, x: &[f32], y: &[f32], z: &[f32], a: Scalars) {
        let Shape { m, n, l } = self.shape;
        let r = a.r as f32;
        self.gemm.product(r, plain(y, m, l), plain(z, l, n), &mut self.error);
        errors(self, x, y, z, a);
        let error = plain(&self.error, m, n);
        self.gemm.product(-2.0 * r, error, transposed(z, l, n), &mut self.y);
        self.gemm.product(-2.0 * r, transposed(y, m, l), error, &mut self.z);
        single_terms(self, y, z, a);
    }
}

widest! {
    /// Sums of the bits, and from r Y Z the error P with its row and column sums.
    fn errors(g: &mut Gradient, x: &[f32], y: &[f32], z: &[f32], a: Scalars) {
        let Shape { n, l, .. } = g.shape;
        let (s, t, u) = (a.s as f32, a.t as f32, a.u as f32);
        for sums in [&mut g.y_k, &mut g.y2_k, &mut g.z_col, &mut g.p_col] {
            sums.fill(0.0);
        }
        for (row, total) in y.chunks_exact(l).zip(&mut g.y_row) {
            *total = sum(row);
            for ((total, squares), v) in g.y_k.iter_mut().zip(&mut g.y2_k).zip(row) {
                *total += v;
                *squares += v * v;
            }
        }
        for (k, row) in z.chunks_exact(n).enumerate() {
            g.z_k[k] = sum(row);
            g.z2_k[k] = sum_of_squares(row);
            g.z_col.iter_mut().zip(row).for_each(|(total, v)| *total += v);
        }
        for (i, (row, x)) in g.error.chunks_exact_mut(n).zip(x.chunks_exact(n)).enumerate() {
            let base = s * g.y_row[i] + u;
            for ((e, x), z) in row.iter_mut().zip(x).zip(&g.z_col) {
                *e = x - (*e + base + t * z);
            }
            g.p_col.iter_mut().zip(&*row).for_each(|(total, e)| *total += e);
            g.p_row[i] = sum(row);
        }
    }
}

widest! {
    /// Adds to the products of the gradient the terms of one factor alone.
    fn single_terms(g: &mut Gradient, y: &[f32], z: &[f32], a: Scalars) {
        let Shape { m, n, l } = g.shape;
        let (r, s, t) = (a.r as f32, a.s as f32, a.t as f32);
        let (mf, nf) = (m as f32, n as f32);
        for (i, (out, y)) in g.y.chunks_exact_mut(l).zip(y.chunks_exact(l)).enumerate() {
            let common = -2.0 * s * g.p_row[i];
            for ((out, &v), (zs, zs2)) in out.iter_mut().zip(y).zip(g.z_k.iter().zip(&g.z2_k)) {
                let flip = 1.0 - 2.0 * v;
                *out += common
                    + (r * r + 2.0 * r * s * flip + 2.0 * r * t) * zs
                    - 2.0 * (r * t + r * r * v) * zs2
                    + s * s * flip * nf;
            }
        }
        for (k, (out, z)) in g.z.chunks_exact_mut(n).zip(z.chunks_exact(n)).enumerate() {
            let (ys, ys2) = (g.y_k[k], g.y2_k[k]);
            for ((out, &v), p) in out.iter_mut().zip(z).zip(&g.p_col) {
                let flip = 1.0 - 2.0 * v;
                *out += -2.0 * t * p
                    + (r * r + 2.0 * r * s + 2.0 * r * t * flip) * ys
                    - 2.0 * (r * r * v + r * s) * ys2
                    + t * t * flip * mf;
            }
        }
    }
}

/// Sums go in this many lanes, whatever the registers hold.
const LANES: usize = 16;

#[inline(always)]
fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let tail: f32 = chunks.remainder().iter().sum();
    chunks.for_each(|c| (0..LANES).for_each(|i| lanes[i] += c[i]));
    lanes.iter().sum::<f32>() + tail
}

#[inline(always)]
fn sum_of_squares(values: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let chunks = values.chunks_exact(LANES);
    let tail: f32 = chunks.remainder().iter().map(|v| v * v).sum();
    chunks.for_each(|c| (0..LANES).for_each(|i| lanes[i] += c[i] * c[i]));
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
    let mut solver = ScalarSolver::new(&x, shape);
    let mut gemm = Gemm::default();
    let mut solve = |y: &[f32], z: &[f32]| {
        gemm.product(1.0, plain(y, m, l), plain(z, l, n), &mut yz);
        solver.solve(y, z, &yz)
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
