//! Everything of this crate that reads bytes, on damaged bytes: targets, programs as text and in
//! hexadecimal, memory images, whole trees. Whatever comes of it, it is a value or a diagnostic with
//! a message and a help, and never a panic.

use crate::common::{plan, random, Rng};
use pimc_ir::{Code, Diagnostics};
use pimc_lower::commands::{read_csv, write_csv};
use pimc_lower::legality::{check, check_part};
use pimc_lower::{assembly, emit, hex, read_tree, write_tree, Target};
use proptest::prelude::{any, prop, proptest, ProptestConfig, Strategy};
use std::fs;

/// One change of a text: where, what kind, which piece.
type Edit = (u16, u8, u16);

/// What the formats are made of, and what none of them expects.
const PIECES: &[&str] = &[
    "0",
    "f",
    "-1",
    "99999999999999999999",
    "4294967295",
    "\n",
    "@ffffffff",
    "@",
    "//",
    "=",
    "[",
    "]",
    "\"",
    "nan",
    "1e999",
    "+0",
    "+4294967295",
    "loop 4294967295",
    "next",
    "é",
    "\u{2028}",
    "\r",
    "\0",
    "x",
    "# end: ",
    "281474976710656",
    ",",
    "RD",
    "WR",
];

fn damage(text: &str, edits: &[Edit]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for &(at, what, piece) in edits {
        let at = usize::from(at) % text.len().max(1);
        match what % 5 {
            0 if !text.is_empty() => drop(text.remove(at)),
            1 => text.truncate(at),
            2 => {
                let copy: Vec<char> = text[at..].iter().take(60).copied().collect();
                drop(text.splice(at..at, copy));
            }
            3 => {
                let end = (at + usize::from(piece) % 70).min(text.len());
                drop(text.drain(at..end));
            }
            _ => drop(text.splice(at..at, PIECES[usize::from(piece) % PIECES.len()].chars())),
        }
    }
    text.into_iter().collect()
}

/// Several edits, so that one may mend what another broke and the reader gets further.
fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(any::<Edit>(), 1..6)
}

fn told(found: &Diagnostics) {
    assert!(found.has_errors() && !found.render(true).is_empty() && found.to_json().is_object());
    for d in found.list() {
        assert!(!d.message.is_empty() && !d.help.is_empty(), "{d:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_targets(edits in edits(), raw in prop::collection::vec(any::<u8>(), 0..80)) {
        let source = Target::named("hbm3-pim").expect("built in").source;
        for text in [damage(&source, &edits), String::from_utf8_lossy(&raw).into_owned()] {
            if let Err(found) = Target::from_toml("t.toml", &text) {
                told(&found);
            }
        }
    }

    #[test]
    fn damaged_assembly(seed in 0..6u64, edits in edits()) {
        let model = random(seed).build().unwrap_or_else(|d| panic!("{d}"));
        let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
        let mut bytes = Vec::new();
        assembly::write(&plan, &model, &mut bytes).expect("writing to memory");
        let text = String::from_utf8(bytes).expect("text");
        if let Err(found) = assembly::parse("program.pims", &damage(&text, &edits)) {
            told(&found);
        }
    }

    /// A trace that can be read can be checked.
    #[test]
    fn damaged_traces(seed in 0..6u64, edits in edits(), raw in prop::collection::vec(any::<u8>(), 0..80)) {
        let model = random(seed).build().unwrap_or_else(|d| panic!("{d}"));
        let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
        let mut bytes = Vec::new();
        write_csv(&plan.program, &plan.target, &mut bytes).expect("writing to memory");
        let text = damage(&String::from_utf8(bytes).expect("text"), &edits);
        for text in [text, String::from_utf8_lossy(&raw).into_owned()] {
            match read_csv("commands.csv", &text) {
                Ok(trace) => {
                    let commands = || trace.commands.iter().copied();
                    let found = [
                        check(&plan.target, commands(), trace.end.unwrap_or(0)),
                        check_part(&plan.target, commands()),
                    ];
                    assert!(found.iter().flatten().all(|v| !v.to_string().is_empty()));
                }
                Err(found) => told(&found),
            }
        }
    }

    #[test]
    fn damaged_words(bits in 1..=128u32, words in prop::collection::vec(any::<u128>(), 0..20), edits in edits()) {
        let mut bytes = Vec::new();
        let words = words.into_iter().map(|w| w >> (128 - bits));
        hex::write_words(words, bits, &mut bytes).expect("writing to memory");
        let text = damage(&String::from_utf8(bytes).expect("text"), &edits);
        if let Err(found) = hex::read_words("w.hex", &text, bits, Code::P0702) {
            told(&found);
        }
        if let Err(found) = hex::read_columns("c.hex", &text, 3) {
            told(&found);
        }
    }
}

/// Files of a tree that are read back, each damaged a few times.
#[test]
fn damaged_trees() {
    let target = Target::named("hbm3-pim").expect("built in");
    let mut rng = Rng::new(11);
    let (mut refused, mut read) = (0, 0);
    for seed in 0..3 {
        let folder = tempfile::tempdir().expect("a folder");
        let path = random(seed).write(folder.path(), "m.ir").unwrap_or_else(|d| panic!("{d}"));
        let model = pimc_ir::load(&path).unwrap_or_else(|d| panic!("{d}"));
        let out = folder.path().join("out");
        let tree = emit(&plan(&model, &target), &model).map(|tree| write_tree(&tree, &out));
        tree.and_then(|written| written).unwrap_or_else(|d| panic!("{d}"));
        for name in [
            "manifest.json",
            "model/m.ir",
            "model/w.safetensors",
            "schedule/target.toml",
            "schedule/program.hex",
            "mem/bank_05.hex",
            "mem/buffer.hex",
        ] {
            let path = out.join(name);
            let right = fs::read(&path).unwrap_or_default();
            for _ in 0..12 {
                let mut bytes = right.clone();
                for _ in 0..rng.size(1, 3) {
                    let at = rng.size(0, bytes.len().max(1) - 1);
                    match rng.size(0, 3) {
                        0 => bytes.truncate(at),
                        1 => bytes.insert(at.min(bytes.len()), rng.next() as u8),
                        _ if at < bytes.len() => bytes[at] ^= 1 << rng.size(0, 7),
                        _ => {}
                    }
                }
                fs::write(&path, &bytes).expect("writing");
                match read_tree(&out) {
                    Ok(tree) => {
                        read += 1;
                        let known = tree.changed.iter().any(|n| n == name);
                        let is_manifest = name == "manifest.json";
                        assert!(known || is_manifest || bytes == right, "{name}: not noticed");
                    }
                    Err(found) => {
                        refused += 1;
                        told(&found);
                    }
                }
            }
            fs::write(&path, &right).expect("writing");
        }
    }
    assert!(refused > 60 && read > 20, "{refused} refused, {read} read: one side is hardly tried");
}
