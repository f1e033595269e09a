//! What a compiled model must do, from the model itself: it is lowered again in memory, and the
//! interpreter's run of that plan on images made from the tensors says what every signal shows.

use crate::error::Error;
use crate::report::{Divergence, OpPlace};
use crate::steps::{RunAt, StepRun};
use crate::wave::expect::{Command, Expected, Origin, PerBank, Reference, Write};
use pimc_ir::{Model, ValueId};
use pimc_lower::commands;
use pimc_lower::images::{Banks, Column, Images};
use pimc_lower::interp::{At, Event};
use pimc_lower::{Plan, Target};
use pimc_rtl::shape::ChannelShape;

/// Bank contents in memory, column by column.
pub struct LoadedBanks {
    columns: u32,
    banks: Vec<Vec<Column>>,
}

impl LoadedBanks {
    /// Columns of each bank in order of address, `columns` to a row.
    pub fn new(columns: u32, banks: Vec<Vec<Column>>) -> LoadedBanks {
        LoadedBanks { columns, banks }
    }

    /// The images of a plan.
    pub fn of_plan(model: &Model, plan: &Plan) -> LoadedBanks {
        let images = Images::new(model, plan);
        let banks = (0..plan.target.units()).map(|b| images.bank(b)).collect();
        LoadedBanks { columns: plan.target.columns, banks }
    }
}

impl Banks for LoadedBanks {
    fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        if col >= self.columns {
            return None;
        }
        let at = row as usize * self.columns as usize + col as usize;
        self.banks.get(bank as usize)?.get(at).copied()
    }
}

/// A model with its plan and what the banks hold.
pub struct Compiled {
    /// The model.
    pub model: Model,
    /// Its plan.
    pub plan: Plan,
    /// Its bank images.
    pub banks: LoadedBanks,
}

impl Compiled {
    /// Lowers a model.
    ///
    /// # Errors
    /// [`Error::Model`] when the target has no room for it.
    pub fn new(model: Model, target: &Target) -> Result<Compiled, Error> {
        let plan = pimc_lower::lower(&model, target)?;
        Ok(Compiled::of_plan(model, plan))
    }

    /// A model with a plan of it.
    pub fn of_plan(model: Model, plan: Plan) -> Compiled {
        let banks = LoadedBanks::of_plan(&model, &plan);
        Compiled { model, plan, banks }
    }

    /// Runs the interpreter on one input vector; every event, and the result.
    ///
    /// # Errors
    /// What the interpreter finds wrong with the plan, as text.
    pub fn run(&self, inputs: &[Vec<i64>]) -> Result<(Vec<Event>, Vec<i64>), String> {
        let mut events = Vec::new();
        let mut machine = self.plan.machine(&self.banks).map_err(|f| f.to_string())?;
        let result = self.plan.run(&mut machine, inputs, &mut events).map_err(|f| f.to_string())?;
        Ok((events, result))
    }

    /// What the host writes for one input vector: address and word.
    pub fn host_writes(&self, inputs: &[Vec<i64>]) -> Vec<(u32, i64)> {
        let regions = self.plan.inputs.iter().zip(inputs);
        regions
            .flat_map(|(r, words)| {
                // Lengths and limits of steps are no words of vector memory.
                let words = words.iter().take(r.len as usize);
                words.enumerate().map(|(i, w)| (r.addr + i as u32, *w))
            })
            .collect()
    }

    /// Where an op stands in the source.
    pub fn place(&self, op: usize) -> Option<OpPlace> {
        place(&self.model, op)
    }

    /// Compares every op's value, as the events leave it in vector memory, with golden's.
    pub fn compare_values<'e>(
        &self,
        what: &str,
        vector: usize,
        inputs: &[Vec<i64>],
        events: impl IntoIterator<Item = &'e Event>,
        golden: &pimc_golden::Trace,
    ) -> Option<Divergence> {
        let func = &self.model.module.func;
        let mut memory = vec![0i64; self.plan.shape.buffer.depth as usize];
        let store = |memory: &mut Vec<i64>, addr: u32, word: i64| {
            if let Some(slot) = memory.get_mut(addr as usize) {
                *slot = word;
            }
        };
        for &(addr, word) in self.plan.constants.iter().chain(&self.host_writes(inputs)) {
            store(&mut memory, addr, word);
        }
        // An op's value is looked at when its last write is done: its words may be used anew later.
        let mut writes = events
            .into_iter()
            .filter_map(|e| match *e {
                Event::Write { at, addr, data } => Some((self.plan.op_of(at.instr), addr, data)),
                _ => None,
            })
            .peekable();
        for op in 0..func.ops.len() {
            while let Some((_, addr, data)) = writes.next_if(|w| w.0.is_none_or(|o| o <= op)) {
                store(&mut memory, addr, data);
            }
            let ValueId(v) = func.value_of_op(op);
            let region = self.plan.regions[v];
            let elements = golden.value(ValueId(v)).iter().take(region.len as usize);
            for (i, &expected) in elements.enumerate() {
                let at = self.plan.element_at(region, i as u32);
                let got = memory.get(at as usize).copied();
                if got != Some(expected) {
                    return Some(Divergence {
                        what: what.to_string(),
                        vector: Some(vector),
                        op: self.place(op),
                        signal: format!("%{}[{i}]", func.values[v].name.text),
                        expected: expected.to_string(),
                        got: got.map_or("nothing".into(), |g| g.to_string()),
                        ..Divergence::default()
                    });
                }
            }
        }
        None
    }

    /// Compares a result with golden's.
    pub fn compare_result(
        &self,
        what: &str,
        vector: usize,
        result: &[i64],
        golden: &pimc_golden::Trace,
    ) -> Option<Divergence> {
        compare_result(&self.model, what, vector, result, golden)
    }

    /// What the signals show in a run with these events, which ends at clock `end`.
    pub fn expected(&self, events: &[Event], end: u64) -> Expected {
        let mut expected = Expected { end, ..Expected::default() };
        let banks = self.plan.shape.banks as usize;
        let origin = |at: At| Origin { instr: at.instr, op: self.plan.op_of(at.instr) };
        for event in events {
            let last = expected.commands.len().saturating_sub(1);
            let per_bank = |list: &mut Vec<PerBank>, at: At, bank: u32, value: i64| {
                if bank == 0 {
                    let values = vec![0; banks];
                    list.push(PerBank { values, command: last, origin: origin(at) });
                }
                if let Some(v) = list.last_mut().and_then(|e| e.values.get_mut(bank as usize)) {
                    *v = value;
                }
            };
            match *event {
                Event::Command { at, command } => expected.commands.push(Command {
                    cycle: at.cycle,
                    origin: origin(at),
                    ..port_command(command)
                }),
                Event::Column { at, bank, acc } => {
                    per_bank(&mut expected.columns, at, bank, acc);
                }
                Event::Result { at, bank, data } => {
                    per_bank(&mut expected.results, at, bank, data);
                }
                Event::Taken { bank, data, .. } => {
                    if bank == 0 {
                        expected.taken.push(Vec::with_capacity(banks));
                    }
                    if let Some(columns) = expected.taken.last_mut() {
                        columns.push(data);
                    }
                }
                Event::Write { at, addr, data } => {
                    expected.writes.push(Write { addr, data, origin: origin(at) });
                }
            }
        }
        expected
    }
}

/// Where an op stands in the source of a model.
pub(crate) fn place(model: &Model, op: usize) -> Option<OpPlace> {
    let func = &model.module.func;
    let (line, column) = model.line_col(&func.ops.get(op)?.span);
    Some(OpPlace {
        name: func.values[func.value_of_op(op).0].name.text.clone(),
        file: model.file_name.clone(),
        line,
        column,
    })
}

/// Compares a result with golden's.
pub(crate) fn compare_result(
    model: &Model,
    what: &str,
    vector: usize,
    result: &[i64],
    golden: &pimc_golden::Trace,
) -> Option<Divergence> {
    let func = &model.module.func;
    let expected = golden.result();
    let at = (0..expected.len()).find(|&i| result.get(i) != Some(&expected[i]))?;
    Some(Divergence {
        what: what.to_string(),
        vector: Some(vector),
        op: func.result.0.checked_sub(func.inputs).and_then(|op| place(model, op)),
        signal: format!("%{}[{at}]", func.values[func.result.0].name.text),
        expected: expected[at].to_string(),
        got: result.get(at).map_or("nothing".into(), |g| g.to_string()),
        ..Divergence::default()
    })
}

/// A command as the command port shows it.
fn port_command(command: commands::Command) -> Command {
    let (code, row, col) = match command {
        commands::Command::Act { row } => (0, Some(row), None),
        commands::Command::Read { col, .. } => (1, None, Some(col)),
        commands::Command::Pre => (2, None, None),
        commands::Command::Ref => (3, None, None),
        commands::Command::Write { col, .. } => (4, None, Some(col)),
        commands::Command::Rfm => (5, None, None),
    };
    Command { cycle: 0, code, row, col, origin: Origin::default() }
}

/// The reference of a waveform of a compiled model.
pub struct PlanReference<'a> {
    compiled: &'a Compiled,
    inputs: Option<&'a [Vec<Vec<i64>>]>,
    /// The runs of all vectors, where each depends on those before.
    runs: Option<&'a [StepRun]>,
    first: RunAt,
}

impl<'a> PlanReference<'a> {
    /// With the inputs of each vector given; `first` says which run is number 0 of the waveform. `runs` are
    /// those of all vectors, of a function with a cache.
    pub fn given(
        compiled: &'a Compiled,
        inputs: &'a [Vec<Vec<i64>>],
        runs: Option<&'a [StepRun]>,
        first: RunAt,
    ) -> PlanReference<'a> {
        PlanReference { compiled, inputs: Some(inputs), runs, first }
    }

    /// With the inputs to be read off the waveform: what the host wrote before each run.
    pub fn recovered(compiled: &'a Compiled) -> PlanReference<'a> {
        PlanReference { compiled, inputs: None, runs: None, first: RunAt::default() }
    }

    /// Which run of which vector run number `run` of the waveform is.
    pub fn run_at(&self, run: usize) -> RunAt {
        let RunAt { mut vector, launch } = self.first;
        let Some(steps) = self.runs else { return RunAt { vector: vector + run, launch } };
        let mut left = launch.unwrap_or(0) + run;
        while let Some(step) = steps.get(vector) {
            if left < step.launches.len() {
                return step.at(vector, left);
            }
            left -= step.launches.len();
            vector += 1;
        }
        RunAt { vector: vector + left, launch: None }
    }

    fn recover(&self, host: &dyn Fn(u32) -> Option<i64>) -> Result<Vec<Vec<i64>>, String> {
        let func = &self.compiled.model.module.func;
        if self.compiled.plan.cache.is_some() {
            return Err("is of a function with a cache, whose lengths it does not show: give the \
                        inputs of its steps (`pimc check --inputs`)"
                .into());
        }
        let mut inputs = Vec::new();
        for (value, region) in func.values.iter().zip(&self.compiled.plan.inputs) {
            let words: Option<Vec<i64>> =
                (region.addr..region.addr + region.len).map(host).collect();
            let words = words.ok_or_else(|| {
                format!(
                    "does not show the host write input %{} (words {} to {} of vector memory) \
                     before start_i; begin the dump earlier, or give the inputs",
                    value.name.text,
                    region.addr,
                    region.addr + region.len - 1
                )
            })?;
            inputs.push(words);
        }
        Ok(inputs)
    }
}

impl Reference for PlanReference<'_> {
    fn shape(&self) -> &ChannelShape {
        &self.compiled.plan.shape
    }

    fn expect(
        &mut self,
        run: usize,
        host: &dyn Fn(u32) -> Option<i64>,
    ) -> Result<Expected, String> {
        let at = self.run_at(run);
        let inputs = match self.inputs {
            Some(given) => given.get(at.vector).cloned().ok_or_else(|| {
                let runs = self.runs.map_or(given.len(), |steps| {
                    steps.iter().map(|step| step.launches.len()).sum()
                });
                format!("shows more than the {runs} runs given")
            })?,
            None => self.recover(host)?,
        };
        let launch = at.launch.unwrap_or(0);
        let given = self.runs.and_then(|runs| runs.get(at.vector)?.launches.get(launch));
        let mut expected = match given {
            Some(run) => self.compiled.expected(&run.events, run.end),
            None => {
                let (events, _) = self.compiled.run(&inputs)?;
                self.compiled.expected(&events, self.compiled.plan.cycles)
            }
        };
        expected.host = self.compiled.plan.constants.clone();
        expected.host.extend(self.compiled.host_writes(&inputs));
        Ok(expected)
    }

    fn column(&self, bank: usize, row: u32, col: u32) -> [u64; 4] {
        self.compiled.banks.column(bank as u32, row, col).unwrap_or_default()
    }
}
