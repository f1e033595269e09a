//! The `[cache]` recipe. `docs/recipe.md` is its grammar.

use crate::cache::basis::BasisKind;
use crate::cache::heads::Exact;
use crate::cache::kmeans::Effort;
use crate::cache::train::CacheSettings;
use crate::recipe::{check_name, scale, target, Scale};
use crate::section::{Problems, Section, Spot};
use crate::uniform::Clip;
use pimc_ir::{Code, Diagnostics, Span};
use toml::de::DeTable;

/// A recipe of a cache as written, its values checked one by one.
#[derive(Clone, Debug)]
pub struct CacheRecipe {
    /// Seed of every random choice.
    pub seed: u64,
    /// Target of the module.
    pub target: String,
    /// Name of the cache in the module.
    pub name: Spot<String>,
    /// What the codebooks are trained on.
    pub text: TextRecipe,
    /// What the error is measured on; otherwise what the codebooks are trained on.
    pub test: Option<TextRecipe>,
    /// Keys and values of the tokens that the cache begins with.
    pub start: Option<(Spot<String>, Spot<String>)>,
    /// Tokens that attend to each other; all of them if not given.
    pub window: Option<u64>,
    /// A token sees only itself and those before it.
    pub causal: bool,
    /// Factor of the scores; the root of the elements of a key, inverted, if not given.
    pub scale: Option<f64>,
    /// Codebooks.
    pub settings: CacheSettings,
    /// How the 8-bit steps are chosen.
    pub clip: Clip,
    /// Tokens that the cache has room for.
    pub tokens: Spot<u64>,
    /// Tokens kept exact.
    pub exact: Exact,
    /// Tokens and queries of a step.
    pub step: usize,
    /// Fraction bits of the results.
    pub frac: u32,
    /// The table's header.
    pub span: Span,
}

/// Tensors of queries, keys and values.
#[derive(Clone, Debug)]
pub struct TextRecipe {
    /// A file relative to the recipe; otherwise that of the weights.
    pub file: Option<Spot<String>>,
    /// [tokens, heads, dim].
    pub queries: Spot<String>,
    /// [tokens, kv heads, dim].
    pub keys: Spot<String>,
    /// [tokens, kv heads, dim].
    pub values: Spot<String>,
}

/// Tokens of a window at most: all its scores are held at once.
pub const LONGEST_WINDOW: usize = 8192;

/// Whether a recipe is one of a cache. What is wrong with its text is for the parsers to say.
pub fn is_cache_recipe(source: &str) -> bool {
    let (document, errors) = DeTable::parse_recoverable(source);
    errors.is_empty() && document.get_ref().contains_key("cache")
}

/// Reads a recipe of a cache. All mistakes in its text are reported at once.
///
/// # Errors
/// P0411, P0412, as of [`crate::recipe::parse_recipe`].
pub fn parse_cache_recipe(source: &str, file_name: &str) -> Result<CacheRecipe, Diagnostics> {
    let problems = Problems::default();
    let (document, _) = DeTable::parse_recoverable(source);
    let root = Section::new(document.get_ref(), 0..0, "the recipe of a cache", &problems);
    let recipe = read(root, &problems);
    match recipe {
        Some(recipe) if problems.is_empty() => Ok(recipe),
        _ => Err(problems.into_diagnostics(file_name, source)),
    }
}

fn read(root: Section<'_>, problems: &Problems) -> Option<CacheRecipe> {
    let seed = root.integer_or("seed", 0, i64::MAX as u64, 0);
    let target = target(&root, problems);
    let cache = root.table("cache", "`[cache]`");
    let test = root.table("test", "`[test]`").map(|s| {
        let file = s.string("file");
        let text = text(&s, file);
        s.finish();
        text
    });
    let start = root.table("start", "`[start]`").map(|s| {
        let help = "name a tensor of shape [tokens, kv heads, dim]";
        let keys = s.required_string("keys", help);
        let values = s.required_string("values", help);
        s.finish();
        Some((keys?, values?))
    });
    root.finish();
    let s = cache?;
    let name = s.string("name").unwrap_or(Spot { value: "kv".to_string(), span: s.span.clone() });
    check_name(&name, problems);
    let span = s.span.clone();
    let trained = text(&s, None);
    let sub = s.required_integer("sub", 1, 64);
    let k = s.required_integer("k", 1, 65_536);
    let kinds = [
        ("model", BasisKind::Model),
        ("metric", BasisKind::Metric),
        ("rotated", BasisKind::Rotated),
    ];
    let basis = s.choice("basis", &kinds, BasisKind::Model);
    let restarts = s.integer_or("restarts", 1, 1000, 1) as usize;
    let iterations = s.integer_or("iterations", 1, 100_000, 50) as usize;
    let window = s.integer("window", 1, LONGEST_WINDOW as u64).map(|w| w.value);
    let causal = s.boolean("causal", true);
    let factor = s.number("score_scale", f64::from(f32::MIN_POSITIVE), 1e6);
    let clip = clip(&s, problems);
    let tokens = s.required_integer("tokens", 1, 1 << 20);
    let sink = s.integer_or("sink", 0, 1 << 20, 0) as usize;
    let recent = s.integer_or("recent", 0, 1 << 20, 0) as usize;
    let step = s.integer_or("step", 1, 1 << 16, 1) as usize;
    let frac = s.integer_or("frac", 0, 8, 8) as u32;
    s.finish();
    let (test, start) = (opened(test)?, opened(start)?);
    let tokens = tokens?;
    if (sink + recent) as u64 > tokens.value {
        let message = format!("{} tokens are no more than `sink` and `recent`", tokens.value);
        let help = "give the cache more tokens, or keep fewer exact";
        problems.error(Code::P0412, &tokens.span, message, "fewer than stay exact", help);
    }
    Some(CacheRecipe {
        seed,
        target,
        name,
        text: trained?,
        test,
        start,
        window,
        causal,
        scale: factor.map(|f| f.value),
        settings: CacheSettings {
            sub: sub?.value as usize,
            k: k?.value as usize,
            basis,
            effort: Effort { restarts, iterations },
        },
        clip,
        tokens,
        exact: Exact { sink, recent },
        step,
        frac,
        span,
    })
}

/// None if it is there and could not be read; as it is otherwise.
fn opened<T>(table: Option<Option<T>>) -> Option<Option<T>> {
    match table {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

fn text(s: &Section<'_>, file: Option<Spot<String>>) -> Option<TextRecipe> {
    let queries = s.required_string("queries", "name a tensor of shape [tokens, heads, dim]");
    let help = "name a tensor of shape [tokens, kv heads, dim]";
    let keys = s.required_string("keys", help);
    let values = s.required_string("values", help);
    Some(TextRecipe { file, queries: queries?, keys: keys?, values: values? })
}

/// The rule of the steps: they are as many as heads, so no number can be given.
fn clip(s: &Section<'_>, problems: &Problems) -> Clip {
    // Tokens that stand out are those that attention is about, so nothing is clipped.
    if !s.has("scale") {
        return Clip::Max;
    }
    let spot = scale(s, "scale", problems);
    match spot.value {
        Scale::Measured(clip) => clip,
        Scale::Step(_) => {
            let message = "`scale` of `[cache]` is a number".to_string();
            let help =
                "write \"max\", \"mse\" or a percentile as in \"p99.9\": every head has steps \
                        of its own";
            problems.error(Code::P0412, &spot.span, message, "expected a rule", help);
            Clip::Max
        }
    }
}
