//! One point: lowered, checked, measured. No tree is written.

use pimc_ir::{Code, Diagnostic, Diagnostics, Model};
use pimc_lower::area::Area;
use pimc_lower::report::Report;
use pimc_lower::{try_lower, Target};
use serde::{Deserialize, Serialize};

/// What came of a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It can be built.
    Fits {
        /// What it costs.
        cost: Cost,
        /// What it computes, compared with what it should.
        quality: Quality,
    },
    /// It cannot.
    DoesNotFit {
        /// The diagnostic's code.
        code: String,
        /// Why, in one sentence.
        why: String,
    },
}

impl Outcome {
    /// The outcome of what the first of these diagnostics says.
    pub fn refused(found: &Diagnostics) -> Outcome {
        let (code, why) = found.list().first().map_or_else(
            || ("".to_string(), "nobody says why".to_string()),
            |d| (d.code.to_string(), sentence(d)),
        );
        Outcome::DoesNotFit { code, why }
    }
}

/// A diagnostic in one line: what does not hold, and the numbers that its label gives.
fn sentence(d: &Diagnostic) -> String {
    let label = d.primary.as_ref().map_or("", |l| l.text.as_str());
    let message = match d.code {
        // "the model does not fit target `name`: memory", where the target has a column of its own.
        Code::P0606 => d.message.split_once(": ").map_or(d.message.as_str(), |m| m.1),
        _ => d.message.as_str(),
    };
    let text = if label.is_empty() { message.into() } else { format!("{message}: {label}") };
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a point costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Clocks of a run.
    pub cycles: u64,
    /// The same in microseconds.
    pub microseconds: f64,
    /// Bytes of columns that a run reads, in all banks.
    pub streamed_bytes: u64,
    /// Bytes of the DRAM rows that the weights occupy, in all banks.
    pub dram_bytes: u64,
    /// Bandwidth of a bank over the whole run, as a share of the limit after rows and refresh.
    pub share_of_limit: f64,
    /// The area proxy.
    pub area: Area,
}

/// How good the weights are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Whether the weights are the model's own.
    pub unchanged: bool,
    /// Squared error of the weights over their variance, the mean over all weights; of real weights.
    pub weight_error: Option<f64>,
    /// Relative squared error of the last layer's results on calibration samples.
    pub activation_error: Option<f64>,
    /// Against the unchanged model's results on the given inputs.
    pub outputs: Option<Outputs>,
}

/// Results compared with the unchanged model's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// Share of inputs whose largest result is at the same place; of results of one element, those
    /// that are equal.
    pub agreement: f64,
    /// Squared difference over the squared size, after the one factor that makes it least: another
    /// format may count in another step. None for results of one element.
    pub difference: Option<f64>,
    /// Share of inputs whose largest result is at the place that the file's labels say.
    pub accuracy: Option<f64>,
}

impl Quality {
    /// The error that points are compared by: 0 for the model's own weights; otherwise that of the
    /// results, or without calibration samples that of the weights.
    pub fn error(&self) -> f64 {
        if self.unchanged {
            return 0.0;
        }
        self.activation_error.or(self.weight_error).unwrap_or(0.0)
    }
}

/// A failure that is pimc's own.
#[derive(Debug)]
pub struct Bug(pub String);

/// Lowers a model to a target and measures what came out.
///
/// # Errors
/// A schedule that is illegal, which would be a mistake of the compiler.
pub fn evaluate(model: &Model, target: &Target, quality: &Quality) -> Result<Outcome, Bug> {
    let plan = match try_lower(model, target) {
        Ok(plan) => plan,
        Err(refused) => return Ok(Outcome::refused(&refused.found)),
    };
    let violation = plan.violation().map_err(|e| Bug(e.to_string()))?;
    if let Some(violation) = violation {
        return Err(Bug(format!("an illegal schedule for {}: {violation}", target.name)));
    }
    let run = Report::new(&plan, model).run;
    let units = u64::from(target.units());
    let cost = Cost {
        cycles: run.cycles,
        microseconds: run.microseconds,
        streamed_bytes: run.reads * u64::from(target.column_bits) / 8 * units,
        dram_bytes: u64::from(plan.dram_rows) * target.row_bytes() * units,
        share_of_limit: run.share_of_limit,
        area: Area::of(&plan.shape),
    };
    Ok(Outcome::Fits { cost, quality: quality.clone() })
}
