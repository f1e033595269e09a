//! Both checkers on one trace, and whether they say the same.

use crate::common::cache;
use pimc_cosim::dram::DramTiming;
use pimc_cosim::replay::{End, Found, Replay};
use pimc_cosim::verilator::Toolchain;
use pimc_lower::commands::{Command, Timed};
use pimc_lower::legality::{check, check_part, Violation, MAX_VIOLATIONS};
use pimc_lower::Target;
use std::collections::BTreeMap;

/// Clocks from the end to the soonest refresh after it, as the legality checker has it.
pub const END_MARGIN: u32 = 2;

/// The SystemVerilog rules for targets of at most 16 banks.
pub fn replay() -> Replay {
    Replay::new(&Toolchain::find(None).unwrap(), &cache(), 16).unwrap()
}

/// What one of the two says: clock, bank (none is the channel), rule.
type Key = (u64, Option<u32>);

/// What both say of a trace; none where they contradict one another, with why.
pub struct Said {
    pub rust: Vec<Violation>,
    pub verilog: Vec<Found>,
}

impl Said {
    pub fn nothing(&self) -> bool {
        self.rust.is_empty() && self.verilog.is_empty()
    }
}

/// Lets both check the commands: a whole run when there is an end.
///
/// # Panics
/// When they differ.
pub fn both(replay: &mut Replay, target: &Target, commands: &[Timed], end: Option<u64>) -> Said {
    let rust = match end {
        Some(end) => check(target, commands.iter().copied(), end),
        None => check_part(target, commands.iter().copied()),
    };
    let timing = DramTiming::of(target);
    let at_end = end.map(|cycle| End { cycle, margin: END_MARGIN });
    let verilog = replay.run(&timing, commands, at_end).unwrap();
    if let Err(why) = agree(target, &rust, &verilog, commands, end) {
        let shown: Vec<String> = rust.iter().map(ToString::to_string).collect();
        panic!("{why}\nRust: {shown:#?}\nVerilog: {verilog:#?}\ncommands:\n{}", text(commands));
    }
    Said { rust, verilog }
}

/// A trace to read.
pub fn text(commands: &[Timed]) -> String {
    let line = |t: &Timed| {
        let bank = t.bank.map_or(String::new(), |b| format!(" b{b}"));
        match t.command {
            Command::Act { row } => format!("{} ACT{bank} r{row}\n", t.cycle),
            Command::Read { row, col } => format!("{} RD{bank} r{row} c{col}\n", t.cycle),
            Command::Write { row, col } => format!("{} WR{bank} r{row} c{col}\n", t.cycle),
            other => format!("{} {}{bank}\n", t.cycle, other.name()),
        }
    };
    commands.iter().map(line).collect()
}

/// The Rust checker tells every rule that a command breaks in a bank; the Verilog one tells the one
/// that binds longest, and of those that no waiting mends the first.
fn agree(
    target: &Target,
    rust: &[Violation],
    verilog: &[Found],
    commands: &[Timed],
    end: Option<u64>,
) -> Result<(), String> {
    let whole = rust.len() < MAX_VIOLATIONS;
    // Beyond what the first one keeps there is nothing to compare.
    let until = if whole { u64::MAX } else { rust[rust.len() - 1].cycle };
    let mut first: BTreeMap<Key, Vec<&Violation>> = BTreeMap::new();
    let mut late: Vec<(Option<u32>, u64)> = Vec::new();
    let mut late_at_end = Vec::new();
    for v in rust.iter().filter(|v| v.cycle < until) {
        let ends = v.command == "END";
        match v.rule {
            // What a target does not say, the Verilog does not check.
            "TARGET" => continue,
            "REFI" if !ends => {
                late.extend(v.latest.map(|at| (v.bank, at)));
                continue;
            }
            "REFI" => late_at_end.push(v.bank),
            _ => {}
        }
        let bank = v.bank.filter(|b| *b < target.banks);
        first.entry((v.cycle, bank)).or_default().push(v);
    }
    let mut second: BTreeMap<Key, &Found> = BTreeMap::new();
    for f in verilog.iter().filter(|f| f.cycle < until) {
        let margin = u64::from(END_MARGIN);
        let ending = first.get(&(f.cycle, f.bank)).is_some_and(|told| {
            told.iter().any(|v| v.rule == "REFI" && v.latest == Some(f.earliest))
        });
        if f.rule == "REFI" && !(Some(f.cycle) == end && ending) {
            // A refresh that is late and never comes is late at the end as well.
            match late.iter().position(|l| *l == (f.bank, f.earliest)) {
                Some(at) => drop(late.remove(at)),
                None if late_at_end.contains(&f.bank) => {}
                None if !whole => {}
                None => return Err(format!("only Verilog: {f:?}, margin {margin}")),
            }
            continue;
        }
        if second.insert((f.cycle, f.bank), f).is_some() {
            return Err(format!("Verilog tells two rules of one command: {f:?}"));
        }
    }
    if let (Some(left), true) = (late.first(), whole) {
        return Err(format!("only Rust: a late refresh {left:?}"));
    }
    let known = |key: &Key| Some(key.0) == end || commands.iter().any(|c| c.cycle == key.0);
    for (key, told) in &first {
        let Some(f) = second.remove(key) else {
            return Err(format!("only Rust: {told:?}"));
        };
        assert!(known(key));
        let rule = if f.rule == "CLOSED" { "ROW" } else { f.rule };
        let longest = told.iter().filter_map(|v| v.earliest).max();
        let right = told.iter().any(|v| {
            let bound = match longest {
                Some(_) => v.earliest == longest && longest == Some(f.earliest),
                None => v.latest.unwrap_or(v.cycle) == f.earliest,
            };
            v.rule == rule && bound
        });
        if !right {
            return Err(format!("Verilog says {f:?}, Rust {told:?}"));
        }
    }
    match second.into_iter().next() {
        Some(only) => Err(format!("only Verilog: {only:?}")),
        None => Ok(()),
    }
}
