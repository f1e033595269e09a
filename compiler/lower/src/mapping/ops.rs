//! Tasks of each op but matvec.

use super::{vector, Known, Mapper};
use pimc_ir::{OpKind, Operand, ValueId};
use pimc_rtl::isa::{VecOp, Vector};

impl Mapper<'_> {
    /// The tasks of one op that writes `value`'s region.
    pub(super) fn lower_op(&mut self, op: &OpKind, value: ValueId) {
        let d = self.regions[value.0].addr;
        let len = self.model.module.func.values[value.0].ty.len;
        let at = |m: &Self, x: ValueId| m.regions[x.0].addr;
        let known = Known::Elements(value);
        match op {
            OpKind::Matvec { weight, x } => self.matvec(*weight, *x, value),
            OpKind::Add { a, b } => {
                let b = match b {
                    Operand::Value(b) => at(self, *b),
                    Operand::Param(p) => self.constants.param(self.model, *p),
                };
                self.vec_known("add", vector(VecOp::Add, at(self, *a), b, d, len), known);
            }
            OpKind::Requant { x, mul, shift } => {
                let ty = self.model.module.func.values[value.0].ty;
                let (b, b_step) = self.constants.requantiser(self.model, *mul, *shift, ty);
                let v = Vector { b_step, ..vector(VecOp::Requant, at(self, *x), b, d, len) };
                self.vec_known("requant", v, known);
            }
            OpKind::Relu { x } => {
                self.vec_known("relu", vector(VecOp::Relu, at(self, *x), 0, d, len), known);
            }
            OpKind::Table { x, table } => {
                let b = self.constants.param(self.model, *table);
                self.vec_known("table", vector(VecOp::Table, at(self, *x), b, d, len), known);
            }
            OpKind::Argmax { x } => {
                let n = self.model.module.func.values[x.0].ty.len;
                self.vec_known("argmax", vector(VecOp::Argmax, at(self, *x), 0, d, n), known);
            }
            OpKind::Concat { xs } => {
                let mut to = d;
                for x in xs {
                    let n = self.model.module.func.values[x.0].ty.len;
                    self.vec("copy", vector(VecOp::Copy, at(self, *x), 0, to, n));
                    to = to.saturating_add(n as u32);
                }
            }
            OpKind::Merge { a, b, dim, .. } => {
                let (a, b, row) = (at(self, *a), at(self, *b), dim + 1);
                for first in (0..len).step_by(row) {
                    let at = |base: u32| base.saturating_add(first as u32);
                    let what = format!("merge row {}", first / row);
                    let v = vector(VecOp::Merge, at(a), at(b), at(d), row);
                    self.vec_known(what, v, Known::From(value, first));
                }
            }
            // A slice is an address. The others are on a cache, of which programs are made elsewhere.
            OpKind::Slice { .. }
            | OpKind::Append { .. }
            | OpKind::Attend { .. }
            | OpKind::Cluster { .. } => {}
        }
    }
}
