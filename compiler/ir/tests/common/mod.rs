//! Modules with tensor files described in a few words, for tests of what goes wrong.
//!
//! A description has a line for each tensor or file:
//! ```text
//! w.safetensors: w.q I8 [2, 4] = 7 -8 8 0     values, the last one repeated
//! w.safetensors: absent                       no such file
//! w.safetensors: folder                       a folder of that name
//! w.safetensors: text hello                   a file of that text
//! w.safetensors: cut to 70 bytes              cut off after it is written
//! w.safetensors: grown by 3 bytes             with more after the end
//! w.safetensors: header {"w":{..}}            a header and no data
//! ```
//! A file that is not described holds what the module needs, all zero.

use pimc_ir::batch::encode;
use pimc_ir::{load, parse, tensors_of_module, Diagnostics, Dtype, Model};
use std::collections::BTreeMap;
use std::path::Path;

type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// Loads a module and its described files from a folder of their own.
pub fn load_case(source: &[u8], description: &str) -> Result<Model, Failure> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_files(folder.path(), source, description);
    let path = folder.path().join("model.ir");
    std::fs::write(&path, source).expect("writing the module");
    load(&path).map_err(|diagnostics| {
        let place = folder.path().display().to_string();
        let text = diagnostics.render(false).replace(&place, "FOLDER");
        Failure { diagnostics, text }
    })
}

/// What was wrong, and the text a person sees, with the folder's name taken out.
pub struct Failure {
    pub diagnostics: Diagnostics,
    pub text: String,
}

fn write_files(folder: &Path, source: &[u8], description: &str) {
    let mut files: BTreeMap<String, Vec<Tensor>> = BTreeMap::new();
    let lines: Vec<(&str, &str)> =
        description.lines().filter_map(|l| l.trim().split_once(": ")).collect();
    if let Ok(module) =
        std::str::from_utf8(source).map_err(drop).and_then(|s| parse(s).map_err(drop))
    {
        for (file, specs) in tensors_of_module(&module) {
            if !lines.iter().any(|(name, _)| *name == file) {
                let zero = |s: pimc_ir::TensorSpec| {
                    let bytes = vec![0; s.bytes()];
                    (s.name, s.dtype, s.shape, bytes)
                };
                files.insert(file, specs.into_iter().map(zero).collect());
            }
        }
    }
    for (file, what) in &lines {
        if let Some(tensor) = tensor(what) {
            files.entry(file.to_string()).or_default().push(tensor);
        }
    }
    for (file, tensors) in &files {
        std::fs::write(folder.join(file), encode(tensors).expect("a valid tensor"))
            .expect("writing");
    }
    for (file, what) in &lines {
        deface(&folder.join(file), what);
    }
}

fn deface(path: &Path, what: &str) {
    let words: Vec<&str> = what.split_whitespace().collect();
    match words[..] {
        ["absent"] => {}
        ["folder"] => std::fs::create_dir(path).expect("a folder"),
        ["text", ..] => {
            std::fs::write(path, what.strip_prefix("text").unwrap_or("").trim()).expect("writing")
        }
        ["cut", "to", n, "bytes"] => {
            let mut bytes = std::fs::read(path).expect("reading");
            bytes.truncate(n.parse().expect("a number"));
            std::fs::write(path, bytes).expect("writing");
        }
        ["grown", "by", n, "bytes"] => {
            let mut bytes = std::fs::read(path).expect("reading");
            bytes.resize(bytes.len() + n.parse::<usize>().expect("a number"), 0);
            std::fs::write(path, bytes).expect("writing");
        }
        ["header", ..] => {
            let header = &what["header ".len()..];
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            std::fs::write(path, bytes).expect("writing");
        }
        _ => assert!(tensor(what).is_some(), "no description of a file: {what}"),
    }
}

/// `NAME DTYPE [shape] = values`
fn tensor(what: &str) -> Option<Tensor> {
    let (left, values) = what.split_once(" = ")?;
    let (head, shape) = left.split_once('[')?;
    let (name, dtype) = head.trim().split_once(' ')?;
    let shape: Vec<usize> = shape
        .trim_end_matches(']')
        .split(',')
        .filter(|s| !s.trim().is_empty())
        .map(|s| s.trim().parse().expect("a length"))
        .collect();
    let values: Vec<&str> = values.split_whitespace().collect();
    let count: usize = shape.iter().product();
    let value = |i: usize| values[i.min(values.len() - 1)];
    let int = |i: usize| value(i).parse::<i64>().expect("a number").to_le_bytes();
    let ints = |size: usize| (0..count).flat_map(|i| int(i).into_iter().take(size)).collect();
    let (dtype, data) = match dtype {
        "U8" => (Dtype::U8, ints(1)),
        "I8" => (Dtype::I8, ints(1)),
        "U16" => (Dtype::U16, ints(2)),
        "I16" => (Dtype::I16, ints(2)),
        "I32" => (Dtype::I32, ints(4)),
        "I64" => (Dtype::I64, ints(8)),
        "F32" => {
            let float = |i: usize| value(i).parse::<f32>().expect("a number").to_le_bytes();
            (Dtype::F32, (0..count).flat_map(float).collect())
        }
        other => panic!("no dtype {other}"),
    };
    Some((name.to_string(), dtype, shape, data))
}
