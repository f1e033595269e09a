//! What was done and how well: the error table, and the provenance in the tensor file.

use serde::Serialize;
use std::fmt::Write;

/// A file that went in.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Origin {
    /// Its name without folders.
    pub file: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// One layer of the error table.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct LayerReport {
    /// Its name.
    pub name: String,
    /// Its type in the language.
    pub format: String,
    /// Stored bits per weight, codebooks, scalars and scales included.
    pub bits_per_weight: f64,
    /// Squared error of the weights over their variance; of an imported supermask 0.
    pub weight_error: f64,
    /// Real value of one integer step of the weights; of the first row where rows differ.
    pub weight_step: f64,
    /// Real value of one step of the layer's result.
    pub result_step: f64,
    /// Squared error of the layer's results in the integer network over the mean square of those of
    /// the float network, on calibration samples; none without them, or if that network overflows.
    pub activation_error: Option<f64>,
}

/// The whole run. It is also the metadata of the tensor file.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Report {
    /// Version of this structure.
    pub format_version: u32,
    /// Name and version of the quantizer.
    pub tool: String,
    /// The recipe.
    pub recipe: Origin,
    /// The weights.
    pub source: Origin,
    /// The calibration data.
    pub calibration: Option<Origin>,
    /// Real value of one step of the input: x_q = x / step, rounded half away from zero, -128..=127.
    pub input_step: f64,
    /// Real value of one step of the result; none when it is an index.
    pub result_step: Option<f64>,
    /// Calibration samples on which the activation errors were measured.
    pub samples: usize,
    /// Share of these samples on which the largest result is the float network's.
    pub agreement: Option<f64>,
    /// Layers in order.
    pub layers: Vec<LayerReport>,
}

impl Report {
    /// The error table as text.
    pub fn to_table(&self) -> String {
        let mut out = String::new();
        let width = self.layers.iter().map(|l| l.format.len()).max().unwrap_or(0).max(6);
        let names = self.layers.iter().map(|l| l.name.len()).max().unwrap_or(0).max(5);
        let _ = writeln!(
            out,
            "{:names$}  {:width$}  {:>11}  {:>12}  {:>16}",
            "layer", "format", "bits/weight", "weight error", "activation error"
        );
        for l in &self.layers {
            let activation = l.activation_error.map_or("-".to_string(), |e| format!("{e:.5}"));
            let _ = writeln!(
                out,
                "{:names$}  {:width$}  {:>11.3}  {:>12.5}  {:>16}",
                l.name, l.format, l.bits_per_weight, l.weight_error, activation
            );
        }
        if let Some(share) = self.agreement {
            let _ = writeln!(
                out,
                "largest result as in the float network: {:.2} % of {} samples",
                100.0 * share,
                self.samples
            );
        }
        out
    }
}
