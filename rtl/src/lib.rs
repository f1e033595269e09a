//! Hardware units of pimc.

pub mod isa;
pub mod shape;
pub mod timing;
