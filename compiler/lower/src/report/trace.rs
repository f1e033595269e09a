//! `schedule/trace.json`: the run as a trace in the Chrome trace event format, which Perfetto
//! (ui.perfetto.dev) and chrome://tracing show.
//!
//! One process, the channel, with a thread for each kind of work. Every slice is a complete event
//! (`"ph": "X"`); `ts` and `dur` are microseconds with six decimals, so that every clock of whole
//! picoseconds is exact. A thread's slices are in order of time and nest.
//!
//! | thread | slices |
//! |---|---|
//! | 1 DRAM commands | a row, and in it its activate, its reads as one, its precharge |
//! | 2 refresh | a refresh, `rfc` long |
//! | 3 unit streams | a stream from its first column to its last result, and in it the columns of each row |
//! | 4 buffer unit | an operation |
//!
//! `args` say the op, its line, and the clock at which the slice begins. The whole run is a slice of
//! thread 0.

use super::activity::{Activity, Row};
use crate::assembly::one_line;
use crate::plan::Plan;
use pimc_ir::Model;
use serde_json::{json, Value};
use std::io::{self, Write};

/// Writes events, one a line.
struct Events<'a> {
    to: &'a mut dyn Write,
    tck: u64,
    first: bool,
}

impl Events<'_> {
    fn event(&mut self, event: &str) -> io::Result<()> {
        let before = if std::mem::take(&mut self.first) { "" } else { ",\n" };
        write!(self.to, "{before}{event}")
    }

    /// Picoseconds as microseconds.
    fn time(&self, clocks: u64) -> String {
        let ps = clocks * self.tck;
        format!("{}.{:06}", ps / 1_000_000, ps % 1_000_000)
    }

    /// A slice of `from` up to `to`; `args` are the inside of an object.
    fn slice(
        &mut self,
        thread: u32,
        name: &str,
        (from, to): (u64, u64),
        args: &str,
    ) -> io::Result<()> {
        let (ts, dur) = (self.time(from), self.time(to.saturating_sub(from)));
        let args = if args.is_empty() { String::new() } else { format!(",{args}") };
        self.event(&format!(
            "{{\"ph\":\"X\",\"pid\":1,\"tid\":{thread},\"name\":{},\"ts\":{ts},\"dur\":{dur},\"args\":{{\"clock\":{from}{args}}}}}",
            json!(name),
        ))
    }
}

/// Writes the trace of a plan of that model.
///
/// # Errors
/// Of the writer.
pub fn write_trace(plan: &Plan, model: &Model, to: &mut dyn Write) -> io::Result<()> {
    let run = Activity::of(plan);
    let units = plan.target.units();
    writeln!(
        to,
        "{{\"displayTimeUnit\":\"ns\",\"otherData\":{},\"traceEvents\":[",
        header(plan, model)
    )?;
    let mut events = Events { to, tck: plan.target.timing.tck_ps.into(), first: true };
    let process =
        format!("{} on {}: {units} banks in lock step", model.file_name, plan.target.name);
    let names = ["run", "DRAM commands", "refresh", "unit streams", "buffer unit"];
    events.event(&meta("process_name", 0, &json!({ "name": process })))?;
    for (thread, name) in names.iter().enumerate() {
        events.event(&meta("thread_name", thread, &json!({ "name": name })))?;
        events.event(&meta("thread_sort_index", thread, &json!({ "sort_index": thread })))?;
    }
    let steps = steps(plan, model);
    let args = |step: usize| steps.get(step).map_or("", |s| s.1.as_str());
    let name = |step: usize| steps.get(step).map_or("", |s| s.0.as_str());
    events.slice(0, &format!("{}: {} clocks", model.file_name, run.end), (0, run.end), "")?;
    let (rcd, rp) = (u64::from(plan.target.timing.rcd), u64::from(plan.target.timing.rp));
    for row in &run.rows {
        let closed = row.pre + rp;
        let label = format!("row {}", row.row);
        events.slice(1, &label, (row.act, closed), args(row.step))?;
        let opened = row.reads.map_or(row.act + rcd, |r| r.0).min(row.pre);
        events.slice(1, "ACT", (row.act, opened), "")?;
        if let Some(span) = columns(plan, row) {
            let label = format!("RD x {}", row.columns);
            events.slice(1, &label, (span.0, span.1.min(row.pre)), "")?;
        }
        events.slice(1, "PRE", (row.pre, closed), "")?;
    }
    let rfc = u64::from(plan.target.timing.rfc);
    for &(at, _) in &run.refreshes {
        events.slice(2, "REF", (at, at + rfc), "")?;
    }
    for rows in run.rows.chunk_by(|a, b| a.step == b.step) {
        let spans: Vec<_> = rows.iter().filter_map(|r| Some((r, columns(plan, r)?))).collect();
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { continue };
        let step = first.0.step;
        // Results come behind the last column.
        let result = run.drains.iter().find(|d| d.step == step && d.span.to > last.1 .1);
        let end = result.map_or(last.1 .1, |d| d.span.to);
        events.slice(3, name(step), (first.1 .0, end), args(step))?;
        for (row, span) in &spans {
            events.slice(3, &format!("{} columns", row.columns), *span, "")?;
        }
    }
    for b in &run.buffer {
        events.slice(4, name(b.step), (b.span.from, b.span.to), args(b.step))?;
    }
    writeln!(events.to, "\n]}}")
}

/// From a row's first read to an interval behind its last.
fn columns(plan: &Plan, row: &Row) -> Option<(u64, u64)> {
    let (first, last) = row.reads?;
    Some((first, last + u64::from(plan.target.column_interval())))
}

fn meta(name: &str, thread: usize, args: &Value) -> String {
    json!({ "ph": "M", "pid": 1, "tid": thread, "name": name, "args": args }).to_string()
}

fn header(plan: &Plan, model: &Model) -> Value {
    json!({
        "tool": format!("pimc {}", env!("CARGO_PKG_VERSION")),
        "model": model.file_name,
        "target": plan.target.name,
        "clocks": plan.cycles,
        "picoseconds_per_clock": plan.target.timing.tck_ps,
        "lock_step": format!(
            "{} banks of {} pseudo-channels take every command at the same clock",
            plan.target.units(), plan.target.channels
        ),
    })
}

/// What each step does, and the arguments of its slices.
fn steps(plan: &Plan, model: &Model) -> Vec<(String, String)> {
    let step = |step: &crate::plan::Step| {
        let args = step.op.and_then(|op| {
            let span = &model.module.func.ops.get(op)?.span;
            let (text, line) = (one_line(model.op_text(op)), model.line_col(span).0);
            Some(format!("\"op\":{},\"line\":{line}", json!(text)))
        });
        (step.what.clone(), args.unwrap_or_default())
    };
    plan.steps.iter().map(step).collect()
}
