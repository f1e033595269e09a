//! The native level: a whole channel in the rust-hdl simulation, driven pin by pin.
//!
//! A clock has two halves: [`NativeChannel::drive`] sets the inputs, after which everything that
//! the channel shows in this clock can be read; [`NativeChannel::tick`] gives the edge.

use crate::channel::Channel;
use crate::hdl::{clock, settle, Inst};
use crate::sequencer_commands::{CMD_ACT, CMD_PRE, CMD_READ, CMD_WRITE};
use crate::shape::ChannelShape;

/// The inputs of one clock; the default does nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inputs<'a> {
    /// Writes a program word: address, word.
    pub program: Option<(u32, u128)>,
    /// Writes an argument: address, word. Only where the program takes some.
    pub argument: Option<(u32, u32)>,
    /// Address of vector memory for the host, to read, and to write if there is a `host_write`.
    pub host_addr: u32,
    /// Writes a word of vector memory at `host_addr`.
    pub host_write: Option<i64>,
    /// Starts the program.
    pub start: bool,
    /// Columns of all banks, bank 0 first: the words of `beats` beats each, of 64 bits or of what a
    /// narrower beat has. They stay on the pins while this is `None`.
    pub rd_data: Option<&'a [u64]>,
}

/// A DRAM command, to every bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Activate this row.
    Activate(u32),
    /// Read this column.
    Read(u32),
    /// Write this column: of [`NativeChannel::write_data`], `write_latency` clocks later.
    Write(u32),
    /// Precharge.
    Precharge,
    /// Refresh.
    Refresh,
}

/// The outputs in one clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// The command port.
    pub command: Option<Command>,
    /// A program runs or will.
    pub busy: bool,
    /// The program ends in this clock.
    pub done: bool,
    /// The word of vector memory at the clock before's `host_addr`.
    pub host_rdata: i64,
}

/// What a bank unit shows to a waveform check in one clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BankSignals {
    /// A column is on its data pins.
    pub col_valid: bool,
    /// The beats of a column are all in the accumulator, which is this.
    pub column_acc: Option<i64>,
    /// A matrix row is done, with this result.
    pub row_value: Option<i64>,
}

/// A channel that runs.
pub struct NativeChannel {
    channel: Inst<Channel>,
    cycle: u64,
}

impl NativeChannel {
    /// The channel of `shape`, just after its reset.
    ///
    /// # Panics
    /// If the shape contradicts itself; [`ChannelShape::check`] tells how.
    pub fn new(shape: &ChannelShape) -> Self {
        let mut channel = Inst::new(Channel::new(shape));
        settle(&mut channel);
        NativeChannel { channel, cycle: 0 }
    }

    /// Clocks since the reset.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// Sets the inputs of this clock.
    ///
    /// # Panics
    /// If `rd_data` has not the words of `banks * beats` beats.
    pub fn drive(&mut self, inputs: &Inputs<'_>) {
        let c = &mut *self.channel;
        c.prog_we.next = inputs.program.is_some();
        if let Some((addr, word)) = inputs.program {
            c.prog_addr.set(i128::from(addr));
            c.prog_data.set(word as i128);
        }
        for we in &mut c.arg_we {
            we.next = inputs.argument.is_some();
        }
        if let Some((addr, word)) = inputs.argument {
            c.arg_addr.iter_mut().for_each(|pin| pin.set(i128::from(addr)));
            c.arg_data.iter_mut().for_each(|pin| pin.set(i128::from(word)));
        }
        c.host_addr.set(i128::from(inputs.host_addr));
        c.host_we.next = inputs.host_write.is_some();
        if let Some(word) = inputs.host_write {
            c.host_wdata.set(i128::from(word));
        }
        c.start.next = inputs.start;
        if let Some(words) = inputs.rd_data {
            let beat = c.shape().beat_words() as usize;
            assert_eq!(words.len(), beat * c.rd_data.len(), "a column for every bank");
            for (pin, words) in c.rd_data.iter_mut().zip(words.chunks(beat)) {
                pin.set(words.iter().rev().fold(0, |pin, word| pin << 64 | i128::from(*word)));
            }
        }
        settle(&mut self.channel);
    }

    /// The outputs of this clock.
    pub fn outputs(&self) -> Outputs {
        let c = &*self.channel;
        let command = c.cmd_valid.val().then(|| match c.cmd.get() as u32 {
            CMD_ACT => Command::Activate(c.cmd_row.get() as u32),
            CMD_READ => Command::Read(c.cmd_col.get() as u32),
            CMD_WRITE => Command::Write(c.cmd_col.get() as u32),
            CMD_PRE => Command::Precharge,
            _ => Command::Refresh,
        });
        Outputs {
            command,
            busy: c.busy.val(),
            done: c.done.val(),
            host_rdata: c.host_rdata.get() as i64,
        }
    }

    /// The columns to write in this clock, as [`Inputs::rd_data`] has those that are read; empty
    /// where nothing is written.
    pub fn write_data(&self) -> Vec<u64> {
        let beat = self.channel.shape().beat_words();
        let pins = self.channel.wr_data.iter().map(|pin| pin.get() as u128);
        pins.flat_map(|pin| (0..beat).map(move |word| (pin >> (64 * word)) as u64)).collect()
    }

    /// What bank unit `bank` shows in this clock; where there are attention units that of a bank, whose
    /// accumulator is the score of the first lane and row.
    ///
    /// # Panics
    /// If there is no such bank.
    pub fn bank(&self, bank: usize) -> BankSignals {
        if let Some(attention) = self.channel.attention.first() {
            let unit = &attention.unit[bank];
            let score = unit.score_valid.val().then(|| unit.score[0].get() as i64);
            let col_valid = unit.col_valid.val();
            return BankSignals { col_valid, column_acc: score, row_value: None };
        }
        let (column_acc, row_value) = self.channel.bank[bank].observed();
        BankSignals {
            col_valid: self.channel.bank[bank].col_valid.val(),
            column_acc: column_acc.map(|acc| acc as i64),
            row_value: row_value.map(|value| value as i64),
        }
    }

    /// What the buffer unit writes in this clock: the address of the run's first element, and by
    /// lane the words that are written.
    pub fn buffer_write(&self) -> Option<(u32, Vec<Option<i64>>)> {
        let (addr, words) = self.channel.buffer.written()?;
        let words = words.into_iter().map(|word| word.map(|w| w as i64)).collect();
        Some((addr as u32, words))
    }

    /// The clock edge.
    pub fn tick(&mut self) {
        clock(&mut self.channel);
        self.cycle += 1;
    }

    /// One whole clock: its inputs, and the outputs before its edge.
    ///
    /// # Panics
    /// If `rd_data` has not the words of `banks * beats` beats.
    pub fn step(&mut self, inputs: &Inputs<'_>) -> Outputs {
        self.drive(inputs);
        let outputs = self.outputs();
        self.tick();
        outputs
    }
}
