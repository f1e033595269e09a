//! What a model remembers from step to step.

use crate::attention::CacheState;
use pimc_ir::{CacheId, Model};

/// The contents of every cache of a model; nothing, of a model without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub(crate) caches: Vec<CacheState>,
}

impl State {
    /// Before the first step: what the tensors of the caches say.
    pub fn initial(model: &Model) -> State {
        let count = model.module.caches.len();
        let caches = (0..count).map(|i| CacheState::initial(&model.cache(CacheId(i)))).collect();
        State { caches }
    }

    /// What a cache holds.
    pub fn cache(&self, id: CacheId) -> &CacheState {
        &self.caches[id.0]
    }
}
