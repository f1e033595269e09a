//! Writing the tree: beside its place, then renamed, so that there is never half of it.

use super::{json_text, Contents, OutputTree, FORMAT_VERSION};
use crate::diag::error;
use pimc_ir::{Code, Diagnostic, Diagnostics};
use serde_json::{json, Map, Value};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
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

/// Writes every file and the manifest into a new folder.
fn write_files(tree: &OutputTree<'_>, dir: &Path) -> Result<Value, Diagnostics> {
    let mut outputs = Map::new();
    for file in &tree.files {
        let path = dir.join(&file.path);
        let wrong = |e: io::Error| failed(Path::new(&file.path), "written", &e);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(wrong)?;
        }
        let to = BufWriter::new(fs::File::create(&path).map_err(wrong)?);
        let mut to = Hashed { to, sha: Sha256::new(), bytes: 0 };
        file.write(&mut to).and_then(|()| to.flush()).map_err(wrong)?;
        let sum = hexadecimal(&to.sha.finalize());
        if let Contents::Copy { from, sha256 } = &file.contents {
            if *sha256 != sum {
                let shown = from.display().to_string();
                let d = error(Code::P0704, format!("`{shown}` changed while it was compiled"))
                    .help("compile again");
                return Err(Diagnostics::one(shown, d));
            }
        }
        outputs.insert(file.path.clone(), json!({"sha256": sum, "bytes": to.bytes}));
    }
    let named = |list: &[(String, String)]| -> Map<String, Value> {
        list.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
    };
    let manifest = json!({
        "format_version": FORMAT_VERSION,
        "tool": "pimc",
        "version": env!("CARGO_PKG_VERSION"),
        "model": tree.model,
        "rtl": tree.rtl,
        "options": named(&tree.options),
        "inputs": named(&tree.inputs),
        "outputs": outputs,
    });
    let path = dir.join("manifest.json");
    fs::write(&path, json_text(&manifest)).map_err(|e| failed(&path, "written", &e))?;
    Ok(manifest)
}
