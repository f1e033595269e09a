//! Where every clock of a run went. Each clock has one cause, the first of these that holds:
//!
//! | cause | the clock is one of |
//! |---|---|
//! | stream, table build | the interval of a column that is read, of weights or of a codebook |
//! | load, buffer | an operation of the buffer unit: a load of inputs, or another one |
//! | drain | those from a stream's last column to its results: read latency, unit, collection |
//! | refresh | `rfc` clocks behind a refresh; and between the rows of a stream that it comes between, what is no row's |
//! | rows | from an activate to `rp` behind its precharge; and from there to the stream's next row |
//! | other | what is left: instructions that issue, with nothing under way |
//!
//! So the banks' work hides the buffer unit's, that hides refreshes and the opening of rows, and what
//! hides costs nothing. The parts of all ops and of the program's end add up to its clocks.

use super::activity::{Activity, Span};
use crate::mapping::Content;
use crate::plan::Plan;
use serde::Serialize;
use std::ops::AddAssign;

/// Why a clock passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Stream,
    Build,
    Load,
    Buffer,
    Drain,
    Refresh,
    Rows,
    Other,
}

/// Clocks by what they went into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Parts {
    /// Columns of weights move.
    pub stream: u64,
    /// Columns of codebooks move, from which the tables are built.
    pub table_build: u64,
    /// Rows are opened and closed, and no column moves.
    pub rows: u64,
    /// A refresh, or what it delays.
    pub refresh: u64,
    /// Inputs are loaded, and the banks wait.
    pub load: u64,
    /// The buffer unit does something else, and the banks wait.
    pub buffer: u64,
    /// Results of a stream's last column are on their way.
    pub drain: u64,
    /// Nothing of these.
    pub other: u64,
}

impl Parts {
    /// Names and clocks, in the order in which they are shown.
    pub fn list(&self) -> [(&'static str, u64); 8] {
        [
            ("stream", self.stream),
            ("table build", self.table_build),
            ("rows", self.rows),
            ("refresh", self.refresh),
            ("load", self.load),
            ("buffer", self.buffer),
            ("drain", self.drain),
            ("other", self.other),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.list().iter().map(|part| part.1).sum()
    }

    fn of(&mut self, cause: Cause) -> &mut u64 {
        match cause {
            Cause::Stream => &mut self.stream,
            Cause::Build => &mut self.table_build,
            Cause::Load => &mut self.load,
            Cause::Buffer => &mut self.buffer,
            Cause::Drain => &mut self.drain,
            Cause::Refresh => &mut self.refresh,
            Cause::Rows => &mut self.rows,
            Cause::Other => &mut self.other,
        }
    }
}

impl AddAssign for Parts {
    fn add_assign(&mut self, more: Parts) {
        self.stream += more.stream;
        self.table_build += more.table_build;
        self.rows += more.rows;
        self.refresh += more.refresh;
        self.load += more.load;
        self.buffer += more.buffer;
        self.drain += more.drain;
        self.other += more.other;
    }
}

/// Where the clocks of a program went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cycles {
    /// Of the whole program.
    pub total: Parts,
    /// Of each op of the function.
    pub ops: Vec<Parts>,
    /// Of no op: what comes behind the last one.
    pub end: Parts,
}

/// A stretch of clocks with their cause, and the step that it belongs to.
struct Piece {
    span: Span,
    cause: Cause,
    step: usize,
}

/// The clocks that have no cause yet, in order.
struct Free(Vec<Span>);

impl Free {
    /// Takes what is free of each piece; pieces are in order of their beginning, and a later one has
    /// what an earlier one leaves.
    fn take(&mut self, pieces: &[Piece], mut taken: impl FnMut(usize, Cause, u64)) {
        let mut left = Vec::with_capacity(self.0.len());
        let mut next = 0;
        for &free in &self.0 {
            let mut at = free.from;
            // What ends before this gap is done with.
            while pieces.get(next).is_some_and(|p| p.span.to <= at) {
                next += 1;
            }
            for piece in &pieces[next..] {
                if piece.span.from >= free.to {
                    break;
                }
                let (from, to) = (piece.span.from.max(at), piece.span.to.min(free.to));
                if from >= to {
                    continue;
                }
                if at < from {
                    left.push(Span { from: at, to: from });
                }
                taken(piece.step, piece.cause, to - from);
                at = to;
            }
            if at < free.to {
                left.push(Span { from: at, to: free.to });
            }
        }
        self.0 = left;
    }
}

impl Cycles {
    /// Where the clocks of a plan's program went.
    pub fn new(plan: &Plan) -> Cycles {
        Cycles::of(plan, &Activity::of(plan))
    }

    pub(super) fn of(plan: &Plan, run: &Activity) -> Cycles {
        let count = plan.steps.iter().filter_map(|s| s.op).max().map_or(0, |op| op + 1);
        let mut cycles = Cycles {
            total: Parts::default(),
            ops: vec![Parts::default(); count],
            end: Parts::default(),
        };
        let mut free = Free(vec![Span { from: 0, to: run.end }]);
        for layer in [
            columns(plan, run),
            buffer(run),
            drains(run),
            refreshes(plan, run),
            rows(plan, run),
            rest(run),
        ] {
            free.take(&layer, |step, cause, clocks| {
                *cycles.total.of(cause) += clocks;
                let op = plan.steps.get(step).and_then(|s| s.op);
                let parts = op.and_then(|op| cycles.ops.get_mut(op)).unwrap_or(&mut cycles.end);
                *parts.of(cause) += clocks;
            });
        }
        cycles
    }
}

fn columns(plan: &Plan, run: &Activity) -> Vec<Piece> {
    let cause = |step: usize| {
        let step = plan.steps.get(step);
        if step.is_some_and(|s| s.codebook) {
            return Cause::Build;
        }
        let stream = step.and_then(|s| s.stream);
        match stream.and_then(|s| plan.streams.get(s)).map(|s| s.content) {
            Some(Content::Codebook) => Cause::Build,
            _ => Cause::Stream,
        }
    };
    let piece =
        |c: &super::activity::Columns| Piece { span: c.span, cause: cause(c.step), step: c.step };
    run.columns.iter().map(piece).collect()
}

fn buffer(run: &Activity) -> Vec<Piece> {
    let cause = |load| if load { Cause::Load } else { Cause::Buffer };
    let piece =
        |b: &super::activity::Busy| Piece { span: b.span, cause: cause(b.load), step: b.step };
    run.buffer.iter().map(piece).collect()
}

fn drains(run: &Activity) -> Vec<Piece> {
    run.drains.iter().map(|d| Piece { span: d.span, cause: Cause::Drain, step: d.step }).collect()
}

/// Refreshes with the gaps that they leave between two rows of one stream.
fn refreshes(plan: &Plan, run: &Activity) -> Vec<Piece> {
    let t = &plan.target.timing;
    let mut pieces = Vec::new();
    let mut next_row = 0;
    for (i, &(at, step)) in run.refreshes.iter().enumerate() {
        next_row += run.rows[next_row..].partition_point(|r| r.act < at);
        let (before, after) =
            (next_row.checked_sub(1).map(|r| &run.rows[r]), run.rows.get(next_row));
        let mut span = Span { from: at, to: at + u64::from(t.rfc) };
        let mut step = step;
        if let (Some(before), Some(after)) = (before, after) {
            if before.step == after.step {
                step = after.step;
                // From the closed row, or the refresh before, to the next row.
                let since = i.checked_sub(1).map_or(0, |i| run.refreshes[i].0);
                span.from = (before.pre + u64::from(t.rp)).max(since).min(at);
                span.to = span.to.max(after.act);
            }
        }
        pieces.push(Piece { span, cause: Cause::Refresh, step });
    }
    pieces
}

/// Rows, each up to the next one of its stream.
fn rows(plan: &Plan, run: &Activity) -> Vec<Piece> {
    let rp = u64::from(plan.target.timing.rp);
    let mut pieces = Vec::with_capacity(run.rows.len());
    for (i, row) in run.rows.iter().enumerate() {
        let closed = row.pre + rp;
        let to = match run.rows.get(i + 1) {
            Some(next) if next.step == row.step => next.act,
            Some(next) => closed.min(next.act),
            None => closed,
        };
        let span = Span { from: row.act, to };
        pieces.push(Piece { span, cause: Cause::Rows, step: row.step });
    }
    pieces
}

/// Every clock, with the step whose instructions issue then or were the last to.
fn rest(run: &Activity) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(run.issues.len());
    for (i, &(from, step)) in run.issues.iter().enumerate() {
        let to = run.issues.get(i + 1).map_or(run.end, |next| next.0);
        pieces.push(Piece { span: Span { from, to }, cause: Cause::Other, step });
    }
    pieces
}
