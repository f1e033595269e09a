//! `cargo bench -p pimc-cosim --bench attention`: attention on a product-quantized cache beside what is
//! published, as the page `compiler/lower/docs/attention.md`.
//!
//! Arguments after `--`: `--write` writes the page into its file; `--trace` prints the DRAM commands of the
//! paper's form at 4,096 tokens as CSV instead; `--rtl [TOKENS]` co-simulates a step of one query head, at 4,096 tokens,
//! on its two pseudo-channels instead, result, cache and waveform checked, and holds the clocks of the
//! generated Verilog against the schedule's.

use pimc_cosim::{cosim, Inputs, Level, Options, Quiet};
use pimc_lower::attention::compare::{function, page, share};
use pimc_lower::attention::literal::{schedule, Form};
use pimc_lower::commands::{write_timed, Expanded};
use pimc_lower::{emit, lower, write_tree, Target};
use std::error::Error;
use std::path::Path;

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

/// Co-simulates a step down to the generated Verilog.
fn rtl(target: &Target, context: u32) -> Result<(), Box<dyn Error>> {
    let (dir, target) = (tempfile::tempdir()?, share(target, 1)?);
    let f = function(1, context, true);
    // Written, since trees hold copies of tensor files.
    let path = f.builder(&target.name, 1).write(dir.path(), "model.ir")?;
    let (model, step) = (pimc_ir::load(&path)?, f.step(2, 1, &[context.into()]));
    let (plan, tree) = (lower(&model, &target)?, dir.path().join("out"));
    write_tree(&emit(&plan, &model)?, &tree)?;
    let levels = vec![Level::Golden, Level::Schedule, Level::Rtl];
    let options = Options { levels, ..Options::new(Inputs::Given(vec![step])) };
    let report = cosim(&tree, &options, &Quiet)?;
    if let Some(d) = report.divergence {
        return Err(format!("the levels differ: {d}").into());
    }
    if report.waves.vectors != 1 {
        return Err("the waveform was not checked".into());
    }
    let clocks = report.clocks.rtl.ok_or("the level rtl was not run")?;
    println!("{context} tokens: schedule {}, generated Verilog {clocks}", plan.cycles);
    if clocks != plan.cycles {
        return Err("the clocks differ".into());
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
        return rtl(&target, context);
    }
    let text = page(&target)?;
    if given("--write") {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), &text)?;
    }
    print!("{text}");
    Ok(())
}
