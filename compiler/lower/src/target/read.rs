//! Reading a target's TOML, with a located diagnostic for every value that is missing, unknown,
//! of the wrong type or senseless.

use super::extra::{self, Extra};
use super::{beat_bits, Attention, Target, Timing, BEAT_BITS};
use crate::attention::literal::Gather;
use crate::diag::{error, list};
use crate::mapping::Split;
use itertools::Itertools;
use pimc_ir::{Code, Diagnostics, Span};
use pimc_rtl::timing::SEED_CLOCKS;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};
use toml::Spanned;

/// What a value may be.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Int {
        min: u64,
        max: u64,
    },
    Bool,
    Text,
    /// One of these words; the first where the value is not given.
    Word(&'static [&'static str]),
    /// One of these numbers; may be left out.
    Choice(&'static [u32]),
}

/// Every value of a target: section (empty for the top), key, what it may be, what it says.
const VALUES: [(&str, &str, Kind, &str); 26] = [
    ("", "name", Kind::Text, "the target's name"),
    ("stack", "channels", int(1, 64), "pseudo-channels that run one program in lock step"),
    ("pseudo_channel", "banks", int(2, 64), "banks that work in lock step"),
    ("bank", "rows", int(2, 1 << 24), "rows of a bank"),
    ("bank", "columns", int(2, 4096), "columns of a row"),
    ("bank", "column_bits", int(256, 256), "bits of a column access"),
    ("timing", "tck_ps", int(1, 100_000), "the clock in picoseconds"),
    ("timing", "rcd", int(1, 10_000), "activate to read"),
    ("timing", "rp", int(1, 10_000), "precharge to activate"),
    ("timing", "ras", int(1, 10_000), "activate to precharge"),
    ("timing", "rc", int(1, 10_000), "activate to activate of one bank"),
    ("timing", "rtp", int(1, 10_000), "read to precharge"),
    ("timing", "cl", int(1, 100), "read to data"),
    ("timing", "ccd_all_bank", int(1, 255), "all-bank read to all-bank read"),
    ("timing", "faw", int(1, 10_000), "window of four activates"),
    ("timing", "faw_all_bank", Kind::Bool, "whether all-bank activates count in that window"),
    ("refresh", "refi", int(1, 1 << 24), "refresh to refresh, at most"),
    ("refresh", "rfc", int(2, 1 << 20), "refresh to any other command"),
    ("unit", "table_bytes", int(1, 1 << 32), "table memory of a bank unit"),
    ("unit", "input_bytes", int(1, 1 << 32), "input memories of a bank unit"),
    ("unit", "beat_bits", Kind::Choice(&BEAT_BITS), "bits that a bank unit takes in a clock"),
    ("buffer", "vector_bytes", int(1, 1 << 32), "vector memory of the buffer unit"),
    ("sequencer", "program_words", int(16, 1 << 24), "words of program memory"),
    ("mapping", "split", Kind::Word(&SPLITS), "which dimension of a matrix goes over the banks"),
    ("mapping", "attention", Kind::Word(&ATTENTIONS), "how attention on a cache is mapped"),
    ("mapping", "gather", Kind::Word(&GATHERS), "how indirect attention looks values up"),
];

/// What `split` may be: by cost, or one way where the format allows both.
const SPLITS: [&str; 3] = ["auto", "rows", "inputs"];

/// What `attention` may be: tables in the units' memories, or in DRAM rows.
const ATTENTIONS: [&str; 2] = ["resident", "indirect"];

/// What `gather` may be: a lookup for a centroid, or one for each of its elements.
const GATHERS: [&str; 2] = ["centroid", "element"];

pub(super) const fn int(min: u64, max: u64) -> Kind {
    Kind::Int { min, max }
}

type Key = (&'static str, &'static str);

/// Values read so far, with their places.
#[derive(Default)]
struct Values {
    ints: BTreeMap<Key, (u64, Span)>,
    bools: BTreeMap<Key, bool>,
    texts: BTreeMap<Key, String>,
}

impl Values {
    fn int(&self, section: &'static str, key: &'static str) -> u64 {
        self.ints.get(&(section, key)).map_or(0, |v| v.0)
    }

    fn given(&self, section: &'static str, key: &'static str) -> Option<u32> {
        self.ints.get(&(section, key)).and_then(|v| u32::try_from(v.0).ok())
    }

    fn small(&self, section: &'static str, key: &'static str) -> u32 {
        u32::try_from(self.int(section, key)).unwrap_or(u32::MAX)
    }
}

pub(super) fn read(file_name: &str, text: &str) -> Result<Target, Diagnostics> {
    let mut found = list(file_name, text);
    let document = match DeTable::parse(text) {
        Ok(table) => table,
        Err(e) => {
            let span = e.span().unwrap_or(0..0);
            found.push(
                error(Code::P0601, "this is not TOML")
                    .at(&span, e.message().trim())
                    .help("a target is a TOML file; `pimc targets --json` shows the built-in ones"),
            );
            return Err(found);
        }
    };
    let mut values = Values::default();
    read_tables(document.get_ref(), &mut values, &mut found);
    missing(document.get_ref(), text, &mut found);
    if found.is_empty() {
        check(&values, &mut found);
    }
    if !found.is_empty() {
        return Err(found);
    }
    let v = |s, k| values.small(s, k);
    let default_beat = beat_bits(v("bank", "column_bits"), v("timing", "ccd_all_bank"));
    Ok(Target {
        name: values.texts.get(&("", "name")).cloned().unwrap_or_default(),
        source: text.to_string(),
        channels: v("stack", "channels"),
        banks: v("pseudo_channel", "banks"),
        rows: v("bank", "rows"),
        columns: v("bank", "columns"),
        column_bits: v("bank", "column_bits"),
        beat_bits: values.given("unit", "beat_bits").unwrap_or(default_beat),
        timing: Timing {
            tck_ps: v("timing", "tck_ps"),
            rcd: v("timing", "rcd"),
            rp: v("timing", "rp"),
            ras: v("timing", "ras"),
            rc: v("timing", "rc"),
            rtp: v("timing", "rtp"),
            cl: v("timing", "cl"),
            ccd: v("timing", "ccd_all_bank"),
            faw: v("timing", "faw"),
            faw_all_bank: values.bools.get(&("timing", "faw_all_bank")).copied().unwrap_or(false),
            refi: v("refresh", "refi"),
            rfc: v("refresh", "rfc"),
            extra: Extra::from(|s, k| values.ints.get(&(s, k)).map(|_| v(s, k))),
        },
        unit_gates: values.ints.get(&("unit", "gates")).map(|v| v.0),
        encoders: values.given("unit", "encoders").unwrap_or(super::ENCODERS),
        query_rows: values.given("unit", "query_rows").unwrap_or(super::QUERY_ROWS),
        table_bytes: values.int("unit", "table_bytes"),
        input_bytes: values.int("unit", "input_bytes"),
        vector_bytes: values.int("buffer", "vector_bytes"),
        program_words: v("sequencer", "program_words"),
        split: match values.texts.get(&("mapping", "split")).map(String::as_str) {
            Some("rows") => Some(Split::Rows),
            Some("inputs") => Some(Split::Inputs),
            _ => None,
        },
        attention: attention(&values),
    })
}

fn attention(values: &Values) -> Attention {
    let word = |key| values.texts.get(&("mapping", key)).map(String::as_str);
    let gather = match word("gather") {
        Some("element") => Gather::Element,
        _ => Gather::Centroid,
    };
    match word("attention") {
        Some("indirect") => Attention::Indirect(gather),
        _ => Attention::Resident,
    }
}

/// The text with a value of it changed, or added where it is not given; `value` as TOML writes it.
pub(super) fn changed(text: &str, section: &str, key: &str, value: &str) -> String {
    let Ok(document) = DeTable::parse(text) else { return text.to_string() };
    let document = document.get_ref();
    let (before, change, after) = match document.get_key_value(section) {
        None => (text.len(), format!("\n[{section}]\n{key} = {value}\n"), text.len()),
        Some((header, table)) => match table.get_ref().as_table().and_then(|t| t.get(key)) {
            Some(old) => (old.span().start, value.to_string(), old.span().end),
            None => {
                let rest = &text[header.span().end..];
                let line = rest.find('\n').map_or(text.len(), |n| header.span().end + n + 1);
                (line, format!("{key} = {value}\n"), line)
            }
        },
    };
    format!("{}{change}{}", &text[..before], &text[after..])
}

/// Takes every value of the document that the list knows, and reports the others.
fn read_tables(document: &DeTable<'_>, values: &mut Values, found: &mut Diagnostics) {
    for (key, value) in document {
        let name: &str = key.get_ref().as_ref();
        match value.get_ref() {
            DeValue::Table(table) if VALUES.iter().any(|v| v.0 == name && !v.0.is_empty()) => {
                for (key, value) in table {
                    let inner: &str = key.get_ref().as_ref();
                    take(name, inner, &key.span(), value, values, found);
                }
            }
            _ => take("", name, &key.span(), value, values, found),
        }
    }
}

fn take(
    section: &str,
    key: &str,
    key_span: &Span,
    value: &Spanned<DeValue<'_>>,
    values: &mut Values,
    found: &mut Diagnostics,
) {
    let all = || VALUES.iter().chain(&extra::VALUES);
    let Some(&(s, k, kind, what)) = all().find(|v| v.0 == section && v.1 == key) else {
        let known: Vec<&str> = all().filter(|v| v.0 == section).map(|v| v.1).collect();
        let place =
            if section.is_empty() { "at the top".into() } else { format!("in [{section}]") };
        found.push(
            error(Code::P0605, format!("`{key}` is not a value of a target {place}"))
                .at(key_span, "not known")
                .help(format!("known {place}: {}", known.join(", "))),
        );
        return;
    };
    let wrong = |expected: String| {
        error(Code::P0603, format!("`{k}` ({what}) must be {expected}"))
            .at(&value.span(), format!("this is a {}", value.get_ref().type_str()))
            .help("write the value as the built-in targets do")
    };
    match (kind, value.get_ref()) {
        (Kind::Int { min, max }, DeValue::Integer(number)) => {
            let digits = number.as_str().replace('_', "");
            match i128::from_str_radix(&digits, number.radix()) {
                Ok(n) if i128::from(min) <= n && n <= i128::from(max) => {
                    values.ints.insert((s, k), (n as u64, value.span()));
                }
                _ => {
                    let expected =
                        if min == max { format!("{min}") } else { format!("from {min} to {max}") };
                    found.push(
                        error(Code::P0603, format!("`{k}` ({what}) must be {expected}"))
                            .at(&value.span(), "makes no sense here")
                            .help("times are in clocks of tck_ps, sizes in bytes"),
                    );
                }
            }
        }
        (Kind::Choice(of), DeValue::Integer(number)) => {
            let digits = number.as_str().replace('_', "");
            match u32::from_str_radix(&digits, number.radix()) {
                Ok(n) if of.contains(&n) => {
                    values.ints.insert((s, k), (n.into(), value.span()));
                }
                _ => found.push(
                    error(
                        Code::P0603,
                        format!("`{k}` ({what}) must be {}", of.iter().join(" or ")),
                    )
                    .at(&value.span(), "is not built")
                    .help("leave it out for the narrowest that keeps up with the columns"),
                ),
            }
        }
        (Kind::Choice(of), _) => found.push(wrong(of.iter().join(" or "))),
        (Kind::Int { min, max }, _) => found.push(wrong(format!("an integer from {min} to {max}"))),
        (Kind::Bool, DeValue::Boolean(b)) => {
            values.bools.insert((s, k), *b);
        }
        (Kind::Bool, _) => found.push(wrong("true or false".into())),
        (Kind::Text, DeValue::String(text)) if !text.trim().is_empty() && text.len() <= 200 => {
            values.texts.insert((s, k), text.to_string());
        }
        (Kind::Text, _) => found.push(wrong("a text of 1 to 200 bytes".into())),
        (Kind::Word(words), DeValue::String(text)) if words.contains(&text.as_ref()) => {
            values.texts.insert((s, k), text.to_string());
        }
        (Kind::Word(words), _) => found.push(wrong(format!("one of {}", words.join(", ")))),
    }
}

/// Reports the values that the document does not have at all, and must have.
fn missing(document: &DeTable<'_>, text: &str, found: &mut Diagnostics) {
    for (section, key, kind, what) in VALUES {
        if matches!(kind, Kind::Word(_) | Kind::Choice(_)) {
            continue;
        }
        let table = document.get(section).and_then(|t| t.get_ref().as_table());
        let there = match section {
            "" => document.contains_key(key),
            _ => table.is_some_and(|t| t.contains_key(key)),
        };
        if there {
            continue;
        }
        let header = document.get_key_value(section).map(|(k, _)| k.span());
        let (span, help) = match (section, header) {
            ("", _) => (0..0, format!("add `{key} = ..` at the top")),
            (_, Some(span)) => (span, format!("add `{key} = ..` below [{section}]")),
            (_, None) => {
                (text.len()..text.len(), format!("add a section [{section}] with `{key} = ..`"))
            }
        };
        found.push(
            error(Code::P0602, format!("`{key}` ({what}) is missing"))
                .at(&span, "expected here")
                .help(help),
        );
    }
}

/// Reports values that contradict one another.
fn check(values: &Values, found: &mut Diagnostics) {
    let v = |s, k| values.int(s, k);
    let t = |k| values.int("timing", k);
    let mut wrong = |section: &'static str, key: &'static str, message: String, help: &str| {
        let span = values.ints.get(&(section, key)).map_or(0..0, |v| v.1.clone());
        found.push(error(Code::P0603, message).at(&span, "makes no sense").help(help));
    };
    if !v("pseudo_channel", "banks").is_power_of_two() {
        wrong(
            "pseudo_channel",
            "banks",
            format!("{} banks: not a power of two", v("pseudo_channel", "banks")),
            "matrix row r is in bank r mod banks, taken from the low bits of r",
        );
    }
    let groups = values.ints.get(&("pseudo_channel", "bank_groups")).map_or(1, |v| v.0);
    if !groups.is_power_of_two() || groups > v("pseudo_channel", "banks") {
        wrong(
            "pseudo_channel",
            "bank_groups",
            format!("{groups} groups of {} banks", v("pseudo_channel", "banks")),
            "each group has as many neighbouring banks, a power of two",
        );
    }
    if !v("stack", "channels").is_power_of_two() {
        wrong(
            "stack",
            "channels",
            format!("{} channels: not a power of two", v("stack", "channels")),
            "their banks are numbered on from channel to channel, and a row's bank is in its low bits",
        );
    }
    if !v("bank", "columns").is_power_of_two() {
        wrong(
            "bank",
            "columns",
            format!("{} columns: not a power of two", v("bank", "columns")),
            "the column counter wraps at the row's end",
        );
    }
    if t("ras") < t("rcd") {
        wrong(
            "timing",
            "ras",
            format!("ras {} is less than rcd {}", t("ras"), t("rcd")),
            "a row stays open at least until it can be read",
        );
    }
    // Data sheets round each of the three to clocks, so the sum may be one clock too long.
    if t("rc") + 1 < t("ras") + t("rp") {
        wrong(
            "timing",
            "rc",
            format!("rc {} is less than ras {} + rp {}", t("rc"), t("ras"), t("rp")),
            "activate to activate covers the open row and its precharge",
        );
    }
    if t("cl") < u64::from(SEED_CLOCKS) {
        wrong(
            "timing",
            "cl",
            format!("cl {} is less than {SEED_CLOCKS}", t("cl")),
            "the sign generator is seeded between the read and its data",
        );
    }
    // One whole row must fit between two refreshes, with what surrounds it.
    let beat = values.given("unit", "beat_bits").unwrap_or(beat_bits(
        values.small("bank", "column_bits"),
        values.small("timing", "ccd_all_bank"),
    ));
    let interval = t("ccd_all_bank").max(v("bank", "column_bits") / u64::from(beat));
    let interval = interval.max(u64::from(SEED_CLOCKS));
    let read = t("rcd") + (v("bank", "columns") - 1) * interval + t("rtp") + interval;
    let row = t("rc").max(t("ras").max(read) + t("rp"));
    let gap = if values.bools.get(&("timing", "faw_all_bank")) == Some(&true) {
        t("faw") * v("pseudo_channel", "banks").div_ceil(4)
    } else {
        0
    };
    let need = v("refresh", "rfc") + row.max(gap) + super::REFRESH_MARGIN;
    if v("refresh", "refi") < need {
        wrong(
            "refresh",
            "refi",
            format!("refi {}: a refresh and one row need {need} clocks", v("refresh", "refi")),
            "a row is read without a refresh in between, so it must fit into refi",
        );
    }
}
