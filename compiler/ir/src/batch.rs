//! Batches of inputs and outputs in safetensors files: one tensor per vector, `[batch, len]`, in the
//! container of its element type, named like the function's inputs, and `result`. For a model with a cache
//! the vectors of a batch are successive steps.

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::layout::{container, signed_at, signed_bytes, TensorSpec};
use crate::mapping;
use crate::module::Func;
use crate::tensor_files::{dtype_name, find, tensors_of, Directory};
use crate::tensors::Bytes;
use crate::types::VecTy;
use safetensors::tensor::TensorView;
use std::path::Path;

/// The name of the result's tensor.
pub const RESULT: &str = "result";

/// One vector per element of the batch.
pub type Batch = Vec<Vec<i64>>;

/// A batch file, open for reading.
pub struct BatchFile {
    shown: String,
    bytes: Bytes,
    directory: Directory,
}

impl BatchFile {
    /// Opens and checks a safetensors file.
    ///
    /// # Errors
    /// P0401, P0402.
    pub fn open(path: &Path) -> Result<BatchFile, Diagnostics> {
        let shown = path.display().to_string();
        let (bytes, _) = mapping::map(path).map_err(|e| {
            let d = Diagnostic::error(Code::P0401, format!("`{shown}` cannot be opened: {e}"));
            Diagnostics::one(shown.clone(), d.help("name a safetensors file"))
        })?;
        BatchFile::from_bytes(bytes, shown)
    }

    /// The same of bytes in memory, shown as `shown`.
    ///
    /// # Errors
    /// P0402.
    pub fn from_bytes(bytes: Bytes, shown: String) -> Result<BatchFile, Diagnostics> {
        match tensors_of((*bytes).as_ref()) {
            Ok(directory) => Ok(BatchFile { shown, bytes, directory }),
            Err(why) => {
                let message = format!("`{shown}` is not a valid safetensors file: {why}");
                let d = Diagnostic::error(Code::P0402, message);
                Err(Diagnostics::one(shown, d.help("write it anew: it may be cut off")))
            }
        }
    }

    /// The batch of vectors of type `ty` under `name`.
    ///
    /// # Errors
    /// P0403 to P0406: no such tensor, wrong dtype, wrong shape, an element outside of `ty`.
    pub fn read(&self, name: &str, ty: VecTy) -> Result<Batch, Diagnostics> {
        let dtype = container(ty.elem);
        let fail = |d: Diagnostic| Diagnostics::one(self.shown.clone(), d);
        // The leading dimension is the file's to choose; the rest is not.
        let batch = match self.directory.get(name) {
            Some((_, shape, _)) if shape.len() == 2 => shape[0],
            Some((is, shape, _)) if *is == dtype => {
                let message =
                    format!("tensor `{name}` has shape {shape:?}, not [batch, {}]", ty.len);
                let help = "the first dimension counts the vectors of the batch, even if it is one";
                return Err(fail(Diagnostic::error(Code::P0405, message).help(help)));
            }
            _ => 0,
        };
        let spec = TensorSpec { name: name.to_string(), dtype, shape: vec![batch, ty.len] };
        let range = find(&self.directory, &spec, &self.shown).map_err(fail)?;
        let data = &(*self.bytes).as_ref()[range];
        let size = dtype.bitsize() / 8;
        let rows: Batch = (0..batch)
            .map(|b| (0..ty.len).map(|i| signed_at(data, size, b * ty.len + i)).collect())
            .collect();
        for (b, row) in rows.iter().enumerate() {
            if let Some(i) = row.iter().position(|&v| !ty.elem.holds(i128::from(v))) {
                let message =
                    format!("tensor `{name}`[{b}, {i}] is {}, which is not an {}", row[i], ty.elem);
                let help = format!("elements are {} to {}", ty.elem.min(), ty.elem.max());
                return Err(fail(Diagnostic::error(Code::P0406, message).help(help)));
            }
        }
        Ok(rows)
    }

    /// The batch of every input of a function, all of one size: `[input][vector][element]`.
    ///
    /// # Errors
    /// As [`BatchFile::read`], and P0405 when batches differ in size or are empty.
    pub fn read_inputs(&self, func: &Func) -> Result<Vec<Batch>, Diagnostics> {
        let inputs = &func.values[..func.inputs];
        let mut batches = Vec::new();
        for input in inputs {
            batches.push(self.read(&input.name.text, input.ty)?);
        }
        let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
        if sizes.iter().any(|s| *s != sizes[0]) || sizes.first() == Some(&0) {
            let message = format!("the inputs have batches of {sizes:?} vectors");
            let d = Diagnostic::error(Code::P0405, message)
                .help("every input needs the same number of vectors, at least one");
            return Err(Diagnostics::one(self.shown.clone(), d));
        }
        Ok(batches)
    }
}

/// Reads one batch; see [`BatchFile`].
///
/// # Errors
/// As [`BatchFile::open`] and [`BatchFile::read`].
pub fn read_batch(file: &Path, name: &str, ty: VecTy) -> Result<Batch, Diagnostics> {
    BatchFile::open(file)?.read(name, ty)
}

/// The bytes of a safetensors file of batches: name, type and vectors of each.
///
/// # Errors
/// P0405 for a vector of another length, P0406 for an element outside of its type.
pub fn encode_batch(batches: &[(&str, VecTy, &[Vec<i64>])]) -> Result<Vec<u8>, Diagnostics> {
    let mut tensors = Vec::new();
    for (name, ty, rows) in batches {
        let fail = |d: Diagnostic| Diagnostics::one("", d.help("this is how the batch was given"));
        if let Some(row) = rows.iter().find(|r| r.len() != ty.len) {
            let message =
                format!("a vector of `{name}` has {} elements, not {}", row.len(), ty.len);
            return Err(fail(Diagnostic::error(Code::P0405, message)));
        }
        if let Some(v) = rows.iter().flatten().find(|v| !ty.elem.holds(i128::from(**v))) {
            let message = format!("`{name}` holds {v}, which is not an {}", ty.elem);
            return Err(fail(Diagnostic::error(Code::P0406, message)));
        }
        let dtype = container(ty.elem);
        let data = signed_bytes(rows.iter().flatten().copied(), dtype.bitsize() / 8);
        tensors.push((name.to_string(), dtype, vec![rows.len(), ty.len], data));
    }
    encode(&tensors)
}

/// A safetensors file of tensors: name, dtype, shape, data.
///
/// # Errors
/// P0408 when data and shape do not agree.
pub fn encode(
    tensors: &[(String, safetensors::Dtype, Vec<usize>, Vec<u8>)],
) -> Result<Vec<u8>, Diagnostics> {
    let fail = |what: String| Diagnostics::one("", Diagnostic::error(Code::P0408, what));
    let mut views = Vec::new();
    for (name, dtype, shape, data) in tensors {
        let view = TensorView::new(*dtype, shape.clone(), data)
            .map_err(|e| fail(format!("`{name}` as {} {shape:?}: {e}", dtype_name(*dtype))))?;
        views.push((name, view));
    }
    safetensors::serialize(views, None).map_err(|e| fail(e.to_string()))
}

/// Writes a file of batches: name, type and vectors of each.
///
/// # Errors
/// As [`encode_batch`]; P0408 when the file cannot be written.
pub fn write_batch(path: &Path, batches: &[(&str, VecTy, &[Vec<i64>])]) -> Result<(), Diagnostics> {
    let bytes = encode_batch(batches)?;
    std::fs::write(path, bytes).map_err(|e| {
        let shown = path.display().to_string();
        let d = Diagnostic::error(Code::P0408, format!("`{shown}` cannot be written: {e}"))
            .help("check the folder and its permissions");
        Diagnostics::one(shown, d)
    })
}
