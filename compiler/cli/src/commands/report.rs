//! `pimc report`: what a compiled model is.

use crate::args::Report;
use crate::outcome::{Failure, Outcome};
use serde_json::{json, Value};

/// The causes of clocks, as `report.json` names them, with the heads of their columns.
const CAUSES: [(&str, &str); 8] = [
    ("stream", "stream"),
    ("table_build", "build"),
    ("rows", "rows"),
    ("refresh", "refresh"),
    ("load", "load"),
    ("buffer", "buffer"),
    ("drain", "drain"),
    ("other", "other"),
];

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
    let run = &report["run"];
    if !run["cycles"].is_u64() || !run["parts"].is_object() || !report["ops"].is_array() {
        return Err(damaged("it is not a report of this pimc"));
    }
    let html = args.dir.join("report.html");
    let said = text_of(&report) + &format!("the whole report: {}\n", html.display());
    Ok(Outcome::done(said, json!({ "html": html, "report": report })))
}

fn number(v: &Value) -> f64 {
    v.as_f64().unwrap_or(0.0)
}

fn ops(report: &Value) -> impl Iterator<Item = &Value> {
    report["ops"].as_array().into_iter().flatten()
}

fn text_of(report: &Value) -> String {
    let run = &report["run"];
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
    if let Some(ratio) = run["of_limit"].as_f64() {
        let limit = number(&run["limit_cycles"]);
        text +=
            &format!("{ratio:.3} of the physical limit, {limit:.0} clocks for the columns read\n");
    }
    text += &format!(
        "the cost model expected {} clocks ({:+.2} %)\n\nwhere every clock went:\n",
        run["estimate"]["cycles"],
        100.0 * number(&run["estimate_error"])
    );
    text += &format!("{:>10} {:>8}", "clocks", "of limit");
    for (_, head) in CAUSES {
        text += &format!(" {head:>8}");
    }
    text += "\n";
    for op in ops(report).filter(|op| op["cycles"] != 0) {
        text += &line(&op["cycles"], op, &op["parts"], op["text"].as_str().unwrap_or(""));
    }
    let end: u64 = CAUSES.iter().filter_map(|(cause, _)| run["end"][cause].as_u64()).sum();
    if end > 0 {
        text += &line(&end.into(), &Value::Null, &run["end"], "end of the program");
    }
    text += &line(&run["cycles"], run, &run["parts"], "all");
    for op in ops(report).filter(|op| op["matvec"].is_object()) {
        let name = op["matvec"]["weight"].as_str().unwrap_or("");
        text += &format!("\n@{name} at line {}:\n", op["line"]);
        for words in op["matvec"]["words"].as_array().into_iter().flatten() {
            text += &format!("  {}\n", words.as_str().unwrap_or(""));
        }
    }
    text + "\n"
}

/// One line of the table: clocks, as a multiple of the limit, and by cause.
fn line(clocks: &Value, limit: &Value, parts: &Value, what: &str) -> String {
    let ratio = limit["of_limit"].as_f64().map_or(String::new(), |ratio| format!("{ratio:.3}"));
    let mut out = format!("{:>10} {ratio:>8}", clocks.to_string());
    for (cause, _) in CAUSES {
        let clocks = parts[cause].as_u64().unwrap_or(0);
        let shown = if clocks == 0 { String::new() } else { clocks.to_string() };
        out += &format!(" {shown:>8}");
    }
    out + &format!("  {what}\n")
}
