//! Streams: how a matrix lies in the banks.

use super::split::{self, Choice, Split, Way};
use crate::target::Target;
use pimc_ir::types::bqq_inner;
use pimc_ir::{Model, PqView, WeightId, WeightType, WeightView};
use pimc_rtl::isa::Block;
use pimc_rtl::shape::{index_bits, BlockShape, LookupShape, WORD_BITS};
use std::collections::BTreeSet;

/// What part of a weight a stream holds, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// PQ: the codebook; of every sub-vector that the bank works on.
    Codebook,
    /// PQ: codes, one matrix row per row of the weight.
    Codes,
    /// BQQ: one matrix row per block and basis, block row by block row.
    Blocks,
    /// Supermask: effective mask planes.
    Mask,
    /// Integers: one group of inputs, or all of them.
    Int {
        /// Which group.
        group: usize,
    },
}

/// A stream's place in the banks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamPlace {
    /// The weight.
    pub weight: WeightId,
    /// Which part of it.
    pub content: Content,
    /// Which dimension goes over the banks.
    pub split: Split,
    /// First input of the matvec that the stream works on: 0 but for a later piece of a PQ matrix, and
    /// of a group of integers its first input in the group.
    pub first: u32,
    /// Inputs that it works on, in all banks.
    pub len: u32,
    /// Slices of the inner dimension into which every basis of binary quadratic weights is cut, each a
    /// basis of its own here; otherwise 1.
    pub slices: u32,
    /// First DRAM row, the same in every bank.
    pub first_row: u32,
    /// Matrix rows in each bank, the shorter banks padded; 1 for a codebook.
    pub rows: u32,
    /// Inputs of a matrix row in a bank; the last bank may have fewer.
    pub inputs: u32,
    /// Columns of a matrix row (of the whole codebook).
    pub row_columns: u32,
    /// Beats used of a matrix row's last column.
    pub tail_beats: u32,
    /// Columns in each bank.
    pub columns: u32,
    /// Coats of a supermask, otherwise 1.
    pub coats: u32,
    /// How a matrix row of binary quadratic blocks divides into beats; zero otherwise.
    pub block: Block,
}

impl StreamPlace {
    /// The weight as the stream sees it: a piece of its columns, its bases in slices.
    pub(crate) fn view<'m>(&self, model: &'m Model) -> WeightView<'m> {
        match model.weight(self.weight) {
            WeightView::Pq(v) => {
                let part = |inputs: u32| inputs as usize / v.sub();
                WeightView::Pq(v.columns(part(self.first), part(self.len)))
            }
            // Slices are chosen among those that the view allows.
            WeightView::Bqq(v) => WeightView::Bqq(v.sliced(self.slices as usize).unwrap_or(v)),
            other => other,
        }
    }

    /// The block that a bank's unit `n` of binary quadratic weights is: its basis, block row and block
    /// column, of a weight of `bases` and `block_rows` by `block_columns` blocks over `banks` banks.
    /// None is padding.
    ///
    /// With more units to a block row than slots, the bases follow one another, so that each finds the
    /// inputs of the one before; otherwise the bases of a block column are in neighbouring banks.
    pub(crate) fn block_of(
        &self,
        n: usize,
        bank: usize,
        banks: usize,
        (bases, block_rows, block_columns): (usize, usize, usize),
    ) -> Option<(usize, usize, usize)> {
        let slots = self.block.slots_less_1 as usize + 1;
        let units = self.rows as usize / block_rows;
        let (row, n) = (n / units, n % units);
        let (basis, column) = if units > slots {
            (n / slots, n % slots * banks + bank)
        } else {
            let at = n * banks + bank;
            (at % bases, at / bases)
        };
        (column < block_columns).then_some((basis, row, column))
    }

    /// DRAM rows of each bank.
    pub fn dram_rows(&self, dram_cols: u32) -> u32 {
        self.columns.div_ceil(dram_cols)
    }
}

/// The lookup unit of (k, sub): lanes and chunk follow from the beat, whose words are alike.
pub(crate) fn lookup_lanes(k: usize, sub: usize, beat_bits: u32) -> LookupShape {
    let (k, sub) = (k as u32, sub as u32);
    let code_bits = index_bits(k);
    let lanes = WORD_BITS / code_bits;
    // Sub-vectors of at most eight inputs are checked before.
    let most = (8 / sub.max(1)).max(1);
    let chunk = (1..=most.min(lanes)).rev().find(|c| lanes % c == 0).unwrap_or(1);
    let (lanes, chunk) = (lanes * beat_bits / WORD_BITS, chunk * beat_bits / WORD_BITS);
    LookupShape { k, sub, code_bits, lanes, chunk, blocks: 0, entry_bits: 0, acc_bits: 0 }
}

/// Bits that no entry of the tables needs more than, whatever the inputs, which are bytes.
fn entry_bits(v: &PqView<'_>) -> u32 {
    let centroids = (0..v.parts()).flat_map(|s| (0..v.k()).map(move |j| (s, j)));
    let size = |(s, j)| -> u64 {
        let components = v.centroid_bytes(s, j).iter();
        components.map(|&c| u64::from((c as i8).unsigned_abs())).sum()
    };
    let most = 128 * centroids.map(size).max().unwrap_or(0);
    // One for the sign.
    u64::BITS - most.leading_zeros() + 1
}

/// Blocks of `lanes` sub-vectors that hold `inputs` inputs.
pub(crate) fn lookup_blocks(lookup: &LookupShape, inputs: usize) -> u64 {
    (inputs as u64).div_ceil(u64::from(lookup.sub)).div_ceil(u64::from(lookup.lanes))
}

/// The streams of a model, each part of a weight once.
pub(super) struct Streams<'a> {
    target: &'a Target,
    list: Vec<StreamPlace>,
    /// The splits of the weights placed so far.
    choices: Vec<Choice>,
    next_row: u64,
    /// Bits of table memory for each kind of lookup unit.
    table_bits: u64,
}

impl<'a> Streams<'a> {
    pub(super) fn new(model: &Model, target: &'a Target) -> Streams<'a> {
        let kind = |w: &pimc_ir::Weight| match w.ty {
            WeightType::Pq { k, sub, .. } => Some((k, sub)),
            _ => None,
        };
        let kinds: BTreeSet<_> = model.module.weights.iter().filter_map(kind).collect();
        let table_bits = target.table_bytes.saturating_mul(8) / kinds.len().max(1) as u64;
        Streams { target, list: Vec::new(), choices: Vec::new(), next_row: 0, table_bits }
    }

    pub(super) fn target(&self) -> &'a Target {
        self.target
    }

    /// A stream that was placed.
    pub(super) fn get(&self, stream: usize) -> &StreamPlace {
        &self.list[stream]
    }

    pub(super) fn finish(self) -> (Vec<StreamPlace>, Vec<Choice>, u64) {
        (self.list, self.choices, self.next_row)
    }

    /// How a weight is dealt out and cut, chosen once.
    fn way(&mut self, model: &Model, weight: WeightId) -> Way {
        let way = |c: &Choice| Way { split: c.split, pieces: c.pieces };
        if let Some(choice) = self.choices.iter().find(|c| c.weight == weight) {
            return way(choice);
        }
        let ty = &model.module.weights[weight.0].ty;
        let entry_bits = match model.weight(weight) {
            WeightView::Pq(v) => entry_bits(&v),
            _ => 0,
        };
        let choice = split::choose(weight, ty, self.target, entry_bits, self.table_bits);
        self.choices.push(choice);
        way(&choice)
    }

    /// The pieces of neighbouring columns that a weight is cut into: first input and inputs of each.
    pub(super) fn pieces(&mut self, model: &Model, weight: WeightId) -> Vec<(usize, usize)> {
        let way = self.way(model, weight);
        split::pieces(&model.module.weights[weight.0].ty, way, self.target)
    }

    /// The stream of a part of a weight, of its first piece.
    pub(super) fn place(&mut self, model: &Model, weight: WeightId, content: Content) -> usize {
        self.place_piece(model, weight, content, 0)
    }

    /// The stream of a part of piece `piece` of a weight.
    pub(super) fn place_piece(
        &mut self,
        model: &Model,
        weight: WeightId,
        content: Content,
        piece: u32,
    ) -> usize {
        let ty = model.module.weights[weight.0].ty;
        let way = self.way(model, weight);
        let measure = Measure::new(&ty, content, way, piece, self.target);
        let first = measure.first as u32;
        let same = |s: &StreamPlace| (s.weight, s.content, s.first) == (weight, content, first);
        if let Some(at) = self.list.iter().position(same) {
            return at;
        }
        // Sizes past 32 bits saturate; the size check that follows refuses the model.
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let columns = measure.columns(self.target);
        self.list.push(StreamPlace {
            weight,
            content,
            split: way.split,
            first,
            len: small(measure.len),
            slices: measure.slices,
            first_row: small(self.next_row),
            rows: small(measure.rows),
            inputs: small(measure.inputs),
            row_columns: small(measure.row_columns(self.target)),
            tail_beats: measure.tail_beats(self.target),
            columns: small(columns),
            coats: measure.coats,
            block: measure.block,
        });
        self.next_row += columns.div_ceil(u64::from(self.target.columns));
        self.list.len() - 1
    }
}

/// The size of a stream in a bank.
pub(super) struct Measure {
    /// First input, and inputs in all banks.
    first: u64,
    len: u64,
    slices: u32,
    /// Matrix rows.
    rows: u64,
    /// Inputs of a row.
    pub(super) inputs: u64,
    /// Beats of a row.
    beats: u64,
    coats: u32,
    pub(super) block: Block,
}

impl Measure {
    /// The size of a part of piece `piece` of a weight of type `ty` that is dealt out and cut like that.
    pub(super) fn new(
        ty: &WeightType,
        content: Content,
        way: Way,
        piece: u32,
        target: &Target,
    ) -> Measure {
        let banks = u64::from(target.units());
        let bits = u64::from(target.beat_bits);
        let (first, len) = match (ty, split::pieces(ty, way, target).get(piece as usize)) {
            (WeightType::Int { group: Some(size), .. }, _) => (0, *size),
            (_, Some(&piece)) => piece,
            (ty, None) => (ty.cols(), 0),
        };
        let one = |rows, inputs, beats| Measure {
            first: first as u64,
            len: len as u64,
            slices: 1,
            rows,
            inputs,
            beats,
            coats: 1,
            block: Block::default(),
        };
        // Rows and inputs of a bank, with inputs dealt out by `unit`.
        let share = |rows: usize, cols: usize, unit: usize| match way.split {
            Split::Rows => ((rows as u64).div_ceil(banks), cols as u64),
            Split::Inputs => (rows as u64, ((cols / unit) as u64).div_ceil(banks) * unit as u64),
        };
        match *ty {
            WeightType::Pq { rows, sub, k, .. } => {
                let lookup = lookup_lanes(k, sub, target.beat_bits);
                let (rows, inputs) = share(rows, len, sub);
                let blocks = lookup_blocks(&lookup, inputs as usize);
                match content {
                    Content::Codebook => {
                        one(1, inputs, blocks * k as u64 * u64::from(lookup.chunks()))
                    }
                    _ => one(rows, inputs, blocks),
                }
            }
            WeightType::Supermask { rows, cols, coats, .. } => {
                let (rows, inputs) = share(rows, cols, 1);
                let beats = inputs.div_ceil(bits) * coats as u64;
                Measure { coats: coats as u32, ..one(rows, inputs, beats) }
            }
            WeightType::Int { rows, .. } => {
                let (rows, inputs) = share(rows, len, 1);
                one(rows, inputs, inputs.div_ceil(bits / 8))
            }
            WeightType::Bqq { rows, cols, bases, block_rows, block_cols } => {
                let inner = u64::from(bqq_inner(block_rows, block_cols) as u32 / way.pieces.max(1));
                let bases = bases * way.pieces as usize;
                let x_beats = (block_cols as u64).div_ceil(bits);
                let t_beats = inner.div_ceil(bits);
                // The blocks of a block row, of every basis or slice of one, are dealt out over the banks; where the
                // columns alone fill the banks, the bases share their inputs.
                let columns = (cols / block_cols) as u64;
                let units = (columns * bases as u64).div_ceil(banks);
                let slots = if columns % banks == 0 { columns / banks } else { units };
                let scalars = u64::from(BlockShape::scalar_beats(x_beats as u32));
                let beats = inner * x_beats + scalars + block_rows as u64 * t_beats;
                // A block's sides are at most the largest side of a matrix.
                let block = Block {
                    x_beats_less_1: x_beats as u32 - 1,
                    inner_less_1: inner as u32 - 1,
                    t_beats_less_1: t_beats as u32 - 1,
                    rows_less_1: block_rows as u32 - 1,
                    slots_less_1: slots as u32 - 1,
                };
                let units = (rows / block_rows) as u64 * units;
                Measure { block, slices: way.pieces, ..one(units, block_cols as u64, beats) }
            }
        }
    }

    fn row_columns(&self, target: &Target) -> u64 {
        self.beats.div_ceil(u64::from(target.beats()))
    }

    fn tail_beats(&self, target: &Target) -> u32 {
        (self.beats - (self.row_columns(target) - 1) * u64::from(target.beats())) as u32
    }

    /// Columns of the stream.
    pub(super) fn columns(&self, target: &Target) -> u64 {
        self.rows.saturating_mul(self.row_columns(target))
    }
}
