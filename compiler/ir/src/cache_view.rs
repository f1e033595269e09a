//! What a cache begins with, as its tensors say.

use crate::layout::cache_tensors;
use crate::module::CacheId;
use crate::tensors::Model;
use crate::types::CacheType;

/// Keys or values: a cache has codebooks and tokens of both, and treats them alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Keys.
    Key,
    /// Values.
    Value,
}

impl Side {
    /// Both, keys first.
    pub const BOTH: [Side; 2] = [Side::Key, Side::Value];
}

/// Codebooks and first tokens of a cache.
#[derive(Clone, Copy)]
pub struct CacheView<'a> {
    ty: CacheType,
    codebooks: [&'a [u8]; 2],
    codes: [&'a [u8]; 2],
    exact: [&'a [u8]; 2],
}

impl<'a> CacheView<'a> {
    /// The cache's sizes.
    pub fn ty(&self) -> CacheType {
        self.ty
    }

    /// The codebooks of a side as stored, `[G, M, k, sub]`, an int8 a byte.
    pub fn codebook_bytes(&self, side: Side) -> &'a [u8] {
        self.codebooks[side as usize]
    }

    /// Centroid `c` of sub-vector `j` of head `g`, an int8 a byte.
    pub fn centroid_bytes(&self, side: Side, g: usize, j: usize, c: usize) -> &'a [u8] {
        let at = ((g * self.ty.parts() + j) * self.ty.k + c) * self.ty.sub;
        &self.codebook_bytes(side)[at..at + self.ty.sub]
    }

    /// Tokens that are held as codes before the first step.
    pub fn compressed(&self) -> usize {
        self.ty.compressed(self.ty.start)
    }

    /// Tokens that are held exact before the first step.
    pub fn exact(&self) -> usize {
        self.ty.exact(self.ty.start)
    }

    /// The code of sub-vector `j` of head `g` of the compressed token `t`, which has position
    /// sink + t; below k.
    pub fn code(&self, side: Side, t: usize, g: usize, j: usize) -> usize {
        let at = (t * self.ty.kv_heads + g) * self.ty.parts() + j;
        let codes = self.codes[side as usize];
        if self.ty.k > 256 {
            usize::from(u16::from_le_bytes([codes[2 * at], codes[2 * at + 1]]))
        } else {
            usize::from(codes[at])
        }
    }

    /// The exact token `e`, `[G][D]`, an int8 a byte. Exact tokens are numbered by position: the sink
    /// first.
    pub fn exact_bytes(&self, side: Side, e: usize) -> &'a [u8] {
        let len = self.ty.token_len();
        &self.exact[side as usize][e * len..(e + 1) * len]
    }

    /// The position of the exact token `e`.
    pub fn exact_position(&self, e: usize) -> usize {
        if e < self.ty.sink {
            e
        } else {
            e + self.compressed()
        }
    }
}

impl Model {
    /// What a cache begins with.
    pub fn cache(&self, id: CacheId) -> CacheView<'_> {
        let declared = &self.module.caches[id.0];
        let specs = cache_tensors(&declared.name.text, &declared.ty);
        let tensor = |suffix: &str| -> &[u8] {
            let at = specs.iter().position(|s| s.name.ends_with(suffix));
            at.map_or(&[], |i| self.caches[id.0][i].bytes())
        };
        CacheView {
            ty: declared.ty,
            codebooks: [tensor(".key_codebook"), tensor(".value_codebook")],
            codes: [tensor(".key_codes"), tensor(".value_codes")],
            exact: [tensor(".keys"), tensor(".values")],
        }
    }
}
