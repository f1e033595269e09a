//! What is refused about clustering: functions that no program is made of, steps that are mistakes, and programs
//! that break the units' rules about time.

use pimc_golden::{run_step, State};
use pimc_ir::generated_cache::{ClusterModel, Prompt};
use pimc_ir::testing::ModelBuilder;
use pimc_ir::{CacheType, Code, Diagnostics, Model};
use pimc_lower::attention::StepError;
use pimc_lower::images::Images;
use pimc_lower::interp::{Ignore, Machine};
use pimc_lower::{lower, Plan, Target};
use pimc_rtl::attention::{AttentionMode, AttentionParam};
use pimc_rtl::isa::{Action, Instr, SetTo};
use pimc_rtl::shape::StreamMode;

fn target() -> Target {
    Target::named("hbm3-pim").expect("a target")
}

/// Two slices in a bank.
fn fill() -> ClusterModel {
    let (sink, recent, tokens) = (4, 8, 80);
    let ty =
        CacheType { heads: 2, kv_heads: 2, dim: 64, tokens, sub: 2, k: 64, sink, recent, start: 0 };
    ClusterModel { ty, tokens: 90, queries: 1, iterations: 1, weight_bits: 9 }
}

fn built(builder: ModelBuilder) -> Model {
    builder.build().unwrap_or_else(|found| panic!("{}", found.render(false)))
}

/// What is found in the function when its text is changed, and the source that it points at.
fn refused(changes: &[(&str, &str)]) -> Vec<(Code, String, String)> {
    let f = fill();
    let mut text = f.text("hbm3-pim");
    for (from, to) in changes {
        assert!(text.contains(from), "{from} in {text}");
        text = text.replacen(from, to, 1);
    }
    let model = built(f.builder_of(&text, 1));
    let found: Diagnostics = lower(&model, &target()).expect_err("refused");
    let told = found.list().iter().map(|d| {
        let at = d.primary.as_ref().expect("a place").span.clone();
        (d.code, d.message.clone(), text[at].to_string())
    });
    told.collect()
}

#[test]
fn functions_without_a_program_are_refused_where_they_stand() {
    let cluster = "%len = cluster @kv, %k, %v, %w, %n, iterations=1 : i32<1>\n";
    let append = "%more = append @kv, %k, %v, %n : i32<1>\n";
    let both = refused(&[(cluster, &format!("{append}  {cluster}"))]);
    assert_eq!((both.len(), both[0].0), (1, Code::P0607), "{both:?}");
    assert!(both[0].1.contains("this op behind an append"), "{both:?}");
    assert!(both[0].2.starts_with("%len = cluster"), "{both:?}");
    let twice = refused(&[(cluster, &format!("{cluster}  {}", cluster.replace("%len", "%again")))]);
    assert!(twice[0].2.starts_with("%again = cluster"), "{twice:?}");
    // Values that are computed.
    let relu = "%p = relu %w : i9<180>\n  ";
    let computed = cluster.replace("%w", "%p");
    let computed = refused(&[(cluster, &format!("{relu}{computed}"))]);
    assert!(computed.iter().any(|d| d.1.contains("a cluster of values that are computed")));
    // An attend comes last, and is what is returned.
    let attend = "%o = attend @kv, %q, %limit, mul=3000, shift=12, frac=8 : i16<128>\n";
    let after = refused(&[(cluster, ""), (attend, &format!("{attend}  {cluster}"))]);
    assert!(after[0].1.contains("only a cluster, an append, then an attend"), "{after:?}");
    let alone = refused(&[(attend, ""), ("return %o", "return %len"), ("i16<128>", "i32<1>")]);
    assert!(alone[0].1.contains("a cache that nothing attends to"), "{alone:?}");
}

#[test]
fn two_caches_are_refused() {
    let f = fill();
    let text = f.text("hbm3-pim");
    let declared = text.lines().find(|l| l.starts_with("cache")).expect("a cache");
    let other = declared.replace("@kv", "@other");
    let text = text.replacen(declared, &format!("{declared}\n{other}"), 1).replacen(
        "cluster @kv",
        "cluster @other",
        1,
    );
    let builder = f.builder_of(&text, 1);
    let model = built(f.with_contents(builder, "other", 2));
    let found = lower(&model, &target()).expect_err("refused");
    assert!(found.list().iter().any(|d| d.message.contains("two caches")), "{found:?}");
}

/// Sums are memory of the unit as its tables are, and tokens that wait are rows of the DRAM.
#[test]
fn what_does_not_fit_is_said_with_numbers() {
    let plan = plan();
    let attention = plan.shape.bank.attention.as_ref().expect("units");
    let (tables, sums) =
        (attention.memory_bits(&plan.shape), attention.mean_memory_bits(plan.shape.beat_bits));
    assert!(sums > 0);
    let need = (tables + sums).div_ceil(8);
    let with = |section, key, value: u64| {
        let target = target().with(&[(section, key, &value.to_string())]).expect("a target");
        lower(&model(), &target)
    };
    assert!(with("unit", "table_bytes", need).is_ok());
    let found = with("unit", "table_bytes", need - 1).expect_err("too small");
    assert_eq!(found.list()[0].code, Code::P0606);
    assert!(found.render(false).contains(&format!("needs {need} bytes, there are {}", need - 1)));
    let layout = &plan.cache.as_ref().expect("a cache").layout;
    let staged = 2 * u64::from(layout.slots * layout.stage_rows());
    assert!(staged > 0);
    assert!(with("bank", "rows", layout.rows()).is_ok());
    let found = with("bank", "rows", layout.rows() - 1).expect_err("too small");
    assert!(found.render(false).contains("rows of a bank"), "{found:?}");
}

fn model() -> Model {
    built(fill().builder("hbm3-pim", 1))
}

fn plan() -> Plan {
    lower(&model(), &target()).unwrap_or_else(|found| panic!("{}", found.render(false)))
}

/// Mistakes of a step are golden's, in the same order, and leave the driver as it was.
#[test]
fn mistakes_of_a_step_leave_everything_as_it_was() {
    let (f, model, plan) = (fill(), model(), plan());
    let mut driver = plan.driver().expect("a cache");
    plan.launches(&mut driver, &f.step(1, Prompt::Noise, 70)).expect("runs");
    let before = driver.clone();
    let mut mistake = |n: i64, weight: Option<(usize, i64)>| {
        let mut inputs = f.step(2, Prompt::Noise, 0);
        inputs[4] = vec![n];
        if let Some((at, weight)) = weight {
            inputs[3][at] = weight;
        }
        let golden = run_step(&model, &mut State::initial(&model), &inputs);
        let ours = plan.launches(&mut driver, &inputs);
        match (golden, ours) {
            (Err(golden), Err(ours)) => {
                assert_eq!(driver, before);
                // What golden says ends in what we say, but for the cache's name.
                let golden = golden.to_string();
                let named = matches!(ours, StepError::Full { .. });
                assert!(named || golden.ends_with(&ours.to_string()), "{golden}: {ours}");
                Some(ours)
            }
            (Ok(_), Ok(_)) => {
                driver = before.clone();
                None
            }
            (golden, ours) => panic!("{golden:?} {ours:?}"),
        }
    };
    assert_eq!(mistake(-1, None), Some(StepError::Taken { most: 90, got: -1 }));
    assert_eq!(mistake(91, None), Some(StepError::Taken { most: 90, got: 91 }));
    assert_eq!(mistake(81, Some((0, -1))), Some(StepError::Full { tokens: 80, length: 81 }));
    assert_eq!(mistake(80, Some((159, -2))), Some(StepError::Weight { index: 159, got: -2 }));
    // A token that is not meant may weigh anything.
    assert_eq!(mistake(80, Some((160, -2))), None);
    assert_eq!(mistake(0, Some((0, -2))), None);
}

/// Runs the first step of a program; what is wrong with it, if anything is.
fn fault(plan: &Plan, model: &Model, program: &[Instr]) -> Option<String> {
    let images = Images::new(model, plan);
    let mut machine = Machine::new(&plan.shape, program, &images);
    let mut driver = plan.driver().expect("a cache");
    for launch in plan.launches(&mut driver, &fill().step(1, Prompt::Noise, 80)).expect("runs") {
        for c in launch.columns {
            machine.host_column(c.bank, c.row, c.col, c.data).expect("a column");
        }
        for (addr, word) in launch.args {
            machine.host_arg(addr, word).expect("an argument");
        }
        if let Err(fault) = machine.run(&mut Ignore) {
            return Some(fault.why);
        }
    }
    None
}

#[test]
fn what_comes_too_early_is_found() {
    let (plan, model) = (plan(), model());
    let is = |instr: &Instr, mode| match instr.action {
        Action::Stream(s) => {
            plan.shape.bank.modes()[s.mode as usize] == StreamMode::Attention(mode)
        }
        _ => false,
    };
    let first = |mode| plan.program.iter().position(|i| is(i, mode)).expect("a stream");
    let next = |from: usize, what: &dyn Fn(&Action) -> bool| {
        from + plan.program[from..].iter().position(|i| what(&i.action)).expect("an instruction")
    };
    let changed = |f: &dyn Fn(&mut Vec<Instr>)| {
        let mut program = plan.program.clone();
        f(&mut program);
        fault(&plan, &model, &program).unwrap_or_default()
    };
    assert_eq!(changed(&|_| {}), "");
    let early = |at: usize| changed(&|program| program[at].delay = 2);
    // Behind Clear, and behind Accumulate, which with two slices takes more than an instruction does.
    let why = early(first(AttentionMode::Clear));
    assert!(why.contains("a stream begins while"), "{why}");
    let why = early(first(AttentionMode::Accumulate));
    assert!(why.contains("an encoder or a weight changes while it is used"), "{why}");
    // A column is written before its means are made, or another one read.
    let update = first(AttentionMode::Update);
    let write = next(update, &|a| *a == Action::Write);
    let why = early(write - 1);
    assert!(why.contains("a column is written before it is ready"), "{why}");
    let why = changed(&|program| {
        program[write - 1].delay = 2;
        program[write].action = Action::Wait;
    });
    assert!(why.contains("a column is read while means of the last one are made"), "{why}");
    // Encoders and weights that there are none of.
    let chosen = |param: AttentionParam, add: u32| {
        let to = SetTo::Param(param.index());
        let from = first(AttentionMode::Encode);
        let at = next(from, &|a| matches!(a, Action::Set { to: t, .. } if *t == to));
        changed(&|program| program[at].action = Action::Set { to, from: None, add })
    };
    let why = chosen(AttentionParam::Encoder, 8);
    assert!(why.contains("there is no encoder 8"), "{why}");
    let why = chosen(AttentionParam::Weight, 256);
    assert!(why.contains("a weight of 256 is wider than it can be"), "{why}");
}
