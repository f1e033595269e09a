//! The testbench written out for a simulator other than Verilator: one input vector, or all steps on a
//! cache, driven by plain SystemVerilog, that leaves a VCD file for [`check_wave`](crate::check_wave).

use crate::cosim::Tree;
use crate::dram::DramTiming;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::reference::Compiled;
use crate::steps::LaunchRun;
use crate::testbench::{package, testbench};
use pimc_ir::batch::encode_batch;
use pimc_lower::images::Column;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The driver's text.
pub const DRIVER: &str = include_str!("../sv/pimc_run.sv");

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bench {
    /// The files to compile, the generated Verilog among them, in dependency order. The top module is
    /// `pimc_run`.
    pub sources: Vec<String>,
    /// Arguments of the simulation.
    pub plusargs: Vec<String>,
}

/// Writes the testbench for the tree in `dir` and the first vector of `inputs`, or all of them where they
/// are steps on a cache, into the folder `out`: the SystemVerilog, `host.hex`, and `run.sh`, which does it
/// all with Icarus Verilog.
///
/// # Errors
/// A damaged tree, inputs that do not fit, a folder that cannot be written.
pub fn export_testbench(dir: &Path, inputs: &Inputs, out: &Path) -> Result<Bench, Error> {
    let tree = Tree::read(dir)?;
    let compiled = &tree.compiled;
    let plan = &compiled.plan;
    let mut vectors = inputs.vectors(&compiled.model.module)?;
    if plan.cache.is_none() {
        vectors.truncate(1);
    }
    let host = Host::of(&tree, &vectors)?;
    let numbers = [
        ("ProgWords", tree.program.len() as u64),
        ("HostWords", host.words),
        ("Vectors", vectors.len() as u64),
        ("ResultAddr", plan.result.addr.into()),
        ("ResultLen", plan.result.len.into()),
        ("MaxClocks", 2 * (host.longest + u64::from(plan.shape.refi))),
    ];
    let dir = dir.canonicalize().map_err(Error::io(dir))?;
    fs::create_dir_all(out).map_err(Error::io(out))?;
    let out = out.canonicalize().map_err(Error::io(out))?;
    // Icarus 11 never settles where one `always_comb` feeds another that first copies a vector and then
    // writes parts of it; `always @*` says the same to it, and it does.
    let rtl = tree
        .rtl
        .iter()
        .map(|(name, text)| (name.clone(), text.replace("always_comb", "always @*")));
    let mut own: Vec<(String, String)> = rtl.collect();
    let image_rows = plan.dram_rows.into();
    own.extend(testbench(&plan.shape, &DramTiming::of(&plan.target), image_rows).to_vec());
    let about = "Sizes of what is run; clocks after which a run has failed.";
    own.push(package("pimc_run_pkg", about, &numbers));
    own.push(("pimc_run.sv".into(), DRIVER.into()));
    let mut sources = Vec::new();
    for (name, text) in own {
        let path = out.join(name);
        fs::write(&path, text).map_err(Error::io(&path))?;
        sources.push(path.display().to_string());
    }
    let plusargs = vec![
        format!("+mem={}", dir.join("mem").display()),
        format!("+program={}", dir.join("schedule/program.hex").display()),
        format!("+host={}", out.join("host.hex").display()),
        format!("+wave={}", out.join("wave.vcd").display()),
    ];
    let bench = Bench { sources, plusargs };
    let mut files = vec![("host.hex", host.text.into_bytes())];
    // A waveform does not show how many tokens the steps on a cache append and see.
    if plan.cache.is_some() {
        files.push((STEPS, encoded(compiled, &vectors)?));
    }
    files.push(("run.sh", bench.script(&dir, &out, plan.cache.is_some()).into_bytes()));
    for (name, bytes) in files {
        let path = out.join(name);
        fs::write(&path, bytes).map_err(Error::io(&path))?;
    }
    Ok(bench)
}

/// The file of the steps' inputs.
const STEPS: &str = "steps.safetensors";

/// The vectors as a file that [`Inputs::File`] reads.
fn encoded(compiled: &Compiled, vectors: &[Vec<Vec<i64>>]) -> Result<Vec<u8>, Error> {
    let func = &compiled.model.module.func;
    let batch = |i: usize| vectors.iter().map(|v| v[i].clone()).collect();
    let batches: Vec<Vec<Vec<i64>>> = (0..func.inputs).map(batch).collect();
    let named = func.values.iter().zip(&batches).map(|(v, b)| (v.name.text.as_str(), v.ty, &b[..]));
    Ok(encode_batch(&named.collect::<Vec<_>>())?)
}

/// What the host does, as `pimc_run.sv` reads it.
struct Host {
    text: String,
    words: u64,
    /// Clocks of the longest run.
    longest: u64,
}

impl Host {
    /// Constants first, then every vector with its runs and its result.
    fn of(tree: &Tree, vectors: &[Vec<Vec<i64>>]) -> Result<Host, Error> {
        let (compiled, plan) = (&tree.compiled, &tree.compiled.plan);
        let about =
            "// What the host does: 8 bits what, 8 bank, 32 address, 32 column, 256 data.\n";
        let mut host = Host { text: about.into(), words: 0, longest: 0 };
        host.vector_memory(&tree.constants);
        let steps = match &plan.cache {
            Some(_) => compiled.steps(vectors)?,
            None => Vec::new(),
        };
        let once = [LaunchRun { end: plan.cycles, ..LaunchRun::default() }];
        for (i, inputs) in vectors.iter().enumerate() {
            host.vector_memory(&compiled.host_writes(inputs));
            for run in steps.get(i).map_or(&once[..], |step| &step.launches) {
                for (at, &arg) in run.args.iter().enumerate() {
                    host.word(1, 0, at as u32, 0, &[arg.into(), 0, 0, 0]);
                }
                run.columns.iter().for_each(|c| host.word(2, c.bank, c.row, c.col, &c.data));
                host.word(3, 0, 0, 0, &[0; 4]);
                host.longest = host.longest.max(run.end);
            }
            host.word(4, 0, 0, 0, &[0; 4]);
        }
        Ok(host)
    }

    fn vector_memory(&mut self, words: &[(u32, i64)]) {
        for &(addr, word) in words {
            let sign = (word >> 63) as u64;
            self.word(0, 0, addr, 0, &[word as u64, sign, sign, sign]);
        }
    }

    fn word(&mut self, what: u8, bank: u32, addr: u32, col: u32, data: &Column) {
        let _ = write!(self.text, "{what:02x}{bank:02x}{addr:08x}{col:08x}");
        for part in data.iter().rev() {
            let _ = write!(self.text, "{part:016x}");
        }
        self.text.push('\n');
        self.words += 1;
    }
}

impl Bench {
    /// The commands for Icarus Verilog, and the check that follows.
    fn script(&self, dir: &Path, out: &Path, steps: bool) -> String {
        let mut text = String::from(
            "#!/bin/sh\n# Runs the vectors in Icarus Verilog and checks its waveform.\nset -e\n\
             iverilog -g2012 -s pimc_run",
        );
        let _ = write!(text, " \\\n  -o {}", quoted(&out.join("run.vvp").display().to_string()));
        for source in &self.sources {
            let _ = write!(text, " \\\n  {}", quoted(source));
        }
        let _ = write!(text, "\nvvp {}", quoted(&out.join("run.vvp").display().to_string()));
        for arg in &self.plusargs {
            let _ = write!(text, " \\\n  {}", quoted(arg));
        }
        let wave = out.join("wave.vcd").display().to_string();
        let dir = dir.display().to_string();
        let _ = write!(text, "\npimc check {} --wave {}", quoted(&dir), quoted(&wave));
        if steps {
            let steps = out.join(STEPS).display().to_string();
            let _ = write!(text, " --inputs {}", quoted(&steps));
        }
        text.push('\n');
        text
    }
}

/// A word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
