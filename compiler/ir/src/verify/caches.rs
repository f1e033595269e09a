//! Rules 23 to 25: cache types that mean something, the ops on caches, and first tokens.

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::module::{Cache, Module, OpKind, Span, ValueId};
use crate::ranges::score_bounds;
use crate::tensors::Slice;
use crate::types::{CacheType, IntTy, VecTy};

/// Most centroids of a codebook: what a code of 16 bits tells apart.
const MAX_CENTROIDS: usize = 1 << 16;

/// Most steps of k-means of one `cluster`.
const MAX_ITERATIONS: u32 = 1000;

/// Reports what is impossible about a cache's type; whether it is possible.
pub(super) fn check(cache: &Cache, diags: &mut Diagnostics) -> bool {
    let CacheType { heads, kv_heads, dim, tokens, sub, k, sink, recent, start } = cache.ty;
    let mut good = true;
    let mut wrong = |message: String, label: String, help: &str| {
        good = false;
        diags.push(Diagnostic::error(Code::P0309, message).at(&cache.span, label).help(help));
    };
    if heads % kv_heads != 0 {
        wrong(
            format!("kv_heads={kv_heads} does not divide the {heads} heads"),
            "every key/value head serves as many query heads".to_string(),
            "kv_heads is heads, or a divisor of it",
        );
    }
    if dim % sub != 0 {
        let near = (1..=sub).rev().find(|d| dim % d == 0).unwrap_or(1);
        wrong(
            format!("sub={sub} does not divide dim={dim}"),
            format!("a head has {dim} elements"),
            &format!("choose a divisor, such as {near}"),
        );
    }
    if k > MAX_CENTROIDS {
        wrong(
            format!("k is {k}"),
            format!("expected 1 to {MAX_CENTROIDS}"),
            "a code has at most 16 bits",
        );
    }
    if sink + recent > tokens {
        wrong(
            format!("sink + recent is {}", sink + recent),
            format!("the cache has room for {tokens} tokens"),
            "sink and recent tokens are some of the cache's: raise tokens, or keep fewer exact",
        );
    }
    if start > tokens {
        wrong(
            format!("start is {start}"),
            format!("the cache has room for {tokens} tokens"),
            "a cache begins with at most as many tokens as it has room for",
        );
    }
    good
}

/// Reports the first code that names no centroid.
pub(crate) fn cache_contents(cache: &Cache, tensors: &[Slice], diags: &mut Diagnostics) {
    let (ty, name) = (cache.ty, &cache.name.text);
    if ty.compressed(ty.start) == 0 {
        return;
    }
    // Codes stand behind the two codebooks.
    for (tensor, what) in tensors[2..4].iter().zip(["key_codes", "value_codes"]) {
        let size = if ty.k > 256 { 2 } else { 1 };
        let code = |c: &[u8]| c.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b));
        let mut codes = tensor.bytes().chunks_exact(size).map(code);
        let Some((i, bad)) = codes.by_ref().enumerate().find(|(_, c)| *c >= ty.k) else { continue };
        let (head, part) = (i / ty.parts() % ty.kv_heads, i % ty.parts());
        let place = format!("`{name}.{what}`[{}, {head}, {part}]", i / ty.parts() / ty.kv_heads);
        diags.push(
            Diagnostic::error(Code::P0406, format!("{place} is {bad}"))
                .at(&cache.span, format!("the codebooks have {} centroids", ty.k))
                .help(format!("codes are 0 to {}", ty.k - 1)),
        );
    }
}

/// Checks one op on a cache or on states of attention.
pub(super) struct CacheOp<'a> {
    pub(super) module: &'a Module,
    pub(super) span: &'a Span,
    pub(super) result: VecTy,
    /// Which of the caches have a possible type.
    pub(super) sound: &'a [bool],
    pub(super) diags: &'a mut Diagnostics,
}

impl CacheOp<'_> {
    pub(super) fn check(&mut self, kind: &OpKind) {
        // Lengths follow from the cache's type, so a wrong type says nothing about them.
        if kind.cache().is_some_and(|c| !self.sound[c.0]) {
            return;
        }
        let cache = |c: crate::module::CacheId| &self.module.caches[c.0];
        match *kind {
            OpKind::Append { cache: c, k, v, n } => {
                self.tokens(cache(c), k, v);
                self.one("n", self.ty(n).len);
                self.one("the result", self.result.len);
            }
            OpKind::Attend { cache: c, q, limit, mul, shift, frac, state } => {
                let cache = cache(c);
                let ty = cache.ty;
                self.bytes("q", q);
                let rows = self.rows("q", q, ty.heads, ty.dim, cache);
                if let Some(queries) = rows.map(|rows| rows / ty.heads) {
                    let why = format!("q holds {queries} queries");
                    self.length("limit", self.ty(limit).len, queries, &why, None);
                    let len = queries * ty.heads * (ty.dim + usize::from(state));
                    let why = format!("of {queries} queries come {len}");
                    self.length("the result", self.result.len, len, &why, None);
                }
                let small = self.within("mul", mul, 1, 65535)
                    & self.within("shift", shift, 0, 31)
                    & self.within("frac", frac, 0, 8);
                if state {
                    self.state_type("the result", self.result);
                    if small {
                        self.score(cache, mul, shift);
                    }
                }
            }
            OpKind::Merge { a, b, dim, frac } => {
                let len = self.ty(a).len;
                if len % (dim + 1) != 0 {
                    let why = format!("a row has dim + 1 = {} elements", dim + 1);
                    let message = format!("a has {len} elements, which are no whole rows");
                    self.report(Code::P0303, message, why, "correct dim, or the operand");
                }
                let why = format!("the left operand has {len} elements");
                self.length("the right operand", self.ty(b).len, len, &why, None);
                self.length("the result", self.result.len, len, &why, None);
                for (what, ty) in
                    [("a", self.ty(a)), ("b", self.ty(b)), ("the result", self.result)]
                {
                    self.state_type(what, ty);
                }
                self.within("frac", frac, 0, 8);
                for (what, x) in [("a", a), ("b", b)] {
                    self.same_state(what, x, dim, frac);
                }
            }
            OpKind::Cluster { cache: c, k, v, weights, n, iterations } => {
                let cache = cache(c);
                if let Some(tokens) = self.tokens(cache, k, v) {
                    let len = tokens * cache.ty.kv_heads;
                    let why =
                        format!("one for each of {tokens} tokens and {} heads", cache.ty.kv_heads);
                    self.length("weights", self.ty(weights).len, len, &why, Some(&cache.span));
                }
                let elem = self.ty(weights).elem;
                if elem.bits > 32 {
                    let label = "expected at most i32".to_string();
                    let message = format!("weights of cluster is {elem}");
                    self.report(Code::P0304, message, label, "requantise the weights to i32 first");
                }
                self.within("iterations", iterations, 0, MAX_ITERATIONS);
                self.one("n", self.ty(n).len);
                self.one("the result", self.result.len);
            }
            _ => {}
        }
    }

    fn ty(&self, id: ValueId) -> VecTy {
        self.module.func.values[id.0].ty
    }

    fn report(&mut self, code: Code, message: String, label: String, help: &str) {
        self.diags.push(Diagnostic::error(code, message).at(self.span, label).help(help));
    }

    fn length(&mut self, what: &str, is: usize, must: usize, why: &str, place: Option<&Span>) {
        super::ops::length_of(self.span, what, is, must, why, place, self.diags);
    }

    fn one(&mut self, what: &str, is: usize) {
        self.length(what, is, 1, "a number of tokens is one element", None);
    }

    /// Elements of at most eight bits.
    fn bytes(&mut self, what: &str, id: ValueId) {
        let elem = self.ty(id).elem;
        if elem.bits > 8 {
            let message = format!("{what} is {elem}");
            let label = "a cache takes at most i8".to_string();
            self.report(Code::P0304, message, label, "requantise it to i8 first");
        }
    }

    /// The rows of `dim` elements of a value, if they are whole tokens of `heads` rows.
    fn rows(
        &mut self,
        what: &str,
        id: ValueId,
        heads: usize,
        dim: usize,
        cache: &Cache,
    ) -> Option<usize> {
        let len = self.ty(id).len;
        if len % (heads * dim) == 0 {
            return Some(len / dim);
        }
        let d = Diagnostic::error(
            Code::P0303,
            format!("{what} has {len} elements, which are no whole tokens"),
        )
        .at(self.span, format!("a token has {heads} heads of {dim} elements here"))
        .also(&cache.span, "declared here")
        .help(format!("its length is a multiple of {}", heads * dim));
        self.diags.push(d);
        None
    }

    /// The tokens that keys and values hold.
    fn tokens(&mut self, cache: &Cache, k: ValueId, v: ValueId) -> Option<usize> {
        self.bytes("k", k);
        self.bytes("v", v);
        let len = self.ty(k).len;
        let why = format!("k has {len} elements");
        self.length("v", self.ty(v).len, len, &why, None);
        let rows = self.rows("k", k, cache.ty.kv_heads, cache.ty.dim, cache)?;
        Some(rows / cache.ty.kv_heads)
    }

    fn within(&mut self, what: &str, n: u32, lo: u32, hi: u32) -> bool {
        let good = (lo..=hi).contains(&n);
        if !good {
            let label = format!("expected {lo} to {hi}");
            self.report(
                Code::P0310,
                format!("{what} is {n}"),
                label,
                "docs/ops.md describes every op",
            );
        }
        good
    }

    /// States are of i32, so that all of them can be merged.
    fn state_type(&mut self, what: &str, ty: VecTy) {
        if ty.elem != (IntTy { bits: 32 }) {
            let message = format!("{what} is of {}, not i32", ty.elem);
            let label = "a state of attention is of i32".to_string();
            self.report(Code::P0304, message, label, &format!("write `i32<{}>`", ty.len));
        }
    }

    /// The log-sum-exp is an i32 above the least, which means that there is none.
    fn score(&mut self, cache: &Cache, mul: u32, shift: u32) {
        let (lo, hi) = score_bounds(&cache.ty, mul, shift);
        if lo <= i128::from(i32::MIN) || hi > i128::from(i32::MAX) {
            let message = "i32 cannot hold the log-sum-exp".to_string();
            let label = format!("it can be {lo} to {hi}");
            let help = "choose mul and shift of a smaller ratio: 4096 is one octave of the softmax";
            self.report(Code::P0310, message, label, help);
        }
    }

    /// A state comes with the sizes it was made with.
    fn same_state(&mut self, what: &str, x: ValueId, dim: usize, frac: u32) {
        let func = &self.module.func;
        let Some(op) = x.0.checked_sub(func.inputs).and_then(|i| func.ops.get(i)) else { return };
        let (made_dim, made_frac) = match op.kind {
            OpKind::Merge { dim, frac, .. } => (dim, frac),
            OpKind::Attend { cache, frac, state: true, .. } => {
                (self.module.caches[cache.0].ty.dim, frac)
            }
            _ => return,
        };
        if (made_dim, made_frac) != (dim, frac) {
            let message = format!("{what} has dim={made_dim} and frac={made_frac}");
            let d = Diagnostic::error(Code::P0310, message)
                .at(self.span, format!("this merges states of dim={dim} and frac={frac}"))
                .also(&op.span, "made here")
                .help("both states and the result are of one dim and one frac");
            self.diags.push(d);
        }
    }
}
