//! The tables of the report's page.

use super::cycles::Parts;
use super::html::{colour, escape, grouped};
use super::Report;
use crate::area::ATTACC_UNITS_BORNE;
use std::fmt::Write;

/// A bar of the parts, as wide as `share` of its place.
fn stack(parts: &Parts, share: f64) -> String {
    let total = parts.total().max(1) as f64;
    let mut out = format!("<div class=\"stack\" style=\"width:{:.1}%\">", 100.0 * share);
    for (i, (name, clocks)) in parts.list().into_iter().enumerate().filter(|p| p.1 .1 > 0) {
        let width = 100.0 * clocks as f64 / total;
        let clocks = grouped(clocks);
        out += &format!(
            "<i class=\"c{i}\" style=\"width:{width:.2}%\" title=\"{name}: {clocks} clocks\"></i>"
        );
    }
    out + "</div>"
}

fn ratio(of_limit: Option<f64>) -> String {
    of_limit.map_or(String::new(), |ratio| format!("{ratio:.3}"))
}

/// Where every clock went.
pub(super) fn cycles(r: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>Where every clock went</h2>")?;
    writeln!(
        out,
        "<p class=\"sub\">Each clock has one cause, the first that holds: a column moves; the buffer unit \
         works and the banks wait; results drain behind a stream's last column; a refresh, or what it \
         delays; a row is opened or closed; other. What something else hides costs nothing. The limit is \
         what the DRAM alone needs for the columns that are read, one row open at a time, and the share of \
         that time that refresh takes; an op in whose time no refresh falls can be below it.</p>"
    )?;
    out.push_str(&stack(&r.run.parts, 1.0));
    out.push_str("<div class=\"key\">");
    for (i, (name, clocks)) in r.run.parts.list().into_iter().enumerate() {
        let share = 100.0 * clocks as f64 / r.run.cycles.max(1) as f64;
        write!(
            out,
            "<span><i class=\"c{i}\"></i>{name} {} ({share:.1} %)</span>",
            grouped(clocks)
        )?;
    }
    writeln!(out, "</div>\n<div class=\"wide\"><table>\n<tr><th>line</th><th>op</th><th class=\"n\">clocks</th>")?;
    for (name, _) in r.run.parts.list() {
        write!(out, "<th class=\"n\">{name}</th>")?;
    }
    writeln!(out, "<th class=\"n\">of limit</th></tr>")?;
    let most = r.ops.iter().map(|o| o.cycles).max().unwrap_or(1).max(1);
    let mut row = |line: &str, text: &str, mark: &str, parts: &Parts, of_limit| {
        let share = (parts.total() as f64 / most as f64).min(1.0);
        write!(
            out,
            "<tr{mark}><td>{line}</td><td class=\"op\">{text}{}</td><td class=\"n\">{}</td>",
            stack(parts, share),
            grouped(parts.total())
        )?;
        for (_, clocks) in parts.list() {
            let shown = if clocks == 0 { String::new() } else { grouped(clocks) };
            write!(out, "<td class=\"n\">{shown}</td>")?;
        }
        writeln!(out, "<td class=\"n\">{}</td></tr>", ratio(of_limit))
    };
    for (i, op) in r.ops.iter().enumerate().filter(|(_, op)| op.cycles > 0) {
        let text = format!(
            "<i style=\"color:{0}\">\u{25a0}</i> <code title=\"{1}\">{1}</code>",
            colour(i),
            escape(&op.text)
        );
        row(&op.line.to_string(), &text, "", &op.parts, op.of_limit)?;
    }
    if r.run.end.total() > 0 {
        row("", "end of the program", "", &r.run.end, None)?;
    }
    row("", "all", " class=\"sum\"", &r.run.parts, r.run.of_limit)?;
    writeln!(out, "</table></div>")
}

/// The cost model beside the schedule.
pub(super) fn estimate(r: &Report, out: &mut String) -> std::fmt::Result {
    let (e, run) = (&r.run.estimate, &r.run);
    writeln!(
        out,
        "<h2>Estimate and schedule</h2>\n<p class=\"sub\">The cost model knows the tasks and the timing, \
         and no instruction; <code>pimc cosim</code> sets the clocks of the generated Verilog beside both.</p>"
    )?;
    writeln!(
        out,
        "<table>\n<tr><th></th><th class=\"n\">clocks</th><th class=\"n\">streams, rows</th>\
         <th class=\"n\">refresh</th><th class=\"n\">loads</th><th class=\"n\">buffer unit</th>\
         <th class=\"n\">drains</th><th class=\"n\">other</th><th class=\"n\">error</th></tr>"
    )?;
    let p = &run.parts;
    let streams = p.stream + p.table_build + p.rows;
    for (name, clocks, error) in [
        (
            "estimate",
            [e.cycles, e.streams, e.refresh, e.loads, e.buffer, e.drains, 0],
            format!("{:+.2} %", 100.0 * run.estimate_error),
        ),
        (
            "schedule",
            [run.cycles, streams, p.refresh, p.load, p.buffer, p.drain, p.other],
            String::new(),
        ),
    ] {
        write!(out, "<tr><td>{name}</td>")?;
        for clocks in clocks {
            write!(out, "<td class=\"n\">{}</td>", grouped(clocks))?;
        }
        writeln!(out, "<td class=\"n\">{error}</td></tr>")?;
    }
    writeln!(out, "</table>")
}

/// What matvecs move, and why not less.
pub(super) fn matvecs(r: &Report, out: &mut String) -> std::fmt::Result {
    if r.ops.iter().all(|o| o.matvec.is_none()) {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>Matvecs on the banks</h2>\n<table>\n<tr><th>line</th><th>weight</th><th class=\"n\">MACs</th>\
         <th class=\"n\">bytes moved</th><th class=\"n\">bits used</th><th class=\"n\">limit</th>\
         <th class=\"n\">clocks</th><th>why</th></tr>"
    )?;
    for op in &r.ops {
        let Some(m) = &op.matvec else { continue };
        let used = 100.0 * m.bits_used as f64 / (8.0 * m.bytes as f64).max(1.0);
        let words: String = m.words.iter().map(|w| format!("<li>{}</li>", escape(w))).collect();
        writeln!(
            out,
            "<tr><td>{}</td><td><code>@{}</code></td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{used:.1} %</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td><ul>{words}</ul></td></tr>",
            op.line,
            escape(&m.weight),
            grouped(m.macs),
            grouped(m.bytes),
            grouped(op.limit_cycles.round() as u64),
            grouped(op.cycles),
        )?;
    }
    writeln!(out, "</table>")
}

/// The ranges of the ops' values.
pub(super) fn values(r: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>Values</h2>\n<table>\n<tr><th>line</th><th>op</th><th class=\"n\">reads</th><th class=\"n\">column use</th><th class=\"n\">value</th></tr>")?;
    for op in &r.ops {
        let value = op.value.as_ref().map_or(String::new(), |(lo, hi)| format!("{lo} .. {hi}"));
        writeln!(
            out,
            "<tr><td>{}</td><td><code>{}</code></td><td class=\"n\">{}</td><td class=\"n\">{:.0} %</td>\
             <td class=\"n\">{value}</td></tr>",
            op.line,
            escape(&op.text),
            grouped(op.reads),
            100.0 * op.column_share,
        )?;
    }
    writeln!(out, "</table>")
}

pub(super) fn weights(r: &Report, out: &mut String) -> std::fmt::Result {
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

pub(super) fn widths(r: &Report, out: &mut String) -> std::fmt::Result {
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

pub(super) fn memories(r: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "<h2>Memories</h2>\n<table>\n<tr><th>memory</th><th class=\"n\">bytes used</th><th class=\"n\">bytes there</th><th></th></tr>")?;
    for m in &r.memories {
        let share = 100.0 * m.used as f64 / m.there.max(1) as f64;
        writeln!(
            out,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td><div class=\"track\"><div class=\"bar\" style=\"width:{share:.1}%\"></div></div></td></tr>",
            escape(&m.what),
            grouped(m.used),
            grouped(m.there),
        )?;
    }
    writeln!(out, "</table>")
}

pub(super) fn area(r: &Report, out: &mut String) -> std::fmt::Result {
    let (a, gates) = (&r.area, &r.area.gates);
    writeln!(out, "<h2>Area, by the proxy</h2>\n<table>\n<tr><th>unit</th><th class=\"n\">gate equivalents</th><th class=\"n\">of those, memories</th></tr>")?;
    let rows = [
        ("bank unit", gates.bank, Some(gates.bank_memory)),
        ("buffer unit", gates.buffer, Some(gates.buffer_memory)),
        ("sequencer with its program", gates.sequencer, None),
        ("all of them", gates.total, None),
    ];
    for (what, all, memory) in rows {
        let memory = memory.map_or(String::new(), grouped);
        writeln!(
            out,
            "<tr><td>{what}</td><td class=\"n\">{}</td><td class=\"n\">{memory}</td></tr>",
            grouped(all)
        )?;
    }
    writeln!(out, "</table>")?;
    writeln!(
        out,
        "<p class=\"sub\">A bank unit is about {:.3} mm2 in a DRAM process, {:.2} times AttAcc's; {} times are a quarter of a die.</p>",
        a.bank_mm2, a.of_attacc, ATTACC_UNITS_BORNE
    )
}
