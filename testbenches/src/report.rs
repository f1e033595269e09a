//! What a co-simulation found out.

use crate::steps::{RunAt, StepRun};
use pimc_ir::Model;
use pimc_lower::legality::Violation;
use pimc_lower::Plan;
use serde::Serialize;
use std::path::PathBuf;

/// A way to execute a compiled model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The meaning of the ops, from the model alone.
    Golden,
    /// The program, interpreted on the memory images.
    Schedule,
    /// The hardware units, simulated without translation to Verilog.
    Native,
    /// The generated Verilog in Verilator.
    Rtl,
}

impl Level {
    /// Every level, from meaning to hardware.
    pub const ALL: [Level; 4] = [Level::Golden, Level::Schedule, Level::Native, Level::Rtl];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Level::Golden => "golden",
            Level::Schedule => "schedule",
            Level::Native => "native",
            Level::Rtl => "rtl",
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// An op, by place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpPlace {
    /// Name of the value it defines.
    pub name: String,
    /// File of the model.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

impl std::fmt::Display for OpPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "%{} at {}:{}:{}", self.name, self.file, self.line, self.column)
    }
}

/// The first place where two levels differ. Only what is known is given.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize)]
pub struct Divergence {
    /// What was compared: a level, `rtl waveform`, `dram`.
    pub what: String,
    /// Vector of the batch, from 0.
    pub vector: Option<usize>,
    /// Which of the vector's runs, from 0, where it takes several; clocks and commands are those of that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch: Option<usize>,
    /// The op.
    pub op: Option<OpPlace>,
    /// Bank.
    pub bank: Option<usize>,
    /// Place in `schedule/commands.csv`, from 0; of one of several runs among its own commands.
    pub command: Option<usize>,
    /// Clock since the program's first command.
    pub cycle: Option<i64>,
    /// Signal, value element or file.
    pub signal: String,
    /// What the reference says.
    pub expected: String,
    /// What was seen.
    pub got: String,
    /// A sentence that helps to go on from here.
    pub note: Option<String>,
    /// Wave file that shows it.
    pub wave: Option<PathBuf>,
}

impl Divergence {
    /// A broken rule of the DRAM.
    pub(crate) fn of_rule(broken: &Violation) -> Divergence {
        Divergence {
            bank: broken.bank.map(|bank| bank as usize),
            cycle: Some(broken.cycle as i64),
            signal: broken.rule.into(),
            expected: broken.why.clone(),
            got: broken.to_string(),
            ..Divergence::default()
        }
    }

    /// The same, as what was found in that run.
    pub(crate) fn in_run(self, at: RunAt) -> Divergence {
        Divergence { vector: Some(at.vector), launch: at.launch, ..self }
    }
}

impl std::fmt::Display for Divergence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.what, self.signal)?;
        if let Some(op) = &self.op {
            write!(f, "\n  op        {op}")?;
        }
        if let Some(v) = self.vector {
            write!(f, "\n  vector    {v}")?;
        }
        if let Some(l) = self.launch {
            write!(f, "\n  launch    {l}")?;
        }
        if let Some(b) = self.bank {
            write!(f, "\n  bank      {b}")?;
        }
        if let Some(c) = self.command {
            // The file has the commands of the run that is told about, which is one of several.
            let of = if self.launch.is_some() { "the launch" } else { "schedule/commands.csv" };
            write!(f, "\n  command   {c} of {of}")?;
        }
        if let Some(c) = self.cycle {
            write!(f, "\n  cycle     {c}")?;
        }
        write!(f, "\n  expected  {}\n  got       {}", self.expected, self.got)?;
        if let Some(n) = &self.note {
            write!(f, "\n  note      {n}")?;
        }
        if let Some(w) = &self.wave {
            write!(f, "\n  wave      {}", w.display())?;
        }
        Ok(())
    }
}

/// How much of a waveform was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
pub struct WaveCounts {
    /// Runs of the program.
    pub runs: u64,
    /// Rising clock edges.
    pub clocks: u64,
    /// Commands on the DRAM command port.
    pub commands: u64,
    /// Columns as the bank units took them, over all banks.
    pub reads: u64,
    /// Accumulators after a column, over all banks.
    pub columns: u64,
    /// Result words, over all banks.
    pub results: u64,
    /// Writes of vector memory.
    pub writes: u64,
}

impl std::ops::AddAssign for WaveCounts {
    fn add_assign(&mut self, o: WaveCounts) {
        self.runs += o.runs;
        self.clocks += o.clocks;
        self.commands += o.commands;
        self.reads += o.reads;
        self.columns += o.columns;
        self.results += o.results;
        self.writes += o.writes;
    }
}

/// A level that was run and agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LevelRun {
    /// Which.
    pub level: Level,
    /// How many vectors it ran.
    pub vectors: usize,
}

/// A level that the tree's mapping does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AbsentLevel {
    /// Which.
    pub level: Level,
    /// Why.
    pub why: String,
}

/// Commands that the DRAM's rules in SystemVerilog were played besides, and broke none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Steps.
    pub steps: usize,
    /// Their commands.
    pub commands: u64,
}

/// The waveforms of the level rtl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
pub struct WaveSummary {
    /// Vectors whose waveform was checked.
    pub vectors: usize,
    /// Bytes of wave files.
    pub bytes: u64,
    /// How much was compared.
    pub counts: WaveCounts,
}

/// The clocks of one run: as the cost model expected them, as scheduled, as the Verilog took them.
#[derive(Clone, Copy, Debug, PartialEq, Default, Serialize)]
pub struct Clocks {
    /// Expected of the tasks, before any instruction was placed; none where there is no cost model.
    pub estimate: Option<u64>,
    /// From the schedule's first command to its end.
    pub schedule: u64,
    /// At the level rtl, from the first command on the port to the end; none when it was not run.
    pub rtl: Option<u64>,
    /// How far the estimate is from the schedule, as a share of that.
    pub estimate_error: Option<f64>,
    /// How far the estimate is from the level rtl, as a share of that.
    pub estimate_rtl_error: Option<f64>,
    /// How far the schedule is from the level rtl, as a share of that.
    pub schedule_rtl_error: Option<f64>,
}

impl Clocks {
    pub(crate) fn new(plan: &Plan) -> Clocks {
        Clocks {
            estimate: Some(plan.estimate.cycles),
            schedule: plan.cycles,
            estimate_error: Some(plan.estimate.error(plan.cycles)),
            ..Clocks::default()
        }
    }

    /// Notes what the level rtl took.
    pub(crate) fn set_rtl(&mut self, clocks: u64) {
        let error = |of: u64| (clocks > 0).then(|| of as f64 / clocks as f64 - 1.0);
        self.rtl = Some(clocks);
        self.estimate_rtl_error = self.estimate.and_then(error);
        self.schedule_rtl_error = error(self.schedule);
    }
}

/// What a co-simulation came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// File of the model.
    pub model: String,
    /// Name of the target.
    pub target: String,
    /// Vectors given.
    pub vectors: usize,
    /// Levels that were run to their end and agreed with golden, and on how many vectors.
    pub levels: Vec<LevelRun>,
    /// Levels that there are not, since the mapping ends before them.
    pub absent: Vec<AbsentLevel>,
    /// Of a mapping that ends at the schedule: what the rules in SystemVerilog said of its commands; none
    /// where they were not asked.
    pub replayed: Option<Replayed>,
    /// Clocks that the schedule takes; of steps on a cache on average.
    pub cycles: u64,
    /// Clocks that the level rtl took per vector, from the host's start to the end; a start during an
    /// idle refresh waits for its end.
    pub clocks_per_vector: u64,
    /// The clocks of one run beside one another, with their errors.
    pub clocks: Clocks,
    /// How much of its signals was compared at the level native.
    pub native: WaveCounts,
    /// The waveforms.
    pub waves: WaveSummary,
    /// Verilator and compiler, if they were used.
    pub simulator: Option<String>,
    /// Files of the tree that are not what its manifest says.
    pub changed: Vec<String>,
    /// The first difference; none is success.
    pub divergence: Option<Divergence>,
    /// Type of the result.
    #[serde(skip)]
    pub result_ty: pimc_ir::VecTy,
    /// Golden's result for each vector.
    #[serde(skip)]
    pub outputs: Vec<Vec<i64>>,
}

impl Report {
    pub(crate) fn new(
        compiled: &crate::reference::Compiled,
        vectors: usize,
        changed: Vec<String>,
    ) -> Report {
        let plan = &compiled.plan;
        let clocks = Clocks::new(plan);
        Report::of(&compiled.model, &plan.target.name, clocks, vectors, changed)
    }

    /// With nothing found out yet.
    pub(crate) fn of(
        model: &Model,
        target: &str,
        clocks: Clocks,
        vectors: usize,
        changed: Vec<String>,
    ) -> Report {
        Report {
            model: model.file_name.clone(),
            target: target.to_string(),
            vectors,
            levels: Vec::new(),
            absent: Vec::new(),
            replayed: None,
            cycles: clocks.schedule,
            clocks_per_vector: 0,
            clocks,
            native: WaveCounts::default(),
            waves: WaveSummary::default(),
            simulator: None,
            changed,
            divergence: None,
            result_ty: model.module.func.result_ty,
            outputs: Vec::new(),
        }
    }

    /// Takes the clocks of the steps of a function with a cache, on average.
    pub(crate) fn set_steps(&mut self, steps: &[StepRun]) {
        let mean = |of: &dyn Fn(&StepRun) -> u64| {
            let sum: u64 = steps.iter().map(of).sum();
            sum.checked_div(steps.len() as u64).unwrap_or(0)
        };
        self.cycles = mean(&StepRun::cycles);
        let estimate = mean(&StepRun::estimate);
        self.clocks = Clocks {
            estimate: Some(estimate),
            schedule: self.cycles,
            estimate_error: Some(estimate as f64 / (self.cycles.max(1) as f64) - 1.0),
            ..Clocks::default()
        };
    }

    /// Whether all that was asked for agreed.
    pub fn agreed(&self) -> bool {
        self.divergence.is_none()
    }
}
