//! Lengths: what a step appends, what leaves the window by that, and how many tokens are attended to.

use super::writer::{Appended, FormStep, Leaves};
use crate::attention::arguments::{appended, exact_at, exact_index};
use crate::attention::StepError;
use pimc_ir::CacheType;

/// How many tokens a cache holds, and where its exact ones lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormDriver {
    cache: CacheType,
    length: u32,
}

impl FormDriver {
    /// A cache as its tensors say.
    pub fn new(cache: CacheType) -> FormDriver {
        FormDriver { cache, length: cache.start as u32 }
    }

    /// The cache's sizes.
    pub fn ty(&self) -> &CacheType {
        &self.cache
    }

    /// Tokens in the cache.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Compressed tokens.
    pub fn compressed(&self) -> u32 {
        self.cache.compressed(self.length as usize) as u32
    }

    /// The place where the token at `position` lies, if it is exact.
    pub fn exact_at(&self, position: u32) -> Option<u32> {
        exact_at(&self.cache, self.length, position)
    }

    /// A step that appends `count` tokens, of at most `most`, and has so many queries.
    ///
    /// # Errors
    /// If it appends more than it has or than there is room for.
    pub fn step(&mut self, count: i64, most: u32, queries: u32) -> Result<FormStep, StepError> {
        let count = appended(&self.cache, self.length, (count, most))?;
        let appends = (0..count).map(|_| self.append()).collect();
        Ok(self.attends(appends, queries))
    }

    /// A step that has appended these.
    pub fn attends(&self, appends: Vec<Appended>, queries: u32) -> FormStep {
        FormStep {
            appends,
            exact: self.length - self.compressed(),
            compressed: self.compressed(),
            queries,
            slots: self.cache.kv_heads as u32,
            group: self.cache.group() as u32,
        }
    }

    fn append(&mut self) -> Appended {
        let (position, before) = (self.length, self.compressed());
        let (sink, recent) = (self.cache.sink as u32, self.cache.recent as u32);
        self.length += 1;
        let leaves = (self.compressed() > before).then(|| Leaves {
            // With a full window the leaving token's place is the new one's.
            place: (recent > 0).then(|| exact_index(&self.cache, position - recent)),
            token: before,
        });
        let keeps = recent > 0 || position < sink;
        Appended { leaves, keeps: keeps.then(|| exact_index(&self.cache, position)) }
    }
}
