//! Co-simulation of pimc.

pub mod error;
pub mod verilator;

pub use error::Error;
