//! Files of the output folder, written beside and renamed into place.

use pimc_ir::{Code, Diagnostic, Diagnostics};
use std::io::{self, Write};
use std::path::Path;
use tempfile::NamedTempFile;

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

/// Writes each of the files, in this order.
///
/// # Errors
/// P0804.
pub fn write_all(files: &[(&Path, &[u8])]) -> Result<(), Diagnostics> {
    files.iter().try_for_each(|(path, bytes)| write(path, bytes).map_err(|e| failed(path, &e)))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    open_to_all(file.as_file())?;
    file.persist(path).map(|_| ()).map_err(|e| e.error)
}

/// Temporary files are for their owner alone; results are as open as their folder.
#[cfg(unix)]
fn open_to_all(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn open_to_all(_: &std::fs::File) -> io::Result<()> {
    Ok(())
}
