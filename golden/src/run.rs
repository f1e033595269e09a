//! Evaluation of a model's function.

use crate::attention::{Softmax, Token};
use crate::state::State;
use crate::{attention, matvec, vector};
use pimc_ir::{CacheId, IntTy, Model, OpKind, Operand, Scalar, Span, ValueId, VecTy};

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
    /// A number of tokens that is negative, or above what is given.
    #[error("%{name}: {got} tokens are to be taken, {most} are given")]
    TokenCount {
        /// The op.
        span: Span,
        /// The name of the value it defines.
        name: String,
        /// Tokens given, T.
        most: usize,
        /// Tokens asked for.
        got: i64,
    },
    /// More tokens than the cache has room for.
    #[error("%{name}: {got} tokens do not fit into @{cache}, which has room for {tokens}")]
    CacheFull {
        /// The op.
        span: Span,
        /// The name of the value it defines.
        name: String,
        /// The cache's name.
        cache: String,
        /// Tokens that it has room for.
        tokens: usize,
        /// Tokens that would be in it.
        got: usize,
    },
    /// A negative weight of a token.
    #[error("%{name}: weight {index} is {got}: weights are 0 or more")]
    TokenWeight {
        /// The op.
        span: Span,
        /// The name of the value it defines.
        name: String,
        /// Which weight.
        index: usize,
        /// Its value.
        got: i64,
    },
}

impl GoldenError {
    /// The op at fault, as a range of the source text; none when an input is.
    pub fn span(&self) -> Option<Span> {
        match self {
            GoldenError::Overflow { span, .. }
            | GoldenError::Shift { span, .. }
            | GoldenError::TokenCount { span, .. }
            | GoldenError::CacheFull { span, .. }
            | GoldenError::TokenWeight { span, .. } => Some(span.clone()),
            GoldenError::InputCount { .. }
            | GoldenError::InputLength { .. }
            | GoldenError::InputRange { .. } => None,
        }
    }
}

/// Evaluates the function of `model` on one vector per input (no batch dimension). Of a model with a
/// cache it is the first step, from the tokens that its cache begins with.
///
/// # Errors
/// As [`run_step`].
pub fn run(model: &Model, inputs: &[Vec<i64>]) -> Result<Trace, GoldenError> {
    run_step(model, &mut State::initial(model), inputs)
}

/// One step: evaluates the function on one vector per input, from what the caches of `model` hold, and
/// leaves in `state` what they hold then.
///
/// # Errors
/// An input that does not match its type, or a result that its type does not hold; of a cache, tokens that
/// are not given or have no room, or a negative weight. The state is then as it was before.
pub fn run_step(
    model: &Model,
    state: &mut State,
    inputs: &[Vec<i64>],
) -> Result<Trace, GoldenError> {
    let func = &model.module.func;
    check_inputs(model, inputs)?;
    let mut next = state.clone();
    let mut values = inputs.to_vec();
    for (i, op) in func.ops.iter().enumerate() {
        let id = func.value_of_op(i);
        let exact = evaluate(model, &mut next, &op.kind, id, &op.span, &values)?;
        values.push(narrow(model, id, &op.span, exact)?);
    }
    *state = next;
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

/// The exact result of one op that defines value `id`, given the values before it; what it does to the
/// caches.
fn evaluate(
    model: &Model,
    state: &mut State,
    kind: &OpKind,
    id: ValueId,
    span: &Span,
    values: &[Vec<i64>],
) -> Result<Vec<i128>, GoldenError> {
    let value = |v: ValueId| values[v.0].as_slice();
    let to = model.module.func.values[id.0].ty.elem;
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
        OpKind::Append { cache, k, v, n } => {
            let given = Given { model, id, span, keys: value(*k), values: value(*v) };
            let held = &mut state.caches[cache.0];
            let tokens = given.tokens(*cache, value(*n)[0], held.tokens())?;
            tokens.into_iter().for_each(|token| held.append(token));
            vec![held.tokens() as i128]
        }
        OpKind::Attend { cache, q, limit, mul, shift, frac, state: with_state } => {
            let softmax = Softmax { mul: *mul, shift: *shift, frac: *frac, state: *with_state };
            let cache = &state.caches[cache.0];
            clamp(attention::attend(cache, value(*q), value(*limit), &softmax), to)
        }
        OpKind::Merge { a, b, dim, .. } => clamp(attention::merge(value(*a), value(*b), *dim), to),
        OpKind::Cluster { cache, k, v, weights, n, iterations } => {
            let given = Given { model, id, span, keys: value(*k), values: value(*v) };
            let tokens = given.tokens(*cache, value(*n)[0], 0)?;
            let held = &mut state.caches[cache.0];
            let weights = &value(*weights)[..tokens.len() * held.ty().kv_heads];
            if let Some(index) = weights.iter().position(|&w| w < 0) {
                let (span, name) = (span.clone(), name_of(model, id));
                return Err(GoldenError::TokenWeight { span, name, index, got: weights[index] });
            }
            *held = attention::cluster(held, &tokens, weights, *iterations);
            vec![held.tokens() as i128]
        }
    })
}

fn name_of(model: &Model, id: ValueId) -> String {
    model.module.func.values[id.0].name.text.clone()
}

fn clamp(exact: Vec<i128>, to: IntTy) -> Vec<i128> {
    exact.into_iter().map(|v| v.clamp(to.min().into(), to.max().into())).collect()
}

/// Tokens given to an op: keys and values, `[T][G][D]`.
struct Given<'a> {
    model: &'a Model,
    /// The value that the op defines, and its place.
    id: ValueId,
    span: &'a Span,
    keys: &'a [i64],
    values: &'a [i64],
}

impl Given<'_> {
    /// The first `count` tokens, if there are as many and the cache, which holds `held`, has room for them.
    fn tokens(&self, cache: CacheId, count: i64, held: usize) -> Result<Vec<Token>, GoldenError> {
        let declared = &self.model.module.caches[cache.0];
        let len = declared.ty.token_len();
        let (span, name) = (self.span.clone(), name_of(self.model, self.id));
        let most = self.keys.len() / len;
        let taken = match usize::try_from(count) {
            Ok(n) if n <= most => n,
            _ => return Err(GoldenError::TokenCount { span, name, most, got: count }),
        };
        let (got, tokens) = (held + taken, declared.ty.tokens);
        if got > tokens {
            let cache = declared.name.text.clone();
            return Err(GoldenError::CacheFull { span, name, cache, tokens, got });
        }
        let each = self.keys.chunks_exact(len).zip(self.values.chunks_exact(len));
        Ok(each.take(taken).map(|(k, v)| Token::new(k, v)).collect())
    }
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
