//! What a run of the channel must show on its signals: the reference of the waveform check.

use pimc_rtl::shape::ChannelShape;

/// Where an event comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Origin {
    /// Instruction of the program.
    pub instr: usize,
    /// Op of the function, if the instruction belongs to one.
    pub op: Option<usize>,
}

/// A command on the DRAM command port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Clocks after the program's first command.
    pub cycle: u64,
    /// 0 activate, 1 read, 2 precharge, 3 refresh, 4 write.
    pub code: u8,
    /// Row, of an activate.
    pub row: Option<u32>,
    /// Column, of a read or a write.
    pub col: Option<u32>,
    /// Where it comes from.
    pub origin: Origin,
}

/// One thing that every bank unit does at some time: one value per bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerBank {
    /// The value of bank b.
    pub values: Vec<i64>,
    /// Which command it follows from: its place in [`Expected::commands`].
    pub command: usize,
    /// Where it comes from.
    pub origin: Origin,
}

/// A write of vector memory by the buffer unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    /// Address.
    pub addr: u32,
    /// The word.
    pub data: i64,
    /// Where it comes from.
    pub origin: Origin,
}

/// All that one run of the program shows, each kind in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Words of vector memory that the host must have written before the start, as far as the
    /// waveform shows it writing there.
    pub host: Vec<(u32, i64)>,
    /// Commands, at their clocks.
    pub commands: Vec<Command>,
    /// Columns as attention units take them, a read each, of every bank: of a cache, which changes. Empty
    /// where the banks hold what they always held.
    pub taken: Vec<Vec<[u64; 4]>>,
    /// Accumulators after each column of a lookup, sign, mask or multiply-add stream.
    pub columns: Vec<PerBank>,
    /// Results of matrix rows as they leave the bank units.
    pub results: Vec<PerBank>,
    /// Writes of vector memory.
    pub writes: Vec<Write>,
    /// Clocks from the first command to the end, when `done_o` shows.
    pub end: u64,
}

/// Gives the waveform check what it compares with.
pub trait Reference {
    /// The channel.
    fn shape(&self) -> &ChannelShape;

    /// What run number `run` of the waveform must show. `host` tells the word that the host last
    /// wrote at an address of vector memory, as far as the waveform shows.
    ///
    /// # Errors
    /// Text for the user, when the run's inputs cannot be known.
    fn expect(&mut self, run: usize, host: &dyn Fn(u32) -> Option<i64>)
        -> Result<Expected, String>;

    /// The column that bank `bank` holds at `row`, `col`; lowest word first.
    fn column(&self, bank: usize, row: u32, col: u32) -> [u64; 4];
}
