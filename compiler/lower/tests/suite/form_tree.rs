//! The tree of a mapping that ends at the schedule: what it holds, and what it says of itself. And the same
//! step in that form in the report of ours.

use pimc_ir::generated_cache::CacheModel;
use pimc_ir::{CacheType, Model};
use pimc_lower::attention::literal::{FormPlan, Gather};
use pimc_lower::report::{html, Report};
use pimc_lower::{emit_any, lower, lower_any, try_lower_any, write_tree, Lowered, Target};
use serde_json::{json, Value};
use std::path::Path;

fn hbm(changes: &[(&str, &str, &str)]) -> Target {
    let target = Target::named("hbm3-pim").expect("a target").with(changes);
    target.unwrap_or_else(|d| panic!("{}", d.render(false)))
}

fn indirect(gather: &str) -> Target {
    let gather = format!("\"{gather}\"");
    hbm(&[("mapping", "attention", "\"indirect\""), ("mapping", "gather", &gather)])
}

fn function(k: usize, start: usize) -> CacheModel {
    let ty = CacheType {
        heads: 2,
        kv_heads: 1,
        dim: 64,
        tokens: 1000,
        sub: 4,
        k,
        sink: 4,
        recent: 8,
        start,
    };
    CacheModel::new(ty)
}

/// A function written into a folder, since trees hold copies of tensor files.
fn model(f: &CacheModel, dir: &Path) -> Model {
    let path = f.builder("hbm3-pim", 7).write(dir, "model.ir").expect("a model");
    pimc_ir::load(&path).unwrap_or_else(|d| panic!("{}", d.render(false)))
}

#[test]
fn the_tree_has_no_hardware_and_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let (model, tree) = (model(&function(16, 500), dir.path()), dir.path().join("out"));
    let lowered = lower_any(&model, &indirect("element")).expect("a plan");
    write_tree(&emit_any(&lowered, &model).expect("a tree"), &tree).expect("written");
    let text = |name: &str| std::fs::read_to_string(tree.join(name)).expect(name);
    let json = |name: &str| -> Value { serde_json::from_str(&text(name)).expect(name) };
    for name in
        ["rtl", "schedule/program.hex", "schedule/program.pims", "mem/buffer.hex", "map.json"]
    {
        assert!(!tree.join(name).exists(), "{name}");
    }
    let (manifest, report) = (json("manifest.json"), json("report.json"));
    assert_eq!(manifest["rtl"], json!([]));
    assert_eq!(manifest["options"]["mapping.attention"], "indirect");
    for of in [&manifest, &report, &json("mem/layout.json")] {
        let mapping = &of["mapping"];
        assert_eq!([&mapping["ends_at"], &mapping["attention"]], ["schedule", "indirect"]);
        assert_eq!(mapping["levels"], json!(["golden", "schedule"]));
        assert_eq!(mapping["gather"], "element");
        assert!(
            mapping["why"].as_str().is_some_and(|why| why.contains("no hardware")),
            "{mapping}"
        );
    }
    assert!(report["run"]["cycles"].as_u64() > report["resident"]["resident"]["cycles"].as_u64());
    assert!(report.get("area").is_none() && report.get("memories").is_none(), "{report}");
    let page = text("report.html");
    assert!(page.contains("no hardware") && page.contains("golden, schedule"), "{page}");
    // What is done with a column, for every column access of the trace, at the same clock.
    let accesses = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|l| l.contains(",RD,") || l.contains(",WR,"));
        lines.map(|l| l.split(',').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let commands = accesses(&text("schedule/commands.csv"));
    assert!(commands.len() > 1000, "{}", commands.len());
    assert_eq!(commands, accesses(&text("schedule/accesses.csv")));
}

#[test]
fn only_a_function_on_a_cache_is_another() {
    let dir = tempfile::tempdir().expect("a folder");
    let cached = model(&function(16, 500), dir.path());
    let digits = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.ir");
    let digits = pimc_ir::load(&digits).expect("a model");
    let (plain, target) = (hbm(&[]), indirect("centroid"));
    let is_form = |model: &Model, target: &Target| match lower_any(model, target) {
        Ok(Lowered::Form(_)) => true,
        Ok(Lowered::Hardware(plan)) => {
            assert_eq!(plan.target, *target);
            false
        }
        Err(found) => panic!("{}", found.render(false)),
    };
    assert!(is_form(&cached, &target) && !is_form(&cached, &plain));
    assert!(!is_form(&digits, &target));
    // Where hardware is asked for, there is none.
    let found = lower(&cached, &target).expect_err("no hardware").render(false);
    for part in ["P0607", "there is no hardware", "model.ir:9", "attention = \"resident\""] {
        assert!(found.contains(part), "no `{part}` in {found}");
    }
    let bad = Target::named("hbm3-pim").expect("a target");
    for (key, value) in [("attention", "\"direct\""), ("gather", "4")] {
        let found = bad.with(&[("mapping", key, value)]).expect_err("no such value").render(false);
        assert!(found.contains("P0603") && found.contains(key), "{found}");
    }
}

/// The change of the target that makes room for this form, too, was tried.
#[test]
fn what_makes_room_is_said() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = model(&function(512, 900), dir.path());
    let small = indirect("centroid").with(&[("bank", "rows", "14")]).expect("a target");
    let found = lower_any(&model, &small).expect_err("too few rows").render(false);
    assert!(found.contains("P0606") && found.contains("rows of a bank"), "{found}");
    let change = found.split("`channels = ").nth(1).and_then(|rest| rest.split('`').next());
    let channels = change.unwrap_or_else(|| panic!("no change in {found}"));
    let larger = small.with(&[("stack", "channels", channels)]).expect("a target");
    assert!(try_lower_any(&model, &larger).is_ok(), "{found}");
}

/// Beside ours stands what the plan in that form says, of this model and target.
#[test]
fn our_report_has_the_same_step_in_that_form() {
    let dir = tempfile::tempdir().expect("a folder");
    let model = model(&function(512, 900), dir.path());
    let target = hbm(&[("unit", "table_bytes", "1000000")]);
    let plan = lower(&model, &target).expect("a plan");
    let report = Report::new(&plan, &model);
    let part = report.paper_form.as_ref().expect("a cache");
    assert_eq!((part.refused.as_ref(), part.ways.len()), (None, 2));
    for (way, gather) in part.ways.iter().zip([Gather::Centroid, Gather::Element]) {
        let form = FormPlan::new(&model, &target, gather).expect("a plan");
        let both = way.step.as_ref().expect("a short step");
        assert_eq!((both.resident.cycles, both.resident.tokens), (plan.cycles, 901));
        assert_eq!(both.resident.accesses, Some(report.run.reads));
        let made = form.run(&form.first_step(), &mut ());
        assert_eq!((both.indirect.cycles, both.indirect.tokens), (made.cycles, 901));
        assert_eq!(both.indirect.moved.total, made.moved.total());
        assert!((both.ratio - made.cycles as f64 / plan.cycles as f64).abs() < 1e-9);
        assert!(both.indirect.moved.scores > both.resident.moved.scores);
        let full = way.full.as_ref().expect("a small cache");
        assert_eq!((full.indirect.tokens, full.resident.tokens), (1000, 1000));
        assert!(full.resident.estimated && full.indirect.appended == 0);
        assert_eq!(full.indirect.cycles, form.run(&form.full_step(), &mut ()).cycles);
    }
    assert_eq!(part.ways.iter().map(|way| way.rows_in_reach).collect::<Vec<_>>(), [4, 1]);
    let page = html(&report);
    assert!(page.contains("The same step in the paper's form") && page.contains("4 rows"));

    // What cannot be made in that form is said, and ours is told as before.
    let long = model_of(1024, dir.path());
    let report = Report::new(&lower(&long, &target).expect("a plan"), &long);
    let part = report.paper_form.as_ref().expect("a cache");
    assert!(part.ways.is_empty(), "{part:?}");
    assert!(part.refused.as_ref().is_some_and(|why| why.contains("2 rows")), "{part:?}");
    assert!(html(&report).contains("It cannot be made"));
}

fn model_of(k: usize, dir: &Path) -> Model {
    let folder = dir.join(k.to_string());
    std::fs::create_dir(&folder).expect("a folder");
    model(&function(k, 900), &folder)
}

/// Our estimate of a full cache is that of a plan whose cache is full.
#[test]
fn a_full_cache_is_estimated() {
    let dir = tempfile::tempdir().expect("a folder");
    let target = hbm(&[("unit", "table_bytes", "1000000")]);
    let part = |start| {
        let f = CacheModel { append: false, ..function(64, start) };
        let folder = dir.path().join(start.to_string());
        std::fs::create_dir(&folder).expect("a folder");
        let model = model(&f, &folder);
        let plan = lower(&model, &target).expect("a plan");
        (plan.cycles, Report::new(&plan, &model).paper_form.expect("a cache"))
    };
    let ((_, early), (cycles, full)) = (part(100), part(1000));
    let estimated = |part: &pimc_lower::report::PaperPart| {
        part.ways[0].full.as_ref().map(|both| both.resident.cycles).expect("a small cache")
    };
    assert_eq!(estimated(&early), estimated(&full));
    let error = estimated(&full) as f64 / cycles as f64 - 1.0;
    assert!(error.abs() < 0.03, "{error}");
}
