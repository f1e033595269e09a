//! Caches that are filled by clustering in the banks: the interpreter's runs against golden, results,
//! codebooks, codes and exact tokens, and every run's commands against the DRAM's rules.

use crate::common::same_state;
use pimc_golden::{run_step, State};
use pimc_ir::generated_cache::{ClusterModel, Prompt};
use pimc_ir::{CacheType, Model};
use pimc_lower::commands::{read_csv, write_timed, Command};
use pimc_lower::images::Images;
use pimc_lower::interp::Ignore;
use pimc_lower::report::Cycles;
use pimc_lower::{emit, legality, lower, Plan, Target};

fn model(f: &ClusterModel, target: &Target) -> Model {
    let built = f.builder(&target.name, 7).build();
    built.unwrap_or_else(|found| panic!("{}", found.render(false)))
}

fn plan(model: &Model, target: &Target) -> Plan {
    lower(model, target).unwrap_or_else(|found| panic!("{}", found.render(false)))
}

/// Runs steps and compares everything; the runs of each.
fn agree(f: &ClusterModel, target: &Target, steps: &[(Prompt, usize)]) -> Vec<usize> {
    agree_as(&model(f, target), f, target, steps)
}

/// The same of a model that takes the inputs of `f`.
fn agree_as(
    model: &Model,
    f: &ClusterModel,
    target: &Target,
    steps: &[(Prompt, usize)],
) -> Vec<usize> {
    let plan = plan(model, target);
    let cache = plan.cache.as_ref().expect("a cache");
    let images = Images::new(model, &plan);
    let mut machine = plan.machine(&images).expect("a machine");
    let mut driver = cache.driver();
    let mut state = State::initial(model);
    let mut counts = Vec::new();
    for (i, (kind, n)) in steps.iter().enumerate() {
        let inputs = f.step(100 + i as u64, *kind, *n);
        let golden = run_step(model, &mut state, &inputs).expect("golden");
        let name = format!("{f:?} on {}, step {i} {kind:?} {n}", target.name);
        let launches = plan.launches(&mut driver, &inputs).expect("runs");
        counts.push(launches.len());
        let mut result = Vec::new();
        for launch in launches {
            for c in launch.columns {
                machine.host_column(c.bank, c.row, c.col, c.data).expect("a column");
            }
            for (addr, word) in launch.args {
                machine.host_arg(addr, word).expect("an argument");
            }
            let run = plan.run_to_end(&mut machine, &inputs, &mut Ignore);
            result = run.unwrap_or_else(|fault| panic!("{name}: {fault}")).0;
            let broken = plan.violation_with(machine.args()).expect("a program that runs");
            assert!(broken.is_none(), "{name}: {}", broken.expect("a violation"));
        }
        let read = |b, r, c| machine.column(b, r, c);
        same_state(&plan, &driver, &state, &read, &name);
        assert_eq!(result, golden.result(), "{name}");
    }
    counts
}

fn hbm(channels: u32) -> Target {
    let target = Target::named("hbm3-pim").expect("a target");
    let changes =
        [("unit", "table_bytes", "1000000"), ("stack", "channels", &channels.to_string())];
    target.with(&changes).expect("a target")
}

fn cache(heads: usize, kv_heads: usize, dim: usize, sub: usize, k: usize) -> CacheType {
    CacheType { heads, kv_heads, dim, tokens: 256, sub, k, sink: 4, recent: 8, start: 0 }
}

fn fill(ty: CacheType) -> ClusterModel {
    ClusterModel { ty, tokens: 90, queries: 1, iterations: 4, weight_bits: 9 }
}

/// Counts at which something begins or ends, and more steps on the cache that was filled before.
fn counts(f: &ClusterModel) -> Vec<(Prompt, usize)> {
    let exact = f.ty.sink + f.ty.recent;
    let at = |c: usize| (exact + c).min(f.tokens);
    vec![
        (Prompt::Noise, f.tokens),
        (Prompt::Noise, 0),
        (Prompt::Noise, 1.min(f.tokens)),
        (Prompt::Noise, at(0)),
        (Prompt::Noise, at(1)),
        (Prompt::Noise, at(f.ty.k - 1)),
        (Prompt::Same, at(f.ty.k)),
        (Prompt::Weightless, at(f.ty.k + 3)),
        (Prompt::Extreme, f.tokens),
        (Prompt::Noise, at(2 * f.ty.k)),
    ]
}

#[test]
fn every_shape_agrees() {
    for (heads, kv_heads, dim, sub, k) in [
        (1, 1, 32, 2, 16),
        (4, 1, 64, 4, 64),
        (2, 2, 128, 8, 32),
        (1, 1, 64, 1, 5),
        (4, 2, 32, 8, 10),
        (1, 1, 16, 4, 40),
        (2, 1, 8, 2, 7),
    ] {
        for (sink, recent) in [(4, 8), (0, 0), (0, 5), (3, 0)] {
            for channels in [1, 2] {
                let ty = CacheType { sink, recent, ..cache(heads, kv_heads, dim, sub, k) };
                let f = ClusterModel { queries: 1 + sink % 3, ..fill(ty) };
                agree(&f, &hbm(channels), &counts(&f));
            }
        }
    }
}

#[test]
fn every_target_agrees() {
    for target in Target::built_in() {
        let target = target.with(&[("unit", "table_bytes", "1000000")]).expect("a target");
        let f = fill(cache(2, 1, 64, 4, 64));
        agree(&f, &target, &[(Prompt::Noise, 90), (Prompt::Extreme, 70)]);
    }
}

#[test]
fn every_number_of_encoders_agrees() {
    for sub in [1, 2, 4, 8] {
        for encoders in ["1", "2", "3", "8", "16", "64"] {
            let target = hbm(1).with(&[("unit", "encoders", encoders)]).expect("a target");
            let f = fill(cache(1, 1, 32, sub, 12));
            agree(&f, &target, &[(Prompt::Noise, 90), (Prompt::Noise, 23)]);
        }
    }
}

/// So many columns that are changed that a row cannot stay open for a batch of codes, nor for a centroid.
#[test]
fn rows_are_closed_for_refreshes() {
    let target = hbm(1).with(&[("unit", "encoders", "32")]).expect("a target");
    for (dim, iterations) in [(64, 1), (256, 1), (512, 0)] {
        let f = ClusterModel { iterations, ..fill(cache(1, 1, dim, 1, 40)) };
        agree(&f, &target, &[(Prompt::Noise, 90), (Prompt::Noise, 60)]);
    }
    // Sums of so many centroids that a refresh is due while they are cleared.
    let target = hbm(1).with(&[("unit", "table_bytes", "100000000")]).expect("a target");
    let f = ClusterModel { iterations: 1, tokens: 40, ..fill(cache(1, 1, 16, 2, 12_000)) };
    assert!(f.ty.k as u32 > 2 * target.timing.refi);
    agree(&f, &target, &[(Prompt::Noise, 40)]);
}

#[test]
fn iterations_and_weights_agree() {
    for (iterations, weight_bits) in [(0, 8), (1, 1), (2, 32), (7, 2)] {
        let f = ClusterModel { iterations, weight_bits, ..fill(cache(1, 1, 32, 4, 16)) };
        agree(&f, &hbm(1), &[(Prompt::Noise, 90), (Prompt::Extreme, 90), (Prompt::Weightless, 80)]);
    }
}

/// Codebooks over several rows and in slices that begin anywhere, pages that begin within a batch, scripts of
/// several runs.
#[test]
fn long_ones_agree() {
    for (dim, sub, k, channels) in [(128, 4, 512, 2), (64, 1, 250, 1), (64, 2, 90, 4)] {
        let ty = CacheType { tokens: 4000, ..cache(1, 1, dim, sub, k) };
        let f = ClusterModel { tokens: 2500, iterations: 2, ..fill(ty) };
        let runs = agree(&f, &hbm(channels), &[(Prompt::Noise, 2500), (Prompt::Noise, 1300)]);
        assert!(runs[0] > runs[1] && runs[1] > 8, "{runs:?}");
    }
}

/// The estimate of a run is near its clocks, and the plan's are the sums over the runs of the first step.
#[test]
fn estimates_are_near() {
    for (f, target) in [
        (fill(cache(1, 1, 32, 2, 16)), hbm(1)),
        (
            ClusterModel {
                tokens: 1000,
                ..fill(CacheType { tokens: 1000, ..cache(1, 1, 128, 4, 512) })
            },
            hbm(2),
        ),
        (
            ClusterModel {
                tokens: 1000,
                ..fill(CacheType { tokens: 1000, ..cache(8, 2, 64, 2, 64) })
            },
            hbm(1),
        ),
        (fill(cache(1, 1, 64, 8, 40)), Target::named("lpddr5x-pim").expect("a target")),
    ] {
        let plan = plan(&model(&f, &target), &target);
        let (mut all, mut estimated) = (0, 0);
        for args in plan.runs() {
            let walk = pimc_lower::walk::Walk::with_args(&plan.program, &args, target.timing.refi);
            let end = walk.map(|i| i.expect("runs").cycle).last().expect("an end");
            all += end;
            estimated += plan.estimate_with(&args);
        }
        assert_eq!((all, estimated), (plan.cycles, plan.estimate.cycles));
        let error = plan.estimate.error(plan.cycles);
        assert!(error.abs() < 0.03, "{f:?}: {error}");
        assert!(plan.violation().expect("runs").is_none());
    }
}

/// Commands, report and tree are of all runs of the first step, end to end.
#[test]
fn a_tree_tells_of_all_runs() {
    let (f, target) = (fill(cache(2, 1, 32, 2, 16)), hbm(1));
    let model = model(&f, &target);
    let plan = plan(&model, &target);
    assert!(plan.runs().count() > 4);
    let mut csv = Vec::new();
    write_timed(plan.commands(), &target, &mut csv).expect("memory");
    let trace = read_csv("commands.csv", std::str::from_utf8(&csv).expect("text")).expect("reads");
    assert_eq!(trace.end, Some(plan.cycles));
    let writes = trace.commands.iter().filter(|c| matches!(c.command, Command::Write { .. }));
    // Of both sides: seeds, one column of the codebook four times, codes.
    assert_eq!(writes.count(), 2 * (16 + 4 + 78));
    let found = legality::check(&target, trace.commands, plan.cycles);
    assert!(found.is_empty(), "{}", found[0]);
    let cycles = Cycles::new(&plan);
    assert_eq!(cycles.total.total(), plan.cycles);
    let ops: Vec<u64> = cycles.ops.iter().map(|op| op.total()).collect();
    assert!(ops[0] > 10 * ops[1] && ops[1] > 0, "{ops:?}");
    let tree = emit(&plan, &model).expect("a tree");
    let file = tree.files.iter().find(|f| f.path == "schedule/commands.csv").expect("commands");
    let mut written = Vec::new();
    file.write(&mut written).expect("memory");
    assert_eq!(written, csv);
}

/// The attend of a prompt may leave its log-sum-exp, and be merged, in the run in which it attends.
#[test]
fn what_is_attended_after_a_prompt_is_merged() {
    let (f, target) = (ClusterModel { queries: 2, ..fill(cache(4, 2, 32, 4, 16)) }, hbm(1));
    let text = f.text(&target.name);
    let (types, merge) =
        ("i32<264>", "  %m = merge %o, %o, dim=32, frac=8 : i32<264>\n  return %m");
    let (before, attend) = text.split_once("frac=8 : ").expect("an attend");
    let (_, after) = attend.split_once('\n').expect("a line");
    let text = format!("{before}frac=8, state : {types}\n{}", after.replace("  return %o", merge));
    let text = text.replace("-> i16<256>", &format!("-> {types}"));
    let built = f.builder_of(&text, 7).build();
    let model = built.unwrap_or_else(|found| panic!("{}", found.render(false)));
    let runs = agree_as(&model, &f, &target, &counts(&f));
    assert!(runs.iter().any(|n| *n > 4) && runs.contains(&1), "{runs:?}");
}
