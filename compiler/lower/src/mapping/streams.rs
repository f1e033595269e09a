//! Streams: how a matrix lies in the banks.

use crate::target::{Target, BEAT_BITS};
use pimc_ir::{Model, WeightId, WeightType, WeightView};
use pimc_rtl::shape::{index_bits, LookupShape};

/// What part of a weight a stream holds, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// PQ: the codebook, the same in every bank.
    Codebook,
    /// PQ: codes, one matrix row per row of the weight.
    Codes,
    /// BQQ: rows of B of one block column, in the order block row, basis, inner index.
    BqqB {
        /// Block column.
        bc: usize,
    },
    /// BQQ: rows of A of one block and basis.
    BqqA {
        /// Block row.
        br: usize,
        /// Block column.
        bc: usize,
        /// Basis.
        basis: usize,
    },
    /// Supermask: effective mask planes.
    Mask,
    /// Integers: one group of inputs, or all of them.
    Int {
        /// Which group.
        group: usize,
    },
}

/// A stream's place in the banks. Matrix row r is in bank r mod banks, at index r / banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamPlace {
    /// The weight.
    pub weight: WeightId,
    /// Which part of it.
    pub content: Content,
    /// First DRAM row, the same in every bank.
    pub first_row: u32,
    /// Matrix rows; 1 for a codebook, which every bank holds whole.
    pub matrix_rows: u32,
    /// Inputs of a matrix row; for a codebook all bytes of it.
    pub inputs: u32,
    /// Columns of a matrix row (of the whole codebook).
    pub row_columns: u32,
    /// Beats used of a matrix row's last column.
    pub tail_beats: u32,
    /// Columns in each bank.
    pub columns: u32,
    /// Coats of a supermask, otherwise 1.
    pub coats: u32,
}

impl StreamPlace {
    /// Matrix rows in each bank, the shorter banks padded.
    pub fn rows_per_bank(&self) -> u32 {
        self.columns / self.row_columns
    }

    /// DRAM rows of each bank.
    pub fn dram_rows(&self, dram_cols: u32) -> u32 {
        self.columns.div_ceil(dram_cols)
    }
}

/// The lookup unit of (k, sub): lanes and chunk follow from the beat.
pub(crate) fn lookup_lanes(k: usize, sub: usize) -> LookupShape {
    let (k, sub) = (k as u32, sub as u32);
    let code_bits = index_bits(k);
    let lanes = BEAT_BITS / code_bits;
    // Sub-vectors of at most eight inputs are checked before.
    let most = (8 / sub.max(1)).max(1);
    let chunk = (1..=most.min(lanes)).rev().find(|c| lanes % c == 0).unwrap_or(1);
    LookupShape { k, sub, code_bits, lanes, chunk, blocks: 0, entry_bits: 0, acc_bits: 0 }
}

/// The streams of a model, each part of a weight once.
pub(super) struct Streams {
    banks: u32,
    beats: u32,
    dram_cols: u32,
    list: Vec<StreamPlace>,
    next_row: u64,
}

impl Streams {
    pub(super) fn new(target: &Target) -> Streams {
        Streams {
            banks: target.banks,
            beats: target.beats(),
            dram_cols: target.columns,
            list: Vec::new(),
            next_row: 0,
        }
    }

    pub(super) fn finish(self) -> (Vec<StreamPlace>, u64) {
        (self.list, self.next_row)
    }

    /// The stream of a part of a weight.
    pub(super) fn place(&mut self, model: &Model, weight: WeightId, content: Content) -> usize {
        let same = |s: &StreamPlace| s.weight == weight && s.content == content;
        if let Some(at) = self.list.iter().position(same) {
            return at;
        }
        let ty = model.module.weights[weight.0].ty;
        let view = model.weight(weight);
        let (rows, inputs, beats, coats) = measure(&ty, &view, content);
        let row_columns = beats.div_ceil(u64::from(self.beats));
        let tail = beats - (row_columns - 1) * u64::from(self.beats);
        let per_bank = rows.div_ceil(u64::from(self.banks));
        let columns = per_bank * row_columns;
        // Sizes past 32 bits saturate; the size check that follows refuses the model.
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        self.list.push(StreamPlace {
            weight,
            content,
            first_row: small(self.next_row),
            matrix_rows: small(rows),
            inputs: small(inputs),
            row_columns: small(row_columns),
            tail_beats: tail as u32,
            columns: small(columns),
            coats,
        });
        self.next_row += columns.div_ceil(u64::from(self.dram_cols));
        self.list.len() - 1
    }
}

/// Matrix rows, inputs, beats per matrix row and coats of a stream.
fn measure(ty: &WeightType, view: &WeightView<'_>, content: Content) -> (u64, u64, u64, u32) {
    let bits = u64::from(BEAT_BITS);
    match (*ty, view, content) {
        (WeightType::Pq { cols, sub, k, .. }, _, Content::Codebook) => {
            let lookup = lookup_lanes(k, sub);
            let blocks = (cols / sub).div_ceil(lookup.lanes as usize) as u64;
            let beats = blocks * k as u64 * u64::from(lookup.chunks());
            (1, (cols * k) as u64, beats, 1)
        }
        (WeightType::Pq { rows, cols, sub, k, .. }, _, _) => {
            let blocks = (cols / sub).div_ceil(lookup_lanes(k, sub).lanes as usize) as u64;
            (rows as u64, cols as u64, blocks, 1)
        }
        (WeightType::Bqq { rows, bases, block_rows, block_cols, .. }, WeightView::Bqq(v), c) => {
            match c {
                Content::BqqB { .. } => {
                    let b_rows = (rows / block_rows * bases * v.inner()) as u64;
                    (b_rows, block_cols as u64, (block_cols as u64).div_ceil(bits), 1)
                }
                _ => {
                    let l = v.inner() as u64;
                    (block_rows as u64, l, l.div_ceil(bits), 1)
                }
            }
        }
        (WeightType::Supermask { rows, cols, coats, .. }, _, _) => {
            let beats = (cols as u64).div_ceil(bits) * coats as u64;
            (rows as u64, cols as u64, beats, coats as u32)
        }
        (WeightType::Int { rows, cols, group, .. }, _, _) => {
            let inputs = group.unwrap_or(cols) as u64;
            (rows as u64, inputs, inputs.div_ceil(8), 1)
        }
        // A BQQ type has a BQQ view.
        (WeightType::Bqq { .. }, _, _) => (1, 1, 1, 1),
    }
}
