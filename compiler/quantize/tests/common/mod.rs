//! A small float network in files, and what the tests do with it.

#![allow(dead_code)] // Each test binary uses its part.

use pimc_ir::Model;
use pimc_quantize::random::Rng;
use pimc_quantize::{quantize, Quantized, Request, Silent};
use safetensors::tensor::TensorView;
use safetensors::Dtype;
use std::path::Path;
use std::sync::Arc;

/// A tensor to write: name, shape, values.
pub type Real<'a> = (&'a str, Vec<usize>, Vec<f32>);

/// `count` normal values of standard deviation `sigma`.
pub fn normal(seed: u64, count: usize, sigma: f64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..count).map(|_| (rng.normal() * sigma) as f32).collect()
}

/// Writes float tensors.
pub fn write_f32(path: &Path, tensors: &[Real<'_>]) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, _, v)| v.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape, _), b)| {
        (*name, TensorView::new(Dtype::F32, shape.clone(), b).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A folder with `weights.safetensors` (three layers 12-16-16-4, a mask and its magnitude) and
/// `samples.safetensors` (40 samples).
pub fn network() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mask: Vec<f32> = (0..64).map(|i| ((i * 7) % 3 == 0) as u8 as f32).collect();
    write_f32(
        &dir.path().join("weights.safetensors"),
        &[
            ("a.weight", vec![16, 12], normal(1, 192, 0.3)),
            ("a.bias", vec![16], normal(2, 16, 0.1)),
            ("b.weight", vec![16, 16], normal(3, 256, 0.25)),
            ("b.bias", vec![16], normal(4, 16, 0.1)),
            ("c.mask", vec![4, 16], mask),
            ("c.scores", vec![4, 16], normal(5, 64, 1.0)),
            ("c.sigma", vec![1], vec![0.25]),
            ("c.bias", vec![4], normal(6, 4, 0.1)),
        ],
    );
    write_f32(&dir.path().join("samples.safetensors"), &[("x", vec![40, 12], normal(7, 480, 1.0))]);
    dir
}

/// Quantizes `recipe` in the folder of a network.
pub fn run(dir: &Path, recipe: &str) -> Result<Quantized, pimc_ir::Diagnostics> {
    let path = dir.join("recipe.toml");
    std::fs::write(&path, recipe).unwrap();
    let weights = dir.join("weights.safetensors");
    let (model, tensors) = (dir.join("m.ir"), dir.join("m.safetensors"));
    let request = Request {
        recipe: &path,
        weights: &weights,
        tensor_file: "m.safetensors",
        writes: &[&model, &tensors],
    };
    quantize(&request, &Silent)
}

/// The verified model of a result.
pub fn model(q: &Quantized) -> Model {
    let bytes = Arc::new(q.tensors.clone());
    pimc_ir::load_from(q.ir_text.clone(), "m.ir".to_string(), &|name| {
        assert_eq!(name, "m.safetensors");
        Ok(bytes.clone())
    })
    .unwrap()
}
