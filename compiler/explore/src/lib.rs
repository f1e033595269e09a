//! The design space of a model: every point of a sweep lowered, checked and measured.
//!
//! A sweep ([`sweep`], `docs/sweep.md`) names targets, values of the target file and parameters of the
//! weight formats; its points are their cross product. A point is lowered without writing a tree, its
//! schedule is checked, and its time, bytes, area ([`area`]) and error are kept. A point that does not
//! fit is a result like any other.
//!
//! Points are independent: they run side by side, are appended to a file as they finish, and are
//! known by a checksum of all that they follow from. So a run that was stopped goes on where it was,
//! shards of a sweep can be computed on several machines, and the tables are the same in any order.

pub mod axes;
mod digest;
pub mod evaluate;
mod files;
mod plot;
mod run;
pub mod slurm;
mod store;
pub mod sweep;
pub mod tables;
mod weights;

pub use axes::Shard;
pub use evaluate::{Cost, Outcome, Outputs, Quality};
pub use run::{explore, open_folder, Finished, Plan, Request, Tables};

use pimc_ir::Diagnostics;

/// Why a sweep ended before its end.
#[derive(Debug)]
pub enum Error {
    /// An input or the folder is wrong.
    Input(Diagnostics),
    /// The compiler made a mistake.
    Bug(String),
}

impl From<Diagnostics> for Error {
    fn from(found: Diagnostics) -> Error {
        Error::Input(found)
    }
}
