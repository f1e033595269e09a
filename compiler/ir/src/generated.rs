//! Models of given layer shapes with generated contents: what speed and size are measured on where
//! the real weights cannot be had. Nothing here is a stand-in for a real result: contents are noise.

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::layout::{tensors_of_module, weight_tensors, TensorSpec};
use crate::module::Module;
use crate::parse::parse;
use crate::types::{bqq_inner, IntTy, WeightType};
use safetensors::tensor::{serialize_to_file, Dtype, View};
use std::borrow::Cow;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A weight format, for matrices of any size that its blocks divide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Product quantization.
    Pq {
        /// Centroids.
        k: usize,
        /// Inputs of a sub-vector.
        sub: usize,
    },
    /// Binary quadratic blocks, `side` by `side`.
    Bqq {
        /// Bases.
        bases: usize,
        /// Rows and columns of a block.
        side: usize,
    },
    /// Masks over generated signs.
    Supermask {
        /// Mask planes.
        coats: usize,
    },
    /// Integers of eight bits.
    Int,
}

impl Format {
    /// The type of a matrix of this format.
    pub fn weight(self, rows: usize, cols: usize) -> WeightType {
        match self {
            Format::Pq { k, sub } => WeightType::Pq { rows, cols, sub, k, shared: false },
            Format::Bqq { bases, side } => {
                WeightType::Bqq { rows, cols, bases, block_rows: side, block_cols: side }
            }
            Format::Supermask { coats } => {
                let (pruned, locked) = (0, 0);
                WeightType::Supermask { rows, cols, coats, seed: 1, layer: 0, pruned, locked }
            }
            Format::Int => WeightType::Int { rows, cols, bits: 8, group: None },
        }
    }

    /// A type that holds every result of a matrix of at most 2^14 inputs.
    fn result(self) -> IntTy {
        IntTy { bits: if matches!(self, Format::Bqq { .. }) { 48 } else { 32 } }
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Format::Pq { k, sub } => write!(f, "pq k={k} sub={sub}"),
            Format::Bqq { bases, side } => write!(f, "bqq bases={bases} block={side}"),
            Format::Supermask { coats } => write!(f, "supermask coats={coats}"),
            Format::Int => write!(f, "int bits=8"),
        }
    }
}

/// The text of a module in the making.
struct Text {
    weights: String,
    body: String,
    format: Format,
}

impl Text {
    fn new(format: Format) -> Text {
        Text { weights: String::new(), body: String::new(), format }
    }

    /// `%name = matvec @w_name, %x`
    fn matvec(&mut self, name: &str, x: &str, rows: usize, cols: usize) {
        let (ty, result) = (self.format.weight(rows, cols), self.format.result());
        // Writing to a string cannot fail.
        let _ = writeln!(self.weights, "weight @w_{name} : {ty} from \"weights.safetensors\"");
        let _ = writeln!(self.body, "  %{name} = matvec @w_{name}, %{x} : {result}<{rows}>");
    }

    /// `%name` as a byte.
    fn requant(&mut self, name: &str, x: &str, len: usize) {
        // Brings noise to a byte, roughly; it saturates where not.
        let shift = if matches!(self.format, Format::Bqq { .. }) { 20 } else { 12 };
        let _ = writeln!(self.body, "  %{name} = requant %{x}, mul=1, shift={shift} : i8<{len}>");
    }

    fn add(&mut self, name: &str, a: &str, b: &str, len: usize) {
        let result = self.format.result();
        // One bit more than the terms have, so that every sum fits.
        let bits = result.bits + 2;
        let _ = writeln!(self.body, "  %{name} = add %{a}, %{b} : i{bits}<{len}>");
    }

    fn module(&self, target: &str, inputs: usize, result: &str, ty: &str) -> String {
        format!(
            "pimc 1\ntarget \"{target}\"\n\n{}\nfunc @main(%x: i8<{inputs}>) -> {ty} {{\n{}  return \
             %{result}\n}}\n",
            self.weights, self.body
        )
    }
}

/// One matrix times a vector.
pub fn matvec(target: &str, format: Format, rows: usize, cols: usize) -> String {
    let mut text = Text::new(format);
    text.matvec("y", "x", rows, cols);
    text.module(target, cols, "y", &format!("{}<{rows}>", format.result()))
}

/// A stack of transformer layers, as far as its matrices go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transformer {
    /// Hidden size.
    pub hidden: usize,
    /// Size of the feed-forward part.
    pub inner: usize,
    /// Layers.
    pub layers: usize,
    /// Whether the feed-forward part has a gate matrix beside the upward one.
    pub gated: bool,
}

/// all-MiniLM-L6-v2: six encoder layers of 384 and 1536.
pub const MINILM: Transformer = Transformer { hidden: 384, inner: 1536, layers: 6, gated: false };
/// LLaMA-2-7B: 32 decoder layers of 4096 and 11008.
pub const LLAMA_2_7B: Transformer =
    Transformer { hidden: 4096, inner: 11008, layers: 32, gated: true };

/// The matrices of a transformer, all of one format. Attention and gating are stood in for by sums,
/// so that every matrix is used and feeds the next.
pub fn transformer(target: &str, format: Format, t: Transformer) -> String {
    let (hidden, inner) = (t.hidden, t.inner);
    let mut text = Text::new(format);
    let mut x = "x".to_string();
    for l in 0..t.layers {
        let n = |what: &str| format!("{what}{l}");
        for what in ["q", "k", "v"] {
            text.matvec(&n(what), &x, hidden, hidden);
        }
        text.add(&n("qk"), &n("q"), &n("k"), hidden);
        text.add(&n("qkv"), &n("qk"), &n("v"), hidden);
        text.requant(&n("a"), &n("qkv"), hidden);
        text.matvec(&n("o"), &n("a"), hidden, hidden);
        text.requant(&n("h"), &n("o"), hidden);
        text.matvec(&n("up"), &n("h"), inner, hidden);
        if t.gated {
            text.matvec(&n("gate"), &n("h"), inner, hidden);
            text.add(&n("gu"), &n("gate"), &n("up"), inner);
        }
        text.requant(&n("f"), &n(if t.gated { "gu" } else { "up" }), inner);
        text.matvec(&n("down"), &n("f"), hidden, inner);
        text.requant(&n("y"), &n("down"), hidden);
        x = n("y");
    }
    text.module(target, hidden, &x, &format!("i8<{hidden}>"))
}

/// The splitmix64 generator (Steele, Lea, Flood 2014), from its seed.
pub struct Noise(pub u64);

impl Noise {
    /// The next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(count + 8);
        while out.len() < count {
            out.extend_from_slice(&self.word().to_le_bytes());
        }
        out.truncate(count);
        out
    }
}

/// A tensor whose contents are made when they are written.
struct Generated {
    spec: TensorSpec,
    ty: WeightType,
    seed: u64,
}

impl Generated {
    fn make(&self) -> Vec<u8> {
        let mut noise = Noise(self.seed);
        let bytes = self.spec.bytes();
        let rows_of = |bits: usize, data: &mut Vec<u8>| {
            // Bits behind a row's last are zero.
            if bits % 8 != 0 {
                let last = (1u8 << (bits % 8)) - 1;
                data.chunks_mut(bits.div_ceil(8)).for_each(|row| row[bits / 8] &= last);
            }
        };
        let mut data = noise.bytes(bytes);
        match (self.ty, self.spec.name.rsplit('.').next().unwrap_or("")) {
            (WeightType::Pq { k, .. }, "codes") if k <= 256 => {
                data.iter_mut().for_each(|c| *c = (usize::from(*c) % k) as u8);
            }
            (WeightType::Pq { k, .. }, "codes") => {
                data.chunks_mut(2).for_each(|c| {
                    let code = usize::from(u16::from_le_bytes([c[0], c[1]])) % k;
                    c.copy_from_slice(&(code as u16).to_le_bytes());
                });
            }
            (WeightType::Bqq { block_rows, block_cols, .. }, "y") => {
                rows_of(bqq_inner(block_rows, block_cols), &mut data);
            }
            (WeightType::Bqq { block_cols, .. }, "z") => rows_of(block_cols, &mut data),
            (WeightType::Bqq { .. }, _) => {
                // Scalars of a byte or so.
                let size = if self.spec.dtype == Dtype::I32 { 4 } else { 2 };
                data.chunks_mut(size).for_each(|s| {
                    let sign = if s[0] & 0x80 == 0 { 0 } else { 0xff };
                    s[1..].fill(sign);
                });
            }
            (WeightType::Supermask { cols, coats, .. }, _) => {
                rows_of(cols, &mut data);
                // Every coat lies within the one before.
                let plane = bytes / coats;
                for i in plane..bytes {
                    data[i] &= data[i - plane];
                }
            }
            _ => {}
        }
        data
    }
}

impl View for &Generated {
    fn dtype(&self) -> Dtype {
        self.spec.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.spec.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.make())
    }
    fn data_len(&self) -> usize {
        self.spec.bytes()
    }
}

fn tensors(module: &Module) -> Vec<Generated> {
    let weights = module.weights.iter().enumerate();
    let of = weights.flat_map(|(w, weight)| {
        let specs = weight_tensors(&weight.name.text, &weight.ty).into_iter().enumerate();
        let ty = weight.ty;
        specs.map(move |(i, spec)| Generated { spec, ty, seed: (w * 8 + i) as u64 })
    });
    of.collect()
}

/// Writes a module of this file, and its weights, into `folder`; the path of the module, and the bytes
/// of the weights. Tensors are made one at a time.
///
/// # Errors
/// What is wrong with the text; P0408 when a file cannot be written.
pub fn write(text: &str, folder: &Path) -> Result<(PathBuf, u64), Diagnostics> {
    let module = parse(text)?;
    let failed = |name: &str, why: &dyn std::fmt::Display| {
        let message = format!("`{name}` cannot be written: {why}");
        Diagnostics::one(name, Diagnostic::error(Code::P0408, message))
    };
    let all = tensors(&module);
    let bytes = all.iter().map(|t| t.spec.bytes() as u64).sum();
    for (file, _) in tensors_of_module(&module) {
        let list = all.iter().map(|t| (t.spec.name.as_str(), t));
        serialize_to_file(list, None, &folder.join(&file)).map_err(|e| failed(&file, &e))?;
    }
    let path = folder.join("model.ir");
    std::fs::write(&path, text).map_err(|e| failed("model.ir", &e))?;
    Ok((path, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every format and every layer set is a valid model.
    #[test]
    fn generated_models_load() {
        let small = |layers, gated| Transformer { hidden: 24, inner: 48, layers, gated };
        let formats = [
            Format::Pq { k: 16, sub: 2 },
            Format::Pq { k: 300, sub: 4 },
            Format::Bqq { bases: 2, side: 12 },
            Format::Supermask { coats: 3 },
            Format::Int,
        ];
        for format in formats {
            for text in [
                matvec("hbm3-pim", format, 36, 60),
                transformer("hbm3-pim", format, small(2, true)),
                transformer("hbm3-pim", format, small(1, false)),
            ] {
                let dir = tempfile::tempdir().unwrap();
                let (path, bytes) = write(&text, dir.path()).unwrap();
                let model = crate::load(&path).unwrap_or_else(|d| panic!("{}", d.render(false)));
                let size = dir.path().join("weights.safetensors").metadata().unwrap().len();
                assert!(bytes > 0 && size > bytes, "{format}");
                assert!(!model.module.weights.is_empty());
            }
        }
    }
}
