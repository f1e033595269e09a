//! What the banks hold while a step is executed.

use super::layout::FormLayout;
use crate::images::{Banks, Column};
use std::collections::BTreeMap;

/// A row of a table: an exact integer for every slot.
type Table = Vec<Option<i64>>;

/// Banks that are written to: columns over those of an image, and rows of tables.
///
/// An entry of a table has more bits than the two bytes of its slot (see [`super`]), so rows of tables are
/// kept as the integers that were written.
pub(super) struct Memory<'a> {
    image: &'a dyn Banks,
    columns: u32,
    written: Vec<BTreeMap<(u32, u32), Column>>,
    tables: Vec<BTreeMap<u32, Table>>,
}

impl<'a> Memory<'a> {
    pub(super) fn new(image: &'a dyn Banks, banks: u32, layout: &FormLayout) -> Memory<'a> {
        Memory {
            image,
            columns: layout.columns,
            written: vec![BTreeMap::new(); banks as usize],
            tables: vec![BTreeMap::new(); banks as usize],
        }
    }

    /// The column at (row, col) of a bank; none where it holds nothing.
    pub(super) fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        let written = self.written.get(bank as usize)?.get(&(row, col)).copied();
        written.or_else(|| self.image.column(bank, row, col))
    }

    pub(super) fn write(&mut self, bank: u32, row: u32, col: u32, column: Column) {
        if let Some(bank) = self.written.get_mut(bank as usize) {
            bank.insert((row, col), column);
        }
    }

    /// Writes entries of a table from the first slot of a column on.
    pub(super) fn write_entries(&mut self, bank: u32, row: u32, first: u32, entries: &[i64]) {
        let Some(bank) = self.tables.get_mut(bank as usize) else { return };
        let table = bank.entry(row).or_default();
        let end = first as usize + entries.len();
        table.resize(table.len().max(end), None);
        for (slot, entry) in table[first as usize..].iter_mut().zip(entries) {
            *slot = Some(*entry);
        }
    }

    /// The entry in a row's slot; none where no table was written.
    pub(super) fn entry(&self, bank: u32, row: u32, slot: u32) -> Option<i64> {
        self.tables.get(bank as usize)?.get(&row)?.get(slot as usize).copied().flatten()
    }

    /// Columns of a row.
    pub(super) fn columns(&self) -> u32 {
        self.columns
    }
}

/// The value in a column's slot of two bytes.
pub(super) fn value(column: &Column, slot: u32) -> i64 {
    i64::from((column[slot as usize / 4] >> (slot % 4 * 16)) as i16)
}

/// Puts a value into a slot of two bytes.
pub(super) fn put_value(column: &mut Column, slot: u32, value: i64) {
    let (word, shift) = (slot as usize / 4, slot % 4 * 16);
    column[word] = column[word] & !(0xffff << shift) | u64::from(value as i16 as u16) << shift;
}
