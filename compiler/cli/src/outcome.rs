//! How a command ends: its exit status, what it says to people and what it says to programs.

use pimc_ir::Diagnostics;
use serde_json::{json, Value};
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

/// Version of the objects printed by `--json`.
pub const FORMAT_VERSION: u32 = 1;

/// The exit status, as promised to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done, and everything agreed.
    Done = 0,
    /// A check failed: levels differ, the waveform is wrong, the timing is illegal.
    CheckFailed = 1,
    /// The input or the usage is wrong.
    BadInput = 2,
    /// A bug in pimc.
    Bug = 3,
}

impl Status {
    fn text(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::CheckFailed => "check_failed",
            Status::BadInput => "bad_input",
            Status::Bug => "bug",
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> ExitCode {
        ExitCode::from(status as u8)
    }
}

/// What a command has to say at its end.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit status.
    pub status: Status,
    /// For people; printed on standard output.
    pub text: String,
    /// For programs: the fields of the object that `--json` prints.
    pub fields: Value,
}

impl Outcome {
    /// A command that did what it was asked to.
    pub fn done(text: impl Into<String>, fields: Value) -> Outcome {
        Outcome { status: Status::Done, text: text.into(), fields }
    }
}

/// A command that ended before its work was done.
#[derive(Debug)]
pub enum Failure {
    /// The model is wrong.
    Model(Diagnostics),
    /// Something else is wrong; `help` says what to do.
    Other { status: Status, message: String, help: String },
}

impl Failure {
    /// The input or the usage is wrong.
    pub fn input(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::Other { status: Status::BadInput, message: message.into(), help: help.into() }
    }

    /// Something that cannot happen, and did.
    pub fn bug(what: String) -> Failure {
        Failure::Other {
            status: Status::Bug,
            message: format!("this is a bug in pimc {}: {what}", env!("CARGO_PKG_VERSION")),
            help: "your input may be right; please report this with the command line and the input"
                .into(),
        }
    }

    /// A file that cannot be written.
    pub fn unwritable(path: &Path, error: impl Display) -> Failure {
        let help = "name a file in a folder that is there and may be written to";
        Failure::input(format!("cannot write {}: {error}", path.display()), help)
    }

    /// Its exit status.
    pub fn status(&self) -> Status {
        match self {
            Failure::Model(_) => Status::BadInput,
            Failure::Other { status, .. } => *status,
        }
    }

    /// For people.
    pub fn render(&self, colour: bool) -> String {
        match self {
            Failure::Model(diagnostics) => diagnostics.render(colour),
            Failure::Other { message, help, .. } => format!("error: {message}\n  help: {help}\n"),
        }
    }

    /// For programs.
    pub fn fields(&self) -> Value {
        match self {
            Failure::Model(diagnostics) => diagnostics.to_json(),
            Failure::Other { message, help, .. } => {
                json!({ "error": { "message": message, "help": help } })
            }
        }
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Failure {
        Failure::Model(diagnostics)
    }
}

impl From<pimc_explore::Error> for Failure {
    fn from(error: pimc_explore::Error) -> Failure {
        match error {
            pimc_explore::Error::Input(diagnostics) => Failure::Model(diagnostics),
            pimc_explore::Error::Bug(what) => Failure::bug(what),
        }
    }
}

impl From<pimc_cosim::Error> for Failure {
    fn from(error: pimc_cosim::Error) -> Failure {
        if let pimc_cosim::Error::Model(diagnostics) = error {
            return Failure::Model(diagnostics);
        }
        let text = error.to_string();
        let help = match error {
            pimc_cosim::Error::Io { .. } => {
                "name a file that is there and can be read; if it is one of the output tree, compile \
                 the model again"
            }
            pimc_cosim::Error::Content { .. } => {
                "make the file anew; `pimc cosim DIR --vcd F` writes a waveform that can be checked"
            }
            _ => "`pimc doctor` shows the tools that are used; the levels golden, schedule and native \
                  run without them: `--level golden,schedule,native`",
        };
        // Some of the errors bring their own.
        let (message, help) = text.split_once("\n  help: ").unwrap_or((&text, help));
        Failure::input(message, help)
    }
}

/// The object that `--json` prints.
pub fn object(command: &str, status: Status, fields: Value) -> Value {
    let mut all = json!({
        "format_version": FORMAT_VERSION,
        "command": command,
        "status": status.text(),
        "exit": status as u8,
    });
    if let (Some(all), Value::Object(fields)) = (all.as_object_mut(), fields) {
        all.extend(fields);
    }
    all
}
