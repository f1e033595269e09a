//! `pimc doctor`: what pimc finds on this machine and which levels it can run with that.

use crate::args::Doctor;
use crate::outcome::{Failure, Outcome, Status};
use pimc_cosim::report::Level;
use pimc_cosim::verilator::{cache_dir, Toolchain, OLDEST};
use serde_json::json;

pub fn run(args: &Doctor) -> Result<Outcome, Failure> {
    let found = Toolchain::find(args.verilator.as_deref());
    let cache = cache_dir();
    let runs = |level: &Level| found.is_ok() || *level != Level::Rtl;
    let levels: Vec<&str> = Level::ALL.iter().filter(|l| runs(l)).map(|l| l.name()).collect();

    let mut lines = vec![row("pimc", env!("CARGO_PKG_VERSION"))];
    match &found {
        Ok(tools) => {
            lines.push(row("Verilator", &format!("{} ({})", tools.version, tools.found_by)));
            lines.push(row("", &tools.verilator.display().to_string()));
            lines.push(row("C++ compiler", &tools.cxx_version));
            lines.push(row("", &tools.cxx.display().to_string()));
        }
        Err(e) => lines.push(row("Verilator", &format!("not usable\n{e}"))),
    }
    lines.push(row("oldest accepted", &format!("Verilator {OLDEST}")));
    lines.push(row("cache", &cache.display().to_string()));
    lines.push(row("Python", "not needed"));
    lines.push(row("levels", &levels.join(", ")));

    let tools = found.as_ref().ok().map(|t| {
        json!({
            "verilator": t.verilator, "version": t.version.to_string(), "root": t.root,
            "found_by": t.found_by, "cxx": t.cxx, "cxx_version": t.cxx_version,
        })
    });
    Ok(Outcome {
        status: if found.is_ok() { Status::Done } else { Status::CheckFailed },
        text: lines.concat(),
        fields: json!({
            "version": env!("CARGO_PKG_VERSION"),
            "tools": tools,
            "problem": found.err().map(|e| e.to_string()),
            "oldest_verilator": OLDEST.to_string(),
            "cache": cache,
            "levels": levels,
        }),
    })
}

fn row(name: &str, value: &str) -> String {
    format!("{name:<16} {value}\n")
}
