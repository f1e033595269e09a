//! The report: where every clock went, the limit, the estimate, the trace.

use crate::common::*;
use pimc_ir::testing::ModelBuilder;
use pimc_ir::{Code, Model};
use pimc_lower::report::{of_limit, physical_limit, stream_limit, Cycles, Parts, Report};
use pimc_lower::{assembly, lower, Choice, Content, Plan, Split, Step, Target, Why};
use pimc_rtl::isa::Action;
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

/// Whether no program is made of a function: of two caches, and of odd sizes.
fn refused(name: &str, text: &str) -> bool {
    text.matches("\ncache @").count() > 1 || name.contains("attend_odd_sizes")
}

/// Every example on every built-in target: its name, model and plan.
fn on_examples(check: impl Fn(&str, &Model, &Plan)) {
    for path in examples() {
        let model = pimc_ir::load(&path).unwrap_or_else(|d| panic!("{d}"));
        for target in Target::built_in() {
            let name = format!("{} on {}", path.display(), target.name);
            if refused(&name, &model.source) {
                let found = lower(&model, &target).expect_err(&name);
                assert!(found.list().iter().all(|d| d.code == Code::P0607), "{name}: {found}");
                continue;
            }
            // Room for the tables of many rows of queries.
            let target = target.with(&[("unit", "table_bytes", "1000000")]).expect(&name);
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
        // A step on a cache may be so short that a refresh more or less, or the instructions between a
        // head's streams, are more than that.
        let (off, rfc) = (estimate.cycles.abs_diff(cycles), u64::from(plan.target.timing.rfc));
        let short = plan.cache.as_ref().is_some_and(|cache| {
            let share = |clocks: u64| clocks as f64 / cycles as f64;
            off <= 120 * u64::from(cache.layout.slots) || share(off.abs_diff(rfc)) <= 0.03
        });
        let near = error.abs() <= 0.03 || short;
        assert!(near, "{name}: {estimate:?} of {cycles}: {:.2} %", 100.0 * error);
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
        if plan.cache.is_some() {
            // Results come one by one while nothing else goes on; in a refresh of it no clock is theirs.
            let results =
                u64::from(plan.shape.bank.attention.as_ref().map_or(0, |a| a.row_results()));
            assert!(cycles.total.drain >= results, "{name}: {:?}", cycles.total);
            let reads = plan
                .walk()
                .flatten()
                .filter(|i| matches!(i.action, Action::Read | Action::Write))
                .count() as u64;
            let read = cycles.total.table_build + cycles.total.stream;
            assert_eq!(read, interval * reads, "{name}");
            return;
        }
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
        codebook: false,
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

/// What passes between a closed row and the next one of its stream is the rows', behind the last one
/// of a stream it is nobody's.
#[test]
fn rows_that_wait_for_one_another() {
    // 4 act, 14 read, 24 pre, 40 act, 50 read, 60 pre, 80 stream, 84 act, 94 read, 104 pre, 150 end.
    let text = format!(
        "{STREAM}\nrow 3 0 +2\nact +10\nread +10\npre +16\nact +10\nread +10\npre +20\n\
         {STREAM}\nrow 9 0 +2\nact +10\nread +10\npre +46\nend +2\n"
    );
    let steps = [(0, Some(0), Some(1)), (8, Some(1), Some(1)), (13, None, None)];
    let cycles = Cycles::new(&by_hand(&text, &steps));
    let first = Parts {
        stream: 2 * 6,
        // 4..14, 20..50; from 56 on it is the drain's, up to 69, and the row is closed at 68.
        rows: 10 + 30,
        drain: 13,
        // 0..4 and 69..80.
        other: 4 + 11,
        ..Parts::default()
    };
    let second = Parts { stream: 6, rows: 10, drain: 13, other: 4 + 37, ..Parts::default() };
    assert_eq!((cycles.ops[0], cycles.ops[1]), (first, second));
    assert_eq!((cycles.end, summed(&cycles)), (Parts::default(), 150));
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

/// Parts add up on random models and odd targets, where things overlap that do not elsewhere.
#[test]
fn parts_add_up_whatever_the_timing() {
    let base = Target::named("hbm3-pim").expect("built in");
    let mut targets = vec![base.clone(), base.clone(), base.clone(), base];
    let t = &mut targets[1].timing;
    (t.rcd, t.rp, t.ras, t.rc, t.rtp, t.ccd) = (101, 57, 333, 400, 29, 17);
    let t = &mut targets[2].timing;
    (t.rcd, t.rp, t.ras, t.rc, t.rtp, t.ccd, t.rfc) = (1, 1, 1, 2, 1, 1, 2);
    (targets[3].timing.rfc, targets[3].timing.refi) = (3000, 3400);
    for target in targets {
        for seed in 0..40 {
            let model = random(seed).build().unwrap_or_else(|d| panic!("{d}"));
            let plan = plan(&model, &target);
            let cycles = Cycles::new(&plan);
            assert_eq!(cycles.total.total(), plan.cycles, "seed {seed}");
            assert_eq!(summed(&cycles), plan.cycles, "seed {seed}");
            let estimate = &plan.estimate;
            let parts = [estimate.streams, estimate.refresh, estimate.loads, estimate.buffer];
            assert_eq!(parts.iter().sum::<u64>() + estimate.drains, estimate.cycles);
        }
    }
}

/// The limit of a stream, by hand from the numbers of the built-in target.
#[test]
fn the_limit_by_hand() {
    let target = Target::named("hbm3-pim").expect("built in");
    let refresh = 5070.0 / (5070.0 - 456.0);
    // rcd 19, rtp 8, rp 19, 31 intervals of 6; a row of one column takes rc, 63.
    for (columns, clocks) in [(0, 0), (1, 63), (2, 63), (4, 64), (32, 232), (33, 295), (64, 464)] {
        let got = stream_limit(&target, columns);
        assert!((got - f64::from(clocks) * refresh).abs() < 1e-9, "{columns}: {got}");
    }
    // Slow units are no excuse: the limit is the DRAM's.
    let mut fast = target.clone();
    fast.timing.ccd = 2;
    assert!((stream_limit(&fast, 32) - 108.0 * refresh).abs() < 1e-9);
    assert_eq!((of_limit(10, 0.0), of_limit(30, 20.0)), (None, Some(1.5)));
}

/// A long stream comes close to the limit, and never below; so does the program of each example.
#[test]
fn no_program_beats_the_limit() {
    on_examples(|name, model, plan| {
        let limit = physical_limit(plan);
        let report = Report::new(plan, model);
        assert!(plan.cycles as f64 >= limit, "{name}: {} of {limit}", plan.cycles);
        let ops: f64 = report.ops.iter().map(|o| o.limit_cycles).sum();
        assert!((ops - limit).abs() < 1e-6, "{name}: the ops' limits are {ops} of {limit}");
        let reads =
            plan.walk().flatten().filter(|i| matches!(i.action, Action::Read | Action::Write));
        let columns = reads.count() as u64;
        assert_eq!((report.run.reads, limit > 0.0), (columns, columns > 0), "{name}");
    });
    let mut rng = Rng::new(2);
    let model = int(&mut rng, 1024, 1024, None).build().unwrap_or_else(|d| panic!("{d}"));
    let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
    let ratio = plan.cycles as f64 / physical_limit(&plan);
    assert!((1.0..1.05).contains(&ratio), "{ratio}");
}

/// The report's words on matvecs whose banks and bits are counted by hand.
#[test]
fn what_a_matvec_wastes() {
    let hbm = Target::named("hbm3-pim").expect("built in");
    let part = |builder: &ModelBuilder, target: &Target| {
        let model = builder.build().unwrap_or_else(|d| panic!("{d}"));
        let report = Report::new(&plan(&model, target), &model);
        report.ops[0].matvec.clone().expect("a matvec")
    };
    let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-9, "{got} is not {want}");
    let rng = &mut Rng::new(3);

    // 10 rows of 16 banks, a bit for each of 256 inputs: a column each, full.
    let m = part(&supermask(rng, 10, 256, 1, ", seed=1", 50, 8), &hbm);
    near(m.idle_banks, 6.0 / 16.0);
    near(m.padding, 0.0);
    assert_eq!((m.macs, m.bytes, m.bits_used), (2560, 16 * 32, 2560));
    assert_eq!((m.split, m.why, m.inputs_cycles), (Split::Rows, Why::Format, None));
    assert!(m.words[1].contains("37.5 %") && m.words[1].contains("10 rows"), "{:?}", m.words);
    near(m.intensity(), 5.0);

    // 32 rows of 24 bytes fill three beats of a column's four.
    let rows = hbm.with(&[("mapping", "split", "\"rows\"")]).unwrap_or_else(|d| panic!("{d}"));
    let m = part(&int(rng, 32, 24, None), &rows);
    near(m.idle_banks, 0.0);
    near(m.padding, 0.25);
    assert_eq!((m.split, m.why), (Split::Rows, Why::Target));
    assert!(m.words[0].contains("the target asks for it"), "{:?}", m.words);
    // Eight MACs a clock of 769 ps in each of 16 units.
    near(m.unit_gmacs, 8.0 * 16.0 / 0.769);

    // 32 rows of 32 codes of four bits: two beats of a column's four. The codebook of 32 sub-vectors
    // has 16 centroids of two bytes each: whole columns, the same ones in every bank.
    let m = part(&pq(rng, 32, 32, 2, 16, false), &rows);
    assert_eq!((m.bytes, m.bits_used), (16 * 32 * (2 + 32), 32 * 32 * 4 + 16 * 32 * 16 * 2 * 8));
    // 32 columns of codebook and two half-full ones of codes.
    near(m.padding, 1.0 / 34.0);
    // Sixteen codes of two inputs a beat.
    near(m.unit_gmacs, 32.0 * 16.0 / 0.769);

    // A block row of one block and two bases, each in four slices of whole bytes: eight of 16 banks.
    let m = part(&bqq(rng, (1, 1), (64, 64), 2, 8), &hbm);
    near(m.idle_banks, 8.0 / 16.0);
    assert!(m.words[0].contains("4 slices"), "{:?}", m.words);
    assert_eq!((m.split, m.why, m.rows_cycles), (Split::Inputs, Why::Format, None));
    // l = 32: 32 * 128 signs and three scalars of 16 bits for each basis, u of 32 bits.
    assert_eq!(m.bits_used, 2 * (32 * 128 + 48) + 32);
}

/// The choice between the splits and its costs are kept, forced or not.
#[test]
fn splits_keep_what_they_were_chosen_from() {
    let mut rng = Rng::new(4);
    let hbm = Target::named("hbm3-pim").expect("built in");
    for (rows, parts) in [(16, 8), (2048, 512)] {
        let model =
            pq(&mut rng, rows, parts, 2, 16, false).build().unwrap_or_else(|d| panic!("{d}"));
        let free = plan(&model, &hbm).splits[0];
        let (r, i) = (free.rows.expect("clocks"), free.inputs.expect("clocks"));
        let fewest = if i < r { Split::Inputs } else { Split::Rows };
        assert_eq!((free.split, free.why), (fewest, Why::Clocks));
        for (name, split) in [("\"rows\"", Split::Rows), ("\"inputs\"", Split::Inputs)] {
            let target = hbm.with(&[("mapping", "split", name)]).unwrap_or_else(|d| panic!("{d}"));
            let forced = plan(&model, &target);
            assert_eq!(forced.splits.len(), 1);
            let Choice { split: chosen, why, rows, inputs, .. } = forced.splits[0];
            assert_eq!((chosen, why), (split, Why::Target));
            assert_eq!((rows, inputs), (free.rows, free.inputs));
            assert!(forced.streams.iter().all(|s| s.split == split));
        }
    }
}

/// The same of random models, long streams, many channels and other refresh intervals, where what
/// the estimate leaves out could add up.
#[test]
fn the_estimate_holds_elsewhere() {
    let hbm = Target::named("hbm3-pim").expect("built in");
    let with = |changes: &[(&str, &str, &str)]| hbm.with(changes).unwrap_or_else(|d| panic!("{d}"));
    let targets = [
        hbm.clone(),
        with(&[("stack", "channels", "4")]),
        with(&[("mapping", "split", "\"inputs\"")]),
        with(&[("refresh", "refi", "2000")]),
        with(&[("bank", "columns", "64")]),
    ];
    let mut worst = 0f64;
    let mut near = |builder: &ModelBuilder, target: &Target, name: &str| {
        let model = builder.build().unwrap_or_else(|d| panic!("{d}"));
        let plan = plan(&model, target);
        let error = plan.estimate.error(plan.cycles);
        worst = worst.max(error.abs());
        assert!(error.abs() <= 0.03, "{name}: {:?} of {}", plan.estimate, plan.cycles);
    };
    for (n, target) in targets.iter().enumerate() {
        for seed in 0..120 {
            near(&random(seed), target, &format!("target {n}, seed {seed}"));
        }
        let mut rng = Rng::new(9);
        near(&int(&mut rng, 700, 600, Some(60)), target, &format!("target {n}, groups"));
        near(&int(&mut rng, 900, 1000, None), target, &format!("target {n}, integers"));
        near(&pq(&mut rng, 512, 128, 4, 256, false), target, &format!("target {n}, codes"));
        near(&bqq(&mut rng, (4, 4), (64, 64), 2, 8), target, &format!("target {n}, blocks"));
        near(&supermask(&mut rng, 999, 700, 2, ", seed=1", 50, 8), target, "a mask");
    }
    eprintln!("at worst {:.2} %", 100.0 * worst);
}
