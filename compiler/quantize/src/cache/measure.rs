//! How far the attention over a compressed cache is off.

use crate::cache::heads::{Deviation, Exact, Head, View};
use crate::cache::integer::IntegerCache;
use crate::cache::train::Codebooks;
use pimc_golden::{run_step, GoldenError, State};
use pimc_ir::{Diagnostics, Model};
use rayon::prelude::*;
use std::sync::Arc;

/// Results of one query head of each entry against those without compression, with codebooks, queries
/// and softmax in real numbers.
pub fn real(heads: &[Head], books: &[Codebooks], view: &View, exact: &Exact) -> Vec<Deviation> {
    let pairs: Vec<(&Head, &Codebooks)> = heads.iter().zip(books).collect();
    let of_head = |(head, books): &(&Head, &Codebooks)| {
        let (keys, values) = books.decoded(&head.keys, &head.values);
        against_exact(head, view, &head.outputs_of(view, exact, &keys, &values))
    };
    pairs.par_iter().flat_map_iter(of_head).collect()
}

/// Given results of the query heads of `head` against those without compression.
pub fn against_exact(head: &Head, view: &View, given: &[Vec<f32>]) -> Vec<Deviation> {
    let right = head.outputs(view);
    right.iter().zip(given).map(|(r, g)| Deviation::of(r, g, head.dim)).collect()
}

/// Why integers could not be measured; a mistake of the quantizer.
#[derive(Debug)]
pub enum MeasureError {
    /// The module is none of the language.
    Module(Diagnostics),
    /// A step has no result.
    Step(GoldenError),
}

/// Results in integers, as the language defines them, against those without compression: the windows
/// are appended to an empty cache, all at once or, where a token sees only what is before it, one
/// token a step.
///
/// # Errors
/// What no cache that the quantizer made should lead to.
pub fn integer(
    heads: &[Head],
    cache: &IntegerCache,
    view: &View,
    exact: &Exact,
) -> Result<Vec<Deviation>, MeasureError> {
    let Some(first) = heads.first() else { return Ok(Vec::new()) };
    let windows: Vec<(usize, usize)> = first.windows(view).collect();
    let longest = windows.iter().map(|w| w.1).max().unwrap_or(1);
    let step = if view.causal { 1 } else { longest };
    let model = empty_cache(cache, exact, longest, step).map_err(MeasureError::Module)?;
    let queries = cache.queries(heads);
    let (keys, values) = cache.tokens(heads);
    let (q_len, kv_len) = (cache.heads * cache.dim, cache.kv.len() * cache.dim);
    let of_window = |&(at, n): &(usize, usize)| -> Result<Vec<i64>, GoldenError> {
        let mut state = State::initial(&model);
        let mut out = Vec::with_capacity(n * q_len);
        for first in (at..at + n).step_by(step) {
            let count = step.min(at + n - first);
            let part = |all: &[i8], len: usize| -> Vec<i64> {
                let given = all[first * len..][..count * len].iter().map(|&v| i64::from(v));
                given.chain(std::iter::repeat_n(0, (step - count) * len)).collect()
            };
            let inputs = [
                part(&queries, q_len),
                part(&keys, kv_len),
                part(&values, kv_len),
                vec![count as i64],
                vec![longest as i64; step],
            ];
            let trace = run_step(&model, &mut state, &inputs)?;
            out.extend_from_slice(&trace.result()[..count * q_len]);
        }
        Ok(out)
    };
    let parts: Vec<Vec<i64>> =
        windows.par_iter().map(of_window).collect::<Result<_, _>>().map_err(MeasureError::Step)?;
    let given = cache.results(&parts.concat());
    let group = given.len() / heads.len();
    let each = heads.iter().zip(given.chunks(group));
    Ok(each.flat_map(|(head, given)| against_exact(head, view, given)).collect())
}

/// A model whose cache has room for a window and begins with nothing.
fn empty_cache(
    cache: &IntegerCache,
    exact: &Exact,
    tokens: usize,
    step: usize,
) -> Result<Model, Diagnostics> {
    // All tokens of a window may be fewer than would stay exact.
    let recent = exact.recent.min(tokens);
    let exact = Exact { sink: exact.sink.min(tokens - recent), recent };
    let ty = cache.ty(tokens, &exact, 0);
    let text = cache.module_text("kv", "hbm3-pim", "kv.safetensors", &ty, step);
    let bytes = super::file_bytes(&cache.tensors("kv", &ty, &[]), "")
        .map_err(|e| super::mistake("kv.safetensors", e))?;
    let bytes = Arc::new(bytes);
    pimc_ir::load_from(text, "measured module".to_string(), &|_| Ok(bytes.clone()))
}

/// Mean over heads of the relative error, and mean cosine.
pub fn summary(all: &[Deviation]) -> (f64, f64) {
    let n = all.len().max(1) as f64;
    let mean = |f: &dyn Fn(&Deviation) -> f64| all.iter().map(f).sum::<f64>() / n;
    (mean(&Deviation::relative), mean(&Deviation::mean_cosine))
}
