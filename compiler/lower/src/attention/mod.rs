//! Lowering of a function on a key/value cache: `cluster`, `append`, then `attend`, and merges of states.
//!
//! The cache lies in the banks ([`layout`]); a program that is the same for every length takes
//! tokens in and attends to them; what depends on lengths the driver gives it as arguments
//! ([`arguments`]).

mod arguments;
mod builder;
mod bus;
mod cluster;
pub mod compare;
mod contents;
mod estimate;
mod images;
mod layout;
pub mod literal;
mod merges;
mod passes;
mod program;
mod run;

use arguments::TokenWord;
pub use arguments::{ArgumentMap, Driver, StepError};
pub use cluster::{ClusterMap, ClusterPlan, ClusterValues, ScriptSize};
pub use contents::ReadColumn;
pub use estimate::StepSize;
pub(crate) use images::CacheImages;
pub use layout::{CacheLayout, Place};
pub use merges::Merge;
pub use run::{HostColumn, Launch};

use crate::area::{unit_memory_bits, Area};
use crate::estimate::Estimate;
use crate::mapping::{self, softmax_table, Fit, Region, AREA, PROGRAM, ROWS, TABLES, VECTORS};
use crate::plan::{Plan, Refused, Step};
use crate::ranges;
use crate::target::{Attention, Target};
use merges::merged_values;
use passes::{PassMap, Rows};
use pimc_ir::{softmax_tables, CacheId, CacheType, Code, Model, OpKind, ValueId};
use pimc_rtl::attention::{AttentionShape, MergeShape};
use pimc_rtl::isa::{IsaShape, VecOp};
use pimc_rtl::shape::{BankShape, BufferShape, ChannelShape};
use pimc_rtl::softmax_log::LOG_BITS;
use program::{PartOf, Vectors};

/// Where the function's values of a step go to and come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepValues {
    /// How many tokens the step appends; none if it appends none.
    pub count: Option<ValueId>,
    /// How many tokens each query sees.
    pub limit: ValueId,
}

/// The part of a plan that is about its cache.
#[derive(Clone, Debug, PartialEq)]
pub struct CachePlan {
    /// The cache.
    pub id: CacheId,
    /// Its sizes.
    pub ty: CacheType,
    /// Where it lies.
    pub layout: CacheLayout,
    /// Where its program's arguments lie.
    pub arguments: ArgumentMap,
    /// Which values are arguments.
    pub values: StepValues,
    /// Most tokens that a step appends.
    pub tokens: u32,
    /// Queries of a step.
    pub queries: u32,
    /// The value that the attend defines.
    pub attended: ValueId,
    /// The log-sum-exp is behind the elements of a row of it.
    pub state: bool,
    /// Merges of states.
    pub merges: Vec<Merge>,
    /// The order in which page frames are taken.
    pub frames: Vec<u32>,
    /// How it is filled anew, if it is.
    pub cluster: Option<ClusterPlan>,
    /// Argument memory of the run that is told about: of the first step, with all its tokens if there
    /// is room for them, and queries that see everything. Of a step of several runs it is the last one's.
    pub args: Vec<u32>,
}

impl CachePlan {
    /// A driver of the cache as it is before the first step.
    pub fn driver(&self) -> Driver {
        let ahead = self.encodes_ahead();
        Driver::new(self.ty, self.layout.clone(), self.arguments, &self.frames, ahead)
    }

    /// Whether the token that leaves next is encoded while the codebooks pass: where a step appends, that
    /// token is in the banks before it leaves, and the next step does not make other codebooks.
    pub(crate) fn encodes_ahead(&self) -> bool {
        self.values.count.is_some() && self.ty.recent > 0 && self.cluster.is_none()
    }

    /// Sets the arguments of the first step.
    fn first_step(&mut self, appends: bool) {
        let mut driver = self.first_driver();
        let room = self.ty.tokens as u32 - driver.length();
        let count = if appends { room.min(self.tokens) } else { 0 };
        let limits = vec![i64::MAX; self.queries as usize];
        // There is room for so many.
        for (addr, word) in driver.step(count.into(), &limits).unwrap_or_default() {
            self.args[addr as usize] = word;
        }
        if let Some(last) = self.runs().last() {
            self.args = last;
        }
    }

    /// What a run with these arguments does.
    pub(crate) fn size_of(&self, args: &[u32]) -> StepSize {
        let arg = |at: u32| args.get(at as usize).copied().unwrap_or(0);
        let of = |word| (0..self.tokens).map(|i| arg(self.arguments.token(i, word))).sum();
        StepSize {
            compressed: arg(ArgumentMap::COMPRESSED),
            kept: of(TokenWord::Keeps),
            encoded: of(TokenWord::Leaves),
            ahead: arg(ArgumentMap::AHEAD) != 0,
            script: self.cluster.map(|c| c.map.size_of(args)),
        }
    }

    /// Arguments of a step with the function's inputs; of one of several runs those of the last run that do not
    /// belong to its script.
    ///
    /// # Errors
    /// If it appends what it does not have or there is no room for.
    pub fn step(
        &self,
        driver: &mut Driver,
        inputs: &[Vec<i64>],
    ) -> Result<Vec<(u32, u32)>, StepError> {
        let value = |id| value(inputs, id);
        let count = self.values.count.and_then(|id| value(id).first().copied()).unwrap_or(0);
        driver.step(count, value(self.values.limit))
    }

    /// Where element `i` of what was attended, which is query, head, element, lies among the results:
    /// key/value head, query, query head of it, element. Other values lie in their order.
    pub fn attended_at(&self, i: u32) -> u32 {
        let (dim, heads, slots) = (self.ty.dim as u32, self.ty.heads as u32, self.layout.slots);
        let width = dim + u32::from(self.state);
        let (query, head, d) = (i / width / heads, i / width % heads, i % width);
        let group = heads / slots;
        (((head / group) * self.queries + query) * group + head % group) * width + d
    }
}

/// The elements of an input.
fn value(inputs: &[Vec<i64>], id: ValueId) -> &[i64] {
    inputs.get(id.0).map(Vec::as_slice).unwrap_or_default()
}

/// What of the function is lowered.
struct Found {
    cache: CacheId,
    append: Option<(usize, [ValueId; 3])>,
    cluster: Option<(usize, ClusterValues)>,
    attend: usize,
    q: ValueId,
    limit: ValueId,
    scale: (u32, u32, u32),
    state: bool,
}

/// Lowers a function that begins with a cache.
pub(crate) fn lower(model: &Model, target: &Target) -> Result<Plan, Refused> {
    let mut fit = Fit::new(model, target);
    if target.attention != Attention::Resident {
        literal::no_hardware(&mut fit);
        return Err(fit.refused());
    }
    let Some(found) = find(model, &mut fit) else { return Err(fit.refused()) };
    let func = &model.module.func;
    let cache = model.module.caches[found.cache.0].ty;
    let queries = func.values[found.limit.0].ty.len as u32;
    sizes(&mut fit, &found, &cache, target);
    if !fit.found.is_empty() {
        return Err(fit.refused());
    }
    let (mul, shift, frac) = found.scale;
    let units = layout::units(&cache, queries, target);
    let attention = AttentionShape {
        mul,
        shift,
        frac,
        result_bits: func.result_ty.elem.bits,
        exp_table: softmax_table(&softmax_tables::EXP),
        reciprocal_table: softmax_table(&softmax_tables::REC),
        log_table: if found.state { softmax_table(&softmax_tables::LOG) } else { Vec::new() },
        cluster: found.cluster.map(|(_, c)| c.shape(func, &cache, &units, target)),
        ..units
    };
    let tokens = found
        .append
        .as_ref()
        .map_or(0, |(_, [k, ..])| (func.values[k.0].ty.len / cache.token_len()) as u32);
    let encoders = attention.encoders();

    // Vector memory: the vectors of append and attend among the inputs, the results, states.
    let mut regions = vec![Region { addr: 0, len: 0 }; func.values.len()];
    let mut depth = 0;
    let [k, v, n] = found.append.map_or([None; 3], |a| a.1.map(Some));
    let results = func.value_of_op(found.attend);
    let states = merged_values(func, results);
    let values = [Some(found.q), k, v, Some(results)].into_iter().flatten();
    for id in values.chain(states.iter().copied()) {
        let len = func.values[id.0].ty.len as u32;
        regions[id.0] = Region { addr: depth, len };
        depth += len;
    }
    let merge = mapping::merge_shape(model);
    let log_bits = if merge.is_some() { LOG_BITS } else { 0 };
    let word_bits = attention.result_bits.max(8).max(log_bits);
    let bytes = (u128::from(depth) * u128::from(word_bits)).div_ceil(8);
    fit.memory(found.attend, VECTORS, bytes, target.vector_bytes.into());
    let memory = |shape: &ChannelShape| {
        shape.bank.attention.as_ref().map_or(0, |a| unit_memory_bits(a, shape).div_ceil(8))
    };
    let rows = Rows { queries, heads: attention.query_heads };
    let shape_of =
        |rows: Rows| channel(target, rows.of(&attention), (depth, word_bits, merge.clone()));
    let shapes: Vec<ChannelShape> = rows.together().map(shape_of).collect();
    let gates = |shape: &ChannelShape| Area::of(shape).bank;
    let fits = |shape: &&ChannelShape| {
        let few = |a: &AttentionShape| a.rows() <= target.query_rows && bus::is_quick(a, target);
        shape.bank.attention.iter().all(few)
            && memory(shape) <= target.table_bytes
            && target.unit_gates.is_none_or(|most| gates(shape) <= most)
    };
    let Some(shape) = shapes.iter().find(fits).or(shapes.last()) else { return Err(fit.refused()) };
    let mut shape = shape.clone();
    let units = shape.bank.attention.as_ref().unwrap_or(&attention);
    let layout = CacheLayout::new(&cache, units, target);
    fit.memory(found.attend, ROWS, layout.rows().into(), target.rows.into());
    let passes = PassMap::new(rows, units, &layout);
    let map = ArgumentMap::new(&layout, &cache, tokens, passes);
    let held = cluster::Held::new(&layout, &shape, target);
    let cluster = found.cluster.map(|(_, values)| ClusterPlan {
        values,
        tokens: values.tokens(func, &cache),
        encoders,
        map: ClusterMap::new(map.words(), &layout, encoders, held),
    });
    shape.arg_words = cluster.map_or(map.words(), |c| c.map.words());
    fit.memory(found.attend, TABLES, memory(&shape).into(), target.table_bytes.into());
    if let Some(most) = target.unit_gates {
        fit.memory(found.attend, AREA, gates(&shape).into(), most.into());
    }
    if !fit.found.is_empty() {
        return Err(fit.refused());
    }
    let vectors = Vectors {
        q: regions[found.q.0].addr,
        k: k.map(|id| regions[id.0].addr),
        v: v.map(|id| regions[id.0].addr),
        result: regions[results.0].addr,
    };
    let mut plan = CachePlan {
        id: found.cache,
        ty: cache,
        values: StepValues { count: n, limit: found.limit },
        tokens,
        queries,
        attended: results,
        state: found.state,
        merges: Vec::new(),
        frames: (0..layout.pages()).collect(),
        layout,
        arguments: map,
        cluster,
        args: vec![0; shape.arg_words as usize],
    };
    plan.merges = merges::merges(func, &plan, &|v| regions[v.0].addr);
    let (program, parts) = program::program(target, &shape, &plan, &vectors, found.attend);
    fit.memory(found.attend, PROGRAM, program.len() as u128, target.program_words.into());
    shape.isa = IsaShape::smallest(&program, &shape.bank, shape.beats, shape.buffer.depth);
    shape.program_depth = program.len() as u32;
    fit.units(&shape);
    if !fit.found.is_empty() {
        return Err(fit.refused());
    }
    plan.first_step(found.append.is_some());
    let (appends, clusters) = (found.append.map(|a| a.0), found.cluster.map(|c| c.0));
    // The first refresh belongs to what comes first.
    let first = clusters.or(appends).unwrap_or(found.attend);
    let mut estimate = Estimate { ops: vec![0; func.ops.len()], ..Estimate::default() };
    for args in plan.runs() {
        let size = plan.size_of(&args);
        let (run, ops) = estimate::estimate(target, &shape, &plan, size);
        estimate.add(&run);
        let of = [Some(first), appends, Some(found.attend)].into_iter();
        let of = of.chain(plan.merges.iter().map(|merge| Some(merge.op)));
        for (op, clocks) in of.zip(ops) {
            estimate.ops[op.unwrap_or(found.attend)] += clocks;
        }
    }
    let steps = parts.into_iter().map(|part| Step {
        op: match part.of {
            PartOf::Cluster => clusters,
            PartOf::Append => appends,
            PartOf::Attend => Some(found.attend),
            PartOf::Merge(op) => Some(op),
        },
        first: part.first,
        cycle: 0,
        stream: None,
        codebook: part.codebook,
        what: part.what,
    });
    let mut plan = Plan {
        target: target.clone(),
        cycles: 0,
        program,
        steps: steps.collect(),
        inputs: regions[..func.inputs].to_vec(),
        result: regions[func.result.0],
        regions,
        constants: Vec::new(),
        streams: Vec::new(),
        splits: Vec::new(),
        estimate,
        dram_rows: plan.layout.rows() as u32,
        proof: ranges::Proof::of_values(model),
        cache: Some(plan),
        shape,
    };
    plan.run_once();
    Ok(plan)
}

/// The channel of a cache. The widths of the program's fields follow from the program, and the size of argument
/// memory from what the program is told.
fn channel(
    target: &Target,
    attention: AttentionShape,
    (depth, word_bits, merge): (u32, u32, Option<MergeShape>),
) -> ChannelShape {
    let bank = BankShape {
        lookups: Vec::new(),
        gated: None,
        blocks: None,
        mac: None,
        byte_words: 0,
        result_bits: attention.result_bits,
        attention: Some(attention),
    };
    let buffer = BufferShape {
        word_bits,
        depth,
        requant: None,
        ops: [VecOp::CollectSum, VecOp::LoadBytes]
            .into_iter()
            .chain(merge.as_ref().map(|_| VecOp::Merge))
            .collect(),
        mul_bits: 0,
        merge,
    };
    ChannelShape {
        write_latency: target.timing.extra.cwl,
        ..mapping::channel(target, bank, buffer)
    }
}

/// What the function does with its cache. Reports what is not lowered.
fn find(model: &Model, fit: &mut Fit<'_>) -> Option<Found> {
    let func = &model.module.func;
    let (mut append, mut attend) = (None, None);
    let mut cluster: Option<(usize, CacheId, ClusterValues)> = None;
    let refuse = |fit: &mut Fit<'_>, i: usize, what: &str, help: &str| {
        fit.report(i, Code::P0607, format!("no program is made of {what}"), "this op".into(), help);
    };
    let input = |id: &ValueId| id.0 < func.inputs;
    for (i, op) in func.ops.iter().enumerate() {
        match &op.kind {
            OpKind::Append { cache, k, v, n } if append.is_none() && attend.is_none() => {
                if ![k, v, n].into_iter().all(input) {
                    let what = "an append of values that are computed";
                    refuse(fit, i, what, "give keys, values and count as inputs of the function");
                }
                if cluster.is_some_and(|c| c.1 != *cache) {
                    refuse(fit, i, "two caches", "use one cache in a function");
                }
                append = Some((i, *cache, [*k, *v, *n]));
            }
            OpKind::Cluster { cache, k, v, weights, n, iterations }
                if append.is_none() && attend.is_none() && cluster.is_none() =>
            {
                if ![k, v, weights, n].into_iter().all(input) {
                    let what = "a cluster of values that are computed";
                    let help = "give keys, values, weights and count as inputs of the function";
                    refuse(fit, i, what, help);
                }
                let (k, v, weights, n) = (*k, *v, *weights, *n);
                let values = ClusterValues { k, v, weights, n, iterations: *iterations };
                cluster = Some((i, *cache, values));
            }
            OpKind::Append { .. } | OpKind::Cluster { .. }
                if attend.is_none() && (append.is_some() || cluster.is_some()) =>
            {
                let what = "this op behind an append, or a second one of its kind";
                refuse(fit, i, what, "put it into a function of its own");
            }
            OpKind::Attend { cache, q, limit, mul, shift, frac, state } if attend.is_none() => {
                if ![q, limit].into_iter().all(input) {
                    let what = "an attend on values that are computed";
                    refuse(fit, i, what, "give queries and limits as inputs of the function");
                }
                let taken = append.map(|a| a.1).or(cluster.map(|c| c.1));
                if taken.is_some_and(|c| c != *cache) {
                    refuse(fit, i, "two caches", "use one cache in a function");
                }
                attend = Some((i, *cache, *q, *limit, (*mul, *shift, *frac), *state));
            }
            OpKind::Merge { a, b, .. } => {
                let state = |id: &ValueId| match id.0.checked_sub(func.inputs) {
                    None => true,
                    // Rows of what is attended to without it need not lie in one piece.
                    Some(op) => matches!(
                        func.ops[op].kind,
                        OpKind::Attend { state: true, .. } | OpKind::Merge { .. }
                    ),
                };
                if ![a, b].into_iter().all(state) {
                    let what = "a merge of what no attend with `state` and no merge computes";
                    refuse(fit, i, what, "write `state`, or give states as inputs of the function");
                }
            }
            _ => {
                let what =
                    "this op beside a cache: only a cluster, an append, then an attend, and merges";
                refuse(fit, i, what, "put other ops into a function of their own");
            }
        }
    }
    let Some((at, cache, q, limit, scale, state)) = attend else {
        // An attend that was refused is there.
        if fit.found.is_empty() {
            refuse(fit, 0, "a cache that nothing attends to", "add an attend");
        }
        return None;
    };
    let returned = func.result.0.checked_sub(func.inputs).map(|op| &func.ops[op].kind);
    if !matches!(returned, Some(OpKind::Attend { .. } | OpKind::Merge { .. })) {
        let what = "a function that returns neither its attend nor a merge";
        refuse(fit, at, what, "return one of them");
    }
    let append = append.map(|(i, _, values)| (i, values));
    let cluster = cluster.map(|(i, _, values)| (i, values));
    let found = Found { cache, append, cluster, attend: at, q, limit, scale, state };
    fit.found.is_empty().then_some(found)
}

/// Sizes that no unit is built for.
fn sizes(fit: &mut Fit<'_>, found: &Found, cache: &CacheType, target: &Target) {
    let mut want = |holds: bool, what: String, help: &str| {
        if !holds {
            let message = format!("no attention unit is built for {what}");
            fit.report(found.attend, Code::P0607, message, "of this cache".into(), help);
        }
    };
    want(
        matches!(cache.sub, 1 | 2 | 4 | 8),
        format!("sub-vectors of {} elements", cache.sub),
        "take 1, 2, 4 or 8",
    );
    let parts = cache.dim / cache.sub.max(1);
    want(
        parts.is_power_of_two(),
        format!("{parts} sub-vectors of a head"),
        "take sizes of which there are a power of two",
    );
    want(
        parts / (target.units() as usize).min(parts) <= target.columns as usize,
        format!("{parts} sub-vectors in {} banks", target.units()),
        "take longer sub-vectors or more banks",
    );
}
