//! Runs the lint tools over emitted files. Each is named by a variable that `scripts/setup --tests`
//! sets, or is on `PATH`; a tool that is missing is a failure, never a skipped check.

use pimc_rtl::sv::SvFile;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a tool on the files; panics if it ends in failure or complains. Icarus says "sorry" where it
/// takes the text for something else than it says.
fn run(what: &str, command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| {
        panic!(
            "{what}: {:?} does not start ({e}); run `scripts/setup --tests` and source \
                `.tools/env.sh`",
            command.get_program()
        )
    });
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{what}: {}\n{text}", output.status);
    let complains = |l: &&str| {
        let line = l.to_ascii_lowercase();
        ["warning", "sorry"].iter().any(|word| line.contains(word))
    };
    assert_eq!(text.lines().find(complains), None, "{what}:\n{text}");
}

fn program(variable: &str, otherwise: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| otherwise.into(), PathBuf::from)
}

/// Verilator as called without its Perl script needs to be told where its files are.
fn verilator(variable: &str, otherwise: &str) -> Command {
    let path = program(variable, otherwise);
    let mut command = Command::new(&path);
    let roots = path.parent().and_then(Path::parent).map(|p| [p.into(), p.join("share/verilator")]);
    let has_files = |r: &PathBuf| r.join("include/verilated.h").is_file();
    if let Some(root) = roots.into_iter().flatten().find(has_files) {
        command.env("VERILATOR_ROOT", root);
    }
    command
}

/// Lints the design `top` in `files` with Verilator, new and old, and has Icarus and Yosys read it.
/// A warning is a failure; so is a pragma in the text or a line too long.
pub fn lint(name: &str, top: &str, files: &[SvFile]) {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // What an earlier run left may not take part.
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    for file in files {
        std::fs::write(dir.join(&file.name), &file.text).unwrap();
        assert!(!file.text.contains("lint_off"), "{name}: a pragma in {}", file.name);
        let long = file.text.lines().find(|l| l.len() > 100);
        assert_eq!(long, None, "{name}: a line too long in {}", file.name);
        assert!(file.text.is_ascii() && file.text.ends_with('\n'), "{name}: {}", file.name);
    }
    // Verilator 5.006 and scripts of Yosys know no path with a space: the tools run in the folder.
    let names: Vec<&str> = files.iter().map(|f| f.name.as_str()).collect();
    for (variable, otherwise) in
        [("PIMC_VERILATOR", "verilator_bin"), ("PIMC_VERILATOR_OLD", "verilator_bin")]
    {
        let mut command = verilator(variable, otherwise);
        command.current_dir(&dir).args(["--lint-only", "-Wall", "--top-module", top]).args(&names);
        run(&format!("{name}: Verilator of {variable}"), &mut command);
    }
    let mut icarus = Command::new(program("PIMC_IVERILOG", "iverilog"));
    icarus.current_dir(&dir).args(["-g2012", "-Wall", "-Wno-timescale", "-t", "null", "-s", top]);
    icarus.args(&names);
    run(&format!("{name}: Icarus"), &mut icarus);
    let script = format!(
        "read_verilog -sv {}; hierarchy -check -top {top}; proc; check -assert",
        names.join(" ")
    );
    let mut yosys = Command::new(program("PIMC_YOSYS", "yosys"));
    run(&format!("{name}: Yosys"), yosys.current_dir(&dir).args(["-q", "-p", &script]));
}
