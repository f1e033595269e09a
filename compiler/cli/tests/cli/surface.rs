//! What holds for every command.

use crate::common::{err, exit, object, out, pimc, run};

#[test]
fn usage_that_is_wrong_is_status_2_with_the_usage_shown() {
    for args in [
        &["--colour"][..],
        &[],
        &["frobnicate"],
        &["explain", "--wide"],
        &["fmt"],
        &["fmt", "--check=maybe", "x.ir"],
    ] {
        let output = run(args);
        assert_eq!(exit(&output), 2, "{args:?}");
        assert!(err(&output).contains("Usage: pimc"), "{args:?}: {}", err(&output));
        assert_eq!(out(&output), "", "{args:?}");
    }
}

#[test]
fn wrong_usage_with_json_is_one_object_too() {
    let value = object(&run(&["explain", "--json", "--wide"]));
    assert_eq!(value["status"], "bad_input");
    assert!(value["error"]["message"].as_str().unwrap().contains("--wide"), "{value}");
}

#[test]
fn help_and_version_are_on_standard_output() {
    for args in [&["--help"][..], &["help"], &["explain", "--help"], &["--version"]] {
        let output = run(args);
        assert_eq!(exit(&output), 0, "{args:?}");
        assert!(out(&output).contains("pimc"), "{args:?}");
        assert_eq!(err(&output), "", "{args:?}");
    }
    assert_eq!(out(&run(&["--version"])), format!("pimc {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("pimc"))
        .arg("explain")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(exit(&output), 0, "{}", err(&output));
    assert_eq!(err(&output), "");
}

#[test]
fn without_a_terminal_there_is_no_progress_and_no_colour() {
    let output = pimc(&["explain"]).env("TERM", "xterm-256color").output().unwrap();
    assert_eq!(err(&output), "");
    assert!(!out(&output).contains('\u{1b}'));
}
