//! The sets of weights of a sweep: the model's own, or a recipe with its formats changed.

use crate::axes::{Axis, Choice, Place};
use crate::digest::digest;
use crate::evaluate::{Outputs, Quality};
use crate::files::write_all;
use pimc_golden::GoldenError;
use pimc_ir::{load, load_from, BatchFile, Diagnostic, Diagnostics, Model};
use pimc_quantize::change::{changed, Change};
use pimc_quantize::{RecipeText, Series, METADATA_KEY};
use rayon::prelude::*;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One set of weights, not yet made.
#[derive(Clone, Debug)]
pub struct Weights {
    /// What tells it from every other set.
    pub digest: String,
    /// The recipe to quantize by; none is the model as it is.
    pub recipe: Option<RecipeText>,
    /// Its files in the folder of models, without an ending.
    pub name: String,
}

/// A set of weights as a model.
pub struct Made {
    /// The model.
    pub model: Model,
    /// How good it is, outputs left out.
    pub quality: Quality,
}

/// The set of weights of a choice of values of the format axes.
///
/// # Errors
/// What is wrong with the recipe.
pub fn of_choice(
    recipe: &RecipeText,
    axes: &[&Axis],
    choice: &Choice,
    origin: &str,
) -> Result<Weights, Diagnostics> {
    let values: Vec<_> = axes.iter().zip(choice).map(|(axis, &v)| &axis.values[v]).collect();
    let changes: Vec<Change<'_>> = axes
        .iter()
        .zip(&values)
        .filter_map(|(axis, value)| match &axis.place {
            Place::Format { layer, key } => {
                Some(Change { layer: layer.as_deref(), key, value: &value.toml })
            }
            Place::Target { .. } => None,
        })
        .collect();
    let (text, _) = changed(&recipe.text, &recipe.file_name, &changes)?;
    let digest = digest(&[origin, &text]);
    // For people; the digest makes it the only one.
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
    let parts = axes.iter().zip(&values).map(|(a, v)| format!("{}-{}", a.name(), v.shown));
    let mut name: String = parts.collect::<Vec<_>>().join("-").chars().take(80).collect();
    name = name.chars().map(|c| if c == '-' { c } else { plain(c) }).collect();
    let name = format!("{name}-{}", &digest[..12]).trim_start_matches('-').to_string();
    Ok(Weights { digest, recipe: Some(RecipeText { text, ..recipe.clone() }), name })
}

/// The files of a set of weights in a folder.
fn paths(folder: &Path, name: &str) -> [PathBuf; 3] {
    ["ir", "safetensors", "toml"].map(|ending| folder.join(format!("{name}.{ending}")))
}

/// Whether an earlier run left a set of weights in the folder: the module is written last.
pub fn is_there(folder: &Path, name: &str) -> bool {
    paths(folder, name)[0].is_file()
}

/// A set of weights that an earlier run left in the folder, if it is whole.
pub fn left(folder: &Path, name: &str) -> Option<Made> {
    let [module, tensors, _] = paths(folder, name);
    let model = load(&module).ok()?;
    let bytes = std::fs::read(tensors).ok()?;
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).ok()?;
    let report = metadata.metadata().as_ref()?.get(METADATA_KEY)?;
    let report: Value = serde_json::from_str(report).ok()?;
    let quality = quality(&report, &model);
    Some(Made { model, quality })
}

/// Quantizes a set of weights and leaves it in the folder.
///
/// # Errors
/// What the quantizer says; a folder that cannot be written to.
pub fn make(
    series: &Series,
    recipe: &RecipeText,
    folder: &Path,
    name: &str,
) -> Result<Made, Diagnostics> {
    let made = series.quantize(recipe, &format!("{name}.safetensors"))?;
    let [module, tensors, text] = paths(folder, name);
    // The module last: where it is, all of it is.
    write_all(&[
        (&text, recipe.text.as_bytes()),
        (&tensors, &made.tensors),
        (&module, made.ir_text.as_bytes()),
    ])?;
    let report = serde_json::to_value(&made.report).unwrap_or_default();
    let bytes: Arc<Vec<u8>> = Arc::new(made.tensors);
    let model = load_from(made.ir_text, format!("{name}.ir"), &|_| Ok(bytes.clone()))?;
    let quality = quality(&report, &model);
    Ok(Made { model, quality })
}

/// The errors of a quantizer's report.
fn quality(report: &Value, model: &Model) -> Quality {
    let layers = report["layers"].as_array().map_or(&[][..], Vec::as_slice);
    let (mut error, mut size) = (0.0, 0.0);
    for layer in layers {
        let of_layer = |w: &&pimc_ir::Weight| layer["name"] == w.name.text.as_str();
        let weight = model.module.weights.iter().find(of_layer);
        let elements = weight.map_or(0.0, |w| w.ty.rows() as f64 * w.ty.cols() as f64);
        error += layer["weight_error"].as_f64().unwrap_or(0.0) * elements;
        size += elements;
    }
    Quality {
        unchanged: false,
        weight_error: (size > 0.0).then_some(error / size),
        activation_error: layers.last().and_then(|l| l["activation_error"].as_f64()),
        outputs: None,
    }
}

/// Inputs on which results are compared, and what the unchanged model makes of them.
pub struct Reference {
    inputs: Vec<Vec<Vec<i64>>>,
    results: Vec<Vec<i64>>,
    labels: Option<Vec<i64>>,
}

/// The tensor of labels beside the inputs: one integer a vector.
const LABELS: &str = "labels";

impl Reference {
    /// Reads the inputs and runs the unchanged model on them.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn new(path: &Path, model: &Model) -> Result<Reference, Diagnostics> {
        let file = BatchFile::open(path)?;
        let batches = file.read_inputs(&model.module.func)?;
        let count = batches.first().map_or(0, Vec::len);
        let vector = |i: usize| batches.iter().map(|b| b[i].clone()).collect::<Vec<_>>();
        let inputs: Vec<_> = (0..count).map(vector).collect();
        let results = outputs(model, &inputs)?;
        let one = pimc_ir::VecTy { elem: pimc_ir::I8, len: 1 };
        let labels = file.read(LABELS, one).ok().filter(|l| l.len() == count);
        let labels = labels.map(|l| l.into_iter().flatten().collect());
        Ok(Reference { inputs, results, labels })
    }

    /// Compares another model of the same function.
    ///
    /// # Errors
    /// A model that does not take these inputs.
    pub fn compare(&self, model: &Model) -> Result<Outputs, Diagnostics> {
        let got = outputs(model, &self.inputs)?;
        let count = got.len().max(1) as f64;
        let share = |same: usize| same as f64 / count;
        let pairs = || got.iter().zip(&self.results);
        let labels = self.labels.as_ref();
        Ok(Outputs {
            agreement: share(pairs().filter(|(g, w)| class(g) == class(w)).count()),
            difference: difference(pairs()),
            accuracy: labels
                .map(|l| share(got.iter().zip(l).filter(|(g, l)| class(g) == **l).count())),
        })
    }
}

/// The class that a result says: the place of its largest element, or its one element.
fn class(result: &[i64]) -> i64 {
    match result {
        [one] => *one,
        _ => {
            let best = result.iter().enumerate().max_by_key(|(i, v)| (**v, usize::MAX - i));
            best.map_or(0, |(i, _)| i as i64)
        }
    }
}

/// min over f of |f got - want|^2 / |want|^2, over all results of several elements.
fn difference<'a>(pairs: impl Iterator<Item = (&'a Vec<i64>, &'a Vec<i64>)>) -> Option<f64> {
    let (mut gg, mut gw, mut ww) = (0.0, 0.0, 0.0);
    for (got, want) in pairs {
        if want.len() < 2 || got.len() != want.len() {
            return None;
        }
        for (&g, &w) in got.iter().zip(want) {
            let (g, w) = (g as f64, w as f64);
            gg += g * g;
            gw += g * w;
            ww += w * w;
        }
    }
    if ww == 0.0 {
        return Some(if gg == 0.0 { 0.0 } else { 1.0 });
    }
    Some(if gg == 0.0 { 1.0 } else { ((ww - gw * gw / gg) / ww).max(0.0) })
}

fn outputs(model: &Model, inputs: &[Vec<Vec<i64>>]) -> Result<Vec<Vec<i64>>, Diagnostics> {
    let run = |x: &Vec<Vec<i64>>| pimc_golden::run(model, x).map(|t| t.result().to_vec());
    let all: Result<_, GoldenError> = if model.module.caches.is_empty() {
        inputs.par_iter().map(run).collect()
    } else {
        // Each is a step that begins where the one before it ended.
        let mut state = pimc_golden::State::initial(model);
        let step = |x: &Vec<Vec<i64>>| {
            pimc_golden::run_step(model, &mut state, x).map(|t| t.result().to_vec())
        };
        inputs.iter().map(step).collect()
    };
    all.map_err(|e| {
        let d = Diagnostic::error(pimc_ir::Code::P0405, e.to_string());
        let help = "the recipe must make a function of the model's inputs";
        Diagnostics::one(model.file_name.clone(), d.help(help))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_the_first_largest_or_the_one_element() {
        assert_eq!(class(&[7]), 7);
        assert_eq!(class(&[1, 5, 5, 2]), 1);
        assert_eq!(class(&[-3, -2]), 1);
    }

    #[test]
    fn a_factor_is_no_difference() {
        let of = |got: &[i64], want: &[i64]| {
            difference([(&got.to_vec(), &want.to_vec())].into_iter()).unwrap()
        };
        assert!(of(&[2, 4, -6], &[1, 2, -3]) < 1e-12);
        assert_eq!(of(&[1, 0], &[0, 1]), 1.0);
        assert_eq!(of(&[0, 0], &[0, 1]), 1.0);
        assert!((of(&[1, 1], &[1, 0]) - 0.5).abs() < 1e-12);
        assert_eq!(difference([(&vec![1], &vec![1])].into_iter()), None);
    }
}
