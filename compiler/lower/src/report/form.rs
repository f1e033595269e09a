//! The paper's form in numbers: the report of a plan in that form, and a section of the report of ours that
//! sets the same step in that form beside it.

use super::{target, TargetPart, FORMAT_VERSION};
use crate::attention::compare::moved;
use crate::attention::literal::{Cause, Follow, FormPlan, FormStep, Gather, Work};
use crate::attention::StepSize;
use crate::commands::{Command, Timed};
use crate::plan::{try_lower, Plan};
use crate::target::Target;
use crate::tree::{gather_name, WHY};
use pimc_ir::Model;
use serde::Serialize;

/// Column accesses up to which a step is made for the sake of a figure.
const MOST_ACCESSES: u64 = 20_000_000;

/// What is said of the mapping.
#[derive(Clone, Debug, Serialize)]
pub struct MappingPart {
    /// `indirect`.
    pub attention: &'static str,
    /// How centroids of values are looked up.
    pub gather: &'static str,
    /// `schedule`: there is no hardware.
    pub ends_at: &'static str,
    /// The levels of co-simulation.
    pub levels: [&'static str; 2],
    /// Why there are no others.
    pub why: &'static str,
    /// What is assumed, in words.
    pub assumed: Vec<String>,
}

/// Clocks of a cause.
#[derive(Clone, Debug, Serialize)]
pub struct CausePart {
    /// Which.
    pub what: &'static str,
    /// Clocks.
    pub cycles: u64,
}

/// Bytes over the bus of one pseudo-channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MovedPart {
    /// Queries and new tokens, with what finding their codes takes.
    pub inputs: u64,
    /// Scores.
    pub scores: u64,
    /// Weights.
    pub weights: u64,
    /// Results.
    pub results: u64,
    /// All of them.
    pub total: u64,
}

/// A step in the paper's form.
#[derive(Clone, Debug, Serialize)]
pub struct FormRun {
    /// Tokens that it attends to.
    pub tokens: u32,
    /// Of those, compressed ones.
    pub compressed: u32,
    /// Tokens that it appends.
    pub appended: u32,
    /// Clocks from the first command to the end.
    pub cycles: u64,
    /// The same in microseconds.
    pub microseconds: f64,
    /// Where they went; the clocks of column accesses are their intervals.
    pub parts: Vec<CausePart>,
    /// All-bank activates.
    pub activates: u64,
    /// All-bank column reads.
    pub reads: u64,
    /// All-bank column writes.
    pub writes: u64,
    /// Refreshes.
    pub refreshes: u64,
    /// Of the reads, columns of codes.
    pub code_columns: u64,
    /// Of the reads, lookups of keys.
    pub key_lookups: u64,
    /// Of the reads, lookups of values.
    pub value_lookups: u64,
    /// Bytes over a pseudo-channel's bus.
    pub moved: MovedPart,
    /// Clocks that the bus is busy with them.
    pub bus_cycles: u64,
}

/// Commands counted.
#[derive(Default)]
struct Count {
    activates: u64,
    reads: u64,
    writes: u64,
    refreshes: u64,
}

impl Follow for Count {
    fn command(&mut self, timed: Timed, _: Option<Work>) {
        match timed.command {
            Command::Act { .. } => self.activates += 1,
            Command::Read { .. } => self.reads += 1,
            Command::Write { .. } => self.writes += 1,
            Command::Ref => self.refreshes += 1,
            Command::Pre | Command::Rfm => {}
        }
    }

    fn between(&mut self, _: Work) {}
}

fn microseconds(target: &Target, cycles: u64) -> f64 {
    cycles as f64 * f64::from(target.timing.tck_ps) * 1e-6
}

/// Column accesses of a step, about.
fn accesses(plan: &FormPlan, step: &FormStep) -> u64 {
    let values = if plan.form.gather == Gather::Element { u64::from(plan.layout.sub) } else { 1 };
    let tokens = u64::from(step.compressed.div_ceil(plan.layout.groups) * plan.layout.slices);
    let heads = u64::from(step.slots) * u64::from(step.queries) * u64::from(step.group);
    heads * tokens * (1 + values)
}

impl FormRun {
    /// A step in numbers.
    pub fn new(plan: &FormPlan, step: &FormStep) -> FormRun {
        let mut count = Count::default();
        let made = plan.run(step, &mut count);
        let Count { activates, reads, writes, refreshes } = count;
        let part = |cause: Cause| CausePart { what: cause.name(), cycles: made.clocks(cause) };
        let m = made.moved;
        FormRun {
            tokens: step.exact + step.compressed,
            compressed: step.compressed,
            appended: step.appends.len() as u32,
            cycles: made.cycles,
            microseconds: microseconds(&plan.target, made.cycles),
            parts: Cause::ALL.map(part).into_iter().filter(|p| p.cycles > 0).collect(),
            activates,
            reads,
            writes,
            refreshes,
            code_columns: made.code_columns,
            key_lookups: made.lookups[0],
            value_lookups: made.lookups[1],
            moved: MovedPart {
                inputs: m.queries + m.appended,
                scores: m.scores,
                weights: m.probabilities,
                results: m.results,
                total: m.total(),
            },
            bus_cycles: made.bus_clocks,
        }
    }

    /// The same, unless it would take long.
    fn soon(plan: &FormPlan, step: &FormStep) -> Option<FormRun> {
        (accesses(plan, step) <= MOST_ACCESSES).then(|| FormRun::new(plan, step))
    }
}

/// A step in our own mapping.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ResidentStep {
    /// Tokens that it attends to.
    pub tokens: u32,
    /// Clocks: of the schedule, or of the cost model where it is told that it is estimated.
    pub cycles: u64,
    /// Whether they are the cost model's.
    pub estimated: bool,
    /// All-bank column reads and writes; none where they are not counted.
    pub accesses: Option<u64>,
    /// Bytes over a pseudo-channel's bus.
    pub moved: MovedPart,
}

/// A step in both mappings.
#[derive(Clone, Debug, Serialize)]
pub struct BothPart {
    /// In ours.
    pub resident: ResidentStep,
    /// In the paper's.
    pub indirect: FormRun,
    /// The paper's clocks as a multiple of ours.
    pub ratio: f64,
}

impl BothPart {
    fn new(resident: ResidentStep, indirect: FormRun) -> BothPart {
        let ratio = indirect.cycles as f64 / resident.cycles.max(1) as f64;
        BothPart { resident, indirect, ratio }
    }
}

/// The same step in one way of the paper's form.
#[derive(Clone, Debug, Serialize)]
pub struct GatherPart {
    /// How centroids of values are looked up.
    pub gather: &'static str,
    /// Rows over which a lookup of values would have to reach while one is open.
    pub rows_in_reach: u32,
    /// The step that the report tells about; none where it would take long to make.
    pub step: Option<BothPart>,
    /// On a cache that is full, nothing appended.
    pub full: Option<BothPart>,
}

/// The same step in the paper's form.
#[derive(Clone, Debug, Serialize)]
pub struct PaperPart {
    /// In each way of looking values up.
    pub ways: Vec<GatherPart>,
    /// Why it cannot be made in that form.
    pub refused: Option<String>,
}

impl PaperPart {
    /// Beside a plan of ours that has a cache.
    pub(super) fn new(plan: &Plan, model: &Model, accesses: u64) -> Option<PaperPart> {
        let step = resident(plan, accesses)?;
        let full = full(plan)?;
        let mut part = PaperPart { ways: Vec::new(), refused: None };
        for gather in [Gather::Centroid, Gather::Element] {
            let form = match FormPlan::new(model, &plan.target, gather) {
                Ok(form) => form,
                Err(refused) => {
                    part.refused = refused.found.list().first().map(|d| d.message.clone());
                    return Some(part);
                }
            };
            let both = |ours, of: &FormStep| {
                FormRun::soon(&form, of).map(|theirs| BothPart::new(ours, theirs))
            };
            part.ways.push(GatherPart {
                gather: gather_name(gather),
                rows_in_reach: form.layout.rows_in_reach(),
                step: both(step, &form.first_step()),
                full: both(full, &form.full_step()),
            });
        }
        Some(part)
    }
}

fn resident_moved(plan: &Plan, compressed: u32, appended: u32) -> Option<MovedPart> {
    let (shape, cache) = (plan.shape.bank.attention.as_ref()?, plan.cache.as_ref()?);
    let bytes = moved(&plan.target, shape, &cache.layout, compressed.into(), appended);
    let slots = u64::from(cache.layout.slots);
    Some(MovedPart {
        inputs: bytes.inputs * slots,
        scores: bytes.scores * slots,
        weights: bytes.probabilities * slots,
        results: bytes.results * slots,
        total: bytes.total() * slots,
    })
}

/// The step that the report tells about.
fn resident(plan: &Plan, accesses: u64) -> Option<ResidentStep> {
    let cache = plan.cache.as_ref()?;
    let room = (cache.ty.tokens - cache.ty.start).min(cache.tokens as usize);
    let tokens = cache.ty.start + room;
    let compressed = cache.ty.compressed(tokens) as u32;
    Some(ResidentStep {
        tokens: tokens as u32,
        cycles: plan.cycles,
        estimated: false,
        accesses: Some(accesses),
        moved: resident_moved(plan, compressed, room as u32)?,
    })
}

/// A step on a cache that is full.
fn full(plan: &Plan) -> Option<ResidentStep> {
    let cache = plan.cache.as_ref()?;
    let compressed = cache.ty.compressed(cache.ty.tokens) as u32;
    let size = StepSize { compressed, kept: 0, encoded: 0, ahead: false, script: None };
    Some(ResidentStep {
        tokens: cache.ty.tokens as u32,
        cycles: plan.estimate_of(size),
        estimated: true,
        accesses: None,
        moved: resident_moved(plan, compressed, 0)?,
    })
}

/// The report of a plan in the paper's form; `report.json` of its tree.
#[derive(Clone, Debug, Serialize)]
pub struct FormReport {
    /// Version of this structure.
    pub format_version: u32,
    /// The module's file name.
    pub model: String,
    /// The target.
    pub target: TargetPart,
    /// Where it ends, and what is assumed.
    pub mapping: MappingPart,
    /// The first step.
    pub run: FormRun,
    /// A step on a cache that is full, nothing appended; none where it would take long to make.
    pub full: Option<FormRun>,
    /// The first step in our own mapping; none where that does not fit the target.
    pub resident: Option<BothPart>,
    /// Why it does not.
    pub resident_refused: Option<String>,
    /// Rows of a bank that are used, and that there are.
    pub rows: (u64, u32),
}

impl FormReport {
    /// The report of a plan of that model.
    pub fn new(plan: &FormPlan, model: &Model) -> FormReport {
        let run = FormRun::new(plan, &plan.first_step());
        let (mut resident_step, mut refused) = (None, None);
        let ours = plan.target.with(&[("mapping", "attention", "\"resident\"")]);
        match ours.map(|target| try_lower(model, &target)) {
            Ok(Ok(ours)) => {
                let accesses = super::accesses(&ours);
                let step = resident(&ours, accesses);
                resident_step = step.map(|step| BothPart::new(step, run.clone()));
            }
            Ok(Err(why)) => refused = why.found.list().first().map(|d| d.message.clone()),
            Err(why) => refused = why.list().first().map(|d| d.message.clone()),
        }
        FormReport {
            format_version: FORMAT_VERSION,
            model: model.file_name.clone(),
            target: target(&plan.target),
            mapping: MappingPart {
                attention: "indirect",
                gather: gather_name(plan.form.gather),
                ends_at: crate::tree::ENDS_AT,
                levels: crate::tree::LEVELS,
                why: WHY,
                assumed: assumed(plan),
            },
            full: FormRun::soon(plan, &plan.full_step()),
            run,
            resident: resident_step,
            resident_refused: refused,
            rows: (plan.layout.rows(), plan.target.rows),
        }
    }
}

/// What the form assumes, of this plan.
fn assumed(plan: &FormPlan) -> Vec<String> {
    let l = &plan.layout;
    let mut all = vec![
        "a value takes 2 bytes in a row and on the bus, as FP16 does; what is executed are exact integers, of up to \
         19 bits in a table, which FP16 would round"
            .to_string(),
        "a lookup is an all-bank column access at the all-bank interval, at a column of each bank's own".into(),
        "registers for codes and the buffer for a table have 512 bytes; units, bus and softmax keep up with whatever comes".into(),
        "a token is taken in as the paper clusters: distances from all centroids go to the buffer die".into(),
    ];
    if l.rows_in_reach() > 1 {
        all.push(format!(
            "a lookup of values reaches {} rows while one is open; `gather = \"element\"` needs no such thing",
            l.rows_in_reach()
        ));
    }
    all
}
