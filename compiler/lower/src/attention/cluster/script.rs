//! What a run of the program does to cluster, as it stands in argument memory.
//!
//! The program goes through the script with its pointer, which stands on the word before the one that comes next:
//!
//! | words | |
//! |---|---|
//! | number of seeds; of each: row, column, place of the token; place in the codebook's column; pieces | first centroids |
//! | 0 or 1 | the sums are cleared |
//! | 0 or 1; if 1, number of batches; of each: row, column, place of its first token; row of the codebook; weights; and behind the last one the row of a token | tokens added up |
//! | 0 or 1; if 1, of each piece of a row: row of the codebook, column | centroids become means |
//! | number of batches; of each: row, column, place of its first token; row of the codebook; pieces | tokens encoded |
//!
//! Pieces are what is done while one row is open: their number; of each the row, the number of items, and the items.
//! An item is a column of the codebook for a seed, and encoder, column, place for a code.

use super::Held;
use crate::attention::layout::CacheLayout;

/// Words of a script, if no single entry needs more.
const SCRIPT_WORDS: u32 = 512;
/// Words of a script that has no entry.
const EMPTY: u32 = 5;
/// Words around batches that are added up, where there are any.
const AROUND: u32 = 2;

/// Where in argument memory a script lies, and how much of one there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClusterMap {
    first: u32,
    room: u32,
    encoders: u32,
    held: Held,
    /// Pieces of a row that is updated.
    pieces: u32,
}

impl ClusterMap {
    /// Behind `first` words.
    pub(in crate::attention) fn new(
        first: u32,
        layout: &CacheLayout,
        encoders: u32,
        held: Held,
    ) -> ClusterMap {
        let columns = (layout.slices * layout.codebook_columns).min(layout.columns);
        let pieces = columns.div_ceil(held.means);
        // Every item in a piece of its own.
        let seed = 5 + 3 * layout.slices;
        let codes = 5 + 5 * encoders;
        let entry = seed.max(codes).max(4 + encoders);
        let room = SCRIPT_WORDS.max(EMPTY + 2 * AROUND + 2 * pieces + entry);
        ClusterMap { first, room, encoders, held, pieces }
    }

    /// Whether the function's attend follows in this run.
    pub(crate) fn attends(&self) -> u32 {
        self.first
    }

    /// The script.
    pub(crate) fn script(&self) -> u32 {
        self.first + 1
    }

    /// What is done while a row is open.
    pub(in crate::attention) fn held(&self) -> Held {
        self.held
    }

    /// Pieces of a row that is updated, as many as the longest has.
    pub(crate) fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Words of argument memory.
    pub fn words(&self) -> u32 {
        self.script() + self.room
    }

    /// What a run with these arguments does.
    pub fn size_of(&self, args: &[u32]) -> ScriptSize {
        let attends = args.get(self.first as usize) == Some(&1);
        let mut size = ScriptSize { attends, ..ScriptSize::default() };
        let mut at = self.script() as usize;
        // The next word, and so many behind it passed over.
        let mut next = |skip: u32| {
            let word = args.get(at).copied().unwrap_or(0);
            at += 1 + skip as usize;
            word
        };
        let pieces = |next: &mut dyn FnMut(u32) -> u32, item: u32| {
            let (rows, mut items) = (next(0), 0);
            for _ in 0..rows {
                next(0);
                let count = next(0);
                items += count;
                (0..count * item).for_each(|_| {
                    next(0);
                });
            }
            (rows, items)
        };
        size.seeds = next(0);
        for _ in 0..size.seeds {
            next(3);
            pieces(&mut next, 1);
        }
        size.clears = next(0);
        if next(0) > 0 {
            size.batches = next(0);
            for _ in 0..size.batches {
                next(3 + self.encoders);
            }
            next(0);
        }
        size.updates = next(0);
        for _ in 0..size.updates * self.pieces {
            next(1);
        }
        size.fills = next(0);
        for _ in 0..size.fills {
            next(3);
            let (rows, codes) = pieces(&mut next, 3);
            size.pages += rows;
            size.codes += codes;
        }
        size
    }
}

/// How much a script does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScriptSize {
    /// First centroids.
    pub seeds: u32,
    /// Clearings of the sums.
    pub clears: u32,
    /// Batches that are added up.
    pub batches: u32,
    /// Updates of the codebook.
    pub updates: u32,
    /// Batches whose codes are kept.
    pub fills: u32,
    /// Rows that are opened for those.
    pub pages: u32,
    /// Codes.
    pub codes: u32,
    /// Whether there is an attend.
    pub attends: bool,
}

/// Entries of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entries {
    count: u32,
    words: Vec<u32>,
}

/// What comes next in a script, in the order in which it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    #[default]
    Seed,
    Clear,
    Batch,
    Update,
    Fill,
}

/// A script being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    last: Phase,
    seeds: Entries,
    clears: bool,
    batches: Entries,
    update: Option<Vec<u32>>,
    fill: Entries,
    /// Whether the attend follows.
    pub(super) attends: bool,
}

impl Script {
    fn len(&self) -> usize {
        let update = self.update.as_ref().map_or(0, Vec::len);
        let entries = [&self.seeds, &self.batches, &self.fill].map(|e| e.words.len());
        let batches = if self.batches.count > 0 { AROUND as usize } else { 0 };
        EMPTY as usize + batches + update + entries.iter().sum::<usize>()
    }

    /// Puts something behind what is there; whether it could be.
    pub(super) fn push(&mut self, map: &ClusterMap, phase: Phase, words: &[u32]) -> bool {
        let around = if phase == Phase::Batch { AROUND as usize } else { 0 };
        let full = self.len() + around + words.len() > map.room as usize;
        if full || phase < self.last {
            return false;
        }
        self.last = phase;
        let entries = match phase {
            Phase::Clear => {
                self.clears = true;
                return true;
            }
            Phase::Update => {
                self.update = Some(words.to_vec());
                return true;
            }
            Phase::Seed => &mut self.seeds,
            Phase::Batch => &mut self.batches,
            Phase::Fill => &mut self.fill,
        };
        entries.count += 1;
        entries.words.extend_from_slice(words);
        true
    }

    /// Argument memory: address and word.
    pub(crate) fn args(&self, map: &ClusterMap) -> Vec<(u32, u32)> {
        let entries = |e: &Entries| [vec![e.count], e.words.clone()].concat();
        let update = self.update.as_deref().unwrap_or_default();
        let batches = match self.batches.words.first() {
            None => vec![0],
            // A row is opened once more than there are batches.
            Some(&row) => [vec![1], entries(&self.batches), vec![row]].concat(),
        };
        let words = [
            entries(&self.seeds),
            vec![self.clears.into()],
            batches,
            vec![self.update.is_some().into()],
            update.to_vec(),
            entries(&self.fill),
        ];
        let attends = (map.attends(), self.attends.into());
        std::iter::once(attends).chain((map.script()..).zip(words.concat())).collect()
    }
}

/// Items that are done while a row is open: neighbours with the same row in one piece, up to `most` of them.
pub(super) fn pieces<const N: usize>(items: &[(u32, [u32; N])], most: u32) -> Vec<u32> {
    let rows = items.chunk_by(|a, b| a.0 == b.0).flat_map(|row| row.chunks(most as usize));
    let rows: Vec<&[(u32, [u32; N])]> = rows.collect();
    let mut words = vec![rows.len() as u32];
    for row in rows {
        words.extend([row[0].0, row.len() as u32]);
        words.extend(row.iter().flat_map(|item| item.1));
    }
    words
}
