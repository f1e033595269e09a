//! What lies in a column: bytes, and codes of which none straddles a word.

use crate::images::Column;

/// Byte `at` of a column.
pub(crate) fn byte(column: &Column, at: usize) -> i8 {
    (column[at / 8] >> (at % 8 * 8)) as i8
}

/// Puts bytes into a column that has none there yet.
pub(crate) fn put_bytes(column: &mut Column, at: usize, bytes: &[u8]) {
    for (at, &byte) in (at..).zip(bytes) {
        column[at / 8] |= u64::from(byte) << (at % 8 * 8);
    }
}

/// The code of `bits` bits at a bit of a column.
pub(crate) fn code(column: &Column, bit: u32, bits: u32) -> u32 {
    (column[bit as usize / 64] >> (bit % 64) & mask(bits)) as u32
}

/// Puts a code there, in place of the one that is.
pub(crate) fn put_code(column: &mut Column, bit: u32, bits: u32, code: u32) {
    let (word, shift) = (bit as usize / 64, bit % 64);
    column[word] = column[word] & !(mask(bits) << shift) | u64::from(code) << shift;
}

fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}
