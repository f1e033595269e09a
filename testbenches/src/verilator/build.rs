//! From SystemVerilog to a loadable simulation, in about a second.
//!
//! What makes it fast (each measured): one C++ file that includes all generated ones; the runtime
//! compiled once per Verilator version and option set and kept, with a precompiled header; bank
//! units kept as modules of their own instead of inlined 16 times; `-O1` for what runs every clock, nothing
//! for what runs once. A design whose text was
//! built before is not built again: the shared object is kept under the hash of all that made it.

use super::toolchain::Toolchain;
use crate::error::Error;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Built designs that are kept, at most; the oldest go first.
const KEPT_DESIGNS: usize = 64;

/// The form of the wave files that a build can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaveFormat {
    /// Value change dump: text, fast to write.
    Vcd,
    /// FST: an order of magnitude smaller, slower to write.
    Fst,
}

/// A port of the top module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its width.
    pub bits: u32,
}

/// What to build.
#[derive(Clone, Debug)]
pub struct Design {
    /// Top module. Its clock is `clk_i`.
    pub top: String,
    /// Names (no folders) and texts of the source files, in dependency order.
    pub sources: Vec<(String, String)>,
    /// Parameters of the top module.
    pub params: Vec<(String, u64)>,
    /// Verilator control file: what to trace, what not to inline.
    pub control: String,
    /// Ports that are reached from outside; `clk_i` need not be among them.
    pub ports: Vec<Port>,
    /// Wave files.
    pub waves: WaveFormat,
}

/// A design that is ready to be loaded.
#[derive(Clone, Debug)]
pub struct Built {
    /// The shared object.
    pub object: PathBuf,
    /// Whether it was built now (or found from an earlier time).
    pub fresh: bool,
    /// Ports, in the order that [`Design::ports`] gave.
    pub ports: Vec<Port>,
}

/// Builds `design`, or finds it built, under `cache`.
///
/// # Errors
/// [`Error::Tool`] with the tool's last lines when Verilator or the compiler refuses.
pub fn build(tools: &Toolchain, design: &Design, cache: &Path) -> Result<Built, Error> {
    let designs = cache.join("designs");
    let home = designs.join(key_of(tools, design));
    let object = home.join("model.so");
    let ports = design.ports.clone();
    if object.is_file() {
        // Touched, so that the oldest is the one that was not used for longest.
        let _ = fs::File::open(&object).and_then(|f| f.set_modified(std::time::SystemTime::now()));
        return Ok(Built { object, fresh: false, ports });
    }
    let runtime = runtime(tools, design.waves, cache)?;
    fs::create_dir_all(&designs).map_err(Error::io(&designs))?;
    let work = tempfile::Builder::new()
        .prefix("build-")
        .tempdir_in(&designs)
        .map_err(Error::io(&designs))?;
    verilate(tools, design, work.path())?;
    let unity = work.path().join("unity.cpp");
    fs::write(&unity, unity_text(design, work.path())?).map_err(Error::io(&unity))?;
    compile(tools, &runtime, design.waves, work.path())?;
    prune(&designs);
    // The folder appears complete or not at all; a second process may have been faster.
    fs::create_dir_all(&home).map_err(Error::io(&home))?;
    fs::rename(work.path().join("model.so"), &object).map_err(Error::io(&object))?;
    Ok(Built { object, fresh: true, ports })
}

fn key_of(tools: &Toolchain, design: &Design) -> String {
    let mut h = Sha256::new();
    let mut add = |s: &str| {
        h.update((s.len() as u64).to_le_bytes());
        h.update(s.as_bytes());
    };
    add(&tools.root.to_string_lossy());
    add(&tools.version.to_string());
    add(&tools.cxx_version);
    add(&format!("{:?}", tools.fst_libs));
    add(include_str!("build.rs"));
    add(include_str!("shim.cpp"));
    add(&design.top);
    add(&design.control);
    add(&format!("{:?} {:?} {:?}", design.params, design.ports, design.waves));
    for (name, text) in &design.sources {
        add(name);
        add(text);
    }
    hex(&h.finalize())[..24].to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// Removes the designs beyond the number kept, least recently used first. Failing to is harmless.
fn prune(designs: &Path) {
    let mut kept: Vec<_> = designs
        .read_dir()
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| {
            let used = e.path().join("model.so").metadata().ok()?.modified().ok()?;
            Some((used, e.path()))
        })
        .collect();
    kept.sort();
    let surplus = kept.len().saturating_sub(KEPT_DESIGNS);
    for (_, path) in &kept[..surplus] {
        let _ = fs::remove_dir_all(path);
    }
}

fn verilate(tools: &Toolchain, design: &Design, work: &Path) -> Result<(), Error> {
    let control = work.join("control.vlt");
    fs::write(&control, &design.control).map_err(Error::io(&control))?;
    let mut cmd = Command::new(&tools.verilator);
    cmd.env("VERILATOR_ROOT", &tools.root).current_dir(work);
    cmd.args(["--cc", "--prefix", "Vpimc", "--top-module", &design.top, "--Mdir", "obj"]);
    // Warnings belong to the lint of the generated text; here a wrong design is to be run.
    cmd.args(["-Wno-lint", "-Wno-style", "-Wno-fatal", "--no-timing", "-O3"]);
    // Both passes cost more than they save here: see the module's head.
    cmd.args(["-fno-gate", "-fno-dfg"]);
    // What nothing has written holds a random pattern, so that a missing reset shows.
    cmd.args(["--x-assign", "unique", "--x-initial", "unique"]);
    cmd.arg(match design.waves {
        WaveFormat::Vcd => "--trace",
        WaveFormat::Fst => "--trace-fst",
    });
    // The scores of a beat may have thousands of bits, of which the check reads the first few.
    cmd.args(["--trace-max-width", "65536"]);
    for (name, value) in &design.params {
        cmd.arg(format!("-G{name}={value}"));
    }
    cmd.arg("control.vlt");
    for (name, text) in &design.sources {
        let path = work.join(name);
        fs::write(&path, text).map_err(Error::io(&path))?;
        cmd.arg(name);
    }
    run("verilator", &mut cmd)
}

/// What runs once, before the first clock: optimising it takes longer than it could save.
const SLOW_BEGINS: &str = "#ifdef __clang__\n#pragma clang optimize off\n#else\n\
    #pragma GCC push_options\n#pragma GCC optimize(\"O0\")\n#endif\n";
const SLOW_ENDS: &str =
    "#ifdef __clang__\n#pragma clang optimize on\n#else\n#pragma GCC pop_options\n#endif\n";

/// Every generated C++ file in one, then the shim.
fn unity_text(design: &Design, work: &Path) -> Result<String, Error> {
    let list = work.join("obj/Vpimc_classes.mk");
    let text = fs::read_to_string(&list).map_err(Error::io(&list))?;
    let mut unity = String::from("#include \"obj/Vpimc.h\"\n");
    let includes = |groups: [&str; 2]| -> String {
        let names = groups.iter().flat_map(|group| make_list(&text, group));
        names.map(|name| format!("#include \"obj/{name}.cpp\"\n")).collect()
    };
    unity.push_str(&includes(["VM_CLASSES_FAST", "VM_SUPPORT_FAST"]));
    unity.push_str(SLOW_BEGINS);
    unity.push_str(&includes(["VM_CLASSES_SLOW", "VM_SUPPORT_SLOW"]));
    unity.push_str(SLOW_ENDS);
    let trace = match design.waves {
        WaveFormat::Vcd => "VerilatedVcdC",
        WaveFormat::Fst => "VerilatedFstC",
    };
    let _ = write!(unity, "using PimcTrace = {trace};\n#define PIMC_PORTS");
    for (i, port) in design.ports.iter().enumerate() {
        let _ = write!(unity, " \\\n    PIMC_PORT({i}, {})", port.name);
    }
    unity.push_str("\n\n");
    unity.push_str(include_str!("shim.cpp"));
    Ok(unity)
}

/// The words of `NAME += \` in a makefile written by Verilator.
fn make_list<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines()
        .skip_while(|l| l.trim() != format!("{name} += \\"))
        .skip(1)
        .map(|l| l.trim().trim_end_matches('\\').trim())
        .take_while(|l| !l.is_empty())
        .collect()
}

fn cxx_flags(tools: &Toolchain, waves: WaveFormat) -> Vec<String> {
    let include = tools.root.join("include");
    let (vcd, fst) = match waves {
        WaveFormat::Vcd => (1, 0),
        WaveFormat::Fst => (0, 1),
    };
    let standard = if tools.version.1 < 30 && tools.version.0 == 5 { "c++14" } else { "c++17" };
    let mut flags = vec![
        format!("-std={standard}"),
        format!("-I{}", include.display()),
        format!("-I{}", include.join("vltstd").display()),
        "-DVERILATOR=1".into(),
        "-DVM_COVERAGE=0".into(),
        "-DVM_SC=0".into(),
        "-DVM_TRACE=1".into(),
        format!("-DVM_TRACE_VCD={vcd}"),
        format!("-DVM_TRACE_FST={fst}"),
        "-DVM_TRACE_SAIF=0".into(),
    ];
    if let (WaveFormat::Fst, Some(libs)) = (waves, &tools.fst_libs) {
        flags.push(format!("-I{}", libs.join("include").display()));
    }
    // The runtime's way to end the process is replaced by the shim's.
    flags.extend(["FATAL", "STOP", "FINISH"].map(|f| format!("-DVL_USER_{f}")));
    flags.extend(["-O1", "-fPIC", "-faligned-new", "-w", "-fvisibility=hidden"].map(String::from));
    flags
}

fn compile(tools: &Toolchain, runtime: &Path, waves: WaveFormat, work: &Path) -> Result<(), Error> {
    let mut cmd = Command::new(&tools.cxx);
    cmd.current_dir(work).args(cxx_flags(tools, waves));
    cmd.args(["-fvisibility=default", "-I.", "-Iobj", "-include"]).arg(runtime.join(HEADER));
    cmd.args(["-c", "unity.cpp", "-o", "unity.o"]);
    run("the C++ compiler", &mut cmd)?;
    let mut link = Command::new(&tools.cxx);
    link.current_dir(work).args(["-shared", "-o", "model.so", "unity.o"]);
    let mut objects: Vec<PathBuf> = runtime
        .read_dir()
        .map_err(Error::io(runtime))?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "o"))
        .collect();
    objects.sort();
    link.args(objects).arg("-pthread");
    if waves == WaveFormat::Fst {
        if let Some(libs) = &tools.fst_libs {
            let lib = libs.join("lib").display().to_string();
            link.args([format!("-L{lib}"), format!("-Wl,-rpath,{lib}")]);
        }
        link.arg("-lz");
        if fst_wants_lz4(tools) {
            link.arg("-llz4");
        }
    }
    run("the linker", &mut link)
}

/// The compression header that the compiler said it lacks, if that is why it failed.
fn missing_header(e: &Error) -> Option<&'static str> {
    let Error::Tool { output, .. } = e else { return None };
    ["lz4.h", "zlib.h"].into_iter().find(|h| {
        output.contains(&format!("{h}: No such file"))
            || output.contains(&format!("'{h}' file not found"))
    })
}

/// Whether this Verilator's FST writer takes lz4 from the system rather than from its own folder.
fn fst_wants_lz4(tools: &Toolchain) -> bool {
    !tools.root.join("include/gtkwave/lz4.c").is_file()
}

const HEADER: &str = "pimc_runtime.h";

/// One compilation of the runtime at a time within a process; across processes the rename at the
/// end makes a folder that is there a folder that is complete.
static RUNTIME: Mutex<()> = Mutex::new(());

/// The folder with the compiled runtime and the precompiled header for this tool and option set.
fn runtime(tools: &Toolchain, waves: WaveFormat, cache: &Path) -> Result<PathBuf, Error> {
    let _one = RUNTIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let flags = cxx_flags(tools, waves);
    let mut h = Sha256::new();
    h.update(format!("{} {} {flags:?}", tools.version, tools.cxx_version));
    h.update(include_str!("build.rs"));
    let home = cache.join("runtime").join(&hex(&h.finalize())[..24]);
    if home.join(HEADER).is_file() {
        return Ok(home);
    }
    let above = cache.join("runtime");
    fs::create_dir_all(&above).map_err(Error::io(&above))?;
    let work =
        tempfile::Builder::new().prefix("build-").tempdir_in(&above).map_err(Error::io(&above))?;
    let mut sources = vec!["verilated", "verilated_threads"];
    let mut header = String::from("#include \"verilated.h\"\n");
    match waves {
        WaveFormat::Vcd => {
            header.push_str("#include \"verilated_vcd_c.h\"\n");
            sources.push("verilated_vcd_c");
        }
        WaveFormat::Fst => {
            header.push_str("#include \"verilated_fst_c.h\"\n");
            sources.push("verilated_fst_c");
        }
    }
    let path = work.path().join(HEADER);
    fs::write(&path, header).map_err(Error::io(&path))?;
    for source in sources {
        let mut cmd = Command::new(&tools.cxx);
        cmd.current_dir(work.path()).args(&flags).arg("-c");
        cmd.arg(tools.root.join("include").join(format!("{source}.cpp")));
        cmd.arg("-o").arg(format!("{source}.o"));
        run("the C++ compiler", &mut cmd).map_err(|e| match missing_header(&e) {
            Some(header) if waves == WaveFormat::Fst => Error::NoFst { header },
            _ => e,
        })?;
    }
    // Only g++ takes up a precompiled header that lies beside the plain one.
    if !tools.cxx_version.contains("clang") {
        let mut cmd = Command::new(&tools.cxx);
        cmd.current_dir(work.path()).args(&flags).arg("-fvisibility=default");
        cmd.args(["-x", "c++-header", HEADER, "-o"]).arg(format!("{HEADER}.gch"));
        run("the C++ compiler", &mut cmd)?;
    }
    let done = work.keep();
    if fs::rename(&done, &home).is_err() {
        let _ = fs::remove_dir_all(&done);
        if !home.join(HEADER).is_file() {
            return Err(Error::content(&home, "cannot be made: is the cache folder writable?"));
        }
    }
    Ok(home)
}

/// Runs a tool to its end, its output kept for the case that it fails.
fn run(tool: &str, cmd: &mut Command) -> Result<(), Error> {
    let command = format!("{cmd:?}");
    let out = cmd.output().map_err(|e| Error::Tool {
        tool: tool.into(),
        status: "did not start".into(),
        command: command.clone(),
        output: e.to_string(),
    })?;
    if out.status.success() {
        return Ok(());
    }
    let said = [out.stderr, out.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().take(40).collect();
    Err(Error::Tool {
        tool: tool.into(),
        status: out.status.to_string(),
        command,
        output: lines.join("\n"),
    })
}
