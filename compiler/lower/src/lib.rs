//! From a model to what is built: targets, mapping, schedule, memory images, output tree.

pub mod commands;
mod diag;
pub mod legality;
pub mod target;
pub mod walk;
