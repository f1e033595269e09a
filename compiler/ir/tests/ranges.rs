//! Ranges against arithmetic that shares nothing with them: a matrix is evaluated by the formula of
//! its format, its dense weights are the results on unit vectors, and the extreme inputs are then
//! evaluated by the formula again.

use pimc_ir::ranges::{analyse, matvec_range, of_type};
use pimc_ir::testing::{BqqArrays, ModelBuilder};
use pimc_ir::{bqq_inner, Code, Model, ValueId, WeightId, WeightView};
use proptest::prelude::*;

fn matvec_model(ty: &str, cols: usize, rows: usize) -> String {
    format!(
        "pimc 1\ntarget \"hbm3-pim\"\nweight @w : {ty} from \"w.safetensors\"\n\
         func @main(%x: i8<{cols}>) -> i64<{rows}> {{\n  %y = matvec @w, %x : i64<{rows}>\n  return %y\n}}\n"
    )
}

/// The result by the words of the language. For a supermask all signs are plus.
fn formula(model: &Model, x: &[i128]) -> Vec<i128> {
    match model.weight(WeightId(0)) {
        WeightView::Pq(v) => (0..v.rows())
            .map(|r| {
                let mut y = 0;
                for s in 0..v.parts() {
                    for d in 0..v.sub() {
                        y += i128::from(v.centroid(s, v.code(r, s), d)) * x[s * v.sub() + d];
                    }
                }
                y
            })
            .collect(),
        WeightView::Bqq(v) => {
            let sign = |b: bool| if b { 1i128 } else { -1 };
            let (m, n, l) = (v.block_rows(), v.block_cols(), v.inner());
            let mut y = vec![0i128; v.rows()];
            for (br, bc) in (0..v.rows() / m).flat_map(|a| (0..v.cols() / n).map(move |b| (a, b))) {
                let x = &x[bc * n..(bc + 1) * n];
                let total: i128 = x.iter().sum();
                for (a, y) in y[br * m..(br + 1) * m].iter_mut().enumerate() {
                    for i in 0..v.bases() {
                        let t: Vec<i128> = (0..l)
                            .map(|k| (0..n).map(|j| sign(v.b(i, br, bc, k, j)) * x[j]).sum())
                            .collect();
                        let first: i128 = (0..l).map(|k| sign(v.a(i, br, bc, a, k)) * t[k]).sum();
                        let ones: i128 = (0..l).map(|k| sign(v.a(i, br, bc, a, k))).sum();
                        *y += i128::from(v.r(i, br, bc)) * first
                            + i128::from(v.s(i, br, bc)) * ones * total
                            + i128::from(v.t(i, br, bc)) * t.iter().sum::<i128>();
                    }
                    *y += i128::from(v.u(br, bc)) * total;
                }
            }
            y
        }
        WeightView::Int(v) => (0..v.rows())
            .map(|r| {
                let group = v.group().unwrap_or(v.cols());
                let part = |g: usize| -> i128 {
                    (g * group..(g + 1) * group).map(|c| i128::from(v.q(r, c)) * x[c]).sum()
                };
                (0..v.cols() / group).map(|g| i128::from(v.scale(r, g)) * part(g)).sum()
            })
            .collect(),
        WeightView::Supermask(v) => (0..v.rows())
            .map(|r| {
                let coats = |c: usize| (0..v.coats()).filter(|&k| v.stored(k, r, c)).count();
                (0..v.cols()).map(|c| coats(c) as i128 * x[c]).sum()
            })
            .collect(),
    }
}

/// Both ends of every row's range, reached by inputs.
fn check_exact(model: &Model, x: &[(i64, i64)]) {
    let cols = x.len();
    let unit = |c: usize| (0..cols).map(|i| i128::from(i == c)).collect::<Vec<_>>();
    let dense: Vec<Vec<i128>> = (0..cols).map(|c| formula(model, &unit(c))).collect();
    let ranges = matvec_range(model, WeightId(0), x);
    for (r, range) in ranges.iter().enumerate() {
        let pick = |high: bool| -> Vec<i128> {
            (0..cols)
                .map(|c| i128::from(if (dense[c][r] >= 0) == high { x[c].1 } else { x[c].0 }))
                .collect()
        };
        let ends = (formula(model, &pick(false))[r], formula(model, &pick(true))[r]);
        assert_eq!(*range, ends, "row {r}");
    }
}

/// Both ends of some rows' ranges, with weights that are worked out one by one.
fn check_ends(model: &Model, x: &[(i64, i64)]) {
    let ranges = matvec_range(model, WeightId(0), x);
    let WeightView::Bqq(v) = model.weight(WeightId(0)) else { panic!("bqq") };
    let sign = |b: bool| if b { 1i128 } else { -1 };
    for r in (0..v.rows()).step_by(17) {
        let mut ends = (0, 0);
        for (c, x) in x.iter().enumerate() {
            let (bc, j) = (c / v.block_cols(), c % v.block_cols());
            let a = |k: usize| sign(v.a(0, 0, bc, r, k));
            let b = |k: usize| sign(v.b(0, 0, bc, k, j));
            let sum = |of: &dyn Fn(usize) -> i128| (0..v.inner()).map(of).sum::<i128>();
            let w = i128::from(v.r(0, 0, bc)) * sum(&|k| a(k) * b(k))
                + i128::from(v.s(0, 0, bc)) * sum(&a)
                + i128::from(v.t(0, 0, bc)) * sum(&b)
                + i128::from(v.u(0, bc));
            let (p, q) = (w * i128::from(x.0), w * i128::from(x.1));
            ends = (ends.0 + p.min(q), ends.1 + p.max(q));
        }
        assert_eq!(ranges[r], ends, "row {r}");
    }
}

fn tape(seed: u32) -> impl FnMut() -> i64 {
    let mut s = seed | 1;
    move || {
        s ^= s << 13;
        s ^= s >> 17;
        s ^= s << 5;
        i64::from(s as i32)
    }
}

fn intervals(cols: usize, next: &mut impl FnMut() -> i64) -> Vec<(i64, i64)> {
    let byte = |v: i64| i64::from(v as i8);
    (0..cols)
        .map(|_| {
            let (a, b) = (byte(next()), byte(next()));
            (a.min(b), a.max(b))
        })
        .collect()
}

fn built(builder: ModelBuilder) -> Model {
    builder.build().unwrap_or_else(|e| panic!("{e}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pq_is_exact(seed: u32, rows in 1..9usize, parts in 1..6usize, sub in 1..5usize, k in 2..12usize, shared: bool) {
        let mut next = tape(seed);
        let cols = parts * sub;
        let ty = format!("pq<{rows}x{cols}, sub={sub}, k={k}{}>", if shared { ", shared" } else { "" });
        let books = if shared { 1 } else { parts };
        let codes: Vec<u16> = (0..rows * parts).map(|_| next().rem_euclid(k as i64) as u16).collect();
        let book: Vec<i8> = (0..books * k * sub).map(|_| next() as i8).collect();
        let model = built(ModelBuilder::new(matvec_model(&ty, cols, rows)).pq("w", &codes, &book));
        check_exact(&model, &intervals(cols, &mut next));
        check_exact(&model, &vec![(-128, 127); cols]);
    }

    #[test]
    fn bqq_is_exact(seed: u32, br in 1..3usize, bc in 1..3usize, m in 1..6usize, n in 1..70usize, p in 1..4usize) {
        let mut next = tape(seed);
        let (rows, cols, l) = (br * m, bc * n, bqq_inner(m, n));
        let ty = format!("bqq<{rows}x{cols}, bases={p}, block={m}x{n}>");
        let mut bits = |count: usize| (0..count).map(|_| next() & 1 == 1).collect::<Vec<bool>>();
        let (y, z) = (bits(p * br * bc * m * l), bits(p * br * bc * l * n));
        let mut scalars = || (0..p * br * bc).map(|_| next() as i16).collect::<Vec<i16>>();
        let (r, s, t) = (scalars(), scalars(), scalars());
        let u = (0..br * bc).map(|_| next() as i32).collect();
        let arrays = BqqArrays { y, z, r, s, t, u };
        let model = built(ModelBuilder::new(matvec_model(&ty, cols, rows)).bqq("w", &arrays));
        check_exact(&model, &intervals(cols, &mut next));
    }

    /// Scalars, inputs and blocks of such sizes that sums are made in 32, 64 and 128 bits.
    #[test]
    fn bqq_is_exact_at_every_width(seed: u32, bc in 1..3usize, m in 1..140usize, n in 1..200usize, width in 0..3usize) {
        let mut next = tape(seed);
        let (cols, l) = (bc * n, bqq_inner(m, n));
        let (scalar_bits, x_bits) = [(3, 8), (16, 8), (16, 32)][width];
        let ty = format!("bqq<{m}x{cols}, bases=1, block={m}x{n}>");
        let mut bits = |count: usize| (0..count).map(|_| next() & 1 == 1).collect::<Vec<bool>>();
        let (y, z) = (bits(bc * m * l), bits(bc * l * n));
        let mut scalars = || (0..bc).map(|_| next() as i16 >> (16 - scalar_bits)).collect::<Vec<i16>>();
        let (r, s, t) = (scalars(), scalars(), scalars());
        let u = (0..bc).map(|_| next() as i32 >> (32 - 2 * scalar_bits)).collect();
        // With inputs of 32 bits no result would fit the language's words; its ranges can be told.
        let model = built(ModelBuilder::new(matvec_model(&ty, cols, m)).bqq("w", &BqqArrays { y, z, r, s, t, u }));
        let x: Vec<(i64, i64)> = (0..cols).map(|_| {
            let (a, b) = (next() >> (32 - x_bits), next() >> (32 - x_bits));
            (a.min(b), a.max(b))
        }).collect();
        check_ends(&model, &x);
    }

    #[test]
    fn int_is_exact(seed: u32, rows in 1..6usize, groups in 1..4usize, group in 1..6usize, bits in 2..9u32, grouped: bool) {
        let mut next = tape(seed);
        let cols = groups * group;
        let tail = if grouped { format!(", group={group}") } else { String::new() };
        let ty = format!("int<{rows}x{cols}, bits={bits}{tail}>");
        let q: Vec<i8> = (0..rows * cols).map(|_| (next() as i8) >> (8 - bits)).collect();
        let scale: Vec<i16> = if grouped { (0..rows * groups).map(|_| next() as i16).collect() } else { Vec::new() };
        let model = built(ModelBuilder::new(matvec_model(&ty, cols, rows)).int("w", &q, &scale));
        check_exact(&model, &intervals(cols, &mut next));
    }

    #[test]
    fn supermask_holds_for_all_signs(seed: u32, rows in 1..5usize, cols in 1..40usize, coats in 1..4usize, locked: bool) {
        let mut next = tape(seed);
        let tail = if locked { ", locked=8" } else { "" };
        let ty = format!("supermask<{rows}x{cols}, coats={coats}, seed=0x5eed{tail}>");
        let levels: Vec<usize> = (0..rows * cols).map(|_| next().rem_euclid(coats as i64 + 1) as usize).collect();
        let mask: Vec<bool> = (0..coats).flat_map(|c| levels.iter().map(move |&l| l > c).collect::<Vec<_>>()).collect();
        let model = built(ModelBuilder::new(matvec_model(&ty, cols, rows)).supermask("w", &mask));
        let x = intervals(cols, &mut next);
        let ranges = matvec_range(&model, WeightId(0), &x);
        let far = |c: usize| i128::from(x[c].0).abs().max(i128::from(x[c].1).abs());
        for (r, range) in ranges.iter().enumerate() {
            let coat = |c: usize| if locked { coats } else { levels[r * cols + c] };
            let most: i128 = (0..cols).map(|c| coat(c) as i128 * far(c)).sum();
            prop_assert_eq!(*range, (-most, most));
        }
    }

    #[test]
    fn vector_ops_reach_their_ranges(mul: i32, shift in 0..63u32, bias: i32, lo: i8, hi: i8) {
        let (lo, hi) = (lo.min(hi), lo.max(hi));
        let text = format!("pimc 1\ntarget \"hbm3-pim\"\nparam @b : i32<1> from \"w\"\nparam @t : i16<256> from \"w\"\n\
            func @main(%x: i8<1>) -> i8<1> {{\n  %a = add %x, @b : i33<1>\n  %r = relu %a : i33<1>\n  %t = table %x, @t : i16<1>\n  \
            %s = add %r, %t : i34<1>\n  %q = requant %x, mul={mul}, shift={shift} : i8<1>\n  return %q\n}}\n");
        let table: Vec<i64> = (-128..128).map(|x: i64| (x * x * 7919) % 30_000 - 15_000).collect();
        let model = built(ModelBuilder::new(text).param("b", &[i64::from(bias)]).param("t", &table));
        let ranges = analyse(&model, &[vec![(i64::from(lo), i64::from(hi))]]);
        let all: Vec<i64> = (i64::from(lo)..=i64::from(hi)).collect();
        let ends = |f: &dyn Fn(i64) -> i64| {
            let values: Vec<i64> = all.iter().map(|&x| f(x)).collect();
            (values.iter().copied().min().unwrap_or(0), values.iter().copied().max().unwrap_or(0))
        };
        let requant = |x: i64| {
            let product = i128::from(x) * i128::from(mul);
            // Rounding to nearest, halves upward: the floor of product / 2^shift + 1/2.
            let rounded = (2 * product + (1i128 << shift)).div_euclid(2i128 << shift);
            rounded.clamp(-128, 127) as i64
        };
        let t = |x: i64| table[(x + 128) as usize];
        prop_assert_eq!(ranges[1][0], ends(&|x| x + i64::from(bias)));
        prop_assert_eq!(ranges[2][0], ends(&|x| (x + i64::from(bias)).max(0)));
        prop_assert_eq!(ranges[3][0], ends(&t));
        let apart = (ranges[2][0].0 + ranges[3][0].0, ranges[2][0].1 + ranges[3][0].1);
        prop_assert_eq!(ranges[4][0], apart);
        prop_assert_eq!(ranges[5][0], ends(&requant));
    }
}

/// Layers as large as those of a digit classifier are not rejected at their usual widths.
#[test]
fn layers_of_a_classifier_fit_their_usual_types() {
    let text = "pimc 1\ntarget \"hbm3-pim\"\nweight @a : pq<256x64, sub=2, k=16> from \"w\"\n\
        weight @b : supermask<256x256, coats=1, seed=1, pruned=90, locked=89> from \"w\"\nparam @c : i32<256> from \"w\"\n\
        func @main(%x: i8<64>) -> i17<256> {\n  %0 = matvec @a, %x : i22<256>\n  %1 = add %0, @c : i32<256>\n  \
        %2 = requant %1, mul=21431, shift=22 : i8<256>\n  %3 = matvec @b, %2 : i17<256>\n  return %3\n}\n";
    let book = vec![-128i8; 32 * 16 * 2];
    let bias = vec![i64::from(i32::MAX) - 64 * 128 * 128; 256];
    let model = built(ModelBuilder::new(text).pq("a", &vec![3; 256 * 32], &book).param("c", &bias));
    // 64 products of -128 and -128 or 127.
    assert_eq!(model.range(ValueId(1))[255], (-64 * 128 * 127, 64 * 128 * 128));
    assert_eq!(model.range(ValueId(2))[0].1, i64::from(i32::MAX));
    // The bias drives every requantised element to 127, and the analysis knows it.
    assert_eq!(model.range(ValueId(3))[0], (127, 127));
    assert_eq!(model.range(ValueId(4))[0], (-256 * 127, 256 * 127));
    // One more and i32 is too narrow.
    let bias = vec![i64::from(i32::MAX) - 64 * 128 * 128 + 1; 256];
    let e = ModelBuilder::new(text).pq("a", &vec![3; 256 * 32], &book).param("c", &bias).build();
    let e = e.unwrap_err();
    assert_eq!((e.list().len(), e.list()[0].code), (1, Code::P0305));
    assert!(e.list()[0].help.contains("i33 would hold them"), "{}", e.list()[0].help);
}

/// A codebook of 65536 centroids for one row takes no table of all its products.
#[test]
fn large_codebooks_take_no_room() {
    let text = matvec_model("pq<1x4096, sub=1, k=65536, shared>", 4096, 1);
    let model = built(ModelBuilder::new(text).pq("w", &vec![65535; 4096], &vec![1; 65536]));
    assert_eq!(model.range(ValueId(1)), [(-128 * 4096, 127 * 4096)]);
    assert_eq!(of_type(model.module.func.values[0].ty)[4095], (-128, 127));
}
