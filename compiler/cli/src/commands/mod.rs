//! One command, one file.

mod explain;
mod fmt;

use crate::args::Command;
use crate::outcome::{Failure, Outcome};

/// Runs a command.
pub fn run(command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Fmt(args) => fmt::run(args),
        Command::Explain(args) => explain::run(args),
    }
}
