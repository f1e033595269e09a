//! Text to module and back, for modules of every shape; and nothing that panics on the way.

use pimc_ir::testing::ModelBuilder;
use pimc_ir::{
    format, load_from, parse, print, Bytes, Cache, CacheId, CacheType, Func, IntTy, Module, Name,
    Op, OpKind, Operand, Param, ParamId, Scalar, Value, ValueId, VecTy, Weight, WeightId,
    WeightType,
};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ALL: &str = include_str!("valid/all.ir");

/// Choices made one after the other; when they run out, the first of everything.
struct Tape<'a>(std::slice::Iter<'a, u32>);

impl Tape<'_> {
    fn below(&mut self, n: usize) -> usize {
        *self.0.next().unwrap_or(&0) as usize % n
    }
    fn size(&mut self) -> usize {
        1 + self.below(1 << 20)
    }
    fn word(&mut self) -> u32 {
        *self.0.next().unwrap_or(&0)
    }
    fn vec_ty(&mut self) -> VecTy {
        VecTy { elem: IntTy { bits: 1 + self.below(64) as u32 }, len: self.size() }
    }
    fn weight_ty(&mut self) -> WeightType {
        let (rows, cols) = (self.size(), self.size());
        match self.below(4) {
            0 => WeightType::Pq {
                rows,
                cols,
                sub: self.size(),
                k: self.size(),
                shared: self.below(2) == 1,
            },
            1 => WeightType::Bqq {
                rows,
                cols,
                bases: self.size(),
                block_rows: self.size(),
                block_cols: self.size(),
            },
            2 => WeightType::Supermask {
                rows,
                cols,
                coats: self.size(),
                seed: self.word(),
                layer: self.word(),
                pruned: self.below(3) as u32,
                locked: self.below(3) as u32,
            },
            _ => WeightType::Int {
                rows,
                cols,
                bits: self.word(),
                group: if self.below(2) == 1 { Some(self.size()) } else { None },
            },
        }
    }
    fn scalar(&mut self, params: usize) -> Scalar {
        match self.below(3) {
            0 if params > 0 => Scalar::Param(ParamId(self.below(params))),
            1 => Scalar::Const(-i64::from(self.word())),
            _ => Scalar::Const(i64::from(self.word()) << self.below(32)),
        }
    }
    fn cache_ty(&mut self) -> CacheType {
        CacheType {
            heads: self.size(),
            kv_heads: self.size(),
            dim: self.size(),
            tokens: self.size(),
            sub: self.size(),
            k: self.size(),
            sink: self.word() as usize,
            recent: self.below(2),
            start: self.below(3),
        }
    }
    fn op(&mut self, values: usize, weights: usize, params: usize, caches: usize) -> OpKind {
        let x = ValueId(self.below(values));
        match self.below(12) {
            8 if caches > 0 => OpKind::Append {
                cache: CacheId(self.below(caches)),
                k: ValueId(self.below(values)),
                v: x,
                n: ValueId(self.below(values)),
            },
            9 if caches > 0 => OpKind::Attend {
                cache: CacheId(self.below(caches)),
                q: x,
                limit: ValueId(self.below(values)),
                mul: self.word(),
                shift: self.word(),
                frac: self.word(),
                state: self.below(2) == 1,
            },
            10 => OpKind::Merge {
                a: x,
                b: ValueId(self.below(values)),
                dim: self.size(),
                frac: self.word(),
            },
            11 if caches > 0 => OpKind::Cluster {
                cache: CacheId(self.below(caches)),
                k: x,
                v: ValueId(self.below(values)),
                weights: ValueId(self.below(values)),
                n: ValueId(self.below(values)),
                iterations: self.below(8) as u32,
            },
            0 if weights > 0 => OpKind::Matvec { weight: WeightId(self.below(weights)), x },
            1 if params > 0 => OpKind::Add { a: x, b: Operand::Param(ParamId(self.below(params))) },
            2 => OpKind::Requant { x, mul: self.scalar(params), shift: self.scalar(params) },
            3 if params > 0 => OpKind::Table { x, table: ParamId(self.below(params)) },
            4 => OpKind::Argmax { x },
            5 => OpKind::Concat {
                xs: (0..1 + self.below(4)).map(|_| ValueId(self.below(values))).collect(),
            },
            6 => OpKind::Slice { x, start: self.word() as usize, len: self.word() as usize },
            7 => OpKind::Relu { x },
            _ => OpKind::Add { a: x, b: Operand::Value(ValueId(self.below(values))) },
        }
    }
}

fn name(text: String) -> Name {
    Name { text, span: 0..0 }
}

fn module(tape: &[u32], target: String, file: String) -> Module {
    let mut t = Tape(tape.iter());
    let file = || name(file.clone());
    let weights: Vec<Weight> = (0..t.below(5))
        .map(|i| Weight {
            name: name(format!("w{i}_")),
            ty: t.weight_ty(),
            file: file(),
            span: 0..0,
        })
        .collect();
    let params: Vec<Param> = (0..t.below(5))
        .map(|i| Param { name: name(format!("_p{i}")), ty: t.vec_ty(), file: file(), span: 0..0 })
        .collect();
    let caches: Vec<Cache> = (0..t.below(3))
        .map(|i| Cache { name: name(format!("kv{i}")), ty: t.cache_ty(), file: file(), span: 0..0 })
        .collect();
    let inputs = 1 + t.below(3);
    let mut values: Vec<Value> =
        (0..inputs).map(|i| Value { name: name(format!("x{i}")), ty: t.vec_ty() }).collect();
    let mut ops = Vec::new();
    for i in 0..t.below(12) {
        ops.push(Op {
            kind: t.op(values.len(), weights.len(), params.len(), caches.len()),
            span: 0..0,
        });
        values.push(Value { name: name(format!("{i}")), ty: t.vec_ty() });
    }
    let result = ValueId(t.below(values.len()));
    let result_ty = t.vec_ty();
    let func = Func {
        name: name("main".into()),
        inputs,
        values,
        ops,
        result_ty,
        result,
        result_span: 0..0,
        span: 0..0,
    };
    Module { target: name(target), weights, params, caches, func, comments: Vec::new() }
}

/// Everything that takes text, on text that may be anything.
fn survives(text: &str) {
    if let Err(e) = format(text) {
        assert!(!e.render(true).is_empty());
    }
    match parse(text) {
        Ok(module) => {
            let again = parse(&print(&module)).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(again.without_spans(), module.without_spans());
        }
        Err(e) => {
            assert!(e.has_errors() && e.list().len() <= pimc_ir::diag::MAX_DIAGNOSTICS);
            assert!(!e.render(false).is_empty() && e.to_json().is_object());
            assert!(e.list().iter().all(|d| d.primary.is_some() && !d.help.is_empty()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn print_then_parse_is_the_same(
        tape in prop::collection::vec(any::<u32>(), 0..300),
        target in "\\PC{0,12}",
        file in "[\\PC\"\\\\/]{0,12}",
    ) {
        let module = module(&tape, target, file);
        let text = print(&module);
        let again = parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        prop_assert_eq!(&again.without_spans(), &module);
        prop_assert_eq!(format(&text).unwrap_or_else(|e| panic!("{e}")), text);
    }

    #[test]
    fn any_text_survives(text in "\\PC{0,80}(\n\\PC{0,80}){0,6}") {
        survives(&text);
    }

    #[test]
    fn any_bytes_survive(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn damaged_modules_survive(edits in prop::collection::vec((any::<u16>(), 0..4u8, any::<u16>()), 1..8)) {
        let pieces = ["%", "@", "\n", "\"", ">", "0x", "-", "99999999999999999999", "é", "\u{2028}", "//", "\r", "}", "func", "pimc 1"];
        let mut text: Vec<char> = ALL.chars().collect();
        for (at, what, piece) in edits {
            let at = usize::from(at) % text.len().max(1);
            let piece = pieces[usize::from(piece) % pieces.len()];
            match what {
                0 if !text.is_empty() => drop(text.remove(at)),
                1 => drop(text.splice(at..at, piece.chars())),
                2 => text.truncate(at.max(1)),
                _ => {
                    let copy: Vec<char> = text[at..].iter().take(40).copied().collect();
                    drop(text.splice(at..at, copy));
                }
            }
        }
        survives(&text.into_iter().collect::<String>());
    }

    #[test]
    fn formatting_keeps_what_is_said(spaces in prop::collection::vec(0..4usize, 600)) {
        // Widen or narrow every blank, and break paragraphs apart.
        let mut spaces = spaces.into_iter().cycle();
        let mut next = || spaces.next().unwrap_or(0);
        let loose: String = ALL
            .split_inclusive([' ', '\n'])
            .map(|piece| match piece.strip_suffix('\n') {
                Some(line) => format!("{line}{}", "\n".repeat(1 + next() / 2)),
                None => format!("{}{}", piece.trim_end(), " ".repeat(1 + next())),
            })
            .collect();
        let tidy = format(&loose).unwrap_or_else(|e| panic!("{e}"));
        prop_assert_eq!(&format(&tidy).unwrap_or_else(|e| panic!("{e}")), &tidy);
        let same = |text: &str| parse(text).unwrap_or_else(|e| panic!("{e}")).without_spans();
        prop_assert_eq!(same(&tidy), same(ALL));
    }

    #[test]
    fn damaged_tensor_files_survive(
        edits in prop::collection::vec((any::<u32>(), any::<u8>()), 1..6),
        cut in any::<u16>(),
    ) {
        let mut files = ModelBuilder::new(ALL).files().unwrap_or_else(|e| panic!("{e}"));
        for bytes in files.values_mut() {
            for (at, byte) in &edits {
                // Half of the edits hit the header.
                let len = if at % 2 == 0 { bytes.len().min(700) } else { bytes.len() };
                bytes[*at as usize / 2 % len] = *byte;
            }
            if cut % 4 == 0 {
                let len = bytes.len();
                bytes.truncate(usize::from(cut) % len);
            }
        }
        let open = |name: &str| Ok(Arc::new(files[name].clone()) as Bytes);
        if let Err(e) = load_from(ALL.to_string(), "all.ir".to_string(), &open) {
            prop_assert!(!e.render(false).is_empty());
            prop_assert!(e.list().iter().all(|d| d.primary.is_some()));
        }
    }
}

#[test]
fn every_truncation_survives() {
    for end in (0..=ALL.len()).filter(|&i| ALL.is_char_boundary(i)) {
        survives(&ALL[..end]);
        let whole = ALL[..end].trim_end().ends_with('}');
        assert_eq!(parse(&ALL[..end]).is_ok(), whole && end > 200, "cut at {end}");
    }
}

#[test]
fn every_truncation_of_a_tensor_file_is_reported() {
    let files = ModelBuilder::new(ALL).files().unwrap_or_else(|e| panic!("{e}"));
    let whole = &files["params.safetensors"];
    for end in 0..whole.len() {
        let open = |name: &str| {
            let bytes = &files[name];
            let end = if name == "params.safetensors" { end } else { bytes.len() };
            Ok(Arc::new(bytes[..end].to_vec()) as Bytes)
        };
        let e = load_from(ALL.to_string(), "all.ir".to_string(), &open).unwrap_err();
        assert_eq!(e.list()[0].code, pimc_ir::Code::P0402, "cut at {end}");
    }
}

#[test]
fn ten_megabytes_of_garbage_take_seconds() {
    const SIZE: usize = 10 << 20;
    let mut state = 1u32;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    let bytes: Vec<u8> = (0..SIZE).map(|_| random() as u8).collect();
    let printable: String = (0..SIZE).map(|_| char::from(b' ' + (random() % 95) as u8)).collect();
    let lines: String =
        printable.as_bytes().chunks(60).map(|c| String::from_utf8_lossy(c) + "\n").collect();
    let cases = [
        ("bytes", String::from_utf8_lossy(&bytes).into_owned()),
        ("one line", printable),
        ("lines", lines),
        ("blank lines", "\n".repeat(SIZE)),
        ("half statements", "weight @w : \n".repeat(SIZE / 13)),
        (
            "declarations",
            ALL.lines().nth(4).map(|l| format!("{l}\n").repeat(SIZE / 66)).unwrap_or_default(),
        ),
        ("open brackets", "%".repeat(SIZE)),
    ];
    for (what, text) in cases {
        let start = Instant::now();
        survives(&text);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{what}: {took:?}");
        let e = parse(&text).unwrap_err();
        assert!(e.render(false).len() < 100_000, "{what}: a long message");
    }
}
