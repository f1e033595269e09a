//! `schedule/trace.json` and the page: that they show the program, all of it, and stay small.

use crate::common::*;
use pimc_ir::Model;
use pimc_lower::commands::{expand, Command, Expanded};
use pimc_lower::report::{html, write_trace, Report};
use pimc_lower::{Plan, Target};
use serde_json::Value;

/// A slice of the trace, in clocks.
#[derive(Clone, Debug)]
struct Slice {
    thread: u64,
    name: String,
    from: u64,
    to: u64,
    op: Option<(String, u64)>,
}

fn text(plan: &Plan, model: &Model) -> String {
    let mut bytes = Vec::new();
    write_trace(plan, model, &mut bytes).expect("memory");
    String::from_utf8(bytes).expect("text")
}

/// The slices of a trace whose times are whole clocks and whose events are of the kinds promised.
fn slices(plan: &Plan, text: &str) -> Vec<Slice> {
    let trace: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(trace["otherData"]["clocks"], plan.cycles);
    let tck = f64::from(plan.target.timing.tck_ps) * 1e-6;
    let clocks = |v: &Value| {
        let clocks = v.as_f64().expect("a time") / tck;
        assert!((clocks - clocks.round()).abs() < 1e-3, "{v} is no whole clock");
        clocks.round() as u64
    };
    let mut all = Vec::new();
    let mut named = Vec::new();
    for e in trace["traceEvents"].as_array().expect("events") {
        assert_eq!(e["pid"], 1);
        let thread = e["tid"].as_u64().expect("a thread");
        match e["ph"].as_str() {
            Some("M") if e["name"] == "thread_name" => named.push(thread),
            Some("M") => {}
            Some("X") => {
                let from = clocks(&e["ts"]);
                assert_eq!(e["args"]["clock"], from, "{e}");
                let op = e["args"]["op"].as_str().map(str::to_string);
                let op = op.map(|op| (op, e["args"]["line"].as_u64().expect("a line")));
                let name = e["name"].as_str().expect("a name").to_string();
                all.push(Slice { thread, name, from, to: from + clocks(&e["dur"]), op });
            }
            other => panic!("an event of kind {other:?}"),
        }
    }
    assert_eq!(named, [0, 1, 2, 3, 4]);
    all
}

/// Slices of a thread are in order, and each lies in the one that is open or behind it.
fn assert_nested(slices: &[Slice]) {
    for thread in 0..5 {
        let mut open: Vec<&Slice> = Vec::new();
        let mut last = 0;
        for slice in slices.iter().filter(|s| s.thread == thread) {
            assert!(slice.from >= last, "{slice:?} comes before one that is listed earlier");
            last = slice.from;
            while open.last().is_some_and(|o| o.to <= slice.from) {
                open.pop();
            }
            let holds = open.last().is_none_or(|o| o.to >= slice.to);
            assert!(holds, "{slice:?} reaches out of {:?}", open.last());
            open.push(slice);
        }
    }
}

/// Everything that the trace says of a plan, against the plan's commands.
fn assert_true(plan: &Plan, model: &Model) {
    let all = slices(plan, &text(plan, model));
    assert_nested(&all);
    let run: Vec<_> = all.iter().filter(|s| s.thread == 0).collect();
    assert_eq!((run.len(), run[0].from, run[0].to), (1, 0, plan.cycles));
    let (mut acts, mut pres, mut refs, mut reads) = (vec![], vec![], vec![], 0u64);
    for item in expand(&plan.program, plan.target.columns) {
        let Expanded::Command(t) = item.expect("a program that runs") else { continue };
        match t.command {
            Command::Act { row } => acts.push((t.cycle, format!("row {row}"))),
            Command::Pre => pres.push(t.cycle),
            Command::Ref => refs.push(t.cycle),
            Command::Read { .. } => reads += 1,
            other => panic!("a schedule does not issue {other:?}"),
        }
    }
    let named = |thread: u64, name: &str| -> Vec<u64> {
        let of = all.iter().filter(|s| s.thread == thread && s.name == name);
        of.map(|s| s.from).collect()
    };
    let rows = all.iter().filter(|s| s.thread == 1 && s.name.starts_with("row "));
    let rows: Vec<_> = rows.map(|s| (s.from, s.name.clone())).collect();
    assert_eq!(rows, acts);
    assert_eq!(named(1, "ACT"), acts.iter().map(|a| a.0).collect::<Vec<_>>());
    assert_eq!(named(1, "PRE"), pres);
    assert_eq!(named(2, "REF"), refs);
    let counted = |s: &Slice| s.name.strip_prefix("RD x ")?.parse::<u64>().ok();
    assert_eq!(all.iter().filter_map(counted).sum::<u64>(), reads);
    let streams = plan.steps.iter().filter(|s| s.stream.is_some()).count();
    let shown = all.iter().filter(|s| s.thread == 3 && s.op.is_some());
    assert_eq!(shown.count(), streams);
    // Ops and lines are the model's.
    let func = &model.module.func;
    let known: Vec<_> = (0..func.ops.len())
        .map(|i| {
            let line = model.line_col(&func.ops[i].span).0 as u64;
            let words: Vec<&str> = model.op_text(i).split_whitespace().collect();
            (words.join(" "), line)
        })
        .collect();
    for slice in all.iter().filter(|s| s.op.is_some()) {
        let (op, line) = slice.op.clone().expect("an op");
        let op = op.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(known.contains(&(op, line)), "{slice:?}");
    }
}

#[test]
fn the_trace_is_the_program() {
    let hbm = Target::named("hbm3-pim").expect("built in");
    let two = hbm.with(&[("stack", "channels", "2")]).unwrap_or_else(|d| panic!("{d}"));
    // A row of one column is closed before the column is through.
    let short = hbm.with(&[("timing", "rtp", "2")]).unwrap_or_else(|d| panic!("{d}"));
    let short = short.with(&[("timing", "ras", "20")]).unwrap_or_else(|d| panic!("{d}"));
    for target in [hbm, two, short] {
        for seed in 0..40 {
            let model = random(seed).build().unwrap_or_else(|d| panic!("{d}"));
            assert_true(&plan(&model, &target), &model);
        }
    }
}

/// A function without a matvec, or without any op.
#[test]
fn runs_of_the_buffer_unit_alone() {
    let head = "pimc 1\ntarget \"hbm3-pim\"\n";
    for body in [
        "func @main(%x: i8<5>) -> i4<1> {\n  %y = argmax %x : i4<1>\n  return %y\n}\n",
        "func @main(%x: i32<1>) -> i32<1> {\n  return %x\n}\n",
    ] {
        let builder = pimc_ir::testing::ModelBuilder::new(format!("{head}{body}"));
        let model = builder.build().unwrap_or_else(|d| panic!("{d}"));
        let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
        assert_true(&plan, &model);
        let page = html(&Report::new(&plan, &model));
        assert!(!page.contains("Roofline") && !page.contains("NaN"), "{page}");
    }
}

/// A program of 180,000 clocks: every row in the trace, no single read, and a page that a browser
/// opens at once.
#[test]
fn long_programs_stay_small() {
    let mut rng = Rng::new(7);
    let model = int(&mut rng, 3200, 3584, None).build().unwrap_or_else(|d| panic!("{d}"));
    let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
    assert!(plan.cycles > 178_000, "{}", plan.cycles);
    assert_true(&plan, &model);
    let trace = text(&plan, &model);
    assert!(trace.len() < 1 << 20, "a trace of {} bytes", trace.len());
    let page = html(&Report::new(&plan, &model));
    assert!(page.len() < 200_000, "a page of {} bytes", page.len());
    assert!(!page.contains("http"), "an outside address");
    // What the script draws from has every row, and all of them in few runs.
    let data = page.split("id=\"run\">").nth(1).and_then(|rest| rest.split("</script>").next());
    let data: Value = serde_json::from_str(data.expect("data")).expect("JSON");
    let rows = data["rows"].as_array().expect("rows");
    let count: u64 = rows.iter().map(|r| r[2].as_u64().expect("a count")).sum();
    let columns: u64 = rows.iter().map(|r| r[2].as_u64().unwrap() * r[7].as_u64().unwrap()).sum();
    assert_eq!((count, columns), (700, 700 * 32));
    assert!(rows.len() < 60, "{} runs of rows", rows.len());
    let refreshes = data["refreshes"].as_array().expect("refreshes");
    let count: u64 = refreshes.iter().map(|r| r[1].as_u64().expect("a count")).sum();
    let expected = Report::new(&plan, &model).run.refreshes;
    assert_eq!(count, expected);
}

/// Texts of a model end neither the script nor the table that they stand in.
#[test]
fn names_are_escaped() {
    let mut rng = Rng::new(8);
    let model = int(&mut rng, 3, 4, None).build().unwrap_or_else(|d| panic!("{d}"));
    let mut plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
    for step in &mut plan.steps {
        step.what = "</script><b>&\"".into();
    }
    let page = html(&Report::new(&plan, &model));
    assert!(!page.contains("<b>&") && page.contains("&lt;/script&gt;&lt;b&gt;&amp;&quot;"));
    assert_eq!(page.matches("</script>").count(), 2);
    let trace = text(&plan, &model);
    assert!(slices(&plan, &trace).iter().any(|s| s.name == "</script><b>&\""));
}
