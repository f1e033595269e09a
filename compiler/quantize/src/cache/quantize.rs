//! The whole way from the recipe of a cache to a module.

use crate::cache::basis::BasisKind;
use crate::cache::heads::{Deviation, Head, View};
use crate::cache::integer::IntegerCache;
use crate::cache::recipe::{parse_cache_recipe, CacheRecipe, TextRecipe, LONGEST_WINDOW};
use crate::cache::train::{train, Codebooks};
use crate::cache::{file_bytes, measure, mistake};
use crate::quantize::{Progress, Quantized, RecipeText, Request};
use crate::random::Rng;
use crate::report::{CacheReport, Origin, Report};
use crate::section::{Problems, Spot};
use crate::source::{is_one_of, would_replace, wrong_shape, RealTensor, Source};
use pimc_ir::checksum::sha256;
use pimc_ir::{CacheType, Code, Diagnostics};
use rayon::prelude::*;
use std::sync::Arc;

/// Tensors of a text, head by head, and the file they come from.
struct Text {
    heads: Vec<Head>,
    origin: Origin,
}

/// Quantizes a cache.
///
/// # Errors
/// As [`crate::quantize()`].
pub(crate) fn quantize_cache(
    request: &Request<'_>,
    text: &RecipeText,
    source: &Source,
    progress: &dyn Progress,
) -> Result<Quantized, Diagnostics> {
    let recipe = parse_cache_recipe(&text.text, &text.file_name)?;
    let problems = Problems::default();
    let run = Run { request, text, recipe: &recipe, source, progress, problems: &problems };
    let made = run.whole();
    match made {
        Some(made) if problems.is_empty() => made,
        _ => Err(problems.into_diagnostics(&text.file_name, &text.text)),
    }
}

struct Run<'a> {
    request: &'a Request<'a>,
    text: &'a RecipeText,
    recipe: &'a CacheRecipe,
    source: &'a Source,
    progress: &'a dyn Progress,
    problems: &'a Problems,
}

impl Run<'_> {
    /// None if something is wrong with the recipe or its tensors.
    fn whole(&self) -> Option<Result<Quantized, Diagnostics>> {
        let recipe = self.recipe;
        let trained = self.read(&recipe.text);
        let test = match &recipe.test {
            None => None,
            Some(test) => Some(self.read(test)?),
        };
        let trained = trained?;
        let ty = self.ty(&trained.heads)?;
        if let (Some(test), Some(what)) = (&test, &recipe.test) {
            self.same_heads(&trained.heads, &test.heads, &what.queries)?;
        }
        let start = match &recipe.start {
            None => Vec::new(),
            Some((keys, values)) => self.start(keys, values, &ty)?,
        };
        let ty = CacheType { start: start.first().map_or(0, Head::tokens), ..ty };
        if ty.start as u64 > recipe.tokens.value {
            let message = format!("the cache begins with {} tokens", ty.start);
            let help = "make room for more tokens, or begin with fewer";
            self.problems.error(Code::P0414, &recipe.tokens.span, message, "fewer than that", help);
            return None;
        }
        let texts = [Some(&trained), test.as_ref()].into_iter().flatten();
        let longest = texts.filter_map(|t| t.heads.first()).map(Head::tokens).max().unwrap_or(1);
        if recipe.window.is_none() && longest > LONGEST_WINDOW {
            let message = format!("a text of {longest} tokens needs windows");
            let help = "write `window`: how many of the tokens attend to each other";
            self.problems.error(
                Code::P0411,
                &recipe.span,
                message,
                "`window` is missing here",
                help,
            );
            return None;
        }
        let view = View {
            window: recipe.window.map_or(longest, |w| w as usize),
            causal: recipe.causal,
            scale: recipe.scale.unwrap_or_else(|| 1.0 / (ty.dim as f64).sqrt()) as f32,
        };
        let books = train_all(&trained.heads, &view, recipe, self.progress);
        let cache = IntegerCache::of(&trained.heads, &books, &view, recipe.clip, recipe.frac);
        let Some(cache) = cache else {
            self.problems.error(
                Code::P0415,
                &recipe.span,
                "no multiplier of `attend` brings these scores to octaves".to_string(),
                "the products of queries and keys are too large, too small or all zero",
                "check the tensors and `score_scale`",
            );
            return None;
        };
        let measured = test.as_ref().unwrap_or(&trained);
        self.progress.begin("attention by codes", 1);
        let real = measure::real(&measured.heads, &books, &view, &recipe.exact);
        let integer = measure::integer(&measured.heads, &cache, &view, &recipe.exact);
        self.progress.step();
        Some(match integer {
            Err(e) => Err(mistake(self.request.tensor_file, format!("{e:?}"))),
            Ok(integer) => {
                self.write(&cache, &ty, &start, &trained, test.as_ref(), [&real, &integer])
            }
        })
    }

    /// The three tensors, as heads.
    fn read(&self, what: &TextRecipe) -> Option<Text> {
        let opened;
        let source = match &what.file {
            None => self.source,
            Some(file) => {
                let path = self.text.folder.join(&file.value);
                if is_one_of(&path, self.request.writes) {
                    self.problems.push(would_replace(&path).at(&file.span, "read here"));
                    return None;
                }
                opened = Source::open(&path)
                    .map_err(|d| self.problems.push(d.at(&file.span, "named here")))
                    .ok()?;
                &opened
            }
        };
        let queries = self.tensor(source, &what.queries, "[tokens, heads, dim]");
        let keys = self.tensor(source, &what.keys, "[tokens, kv heads, dim]");
        let values = self.tensor(source, &what.values, "[tokens, kv heads, dim]");
        let (queries, keys, values) = (queries?, keys?, values?);
        let [tokens, kv_heads, dim] = keys.shape[..] else { return None };
        if values.shape != keys.shape {
            wrong_shape(
                &what.values,
                &values.shape,
                &format!("{:?} as the keys", keys.shape),
                self.problems,
            );
            return None;
        }
        let heads = queries.shape[1];
        if queries.shape[0] != tokens || queries.shape[2] != dim || heads % kv_heads != 0 {
            let expected =
                format!("[{tokens}, a multiple of {kv_heads}, {dim}] as the keys ask for");
            wrong_shape(&what.queries, &queries.shape, &expected, self.problems);
            return None;
        }
        let group = heads / kv_heads;
        let heads = (0..kv_heads).map(|g| Head {
            dim,
            queries: (g * group..(g + 1) * group).map(|h| head_of(&queries, h)).collect(),
            keys: head_of(&keys, g),
            values: head_of(&values, g),
        });
        let origin = Origin { file: source.name.clone(), sha256: source.sha256.clone() };
        Some(Text { heads: heads.collect(), origin })
    }

    /// A tensor of three axes without an empty one.
    fn tensor(&self, source: &Source, at: &Spot<String>, axes: &str) -> Option<RealTensor> {
        let tensor = source.tensor(at, self.problems)?;
        if tensor.shape.len() != 3 || tensor.shape.contains(&0) {
            wrong_shape(at, &tensor.shape, axes, self.problems);
            return None;
        }
        Some(tensor)
    }

    /// The cache's type, beginning with nothing.
    fn ty(&self, heads: &[Head]) -> Option<CacheType> {
        let CacheRecipe { settings, exact, tokens, span, .. } = self.recipe;
        let first = heads.first()?;
        if first.dim % settings.sub != 0 {
            self.problems.error(
                Code::P0414,
                span,
                format!(
                    "`sub` {} does not divide the {} elements of a key",
                    settings.sub, first.dim
                ),
                "must divide keys and values evenly",
                &format!("choose a divisor of {}", first.dim),
            );
            return None;
        }
        Some(CacheType {
            heads: heads.len() * first.queries.len(),
            kv_heads: heads.len(),
            dim: first.dim,
            tokens: tokens.value as usize,
            sub: settings.sub,
            k: settings.k,
            sink: exact.sink,
            recent: exact.recent,
            start: 0,
        })
    }

    fn same_heads(&self, trained: &[Head], test: &[Head], at: &Spot<String>) -> Option<()> {
        let of = |heads: &[Head]| {
            let first = heads.first().map_or((0, 0), |h| (h.queries.len(), h.dim));
            [heads.len() * first.0, heads.len(), first.1]
        };
        let ([h, g, d], [ht, gt, dt]) = (of(trained), of(test));
        if [h, g, d] != [ht, gt, dt] {
            self.problems.error(
                Code::P0414,
                &at.span,
                format!(
                    "{ht} heads, {gt} of keys, {dt} elements here; {h}, {g} and {d} in training"
                ),
                "must be the same heads",
                "name the tensors of the same layer of another text",
            );
            return None;
        }
        Some(())
    }

    /// The tokens that the cache begins with, as heads without queries.
    fn start(
        &self,
        keys: &Spot<String>,
        values: &Spot<String>,
        ty: &CacheType,
    ) -> Option<Vec<Head>> {
        let one = |at: &Spot<String>| -> Option<RealTensor> {
            let tensor = self.tensor(self.source, at, "[tokens, kv heads, dim]")?;
            if tensor.shape[1..] != [ty.kv_heads, ty.dim] {
                let expected = format!("[tokens, {}, {}]", ty.kv_heads, ty.dim);
                wrong_shape(at, &tensor.shape, &expected, self.problems);
                return None;
            }
            Some(tensor)
        };
        let (k, v) = (one(keys)?, one(values)?);
        if k.shape != v.shape {
            wrong_shape(values, &v.shape, &format!("{:?} as the keys", k.shape), self.problems);
            return None;
        }
        let head = |g| Head {
            dim: ty.dim,
            queries: Vec::new(),
            keys: head_of(&k, g),
            values: head_of(&v, g),
        };
        Some((0..ty.kv_heads).map(head).collect())
    }

    /// Writes the module and reads it back through the verifier.
    fn write(
        &self,
        cache: &IntegerCache,
        ty: &CacheType,
        start: &[Head],
        trained: &Text,
        test: Option<&Text>,
        [real, integer]: [&[Deviation]; 2],
    ) -> Result<Quantized, Diagnostics> {
        let (recipe, file) = (self.recipe, self.request.tensor_file);
        let name = &recipe.name.value;
        let text = cache.module_text(name, &recipe.target, file, ty, recipe.step);
        let ir_text = pimc_ir::format(&text)?;
        let tensors = cache.tensors(name, ty, start);
        let measured = test.unwrap_or(trained);
        let (real, integer) = (measure::summary(real), measure::summary(integer));
        let report = Report {
            format_version: 1,
            tool: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_string(),
            recipe: Origin {
                file: self.text.file_name.clone(),
                sha256: sha256(self.text.text.as_bytes()),
            },
            source: Origin { file: self.source.name.clone(), sha256: self.source.sha256.clone() },
            calibration: test.map(|t| t.origin.clone()),
            input_step: None,
            result_step: None,
            samples: measured.heads.first().map_or(0, Head::tokens),
            agreement: None,
            layers: Vec::new(),
            cache: Some(CacheReport {
                name: name.clone(),
                format: ty.to_string(),
                basis: match recipe.settings.basis {
                    BasisKind::Model => "model",
                    BasisKind::Metric => "metric",
                    BasisKind::Rotated => "rotated",
                }
                .to_string(),
                bits_per_value: f64::from(code_bits(ty.k)) / ty.sub as f64,
                codebook_bytes: cache.key_codebook.len() + cache.value_codebook.len(),
                trained_tokens: trained.heads.first().map_or(0, Head::tokens),
                query_steps: cache.query_steps.clone(),
                key_steps: cache.kv.iter().map(|s| s.key).collect(),
                value_steps: cache.kv.iter().map(|s| s.value).collect(),
                real_error: real.0,
                real_cosine: real.1,
                integer_error: integer.0,
                integer_cosine: integer.1,
            }),
        };
        let metadata = serde_json::to_string(&report).map_err(|e| mistake(file, e.to_string()))?;
        let bytes = Arc::new(file_bytes(&tensors, &metadata).map_err(|e| mistake(file, e))?);
        pimc_ir::load_from(
            ir_text.clone(),
            "quantized module".to_string(),
            &|_| Ok(bytes.clone()),
        )?;
        Ok(Quantized { ir_text, tensors: bytes.to_vec(), report })
    }
}

/// Bits of a code of `k` centroids.
pub fn code_bits(k: usize) -> u32 {
    usize::BITS - (k - 1).leading_zeros()
}

/// The codebooks of every head, side by side.
fn train_all(
    heads: &[Head],
    view: &View,
    recipe: &CacheRecipe,
    progress: &dyn Progress,
) -> Vec<Codebooks> {
    progress.begin("codebooks", heads.len() as u64);
    let one = |(g, head): (usize, &Head)| {
        let rng =
            |what: &str, part, restart| Rng::for_piece(recipe.seed, what, &[g, part, restart]);
        let books = train(head, view, &recipe.settings, &rng);
        progress.step();
        books
    };
    heads.par_iter().enumerate().map(one).collect()
}

/// Head `h` of [tokens, heads, dim].
fn head_of(tensor: &RealTensor, h: usize) -> Vec<f32> {
    let (heads, dim) = (tensor.shape[1], tensor.shape[2]);
    tensor.values.chunks_exact(dim).skip(h).step_by(heads).flatten().copied().collect()
}
