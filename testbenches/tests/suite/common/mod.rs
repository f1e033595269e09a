//! What the tests of whole models share: compiling into a folder, the tools, the cache, threads.
#![allow(dead_code)]

use pimc_cosim::{Inputs, Options};
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::{CacheType, Model};
use pimc_lower::{emit, lower, write_tree, Target};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

/// Where the compiled runtime and designs of the tests are kept.
pub fn cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cosim-cache")
}

/// Every level on these inputs, with the tests' cache.
pub fn options(inputs: Inputs) -> Options {
    Options { cache: Some(cache()), native_vectors: 1, ..Options::new(inputs) }
}

/// A target with writes and four banks, which are built soon, and room for many tables.
pub fn few_banks() -> Target {
    let banks = [
        ("unit", "table_bytes", "1000000"),
        ("pseudo_channel", "banks", "4"),
        ("pseudo_channel", "bank_groups", "1"),
    ];
    Target::named("hbm3-pim").unwrap().with(&banks).unwrap()
}

/// A function on a small cache of nine tokens.
pub fn small_cache() -> CacheModel {
    let ty = CacheType {
        heads: 2,
        kv_heads: 1,
        dim: 16,
        tokens: 32,
        sub: 4,
        k: 4,
        sink: 2,
        recent: 3,
        start: 9,
    };
    CacheModel::new(ty)
}

/// The tool that a variable set by `scripts/setup --tests` names.
///
/// # Panics
/// When it is not set, with what to do.
pub fn tool(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => PathBuf::from(path),
        None => panic!("{variable} is not set: run `scripts/setup --tests && . .tools/env.sh`"),
    }
}

/// Compiles a model into `dir`, for the target that it names.
pub fn compile(model: &Model, dir: &Path) {
    compile_for(model, &Target::named(&model.module.target.text).unwrap(), dir);
}

/// Compiles a model into `dir` for another target than it names.
pub fn compile_for(model: &Model, target: &Target, dir: &Path) {
    let plan = lower(model, target).unwrap_or_else(|d| panic!("{}", d.render(false)));
    let tree = emit(&plan, model).unwrap_or_else(|d| panic!("{}", d.render(false)));
    write_tree(&tree, dir).unwrap_or_else(|d| panic!("{}", d.render(false)));
}

/// Golden's test vectors of models that have a matrix, and so hardware, or merge: name and folder.
pub fn golden_cases() -> Vec<(String, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/tests/vectors");
    let mut cases: Vec<(String, PathBuf)> = folder
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| std::fs::read_to_string(p.join("model.ir")).is_ok_and(|t| built(&t)))
        .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), p))
        .collect();
    cases.sort();
    assert!(cases.len() > 30, "golden's vectors were not found");
    cases
}

fn built(text: &str) -> bool {
    text.contains("matvec") || text.contains("merge") && !text.contains("cache")
}

/// Those of the golden cases that between them have every kind of unit, each with codes or sums of
/// several widths: for what would take too long on all of them. (`wide_models` of the test of levels
/// has the codes of 4 bits and of 8.)
pub fn cases_of_every_unit() -> Vec<(String, PathBuf)> {
    let names = [
        "bqq_grid",
        "int_4_grouped",
        "network",
        "pq_k3_sub3",
        "pq_k512_sub8",
        "supermask_frozen_coats",
    ];
    let mut cases = golden_cases();
    cases.retain(|c| names.contains(&c.0.as_str()));
    assert_eq!(cases.len(), names.len());
    cases
}

/// Does `work` for every item, on as many threads as there are processors; what it returns, in
/// order of the items, for those for which it returns something.
pub fn on_all<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> Option<R> + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(i) else { return };
                if let Some(r) = work(item) {
                    found.lock().unwrap().push((i, r));
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap();
    found.sort_by_key(|f| f.0);
    found.into_iter().map(|f| f.1).collect()
}
