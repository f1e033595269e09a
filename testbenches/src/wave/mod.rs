//! Waveforms: read, sampled at the clock, checked.

pub mod check;
pub mod expect;
pub mod reader;
mod run;
pub mod signals;

pub use check::{check, WaveResult};
