//! The comparison with what is published: its page, the goals of speed, and the paper's form.

use pimc_lower::attention::compare::{
    attacc, function, measure, page, share, Clustering, Distances, ATTACC,
};
use pimc_lower::attention::literal::{schedule, Cause, Form, Gather, LiteralStep};
use pimc_lower::commands::{read_csv, write_timed, Command, Expanded, Timed};
use pimc_lower::legality;
use pimc_lower::Target;

fn hbm() -> Target {
    Target::named("hbm3-pim").expect("a target")
}

fn cycles(context: u32, append: bool) -> u64 {
    measure(&hbm(), 1, context, append).expect("a schedule").cycles
}

#[test]
fn a_step_at_32k_is_six_times_under_attacc() {
    let with = cycles(32768, true);
    assert!(with <= 22_200, "{with}");
    assert!(cycles(32768, false) <= with);
}

#[test]
fn shorter_contexts_are_under_attacc_of_8_bits() {
    for a in ATTACC {
        let with = cycles(a.context, true);
        assert!(with < a.int8, "{}: {with} of {}", a.context, a.int8);
    }
}

/// The parts of a step are all of it, and none is missing.
#[test]
fn parts_add_up() {
    for append in [true, false] {
        let m = measure(&hbm(), 4, 8192, append).expect("a schedule");
        let parts: u64 = m.parts.iter().map(|p| p.clocks).sum();
        assert_eq!(parts + m.refresh, m.cycles);
        assert_eq!(m.refresh % 456, 0);
        assert!(m.refresh >= 456);
        for what in ["build tables", "scores of key codes", "bucket weights by value codes"] {
            assert!(m.part(what) > 0, "{what}");
        }
        assert_eq!(m.part("keep the new token") > 0, append);
    }
}

fn literal(target: &Target, group: u32, context: u32, form: Form) -> LiteralStep {
    schedule(target, &function(group, context, false).ty, context, form)
}

fn forms() -> impl Iterator<Item = Form> {
    let flags = [(false, false), (true, false), (true, true), (false, true)];
    [Gather::Centroid, Gather::Element].into_iter().flat_map(move |gather| {
        flags.into_iter().map(move |(whole_columns, reduced)| Form {
            gather,
            whole_columns,
            reduced,
        })
    })
}

#[test]
fn commands_of_the_papers_form_are_legal() {
    for name in ["hbm3-pim", "hbm3-pim-uncapped", "hbm2-pim", "gddr6-aim", "lpddr5-pim"] {
        let target = Target::named(name).expect("a target");
        for (channels, context) in [("1", 1), ("2", 40), ("2", 41), ("2", 4096), ("8", 5000)] {
            let target = target.with(&[("stack", "channels", channels)]).expect("a target");
            for form in forms() {
                let s = literal(&target, 1, context, form);
                let found = legality::check(&target, s.commands.iter().copied(), s.cycles);
                let first = found.first().map(ToString::to_string);
                assert_eq!(first, None, "{name}, {channels}, {context}, {form:?}");
                assert_eq!(s.causes.iter().sum::<u64>(), s.cycles, "{name}, {form:?}");
            }
        }
    }
}

/// A command that comes a clock early is found: the checker looks at these commands.
#[test]
fn a_lookup_too_early_is_found() {
    let target = share(&hbm(), 1).expect("a target");
    let s = literal(&target, 1, 4096, Form::default());
    let at = s.commands.len() / 2;
    let pair = |t: &[Timed]| t.iter().all(|t| matches!(t.command, Command::Read { .. }));
    let at = (at..).find(|&i| pair(&s.commands[i - 1..=i])).expect("two lookups");
    let mut commands = s.commands.clone();
    commands[at].cycle -= 1;
    let found = legality::check(&target, commands, s.cycles);
    assert_eq!(found[0].rule, "CCD");
}

/// As a trace they are what other tools, and `pimc check --commands`, read.
#[test]
fn commands_of_the_papers_form_are_a_trace() {
    let target = share(&hbm(), 1).expect("a target");
    let s = literal(&target, 1, 4096, Form::default());
    let end = Expanded::End { cycle: s.cycles };
    let items = s.commands.iter().copied().map(Expanded::Command).chain([end]);
    let mut text = Vec::new();
    write_timed(items.map(Ok), &target, &mut text).expect("a trace");
    let read = read_csv("trace.csv", std::str::from_utf8(&text).expect("text")).expect("a trace");
    assert_eq!(read.end, Some(s.cycles));
    let plain = |t: &Timed| (t.cycle, t.command.name(), t.bank);
    assert!(read.commands.iter().map(plain).eq(s.commands.iter().map(plain)));
    assert!(legality::check(&target, read.commands, s.cycles).is_empty());
}

/// A column access is a lookup of one sub-vector of one token.
#[test]
fn the_papers_form_looks_up_every_sub_vector_of_every_token() {
    // 32 sub-vectors on 16, 32 and 128 banks: two in a bank, one, and one of a quarter of the tokens.
    for (channels, per_bank) in [("1", 2 * 4056), ("2", 4056), ("8", 4056 / 4)] {
        let target = hbm().with(&[("stack", "channels", channels)]).expect("a target");
        let of = |gather| literal(&target, 1, 4096, Form { gather, ..Form::default() });
        assert_eq!(of(Gather::Centroid).lookups, [per_bank; 2]);
        assert_eq!(of(Gather::Element).lookups, [per_bank, 4 * per_bank]);
        let s = of(Gather::Centroid);
        let reads = s.commands.iter().filter(|t| matches!(t.command, Command::Read { .. })).count();
        let writes =
            s.commands.iter().filter(|t| matches!(t.command, Command::Write { .. })).count() as u64;
        // Codebook, exact tokens of both sides, codes of both sides; the table written.
        let slices = if channels == "1" { 2 } else { 1 };
        let exact = if channels == "8" { 3 } else { 10 };
        let rest = slices * (128 + 2 * exact) + s.code_columns;
        assert_eq!(reads as u64, 2 * per_bank + rest);
        assert_eq!(writes, slices * 32);
        assert_eq!(s.code_columns, 2 * slices * (per_bank / slices).div_ceil(28));
    }
}

/// 32 bytes of scores a token and pseudo-channel; with all lanes used they are the bound.
#[test]
fn unreduced_sums_load_the_bus() {
    let target = share(&hbm(), 1).expect("a target");
    let s = literal(&target, 1, 32768, Form::default());
    assert_eq!(s.moved.scores, 32 * (32768 + 40 - 40));
    assert_eq!(s.clocks(Cause::KeyLookups), 6 * 32728);
    let whole = literal(&target, 1, 32768, Form { whole_columns: true, ..Form::default() });
    assert_eq!(whole.lookups, [32728u64.div_ceil(448) * 28 - 28 + 2, 32728u64.div_ceil(4)]);
    assert!(whole.clocks(Cause::Bus) > whole.clocks(Cause::KeyLookups));
    let both = Form { whole_columns: true, reduced: true, ..Form::default() };
    assert!(literal(&target, 1, 32768, both).clocks(Cause::Bus) < 100);
}

#[test]
fn distances_of_a_long_context_are_what_is_said() {
    let d = Distances::new(&hbm(), 32768).expect("a target");
    assert_eq!(d.bytes, 64 << 30);
}

/// More tokens at once take fewer clocks, and the parts of a cluster are all of it.
#[test]
fn clustering_is_a_schedule() {
    let ours: Vec<Clustering> =
        [1, 2, 8].map(|e| Clustering::new(&hbm(), 600, e).expect("a schedule")).to_vec();
    assert!(ours.windows(2).all(|w| w[1].cycles < w[0].cycles), "{ours:?}");
    for c in &ours {
        let parts: u64 = c.parts.iter().map(|p| p.clocks).sum();
        assert_eq!(parts + c.refresh, c.cycles);
        let off = c.estimate as f64 / c.cycles as f64 - 1.0;
        assert!(off.abs() < 0.03, "{off}");
        // Keys and values of 128 bytes, twice 16 banks, in whole columns: of 560 tokens 70 columns, of 40
        // exact ones 5.
        assert_eq!(c.written[0], 32 * 2 * 32 * 75 * 32);
    }
    // Fewer tokens than one of a cluster, which still attends.
    assert_eq!(Clustering::new(&hbm(), 40, 8).expect("a schedule").runs, 1);
}

#[test]
fn contexts_without_figures_are_an_error() {
    assert!(attacc(4096).is_ok());
    assert_eq!(attacc(5000).unwrap_err().to_string(), "no figures of AttAcc for 5000 tokens");
}

#[test]
fn the_page_is_what_the_code_computes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/attention.md");
    let shown = std::fs::read_to_string(path).expect("the page");
    let now = page(&hbm()).expect("the page");
    for (i, (shown, now)) in shown.lines().zip(now.lines()).enumerate() {
        assert_eq!(shown, now, "line {}; made again by the command at its top", i + 1);
    }
    assert_eq!(shown.lines().count(), now.lines().count());
}
