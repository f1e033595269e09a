//! `pimc check`: a waveform from any simulator against the golden trace, or a command trace against
//! the rules of the DRAM.

use crate::args::Check;
use crate::outcome::{Failure, Outcome, Status};
use crate::progress::Stages;
use pimc_cosim::{check_wave, Inputs};
use pimc_ir::read_source;
use pimc_lower::commands::read_csv;
use pimc_lower::legality::{check, check_part, Violation, MAX_VIOLATIONS};
use pimc_lower::Target;
use serde_json::json;
use std::path::Path;

/// Longest trace, in bytes.
const MAX_TRACE: u64 = 1 << 32;

pub fn run(args: &Check) -> Result<Outcome, Failure> {
    match (&args.wave, &args.commands) {
        (_, Some(trace)) => commands(&args.dir, trace),
        (Some(wave), None) => waveform(&args.dir, wave, args.inputs.as_deref()),
        (None, None) => Err(Failure::input("nothing to check", "give `--wave` or `--commands`")),
    }
}

/// The commands of a trace against the rules of the tree's target.
fn commands(dir: &Path, trace: &Path) -> Result<Outcome, Failure> {
    let stages = Stages::new();
    stages.begin("checking the commands", 0);
    let (text, name) = read_source(&dir.join("schedule/target.toml"))?;
    let target = Target::from_toml(&name, &text)?;
    let name = trace.display().to_string();
    let read = read_csv(&name, &trace_text(trace)?)?;
    let commands = read.commands.iter().copied();
    let found = match read.end {
        Some(end) => check(&target, commands, end),
        None => check_part(&target, commands),
    };
    drop(stages);
    let what = if read.end.is_some() { "a whole run" } else { "a part of a run" };
    let count = read.commands.len();
    let line = |v: &Violation| v.instr.map_or(String::new(), |i| format!(":{}", i + 1));
    let mut said = String::new();
    for v in &found {
        said += &format!("{name}{}: {v}\n", line(v));
    }
    said += &match found.len() {
        0 => format!("{name}: {count} commands, {what}: legal for {}\n", target.name),
        n if n >= MAX_VIOLATIONS => {
            format!("more than {n} rules broken; the check stopped there\n")
        }
        n => format!("{n} rules broken in {count} commands, {what}, for {}\n", target.name),
    };
    let violations: Vec<_> = found
        .iter()
        .map(|v| {
            json!({
                "rule": v.rule, "bank": v.bank, "cycle": v.cycle, "command": v.command,
                "line": v.instr.map(|i| i + 1), "earliest": v.earliest, "latest": v.latest,
                "why": v.why,
            })
        })
        .collect();
    Ok(Outcome {
        status: if found.is_empty() { Status::Done } else { Status::CheckFailed },
        text: said,
        fields: json!({
            "agreed": found.is_empty(), "target": target.name, "commands": count,
            "whole": read.end.is_some(), "violations": violations,
        }),
    })
}

/// The text of a trace, which may be longer than any model.
fn trace_text(path: &Path) -> Result<String, Failure> {
    let wrong = |why: String| {
        let message = format!("cannot read {}: {why}", path.display());
        Failure::input(message, "name a command trace, as text, such as schedule/commands.csv")
    };
    // Devices and pipes never end.
    match std::fs::metadata(path) {
        Ok(m) if m.is_file() && m.len() <= MAX_TRACE => {
            std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))
        }
        Ok(m) if m.is_file() => Err(wrong(format!("it has more than {MAX_TRACE} bytes"))),
        Ok(_) => Err(wrong("it is no file".into())),
        Err(e) => Err(wrong(e.to_string())),
    }
}

fn waveform(dir: &Path, wave: &Path, inputs: Option<&Path>) -> Result<Outcome, Failure> {
    let stages = Stages::new();
    stages.begin("checking the waveform", 0);
    let inputs = inputs.map(|path| Inputs::File(path.to_path_buf()));
    let report = check_wave(dir, wave, inputs.as_ref())?;
    drop(stages);
    let c = report.counts;
    let text = match &report.divergence {
        None => format!(
            "{}: {} runs, {} commands, {} column reads, {} accumulators, {} results, {} writes, all \
             as they must be\n",
            wave.display(),
            c.runs,
            c.commands,
            c.reads,
            c.columns,
            c.results,
            c.writes
        ),
        Some(d) => format!("the waveform is wrong, first here:\n{d}\n"),
    };
    Ok(Outcome {
        status: if report.divergence.is_none() { Status::Done } else { Status::CheckFailed },
        text,
        fields: json!({ "agreed": report.divergence.is_none(), "report": report }),
    })
}
