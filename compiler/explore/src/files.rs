//! Files of the output folder, written beside and renamed into place.

use pimc_ir::files::replace;
use pimc_ir::{Code, Diagnostic, Diagnostics};
use std::io;
use std::path::Path;

/// P0804 about a path.
pub fn unusable(path: &Path, why: impl std::fmt::Display, help: &str) -> Diagnostics {
    let shown = path.display().to_string();
    let d = Diagnostic::error(Code::P0804, format!("`{shown}`: {why}"));
    Diagnostics::one(shown, d.help(help))
}

/// P0804 for a file that cannot be read or written.
pub fn failed(path: &Path, e: &io::Error) -> Diagnostics {
    unusable(path, e, "name a folder that may be written to, on a disk with room")
}

/// Writes the files.
///
/// # Errors
/// P0804.
pub fn write_all(files: &[(&Path, &[u8])]) -> Result<(), Diagnostics> {
    replace(files).map_err(|(path, e)| failed(&path, &e))
}
