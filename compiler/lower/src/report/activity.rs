//! What goes on in one run of a program, from one walk over its instructions: DRAM rows from their
//! activate to their precharge, refreshes, operations of the buffer unit, results on their way.

use crate::plan::Plan;
use pimc_rtl::attention::{AttentionMode, NORMALISE_LATENCY};
use pimc_rtl::isa::{Action, SetTo};
use pimc_rtl::shape::StreamMode;
use pimc_rtl::timing::{column_clocks, vec_clocks, COLLECT_CLOCKS};

/// A stretch of clocks, the last one not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// A DRAM row, open in every bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The step that reads it.
    pub(super) step: usize,
    /// Its number.
    pub(super) row: u32,
    /// Its activate.
    pub(super) act: u64,
    /// Its first and last read; none when nothing was read.
    pub(super) reads: Option<(u64, u64)>,
    /// How many columns are read.
    pub(super) columns: u64,
    /// Its precharge; the end of the program if there is none.
    pub(super) pre: u64,
}

/// An operation of the buffer unit, other than collecting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy {
    pub(super) step: usize,
    pub(super) span: Span,
    /// It loads the inputs of the bank units.
    pub(super) load: bool,
}

/// A column or several, one interval after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) step: usize,
    pub(super) span: Span,
}

/// A run, in order of time within each list.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity {
    pub(super) rows: Vec<Row>,
    /// Clocks in which columns move, neighbouring ones joined.
    pub(super) columns: Vec<Columns>,
    /// From a stream's last column to the results that it leaves.
    pub(super) drains: Vec<Columns>,
    pub(super) buffer: Vec<Busy>,
    /// The clock and the step of each refresh.
    pub(super) refreshes: Vec<(u64, usize)>,
    /// The first clock and the step of each run of instructions of one step.
    pub(super) issues: Vec<(u64, usize)>,
    /// The program's end.
    pub(super) end: u64,
}

/// A stream whose last column has not been seen yet.
struct Open {
    step: usize,
    last: Option<u64>,
    collecting: bool,
}

impl Activity {
    /// The run of a plan's program.
    pub(super) fn of(plan: &Plan) -> Activity {
        let mut a = Activity::default();
        let interval = u64::from(plan.target.column_interval());
        let (mut row, mut collecting) = (0u32, None);
        let mut stream: Option<Open> = None;
        let modes = plan.shape.bank.modes();
        let divides = |mode: u32| {
            modes.get(mode as usize) == Some(&StreamMode::Attention(AttentionMode::Normalise))
        };
        // A program that cannot be run to its end is no plan's.
        for issue in plan.walk().flatten() {
            let (cycle, step) = (issue.cycle, step_of(plan, issue.index));
            a.end = cycle;
            if a.issues.last().is_none_or(|last| last.1 != step) {
                a.issues.push((cycle, step));
            }
            match issue.action {
                Action::Row { row: r, .. } => row = r,
                Action::Act => {
                    let (act, pre) = (cycle, u64::MAX);
                    a.rows.push(Row { step, row, act, reads: None, columns: 0, pre });
                }
                Action::Set { to: SetTo::Row, .. } => row = issue.value,
                Action::Read | Action::Write => {
                    a.read(cycle, step, interval);
                    if let Some(open) = &mut stream {
                        open.last = Some(cycle);
                    }
                }
                Action::Pre => {
                    row = row.wrapping_add(1);
                    if let Some(open) = a.rows.last_mut() {
                        open.pre = open.pre.min(cycle);
                    }
                }
                Action::Ref | Action::RefreshDue { .. } if issue.refreshes() => {
                    a.refreshes.push((cycle, step));
                }
                Action::Stream(s) => {
                    a.drain(stream.take(), plan, interval);
                    let collecting = collecting.take();
                    if let Some(results) = collecting.filter(|_| divides(s.mode)) {
                        // No column brings these: they come out of the softmax unit one by one.
                        let clocks = u64::from(NORMALISE_LATENCY + results + COLLECT_CLOCKS);
                        let span = Span { from: cycle, to: cycle + clocks };
                        a.drains.push(Columns { step, span });
                    }
                    stream = Some(Open { step, last: None, collecting: collecting.is_some() });
                }
                Action::Vec(v) if v.op.collects() => collecting = Some(v.len),
                Action::Vec(v) => {
                    let to = cycle + u64::from(vec_clocks(&v, &plan.shape));
                    let span = Span { from: cycle, to };
                    a.buffer.push(Busy { step, span, load: v.op.loads() });
                }
                Action::End
                | Action::Wait
                | Action::Loop { .. }
                | Action::LoopArg { .. }
                | Action::Next
                | Action::Set { .. }
                | Action::Ref
                | Action::RefreshDue { .. } => {}
            }
        }
        a.drain(stream, plan, interval);
        for row in &mut a.rows {
            row.pre = row.pre.min(a.end);
        }
        a
    }

    fn read(&mut self, cycle: u64, step: usize, interval: u64) {
        if let Some(row) = self.rows.last_mut() {
            let first = row.reads.map_or(cycle, |r| r.0);
            row.reads = Some((first, cycle));
            // A stream's first row is opened before the stream's instruction.
            row.step = step;
            row.columns += 1;
        }
        let to = cycle + interval;
        match self.columns.last_mut() {
            Some(last) if last.step == step && last.span.to >= cycle => last.span.to = to,
            _ => self.columns.push(Columns { step, span: Span { from: cycle, to } }),
        }
    }

    fn drain(&mut self, stream: Option<Open>, plan: &Plan, interval: u64) {
        let Some(Open { step, last: Some(last), collecting }) = stream else { return };
        let collect = if collecting { u64::from(COLLECT_CLOCKS) } else { 0 };
        let to = last + u64::from(column_clocks(&plan.shape)) + collect;
        self.drains.push(Columns { step, span: Span { from: last + interval, to } });
    }
}

/// The step of an instruction, as [`Plan::step_of`] says it.
fn step_of(plan: &Plan, instr: usize) -> usize {
    plan.steps.partition_point(|s| s.first <= instr).saturating_sub(1)
}
