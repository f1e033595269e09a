//! The tokens of a prompt as the columns that the host writes.

use crate::attention::layout::CacheLayout;
use crate::attention::{Driver, HostColumn};
use crate::column::put_bytes;
use crate::images::Column;
use pimc_ir::Side;

/// Keys and values, `[T][G][D]` each.
pub(crate) struct Tokens<'a> {
    pub(crate) sides: [&'a [i64]; 2],
    /// Elements of a head.
    pub(crate) dim: usize,
}

/// Every column that holds a token of a cache that the driver has just filled.
pub(crate) fn columns(l: &CacheLayout, driver: &Driver, tokens: &Tokens<'_>) -> Vec<HostColumn> {
    // The position of the token at each place, waiting and exact.
    let waiting: Vec<Option<u32>> =
        (0..driver.compressed()).map(|t| Some(driver.waiting_position(t))).collect();
    let mut exact = vec![None; l.exact_places as usize];
    for position in 0..driver.length() {
        if let Some(place) = driver.exact_at(position) {
            exact[place as usize] = Some(position);
        }
    }
    let mut out = Vec::new();
    for slot in 0..l.slots {
        for side in Side::BOTH {
            put(l, tokens, &waiting, (slot, side, l.stage_row(slot, side)), &mut out);
            put(l, tokens, &exact, (slot, side, l.exact_row(slot, side)), &mut out);
        }
    }
    out
}

/// The columns of places from row `first` on.
fn put(
    l: &CacheLayout,
    tokens: &Tokens<'_>,
    places: &[Option<u32>],
    (slot, side, first): (u32, Side, u32),
    out: &mut Vec<HostColumn>,
) {
    let (per_column, sub) = ((l.chunk * l.beats) as usize, l.sub as usize);
    let given = tokens.sides[side as usize];
    let in_block = per_column * l.groups as usize;
    for (block, places) in places.chunks(in_block).enumerate() {
        if places.iter().all(Option::is_none) {
            continue;
        }
        let (row, column) = l.exact_at(block as u32);
        for bank in 0..l.members * l.groups {
            let (member, group) = l.bank(bank);
            // Of the last block not every group has tokens; its columns are read all the same.
            let mine = places.chunks(per_column).nth(group as usize).unwrap_or_default();
            for slice in 0..l.slices {
                let part = (member * l.slices + slice) as usize;
                let mut data: Column = [0; 4];
                for (i, position) in mine.iter().enumerate() {
                    let Some(position) = position else { continue };
                    let token = *position as usize * l.slots as usize + slot as usize;
                    let from = token * tokens.dim + part * sub;
                    let elements = given.get(from..from + sub).unwrap_or_default();
                    let bytes: Vec<u8> = elements.iter().map(|&x| x as u8).collect();
                    put_bytes(&mut data, i * sub, &bytes);
                }
                out.push(HostColumn { bank, row: first + row, col: column + slice, data });
            }
        }
    }
}
