//! Shapes that between them ask for every variant of every unit.

use pimc_rtl::attention::AttentionShape;
use pimc_rtl::shape::{
    choice_bits, BankShape, BlockShape, ChannelShape, GatedShape, LookupShape, MacShape,
};
use pimc_rtl::testing::{self, channel, softmax};

/// A lookup unit as wide as a beat allows.
pub fn lookup(k: u32, sub: u32, blocks: u32) -> LookupShape {
    testing::lookup(k, sub, blocks, (17, 21))
}

/// A gated sum of int8 inputs.
pub fn gated(coats: Option<u32>) -> GatedShape {
    GatedShape { planes: 8, groups: 4, acc_bits: 24, generated_signs: coats }
}

/// Blocks of `inner` t_k over up to 256 such inputs.
pub fn blocks(inner: u32) -> BlockShape {
    BlockShape {
        x_bits: 8,
        t_bits: 17,
        inner,
        x_beats: 4,
        x_sum_bits: 16,
        t_sum_bits: 24,
        constant_bits: 40,
        ones_factor_bits: 33,
        row_bits: 24,
        r_bits: 16,
        t_factor_bits: 16,
        s_bits: 17,
        u_bits: 24,
        result_bits: 41,
    }
}

/// A bank of binary quadratic blocks, beside what `bank` has.
fn with_blocks(blocks: BlockShape, bank: BankShape) -> BankShape {
    let result_bits = bank.result_bits.max(blocks.result_bits);
    BankShape { blocks: Some(blocks), result_bits, ..bank }
}

fn bank(lookups: Vec<LookupShape>, gated: Option<GatedShape>, mac: Option<u32>) -> BankShape {
    let words = lookups.iter().map(|l| l.blocks * l.chunks()).max().unwrap_or(0);
    BankShape {
        attention: None,
        byte_words: words.max(if mac.is_some() { 8 } else { 0 }),
        lookups,
        gated,
        blocks: None,
        mac: mac.map(|acc_bits| MacShape { acc_bits }),
        result_bits: 24,
    }
}

/// Banks, each with a name.
pub fn banks() -> Vec<(&'static str, BankShape)> {
    let one = |k, sub, blocks| vec![lookup(k, sub, blocks)];
    let narrow = BankShape { result_bits: 1, ..bank(vec![], None, Some(1)) };
    let gated_alone = || bank(vec![], Some(gated(None)), None);
    // One input, one inner sum, and nothing wider than it must be; a result narrower than its terms.
    let least = BankShape {
        gated: Some(GatedShape { acc_bits: 2, groups: 1, planes: 1, generated_signs: None }),
        result_bits: 2,
        blocks: Some(BlockShape {
            x_bits: 1,
            t_bits: 2,
            inner: 1,
            x_beats: 1,
            x_sum_bits: 1,
            t_sum_bits: 1,
            constant_bits: 3,
            ones_factor_bits: 4,
            row_bits: 2,
            r_bits: 1,
            t_factor_bits: 1,
            s_bits: 1,
            u_bits: 1,
            result_bits: 2,
        }),
        ..bank(vec![], None, None)
    };
    // Inputs wider than inner sums, an adder tree wider than both, a full u'.
    let wide = BankShape {
        gated: Some(GatedShape { planes: 12, acc_bits: 30, ..gated(Some(2)) }),
        blocks: Some(BlockShape {
            x_bits: 10,
            t_bits: 9,
            u_bits: 64,
            s_bits: 32,
            result_bits: 64,
            constant_bits: 70,
            ..blocks(300)
        }),
        result_bits: 64,
        ..bank(vec![], None, None)
    };
    vec![
        (
            "all",
            with_blocks(
                blocks(192),
                bank(vec![lookup(16, 2, 2), lookup(512, 1, 3)], Some(gated(Some(3))), Some(20)),
            ),
        ),
        ("digits", with_blocks(blocks(64), bank(one(16, 2, 2), Some(gated(Some(1))), None))),
        ("k2_sub1", bank(one(2, 1, 2), None, None)),
        ("k2_sub8", bank(one(2, 8, 1), None, None)),
        ("k512_sub8", bank(one(512, 8, 1), None, None)),
        ("k512_sub1", bank(one(512, 1, 1), None, None)),
        ("k5_sub3", bank(one(5, 3, 4), None, Some(24))),
        ("blocks", with_blocks(blocks(65), gated_alone())),
        ("blocks_of_one_group", with_blocks(blocks(3), gated_alone())),
        ("blocks_of_one_input", least),
        ("blocks_of_wide_inputs", wide),
        ("mask", bank(vec![], Some(gated(Some(1))), None)),
        ("mask_15_coats", bank(vec![], Some(gated(Some(15))), None)),
        ("mac", bank(vec![], None, Some(21))),
        ("narrow_mac", narrow),
        ("nothing", bank(vec![], None, None)),
    ]
}

/// Banks on beats of 128 bits: every block, and lookups that leave bits of each word over.
pub fn wide_banks() -> Vec<(&'static str, BankShape)> {
    let wide = |k, sub, blocks| testing::wide(lookup(k, sub, blocks));
    let one = |k, sub, blocks| bank(vec![wide(k, sub, blocks)], None, None);
    vec![
        (
            "wide_all",
            with_blocks(
                blocks(192),
                bank(vec![wide(16, 2, 2), wide(512, 1, 3)], Some(gated(Some(3))), Some(20)),
            ),
        ),
        ("wide_k512_sub8", one(512, 8, 1)),
        ("wide_k512_sub1", one(512, 1, 1)),
        ("wide_k5_sub3", one(5, 3, 4)),
        ("wide_k2_sub1", one(2, 1, 2)),
        ("wide_blocks", with_blocks(blocks(129), bank(vec![], Some(gated(None)), None))),
        ("wide_mask", bank(vec![], Some(gated(Some(1))), None)),
        ("wide_mac", bank(vec![], None, Some(21))),
    ]
}

/// Channels with a key/value cache, between them with every variant of its units: one slice and
/// several, one row and an odd number, one group and several, chunks of one and chunks beyond the
/// codebook, padded codebooks, with and without a window.
pub fn caches() -> Vec<(&'static str, ChannelShape)> {
    let cache = |banks, parts, rows, tokens, beat_bits| {
        let attention = testing::attention(banks, parts, rows, tokens);
        testing::attention_channel(banks, attention, beat_bits)
    };
    let window = (4, 12, 1000);
    vec![
        ("cache_k512_sub4", cache(16, (16, 4, 512), (2, 4), (8, 32, 4096), 64)),
        ("cache_k16_sub2_slices", cache(4, (16, 2, 16), (1, 2), window, 64)),
        ("cache_k256_groups", cache(8, (2, 4, 256), (1, 3), window, 64)),
        ("cache_k100_slices_groups_of_one", cache(2, (4, 8, 100), (1, 1), window, 64)),
        ("cache_one_member", cache(4, (1, 8, 64), (1, 2), window, 64)),
        ("cache_k5_sub1", cache(2, (2, 1, 5), (1, 1), window, 64)),
        ("cache_k1", cache(2, (4, 8, 1), (1, 1), window, 64)),
        ("cache_k3_sub2_slices", cache(2, (4, 2, 3), (3, 1), window, 64)),
        ("cache_without_window", cache(4, (4, 4, 30), (1, 2), (3, 0, 100), 64)),
        ("cache_without_exact", cache(4, (8, 4, 64), (1, 1), (0, 0, 100), 64)),
        ("cache_wide_k512", cache(8, (16, 4, 512), (1, 4), window, 128)),
        ("cache_wide_k16_groups", cache(4, (2, 2, 16), (1, 1), window, 128)),
        ("cache_wide_k2", cache(2, (2, 8, 2), (1, 1), window, 128)),
        ("cache_wide_k200", cache(2, (2, 8, 200), (2, 1), window, 128)),
    ]
}

/// Channels whose units cluster tokens, too: an encoder, as many as a beat has sub-vectors, as many as
/// a column has; one slice and several, one group and several, codebooks that fill their columns and
/// such that do not, with a window, without, without exact tokens. Some for every change, then the others.
pub fn clusters() -> [Vec<(&'static str, ChannelShape)>; 2] {
    let cluster = |banks, parts, tokens, beat_bits, (encoders, weight_bits)| {
        let attention = testing::attention(banks, parts, (1, 2), tokens);
        let attention = testing::clustering(attention, encoders, weight_bits);
        testing::attention_channel(banks, attention, beat_bits)
    };
    let (window, sink, none) = ((4, 12, 1000), (3, 0, 100), (0, 0, 100));
    let few = vec![
        ("cluster_groups_of_columns", cluster(8, (4, 8, 100), window, 64, (4, 31))),
        ("cluster_k1", cluster(2, (4, 8, 1), none, 64, (1, 18))),
        ("cluster_without_window", cluster(4, (8, 4, 30), sink, 64, (4, 18))),
        ("cluster_wide_sub1", cluster(4, (2, 1, 64), none, 128, (32, 18))),
    ];
    let more = vec![
        ("cluster_k512", cluster(16, (16, 4, 512), (8, 32, 4096), 64, (8, 18))),
        ("cluster_of_one", cluster(4, (16, 2, 30), window, 64, (1, 8))),
        ("cluster_groups", cluster(8, (2, 4, 256), window, 64, (2, 18))),
        ("cluster_sub1", cluster(2, (2, 1, 5), window, 64, (8, 1))),
        ("cluster_without_exact", cluster(8, (8, 2, 30), none, 64, (16, 18))),
        ("cluster_wide", cluster(8, (4, 4, 512), window, 128, (4, 18))),
        ("cluster_wide_column", cluster(2, (4, 8, 3), window, 128, (4, 9))),
    ];
    [few, more]
}

/// Attention in a channel of as many banks as it needs.
fn attending(shape: AttentionShape, beats: u32, beat_bits: u32) -> (AttentionShape, ChannelShape) {
    let bank = BankShape { attention: Some(shape.clone()), ..bank(vec![], None, None) };
    let mode_bits = choice_bits(bank.modes().len() as u32);
    let mut channel = channel(bank);
    channel.isa.mode_bits = mode_bits;
    let banks = shape.members * shape.groups;
    (shape, ChannelShape { banks, beats, beat_bits, ..channel })
}

/// Attention of every kind, each with a name.
pub fn attentions() -> Vec<(&'static str, (AttentionShape, ChannelShape))> {
    // Nothing that could be left out is there, and no number is a power of two that need not be.
    let least = AttentionShape {
        dim: 1,
        sub: 1,
        sink: 0,
        recent: 0,
        tokens: 1,
        mul: 1,
        shift: 0,
        frac: 8,
        result_bits: 1,
        k: 1 << 16,
        ..softmax(1, 1, 2)
    };
    let odd = AttentionShape {
        dim: 16,
        sub: 2,
        k: 512,
        queries: 3,
        query_heads: 3,
        sink: 3,
        recent: 37,
        tokens: 1000,
        ..softmax(4, 2, 2)
    };
    let places = AttentionShape { dim: 2, sub: 1, k: 512, sink: 0, ..softmax(1, 2, 4) };
    let long = AttentionShape {
        tokens: 1 << 20,
        mul: 65535,
        shift: 31,
        frac: 0,
        result_bits: 32,
        ..softmax(16, 1, 1)
    };
    let sinks = AttentionShape { recent: 0, query_heads: 4, ..softmax(2, 2, 1) };
    let broad = AttentionShape { k: 16, ..softmax(1, 1, 8) };
    vec![
        ("broad", attending(broad, 2, 64)),
        (
            "log",
            attending(testing::stated(AttentionShape { queries: 2, ..softmax(2, 2, 1) }), 2, 64),
        ),
        ("small", attending(softmax(2, 1, 2), 4, 64)),
        ("least", attending(least, 1, 64)),
        ("odd", attending(odd, 3, 64)),
        ("places", attending(places, 4, 64)),
        ("long", attending(long, 4, 128)),
        ("sinks", attending(sinks, 2, 64)),
    ]
}
