//! A trained cache in the integers of the language: steps, codebooks, the module and its tensors.

use crate::cache::basis::Basis;
use crate::cache::heads::{Exact, Head, View};
use crate::cache::train::Codebooks;
use crate::matrix::{bytes_of_i8, bytes_of_u16};
use crate::uniform::{choose_step, code, Clip};
use pimc_ir::{cache_tensors, CacheType};

/// Largest code of a byte; -128 is left out, so that signs are alike.
const TOP: i64 = 127;

/// A tensor of the file: name, dtype, shape, bytes.
pub type FileTensor = (String, pimc_ir::Dtype, Vec<usize>, Vec<u8>);

/// The constants of `attend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// Multiplier of the differences of scores.
    pub mul: u32,
    /// Shift after it.
    pub shift: u32,
    /// Fraction bits of the results.
    pub frac: u32,
}

/// Codebooks of all heads in integers.
///
/// A head's keys have a step of their own, and so have its values. One `mul` and `shift` serves all
/// heads because the step of a head's queries is chosen so that the product of both steps is the same
/// everywhere: queries are inputs, and who quantizes them absorbs the step of the keys.
#[derive(Clone, Debug)]
pub struct IntegerCache {
    /// Elements of a key.
    pub dim: usize,
    /// Elements of a sub-vector.
    pub sub: usize,
    /// Centroids of a sub-vector.
    pub k: usize,
    /// Query heads.
    pub heads: usize,
    /// Of each key/value head: its bases and the real values of one step of keys and of values.
    pub kv: Vec<Steps>,
    /// Real value of one step of the queries, of each query head.
    pub query_steps: Vec<f64>,
    /// [kv heads, parts, k, sub].
    pub key_codebook: Vec<i8>,
    /// [kv heads, parts, k, sub].
    pub value_codebook: Vec<i8>,
    /// Constants of the softmax.
    pub softmax: Softmax,
}

/// Bases and steps of a key/value head.
#[derive(Clone, Debug)]
pub struct Steps {
    /// Of keys.
    pub key_basis: Basis,
    /// Of values.
    pub value_basis: Basis,
    /// Real value of one step of the keys.
    pub key: f64,
    /// Real value of one step of the values.
    pub value: f64,
}

/// Keys, queries or values in steps: rounded, and clamped to bytes.
fn in_steps(vectors: &[f32], step: f64) -> Vec<i8> {
    vectors.iter().map(|&v| code(f64::from(v), step, TOP) as i8).collect()
}

/// `mul` and `shift` for octaves/4096 per unit of integer scores; none if there are none.
fn softmax_constants(ratio: f64) -> Option<(u32, u32)> {
    if !ratio.is_normal() || ratio <= 0.0 {
        return None;
    }
    // The largest shift at which mul has 16 bits.
    let fits = |shift: &u32| (ratio * f64::from(*shift).exp2()).round() <= 65_535.0;
    let shift = (0..=31).rev().find(fits)?;
    let mul = (ratio * f64::from(shift).exp2()).round() as u32;
    (mul > 0).then_some((mul, shift))
}

impl IntegerCache {
    /// The trained `books` of `heads` in integers. Steps are chosen by `clip` on what the heads hold.
    /// None if the scores are of a size that no multiplier of `attend` stands for.
    pub fn of(
        heads: &[Head],
        books: &[Codebooks],
        view: &View,
        clip: Clip,
        frac: u32,
    ) -> Option<IntegerCache> {
        let step = |values: &[f32]| choose_step(values, &[], 8, clip).unwrap_or(1.0);
        let steps = |(head, b): (&Head, &Codebooks)| Steps {
            key: step(&b.key_basis.mapped(&head.keys)),
            value: step(&b.value_basis.mapped(&head.values)),
            key_basis: b.key_basis.clone(),
            value_basis: b.value_basis.clone(),
        };
        let kv: Vec<Steps> = heads.iter().zip(books).map(steps).collect();
        // The product of the steps of queries and keys: the largest that a head needs.
        let needed = heads.iter().zip(&kv).flat_map(|(head, kv)| {
            head.queries.iter().map(|q| step(&kv.key_basis.dual_of(q)) * kv.key)
        });
        let unit = needed.fold(0.0, f64::max);
        let octaves = 4096.0 * std::f64::consts::LOG2_E * f64::from(view.scale);
        let (mul, shift) = softmax_constants(octaves * unit)?;
        let (sub, dim) = (books.first()?.sub, heads.first()?.dim);
        let group = heads.first()?.queries.len();
        let codebook = |of: &dyn Fn(&Codebooks, &Steps) -> Vec<i8>| -> Vec<i8> {
            books.iter().zip(&kv).flat_map(|(b, s)| of(b, s)).collect()
        };
        Some(IntegerCache {
            dim,
            sub,
            k: books.first()?.keys.len() / dim,
            heads: heads.len() * group,
            query_steps: kv.iter().flat_map(|s| vec![unit / s.key; group]).collect(),
            key_codebook: codebook(&|b, s| in_steps(&b.keys, s.key)),
            value_codebook: codebook(&|b, s| in_steps(&b.values, s.value)),
            kv,
            softmax: Softmax { mul, shift, frac },
        })
    }

    /// The cache's type.
    pub fn ty(&self, tokens: usize, exact: &Exact, start: usize) -> CacheType {
        let Exact { sink, recent } = *exact;
        let (heads, kv_heads) = (self.heads, self.kv.len());
        let (dim, sub, k) = (self.dim, self.sub, self.k);
        CacheType { heads, kv_heads, dim, tokens, sub, k, sink, recent, start }
    }

    /// Queries of `heads`, [tokens][heads][dim].
    pub fn queries(&self, heads: &[Head]) -> Vec<i8> {
        let group = self.heads / self.kv.len().max(1);
        let each = heads.iter().zip(&self.kv).enumerate().flat_map(|(g, (head, kv))| {
            let of = move |(i, q): (usize, &Vec<f32>)| {
                in_steps(&kv.key_basis.dual_of(q), self.query_steps[g * group + i])
            };
            head.queries.iter().enumerate().map(of)
        });
        interleaved(&each.collect::<Vec<_>>(), self.dim)
    }

    /// Keys and values of `heads`, [tokens][kv heads][dim] each.
    pub fn tokens(&self, heads: &[Head]) -> (Vec<i8>, Vec<i8>) {
        let each = heads.iter().zip(&self.kv).map(|(head, s)| {
            let keys = in_steps(&s.key_basis.mapped(&head.keys), s.key);
            (keys, in_steps(&s.value_basis.mapped(&head.values), s.value))
        });
        let (keys, values): (Vec<_>, Vec<_>) = each.unzip();
        (interleaved(&keys, self.dim), interleaved(&values, self.dim))
    }

    /// Results of `attend`, [tokens][heads][dim], in real numbers: of each query head, [tokens, dim].
    pub fn results(&self, results: &[i64]) -> Vec<Vec<f32>> {
        let group = self.heads / self.kv.len().max(1);
        let of_head = |h: usize| -> Vec<f32> {
            let kv = &self.kv[h / group];
            let step = kv.value / f64::from(self.softmax.frac).exp2();
            let rows = results.chunks_exact(self.dim).skip(h).step_by(self.heads);
            let real: Vec<f32> = rows.flatten().map(|&v| (v as f64 * step) as f32).collect();
            kv.value_basis.undone(&real)
        };
        (0..self.heads).map(of_head).collect()
    }

    /// The module: appends up to `step` tokens and attends with as many queries, step after step.
    pub fn module_text(
        &self,
        name: &str,
        target: &str,
        file: &str,
        ty: &CacheType,
        step: usize,
    ) -> String {
        let quote = |s: &str| format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""));
        let (target, file) = (quote(target), quote(file));
        let (q, kv) = (step * ty.heads * ty.dim, step * ty.kv_heads * ty.dim);
        let Softmax { mul, shift, frac } = self.softmax;
        format!(
            "pimc 1\n\ntarget {target}\n\ncache @{name} : {ty} from {file}\n\n\
             func @main(%q: i8<{q}>, %k: i8<{kv}>, %v: i8<{kv}>, %n: i32<1>, %limit: i32<{step}>) \
             -> i16<{q}> {{\n\
             %len = append @{name}, %k, %v, %n : i32<1>\n\
             %o = attend @{name}, %q, %limit, mul={mul}, shift={shift}, frac={frac} : i16<{q}>\n\
             return %o\n}}\n"
        )
    }

    /// The tensors of the cache `name`: those of the language, which begins with the tokens of `start`
    /// (as many as the type says), and the maps between real vectors and integers.
    pub fn tensors(&self, name: &str, ty: &CacheType, start: &[Head]) -> Vec<FileTensor> {
        let (keys, values) = self.tokens(start);
        let token = ty.kv_heads * ty.dim;
        let compressed = |at: usize| at >= ty.sink && at + ty.recent < ty.start;
        let exact = |all: &[i8]| -> Vec<u8> {
            let tokens = all.chunks_exact(token).enumerate().filter(|(at, _)| !compressed(*at));
            tokens.flat_map(|(_, t)| bytes_of_i8(t)).collect()
        };
        let codes = |all: &[i8], books: &[i8]| -> Vec<u8> {
            let tokens = all.chunks_exact(token).enumerate().filter(|(at, _)| compressed(*at));
            let codes: Vec<u16> = tokens.flat_map(|(_, t)| self.codes(t, books)).collect();
            match ty.k {
                0..=256 => codes.iter().map(|&c| c as u8).collect(),
                _ => bytes_of_u16(&codes),
            }
        };
        let bytes_of = |suffix: &str| match suffix {
            "key_codebook" => bytes_of_i8(&self.key_codebook),
            "value_codebook" => bytes_of_i8(&self.value_codebook),
            "key_codes" => codes(&keys, &self.key_codebook),
            "value_codes" => codes(&values, &self.value_codebook),
            "keys" => exact(&keys),
            _ => exact(&values),
        };
        let prefix = format!("{name}.");
        let specs = cache_tensors(name, ty).into_iter();
        let own = specs.map(|s| {
            let bytes = bytes_of(s.name.strip_prefix(&prefix).unwrap_or(&s.name));
            (s.name, s.dtype, s.shape, bytes)
        });
        own.chain(self.maps(name)).collect()
    }

    /// The code of every sub-vector of a token, as the language encodes it.
    fn codes(&self, token: &[i8], books: &[i8]) -> Vec<u16> {
        let books = books.chunks_exact(self.k * self.sub);
        let nearest = |(x, book): (&[i8], &[i8])| {
            let to = |c: &[i8]| -> i64 {
                x.iter().zip(c).map(|(&x, &c)| (i64::from(x) - i64::from(c)).pow(2)).sum()
            };
            let all = book.chunks_exact(self.sub).map(to).zip(0u16..);
            // The first of equal ones.
            all.min().map_or(0, |(_, c)| c)
        };
        token.chunks_exact(self.sub).zip(books).map(nearest).collect()
    }

    /// Of each query head `query_map` [dim, dim] and of each key/value head `key_map` and `value_map`:
    /// integers are the rounded products with real vectors, less `key_offset` and `value_offset` [dim].
    /// `result_map` [dim, dim]: real results are the products with integer ones, and `result_offset`.
    fn maps(&self, name: &str) -> Vec<FileTensor> {
        let (dim, group) = (self.dim, self.heads / self.kv.len().max(1));
        let frac = f64::from(self.softmax.frac).exp2();
        let scaled = |values: &[f64], by: f64| -> Vec<f32> {
            values.iter().map(|v| (v * by) as f32).collect()
        };
        let of_kv = |f: &dyn Fn(&Steps) -> Vec<f32>| self.kv.iter().flat_map(f).collect();
        let queries = self.query_steps.iter().enumerate();
        let queries =
            queries.flat_map(|(h, s)| scaled(&self.kv[h / group].key_basis.dual, 1.0 / s));
        let all: [(&str, &[usize], Vec<f32>); 7] = [
            ("query_map", &[dim, dim], queries.collect()),
            ("key_map", &[dim, dim], of_kv(&|s| scaled(&s.key_basis.map, 1.0 / s.key))),
            ("key_offset", &[dim], of_kv(&|s| scaled(&s.key_basis.offset, 1.0 / s.key))),
            ("value_map", &[dim, dim], of_kv(&|s| scaled(&s.value_basis.map, 1.0 / s.value))),
            ("value_offset", &[dim], of_kv(&|s| scaled(&s.value_basis.offset, 1.0 / s.value))),
            (
                "result_map",
                &[dim, dim],
                of_kv(&|s| scaled(&s.value_basis.inverse(), s.value / frac)),
            ),
            ("result_offset", &[dim], of_kv(&|s| s.value_basis.undone(&vec![0.0; dim]))),
        ];
        let tensor = |(what, of_head, values): (&str, &[usize], Vec<f32>)| {
            let heads = values.len() / of_head.iter().product::<usize>();
            let shape = [&[heads], of_head].concat();
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (format!("{name}.{what}"), pimc_ir::Dtype::F32, shape, bytes)
        };
        all.into_iter().map(tensor).collect()
    }
}

/// From heads of [tokens, dim] to [tokens, heads, dim].
fn interleaved(heads: &[Vec<i8>], dim: usize) -> Vec<i8> {
    let tokens = heads.first().map_or(0, |h| h.len() / dim);
    (0..tokens)
        .flat_map(|t| heads.iter().flat_map(move |h| &h[t * dim..][..dim]))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_of_the_softmax() {
        for ratio in [4.2, 1e-3, 65_535.0, 0.9, 3.0e-5] {
            let (mul, shift) = softmax_constants(ratio).unwrap();
            let got = f64::from(mul) / f64::from(shift).exp2();
            assert!((got / ratio - 1.0).abs() < 2f64.powi(-15), "{ratio}: {mul} {shift}");
            assert!((1..=65_535).contains(&mul) && shift <= 31);
        }
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 70_000.0, 1e-11] {
            assert_eq!(softmax_constants(bad), None, "{bad}");
        }
    }

    #[test]
    fn heads_side_by_side() {
        assert_eq!(interleaved(&[vec![1, 2, 3, 4], vec![5, 6, 7, 8]], 2), [1, 2, 5, 6, 3, 4, 7, 8]);
    }
}
