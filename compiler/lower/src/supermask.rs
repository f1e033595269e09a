//! Supermask weights as the hardware has them: generated signs, and mask planes with the freeze
//! rule applied.
//!
//! Written from the generator's definition, apart from the reference model, so that the two check
//! each other. All arithmetic is modulo 2^32. `mix32(v)`: v ^= v>>16; v *= 0x7feb352d; v ^= v>>15;
//! v *= 0x846ca68b; v ^= v>>16. Row r of a layer starts from
//! `mix32(key ^ mix32(0x9E3779B9*(r+1)))`, key = seed ^ mix32(layer), 0 becoming 0x6D2B79F5; word i
//! is the state after i+1 steps of xorshift32 (13, 17, 5). Signs: bit 1 of the words of inputs
//! 32i..32i+32 is -1. Freeze bytes: the same with layer ^ 0x80000000, four to a word.

use pimc_ir::ranges::bits_word;
use pimc_ir::{SupermaskView, WeightType};

fn mix32(mut v: u32) -> u32 {
    v ^= v >> 16;
    v = v.wrapping_mul(0x7feb_352d);
    v ^= v >> 15;
    v = v.wrapping_mul(0x846c_a68b);
    v ^ v >> 16
}

/// The key of the generator: what the rows of a layer have in common.
pub(crate) fn sign_key(seed: u32, layer: u32) -> u32 {
    seed ^ mix32(layer)
}

/// One row's generator.
#[derive(Clone, Copy)]
pub(crate) struct RowGenerator(u32);

impl RowGenerator {
    pub(crate) fn new(key: u32, row: u32) -> RowGenerator {
        let start = mix32(key ^ mix32(row.wrapping_add(1).wrapping_mul(0x9e37_79b9)));
        RowGenerator(if start == 0 { 0x6d2b_79f5 } else { start })
    }

    /// The next word.
    pub(crate) fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// The next two words, the first one lowest: the signs of a group of 64 inputs.
    pub(crate) fn group(&mut self) -> u64 {
        let low = u64::from(self.word());
        low | u64::from(self.word()) << 32
    }
}

/// Mask planes with the freeze rule applied, 64 inputs to a word.
pub(crate) struct EffectiveMask {
    groups: usize,
    coats: usize,
    /// Order: row, group, coat.
    words: Vec<u64>,
}

impl EffectiveMask {
    /// The planes of a weight of type `ty`, which must be a supermask.
    pub(crate) fn new(view: &SupermaskView<'_>, ty: &WeightType) -> EffectiveMask {
        let (rows, cols, coats) = (view.rows(), view.cols(), view.coats());
        let (seed, layer, pruned, locked) = match *ty {
            WeightType::Supermask { seed, layer, pruned, locked, .. } => {
                (seed, layer, pruned, locked)
            }
            _ => (0, 0, 0, 0),
        };
        let groups = cols.div_ceil(64);
        let mut words = vec![0u64; rows * groups * coats];
        let frozen = pruned + locked > 0;
        let key = sign_key(seed, layer ^ 0x8000_0000);
        for r in 0..rows {
            let mut bytes = RowGenerator::new(key, r as u32);
            let mut four = 0;
            for c in 0..cols {
                if frozen && c % 4 == 0 {
                    four = bytes.word();
                }
                let byte = four >> (8 * (c % 4)) & 0xff;
                for coat in 0..coats {
                    let set = if frozen && byte < pruned {
                        false
                    } else if frozen && byte < pruned + locked {
                        true
                    } else {
                        view.stored(coat, r, c)
                    };
                    let word = &mut words[(r * groups + c / 64) * coats + coat];
                    *word |= u64::from(set) << (c % 64);
                }
            }
        }
        EffectiveMask { groups, coats, words }
    }

    /// Mask bits of one coat of one group of 64 inputs.
    pub(crate) fn word(&self, row: usize, group: usize, coat: usize) -> u64 {
        self.words[(row * self.groups + group) * self.coats + coat]
    }
}

/// One row's mask planes with the freeze rule applied, group by group: the same as [`EffectiveMask`],
/// without keeping it.
pub(crate) struct MaskRow<'a> {
    view: &'a SupermaskView<'a>,
    row: usize,
    /// The generator of the freeze bytes, and below which of them a weight is 0 or has every coat;
    /// none where nothing is frozen.
    freeze: Option<(RowGenerator, u32, u32)>,
}

impl<'a> MaskRow<'a> {
    /// Row `row` of a weight of type `ty`, which must be a supermask.
    pub(crate) fn new(view: &'a SupermaskView<'a>, ty: &WeightType, row: usize) -> MaskRow<'a> {
        let freeze = match *ty {
            WeightType::Supermask { seed, layer, pruned, locked, .. } if pruned + locked > 0 => {
                let key = sign_key(seed, layer ^ 0x8000_0000);
                Some((RowGenerator::new(key, row as u32), pruned, pruned + locked))
            }
            _ => None,
        };
        MaskRow { view, row, freeze }
    }

    /// The mask bits of every coat of the next group of 64 inputs, which is number `group`.
    pub(crate) fn group(&mut self, group: usize, mut coat_word: impl FnMut(u64)) {
        let cols = self.view.cols();
        let (mut free, mut set) = (u64::MAX, 0u64);
        if let Some((bytes, zero, all)) = &mut self.freeze {
            free = 0;
            for four in 0..cols.saturating_sub(64 * group).min(64).div_ceil(4) {
                let word = bytes.word();
                for i in 0..4 {
                    let byte = word >> (8 * i) & 0xff;
                    free |= u64::from(byte >= *all) << (4 * four + i);
                    set |= u64::from(byte >= *zero && byte < *all) << (4 * four + i);
                }
            }
            set &= bits_word(&[0xff; 8], 0, cols.saturating_sub(64 * group));
        }
        for coat in 0..self.view.coats() {
            let stored = bits_word(self.view.bytes(coat, self.row), group, cols);
            coat_word(stored & free | set);
        }
    }
}
