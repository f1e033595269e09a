//! The DRAM bank model, driven command by command: data exactly on time, every timing rule at its
//! edge and one clock before it.

use pimc_cosim::dram::{DramTiming, DRAM_BANK, DRAM_PACKAGE, DRAM_RULES, NUMBERS};
use pimc_cosim::verilator::{build, Design, Model, Port, PortId, Toolchain, WaveFormat};
use pimc_lower::Target;
use std::sync::OnceLock;

const RCD: u64 = 5;
const RAS: u64 = 11;
const RP: u64 = 6;
const RC: u64 = 19;
const RTP: u64 = 4;
const RFC: u64 = 23;
const REFI: u64 = 150;
const LATENCY: u64 = 7;
const COLS: u64 = 4;
const ROWS: u64 = 6;
const IMAGE_ROWS: u64 = 3;

const ACT: u64 = 0;
const READ: u64 = 1;
const PRE: u64 = 2;
const REF: u64 = 3;
const WRITE: u64 = 4;

fn column(row: u64, col: u64) -> [u64; 4] {
    std::array::from_fn(|i| {
        ((row << 32 | col << 16) | (i as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// What stands on the data port of writes in a cycle.
fn written(cycle: u64) -> [u64; 4] {
    [cycle, !cycle, 0xffff << 48 | cycle, 3]
}

struct Bank {
    model: Model,
    ids: Vec<(&'static str, PortId)>,
    _dir: tempfile::TempDir,
}

const PORTS: [(&str, u32); 22] = [
    ("timing_i", 32 * NUMBERS.len() as u32),
    ("one_i", 1),
    ("end_i", 1),
    ("rst_ni", 1),
    ("bank_i", 8),
    ("load_i", 1),
    ("quiet_i", 1),
    ("cs_i", 1),
    ("cmd_valid_i", 1),
    ("cmd_i", 3),
    ("cmd_row_i", 3),
    ("cmd_col_i", 2),
    ("rd_data_o", 256),
    ("wr_data_i", 256),
    ("mem_we_i", 1),
    ("mem_row_i", 3),
    ("mem_col_i", 2),
    ("mem_data_i", 256),
    ("violations_o", 32),
    ("rule_o", 8),
    ("cycle_o", 64),
    ("earliest_o", 64),
];

fn design(latency: u64) -> Design {
    writing(latency, 0)
}

fn writing(latency: u64, write_latency: u64) -> Design {
    Design {
        top: "pimc_dram_bank".into(),
        sources: [
            ("pimc_dram_pkg.sv", DRAM_PACKAGE),
            ("pimc_dram_rules.sv", DRAM_RULES),
            ("pimc_dram_bank.sv", DRAM_BANK),
        ]
        .map(|(name, text)| (name.to_string(), text.to_string()))
        .to_vec(),
        params: [
            ("Rows", ROWS),
            ("ImageRows", IMAGE_ROWS),
            ("Cols", COLS),
            ("ReadLatency", latency),
            ("WriteLatency", write_latency),
        ]
        .map(|(n, v)| (n.to_string(), v))
        .to_vec(),
        control: "`verilator_config\n".into(),
        ports: PORTS.map(|(n, bits)| Port { name: n.into(), bits }).to_vec(),
        waves: WaveFormat::Vcd,
    }
}

fn timing() -> DramTiming {
    [
        ("rows", ROWS),
        ("cols", COLS),
        ("rcd", RCD),
        ("ras", RAS),
        ("rp", RP),
        ("rc", RC),
        ("rtp", RTP),
        ("rfc", RFC),
        ("refi", REFI),
    ]
    .iter()
    .fold(DramTiming::of(&Target::named("hbm3-pim").unwrap()), |timing, (name, value)| {
        timing.with(name, *value as u32)
    })
}

fn tools() -> &'static Toolchain {
    static TOOLS: OnceLock<Toolchain> = OnceLock::new();
    TOOLS.get_or_init(|| Toolchain::find(None).unwrap())
}

fn cache() -> std::path::PathBuf {
    std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cosim-cache")
}

impl Bank {
    /// A bank out of reset; the next command is in cycle 0.
    fn new(latency: u64) -> Bank {
        Bank::with(&design(latency), &timing())
    }

    fn with(design: &Design, timing: &DramTiming) -> Bank {
        let dir = tempfile::tempdir().unwrap();
        let mut image = String::new();
        for at in 0..IMAGE_ROWS * COLS {
            let w = column(at / COLS, at % COLS);
            image += &format!("{:016x}{:016x}{:016x}{:016x}\n", w[3], w[2], w[1], w[0]);
        }
        std::fs::write(dir.path().join("bank_09.hex"), image).unwrap();
        let built = build(tools(), design, &cache()).unwrap();
        let model = Model::load(&built, &[format!("+mem={}", dir.path().display())]).unwrap();
        let ids = PORTS.iter().map(|(n, _)| (*n, model.port(n))).collect();
        let mut bank = Bank { model, ids, _dir: dir };
        let port = bank.id("timing_i");
        bank.model.set_words(port, &timing.words());
        for (port, value) in [("bank_i", 9), ("quiet_i", 1), ("cs_i", 1), ("load_i", 1)] {
            bank.set(port, value);
        }
        bank.model.clock(2).unwrap();
        bank.set("load_i", 0);
        bank.set("rst_ni", 1);
        bank
    }

    fn id(&self, name: &str) -> PortId {
        self.ids.iter().find(|(n, _)| *n == name).unwrap().1
    }

    fn set(&mut self, name: &str, value: u64) {
        let id = self.id(name);
        self.model.set(id, value);
    }

    fn get(&self, name: &str) -> u64 {
        self.model.get(self.id(name))
    }

    /// Gives (cycle, command, row or column) at the cycles stated, then runs to cycle `end`.
    /// Returns the data on the port in every cycle.
    fn play(&mut self, commands: &[(u64, u64, u64)], end: u64) -> Vec<[u64; 4]> {
        let mut seen = Vec::new();
        for cycle in 0..end {
            let data = self.model.get_words(self.id("rd_data_o"));
            seen.push([data[0], data[1], data[2], data[3]]);
            let now = commands.iter().find(|c| c.0 == cycle);
            let (_, cmd, at) = now.copied().unwrap_or((0, READ, 3));
            self.set("cmd_valid_i", u64::from(now.is_some()));
            self.set("cmd_i", cmd);
            self.set("cmd_row_i", at);
            self.set("cmd_col_i", at);
            // Another column in every cycle, which says the cycle.
            let id = self.id("wr_data_i");
            self.model.set_words(id, &written(cycle));
            self.model.clock(1).unwrap();
        }
        seen
    }

    fn violation(&self) -> Option<(u64, u64, u64)> {
        (self.get("violations_o") > 0)
            .then(|| (self.get("rule_o"), self.get("cycle_o"), self.get("earliest_o")))
    }
}

#[test]
fn data_comes_exactly_read_latency_after_the_read_and_never_otherwise() {
    for latency in [LATENCY, 1] {
        let mut bank = Bank::new(latency);
        let reads = [(10, 1), (13, 3), (16, 0), (30, 2)];
        let mut commands = vec![(3, ACT, 2)];
        commands.extend(reads.map(|(cycle, col)| (cycle, READ, col)));
        let seen = bank.play(&commands, 50);
        assert_eq!(bank.violation(), None);
        let contents: Vec<_> =
            (0..IMAGE_ROWS * COLS).map(|at| column(at / COLS, at % COLS)).collect();
        for (cycle, data) in seen.iter().enumerate() {
            let due = reads.iter().find(|(at, _)| at + latency == cycle as u64);
            match due {
                Some((_, col)) => assert_eq!(*data, column(2, *col), "cycle {cycle}"),
                None => assert!(!contents.contains(data), "cycle {cycle} shows a column"),
            }
        }
        // What stands after one column differs from what stands after the next.
        let after = |read: u64| seen[(read + latency + 1) as usize];
        assert_ne!(after(10), after(13));
    }
}

#[test]
fn a_row_without_content_reads_as_no_column_at_all() {
    let mut bank = Bank::new(LATENCY);
    let seen = bank.play(&[(0, ACT, IMAGE_ROWS), (6, READ, 0)], 20);
    assert_eq!(bank.violation(), None);
    let zero_row: Vec<_> = (0..COLS).map(|c| column(0, c)).collect();
    assert!(!zero_row.contains(&seen[6 + LATENCY as usize]));
}

/// What is written is what stands on the port the write's latency after the write, not a cycle
/// sooner or later; it stays through a precharge, and columns beside it stay as they were.
#[test]
fn written_data_are_kept() {
    for write_latency in [1, 2, 5] {
        let mut bank = Bank::with(&writing(LATENCY, write_latency), &timing());
        let mut commands = vec![(3, ACT, 2), (10, WRITE, 1), (11, WRITE, 3), (20, WRITE, 3)];
        commands.extend([(60, READ, 0), (63, READ, 1), (66, READ, 3), (90, PRE, 0)]);
        // A row without content keeps nothing either.
        commands.extend([(100, ACT, IMAGE_ROWS), (106, WRITE, 0), (126, READ, 0), (130, PRE, 0)]);
        commands.extend([(138, ACT, 2), (144, READ, 1), (147, READ, 2)]);
        let seen = bank.play(&commands, 160);
        let read = |cycle: u64| seen[(cycle + LATENCY) as usize];
        assert_eq!(read(60), column(2, 0));
        assert_eq!(read(63), written(10 + write_latency));
        assert_eq!(read(66), written(20 + write_latency));
        assert_ne!(read(126), written(106 + write_latency));
        assert_eq!(read(144), written(10 + write_latency));
        assert_eq!(read(147), column(2, 2));
    }
    // Where nothing is written nothing changes.
    let mut bank = Bank::new(LATENCY);
    let seen = bank.play(&[(3, ACT, 2), (10, WRITE, 1), (60, READ, 1)], 80);
    assert_eq!(seen[(60 + LATENCY) as usize], column(2, 1));
}

/// A column that the host writes is there for the next read, whether or not commands write; its
/// neighbours stay, and a row without content keeps nothing, there or where it would wrap to.
#[test]
fn the_host_writes_columns_between_runs() {
    for write_latency in [0, 2] {
        let mut bank = Bank::with(&writing(LATENCY, write_latency), &timing());
        for (row, col, we) in [(2, 1, 1), (1, 3, 1), (IMAGE_ROWS, 2, 1), (ROWS, 1, 1), (0, 0, 0)] {
            let port = bank.id("mem_data_i");
            bank.model.set_words(port, &written(1000 * row + col));
            for (port, value) in [("mem_we_i", we), ("mem_row_i", row), ("mem_col_i", col)] {
                bank.set(port, value);
            }
            bank.model.clock(1).unwrap();
        }
        let mut commands =
            vec![(0, ACT, 2), (6, READ, 0), (9, READ, 1), (12, READ, 2), (30, PRE, 0)];
        commands.extend([(40, ACT, 1), (46, READ, 2), (49, READ, 3), (70, PRE, 0)]);
        commands.extend([(80, ACT, 0), (86, READ, 0), (89, READ, 1), (92, READ, 2)]);
        let seen = bank.play(&commands, 110);
        assert_eq!(bank.violation(), None);
        let read = |cycle: u64| seen[(cycle + LATENCY) as usize];
        assert_eq!([6, 12].map(read), [0, 2].map(|col| column(2, col)));
        assert_eq!(read(9), written(2001));
        assert_eq!((read(46), read(49)), (column(1, 2), written(1003)));
        assert_eq!([86, 89, 92].map(read), [0, 1, 2].map(|col| column(0, col)));
    }
}

/// A rule by its number in the model, the commands up to the one it binds, and the cycle from
/// which that one is legal.
type RuleCase = (&'static str, u64, Vec<(u64, u64, u64)>, (u64, u64), u64);

fn rule_cases() -> Vec<RuleCase> {
    let open = (2, ACT, 1);
    vec![
        ("RCD", 1, vec![open], (READ, 0), 2 + RCD),
        ("RAS", 2, vec![open], (PRE, 0), 2 + RAS),
        ("RP to activate", 3, vec![open, (30, PRE, 0)], (ACT, 1), 30 + RP),
        ("RP to refresh", 3, vec![open, (30, PRE, 0)], (REF, 0), 30 + RP),
        ("RC", 4, vec![open, (2 + RAS, PRE, 0)], (ACT, 1), 2 + RC),
        ("RC to refresh", 4, vec![open, (2 + RAS, PRE, 0)], (REF, 0), 2 + RC),
        ("RTP", 6, vec![open, (20, READ, 0)], (PRE, 0), 20 + RTP),
        ("RFC to activate", 7, vec![(1, REF, 0)], (ACT, 1), 1 + RFC),
        ("RFC to precharge", 7, vec![(1, REF, 0)], (PRE, 0), 1 + RFC),
        ("RFC to refresh", 7, vec![(1, REF, 0)], (REF, 0), 1 + RFC),
    ]
}

#[test]
fn each_rule_holds_at_its_edge_and_breaks_one_clock_before() {
    for (name, rule, before, (cmd, at), legal) in rule_cases() {
        for early in [0, 1, 2] {
            let cycle = legal - early;
            if before.iter().any(|c| c.0 >= cycle) {
                continue;
            }
            let mut commands = before.clone();
            commands.push((cycle, cmd, at));
            let mut bank = Bank::new(LATENCY);
            bank.play(&commands, cycle + 5);
            let expected = (early > 0).then_some((rule, cycle, legal));
            assert_eq!(bank.violation(), expected, "{name}, {early} early");
        }
    }
}

#[test]
fn row_state_is_checked_to_the_clock() {
    // With every interval at a clock no rule of time stands before those of state.
    let quick = ["rcd", "ras", "rp", "rc", "rtp", "rfc"];
    let quick = quick.iter().fold(timing(), |timing, name| timing.with(name, 1)).with("cols", 3);
    let open = (2, ACT, 1);
    let cases = [
        ("activate on an open row", Some(9), vec![open, (3, ACT, 2)]),
        ("activate a clock after the precharge", None, vec![open, (3, PRE, 0), (4, ACT, 2)]),
        ("refresh on an open row", Some(9), vec![open, (3, REF, 0)]),
        ("refresh a clock after the precharge", None, vec![open, (3, PRE, 0), (4, REF, 0)]),
        ("read with no row open", Some(10), vec![(2, READ, 0)]),
        ("read a clock after the activate", None, vec![open, (3, READ, 0)]),
        ("read a clock after the precharge", Some(10), vec![open, (3, PRE, 0), (4, READ, 0)]),
        ("read a clock before the precharge", None, vec![open, (3, READ, 0), (4, PRE, 0)]),
        ("the last row", None, vec![(2, ACT, ROWS - 1)]),
        ("a row that is not there", Some(11), vec![(2, ACT, ROWS)]),
        ("the last column", None, vec![open, (3, READ, 2)]),
        ("a column that is not there", Some(11), vec![open, (3, READ, 3)]),
    ];
    for (name, rule, commands) in cases {
        let mut bank = Bank::with(&design(LATENCY), &quick);
        bank.play(&commands, 10);
        let last = commands[commands.len() - 1].0;
        assert_eq!(bank.violation(), rule.map(|r| (r, last, last)), "{name}");
    }
}

#[test]
fn of_several_broken_rules_the_one_that_binds_longest_is_told() {
    for (rp, rule, legal) in [(RP, 4, 2 + RC), (RC, 3, 2 + RAS + RC)] {
        let mut bank = Bank::with(&design(LATENCY), &timing().with("rp", rp as u32));
        bank.play(&[(2, ACT, 1), (2 + RAS, PRE, 0), (15, ACT, 1), (16, ACT, 1)], 20);
        assert_eq!(bank.violation(), Some((rule, 15, legal)));
        assert_eq!(bank.get("violations_o"), 2, "the row is open, besides");
    }
}

#[test]
fn a_refresh_is_due_within_refi_of_the_last_or_of_reset() {
    let cases = [
        (vec![], None, REFI + 1),
        (vec![], Some((8, REFI + 1, REFI)), REFI + 2),
        (vec![(REFI, REF, 0)], None, REFI + 40),
        (vec![(REFI + 1, REF, 0)], Some((8, REFI + 1, REFI)), REFI + 40),
        (vec![(100, REF, 0)], None, 100 + REFI + 1),
        (vec![(100, REF, 0)], Some((8, 100 + REFI + 1, 100 + REFI)), 100 + REFI + 9),
    ];
    for (commands, expected, end) in cases {
        let mut bank = Bank::new(LATENCY);
        bank.play(&commands, end);
        assert_eq!(bank.violation(), expected, "{commands:?} to {end}");
        assert!(bank.get("violations_o") <= 1, "a late refresh is counted once");
    }
}

#[test]
fn a_late_refresh_is_counted_beside_another_broken_rule() {
    let mut bank = Bank::new(LATENCY);
    bank.play(&[(REFI + 1, READ, 0)], REFI + 5);
    assert_eq!(bank.violation(), Some((10, REFI + 1, REFI + 1)));
    assert_eq!(bank.get("violations_o"), 2);
}

#[test]
fn the_first_violation_stays_and_all_are_counted() {
    let mut bank = Bank::new(LATENCY);
    bank.play(&[(2, ACT, 1), (4, READ, 0), (5, READ, 0), (6, PRE, 0)], 10);
    assert_eq!(bank.violation(), Some((1, 4, 2 + RCD)));
    assert_eq!(bank.get("violations_o"), 3);
}

#[test]
fn commands_without_chip_select_are_not_the_banks() {
    let mut bank = Bank::new(LATENCY);
    bank.set("cs_i", 0);
    bank.play(&[(2, READ, 0), (3, ACT, 1), (4, ACT, 1)], 10);
    assert_eq!(bank.violation(), None);
}

/// What a wave file says of the data port at each rising edge, with its time.
fn waved(path: &std::path::Path) -> Vec<(u64, [u64; 4])> {
    let wave = pimc_cosim::wave::reader::Wave::open(path).unwrap();
    let find = |name: &str| wave.vars.iter().position(|v| v.name == name).unwrap();
    let (clock, data) = (find("clk_i"), find("rd_data_o"));
    let mut seen = Vec::new();
    let data = wave.whole(data);
    wave.sample(clock, &[data], |t, v| {
        assert!(v[0].known);
        seen.push((t, v[0].words));
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    seen
}

#[test]
fn wave_files_hold_what_the_ports_showed_and_can_follow_one_another() {
    let dir = tempfile::tempdir().unwrap();
    for (waves, name) in [(WaveFormat::Vcd, "vcd"), (WaveFormat::Fst, "fst")] {
        let design = Design { waves, ..design(LATENCY) };
        let mut bank = Bank::with(&design, &timing());
        for (part, at) in [("first", 0), ("second", 60)] {
            let path = dir.path().join(format!("{part}.{name}"));
            bank.model.open_wave(&path).unwrap();
            let commands = [(3, ACT, 2), (10, READ, 1), (17, READ, 3), (40, PRE, 0)];
            let seen = bank.play(&commands, 60);
            bank.model.close_wave();
            let waved = waved(&path);
            let data: Vec<_> = waved.iter().map(|w| w.1).collect();
            // The file begins with the clock high or unknown, so its first edge may be no rise.
            let skipped = seen.len() - data.len();
            assert!(skipped <= 1, "{name} {part}: {} of {} edges", data.len(), seen.len());
            assert_eq!(data, seen[skipped..], "{name} {part} from clock {at}");
        }
    }
}
