//! The golden model against numpy: every folder of `tests/vectors` holds a module, its tensors and
//! every value of its function, computed by `scripts/numpy/golden_vectors.py`, which shares no code
//! with this crate and works on dense matrices.

use pimc_golden::attention::CacheState;
use pimc_golden::State;
use pimc_ir::{
    cache_tensors, load, read_tensors, BatchFile, Cache, CacheId, CacheType, Side, ValueId, RESULT,
};
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
        let mut state = State::initial(&model);
        for b in 0..result.len() {
            let inputs: Vec<Vec<i64>> =
                expected[..func.inputs].iter().map(|e| e[b].clone()).collect();
            // Of a model with caches the vectors are steps; of another each is evaluated alone.
            let trace = match model.module.caches.is_empty() {
                true => pimc_golden::run(&model, &inputs),
                false => pimc_golden::run_step(&model, &mut state, &inputs),
            };
            let trace = trace.unwrap_or_else(|e| panic!("{case}: {e}"));
            for (i, value) in func.values.iter().enumerate() {
                let got = trace.value(ValueId(i));
                assert_eq!(got, expected[i][b], "{case}, vector {b}, %{}", value.name.text);
                let within = |(v, range): (&i64, &(i64, i64))| range.0 <= *v && *v <= range.1;
                let proven = got.iter().zip(model.range(ValueId(i))).all(within);
                assert!(proven, "{case}, vector {b}, %{} leaves its range", value.name.text);
                values += 1;
            }
            assert_eq!(trace.result(), result[b], "{case}, vector {b}, result");
        }
        for (i, cache) in model.module.caches.iter().enumerate() {
            held_as_stored(&folder, cache, state.cache(CacheId(i)), &case);
        }
        for op in &func.ops {
            // The name of the variant: every op must occur somewhere.
            let text = format!("{:?}", op.kind);
            ops.insert(text.split([' ', '{']).next().unwrap_or_default().to_string());
        }
    }
    let expected = [
        "Add", "Append", "Argmax", "Attend", "Cluster", "Concat", "Matvec", "Merge", "Relu",
        "Requant", "Slice", "Table",
    ];
    assert_eq!(ops.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(values > 500, "only {values} values were compared");
}

/// What a cache holds after the last step, against the tensors with which a cache of those contents
/// would begin.
fn held_as_stored(folder: &Path, cache: &Cache, held: &CacheState, case: &str) {
    let data = std::fs::read(folder.join("vectors.safetensors")).unwrap();
    let file = read_tensors(&data).unwrap();
    let after = CacheType { start: held.tokens(), ..cache.ty };
    for spec in cache_tensors(&cache.name.text, &after) {
        let tensor = file.tensor(&spec.name).unwrap_or_else(|e| panic!("{case}: {e}"));
        assert_eq!(tensor.shape(), spec.shape, "{case}, {}", spec.name);
        let side = if spec.name.contains(".key") { Side::Key } else { Side::Value };
        let bytes: Vec<u8> = match spec.name.rsplit('_').next().unwrap_or_default() {
            "codebook" => held.codebook(side).iter().map(|&x| x as u8).collect(),
            "codes" if cache.ty.k > 256 => {
                held.codes(side).iter().flat_map(|c| c.to_le_bytes()).collect()
            }
            "codes" => held.codes(side).iter().map(|&c| c as u8).collect(),
            _ => {
                let tokens = (0..held.tokens()).filter_map(|p| held.exact(p));
                tokens.flat_map(|t| t.side(side).iter().map(|&x| x as u8)).collect()
            }
        };
        assert!(bytes == tensor.data(), "{case}, {} differs after the last step", spec.name);
    }
}
