//! The manual: every code has a page, and the page's example makes the mistake and the message.

mod common;

use common::load_case;
use pimc_ir::batch::write_batch;
use pimc_ir::diag::explain;
use pimc_ir::{load, read_source, Code};
use std::path::Path;

/// Codes that no text of a module can show.
const WITHOUT_EXAMPLE: &[Code] = &[Code::P0101, Code::P0102, Code::P0103, Code::P0408];

/// Whether this crate raises the code; the others are of recipes, targets, output trees and sweeps, and
/// what raises them is not known here.
fn of_this_crate(code: Code) -> bool {
    !["P041", "P06", "P07", "P08"].iter().any(|prefix| code.as_str().starts_with(prefix))
}

/// Set it to write the messages into the pages, after looking at what changed.
const BLESS: &str = "PIMC_BLESS";

#[test]
fn every_example_makes_its_mistake() {
    let mut stale = Vec::new();
    for &code in Code::ALL {
        let page = explain(code);
        assert!(page.page.starts_with(&format!("# {code}: {}\n", code.title())), "{code}: heading");
        let text = page.page.lines().skip(2).map(str::len).sum::<usize>();
        assert!(text > 60, "{code}: the page says nothing");
        if !of_this_crate(code) {
            continue;
        }
        if WITHOUT_EXAMPLE.contains(&code) {
            assert!(page.bad.is_none(), "{code} has an example after all");
            continue;
        }
        let (bad, good) = (page.bad.unwrap_or(""), page.good.unwrap_or(""));
        let message = match load_case(bad.as_bytes(), page.tensors.unwrap_or("")) {
            Err(failure) => {
                let codes: Vec<Code> = failure.diagnostics.list().iter().map(|d| d.code).collect();
                assert!(codes.contains(&code), "{code}: the example makes {codes:?}");
                failure.text
            }
            Ok(model) => {
                let codes: Vec<Code> = model.warnings().list().iter().map(|d| d.code).collect();
                assert!(codes.contains(&code), "{code}: the example is valid, with {codes:?}");
                model.warnings().render(false)
            }
        };
        match load_case(good.as_bytes(), "") {
            Ok(model) => assert!(model.warnings().is_empty(), "{code}: {}", model.warnings()),
            Err(failure) => panic!("{code}: put right, it is still wrong:\n{}", failure.text),
        }
        if page.message.map(str::trim) != Some(message.trim()) {
            stale.push(code);
            bless(code, page.page, message.trim());
        }
    }
    assert!(
        stale.is_empty(),
        "messages of {stale:?} differ from their pages; {BLESS}=1 rewrites them"
    );
}

fn bless(code: Code, page: &str, message: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("explain/{code}.md"));
    if std::env::var_os(BLESS).is_some() {
        let (before, rest) = page.split_once("```text\n").expect("a message block");
        let (_, after) = rest.split_once("```").expect("the end of the message block");
        let new = format!("{before}```text\n{message}\n```{after}");
        std::fs::write(path, new).expect("writing the page");
    }
}

#[test]
fn what_no_text_can_show() {
    let code = |e: pimc_ir::Diagnostics| e.list()[0].code;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("m.ir");
    assert_eq!(code(load(folder.path()).unwrap_err()), Code::P0102);
    assert_eq!(code(load(&file).unwrap_err()), Code::P0102);
    std::fs::write(&file, b"pimc 1\ntarget \"\xff\"\n").expect("writing");
    assert_eq!(code(load(&file).unwrap_err()), Code::P0101);
    std::fs::write(&file, "pimc 1".to_string() + &" ".repeat(70_000)).expect("writing");
    assert_eq!(code(load(&file).unwrap_err()), Code::P0103);
    // A file of 65 MiB that takes no room.
    std::fs::File::create(&file).and_then(|f| f.set_len(65 << 20)).expect("a sparse file");
    assert_eq!(code(read_source(&file).unwrap_err()), Code::P0103);
    let nowhere = folder.path().join("no/such/folder.safetensors");
    assert_eq!(code(write_batch(&nowhere, &[]).unwrap_err()), Code::P0408);
}

#[test]
#[cfg(unix)]
fn devices_are_not_read() {
    let e = load(Path::new("/dev/zero")).unwrap_err();
    assert_eq!(e.list()[0].code, Code::P0102);
    let e = pimc_ir::BatchFile::open(Path::new("/dev/zero")).err().expect("not a file");
    assert_eq!(e.list()[0].code, Code::P0401);
}

#[test]
fn codes_are_found_by_their_text() {
    assert_eq!(Code::from_text("p0305"), Some(Code::P0305));
    assert_eq!(Code::from_text("P9999"), None);
    let mut sorted = Code::ALL.to_vec();
    sorted.sort_by_key(|c| c.as_str());
    assert_eq!(sorted, Code::ALL, "codes stand in order");
}
