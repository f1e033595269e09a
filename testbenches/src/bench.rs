//! The testbench written out for a simulator other than Verilator: one input vector, driven by
//! plain SystemVerilog, that leaves a VCD file for [`check_wave`](crate::check_wave).

use crate::cosim::Tree;
use crate::dram::DramTiming;
use crate::error::Error;
use crate::inputs::Inputs;
use crate::testbench::{package, testbench};
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

/// Writes the testbench for the tree in `dir` and the first vector of `inputs` into the folder
/// `out`: the SystemVerilog, `host.hex`, and `run.sh`, which does it all with Icarus Verilog.
///
/// # Errors
/// A damaged tree, inputs that do not fit, a folder that cannot be written.
pub fn export_testbench(dir: &Path, inputs: &Inputs, out: &Path) -> Result<Bench, Error> {
    let tree = Tree::read(dir)?;
    let compiled = &tree.compiled;
    let plan = &compiled.plan;
    let vectors = inputs.vectors(&compiled.model.module)?;
    let mut host = tree.constants.clone();
    host.extend(compiled.host_writes(&vectors[0]));
    let mut words = String::from("// What the host writes: 32 bits of address, 64 bits of data.\n");
    for &(addr, word) in &host {
        let _ = writeln!(words, "{addr:08x}{:016x}", word as u64);
    }
    let numbers = [
        ("ProgWords", tree.program.len() as u64),
        ("HostWords", host.len() as u64),
        ("ResultAddr", plan.result.addr.into()),
        ("ResultLen", plan.result.len.into()),
        ("MaxClocks", 2 * (plan.cycles + u64::from(plan.shape.refi))),
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
    for (name, text) in [("host.hex", words), ("run.sh", bench.script(&dir, &out))] {
        let path = out.join(name);
        fs::write(&path, text).map_err(Error::io(&path))?;
    }
    Ok(bench)
}

impl Bench {
    /// The commands for Icarus Verilog, and the check that follows.
    fn script(&self, dir: &Path, out: &Path) -> String {
        let mut text = String::from(
            "#!/bin/sh\n# Runs one input vector in Icarus Verilog and checks its waveform.\nset -e\n\
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
        let _ = writeln!(text, "\npimc check {} --wave {}", quoted(&dir), quoted(&wave));
        text
    }
}

/// A word of the shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
