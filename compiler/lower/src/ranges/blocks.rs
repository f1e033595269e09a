//! Binary quadratic blocks on intervals.
//!
//! Everything inside of a block is a linear form of its inputs, whose coefficients are small sums of
//! signs: t_k of a row of B, X of ones, T of the sums of B's columns, acc_a of A*B, and a row's result
//! of r*A*B + s*rowsum(A) + t*colsum(B) + u. Each form is evaluated on the inputs' intervals, so the
//! ranges are exact for independent inputs.

use super::streams::{narrow, scaled, sum, Running};
use super::{join, or_zero, plus, BlockProof, Extent, Prover, Wide};
use pimc_ir::ranges::{
    bits_word, sign_sum, vectors, width, Block, Inputs, Interval, Number, Width, Work, TILE,
};
use pimc_ir::BqqView;
use rayon::prelude::*;

/// Everything that the values inside of some blocks can be; the names of [`BlockProof`].
struct Reach {
    t: Wide,
    x_sum: Wide,
    t_sum: Wide,
    constant: Wide,
    ones_factor: Wide,
    row: Wide,
    scalars: [Wide; 4],
    result: Wide,
    /// The gated adder tree.
    acc: Wide,
}

impl Reach {
    const NONE: Reach = Reach {
        t: (0, 0),
        x_sum: (0, 0),
        t_sum: (0, 0),
        constant: (0, 0),
        ones_factor: (0, 0),
        row: (0, 0),
        scalars: [(0, 0); 4],
        result: (0, 0),
        acc: (0, 0),
    };
}

fn add(reach: &mut Wide, range: Wide) {
    *reach = join(*reach, range);
}

/// The inputs of a block column.
struct Column<T> {
    /// Their sum.
    sum: Running,
    ends: Inputs<T>,
    /// Widened to contain 0, where any does not.
    prefixes: Option<Inputs<T>>,
}

impl<T: Number> Column<T> {
    fn new(x: &[Wide]) -> Column<T> {
        let narrowed = narrow(x);
        let wider: Vec<Interval> = narrowed.iter().map(|x| (x.0.min(0), x.1.max(0))).collect();
        let prefixes = (wider != narrowed).then(|| Inputs::new(&wider));
        Column { sum: sum(x.iter().copied()), ends: Inputs::new(&narrowed), prefixes }
    }
}

impl Prover<'_> {
    /// All blocks of a weight over the inputs `x`, the bases of a block column one after another.
    pub(super) fn blocks(&mut self, op: usize, v: &BqqView<'_>, x: &[Wide]) {
        let rows = match width(v, &narrow(x)) {
            Width::Narrow => block_rows::<i32>(v, x),
            Width::Middle => block_rows::<i64>(v, x),
            Width::Wide => block_rows::<i128>(v, x),
        };
        let none = Extent::NONE;
        let mut proof = self.proof.blocks.take().unwrap_or(BlockProof {
            t: none,
            x_sum: none,
            t_sum: none,
            constant: none,
            ones_factor: none,
            row: none,
            scalars: [none; 4],
            result: none,
        });
        for (br, (reach, totals)) in rows.into_iter().enumerate() {
            proof.t.add(reach.t, op);
            proof.x_sum.add(reach.x_sum, op);
            proof.t_sum.add(reach.t_sum, op);
            proof.constant.add(reach.constant, op);
            proof.ones_factor.add(reach.ones_factor, op);
            proof.row.add(reach.row, op);
            proof.result.add(reach.result, op);
            for (extent, range) in proof.scalars.iter_mut().zip(reach.scalars) {
                extent.add(range, op);
            }
            self.proof.gated.add(reach.acc, op);
            let acc = &mut self.proof.ops[op].acc;
            *acc = Some(acc.map_or(reach.acc, |a| join(a, reach.acc)));
            for (a, total) in totals.into_iter().enumerate() {
                self.running(op, total.any);
                self.collected(br * v.block_rows() + a, total.end);
            }
        }
        self.proof.blocks = Some(proof);
    }
}

/// Block row by block row: what the values inside can be, and the sum of each row.
fn block_rows<T: Number>(v: &BqqView<'_>, x: &[Wide]) -> Vec<(Reach, Vec<Running>)> {
    let columns: Vec<Column<T>> = x.chunks(v.block_cols()).map(Column::new).collect();
    let block_row = |br: usize| vectors(BlockRow { v, br, columns: &columns });
    (0..v.rows() / v.block_rows()).into_par_iter().map(block_row).collect()
}

/// Block row `br`, from the inputs of every block column.
struct BlockRow<'a, T> {
    v: &'a BqqView<'a>,
    br: usize,
    columns: &'a [Column<T>],
}

impl<T: Number> Work for BlockRow<'_, T> {
    type Out = (Reach, Vec<Running>);

    #[inline(always)]
    fn run(self) -> (Reach, Vec<Running>) {
        let mut reach = Reach::NONE;
        let mut totals = vec![Running::ZERO; self.v.block_rows()];
        for (bc, column) in self.columns.iter().enumerate() {
            for i in 0..self.v.bases() {
                block(self.v, (i, self.br, bc), column, &mut reach, &mut totals);
            }
        }
        (reach, totals)
    }
}

/// Sums of a row of signs of a block, tile by tile.
#[inline(always)]
fn signed<T: Number>(signs: &[u8], cols: usize, x: &Inputs<T>) -> Wide {
    (0..cols.div_ceil(TILE)).fold((0, 0), |total, q| {
        let word = bits_word(signs, q, cols);
        // Behind the last column is no input, so the signs there do not matter.
        let sign = |j: usize| T::of((word >> j & 1) as i64 * 2 - 1);
        plus(total, x.sum(q, &std::array::from_fn(sign)))
    })
}

/// One block and basis.
#[inline(always)]
fn block<T: Number>(
    v: &BqqView<'_>,
    (i, br, bc): (usize, usize, usize),
    column: &Column<T>,
    reach: &mut Reach,
    totals: &mut [Running],
) {
    let (cols, ends) = (v.block_cols(), &column.ends);
    let tiles: Vec<Block> =
        (0..cols.div_ceil(TILE)).map(|q| Block::new(v, (i, br, bc), q)).collect();
    let inner = v.inner() as i128;
    let scalars = (v.r(i, br, bc), v.s(i, br, bc), v.t(i, br, bc));
    let (r, s, t) = (i128::from(scalars.0), i128::from(scalars.1), i128::from(scalars.2));
    let u = if i == 0 { v.u(br, bc) } else { 0 };
    let u_less = i128::from(u) - inner * s;
    for (range, value) in reach.scalars.iter_mut().zip([r, t, 2 * s, u_less]) {
        add(range, (value, value));
    }

    // Rows of B and the inputs alone, prefix by prefix, in the adder tree.
    let (mut t_any, mut t_most) = ((0, 0), 0);
    for k in 0..v.inner() {
        let signs = v.b_bytes(i, br, bc, k);
        let end = signed(signs, cols, ends);
        let any = column.prefixes.as_ref().map_or(end, |x| signed(signs, cols, x));
        add(&mut reach.acc, any);
        add(&mut reach.t, end);
        t_any = plus(t_any, or_zero(end));
        t_most += end.1.max(-end.0);
    }
    let ones = column.sum;
    add(&mut reach.acc, ones.any);
    add(&mut reach.x_sum, ones.end);
    add(&mut reach.ones_factor, scaled(2 * s, ones.end));

    // T and the constant. T is summed row by row, in any order as far as its width is concerned.
    let (mut t_sum, mut constant) = ((0, 0), (0, 0));
    for (q, tile) in tiles.iter().enumerate() {
        let columns = tile.columns.map(|sum| T::of(sum.into()));
        t_sum = plus(t_sum, ends.sum(q, &columns));
        let weights =
            columns.map(|sum| T::of(u - v.inner() as i64 * scalars.1) + T::of(scalars.2) * sum);
        constant = plus(constant, ends.sum(q, &weights));
    }
    add(&mut reach.t_sum, t_any);
    for range in [scaled(u_less, ones.end), scaled(t, t_sum), constant] {
        add(&mut reach.constant, range);
    }

    // Rows of A.
    if v.inner() > 64 {
        // Prefixes of the adder tree are whole words of t.
        add(&mut reach.acc, (-t_most, t_most));
    }
    for (a, total) in totals.iter_mut().enumerate() {
        let bytes = v.a_bytes(i, br, bc, a);
        let own = T::of(scalars.1 * sign_sum(bytes, v.inner()) + u);
        let (mut acc, mut result) = ((0, 0), (0, 0));
        for (q, tile) in tiles.iter().enumerate() {
            let products = tile.product(bytes).map(|p| T::of(p.into()));
            acc = plus(acc, ends.sum(q, &products));
            let weight = |j: usize| {
                T::of(scalars.0) * products[j]
                    + own
                    + T::of(scalars.2) * T::of(tile.columns[j].into())
            };
            result = plus(result, ends.sum(q, &std::array::from_fn(weight)));
        }
        if v.inner() <= 64 {
            add(&mut reach.acc, acc);
        }
        add(&mut reach.row, acc);
        add(&mut reach.result, result);
        total.add(result);
    }
}
