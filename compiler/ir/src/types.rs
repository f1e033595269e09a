//! The types of the language: what a value, a weight and a parameter look like.

/// A signed two's-complement integer type `iN`, N in 1..=64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntTy {
    /// Width in bits, sign included.
    pub bits: u32,
}

impl IntTy {
    /// The most negative value of the type.
    pub fn min(self) -> i64 {
        (-1i64) << (self.bits - 1)
    }

    /// The largest value of the type.
    pub fn max(self) -> i64 {
        !self.min()
    }

    /// Whether `x` is a value of the type.
    pub fn holds(self, x: i128) -> bool {
        i128::from(self.min()) <= x && x <= i128::from(self.max())
    }

    /// The narrowest type that holds every integer of `lo..=hi`, if one of 64 bits does.
    pub fn spanning(lo: i128, hi: i128) -> Option<IntTy> {
        (1..=64).map(|bits| IntTy { bits }).find(|t| t.holds(lo) && t.holds(hi))
    }
}

/// Largest length of a vector and largest side of a matrix.
pub const MAX_SIZE: usize = 1 << 20;

/// The type of inputs of PQ and int matrices.
pub const I8: IntTy = IntTy { bits: 8 };

impl std::fmt::Display for IntTy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "i{}", self.bits)
    }
}

/// A vector type `iN<len>`: the type of every value and parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VecTy {
    /// The element type.
    pub elem: IntTy,
    /// How many elements.
    pub len: usize,
}

impl std::fmt::Display for VecTy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}<{}>", self.elem, self.len)
    }
}

/// How the weights of a matrix are represented. Every form has `rows` outputs and `cols` inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightType {
    /// Product quantization: `pq<RxC, sub=s, k=k>`, `shared` for one codebook of all sub-vectors.
    Pq {
        /// Output rows.
        rows: usize,
        /// Input columns.
        cols: usize,
        /// Inputs per sub-vector; divides `cols`.
        sub: usize,
        /// Centroids per codebook.
        k: usize,
        /// One codebook serves every sub-vector.
        shared: bool,
    },
    /// Binary quadratic quantization: `bqq<RxC, bases=p, block=mxn>`.
    Bqq {
        /// Output rows.
        rows: usize,
        /// Input columns.
        cols: usize,
        /// Bases p per block.
        bases: usize,
        /// Rows m of a block; divides `rows`.
        block_rows: usize,
        /// Columns n of a block; divides `cols`.
        block_cols: usize,
    },
    /// Supermask over generated signs: `supermask<RxC, coats=n, seed=.., layer=.., pruned=.., locked=..>`.
    Supermask {
        /// Output rows.
        rows: usize,
        /// Input columns.
        cols: usize,
        /// Nested mask planes n; a weight's magnitude is 0..=n.
        coats: usize,
        /// Seed of the sign generator.
        seed: u32,
        /// Layer number given to the sign generator.
        layer: u32,
        /// Weights whose freeze byte is below `pruned` are 0. Out of 256.
        pruned: u32,
        /// Weights whose freeze byte is in `pruned..pruned+locked` carry every coat. Out of 256.
        locked: u32,
    },
    /// Plain integers: `int<RxC, bits=b>`, `group=g` for one scale per g inputs of a row.
    Int {
        /// Output rows.
        rows: usize,
        /// Input columns.
        cols: usize,
        /// Bits of one weight, 2..=8.
        bits: u32,
        /// Inputs per group scale, or none.
        group: Option<usize>,
    },
}

impl WeightType {
    /// Output rows of the matrix.
    pub fn rows(&self) -> usize {
        match *self {
            WeightType::Pq { rows, .. }
            | WeightType::Bqq { rows, .. }
            | WeightType::Supermask { rows, .. }
            | WeightType::Int { rows, .. } => rows,
        }
    }

    /// Input columns of the matrix.
    pub fn cols(&self) -> usize {
        match *self {
            WeightType::Pq { cols, .. }
            | WeightType::Bqq { cols, .. }
            | WeightType::Supermask { cols, .. }
            | WeightType::Int { cols, .. } => cols,
        }
    }
}

impl std::fmt::Display for WeightType {
    /// The type as the language writes it; attributes that are 0 or absent are left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            WeightType::Pq { rows, cols, sub, k, shared } => {
                let shared = if shared { ", shared" } else { "" };
                write!(f, "pq<{rows}x{cols}, sub={sub}, k={k}{shared}>")
            }
            WeightType::Bqq { rows, cols, bases, block_rows, block_cols } => {
                write!(f, "bqq<{rows}x{cols}, bases={bases}, block={block_rows}x{block_cols}>")
            }
            WeightType::Supermask { rows, cols, coats, seed, layer, pruned, locked } => {
                write!(f, "supermask<{rows}x{cols}, coats={coats}, seed=0x{seed:x}")?;
                for (key, n) in [("layer", layer), ("pruned", pruned), ("locked", locked)] {
                    if n != 0 {
                        write!(f, ", {key}={n}")?;
                    }
                }
                f.write_str(">")
            }
            WeightType::Int { rows, cols, bits, group } => {
                write!(f, "int<{rows}x{cols}, bits={bits}")?;
                if let Some(group) = group {
                    write!(f, ", group={group}")?;
                }
                f.write_str(">")
            }
        }
    }
}

/// A key/value cache of product-quantized vectors: `pq_kv<heads=H, kv_heads=G, dim=D, tokens=N, sub=s,
/// k=k, sink=A, recent=W>`, `start=n` for the tokens that it begins with.
///
/// A token has a key and a value of `dim` elements for each of the G key/value heads. The first A
/// tokens and the last W are kept exact, those between as a code for every `sub` elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheType {
    /// Query heads H.
    pub heads: usize,
    /// Key/value heads G; divides `heads`.
    pub kv_heads: usize,
    /// Elements D of a head's key, value or query.
    pub dim: usize,
    /// Tokens that the cache has room for, N.
    pub tokens: usize,
    /// Elements of a sub-vector; divides `dim`.
    pub sub: usize,
    /// Centroids per codebook.
    pub k: usize,
    /// Tokens from the first on that are kept exact, A.
    pub sink: usize,
    /// Last tokens that are kept exact, W.
    pub recent: usize,
    /// Tokens in the cache before the first step.
    pub start: usize,
}

impl CacheType {
    /// Sub-vectors M of a head's key or value.
    pub fn parts(&self) -> usize {
        self.dim / self.sub
    }

    /// Query heads that share a key/value head.
    pub fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// Elements of the keys of one token, G*D.
    pub fn token_len(&self) -> usize {
        self.kv_heads * self.dim
    }

    /// Of `n` tokens, how many are held as codes: those of the positions A to n-W.
    pub fn compressed(&self, n: usize) -> usize {
        n.saturating_sub(self.sink + self.recent)
    }

    /// Of `n` tokens, how many are held exact.
    pub fn exact(&self, n: usize) -> usize {
        n - self.compressed(n)
    }
}

impl std::fmt::Display for CacheType {
    /// The type as the language writes it; a `start` of 0 is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let CacheType { heads, kv_heads, dim, tokens, sub, k, sink, recent, start } = self;
        write!(f, "pq_kv<heads={heads}, kv_heads={kv_heads}, dim={dim}, tokens={tokens}, ")?;
        write!(f, "sub={sub}, k={k}, sink={sink}, recent={recent}")?;
        if *start != 0 {
            write!(f, ", start={start}")?;
        }
        f.write_str(">")
    }
}

/// Inner dimension l = round(mn/(m+n)) of a BQQ block of m x n (arXiv 2510.18650), ties upward.
pub fn bqq_inner(block_rows: usize, block_cols: usize) -> usize {
    let (mn, sum) = (block_rows * block_cols, block_rows + block_cols);
    ((2 * mn + sum) / (2 * sum)).max(1)
}
