//! Reading the text of a program.

use super::VEC_OPS;
use crate::diag::{error, list};
use pimc_ir::{Code, Diagnostic, Diagnostics, Span};
use pimc_rtl::isa::{Action, Block, Instr, SetTo, Stream, Vector, LOOP_DEPTH, MIN_DELAY};
use pimc_rtl::program::loop_end;

/// A word of a line and its place in the text.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    at: usize,
}

impl Token<'_> {
    fn span(&self) -> Span {
        self.at..self.at + self.text.len()
    }

    fn wrong(&self, message: impl Into<String>) -> Diagnostic {
        error(Code::P0701, message)
            .at(&self.span(), "here")
            .help("an instruction is `NAME OPERANDS +DELAY`; see a program that pimc wrote")
    }
}

/// The words of a line that follow its name.
struct Line<'a, 't> {
    name: Token<'a>,
    rest: std::slice::Iter<'t, Token<'a>>,
}

impl<'a> Line<'a, '_> {
    fn next(&mut self, what: &str) -> Result<Token<'a>, Diagnostic> {
        let missing = || self.name.wrong(format!("`{}` lacks its {what}", self.name.text));
        self.rest.next().copied().ok_or_else(missing)
    }

    fn number(&mut self, what: &str) -> Result<u32, Diagnostic> {
        let token = self.next(what)?;
        number(token.text)
            .ok_or_else(|| token.wrong(format!("the {what} must be a number below 2^32")))
    }

    /// A plain word, if that comes next.
    fn word(&mut self, word: &str) -> bool {
        let next = self.rest.as_slice().first().is_some_and(|token| token.text == word);
        if next {
            self.rest.next();
        }
        next
    }

    /// A number of 32 bits that may be negative.
    fn constant(&mut self) -> Result<u32, Diagnostic> {
        let token = self.next("value")?;
        let negative = |text: &str| text.parse::<i32>().ok().map(|n| n as u32);
        number(token.text)
            .or_else(|| token.text.starts_with('-').then(|| negative(token.text)).flatten())
            .ok_or_else(|| token.wrong("the value must be a number of 32 bits, or `arg N`"))
    }

    /// `NUMBER`, `arg N` or `arg N plus NUMBER`.
    fn argument(&mut self) -> Result<(Option<u32>, u32), Diagnostic> {
        if !self.word("arg") {
            return Ok((None, self.constant()?));
        }
        let arg = self.number("argument")?;
        let add = if self.word("plus") { self.constant()? } else { 0 };
        Ok((Some(arg), add))
    }

    /// The text behind `key=` if that comes next.
    fn optional(&mut self, key: &str) -> Option<Token<'a>> {
        let token = self.rest.as_slice().first()?;
        let (k, v) = token.text.split_once('=')?;
        let at = token.at + key.len() + 1;
        (k == key).then(|| {
            self.rest.next();
            Token { text: v, at }
        })
    }

    /// The text behind `key=`.
    fn field(&mut self, key: &str) -> Result<Token<'a>, Diagnostic> {
        let token = self.next(&format!("`{key}=`"))?;
        match token.text.split_once('=') {
            Some((k, v)) if k == key => Ok(Token { text: v, at: token.at + key.len() + 1 }),
            _ => Err(token.wrong(format!("expected `{key}=..`"))),
        }
    }

    fn value(&mut self, key: &str) -> Result<u32, Diagnostic> {
        let token = self.field(key)?;
        number(token.text)
            .ok_or_else(|| token.wrong(format!("`{key}` must be a number below 2^32")))
    }

    /// A number from 1, as the number less 1.
    fn count(&mut self, key: &str) -> Result<u32, Diagnostic> {
        let token = self.field(key)?;
        let n = token.text.parse::<u64>().ok().and_then(|n| n.checked_sub(1));
        n.and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| token.wrong(format!("`{key}` must be a number from 1")))
    }

    /// `key=ADDRESS:STEP`.
    fn operand(&mut self, key: &str) -> Result<(u32, u32), Diagnostic> {
        let token = self.field(key)?;
        let parts = token.text.split_once(':').and_then(|(a, s)| Some((number(a)?, number(s)?)));
        match parts {
            Some((addr, step)) if step <= 1 => Ok((addr, step)),
            _ => Err(token.wrong(format!("`{key}` must be ADDRESS:STEP with a step of 0 or 1"))),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None if text.starts_with('+') => None,
        None => text.parse().ok(),
    }
}

/// The program that a text says.
///
/// # Errors
/// P0701 for every line that is no instruction, and for loops that do not match.
pub fn parse(file_name: &str, text: &str) -> Result<Vec<Instr>, Diagnostics> {
    let mut found = list(file_name, text);
    let mut program = Vec::new();
    let mut loops: Vec<Span> = Vec::new();
    let mut ends = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split("//").next().unwrap_or("");
        let tokens: Vec<Token<'_>> = tokens(code, at);
        at += line.len();
        let Some(&name) = tokens.first() else { continue };
        let rest = tokens[1..].iter();
        match read(&mut Line { name, rest }) {
            Ok(instr) => {
                match instr.action {
                    action if action.loops() && loops.len() == LOOP_DEPTH => {
                        found.push(name.wrong(format!("loops nest deeper than {LOOP_DEPTH}")));
                    }
                    action if action.loops() => loops.push(name.span()),
                    Action::Next if loops.pop().is_none() => {
                        found.push(name.wrong("`next` without a loop"));
                    }
                    _ => {}
                }
                if let Action::LoopArg { end, .. } = instr.action {
                    ends.push((program.len(), end, name));
                }
                program.push(instr);
            }
            Err(d) => found.push(d),
        }
    }
    for span in loops {
        found.push(
            error(Code::P0701, "a loop without `next`")
                .at(&span, "begins here")
                .help("end the loop's body with `next +2`"),
        );
    }
    if found.is_empty() {
        for (index, end, name) in ends {
            match loop_end(&program, index) {
                Some(behind) if behind != end as usize => {
                    found.push(name.wrong(format!("`end` must be {behind}, behind its `next`")));
                }
                _ => {}
            }
        }
    }
    if found.is_empty() && program.last().map(|i| i.action) != Some(Action::End) {
        let end = text.len();
        found.push(
            error(Code::P0701, "a program without `end`")
                .at(&(end..end), "expected `end +2`")
                .help("the last instruction ends the program"),
        );
    }
    if found.is_empty() {
        Ok(program)
    } else {
        Err(found)
    }
}

/// The words of a line that begins at byte `at`.
fn tokens(line: &str, at: usize) -> Vec<Token<'_>> {
    let start = line.as_ptr() as usize;
    line.split_whitespace()
        .map(|text| Token { text, at: at + (text.as_ptr() as usize - start) })
        .collect()
}

/// The geometry of blocks: five numbers from 1, or nothing.
fn block(line: &mut Line<'_, '_>) -> Result<Block, Diagnostic> {
    let Some(token) = line.optional("block") else { return Ok(Block::default()) };
    let less_1 = |text: &str| number(text).and_then(|n| n.checked_sub(1));
    let fields: Option<Vec<u32>> = token.text.split(',').map(less_1).collect();
    match fields.as_deref() {
        Some(&[x_beats_less_1, inner_less_1, t_beats_less_1, rows_less_1, slots_less_1]) => {
            Ok(Block { x_beats_less_1, inner_less_1, t_beats_less_1, rows_less_1, slots_less_1 })
        }
        _ => Err(token.wrong("`block` must be five numbers from 1")),
    }
}

/// What stands behind `set`, up to its value.
fn destination(line: &mut Line<'_, '_>) -> Result<SetTo, Diagnostic> {
    let token = line.next("destination")?;
    let to = match token.text {
        "pointer" => SetTo::Pointer,
        "row" => SetTo::Row,
        "col" => SetTo::Col,
        "param" => SetTo::Param(line.number("parameter")?),
        "base" => SetTo::Base,
        "kept" => SetTo::Keep,
        "back" => SetTo::Return,
        _ => {
            let what = "expected `pointer`, `row`, `col`, `param N`, `base`, `kept` or `back`";
            return Err(token.wrong(what));
        }
    };
    match line.next("`=`")? {
        token if token.text == "=" => Ok(to),
        token => Err(token.wrong("expected `=`")),
    }
}

/// What stands behind `loop`.
fn repeated(line: &mut Line<'_, '_>) -> Result<Action, Diagnostic> {
    if line.word("arg") {
        return Ok(Action::LoopArg { arg: line.number("argument")?, end: line.value("end")? });
    }
    match line.number("count")? {
        0 => Err(line.name.wrong("a loop runs at least once")),
        count => Ok(Action::Loop { count }),
    }
}

fn read(line: &mut Line<'_, '_>) -> Result<Instr, Diagnostic> {
    let action = match line.name.text {
        "end" => Action::End,
        "wait" => Action::Wait,
        "row" => Action::Row { row: line.number("row")?, col: line.number("column")? },
        "act" => Action::Act,
        "read" => Action::Read,
        "pre" => Action::Pre,
        "ref" => match line.optional("due") {
            None => Action::Ref,
            Some(token) => Action::RefreshDue {
                within: number(token.text)
                    .ok_or_else(|| token.wrong("`due` must be a number below 2^32"))?,
            },
        },
        "write" => Action::Write,
        "set" => {
            let to = destination(line)?;
            let (from, add) = line.argument()?;
            Action::Set { to, from, add }
        }
        "advance" => {
            let (from, add) = line.argument()?;
            Action::Set { to: SetTo::Advance, from, add }
        }
        "loop" => repeated(line)?,
        "next" => Action::Next,
        "stream" => Action::Stream(Stream {
            mode: line.value("mode")?,
            columns_less_1: line.count("columns")?,
            tail_beats_less_1: line.count("tail")?,
            coats_less_1: line.count("coats")?,
            sign_key: line.value("key")?,
            block: block(line)?,
        }),
        "vec" => {
            let token = line.next("operation")?;
            let op = VEC_OPS.iter().find(|o| o.1 == token.text).map(|o| o.0);
            let op = op.ok_or_else(|| {
                let names: Vec<&str> = VEC_OPS.iter().map(|o| o.1).collect();
                token.wrong(format!("unknown operation; known: {}", names.join(" ")))
            })?;
            let (a, a_step) = line.operand("a")?;
            let (b, b_step) = line.operand("b")?;
            let d = line.value("d")?;
            let len = line.count("len")?.saturating_add(1);
            let mut one_more = |field: &str| match line.optional(field) {
                None => Ok(None),
                Some(token) => number(token.text)
                    .and_then(|n| n.checked_add(1))
                    .map(Some)
                    .ok_or_else(|| token.wrong(format!("`{field}` must be the number of a bank"))),
            };
            let bank = one_more("bank")?.unwrap_or(0);
            let last = one_more("last")?.unwrap_or(bank);
            Action::Vec(Vector { op, a, a_step, b, b_step, d, len, bank, last })
        }
        other => return Err(line.name.wrong(format!("`{other}` is no instruction"))),
    };
    let token = line.next("delay")?;
    let delay =
        token.text.strip_prefix('+').and_then(number).filter(|d| *d >= MIN_DELAY).ok_or_else(
            || token.wrong(format!("expected `+N`, the delay, at least {MIN_DELAY}")),
        )?;
    match line.rest.next() {
        Some(extra) => Err(extra.wrong("nothing may follow the delay")),
        None => Ok(Instr { action, delay }),
    }
}
