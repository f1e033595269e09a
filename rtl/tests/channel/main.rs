//! The units of the channel against independent models, and whole channels against arithmetic.

mod buffer;
mod sequencer;
mod shapes;
