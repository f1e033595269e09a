//! One point: lowered, checked, measured. No tree is written.

use pimc_ir::{Code, Diagnostic, Diagnostics, Model};
use pimc_lower::area::Area;
use pimc_lower::attention::literal::FormPlan;
use pimc_lower::report::{FormRun, RunPart};
use pimc_lower::{try_lower_any, Lowered, Target};
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
    /// It is a schedule for comparison (`attention = "indirect"`), and there is no hardware.
    Schedule {
        /// What it takes.
        cost: ScheduleCost,
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

/// What a schedule takes of which there is no hardware.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleCost {
    /// Clocks of a run.
    pub cycles: u64,
    /// The same in microseconds.
    pub microseconds: f64,
    /// Bytes of columns that a run reads, in all banks.
    pub streamed_bytes: u64,
    /// Bytes of the DRAM rows that are used, in all banks.
    pub dram_bytes: u64,
    /// Bandwidth of a bank over the whole run, as a share of the limit after rows and refresh.
    pub share_of_limit: f64,
}

impl From<&Cost> for ScheduleCost {
    fn from(cost: &Cost) -> ScheduleCost {
        let &Cost { cycles, microseconds, streamed_bytes, dram_bytes, share_of_limit, .. } = cost;
        ScheduleCost { cycles, microseconds, streamed_bytes, dram_bytes, share_of_limit }
    }
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
    let illegal = |violation| Bug(format!("an illegal schedule for {}: {violation}", target.name));
    let plan = match try_lower_any(model, target) {
        Ok(Lowered::Hardware(plan)) => plan,
        Ok(Lowered::Form(plan)) => {
            return match plan.violation().0 {
                Some(violation) => Err(illegal(violation)),
                None => Ok(Outcome::Schedule { cost: schedule_cost(&plan) }),
            };
        }
        Err(refused) => return Ok(Outcome::refused(&refused.found)),
    };
    if let Some(violation) = plan.violation().map_err(|e| Bug(e.to_string()))? {
        return Err(illegal(violation));
    }
    let run = RunPart::of(&plan);
    let cost = Cost {
        cycles: run.cycles,
        microseconds: run.microseconds,
        streamed_bytes: bytes_read(target, run.reads),
        dram_bytes: bytes_of_rows(target, plan.dram_rows.into()),
        share_of_limit: run.share_of_limit,
        area: Area::of(&plan.shape),
    };
    Ok(Outcome::Fits { cost, quality: quality.clone() })
}

/// Bytes of so many columns of every bank.
fn bytes_read(target: &Target, columns: u64) -> u64 {
    columns * u64::from(target.column_bits) / 8 * u64::from(target.units())
}

/// Bytes of so many rows of every bank.
fn bytes_of_rows(target: &Target, rows: u64) -> u64 {
    rows * target.row_bytes() * u64::from(target.units())
}

fn schedule_cost(plan: &FormPlan) -> ScheduleCost {
    let (target, run) = (&plan.target, FormRun::new(plan, &plan.first_step()));
    let bytes = run.reads as f64 * f64::from(target.column_bits) / 8.0;
    let bank_gb_s = bytes / (run.microseconds * 1e3);
    ScheduleCost {
        cycles: run.cycles,
        microseconds: run.microseconds,
        streamed_bytes: bytes_read(target, run.reads),
        dram_bytes: bytes_of_rows(target, plan.layout.rows()),
        share_of_limit: bank_gb_s / target.limits().after_refresh,
    }
}
