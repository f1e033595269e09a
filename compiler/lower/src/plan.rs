//! The plan of a model on a target: everything that the output tree is made from.

use crate::attention::literal::FormPlan;
use crate::attention::{self, CachePlan};
use crate::commands::{of_walk, Expanded};
use crate::estimate::Estimate;
use crate::legality::Violation;
use crate::mapping::{self, Choice, Fit, Region, StreamPlace, PROGRAM};
use crate::ranges::{self, Proof};
use crate::remedy::{remedy, Need};
use crate::schedule;
use crate::target::{Attention, Target};
use crate::walk::{ProgramError, RunsWalk};
use pimc_ir::{Diagnostics, Model};
use pimc_rtl::isa::{Instr, IsaShape};
use pimc_rtl::shape::ChannelShape;

/// A part of the program: from its first instruction to the next step's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The op of the function; none for the program's end.
    pub op: Option<usize>,
    /// Its first instruction.
    pub first: usize,
    /// The clock at which its own first action issues (refreshes and waits before it not counted).
    pub cycle: u64,
    /// The stream that it reads, by its index in [`Plan::streams`].
    pub stream: Option<usize>,
    /// Whether it reads codebooks of a cache.
    pub codebook: bool,
    /// What it does, for people.
    pub what: String,
}

/// What is built, what lies where, and what happens when.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The target.
    pub target: Target,
    /// The hardware.
    pub shape: ChannelShape,
    /// The schedule program.
    pub program: Vec<Instr>,
    /// Its steps, in order of `first`. Ops that need no instruction (slices) have none.
    pub steps: Vec<Step>,
    /// Where each value of the function lies in vector memory, indexed as `Func::values`. Regions
    /// of values that are never needed at the same time overlap.
    pub regions: Vec<Region>,
    /// Where the host writes each input.
    pub inputs: Vec<Region>,
    /// Where the host reads the result.
    pub result: Region,
    /// Constants that the host writes once: address and word.
    pub constants: Vec<(u32, i64)>,
    /// Where each part of each weight lies in the banks.
    pub streams: Vec<StreamPlace>,
    /// How each weight is split over the banks, and what the other way would have cost.
    pub splits: Vec<Choice>,
    /// What the cost model expected of the tasks before they were scheduled.
    pub estimate: Estimate,
    /// DRAM rows used of every bank, from row 0.
    pub dram_rows: u32,
    /// The proof behind the widths.
    pub proof: Proof,
    /// The clock of the program's end; of a function with a cache the clocks of its first step, those of all its runs.
    pub cycles: u64,
    /// What a function's cache needs.
    pub cache: Option<CachePlan>,
}

impl Plan {
    /// The first rule that the schedule breaks, by the checker that shares no code with the scheduler.
    ///
    /// # Errors
    /// The program does not run.
    pub fn violation(&self) -> Result<Option<Violation>, ProgramError> {
        for args in self.runs() {
            if let Some(violation) = self.violation_with(&args)? {
                return Ok(Some(violation));
            }
        }
        Ok(None)
    }

    /// Argument memory of every run that is told about: of a function with a cache those of its first step.
    pub fn runs(&self) -> Box<dyn Iterator<Item = Vec<u32>> + '_> {
        match &self.cache {
            Some(cache) => cache.runs(),
            None => Box::new(std::iter::once(Vec::new())),
        }
    }

    /// The instructions in the order of their issue, run after run: each begins at the clock at which the one
    /// before ends.
    pub fn walk(&self) -> RunsWalk<'_> {
        RunsWalk::new(&self.program, self.runs(), self.target.timing.refi)
    }

    /// The DRAM commands in the order of their issue, run after run as in [`Plan::walk`], and the last end.
    pub fn commands(&self) -> impl Iterator<Item = Result<Expanded, ProgramError>> + '_ {
        let mut end = None;
        let items = of_walk(self.walk(), self.target.columns).map(Some).chain([None]);
        items.filter_map(move |item| match item {
            Some(Ok(Expanded::End { cycle })) => {
                end = Some(cycle);
                None
            }
            Some(item) => Some(item),
            None => end.map(|cycle| Ok(Expanded::End { cycle })),
        })
    }

    /// Fills in the clocks of the run that is told about.
    pub(crate) fn run_once(&mut self) {
        let mut cycles = vec![None; self.program.len()];
        let mut end = 0;
        for issue in self.walk().flatten() {
            cycles[issue.index].get_or_insert(issue.cycle);
            end = issue.cycle;
        }
        for step in &mut self.steps {
            // What the run skips begins where the next does.
            let first = cycles[step.first..].iter().flatten().next();
            step.cycle = first.copied().unwrap_or(end);
        }
        self.cycles = end;
    }

    /// The step that an instruction belongs to.
    pub fn step_of(&self, instr: usize) -> Option<&Step> {
        let after = self.steps.partition_point(|s| s.first <= instr);
        // What precedes the first step is its refresh.
        self.steps.get(after.saturating_sub(1))
    }

    /// The op that an instruction belongs to.
    pub fn op_of(&self, instr: usize) -> Option<usize> {
        self.step_of(instr).and_then(|s| s.op)
    }
}

/// Why a model was not lowered.
#[derive(Clone, Debug)]
pub struct Refused {
    /// For people.
    pub found: Diagnostics,
    /// The values of the target that are too small; empty where something else stands in the way.
    pub needs: Vec<Need>,
}

/// What a model becomes on a target.
#[derive(Clone, Debug, PartialEq)]
pub enum Lowered {
    /// Hardware with its program.
    Hardware(Box<Plan>),
    /// A function on a cache in the paper's form (`attention = "indirect"`), which ends at the schedule.
    Form(Box<FormPlan>),
}

/// Lowers a model to a target: to what the target asks for.
///
/// # Errors
/// As [`lower`].
pub fn lower_any(model: &Model, target: &Target) -> Result<Lowered, Diagnostics> {
    with_remedy(model, target, &try_lower_any)
}

/// The same without looking for a change that makes room.
///
/// # Errors
/// As [`lower`].
pub fn try_lower_any(model: &Model, target: &Target) -> Result<Lowered, Refused> {
    match target.attention {
        Attention::Indirect(gather) if !model.module.caches.is_empty() => {
            FormPlan::new(model, target, gather).map(|plan| Lowered::Form(Box::new(plan)))
        }
        _ => try_lower(model, target).map(|plan| Lowered::Hardware(Box::new(plan))),
    }
}

/// Lowers a model to hardware for a target.
///
/// # Errors
/// P0606 to P0608, at the op: what the target has no room or no unit for, with the number needed
/// and the number there, and the smallest change of the target that makes room.
pub fn lower(model: &Model, target: &Target) -> Result<Plan, Diagnostics> {
    with_remedy(model, target, &try_lower)
}

/// Says the smallest change of the target that makes room beside what was refused.
fn with_remedy<T>(
    model: &Model,
    target: &Target,
    trial: &dyn Fn(&Model, &Target) -> Result<T, Refused>,
) -> Result<T, Diagnostics> {
    trial(model, target).map_err(|refused| {
        let again = |model: &Model, target: &Target| trial(model, target).err();
        let Some(change) = remedy(model, target, &refused.needs, &again) else {
            return refused.found;
        };
        let mut out = Diagnostics::new(model.file_name.clone(), model.source.clone());
        for (i, d) in refused.found.list().iter().enumerate() {
            let help = format!("the smallest change of the target that makes room: {change}");
            out.push(if i == 0 { d.clone().help(help) } else { d.clone() });
        }
        out
    })
}

/// The same without looking for a change that makes room, which takes as long as lowering some times.
///
/// # Errors
/// As [`lower`].
pub fn try_lower(model: &Model, target: &Target) -> Result<Plan, Refused> {
    if !model.module.caches.is_empty() {
        return attention::lower(model, target);
    }
    let mut fit = Fit::new(model, target);
    fit.types();
    if !fit.found.is_empty() {
        return Err(fit.refused());
    }
    let mapping = mapping::map(model, target);
    fit.mapping(&mapping);
    if !fit.found.is_empty() {
        return Err(fit.refused());
    }
    let proof = ranges::prove(model, &mapping);
    let mut shape = mapping::shape(model, target, &mapping, &proof);
    fit.hardware(&shape, &proof);
    if !fit.found.is_empty() {
        return Err(fit.refused());
    }
    let estimate = Estimate::new(model, target, &shape, &mapping);
    let schedule::Schedule { program, steps } = schedule::schedule(model, target, &shape, &mapping);
    let last = model.module.func.ops.len().saturating_sub(1);
    let have = u128::from(target.program_words);
    fit.memory(last, PROGRAM, program.len() as u128, have);
    if !fit.found.is_empty() {
        return Err(fit.refused());
    }
    let depth = shape.buffer.depth;
    shape.isa = IsaShape::smallest(&program, &shape.bank, shape.beats, depth);
    let constants = mapping::constant_words(&mapping, &shape.buffer);
    shape.program_depth = program.len() as u32;
    fit.units(&shape);
    if !fit.found.is_empty() {
        return Err(fit.refused());
    }
    let func = &model.module.func;
    Ok(Plan {
        target: target.clone(),
        shape,
        cycles: steps.last().map_or(0, |s| s.cycle),
        program,
        steps,
        inputs: mapping.regions[..func.inputs].to_vec(),
        result: mapping.regions[func.result.0],
        regions: mapping.regions,
        constants,
        streams: mapping.streams,
        splits: mapping.splits,
        estimate,
        dram_rows: mapping.dram_rows as u32,
        proof,
        cache: None,
    })
}
