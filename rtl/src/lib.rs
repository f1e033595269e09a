//! Hardware units of pimc.

pub mod bank_unit;
pub mod hdl;
pub mod isa;
pub mod program;
pub mod requantiser;
pub mod shape;
pub mod timing;
