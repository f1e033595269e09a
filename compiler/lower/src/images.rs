//! Bank images: what every column of every bank holds.
//!
//! A stream starts at column 0 of a DRAM row; a matrix row starts on a column boundary and takes a
//! whole number of columns. A column is four words of 64 bits, the lowest first, and no code
//! straddles a word; a beat is one word or `words` that follow one another. Padding is zero. Which rows and which of their inputs a bank holds, its share,
//! [`Split`] says.
//!
//! | stream | word q of a matrix row, which is word q mod `words` of beat q / `words`, over the inputs of the bank's share |
//! |---|---|
//! | codebook | block, centroid j, chunk in that order: centroid j of `chunk` sub-vectors, byte by byte |
//! | codes | as many codes of `code_bits` as a word has: sub-vectors q*(lanes / words) .. |
//! | blocks | as [`pimc_rtl::shape::BlockShape`] says: B, scalars, A of one block and basis |
//! | mask | of beat b coat b mod coats of the inputs from `beat_bits`*(b / coats) on |
//! | int | weights of inputs 8q .., a byte each |

use crate::attention::CacheImages;
use crate::hex;
use crate::mapping::{lookup_lanes, Content, Split, StreamPlace};
use crate::plan::Plan;
use crate::supermask::EffectiveMask;
use pimc_ir::{BqqView, Model, WeightId, WeightView};
use pimc_rtl::shape::BlockShape;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::OnceLock;

/// One column of one bank: its words, the lowest first.
pub type Column = [u64; 4];

/// Something that answers column reads.
pub trait Banks {
    /// The column at (row, col) of a bank; none where the banks hold nothing.
    fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column>;
}

/// The images of a plan, computed from the model's tensors: columns one at a time as the table says,
/// or whole banks by [`crate::packing`].
pub struct Images<'a> {
    pub(crate) model: &'a Model,
    pub(crate) plan: &'a Plan,
    /// Made when a single column asks for them.
    masks: BTreeMap<WeightId, OnceLock<EffectiveMask>>,
    cache: Option<CacheImages<'a>>,
}

impl<'a> Images<'a> {
    /// The images of a plan of that model.
    pub fn new(model: &'a Model, plan: &'a Plan) -> Images<'a> {
        let masks = plan.streams.iter().map(|place| (place.weight, OnceLock::new())).collect();
        let cache = plan.cache.as_ref().map(|c| CacheImages::new(c, model.cache(c.id)));
        Images { model, plan, masks, cache }
    }

    /// How many streams there are; a cache is one more.
    pub fn streams(&self) -> usize {
        self.plan.streams.len() + usize::from(self.cache.is_some())
    }

    /// Every column of a bank of the cache, in order of address, a row at a time.
    fn cache_rows<'b>(&'b self, bank: u32) -> impl Iterator<Item = Vec<u64>> + 'b {
        let row = move |row: u32| -> Vec<u64> {
            let column = |col| self.cache.as_ref().and_then(|c| c.column(bank, row, col));
            (0..self.plan.target.columns).filter_map(column).flatten().collect()
        };
        (0..self.plan.dram_rows).map(row)
    }

    /// Every column of a bank's used rows, in order of address.
    pub fn bank(&self, bank: u32) -> Vec<Column> {
        let mut columns = Vec::new();
        for place in &self.plan.streams {
            let taken = self.pack::<std::convert::Infallible>(place, bank, &mut |words| {
                columns.extend(words.chunks_exact(4).map(|w| [w[0], w[1], w[2], w[3]]));
                Ok(())
            });
            match taken {
                Ok(()) => {}
                Err(never) => match never {},
            }
        }
        if self.cache.is_some() {
            for words in self.cache_rows(bank) {
                columns.extend(words.chunks_exact(4).map(|w| [w[0], w[1], w[2], w[3]]));
            }
        }
        columns
    }

    /// Writes the columns of one stream in a bank as hexadecimal lines, as
    /// [`crate::hex::write_columns`] does.
    ///
    /// # Errors
    /// Of the writer.
    pub fn write_stream(&self, stream: usize, bank: u32, to: &mut dyn Write) -> io::Result<()> {
        // A piece stays in the cache from packing to hashing and writing.
        const PIECE: usize = 128 << 10;
        let mut lines = Vec::with_capacity(PIECE + 65 * 1024);
        if stream == self.plan.streams.len() {
            for words in self.cache_rows(bank) {
                hex::column_lines(&words, &mut lines);
            }
            return to.write_all(&lines);
        }
        self.pack::<io::Error>(&self.plan.streams[stream], bank, &mut |words| {
            for words in words.chunks(4 * 1024) {
                hex::column_lines(words, &mut lines);
                if lines.len() >= PIECE {
                    to.write_all(&lines)?;
                    lines.clear();
                }
            }
            Ok(())
        })?;
        to.write_all(&lines)
    }

    /// Says that a stream's weight will not be looked at soon.
    pub fn release(&self, stream: usize) {
        if let Some(place) = self.plan.streams.get(stream) {
            self.model.release(place.weight);
        }
    }

    /// Column `c` of a stream in a bank; zero past its end.
    fn in_stream(&self, place: &StreamPlace, bank: u32, c: u32) -> Column {
        let mut column = [0; 4];
        if c >= place.columns {
            return column;
        }
        let first = c % place.row_columns * column.len() as u32;
        for (i, word) in column.iter_mut().enumerate() {
            let q = first as usize + i;
            *word = self.word(place, bank as usize, (c / place.row_columns) as usize, q);
        }
        column
    }

    /// Word `q` of matrix row `n` of a bank; zero past the row's end.
    fn word(&self, place: &StreamPlace, bank: usize, n: usize, q: usize) -> u64 {
        let banks = self.plan.target.units() as usize;
        let inputs = place.inputs as usize;
        let (beat_bits, words) = (self.plan.shape.beat_bits, self.plan.shape.beat_words() as usize);
        // The row of the weight, and the first input of the share.
        let (row, start) = match place.split {
            Split::Rows => (n * banks + bank, 0),
            Split::Inputs => (n, bank * inputs),
        };
        match (place.view(self.model), place.content) {
            (WeightView::Pq(v), Content::Codebook) => {
                let l = lookup_lanes(v.k(), v.sub(), beat_bits);
                let (chunk, lanes) = (l.chunk as usize / words, l.lanes as usize);
                let chunks = lanes / chunk;
                let (block, j, part) = (q / chunks / v.k(), q / chunks % v.k(), q % chunks);
                let mine = share(start, inputs, v.sub(), v.parts());
                let first = mine.start + block * lanes + part * chunk;
                bytes((0..chunk * v.sub()).map(|i| {
                    let s = first + i / v.sub();
                    if s < mine.end {
                        v.centroid(s, j, i % v.sub())
                    } else {
                        0
                    }
                }))
            }
            (WeightView::Pq(v), _) if row < v.rows() => {
                let l = lookup_lanes(v.k(), v.sub(), beat_bits);
                let lanes = l.lanes as usize / words;
                let mine = share(start, inputs, v.sub(), v.parts());
                let first = mine.start + q * lanes;
                let last = (first + lanes).min(mine.end);
                (first..last).enumerate().fold(0, |word, (lane, s)| {
                    word | (v.code(row, s) as u64) << (lane as u32 * l.code_bits)
                })
            }
            (WeightView::Bqq(v), _) => {
                let blocks = (v.bases(), v.rows() / v.block_rows(), v.cols() / v.block_cols());
                place
                    .block_of(n, bank, banks, blocks)
                    .map_or(0, |block| block_word(&v, block, q, words))
            }
            (WeightView::Supermask(v), _) if row < v.rows() => {
                let (beat, at) = (q / words, q % words);
                let (group, coat) = (beat / v.coats() * words + at, beat % v.coats());
                let ty = &self.model.module.weights[place.weight.0].ty;
                let mask = |m: &OnceLock<EffectiveMask>| {
                    m.get_or_init(|| EffectiveMask::new(&v, ty)).word(row, group, coat)
                };
                match self.masks.get(&place.weight) {
                    Some(m) if group < v.cols().div_ceil(64) => mask(m),
                    _ => 0,
                }
            }
            (WeightView::Int(v), content) if row < v.rows() => {
                let size = v.group().unwrap_or(v.cols());
                let base = match content {
                    Content::Int { group } => group * size,
                    _ => 0,
                };
                let first = start + 8 * q;
                let last = (first + 8).min(start + inputs).min(size);
                bytes((first..last).map(|c| v.q(row, base + c) as i8))
            }
            _ => 0,
        }
    }
}

/// The sub-vectors of a bank whose share begins at input `start`.
pub(crate) fn share(
    start: usize,
    inputs: usize,
    sub: usize,
    parts: usize,
) -> std::ops::Range<usize> {
    (start / sub).min(parts)..((start + inputs) / sub).min(parts)
}

/// Word `q` of one block and basis, `words` to a beat.
fn block_word(v: &BqqView<'_>, (i, br, bc): (usize, usize, usize), q: usize, words: usize) -> u64 {
    let (n, l) = (v.block_cols(), v.inner());
    let (x_beats, t_beats) = (n.div_ceil(64 * words), l.div_ceil(64 * words));
    let scalars = BlockShape::scalar_beats(x_beats as u32) as usize * words;
    let (x_words, t_words) = (x_beats * words, t_beats * words);
    if q < l * x_words {
        return bits(q % x_words, n, |j| v.b(i, br, bc, q / x_words, j));
    }
    let q = q - l * x_words;
    if q < scalars {
        let s = v.s(i, br, bc);
        return match (q / words, q % words) {
            (0, 0) => {
                field(v.r(i, br, bc), 0, 16) | field(v.t(i, br, bc), 16, 16) | field(2 * s, 32, 32)
            }
            // u stands once in the sum over the bases.
            (1, 0) => (if i == 0 { v.u(br, bc) } else { 0 } - l as i64 * s) as u64,
            _ => 0,
        };
    }
    let q = q - scalars;
    if q < v.block_rows() * t_words {
        return bits(q % t_words, l, |k| v.a(i, br, bc, q / t_words, k));
    }
    0
}

/// The low `bits` of a scalar, at bit `at`.
pub(crate) fn field(value: i64, at: u32, bits: u32) -> u64 {
    (value as u64 & (u64::MAX >> (64 - bits))) << at
}

impl Banks for Images<'_> {
    fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        if let Some(cache) = &self.cache {
            let there = bank < self.plan.target.units() && col < self.plan.target.columns;
            return cache.column(bank, row, col).filter(|_| there);
        }
        let after = self.plan.streams.partition_point(|s| s.first_row <= row);
        let place = self.plan.streams.get(after.checked_sub(1)?)?;
        let cols = self.plan.target.columns;
        let within = row - place.first_row;
        if within >= place.dram_rows(cols) || col >= cols || bank >= self.plan.target.units() {
            return None;
        }
        Some(self.in_stream(place, bank, within * cols + col))
    }
}

/// Up to eight bytes, the first one lowest.
fn bytes(values: impl Iterator<Item = i8>) -> u64 {
    values.enumerate().fold(0, |word, (i, b)| word | u64::from(b as u8) << (8 * i))
}

/// Bits 64q .. of `len` bits, the first one lowest.
fn bits(q: usize, len: usize, set: impl Fn(usize) -> bool) -> u64 {
    (64 * q..len.min(64 * q + 64)).fold(0, |word, j| word | u64::from(set(j)) << (j % 64))
}
