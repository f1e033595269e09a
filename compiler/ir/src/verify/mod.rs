//! The verifier. A [`Model`](crate::Model) exists only if all of this holds, so nothing downstream
//! checks it again.
//!
//! Names (checked where names become ids, in `parse`):
//! 1. There is one version line, one target, one function `@main`, one `return`; weights and
//!    parameters stand before the function.
//! 2. Weights, parameters and the function have different names; so have the values of the function.
//! 3. An op reads only inputs of the function and results of ops above it. (So no value depends on
//!    itself.)
//! 4. Sizes of vectors and matrices are 1 to 2^20; element types are i1 to i64.
//!
//! Types of weights ([`weights`]):
//! 5. All values together have at most 2^24 elements.
//! 6. pq: `sub` divides the columns; 2 <= k <= 65536.
//! 7. bqq: the block's sides divide the matrix's; 1 to 16 bases.
//! 8. supermask: 1 to 15 coats; pruned + locked <= 256.
//! 9. int: 2 to 8 bits; `group` divides the columns.
//!
//! Types of ops ([`ops`]):
//! 10. matvec: x is as long as the matrix has columns, the result as it has rows. The elements of x
//!     have at most 8 bits for pq and int, at most 32 for bqq and supermask.
//! 11. add: both operands and the result are of one length.
//! 12. requant: x and the result are of one length, and so are `mul` and `shift` where they are
//!     parameters; mul is an i32; 0 <= shift <= 62.
//! 13. relu: x and the result are of one length.
//! 14. table: x is of type i8 and as long as the result; the parameter has 256 entries.
//! 15. argmax: the result has one element.
//! 16. concat: the operands are of one element type; the result is as long as all of them together.
//! 17. slice: the elements are within x; `len` is the result's length.
//! 18. The returned value is of the type that the function declares.
//!
//! Contents of tensors ([`contents`]):
//! 19. The tensors of each declaration are in its file, with the dtype and shape of
//!     [`layout`](crate::layout).
//! 20. pq: codes are below k. int: weights fit `bits`. supermask: coat c+1 is a subset of coat c.
//! 21. Elements of a parameter are of its type.
//!
//! Ranges ([`ranges`]), when all of the above holds:
//! 22. For any inputs of the declared types, with the actual weights and parameters, every element
//!     of every op's exact result is a value of the declared result type. (requant clamps to its
//!     result type, so it always is.)
//!
//! And a warning: weights, parameters, inputs and values that nothing reads.

mod contents;
mod ops;
mod ranges;
mod weights;

pub(crate) use contents::{param_contents, weight_contents};
pub(crate) use ranges::value_rules;

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::module::{Module, OpKind, Operand, Scalar};

/// Most elements of all values together.
pub const MAX_ELEMENTS: usize = 1 << 24;

/// Rules 5 to 18. Which weights have a possible type.
pub(crate) fn module_rules(module: &Module, diags: &mut Diagnostics) -> Vec<bool> {
    let sound = module.weights.iter().map(|w| weights::check(w, diags)).collect();
    let elements: usize = module.func.values.iter().map(|v| v.ty.len).sum();
    if elements > MAX_ELEMENTS {
        diags.push(
            Diagnostic::error(Code::P0301, format!("the values have {elements} elements together"))
                .at(&module.func.span, "in this function")
                .help(format!("a function has at most {MAX_ELEMENTS} elements in all its values")),
        );
    }
    ops::check(module, diags);
    sound
}

/// Warns of what nothing reads.
pub(crate) fn unused(module: &Module, warnings: &mut Diagnostics) {
    let func = &module.func;
    let mut weights = vec![false; module.weights.len()];
    let mut params = vec![false; module.params.len()];
    let mut values = vec![false; func.values.len()];
    values[func.result.0] = true;
    for op in &func.ops {
        op.kind.reads().iter().for_each(|x| values[x.0] = true);
        match &op.kind {
            OpKind::Matvec { weight, .. } => weights[weight.0] = true,
            OpKind::Add { b: Operand::Param(p), .. } | OpKind::Table { table: p, .. } => {
                params[p.0] = true;
            }
            OpKind::Requant { mul, shift, .. } => {
                for s in [mul, shift] {
                    if let Scalar::Param(p) = s {
                        params[p.0] = true;
                    }
                }
            }
            _ => {}
        }
    }
    let mut warn = |what: &str, sigil: char, name: &crate::module::Name| {
        warnings.push(
            Diagnostic::warning(
                Code::P0501,
                format!("{what} `{sigil}{}` is never used", name.text),
            )
            .at(&name.span, "nothing reads this")
            .help("remove it, or use it"),
        );
    };
    for (w, _) in module.weights.iter().zip(&weights).filter(|(_, used)| !**used) {
        warn("weight", '@', &w.name);
    }
    for (p, _) in module.params.iter().zip(&params).filter(|(_, used)| !**used) {
        warn("parameter", '@', &p.name);
    }
    for (v, _) in func.values.iter().zip(&values).filter(|(_, used)| !**used) {
        warn("value", '%', &v.name);
    }
}
