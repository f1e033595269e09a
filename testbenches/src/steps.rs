//! Runs of the interpreter, a vector each. Vectors of a function with a cache are steps: each begins
//! with what the one before has left in the banks.

use crate::reference::Compiled;
use crate::report::Divergence;
use pimc_golden::attention::CacheState;
use pimc_golden::State;
use pimc_ir::Side;
use pimc_lower::attention::Driver;
use pimc_lower::images::Column;
use pimc_lower::interp::{Event, Fault, Machine};

/// One run.
#[derive(Clone, Debug, Default)]
pub struct StepRun {
    /// Argument memory, which the host writes before it.
    pub args: Vec<u32>,
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
    /// The clock, the instruction, and why.
    pub fn run(&mut self, inputs: &[Vec<i64>]) -> Result<StepRun, Fault> {
        let (plan, machine) = (&self.compiled.plan, &mut self.machine);
        let mut run = StepRun::default();
        (run.result, run.end) = match &mut self.driver {
            Some(driver) => plan.run_step(machine, driver, inputs, &mut run.events)?,
            None => plan.run_to_end(machine, inputs, &mut run.events)?,
        };
        run.args = machine.args().to_vec();
        run.estimate = plan.estimate_with(&run.args);
        Ok(run)
    }

    /// Argument memory of the last step.
    pub fn args(&self) -> &[u32] {
        self.machine.args()
    }

    /// What of the cache in the banks is not as golden has it.
    pub fn differs(&self, state: &State) -> Option<Divergence> {
        let (cache, driver) = (self.compiled.plan.cache.as_ref()?, self.driver.as_ref()?);
        let read = |bank, row, col| -> Option<Column> { self.machine.column(bank, row, col) };
        differs(
            state.cache(cache.id),
            driver.length(),
            &|side| cache.codes(driver, side, &read),
            &|side, position| cache.exact(driver, side, position, &read),
        )
    }
}

/// What of a cache of `length` tokens in the banks, by its codes and exact tokens, is not as golden has it.
pub(crate) fn differs(
    held: &CacheState,
    length: u32,
    codes: &dyn Fn(Side) -> Option<Vec<u16>>,
    exact: &dyn Fn(Side, u32) -> Option<Vec<i8>>,
) -> Option<Divergence> {
    let difference = |signal: String, expected: String, got: String| {
        Some(Divergence { signal, expected, got, ..Divergence::default() })
    };
    if length as usize != held.tokens() {
        let (tokens, length) = (held.tokens().to_string(), length.to_string());
        return difference("tokens of the cache".into(), tokens, length);
    }
    let ty = held.ty();
    for side in Side::BOTH {
        let name = format!("{side:?}").to_lowercase();
        let codes = codes(side).unwrap_or_default();
        let expected = held.codes(side);
        if let Some(i) = (0..expected.len()).find(|&i| codes.get(i) != Some(&expected[i])) {
            let (heads, parts) = (ty.kv_heads, ty.parts());
            let (t, g, j) = (i / parts / heads, i / parts % heads, i % parts);
            let what = format!("code {j} of the {name} of head {g}, token {}", t + ty.sink);
            let got = codes.get(i).map_or("nothing".into(), ToString::to_string);
            return difference(what, expected[i].to_string(), got);
        }
        for position in 0..length {
            let token = held.exact(position as usize).map(|t| t.side(side));
            let got = exact(side, position);
            if got.as_deref() != token {
                let what = format!("{name} of the exact token {position}");
                return difference(what, format!("{token:?}"), format!("{got:?}"));
            }
        }
    }
    None
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
