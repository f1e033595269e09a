//! The walls between the crates, as ARCHITECTURE.md states them: who may depend on whom, what code
//! may do where, and how long a file may grow. Each rule is also tried on text that breaks it.

mod scan;

use scan::mentions;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A crate, its folder, our crates that it may depend on, and those that its tests may use besides.
struct Room {
    name: &'static str,
    folder: &'static str,
    uses: &'static [&'static str],
    tests_use: &'static [&'static str],
}

const ROOMS: [Room; 7] = [
    Room { name: "pimc-ir", folder: "compiler/ir", uses: &[], tests_use: &[] },
    Room { name: "pimc-golden", folder: "golden", uses: &["pimc-ir"], tests_use: &[] },
    Room { name: "pimc-rtl", folder: "rtl", uses: &[], tests_use: &["pimc-ir", "pimc-golden"] },
    Room {
        name: "pimc-lower",
        folder: "compiler/lower",
        uses: &["pimc-ir", "pimc-rtl"],
        tests_use: &["pimc-golden"],
    },
    Room {
        name: "pimc-quantize",
        folder: "compiler/quantize",
        uses: &["pimc-ir"],
        tests_use: &["pimc-golden"],
    },
    Room {
        name: "pimc-cosim",
        folder: "testbenches",
        uses: &["pimc-ir", "pimc-golden", "pimc-lower", "pimc-rtl"],
        tests_use: &["pimc-quantize"],
    },
    Room {
        name: "pimc",
        folder: "compiler/cli",
        uses: &["pimc-ir", "pimc-golden", "pimc-lower", "pimc-rtl", "pimc-quantize", "pimc-cosim"],
        tests_use: &[],
    },
];

/// What the code of a crate may not mention.
struct Ban {
    /// Crates that it holds for.
    crates: &'static [&'static str],
    /// Paths, macros or methods; see [`scan::Mention::has`].
    what: &'static [&'static str],
    /// The rule, as one would say it.
    rule: &'static str,
}

const LIBRARIES: &[&str] =
    &["pimc-ir", "pimc-golden", "pimc-rtl", "pimc-lower", "pimc-quantize", "pimc-cosim"];
const PURE: &[&str] = &["pimc-ir", "pimc-golden", "pimc-rtl", "pimc-lower", "pimc-quantize"];

const BANS: [Ban; 6] = [
    Ban {
        crates: LIBRARIES,
        what: &["println!", "print!", "eprintln!", "eprint!", "dbg!", "io::stdout", "io::stderr"],
        rule: "only the command line prints",
    },
    Ban {
        crates: LIBRARIES,
        what: &["process::exit", "process::abort", "process::ExitCode"],
        rule: "only the command line ends the process",
    },
    Ban { crates: PURE, what: &["std::process"], rule: "only testbenches starts processes" },
    Ban {
        crates: &["pimc"],
        what: &["process::Command"],
        rule: "only testbenches starts processes",
    },
    Ban {
        crates: PURE,
        what: &[
            "SystemTime",
            "Instant",
            "std::env",
            "env::var",
            "env::var_os",
            "env::args",
            "HashMap",
            "HashSet",
            "RandomState",
            "thread_rng",
        ],
        rule: "no pass reads the clock, the environment or hash order (use BTreeMap and BTreeSet)",
    },
    Ban {
        crates: &["pimc-golden", "pimc-rtl"],
        what: &["std::fs", "fs::read", "fs::write", "fs::File", "File::open", "File::create"],
        rule: "golden and the hardware units know no files",
    },
];

/// Longest Rust file: beyond this a reader no longer finds the room.
const MOST_LINES: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// Every file below `dir` that belongs to the repository, in order.
fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = dir.read_dir().unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let made = ["target", "out", "__pycache__"].contains(&name.as_str());
        let hidden_tool = [".git", ".tools"].contains(&name.as_str());
        if path.is_dir() {
            if !made && !hidden_tool {
                files(&path, out);
            }
        } else if name != ".git" {
            out.push(path);
        }
    }
}

fn repository() -> Vec<PathBuf> {
    let mut out = Vec::new();
    files(&root(), &mut out);
    assert!(out.len() > 30, "the repository was not found at {}", root().display());
    out
}

/// The sources of a crate that are built into it: not its tests.
fn sources(room: &Room) -> Vec<PathBuf> {
    let mut all = Vec::new();
    files(&root().join(room.folder).join("src"), &mut all);
    all.retain(|p| {
        let test = p.file_stem().is_some_and(|s| s == "tests")
            || p.components().any(|c| c.as_os_str() == "tests");
        p.extension().is_some_and(|e| e == "rs") && !test
    });
    assert!(!all.is_empty(), "{} has no sources", room.name);
    all
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Breaches of the bans by one source of crate `name`.
fn breaches(name: &str, file: &str, source: &str) -> Vec<String> {
    let found = match mentions(source) {
        Ok(found) => found,
        Err(e) => return vec![format!("{file}: cannot be read as Rust: {e}")],
    };
    let mut out = Vec::new();
    for ban in BANS.iter().filter(|b| b.crates.contains(&name)) {
        for m in found.iter().filter(|m| ban.what.iter().any(|w| m.has(w))) {
            out.push(format!("{file}:{}: `{}`: {}", m.line, m.path, ban.rule));
        }
    }
    out
}

#[test]
fn code_keeps_to_its_room() {
    let mut all = Vec::new();
    for room in &ROOMS {
        for path in sources(room) {
            let source = std::fs::read_to_string(&path).unwrap();
            all.extend(breaches(room.name, &shown(&path), &source));
        }
    }
    assert!(all.is_empty(), "\n{}\n", all.join("\n"));
}

#[test]
fn each_ban_catches_code_that_breaks_it() {
    for (crate_name, code) in [
        ("pimc-ir", "fn f() { println!(\"x\"); }"),
        ("pimc-cosim", "fn f() { std::io::stdout().flush(); }"),
        ("pimc-cosim", "use std::process; fn f() { process::exit(1) }"),
        ("pimc-lower", "use std::process::Command;"),
        ("pimc", "use std::process::{Command, ExitCode};"),
        ("pimc-lower", "use std::time::{Duration, Instant};"),
        ("pimc-golden", "fn f() -> Option<String> { std::env::var(\"X\").ok() }"),
        ("pimc-quantize", "use std::collections::HashMap;"),
        ("pimc-rtl", "fn f() { let _ = std::fs::read(\"x\"); }"),
    ] {
        assert_eq!(breaches(crate_name, "planted.rs", code).len().min(1), 1, "missed: {code}");
    }
    for (crate_name, code) in [
        ("pimc-cosim", "use std::process::Command; fn f(c: &mut Command) { c.stdout(x()); }"),
        ("pimc", "fn main() -> std::process::ExitCode { println!(\"x\"); go() }"),
        ("pimc-rtl", "const V: &str = env!(\"CARGO_PKG_VERSION\");"),
        ("pimc-ir", "#[cfg(test)] mod tests { use std::collections::HashMap; }"),
    ] {
        assert_eq!(breaches(crate_name, "planted.rs", code), Vec::<String>::new(), "{code}");
    }
}

/// One dependency: crate, what it depends on, and whether only its tests do.
type Edge = (String, String, bool);

fn edges(metadata: &serde_json::Value) -> Vec<Edge> {
    let mut out = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let from = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            out.push((from.into(), to.into(), dependency["kind"] == "dev"));
        }
    }
    out
}

/// Dependencies that ARCHITECTURE.md does not allow.
fn forbidden(edges: &[Edge]) -> Vec<String> {
    let ours: BTreeSet<&str> = ROOMS.iter().map(|r| r.name).collect();
    let mut out = Vec::new();
    for (from, to, test_only) in edges {
        let Some(room) = ROOMS.iter().find(|r| r.name == from) else {
            out.push(format!("{from} is not in the table of crates"));
            continue;
        };
        let allowed = room.uses.contains(&to.as_str())
            || (*test_only && room.tests_use.contains(&to.as_str()));
        if ours.contains(to.as_str()) && !allowed {
            out.push(format!("{from} may not depend on {to}"));
        }
    }
    out
}

fn metadata() -> serde_json::Value {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn dependencies_go_one_way() {
    let edges = edges(&metadata());
    let crates: BTreeSet<&str> = edges.iter().map(|e| e.0.as_str()).collect();
    assert_eq!(crates, ROOMS.iter().map(|r| r.name).collect(), "crates of the workspace");
    let wrong = forbidden(&edges);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_forbidden_dependency_is_caught() {
    for (from, to, test_only, caught) in [
        ("pimc-golden", "pimc-lower", false, true),
        ("pimc-golden", "pimc-rtl", true, true),
        ("pimc-golden", "thiserror", false, false),
        ("pimc-ir", "pimc-golden", true, true),
        ("pimc-rtl", "pimc-ir", false, true),
        ("pimc-rtl", "pimc-golden", true, false),
        ("pimc-lower", "pimc-golden", false, true),
        ("pimc-quantize", "pimc-lower", false, true),
        ("pimc-new", "serde", false, true),
        ("pimc-cosim", "pimc-golden", false, false),
    ] {
        let wrong = forbidden(&[(from.into(), to.into(), test_only)]);
        assert_eq!(!wrong.is_empty(), caught, "{from} -> {to}: {wrong:?}");
    }
}

/// Dependencies without a row in the table of ARCHITECTURE.md, and rows without a dependency.
fn unexplained(edges: &[Edge], page: &str) -> Vec<String> {
    let ours: BTreeSet<&str> = ROOMS.iter().map(|r| r.name).collect();
    let used: BTreeSet<&str> =
        edges.iter().map(|e| e.1.as_str()).filter(|n| !ours.contains(n)).collect();
    let rows: BTreeSet<&str> = page
        .split("## Dependencies")
        .nth(1)
        .unwrap_or("")
        .lines()
        .filter(|l| l.starts_with("| `"))
        .flat_map(|l| l.split('|').nth(1).unwrap_or("").split('`').skip(1).step_by(2))
        .collect();
    let missing = used.difference(&rows).map(|n| format!("{n} has no reason in ARCHITECTURE.md"));
    let stale = rows.difference(&used).map(|n| format!("{n} is explained but not used"));
    missing.chain(stale).collect()
}

#[test]
fn every_dependency_has_its_reason() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let wrong = unexplained(&edges(&metadata()), &page);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));

    let planted = "## Dependencies\n| `nom` | parsing |\n| `old`, `older` | gone |\n";
    let edges = [("pimc-ir".into(), "nom".into(), false), ("pimc-ir".into(), "new".into(), true)];
    let wrong = unexplained(&edges, planted).join("; ");
    assert!(wrong.contains("new has no") && wrong.contains("older is") && !wrong.contains("nom"));
}

/// What stands in a text that belongs to one machine: places below a home folder or a workplace.
fn machine_paths(text: &str) -> Vec<usize> {
    let starts = ["/home", "/root", "/Users", "/work", "C:\\Users"];
    let found = |line: &str| {
        starts.iter().any(|start| {
            line.match_indices(start).any(|(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + start.len()..].chars().next();
                before.is_none_or(|c| !c.is_alphanumeric() && !"./_-$}>".contains(c))
                    && after.is_some_and(|c| c == '/' || c == '\\')
            })
        })
    };
    text.lines().enumerate().filter(|(_, l)| found(l)).map(|(i, _)| i + 1).collect()
}

#[test]
fn no_machine_paths() {
    let mut wrong = Vec::new();
    for path in repository() {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        // This file holds the planted examples below.
        if path.ends_with("tests/walls/main.rs") {
            continue;
        }
        wrong.extend(machine_paths(&text).iter().map(|l| format!("{}:{l}", shown(&path))));
    }
    assert!(wrong.is_empty(), "paths of one machine:\n{}\n", wrong.join("\n"));

    let planted = format!("a\nsee {}/me/x\nrel/work/x ./root/y\n{}/z", "/home", "/root");
    assert_eq!(machine_paths(&planted), [2, 4]);
}

#[test]
fn files_stay_readable() {
    let mut long = BTreeMap::new();
    for path in repository() {
        if path.extension().is_some_and(|e| e == "rs") {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            if lines > MOST_LINES {
                long.insert(shown(&path), lines);
            }
        }
    }
    assert!(long.is_empty(), "Rust files over {MOST_LINES} lines: {long:?}");
}
