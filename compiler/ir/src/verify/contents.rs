//! Rules 20 and 21: what is in the tensors.

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::module::{Param, Weight};
use crate::tensors::Slice;
use crate::types::{IntTy, WeightType};

/// Reports the first element of a weight that cannot be.
pub(crate) fn weight_contents(weight: &Weight, tensors: &[Slice], diags: &mut Diagnostics) {
    let name = &weight.name.text;
    match weight.ty {
        WeightType::Pq { cols, sub, k, .. } => {
            let (bytes, parts) = (tensors[0].bytes(), cols / sub);
            let code = |i: usize| match k > 256 {
                true => usize::from(u16::from_le_bytes([bytes[2 * i], bytes[2 * i + 1]])),
                false => usize::from(bytes[i]),
            };
            let count = if k > 256 { bytes.len() / 2 } else { bytes.len() };
            let bad = (0..count).find(|&i| code(i) >= k);
            if let Some(i) = bad {
                let place = format!("`{name}.codes`[{}, {}]", i / parts, i % parts);
                diags.push(
                    Diagnostic::error(Code::P0406, format!("{place} is {}", code(i)))
                        .at(&weight.span, format!("the codebook has {k} centroids"))
                        .help(format!("codes are 0 to {}", k - 1)),
                );
            }
        }
        WeightType::Int { cols, bits, .. } => {
            let ty = IntTy { bits };
            let bad = tensors[0].bytes().iter().position(|&q| !ty.holds(i128::from(q as i8)));
            if let Some(i) = bad {
                let q = tensors[0].bytes()[i] as i8;
                let place = format!("`{name}.q`[{}, {}]", i / cols, i % cols);
                diags.push(
                    Diagnostic::error(Code::P0406, format!("{place} is {q}"))
                        .at(&weight.span, format!("weights of {bits} bits"))
                        .help(format!("weights are {} to {}", ty.min(), ty.max())),
                );
            }
        }
        WeightType::Supermask { rows, cols, coats, .. } => {
            nested(weight, tensors[0].bytes(), rows, cols, coats, diags);
        }
        // Every bit and every scalar is a value.
        WeightType::Bqq { .. } => {}
    }
}

/// Coat c+1 has a bit only where coat c has one. Padding is not looked at.
fn nested(
    weight: &Weight,
    mask: &[u8],
    rows: usize,
    cols: usize,
    coats: usize,
    diags: &mut Diagnostics,
) {
    let row_bytes = cols.div_ceil(8);
    let plane = rows * row_bytes;
    for coat in 1..coats {
        for at in 0..plane {
            let (r, first) = (at / row_bytes, at % row_bytes * 8);
            let meant = if cols - first >= 8 { 0xff } else { (1u8 << (cols - first)) - 1 };
            let extra = mask[coat * plane + at] & !mask[(coat - 1) * plane + at] & meant;
            if extra != 0 {
                let c = first + extra.trailing_zeros() as usize;
                let name = &weight.name.text;
                let place = format!("`{name}.mask`[{coat}, {r}] has column {c}");
                diags.push(
                    Diagnostic::error(
                        Code::P0407,
                        format!("{place}, which coat {} lacks", coat - 1),
                    )
                    .at(&weight.span, "coats must be nested")
                    .help(
                        "a weight's magnitude is the number of its coats: set the bits of \
                             coat 0 first, then of coat 1",
                    ),
                );
                return;
            }
        }
    }
}

/// Reports the first element of a parameter that is not of its type.
pub(crate) fn param_contents(param: &Param, values: &[i64], diags: &mut Diagnostics) {
    let ty = param.ty.elem;
    if let Some(i) = values.iter().position(|&v| !ty.holds(i128::from(v))) {
        diags.push(
            Diagnostic::error(Code::P0406, format!("`{}`[{i}] is {}", param.name.text, values[i]))
                .at(&param.span, format!("elements of type {ty}"))
                .help(format!("elements are {} to {}", ty.min(), ty.max())),
        );
    }
}
