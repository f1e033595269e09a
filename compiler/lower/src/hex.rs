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
pub fn write_columns(columns: impl Iterator<Item = Column>, to: &mut dyn Write) -> io::Result<()> {
    for [a, b, c, d] in columns {
        writeln!(to, "{d:016x}{c:016x}{b:016x}{a:016x}")?;
    }
    Ok(())
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
