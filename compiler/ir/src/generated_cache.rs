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
    /// A function that takes in a token a step and attends to all with one query, at a scale that suits
    /// generated contents.
    pub fn new(ty: CacheType) -> CacheModel {
        let (mul, shift, frac, bits) = (3000, 12, 8, 16);
        CacheModel { ty, queries: 1, append: true, mul, shift, frac, bits, state: None }
    }

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
                all.push(CacheModel::new(ty));
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
        let arrays = contents(&self.ty, seed);
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

/// Contents of a cache that begins as its type says.
fn contents(ty: &CacheType, seed: u64) -> CacheArrays {
    let mut noise = Noise(seed);
    let mut bytes = |n: usize| -> Vec<i8> { (0..n).map(|_| noise.word() as i8).collect() };
    let book = ty.kv_heads * ty.parts() * ty.k * ty.sub;
    let exact = ty.exact(ty.start) * ty.token_len();
    let (key_codebook, value_codebook) = (bytes(book), bytes(book));
    let (keys, values) = (bytes(exact), bytes(exact));
    let codes = ty.compressed(ty.start) * ty.kv_heads * ty.parts();
    let mut codes = || (0..codes).map(|_| (noise.word() % ty.k as u64) as u16).collect();
    let (key_codes, value_codes) = (codes(), codes());
    CacheArrays { key_codebook, value_codebook, key_codes, value_codes, keys, values }
}

/// A function that fills a cache by clustering and attends to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterModel {
    /// The cache.
    pub ty: CacheType,
    /// Tokens that are given in a step.
    pub tokens: usize,
    /// Queries of a step.
    pub queries: usize,
    /// Steps of k-means.
    pub iterations: u32,
    /// Bits of the type of a weight.
    pub weight_bits: u32,
}

/// What the tokens and weights of a step that clusters are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Anything; a third of the tokens weigh nothing.
    Noise,
    /// All the same token.
    Same,
    /// The largest and the smallest bytes, and weights as large as they can be.
    Extreme,
    /// Weights of 0.
    Weightless,
}

impl ClusterModel {
    /// The module.
    pub fn text(&self, target: &str) -> String {
        let ClusterModel { ty, tokens, queries, iterations, weight_bits } = self;
        let (q, kv) = (queries * ty.heads * ty.dim, tokens * ty.token_len());
        let w = tokens * ty.kv_heads;
        format!(
            "pimc 1\n\ntarget \"{target}\"\n\ncache @kv : {ty} from \"kv.safetensors\"\n\n\
             func @main(%q: i8<{q}>, %k: i8<{kv}>, %v: i8<{kv}>, %w: i{weight_bits}<{w}>, %n: i32<1>, \
             %limit: i32<{queries}>) -> i16<{q}> {{\n  \
             %len = cluster @kv, %k, %v, %w, %n, iterations={iterations} : i32<1>\n  \
             %o = attend @kv, %q, %limit, mul=3000, shift=12, frac=8 : i16<{q}>\n  return %o\n}}\n"
        )
    }

    /// The model, its cache as it begins.
    pub fn builder(&self, target: &str, seed: u64) -> ModelBuilder {
        self.builder_of(&self.text(target), seed)
    }

    /// The same of another text with that cache.
    pub fn builder_of(&self, text: &str, seed: u64) -> ModelBuilder {
        self.with_contents(ModelBuilder::new(text), "kv", seed)
    }

    /// Gives contents to a cache of that type.
    pub fn with_contents(&self, builder: ModelBuilder, name: &str, seed: u64) -> ModelBuilder {
        builder.cache(name, &contents(&self.ty, seed))
    }

    /// Inputs of a step that clusters the first `n` tokens; query i sees all but i.
    pub fn step(&self, seed: u64, prompt: Prompt, n: usize) -> Vec<Vec<i64>> {
        let (ty, mut noise) = (&self.ty, Noise(seed));
        let most = (1i64 << (self.weight_bits - 1)) - 1;
        let len = self.tokens * ty.token_len();
        let mut bytes = |n: usize| -> Vec<i64> {
            let byte = |i: usize, word: u64| match prompt {
                Prompt::Same => (i % ty.token_len() % 120) as i64 - 3,
                Prompt::Extreme => [-128, 127][(word % 2) as usize],
                _ => i64::from(word as i8),
            };
            (0..n).map(|i| byte(i, noise.word())).collect()
        };
        let (q, k, v) = (bytes(self.queries * ty.heads * ty.dim), bytes(len), bytes(len));
        let weight = |word: u64| match prompt {
            Prompt::Weightless => 0,
            Prompt::Extreme => most,
            _ if word % 3 == 0 => 0,
            _ => (word >> 8) as i64 & most,
        };
        let w = (0..self.tokens * ty.kv_heads).map(|_| weight(noise.word())).collect();
        let limits = (0..self.queries).map(|i| (n as i64 - i as i64).max(0)).collect();
        vec![q, k, v, w, vec![n as i64], limits]
    }
}
