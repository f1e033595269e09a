//! What the tests share.

use safetensors::tensor::TensorView;
use safetensors::Dtype;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

/// `pimc` with these arguments.
pub fn pimc<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("pimc"));
    command.args(args).env_remove("PIMC_VERILATOR");
    command
}

/// What `pimc` with these arguments does.
pub fn run<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Output {
    pimc(args).output().unwrap()
}

/// Standard output.
pub fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Standard error.
pub fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Exit status.
pub fn exit(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// The object on standard output: exactly one, of the format's version, and with the exit status
/// that the process had.
pub fn object(output: &Output) -> Value {
    let text = out(output);
    let value: Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in: {text}\n{}", err(output)));
    assert_eq!(value["format_version"], 1, "{text}");
    assert_eq!(value["exit"], exit(output), "{text}");
    value
}

/// Writes a file of a test's folder.
pub fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// The example model.
pub fn digits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/digits/digits.ir")
}

/// Every file below a folder: its path there and its bytes.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            out.extend(files(&path).into_iter().map(|(n, b)| (format!("{name}/{n}"), b)));
        } else {
            out.insert(name, std::fs::read(&path).unwrap());
        }
    }
    out
}

/// Writes a model of one matrix and a bias, and its tensors: [1 2 3 -1; 0 7 -8 1] x + [1, -1].
pub fn small_model(folder: &Path) -> PathBuf {
    let q: Vec<u8> = [1i8, 2, 3, -1, 0, 7, -8, 1].iter().map(|v| *v as u8).collect();
    let b: Vec<u8> = [1i32, -1].iter().flat_map(|v| v.to_le_bytes()).collect();
    let tensors = [
        ("w.q", TensorView::new(Dtype::I8, vec![2, 4], &q).unwrap()),
        ("b", TensorView::new(Dtype::I32, vec![2], &b).unwrap()),
    ];
    write(folder, "small.safetensors", safetensors::serialize(tensors, None).unwrap());
    write(
        folder,
        "small.ir",
        "pimc 1
target \"hbm3-pim\"
weight @w : int<2x4, bits=4> from \"small.safetensors\"
param @b : i32<2> from \"small.safetensors\"
func @main(%x: i8<4>) -> i32<2> {
  %y = matvec @w, %x : i32<2>
  %z = add %y, @b : i32<2>
  return %z
}
",
    )
}
