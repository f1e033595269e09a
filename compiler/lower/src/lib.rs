//! From a model to what is built: targets, mapping, schedule, memory images, output tree.

pub mod area;
pub mod assembly;
pub mod attention;
mod column;
pub mod commands;
mod diag;
mod estimate;
pub mod hex;
pub mod images;
pub mod interp;
pub mod legality;
mod mapping;
mod packing;
mod placing;
pub mod plan;
pub mod ranges;
mod remedy;
pub mod report;
mod schedule;
mod supermask;
pub mod target;
pub mod tree;
pub mod walk;

pub use estimate::Estimate;
pub use mapping::{Choice, Content, Region, Split, StreamPlace, Why};
pub use plan::{lower, lower_any, try_lower, try_lower_any, Lowered, Plan, Refused, Step};
pub use remedy::Need;
pub use target::Target;
pub use tree::{
    emit, emit_any, read_any, read_tree, write_tree, FormFiles, OutputTree, ReadTree, TreeFiles,
};
