//! `pimc cosim`: the levels on the same vectors, compared word for word.

use crate::args::Cosim;
use crate::files::replace;
use crate::outcome::{Failure, Outcome, Status};
use crate::progress::Stages;
use pimc_cosim::verilator::WaveFormat;
use pimc_cosim::{cosim, Clocks, Inputs, Level, Options, Report};
use pimc_ir::batch::encode_batch;
use pimc_ir::RESULT;
use serde_json::json;

pub fn run(args: &Cosim) -> Result<Outcome, Failure> {
    let mut options = Options::new(match &args.inputs {
        Some(path) => Inputs::File(path.clone()),
        None => Inputs::Random { count: args.random as usize, seed: args.seed },
    });
    if let Some(levels) = &args.level {
        (options.levels, options.named) = (levels.clone(), true);
    }
    options.native_vectors = args.native_vectors;
    options.verilator = args.verilator.clone();
    (options.wave, options.wave_format) = match &args.fst {
        Some(path) => (Some(path.clone()), WaveFormat::Fst),
        None => (args.vcd.clone(), WaveFormat::Vcd),
    };
    if options.wave.is_some() && !options.levels.contains(&Level::Rtl) {
        let message = "a waveform is asked for, but the level that makes one is not run";
        return Err(Failure::input(message, "add `rtl` to `--level`"));
    }
    let stages = Stages::new();
    let report = cosim(&args.dir, &options, &stages)?;
    drop(stages);
    if let Some(path) = args.outputs.as_ref().filter(|_| report.agreed()) {
        let bytes = encode_batch(&[(RESULT, report.result_ty, &report.outputs)])?;
        replace(&[(path, &bytes)])?;
    }
    Ok(Outcome {
        status: if report.agreed() { Status::Done } else { Status::CheckFailed },
        text: text(&report),
        fields: json!({ "agreed": report.agreed(), "report": report }),
    })
}

fn text(report: &Report) -> String {
    let mut out = format!(
        "{} on {}: {} vectors of {} clocks\n",
        report.model, report.target, report.vectors, report.cycles
    );
    for run in &report.levels {
        let how = match run.level {
            Level::Golden => "the meaning",
            _ => "agrees",
        };
        out += &format!("  {:9} {:6} vectors  {how}\n", run.level.name(), run.vectors);
    }
    for absent in &report.absent {
        out += &format!("  {:9} not in this mapping\n", absent.level.name());
    }
    let waves = &report.waves;
    if waves.vectors > 0 && report.agreed() {
        let c = waves.counts;
        out += &format!(
            "  waveform  {:6} vectors  checked: {} commands, {} column reads, {} accumulators, {} \
             results, {} writes\n",
            waves.vectors, c.commands, c.reads, c.columns, c.results, c.writes
        );
    }
    if let Some(played) = &report.replayed {
        out += &format!(
            "  commands  {:6} steps    {} played to the DRAM's rules in SystemVerilog, all legal\n",
            played.steps, played.commands
        );
    }
    out += &clocks(&report.clocks);
    if let Some(simulator) = &report.simulator {
        out += &format!("  with {simulator}\n");
    }
    if !report.changed.is_empty() {
        out += &format!("  changed since `pimc compile`: {}\n", report.changed.join(", "));
    }
    match (&report.divergence, report.absent.first()) {
        (None, None) => out + "all levels agree, bit for bit\n",
        (None, Some(absent)) => {
            let run = report.levels.iter().map(|run| run.level.name()).collect::<Vec<_>>();
            let agree = match run.len() {
                1 => "no level was compared with golden".to_string(),
                _ => format!("{} agree, bit for bit", run.join(" and ")),
            };
            out + &format!("{agree}; no hardware was made, simulated or checked: {}\n", absent.why)
        }
        (Some(d), _) => out + &format!("the levels differ, first here:\n{d}\n"),
    }
}

/// The clocks of one run as expected, as scheduled and as the Verilog took them.
fn clocks(c: &Clocks) -> String {
    let percent = |error: f64| format!("{:+.2} %", 100.0 * error);
    let error = |error: Option<f64>| error.map_or(String::new(), |e| format!(" ({})", percent(e)));
    let Some(estimate) = c.estimate else {
        return format!("  clocks    {} scheduled\n", c.schedule);
    };
    match c.rtl {
        Some(rtl) => format!(
            "  clocks    {estimate} estimated{}, {} scheduled{}, {rtl} in rtl\n",
            error(c.estimate_rtl_error),
            c.schedule,
            error(c.schedule_rtl_error),
        ),
        None => format!(
            "  clocks    {estimate} estimated{}, {} scheduled\n",
            error(c.estimate_error),
            c.schedule
        ),
    }
}
