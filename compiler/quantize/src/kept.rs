//! A quantized matrix in a file of its own, so that a long run that was stopped does not make it
//! again. The files are of one version of the quantizer, for itself alone.

use crate::matrix::{bytes_of_i32, QuantizedMatrix};
use pimc_ir::files::replace;
use pimc_ir::{read_tensors, Dtype, WeightType};
use safetensors::tensor::TensorView;
use safetensors::SafeTensors;
use std::io;
use std::path::Path;

/// Metadata of the file, a line each: its stored bits, its type, what the matrix follows from.
const ABOUT: &str = "pimc-matrix";
const SCALE: &str = "scale";
const INTS: &str = "ints";
/// Tensors of the type are named by their number.
const TENSOR: &str = "tensor";

/// A type in numbers: its format's letter, then its fields.
fn type_text(ty: &WeightType) -> Option<String> {
    Some(match *ty {
        WeightType::Pq { rows, cols, sub, k, shared } => {
            format!("p {rows} {cols} {sub} {k} {}", u8::from(shared))
        }
        WeightType::Bqq { rows, cols, bases, block_rows, block_cols } => {
            format!("b {rows} {cols} {bases} {block_rows} {block_cols}")
        }
        WeightType::Int { rows, cols, bits, group } => {
            format!("i {rows} {cols} {bits} {}", group.unwrap_or(0))
        }
        // Imported, so there is nothing to keep.
        WeightType::Supermask { .. } => return None,
    })
}

fn type_of(text: &str) -> Option<WeightType> {
    let (letter, fields) = text.split_once(' ')?;
    let fields: Vec<usize> = fields.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(match (letter, &fields[..]) {
        ("p", &[rows, cols, sub, k, shared]) => {
            WeightType::Pq { rows, cols, sub, k, shared: shared == 1 }
        }
        ("b", &[rows, cols, bases, block_rows, block_cols]) => {
            WeightType::Bqq { rows, cols, bases, block_rows, block_cols }
        }
        ("i", &[rows, cols, bits, group]) => WeightType::Int {
            rows,
            cols,
            bits: u32::try_from(bits).ok()?,
            group: (group > 0).then_some(group),
        },
        _ => return None,
    })
}

/// Writes a matrix, beside its place and then renamed.
pub fn write(path: &Path, key: &str, matrix: &QuantizedMatrix) -> io::Result<()> {
    let small: Result<Vec<i32>, _> = matrix.ints.iter().map(|&v| i32::try_from(v)).collect();
    let (Some(ty), Ok(ints)) = (type_text(&matrix.ty), small) else {
        return Err(io::Error::other("not of a kind that is kept"));
    };
    let ints = bytes_of_i32(&ints);
    let scale: Vec<u8> = matrix.scale.iter().flat_map(|s| s.to_le_bytes()).collect();
    let view = |dtype, len: usize, bytes| {
        TensorView::new(dtype, vec![len], bytes).map_err(io::Error::other)
    };
    let mut views = vec![
        (INTS.to_string(), view(Dtype::I32, matrix.ints.len(), &ints)?),
        (SCALE.to_string(), view(Dtype::F64, matrix.scale.len(), &scale)?),
    ];
    for (i, bytes) in matrix.tensors.iter().enumerate() {
        views.push((format!("{TENSOR}{i}"), view(Dtype::U8, bytes.len(), bytes)?));
    }
    // One key only: the writer keeps no order of several.
    let about = [(ABOUT.to_string(), format!("{}\n{ty}\n{key}", matrix.bits))];
    let bytes = safetensors::serialize(views, Some(about.into_iter().collect()))
        .map_err(io::Error::other)?;
    replace(&[(path, &bytes)]).map_err(|e| e.1)
}

/// The matrix of that key in a file; none if the file is not there, damaged or of another key.
pub fn read(path: &Path, key: &str) -> Option<QuantizedMatrix> {
    let bytes = std::fs::read(path).ok()?;
    let file = read_tensors(&bytes).ok()?;
    let (_, header) = SafeTensors::read_metadata(&bytes).ok()?;
    let mut about = header.metadata().as_ref()?.get(ABOUT)?.splitn(3, '\n');
    let (bits, ty) = (about.next()?.parse().ok()?, type_of(about.next()?)?);
    if about.next()? != key {
        return None;
    }
    let data = |name: &str| file.tensor(name).ok().map(|t| t.data().to_vec());
    let ints = data(INTS)?;
    let ints =
        ints.chunks_exact(4).map(|b| i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])));
    let scale = data(SCALE)?;
    let scale = scale
        .chunks_exact(8)
        .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]));
    Some(QuantizedMatrix {
        ty,
        tensors: (0..).map_while(|i| data(&format!("{TENSOR}{i}"))).collect(),
        scale: scale.collect(),
        ints: ints.collect(),
        bits,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_comes_back_as_it_was_and_damage_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.safetensors");
        for ty in [
            WeightType::Pq { rows: 2, cols: 4, sub: 2, k: 16, shared: true },
            WeightType::Bqq { rows: 2, cols: 4, bases: 3, block_rows: 1, block_cols: 2 },
            WeightType::Int { rows: 2, cols: 4, bits: 5, group: None },
            WeightType::Int { rows: 2, cols: 4, bits: 5, group: Some(2) },
        ] {
            let matrix = QuantizedMatrix {
                ty,
                tensors: vec![vec![1, 2, 3], vec![], vec![255]],
                scale: vec![0.1, 1.0 / 3.0],
                ints: vec![0, -1, 2147483647, -2147483648, 5, 6, 7, 8],
                bits: 77,
            };
            write(&path, "k", &matrix).unwrap();
            let back = read(&path, "k").unwrap();
            assert_eq!(format!("{back:?}"), format!("{matrix:?}"));
            assert!(read(&path, "other").is_none());
        }
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 7, 40, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(read(&path, "k").is_none(), "cut to {cut}");
        }
        let wide = QuantizedMatrix { ints: vec![1 << 40], ..read_back(&path, &whole) };
        assert!(write(&path, "k", &wide).is_err());
    }

    fn read_back(path: &Path, bytes: &[u8]) -> QuantizedMatrix {
        std::fs::write(path, bytes).unwrap();
        read(path, "k").unwrap()
    }
}
