//! The levels of a co-simulation on an output tree, one after the other, each compared with golden.

use crate::cosim::{Options, Tree};
use crate::dram::DramTiming;
use crate::error::Error;
use crate::native_level::Native;
use crate::progress::Progress;
use crate::reference::PlanReference;
use crate::report::{Divergence, Level, LevelRun, Report, WaveSummary};
use crate::rtl_level::{self, Job, JobRun, JobVector, Outcome};
use crate::steps::{LaunchRun, RunAt, StepRun, Steps, Stopped};
use crate::testbench::{self, Simulation, Traced};
use crate::verilator::{build, cache_dir, Built, Toolchain};
use crate::wave::expect::Reference;
use itertools::Itertools;
use pimc_golden::{State, Trace};
use pimc_ir::Model;
use pimc_lower::commands::{expand_with, Expanded};
use pimc_lower::interp::Event;
use pimc_lower::legality;
use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(test)]
mod tests;

/// What the levels run on.
pub(crate) struct Run<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) vectors: &'a [Vec<Vec<i64>>],
    /// The runs of all vectors, of a function with a cache.
    pub(crate) steps: Option<Vec<StepRun>>,
    pub(crate) options: &'a Options,
    pub(crate) progress: &'a dyn Progress,
}

impl Run<'_> {
    fn asked(&self, level: Level) -> bool {
        self.options.levels.contains(&level)
    }

    pub(crate) fn levels(&self, report: &mut Report) -> Result<Option<Divergence>, Error> {
        let (golden, states) = self.golden(report)?;
        if let Some(d) = self.reference(&golden)? {
            return Ok(Some(d));
        }
        if self.asked(Level::Schedule) {
            if let Some(d) = self.schedule(&golden, &states, report) {
                return Ok(Some(d));
            }
        }
        std::thread::scope(|scope| {
            // Built on a thread of its own: steps on a cache leave the level native one processor.
            let building = self.asked(Level::Rtl).then(|| scope.spawn(|| self.built()));
            if self.asked(Level::Native) {
                if let Some(d) = self.native(&golden, report)? {
                    return Ok(Some(d));
                }
            }
            let Some(building) = building else { return Ok(None) };
            self.progress.stage("building the simulation");
            let built = building.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            self.rtl(&built, &golden, report)
        })
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
                compiled.compare_values(what, i, inputs, run.events(), &golden[i])
            };
            return Ok((0..steps.len()).find_map(compare));
        }
        Ok(match compiled.run(&self.vectors[0]) {
            Ok((events, _)) => {
                compiled.compare_values(what, 0, &self.vectors[0], &events, &golden[0])
            }
            Err(why) => Some(fault(what, RunAt::default(), why)),
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
            let written = words.try_for_each(|&(addr, word)| machine.host_write(addr, word));
            written.map_err(|fault| Stopped { launch: None, fault })?;
            Ok(Steps::of(compiled, machine))
        };
        let mut steps: Result<Steps<'_>, Stopped> = machine();
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
                Err(stopped) => Some(self.stopped(i, stopped)),
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
    fn stopped(&self, vector: usize, stopped: &Stopped) -> Divergence {
        let compiled = &self.tree.compiled;
        let Stopped { launch, fault: e } = stopped;
        let mut d = fault("schedule", RunAt { vector, launch: *launch }, e.why.clone());
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
            Err(stopped) => return Some(self.stopped(i, &stopped)),
        };
        if self.steps.is_some() {
            let broken = |(n, launch): (usize, &LaunchRun)| {
                let d = self.legal(&launch.args)?;
                Some(d.in_run(run.at(i, n)))
            };
            if let Some(d) = run.launches.iter().enumerate().find_map(broken) {
                return Some(d);
            }
        }
        let found = compiled
            .compare_values(what, i, inputs, run.events(), &golden[i])
            .or_else(|| compiled.compare_result(what, i, &run.result, &golden[i]));
        let state = || {
            let d = steps.differs(states.get(i)?)?;
            Some(Divergence { what: what.into(), vector: Some(i), ..d })
        };
        match found {
            Some(d) => Some(self.trace_back(d, i, &run)),
            // What is wrong in the banks but in no value may come of any of several runs.
            None if run.launches.len() > 1 => state().map(|d| self.trace_back(d, i, &run)),
            None => state(),
        }
    }

    /// From a value that is wrong to the first event that was: its bank, command and cycle.
    fn trace_back(&self, wrong: Divergence, vector: usize, run: &StepRun) -> Divergence {
        let compiled = &self.tree.compiled;
        let compare = |at: RunAt, expected: &[Event], events: &[Event]| {
            let d = compiled.compare_events(&wrong.what, vector, expected, events)?;
            Some(d.in_run(at))
        };
        let first = match &self.steps {
            Some(steps) => {
                let launches = steps[vector].launches.iter().zip(&run.launches).enumerate();
                let compare = |(n, (expected, got)): (usize, (&LaunchRun, &LaunchRun))| {
                    compare(run.at(vector, n), &expected.events, &got.events)
                };
                launches.into_iter().find_map(compare)
            }
            None => compiled.run(&self.vectors[vector]).ok().and_then(|(expected, _)| {
                let at = RunAt { vector, launch: None };
                compare(at, &expected, &run.launches.first()?.events)
            }),
        };
        let Some(mut first) = first else { return wrong };
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
                Err(e) => return Some(fault("schedule", RunAt::default(), e.to_string())),
            }
        }
        let at = |cycle: u64| commands.iter().position(|c| c.cycle == cycle);
        let broken = legality::check(target, commands.iter().copied(), end).into_iter().next()?;
        let command = at(broken.cycle);
        let op = command.and_then(|c| compiled.plan.op_of(commands[c].instr));
        Some(Divergence {
            what: "schedule".into(),
            op: op.and_then(|o| compiled.place(o)),
            command,
            ..Divergence::of_rule(&broken)
        })
    }

    fn native(&self, golden: &[Trace], report: &mut Report) -> Result<Option<Divergence>, Error> {
        self.progress.stage("native");
        let count = self.vectors.len().min(self.options.native_vectors.max(1));
        let of = self.runs(count);
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
                    let done =
                        || self.progress.vectors(1 + ran.fetch_add(1, Ordering::Relaxed), of);
                    native.run(self.vectors, steps, chunk * share + i, trace, &done)
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

    /// The simulator, and the simulation that it made of the tree's Verilog.
    fn built(&self) -> Result<(Toolchain, Built), Error> {
        let options = self.options;
        let tools = Toolchain::find(options.verilator.as_deref())?;
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
        Ok((tools, built))
    }

    fn rtl(
        &self,
        (tools, built): &(Toolchain, Built),
        golden: &[Trace],
        report: &mut Report,
    ) -> Result<Option<Divergence>, Error> {
        let options = self.options;
        report.simulator = Some(tools.describe());
        let plan = &self.tree.compiled.plan;
        let folder = tempfile::Builder::new()
            .prefix("pimc-waves-")
            .tempdir()
            .map_err(Error::io(std::env::temp_dir()))?;
        self.progress.stage("rtl");
        let mut sim = Simulation::new(built, &plan.shape, &self.tree.dir.join("mem"))?;
        let inputs: Vec<_> =
            self.vectors.iter().map(|v| self.tree.compiled.host_writes(v)).collect();
        let once = [JobRun { args: &[], columns: &[] }];
        let steps = self.steps.as_deref();
        let runs: Vec<Vec<JobRun<'_>>> = steps.unwrap_or_default().iter().map(job_runs).collect();
        let vector =
            |(i, inputs)| JobVector { inputs, runs: runs.get(i).map_or(&once, Vec::as_slice) };
        let launches = steps.unwrap_or_default().iter().flat_map(|step| &step.launches);
        let longest = launches.map(|run| run.end).max().unwrap_or(plan.cycles);
        let job = Job {
            constants: &self.tree.constants,
            program: &self.program_words()?,
            vectors: &inputs.iter().map(Vec::as_slice).enumerate().map(vector).collect_vec(),
            result: (plan.result.addr, plan.result.len as usize),
            max_clocks: 2 * (longest + u64::from(plan.shape.refi)),
            folder: folder.path(),
            format: options.wave_format,
            keep_first: options.wave.as_deref(),
            max_wave_bytes: options.max_wave_bytes,
        };
        let reference = |at| -> Box<dyn Reference + '_> {
            Box::new(PlanReference::given(&self.tree.compiled, self.vectors, steps, at))
        };
        let of = self.runs(self.vectors.len());
        let done = |n| self.progress.vectors(n, of);
        let mut outcome = rtl_level::run(&mut sim, &job, &reference, &done)?;
        for result in &mut outcome.results {
            // In the order of its elements.
            let word = |addr: u32| result.get((addr - plan.result.addr) as usize).copied();
            *result = plan.result_of(&word);
        }
        report.waves = WaveSummary {
            vectors: outcome.checked,
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

    /// How many runs the first `vectors` vectors take.
    fn runs(&self, vectors: usize) -> usize {
        let steps = self.steps.as_ref();
        steps.map_or(vectors, |steps| steps[..vectors].iter().map(|s| s.launches.len()).sum())
    }

    /// The clock in which a run ends.
    fn end_of(&self, at: RunAt) -> u64 {
        let step = self.steps.as_ref().and_then(|steps| steps.get(at.vector));
        let run = step.and_then(|step| step.launches.get(at.launch.unwrap_or(0)));
        run.map_or(self.tree.compiled.plan.cycles, |run| run.end)
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
        if let Some((at, v, base)) = outcome.violation {
            return Some(Divergence {
                what: "dram".into(),
                vector: Some(at.vector),
                launch: at.launch,
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
        outcome.endless.map(|at| Divergence {
            what: "rtl".into(),
            vector: Some(at.vector),
            launch: at.launch,
            signal: "done_o".into(),
            expected: format!("the end after {} clocks", self.end_of(at)),
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

/// The runs of a step as the host drives them.
fn job_runs(step: &StepRun) -> Vec<JobRun<'_>> {
    step.launches.iter().map(|run| JobRun { args: &run.args, columns: &run.columns }).collect()
}

/// A level that could not go on.
pub(crate) fn fault(what: &str, at: RunAt, why: String) -> Divergence {
    let d = Divergence {
        what: what.into(),
        signal: "the run".into(),
        expected: "to come to its end".into(),
        got: why,
        ..Divergence::default()
    };
    d.in_run(at)
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
