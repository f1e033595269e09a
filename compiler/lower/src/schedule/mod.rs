//! The scheduler: tasks to a program with exact delays.
//!
//! In order and plain: an instruction issues as soon as what it needs is done. The buffer unit does
//! one operation at a time, and collects results while a stream's columns come in; a stream's first
//! read waits for the last load, so that its activate and the buffer unit's work overlap. Refreshes go where something waits anyway, or before
//! a row that would not close in time.

mod builder;

use crate::mapping::{Mapping, StreamPlace, TaskKind};
use crate::plan::Step;
use crate::supermask::sign_key;
use crate::target::Target;
use builder::Builder;
use pimc_ir::{Model, WeightType};
use pimc_rtl::isa::{Action, Instr, Stream, VecOp, Vector};
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
    for task in &mapping.tasks {
        let first = b.len();
        let cycle = match &task.kind {
            TaskKind::Vec { vector, .. } => issue_vec(&mut b, vector, shape),
            TaskKind::Stream { stream, .. } => {
                let place = &mapping.streams[*stream];
                issue_stream(&mut b, model, target, shape, place)
            }
        };
        let stream = match task.kind {
            TaskKind::Stream { stream, .. } => Some(stream),
            TaskKind::Vec { .. } => None,
        };
        steps.push(Step { op: Some(task.op), first, cycle, stream, what: task.what.clone() });
    }
    let first = b.len();
    let (program, cycle) = b.finish();
    steps.push(Step { op: None, first, cycle, stream: None, what: "end".into() });
    Schedule { program, steps }
}

fn issue_vec(b: &mut Builder<'_>, vector: &Vector, shape: &ChannelShape) -> u64 {
    let collects = matches!(vector.op, VecOp::Collect | VecOp::CollectSum);
    let loads = matches!(vector.op, VecOp::LoadBytes | VecOp::LoadPlanes);
    let mut at = b.vec_ready;
    if loads {
        // Inputs may change when no column needs them any more.
        at = at.max(b.data_ready);
    }
    let issued = b.issue(Action::Vec(*vector), at);
    if collects {
        // Until the stream that follows has ended.
        b.collecting = true;
        return issued;
    }
    b.vec_ready = issued + u64::from(vec_clocks(vector, shape));
    if loads {
        b.unit_ready = b.vec_ready;
    }
    issued
}

fn issue_stream(
    b: &mut Builder<'_>,
    model: &Model,
    target: &Target,
    shape: &ChannelShape,
    place: &StreamPlace,
) -> u64 {
    let action = Action::Stream(operands(model, shape, place));
    // The last stream's columns must be through before its fields change.
    let issued = b.issue(action, b.data_ready);
    b.issue(Action::Row { row: place.first_row, col: 0 }, 0);
    let mut interval = target.column_interval();
    if mode(model, place, shape) == StreamMode::Mask {
        interval = interval.max(SEED_CLOCKS.div_ceil(place.row_columns));
    }
    let data = u64::from(column_clocks(shape));
    let whole = place.columns / target.columns;
    let rest = place.columns % target.columns;
    for (columns, rows) in [(target.columns, whole), (rest, 1)] {
        if columns > 0 && rows > 0 {
            let times = b.row_times(columns, interval.into());
            // Inputs must be loaded when the column's data arrive.
            let reads_from = b.unit_ready.saturating_sub(shape.read_latency.into());
            b.rows(&times, rows.into(), reads_from, data);
        }
    }
    if std::mem::take(&mut b.collecting) {
        b.vec_ready = b.data_ready + u64::from(COLLECT_CLOCKS);
    }
    issued
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
