//! The output tree: the same bytes twice, read back, damaged, and never half of it.

use crate::common::*;
use pimc_ir::{Code, Model};
use pimc_lower::images::{Banks, Images};
use pimc_lower::interp::Ignore;
use pimc_lower::{emit, read_tree, write_tree, Plan, Target};
use std::fs;
use std::path::{Path, PathBuf};

struct Case {
    folder: tempfile::TempDir,
    model: Model,
    plan: Plan,
}

impl Case {
    fn new(seed: u64) -> Case {
        let folder = tempfile::tempdir().expect("a folder");
        let path = random(seed).write(folder.path(), "tiny.ir").unwrap_or_else(|d| panic!("{d}"));
        let model = pimc_ir::load(&path).unwrap_or_else(|d| panic!("{d}"));
        let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
        Case { folder, model, plan }
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn write(&self, to: &Path) -> Result<serde_json::Value, pimc_ir::Diagnostics> {
        write_tree(&emit(&self.plan, &self.model).unwrap_or_else(|d| panic!("{d}")), to)
    }
}

/// Every file below a folder with its bytes, by path.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).expect("a file");
                all.push((path.strip_prefix(dir).expect("below").to_path_buf(), bytes));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn the_same_bytes_twice_and_all_in_the_manifest() {
    for seed in 0..8 {
        let case = Case::new(seed);
        let manifest = case.write(&case.out()).unwrap_or_else(|d| panic!("{d}"));
        let first = contents(&case.out());
        case.write(&case.out()).unwrap_or_else(|d| panic!("{d}"));
        assert!(first == contents(&case.out()), "seed {seed}");
        let listed = manifest["outputs"].as_object().expect("outputs");
        assert_eq!(listed.len() + 1, first.len());
        for (path, bytes) in &first {
            let name = path.to_str().expect("a name");
            if name != "manifest.json" {
                assert_eq!(listed[name]["bytes"], bytes.len());
            }
            let text = String::from_utf8_lossy(bytes);
            let here = case.folder.path().to_str().expect("a path");
            assert!(!text.contains(here), "{name} tells where it was made");
        }
        let left: Vec<_> = fs::read_dir(case.folder.path())
            .expect("a folder")
            .map(|e| e.expect("an entry").file_name().into_string().expect("a name"))
            .filter(|n| n.starts_with('.'))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn what_is_read_back_runs() {
    for seed in 0..12 {
        let case = Case::new(seed);
        case.write(&case.out()).unwrap_or_else(|d| panic!("{d}"));
        let tree = read_tree(&case.out()).unwrap_or_else(|d| panic!("{d}"));
        assert!(tree.changed.is_empty(), "{:?}", tree.changed);
        assert_eq!(tree.program, case.plan.program);
        assert_eq!(tree.constants, case.plan.constants);
        let images = Images::new(&case.model, &case.plan);
        for bank in 0..16 {
            let columns = images.bank(bank);
            assert_eq!(columns, tree.banks.bank(bank));
            for at in 0..columns.len() as u32 {
                assert_eq!(images.column(bank, at / 32, at % 32), Some(columns[at as usize]));
            }
        }
        let mut machine = tree.machine().expect("constants fit");
        for x in inputs(&tree.model, seed, 3) {
            let y = tree.plan.run(&mut machine, &x, &mut Ignore).unwrap_or_else(|f| panic!("{f}"));
            assert_eq!(y, pimc_golden::run(&tree.model, &x).expect("golden runs").result());
        }
    }
}

#[test]
fn tensor_files_above_the_module_stay_in_the_tree() {
    let folder = tempfile::tempdir().expect("a folder");
    let below = folder.path().join("a/b");
    fs::create_dir_all(&below).expect("a folder");
    let text = "pimc 1\ntarget \"hbm3-pim\"\n\
        weight @w : int<2x3, bits=8> from \"../../w.safetensors\"\n\
        param @b : i32<2> from \"../b.safetensors\"\n\
        func @main(%x: i8<3>) -> i64<2> {\n  %y = matvec @w, %x : i64<2>\n  \
        %z = add %y, @b : i64<2>\n  return %z\n}\n";
    let builder = pimc_ir::testing::ModelBuilder::new(text).int("w", &[1, 2, 3, 4, 5, 6], &[]);
    for (name, bytes) in builder.files().unwrap_or_else(|d| panic!("{d}")) {
        fs::write(below.join(name), bytes).expect("a file");
    }
    fs::write(below.join("m.ir"), text).expect("a file");
    let model = pimc_ir::load(&below.join("m.ir")).unwrap_or_else(|d| panic!("{d}"));
    let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
    let out = folder.path().join("deep/out");
    let tree = emit(&plan, &model).unwrap_or_else(|d| panic!("{d}"));
    write_tree(&tree, &out).unwrap_or_else(|d| panic!("{d}"));
    assert!(out.join("model/module/module/m.ir").is_file());
    assert!(out.join("model/w.safetensors").is_file());
    assert!(out.join("model/module/b.safetensors").is_file());
    assert!(read_tree(&out).unwrap_or_else(|d| panic!("{d}")).changed.is_empty());
}

#[test]
fn other_peoples_folders_are_left_alone() {
    let case = Case::new(3);
    let out = case.out();
    fs::create_dir(&out).expect("a folder");
    fs::write(out.join("thesis.tex"), "years of work").expect("a file");
    let found = case.write(&out).expect_err("in the way");
    assert_eq!(found.list()[0].code, Code::P0705);
    assert_eq!(contents(&out).len(), 1);
    // A manifest of another tool does not make it ours.
    fs::write(out.join("manifest.json"), "{\"tool\": \"other\"}").expect("a file");
    assert_eq!(case.write(&out).expect_err("in the way").list()[0].code, Code::P0705);
    // A file of that name neither.
    let file = case.folder.path().join("file");
    fs::write(&file, "text").expect("a file");
    assert_eq!(case.write(&file).expect_err("in the way").list()[0].code, Code::P0705);
    // An empty folder may be used.
    let empty = case.folder.path().join("empty");
    fs::create_dir(&empty).expect("a folder");
    case.write(&empty).unwrap_or_else(|d| panic!("{d}"));
}

#[test]
fn a_tensor_file_that_changes_meanwhile_leaves_nothing() {
    let case = Case::new(3);
    let out = case.out();
    let tree = emit(&case.plan, &case.model).unwrap_or_else(|d| panic!("{d}"));
    let tensors = case.folder.path().join("w.safetensors");
    fs::remove_file(&tensors).expect("a file");
    fs::write(&tensors, "something else").expect("a file");
    let found = write_tree(&tree, &out).expect_err("changed");
    assert_eq!(found.list()[0].code, Code::P0704);
    assert!(!out.exists());
    assert_eq!(fs::read_dir(case.folder.path()).expect("a folder").count(), 2);
}

/// Damages one file and reads: the error's code, or the files that differ from the manifest.
fn damaged(seed: u64, file: &str, change: &dyn Fn(String) -> String) -> Result<Vec<String>, Code> {
    let case = Case::new(seed);
    case.write(&case.out()).unwrap_or_else(|d| panic!("{d}"));
    let path = case.out().join(file);
    let text = fs::read_to_string(&path).expect("a file");
    fs::write(&path, change(text)).expect("a file");
    read_tree(&case.out()).map(|tree| tree.changed).map_err(|d| d.list()[0].code)
}

#[test]
fn damage_is_found() {
    let flip = |text: String| text.replacen("0000000\n", "0000001\n", 1);
    assert_eq!(damaged(3, "mem/bank_07.hex", &flip), Ok(vec!["mem/bank_07.hex".into()]));
    let other = |text: String| text + " ";
    assert_eq!(damaged(3, "report.html", &other), Ok(vec!["report.html".into()]));
    assert_eq!(damaged(3, "mem/bank_00.hex", &|t| t + "12\n"), Err(Code::P0702));
    assert_eq!(damaged(3, "mem/bank_00.hex", &|_| String::new()), Err(Code::P0702));
    assert_eq!(damaged(3, "mem/bank_00.hex", &|t| t + "@0\n" + &"0".repeat(64)), Err(Code::P0702));
    let constants = (0..40).find(|&seed| !Case::new(seed).plan.constants.is_empty());
    let constants = constants.expect("a model with constants in vector memory");
    let moved = |t: String| t.replace('@', "@f");
    assert_eq!(damaged(constants, "mem/buffer.hex", &moved), Err(Code::P0703));
    assert_eq!(damaged(constants, "mem/buffer.hex", &|t| t + "zz\n"), Err(Code::P0702));
    let garble = |t: String| {
        let digits = t.lines().last().map_or(0, str::len);
        t + &"f".repeat(digits) + "\n"
    };
    assert_eq!(damaged(3, "schedule/program.hex", &garble), Err(Code::P0701));
    assert_eq!(damaged(3, "schedule/program.hex", &|_| "xyz".into()), Err(Code::P0701));
    assert_eq!(damaged(3, "schedule/target.toml", &|_| "[".into()), Err(Code::P0601));
    assert_eq!(damaged(3, "manifest.json", &|_| "{}".into()), Err(Code::P0703));
    assert_eq!(damaged(3, "manifest.json", &|_| "garbage".into()), Err(Code::P0703));
    // A tree of another version may hold the same names and mean something else.
    let later = |text: String| text.replace("\"format_version\": 1", "\"format_version\": 2");
    assert_eq!(damaged(3, "manifest.json", &later), Err(Code::P0703));
    let climb = |t: String| t.replace("model/tiny.ir", "../../etc/passwd");
    assert_eq!(damaged(3, "manifest.json", &climb), Err(Code::P0703));
    assert_eq!(damaged(3, "model/tiny.ir", &|t| t.replace("matvec", "matvex")), Err(Code::P0107));
}

#[test]
fn a_missing_file_is_named() {
    let case = Case::new(3);
    case.write(&case.out()).unwrap_or_else(|d| panic!("{d}"));
    fs::remove_file(case.out().join("mem/bank_03.hex")).expect("a file");
    let found = read_tree(&case.out()).expect_err("missing");
    assert_eq!(found.list()[0].code, Code::P0703);
    assert!(found.list()[0].message.contains("bank_03"));
    assert!(read_tree(Path::new("/nonexistent")).is_err());
}

#[test]
fn the_report_adds_up_and_stands_alone() {
    for seed in 0..8 {
        let case = Case::new(seed);
        case.write(&case.out()).unwrap_or_else(|d| panic!("{d}"));
        let read = |name: &str| fs::read_to_string(case.out().join(name)).expect("a file");
        let report: serde_json::Value = serde_json::from_str(&read("report.json")).expect("json");
        assert_eq!(report["format_version"], 1);
        assert_eq!(report["run"]["cycles"], case.plan.cycles);
        let commands = read("schedule/commands.csv");
        let rows = |name: &str| commands.lines().filter(|l| l.contains(name)).count();
        assert_eq!(report["run"]["reads"], rows(",RD,"));
        assert_eq!(report["run"]["refreshes"], rows(",REF,"));
        let html = read("report.html");
        assert!(html.contains("<svg") && html.ends_with("</html>\n"));
        for outside in ["http", "src=", "url(", "@import"] {
            assert!(!html.contains(outside), "{outside}");
        }
        let map: serde_json::Value = serde_json::from_str(&read("map.json")).expect("json");
        assert_eq!(map["ops"][0]["line"], 5);
        let modules = map["rtl"].as_array().expect("modules");
        assert!(modules.iter().any(|m| m["module"] == "pimc_channel" && m["ops"][0] == 0));
        // Units of every format serve the one op, as no other is built.
        let parts = ["lookup", "table", "gated", "sign", "mac", "byte", "plane", "bank"];
        for module in modules {
            let name = module["module"].as_str().expect("a name");
            assert!(read(module["file"].as_str().expect("a file")).contains(name));
            if parts.iter().any(|p| name.starts_with(&format!("pimc_{p}"))) {
                assert_eq!(module["ops"], serde_json::json!([0]), "{name}");
            }
        }
    }
}
