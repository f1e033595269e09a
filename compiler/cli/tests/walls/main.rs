//! The walls between the crates, as ARCHITECTURE.md states them: who may depend on whom, what code
//! may do where, and how long a file may grow. Each rule is also tried on text that breaks it.

mod scan;

use scan::mentions;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A row of the table of crates in ARCHITECTURE.md: a crate, its folder, our crates that it may use.
struct Room {
    name: String,
    folder: String,
    uses: BTreeSet<String>,
}

/// Our crates that only the tests of a crate may use besides.
const TESTS_USE: [(&str, &[&str]); 3] = [
    ("pimc-rtl", &["pimc-ir", "pimc-golden"]),
    ("pimc-lower", &["pimc-golden"]),
    ("pimc-cosim", &["pimc-quantize"]),
];

/// The table of crates of the page: rows of folder and name, what it holds, what it may depend on.
fn rooms(page: &str) -> Vec<Room> {
    let rows: Vec<Vec<&str>> = page
        .lines()
        .map(|l| l.split('|').map(str::trim).collect::<Vec<_>>())
        .filter(|cells| cells.len() == 5 && cells[1].starts_with('`') && cells[1].contains(" pimc"))
        .collect();
    let words = |text: &str| -> BTreeSet<String> {
        let breaks = |c: char| !c.is_alphanumeric() && c != '-';
        text.split(breaks).filter(|w| !w.is_empty()).map(str::to_string).collect()
    };
    let head = |cells: &[&str]| {
        let (folder, name) = cells[1].split_once("` ").unwrap();
        (folder.trim_matches('`').to_string(), name.to_string())
    };
    let names: BTreeSet<String> = rows.iter().map(|r| head(r).1).collect();
    rows.iter()
        .map(|cells| {
            let (folder, name) = head(cells);
            let named = words(cells[3]);
            let uses = match named.contains("all") {
                true => names.clone(),
                false => names.intersection(&named).cloned().collect(),
            };
            Room { name, folder, uses }
        })
        .collect()
}

fn architecture() -> String {
    std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// What the code of a crate may not mention.
struct Ban {
    /// Crates that it holds for.
    crates: &'static [&'static str],
    /// Paths, macros or methods; see [`scan::Mention::has`].
    what: &'static [&'static str],
    /// The rule, as one would say it.
    rule: &'static str,
}

const LIBRARIES: &[&str] = &[
    "pimc-ir",
    "pimc-golden",
    "pimc-rtl",
    "pimc-lower",
    "pimc-quantize",
    "pimc-explore",
    "pimc-cosim",
];
const PURE: &[&str] =
    &["pimc-ir", "pimc-golden", "pimc-rtl", "pimc-lower", "pimc-quantize", "pimc-explore"];

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
    files(&root().join(&room.folder).join("src"), &mut all);
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
    for room in rooms(&architecture()) {
        for path in sources(&room) {
            let source = std::fs::read_to_string(&path).unwrap();
            all.extend(breaches(&room.name, &shown(&path), &source));
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
        (
            "pimc-explore",
            "fn f() -> Option<String> { std::env::var(\"SLURM_ARRAY_TASK_ID\").ok() }",
        ),
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

/// Code that the legality checker takes from where the schedule is made.
fn of_the_scheduler(source: &str) -> Vec<String> {
    let parts = ["schedule", "mapping", "plan", "expand", "walk", "pimc_rtl"];
    let found = mentions(source).unwrap();
    let code = found.iter().filter(|m| parts.iter().any(|p| m.has(p)) && m.path.contains("::"));
    code.map(|m| format!("{}: {}", m.line, m.path)).collect()
}

#[test]
fn the_legality_checker_shares_no_code_with_the_scheduler() {
    let source = root().join("compiler/lower/src");
    let mut files: Vec<_> =
        source.join("legality").read_dir().unwrap().collect::<Result<_, _>>().unwrap();
    files.sort_by_key(std::fs::DirEntry::path);
    assert!(files.len() >= 3, "the checker's files were not found");
    let paths = files.iter().map(std::fs::DirEntry::path);
    for path in paths {
        let wrong = of_the_scheduler(&std::fs::read_to_string(&path).unwrap());
        assert!(wrong.is_empty(), "{}:\n{}\n", path.display(), wrong.join("\n"));
    }
    assert_eq!(of_the_scheduler("use crate::{target::Target, schedule::Builder};").len(), 1);
    assert_eq!(of_the_scheduler("fn f() { pimc_rtl::timing::vec_clocks() }").len(), 1);
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
fn forbidden(rooms: &[Room], edges: &[Edge]) -> Vec<String> {
    let mut out = Vec::new();
    for (from, to, test_only) in edges {
        let Some(room) = rooms.iter().find(|r| r.name == *from) else {
            out.push(format!("{from} is not in the table of crates"));
            continue;
        };
        let in_tests = TESTS_USE.iter().any(|(n, uses)| n == from && uses.contains(&to.as_str()));
        let allowed = room.uses.contains(to) || (*test_only && in_tests);
        if rooms.iter().any(|r| r.name == *to) && !allowed {
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
    let (rooms, edges) = (rooms(&architecture()), edges(&metadata()));
    let crates: BTreeSet<&str> = edges.iter().map(|e| e.0.as_str()).collect();
    assert_eq!(crates, rooms.iter().map(|r| r.name.as_str()).collect(), "crates of the workspace");
    let wrong = forbidden(&rooms, &edges);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_forbidden_dependency_is_caught() {
    let rooms = rooms(
        "| crate | holds | may depend on |\n|---|---|---|\n\
         | `compiler/ir` pimc-ir | text | nothing of ours |\n\
         | `golden` pimc-golden | ops | pimc-ir |\n\
         | `rtl` pimc-rtl | units | nothing of ours |\n\
         | `compiler/lower` pimc-lower | plans | pimc-ir, pimc-rtl (shapes) |\n\
         | `compiler/cli` pimc | words | all |\n",
    );
    for (from, to, test_only, caught) in [
        ("pimc-golden", "pimc-lower", false, true),
        ("pimc-golden", "pimc-rtl", true, true),
        ("pimc-golden", "thiserror", false, false),
        ("pimc-ir", "pimc-golden", true, true),
        ("pimc-rtl", "pimc-ir", false, true),
        ("pimc-rtl", "pimc-golden", true, false),
        ("pimc-lower", "pimc-golden", false, true),
        ("pimc-lower", "pimc-golden", true, false),
        ("pimc-lower", "pimc-rtl", false, false),
        ("pimc", "pimc-golden", false, false),
        ("pimc-new", "serde", false, true),
    ] {
        let wrong = forbidden(&rooms, &[(from.into(), to.into(), test_only)]);
        assert_eq!(!wrong.is_empty(), caught, "{from} -> {to}: {wrong:?}");
    }
}

/// Dependencies without a row in the table of ARCHITECTURE.md, and rows without a dependency.
fn unexplained(edges: &[Edge], page: &str) -> Vec<String> {
    let used: BTreeSet<&str> =
        edges.iter().map(|e| e.1.as_str()).filter(|n| !n.starts_with("pimc")).collect();
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
    let wrong = unexplained(&edges(&metadata()), &architecture());
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

    let planted = format!("a\nsee {}/me/x\nrel/home/x ./root/y\n{}/z", "/home", "/root");
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
