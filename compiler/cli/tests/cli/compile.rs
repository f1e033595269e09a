//! `pimc compile` and `pimc report`: what is written, where, and what is left alone.

use crate::common::{digits, err, exit, files, object, out, run, write};
use std::path::Path;

fn compile(model: &Path, dir: &Path, more: &[&str]) -> std::process::Output {
    let args = ["compile", model.to_str().unwrap(), "-o", dir.to_str().unwrap()];
    run(&[&args[..], more].concat())
}

#[test]
fn the_tree_holds_what_is_promised() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("out");
    let output = compile(&digits(), &tree, &["--json"]);
    let value = object(&output);
    assert_eq!((exit(&output), err(&output)), (0, String::new()));
    let found = files(&tree);
    for name in [
        "rtl/pimc.f",
        "rtl/pimc.core",
        "rtl/pimc_channel.sv",
        "schedule/program.pims",
        "schedule/program.hex",
        "schedule/commands.csv",
        "schedule/trace.json",
        "mem/bank_00.hex",
        "mem/bank_15.hex",
        "mem/layout.json",
        "map.json",
        "report.json",
        "report.html",
        "manifest.json",
    ] {
        assert!(found.contains_key(name), "no {name} in {:?}", found.keys());
    }
    assert_eq!(value["files"], found.len());
    assert!(value["cycles"].as_u64().unwrap() > 1000);

    let manifest: serde_json::Value = serde_json::from_slice(&found["manifest.json"]).unwrap();
    let listed = manifest["outputs"].as_object().unwrap();
    assert_eq!(listed.len() + 1, found.len(), "each file but the manifest is in the manifest");
    let text = String::from_utf8_lossy(&found["rtl/pimc_channel.sv"]);
    assert!(text.contains("digits.ir") && !text.contains(dir.path().to_str().unwrap()), "{text}");
}

#[test]
fn the_same_input_gives_the_same_bytes_wherever_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("a"), dir.path().join("deeper/b"));
    let copies = dir.path().join("copies");
    std::fs::create_dir(&copies).unwrap();
    for name in ["digits.ir", "digits.safetensors"] {
        std::fs::copy(digits().with_file_name(name), copies.join(name)).unwrap();
    }
    assert_eq!(exit(&compile(&digits(), &here, &[])), 0);
    assert_eq!(exit(&compile(&copies.join("digits.ir"), &there, &[])), 0);
    let (first, second) = (files(&here), files(&there));
    assert_eq!(first.keys().collect::<Vec<_>>(), second.keys().collect::<Vec<_>>());
    for (name, bytes) in &first {
        assert!(*bytes == second[name], "{name} differs");
    }
}

#[test]
fn an_output_tree_is_replaced_and_anything_else_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("out");
    std::fs::create_dir(&tree).unwrap();
    assert_eq!(exit(&compile(&digits(), &tree, &[])), 0, "an empty folder is taken");
    let first = files(&tree);
    write(&tree.join("schedule"), "left.over", "");
    assert_eq!(exit(&compile(&digits(), &tree, &[])), 0, "an output tree is replaced");
    assert_eq!(files(&tree), first);

    let mine = dir.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    write(&mine, "thesis.txt", "two years");
    let file = write(dir.path(), "file", "a file");
    for place in [&mine, &file] {
        let output = compile(&digits(), place, &[]);
        assert_eq!(exit(&output), 2, "{}", err(&output));
        assert!(err(&output).contains("[P0705]"), "{}", err(&output));
    }
    assert_eq!(std::fs::read_to_string(mine.join("thesis.txt")).unwrap(), "two years");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "a file");
    assert_eq!(dir.path().read_dir().unwrap().count(), 3, "something was left beside");
}

#[test]
fn a_model_that_breaks_leaves_the_tree_of_yesterday() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("out");
    assert_eq!(exit(&compile(&digits(), &tree, &[])), 0);
    let before = files(&tree);
    let broken = write(dir.path(), "m.ir", "pimc 1\n");
    assert_eq!(exit(&compile(&broken, &tree, &[])), 2);
    assert_eq!(files(&tree), before);
}

#[test]
fn the_target_can_be_chosen_by_name_and_by_file() {
    let dir = tempfile::tempdir().unwrap();
    let list = object(&run(&["targets", "--json"]));
    let toml = list["targets"][1]["toml"].as_str().unwrap();
    let name = list["targets"][1]["name"].as_str().unwrap();
    let file = write(dir.path(), "mine.toml", toml.replace(name, "mine"));
    let cycles = |tree: &str, target: &str| {
        let output = compile(&digits(), &dir.path().join(tree), &["--target", target, "--json"]);
        let value = object(&output);
        (value["target"].as_str().unwrap().to_string(), value["cycles"].as_u64().unwrap())
    };
    let by_name = cycles("a", name);
    let by_file = cycles("b", file.to_str().unwrap());
    assert_eq!((by_name.0.as_str(), by_file.0.as_str()), (name, "mine"));
    assert_eq!(by_name.1, by_file.1);
    let built_in = list["targets"][0]["name"].as_str().unwrap();
    assert_ne!(cycles("c", built_in).1, by_name.1, "the target changes nothing");

    let output = compile(&digits(), &dir.path().join("d"), &["--target", "none"]);
    assert_eq!(exit(&output), 2);
    assert!(err(&output).contains("[P0604]"), "{}", err(&output));
    assert!(!dir.path().join("d").exists());
}

#[test]
fn report_sums_up_a_tree_and_refuses_what_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("out");
    assert_eq!(exit(&compile(&digits(), &tree, &[])), 0);
    let text = out(&run(&["report", tree.to_str().unwrap()]));
    assert!(text.contains("%fc2 = matvec @fc2") && text.contains("report.html"), "{text}");
    for part in
        ["of the physical limit", "the cost model expected", "refresh", "% of the banks' time"]
    {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
    let value = object(&run(&["report", "--json", tree.to_str().unwrap()]));
    assert_eq!(value["report"]["model"], "digits.ir");
    // The lines of the table and their causes add up to the run.
    let number = |word: &str| word.parse::<u64>().ok();
    let table = text.split("where every clock went:\n").nth(1).unwrap();
    let lines: Vec<(u64, u64, &str)> = table
        .lines()
        .skip(1)
        .take_while(|l| !l.is_empty())
        .map(|l| {
            let (numbers, what) = l.split_at(2 + 10 + 9 * 9);
            let words: Vec<&str> = numbers.split_whitespace().collect();
            (number(words[0]).unwrap(), words[1..].iter().filter_map(|w| number(w)).sum(), what)
        })
        .collect();
    let (all, ops) = lines.split_last().unwrap();
    assert_eq!((all.0, all.1, all.2), (all.0, all.0, "all"));
    assert_eq!(value["report"]["run"]["cycles"], all.0);
    assert_eq!(ops.iter().map(|l| l.0).sum::<u64>(), all.0);
    assert!(ops.len() == 9 && ops.iter().all(|l| l.0 == l.1), "{lines:?}");

    let output = run(&["report", dir.path().to_str().unwrap()]);
    assert_eq!(exit(&output), 2);
    assert!(err(&output).contains("report.json"), "{}", err(&output));
    // One that an older pimc wrote, without the causes of the clocks.
    write(&tree, "report.json", r#"{"run": {"cycles": 5}, "ops": []}"#);
    assert_eq!(exit(&run(&["report", tree.to_str().unwrap()])), 2);
    write(&tree, "report.json", "{ half");
    assert_eq!(exit(&run(&["report", tree.to_str().unwrap()])), 2);
}

#[test]
fn what_is_never_used_is_a_warning_and_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["digits.ir", "digits.safetensors"] {
        std::fs::copy(digits().with_file_name(name), dir.path().join(name)).unwrap();
    }
    let model = dir.path().join("digits.ir");
    let text = std::fs::read_to_string(&model).unwrap();
    std::fs::write(&model, text.replace("  return", "  %idle = relu %x : i8<64>\n  return"))
        .unwrap();
    let output = compile(&model, &dir.path().join("out"), &[]);
    assert_eq!(exit(&output), 0);
    assert!(err(&output).contains("[P0501]") && err(&output).contains("%idle"), "{}", err(&output));
}
