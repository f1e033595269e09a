//! Evaluation of a model's function.

use crate::{matvec, vector};
use pimc_ir::{Model, OpKind, Operand, Scalar, Span, ValueId, VecTy};

/// Every value of one evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The values in the order of [`pimc_ir::Func::values`]: inputs first, then one per op.
    pub values: Vec<Vec<i64>>,
    result: ValueId,
}

impl Trace {
    /// The elements of a value.
    pub fn value(&self, id: ValueId) -> &[i64] {
        &self.values[id.0]
    }

    /// What the function returns.
    pub fn result(&self) -> &[i64] {
        self.value(self.result)
    }
}

/// Why a function has no value for the given inputs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoldenError {
    /// Not one vector per input of the function.
    #[error("the function takes {expected} input vectors, {got} were given")]
    InputCount {
        /// Inputs of the function.
        expected: usize,
        /// Vectors given.
        got: usize,
    },
    /// An input vector of another length than its type's.
    #[error("input %{name} is {ty}, the vector given has {got} elements")]
    InputLength {
        /// The input's name.
        name: String,
        /// Its type.
        ty: VecTy,
        /// Elements given.
        got: usize,
    },
    /// An input element outside its type.
    #[error(
        "input %{name} is {ty}, but element {index} is {got}: give values of {low}..={high}",
        low = ty.elem.min(),
        high = ty.elem.max()
    )]
    InputRange {
        /// The input's name.
        name: String,
        /// Its type.
        ty: VecTy,
        /// Which element.
        index: usize,
        /// Its value.
        got: i64,
    },
    /// A result that its declared type does not hold. The verifier proves that none occurs; this
    /// is the check of that proof.
    #[error("element {index} of %{name} is {got}, which its type {ty} does not hold")]
    Overflow {
        /// The op that computed it.
        span: Span,
        /// The value's name.
        name: String,
        /// Its type.
        ty: VecTy,
        /// Which element.
        index: usize,
        /// The exact result.
        got: i128,
    },
    /// A per-row shift outside 0..=62.
    #[error("element {index} of the shift of %{name} is {got}: a shift is 0..=62")]
    Shift {
        /// The requantiser.
        span: Span,
        /// The name of the value it defines.
        name: String,
        /// Which row.
        index: usize,
        /// The shift.
        got: i64,
    },
}

impl GoldenError {
    /// The op at fault, as a range of the source text; none when an input is.
    pub fn span(&self) -> Option<Span> {
        match self {
            GoldenError::Overflow { span, .. } | GoldenError::Shift { span, .. } => {
                Some(span.clone())
            }
            _ => None,
        }
    }
}

/// Evaluates the function of `model` on one vector per input (no batch dimension).
///
/// # Errors
/// An input that does not match its type, or a result that its type does not hold.
pub fn run(model: &Model, inputs: &[Vec<i64>]) -> Result<Trace, GoldenError> {
    let func = &model.module.func;
    check_inputs(model, inputs)?;
    let mut values = inputs.to_vec();
    for (i, op) in func.ops.iter().enumerate() {
        let id = func.value_of_op(i);
        let exact = evaluate(model, &op.kind, id, &op.span, &values)?;
        values.push(narrow(model, id, &op.span, exact)?);
    }
    Ok(Trace { values, result: func.result })
}

fn check_inputs(model: &Model, inputs: &[Vec<i64>]) -> Result<(), GoldenError> {
    let func = &model.module.func;
    if inputs.len() != func.inputs {
        return Err(GoldenError::InputCount { expected: func.inputs, got: inputs.len() });
    }
    for (value, input) in func.values.iter().zip(inputs) {
        let (name, ty) = (value.name.text.clone(), value.ty);
        if input.len() != ty.len {
            return Err(GoldenError::InputLength { name, ty, got: input.len() });
        }
        let outside = input.iter().enumerate().find(|(_, v)| !ty.elem.holds(i128::from(**v)));
        if let Some((index, &got)) = outside {
            return Err(GoldenError::InputRange { name, ty, index, got });
        }
    }
    Ok(())
}

/// The exact result of one op that defines value `id`, given the values before it.
fn evaluate(
    model: &Model,
    kind: &OpKind,
    id: ValueId,
    span: &Span,
    values: &[Vec<i64>],
) -> Result<Vec<i128>, GoldenError> {
    let value = |v: ValueId| values[v.0].as_slice();
    Ok(match kind {
        OpKind::Matvec { weight, x } => matvec::matvec(model, *weight, value(*x)),
        OpKind::Add { a, b } => {
            let b = match b {
                Operand::Value(b) => value(*b),
                Operand::Param(b) => model.param(*b),
            };
            vector::add(value(*a), b)
        }
        OpKind::Requant { x, mul, shift } => {
            let to = model.module.func.values[id.0].ty.elem;
            let row = |s: &Scalar, i: usize| match s {
                Scalar::Const(c) => *c,
                Scalar::Param(p) => model.param(*p)[i],
            };
            let element = |(i, &x): (usize, &i64)| {
                let got = row(shift, i);
                let shift = u32::try_from(got).ok().filter(|s| *s <= 62).ok_or_else(|| {
                    let name = model.module.func.values[id.0].name.text.clone();
                    GoldenError::Shift { span: span.clone(), name, index: i, got }
                })?;
                Ok(vector::requant(x, row(mul, i), shift, to))
            };
            value(*x).iter().enumerate().map(element).collect::<Result<_, _>>()?
        }
        OpKind::Relu { x } => vector::relu(value(*x)),
        OpKind::Table { x, table } => vector::table(value(*x), model.param(*table)),
        OpKind::Argmax { x } => vec![vector::argmax(value(*x))],
        OpKind::Concat { xs } => vector::concat(xs.iter().map(|x| value(*x))),
        OpKind::Slice { x, start, len } => vector::slice(value(*x), *start, *len),
    })
}

/// The result as values of the declared type of `id`.
fn narrow(
    model: &Model,
    id: ValueId,
    span: &Span,
    exact: Vec<i128>,
) -> Result<Vec<i64>, GoldenError> {
    let value = &model.module.func.values[id.0];
    let ty = value.ty;
    let fit = |(index, got): (usize, i128)| match i64::try_from(got) {
        Ok(v) if ty.elem.holds(got) => Ok(v),
        _ => Err(GoldenError::Overflow {
            span: span.clone(),
            name: value.name.text.clone(),
            ty,
            index,
            got,
        }),
    };
    exact.into_iter().enumerate().map(fit).collect()
}
