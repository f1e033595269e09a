//! `pimc explore` from the outside: every point, in any order, through kills and shards.

use crate::common::{digits, err, exit, files, object, out, pimc, run, small_model, write};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_str().unwrap().to_string()
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The tables of a folder, which no order and no interruption may change.
fn tables(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let made = ["points.csv", "points.json", "pareto.csv", "plot.svg", "summary.txt"];
    let all = files(folder);
    made.iter().map(|name| (name.to_string(), all[*name].clone())).collect()
}

/// A column of a table, by the row.
fn column(table: &str, name: &str) -> Vec<String> {
    let head: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let at = head.iter().position(|c| *c == name).unwrap_or_else(|| panic!("{name} in {head:?}"));
    table.lines().skip(1).map(|l| l.split(',').nth(at).unwrap().to_string()).collect()
}

const SWEEP: &str = "targets = [\"hbm3-pim\", \"hbm3-pim-uncapped\"]
[target]
stack.channels = [1, 2]
timing.ccd_all_bank = [4, 6, 8]
unit.table_bytes = [16, 65536]
timing.tck_ps = [625, 769]
mapping.split = [\"rows\", \"inputs\"]
";

/// The same with many more points.
fn long_sweep() -> String {
    SWEEP.replace("[625, 769]", "[500, 550, 600, 650, 700, 750, 800, 850]")
}

/// The arguments of a sweep of the example.
fn arguments(folder: &Path, output: &str) -> Vec<String> {
    arguments_of(SWEEP, folder, output)
}

fn arguments_of(sweep: &str, folder: &Path, output: &str) -> Vec<String> {
    let sweep = write(folder, "sweep.toml", sweep);
    ["explore", &text(digits()), "--sweep", &text(sweep), "-o", &text(folder.join(output))]
        .map(str::to_string)
        .to_vec()
}

#[test]
fn every_point_is_there_and_says_what_compiling_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let args = arguments(dir.path(), "out");
    let value = object(&run(&[&args[..], &["--json".to_string()]].concat()));
    assert_eq!((&value["points"], &value["computed"]), (&96.into(), &96.into()), "{value}");
    assert_eq!(value["do_not_fit"]["P0606 lookup tables of a bank unit"], 48, "{value}");
    let table = read(dir.path().join("out/points.csv"));
    assert_eq!(table.lines().count(), 97);
    assert_eq!(column(&table, "index"), (0..96).map(|i| i.to_string()).collect::<Vec<_>>());
    let fits = column(&table, "fits");
    assert_eq!(fits.iter().filter(|f| *f == "true").count(), 48);
    let why = table.lines().find(|l| l.contains("P0606")).unwrap();
    assert!(why.contains("lookup tables of a bank unit: needs "), "{why}");
    assert!(why.contains(" bytes, there are 16"), "{why}");
    // The point that is the target as it is.
    let compiled =
        object(&run(&["compile", &text(digits()), "-o", &text(dir.path().join("tree")), "--json"]));
    let points: Value = serde_json::from_str(&read(dir.path().join("out/points.json"))).unwrap();
    let own = points["points"].as_array().unwrap().iter().find(|p| {
        let is = |axis: &str, value: &str| p[axis] == value;
        is("target", "hbm3-pim")
            && is("stack.channels", "1")
            && is("timing.ccd_all_bank", "6")
            && is("unit.table_bytes", "65536")
            && is("timing.tck_ps", "769")
            && is("mapping.split", "rows")
    });
    assert_eq!(own.unwrap()["cycles"], compiled["cycles"]);
    assert_eq!(own.unwrap()["error"], 0.0);
    let front = value["pareto"].as_array().unwrap();
    let pareto = read(dir.path().join("out/pareto.csv"));
    assert!(!front.is_empty() && front.len() + 1 == pareto.lines().count());
}

#[test]
fn a_killed_run_goes_on_and_ends_with_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let whole = run(&arguments_of(&long_sweep(), dir.path(), "whole"));
    assert_eq!(exit(&whole), 0, "{}", err(&whole));

    let args = arguments_of(&long_sweep(), dir.path(), "killed");
    let points = dir.path().join("killed/points.jsonl");
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("pimc"))
        .args(&args)
        .env("RAYON_NUM_THREADS", "1")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let lines = || std::fs::read_to_string(&points).map_or(0, |t| t.matches('\n').count());
    while lines() < 8 {
        assert!(start.elapsed() < Duration::from_secs(120), "no points");
        std::thread::sleep(Duration::from_millis(1));
    }
    // SIGKILL: nothing of the process runs any more.
    child.kill().unwrap();
    child.wait().unwrap();
    let before = read(&points);
    let finished = before.matches('\n').count();
    assert!((8..384).contains(&finished), "{finished} points: killed too late to show anything");
    assert!(!dir.path().join("killed/points.csv").exists());
    // The worst that a kill may leave: half a line.
    let torn = &before[..before.len() - before.lines().last().unwrap().len() / 2 - 1];
    std::fs::write(&points, torn).unwrap();

    let value = object(&run(&[&args[..], &["--json".to_string()]].concat()));
    assert_eq!(value["before"], finished - 1, "{value}");
    assert_eq!(value["computed"], 384 - (finished - 1), "{value}");
    let after = read(&points);
    assert!(after.starts_with(torn), "finished points were changed");
    assert_eq!(tables(&dir.path().join("killed")), tables(&dir.path().join("whole")));

    let value = object(&run(&[&args[..], &["--json".to_string()]].concat()));
    assert_eq!(value["computed"], 0, "{value}");
    assert_eq!(read(&points), after);
}

#[test]
fn shards_and_threads_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (output, threads) in [("one", "1"), ("five", "5")] {
        let args = arguments(dir.path(), output);
        let output = pimc(&args).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert_eq!(exit(&output), 0, "{}", err(&output));
    }
    let args = arguments(dir.path(), "shards");
    let with = |more: &[&str]| {
        run(&args.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    };
    for shard in ["2/3", "0/3"] {
        assert_eq!(exit(&with(&["--shard", shard])), 0);
    }
    let missing = with(&["--merge"]);
    assert_eq!(exit(&missing), 2);
    assert!(err(&missing).contains("32 of 96 points are not there"), "{}", err(&missing));
    assert!(!dir.path().join("shards/points.csv").exists());
    assert_eq!(object(&with(&["--shard", "1/3", "--json"]))["computed"], 32);
    let merged = object(&with(&["--merge", "--json"]));
    assert_eq!((&merged["before"], &merged["computed"]), (&96.into(), &0.into()));
    let one = tables(&dir.path().join("one"));
    assert_eq!(tables(&dir.path().join("five")), one);
    assert_eq!(tables(&dir.path().join("shards")), one);
    for wrong in ["3/3", "x", "0/0"] {
        assert_eq!(exit(&with(&["--shard", wrong])), 2, "{wrong}");
    }
}

/// Real weights of 6 x 8 with a bias, a recipe, and the model made of them.
fn quantized(folder: &Path) -> [String; 3] {
    use safetensors::tensor::TensorView;
    let values = (0..48u8).map(|i| (f32::from(i / 8) + 3.0 * f32::from(i % 8)).cos());
    let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
    let view = TensorView::new(safetensors::Dtype::F32, vec![6, 8], &bytes).unwrap();
    let weights =
        write(folder, "w.safetensors", safetensors::serialize([("a", view)], None).unwrap());
    let recipe =
        "[input]\nscale = 0.05\n[[layer]]\nname = \"a\"\nweight = \"a\"\nformat = \"pq\"\n\
                  sub = 2\nk = 4\nscale = 0.1\n";
    let recipe = write(folder, "r.toml", recipe);
    let model = folder.join("m.ir");
    let all = [text(model), text(weights), text(recipe)];
    let made = run(&["quantize", &all[1], "--recipe", &all[2], "-o", &all[0]]);
    assert_eq!(exit(&made), 0, "{}", err(&made));
    all
}

#[test]
fn formats_are_swept_by_quantizing_again() {
    let dir = tempfile::tempdir().unwrap();
    let [model, weights, recipe] = quantized(dir.path());
    let sweep = "[format]\nk = [2, 4]\n[layer.a]\nsub = [1, 2, 3]\n";
    let sweep = text(write(dir.path(), "s.toml", sweep));
    let folder = dir.path().join("out");
    let args = ["explore", &model, "-o", &text(&folder), "--sweep", &sweep];
    let alone = run(&args);
    assert_eq!(exit(&alone), 2);
    for part in ["P0803", "s.toml:2:1", "--weights W.safetensors --recipe R.toml"] {
        assert!(err(&alone).contains(part), "{part}: {}", err(&alone));
    }
    let args = [&args[..], &["--weights", &weights, "--recipe", &recipe, "--json"]].concat();
    let value = object(&run(&args));
    assert_eq!(value["points"], 6, "{value}");
    let refused = value["do_not_fit"].as_object().unwrap();
    assert_eq!(refused.len(), 1, "{value}");
    assert!(refused.keys().next().unwrap().starts_with("P0414 `sub` 3 does not divide"), "{value}");

    let table = read(folder.join("points.csv"));
    let (k, sub) = (column(&table, "k"), column(&table, "a.sub"));
    let points: Vec<(&str, &str)> =
        k.iter().map(String::as_str).zip(sub.iter().map(String::as_str)).collect();
    assert_eq!(points, [("2", "1"), ("2", "2"), ("2", "3"), ("4", "1"), ("4", "2"), ("4", "3")]);
    // The set that the recipe itself says is the model, to the byte.
    let models: Vec<PathBuf> =
        folder.join("models").read_dir().unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(models.len(), 4 * 3);
    let own = models.iter().find(|p| text(p).contains("k-4-a.sub-2-") && text(p).ends_with(".ir"));
    let own = own.unwrap();
    let module = read(own).replace(
        &text(own.with_extension("safetensors").file_name().unwrap().to_str().unwrap()),
        "m.safetensors",
    );
    assert_eq!(module, read(&model));
    let again = dir.path().join("again.ir");
    let by_its_recipe = run(&[
        "quantize",
        &weights,
        "--recipe",
        &text(own.with_extension("toml")),
        "-o",
        &text(&again),
    ]);
    assert_eq!(exit(&by_its_recipe), 0, "{}", err(&by_its_recipe));
    // More centroids and shorter sub-vectors are nearer.
    let error = |k: &str, sub: &str| {
        let at = points.iter().position(|p| *p == (k, sub)).unwrap();
        column(&table, "error")[at].parse::<f64>().unwrap()
    };
    assert!(error("4", "1") < error("2", "1") && error("4", "1") < error("4", "2"));

    // A larger sweep in the same folder computes only what is new.
    write(dir.path(), "s.toml", "[format]\nk = [2, 3, 4]\n[layer.a]\nsub = [1, 2, 3]\n");
    let value = object(&run(&args));
    assert_eq!((&value["before"], &value["computed"]), (&6.into(), &3.into()), "{value}");
}

#[test]
fn results_are_compared_on_inputs_and_labels() {
    let dir = tempfile::tempdir().unwrap();
    let inputs = digits().with_file_name("test.safetensors");
    let sweep = text(write(dir.path(), "s.toml", "[target]\nstack.channels = [1]\n"));
    let args = ["explore", &text(digits()), "--sweep", &sweep, "--inputs", &text(inputs)];
    let output = run(&[&args[..], &["-o", &text(dir.path().join("out"))]].concat());
    assert_eq!(exit(&output), 0, "{}", err(&output));
    let table = read(dir.path().join("out/points.csv"));
    let cells =
        ["agreement", "output_difference", "accuracy"].map(|c| column(&table, c)[0].clone());
    // The accuracy is that of the example's README.
    assert_eq!(cells, ["1.0", "0.0", "0.99"]);
}

#[test]
fn mistakes_of_a_sweep_are_located_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let model = text(small_model(dir.path()));
    for (sweep, code, place) in [
        ("targets = [", "P0801", "s.toml:1:"),
        ("bananas = [1]", "P0801", "s.toml:1:1"),
        ("[target]\nstack.chanels = [1]", "P0801", "s.toml:2:7"),
        ("[target]\nstack.channels = 1", "P0801", "s.toml:2:18"),
        ("[target]\nstack = [1]", "P0801", "s.toml:2:9"),
        ("[target]\nstack.channels = []", "P0802", "s.toml:2:18"),
        ("[target]\nstack.channels = [1, 2, 0x1]", "P0802", "s.toml:2:25"),
        ("[target]\nstack.channels = [[1, 2, 3]]", "P0801", "s.toml:2:19"),
        ("targets = [\"hbm9\"]", "P0604", "s.toml:1:12"),
        ("targets = [\"hbm3-pim\", \"hbm3-pim\"]", "P0802", "s.toml:1:24"),
        ("[format]\nk = [4]", "P0803", "s.toml:2:1"),
        ("[format]\nq = [4]", "P0801", "s.toml:2:1"),
    ] {
        let path = text(write(dir.path(), "s.toml", sweep));
        let folder = dir.path().join("out");
        let output = run(&["explore", &model, "--sweep", &path, "-o", &text(&folder)]);
        assert_eq!(exit(&output), 2, "{sweep}: {}", err(&output));
        for part in [code, place, "Help: "] {
            assert!(err(&output).contains(part), "{sweep}: {part}: {}", err(&output));
        }
        assert!(!folder.exists(), "{sweep}");
    }
    // So many values that their product is too large.
    let many: Vec<String> = (1..=400).map(|i| i.to_string()).collect();
    let list = many.join(", ");
    let sweep = format!("[target]\ntiming.rcd = [{list}]\ntiming.ras = [{list}]\n");
    let path = text(write(dir.path(), "s.toml", sweep));
    let output = run(&["explore", &model, "--sweep", &path, "-o", &text(dir.path().join("out"))]);
    assert!(err(&output).contains("160000 points"), "{}", err(&output));
}

#[test]
fn parameters_that_a_recipe_does_not_have_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let [model, weights, recipe] = quantized(dir.path());
    for (sweep, place, part) in [
        ("[format]\nbases = [1]", "s.toml:2:1", "of format bqq"),
        ("[layer.b]\nk = [2]", "s.toml:2:1", "no layer `b`"),
        ("[format]\nk = [2, 1]", "s.toml:2:9", "out of range"),
        ("[format]\nsub = [2, \"two\"]", "s.toml:2:11", "must be an integer"),
    ] {
        let path = text(write(dir.path(), "s.toml", sweep));
        let folder = text(dir.path().join("out"));
        let args = ["explore", &model, "--sweep", &path, "-o", &folder];
        let output = run(&[&args[..], &["--weights", &weights, "--recipe", &recipe]].concat());
        assert_eq!(exit(&output), 2, "{sweep}");
        for part in ["P0802", place, part] {
            assert!(err(&output).contains(part), "{sweep}: {part}: {}", err(&output));
        }
    }
    let half = run(&["explore", &model, "-o", "x", "--weights", &weights]);
    assert_eq!(exit(&half), 2);
    assert!(err(&half).contains("--recipe"), "{}", err(&half));
}

#[test]
fn values_that_make_no_target_are_results() {
    let dir = tempfile::tempdir().unwrap();
    let model = text(small_model(dir.path()));
    let sweep = "[target]\npseudo_channel.banks = [8, 12, 16]\nbank.column_bits = [256, 512]\n";
    let sweep = text(write(dir.path(), "s.toml", sweep));
    let folder = dir.path().join("out");
    let args = ["explore", &model, "--sweep", &sweep, "-o", &text(&folder), "--json"];
    let value = object(&run(&args));
    let kinds: BTreeSet<String> =
        value["do_not_fit"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(kinds.len(), 2, "{value}");
    assert!(kinds.iter().any(|k| k.starts_with("P0603 12 banks: not a power of two")), "{value}");
    assert_eq!(
        column(&read(folder.join("points.csv")), "fits").iter().filter(|f| *f == "true").count(),
        2
    );
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let model = text(small_model(dir.path()));
    let folder = text(dir.path());
    let before = files(dir.path());
    let output = run(&["explore", &model, "-o", &folder]);
    assert_eq!(exit(&output), 2);
    assert!(err(&output).contains("P0804") && err(&output).contains("Help: "), "{}", err(&output));
    assert_eq!(files(dir.path()), before);
}

#[test]
fn batch_scripts_are_written_and_nothing_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let args = arguments(dir.path(), "out");
    let output = run(&[&args[..], &["--slurm", "4"].map(str::to_string)].concat());
    assert_eq!(exit(&output), 0, "{}", err(&output));
    let folder = dir.path().join("out");
    let line = out(&output);
    assert!(line.starts_with("sbatch --dependency=afterok:$(sbatch --parsable /"), "{line}");
    let names: Vec<String> = files(&folder).into_keys().collect();
    assert_eq!(names, ["merge.sbatch", "sweep.sbatch", "sweep.toml"]);
    // What the array runs, run by hand.
    for index in 0..4 {
        let ran = Command::new("bash")
            .arg(folder.join("sweep.sbatch"))
            .env("SLURM_ARRAY_TASK_ID", index.to_string())
            .output()
            .unwrap();
        assert_eq!(exit(&ran), 0, "{}", err(&ran));
        assert!(folder.join(format!("points.{index}.jsonl")).exists());
    }
    let ran = Command::new("bash").arg(folder.join("merge.sbatch")).output().unwrap();
    assert_eq!(exit(&ran), 0, "{}", err(&ran));
    let plain = run(&arguments(dir.path(), "plain"));
    assert_eq!(exit(&plain), 0);
    assert_eq!(tables(&folder), tables(&dir.path().join("plain")));
}
