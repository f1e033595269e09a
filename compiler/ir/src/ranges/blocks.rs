//! Products of the signs of binary quadratic blocks, and sums of intervals weighted by them.
//!
//! A row of A times B adds up rows of B, some of them negated. For every four rows of B and every
//! choice of their signs the sum is made once; a row of A then takes one sum for each four of its bits
//! (the method of four Russians), a tile of columns at a time, in bytes.

use super::masks::bits_word;
use super::vectors::{vectors, Work};
use super::{Interval, Wide};
use crate::tensors::BqqView;
use rayon::prelude::*;
use std::ops::{Add, AddAssign, Mul};

/// Columns that are worked on at a time.
pub const TILE: usize = 64;
/// Sums of four signs that are added up in a byte; an even number, for two to a byte of A.
const BYTE_SUMS: usize = 30;

/// The signs of each byte: bit 1 is +1, bit 0 is -1.
const SIGNS: [[i8; 8]; 256] = {
    let mut all = [[-1; 8]; 256];
    let mut at = 0;
    while at < 256 * 8 {
        if ((at / 8) >> (at % 8)) & 1 == 1 {
            all[at / 8][at % 8] = 1;
        }
        at += 1;
    }
    all
};

/// Columns 64q .. of B of one block and basis.
pub struct Block {
    /// The sum of each column of B; zero behind the last.
    pub columns: [i32; TILE],
    /// Per four rows of B, for every choice of signs: the sum of the rows.
    sums: Vec<[[i8; TILE]; 16]>,
}

impl Block {
    /// Tile `q` of basis `i` of block (`br`, `bc`).
    #[inline(always)]
    pub fn new(v: &BqqView<'_>, (i, br, bc): (usize, usize, usize), q: usize) -> Block {
        let width = TILE.min(v.block_cols() - TILE * q);
        let mut columns = [0; TILE];
        let mut sums = Vec::with_capacity(v.inner().div_ceil(4));
        for first in (0..v.inner()).step_by(4) {
            let mut rows = [[0i8; TILE]; 4];
            // Rows behind the last stay zero, so that whatever bits A has there add nothing.
            for (k, row) in (first..v.inner()).zip(&mut rows) {
                let word = bits_word(v.b_bytes(i, br, bc, k), q, v.block_cols());
                for (signs, byte) in row.chunks_exact_mut(8).zip(word.to_le_bytes()) {
                    signs.copy_from_slice(&SIGNS[usize::from(byte)]);
                }
                row[width..].fill(0);
                columns.iter_mut().zip(row).for_each(|(sum, sign)| *sum += i32::from(*sign));
            }
            let mut four = [[0i8; TILE]; 16];
            for j in 0..TILE {
                four[0][j] = -(rows[0][j] + rows[1][j] + rows[2][j] + rows[3][j]);
            }
            for choice in 1..16usize {
                let (bit, before) = (choice.trailing_zeros() as usize, choice & (choice - 1));
                for j in 0..TILE {
                    four[choice][j] = four[before][j] + 2 * rows[bit][j];
                }
            }
            sums.push(four);
        }
        Block { columns, sums }
    }

    /// A row of A, stored eight bits to a byte, times the columns.
    #[inline(always)]
    pub fn product(&self, a: &[u8]) -> [i32; TILE] {
        let mut out = [0i32; TILE];
        for (n, sums) in self.sums.chunks(BYTE_SUMS).enumerate() {
            let mut bytes = [0i8; TILE];
            let a = &a[n * BYTE_SUMS / 2..];
            for (pair, &a) in sums.chunks(2).zip(a) {
                let low = &pair[0][usize::from(a & 15)];
                bytes.iter_mut().zip(low).for_each(|(sum, s)| *sum += s);
                if let Some(high) = pair.get(1) {
                    bytes.iter_mut().zip(&high[usize::from(a >> 4)]).for_each(|(sum, s)| *sum += s);
                }
            }
            out.iter_mut().zip(bytes).for_each(|(sum, s)| *sum += i32::from(s));
        }
        out
    }
}

/// The sum of `len` signs stored eight to a byte.
#[inline(always)]
pub fn sign_sum(bytes: &[u8], len: usize) -> i64 {
    let ones: u32 = (0..len.div_ceil(64)).map(|q| bits_word(bytes, q, len).count_ones()).sum();
    2 * i64::from(ones) - len as i64
}

/// Integers of a width at which a tile's sums are made.
pub trait Number: Copy + Add<Output = Self> + AddAssign + Mul<Output = Self> + Send + Sync {
    /// Zero.
    const ZERO: Self;
    /// A number that is known to fit.
    fn of(n: i64) -> Self;
    /// The magnitude.
    fn size(self) -> Self;
    /// The number, wide.
    fn wide(self) -> i128;
}

macro_rules! number {
    ($ty:ty) => {
        impl Number for $ty {
            const ZERO: $ty = 0;
            #[inline(always)]
            fn of(n: i64) -> $ty {
                n as $ty
            }
            #[inline(always)]
            fn size(self) -> $ty {
                self.abs()
            }
            #[inline(always)]
            fn wide(self) -> i128 {
                self.into()
            }
        }
    };
}
number!(i32);
number!(i64);
number!(i128);

/// The width that the sums of a weight's tiles need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32 bits.
    Narrow,
    /// 64 bits.
    Middle,
    /// More.
    Wide,
}

/// The width of tile sums of anything inside of the blocks of a weight, on the inputs `x`.
pub fn width(v: &BqqView<'_>, x: &[Interval]) -> Width {
    let most = |n: i64| i128::from(n).abs();
    let mut weight = v.inner() as i128;
    for br in 0..v.rows() / v.block_rows() {
        for bc in 0..v.cols() / v.block_cols() {
            let basis = |i| most(v.r(i, br, bc)) + most(v.s(i, br, bc)) + most(v.t(i, br, bc));
            let scalars: i128 = (0..v.bases()).map(basis).sum();
            weight = weight.max(scalars * v.inner() as i128 + most(v.u(br, bc)));
        }
    }
    // Twice the ends of an interval, see `Inputs`.
    let input = x.iter().map(|x| most(x.0).max(most(x.1)) * 2).max().unwrap_or(0).max(1);
    match weight * input * TILE as i128 {
        sum if sum < 1 << 31 => Width::Narrow,
        sum if sum < 1 << 63 => Width::Middle,
        _ => Width::Wide,
    }
}

/// The intervals of a block's inputs: `w*x` reaches from `(w*m - |w|*d) / 2` to `(w*m + |w|*d) / 2`,
/// m being the sum and d the difference of the ends. Zero behind the last.
pub struct Inputs<T> {
    sums: Vec<[T; TILE]>,
    differences: Vec<[T; TILE]>,
}

impl<T: Number> Inputs<T> {
    /// Of the inputs `x` of one block.
    pub fn new(x: &[Interval]) -> Inputs<T> {
        let tiles = |of: fn(Interval) -> i64| {
            let tile = |x: &[Interval]| {
                let mut tile = [T::ZERO; TILE];
                tile.iter_mut().zip(x).for_each(|(t, &x)| *t = T::of(of(x)));
                tile
            };
            x.chunks(TILE).map(tile).collect()
        };
        Inputs { sums: tiles(|x| x.0 + x.1), differences: tiles(|x| x.1 - x.0) }
    }

    /// Range of the sum of the inputs of tile `q`, weighted.
    #[inline(always)]
    pub fn sum(&self, q: usize, weights: &[T; TILE]) -> Wide {
        let (mut m, mut d) = (T::ZERO, T::ZERO);
        for (&w, (&sum, &difference)) in
            weights.iter().zip(self.sums[q].iter().zip(&self.differences[q]))
        {
            m += w * sum;
            d += w.size() * difference;
        }
        let (m, d) = (m.wide(), d.wide());
        ((m - d) / 2, (m + d) / 2)
    }
}

/// Rows of a matrix: W[a][j] = sum_i ( r_i A[a].B[:,j] + s_i rowsum(A[a]) + t_i colsum(B[:,j]) ) + u.
pub(super) fn bqq_rows(v: &BqqView<'_>, x: &[Interval]) -> Vec<Wide> {
    match width(v, x) {
        Width::Narrow => rows_of::<i32>(v, x),
        Width::Middle => rows_of::<i64>(v, x),
        Width::Wide => rows_of::<i128>(v, x),
    }
}

fn rows_of<T: Number>(v: &BqqView<'_>, x: &[Interval]) -> Vec<Wide> {
    let inputs: Vec<Inputs<T>> = x.chunks(v.block_cols()).map(Inputs::new).collect();
    let block_row = |br: usize| vectors(BlockRow { v, br, inputs: &inputs });
    (0..v.rows() / v.block_rows()).into_par_iter().flat_map_iter(block_row).collect()
}

/// The rows of block row `br`, from the inputs of every block column.
struct BlockRow<'a, T> {
    v: &'a BqqView<'a>,
    br: usize,
    inputs: &'a [Inputs<T>],
}

impl<T: Number> Work for BlockRow<'_, T> {
    type Out = Vec<Wide>;

    #[inline(always)]
    fn run(self) -> Vec<Wide> {
        let v = self.v;
        let mut rows: Vec<Wide> = vec![(0, 0); v.block_rows()];
        for (bc, inputs) in self.inputs.iter().enumerate() {
            for q in 0..v.block_cols().div_ceil(TILE) {
                for (row, weights) in rows.iter_mut().zip(dense::<T>(v, self.br, bc, q)) {
                    let part = inputs.sum(q, &weights);
                    *row = (row.0 + part.0, row.1 + part.1);
                }
            }
        }
        rows
    }
}

/// Tile `q` of the dense matrix of a block.
#[inline(always)]
fn dense<T: Number>(v: &BqqView<'_>, br: usize, bc: usize, q: usize) -> Vec<[T; TILE]> {
    let mut rows = vec![[T::of(v.u(br, bc)); TILE]; v.block_rows()];
    for i in 0..v.bases() {
        let block = Block::new(v, (i, br, bc), q);
        let (r, s, t) = (v.r(i, br, bc), v.s(i, br, bc), v.t(i, br, bc));
        let columns = block.columns.map(|sum| T::of(t) * T::of(sum.into()));
        for (a, row) in rows.iter_mut().enumerate() {
            let bytes = v.a_bytes(i, br, bc, a);
            let own = T::of(s) * T::of(sign_sum(bytes, v.inner()));
            for (w, (p, t)) in row.iter_mut().zip(block.product(bytes).into_iter().zip(columns)) {
                *w += T::of(r) * T::of(p.into()) + own + t;
            }
        }
    }
    rows
}
