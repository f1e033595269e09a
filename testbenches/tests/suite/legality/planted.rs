//! Every rule, broken by one clock or by one state: both checkers name that rule, that bank, that
//! clock and the earliest legal one, and find nothing in the trace that keeps it.

use super::twice::{both, replay, END_MARGIN};
use pimc_cosim::dram::{DramTiming, NUMBERS, RULES};
use pimc_cosim::replay::End;
use pimc_lower::commands::{Command, Timed};
use pimc_lower::Target;
use std::collections::BTreeSet;

/// Of which banks a rule is told.
#[derive(Clone, Copy, Debug)]
enum Of {
    Channel,
    Every,
    Bank(u32),
}
use Of::{Bank, Channel, Every};

/// What bounds the planted command.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// It comes a clock too early: its first legal clock.
    Early(u64),
    /// It comes a clock too late: its last legal clock.
    Late(u64),
    /// It is legal at no clock.
    Never,
}
use Bound::{Early, Late, Never};

/// A trace in words: `CLOCK COMMAND [bBANK] [rROW] [cCOLUMN]`, separated by `;`, the last one `END`
/// for a whole run.
fn trace(text: &str) -> (Vec<Timed>, Option<u64>) {
    let (mut commands, mut end) = (Vec::new(), None);
    for (instr, item) in text.split(';').map(str::trim).enumerate() {
        let mut words = item.split_whitespace();
        let cycle: u64 = words.next().unwrap().parse().unwrap();
        let name = words.next().unwrap();
        let (mut bank, mut row, mut col) = (None, 1, 0);
        for word in words {
            let value: u32 = word[1..].parse().unwrap();
            match &word[..1] {
                "b" => bank = Some(value),
                "r" => row = value,
                _ => col = value,
            }
        }
        let command = match name {
            "ACT" => Command::Act { row },
            "RD" => Command::Read { row, col },
            "WR" => Command::Write { row, col },
            "PRE" => Command::Pre,
            "REF" => Command::Ref,
            "RFM" => Command::Rfm,
            "END" => {
                end = Some(cycle);
                continue;
            }
            other => panic!("{other}"),
        };
        commands.push(Timed { cycle, command, bank, instr });
    }
    (commands, end)
}

/// Values of the target that are changed: section, key, value.
type Changes = &'static [(&'static str, &'static str, &'static str)];

/// The rule, the target's changes, the commands before the one in question, that command with `@`
/// for its clock, the clock at which it is legal and the one at which it is not, of which banks the
/// rule is told, and what bounds it.
struct Case(&'static str, Changes, &'static str, &'static str, Of, Bound);

/// Cases of distances; without an end, since many stop in the middle.
const DISTANCES: &[Case] = &[
    // Refresh to anything: of all banks, of one, and refresh management.
    Case("RFC", &[], "0 REF", "@ ACT", Every, Early(456)),
    Case("RFC", &[], "0 REF", "@ ACT b7", Bank(7), Early(456)),
    Case("RFC", &[], "0 REF", "@ PRE", Every, Early(456)),
    Case("RFC", &[], "0 REF", "@ REF", Every, Early(456)),
    Case("RFC", &[], "0 REF", "@ REF b3", Bank(3), Early(456)),
    Case("RFC", &[], "0 REF", "@ RFM", Every, Early(456)),
    Case("RFC", &[], "0 REF; 456 REF b3", "@ ACT b3", Bank(3), Early(716)),
    Case("RFC", &[], "0 REF; 456 REF b3", "@ REF b3", Bank(3), Early(716)),
    Case("RFC", &[], "0 REF; 456 REF b3", "@ REF", Bank(3), Early(716)),
    Case("RFC", &[], "0 REF; 456 REF b3", "@ PRE", Bank(3), Early(716)),
    Case("RFC", &[("refresh", "rfm", "500")], "0 REF; 456 RFM", "@ ACT", Every, Early(956)),
    Case("RFC", &[("refresh", "rfm_pb", "99")], "0 REF; 456 RFM b0", "@ REF", Bank(0), Early(555)),
    // Of two refreshes the one that holds the bank longer.
    Case(
        "RFC",
        &[("refresh", "rfc_pb", "900")],
        "0 REF; 456 REF b3; 800 RFM b5",
        "@ ACT",
        Bank(3),
        Early(1356),
    ),
    // Within a bank.
    Case("RCD", &[], "0 REF; 456 ACT", "@ RD", Every, Early(475)),
    Case("RCD", &[], "0 REF; 456 ACT; 475 RD; 520 PRE b3; 539 ACT b3", "@ RD", Bank(3), Early(558)),
    Case("RCD", &[], "0 REF; 456 ACT b9", "@ RD b9", Bank(9), Early(475)),
    Case("RCD", &[("timing", "rcd_wr", "23")], "0 REF; 456 ACT b9", "@ WR b9", Bank(9), Early(479)),
    Case("RCD", &[("timing", "rcd_wr", "9")], "0 REF; 456 ACT", "@ WR", Every, Early(465)),
    Case("RAS", &[], "0 REF; 456 ACT", "@ PRE", Every, Early(501)),
    Case("RAS", &[], "0 REF; 456 ACT b2; 470 ACT b6", "@ PRE", Bank(6), Early(515)),
    Case("RAS", &[], "0 REF; 456 ACT b2; 470 ACT b6", "@ PRE b2", Bank(2), Early(501)),
    Case("RTP", &[], "0 REF; 456 ACT; 500 RD", "@ PRE", Every, Early(508)),
    Case("RTP", &[], "0 REF; 456 ACT; 494 RD; 500 RD b4", "@ PRE", Bank(4), Early(508)),
    Case("RTP", &[], "0 REF; 456 ACT b4; 500 RD b4", "@ PRE b4", Bank(4), Early(508)),
    Case("WR", &[], "0 REF; 456 ACT b4; 500 WR b4", "@ PRE b4", Bank(4), Early(529)),
    Case("WR", &[], "0 REF; 456 ACT; 500 WR", "@ PRE", Every, Early(529)),
    Case("RC", &[("timing", "rc", "77")], "0 REF; 456 ACT; 501 PRE", "@ ACT", Every, Early(533)),
    Case("RC", &[("timing", "rc", "77")], "0 REF; 456 ACT; 501 PRE", "@ REF", Every, Early(533)),
    Case(
        "RC",
        &[("timing", "rc", "77")],
        "0 REF; 456 ACT b1; 501 PRE b1",
        "@ REF",
        Bank(1),
        Early(533),
    ),
    Case(
        "RC",
        &[("timing", "rc", "77")],
        "0 REF; 456 ACT b1; 501 PRE b1",
        "@ REF b1",
        Bank(1),
        Early(533),
    ),
    Case(
        "RC",
        &[("timing", "rc", "77")],
        "0 REF; 456 ACT b1; 501 PRE b1",
        "@ RFM",
        Bank(1),
        Early(533),
    ),
    Case("RP", &[], "0 REF; 456 ACT; 510 PRE", "@ ACT", Every, Early(529)),
    Case("RP", &[], "0 REF; 456 ACT; 510 PRE", "@ REF", Every, Early(529)),
    Case("RP", &[], "0 REF; 456 ACT; 510 PRE", "@ RFM", Every, Early(529)),
    Case("RP", &[], "0 REF; 456 ACT b8; 510 PRE b8", "@ REF b8", Bank(8), Early(529)),
    Case("RP", &[], "0 REF; 456 ACT b8; 510 PRE b8", "@ REF", Bank(8), Early(529)),
    Case("RP", &[], "0 REF; 456 ACT b8; 510 PRE b8", "@ RFM b8", Bank(8), Early(529)),
    // The precharge of a closed bank counts.
    Case("RP", &[], "0 REF; 456 PRE", "@ REF", Every, Early(475)),
    // Column accesses.
    Case("CCD", &[], "0 REF; 456 ACT; 475 RD", "@ RD", Channel, Early(481)),
    Case("CCD", &[], "0 REF; 456 ACT; 475 WR", "@ WR", Channel, Early(481)),
    Case("CCD", &[], "0 REF; 456 ACT; 475 RD b0", "@ RD b3", Channel, Early(479)),
    Case("CCD", &[], "0 REF; 456 ACT; 475 RD b0", "@ RD b4", Channel, Early(477)),
    Case("CCD", &[], "0 REF; 456 ACT; 475 WR b15", "@ WR b12", Channel, Early(479)),
    Case("CCD", &[], "0 REF; 456 ACT; 475 WR b15", "@ WR b11", Channel, Early(477)),
    Case("CCD", &[], "0 REF; 456 ACT; 475 RD", "@ RD b3", Channel, Early(481)),
    Case("CCD", &[], "0 REF; 456 ACT; 475 RD b3", "@ RD", Channel, Early(481)),
    // The older access of the same group binds longer than the younger one of another.
    Case(
        "CCD",
        &[("timing", "ccd_l", "9")],
        "0 REF; 456 ACT; 475 RD b0; 477 RD b4",
        "@ RD b1",
        Channel,
        Early(484),
    ),
    Case("WTR", &[], "0 REF; 456 ACT; 475 WR b0", "@ RD b1", Channel, Early(494)),
    Case("WTR", &[], "0 REF; 456 ACT; 475 WR b0", "@ RD b5", Channel, Early(491)),
    Case("WTR", &[], "0 REF; 456 ACT; 475 WR b0", "@ RD", Channel, Early(494)),
    Case("WTR", &[], "0 REF; 456 ACT; 475 WR", "@ RD b5", Channel, Early(494)),
    Case("RTW", &[], "0 REF; 456 ACT; 475 RD b0", "@ WR b9", Channel, Early(492)),
    Case("RTW", &[], "0 REF; 456 ACT; 475 RD", "@ WR b9", Channel, Early(492)),
    Case("RTW", &[("timing", "turn", "5")], "0 REF; 456 ACT; 475 RD", "@ WR", Channel, Early(495)),
    // Activates beside one another.
    Case("RRD", &[], "0 REF; 456 ACT b0", "@ ACT b1", Channel, Early(460)),
    Case("RRD", &[], "0 REF; 456 ACT b0", "@ ACT b4", Channel, Early(458)),
    Case("RRD", &[], "0 REF; 456 ACT b0", "@ REF b3", Channel, Early(460)),
    Case("RRD", &[], "0 REF; 456 ACT b0", "@ REF b15", Channel, Early(458)),
    Case("RRD", &[], "0 REF; 456 ACT b0", "@ RFM b3", Channel, Early(460)),
    Case("RRD", &[("refresh", "rrefd", "1")], "0 REF; 456 REF b0", "@ ACT b3", Channel, Early(460)),
    Case("RRD", QUICK_ROWS, "0 REF; 456 ACT; 457 PRE b3", "@ ACT b3", Channel, Early(460)),
    Case("RRD", QUICK_ROWS, "0 REF; 456 ACT b3; 457 PRE b3", "@ ACT", Channel, Early(460)),
    Case(
        "FAW",
        &[],
        "0 REF; 456 ACT b0; 458 ACT b4; 460 ACT b8; 462 ACT b12",
        "@ ACT b1",
        Channel,
        Early(495),
    ),
    Case(
        "FAW",
        &[],
        "0 REF; 456 ACT b0; 466 ACT b4; 476 ACT b8; 486 ACT b12; 496 ACT b1",
        "@ ACT b5",
        Channel,
        Early(505),
    ),
    Case(
        "FAW",
        &[("timing", "faw_all_bank", "true")],
        "0 REF; 456 ACT; 501 PRE",
        "@ ACT",
        Channel,
        Early(612),
    ),
    Case(
        "FAW",
        &[("timing", "faw_all_bank", "true")],
        "0 REF; 456 ACT; 501 PRE",
        "@ ACT b0",
        Channel,
        Early(612),
    ),
    Case(
        "FAW",
        FOUR_OF_TWO,
        "0 REF; 456 ACT; 501 PRE; 520 ACT; 565 PRE",
        "@ ACT",
        Channel,
        Early(656),
    ),
    Case("RREFD", &[], "0 REF; 456 REF b0", "@ REF b15", Channel, Early(467)),
    Case("RREFD", &[], "0 REF; 456 REF b0", "@ REF b1", Channel, Early(467)),
    Case("RREFD", &[], "0 REF; 456 REF b0", "@ ACT b15", Channel, Early(467)),
    Case("RREFD", &[], "0 REF; 456 RFM b0", "@ REF b15", Channel, Early(467)),
    // Refreshes that come late: of all banks, of one, with some postponed.
    Case("REFI", &[], "0 REF", "@ REF", Every, Late(5070)),
    Case("REFI", &[], "0 REF; 3000 REF b3", "@ REF", EVERY_BUT_3, Late(5070)),
    Case("REFI", &[], "0 REF; 3000 REF; 5000 RFM", "@ REF", Every, Late(8070)),
    Case("REFI", POSTPONED, "0 REF", "@ REF", Every, Late(3 * 5070)),
    Case("REFI", POSTPONED, "0 REF; 15210 REF", "@ REF", Every, Late(4 * 5070)),
    Case("REFI", POSTPONED, "0 REF; 1000 REF", "@ REF", Every, Late(1000 + 3 * 5070)),
    // The end of a run.
    Case("RFC", &[], "0 REF", "@ END", Every, Early(456)),
    Case("RFC", &[], "0 REF; 456 REF b3", "@ END", Bank(3), Early(716)),
    Case("RP", &[], "0 REF; 456 ACT; 510 PRE", "@ END", Every, Early(529)),
    Case("RP", &[], "0 REF; 456 ACT b2; 510 PRE b2", "@ END", Bank(2), Early(529)),
    Case("RC", &[("timing", "rc", "77")], "0 REF; 456 ACT; 501 PRE", "@ END", Every, Early(533)),
    Case("REFI", &[], "0 REF", "@ END", Every, Late(5068)),
    Case("REFI", &[], "0 REF; 3000 REF b3", "@ END", EVERY_BUT_3, Late(5068)),
];

/// Rows that open and close in a clock.
const QUICK_ROWS: Changes = &[
    ("timing", "rcd", "1"),
    ("timing", "ras", "1"),
    ("timing", "rp", "1"),
    ("timing", "rc", "1"),
    ("timing", "rcd_wr", "1"),
];
/// A channel of two banks whose all-bank activates count in a long window.
const FOUR_OF_TWO: Changes = &[
    ("pseudo_channel", "banks", "2"),
    ("pseudo_channel", "bank_groups", "1"),
    ("timing", "faw", "200"),
    ("timing", "faw_all_bank", "true"),
];
const POSTPONED: Changes = &[("refresh", "postpone", "2")];
/// Told of every bank but 3, which was refreshed alone.
const EVERY_BUT_3: Of = Bank(99);

/// What one state more or less does: the rule, the legal trace, the trace that breaks it in its
/// last command, and of which banks it is told.
const STATES: &[(&str, &str, &str, Of)] = &[
    ("OPEN", "0 REF; 456 ACT; 501 PRE; 600 ACT", "0 REF; 456 ACT; 600 ACT", Every),
    ("OPEN", "0 REF; 456 ACT b3; 600 ACT b2", "0 REF; 456 ACT b3; 600 ACT b3", Bank(3)),
    ("OPEN", "0 REF; 456 ACT b3; 501 PRE; 600 ACT", "0 REF; 456 ACT b3; 600 ACT", Bank(3)),
    (
        "OPEN",
        "0 REF; 456 ACT; 501 PRE; 600 REF",
        "0 REF; 456 ACT; 501 PRE b4; 600 REF",
        EVERY_BUT_4,
    ),
    ("OPEN", "0 REF; 456 ACT b3; 600 REF b4", "0 REF; 456 ACT b3; 600 REF b3", Bank(3)),
    ("OPEN", "0 REF; 456 ACT b3; 501 PRE b3; 600 RFM", "0 REF; 456 ACT b3; 600 RFM", Bank(3)),
    ("ROW", "0 REF; 456 ACT; 600 RD", "0 REF; 600 RD", Every),
    ("ROW", "0 REF; 456 ACT; 600 RD", "0 REF; 456 ACT; 501 PRE b3; 600 RD", Bank(3)),
    ("ROW", "0 REF; 456 ACT; 600 RD b3", "0 REF; 456 ACT b2; 600 RD b3", Bank(3)),
    ("ROW", "0 REF; 456 ACT; 600 WR b3", "0 REF; 456 ACT; 501 PRE; 600 WR b3", Bank(3)),
    ("ROW", "0 REF; 456 ACT r5; 600 RD r5", "0 REF; 456 ACT r5; 600 RD r4", Every),
    ("ROW", "0 REF; 456 ACT; 600 RD", "0 REF; 456 ACT; 501 PRE b3; 520 ACT b3 r2; 600 RD", Bank(3)),
    ("ROW", "0 REF; 456 ACT; 600 WR", "0 REF; 456 ACT; 501 PRE b3; 520 ACT b3 r2; 600 WR", Bank(3)),
    ("RANGE", "0 REF; 456 ACT r16383", "0 REF; 456 ACT r16384", Every),
    ("RANGE", "0 REF; 456 ACT b1 r16383", "0 REF; 456 ACT b1 r16384", Bank(1)),
    ("RANGE", "0 REF; 456 ACT; 600 RD c31", "0 REF; 456 ACT; 600 RD c32", Every),
    ("RANGE", "0 REF; 456 ACT; 600 WR b1 c31", "0 REF; 456 ACT; 600 WR b1 c32", Bank(1)),
    ("RANGE", "0 REF; 456 ACT b15", "0 REF; 456 ACT b16", Channel),
    ("RANGE", "0 REF; 456 REF b15", "0 REF; 456 REF b16", Channel),
    ("END", "0 REF; 456 ACT; 501 PRE; 600 END", "0 REF; 456 ACT; 600 END", Every),
    ("END", "0 REF; 456 ACT; 501 PRE; 600 END", "0 REF; 456 ACT; 501 PRE b4; 600 END", EVERY_BUT_4),
    ("START", "0 REF; 600 END", "0 PRE; 600 END", Channel),
    ("START", "0 REF; 500 PRE; 600 END", "0 REF b3; 500 PRE; 600 END", Channel),
];

/// Told of every bank but 4, which was closed alone.
const EVERY_BUT_4: Of = Bank(100);

fn banks_of(of: Of, target: &Target) -> Vec<Option<u32>> {
    let but = |skipped: u32| (0..target.banks).filter(move |b| *b != skipped).map(Some).collect();
    match of {
        Channel => vec![None],
        Every => (0..target.banks).map(Some).collect(),
        Bank(99) => but(3),
        Bank(100) => but(4),
        Bank(b) => vec![Some(b)],
    }
}

fn target(changes: Changes) -> Target {
    let base = Target::named("hbm3-pim").unwrap();
    base.with(changes).unwrap_or_else(|d| panic!("{d}"))
}

/// Both find this rule in these banks at this clock, with this bound, and nothing else.
fn told(said: &super::twice::Said, rule: &str, cycle: u64, banks: &[Option<u32>], bound: Bound) {
    let (earliest, latest) = match bound {
        Early(at) => (Some(at), None),
        Late(at) => (None, Some(at)),
        Never => (None, None),
    };
    let rust: Vec<Option<u32>> = said.rust.iter().map(|v| v.bank).collect();
    let verilog: Vec<Option<u32>> = said.verilog.iter().map(|f| f.bank).collect();
    // The channel has no bank 16: the Verilog cannot name it.
    let known: Vec<Option<u32>> = rust.iter().map(|b| b.filter(|b| *b != 16)).collect();
    assert_eq!((known.as_slice(), verilog.as_slice()), (banks, banks));
    for v in &said.rust {
        assert_eq!((v.rule, v.cycle, v.earliest, v.latest), (rule, cycle, earliest, latest), "{v}");
    }
    for f in &said.verilog {
        let name = if f.rule == "CLOSED" { "ROW" } else { f.rule };
        let bound = earliest.or(latest).unwrap_or(cycle);
        assert_eq!((name, f.cycle, f.earliest), (rule, cycle, bound), "{f:?}");
    }
}

#[test]
fn every_distance_at_its_edge_and_one_clock_before_it() {
    let mut replay = replay();
    for Case(rule, changes, before, last, of, bound) in DISTANCES {
        let target = target(changes);
        let (legal, planted) = match *bound {
            Early(at) => (at, at - 1),
            Late(at) => (at, at + 1),
            Never => unreachable!("a distance has a bound"),
        };
        eprintln!("{rule}: {before}; {last}, legal at {legal}, planted at {planted}");
        let at =
            |clock: u64| trace(&format!("{before}; {}", last.replace('@', &clock.to_string())));
        let (commands, end) = at(legal);
        assert!(both(&mut replay, &target, &commands, end).nothing());
        let (commands, end) = at(planted);
        let said = both(&mut replay, &target, &commands, end);
        told(&said, rule, planted, &banks_of(*of, &target), *bound);
    }
}

#[test]
fn every_state_that_a_command_must_find() {
    let (mut replay, target) = (replay(), target(&[]));
    for (rule, legal, planted, of) in STATES {
        eprintln!("{rule}: {legal} -> {planted}");
        let (commands, end) = trace(legal);
        assert!(both(&mut replay, &target, &commands, end).nothing());
        let (commands, end) = trace(planted);
        let last = end.or(commands.last().map(|c| c.cycle)).unwrap();
        let said = both(&mut replay, &target, &commands, end);
        if *rule == "START" {
            // Told at the first command, and at the end that no refresh has come at all.
            let cycles = [commands[0].cycle, last];
            assert_eq!(
                said.rust.iter().map(|v| (v.rule, v.cycle)).collect::<Vec<_>>(),
                cycles.map(|c| ("START", c))
            );
            assert_eq!(
                said.verilog.iter().map(|f| (f.rule, f.cycle)).collect::<Vec<_>>(),
                cycles.map(|c| ("START", c))
            );
        } else {
            told(&said, rule, last, &banks_of(*of, &target), Never);
        }
    }
}

#[test]
fn no_rule_is_without_a_planted_violation() {
    let planted: BTreeSet<&str> =
        DISTANCES.iter().map(|c| c.0).chain(STATES.iter().map(|s| s.0)).collect();
    let rules: BTreeSet<&str> =
        RULES[1..].iter().map(|r| r.0).map(|r| if r == "CLOSED" { "ROW" } else { r }).collect();
    assert_eq!(planted, rules);
}

/// A number of the DRAM that is off by one shows: some trace at its edge is told otherwise.
#[test]
fn every_number_decides_a_case() {
    let mut replay = replay();
    let mut idle = Vec::new();
    // These are no intervals; rows and columns are of the states above.
    let others = ["banks", "group_shift", "end_margin", "rows", "cols"];
    for name in NUMBERS.iter().filter(|n| !others.contains(n)) {
        let decides = DISTANCES.iter().any(|Case(_, changes, before, last, _, bound)| {
            let right = DramTiming::of(&target(changes));
            let value = right.get(name);
            let wrong = right.with(name, if value == 0 { 1 } else { value - 1 });
            let (legal, planted) = match *bound {
                Early(at) => (at, at - 1),
                Late(at) => (at, at + 1),
                Never => unreachable!("a distance has a bound"),
            };
            let mut says = |clock: u64| {
                let text = format!("{before}; {}", last.replace('@', &clock.to_string()));
                let (commands, end) = trace(&text);
                let end = end.map(|cycle| End { cycle, margin: END_MARGIN });
                !replay.run(&wrong, &commands, end).unwrap().is_empty()
            };
            says(legal) || !says(planted)
        });
        if !decides {
            idle.push(*name);
        }
    }
    assert_eq!(idle, Vec::<&str>::new());
}
