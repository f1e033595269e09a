//! Bank images row by row, at about the speed at which the weights can be read.
//!
//! What the words are, [`crate::images`] defines word by word; here whole matrix rows of a bank are
//! packed from the bytes of the tensors. Tests compare the two.

use crate::images::{field, share, Images};
use crate::mapping::{lookup_lanes, Content, Split, StreamPlace};
use crate::supermask::MaskRow;
use pimc_ir::ranges::{bits_word, touch};
use pimc_ir::{BqqView, IntView, PqView, SupermaskView, WeightType, WeightView};
use pimc_rtl::shape::BlockShape;
use std::ops::Range;

/// Matrix rows that are brought into the cache before the first of them is packed: where a bank has a
/// small piece of each, memory is much faster asked for many at a time.
const AHEAD: usize = 64;
/// Words of a column.
const COLUMN: usize = 4;

/// One stream in one bank.
struct Packer<'a> {
    place: &'a StreamPlace,
    bank: usize,
    banks: usize,
    /// Words of a beat.
    words: usize,
}

impl Images<'_> {
    /// Gives `take` the words of a stream in a bank, whole columns at a time, padding up to the end of
    /// its last DRAM row included.
    ///
    /// # Errors
    /// Of `take`.
    pub(crate) fn pack<E>(
        &self,
        place: &StreamPlace,
        bank: u32,
        take: &mut impl FnMut(&[u64]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (model, target) = (self.model, &self.plan.target);
        let packer = Packer {
            place,
            bank: bank as usize,
            banks: target.units() as usize,
            words: (self.plan.shape.beat_bits / 64) as usize,
        };
        let mut row = vec![0u64; place.row_columns as usize * COLUMN];
        match (place.view(model), place.content) {
            (WeightView::Pq(v), Content::Codebook) => packer.codebook(&v, take)?,
            (view, content) => {
                let ty = model.module.weights[place.weight.0].ty;
                for n in 0..place.rows as usize {
                    if n % AHEAD == 0 {
                        (n..n + AHEAD).for_each(|n| packer.touch(&view, content, n));
                    }
                    row.fill(0);
                    packer.row(&view, content, &ty, n, &mut row);
                    take(&row)?;
                }
            }
        }
        let columns = u64::from(place.dram_rows(target.columns)) * u64::from(target.columns);
        let zeros = [0; 32 * COLUMN];
        let mut left = (columns - u64::from(place.columns)) as usize * COLUMN;
        while left > 0 {
            let some = left.min(zeros.len());
            take(&zeros[..some])?;
            left -= some;
        }
        Ok(())
    }
}

impl Packer<'_> {
    /// The first input of the bank's share.
    fn start(&self) -> usize {
        match self.place.split {
            Split::Rows => 0,
            Split::Inputs => self.bank * self.place.inputs as usize,
        }
    }

    /// The row of the weight that matrix row `n` of the bank is, or is of.
    fn row_of(&self, n: usize) -> usize {
        match self.place.split {
            Split::Rows => n * self.banks + self.bank,
            Split::Inputs => n,
        }
    }

    /// Matrix row `n` of the bank into words that are zero.
    fn row(
        &self,
        view: &WeightView<'_>,
        content: Content,
        ty: &WeightType,
        n: usize,
        out: &mut [u64],
    ) {
        let row = self.row_of(n);
        match view {
            WeightView::Pq(v) if row < v.rows() => self.codes(v, row, out),
            WeightView::Bqq(v) => {
                let blocks = (v.bases(), v.rows() / v.block_rows(), v.cols() / v.block_cols());
                if let Some(block) = self.place.block_of(n, self.bank, self.banks, blocks) {
                    self.block(v, block, out);
                }
            }
            WeightView::Supermask(v) if row < v.rows() => self.mask(v, ty, row, out),
            WeightView::Int(v) if row < v.rows() => {
                let bytes = self.int_bytes(v, content, row).chunks(8);
                out.iter_mut().zip(bytes).for_each(|(word, bytes)| *word = little(bytes));
            }
            _ => {}
        }
    }

    /// The sub-vectors of the bank.
    fn share(&self, v: &PqView<'_>) -> Range<usize> {
        share(self.start(), self.place.inputs as usize, v.sub(), v.parts())
    }

    fn codebook<E>(
        &self,
        v: &PqView<'_>,
        take: &mut impl FnMut(&[u64]) -> Result<(), E>,
    ) -> Result<(), E> {
        let l = lookup_lanes(v.k(), v.sub(), 64 * self.words as u32);
        let (lanes, chunk) = (l.lanes as usize, l.chunk as usize / self.words);
        let mine = self.share(v);
        let mut words = Vec::new();
        let mut left = self.place.row_columns as usize * COLUMN;
        for block in (mine.start..mine.end).step_by(lanes) {
            for j in 0..v.k() {
                for first in (block..block + lanes).step_by(chunk) {
                    let mut bytes = [0u8; 8];
                    let parts = first.min(mine.end)..(first + chunk).min(mine.end);
                    for (s, to) in parts.zip(bytes.chunks_mut(v.sub())) {
                        to.copy_from_slice(v.centroid_bytes(s, j));
                    }
                    words.push(u64::from_le_bytes(bytes));
                }
            }
            let whole = words.len() / COLUMN * COLUMN;
            take(&words[..whole])?;
            words.drain(..whole);
            left -= whole;
        }
        words.resize(left, 0);
        take(&words)
    }

    fn codes(&self, v: &PqView<'_>, row: usize, out: &mut [u64]) {
        let l = lookup_lanes(v.k(), v.sub(), 64 * self.words as u32);
        let lanes = l.lanes as usize / self.words;
        let mine = self.share(v);
        match v.code_bytes(row) {
            Some(codes) => pack_codes(&codes[mine], lanes, l.code_bits, out),
            None => {
                let words = mine.clone().step_by(lanes).zip(out);
                for (first, word) in words {
                    let codes = (first..mine.end.min(first + lanes)).enumerate();
                    *word = codes.fold(0, |word, (lane, s)| {
                        word | (v.code(row, s) as u64) << (lane as u32 * l.code_bits)
                    });
                }
            }
        }
    }

    /// Brings the bytes of matrix row `n` of the bank into the cache, where it has but a piece of a row
    /// of the weight.
    fn touch(&self, view: &WeightView<'_>, content: Content, n: usize) {
        let row = self.row_of(n);
        match view {
            WeightView::Pq(v) if row < v.rows() => {
                if let Some(codes) = v.code_bytes(row) {
                    touch(&codes[self.share(v)]);
                }
            }
            WeightView::Int(v) if row < v.rows() => touch(self.int_bytes(v, content, row)),
            _ => {}
        }
    }

    fn mask(&self, v: &SupermaskView<'_>, ty: &WeightType, row: usize, out: &mut [u64]) {
        let mut mask = MaskRow::new(v, ty, row);
        for group in 0..v.cols().div_ceil(64) {
            let mut at = group / self.words * v.coats() * self.words + group % self.words;
            mask.group(group, |word| {
                out[at] = word;
                at += self.words;
            });
        }
    }

    /// The weights of the bank's share of a row of the weight.
    fn int_bytes<'v>(&self, v: &IntView<'v>, content: Content, row: usize) -> &'v [u8] {
        let size = v.group().unwrap_or(v.cols());
        let base = match content {
            Content::Int { group } => group * size,
            _ => 0,
        };
        let end = size.min(self.start() + self.place.inputs as usize);
        &v.bytes(row)[base + self.start().min(end)..base + end]
    }

    fn block(&self, v: &BqqView<'_>, (i, br, bc): (usize, usize, usize), out: &mut [u64]) {
        let (n, l) = (v.block_cols(), v.inner());
        let beat = 64 * self.words;
        let x_words = n.div_ceil(beat) * self.words;
        let t_words = l.div_ceil(beat) * self.words;
        let scalars = BlockShape::scalar_beats((x_words / self.words) as u32) as usize * self.words;
        let (b, rest) = out.split_at_mut(l * x_words);
        let (s, rest) = rest.split_at_mut(scalars);
        for (k, words) in b.chunks_mut(x_words).enumerate() {
            bit_words(v.b_bytes(i, br, bc, k), n, words);
        }
        let (r, t, factor) = (v.r(i, br, bc), v.t(i, br, bc), v.s(i, br, bc));
        // u stands once in the sum over the bases.
        let u = if i == 0 { v.u(br, bc) } else { 0 };
        s[0] = field(r, 0, 16) | field(t, 16, 16) | field(2 * factor, 32, 32);
        if let Some(word) = s.get_mut(self.words) {
            *word = (u - l as i64 * factor) as u64;
        }
        for (a, words) in rest.chunks_mut(t_words).take(v.block_rows()).enumerate() {
            bit_words(v.a_bytes(i, br, bc, a), l, words);
        }
    }
}

/// Up to eight bytes, the first one lowest.
fn little(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(word) => u64::from_le_bytes(*word),
        None => bytes.iter().rev().fold(0, |word, &b| word << 8 | u64::from(b)),
    }
}

fn bit_words(bytes: &[u8], len: usize, out: &mut [u64]) {
    out.iter_mut().enumerate().for_each(|(q, word)| *word = bits_word(bytes, q, len));
}

/// Codes of `bits` each, `lanes` of them to a word.
fn pack_codes(codes: &[u8], lanes: usize, bits: u32, out: &mut [u64]) {
    let words = codes.chunks(lanes).zip(out);
    match (bits, lanes) {
        (4, 16) => {
            for (codes, word) in words {
                let (low, high) = codes.split_at(codes.len().min(8));
                *word = nibbles(little(low)) | nibbles(little(high)) << 32;
            }
        }
        (8, 8) => words.for_each(|(codes, word)| *word = little(codes)),
        _ => {
            for (codes, word) in words {
                *word = codes.iter().rev().fold(0, |word, &c| word << bits | u64::from(c));
            }
        }
    }
}

/// Eight bytes below 16 as nibbles.
fn nibbles(bytes: u64) -> u64 {
    let x = (bytes | bytes >> 4) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) & 0xffff_ffff
}
