//! Every generated file of golden's models, and the testbench, through the linters and front ends
//! that people use: Verilator with all warnings (the oldest accepted and a new one), Icarus, Yosys.

use crate::common::{
    cases_of_every_unit, compile, compile_for, few_banks, golden_cases, on_all, small_cache, tool,
};
use pimc_cosim::bench::DRIVER;
use pimc_cosim::dram::{DRAM_BANK, DRAM_BUS, DRAM_PACKAGE, DRAM_RULES};
use pimc_cosim::replay;
use pimc_cosim::testbench::TESTBENCH;
use pimc_cosim::verilator::Toolchain;
use pimc_lower::Target;
use std::path::Path;
use std::process::Command;

/// What a program says when it does not like its arguments; none when it is silent and content.
fn complaint(mut cmd: Command) -> Option<String> {
    let shown = format!("{cmd:?}");
    let out = cmd.output().unwrap_or_else(|e| panic!("{shown}: {e}"));
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    let bad = !out.status.success() || said.contains("%Warning") || said.contains("%Error");
    bad.then(|| format!("{shown}\n{said}"))
}

fn verilator(tools: &Toolchain, dir: &Path, top: &str, files: &[String]) -> Option<String> {
    let mut cmd = Command::new(&tools.verilator);
    cmd.env("VERILATOR_ROOT", &tools.root).current_dir(dir);
    cmd.args(["--lint-only", "-Wall", "--timing", "--top-module", top]).args(files);
    complaint(cmd)
}

fn icarus(dir: &Path, top: &str, files: &[String]) -> Option<String> {
    let mut cmd = Command::new(tool("PIMC_IVERILOG"));
    cmd.current_dir(dir).args(["-g2012", "-s", top, "-t", "null"]).args(files);
    complaint(cmd)
}

fn yosys(dir: &Path, files: &[String]) -> Option<String> {
    let mut cmd = Command::new(tool("PIMC_YOSYS"));
    let script =
        format!("read_verilog -sv {}; hierarchy -check -top pimc_channel", files.join(" "));
    cmd.current_dir(dir).args(["-q", "-p", &script]);
    complaint(cmd)
}

fn verilators() -> Vec<Toolchain> {
    let old = tool("PIMC_VERILATOR_OLD");
    [None, Some(old.as_path())].map(|p| Toolchain::find(p).unwrap()).to_vec()
}

/// Every case, and on beats of 128 bits those that have every unit.
#[test]
fn every_generated_file_pleases_every_front_end() {
    let tools = verilators();
    let narrow = golden_cases().into_iter().map(|case| ("", case));
    let wide = cases_of_every_unit().into_iter().map(|case| ("gddr6-aim", case));
    let all: Vec<_> = narrow.chain(wide).collect();
    let complaints: Vec<String> = on_all(&all, |(target, (name, case))| {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("out");
        let model = pimc_ir::load(&case.join("model.ir")).unwrap();
        match Target::named(target) {
            Some(target) => compile_for(&model, &target, &tree),
            None => compile(&model, &tree),
        }
        let name = format!("{name} {target}");
        let rtl = tree.join("rtl");
        let list = std::fs::read_to_string(rtl.join("pimc.f")).unwrap();
        let files: Vec<String> = list.lines().map(str::to_string).collect();
        for file in &files {
            let text = std::fs::read_to_string(rtl.join(file)).unwrap();
            let pragma = ["verilator lint", "synopsys", "synthesis ", "pragma"];
            assert!(!pragma.iter().any(|p| text.contains(p)), "{name}: {file} holds a pragma");
            assert!(text.lines().all(|l| l.len() <= 100 && l.is_ascii()), "{name}: {file} is wide");
        }
        tools
            .iter()
            .find_map(|t| verilator(t, &rtl, "pimc_channel", &files))
            .or_else(|| icarus(&rtl, "pimc_channel", &files))
            .or_else(|| yosys(&rtl, &files))
            .map(|c| format!("{name}: {c}"))
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_testbench_pleases_every_simulator() {
    let dir = tempfile::tempdir().unwrap();
    let (_, case) = golden_cases().into_iter().find(|c| c.0 == "int_8").unwrap();
    let tree = dir.path().join("out");
    compile(&pimc_ir::load(&case.join("model.ir")).unwrap(), &tree);
    let out = dir.path().join("bench");
    let inputs = pimc_cosim::Inputs::File(case.join("vectors.safetensors"));
    let bench = pimc_cosim::export_testbench(&tree, &inputs, &out).unwrap();
    for (name, text) in [
        ("pimc_dram_pkg.sv", DRAM_PACKAGE),
        ("pimc_dram_rules.sv", DRAM_RULES),
        ("pimc_dram_bus.sv", DRAM_BUS),
        ("pimc_dram_bank.sv", DRAM_BANK),
        ("pimc_tb.sv", TESTBENCH),
        ("pimc_run.sv", DRIVER),
    ] {
        assert_eq!(std::fs::read_to_string(out.join(name)).unwrap(), text);
    }
    // The same with arguments, and banks that are written.
    let cached = dir.path().join("cached");
    let (target, f) = (few_banks(), small_cache());
    let model = f.builder(&target.name, 7).write(dir.path(), "model.ir").unwrap();
    compile_for(&pimc_ir::load(&model).unwrap(), &target, &cached);
    let steps = pimc_cosim::Inputs::Given(vec![f.step(1, 1, &[10]), f.step(2, 0, &[7])]);
    let out = dir.path().join("cached_bench");
    let writes = pimc_cosim::export_testbench(&cached, &steps, &out).unwrap();
    for bench in [bench, writes] {
        for tools in verilators() {
            assert_eq!(verilator(&tools, dir.path(), "pimc_run", &bench.sources), None);
        }
        assert_eq!(icarus(dir.path(), "pimc_run", &bench.sources), None);
    }
}

#[test]
fn the_replay_pleases_every_simulator() {
    let dir = tempfile::tempdir().unwrap();
    let design = replay::design(16);
    let mut files = Vec::new();
    for (name, text) in &design.sources {
        std::fs::write(dir.path().join(name), text).unwrap();
        files.push(name.clone());
    }
    for tools in verilators() {
        assert_eq!(verilator(&tools, dir.path(), &design.top, &files), None);
    }
    assert_eq!(icarus(dir.path(), &design.top, &files), None);
}
