//! Co-simulation of an output tree: the same vectors through every level, compared word for word.
//!
//! The reference is golden, from the model alone. The model is also lowered anew in memory, and
//! the interpreter's run of that plan, checked against golden op by op, says what the waveform must
//! show. What is examined is what stands in the files: program, images, constants, Verilog.

use crate::dram::DramTiming;
use crate::error::Error;
use crate::form;
use crate::inputs::Inputs;
use crate::native_level::Native;
use crate::progress::Progress;
use crate::reference::{Compiled, PlanReference};
use crate::report::{Divergence, Level, LevelRun, Report, WaveSummary};
use crate::rtl_level::{self, Job, Outcome};
use crate::steps::{StepRun, Steps};
use crate::testbench::{self, Simulation, Traced};
use crate::verilator::{build, cache_dir, Toolchain, WaveFormat};
use crate::wave::expect::Reference;
use crate::wave::{check, WaveResult};
use itertools::Itertools;
use pimc_golden::{State, Trace};
use pimc_ir::Model;
use pimc_lower::commands::{expand_with, Expanded};
use pimc_lower::interp::{Event, Fault};
use pimc_lower::legality;
use pimc_lower::tree::{read_any, read_tree, FileBanks, ReadTree, TreeFiles};
use pimc_rtl::isa::Instr;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What to co-simulate and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The input vectors.
    pub inputs: Inputs,
    /// The levels to run; golden is always evaluated, since all others are compared with it.
    pub levels: Vec<Level>,
    /// Whether the levels were named one by one. All levels are what a tree has, unless they were; any
    /// that it does not have is refused if it was named.
    pub named: bool,
    /// Vectors that the level native runs, at most: it is some hundred times slower than the
    /// others. The report says how many were run.
    pub native_vectors: usize,
    /// Verilator to use, instead of looking for one.
    pub verilator: Option<PathBuf>,
    /// File for the waveform of the first vector, which is then kept; its form is the build's.
    pub wave: Option<PathBuf>,
    /// The form of wave files.
    pub wave_format: WaveFormat,
    /// Whether wave files hold all signals, instead of those that are checked.
    pub trace_all: bool,
    /// Bytes of waveforms after which further vectors are run without one; the report says how
    /// many were checked.
    pub max_wave_bytes: u64,
    /// Folder for what is kept between runs; the user's cache folder if none is given.
    pub cache: Option<PathBuf>,
}

impl Options {
    /// Every level on these inputs, everything else as most people want it.
    pub fn new(inputs: Inputs) -> Options {
        Options {
            inputs,
            levels: Level::ALL.to_vec(),
            named: false,
            native_vectors: 2,
            verilator: None,
            wave: None,
            wave_format: WaveFormat::Vcd,
            trace_all: false,
            max_wave_bytes: 8 << 30,
            cache: None,
        }
    }
}

/// A tree taken apart: what it must do, and what its files hold.
pub(crate) struct Tree {
    /// From the model in the tree.
    pub(crate) compiled: Compiled,
    /// From `schedule/program.hex`.
    pub(crate) program: Vec<Instr>,
    /// From `mem/bank_*.hex`.
    pub(crate) banks: FileBanks,
    /// From `mem/buffer.hex`.
    pub(crate) constants: Vec<(u32, i64)>,
    /// Names and texts of `rtl/*.sv`.
    pub(crate) rtl: Vec<(String, String)>,
    /// Files that are not what the manifest says.
    pub(crate) changed: Vec<String>,
    pub(crate) dir: PathBuf,
}

impl Tree {
    pub(crate) fn read(dir: &Path) -> Result<Tree, Error> {
        Tree::of(read_tree(dir)?)
    }

    fn of(tree: TreeFiles) -> Result<Tree, Error> {
        let TreeFiles { dir, model, plan, program, banks, constants, rtl, changed } = tree;
        let mut texts = Vec::new();
        for name in rtl {
            let path = dir.join(&name);
            let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
            let file = path.file_name().map(|n| n.to_string_lossy().into_owned());
            texts.push((file.unwrap_or(name), text));
        }
        let compiled = Compiled::of_plan(model, plan);
        Ok(Tree { compiled, program, banks, constants, rtl: texts, changed, dir })
    }
}

/// Runs the levels on the tree in `dir` and compares them.
///
/// # Errors
/// What keeps it from an answer: a damaged tree, inputs that do not fit, a missing tool. That levels
/// differ is an answer: [`Report::divergence`].
pub fn cosim(dir: &Path, options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    progress.stage("reading the output tree");
    let tree = match read_any(dir)? {
        ReadTree::Hardware(tree) => Tree::of(*tree)?,
        ReadTree::Form(tree) => return form::cosim(*tree, options, progress),
    };
    let vectors = options.inputs.vectors(&tree.compiled.model.module)?;
    let mut report = Report::new(&tree.compiled, vectors.len(), tree.changed.clone());
    let compiled = &tree.compiled;
    // Steps on a cache: each one's reference follows from those before.
    let steps = compiled.plan.cache.as_ref().map(|_| compiled.runs(&vectors)).transpose();
    let steps = steps.map_err(|(i, why)| no_step(i, why))?;
    if let Some(steps) = &steps {
        report.set_steps(steps);
    }
    let run = Run { tree: &tree, vectors: &vectors, steps, options, progress };
    report.divergence = run.levels(&mut report)?;
    Ok(report)
}

/// A step that is not one of this cache.
pub(crate) fn no_step(step: usize, why: impl std::fmt::Display) -> Error {
    Error::Usage {
        what: format!("step {step} cannot be run: {why}"),
        help: "append as many tokens as the step and the cache have room for".into(),
    }
}

/// Checks the waveform `wave`, made by any simulator from the tree in `dir`. The inputs of each run
/// are those given, or what the waveform shows the host write.
///
/// # Errors
/// As [`cosim`], and a wave file that cannot be read or shows another design.
pub fn check_wave(dir: &Path, wave: &Path, inputs: Option<&Inputs>) -> Result<WaveReport, Error> {
    let tree = Tree::read(dir)?;
    let compiled = &tree.compiled;
    let vectors = match inputs {
        Some(inputs) => Some(inputs.vectors(&compiled.model.module)?),
        None => None,
    };
    let steps = match &vectors {
        Some(vectors) if compiled.plan.cache.is_some() => {
            let fault = |(i, why)| Error::Usage {
                what: format!("step {i} cannot be run: {why}"),
                help: "give the inputs that the waveform was made with".into(),
            };
            Some(compiled.runs(vectors).map_err(fault)?)
        }
        _ => None,
    };
    let mut reference = match &vectors {
        Some(vectors) => PlanReference::given(compiled, vectors, steps.as_deref(), 0),
        None => PlanReference::recovered(compiled),
    };
    let WaveResult { counts, divergence } = check(wave, &mut reference)?;
    let divergence = divergence.map(|(mut d, op)| {
        d.op = op.and_then(|o| compiled.place(o));
        d.wave = Some(wave.to_path_buf());
        d
    });
    Ok(WaveReport { counts, divergence })
}

/// What the check of one wave file came to.
#[derive(Clone, Debug, serde::Serialize)]
pub struct WaveReport {
    /// How much was compared.
    pub counts: crate::report::WaveCounts,
    /// The first difference.
    pub divergence: Option<Divergence>,
}

struct Run<'a> {
    tree: &'a Tree,
    vectors: &'a [Vec<Vec<i64>>],
    /// The runs of all vectors, of a function with a cache.
    steps: Option<Vec<StepRun>>,
    options: &'a Options,
    progress: &'a dyn Progress,
}

impl Run<'_> {
    fn asked(&self, level: Level) -> bool {
        self.options.levels.contains(&level)
    }

    fn levels(&self, report: &mut Report) -> Result<Option<Divergence>, Error> {
        let (golden, states) = self.golden(report)?;
        if let Some(d) = self.reference(&golden)? {
            return Ok(Some(d));
        }
        if self.asked(Level::Schedule) {
            if let Some(d) = self.schedule(&golden, &states, report) {
                return Ok(Some(d));
            }
        }
        if self.asked(Level::Native) {
            if let Some(d) = self.native(&golden, report)? {
                return Ok(Some(d));
            }
        }
        if self.asked(Level::Rtl) {
            return self.rtl(&golden, report);
        }
        Ok(None)
    }

    /// Golden's traces, and what caches hold after each step.
    fn golden(&self, report: &mut Report) -> Result<(Vec<Trace>, Vec<State>), Error> {
        let model = &self.tree.compiled.model;
        golden(model, self.vectors, self.steps.is_some(), self.progress, report)
    }

    /// The plan made anew against golden, on the first vector: what the waveforms are compared with
    /// is itself right. (Each further vector's reference is compared where it is used.)
    fn reference(&self, golden: &[Trace]) -> Result<Option<Divergence>, Error> {
        let compiled = &self.tree.compiled;
        let what = "the model lowered anew";
        if let Some(steps) = &self.steps {
            let compare = |i: usize| {
                let (inputs, run) = (&self.vectors[i], &steps[i]);
                compiled.compare_values(what, i, inputs, &run.events, &golden[i])
            };
            return Ok((0..steps.len()).find_map(compare));
        }
        Ok(match compiled.run(&self.vectors[0]) {
            Ok((events, _)) => {
                compiled.compare_values(what, 0, &self.vectors[0], &events, &golden[0])
            }
            Err(why) => Some(fault(what, 0, why)),
        })
    }

    fn schedule(
        &self,
        golden: &[Trace],
        states: &[State],
        report: &mut Report,
    ) -> Option<Divergence> {
        self.progress.stage("schedule");
        let (tree, compiled) = (self.tree, &self.tree.compiled);
        let machine = || {
            let shape = &compiled.plan.shape;
            let mut machine = pimc_lower::interp::Machine::new(shape, &tree.program, &tree.banks);
            let mut words = tree.constants.iter();
            words.try_for_each(|&(addr, word)| machine.host_write(addr, word))?;
            Ok(Steps::of(compiled, machine))
        };
        let mut steps: Result<Steps<'_>, Fault> = machine();
        if self.steps.is_none() {
            if let Some(d) = self.legal(&[]) {
                return Some(d);
            }
        }
        for (i, inputs) in self.vectors.iter().enumerate() {
            if self.steps.is_none() {
                // Every vector for itself.
                steps = machine();
            }
            let d = match steps.as_mut() {
                Err(fault) => Some(self.stopped(i, fault)),
                Ok(steps) => self.schedule_vector(steps, i, inputs, golden, states),
            };
            if d.is_some() {
                return d;
            }
            self.progress.vectors(i + 1, self.vectors.len());
        }
        report.levels.push(LevelRun { level: Level::Schedule, vectors: self.vectors.len() });
        None
    }

    /// What the interpreter could not do, and where.
    fn stopped(&self, vector: usize, e: &Fault) -> Divergence {
        let compiled = &self.tree.compiled;
        let mut d = fault("schedule", vector, e.why.clone());
        d.cycle = Some(e.cycle as i64);
        d.op = compiled.plan.op_of(e.instr).and_then(|o| compiled.place(o));
        d
    }

    fn schedule_vector(
        &self,
        steps: &mut Steps<'_>,
        i: usize,
        inputs: &[Vec<i64>],
        golden: &[Trace],
        states: &[State],
    ) -> Option<Divergence> {
        let (what, compiled) = ("schedule", &self.tree.compiled);
        let run = match steps.run(inputs) {
            Ok(run) => run,
            Err(fault) => return Some(self.stopped(i, &fault)),
        };
        if self.steps.is_some() {
            if let Some(mut d) = self.legal(steps.args()) {
                d.vector = Some(i);
                return Some(d);
            }
        }
        let found = compiled
            .compare_values(what, i, inputs, &run.events, &golden[i])
            .or_else(|| compiled.compare_result(what, i, &run.result, &golden[i]))
            .map(|d| self.trace_back(d, i, &run.events));
        let state = || {
            let d = steps.differs(states.get(i)?)?;
            Some(Divergence { what: what.into(), vector: Some(i), ..d })
        };
        found.or_else(state)
    }

    /// From a value that is wrong to the first event that was: its bank, command and cycle.
    fn trace_back(&self, wrong: Divergence, vector: usize, events: &[Event]) -> Divergence {
        let compiled = &self.tree.compiled;
        let expected = match &self.steps {
            Some(steps) => steps[vector].events.clone(),
            None => match compiled.run(&self.vectors[vector]) {
                Ok((expected, _)) => expected,
                Err(_) => return wrong,
            },
        };
        let Some(mut first) = compiled.compare_events(&wrong.what, vector, &expected, events)
        else {
            return wrong;
        };
        first.note = Some(format!(
            "from there {} comes out as {} instead of {}",
            wrong.signal, wrong.got, wrong.expected
        ));
        first
    }

    /// The first DRAM rule that the program in the tree breaks with these arguments.
    fn legal(&self, args: &[u32]) -> Option<Divergence> {
        let compiled = &self.tree.compiled;
        let target = &compiled.plan.target;
        let (mut commands, mut end) = (Vec::new(), 0);
        let refi = target.timing.refi;
        for item in expand_with(&self.tree.program, args, refi, target.columns) {
            match item {
                Ok(Expanded::Command(timed)) => commands.push(timed),
                Ok(Expanded::End { cycle }) => end = cycle,
                Err(e) => return Some(fault("schedule", 0, e.to_string())),
            }
        }
        let at = |cycle: u64| commands.iter().position(|c| c.cycle == cycle);
        let broken = legality::check(target, commands.iter().copied(), end).into_iter().next()?;
        let command = at(broken.cycle);
        let op = command.and_then(|c| compiled.plan.op_of(commands[c].instr));
        Some(Divergence {
            what: "schedule".into(),
            op: op.and_then(|o| compiled.place(o)),
            bank: broken.bank.map(|b| b as usize),
            command,
            cycle: Some(broken.cycle as i64),
            signal: broken.rule.into(),
            expected: broken.why.clone(),
            got: broken.to_string(),
            ..Divergence::default()
        })
    }

    fn native(&self, golden: &[Trace], report: &mut Report) -> Result<Option<Divergence>, Error> {
        self.progress.stage("native");
        let count = self.vectors.len().min(self.options.native_vectors.max(1));
        let (program, ran) = (self.program_words()?, AtomicUsize::new(0));
        // A channel per processor, each with neighbouring vectors: every run but a channel's first
        // begins with what the one before has left.
        // Steps on a cache go on from one another: a channel for all of them.
        let share = match self.steps {
            Some(_) => count,
            None => count.div_ceil(rayon::current_num_threads()),
        };
        let runs: Vec<_> = golden[..count]
            .par_chunks(share)
            .enumerate()
            .flat_map_iter(|(chunk, traces)| {
                let mut native = Native::new(self.tree, &program);
                let run = |(i, trace)| {
                    let steps = self.steps.as_deref();
                    let run = native.run(self.vectors, steps, chunk * share + i, trace);
                    self.progress.vectors(1 + ran.fetch_add(1, Ordering::Relaxed), count);
                    run
                };
                traces.iter().enumerate().map(run).collect::<Vec<_>>()
            })
            .collect();
        for run in runs {
            match run {
                Ok(counts) => report.native += counts,
                Err(d) => return Ok(Some(*d)),
            }
        }
        report.levels.push(LevelRun { level: Level::Native, vectors: count });
        Ok(None)
    }

    fn rtl(&self, golden: &[Trace], report: &mut Report) -> Result<Option<Divergence>, Error> {
        let options = self.options;
        let tools = Toolchain::find(options.verilator.as_deref())?;
        report.simulator = Some(tools.describe());
        self.progress.stage(&format!("building the simulation: {}", tools.describe()));
        let plan = &self.tree.compiled.plan;
        let design = testbench::design(
            &plan.shape,
            &DramTiming::of(&plan.target),
            plan.dram_rows.into(),
            &self.tree.rtl,
            if options.trace_all { Traced::All } else { Traced::Checked },
            options.wave_format,
        );
        let cache = options.cache.clone().unwrap_or_else(cache_dir);
        let built = build(&tools, &design, &cache)?;
        let folder = tempfile::Builder::new()
            .prefix("pimc-waves-")
            .tempdir()
            .map_err(Error::io(std::env::temp_dir()))?;
        self.progress.stage("rtl");
        let mut sim = Simulation::new(&built, &plan.shape, &self.tree.dir.join("mem"))?;
        let inputs: Vec<_> =
            self.vectors.iter().map(|v| self.tree.compiled.host_writes(v)).collect();
        let steps = self.steps.as_deref().unwrap_or_default();
        let args: Vec<Vec<u32>> = steps.iter().map(|step| step.args.clone()).collect();
        let longest = steps.iter().map(|step| step.end).max().unwrap_or(plan.cycles);
        let job = Job {
            constants: &self.tree.constants,
            program: &self.program_words()?,
            inputs: &inputs,
            args: &args,
            result: (plan.result.addr, plan.result.len as usize),
            max_clocks: 2 * (longest + u64::from(plan.shape.refi)),
            folder: folder.path(),
            format: options.wave_format,
            keep_first: options.wave.as_deref(),
            max_wave_bytes: options.max_wave_bytes,
        };
        let reference = |vector| -> Box<dyn Reference + '_> {
            let (compiled, steps) = (&self.tree.compiled, self.steps.as_deref());
            Box::new(PlanReference::given(compiled, self.vectors, steps, vector))
        };
        let done = |n| self.progress.vectors(n, self.vectors.len());
        let mut outcome = rtl_level::run(&mut sim, &job, &reference, &done)?;
        for result in &mut outcome.results {
            // In the order of its elements.
            let word = |addr: u32| result.get((addr - plan.result.addr) as usize).copied();
            *result = plan.result_of(&word);
        }
        report.waves = WaveSummary {
            vectors: outcome.waves.runs as usize,
            bytes: outcome.wave_bytes,
            counts: outcome.waves,
        };
        report.clocks_per_vector =
            (outcome.clocks).checked_div(outcome.results.len() as u64).unwrap_or(0);
        if let Some(clocks) = outcome.program.checked_div(outcome.results.len() as u64) {
            report.clocks.set_rtl(clocks);
        }
        let divergence = self.judge(&outcome, golden);
        if divergence.is_none() {
            report.levels.push(LevelRun { level: Level::Rtl, vectors: outcome.results.len() });
        }
        divergence.map(|d| self.keep_wave(d, &outcome)).transpose()
    }

    fn program_words(&self) -> Result<Vec<u128>, Error> {
        let isa = &self.tree.compiled.plan.shape.isa;
        pimc_rtl::program::encode(&self.tree.program, isa).map_err(|errors| {
            Error::content(self.tree.dir.join("schedule/program.hex"), errors.iter().join("; "))
        })
    }

    /// The first thing that is wrong with what the Verilog did.
    fn judge(&self, outcome: &Outcome, golden: &[Trace]) -> Option<Divergence> {
        let compiled = &self.tree.compiled;
        if let Some((d, op)) = &outcome.divergence {
            let mut d = d.clone();
            d.what = "rtl waveform".into();
            d.op = op.and_then(|o| compiled.place(o));
            return Some(d);
        }
        if let Some((vector, v, base)) = outcome.violation {
            return Some(Divergence {
                what: "dram".into(),
                vector: Some(vector),
                bank: v.bank,
                cycle: Some(v.cycle as i64 - base as i64),
                signal: format!("{} ({})", v.rule, v.about),
                expected: format!("no command before cycle {}", v.earliest as i64 - base as i64),
                got: format!("one in cycle {}", v.cycle as i64 - base as i64),
                note: Some(format!("{} rules were broken in all", v.count)),
                ..Divergence::default()
            });
        }
        for (i, result) in outcome.results.iter().enumerate() {
            let d = compiled.compare_result("rtl", i, result, &golden[i]);
            if d.is_some() {
                return d;
            }
        }
        outcome.endless.map(|vector| Divergence {
            what: "rtl".into(),
            vector: Some(vector),
            signal: "done_o".into(),
            expected: format!("the end after {} clocks", compiled.plan.cycles),
            got: "none".into(),
            ..Divergence::default()
        })
    }

    /// Moves the wave file that shows a difference to where it stays: `cosim/` in the tree.
    fn keep_wave(&self, mut d: Divergence, outcome: &Outcome) -> Result<Divergence, Error> {
        let Some(wave) = &outcome.wave else { return Ok(d) };
        if self.options.wave.as_ref() == Some(wave) {
            d.wave = Some(wave.clone());
            return Ok(d);
        }
        let folder = self.tree.dir.join("cosim");
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let kept = folder.join(wave.file_name().unwrap_or_default());
        std::fs::copy(wave, &kept).map_err(Error::io(&kept))?;
        d.wave = Some(kept);
        Ok(d)
    }
}

/// Golden's traces of all vectors, and if they are steps what caches hold after each.
pub(crate) fn golden(
    model: &Model,
    vectors: &[Vec<Vec<i64>>],
    steps: bool,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<(Vec<Trace>, Vec<State>), Error> {
    progress.stage("golden");
    let mut traces = Vec::with_capacity(vectors.len());
    // Vectors are successive steps of a model that has something to remember.
    let (mut state, mut states) = (State::initial(model), Vec::new());
    for (i, inputs) in vectors.iter().enumerate() {
        let trace = pimc_golden::run_step(model, &mut state, inputs).map_err(|e| Error::Usage {
            what: format!("golden cannot run vector {i}: {e}"),
            help: "give each input the length and the range of its type".into(),
        })?;
        traces.push(trace);
        states.extend(steps.then(|| state.clone()));
        progress.vectors(i + 1, vectors.len());
    }
    report.outputs = traces.iter().map(|t| t.result().to_vec()).collect();
    report.levels.push(LevelRun { level: Level::Golden, vectors: traces.len() });
    Ok((traces, states))
}

/// A level that could not go on.
pub(crate) fn fault(what: &str, vector: usize, why: String) -> Divergence {
    Divergence {
        what: what.into(),
        vector: Some(vector),
        signal: "the run".into(),
        expected: "to come to its end".into(),
        got: why,
        ..Divergence::default()
    }
}
