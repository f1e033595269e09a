//! One bank unit: its memories, and what a column does in each stream mode.

use super::blocks::BlockUnit;
use super::{fits, wrap};
use crate::images::Column;
use crate::supermask::RowGenerator;
use pimc_rtl::isa::Stream;
use pimc_rtl::shape::{BlockShape, ChannelShape, LookupShape, StreamMode};

/// The stream under way, the same for all banks.
pub(super) struct Streaming {
    fields: Stream,
    mode: StreamMode,
    /// Column within the matrix row.
    column: u32,
    beats: u32,
    /// Words of a beat.
    words: usize,
    acc_bits: u32,
    lookup: Option<LookupShape>,
    pub(super) blocks: Option<BlockShape>,
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
            StreamMode::Blocks | StreamMode::Mask => bank.gated.map_or(1, |g| g.acc_bits),
            StreamMode::Mac => bank.mac.map_or(1, |m| m.acc_bits),
            // The attention units keep their own sums.
            StreamMode::Attention(_) => 64,
        };
        let (beats, words, blocks) = (shape.beats, shape.beat_words() as usize, bank.blocks);
        Streaming { fields, mode, column: 0, beats, words, acc_bits, lookup, blocks }
    }

    pub(super) fn fields(&self) -> &Stream {
        &self.fields
    }

    /// Bits of the accumulator.
    pub(super) fn acc_bits(&self) -> u32 {
        self.acc_bits
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

/// What a column brought about in a bank.
#[derive(Default)]
pub(super) struct Outcome {
    /// The accumulator when the column's beats are in it; none of a codebook.
    pub(super) acc: Option<i64>,
    /// Results of the matrix rows that ended in it, in order.
    pub(super) rows: Vec<i64>,
}

/// Most bytes of a word of byte memory.
pub(super) const MOST_BYTES: usize = 16;

/// One bank unit.
pub(super) struct BankUnit {
    bank: u32,
    banks: u32,
    bytes: Vec<[i8; MOST_BYTES]>,
    /// Inputs as numbers; the bit planes hold the same.
    planes: Vec<i64>,
    /// Per lookup unit and lane: table entries.
    tables: Vec<Vec<Vec<i64>>>,
    blocks: BlockUnit,
    sum: i128,
    overflow: bool,
    /// Beat within the matrix row.
    beat: usize,
    index: u32,
    generator: RowGenerator,
    /// Signs of a group, a word for each of a beat.
    signs: Vec<u64>,
}

impl BankUnit {
    pub(super) fn new(bank: u32, shape: &ChannelShape) -> BankUnit {
        let table =
            |l: &LookupShape| vec![vec![0; l.blocks as usize * l.k as usize]; l.lanes as usize];
        let inputs = shape.bank.gated.map_or(0, |g| g.groups * shape.beat_bits);
        BankUnit {
            bank,
            banks: shape.banks,
            bytes: vec![[0; MOST_BYTES]; shape.bank.byte_words as usize],
            planes: vec![0; inputs as usize],
            tables: shape.bank.lookups.iter().map(table).collect(),
            blocks: BlockUnit::default(),
            sum: 0,
            overflow: false,
            beat: 0,
            index: 0,
            generator: RowGenerator::new(0, 0),
            signs: Vec::new(),
        }
    }

    pub(super) fn bank(&self) -> u32 {
        self.bank
    }

    /// A stream begins: the counters start anew.
    pub(super) fn begin(&mut self) {
        (self.sum, self.overflow) = (0, false);
        (self.beat, self.index) = (0, 0);
        self.blocks = BlockUnit::default();
    }

    /// Writes a byte of the input memory; bytes above it in the word become 0.
    pub(super) fn load_byte(&mut self, word: usize, at: usize, byte: i8) -> Result<(), String> {
        let slot = self.bytes.get_mut(word).ok_or("inputs past the end of the byte memory")?;
        if at == 0 {
            *slot = [0; MOST_BYTES];
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
    pub(super) fn column(&mut self, s: &Streaming, column: &Column) -> Result<Outcome, String> {
        let beats = column.chunks(s.words).take(s.used() as usize);
        if s.mode == StreamMode::Blocks {
            let mut outcome = Outcome::default();
            for beat in beats {
                outcome.rows.extend(self.blocks.beat(s, beat, &self.planes)?);
            }
            outcome.acc = Some(self.blocks.acc(s));
            if s.at_row_end() {
                self.blocks.end();
            }
            return Ok(outcome);
        }
        if s.mode == StreamMode::Mask && s.at_row_start() {
            let row = self.index.wrapping_mul(self.banks).wrapping_add(self.bank);
            self.generator = RowGenerator::new(s.fields.sign_key, row);
        }
        for beat in beats {
            match s.mode {
                StreamMode::Build(i) => self.build(s, i as usize, beat)?,
                StreamMode::Lookup(i) => self.look_up(s, i as usize, beat)?,
                StreamMode::Mask => self.add_mask(s, beat)?,
                StreamMode::Mac => self.multiply(beat)?,
                _ => return Err(format!("no unit takes columns of mode {:?}", s.mode)),
            }
            self.overflow |= !fits(self.sum, s.acc_bits);
            self.beat += 1;
        }
        if matches!(s.mode, StreamMode::Build(_)) {
            return Ok(Outcome::default());
        }
        let acc = wrap(self.sum, s.acc_bits);
        let mut outcome = Outcome { acc: Some(acc), rows: vec![] };
        if s.at_row_end() {
            if self.overflow {
                let (bank, row) = (self.bank, self.index);
                return Err(format!("the accumulator of bank {bank}, row {row}, overflowed"));
            }
            outcome.rows.push(acc);
            (self.sum, self.beat) = (0, 0);
            self.index += 1;
        }
        Ok(outcome)
    }

    /// Beats of the codebook come in the order block, centroid, chunk.
    fn build(&mut self, s: &Streaming, unit: usize, beat: &[u64]) -> Result<(), String> {
        let l = s.lookup.ok_or("there is no such lookup unit")?;
        let (chunks, chunk, sub) = (l.chunks() as usize, l.chunk as usize, l.sub as usize);
        let (part, j) = (self.beat % chunks, self.beat / chunks % l.k as usize);
        let block = self.beat / chunks / l.k as usize;
        let x = self.bytes.get(block * chunks + part).ok_or("a codebook longer than the inputs")?;
        for c in 0..chunk {
            // Every word of the beat has as many centroids.
            let in_word = chunk / s.words;
            let (word, first) = (beat[c / in_word], c % in_word * sub);
            let dot: i64 = (0..sub)
                .map(|i| i64::from(byte(word, first + i)) * i64::from(x[c * sub + i]))
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

    fn look_up(&mut self, s: &Streaming, unit: usize, beat: &[u64]) -> Result<(), String> {
        let l = s.lookup.ok_or("there is no such lookup unit")?;
        for lane in 0..l.lanes {
            let in_word = l.lanes / s.words as u32;
            let word = beat[(lane / in_word) as usize];
            let code = word >> (lane % in_word * l.code_bits) & ((1 << l.code_bits) - 1);
            let at = self.beat * l.k as usize + code as usize;
            let entry = self.tables[unit][lane as usize]
                .get(at)
                .ok_or_else(|| format!("code {code} is past the end of the tables"))?;
            self.sum += i128::from(*entry);
        }
        Ok(())
    }

    /// The inputs of a group, of beats of `words`.
    fn group(&self, group: usize, words: usize) -> Result<&[i64], String> {
        let size = 64 * words;
        self.planes
            .get(size * group..size * (group + 1))
            .ok_or_else(|| "a matrix row longer than the inputs".to_string())
    }

    /// Beats of a row come in the order group, coat; the signs of a group are held over its coats.
    fn add_mask(&mut self, s: &Streaming, beat: &[u64]) -> Result<(), String> {
        let coats = s.fields.coats_less_1 as usize + 1;
        if self.beat % coats == 0 {
            self.signs = (0..s.words).map(|_| self.generator.group()).collect();
        }
        let signs = &self.signs;
        let terms = self.group(self.beat / coats, s.words)?.iter().enumerate();
        let sum: i128 = terms
            .filter(|(j, _)| bit(beat, *j))
            .map(|(j, &x)| i128::from(if bit(signs, j) { -x } else { x }))
            .sum();
        self.sum += sum;
        Ok(())
    }

    fn multiply(&mut self, beat: &[u64]) -> Result<(), String> {
        let x = self.bytes.get(self.beat).ok_or("a matrix row longer than the inputs")?;
        let sum: i64 = x
            .iter()
            .take(8 * beat.len())
            .enumerate()
            .map(|(i, &x)| i64::from(byte(beat[i / 8], i % 8)) * i64::from(x))
            .sum();
        self.sum += i128::from(sum);
        Ok(())
    }
}

/// Byte `i` of a word.
fn byte(word: u64, i: usize) -> i8 {
    (word >> (8 * i)) as u8 as i8
}

/// Bit `j` of a beat.
pub(super) fn bit(beat: &[u64], j: usize) -> bool {
    beat[j / 64] >> (j % 64) & 1 == 1
}
