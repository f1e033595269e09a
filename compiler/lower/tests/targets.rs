//! Targets: the built-in numbers, and every mistake in a file.

use pimc_ir::Code;
use pimc_lower::Target;

fn built_in(name: &str) -> Target {
    Target::named(name).unwrap_or_else(|| panic!("no target {name}"))
}

#[test]
fn every_built_in_target_reads() {
    let names: Vec<String> = Target::built_in().into_iter().map(|t| t.name).collect();
    assert_eq!(names, ["hbm3-pim", "hbm3-pim-uncapped"]);
    for target in Target::built_in() {
        assert_eq!((target.beats(), target.row_bytes(), target.banks), (4, 1024, 16));
        for line in target.source.lines().filter(|l| l.contains('=') && !l.starts_with("name")) {
            assert!(line.contains('#'), "a value without its source: {line}");
        }
    }
}

/// The limits measured with a public simulator for the same device.
#[test]
fn limits_of_a_bank() {
    for (name, peak, rows, refresh) in
        [("hbm3-pim", 6.94, 5.74, 5.22), ("hbm3-pim-uncapped", 10.40, 7.83, 7.13)]
    {
        let l = built_in(name).limits();
        for (got, want) in [(l.peak, peak), (l.after_rows, rows), (l.after_refresh, refresh)] {
            assert!((got - want).abs() < 0.006, "{name}: {got} is not {want}");
        }
    }
}

/// The codes of reading the built-in text with a piece replaced, and the texts they point at.
fn wrong(from: &str, to: &str) -> Vec<(Code, String)> {
    let text = built_in("hbm3-pim").source;
    assert!(text.contains(from), "{from}");
    let text = text.replacen(from, to, 1);
    let found = Target::from_toml("t.toml", &text).expect_err("a mistake");
    found
        .list()
        .iter()
        .map(|d| {
            assert!(!d.help.is_empty(), "{d:?}");
            let span = d.primary.as_ref().map_or(0..0, |l| l.span.clone());
            (d.code, text[span].to_string())
        })
        .collect()
}

#[test]
fn every_mistake_points_at_its_value() {
    let one = |from: &str, to: &str, code: Code, at: &str| {
        assert_eq!(wrong(from, to), [(code, at.to_string())], "{from} -> {to}");
    };
    one("rcd = 19", "rcd = 0", Code::P0603, "0");
    one("rcd = 19", "rcd = -5", Code::P0603, "-5");
    one("rcd = 19", "rcd = 1.5", Code::P0603, "1.5");
    one("rcd = 19", "rcd = 99999999999999999999", Code::P0603, "99999999999999999999");
    one("channels = 1 ", "channels = 3 ", Code::P0603, "3");
    one("banks = 16", "banks = 12", Code::P0603, "12");
    one("columns = 32", "columns = 33", Code::P0603, "33");
    one("column_bits = 256", "column_bits = 128", Code::P0603, "128");
    one("rc = 63", "rc = 50", Code::P0603, "50");
    one("ras = 45", "ras = 18", Code::P0603, "18");
    one("cl = 19", "cl = 3", Code::P0603, "3");
    one("refi = 5070", "refi = 600", Code::P0603, "600");
    one("faw_all_bank = false", "faw_all_bank = 3", Code::P0603, "3");
    one("name = \"hbm3-pim\"", "name = \"\"", Code::P0603, "\"\"");
}

#[test]
fn values_are_changed_in_the_text() {
    let target = built_in("hbm3-pim");
    let changed = target
        .with(&[
            ("stack", "channels", "8"),
            ("mapping", "split", "\"rows\""),
            ("timing", "cl", "20"),
        ])
        .expect("sound");
    assert_eq!((changed.channels, changed.units(), changed.timing.cl), (8, 128, 20));
    assert_eq!(changed.split, Some(pimc_lower::Split::Rows));
    assert_eq!(Target::from_toml("t.toml", &changed.source).expect("the text says so"), changed);
    // A second change replaces the first, also of a value that was not there.
    let again = changed.with(&[("mapping", "split", "\"auto\"")]).expect("sound");
    assert_eq!((again.split, again.source.matches("split").count()), (None, 1));
    assert!(target.with(&[("mapping", "split", "\"diagonal\"")]).is_err());
    assert!(target.with(&[("timing", "rcd", "0")]).is_err());
}

#[test]
fn a_misspelt_key_is_unknown_and_missing() {
    let found = wrong("rcd = 19", "rcb = 19");
    let codes: Vec<Code> = found.iter().map(|f| f.0).collect();
    assert!(codes.contains(&Code::P0605) && codes.contains(&Code::P0602), "{codes:?}");
}

#[test]
fn no_toml_and_empty_files() {
    assert_eq!(wrong("[timing]", "[timing")[0].0, Code::P0601);
    let found = Target::from_toml("t.toml", "").expect_err("nothing there");
    assert!(found.list().iter().all(|d| d.code == Code::P0602));
    assert!(found.list().len() >= 20);
}

#[test]
fn unknown_names() {
    let found = Target::find("hbm9", std::path::Path::new(".")).expect_err("unknown");
    assert_eq!(found.list()[0].code, Code::P0604);
    assert!(found.list()[0].help.contains("hbm3-pim"));
}
