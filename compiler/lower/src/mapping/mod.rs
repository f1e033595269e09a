//! From a model to tasks: which streams lie in the banks, which values lie where in vector memory,
//! and what is done in which order. Nothing here knows a clock.

mod alloc;
mod constants;
mod matvec;
mod ops;
mod reuse;
mod shape;
mod split;
mod streams;

pub use alloc::Region;
pub(crate) use constants::Word;
pub(crate) use shape::{
    channel, constant_words, merge_shape, shape, softmax_table, Fit, AREA, PROGRAM, ROWS, TABLES,
    VECTORS,
};
pub use split::{Choice, Split, Why};
pub(crate) use streams::{lookup_blocks, lookup_lanes};
pub use streams::{Content, StreamPlace};

use crate::target::Target;
use alloc::{Allocator, Liveness};
use constants::Constants;
use pimc_ir::{Model, ValueId, WeightId, WeightType};
use pimc_rtl::isa::{VecOp, Vector};
use streams::Streams;

/// What to do, in order; `Vec` operands are final addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// Which op of the function it belongs to.
    pub(crate) op: usize,
    /// What it does, for people.
    pub(crate) what: String,
    pub(crate) kind: TaskKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskKind {
    /// An operation of the buffer unit.
    Vec {
        vector: Vector,
        /// A tighter proof of what it writes than interval arithmetic gives.
        known: Known,
    },
    /// All columns of a stream.
    Stream {
        /// Its index.
        stream: usize,
        /// Where its matvec's inputs lie.
        x: u32,
    },
}

/// Facts about what a task writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// None beyond the operands'.
    Nothing,
    /// The words are that value's elements, whose ranges the model proves.
    Elements(ValueId),
    /// The words are that value's elements from that one on.
    From(ValueId, usize),
}

/// A model's mapping.
pub(crate) struct Mapping {
    pub(crate) tasks: Vec<Task>,
    pub(crate) streams: Vec<StreamPlace>,
    /// How each weight is split, in the order of their streams.
    pub(crate) splits: Vec<Choice>,
    /// DRAM rows used of every bank.
    pub(crate) dram_rows: u64,
    /// Where each value lies.
    pub(crate) regions: Vec<Region>,
    /// Constants: address and word.
    pub(crate) constants: Vec<(u32, Word)>,
    /// Words of vector memory.
    pub(crate) depth: u64,
}

/// State while a model is mapped.
struct Mapper<'a> {
    model: &'a Model,
    tasks: Vec<Task>,
    streams: Streams<'a>,
    memory: Allocator,
    constants: Constants,
    regions: Vec<Region>,
    /// Op being mapped, and its temporaries.
    op: usize,
    scratch: Vec<Region>,
}

/// Maps a model whose shapes the units can take.
pub(crate) fn map(model: &Model, target: &Target) -> Mapping {
    let func = &model.module.func;
    let live = Liveness::new(func);
    let none = Region { addr: 0, len: 0 };
    let mut m = Mapper {
        model,
        tasks: Vec::new(),
        streams: Streams::new(model, target),
        memory: Allocator::default(),
        constants: Constants::default(),
        regions: vec![none; func.values.len()],
        op: 0,
        scratch: Vec::new(),
    };
    for v in 0..func.inputs {
        m.regions[v] = m.memory.take(func.values[v].ty.len as u32);
    }
    for (i, op) in func.ops.iter().enumerate() {
        m.op = i;
        let value = func.value_of_op(i);
        let (home, offset) = live.home[value.0];
        m.regions[value.0] = if home == value {
            m.memory.take(func.values[value.0].ty.len as u32)
        } else {
            let len = func.values[value.0].ty.len as u32;
            Region { addr: m.regions[home.0].addr.saturating_add(offset), len }
        };
        m.lower_op(&op.kind, value);
        for region in std::mem::take(&mut m.scratch) {
            m.memory.give(region);
        }
        for v in 0..func.values.len() {
            // Values that own a region, exist by now and are read for the last time here.
            if live.home[v].0 == ValueId(v) && v <= value.0 && live.last_use[v] == i {
                m.memory.give(m.regions[v]);
            }
        }
    }
    m.finish()
}

impl Mapper<'_> {
    /// Moves the constants behind the values.
    fn finish(mut self) -> Mapping {
        let base = self.memory.high_water();
        let place = |addr: &mut u32| {
            if let Some(offset) = addr.checked_sub(constants::FLAG) {
                *addr = u32::try_from(base + u64::from(offset)).unwrap_or(u32::MAX);
            }
        };
        for task in &mut self.tasks {
            if let TaskKind::Vec { vector, .. } = &mut task.kind {
                place(&mut vector.a);
                place(&mut vector.b);
                place(&mut vector.d);
            }
        }
        let words = self.constants.words();
        let depth = base + words.len() as u64;
        let constants = words
            .iter()
            .enumerate()
            .map(|(i, &w)| (u32::try_from(base + i as u64).unwrap_or(u32::MAX), w))
            .collect();
        let (streams, splits, dram_rows) = self.streams.finish();
        let tasks = reuse::without_repeated_loads(self.tasks);
        Mapping { tasks, streams, splits, dram_rows, regions: self.regions, constants, depth }
    }

    fn scratch(&mut self, len: usize) -> u32 {
        let region = self.memory.take(len as u32);
        self.scratch.push(region);
        region.addr
    }

    fn vec(&mut self, what: impl Into<String>, vector: Vector) {
        self.vec_known(what, vector, Known::Nothing);
    }

    fn vec_known(&mut self, what: impl Into<String>, vector: Vector, known: Known) {
        let (op, what) = (self.op, what.into());
        self.tasks.push(Task { op, what, kind: TaskKind::Vec { vector, known } });
    }

    /// All columns of stream `stream` of a matvec whose inputs lie at `x`.
    fn stream(&mut self, what: impl Into<String>, stream: usize, x: u32) {
        let (op, what) = (self.op, what.into());
        self.tasks.push(Task { op, what, kind: TaskKind::Stream { stream, x } });
    }

    fn weight(&self, id: WeightId) -> (String, WeightType) {
        let w = &self.model.module.weights[id.0];
        (format!("@{}", w.name.text), w.ty)
    }
}

/// An operation over `len` elements, with both steps 1.
fn vector(op: VecOp, a: u32, b: u32, d: u32, len: usize) -> Vector {
    Vector { op, a, a_step: 1, b, b_step: 1, d, len: len as u32, bank: 0, last: 0 }
}
