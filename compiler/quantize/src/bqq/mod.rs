//! Binary quadratic quantization of one block (arXiv 2510.18650).

pub mod anneal;
mod gemm;
pub mod scalars;
