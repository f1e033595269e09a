//! `pimc explore`: the design space of a model.

use crate::args::Explore;
use crate::outcome::{Failure, Outcome};
use crate::progress::Stages;
use pimc_explore::tables::{refusals, rows_json, Row};
use pimc_explore::{explore, open_folder, slurm, Finished, Plan, Request, Tables};
use serde_json::{json, Map};
use std::path::{absolute, Path};
use std::time::Instant;

pub fn run(args: &Explore) -> Result<Outcome, Failure> {
    let request = Request {
        model: &args.model,
        sweep: args.sweep.as_deref(),
        quantize: args.weights.as_deref().zip(args.recipe.as_deref()),
        inputs: args.inputs.as_deref(),
        output: &args.output,
        shard: args.shard,
        merge: args.merge,
    };
    let stages = Stages::new();
    let start = Instant::now();
    let plan = Plan::new(&request)?;
    if let Some(shards) = args.slurm {
        return batch(args, &plan, shards);
    }
    let finished = explore(&plan, &request, &stages)?;
    drop(stages);
    Ok(said(args, &finished, start.elapsed().as_secs_f64()))
}

fn said(args: &Explore, finished: &Finished, seconds: f64) -> Outcome {
    let Finished { points, before, computed, tables } = finished;
    let folder = args.output.display();
    let rate = *computed as f64 / seconds.max(1e-9);
    let text = format!(
        "{folder}: {computed} points computed in {seconds:.1} s ({rate:.1} a second), {before} were \
         there\n"
    );
    let mut fields = json!({
        "output": args.output, "points": points, "before": before, "computed": computed,
        "seconds": seconds,
    });
    let Some(Tables { axes, rows, summary }) = tables else { return Outcome::done(text, fields) };
    let front: Vec<Row> = rows.iter().filter(|r| r.pareto).cloned().collect();
    let refused: Map<_, _> = refusals(rows).into_iter().map(|(n, kind)| (kind, json!(n))).collect();
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("axes".into(), json!(axes));
        fields.insert("pareto".into(), rows_json(&front, axes));
        fields.insert("do_not_fit".into(), refused.into());
    }
    let written = "points.csv, points.json, pareto.csv, plot.svg, summary.txt";
    Outcome::done(format!("{summary}{text}wrote {written}\n"), fields)
}

/// The batch scripts instead of the points.
fn batch(args: &Explore, plan: &Plan, shards: u32) -> Result<Outcome, Failure> {
    open_folder(&args.output, plan)?;
    let whole = |path: &Path| {
        absolute(path).map_err(|e| {
            Failure::input(format!("{}: {e}", path.display()), "name a path that is there")
        })
    };
    let mut arguments = vec!["explore".to_string(), whole(&args.model)?.display().to_string()];
    for (option, path) in [
        ("-o", Some(&args.output)),
        ("--sweep", args.sweep.as_ref()),
        ("--weights", args.weights.as_ref()),
        ("--recipe", args.recipe.as_ref()),
        ("--inputs", args.inputs.as_ref()),
    ] {
        if let Some(path) = path {
            arguments.extend([option.to_string(), whole(path)?.display().to_string()]);
        }
    }
    let program = std::env::current_exe().map_err(|e| Failure::bug(e.to_string()))?;
    let command = slurm::Command { program, arguments };
    let scripts = slurm::write(&whole(&args.output)?, &command, shards as usize)?;
    Ok(Outcome::done(
        format!("{}\n", scripts.submit),
        json!({
            "points": plan.len(), "shards": shards, "sweep": scripts.sweep, "merge": scripts.merge,
            "submit": scripts.submit,
        }),
    ))
}
