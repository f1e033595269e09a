//! Tasks of a BQQ matvec.
//!
//! Per block (br, bc) with X the sum of the block column's inputs and t_i = B_i x:
//!
//! y_a += sum_i ( r_i sum_k A[a,k] t_ik + s_i (sum_k A[a,k]) X + t_i sum_k t_ik ) + u X
//!
//! The units count the ones of a row of A, and sum_k A[a,k] = 2*ones - l, so with
//! u' = u - l*sum_i s_i and T_i = sum_k t_ik:
//!
//! y_a += c + sum_i ( r_i * acc_ia + (2 s_i X) * ones_ia ),  c = u' X + sum_i t_i T_i

use super::{vector, Content, Known, Mapper};
use pimc_ir::{BqqView, ValueId, WeightId, WeightView};
use pimc_rtl::isa::{VecOp, Vector};

/// Temporaries of one matvec, a word each unless said otherwise.
struct Temps {
    /// All results of the B rows of one block column.
    t: u32,
    /// Sum of the block column's inputs.
    x_sum: u32,
    /// c.
    c: u32,
    /// A product.
    product: u32,
}

impl Mapper<'_> {
    /// y = W x, x at `from`, y in `value`'s region.
    pub(super) fn bqq(&mut self, weight: WeightId, from: u32, value: ValueId) {
        let WeightView::Bqq(v) = self.model.weight(weight) else { return };
        let (name, _) = self.weight(weight);
        let (n, l) = (v.block_cols(), v.inner());
        let (block_rows, block_cols) = (v.rows() / v.block_rows(), v.cols() / n);
        let b_rows = block_rows * v.bases() * l;
        let temps = Temps {
            t: self.scratch(b_rows),
            x_sum: self.scratch(1),
            c: self.scratch(1),
            product: self.scratch(1),
        };
        for bc in 0..block_cols {
            let x = from.saturating_add((bc * n) as u32);
            self.load_planes("load x as bit planes", x, n);
            self.vec("X: sum of x", vector(VecOp::Sum, x, 0, temps.x_sum, n));
            let b = self.streams.place(self.model, weight, Content::BqqB { bc });
            self.stream(format!("B of {name}, block column {bc}"), b);
            self.vec("drain t", vector(VecOp::Drain, 0, 0, temps.t, b_rows));
            for br in 0..block_rows {
                let last = bc + 1 == block_cols;
                self.block(weight, &v, &temps, b, (br, bc), value, last, x);
            }
        }
    }

    /// One block: y of its rows += ..; `last` when these rows are finished by it.
    #[allow(clippy::too_many_arguments)]
    fn block(
        &mut self,
        weight: WeightId,
        v: &BqqView<'_>,
        temps: &Temps,
        b_stream: usize,
        (br, bc): (usize, usize),
        value: ValueId,
        last: bool,
        x: u32,
    ) {
        let (m, l, bases) = (v.block_rows(), v.inner(), v.bases());
        let y = self.regions[value.0].addr.saturating_add((br * m) as u32);
        let s_sum: i64 = (0..bases).map(|i| v.s(i, br, bc)).sum();
        let u = self.constants.scalar(v.u(br, bc) - l as i64 * s_sum);
        let one = |op, a, b, d| vector(op, a, b, d, 1);
        self.vec("c = u' X", one(VecOp::Mul, temps.x_sum, u, temps.c));
        for i in 0..bases {
            let first = (br * bases + i) * l;
            let t = temps.t.saturating_add(first as u32);
            let known = Known::RowSum { stream: b_stream, first, rows: l, x };
            let sum = vector(VecOp::Sum, t, 0, temps.product, l);
            self.vec_known(format!("T{i}: sum of t"), sum, known);
            let scale = self.constants.scalar(v.t(i, br, bc));
            self.vec("t T", one(VecOp::Mul, temps.product, scale, temps.product));
            self.vec("c += t T", one(VecOp::Add, temps.c, temps.product, temps.c));
        }
        let add_c = if bc == 0 {
            Vector { a_step: 0, ..vector(VecOp::Copy, temps.c, 0, y, m) }
        } else {
            Vector { b_step: 0, ..vector(VecOp::Add, y, temps.c, y, m) }
        };
        self.vec("y += c", add_c);
        for i in 0..bases {
            let t = temps.t.saturating_add(((br * bases + i) * l) as u32);
            self.load_planes("load t as bit planes", t, l);
            let s = self.constants.scalar(2 * v.s(i, br, bc));
            self.vec("2 s X", one(VecOp::Mul, temps.x_sum, s, temps.product));
            let a = self.streams.place(self.model, weight, Content::BqqA { br, bc, basis: i });
            let name = self.weight(weight).0;
            self.stream(format!("A of {name}, block {br},{bc}, basis {i}"), a);
            let r = self.constants.scalar(v.r(i, br, bc));
            let by = |op, b| Vector { b_step: 0, ..vector(op, y, b, y, m) };
            self.vec("y += r acc", by(VecOp::DrainMac, r));
            let ones = by(VecOp::DrainOnes, temps.product);
            let done = last && i + 1 == bases;
            let rows = Known::Elements { value, first: br * m };
            self.vec_known("y += 2 s X ones", ones, if done { rows } else { Known::Nothing });
        }
    }
}
