//! Reading one table of a recipe: typed keys, each mistake located, unknown keys reported.

use pimc_ir::{Code, Diagnostic, Diagnostics, Span};
use std::cell::RefCell;
use toml::de::{DeTable, DeValue};
use toml::Spanned;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Spot<T> {
    /// The value.
    pub value: T,
    /// Its place in the recipe.
    pub span: Span,
}

/// Mistakes found so far, in any order.
#[derive(Default)]
pub struct Problems {
    list: RefCell<Vec<Diagnostic>>,
}

impl Problems {
    /// Adds one.
    pub fn push(&self, diagnostic: Diagnostic) {
        self.list.borrow_mut().push(diagnostic);
    }

    /// Adds an error of this code at a place.
    pub fn error(&self, code: Code, span: &Span, message: String, label: &str, help: &str) {
        self.push(Diagnostic::error(code, message).at(span, label).help(help));
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// All of them, in the order of the recipe's text.
    pub fn into_diagnostics(self, file_name: &str, source: &str) -> Diagnostics {
        let mut list = self.list.into_inner();
        list.sort_by_key(|d| d.primary.as_ref().map_or(0, |l| l.span.start));
        let mut all = Diagnostics::new(file_name, source);
        list.into_iter().for_each(|d| all.push(d));
        all
    }
}

/// One table of the recipe.
pub struct Section<'a> {
    table: &'a DeTable<'a>,
    /// The table's place; its header where there is one.
    pub span: Span,
    what: &'static str,
    problems: &'a Problems,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// `what` names the table in messages, as in "`[input]`".
    pub fn new(
        table: &'a DeTable<'a>,
        span: Span,
        what: &'static str,
        problems: &'a Problems,
    ) -> Section<'a> {
        Section { table, span, what, problems, asked: RefCell::new(Vec::new()) }
    }

    fn get(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    /// Whether the key is written, whatever its value.
    pub fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let found = value.get_ref().type_str();
        self.problems.error(
            Code::P0411,
            &value.span(),
            format!("`{key}` of {} must be {expected}", self.what),
            &format!("this is of type {found}"),
            &format!("write {expected}"),
        );
    }

    fn out_of_range(&self, key: &str, span: &Span, expected: &str) {
        self.problems.error(
            Code::P0412,
            span,
            format!("`{key}` of {} is out of range", self.what),
            &format!("expected {expected}"),
            &format!("write {expected}"),
        );
    }

    /// Reports that a needed key is absent.
    pub fn missing(&self, key: &str, help: &str) {
        self.problems.error(
            Code::P0411,
            &self.span,
            format!("{} has no `{key}`", self.what),
            &format!("`{key}` is missing here"),
            help,
        );
    }

    /// A string, if written.
    pub fn string(&self, key: &'static str) -> Option<Spot<String>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::String(s) => Some(Spot { value: s.to_string(), span: value.span() }),
            _ => {
                self.wrong_type(key, value, "a string");
                None
            }
        }
    }

    /// A string that must be there; `help` says what to write.
    pub fn required_string(&self, key: &'static str, help: &str) -> Option<Spot<String>> {
        if self.get(key).is_none() {
            self.missing(key, help);
        }
        self.string(key)
    }

    /// A boolean, or `default`.
    pub fn boolean(&self, key: &'static str, default: bool) -> bool {
        match self.get(key).map(|v| (v, v.get_ref())) {
            None => default,
            Some((_, DeValue::Boolean(b))) => *b,
            Some((v, _)) => {
                self.wrong_type(key, v, "true or false");
                default
            }
        }
    }

    /// An integer in `low..=high`, if written.
    pub fn integer(&self, key: &'static str, low: u64, high: u64) -> Option<Spot<u64>> {
        let value = self.get(key)?;
        let expected = format!("an integer of {low}..={high}");
        let DeValue::Integer(i) = value.get_ref() else {
            self.wrong_type(key, value, &expected);
            return None;
        };
        match u64::from_str_radix(i.as_str(), i.radix()) {
            Ok(v) if (low..=high).contains(&v) => Some(Spot { value: v, span: value.span() }),
            _ => {
                self.out_of_range(key, &value.span(), &expected);
                None
            }
        }
    }

    /// An integer in `low..=high`, or `default`.
    pub fn integer_or(&self, key: &'static str, low: u64, high: u64, default: u64) -> u64 {
        self.integer(key, low, high).map_or(default, |v| v.value)
    }

    /// An integer that must be there.
    pub fn required_integer(&self, key: &'static str, low: u64, high: u64) -> Option<Spot<u64>> {
        if self.get(key).is_none() {
            self.missing(key, &format!("write `{key} = N` with N of {low}..={high}"));
        }
        self.integer(key, low, high)
    }

    /// A number or a string, if written.
    pub fn number_or_string(&self, key: &'static str) -> Option<Spot<NumberOrString>> {
        let value = self.get(key)?;
        let read = match value.get_ref() {
            DeValue::String(s) => Some(NumberOrString::String(s.to_string())),
            other => number(other).map(NumberOrString::Number),
        };
        if read.is_none() {
            self.wrong_type(key, value, "a number or a string");
        }
        Some(Spot { value: read?, span: value.span() })
    }

    /// A number in `low..=high`, if written.
    pub fn number(&self, key: &'static str, low: f64, high: f64) -> Option<Spot<f64>> {
        let value = self.get(key)?;
        let Some(v) = number(value.get_ref()) else {
            self.wrong_type(key, value, "a number");
            return None;
        };
        if !(low..=high).contains(&v) {
            self.out_of_range(key, &value.span(), &format!("a number of {low}..={high}"));
            return None;
        }
        Some(Spot { value: v, span: value.span() })
    }

    /// Two positive integers, as in `block = [128, 128]`.
    pub fn required_pair(&self, key: &'static str, high: u64) -> Option<Spot<(usize, usize)>> {
        let expected = format!("two integers of 1..={high}, as in `{key} = [128, 128]`");
        let Some(value) = self.get(key) else {
            self.missing(key, &format!("write {expected}"));
            return None;
        };
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(key, value, &expected);
            return None;
        };
        let items: Vec<u64> = array
            .iter()
            .filter_map(|v| match v.get_ref() {
                DeValue::Integer(i) => u64::from_str_radix(i.as_str(), i.radix()).ok(),
                _ => None,
            })
            .filter(|v| (1..=high).contains(v))
            .collect();
        if array.len() != 2 || items.len() != 2 {
            self.out_of_range(key, &value.span(), &expected);
            return None;
        }
        Some(Spot { value: (items[0] as usize, items[1] as usize), span: value.span() })
    }

    /// One of several words, or `default` when not written.
    pub fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)], default: T) -> T {
        let Some(word) = self.string(key) else { return default };
        let found = words.iter().find(|(w, _)| *w == word.value);
        if found.is_none() {
            let list: Vec<String> = words.iter().map(|(w, _)| format!("\"{w}\"")).collect();
            let list = list.join(", ");
            self.problems.error(
                Code::P0411,
                &word.span,
                format!("`{key}` of {} cannot be \"{}\"", self.what, word.value),
                &format!("expected one of {list}"),
                &format!("write one of {list}"),
            );
        }
        found.map_or(default, |(_, v)| *v)
    }

    /// A table of its own.
    pub fn table(&self, key: &'static str, what: &'static str) -> Option<Section<'a>> {
        let value = self.get(key)?;
        match value.get_ref() {
            DeValue::Table(t) => Some(Section::new(t, value.span(), what, self.problems)),
            _ => {
                self.wrong_type(key, value, &format!("a table {what}"));
                None
            }
        }
    }

    /// An array of tables, in order; empty if absent.
    pub fn tables(&self, key: &'static str, what: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong_type(key, value, &format!("a list of tables {what}"));
            return Vec::new();
        };
        let section = |item: &'a Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::Table(t) => Some(Section::new(t, item.span(), what, self.problems)),
            _ => {
                self.wrong_type(key, item, &format!("a table {what}"));
                None
            }
        };
        items.iter().filter_map(section).collect()
    }

    /// Reports every key that nobody asked for.
    pub fn finish(self) {
        let mut known = self.asked.into_inner();
        known.sort_unstable();
        known.dedup();
        for key in self.table.keys().filter(|k| !known.contains(&k.get_ref().as_ref())) {
            self.problems.error(
                Code::P0411,
                &key.span(),
                format!("{} has no key `{}`", self.what, key.get_ref()),
                "unknown key",
                &format!("keys that are understood here: {}", known.join(", ")),
            );
        }
    }
}

/// What a key that takes both may hold.
#[derive(Clone, Debug, PartialEq)]
pub enum NumberOrString {
    /// An integer or a float.
    Number(f64),
    /// A string.
    String(String),
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(f) => f.as_str().parse().ok(),
        DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).ok().map(|v| v as f64),
        _ => None,
    }
}
