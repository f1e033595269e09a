//! The golden model against numpy: every folder of `tests/vectors` holds a module, its tensors and
//! every value of its function, computed by `scripts/numpy/golden_vectors.py`, which shares no code
//! with this crate and works on dense matrices.

use pimc_ir::{load, BatchFile, ValueId, RESULT};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folders() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
fn every_value_is_the_one_numpy_computes() {
    let (mut values, mut ops) = (0, BTreeSet::new());
    for folder in folders() {
        let case = folder.file_name().unwrap().to_string_lossy().into_owned();
        let model = load(&folder.join("model.ir")).unwrap_or_else(|d| panic!("{case}: {d:?}"));
        let func = &model.module.func;
        let file = BatchFile::open(&folder.join("vectors.safetensors")).unwrap();
        let expected: Vec<_> =
            func.values.iter().map(|v| file.read(&v.name.text, v.ty).unwrap()).collect();
        let result = file.read(RESULT, func.result_ty).unwrap();
        assert!(!result.is_empty(), "{case} has no vectors");
        for b in 0..result.len() {
            let inputs: Vec<Vec<i64>> =
                expected[..func.inputs].iter().map(|e| e[b].clone()).collect();
            let trace = pimc_golden::run(&model, &inputs).unwrap_or_else(|e| panic!("{case}: {e}"));
            for (i, value) in func.values.iter().enumerate() {
                let got = trace.value(ValueId(i));
                assert_eq!(got, expected[i][b], "{case}, vector {b}, %{}", value.name.text);
                values += 1;
            }
            assert_eq!(trace.result(), result[b], "{case}, vector {b}, result");
        }
        for op in &func.ops {
            // The name of the variant: every op must occur somewhere.
            let text = format!("{:?}", op.kind);
            ops.insert(text.split([' ', '{']).next().unwrap_or_default().to_string());
        }
    }
    let expected = ["Add", "Argmax", "Concat", "Matvec", "Relu", "Requant", "Slice", "Table"];
    assert_eq!(ops.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(values > 500, "only {values} values were compared");
}
