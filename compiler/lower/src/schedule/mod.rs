//! The scheduler: tasks to a program with exact delays.
//!
//! In order and plain: an instruction issues as soon as what it needs is done. The buffer unit does
//! one operation at a time, and collects results while a stream's columns come in. A stream's first
//! row is opened before its instruction, so that the first read waits for the row's turnaround, the
//! last stream's results or the last load, whichever is longest. Refreshes go where something waits anyway, or before
//! a row that would not close in time.

mod builder;

use crate::mapping::{Mapping, StreamPlace, Task, TaskKind};
use crate::plan::Step;
use crate::supermask::sign_key;
use crate::target::Target;
use builder::{looped, Builder};
use pimc_ir::{Model, WeightType};
use pimc_rtl::isa::{Action, Instr, Stream, Vector};
use pimc_rtl::shape::{ChannelShape, StreamMode};
use pimc_rtl::timing::{column_clocks, vec_clocks, COLLECT_CLOCKS, SEED_CLOCKS};

/// A program, its steps, and the clock of its end.
pub(crate) struct Schedule {
    pub(crate) program: Vec<Instr>,
    pub(crate) steps: Vec<Step>,
}

/// Schedules a mapping on hardware of that shape.
pub(crate) fn schedule(
    model: &Model,
    target: &Target,
    shape: &ChannelShape,
    mapping: &Mapping,
) -> Schedule {
    let mut b = Builder::new(target);
    let mut steps = Vec::with_capacity(mapping.tasks.len());
    // What collects the results of the next stream.
    let mut collect: Option<(&Task, Vector)> = None;
    for task in &mapping.tasks {
        let first = b.len();
        let mut step = |task: &Task, first, cycle, stream| {
            let what = task.what.clone();
            steps.push(Step { op: Some(task.op), first, cycle, stream, codebook: false, what });
        };
        match &task.kind {
            TaskKind::Vec { vector, .. } if vector.op.collects() => collect = Some((task, *vector)),
            TaskKind::Vec { vector, .. } => {
                step(task, first, issue_vec(&mut b, vector, shape), None);
            }
            TaskKind::Stream { stream, .. } => {
                let place = &mapping.streams[*stream];
                let collect = collect.take();
                let vector = collect.map(|c| c.1);
                let placed = issue_stream(&mut b, model, target, shape, (place, vector));
                // The first row is opened before either of them; the first one's step has that.
                let tasks = collect.map(|c| (c.0, None)).into_iter().chain([(task, Some(*stream))]);
                for (i, ((task, stream), (index, cycle))) in tasks.zip(placed).enumerate() {
                    step(task, if i == 0 { first } else { index }, cycle, stream);
                }
            }
        }
    }
    let first = b.len();
    let (program, cycle) = b.finish();
    let what = "end".into();
    steps.push(Step { op: None, first, cycle, stream: None, codebook: false, what });
    Schedule { program, steps }
}

fn issue_vec(b: &mut Builder<'_>, vector: &Vector, shape: &ChannelShape) -> u64 {
    let mut at = b.vec_ready;
    if vector.op.loads() {
        // Inputs may change when no column needs them any more.
        at = at.max(b.data_ready);
    }
    let issued = b.issue(Action::Vec(*vector), at);
    b.vec_ready = issued + u64::from(vec_clocks(vector, shape));
    if vector.op.loads() {
        b.unit_ready = b.vec_ready;
    }
    issued
}

/// A stream, and what collects its results. Its first row is opened while the buffer unit and the
/// last stream's columns go on; index and clock of the collection, where there is one, and of the
/// stream.
fn issue_stream(
    b: &mut Builder<'_>,
    model: &Model,
    target: &Target,
    shape: &ChannelShape,
    (place, collect): (&StreamPlace, Option<Vector>),
) -> Vec<(usize, u64)> {
    b.issue(Action::Row { row: place.first_row, col: 0 }, 0);
    let collection = collect.map(|vector| (Action::Vec(vector), b.vec_ready));
    // The last stream's columns must be through before its fields change.
    let stream = (Action::Stream(operands(model, shape, place)), b.data_ready);
    let behind: Vec<_> = collection.into_iter().chain([stream]).collect();
    let mut interval = target.column_interval();
    if mode(model, place, shape) == StreamMode::Mask {
        interval = interval.max(SEED_CLOCKS.div_ceil(place.row_columns));
    }
    let data = u64::from(column_clocks(shape));
    // Inputs must be loaded when the column's data arrive.
    let reads_from = b.unit_ready.saturating_sub(shape.read_latency.into());
    let mut first = place.columns.min(target.columns);
    let placed = if looped(first, interval.into()) || place.columns <= target.columns {
        b.first_row((first, interval.into()), behind, reads_from, data)
    } else {
        // Reads that are no loop are long: another text of a row is not worth the clocks.
        first = 0;
        b.in_order(behind)
    };
    let left = place.columns - first;
    for (columns, rows) in [(target.columns, left / target.columns), (left % target.columns, 1)] {
        if columns > 0 && rows > 0 {
            let times = b.row_times(columns, interval.into(), 0);
            b.rows(&times, rows.into(), reads_from, data);
        }
    }
    if collect.is_some() {
        b.vec_ready = b.data_ready + u64::from(COLLECT_CLOCKS);
    }
    placed
}

fn mode(model: &Model, place: &StreamPlace, shape: &ChannelShape) -> StreamMode {
    use crate::mapping::Content;
    let lookup = |k: usize, sub: usize| {
        let same = |l: &pimc_rtl::shape::LookupShape| (l.k, l.sub) == (k as u32, sub as u32);
        shape.bank.lookups.iter().position(same).unwrap_or(0) as u32
    };
    match (model.module.weights[place.weight.0].ty, place.content) {
        (WeightType::Pq { k, sub, .. }, Content::Codebook) => StreamMode::Build(lookup(k, sub)),
        (WeightType::Pq { k, sub, .. }, _) => StreamMode::Lookup(lookup(k, sub)),
        (WeightType::Bqq { .. }, _) => StreamMode::Blocks,
        (WeightType::Supermask { .. }, _) => StreamMode::Mask,
        (WeightType::Int { .. }, _) => StreamMode::Mac,
    }
}

fn operands(model: &Model, shape: &ChannelShape, place: &StreamPlace) -> Stream {
    let mode = mode(model, place, shape);
    let sign_key = match model.module.weights[place.weight.0].ty {
        WeightType::Supermask { seed, layer, .. } => sign_key(seed, layer),
        _ => 0,
    };
    Stream {
        mode: shape.bank.modes().iter().position(|m| *m == mode).unwrap_or(0) as u32,
        columns_less_1: place.row_columns - 1,
        tail_beats_less_1: place.tail_beats - 1,
        coats_less_1: place.coats - 1,
        sign_key,
        block: place.block,
    }
}
