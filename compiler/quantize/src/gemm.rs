//! Dense f32 products of small matrices, the same to the last bit on every machine.
//!
//! Every element is the sum of its products in the order of the inner index, each product and each sum
//! rounded on its own. That order is what makes results reproducible: a library picks its kernel by
//! the processor, and kernels differ in fused operations and order, which an annealing of 50,000
//! steps turns into other bits. Vector registers run over columns only, so their width changes
//! nothing.

use crate::wide::widest;

/// Rows and columns of the tile that is kept in registers.
const TILE_ROWS: usize = 4;
const TILE_COLS: usize = 32;

/// A row-major matrix, or the transpose of one.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    transposed: bool,
}

/// `data` as `rows` x `cols`, row major.
pub fn plain(data: &[f32], rows: usize, cols: usize) -> Operand<'_> {
    assert_eq!(data.len(), rows * cols);
    Operand { data, rows, cols, transposed: false }
}

/// The transpose of `data`, which is `rows` x `cols`, row major.
pub fn transposed(data: &[f32], rows: usize, cols: usize) -> Operand<'_> {
    assert_eq!(data.len(), rows * cols);
    Operand { data, rows: cols, cols: rows, transposed: true }
}

/// Buffers of the product routine, kept between calls.
#[derive(Default)]
pub struct Gemm {
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Gemm {
    /// out = alpha * (a * b), with `out` row major.
    pub fn product(&mut self, alpha: f32, a: Operand<'_>, b: Operand<'_>, out: &mut [f32]) {
        assert_eq!(a.cols, b.rows);
        assert_eq!(out.len(), a.rows * b.cols);
        run(self, alpha, a, b, out);
    }
}

widest! {
    fn run(gemm: &mut Gemm, alpha: f32, a: Operand<'_>, b: Operand<'_>, out: &mut [f32]) {
        pack_rows(a, &mut gemm.a);
        pack_cols(b, &mut gemm.b);
        let shape = Shape { rows: a.rows, inner: a.cols, cols: b.cols };
        tiles(alpha, &gemm.a, &gemm.b, shape, out);
    }
}

/// Rows of a, inner size, columns of b.
#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    inner: usize,
    cols: usize,
}

/// Bands of [`TILE_ROWS`] rows: for each inner index the elements of the band, zeros below the end.
#[inline(always)]
fn pack_rows(a: Operand<'_>, to: &mut Vec<f32>) {
    to.resize(a.rows.div_ceil(TILE_ROWS) * TILE_ROWS * a.cols, 0.0);
    for (band, packed) in to.chunks_mut((TILE_ROWS * a.cols).max(1)).enumerate() {
        let first = band * TILE_ROWS;
        let height = TILE_ROWS.min(a.rows - first);
        if height < TILE_ROWS {
            packed.fill(0.0);
        }
        if a.transposed {
            for (k, group) in packed.chunks_exact_mut(TILE_ROWS).enumerate() {
                let from = &a.data[k * a.rows + first..][..height];
                group.iter_mut().zip(from).for_each(|(to, &v)| *to = v);
            }
        } else {
            for i in 0..height {
                let row = &a.data[(first + i) * a.cols..][..a.cols];
                for (group, &v) in packed.chunks_exact_mut(TILE_ROWS).zip(row) {
                    group[i] = v;
                }
            }
        }
    }
}

/// Bands of [`TILE_COLS`] columns: for each inner index the elements of the band, zeros beyond.
#[inline(always)]
fn pack_cols(b: Operand<'_>, to: &mut Vec<f32>) {
    to.resize(b.cols.div_ceil(TILE_COLS) * TILE_COLS * b.rows, 0.0);
    for (band, packed) in to.chunks_mut((TILE_COLS * b.rows).max(1)).enumerate() {
        let first = band * TILE_COLS;
        let width = TILE_COLS.min(b.cols - first);
        if width < TILE_COLS {
            packed.fill(0.0);
        }
        if b.transposed {
            for j in 0..width {
                let column = &b.data[(first + j) * b.rows..][..b.rows];
                for (group, &v) in packed.chunks_exact_mut(TILE_COLS).zip(column) {
                    group[j] = v;
                }
            }
        } else {
            for (k, group) in packed.chunks_exact_mut(TILE_COLS).enumerate() {
                group[..width].copy_from_slice(&b.data[k * b.cols + first..][..width]);
            }
        }
    }
}

#[inline(always)]
fn tiles(alpha: f32, a: &[f32], b: &[f32], shape: Shape, out: &mut [f32]) {
    let Shape { rows, inner, cols } = shape;
    if inner == 0 {
        out.fill(0.0);
        return;
    }
    for (right, b) in b.chunks_exact(TILE_COLS * inner).enumerate() {
        let left = right * TILE_COLS;
        let width = TILE_COLS.min(cols - left);
        for (down, a) in a.chunks_exact(TILE_ROWS * inner).enumerate() {
            let sums = tile(a, b);
            let top = down * TILE_ROWS;
            for (i, sums) in sums.iter().enumerate().take(TILE_ROWS.min(rows - top)) {
                let row = &mut out[(top + i) * cols + left..][..width];
                row.iter_mut().zip(sums).for_each(|(o, s)| *o = alpha * s);
            }
        }
    }
}

#[inline(always)]
fn tile(a: &[f32], b: &[f32]) -> [[f32; TILE_COLS]; TILE_ROWS] {
    let mut sums = [[0.0f32; TILE_COLS]; TILE_ROWS];
    for (a, b) in a.chunks_exact(TILE_ROWS).zip(b.chunks_exact(TILE_COLS)) {
        for i in 0..TILE_ROWS {
            for j in 0..TILE_COLS {
                sums[i][j] += a[i] * b[j];
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    #[test]
    fn every_element_is_its_sum_in_order() {
        let mut rng = Rng::new(41);
        for (m, k, n) in [(1, 1, 1), (4, 7, 32), (5, 3, 33), (17, 64, 70), (2, 0, 3)] {
            let a: Vec<f32> = (0..m * k).map(|_| rng.normal() as f32).collect();
            let b: Vec<f32> = (0..k * n).map(|_| rng.normal() as f32).collect();
            let flip = |x: &[f32], rows: usize, cols: usize| -> Vec<f32> {
                (0..rows * cols).map(|at| x[at % rows * cols + at / rows]).collect()
            };
            let (at, bt) = (flip(&a, m, k), flip(&b, k, n));
            let mut want = vec![0.0f32; m * n];
            for i in 0..m {
                for j in 0..n {
                    let sum = (0..k).fold(0.0f32, |s, x| s + a[i * k + x] * b[x * n + j]);
                    want[i * n + j] = -2.0 * sum;
                }
            }
            let mut gemm = Gemm::default();
            for left in [plain(&a, m, k), transposed(&at, k, m)] {
                for right in [plain(&b, k, n), transposed(&bt, n, k)] {
                    let mut out = vec![f32::NAN; m * n];
                    gemm.product(-2.0, left, right, &mut out);
                    assert_eq!(out, want);
                    tiles(-2.0, &gemm.a, &gemm.b, Shape { rows: m, inner: k, cols: n }, &mut out);
                    assert_eq!(out, want);
                }
            }
        }
    }
}
