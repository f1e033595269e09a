//! The language of pimc: types, text, tensors, verifier, diagnostics.

pub mod batch;
pub mod diag;
pub mod layout;
pub mod load;
mod mapping;
pub mod module;
pub mod parse;
pub mod print;
pub mod ranges;
pub mod tensors;
#[doc(hidden)]
pub mod testing;
pub mod types;
mod verify;

pub use batch::{read_batch, write_batch, Batch, BatchFile, RESULT};
pub use diag::{Code, Diagnostic, Diagnostics, Severity};
pub use layout::{container, pack_bits, param_tensor, weight_tensors, TensorSpec};
pub use load::{load, load_from, read_source};
pub use module::*;
pub use parse::parse;
pub use print::{format, print};
pub use safetensors::Dtype;
pub use tensors::*;
pub use types::*;
