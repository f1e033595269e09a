//! Import of supermask weights, `supermask<RxC, coats, seed, layer, pruned, locked>`.
//!
//! Nothing is searched for here: training chose the mask, the generator gives the signs. A layer comes
//! as coat counts, as packed planes, or as scores of which the largest fraction is kept.

use crate::matrix::{pack_rows, QuantizedMatrix};
use pimc_golden::{freeze, sign};
use pimc_ir::WeightType;

/// What the generator and the freeze rule need, and the size of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SupermaskSettings {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// Mask planes.
    pub coats: usize,
    /// Seed of the sign generator.
    pub seed: u32,
    /// Layer number given to the sign generator.
    pub layer: u32,
    /// Freeze threshold of pruned weights, out of 256.
    pub pruned: u32,
    /// Freeze threshold of locked weights, out of 256.
    pub locked: u32,
    /// Real magnitude of one coat.
    pub sigma: f64,
}

/// The mask of `scores`: the `density` fraction of largest magnitude, rounded to whole weights; of
/// equal magnitudes the lower index is kept (Edge-Popup).
pub fn mask_from_scores(scores: &[f32], density: f64) -> Vec<usize> {
    let keep = (density * scores.len() as f64).round() as usize;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].abs().total_cmp(&scores[a].abs()).then(a.cmp(&b)));
    let mut mask = vec![0; scores.len()];
    order.iter().take(keep).for_each(|&at| mask[at] = 1);
    mask
}

/// Coat counts from packed planes [coats, rows, ceil(cols/8)], or the first (row, column) whose
/// planes are not nested.
pub fn counts_from_planes(
    planes: &[u8],
    coats: usize,
    rows: usize,
    cols: usize,
) -> Result<Vec<usize>, (usize, usize)> {
    let width = cols.div_ceil(8);
    let bit = |coat: usize, r: usize, c: usize| {
        planes[(coat * rows + r) * width + c / 8] >> (c % 8) & 1 == 1
    };
    let mut counts = Vec::with_capacity(rows * cols);
    for r in 0..rows {
        for c in 0..cols {
            let count = (0..coats).take_while(|&coat| bit(coat, r, c)).count();
            if (count..coats).any(|coat| bit(coat, r, c)) {
                return Err((r, c));
            }
            counts.push(count);
        }
    }
    Ok(counts)
}

/// Stores `counts` (stored coats of every weight, row major, each at most `coats`).
pub fn import_supermask(counts: &[usize], s: &SupermaskSettings) -> QuantizedMatrix {
    let SupermaskSettings { rows, cols, coats, seed, layer, pruned, locked, sigma } = *s;
    let mut mask = Vec::new();
    for coat in 0..coats {
        mask.extend(pack_rows(counts.iter().map(|&c| c > coat), cols));
    }
    let mut ints = Vec::with_capacity(counts.len());
    for r in 0..rows {
        let signs = sign::row_is_negative(seed, layer, r as u32);
        let bytes = freeze::row_bytes(seed, layer, r as u32);
        for ((negative, byte), &stored) in signs.zip(bytes).zip(&counts[r * cols..][..cols]) {
            let size = freeze::effective_coats(byte, pruned, locked, coats, stored) as i64;
            ints.push(if negative { -size } else { size });
        }
    }
    // Nested storage: only weights that pass one threshold have a bit for the next; frozen weights
    // have none.
    let free = f64::from(256 - pruned - locked) / 256.0;
    let planes: usize = (0..coats).map(|c| counts.iter().filter(|&&n| n >= c).count()).sum();
    QuantizedMatrix {
        ty: WeightType::Supermask { rows, cols, coats, seed, layer, pruned, locked },
        tensors: vec![mask],
        scale: vec![sigma; rows],
        ints,
        bits: (planes as f64 * free).round() as u64 + 64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: SupermaskSettings = SupermaskSettings {
        rows: 2,
        cols: 10,
        coats: 2,
        seed: 0x5eed,
        layer: 3,
        pruned: 0,
        locked: 0,
        sigma: 0.5,
    };

    #[test]
    fn the_largest_scores_are_kept_and_ties_go_to_the_lower_index() {
        assert_eq!(mask_from_scores(&[1.0, -3.0, 2.0, 2.0, 0.5], 0.4), vec![0, 1, 1, 0, 0]);
        assert_eq!(mask_from_scores(&[1.0; 4], 0.5), vec![1, 1, 0, 0]);
        assert_eq!(mask_from_scores(&[1.0, 2.0], 0.0), vec![0, 0]);
        assert_eq!(mask_from_scores(&[1.0, 2.0], 1.0), vec![1, 1]);
    }

    #[test]
    fn planes_and_counts_are_inverse() {
        let counts: Vec<usize> = (0..20).map(|i| i % 3).collect();
        let got = import_supermask(&counts, &SETTINGS);
        assert_eq!(got.tensors[0].len(), 2 * 2 * 2);
        assert_eq!(counts_from_planes(&got.tensors[0], 2, 2, 10), Ok(counts.clone()));
        assert!(got.ints.iter().zip(&counts).all(|(&q, &c)| q.unsigned_abs() as usize == c));
        assert!(got.ints.iter().any(|&q| q < 0) && got.ints.iter().any(|&q| q > 0));
    }

    #[test]
    fn planes_that_are_not_nested_are_found() {
        // One row of two weights, two coats: weight 1 has the second coat but not the first.
        assert_eq!(counts_from_planes(&[0b01, 0b11], 2, 1, 2), Err((0, 1)));
    }

    #[test]
    fn frozen_weights_ignore_the_stored_mask() {
        let pruned = SupermaskSettings { pruned: 256, ..SETTINGS };
        assert!(import_supermask(&[2; 20], &pruned).ints.iter().all(|&q| q == 0));
        let locked = SupermaskSettings { locked: 256, ..SETTINGS };
        assert!(import_supermask(&[0; 20], &locked).ints.iter().all(|&q| q.abs() == 2));
    }
}
