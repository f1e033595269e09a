//! A [`Model`]: a module with its tensors; and typed views of the tensors.
//!
//! Views borrow the mapped file; elements are read little-endian, so no alignment is assumed.

use crate::diag::{line_col, Diagnostics};
use crate::layout::signed_at;
use crate::mapping::Stamp;
use crate::module::{Module, ParamId, Span, ValueId, WeightId};
use crate::ranges::Interval;
use crate::types::{bqq_inner, WeightType};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// The bytes of a tensor file: a mapping, or memory.
pub type Bytes = Arc<dyn Storage>;

/// Where the bytes of a tensor file are.
pub trait Storage: AsRef<[u8]> + Send + Sync {
    /// Says that a part will not be looked at soon, so that its pages need not be resident. It can
    /// still be read.
    fn release(&self, _part: Range<usize>) {}
}

impl Storage for Vec<u8> {}

/// A module with its tensors mapped and checked: what golden, lowering and cosim work on.
/// A value of this type satisfies every rule of the verifier.
pub struct Model {
    /// The module.
    pub module: Module,
    /// The source text (for diagnostics and locators).
    pub source: String,
    /// The file name shown in diagnostics and RTL headers (no directory).
    pub file_name: String,
    pub(crate) weights: Vec<Vec<Slice>>,
    pub(crate) params: Vec<Vec<i64>>,
    pub(crate) caches: Vec<Vec<Slice>>,
    pub(crate) files: Vec<UsedFile>,
    pub(crate) ranges: Vec<Vec<Interval>>,
    pub(crate) warnings: Diagnostics,
}

/// A file that a model reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedFile {
    /// Its name as the module writes it.
    pub name: String,
    /// Where it was found.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
    /// The file as it was before it was read; none where there is no such file.
    pub stamp: Option<Stamp>,
}

/// The data of one tensor: a part of a file.
#[derive(Clone)]
pub(crate) struct Slice {
    pub(crate) file: Bytes,
    pub(crate) range: Range<usize>,
}

impl Slice {
    pub(crate) fn bytes(&self) -> &[u8] {
        &(*self.file).as_ref()[self.range.clone()]
    }

    /// See [`Storage::release`].
    pub(crate) fn release(&self) {
        self.file.release(self.range.clone());
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("file_name", &self.file_name).finish_non_exhaustive()
    }
}

/// A weight's contents, by format.
pub enum WeightView<'a> {
    /// Product quantization.
    Pq(PqView<'a>),
    /// Binary quadratic.
    Bqq(BqqView<'a>),
    /// Supermask.
    Supermask(SupermaskView<'a>),
    /// Plain integers.
    Int(IntView<'a>),
}

/// Codes and codebook of a PQ weight.
#[derive(Clone, Copy)]
pub struct PqView<'a> {
    rows: usize,
    /// Sub-vectors of a row as stored, and those that the view shows.
    stored: usize,
    first: usize,
    parts: usize,
    sub: usize,
    k: usize,
    shared: bool,
    codes: &'a [u8],
    codebook: &'a [u8],
}

impl<'a> PqView<'a> {
    /// Output rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Sub-vectors per row, C/sub.
    pub fn parts(&self) -> usize {
        self.parts
    }
    /// The sub-vectors from `first` on alone, `parts` of them or as many as there are.
    pub fn columns(&self, first: usize, parts: usize) -> PqView<'a> {
        let skipped = first.min(self.parts);
        let parts = parts.min(self.parts - skipped);
        PqView { first: self.first + skipped, parts, ..*self }
    }
    /// Inputs per sub-vector.
    pub fn sub(&self) -> usize {
        self.sub
    }
    /// Centroids per codebook.
    pub fn k(&self) -> usize {
        self.k
    }
    /// The code of row `r`, sub-vector `s`; below k.
    pub fn code(&self, r: usize, s: usize) -> usize {
        let at = r * self.stored + self.first + s;
        if self.k > 256 {
            usize::from(u16::from_le_bytes([self.codes[2 * at], self.codes[2 * at + 1]]))
        } else {
            usize::from(self.codes[at])
        }
    }
    /// The codes of row `r`, a byte each; none where k takes two.
    pub fn code_bytes(&self, r: usize) -> Option<&'a [u8]> {
        let at = r * self.stored + self.first;
        (self.k <= 256).then(|| &self.codes[at..at + self.parts])
    }
    /// Centroid `j` of sub-vector `s`'s codebook, an int8 a byte.
    pub fn centroid_bytes(&self, s: usize, j: usize) -> &'a [u8] {
        let book = if self.shared { 0 } else { self.first + s };
        let at = (book * self.k + j) * self.sub;
        &self.codebook[at..at + self.sub]
    }
    /// Component `d` of centroid `j` of sub-vector `s`'s codebook.
    pub fn centroid(&self, s: usize, j: usize, d: usize) -> i8 {
        let book = if self.shared { 0 } else { self.first + s };
        self.codebook[(book * self.k + j) * self.sub + d] as i8
    }
}

/// Bits and scalars of a BQQ weight. Bit 1 is +1, bit 0 is -1.
#[derive(Clone, Copy)]
pub struct BqqView<'a> {
    rows: usize,
    cols: usize,
    bases: usize,
    /// Pieces into which the inner dimension of each stored basis is cut.
    slices: usize,
    m: usize,
    n: usize,
    l: usize,
    y: &'a [u8],
    z: &'a [u8],
    r: &'a [u8],
    s: &'a [u8],
    t: &'a [u8],
    u: &'a [u8],
}

fn bit(bytes: &[u8], row: usize, bits_per_row: usize, at: usize) -> bool {
    bytes[row * bits_per_row.div_ceil(8) + at / 8] >> (at % 8) & 1 == 1
}

/// The bytes of a row of bits.
fn row(bytes: &[u8], row: usize, bits_per_row: usize) -> &[u8] {
    let size = bits_per_row.div_ceil(8);
    &bytes[row * size..(row + 1) * size]
}

fn le16(bytes: &[u8], at: usize) -> i64 {
    signed_at(bytes, 2, at)
}

impl<'a> BqqView<'a> {
    /// Output rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Input columns.
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// Bases p.
    pub fn bases(&self) -> usize {
        self.bases * self.slices
    }
    /// The same matrix with every basis cut into `slices` along its inner dimension, which are bases
    /// of their own with the scalars of the whole: a basis is a sum over its inner dimension. None
    /// where the pieces are not whole bytes of a row of A.
    pub fn sliced(&self, slices: usize) -> Option<BqqView<'a>> {
        let whole = self.slices == 1 && slices > 0 && self.l % slices == 0;
        let bytes = slices == 1 || self.l / slices.max(1) % 8 == 0;
        (whole && bytes).then_some(BqqView { slices, ..*self })
    }
    /// Rows m of a block.
    pub fn block_rows(&self) -> usize {
        self.m
    }
    /// Columns n of a block.
    pub fn block_cols(&self) -> usize {
        self.n
    }
    /// Inner dimension l.
    pub fn inner(&self) -> usize {
        self.l / self.slices
    }
    /// Block of a basis, as stored.
    fn block(&self, i: usize, br: usize, bc: usize) -> usize {
        (i / self.slices * (self.rows / self.m) + br) * (self.cols / self.n) + bc
    }
    /// Where the inner dimension of a basis begins in the stored one.
    fn start(&self, i: usize) -> usize {
        i % self.slices * self.inner()
    }
    /// `A[a,k]` of basis `i`, block (`br`,`bc`): true is +1, false is -1.
    pub fn a(&self, i: usize, br: usize, bc: usize, a: usize, k: usize) -> bool {
        bit(self.y, self.block(i, br, bc) * self.m + a, self.l, self.start(i) + k)
    }
    /// `B[k,j]` of basis `i`, block (`br`,`bc`): true is +1, false is -1.
    pub fn b(&self, i: usize, br: usize, bc: usize, k: usize, j: usize) -> bool {
        bit(self.z, self.block(i, br, bc) * self.l + self.start(i) + k, self.n, j)
    }
    /// Row `a` of A as stored, eight bits to a byte; bits behind the last may be anything.
    pub fn a_bytes(&self, i: usize, br: usize, bc: usize, a: usize) -> &'a [u8] {
        let stored = row(self.y, self.block(i, br, bc) * self.m + a, self.l);
        let first = self.start(i) / 8;
        &stored[first..first + self.inner().div_ceil(8)]
    }
    /// Row `k` of B as stored, the same.
    pub fn b_bytes(&self, i: usize, br: usize, bc: usize, k: usize) -> &'a [u8] {
        row(self.z, self.block(i, br, bc) * self.l + self.start(i) + k, self.n)
    }
    /// Scalar r of basis `i`, block (`br`,`bc`).
    pub fn r(&self, i: usize, br: usize, bc: usize) -> i64 {
        le16(self.r, self.block(i, br, bc))
    }
    /// Scalar s.
    pub fn s(&self, i: usize, br: usize, bc: usize) -> i64 {
        le16(self.s, self.block(i, br, bc))
    }
    /// Scalar t.
    pub fn t(&self, i: usize, br: usize, bc: usize) -> i64 {
        le16(self.t, self.block(i, br, bc))
    }
    /// Scalar u of block (`br`,`bc`).
    pub fn u(&self, br: usize, bc: usize) -> i64 {
        signed_at(self.u, 4, br * (self.cols / self.n) + bc)
    }
}

/// Mask planes of a supermask weight, as stored (the freeze rule not applied).
#[derive(Clone, Copy)]
pub struct SupermaskView<'a> {
    rows: usize,
    cols: usize,
    coats: usize,
    mask: &'a [u8],
}

impl<'a> SupermaskView<'a> {
    /// Output rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Input columns.
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// Mask planes.
    pub fn coats(&self) -> usize {
        self.coats
    }
    /// Row `r` of plane `coat` as stored, eight bits to a byte; bits behind the last may be anything.
    pub fn bytes(&self, coat: usize, r: usize) -> &'a [u8] {
        row(self.mask, coat * self.rows + r, self.cols)
    }
    /// Stored mask bit of plane `coat`, row `r`, column `c`.
    pub fn stored(&self, coat: usize, r: usize, c: usize) -> bool {
        bit(self.mask, coat * self.rows + r, self.cols, c)
    }
}

/// Plain integer weights.
#[derive(Clone, Copy)]
pub struct IntView<'a> {
    rows: usize,
    cols: usize,
    group: Option<usize>,
    q: &'a [u8],
    scale: &'a [u8],
}

impl<'a> IntView<'a> {
    /// Output rows.
    pub fn rows(&self) -> usize {
        self.rows
    }
    /// Input columns.
    pub fn cols(&self) -> usize {
        self.cols
    }
    /// Inputs per group scale, or none.
    pub fn group(&self) -> Option<usize> {
        self.group
    }
    /// `q[r][c]`.
    pub fn q(&self, r: usize, c: usize) -> i64 {
        i64::from(self.q[r * self.cols + c] as i8)
    }
    /// Row `r` of q, an int8 a byte.
    pub fn bytes(&self, r: usize) -> &'a [u8] {
        &self.q[r * self.cols..(r + 1) * self.cols]
    }
    /// The scale of row `r`, group `g`; 1 when not grouped.
    pub fn scale(&self, r: usize, g: usize) -> i64 {
        match self.group {
            None => 1,
            Some(size) => le16(self.scale, r * (self.cols / size) + g),
        }
    }
}

impl Model {
    /// The contents of a weight.
    pub fn weight(&self, id: WeightId) -> WeightView<'_> {
        let t = &self.weights[id.0];
        let bytes = |i: usize| t[i].bytes();
        match self.module.weights[id.0].ty {
            WeightType::Pq { rows, cols, sub, k, shared } => WeightView::Pq(PqView {
                rows,
                stored: cols / sub,
                first: 0,
                parts: cols / sub,
                sub,
                k,
                shared,
                codes: bytes(0),
                codebook: bytes(1),
            }),
            WeightType::Bqq { rows, cols, bases, block_rows, block_cols } => {
                WeightView::Bqq(BqqView {
                    rows,
                    cols,
                    bases,
                    slices: 1,
                    m: block_rows,
                    n: block_cols,
                    l: bqq_inner(block_rows, block_cols),
                    y: bytes(0),
                    z: bytes(1),
                    r: bytes(2),
                    s: bytes(3),
                    t: bytes(4),
                    u: bytes(5),
                })
            }
            WeightType::Supermask { rows, cols, coats, .. } => {
                WeightView::Supermask(SupermaskView { rows, cols, coats, mask: bytes(0) })
            }
            WeightType::Int { rows, cols, group, .. } => WeightView::Int(IntView {
                rows,
                cols,
                group,
                q: bytes(0),
                scale: if group.is_some() { bytes(1) } else { &[] },
            }),
        }
    }

    /// Says that a weight will not be looked at soon, so that its pages need not be resident.
    pub fn release(&self, id: WeightId) {
        self.weights[id.0].iter().for_each(Slice::release);
    }

    /// The values of a parameter.
    pub fn param(&self, id: ParamId) -> &[i64] {
        &self.params[id.0]
    }

    /// What element by element a value can be, when the function's inputs are any of their types:
    /// proven from the actual weights and parameters ([`crate::ranges`]).
    pub fn range(&self, id: ValueId) -> &[Interval] {
        &self.ranges[id.0]
    }

    /// The tensor files that the module names, each once, in order of first use.
    pub fn files(&self) -> &[UsedFile] {
        &self.files
    }

    /// What is valid but probably not meant.
    pub fn warnings(&self) -> &Diagnostics {
        &self.warnings
    }

    /// Line and column, from 1, of the start of a span.
    pub fn line_col(&self, span: &Span) -> (usize, usize) {
        line_col(&self.source, span.start)
    }

    /// The text of op `i` as written, without its comment.
    pub fn op_text(&self, i: usize) -> &str {
        &self.source[self.module.func.ops[i].span.clone()]
    }
}
