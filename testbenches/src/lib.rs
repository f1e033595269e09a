//! Co-simulation of pimc.

pub mod error;
pub mod inputs;
pub mod reference;
pub mod report;
pub mod rtl_level;
pub mod testbench;
pub mod verilator;
pub mod wave;

pub use error::Error;
