//! How the work of a `cluster` is dealt out to runs of the program.

use super::script::{pieces, Phase, Script};
use super::{centroid_columns, ClusterPlan};
use crate::attention::layout::{CacheLayout, Place};
use crate::attention::Driver;
use pimc_ir::Side;

/// What there is to do for a cache that a driver has just filled.
pub(crate) struct Work<'a> {
    pub(crate) plan: &'a ClusterPlan,
    pub(crate) layout: &'a CacheLayout,
    pub(crate) driver: &'a Driver,
}

/// The scripts of a side so far.
struct Scripts<'a> {
    work: &'a Work<'a>,
    done: Vec<Script>,
    now: Script,
}

impl Scripts<'_> {
    fn push(&mut self, phase: Phase, words: &[u32]) {
        if !self.now.push(&self.work.plan.map, phase, words) {
            self.done.push(std::mem::take(&mut self.now));
            // One entry has room.
            self.now.push(&self.work.plan.map, phase, words);
        }
    }
}

impl Work<'_> {
    /// Row, column and place of waiting token `t`.
    fn waiting(&self, slot: u32, side: Side, t: u32) -> [u32; 3] {
        let l = self.layout;
        let place = l.exact_place(t);
        let (row, column) = l.exact_at(place.block);
        [l.stage_row(slot, side) + row, column, place.word()]
    }

    /// The runs of a side; `weight` is that of a waiting token. None if none waits.
    pub(crate) fn side(&self, slot: u32, side: Side, weight: &dyn Fn(u32) -> u32) -> Vec<Script> {
        let (l, count) = (self.layout, self.driver.compressed());
        if count == 0 {
            return Vec::new();
        }
        let (book, encoders) = (l.codebook_row(slot, side), self.plan.encoders);
        let mut out = Scripts { work: self, done: Vec::new(), now: Script::default() };
        for c in 0..l.k {
            let t = u64::from(c) * u64::from(count) / u64::from(l.k);
            out.push(Phase::Seed, &self.seed(slot, side, t as u32, c));
        }
        let batches = || (0..count).step_by(encoders as usize);
        let begin = |t: u32| {
            let mut words = self.waiting(slot, side, t).to_vec();
            words.push(book);
            words
        };
        let columns = (l.slices * l.codebook_columns).min(l.columns);
        let update: Vec<u32> = (0..columns)
            .step_by(self.plan.map.held().means as usize)
            .flat_map(|column| [book, column])
            .collect();
        for _ in 0..self.plan.values.iterations {
            out.push(Phase::Clear, &[]);
            for t in batches() {
                let mut words = begin(t);
                // What is not there weighs nothing.
                words.extend((t..t + encoders).map(|t| if t < count { weight(t) } else { 0 }));
                out.push(Phase::Batch, &words);
            }
            out.push(Phase::Update, &update);
        }
        for t in batches() {
            let mut words = begin(t);
            let codes: Vec<(u32, [u32; 3])> = (t..(t + encoders).min(count))
                .map(|token| {
                    let [row, column, place] = self.driver.code_words(token);
                    (row + l.row_in_page(slot, side), [token - t, column, place])
                })
                .collect();
            words.extend(pieces(&codes, self.plan.map.held().codes));
            out.push(Phase::Fill, &words);
        }
        out.done.push(out.now);
        out.done
    }

    /// Centroid `c` begins as waiting token `t`.
    fn seed(&self, slot: u32, side: Side, t: u32, c: u32) -> Vec<u32> {
        let l = self.layout;
        let at = c % (l.chunk * l.beats);
        let place = Place { block: 0, group: 0, beat: at / l.chunk, lane: at % l.chunk };
        let mut words = self.waiting(slot, side, t).to_vec();
        words.push(place.word());
        let book = l.codebook_row(slot, side);
        let columns: Vec<(u32, [u32; 1])> =
            centroid_columns(l, c).map(|(row, column)| (book + row, [column])).collect();
        words.extend(pieces(&columns, self.plan.map.held().centroids));
        words
    }
}
