//! The sums of an attention unit's centroids: what was added to each, and what it weighed.

use crate::images::Column;
use pimc_rtl::attention::{AttentionShape, ClusterShape};

/// The sums of a bank, indexed by slice, centroid, element.
#[derive(Clone, Debug)]
pub(super) struct Means {
    k: u32,
    sub: u32,
    sum_bits: u32,
    total_bits: u32,
    sums: Vec<i64>,
    totals: Vec<i64>,
}

impl Means {
    pub(super) fn new(shape: &AttentionShape, cluster: &ClusterShape) -> Means {
        let centroids = (shape.slices * shape.k) as usize;
        Means {
            k: shape.k,
            sub: shape.sub,
            sum_bits: cluster.sum_bits(),
            total_bits: cluster.total_bits(),
            sums: vec![0; centroids * shape.sub as usize],
            totals: vec![0; centroids],
        }
    }

    pub(super) fn clear(&mut self) {
        self.sums.fill(0);
        self.totals.fill(0);
    }

    /// Adds a token to the centroids nearest to its sub-vectors, one in each slice.
    pub(super) fn add(
        &mut self,
        weight: i64,
        x: &[i8],
        nearest: &[(i64, u32)],
    ) -> Result<(), String> {
        let sub = self.sub as usize;
        for (slice, (x, (_, code))) in x.chunks(sub).zip(nearest).enumerate() {
            let c = slice * self.k as usize + *code as usize;
            self.totals[c] += weight;
            if self.totals[c] >> self.total_bits != 0 {
                return Err("the weight of a centroid overflowed".into());
            }
            for (sum, &x) in self.sums[c * sub..].iter_mut().zip(x) {
                *sum += weight * i64::from(x);
                if !super::fits((*sum).into(), self.sum_bits) {
                    return Err("the sum of a centroid overflowed".into());
                }
            }
        }
        Ok(())
    }

    /// Puts the mean of what was added to a centroid, if that weighs anything, into place `i` of a column.
    pub(super) fn put(&self, slice: u32, centroid: u32, column: &mut Column, i: u32) {
        let c = (slice * self.k + centroid) as usize;
        let (sub, total) = (self.sub as usize, self.totals[c]);
        if total == 0 {
            return;
        }
        for d in 0..sub {
            // Halves are rounded upward.
            let mean = (2 * self.sums[c * sub + d] + total).div_euclid(2 * total) as u8;
            let at = i as usize * sub + d;
            let (word, shift) = (at / 8, at % 8 * 8);
            column[word] = column[word] & !(255 << shift) | u64::from(mean) << shift;
        }
    }
}
