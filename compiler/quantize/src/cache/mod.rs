//! Key/value caches: codebooks of real keys and values.

pub mod basis;
pub mod heads;
pub mod kmeans;
pub mod train;
