//! One bank unit: its memories, and what a column does in each stream mode.

use super::{fits, wrap, At, Event, Sink};
use crate::images::Column;
use crate::supermask::RowGenerator;
use pimc_rtl::isa::Stream;
use pimc_rtl::shape::{ChannelShape, LookupShape, StreamMode};

/// The stream under way, the same for all banks.
pub(super) struct Streaming {
    fields: Stream,
    mode: StreamMode,
    /// Column within the matrix row.
    column: u32,
    beats: u32,
    acc_bits: u32,
    lookup: Option<LookupShape>,
}

impl Streaming {
    pub(super) fn new(fields: Stream, mode: StreamMode, shape: &ChannelShape) -> Streaming {
        let bank = &shape.bank;
        let lookup = match mode {
            StreamMode::Build(i) | StreamMode::Lookup(i) => bank.lookups.get(i as usize).copied(),
            _ => None,
        };
        let acc_bits = match mode {
            StreamMode::Build(_) | StreamMode::Lookup(_) => lookup.map_or(1, |l| l.acc_bits),
            StreamMode::Signs | StreamMode::Mask => bank.gated.map_or(1, |g| g.acc_bits),
            StreamMode::Mac => bank.mac.map_or(1, |m| m.acc_bits),
        };
        Streaming { fields, mode, column: 0, beats: shape.beats, acc_bits, lookup }
    }

    pub(super) fn mode(&self) -> StreamMode {
        self.mode
    }

    pub(super) fn at_row_start(&self) -> bool {
        self.column == 0
    }

    fn at_row_end(&self) -> bool {
        self.column == self.fields.columns_less_1
    }

    /// Beats used of the present column.
    fn used(&self) -> u32 {
        if self.at_row_end() {
            (self.fields.tail_beats_less_1 + 1).min(self.beats)
        } else {
            self.beats
        }
    }

    /// Goes on to the next column.
    pub(super) fn count(&mut self) {
        self.column = if self.at_row_end() { 0 } else { self.column + 1 };
    }
}

/// A result: the accumulator as the memory holds it, and whether its sum was ever too wide.
#[derive(Clone, Copy, Default)]
pub(super) struct Outcome {
    pub(super) acc: i64,
    pub(super) ones: u32,
    pub(super) overflow: bool,
}

/// One bank unit.
pub(super) struct BankUnit {
    bank: u32,
    banks: u32,
    bytes: Vec<[i8; 8]>,
    /// Inputs as numbers; the bit planes hold the same.
    planes: Vec<i64>,
    /// Per lookup unit and lane: table entries.
    tables: Vec<Vec<Vec<i64>>>,
    results: Vec<Outcome>,
    sum: i128,
    ones: u32,
    overflow: bool,
    /// Beat within the matrix row.
    beat: usize,
    index: u32,
    generator: RowGenerator,
    signs: u64,
}

impl BankUnit {
    pub(super) fn new(bank: u32, shape: &ChannelShape) -> BankUnit {
        let table =
            |l: &LookupShape| vec![vec![0; l.blocks as usize * l.k as usize]; l.lanes as usize];
        let inputs = shape.bank.gated.map_or(0, |g| g.groups * shape.beat_bits);
        BankUnit {
            bank,
            banks: shape.banks,
            bytes: vec![[0; 8]; shape.bank.byte_words as usize],
            planes: vec![0; inputs as usize],
            tables: shape.bank.lookups.iter().map(table).collect(),
            results: vec![Outcome::default(); shape.bank.result_depth as usize],
            sum: 0,
            ones: 0,
            overflow: false,
            beat: 0,
            index: 0,
            generator: RowGenerator::new(0, 0),
            signs: 0,
        }
    }

    pub(super) fn bank(&self) -> u32 {
        self.bank
    }

    /// A stream begins: the counters start anew.
    pub(super) fn begin(&mut self) {
        (self.sum, self.ones, self.overflow) = (0, 0, false);
        (self.beat, self.index) = (0, 0);
    }

    pub(super) fn result(&self, index: usize) -> Option<Outcome> {
        self.results.get(index).copied()
    }

    /// Writes a byte of the input memory; bytes above it in the word become 0.
    pub(super) fn load_byte(&mut self, word: usize, at: usize, byte: i8) -> Result<(), String> {
        let slot = self.bytes.get_mut(word).ok_or("inputs past the end of the byte memory")?;
        if at == 0 {
            *slot = [0; 8];
        }
        slot[at] = byte;
        Ok(())
    }

    /// Writes an input of the plane memory.
    pub(super) fn load_plane(&mut self, at: usize, x: i64) -> Result<(), String> {
        *self.planes.get_mut(at).ok_or("inputs past the end of the plane memory")? = x;
        Ok(())
    }

    /// Takes a column.
    pub(super) fn column(
        &mut self,
        s: &Streaming,
        column: &Column,
        at: At,
        sink: &mut dyn Sink,
    ) -> Result<(), String> {
        if s.mode == StreamMode::Mask && s.at_row_start() {
            let row = self.index.wrapping_mul(self.banks).wrapping_add(self.bank);
            self.generator = RowGenerator::new(s.fields.sign_key, row);
        }
        for &beat in column.iter().take(s.used() as usize) {
            match s.mode {
                StreamMode::Build(i) => self.build(s, i as usize, beat)?,
                StreamMode::Lookup(i) => self.look_up(s, i as usize, beat)?,
                StreamMode::Signs => self.add_signs(beat)?,
                StreamMode::Mask => self.add_mask(s, beat)?,
                StreamMode::Mac => self.multiply(beat)?,
            }
            self.overflow |= !fits(self.sum, s.acc_bits);
            self.beat += 1;
        }
        if matches!(s.mode, StreamMode::Build(_)) {
            return Ok(());
        }
        let acc = wrap(self.sum, s.acc_bits);
        sink.event(&Event::Column { at, bank: self.bank, acc });
        if s.at_row_end() {
            let slot = self
                .results
                .get_mut(self.index as usize)
                .ok_or("results past the end of the result memory")?;
            *slot = Outcome { acc, ones: self.ones, overflow: self.overflow };
            sink.event(&Event::Result { at, bank: self.bank, index: self.index, data: acc });
            (self.sum, self.ones, self.overflow, self.beat) = (0, 0, false, 0);
            self.index += 1;
        }
        Ok(())
    }

    /// Beats of the codebook come in the order block, centroid, chunk.
    fn build(&mut self, s: &Streaming, unit: usize, beat: u64) -> Result<(), String> {
        let l = s.lookup.ok_or("there is no such lookup unit")?;
        let (chunks, chunk, sub) = (l.chunks() as usize, l.chunk as usize, l.sub as usize);
        let (part, j) = (self.beat % chunks, self.beat / chunks % l.k as usize);
        let block = self.beat / chunks / l.k as usize;
        let x = self.bytes.get(block * chunks + part).ok_or("a codebook longer than the inputs")?;
        for c in 0..chunk {
            let dot: i64 = (c * sub..(c + 1) * sub)
                .map(|i| i64::from((beat >> (8 * i)) as u8 as i8) * i64::from(x[i]))
                .sum();
            if !fits(dot.into(), l.entry_bits) {
                return Err(format!("table entry {dot} is wider than {} bits", l.entry_bits));
            }
            let table = &mut self.tables[unit][part * chunk + c];
            *table
                .get_mut(block * l.k as usize + j)
                .ok_or("a codebook longer than the tables")? = dot;
        }
        Ok(())
    }

    fn look_up(&mut self, s: &Streaming, unit: usize, beat: u64) -> Result<(), String> {
        let l = s.lookup.ok_or("there is no such lookup unit")?;
        for lane in 0..l.lanes {
            let code = beat >> (lane * l.code_bits) & ((1 << l.code_bits) - 1);
            let at = self.beat * l.k as usize + code as usize;
            let entry = self.tables[unit][lane as usize]
                .get(at)
                .ok_or_else(|| format!("code {code} is past the end of the tables"))?;
            self.sum += i128::from(*entry);
        }
        Ok(())
    }

    /// The 64 inputs of a group.
    fn group(&self, group: usize) -> Result<&[i64], String> {
        self.planes
            .get(64 * group..64 * group + 64)
            .ok_or_else(|| "a matrix row longer than the inputs".to_string())
    }

    fn add_signs(&mut self, beat: u64) -> Result<(), String> {
        let terms = self.group(self.beat)?.iter().enumerate();
        let sum: i128 =
            terms.map(|(j, &x)| i128::from(if beat >> j & 1 == 1 { x } else { -x })).sum();
        self.sum += sum;
        self.ones += beat.count_ones();
        Ok(())
    }

    /// Beats of a row come in the order group, coat; the signs of a group are held over its coats.
    fn add_mask(&mut self, s: &Streaming, beat: u64) -> Result<(), String> {
        let coats = s.fields.coats_less_1 as usize + 1;
        if self.beat % coats == 0 {
            self.signs = self.generator.group();
        }
        let signs = self.signs;
        let terms = self.group(self.beat / coats)?.iter().enumerate();
        let sum: i128 = terms
            .filter(|(j, _)| beat >> j & 1 == 1)
            .map(|(j, &x)| i128::from(if signs >> j & 1 == 1 { -x } else { x }))
            .sum();
        self.sum += sum;
        Ok(())
    }

    fn multiply(&mut self, beat: u64) -> Result<(), String> {
        let x = self.bytes.get(self.beat).ok_or("a matrix row longer than the inputs")?;
        let sum: i64 = x
            .iter()
            .enumerate()
            .map(|(i, &x)| i64::from((beat >> (8 * i)) as u8 as i8) * i64::from(x))
            .sum();
        self.sum += i128::from(sum);
        Ok(())
    }
}
