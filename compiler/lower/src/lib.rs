//! From a model to what is built: targets, mapping, schedule, memory images, output tree.

pub mod assembly;
pub mod commands;
mod diag;
pub mod hex;
pub mod images;
pub mod interp;
pub mod legality;
mod mapping;
mod packing;
pub mod plan;
pub mod ranges;
pub mod report;
mod schedule;
mod supermask;
pub mod target;
pub mod tree;
pub mod walk;

pub use mapping::{Content, Region, Split, StreamPlace};
pub use plan::{lower, Plan, Step};
pub use target::Target;
pub use tree::{emit, read_tree, write_tree, OutputTree, TreeFiles};
