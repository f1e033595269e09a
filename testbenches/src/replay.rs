//! The DRAM rules in SystemVerilog, played a list of commands: a second opinion on a trace, from
//! code that shares nothing with the legality checker of `pimc-lower`.

use crate::dram::{DramTiming, DRAM_BUS, DRAM_PACKAGE, DRAM_REPLAY, DRAM_RULES, NUMBERS, RULES};
use crate::error::Error;
use crate::verilator::{build, Design, Model, Port, PortId, Toolchain, WaveFormat};
use pimc_lower::commands::{Command, Timed};
use std::path::Path;

/// A rule that the models say is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Clock.
    pub cycle: u64,
    /// The bank; none where the rule is the channel's.
    pub bank: Option<u32>,
    /// The rule's name in [`RULES`].
    pub rule: &'static str,
    /// The first clock at which the command would have been legal; its own where none would, and
    /// for `REFI` the last one.
    pub earliest: u64,
}

/// The end of a run, and what is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its clock.
    pub cycle: u64,
    /// Clocks from it to the soonest refresh that may follow.
    pub margin: u32,
}

/// The rules of a channel, ready to be played commands.
pub struct Replay {
    model: Model,
    banks: u32,
    ids: Ids,
}

struct Ids {
    rst: PortId,
    timing: PortId,
    whole: PortId,
    cmd_valid: PortId,
    cmd: PortId,
    all: PortId,
    bank: PortId,
    row: PortId,
    col: PortId,
    end: PortId,
    hit: PortId,
    cycle: PortId,
    bus: [PortId; 2],
    rule: PortId,
    earliest: PortId,
    late: PortId,
    deadline: PortId,
}

/// What is built for channels of up to `banks` banks.
pub fn design(banks: u32) -> Design {
    let text = |name: &str, text: &str| (name.to_string(), text.to_string());
    let ports = [
        ("rst_ni", 1),
        ("timing_i", 32 * NUMBERS.len() as u32),
        ("whole_i", 1),
        ("cmd_valid_i", 1),
        ("cmd_i", 3),
        ("all_i", 1),
        ("bank_i", 8),
        ("row_i", 32),
        ("col_i", 32),
        ("end_i", 1),
        ("hit_o", 1),
        ("cycle_o", 64),
        ("bus_rule_o", 8),
        ("bus_earliest_o", 64),
        ("rule_o", 8 * banks),
        ("earliest_o", 64 * banks),
        ("late_o", banks),
        ("deadline_o", 64 * banks),
    ];
    Design {
        top: "pimc_dram_replay".into(),
        sources: vec![
            text("pimc_dram_pkg.sv", DRAM_PACKAGE),
            text("pimc_dram_rules.sv", DRAM_RULES),
            text("pimc_dram_bus.sv", DRAM_BUS),
            text("pimc_dram_replay.sv", DRAM_REPLAY),
        ],
        params: vec![("MaxBanks".into(), banks.into())],
        control: "`verilator_config\nno_inline -module \"pimc_dram_rules\"\ntracing_off\n".into(),
        ports: ports.map(|(name, bits)| Port { name: name.into(), bits }).to_vec(),
        waves: WaveFormat::Vcd,
    }
}

impl Replay {
    /// For channels of up to `banks` banks, at most 64; what is built is kept under `cache`.
    ///
    /// # Errors
    /// What Verilator or the compiler says.
    pub fn new(tools: &Toolchain, cache: &Path, banks: u32) -> Result<Replay, Error> {
        let built = build(tools, &design(banks), cache)?;
        let model = Model::load(&built, &[])?;
        let id = |name| model.port(name);
        let ids = Ids {
            rst: id("rst_ni"),
            timing: id("timing_i"),
            whole: id("whole_i"),
            cmd_valid: id("cmd_valid_i"),
            cmd: id("cmd_i"),
            all: id("all_i"),
            bank: id("bank_i"),
            row: id("row_i"),
            col: id("col_i"),
            end: id("end_i"),
            hit: id("hit_o"),
            cycle: id("cycle_o"),
            bus: [id("bus_rule_o"), id("bus_earliest_o")],
            rule: id("rule_o"),
            earliest: id("earliest_o"),
            late: id("late_o"),
            deadline: id("deadline_o"),
        };
        Ok(Replay { model, banks, ids })
    }

    /// Plays commands, clock 0 right after reset, and says what they break in the order of clocks.
    /// With an end they are a whole run.
    ///
    /// # Errors
    /// Commands that no bus carries: two in a clock, or clocks that go back; more banks than were
    /// built.
    pub fn run(
        &mut self,
        timing: &DramTiming,
        commands: &[Timed],
        end: Option<End>,
    ) -> Result<Vec<Found>, Error> {
        let clocks = commands.iter().map(|c| c.cycle).chain(end.map(|e| e.cycle));
        let clocks: Vec<u64> = clocks.collect();
        if let Some(pair) = clocks.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Error::Usage {
                what: format!("clock {} comes after clock {}", pair[1], pair[0]),
                help: "the bus carries one command a clock, in order".into(),
            });
        }
        let timing = timing.with("end_margin", end.map_or(0, |e| e.margin));
        self.model.set_words(self.ids.timing, &timing.words());
        self.model.set(self.ids.whole, u64::from(end.is_some()));
        for port in [self.ids.cmd_valid, self.ids.end] {
            self.model.set(port, 0);
        }
        for level in [1, 0, 1] {
            self.model.set(self.ids.rst, level);
            if level == 0 {
                self.model.clock(1)?;
            }
        }
        let (mut now, mut found) = (0, Vec::new());
        for command in commands {
            self.idle(command.cycle - now, &mut found)?;
            self.issue(command);
            self.model.set(self.ids.cmd_valid, 1);
            self.idle(1, &mut found)?;
            self.model.set(self.ids.cmd_valid, 0);
            now = command.cycle + 1;
        }
        if let Some(end) = end {
            self.idle(end.cycle - now, &mut found)?;
            self.model.set(self.ids.end, 1);
            self.idle(1, &mut found)?;
            self.model.set(self.ids.end, 0);
        }
        Ok(found)
    }

    fn issue(&mut self, timed: &Timed) {
        let (code, row, col) = match timed.command {
            Command::Act { row } => (0, row, 0),
            Command::Read { row, col } => (1, row, col),
            Command::Pre => (2, 0, 0),
            Command::Ref => (3, 0, 0),
            Command::Write { row, col } => (4, row, col),
            Command::Rfm => (5, 0, 0),
        };
        // A bank that the port cannot say is one that no channel has.
        let bank = timed.bank.map_or(0, |bank| bank.min(255));
        for (port, value) in [
            (self.ids.cmd, code),
            (self.ids.all, u32::from(timed.bank.is_none())),
            (self.ids.bank, bank),
            (self.ids.row, row),
            (self.ids.col, col),
        ] {
            self.model.set(port, value.into());
        }
    }

    /// Runs `clocks` clocks and collects what they break.
    fn idle(&mut self, clocks: u64, found: &mut Vec<Found>) -> Result<(), Error> {
        let mut left = clocks;
        while left > 0 {
            let (ran, hit) = self.model.clock_until(self.ids.hit, left)?;
            left -= ran;
            if hit {
                self.collect(found);
            }
        }
        Ok(())
    }

    fn collect(&self, found: &mut Vec<Found>) {
        let cycle = self.model.get(self.ids.cycle);
        let name = |number: u64| RULES.get(number as usize).map_or("unknown", |r| r.0);
        let [bus_rule, bus_earliest] = self.ids.bus.map(|p| self.model.get(p));
        if bus_rule != 0 {
            let rule = name(bus_rule);
            found.push(Found { cycle, bank: None, rule, earliest: bus_earliest });
        }
        let rules = self.model.get_words(self.ids.rule);
        let earliest = self.model.get_words(self.ids.earliest);
        let late = self.model.get_words(self.ids.late);
        let deadline = self.model.get_words(self.ids.deadline);
        for b in 0..self.banks as usize {
            let bank = Some(b as u32);
            let rule = rules[b / 8] >> (8 * (b % 8)) & 0xff;
            if rule != 0 {
                found.push(Found { cycle, bank, rule: name(rule), earliest: earliest[b] });
            }
            if late[b / 64] >> (b % 64) & 1 == 1 {
                found.push(Found { cycle, bank, rule: "REFI", earliest: deadline[b] });
            }
        }
    }
}
