//! Real weights in, quantized weights of the language out.
//!
//! [`quantize`] follows a recipe (`docs/recipe.md` beside this crate): it reads float tensors from a
//! safetensors file, measures activation scales on calibration data with the float network, turns
//! each matrix into its format, and gives the text of a module with one tensor file. Everything is
//! deterministic: the same files give the same bytes, on any number of threads.
//!
//! The formats are modules of their own: [`pq`] (k-means), [`bqq`] (annealed mean field), [`int`]
//! (uniform), [`supermask`] (import).

pub mod bqq;
pub mod cache;
mod calibrate;
pub mod change;
mod emit;
mod evaluate;
mod forward;
mod gemm;
pub mod int;
mod kept;
mod layers;
mod linalg;
pub mod matrix;
mod network;
pub mod pq;
mod quantize;
pub mod random;
pub mod recipe;
mod report;
pub mod requant;
mod section;
mod series;
mod source;
pub mod supermask;
pub mod uniform;
mod wide;

pub use emit::METADATA_KEY;
pub use quantize::{quantize, Progress, Quantized, RecipeText, Request, Silent};
pub use report::{CacheReport, LayerReport, Origin, Report};
pub use section::{NumberOrString, Spot};
pub use series::Series;
