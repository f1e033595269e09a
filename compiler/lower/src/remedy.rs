//! The smallest change of a target that makes room for a model.
//!
//! A budget that is too small is set to just what was needed, and the model lowered again, since a
//! larger budget can bring another mapping; more rows than a bank has are dealt out over twice as many
//! channels. So the change that is named was tried, and a budget less would not do.

use crate::plan::Refused;
use crate::target::Target;
use pimc_ir::Model;

/// A value of the target that is too small, and what was needed; nothing is known of how many rows
/// more channels would need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Section of the value in the target file.
    pub section: &'static str,
    /// Its key.
    pub key: &'static str,
    /// What it must be at least; of channels, what they must be more than.
    pub need: u128,
}

/// Times that a model is lowered again.
const MOST_TRIALS: usize = 12;

/// Lowers a model, for what is in its way.
pub(crate) type Trial<'a> = &'a dyn Fn(&Model, &Target) -> Option<Refused>;

/// What to write into the target so that the model fits, in words; none where no value helps.
pub(crate) fn remedy(
    model: &Model,
    target: &Target,
    needs: &[Need],
    trial: Trial<'_>,
) -> Option<String> {
    let mut needs = needs.to_vec();
    let mut changed: Vec<(&str, &str, u128)> = Vec::new();
    let mut target = target.clone();
    for _ in 0..MOST_TRIALS {
        // One at a time: the others may follow from it.
        let need = *needs.first()?;
        let value = match need.key {
            "channels" => 2 * u128::from(target.channels),
            _ => need.need,
        };
        target = target.with(&[(need.section, need.key, &value.to_string())]).ok()?;
        match changed.iter_mut().find(|c| (c.0, c.1) == (need.section, need.key)) {
            Some(change) => change.2 = value,
            None => changed.push((need.section, need.key, value)),
        }
        match trial(model, &target) {
            None => {
                let all: Vec<String> =
                    changed.iter().map(|(s, k, v)| format!("`{k} = {v}` in [{s}]")).collect();
                return Some(all.join(" and "));
            }
            Some(refused) => needs = refused.needs,
        }
    }
    None
}
