//! Files as bytes: regular files only, mapped rather than read.

use crate::tensors::Bytes;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Opens a regular file; anything else (a directory, a device, a pipe) is an error, and is told
/// apart before it is opened, since opening a pipe can wait forever.
pub(crate) fn open_regular(path: &Path) -> io::Result<(File, u64)> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        let what = if meta.is_dir() { "it is a directory" } else { "it is not a regular file" };
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok((File::open(path)?, meta.len()))
}

/// Maps a regular file.
pub(crate) fn map(path: &Path) -> io::Result<Bytes> {
    let (file, len) = open_regular(path)?;
    if len == 0 {
        return Ok(Arc::new(Vec::new()));
    }
    // SAFETY: the one unsafe block of the crate. A mapping is undefined behaviour only if another
    // process changes or truncates the file while we look at it. Model files are inputs of one run
    // and their checksums are recorded with its outputs, so whoever changes them meanwhile has
    // already lost the run; reading instead would copy gigabytes for matrices of which one row at a
    // time is looked at. The mapping is private and read-only, and every access through it is
    // bounds-checked and byte-wise, so no alignment or validity beyond "some byte" is assumed.
    let mapping = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Arc::new(mapping))
}
