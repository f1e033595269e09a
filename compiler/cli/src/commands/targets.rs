//! `pimc targets`: the built-in targets.

use crate::outcome::{Failure, Outcome};
use pimc_lower::Target;
use serde_json::json;

pub fn run() -> Result<Outcome, Failure> {
    let targets = Target::built_in();
    let width = targets.iter().map(|t| t.name.len()).max().unwrap_or(0);
    let mut lines = format!(
        "{:width$}         bytes            clocks  bits a      GB/s of a bank, at most\n\
         {:width$}  banks  a row  clock ps  a column   clock   peak  after rows  after refresh\n",
        "", "target"
    );
    for t in &targets {
        let l = t.limits();
        lines += &format!(
            "{:width$}  {:5}  {:5}  {:8}  {:8}  {:6}  {:5.2}  {:10.2}  {:13.2}\n",
            t.name,
            t.banks,
            t.row_bytes(),
            t.timing.tck_ps,
            t.column_interval(),
            t.beat_bits,
            l.peak,
            l.after_rows,
            l.after_refresh
        );
    }
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
                "beat_bits": t.beat_bits, "tck_ps": t.timing.tck_ps, "toml": t.source,
            })
        })
        .collect();
    Ok(Outcome::done(lines, json!({ "targets": list })))
}
