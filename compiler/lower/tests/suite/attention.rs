//! Steps on a key/value cache: the interpreter's run of the program against golden, results and
//! what the banks hold, and every run's commands against the DRAM's rules.

use crate::common::{same_state, some_steps};
use pimc_golden::{run_step, State};
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::{CacheType, Model};
use pimc_lower::images::Images;
use pimc_lower::interp::Ignore;
use pimc_lower::{lower, Plan, Target};

fn cache(heads: usize, kv_heads: usize, dim: usize, sub: usize, k: usize) -> CacheType {
    CacheType { heads, kv_heads, dim, tokens: 256, sub, k, sink: 4, recent: 8, start: 0 }
}

fn function(ty: CacheType) -> CacheModel {
    CacheModel::new(ty)
}

fn plan(model: &Model, target: &Target) -> Plan {
    lower(model, target).unwrap_or_else(|found| panic!("{}", found.render(false)))
}

/// Runs steps, each with its count and limits, and compares everything.
fn agree(f: &CacheModel, target: &Target, steps: &[(usize, Vec<i64>)]) {
    let model = f.model(&target.name, 7).unwrap_or_else(|found| panic!("{}", found.render(false)));
    let plan = plan(&model, target);
    let cache = plan.cache.as_ref().expect("a cache");
    let images = Images::new(&model, &plan);
    let mut machine = plan.machine(&images).expect("a machine");
    let mut driver = cache.driver();
    let mut state = State::initial(&model);
    for (i, (count, limits)) in steps.iter().enumerate() {
        let inputs = f.step(100 + i as u64, *count, limits);
        let golden = run_step(&model, &mut state, &inputs).expect("golden");
        let (result, _) = plan
            .run_step(&mut machine, &mut driver, &inputs, &mut Ignore)
            .unwrap_or_else(|fault| panic!("{f:?}, step {i}: {fault}"));
        assert_eq!(result, golden.result(), "{f:?}, step {i}");
        let read = |b, r, c| machine.column(b, r, c);
        same_state(&plan, &driver, &state, &read, &format!("{f:?}, step {i}"));
        let broken = plan.violation_with(machine.args()).expect("a program that runs");
        assert!(broken.is_none(), "{f:?}, step {i}: {}", broken.expect("a violation"));
    }
}

fn hbm() -> Target {
    // Units for many rows of queries, and room for their tables.
    let target = Target::named("hbm3-pim").expect("a target");
    let many = [("unit", "query_rows", "64"), ("unit", "table_bytes", "1000000")];
    target.with(&many).expect("a target")
}

/// Queries, and heads of each, that the units of a plan serve together.
fn served(plan: &Plan) -> (u32, u32) {
    let attention = plan.shape.bank.attention.as_ref().expect("units");
    (attention.queries, attention.query_heads)
}

#[test]
fn every_shape_agrees() {
    for (heads, kv_heads, dim, sub, k) in [
        (1, 1, 32, 2, 16),
        (4, 1, 64, 4, 64),
        (8, 1, 128, 8, 256),
        (2, 2, 128, 4, 512),
        (1, 1, 128, 2, 16),
        (4, 2, 32, 8, 10),
        (1, 1, 64, 1, 5),
    ] {
        for (sink, recent) in [(0, 0), (8, 32), (0, 5), (3, 0), (1, 1)] {
            for start in [0, 1, 40, 1500] {
                let ty = CacheType {
                    tokens: 2000,
                    sink,
                    recent,
                    start,
                    ..cache(heads, kv_heads, dim, sub, k)
                };
                for queries in [1, 3] {
                    let f = CacheModel { queries, append: start != 40, ..function(ty) };
                    agree(&f, &hbm(), &some_steps(&f, 3));
                }
            }
        }
    }
}

#[test]
fn sizes_in_every_combination_agree() {
    let all = CacheModel::sizes();
    assert_eq!(all.len(), 108);
    for f in all {
        let start = f.ty.start;
        let steps: Vec<_> = (start + 1..=start + 3).map(|n| (1, vec![n as i64])).collect();
        agree(&f, &Target::named("hbm3-pim").expect("a target"), &steps);
    }
}

/// Every combination fits every target as it is, in as many passes as it takes.
#[test]
fn sizes_in_every_combination_fit() {
    for f in CacheModel::sizes() {
        // What is in the cache makes no difference.
        let f = function(CacheType { start: 0, ..f.ty });
        let model = f.model("hbm3-pim", 7).expect("a model");
        for target in Target::built_in() {
            plan(&model, &target);
        }
    }
}

/// Where memory is short: all rows together, those of some queries, some heads of one query, a row at a time.
#[test]
fn rows_in_passes_agree() {
    let heads = |heads, kv_heads| CacheType { start: 90, ..cache(heads, kv_heads, 32, 4, 16) };
    for (ty, queries) in [(heads(4, 2), 4), (heads(6, 1), 2), (heads(2, 2), 5)] {
        for (append, merges) in [(true, None), (false, None), (true, Some(1))] {
            let bits = if merges.is_some() { 32 } else { 16 };
            let f = CacheModel { queries, append, state: merges, bits, ..function(ty) };
            let mut found = Vec::new();
            for bytes in (0..16).map(|i| 40_000 >> i) {
                let bytes = bytes.to_string();
                let target = hbm().with(&[("unit", "table_bytes", &bytes)]).expect("a target");
                let model = f.model(&target.name, 7).expect("a model");
                let Ok(plan) = lower(&model, &target) else { break };
                let served = served(&plan);
                if !found.contains(&served) {
                    found.push(served);
                    agree(&f, &target, &some_steps(&f, 5));
                }
            }
            let group = (ty.heads / ty.kv_heads) as u32;
            assert_eq!(found.first(), Some(&(queries as u32, group)), "{f:?}");
            assert_eq!(found.last(), Some(&(1, 1)), "{f:?}");
            assert!(found.len() > 1, "{f:?}: {found:?}");
        }
    }
}

#[test]
fn every_target_with_writes_agrees() {
    for target in Target::built_in() {
        let ty =
            CacheType { tokens: 3000, sink: 8, recent: 32, start: 2500, ..cache(2, 1, 64, 4, 64) };
        let f = CacheModel { queries: 2, ..function(ty) };
        agree(&f, &target, &some_steps(&f, 4));
    }
}

#[test]
fn log_sum_exps_stand_behind_their_rows() {
    for (heads, kv_heads, dim, sub, k) in [(1, 1, 32, 2, 16), (4, 2, 64, 8, 10), (2, 2, 8, 1, 5)] {
        for (sink, recent) in [(0, 0), (3, 8)] {
            let ty = CacheType { sink, recent, ..cache(heads, kv_heads, dim, sub, k) };
            let ty = CacheType { start: 200, ..ty };
            for merges in [0, 1, 3] {
                let state = Some(merges);
                let f = CacheModel { queries: 3, bits: 32, state, ..function(ty) };
                agree(&f, &hbm(), &some_steps(&f, 5));
            }
        }
    }
}

/// As many rows are served together as the target says, and as the area of a unit allows.
#[test]
fn rows_have_bounds() {
    let f = CacheModel { queries: 4, ..function(cache(4, 1, 32, 4, 16)) };
    let model = f.model("hbm3-pim", 7).expect("a model");
    let with =
        |key, value: u64| hbm().with(&[("unit", key, &value.to_string())]).expect("a target");
    let rows = |most| served(&plan(&model, &with("query_rows", most)));
    assert_eq!([1, 3, 4, 15, 16].map(rows), [(1, 1), (1, 2), (1, 4), (2, 4), (4, 4)]);
    let named = Target::named("hbm3-pim").expect("a target");
    assert_eq!(served(&plan(&model, &named)), (2, 4));

    let area = |target: &Target| pimc_lower::area::Area::of(&plan(&model, target).shape).bank;
    let one = area(&with("query_rows", 1));
    assert_eq!(served(&plan(&model, &with("gates", one))), (1, 1));
    assert_eq!(served(&plan(&model, &with("gates", area(&with("query_rows", 4))))), (1, 4));
    let found = lower(&model, &with("gates", one - 1)).expect_err("no room").to_string();
    assert!(found.contains("P0606") && found.contains(&format!("`gates = {one}`")), "{found}");
}

/// A prompt is taken in and attended to in one step, by the program that serves any number of its tokens.
#[test]
fn prompts_agree() {
    let ty = CacheType { tokens: 600, ..cache(4, 2, 32, 4, 16) };
    let of = |queries| CacheModel { queries, ..function(ty) };
    let target = Target::named("hbm3-pim").expect("a target");
    let length =
        |f: &CacheModel| plan(&f.model(&target.name, 7).expect("a model"), &target).program.len();
    // As many rows in a pass, twice as many passes.
    assert_eq!(length(&of(64)), length(&of(128)));
    for queries in [64, 128] {
        let f = of(queries);
        let causal = |from: usize| (from + 1..=from + queries).map(|n| n as i64).collect();
        let half = (0..queries).map(|i| 128.min(i) as i64).collect();
        agree(&f, &target, &[(queries, causal(0)), (queries / 2, causal(queries)), (0, half)]);
    }
}

/// States of a shared prefix, of so many heads that refreshes come while they are merged.
#[test]
fn long_merges_keep_the_refresh() {
    let ty = CacheType { start: 100, ..cache(32, 8, 128, 8, 16) };
    let f = CacheModel { bits: 32, state: Some(2), ..function(ty) };
    agree(&f, &hbm(), &some_steps(&f, 4));
    for target in Target::built_in() {
        agree(&f, &target, &some_steps(&f, 2));
    }
}

#[test]
fn steps_from_an_empty_cache() {
    let f = function(cache(2, 2, 32, 4, 16));
    let steps: Vec<_> = (0..40).map(|i| (1, vec![i + 1])).collect();
    agree(&f, &hbm(), &steps);
}
