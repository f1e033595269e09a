//! Runs of the interpreter. A vector takes one run of the program, or, where the host launches it
//! several times, several. Vectors of a function with a cache are steps: each begins with what the
//! one before has left in the banks.

use crate::error::Error;
use crate::reference::Compiled;
use crate::report::Divergence;
use pimc_golden::State;
use pimc_ir::Side;
use pimc_lower::attention::{Driver, HostColumn, Launch};
use pimc_lower::images::Column;
use pimc_lower::interp::{Event, Fault, Machine};

/// Which run of which vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct RunAt {
    /// The vector.
    pub vector: usize,
    /// Which of its runs, where it takes several.
    pub launch: Option<usize>,
}

/// One run of the program.
#[derive(Clone, Debug, Default)]
pub struct LaunchRun {
    /// Argument memory at its start.
    pub args: Vec<u32>,
    /// What the host writes to the banks before it.
    pub columns: Vec<HostColumn>,
    /// Everything that happens.
    pub events: Vec<Event>,
    /// The clock of its end.
    pub end: u64,
    /// The clocks that the cost model expects.
    pub estimate: u64,
}

/// The runs of one vector.
#[derive(Clone, Debug, Default)]
pub struct StepRun {
    /// One after the other, at least one.
    pub launches: Vec<LaunchRun>,
    /// The result, after the last of them.
    pub result: Vec<i64>,
}

impl StepRun {
    /// Clocks of all runs.
    pub fn cycles(&self) -> u64 {
        self.launches.iter().map(|run| run.end).sum()
    }

    /// Clocks that the cost model expects of them.
    pub fn estimate(&self) -> u64 {
        self.launches.iter().map(|run| run.estimate).sum()
    }

    /// All that happens, run after run.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.launches.iter().flat_map(|run| &run.events)
    }

    /// What run `launch` of this vector is called.
    pub fn at(&self, vector: usize, launch: usize) -> RunAt {
        RunAt { vector, launch: (self.launches.len() > 1).then_some(launch) }
    }
}

/// A run that the interpreter cannot go on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Which of the vector's runs, where it takes several.
    pub launch: Option<usize>,
    /// The clock, the instruction, and why.
    pub fault: Fault,
}

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.launch {
            Some(launch) => write!(f, "launch {launch}: {}", self.fault),
            None => self.fault.fmt(f),
        }
    }
}

/// A machine that goes from step to step.
pub struct Steps<'a> {
    compiled: &'a Compiled,
    pub(crate) machine: Machine<'a>,
    pub(crate) driver: Option<Driver>,
}

impl<'a> Steps<'a> {
    /// Steps of the plan's own machine.
    ///
    /// # Errors
    /// As text, what the interpreter finds wrong with the plan.
    pub fn new(compiled: &'a Compiled) -> Result<Steps<'a>, String> {
        let machine = compiled.plan.machine(&compiled.banks).map_err(|f| f.to_string())?;
        Ok(Steps::of(compiled, machine))
    }

    /// The same on a machine that runs what files hold.
    pub fn of(compiled: &'a Compiled, machine: Machine<'a>) -> Steps<'a> {
        Steps { compiled, machine, driver: compiled.plan.driver() }
    }

    /// The next step.
    ///
    /// # Errors
    /// The run, the clock, the instruction, and why.
    pub fn run(&mut self, inputs: &[Vec<i64>]) -> Result<StepRun, Stopped> {
        let launches = match &mut self.driver {
            Some(driver) => self.compiled.plan.launches(driver, inputs).map_err(|e| Stopped {
                launch: None,
                fault: Fault { cycle: 0, instr: 0, why: e.to_string() },
            })?,
            None => vec![Launch::default()],
        };
        self.launch(inputs, launches)
    }

    /// A step that takes these runs.
    ///
    /// # Errors
    /// As [`Steps::run`].
    pub fn launch(
        &mut self,
        inputs: &[Vec<i64>],
        launches: Vec<Launch>,
    ) -> Result<StepRun, Stopped> {
        let (several, mut step) = (launches.len() > 1, StepRun::default());
        for (i, launch) in launches.into_iter().enumerate() {
            let fault = |fault| Stopped { launch: several.then_some(i), fault };
            if i == 0 {
                self.host_inputs(inputs).map_err(fault)?;
            }
            step.launches.push(self.one(launch).map_err(fault)?);
        }
        let (plan, machine) = (&self.compiled.plan, &self.machine);
        step.result = plan.result_of(&|addr| machine.host_read(addr));
        Ok(step)
    }

    /// Writes a vector's inputs, which stay in vector memory for all of its runs.
    fn host_inputs(&mut self, inputs: &[Vec<i64>]) -> Result<(), Fault> {
        let words = self.compiled.host_writes(inputs);
        words.into_iter().try_for_each(|(addr, word)| self.machine.host_write(addr, word))
    }

    /// One run of the program.
    fn one(&mut self, launch: Launch) -> Result<LaunchRun, Fault> {
        let machine = &mut self.machine;
        let Launch { args, columns } = launch;
        args.into_iter().try_for_each(|(addr, word)| machine.host_arg(addr, word))?;
        columns.iter().try_for_each(|c| machine.host_column(c.bank, c.row, c.col, c.data))?;
        let mut events = Vec::new();
        let end = machine.run(&mut events)?;
        let args = machine.args().to_vec();
        let estimate = self.compiled.plan.estimate_with(&args);
        Ok(LaunchRun { args, columns, events, end, estimate })
    }

    /// What of the cache in the banks is not as golden has it.
    pub fn differs(&self, state: &State) -> Option<Divergence> {
        let (cache, driver) = (self.compiled.plan.cache.as_ref()?, self.driver.as_ref()?);
        let held = state.cache(cache.id);
        let read = |bank, row, col| -> Option<Column> { self.machine.column(bank, row, col) };
        let difference = |signal: String, expected: String, got: String| {
            Some(Divergence { signal, expected, got, ..Divergence::default() })
        };
        if driver.length() as usize != held.tokens() {
            let (tokens, length) = (held.tokens().to_string(), driver.length().to_string());
            return difference("tokens of the cache".into(), tokens, length);
        }
        for side in Side::BOTH {
            let name = format!("{side:?}").to_lowercase();
            let (book, ty) = (held.codebook(side), cache.ty);
            for group in 0..cache.layout.groups {
                let got = cache.codebook(side, group, &read).unwrap_or_default();
                let Some(i) = (0..book.len()).find(|&i| got.get(i) != Some(&book[i])) else {
                    continue;
                };
                let (part, at) = (i / ty.sub / ty.k, i / ty.sub % ty.k);
                let what = format!(
                    "element {} of centroid {at} of sub-vector {} of the {name} of head {}, in the \
                     banks of token group {group}",
                    i % ty.sub,
                    part % ty.parts(),
                    part / ty.parts()
                );
                let got = got.get(i).map_or("nothing".into(), ToString::to_string);
                return difference(what, book[i].to_string(), got);
            }
            let codes = cache.codes(driver, side, &read).unwrap_or_default();
            let expected = held.codes(side);
            if let Some(i) = (0..expected.len()).find(|&i| codes.get(i) != Some(&expected[i])) {
                let (heads, parts) = (cache.ty.kv_heads, cache.ty.parts());
                let (t, g, j) = (i / parts / heads, i / parts % heads, i % parts);
                let what =
                    format!("code {j} of the {name} of head {g}, token {}", t + cache.ty.sink);
                let got = codes.get(i).map_or("nothing".into(), ToString::to_string);
                return difference(what, expected[i].to_string(), got);
            }
            for position in 0..driver.length() {
                let token = held.exact(position as usize).map(|t| t.side(side));
                let got = cache.exact(driver, side, position, &read);
                if got.as_deref() != token {
                    let what = format!("{name} of the exact token {position}");
                    return difference(what, format!("{token:?}"), format!("{got:?}"));
                }
            }
        }
        None
    }
}

impl Compiled {
    /// The runs of all vectors.
    ///
    /// # Errors
    /// The vector, and why it does not run.
    pub fn runs(&self, vectors: &[Vec<Vec<i64>>]) -> Result<Vec<StepRun>, (usize, String)> {
        let mut steps = Steps::new(self).map_err(|why| (0, why))?;
        let mut runs = Vec::with_capacity(vectors.len());
        for (i, inputs) in vectors.iter().enumerate() {
            runs.push(steps.run(inputs).map_err(|stopped| (i, stopped.to_string()))?);
        }
        Ok(runs)
    }

    /// The same, or an error that says what the inputs must be.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(crate) fn steps(&self, vectors: &[Vec<Vec<i64>>]) -> Result<Vec<StepRun>, Error> {
        self.runs(vectors).map_err(|(i, why)| Error::Usage {
            what: format!("step {i} cannot be run: {why}"),
            help: match self.plan.cache.as_ref().and_then(|cache| cache.cluster) {
                Some(_) => {
                    "cluster as many tokens as the step and the cache have room for, none of which \
                     weighs less than 0"
                }
                None => "append as many tokens as the step and the cache have room for",
            }
            .into(),
        })
    }
}
