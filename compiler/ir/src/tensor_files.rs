//! Tensor files: what is in them, and whether it is what a declaration needs.

use crate::checksum::hex;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::layout::TensorSpec;
use crate::mapping::Stamp;
use crate::module::{Name, Span};
use crate::tensors::{Bytes, Slice, UsedFile};
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// Gives the bytes of a tensor file by the name that a module writes, and the file's stamp from before
/// they were read, if there is a file.
pub(crate) type Open<'a> = dyn Fn(&str) -> io::Result<(Bytes, Option<Stamp>)> + 'a;

/// The tensor files of a module, each opened once.
pub(crate) struct Files<'a> {
    /// By name; `None` when it cannot be used, which has been reported.
    opened: BTreeMap<String, Option<Opened>>,
    /// Those that can be used, without their checksums.
    pub(crate) used: Vec<(UsedFile, Bytes)>,
    path_of: &'a dyn Fn(&str) -> PathBuf,
    open: &'a Open<'a>,
}

/// An open file and what is in it.
struct Opened {
    bytes: Bytes,
    tensors: Directory,
}

impl<'a> Files<'a> {
    /// None as yet. `path_of` says where a file would be, `open` gives its bytes.
    pub(crate) fn new(path_of: &'a dyn Fn(&str) -> PathBuf, open: &'a Open<'a>) -> Files<'a> {
        Files { opened: BTreeMap::new(), used: Vec::new(), path_of, open }
    }

    /// The tensors that the declaration at `span` needs from `file`.
    pub(crate) fn tensors(
        &mut self,
        file: &Name,
        span: &Span,
        specs: &[TensorSpec],
        diags: &mut Diagnostics,
    ) -> Option<Vec<Slice>> {
        if !self.opened.contains_key(&file.text) {
            let opened = self.open_file(file, diags);
            self.opened.insert(file.text.clone(), opened);
        }
        let opened = self.opened.get(&file.text)?.as_ref()?;
        let slices: Vec<Option<Slice>> =
            specs.iter().map(|spec| opened.tensor(spec, file, span, diags)).collect();
        slices.into_iter().collect()
    }

    fn open_file(&mut self, file: &Name, diags: &mut Diagnostics) -> Option<Opened> {
        let path = (self.path_of)(&file.text);
        let (bytes, stamp) = match (self.open)(&file.text) {
            Ok(opened) => opened,
            Err(e) => {
                let message = format!("tensor file `{}` cannot be opened", file.text);
                diags.push(
                    Diagnostic::error(Code::P0401, message).at(&file.span, e.to_string()).help(
                        format!(
                            "file names are relative to the folder of the module: looked for {}",
                            path.display()
                        ),
                    ),
                );
                return None;
            }
        };
        match Opened::read(bytes) {
            Ok(opened) => {
                let sha256 = String::new();
                let used = UsedFile { name: file.text.clone(), path, sha256, stamp };
                self.used.push((used, opened.bytes.clone()));
                Some(opened)
            }
            Err(why) => {
                let message = format!("`{}` is not a valid safetensors file", file.text);
                diags.push(
                    Diagnostic::error(Code::P0402, message)
                        .at(&file.span, why)
                        .help("write it anew: it may be cut off, or another kind of file"),
                );
                None
            }
        }
    }
}

/// The files with their checksums.
pub(crate) fn hashed(files: Vec<(UsedFile, Bytes)>) -> Vec<UsedFile> {
    let hash = |(file, bytes)| UsedFile { sha256: hash(&bytes), ..file };
    files.into_par_iter().map(hash).collect()
}

/// SHA-256 in hexadecimal; pages are let go once they are read.
fn hash(bytes: &Bytes) -> String {
    const PIECE: usize = 4 << 20;
    let mut sha = Sha256::new();
    for (i, piece) in (**bytes).as_ref().chunks(PIECE).enumerate() {
        sha.update(piece);
        bytes.release(i * PIECE..i * PIECE + piece.len());
    }
    hex(&sha.finalize())
}

impl Opened {
    fn read(bytes: Bytes) -> Result<Opened, String> {
        let data = (*bytes).as_ref();
        let tensors = tensors_of(data)?;
        Ok(Opened { bytes, tensors })
    }

    fn tensor(
        &self,
        spec: &TensorSpec,
        file: &Name,
        span: &Span,
        diags: &mut Diagnostics,
    ) -> Option<Slice> {
        let problem = find(&self.tensors, spec, &file.text);
        match problem {
            Ok(range) => Some(Slice { file: self.bytes.clone(), range }),
            Err(d) => {
                let text = match d.code {
                    Code::P0403 => "needed by this declaration".to_string(),
                    _ => format!("needs {} {:?}", dtype_name(spec.dtype), spec.shape),
                };
                diags.push(d.at(span, text));
                None
            }
        }
    }
}

/// Dtype, shape and place of every tensor of a safetensors file.
pub(crate) type Directory = BTreeMap<String, (Dtype, Vec<usize>, Range<usize>)>;

/// A safetensors file, or why it is none. A name that stands twice in the header is refused: the
/// reader below keeps the last and says nothing.
///
/// # Errors
/// What is wrong with the bytes, for a diagnostic that names the file.
pub fn read_tensors(data: &[u8]) -> Result<SafeTensors<'_>, String> {
    let file = SafeTensors::deserialize(data).map_err(|e| e.to_string())?;
    // It has been read, so the length of the header and the header itself are there.
    let (length, rest) = data.split_at(8);
    let length = length.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b));
    match serde_json::from_slice(&rest[..length]) {
        Ok(Keys { twice: None }) => Ok(file),
        Ok(Keys { twice: Some(name) }) => Err(format!("the header names `{name}` twice")),
        Err(e) => Err(e.to_string()),
    }
}

/// The first key of a JSON object that it has twice.
struct Keys {
    twice: Option<String>,
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Keys, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Keys;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let (mut seen, mut twice) = (BTreeSet::new(), None);
                while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                    if twice.is_none() && !seen.insert(key.clone()) {
                        twice = Some(key);
                    }
                }
                Ok(Keys { twice })
            }
        }
        from.deserialize_map(Object)
    }
}

/// The directory of a safetensors file, or why it is none.
pub(crate) fn tensors_of(data: &[u8]) -> Result<Directory, String> {
    let file = read_tensors(data)?;
    let start = data.as_ptr() as usize;
    Ok(file
        .iter()
        .map(|(name, view)| {
            let at = view.data().as_ptr() as usize - start;
            let range = at..at + view.data().len();
            (name.to_string(), (view.dtype(), view.shape().to_vec(), range))
        })
        .collect())
}

/// The place of a tensor that is as `spec` says; the diagnostic has no place as yet.
pub(crate) fn find(
    directory: &Directory,
    spec: &TensorSpec,
    file: &str,
) -> Result<Range<usize>, Diagnostic> {
    let (name, must) = (&spec.name, dtype_name(spec.dtype));
    let Some((dtype, shape, range)) = directory.get(name) else {
        let mut names: Vec<&str> = directory.keys().take(8).map(String::as_str).collect();
        if directory.len() > names.len() {
            names.push("..");
        }
        let held = if names.is_empty() { "nothing".to_string() } else { names.join(", ") };
        return Err(Diagnostic::error(Code::P0403, format!("`{file}` has no tensor `{name}`"))
            .help(format!("it holds: {held}")));
    };
    if *dtype != spec.dtype {
        let is = dtype_name(*dtype);
        let message = format!("tensor `{name}` of `{file}` is {is}, not {must}");
        return Err(Diagnostic::error(Code::P0404, message).help(format!(
            "store `{name}` as {must} of shape {:?}: nothing is converted, since hardware computes \
             with exactly these integers",
            spec.shape
        )));
    }
    if *shape != spec.shape {
        let message =
            format!("tensor `{name}` of `{file}` has shape {shape:?}, not {:?}", spec.shape);
        return Err(Diagnostic::error(Code::P0405, message).help(
            "correct the type of the declaration, or the file; bits are packed eight to a byte \
             along the last axis",
        ));
    }
    Ok(range.clone())
}

/// The name of a dtype as safetensors headers write it.
pub(crate) fn dtype_name(dtype: Dtype) -> String {
    format!("{dtype:?}")
}
