//! Rules 10 to 18: lengths and element types of ops.

use super::caches::CacheOp;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::module::{Module, OpKind, Operand, ParamId, Scalar, Span, ValueId};
use crate::types::{VecTy, WeightType, I8};

/// Reports every op whose operands and result do not fit together.
pub(super) fn check(module: &Module, sound_caches: &[bool], diags: &mut Diagnostics) {
    let func = &module.func;
    for (i, op) in func.ops.iter().enumerate() {
        let result = func.values[func.value_of_op(i).0].ty;
        Checker { module, span: &op.span, result, diags }.op(&op.kind);
        CacheOp { module, span: &op.span, result, sound: sound_caches, diags }.check(&op.kind);
    }
    let returned = &func.values[func.result.0];
    if returned.ty != func.result_ty {
        let name = &returned.name.text;
        diags.push(
            Diagnostic::error(
                Code::P0308,
                format!("`%{name}` is not of the function's result type"),
            )
            .at(&func.result_span, format!("returns {}", returned.ty))
            .also(&func.span, format!("declares {}", func.result_ty))
            .help(format!("declare `-> {}`, or return another value", returned.ty)),
        );
    }
}

/// Checks one op.
struct Checker<'a> {
    module: &'a Module,
    span: &'a Span,
    result: VecTy,
    diags: &'a mut Diagnostics,
}

impl Checker<'_> {
    fn op(&mut self, kind: &OpKind) {
        match kind {
            OpKind::Matvec { weight, x } => {
                let weight = &self.module.weights[weight.0];
                let (name, ty) = (&weight.name.text, &weight.ty);
                let columns = format!("`@{name}` has {} columns", ty.cols());
                self.length_of("x", self.ty(*x).len, ty.cols(), &columns, Some(&weight.span));
                let rows = format!("`@{name}` has {} rows", ty.rows());
                self.length_of("the result", self.result.len, ty.rows(), &rows, Some(&weight.span));
                let most = match ty {
                    WeightType::Pq { .. } | WeightType::Int { .. } => 8,
                    WeightType::Bqq { .. } | WeightType::Supermask { .. } => 32,
                };
                let elem = self.ty(*x).elem;
                if elem.bits > most {
                    let d = Diagnostic::error(Code::P0304, format!("x of matvec is {elem}"))
                        .at(self.span, format!("`@{name}` takes at most i{most}"))
                        .also(&weight.span, "declared here")
                        .help(format!("requantise x to i{most} first"));
                    self.diags.push(d);
                }
            }
            OpKind::Add { a, b } => {
                let len = self.ty(*a).len;
                let (b, place) = match b {
                    Operand::Value(b) => (self.ty(*b).len, None),
                    Operand::Param(p) => {
                        (self.module.params[p.0].ty.len, Some(&self.module.params[p.0].span))
                    }
                };
                let why = format!("the left operand has {len} elements");
                self.length_of("the right operand", b, len, &why, place);
                self.result_length(len);
            }
            OpKind::Requant { x, mul, shift } => {
                let len = self.ty(*x).len;
                self.result_length(len);
                let i32_range = i64::from(i32::MIN)..=i64::from(i32::MAX);
                self.constant("mul", *mul, i32_range, len);
                self.constant("shift", *shift, 0..=62, len);
            }
            OpKind::Relu { x } => self.result_length(self.ty(*x).len),
            OpKind::Table { x, table } => {
                let ty = self.ty(*x);
                if ty.elem != I8 {
                    let d = Diagnostic::error(Code::P0304, format!("x of table is {}", ty.elem))
                        .at(self.span, "expected i8")
                        .help("a table has one entry for each of the 256 values of i8: requantise x to i8 first");
                    self.diags.push(d);
                }
                self.result_length(ty.len);
                self.param_length("the table", *table, 256, "one entry for each value of i8");
            }
            OpKind::Argmax { .. } => {
                self.length_of("the result", self.result.len, 1, "argmax gives one index", None);
            }
            OpKind::Concat { xs } => {
                let first = self.ty(xs[0]).elem;
                if let Some(other) = xs.iter().map(|x| self.ty(*x).elem).find(|e| *e != first) {
                    let d =
                        Diagnostic::error(Code::P0304, format!("concat of {first} and {other}"))
                            .at(self.span, "expected operands of one element type")
                            .help("requantise one of them to the type of the other");
                    self.diags.push(d);
                }
                self.result_length(xs.iter().map(|x| self.ty(*x).len).sum());
            }
            OpKind::Slice { x, start, len } => {
                let all = self.ty(*x).len;
                if start.checked_add(*len).is_none_or(|end| end > all) || *len == 0 {
                    let d = Diagnostic::error(
                        Code::P0307,
                        format!("no slice of {len} elements from {start}"),
                    )
                    .at(self.span, format!("x has {all} elements"))
                    .help(format!("start + len is at most {all}, and len at least 1"));
                    self.diags.push(d);
                }
                self.length_of("the result", self.result.len, *len, "as many as `len`", None);
            }
            // Rule 24 is about these.
            OpKind::Append { .. }
            | OpKind::Attend { .. }
            | OpKind::Merge { .. }
            | OpKind::Cluster { .. } => {}
        }
    }

    fn ty(&self, id: ValueId) -> VecTy {
        self.module.func.values[id.0].ty
    }

    fn length_of(&mut self, what: &str, is: usize, must: usize, why: &str, place: Option<&Span>) {
        length_of(self.span, what, is, must, why, place, self.diags);
    }

    fn result_length(&mut self, must: usize) {
        let why = format!("of these operands come {must}");
        self.length_of("the result", self.result.len, must, &why, None);
    }

    fn param_length(&mut self, what: &str, id: ParamId, must: usize, why: &str) {
        let param = &self.module.params[id.0];
        self.length_of(what, param.ty.len, must, why, Some(&param.span));
    }

    fn constant(
        &mut self,
        what: &str,
        scalar: Scalar,
        range: std::ops::RangeInclusive<i64>,
        len: usize,
    ) {
        match scalar {
            Scalar::Param(p) => self.param_length(what, p, len, "one for each element of x"),
            Scalar::Const(n) if range.contains(&n) => {}
            Scalar::Const(n) => {
                let d = Diagnostic::error(Code::P0306, format!("{what} is {n}"))
                    .at(self.span, format!("expected {} to {}", range.start(), range.end()))
                    .help("a smaller shift with a smaller mul gives nearly the same ratio");
                self.diags.push(d);
            }
        }
    }
}

/// Reports a length that is not what it must be, `why` saying where that comes from.
pub(super) fn length_of(
    span: &Span,
    what: &str,
    is: usize,
    must: usize,
    why: &str,
    place: Option<&Span>,
    diags: &mut Diagnostics,
) {
    if is == must {
        return;
    }
    let mut d = Diagnostic::error(Code::P0303, format!("{what} has {is} elements, not {must}"))
        .at(span, why)
        .help("correct one of the types so that the lengths agree");
    if let Some(place) = place {
        d = d.also(place, "declared here");
    }
    diags.push(d);
}
