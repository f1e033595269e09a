//! Real weights in, quantized weights of the language out.

pub mod bqq;
pub mod int;
pub mod matrix;
pub mod pq;
pub mod uniform;
mod linalg;
pub mod random;
