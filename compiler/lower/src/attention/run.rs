//! Running steps of a plan with a cache.

use super::Driver;
use crate::commands::{expand_with, Expanded};
use crate::interp::{Fault, Machine, Sink};
use crate::legality::{Checker, Violation};
use crate::plan::Plan;
use crate::walk::ProgramError;

impl Plan {
    /// Arguments and vectors that the host writes for a step with the function's inputs.
    ///
    /// # Errors
    /// If the step appends what it does not have or there is no room for; none of a plan without a
    /// cache.
    pub fn step_args(
        &self,
        driver: &mut Driver,
        inputs: &[Vec<i64>],
    ) -> Result<Vec<(u32, u32)>, Fault> {
        let fault = |why: String| Fault { cycle: 0, instr: 0, why };
        let Some(cache) = &self.cache else { return Ok(Vec::new()) };
        cache.step(driver, inputs).map_err(|e| fault(e.to_string()))
    }

    /// The result in the order of its elements, from how it lies in vector memory.
    pub fn result_of(&self, read: &dyn Fn(u32) -> Option<i64>) -> Vec<i64> {
        let at = |i: u32| self.cache.as_ref().map_or(i, |cache| cache.result_at(i));
        (0..self.result.len).filter_map(|i| read(self.result.addr + at(i))).collect()
    }

    /// Runs a machine of this plan for one step; the result.
    ///
    /// # Errors
    /// If an input does not fit, or what the hardware cannot do.
    pub fn run_step(
        &self,
        machine: &mut Machine<'_>,
        driver: &mut Driver,
        inputs: &[Vec<i64>],
        sink: &mut dyn Sink,
    ) -> Result<Vec<i64>, Fault> {
        for (addr, word) in self.step_args(driver, inputs)? {
            machine.host_arg(addr, word)?;
        }
        self.run(machine, inputs, sink)
    }

    /// The first rule that a run with these arguments breaks.
    ///
    /// # Errors
    /// The program does not run.
    pub fn violation_with(&self, args: &[u32]) -> Result<Option<Violation>, ProgramError> {
        let mut checker = Checker::new(&self.target);
        let mut end = 0;
        for item in expand_with(&self.program, args, self.target.timing.refi, self.target.columns) {
            match item? {
                Expanded::Command(timed) => checker.command(&timed),
                Expanded::End { cycle } => end = cycle,
            }
        }
        Ok(checker.end(end).into_iter().next())
    }
}
