//! Merges of states in functions without a cache, where the interpreter's run of the program is held against
//! golden; and what they take behind an attend.

use pimc_golden::run;
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::testing::ModelBuilder;
use pimc_ir::{CacheType, Model};
use pimc_lower::images::Images;
use pimc_lower::interp::Ignore;
use pimc_lower::{lower, Plan, Target};
use pimc_rtl::isa::{Action, VecOp};
use pimc_rtl::timing::MERGE_LATENCY;

fn model(inputs: &str, result: &str, body: &str) -> Model {
    let text =
        format!("pimc 1\ntarget \"hbm3-pim\"\nfunc @main({inputs}) -> {result} {{\n{body}\n}}\n");
    ModelBuilder::new(text).build().unwrap_or_else(|d| panic!("{}", d.render(false)))
}

fn plan(model: &Model) -> Plan {
    let target = Target::named("hbm3-pim").expect("built in");
    lower(model, &target).unwrap_or_else(|d| panic!("{}", d.render(false)))
}

/// Runs both on numbers of the whole type, its ends among them.
fn agree(model: &Model, plan: &Plan) {
    let images = Images::new(model, plan);
    let mut machine = plan.machine(&images).expect("a machine");
    let mut state = 1u64;
    let func = &model.module.func;
    for round in 0..40 {
        let mut element = |ty: pimc_ir::IntTy| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (bits, pick) = (state >> 40, state >> 33 & 15);
            match pick {
                0 => ty.min(),
                1 => ty.max(),
                // Close to one another, as log-sum-exps are.
                2..8 => (bits as i64 & 0x3fff).clamp(ty.min(), ty.max()),
                _ => (state as i64) >> (64 - ty.bits),
            }
        };
        let inputs: Vec<Vec<i64>> = func.values[..func.inputs]
            .iter()
            .map(|v| (0..v.ty.len).map(|_| element(v.ty.elem)).collect())
            .collect();
        let golden = run(model, &inputs).expect("golden");
        let (result, clocks) =
            plan.run_to_end(&mut machine, &inputs, &mut Ignore).unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(result, golden.result(), "round {round}: {inputs:?}");
        assert_eq!(clocks, plan.cycles);
    }
}

fn merge_operations(plan: &Plan) -> usize {
    let merges = |a: &Action| matches!(a, Action::Vec(v) if v.op == VecOp::Merge);
    plan.program.iter().filter(|i| merges(&i.action)).count()
}

#[test]
fn merges_among_other_ops() {
    let model = model(
        "%a: i32<12>, %b: i32<12>, %c: i16<12>, %d: i16<12>",
        "i16<8>",
        "  %s = add %c, %d : i32<12>\n  %m = merge %a, %b, dim=3, frac=0 : i32<12>\n  \
         %t = merge %s, %m, dim=3, frac=0 : i32<12>\n  %h = slice %t, start=4, len=4 : i32<4>\n  \
         %r = relu %h : i32<4>\n  %u = merge %h, %r, dim=3, frac=0 : i32<4>\n  \
         %e = concat %u, %h : i32<8>\n  %y = requant %e, mul=3, shift=18 : i16<8>\n  return %y",
    );
    let plan = plan(&model);
    assert_eq!(merge_operations(&plan), 3 + 3 + 1);
    assert_eq!(plan.shape.buffer.merge.as_ref().map(|m| m.mean_bits), Some(32));
    agree(&model, &plan);
}

/// The elements, not the log-sum-exps, say how wide the unit is.
#[test]
fn elements_of_few_bits_make_a_narrow_unit() {
    let model = model(
        "%a: i8<6>, %b: i8<6>, %l: i32<1>",
        "i32<6>",
        "  %p = add %a, %b : i32<6>\n  %q = add %p, %b : i32<6>\n  \
         %pa = slice %p, start=0, len=5 : i32<5>\n  %pl = concat %pa, %l : i32<6>\n  \
         %m = merge %pl, %q, dim=5, frac=0 : i32<6>\n  %n = merge %m, %q, dim=5, frac=0 : i32<6>\n  \
         return %n",
    );
    let plan = plan(&model);
    // 3 * -128, and its share of 2^-12 with a rounding more.
    assert_eq!(plan.shape.buffer.merge.as_ref().map(|m| m.mean_bits), Some(10));
    assert_eq!(plan.shape.buffer.word_bits, 32);
    agree(&model, &plan);
}

/// Behind an attend a merge takes the clocks of its rows and those of refreshes, and is expected to.
#[test]
fn clocks_behind_an_attend() {
    let target = Target::named("hbm3-pim").expect("built in");
    let target = target.with(&[("unit", "table_bytes", "1000000")]).expect("a target");
    let (heads, kv_heads, dim, tokens) = (32, 8, 128, 256);
    let ty =
        CacheType { heads, kv_heads, dim, tokens, sub: 8, k: 16, sink: 4, recent: 8, start: 100 };
    let plan = |merges: usize| {
        let (mul, shift, frac, bits, state) = (3000, 12, 8, 32, Some(merges));
        let f = CacheModel { ty, queries: 1, append: true, mul, shift, frac, bits, state };
        let model = f.model("hbm3-pim", 7).unwrap_or_else(|d| panic!("{}", d.render(false)));
        lower(&model, &target).unwrap_or_else(|d| panic!("{}", d.render(false)))
    };
    let (refi, rfc) = (u64::from(target.timing.refi), u64::from(target.timing.rfc));
    let none = plan(0);
    for merges in 1..=3 {
        let plan = plan(merges);
        assert_eq!(merge_operations(&plan), merges * heads);
        let clocks = (merges * heads) as u64 * (dim as u64 + 1 + u64::from(MERGE_LATENCY));
        let more = plan.cycles - none.cycles;
        let refreshes = more / refi + 1;
        assert!((clocks..=clocks + refreshes * rfc).contains(&more), "{merges}: {more}, {clocks}");
        let expected = plan.estimate.cycles - none.estimate.cycles;
        // A refresh more or less, and what was counted of others as care.
        assert!(expected.abs_diff(more) <= rfc + 16, "{merges}: {more}, expected {expected}");
        assert_eq!(plan.estimate.buffer, clocks);
    }
}

#[test]
fn what_is_attended_to_without_its_log_sum_exp_is_no_state() {
    let text = "pimc 1\ntarget \"hbm3-pim\"\n\
        cache @kv : pq_kv<heads=1, kv_heads=1, dim=4, tokens=8, sub=2, k=4, sink=0, recent=1> from \"kv\"\n\
        func @main(%x: i8<4>, %n: i8<1>) -> i32<4> {\n  \
        %o = attend @kv, %x, %n, mul=1, shift=0, frac=0 : i32<4>\n  \
        %m = merge %o, %o, dim=1, frac=0 : i32<4>\n  return %m\n}\n";
    let model = ModelBuilder::new(text).build().unwrap_or_else(|d| panic!("{}", d.render(false)));
    let target = Target::named("hbm3-pim").expect("built in");
    let text = lower(&model, &target).expect_err("no state").render(false);
    assert!(text.contains("P0607") && text.contains("model.ir:6:3"), "{text}");
}
