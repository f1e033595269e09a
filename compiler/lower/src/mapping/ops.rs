//! Tasks of each op.

use super::streams::lookup_lanes;
use super::{vector, Content, Known, Mapper};
use pimc_ir::{OpKind, Operand, ValueId, WeightId, WeightType};
use pimc_rtl::isa::{VecOp, Vector};

impl Mapper<'_> {
    /// The tasks of one op that writes `value`'s region.
    pub(super) fn lower_op(&mut self, op: &OpKind, value: ValueId) {
        let d = self.regions[value.0].addr;
        let len = self.model.module.func.values[value.0].ty.len;
        let at = |m: &Self, x: ValueId| m.regions[x.0].addr;
        let known = Known::Elements { value, first: 0 };
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
            // A slice is an address.
            OpKind::Slice { .. } => {}
        }
    }

    fn matvec(&mut self, weight: WeightId, x: ValueId, value: ValueId) {
        let (name, ty) = self.weight(weight);
        let (from, d) = (self.regions[x.0].addr, self.regions[value.0].addr);
        let drain = |len| vector(VecOp::Drain, 0, 0, d, len);
        let known = Known::Elements { value, first: 0 };
        match ty {
            WeightType::Pq { rows, cols, sub, k, .. } => {
                let lookup = lookup_lanes(k, sub);
                let word = lookup.chunk * lookup.sub;
                self.load_bytes(from, cols, word, lookup.lanes * lookup.sub);
                let book = self.streams.place(self.model, weight, Content::Codebook);
                self.stream(format!("build the tables of {name}"), book);
                let codes = self.streams.place(self.model, weight, Content::Codes);
                self.stream(format!("look up the codes of {name}"), codes);
                self.vec_known(format!("drain the rows of {name}"), drain(rows), known);
            }
            WeightType::Supermask { rows, cols, .. } => {
                self.load_planes("load x as bit planes", from, cols);
                let mask = self.streams.place(self.model, weight, Content::Mask);
                self.stream(format!("stream the mask of {name}"), mask);
                self.vec_known(format!("drain the rows of {name}"), drain(rows), known);
            }
            WeightType::Int { rows, cols, group: None, .. } => {
                self.load_bytes(from, cols, 8, 8);
                let all = self.streams.place(self.model, weight, Content::Int { group: 0 });
                self.stream(format!("stream the weights of {name}"), all);
                self.vec_known(format!("drain the rows of {name}"), drain(rows), known);
            }
            WeightType::Int { rows, cols, group: Some(size), .. } => {
                let t = self.scratch(rows);
                let groups = cols / size;
                for g in 0..groups {
                    self.load_bytes(from.saturating_add((g * size) as u32), size, 8, 8);
                    let part = self.streams.place(self.model, weight, Content::Int { group: g });
                    self.stream(format!("stream group {g} of {name}"), part);
                    self.vec(format!("drain group {g}"), vector(VecOp::Drain, 0, 0, t, rows));
                    let scales = self.constants.scales(self.model, weight, g);
                    let scaled = |d| vector(VecOp::Mul, t, scales, d, rows);
                    let last = if g + 1 == groups { known } else { Known::Nothing };
                    if g == 0 {
                        self.vec_known("scale", scaled(d), last);
                    } else {
                        self.vec("scale", scaled(t));
                        self.vec_known("add the group", vector(VecOp::Add, d, t, d, rows), last);
                    }
                }
            }
            WeightType::Bqq { .. } => self.bqq(weight, from, value),
        }
    }

    /// Inputs to the byte memories: `word` bytes a word, a block of words ending after `block`.
    fn load_bytes(&mut self, from: u32, len: usize, word: u32, block: u32) {
        let v = Vector { b_step: 0, ..vector(VecOp::LoadBytes, from, block, word, len) };
        self.vec("load x as bytes", v);
    }

    /// Inputs to the plane memories.
    pub(super) fn load_planes(&mut self, what: &str, from: u32, len: usize) {
        self.vec(what, Vector { b_step: 0, ..vector(VecOp::LoadPlanes, from, 0, 0, len) });
    }
}
