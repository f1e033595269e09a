//! Whole networks: the module that comes out is valid, means what the float network means, and is
//! the same on every run.

mod common;

use common::{model, network, run};

/// All formats in one network.
const MIXED: &str = r#"
seed = 5
[input]
scale = "p99.9"
[calibration]
file = "samples.safetensors"
tensor = "x"
[[layer]]
name = "a"
weight = "a.weight"
bias = "a.bias"
format = "pq"
sub = 2
k = 16
activation = "relu"
[[layer]]
name = "b"
weight = "b.weight"
bias = "b.bias"
format = "bqq"
bases = 3
block = [8, 16]
steps = 3000
activation = "relu"
scale = "mse"
[[layer]]
name = "c"
mask = "c.mask"
sigma = "c.sigma"
bias = "c.bias"
format = "supermask"
seed = 0x5eed
layer = 2
[output]
kind = "argmax"
"#;

#[test]
fn a_mixed_network_is_valid_and_close_to_the_float_one() {
    let dir = network();
    let got = run(dir.path(), MIXED).unwrap_or_else(|d| panic!("{d}"));
    let model = model(&got);
    assert!(model.warnings().is_empty(), "{}", model.warnings());
    assert_eq!(model.module.weights.len(), 3);
    assert_eq!(pimc_ir::format(&got.ir_text).unwrap(), got.ir_text);
    let report = &got.report;
    assert_eq!(report.samples, 40);
    // Untrained layers have small margins; the next test shows that the wiring is exact.
    assert!(report.agreement.unwrap() > 0.7, "{}", report.to_table());
    for layer in &report.layers {
        assert!(layer.activation_error.unwrap() < 0.1, "{layer:?}");
    }
    // 16 centroids for 16 rows: only rounding is left.
    assert!(report.layers[0].weight_error < 1e-3);
    assert!(report.layers[1].weight_error < 0.06);
    assert_eq!(report.layers[2].weight_error, 0.0);
}

#[test]
fn eight_bit_weights_agree_with_the_float_network() {
    let dir = network();
    let layer = |name: &str, rest: &str| {
        format!("[[layer]]\nname = \"{name}\"\nweight = \"{name}.weight\"\nbias = \"{name}.bias\"\nformat = \"int\"\n{rest}\n")
    };
    let head = "[calibration]\nfile = \"samples.safetensors\"\ntensor = \"x\"\n";
    for activation in ["none", "relu", "gelu", "silu"] {
        let first = layer("a", &format!("activation = \"{activation}\""));
        let recipe = format!("{head}{first}{}", layer("b", "row_scale = true"));
        let got = run(dir.path(), &recipe).unwrap_or_else(|d| panic!("{d}"));
        let table = got.report.to_table();
        assert!(got.report.agreement.unwrap() >= 0.975, "{activation}\n{table}");
        assert!(got.report.layers.iter().all(|l| l.activation_error.unwrap() < 1e-3), "{table}");
    }
}

#[test]
fn the_same_bytes_on_every_run_and_any_number_of_threads() {
    let dir = network();
    let here = run(dir.path(), MIXED).unwrap();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let there = pool.install(|| run(dir.path(), MIXED).unwrap());
        assert_eq!(there.ir_text, here.ir_text);
        assert_eq!(there.tensors, here.tensors);
    }
    let other = run(dir.path(), &MIXED.replace("seed = 5", "seed = 6")).unwrap();
    assert_ne!(other.tensors, here.tensors);
}

#[test]
fn provenance_is_in_the_tensor_file() {
    let dir = network();
    let got = run(dir.path(), MIXED).unwrap();
    let (_, head) = safetensors::SafeTensors::read_metadata(&got.tensors).unwrap();
    let text = &head.metadata().as_ref().unwrap()[pimc_quantize::METADATA_KEY];
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let weights = std::fs::read(dir.path().join("weights.safetensors")).unwrap();
    let sha: String = <sha2::Sha256 as sha2::Digest>::digest(&weights)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(json["source"]["sha256"], sha.as_str());
    assert_eq!(json["calibration"]["file"], "samples.safetensors");
    assert!(json["layers"][1]["weight_error"].as_f64().unwrap() > 0.0);
}

/// Tables, row scales, groups, given scales, scores, and raw output.
#[test]
fn every_other_option_is_valid_too() {
    let dir = network();
    let recipe = r#"
seed = 1
[input]
name = "features"
length = 12
scale = 0.03
[calibration]
file = "samples.safetensors"
tensor = "x"
samples = 30
[[layer]]
name = "first"
weight = "a.weight"
format = "int"
bits = 8
row_scale = true
activation = "gelu"
[[layer]]
name = "second"
weight = "b.weight"
bias = "b.bias"
format = "int"
bits = 6
group = 4
activation = "silu"
scale = "mse"
[[layer]]
name = "third"
scores = "c.scores"
density = 0.5
format = "supermask"
seed = 1
layer = 0
sigma = 0.3
[[layer]]
name = "last"
weight = "d.weight"
format = "pq"
sub = 1
k = 300
shared = true
row_scale = true
init = "strided"
"#;
    let mut tensors = vec![("d.weight", vec![3, 4], common::normal(8, 12, 1.0))];
    tensors.extend([
        ("a.weight", vec![16, 12], common::normal(1, 192, 0.3)),
        ("b.weight", vec![16, 16], common::normal(3, 256, 0.25)),
        ("b.bias", vec![16], common::normal(4, 16, 0.1)),
        ("c.scores", vec![4, 16], common::normal(5, 64, 1.0)),
    ]);
    common::write_f32(&dir.path().join("weights.safetensors"), &tensors);
    let got = run(dir.path(), recipe).unwrap_or_else(|d| panic!("{d}"));
    let model = model(&got);
    assert_eq!(model.module.func.result_ty.to_string(), "i16<3>");
    assert!(
        got.report.layers.iter().all(|l| l.activation_error.unwrap() < 0.02),
        "{}",
        got.report.to_table()
    );
    assert!(got.report.result_step.is_some());
}

#[test]
fn scales_may_all_be_given_and_then_no_data_is_needed() {
    let dir = network();
    let recipe = r#"
[input]
scale = 0.02
[[layer]]
name = "a"
weight = "a.weight"
format = "int"
"#;
    let got = run(dir.path(), recipe).unwrap_or_else(|d| panic!("{d}"));
    assert_eq!(got.report.layers[0].activation_error, None);
    // The accumulator is returned: its unit is the weight's step times the input's.
    let report = &got.report;
    let want = 0.02 * report.layers[0].weight_step;
    assert!((report.result_step.unwrap() / want - 1.0).abs() < 1e-12);
}
