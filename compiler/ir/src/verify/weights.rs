//! Rules 6 to 9: weight types that mean something.

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::module::Weight;
use crate::types::WeightType;

/// Reports what is impossible about a weight's type; whether it is possible.
pub(super) fn check(weight: &Weight, diags: &mut Diagnostics) -> bool {
    let mut good = true;
    let mut wrong = |message: String, label: String, help: String| {
        good = false;
        diags.push(Diagnostic::error(Code::P0302, message).at(&weight.span, label).help(help));
    };
    let mut divides = |what: String, part: usize, whole: usize, side: &str| {
        if whole % part != 0 {
            let near = (1..=part).rev().find(|d| whole % d == 0).unwrap_or(1);
            wrong(
                format!("{what} does not divide the {whole} {side}"),
                format!("{whole} {side}"),
                format!("choose a divisor, such as {near}, or pad the matrix"),
            );
        }
    };
    match weight.ty {
        WeightType::Pq { cols, sub, .. } => divides(format!("sub={sub}"), sub, cols, "columns"),
        WeightType::Bqq { rows, cols, block_rows, block_cols, .. } => {
            divides(format!("a block of {block_rows} rows"), block_rows, rows, "rows");
            divides(format!("a block of {block_cols} columns"), block_cols, cols, "columns");
        }
        WeightType::Int { cols, group: Some(group), .. } => {
            divides(format!("group={group}"), group, cols, "columns");
        }
        WeightType::Int { .. } | WeightType::Supermask { .. } => {}
    }
    let mut within = |what: &str, n: usize, lo: usize, hi: usize| {
        if !(lo..=hi).contains(&n) {
            wrong(
                format!("{what} is {n}"),
                format!("expected {lo} to {hi}"),
                format!("{what} is between {lo} and {hi}"),
            );
        }
    };
    match weight.ty {
        WeightType::Pq { k, .. } => within("k", k, 2, 65536),
        WeightType::Bqq { bases, .. } => within("bases", bases, 1, 16),
        WeightType::Supermask { coats, pruned, locked, .. } => {
            within("coats", coats, 1, 15);
            within("pruned + locked", pruned as usize + locked as usize, 0, 256);
        }
        WeightType::Int { bits, .. } => within("bits", bits as usize, 2, 8),
    }
    good
}
