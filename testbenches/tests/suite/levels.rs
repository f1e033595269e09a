//! Whole models through every level: golden's vectors, which hold the awkward shapes and extreme
//! values of every format, and the elementwise ops behind a matrix.

use crate::common::{
    cases_of_every_unit, compile, compile_for, golden_cases, on_all, options, tool,
};
use pimc_cosim::{cosim, Inputs, Level, Options, Quiet, Report};
use pimc_ir::generated::{self, Format};
use pimc_ir::testing::{BqqArrays, ModelBuilder};
use pimc_ir::types::bqq_inner;
use pimc_lower::Target;
use std::path::Path;

/// What is wrong with a report that should say that all levels agree on `vectors` vectors.
fn flaw(report: &Report, vectors: usize, banks: u64) -> Option<String> {
    if let Some(d) = &report.divergence {
        return Some(d.to_string());
    }
    let run: Vec<(Level, usize)> = report.levels.iter().map(|l| (l.level, l.vectors)).collect();
    let all = [
        (Level::Golden, vectors),
        (Level::Schedule, vectors),
        (Level::Native, 1),
        (Level::Rtl, vectors),
    ];
    let (w, n) = (&report.waves, &report.native);
    // Without columns there are refreshes alone.
    let compared = [w.counts, *n].iter().all(|c| {
        c.commands > if banks > 0 { 2 * c.runs } else { 0 }
            && c.columns >= banks * c.runs
            && c.results >= banks * c.runs
            && c.reads >= c.columns
            && c.writes >= c.runs
    });
    let c = &report.clocks;
    // The Verilog takes what was scheduled, and what was expected of it.
    let timed = c.rtl == Some(report.cycles)
        && c.schedule == report.cycles
        && c.estimate_rtl_error.is_some_and(|e| e.abs() <= 0.03);
    let whole = run == all && w.vectors == vectors && n.runs == 1 && compared && timed;
    (!whole).then(|| format!("not everything was compared: {report:?}"))
}

/// Compiles the model in `case`, for `target` if it is given, and runs it on its vectors.
fn run_case(
    name: &str,
    case: &Path,
    target: Option<&Target>,
    adjust: impl Fn(&mut Options),
) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("out");
    let model = pimc_ir::load(&case.join("model.ir")).unwrap();
    match target {
        Some(target) => compile_for(&model, target, &tree),
        None => compile(&model, &tree),
    }
    let inputs = Inputs::File(case.join("vectors.safetensors"));
    let vectors = inputs.vectors(&model.module).unwrap().len();
    let mut options = options(inputs);
    adjust(&mut options);
    let result = cosim(&tree, &options, &Quiet);
    let flaw = match result {
        Ok(report) => {
            let weighs = !model.module.weights.is_empty();
            flaw(&report, vectors, if weighs { 16 } else { 0 })
        }
        Err(e) => Some(e.to_string()),
    };
    flaw.map(|f| format!("{name}: {f}"))
}

#[test]
fn golden_vectors_agree_on_every_level() {
    let flaws = on_all(&golden_cases(), |(name, case)| run_case(name, case, None, |_| {}));
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

#[test]
fn the_oldest_verilator_agrees_too() {
    let old = tool("PIMC_VERILATOR_OLD");
    let names = [
        "bqq_grid",
        "int_4_grouped",
        "merge_states",
        "network",
        "pq_k512_sub8",
        "supermask_frozen_coats",
    ];
    let mut cases = golden_cases();
    cases.retain(|c| names.contains(&c.0.as_str()));
    assert_eq!(cases.len(), names.len());
    let flaws = on_all(&cases, |(name, case)| {
        run_case(name, case, None, |o| o.verilator = Some(old.clone()))
    });
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

#[test]
fn columns_of_two_clocks_agree_on_every_level() {
    let aim = Target::named("gddr6-aim").unwrap();
    assert_eq!((aim.beat_bits, aim.column_interval()), (128, 2));
    let flaws =
        on_all(&cases_of_every_unit(), |(name, case)| run_case(name, case, Some(&aim), |_| {}));
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

/// Matrices of every format whose rows are several beats of 128 bits and no whole number of them.
fn wide_models() -> Vec<(&'static str, ModelBuilder)> {
    let mut state = 1u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    let mut bytes = |n: usize| -> Vec<i8> { (0..n).map(|_| random(256) as u8 as i8).collect() };
    let matrix = |ty: &str, rows: usize, cols: usize| {
        ModelBuilder::new(format!(
            "pimc 1\ntarget \"hbm3-pim\"\nweight @w : {ty} from \"t.safetensors\"\n\
             func @main(%x: i8<{cols}>) -> i64<{rows}> {{\n  %y = matvec @w, %x : i64<{rows}>\n  \
             return %y\n}}"
        ))
    };
    let books = [bytes(150 * 16 * 2), bytes(21 * 500 * 3), bytes(40 * 256 * 4)];
    let weights = bytes(20 * 301);
    let mut codes = |n: usize, k: u64| -> Vec<u16> { (0..n).map(|_| random(k) as u16).collect() };
    let (few, many, whole) = (codes(40 * 150, 16), codes(20 * 21, 500), codes(17 * 40, 256));
    let mut bits = |n: usize| -> Vec<bool> { (0..n).map(|_| random(2) == 1).collect() };
    let first = bits(20 * 300);
    let second = bits(20 * 300).into_iter().zip(&first).map(|(b, a)| b && *a).collect();
    let (m, n) = (140, 150);
    let l = bqq_inner(m, n);
    let small = |at: i16| -> Vec<i16> { (0..4).map(|i| at - 77 * i).collect() };
    let blocks = BqqArrays {
        y: bits(4 * m * l),
        z: bits(4 * l * n),
        r: small(100),
        s: small(-32000),
        t: small(32767),
        u: vec![i32::MAX, i32::MIN],
    };
    vec![
        ("k16", matrix("pq<40x300, sub=2, k=16>", 40, 300).pq("w", &few, &books[0])),
        ("k500", matrix("pq<20x63, sub=3, k=500>", 20, 63).pq("w", &many, &books[1])),
        ("k256", matrix("pq<17x160, sub=4, k=256>", 17, 160).pq("w", &whole, &books[2])),
        ("int", matrix("int<20x301, bits=8>", 20, 301).int("w", &weights, &[])),
        (
            "two coats",
            matrix("supermask<20x300, coats=2, seed=0x5eed>", 20, 300)
                .supermask("w", &[first, second].concat()),
        ),
        ("blocks", matrix("bqq<140x300, bases=2, block=140x150>", m, 300).bqq("w", &blocks)),
    ]
}

/// Where columns come every two clocks, and where they come slower than beats of 128 bits or of 64.
#[test]
fn rows_of_many_beats_agree_on_every_level() {
    let (aim, hbm) = (Target::named("gddr6-aim").unwrap(), Target::named("hbm3-pim").unwrap());
    let with = |of: &Target, bits: &str| of.with(&[("unit", "beat_bits", bits)]).unwrap();
    let targets = [aim.clone(), with(&aim, "64"), with(&hbm, "128")];
    let models = wide_models();
    // On the first target all of them, on the others one of every three, other ones on each.
    let pairs: Vec<_> = (0..3 * models.len())
        .map(|i| (&targets[i / models.len()], i / models.len(), &models[i % models.len()], i))
        .filter(|(_, target, _, i)| *target == 0 || i % 3 == *target)
        .collect();
    let flaws = on_all(&pairs, |(target, _, (name, builder), _)| {
        let dir = tempfile::tempdir().unwrap();
        let path =
            builder.write(dir.path(), "w.ir").unwrap_or_else(|d| panic!("{}", d.render(false)));
        let model = pimc_ir::load(&path).unwrap_or_else(|d| panic!("{name}: {}", d.render(false)));
        let tree = dir.path().join("out");
        compile_for(&model, target, &tree);
        let flaw = match cosim(&tree, &options(Inputs::Random { count: 4, seed: 3 }), &Quiet) {
            Ok(report) => flaw(&report, 4, 16),
            Err(e) => Some(e.to_string()),
        };
        flaw.map(|f| format!("{name} on {} of {} bits: {f}", target.name, target.beat_bits))
    });
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

/// Channels in lock step, each format by the split that it takes and by the other, with banks that have
/// no row and banks that have no input.
#[test]
fn channels_in_lock_step_agree_on_every_level() {
    let pq = Format::Pq { k: 16, sub: 2 };
    let cases = [
        (2, 16, "auto", pq, 70, 200),
        (4, 2, "rows", pq, 70, 90),
        (4, 4, "inputs", Format::Pq { k: 300, sub: 4 }, 30, 180),
        (2, 2, "auto", Format::Bqq { bases: 3, side: 20 }, 40, 120),
        (2, 8, "auto", Format::Supermask { coats: 2 }, 50, 130),
        (2, 4, "inputs", Format::Int, 33, 100),
    ];
    let flaws = on_all(&cases, |&(channels, banks, split, format, rows, cols)| {
        let dir = tempfile::tempdir().unwrap();
        let text = generated::matvec("hbm3-pim", format, rows, cols);
        let (path, _) = generated::write(&text, dir.path()).unwrap();
        let changes = [
            ("stack", "channels", channels.to_string()),
            ("pseudo_channel", "banks", banks.to_string()),
            ("pseudo_channel", "bank_groups", banks.min(4).to_string()),
            ("mapping", "split", format!("\"{split}\"")),
        ];
        let changes = changes.each_ref().map(|(s, k, v)| (*s, *k, v.as_str()));
        let target = Target::named("hbm3-pim").unwrap().with(&changes).unwrap();
        let tree = dir.path().join("out");
        compile_for(&pimc_ir::load(&path).unwrap(), &target, &tree);
        let options = options(Inputs::Random { count: 4, seed: 5 });
        let flaw = match cosim(&tree, &options, &Quiet) {
            Ok(report) => flaw(&report, 4, banks * channels),
            Err(e) => Some(e.to_string()),
        };
        flaw.map(|f| {
            format!("{channels} channels of {banks} banks, {split}, {format} {rows}x{cols}: {f}")
        })
    });
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

/// A model of ops behind an identity matrix, so that they run in hardware: `ops` read `%m`.
fn behind_identity(len: usize, params: &str, ops: &str, result: &str) -> ModelBuilder {
    let identity: Vec<i8> = (0..len * len).map(|i| i8::from(i / len == i % len)).collect();
    let text = format!(
        "pimc 1\ntarget \"hbm3-pim\"\nweight @id : int<{len}x{len}, bits=2> from \"t.safetensors\"\n\
         {params}\nfunc @main(%x: i8<{len}>) -> {result} {{\n  %m = matvec @id, %x : i8<{len}>\n{ops}\n}}"
    );
    ModelBuilder::new(text).int("id", &identity, &[])
}

fn elementwise_models() -> Vec<(&'static str, ModelBuilder)> {
    let spread =
        |n: i64| -> Vec<i64> { (0..20).map(|i| (i * 2_654_435_761 % n) - n / 2).collect() };
    let table: Vec<i64> = (-128..128).map(|i: i64| (i * i) / 70 - 117).collect();
    let wide: Vec<i64> = (0..20)
        .map(|i| if i % 2 == 0 { i64::from(i32::MIN) } else { i64::from(i32::MAX) })
        .collect();
    vec![
        (
            "requant per row, to several widths",
            behind_identity(
                20,
                "param @mul : i32<20> from \"t.safetensors\"\nparam @shift : i8<20> from \"t.safetensors\"",
                "  %a = requant %m, mul=@mul, shift=@shift : i8<20>\n  \
                 %b = requant %m, mul=-2147483648, shift=31 : i9<20>\n  \
                 %c = requant %m, mul=3, shift=1 : i4<20>\n  \
                 %d = requant %m, mul=2147483647, shift=0 : i20<20>\n  \
                 %e = requant %m, mul=2147483647, shift=62 : i2<20>\n  \
                 %ab = add %a, %b : i10<20>\n  %cd = add %c, %d : i21<20>\n  \
                 %abe = add %ab, %e : i11<20>\n  %r = add %abe, %cd : i22<20>\n  return %r",
                "i22<20>",
            )
            .param("mul", &spread(1 << 31))
            .param("shift", &(0..20).map(|i| i * 3).collect::<Vec<_>>()),
        ),
        (
            "wide sums, relu, concat and slices",
            behind_identity(
                20,
                "param @wide : i32<20> from \"t.safetensors\"",
                "  %a = add %m, @wide : i33<20>\n  %b = relu %a : i33<20>\n  \
                 %c = slice %b, start=1, len=1 : i33<1>\n  %d = slice %a, start=7, len=13 : i33<13>\n  \
                 %e = concat %d, %c, %b : i33<34>\n  return %e",
                "i33<34>",
            )
            .param("wide", &wide),
        ),
        (
            "table, and argmax with ties",
            behind_identity(
                20,
                "param @t : i8<256> from \"t.safetensors\"",
                "  %a = table %m, @t : i8<20>\n  %b = argmax %a : i6<1>\n  %c = argmax %m : i6<1>\n  \
                 %d = concat %b, %c : i6<2>\n  return %d",
                "i6<2>",
            )
            .param("t", &table),
        ),
    ]
}

#[test]
fn elementwise_ops_agree_on_every_level() {
    let flaws = on_all(&elementwise_models(), |(name, builder)| {
        let dir = tempfile::tempdir().unwrap();
        let path =
            builder.write(dir.path(), "ops.ir").unwrap_or_else(|d| panic!("{}", d.render(false)));
        let model = pimc_ir::load(&path).unwrap_or_else(|d| panic!("{name}: {}", d.render(false)));
        let tree = dir.path().join("out");
        compile(&model, &tree);
        let inputs = Inputs::Random { count: 12, seed: 20 };
        let flaw = match cosim(&tree, &options(inputs), &Quiet) {
            Ok(report) => flaw(&report, 12, 16),
            Err(e) => Some(e.to_string()),
        };
        flaw.map(|f| format!("{name}: {f}"))
    });
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}
