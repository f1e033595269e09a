//! Single files that the user named.

use crate::outcome::Failure;
use std::path::Path;

/// Writes all of them, or none of which a reader could see half.
pub fn replace(files: &[(&Path, &[u8])]) -> Result<(), Failure> {
    pimc_ir::files::replace(files).map_err(|(path, e)| Failure::unwritable(&path, e))
}
