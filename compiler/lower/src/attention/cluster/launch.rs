//! The runs of a step that clusters: from its inputs, and of the step that is told about.

use super::columns::{columns, Tokens};
use super::runs::Work;
use super::script::Script;
use super::ClusterPlan;
use crate::attention::{value, CachePlan, Driver, Launch, StepError};
use pimc_ir::Side;

impl CachePlan {
    /// The runs of a step with the function's inputs, at least one.
    ///
    /// # Errors
    /// As [`crate::Plan::launches`].
    pub fn launches(
        &self,
        driver: &mut Driver,
        inputs: &[Vec<i64>],
    ) -> Result<Vec<Launch>, StepError> {
        let Some(plan) = &self.cluster else {
            return Ok(vec![Launch { args: self.step(driver, inputs)?, columns: Vec::new() }]);
        };
        let values = plan.values;
        let count = value(inputs, values.n).first().copied().unwrap_or(0);
        let wrong = StepError::Taken { most: plan.tokens, got: count };
        let count = u32::try_from(count).ok().filter(|n| *n <= plan.tokens).ok_or(wrong)?;
        let mut filled = driver.clone();
        filled.fill(count)?;
        let weights = value(inputs, values.weights);
        for (index, &got) in weights.iter().take((count * self.layout.slots) as usize).enumerate() {
            if u32::try_from(got).is_err() {
                return Err(StepError::Weight { index, got });
            }
        }
        // What is appended in the same step comes behind the tokens that are clustered.
        let mut after = filled.clone();
        let last = self.step(&mut after, inputs)?;
        let work = Work { plan, layout: &self.layout, driver: &filled };
        let mut scripts = Vec::new();
        for slot in 0..self.layout.slots {
            let weight = |t: u32| {
                let at = filled.waiting_position(t) * self.layout.slots + slot;
                weights.get(at as usize).map_or(0, |&w| w as u32)
            };
            for side in Side::BOTH {
                scripts.extend(work.side(slot, side, &weight));
            }
        }
        attend(&mut scripts);
        let launch = |s: &Script| Launch { args: s.args(&plan.map), columns: Vec::new() };
        let mut launches: Vec<Launch> = scripts.iter().map(launch).collect();
        let sides = [value(inputs, values.k), value(inputs, values.v)];
        let tokens = Tokens { sides, dim: self.ty.dim };
        if let Some(first) = launches.first_mut() {
            first.columns = columns(&self.layout, &filled, &tokens);
        }
        if let Some(launch) = launches.last_mut() {
            launch.args.extend(last);
        }
        *driver = after;
        Ok(launches)
    }

    /// The driver as the step that is told about begins to attend, but for what it appends: of a cache that is
    /// filled, with all tokens that are given, or as many as there is room for.
    pub(in crate::attention) fn first_driver(&self) -> Driver {
        let mut driver = self.driver();
        if let Some(plan) = &self.cluster {
            // There is room for so many.
            let _ = driver.fill(plan.tokens.min(self.ty.tokens as u32));
        }
        driver
    }

    /// Argument memory of every run of the step that is told about. Nothing in them depends on tokens: weights
    /// are 0.
    pub fn runs(&self) -> Box<dyn Iterator<Item = Vec<u32>> + '_> {
        let Some(plan) = &self.cluster else {
            return Box::new(std::iter::once(self.args.clone()));
        };
        let driver = self.first_driver();
        let sides = 2 * self.layout.slots;
        let scripts = move |i: u32| {
            let work = Work { plan, layout: &self.layout, driver: &driver };
            let side = Side::BOTH[(i % 2) as usize];
            let mut scripts = work.side(i / 2, side, &|_| 0);
            if i + 1 == sides {
                attend(&mut scripts);
            }
            scripts
        };
        Box::new((0..sides).flat_map(scripts).map(|script| self.run(plan, &script)))
    }

    /// Argument memory of a run of the step that is told about.
    fn run(&self, plan: &ClusterPlan, script: &Script) -> Vec<u32> {
        let mut args = self.args.clone();
        for (addr, word) in script.args(&plan.map) {
            args[addr as usize] = word;
        }
        args
    }
}

/// The last run attends; there is one in any case.
fn attend(scripts: &mut Vec<Script>) {
    if scripts.is_empty() {
        scripts.push(Script::default());
    }
    if let Some(last) = scripts.last_mut() {
        last.attends = true;
    }
}
