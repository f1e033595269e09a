//! Writing the tree: beside its place, then renamed, so that there is never half of it.

use super::{bank_head, json_text, Contents, OutputFile, OutputTree, FORMAT_VERSION};
use crate::diag::error;
use pimc_ir::checksum::hex;
use pimc_ir::{Code, Diagnostic, Diagnostics, Stamp};
use rayon::prelude::*;
use serde_json::{json, Map, Value};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
/// SHA-256 of a file in hexadecimal.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut sum = Hashed { to: io::sink(), sha: Sha256::new(), bytes: 0 };
    io::copy(&mut BufReader::with_capacity(1 << 18, fs::File::open(path)?), &mut sum)?;
    Ok(hex(&sum.sha.finalize()))
}

/// Writes through to a file, counting and hashing.
struct Hashed<W> {
    to: W,
    sha: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.to.write(buf)?;
        self.sha.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn failed(path: &Path, what: &str, e: &io::Error) -> Diagnostics {
    let d = error(Code::P0704, format!("`{}` cannot be {what}: {e}", path.display()))
        .help("name another folder for the output, or make room");
    Diagnostics::one(path.display().to_string(), d)
}

/// A folder that is removed with all its contents when it is dropped.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing can be done about a folder that cannot be removed.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Temporary {
    /// A new folder in `parent`, with the beginning of `name`, which alone may be as long as a name
    /// can be.
    fn beside(parent: &Path, name: &str) -> Result<Temporary, Diagnostics> {
        let name: String = name.chars().take(40).collect();
        let mut n = 0;
        loop {
            let path = parent.join(format!(".{name}.pimc-{n}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Temporary(path)),
                // Another run's, or what one that was killed has left.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && n < 1000 => n += 1,
                Err(e) => return Err(failed(&path, "created", &e)),
            }
        }
    }
}

/// Folders that were made for an output, removed again when it does not come to be.
struct NewFolders(Vec<PathBuf>);

impl Drop for NewFolders {
    fn drop(&mut self) {
        for folder in &self.0 {
            // Of one that is not empty, somebody else made use.
            let _ = fs::remove_dir(folder);
        }
    }
}

impl NewFolders {
    /// Makes `folder` and those above it that are missing.
    fn make(folder: &Path) -> Result<NewFolders, Diagnostics> {
        let missing = folder.ancestors().take_while(|f| !f.as_os_str().is_empty() && !f.exists());
        let made = NewFolders(missing.map(Path::to_path_buf).collect());
        fs::create_dir_all(folder).map_err(|e| failed(folder, "created", &e))?;
        Ok(made)
    }
}

/// Whether a folder is an output tree, or empty: only those are replaced.
fn replaceable(dir: &Path) -> bool {
    let ours = fs::read(dir.join("manifest.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .is_some_and(|m| m["tool"] == "pimc" && m["outputs"].is_object());
    ours || fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// Writes a tree as the folder `dir`, or as the folder that the link `dir` leads to; an output tree
/// that is there is replaced. Returns the manifest.
///
/// # Errors
/// P0705 when something else is there; P0704 when a file cannot be written, or an input has changed
/// since it was read. Then nothing is left behind, and what was there is as before.
pub fn write_tree(tree: &OutputTree<'_>, dir: &Path) -> Result<Value, Diagnostics> {
    let linked = fs::symlink_metadata(dir).is_ok_and(|m| m.is_symlink() && dir.is_dir());
    let dir = &if linked { dir.canonicalize() } else { Ok(dir.to_path_buf()) }
        .map_err(|e| failed(dir, "followed", &e))?;
    let (Some(name), Some(parent)) = (dir.file_name(), dir.parent()) else {
        let d = error(Code::P0704, format!("`{}` is no name for a folder", dir.display()));
        let d = d.help("name a folder, such as `out`");
        return Err(Diagnostics::one(dir.display().to_string(), d));
    };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let exists = fs::symlink_metadata(dir).is_ok();
    if exists && !(dir.is_dir() && replaceable(dir)) {
        return Err(Diagnostics::one(dir.display().to_string(), in_the_way(dir)));
    }
    let mut new_folders = NewFolders::make(parent)?;
    let temporary = Temporary::beside(parent, &name.to_string_lossy())?;
    let fresh = temporary.0.join("new");
    let manifest = write_files(tree, &fresh)?;
    let old = temporary.0.join("old");
    if exists {
        fs::rename(dir, &old).map_err(|e| failed(dir, "replaced", &e))?;
    }
    if let Err(e) = fs::rename(&fresh, dir) {
        if exists {
            // Put back what was there.
            let _ = fs::rename(&old, dir);
        }
        return Err(failed(dir, "put into place", &e));
    }
    new_folders.0.clear();
    Ok(manifest)
}

fn in_the_way(dir: &Path) -> Diagnostic {
    error(Code::P0705, format!("`{}` is there, and it is not an output tree", dir.display()))
        .help("name another folder for the output, or remove this one first")
}

/// SHA-256 and length of a file that was written.
type Written = Result<(String, u64), Diagnostics>;

/// A new file that is being written.
type NewFile = Hashed<fs::File>;

/// Files that may be open at a time.
const OPEN: usize = 128;

/// Writes every file and the manifest into a new folder.
fn write_files(tree: &OutputTree<'_>, dir: &Path) -> Result<Value, Diagnostics> {
    for file in &tree.files {
        if let Some(folder) = dir.join(&file.path).parent() {
            let wrong = |e: io::Error| failed(Path::new(&file.path), "written", &e);
            fs::create_dir_all(folder).map_err(wrong)?;
        }
    }
    let (banks, others): (Vec<_>, Vec<_>) = tree
        .files
        .iter()
        .enumerate()
        .partition(|(_, file)| matches!(file.contents, Contents::Bank { .. }));
    let (mut written, others) = rayon::join(
        || banks.chunks(OPEN).flat_map(|some| write_banks(some, dir)).collect::<Vec<_>>(),
        || -> Vec<_> {
            others.into_par_iter().map(|(i, file)| (i, write_file(file, dir))).collect()
        },
    );
    written.extend(others);
    written.sort_by_key(|(i, _)| *i);
    let mut outputs = Map::new();
    for (file, (_, written)) in tree.files.iter().zip(written) {
        let (sum, bytes) = written?;
        outputs.insert(file.path.clone(), json!({"sha256": sum, "bytes": bytes}));
    }
    let named = |list: &[(String, String)]| -> Map<String, Value> {
        list.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
    };
    let mut manifest = json!({
        "format_version": FORMAT_VERSION,
        "tool": "pimc",
        "version": env!("CARGO_PKG_VERSION"),
        "model": tree.model,
        "rtl": tree.rtl,
        "options": named(&tree.options),
        "inputs": named(&tree.inputs),
        "outputs": outputs,
    });
    if let (Some(all), Some(mapping)) = (manifest.as_object_mut(), &tree.mapping) {
        all.insert("mapping".into(), mapping.clone());
    }
    let path = dir.join("manifest.json");
    fs::write(&path, json_text(&manifest)).map_err(|e| failed(&path, "written", &e))?;
    Ok(manifest)
}

fn create(file: &OutputFile<'_>, dir: &Path) -> io::Result<NewFile> {
    let to = fs::File::create(dir.join(&file.path))?;
    Ok(Hashed { to, sha: Sha256::new(), bytes: 0 })
}

/// Writes the files of some banks, one stream after another, so that a stream's weights are read once
/// for all of them.
fn write_banks(files: &[(usize, &OutputFile<'_>)], dir: &Path) -> Vec<(usize, Written)> {
    let begin = |file: &OutputFile<'_>| {
        let mut to = create(file, dir)?;
        if let Contents::Bank { bank, .. } = &file.contents {
            to.write_all(bank_head(*bank).as_bytes())?;
        }
        Ok(to)
    };
    let mut open: Vec<(usize, io::Result<NewFile>)> =
        files.iter().map(|(i, file)| (*i, begin(file))).collect();
    let streams = files.iter().map(|(_, file)| match &file.contents {
        Contents::Bank { streams, .. } => *streams,
        _ => 0,
    });
    for stream in 0..streams.max().unwrap_or(0) {
        open.par_iter_mut().zip(files).for_each(|((_, to), (_, file))| {
            let Contents::Bank { images, bank, .. } = &file.contents else { return };
            let Ok(file) = to else { return };
            if let Err(e) = images.write_stream(stream, *bank, file) {
                *to = Err(e);
            }
        });
        if let Some((_, OutputFile { contents: Contents::Bank { images, .. }, .. })) = files.first()
        {
            images.release(stream);
        }
    }
    let finish =
        |((i, to), (_, file)): ((usize, io::Result<NewFile>), &(usize, &OutputFile<'_>))| {
            let wrong = |e| failed(Path::new(&file.path), "written", &e);
            (i, to.map(|to| (hex(&to.sha.finalize()), to.bytes)).map_err(wrong))
        };
    open.into_iter().zip(files).map(finish).collect()
}

fn write_file(file: &OutputFile<'_>, dir: &Path) -> Written {
    let wrong = |e: io::Error| failed(Path::new(&file.path), "written", &e);
    if let Contents::Copy { from, sha256, stamp } = &file.contents {
        let copied = copy(from, &dir.join(&file.path), sha256, stamp.as_ref(), TRUSTED);
        return match copied.map_err(wrong)? {
            Some(bytes) => Ok((sha256.clone(), bytes)),
            None => {
                let shown = from.display().to_string();
                let d = error(Code::P0704, format!("`{shown}` changed while it was compiled"))
                    .help("compile again");
                Err(Diagnostics::one(shown, d))
            }
        };
    }
    let mut to = BufWriter::with_capacity(1 << 16, create(file, dir).map_err(wrong)?);
    file.write(&mut to).map_err(wrong)?;
    let to = to.into_inner().map_err(|e| wrong(e.into_error()))?;
    Ok((hex(&to.sha.finalize()), to.bytes))
}

/// Bytes from which on a file's stamp is trusted: to write that many takes longer than a tick of the
/// file system's clock.
const TRUSTED: u64 = 64 << 20;

/// Copies a file of known checksum, within the kernel and without moving the bytes where the file
/// system can; its length, or none if it is no longer what it was. The copy shares nothing with the
/// file that a later change of either could be seen through.
fn copy(
    from: &Path,
    to: &Path,
    sha256: &str,
    stamp: Option<&Stamp>,
    trusted: u64,
) -> io::Result<Option<u64>> {
    let mut source = fs::File::open(from)?;
    let bytes = io::copy(&mut source, &mut fs::File::create(to)?)?;
    // The same stamp as before it was hashed: these are the bytes that were hashed.
    let now = Stamp::of(&source).ok();
    if now.is_some_and(|now| now.bytes() >= trusted && bytes == now.bytes() && stamp == Some(&now))
    {
        return Ok(Some(bytes));
    }
    Ok((sha256_of(to)? == sha256).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stamp that is as it was spares the second look; one that is not does not.
    #[test]
    fn copies_are_what_was_hashed() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, "weights").unwrap();
        let sum = pimc_ir::checksum::sha256(b"weights");
        let stamp = Stamp::of(&fs::File::open(&from).unwrap()).ok();
        let copied = |sum: &str, stamp, trusted| copy(&from, &to, sum, stamp, trusted).unwrap();
        assert_eq!(copied(&sum, None, 0), Some(7));
        assert_eq!(copied(&sum, stamp.as_ref(), 0), Some(7));
        // Small files are looked at whatever their stamps say.
        assert_eq!(copied("other", stamp.as_ref(), 8), None);
        assert_eq!(fs::read(&to).unwrap(), b"weights");
        fs::remove_file(&from).unwrap();
        fs::write(&from, "Weights").unwrap();
        assert_eq!(copied(&sum, stamp.as_ref(), 0), None);
        assert_eq!(copied(&pimc_ir::checksum::sha256(b"Weights"), stamp.as_ref(), 0), Some(7));
    }
}
