//! Attention on a product-quantized key/value cache.
//!
//! A cache is what a model remembers from step to step ([`cache`]): the tokens so far, each with a key
//! and a value for every key/value head, most of them as codes. [`append`] adds tokens, [`attend`] is
//! softmax attention over them in integers ([`numbers`]), [`merge`] puts two attentions over different
//! tokens together, and [`cluster`] fills a cache anew with codebooks of its own.
//!
//! What keeps the arithmetic exact: keys, values and queries are bytes, and a cache has at most 2^20
//! tokens of heads of at most 2^20 elements. So a score is below 2^35, a score times `mul` below 2^51,
//! a sum of weights at most 2^35 and one of weighted values below 2^43: all of it fits 64 bits.

pub mod cache;
pub mod cluster;
pub mod encode;
pub mod merge;
pub mod numbers;

mod attend;

pub use attend::{attend, Softmax};
pub use cache::{CacheState, Token};
pub use cluster::cluster;
pub use merge::merge;
