//! The units of the channel against independent models, and whole channels against arithmetic.

mod arguments;
mod buffer;
mod collect;
mod dram;
mod merge;
mod sequencer;
mod shapes;
mod whole;
