//! The report as one HTML file without any outside resource.

use super::Report;
use std::fmt::Write;

const STYLE: &str = "
:root{--ink:#1c2430;--soft:#5b6675;--line:#d9dee5;--card:#f6f8fa}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p.sub{color:var(--soft);margin:.2rem 0 1rem}
.cards{display:flex;flex-wrap:wrap;gap:.7rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem .9rem;min-width:8rem}
.card b{display:block;font-size:1.2rem}.card span{color:var(--soft);font-size:.85rem}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
code{font:.85rem ui-monospace,monospace}
.bar{height:.8rem;border-radius:2px;min-width:1px}.track{background:var(--card);width:220px}
svg{width:100%;height:auto}.lane{font-size:13px;text-anchor:end;fill:#5b6675}
.tick{font-size:11px;text-anchor:middle;fill:#5b6675}.refresh{fill:#8a93a0}
";

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}

/// A colour per op, neighbours far apart on the wheel.
fn colour(op: usize) -> String {
    format!("hsl({} 55% 48%)", (op * 137 + 205) % 360)
}

/// A number with thin groups of three digits.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push('\u{2009}');
        }
        out.push(c);
    }
    out
}

/// The page.
pub fn html(r: &Report) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = page(r, &mut out);
    out
}

fn page(r: &Report, out: &mut String) -> std::fmt::Result {
    let title = escape(&r.model);
    writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width\">")?;
    writeln!(out, "<title>pimc: {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>")?;
    writeln!(out, "<h1>{title}</h1>")?;
    writeln!(
        out,
        "<p class=\"sub\">target {}, {} banks, clock {} ps; pimc {}</p>",
        escape(&r.target.name),
        r.target.banks,
        r.target.tck_ps,
        env!("CARGO_PKG_VERSION")
    )?;
    cards(r, out)?;
    writeln!(out, "<h2>Timeline of one run</h2>")?;
    out.push_str(&r.timeline.svg(&colour, &escape));
    ops(r, out)?;
    weights(r, out)?;
    widths(r, out)?;
    memories(r, out)?;
    writeln!(out, "</body>\n</html>")
}

fn cards(r: &Report, out: &mut String) -> std::fmt::Result {
    let run = &r.run;
    writeln!(out, "<div class=\"cards\">")?;
    let cards = [
        (grouped(run.cycles), "clocks a run".to_string()),
        (format!("{:.2} \u{b5}s", run.microseconds), "a run".into()),
        (grouped(run.reads), "column reads of every bank".into()),
        (format!("{} / {}", run.activates, run.refreshes), "activates / refreshes".into()),
        (
            format!("{:.2} GB/s", run.bank_gb_s),
            format!(
                "of a bank; limit {:.2} peak, {:.2} after rows, {:.2} after refresh",
                r.target.peak_gb_s, r.target.after_rows_gb_s, r.target.after_refresh_gb_s
            ),
        ),
        (format!("{:.1} %", 100.0 * run.share_of_limit), "of the limit after refresh".into()),
        (grouped(run.buffer_cycles), "clocks of the buffer unit".into()),
        (grouped(run.instructions as u64), "instructions".into()),
    ];
    for (value, what) in cards {
        writeln!(out, "<div class=\"card\"><b>{value}</b><span>{what}</span></div>")?;
    }
    writeln!(out, "</div>")
}

fn ops(r: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>Ops</h2>\n<table>\n<tr><th>line</th><th>op</th><th class=\"n\">clocks</th><th></th><th class=\"n\">reads</th><th class=\"n\">column use</th><th>value</th></tr>")?;
    let most = r.ops.iter().map(|o| o.cycles).max().unwrap_or(1).max(1);
    for (i, op) in r.ops.iter().enumerate() {
        let width = 100.0 * op.cycles as f64 / most as f64;
        let value = op.value.as_ref().map_or(String::new(), |(lo, hi)| format!("{lo} .. {hi}"));
        writeln!(
            out,
            "<tr><td>{}</td><td><code>{}</code></td><td class=\"n\">{}</td>\
             <td><div class=\"track\"><div class=\"bar\" style=\"width:{width:.1}%;background:{}\"></div></div></td>\
             <td class=\"n\">{}</td><td class=\"n\">{:.0} %</td><td>{value}</td></tr>",
            op.line,
            escape(&op.text),
            grouped(op.cycles),
            colour(i),
            grouped(op.reads),
            100.0 * op.column_share,
        )?;
    }
    writeln!(out, "</table>")
}

fn weights(r: &Report, out: &mut String) -> std::fmt::Result {
    if r.weights.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Weights</h2>\n<table>\n<tr><th>weight</th><th>type</th><th class=\"n\">elements</th><th class=\"n\">tensor bytes</th><th class=\"n\">bits a weight</th><th class=\"n\">bytes in the banks</th><th class=\"n\">of them codebooks</th></tr>")?;
    for w in &r.weights {
        writeln!(
            out,
            "<tr><td><code>@{}</code></td><td><code>{}</code></td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{:.3}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(&w.name),
            escape(&w.ty),
            grouped(w.elements),
            grouped(w.tensor_bytes),
            w.bits_per_weight,
            grouped(w.bank_bytes),
            grouped(w.codebook_bytes),
        )?;
    }
    writeln!(out, "</table>")
}

fn widths(r: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>Widths, proven from the weights</h2>\n<table>\n<tr><th>what</th><th class=\"n\">bits</th><th class=\"n\">smallest</th><th class=\"n\">largest</th><th class=\"n\">furthest at line</th></tr>")?;
    for w in &r.widths {
        writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(&w.what), w.bits, w.lo, w.hi, w.line
        )?;
    }
    writeln!(out, "</table>")
}

fn memories(r: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>Memories</h2>\n<table>\n<tr><th>memory</th><th class=\"n\">bytes used</th><th class=\"n\">bytes there</th><th></th></tr>")?;
    for m in &r.memories {
        let share = 100.0 * m.used as f64 / m.there.max(1) as f64;
        writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td><div class=\"track\"><div class=\"bar\" style=\"width:{share:.1}%;background:{}\"></div></div></td></tr>",
            escape(&m.what),
            grouped(m.used),
            grouped(m.there),
            colour(0),
        )?;
    }
    writeln!(out, "</table>")
}
