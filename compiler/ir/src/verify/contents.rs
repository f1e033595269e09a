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
            // Nearly always there is none, and the largest is found much faster than the first.
            let good = match k > 256 {
                true => (0..count).all(|i| code(i) < k),
                false => bytes.iter().copied().max().is_none_or(|c| usize::from(c) < k),
            };
            let bad = if good { None } else { (0..count).find(|&i| code(i) >= k) };
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
            // A range of bytes, since `holds` on each takes much longer.
            let (least, most) = (ty.min().max(-128) as i8, ty.max().min(127) as i8);
            let bad = tensors[0].bytes().iter().position(|&q| !(least..=most).contains(&(q as i8)));
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
        let (inner, outer) = (&mask[coat * plane..][..plane], &mask[(coat - 1) * plane..][..plane]);
        let rows = inner.chunks_exact(row_bytes).zip(outer.chunks_exact(row_bytes));
        for (r, (inner, outer)) in rows.enumerate() {
            let last = match cols % 8 {
                0 => 0xff,
                bits => (1u8 << bits) - 1,
            };
            let extra = |at: usize| {
                let meant = if at + 1 == row_bytes { last } else { 0xff };
                inner[at] & !outer[at] & meant
            };
            let at = (0..row_bytes).find(|&at| extra(at) != 0);
            if let Some(at) = at {
                let c = 8 * at + extra(at).trailing_zeros() as usize;
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
