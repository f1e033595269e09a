//! Running steps of a plan with a cache.

use super::estimate::{estimate, StepSize};
use super::{CachePlan, Driver, StepError};
use crate::commands::{expand_with, Expanded};
use crate::images::Column;
use crate::interp::{Fault, Machine, Sink};
use crate::legality::{Checker, Violation};
use crate::mapping::Region;
use crate::plan::Plan;
use crate::walk::ProgramError;

/// A column that the host writes to a bank itself between two runs, as it writes any DRAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostColumn {
    /// Bank.
    pub bank: u32,
    /// Row.
    pub row: u32,
    /// Column of the row.
    pub col: u32,
    /// What is written.
    pub data: Column,
}

/// One run of the program within a step, and what the host writes before it on top of the inputs in vector
/// memory. The result of a step is there after its last run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launch {
    /// Argument memory: address and word.
    pub args: Vec<(u32, u32)>,
    /// Columns of the banks.
    pub columns: Vec<HostColumn>,
}

impl Plan {
    /// The runs of a step with the function's inputs, at least one.
    ///
    /// # Errors
    /// If the step appends or clusters what it does not have or there is no room for, or a weight is negative.
    /// The driver is then as it was.
    pub fn launches(
        &self,
        driver: &mut Driver,
        inputs: &[Vec<i64>],
    ) -> Result<Vec<Launch>, StepError> {
        let Some(cache) = &self.cache else { return Ok(vec![Launch::default()]) };
        cache.launches(driver, inputs)
    }

    /// A driver of the plan's cache, if it has one.
    pub fn driver(&self) -> Option<Driver> {
        self.cache.as_ref().map(|cache| cache.driver())
    }

    /// Where element `i` of the value in a region lies in vector memory.
    pub fn element_at(&self, region: Region, i: u32) -> u32 {
        let attended = |cache: &&CachePlan| self.regions.get(cache.attended.0) == Some(&region);
        let cache = self.cache.as_ref().filter(attended);
        region.addr + cache.map_or(i, |cache| cache.attended_at(i))
    }

    /// Where element `i` of the result lies in vector memory.
    pub fn result_at(&self, i: u32) -> u32 {
        self.element_at(self.result, i)
    }

    /// The result in the order of its elements, from how it lies in vector memory.
    pub fn result_of(&self, read: &dyn Fn(u32) -> Option<i64>) -> Vec<i64> {
        (0..self.result.len).filter_map(|i| read(self.result_at(i))).collect()
    }

    /// Runs a machine of this plan for one step; the result, and the clocks of its runs.
    ///
    /// # Errors
    /// If the inputs do not fit, or what the hardware cannot do.
    pub fn run_step(
        &self,
        machine: &mut Machine<'_>,
        driver: &mut Driver,
        inputs: &[Vec<i64>],
        sink: &mut dyn Sink,
    ) -> Result<(Vec<i64>, u64), Fault> {
        let fault = |e: StepError| Fault { cycle: 0, instr: 0, why: e.to_string() };
        let (mut result, mut clocks) = (Vec::new(), 0);
        for launch in self.launches(driver, inputs).map_err(fault)? {
            for column in &launch.columns {
                machine.host_column(column.bank, column.row, column.col, column.data)?;
            }
            for (addr, word) in launch.args {
                machine.host_arg(addr, word)?;
            }
            let end;
            (result, end) = self.run_to_end(machine, inputs, sink)?;
            clocks += end;
        }
        Ok((result, clocks))
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

    /// Clocks that the cost model expects of one run with these arguments.
    pub fn estimate_with(&self, args: &[u32]) -> u64 {
        let Some(cache) = &self.cache else { return self.estimate.cycles };
        self.estimate_of(cache.size_of(args))
    }

    /// Clocks that the cost model expects of a step on the plan's cache.
    pub fn estimate_of(&self, size: StepSize) -> u64 {
        let Some(cache) = &self.cache else { return self.estimate.cycles };
        estimate(&self.target, &self.shape, cache, size).0.cycles
    }
}
