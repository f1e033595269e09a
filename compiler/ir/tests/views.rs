//! Parts of weights: columns of a PQ matrix, and slices of the bases of a binary quadratic one.

use pimc_ir::generated::{self, Format};
use pimc_ir::{BqqView, Model, WeightId, WeightView};

fn model(format: Format, rows: usize, cols: usize) -> (tempfile::TempDir, Model) {
    let dir = tempfile::tempdir().unwrap();
    let text = generated::matvec("hbm3-pim", format, rows, cols);
    let (path, _) = generated::write(&text, dir.path()).unwrap();
    let model = pimc_ir::load(&path).unwrap_or_else(|d| panic!("{}", d.render(false)));
    (dir, model)
}

/// The weight of row `row` and column `col`: the sum over the bases of what they say of it, and u.
fn weight(v: &BqqView<'_>, row: usize, col: usize) -> i64 {
    let (br, a, bc, j) =
        (row / v.block_rows(), row % v.block_rows(), col / v.block_cols(), col % v.block_cols());
    let sign = |plus: bool| if plus { 1 } else { -1 };
    let basis = |i: usize| {
        let a = |k| sign(v.a(i, br, bc, a, k));
        let b = |k| sign(v.b(i, br, bc, k, j));
        let inner = 0..v.inner();
        v.r(i, br, bc) * inner.clone().map(|k| a(k) * b(k)).sum::<i64>()
            + v.s(i, br, bc) * inner.clone().map(a).sum::<i64>()
            + v.t(i, br, bc) * inner.map(b).sum::<i64>()
    };
    (0..v.bases()).map(basis).sum::<i64>() + v.u(br, bc)
}

#[test]
fn slices_of_bases_add_up_to_the_matrix() {
    let (_dir, model) = model(Format::Bqq { bases: 3, side: 64 }, 128, 64);
    let WeightView::Bqq(whole) = model.weight(WeightId(0)) else { panic!("not binary quadratic") };
    assert_eq!(whole.inner(), 32);
    for slices in [1, 2, 4] {
        let v = whole.sliced(slices).unwrap();
        assert_eq!((v.bases(), v.inner()), (3 * slices, 32 / slices));
        for (row, col) in [(0, 0), (5, 63), (127, 1), (64, 17)] {
            assert_eq!(weight(&v, row, col), weight(&whole, row, col), "{slices}: {row} {col}");
        }
        // Bytes and bits tell the same.
        for (i, k) in [(0, 0), (v.bases() - 1, v.inner() - 1), (slices, 1)] {
            let a = v.a_bytes(i, 1, 0, 9);
            assert_eq!(a.len(), v.inner() / 8);
            assert_eq!(a[k / 8] >> (k % 8) & 1 == 1, v.a(i, 1, 0, 9, k));
            assert_eq!(v.b_bytes(i, 1, 0, k)[2] >> 3 & 1 == 1, v.b(i, 1, 0, k, 19));
        }
    }
    // Not whole bytes of a row, not even, and twice.
    for slices in [0, 3, 8, 32] {
        assert!(whole.sliced(slices).is_none(), "{slices}");
    }
    assert!(whole.sliced(2).unwrap().sliced(2).is_none());
}

#[test]
fn columns_of_a_pq_matrix() {
    for k in [16, 300] {
        let (_dir, model) = model(Format::Pq { k, sub: 4 }, 5, 80);
        let WeightView::Pq(whole) = model.weight(WeightId(0)) else { panic!("not PQ") };
        let v = whole.columns(7, 9);
        assert_eq!((v.parts(), v.rows()), (9, 5));
        for (r, s) in [(0, 0), (4, 8), (2, 3)] {
            assert_eq!(v.code(r, s), whole.code(r, 7 + s));
            assert_eq!(v.centroid(s, 3, 1), whole.centroid(7 + s, 3, 1));
            assert_eq!(v.centroid_bytes(s, 3), whole.centroid_bytes(7 + s, 3));
            let bytes = v.code_bytes(r).map(|b| usize::from(b[s]));
            assert_eq!(bytes, (k == 16).then(|| v.code(r, s)));
        }
        // Of a part of a part, and past the end.
        let inner = v.columns(2, 100);
        assert_eq!((inner.parts(), inner.code(3, 1)), (7, whole.code(3, 10)));
        assert_eq!(whole.columns(30, 1).parts(), 0);
    }
}
