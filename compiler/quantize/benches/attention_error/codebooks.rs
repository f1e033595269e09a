//! What compresses the keys and values of all heads, as files: `examples/attention/sentences.py`
//! computes with them what a whole model makes of compressed keys and values.
//!
//! `subS-kK-BASIS.safetensors` has for both sides of every layer, `layerL.keys` and `layerL.values`,
//! - `.map`, `.inverse` f64 [heads, dim, dim] and `.offset` f64 [heads, dim]: a vector is coded as
//!   map x - offset, and a decoded one is inverse (y + offset);
//! - `.centroids` f32 [heads, dim/sub, k, sub].
//!
//! `uniform-B.safetensors` has `.mean` and `.deviation` f32 [heads, dim] instead. Each file has `error` f64
//! [layers, heads] too, that of the attention on the test text, for the reader to compare with its own.

use super::{name_of, spread, trained, uniform_head, Data, Failure};
use super::{DIM, EFFORT, FORMATS, HEADS, LAYERS, NOTHING, UNIFORM};
use pimc_quantize::cache::basis::{Basis, BasisKind};
use pimc_quantize::cache::heads::{Deviation, Head};
use pimc_quantize::cache::measure;
use pimc_quantize::cache::train::CacheSettings;
use rayon::prelude::*;
use safetensors::tensor::TensorView;
use safetensors::Dtype;
use std::path::Path;

/// The tensors of a file.
#[derive(Default)]
struct Tensors(Vec<(String, Dtype, Vec<usize>, Vec<u8>)>);

impl Tensors {
    fn doubles(&mut self, name: String, shape: &[usize], values: impl Iterator<Item = f64>) {
        self.0.push((
            name,
            Dtype::F64,
            shape.to_vec(),
            values.flat_map(f64::to_le_bytes).collect(),
        ));
    }

    fn singles(&mut self, name: String, shape: &[usize], values: impl Iterator<Item = f32>) {
        self.0.push((
            name,
            Dtype::F32,
            shape.to_vec(),
            values.flat_map(f32::to_le_bytes).collect(),
        ));
    }

    /// The bases and centroids of one side of a layer's heads.
    fn side(&mut self, name: &str, sub: usize, side: &[(&Basis, &[f32])]) {
        let square = [HEADS, DIM, DIM];
        let all = |of: fn(&Basis) -> Vec<f64>| side.iter().flat_map(move |s| of(s.0));
        self.doubles(format!("{name}.map"), &square, all(|b| b.map.clone()));
        self.doubles(format!("{name}.inverse"), &square, all(Basis::inverse));
        self.doubles(format!("{name}.offset"), &square[..2], all(|b| b.offset.clone()));
        let k = side[0].1.len() / DIM;
        let centroids = side.iter().flat_map(|s| s.1.iter().copied());
        self.singles(format!("{name}.centroids"), &[HEADS, DIM / sub, k, sub], centroids);
    }

    /// Mean and deviation of the elements of one side of a layer's heads.
    fn spreads(&mut self, name: &str, all: impl Iterator<Item = (f32, f32)>) {
        let (mean, deviation): (Vec<f32>, Vec<f32>) = all.unzip();
        self.singles(format!("{name}.mean"), &[HEADS, DIM], mean.into_iter());
        self.singles(format!("{name}.deviation"), &[HEADS, DIM], deviation.into_iter());
    }

    /// Writes the file, with the error of every head beside the rest.
    fn write(mut self, file: &Path, all: &[Deviation]) -> Result<(), Failure> {
        let errors = all.iter().map(Deviation::relative);
        self.doubles("error".to_string(), &[LAYERS, HEADS], errors);
        let mut views = Vec::new();
        for (name, dtype, shape, bytes) in &self.0 {
            views.push((name, TensorView::new(*dtype, shape.clone(), bytes)?));
        }
        std::fs::write(file, safetensors::serialize(views, None)?)?;
        let (error, cosine) = measure::summary(all);
        eprintln!("{}: error {error:.3}, cosine {cosine:.3}", file.display());
        Ok(())
    }
}

fn codes(data: &Data, settings: &CacheSettings, file: &Path) -> Result<(), Failure> {
    let books = trained(data, settings);
    let (mut tensors, mut error) = (Tensors::default(), Vec::new());
    for (layer, (test, books)) in data.test.iter().zip(&books).enumerate() {
        let keys: Vec<_> = books.iter().map(|b| (&b.key_basis, &b.keys[..])).collect();
        tensors.side(&format!("layer{layer}.keys"), settings.sub, &keys);
        let values: Vec<_> = books.iter().map(|b| (&b.value_basis, &b.values[..])).collect();
        tensors.side(&format!("layer{layer}.values"), settings.sub, &values);
        error.extend(measure::real(test, books, &data.view, &NOTHING));
    }
    tensors.write(file, &error)
}

fn uniform(data: &Data, bits: u32, file: &Path) -> Result<(), Failure> {
    let (mut tensors, mut error) = (Tensors::default(), Vec::new());
    for (layer, (train, test)) in data.train.iter().zip(&data.test).enumerate() {
        let spreads = |of: fn(&Head) -> &[f32]| train.iter().flat_map(move |h| spread(of(h), DIM));
        tensors.spreads(&format!("layer{layer}.keys"), spreads(|h| &h.keys));
        tensors.spreads(&format!("layer{layer}.values"), spreads(|h| &h.values));
        let heads: Vec<(&Head, &Head)> = train.iter().zip(test).collect();
        let of_head = |(train, test): &(&Head, &Head)| uniform_head(data, train, test, bits);
        error.extend(heads.par_iter().map(of_head).collect::<Vec<_>>());
    }
    tensors.write(file, &error)
}

/// Trains all formats and writes a file of each into `folder`, the ones of few bits first.
pub fn write(data: &Data, folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    let file = |name: String| folder.join(name + ".safetensors");
    for (sub, k) in FORMATS {
        for basis in [BasisKind::Model, BasisKind::Rotated] {
            let settings = CacheSettings { sub, k, basis, effort: EFFORT };
            codes(data, &settings, &file(format!("sub{sub}-k{k}-{}", name_of(basis))))?;
        }
    }
    for bits in UNIFORM {
        uniform(data, bits, &file(format!("uniform-{bits}")))?;
    }
    Ok(())
}
