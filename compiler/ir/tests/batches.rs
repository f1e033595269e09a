//! Batches of inputs and outputs: what is written is read, and what cannot be is explained.

use pimc_ir::batch::{encode, encode_batch};
use pimc_ir::{
    container, load, parse, read_batch, write_batch, Batch, BatchFile, Code, Dtype, IntTy, VecTy,
};
use proptest::prelude::*;
use std::sync::Arc;

fn ty(bits: u32, len: usize) -> VecTy {
    VecTy { elem: IntTy { bits }, len }
}

fn code<T>(result: Result<T, pimc_ir::Diagnostics>) -> Code {
    match result {
        Ok(_) => panic!("nothing is wrong"),
        Err(e) => {
            assert!(!e.list()[0].help.is_empty(), "{e}");
            e.list()[0].code
        }
    }
}

fn file(tensors: &[(&str, Dtype, &[usize], Vec<u8>)]) -> BatchFile {
    let tensors: Vec<_> =
        tensors.iter().map(|(n, d, s, b)| (n.to_string(), *d, s.to_vec(), b.clone())).collect();
    let bytes = encode(&tensors).unwrap_or_else(|e| panic!("{e}"));
    BatchFile::from_bytes(Arc::new(bytes), "in".to_string()).unwrap_or_else(|e| panic!("{e}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(bits in 1..65u32, len in 1..9usize, values in prop::collection::vec(any::<i64>(), 0..40)) {
        let rows: Batch = values.chunks_exact(len).map(|c| c.iter().map(|v| v >> (64 - bits)).collect()).collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("b.safetensors");
        write_batch(&path, &[("x", ty(bits, len), &rows), ("other", ty(8, 1), &[vec![-128]])]).unwrap_or_else(|e| panic!("{e}"));
        prop_assert_eq!(read_batch(&path, "x", ty(bits, len)).unwrap_or_else(|e| panic!("{e}")), rows);
        prop_assert_eq!(read_batch(&path, "other", ty(8, 1)).unwrap_or_else(|e| panic!("{e}")), vec![vec![-128]]);
    }

    #[test]
    fn containers_are_the_smallest(bits in 1..65u32) {
        let size = container(IntTy { bits }).bitsize();
        prop_assert!(size >= bits as usize && (size == 8 || size / 2 < bits as usize));
    }
}

#[test]
fn extremes_survive() {
    for bits in [1, 8, 9, 16, 17, 32, 33, 64] {
        let t = IntTy { bits };
        let rows = vec![vec![t.min(), t.max()]];
        let bytes = encode_batch(&[("x", ty(bits, 2), &rows)]).unwrap_or_else(|e| panic!("{e}"));
        let file = BatchFile::from_bytes(Arc::new(bytes), String::new());
        let file = file.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(file.read("x", ty(bits, 2)).unwrap_or_else(|e| panic!("{e}")), rows);
    }
}

#[test]
fn equal_batches_are_equal_bytes() {
    let make = || encode_batch(&[("b", ty(8, 1), &[vec![1]]), ("a", ty(20, 2), &[vec![2, 3]])]);
    assert_eq!(make().unwrap(), make().unwrap());
}

#[test]
fn mistakes_are_explained() {
    let f = file(&[
        ("x", Dtype::I8, &[2, 3], vec![1, 2, 3, 4, 5, 9]),
        ("flat", Dtype::I8, &[3], vec![1, 2, 3]),
        ("float", Dtype::F32, &[1, 1], vec![0, 0, 192, 127]),
    ]);
    assert_eq!(f.read("x", ty(8, 3)).unwrap(), vec![vec![1, 2, 3], vec![4, 5, 9]]);
    assert_eq!(code(f.read("y", ty(8, 3))), Code::P0403);
    assert_eq!(code(f.read("x", ty(9, 3))), Code::P0404);
    assert_eq!(code(f.read("float", ty(32, 1))), Code::P0404);
    assert_eq!(code(f.read("x", ty(8, 2))), Code::P0405);
    assert_eq!(code(f.read("flat", ty(8, 3))), Code::P0405);
    let e = f.read("x", ty(4, 3)).unwrap_err();
    assert_eq!(e.list()[0].message, "tensor `x`[1, 2] is 9, which is not an i4");
    assert_eq!(code(BatchFile::from_bytes(Arc::new(vec![1, 2, 3]), "in".into())), Code::P0402);
    assert_eq!(code(encode_batch(&[("x", ty(4, 1), &[vec![8]])])), Code::P0406);
    assert_eq!(code(encode_batch(&[("x", ty(4, 2), &[vec![1]])])), Code::P0405);
}

#[test]
fn inputs_of_a_function_agree() {
    let text =
        "pimc 1\ntarget \"t\"\nfunc @main(%x: i8<2>, %y: i8<1>) -> i8<2> {\n  return %x\n}\n";
    let func = parse(text).unwrap_or_else(|e| panic!("{e}")).func;
    let two = file(&[("x", Dtype::I8, &[2, 2], vec![0; 4]), ("y", Dtype::I8, &[2, 1], vec![7; 2])]);
    assert_eq!(two.read_inputs(&func).unwrap()[1], vec![vec![7], vec![7]]);
    let odd = file(&[("x", Dtype::I8, &[2, 2], vec![0; 4]), ("y", Dtype::I8, &[1, 1], vec![7])]);
    assert_eq!(code(odd.read_inputs(&func)), Code::P0405);
    let none = file(&[("x", Dtype::I8, &[0, 2], vec![]), ("y", Dtype::I8, &[0, 1], vec![])]);
    assert_eq!(code(none.read_inputs(&func)), Code::P0405);
}

#[test]
fn a_batch_is_no_module() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("b.safetensors");
    write_batch(&path, &[("x", ty(8, 2), &[vec![-1, -2]])]).unwrap_or_else(|e| panic!("{e}"));
    let e = load(&path).unwrap_err();
    assert!(matches!(e.list()[0].code, Code::P0101 | Code::P0106), "{e}");
}
