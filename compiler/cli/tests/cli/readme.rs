//! What the README shows is what the program does.

use crate::common::{digits, err, exit, files, out, pimc, run};
use std::collections::BTreeSet;
use std::path::Path;

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    std::fs::read_to_string(path).unwrap()
}

/// Lines of the README after the heading of that name, up to the next one.
fn section(name: &str) -> String {
    let text = readme();
    let after = text.split(&format!("## {name}\n")).nth(1).expect("the section");
    after.split("\n## ").next().unwrap().to_string()
}

#[test]
fn the_table_of_commands_is_the_help() {
    let table: BTreeSet<String> = section("Commands")
        .lines()
        .filter_map(|l| l.strip_prefix("| `pimc "))
        .map(|l| l.split([' ', '`']).next().unwrap().to_string())
        .collect();
    let help = out(&run(&["--help"]));
    let listed: BTreeSet<String> = help
        .split("Commands:\n")
        .nth(1)
        .unwrap()
        .lines()
        .take_while(|l| !l.is_empty())
        .filter_map(|l| l.strip_prefix("  "))
        .filter(|l| !l.starts_with(' '))
        .map(|l| l.split(' ').next().unwrap().to_string())
        .filter(|name| name != "help")
        .collect();
    assert_eq!(table, listed);
}

#[test]
fn options_in_the_table_of_commands_exist() {
    for row in section("Commands").lines().filter_map(|l| l.strip_prefix("| `pimc ")) {
        let synopsis = row.split('`').next().unwrap();
        let command = synopsis.split(' ').next().unwrap();
        let help = out(&run(&[command, "--help"]));
        for word in synopsis.split([' ', '[', ']', '|', '\\']).filter(|w| w.starts_with('-')) {
            assert!(help.contains(word), "{command}: the help knows no {word}");
        }
    }
}

#[test]
fn compiling_the_example_prints_what_is_shown() {
    let text = readme();
    let mut shown = text.lines().skip_while(|l| !l.starts_with("$ pimc compile examples/"));
    let mut count = 0;
    while let Some(line) = shown.next() {
        let Some(args) = line.strip_prefix("$ pimc compile examples/") else { continue };
        let (model, output) = args.split_once(" -o ").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let path = examples.join(model);
        let ran = pimc(&["compile", path.to_str().unwrap(), "-o", output])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert_eq!((exit(&ran), err(&ran)), (0, String::new()));
        assert_eq!(out(&ran).trim_end(), shown.next().unwrap(), "{line}");
        count += 1;
    }
    assert_eq!(count, 3, "the README shows both networks, and a cache");
}

#[test]
fn the_targets_are_what_is_shown() {
    let section = section("Targets");
    let shown = section.split("$ pimc targets\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(out(&run(&["targets"])), shown);
}

#[test]
fn the_table_of_files_is_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("out");
    run(&["compile", digits().to_str().unwrap(), "-o", tree.to_str().unwrap()]);
    let section = section("What `compile` writes");
    let cells =
        section.lines().filter(|l| l.starts_with("| `")).map(|l| l.split(" | ").next().unwrap());
    let patterns: Vec<&str> = cells.flat_map(|c| c.split('`').skip(1).step_by(2)).collect();
    let fits = |pattern: &str, name: &str| match pattern.split_once('*') {
        Some((head, tail)) => name.starts_with(head) && name.ends_with(tail),
        None => name == pattern,
    };
    let found = files(&tree);
    for name in found.keys() {
        assert!(patterns.iter().any(|p| fits(p, name)), "{name} is not in the README");
    }
    for pattern in patterns {
        assert!(found.keys().any(|n| fits(pattern, n)), "{pattern} is in the README alone");
    }
}
