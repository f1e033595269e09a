//! Functions on a key/value cache through every level, step after step.

mod common;

use common::{compile_for, options};
use pimc_cosim::{cosim, Inputs, Level, Quiet};
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::CacheType;
use pimc_lower::Target;

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

#[test]
fn a_small_cache_agrees_on_every_level() {
    let ty = CacheType {
        heads: 2,
        kv_heads: 2,
        dim: 32,
        tokens: 256,
        sub: 4,
        k: 16,
        sink: 4,
        recent: 8,
        start: 30,
    };
    let f = CacheModel { ty, queries: 1, append: true, mul: 3000, shift: 12, frac: 8, bits: 16 };
    agree(&f, &hbm(), 4);
}
