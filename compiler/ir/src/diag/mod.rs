//! Diagnostics: what is wrong, where, what was expected, and what to do about it.
//!
//! A [`Diagnostics`] carries the source it speaks about, so it can be rendered by whoever catches
//! it, as text for people ([`Diagnostics::render`]) or as JSON for tools ([`Diagnostics::to_json`]).

mod codes;
mod explain;
mod render;

pub use codes::Code;
pub use explain::{explain, Explanation};

use crate::module::Span;
use std::sync::Arc;

/// Diagnostics that are kept of one run; of the others only the number is.
pub const MAX_DIAGNOSTICS: usize = 20;

/// Longest message, label or help, in bytes.
const LONGEST_TEXT: usize = 1000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// There is no model.
    Error,
    /// The model is valid, but probably not what was meant.
    Warning,
}

/// A place in the source and what is to be said about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Byte range of the source.
    pub span: Span,
    /// What is found there.
    pub text: String,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its number, for `pimc explain`.
    pub code: Code,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Where; absent only when there is no source text to point into.
    pub primary: Option<Label>,
    /// Other places that matter, such as a first definition.
    pub secondary: Vec<Label>,
    /// What to do.
    pub help: String,
}

impl Diagnostic {
    /// An error without a place or help as yet.
    pub fn error(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary: None,
            secondary: Vec::new(),
            help: String::new(),
        }
    }

    /// A warning without a place or help as yet.
    pub fn warning(code: Code, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, message) }
    }

    /// Points at the mistake.
    pub fn at(mut self, span: &Span, text: impl Into<String>) -> Diagnostic {
        self.primary = Some(Label { span: span.clone(), text: text.into() });
        self
    }

    /// Points at another place that matters.
    pub fn also(mut self, span: &Span, text: impl Into<String>) -> Diagnostic {
        self.secondary.push(Label { span: span.clone(), text: text.into() });
        self
    }

    /// Says what to do.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = text.into();
        self
    }

    fn texts(&mut self) -> impl Iterator<Item = &mut String> {
        let labels = self.primary.iter_mut().chain(&mut self.secondary).map(|l| &mut l.text);
        [&mut self.message, &mut self.help].into_iter().chain(labels)
    }
}

/// Names that a text quotes come from files and may hold anything: what cannot be read or
/// steers a terminal becomes `?`, and of a text without end the two ends are kept.
fn make_readable(text: &mut String) {
    if text.contains(|c| c != '\n' && is_unreadable(c)) {
        *text = text.chars().map(|c| if c != '\n' && is_unreadable(c) { '?' } else { c }).collect();
    }
    if text.len() > LONGEST_TEXT {
        let boundary = |at: usize| (at..).find(|&i| text.is_char_boundary(i)).unwrap_or(text.len());
        let (head, tail) = (boundary(LONGEST_TEXT / 2), boundary(text.len() - LONGEST_TEXT / 4));
        *text = format!("{} .. {}", &text[..head], &text[tail..]);
    }
}

/// What breaks a line, or is not seen in it, or turns its order around.
pub(crate) fn is_unreadable(c: char) -> bool {
    (c.is_control() && c != '\t')
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
        || c == BYTE_ORDER_MARK
}

/// What some editors put before the text of a file.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// Everything found in one run over one source, in the order of the source.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    file_name: String,
    source: Arc<str>,
    list: Vec<Diagnostic>,
    omitted: usize,
}

impl Diagnostics {
    /// None as yet, about `source`, which is shown as `file_name`.
    pub fn new(file_name: impl Into<String>, source: impl Into<Arc<str>>) -> Diagnostics {
        Diagnostics {
            file_name: file_name.into(),
            source: source.into(),
            list: Vec::new(),
            omitted: 0,
        }
    }

    /// One diagnostic about no source text, such as a file that cannot be opened.
    pub fn one(file_name: impl Into<String>, diagnostic: Diagnostic) -> Diagnostics {
        let mut all = Diagnostics::new(file_name, "");
        all.push(diagnostic);
        all
    }

    /// Adds one; beyond [`MAX_DIAGNOSTICS`] it is only counted.
    pub fn push(&mut self, mut diagnostic: Diagnostic) {
        if self.list.len() < MAX_DIAGNOSTICS {
            diagnostic.texts().for_each(make_readable);
            self.list.push(diagnostic);
        } else {
            self.omitted += 1;
        }
    }

    /// Those kept, in the order of the source.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// How many were found beyond those kept.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether one of them is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// The file name shown.
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The text that spans point into.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Names the source: for a text that was read without its file's name.
    pub fn set_file_name(&mut self, name: &str) {
        self.file_name = name.to_string();
    }

    /// Sorts by place.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by_key(|d| d.primary.as_ref().map_or(0, |l| l.span.start));
    }

    /// Errors if there are any, `value` otherwise.
    pub(crate) fn result<T>(mut self, value: T) -> Result<T, Diagnostics> {
        if self.has_errors() {
            self.sort();
            Err(self)
        } else {
            Ok(value)
        }
    }
}

impl std::fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

/// Line and column, both from 1, of a byte offset; the column counts characters.
pub fn line_col(source: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(source.len());
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    let start = source[..at].rfind('\n').map_or(0, |i| i + 1);
    (source[..at].matches('\n').count() + 1, source[start..at].chars().count() + 1)
}
