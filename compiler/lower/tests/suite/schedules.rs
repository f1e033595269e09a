//! Schedules on other targets than the built-in ones, the text and the words of programs, and that
//! the interpreter refuses programs that break the hardware's rules.

use crate::common::*;
use pimc_ir::Code;
use pimc_lower::assembly;
use pimc_lower::hex;
use pimc_lower::images::Images;
use pimc_lower::interp::{Event, Ignore, Machine};
use pimc_lower::{lower, Target};
use pimc_rtl::isa::{Action, Instr};
use pimc_rtl::program::{decode, encode};

/// Timings that stress the scheduler: nothing but the smallest, nothing but the largest, refresh
/// as often as a row allows.
fn odd_targets() -> Vec<Target> {
    let base = Target::named("hbm3-pim").expect("built in");
    let mut all = vec![base.clone(), Target::named("hbm3-pim-uncapped").expect("built in")];
    let mut push = |change: &dyn Fn(&mut Target)| {
        let mut target = base.clone();
        change(&mut target);
        all.push(target);
    };
    push(&|t| {
        let s = &mut t.timing;
        (s.rcd, s.rp, s.ras, s.rc, s.rtp, s.ccd, s.rfc) = (1, 1, 1, 2, 1, 1, 2);
    });
    push(&|t| {
        let s = &mut t.timing;
        (s.rcd, s.rp, s.ras, s.rc, s.rtp, s.ccd) = (101, 57, 333, 400, 29, 17);
    });
    push(&|t| t.timing.refi = 760);
    push(&|t| t.timing.faw_all_bank = true);
    push(&|t| (t.timing.rtp, t.timing.ccd) = (7, 6));
    push(&|t| (t.banks, t.columns, t.rows) = (4, 8, 4096));
    push(&|t| (t.timing.rfc, t.timing.refi) = (3000, 3400));
    // Beats as the columns come, faster than they come, and slower.
    let aim = Target::named("gddr6-aim").expect("built in");
    for (of, section, key, value) in [
        (&aim, "unit", "beat_bits", "128"),
        (&aim, "unit", "beat_bits", "64"),
        (&base, "unit", "beat_bits", "128"),
        (&base, "timing", "ccd_all_bank", "3"),
        (&base, "timing", "ccd_all_bank", "1"),
    ] {
        all.push(of.with(&[(section, key, value)]).expect("sound"));
    }
    all
}

#[test]
fn schedules_are_legal_on_odd_targets() {
    for (n, target) in odd_targets().iter().enumerate() {
        for seed in 0..40 {
            let model = random(seed).build().unwrap_or_else(|d| panic!("{d}"));
            let plan = plan(&model, target);
            eprintln!("target {n}, seed {seed}");
            assert_legal(&plan);
            assert_agrees(&model, &plan, seed, 2);
        }
    }
}

#[test]
fn text_and_words_say_the_program() {
    for seed in 0..60 {
        let model = random(seed).build().unwrap_or_else(|d| panic!("{d}"));
        let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
        let bare = assembly::print(&plan.program);
        assert_eq!(assembly::parse("p", &bare).expect("parses"), plan.program);
        let mut commented = Vec::new();
        assembly::write(&plan, &model, &mut commented).expect("memory");
        let commented = String::from_utf8(commented).expect("text");
        assert_eq!(assembly::parse("p", &commented).expect("parses"), plan.program);
        let isa = &plan.shape.isa;
        let words = encode(&plan.program, isa).expect("encodes");
        let mut text = Vec::new();
        hex::write_words(words.clone(), isa.word_bits(), &mut text).expect("memory");
        let text = String::from_utf8(text).expect("text");
        let read = hex::read_words("w", &text, isa.word_bits(), Code::P0701).expect("reads");
        let read: Vec<u128> = read.into_iter().map(|w| w.1).collect();
        assert_eq!(decode(&read, isa).expect("decodes"), plan.program);
    }
}

#[test]
fn the_text_of_a_tiny_program() {
    let q: Vec<i8> = (0..34).map(|i| i - 17).collect();
    let builder = one_matvec("int<17x2, bits=8>", 17, 2, 8).int("w", &q, &[]);
    let model = builder.build().unwrap_or_else(|d| panic!("{d}"));
    let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
    let mut text = Vec::new();
    assembly::write(&plan, &model, &mut text).expect("memory");
    insta::assert_snapshot!(String::from_utf8(text).expect("text"));
    let mut csv = Vec::new();
    pimc_lower::commands::write_csv(&plan.program, &plan.target, &mut csv).expect("memory");
    insta::assert_snapshot!(String::from_utf8(csv).expect("text"));
}

#[test]
fn mistakes_in_a_text_point_at_their_words() {
    let at = |text: &str| -> Vec<String> {
        let found = assembly::parse("p", text).expect_err("a mistake");
        found
            .list()
            .iter()
            .map(|d| {
                assert_eq!(d.code, Code::P0701);
                text[d.primary.as_ref().map_or(0..0, |l| l.span.clone())].to_string()
            })
            .collect()
    };
    assert_eq!(at("jump 3 +2\nend +2\n"), ["jump"]);
    assert_eq!(at("wait +1\nend +2\n"), ["+1"]);
    assert_eq!(at("wait\nend +2\n"), ["wait"]);
    assert_eq!(at("row x 3 +2\nend +2\n"), ["x"]);
    assert_eq!(at("loop 0 +2\nnext +2\nend +2\n"), ["loop", "next"]);
    assert_eq!(at("next +2\nend +2\n"), ["next"]);
    assert_eq!(at("loop 3 +2\nend +2\n"), ["loop"]);
    assert_eq!(at("act +2 +3\nend +2\n"), ["+3"]);
    assert_eq!(at("vec jump a=0:1 b=0:1 d=0 len=1 +2\nend +2\n"), ["jump"]);
    assert_eq!(at("vec add a=0:2 b=0:1 d=0 len=1 +2\nend +2\n"), ["0:2"]);
    assert_eq!(at("vec add a=0:1 b=0:1 d=0 len=0 +2\nend +2\n"), ["0"]);
    assert_eq!(at("wait +2\n"), [""]);
    assert_eq!(at("bad1 +2\nbad2 +2 // and a comment\nend +2"), ["bad1", "bad2"]);
}

/// A delay that is one clock shorter breaks a rule of the DRAM or of the hardware, unless the
/// instructions around it wait for nothing that it moves.
#[test]
fn shortened_delays_are_caught() {
    let (mut tried, mut missed) = (0, Vec::new());
    for seed in 0..4 {
        let model = random(seed).build().unwrap_or_else(|d| panic!("{d}"));
        let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
        let images = Images::new(&model, &plan);
        let x = inputs(&model, 1, 1).remove(0);
        for i in 0..plan.program.len() {
            let mut short = plan.clone();
            if short.program[i].delay < 4 || short.program[i].action == Action::End {
                continue;
            }
            short.program[i].delay -= 1;
            tried += 1;
            let mut machine = short.machine(&images).expect("constants fit");
            let runs = short.run(&mut machine, &x, &mut Ignore).is_ok();
            if violations(&short).0.is_empty() && runs {
                missed.push(format!("{seed}: {}", assembly::instruction(&plan.program[i])));
            }
        }
    }
    assert!(tried > 20, "{tried}");
    assert_eq!(missed, Vec::<String>::new(), "of {tried}");
}

fn fault(program: Vec<Action>) -> String {
    let model = random(3).build().unwrap_or_else(|d| panic!("{d}"));
    let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
    let images = Images::new(&model, &plan);
    let instrs: Vec<Instr> = program.into_iter().map(|action| Instr { action, delay: 2 }).collect();
    let mut machine = Machine::new(&plan.shape, &instrs, &images);
    machine.run(&mut Ignore).expect_err("a fault").to_string()
}

#[test]
fn programs_that_hardware_cannot_run() {
    assert!(fault(vec![Action::Ref]).contains("no end"));
    assert!(fault(vec![Action::Next, Action::End]).contains("next without a loop"));
    assert!(fault(vec![Action::Loop { count: 0 }, Action::End]).contains("count 0"));
    let deep = vec![Action::Loop { count: 1 }; 5];
    assert!(fault(deep).contains("nest deeper"));
    assert!(fault(vec![Action::Read, Action::End]).contains("no open row"));
    assert!(fault(vec![Action::Act, Action::Read, Action::End]).contains("outside of a stream"));
}

/// Columns, results and writes of a run, and the results of each bank in order.
fn trace(builder: &pimc_ir::testing::ModelBuilder) -> ([usize; 3], Vec<Vec<i64>>, Vec<i64>) {
    let model = builder.build().unwrap_or_else(|d| panic!("{d}"));
    let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
    let images = Images::new(&model, &plan);
    let mut machine = plan.machine(&images).expect("constants fit");
    let mut events: Vec<Event> = Vec::new();
    let x = inputs(&model, 1, 4).remove(3);
    let y = plan.run(&mut machine, &x, &mut events).unwrap_or_else(|f| panic!("{f}"));
    for e in &events {
        let at = match e {
            Event::Command { at, .. }
            | Event::Column { at, .. }
            | Event::Result { at, .. }
            | Event::Taken { at, .. }
            | Event::Write { at, .. } => at,
        };
        assert!(at.cycle <= plan.cycles && plan.op_of(at.instr) == Some(0));
    }
    let count = |which: &dyn Fn(&Event) -> bool| events.iter().filter(|e| which(e)).count();
    let counts = [
        count(&|e| matches!(e, Event::Column { .. })),
        count(&|e| matches!(e, Event::Result { .. })),
        count(&|e| matches!(e, Event::Write { .. })),
    ];
    let mut results = vec![Vec::new(); 16];
    for e in &events {
        if let Event::Result { bank, data, .. } = *e {
            results[bank as usize].push(data);
        }
    }
    (counts, results, y)
}

/// Every event of a run: one per column of a matrix stream and bank, one per matrix row and bank,
/// one per written word.
#[test]
fn the_trace_is_complete() {
    let mut rng = Rng::new(8);
    // Rows over the banks: 300 inputs are five beats, so two columns a row; 20 rows are two a bank.
    let (counts, results, y) = trace(&supermask(&mut rng, 20, 300, 1, ", seed=1", 50, 8));
    assert_eq!(counts, [16 * 2 * 2, 16 * 2, 20]);
    let rows: Vec<i64> = (0..20).map(|row| results[row % 16][row / 16]).collect();
    assert_eq!(rows, y);
    // Inputs over the banks: of 512 sub-vectors 32 are in a bank, two beats, so a column a row.
    let (counts, results, y) = trace(&pq(&mut rng, 20, 512, 2, 16, false));
    assert_eq!(counts, [16 * 20, 16 * 20, 20]);
    let rows: Vec<i64> = (0..20).map(|row| results.iter().map(|bank| bank[row]).sum()).collect();
    assert_eq!(rows, y);
    // Blocks over the banks: 2 block rows of 2 columns and 2 bases, in four banks; 12 rows a block.
    let (counts, results, y) = trace(&bqq(&mut rng, (2, 2), (12, 20), 2, 8));
    assert_eq!(counts[1..], [16 * 24, 24]);
    let rows: Vec<i64> = (0..24).map(|row| results.iter().map(|bank| bank[row]).sum()).collect();
    assert_eq!(rows, y);
    assert!(results[4..].iter().flatten().all(|&padding| padding == 0));
}

#[test]
fn what_does_not_fit_is_said_with_its_numbers() {
    let mut rng = Rng::new(9);
    let says = |builder: &pimc_ir::testing::ModelBuilder, change: &dyn Fn(&mut Target)| {
        let model = builder.build().unwrap_or_else(|d| panic!("{d}"));
        let mut target = Target::named("hbm3-pim").expect("built in");
        change(&mut target);
        let found = lower(&model, &target).expect_err("does not fit");
        let d = &found.list()[0];
        assert!(d.primary.is_some() && !d.help.is_empty());
        let label = d.primary.as_ref().map_or(String::new(), |l| l.text.clone());
        (d.code, format!("{}: {label}", d.message))
    };
    let big = pq(&mut rng, 16, 64, 2, 16, false);
    let (code, text) = says(&big, &|t| t.table_bytes = 100);
    assert_eq!(code, Code::P0606);
    assert!(text.contains("tables") && text.contains("there are 100"), "{text}");
    let (code, text) = says(&big, &|t| t.rows = 1);
    assert!(code == Code::P0606 && text.contains("there are 1"), "{text}");
    let (_, text) = says(&big, &|t| t.vector_bytes = 10);
    assert!(text.contains("vector memory"), "{text}");
    let (_, text) = says(&big, &|t| t.program_words = 16);
    assert!(text.contains("program memory"), "{text}");
    let (_, text) = says(&big, &|t| t.input_bytes = 8);
    assert!(text.contains("input memories"), "{text}");
    let wide = pq(&mut rng, 4, 2, 9, 4, false);
    let (code, text) = says(&wide, &|_| ());
    assert!(code == Code::P0607 && text.contains("9 inputs"), "{text}");
}

#[test]
fn what_no_program_is_made_of_is_refused_where_it_stands() {
    let text = "pimc 1\ntarget \"hbm3-pim\"\n\
        cache @kv : pq_kv<heads=1, kv_heads=1, dim=4, tokens=8, sub=2, k=4, sink=0, recent=1> from \"kv\"\n\
        func @main(%x: i8<4>, %n: i8<1>) -> i32<5> {\n  %len = append @kv, %x, %x, %n : i8<1>\n  \
        %o = attend @kv, %x, %n, mul=1, shift=0, frac=0, state : i32<5>\n  \
        %m = merge %o, %o, dim=4, frac=0 : i32<5>\n  %r = relu %m : i32<5>\n  \
        %p = attend @kv, %x, %n, mul=1, shift=0, frac=0, state : i32<5>\n  \
        %s = merge %p, %r, dim=4, frac=0 : i32<5>\n  return %s\n}\n";
    let model = pimc_ir::testing::ModelBuilder::new(text).build().unwrap_or_else(|d| panic!("{d}"));
    let target = Target::named("hbm3-pim").expect("built in");
    let refused = lower(&model, &target).expect_err("no unit does it");
    let text = refused.render(false);
    for (line, found) in [(5, false), (6, false), (7, false), (8, true), (9, true), (10, true)] {
        assert_eq!(text.contains(&format!("model.ir:{line}:3")), found, "line {line}: {text}");
    }
    assert!(refused.list().iter().all(|d| d.code == Code::P0607), "{text}");
}
