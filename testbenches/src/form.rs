//! Co-simulation of a mapping that ends at the schedule: attention in the paper's form. Its commands, as
//! they come, are executed on what the banks' files hold, checked against the DRAM's rules, and compared
//! with golden; there are no other levels.

use crate::cosim::Options;
use crate::dram::DramTiming;
use crate::error::Error;
use crate::levels::{fault, golden};
use crate::progress::Progress;
use crate::reference::{compare_result, place};
use crate::replay::{End, Replay};
use crate::report::{AbsentLevel, Clocks, Divergence, Level, LevelRun, Replayed, Report};
use crate::steps::{differs, no_step, RunAt};
use crate::verilator::{cache_dir, Toolchain};
use pimc_golden::{State, Trace};
use pimc_lower::attention::literal::{Checked, FormStep};
use pimc_lower::commands::Timed;
use pimc_lower::legality::{self, Checker, Violation};
use pimc_lower::tree::{FormFiles, WHY};

/// Clocks from the end of a step to the soonest refresh that may follow.
const END_MARGIN: u32 = 2;

/// The levels that this mapping has.
const LEVELS: [Level; 2] = [Level::Golden, Level::Schedule];

/// Runs golden and schedule on the tree and compares them.
pub(crate) fn cosim(
    tree: FormFiles,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let named = options.named || options.levels != Level::ALL;
    let absent: Vec<Level> = Level::ALL.into_iter().filter(|l| !LEVELS.contains(l)).collect();
    let wanted = absent.iter().find(|level| named && options.levels.contains(level));
    if let Some(level) = wanted.copied().or(options.wave.as_ref().map(|_| Level::Rtl)) {
        return Err(Error::Usage {
            what: format!("there is no level {level} in this tree: {WHY}"),
            help: "run `--level golden,schedule`, or compile with `attention = \"resident\"` under [mapping] of the target".into(),
        });
    }
    let vectors = options.inputs.vectors(&tree.model.module)?;
    let target = &tree.plan.target;
    let mut report = Report::of(
        &tree.model,
        &target.name,
        Clocks::default(),
        vectors.len(),
        tree.changed.clone(),
    );
    let absent = |level| AbsentLevel { level, why: WHY.into() };
    report.absent = Level::ALL.into_iter().filter(|l| !LEVELS.contains(l)).map(absent).collect();
    let steps = steps(&tree, &vectors)?;
    let (golden, states) = golden(&tree.model, &vectors, true, progress, &mut report)?;
    let run = Run { tree: &tree, vectors: &vectors, steps: &steps };
    if options.levels.contains(&Level::Schedule) {
        report.divergence = run.schedule(&golden, &states, progress, &mut report);
        // A second opinion, where nobody asked for less and there is somebody to ask.
        if report.divergence.is_none() && !named {
            if let Ok(tools) = Toolchain::find(options.verilator.as_deref()) {
                report.divergence = run.replay(&tools, options, progress, &mut report)?;
            }
        }
    }
    Ok(report)
}

/// The steps of all vectors.
fn steps(tree: &FormFiles, vectors: &[Vec<Vec<i64>>]) -> Result<Vec<FormStep>, Error> {
    let mut driver = tree.plan.driver();
    let step = |(i, inputs): (usize, &Vec<Vec<i64>>)| {
        tree.plan.step(&mut driver, inputs).map_err(|why| no_step(i, why, false))
    };
    vectors.iter().enumerate().map(step).collect()
}

struct Run<'a> {
    tree: &'a FormFiles,
    vectors: &'a [Vec<Vec<i64>>],
    steps: &'a [FormStep],
}

impl Run<'_> {
    /// The op that the commands serve.
    fn attend(&self) -> Option<crate::report::OpPlace> {
        place(&self.tree.model, self.tree.plan.ops.1)
    }

    fn schedule(
        &self,
        golden: &[Trace],
        states: &[State],
        progress: &dyn Progress,
        report: &mut Report,
    ) -> Option<Divergence> {
        progress.stage("schedule");
        if let Some(d) = self.file() {
            return Some(d);
        }
        let plan = &self.tree.plan;
        let (mut machine, mut driver) = (plan.machine(&self.tree.banks), plan.driver());
        let mut clocks = 0;
        for (i, (inputs, step)) in self.vectors.iter().zip(self.steps).enumerate() {
            // It has been made before: it is one of this cache.
            if let Err(why) = plan.step(&mut driver, inputs) {
                return Some(fault("schedule", RunAt { vector: i, launch: None }, why.to_string()));
            }
            machine.begin(&driver, plan.inputs(inputs));
            let mut checked = Checked(Checker::new(&plan.target));
            let made = plan.run(step, &mut (&mut machine, &mut checked));
            clocks += made.cycles;
            if let Some(broken) = checked.0.end(made.cycles).into_iter().next() {
                return Some(self.broken(Some(i), &broken, broken.instr));
            }
            let result = match machine.result() {
                Ok(result) => result,
                Err((clock, why)) => {
                    let mut d = fault("schedule", RunAt { vector: i, launch: None }, why);
                    (d.cycle, d.op) = (Some(clock as i64), self.attend());
                    return Some(d);
                }
            };
            let wrong = compare_result(&self.tree.model, "schedule", i, &result, &golden[i]);
            let read = |bank, row, col| machine.column(bank, row, col);
            let state = || {
                let held = states.get(i)?.cache(plan.id);
                let codes = |side| plan.layout.held_codes(&driver, side, &read);
                let exact = |side, at| plan.layout.held_exact(&driver, side, at, &read);
                let d = differs(held, driver.length(), &codes, &exact)?;
                Some(Divergence { what: "schedule".into(), vector: Some(i), ..d })
            };
            if let Some(d) = wrong.or_else(state) {
                return Some(d);
            }
            progress.vectors(i + 1, self.vectors.len());
        }
        report.cycles = clocks / self.vectors.len().max(1) as u64;
        report.clocks.schedule = report.cycles;
        let vectors = self.vectors.len();
        report.levels.push(LevelRun { level: Level::Schedule, vectors });
        None
    }

    /// What is wrong with the commands in the tree, which are those of a first step that appends all it can.
    fn file(&self) -> Option<Divergence> {
        const FILE: &str = "schedule/commands.csv";
        let plan = &self.tree.plan;
        let trace = &self.tree.commands;
        let difference = |at: usize, expected: String, got: String| {
            Some(Divergence {
                what: "schedule".into(),
                op: self.attend(),
                command: Some(at),
                signal: FILE.into(),
                expected,
                got,
                ..Divergence::default()
            })
        };
        let mut commands: Vec<Timed> = Vec::new();
        let made = plan.run(&plan.first_step(), &mut commands);
        let said = |t: Option<&Timed>| {
            let Some(t) = t else { return "nothing more".to_string() };
            let bank = t.bank.map_or("all banks".into(), |bank| format!("bank {bank}"));
            format!("{:?} of {bank} at clock {}", t.command, t.cycle)
        };
        let same =
            |a: &Timed, b: &Timed| (a.cycle, a.command, a.bank) == (b.cycle, b.command, b.bank);
        let most = commands.len().max(trace.commands.len());
        for at in 0..most {
            let (want, got) = (commands.get(at), trace.commands.get(at));
            if !matches!((want, got), (Some(a), Some(b)) if same(a, b)) {
                // That it is illegal says more than that it is another.
                let end = trace.end.unwrap_or(made.cycles);
                let broken = legality::check(&plan.target, trace.commands.iter().copied(), end);
                if let Some(broken) = broken.into_iter().next() {
                    let at = broken.instr.and_then(|line| {
                        trace.commands.iter().position(|command| command.instr == line)
                    });
                    return Some(self.broken(None, &broken, at));
                }
                return difference(at, said(want), said(got));
            }
        }
        let end = |cycle: Option<u64>| cycle.map_or("no end".into(), |c| format!("the end at {c}"));
        match trace.end == Some(made.cycles) {
            true => None,
            false => difference(most, end(Some(made.cycles)), end(trace.end)),
        }
    }

    fn broken(
        &self,
        vector: Option<usize>,
        broken: &Violation,
        command: Option<usize>,
    ) -> Divergence {
        Divergence {
            what: "schedule".into(),
            vector,
            op: self.attend(),
            command,
            ..Divergence::of_rule(broken)
        }
    }

    /// The commands of every step, played to the DRAM's rules in SystemVerilog.
    fn replay(
        &self,
        tools: &Toolchain,
        options: &Options,
        progress: &dyn Progress,
        report: &mut Report,
    ) -> Result<Option<Divergence>, Error> {
        let plan = &self.tree.plan;
        progress.stage(&format!("building the rules of the DRAM: {}", tools.describe()));
        let cache = options.cache.clone().unwrap_or_else(cache_dir);
        let mut replay = Replay::new(tools, &cache, plan.target.banks)?;
        report.simulator = Some(tools.describe());
        progress.stage("playing the commands to the rules");
        let timing = DramTiming::of(&plan.target);
        let mut played = Replayed { steps: 0, commands: 0 };
        for (i, step) in self.steps.iter().enumerate() {
            let mut commands: Vec<Timed> = Vec::new();
            let made = plan.run(step, &mut commands);
            let end = End { cycle: made.cycles, margin: END_MARGIN };
            if let Some(found) = replay.run(&timing, &commands, Some(end))?.first() {
                return Ok(Some(Divergence {
                    what: "dram".into(),
                    vector: Some(i),
                    op: self.attend(),
                    bank: found.bank.map(|bank| bank as usize),
                    cycle: Some(found.cycle as i64),
                    signal: found.rule.into(),
                    expected: format!("no command before cycle {}", found.earliest),
                    got: format!("one in cycle {}", found.cycle),
                    ..Divergence::default()
                }));
            }
            played.steps += 1;
            played.commands += commands.len() as u64;
            progress.vectors(i + 1, self.steps.len());
        }
        report.replayed = Some(played);
        Ok(None)
    }
}
