//! Real tensors from safetensors files of any origin.

use crate::matrix::Matrix;
use crate::section::{Problems, Spot};
use memmap2::Mmap;
use pimc_ir::checksum::sha256;
use pimc_ir::{read_tensors, Code, Diagnostic, Dtype};
use safetensors::SafeTensors;
use std::fs::File;
use std::path::Path;

/// A mapped safetensors file.
pub struct Source {
    map: Mmap,
    /// Its name without folders.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// A tensor in real numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct RealTensor {
    /// Axes, slowest first.
    pub shape: Vec<usize>,
    /// Values, finite.
    pub values: Vec<f32>,
}

impl Source {
    /// Maps the file and checks its directory.
    ///
    /// # Errors
    /// P0401 if it cannot be opened, P0402 if it is no safetensors file; without a place.
    pub fn open(path: &Path) -> Result<Source, Diagnostic> {
        let shown = path.display();
        let cannot = |e: std::io::Error| {
            Diagnostic::error(Code::P0401, format!("tensor file `{shown}` cannot be opened: {e}"))
                .help("name a safetensors file that exists and can be read")
        };
        let file = File::open(path).map_err(cannot)?;
        if !file.metadata().map_err(cannot)?.is_file() {
            let d = Diagnostic::error(Code::P0401, format!("`{shown}` is not a file"));
            return Err(d.help("name a safetensors file"));
        }
        // SAFETY: the mapping is read-only. As with any mapping, the file must not be cut short by
        // others while it is read; the views below never outlive the mapping.
        let map = unsafe { Mmap::map(&file) }.map_err(cannot)?;
        if let Err(e) = read_tensors(&map) {
            let message = format!("`{shown}` is not a valid safetensors file: {e}");
            return Err(Diagnostic::error(Code::P0402, message)
                .help("write it anew: it may be cut off, or another kind of file"));
        }
        let sha256 = sha256(&map);
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Ok(Source { map, name, sha256 })
    }

    /// A tensor by the name that the recipe writes at `at`, as f32. F32, F64, F16, BF16, the integers
    /// and BOOL are understood. What is wrong with it is reported there: P0403, P0404, P0413.
    pub fn tensor(&self, at: &Spot<String>, problems: &Problems) -> Option<RealTensor> {
        let name = &at.value;
        let file = SafeTensors::deserialize(&self.map).ok()?;
        let Ok(view) = file.tensor(name) else {
            let mut names = file.names();
            names.sort_unstable();
            let more = if names.len() > 12 { ", .." } else { "" };
            let list = names.into_iter().take(12).collect::<Vec<_>>().join(", ");
            problems.error(
                Code::P0403,
                &at.span,
                format!("`{}` has no tensor `{name}`", self.name),
                "no such tensor",
                &format!("it holds: {list}{more}"),
            );
            return None;
        };
        let Some(values) = real_values(view.dtype(), view.data()) else {
            problems.error(
                Code::P0404,
                &at.span,
                format!("tensor `{name}` of `{}` is {:?}", self.name, view.dtype()),
                "of a dtype that is not understood",
                "store it as F32, F16, BF16, F64, BOOL or an integer of at most 32 bits",
            );
            return None;
        };
        let shape = view.shape().to_vec();
        if let Some(bad) = values.iter().position(|v| !v.is_finite()) {
            problems.error(
                Code::P0413,
                &at.span,
                format!(
                    "tensor `{name}` of `{}` holds {} at {:?}",
                    self.name,
                    values[bad],
                    index_of(bad, &shape)
                ),
                "every element must be a finite number of single precision",
                "check the training run or the export: no quantizer can stand for NaN or infinity",
            );
            return None;
        }
        Some(RealTensor { shape, values })
    }

    /// A tensor of two axes, at least 1 x 1; otherwise P0405.
    pub fn matrix(&self, at: &Spot<String>, axes: &str, problems: &Problems) -> Option<Matrix> {
        let tensor = self.tensor(at, problems)?;
        match tensor.shape[..] {
            [rows, cols] if rows > 0 && cols > 0 => {
                Some(Matrix { rows, cols, data: tensor.values })
            }
            _ => {
                wrong_shape(at, &tensor.shape, axes, problems);
                None
            }
        }
    }
}

/// Whether `path` leads to the same file as one of `others`; files that are not there are no files.
pub fn is_one_of(path: &Path, others: &[&Path]) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    others.iter().any(|other| other.canonicalize().is_ok_and(|other| other == path))
}

/// P0408, without a place: the result would take the place of an input.
pub fn would_replace(input: &Path) -> Diagnostic {
    let message = format!("`{}` is read, and the result would replace it", input.display());
    Diagnostic::error(Code::P0408, message)
        .help("name another model: its tensors lie beside it, with its name and `.safetensors`")
}

/// Reports that a tensor is of another shape than `expected`, a text.
pub fn wrong_shape(at: &Spot<String>, shape: &[usize], expected: &str, problems: &Problems) {
    problems.error(
        Code::P0405,
        &at.span,
        format!("tensor `{}` has shape {shape:?}, not {expected}", at.value),
        &format!("expected {expected}"),
        "name another tensor, or export it in this shape",
    );
}

/// The index of element `at` of a tensor, per axis.
fn index_of(mut at: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (i, &size) in shape.iter().enumerate().rev() {
        index[i] = at % size.max(1);
        at /= size.max(1);
    }
    index
}

fn real_values(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    macro_rules! convert {
        ($size:literal, $from:expr) => {
            data.chunks_exact($size)
                .map(|c| {
                    let mut bytes = [0u8; $size];
                    bytes.copy_from_slice(c);
                    $from(bytes)
                })
                .collect()
        };
    }
    Some(match dtype {
        Dtype::F32 => convert!(4, f32::from_le_bytes),
        Dtype::F64 => convert!(8, |b| f64::from_le_bytes(b) as f32),
        Dtype::F16 => convert!(2, |b| half_to_f32(u16::from_le_bytes(b))),
        Dtype::BF16 => convert!(2, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
        Dtype::BOOL | Dtype::U8 => data.iter().map(|&v| f32::from(v)).collect(),
        Dtype::I8 => data.iter().map(|&v| f32::from(v as i8)).collect(),
        Dtype::U16 => convert!(2, |b| f32::from(u16::from_le_bytes(b))),
        Dtype::I16 => convert!(2, |b| f32::from(i16::from_le_bytes(b))),
        Dtype::U32 => convert!(4, |b| u32::from_le_bytes(b) as f32),
        Dtype::I32 => convert!(4, |b| i32::from_le_bytes(b) as f32),
        _ => return None,
    })
}

/// IEEE 754 binary16 to binary32, exact.
fn half_to_f32(h: u16) -> f32 {
    let sign = if h >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(h >> 10 & 31), f32::from(h & 1023));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact() {
        let known = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 5.960_464_5e-8),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0xfc00, f32::NEG_INFINITY),
        ];
        for (bits, value) in known {
            assert_eq!(half_to_f32(bits), value, "{bits:#x}");
        }
        assert!(half_to_f32(0x7e00).is_nan());
    }

    #[test]
    fn dtypes_are_read_little_endian() {
        assert_eq!(
            real_values(Dtype::I16, &[0x00, 0x80, 0xff, 0x7f]),
            Some(vec![-32768.0, 32767.0])
        );
        assert_eq!(real_values(Dtype::BF16, &[0x80, 0x3f]), Some(vec![1.0]));
        assert_eq!(real_values(Dtype::F64, &1.5f64.to_le_bytes()), Some(vec![1.5]));
        assert_eq!(real_values(Dtype::I8, &[0x80]), Some(vec![-128.0]));
        assert_eq!(real_values(Dtype::C64, &[0; 8]), None);
    }

    #[test]
    fn indices_count_the_last_axis_fastest() {
        assert_eq!(index_of(17, &[3, 2, 4]), vec![2, 0, 1]);
        assert_eq!(index_of(0, &[]), Vec::<usize>::new());
    }
}
