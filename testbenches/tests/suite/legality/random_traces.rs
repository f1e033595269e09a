//! Random commands of every kind, each as soon as the Rust checker allows it, on random targets:
//! both find such a trace clean, and both find every command that waited for something illegal one
//! clock before.

use super::twice::{both, replay, text};
use crate::lowering::Rng;
use pimc_lower::commands::{Command, Timed};
use pimc_lower::legality::Checker;
use pimc_lower::Target;

/// A target with every value drawn anew, from small ones that make unlike rules bind in turn.
pub fn random_target(rng: &mut Rng) -> Target {
    let base = Target::named("hbm3-pim").unwrap();
    let banks = rng.pick(&[2, 4, 8, 16]);
    let groups = rng.pick(&[1, 2, 4, 8]).min(banks);
    let (rcd, rp) = (rng.range(1, 30), rng.range(1, 30));
    let ras = rcd + rng.range(0, 30);
    let refi = rng.range(3000, 6000);
    let mut values: Vec<(&str, &str, i64)> = vec![
        ("pseudo_channel", "banks", banks),
        ("pseudo_channel", "bank_groups", groups),
        ("timing", "rcd", rcd),
        ("timing", "rp", rp),
        ("timing", "ras", ras),
        ("timing", "rc", ras + rp + rng.range(0, 20)),
        ("timing", "ccd_all_bank", rng.range(1, 20)),
        ("timing", "cl", rng.range(10, 40)),
        ("timing", "cwl", rng.range(1, 40)),
        ("timing", "turn", rng.range(0, 5)),
        ("timing", "faw", rng.range(1, 90)),
        ("refresh", "rfc", rng.range(2, 300)),
        ("refresh", "rfc_pb", rng.range(1, 300)),
        ("refresh", "rfm", rng.range(1, 300)),
        ("refresh", "rfm_pb", rng.range(1, 300)),
        ("refresh", "rrefd", rng.range(1, 30)),
        ("refresh", "postpone", rng.pick(&[0, 0, 1, 3])),
        ("refresh", "refi", refi),
        ("bank", "columns", rng.pick(&[2, 8, 32])),
    ];
    for key in ["rtp", "ccd_s", "ccd_l", "rrd_s", "rrd_l", "rcd_wr", "bl", "wr", "wtr_s", "wtr_l"] {
        values.push(("timing", key, rng.range(1, 25)));
    }
    let numbers: Vec<(&str, &str, String)> =
        values.into_iter().map(|(s, k, v)| (s, k, v.to_string())).collect();
    let mut changes: Vec<(&str, &str, &str)> =
        numbers.iter().map(|(s, k, v)| (*s, *k, v.as_str())).collect();
    changes.push(("timing", "faw_all_bank", rng.pick(&["true", "false"])));
    base.with(&changes).unwrap_or_else(|d| panic!("{d}"))
}

/// A command that may be sensible after what was issued; rows and columns are few, so that they
/// are met again.
fn random_command(rng: &mut Rng, target: &Target, cycle: u64) -> Timed {
    let (row, col) = (rng.range(0, 1) as u32, rng.range(0, i64::from(target.columns) - 1) as u32);
    let command = match rng.range(0, 19) {
        0..=5 => Command::Act { row },
        6..=9 => Command::Read { row, col },
        10..=13 => Command::Write { row, col },
        14..=16 => Command::Pre,
        17..=18 => Command::Ref,
        _ => Command::Rfm,
    };
    let one = rng.range(0, 3) > 0;
    let bank = one.then(|| rng.range(0, i64::from(target.banks) - 1) as u32);
    Timed { cycle, command, bank, instr: 0 }
}

/// The soonest clock from `command.cycle` on at which the checker takes the command; none when
/// waiting does not help, or it would be too late.
fn soonest<'a>(checker: &Checker<'a>, mut command: Timed) -> Option<(Timed, Checker<'a>)> {
    loop {
        let mut tried = checker.clone();
        tried.command(&command);
        let Some(first) = tried.found().first() else { return Some((command, tried)) };
        if tried.found().iter().any(|v| v.earliest.is_none()) {
            return None;
        }
        let later = tried.found().iter().filter_map(|v| v.earliest).max();
        assert!(later > Some(command.cycle), "{first}");
        command.cycle = later?;
    }
}

/// A legal trace of about `length` commands, and which of them come as soon as they may although
/// the bus was free before.
fn tight(rng: &mut Rng, target: &Target, length: usize) -> (Vec<Timed>, Vec<usize>) {
    let mut checker = Checker::new(target);
    let start = Timed { cycle: 0, command: Command::Ref, bank: None, instr: 0 };
    checker.command(&start);
    let (mut commands, mut bound) = (vec![start], Vec::new());
    for _ in 0..20 * length {
        if commands.len() >= length {
            break;
        }
        let next = commands[commands.len() - 1].cycle + 1;
        let wanted = random_command(rng, target, next);
        let Some((command, after)) = soonest(&checker, wanted) else { continue };
        checker = after;
        if command.cycle > next {
            bound.push(commands.len());
        }
        commands.push(command);
    }
    (commands, bound)
}

#[test]
fn both_know_the_same_first_legal_clock() {
    let mut replay = replay();
    let (mut edges, mut rules) = (0, std::collections::BTreeMap::new());
    for seed in 0..60 {
        let rng = &mut Rng::new(seed ^ 0x1e9a1);
        let target = random_target(rng);
        let (commands, bound) = tight(rng, &target, 50);
        let said = both(&mut replay, &target, &commands, None);
        assert!(said.nothing(), "seed {seed}: {:?}\n{}", said.verilog, text(&commands));
        for at in bound {
            let mut early = commands[..=at].to_vec();
            early[at].cycle -= 1;
            let said = both(&mut replay, &target, &early, None);
            assert!(!said.nothing(), "seed {seed}, command {at}\n{}", text(&early));
            edges += 1;
            for v in &said.rust {
                *rules.entry(v.rule).or_insert(0) += 1;
            }
        }
    }
    eprintln!("{edges} edges: {rules:?}");
    assert!(edges > 1000, "{edges}");
    let all =
        ["CCD", "FAW", "RAS", "RC", "RCD", "RFC", "RP", "RRD", "RREFD", "RTP", "RTW", "WR", "WTR"];
    for rule in all {
        assert!(rules.get(rule).is_some_and(|n| *n > 5), "{rule} is hardly tried: {rules:?}");
    }
}

/// Commands that nobody chose: what one of the two finds, the other finds.
#[test]
fn both_find_the_same_in_any_commands() {
    let mut replay = replay();
    let (mut dirty, mut rules) = (0, std::collections::BTreeSet::new());
    for seed in 0..400 {
        let rng = &mut Rng::new(seed ^ 0x7ace);
        let target = random_target(rng);
        let mut commands = Vec::new();
        let mut cycle = 0;
        for i in 0..rng.range(1, 25) {
            let mut command = random_command(rng, &target, cycle);
            // A trace begins with clock 0, as a replay does.
            command.instr = i as usize;
            commands.push(command);
            let far = [rng.range(1, 8), rng.range(1, 60), rng.range(1, 600), rng.range(1, 9000)];
            cycle += rng.pick(&far) as u64;
        }
        let end = (rng.range(0, 1) == 0).then_some(cycle);
        let said = both(&mut replay, &target, &commands, end);
        dirty += usize::from(!said.nothing());
        rules.extend(said.verilog.iter().map(|f| f.rule));
    }
    assert!(dirty > 200, "{dirty}");
    assert!(rules.len() >= 16, "{rules:?}");
}
