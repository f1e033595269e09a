//! `cargo bench -p pimc-lower --bench compile`: how fast models compile, stage by stage, on generated
//! contents that are in the page cache.
//!
//! Packed bytes are what the hardware has to hold: codes of as many bits as the codebook needs, where
//! a tensor file has a byte for each. Speed is packed bytes over the time of all stages. Memory is the
//! most that was resident, pages of mapped files included (`VmHWM`), during the case. `cpu s` is what all
//! threads computed together, system calls included, which other work on the machine disturbs less.
//!
//! Arguments after `--`: words that a case's name must contain, all of them; `--all` adds the 32 layers
//! of LLaMA-2-7B (10 GB of disk while it runs); `--in FOLDER` makes the files there; `--read` reads each
//! tree back as well.

use pimc_ir::generated::{self, Format, Transformer, LLAMA_2_7B, MINILM};
use pimc_ir::{Diagnostics, Module, WeightType};
use pimc_lower::{emit, lower, read_tree, write_tree, Target};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

/// Name, text, and pseudo-channels to hold it. Rows of a bank are four times those of the target, so that
/// the whole of a model fits few channels, whose shares fill their columns.
struct Case {
    name: &'static str,
    text: String,
    channels: u32,
}

fn cases(all: bool) -> Vec<Case> {
    let pq = Format::Pq { k: 16, sub: 2 };
    let bqq = Format::Bqq { bases: 2, side: 128 };
    let mask = Format::Supermask { coats: 1 };
    let llama = |layers| Transformer { layers, ..LLAMA_2_7B };
    let case = |name, channels, text| Case { name, text, channels };
    let stack = |format, t| generated::transformer("hbm3-pim", format, t);
    let matvec = |format, rows, cols| generated::matvec("hbm3-pim", format, rows, cols);
    let mut list = vec![
        case("minilm pq k=16 sub=2", 1, stack(pq, MINILM)),
        case("minilm bqq bases=2", 1, stack(bqq, MINILM)),
        case("minilm supermask", 1, stack(mask, MINILM)),
        case("minilm int", 1, stack(Format::Int, MINILM)),
        case("4096x4096 pq k=16 sub=2", 1, matvec(pq, 4096, 4096)),
        case("4096x4096 pq k=256 sub=4", 1, matvec(Format::Pq { k: 256, sub: 4 }, 4096, 4096)),
        case("4096x4096 supermask", 1, matvec(mask, 4096, 4096)),
        case("4096x4096 int", 1, matvec(Format::Int, 4096, 4096)),
        case("4096x4096 bqq bases=2", 1, matvec(bqq, 4096, 4096)),
        case("11008x4096 bqq bases=2", 1, matvec(bqq, 11008, 4096)),
        case("llama-2-7b layer pq k=16 sub=2", 1, stack(pq, llama(1))),
    ];
    if all {
        list.push(case("llama-2-7b pq k=16 sub=2", 2, stack(pq, LLAMA_2_7B)));
    }
    list
}

/// Bytes that the weights need at the least, and those of the largest weight's tensors.
fn sizes(module: &Module) -> (u64, u64) {
    let (mut packed, mut largest) = (0, 0);
    for weight in &module.weights {
        let specs = pimc_ir::weight_tensors(&weight.name.text, &weight.ty);
        let mut bytes: Vec<usize> = specs.iter().map(|s| s.bytes()).collect();
        largest = largest.max(bytes.iter().sum::<usize>() as u64);
        if let WeightType::Pq { rows, cols, sub, k, .. } = weight.ty {
            let bits = k.next_power_of_two().trailing_zeros() as usize;
            bytes[0] = (rows * (cols / sub) * bits).div_ceil(8);
        }
        packed += bytes.iter().sum::<usize>() as u64;
    }
    (packed, largest)
}

/// The most memory that was resident since the last reset, in bytes; none where the system does not
/// tell.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Seconds that the threads of this process have computed; 0 where the system does not tell.
fn computed() -> f64 {
    let spent = |task: std::io::Result<std::fs::DirEntry>| -> Option<f64> {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        Some(text.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
    };
    std::fs::read_dir("/proc/self/task").map_or(0.0, |tasks| tasks.filter_map(spent).sum())
}

/// Forgets the peak so far, where the system can.
fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn measure(case: &Case, folder: &Path, read: bool) -> Result<String, Box<dyn Error>> {
    let rendered = |d: Diagnostics| d.render(false);
    let dir = tempfile::tempdir_in(folder)?;
    let (path, _) = generated::write(&case.text, dir.path()).map_err(rendered)?;
    let channels = case.channels.to_string();
    let changes = [
        ("stack", "channels", channels.as_str()),
        ("bank", "rows", "65536"),
        ("unit", "table_bytes", "1048576"),
        ("unit", "input_bytes", "65536"),
        ("buffer", "vector_bytes", "16777216"),
        ("sequencer", "program_words", "1048576"),
    ];
    let target = Target::built_in().swap_remove(0).with(&changes).map_err(rendered)?;
    let out = dir.path().join("out");
    reset_peak();
    let before = computed();
    let start = Instant::now();
    let model = pimc_ir::load(&path).map_err(rendered)?;
    let loaded = start.elapsed().as_secs_f64();
    let plan = lower(&model, &target).map_err(rendered)?;
    let lowered = start.elapsed().as_secs_f64();
    write_tree(&emit(&plan, &model).map_err(rendered)?, &out).map_err(rendered)?;
    let written = start.elapsed().as_secs_f64();
    let (peak, computed) = (peak(), computed() - before);
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let (packed, largest) = sizes(&model.module);
    let shown = peak.map_or("-".to_string(), |p| format!("{:.0}", mb(p)));
    let mut line = format!(
        "{:32} {:>9.1} {:>9.1} {loaded:>8.3} {:>8.3} {:>8.3} {written:>8.3} {:>7.3} {computed:>8.3} {:>7.3} {shown:>8}",
        case.name,
        mb(packed),
        mb(largest),
        lowered - loaded,
        written - lowered,
        mb(packed) / 1e3 / written,
        mb(packed) / 1e3 / computed,
    );
    if read {
        drop((model, plan));
        let start = Instant::now();
        let tree = read_tree(&out).map_err(rendered)?;
        line += &format!(" {:>8.3}", start.elapsed().as_secs_f64());
        if !tree.changed.is_empty() {
            return Err(format!("{}: {:?} changed", case.name, tree.changed).into());
        }
    }
    Ok(line)
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut words, mut all, mut read) = (Vec::new(), false, false);
    let mut folder = std::env::temp_dir();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // Added by cargo.
            "--bench" => {}
            "--all" => all = true,
            "--read" => read = true,
            "--in" => folder = args.next().unwrap_or_default().into(),
            _ => words.push(arg),
        }
    }
    println!(
        "{:32} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8} {:>7} {:>8} {:>7} {:>8}{}",
        "model",
        "packed MB",
        "layer MB",
        "load s",
        "lower s",
        "write s",
        "all s",
        "GB/s",
        "cpu s",
        "per cpu",
        "peak MB",
        if read { "   read s" } else { "" },
    );
    for case in cases(all) {
        if words.iter().all(|w| case.name.contains(w.as_str())) {
            println!("{}", measure(&case, &folder, read)?);
        }
    }
    Ok(())
}
