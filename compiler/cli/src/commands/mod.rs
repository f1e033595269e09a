//! One command, one file.

mod check;
mod compile;
mod cosim;
mod doctor;
mod explain;
mod explore;
mod fmt;
mod quantize;
mod report;
mod targets;

use crate::args::Command;
use crate::outcome::{Failure, Outcome};

/// Runs a command.
pub fn run(command: &Command) -> Result<Outcome, Failure> {
    match command {
        Command::Compile(args) => compile::run(args),
        Command::Cosim(args) => cosim::run(args),
        Command::Check(args) => check::run(args),
        Command::Quantize(args) => quantize::run(args),
        Command::Explore(args) => explore::run(args),
        Command::Fmt(args) => fmt::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Targets => targets::run(),
        Command::Report(args) => report::run(args),
    }
}
