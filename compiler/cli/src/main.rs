//! `pimc`: the command line. Each command reads its arguments, calls one library and says what came
//! of it; nothing is computed here.

mod args;
mod bug;
mod commands;
mod files;
mod outcome;
mod progress;
mod screen;

use args::Cli;
use clap::error::ErrorKind;
use clap::Parser;
use outcome::{object, Failure, Outcome, Status};
use serde_json::json;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    let name = cli.command.name();
    match bug::caught(|| commands::run(&cli.command)) {
        Ok(Ok(outcome)) => finish(&cli, name, outcome),
        Ok(Err(failure)) => give_up(&cli, name, &failure),
        Err(what) => give_up(&cli, name, &Failure::bug(what)),
    }
}

fn finish(cli: &Cli, name: &str, outcome: Outcome) -> ExitCode {
    if cli.json {
        screen::print(&format!("{:#}\n", object(name, outcome.status, outcome.fields)));
    } else {
        screen::print(&outcome.text);
    }
    outcome.status.into()
}

fn give_up(cli: &Cli, name: &str, failure: &Failure) -> ExitCode {
    screen::complain(&failure.render(screen::colour()));
    if cli.json {
        screen::print(&format!("{:#}\n", object(name, failure.status(), failure.fields())));
    }
    failure.status().into()
}

/// What clap says of arguments that it does not take, or help that was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    // The texts of clap go where they belong by themselves; a closed pipe is no error.
    let _ = error.print();
    if help {
        return Status::Done.into();
    }
    if std::env::args_os().any(|a| a == "--json") {
        let message = error.render().to_string();
        let fields = json!({ "error": { "message": message.trim_end(), "help": "pimc --help" } });
        screen::print(&format!("{:#}\n", object("", Status::BadInput, fields)));
    }
    Status::BadInput.into()
}
