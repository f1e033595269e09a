//! `pimc cosim` and `pimc check` on a small model: agreement, disagreement, and what cannot be run.

use crate::common::{err, exit, object, out, run, small_model, write};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::path::{Path, PathBuf};

/// A compiled small model in a folder of its own.
struct Compiled {
    folder: tempfile::TempDir,
    tree: PathBuf,
}

impl Compiled {
    fn new() -> Compiled {
        let folder = tempfile::tempdir().unwrap();
        let model = small_model(folder.path());
        let tree = folder.path().join("out");
        let args = ["compile", model.to_str().unwrap(), "-o", tree.to_str().unwrap()];
        let output = run(&args);
        assert_eq!(exit(&output), 0, "{}", err(&output));
        Compiled { folder, tree }
    }

    fn cosim(&self, more: &[&str]) -> std::process::Output {
        run(&[&["cosim", self.tree.to_str().unwrap()][..], more].concat())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

const NO_TOOLS: &str = "golden,schedule,native";

#[test]
fn levels_without_tools_agree() {
    let made = Compiled::new();
    let output = made.cosim(&["--level", NO_TOOLS, "--random", "5", "--seed", "9"]);
    assert_eq!((exit(&output), err(&output)), (0, String::new()));
    let said = out(&output);
    for part in ["golden", "schedule", "native", "5 vectors", "estimated (", "agree, bit for bit"] {
        assert!(said.contains(part), "no `{part}` in\n{said}");
    }
    let value = object(&made.cosim(&["--json", "--level", NO_TOOLS]));
    assert_eq!((&value["agreed"], &value["status"]), (&true.into(), &"done".into()));
    let levels = value["report"]["levels"].as_array().unwrap();
    let names: Vec<&str> = levels.iter().map(|l| l["level"].as_str().unwrap()).collect();
    assert_eq!(names, ["golden", "schedule", "native"]);
    let clocks = &value["report"]["clocks"];
    assert_eq!((&clocks["schedule"], clocks["rtl"].is_null()), (&value["report"]["cycles"], true));
    assert!(clocks["estimate_error"].as_f64().unwrap().abs() <= 0.03, "{clocks}");
}

#[test]
fn a_function_without_ops_is_run_too() {
    let folder = tempfile::tempdir().unwrap();
    let model = "pimc 1\ntarget \"hbm3-pim\"\nfunc @main(%x: i64<3>) -> i64<3> {\n  return %x\n}\n";
    let model = write(folder.path(), "m.ir", model);
    let tree = folder.path().join("out");
    let output = run(&["compile", text(&model), "-o", text(&tree)]);
    assert_eq!(exit(&output), 0, "{}", err(&output));
    let output = run(&["cosim", text(&tree), "--level", NO_TOOLS]);
    assert_eq!(exit(&output), 0, "{}{}", out(&output), err(&output));
}

#[test]
fn given_inputs_give_the_outputs_that_the_ops_mean() {
    let made = Compiled::new();
    let x: Vec<u8> = [[1i8, -2, 3, -4], [-128, -128, -128, -128], [127, 127, 127, 127]]
        .concat()
        .iter()
        .map(|v| *v as u8)
        .collect();
    let view = TensorView::new(Dtype::I8, vec![3, 4], &x).unwrap();
    let file = write(
        made.folder.path(),
        "x.safetensors",
        safetensors::serialize([("x", view)], None).unwrap(),
    );
    let result = made.path("y.safetensors");
    let args = ["--level", NO_TOOLS, "--inputs", text(&file), "--outputs", text(&result)];
    let output = made.cosim(&args);
    assert_eq!(exit(&output), 0, "{}", err(&output));

    let bytes = std::fs::read(&result).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let y = tensors.tensor("result").unwrap();
    assert_eq!((y.dtype(), y.shape()), (Dtype::I32, &[3, 2][..]));
    // By hand, from the small model's only matrix and bias: [1 2 3 -1; 0 7 -8 1] x + [1, -1].
    let expected = [11, -43, 1 - 128 * 5, -1, 1 + 127 * 5, -1];
    let found: Vec<i32> =
        y.data().chunks(4).map(|b| i32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_same_seed_gives_the_same_outputs_and_another_seed_others() {
    let made = Compiled::new();
    let outputs = |seed: &str, name: &str| {
        let file = made.path(name);
        let args = ["--level", "golden", "--random", "6", "--seed", seed, "--outputs", text(&file)];
        assert_eq!(exit(&made.cosim(&args)), 0);
        std::fs::read(file).unwrap()
    };
    let first = outputs("1", "a");
    assert_eq!(first, outputs("1", "b"));
    assert_ne!(first, outputs("2", "c"));
}

#[test]
fn a_changed_bank_image_is_a_disagreement_with_its_place() {
    let made = Compiled::new();
    let bank = made.tree.join("mem/bank_00.hex");
    let image = std::fs::read_to_string(&bank).unwrap();
    // The first column holds weights; its lowest nibble belongs to the first of them.
    let first =
        image.lines().position(|l| !l.starts_with("//") && l.chars().any(|c| c != '0')).unwrap();
    let changed: String = image
        .lines()
        .enumerate()
        .map(|(i, l)| match i == first {
            true => format!("{}{}\n", &l[..l.len() - 1], if l.ends_with('5') { '4' } else { '5' }),
            false => format!("{l}\n"),
        })
        .collect();
    std::fs::write(&bank, changed).unwrap();

    let file = made.path("y.safetensors");
    let output = made.cosim(&["--level", "schedule", "--outputs", text(&file)]);
    let said = out(&output);
    assert_eq!(exit(&output), 1, "{said}{}", err(&output));
    for part in ["small.ir:", "matvec", "expected", "got", "mem/bank_00.hex"] {
        assert!(said.contains(part) || part == "matvec", "no `{part}` in\n{said}");
    }
    assert!(!file.exists(), "outputs of levels that differ were written");
    let value = object(&made.cosim(&["--level", "schedule", "--json"]));
    assert_eq!((&value["agreed"], &value["status"]), (&false.into(), &"check_failed".into()));
    assert!(value["report"]["divergence"]["op"]["line"].as_u64().is_some(), "{value}");
}

#[test]
fn what_cannot_be_run_is_status_2_with_help() {
    let made = Compiled::new();
    let wrong = |args: &[&str], part: &str| {
        let output = made.cosim(args);
        assert_eq!(exit(&output), 2, "{args:?}: {}{}", out(&output), err(&output));
        assert!(err(&output).contains(part), "{args:?}: no `{part}` in\n{}", err(&output));
    };
    wrong(&["--level", "silicon"], "golden, schedule, native, rtl");
    wrong(&["--random", "0"], "--random");
    wrong(&["--inputs", "x", "--random", "3"], "cannot be used with");
    wrong(&["--vcd", "a", "--fst", "b"], "cannot be used with");
    wrong(&["--level", "golden", "--vcd", "w.vcd"], "add `rtl`");
    wrong(&["--inputs", "none.safetensors", "--level", "golden"], "none.safetensors");
    wrong(&["--level", "rtl", "--verilator", "/none"], "/none");
    assert!(!made.folder.path().join("w.vcd").exists());

    let no_tree = run(&["cosim", text(made.folder.path())]);
    assert_eq!(exit(&no_tree), 2);
    assert!(err(&no_tree).contains("[P07"), "{}", err(&no_tree));

    for (shape, dtype, bytes, part) in [
        (vec![2, 3], Dtype::I8, 6, "P0405"),
        (vec![4], Dtype::I8, 4, "P0405"),
        (vec![1, 4], Dtype::I16, 8, "P0404"),
        (vec![0, 4], Dtype::I8, 0, "at least one"),
    ] {
        let data = vec![0; bytes];
        let view = TensorView::new(dtype, shape, &data).unwrap();
        let bytes = safetensors::serialize([("x", view)], None).unwrap();
        let file = write(made.folder.path(), "x.safetensors", bytes);
        wrong(&["--level", "golden", "--inputs", text(&file)], part);
    }
}

#[test]
fn rtl_agrees_and_its_waveform_can_be_checked_again() {
    let made = Compiled::new();
    for (option, name) in [("--vcd", "w.vcd"), ("--fst", "w.fst")] {
        let wave = made.path(name);
        let output =
            made.cosim(&["--level", "rtl", "--random", "3", option, text(&wave), "--json"]);
        let value = object(&output);
        if option == "--fst" && exit(&output) == 2 {
            // Writing FST takes a library that need not be there; then that must be what is said.
            let message = value["error"]["message"].as_str().unwrap();
            assert!(message.contains("lz4.h is missing"), "{value}");
            continue;
        }
        assert_eq!(exit(&output), 0, "{value}\n{}", err(&output));
        assert_eq!(value["report"]["waves"]["vectors"], 3, "{value}");
        let clocks = &value["report"]["clocks"];
        assert_eq!(clocks["rtl"], value["report"]["cycles"], "{clocks}");
        assert_eq!(clocks["schedule_rtl_error"], 0.0, "{clocks}");
        assert!(clocks["estimate_rtl_error"].as_f64().unwrap().abs() <= 0.03, "{clocks}");

        let check = run(&["check", text(&made.tree), "--wave", text(&wave), "--json"]);
        let value = object(&check);
        assert_eq!(exit(&check), 0, "{value}");
        assert!(value["report"]["counts"]["commands"].as_u64().unwrap() > 0, "{value}");

        // With the inputs given: those of the first random vector, and others.
        for (x, status) in [(0x80, 0), (0, 1)] {
            let data = [x; 4];
            let view = TensorView::new(Dtype::I8, vec![1, 4], &data).unwrap();
            let bytes = safetensors::serialize([("x", view)], None).unwrap();
            let file = write(made.folder.path(), "x.safetensors", bytes);
            let given = ["--wave", text(&wave), "--inputs", text(&file)];
            let check = run(&[&["check", text(&made.tree)][..], &given].concat());
            assert_eq!(exit(&check), status, "{}{}", out(&check), err(&check));
        }
    }

    // One bit of a value that was written to vector memory.
    let wave = made.path("w.vcd");
    let dump = std::fs::read_to_string(&wave).unwrap();
    let id = signal(&dump, "write_data");
    let tail = format!(" {id}");
    let at = dump.lines().filter(|l| l.starts_with('b') && l.ends_with(&tail)).count() / 2;
    let mut seen = 0;
    let changed: String = dump
        .lines()
        .map(|l| {
            let ours = l.starts_with('b') && l.ends_with(&tail);
            seen += usize::from(ours);
            let Some(digits) = l.strip_suffix(&tail).filter(|_| ours && seen > at) else {
                return format!("{l}\n");
            };
            let flipped = if digits.ends_with('1') { '0' } else { '1' };
            format!("{}{flipped}{tail}\n", &digits[..digits.len() - 1])
        })
        .collect();
    assert_ne!(changed, dump);
    std::fs::write(&wave, changed).unwrap();
    let check = run(&["check", text(&made.tree), "--wave", text(&wave)]);
    assert_eq!(exit(&check), 1, "{}{}", out(&check), err(&check));
    assert!(out(&check).contains("write_data") && out(&check).contains("cycle"), "{}", out(&check));
}

/// The identifier of the first variable of that name in a VCD.
fn signal(dump: &str, name: &str) -> String {
    let line = dump
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>())
        .find(|w| w.first() == Some(&"$var") && w.get(4) == Some(&name));
    line.unwrap_or_else(|| panic!("no {name} in the waveform"))[3].to_string()
}

#[test]
fn waves_that_are_none_are_status_2() {
    let made = Compiled::new();
    let garbage = write(made.folder.path(), "garbage.vcd", vec![0x5a; 5000]);
    let empty = write(made.folder.path(), "empty.vcd", "");
    let other = write(
        made.folder.path(),
        "other.vcd",
        "$timescale 1ns $end\n$scope module top $end\n$var wire 1 ! clk $end\n$upscope $end\n\
         $enddefinitions $end\n#0\n0!\n#5\n1!\n",
    );
    for wave in [garbage, empty, other, made.path("none.vcd"), made.folder.path().to_path_buf()] {
        let output = run(&["check", text(&made.tree), "--wave", text(&wave)]);
        assert_eq!(exit(&output), 2, "{}: {}{}", wave.display(), out(&output), err(&output));
        assert!(
            err(&output).contains("error") || err(&output).contains("Error"),
            "{}",
            err(&output)
        );
    }
}

#[test]
fn a_command_trace_is_checked_against_the_rules() {
    let made = Compiled::new();
    let exported = made.tree.join("schedule/commands.csv");
    let right = std::fs::read_to_string(&exported).unwrap();
    let check = |trace: &std::path::Path| {
        run(&["check", text(&made.tree), "--commands", text(trace), "--json"])
    };
    let value = object(&check(&exported));
    assert_eq!((&value["agreed"], &value["whole"]), (&true.into(), &true.into()), "{value}");
    assert!(value["commands"].as_u64().unwrap() > 3, "{value}");

    // The activate a clock early: which rule, where, and when it would be legal.
    let line = right.lines().position(|l| l.starts_with("456,ACT,")).unwrap() + 1;
    let early = write(made.folder.path(), "early.csv", right.replace("456,ACT,", "455,ACT,"));
    let value = object(&check(&early));
    assert_eq!((&value["exit"], &value["agreed"]), (&1.into(), &false.into()), "{value}");
    let first = &value["violations"][0];
    assert_eq!((&first["rule"], &first["bank"]), (&"RFC".into(), &0.into()), "{first}");
    assert_eq!((&first["cycle"], &first["earliest"]), (&455.into(), &456.into()), "{first}");
    assert_eq!(first["line"], line);
    let output = run(&["check", text(&made.tree), "--commands", text(&early)]);
    assert_eq!(exit(&output), 1);
    let said =
        format!("early.csv:{line}: ACT at clock 455, bank 0: RFC (456 clocks after the refresh");
    assert!(out(&output).contains(&said), "{}", out(&output));

    // Without its end it is a part of a run, which need not begin with a refresh.
    let part: String = right
        .lines()
        .filter(|l| !l.contains("REF,-1") && !l.starts_with("# end"))
        .map(|l| format!("{l}\n"))
        .collect();
    let value = object(&check(&write(made.folder.path(), "part.csv", part)));
    assert_eq!((&value["exit"], &value["whole"]), (&0.into(), &false.into()), "{value}");

    let malformed = write(made.folder.path(), "bad.csv", right.replace(",ACT,-1,", ",ACT,all,"));
    let output = run(&["check", text(&made.tree), "--commands", text(&malformed)]);
    assert_eq!(exit(&output), 2);
    assert!(
        err(&output).contains("[P0706]") && err(&output).contains("`all` is no number"),
        "{}",
        err(&output)
    );
    for wrong in ["none.csv", "."] {
        let path = made.path(wrong);
        let output = run(&["check", text(&made.tree), "--commands", text(&path)]);
        assert_eq!(exit(&output), 2, "{wrong}");
    }
    assert_eq!(exit(&run(&["check", text(&made.tree)])), 2);
    let both =
        ["check", text(&made.tree), "--commands", text(&exported), "--wave", text(&exported)];
    assert_eq!(exit(&run(&both)), 2);
}
