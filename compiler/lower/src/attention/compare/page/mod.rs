//! The page: `docs/attention.md`.

mod paper;

use super::published::{attacc, ATTACC};
use super::step::{measure, Measured};
use super::CompareError;
use crate::report::grouped as n;
use crate::target::Target;
use std::fmt::Write;

/// Query heads that share a key/value head.
const GROUPS: [u32; 3] = [1, 4, 8];

fn ratio(a: u64, b: u64) -> String {
    format!("{:.2}x", a as f64 / b as f64)
}

fn percent(a: u64, b: u64) -> String {
    format!("{:.1} %", 100.0 * a as f64 / b as f64)
}

/// A table, or lines of one.
struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn text(&mut self, text: &str) {
        self.line(text);
        self.line("");
    }

    fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        self.0.push('|');
        for cell in cells {
            // Writing into a string does not fail.
            let _ = write!(self.0, " {} |", cell.as_ref());
        }
        self.0.push('\n');
    }

    fn head(&mut self, cells: &[&str]) {
        self.row(cells);
        let rules: Vec<&str> =
            (0..cells.len()).map(|i| if i == 0 { "---" } else { "---:" }).collect();
        self.row(&rules);
    }
}

/// The steps of ours that the page is about: by group, context, and whether they append.
struct Steps(Vec<((u32, u32, bool), Measured)>);

impl Steps {
    fn new(target: &Target) -> Result<Steps, CompareError> {
        let mut steps = Vec::new();
        for group in GROUPS {
            for a in ATTACC {
                for append in [true, false] {
                    let measured = measure(target, group, a.context, append)?;
                    steps.push(((group, a.context, append), measured));
                }
            }
        }
        Ok(Steps(steps))
    }

    fn get(&self, group: u32, context: u32, append: bool) -> Result<&Measured, CompareError> {
        let found = self.0.iter().find(|(key, _)| *key == (group, context, append));
        found.map(|(_, m)| m).ok_or(CompareError::Unpublished(context))
    }
}

/// The page, for a target of the organisation of AttAcc under its power cap.
///
/// # Errors
/// If a step cannot be lowered, or a schedule is not legal.
pub fn page(target: &Target) -> Result<String, CompareError> {
    let uncapped = target.with(&[("timing", "ccd_all_bank", "4")])?;
    let steps = Steps::new(target)?;
    let mut p = Page(String::new());
    intro(&mut p);
    speed(&mut p, &steps, &uncapped)?;
    parts(&mut p, &steps)?;
    paper::paper(&mut p, &steps, target, &uncapped)?;
    paper::bytes(&mut p, &steps, target)?;
    paper::clustering(&mut p, target)?;
    Ok(p.0.trim_end().to_string() + "\n")
}

fn intro(p: &mut Page) {
    p.text("# Attention on a product-quantized cache: ours, AttAcc, and the form of AQPIM");
    p.text(
        "Made by `cargo bench -p pimc-cosim --bench attention`; a test compares this page with what the code computes. The same command with `-- --rtl 4096` co-simulates our step of a query head at that context on its two pseudo-channels, down to the generated Verilog, result, cache and waveform checked, and fails if its clocks are not the schedule's.",
    );
    p.text(
        "One layer, 32 query heads of 128 elements, batch 1, on one stack of HBM3 at 5.2 Gb/s a pin in the organisation of AttAcc: 64 pseudo-channels of 16 banks, a unit a bank, clocks of .769 ns, refresh on, \
         all-bank column accesses 6 clocks apart under the power cap. Sub-vectors of 4, 512 centroids, 8 + 32 tokens kept exact. Target `hbm3-pim`; a query head has two pseudo-channels, so with 32 key/value heads \
         (MHA) the program of one head on 32 banks runs on all of the stack at once; with 8 (GQA 4) a key/value head has 8 pseudo-channels, with 4 (GQA 8) 16, and its tokens go over them.",
    );
    p.text(
        "Marks: **P** printed in the paper (AQPIM, arXiv 2604.18137), **S** from the open AttAcc simulator, **M** measured by running it, **A** an assumption of ours. \
         Unmarked figures are ours: clocks are those of legal schedules, and what is arithmetic alone is said to be.",
    );
}

fn speed(p: &mut Page, steps: &Steps, uncapped: &Target) -> Result<(), CompareError> {
    p.text("## A step, in clocks");
    p.text(
        "Included: refresh, loads of queries, building of the tables, exact and compressed keys, softmax, exact and compressed values, reduction over the banks and pseudo-channels, division, the results collected; with the append \
         also the new token written and a token encoded, both sides. The exact window and the compressed tokens share one softmax, so there is no merge. Ours is int8 queries, keys, values and codebooks; AttAcc's figures (M) are its \
         attention alone, without append. Ratios are of the step with its append. Tests hold the step of 32,768 tokens (MHA) at 22,200 clocks at most, and the shorter ones under AttAcc int8.",
    );
    p.head(&[
        "context",
        "heads",
        "ours",
        "without append",
        "estimate",
        "AttAcc FP16 (M)",
        "ratio",
        "AttAcc int8 (M)",
        "ratio",
    ]);
    for group in GROUPS {
        for a in ATTACC {
            let (with, without) =
                (steps.get(group, a.context, true)?, steps.get(group, a.context, false)?);
            let heads = if group == 1 { "MHA".to_string() } else { format!("GQA {group}") };
            p.row(&[
                n(a.context.into()),
                heads,
                n(with.cycles),
                n(without.cycles),
                n(with.estimate),
                n(a.fp16),
                ratio(a.fp16, with.cycles),
                n(a.int8),
                ratio(a.int8, with.cycles),
            ]);
        }
    }
    p.line("");
    p.text(
        "AttAcc reads keys and values once for every query head, so its figures are the same with GQA. Were it to serve a group's query heads with one read and lose nothing, its clocks would be divided by the group (arithmetic, a lower bound); \
         against that, at 32,768 tokens:",
    );
    p.head(&["heads", "ours", "AttAcc FP16 / group", "ratio", "AttAcc int8 / group", "ratio"]);
    let a = attacc(32768)?;
    for group in [4, 8] {
        let ours = steps.get(group, a.context, true)?.cycles;
        let (fp16, int8) = (a.fp16 / u64::from(group), a.int8 / u64::from(group));
        p.row(&[
            format!("GQA {group}"),
            n(ours),
            n(fp16),
            ratio(fp16, ours),
            n(int8),
            ratio(int8, ours),
        ]);
    }
    p.line("");
    p.text("Without the power cap (column accesses 4 clocks apart), MHA, with the append:");
    p.head(&["context", "ours", "AttAcc FP16, no cap (M)", "ratio"]);
    for a in ATTACC {
        let ours = measure(uncapped, 1, a.context, true)?.cycles;
        p.row(&[n(a.context.into()), n(ours), n(a.uncapped), ratio(a.uncapped, ours)]);
    }
    p.line("");
    let tables: Vec<String> = GROUPS
        .into_iter()
        .map(|group| Ok(n(steps.get(group, 4096, true)?.table_bytes)))
        .collect::<Result<_, CompareError>>()?;
    p.text(&format!(
        "What it costs: tables and buckets of {} bytes beside every bank (MHA, GQA 4, GQA 8; `table_bytes` of the target is {} unless it is raised, as it is here, and with less than is asked for rows of queries are served in several passes), where an AttAcc unit has two buffers of 512 bytes (S). \
         Scores are added up over the 16 banks of a pseudo-channel before its bus carries them (A: an adder tree there).",
        tables.join(" / "),
        n(uncapped.table_bytes),
    ));
    Ok(())
}

fn parts(p: &mut Page, steps: &Steps) -> Result<(), CompareError> {
    p.text("## Where the clocks go, with the append");
    p.text(
        "Without refreshes, which have a line of their own. A token is encoded while the codebooks pass for the queries: by how much the passes of a step without append are shorter. With several query heads a key/value head's columns of \
         codes come no faster than the pseudo-channel's bus (16 bytes a clock) takes their scores away and brings their weights: that is why 8 heads gain nothing over 4. Without the power cap the scores of one head are the bound too, at 6 clocks.",
    );
    p.head(&["part", "MHA 4,096", "MHA 32,768", "GQA 4 32,768", "GQA 8 32,768"]);
    let columns = [(1, 4096), (1, 32768), (4, 32768), (8, 32768)];
    let tables = "build tables";
    let combine = "combine buckets with centroids";
    let ahead = |group, context| -> Result<[u64; 2], CompareError> {
        let (with, without) = (steps.get(group, context, true)?, steps.get(group, context, false)?);
        Ok([tables, combine].map(|what| with.part(what).saturating_sub(without.part(what))))
    };
    let mut line = |name: &str, of: &dyn Fn(u32, u32) -> Result<u64, CompareError>| {
        let mut cells = vec![name.to_string()];
        for (group, context) in columns {
            cells.push(n(of(group, context)?));
        }
        p.row(&cells);
        Ok::<(), CompareError>(())
    };
    let part = |what: &'static str| move |g, c| Ok(steps.get(g, c, true)?.part(what));
    line("start, lengths", &|g, c| {
        let m = steps.get(g, c, true)?;
        let encoded = "encode the token that leaves";
        Ok(m.part("start") + m.part("lengths") + m.part(encoded))
    })?;
    line("append: new token kept", &part("keep the new token"))?;
    line("append: a token encoded ahead", &|g, c| Ok(ahead(g, c)?.iter().sum()))?;
    line("queries loaded", &part("load queries"))?;
    line("tables built", &|g, c| Ok(steps.get(g, c, true)?.part(tables) - ahead(g, c)?[0]))?;
    line("exact keys", &part("scores of exact keys"))?;
    line("codes of keys", &part("scores of key codes"))?;
    line("exact values", &part("weigh exact values"))?;
    line("codes of values", &part("bucket weights by value codes"))?;
    line("buckets times centroids", &|g, c| {
        Ok(steps.get(g, c, true)?.part(combine) - ahead(g, c)?[1])
    })?;
    line("division, results collected", &part("divide and collect"))?;
    line("refresh", &|g, c| Ok(steps.get(g, c, true)?.refresh))?;
    line("**all**", &|g, c| Ok(steps.get(g, c, true)?.cycles))?;
    line("from column to column, codes of keys", &|g, c| {
        Ok(steps.get(g, c, true)?.intervals[0].into())
    })?;
    line("codes of values", &|g, c| Ok(steps.get(g, c, true)?.intervals[1].into()))?;
    p.line("");
    Ok(())
}
