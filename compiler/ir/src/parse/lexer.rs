//! The grammar of one line, in nom. Places are found by pointer offset from the line's start.

use super::syntax::{Arg, ArgValue, Line, Size, Statement, TensorKind, TypeText};
use crate::diag::{is_unreadable, Code, Diagnostic, BYTE_ORDER_MARK};
use crate::module::{Comment, Name, Span};
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, digit1, hex_digit1};
use nom::combinator::{cut, map, opt, peek, recognize, verify};
use nom::error::{ErrorKind, ParseError};
use nom::multi::separated_list1;
use nom::sequence::preceded;
use nom::{Err, IResult, Parser};

/// Why a line does not parse: the rest of the line from the mistake on, and what should stand there.
#[derive(Clone, Debug)]
struct Wanted<'a> {
    rest: &'a str,
    code: Code,
    what: &'static str,
}

impl<'a> ParseError<&'a str> for Wanted<'a> {
    fn from_error_kind(rest: &'a str, _: ErrorKind) -> Self {
        Wanted { rest, code: Code::P0105, what: "something else" }
    }
    fn append(_: &'a str, _: ErrorKind, other: Self) -> Self {
        other
    }
}

type Res<'a, T> = IResult<&'a str, T, Wanted<'a>>;

/// Where a piece of the line lies in the source.
#[derive(Clone, Copy)]
struct Place<'a> {
    line: &'a str,
    /// Offset of the line in the source.
    offset: usize,
}

impl Place<'_> {
    /// `piece` is a part of the line.
    fn start(&self, piece: &str) -> usize {
        self.offset + (piece.as_ptr() as usize - self.line.as_ptr() as usize)
    }
    fn span(&self, from: &str, to: &str) -> Span {
        self.start(from)..self.start(to)
    }
}

/// Parses one line (without its newline) that begins at `offset` of the source.
pub(crate) fn line(text: &str, offset: usize) -> Result<Line, Diagnostic> {
    let place = Place { line: text, offset };
    match whole_line(text, place) {
        Ok((_, line)) => Ok(line),
        Err(Err::Error(e) | Err::Failure(e)) => Err(describe(e, place)),
        Err(Err::Incomplete(_)) => Err(Diagnostic::error(Code::P0105, "the line breaks off")
            .at(&(offset..offset + text.len()), "in this line")),
    }
}

fn describe(e: Wanted<'_>, place: Place<'_>) -> Diagnostic {
    let start = place.start(e.rest);
    let token = token_at(e.rest);
    let span = start..start + token.len();
    match e.code {
        Code::P0106 if token.starts_with(BYTE_ORDER_MARK) => {
            Diagnostic::error(e.code, "a byte order mark stands before the text")
                .at(&span, "not a part of the language")
                .help("save the file as UTF-8 without a byte order mark")
        }
        Code::P0106 => Diagnostic::error(e.code, format!("unknown statement `{}`", shorten(token)))
            .at(&span, "no statement begins like this")
            .help("a line holds `pimc 1`, `target`, `weight`, `param`, `cache`, `func`, `%name = op ..`, `return` or `}`"),
        Code::P0110 => Diagnostic::error(e.code, "the number does not fit")
            .at(&span, "outside of -2^63..2^63-1")
            .help("use a number of at most 64 bits"),
        code => {
            let found = if token.is_empty() {
                "the end of the line".to_string()
            } else {
                format!("`{}`", shorten(token))
            };
            Diagnostic::error(code, format!("expected {}, found {found}", e.what))
                .at(&span, format!("expected {}", e.what))
                .help("GRAMMAR.md shows the form of every statement")
        }
    }
}

fn shorten(token: &str) -> String {
    let mut short: String = token.chars().take(24).collect();
    if short.len() < token.len() {
        short.push_str("..");
    }
    short.chars().map(|c| if is_unreadable(c) { '?' } else { c }).collect()
}

/// The word, name or single character that `rest` begins with.
fn token_at(rest: &str) -> &str {
    let sigil = usize::from(rest.starts_with(['@', '%']));
    let word = rest[sigil..].find(|c: char| !is_word(c)).unwrap_or(rest.len() - sigil);
    let first = rest.chars().next().map_or(0, char::len_utf8);
    &rest[..(sigil + word).max(first)]
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn blank(i: &str) -> Res<'_, &str> {
    take_while(|c| c == ' ' || c == '\t' || c == '\r')(i)
}

/// Makes a failed parser final: here must stand `what`.
fn want<'a, T>(
    what: &'static str,
    mut parser: impl Parser<&'a str, Output = T, Error = Wanted<'a>>,
) -> impl FnMut(&'a str) -> Res<'a, T> {
    move |i| {
        let (i, _) = blank(i)?;
        parser.parse(i).map_err(|e| match e {
            Err::Error(_) => Err::Failure(Wanted { rest: i, code: Code::P0105, what }),
            other => other,
        })
    }
}

/// Skips blanks, then parses.
fn tok<'a, T>(
    mut parser: impl Parser<&'a str, Output = T, Error = Wanted<'a>>,
) -> impl FnMut(&'a str) -> Res<'a, T> {
    move |i| {
        let (i, _) = blank(i)?;
        parser.parse(i)
    }
}

fn word(i: &str) -> Res<'_, &str> {
    take_while1(is_word)(i)
}

fn keyword<'a>(text: &'static str) -> impl FnMut(&'a str) -> Res<'a, &'a str> {
    move |i| verify(word, |w: &str| w == text).parse(i)
}

fn identifier(i: &str) -> Res<'_, &str> {
    verify(word, |w: &str| !w.starts_with(|c: char| c.is_ascii_digit())).parse(i)
}

fn named<'a>(i: &'a str, place: Place<'_>, text: &'a str, rest: &'a str) -> Name {
    Name { text: text.to_string(), span: place.span(i, rest) }
}

fn value_name<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, Name> {
    move |i| {
        let (rest, text) = preceded(char('%'), word).parse(i)?;
        Ok((rest, named(i, place, text, rest)))
    }
}

fn global_name<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, Name> {
    move |i| {
        let (rest, text) = preceded(char('@'), identifier).parse(i)?;
        Ok((rest, named(i, place, text, rest)))
    }
}

fn bare_name<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, Name> {
    move |i| {
        let (rest, text) = identifier(i)?;
        Ok((rest, named(i, place, text, rest)))
    }
}

/// `"text"` with `\"` and `\\`.
fn string<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, Name> {
    move |i| {
        let (mut rest, _) = char('"')(i)?;
        let mut text = String::new();
        loop {
            let unfinished =
                Wanted { rest, code: Code::P0105, what: "the closing `\"` of the string" };
            let mut chars = rest.chars();
            match chars.next() {
                Some('"') => {
                    let rest = chars.as_str();
                    return Ok((rest, Name { text, span: place.span(i, rest) }));
                }
                Some('\\') => match chars.next() {
                    Some(c @ ('"' | '\\')) => text.push(c),
                    _ => {
                        let what = "`\"` or `\\` after the backslash";
                        let rest = &rest[1..];
                        return Err(Err::Failure(Wanted { what, rest, ..unfinished }));
                    }
                },
                Some(c) if !c.is_control() => text.push(c),
                _ => return Err(Err::Failure(unfinished)),
            }
            rest = chars.as_str();
        }
    }
}

fn too_big<T>(rest: &str) -> Res<'_, T> {
    Err(Err::Failure(Wanted { rest, code: Code::P0110, what: "a number of 64 bits" }))
}

fn decimal(i: &str) -> Res<'_, i64> {
    let (rest, text) = recognize((opt(char('-')), digit1)).parse(i)?;
    text.parse().map_or_else(|_| too_big(i), |n| Ok((rest, n)))
}

fn hexadecimal(i: &str) -> Res<'_, i64> {
    let (rest, text) = preceded(tag("0x"), hex_digit1).parse(i)?;
    i64::from_str_radix(text, 16).map_or_else(|_| too_big(i), |n| Ok((rest, n)))
}

fn pair(i: &str) -> Res<'_, (i64, i64)> {
    (decimal, preceded(char('x'), decimal)).parse(i)
}

fn arg_value(i: &str) -> Res<'_, ArgValue> {
    let (rest, value) = alt((
        map(preceded(char('%'), word), |w: &str| ArgValue::Value(w.to_string())),
        map(preceded(char('@'), identifier), |w: &str| ArgValue::Global(w.to_string())),
        map(hexadecimal, |value| ArgValue::Int { value, hex: true }),
        map(pair, |(a, b)| ArgValue::Pair(a, b)),
        map(decimal, |value| ArgValue::Int { value, hex: false }),
        map(identifier, |w: &str| ArgValue::Word(w.to_string())),
    ))
    .parse(i)?;
    match rest.chars().next() {
        Some(c) if is_word(c) => {
            Err(Err::Failure(Wanted { rest, code: Code::P0105, what: "the end of the number" }))
        }
        _ => Ok((rest, value)),
    }
}

fn arg<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, Arg> {
    move |i| {
        let (after_key, key) = opt((identifier, tok(char('=')))).parse(i)?;
        let (rest, value) = match key {
            Some(_) => want("a value after `=`", arg_value)(after_key)?,
            None => arg_value(i)?,
        };
        Ok((rest, Arg { key: key.map(|k| k.0.to_string()), value, span: place.span(i, rest) }))
    }
}

fn ty<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, TypeText> {
    move |i| {
        let (rest, head) = bare_name(place)(i)?;
        let (rest, _) = want("`<` and the size of the type", char('<'))(rest)?;
        let (mut rest, size) = size(rest)?;
        let mut attrs = Vec::new();
        // Without a size the first attribute stands where it would.
        let mut first = size == Size::Absent;
        loop {
            if !std::mem::take(&mut first) {
                let (after, more) = want("`,` or `>`", alt((char(','), char('>'))))(rest)?;
                rest = after;
                if more == '>' {
                    break;
                }
            }
            let (after, attr) = want("an attribute such as `sub=2`", arg(place))(rest)?;
            attrs.push(attr);
            rest = after;
        }
        Ok((rest, TypeText { head, size, attrs, span: place.span(i, rest) }))
    }
}

/// A size; none where an attribute such as `heads=8` follows at once.
fn size(i: &str) -> Res<'_, Size> {
    if peek((tok(identifier), tok(char('=')))).parse(i).is_ok() {
        return Ok((i, Size::Absent));
    }
    let size = alt((map(pair, |(r, c)| Size::Two(r, c)), map(decimal, Size::One)));
    want("a size such as `64` or `256x64`", size)(i)
}

const TYPE: &str = "a type such as `i8<64>`";

fn version<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, Statement> {
    move |i| {
        let (rest, _) = keyword("pimc")(i)?;
        let (rest, number) = want("the version of the language, `1`", decimal)(rest)?;
        Ok((rest, Statement::Version { number, span: place.span(i, rest) }))
    }
}

fn target<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, Statement> {
    move |i| {
        let (rest, _) = keyword("target")(i)?;
        let (rest, name) = want("the target's name in quotes", string(place))(rest)?;
        Ok((rest, Statement::Target { name }))
    }
}

fn tensor<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, Statement> {
    move |i| {
        let (rest, kind) = alt((
            map(keyword("weight"), |_| TensorKind::Weight),
            map(keyword("param"), |_| TensorKind::Param),
            map(keyword("cache"), |_| TensorKind::Cache),
        ))
        .parse(i)?;
        let (rest, name) = want("a name such as `@w`", global_name(place))(rest)?;
        let (rest, _) = want("`:` and a type", char(':'))(rest)?;
        let (rest, ty) =
            want("a type such as `pq<256x64, sub=2, k=16>` or `i32<256>`", ty(place))(rest)?;
        let (rest, _) = want("`from` and a file", keyword("from"))(rest)?;
        let (rest, file) = want("a file name in quotes", string(place))(rest)?;
        Ok((rest, Statement::Tensor { kind, name, ty, file }))
    }
}

fn func<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, Statement> {
    move |i| {
        let input = |i: &'a str| {
            let (rest, name) = tok(value_name(place))(i)?;
            let (rest, _) = want("`:` and the input's type", char(':'))(rest)?;
            let (rest, ty) = want(TYPE, ty(place))(rest)?;
            Ok((rest, (name, ty)))
        };
        let (rest, _) = keyword("func")(i)?;
        let (rest, name) = want("`@main`", global_name(place))(rest)?;
        let (rest, _) = want("`(`", char('('))(rest)?;
        let (rest, inputs) =
            want("an input such as `%x: i8<64>`", separated_list1(tok(char(',')), input))(rest)?;
        let (rest, _) = want("`,` or `)`", char(')'))(rest)?;
        let (rest, _) = want("`->` and the result's type", tag("->"))(rest)?;
        let (rest, result) = want(TYPE, ty(place))(rest)?;
        let (rest, _) = want("`{`", char('{'))(rest)?;
        Ok((rest, Statement::Func { name, inputs, result }))
    }
}

fn op<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, Statement> {
    move |i| {
        // A line that begins with % can only be an op.
        let (rest, _) = char('%')(i)?;
        let _ = rest;
        let (rest, name) = want("a name such as `%0`", value_name(place))(i)?;
        let (rest, _) = want("`=`", char('='))(rest)?;
        let (rest, op) = want("an op such as `matvec`", bare_name(place))(rest)?;
        let (rest, args) =
            want("an operand", separated_list1(tok(char(',')), tok(arg(place))))(rest)?;
        let (rest, _) = want("`,` or `:` and the result's type", char(':'))(rest)?;
        let (rest, ty) = want(TYPE, ty(place))(rest)?;
        Ok((rest, Statement::Op { name, op, args, ty }))
    }
}

fn ret<'a>(place: Place<'a>) -> impl FnMut(&'a str) -> Res<'a, Statement> {
    move |i| {
        let (rest, _) = keyword("return")(i)?;
        let (rest, value) = want("a value such as `%0`", value_name(place))(rest)?;
        Ok((rest, Statement::Return { value }))
    }
}

fn whole_line<'a>(i: &'a str, place: Place<'a>) -> Res<'a, Line> {
    let (start, _) = blank(i)?;
    let statement = alt((
        version(place),
        target(place),
        tensor(place),
        func(place),
        op(place),
        ret(place),
        map(char('}'), |_| Statement::Close),
    ));
    let (after, statement) = opt(statement).parse(start)?;
    let (rest, _) = blank(after)?;
    let (rest, comment) = opt(recognize((tag("//"), cut(take_while(|_| true))))).parse(rest)?;
    if !rest.is_empty() {
        let (code, what) = match statement {
            None => (Code::P0106, ""),
            Some(_) => (Code::P0105, "the end of the line"),
        };
        return Err(Err::Failure(Wanted { rest, code, what }));
    }
    let comment = comment.map(|text: &str| Comment {
        text: text.trim_end().to_string(),
        span: {
            let from = place.start(text);
            from..from + text.trim_end().len()
        },
    });
    let span =
        if statement.is_some() { place.span(start, after) } else { place.span(start, start) };
    Ok((rest, Line { statement, comment, span }))
}
