//! Verilator: found, run, its model loaded.

pub mod build;
pub mod model;
pub mod toolchain;

pub use build::{build, Built, Design, Port, WaveFormat};
pub use model::{Model, PortId};
pub use toolchain::{cache_dir, Toolchain, Version, OLDEST};
