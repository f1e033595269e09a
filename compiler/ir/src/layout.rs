//! Which tensors a declaration reads: names, dtypes and shapes. `docs/tensors.md` shows it as a
//! table.

use crate::module::Module;
use crate::types::{bqq_inner, CacheType, IntTy, VecTy, WeightType};
use safetensors::Dtype;

/// A tensor that must be in a safetensors file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name in the file.
    pub name: String,
    /// The element type in the file.
    pub dtype: Dtype,
    /// The axes, slowest first.
    pub shape: Vec<usize>,
}

impl TensorSpec {
    /// Bytes of the tensor's data.
    pub fn bytes(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// The tensors of the weight `@name`, in the order of the table in `docs/tensors.md`.
///
/// Of a type that breaks a rule of the verifier the shapes mean nothing.
pub fn weight_tensors(name: &str, ty: &WeightType) -> Vec<TensorSpec> {
    let spec = |suffix: &str, dtype: Dtype, shape: &[usize]| TensorSpec {
        name: format!("{name}.{suffix}"),
        dtype,
        shape: shape.to_vec(),
    };
    match *ty {
        WeightType::Pq { rows, cols, sub, k, shared } => {
            let parts = cols / sub;
            let code = if k > 256 { Dtype::U16 } else { Dtype::U8 };
            let books = if shared { 1 } else { parts };
            vec![spec("codes", code, &[rows, parts]), spec("codebook", Dtype::I8, &[books, k, sub])]
        }
        WeightType::Bqq { rows, cols, bases: p, block_rows: m, block_cols: n } => {
            let (br, bc, l) = (rows / m, cols / n, bqq_inner(m, n));
            vec![
                spec("y", Dtype::U8, &[p, br, bc, m, l.div_ceil(8)]),
                spec("z", Dtype::U8, &[p, br, bc, l, n.div_ceil(8)]),
                spec("r", Dtype::I16, &[p, br, bc]),
                spec("s", Dtype::I16, &[p, br, bc]),
                spec("t", Dtype::I16, &[p, br, bc]),
                spec("u", Dtype::I32, &[br, bc]),
            ]
        }
        WeightType::Supermask { rows, cols, coats, .. } => {
            vec![spec("mask", Dtype::U8, &[coats, rows, cols.div_ceil(8)])]
        }
        WeightType::Int { rows, cols, group, .. } => {
            let mut specs = vec![spec("q", Dtype::I8, &[rows, cols])];
            if let Some(group) = group {
                specs.push(spec("scale", Dtype::I16, &[rows, cols / group]));
            }
            specs
        }
    }
}

/// The tensor of the parameter `@name`: `NAME`, in the container of its element type.
pub fn param_tensor(name: &str, ty: VecTy) -> TensorSpec {
    TensorSpec { name: name.to_string(), dtype: container(ty.elem), shape: vec![ty.len] }
}

/// The tensors of the cache `@name`: the codebooks, then, where it begins with tokens, the codes of
/// those that are held as codes and the keys and values of those that are held exact, each where there
/// are any.
pub fn cache_tensors(name: &str, ty: &CacheType) -> Vec<TensorSpec> {
    let (heads, parts) = (ty.kv_heads, ty.parts());
    let (codes, exact) = (ty.compressed(ty.start), ty.exact(ty.start));
    let code = if ty.k > 256 { Dtype::U16 } else { Dtype::U8 };
    let book = (Dtype::I8, vec![heads, parts, ty.k, ty.sub]);
    let mut list = vec![("key_codebook", book.clone()), ("value_codebook", book)];
    if codes > 0 {
        let shape = (code, vec![codes, heads, parts]);
        list.extend([("key_codes", shape.clone()), ("value_codes", shape)]);
    }
    if exact > 0 {
        let shape = (Dtype::I8, vec![exact, heads, ty.dim]);
        list.extend([("keys", shape.clone()), ("values", shape)]);
    }
    let spec =
        |(suffix, (dtype, shape))| TensorSpec { name: format!("{name}.{suffix}"), dtype, shape };
    list.into_iter().map(spec).collect()
}

/// The tensors that a module needs, by file, for those who write its files.
pub fn tensors_of_module(module: &Module) -> Vec<(String, Vec<TensorSpec>)> {
    let mut files: Vec<(String, Vec<TensorSpec>)> = Vec::new();
    let weights = module.weights.iter().map(|w| (&w.file, weight_tensors(&w.name.text, &w.ty)));
    let params = module.params.iter().map(|p| (&p.file, vec![param_tensor(&p.name.text, p.ty)]));
    let caches = module.caches.iter().map(|c| (&c.file, cache_tensors(&c.name.text, &c.ty)));
    for (file, specs) in weights.chain(params).chain(caches) {
        match files.iter_mut().find(|(name, _)| *name == file.text) {
            Some((_, list)) => list.extend(specs),
            None => files.push((file.text.clone(), specs)),
        }
    }
    files
}

/// The dtype that holds elements of a type in a file: the smallest of I8, I16, I32 and I64.
pub fn container(ty: IntTy) -> Dtype {
    match ty.bits {
        0..=8 => Dtype::I8,
        9..=16 => Dtype::I16,
        17..=32 => Dtype::I32,
        _ => Dtype::I64,
    }
}

/// Element `at` of signed little-endian elements of `size` bytes (1, 2, 4 or 8).
pub(crate) fn signed_at(bytes: &[u8], size: usize, at: usize) -> i64 {
    let mut word = [0u8; 8];
    word[8 - size..].copy_from_slice(&bytes[at * size..(at + 1) * size]);
    i64::from_le_bytes(word) >> (64 - 8 * size)
}

/// The low `size` bytes of each element, little-endian.
pub(crate) fn signed_bytes(values: impl IntoIterator<Item = i64>, size: usize) -> Vec<u8> {
    values.into_iter().flat_map(|v| v.to_le_bytes().into_iter().take(size)).collect()
}

/// Packs rows of `per_row` bits, the first bit lowest, each row filled up to a byte with zeros.
///
/// # Panics
/// When `per_row` does not divide the number of bits.
pub fn pack_bits(bits: &[bool], per_row: usize) -> Vec<u8> {
    assert!(per_row > 0 && bits.len() % per_row == 0, "{} bits in rows of {per_row}", bits.len());
    bits.chunks(per_row)
        .flat_map(|row| row.chunks(8))
        .map(|byte| byte.iter().enumerate().map(|(i, &b)| u8::from(b) << i).sum())
        .collect()
}
