//! Tasks of a matvec: inputs to the banks, columns through their units, results back.
//!
//! The results are collected while the columns come in, so nothing is left to do when the last
//! column is through.

use super::{lookup_lanes, vector, Content, Known, Mapper, Split};
use pimc_ir::{ValueId, WeightId, WeightType};
use pimc_rtl::isa::{VecOp, Vector};

/// How inputs get into the memories of the bank units.
#[derive(Clone, Copy)]
enum Load {
    /// Bytes: so many to a word, a block of words ending after so many.
    Bytes { word: u32, block: u32 },
    /// Bit planes, from this group of inputs on.
    Planes { group: u32 },
}

impl Mapper<'_> {
    /// y = W x, y in `value`'s region.
    pub(super) fn matvec(&mut self, weight: WeightId, x: ValueId, value: ValueId) {
        let (name, ty) = self.weight(weight);
        let (from, d) = (self.regions[x.0].addr, self.regions[value.0].addr);
        let known = Known::Elements(value);
        match ty {
            WeightType::Pq { rows, .. } => {
                let pieces = self.streams.pieces(self.model, weight);
                let last = pieces.len() - 1;
                let t = if last > 0 { self.scratch(rows) } else { d };
                for (piece, (first, len)) in pieces.into_iter().enumerate() {
                    let x = (from.saturating_add(first as u32), len);
                    if piece == 0 {
                        let known = if last == 0 { known } else { Known::Nothing };
                        self.pq_piece(weight, 0, x, (d, rows), known);
                        continue;
                    }
                    self.pq_piece(weight, piece as u32, x, (t, rows), Known::Nothing);
                    let known = if piece == last { known } else { Known::Nothing };
                    self.vec_known("add the piece", vector(VecOp::Add, d, t, d, rows), known);
                }
            }
            WeightType::Supermask { rows, cols, .. } => {
                let mask = self.streams.place(self.model, weight, Content::Mask);
                self.load_shares(mask, from, cols, Load::Planes { group: 0 });
                self.collect(&name, mask, d, rows, known);
                self.stream(format!("stream the mask of {name}"), mask, from);
            }
            WeightType::Int { rows, cols, group: None, .. } => {
                self.group(weight, 0, from, cols, (d, rows), known);
            }
            WeightType::Int { rows, cols, group: Some(size), .. } => {
                let t = self.scratch(rows);
                let groups = cols / size;
                for g in 0..groups {
                    let x = from.saturating_add((g * size) as u32);
                    self.group(weight, g, x, size, (t, rows), Known::Nothing);
                    let scales = self.constants.scales(self.model, weight, g);
                    let scaled = |d| vector(VecOp::Mul, t, scales, d, rows);
                    let last = if g + 1 == groups { known } else { Known::Nothing };
                    if g == 0 {
                        self.vec_known("scale", scaled(d), last);
                    } else {
                        self.vec("scale", scaled(t));
                        self.vec_known("add the group", vector(VecOp::Add, d, t, d, rows), last);
                    }
                }
            }
            WeightType::Bqq { rows, cols, bases, block_rows, block_cols } => {
                let blocks = self.streams.place(self.model, weight, Content::Blocks);
                let slices = self.streams.get(blocks).slices as usize;
                let shape = (bases * slices, rows / block_rows, cols / block_cols);
                self.load_blocks(blocks, shape, from, block_cols);
                let passes = self.streams.get(blocks).rows / shape.1 as u32;
                let v = Vector {
                    a: block_rows as u32,
                    b: passes,
                    ..vector(VecOp::CollectSum, 0, 0, d, rows)
                };
                self.vec_known(format!("collect the rows of {name}"), v, known);
                self.stream(format!("stream the blocks of {name}"), blocks, from);
            }
        }
    }

    /// One piece of a PQ matrix, `len` inputs at `x`: its tables, then its codes; results to `(address,
    /// rows)`.
    fn pq_piece(
        &mut self,
        weight: WeightId,
        piece: u32,
        (x, len): (u32, usize),
        (d, rows): (u32, usize),
        known: Known,
    ) {
        let (name, ty) = self.weight(weight);
        let WeightType::Pq { cols, sub, k, .. } = ty else { return };
        let lookup = lookup_lanes(k, sub, self.streams.target().beat_bits);
        let (word, block) = (lookup.chunk * lookup.sub, lookup.lanes * lookup.sub);
        let which = if len == cols { String::new() } else { format!(", piece {piece}") };
        let book = self.streams.place_piece(self.model, weight, Content::Codebook, piece);
        self.load_shares(book, x, len, Load::Bytes { word, block });
        self.stream(format!("build the tables of {name}{which}"), book, x);
        let codes = self.streams.place_piece(self.model, weight, Content::Codes, piece);
        self.collect(&name, codes, d, rows, known);
        self.stream(format!("look up the codes of {name}{which}"), codes, x);
    }

    /// One group of an integer matrix, `size` inputs at `x`; results to `(address, rows)`.
    fn group(
        &mut self,
        weight: WeightId,
        group: usize,
        x: u32,
        size: usize,
        (d, rows): (u32, usize),
        known: Known,
    ) {
        let name = self.weight(weight).0;
        let part = self.streams.place(self.model, weight, Content::Int { group });
        let bytes = self.streams.target().beat_bits / 8;
        self.load_shares(part, x, size, Load::Bytes { word: bytes, block: bytes });
        self.collect(&name, part, d, rows, known);
        let whole = size == self.weight(weight).1.cols();
        let which = if whole { String::new() } else { format!(", group {group}") };
        self.stream(format!("stream the weights of {name}{which}"), part, x);
    }

    /// Takes the results of a stream of `rows` matrix rows as they come.
    fn collect(&mut self, name: &str, stream: usize, d: u32, rows: usize, known: Known) {
        let v = match self.streams.get(stream).split {
            Split::Rows => vector(VecOp::Collect, 0, 0, d, rows),
            Split::Inputs => {
                Vector { a: rows as u32, b: 1, ..vector(VecOp::CollectSum, 0, 0, d, rows) }
            }
        };
        self.vec_known(format!("collect the rows of {name}"), v, known);
    }

    /// The inputs of a stream to the banks: all to every bank, or a slice to each.
    fn load_shares(&mut self, stream: usize, from: u32, len: usize, load: Load) {
        let (banks, slice) = match self.streams.get(stream).split {
            Split::Rows => (1, len),
            Split::Inputs => {
                (self.streams.target().units() as usize, self.streams.get(stream).inputs as usize)
            }
        };
        // The first slice goes to every bank, so that a bank without one has inputs as well: what
        // it makes of them is multiplied by zero, and that must be a number.
        for bank in 0..banks {
            let start = bank * slice;
            if start < len {
                let to = if bank == 0 { None } else { Some((bank, bank)) };
                self.load(to, from.saturating_add(start as u32), slice.min(len - start), load);
            }
        }
    }

    /// The inputs of the blocks of stream `stream` to the bank that each is in: those of a slot behind
    /// those of the one before. `shape`: bases, block rows, block columns; `cols` inputs to a block.
    fn load_blocks(&mut self, stream: usize, shape: (usize, usize, usize), x: u32, cols: usize) {
        let banks = self.streams.target().units() as usize;
        let place = *self.streams.get(stream);
        for slot in 0..=place.block.slots_less_1 {
            let group = slot * (cols as u32).div_ceil(self.streams.target().beat_bits);
            let column = |bank| place.block_of(slot as usize, bank, banks, shape).map(|b| b.2);
            let at = |column: usize| x.saturating_add((column * cols) as u32);
            // What bank 0 takes goes to all, so that padding has inputs as well.
            let first = column(0);
            // Neighbours that work on the same block column, on other bases of it, load together.
            let mut bank = 0;
            while bank < banks {
                let mine = column(bank);
                let last = (bank..banks).take_while(|&b| column(b) == mine).last().unwrap_or(bank);
                match mine {
                    Some(c) if bank == 0 => self.load(None, at(c), cols, Load::Planes { group }),
                    Some(c) if mine != first => {
                        self.load(Some((bank, last)), at(c), cols, Load::Planes { group });
                    }
                    _ => {}
                }
                bank = last + 1;
            }
        }
    }

    /// `len` inputs at `x` to every bank, or to those from a first to a last.
    fn load(&mut self, banks: Option<(usize, usize)>, x: u32, len: usize, load: Load) {
        let to = match banks {
            None => String::new(),
            Some((first, last)) if first == last => format!(" of bank {first}"),
            Some((first, last)) => format!(" of banks {first} to {last}"),
        };
        let (bank, last) = banks.map_or((0, 0), |(f, l)| (f as u32 + 1, l as u32 + 1));
        match load {
            Load::Bytes { word, block } => {
                let v = Vector {
                    b_step: 0,
                    bank,
                    last,
                    ..vector(VecOp::LoadBytes, x, block, word, len)
                };
                self.vec(format!("load x as bytes{to}"), v);
            }
            Load::Planes { group } => {
                let v =
                    Vector { b_step: 0, bank, last, ..vector(VecOp::LoadPlanes, x, 0, group, len) };
                self.vec(format!("load x as bit planes{to}"), v);
            }
        }
    }
}
