//! Rule 22: results fit their types, for all inputs, with the actual weights.

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::module::{Op, OpKind, ParamId, Scalar};
use crate::ranges::{clamps, narrow, of_type, op_range, Interval};
use crate::tensors::Model;
use crate::types::{IntTy, VecTy};

/// The ranges of all values, with an error for each op whose result type cannot hold its result.
pub(crate) fn value_rules(model: &Model, diags: &mut Diagnostics) -> Vec<Vec<Interval>> {
    let func = &model.module.func;
    let mut values: Vec<Vec<Interval>> =
        func.values[..func.inputs].iter().map(|v| of_type(v.ty)).collect();
    for (i, op) in func.ops.iter().enumerate() {
        let value = &func.values[func.value_of_op(i).0];
        if !constants_in_range(model, op, diags) {
            values.push(of_type(value.ty));
            continue;
        }
        let wide = op_range(model, &op.kind, &values);
        if let OpKind::Matvec { weight, .. } = op.kind {
            model.release(weight);
        }
        if !clamps(&op.kind) {
            check_result(&wide, &value.name.text, value.ty, op, diags);
        }
        values.push(narrow(&wide, value.ty));
    }
    values
}

fn check_result(wide: &[(i128, i128)], name: &str, ty: VecTy, op: &Op, diags: &mut Diagnostics) {
    let holds = |r: &(i128, i128)| ty.elem.holds(r.0) && ty.elem.holds(r.1);
    let Some((i, first)) = wide.iter().enumerate().find(|(_, r)| !holds(r)) else { return };
    let lo = wide.iter().map(|r| r.0).min().unwrap_or(0);
    let hi = wide.iter().map(|r| r.1).max().unwrap_or(0);
    let help = match IntTy::spanning(lo, hi) {
        Some(enough) => format!(
            "all elements are within {lo}..{hi}: {enough} would hold them, so write `{enough}<{}>`",
            ty.len
        ),
        None => format!(
            "elements are within {lo}..{hi}, which takes more than 64 bits: requantise the \
             operands first"
        ),
    };
    diags.push(
        Diagnostic::error(Code::P0305, format!("{} cannot hold the result", ty.elem))
            .at(&op.span, format!("`%{name}`[{i}] can be {} to {}", first.0, first.1))
            .help(help),
    );
}

/// Rule 12, where the constants of a requantiser are parameters.
fn constants_in_range(model: &Model, op: &Op, diags: &mut Diagnostics) -> bool {
    let OpKind::Requant { mul, shift, .. } = op.kind else { return true };
    let mut check = |what: &str, scalar: Scalar, lo: i64, hi: i64| {
        let Scalar::Param(ParamId(p)) = scalar else { return true };
        let values = model.param(ParamId(p));
        let Some(i) = values.iter().position(|v| !(lo..=hi).contains(v)) else { return true };
        let param = &model.module.params[p];
        diags.push(
            Diagnostic::error(
                Code::P0306,
                format!("{what} is {} in `{}`[{i}]", values[i], param.name.text),
            )
            .at(&op.span, format!("expected {lo} to {hi}"))
            .also(&param.span, "the parameter")
            .help("correct the parameter's tensor"),
        );
        false
    };
    let mul = check("mul", mul, i64::from(i32::MIN), i64::from(i32::MAX));
    check("shift", shift, 0, 62) && mul
}
