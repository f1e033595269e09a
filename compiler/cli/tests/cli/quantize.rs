//! `pimc quantize` from the outside: real weights and a recipe in, a model that loads out.

use crate::common::{err, exit, object, out, run, write};
use safetensors::tensor::TensorView;
use safetensors::Dtype;
use std::path::Path;

const RECIPE: &str = "seed = 3
[input]
scale = 0.05
[[layer]]
name = \"a\"
weight = \"a.weight\"
format = \"pq\"
sub = 2
k = 4
scale = 0.1
[output]
kind = \"raw\"
";

/// A matrix of 6 x 8 whose element (r, c) is cos(r + 3c), and the recipe.
fn write_inputs(folder: &Path, recipe: &str) -> [String; 3] {
    let weights: Vec<u8> = (0..48u8)
        .flat_map(|i| (f32::from(i / 8) + 3.0 * f32::from(i % 8)).cos().to_le_bytes())
        .collect();
    let view = TensorView::new(Dtype::F32, vec![6, 8], &weights).unwrap();
    let file = safetensors::serialize([("a.weight", view)], None).unwrap();
    let text = |path: std::path::PathBuf| path.to_str().unwrap().to_string();
    [
        text(write(folder, "weights.safetensors", file)),
        text(write(folder, "recipe.toml", recipe)),
        text(folder.join("model.ir")),
    ]
}

#[test]
fn weights_become_a_model_that_loads() {
    let dir = tempfile::tempdir().unwrap();
    let [weights, recipe, model] = write_inputs(dir.path(), RECIPE);
    let args = ["quantize", &weights, "--recipe", &recipe, "-o", &model];
    let output = run(&args);
    assert_eq!(exit(&output), 0, "{}", err(&output));
    assert!(out(&output).contains("pq<6x8, sub=2, k=4>"), "{}", out(&output));
    let loaded = pimc_ir::load(Path::new(&model)).unwrap_or_else(|d| panic!("{d}"));
    assert_eq!(loaded.module.weights[0].ty.rows(), 6);
    assert_eq!(exit(&run(&["fmt", "--check", &model])), 0);
    assert_eq!(dir.path().read_dir().unwrap().count(), 4, "model and tensors, nothing else");

    let bytes = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let first = (bytes("model.ir"), bytes("model.safetensors"));
    let value = object(&run(&[&args[..], &["--json"]].concat()));
    assert_eq!(value["report"]["layers"][0]["name"], "a", "{value}");
    assert_eq!((bytes("model.ir"), bytes("model.safetensors")), first, "another run, other bytes");
}

#[test]
fn what_is_wrong_with_a_recipe_is_said_and_nothing_is_written() {
    for (old, new, code) in [
        ("k = 4", "k = 0", "P0412"),
        ("k = 4", "", "P0411"),
        ("sub = 2", "sup = 2", "P0411"),
        ("a.weight", "b.weight", "P0403"),
        ("seed = 3", "seed = = 3", "P0411"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let [weights, recipe, model] = write_inputs(dir.path(), &RECIPE.replacen(old, new, 1));
        let output = run(&["quantize", &weights, "--recipe", &recipe, "-o", &model]);
        assert_eq!(exit(&output), 2, "{new}: {}", err(&output));
        assert!(err(&output).contains(code), "{new}: {}", err(&output));
        assert!(err(&output).contains("recipe.toml:"), "{new}: {}", err(&output));
        assert_eq!(dir.path().read_dir().unwrap().count(), 2, "{new}: something was left");
    }
}

#[test]
fn no_input_is_replaced_by_the_result() {
    let dir = tempfile::tempdir().unwrap();
    let calibrated =
        format!("[calibration]\nfile = \"samples.safetensors\"\ntensor = \"a.weight\"\n{RECIPE}")
            .replace("seed = 3\n", "");
    let [weights, recipe, _] = write_inputs(dir.path(), &calibrated);
    std::fs::copy(&weights, dir.path().join("samples.safetensors")).unwrap();
    let bytes = |path: &str| std::fs::read(dir.path().join(path)).unwrap();
    let before = bytes("weights.safetensors");
    for name in ["weights", "samples"] {
        let model = dir.path().join(format!("{name}.ir"));
        let args = ["quantize", &weights, "--recipe", &recipe, "-o", model.to_str().unwrap()];
        let output = run(&args);
        assert_eq!(exit(&output), 2, "{name}: {}", err(&output));
        assert!(err(&output).contains("P0408"), "{name}: {}", err(&output));
        assert_eq!(bytes(&format!("{name}.safetensors")), before);
    }
    assert_eq!(dir.path().read_dir().unwrap().count(), 3, "something was left");
}

#[test]
fn a_model_needs_its_ending_and_a_folder_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let [weights, recipe, _] = write_inputs(dir.path(), RECIPE);
    std::fs::create_dir(dir.path().join("model.ir")).unwrap();
    for name in ["model", "model.safetensors", "none/model.ir", "mo\ndel.ir", "model.ir"] {
        let model = dir.path().join(name);
        let args = ["quantize", &weights, "--recipe", &recipe, "-o", model.to_str().unwrap()];
        let output = run(&args);
        assert_eq!(exit(&output), 2, "{name}: {}", err(&output));
        assert!(err(&output).contains("help: ") && err(&output).contains("model"), "{name:?}");
    }
    assert_eq!(dir.path().read_dir().unwrap().count(), 3, "something was left");
}
