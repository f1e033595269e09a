//! The freeze rule of supermask weights: a fraction of the mask is fixed by the seed. **Normative.**
//!
//! Every weight (row `r`, input `c`) has a freeze byte `u`, 0..=255. The bytes come from the
//! construction of the sign generator ([`crate::sign`]) with `layer ^ 0x8000_0000` in place of the
//! layer: word `i` of row `r` is the state after `i + 1` steps and holds the bytes of inputs
//! `4i..4i+4`, the least significant byte the lowest input.
//!
//! With the type's `pruned` and `locked` (thresholds out of 256, `pruned + locked <= 256`), the
//! coats of a weight are
//!
//! | freeze byte | coats |
//! |---|---|
//! | `u < pruned` | 0 |
//! | `pruned <= u < pruned + locked` | all of the type's coats |
//! | otherwise | the stored coats |
//!
//! The stored mask keeps a place for every weight; what it says of a frozen one has no meaning.
//! Layers numbered from 0 never share a stream with the signs, as their top bit differs.

use crate::sign::RowWords;

/// Tells the byte stream from the sign stream of the same layer.
pub const LAYER_BIT: u32 = 0x8000_0000;

/// The freeze bytes of row `row`, input 0 first. Endless.
pub fn row_bytes(seed: u32, layer: u32, row: u32) -> impl Iterator<Item = u8> {
    RowWords::new(seed, layer ^ LAYER_BIT, row).flat_map(u32::to_le_bytes)
}

/// Coats of one weight after freezing: `byte` is its freeze byte, `stored` its stored coats (the
/// number of its mask planes that are set), `coats` the type's coats, `pruned` and `locked`
/// thresholds out of 256.
pub fn effective_coats(byte: u8, pruned: u32, locked: u32, coats: usize, stored: usize) -> usize {
    let u = u32::from(byte);
    if u < pruned {
        0
    } else if u < pruned + locked {
        coats
    } else {
        stored
    }
}
