//! The report: where every clock went, the limit, the estimate, the trace.

mod common;

use common::*;
use pimc_ir::Model;
use pimc_lower::report::{Cycles, Parts};
use pimc_lower::{assembly, Content, Plan, Step, Target};
use std::path::{Path, PathBuf};

/// Every model in the tree that can be compiled: the examples and golden's vectors.
fn examples() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = Vec::new();
    let mut folders = vec![root.join("examples"), root.join("golden/tests/vectors")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "ir") {
                found.push(path);
            }
        }
    }
    found.sort();
    assert!(found.len() > 50, "the examples were not found");
    found
}

/// Every example on every built-in target: its name, model and plan.
fn on_examples(check: impl Fn(&str, &Model, &Plan)) {
    for path in examples() {
        let model = pimc_ir::load(&path).unwrap_or_else(|d| panic!("{d}"));
        for target in Target::built_in() {
            let name = format!("{} on {}", path.display(), target.name);
            check(&name, &model, &plan(&model, &target));
        }
    }
}

#[test]
fn the_estimate_is_within_three_percent_on_every_example() {
    on_examples(|name, _, plan| {
        let (estimate, cycles) = (&plan.estimate, plan.cycles);
        let parts = [estimate.streams, estimate.refresh, estimate.loads];
        let parts = parts.iter().sum::<u64>() + estimate.buffer + estimate.drains;
        assert_eq!(parts, estimate.cycles, "{name}");
        let error = estimate.cycles as f64 / cycles as f64 - 1.0;
        eprintln!("{name}: {} of {cycles}: {:.2} %", estimate.cycles, 100.0 * error);
        assert!(error.abs() <= 0.03, "{name}: {estimate:?} of {cycles}: {:.2} %", 100.0 * error);
    });
}

/// What the parts of one op and the other ones must add up to.
fn summed(cycles: &Cycles) -> u64 {
    cycles.ops.iter().chain([&cycles.end]).map(Parts::total).sum()
}

#[test]
fn the_parts_add_up_to_every_clock() {
    on_examples(|name, _, plan| {
        let cycles = Cycles::new(plan);
        assert_eq!(cycles.total.total(), plan.cycles, "{name}");
        assert_eq!(summed(&cycles), plan.cycles, "{name}");
        let interval = u64::from(plan.target.column_interval());
        let columns = |books: bool| {
            let steps = plan.steps.iter().filter_map(|s| s.stream).map(|s| plan.streams[s]);
            let all = steps.filter(|s| (s.content == Content::Codebook) == books);
            interval * all.map(|s| u64::from(s.columns)).sum::<u64>()
        };
        assert_eq!(cycles.total.table_build, columns(true), "{name}");
        assert_eq!(cycles.total.stream, columns(false), "{name}");
    });
}

/// A plan of some model on a target of small numbers, whose program is the given text and whose
/// steps begin at the given instructions, each with its op and its stream.
fn by_hand(text: &str, steps: &[(usize, Option<usize>, Option<usize>)]) -> Plan {
    let mut rng = Rng::new(1);
    let model = pq(&mut rng, 5, 4, 2, 4, false).build().unwrap_or_else(|d| panic!("{d}"));
    let mut target = Target::named("hbm3-pim").expect("built in");
    let t = &mut target.timing;
    (t.rcd, t.rp, t.ras, t.rc, t.rtp, t.cl, t.ccd, t.rfc) = (10, 8, 20, 28, 5, 12, 6, 100);
    let mut plan = plan(&model, &target);
    plan.program = assembly::parse("p", text).expect("parses");
    let step = |&(first, op, stream): &(usize, Option<usize>, Option<usize>)| Step {
        op,
        first,
        cycle: 0,
        stream,
        what: String::new(),
    };
    plan.steps = steps.iter().map(step).collect();
    plan
}

const STREAM: &str = "stream mode=0 columns=1 tail=1 coats=1 key=0 +2";

/// Two rows of a stream of codes with a refresh in between, worked out by hand.
#[test]
fn a_stream_across_a_refresh() {
    // Clocks: 0 stream, 2 row, 4 act, 14 and 20 read, 26 pre, 36 ref, 140 act, 150 read, 160 pre.
    let text = format!(
        "{STREAM}\nrow 3 0 +2\nact +10\nread +6\nread +6\npre +10\nref +104\nact +10\nread +10\n\
         pre +15\nend +2\n"
    );
    let plan = by_hand(&text, &[(0, Some(0), Some(1)), (10, None, None)]);
    let cycles = Cycles::new(&plan);
    // The last read is at 150 and its results are there after cl, 1, 4 beats and 2 of the unit.
    let (drain, end) = ((156, 169), 175);
    let expected = Parts {
        stream: 3 * 6,
        // 4..14, 26..34 (precharge and rp), 140..150.
        rows: 10 + 8 + 10,
        // 34..140: two clocks before it, rfc, four behind it.
        refresh: 106,
        drain: drain.1 - drain.0,
        other: 4 + (end - drain.1),
        ..Parts::default()
    };
    assert_eq!(expected.total(), end);
    assert_eq!((cycles.total, cycles.ops[0], cycles.end), (expected, expected, Parts::default()));
}

/// A load that hides most of a refresh and the opening of a row, a codebook, an operation of the
/// buffer unit, and a program's end that belongs to no op.
#[test]
fn what_hides_what() {
    let mut bytes = by_hand("end +2\n", &[(0, None, None)]);
    // Sixteen lanes: 64 elements are 4 steps, and 6 clocks of latency.
    let add = "vec add a=0:1 b=0:1 d=0 len=64 +10";
    // Loads: a word of 8 bytes a clock, and 2 clocks of latency: 800 bytes take 102.
    let load = "vec load_bytes a=0:1 b=8:0 d=8 len=800 +92";
    // 0 ref, 2 load (to 104), 94 stream, 96 row, 98 act, 108 read, 116 pre, 129 add (to 139),
    // 139 ref, 250 end.
    let text = format!(
        "ref +2\n{load}\n{STREAM}\nrow 0 0 +2\nact +10\nread +8\npre +13\n{add}\nref +111\nend +2\n"
    );
    let steps = [(1, Some(0), None), (2, Some(0), Some(0)), (7, Some(1), None), (8, None, None)];
    bytes.program = by_hand(&text, &steps).program;
    bytes.steps = by_hand(&text, &steps).steps;
    let cycles = Cycles::new(&bytes);
    let first = Parts {
        table_build: 6,
        load: 102,
        // 104..108; what is before is the load's. 114..124 is the drain's, as is 124..127.
        rows: 4,
        // The two clocks before the load.
        refresh: 2,
        // From 114 to the results at 108 + 12 + 1 + 4 + 2.
        drain: 13,
        // 127..129.
        other: 2,
        ..Parts::default()
    };
    let second = Parts { buffer: 10, ..Parts::default() };
    let end = Parts { refresh: 100, other: 11, ..Parts::default() };
    assert_eq!((cycles.ops[0], cycles.ops[1], cycles.end), (first, second, end));
    assert_eq!(summed(&cycles), 250);
}
