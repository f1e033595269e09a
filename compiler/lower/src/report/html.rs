//! The report as one HTML file without any outside resource, for light and dark screens.

use super::{form_page, roofline, tables, Report};
use std::fmt::Write;

pub(super) const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d9dee5;--card:#f6f8fa;--back:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e3e8ee;--soft:#98a3b1;--line:#333c47;--card:#1b222b;--back:#12171d}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p.sub{color:var(--soft);margin:.2rem 0 1rem;font-size:.9rem}
.cards{display:flex;flex-wrap:wrap;gap:.7rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.6rem .9rem;min-width:8rem}
.card b{display:block;font-size:1.2rem}.card span{color:var(--soft);font-size:.85rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.3rem .5rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
tr.sum td{font-weight:600}td ul{margin:0;padding-left:1.1rem}
code{font:.85rem ui-monospace,monospace}
.bar{height:.8rem;border-radius:2px;min-width:1px;background:hsl(205 55% 48%)}.track{background:var(--card);width:220px}
.stack{display:flex;height:1.1rem;border-radius:3px;overflow:hidden;background:var(--card)}td .stack{height:.5rem;margin-top:.15rem}td.op{min-width:15rem;white-space:nowrap}td.op code{overflow:hidden;text-overflow:ellipsis;display:inline-block;max-width:16.5rem;line-height:1.5;vertical-align:bottom}
.key{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;font-size:.85rem;color:var(--soft);margin:.4rem 0 1rem}
.key i{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin-right:.35rem;vertical-align:-1px}
.c0{background:#3d7fc4}.c1{background:#7fb3e6}.c2{background:#c9762f}.c3{background:#9a5fb5}
.c4{background:#3f9a6b}.c5{background:#86c19f}.c6{background:#c8a530}.c7{background:#98a3b1}
svg{width:100%;height:auto;display:block}svg text{font-family:system-ui,sans-serif}
.lane{font-size:13px;text-anchor:end;fill:var(--soft)}.tick{font-size:11px;text-anchor:middle;fill:var(--soft)}
.note{font-size:12px;fill:var(--ink)}.end{text-anchor:end}
.grid{stroke:var(--line)}.roof{stroke-width:1.8;stroke:var(--ink)}.r1{stroke:#c9762f}.r2{stroke:#9a5fb5}
.unit{stroke:#3f9a6b;stroke-dasharray:5 4}.ring{fill:none;stroke:var(--ink);stroke-width:2}
#timeline{touch-action:none;cursor:grab;user-select:none}
.js{display:none}.has-script .js{display:inline}
";

pub(super) fn escape(text: &str) -> String {
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
pub(super) fn colour(op: usize) -> String {
    format!("hsl({} 55% 48%)", (op * 137 + 205) % 360)
}

/// A number with thin spaces between groups of three digits.
pub(super) fn grouped(n: u64) -> String {
    super::fit::grouped(n).replace(',', "\u{2009}")
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
    let channels = match r.target.channels {
        1 => String::new(),
        n => format!(" of {n} pseudo-channels in lock step"),
    };
    writeln!(
        out,
        "<p class=\"sub\">target {}, {} banks{channels}, clock {} ps; pimc {}</p>",
        escape(&r.target.name),
        r.target.banks,
        r.target.tck_ps,
        env!("CARGO_PKG_VERSION")
    )?;
    cards(r, out)?;
    writeln!(out, "<h2>Timeline of one run</h2>")?;
    let ops: Vec<_> = r.ops.iter().map(|o| (o.text.clone(), o.line)).collect();
    r.timeline.draw(&ops, out)?;
    tables::cycles(r, out)?;
    tables::estimate(r, out)?;
    tables::matvecs(r, out)?;
    roofline::draw(r, out)?;
    tables::values(r, out)?;
    tables::weights(r, out)?;
    tables::widths(r, out)?;
    tables::memories(r, out)?;
    tables::area(r, out)?;
    if let Some(part) = &r.paper_form {
        form_page::section(part, out)?;
    }
    writeln!(out, "</body>\n</html>")
}

fn cards(r: &Report, out: &mut String) -> std::fmt::Result {
    let run = &r.run;
    writeln!(out, "<div class=\"cards\">")?;
    let limit = match run.of_limit {
        Some(ratio) => (
            format!("{ratio:.3}"),
            format!(
                "times the physical limit of {} clocks",
                grouped(run.limit_cycles.round() as u64)
            ),
        ),
        None => ("none".into(), "physical limit: no column is read".into()),
    };
    let cards = [
        (grouped(run.cycles), "clocks a run".to_string()),
        (format!("{:.2} \u{b5}s", run.microseconds), "a run".into()),
        limit,
        (
            format!("{:+.2} %", 100.0 * run.estimate_error),
            format!("error of the cost model: {} clocks", grouped(run.estimate.cycles)),
        ),
        (grouped(run.reads), "column reads of every bank".into()),
        (
            format!("{} / {}", grouped(run.activates), grouped(run.refreshes)),
            "activates / refreshes".into(),
        ),
        (
            format!("{:.2} GB/s", run.bank_gb_s),
            format!(
                "of a bank; limit {:.2} peak, {:.2} after rows, {:.2} after refresh",
                r.target.peak_gb_s, r.target.after_rows_gb_s, r.target.after_refresh_gb_s
            ),
        ),
        (grouped(run.buffer_cycles), "clocks of the buffer unit".into()),
        (grouped(run.instructions as u64), "instructions".into()),
    ];
    for (value, what) in cards {
        writeln!(out, "<div class=\"card\"><b>{value}</b><span>{what}</span></div>")?;
    }
    writeln!(out, "</div>")
}
