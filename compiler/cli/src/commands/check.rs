//! `pimc check`: a waveform from any simulator against the golden trace.

use crate::args::Check;
use crate::outcome::{Failure, Outcome, Status};
use crate::progress::Stages;
use pimc_cosim::check_wave;
use serde_json::json;

pub fn run(args: &Check) -> Result<Outcome, Failure> {
    let stages = Stages::new();
    stages.begin("checking the waveform", 0);
    let report = check_wave(&args.dir, &args.wave, None)?;
    drop(stages);
    let c = report.counts;
    let text = match &report.divergence {
        None => format!(
            "{}: {} runs, {} commands, {} column reads, {} accumulators, {} results, {} writes, all \
             as they must be\n",
            args.wave.display(),
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
