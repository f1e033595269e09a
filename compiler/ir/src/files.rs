//! Single files, written beside and renamed into place: a reader sees the old or the new, never
//! half.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Writes all of them; none is renamed into place before the last is written.
///
/// # Errors
/// The file that cannot be written, and why.
pub fn replace(files: &[(&Path, &[u8])]) -> Result<(), (PathBuf, io::Error)> {
    let prepared = files
        .iter()
        .map(|(path, bytes)| beside(path, bytes).map_err(|e| (path.to_path_buf(), e)))
        .collect::<Result<Vec<_>, _>>()?;
    for (file, path) in prepared {
        file.persist(&path).map_err(|e| (path.clone(), e.error))?;
    }
    Ok(())
}
/// A file beside `path` that holds `bytes`, and the place it is to take: through a link, so that
/// the link stays. What is there and is no file (a folder, a pipe, `/dev/null`) is not replaced.
fn beside(path: &Path, bytes: &[u8]) -> io::Result<(NamedTempFile, PathBuf)> {
    let place = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let folder = match place.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let old = place.metadata();
    if old.as_ref().is_ok_and(|old| !old.is_file()) {
        return Err(io::Error::other("it is there, and it is not a file"));
    }
    if !folder.is_dir() {
        return Err(io::Error::other(format!("there is no folder {}", folder.display())));
    }
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    if let Ok(old) = old {
        file.as_file().set_permissions(old.permissions())?;
    } else {
        readable(file.as_file())?;
    }
    Ok((file, place))
}

/// Temporary files are for their owner alone; what the user asked for is as open as its folder.
#[cfg(unix)]
fn readable(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &std::fs::File) -> io::Result<()> {
    Ok(())
}
