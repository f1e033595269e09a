//! Compares a waveform with what the reference says that a run must show.
//!
//! Checked, in the order of time, the first difference reported:
//! - the constants and inputs that the host writes before a run, where the waveform shows it;
//! - every DRAM command: its kind, row or column, and its clock, exact, counted from the run's
//!   first command;
//! - every column as each bank unit takes it (`col_valid_i`, `rd_data_i`);
//! - every accumulator after a column, in every bank (`column_done`, `column_acc`);
//! - every result word (`result_we`, `result_index`, `result_data`);
//! - every element written to vector memory (`write_en`, `write_addr`, `write_data`), those of a
//!   clock in the order of their lanes;
//! - at the end of the run: that nothing is missing.
//!
//! A bit that is neither 0 nor 1 where a value counts is a difference.

use super::expect::{Expected, Origin, Reference};
use super::reader::{Bits, Wave};
use super::signals::*;
use crate::error::Error;
use crate::report::{Divergence, WaveCounts};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

/// Names of the commands by their code on the port.
const COMMANDS: [&str; 4] = ["activate", "read", "precharge", "refresh"];

/// What the check of a waveform came to.
#[derive(Clone, Debug, Default)]
pub struct WaveResult {
    /// How much was compared.
    pub counts: WaveCounts,
    /// The first difference, and the op that it belongs to.
    pub divergence: Option<(Divergence, Option<usize>)>,
}

/// Checks the waveform in `path`.
///
/// # Errors
/// When the file cannot be read, shows no `pimc_channel` of this shape, or shows no run of it.
pub fn check(path: &Path, reference: &mut dyn Reference) -> Result<WaveResult, Error> {
    let wave = Wave::open(path)?;
    let scope = channel_scope(&wave, path, reference.shape().banks as usize)?;
    let (clock, slots) = slots(&wave, path, &scope, reference.shape())?;
    let widths = slots.iter().map(|s| s.bits).collect();
    let mut checker = Checker::new(reference, widths);
    wave.sample(clock, &slots, |_, values| checker.clock(values))?;
    let result = checker.finish().map_err(|problem| Error::content(path, problem))?;
    if result.divergence.is_none() && result.counts.runs == 0 {
        return Err(Error::content(path, "shows no run: start_i is never 1 at a clock edge"));
    }
    Ok(result)
}

/// How far a run has come.
struct Run {
    expected: Expected,
    /// The columns that are read, in order: index into the commands, row, column.
    reads: Vec<(usize, u32, u32)>,
    /// Clocks since the start.
    clock: u64,
    /// Clock of the first command, once it has been seen.
    first: Option<u64>,
    commands: usize,
    writes: usize,
    bank_reads: Vec<usize>,
    bank_columns: Vec<usize>,
    bank_results: Vec<usize>,
}

impl Run {
    fn new(expected: Expected, banks: usize) -> Run {
        let (mut row, mut reads) = (0, Vec::new());
        for (i, c) in expected.commands.iter().enumerate() {
            row = c.row.unwrap_or(row);
            if let Some(col) = c.col {
                reads.push((i, row, col));
            }
        }
        Run {
            expected,
            reads,
            clock: 0,
            first: None,
            commands: 0,
            writes: 0,
            bank_reads: vec![0; banks],
            bank_columns: vec![0; banks],
            bank_results: vec![0; banks],
        }
    }
}

/// The comparison itself, clock by clock; what the signals are read from is the caller's affair.
pub(crate) struct Checker<'a> {
    reference: &'a mut dyn Reference,
    banks: usize,
    lanes: usize,
    widths: Vec<u32>,
    names: Vec<String>,
    host: BTreeMap<u32, i64>,
    run: Option<Run>,
    result: WaveResult,
    problem: Option<String>,
}

/// A difference, with what the checker knows where it is found.
struct Found {
    slot: usize,
    bank: Option<usize>,
    command: Option<usize>,
    origin: Option<Origin>,
    expected: String,
    got: String,
}

impl<'a> Checker<'a> {
    /// A check of signals of these widths, in the order of their slots.
    pub(crate) fn new(reference: &'a mut dyn Reference, widths: Vec<u32>) -> Checker<'a> {
        let shape = reference.shape();
        Checker {
            banks: shape.banks as usize,
            lanes: shape.lanes() as usize,
            names: names(shape),
            reference,
            widths,
            host: BTreeMap::new(),
            run: None,
            result: WaveResult::default(),
            problem: None,
        }
    }

    /// What it came to, after the last clock.
    ///
    /// # Errors
    /// Text for the user, when a run's reference could not be made.
    pub(crate) fn finish(self) -> Result<WaveResult, String> {
        if let Some(problem) = self.problem {
            return Err(problem);
        }
        let mut result = self.result;
        if let (None, Some(run)) = (&result.divergence, &self.run) {
            let d = Divergence {
                what: "waveform".into(),
                vector: Some(result.counts.runs as usize - 1),
                signal: "done_o".into(),
                expected: "the end of the run".into(),
                got: format!("it ends {} clocks after the start", run.clock),
                ..Divergence::default()
            };
            result.divergence = Some((d, None));
        }
        Ok(result)
    }

    /// Takes the values of one clock, as they stand before its rising edge; says stop when a
    /// difference was found.
    pub(crate) fn clock(&mut self, v: &[Bits]) -> ControlFlow<()> {
        self.result.counts.clocks += 1;
        if v[HOST_WE].is_set() && v[HOST_ADDR].known && v[HOST_DATA].known {
            let word = sign_extend(v[HOST_DATA].low(), self.widths[HOST_DATA]);
            self.host.insert(v[HOST_ADDR].low() as u32, word);
        }
        let in_reset = v[RST].known && v[RST].low() == 0;
        if self.run.is_none() && v[START].is_set() && !in_reset {
            let host = |addr: u32| self.host.get(&addr).copied();
            match self.reference.expect(self.result.counts.runs as usize, &host) {
                Ok(expected) => {
                    self.result.counts.runs += 1;
                    let run = Run::new(expected, self.banks);
                    if let Some(found) = self.host_words(&run.expected) {
                        self.report(&run, found);
                        return ControlFlow::Break(());
                    }
                    self.run = Some(run);
                }
                Err(problem) => {
                    self.problem = Some(problem);
                    return ControlFlow::Break(());
                }
            }
        }
        let Some(mut run) = self.run.take() else { return ControlFlow::Continue(()) };
        let found = self.compare(&mut run, v);
        let over = v[DONE].is_set();
        match found.or_else(|| if over { self.missing(&run) } else { None }) {
            Some(found) => {
                self.report(&run, found);
                ControlFlow::Break(())
            }
            None => {
                run.clock += 1;
                self.run = (!over).then_some(run);
                ControlFlow::Continue(())
            }
        }
    }

    fn report(&mut self, run: &Run, found: Found) {
        let divergence = Divergence {
            what: "waveform".into(),
            vector: Some(self.result.counts.runs as usize - 1),
            bank: found.bank,
            command: found.command,
            cycle: Some(run.clock as i64 - run.first.unwrap_or(run.clock) as i64),
            signal: self.names[found.slot].clone(),
            expected: found.expected,
            got: found.got,
            ..Divergence::default()
        };
        self.result.divergence = Some((divergence, found.origin.and_then(|o| o.op)));
    }

    /// Whether the host wrote what it should have.
    fn host_words(&self, expected: &Expected) -> Option<Found> {
        let wrong = |&&(addr, word): &&(u32, i64)| self.host.get(&addr).is_some_and(|w| *w != word);
        expected.host.iter().find(wrong).map(|(addr, word)| Found {
            slot: HOST_DATA,
            bank: None,
            command: None,
            origin: None,
            expected: format!("{word} to word {addr}"),
            got: format!("{} to word {addr}", self.host[addr]),
        })
    }

    fn compare(&mut self, run: &mut Run, v: &[Bits]) -> Option<Found> {
        if let Some(found) = self.command(run, v) {
            return Some(found);
        }
        for bank in 0..self.banks {
            let at = bank_at(self.reference.shape(), bank);
            let found = self
                .read(run, v, bank, at)
                .or_else(|| self.column(run, v, bank, at + 2))
                .or_else(|| self.result_word(run, v, bank, at + 4));
            if found.is_some() {
                return found;
            }
        }
        self.write(run, v)
    }

    /// Whether an event happens now, or the signal that tells so is unknown.
    fn flag(&self, run: &Run, v: &[Bits], slot: usize, bank: Option<usize>) -> Result<bool, Found> {
        // Before the first command nothing has happened, and what was never reset may be unknown.
        if !v[slot].known && run.first.is_some() {
            return Err(Found {
                slot,
                bank,
                command: run.commands.checked_sub(1),
                origin: None,
                expected: "0 or 1".into(),
                got: "x".into(),
            });
        }
        Ok(v[slot].is_set())
    }

    fn command(&mut self, run: &mut Run, v: &[Bits]) -> Option<Found> {
        // What shows in the clock of the start is a refresh that the idle sequencer had begun.
        if run.clock == 0 {
            return None;
        }
        match self.flag(run, v, CMD_VALID, None) {
            Err(found) => return Some(found),
            Ok(false) => {
                let next = run.expected.commands.get(run.commands)?;
                let first = run.first?;
                if run.clock - first < next.cycle {
                    return None;
                }
                return Some(Found {
                    slot: CMD_VALID,
                    bank: None,
                    command: Some(run.commands),
                    origin: Some(next.origin),
                    expected: format!(
                        "{} in cycle {}",
                        COMMANDS[next.code as usize & 3],
                        next.cycle
                    ),
                    got: "no command".into(),
                });
            }
            Ok(true) => {}
        }
        let first = *run.first.get_or_insert(run.clock);
        let cycle = run.clock - first;
        let (n, got) = (run.commands, v[CMD]);
        let name = |c: u64| COMMANDS[c as usize & 3];
        let Some(next) = run.expected.commands.get(n).copied() else {
            return Some(Found {
                slot: CMD_VALID,
                bank: None,
                command: Some(n),
                origin: None,
                expected: "no further command".into(),
                got: format!("{} in cycle {cycle}", name(got.low())),
            });
        };
        let differs = |slot, expected: String, got: String| {
            Some(Found {
                slot,
                bank: None,
                command: Some(n),
                origin: Some(next.origin),
                expected,
                got,
            })
        };
        let wanted = name(u64::from(next.code));
        if cycle != next.cycle || !got.known || got.low() != u64::from(next.code) {
            let got = if got.known { name(got.low()) } else { "x" };
            let expected = format!("{wanted} in cycle {}", next.cycle);
            return differs(CMD, expected, format!("{got} in cycle {cycle}"));
        }
        for (slot, want) in [(CMD_ROW, next.row), (CMD_COL, next.col)] {
            if let Some(want) = want {
                if !v[slot].known || v[slot].low() != u64::from(want) {
                    return differs(slot, format!("{wanted} {want}"), show(&v[slot]));
                }
            }
        }
        run.commands += 1;
        self.result.counts.commands += 1;
        None
    }

    fn read(&mut self, run: &mut Run, v: &[Bits], bank: usize, at: usize) -> Option<Found> {
        match self.flag(run, v, at, Some(bank)) {
            Err(found) => return Some(found),
            Ok(false) => return None,
            Ok(true) => {}
        }
        let n = run.bank_reads[bank];
        let data = v[at + 1];
        let Some(&(command, row, col)) = run.reads.get(n) else {
            return Some(unexpected(at, bank, "a column"));
        };
        let want = self.reference.column(bank, row, col);
        if !data.known || data.words != want {
            return Some(Found {
                slot: at + 1,
                bank: Some(bank),
                command: Some(command),
                origin: Some(run.expected.commands[command].origin),
                expected: format!("row {row} column {col}: {}", hex(&want)),
                got: if data.known { hex(&data.words) } else { "x".into() },
            });
        }
        run.bank_reads[bank] += 1;
        self.result.counts.reads += 1;
        None
    }

    fn column(&mut self, run: &mut Run, v: &[Bits], bank: usize, at: usize) -> Option<Found> {
        match self.flag(run, v, at, Some(bank)) {
            Err(found) => return Some(found),
            Ok(false) => return None,
            Ok(true) => {}
        }
        let Some(want) = run.expected.columns.get(run.bank_columns[bank]) else {
            return Some(unexpected(at, bank, "an accumulator"));
        };
        if let Some(found) = self.value(v, at + 1, bank, want.values[bank], want) {
            return Some(found);
        }
        run.bank_columns[bank] += 1;
        self.result.counts.columns += 1;
        None
    }

    fn result_word(&mut self, run: &mut Run, v: &[Bits], bank: usize, at: usize) -> Option<Found> {
        match self.flag(run, v, at, Some(bank)) {
            Err(found) => return Some(found),
            Ok(false) => return None,
            Ok(true) => {}
        }
        let Some(want) = run.expected.results.get(run.bank_results[bank]) else {
            return Some(unexpected(at, bank, "a result word"));
        };
        let index = self.value(v, at + 1, bank, i64::from(want.index), want);
        if let Some(found) = index.or_else(|| self.value(v, at + 2, bank, want.values[bank], want))
        {
            return Some(found);
        }
        run.bank_results[bank] += 1;
        self.result.counts.results += 1;
        None
    }

    fn value(
        &self,
        v: &[Bits],
        slot: usize,
        bank: usize,
        want: i64,
        event: &super::expect::PerBank,
    ) -> Option<Found> {
        let bits = self.widths[slot];
        if v[slot].known && v[slot].low() == truncate(want, bits) {
            return None;
        }
        Some(Found {
            slot,
            bank: Some(bank),
            command: Some(event.command),
            origin: Some(event.origin),
            expected: want.to_string(),
            got: show_signed(&v[slot], bits),
        })
    }

    fn write(&mut self, run: &mut Run, v: &[Bits]) -> Option<Found> {
        match self.flag(run, v, WRITE_EN, None) {
            Err(found) => return Some(found),
            Ok(false) => return None,
            Ok(true) => {}
        }
        let lanes = (0..self.lanes).filter(|lane| v[WRITE_EN].low() >> lane & 1 == 1);
        lanes.into_iter().find_map(|lane| self.element(run, v, lane))
    }

    /// The element that a lane writes.
    fn element(&mut self, run: &mut Run, v: &[Bits], lane: usize) -> Option<Found> {
        let slot = WRITE_DATA + lane;
        let (base, data, bits) = (v[WRITE_ADDR], v[slot], self.widths[slot]);
        let addr = base.low() + lane as u64;
        let got = || {
            let addr = if base.known { addr.to_string() } else { "x".into() };
            format!("{} to word {addr}", show_signed(&data, bits))
        };
        let Some(want) = run.expected.writes.get(run.writes).copied() else {
            return Some(Found {
                slot: WRITE_EN,
                bank: None,
                command: run.commands.checked_sub(1),
                origin: None,
                expected: "no further write".into(),
                got: got(),
            });
        };
        let there = base.known && addr == u64::from(want.addr);
        if !there || !data.known || data.low() != truncate(want.data, bits) {
            return Some(Found {
                slot: if there { slot } else { WRITE_ADDR },
                bank: None,
                command: run.commands.checked_sub(1),
                origin: Some(want.origin),
                expected: format!("{} to word {}", want.data, want.addr),
                got: got(),
            });
        }
        run.writes += 1;
        self.result.counts.writes += 1;
        None
    }

    /// What the run should have shown and did not.
    fn missing(&self, run: &Run) -> Option<Found> {
        let e = &run.expected;
        if let Some(next) = e.commands.get(run.commands) {
            return Some(Found {
                slot: CMD_VALID,
                bank: None,
                command: Some(run.commands),
                origin: Some(next.origin),
                expected: format!("{} in cycle {}", COMMANDS[next.code as usize & 3], next.cycle),
                got: "the end of the run".into(),
            });
        }
        for bank in 0..self.banks {
            let at = bank_at(self.reference.shape(), bank);
            if let Some(&(command, row, col)) = run.reads.get(run.bank_reads[bank]) {
                return Some(Found {
                    slot: at,
                    bank: Some(bank),
                    command: Some(command),
                    origin: Some(e.commands[command].origin),
                    expected: format!("row {row} column {col} to be taken"),
                    got: "the end of the run".into(),
                });
            }
            let left = [
                (at + 2, e.columns.get(run.bank_columns[bank])),
                (at + 4, e.results.get(run.bank_results[bank])),
            ];
            for (slot, event) in left {
                if let Some(event) = event {
                    return Some(Found {
                        slot,
                        bank: Some(bank),
                        command: Some(event.command),
                        origin: Some(event.origin),
                        expected: event.values[bank].to_string(),
                        got: "the end of the run".into(),
                    });
                }
            }
        }
        e.writes.get(run.writes).map(|w| Found {
            slot: WRITE_EN,
            bank: None,
            command: run.commands.checked_sub(1),
            origin: Some(w.origin),
            expected: format!("{} to word {}", w.data, w.addr),
            got: "the end of the run".into(),
        })
    }
}

fn unexpected(slot: usize, bank: usize, what: &str) -> Found {
    Found {
        slot,
        bank: Some(bank),
        command: None,
        origin: None,
        expected: format!("not {what} more"),
        got: "1".into(),
    }
}

/// The low `bits` of a value.
fn truncate(value: i64, bits: u32) -> u64 {
    if bits >= 64 {
        value as u64
    } else {
        value as u64 & ((1 << bits) - 1)
    }
}

/// A value of `bits` bits as the signed number it stands for.
pub fn sign_extend(word: u64, bits: u32) -> i64 {
    let up = 64 - bits.clamp(1, 64);
    (word << up) as i64 >> up
}

fn show(v: &Bits) -> String {
    if v.known {
        v.low().to_string()
    } else {
        "x".into()
    }
}

fn show_signed(v: &Bits, bits: u32) -> String {
    if v.known {
        sign_extend(v.low(), bits).to_string()
    } else {
        "x".into()
    }
}

fn hex(words: &[u64; 4]) -> String {
    words.iter().rev().map(|w| format!("{w:016x}")).collect()
}
