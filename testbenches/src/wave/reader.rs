//! Wave files as one stream of values at rising clock edges, whatever wrote them: VCD and FST.
//!
//! A sample holds what the signals were just before the edge, which is what the registers of the
//! design see: changes written with the same time as the edge come after it.

use crate::error::Error;
use fst_reader::{
    FstFilter, FstHierarchyEntry, FstReader, FstSignalHandle, FstSignalValue, ReaderError,
};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use vcd::{Command, IdCode, Value};

/// Most bits that can be sampled as one value.
pub const WIDEST: usize = 256;

/// The value of a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bits {
    /// The value, lowest word first; bits that are not known are 0.
    pub words: [u64; WIDEST / 64],
    /// Whether every bit is 0 or 1.
    pub known: bool,
}

impl Bits {
    /// A value that has not been seen yet.
    pub const UNKNOWN: Bits = Bits { words: [0; WIDEST / 64], known: false };

    /// The low 64 bits.
    pub fn low(&self) -> u64 {
        self.words[0]
    }

    /// Whether it is known and that number.
    pub fn is(&self, number: u64) -> bool {
        self.known && self.words[0] == number && self.words[1..].iter().all(|w| *w == 0)
    }

    /// Whether it is known and, as a word of `bits` bits, congruent to `value`.
    pub fn is_congruent(&self, value: i64, bits: u32) -> bool {
        let expected = |i: usize| {
            let word = if i == 0 { value } else { value >> 63 } as u64;
            match (bits as usize).saturating_sub(64 * i) {
                0 => 0,
                left @ 1..64 => word & ((1 << left) - 1),
                _ => word,
            }
        };
        self.known && self.words.iter().enumerate().all(|(i, w)| *w == expected(i))
    }

    /// The signed number that a word of `bits` bits stands for, as text; `x` if a bit is unknown.
    pub fn show_signed(&self, bits: u32) -> String {
        if self.known {
            sign_extend(self.low(), bits).to_string()
        } else {
            "x".into()
        }
    }

    /// Whether it is known and not 0.
    pub fn is_set(&self) -> bool {
        self.known && self.words != [0; WIDEST / 64]
    }

    /// The part of a signal of which `digits` are `0`, `1`, `x`, `z`, the highest first; too few
    /// digits are extended as the VCD format says: by zeros, or by the first digit if unknown.
    fn of_digits<T>(digits: &[T], bit: impl Fn(&T) -> Option<bool>, part: &Part) -> Bits {
        let mut value = Bits { words: [0; WIDEST / 64], known: true };
        let (from, to) = (part.at as usize, (part.at + part.bits) as usize);
        for (i, digit) in digits.iter().rev().take(to).skip(from).enumerate() {
            match bit(digit) {
                Some(true) => value.words[i / 64 % (WIDEST / 64)] |= 1 << (i % 64),
                Some(false) => {}
                None => value.known = false,
            }
        }
        if digits.len() < to && digits.first().is_some_and(|d| bit(d).is_none()) {
            value.known = false;
        }
        value
    }
}

/// A value of `bits` bits, at most 64, as the signed number it stands for.
pub fn sign_extend(word: u64, bits: u32) -> i64 {
    let up = 64 - bits.clamp(1, 64);
    (word << up) as i64 >> up
}

/// The low 64 bits as an unsigned number; `x` if a bit is unknown.
impl std::fmt::Display for Bits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.known {
            write!(f, "{}", self.low())
        } else {
            f.write_str("x")
        }
    }
}

/// A signal of a wave file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Var {
    /// Scopes from the outermost, joined by dots.
    pub scope: String,
    /// Its name without a bit range.
    pub name: String,
    /// Its width.
    pub bits: u32,
    /// Which stream of changes is its: signals that are one net share it.
    stream: u64,
}

/// Bits of a signal that are sampled as one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The signal's place in [`Wave::vars`].
    pub var: usize,
    /// The lowest of the bits.
    pub at: u32,
    /// How many.
    pub bits: u32,
}

enum Source {
    /// The parser past the header, and the stream number of each code.
    Vcd(Box<vcd::Parser<BufReader<File>>>, HashMap<IdCode, u64>),
    Fst(Box<FstReader<BufReader<File>>>),
}

/// An open wave file: its signals known, its changes not yet read.
pub struct Wave {
    path: PathBuf,
    source: Source,
    /// Every signal of the file.
    pub vars: Vec<Var>,
}

impl Wave {
    /// Opens a VCD or FST file and reads its list of signals.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Content`] when it is neither form or broken.
    pub fn open(path: &Path) -> Result<Wave, Error> {
        // Told apart before it is opened: a pipe can wait forever, and a device never ends.
        let meta = std::fs::metadata(path).map_err(Error::io(path))?;
        if !meta.is_file() {
            return Err(Error::content(path, "not a regular file; expected VCD or FST"));
        }
        let file = File::open(path).map_err(Error::io(path))?;
        let mut input = BufReader::with_capacity(1 << 16, file);
        let first = input.fill_buf().map_err(Error::io(path))?.first().copied();
        match first {
            None => Err(Error::content(path, "the file is empty; expected VCD or FST")),
            Some(b'$' | b' ' | b'\n' | b'\r' | b'\t') => open_vcd(path, input),
            Some(_) if fst_blocks(&mut input, meta.len()) => open_fst(path, input),
            Some(_) => Err(Error::content(path, "neither VCD nor FST")),
        }
    }

    /// The place of the signal in [`Wave::vars`].
    pub fn find(&self, scope: &str, name: &str) -> Option<usize> {
        self.vars.iter().position(|v| v.scope == scope && v.name == name)
    }

    /// The whole of a signal.
    pub fn whole(&self, var: usize) -> Part {
        Part { var, at: 0, bits: self.vars[var].bits }
    }

    /// Calls `sample` for every rising edge of the signal `clock` with the time of the edge and
    /// the values of the parts `wanted` just before it, in that order, until it says stop.
    ///
    /// # Errors
    /// [`Error::Content`] when the file breaks off or a wanted part is wider than [`WIDEST`].
    pub fn sample(
        self,
        clock: usize,
        wanted: &[Part],
        mut sample: impl FnMut(u64, &[Bits]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let clock = self.whole(clock);
        let Wave { path, source, vars } = self;
        if let Some(wide) = wanted.iter().find(|w| w.bits as usize > WIDEST) {
            let v = &vars[wide.var];
            let what = format!(
                "{}.{} is {} bits wide, at most {WIDEST} can be",
                v.scope, v.name, wide.bits
            );
            return Err(Error::content(&path, what));
        }
        // Slot 0 is the clock; the slots of a stream are those of all its names and parts.
        let mut slots: HashMap<u64, Vec<(usize, Part)>> = HashMap::new();
        for (slot, &part) in std::iter::once(&clock).chain(wanted).enumerate() {
            slots.entry(vars[part.var].stream).or_default().push((slot, part));
        }
        let mut edges = Edges::new(wanted.len());
        match source {
            Source::Vcd(parser, codes) => {
                let none = Vec::new();
                let of = |id: IdCode| codes.get(&id).and_then(|s| slots.get(s)).unwrap_or(&none);
                for command in *parser {
                    match command.map_err(|e| broken(&path, e))? {
                        Command::Timestamp(t) if edges.time(t, &mut sample).is_break() => {
                            return Ok(())
                        }
                        Command::ChangeScalar(id, v) => {
                            for (slot, part) in of(id) {
                                edges.change(*slot, Bits::of_digits(&[v], vcd_bit, part));
                            }
                        }
                        Command::ChangeVector(id, v) => {
                            for (slot, part) in of(id) {
                                edges.change(*slot, Bits::of_digits(&v, vcd_bit, part));
                            }
                        }
                        _ => {}
                    }
                }
            }
            Source::Fst(mut reader) => {
                let mut handles: Vec<u64> = slots.keys().copied().collect();
                handles.sort_unstable();
                let handles =
                    handles.iter().map(|&h| FstSignalHandle::from_index(h as usize)).collect();
                let (mut stopped, mut in_check) = (false, false);
                let change = |t, h: FstSignalHandle, v: FstSignalValue<'_>| {
                    in_check = true;
                    if edges.time(t, &mut sample).is_break() {
                        stopped = true;
                        return Err(());
                    }
                    if let FstSignalValue::String(text) = v {
                        for (slot, part) in slots.get(&(h.get_index() as u64)).into_iter().flatten()
                        {
                            edges.change(*slot, Bits::of_digits(text, fst_bit, part));
                        }
                    }
                    in_check = false;
                    Ok(())
                };
                let filter = FstFilter::filter_signals(handles);
                let read = catch_unwind(AssertUnwindSafe(|| reader.read_signals(&filter, change)));
                match read {
                    _ if stopped => return Ok(()),
                    Ok(Ok(_)) => {}
                    // A panic of the check itself is no fault of the file.
                    Err(panic) if in_check => resume_unwind(panic),
                    Err(_) | Ok(Err(_)) => {
                        let what = "broken FST: it cannot be read to its end";
                        return Err(Error::content(&path, what));
                    }
                }
            }
        }
        let _ = edges.finish(&mut sample);
        Ok(())
    }
}

fn broken(path: &Path, e: std::io::Error) -> Error {
    Error::content(path, format!("broken VCD: {e}"))
}

fn vcd_bit(digit: &Value) -> Option<bool> {
    match digit {
        Value::V0 => Some(false),
        Value::V1 => Some(true),
        Value::X | Value::Z => None,
    }
}

fn fst_bit(digit: &u8) -> Option<bool> {
    match digit {
        b'0' => Some(false),
        b'1' => Some(true),
        _ => None,
    }
}

/// Turns changes in order of time into samples at rising edges of slot 0.
struct Edges {
    now: u64,
    before: Vec<Bits>,
    changes: Vec<(usize, Bits)>,
}

impl Edges {
    fn new(wanted: usize) -> Edges {
        Edges { now: 0, before: vec![Bits::UNKNOWN; wanted + 1], changes: Vec::new() }
    }

    fn change(&mut self, slot: usize, value: Bits) {
        self.changes.push((slot, value));
    }

    fn time(
        &mut self,
        t: u64,
        sample: &mut impl FnMut(u64, &[Bits]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if t == self.now {
            return ControlFlow::Continue(());
        }
        let flow = self.finish(sample);
        self.now = t;
        flow
    }

    fn finish(
        &mut self,
        sample: &mut impl FnMut(u64, &[Bits]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let was_low = self.before[0].known && self.before[0].low() == 0;
        let clock = self.changes.iter().rev().find(|c| c.0 == 0);
        let rises = was_low && clock.is_some_and(|c| c.1.is_set());
        let flow =
            if rises { sample(self.now, &self.before[1..]) } else { ControlFlow::Continue(()) };
        for (slot, value) in self.changes.drain(..) {
            self.before[slot] = value;
        }
        flow
    }
}

fn open_vcd(path: &Path, input: BufReader<File>) -> Result<Wave, Error> {
    let mut parser = Box::new(vcd::Parser::new(input));
    let mut vars = Vec::new();
    let mut codes = HashMap::new();
    let mut scopes: Vec<String> = Vec::new();
    loop {
        match parser.next() {
            None => return Err(Error::content(path, "broken VCD: it ends before $enddefinitions")),
            Some(Err(e)) => return Err(broken(path, e)),
            Some(Ok(Command::Enddefinitions)) => break,
            Some(Ok(Command::ScopeDef(_, name))) => scopes.push(name),
            Some(Ok(Command::Upscope)) => {
                scopes.pop();
            }
            Some(Ok(Command::VarDef(_, bits, code, name, _))) => {
                let next = codes.len() as u64;
                let stream = *codes.entry(code).or_insert(next);
                vars.push(Var { scope: scopes.join("."), name: plain_name(&name), bits, stream });
            }
            Some(Ok(_)) => {}
        }
    }
    Ok(Wave { path: path.to_path_buf(), source: Source::Vcd(parser, codes), vars })
}

/// Whether a file of `len` bytes is a chain of FST blocks, each within the file; reads on from the
/// start. The reader follows the lengths wherever they lead, and round in a circle.
fn fst_blocks(input: &mut (impl Read + Seek), len: u64) -> bool {
    let mut at = 0;
    while at < len {
        let mut head = [0; 9];
        if input.seek(SeekFrom::Start(at)).is_err() || input.read_exact(&mut head).is_err() {
            return false;
        }
        // A block's length counts itself, but not the byte of its kind.
        let length = head[1..].iter().fold(0, |n, &b| n << 8 | u64::from(b));
        match at.checked_add(1).and_then(|at| at.checked_add(length)) {
            Some(next) if length >= 8 && next <= len => at = next,
            _ => return false,
        }
    }
    fst_reader::is_fst_file(input)
}

/// Runs the FST reader, which asserts what the format promises: of a broken file it panics.
fn caught<T>(path: &Path, read: impl FnOnce() -> Result<T, ReaderError>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|e| Error::content(path, format!("broken FST: {e}"))),
        Err(_) => Err(Error::content(path, "broken FST: a length or count in it is wrong")),
    }
}

fn open_fst(path: &Path, input: BufReader<File>) -> Result<Wave, Error> {
    let mut reader = caught(path, || FstReader::open(input))?;
    let mut vars = Vec::new();
    let mut scopes: Vec<String> = Vec::new();
    let see = |entry| match entry {
        FstHierarchyEntry::Scope { name, .. } => scopes.push(name),
        FstHierarchyEntry::UpScope => {
            scopes.pop();
        }
        FstHierarchyEntry::Var { name, length, handle, .. } => vars.push(Var {
            scope: scopes.join("."),
            name: plain_name(&name),
            bits: length,
            stream: handle.get_index() as u64,
        }),
        _ => {}
    };
    caught(path, || reader.read_hierarchy(see))?;
    Ok(Wave { path: path.to_path_buf(), source: Source::Fst(Box::new(reader)), vars })
}

/// The name without the bit range that some simulators write behind it.
fn plain_name(name: &str) -> String {
    let name = name.trim_start_matches('\\');
    name.split([' ', '[']).next().unwrap_or(name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(text: &str, wanted: &[&str]) -> Vec<(u64, Vec<(u64, bool)>)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let wave = Wave::open(file.path()).unwrap();
        let at = |n: &&str| wave.vars.iter().position(|v| v.name == *n).unwrap();
        let clock = at(&"clk");
        let wanted: Vec<Part> = wanted.iter().map(|n| wave.whole(at(n))).collect();
        let mut seen = Vec::new();
        wave.sample(clock, &wanted, |t, v| {
            seen.push((t, v.iter().map(|b| (b.low(), b.known)).collect()));
            ControlFlow::Continue(())
        })
        .unwrap();
        seen
    }

    const HEAD: &str = "$timescale 1ns $end\n$scope module top $end\n$var wire 1 ! clk $end\n\
        $var reg 8 # d [7:0] $end\n$scope begin gen_bank[0] $end\n$var wire 8 # q[7:0] $end\n\
        $upscope $end\n$upscope $end\n$enddefinitions $end\n";

    #[test]
    fn a_sample_is_what_stood_before_the_edge() {
        let text =
            format!("{HEAD}#0\n0!\nb101 #\n#5\n1!\nb110 #\n#10\n0!\n#15\nb111 #\n1!\n#20\n0!\n");
        assert_eq!(
            samples(&text, &["d", "q"]),
            [(5, vec![(5, true), (5, true)]), (15, vec![(6, true), (6, true)])]
        );
    }

    #[test]
    fn the_last_edge_counts_even_with_nothing_after_it() {
        assert_eq!(
            samples(&format!("{HEAD}#0\n0!\nb1 #\n#5\n1!\n"), &["d"]),
            [(5, vec![(1, true)])]
        );
    }

    #[test]
    fn unknown_digits_and_short_vectors_make_unknown_values() {
        let text = format!("{HEAD}#0\n0!\n#1\n1!\nbx #\n#2\n0!\n#3\n1!\nb1z #\n#4\n0!\n#5\n1!\nb0 #\n#6\n0!\n#7\n1!\n");
        let known: Vec<bool> = samples(&text, &["d"]).iter().map(|s| s.1[0].1).collect();
        assert_eq!(known, [false, false, false, true]);
    }

    #[test]
    fn parts_of_a_signal_are_known_and_unknown_by_themselves() {
        let part = |digits: &str, at, bits| {
            let value = Bits::of_digits(digits.as_bytes(), fst_bit, &Part { var: 0, at, bits });
            value.known.then(|| value.low())
        };
        assert_eq!(part("10110", 0, 2), Some(0b10));
        assert_eq!(part("10110", 1, 3), Some(0b011));
        assert_eq!(part("10110", 4, 9), Some(1), "too few digits");
        assert_eq!(part("10110", 5, 2), Some(0));
        assert_eq!(part("1x110", 0, 3), Some(0b110));
        assert_eq!(part("1x110", 1, 3), None);
        assert_eq!(part("x0110", 0, 4), Some(0b0110));
        assert_eq!(part("x0110", 5, 2), None, "extended by what is not known");
        let wide = format!("1{}", "0".repeat(527));
        assert_eq!(part(&wide, 495, 33), Some(1 << 32));
    }

    #[test]
    fn a_clock_that_comes_out_of_unknown_is_no_edge() {
        assert_eq!(samples(&format!("{HEAD}#0\nx!\n#1\n1!\n#2\n0!\n#3\n1!\n"), &[]), [(3, vec![])]);
    }

    #[test]
    fn scopes_are_kept_and_ranges_dropped() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), HEAD).unwrap();
        let wave = Wave::open(file.path()).unwrap();
        assert!(wave.find("top.gen_bank[0]", "q").is_some());
        assert!(wave.find("top", "d").is_some());
    }

    #[test]
    fn what_is_no_wave_file_is_said_to_be_none() {
        for text in ["", "hello", "$scope module", "$var wire 1 ! clk $end\n#0\n"] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            assert!(matches!(Wave::open(file.path()), Err(Error::Content { .. })), "{text}");
        }
    }

    /// Bytes of a good file changed, doubled and cut off: read or refused, and no panic.
    #[test]
    fn damaged_files_are_read_or_refused() {
        let good = format!("{HEAD}#0\n0!\nb101 #\n#5\n1!\nb11 #\n#10\n0!\nx!\n#12\n1!\n");
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut state = 1u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        let (mut read, mut refused) = (0, 0);
        for _ in 0..600 {
            let mut bytes = good.clone().into_bytes();
            for _ in 0..=random(2) {
                let at = random(bytes.len().max(1));
                match random(4) {
                    0 => bytes.truncate(at + 1),
                    1 => bytes.insert(at, b"$#!b109 \n\xff"[random(10)]),
                    2 => bytes.extend_from_within(at..),
                    _ => bytes[at] ^= 1 << random(8),
                }
            }
            std::fs::write(file.path(), &bytes).unwrap();
            let whole = Wave::open(file.path()).and_then(|wave| {
                let all: Vec<Part> = (0..wave.vars.len()).map(|var| wave.whole(var)).collect();
                match all.is_empty() {
                    true => Ok(()),
                    false => wave.sample(0, &all, |_, _| ControlFlow::Continue(())),
                }
            });
            match whole {
                Ok(()) => read += 1,
                Err(_) => refused += 1,
            }
        }
        assert!(read > 40 && refused > 200, "{read} read, {refused} refused");
    }

    #[test]
    fn a_file_that_breaks_off_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{HEAD}#0\n0!\nb1")).unwrap();
        let wave = Wave::open(file.path()).unwrap();
        assert!(wave.sample(0, &[], |_, _| ControlFlow::Continue(())).is_err());
    }
}
