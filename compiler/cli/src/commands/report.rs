//! `pimc report`: what a compiled model is.

use crate::args::Report;
use crate::outcome::{Failure, Outcome};
use serde_json::{json, Value};

pub fn run(args: &Report) -> Result<Outcome, Failure> {
    let path = args.dir.join("report.json");
    let text = std::fs::read_to_string(&path).map_err(|e| {
        let message = format!("cannot read {}: {e}", path.display());
        Failure::input(message, "name a folder that `pimc compile` wrote")
    })?;
    let damaged = |why: &str| {
        let message = format!("{} is damaged: {why}", path.display());
        Failure::input(message, "compile the model again")
    };
    let report: Value = serde_json::from_str(&text).map_err(|e| damaged(&e.to_string()))?;
    if !report["run"]["cycles"].is_u64() || !report["ops"].is_array() {
        return Err(damaged("it is not a report of pimc"));
    }
    let html = args.dir.join("report.html");
    let run = &report["run"];
    let number = |v: &Value| v.as_f64().unwrap_or(0.0);
    let mut text = format!(
        "{} on {}: {} clocks ({:.1} us), {} activates, {} column reads, {} refreshes\n",
        report["model"].as_str().unwrap_or(""),
        report["target"]["name"].as_str().unwrap_or(""),
        run["cycles"],
        number(&run["microseconds"]),
        run["activates"],
        run["reads"],
        run["refreshes"]
    );
    for op in report["ops"].as_array().into_iter().flatten() {
        text +=
            &format!("{:>10}  {}\n", op["cycles"].to_string(), op["text"].as_str().unwrap_or(""));
    }
    text += &format!("the whole report: {}\n", html.display());
    Ok(Outcome::done(text, json!({ "html": html, "report": report })))
}
