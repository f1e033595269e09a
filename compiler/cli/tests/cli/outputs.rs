//! Places that cannot be written to, and files that must not be lost by it: exit status 2, a help,
//! and everything as it was.

use crate::common::{err, exit, object, pimc, run, small_model, write};
use std::path::{Path, PathBuf};

/// A folder with the small model and its compiled tree.
fn compiled() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let model = small_model(dir.path());
    let tree = dir.path().join("out");
    let output = compile(&model, &tree);
    assert_eq!(exit(&output), 0, "{}", err(&output));
    (dir, tree)
}

fn compile(model: &Path, tree: &Path) -> std::process::Output {
    run(&[Path::new("compile"), model, Path::new("-o"), tree])
}

/// Names, kinds and sizes of all that lies below a folder; links are not followed.
fn listing(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let size = if meta.is_file() { meta.len() } else { 0 };
        all.push(format!("{} {:?} {size}", path.display(), meta.file_type()));
        if meta.is_dir() {
            all.extend(listing(&path));
        }
    }
    all.sort();
    all
}

/// The command fails with status 2 and a help, as text and as JSON, and changes nothing in `dir`.
fn refused(dir: &Path, args: &[&str]) {
    let before = listing(dir);
    let output = pimc(args).current_dir(dir).output().unwrap();
    let said = err(&output);
    assert_eq!(exit(&output), 2, "{args:?}: {said}");
    assert!(said.contains("elp: "), "{args:?}: no help in\n{said}");
    let value = object(&pimc(&[args, &["--json"]].concat()).current_dir(dir).output().unwrap());
    let help = |found: &serde_json::Value| found["help"].as_str().is_some_and(|h| !h.is_empty());
    let helped = help(&value["error"])
        || value["diagnostics"].as_array().is_some_and(|d| !d.is_empty() && d.iter().all(help));
    assert!(helped, "{args:?}: no help in {value}");
    assert_eq!(listing(dir), before, "{args:?} changed something");
}

#[test]
fn outputs_that_cannot_be_written_leave_everything_as_it_was() {
    let (dir, _) = compiled();
    let long = "x".repeat(300);
    let deep = format!("new/folders/{long}");
    for place in [".", "..", "/", "small.ir", "small.ir/out", &long, &deep, "gone/../small.ir"] {
        refused(dir.path(), &["compile", "small.ir", "-o", place]);
    }
    let levels = ["--random", "1", "--level", "golden"];
    for place in ["out", "none/y.safetensors", "/dev/null", "/", &long] {
        refused(dir.path(), &[&["cosim", "out", "--outputs", place][..], &levels].concat());
    }
    refused(dir.path(), &["cosim", "out", "--vcd", "w.vcd", "--level", "golden"]);
}

#[test]
fn a_name_as_long_as_a_name_can_be_is_taken() {
    let (dir, _) = compiled();
    let tree = dir.path().join("x".repeat(255));
    let output = compile(&dir.path().join("small.ir"), &tree);
    assert_eq!(exit(&output), 0, "{}", err(&output));
    assert!(tree.join("manifest.json").is_file());
}

#[cfg(unix)]
#[test]
fn a_link_to_a_tree_stays_a_link() {
    let (dir, tree) = compiled();
    let link = dir.path().join("latest");
    std::os::unix::fs::symlink("out", &link).unwrap();
    write(&tree, "left.over", "");
    let output = compile(&dir.path().join("small.ir"), &link);
    assert_eq!(exit(&output), 0, "{}", err(&output));
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert!(tree.join("manifest.json").is_file() && !tree.join("left.over").exists());

    let mine = dir.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    write(&mine, "thesis.txt", "two years");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("mine", &link).unwrap();
    refused(dir.path(), &["compile", "small.ir", "-o", "latest"]);
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("nowhere", &link).unwrap();
    refused(dir.path(), &["compile", "small.ir", "-o", "latest"]);
}

#[test]
fn what_is_no_report_is_not_reported() {
    let (dir, tree) = compiled();
    for text in ["", "null", "[]", "{}", "\"x\"", "{\"run\":{}}", &"[".repeat(100_000)] {
        write(&tree, "report.json", text);
        refused(dir.path(), &["report", "out"]);
    }
}

#[test]
fn trees_that_lack_a_file_are_refused() {
    let (dir, tree) = compiled();
    for name in ["rtl/pimc_channel.sv", "mem/bank_03.hex", "schedule/program.hex", "model/small.ir"]
    {
        let (path, aside) = (tree.join(name), dir.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        refused(dir.path(), &["cosim", "out", "--level", "golden,schedule"]);
        std::fs::create_dir(&path).unwrap();
        refused(dir.path(), &["cosim", "out", "--level", "golden,schedule"]);
        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    }
}

#[test]
fn waves_that_lie_are_refused() {
    let (dir, _) = compiled();
    // Blocks of FST: a kind, a length of 8 bytes that counts itself, contents.
    let block = |kind: u8, length: u64, bytes: usize| {
        [&[kind][..], &length.to_be_bytes(), &vec![0; bytes]].concat()
    };
    for wave in [
        block(0, 329, 321),
        block(0, 329, 400),
        block(0, u64::MAX, 400),
        block(0, 0, 400),
        block(0xfe, 1 << 63, 400),
        [block(0, 329, 321), block(4, 24, 16)].concat(),
        [block(0, 329, 321), block(3, 8, 0), block(6, 8, 0)].concat(),
        [block(0, 329, 321), block(5, 32, 24), block(8, 40, 32)].concat(),
        b"$enddefinitions $end\n".to_vec(),
        b"$scope module a $end\n".repeat(10_000),
    ] {
        write(dir.path(), "wave", wave);
        refused(dir.path(), &["check", "out", "--wave", "wave"]);
    }
    for wave in ["none", "out", "/dev/zero", "/dev/null"] {
        refused(dir.path(), &["check", "out", "--wave", wave]);
    }
}
