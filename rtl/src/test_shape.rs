//! A shape of binary quadratic blocks for tests that need just one.

use crate::shape::BlockShape;

/// Blocks of up to 256 t_k of `t_bits` each, over up to 256 inputs.
pub fn blocks(t_bits: u32) -> BlockShape {
    BlockShape {
        x_bits: 1,
        t_bits,
        inner: 256,
        x_beats: 4,
        x_sum_bits: 10,
        t_sum_bits: 20,
        constant_bits: 30,
        ones_factor_bits: 30,
        row_bits: 20,
        r_bits: 16,
        t_factor_bits: 16,
        s_bits: 17,
        u_bits: 32,
        result_bits: 40,
    }
}
