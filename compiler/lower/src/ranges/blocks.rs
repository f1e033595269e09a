//! Binary quadratic blocks on intervals.
//!
//! Everything inside of a block is a linear form of its inputs, whose coefficients are small sums of
//! signs: t_k of a row of B, X of ones, T of the sums of B's columns, acc_a of A*B, and a row's result
//! of r*A*B + s*rowsum(A) + t*colsum(B) + u. Each form is evaluated on the inputs' intervals, so the
//! ranges are exact for independent inputs.

use super::streams::{scaled, sum, Running};
use super::{BlockProof, Extent, Prover, Wide};
use pimc_ir::BqqView;

/// One block and basis, with its signs as words.
struct BlockForm {
    /// Rows of A, `t_words` words each.
    a: Vec<Vec<u64>>,
    /// Columns of B, the same.
    b: Vec<Vec<u64>>,
    inner: i128,
}

impl BlockForm {
    fn new(v: &BqqView<'_>, i: usize, br: usize, bc: usize) -> BlockForm {
        let (l, words) = (v.inner(), v.inner().div_ceil(64));
        let pack = |bit: &dyn Fn(usize) -> bool| -> Vec<u64> {
            let word = |w: usize| {
                (64 * w..l.min(64 * w + 64)).fold(0, |x, k| x | u64::from(bit(k)) << (k % 64))
            };
            (0..words).map(word).collect()
        };
        BlockForm {
            a: (0..v.block_rows()).map(|a| pack(&|k| v.a(i, br, bc, a, k))).collect(),
            b: (0..v.block_cols()).map(|j| pack(&|k| v.b(i, br, bc, k, j))).collect(),
            inner: l as i128,
        }
    }

    /// Sum over k of A[a,k] * B[k,j].
    fn product(&self, a: usize, j: usize) -> i128 {
        let differ: u32 = self.a[a].iter().zip(&self.b[j]).map(|(x, y)| (x ^ y).count_ones()).sum();
        self.inner - 2 * i128::from(differ)
    }

    /// Sum of a row of A or a column of B.
    fn total(&self, signs: &[u64]) -> i128 {
        2 * signs.iter().map(|w| i128::from(w.count_ones())).sum::<i128>() - self.inner
    }
}

impl Prover<'_> {
    /// All blocks of a weight over the inputs `x`, the bases of a block column one after another.
    pub(super) fn blocks(&mut self, op: usize, v: &BqqView<'_>, x: &[Wide]) {
        let (m, n) = (v.block_rows(), v.block_cols());
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
        for br in 0..v.rows() / m {
            let mut totals = vec![Running::ZERO; m];
            for (bc, x) in x.chunks(n).enumerate() {
                for i in 0..v.bases() {
                    self.block(op, v, (i, br, bc), x, &mut proof, &mut totals);
                }
            }
            for (a, total) in totals.into_iter().enumerate() {
                self.collected(op, br * m + a, total);
            }
        }
        self.proof.blocks = Some(proof);
    }

    fn block(
        &mut self,
        op: usize,
        v: &BqqView<'_>,
        (i, br, bc): (usize, usize, usize),
        x: &[Wide],
        proof: &mut BlockProof,
        totals: &mut [Running],
    ) {
        let form = BlockForm::new(v, i, br, bc);
        let of = |weight: &dyn Fn(usize) -> i128| {
            sum(x.iter().enumerate().map(|(j, &x)| scaled(weight(j), x)))
        };
        let (r, s, t) = (v.r(i, br, bc), v.s(i, br, bc), v.t(i, br, bc));
        let (r, s, t) = (i128::from(r), i128::from(s), i128::from(t));
        let u = if i == 0 { i128::from(v.u(br, bc)) } else { 0 };
        let u_less = u - form.inner * s;
        for (extent, value) in proof.scalars.iter_mut().zip([r, t, 2 * s, u_less]) {
            extent.add((value, value), op);
        }

        // Rows of B and the inputs alone, prefix by prefix, in the adder tree.
        let mut t_ranges = Vec::with_capacity(v.inner());
        for k in 0..v.inner() {
            let row = of(&|j| if v.b(i, br, bc, k, j) { 1 } else { -1 });
            self.acc(op, row.any);
            proof.t.add(row.end, op);
            t_ranges.push(row.end);
        }
        let ones = of(&|_| 1);
        self.acc(op, ones.any);
        proof.x_sum.add(ones.end, op);
        proof.ones_factor.add(scaled(2 * s, ones.end), op);

        // T and the constant.
        let columns: Vec<i128> = form.b.iter().map(|column| form.total(column)).collect();
        let t_sum = of(&|j| columns[j]);
        // T is summed row by row, in any order as far as its width is concerned.
        proof.t_sum.add(sum(t_ranges.iter().copied()).any, op);
        for range in
            [scaled(u_less, ones.end), scaled(t, t_sum.end), of(&|j| u_less + t * columns[j]).end]
        {
            proof.constant.add(range, op);
        }

        // Rows of A.
        for (a, total) in totals.iter_mut().enumerate() {
            let products: Vec<i128> = (0..x.len()).map(|j| form.product(a, j)).collect();
            let acc = of(&|j| products[j]);
            // Prefixes of the adder tree are whole words of t.
            let prefix = sum(t_ranges.iter().map(|&(lo, hi)| {
                let most = hi.max(-lo);
                (-most, most)
            }));
            if v.inner() > 64 {
                self.acc(op, prefix.any);
            } else {
                self.acc(op, acc.end);
            }
            proof.row.add(acc.end, op);
            let row_sum = form.total(&form.a[a]);
            let result = of(&|j| r * products[j] + s * row_sum + t * columns[j] + u);
            proof.result.add(result.end, op);
            total.add(result.end);
        }
    }

    /// What the gated adder tree can hold.
    fn acc(&mut self, op: usize, any: Wide) {
        self.proof.gated.add(any, op);
        let acc = &mut self.proof.ops[op].acc;
        *acc = Some(acc.map_or(any, |a| super::join(a, any)));
    }
}
