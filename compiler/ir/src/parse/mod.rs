//! From text to [`Module`]: lines (`lexer`), then statements in order (`resolve`), then names
//! and attributes (`ops`, `types`). A line that does not parse is reported and left out, and
//! what it would have defined is not reported as missing.

pub(crate) mod lexer;
mod ops;
mod resolve;
pub(crate) mod syntax;
mod types;

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::module::Module;
use syntax::Line;

/// Longest line, in bytes.
pub const MAX_LINE: usize = 64 * 1024;

/// Parses and resolves the text of one `.ir` file.
///
/// # Errors
/// Codes P01xx and P02xx, and those P03xx that concern a single number.
pub fn parse(source: &str) -> Result<Module, Diagnostics> {
    let mut diags = Diagnostics::new("", source);
    let (lines, broken) = read_lines(source, &mut diags);
    let module = resolve::resolve(source, &lines, &broken, &mut diags);
    match module {
        Some(module) => diags.result(module),
        None => {
            diags.sort();
            Err(diags)
        }
    }
}

/// A line that does not parse.
pub(crate) struct Broken {
    pub(crate) text: String,
    /// How many of the lines that parse come before it.
    pub(crate) before: usize,
}

/// Splits the text into lines and parses each.
pub(crate) fn read_lines(source: &str, diags: &mut Diagnostics) -> (Vec<Line>, Vec<Broken>) {
    let (mut lines, mut broken) = (Vec::new(), Vec::new());
    let mut offset = 0;
    for text in source.split_inclusive('\n') {
        let body = text.strip_suffix('\n').unwrap_or(text);
        let parsed = if body.len() > MAX_LINE {
            Err(Diagnostic::error(Code::P0103, format!("a line of {} bytes", body.len()))
                .at(&(offset..offset + 1), "this line is too long")
                .help(format!("a line has at most {MAX_LINE} bytes; is this an `.ir` file?")))
        } else {
            lexer::line(body, offset)
        };
        match parsed {
            // Of blank lines in a row one is enough.
            Ok(line) if line.is_blank() && lines.last().is_some_and(Line::is_blank) => {}
            Ok(line) => lines.push(line),
            Err(d) => {
                diags.push(d);
                // Enough of it to tell what it would have defined, and no more than matters.
                if broken.len() < 1000 && body.len() <= MAX_LINE {
                    broken.push(Broken { text: body.to_string(), before: lines.len() });
                }
            }
        }
        offset += text.len();
    }
    (lines, broken)
}
