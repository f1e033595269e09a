//! k-means of weighted points, fast enough for hundreds of thousands of them.

use crate::random::Rng;
use crate::wide::widest;

/// How long to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Independent runs; the one of least error is kept, the first of equal ones.
    pub restarts: usize,
    /// Lloyd iterations of a run at most.
    pub iterations: usize,
}

/// A run ends when an iteration takes less than this share off the error.
const SMALL: f64 = 1e-4;

/// Centroids that are compared at once.
const LANES: usize = 16;

/// `k` centroids (k x sub) for `points` (count x sub) of weight `weights` that make the weighted sum
/// of squared distances small: k-means++ and Lloyd's iteration, each `restarts` times.
///
/// A cluster without weight takes the point that adds most to the error, the lower index on a tie.
/// With no more distinct points than centroids the error is zero. There must be a point; if no
/// weight is positive, all count the same.
pub fn weighted_k_means(
    points: &[f32],
    weights: &[f64],
    sub: usize,
    k: usize,
    effort: Effort,
    rng: impl Fn(usize) -> Rng,
) -> Vec<f32> {
    let ones;
    let weights = if weights.iter().any(|&w| w > 0.0) {
        weights
    } else {
        ones = vec![1.0; weights.len()];
        &ones
    };
    let mut best = (f64::INFINITY, Vec::new());
    for restart in 0..effort.restarts.max(1) {
        let found = run(points, weights, sub, k, effort.iterations, &mut rng(restart));
        if found.0 < best.0 || best.1.is_empty() {
            best = found;
        }
    }
    best.1
}

fn run(
    points: &[f32],
    weights: &[f64],
    sub: usize,
    k: usize,
    iterations: usize,
    rng: &mut Rng,
) -> (f64, Vec<f32>) {
    let mut centroids = plus_plus(points, weights, sub, k, rng);
    let mut nearest = Nearest::new(points.len() / sub);
    nearest.assign(points, &centroids, sub);
    let mut cost = nearest.cost(weights);
    for _ in 0..iterations {
        update(points, weights, sub, &mut nearest, &mut centroids);
        nearest.assign(points, &centroids, sub);
        let next = nearest.cost(weights);
        let done = next >= cost * (1.0 - SMALL);
        cost = next;
        if done {
            break;
        }
    }
    (cost, centroids)
}

/// First centroids: each next one is a point drawn with a probability in proportion to its weight
/// times its squared distance from the nearest one so far.
fn plus_plus(points: &[f32], weights: &[f64], sub: usize, k: usize, rng: &mut Rng) -> Vec<f32> {
    let mut centroids = Vec::with_capacity(k * sub);
    let mut distance = vec![1.0f32; weights.len()];
    let mut share = vec![0.0; weights.len()];
    for _ in 0..k {
        share.iter_mut().zip(weights).zip(&distance).for_each(|((s, w), &d)| *s = w * f64::from(d));
        let mut left = rng.uniform() * share.iter().sum::<f64>();
        // The last point of any share catches what rounding leaves over.
        let mut chosen = share.iter().rposition(|&s| s > 0.0).unwrap_or(0);
        for (i, &s) in share.iter().enumerate() {
            if s > 0.0 && left < s {
                chosen = i;
                break;
            }
            left -= s;
        }
        let c = &points[chosen * sub..][..sub];
        // The ones with which the first is drawn are no distances.
        let first = centroids.is_empty();
        centroids.extend_from_slice(c);
        for (d, p) in distance.iter_mut().zip(points.chunks_exact(sub)) {
            let to: f32 = p.iter().zip(c).map(|(x, y)| (x - y) * (x - y)).sum();
            *d = if first { to } else { d.min(to) };
        }
    }
    centroids
}

/// Moves every centroid to the weighted mean of its points, then gives those without weight a far
/// point each.
fn update(
    points: &[f32],
    weights: &[f64],
    sub: usize,
    nearest: &mut Nearest,
    centroids: &mut [f32],
) {
    let k = centroids.len() / sub;
    let mut sums = vec![0.0f64; k * sub];
    let mut mass = vec![0.0f64; k];
    for ((p, &w), &c) in points.chunks_exact(sub).zip(weights).zip(&nearest.index) {
        let c = c as usize;
        mass[c] += w;
        sums[c * sub..][..sub].iter_mut().zip(p).for_each(|(s, &v)| *s += w * f64::from(v));
    }
    for (c, centroid) in centroids.chunks_exact_mut(sub).enumerate() {
        if mass[c] > 0.0 {
            let sums = &sums[c * sub..][..sub];
            centroid.iter_mut().zip(sums).for_each(|(v, s)| *v = (s / mass[c]) as f32);
            continue;
        }
        let far = nearest.distance.iter().zip(weights).enumerate().fold(
            (0, 0.0),
            |best, (i, (&d, w))| {
                let adds = f64::from(d) * w;
                if adds > best.1 {
                    (i, adds)
                } else {
                    best
                }
            },
        );
        if far.1 > 0.0 {
            centroid.copy_from_slice(&points[far.0 * sub..][..sub]);
            nearest.distance[far.0] = 0.0;
        }
    }
}

/// The nearest centroid of every point, the lower index on a tie, and its squared distance.
pub struct Nearest {
    /// Centroids.
    pub index: Vec<u32>,
    /// Squared distances.
    pub distance: Vec<f32>,
    lanes: Vec<[f32; LANES]>,
}

impl Nearest {
    /// For `count` points.
    pub fn new(count: usize) -> Nearest {
        Nearest { index: vec![0; count], distance: vec![0.0; count], lanes: Vec::new() }
    }

    /// Finds them.
    pub fn assign(&mut self, points: &[f32], centroids: &[f32], sub: usize) {
        // Centroids side by side; those that fill up the last group are infinitely far.
        let groups = (centroids.len() / sub).div_ceil(LANES);
        self.lanes.clear();
        self.lanes.resize(groups * sub, [f32::INFINITY; LANES]);
        for (c, centroid) in centroids.chunks_exact(sub).enumerate() {
            for (d, &v) in centroid.iter().enumerate() {
                self.lanes[c / LANES * sub + d][c % LANES] = v;
            }
        }
        search(points, &self.lanes, sub, &mut self.index, &mut self.distance);
    }

    fn cost(&self, weights: &[f64]) -> f64 {
        self.distance.iter().zip(weights).map(|(&d, w)| f64::from(d) * w).sum()
    }
}

widest! {
    fn search(points: &[f32], lanes: &[[f32; LANES]], sub: usize, index: &mut [u32], distance: &mut [f32]) {
        match sub {
            2 => search_fixed::<2>(points, lanes, index, distance),
            4 => search_fixed::<4>(points, lanes, index, distance),
            8 => search_fixed::<8>(points, lanes, index, distance),
            _ => {
                let found = index.iter_mut().zip(distance);
                for (p, (index, distance)) in points.chunks_exact(sub).zip(found) {
                    (*index, *distance) = search_one(p, lanes);
                }
            }
        }
    }
}

#[inline(always)]
fn search_fixed<const SUB: usize>(
    points: &[f32],
    lanes: &[[f32; LANES]],
    index: &mut [u32],
    distance: &mut [f32],
) {
    for (p, (index, distance)) in points.chunks_exact(SUB).zip(index.iter_mut().zip(distance)) {
        let mut point = [0.0; SUB];
        point.copy_from_slice(p);
        (*index, *distance) = search_one(&point, lanes);
    }
}

#[inline(always)]
fn search_one(p: &[f32], lanes: &[[f32; LANES]]) -> (u32, f32) {
    let (mut best, mut of) = ([f32::INFINITY; LANES], [0u32; LANES]);
    for (group, centroids) in (0u32..).zip(lanes.chunks_exact(p.len())) {
        let mut d = [0.0f32; LANES];
        for (x, c) in p.iter().zip(centroids) {
            for l in 0..LANES {
                d[l] += (x - c[l]) * (x - c[l]);
            }
        }
        for l in 0..LANES {
            let less = d[l] < best[l];
            best[l] = if less { d[l] } else { best[l] };
            of[l] = if less { group } else { of[l] };
        }
    }
    let mut found = (u32::MAX, f32::INFINITY);
    for l in 0..LANES {
        let at = of[l] * LANES as u32 + l as u32;
        if best[l] < found.1 || (best[l] == found.1 && at < found.0) {
            found = (at, best[l]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const EFFORT: Effort = Effort { restarts: 2, iterations: 50 };

    fn normal(count: usize) -> Vec<f32> {
        let mut rng = Rng::new(71);
        (0..count).map(|_| rng.normal() as f32).collect()
    }

    #[test]
    fn the_nearest_is_the_nearest_and_ties_go_to_the_lower_index() {
        for (sub, k) in [(1, 1), (2, 5), (3, 16), (4, 17), (8, 40)] {
            let points = normal(100 * sub);
            let mut centroids = points[..k * sub].to_vec();
            // The last centroid is there twice, and the second time never chosen.
            centroids.extend_from_within((k - 1) * sub..);
            let mut nearest = Nearest::new(100);
            nearest.assign(&points, &centroids, sub);
            for (i, p) in points.chunks(sub).enumerate() {
                let to =
                    |c: &[f32]| p.iter().zip(c).fold(0.0f32, |s, (x, y)| s + (x - y) * (x - y));
                let all: Vec<f32> = centroids.chunks(sub).map(to).collect();
                let least = all.iter().copied().fold(f32::INFINITY, f32::min);
                let want = all.iter().position(|&d| d == least).unwrap();
                assert_eq!((nearest.index[i] as usize, nearest.distance[i]), (want, least));
            }
        }
    }

    #[test]
    fn a_weight_counts_like_as_many_points() {
        // Two clusters of two points each, far apart: the centroids are the weighted means.
        let points = [0.0, 1.0, 100.0, 104.0];
        let rng = |i| Rng::for_piece(1, "w", &[i]);
        let mut got = weighted_k_means(&points, &[3.0, 1.0, 1.0, 1.0], 1, 2, EFFORT, rng);
        got.sort_by(f32::total_cmp);
        assert_eq!(got, [0.25, 102.0]);
        // A point without weight draws nothing.
        let mut got = weighted_k_means(&points, &[1.0, 0.0, 0.0, 2.0], 1, 2, EFFORT, rng);
        got.sort_by(f32::total_cmp);
        assert_eq!(got, [0.0, 104.0]);
    }

    #[test]
    fn enough_centroids_are_exact_and_no_weight_is_the_same_weight() {
        let points = normal(24);
        let rng = |i| Rng::for_piece(2, "w", &[i]);
        let mut nearest = Nearest::new(12);
        nearest.assign(&points, &weighted_k_means(&points, &[0.5; 12], 2, 14, EFFORT, rng), 2);
        assert_eq!(nearest.distance, [0.0; 12]);
        let zero = weighted_k_means(&points, &[0.0; 12], 2, 3, EFFORT, rng);
        assert_eq!(zero, weighted_k_means(&points, &[1.0; 12], 2, 3, EFFORT, rng));
    }
}
