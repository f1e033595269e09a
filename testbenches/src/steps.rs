//! Runs of the interpreter, a vector each. Vectors of a function with a cache are steps: each begins
//! with what the one before has left in the banks.

use crate::reference::Compiled;
use pimc_golden::State;
use pimc_ir::{CacheId, Side};
use pimc_lower::attention::Driver;
use pimc_lower::images::Column;
use pimc_lower::interp::{Event, Machine};

/// One run.
#[derive(Clone, Debug, Default)]
pub struct StepRun {
    /// Arguments that the host writes before it: address and word.
    pub args: Vec<(u32, u32)>,
    /// Argument memory then.
    pub memory: Vec<u32>,
    /// Everything that happens.
    pub events: Vec<Event>,
    /// The result.
    pub result: Vec<i64>,
    /// The clock of its end.
    pub end: u64,
    /// The clocks that the cost model expects.
    pub estimate: u64,
}

/// A machine that goes from step to step.
pub struct Steps<'a> {
    compiled: &'a Compiled,
    machine: Machine<'a>,
    driver: Option<Driver>,
}

impl<'a> Steps<'a> {
    /// Steps of a machine as `compiled` has it, or of another one that runs what files hold.
    ///
    /// # Errors
    /// As text, what the interpreter finds wrong with the plan.
    pub fn new(compiled: &'a Compiled) -> Result<Steps<'a>, String> {
        let machine = compiled.plan.machine(&compiled.banks).map_err(|f| f.to_string())?;
        Ok(Steps::of(compiled, machine))
    }

    /// The same on a machine that is given.
    pub fn of(compiled: &'a Compiled, machine: Machine<'a>) -> Steps<'a> {
        Steps { compiled, machine, driver: compiled.plan.driver() }
    }

    /// The next step.
    ///
    /// # Errors
    /// The clock, the instruction, and why.
    pub fn run(&mut self, inputs: &[Vec<i64>]) -> Result<StepRun, pimc_lower::interp::Fault> {
        let plan = &self.compiled.plan;
        let mut run = StepRun::default();
        if let Some(driver) = &mut self.driver {
            let fault = |e: pimc_lower::attention::StepError| pimc_lower::interp::Fault {
                cycle: 0,
                instr: 0,
                why: e.to_string(),
            };
            run.args = plan.step_args(driver, inputs).map_err(fault)?;
            for &(addr, word) in &run.args {
                self.machine.host_arg(addr, word)?;
            }
        }
        (run.result, run.end) = plan.run_to_end(&mut self.machine, inputs, &mut run.events)?;
        run.memory = self.machine.args().to_vec();
        run.estimate = plan.estimate_with(&run.memory);
        Ok(run)
    }

    /// Argument memory of the last step.
    pub fn args(&self) -> &[u32] {
        self.machine.args()
    }

    /// What of the cache in the banks is not as golden has it, in words.
    pub fn differs(&self, state: &State) -> Option<Difference> {
        let (cache, driver) = (self.compiled.plan.cache.as_ref()?, self.driver.as_ref()?);
        let held = state.cache(CacheId(cache.id.0));
        let read = |bank, row, col| -> Option<Column> { self.machine.column(bank, row, col) };
        let difference =
            |what: String, expected: String, got: String| Some(Difference { what, expected, got });
        if driver.length() as usize != held.tokens() {
            let (tokens, length) = (held.tokens().to_string(), driver.length().to_string());
            return difference("tokens of the cache".into(), tokens, length);
        }
        for side in Side::BOTH {
            let name = format!("{side:?}").to_lowercase();
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

/// Something in the banks that is not as golden has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What.
    pub what: String,
    /// Golden's.
    pub expected: String,
    /// What the banks hold.
    pub got: String,
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
            runs.push(steps.run(inputs).map_err(|fault| (i, fault.to_string()))?);
        }
        Ok(runs)
    }
}
