//! Many recipes on the same weights: what they share is made once, and nothing depends on that.

mod common;

use common::{network, run};
use pimc_quantize::change::{changed, Change};
use pimc_quantize::{Progress, RecipeText, Series};
use std::sync::atomic::{AtomicU64, Ordering};

const RECIPE: &str = r#"
seed = 5
[calibration]
file = "samples.safetensors"
tensor = "x"
[[layer]]
name = "a"
weight = "a.weight"
format = "pq"
sub = 2
k = 8
activation = "relu"
[[layer]]
name = "b"
weight = "b.weight"
format = "bqq"
bases = 1
block = [8, 8]
steps = 500
"#;

/// Counts steps.
#[derive(Default)]
struct Steps(AtomicU64);

impl Progress for Steps {
    fn begin(&self, _: &str, _: u64) {}
    fn step(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_series_gives_what_each_recipe_alone_gives() {
    let dir = network();
    let text = |k: &str, bases: &str| {
        let change = |key, value| Change { layer: None, key, value };
        let changes = [change("k", k), change("bases", bases)];
        let (text, _) = changed(RECIPE, "recipe.toml", &changes).unwrap();
        RecipeText { text, file_name: "recipe.toml".into(), folder: dir.path().into() }
    };
    let wrong =
        RecipeText { text: text("4", "1").text.replace("sub = 2", "sub = 5"), ..text("4", "1") };
    let texts = [text("4", "1"), wrong.clone(), text("4", "2"), text("8", "1"), text("8", "2")];
    let series = Series::open(&dir.path().join("weights.safetensors")).unwrap();
    let steps = Steps::default();
    series.prepare(&texts, &steps);
    // Two codebooks of six sub-vectors, four blocks of one basis and four of two.
    assert_eq!(steps.0.load(Ordering::Relaxed), 2 * 6 + 4 + 8);
    series.prepare(&texts, &steps);
    assert_eq!(steps.0.load(Ordering::Relaxed), 2 * 6 + 4 + 8, "made a second time");
    for text in texts.iter().filter(|t| **t != wrong) {
        let got = series.quantize(text, "m.safetensors").unwrap();
        let alone = run(dir.path(), &text.text).unwrap();
        assert_eq!(got.ir_text, alone.ir_text);
        assert!(got.tensors == alone.tensors, "other tensors than alone");
    }
    // The same from what a stopped run left in a folder: nothing is made again.
    let kept = tempfile::tempdir().unwrap();
    for made in [20 + 4, 0] {
        let mut series = Series::open(&dir.path().join("weights.safetensors")).unwrap();
        series.keep_in(kept.path());
        let steps = Steps::default();
        series.prepare(&texts, &steps);
        assert_eq!(steps.0.load(Ordering::Relaxed), made);
        let got = series.quantize(&texts[4], "m.safetensors").unwrap();
        assert!(got.tensors == run(dir.path(), &texts[4].text).unwrap().tensors);
    }
    assert_eq!(kept.path().read_dir().unwrap().count(), 4);
    // The same without anything prepared.
    let fresh = Series::open(&dir.path().join("weights.safetensors")).unwrap();
    let got = fresh.quantize(&texts[0], "m.safetensors").unwrap();
    assert!(got.tensors == series.quantize(&texts[0], "m.safetensors").unwrap().tensors);
    let found = series.quantize(&wrong, "m.safetensors").unwrap_err();
    assert_eq!(found.list()[0].code, pimc_ir::Code::P0414);
}
