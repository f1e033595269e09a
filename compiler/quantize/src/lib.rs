//! Real weights in, quantized weights of the language out.

pub mod bqq;
mod gemm;
pub mod int;
pub mod matrix;
pub mod pq;
pub mod requant;
pub mod supermask;
pub mod uniform;
mod linalg;
pub mod random;
