//! Modules that are right: they load, their views read what was stored, and text comes back.

use pimc_ir::testing::{BqqArrays, CacheArrays, ModelBuilder};
use pimc_ir::{
    bqq_inner, format, load, parse, print, CacheId, Side, ValueId, WeightId, WeightView,
};

/// Every weight type and every op.
const ALL: &str = include_str!("valid/all.ir");

/// Two heads of two sub-vectors; seven tokens, of which the second to the fifth are codes.
fn kept() -> CacheArrays {
    let bytes = |n: i32, from: i32| (0..n).map(|i| (from + i) as i8).collect::<Vec<i8>>();
    CacheArrays {
        key_codebook: bytes(2 * 2 * 4 * 2, -128),
        value_codebook: bytes(2 * 2 * 4 * 2, 96),
        key_codes: (0..16).map(|i| i % 4).collect(),
        value_codes: (0..16).map(|i| 3 - i % 4).collect(),
        keys: bytes(3 * 2 * 4, 10),
        values: bytes(3 * 2 * 4, -50),
    }
}

fn all() -> ModelBuilder {
    let l = bqq_inner(4, 4);
    let bits = |n: usize, step: usize| (0..n).map(|i| i * step % 7 < 3).collect::<Vec<bool>>();
    let bqq = BqqArrays {
        y: bits(2 * 2 * 2 * 4 * l, 3),
        z: bits(2 * 2 * 2 * l * 4, 5),
        r: vec![3, -4, 5, -6, 7, -8, 9, -10],
        s: vec![1; 8],
        t: vec![-1; 8],
        u: vec![100, -100, 200, -200],
    };
    let coat0: Vec<bool> = bits(6 * 8, 2);
    let coat1: Vec<bool> = coat0.iter().enumerate().map(|(i, b)| *b && i % 2 == 0).collect();
    ModelBuilder::new(ALL)
        .pq(
            "fc1",
            &[
                0, 1, 2, 3, 3, 2, 1, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 0, 2, 0, 2,
                1, 3, 1, 3,
            ],
            &(0..32).map(|i| i * 8 - 128).map(|v| v as i8).collect::<Vec<_>>(),
        )
        .bqq("fc2", &bqq)
        .supermask("fc3", &[coat0, coat1].concat())
        .int(
            "fc4",
            &(0..24).map(|i| i - 8).map(|v: i32| v.clamp(-8, 7) as i8).collect::<Vec<_>>(),
            &[1, -2, 3, -4, 5, -6, 7, -8],
        )
        .param("b1", &[10, -20, 30, -40, 50, -60, 70, -80])
        .param("act", &(-128..128).map(|x: i64| x.max(-16)).collect::<Vec<_>>())
        .param("m1", &[1 << 20, 2 << 20, 3 << 20, 4 << 20, 5 << 20, 6 << 20, 7 << 20, 8 << 20])
        .param("sh", &[22, 22, 22, 22, 23, 23, 23, 23])
        .cache("kv", &kept())
}

#[test]
fn every_weight_type_and_op_loads() {
    let model = all().build().unwrap_or_else(|e| panic!("{e}"));
    assert!(model.warnings().is_empty(), "{}", model.warnings());
    let WeightView::Pq(pq) = model.weight(WeightId(0)) else { panic!("fc1 is pq") };
    assert_eq!((pq.code(1, 0), pq.code(1, 3), pq.code(7, 1)), (3, 0, 3));
    assert_eq!((pq.centroid(0, 0, 0), pq.centroid(3, 3, 1)), (-128, 120));
    let WeightView::Bqq(bqq) = model.weight(WeightId(1)) else { panic!("fc2 is bqq") };
    assert_eq!((bqq.r(1, 1, 1), bqq.u(1, 0), bqq.inner()), (-10, 200, 2));
    let WeightView::Supermask(mask) = model.weight(WeightId(2)) else { panic!("fc3") };
    assert!((0..48).all(|i| !mask.stored(1, i / 8, i % 8) || mask.stored(0, i / 8, i % 8)));
    let WeightView::Int(int) = model.weight(WeightId(3)) else { panic!("fc4 is int") };
    assert_eq!((int.q(0, 0), int.q(3, 5), int.scale(0, 1), int.scale(3, 1)), (-8, 7, -2, -8));
    assert_eq!(model.param(pimc_ir::ParamId(0))[7], -80);
    let kv = model.cache(CacheId(0));
    assert_eq!((kv.compressed(), kv.exact(), kv.ty().start), (4, 3, 7));
    assert_eq!([0, 1, 2].map(|e| kv.exact_position(e)), [0, 5, 6]);
    assert_eq!((kv.code(Side::Key, 1, 1, 0), kv.code(Side::Value, 3, 0, 1)), (2, 2));
    assert_eq!(kv.centroid_bytes(Side::Key, 1, 0, 3), [(-128i8 + 22) as u8, (-128i8 + 23) as u8]);
    assert_eq!(kv.centroid_bytes(Side::Value, 0, 1, 0), [104, 105]);
    assert_eq!((kv.exact_bytes(Side::Key, 2)[0], kv.exact_bytes(Side::Value, 1)[7]), (26, 221));
    assert_eq!(model.files().len(), 2);
}

#[test]
fn text_comes_back() {
    let module = parse(ALL).unwrap_or_else(|e| panic!("{e}"));
    let again = parse(&print(&module)).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(again.without_spans(), module.without_spans());
    insta::assert_snapshot!(print(&parse(ALL).unwrap()));
}

#[test]
fn formatting_keeps_comments_and_is_stable() {
    let messy = include_str!("valid/messy.ir");
    let tidy = format(messy).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(format(&tidy).unwrap(), tidy);
    let (a, b) = (parse(messy).unwrap(), parse(&tidy).unwrap());
    let texts = |m: &pimc_ir::Module| m.comments.iter().map(|c| c.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&a), texts(&b));
    assert_eq!(a.without_spans(), b.without_spans());
    insta::assert_snapshot!(tidy);
}

#[test]
fn files_written_load_as_the_memory_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = all().write(folder.path(), "all.ir").unwrap();
    let (a, b) = (load(&path).unwrap_or_else(|e| panic!("{e}")), all().build().unwrap());
    assert_eq!(a.file_name, "all.ir");
    let hashes =
        |m: &pimc_ir::Model| m.files().iter().map(|f| f.sha256.clone()).collect::<Vec<_>>();
    assert_eq!(hashes(&a), hashes(&b));
    let last = ValueId(a.module.func.values.len() - 1);
    assert_eq!(a.range(last), b.range(last));
    assert!(a.files().iter().all(|f| f.path.starts_with(folder.path())));
}

#[test]
fn places_are_those_of_the_text() {
    let model = all().build().unwrap();
    let first = &model.module.func.ops[0];
    let (line, column) = model.line_col(&first.span);
    let shown = ALL.lines().nth(line - 1).unwrap();
    assert_eq!(&shown[column - 1..column - 1 + model.op_text(0).len()], model.op_text(0));
    assert!(model.op_text(0).starts_with("%0 = matvec @fc1, %x"));
}

/// The grammar's examples are models, and laid out as the formatter does.
#[test]
fn the_examples_of_the_grammar_are_tidy() {
    let page = include_str!("../GRAMMAR.md");
    let examples: Vec<String> = page
        .split("```\npimc")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(|example| format!("pimc{example}"))
        .collect();
    for example in &examples {
        let model = ModelBuilder::new(example.as_str()).build().unwrap_or_else(|d| panic!("{d}"));
        assert!(model.warnings().is_empty(), "{}", model.warnings());
        assert_eq!(&format(example).unwrap(), example);
    }
    assert_eq!(examples.len(), 2);
}

/// The forms on the page of the ops are those of the parser.
#[test]
fn the_forms_on_the_page_of_the_ops_parse() {
    let page = include_str!("../docs/ops.md");
    let mut forms = 0;
    for line in page.lines().filter_map(|l| l.strip_prefix("    ")) {
        let line = line.replace(", ..", "").replace("iM", "i32").replace("<len>", "<4>");
        let line = line.trim_end();
        let line = line
            .replace("<R>", "<4>")
            .replace("<L>", "<4>")
            .replace("=S", "=0")
            .replace("=L", "=4");
        let text = format!(
            "pimc 1\ntarget \"t\"\nweight @w : int<4x4, bits=8> from \"f\"\nparam @b : i8<4> from \"f\"\n\
             param @m : i8<4> from \"f\"\nparam @s : i8<4> from \"f\"\nparam @t : i8<256> from \"f\"\n\
             cache @kv : pq_kv<heads=1, kv_heads=1, dim=4, tokens=4, sub=2, k=2, sink=0, recent=0> from \"f\"\n\
             func @main(%x: i8<4>, %a: i8<4>, %b: i8<4>, %q: i8<4>, %k: i8<4>, %v: i8<4>, %w: i8<1>, \
             %n: i8<1>, %limit: i8<1>) -> i32<4> {{\n{line}\nreturn %y\n}}\n"
        );
        parse(&text).unwrap_or_else(|e| panic!("{e}"));
        forms += 1;
    }
    assert_eq!(forms, 16);
}

/// A cache that no op names is unused; what an op that changes one gives need not be read.
#[test]
fn caches_are_used_by_the_ops_that_name_them() {
    let warnings = |op: &str| {
        let text = format!(
            "pimc 1\ntarget \"t\"\ncache @kv : pq_kv<heads=1, kv_heads=1, dim=4, tokens=4, sub=2, k=2, \
             sink=0, recent=0> from \"f\"\nfunc @main(%x: i8<4>, %n: i8<1>) -> i8<4> {{\n  %y = {op}\n  \
             %z = relu %x : i8<4>\n  %r = concat %z : i8<4>\n  return %r\n}}\n"
        );
        let model = ModelBuilder::new(text).build().unwrap_or_else(|d| panic!("{d}"));
        model.warnings().list().iter().map(|d| d.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(warnings("append @kv, %x, %x, %n : i8<1>"), [""; 0]);
    assert_eq!(
        warnings("attend @kv, %x, %n, mul=1, shift=0, frac=0 : i8<4>"),
        ["value `%y` is never used"]
    );
    assert_eq!(
        warnings("slice %n, start=0, len=1 : i8<1>"),
        ["cache `@kv` is never used", "value `%y` is never used"]
    );
}
