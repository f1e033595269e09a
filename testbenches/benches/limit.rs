//! `cargo bench -p pimc-cosim --bench limit`: matrices of real layer sizes against the physical limit
//! of the memory, on generated contents.
//!
//! For every format and size: the least clocks in which the columns can be read (column interval, the
//! row turnaround that one open row in each bank cannot hide, refresh), those that the cost model
//! estimates, those of the schedule, and those that the generated Verilog takes in co-simulation, its
//! waveform checked and its result compared with golden's. The share of the bits moved that say something
//! about the weights tells what padding and idle banks cost. Everything between the start and the last
//! result counts: loads of the inputs, building of the tables, collection.
//!
//! Arguments after `--`: words that a case's name must contain, all of them; `--schedule` leaves the
//! Verilog out; `--target NAME` takes another target, `--channels N` so many channels of it in lock step.

use pimc_cosim::{cosim, Inputs, Level, Options, Quiet};
use pimc_ir::generated::{self, Format, Transformer};
use pimc_lower::report::{physical_limit, Report};
use pimc_lower::{emit, lower, write_tree, Target};
use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

/// What a design may take over the limit.
const GOAL: f64 = 1.03;

/// A model to measure: its name, and its text for a target.
struct Case {
    name: String,
    text: Box<dyn Fn(&str) -> String>,
}

/// One matrix.
fn matrix(format: Format, rows: usize, cols: usize) -> Case {
    Case {
        name: format!("{format} {rows}x{cols}"),
        text: Box::new(move |target| generated::matvec(target, format, rows, cols)),
    }
}

/// The layers of a transformer, elementwise ops between the matrices included.
fn layers(what: &str, format: Format, shape: Transformer) -> Case {
    Case {
        name: format!("{format} {what}"),
        text: Box::new(move |target| generated::transformer(target, format, shape)),
    }
}

/// Matrices of each size and format, then whole models.
fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (rows, cols) in [(4096, 4096), (11008, 4096)] {
        for format in [
            Format::Pq { k: 16, sub: 2 },
            Format::Pq { k: 256, sub: 4 },
            Format::Bqq { bases: 2, side: 128 },
            Format::Supermask { coats: 1 },
        ] {
            all.push(matrix(format, rows, cols));
        }
    }
    // Blocks of 384 do not divide 4096: the nearest sizes that they do, and those of MiniLM.
    let blocks = Format::Bqq { bases: 2, side: 384 };
    let sizes = [(4224, 4224), (11136, 4224), (1536, 384), (384, 1536)];
    all.extend(sizes.map(|(rows, cols)| matrix(blocks, rows, cols)));
    for format in [
        Format::Pq { k: 16, sub: 2 },
        Format::Pq { k: 256, sub: 4 },
        Format::Bqq { bases: 2, side: 128 },
        Format::Supermask { coats: 1 },
    ] {
        all.push(layers("all-MiniLM-L6", format, generated::MINILM));
        let layer = Transformer { layers: 1, ..generated::LLAMA_2_7B };
        all.push(layers("layer of LLaMA-2-7B", format, layer));
    }
    all
}

struct Settings {
    words: Vec<String>,
    rtl: bool,
    target: Target,
}

fn settings() -> Result<Settings, Box<dyn Error>> {
    let mut settings =
        Settings { words: Vec::new(), rtl: true, target: Target::built_in().swap_remove(0) };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // Added by cargo.
            "--bench" => {}
            "--schedule" => settings.rtl = false,
            "--target" => {
                let name = args.next().unwrap_or_default();
                settings.target =
                    Target::find(&name, std::path::Path::new(".")).map_err(|d| d.render(false))?;
            }
            "--channels" => {
                let count = args.next().unwrap_or_default();
                settings.target = settings
                    .target
                    .with(&[("stack", "channels", &count)])
                    .map_err(|d| d.render(false))?;
            }
            _ => settings.words.push(arg),
        }
    }
    Ok(settings)
}

/// One case: its line, and whether it keeps within the goal.
fn measure(case: &Case, settings: &Settings) -> Result<(String, bool), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let text = (case.text)(&settings.target.name);
    let rendered = |d: pimc_ir::Diagnostics| d.render(false);
    let (path, _) = generated::write(&text, dir.path()).map_err(rendered)?;
    let begun = Instant::now();
    let model = pimc_ir::load(&path).map_err(rendered)?;
    let plan = lower(&model, &settings.target).map_err(rendered)?;
    let out = dir.path().join("out");
    write_tree(&emit(&plan, &model).map_err(rendered)?, &out).map_err(rendered)?;
    let compiled = begun.elapsed().as_secs_f64();
    let limit = physical_limit(&plan);
    let (mut used, mut moved) = (0, 0);
    for matvec in Report::new(&plan, &model).ops.iter().filter_map(|op| op.matvec.as_ref()) {
        used += matvec.bits_used;
        moved += 8 * matvec.bytes;
    }
    let used = 100.0 * used as f64 / moved as f64;
    let mut clocks = plan.cycles;
    let mut simulated = "-".to_string();
    let begun = Instant::now();
    if settings.rtl {
        // The third vector is the first that is spread over the whole type.
        let vectors = Inputs::Random { count: 3, seed: 1 }.vectors(&model.module)?;
        let levels = vec![Level::Golden, Level::Schedule, Level::Rtl];
        let inputs = Inputs::Given(vec![vectors[2].clone()]);
        let report = cosim(&out, &Options { levels, ..Options::new(inputs) }, &Quiet)?;
        if let Some(d) = report.divergence {
            return Err(format!("{}: the levels differ: {d}", case.name).into());
        }
        if report.waves.vectors != 1 {
            return Err("the waveform was not checked".into());
        }
        clocks = report.clocks.rtl.ok_or("the level rtl was not run")?;
        simulated = clocks.to_string();
    }
    let ratio = clocks as f64 / limit;
    let seconds = begun.elapsed().as_secs_f64();
    let error = 100.0 * plan.estimate.error(clocks);
    let line = format!(
        "{:40} {limit:>10.0} {:>10} {error:>6.2} {:>10} {simulated:>12} {ratio:>8.4} {used:>6.1} \
         {compiled:>9.1} {seconds:>8.1}",
        case.name, plan.estimate.cycles, plan.cycles,
    );
    Ok((line, ratio <= GOAL))
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let settings = settings()?;
    println!("target {}, {} banks", settings.target.name, settings.target.units());
    println!(
        "{:40} {:>10} {:>10} {:>6} {:>10} {:>12} {:>8} {:>6} {:>9} {:>8}",
        "model",
        "limit",
        "estimate",
        "err %",
        "schedule",
        "co-simulated",
        "of limit",
        "used %",
        "compile s",
        "cosim s"
    );
    let mut over = 0;
    for case in cases() {
        if !settings.words.iter().all(|w| case.name.contains(w.as_str())) {
            continue;
        }
        let (line, good) = measure(&case, &settings)?;
        println!("{line}{}", if good { "" } else { "  over" });
        over += usize::from(!good);
    }
    println!("{over} over {GOAL} of the limit");
    Ok(ExitCode::SUCCESS)
}
