//! What a pimc program means.
//!
//! This crate gives every op of the language its meaning in exact integers, from the language
//! alone: it knows no schedule, bank, cycle or word width. All other levels (the schedule
//! interpreter, the simulations) are right exactly when they agree with it.
//!
//! # Numbers
//! A value of the function is a vector of signed integers of its declared type. Values are held as
//! `i64`; every op computes in `i128` and its result must be a value of the declared type. Nothing
//! wraps and nothing is rounded, except where an op says so (`requant`). A result that its type
//! does not hold is a [`GoldenError::Overflow`], never a wrong number.
//!
//! With inputs of at most 64 bits, weights of at most 32 bits and fewer than 2^24 of each in a
//! matrix, no sum of products reaches 2^127, so the arithmetic in `i128` is exact.
//!
//! # Evaluation
//! [`run`] evaluates the ops in order and keeps every value, so that another level's
//! intermediate results can be compared op by op. A model with a key/value cache ([`attention`])
//! remembers from one evaluation to the next: [`run_step`] takes and leaves a [`State`].
//!
//! # Weights that are generated
//! [`sign`] is the normative sign generator of supermask weights, [`freeze`] the rule for their
//! partially frozen masks.

pub mod attention;
pub mod freeze;
pub mod matvec;
pub mod sign;
pub mod vector;

mod run;
mod state;

pub use run::{run, run_step, GoldenError, Trace};
pub use state::State;
