//! A DRAM of lock-step banks for the native channel, strict about its state.

use pimc_rtl::isa::{Action, Instr, Vector};
use pimc_rtl::native::{Command, Inputs, NativeChannel};
use pimc_rtl::program::encode;
use pimc_rtl::shape::ChannelShape;
use pimc_rtl::timing::{column_clocks, vec_clocks, COLLECT_CLOCKS};
use std::collections::{BTreeMap, VecDeque};

/// Streams laid into the banks, and the program that reads them.
pub struct Job {
    pub shape: ChannelShape,
    /// Columns by (DRAM row, column): the words of `beats` beats for each bank.
    columns: BTreeMap<(u32, u32), Vec<u64>>,
    next_row: u32,
    pub program: Vec<Instr>,
}

impl Job {
    pub fn new(shape: ChannelShape) -> Job {
        let program = vec![Instr { action: Action::Ref, delay: shape.rfc }];
        Job { shape, columns: BTreeMap::new(), next_row: 2, program }
    }

    pub fn push(&mut self, action: Action, delay: u32) {
        self.program.push(Instr { action, delay });
    }

    pub fn vector(&mut self, v: Vector) {
        let delay = vec_clocks(&v, &self.shape);
        self.push(Action::Vec(v), delay);
    }

    /// Collects the results of the stream that follows.
    pub fn collect(&mut self, v: Vector) {
        self.push(Action::Vec(v), 2);
    }

    /// Lays the columns of a stream into the banks (`banks[b][c]`, a column of beats) and reads
    /// them, one every `interval` clocks.
    pub fn stream(
        &mut self,
        stream: pimc_rtl::isa::Stream,
        banks: &[Vec<Vec<u64>>],
        interval: u32,
    ) {
        let (row, cols) = (self.next_row, self.shape.dram_cols);
        let count = banks.iter().map(Vec::len).max().unwrap() as u32;
        for c in 0..count {
            let mut words = vec![];
            for bank in 0..self.shape.banks as usize {
                let column = banks.get(bank).and_then(|b| b.get(c as usize));
                let mut column = column.cloned().unwrap_or_default();
                column.resize(column_words(&self.shape), 0);
                words.extend(column);
            }
            self.columns.insert((row + c / cols, c % cols), words);
        }
        self.next_row += count.div_ceil(cols);
        self.push(Action::Stream(stream), 2);
        self.push(Action::Row { row, col: 0 }, 2);
        let mut whole = |rows: u32, reads: u32| {
            if rows > 0 {
                self.push(Action::Loop { count: rows }, 2);
                self.push(Action::Act, 5);
                self.push(Action::Loop { count: reads }, 2);
                self.push(Action::Read, interval - 2);
                self.push(Action::Next, 2);
                self.push(Action::Pre, 4);
                self.push(Action::Next, 2);
            }
        };
        whole(count / cols, cols);
        if count % cols > 0 {
            whole(1, count % cols);
        }
        let settle = column_clocks(&self.shape) + COLLECT_CLOCKS;
        self.push(Action::Wait, settle);
    }

    /// Runs it on the words that vector memory begins with.
    pub fn run(mut self, memory: &[i64]) -> Outcome {
        self.push(Action::End, 0);
        let shape = crate::shapes::fit(&self.shape, &self.program);
        let mut channel = NativeChannel::new(&shape);
        let mut dram = Dram {
            columns: self.columns,
            open: None,
            data: VecDeque::new(),
            read_at: 0,
            row_at: 0,
            results: vec![vec![]; shape.banks as usize],
            shape: &shape,
        };
        for (at, word) in encode(&self.program, &shape.isa).unwrap().into_iter().enumerate() {
            let inputs = Inputs { program: Some((at as u32, word)), ..Inputs::default() };
            dram.step(&mut channel, inputs);
        }
        for (at, word) in memory.iter().enumerate() {
            let inputs =
                Inputs { host_addr: at as u32, host_write: Some(*word), ..Inputs::default() };
            dram.step(&mut channel, inputs);
        }
        dram.step(&mut channel, Inputs { start: true, ..Inputs::default() });
        let mut done = false;
        for _ in 0..200_000 {
            done = dram.step(&mut channel, Inputs::default()).done;
            if done {
                break;
            }
        }
        assert!(done, "the program ends");
        assert_eq!(dram.open, None, "all banks are precharged at the end");
        let read = |at| {
            let inputs = Inputs { host_addr: at as u32, ..Inputs::default() };
            dram.step(&mut channel, inputs).host_rdata
        };
        let memory = (0..=memory.len()).map(read).skip(1).collect();
        // A command is on the port one clock after its issue.
        let last_row_clocks = dram.row_at + 1 - dram.read_at;
        Outcome { memory, results: dram.results, last_row_clocks }
    }
}

/// What a job leaves behind.
pub struct Outcome {
    /// The words that vector memory ends with.
    pub memory: Vec<i64>,
    /// The results of each bank, one after the other.
    pub results: Vec<Vec<i64>>,
    /// Clocks from the issue of the last read to the last result.
    pub last_row_clocks: u64,
}

impl Outcome {
    /// The result of row `r` of the matrix of a job's only stream with results.
    pub fn row(&self, r: usize) -> i64 {
        let banks = self.results.len();
        self.results[r % banks][r / banks]
    }
}

struct Dram<'a> {
    columns: BTreeMap<(u32, u32), Vec<u64>>,
    open: Option<u32>,
    /// Columns on their way, with the clock of their data.
    data: VecDeque<(u64, Vec<u64>)>,
    /// Clock of the command of the last read.
    read_at: u64,
    /// Clock of the last result.
    row_at: u64,
    results: Vec<Vec<i64>>,
    shape: &'a ChannelShape,
}

impl Dram<'_> {
    /// One clock; garbage is on the pins whenever no column is due.
    fn step(&mut self, channel: &mut NativeChannel, inputs: Inputs) -> pimc_rtl::native::Outputs {
        let word = u64::MAX >> (64 - self.shape.beat_bits.min(64));
        let garbage = vec![word; self.shape.banks as usize * column_words(self.shape)];
        let due = self.data.front().is_some_and(|d| d.0 == channel.cycle());
        let words = if due { self.data.pop_front().unwrap().1 } else { garbage };
        let cycle = channel.cycle();
        channel.drive(&Inputs { rd_data: Some(&words), ..inputs });
        let outputs = channel.outputs();
        for (bank, results) in self.results.iter_mut().enumerate() {
            if let Some(value) = channel.bank(bank).row_value {
                results.push(value);
                self.row_at = cycle;
            }
        }
        channel.tick();
        match outputs.command {
            Some(Command::Activate(row)) => {
                assert_eq!(self.open.replace(row), None, "activate of an open bank");
            }
            Some(Command::Precharge) => self.open = None,
            Some(Command::Refresh) => assert_eq!(self.open, None, "refresh of an open bank"),
            Some(Command::Read(col)) => {
                let row = self.open.expect("a read finds an open row");
                let words = self.columns.get(&(row, col)).expect("a column that was laid");
                self.data.push_back((cycle + u64::from(self.shape.read_latency), words.clone()));
                self.read_at = cycle;
            }
            Some(Command::Write(_)) => panic!("no job writes"),
            None => {}
        }
        outputs
    }
}

/// Words of a column.
pub fn column_words(shape: &ChannelShape) -> usize {
    (shape.beats * shape.beat_words()) as usize
}
