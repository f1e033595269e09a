//! Lines: wrapped comments, and statements broken at an operator.

/// Longest line.
pub const WIDTH: usize = 100;

/// Wraps words into lines of at most `width`; the first begins with `first`, the others with
/// `rest`.
pub fn paragraph(text: &str, first: &str, rest: &str, width: usize) -> String {
    let mut out = String::new();
    let mut line = first.to_string();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.len() + 1 + word.len() > width {
            out += line.trim_end();
            out.push('\n');
            line = rest.to_string();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line += word;
        empty = false;
    }
    out + line.trim_end() + "\n"
}

/// A statement as lines: broken after an operator where it is nested least, or after an assignment,
/// until no line passes the width.
pub fn statement(indent: usize, text: &str) -> String {
    let pad = " ".repeat(indent);
    if indent + text.len() <= WIDTH {
        return format!("{pad}{text}\n");
    }
    let room = WIDTH - indent;
    match best_break(text, room) {
        Some(at) => {
            let (head, tail) = text.split_at(at);
            let deeper = indent + if text.starts_with("...") { 0 } else { 4 };
            let tail = format!("...{}", tail.trim_start());
            let rest = statement(deeper, &tail).replacen("...", "", 1);
            let head = head.trim_end();
            format!("{pad}{head}\n{rest}")
        }
        None => format!("{pad}{text}\n"),
    }
}

/// The last place within `room` at which the nesting is least.
fn best_break(text: &str, room: usize) -> Option<usize> {
    let mut depth = 0i32;
    let mut best: Option<(i32, usize)> = None;
    let bytes = text.as_bytes();
    for (at, c) in text.char_indices() {
        depth += matches!(c, '(' | '[' | '{') as i32 - matches!(c, ')' | ']' | '}') as i32;
        if c != ' ' || at == 0 || at >= room || at + 1 >= bytes.len() {
            continue;
        }
        let before = text[..at].rsplit(' ').next().unwrap_or("");
        let after_operator =
            ["+", "-", "*", "&", "|", "^", "&&", "||", "=", "<=", "==", "<<", ">>", ">>>"]
                .contains(&before)
                || before.ends_with(',');
        if after_operator && best.is_none_or(|(least, _)| depth <= least) {
            best = Some((depth, at));
        }
    }
    best.map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_keep_the_width_and_every_word() {
        let text = "one two three four five six seven";
        let out = paragraph(text, "// ", "//   ", 16);
        assert!(out.lines().all(|l| l.len() <= 16), "{out}");
        assert_eq!(out.replace("//", " ").split_whitespace().collect::<Vec<_>>().join(" "), text);
    }

    #[test]
    fn statements_break_after_the_outermost_operator() {
        let long = format!("assign total = ({} + bbbb) & {};", "a".repeat(50), "c".repeat(40));
        let out = statement(2, &long);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with('&'), "{out}");
        assert_eq!(out.split_whitespace().collect::<String>(), long.replace(' ', ""));
    }
}
