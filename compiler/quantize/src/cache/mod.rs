//! Key/value caches: codebooks of real keys and values, for the cache of the language.

pub mod basis;
pub mod heads;
pub mod integer;
pub mod kmeans;
pub mod measure;
pub(crate) mod quantize;
pub mod recipe;
pub mod train;

use integer::FileTensor;
use pimc_ir::{Code, Diagnostic, Diagnostics};
use safetensors::tensor::TensorView;

/// The tensor file of these tensors.
fn file_bytes(tensors: &[FileTensor], metadata: &str) -> Result<Vec<u8>, String> {
    let mut views = Vec::new();
    for (name, dtype, shape, bytes) in tensors {
        let view =
            TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| format!("{name}: {e}"))?;
        views.push((name, view));
    }
    let info = [(crate::METADATA_KEY.to_string(), metadata.to_string())].into_iter().collect();
    safetensors::serialize(views, Some(info)).map_err(|e| e.to_string())
}

/// P0408: what no input should lead to.
fn mistake(file: &str, what: String) -> Diagnostics {
    let help = "this is a mistake of the quantizer, not of its input";
    Diagnostics::one(file, Diagnostic::error(Code::P0408, what).help(help))
}
