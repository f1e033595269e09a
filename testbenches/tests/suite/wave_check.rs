//! The waveform check against waveforms made by hand: a right one passes and is counted, and every
//! single change of it is found, at its place.

use pimc_cosim::report::WaveCounts;
use pimc_cosim::wave::expect::{Command, Expected, Origin, PerBank, Reference, Write};
use pimc_cosim::wave::{check, WaveResult};
use pimc_rtl::isa::IsaShape;
use pimc_rtl::shape::{BankShape, BufferShape, ChannelShape};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const BANKS: usize = 2;
const START: usize = 6;
/// The first command comes this long after the start.
const LEAD: usize = 3;

fn shape() -> ChannelShape {
    ChannelShape {
        banks: BANKS as u32,
        beats: 4,
        beat_bits: 64,
        read_latency: 2,
        write_latency: None,
        dram_rows: 8,
        dram_cols: 4,
        refi: 1000,
        rfc: 5,
        isa: IsaShape {
            delay_bits: 4,
            row_bits: 3,
            col_bits: 2,
            count_bits: 2,
            mode_bits: 1,
            columns_bits: 1,
            beats_bits: 2,
            coats_bits: 0,
            key_bits: 0,
            block_bits: 0,
            addr_bits: 4,
            bank_bits: 0,
            dynamic: Default::default(),
        },
        program_depth: 16,
        arg_words: 0,
        bank: BankShape {
            lookups: Vec::new(),
            gated: None,
            blocks: None,
            mac: None,
            attention: None,
            byte_words: 0,
            result_bits: 12,
        },
        buffer: BufferShape {
            word_bits: 20,
            depth: 16,
            ops: Vec::new(),
            requant: None,
            mul_bits: 0,
            merge: None,
        },
    }
}

fn column(bank: usize, row: u32, col: u32) -> [u64; 4] {
    std::array::from_fn(|i| (1 + i as u64 + 16 * bank as u64) << 40 | u64::from(row << 4 | col))
}

fn expected() -> Expected {
    let at = |op| Origin { instr: 7, op: Some(op) };
    let command = |cycle, code, row, col| Command { cycle, code, row, col, origin: at(0) };
    let per_bank =
        |values: [i64; BANKS]| PerBank { values: values.to_vec(), command: 2, origin: at(0) };
    Expected {
        taken: Vec::new(),
        host: Vec::new(),
        commands: vec![
            command(0, 3, None, None),
            command(8, 0, Some(5), None),
            command(12, 1, None, Some(2)),
            command(16, 1, None, Some(3)),
            command(22, 2, None, None),
        ],
        columns: vec![per_bank([-100, 7]), per_bank([2047, -2048])],
        results: vec![per_bank([2047, -2048])],
        writes: vec![
            Write { addr: 9, data: -3, origin: at(1) },
            Write { addr: 10, data: 500_000, origin: at(1) },
            Write { addr: 11, data: 77, origin: at(1) },
        ],
        end: 35,
    }
}

struct Fixed(ChannelShape);

impl Reference for Fixed {
    fn shape(&self) -> &ChannelShape {
        &self.0
    }
    fn expect(
        &mut self,
        run: usize,
        host: &dyn Fn(u32) -> Option<i64>,
    ) -> Result<Expected, String> {
        assert_eq!(host(5), None);
        host(4).ok_or("does not show what the host wrote to word 4")?;
        let host = vec![(4, -7 - run as i64), (5, 1)];
        Ok(Expected { host, ..expected() })
    }
    fn column(&self, bank: usize, row: u32, col: u32) -> [u64; 4] {
        column(bank, row, col)
    }
}

/// Signal values by clock: `digits[(clock, signal)]`, for one clock only.
type Pulses = BTreeMap<(usize, String), String>;

fn digits(value: i64, bits: usize) -> String {
    (0..bits).rev().map(|i| if value >> i.min(63) & 1 == 1 { '1' } else { '0' }).collect()
}

fn wide(words: [u64; 4]) -> String {
    words.iter().rev().map(|w| format!("{w:064b}")).collect()
}

/// The elements of a step side by side, garbage in the lanes that have none.
fn run_of(lanes: &[i64]) -> String {
    let word = |lane: usize| digits(lanes.get(lane).copied().unwrap_or(0x5_a5a5), 20);
    (0..BANKS).rev().map(word).collect()
}

/// The signals of one run, as the design would show them.
fn pulses(run: usize) -> Pulses {
    let mut p = Pulses::new();
    let e = expected();
    let mut set = |clock: usize, name: &str, value: String| {
        p.insert((clock, name.to_string()), value);
    };
    set(3, "host_we_i", "1".into());
    set(3, "host_addr_i", digits(4, 4));
    set(3, "host_wdata_i", digits(-7 - run as i64, 20));
    set(START, "start_i", "1".into());
    let first = START + LEAD;
    let mut row = 0;
    let mut reads = 0;
    for c in &e.commands {
        let at = first + c.cycle as usize;
        set(at, "cmd_valid_o", "1".into());
        set(at, "cmd_o", digits(i64::from(c.code), 2));
        row = c.row.unwrap_or(row);
        set(at, "cmd_row_o", digits(i64::from(row), 3));
        set(at, "cmd_col_o", digits(i64::from(c.col.unwrap_or(1)), 2));
        let Some(col) = c.col else { continue };
        for bank in 0..BANKS {
            let b = |name: &str| format!("bank{bank}.{name}");
            set(at + 2, &b("col_valid_i"), "1".into());
            set(at + 2, &b("rd_data_i"), wide(column(bank, row, col)));
            set(at + 7, &b("column_done"), "1".into());
            set(at + 7, &b("column_acc"), digits(e.columns[reads].values[bank], 12));
            if reads == 1 {
                set(at + 8, &b("row_valid_o"), "1".into());
                set(at + 8, &b("row_value_o"), digits(e.results[0].values[bank], 12));
            }
        }
        reads += 1;
    }
    for (i, step) in e.writes.chunks(BANKS).enumerate() {
        let lanes: Vec<i64> = step.iter().map(|w| w.data).collect();
        set(first + 30 + i, "write_en", digits((1 << lanes.len()) - 1, BANKS));
        set(first + 30 + i, "write_addr", digits(i64::from(step[0].addr), 4));
        set(first + 30 + i, "write_data", run_of(&lanes));
    }
    set(first + 35, "done_o", "1".into());
    p
}

const LENGTH: usize = START + LEAD + 40;

fn signals() -> Vec<(String, usize)> {
    let channel = [
        ("clk_i", 1),
        ("rst_ni", 1),
        ("start_i", 1),
        ("done_o", 1),
        ("cmd_valid_o", 1),
        ("cmd_o", 2),
        ("cmd_row_o", 3),
        ("cmd_col_o", 2),
        ("host_we_i", 1),
        ("host_addr_i", 4),
        ("host_wdata_i", 20),
        ("write_en", BANKS),
        ("write_addr", 4),
        ("write_data", 20 * BANKS),
    ];
    let bank = [
        ("col_valid_i", 1),
        ("rd_data_i", 256),
        ("column_done", 1),
        ("column_acc", 12),
        ("row_valid_o", 1),
        ("row_value_o", 12),
    ];
    let mut all: Vec<(String, usize)> = channel.map(|(n, b)| (n.to_string(), b)).to_vec();
    for b in 0..BANKS {
        all.extend(bank.map(|(n, bits)| (format!("bank{b}.{n}"), bits)));
    }
    all
}

/// A VCD of the runs, one after the other.
fn vcd(runs: &[Pulses]) -> String {
    let all = signals();
    let code = |i: usize| format!("s{i}");
    let mut text =
        String::from("$timescale 1ns $end\n$scope module tb $end\n$scope module dut $end\n");
    let scopes = [("", ""), ("write_", "u_buffer")];
    for (i, (name, bits)) in all.iter().enumerate() {
        let scope = match name.strip_prefix("bank") {
            Some(rest) => format!("gen_bank[{}]", &rest[..1]),
            None if name.starts_with(scopes[1].0) => scopes[1].1.to_string(),
            None => String::new(),
        };
        let plain = name.split('.').next_back().unwrap();
        let var = format!("$var wire {bits} {} {plain} $end\n", code(i));
        if scope.is_empty() {
            text += &var;
        } else if scope == "u_buffer" {
            text += &format!("$scope module u_buffer $end\n{var}$upscope $end\n");
        } else {
            text += &format!(
                "$scope module {scope} $end\n$scope module u_bank $end\n{var}$upscope $end\n$upscope $end\n"
            );
        }
    }
    text += "$upscope $end\n$upscope $end\n$enddefinitions $end\n";
    for (r, run) in runs.iter().enumerate() {
        for clock in 0..LENGTH {
            let time = 10 * (r * LENGTH + clock);
            let _ = write!(text, "#{time}\n0s0\n");
            for (i, (name, bits)) in all.iter().enumerate().skip(1) {
                // What is not driven holds garbage, but for the signals that say that something is.
                let tells = *bits == 1 || name == "write_en";
                let quiet = if tells { "0".repeat(*bits) } else { digits(0x2aaa_5555, *bits) };
                let quiet = if name == "rst_ni" { "1".into() } else { quiet };
                let value = run.get(&(clock, name.clone())).unwrap_or(&quiet);
                let _ = writeln!(text, "b{value} {}", code(i));
            }
            let _ = write!(text, "#{}\n1s0\n", time + 5);
        }
    }
    text
}

fn checked(runs: &[Pulses]) -> WaveResult {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vcd(runs)).unwrap();
    check(file.path(), &mut Fixed(shape())).unwrap()
}

#[test]
fn right_runs_pass_and_are_counted() {
    let result = checked(&[pulses(0), pulses(1)]);
    assert!(result.divergence.is_none(), "{:?}", result.divergence);
    let banks = BANKS as u64;
    let counts = WaveCounts {
        runs: 2,
        clocks: result.counts.clocks,
        commands: 10,
        reads: 4 * banks,
        columns: 4 * banks,
        results: 2 * banks,
        writes: 6,
    };
    assert_eq!(result.counts, counts);
}

/// Every digit that is driven, flipped and made unknown: `(clock, signal)` and the new digits.
fn changes() -> Vec<((usize, String), String)> {
    let mut all = Vec::new();
    for (key, value) in pulses(0) {
        // Inputs of the run, and where a row or column says nothing, are not outputs to check.
        let ignored = key.1.starts_with("host") || key.1 == "start_i" || key.1 == "done_o";
        let command =
            expected().commands.iter().find(|c| START + LEAD + c.cycle as usize == key.0).copied();
        let unused = match key.1.as_str() {
            "cmd_row_o" => command.is_some_and(|c| c.row.is_none()),
            "cmd_col_o" => command.is_some_and(|c| c.col.is_none()),
            _ => false,
        };
        if ignored || unused {
            continue;
        }
        // The last step writes one lane; the lanes above it hold what they may.
        let last = key.1 == "write_data" && key.0 == START + LEAD + 31;
        let from = if last { 20 * (BANKS - 1) } else { 0 };
        for i in from..value.len() {
            for to in [if &value[i..=i] == "1" { "0" } else { "1" }, "x"] {
                let mut digits = value.clone();
                digits.replace_range(i..=i, to);
                all.push((key.clone(), digits));
            }
        }
    }
    all
}

#[test]
fn every_changed_digit_is_found_at_its_signal() {
    let all = changes();
    assert!(all.len() > 2000);
    // Wide columns have very many digits; every 11th change covers each signal and place.
    for ((clock, name), digits) in all.into_iter().step_by(11) {
        let mut run = pulses(0);
        run.insert((clock, name.clone()), digits.clone());
        let (d, _) = checked(&[run])
            .divergence
            .unwrap_or_else(|| panic!("{name} = {digits} in clock {clock} passed"));
        let (group, plain) = match name.split_once('.') {
            Some((bank, plain)) => (Some(bank[4..].parse::<usize>().unwrap()), plain),
            None => (None, name.as_str()),
        };
        assert_eq!(d.bank, group, "{name} {digits}: {d}");
        // A lost pulse is noticed when the next one comes out of turn, so the family is compared.
        let family = |n: &str| n.split('_').next().unwrap().to_string();
        let seen = family(d.signal.rsplit('.').next().unwrap());
        let same = family(plain) == seen || (plain == "rd_data_i") == (seen == "rd");
        assert!(same || (plain == "col_valid_i" && seen == "rd"), "{name} {digits}: {d}");
    }
}

#[test]
fn a_command_one_clock_late_is_found_with_both_clocks() {
    let mut run = pulses(0);
    let at = START + LEAD + 12;
    for name in ["cmd_valid_o", "cmd_o", "cmd_row_o", "cmd_col_o"] {
        let value = run.remove(&(at, name.to_string())).unwrap();
        run.insert((at + 1, name.to_string()), value);
    }
    let (d, op) = checked(&[run]).divergence.unwrap();
    assert_eq!(
        (d.signal.as_str(), d.command, d.cycle, op),
        ("cmd_valid_o", Some(2), Some(12), Some(0))
    );
    assert_eq!(d.expected, "read in cycle 12");
}

#[test]
fn what_never_happens_is_found_at_the_end() {
    for name in ["bank1.column_done", "bank0.row_valid_o", "write_en", "bank0.col_valid_i"] {
        let mut run = pulses(0);
        let last = run.keys().filter(|k| k.1 == name).map(|k| k.0).max().unwrap();
        run.remove(&(last, name.to_string()));
        let (d, _) = checked(&[run]).divergence.unwrap();
        assert_eq!(d.got, "the end of the run", "{name}");
        assert!(d.signal.ends_with(name.split('.').next_back().unwrap()), "{d}");
    }
}

#[test]
fn a_wrong_word_from_the_host_is_found() {
    let mut run = pulses(0);
    run.insert((3, "host_wdata_i".into()), digits(-9, 20));
    let (d, _) = checked(&[run]).divergence.unwrap();
    assert_eq!((d.signal.as_str(), d.got.as_str()), ("host_wdata_i", "-9 to word 4"));
}

#[test]
fn an_end_one_clock_early_or_late_is_found_with_both_clocks() {
    for (moved, got) in [(34, "the end in cycle 34"), (36, "no end")] {
        let mut run = pulses(0);
        run.remove(&(START + LEAD + 35, "done_o".into()));
        run.insert((START + LEAD + moved, "done_o".into()), "1".into());
        let (d, _) = checked(&[run]).divergence.unwrap();
        let found = (d.signal.as_str(), d.cycle, d.expected.as_str(), d.got.as_str());
        assert_eq!(found, ("done_o", Some(moved.min(35) as i64), "the end in cycle 35", got));
    }
}

#[test]
fn an_unknown_word_from_the_host_does_not_leave_the_one_before() {
    let mut second = pulses(1);
    second.insert((3, "host_wdata_i".into()), "x".repeat(20));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vcd(&[pulses(0), second])).unwrap();
    let error = check(file.path(), &mut Fixed(shape())).unwrap_err().to_string();
    assert!(error.contains("host wrote to word 4"), "{error}");
}

#[test]
fn a_result_or_a_write_must_fit_its_signal() {
    // -2048 in 12 bits is also 2048, which no signal of 12 bits can show.
    for (kind, wrong) in [("row_value_o", 2048), ("write_data", 1 << 19)] {
        let mut reference = Shifted(shape(), kind, wrong);
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut run = pulses(0);
        if kind == "write_data" {
            let key = run.keys().find(|k| k.1 == kind).unwrap().clone();
            run.insert(key, digits(wrong, 20));
        }
        std::fs::write(file.path(), vcd(&[run])).unwrap();
        let (d, _) = check(file.path(), &mut reference).unwrap().divergence.unwrap();
        let lane = format!("{kind}[");
        assert!(d.signal.ends_with(kind) || d.signal.contains(&lane), "{d}");
        assert_eq!((d.expected.contains(&wrong.to_string()), d.got.starts_with('-')), (true, true));
    }
}

/// Expects a number that the signal of that name is too narrow for.
struct Shifted(ChannelShape, &'static str, i64);

impl Reference for Shifted {
    fn shape(&self) -> &ChannelShape {
        &self.0
    }
    fn expect(&mut self, _: usize, _: &dyn Fn(u32) -> Option<i64>) -> Result<Expected, String> {
        let mut expected = expected();
        match self.1 {
            "row_value_o" => expected.results[0].values[1] = self.2,
            _ => expected.writes[0].data = self.2,
        }
        Ok(expected)
    }
    fn column(&self, bank: usize, row: u32, col: u32) -> [u64; 4] {
        column(bank, row, col)
    }
}

#[test]
fn a_second_run_is_checked_as_the_first() {
    let mut second = pulses(1);
    let key = second.keys().find(|k| k.1 == "write_data").unwrap().clone();
    second.insert(key, run_of(&[-4, 500_000]));
    let (d, op) = checked(&[pulses(0), second]).divergence.unwrap();
    assert_eq!((d.vector, op), (Some(1), Some(1)));
    assert_eq!(d.signal, "u_buffer.write_data[19:0]");
    assert_eq!((d.expected.as_str(), d.got.as_str()), ("-3 to word 9", "-4 to word 9"));
}

#[test]
fn an_element_in_another_lane_is_found() {
    let at = START + LEAD + 30;
    for (enables, words, place) in [
        ("11", [500_000, -3], "u_buffer.write_data[19:0]"),
        ("11", [-3, 500_001], "u_buffer.write_data[39:20]"),
        ("10", [0, -3], "u_buffer.write_addr"),
    ] {
        let mut run = pulses(0);
        run.insert((at, "write_en".into()), enables.into());
        run.insert((at, "write_data".into()), run_of(&words));
        let (d, op) = checked(&[run]).divergence.unwrap();
        assert_eq!((d.signal.as_str(), op), (place, Some(1)));
    }
}

#[test]
fn a_wave_that_ends_within_a_run_is_no_success() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = vcd(&[pulses(0)]);
    let cut = text.find(&format!("#{}\n", 10 * (LENGTH - 10))).unwrap();
    std::fs::write(file.path(), &text[..cut]).unwrap();
    let (d, _) = check(file.path(), &mut Fixed(shape())).unwrap().divergence.unwrap();
    assert_eq!(d.signal, "done_o");
}

#[test]
fn another_design_or_a_wave_without_the_signals_is_refused_with_words() {
    let cases = [
        (vcd(&[pulses(0)]).replace("gen_bank[1]", "gen_bank[7]"), "no pimc_channel of 2 banks"),
        (vcd(&[pulses(0)]).replace(" column_acc ", " other "), "u_bank.column_acc"),
        (vcd(&[pulses(0)]).replace("wire 40 ", "wire 41 "), "u_buffer.write_data has 41 bits"),
        (vcd(&[Pulses::new()]), "shows no run"),
    ];
    for (text, words) in cases {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let error = check(file.path(), &mut Fixed(shape())).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
