//! A thousand models of random shapes, each on a target of its own: neither checker finds anything
//! in the schedules.

use super::twice::{both, replay};
use crate::common::on_all;
use crate::lowering::Rng;
use pimc_ir::testing::ModelBuilder;
use pimc_ir::Code;
use pimc_lower::commands::{expand, Expanded, Timed};
use pimc_lower::{lower, Plan, Target};
use std::fmt::Write as _;

const SHAPES: u64 = 1000;
/// Models that one simulation takes in turn.
const CHUNK: u64 = 50;
/// Clocks of a run beyond which a smaller shape is drawn: what a simulation has time for.
const MAX_CLOCKS: u64 = 60_000;

/// A size of 1 to `max`, as often of one digit as of three.
fn size(rng: &mut Rng, max: usize) -> usize {
    let most = rng.pick(&[8, 40, 150, max]).min(max);
    rng.size(1, most)
}

/// A weight type of `rows` x `cols`, or of fewer columns where its parts do not divide them.
fn weight(rng: &mut Rng, rows: usize, cols: usize) -> String {
    let divisor = |rng: &mut Rng, n: usize, max: usize| {
        let all: Vec<usize> = (1..=max.min(n)).filter(|d| n % d == 0).collect();
        rng.pick(&all)
    };
    match rng.size(0, 3) {
        0 => {
            let (sub, k) = (divisor(rng, cols, 8), rng.pick(&[2, 3, 16, 64, 256]));
            let shared = rng.pick(&["", ", shared"]);
            format!("pq<{rows}x{cols}, sub={sub}, k={k}{shared}>")
        }
        1 => {
            let (m, n) = (divisor(rng, rows, 128), divisor(rng, cols, 128));
            format!("bqq<{rows}x{cols}, bases={}, block={m}x{n}>", rng.size(1, 3))
        }
        2 => {
            let more = rng.pick(&["", ", pruned=100, locked=80", ", layer=7"]);
            format!("supermask<{rows}x{cols}, coats={}, seed=0x5eed{more}>", rng.size(1, 4))
        }
        _ => match rng.size(0, 1) {
            0 => format!("int<{rows}x{cols}, bits=8>"),
            _ => format!("int<{rows}x{cols}, bits=8, group={}>", divisor(rng, cols, 64)),
        },
    }
}

/// A function of one to three matrices with what is usual between them; all weights are zero, which
/// no schedule knows. Sizes are at most `max`.
fn model(rng: &mut Rng, max: usize) -> String {
    let mut cols = size(rng, max);
    let inputs = cols;
    let (mut weights, mut ops, mut value) = (String::new(), String::new(), "%x".to_string());
    let layers = rng.size(1, 3);
    let mut rows = 0;
    for layer in 0..layers {
        rows = size(rng, max);
        let ty = weight(rng, rows, cols);
        let _ = writeln!(weights, "weight @w{layer} : {ty} from \"w.safetensors\"");
        let _ = writeln!(ops, "  %m{layer} = matvec @w{layer}, {value} : i64<{rows}>");
        value = format!("%m{layer}");
        if layer + 1 < layers {
            if rng.next() % 2 == 0 {
                let _ = writeln!(ops, "  %r{layer} = relu {value} : i64<{rows}>");
                value = format!("%r{layer}");
            }
            let _ = writeln!(ops, "  %q{layer} = requant {value}, mul=3, shift=9 : i8<{rows}>");
            value = format!("%q{layer}");
            cols = rows;
        }
    }
    let last = match rng.size(0, 3) {
        0 => {
            let _ = writeln!(ops, "  %last = argmax {value} : i64<1>\n  return %last");
            1
        }
        _ => {
            let _ = writeln!(ops, "  return {value}");
            rows
        }
    };
    format!(
        "pimc 1\ntarget \"hbm3-pim\"\n{weights}func @main(%x: i8<{inputs}>) -> i64<{last}> {{\n{ops}}}\n"
    )
}

/// Any target that a user may write, with as little room between refreshes as it takes now and then.
fn target(rng: &mut Rng) -> Target {
    let built_in = Target::built_in();
    let base = built_in[rng.size(0, built_in.len() - 1)].clone();
    if rng.next() % 4 == 0 {
        return base;
    }
    let wide = |rng: &mut Rng, max: i64| {
        let most = rng.pick(&[1, 4, 20, max]).min(max);
        rng.range(1, most)
    };
    let (rcd, rp) = (wide(rng, 200), wide(rng, 200));
    let ras = rcd + wide(rng, 400) - 1;
    let values = [
        ("stack", "channels", rng.pick(&[1, 1, 2])),
        ("pseudo_channel", "banks", rng.pick(&[4, 8, 16, 16])),
        ("bank", "columns", rng.pick(&[2, 4, 8, 32, 64])),
        ("timing", "rcd", rcd),
        ("timing", "rp", rp),
        ("timing", "ras", ras),
        ("timing", "rc", (ras + rp + rng.range(-1, 30)).max(1)),
        ("timing", "rtp", wide(rng, 60)),
        ("timing", "cl", rng.range(8, 100)),
        ("timing", "ccd_all_bank", wide(rng, 255)),
        ("timing", "faw", wide(rng, 300)),
        ("refresh", "rfc", 1 + wide(rng, 2000)),
    ];
    let numbers = values.map(|(s, k, v)| (s, k, v.to_string()));
    let mut changes: Vec<(&str, &str, &str)> =
        numbers.iter().map(|(s, k, v)| (*s, *k, v.as_str())).collect();
    changes.push(("timing", "faw_all_bank", rng.pick(&["true", "false"])));
    changes.push(("refresh", "refi", "4000000"));
    let roomy = base.with(&changes).unwrap_or_else(|d| panic!("{d}"));
    // The least time between refreshes that the target's reader accepts.
    let with_refi = |refi: u32| roomy.with(&[("refresh", "refi", &refi.to_string())]);
    let (mut wrong, mut right) = (0, 4_000_000);
    while right - wrong > 1 {
        let middle = (wrong + right) / 2;
        match with_refi(middle) {
            Ok(_) => right = middle,
            Err(_) => wrong = middle,
        }
    }
    let refi = right + rng.pick(&[0, 0, 1, 17, 400, 6000]);
    with_refi(refi).unwrap_or_else(|d| panic!("{d}"))
}

/// The model of a seed, its text and its plan: as large as the target and the time allow.
fn shape(seed: u64) -> (String, Plan) {
    let rng = &mut Rng::new(seed ^ 0x5a9e5);
    let target = target(rng);
    let mut max = 600;
    loop {
        let text = model(rng, max);
        let built = ModelBuilder::new(text.as_str()).build();
        let model = built.unwrap_or_else(|d| panic!("{d}\n{text}"));
        match lower(&model, &target) {
            Ok(plan) if plan.cycles <= MAX_CLOCKS || max < 8 => return (text, plan),
            Ok(_) => {}
            Err(d) if max >= 8 && d.list().iter().all(|d| d.code == Code::P0606) => {}
            Err(d) => panic!("{d}\n{text}\n{}", target.source),
        }
        max /= 2;
    }
}

/// Its commands and the clock of its end.
fn commands(plan: &Plan) -> (Vec<Timed>, u64) {
    let (mut commands, mut end) = (Vec::new(), 0);
    for item in expand(&plan.program, plan.target.columns) {
        match item.unwrap() {
            Expanded::Command(timed) => commands.push(timed),
            Expanded::End { cycle } => end = cycle,
        }
    }
    (commands, end)
}

#[test]
fn a_thousand_random_shapes_break_no_rule() {
    let chunks: Vec<u64> = (0..SHAPES / CHUNK).collect();
    let done = on_all(&chunks, |chunk| {
        let mut replay = replay();
        let (mut clocks, mut count) = (0, 0);
        for seed in chunk * CHUNK..(chunk + 1) * CHUNK {
            let (mut text, mut target) = (String::new(), String::new());
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let (model, plan) = shape(seed);
                (text, target) = (model, plan.target.source.clone());
                let (commands, end) = commands(&plan);
                let said = both(&mut replay, &plan.target, &commands, Some(end));
                let first = said.rust.iter().map(ToString::to_string).next();
                assert!(said.nothing(), "{first:?}, {:?}", said.verilog.first());
                (end, commands.len())
            }));
            match checked {
                Ok((end, issued)) => (clocks, count) = (clocks + end, count + issued),
                Err(why) => {
                    eprintln!("seed {seed}\n{text}\n{target}");
                    std::panic::resume_unwind(why);
                }
            }
        }
        Some((clocks, count))
    });
    let clocks: u64 = done.iter().map(|d| d.0).sum();
    let count: usize = done.iter().map(|d| d.1).sum();
    eprintln!("{SHAPES} shapes, {clocks} clocks, {count} commands");
    assert!(done.len() == chunks.len() && count > 100_000, "{count}");
}
