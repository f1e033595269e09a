//! The tables of a finished sweep.

use crate::evaluate::{Cost, Outcome, Quality, ScheduleCost};
use serde::Serialize;
use serde_json::{json, Map, Value};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write;

/// A point with what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its number in the sweep.
    pub index: usize,
    /// Its target's name.
    pub target: String,
    /// Its value of each axis.
    pub values: Vec<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether no other point is as good in all of [`OBJECTIVES`] and better in one.
    pub pareto: bool,
}

impl Row {
    /// What the point costs and how good it is, if it can be built.
    pub fn fits(&self) -> Option<(&Cost, &Quality)> {
        match &self.outcome {
            Outcome::Fits { cost, quality } => Some((cost, quality)),
            Outcome::Schedule { .. } | Outcome::DoesNotFit { .. } => None,
        }
    }

    /// What its schedule takes, be there hardware for it or not.
    pub fn schedule(&self) -> Option<ScheduleCost> {
        match &self.outcome {
            Outcome::Fits { cost, .. } => Some(cost.into()),
            Outcome::Schedule { cost } => Some(cost.clone()),
            Outcome::DoesNotFit { .. } => None,
        }
    }

    /// Whether it is a schedule and no hardware.
    fn ends_at_schedule(&self) -> bool {
        matches!(self.outcome, Outcome::Schedule { .. })
    }

    /// Its target and its values of the axes that are shown, as `axis=value`.
    fn name(&self, axes: &[String], shown: &[bool]) -> String {
        let values = axes.iter().zip(&self.values).zip(shown).filter(|(_, shown)| **shown);
        let values = values.map(|((axis, value), _)| format!("{axis}={value}"));
        std::iter::once(self.target.clone()).chain(values).collect::<Vec<_>>().join(" ")
    }
}

/// What points are compared by; less is better.
pub const OBJECTIVES: [&str; 4] = ["time", "area", "bytes", "error"];

fn objectives(cost: &Cost, quality: &Quality) -> [f64; 4] {
    [cost.microseconds, cost.area.total as f64, cost.streamed_bytes as f64, quality.error()]
}

/// Marks the points that no other point dominates.
pub fn mark_pareto(rows: &mut [Row]) {
    let mut order: Vec<(usize, [f64; 4])> = rows
        .iter()
        .enumerate()
        .filter_map(|(i, r)| r.fits().map(|(cost, quality)| (i, objectives(cost, quality))))
        .collect();
    // What dominates a point comes before it, so the front so far is all there is to compare with.
    order.sort_by(|a, b| {
        let by = a.1.iter().zip(&b.1).map(|(x, y)| x.total_cmp(y));
        by.fold(Ordering::Equal, |so_far, next| so_far.then(next))
    });
    let mut front: Vec<[f64; 4]> = vec![];
    for (i, o) in order {
        let beaten = |f: &[f64; 4]| f != &o && f.iter().zip(&o).all(|(f, o)| f <= o);
        if !front.iter().any(beaten) {
            rows[i].pareto = true;
            front.push(o);
        }
    }
}

/// A cell of a table.
fn cell(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// What is said of a schedule that no hardware is made of.
const NO_HARDWARE: &str = "a schedule for comparison: there is no hardware";

/// The columns that follow the axes, with their values for a row.
fn measures(row: &Row) -> Vec<(&'static str, Value)> {
    let fit = row.fits();
    let cost = |of: &dyn Fn(&Cost) -> Value| fit.map_or(Value::Null, |f| of(f.0));
    let schedule = row.schedule();
    let run = |of: &dyn Fn(&ScheduleCost) -> Value| schedule.as_ref().map_or(Value::Null, of);
    let quality = |of: &dyn Fn(&Quality) -> Value| fit.map_or(Value::Null, |f| of(f.1));
    let (code, why) = match &row.outcome {
        Outcome::DoesNotFit { code, why } => (cell(code), cell(why)),
        Outcome::Schedule { .. } => (Value::Null, cell(NO_HARDWARE)),
        Outcome::Fits { .. } => (Value::Null, Value::Null),
    };
    let outputs = |of: &dyn Fn(&crate::evaluate::Outputs) -> Value| {
        quality(&|q| q.outputs.as_ref().map_or(Value::Null, of))
    };
    vec![
        ("fits", cell(fit.is_some())),
        ("pareto", cell(row.pareto)),
        ("cycles", run(&|c| cell(c.cycles))),
        ("microseconds", run(&|c| cell(c.microseconds))),
        ("streamed_bytes", run(&|c| cell(c.streamed_bytes))),
        ("dram_bytes", run(&|c| cell(c.dram_bytes))),
        ("share_of_limit", run(&|c| cell(c.share_of_limit))),
        ("area_gates", cost(&|c| cell(c.area.total))),
        ("bank_gates", cost(&|c| cell(c.area.bank))),
        ("bank_memory_gates", cost(&|c| cell(c.area.bank_memory))),
        ("buffer_gates", cost(&|c| cell(c.area.buffer))),
        ("buffer_memory_gates", cost(&|c| cell(c.area.buffer_memory))),
        ("sequencer_gates", cost(&|c| cell(c.area.sequencer))),
        ("bank_mm2", cost(&|c| cell(c.area.bank_mm2()))),
        ("weights", quality(&|q| cell(if q.unchanged { "unchanged" } else { "quantized" }))),
        ("error", quality(&|q| cell(q.error()))),
        ("weight_error", quality(&|q| cell(q.weight_error))),
        ("activation_error", quality(&|q| cell(q.activation_error))),
        ("agreement", outputs(&|o| cell(o.agreement))),
        ("output_difference", outputs(&|o| cell(o.difference))),
        ("accuracy", outputs(&|o| cell(o.accuracy))),
        ("code", code),
        ("why", why),
    ]
}

/// A row with all its columns, in order.
fn columns(row: &Row, axes: &[String]) -> Vec<(String, Value)> {
    let head = [("index".into(), cell(row.index)), ("target".into(), cell(&row.target))];
    let values = axes.iter().cloned().zip(row.values.iter().map(cell));
    let measures = measures(row).into_iter().map(|(name, value)| (name.to_string(), value));
    head.into_iter().chain(values).chain(measures).collect()
}

/// A table as CSV: a line of names, then a line a row. Nothing stands where there is no value.
pub fn csv<'a>(rows: impl IntoIterator<Item = &'a Row>, axes: &[String]) -> String {
    let mut out = String::new();
    for row in rows {
        let columns = columns(row, axes);
        if out.is_empty() {
            out += &line(columns.iter().map(|c| c.0.clone()));
        }
        out += &line(columns.iter().map(|c| match &c.1 {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }));
    }
    out
}

fn line(cells: impl Iterator<Item = String>) -> String {
    let quoted = |cell: String| {
        if cell.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell
        }
    };
    cells.map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

/// The rows as JSON: an object each, with the columns of the CSV; columns without a value are left out.
pub fn rows_json(rows: &[Row], axes: &[String]) -> Value {
    let object = |row: &Row| -> Map<String, Value> {
        columns(row, axes).into_iter().filter(|c| !c.1.is_null()).collect()
    };
    Value::Array(rows.iter().map(|r| Value::Object(object(r))).collect())
}

/// `points.json`.
pub fn json(rows: &[Row], axes: &[String], model: &str) -> Value {
    json!({
        "format_version": 1,
        "model": model,
        "objectives": OBJECTIVES,
        "axes": axes,
        "points": rows_json(rows, axes),
    })
}

/// How often points do not fit, by what stands in the way: the most frequent first.
pub fn refusals(rows: &[Row]) -> Vec<(usize, String)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for row in rows {
        if let Outcome::DoesNotFit { code, why } = &row.outcome {
            // Of one kind of refusal the numbers differ from point to point.
            let kind = why.split(": needs ").next().unwrap_or(why);
            *counts.entry(format!("{code} {kind}")).or_default() += 1;
        }
    }
    let mut list: Vec<_> = counts.into_iter().map(|(kind, n)| (n, kind)).collect();
    list.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    list
}

/// Points of the front that the summary shows.
const SHOWN: usize = 12;

/// `summary.txt`, which is also what people see.
pub fn summary(rows: &[Row], axes: &[String], model: &str) -> String {
    let fit = rows.iter().filter(|r| r.fits().is_some()).count();
    let mut front: Vec<&Row> = rows.iter().filter(|r| r.pareto).collect();
    let mut out = format!(
        "{model}: {} points, {fit} fit, {} of them on the Pareto front of {}\n",
        rows.len(),
        front.len(),
        OBJECTIVES.join(", ")
    );
    for (n, kind) in refusals(rows) {
        let _ = writeln!(out, "  {n} do not fit: {kind}");
    }
    let mut schedules: Vec<(&Row, ScheduleCost)> = rows
        .iter()
        .filter(|r| r.ends_at_schedule())
        .filter_map(|r| r.schedule().map(|cost| (r, cost)))
        .collect();
    if !schedules.is_empty() {
        let n = schedules.len();
        let _ = writeln!(out, "  {n} are schedules for comparison: no hardware, not on the front");
    }
    front.sort_by(|a, b| {
        let time = |r: &Row| r.fits().map_or(f64::MAX, |f| f.0.microseconds);
        let others = |r: &Row| r.fits().map(|f| objectives(f.0, f.1)[1..].to_vec());
        let by_others = others(a).partial_cmp(&others(b)).unwrap_or(Ordering::Equal);
        time(a).total_cmp(&time(b)).then(by_others).then(a.index.cmp(&b.index))
    });
    // Designs that are alike in all objectives are shown once.
    let what = |r: &Row| r.fits().map(|f| objectives(f.0, f.1));
    let on_front = front.len();
    front.dedup_by(|b, a| what(a) == what(b));
    // The whole front in equal steps, both of its ends among them.
    let shown: Vec<&Row> = if front.len() <= SHOWN {
        front.clone()
    } else {
        (0..SHOWN).map(|i| front[i * (front.len() - 1) / (SHOWN - 1)]).collect()
    };
    let differs = |i: usize| rows.iter().any(|r| r.values.get(i) != rows[0].values.get(i));
    let vary: Vec<bool> = (0..axes.len()).map(differs).collect();
    if !shown.is_empty() {
        let _ = writeln!(
            out,
            "{:>6} {:>9} {:>10} {:>8} {:>10} {:>8} {:>6}  design",
            "clocks", "us", "kgates", "bank mm2", "read bytes", "error", "limit"
        );
    }
    for row in &shown {
        let Some((cost, quality)) = row.fits() else { continue };
        let _ = writeln!(
            out,
            "{:>6} {:>9.3} {:>10.1} {:>8.4} {:>10} {:>8.5} {:>5.1}%  {}",
            cost.cycles,
            cost.microseconds,
            cost.area.total as f64 / 1000.0,
            cost.area.bank_mm2(),
            cost.streamed_bytes,
            quality.error(),
            100.0 * cost.share_of_limit,
            row.name(axes, &vary)
        );
    }
    if shown.len() < on_front {
        let n = shown.len();
        let _ = writeln!(out, "  {n} of the {on_front} on the front; all are in pareto.csv");
    }
    schedules.sort_by(|a, b| a.1.microseconds.total_cmp(&b.1.microseconds));
    if !schedules.is_empty() {
        let _ = writeln!(out, "schedules for comparison, the fastest first:");
    }
    for (row, cost) in schedules.iter().take(SHOWN) {
        let _ = writeln!(
            out,
            "{:>6} {:>9.3} {:>10} {:>8} {:>10} {:>8} {:>5.1}%  {}",
            cost.cycles,
            cost.microseconds,
            "",
            "",
            cost.streamed_bytes,
            "",
            100.0 * cost.share_of_limit,
            row.name(axes, &vary)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use pimc_lower::area::Area;

    fn row(index: usize, time: f64, area: u64, bytes: u64, error: f64) -> Row {
        let area = Area {
            bank: 1,
            bank_memory: 0,
            buffer: 0,
            buffer_memory: 0,
            sequencer: 0,
            total: area,
        };
        let cost = Cost {
            cycles: 1,
            microseconds: time,
            streamed_bytes: bytes,
            dram_bytes: 0,
            share_of_limit: 0.5,
            area,
        };
        let quality = Quality {
            unchanged: false,
            weight_error: Some(error),
            activation_error: None,
            outputs: None,
        };
        let outcome = Outcome::Fits { cost, quality };
        Row { index, target: "t".into(), values: vec![], outcome, pareto: false }
    }

    /// By the definition, every point against every other.
    fn by_definition(rows: &[Row]) -> Vec<bool> {
        let of = |r: &Row| r.fits().map(|(c, q)| objectives(c, q)).unwrap();
        let beats = |a: &Row, b: &Row| {
            let (a, b) = (of(a), of(b));
            (0..4).all(|i| a[i] <= b[i]) && (0..4).any(|i| a[i] < b[i])
        };
        rows.iter().map(|r| !rows.iter().any(|other| beats(other, r))).collect()
    }

    #[test]
    fn the_front_is_what_nobody_dominates() {
        // A pseudo-random cloud with many ties.
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 61
        };
        for n in [1, 2, 10, 200] {
            let mut rows: Vec<Row> =
                (0..n).map(|i| row(i, next() as f64, next(), next(), next() as f64)).collect();
            let want = by_definition(&rows);
            mark_pareto(&mut rows);
            assert_eq!(rows.iter().map(|r| r.pareto).collect::<Vec<_>>(), want);
        }
    }

    #[test]
    fn what_does_not_fit_is_counted_by_its_reason() {
        let mut rows = vec![row(0, 1.0, 1, 1, 0.0)];
        for (index, bytes) in [(1, 70), (2, 90)] {
            let why = format!("lookup tables of a bank unit: needs {bytes} bytes, there are 64");
            let outcome = Outcome::DoesNotFit { code: "P0606".into(), why };
            rows.push(Row { index, outcome, ..rows[0].clone() });
        }
        mark_pareto(&mut rows);
        assert_eq!(refusals(&rows), [(2, "P0606 lookup tables of a bank unit".to_string())]);
        assert!(!rows[1].pareto);
        let text = summary(&rows, &[], "m.ir");
        assert!(text.contains("3 points, 1 fit") && text.contains("2 do not fit: P0606"), "{text}");
    }

    /// A schedule without hardware has its clocks, and no area, no error and no place on the front.
    #[test]
    fn schedules_are_beside_the_front() {
        let mut rows = vec![row(0, 5.0, 1, 1, 0.0), row(1, 1.0, 1, 1, 0.0)];
        let Outcome::Fits { cost, .. } = &rows[1].outcome else { panic!("it fits") };
        rows[1].outcome = Outcome::Schedule { cost: cost.into() };
        mark_pareto(&mut rows);
        assert_eq!([rows[0].pareto, rows[1].pareto], [true, false]);
        let table = csv(&rows, &[]);
        let cells = |line: usize| -> Vec<&str> {
            table.lines().nth(line).map_or(vec![], |l| l.split(',').collect())
        };
        let of = |line: usize, name: &str| {
            cells(0).iter().position(|n| *n == name).map(|at| cells(line)[at])
        };
        for (name, there, alone) in [
            ("fits", "true", "false"),
            ("cycles", "1", "1"),
            ("microseconds", "5.0", "1.0"),
            ("area_gates", "1", ""),
            ("error", "0.0", ""),
            ("weights", "quantized", ""),
            ("why", "", NO_HARDWARE),
        ] {
            assert_eq!((of(1, name), of(2, name)), (Some(there), Some(alone)), "{name}");
        }
        let text = summary(&rows, &[], "m.ir");
        assert!(text.contains("2 points, 1 fit") && text.contains("1 are schedules"), "{text}");
        assert!(!text.contains("do not fit"), "{text}");
    }

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        let text = line(["a".into(), "b,c".into(), "d \"e\"".into()].into_iter());
        assert_eq!(text, "a,\"b,c\",\"d \"\"e\"\"\"\n");
        let rows = [row(0, 1.5, 2, 3, 0.25)];
        let text = csv(&rows, &[]);
        assert_eq!(text.lines().count(), 2);
        assert_eq!(text.lines().map(|l| l.split(',').count()).max(), Some(25));
    }
}
