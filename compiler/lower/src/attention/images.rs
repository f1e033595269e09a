//! What the banks hold of a cache before the first step: codebooks, exact tokens and codes.

use super::CachePlan;
use crate::column::{put_bytes, put_code};
use crate::images::Column;
use pimc_ir::{CacheView, Side};

/// What a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Region {
    /// Row of a slot's codebook.
    Codebook { slot: u32, side: Side, row: u32 },
    /// Row of a slot's exact tokens.
    Exact { slot: u32, side: Side, row: u32 },
    /// Row of a frame: the page that lies in it is looked up.
    Codes { slot: u32, side: Side, frame: u32 },
    /// Row of tokens that wait to be clustered: the host writes it.
    Stage,
}

/// The columns of a cache.
pub(crate) struct CacheImages<'a> {
    plan: &'a CachePlan,
    view: CacheView<'a>,
    /// The page that lies in a frame.
    pages: Vec<Option<u32>>,
    /// The exact token, as the tensors number them, of every place.
    exact: Vec<Option<usize>>,
    /// Compressed tokens that there are codes of.
    encoded: u32,
}

/// The exact token, as the tensors number them, of each of so many places: places follow the positions around
/// the ring, the tensors the positions themselves.
pub(super) fn exact_tokens(
    view: &CacheView<'_>,
    places: u32,
    place: impl Fn(u32) -> Option<u32>,
) -> Vec<Option<usize>> {
    let mut tokens = vec![None; places as usize];
    for i in 0..view.exact() {
        let place = place(view.exact_position(i) as u32);
        if let Some(token) = place.and_then(|place| tokens.get_mut(place as usize)) {
            *token = Some(i);
        }
    }
    tokens
}

impl<'a> CacheImages<'a> {
    /// The columns of a plan's cache.
    pub(crate) fn new(plan: &'a CachePlan, view: CacheView<'a>) -> CacheImages<'a> {
        let mut pages = vec![None; plan.layout.pages() as usize];
        let driver = plan.driver();
        for (page, frame) in driver.pages().iter().enumerate() {
            pages[*frame as usize] = Some(page as u32);
        }
        let exact = exact_tokens(&view, plan.layout.exact_places, |p| driver.exact_at(p));
        CacheImages { plan, view, pages, exact, encoded: driver.encoded() }
    }

    /// The column at (row, col) of a bank; none past the last row.
    pub(crate) fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        let l = &self.plan.layout;
        let (member, group) = l.bank(bank);
        let mut column = [0u64; 4];
        match self.region(row)? {
            Region::Codebook { slot, side, row } => {
                let at = row * l.columns + col;
                let (slice, at) = (at / l.codebook_columns, at % l.codebook_columns);
                if slice >= l.slices {
                    return Some(column);
                }
                let part = (member * l.slices + slice) as usize;
                let first = at * l.chunk * l.beats;
                for i in 0..(l.chunk * l.beats).min(l.k.saturating_sub(first)) {
                    let c = (first + i) as usize;
                    let bytes = self.view.centroid_bytes(side, slot as usize, part, c);
                    put_bytes(&mut column, (i * l.sub) as usize, bytes);
                }
            }
            Region::Exact { slot, side, row } => {
                let at = row * l.columns + col;
                let (block, slice) = (at / l.slices, at % l.slices);
                let per_column = l.chunk * l.beats;
                let from = ((member * l.slices + slice) * l.sub) as usize;
                let head = slot as usize * self.view.ty().dim;
                for i in 0..per_column {
                    let e = (block * l.groups + group) * per_column + i;
                    let Some(token) = self.exact.get(e as usize).copied().flatten() else {
                        continue;
                    };
                    let bytes = &self.view.exact_bytes(side, token)[head + from..];
                    put_bytes(&mut column, (i * l.sub) as usize, &bytes[..l.sub as usize]);
                }
            }
            Region::Stage => {}
            Region::Codes { slot, side, frame } => {
                let Some(page) = self.pages[frame as usize] else { return Some(column) };
                let (block, slice) = (col / l.slices, col % l.slices);
                if block >= l.page_blocks {
                    return Some(column);
                }
                let block = page * l.page_blocks + block;
                let part = (member * l.slices + slice) as usize;
                let per_column = l.lanes * l.beats;
                for i in 0..per_column {
                    let t = (block * l.groups + group) * per_column + i;
                    if t >= self.encoded {
                        break;
                    }
                    let code = self.code(side, t as usize, slot as usize, part) as u32;
                    put_code(&mut column, l.code_bit(l.code_place(t)), l.code_bits, code);
                }
            }
        }
        Some(column)
    }

    /// A code: of the first token that will leave the window the one that it will have.
    fn code(&self, side: Side, t: usize, slot: usize, part: usize) -> usize {
        if t < self.view.compressed() {
            return self.view.code(side, t, slot, part);
        }
        let ty = self.view.ty();
        let token = self.view.exact_bytes(side, ty.sink);
        let x = &token[slot * ty.dim + part * ty.sub..][..ty.sub];
        let distance = |c: usize| -> i32 {
            let centroid = self.view.centroid_bytes(side, slot, part, c);
            let square = |(a, b): (&u8, &u8)| (i32::from(*a as i8) - i32::from(*b as i8)).pow(2);
            x.iter().zip(centroid).map(square).sum()
        };
        // The first of those that are nearest.
        (0..ty.k).min_by_key(|&c| distance(c)).unwrap_or(0)
    }

    fn region(&self, row: u32) -> Option<Region> {
        let l = &self.plan.layout;
        if u64::from(row) >= l.rows() {
            return None;
        }
        if let Some(row) = row.checked_sub(l.frame_row(0)) {
            let (frame, at) = (row / l.page_rows(), row % l.page_rows());
            if frame >= l.pages() {
                return Some(Region::Stage);
            }
            let side = Side::BOTH[(at % 2) as usize];
            return Some(Region::Codes { slot: at / 2, side, frame });
        }
        for slot in 0..l.slots {
            for side in Side::BOTH {
                let book = row.wrapping_sub(l.codebook_row(slot, side));
                if book < l.codebook_rows() {
                    return Some(Region::Codebook { slot, side, row: book });
                }
                let exact = row.wrapping_sub(l.exact_row(slot, side));
                if exact < l.exact_rows() {
                    return Some(Region::Exact { slot, side, row: exact });
                }
            }
        }
        None
    }
}
