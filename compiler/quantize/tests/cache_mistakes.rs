//! Wrong recipes of caches: each mistake is found, has its code, and is shown where it was written.

mod common;

use common::{normal, run, write_f32};

const CACHE: &str = "[cache]\nqueries = \"q\"\nkeys = \"k\"\nvalues = \"v\"\nsub = 2\nk = 4\n\
                     window = 16\ntokens = 64\n";

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let tensor =
        |name, shape: [usize; 3]| (name, shape.to_vec(), normal(1, shape.iter().product(), 1.0));
    let tensors = [
        tensor("q", [32, 4, 8]),
        tensor("k", [32, 2, 8]),
        tensor("v", [32, 2, 8]),
        tensor("k3", [32, 3, 8]),
        tensor("short", [16, 2, 8]),
        ("zero", vec![32, 4, 8], vec![0.0; 32 * 32]),
        ("huge", vec![32, 4, 8], normal(4, 32 * 32, 1e30)),
        ("flat", vec![32, 16], normal(5, 32 * 16, 1.0)),
        ("nan", vec![32, 2, 8], vec![f32::NAN; 32 * 16]),
    ];
    write_f32(&dir.path().join("weights.safetensors"), &tensors);
    dir
}

/// Asserts that exactly one mistake is found, with this code, at this text.
fn one(recipe: &str, code: &str, at: &str) {
    let all = run(folder().path(), recipe).err().unwrap_or_else(|| panic!("right:\n{recipe}"));
    let found: Vec<(String, String)> = all
        .list()
        .iter()
        .map(|d| {
            let label = d.primary.as_ref().unwrap_or_else(|| panic!("no place: {d:?}"));
            assert!(!d.help.is_empty() && !d.message.is_empty() && !label.text.is_empty(), "{d:?}");
            (d.code.to_string(), all.source()[label.span.clone()].to_string())
        })
        .collect();
    let header = at == "[cache]";
    let same = found.len() == 1
        && found[0].0 == code
        && if header { found[0].1.starts_with(at) } else { found[0].1 == at };
    assert!(same, "{found:?}\n{recipe}");
}

#[test]
fn the_recipe_that_is_spoiled_here_is_right() {
    run(folder().path(), CACHE).unwrap_or_else(|d| panic!("{d}"));
    // Queries without any preference are no mistake.
    for basis in ["model", "metric", "rotated"] {
        let zero = CACHE.replace("\"q\"", "\"zero\"");
        let zero = format!("{zero}basis = \"{basis}\"\n");
        run(folder().path(), &zero).unwrap_or_else(|d| panic!("{d}"));
    }
    let start = "[start]\nkeys = \"short\"\nvalues = \"short\"\n";
    run(folder().path(), &format!("{CACHE}{start}")).unwrap_or_else(|d| panic!("{d}"));
}

#[test]
fn wrong_text() {
    one(&format!("{CACHE}bits = 4\n"), "P0411", "bits");
    one(&format!("{CACHE}basis = \"pca\"\n"), "P0411", "\"pca\"");
    one(&format!("{CACHE}causal = 1\n"), "P0411", "1");
    one(&format!("layer = 3\n{CACHE}"), "P0411", "layer");
    one("cache = 3\n", "P0411", "3");
    for gone in [
        "queries = \"q\"\n",
        "keys = \"k\"\n",
        "values = \"v\"\n",
        "sub = 2\n",
        "k = 4\n",
        "tokens = 64\n",
    ] {
        one(&CACHE.replace(&format!("\n{gone}"), "\n"), "P0411", "[cache]");
    }
    one(&format!("{CACHE}[test]\nkeys = \"k\"\nvalues = \"v\"\n"), "P0411", "[test]");
    one(&format!("{CACHE}[start]\nkeys = \"k\"\n"), "P0411", "[start]");
}

#[test]
fn values_out_of_range() {
    one(&CACHE.replace("sub = 2", "sub = 0"), "P0412", "0");
    one(&CACHE.replace("\nk = 4", "\nk = 65537"), "P0412", "65537");
    one(&CACHE.replace("window = 16", "window = 8193"), "P0412", "8193");
    one(&CACHE.replace("tokens = 64", "tokens = 0"), "P0412", "0");
    one(&format!("{CACHE}frac = 9\n"), "P0412", "9");
    one(&format!("{CACHE}scale = 0.5\n"), "P0412", "0.5");
    one(&format!("{CACHE}score_scale = 0\n"), "P0412", "0");
    one(&format!("{CACHE}name = \"k v\"\n"), "P0412", "\"k v\"");
    one(&format!("{CACHE}sink = 60\nrecent = 8\n"), "P0412", "64");
}

#[test]
fn tensors_that_do_not_fit() {
    one(&CACHE.replace("\"q\"", "\"x\""), "P0403", "\"x\"");
    one(&CACHE.replace("\"v\"", "\"nan\""), "P0413", "\"nan\"");
    one(&CACHE.replace("\"k\"", "\"flat\""), "P0405", "\"flat\"");
    one(&CACHE.replace("\"v\"", "\"short\""), "P0405", "\"short\"");
    one(&CACHE.replace("\"k\"", "\"k3\"").replace("\"v\"", "\"k3\""), "P0405", "\"q\"");
    one(&CACHE.replace("sub = 2", "sub = 3"), "P0414", "[cache]");
    let test = "[test]\nqueries = \"k3\"\nkeys = \"k3\"\nvalues = \"k3\"\n";
    one(&format!("{CACHE}{test}"), "P0414", "\"k3\"");
    let start = "[start]\nkeys = \"k\"\nvalues = \"k\"\n";
    one(&format!("{}{start}", CACHE.replace("tokens = 64", "tokens = 31")), "P0414", "31");
    let start = "[start]\nkeys = \"k3\"\nvalues = \"k3\"\n";
    let all = run(folder().path(), &format!("{CACHE}{start}")).unwrap_err();
    assert!(all.list().iter().all(|d| d.code.to_string() == "P0405"));
    one(&CACHE.replace("\"q\"", "\"huge\""), "P0415", "[cache]");
    one(
        &format!("{CACHE}[test]\nfile = \"no\"\nqueries = \"q\"\nkeys = \"k\"\nvalues = \"v\"\n"),
        "P0401",
        "\"no\"",
    );
    let own = "[test]\nfile = \"m.safetensors\"\nqueries = \"q\"\nkeys = \"k\"\nvalues = \"v\"\n";
    let dir = folder();
    std::fs::copy(dir.path().join("weights.safetensors"), dir.path().join("m.safetensors"))
        .unwrap();
    let all = run(dir.path(), &format!("{CACHE}{own}")).unwrap_err();
    assert_eq!(all.list()[0].code.to_string(), "P0408");
}
