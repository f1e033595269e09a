//! Functions on a key/value cache through every level, step after step.

use crate::common::{compile_for, few_banks, options};
use pimc_cosim::{cosim, Inputs, Level, Quiet};
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::{CacheType, Code};
use pimc_lower::Target;
use std::path::Path;

fn hbm() -> Target {
    // Room for the tables of many rows of queries.
    let target = Target::named("hbm3-pim").unwrap();
    target.with(&[("unit", "table_bytes", "1000000")]).unwrap()
}

/// Steps that append 0 to all of their tokens and see all, some, none and more than there are.
fn steps(f: &CacheModel, tokens: usize, count: usize) -> Vec<Vec<Vec<i64>>> {
    let mut length = f.ty.start as i64;
    let step = |i: usize| {
        let new = if f.append { (i + 1) % (tokens + 1) } else { 0 };
        length += new as i64;
        let limit = |q: usize| match (i + q) % 4 {
            0 => length,
            1 => (length - q as i64).max(0),
            2 => length / 2,
            _ => length + 7,
        };
        let limits: Vec<i64> = (0..f.queries).map(limit).collect();
        f.step(100 + i as u64, new, &limits)
    };
    (0..count).map(step).collect()
}

fn agree(f: &CacheModel, target: &Target, count: usize) {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("out");
    let model = f.model(&target.name, 7).unwrap_or_else(|d| panic!("{}", d.render(false)));
    // Written, since trees hold copies of tensor files.
    let path = f.builder(&target.name, 7).write(dir.path(), "model.ir").unwrap();
    drop(model);
    let model = pimc_ir::load(&path).unwrap();
    compile_for(&model, target, &tree);
    let vectors = steps(f, f.queries, count);
    let mut options = options(Inputs::Given(vectors));
    options.native_vectors = count;
    let report = cosim(&tree, &options, &Quiet).unwrap_or_else(|e| panic!("{f:?}: {e}"));
    if let Some(d) = &report.divergence {
        panic!("{f:?}: {d}");
    }
    let run: Vec<(Level, usize)> = report.levels.iter().map(|l| (l.level, l.vectors)).collect();
    assert_eq!(run, Level::ALL.map(|level| (level, count)), "{f:?}");
    assert_eq!(report.clocks.rtl, Some(report.cycles), "{f:?}");
    let w = report.waves.counts;
    assert!(w.commands > 0 && w.reads > 0 && w.columns > 0 && w.writes > 0, "{f:?}: {report:?}");
}

/// A cache that begins with `start` tokens, and steps on it.
struct Case {
    /// Query heads, key/value heads, elements of a head.
    heads: (usize, usize, usize),
    sub: usize,
    k: usize,
    sink: usize,
    recent: usize,
    start: usize,
    /// Tokens and queries of a step.
    queries: usize,
    target: Target,
}

impl Case {
    fn function(&self) -> CacheModel {
        let (heads, kv_heads, dim) = self.heads;
        let &Case { sub, k, sink, recent, start, queries, .. } = self;
        let tokens = (start + 40).next_power_of_two();
        let ty = CacheType { heads, kv_heads, dim, tokens, sub, k, sink, recent, start };
        CacheModel { queries, ..CacheModel::new(ty) }
    }
}

/// With as little memory as serves so many rows of queries at a time.
fn in_passes(case: Case, rows: u32) -> Case {
    let bytes = (0..).map(|i| (1_000_000 >> i).to_string());
    let targets = bytes.map(|b| case.target.with(&[("unit", "table_bytes", &b)]).unwrap());
    let model = case.function().model(&case.target.name, 7).unwrap();
    let serves = |target: &Target| {
        let plan = pimc_lower::lower(&model, target).unwrap_or_else(|d| panic!("{d}"));
        plan.shape.bank.attention.as_ref().unwrap().rows()
    };
    let target = targets.into_iter().find(|target| serves(target) == rows).unwrap();
    Case { target, ..case }
}

fn wide(channels: &str) -> Target {
    hbm().with(&[("stack", "channels", channels)]).unwrap()
}

fn base() -> Case {
    Case {
        heads: (2, 2, 32),
        sub: 4,
        k: 16,
        sink: 4,
        recent: 8,
        start: 30,
        queries: 1,
        target: hbm(),
    }
}

/// Between them, and the large ones, every size of head, sub-vector and codebook, one query head to a key/value head and
/// several, sinks and windows or none, one slice and several, one token group and several, a page's
/// end, wide beats, a first token, and queries and their heads that are served in passes.
#[test]
fn caches_of_every_shape_agree_on_every_level() {
    let cases = [
        Case { target: few_banks(), ..base() },
        in_passes(
            Case {
                heads: (2, 1, 64),
                sub: 2,
                k: 64,
                sink: 0,
                recent: 0,
                start: 60,
                queries: 2,
                ..base()
            },
            2,
        ),
        Case { heads: (1, 1, 32), sub: 8, k: 512, sink: 3, recent: 0, start: 200, ..base() },
        Case {
            heads: (4, 1, 64),
            k: 64,
            start: 100,
            target: Target::named("gddr6-aim").unwrap(),
            ..base()
        },
    ];
    for case in cases {
        agree(&case.function(), &case.target, 3);
    }
}

/// Larger ones, whose Verilog takes minutes to build.
#[test]
#[ignore = "minutes; scripts/slow runs it"]
fn large_caches_agree_on_every_level() {
    let cases = [
        Case { heads: (8, 1, 128), sub: 8, k: 256, sink: 8, recent: 32, start: 500, ..base() },
        // A page has 896 tokens: the second of these steps begins the next one.
        Case {
            heads: (1, 1, 128),
            k: 512,
            sink: 8,
            recent: 32,
            start: 934,
            target: wide("2"),
            ..base()
        },
        Case { heads: (1, 1, 128), sub: 2, start: 0, ..base() },
    ];
    for case in cases {
        agree(&case.function(), &case.target, 3);
    }
}

/// Functions on a cache among golden's vectors, which hold ties, equal scores, one far above the rest, and
/// the most negative values: all of them but those that no program is made of. Where a beat has very many
/// scores the Verilog takes minutes to build, and stays out; prompts of many runs stay at the schedule.
#[test]
fn golden_vectors_on_a_cache_agree_on_every_level() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/tests/vectors");
    let (mut run, mut built, mut logs, mut clusters) = (0, 0, 0, 0);
    for entry in folder.read_dir().unwrap() {
        let case = entry.unwrap().path();
        let model = pimc_ir::load(&case.join("model.ir")).unwrap();
        if model.module.caches.is_empty() {
            continue;
        }
        let target = few_banks();
        let plan = match pimc_lower::lower(&model, &target) {
            Ok(plan) => plan,
            Err(found) => {
                assert!(found.list().iter().all(|d| d.code == Code::P0607), "{found}");
                continue;
            }
        };
        let attention = plan.shape.bank.attention.as_ref().unwrap();
        let scores = attention.lanes(plan.shape.beat_bits) * attention.rows() * attention.groups;
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("out");
        compile_for(&model, &target, &tree);
        let mut options = options(Inputs::File(case.join("vectors.safetensors")));
        // A prompt is clustered in very many runs, which take the level native minutes.
        let long = plan.cycles > 20_000;
        options.levels.retain(|level| match level {
            Level::Rtl => scores <= 32 && !long,
            Level::Native => !long,
            _ => true,
        });
        if options.levels.contains(&Level::Rtl) {
            built += 1;
            logs += usize::from(attention.state());
        }
        clusters += usize::from(attention.cluster.is_some() && !long);
        let report = cosim(&tree, &options, &Quiet).unwrap_or_else(|e| panic!("{case:?}: {e}"));
        if let Some(d) = &report.divergence {
            panic!("{case:?}: {d}");
        }
        assert_eq!(report.levels.len(), options.levels.len(), "{case:?}");
        run += 1;
    }
    assert!(run >= 9 && built >= 5, "{run} functions on a cache, {built} in Verilog");
    assert!(logs >= 3 && clusters >= 1, "{logs} with log-sum-exps, {clusters} cluster");
}

/// A function whose attend is merged with states among its inputs.
fn merging(case: &Case, merges: usize) -> CacheModel {
    CacheModel { bits: 32, state: Some(merges), ..case.function() }
}

/// States of a shared prefix, among them of no token, merged with what is attended to, step after step: with
/// a token and with several queries.
#[test]
fn states_of_a_shared_prefix_agree_on_every_level() {
    let heads = (2, 1, 32);
    let case = Case { heads, k: 64, queries: 2, target: few_banks(), ..base() };
    let case = in_passes(case, 1);
    agree(&merging(&case, 2), &case.target, 3);
}

#[test]
fn states_agree_in_several_token_groups() {
    let case = Case { heads: (2, 2, 16), sub: 8, target: few_banks(), ..base() };
    agree(&merging(&case, 1), &case.target, 3);
}
