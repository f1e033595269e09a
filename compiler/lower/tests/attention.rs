//! Steps on a key/value cache: the interpreter's run of the program against golden, results and
//! what the banks hold, and every run's commands against the DRAM's rules.

use pimc_golden::{run_step, State};
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::{CacheId, CacheType, Model, Side};
use pimc_lower::attention::Driver;
use pimc_lower::images::Images;
use pimc_lower::interp::Ignore;
use pimc_lower::{lower, Plan, Target};

fn cache(heads: usize, kv_heads: usize, dim: usize, sub: usize, k: usize) -> CacheType {
    CacheType { heads, kv_heads, dim, tokens: 256, sub, k, sink: 4, recent: 8, start: 0 }
}

fn function(ty: CacheType) -> CacheModel {
    CacheModel { ty, queries: 1, append: true, mul: 3000, shift: 12, frac: 8, bits: 16 }
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
        let result = plan
            .run_step(&mut machine, &mut driver, &inputs, &mut Ignore)
            .unwrap_or_else(|fault| panic!("{f:?}, step {i}: {fault}"));
        assert_eq!(result, golden.result(), "{f:?}, step {i}");
        same_state(&plan, &driver, &state, |b, r, c| machine.column(b, r, c));
        let broken = plan.violation_with(machine.args()).expect("a program that runs");
        assert!(broken.is_none(), "{f:?}, step {i}: {}", broken.expect("a violation"));
    }
}

fn same_state(
    plan: &Plan,
    driver: &Driver,
    state: &State,
    read: impl Fn(u32, u32, u32) -> Option<[u64; 4]>,
) {
    let (cache, held) = (plan.cache.as_ref().expect("a cache"), state.cache(CacheId(0)));
    assert_eq!(driver.length() as usize, held.tokens());
    for side in Side::BOTH {
        assert_eq!(cache.codes(driver, side, &read).as_deref(), Some(held.codes(side)), "{side:?}");
        for position in 0..driver.length() {
            let exact = cache.exact(driver, side, position, &read);
            let token = held.exact(position as usize).map(|t| t.side(side).to_vec());
            assert_eq!(exact, token, "{side:?} of position {position}");
        }
    }
}

fn hbm() -> Target {
    Target::named("hbm3-pim").expect("a target")
}

#[test]
fn steps_from_an_empty_cache() {
    let f = function(cache(2, 2, 32, 4, 16));
    let steps: Vec<_> = (0..40).map(|i| (1, vec![i + 1])).collect();
    agree(&f, &hbm(), &steps);
}
