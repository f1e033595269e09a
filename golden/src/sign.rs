//! The sign generator of supermask weights. **Normative**: training, golden, lowering and hardware
//! all follow this page.
//!
//! All arithmetic is modulo 2^32.
//!
//! - `mix32(v)`: `v ^= v >> 16; v *= 0x7feb352d; v ^= v >> 15; v *= 0x846ca68b; v ^= v >> 16`.
//! - The state of row (output channel) `r` of layer `layer` starts at
//!   `s0 = mix32(seed ^ mix32(layer) ^ mix32(0x9E3779B9 * (r + 1)))`; 0 is replaced by
//!   `0x6D2B79F5`, because a xorshift never leaves 0.
//! - A step is xorshift32: `s ^= s << 13; s ^= s >> 17; s ^= s << 5`.
//! - Word `i` of the row is the state after `i + 1` steps. It holds the signs of inputs
//!   `32i..32i+32`, the least significant bit the lowest input; **bit 1 means -1**, bit 0 means +1.
//!
//! A row's words depend on nothing but (seed, layer, r), so rows can be generated in any order and
//! on any bank. The mixing matters: xorshift is linear, so rows seeded by bare counters would be
//! sums of one another.

/// Replaces a starting state of 0.
pub const ZERO_STATE: u32 = 0x6D2B_79F5;
/// Spreads row numbers: 2^32 divided by the golden ratio.
pub const ROW_STEP: u32 = 0x9E37_79B9;

/// A bijection of 32-bit words that leaves no simple relation between neighbouring inputs.
pub fn mix32(v: u32) -> u32 {
    let v = (v ^ (v >> 16)).wrapping_mul(0x7feb_352d);
    let v = (v ^ (v >> 15)).wrapping_mul(0x846c_a68b);
    v ^ (v >> 16)
}

/// The words of one row: an endless iterator, word `i` being the state after `i + 1` steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowWords {
    state: u32,
}

impl RowWords {
    /// The words of row `row` of layer `layer` under `seed`.
    pub fn new(seed: u32, layer: u32, row: u32) -> RowWords {
        let spread = mix32(ROW_STEP.wrapping_mul(row.wrapping_add(1)));
        let state = mix32(seed ^ mix32(layer) ^ spread);
        RowWords { state: if state == 0 { ZERO_STATE } else { state } }
    }
}

impl Iterator for RowWords {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let mut s = self.state;
        s ^= s << 13;
        s ^= s >> 17;
        s ^= s << 5;
        self.state = s;
        Some(s)
    }
}

/// The signs of row `row`, input 0 first: true means -1. Endless.
pub fn row_is_negative(seed: u32, layer: u32, row: u32) -> impl Iterator<Item = bool> {
    RowWords::new(seed, layer, row).flat_map(|word| (0..32).map(move |bit| word >> bit & 1 == 1))
}
