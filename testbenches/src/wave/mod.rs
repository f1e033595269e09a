//! Waveforms: read, sampled at the clock, checked.

pub mod reader;
