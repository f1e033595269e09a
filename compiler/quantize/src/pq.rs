//! Product quantization of weights: k-means per sub-vector position, int8 codebooks.

use crate::matrix::{bytes_of_i8, bytes_of_u16, Matrix, QuantizedMatrix};
use crate::random::Rng;
use crate::uniform::{choose_step, code, Clip};
use pimc_ir::WeightType;
use rayon::prelude::*;

/// First centroids of a k-means run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// k-means++: each next centroid is a point drawn with probability proportional to its squared
    /// distance from the nearest one so far.
    PlusPlus,
    /// Every (points/k)-th point, from a random offset.
    Strided,
}

/// How a matrix becomes codes and codebooks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PqSettings {
    /// Inputs per sub-vector; divides the columns.
    pub sub: usize,
    /// Centroids per codebook, 1..=65536.
    pub k: usize,
    /// One codebook for all sub-vector positions.
    pub shared: bool,
    /// Each row is divided by its root mean square first; the factor goes into the requantiser.
    pub row_scale: bool,
    /// First centroids.
    pub init: Init,
    /// Independent runs; the one of least error is kept, the first of equal ones.
    pub restarts: usize,
    /// Lloyd iterations of a run at most.
    pub iterations: usize,
}

/// Points of one codebook and the result of clustering them.
#[derive(Clone, Debug)]
pub struct Clusters {
    /// k x sub.
    pub centroids: Vec<f32>,
    /// Nearest centroid of each point, the lower index on a tie.
    pub assignment: Vec<usize>,
    /// Sum of squared distances after each iteration; never rises.
    pub costs: Vec<f64>,
}

/// k-means of `points` (count x sub) by Lloyd's iteration, until no point changes its cluster.
///
/// A cluster that has lost all its points takes the point that is farthest from its own centroid
/// (the lower index on a tie) as its centroid, if any point is off its centroid at all; otherwise it
/// stays where it is. With fewer distinct points than centroids the error is therefore zero.
pub fn k_means(points: &[f32], sub: usize, s: &PqSettings, rng: &mut Rng) -> Clusters {
    let mut centroids = match s.init {
        Init::PlusPlus => plus_plus(points, sub, s.k, rng),
        Init::Strided => strided(points, sub, s.k, rng),
    };
    let (mut assignment, mut distance) = assign(points, &centroids, sub);
    let mut costs = vec![distance.iter().sum()];
    for _ in 0..s.iterations {
        update(points, sub, &assignment, &mut distance, &mut centroids);
        let (next, d) = assign(points, &centroids, sub);
        let same = next == assignment;
        (assignment, distance) = (next, d);
        costs.push(distance.iter().sum());
        if same {
            break;
        }
    }
    Clusters { centroids, assignment, costs }
}

fn distance_squared(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| f64::from(x - y) * f64::from(x - y)).sum()
}

/// The nearest centroid of every point and its squared distance.
fn assign(points: &[f32], centroids: &[f32], sub: usize) -> (Vec<usize>, Vec<f64>) {
    let nearest = points.chunks(sub).map(|p| {
        let mut best = (0, f64::INFINITY);
        for (j, c) in centroids.chunks(sub).enumerate() {
            let d = distance_squared(p, c);
            if d < best.1 {
                best = (j, d);
            }
        }
        best
    });
    nearest.unzip()
}

/// Moves every centroid to the mean of its points, then gives empty clusters a far point each.
fn update(
    points: &[f32],
    sub: usize,
    assignment: &[usize],
    distance: &mut [f64],
    centroids: &mut [f32],
) {
    let k = centroids.len() / sub;
    let mut sums = vec![0.0f64; k * sub];
    let mut counts = vec![0usize; k];
    for (p, &j) in points.chunks(sub).zip(assignment) {
        counts[j] += 1;
        for (total, &v) in sums[j * sub..][..sub].iter_mut().zip(p) {
            *total += f64::from(v);
        }
    }
    for j in 0..k {
        for d in 0..sub {
            if counts[j] > 0 {
                centroids[j * sub + d] = (sums[j * sub + d] / counts[j] as f64) as f32;
            }
        }
    }
    for j in (0..k).filter(|&j| counts[j] == 0) {
        let far =
            distance.iter().enumerate().fold(
                (0, 0.0),
                |best, (i, &d)| {
                    if d > best.1 {
                        (i, d)
                    } else {
                        best
                    }
                },
            );
        if far.1 > 0.0 {
            centroids[j * sub..][..sub].copy_from_slice(&points[far.0 * sub..][..sub]);
            distance[far.0] = 0.0;
        }
    }
}

fn plus_plus(points: &[f32], sub: usize, k: usize, rng: &mut Rng) -> Vec<f32> {
    let count = points.len() / sub;
    let point = |i: usize| &points[i * sub..][..sub];
    let mut centroids = point(rng.below(count)).to_vec();
    let mut distance: Vec<f64> =
        points.chunks(sub).map(|p| distance_squared(p, &centroids)).collect();
    while centroids.len() < k * sub {
        let total: f64 = distance.iter().sum();
        let mut left = rng.uniform() * total;
        // The last point with any distance catches what rounding leaves over.
        let mut chosen = distance.iter().rposition(|&d| d > 0.0).unwrap_or(0);
        for (i, &d) in distance.iter().enumerate() {
            if d > 0.0 && left < d {
                chosen = i;
                break;
            }
            left -= d;
        }
        centroids.extend_from_slice(point(chosen));
        for (d, p) in distance.iter_mut().zip(points.chunks(sub)) {
            *d = d.min(distance_squared(p, point(chosen)));
        }
    }
    centroids
}

fn strided(points: &[f32], sub: usize, k: usize, rng: &mut Rng) -> Vec<f32> {
    let count = points.len() / sub;
    let offset = rng.below(count);
    (0..k)
        .flat_map(|j| {
            let at = (offset + j * count / k) % count;
            points[at * sub..][..sub].iter().copied()
        })
        .collect()
}

/// Quantizes `w`. `seed` and `name` choose the random streams; `done` is called after each codebook.
pub fn quantize_pq(
    w: &Matrix,
    s: &PqSettings,
    seed: u64,
    name: &str,
    done: &(dyn Fn() + Sync),
) -> QuantizedMatrix {
    let (rows, cols, sub, k) = (w.rows, w.cols, s.sub, s.k);
    let parts = cols / sub;
    let row_factor = if s.row_scale { row_factors(w) } else { vec![1.0; rows] };
    let scaled: Vec<f32> = w
        .data
        .iter()
        .enumerate()
        .map(|(at, &v)| (f64::from(v) / row_factor[at / cols]) as f32)
        .collect();
    let books = if s.shared { 1 } else { parts };
    // Points of a codebook: all rows at one sub-vector position, or all of them, row after row.
    let points_of = |book: usize| -> Vec<f32> {
        if s.shared {
            return scaled.clone();
        }
        (0..rows).flat_map(|r| &scaled[r * cols + book * sub..][..sub]).copied().collect()
    };
    let clusters: Vec<Clusters> = (0..books)
        .into_par_iter()
        .map(|book| {
            let points = points_of(book);
            let run = |i| k_means(&points, sub, s, &mut Rng::for_piece(seed, name, &[book, i]));
            let mut best = run(0);
            for next in (1..s.restarts.max(1)).map(run) {
                if next.costs.last() < best.costs.last() {
                    best = next;
                }
            }
            done();
            best
        })
        .collect();

    let (step, codebook) = int8_codebooks(&clusters, sub);
    let codes = nearest_codes(&scaled, &codebook, step, rows, parts, s);
    let ints = codes.iter().enumerate().flat_map(|(at, &c)| {
        let book = if s.shared { 0 } else { at % parts };
        codebook[(book * k + c) * sub..][..sub].iter().map(|&v| i64::from(v))
    });
    let ints: Vec<i64> = ints.collect();
    let code_bits = u64::from(usize::BITS - (k - 1).leading_zeros());
    let bits = code_bits * codes.len() as u64
        + 8 * codebook.len() as u64
        + if s.row_scale { 32 * rows as u64 } else { 32 };
    let code_bytes = if k > 256 {
        bytes_of_u16(&codes.iter().map(|&c| c as u16).collect::<Vec<_>>())
    } else {
        codes.iter().map(|&c| c as u8).collect()
    };
    QuantizedMatrix {
        ty: WeightType::Pq { rows, cols, sub, k, shared: s.shared },
        tensors: vec![code_bytes, bytes_of_i8(&codebook)],
        scale: row_factor.iter().map(|f| f * step).collect(),
        ints,
        bits,
    }
}

/// The root mean square of every row. A row of zeros is exact at any factor and takes that of the whole
/// matrix, near those of the other rows, because the requantiser has one shift for all.
fn row_factors(w: &Matrix) -> Vec<f64> {
    let root_mean_square = |values: &[f32]| {
        let squares = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
        Some((squares / values.len() as f64).sqrt()).filter(|&root| root > 0.0)
    };
    let all = root_mean_square(&w.data).unwrap_or(1.0);
    (0..w.rows).map(|r| root_mean_square(w.row(r)).unwrap_or(all)).collect()
}

/// One step for all codebooks of a tensor, of least error over the points they stand for, and the
/// rounded centroids, book after book.
fn int8_codebooks(clusters: &[Clusters], sub: usize) -> (f64, Vec<i8>) {
    let values: Vec<f32> = clusters.iter().flat_map(|c| c.centroids.iter().copied()).collect();
    let mut weight = Vec::with_capacity(values.len());
    for c in clusters {
        let mut counts = vec![0.0f64; c.centroids.len() / sub];
        c.assignment.iter().for_each(|&j| counts[j] += 1.0);
        weight.extend(counts.iter().flat_map(|&n| std::iter::repeat_n(n, sub)));
    }
    // All centroids zero: exact at any step.
    let step = choose_step(&values, &weight, 8, Clip::Mse).unwrap_or(1.0);
    (step, values.iter().map(|&v| code(f64::from(v), step, 127) as i8).collect())
}

/// The code of every sub-vector against the rounded centroids, the lower index on a tie.
fn nearest_codes(
    scaled: &[f32],
    codebook: &[i8],
    step: f64,
    rows: usize,
    parts: usize,
    s: &PqSettings,
) -> Vec<usize> {
    let real: Vec<f32> = codebook.iter().map(|&v| (f64::from(v) * step) as f32).collect();
    (0..rows * parts)
        .into_par_iter()
        .map(|at| {
            let book = if s.shared { 0 } else { at % parts };
            let centroids = &real[book * s.k * s.sub..][..s.k * s.sub];
            assign(&scaled[at * s.sub..][..s.sub], centroids, s.sub).0[0]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: PqSettings = PqSettings {
        sub: 2,
        k: 4,
        shared: false,
        row_scale: false,
        init: Init::PlusPlus,
        restarts: 3,
        iterations: 50,
    };

    fn gaussian(rows: usize, cols: usize) -> Matrix {
        let mut rng = Rng::new(21);
        Matrix { rows, cols, data: (0..rows * cols).map(|_| rng.normal() as f32).collect() }
    }

    fn quantized(w: &Matrix, s: &PqSettings) -> QuantizedMatrix {
        quantize_pq(w, s, 1, "w", &|| ())
    }

    #[test]
    fn the_cost_never_rises() {
        let w = gaussian(300, 2);
        for init in [Init::PlusPlus, Init::Strided] {
            for k in [2, 16, 64] {
                let s = PqSettings { k, init, ..SETTINGS };
                let got = k_means(&w.data, 2, &s, &mut Rng::new(5));
                assert!(got.costs.len() > 3);
                for pair in got.costs.windows(2) {
                    assert!(pair[1] <= pair[0] * (1.0 + 1e-6), "{:?}", got.costs);
                }
            }
        }
    }

    #[test]
    fn two_means_of_a_line_are_the_best_split() {
        // Brute force: on a line the best two clusters are a prefix and the rest.
        let mut points: Vec<f32> = gaussian(40, 1).data;
        points.sort_by(f32::total_cmp);
        let spread = |p: &[f32]| -> f64 {
            let mean = p.iter().map(|&v| f64::from(v)).sum::<f64>() / p.len() as f64;
            p.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum()
        };
        let best = (1..40)
            .map(|i| spread(&points[..i]) + spread(&points[i..]))
            .fold(f64::INFINITY, f64::min);
        let s = PqSettings { k: 2, sub: 1, ..SETTINGS };
        let found = (0..8)
            .map(|seed| *k_means(&points, 1, &s, &mut Rng::new(seed)).costs.last().unwrap())
            .fold(f64::INFINITY, f64::min);
        assert!((found - best).abs() < 1e-3 * best, "{found} {best}");
    }

    #[test]
    fn as_many_centroids_as_points_leave_only_rounding() {
        let w = gaussian(8, 4);
        let got = quantized(&w, &PqSettings { k: 8, ..SETTINGS });
        // Uniform 8-bit rounding of values within three sigma errs by about step^2/12.
        assert!(got.relative_mse(&w) < 1e-4, "{}", got.relative_mse(&w));
    }

    #[test]
    fn more_centroids_than_distinct_points_and_constant_matrices_work() {
        let w = Matrix { rows: 3, cols: 2, data: vec![1.0; 6] };
        for init in [Init::PlusPlus, Init::Strided] {
            let got = quantized(&w, &PqSettings { k: 16, init, ..SETTINGS });
            assert!(got.dequantized().data.iter().all(|v| (v - 1.0).abs() < 1e-6));
        }
        let zero = Matrix { rows: 2, cols: 2, data: vec![0.0; 4] };
        let got = quantized(&zero, &PqSettings { row_scale: true, ..SETTINGS });
        assert!(got.ints.iter().all(|&q| q == 0));
    }

    #[test]
    fn a_row_of_zeros_has_a_scale_near_those_of_the_others() {
        let mut w = gaussian(3, 8);
        w.data.iter_mut().for_each(|v| *v *= 1e-3);
        w.data[8..16].fill(0.0);
        let got = quantized(&w, &PqSettings { row_scale: true, ..SETTINGS });
        let highest = got.scale[0].max(got.scale[2]);
        assert!(got.scale[1] <= highest && got.ints[8..16].iter().all(|&q| q == 0), "{got:?}");
    }

    #[test]
    fn codes_point_at_the_nearest_rounded_centroid() {
        let w = gaussian(32, 8);
        for shared in [false, true] {
            for row_scale in [false, true] {
                let s = PqSettings { shared, row_scale, k: 16, ..SETTINGS };
                let got = quantized(&w, &s);
                let (codes, book) = (&got.tensors[0], &got.tensors[1]);
                for r in 0..32 {
                    for p in 0..4 {
                        let base = if shared { 0 } else { p * 16 };
                        let error = |c: usize| -> f64 {
                            let at = |d| f64::from(w.row(r)[2 * p + d]);
                            let q = |d| f64::from(book[(base + c) * 2 + d] as i8) * got.scale[r];
                            (at(0) - q(0)).powi(2) + (at(1) - q(1)).powi(2)
                        };
                        let best = (0..16).map(error).fold(f64::INFINITY, f64::min);
                        let mine = error(usize::from(codes[r * 4 + p]));
                        assert!(mine <= best * (1.0 + 1e-4) + 1e-9);
                    }
                }
            }
        }
    }

    #[test]
    fn wide_codes_and_thread_counts() {
        let w = gaussian(600, 2);
        let s = PqSettings { k: 512, restarts: 1, iterations: 5, ..SETTINGS };
        let here = quantized(&w, &s);
        assert_eq!(here.tensors[0].len(), 600 * 2);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(pool.install(|| quantized(&w, &s)).tensors, here.tensors);
    }
}
