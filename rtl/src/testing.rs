//! What the tests of the units share: random numbers, small shapes, the rule of the signs.

use crate::attention::{AttentionShape, ClusterShape, PROB_AHEAD};
use crate::isa::{DynamicIsa, IsaShape};
use crate::shape::{index_bits, BankShape, BlockShape, BufferShape, ChannelShape, LookupShape};

/// Splitmix64: the same numbers everywhere.
pub struct Rng(u64);

impl Rng {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Rng(seed)
    }

    /// 64 random bits.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Bytes as a word, the first lowest.
pub fn pack(bytes: &[i8]) -> i128 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | i128::from(*byte as u8))
}

/// The hash of the sign rule, a bijection.
pub fn mix32(mut v: u32) -> u32 {
    v ^= v >> 16;
    v = v.wrapping_mul(0x7feb_352d);
    v ^= v >> 15;
    v = v.wrapping_mul(0x846c_a68b);
    v ^ v >> 16
}

/// The signs of a row of `cols` weights, by the rule, 1 or -1: written apart from the hardware and
/// from the reference model.
pub fn signs_of(key: u32, row: u32, cols: usize) -> Vec<i64> {
    let mut state = mix32(key ^ mix32(0x9e37_79b9u32.wrapping_mul(row + 1)));
    if state == 0 {
        state = 0x6d2b_79f5;
    }
    let mut signs = vec![];
    while signs.len() < cols {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        signs.extend((0..32).map(|j| if state >> j & 1 == 1 { -1 } else { 1 }));
    }
    signs
}

/// A channel around a bank; what the bank does not look at is small.
pub fn channel(bank: BankShape) -> ChannelShape {
    ChannelShape {
        banks: 16,
        beats: 4,
        beat_bits: 64,
        read_latency: 5,
        write_latency: bank.attention.as_ref().map(|_| 4),
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
            block_bits: if bank.blocks.is_some() { 9 } else { 0 },
            addr_bits: 8,
            bank_bits: 0,
            dynamic: DynamicIsa::least(bank.attention.as_ref()),
        },
        program_depth: 64,
        arg_words: if bank.attention.is_some() { 16 } else { 0 },
        bank,
        buffer: BufferShape { word_bits: 32, depth: 64, ops: vec![], requant: None, mul_bits: 16 },
    }
}

/// A lookup unit as wide as a beat allows, with the widths of an entry and of the accumulator.
pub fn lookup(k: u32, sub: u32, blocks: u32, (entry_bits, acc_bits): (u32, u32)) -> LookupShape {
    let code_bits = index_bits(k);
    let lanes = 64 / code_bits;
    let chunk = (1..=8 / sub).rev().find(|c| lanes % c == 0).unwrap_or(1);
    LookupShape { k, sub, code_bits, lanes, chunk, blocks, entry_bits, acc_bits }
}

/// The same on beats of 128 bits, two words.
pub fn wide(l: LookupShape) -> LookupShape {
    LookupShape { lanes: 2 * l.lanes, chunk: 2 * l.chunk, ..l }
}

/// Binary quadratic blocks of up to 256 t_k of `t_bits` each, over up to 256 inputs.
pub fn blocks(t_bits: u32) -> BlockShape {
    BlockShape {
        x_bits: 1,
        t_bits,
        inner: 256,
        x_beats: 4,
        x_sum_bits: 10,
        t_sum_bits: 20,
        constant_bits: 30,
        ones_factor_bits: 30,
        row_bits: 20,
        r_bits: 16,
        t_factor_bits: 16,
        s_bits: 17,
        u_bits: 32,
        result_bits: 40,
    }
}

/// 2^18 * 2^-(y / 4096), rounded as the softmax rounds; 0 from 20 octaves on. By the table's meaning.
pub fn exp2_neg(y: i128) -> i128 {
    let entry = |a: i128| (262144.0 * (-(a as f64) / 64.0).exp2()).round() as i128;
    let (octaves, piece, along) = (y >> 12, y >> 6 & 63, y & 63);
    if octaves > 19 {
        return 0;
    }
    let fall = ((entry(piece) - entry(piece + 1)) * along + 32) >> 6;
    let half = (1i128 << octaves) >> 1;
    (entry(piece) - fall + half) >> octaves
}

/// About 2^46 / `sum`, with its exponent: (r, floor(log2 sum)). By the table's meaning.
pub fn reciprocal(sum: i128) -> (i128, u32) {
    let entry = |a: i128| (2f64.powi(31) / (32768 + 512 * a) as f64).round() as i128;
    let exponent = sum.ilog2();
    let scaled = sum >> (exponent - 15);
    let (piece, along) = (scaled >> 9 & 63, scaled & 511);
    (entry(piece) - (((entry(piece) - entry(piece + 1)) * along + 256) >> 9), exponent)
}

/// Attention in `members * groups` banks of `members` banks a token, of one query and head.
pub fn softmax(members: u32, slices: u32, groups: u32) -> AttentionShape {
    let one = attention(1, (1, 4, 256), (1, 1), (4, 8, 200));
    let dim = members * slices * one.sub;
    AttentionShape { dim, members, slices, groups, shift: 14, ..one }
}

/// A cache of `parts` sub-vectors of `sub` elements on `banks` banks, with `k` centroids and
/// `queries` of `query_heads` rows each.
pub fn attention(
    banks: u32,
    (parts, sub, k): (u32, u32, u32),
    (queries, query_heads): (u32, u32),
    (sink, recent, tokens): (u32, u32, u32),
) -> AttentionShape {
    let table = |scale: f64, power: &dyn Fn(f64) -> f64| -> Vec<u32> {
        (0..=64).map(|i| (scale * power(f64::from(i) / 64.0)).round() as u32).collect()
    };
    let members = banks.min(parts);
    AttentionShape {
        dim: parts * sub,
        sub,
        k,
        members,
        slices: parts / members,
        groups: banks / members,
        queries,
        query_heads,
        sink,
        recent,
        tokens,
        mul: 40_000,
        shift: 10,
        frac: 4,
        result_bits: 16,
        exp_table: table(262144.0, &|x| (-x).exp2()),
        reciprocal_table: table(65536.0, &|x| 1.0 / (1.0 + x)),
        cluster: None,
    }
}

/// The cache with units that cluster as many tokens as it holds, `encoders` at once, with weights of
/// `weight_bits`.
pub fn clustering(cache: AttentionShape, encoders: u32, weight_bits: u32) -> AttentionShape {
    let tokens = cache.tokens;
    AttentionShape { cluster: Some(ClusterShape { encoders, weight_bits, tokens }), ..cache }
}

/// A channel with such a cache and nothing else, on columns of 256 bits.
pub fn attention_channel(banks: u32, attention: AttentionShape, beat_bits: u32) -> ChannelShape {
    let bank = BankShape {
        lookups: vec![],
        gated: None,
        blocks: None,
        mac: None,
        attention: Some(attention),
        byte_words: 0,
        result_bits: 24,
    };
    let beats = 256 / beat_bits;
    let base = channel(bank);
    let mode_bits = index_bits(base.bank.modes().len() as u32);
    let isa = IsaShape { mode_bits, beats_bits: index_bits(beats), ..base.isa };
    ChannelShape { banks, beats, beat_bits, read_latency: PROB_AHEAD, isa, ..base }
}
