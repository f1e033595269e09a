//! Memory files as `$readmemh` reads them: hexadecimal words, the most significant digit first;
//! `//` comments; `@` and an address sets where the next word goes.

use crate::diag::{error, list};
use crate::images::Column;
use pimc_ir::{Code, Diagnostics, Span};
use std::io::{self, Write};

/// Digits of a word of `bits`.
pub fn digits(bits: u32) -> usize {
    bits.div_ceil(4) as usize
}

/// Writes words of `bits`, one a line.
pub fn write_words(
    words: impl IntoIterator<Item = u128>,
    bits: u32,
    to: &mut dyn Write,
) -> io::Result<()> {
    let digits = digits(bits);
    for word in words {
        writeln!(to, "{word:0digits$x}")?;
    }
    Ok(())
}

/// Writes columns of 256 bits, one a line.
///
/// # Errors
/// Of the writer.
pub fn write_columns(columns: impl Iterator<Item = Column>, to: &mut dyn Write) -> io::Result<()> {
    let mut line = Vec::with_capacity(LINE);
    for column in columns {
        line.clear();
        column_lines(&column, &mut line);
        to.write_all(&line)?;
    }
    Ok(())
}

/// Characters of a column's line.
const LINE: usize = 65;

/// Appends a line for every column, a column being four words, the lowest first.
pub fn column_lines(words: &[u64], to: &mut Vec<u8>) {
    for column in words.chunks_exact(4) {
        let mut line = [b'\n'; LINE];
        for (digits, word) in line.chunks_exact_mut(16).zip(column.iter().rev()) {
            digits.copy_from_slice(&word_digits(*word));
        }
        to.extend_from_slice(&line);
    }
}

/// The sixteen digits of a word, the most significant first.
fn word_digits(word: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    digits[..8].copy_from_slice(&eight_digits((word >> 32) as u32));
    digits[8..].copy_from_slice(&eight_digits(word as u32));
    digits
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// Eight digits at once, a byte each.
fn eight_digits(word: u32) -> [u8; 8] {
    let x = u64::from(word);
    let x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    let x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x << 4) & (ONES * 0x0f);
    // From 10 on, letters: six more would carry into bit 4 of the byte.
    let letters = (x + ONES * 6) >> 4 & ONES;
    (x + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// The word that eight digits stand for; none if they are not as [`eight_digits`] writes them.
fn eight_digits_read(digits: [u8; 8]) -> Option<u32> {
    let x = u64::from_be_bytes(digits);
    let letters = x >> 6 & ONES;
    let x = (x & (ONES * 0x0f)).wrapping_add(letters * 9) & (ONES * 0x0f);
    let x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    let x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    let word = (x | x >> 16) as u32;
    (eight_digits(word) == digits).then_some(word)
}

/// The columns of a file that is as [`column_lines`] writes it, behind lines of comments; none of any
/// other.
fn plain_columns(text: &[u8], count: usize) -> Option<Vec<Column>> {
    let mut rest = text;
    while rest.starts_with(b"//") {
        rest = &rest[rest.iter().position(|&b| b == b'\n')? + 1..];
    }
    if rest.len() != count.checked_mul(LINE)? {
        return None;
    }
    let column = |line: &[u8]| {
        let mut column = [0; 4];
        for (word, digits) in column.iter_mut().rev().zip(line.chunks_exact(16)) {
            let half = |at: usize| eight_digits_read(*digits[at..].first_chunk()?);
            *word = u64::from(half(0)?) << 32 | u64::from(half(8)?);
        }
        (line[LINE - 1] == b'\n').then_some(column)
    };
    rest.chunks_exact(LINE).map(column).collect()
}

/// A word of a file with its address and place.
struct Item<'a> {
    address: u64,
    text: &'a str,
    span: Span,
}

/// The words of a file; reports what is none.
fn items<'a>(text: &'a str, bits: u32, code: Code, found: &mut Diagnostics) -> Vec<Item<'a>> {
    let digits = digits(bits);
    let mut all = Vec::new();
    let (mut at, mut address) = (0, 0u64);
    for line in text.split_inclusive('\n') {
        let body = line.split("//").next().unwrap_or("");
        let start = body.as_ptr() as usize;
        for word in body.split_whitespace() {
            let from = at + (word.as_ptr() as usize - start);
            let span = from..from + word.len();
            if let Some(hex) = word.strip_prefix('@') {
                match u32::from_str_radix(hex, 16) {
                    Ok(n) => address = n.into(),
                    Err(_) => found.push(
                        error(code, "an address is `@` and at most 8 hexadecimal digits")
                            .at(&span, "no address")
                            .help("compile again"),
                    ),
                }
                continue;
            }
            let hex = word.bytes().all(|b| b.is_ascii_hexdigit());
            if !hex || word.len() != digits {
                found.push(
                    error(code, format!("a word of {bits} bits has {digits} hexadecimal digits"))
                        .at(&span, "no such word")
                        .help("compile again"),
                );
                // One line of nonsense tells as much as a file of it.
                if found.list().len() >= 3 {
                    return all;
                }
                continue;
            }
            all.push(Item { address, text: word, span });
            address += 1;
        }
        at += line.len();
    }
    all
}

/// Reads words of `bits` (at most 128) with their addresses.
///
/// # Errors
/// `code` for everything that is no word or too large.
pub fn read_words(
    file_name: &str,
    text: &str,
    bits: u32,
    code: Code,
) -> Result<Vec<(u64, u128)>, Diagnostics> {
    let mut found = list(file_name, text);
    let mut words = Vec::new();
    for item in items(text, bits, code, &mut found) {
        let word = u128::from_str_radix(item.text, 16).unwrap_or(u128::MAX);
        if bits < 128 && word >> bits != 0 {
            found.push(
                error(code, format!("this word is wider than {bits} bits"))
                    .at(&item.span, "too large")
                    .help("compile again"),
            );
        }
        words.push((item.address, word));
    }
    if found.is_empty() {
        Ok(words)
    } else {
        Err(found)
    }
}

/// Reads columns of 256 bits; there must be `count`, without addresses.
///
/// # Errors
/// P0702 for everything that is no column, and for another number of them.
pub fn read_columns(file_name: &str, text: &str, count: usize) -> Result<Vec<Column>, Diagnostics> {
    if let Some(columns) = plain_columns(text.as_bytes(), count) {
        return Ok(columns);
    }
    // Something is out of the ordinary; what, takes a closer look.
    let mut found = list(file_name, text);
    let all = items(text, 256, Code::P0702, &mut found);
    if let Some((_, item)) = all.iter().enumerate().find(|(i, item)| item.address != *i as u64) {
        found.push(
            error(Code::P0702, "the columns of a bank follow one another from address 0")
                .at(&item.span, format!("this column is at address {:#x}", item.address))
                .help("compile again"),
        );
    }
    let columns: Vec<Column> = all
        .iter()
        .map(|item| {
            let mut column = [0; 4];
            for (i, beat) in column.iter_mut().enumerate() {
                let from = 48 - 16 * i;
                *beat = u64::from_str_radix(&item.text[from..from + 16], 16).unwrap_or(0);
            }
            column
        })
        .collect();
    if found.is_empty() && columns.len() != count {
        let end = text.len();
        found.push(
            error(Code::P0702, format!("{} columns, {count} expected", columns.len()))
                .at(&(end..end), "the file ends here")
                .help("compile again"),
        );
    }
    if found.is_empty() {
        Ok(columns)
    } else {
        Err(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_formatter() {
        let mut word = 0x0123_4567_89ab_cdefu64;
        for _ in 0..2000 {
            word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let column = [word, !word, word >> 7, 0];
            let [a, b, c, d] = column;
            let mut lines = Vec::new();
            column_lines(&column, &mut lines);
            let text = format!("{d:016x}{c:016x}{b:016x}{a:016x}\n");
            assert_eq!(lines, text.as_bytes());
            let file = format!("// head\n{text}{text}");
            assert_eq!(plain_columns(file.as_bytes(), 2), Some(vec![column; 2]));
            assert_eq!(plain_columns(file.as_bytes(), 3), None);
        }
    }

    /// What no writer of ours writes is left to the reader that can say what is wrong with it, and
    /// that takes capitals.
    #[test]
    fn only_plain_digits_are_read_at_once() {
        for byte in 0..=255u8 {
            let mut digits = *b"01234567";
            digits[3] = byte;
            let plain = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            assert_eq!(eight_digits_read(digits).is_some(), plain, "{byte}");
        }
        let text = "AB".repeat(32) + "\n";
        assert_eq!(read_columns("c.hex", &text, 1).unwrap(), [[0xabab_abab_abab_abab; 4]]);
    }
}
