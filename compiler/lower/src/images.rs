//! Bank images: what every column of every bank holds.
//!
//! Matrix row r is in bank r mod banks, at index r / banks. A matrix row starts on a column boundary
//! and takes a whole number of columns; a stream starts at column 0 of a DRAM row. A column is four
//! beats of 64 bits, the lowest first, and no code straddles a beat. Padding is zero.
//!
//! | stream | beat q of a matrix row |
//! |---|---|
//! | codebook | block, centroid j, chunk in that order: centroid j of `chunk` sub-vectors, byte by byte |
//! | codes | `lanes` codes of `code_bits`: sub-vectors q*lanes .. |
//! | B, A | signs of inputs 64q .., 1 is +1 |
//! | mask | coat q mod coats of inputs 64*(q / coats) .. |
//! | int | weights of inputs 8q .., a byte each |

use crate::mapping::{lookup_lanes, Content, StreamPlace};
use crate::plan::Plan;
use crate::supermask::EffectiveMask;
use pimc_ir::{Model, WeightId, WeightView};
use std::collections::BTreeMap;

/// One column of one bank: its beats, the lowest first.
pub type Column = [u64; 4];

/// Something that answers column reads.
pub trait Banks {
    /// The column at (row, col) of a bank; none where the banks hold nothing.
    fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column>;
}

/// The images of a plan, computed from the model's tensors column by column.
pub struct Images<'a> {
    model: &'a Model,
    plan: &'a Plan,
    masks: BTreeMap<WeightId, EffectiveMask>,
}

impl<'a> Images<'a> {
    /// The images of a plan of that model.
    pub fn new(model: &'a Model, plan: &'a Plan) -> Images<'a> {
        let mut masks = BTreeMap::new();
        for place in &plan.streams {
            if let WeightView::Supermask(v) = model.weight(place.weight) {
                let ty = &model.module.weights[place.weight.0].ty;
                masks.entry(place.weight).or_insert_with(|| EffectiveMask::new(&v, ty));
            }
        }
        Images { model, plan, masks }
    }

    /// Every column of a bank's used rows, in order of address.
    pub fn bank(&self, bank: u32) -> impl Iterator<Item = Column> + '_ {
        let cols = self.plan.target.columns;
        self.plan.streams.iter().flat_map(move |place| {
            (0..place.dram_rows(cols) * cols).map(move |c| self.in_stream(place, bank, c))
        })
    }

    /// Column `c` of a stream in a bank; zero past its end.
    fn in_stream(&self, place: &StreamPlace, bank: u32, c: u32) -> Column {
        let mut column = [0; 4];
        if c >= place.columns {
            return column;
        }
        let banks = self.plan.target.banks;
        let row = match place.content {
            Content::Codebook => 0,
            _ => c / place.row_columns * banks + bank,
        };
        if row >= place.matrix_rows {
            return column;
        }
        let first = c % place.row_columns * column.len() as u32;
        for (i, beat) in column.iter_mut().enumerate() {
            *beat = self.beat(place, row as usize, first as usize + i);
        }
        column
    }

    /// Beat `q` of a matrix row; zero past its end.
    fn beat(&self, place: &StreamPlace, row: usize, q: usize) -> u64 {
        let inputs = place.inputs as usize;
        match (self.model.weight(place.weight), place.content) {
            (WeightView::Pq(v), Content::Codebook) => {
                let l = lookup_lanes(v.k(), v.sub());
                let (chunks, chunk, lanes) =
                    (l.chunks() as usize, l.chunk as usize, l.lanes as usize);
                let (block, j, part) = (q / chunks / v.k(), q / chunks % v.k(), q % chunks);
                let first = block * lanes + part * chunk;
                bytes((0..chunk * v.sub()).map(|i| {
                    let s = first + i / v.sub();
                    if s < v.parts() {
                        v.centroid(s, j, i % v.sub())
                    } else {
                        0
                    }
                }))
            }
            (WeightView::Pq(v), _) => {
                let l = lookup_lanes(v.k(), v.sub());
                let first = q * l.lanes as usize;
                let last = (first + l.lanes as usize).min(v.parts());
                (first..last).enumerate().fold(0, |word, (lane, s)| {
                    word | (v.code(row, s) as u64) << (lane as u32 * l.code_bits)
                })
            }
            (WeightView::Bqq(v), Content::BqqB { bc }) => {
                let (br, i, k) = b_row(row, v.inner(), v.bases());
                bits(q, inputs, |j| v.b(i, br, bc, k, j))
            }
            (WeightView::Bqq(v), Content::BqqA { br, bc, basis }) => {
                bits(q, inputs, |k| v.a(basis, br, bc, row, k))
            }
            (WeightView::Bqq(_), _) => 0,
            (WeightView::Supermask(v), _) => {
                let (group, coat) = (q / v.coats(), q % v.coats());
                match self.masks.get(&place.weight) {
                    Some(mask) if group < v.cols().div_ceil(64) => mask.word(row, group, coat),
                    _ => 0,
                }
            }
            (WeightView::Int(v), content) => {
                let base = match content {
                    Content::Int { group } => group * inputs,
                    _ => 0,
                };
                let last = inputs.min(8 * q + 8);
                bytes((8 * q..last).map(|c| v.q(row, base + c) as i8))
            }
        }
    }
}

impl Banks for Images<'_> {
    fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        let after = self.plan.streams.partition_point(|s| s.first_row <= row);
        let place = self.plan.streams.get(after.checked_sub(1)?)?;
        let cols = self.plan.target.columns;
        let within = row - place.first_row;
        if within >= place.dram_rows(cols) || col >= cols || bank >= self.plan.target.banks {
            return None;
        }
        Some(self.in_stream(place, bank, within * cols + col))
    }
}

/// Block row, basis and inner index of a row of a stream of B rows.
fn b_row(row: usize, inner: usize, bases: usize) -> (usize, usize, usize) {
    (row / inner / bases, row / inner % bases, row % inner)
}

/// Up to eight bytes, the first one lowest.
fn bytes(values: impl Iterator<Item = i8>) -> u64 {
    values.enumerate().fold(0, |word, (i, b)| word | u64::from(b as u8) << (8 * i))
}

/// Bits 64q .. of `len` bits, the first one lowest.
fn bits(q: usize, len: usize, set: impl Fn(usize) -> bool) -> u64 {
    (64 * q..len.min(64 * q + 64)).fold(0, |word, j| word | u64::from(set(j)) << (j % 64))
}
