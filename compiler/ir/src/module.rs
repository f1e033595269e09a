//! A parsed module. Ids index the vectors of [`Module`] and [`Func`]; spans are byte ranges of
//! the source text.

use crate::types::{CacheType, VecTy, WeightType};
use std::ops::Range;

/// A byte range of the source text.
pub type Span = Range<usize>;

/// Index into [`Module::weights`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WeightId(pub usize);

/// Index into [`Module::params`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParamId(pub usize);

/// Index into [`Module::caches`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheId(pub usize);

/// Index into [`Func::values`]: first the function's inputs, then one value per op, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// A name with the place it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name without its sigil.
    pub text: String,
    /// Where it was written, sigil included.
    pub span: Span,
}

/// One `.ir` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// `target "..."`: a built-in name or the path of a target TOML.
    pub target: Name,
    /// `weight @name : type from "file"`.
    pub weights: Vec<Weight>,
    /// `param @name : iN<len> from "file"`.
    pub params: Vec<Param>,
    /// `cache @name : pq_kv<..> from "file"`.
    pub caches: Vec<Cache>,
    /// The one function.
    pub func: Func,
    /// Comments, by the place they stood, for the formatter.
    pub comments: Vec<Comment>,
}

/// A comment and where it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Text with its `//`.
    pub text: String,
    /// Where it was written.
    pub span: Span,
}

/// A weight declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weight {
    /// Its name.
    pub name: Name,
    /// Its representation and shape.
    pub ty: WeightType,
    /// The safetensors file that holds its tensors, relative to the `.ir` file.
    pub file: Name,
    /// The whole declaration.
    pub span: Span,
}

/// A parameter declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: Name,
    /// Its type and length.
    pub ty: VecTy,
    /// The safetensors file that holds it, relative to the `.ir` file.
    pub file: Name,
    /// The whole declaration.
    pub span: Span,
}

/// A cache declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Its name.
    pub name: Name,
    /// Its sizes.
    pub ty: CacheType,
    /// The safetensors file that holds its codebooks and its first tokens, relative to the `.ir` file.
    pub file: Name,
    /// The whole declaration.
    pub span: Span,
}

/// The function of a module: inputs, ops in order, one result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Func {
    /// Its name.
    pub name: Name,
    /// How many of `values` are inputs.
    pub inputs: usize,
    /// Every value: inputs first, then op i at `inputs + i`.
    pub values: Vec<Value>,
    /// The ops, in order of evaluation.
    pub ops: Vec<Op>,
    /// The declared result type.
    pub result_ty: VecTy,
    /// The returned value.
    pub result: ValueId,
    /// Where `return` was written.
    pub result_span: Span,
    /// The line that opens the function.
    pub span: Span,
}

impl Module {
    /// The module without places and comments: what two texts of one meaning have in common.
    pub fn without_spans(mut self) -> Module {
        let clear = |name: &mut Name| name.span = 0..0;
        clear(&mut self.target);
        for w in &mut self.weights {
            clear(&mut w.name);
            clear(&mut w.file);
            w.span = 0..0;
        }
        for p in &mut self.params {
            clear(&mut p.name);
            clear(&mut p.file);
            p.span = 0..0;
        }
        for c in &mut self.caches {
            clear(&mut c.name);
            clear(&mut c.file);
            c.span = 0..0;
        }
        clear(&mut self.func.name);
        self.func.values.iter_mut().for_each(|v| clear(&mut v.name));
        self.func.ops.iter_mut().for_each(|op| op.span = 0..0);
        self.func.result_span = 0..0;
        self.func.span = 0..0;
        self.comments.clear();
        self
    }
}

impl Func {
    /// The value that op `i` defines.
    pub fn value_of_op(&self, i: usize) -> ValueId {
        ValueId(self.inputs + i)
    }
}

/// A named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub ty: VecTy,
}

/// One op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// What it does.
    pub kind: OpKind,
    /// The whole line.
    pub span: Span,
}

/// The second operand of an elementwise op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A value of the function.
    Value(ValueId),
    /// A parameter.
    Param(ParamId),
}

/// A constant of a requantiser: one number, or one per row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// The same for every row.
    Const(i64),
    /// One per row.
    Param(ParamId),
}

/// The ops. The exact integer meaning of each stands in `pimc-golden`, one function per op.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpKind {
    /// `matvec @w, %x`: R results of C inputs.
    Matvec {
        /// The matrix.
        weight: WeightId,
        /// The input vector.
        x: ValueId,
    },
    /// `add %a, %b` or `add %a, @b`: elementwise, exact.
    Add {
        /// Left operand.
        a: ValueId,
        /// Right operand.
        b: Operand,
    },
    /// `requant %x, mul=M, shift=S`: clamp((x*mul + 2^(shift-1)) >> shift).
    Requant {
        /// Input.
        x: ValueId,
        /// Multiplier, an i32.
        mul: Scalar,
        /// Right shift, 0..=62.
        shift: Scalar,
    },
    /// `relu %x`: max(x, 0).
    Relu {
        /// Input.
        x: ValueId,
    },
    /// `table %x, @t`: t[x + 128], x of type i8, t of 256 entries.
    Table {
        /// Input.
        x: ValueId,
        /// The function's 256 values, from x = -128.
        table: ParamId,
    },
    /// `argmax %x`: index of the largest element, the lower one on a tie; one element.
    Argmax {
        /// Input.
        x: ValueId,
    },
    /// `concat %a, %b, ..`: the vectors end to end.
    Concat {
        /// At least one input, all of one element type.
        xs: Vec<ValueId>,
    },
    /// `slice %x, start=S, len=L`: elements S..S+L.
    Slice {
        /// Input.
        x: ValueId,
        /// First element.
        start: usize,
        /// How many elements.
        len: usize,
    },
    /// `append @kv, %k, %v, %n`: puts the first `n[0]` of the tokens given into the cache; the number
    /// of tokens then in it.
    Append {
        /// The cache.
        cache: CacheId,
        /// Keys, `[T][G][D]`.
        k: ValueId,
        /// Values, the same.
        v: ValueId,
        /// How many of the T tokens are meant; one element.
        n: ValueId,
    },
    /// `attend @kv, %q, %limit, mul=M, shift=S, frac=F`: softmax attention of every query and head.
    Attend {
        /// The cache.
        cache: CacheId,
        /// Queries, `[T][H][D]`.
        q: ValueId,
        /// Tokens that each query sees, `[T]`.
        limit: ValueId,
        /// From a score to 1/4096 octaves: times `mul`, 1..=65535,
        mul: u32,
        /// shifted right, 0..=31.
        shift: u32,
        /// Fractional bits of the result, 0..=8.
        frac: u32,
        /// `state`: the log-sum-exp stands behind the D elements of every row.
        state: bool,
    },
    /// `merge %a, %b, dim=D, frac=F`: the attention over the tokens of two states together.
    Merge {
        /// A state, `[rows][D+1]`.
        a: ValueId,
        /// Another of the same rows.
        b: ValueId,
        /// Elements D of a row before its log-sum-exp.
        dim: usize,
        /// Fractional bits of both states and the result.
        frac: u32,
    },
    /// `cluster @kv, %keys, %values, %weights, %n, iterations=I`: the cache with `n[0]` tokens anew, and
    /// with codebooks of their own; the number of tokens.
    Cluster {
        /// The cache.
        cache: CacheId,
        /// Keys, `[T][G][D]`.
        k: ValueId,
        /// Values, the same.
        v: ValueId,
        /// What each token weighs in the means, `[T][G]`.
        weights: ValueId,
        /// How many of the T tokens are meant; one element.
        n: ValueId,
        /// Steps of k-means.
        iterations: u32,
    },
}

/// Steps of k-means of a `cluster` that does not say.
pub const ITERATIONS: u32 = 4;

impl OpKind {
    /// The cache that the op reads or changes.
    pub fn cache(&self) -> Option<CacheId> {
        match self {
            OpKind::Append { cache, .. }
            | OpKind::Attend { cache, .. }
            | OpKind::Cluster { cache, .. } => Some(*cache),
            _ => None,
        }
    }

    /// Whether the op changes a cache, so that it matters even where nothing reads its result.
    pub fn has_effect(&self) -> bool {
        matches!(self, OpKind::Append { .. } | OpKind::Cluster { .. })
    }

    /// The values that the op reads.
    pub fn reads(&self) -> Vec<ValueId> {
        match self {
            OpKind::Matvec { x, .. }
            | OpKind::Requant { x, .. }
            | OpKind::Relu { x }
            | OpKind::Table { x, .. }
            | OpKind::Argmax { x }
            | OpKind::Slice { x, .. } => vec![*x],
            OpKind::Add { a, b: Operand::Value(b) } => vec![*a, *b],
            OpKind::Add { a, b: Operand::Param(_) } => vec![*a],
            OpKind::Concat { xs } => xs.clone(),
            OpKind::Append { k, v, n, .. } => vec![*k, *v, *n],
            OpKind::Attend { q, limit, .. } => vec![*q, *limit],
            OpKind::Merge { a, b, .. } => vec![*a, *b],
            OpKind::Cluster { k, v, weights, n, .. } => vec![*k, *v, *weights, *n],
        }
    }
}
