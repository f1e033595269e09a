//! `cargo bench -p pimc-cosim --bench attention`: attention on a product-quantized cache beside what is
//! published, as the page `compiler/lower/docs/attention.md`.
//!
//! Arguments after `--`: `--write` writes the page into its file; `--trace` prints the DRAM commands of the
//! paper's form at 4,096 tokens as CSV instead; `--rtl [TOKENS]` co-simulates a step of one query head, at 4,096 tokens,
//! on its two pseudo-channels instead, result, cache and waveform checked, and holds the clocks of the
//! generated Verilog against the schedule's; `--sizes [I/N]` co-simulates two steps of every combination of sizes,
//! or of each N-th from the I-th on, in the same way.

use pimc_cosim::{cosim, Inputs, Level, Options, Quiet};
use pimc_ir::generated_cache::CacheModel;
use pimc_lower::attention::compare::{function, page, share};
use pimc_lower::attention::literal::{schedule, Form};
use pimc_lower::commands::{write_timed, Expanded};
use pimc_lower::{emit, lower, write_tree, Target};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

/// The file of the page.
const PAGE: &str = "../compiler/lower/docs/attention.md";

/// Prints the commands of the paper's form.
fn trace(target: &Target) -> Result<(), Box<dyn Error>> {
    let target = share(target, 1)?;
    let step = schedule(&target, &function(1, 4096, false).ty, 4096, Form::default());
    let end = Expanded::End { cycle: step.cycles };
    let items = step.commands.into_iter().map(Expanded::Command).chain([end]);
    write_timed(items.map(Ok), &target, &mut std::io::stdout().lock())?;
    Ok(())
}

/// Co-simulates steps that append a token down to the generated Verilog, results, cache and waveforms
/// checked, and clocks against the schedule's; the clocks of the steps, by the schedule and in Verilog.
fn rtl(
    target: &Target,
    f: &CacheModel,
    count: usize,
    levels: &[Level],
) -> Result<(u64, u64), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    // Written, since trees hold copies of tensor files.
    let path = f.builder(&target.name, 1).write(dir.path(), "model.ir")?;
    let step = |i: usize| f.step(2 + i as u64, 1, &[(f.ty.start + 1 + i) as i64]);
    let model = pimc_ir::load(&path)?;
    let (plan, tree) = (lower(&model, target)?, dir.path().join("out"));
    write_tree(&emit(&plan, &model)?, &tree)?;
    let inputs = Inputs::Given((0..count).map(step).collect());
    let levels = levels.to_vec();
    let options = Options { levels, native_vectors: 1, ..Options::new(inputs) };
    let report = cosim(&tree, &options, &Quiet)?;
    if let Some(d) = report.divergence {
        return Err(format!("the levels differ: {d}").into());
    }
    if report.waves.vectors != count {
        return Err("not every waveform was checked".into());
    }
    let clocks = report.clocks.rtl.ok_or("the level rtl was not run")?;
    if clocks != report.cycles {
        return Err(format!("schedule {}, generated Verilog {clocks}", report.cycles).into());
    }
    Ok((report.cycles, clocks))
}

/// Co-simulates every combination of sizes, or each `of`-th from `first` on, on four banks that have room for the
/// tables of one row of queries of each.
fn sizes(target: &Target, first: usize, of: usize) -> Result<(), Box<dyn Error>> {
    let target = target.with(&[
        ("pseudo_channel", "banks", "4"),
        ("pseudo_channel", "bank_groups", "1"),
        ("unit", "table_bytes", "400000"),
    ])?;
    for f in CacheModel::sizes().into_iter().skip(first).step_by(of.max(1)) {
        let started = Instant::now();
        let of_sizes = |e: Box<dyn Error>| format!("{}: {e}", f.ty);
        let (_, clocks) = rtl(&target, &f, 2, &Level::ALL).map_err(of_sizes)?;
        println!("{}: {clocks} clocks, every level agrees ({:.0?})", f.ty, started.elapsed());
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let target = Target::built_in().swap_remove(0);
    let args: Vec<String> = std::env::args().skip(1).collect();
    let given = |name: &str| args.iter().any(|a| a == name);
    if given("--trace") {
        return trace(&target);
    }
    if given("--rtl") {
        let context = args.iter().find_map(|a| a.parse().ok()).unwrap_or(4096);
        let f = function(1, context, true);
        // A native run of so many banks takes minutes.
        let levels = [Level::Golden, Level::Schedule, Level::Rtl];
        let (schedule, clocks) = rtl(&share(&target, 1)?, &f, 1, &levels)?;
        println!("{context} tokens: schedule {schedule}, generated Verilog {clocks}");
        return Ok(());
    }
    if given("--sizes") {
        let part = args.iter().find_map(|a| a.split_once('/'));
        let numbers = part.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let (first, of) = numbers.unwrap_or((0, 1));
        return sizes(&target, first, of);
    }
    let text = page(&target)?;
    if given("--write") {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), &text)?;
    }
    print!("{text}");
    Ok(())
}
