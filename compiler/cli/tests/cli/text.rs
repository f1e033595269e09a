//! The commands that work on text alone: `fmt` and `explain`.

use crate::common::{err, exit, object, out, pimc, run, write};
use pimc_ir::Code;

const UNTIDY: &str = "pimc   1 // first\n\n\n\ntarget \"hbm3-pim\"\n// a layer\n\
    weight @w:int<2x3,bits=8>from\"w.safetensors\"\n\
    func @main(%x:i8<3>)->i32<2>{\n %y=matvec @w,%x:i32<2>\n return %y\n}\n";

#[test]
fn fmt_tidies_once_and_for_all_and_keeps_comments() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "m.ir", UNTIDY);
    let file = path.to_str().unwrap();

    let check = run(&["fmt", "--check", file]);
    assert_eq!((exit(&check), out(&check)), (1, format!("{file}\n")));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), UNTIDY, "--check wrote");

    assert_eq!(exit(&run(&["fmt", file])), 0);
    let tidy = std::fs::read_to_string(&path).unwrap();
    assert!(tidy.contains("// first") && tidy.contains("// a layer"), "{tidy}");
    assert_ne!(tidy, UNTIDY);

    let again = run(&["fmt", file]);
    assert_eq!((exit(&again), out(&again)), (0, String::new()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), tidy);
    assert_eq!(exit(&run(&["fmt", "--check", file])), 0);

    let piped = pimc(&["fmt", "-"]).write_stdin(UNTIDY).output().unwrap();
    assert_eq!((exit(&piped), out(&piped)), (0, tidy));
    assert_eq!(dir.path().read_dir().unwrap().count(), 1, "something was left beside the file");
}

#[test]
fn fmt_of_two_files_touches_neither_if_one_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let good = write(dir.path(), "good.ir", UNTIDY);
    let bad = write(dir.path(), "bad.ir", "pimc 1\nweight weight\n");
    let output = run(&["fmt", good.to_str().unwrap(), bad.to_str().unwrap()]);
    assert_eq!(exit(&output), 2);
    assert!(err(&output).contains("bad.ir:2:"), "{}", err(&output));
    assert_eq!(std::fs::read_to_string(&good).unwrap(), UNTIDY);
}

#[test]
fn fmt_says_as_json_what_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), "m.ir", UNTIDY);
    let value = object(&run(&["--json", "fmt", path.to_str().unwrap()]));
    assert_eq!(value["changed"][0], path.to_str().unwrap());
    let value = object(&run(&["fmt", "--json", path.to_str().unwrap()]));
    assert_eq!(value["changed"].as_array().unwrap().len(), 0);
    let value = object(&run(&["fmt", "--json", dir.path().join("none.ir").to_str().unwrap()]));
    assert_eq!(value["diagnostics"][0]["code"], "P0102");
}

#[test]
fn every_code_has_its_page() {
    let list = out(&run(&["explain"]));
    assert_eq!(list.lines().count(), Code::ALL.len());
    for code in Code::ALL {
        assert!(list.contains(&format!("{code}  {}", code.title())));
        let output = run(&["explain", code.as_str()]);
        assert_eq!(exit(&output), 0, "{code}: {}", err(&output));
        let text = out(&output);
        assert!(text.starts_with(&format!("# {code}: {}", code.title())), "{text}");
        assert!(text.lines().count() > 2, "{code} is hardly explained:\n{text}");
        let value = object(&run(&["explain", "--json", &code.as_str().to_lowercase()]));
        assert_eq!(
            (value["code"].as_str(), value["page"].as_str()),
            (Some(code.as_str()), Some(&*text))
        );
    }
}

#[test]
fn a_code_that_does_not_exist_is_status_2() {
    let output = run(&["explain", "P9999"]);
    assert_eq!(exit(&output), 2);
    assert!(err(&output).contains("P9999") && err(&output).contains("help:"), "{}", err(&output));
}
