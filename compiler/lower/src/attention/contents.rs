//! What the banks hold of a cache, read back: for comparing with golden's state.

use super::{CachePlan, Driver};
use crate::column::{byte, code};
use crate::images::Column;
use itertools::Itertools;
use pimc_ir::Side;

/// Reads a column: bank, row, column.
pub type ReadColumn<'a> = dyn Fn(u32, u32, u32) -> Option<Column> + 'a;

impl CachePlan {
    /// The codes of a side, `[C][G][M]`, as [`pimc_ir::CacheView`] has them; none where a bank holds nothing.
    pub fn codes(&self, driver: &Driver, side: Side, read: &ReadColumn<'_>) -> Option<Vec<u16>> {
        let l = &self.layout;
        let mut codes = Vec::new();
        for t in 0..driver.compressed() {
            let place = l.code_place(t);
            let (page, column) = l.code_at(place.block);
            let row = l.frame_row(driver.pages()[page as usize]);
            let bit = l.code_bit(place);
            for slot in 0..l.slots {
                let row = row + l.row_in_page(slot, side);
                for part in 0..l.members * l.slices {
                    let bank = place.group * l.members + part / l.slices;
                    let column = read(bank, row, column + part % l.slices)?;
                    codes.push(code(&column, bit, l.code_bits) as u16);
                }
            }
        }
        Some(codes)
    }

    /// The codebooks of a side as the banks of a token group have them, `[G][M][k][sub]`, as
    /// [`pimc_ir::CacheView`] has them; none where a bank holds nothing.
    pub fn codebook(&self, side: Side, group: u32, read: &ReadColumn<'_>) -> Option<Vec<i8>> {
        let l = &self.layout;
        let (per_column, sub) = (l.chunk * l.beats, l.sub as usize);
        let mut book = Vec::new();
        for (slot, part) in (0..l.slots).cartesian_product(0..l.members * l.slices) {
            let bank = group * l.members + part / l.slices;
            let first = part % l.slices * l.codebook_columns;
            for column in 0..l.codebook_columns {
                let at = first + column;
                let row = l.codebook_row(slot, side) + at / l.columns;
                let words = read(bank, row, at % l.columns)?;
                let centroids = per_column.min(l.k - column * per_column) as usize;
                book.extend((0..centroids * sub).map(|i| byte(&words, i)));
            }
        }
        Some(book)
    }

    /// The exact token at `position`, `[G][D]`; none if it is not exact, or a bank holds nothing.
    pub fn exact(
        &self,
        driver: &Driver,
        side: Side,
        position: u32,
        read: &ReadColumn<'_>,
    ) -> Option<Vec<i8>> {
        let l = &self.layout;
        let place = l.exact_place(driver.exact_at(position)?);
        let (row, column) = l.exact_at(place.block);
        let at = l.sub_byte(place) as usize;
        let mut token = Vec::new();
        for slot in 0..l.slots {
            let row = l.exact_row(slot, side) + row;
            for part in 0..l.members * l.slices {
                let bank = place.group * l.members + part / l.slices;
                let column = read(bank, row, column + part % l.slices)?;
                token.extend((at..at + l.sub as usize).map(|i| byte(&column, i)));
            }
        }
        Some(token)
    }
}
