//! Files as bytes: regular files only, mapped rather than read.

use crate::tensors::{Bytes, Storage};
use memmap2::Mmap;
use std::fs::{File, Metadata};
use std::io;
#[cfg(unix)]
use std::ops::Range;
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

/// Which file, and in which state: two that are equal are the same bytes, unless they were written
/// again within a tick of the file system's clock (some milliseconds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    len: u64,
    /// Device, inode, and the times of the last change of its bytes and of any kind.
    identity: [i128; 4],
}

impl Stamp {
    /// Of an open file.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn of(file: &File) -> io::Result<Stamp> {
        let meta = file.metadata()?;
        Ok(Stamp { len: meta.len(), identity: identity(&meta)? })
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.len
    }
}

#[cfg(unix)]
fn identity(meta: &Metadata) -> io::Result<[i128; 4]> {
    use std::os::unix::fs::MetadataExt;
    let time = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
    let written = time(meta.mtime(), meta.mtime_nsec());
    Ok([meta.dev().into(), meta.ino().into(), written, time(meta.ctime(), meta.ctime_nsec())])
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> io::Result<[i128; 4]> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// A mapped file.
struct Mapped(Mmap);

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Storage for Mapped {
    #[cfg(unix)]
    fn release(&self, part: Range<usize>) {
        // Bytes of a page, on most systems; those with larger ones round the start down.
        const PAGE: usize = 4096;
        // Whole pages alone. Where the system refuses, nothing is lost.
        let (start, end) = (part.start.next_multiple_of(PAGE), part.end / PAGE * PAGE);
        if start < end {
            let advice = memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the mapping is of a file and never written to, so pages that are dropped come
            // back from the file as they were; who reads meanwhile waits for them.
            let _ = unsafe { self.0.unchecked_advise_range(advice, start, end - start) };
        }
    }
}

/// Maps a regular file. The stamp is from before anything was read.
pub(crate) fn map(path: &Path) -> io::Result<(Bytes, Option<Stamp>)> {
    let (file, len) = open_regular(path)?;
    let stamp = Stamp::of(&file).ok();
    if len == 0 {
        return Ok((Arc::new(Vec::new()), stamp));
    }
    // SAFETY: a mapping is undefined behaviour only if another process changes or truncates the file
    // while we look at it. Model files are inputs of one run and their checksums are recorded with its
    // outputs, so whoever changes them meanwhile has already lost the run; reading instead would copy
    // gigabytes for matrices of which one row at a time is looked at. The mapping is private and
    // read-only, and every access through it is bounds-checked and byte-wise, so no alignment or
    // validity beyond "some byte" is assumed.
    let mapping = unsafe { Mmap::map(&file)? };
    Ok((Arc::new(Mapped(mapping)), stamp))
}
