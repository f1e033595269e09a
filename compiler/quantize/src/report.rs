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
    /// None of a cache, whose heads have steps of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_step: Option<f64>,
    /// Real value of one step of the result; none when it is an index, and of a cache.
    pub result_step: Option<f64>,
    /// Calibration samples on which the activation errors were measured.
    pub samples: usize,
    /// Share of these samples on which the largest result is the float network's.
    pub agreement: Option<f64>,
    /// Layers in order.
    pub layers: Vec<LayerReport>,
    /// The cache, of a recipe that is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheReport>,
}

/// A cache and its error. Errors are the distance of the attention's results from those without
/// compression over their size, cosines those between the two; means over the heads.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct CacheReport {
    /// Its name.
    pub name: String,
    /// Its type in the language.
    pub format: String,
    /// The basis of its sub-vectors.
    pub basis: String,
    /// Bits of the codes per element of a compressed key or value.
    pub bits_per_value: f64,
    /// Bytes of all codebooks.
    pub codebook_bytes: usize,
    /// Tokens that the codebooks are trained on.
    pub trained_tokens: usize,
    /// Real value of one step of the queries, of each query head.
    pub query_steps: Vec<f64>,
    /// Real value of one step of the keys, of each key/value head.
    pub key_steps: Vec<f64>,
    /// Real value of one step of the values, of each key/value head; results have 2^frac more.
    pub value_steps: Vec<f64>,
    /// Error of the codes alone, all else in real numbers.
    pub real_error: f64,
    /// Cosine of the codes alone.
    pub real_cosine: f64,
    /// Error in integers.
    pub integer_error: f64,
    /// Cosine in integers.
    pub integer_cosine: f64,
}

impl Report {
    /// The error table as text.
    pub fn to_table(&self) -> String {
        let mut out = String::new();
        if let Some(cache) = &self.cache {
            let _ = writeln!(out, "@{} : {}, basis {}", cache.name, cache.format, cache.basis);
            let _ = writeln!(
                out,
                "{:.2} bits/value, {} bytes of codebooks, trained on {} tokens",
                cache.bits_per_value, cache.codebook_bytes, cache.trained_tokens
            );
            let _ = writeln!(
                out,
                "attention of {} tokens: error {:.4}, cosine {:.4}; in integers {:.4}, {:.4}",
                self.samples,
                cache.real_error,
                cache.real_cosine,
                cache.integer_error,
                cache.integer_cosine
            );
            return out;
        }
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
