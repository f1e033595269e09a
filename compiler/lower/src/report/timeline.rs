//! The timeline of a run: DRAM rows, columns, the buffer unit and refresh, as an inline SVG that a
//! script makes zoomable. Without the script it is a picture of the whole run.
//!
//! Rows that follow one another alike are kept as one run of them, so that every row of a long
//! program can be looked at and the page stays small.

use super::activity::{Activity, Busy, Row};
use super::html::{colour, escape};
use crate::plan::Plan;
use serde_json::{json, Value};
use std::fmt::Write;

/// The script that zooms.
const SCRIPT: &str = include_str!("timeline.js");
/// Runs of rows, operations or refreshes that a lane keeps; more are joined.
const MAX_RUNS: usize = 4000;
/// Where the lanes begin and how wide they are, in units of the drawing.
const LEFT: f64 = 130.0;
const WIDTH: f64 = 840.0;
/// Names of the lanes from above.
const LANES: [&str; 4] = ["DRAM rows", "columns, units", "buffer unit", "refresh"];

/// Rows of one step, each `pitch` clocks after the one before; all clocks but the first activate
/// are from a row's activate.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rows {
    step: usize,
    first_row: u32,
    act: u64,
    count: u64,
    pitch: u64,
    read: u64,
    /// When the last column is through.
    through: u64,
    closed: u64,
    columns: u64,
    /// Several unlike rows joined, drawn as one.
    joined: bool,
}

impl Rows {
    fn end(&self) -> u64 {
        self.act + (self.count - 1) * self.pitch + self.closed
    }
}

/// A stretch of a lane as it is drawn.
struct Bar {
    from: u64,
    to: u64,
    op: Option<usize>,
    what: String,
}

/// The timeline of a run.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    cycles: u64,
    channels: u32,
    banks: u32,
    rfc: u64,
    rows: Vec<Rows>,
    buffer: Vec<Busy>,
    /// Refreshes: the first, how many, and the clocks between them.
    refreshes: Vec<(u64, u64, u64)>,
    /// Per step: its op and what it does.
    steps: Vec<(Option<usize>, String)>,
}

impl Timeline {
    pub(super) fn new(plan: &Plan, run: &Activity) -> Timeline {
        let interval = u64::from(plan.target.column_interval());
        let rp = u64::from(plan.target.timing.rp);
        let mut rows: Vec<Rows> = Vec::new();
        for row in &run.rows {
            append(&mut rows, alone(row, interval, rp));
        }
        let mut refreshes: Vec<(u64, u64, u64)> = Vec::new();
        for &(at, _) in &run.refreshes {
            match refreshes.last_mut() {
                Some((first, count @ 1, pitch)) => (*count, *pitch) = (2, at - *first),
                Some((first, count, pitch)) if at == *first + *count * *pitch => *count += 1,
                _ => refreshes.push((at, 1, 0)),
            }
        }
        Timeline {
            cycles: plan.cycles.max(1),
            channels: plan.target.channels,
            banks: plan.target.units(),
            rfc: plan.target.timing.rfc.into(),
            rows: joined(rows, |a, b| {
                let closed = b.end() - a.act;
                let columns = a.count * a.columns + b.count * b.columns;
                let (count, pitch, joined) = (1, 0, true);
                let through = closed;
                (a.step == b.step).then(|| Rows {
                    count,
                    pitch,
                    through,
                    closed,
                    columns,
                    joined,
                    ..a.clone()
                })
            }),
            buffer: joined(run.buffer.clone(), |a, b| {
                let mut both = *a;
                both.span.to = b.span.to;
                (plan.steps[a.step].op == plan.steps[b.step].op).then_some(both)
            }),
            refreshes,
            steps: plan.steps.iter().map(|s| (s.op, s.what.clone())).collect(),
        }
    }

    /// The drawing and its script. `ops`: the text and line of each op.
    pub(super) fn draw(&self, ops: &[(String, usize)], out: &mut String) -> std::fmt::Result {
        let lock = match self.channels {
            1 => format!("All {} banks work in lock step, so one lane shows them all.", self.banks),
            n => format!(
                "All {} banks of {n} pseudo-channels work in lock step, so one lane shows them all.",
                self.banks
            ),
        };
        writeln!(
            out,
            "<p class=\"sub\">{lock} Colours are ops. <span class=\"js\">Turn the wheel to zoom, drag to \
             move, double-click for the whole run.</span></p>"
        )?;
        writeln!(
            out,
            "<svg id=\"timeline\" viewBox=\"0 0 1000 176\" role=\"img\" aria-label=\"timeline of one run\">"
        )?;
        for (i, name) in LANES.iter().enumerate() {
            let y = lane_y(i) + 17;
            writeln!(out, "<text x=\"{}\" y=\"{y}\" class=\"lane\">{name}</text>", LEFT - 8.0)?;
        }
        out.push_str("<g id=\"bars\">\n");
        for (lane, bars) in self.lanes().into_iter().enumerate() {
            self.bars(lane, bars, out)?;
        }
        out.push_str("</g>\n<g id=\"ticks\">\n");
        for i in 0..=4u64 {
            let cycle = self.cycles * i / 4;
            let x = self.x(cycle);
            writeln!(out, "<text x=\"{x:.1}\" y=\"170\" class=\"tick\">{cycle}</text>")?;
        }
        out.push_str("</g>\n</svg>\n<p id=\"told\" class=\"sub\">&nbsp;</p>\n");
        // A closing tag in a text would end the script.
        let data = self.data(ops).to_string().replace('<', "\\u003c");
        writeln!(out, "<script type=\"application/json\" id=\"run\">{data}</script>")?;
        writeln!(out, "<script>\n{SCRIPT}</script>")
    }

    fn x(&self, cycle: u64) -> f64 {
        LEFT + WIDTH * cycle as f64 / self.cycles as f64
    }

    fn lanes(&self) -> [Vec<Bar>; 4] {
        let step = |step: usize| self.steps.get(step).cloned().unwrap_or((None, String::new()));
        let rows = |columns: bool| {
            let each = self.rows.iter().flat_map(move |r| {
                let (op, what) = step(r.step);
                (0..r.count).map(move |i| {
                    let act = r.act + i * r.pitch;
                    let (from, to) = if columns { (r.read, r.through) } else { (0, r.closed) };
                    Bar { from: act + from, to: act + to, op, what: what.clone() }
                })
            });
            self.merged(each)
        };
        let buffer = self.buffer.iter().map(|b| {
            let (op, what) = step(b.step);
            Bar { from: b.span.from, to: b.span.to, op, what }
        });
        let refreshes = self.refreshes.iter().flat_map(|&(first, count, pitch)| {
            (0..count).map(move |i| {
                let from = first + i * pitch;
                Bar { from, to: from + self.rfc, op: None, what: "refresh".into() }
            })
        });
        [rows(false), rows(true), self.merged(buffer), self.merged(refreshes)]
    }

    /// Bars of the same thing with less than a unit of the drawing between them are one, and so are
    /// bars that begin where a narrow one did.
    fn merged(&self, bars: impl Iterator<Item = Bar>) -> Vec<Bar> {
        let unit = (self.cycles as f64 / WIDTH).ceil() as u64;
        let mut out: Vec<Bar> = Vec::new();
        for bar in bars {
            match out.last_mut() {
                Some(last)
                    if last.op == bar.op && last.what == bar.what && bar.from < last.to + unit =>
                {
                    last.to = last.to.max(bar.to);
                }
                Some(last) if bar.from < last.from + unit => {
                    last.to = last.to.max(bar.to);
                    "several steps".clone_into(&mut last.what);
                }
                _ => out.push(bar),
            }
        }
        out
    }

    fn bars(&self, lane: usize, bars: Vec<Bar>, out: &mut String) -> std::fmt::Result {
        for b in bars {
            let (from, to) = (self.x(b.from), self.x(b.to.min(self.cycles)));
            let fill = b.op.map_or("var(--soft)".to_string(), colour);
            writeln!(
                out,
                "<rect x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" height=\"26\" fill=\"{fill}\"><title>{}: \
                 clocks {} to {}</title></rect>",
                lane_y(lane),
                (to - from).max(0.5),
                escape(&b.what),
                b.from,
                b.to.min(self.cycles),
            )?;
        }
        Ok(())
    }

    /// What the script draws from.
    fn data(&self, ops: &[(String, usize)]) -> Value {
        let ops = ops.iter().enumerate().map(|(i, (text, line))| json!([text, line, colour(i)]));
        let rows = self.rows.iter().map(|r| {
            let joined = u8::from(r.joined);
            json!([
                r.step,
                r.act,
                r.count,
                r.pitch,
                r.read,
                r.through,
                r.closed,
                r.columns,
                r.first_row,
                joined
            ])
        });
        let buffer = self.buffer.iter().map(|b| json!([b.step, b.span.from, b.span.to]));
        json!({
            "cycles": self.cycles,
            "rfc": self.rfc,
            "left": LEFT,
            "width": WIDTH,
            "ops": ops.collect::<Vec<_>>(),
            "steps": self.used_steps(),
            "rows": rows.collect::<Vec<_>>(),
            "buffer": buffer.collect::<Vec<_>>(),
            "refreshes": self.refreshes,
        })
    }

    /// Op and text of the steps that something drawn belongs to.
    fn used_steps(&self) -> Value {
        let of = self.rows.iter().map(|r| r.step).chain(self.buffer.iter().map(|b| b.step));
        let mut steps: Vec<usize> = of.collect();
        steps.sort_unstable();
        steps.dedup();
        let used = steps.into_iter().filter_map(|s| self.steps.get(s).map(|step| (s, step)));
        used.map(|(s, (op, what))| (s.to_string(), json!([op, what]))).collect()
    }
}

fn lane_y(lane: usize) -> usize {
    4 + 38 * lane
}

/// One row.
fn alone(row: &Row, interval: u64, rp: u64) -> Rows {
    let closed = row.pre - row.act + rp;
    let (read, through) = match row.reads {
        Some((first, last)) => (first - row.act, last + interval - row.act),
        None => (0, 0),
    };
    let (step, first_row, act, columns) = (row.step, row.row, row.act, row.columns);
    let (count, pitch, joined) = (1, 0, false);
    Rows { step, first_row, act, count, pitch, read, through, closed, columns, joined }
}

/// Adds a row to the run of rows before it, if it is another one of them.
fn append(rows: &mut Vec<Rows>, row: Rows) {
    if let Some(last) = rows.last_mut() {
        let like = Rows {
            act: last.act,
            count: last.count,
            pitch: last.pitch,
            first_row: last.first_row,
            ..row.clone()
        };
        let next_row = u64::from(last.first_row) + last.count == u64::from(row.first_row);
        let pitch = if last.count == 1 { row.act - last.act } else { last.pitch };
        if like == *last && next_row && row.act == last.act + last.count * pitch {
            (last.count, last.pitch) = (last.count + 1, pitch);
            return;
        }
    }
    rows.push(row);
}

/// Joins neighbours that `join` can join until few enough are left, or none can be.
fn joined<T: Clone>(mut all: Vec<T>, join: impl Fn(&T, &T) -> Option<T>) -> Vec<T> {
    while all.len() > MAX_RUNS {
        let mut fewer: Vec<T> = Vec::with_capacity(all.len() / 2 + 1);
        for pair in all.chunks(2) {
            match pair {
                [a, b] => match join(a, b) {
                    Some(both) => fewer.push(both),
                    None => fewer.extend([a.clone(), b.clone()]),
                },
                rest => fewer.extend_from_slice(rest),
            }
        }
        if fewer.len() == all.len() {
            break;
        }
        all = fewer;
    }
    all
}
