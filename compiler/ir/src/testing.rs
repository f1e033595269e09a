//! Models for tests, without files: IR text plus integer arrays.

pub use crate::layout::pack_bits;

use crate::batch::encode;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::layout::{signed_bytes, tensors_of_module, TensorSpec};
use crate::load::load_from;
use crate::parse::parse;
use crate::tensors::{Bytes, Model};
use crate::types::{bqq_inner, WeightType};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bits and scalars of a BQQ weight, each array flat in the order of its axes.
#[derive(Clone, Debug, Default)]
pub struct BqqArrays {
    /// A bits `[p, R/m, C/n, m, l]`; true is +1.
    pub y: Vec<bool>,
    /// B bits `[p, R/m, C/n, l, n]`; true is +1.
    pub z: Vec<bool>,
    /// `[p, R/m, C/n]`
    pub r: Vec<i16>,
    /// `[p, R/m, C/n]`
    pub s: Vec<i16>,
    /// `[p, R/m, C/n]`
    pub t: Vec<i16>,
    /// `[R/m, C/n]`
    pub u: Vec<i32>,
}

/// What a cache begins with, each array flat in the order of its axes; an empty one is all zero.
#[derive(Clone, Debug, Default)]
pub struct CacheArrays {
    /// `[G, M, k, sub]`
    pub key_codebook: Vec<i8>,
    /// `[G, M, k, sub]`
    pub value_codebook: Vec<i8>,
    /// `[C, G, M]`
    pub key_codes: Vec<u16>,
    /// `[C, G, M]`
    pub value_codes: Vec<u16>,
    /// `[E, G, D]`
    pub keys: Vec<i8>,
    /// `[E, G, D]`
    pub values: Vec<i8>,
}

/// Assembles a model. Arrays are flat, last axis fastest; a tensor that is not given is all zero.
///
/// ```
/// use pimc_ir::testing::ModelBuilder;
/// let text = "pimc 1
/// target \"hbm3-pim\"
/// weight @w : int<2x3, bits=8> from \"w.safetensors\"
/// func @main(%x: i8<3>) -> i32<2> {
///   %y = matvec @w, %x : i32<2>
///   return %y
/// }";
/// let model = ModelBuilder::new(text).int("w", &[1, 2, 3, -1, 0, 7], &[]).build().unwrap();
/// assert_eq!(model.op_text(0), "%y = matvec @w, %x : i32<2>");
/// ```
#[derive(Clone, Debug)]
pub struct ModelBuilder {
    text: String,
    tensors: BTreeMap<String, Given>,
}

/// An array as given, before its tensor's layout is known.
#[derive(Clone, Debug)]
enum Given {
    Ints(Vec<i64>),
    Bits(Vec<bool>),
}

impl ModelBuilder {
    /// A model with this text.
    pub fn new(text: impl Into<String>) -> ModelBuilder {
        ModelBuilder { text: text.into(), tensors: BTreeMap::new() }
    }

    fn ints<T: Copy + Into<i64>>(mut self, name: String, values: &[T]) -> ModelBuilder {
        self.tensors.insert(name, Given::Ints(values.iter().map(|&v| v.into()).collect()));
        self
    }

    fn bits(mut self, name: String, bits: &[bool]) -> ModelBuilder {
        self.tensors.insert(name, Given::Bits(bits.to_vec()));
        self
    }

    /// A pq weight: codes `[R, C/sub]`, codebook `[C/sub or 1, k, sub]`.
    pub fn pq(self, name: &str, codes: &[u16], codebook: &[i8]) -> ModelBuilder {
        self.ints(format!("{name}.codes"), codes).ints(format!("{name}.codebook"), codebook)
    }

    /// A bqq weight.
    pub fn bqq(self, name: &str, arrays: &BqqArrays) -> ModelBuilder {
        self.bits(format!("{name}.y"), &arrays.y)
            .bits(format!("{name}.z"), &arrays.z)
            .ints(format!("{name}.r"), &arrays.r)
            .ints(format!("{name}.s"), &arrays.s)
            .ints(format!("{name}.t"), &arrays.t)
            .ints(format!("{name}.u"), &arrays.u)
    }

    /// A supermask weight: mask planes `[coats, R, C]`.
    pub fn supermask(self, name: &str, mask: &[bool]) -> ModelBuilder {
        self.bits(format!("{name}.mask"), mask)
    }

    /// An int weight: `[R, C]`; scales `[R, C/group]`, empty when not grouped.
    pub fn int(self, name: &str, q: &[i8], scale: &[i16]) -> ModelBuilder {
        let builder = self.ints(format!("{name}.q"), q);
        if scale.is_empty() {
            return builder;
        }
        builder.ints(format!("{name}.scale"), scale)
    }

    /// A parameter.
    pub fn param(self, name: &str, values: &[i64]) -> ModelBuilder {
        self.ints(name.to_string(), values)
    }

    /// A cache: codebooks `[G, M, k, sub]`, and the tokens that it begins with.
    pub fn cache(self, name: &str, arrays: &CacheArrays) -> ModelBuilder {
        let mut builder = self;
        let CacheArrays { key_codebook, value_codebook, key_codes, value_codes, keys, values } =
            arrays;
        for (suffix, values) in [
            ("key_codebook", key_codebook),
            ("value_codebook", value_codebook),
            ("keys", keys),
            ("values", values),
        ] {
            if !values.is_empty() {
                builder = builder.ints(format!("{name}.{suffix}"), values);
            }
        }
        for (suffix, codes) in [("key_codes", key_codes), ("value_codes", value_codes)] {
            if !codes.is_empty() {
                builder = builder.ints(format!("{name}.{suffix}"), codes);
            }
        }
        builder
    }

    /// The tensor files: name and bytes of each.
    ///
    /// # Errors
    /// What is wrong with the text; P0405 for an array of another length than its tensor.
    pub fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, Diagnostics> {
        let module = parse(&self.text)?;
        // The bits of a row are packed together, so their number per row is needed.
        let mut row_bits = BTreeMap::new();
        for w in &module.weights {
            let name = &w.name.text;
            match w.ty {
                WeightType::Bqq { block_rows, block_cols, .. } => {
                    row_bits.insert(format!("{name}.y"), bqq_inner(block_rows, block_cols));
                    row_bits.insert(format!("{name}.z"), block_cols);
                }
                WeightType::Supermask { cols, .. } => {
                    row_bits.insert(format!("{name}.mask"), cols);
                }
                _ => {}
            }
        }
        let mut files = BTreeMap::new();
        for (file, specs) in tensors_of_module(&module) {
            let mut tensors = Vec::new();
            for spec in specs {
                let data = self.data(&spec, row_bits.get(&spec.name).copied())?;
                tensors.push((spec.name, spec.dtype, spec.shape, data));
            }
            files.insert(file, encode(&tensors)?);
        }
        Ok(files)
    }

    fn data(&self, spec: &TensorSpec, row_bits: Option<usize>) -> Result<Vec<u8>, Diagnostics> {
        let data = match (self.tensors.get(&spec.name), row_bits) {
            (None, _) => return Ok(vec![0; spec.bytes()]),
            (Some(Given::Bits(bits)), Some(per_row)) if bits.len() % per_row == 0 => {
                pack_bits(bits, per_row)
            }
            (Some(Given::Ints(v)), None) => {
                signed_bytes(v.iter().copied(), spec.dtype.bitsize() / 8)
            }
            _ => Vec::new(),
        };
        if data.len() == spec.bytes() {
            return Ok(data);
        }
        let message = format!("the array given for `{}` does not fill {:?}", spec.name, spec.shape);
        Err(Diagnostics::one("", Diagnostic::error(Code::P0405, message)))
    }

    /// The model.
    ///
    /// # Errors
    /// As [`crate::load`].
    pub fn build(&self) -> Result<Model, Diagnostics> {
        let files = self.files()?;
        load_from(self.text.clone(), "model.ir".to_string(), &|name| match files.get(name) {
            Some(bytes) => Ok(Arc::new(bytes.clone()) as Bytes),
            None => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
        })
    }

    /// Writes the text as `file_name`, and the tensor files, into `folder`; the path of the text.
    ///
    /// # Errors
    /// As [`ModelBuilder::files`]; P0408 when a file cannot be written.
    pub fn write(&self, folder: &Path, file_name: &str) -> Result<PathBuf, Diagnostics> {
        let put = |name: &str, bytes: &[u8]| {
            std::fs::write(folder.join(name), bytes).map_err(|e| {
                let message = format!("`{name}` cannot be written: {e}");
                Diagnostics::one(name, Diagnostic::error(Code::P0408, message))
            })
        };
        for (name, bytes) in self.files()? {
            put(&name, &bytes)?;
        }
        put(file_name, self.text.as_bytes())?;
        Ok(folder.join(file_name))
    }
}
