//! Short forms for the diagnostics of this crate.

use pimc_ir::{Code, Diagnostic, Diagnostics};

/// An error of that code.
pub(crate) fn error(code: Code, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code, message)
}

/// An empty list about a text.
pub(crate) fn list(file_name: &str, text: &str) -> Diagnostics {
    Diagnostics::new(file_name, text)
}
