//! The same weights by one recipe after another, each matrix only once in each of its formats.

use crate::layers::{read_layers, Layer};
use crate::matrix::QuantizedMatrix;
use crate::quantize::{open, Progress, Quantized, RecipeText, Run, Silent};
use crate::section::Problems;
use crate::source::Source;
use pimc_ir::Diagnostics;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Bytes of matrices that are kept at most; more are made again when they are needed again.
const KEPT_BYTES: usize = 2 << 30;

/// A file of weights, and the matrices made of it so far.
pub struct Series {
    source: Source,
    made: Mutex<BTreeMap<String, Arc<QuantizedMatrix>>>,
}

/// Under which name a matrix is kept.
fn key(seed: u64, layer: &Layer<'_>) -> Option<String> {
    layer.task().map(|task| format!("{seed} {task}"))
}

impl Series {
    /// Opens the weights, a safetensors file.
    ///
    /// # Errors
    /// P0401, P0402.
    pub fn open(weights: &Path) -> Result<Series, Diagnostics> {
        Ok(Series { source: open(weights)?, made: Mutex::default() })
    }

    /// SHA-256 of the weights, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.source.sha256
    }

    fn kept(&self, key: &str) -> Option<Arc<QuantizedMatrix>> {
        self.made.lock().ok().and_then(|made| made.get(key).cloned())
    }

    fn keep(&self, key: String, matrix: QuantizedMatrix) {
        let bytes = |m: &QuantizedMatrix| {
            m.ints.len() * size_of::<i64>() + m.tensors.iter().map(Vec::len).sum::<usize>()
        };
        if let Ok(mut made) = self.made.lock() {
            let kept: usize = made.values().map(|m| bytes(m)).sum();
            if kept + bytes(&matrix) <= KEPT_BYTES {
                made.insert(key, Arc::new(matrix));
            }
        }
    }

    /// Makes the matrices that these recipes need and that are not there yet, side by side. What is
    /// wrong with a recipe is for [`Series::quantize`] to say.
    pub fn prepare(&self, texts: &[RecipeText], progress: &dyn Progress) {
        let recipes: Vec<_> = texts.iter().filter_map(|t| t.parsed().ok()).collect();
        let mut tasks = BTreeMap::new();
        for recipe in &recipes {
            let problems = Problems::default();
            let layers = read_layers(recipe, &self.source, &problems);
            for layer in layers.into_iter().filter(|_| problems.is_empty()) {
                if let Some(key) = key(recipe.seed, &layer).filter(|k| self.kept(k).is_none()) {
                    tasks.insert(key, (recipe.seed, layer));
                }
            }
        }
        progress.begin("quantizing", tasks.values().map(|(_, layer)| layer.steps()).sum());
        tasks.into_par_iter().for_each(|(key, (seed, layer))| {
            self.keep(key, layer.quantize(seed, &|| progress.step()));
        });
    }

    /// As [`crate::quantize()`], of a recipe that is there as text. Nothing is written.
    ///
    /// # Errors
    /// As [`crate::quantize()`].
    pub fn quantize(&self, text: &RecipeText, tensor_file: &str) -> Result<Quantized, Diagnostics> {
        let recipe = text.parsed()?;
        let run = Run {
            text,
            recipe: &recipe,
            source: &self.source,
            tensor_file,
            writes: &[],
            progress: &Silent,
        };
        run.whole(&|layer| {
            let kept = key(recipe.seed, layer).and_then(|key| self.kept(&key));
            kept.map_or_else(|| run.matrix(layer), |kept| (*kept).clone())
        })
    }
}
