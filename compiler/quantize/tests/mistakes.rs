//! Wrong recipes and tensors: each mistake is found, has its code, and is shown where it was written.

mod common;

use common::{network, normal, run, write_f32};
use pimc_ir::Diagnostics;
use pimc_quantize::Report;
use safetensors::tensor::TensorView;
use safetensors::Dtype;

const HEAD: &str = "[calibration]\nfile = \"samples.safetensors\"\ntensor = \"x\"\n";
const LAYER: &str = "[[layer]]\nname = \"a\"\nweight = \"a.weight\"\nformat = \"int\"\n";
const PQ: &str =
    "[[layer]]\nname = \"a\"\nweight = \"a.weight\"\nformat = \"pq\"\nsub = 2\nk = 4\n";
const BQQ: &str = "[[layer]]\nname = \"a\"\nweight = \"a.weight\"\nformat = \"bqq\"\nbases = 1\n\
                   block = [8, 6]\nsteps = 10\n";
const MASK: &str = "[[layer]]\nname = \"c\"\nmask = \"c.mask\"\nformat = \"supermask\"\nseed = 1\n\
                    layer = 0\n";

/// What is found wrong in `recipe` over the standard network.
fn mistakes(recipe: &str) -> Diagnostics {
    run(network().path(), recipe).err().unwrap_or_else(|| panic!("nothing wrong in\n{recipe}"))
}

/// Code, and the text that the caret points at, of every mistake.
fn found(recipe: &str) -> Vec<(String, String)> {
    let all = mistakes(recipe);
    assert_eq!(all.file_name(), "recipe.toml");
    assert!(all.render(false).contains("recipe.toml"));
    let place = |d: &pimc_ir::Diagnostic| {
        let label = d.primary.as_ref().unwrap_or_else(|| panic!("no place: {d:?}"));
        assert!(!d.help.is_empty() && !d.message.is_empty() && !label.text.is_empty(), "{d:?}");
        (d.code.to_string(), all.source()[label.span.clone()].to_string())
    };
    all.list().iter().map(place).collect()
}

/// Asserts that exactly one mistake is found, with this code, at this text.
fn one(recipe: &str, code: &str, at: &str) {
    assert_eq!(found(recipe), vec![(code.to_string(), at.to_string())], "\n{recipe}");
}

#[test]
fn the_recipes_that_are_spoiled_here_are_right() {
    let dir = network();
    for layer in [LAYER, PQ, BQQ] {
        run(dir.path(), &format!("{HEAD}{layer}")).unwrap_or_else(|d| panic!("{d}"));
    }
    let chained = format!("{HEAD}{LAYER}{}", MASK.replace("\"c.mask\"", "\"c.mask\"\nsigma = 0.5"));
    run(dir.path(), &chained).unwrap_or_else(|d| panic!("{d}"));
}

#[test]
fn wrong_text() {
    one("[input\nscale = 1", "P0411", "");
    assert!(found("= 3\n[[[\n").iter().all(|(code, _)| code == "P0411"));
    one(&format!("{HEAD}{LAYER}wieght = 3\n"), "P0411", "wieght");
    one(&format!("sed = 3\n{HEAD}{LAYER}"), "P0411", "sed");
    one(&format!("{HEAD}{}", LAYER.replace("\"int\"", "\"fp4\"")), "P0411", "\"fp4\"");
    one(&format!("{HEAD}{LAYER}activation = \"tanh\"\n"), "P0411", "\"tanh\"");
    one(&format!("{HEAD}{LAYER}bits = \"8\"\n"), "P0411", "\"8\"");
    one(&format!("{HEAD}{LAYER}row_scale = 1\n"), "P0411", "1");
    one(&format!("{HEAD}{LAYER}bias = true\n"), "P0411", "true");
    one(&format!("{HEAD}layer = 3\n"), "P0411", "layer");
    one(&format!("{HEAD}{LAYER}[output]\nkind = 3\n"), "P0411", "3");
    one(&format!("input = 3\n{HEAD}{LAYER}"), "P0411", "3");
    one(&format!("seed = 1.5\n{HEAD}{LAYER}"), "P0411", "1.5");
    one(&format!("{HEAD}{}", BQQ.replace("[8, 6]", "8")), "P0411", "8");
}

#[test]
fn missing_keys() {
    for (recipe, gone) in [
        (LAYER, "name = \"a\"\n"),
        (LAYER, "weight = \"a.weight\"\n"),
        (LAYER, "format = \"int\"\n"),
        (PQ, "sub = 2\n"),
        (PQ, "k = 4\n"),
        (BQQ, "bases = 1\n"),
        (BQQ, "block = [8, 6]\n"),
        (MASK, "seed = 1\n"),
        (MASK, "layer = 0\n"),
        (MASK, "mask = \"c.mask\"\n"),
    ] {
        let got = found(&format!("{HEAD}{}", recipe.replace(gone, "")));
        assert_eq!(got.len(), 1, "{gone}: {got:?}");
        assert_eq!(got[0].0, "P0411");
        assert!(got[0].1.starts_with("[[layer]]"), "{gone}: {got:?}");
    }
    assert_eq!(found("seed = 1\n")[0].0, "P0411");
    let half = HEAD.replace("tensor = \"x\"\n", "");
    assert_eq!(found(&format!("{half}{LAYER}"))[0].0, "P0411");
}

#[test]
fn values_out_of_range() {
    for (layer, from, to) in [
        (PQ, "k = 4", "k = 1"),
        (PQ, "k = 4", "k = 65537"),
        (PQ, "sub = 2", "sub = 0"),
        (PQ, "sub = 2", "sub = -2"),
        (BQQ, "bases = 1", "bases = 17"),
        (BQQ, "steps = 10", "steps = 10\nscalar_bits = 17"),
        (BQQ, "block = [8, 6]", "block = [8, 6, 1]"),
        (BQQ, "block = [8, 6]", "block = [0, 6]"),
        (LAYER, "\"int\"", "\"int\"\nbits = 9"),
        (LAYER, "\"int\"", "\"int\"\nscale = 0.0"),
        (LAYER, "\"int\"", "\"int\"\nscale = nan"),
        (LAYER, "\"int\"", "\"int\"\nscale = inf"),
        (LAYER, "\"int\"", "\"int\"\nscale = -1"),
        (LAYER, "\"int\"", "\"int\"\nscale = \"p101\""),
        (LAYER, "\"int\"", "\"int\"\nscale = \"minmax\""),
        (LAYER, "\"a\"", "\"a-b\""),
        (LAYER, "\"a\"", "\"\""),
        (LAYER, "\"a\"", "\"x\""),
        (LAYER, "\"a\"", "\"main\""),
        (LAYER, "\"int\"", "\"int\"\ngroup = 4\nrow_scale = true"),
        (MASK, "seed = 1", "seed = 4294967296"),
        (MASK, "seed = 1", "seed = 1\nsigma = nan"),
        (MASK, "seed = 1", "seed = 1\ncoats = 16"),
        (MASK, "seed = 1", "seed = 1\npruned = 200\nlocked = 57"),
        (MASK, "seed = 1", "seed = 1\nscores = \"c.scores\"\ndensity = 0.5"),
        (MASK, "seed = 1", "seed = 1\ndensity = 1.5"),
    ] {
        let got = found(&format!("{HEAD}{}", layer.replace(from, to)));
        assert_eq!(
            got.iter().map(|g| g.0.as_str()).collect::<Vec<_>>(),
            ["P0412"],
            "{to}: {got:?}"
        );
    }
}

#[test]
fn a_target_is_one_line() {
    one(&format!("target = \"a\\nb\"\n{HEAD}{LAYER}"), "P0412", "\"a\\nb\"");
}

#[test]
fn tensors_that_are_missing_or_of_the_wrong_shape() {
    one(&format!("{HEAD}{}", LAYER.replace("a.weight", "A")), "P0403", "\"A\"");
    one(&format!("{HEAD}{LAYER}bias = \"no\"\n"), "P0403", "\"no\"");
    one(&format!("{}{LAYER}", HEAD.replace("\"x\"", "\"y\"")), "P0403", "\"y\"");
    one(&format!("{HEAD}{LAYER}bias = \"c.bias\"\n"), "P0405", "\"c.bias\"");
    one(&format!("{HEAD}{LAYER}bias = \"a.weight\"\n"), "P0405", "\"a.weight\"");
    one(&format!("{HEAD}{}", LAYER.replace("a.weight", "a.bias")), "P0405", "\"a.bias\"");
    one(&format!("{HEAD}{}", LAYER.replace("a.weight", "b.weight")), "P0405", "\"x\"");
    let sigma = MASK.replace("seed = 1", "seed = 1\nsigma = \"c.bias\"");
    one(&format!("{HEAD}{LAYER}{sigma}"), "P0405", "\"c.bias\"");
    let file = HEAD.replace("samples.", "nothing.");
    one(&format!("{file}{LAYER}"), "P0401", "\"nothing.safetensors\"");
    let recipe = HEAD.replace("samples.safetensors", "recipe.toml");
    one(&format!("{recipe}{LAYER}"), "P0402", "\"recipe.toml\"");
}

#[test]
fn layers_that_do_not_fit() {
    one(&format!("[input]\nlength = 11\n{HEAD}{LAYER}"), "P0414", "\"a.weight\"");
    let again = LAYER.replace("\"a\"", "\"b\"");
    one(&format!("{HEAD}{LAYER}{again}"), "P0414", "\"a.weight\"");
    one(&format!("{HEAD}{}", BQQ.replace("[8, 6]", "[8, 5]")), "P0414", "[8, 5]");
    one(&format!("{HEAD}{}", BQQ.replace("[8, 6]", "[5, 6]")), "P0414", "[5, 6]");
    assert_eq!(found(&format!("{HEAD}{}", PQ.replace("sub = 2", "sub = 5")))[0].0, "P0414");
    assert_eq!(found(&format!("{HEAD}{LAYER}group = 5\n"))[0].0, "P0414");
    let density = MASK.replace("seed = 1", "seed = 1\ndensity = 0.9");
    one(&format!("{HEAD}{LAYER}{density}"), "P0414", "0.9");
    // `a` makes `a_q`, and so does a layer of that name.
    let second = LAYER.replace("\"a\"", "\"a_q\"").replace("a.weight", "b.weight");
    one(&format!("{HEAD}{LAYER}{second}"), "P0412", "\"a_q\"");
    let twin = LAYER.replace("a.weight", "b.weight");
    assert_eq!(found(&format!("{HEAD}{LAYER}{twin}"))[0], ("P0412".into(), "\"a\"".into()));
}

#[test]
fn no_usable_scale() {
    assert_eq!(found(LAYER)[0].0, "P0415");
    one(&format!("[input]\nscale = \"mse\"\n{LAYER}"), "P0415", "\"mse\"");
    one(
        &format!("[input]\nscale = 1e-30\n{HEAD}{LAYER}bias = \"a.bias\"\n"),
        "P0415",
        "\"a.bias\"",
    );
    let second = LAYER.replace("\"a\"", "\"b\"").replace("a.weight", "b.weight");
    one(&format!("{HEAD}{LAYER}scale = 1e-20\n{second}"), "P0415", "1e-20");
    one(&format!("{HEAD}{LAYER}scale = 1e30\n{second}"), "P0415", "1e30");
    for far in ["1e-320", "1e308"] {
        let all = found(&format!("[input]\nscale = {far}\n{HEAD}{LAYER}{second}"));
        assert_eq!(all[0].0, "P0415", "{far}");
    }
}

/// A network of one layer `a` with these weights and samples.
fn with_values(weights: Vec<f32>, samples: Vec<f32>) -> Result<Report, Diagnostics> {
    let dir = tempfile::tempdir().unwrap();
    write_f32(&dir.path().join("weights.safetensors"), &[("a.weight", vec![4, 6], weights)]);
    write_f32(&dir.path().join("samples.safetensors"), &[("x", vec![5, 6], samples)]);
    run(dir.path(), &format!("{HEAD}{LAYER}")).map(|made| made.report)
}

#[test]
fn values_that_are_no_numbers() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut weights = normal(1, 24, 1.0);
        weights[9] = bad;
        let all = with_values(weights, normal(2, 30, 1.0)).unwrap_err();
        let d = &all.list()[0];
        assert_eq!(d.code.to_string(), "P0413");
        assert!(d.message.contains("`a.weight`") && d.message.contains("[1, 3]"), "{}", d.message);
        let mut samples = normal(2, 30, 1.0);
        samples[29] = bad;
        let all = with_values(normal(1, 24, 1.0), samples).unwrap_err();
        let d = &all.list()[0];
        assert!(d.code.to_string() == "P0413" && d.message.contains("[4, 5]"), "{}", d.message);
    }
    // Zero weights are a valid, if useless, matrix; zero samples give no scale.
    with_values(vec![0.0; 24], normal(2, 30, 1.0)).unwrap();
    let all = with_values(normal(1, 24, 1.0), vec![0.0; 30]).unwrap_err();
    assert_eq!(all.list()[0].code.to_string(), "P0415");
    // Finite numbers of which the products are not: the accumulator is returned, and its integers
    // are small; but there is nothing to compare them with.
    let huge = with_values(vec![3e38; 24], vec![3e38; 30]).unwrap();
    assert_eq!((huge.samples, huge.agreement, huge.layers[0].activation_error), (0, None, None));
    let fine = with_values(vec![3.0; 24], vec![3.0; 30]).unwrap();
    assert_eq!((fine.samples, fine.agreement), (5, Some(1.0)));
}

#[test]
fn masks_that_are_none() {
    let dir = tempfile::tempdir().unwrap();
    let write = |dtype: Dtype, shape: Vec<usize>, data: &[u8]| {
        let view = TensorView::new(dtype, shape, data).unwrap();
        let bytes = safetensors::serialize([("c.mask", view)], None).unwrap();
        std::fs::write(dir.path().join("weights.safetensors"), bytes).unwrap();
    };
    let recipe = |length: &str, coats: usize| {
        format!("[input]\nscale = 1\n{length}\n{MASK}coats = {coats}\n")
    };
    let code =
        |recipe: String| run(dir.path(), &recipe).err().map(|d| d.list()[0].code.to_string());
    write(Dtype::U8, vec![2, 3], &[0, 1, 2, 0, 1, 1]);
    assert_eq!(code(recipe("", 1)).as_deref(), Some("P0412"));
    assert_eq!(code(recipe("", 2)), None);
    write(Dtype::BOOL, vec![2, 3], &[0, 1, 1, 0, 1, 1]);
    assert_eq!(code(recipe("", 1)), None);
    // Packed planes need the number of columns from elsewhere.
    write(Dtype::U8, vec![2, 1, 2], &[0xff, 0x01, 0x0f, 0x01]);
    assert_eq!(code(recipe("", 2)).as_deref(), Some("P0405"));
    assert_eq!(code(recipe("length = 9", 2)), None);
    assert_eq!(code(recipe("length = 17", 2)).as_deref(), Some("P0405"));
    assert_eq!(code(recipe("length = 9", 1)).as_deref(), Some("P0405"));
    write(Dtype::U8, vec![2, 1, 2], &[0x0f, 0x01, 0xff, 0x01]);
    assert_eq!(code(recipe("length = 9", 2)).as_deref(), Some("P0407"));
    write(Dtype::I16, vec![2, 1, 2], &[1, 0, 1, 0, 1, 0, 0, 1]);
    assert_eq!(code(recipe("length = 9", 2)).as_deref(), Some("P0412"), "256 is no byte");
    write(Dtype::F8_E4M3, vec![2, 3], &[0; 6]);
    assert_eq!(code(recipe("", 1)).as_deref(), Some("P0404"));
    write(Dtype::U8, vec![0, 3], &[]);
    assert_eq!(code(recipe("", 1)).as_deref(), Some("P0405"));
}

#[test]
fn several_mistakes_are_told_at_once_in_order() {
    let recipe = format!(
        "{HEAD}{}bits = 12\n{}{}",
        LAYER.replace("a.weight", "no"),
        PQ.replace("k = 4", "k = 0").replace("\"a\"", "\"b\""),
        MASK.replace("layer = 0\n", "")
    );
    let codes: Vec<String> = found(&recipe).into_iter().map(|f| f.0).collect();
    assert_eq!(codes, ["P0412", "P0412", "P0411"]);
    let tensors = format!("{HEAD}{}bias = \"nor\"\n", LAYER.replace("a.weight", "no"));
    assert_eq!(found(&tensors).len(), 2);
}

#[test]
fn files_that_are_missing() {
    let dir = tempfile::tempdir().unwrap();
    let all = run(dir.path(), &format!("{HEAD}{LAYER}")).unwrap_err();
    assert_eq!(all.list()[0].code.to_string(), "P0401");
    std::fs::create_dir(dir.path().join("weights.safetensors")).unwrap();
    let all = run(dir.path(), &format!("{HEAD}{LAYER}")).unwrap_err();
    assert_eq!(all.list()[0].code.to_string(), "P0401");
}
