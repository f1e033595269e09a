//! Random small models of every format, and what every plan must satisfy.

#![allow(dead_code)]

use pimc_golden::State;
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::testing::{BqqArrays, ModelBuilder};
use pimc_ir::types::bqq_inner;
use pimc_ir::{CacheId, Model, Side};
use pimc_lower::attention::{Driver, ReadColumn};
use pimc_lower::commands::{expand, Expanded};
use pimc_lower::images::Images;
use pimc_lower::interp::Ignore;
use pimc_lower::legality;
use pimc_lower::{lower, Plan, Target};

/// Steps of the sizes that the cache is for: lengths and limits in a row.
pub fn some_steps(f: &CacheModel, count: usize) -> Vec<(usize, Vec<i64>)> {
    let mut length = f.ty.start as i64;
    let step = |i: usize| {
        let new = if f.append { i % (f.queries + 1) } else { 0 };
        length += new as i64;
        // All of them, causal ones, none, and more than there are.
        let limit = |q: usize| match (i + q) % 4 {
            0 => length,
            1 => (length - q as i64).max(0),
            2 => i64::from(i as u32) % (length + 1),
            _ => length + 7,
        };
        (new, (0..f.queries).map(limit).collect())
    };
    (0..count).map(step).collect()
}

/// What the banks hold of the cache is golden's: codebooks in every token group, codes, exact tokens.
pub fn same_state(plan: &Plan, driver: &Driver, state: &State, read: &ReadColumn<'_>, name: &str) {
    let (cache, held) = (plan.cache.as_ref().expect("a cache"), state.cache(CacheId(0)));
    assert_eq!(driver.length() as usize, held.tokens(), "{name}");
    for side in Side::BOTH {
        for group in 0..cache.layout.groups {
            let book = cache.codebook(side, group, read);
            assert!(book.as_deref() == Some(held.codebook(side)), "{name}: codebook {group}");
        }
        let codes = cache.codes(driver, side, read);
        assert_eq!(codes.as_deref(), Some(held.codes(side)), "{name}: {side:?}");
        for position in 0..driver.length() {
            let exact = cache.exact(driver, side, position, read);
            let token = held.exact(position as usize).map(|t| t.side(side).to_vec());
            assert_eq!(exact, token, "{name}: {side:?} of position {position}");
        }
    }
}

/// A small generator with a seed, so that a failure names its model.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number of `lo..=hi`.
    pub fn range(&mut self, lo: i64, hi: i64) -> i64 {
        lo + (self.next() % (hi - lo + 1) as u64) as i64
    }

    pub fn size(&mut self, lo: usize, hi: usize) -> usize {
        self.range(lo as i64, hi as i64) as usize
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.size(0, of.len() - 1)]
    }

    pub fn bits(&mut self, n: usize) -> Vec<bool> {
        (0..n).map(|_| self.next() & 1 == 1).collect()
    }

    pub fn ints(&mut self, n: usize, lo: i64, hi: i64) -> Vec<i64> {
        (0..n).map(|_| self.range(lo, hi)).collect()
    }
}

/// One matvec of `ty` with `rows` and `cols`, x of i`bits`.
pub fn one_matvec(ty: &str, rows: usize, cols: usize, bits: u32) -> ModelBuilder {
    ModelBuilder::new(format!(
        "pimc 1\ntarget \"hbm3-pim\"\nweight @w : {ty} from \"w.safetensors\"\n\
         func @main(%x: i{bits}<{cols}>) -> i64<{rows}> {{\n  \
         %y = matvec @w, %x : i64<{rows}>\n  return %y\n}}\n"
    ))
}

pub fn pq(
    rng: &mut Rng,
    rows: usize,
    parts: usize,
    sub: usize,
    k: usize,
    shared: bool,
) -> ModelBuilder {
    let cols = parts * sub;
    let mark = if shared { ", shared" } else { "" };
    let ty = format!("pq<{rows}x{cols}, sub={sub}, k={k}{mark}>");
    let codes: Vec<u16> = (0..rows * parts).map(|_| rng.range(0, k as i64 - 1) as u16).collect();
    let books = if shared { 1 } else { parts };
    let book: Vec<i8> = (0..books * k * sub).map(|_| rng.range(-128, 127) as i8).collect();
    one_matvec(&ty, rows, cols, 8).pq("w", &codes, &book)
}

pub fn bqq(
    rng: &mut Rng,
    (block_rows, block_cols): (usize, usize),
    (m, n): (usize, usize),
    bases: usize,
    bits: u32,
) -> ModelBuilder {
    let (rows, cols) = (block_rows * m, block_cols * n);
    let l = bqq_inner(m, n);
    let blocks = bases * block_rows * block_cols;
    let small = |rng: &mut Rng, count| -> Vec<i16> {
        rng.ints(count, -300, 300).iter().map(|&v| v as i16).collect()
    };
    let arrays = BqqArrays {
        y: rng.bits(blocks * m * l),
        z: rng.bits(blocks * l * n),
        r: small(rng, blocks),
        s: small(rng, blocks),
        t: small(rng, blocks),
        u: rng.ints(block_rows * block_cols, -9000, 9000).iter().map(|&v| v as i32).collect(),
    };
    let ty = format!("bqq<{rows}x{cols}, bases={bases}, block={m}x{n}>");
    one_matvec(&ty, rows, cols, bits).bqq("w", &arrays)
}

pub fn supermask(
    rng: &mut Rng,
    rows: usize,
    cols: usize,
    coats: usize,
    attributes: &str,
    density: u64,
    bits: u32,
) -> ModelBuilder {
    let mut planes = vec![false; coats * rows * cols];
    for i in 0..rows * cols {
        for coat in 0..coats {
            // Nested: a coat only where the one before is.
            if rng.next() % 100 >= density {
                break;
            }
            planes[coat * rows * cols + i] = true;
        }
    }
    let ty = format!("supermask<{rows}x{cols}, coats={coats}{attributes}>");
    one_matvec(&ty, rows, cols, bits).supermask("w", &planes)
}

pub fn int(rng: &mut Rng, rows: usize, cols: usize, group: Option<usize>) -> ModelBuilder {
    let q: Vec<i8> = (0..rows * cols).map(|_| rng.range(-128, 127) as i8).collect();
    let (mark, scale) = match group {
        None => (String::new(), vec![]),
        Some(g) => (
            format!(", group={g}"),
            rng.ints(rows * (cols / g), -32768, 32767).iter().map(|&v| v as i16).collect(),
        ),
    };
    one_matvec(&format!("int<{rows}x{cols}, bits=8{mark}>"), rows, cols, 8).int("w", &q, &scale)
}

/// A random model of one matvec.
pub fn random(seed: u64) -> ModelBuilder {
    let mut rng = Rng::new(seed);
    let rng = &mut rng;
    let rows = rng.pick(&[1, 2, 5, 15, 16, 17, 33, 40]);
    match seed % 4 {
        0 => {
            let sub = rng.size(1, 8);
            let k = rng.pick(&[2, 3, 4, 7, 16, 20, 64]);
            let parts = rng.size(1, 40);
            let shared = rng.next() % 3 == 0;
            pq(rng, rows, parts, sub, k, shared)
        }
        1 => {
            let blocks = (rng.size(1, 3), rng.size(1, 3));
            let sides = (rng.size(1, 24), rng.size(1, 90));
            let (bases, bits) = (rng.size(1, 3), rng.pick(&[1, 4, 8, 12]));
            bqq(rng, blocks, sides, bases, bits)
        }
        2 => {
            let cols = rng.size(1, 200);
            let coats = rng.size(1, 4);
            let frozen = rng.pick(&["", ", pruned=100, locked=80", ", layer=7, pruned=256"]);
            let (density, bits) = (rng.pick(&[0, 30, 80, 100]), rng.pick(&[1, 8, 13]));
            supermask(rng, rows, cols, coats, &format!(", seed=0x5eed{frozen}"), density, bits)
        }
        _ => {
            let groups = rng.size(1, 4);
            let size = rng.size(1, 40);
            let group = (rng.next() % 2 == 0).then_some(size);
            int(rng, rows, groups * size, group)
        }
    }
}

/// Inputs of a model: extremes first, then random ones.
pub fn inputs(model: &Model, seed: u64, count: usize) -> Vec<Vec<Vec<i64>>> {
    let mut rng = Rng::new(seed ^ 0xabcd);
    let func = &model.module.func;
    (0..count)
        .map(|n| {
            func.values[..func.inputs]
                .iter()
                .map(|v| {
                    let (lo, hi) = (v.ty.elem.min(), v.ty.elem.max());
                    (0..v.ty.len)
                        .map(|_| match n {
                            0 => lo,
                            1 => hi,
                            2 => rng.pick(&[lo, hi]),
                            _ => rng.range(lo, hi),
                        })
                        .collect()
                })
                .collect()
        })
        .collect()
}

/// The plan of a model; panics with its diagnostics.
pub fn plan(model: &Model, target: &Target) -> Plan {
    match lower(model, target) {
        Ok(plan) => plan,
        Err(d) => panic!("{d}"),
    }
}

/// What the legality checker finds, and the clock of the end.
pub fn violations(plan: &Plan) -> (Vec<legality::Violation>, u64) {
    let mut commands = Vec::new();
    let mut end = 0;
    for item in expand(&plan.program, plan.target.columns) {
        match item.expect("a program that runs") {
            Expanded::Command(t) => commands.push(t),
            Expanded::End { cycle } => end = cycle,
        }
    }
    (legality::check(&plan.target, commands, end), end)
}

/// Every command is legal; returns the clock of the end.
pub fn assert_legal(plan: &Plan) -> u64 {
    let (violations, end) = violations(plan);
    let shown: Vec<String> = violations.iter().take(5).map(ToString::to_string).collect();
    assert!(violations.is_empty(), "{}", shown.join("\n"));
    assert_eq!(end, plan.cycles);
    end
}

/// The interpreter on the plan agrees with the reference model.
pub fn assert_agrees(model: &Model, plan: &Plan, seed: u64, count: usize) {
    let images = Images::new(model, plan);
    let mut machine = plan.machine(&images).expect("constants fit");
    for x in inputs(model, seed, count) {
        let expected = pimc_golden::run(model, &x).expect("golden runs");
        let got = plan.run(&mut machine, &x, &mut Ignore).unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(got, expected.result());
    }
}

/// All of it, on beats of 64 bits and of 128; the plan on those of 64.
pub fn assert_works(builder: &ModelBuilder, seed: u64) -> Plan {
    let model = builder.build().unwrap_or_else(|d| panic!("{d}"));
    let of = |name: &str, beat_bits: u32| {
        let target = Target::named(name).expect("built in");
        let plan = plan(&model, &target);
        assert_eq!(plan.shape.beat_bits, beat_bits);
        assert_legal(&plan);
        assert_agrees(&model, &plan, seed, 5);
        plan
    };
    of("gddr6-aim", 128);
    of("hbm3-pim", 64)
}
