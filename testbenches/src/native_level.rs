//! The level `native`: the channel as the hardware units describe it, simulated clock by clock
//! without translation to Verilog, with a DRAM in plain Rust behind it. It shows the same signals
//! as a waveform does, and they are compared in the same way.

use crate::cosim::Tree;
use crate::levels::fault;
use crate::reference::PlanReference;
use crate::report::{Divergence, WaveCounts};
use crate::steps::{LaunchRun, RunAt, StepRun};
use crate::wave::check::Checker;
use crate::wave::reader::Bits;
use crate::wave::signals::{
    bank_at, CMD, CMD_COL, CMD_ROW, CMD_VALID, DONE, HOST_ADDR, HOST_DATA, HOST_WE, RST, START,
    WRITE_ADDR, WRITE_DATA, WRITE_EN,
};
use crate::wave::WaveResult;
use pimc_golden::Trace;
use pimc_lower::attention::HostColumn;
use pimc_lower::commands::{Command as Issued, Timed};
use pimc_lower::images::{Banks, Column};
use pimc_lower::legality;
use pimc_rtl::native::{Command, Inputs, NativeChannel};
use std::collections::{BTreeMap, VecDeque};

/// A channel with its DRAM, its program and constants loaded.
pub(crate) struct Native<'a> {
    tree: &'a Tree,
    channel: NativeChannel,
    dram: Dram<'a>,
}

/// The banks: which row is open, and which data are under way.
struct Dram<'a> {
    banks: &'a dyn Banks,
    count: u32,
    latency: u64,
    open: Option<u32>,
    due: VecDeque<(u64, Vec<u64>)>,
    /// From a write to its data, and the writes whose data are to come: clock, row, column.
    write_latency: u64,
    writes: VecDeque<(u64, u32, u32)>,
    /// Columns of all banks that were written, by row and column: they hide what `banks` hold.
    written: BTreeMap<(u32, u32), Vec<u64>>,
    /// Whether the pins hold a column that must not stay there.
    shown: bool,
    noise: u64,
}

impl Dram<'_> {
    /// What the data pins change to in clock `now`, if they change.
    fn data(&mut self, now: u64, words: usize) -> Option<Vec<u64>> {
        if self.due.front().is_some_and(|d| d.0 == now) {
            self.shown = true;
            return self.due.pop_front().map(|d| d.1);
        }
        if !std::mem::take(&mut self.shown) {
            return None;
        }
        // After a column a pattern that no column is, another each time: who samples late or early
        // computes something else.
        self.noise = self.noise.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        Some(vec![self.noise; words])
    }

    /// Takes what is on the pins of written data in clock `now`, if it is that of a write.
    fn take(&mut self, now: u64, pins: impl FnOnce() -> Vec<u64>) {
        if let Some(&(_, row, col)) = self.writes.front().filter(|write| write.0 == now) {
            self.writes.pop_front();
            self.written.insert((row, col), pins());
        }
    }

    /// What all banks hold at a place; noise where nothing is.
    fn columns(&self, row: u32, col: u32) -> Vec<u64> {
        let column =
            |bank| -> Column { self.banks.column(bank, row, col).unwrap_or([!self.noise; 4]) };
        let written = self.written.get(&(row, col)).cloned();
        written.unwrap_or_else(|| (0..self.count).flat_map(column).collect())
    }

    /// Writes a column as the host does.
    fn host_column(&mut self, column: &HostColumn) {
        let &HostColumn { bank, row, col, data } = column;
        let mut words = self.columns(row, col);
        let at = bank as usize * data.len();
        words[at..at + data.len()].copy_from_slice(&data);
        self.written.insert((row, col), words);
    }

    fn command(&mut self, command: Command, now: u64) {
        match command {
            Command::Activate(row) => self.open = Some(row),
            Command::Precharge => self.open = None,
            Command::Refresh => {}
            Command::Read(col) => {
                // With no open row there is no column.
                let words = self.open.map_or_else(
                    || vec![!self.noise; 4 * self.count as usize],
                    |row| self.columns(row, col),
                );
                self.due.push_back((now + self.latency, words));
            }
            Command::Write(col) => {
                if let Some(row) = self.open {
                    self.writes.push_back((now + self.write_latency, row, col));
                }
            }
        }
    }
}

impl<'a> Native<'a> {
    pub(crate) fn new(tree: &'a Tree, program: &[u128]) -> Native<'a> {
        let shape = &tree.compiled.plan.shape;
        let dram = Dram {
            banks: &tree.banks,
            count: shape.banks,
            latency: shape.read_latency.into(),
            open: None,
            due: VecDeque::new(),
            write_latency: shape.write_latency.unwrap_or(0).into(),
            writes: VecDeque::new(),
            written: BTreeMap::new(),
            shown: true,
            noise: 0x9e37_79b9_7f4a_7c15,
        };
        let mut native = Native { tree, channel: NativeChannel::new(shape), dram };
        for (addr, &word) in program.iter().enumerate() {
            native.idle(&Inputs { program: Some((addr as u32, word)), ..Inputs::default() });
        }
        for &(addr, word) in &tree.constants {
            native.host_write(addr, word);
        }
        native
    }

    /// A clock in which no program runs; a refresh is the only command there can be.
    fn idle(&mut self, inputs: &Inputs<'_>) -> i64 {
        self.channel.step(inputs).host_rdata
    }

    fn host_write(&mut self, addr: u32, word: i64) {
        let inputs = Inputs { host_addr: addr, host_write: Some(word), ..Inputs::default() };
        self.idle(&inputs);
    }

    fn host_read(&mut self, addr: u32) -> i64 {
        let inputs = Inputs { host_addr: addr, ..Inputs::default() };
        self.idle(&inputs);
        // The word shows one clock after its address.
        self.idle(&inputs)
    }

    /// Runs vector `vector` of `vectors`, told of each run that is done; how much was compared, or the first
    /// difference.
    pub(crate) fn run(
        &mut self,
        vectors: &[Vec<Vec<i64>>],
        steps: Option<&[StepRun]>,
        vector: usize,
        golden: &Trace,
        done: &dyn Fn(),
    ) -> Result<WaveCounts, Box<Divergence>> {
        let compiled = &self.tree.compiled;
        for (addr, word) in compiled.host_writes(&vectors[vector]) {
            self.host_write(addr, word);
        }
        let mut counts = WaveCounts::default();
        for launch in 0..steps.map_or(1, |steps| steps[vector].launches.len()) {
            let given = steps.map(|steps| &steps[vector].launches[launch]);
            let at = steps.map_or(RunAt { vector, launch: None }, |s| s[vector].at(vector, launch));
            let reference = PlanReference::given(compiled, vectors, steps, at);
            let ran = self.launch(given, reference);
            let native = |d: Divergence| Divergence { what: "native".into(), ..d.in_run(at) };
            counts += ran.map_err(|d| Box::new(native(*d)))?;
            done();
        }
        let places = (0..compiled.plan.result.len).map(|i| compiled.plan.result_at(i));
        let result: Vec<i64> = places.map(|addr| self.host_read(addr)).collect();
        match compiled.compare_result("native", vector, &result, golden) {
            None => Ok(counts),
            Some(d) => Err(Box::new(d)),
        }
    }

    /// One run of the program.
    fn launch(
        &mut self,
        given: Option<&LaunchRun>,
        mut reference: PlanReference<'_>,
    ) -> Result<WaveCounts, Box<Divergence>> {
        let compiled = &self.tree.compiled;
        for (addr, &word) in given.iter().flat_map(|run| &run.args).enumerate() {
            self.idle(&Inputs { argument: Some((addr as u32, word)), ..Inputs::default() });
        }
        given.iter().flat_map(|run| &run.columns).for_each(|c| self.dram.host_column(c));
        let cycles = given.map_or(compiled.plan.cycles, |run| run.end);
        let limit = 2 * (cycles + u64::from(compiled.plan.shape.refi));
        let (checked, commands, end) = self.watch(&mut reference, limit);
        let checked = checked.map_err(|why| Box::new(fault("native", RunAt::default(), why)))?;
        let found = checked.divergence.map(|(mut d, op)| {
            d.op = op.and_then(|o| compiled.place(o));
            d
        });
        match found.or_else(|| self.legal(&commands, end)) {
            None => Ok(checked.counts),
            Some(d) => Err(Box::new(d)),
        }
    }

    /// Runs the program once under the eyes of the check. Returns what that came to, the commands
    /// and the clock of the end, both from the first command.
    fn watch(
        &mut self,
        reference: &mut PlanReference<'_>,
        limit: u64,
    ) -> (Result<WaveResult, String>, Vec<Timed>, u64) {
        let shape = &self.tree.compiled.plan.shape;
        let banks = shape.banks as usize;
        let slots = bank_at(shape.lanes() as usize, banks);
        let mut checker = Checker::new(reference, vec![64; slots]);
        let mut values = vec![Bits { known: true, ..Bits::UNKNOWN }; slots];
        let column_words = (shape.beats * shape.beat_words()) as usize;
        let mut pins = vec![0u64; banks * column_words];
        let (mut commands, mut first, mut now) = (Vec::new(), None, 0);
        for clock in 0..limit {
            now = self.channel.cycle();
            let data = self.dram.data(now, pins.len());
            if let Some(words) = &data {
                pins.copy_from_slice(words);
            }
            let inputs =
                Inputs { start: clock == 0, rd_data: data.as_deref(), ..Inputs::default() };
            self.channel.drive(&inputs);
            let out = self.channel.outputs();
            self.dram.take(now, || self.channel.write_data());
            if let (Some(command), true) = (out.command, clock > 0) {
                self.dram.command(command, now);
                let cycle = now - *first.get_or_insert(now);
                let command = issued(command, self.dram.open);
                commands.push(Timed { cycle, command, bank: None, instr: 0 });
            }
            let mut set = |slot: usize, value: u64| values[slot].words[0] = value;
            set(RST, 1);
            set(START, u64::from(clock == 0));
            set(DONE, u64::from(out.done));
            set(CMD_VALID, u64::from(out.command.is_some()));
            let (code, row, col) = match out.command {
                Some(Command::Activate(row)) => (0, row, 0),
                Some(Command::Read(col)) => (1, 0, col),
                Some(Command::Write(col)) => (4, 0, col),
                Some(Command::Precharge) => (2, 0, 0),
                Some(Command::Refresh) => (3, 0, 0),
                None => (0, 0, 0),
            };
            set(CMD, code);
            set(CMD_ROW, row.into());
            set(CMD_COL, col.into());
            for slot in [HOST_WE, HOST_ADDR, HOST_DATA] {
                set(slot, 0);
            }
            let (addr, words) = self.channel.buffer_write().unwrap_or_default();
            let enables = words.iter().rev().fold(0, |e, word| e << 1 | u64::from(word.is_some()));
            set(WRITE_EN, enables);
            set(WRITE_ADDR, addr.into());
            for (lane, word) in words.iter().enumerate() {
                set(WRITE_DATA + lane, word.unwrap_or_default() as u64);
            }
            for bank in 0..banks {
                let seen = self.channel.bank(bank);
                let at = bank_at(shape.lanes() as usize, bank);
                values[at].words[0] = u64::from(seen.col_valid);
                for (word, pin) in values[at + 1].words.iter_mut().zip(&pins[bank * column_words..])
                {
                    *word = *pin;
                }
                values[at + 2].words[0] = u64::from(seen.column_acc.is_some());
                values[at + 3].words[0] = seen.column_acc.unwrap_or_default() as u64;
                values[at + 4].words[0] = u64::from(seen.row_value.is_some());
                values[at + 5].words[0] = seen.row_value.unwrap_or_default() as u64;
            }
            let flow = checker.clock(&values);
            self.channel.tick();
            if out.done || flow.is_break() {
                break;
            }
        }
        (checker.finish(), commands, now - first.unwrap_or(now))
    }

    /// The first DRAM rule that the commands break.
    fn legal(&self, commands: &[Timed], end: u64) -> Option<Divergence> {
        let mut checker = legality::Checker::new(&self.tree.compiled.plan.target);
        commands.iter().for_each(|c| checker.command(c));
        let broken = checker.end(end).into_iter().next()?;
        Some(Divergence::of_rule(&broken))
    }
}

/// A command as the legality checker takes it.
fn issued(command: Command, open: Option<u32>) -> Issued {
    match command {
        Command::Activate(row) => Issued::Act { row },
        Command::Read(col) => Issued::Read { row: open.unwrap_or_default(), col },
        Command::Write(col) => Issued::Write { row: open.unwrap_or_default(), col },
        Command::Precharge => Issued::Pre,
        Command::Refresh => Issued::Ref,
    }
}
