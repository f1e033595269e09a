//! `cargo bench -p pimc-quantize --bench attention_error -- FOLDER [HEADS]`: how far attention over
//! a compressed cache is off, by format, on the queries, keys and values of a real text that
//! `examples/attention/extract.py` left in FOLDER. `scripts/attention-error` does both.
//!
//! HEADS is how many heads of each of the 6 layers are taken: 4 unless told, up to 12.
//!
//! With `FOLDER --codebooks` the same codebooks of all heads are trained and written into
//! FOLDER/codebooks, and nothing else is measured.

mod codebooks;

use pimc_quantize::cache::basis::BasisKind;
use pimc_quantize::cache::heads::{Deviation, Exact, Head, View};
use pimc_quantize::cache::integer::IntegerCache;
use pimc_quantize::cache::kmeans::Effort;
use pimc_quantize::cache::measure;
use pimc_quantize::cache::train::{train, CacheSettings, Codebooks};
use pimc_quantize::random::Rng;
use pimc_quantize::uniform::{choose_step, Clip};
use rayon::prelude::*;
use safetensors::SafeTensors;
use std::path::Path;
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

const LAYERS: usize = 6;
const HEADS: usize = 12;
const DIM: usize = 32;
const WINDOW: usize = 256;
const EFFORT: Effort = Effort { restarts: 1, iterations: 15 };
/// Elements of a sub-vector, and centroids.
const FORMATS: [(usize, usize); 6] = [(4, 16), (2, 16), (4, 256), (4, 512), (2, 64), (2, 256)];
/// Bits of the uniform formats.
const UNIFORM: [u32; 3] = [2, 3, 4];
const NOTHING: Exact = Exact { sink: 0, recent: 0 };
const SOME: Exact = Exact { sink: 8, recent: 32 };

/// The heads of every layer in both texts.
struct Data {
    train: Vec<Vec<Head>>,
    test: Vec<Vec<Head>>,
    view: View,
}

fn heads_of(file: &SafeTensors<'_>, layer: usize, heads: usize) -> Result<Vec<Head>, Failure> {
    let part = |what: &str, h: usize| -> Result<(usize, Vec<f32>), Failure> {
        let view = file.tensor(&format!("layer{layer}.{what}"))?;
        let [all, HEADS, dim @ DIM] = view.shape()[..] else {
            return Err("not [tokens, 12, 32]".into());
        };
        let row = |t: usize| {
            let bytes = &view.data()[(t * HEADS + h) * dim * 4..][..dim * 4];
            bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        };
        Ok((dim, (0..all).flat_map(row).collect()))
    };
    let each = (0..HEADS).step_by(HEADS / heads).map(|h| {
        let (dim, queries) = part("queries", h)?;
        let (keys, values) = (part("keys", h)?.1, part("values", h)?.1);
        Ok(Head { dim, queries: vec![queries], keys, values })
    });
    each.collect()
}

fn load(folder: &str, heads: usize) -> Result<Data, Failure> {
    let read = |name: &str| -> Result<Vec<Vec<Head>>, Failure> {
        let file = std::fs::File::open(format!("{folder}/{name}.safetensors"))?;
        // SAFETY: the mapping is read-only, and nobody writes the file meanwhile.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        let tensors = SafeTensors::deserialize(&map)?;
        (0..LAYERS).map(|layer| heads_of(&tensors, layer, heads)).collect()
    };
    let train = read("calibration")?;
    let test = read("test")?;
    let dim = train[0][0].dim;
    let view = View { window: WINDOW, causal: false, scale: 1.0 / (dim as f32).sqrt() };
    Ok(Data { train, test, view })
}

fn line(format: &str, bits: f64, note: &str, real: &[Deviation], integer: Option<&[Deviation]>) {
    let (error, cosine) = measure::summary(real);
    let integer = integer.map_or("| | ".to_string(), |all| {
        let (error, cosine) = measure::summary(all);
        format!("| {error:.3} | {cosine:.3} ")
    });
    println!("| {format} | {note} | {bits:.2} | {error:.3} | {cosine:.3} {integer}|");
}

/// Codebooks of all heads, trained on the calibration text.
fn trained(data: &Data, settings: &CacheSettings) -> Vec<Vec<Codebooks>> {
    let of_layer = |(l, heads): (usize, &Vec<Head>)| {
        let of_head = |(h, head): (usize, &Head)| {
            let rng = |what: &str, part, run| Rng::for_piece(1, what, &[l, h, part, run]);
            train(head, &data.view, settings, &rng)
        };
        heads.par_iter().enumerate().map(of_head).collect()
    };
    data.train.iter().enumerate().map(of_layer).collect()
}

fn name_of(basis: BasisKind) -> &'static str {
    match basis {
        BasisKind::Model => "model",
        BasisKind::Metric => "metric",
        BasisKind::Rotated => "rotated",
    }
}

fn bits(sub: usize, k: usize) -> f64 {
    f64::from(usize::BITS - (k - 1).leading_zeros()) / sub as f64
}

fn codes(
    data: &Data,
    (sub, k): (usize, usize),
    basis: BasisKind,
    exact: &[Exact],
) -> Result<(), Failure> {
    let settings = CacheSettings { sub, k, basis, effort: EFFORT };
    let books = trained(data, &settings);
    for exact in exact {
        let (mut real, mut integer) = (Vec::new(), Vec::new());
        for ((train, test), books) in data.train.iter().zip(&data.test).zip(&books) {
            real.extend(measure::real(test, books, &data.view, exact));
            let cache = IntegerCache::of(train, books, &data.view, Clip::Max, 8)
                .ok_or("scores that no multiplier stands for")?;
            let all = measure::integer(test, &cache, &data.view, exact);
            integer.extend(all.map_err(|e| format!("{e:?}"))?);
        }
        let basis = name_of(basis);
        let note = match *exact {
            NOTHING => basis.to_string(),
            Exact { sink, recent } => format!("{basis}, {sink} first and {recent} last exact"),
        };
        line(&format!("sub {sub}, k {k}"), bits(sub, k), &note, &real, Some(&integer));
    }
    Ok(())
}

/// A head's tokens of one window, as a head.
fn cut(head: &Head, at: usize) -> Head {
    let dim = head.dim;
    let part = |all: &[f32]| all[at * dim..][..WINDOW * dim].to_vec();
    let queries = head.queries.iter().map(|q| part(q)).collect();
    Head { dim, queries, keys: part(&head.keys), values: part(&head.values) }
}

/// Codebooks of the window itself, trained on its own tokens.
fn codes_of_the_window(data: &Data, (sub, k): (usize, usize)) {
    let settings = CacheSettings { sub, k, basis: BasisKind::Model, effort: EFFORT };
    let of_head = |(l, h): &(usize, usize)| {
        let head = &data.test[*l][*h];
        (0..head.tokens()).step_by(WINDOW).fold(Deviation::default(), |sum, at| {
            let head = [cut(head, at)];
            let rng = |what: &str, part, run| Rng::for_piece(1, what, &[*l, *h, at, part, run]);
            let books = [train(&head[0], &data.view, &settings, &rng)];
            sum.and(measure::real(&head, &books, &data.view, &NOTHING)[0])
        })
    };
    let real: Vec<Deviation> = all_heads(data).par_iter().map(of_head).collect();
    line(
        &format!("sub {sub}, k {k}"),
        bits(sub, k),
        "model, trained on the window itself",
        &real,
        None,
    );
}

fn all_heads(data: &Data) -> Vec<(usize, usize)> {
    let of_layer =
        |(l, heads): (usize, &Vec<Head>)| (0..heads.len()).map(move |h| (l, h)).collect();
    data.test.iter().enumerate().flat_map(|x| -> Vec<_> { of_layer(x) }).collect()
}

/// Mean and standard deviation of every element.
fn spread(vectors: &[f32], dim: usize) -> Vec<(f32, f32)> {
    let n = (vectors.len() / dim) as f64;
    let of = |d: usize, f: &dyn Fn(f64) -> f64| -> f64 {
        vectors.iter().skip(d).step_by(dim).map(|&v| f(f64::from(v))).sum::<f64>() / n
    };
    let one = |d: usize| {
        let mean = of(d, &|v| v);
        (mean as f32, of(d, &|v| (v - mean) * (v - mean)).sqrt().max(1e-12) as f32)
    };
    (0..dim).map(one).collect()
}

/// Every token in `levels` = 2^bits uniform levels around the mean of the calibration text, an element's
/// distance in units of its standard deviation there, with the step of least squared error for the
/// token: 16 bits of it are counted.
fn uniform(vectors: &[f32], dim: usize, spread: &[(f32, f32)], bits: u32) -> Vec<f32> {
    let top = ((1u32 << bits) - 1) as f32 / 2.0;
    let rounded = |v: f32, step: f32| ((v / step - 0.5).round() + 0.5).clamp(-top, top) * step;
    let token = |x: &[f32]| -> Vec<f32> {
        let z: Vec<f32> = x.iter().zip(spread).map(|(v, (m, s))| (v - m) / s).collect();
        let largest = choose_step(&z, &[], 2, Clip::Max).unwrap_or(1.0) as f32;
        let error = |step: f32| z.iter().map(|&v| (v - rounded(v, step)).powi(2)).sum::<f32>();
        let steps = (1..=64).map(|i| largest / top * i as f32 / 48.0);
        let best = steps.min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap_or(1.0);
        z.iter().zip(spread).map(|(&v, (m, s))| m + s * rounded(v, best)).collect()
    };
    vectors.chunks_exact(dim).flat_map(token).collect()
}

fn uniform_head(data: &Data, train: &Head, test: &Head, bits: u32) -> Deviation {
    let one = |train: &[f32], test: &[f32]| uniform(test, DIM, &spread(train, DIM), bits);
    let (keys, values) = (one(&train.keys, &test.keys), one(&train.values, &test.values));
    let given = test.outputs_of(&data.view, &NOTHING, &keys, &values);
    measure::against_exact(test, &data.view, &given)[0]
}

fn uniform_line(data: &Data, bits: u32) {
    let of_head =
        |(l, h): &(usize, usize)| uniform_head(data, &data.train[*l][*h], &data.test[*l][*h], bits);
    let real: Vec<Deviation> = all_heads(data).par_iter().map(of_head).collect();
    let bits_of_all = f64::from(bits) + 16.0 / DIM as f64;
    line(
        &format!("uniform {bits} bit"),
        bits_of_all,
        "a step for every token and head",
        &real,
        None,
    );
}

fn main() -> Result<(), Failure> {
    // `cargo bench` adds `--bench`.
    let mut args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let to_files = args.iter().any(|a| a == "--codebooks");
    args.retain(|a| a != "--codebooks");
    let folder =
        args.first().ok_or("name the folder of calibration.safetensors, test.safetensors")?;
    let heads = args.get(1).map_or(Ok(if to_files { HEADS } else { 4 }), |a| a.parse())?;
    if to_files && heads != HEADS {
        return Err("codebooks are written of all 12 heads".into());
    }
    if heads == 0 || HEADS % heads != 0 {
        return Err("the heads of a layer must divide 12".into());
    }
    let begin = Instant::now();
    let data = load(folder, heads)?;
    if to_files {
        codebooks::write(&data, &Path::new(folder).join("codebooks"))?;
        eprintln!("{:.0} s", begin.elapsed().as_secs_f64());
        return Ok(());
    }
    println!(
        "{} heads, trained on {} tokens, tested on {}, in windows of {WINDOW}",
        all_heads(&data).len(),
        data.train[0][0].tokens(),
        data.test[0][0].tokens()
    );
    println!("\n| format | basis | bit/value | error | cosine | in integers | cosine |");
    println!("|---|---|---|---|---|---|---|");
    for format in FORMATS {
        codes(&data, format, BasisKind::Model, &[NOTHING])?;
        let exact: &[Exact] = if format == (4, 512) { &[NOTHING, SOME] } else { &[NOTHING] };
        codes(&data, format, BasisKind::Rotated, exact)?;
    }
    codes(&data, (4, 256), BasisKind::Metric, &[NOTHING])?;
    codes(&data, (4, 64), BasisKind::Model, &[NOTHING])?;
    codes_of_the_window(&data, (4, 64));
    for bits in UNIFORM {
        uniform_line(&data, bits);
    }
    eprintln!("{:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}
