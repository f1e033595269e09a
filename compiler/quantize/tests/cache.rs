//! Caches on queries, keys and values of a real text: two heads of `examples/attention`.

mod common;

use common::{model, run, write_f32};
use pimc_golden::{run_step, State};
use pimc_ir::{CacheId, Model, Side};
use pimc_quantize::{quantize, Quantized, Report, Request, Silent};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

const DIM: usize = 32;
const HEADS: usize = 2;
/// Tokens of the text that is for the test, which is one window.
const TEST: usize = 128;

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/attention/sample.safetensors")
}

/// A folder whose `weights.safetensors` is the sample.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(sample(), dir.path().join("weights.safetensors")).unwrap();
    dir
}

/// A recipe on the sample with the keys in `more`, and `tables` behind `[cache]`.
fn recipe(more: &str, tables: &str) -> String {
    format!(
        "seed = 1\n[cache]\nqueries = \"queries\"\nkeys = \"keys\"\nvalues = \"values\"\n\
         window = 128\ncausal = false\ntokens = 256\nstep = 128\n{more}\n{tables}"
    )
}

const ON_TEST: &str =
    "[test]\nqueries = \"test_queries\"\nkeys = \"test_keys\"\nvalues = \"test_values\"\n";
const WITH_START: &str = "[start]\nkeys = \"test_keys\"\nvalues = \"test_values\"\n";

fn quantized(more: &str, tables: &str) -> Quantized {
    run(folder().path(), &recipe(more, tables)).unwrap_or_else(|d| panic!("{d}"))
}

/// A half-precision tensor [tokens, heads, dim] of the sample, in order.
fn halves(name: &str) -> Vec<f64> {
    let bytes = std::fs::read(sample()).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    assert_eq!(view.shape()[1..], [HEADS, DIM]);
    let value = |b: &[u8]| {
        let h = u16::from_le_bytes([b[0], b[1]]);
        let (exponent, fraction) = (i32::from(h >> 10 & 31), f64::from(h & 1023));
        let size = match exponent {
            0 => fraction * 2f64.powi(-24),
            e => (1.0 + fraction / 1024.0) * 2f64.powi(e - 15),
        };
        if h >> 15 == 1 {
            -size
        } else {
            size
        }
    };
    view.data().chunks(2).map(value).collect()
}

/// A tensor of real numbers of a quantized file, head after head.
fn map(q: &Quantized, name: &str) -> Vec<f64> {
    let file = SafeTensors::deserialize(&q.tensors).unwrap();
    let view = file.tensor(name).unwrap();
    assert_eq!(view.shape()[..2], [HEADS, DIM]);
    view.data().chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
}

/// map x + sign * offset of every vector x of [tokens, heads, dim], with its head's map and offset.
fn mapped(q: &Quantized, what: &str, sign: f64, vectors: &[f64]) -> Vec<f64> {
    let whole = map(q, &format!("kv.{what}_map"));
    let offset = match what {
        "query" => vec![0.0; HEADS * DIM],
        _ => map(q, &format!("kv.{what}_offset")),
    };
    let of = |(at, x): (usize, &[f64])| -> Vec<f64> {
        let h = at % HEADS;
        let rows = whole[h * DIM * DIM..][..DIM * DIM].chunks(DIM);
        let off = &offset[h * DIM..][..DIM];
        let dot = |row: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
        rows.zip(off).map(|(row, o)| dot(row) + sign * o).collect()
    };
    vectors.chunks(DIM).enumerate().flat_map(of).collect()
}

fn integers(real: &[f64]) -> Vec<i64> {
    real.iter().map(|v| v.round().clamp(-127.0, 127.0) as i64).collect()
}

/// Attention of the sample's test window in double precision, all tokens to all, [tokens, heads, dim].
fn attention() -> Vec<f64> {
    let (q, k, v) = (halves("test_queries"), halves("test_keys"), halves("test_values"));
    let row = |all: &[f64], t: usize, h: usize| all[(t * HEADS + h) * DIM..][..DIM].to_vec();
    let mut out = Vec::new();
    for (t, h) in (0..TEST).flat_map(|t| (0..HEADS).map(move |h| (t, h))) {
        let dot =
            |j: usize| -> f64 { row(&q, t, h).iter().zip(row(&k, j, h)).map(|(a, b)| a * b).sum() };
        let weights: Vec<f64> = (0..TEST).map(|j| (dot(j) / (DIM as f64).sqrt()).exp()).collect();
        let sum: f64 = weights.iter().sum();
        let of = |d: usize| (0..TEST).map(|j| weights[j] * row(&v, j, h)[d]).sum::<f64>() / sum;
        out.extend((0..DIM).map(of));
    }
    out
}

/// Root of the squared distance over the squared size, the mean of the two heads.
fn error(right: &[f64], given: &[f64]) -> f64 {
    let of_head = |h: usize| {
        let part = |all: &[f64]| -> Vec<f64> {
            all.chunks(DIM).skip(h).step_by(HEADS).flatten().copied().collect()
        };
        let (r, g) = (part(right), part(given));
        let off: f64 = r.iter().zip(&g).map(|(a, b)| (a - b).powi(2)).sum();
        (off / r.iter().map(|a| a * a).sum::<f64>()).sqrt()
    };
    (0..HEADS).map(of_head).sum::<f64>() / HEADS as f64
}

/// Results in real numbers of one step on the test text, made with the maps of the file. `given` is how
/// many of its tokens are appended.
fn stepped(q: &Quantized, m: &Model, given: usize) -> Vec<f64> {
    let inputs = [
        integers(&mapped(q, "query", -1.0, &halves("test_queries"))),
        integers(&mapped(q, "key", -1.0, &halves("test_keys"))),
        integers(&mapped(q, "value", -1.0, &halves("test_values"))),
        vec![given as i64],
        vec![TEST as i64; TEST],
    ];
    let trace = run_step(m, &mut State::initial(m), &inputs).unwrap();
    let results: Vec<f64> = trace.result().iter().map(|&v| v as f64).collect();
    mapped(q, "result", 1.0, &results)
}

#[test]
fn the_error_is_that_of_the_module_with_the_maps_beside_it() {
    let right = attention();
    for basis in ["model", "metric", "rotated"] {
        let q = quantized(&format!("sub = 2\nk = 64\nbasis = \"{basis}\""), ON_TEST);
        let report = q.report.cache.clone().unwrap();
        let got = error(&right, &stepped(&q, &model(&q), TEST));
        // What rounding of the maps to single precision moves.
        assert!((got - report.integer_error).abs() < 0.002, "{basis}: {got} {report:?}");
        assert!(report.integer_error < 1.1 * report.real_error + 0.01, "{report:?}");
        assert!((0.02..0.35).contains(&report.real_error), "{basis}: {report:?}");
        assert!(report.integer_cosine > 0.95, "{basis}: {report:?}");
        assert_eq!((q.report.samples, report.trained_tokens), (TEST, 512));
        assert_eq!(report.bits_per_value, 3.0);
    }
}

#[test]
fn all_tokens_exact_leaves_what_bytes_cost() {
    let q = quantized("sub = 4\nk = 2\nsink = 8\nrecent = 120", ON_TEST);
    let report = q.report.cache.unwrap();
    assert!(report.real_error < 1e-6, "{report:?}");
    assert!((1e-4..0.03).contains(&report.integer_error), "{report:?}");
}

#[test]
fn the_rotated_basis_is_the_better_one_and_more_bits_are_better() {
    let of = |more: &str| quantized(more, ON_TEST).report.cache.unwrap().real_error;
    let model = of("sub = 4\nk = 64\nbasis = \"model\"");
    let rotated = of("sub = 4\nk = 64\nbasis = \"rotated\"");
    assert!(rotated < model, "{rotated} {model}");
    assert!(of("sub = 2\nk = 64\nbasis = \"model\"") < 0.8 * model);
}

#[test]
fn tokens_to_begin_with_are_those_that_were_appended() {
    for (k, exact) in [(16, "sink = 4\nrecent = 9"), (300, ""), (16, "sink = 100\nrecent = 100")] {
        let more = format!("sub = 4\nk = {k}\nbasis = \"rotated\"\n{exact}");
        let (empty, begun) = (quantized(&more, ""), quantized(&more, WITH_START));
        let (a, b) = (model(&empty), model(&begun));
        assert_eq!(b.module.caches[0].ty.start, TEST);
        let state = State::initial(&b);
        let held = state.cache(CacheId(0));
        assert_eq!(held.tokens(), TEST);
        for side in Side::BOTH {
            assert!(held.codes(side).iter().all(|&c| usize::from(c) < k));
        }
        assert_eq!(stepped(&empty, &a, TEST), stepped(&begun, &b, 0));
    }
}

#[test]
fn causal_text_goes_token_by_token() {
    // Every token is exact until 16 more have come.
    let more = "sub = 4\nk = 64\nsink = 4\nrecent = 16";
    let text = recipe(more, ON_TEST)
        .replace("causal = false", "causal = true")
        .replace("step = 128", "step = 1");
    let q = run(folder().path(), &text).unwrap_or_else(|d| panic!("{d}"));
    let report = q.report.cache.clone().unwrap();
    assert!(report.integer_error < 1.1 * report.real_error + 0.01, "{report:?}");
    assert!((0.01..0.3).contains(&report.real_error), "{report:?}");
    let m = model(&q);
    assert_eq!(m.module.func.values[0].ty.len, HEADS * DIM);
}

#[test]
fn query_heads_that_share_keys() {
    let dir = tempfile::tempdir().unwrap();
    let values = |seed, count| common::normal(seed, count, 1.0);
    let weights = dir.path().join("weights.safetensors");
    let tensors = [
        ("q", vec![64, 6, 8], values(1, 64 * 48)),
        ("k", vec![64, 2, 8], values(2, 64 * 16)),
        ("v", vec![64, 2, 8], values(3, 64 * 16)),
    ];
    write_f32(&weights, &tensors);
    let text =
        "[cache]\nqueries = \"q\"\nkeys = \"k\"\nvalues = \"v\"\nsub = 2\nk = 64\ntokens = 64\n";
    let q = run(dir.path(), text).unwrap_or_else(|d| panic!("{d}"));
    let report = q.report.cache.clone().unwrap();
    assert_eq!((report.query_steps.len(), report.key_steps.len()), (6, 2));
    // As many centroids as tokens: nothing is lost by codes. What is left is rounding.
    assert!(report.real_error < 1e-5 && report.integer_error < 0.03, "{report:?}");
    let ty = model(&q).module.caches[0].ty;
    assert_eq!((ty.heads, ty.kv_heads, ty.dim), (6, 2, 8));
}

#[test]
fn the_same_bytes_on_any_number_of_threads() {
    let here = quantized("sub = 4\nk = 16\nbasis = \"rotated\"", "");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let there = pool.install(|| quantized("sub = 4\nk = 16\nbasis = \"rotated\"", ""));
    assert_eq!((here.tensors, here.ir_text), (there.tensors, there.ir_text));
}

#[test]
fn the_report_says_what_it_is_about() {
    let q = quantized("sub = 4\nk = 16\niterations = 2", ON_TEST);
    let table = q.report.to_table();
    assert!(
        table.contains("@kv : pq_kv<heads=2, ") && table.contains("1.00 bits/value"),
        "{table}"
    );
    let json: serde_json::Value = serde_json::to_value::<Report>(q.report).unwrap();
    assert!(json.get("input_step").is_none());
    assert_eq!(json["cache"]["basis"], "model");
}

#[test]
fn the_example_is_what_its_recipe_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/attention");
    let request = Request {
        recipe: &folder.join("recipe.toml"),
        weights: &folder.join("sample.safetensors"),
        tensor_file: "attention.safetensors",
        writes: &[],
    };
    let made = quantize(&request, &Silent).unwrap_or_else(|d| panic!("{d}"));
    assert_eq!(made.ir_text, std::fs::read_to_string(folder.join("attention.ir")).unwrap());
    assert!(made.tensors == std::fs::read(folder.join("attention.safetensors")).unwrap());
}
