//! The language of pimc.
//!
//! # What a module means
//!
//! A module is a function from integer vectors to an integer vector. It has one function, `@main`;
//! its inputs are the inputs of the model, its one result is the model's output. Between them stand
//! ops, each of which gives a new value a name. There is no state, no loop and no branch, so a module
//! means the same on every run, and two evaluations on the same inputs have the same values
//! throughout.
//!
//! **Values** are vectors of signed integers. Their type `iN<len>` is a promise about every element,
//! for every input, and not a width at which arithmetic wraps: ops compute in exact integers, and
//! the verifier proves that results fit ([`ranges`]). The one op that gives up information is
//! `requant`, which rounds, shifts and clamps; so every place where a model loses precision can be
//! seen in its text. Floating point does not exist here. What scale an integer stands for is the
//! business of whoever quantized the model.
//!
//! **Weights** are matrices, and the only thing done to them is `matvec`. A weight's type says how the
//! matrix is represented (product quantization, binary quadratic, supermask over generated signs,
//! plain integers), and the representation says which integer matrix it is. No op rounds on the way,
//! so in principle a `matvec` could multiply by that matrix; that hardware need not is why the
//! formats exist. **Parameters** are integer vectors: biases, constants of requantisers, tables.
//! Both live in safetensors files beside the text, and are mapped, not copied.
//!
//! # Order of evaluation
//!
//! Ops are evaluated in the order of the text, and each reads only inputs and the results of ops
//! above it. As no op has an effect but its result, an implementation may evaluate in any order, or
//! at once; the order of the text is that in which traces are compared and errors reported. Sums have
//! no order either: integers add exactly.
//!
//! Nothing at run time is an error. Whatever could go wrong on some input of the declared types is
//! an error of the module, found when it is loaded.
//!
//! # The way from text to a model
//!
//! [`load()`] gives a [`Model`]: it parses ([`mod@parse`]), maps and checks the tensors ([`layout`]), and
//! verifies. Whoever holds a [`Model`] may rely on every rule of the verifier. The grammar
//! is in `GRAMMAR.md`, a page for every op in `docs/ops.md`, the tensors in `docs/tensors.md`, and a
//! page for every diagnostic in `explain/`.
//!
//! [`print()`](print::print) and [`format()`](print::format) go the other way: `parse(&print(&m))` is `m`, and `format`
//! tidies a text and keeps its comments. Mistakes are [`Diagnostics`]: located, numbered, several at
//! a time. This crate never prints, exits or panics on anything that a file can hold.

pub mod batch;
mod cache_view;
pub mod checksum;
pub mod diag;
pub mod files;
pub mod generated;
pub mod layout;
pub mod load;
mod mapping;
pub mod module;
pub mod parse;
pub mod print;
pub mod ranges;
pub mod softmax_tables;
mod tensor_files;
pub mod tensors;
#[doc(hidden)]
pub mod testing;
pub mod types;
mod verify;

pub use batch::{encode, encode_batch, read_batch, write_batch, Batch, BatchFile, RESULT};
pub use cache_view::{CacheView, Side};
pub use diag::{Code, Diagnostic, Diagnostics, Severity};
pub use layout::{
    cache_tensors, container, pack_bits, param_tensor, tensors_of_module, weight_tensors,
    TensorSpec,
};
pub use load::{load, load_from, read_source};
pub use mapping::Stamp;
pub use module::*;
pub use parse::parse;
pub use print::{format, print};
pub use safetensors::Dtype;
pub use tensor_files::read_tensors;
pub use tensors::*;
pub use types::*;
