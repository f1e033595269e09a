//! One run of the program under the check: what it must show, and how far it has come.

use super::expect::{Expected, Origin, PerBank};
use super::signals::{bank_at, CMD_VALID, DONE, WRITE_EN};

/// Names of the commands by their code on the port.
const COMMANDS: [&str; 5] = ["activate", "read", "precharge", "refresh", "write"];

/// The name of a command.
pub(super) fn command_name(code: u64) -> &'static str {
    COMMANDS.get(code as usize).copied().unwrap_or("no command")
}

/// A difference, with what the check knows where it is found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) slot: usize,
    pub(super) bank: Option<usize>,
    pub(super) command: Option<usize>,
    pub(super) origin: Option<Origin>,
    pub(super) expected: String,
    pub(super) got: String,
}

/// How far a run has come.
pub(super) struct Run {
    pub(super) expected: Expected,
    /// The columns that are read, in order: index into the commands, row, column.
    pub(super) reads: Vec<(usize, u32, u32)>,
    /// Clocks since the start.
    pub(super) clock: u64,
    /// Clock of the first command, once it has been seen.
    pub(super) first: Option<u64>,
    pub(super) commands: usize,
    pub(super) writes: usize,
    pub(super) banks: Vec<BankRun>,
    lanes: usize,
}

/// How far a bank has come.
#[derive(Clone, Default)]
pub(super) struct BankRun {
    pub(super) reads: usize,
    pub(super) columns: usize,
    pub(super) results: usize,
}

impl Run {
    pub(super) fn new(expected: Expected, banks: usize, lanes: usize) -> Run {
        let (mut row, mut reads) = (0, Vec::new());
        for (i, c) in expected.commands.iter().enumerate() {
            row = c.row.unwrap_or(row);
            if let Some(col) = c.col.filter(|_| c.code == 1) {
                reads.push((i, row, col));
            }
        }
        let banks = vec![BankRun::default(); banks];
        Run { expected, reads, clock: 0, first: None, commands: 0, writes: 0, banks, lanes }
    }

    /// The command that was last seen.
    pub(super) fn last_command(&self) -> Option<usize> {
        self.commands.checked_sub(1)
    }

    /// The command that is due next, which did not come as it should.
    pub(super) fn at_command(&self, slot: usize, expected: String, got: String) -> Found {
        let origin = self.expected.commands.get(self.commands).map(|c| c.origin);
        Found { slot, command: Some(self.commands), origin, expected, got, ..Found::default() }
    }

    /// What the next command is and when.
    pub(super) fn next_command(&self) -> Option<String> {
        let next = self.expected.commands.get(self.commands)?;
        Some(format!("{} in cycle {}", command_name(next.code.into()), next.cycle))
    }

    /// A column that a bank took, or should have taken.
    pub(super) fn at_read(&self, slot: usize, bank: usize, expected: String, got: String) -> Found {
        let command = self.reads.get(self.banks[bank].reads).map(|r| r.0);
        let origin = command.map(|c| self.expected.commands[c].origin);
        Found { slot, bank: Some(bank), command, origin, expected, got }
    }

    /// A write of vector memory; `origin` is that of the write that was due.
    pub(super) fn at_write(&self, slot: usize, expected: String, got: String) -> Found {
        let origin = self.expected.writes.get(self.writes).map(|w| w.origin);
        Found { slot, bank: None, command: self.last_command(), origin, expected, got }
    }

    /// Whether the end comes out of its clock.
    pub(super) fn end(&self, over: bool) -> Option<Found> {
        let cycle = self.clock - self.first?;
        let right = if over { cycle == self.expected.end } else { cycle < self.expected.end };
        (!right).then(|| Found {
            slot: DONE,
            command: self.last_command(),
            expected: format!("the end in cycle {}", self.expected.end),
            got: if over { format!("the end in cycle {cycle}") } else { "no end".into() },
            ..Found::default()
        })
    }

    /// What the run should have shown and, at its end, has not.
    pub(super) fn missing(&self) -> Option<Found> {
        let got = || "the end of the run".to_string();
        if let Some(next) = self.next_command() {
            return Some(self.at_command(CMD_VALID, next, got()));
        }
        for (bank, seen) in self.banks.iter().enumerate() {
            let at = bank_at(self.lanes, bank);
            if let Some((_, row, col)) = self.reads.get(seen.reads) {
                let expected = format!("row {row} column {col} to be taken");
                return Some(self.at_read(at, bank, expected, got()));
            }
            let left = [
                (at + 2, self.expected.columns.get(seen.columns)),
                (at + 4, self.expected.results.get(seen.results)),
            ];
            if let Some((slot, event)) = left.into_iter().find_map(|(s, e)| Some((s, e?))) {
                return Some(of_event(slot, bank, event, event.values[bank], got()));
            }
        }
        let next = self.expected.writes.get(self.writes)?;
        let expected = format!("{} to word {}", next.data, next.addr);
        Some(self.at_write(WRITE_EN, expected, got()))
    }
}

/// A value of a bank that is not what it must be.
pub(super) fn of_event(
    slot: usize,
    bank: usize,
    event: &PerBank,
    expected: i64,
    got: String,
) -> Found {
    Found {
        slot,
        bank: Some(bank),
        command: Some(event.command),
        origin: Some(event.origin),
        expected: expected.to_string(),
        got,
    }
}
