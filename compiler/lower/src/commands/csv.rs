//! Command traces as text: `cycle,command,bank,row,column`, the address levels from the bank down
//! to the column, -1 for all of a level or for none.
//!
//! Lines that begin with `#` are comments, but for `# end: N`, which says that a whole run ends at
//! clock N.

use super::{expand_with, Command, Expanded, Timed};
use crate::diag::{error, list};
use crate::target::Target;
use crate::walk::ProgramError;
use pimc_ir::{Code, Diagnostic, Diagnostics};
use pimc_rtl::isa::Instr;
use std::io::{self, Write};

/// The line that names the columns.
const COLUMNS: &str = "cycle,command,bank,row,column";
/// What begins the comment with the clock of the end.
const END: &str = "# end:";
/// Largest clock: a few days of any DRAM, and far from where sums of clocks would overflow.
const MAX_CLOCK: u64 = 1 << 48;

/// Writes `commands.csv` of a program that takes no arguments.
pub fn write_csv(program: &[Instr], target: &Target, to: &mut dyn Write) -> io::Result<()> {
    write_csv_with(program, &[], target, to)
}

/// Writes the commands of a run with these arguments.
pub fn write_csv_with(
    program: &[Instr],
    args: &[u32],
    target: &Target,
    to: &mut dyn Write,
) -> io::Result<()> {
    write_timed(expand_with(program, args, target.timing.refi, target.columns), target, to)
}

/// Writes commands, wherever they come from.
pub fn write_timed(
    items: impl IntoIterator<Item = Result<Expanded, ProgramError>>,
    target: &Target,
    to: &mut dyn Write,
) -> io::Result<()> {
    write_head(target, to)?;
    for item in items {
        match item.map_err(io::Error::other)? {
            Expanded::Command(t) => write_command(&t, to)?,
            Expanded::End { cycle } => write_end(cycle, to)?,
        }
    }
    Ok(())
}

/// The lines before the first command.
pub(crate) fn write_head(target: &Target, to: &mut dyn Write) -> io::Result<()> {
    let tck = target.timing.tck_ps;
    writeln!(to, "# Command trace for target {}: every DRAM command of one run.", target.name)?;
    writeln!(
        to,
        "# cycle: clock of the DRAM's command bus, {tck} ps each, from the first command;"
    )?;
    writeln!(to, "# one command a clock. bank, row, column: from 0; -1 is all, or none.")?;
    writeln!(to, "# command: ACT RD WR PRE REF RFM, of bank -1 all banks at once.")?;
    writeln!(to, "{COLUMNS}")
}

/// The line of a command.
pub(crate) fn write_command(t: &Timed, to: &mut dyn Write) -> io::Result<()> {
    let bank = t.bank.map_or(-1, i64::from);
    let (row, col) = match t.command {
        Command::Act { row } => (i64::from(row), -1),
        Command::Read { row, col } | Command::Write { row, col } => {
            (i64::from(row), i64::from(col))
        }
        Command::Pre | Command::Ref | Command::Rfm => (-1, -1),
    };
    writeln!(to, "{},{},{bank},{row},{col}", t.cycle, t.command.name())
}

/// The line of the end.
pub(crate) fn write_end(cycle: u64, to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "{END} {cycle}")
}

/// A trace that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Its commands, in the order of their lines, which need not be that of their clocks.
    pub commands: Vec<Timed>,
    /// The clock of the end, where the trace says that it is a whole run.
    pub end: Option<u64>,
}

/// Reads a trace; `file_name` is shown in diagnostics.
///
/// # Errors
/// P0706 for every line that is no command.
pub fn read_csv(file_name: &str, text: &str) -> Result<Trace, Diagnostics> {
    let mut found = list(file_name, text);
    let mut trace = Trace::default();
    let (mut at, mut named) = (0, false);
    for (number, whole) in text.split_inclusive('\n').enumerate() {
        let start = at;
        at += whole.len();
        let line = Line { text: whole.trim_end_matches(['\n', '\r']), start };
        let mistake = if let Some(clock) = line.text.strip_prefix(END) {
            let end = line.number(clock, END.len(), MAX_CLOCK).map(|n| trace.end.replace(n));
            match end {
                Ok(Some(_)) => Some(line.mistake(0, line.text, "a second end of the trace")),
                Ok(None) => None,
                Err(d) => Some(d),
            }
        } else if line.text.starts_with('#') || line.text.trim().is_empty() {
            None
        } else if !named {
            named = true;
            let first = line.mistake(0, line.text, format!("the first line is not `{COLUMNS}`"));
            (line.text.trim() != COLUMNS).then_some(first)
        } else {
            match line.command() {
                Ok(timed) => {
                    trace.commands.push(Timed { instr: number, ..timed });
                    None
                }
                Err(d) => Some(d),
            }
        };
        if let Some(d) = mistake {
            found.push(d);
        }
    }
    if !named {
        found.push(
            error(Code::P0706, "there is no trace in this file")
                .at(&(0..0), format!("`{COLUMNS}` is expected"))
                .help(HELP),
        );
    }
    if found.is_empty() {
        Ok(trace)
    } else {
        Err(found)
    }
}

const HELP: &str =
    "a line is `cycle,command,bank,row,column`, as in schedule/commands.csv; commands \
                    are ACT RD WR PRE REF RFM, and -1 stands for all banks or for no row or column";

/// A line and where it begins.
struct Line<'a> {
    text: &'a str,
    start: usize,
}

impl Line<'_> {
    fn mistake(&self, at: usize, what: &str, message: impl Into<String>) -> Diagnostic {
        let from = self.start + at;
        error(Code::P0706, message).at(&(from..from + what.len()), "here").help(HELP)
    }

    /// A number of 0 to `max`, at this place of the line.
    fn number(&self, text: &str, at: usize, max: u64) -> Result<u64, Diagnostic> {
        let plain = text.trim();
        let digits = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit());
        match plain.parse() {
            Ok(n) if digits && n <= max => Ok(n),
            _ => Err(self.mistake(at, text, format!("`{plain}` is no number from 0 to {max}"))),
        }
    }

    fn command(&self) -> Result<Timed, Diagnostic> {
        let mut fields = [("", 0); 5];
        let (mut count, mut at) = (0, 0);
        for field in self.text.split(',') {
            if let Some(slot) = fields.get_mut(count) {
                *slot = (field, at);
            }
            count += 1;
            at += field.len() + 1;
        }
        if count != fields.len() {
            let message = format!("{count} fields instead of {}", fields.len());
            return Err(self.mistake(0, self.text, message));
        }
        let [cycle, name, bank, row, column] = fields;
        let small =
            |(text, at): (&str, usize)| self.number(text, at, u32::MAX.into()).map(|n| n as u32);
        let none = |field: (&str, usize)| {
            let message = format!("{} has no such address: -1 is expected", name.0.trim());
            if field.0.trim() == "-1" {
                Ok(())
            } else {
                Err(self.mistake(field.1, field.0, message))
            }
        };
        let cycle = self.number(cycle.0, cycle.1, MAX_CLOCK)?;
        let command = match name.0.trim() {
            "ACT" => {
                none(column)?;
                Command::Act { row: small(row)? }
            }
            "RD" => Command::Read { row: small(row)?, col: small(column)? },
            "WR" => Command::Write { row: small(row)?, col: small(column)? },
            plain @ ("PRE" | "REF" | "RFM") => {
                none(row)?;
                none(column)?;
                match plain {
                    "PRE" => Command::Pre,
                    "REF" => Command::Ref,
                    _ => Command::Rfm,
                }
            }
            other => {
                return Err(self.mistake(name.1, name.0, format!("`{other}` is no command")));
            }
        };
        let bank = if bank.0.trim() == "-1" { None } else { Some(small(bank)?) };
        Ok(Timed { cycle, command, bank, instr: 0 })
    }
}
