//! Files that are wrong, each with the text that a person sees beside it. A file's lines `//! ..`
//! describe what its tensor files hold (see `common`).

mod common;

use common::load_case;
use pimc_ir::diag::line_col;

#[test]
fn corpus() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("bad");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::glob!("bad/*.ir", |path| {
            let source = std::fs::read(path).expect("reading the file");
            let text = String::from_utf8_lossy(&source);
            let description: String = text
                .lines()
                .filter_map(|l| l.strip_prefix("//! "))
                .map(|l| l.to_string() + "\n")
                .collect();
            let Err(failure) = load_case(&source, &description) else {
                panic!("{} is valid", path.display());
            };
            for d in failure.diagnostics.list() {
                let place = d.primary.as_ref().unwrap_or_else(|| panic!("{d:?} has no place"));
                let (line, _) = line_col(&text, place.span.start);
                assert!(line <= text.lines().count().max(1), "{d:?} lies outside of the file");
                assert!(!d.help.is_empty(), "{d:?} has no help");
                assert!(!place.text.is_empty(), "{d:?} has no label");
            }
            insta::assert_snapshot!(failure.text);
        });
    });
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad"))
        .expect("the folder")
        .filter(|f| f.as_ref().is_ok_and(|f| f.path().extension().is_some_and(|e| e == "ir")))
        .count();
    assert!(files >= 80, "only {files} files found");
}

#[test]
fn json_tells_the_same() {
    let source = "pimc 1\ntarget \"hbm3-pim\"\nfunc @main(%x: i8<4>) -> i8<4> {\n  %y = add %x, %x : i8<4>\n  return %y\n}\n";
    let Err(failure) = load_case(source.as_bytes(), "") else { panic!("i8 + i8 fits i8") };
    insta::assert_snapshot!(serde_json::to_string_pretty(&failure.diagnostics.to_json()).unwrap());
}
