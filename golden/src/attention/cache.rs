//! What a cache holds.
//!
//! Of n tokens, with A sink and W recent ones: the token of position p is held exact where p < A (sink) or
//! p >= n - W (recent), and else as a code for every sub-vector. Once it is a code it stays one.

use super::encode::nearest;
use pimc_ir::{CacheType, CacheView, Side};
use std::collections::VecDeque;

/// Key and value of a token, `[G][D]` each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token([Vec<i8>; 2]);

impl Token {
    /// A token of these elements, which are values of i8.
    pub fn new(k: &[i64], v: &[i64]) -> Token {
        Token([k, v].map(|x| x.iter().map(|&x| x as i8).collect()))
    }

    /// Its key or its value.
    pub fn side(&self, side: Side) -> &[i8] {
        &self.0[side as usize]
    }
}

/// A cache between two ops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheState {
    ty: CacheType,
    /// `[G, M, k, sub]`, of keys and values.
    codebooks: [Vec<i8>; 2],
    sink: Vec<Token>,
    /// `[C][G][M]`, of keys and values.
    codes: [Vec<u16>; 2],
    recent: VecDeque<Token>,
}

/// The bytes of a tensor as the integers that they are.
fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|&b| b as i8).collect()
}

impl CacheState {
    /// The cache as its tensors say.
    pub fn initial(view: &CacheView<'_>) -> CacheState {
        let ty = view.ty();
        let codes = Side::BOTH.map(|side| {
            let (heads, parts) = (ty.kv_heads, ty.parts());
            let code = |i: usize| view.code(side, i / parts / heads, i / parts % heads, i % parts);
            (0..view.compressed() * heads * parts).map(|i| code(i) as u16).collect()
        });
        let token = |e: usize| Token(Side::BOTH.map(|side| signed(view.exact_bytes(side, e))));
        let sinks = ty.sink.min(ty.start);
        CacheState {
            ty,
            codebooks: Side::BOTH.map(|side| signed(view.codebook_bytes(side))),
            sink: (0..sinks).map(token).collect(),
            codes,
            recent: (sinks..view.exact()).map(token).collect(),
        }
    }

    /// The cache's sizes.
    pub fn ty(&self) -> CacheType {
        self.ty
    }

    /// Tokens in the cache, n.
    pub fn tokens(&self) -> usize {
        self.sink.len() + self.compressed() + self.recent.len()
    }

    /// Tokens held as codes.
    pub fn compressed(&self) -> usize {
        self.codes[0].len() / (self.ty.kv_heads * self.ty.parts())
    }

    /// All codes of a side, `[C][G][M]`: compressed token t has position sink + t.
    pub fn codes(&self, side: Side) -> &[u16] {
        &self.codes[side as usize]
    }

    /// The codebooks of a side, `[G, M, k, sub]`.
    pub fn codebook(&self, side: Side) -> &[i8] {
        &self.codebooks[side as usize]
    }

    /// The codebook of sub-vector `j` of head `g`, `[k, sub]`.
    pub fn codebook_of(&self, side: Side, g: usize, j: usize) -> &[i8] {
        let size = self.ty.k * self.ty.sub;
        &self.codebook(side)[(g * self.ty.parts() + j) * size..][..size]
    }

    /// The token of position `p`, where it is held exact.
    pub fn exact(&self, p: usize) -> Option<&Token> {
        match p.checked_sub(self.ty.sink) {
            None => self.sink.get(p),
            Some(t) => self.recent.get(t.checked_sub(self.compressed())?),
        }
    }

    /// Puts the token of `key` and `value` behind the others, and the one that leaves the recent ones by
    /// that into codes: the new one itself where none are recent.
    pub fn append(&mut self, token: Token) {
        if self.sink.len() < self.ty.sink {
            self.sink.push(token);
            return;
        }
        self.recent.push_back(token);
        if self.recent.len() > self.ty.recent {
            if let Some(left) = self.recent.pop_front() {
                self.compress(&left);
            }
        }
    }

    fn compress(&mut self, token: &Token) {
        for side in Side::BOTH {
            let mut codes = Vec::with_capacity(self.ty.kv_heads * self.ty.parts());
            for (g, head) in token.side(side).chunks_exact(self.ty.dim).enumerate() {
                for (j, x) in head.chunks_exact(self.ty.sub).enumerate() {
                    codes.push(nearest(x, self.codebook_of(side, g, j)) as u16);
                }
            }
            self.codes[side as usize].extend(codes);
        }
    }

    /// No tokens, and these codebooks.
    pub(super) fn emptied(&self, codebooks: [Vec<i8>; 2]) -> CacheState {
        CacheState {
            ty: self.ty,
            codebooks,
            sink: Vec::new(),
            codes: [Vec::new(), Vec::new()],
            recent: VecDeque::new(),
        }
    }

    /// The first `count` keys or values of head `g` as attention reads them, `[count][D]`: exact, or the
    /// centroids of the codes end to end.
    pub fn read(&self, side: Side, g: usize, count: usize) -> Vec<i8> {
        let (dim, sub, parts) = (self.ty.dim, self.ty.sub, self.ty.parts());
        let mut out = Vec::with_capacity(count * dim);
        for p in 0..count {
            if let Some(token) = self.exact(p) {
                out.extend(&token.side(side)[g * dim..(g + 1) * dim]);
                continue;
            }
            let at = ((p - self.ty.sink) * self.ty.kv_heads + g) * parts;
            for (j, &code) in self.codes(side)[at..at + parts].iter().enumerate() {
                let book = self.codebook_of(side, g, j);
                out.extend(&book[usize::from(code) * sub..][..sub]);
            }
        }
        out
    }
}
