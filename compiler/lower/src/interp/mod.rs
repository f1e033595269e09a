//! The schedule interpreter: executes a program on memory images, as the units would.
//!
//! Written from the meaning of the program word and the stream modes, in plain integers, and from
//! nothing that the scheduler knows. It also keeps the hardware's rules about time: who may issue
//! while what is under way, from the latencies in `pimc_rtl::timing`. A sum that leaves its proven
//! width is a fault, where anything reads it.

mod attention;
mod bank;
mod blocks;
mod buffer;
mod collect;
mod means;
mod merge;
pub(crate) mod softmax;

use crate::commands::Command;
use crate::images::{Banks, Column};
use crate::plan::Plan;
use crate::walk::{ProgramError, Walk};
use attention::Units;
use bank::{BankUnit, Outcome, Streaming};
use collect::Collecting;
use pimc_rtl::attention::{AttentionMode, LOADED_LATENCY};
use pimc_rtl::isa::{Action, Instr, SetTo};
use pimc_rtl::shape::{ChannelShape, StreamMode};
use pimc_rtl::timing::{column_clocks, vec_clocks, COLLECT_CLOCKS, SEED_CLOCKS};
use std::collections::BTreeMap;
use thiserror::Error;

/// When and where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct At {
    /// Clock of the instruction's issue, from the program's first one.
    pub cycle: u64,
    /// The instruction; [`Plan::op_of`] tells its op.
    pub instr: usize,
}

/// What happens, in the order in which the hardware shows it per kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A DRAM command.
    Command {
        /// Where.
        at: At,
        /// What.
        command: Command,
    },
    /// A column of any stream but a codebook is in the accumulator.
    Column {
        /// The read.
        at: At,
        /// The bank.
        bank: u32,
        /// The accumulator then.
        acc: i64,
    },
    /// A matrix row is done, or a row of a binary quadratic block.
    Result {
        /// The read of the column that it ends in.
        at: At,
        /// The bank.
        bank: u32,
        /// Its result.
        data: i64,
    },
    /// An attention unit takes a column.
    Taken {
        /// The read.
        at: At,
        /// The bank.
        bank: u32,
        /// The column.
        data: Column,
    },
    /// A word of vector memory is written by the buffer unit.
    Write {
        /// The vector operation; of a collected result the read.
        at: At,
        /// Address.
        addr: u32,
        /// Word.
        data: i64,
    },
}

/// Takes events as they happen.
pub trait Sink {
    /// The next event.
    fn event(&mut self, event: &Event);
}

/// Takes no notice.
pub struct Ignore;

impl Sink for Ignore {
    fn event(&mut self, _: &Event) {}
}

impl Sink for Vec<Event> {
    fn event(&mut self, event: &Event) {
        self.push(*event);
    }
}

/// Why a run stopped: the program or the images ask for what the hardware cannot do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("clock {cycle}, instruction {instr}: {why}")]
pub struct Fault {
    /// Clock of the instruction.
    pub cycle: u64,
    /// Which instruction.
    pub instr: usize,
    /// What is wrong.
    pub why: String,
}

/// One channel with its state.
pub struct Machine<'a> {
    shape: &'a ChannelShape,
    program: &'a [Instr],
    banks: &'a dyn Banks,
    modes: Vec<StreamMode>,
    memory: Vec<i64>,
    units: Vec<BankUnit>,
    args: Vec<u32>,
    attention: Option<Units>,
    /// Columns that were written, by bank, row and column: they hide what `banks` hold.
    written: BTreeMap<(u32, u32, u32), Column>,
    /// Base of vector memory.
    base: u32,
}

/// Clocks that rules about time need.
#[derive(Default)]
struct Clocks {
    /// When the buffer unit is idle.
    buffer: u64,
    /// When the last load has written the bank units' inputs.
    load: u64,
    /// When the results of the last column have left the bank units.
    data: u64,
    read: Option<u64>,
    /// First column of the last matrix row.
    row: Option<u64>,
}

impl<'a> Machine<'a> {
    /// A channel of that shape with its program, on what the banks hold. Memories are zero.
    pub fn new(shape: &'a ChannelShape, program: &'a [Instr], banks: &'a dyn Banks) -> Machine<'a> {
        let attention = shape.bank.attention.as_ref().map(|a| Units::new(shape, a));
        Machine {
            shape,
            program,
            banks,
            modes: shape.bank.modes(),
            memory: vec![0; shape.buffer.depth as usize],
            units: (0..shape.banks).map(|b| BankUnit::new(b, shape)).collect(),
            args: vec![0; shape.arg_words as usize],
            attention,
            written: BTreeMap::new(),
            base: 0,
        }
    }

    /// Writes an argument through the host port.
    ///
    /// # Errors
    /// If the address is too large.
    pub fn host_arg(&mut self, addr: u32, word: u32) -> Result<(), Fault> {
        let why = format!("the host writes argument {addr}: past the end");
        let slot = self.args.get_mut(addr as usize);
        *slot.ok_or(Fault { cycle: 0, instr: 0, why })? = word;
        Ok(())
    }

    /// Argument memory.
    pub fn args(&self) -> &[u32] {
        &self.args
    }

    /// What a bank holds at (row, col), with what was written; none where it holds nothing.
    pub fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        let written = self.written.get(&(bank, row, col)).copied();
        written.or_else(|| self.banks.column(bank, row, col))
    }

    /// Writes a column of a bank between runs, as the host writes any DRAM.
    ///
    /// # Errors
    /// If the bank has no content there.
    pub fn host_column(
        &mut self,
        bank: u32,
        row: u32,
        col: u32,
        data: Column,
    ) -> Result<(), Fault> {
        if self.column(bank, row, col).is_none() {
            let why =
                format!("the host writes bank {bank} row {row} column {col}: no content is there");
            return Err(Fault { cycle: 0, instr: 0, why });
        }
        self.written.insert((bank, row, col), data);
        Ok(())
    }

    /// The attention units.
    fn attention(&mut self) -> Result<&mut Units, String> {
        self.attention.as_mut().ok_or_else(|| "there are no attention units".into())
    }

    /// Writes a word through the host port.
    ///
    /// # Errors
    /// If the address or the word is too large.
    pub fn host_write(&mut self, addr: u32, word: i64) -> Result<(), Fault> {
        let fault = |why| Fault { cycle: 0, instr: 0, why };
        if !fits(word.into(), self.shape.buffer.word_bits) {
            return Err(fault(format!("the host writes {word}: wider than a word")));
        }
        let slot = self.memory.get_mut(addr as usize);
        *slot.ok_or_else(|| fault(format!("the host writes address {addr}: past the end")))? = word;
        Ok(())
    }

    /// Reads a word through the host port; none past the end.
    pub fn host_read(&self, addr: u32) -> Option<i64> {
        self.memory.get(addr as usize).copied()
    }

    /// Runs the program once; the clock of its end.
    ///
    /// # Errors
    /// What the hardware cannot do.
    pub fn run(&mut self, sink: &mut dyn Sink) -> Result<u64, Fault> {
        let mut clocks = Clocks::default();
        let (mut row, mut col, mut open) = (0u32, 0u32, None);
        let mut streaming: Option<Streaming> = None;
        let mut collecting: Option<Collecting> = None;
        let args = self.args.clone();
        if let Some(units) = &mut self.attention {
            units.start();
        }
        for step in Walk::with_args(self.program, &args, self.shape.refi) {
            let issue = step.map_err(|e| program_fault(&e))?;
            let at = At { cycle: issue.cycle, instr: issue.index };
            let fault = |why: String| Fault { cycle: at.cycle, instr: at.instr, why };
            let mut command = |command| sink.event(&Event::Command { at, command });
            match issue.action {
                Action::End if at.cycle < clocks.buffer.max(clocks.data) => {
                    return Err(fault("the end while units are still busy".into()));
                }
                Action::End if collecting.is_some() => {
                    return Err(fault("the end while results are still collected".into()));
                }
                Action::End => return Ok(at.cycle),
                Action::Wait | Action::Loop { .. } | Action::LoopArg { .. } | Action::Next => {}
                Action::Row { row: r, col: c } => (row, col) = (r, c),
                Action::Set { to, .. } => match to {
                    SetTo::Row => (row, col) = (issue.value, 0),
                    SetTo::Col => col = issue.value,
                    SetTo::Param(index) => {
                        let units = self.attention().map_err(fault)?;
                        units.param(index, issue.value, at).map_err(fault)?;
                    }
                    SetTo::Base => self.base = issue.value,
                    // The walk keeps the pointers.
                    SetTo::Pointer | SetTo::Advance | SetTo::Keep | SetTo::Return => {}
                },
                Action::Act => {
                    command(Command::Act { row });
                    open = Some(row);
                }
                Action::Pre => {
                    command(Command::Pre);
                    open = None;
                    row = row.wrapping_add(1);
                }
                Action::Ref => command(Command::Ref),
                Action::RefreshDue { .. } => {
                    if issue.refreshes() {
                        command(Command::Ref);
                    }
                }
                Action::Write => {
                    let row = open.ok_or_else(|| fault("a write with no open row".into()))?;
                    command(Command::Write { row, col });
                    let columns = self.attention().map_err(fault)?.written(at).map_err(fault)?;
                    for (bank, column) in columns.into_iter().enumerate() {
                        self.written.insert((bank as u32, row, col), column);
                    }
                    col = if col + 1 >= self.shape.dram_cols { 0 } else { col + 1 };
                }
                Action::Read => {
                    let row = open.ok_or_else(|| fault("a read with no open row".into()))?;
                    command(Command::Read { row, col });
                    let s = streaming
                        .as_mut()
                        .ok_or_else(|| fault("a read outside of a stream".into()))?;
                    self.read_rules(&mut clocks, at.cycle, s).map_err(fault)?;
                    let columns = (0..self.shape.banks).map(|bank| {
                        self.column(bank, row, col).ok_or_else(|| {
                            fault(format!("bank {bank} holds nothing at row {row} column {col}"))
                        })
                    });
                    let columns = columns.collect::<Result<Vec<Column>, Fault>>()?;
                    let mut outcomes = Vec::with_capacity(self.units.len());
                    if matches!(s.mode(), StreamMode::Attention(_)) {
                        for (bank, data) in columns.iter().enumerate() {
                            sink.event(&Event::Taken { at, bank: bank as u32, data: *data });
                        }
                        let units = self.attention().map_err(fault)?;
                        units.column(&columns, at).map_err(fault)?;
                        for sums in units.sums() {
                            for (bank, acc) in sums.into_iter().enumerate() {
                                sink.event(&Event::Column { at, bank: bank as u32, acc });
                            }
                        }
                        clocks.data = units.through();
                    } else {
                        for (unit, column) in self.units.iter_mut().zip(&columns) {
                            outcomes.push(unit.column(s, column).map_err(fault)?);
                        }
                    }
                    s.count();
                    col = if col + 1 >= self.shape.dram_cols { 0 } else { col + 1 };
                    self.outcomes(&outcomes, &mut collecting, at, sink).map_err(fault)?;
                    if collecting.is_some_and(|c| c.left(self.shape.banks) == 0) {
                        collecting = None;
                        clocks.buffer = clocks.data + u64::from(COLLECT_CLOCKS);
                    }
                }
                Action::Stream(s) => {
                    if at.cycle < clocks.data {
                        return Err(fault("a stream begins while columns are under way".into()));
                    }
                    let mode = *self
                        .modes
                        .get(s.mode as usize)
                        .ok_or_else(|| fault(format!("there is no stream mode {}", s.mode)))?;
                    if let StreamMode::Attention(mode) = mode {
                        let loaded = clocks.load + u64::from(LOADED_LATENCY);
                        if mode == AttentionMode::Take && at.cycle < loaded {
                            return Err(fault("what is taken is not loaded yet".into()));
                        }
                        let banks = self.shape.banks as usize;
                        let units = self.attention().map_err(fault)?;
                        units.stream(mode, &s, at).map_err(fault)?;
                        clocks.data = units.through();
                        for result in units.results() {
                            let mut results = vec![0; banks];
                            results[0] = result;
                            let to = collecting.as_mut();
                            let to = to.ok_or_else(|| fault("nothing collects results".into()))?;
                            self.collect(to, &results, at, sink).map_err(fault)?;
                        }
                        if collecting.is_some_and(|c| c.left(self.shape.banks) == 0) {
                            collecting = None;
                            clocks.buffer = clocks.data;
                        }
                    }
                    streaming = Some(Streaming::new(s, mode, self.shape));
                    clocks.row = None;
                    self.units.iter_mut().for_each(BankUnit::begin);
                }
                Action::Vec(v) => {
                    let v = v.based(self.base);
                    let loads = v.op.loads();
                    if at.cycle < clocks.buffer || collecting.is_some() {
                        return Err(fault("the buffer unit is still busy".into()));
                    }
                    if loads && at.cycle < clocks.data {
                        return Err(fault("the last columns are still under way".into()));
                    }
                    if v.op.collects() {
                        self.built(v.op).map_err(fault)?;
                        collecting = Some(Collecting::new(v, self.shape.banks).map_err(fault)?);
                        continue;
                    }
                    clocks.buffer = at.cycle + u64::from(vec_clocks(&v, self.shape));
                    if loads {
                        clocks.load = clocks.buffer;
                    }
                    self.vector(&v, at, sink).map_err(fault)?;
                }
            }
        }
        Err(program_fault(&ProgramError::End))
    }

    /// What a column brought about in the banks: accumulators, and the rows that ended in it.
    fn outcomes(
        &mut self,
        outcomes: &[Outcome],
        collecting: &mut Option<Collecting>,
        at: At,
        sink: &mut dyn Sink,
    ) -> Result<(), String> {
        for (bank, outcome) in outcomes.iter().enumerate() {
            if let Some(acc) = outcome.acc {
                sink.event(&Event::Column { at, bank: bank as u32, acc });
            }
        }
        for row in 0..outcomes.first().map_or(0, |o| o.rows.len()) {
            let results: Vec<i64> = outcomes.iter().map(|o| o.rows[row]).collect();
            for (bank, &data) in results.iter().enumerate() {
                sink.event(&Event::Result { at, bank: bank as u32, data });
            }
            let collecting = collecting.as_mut().ok_or("nothing collects a row's results")?;
            self.collect(collecting, &results, at, sink)?;
        }
        Ok(())
    }

    /// The rules of a column read at `cycle`.
    fn read_rules(&self, clocks: &mut Clocks, cycle: u64, s: &Streaming) -> Result<(), String> {
        let latency = u64::from(self.shape.read_latency);
        if clocks.read.is_some_and(|last| cycle < last + u64::from(self.shape.beats)) {
            return Err("the bank units are still chewing the last column".into());
        }
        if cycle + latency < clocks.load {
            return Err("the inputs of the stream are not loaded yet".into());
        }
        if s.mode() == StreamMode::Mask && s.at_row_start() {
            let seed = u64::from(SEED_CLOCKS);
            if clocks.row.is_some_and(|last| cycle < last + seed) {
                return Err("the sign generator is still busy with the last row".into());
            }
            clocks.row = Some(cycle);
        }
        clocks.read = Some(cycle);
        clocks.data = cycle + u64::from(column_clocks(self.shape));
        Ok(())
    }
}

fn program_fault(e: &ProgramError) -> Fault {
    let instr = match *e {
        ProgramError::Delay { index, .. }
        | ProgramError::Next { index }
        | ProgramError::Depth { index }
        | ProgramError::Count { index }
        | ProgramError::LoopEnd { index, .. }
        | ProgramError::Arg { index, .. }
        | ProgramError::Refresh { index } => index,
        ProgramError::End => 0,
    };
    Fault { cycle: 0, instr, why: e.to_string() }
}

/// Whether a signed word of `bits` holds `x`.
fn fits(x: i128, bits: u32) -> bool {
    let limit = 1i128 << (bits.clamp(1, 127) - 1);
    (-limit..limit).contains(&x)
}

/// `x` cut to a signed word of `bits`, at most 64.
fn wrap(x: i128, bits: u32) -> i64 {
    let cut = 128 - bits.clamp(1, 64);
    (x << cut >> cut) as i64
}

impl Plan {
    /// A channel with the plan's program, its constants loaded.
    ///
    /// # Errors
    /// If a constant does not fit (which a plan's constants do).
    pub fn machine<'a>(&'a self, banks: &'a dyn Banks) -> Result<Machine<'a>, Fault> {
        let mut machine = Machine::new(&self.shape, &self.program, banks);
        for &(addr, word) in &self.constants {
            machine.host_write(addr, word)?;
        }
        Ok(machine)
    }

    /// Runs a machine of this plan on one set of inputs, one vector per input of the function;
    /// the result.
    ///
    /// # Errors
    /// If an input does not fit, or what the hardware cannot do.
    pub fn run(
        &self,
        machine: &mut Machine<'_>,
        inputs: &[Vec<i64>],
        sink: &mut dyn Sink,
    ) -> Result<Vec<i64>, Fault> {
        self.run_to_end(machine, inputs, sink).map(|run| run.0)
    }

    /// The same with the clock of the end.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub fn run_to_end(
        &self,
        machine: &mut Machine<'_>,
        inputs: &[Vec<i64>],
        sink: &mut dyn Sink,
    ) -> Result<(Vec<i64>, u64), Fault> {
        for (region, words) in self.inputs.iter().zip(inputs) {
            for (i, &word) in words.iter().take(region.len as usize).enumerate() {
                machine.host_write(region.addr + i as u32, word)?;
            }
        }
        let end = machine.run(sink)?;
        Ok((self.result_of(&|addr| machine.host_read(addr)), end))
    }
}
