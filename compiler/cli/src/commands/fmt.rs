//! `pimc fmt`: model files in the one standard form.

use crate::args::Fmt;
use crate::files::replace;
use crate::outcome::{Failure, Outcome, Status};
use pimc_ir::{format, read_source, Diagnostics};
use serde_json::json;
use std::io::Read;
use std::path::Path;

pub fn run(args: &Fmt) -> Result<Outcome, Failure> {
    if args.files.iter().any(|f| f.as_os_str() == "-") {
        return standard_input(args);
    }
    // All are read before any is written: a mistake in one leaves all as they are.
    let mut changed = Vec::new();
    for path in &args.files {
        let (source, name) = read_source(path)?;
        let tidy = tidied(&source, &name)?;
        if tidy != source {
            changed.push((path, tidy));
        }
    }
    let names: Vec<String> = changed.iter().map(|(p, _)| p.display().to_string()).collect();
    let fields = json!({ "changed": names });
    let text: String = names.iter().map(|n| format!("{n}\n")).collect();
    if args.check {
        let status = if changed.is_empty() { Status::Done } else { Status::CheckFailed };
        return Ok(Outcome { status, text, fields });
    }
    let files: Vec<(&Path, &[u8])> =
        changed.iter().map(|(p, tidy)| (p.as_path(), tidy.as_bytes())).collect();
    replace(&files)?;
    Ok(Outcome::done(text, fields))
}

fn standard_input(args: &Fmt) -> Result<Outcome, Failure> {
    if args.files.len() > 1 {
        return Err(Failure::input(
            "`-` stands for standard input and stands alone",
            "give the files in a command of their own",
        ));
    }
    let mut bytes = Vec::new();
    let read = std::io::stdin().read_to_end(&mut bytes).map(|_| String::from_utf8(bytes));
    let source = match read {
        Ok(Ok(source)) => source,
        Ok(Err(e)) => return Err(unreadable(format!("standard input is not text: {e}"))),
        Err(e) => return Err(unreadable(format!("cannot read standard input: {e}"))),
    };
    let tidy = tidied(&source, "standard input")?;
    let changed = tidy != source;
    let status = if args.check && changed { Status::CheckFailed } else { Status::Done };
    let text = if args.check { String::new() } else { tidy.clone() };
    Ok(Outcome { status, text, fields: json!({ "changed": changed, "text": tidy }) })
}

fn unreadable(message: String) -> Failure {
    Failure::input(message, "pipe the text of a model into it, as UTF-8")
}

fn tidied(source: &str, name: &str) -> Result<String, Diagnostics> {
    format(source).map_err(|mut d| {
        d.set_file_name(name);
        d
    })
}
