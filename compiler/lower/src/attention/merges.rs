//! Merges of states beside an attend: where their rows lie, and what the buffer unit does for them.

use super::CachePlan;
use pimc_ir::{Func, OpKind, ValueId};
use pimc_rtl::isa::{VecOp, Vector};

/// A merge of a function on a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Which op of the function it is.
    pub op: usize,
    /// Elements of a row, its log-sum-exp included.
    pub len: u32,
    /// Of every row the addresses of those that it merges and its own.
    pub rows: Vec<[u32; 3]>,
}

impl Merge {
    /// The operations of the buffer unit, one a row.
    pub(super) fn vectors(&self) -> impl Iterator<Item = Vector> + '_ {
        let len = self.len;
        self.rows.iter().map(move |&[a, b, d]| Vector {
            op: VecOp::Merge,
            a,
            a_step: 1,
            b,
            b_step: 1,
            d,
            len,
            bank: 0,
            last: 0,
        })
    }
}

/// The operands and the results of the merges of a function, each once, in the order of their numbers;
/// without the attended value.
pub(super) fn merged_values(func: &Func, attended: ValueId) -> Vec<ValueId> {
    let values = func.ops.iter().enumerate().filter_map(|(i, op)| match op.kind {
        OpKind::Merge { a, b, .. } => Some([a, b, func.value_of_op(i)]),
        _ => None,
    });
    let mut values: Vec<ValueId> = values.flatten().filter(|v| *v != attended).collect();
    values.sort_by_key(|v| v.0);
    values.dedup();
    values
}

/// The merges of a function, on values that begin where `addr` says.
pub(super) fn merges(func: &Func, plan: &CachePlan, addr: &dyn Fn(ValueId) -> u32) -> Vec<Merge> {
    let at =
        |v: ValueId, i: u32| addr(v) + if v == plan.attended { plan.attended_at(i) } else { i };
    let merge = |(i, op): (usize, &pimc_ir::Op)| match op.kind {
        OpKind::Merge { a, b, dim, .. } => {
            let (d, len) = (func.value_of_op(i), dim as u32 + 1);
            let firsts = (0..func.values[a.0].ty.len as u32).step_by(dim + 1);
            let rows = firsts.map(|first| [a, b, d].map(|v| at(v, first))).collect();
            Some(Merge { op: i, len, rows })
        }
        _ => None,
    };
    func.ops.iter().enumerate().filter_map(merge).collect()
}
