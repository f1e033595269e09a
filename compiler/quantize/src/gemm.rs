//! Dense f32 products of small matrices.

/// A row-major matrix as the product routine sees it, possibly transposed.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: isize,
    col_stride: isize,
}

/// `data` as `rows` x `cols`, row major.
pub fn plain(data: &[f32], rows: usize, cols: usize) -> Operand<'_> {
    assert_eq!(data.len(), rows * cols);
    Operand { data, rows, cols, row_stride: cols as isize, col_stride: 1 }
}

/// The transpose of `data`, which is `rows` x `cols`, row major.
pub fn transposed(data: &[f32], rows: usize, cols: usize) -> Operand<'_> {
    assert_eq!(data.len(), rows * cols);
    Operand { data, rows: cols, cols: rows, row_stride: 1, col_stride: cols as isize }
}

/// out = alpha * a * b, with `out` row major.
pub fn product(alpha: f32, a: Operand<'_>, b: Operand<'_>, out: &mut [f32]) {
    assert_eq!(a.cols, b.rows);
    assert_eq!(out.len(), a.rows * b.cols);
    // SAFETY: the constructors checked that each slice holds rows * cols elements, and the strides
    // are those of that layout, so every access stays inside its slice; `out` is borrowed uniquely.
    unsafe {
        matrixmultiply::sgemm(
            a.rows,
            a.cols,
            b.cols,
            alpha,
            a.data.as_ptr(),
            a.row_stride,
            a.col_stride,
            b.data.as_ptr(),
            b.row_stride,
            b.col_stride,
            0.0,
            out.as_mut_ptr(),
            b.cols as isize,
            1,
        );
    }
}
