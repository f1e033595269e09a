//! A function on a cache in the form of AQPIM: a mapping that ends at the schedule, from outside.

use crate::common::{err, exit, object, out, pimc, run, write};
use std::path::{Path, PathBuf};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/attention/attention.ir")
}

/// The default target with that form.
fn target(folder: &Path, gather: &str) -> PathBuf {
    let hbm = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lower/targets/hbm3-pim.toml");
    let text = std::fs::read_to_string(hbm).unwrap();
    let mapping = format!("\n[mapping]\nattention = \"indirect\"\ngather = \"{gather}\"\n");
    write(folder, "indirect.toml", text + &mapping)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Compiles the example; the tree.
fn compiled(folder: &Path, gather: &str) -> PathBuf {
    let (target, tree) = (target(folder, gather), folder.join("out"));
    let args = ["compile", text(&example()), "-o", text(&tree), "--target", text(&target)]
        .map(String::from);
    let output = run(&args);
    assert_eq!(exit(&output), 0, "{}", err(&output));
    let said = out(&output);
    assert!(said.contains("ends at the schedule") && said.contains("no hardware"), "{said}");
    let value = object(&run(&[&args[..], &["--json".into()]].concat()));
    assert_eq!(value["mapping"]["ends_at"], "schedule");
    assert!(value.get("instructions").is_none(), "{value}");
    assert!(!tree.join("rtl").exists());
    tree
}

#[test]
fn two_levels_agree_and_the_others_are_told_to_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    for gather in ["centroid", "element"] {
        let tree = compiled(folder.path(), gather);
        // Without a Verilator there is no second opinion, and that is no error.
        let missing = folder.path().join("none");
        let cosim = |more: &[&str]| {
            let args = [&["cosim", text(&tree), "--random", "30"][..], more].concat();
            pimc(&args).env("PIMC_VERILATOR", &missing).env("PATH", "").output().unwrap()
        };
        let output = cosim(&[]);
        let said = out(&output);
        assert_eq!((exit(&output), err(&output)), (0, String::new()), "{said}");
        for part in [
            "golden        30 vectors",
            "schedule      30 vectors  agrees",
            "native    not in this mapping",
            "rtl       not in this mapping",
            "golden and schedule agree, bit for bit; no hardware was made, simulated or checked",
        ] {
            assert!(said.contains(part), "no `{part}` in\n{said}");
        }
        for part in ["all levels agree", "estimated", "waveform"] {
            assert!(!said.contains(part), "`{part}` in\n{said}");
        }
        let value = object(&cosim(&["--json"]));
        let report = &value["report"];
        assert_eq!(value["agreed"], true);
        let names = |list: &serde_json::Value| -> Vec<String> {
            let all = list.as_array().unwrap().iter();
            all.map(|l| l["level"].as_str().unwrap().to_string()).collect()
        };
        assert_eq!(names(&report["levels"]), ["golden", "schedule"]);
        assert_eq!(names(&report["absent"]), ["native", "rtl"]);
        assert!(report["clocks"]["estimate"].is_null() && report["clocks"]["rtl"].is_null());
        let golden = out(&cosim(&["--level", "golden"]));
        assert!(golden.contains("no level was compared with golden"), "{golden}");
    }
}

#[test]
fn levels_that_are_not_there_are_status_2() {
    let folder = tempfile::tempdir().unwrap();
    let tree = compiled(folder.path(), "centroid");
    let wave = folder.path().join("w.vcd");
    for more in [
        &["--level", "native"][..],
        &["--level", "golden,schedule,rtl"],
        &["--level", "golden,schedule,native,rtl"],
        &["--vcd", text(&wave)],
        &["--fst", text(&wave)],
    ] {
        let args = [&["cosim", text(&tree)][..], more].concat();
        let output = run(&args);
        assert_eq!((exit(&output), out(&output)), (2, String::new()), "{more:?}");
        let said = err(&output);
        assert!(said.contains("there is no level") && said.contains("no hardware"), "{said}");
        assert!(said.contains("--level golden,schedule"), "{said}");
        let value = object(&run(&[&args[..], &["--json"]].concat()));
        assert_eq!(value["status"], "bad_input");
        assert!(!wave.exists());
    }
    write(folder.path(), "w.vcd", "");
    let output = run(&["check", text(&tree), "--wave", text(&wave)]);
    assert_eq!(exit(&output), 2);
    assert!(err(&output).contains("there is no hardware for it"), "{}", err(&output));
}

#[test]
fn its_commands_and_its_report_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let tree = compiled(folder.path(), "centroid");
    let trace = tree.join("schedule/commands.csv");
    let output = run(&["check", text(&tree), "--commands", text(&trace)]);
    assert_eq!(exit(&output), 0, "{}{}", out(&output), err(&output));
    let output = run(&["report", text(&tree)]);
    let said = out(&output);
    assert_eq!(exit(&output), 0, "{}", err(&output));
    for part in [
        "attention indirect, gather centroid; it ends at the schedule, there is no hardware",
        "assumed:",
        "up to 19 bits in a table, which FP16 would round",
        "row turnarounds",
        "new tokens taken in",
        "the resident mapping takes",
    ] {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    assert_eq!(object(&run(&["report", text(&tree), "--json"]))["report"]["run"]["tokens"], 1);
    // In our own mapping the same step stands beside it.
    let ours = folder.path().join("ours");
    let output = run(&["compile", text(&example()), "-o", text(&ours)]);
    assert_eq!(exit(&output), 0, "{}", err(&output));
    let said = out(&run(&["report", text(&ours)]));
    for part in
        ["the paper's form, gather centroid, this step of 1 tokens", "a full cache of 128 tokens"]
    {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
}

/// A sweep sets both mappings side by side; the one without hardware has clocks, and no area and no front.
#[test]
fn a_sweep_has_both_mappings() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = "targets = [\"hbm3-pim\", \"hbm3-pim-uncapped\"]\n[target]\nmapping.attention = \
                 [\"resident\", \"indirect\"]\nstack.channels = [1, 2]\n";
    let (sweep, found) = (write(folder.path(), "s.toml", sweep), folder.path().join("sweep"));
    let output = run(&["explore", text(&example()), "-o", text(&found), "--sweep", text(&sweep)]);
    let said = out(&output);
    assert_eq!(exit(&output), 0, "{}", err(&output));
    assert!(said.contains("8 points, 4 fit"), "{said}");
    assert!(said.contains("4 are schedules for comparison: no hardware"), "{said}");
    let points = std::fs::read_to_string(found.join("points.json")).unwrap();
    let points: serde_json::Value = serde_json::from_str(&points).unwrap();
    let tree = compiled(folder.path(), "centroid");
    let report = object(&run(&["report", text(&tree), "--json"]));
    let mut alone = 0;
    for point in points["points"].as_array().unwrap() {
        assert!(point["cycles"].as_u64().is_some_and(|cycles| cycles > 500), "{point}");
        let built = point["mapping.attention"] == "resident";
        assert_eq!(point["fits"], built, "{point}");
        for column in ["area_gates", "error", "bank_mm2"] {
            assert_eq!(point.get(column).is_some(), built, "{column} in {point}");
        }
        if !built {
            alone += 1;
            assert_eq!(point["pareto"], false);
            assert!(point["why"].as_str().unwrap().contains("no hardware"), "{point}");
            if point["target"] == "hbm3-pim" && point["stack.channels"] == "1" {
                assert_eq!(point["cycles"], report["report"]["run"]["cycles"]);
            }
        }
    }
    assert_eq!(alone, 4);
}
