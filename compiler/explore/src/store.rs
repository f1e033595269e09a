//! Finished points, a line each, appended as they come: whoever stops the run loses none of them.

use crate::axes::Shard;
use crate::evaluate::Outcome;
use crate::files::{failed, unusable};
use pimc_ir::Diagnostics;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A finished point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What the point follows from: checksums of model, weights, target and inputs, and the version.
    pub key: String,
    /// Its values, for people.
    pub point: BTreeMap<String, String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// The file that a shard, or a whole run, appends to.
pub fn file_name(shard: Option<Shard>) -> String {
    shard.map_or_else(|| "points.jsonl".into(), |s| format!("points.{}.jsonl", s.index))
}

/// Whether a file of the folder holds points.
fn holds_points(name: &str) -> bool {
    name == "points.jsonl"
        || name
            .strip_prefix("points.")
            .and_then(|rest| rest.strip_suffix(".jsonl"))
            .is_some_and(|index| index.parse::<usize>().is_ok())
}

/// Reads every point that the folder holds, of all shards. A line that is torn or of another version
/// is passed over.
///
/// # Errors
/// P0804 for a file that cannot be read.
pub fn read(folder: &Path) -> Result<BTreeMap<String, Outcome>, Diagnostics> {
    let mut names: Vec<PathBuf> = vec![];
    for entry in folder.read_dir().map_err(|e| failed(folder, &e))? {
        let path = entry.map_err(|e| failed(folder, &e))?.path();
        if path.file_name().and_then(|n| n.to_str()).is_some_and(holds_points) {
            names.push(path);
        }
    }
    names.sort();
    let mut found = BTreeMap::new();
    for path in names {
        let bytes = std::fs::read(&path).map_err(|e| failed(&path, &e))?;
        for line in bytes.split(|b| *b == b'\n') {
            if let Ok(line) = serde_json::from_slice::<Line>(line) {
                found.insert(line.key, line.outcome);
            }
        }
    }
    Ok(found)
}

/// A file of points, open to append.
pub struct Store {
    file: Mutex<File>,
    path: PathBuf,
}

impl Store {
    /// Opens the file of a shard. What was torn off at its end stays, on a line of its own.
    ///
    /// # Errors
    /// P0804.
    pub fn open(folder: &Path, shard: Option<Shard>) -> Result<Store, Diagnostics> {
        let path = folder.join(file_name(shard));
        let open = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            if file.seek(SeekFrom::End(0))? > 0 {
                let mut last = [0];
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
                if last != *b"\n" {
                    file.write_all(b"\n")?;
                }
            }
            Ok(file)
        };
        let file = open().map_err(|e: std::io::Error| failed(&path, &e))?;
        Ok(Store { file: Mutex::new(file), path })
    }

    /// Appends a point: the whole line in one write, handed to the system before this returns.
    ///
    /// # Errors
    /// P0804.
    pub fn append(&self, line: &Line) -> Result<(), Diagnostics> {
        let help = "remove the file, or name another folder";
        let mut text = serde_json::to_string(line).map_err(|e| unusable(&self.path, e, help))?;
        text.push('\n');
        let mut file = self.file.lock().map_err(|e| unusable(&self.path, e, help))?;
        file.write_all(text.as_bytes()).map_err(|e| failed(&self.path, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str) -> Line {
        let outcome = Outcome::DoesNotFit { code: "P0606".into(), why: "too large".into() };
        Line { key: key.into(), point: BTreeMap::new(), outcome }
    }

    #[test]
    fn torn_lines_cost_nothing_but_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let keys = || read(folder.path()).unwrap().into_keys().collect::<Vec<_>>();
        Store::open(folder.path(), None).unwrap().append(&line("a")).unwrap();
        let path = folder.path().join("points.jsonl");
        let whole = std::fs::read(&path).unwrap();
        // Killed in the middle of the second line, after any number of its bytes.
        for torn in 1..whole.len() {
            std::fs::write(&path, [&whole, &whole[..torn]].concat()).unwrap();
            Store::open(folder.path(), None).unwrap().append(&line("b")).unwrap();
            assert_eq!(keys(), ["a", "b"], "torn after {torn} bytes");
        }
    }

    #[test]
    fn shards_have_files_of_their_own_and_all_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..3 {
            let store = Store::open(folder.path(), Some(Shard { index, of: 3 })).unwrap();
            store.append(&line(&format!("k{index}"))).unwrap();
        }
        std::fs::write(folder.path().join("points.csv"), "no points").unwrap();
        std::fs::write(folder.path().join("points.x.jsonl"), "none either").unwrap();
        assert_eq!(read(folder.path()).unwrap().len(), 3);
    }

    #[test]
    fn numbers_come_back_to_the_last_bit() {
        for x in [0.1f64 + 0.2, 1.0 / 3.0, 5e-324, 1.7976931348623157e308, 0.06560388912345678] {
            let text = serde_json::to_string(&x).unwrap();
            assert_eq!(serde_json::from_str::<f64>(&text).unwrap().to_bits(), x.to_bits());
        }
    }
}
