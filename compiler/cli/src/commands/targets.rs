//! `pimc targets`: the built-in targets.

use crate::outcome::{Failure, Outcome};
use pimc_lower::Target;
use serde_json::json;

pub fn run() -> Result<Outcome, Failure> {
    let targets = Target::built_in();
    let width = targets.iter().map(|t| t.name.len()).max().unwrap_or(0);
    let lines: String = targets
        .iter()
        .map(|t| {
            let l = t.limits();
            format!(
                "{:width$}  {} banks, rows of {} bytes, {}-bit columns every {} clocks of {} ps\n\
                 {:width$}  GB/s of a bank: {:.2} peak, {:.2} after rows, {:.2} after refresh\n",
                t.name,
                t.banks,
                t.row_bytes(),
                t.column_bits,
                t.column_interval(),
                t.timing.tck_ps,
                "",
                l.peak,
                l.after_rows,
                l.after_refresh
            )
        })
        .collect();
    let list: Vec<_> = targets
        .iter()
        .map(|t| {
            let l = t.limits();
            json!({
                "bank_gb_per_s": {
                    "peak": l.peak, "after_rows": l.after_rows, "after_refresh": l.after_refresh
                },
                "name": t.name, "banks": t.banks, "rows": t.rows, "columns": t.columns,
                "column_bits": t.column_bits, "column_interval": t.column_interval(),
                "tck_ps": t.timing.tck_ps, "toml": t.source,
            })
        })
        .collect();
    Ok(Outcome::done(lines, json!({ "targets": list })))
}
