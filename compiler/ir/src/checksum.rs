//! Checksums as every file of the tools writes them: SHA-256 in hexadecimal.

use sha2::{Digest, Sha256};

/// SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as hexadecimal digits, the first byte first.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_text_has_its_known_checksum() {
        assert!(sha256(b"").starts_with("e3b0c442") && sha256(b"").len() == 64);
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
