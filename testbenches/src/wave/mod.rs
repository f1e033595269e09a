//! Waveforms: read, sampled at the clock, checked.

pub mod check;
pub mod expect;
pub mod reader;

pub use check::{check, WaveResult};
