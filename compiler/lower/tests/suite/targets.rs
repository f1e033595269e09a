//! Targets: the built-in numbers, and every mistake in a file.

use pimc_ir::Code;
use pimc_lower::Target;

fn built_in(name: &str) -> Target {
    Target::named(name).unwrap_or_else(|| panic!("no target {name}"))
}

#[test]
fn every_built_in_target_reads() {
    let names: Vec<String> = Target::built_in().into_iter().map(|t| t.name).collect();
    let all = [
        ("hbm3-pim", 1024, 4),
        ("hbm3-pim-uncapped", 1024, 4),
        ("hbm3-6400", 1024, 4),
        ("hbm2-pim", 1024, 4),
        ("hbm4-pim", 1024, 4),
        ("gddr6-aim", 2048, 2),
        ("lpddr5-pim", 2048, 4),
        ("lpddr5x-pim", 2048, 4),
    ];
    assert_eq!(names, all.map(|t| t.0));
    for (target, (_, row_bytes, beats)) in Target::built_in().into_iter().zip(all) {
        assert_eq!((target.beats(), target.row_bytes(), target.banks), (beats, row_bytes, 16));
        assert_eq!(
            target.column_interval(),
            target.timing.ccd,
            "{}: as fast as its columns",
            target.name
        );
        for line in target.source.lines().filter(|l| l.contains('=') && !l.starts_with("name")) {
            assert!(line.contains('#'), "a value without its source: {line}");
        }
    }
}

/// What the checkers need for writes and for commands to a single bank is in every built-in target;
/// refresh of one bank only where a source has it.
#[test]
fn every_built_in_target_takes_writes() {
    for target in Target::built_in() {
        let (t, x) = (&target.timing, &target.timing.extra);
        let pairs = [(x.ccd_s, x.ccd_l), (x.rrd_s, x.rrd_l), (x.wtr_s, x.wtr_l), (x.bl, x.ccd_s)];
        for (short, long) in pairs {
            let name = &target.name;
            assert!(short.is_some() && short <= long, "{name}: {short:?} is not below {long:?}");
        }
        let counts = [x.bank_groups, x.rcd_wr, x.cwl, x.wr, x.turn];
        assert!(counts.iter().all(Option::is_some), "{}: {counts:?}", target.name);
        assert!(x.rcd_wr <= Some(t.rcd) && x.ccd_l <= Some(t.ccd), "{}", target.name);
        assert_eq!(x.rfc_pb.is_some(), target.name.starts_with("hbm3-pim"), "{}", target.name);
    }
}

/// The limits measured with public simulators for the same devices, in GB/s with two decimals. Where
/// a target differs from the device that was measured, the changes say in which values.
#[test]
fn limits_of_a_bank() {
    let none: &[(&str, &str, &str)] = &[];
    // The target precharges all banks, which takes two clocks longer than the one bank measured.
    let one_bank: &[_] = &[("timing", "rp", "15"), ("timing", "rc", "49")];
    // No target of ours: GDDR6 8 Gb x16 of 14 Gb/s, the rows as in gddr6-aim.
    let gddr6: &[_] = &[
        ("timing", "tck_ps", "570"),
        ("timing", "rcd", "30"),
        ("timing", "rp", "30"),
        ("timing", "ras", "60"),
        ("timing", "rc", "90"),
        ("timing", "rtp", "4"),
        ("timing", "ccd_all_bank", "4"),
        ("refresh", "rfc", "211"),
    ];
    for (name, changes, limits) in [
        ("hbm2-pim", none, [8.00, 6.52, 5.94]),
        ("hbm3-6400", none, [12.80, 8.62, 7.85]),
        ("hbm3-pim", none, [6.94, 5.74, 5.22]),
        ("hbm3-pim-uncapped", none, [10.40, 7.83, 7.13]),
        ("hbm4-pim", none, [16.00, 9.85, 8.71]),
        ("gddr6-aim", gddr6, [14.04, 11.37, 10.65]),
        ("gddr6-aim", none, [32.00, 18.12, 16.98]),
        ("lpddr5-pim", one_bank, [6.40, 5.65, 5.35]),
        ("lpddr5-pim", none, [6.40, 5.61, 5.31]),
    ] {
        let l = built_in(name).with(changes).expect("sound").limits();
        for (got, want) in [l.peak, l.after_rows, l.after_refresh].into_iter().zip(limits) {
            assert!((got - want).abs() < 0.006, "{name}: {got} is not {want}");
        }
    }
    // The row time of GDDR6-AiM is that of its all-bank MAC; a read of one bank may come sooner.
    let one_bank = built_in("gddr6-aim").with(&[("timing", "rcd", "36")]).expect("sound");
    assert!((one_bank.limits().after_rows - 19.88).abs() < 0.006);
}

#[test]
fn a_beat_is_the_narrowest_that_keeps_up_with_the_columns() {
    let target = built_in("hbm3-pim");
    for (ccd, beat_bits, interval) in
        [("100", 64, 100), ("4", 64, 4), ("3", 128, 3), ("2", 128, 2), ("1", 128, 2)]
    {
        let changed = target.with(&[("timing", "ccd_all_bank", ccd)]).expect("sound");
        assert_eq!((changed.beat_bits, changed.column_interval()), (beat_bits, interval), "{ccd}");
    }
    // A target may say; where the units are slower than the columns, theirs is the interval.
    let aim = built_in("gddr6-aim");
    for (target, beat_bits, interval) in
        [(&target, "64", 6), (&target, "128", 6), (&aim, "64", 4), (&aim, "128", 2)]
    {
        let changed = target.with(&[("unit", "beat_bits", beat_bits)]).expect("sound");
        assert_eq!(changed.beat_bits.to_string(), beat_bits);
        assert_eq!(
            (changed.beats() * changed.beat_bits, changed.column_interval()),
            (256, interval)
        );
    }
    for wrong in ["0", "32", "256", "-64", "\"64\"", "64.0"] {
        let found = target.with(&[("unit", "beat_bits", wrong)]).expect_err(wrong);
        assert_eq!(found.list()[0].code, Code::P0603, "{wrong}");
        assert!(found.list()[0].message.contains("64 or 128"), "{wrong}");
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

/// Every key that a target may have, and no other, has its row in docs/targets.md, below its section.
#[test]
fn the_page_of_targets_has_every_key() {
    let page = include_str!("../../docs/targets.md");
    let mut section = String::new();
    let mut told = Vec::new();
    for row in page.lines().filter_map(|l| l.strip_prefix("| ")) {
        let mut cells = row.split('|').map(str::trim);
        let (first, keys) = (cells.next().unwrap_or(""), cells.next().unwrap_or(""));
        match first {
            "section" => section.clear(),
            "" => {}
            header => section = header.trim_matches(['`', '[', ']']).to_string(),
        }
        let keys = keys.split(", ").filter_map(|k| k.strip_prefix('`')?.strip_suffix('`'));
        told.extend(keys.map(|key| (section.clone(), key.to_string())));
    }
    // The help for a key that is none names those that are.
    let mut known = Vec::new();
    let sections = ["", "stack", "pseudo_channel", "bank", "timing", "refresh", "unit", "buffer"];
    for section in sections.into_iter().chain(["sequencer", "mapping"]) {
        let header = if section.is_empty() { String::new() } else { format!("[{section}]\n") };
        let found = Target::from_toml("t.toml", &format!("{header}no_such_key = 1\n"));
        let found = found.expect_err("an unknown key");
        let unknown = found.list().iter().find(|d| d.code == Code::P0605).expect("it is unknown");
        let keys = unknown.help.split_once(": ").expect("a list").1.split(", ");
        known.extend(keys.map(|key| (section.to_string(), key.to_string())));
    }
    told.sort();
    known.sort();
    assert_eq!(told, known);
    assert!(known.len() >= 24 + 17, "{known:?}");
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
