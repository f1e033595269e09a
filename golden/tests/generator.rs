//! Known values of the sign generator and the freeze bytes, worked out apart from the crate (with
//! arbitrary-precision integers reduced modulo 2^32).

use pimc_golden::freeze::{effective_coats, row_bytes};
use pimc_golden::sign::{mix32, row_is_negative, RowWords};

fn words(seed: u32, layer: u32, row: u32) -> Vec<u32> {
    RowWords::new(seed, layer, row).take(3).collect()
}

#[test]
fn mixing_has_its_known_values() {
    let known = [
        (0, 0),
        (1, 0x6889_90c0),
        (2, 0xd113_2181),
        (0x5eed, 0x247a_23f6),
        (u32::MAX, 0x6768_824a),
    ];
    for (v, expected) in known {
        assert_eq!(mix32(v), expected, "mix32({v:#x})");
    }
}

#[test]
fn words_have_their_known_values() {
    assert_eq!(words(0, 0, 0), [0x9040_76e9, 0x4d3e_2d47, 0x9a47_a88c]);
    assert_eq!(words(0x5eed, 0, 0), [0xd68f_1422, 0xb562_8ac7, 0x6379_039a]);
    assert_eq!(words(0x5eed, 2, 9), [0x2157_ca5c, 0xdb98_ec12, 0x0543_2cff]);
    assert_eq!(words(u32::MAX, 0x7fff_ffff, 65_535), [0x11b6_3870, 0x01b2_36ac, 0xab95_36ff]);
}

#[test]
fn a_starting_state_of_zero_is_replaced() {
    // This seed is mix32(0) ^ mix32(0x9E3779B9), so row 0 of layer 0 would start at 0.
    assert_eq!(words(0x01fc_e552, 0, 0), [0x40ae_c71f, 0x91e0_0c19, 0x9c0f_e128]);
}

#[test]
fn a_set_bit_is_a_minus_sign_and_the_lowest_bit_comes_first() {
    let signs: Vec<bool> = row_is_negative(0x5eed, 2, 9).take(40).collect();
    // Word 0 is 0x2157ca5c, word 1 ends in 0x12.
    let byte = |at: usize| (0..8).fold(0u32, |b, i| b | u32::from(signs[at + i]) << i);
    assert_eq!([0, 8, 16, 24, 32].map(byte), [0x5c, 0xca, 0x57, 0x21, 0x12]);
}

#[test]
fn freeze_bytes_come_from_the_layer_with_its_top_bit_flipped() {
    // Words 0x98a979e7 and 0x452d878d.
    let bytes: Vec<u8> = row_bytes(0x5eed, 2, 9).take(6).collect();
    assert_eq!(bytes, [0xe7, 0x79, 0xa9, 0x98, 0x8d, 0x87]);
}

#[test]
fn freezing_prunes_below_locks_above_and_leaves_the_rest() {
    let coats = |byte| effective_coats(byte, 100, 56, 3, 2);
    assert_eq!([0, 99, 100, 155, 156, 255].map(coats), [0, 0, 3, 3, 2, 2]);
    assert_eq!(effective_coats(255, 256, 0, 3, 2), 0);
    assert_eq!(effective_coats(255, 0, 256, 3, 0), 3);
    assert_eq!(effective_coats(0, 0, 0, 3, 1), 1);
}

#[test]
fn frozen_and_positive_fractions_are_as_asked() {
    // 64 rows of 1000 inputs: the standard deviation of a fraction is at most .002.
    let (mut frozen, mut negative) = (0, 0);
    for row in 0..64 {
        frozen += row_bytes(1, 0, row).take(1000).filter(|&u| u < 179).count();
        negative += row_is_negative(1, 0, row).take(1000).filter(|&s| s).count();
    }
    assert!((frozen as f64 / 64e3 - 179.0 / 256.0).abs() < 0.01, "{frozen}");
    assert!((negative as f64 / 64e3 - 0.5).abs() < 0.01, "{negative}");
}
