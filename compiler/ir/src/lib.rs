//! The language of pimc: types, module, tensors.

pub mod module;
pub mod tensors;
pub mod types;

pub use module::*;
pub use tensors::*;
pub use types::*;
