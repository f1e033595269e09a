//! Functions on a key/value cache with generated contents: codebooks, tokens and steps that depend on
//! a seed alone.

use crate::diag::Diagnostics;
use crate::generated::Noise;
use crate::tensors::Model;
use crate::testing::{CacheArrays, ModelBuilder};
use crate::types::CacheType;

/// A function that appends to a cache and attends to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheModel {
    /// The cache.
    pub ty: CacheType,
    /// Tokens and queries of a step, at most.
    pub queries: usize,
    /// Whether a step appends tokens.
    pub append: bool,
    /// From a score to 1/4096 octaves: times this,
    pub mul: u32,
    /// shifted right by this.
    pub shift: u32,
    /// Fractional bits of the result.
    pub frac: u32,
    /// Bits of the result.
    pub bits: u32,
    /// Whether rows end in their log-sum-exp, which takes 32 bits; and how many states that come as inputs
    /// the result is then merged with, one after the other.
    pub state: Option<usize>,
}

impl CacheModel {
    /// Every combination of the sizes that attention is asked for (heads of 32 to 128 elements, sub-vectors
    /// of 2 to 8, 16 to 512 centroids, 1, 4 and 8 query heads to a key/value head), which takes a token in and
    /// attends. Contexts from 0 to 4,093 tokens, and four kinds of windows, are spread over them.
    pub fn sizes() -> Vec<CacheModel> {
        let mut all = Vec::new();
        for (dim, sub) in [32, 64, 128].into_iter().flat_map(|dim| [2, 4, 8].map(|sub| (dim, sub)))
        {
            for (k, heads) in [16, 64, 256, 512].into_iter().flat_map(|k| [1, 4, 8].map(|g| (k, g)))
            {
                let i = all.len();
                let start = (i * 4093 / 107).saturating_sub(i % 2);
                let (sink, recent) = [(8, 32), (0, 0), (4, 0), (0, 7)][i % 4];
                let tokens = 4096;
                let ty = CacheType { heads, kv_heads: 1, dim, tokens, sub, k, sink, recent, start };
                let (append, queries) = (true, 1);
                all.push(CacheModel {
                    ty,
                    queries,
                    append,
                    mul: 3000,
                    shift: 12,
                    frac: 8,
                    bits: 16,
                    state: None,
                });
            }
        }
        all
    }

    /// The module.
    pub fn text(&self, target: &str) -> String {
        let (ty, t) = (&self.ty, self.queries);
        let (q, kv) = (t * ty.heads * ty.dim, t * ty.token_len());
        let CacheModel { mul, shift, frac, bits, .. } = self;
        let (dim, shared) = (ty.dim, self.state.unwrap_or(0));
        let (state, y) = self.state.map_or(("", q), |_| (", state", q / dim * (dim + 1)));
        let shares: String = (0..shared).map(|i| format!(", %s{i}: i32<{y}>")).collect();
        let name = |i: usize| if i == 0 { "%o".to_string() } else { format!("%o{i}") };
        let merge = |i: usize| {
            let (o, s) = (name(i), format!("%s{i}"));
            let of = if i % 2 == 0 { format!("{o}, {s}") } else { format!("{s}, {o}") };
            format!("  {} = merge {of}, dim={dim}, frac={frac} : i32<{y}>\n", name(i + 1))
        };
        let merges: String = (0..shared).map(merge).collect();
        let (inputs, append) = if self.append {
            (
                format!("%k: i8<{kv}>, %v: i8<{kv}>, %n: i32<1>, "),
                "  %len = append @kv, %k, %v, %n : i32<1>\n",
            )
        } else {
            (String::new(), "")
        };
        format!(
            "pimc 1\n\ntarget \"{target}\"\n\ncache @kv : {ty} from \"kv.safetensors\"\n\n\
             func @main(%q: i8<{q}>, {inputs}%limit: i32<{t}>{shares}) -> i{bits}<{y}> {{\n{append}  \
             %o = attend @kv, %q, %limit, mul={mul}, shift={shift}, frac={frac}{state} : i{bits}<{y}>\n\
             {merges}  return {}\n}}\n",
            name(shared)
        )
    }

    /// The model, its cache filled with `start` tokens.
    ///
    /// # Errors
    /// What is wrong with the sizes.
    pub fn model(&self, target: &str, seed: u64) -> Result<Model, Diagnostics> {
        self.builder(target, seed).build()
    }

    /// The same, to be written.
    pub fn builder(&self, target: &str, seed: u64) -> ModelBuilder {
        let (ty, mut noise) = (&self.ty, Noise(seed));
        let mut bytes = |n: usize| -> Vec<i8> { (0..n).map(|_| noise.word() as i8).collect() };
        let book = ty.kv_heads * ty.parts() * ty.k * ty.sub;
        let exact = ty.exact(ty.start) * ty.token_len();
        let (key_codebook, value_codebook) = (bytes(book), bytes(book));
        let (keys, values) = (bytes(exact), bytes(exact));
        let codes = ty.compressed(ty.start) * ty.kv_heads * ty.parts();
        let mut codes = || (0..codes).map(|_| (noise.word() % ty.k as u64) as u16).collect();
        let (key_codes, value_codes) = (codes(), codes());
        let arrays =
            CacheArrays { key_codebook, value_codebook, key_codes, value_codes, keys, values };
        ModelBuilder::new(self.text(target)).cache("kv", &arrays)
    }

    /// Inputs of a step that appends `count` tokens; query i sees `limits[i]` tokens.
    pub fn step(&self, seed: u64, count: usize, limits: &[i64]) -> Vec<Vec<i64>> {
        let (ty, mut noise) = (&self.ty, Noise(seed));
        let mut vector =
            |n: usize| -> Vec<i64> { (0..n).map(|_| i64::from(noise.word() as i8)).collect() };
        let mut inputs = vec![vector(self.queries * ty.heads * ty.dim)];
        if self.append {
            let len = self.queries * ty.token_len();
            inputs.extend([vector(len), vector(len), vec![count as i64]]);
        }
        inputs.push(limits.to_vec());
        let rows = self.queries * ty.heads;
        for _ in 0..self.state.unwrap_or(0) {
            let mut state = Vec::with_capacity(rows * (ty.dim + 1));
            for _ in 0..rows {
                state.extend((0..ty.dim).map(|_| i64::from(noise.word() as i16)));
                // Of every size, some as large as those of the cache, some of no token at all.
                let log = noise.word() as i32;
                state.push(i64::from(if log & 7 == 0 { i32::MIN } else { log >> (log & 15) }));
            }
            inputs.push(state);
        }
        inputs
    }
}
