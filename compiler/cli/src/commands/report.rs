//! `pimc report`: what a compiled model is.

use crate::args::Report;
use crate::outcome::{Failure, Outcome};
use pimc_lower::tree::ENDS_AT;
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
    let form = report["mapping"]["ends_at"] == ENDS_AT;
    let whole =
        run["parts"].is_object() && report["ops"].is_array() || form && run["parts"].is_array();
    if !run["cycles"].is_u64() || !whole {
        return Err(damaged("it is not a report of this pimc"));
    }
    let html = args.dir.join("report.html");
    let text = if form { form_text(&report) } else { text_of(&report) };
    let said = text + &format!("the whole report: {}\n", html.display());
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
    text + &paper_form(&report["paper_form"]) + "\n"
}

/// A list of the report.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The report of a mapping that ends at the schedule.
fn form_text(report: &Value) -> String {
    let (run, mapping) = (&report["run"], &report["mapping"]);
    let word = |value: &Value| value.as_str().unwrap_or("").to_string();
    let mut text = format!(
        "{} on {}: attention indirect, gather {}; it ends at the {ENDS_AT}, there is no hardware\n\
         {} clocks ({:.1} us) for {} tokens: {} activates, {} column reads, {} writes, {} refreshes\n\
         {} lookups of keys and {} of values a bank; {} bytes over a pseudo-channel's bus\n\nassumed:\n",
        word(&report["model"]),
        word(&report["target"]["name"]),
        word(&mapping["gather"]),
        run["cycles"],
        number(&run["microseconds"]),
        run["tokens"],
        run["activates"],
        run["reads"],
        run["writes"],
        run["refreshes"],
        run["key_lookups"],
        run["value_lookups"],
        run["moved"]["total"],
    );
    for line in list(&mapping["assumed"]) {
        text += &format!("  {}\n", word(line));
    }
    text += "\nwhere every clock went:\n";
    for part in list(&run["parts"]) {
        text += &format!("{:>10}  {}\n", part["cycles"].to_string(), word(&part["what"]));
    }
    let ours = &report["resident"];
    match ours.is_object() {
        true => {
            let clocks = &ours["resident"]["cycles"];
            let ratio = number(&ours["ratio"]);
            text +=
                &format!("\nthe resident mapping takes {clocks} clocks; this form takes {ratio:.2} times as many\n");
        }
        false => {
            let why = word(&report["resident_refused"]);
            text += &format!("\nthe resident mapping does not fit the target: {why}\n");
        }
    }
    text + "\n"
}

/// The same step in the paper's form, beside ours.
fn paper_form(part: &Value) -> String {
    let mut text = String::new();
    if let Some(why) = part["refused"].as_str() {
        text += &format!("\nthe same step in the paper's form cannot be made: {why}\n");
    }
    for way in list(&part["ways"]) {
        let gather = way["gather"].as_str().unwrap_or("");
        for (what, both) in [("this step", &way["step"]), ("a full cache", &way["full"])] {
            if both.is_object() {
                text += &format!(
                    "\nthe paper's form, gather {gather}, {what} of {} tokens: {} clocks, {:.2} times as many; {} \
                     column accesses, {} bytes on a bus for {}",
                    both["indirect"]["tokens"],
                    both["indirect"]["cycles"],
                    number(&both["ratio"]),
                    number(&both["indirect"]["reads"]) + number(&both["indirect"]["writes"]),
                    both["indirect"]["moved"]["total"],
                    both["resident"]["moved"]["total"],
                );
            }
        }
    }
    if text.is_empty() {
        text
    } else {
        text + "\n"
    }
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
