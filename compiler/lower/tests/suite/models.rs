//! Random and awkward models of every format: the plan is legal, and executing it gives what the
//! reference model gives.

use crate::common::*;
use pimc_ir::testing::ModelBuilder;
use pimc_lower::Target;

#[test]
fn random_models_of_every_format() {
    for seed in 0..240 {
        let builder = random(seed);
        let caught = std::panic::catch_unwind(|| assert_works(&builder, seed));
        if let Err(e) = caught {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(e);
        }
    }
}

#[test]
fn awkward_pq() {
    let mut rng = Rng::new(1);
    for (rows, parts, sub, k, shared) in [
        (1, 1, 1, 2, false),
        (1, 1, 8, 512, false),
        (17, 7, 8, 2, false),
        (16, 65, 1, 2, true),
        (31, 8, 1, 512, false),
        (50, 15, 3, 512, true),
        (3, 300, 2, 16, false),
        (200, 1, 5, 65, false),
    ] {
        assert_works(&pq(&mut rng, rows, parts, sub, k, shared), 3);
    }
}

#[test]
fn awkward_bqq() {
    let mut rng = Rng::new(2);
    for (blocks, sides, bases, bits) in [
        ((1, 1), (1, 1), 1, 8),
        ((1, 1), (1, 300), 2, 8),
        ((1, 1), (300, 1), 1, 8),
        // The inner dimension passes 256 and is no multiple of 64.
        ((1, 1), (600, 601), 1, 8),
        ((2, 3), (17, 65), 3, 4),
        ((1, 2), (128, 128), 2, 8),
    ] {
        assert_works(&bqq(&mut rng, blocks, sides, bases, bits), 4);
    }
}

#[test]
fn awkward_supermasks() {
    let mut rng = Rng::new(3);
    for (rows, cols, coats, attributes, density) in [
        (1, 1, 1, ", seed=1", 100),
        (17, 65, 3, ", seed=0xffffffff", 60),
        (16, 256, 1, ", seed=7", 0),
        (10, 256, 1, ", seed=7", 100),
        (33, 130, 2, ", seed=9, layer=3, pruned=90, locked=89", 50),
        (5, 64, 1, ", seed=9, locked=256", 0),
    ] {
        assert_works(&supermask(&mut rng, rows, cols, coats, attributes, density, 8), 5);
    }
}

#[test]
fn awkward_integers() {
    let mut rng = Rng::new(4);
    for (rows, cols, group) in
        [(1, 1, None), (1, 1, Some(1)), (16, 9, None), (17, 64, Some(4)), (129, 100, Some(50))]
    {
        assert_works(&int(&mut rng, rows, cols, group), 6);
    }
}

/// Extremes of every operand, so that widths are met exactly: weights and inputs of -128.
#[test]
fn sums_that_reach_their_proven_ends() {
    let q = vec![-128i8; 3 * 100];
    let plan = assert_works(&one_matvec("int<3x100, bits=8>", 3, 100, 8).int("w", &q, &[]), 1);
    // 100 * 128 * 128 needs 22 bits, and 100 * -128 * 127 does as well.
    assert_eq!(plan.shape.bank.mac.map(|m| m.acc_bits), Some(22));
    // Of 1600 inputs a bank has 100, and the word that they are added up in needs four bits more.
    let q = vec![-128i8; 17 * 1600];
    let plan = assert_works(&one_matvec("int<17x1600, bits=8>", 17, 1600, 8).int("w", &q, &[]), 1);
    assert_eq!(plan.shape.bank.mac.map(|m| m.acc_bits), Some(22));
    assert_eq!(plan.shape.buffer.word_bits, 26);
}

/// Every op once, with constants per row and for all, values that die and are read late, slices of
/// slices and results of two widths.
#[test]
fn a_function_of_every_op() {
    let mut rng = Rng::new(5);
    let text = r#"pimc 1
target "hbm3-pim"
weight @a : pq<40x12, sub=3, k=16> from "t.safetensors"
weight @b : bqq<24x40, bases=2, block=12x20> from "t.safetensors"
weight @c : supermask<10x24, coats=2, seed=0x5eed, layer=2> from "t.safetensors"
weight @d : int<7x10, bits=5, group=5> from "t.safetensors"
param @bias : i32<40> from "t.safetensors"
param @mul : i32<24> from "t.safetensors"
param @shift : i8<24> from "t.safetensors"
param @gelu : i8<256> from "t.safetensors"
func @main(%x: i8<12>, %z: i6<40>) -> i32<9> {
  %0 = matvec @a, %x : i32<40>
  %1 = add %0, @bias : i32<40>
  %2 = relu %1 : i32<40>
  %3 = requant %2, mul=-21431, shift=20 : i8<40>
  %4 = add %3, %z : i10<40>
  %5 = requant %4, mul=1, shift=0 : i8<40>
  %6 = matvec @b, %5 : i64<24>
  %7 = requant %6, mul=@mul, shift=@shift : i8<24>
  %8 = table %7, @gelu : i8<24>
  %9 = matvec @c, %8 : i16<10>
  %10 = requant %9, mul=3, shift=2 : i12<10>
  %11 = requant %10, mul=1, shift=4 : i8<10>
  %12 = matvec @d, %11 : i32<7>
  %13 = slice %12, start=1, len=5 : i32<5>
  %14 = slice %13, start=2, len=3 : i32<3>
  %15 = argmax %9 : i32<1>
  %16 = concat %14, %15, %13 : i32<9>
  return %16
}
"#;
    let bits = |rng: &mut Rng, n| rng.bits(n);
    let l = pimc_ir::types::bqq_inner(12, 20);
    let blocks = 2 * 2 * 2;
    let arrays = pimc_ir::testing::BqqArrays {
        y: bits(&mut rng, blocks * 12 * l),
        z: bits(&mut rng, blocks * l * 20),
        r: (0..8).map(|i| 100 - 31 * i).collect(),
        s: (0..8).map(|i| -32768 + i).collect(),
        t: vec![32767, -32768, 0, 1, -1, 5, 6, 7],
        u: vec![i32::MAX, i32::MIN, 0, -1],
    };
    let nested: Vec<bool> = {
        let first = bits(&mut rng, 240);
        let second: Vec<bool> = first.iter().map(|&b| b && rng.next() % 2 == 0).collect();
        [first, second].concat()
    };
    let codes: Vec<u16> = (0..160).map(|_| rng.range(0, 15) as u16).collect();
    let book: Vec<i8> = (0..4 * 16 * 3).map(|_| rng.range(-128, 127) as i8).collect();
    let q: Vec<i8> = (0..70).map(|_| rng.range(-16, 15) as i8).collect();
    let scale: Vec<i16> = (0..14).map(|_| rng.range(-99, 99) as i16).collect();
    let builder = ModelBuilder::new(text)
        .pq("a", &codes, &book)
        .bqq("b", &arrays)
        .supermask("c", &nested)
        .int("d", &q, &scale)
        .param("bias", &rng.ints(40, -100_000, 100_000))
        .param("mul", &rng.ints(24, -2_000_000_000, 2_000_000_000))
        .param("shift", &rng.ints(24, 40, 62))
        .param("gelu", &rng.ints(256, -128, 127));
    let plan = assert_works(&builder, 9);
    let requant = plan.shape.buffer.requant.expect("a requantiser");
    assert_eq!((requant.out_bits, requant.narrow_bits), (12, 3));
}

/// Nothing is read from the banks; an input is its own slice, and the function may have no op.
#[test]
fn functions_without_a_matvec() {
    let head = "pimc 1\ntarget \"hbm3-pim\"\n";
    for body in [
        "func @main(%x: i8<5>) -> i8<2> {\n  %y = slice %x, start=3, len=2 : i8<2>\n  return %y\n}\n",
        "func @main(%x: i8<5>) -> i4<1> {\n  %y = argmax %x : i4<1>\n  return %y\n}\n",
        "func @main(%x: i32<1>) -> i32<1> {\n  return %x\n}\n",
    ] {
        assert_works(&ModelBuilder::new(format!("{head}{body}")), 3);
    }
}

/// The result is an input, and a result that nothing reads is computed all the same.
#[test]
fn results_that_are_inputs() {
    let text = "pimc 1\ntarget \"hbm3-pim\"\nweight @w : int<3x4, bits=8> from \"w.safetensors\"\n\
                func @main(%x: i8<4>, %unused: i8<9>) -> i8<2> {\n  \
                %y = matvec @w, %x : i32<3>\n  %z = slice %x, start=1, len=2 : i8<2>\n  \
                return %z\n}\n";
    let q: Vec<i8> = (0..12).collect();
    assert_works(&ModelBuilder::new(text).int("w", &q, &[]), 3);
}

/// Many refresh periods, in a program that stays short.
#[test]
fn a_long_stream_is_a_short_program() {
    let mut rng = Rng::new(6);
    let builder = int(&mut rng, 1024, 1024, None);
    let model = builder.build().unwrap();
    // Where columns come every two clocks, the reads of a row are no loop: 64 instructions.
    for (name, most) in [("hbm3-pim", 100), ("hbm3-pim-uncapped", 100), ("gddr6-aim", 250)] {
        let plan = plan(&model, &Target::named(name).unwrap());
        let end = assert_legal(&plan);
        assert!(plan.program.len() < most, "{} instructions", plan.program.len());
        // 64 rows a bank of 32 columns.
        let bytes = 64.0 * 32.0 * 32.0;
        let seconds = end as f64 * f64::from(plan.target.timing.tck_ps) * 1e-12;
        let reached = bytes / seconds * 1e-9;
        let limit = plan.target.limits().after_refresh;
        assert!(reached > 0.8 * limit, "{reached} of {limit} GB/s with {end} clocks");
        assert_agrees(&model, &plan, 1, 1);
    }
}
