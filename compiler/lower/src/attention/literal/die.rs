//! The buffer die: partial scores added up, their softmax, results divided; the least of distances.

use super::driver::FormDriver;
use super::layout::FormLayout;
use super::machine::Numbers;
use crate::interp::softmax::{divide, weight};

/// What the buffer die holds of one query head.
#[derive(Clone, Debug)]
pub(super) struct Die {
    groups: u32,
    /// By place of exact tokens: the token's position.
    positions: Vec<Option<u32>>,
    sink: u32,
    compressed: u32,
    /// Scores, then weights: of the exact places, and of the compressed tokens.
    exact: Vec<i64>,
    codes: Vec<i64>,
    sum: i64,
    /// A token's sub-vectors on their way from banks to banks.
    pub(super) token: Vec<i64>,
    /// Distance from the nearest centroid so far and its number, by bank and slice.
    pub(super) nearest: Vec<(i64, u32)>,
}

impl Die {
    pub(super) fn new(layout: &FormLayout, banks: u32) -> Die {
        let parts = layout.members * layout.slices;
        Die {
            groups: layout.groups,
            positions: vec![None; (layout.exact * layout.groups) as usize],
            sink: 0,
            compressed: 0,
            exact: Vec::new(),
            codes: Vec::new(),
            sum: 0,
            token: vec![0; (parts * layout.sub) as usize],
            nearest: vec![(i64::MAX, 0); (banks * layout.slices) as usize],
        }
    }

    /// Takes the lengths of a step.
    pub(super) fn step(&mut self, driver: &FormDriver) {
        self.positions.fill(None);
        (self.sink, self.compressed) = (driver.ty().sink as u32, driver.compressed());
        for position in 0..driver.length() {
            let place = driver.exact_at(position);
            if let Some(slot) = place.and_then(|p| self.positions.get_mut(p as usize)) {
                *slot = Some(position);
            }
        }
    }

    /// A query head begins.
    pub(super) fn begin(&mut self) {
        self.exact = vec![0; self.positions.len()];
        self.codes = vec![0; self.compressed as usize];
    }

    fn index(&self, group: u32, index: u32) -> usize {
        (index * self.groups + group) as usize
    }

    /// A partial score of a group's exact token; of places that are empty nothing becomes.
    pub(super) fn exact_score(&mut self, group: u32, index: u32, score: i64) {
        let at = self.index(group, index);
        if let Some(sum) = self.exact.get_mut(at) {
            *sum += score;
        }
    }

    /// A partial score of a group's compressed token.
    pub(super) fn score(&mut self, group: u32, index: u32, score: i64) {
        let at = self.index(group, index);
        if let Some(sum) = self.codes.get_mut(at) {
            *sum += score;
        }
    }

    /// Scores become weights of the tokens that a query sees, those of positions below `limit`.
    pub(super) fn softmax(&mut self, numbers: &Numbers, limit: i64) {
        let seen = |position: Option<u32>| position.is_some_and(|p| i64::from(p) < limit);
        let places = self.positions.iter().map(|&position| seen(position));
        let sink = self.sink;
        let tokens = (0..self.compressed).map(|t| seen(Some(sink + t)));
        let seen: Vec<bool> = places.chain(tokens).collect();
        let scores = || self.exact.iter().chain(&self.codes).copied();
        let most = scores().zip(&seen).filter(|(_, &seen)| seen).map(|(score, _)| score).max();
        let weigh = |(score, &seen): (i64, &bool)| match most {
            Some(most) if seen => weight(&numbers.shape, most - score),
            _ => 0,
        };
        let weights: Vec<i64> = scores().zip(&seen).map(weigh).collect();
        self.sum = weights.iter().sum();
        let (exact, codes) = weights.split_at(self.exact.len());
        self.exact.copy_from_slice(exact);
        self.codes.copy_from_slice(codes);
    }

    /// The weight of a group's exact token.
    pub(super) fn exact_weight(&self, group: u32, index: u32) -> i64 {
        self.exact.get(self.index(group, index)).copied().unwrap_or(0)
    }

    /// The weight of a group's compressed token.
    pub(super) fn weight(&self, group: u32, index: u32) -> i64 {
        self.codes.get(self.index(group, index)).copied().unwrap_or(0)
    }

    /// A sum of weighted values over the sum of weights.
    pub(super) fn divide(&self, numbers: &Numbers, out: i64) -> i64 {
        divide(&numbers.shape, self.sum, out)
    }

    /// A distance of a bank's sub-vector from a centroid: the first of the least ones stays.
    pub(super) fn distance(&mut self, at: usize, centroid: u32, distance: i64) {
        if distance < self.nearest[at].0 {
            self.nearest[at] = (distance, centroid);
        }
    }
}
