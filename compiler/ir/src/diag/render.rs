//! Diagnostics as text with carets, and as JSON.

use super::{is_unreadable, line_col, Diagnostic, Diagnostics, Label, Severity};
use crate::module::Span;
use ariadne::{Config, IndexType, Report, ReportKind, Source};
use serde_json::{json, Value};

/// Longest stretch of a source line that is shown, in bytes.
const SHOWN_LINE: usize = 240;
/// Lines up to this number are numbered in the margin as well as in the heading. (The margin counts
/// from the start of the text, so blank lines are put before it.)
const NUMBERED_LINES: usize = 100_000;

impl Diagnostics {
    /// All diagnostics for a person to read; with `colour` only for a terminal that wants it.
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        for d in &self.list {
            out.push_str(&render_one(&self.file_name, &self.source, d, colour));
            out.push('\n');
        }
        if self.omitted > 0 {
            out.push_str(&format!("and {} more\n", self.omitted));
        }
        out
    }

    /// All diagnostics for a program to read. Spans are byte offsets; lines and columns start at 1.
    pub fn to_json(&self) -> Value {
        let place = |l: &Label| {
            let (line, column) = line_col(&self.source, l.span.start);
            let (end_line, end_column) = line_col(&self.source, l.span.end);
            json!({
                "text": l.text, "start": l.span.start, "end": l.span.end,
                "line": line, "column": column, "end_line": end_line, "end_column": end_column,
            })
        };
        let list: Vec<Value> = self
            .list
            .iter()
            .map(|d| {
                json!({
                    "code": d.code.as_str(),
                    "severity": severity_name(d.severity),
                    "message": d.message,
                    "file": self.file_name,
                    "primary": d.primary.as_ref().map(place),
                    "secondary": d.secondary.iter().map(place).collect::<Vec<_>>(),
                    "help": d.help,
                })
            })
            .collect();
        json!({ "diagnostics": list, "omitted": self.omitted })
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn render_one(file: &str, source: &str, d: &Diagnostic, colour: bool) -> String {
    let Some(primary) = &d.primary else {
        let mut text = format!("[{}] {}: {}\n", d.code, title(d.severity), d.message);
        if !file.is_empty() {
            text.push_str(&format!("  in {file}\n"));
        }
        if !d.help.is_empty() {
            text.push_str(&format!("  Help: {}\n", d.help));
        }
        return text;
    };
    let labels: Vec<&Label> = std::iter::once(primary).chain(&d.secondary).collect();
    let window = Window::around(source, &labels);
    let kind = match d.severity {
        Severity::Error => ReportKind::Error,
        Severity::Warning => ReportKind::Warning,
    };
    let config = Config::default()
        .with_color(colour)
        .with_index_type(IndexType::Byte)
        .with_char_set(if colour { ariadne::CharSet::Unicode } else { ariadne::CharSet::Ascii });
    let mut report = Report::build(kind, (file, window.map(&primary.span)))
        .with_config(config)
        .with_code(d.code)
        .with_message(&d.message);
    // In the order of the source: ariadne starts a new excerpt where a label lies above another.
    let mut ordered: Vec<(usize, &&Label)> = labels.iter().enumerate().collect();
    ordered.sort_by_key(|(_, label)| label.span.start);
    for (i, label) in ordered {
        let mark = ariadne::Label::new((file, window.map(&label.span)));
        let text = match window.is_cut(&label.span) {
            true => format!("{} (column {})", label.text, line_col(source, label.span.start).1),
            false => label.text.clone(),
        };
        let mark = mark.with_message(text);
        report.add_label(match (colour, i) {
            (false, _) => mark,
            (true, 0) => mark.with_color(ariadne::Color::Red),
            (true, _) => mark.with_color(ariadne::Color::Cyan),
        });
    }
    if !d.help.is_empty() {
        report.set_help(&d.help);
    }
    let text = Source::from(window.text.as_str()).with_display_line_offset(window.first_line);
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    let _ = report.finish().write((file, text), &mut out);
    let out = String::from_utf8_lossy(&out);
    out.lines().map(|l| l.trim_end().to_string() + "\n").collect()
}

fn title(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "Error",
        Severity::Warning => "Warning",
    }
}

/// The lines from the first to the last label. Lines without a label are left blank and long ones
/// clipped, so that the work does not grow with the size of the file.
struct Window {
    text: String,
    /// Lines of the source that `text` leaves out before its first.
    first_line: usize,
    /// Per line shown: its start in the source, the bytes cut off its front, its start in `text`,
    /// and its length there.
    lines: Vec<(usize, usize, usize, usize)>,
}

impl Window {
    fn around(source: &str, labels: &[&Label]) -> Window {
        let line_start = |at: usize| {
            source.as_bytes()[..at].iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1)
        };
        let mut starts: Vec<(usize, usize)> = labels
            .iter()
            .map(|l| (line_start(l.span.start.min(source.len())), l.span.start.min(source.len())))
            .collect();
        starts.sort_unstable();
        let newlines = |span: Span| source.as_bytes()[span].iter().filter(|&&b| b == b'\n').count();
        let first = starts.first().map_or(0, |s| s.0);
        let before = newlines(0..first);
        let padding = if before <= NUMBERED_LINES { before } else { 0 };
        let mut window =
            Window { text: "\n".repeat(padding), first_line: before - padding, lines: Vec::new() };
        let mut previous: Option<usize> = None;
        for (start, at) in starts {
            if let Some(before) = previous {
                if before == start {
                    continue;
                }
                window.text.push_str(&"\n".repeat(newlines(before..start)));
            }
            previous = Some(start);
            let line = source[start..].split('\n').next().unwrap_or("").trim_end_matches('\r');
            let cut = if line.len() > SHOWN_LINE { (at - start).saturating_sub(40) } else { 0 };
            let cut = (cut..=line.len()).find(|&i| line.is_char_boundary(i)).unwrap_or(0);
            let end = (cut + SHOWN_LINE).min(line.len());
            let end = (end..=line.len()).find(|&i| line.is_char_boundary(i)).unwrap_or(line.len());
            window.lines.push((start, cut, window.text.len(), end - cut));
            // As many `?` as it has bytes, so that spans still fit.
            for c in line[cut..end].chars() {
                match is_unreadable(c) {
                    true => window.text.push_str(&"?".repeat(c.len_utf8())),
                    false => window.text.push(c),
                }
            }
        }
        window
    }

    /// Whether the front of the line is not shown, so that columns cannot be counted.
    fn is_cut(&self, span: &Span) -> bool {
        self.lines.iter().rev().find(|l| l.0 <= span.start).is_some_and(|l| l.1 > 0)
    }

    /// A span of the source as one of `text`, clipped to its first line.
    fn map(&self, span: &Span) -> Span {
        let line = self.lines.iter().rev().find(|l| l.0 <= span.start);
        let Some(&(start, cut, to, len)) = line else { return 0..0 };
        let place = |at: usize| to + at.saturating_sub(start + cut).min(len);
        let (a, b) = (place(span.start), place(span.end.max(span.start)));
        let mut b = b.max(a);
        while !self.text.is_char_boundary(b) {
            b += 1;
        }
        a..b
    }
}
