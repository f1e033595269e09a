//! What the banks hold before the first step in the paper's form, and what they hold of a cache, read back.

use super::driver::FormDriver;
use super::layout::{FormLayout, Region};
use super::memory::{put_value, value};
use crate::attention::images::exact_tokens;
use crate::attention::ReadColumn;
use crate::column::{code, put_code};
use crate::images::{Banks, Column};
use pimc_ir::{CacheView, Side};

/// The columns of a cache.
pub struct FormImages<'a> {
    layout: &'a FormLayout,
    view: CacheView<'a>,
    /// The exact token, as the tensors number them, of every place.
    exact: Vec<Option<usize>>,
}

impl<'a> FormImages<'a> {
    /// The columns of a cache that lies as `layout` says.
    pub fn new(layout: &'a FormLayout, view: CacheView<'a>) -> FormImages<'a> {
        let driver = FormDriver::new(view.ty());
        let exact = exact_tokens(&view, layout.exact * layout.groups, |p| driver.exact_at(p));
        FormImages { layout, view, exact }
    }

    /// The sub-vector that is a bank's slice.
    fn part(&self, bank: u32, slice: u32) -> usize {
        (self.layout.bank(bank).0 * self.layout.slices + slice) as usize
    }

    fn book(&self, bank: u32, slot: u32, side: Side, slice: u32, row: u32, col: u32) -> Column {
        let (l, mut column) = (self.layout, [0; 4]);
        for at in 0..l.values {
            let Some((centroid, element)) = l.centroid_in(side, row, col, at) else { continue };
            let part = self.part(bank, slice);
            let bytes = self.view.centroid_bytes(side, slot as usize, part, centroid as usize);
            put_value(&mut column, at, i64::from(bytes[element as usize] as i8));
        }
        column
    }

    fn exact(&self, bank: u32, slot: u32, side: Side, column: u32) -> Column {
        let (l, mut out) = (self.layout, [0; 4]);
        let (block, slice) = (column / l.slices, column % l.slices);
        let from = slot as usize * self.view.ty().dim + self.part(bank, slice) * l.sub as usize;
        for i in 0..l.per_column() {
            let place = (block * l.per_column() + i) * l.groups + l.bank(bank).1;
            let Some(token) = self.exact.get(place as usize).copied().flatten() else { continue };
            let token = &self.view.exact_bytes(side, token)[from..][..l.sub as usize];
            for (d, &byte) in token.iter().enumerate() {
                put_value(&mut out, i * l.sub + d as u32, i64::from(byte as i8));
            }
        }
        out
    }

    fn codes(&self, bank: u32, slot: u32, side: Side, slice: u32, column: u32) -> Column {
        let (l, mut out) = (self.layout, [0; 4]);
        for i in 0..l.codes {
            let token = (column * l.codes + i) * l.groups + l.bank(bank).1;
            if token as usize >= self.view.compressed() {
                break;
            }
            let part = self.part(bank, slice);
            let code = self.view.code(side, token as usize, slot as usize, part);
            put_code(&mut out, l.code_bit(i), l.code_bits, code as u32);
        }
        out
    }
}

impl Banks for FormImages<'_> {
    fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        let l = self.layout;
        let (slot, region, row) = l.region(row).filter(|_| col < l.columns)?;
        let column = row * l.columns + col;
        Some(match region {
            Region::Book(side, slice) => self.book(bank, slot, side, slice, row, col),
            // Written before it is read.
            Region::Table => [0; 4],
            Region::Exact(side) => self.exact(bank, slot, side, column),
            Region::Codes(side, slice) => self.codes(bank, slot, side, slice, column),
        })
    }
}

impl FormLayout {
    /// The codes of a side, `[C][G][M]`, as [`CacheView`] has them; none where a bank holds nothing.
    pub fn held_codes(
        &self,
        driver: &FormDriver,
        side: Side,
        read: &ReadColumn<'_>,
    ) -> Option<Vec<u16>> {
        let mut codes = Vec::new();
        for t in 0..driver.compressed() {
            let (group, index) = (t % self.groups, t / self.groups);
            for slot in 0..self.slots {
                for part in 0..self.members * self.slices {
                    let (bank, slice) =
                        (group * self.members + part / self.slices, part % self.slices);
                    let (row, col, bit) = self.code_at(slot, side, slice, index);
                    codes.push(code(&read(bank, row, col)?, bit, self.code_bits) as u16);
                }
            }
        }
        Some(codes)
    }

    /// The exact token at `position`, `[G][D]`; none if it is not exact, or a bank holds nothing.
    pub fn held_exact(
        &self,
        driver: &FormDriver,
        side: Side,
        position: u32,
        read: &ReadColumn<'_>,
    ) -> Option<Vec<i8>> {
        let place = driver.exact_at(position)?;
        let (group, index) = (place % self.groups, place / self.groups);
        let mut token = Vec::new();
        for slot in 0..self.slots {
            for part in 0..self.members * self.slices {
                let (bank, slice) = (group * self.members + part / self.slices, part % self.slices);
                let (row, col, first) = self.exact_at(slot, side, slice, index);
                let column = read(bank, row, col)?;
                token.extend((first..first + self.sub).map(|at| value(&column, at) as i8));
            }
        }
        Some(token)
    }
}
