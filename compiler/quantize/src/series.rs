//! The same weights by one recipe after another, each matrix only once in each of its formats.

use crate::kept;
use crate::layers::{read_layers, Layer};
use crate::matrix::QuantizedMatrix;
use crate::quantize::{open, Progress, Quantized, RecipeText, Run, Silent};
use crate::section::Problems;
use crate::source::Source;
use pimc_ir::checksum::sha256;
use pimc_ir::Diagnostics;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Bytes of matrices that are kept in memory at most; more are made again when they are needed again.
const KEPT_BYTES: usize = 2 << 30;

/// A file of weights, and the matrices made of it so far: in a folder, or else in memory.
pub struct Series {
    source: Source,
    folder: Option<PathBuf>,
    made: Mutex<BTreeMap<String, Arc<QuantizedMatrix>>>,
}

impl Series {
    /// Opens the weights, a safetensors file.
    ///
    /// # Errors
    /// P0401, P0402.
    pub fn open(weights: &Path) -> Result<Series, Diagnostics> {
        Ok(Series { source: open(weights)?, folder: None, made: Mutex::default() })
    }

    /// Keeps matrices in this folder from now on, which is there, and takes those that are in it.
    pub fn keep_in(&mut self, folder: &Path) {
        self.folder = Some(folder.to_path_buf());
    }

    /// What a matrix follows from; none for one that is imported.
    fn key(&self, seed: u64, layer: &Layer<'_>) -> Option<String> {
        let version = env!("CARGO_PKG_VERSION");
        layer.task().map(|task| format!("{version} {} {seed} {task}", self.source.sha256))
    }

    /// The file of a matrix.
    fn path(&self, key: &str) -> Option<PathBuf> {
        let name = sha256(key.as_bytes());
        self.folder.as_ref().map(|folder| folder.join(format!("{name}.safetensors")))
    }

    /// SHA-256 of the weights, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.source.sha256
    }

    fn is_kept(&self, key: &str) -> bool {
        self.path(key).is_some_and(|path| path.is_file())
            || self.made.lock().is_ok_and(|made| made.contains_key(key))
    }

    fn kept(&self, key: &str) -> Option<QuantizedMatrix> {
        let in_memory = self.made.lock().ok().and_then(|made| made.get(key).cloned());
        match in_memory {
            Some(matrix) => Some((*matrix).clone()),
            None => kept::read(&self.path(key)?, key),
        }
    }

    fn keep(&self, key: String, matrix: QuantizedMatrix) {
        // What the folder does not take is kept in memory.
        if self.path(&key).is_some_and(|path| kept::write(&path, &key, &matrix).is_ok()) {
            return;
        }
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
                if let Some(key) = self.key(recipe.seed, &layer).filter(|k| !self.is_kept(k)) {
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
            let kept = self.key(recipe.seed, layer).and_then(|key| self.kept(&key));
            kept.unwrap_or_else(|| run.matrix(layer))
        })
    }
}
