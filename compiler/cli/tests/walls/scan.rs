//! Reads Rust text as tokens: which paths, macros and methods its code mentions, outside of
//! comments, strings and `#[cfg(test)]` items.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Something that code mentions: `std::process::Command`, `println!`, `.stdout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The path with its `::`; a macro ends with `!`, a method begins with `.`.
    pub path: String,
    /// Line of the source, from 1.
    pub line: usize,
}

impl Mention {
    /// Whether `part` (some segments with `::` between them) occurs in the path, segment by segment.
    pub fn has(&self, part: &str) -> bool {
        let mine: Vec<&str> = self.path.split("::").collect();
        let theirs: Vec<&str> = part.split("::").collect();
        mine.windows(theirs.len()).any(|w| w == theirs)
    }
}

/// Everything that the code of `source` mentions.
pub fn mentions(source: &str) -> Result<Vec<Mention>, String> {
    // A byte order mark or `#!` line is not a token.
    let stream: TokenStream = source.parse().map_err(|e| format!("{e}"))?;
    let mut out = Vec::new();
    walk(&stream, &mut out);
    Ok(out)
}

fn walk(stream: &TokenStream, out: &mut Vec<Mention>) {
    let tokens: Vec<TokenTree> = stream.clone().into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = end_of_item(&tokens, at);
            continue;
        }
        match &tokens[at] {
            TokenTree::Ident(i) if i == "use" => {
                let end = (at..tokens.len()).find(|&j| is(&tokens, j, ';')).unwrap_or(tokens.len());
                use_tree(&tokens[at + 1..end], "", out);
                at = end;
            }
            TokenTree::Ident(_) => at = path(&tokens, at, out),
            TokenTree::Group(g) => {
                walk(&g.stream(), out);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Whether token `at` is the punctuation `c`.
fn is(tokens: &[TokenTree], at: usize, c: char) -> bool {
    matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == c)
}

fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    is(tokens, at, ':') && is(tokens, at + 1, ':')
}

/// Reads the path that begins at `at`; returns the place after it.
fn path(tokens: &[TokenTree], at: usize, out: &mut Vec<Mention>) -> usize {
    let line = tokens[at].span().start().line;
    let mut text = String::new();
    if at > 0 && is(tokens, at - 1, '.') && !(at > 1 && is(tokens, at - 2, '.')) {
        text.push('.');
    }
    text.push_str(&tokens[at].to_string());
    let mut end = at + 1;
    while is_separator(tokens, end) {
        let Some(TokenTree::Ident(i)) = tokens.get(end + 2) else { break };
        text.push_str("::");
        text.push_str(&i.to_string());
        end += 3;
    }
    if is(tokens, end, '!') && !is(tokens, end + 1, '=') {
        text.push('!');
    }
    out.push(Mention { path: text, line });
    end
}

/// Spells out `a::{b, c::d}` as `a::b` and `a::c::d`.
fn use_tree(tokens: &[TokenTree], prefix: &str, out: &mut Vec<Mention>) {
    for branch in tokens.split(|t| matches!(t, TokenTree::Punct(p) if p.as_char() == ',')) {
        let mut path = prefix.to_string();
        let mut line = 0;
        for token in branch {
            match token {
                // `a as b`: what counts is what it is, not what it is called here.
                TokenTree::Ident(i) if i == "as" => break,
                TokenTree::Ident(i) => {
                    line = i.span().start().line;
                    if !path.is_empty() {
                        path.push_str("::");
                    }
                    path.push_str(&i.to_string());
                }
                TokenTree::Group(g) => {
                    let inner: Vec<TokenTree> = g.stream().into_iter().collect();
                    use_tree(&inner, &path, out);
                    line = 0;
                }
                _ => {}
            }
        }
        if line > 0 {
            out.push(Mention { path, line });
        }
    }
}

fn attribute(tokens: &[TokenTree]) -> Option<&Group> {
    match tokens {
        [TokenTree::Punct(p), TokenTree::Group(g), ..]
            if p.as_char() == '#' && g.delimiter() == Delimiter::Bracket =>
        {
            Some(g)
        }
        _ => None,
    }
}

fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    attribute(tokens).is_some_and(|g| g.stream().to_string().replace(' ', "") == "cfg(test)")
}

/// The place after the item whose first attribute is at `at`.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let mut end = at;
    while attribute(&tokens[end..]).is_some() {
        end += 2;
    }
    while end < tokens.len() {
        let braces =
            matches!(&tokens[end], TokenTree::Group(g) if g.delimiter() == Delimiter::Brace);
        if braces || is(tokens, end, ';') {
            return end + 1;
        }
        end += 1;
    }
    end
}

#[test]
fn paths_macros_methods_and_imports_are_mentioned() {
    let code =
        "use std::{fs, process::{Command as C, Stdio}};\nfn f() { println!(\"x\"); a.stdout(b); \
                std::env::var(\"A\"); let y = 0..len(); if a != b {} }";
    let found = mentions(code).unwrap();
    let paths: Vec<&str> = found.iter().map(|m| m.path.as_str()).collect();
    for wanted in [
        "std::fs",
        "std::process::Command",
        "std::process::Stdio",
        "println!",
        ".stdout",
        "std::env::var",
        "len",
    ] {
        assert!(paths.contains(&wanted), "{wanted} not in {paths:?}");
    }
    assert!(!paths.iter().any(|p| p.ends_with("a!")), "{paths:?}");
    assert_eq!(found.iter().find(|m| m.path == "println!").unwrap().line, 2);
}

#[test]
fn comments_strings_and_test_items_are_not_code() {
    let code = "//! println!\n/// exit\nfn f() { let s = \"println!(x)\"; }\n#[cfg(test)]\n#[allow(dead_code)]\n\
                mod tests { fn g() { println!(\"{}\", Instant::now()); } }\nfn h() { after(); }";
    let found = mentions(code).unwrap();
    assert!(found.iter().all(|m| m.path != "println!" && !m.has("Instant")), "{found:?}");
    assert!(found.iter().any(|m| m.path == "after"), "{found:?}");
}

#[test]
fn parts_of_paths_match_whole_segments() {
    let m = Mention { path: "std::process::Command::new".into(), line: 1 };
    assert!(m.has("process::Command") && m.has("std") && m.has("Command"));
    assert!(!m.has("process::Comm") && !m.has("std::Command"));
}
