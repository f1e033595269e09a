//! A dense real matrix, and what the quantizers make of one.

use pimc_ir::WeightType;

/// A real matrix, row major: `rows` outputs by `cols` inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// `rows * cols` values.
    pub data: Vec<f32>,
}

impl Matrix {
    /// A row.
    pub fn row(&self, r: usize) -> &[f32] {
        &self.data[r * self.cols..][..self.cols]
    }
}

macro_rules! bytes_of {
    ($name:ident, $ty:ty) => {
        /// The elements as little-endian bytes.
        pub fn $name(values: &[$ty]) -> Vec<u8> {
            values.iter().flat_map(|v| v.to_le_bytes()).collect()
        }
    };
}
bytes_of!(bytes_of_i8, i8);
bytes_of!(bytes_of_i16, i16);
bytes_of!(bytes_of_u16, u16);
bytes_of!(bytes_of_i32, i32);

/// Rows of bits, each padded to a byte, least significant bit first.
pub fn pack_rows(bits: impl Iterator<Item = bool>, cols: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, bit) in bits.enumerate() {
        let col = at % cols;
        if col % 8 == 0 {
            out.push(0u8);
        }
        if let (true, Some(last)) = (bit, out.last_mut()) {
            *last |= 1 << (col % 8);
        }
    }
    out
}

/// A quantized matrix: W[r][c] is approximately `scale[r] * ints[r][c]`.
#[derive(Clone, Debug)]
pub struct QuantizedMatrix {
    /// Its type in the language.
    pub ty: WeightType,
    /// The bytes of its tensors, in the order, dtypes and shapes of [`pimc_ir::weight_tensors`].
    pub tensors: Vec<Vec<u8>>,
    /// Real value of one integer step of each row; all equal unless rows are scaled apart.
    pub scale: Vec<f64>,
    /// The integer matrix that `matvec` multiplies by, row major.
    pub ints: Vec<i64>,
    /// Stored bits, codebooks, scalars and scales included.
    pub bits: u64,
}

impl QuantizedMatrix {
    /// Whether every row has the same scale.
    pub fn one_scale(&self) -> bool {
        self.scale.windows(2).all(|w| w[0] == w[1])
    }

    /// The matrix in real numbers.
    pub fn dequantized(&self) -> Matrix {
        let (rows, cols) = (self.ty.rows(), self.ty.cols());
        let data = self.ints.iter().enumerate();
        let data = data.map(|(at, &q)| (self.scale[at / cols] * q as f64) as f32).collect();
        Matrix { rows, cols, data }
    }

    /// Squared error against `w`, divided by the squared sum of `w`'s deviations from its mean (the
    /// unit of the error tables), or of its values where all are equal; 0 if both are 0.
    pub fn relative_mse(&self, w: &Matrix) -> f64 {
        let constant = w.data.windows(2).all(|pair| pair[0] == pair[1]);
        let sum = || w.data.iter().map(|&v| f64::from(v)).sum::<f64>();
        let mean = if constant { 0.0 } else { sum() / w.data.len() as f64 };
        let (mut error, mut spread) = (0.0, 0.0);
        for (at, (&v, &q)) in w.data.iter().zip(&self.ints).enumerate() {
            let d = f64::from(v) - self.scale[at / w.cols] * q as f64;
            error += d * d;
            spread += (f64::from(v) - mean) * (f64::from(v) - mean);
        }
        if error == 0.0 {
            0.0
        } else {
            error / spread
        }
    }

    /// The exact interval of every row's product with inputs in `lo..=hi`, widened over the rows.
    pub fn product_range(&self, lo: i64, hi: i64) -> (i128, i128) {
        let (lo, hi) = (i128::from(lo), i128::from(hi));
        let mut range = (0i128, 0i128);
        for row in self.ints.chunks(self.ty.cols().max(1)) {
            let (mut low, mut high) = (0i128, 0i128);
            for &q in row {
                let (a, b) = (i128::from(q) * lo, i128::from(q) * hi);
                low += a.min(b);
                high += a.max(b);
            }
            range = (range.0.min(low), range.1.max(high));
        }
        range
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_packed_least_significant_first_and_rows_padded() {
        let bits = [true, false, false, true, false, false, false, false, true, false, true, true];
        assert_eq!(pack_rows(bits.into_iter(), 12), vec![0b0000_1001, 0b0000_1101]);
        assert_eq!(pack_rows([true, true, false, true].into_iter(), 2), vec![0b11, 0b10]);
    }

    #[test]
    fn the_error_is_over_the_variance_or_the_square_of_a_constant() {
        let of = |data: Vec<f32>, ints: Vec<i64>| {
            let w = Matrix { rows: 1, cols: data.len(), data };
            let ty = WeightType::Int { rows: 1, cols: w.cols, bits: 8, group: None };
            let q = QuantizedMatrix { ty, tensors: vec![], scale: vec![0.5], ints, bits: 0 };
            q.relative_mse(&w)
        };
        assert_eq!(of(vec![1.0, 3.0], vec![2, 4]), 0.5);
        assert_eq!(of(vec![4.0; 2], vec![8, 6]), 1.0 / 32.0);
        assert_eq!(of(vec![0.0; 2], vec![0, 0]), 0.0);
    }
}
