//! Shapes that between them ask for every variant of every unit.

use pimc_rtl::isa::IsaShape;
use pimc_rtl::shape::{
    index_bits, BankShape, BufferShape, ChannelShape, GatedShape, LookupShape, MacShape,
};

/// A channel around a bank; what the bank does not look at is small.
pub fn channel(bank: BankShape) -> ChannelShape {
    ChannelShape {
        banks: 16,
        beats: 4,
        beat_bits: 64,
        read_latency: 5,
        dram_rows: 64,
        dram_cols: 32,
        refi: 1000,
        rfc: 100,
        isa: IsaShape {
            delay_bits: 8,
            row_bits: 6,
            col_bits: 5,
            count_bits: 8,
            mode_bits: 3,
            columns_bits: 8,
            beats_bits: 2,
            coats_bits: 2,
            key_bits: 32,
            block_bits: 0,
            addr_bits: 8,
            bank_bits: 0,
        },
        program_depth: 64,
        bank,
        buffer: BufferShape { word_bits: 32, depth: 64, ops: vec![], requant: None, mul_bits: 16 },
    }
}

/// A lookup unit as wide as a beat allows.
pub fn lookup(k: u32, sub: u32, blocks: u32) -> LookupShape {
    let code_bits = index_bits(k);
    let lanes = 64 / code_bits;
    let chunk = (1..=8 / sub).rev().find(|c| lanes % c == 0).unwrap_or(1);
    LookupShape { k, sub, code_bits, lanes, chunk, blocks, entry_bits: 17, acc_bits: 21 }
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
        blocks: None,
        mac: mac.map(|acc_bits| MacShape { acc_bits }),
        result_bits: 21,
    }
}

/// Banks, each with a name.
pub fn banks() -> Vec<(&'static str, BankShape)> {
    let one = |k, sub, blocks| vec![lookup(k, sub, blocks)];
    let narrow = BankShape { result_bits: 1, ..bank(vec![], None, Some(1)) };
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
