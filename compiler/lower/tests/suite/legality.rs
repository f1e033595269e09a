//! Each rule of the legality checker, broken by one clock and kept by one clock less.

use pimc_lower::commands::{Command, Timed};
use pimc_lower::legality::{check, check_part, Violation};
use pimc_lower::Target;

fn target() -> Target {
    Target::named("hbm3-pim").expect("built in")
}

const ACT: Command = Command::Act { row: 3 };
const READ: Command = Command::Read { row: 3, col: 5 };

fn all(cycle: u64, command: Command) -> Timed {
    Timed { cycle, command, bank: None, instr: 0 }
}

fn one(cycle: u64, command: Command, bank: u32) -> Timed {
    Timed { bank: Some(bank), ..all(cycle, command) }
}

/// A legal run: refresh, one row with two reads, precharge; with its end.
fn legal() -> (Vec<Timed>, u64) {
    let commands = vec![
        all(0, Command::Ref),
        all(456, ACT),
        all(475, READ),
        all(481, Command::Read { row: 3, col: 6 }),
        all(501, Command::Pre),
        all(520, Command::Act { row: 4 }),
        all(565, Command::Pre),
        all(584, Command::Ref),
    ];
    (commands, 584 + 456)
}

fn rules(found: &[Violation]) -> Vec<&'static str> {
    let mut rules: Vec<&str> = found.iter().map(|v| v.rule).collect();
    rules.dedup();
    rules
}

#[test]
fn a_legal_run() {
    let (commands, end) = legal();
    assert_eq!(check(&target(), commands, end), []);
}

/// Moves one command of the legal run to another clock and drops some; the rule that breaks, the
/// earliest legal clock, and that every bank is named where the rule is a bank's.
fn moved(index: usize, to: u64, dropped: &[usize], rule: &str, earliest: u64) {
    let (mut commands, end) = legal();
    commands[index].cycle = to;
    let kept = |(i, t): (usize, Timed)| (!dropped.contains(&i)).then_some(t);
    let commands: Vec<Timed> = commands.into_iter().enumerate().filter_map(kept).collect();
    let found = check(&target(), commands, end);
    let of: Vec<&Violation> = found.iter().filter(|v| v.rule == rule).collect();
    assert!(!of.is_empty(), "{rule}: {found:?}");
    assert!(of.iter().all(|v| v.earliest == Some(earliest) && v.cycle == to), "{rule}: {of:?}");
    if ["RCD", "RAS", "RC", "RP", "RTP", "RFC"].contains(&rule) {
        let banks: Vec<Option<u32>> = of.iter().map(|v| v.bank).collect();
        assert_eq!(banks, (0..16).map(Some).collect::<Vec<_>>(), "{rule}");
    }
}

#[test]
fn every_distance_too_short_by_a_clock() {
    moved(1, 455, &[], "RFC", 456);
    moved(2, 474, &[], "RCD", 475);
    moved(3, 480, &[], "CCD", 481);
    moved(4, 500, &[3], "RAS", 501);
    moved(5, 519, &[], "RP", 520);
    moved(7, 583, &[], "RP", 584);
    // Without the reads the row may close at 501 and the next one open at 520, one clock after RC.
    moved(5, 518, &[2, 3], "RC", 519);
}

#[test]
fn read_to_precharge() {
    let (mut commands, end) = legal();
    commands[3].cycle = 494;
    let found = check(&target(), commands, end);
    assert_eq!(rules(&found), ["RTP"]);
    assert_eq!(found[0].earliest, Some(502));
}

#[test]
fn refresh_deadline_and_its_last_legal_clock() {
    let t = target();
    let at = |second: u64| {
        check(&t, vec![all(0, Command::Ref), all(second, Command::Ref)], second + 456)
    };
    assert_eq!(at(5070), []);
    let found = at(5071);
    assert_eq!((rules(&found), found[0].latest), (vec!["REFI"], Some(5070)));
    // The sequencer refreshes two clocks after the end at the soonest, so the end has a deadline too.
    let late = check(&t, vec![all(0, Command::Ref)], 5069);
    assert_eq!((rules(&late), late[0].latest), (vec!["REFI"], Some(5068)));
    assert_eq!(check(&t, vec![all(0, Command::Ref)], 5068), []);
}

#[test]
fn the_beginning_and_the_end() {
    let t = target();
    assert_eq!(rules(&check(&t, vec![], 10)), ["START"]);
    assert!(rules(&check(&t, vec![all(0, ACT), all(45, Command::Pre)], 100)).contains(&"START"));
    assert_eq!(rules(&check(&t, vec![all(0, Command::Ref)], 455)), ["RFC"]);
    let open = check(&t, vec![all(0, Command::Ref), all(456, ACT)], 600);
    assert_eq!(rules(&open), ["END"]);
    let closing = vec![all(0, Command::Ref), all(456, ACT), all(501, Command::Pre)];
    assert_eq!(rules(&check(&t, closing.clone(), 519)), ["RP"]);
    assert_eq!(check(&t, closing, 520), []);
}

#[test]
fn the_state_of_rows() {
    let t = target();
    let after = |more: &[Timed], end| {
        let mut commands = vec![all(0, Command::Ref)];
        commands.extend_from_slice(more);
        check(&t, commands, end)
    };
    assert_eq!(rules(&after(&[all(456, READ)], 1000)), ["ROW"]);
    let other = Command::Read { row: 7, col: 0 };
    let wrong_row = after(&[all(456, ACT), all(475, other), all(520, Command::Pre)], 1000);
    assert_eq!(rules(&wrong_row), ["ROW"]);
    let twice = after(&[all(456, ACT), all(600, ACT), all(700, Command::Pre)], 1000);
    assert_eq!(rules(&twice), ["OPEN"]);
    let refreshed = [all(456, ACT), all(600, Command::Ref), all(1100, Command::Pre)];
    assert_eq!(rules(&after(&refreshed, 1200)), ["OPEN"]);
    // A precharge of closed banks is legal.
    assert_eq!(after(&[all(456, Command::Pre)], 1000), []);
}

#[test]
fn ranges_and_the_bus() {
    let t = target();
    let run = |commands: Vec<Timed>| rules(&check(&t, commands, 2000));
    let ends = |row: u32, col: u32| {
        vec![
            all(0, Command::Ref),
            all(456, Command::Act { row }),
            all(475, Command::Read { row, col }),
            all(520, Command::Pre),
        ]
    };
    assert_eq!(run(ends(16383, 31)), Vec::<&str>::new());
    assert_eq!(run(ends(16384, 31)), ["RANGE"]);
    assert_eq!(run(ends(16383, 32)), ["RANGE"]);
    assert_eq!(run(vec![all(0, Command::Ref), one(456, ACT, 16)]), ["RANGE"]);
    assert_eq!(run(vec![all(0, Command::Ref), one(456, Command::Ref, 16)]), ["RANGE"]);
    assert_eq!(run(vec![all(0, Command::Ref), one(456, Command::Ref, 15)]), Vec::<&str>::new());
    let same =
        vec![all(0, Command::Ref), one(456, ACT, 0), one(456, ACT, 1), all(501, Command::Pre)];
    assert_eq!(run(same), ["BUS", "RRD"]);
    assert_eq!(
        run(vec![all(0, Command::Ref), all(600, Command::Pre), all(599, Command::Pre)]),
        ["BUS"]
    );
}

#[test]
fn one_bank_alone() {
    let commands =
        vec![all(0, Command::Ref), one(456, ACT, 5), one(474, READ, 5), one(501, Command::Pre, 5)];
    let found = check(&target(), commands, 1000);
    assert_eq!(rules(&found), ["RCD"]);
    assert_eq!(found[0].bank, Some(5));
    assert!(found[0].to_string().contains("earliest legal clock 475"));
}

#[test]
fn the_activate_window() {
    let mut t = target();
    let mut commands = vec![all(0, Command::Ref)];
    // Neighbours are of unlike bank groups.
    commands.extend((0..5).map(|n| one(456 + 2 * u64::from(n), ACT, 4 * n % 16 + n / 4)));
    commands.push(all(600, Command::Pre));
    let found = check(&t, commands.clone(), 1000);
    assert_eq!(rules(&found), ["FAW"]);
    assert_eq!(found[0].earliest, Some(456 + 39));
    commands[5].cycle = 456 + 39;
    assert_eq!(check(&t, commands, 1000), []);

    // All-bank activates count only when the target says so: 16 activates are four windows.
    let rows = |gap: u64| {
        vec![
            all(0, Command::Ref),
            all(456, ACT),
            all(501, Command::Pre),
            all(456 + gap, ACT),
            all(456 + gap + 45, Command::Pre),
        ]
    };
    assert_eq!(check(&t, rows(64), 1000), []);
    t.timing.faw_all_bank = true;
    assert_eq!(rules(&check(&t, rows(155), 1000)), ["FAW"]);
    assert_eq!(check(&t, rows(156), 1000), []);
}

#[test]
fn a_check_stops_when_it_has_seen_enough() {
    let commands = (0..1000).map(|i| all(i, READ));
    assert!(check(&target(), commands, 5000).len() <= pimc_lower::legality::MAX_VIOLATIONS);
}

#[test]
fn a_command_that_the_target_says_too_little_of_is_refused() {
    let full = target();
    let mut bare = full.clone();
    bare.timing.extra = pimc_lower::target::Extra::default();
    let cases: [(Command, Option<u32>, &[&str]); 8] = [
        (ACT, Some(3), &["bank_groups", "rrd_s", "rrd_l"]),
        (READ, Some(3), &["bank_groups", "ccd_s", "ccd_l"]),
        (Command::Write { row: 3, col: 5 }, Some(3), &["bank_groups", "ccd_s", "rcd_wr", "turn"]),
        (Command::Write { row: 3, col: 5 }, None, &["rcd_wr", "cwl", "bl", "wr", "wtr_s", "turn"]),
        (Command::Ref, Some(3), &["bank_groups", "rrd_l", "rfc_pb", "rrefd"]),
        (Command::Rfm, Some(3), &["bank_groups", "rrd_l", "rfm_pb", "rrefd"]),
        (Command::Rfm, None, &["rfm"]),
        (Command::Pre, Some(3), &[]),
    ];
    for (command, bank, missing) in cases {
        let timed = Timed { bank, ..all(600, command) };
        let of = |t: &Target| {
            let found = check(t, vec![all(0, Command::Ref), timed], 2000);
            found.into_iter().find(|v| v.rule == "TARGET")
        };
        assert_eq!(of(&full), None, "{command:?}");
        let Some(told) = of(&bare) else {
            assert!(missing.is_empty(), "{command:?}");
            continue;
        };
        assert_eq!((told.cycle, told.earliest), (600, None));
        assert!(told.why.starts_with("this target does not say "), "{told}");
        assert!(!missing.is_empty() && missing.iter().all(|m| told.why.contains(m)), "{told}");
    }
    // What our own schedules issue needs none of it.
    let (commands, end) = legal();
    assert_eq!(check(&bare, commands, end), []);
}

#[test]
fn a_part_of_a_run_may_begin_and_end_anywhere() {
    let t = target();
    let part = vec![all(1 << 47, ACT), all((1 << 47) + 19, READ)];
    assert_eq!(check_part(&t, part), []);
    let late = check_part(&t, vec![all(100, ACT), all(5171, READ)]);
    assert_eq!((rules(&late), late[0].latest, late.len()), (vec!["REFI"], Some(5170), 16));
    assert_eq!(check_part(&t, vec![all(100, ACT), all(5170, READ)]), []);
    assert_eq!(check_part(&t, vec![]), []);
}

/// Clocks at the end of their range, as a trace or a caller may have them, overflow nothing.
#[test]
fn the_largest_clocks() {
    let late = u64::MAX - 3;
    let commands = vec![
        all(0, Command::Ref),
        all(late, ACT),
        all(late + 1, READ),
        all(late + 2, Command::Pre),
    ];
    assert!(!check(&target(), commands, u64::MAX).is_empty());
}
