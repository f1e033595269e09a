//! `pimc compile`: a model to the output tree.

use crate::args::Compile;
use crate::outcome::{Failure, Outcome};
use crate::progress::Stages;
use crate::screen;
use pimc_ir::{load, Diagnostics, Model};
use pimc_lower::tree::{ENDS_AT, WHY};
use pimc_lower::{emit_any, lower_any, write_tree, Lowered, Target};
use serde_json::json;
use std::path::Path;

pub fn run(args: &Compile) -> Result<Outcome, Failure> {
    let stages = Stages::new();
    stages.begin("reading the model", 0);
    let model = load(&args.model)?;
    let target = target(args, &model)?;
    stages.begin("mapping and scheduling", 0);
    let lowered = lower_any(&model, &target)?;
    stages.begin("checking the schedule", 0);
    let cycles = check(&lowered)?;
    stages.begin("writing", 0);
    let manifest = write_tree(&emit_any(&lowered, &model)?, &args.output)?;
    drop(stages);
    screen::complain(&model.warnings().render(screen::colour()));
    let files = manifest["outputs"].as_object().map_or(0, |o| o.len()) + 1;
    let microseconds = cycles as f64 * f64::from(target.timing.tck_ps) / 1e6;
    let mut fields = json!({
        "output": args.output,
        "target": target.name,
        "files": files,
        "cycles": cycles,
        "microseconds": microseconds,
    });
    let ends = match &lowered {
        Lowered::Hardware(plan) => {
            fields["instructions"] = json!(plan.program.len());
            String::new()
        }
        Lowered::Form(_) => {
            fields["mapping"] = manifest["mapping"].clone();
            format!("it ends at the {ENDS_AT}: {WHY}\n")
        }
    };
    if let (Some(fields), Some(found)) =
        (fields.as_object_mut(), model.warnings().to_json().as_object())
    {
        fields.extend(found.clone());
    }
    Ok(Outcome::done(
        format!(
            "{}: {} files for {}; a run takes {} clocks ({microseconds:.1} us)\n{ends}",
            args.output.display(),
            files,
            target.name,
            cycles
        ),
        fields,
    ))
}

/// The target of the option, or the one that the model names, which is then the place to point at.
fn target(args: &Compile, model: &Model) -> Result<Target, Diagnostics> {
    if let Some(name) = &args.target {
        return Target::find(name, Path::new(""));
    }
    Target::of_model(model, &args.model)
}

/// The compiler's own schedule against the checker that shares no code with the scheduler; its clocks.
fn check(lowered: &Lowered) -> Result<u64, Failure> {
    let (violation, cycles) = match lowered {
        Lowered::Hardware(plan) => {
            (plan.violation().map_err(|e| Failure::bug(e.to_string()))?, plan.cycles)
        }
        Lowered::Form(plan) => plan.violation(),
    };
    match violation {
        None => Ok(cycles),
        Some(violation) => Err(Failure::bug(format!("the schedule is illegal: {violation}"))),
    }
}
