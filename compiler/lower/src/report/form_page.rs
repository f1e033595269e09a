//! The paper's form on pages: the page of a plan in that form, and the section in ours.

use super::form::{BothPart, FormReport, FormRun, PaperPart};
use super::html::{escape, grouped, STYLE};
use std::fmt::Write;

/// The page of a plan in the paper's form.
pub fn form_html(r: &FormReport) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = page(r, &mut out);
    out
}

fn page(r: &FormReport, out: &mut String) -> std::fmt::Result {
    let title = escape(&r.model);
    writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width\">")?;
    writeln!(out, "<title>pimc: {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>")?;
    writeln!(out, "<h1>{title}: a schedule, no hardware</h1>")?;
    writeln!(
        out,
        "<p class=\"sub\">target {}, {} banks, clock {} ps; attention indirect, gather {}; pimc {}</p>",
        escape(&r.target.name),
        r.target.banks,
        r.target.tck_ps,
        r.mapping.gather,
        env!("CARGO_PKG_VERSION")
    )?;
    writeln!(
        out,
        "<p>{}. Levels of co-simulation: {}.</p>",
        escape(r.mapping.why),
        r.mapping.levels.join(", ")
    )?;
    writeln!(out, "<h2>Assumed</h2>\n<ul>")?;
    for line in &r.mapping.assumed {
        writeln!(out, "<li>{}</li>", escape(line))?;
    }
    writeln!(out, "</ul>")?;
    run(&format!("The first step: {} tokens", grouped(r.run.tokens.into())), &r.run, out)?;
    if let Some(full) = &r.full {
        run(&format!("A full cache: {} tokens", grouped(full.tokens.into())), full, out)?;
    }
    writeln!(out, "<h2>The first step in the resident mapping</h2>")?;
    match (&r.resident, &r.resident_refused) {
        (Some(both), _) => {
            writeln!(out, "<table>{HEAD}")?;
            line("the first step", both, out)?;
            writeln!(out, "</table>")?;
        }
        (None, why) => {
            let why = why.as_deref().unwrap_or("it has no cache");
            writeln!(out, "<p>It does not fit the target: {}.</p>", escape(why))?;
        }
    }
    writeln!(
        out,
        "<p class=\"sub\">{} of {} rows of a bank used.</p>\n</body>\n</html>",
        grouped(r.rows.0),
        grouped(r.rows.1.into())
    )
}

fn run(title: &str, run: &FormRun, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>{title}</h2>\n<table>")?;
    let mut row = |what: &str, value: String| {
        writeln!(out, "<tr><td>{what}</td><td class=\"n\">{value}</td></tr>")
    };
    row("clocks", format!("{} ({:.2} \u{b5}s)", grouped(run.cycles), run.microseconds))?;
    for part in &run.parts {
        row(&format!("of them: {}", part.what), grouped(part.cycles))?;
    }
    for (what, value) in [
        ("tokens appended", run.appended.into()),
        ("activates, of all banks", run.activates),
        ("column reads", run.reads),
        ("of them: codes", run.code_columns),
        ("of them: lookups of keys", run.key_lookups),
        ("of them: lookups of values", run.value_lookups),
        ("column writes", run.writes),
        ("refreshes", run.refreshes),
        ("bytes over a pseudo-channel's bus", run.moved.total),
        ("of them: queries and new tokens", run.moved.inputs),
        ("of them: scores", run.moved.scores),
        ("of them: weights", run.moved.weights),
        ("of them: results", run.moved.results),
        ("clocks that the bus is busy", run.bus_cycles),
    ] {
        row(what, grouped(value))?;
    }
    writeln!(out, "</table>")
}

const HEAD: &str = "<tr><th>step</th><th class=\"n\">tokens</th><th class=\"n\">clocks, resident</th><th class=\"n\">indirect</th><th class=\"n\">ratio</th>\
    <th class=\"n\">column accesses, resident</th><th class=\"n\">indirect</th><th class=\"n\">bytes on a bus, resident</th><th class=\"n\">indirect</th></tr>";

fn line(what: &str, both: &BothPart, out: &mut String) -> std::fmt::Result {
    let (ours, theirs) = (&both.resident, &both.indirect);
    let about = if ours.estimated { "about " } else { "" };
    let cells = [
        grouped(ours.tokens.into()),
        format!("{about}{}", grouped(ours.cycles)),
        grouped(theirs.cycles),
        format!("{:.2}", both.ratio),
        ours.accesses.map_or(String::new(), grouped),
        grouped(theirs.reads + theirs.writes),
        grouped(ours.moved.total),
        grouped(theirs.moved.total),
    ];
    write!(out, "<tr><td>{what}</td>")?;
    for cell in cells {
        write!(out, "<td class=\"n\">{cell}</td>")?;
    }
    writeln!(out, "</tr>")
}

/// The section of a report of ours.
pub(super) fn section(part: &PaperPart, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>The same step in the paper's form</h2>")?;
    writeln!(
        out,
        "<p class=\"sub\">AQPIM (arXiv 2604.18137): tables in DRAM rows, a column access a lookup, sums of products \
         unreduced to the buffer die. With `attention = \"indirect\"` under [mapping] of the target it is written out, \
         and `pimc cosim` executes it against golden; it ends at the schedule, without hardware. A full cache appends nothing; its clocks in the resident mapping are the \
         cost model's.</p>"
    )?;
    if let Some(why) = &part.refused {
        return writeln!(out, "<p>It cannot be made: {}.</p>", escape(why));
    }
    writeln!(out, "<div class=\"wide\"><table>{HEAD}")?;
    for way in &part.ways {
        let reach = match way.rows_in_reach {
            1 => String::new(),
            rows => format!(" (as if {rows} rows were open)"),
        };
        let what = |step: &str| {
            format!(
                "{step}, a lookup a{}{reach}",
                match way.gather {
                    "element" => "n element",
                    _ => " centroid",
                }
            )
        };
        for (step, both) in [("the step above", &way.step), ("a full cache", &way.full)] {
            if let Some(both) = both {
                line(&what(step), both, out)?;
            }
        }
    }
    writeln!(out, "</table></div>")
}
