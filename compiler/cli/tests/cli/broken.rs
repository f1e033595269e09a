//! Broken inputs, end to end: each gives a message with its code and place and exit status 2, and
//! leaves nothing behind.

use crate::common::{err, exit, object, out, run, write};
use safetensors::tensor::TensorView;
use safetensors::Dtype;
use std::path::Path;

/// A model that is right, and its tensors: what the cases break.
const MODEL: &str = "pimc 1
target \"hbm3-pim\"
weight @w : int<2x4, bits=4> from \"w.safetensors\"
weight @m : supermask<2x4, coats=2, seed=7> from \"m.safetensors\"
weight @p : pq<2x4, sub=2, k=3> from \"p.safetensors\"
param @b : i32<2> from \"w.safetensors\"
func @main(%x: i8<4>) -> i32<2> {
  %y = matvec @w, %x : i32<2>
  %m = matvec @m, %x : i32<2>
  %p = matvec @p, %x : i32<2>
  %z = add %y, @b : i32<2>
  %s = add %z, %m : i32<2>
  %t = add %s, %p : i32<2>
  %q = requant %t, mul=3, shift=4 : i8<2>
  %r = slice %q, start=0, len=1 : i8<1>
  %c = concat %r, %r : i8<2>
  %o = add %t, %c : i32<2>
  return %o
}
";

type Tensor<'a> = (&'a str, Dtype, &'a [usize], &'a [u8]);

fn tensors(list: &[Tensor]) -> Vec<u8> {
    let views = list.iter().map(|(name, dtype, shape, bytes)| {
        (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap())
    });
    safetensors::serialize(views, None).unwrap()
}

const Q: Tensor = ("w.q", Dtype::I8, &[2, 4], &[1, 2, 3, 0xff, 0, 7, 0xf8, 1]);
const B: Tensor = ("b", Dtype::I32, &[2], &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
const MASK: Tensor = ("m.mask", Dtype::U8, &[2, 2, 1], &[0b1111, 0b0110, 0b0101, 0b0010]);
const CODES: Tensor = ("p.codes", Dtype::U8, &[2, 2], &[0, 1, 2, 0]);
const BOOK: Tensor =
    ("p.codebook", Dtype::I8, &[2, 3, 2], &[1, 2, 3, 4, 5, 6, 0x80, 0x7f, 9, 10, 11, 12]);

/// Writes the right model and its tensors.
fn write_right(folder: &Path) {
    write(folder, "m.ir", MODEL);
    write(folder, "w.safetensors", tensors(&[Q, B]));
    write(folder, "m.safetensors", tensors(&[MASK]));
    write(folder, "p.safetensors", tensors(&[CODES, BOOK]));
}

fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<String> = folder
        .read_dir()
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    all.sort();
    all
}

/// Compiles what lies in `folder` and checks the whole promise for one broken input. `place` is
/// what the message must point at.
fn refused(case: &str, folder: &Path, code: &str, place: &str) {
    let before = names(folder);
    let model = folder.join("m.ir");
    let target = folder.join("out");
    let args = ["compile", model.to_str().unwrap(), "-o", target.to_str().unwrap()];

    let output = run(&args);
    let said = err(&output);
    assert_eq!(exit(&output), 2, "{case}: {said}");
    assert!(said.contains(&format!("[{code}]")), "{case}: no {code} in\n{said}");
    assert!(said.chars().all(|c| c == '\n' || !c.is_control()), "{case}: {said:?}");
    assert!(said.contains(place), "{case}: no `{place}` in\n{said}");
    assert!(!said.contains("panicked") && !said.contains("bug in pimc"), "{case}: {said}");
    assert!(said.len() < 20_000, "{case}: {} bytes of message", said.len());
    assert_eq!(out(&output), "", "{case}");
    assert_eq!(names(folder), before, "{case}: something was left");

    let output = run(&[&args[..], &["--json"]].concat());
    let value = object(&output);
    assert_eq!(value["status"], "bad_input", "{case}");
    let list = value["diagnostics"].as_array().unwrap();
    let found =
        list.iter().find(|d| d["code"] == code).unwrap_or_else(|| panic!("{case}: {value}"));
    for key in ["message", "help", "severity", "file"] {
        assert!(found[key].as_str().is_some_and(|t| !t.is_empty()), "{case}: no {key}: {found}");
    }
    assert_eq!(names(folder), before, "{case}: something was left");
}

#[test]
fn the_right_model_compiles() {
    let dir = tempfile::tempdir().unwrap();
    write_right(dir.path());
    let target = dir.path().join("out");
    let model = dir.path().join("m.ir");
    let output = run(&["compile", model.to_str().unwrap(), "-o", target.to_str().unwrap()]);
    assert_eq!(exit(&output), 0, "{}", err(&output));
    assert!(target.join("rtl/pimc.f").is_file() && target.join("manifest.json").is_file());
    assert_eq!(names(dir.path()).len(), 5);
}

/// Texts: name, what is replaced by what in the right model, code, place.
const TEXTS: &[(&str, &str, &str, &str, &str)] = &[
    ("no version", "pimc 1\n", "", "P0104", "m.ir:1:1"),
    ("a version to come", "pimc 1\n", "pimc 2\n", "P0104", "m.ir:1:"),
    ("cut off", "  return %o\n}\n", "", "P0113", "m.ir:"),
    (
        "cut off in a line",
        " %o = add %t, %c : i32<2>\n  return %o\n}\n",
        " %o = ad",
        "P0105",
        "m.ir:17:",
    ),
    ("no target", "target \"hbm3-pim\"\n", "", "P0113", "m.ir:"),
    ("unknown statement", "param @b", "paran @b", "P0106", "m.ir:6:1"),
    ("unknown op", "matvec @w", "matmul @w", "P0107", "m.ir:8:8"),
    ("unknown weight type", "int<2x4", "float<2x4", "P0108", "m.ir:3:13"),
    ("unknown attribute", "bits=4", "bitz=4", "P0109", "m.ir:3:"),
    ("missing attribute", ", k=3", "", "P0109", "m.ir:5:"),
    ("doubled attribute", "coats=2", "coats=2, coats=2", "P0109", "m.ir:4:"),
    ("a number beyond 64 bits", "mul=3", "mul=99999999999999999999999", "P0110", "m.ir:14:"),
    ("missing operand", "add %y, @b", "add %y", "P0111", "m.ir:11:"),
    ("doubled target", "param @b", "target \"hbm3-pim\"\nparam @b", "P0112", "m.ir:6:"),
    ("unclosed string", "\"hbm3-pim\"", "\"hbm3-pim", "P0105", "m.ir:2:"),
    ("a control character", "@b :", "@b \u{1} :", "P0105", "m.ir:6:"),
    ("doubled weight", "weight @m", "weight @w", "P0201", "m.ir:4:"),
    ("doubled value", "%m = matvec", "%y = matvec", "P0201", "m.ir:9:"),
    ("unknown weight", "matvec @w", "matvec @v", "P0202", "m.ir:8:"),
    ("unknown value", "return %o", "return %u", "P0202", "m.ir:18:"),
    ("a value from below", "add %y, @b", "add %t, @b", "P0203", "m.ir:11:"),
    ("a value of itself", "add %t, %c", "add %o, %c", "P0203", "m.ir:17:"),
    ("a param as weight", "matvec @w", "matvec @b", "P0204", "m.ir:8:"),
    ("a weight as param", "add %y, @b", "add %y, @w", "P0204", "m.ir:11:"),
    ("no rows", "int<2x4", "int<0x4", "P0301", "m.ir:3:"),
    ("a matrix of 2^60 rows", "int<2x4", "int<1152921504606846976x4", "P0301", "m.ir:3:"),
    ("a sub-vector that does not divide", "sub=2", "sub=3", "P0302", "m.ir:5:"),
    ("no coats", "coats=2", "coats=0", "P0301", "m.ir:4:"),
    ("an input of the wrong length", "%x: i8<4>", "%x: i8<5>", "P0303", "m.ir:8:"),
    (
        "a result of the wrong length",
        "%y = matvec @w, %x : i32<2>",
        "%y = matvec @w, %x : i32<3>",
        "P0303",
        "m.ir:8:",
    ),
    ("a type that is too wide", "i32<2> from", "i65<2> from", "P0110", "m.ir:6:"),
    (
        "a result that does not fit",
        "%y = matvec @w, %x : i32<2>",
        "%y = matvec @w, %x : i4<2>",
        "P0305",
        "m.ir:8:",
    ),
    ("a shift of 63", "shift=4", "shift=63", "P0306", "m.ir:14:"),
    ("a slice past the end", "start=0, len=1", "start=2, len=1", "P0307", "m.ir:15:"),
    ("another type returned", "-> i32<2> {", "-> i31<2> {", "P0308", "m.ir:"),
    (
        "a tensor file that is not there",
        "\"m.safetensors\"",
        "\"none.safetensors\"",
        "P0401",
        "m.ir:4:",
    ),
    ("a folder as tensor file", "\"m.safetensors\"", "\".\"", "P0401", "m.ir:4:"),
    ("a model as tensor file", "\"m.safetensors\"", "\"m.ir\"", "P0402", "m.ir:4:"),
    ("an unknown target", "hbm3-pim", "hbm9-pim", "P0604", "m.ir:2:"),
    ("a target file that is not there", "hbm3-pim", "none.toml", "P0604", "m.ir:2:"),
    ("a target file that is not TOML", "hbm3-pim", "m.ir.toml", "P0601", "m.ir.toml:"),
    ("a folder as target", "hbm3-pim", ".", "P0604", "m.ir:2:"),
    ("a device as target", "hbm3-pim", "/dev/zero", "P0604", "m.ir:2:"),
    ("a byte order mark", "pimc 1\n", "\u{feff}pimc 1\n", "P0106", "m.ir:1:1"),
    ("no version number", "pimc 1\n", "pimc\n", "P0105", "m.ir:1:5"),
    ("a letter beyond ASCII", "%y = matvec", "%é = matvec", "P0105", "m.ir:8:"),
    ("a letter that looks like another", "matvec @w", "m\u{430}tvec @w", "P0105", "m.ir:8:"),
    ("three sides", "int<2x4", "int<2x4x4", "P0105", "m.ir:3:"),
    (
        "2^60 bytes of tensor",
        "pq<2x4, sub=2, k=3>",
        "pq<1048576x1048576, sub=1, k=65536>",
        "P0404",
        "m.ir:5:",
    ),
    ("centroids that need u16", "k=3", "k=257", "P0404", "m.ir:5:"),
    ("more centroids than u16", "k=3", "k=65537", "P0302", "m.ir:5:"),
    ("more frozen than all", "seed=7", "seed=7, pruned=200, locked=57", "P0302", "m.ir:4:"),
    ("a sum that wraps", "seed=7", "seed=7, pruned=4294967295, locked=2", "P0302", "m.ir:4:"),
    ("a seed of 33 bits", "seed=7", "seed=0x100000000", "P0110", "m.ir:4:"),
    ("a group without scales", "bits=4", "bits=4, group=2", "P0403", "m.ir:3:"),
    ("a mul of 33 bits", "mul=3", "mul=-2147483649", "P0306", "m.ir:14:"),
    ("a shift below 0", "shift=4", "shift=-1", "P0306", "m.ir:14:"),
    ("concat of two types", "concat %r, %r", "concat %r, %t", "P0304", "m.ir:16:"),
    ("concat of nothing", "concat %r, %r", "concat", "P0105", "m.ir:16:"),
    (
        "a function in a function",
        "  %y =",
        "func @main(%x: i8<4>) -> i8<4> {\n  %y =",
        "P0112",
        "m.ir:8:",
    ),
    ("the input returned", "return %o", "return %x", "P0308", "m.ir:18:"),
    ("a device as tensor file", "\"m.safetensors\"", "\"/dev/zero\"", "P0401", "m.ir:4:"),
    ("no name of a tensor file", "\"m.safetensors\"", "\"\"", "P0401", "m.ir:4:"),
];

/// Headers of `w.safetensors` that lie: name, what is replaced by what in the right one, code.
const HEADERS: &[(&str, &str, &str, &str)] = &[
    ("overlap", "[8,16]", "[4,12]", "P0402"),
    ("one place for two", "[8,16]", "[0,8]", "P0402"),
    ("a gap", "[0,8]", "[0,7]", "P0402"),
    ("backwards", "[0,8]", "[8,0]", "P0402"),
    ("beyond the end", "[8,16]", "[8,80]", "P0402"),
    ("offsets of 2^64", "[0,8]", "[0,18446744073709551615]", "P0402"),
    ("offsets below 0", "[0,8]", "[-8,0]", "P0402"),
    ("three offsets", "[0,8]", "[0,8,8]", "P0402"),
    ("not a number", "[0,8]", "[NaN,8]", "P0402"),
    ("2^65 bytes", "[2,4]", "[9223372036854775807,4]", "P0402"),
    ("a product that wraps to 8", "[2,4]", "[2305843009213693953,8]", "P0402"),
    ("sides below 0", "[2,4]", "[-2,-4]", "P0402"),
    ("a side that is no whole number", "[2,4]", "[2.0,4]", "P0402"),
    ("no sides", "[2,4]", "[]", "P0402"),
    ("a side of 0", "[2,4]", "[2,4,0]", "P0402"),
    ("a side too many", "[2,4]", "[2,4,1]", "P0405"),
    ("a dtype in small letters", "\"I8\"", "\"i8\"", "P0402"),
    ("no dtype", "\"I8\"", "null", "P0402"),
    ("a dtype of as many bytes", "\"I8\"", "\"F8_E4M3\"", "P0404"),
    ("bools", "\"I8\"", "\"BOOL\"", "P0404"),
    ("a name twice", "\"b\":", "\"w.q\":", "P0402"),
    (
        "an entry twice",
        "{\"w.q\"",
        "{\"b\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[8,16]},\"w.q\"",
        "P0402",
    ),
    ("a field twice", "\"dtype\":\"I8\"", "\"dtype\":\"I8\",\"dtype\":\"I8\"", "P0402"),
    ("a field missing", "\"shape\":[2,4],", "", "P0402"),
    ("metadata that is no text", "{\"w.q\"", "{\"__metadata__\":{\"a\":1},\"w.q\"", "P0402"),
    ("half a surrogate", "w.q", "\\ud800", "P0402"),
    ("a name that steers the terminal", "w.q", "\\u001b[31mw", "P0403"),
    ("a list", "{\"w.q\"", "[\"w.q\"", "P0402"),
    ("something after it", "[8,16]}}", "[8,16]}} {}", "P0402"),
];

#[test]
fn broken_texts_are_refused() {
    for (case, old, new, code, place) in TEXTS {
        let dir = tempfile::tempdir().unwrap();
        write_right(dir.path());
        write(dir.path(), "m.ir.toml", MODEL);
        assert!(MODEL.contains(old), "{case}: nothing to replace");
        write(dir.path(), "m.ir", MODEL.replacen(old, new, 1));
        refused(case, dir.path(), code, place);
    }
}

#[test]
fn several_mistakes_are_reported_in_one_run() {
    let dir = tempfile::tempdir().unwrap();
    write_right(dir.path());
    let text = MODEL
        .replace("matvec @w", "matmul @w")
        .replace("bits=4", "bitz=4")
        .replace("%c = concat", "%c = append");
    write(dir.path(), "m.ir", text);
    refused("three mistakes", dir.path(), "P0107", "m.ir:8:8");
    refused("three mistakes", dir.path(), "P0109", "m.ir:3:");
    refused("three mistakes", dir.path(), "P0107", "m.ir:16:8");
}

/// Files that are not even text of the right kind.
#[test]
fn broken_files_are_refused() {
    // Not random in the sense of a seed: a fixed stretch of a generator, so that it is reproducible.
    let mut state = 1u64;
    let garbage: Vec<u8> = (0..10 << 20)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 56) as u8
        })
        .collect();
    let letters: Vec<u8> = garbage.iter().map(|b| b'a' + b % 26).collect();
    let lines: Vec<u8> =
        garbage.iter().map(|b| if b % 16 == 0 { b'\n' } else { b' ' + b % 95 }).collect();
    let mut not_utf8 = MODEL.as_bytes().to_vec();
    not_utf8[100] = 0xff;
    let cases: [(&str, &[u8], &str, &str); 7] = [
        ("empty", b"", "P0113", "m.ir:1:1"),
        ("10 MB of garbage", &garbage, "P0101", "m.ir:"),
        ("10 MB of letters in one line", &letters, "P0103", "m.ir:1:"),
        ("10 MB of lines", &lines, "P0106", "m.ir:1:"),
        ("not UTF-8", &not_utf8, "P0101", "m.ir:"),
        ("zeros", &[0; 1000], "P0106", "m.ir:1:"),
        ("a tensor file", &tensors(&[Q]), "P0101", "m.ir:1:"),
    ];
    for (case, bytes, code, place) in cases {
        let dir = tempfile::tempdir().unwrap();
        write_right(dir.path());
        write(dir.path(), "m.ir", bytes);
        refused(case, dir.path(), code, place);
    }

    let dir = tempfile::tempdir().unwrap();
    refused("no file", dir.path(), "P0102", "m.ir");
    std::fs::create_dir(dir.path().join("m.ir")).unwrap();
    refused("a folder", dir.path(), "P0102", "m.ir");
}

/// A tensor file with this header and 16 bytes of data.
fn with_header(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes(), &[0; 16]].concat()
}

#[test]
fn headers_that_lie_are_refused() {
    let right = "{\"w.q\":{\"dtype\":\"I8\",\"shape\":[2,4],\"data_offsets\":[0,8]},\
         \"b\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[8,16]}}";
    for (case, old, new, code) in HEADERS {
        let dir = tempfile::tempdir().unwrap();
        write_right(dir.path());
        assert!(right.contains(old), "{case}: nothing to replace");
        write(dir.path(), "w.safetensors", with_header(&right.replacen(old, new, 1)));
        refused(case, dir.path(), code, "m.ir:3:");
    }
}

#[test]
fn broken_tensors_are_refused() {
    let right = tensors(&[Q, B]);
    let header = u64::from_le_bytes(right[..8].try_into().unwrap()) as usize;
    let mut long_header = right.clone();
    long_header[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    let mut not_json = right.clone();
    not_json[8] = b'!';
    let mut more = right.clone();
    more.extend([0; 3]);
    let not_a_number: Vec<u8> = [f32::NAN; 8].iter().flat_map(|x| x.to_le_bytes()).collect();
    let nested = with_header(&"{\"a\":".repeat(100_000));
    let garbage = vec![0x5a; 10 << 20];
    let wide: Vec<u8> = [1, 2, 3, 4, 0, 7, 100, 1].to_vec();

    let w = |list: &[Tensor]| tensors(list);
    let cases: Vec<(&str, &str, Vec<u8>, &str, &str)> = vec![
        ("an empty file", "w", vec![], "P0402", "m.ir:3:"),
        ("7 bytes", "w", vec![1; 7], "P0402", "m.ir:3:"),
        ("cut off in the header", "w", right[..header / 2].to_vec(), "P0402", "m.ir:3:"),
        ("cut off in the data", "w", right[..right.len() - 1].to_vec(), "P0402", "m.ir:3:"),
        ("bytes after the end", "w", more, "P0402", "m.ir:3:"),
        ("a header of 2^64 bytes", "w", long_header, "P0402", "m.ir:3:"),
        ("a header that is not JSON", "w", not_json, "P0402", "m.ir:3:"),
        ("a header of 10^5 levels", "w", nested, "P0402", "m.ir:3:"),
        ("10 MB of garbage", "w", garbage, "P0402", "m.ir:3:"),
        ("no such tensor", "w", w(&[B]), "P0403", "m.ir:3:"),
        ("no such param", "w", w(&[Q]), "P0403", "m.ir:6:"),
        ("half of a weight", "p", w(&[CODES]), "P0403", "m.ir:5:"),
        ("another dtype", "w", w(&[("w.q", Dtype::U8, &[2, 4], Q.3), B]), "P0404", "m.ir:3:"),
        (
            "not a number",
            "w",
            w(&[("w.q", Dtype::F32, &[2, 4], &not_a_number), B]),
            "P0404",
            "m.ir:3:",
        ),
        (
            "a param of another dtype",
            "w",
            w(&[Q, ("b", Dtype::I16, &[2], &[0; 4])]),
            "P0404",
            "m.ir:6:",
        ),
        ("transposed", "w", w(&[("w.q", Dtype::I8, &[4, 2], Q.3), B]), "P0405", "m.ir:3:"),
        ("flat", "w", w(&[("w.q", Dtype::I8, &[8], Q.3), B]), "P0405", "m.ir:3:"),
        (
            "a param that is too long",
            "w",
            w(&[Q, ("b", Dtype::I32, &[3], &[0; 12])]),
            "P0405",
            "m.ir:6:",
        ),
        (
            "an element of more than 4 bits",
            "w",
            w(&[("w.q", Dtype::I8, &[2, 4], &wide), B]),
            "P0406",
            "m.ir:3:",
        ),
        (
            "a code that is no centroid",
            "p",
            w(&[("p.codes", Dtype::U8, &[2, 2], &[0, 1, 3, 0]), BOOK]),
            "P0406",
            "m.ir:5:",
        ),
        (
            "planes that are not nested",
            "m",
            w(&[("m.mask", Dtype::U8, &[2, 2, 1], &[1, 1, 2, 1])]),
            "P0407",
            "m.ir:4:",
        ),
    ];
    for (case, file, bytes, code, place) in cases {
        let dir = tempfile::tempdir().unwrap();
        write_right(dir.path());
        write(dir.path(), &format!("{file}.safetensors"), bytes);
        refused(case, dir.path(), code, place);
    }
}
