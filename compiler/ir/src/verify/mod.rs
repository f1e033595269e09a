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
//! Caches ([`caches`]):
//! 23. `kv_heads` divides `heads`, `sub` divides `dim`; 1 <= k <= 65536; sink + recent <= tokens;
//!     start <= tokens.
//! 24. append, cluster: k and v are of one length, a multiple of G*D, of at most 8 bits; `weights` has
//!     an element of at most 32 bits for every token and key/value head; n and the result have one
//!     element; at most 1000 iterations. attend: q is a multiple of H*D long, of at most 8 bits; `limit`
//!     has an element for each query, the result H*D of them, or H*(D+1) with `state`; mul is 1 to
//!     65535, shift 0 to 31, frac 0 to 8. merge: both operands and the result are of one length, rows of
//!     dim+1 elements; dim and frac are those with which the operands were made. States are of i32, and
//!     i32 holds every log-sum-exp.
//! 25. The codes of first tokens are below k.
//!
//! And a warning: weights, parameters, caches, inputs and values that nothing reads, but for the values
//! of ops that change a cache.

mod caches;
mod contents;
mod ops;
mod ranges;
mod weights;

pub(crate) use caches::cache_contents;
pub(crate) use contents::{param_contents, weight_contents};
pub(crate) use ranges::value_rules;

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::module::{Module, OpKind, Operand, Scalar};

/// Most elements of all values together.
pub const MAX_ELEMENTS: usize = 1 << 24;

/// Which declarations have a possible type.
pub(crate) struct Sound {
    pub(crate) weights: Vec<bool>,
    pub(crate) caches: Vec<bool>,
}

/// Rules 5 to 18, 23 and 24.
pub(crate) fn module_rules(module: &Module, diags: &mut Diagnostics) -> Sound {
    let weights = module.weights.iter().map(|w| weights::check(w, diags)).collect();
    let caches: Vec<bool> = module.caches.iter().map(|c| caches::check(c, diags)).collect();
    let elements: usize = module.func.values.iter().map(|v| v.ty.len).sum();
    if elements > MAX_ELEMENTS {
        diags.push(
            Diagnostic::error(Code::P0301, format!("the values have {elements} elements together"))
                .at(&module.func.span, "in this function")
                .help(format!("a function has at most {MAX_ELEMENTS} elements in all its values")),
        );
    }
    ops::check(module, &caches, diags);
    Sound { weights, caches }
}

/// Warns of what nothing reads.
pub(crate) fn unused(module: &Module, warnings: &mut Diagnostics) {
    let func = &module.func;
    let mut weights = vec![false; module.weights.len()];
    let mut params = vec![false; module.params.len()];
    let mut values = vec![false; func.values.len()];
    let mut caches = vec![false; module.caches.len()];
    values[func.result.0] = true;
    for (i, op) in func.ops.iter().enumerate() {
        if let Some(cache) = op.kind.cache() {
            caches[cache.0] = true;
        }
        values[func.value_of_op(i).0] |= op.kind.has_effect();
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
    for (c, _) in module.caches.iter().zip(&caches).filter(|(_, used)| !**used) {
        warn("cache", '@', &c.name);
    }
    for (v, _) in func.values.iter().zip(&values).filter(|(_, used)| !**used) {
        warn("value", '%', &v.name);
    }
}
