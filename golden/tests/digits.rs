//! The committed digit classifiers on their 500 test images: every result is the one that numpy
//! computed (`examples/digits/evaluate.py`), and enough of them are right.

use pimc_ir::{load, read_batch, BatchFile, VecTy, I8};
use std::path::PathBuf;

fn check(name: &str, least_accuracy: f64) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/digits");
    let model = load(&folder.join(format!("{name}.ir"))).unwrap_or_else(|d| panic!("{d:?}"));
    let func = &model.module.func;
    let test = BatchFile::open(&folder.join("test.safetensors")).unwrap();
    let images = test.read_inputs(func).unwrap().remove(0);
    let labels = test.read("labels", VecTy { elem: I8, len: 1 }).unwrap();
    let expected = read_batch(&folder.join("expected.safetensors"), name, func.result_ty).unwrap();
    assert_eq!([images.len(), labels.len(), expected.len()], [500; 3]);
    let mut right = 0;
    for (i, image) in images.into_iter().enumerate() {
        let trace = pimc_golden::run(&model, &[image]).unwrap();
        assert_eq!(trace.result(), expected[i], "{name}, image {i}");
        right += usize::from(pimc_golden::vector::argmax(trace.result()) == labels[i][0].into());
    }
    let accuracy = right as f64 / labels.len() as f64;
    assert!(accuracy >= least_accuracy, "{name}: {right} of {} are right", labels.len());
}

#[test]
fn the_mixed_network_gives_what_numpy_gives() {
    check("digits", 0.97);
}

#[test]
fn the_supermask_network_gives_what_numpy_gives() {
    check("supermask", 0.97);
}
