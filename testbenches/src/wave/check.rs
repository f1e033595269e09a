//! Compares a waveform with what the reference says that a run must show.
//!
//! Checked, in the order of time, the first difference reported:
//! - the constants and inputs that the host writes before a run, where the waveform shows it;
//! - every DRAM command: its kind, row or column, and its clock, exact, counted from the run's
//!   first command;
//! - every column as each bank unit takes it (`col_valid_i`, `rd_data_i`);
//! - every accumulator after a column, in every bank (`column_done`, `column_acc`);
//! - every result of a matrix row (`row_valid_o`, `row_value_o`);
//! - every element written to vector memory (`write_en`, `write_addr`, `write_data`), those of a
//!   clock in the order of their lanes;
//! - the end of the run (`done_o`): its clock, and that nothing is missing.
//!
//! A bit that is neither 0 nor 1 where a value counts is a difference.

use super::expect::{Expected, Reference};
use super::reader::{sign_extend, Bits, Wave};
use super::run::{command_name, of_event, Found, Run};
use super::signals::*;
use crate::error::Error;
use crate::report::{Divergence, WaveCounts};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

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
    let scope = channel_scope(&wave, path, reference.shape())?;
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

/// The comparison itself, clock by clock; what the signals are read from is the caller's affair.
pub(crate) struct Checker<'a> {
    reference: &'a mut dyn Reference,
    banks: usize,
    /// The units of the banks are attention units.
    attention: bool,
    lanes: usize,
    widths: Vec<u32>,
    names: Vec<String>,
    host: BTreeMap<u32, i64>,
    run: Option<Run>,
    result: WaveResult,
    problem: Option<String>,
}

impl<'a> Checker<'a> {
    /// A check of signals of these widths, in the order of their slots.
    pub(crate) fn new(reference: &'a mut dyn Reference, widths: Vec<u32>) -> Checker<'a> {
        let shape = reference.shape();
        Checker {
            banks: shape.banks as usize,
            attention: shape.bank.attention.is_some(),
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
        if v[HOST_WE].is_set() && v[HOST_ADDR].known {
            let (addr, word) = (v[HOST_ADDR].low() as u32, v[HOST_DATA]);
            let number = sign_extend(word.low(), self.widths[HOST_DATA]);
            // What is written over with an unknown word is not known any more.
            match word.known {
                true => self.host.insert(addr, number),
                false => self.host.remove(&addr),
            };
        }
        let in_reset = v[RST].known && v[RST].low() == 0;
        if self.run.is_none() && v[START].is_set() && !in_reset {
            let host = |addr: u32| self.host.get(&addr).copied();
            match self.reference.expect(self.result.counts.runs as usize, &host) {
                Ok(expected) => {
                    self.result.counts.runs += 1;
                    let run = Run::new(expected, self.banks, self.lanes);
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
        let over = v[DONE].is_set();
        let compared = self.compare(&mut run, v);
        let missing = || if over { run.missing() } else { None };
        match compared.err().or_else(missing).or_else(|| run.end(over)) {
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
            expected: format!("{word} to word {addr}"),
            got: format!("{} to word {addr}", self.host[addr]),
            ..Found::default()
        })
    }

    fn compare(&mut self, run: &mut Run, v: &[Bits]) -> Result<(), Found> {
        self.command(run, v)?;
        for bank in 0..self.banks {
            let at = bank_at(self.lanes, bank);
            self.read(run, v, bank, at)?;
            self.column(run, v, bank, at + 2)?;
            if !self.attention {
                self.result_word(run, v, bank, at + 4)?;
            }
        }
        self.write(run, v)
    }

    /// Whether an event happens now; a difference if the signal that tells so is unknown.
    fn flag(&self, run: &Run, v: &[Bits], slot: usize, bank: Option<usize>) -> Result<bool, Found> {
        // Before the first command nothing has happened, and what was never reset may be unknown.
        if !v[slot].known && run.first.is_some() {
            let (expected, got) = ("0 or 1".into(), "x".into());
            let command = run.last_command();
            return Err(Found { slot, bank, command, origin: None, expected, got });
        }
        Ok(v[slot].is_set())
    }

    fn command(&mut self, run: &mut Run, v: &[Bits]) -> Result<(), Found> {
        // What shows in the clock of the start is a refresh that the idle sequencer had begun.
        if run.clock == 0 {
            return Ok(());
        }
        let next = run.expected.commands.get(run.commands).copied();
        if !self.flag(run, v, CMD_VALID, None)? {
            let due = run.first.zip(next).is_some_and(|(f, next)| run.clock - f >= next.cycle);
            return match run.next_command() {
                Some(next) if due => Err(run.at_command(CMD_VALID, next, "no command".into())),
                _ => Ok(()),
            };
        }
        let cycle = run.clock - *run.first.get_or_insert(run.clock);
        let code = v[CMD];
        let got = if code.known { command_name(code.low()) } else { "x" };
        let got = format!("{got} in cycle {cycle}");
        let (Some(next), Some(expected)) = (next, run.next_command()) else {
            return Err(run.at_command(CMD_VALID, "no further command".into(), got));
        };
        if cycle != next.cycle || !code.is(next.code.into()) {
            return Err(run.at_command(CMD, expected, got));
        }
        for (slot, want) in [(CMD_ROW, next.row), (CMD_COL, next.col)] {
            if let Some(want) = want.filter(|&want| !v[slot].is(want.into())) {
                let expected = format!("{} {want}", command_name(next.code.into()));
                return Err(run.at_command(slot, expected, v[slot].to_string()));
            }
        }
        run.commands += 1;
        self.result.counts.commands += 1;
        Ok(())
    }

    fn read(&mut self, run: &mut Run, v: &[Bits], bank: usize, at: usize) -> Result<(), Found> {
        if !self.flag(run, v, at, Some(bank))? {
            return Ok(());
        }
        let data = v[at + 1];
        let Some(&(_, row, col)) = run.reads.get(run.banks[bank].reads) else {
            return Err(unexpected(at, bank, "a column"));
        };
        let taken = run.expected.taken.get(run.banks[bank].reads);
        let taken = taken.and_then(|columns| columns.get(bank)).copied();
        let want = taken.unwrap_or_else(|| self.reference.column(bank, row, col));
        if !data.known || data.words != want {
            let expected = format!("row {row} column {col}: {}", hex(&want));
            let got = if data.known { hex(&data.words) } else { "x".into() };
            return Err(run.at_read(at + 1, bank, expected, got));
        }
        run.banks[bank].reads += 1;
        self.result.counts.reads += 1;
        Ok(())
    }

    fn column(&mut self, run: &mut Run, v: &[Bits], bank: usize, at: usize) -> Result<(), Found> {
        if !self.flag(run, v, at, Some(bank))? {
            return Ok(());
        }
        let Some(want) = run.expected.columns.get(run.banks[bank].columns) else {
            return Err(unexpected(at, bank, "an accumulator"));
        };
        let (acc, bits, sum) = (v[at + 1], self.widths[at + 1], want.values[bank]);
        // Within a matrix row a sum may wrap: only the last one is proven to fit.
        if !acc.is_congruent(sum, bits) {
            return Err(of_event(at + 1, bank, want, sum, acc.show_signed(bits)));
        }
        run.banks[bank].columns += 1;
        self.result.counts.columns += 1;
        Ok(())
    }

    fn result_word(
        &mut self,
        run: &mut Run,
        v: &[Bits],
        bank: usize,
        at: usize,
    ) -> Result<(), Found> {
        if !self.flag(run, v, at, Some(bank))? {
            return Ok(());
        }
        let Some(want) = run.expected.results.get(run.banks[bank].results) else {
            return Err(unexpected(at, bank, "a result"));
        };
        let (value, bits, number) = (v[at + 1], self.widths[at + 1], want.values[bank]);
        if !same(&value, bits, number) {
            return Err(of_event(at + 1, bank, want, number, value.show_signed(bits)));
        }
        run.banks[bank].results += 1;
        self.result.counts.results += 1;
        Ok(())
    }

    fn write(&mut self, run: &mut Run, v: &[Bits]) -> Result<(), Found> {
        if !self.flag(run, v, WRITE_EN, None)? {
            return Ok(());
        }
        let lanes = (0..self.lanes).filter(|lane| v[WRITE_EN].low() >> lane & 1 == 1);
        lanes.into_iter().try_for_each(|lane| self.element(run, v, lane))
    }

    /// The element that a lane writes.
    fn element(&mut self, run: &mut Run, v: &[Bits], lane: usize) -> Result<(), Found> {
        let slot = WRITE_DATA + lane;
        let (base, data, bits) = (v[WRITE_ADDR], v[slot], self.widths[slot]);
        let addr = base.low() + lane as u64;
        let to = if base.known { addr.to_string() } else { "x".into() };
        let got = format!("{} to word {to}", data.show_signed(bits));
        let Some(want) = run.expected.writes.get(run.writes) else {
            return Err(run.at_write(WRITE_EN, "no further write".into(), got));
        };
        let there = base.known && addr == u64::from(want.addr);
        let slot = match (there, same(&data, bits, want.data)) {
            (true, true) => {
                run.writes += 1;
                self.result.counts.writes += 1;
                return Ok(());
            }
            (true, false) => slot,
            (false, _) => WRITE_ADDR,
        };
        Err(run.at_write(slot, format!("{} to word {}", want.data, want.addr), got))
    }
}

/// Whether a word of `bits` bits is that number, which must fit it.
fn same(word: &Bits, bits: u32, number: i64) -> bool {
    word.is_congruent(number, bits) && (bits >= 64 || sign_extend(word.low(), bits) == number)
}

fn unexpected(slot: usize, bank: usize, what: &str) -> Found {
    let (expected, got) = (format!("not {what} more"), "1".into());
    Found { slot, bank: Some(bank), expected, got, ..Found::default() }
}

fn hex(words: &[u64; 4]) -> String {
    words.iter().rev().map(|w| format!("{w:016x}")).collect()
}
