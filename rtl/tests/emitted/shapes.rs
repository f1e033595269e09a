//! Shapes that between them ask for every variant of every unit.

use pimc_rtl::shape::{BankShape, GatedShape, LookupShape, MacShape};
use pimc_rtl::testing;

/// A lookup unit as wide as a beat allows.
pub fn lookup(k: u32, sub: u32, blocks: u32) -> LookupShape {
    testing::lookup(k, sub, blocks, (17, 21))
}

/// A gated sum of int8 inputs.
pub fn gated(signs: Option<u32>, coats: Option<u32>) -> GatedShape {
    let groups = 4;
    GatedShape { planes: 8, groups, acc_bits: 17, column_signs: signs, generated_signs: coats }
}

fn bank(lookups: Vec<LookupShape>, gated: Option<GatedShape>, mac: Option<u32>) -> BankShape {
    let words = lookups.iter().map(|l| l.blocks * l.chunks()).max().unwrap_or(0);
    BankShape {
        byte_words: words.max(if mac.is_some() { 8 } else { 0 }),
        lookups,
        gated,
        mac: mac.map(|acc_bits| MacShape { acc_bits }),
        result_bits: 21,
        result_depth: 24,
    }
}

/// Banks, each with a name.
pub fn banks() -> Vec<(&'static str, BankShape)> {
    let one = |k, sub, blocks| vec![lookup(k, sub, blocks)];
    let narrow = BankShape { result_bits: 1, result_depth: 1, ..bank(vec![], None, Some(1)) };
    let few_ones = BankShape {
        gated: Some(GatedShape { acc_bits: 3, groups: 1, planes: 1, ..gated(Some(2), None) }),
        result_bits: 3,
        ..bank(vec![], None, None)
    };
    vec![
        (
            "all",
            bank(
                vec![lookup(16, 2, 2), lookup(512, 1, 3)],
                Some(gated(Some(9), Some(3))),
                Some(20),
            ),
        ),
        ("digits", bank(one(16, 2, 2), Some(gated(Some(9), Some(1))), None)),
        ("k2_sub1", bank(one(2, 1, 2), None, None)),
        ("k2_sub8", bank(one(2, 8, 1), None, None)),
        ("k512_sub8", bank(one(512, 8, 1), None, None)),
        ("k512_sub1", bank(one(512, 1, 1), None, None)),
        ("k5_sub3", bank(one(5, 3, 4), None, Some(24))),
        ("signs", bank(vec![], Some(gated(Some(9), None)), None)),
        ("signs_without_ones", bank(vec![], Some(gated(Some(0), None)), None)),
        ("few_ones", few_ones),
        ("mask", bank(vec![], Some(gated(None, Some(1))), None)),
        ("mask_15_coats", bank(vec![], Some(gated(None, Some(15))), None)),
        ("mac", bank(vec![], None, Some(21))),
        ("narrow_mac", narrow),
        ("nothing", bank(vec![], None, None)),
    ]
}
