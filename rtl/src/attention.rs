//! Attention on a product-quantized key/value cache: the shape of its units, what their columns
//! mean, and their latencies.
//!
//! The banks of a channel work on one key/value head at a time. A bank holds `slices` neighbouring
//! sub-vectors of the tokens of its token group; `members` banks that follow one another hold a
//! token group's tokens whole, and there are `groups` of them. `rows` queries are served by one
//! read of a code.
//!
//! | region | blocks of a group | a block's columns | in a beat |
//! |---|---|---|---|
//! | codebook | slice | `codebook_columns()`, the last one perhaps not full | `chunk` centroids of `sub` bytes |
//! | exact tokens | `chunk * beats` places | `slices` | `chunk` sub-vectors of neighbouring places |
//! | codes | `lanes * beats` tokens | `slices` | `lanes` codes of neighbouring tokens |

use crate::shape::{choice_bits, index_bits, ChannelShape, WORD_BITS};

/// Entries of the tables of the softmax: 64 segments and the last one's end.
pub const TABLE_LEN: usize = 65;
/// Bits of a fraction of an octave in which scores below the largest one are told.
pub const OCTAVE_BITS: u32 = 12;
/// Bits of a probability before it is divided by the sum: 0 to 2^18.
pub const PROB_BITS: u32 = 19;
/// Bits of a word of argument memory.
pub const ARG_BITS: u32 = 32;

/// Clocks from a beat entering the data path to its scores leaving the bank.
pub const SCORE_LATENCY: u32 = 3;
/// Clocks from the end of a load of bytes to a stream that takes what was loaded at its start.
pub const LOADED_LATENCY: u32 = 2;
/// Clocks from the scores of a beat to the largest one being known.
pub const MAX_LATENCY: u32 = 8;
/// Clocks from `col_soon` to `col_valid`.
pub const PROB_AHEAD: u32 = 10;
/// Clocks from a beat of the key codebook entering the data path to its entries of the tables being
/// looked up, and to its buckets being clear for codes.
pub const TABLE_LATENCY: u32 = 3;
/// Clocks from a beat of codes entering the data path to its buckets being read.
pub const BUCKET_LATENCY: u32 = 3;
/// Clocks from a beat of values or of their codebook to the outputs that it adds to.
pub const OUT_LATENCY: u32 = 5;
/// Clocks from the start of `Normalise` to the first result.
pub const NORMALISE_LATENCY: u32 = 12;
/// Clocks from the last beat of a codebook to the code of the nearest centroid.
pub const CODE_LATENCY: u32 = 5;
/// Clocks, on top of a column's beats, from a column to what is taken out of it or put into it.
pub const PLACE_LATENCY: u32 = 3;
/// Clocks in which `Update` makes one centroid of a column: its sums are read, then a bit a clock.
pub const MEAN_CLOCKS: u32 = 9;
/// Clocks of `Accumulate` on top of one for each slice.
pub const ACCUMULATE_LATENCY: u32 = 1;

/// What a stream of the attention units does. A mode's number is its place among all modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttentionMode {
    /// Key codebook: products of the queries with every centroid into the tables; clears the
    /// buckets, the outputs, the largest scores and the sums.
    Table,
    /// Exact keys: scores.
    ExactScores,
    /// Key codes: scores by the tables.
    Scores,
    /// Exact values, weighted, into the outputs.
    ExactValues,
    /// Value codes: weights into the buckets of their centroids.
    Buckets,
    /// Value codebook: buckets times centroids into the outputs.
    Combine,
    /// Exact tokens: takes the one at the place.
    Capture,
    /// No columns: takes the token that was loaded.
    Take,
    /// Codebook: the centroid nearest to the token that was taken. `Table` and `Combine` tell it too.
    Encode,
    /// Codes: puts the code of that centroid at the place.
    InsertCode,
    /// Exact tokens: puts the token that was loaded at the place.
    InsertToken,
    /// No columns: outputs divided by their sums, one a clock.
    Normalise,
    /// No columns: clears the sums of all centroids.
    Clear,
    /// No columns: adds the chosen encoder's token, times the weight, to the sums of its nearest centroid.
    Accumulate,
    /// Codebook, a column at a time: every centroid whose tokens weigh something becomes their mean.
    Update,
    /// Codebook: puts the chosen encoder's token at the place, in every token group.
    InsertCentroid,
}

impl AttentionMode {
    /// Every mode, in the order of their numbers.
    pub const ALL: [AttentionMode; 16] = [
        AttentionMode::Table,
        AttentionMode::ExactScores,
        AttentionMode::Scores,
        AttentionMode::ExactValues,
        AttentionMode::Buckets,
        AttentionMode::Combine,
        AttentionMode::Capture,
        AttentionMode::Take,
        AttentionMode::Encode,
        AttentionMode::InsertCode,
        AttentionMode::InsertToken,
        AttentionMode::Normalise,
        AttentionMode::Clear,
        AttentionMode::Accumulate,
        AttentionMode::Update,
        AttentionMode::InsertCentroid,
    ];
    /// How many of them, the first ones, there are where nothing is clustered.
    const WITHOUT_CLUSTER: usize = 12;

    /// The modes of units.
    pub fn of(shape: &AttentionShape) -> &'static [AttentionMode] {
        match shape.cluster {
            Some(_) => &AttentionMode::ALL,
            None => &AttentionMode::ALL[..AttentionMode::WITHOUT_CLUSTER],
        }
    }

    /// Clocks from a beat entering the data path to all that it brings about. Where a codebook passes it is
    /// the code of the nearest centroid too. `Update` takes [`MEAN_CLOCKS`] a centroid of the column more.
    pub fn latency(self) -> u32 {
        match self {
            AttentionMode::Table => TABLE_LATENCY.max(SCORE_LATENCY).max(CODE_LATENCY),
            AttentionMode::ExactScores | AttentionMode::Scores => SCORE_LATENCY + MAX_LATENCY,
            AttentionMode::ExactValues => OUT_LATENCY,
            AttentionMode::Buckets => BUCKET_LATENCY,
            AttentionMode::Combine => OUT_LATENCY.max(CODE_LATENCY),
            AttentionMode::Encode => CODE_LATENCY,
            AttentionMode::Capture
            | AttentionMode::Take
            | AttentionMode::InsertCode
            | AttentionMode::InsertToken
            | AttentionMode::InsertCentroid
            | AttentionMode::Clear
            | AttentionMode::Accumulate
            | AttentionMode::Update
            | AttentionMode::Normalise => PLACE_LATENCY,
        }
    }

    /// Its name in programs.
    pub fn name(self) -> &'static str {
        match self {
            AttentionMode::Table => "table",
            AttentionMode::ExactScores => "exact_scores",
            AttentionMode::Scores => "scores",
            AttentionMode::ExactValues => "exact_values",
            AttentionMode::Buckets => "buckets",
            AttentionMode::Combine => "combine",
            AttentionMode::Capture => "capture",
            AttentionMode::Take => "take",
            AttentionMode::Encode => "encode",
            AttentionMode::InsertCode => "insert_code",
            AttentionMode::InsertToken => "insert_token",
            AttentionMode::Normalise => "normalise",
            AttentionMode::Clear => "clear",
            AttentionMode::Accumulate => "accumulate",
            AttentionMode::Update => "update",
            AttentionMode::InsertCentroid => "insert_centroid",
        }
    }
}

/// Numbers that the program gives to the attention units, by their index on the parameter port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttentionParam {
    /// Compressed tokens.
    Compressed,
    /// Tokens in the cache.
    Length,
    /// Place of the recent window's oldest token among its places.
    Ring,
    /// A place in a block: lane, beat from bit 8, token group from bit 16.
    Place,
    /// The row of queries that a load of bytes goes to.
    LoadRow,
    /// The encoder that a token is taken into or out of.
    Encoder,
    /// The weight of a token that is accumulated.
    Weight,
    /// Tokens that a query sees.
    Limit(u32),
}

impl AttentionParam {
    /// Index of the first limit.
    pub const LIMITS: u32 = 8;

    /// Its index on the port.
    pub fn index(self) -> u32 {
        match self {
            AttentionParam::Compressed => 0,
            AttentionParam::Length => 1,
            AttentionParam::Ring => 2,
            AttentionParam::Place => 3,
            AttentionParam::LoadRow => 4,
            AttentionParam::Encoder => 5,
            AttentionParam::Weight => 6,
            AttentionParam::Limit(query) => AttentionParam::LIMITS + query,
        }
    }

    /// The parameter of an index.
    pub fn of(index: u32) -> Option<AttentionParam> {
        Some(match index {
            0 => AttentionParam::Compressed,
            1 => AttentionParam::Length,
            2 => AttentionParam::Ring,
            3 => AttentionParam::Place,
            4 => AttentionParam::LoadRow,
            5 => AttentionParam::Encoder,
            6 => AttentionParam::Weight,
            _ => AttentionParam::Limit(index.checked_sub(AttentionParam::LIMITS)?),
        })
    }
}

/// What makes codebooks of tokens, in every attention unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterShape {
    /// Tokens that are encoded while a codebook passes: a power of two, at most the sub-vectors of a
    /// column. `Capture` takes that many from the place on: encoder e the e-th, counted through the lanes and
    /// beats of the column. Where only encoder 0's is wanted the place may be any, else a multiple.
    pub encoders: u32,
    /// Bits of a token's weight (unsigned): 1 to 31.
    pub weight_bits: u32,
    /// Most tokens that a codebook is made of.
    pub tokens: u32,
}

impl ClusterShape {
    /// Bits of the weight of all tokens of a centroid (unsigned).
    pub fn total_bits(&self) -> u32 {
        self.weight_bits + index_bits(self.tokens + 1)
    }

    /// Bits of a sum of weighted elements (signed): a byte's 7 bits more than the weight.
    pub fn sum_bits(&self) -> u32 {
        self.total_bits() + 8
    }
}

/// The attention units of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AttentionShape {
    /// Elements of a head: `members * slices * sub`.
    pub dim: u32,
    /// Elements of a sub-vector: 1, 2, 4 or 8.
    pub sub: u32,
    /// Centroids of a codebook.
    pub k: u32,
    /// Banks that hold a token together.
    pub members: u32,
    /// Sub-vectors of a token in a bank.
    pub slices: u32,
    /// Groups of banks that hold different tokens.
    pub groups: u32,
    /// Queries of a step.
    pub queries: u32,
    /// Rows that a query has here: query heads of a key/value head.
    pub query_heads: u32,
    /// Tokens kept exact at the start.
    pub sink: u32,
    /// Tokens kept exact at the end.
    pub recent: u32,
    /// Most tokens in the cache.
    pub tokens: u32,
    /// Softmax: multiplier of the distance from the largest score, at most 16 bits.
    pub mul: u32,
    /// Softmax: right shift of that product, to 1/4096 octaves; at most 31.
    pub shift: u32,
    /// Fractional bits of a result.
    pub frac: u32,
    /// Bits of a result (signed).
    pub result_bits: u32,
    /// round(2^18 * 2^(-i/64)), i = 0..=64.
    pub exp_table: Vec<u32>,
    /// round(2^31 / (2^15 + 512 i)), i = 0..=64.
    pub reciprocal_table: Vec<u32>,
    /// What clusters tokens, if anything does.
    pub cluster: Option<ClusterShape>,
}

impl AttentionShape {
    /// Rows of queries: of every query those of its heads.
    pub fn rows(&self) -> u32 {
        self.queries * self.query_heads
    }

    /// Sub-vectors of a head.
    pub fn parts(&self) -> u32 {
        self.members * self.slices
    }

    /// Bits of a code.
    pub fn code_bits(&self) -> u32 {
        index_bits(self.k)
    }

    /// Codes of a beat of so many bits; its words are self-contained.
    pub fn lanes(&self, beat_bits: u32) -> u32 {
        beat_bits / WORD_BITS * (WORD_BITS / self.code_bits())
    }

    /// Sub-vectors of a beat: centroids, or places of exact tokens.
    pub fn chunk(&self, beat_bits: u32) -> u32 {
        beat_bits / (8 * self.sub)
    }

    /// Lanes of scores and of probabilities: codes of a beat, or the places of exact tokens where a
    /// beat has more of those. What a beat has fewer of leaves the last lanes at 0.
    pub fn score_lanes(&self, beat_bits: u32) -> u32 {
        let places = if self.exact_places() > 0 { self.chunk(beat_bits) } else { 0 };
        self.lanes(beat_bits).max(places)
    }

    /// Columns of a slice's codebook.
    pub fn codebook_columns(&self, channel: &ChannelShape) -> u32 {
        self.k.div_ceil(self.chunk(channel.beat_bits) * channel.beats)
    }

    /// Words of a slice's table: `chunk` centroids each.
    pub fn table_words(&self, beat_bits: u32) -> u32 {
        self.k.div_ceil(self.chunk(beat_bits))
    }

    /// Bits of the address of a word of a bank's tables: the slice above the word.
    pub fn table_addr_bits(&self, beat_bits: u32) -> u32 {
        (choice_bits(self.slices) + choice_bits(self.table_words(beat_bits))).max(1)
    }

    /// Words of a lane's table and of its buckets: a slice begins at a power of two.
    pub fn table_depth(&self, beat_bits: u32) -> u32 {
        let words = self.table_words(beat_bits);
        (self.slices - 1) * words.next_power_of_two() + words
    }

    /// Bits of a lane of a beat.
    pub fn lane_bits(&self, beat_bits: u32) -> u32 {
        index_bits(self.lanes(beat_bits))
    }

    /// Bits of a sub-vector.
    pub fn sub_bits(&self) -> u32 {
        8 * self.sub
    }

    /// Whether tokens are kept exact.
    pub fn has_exact(&self) -> bool {
        self.exact_places() > 0
    }

    /// Whether new tokens are encoded at once (`Take`); else tokens that leave the window are
    /// (`Capture`).
    pub fn takes(&self) -> bool {
        self.recent == 0
    }

    /// Whether tokens are taken out of columns (`Capture`).
    pub fn captures(&self) -> bool {
        self.recent > 0 || self.cluster.is_some()
    }

    /// Tokens that are encoded at once.
    pub fn encoders(&self) -> u32 {
        self.cluster.map_or(1, |c| c.encoders)
    }

    /// Words of the memory of the centroids' sums: a word a centroid, padding included; a slice begins at
    /// a power of two, as in the tables.
    pub fn mean_depth(&self, beat_bits: u32) -> u32 {
        self.table_depth(beat_bits) * self.chunk(beat_bits)
    }

    /// Bits of the memory of the centroids' sums of a bank; 0 where nothing is clustered.
    pub fn mean_memory_bits(&self, beat_bits: u32) -> u64 {
        self.cluster.map_or(0, |c| {
            let word = self.sub * c.sum_bits() + c.total_bits();
            u64::from(self.mean_depth(beat_bits)) * u64::from(word)
        })
    }

    /// Places of exact tokens.
    pub fn exact_places(&self) -> u32 {
        self.sink + self.recent
    }

    /// Places of exact tokens in a block.
    pub fn exact_block(&self, channel: &ChannelShape) -> u32 {
        self.chunk(channel.beat_bits) * channel.beats * self.groups
    }

    /// Blocks of exact tokens.
    pub fn exact_blocks(&self, channel: &ChannelShape) -> u32 {
        self.exact_places().div_ceil(self.exact_block(channel))
    }

    /// Tokens in a block of codes.
    pub fn code_block(&self, channel: &ChannelShape) -> u32 {
        self.lanes(channel.beat_bits) * channel.beats * self.groups
    }

    /// Most blocks of codes.
    pub fn code_blocks(&self, channel: &ChannelShape) -> u32 {
        let compressed = self.tokens.saturating_sub(self.exact_places());
        compressed.div_ceil(self.code_block(channel)).max(1)
    }

    /// Bits of a product of a query's sub-vector with a centroid (signed): |a*b| is at most 2^14.
    pub fn entry_bits(&self) -> u32 {
        product_bits(self.sub)
    }

    /// Bits of a score's part in one bank (signed).
    pub fn part_bits(&self) -> u32 {
        product_bits(self.sub * self.slices)
    }

    /// Bits of a score (signed).
    pub fn score_bits(&self) -> u32 {
        product_bits(self.dim)
    }

    /// Bits of a bucket of one lane (unsigned): a weight of at most 2^18 for each of its tokens.
    pub fn bucket_bits(&self, channel: &ChannelShape) -> u32 {
        let tokens = self.code_blocks(channel) * channel.beats;
        PROB_BITS - 1 + (u32::BITS - tokens.leading_zeros())
    }

    /// Bits of a sum of weights (unsigned): `tokens` of at most 2^18.
    pub fn sum_bits(&self) -> u32 {
        PROB_BITS + index_bits(self.tokens)
    }

    /// Bits of an output before its division (signed): a sum of weights times a byte.
    pub fn out_bits(&self) -> u32 {
        self.sum_bits() + 8
    }

    /// Bits of the tables and the buckets of a bank: an entry and a bucket for every lane, slice,
    /// centroid and row.
    pub fn memory_bits(&self, channel: &ChannelShape) -> u64 {
        let words = self.table_depth(channel.beat_bits);
        let entries = u64::from(words * self.chunk(channel.beat_bits)) * u64::from(self.rows());
        let bits = self.entry_bits() + self.bucket_bits(channel);
        entries * u64::from(self.lanes(channel.beat_bits)) * u64::from(bits)
    }

    /// Bits of the softmax's memory of scores.
    pub fn score_memory_bits(&self, channel: &ChannelShape) -> u64 {
        let blocks = self.exact_blocks(channel) + self.code_blocks(channel);
        let scores = self.groups * self.score_lanes(channel.beat_bits) * self.rows();
        u64::from(blocks * channel.beats) * u64::from(scores) * u64::from(self.score_bits())
    }

    /// Bits of an index on the parameter port.
    pub fn param_bits(&self) -> u32 {
        index_bits(AttentionParam::LIMITS + self.queries)
    }

    /// Contradictions within the shape and with its channel.
    pub fn faults(&self, shape: &ChannelShape) -> Vec<&'static str> {
        let powers = [self.members, self.slices, self.groups];
        let rules = [
            (matches!(self.sub, 1 | 2 | 4 | 8), "a sub-vector has 1, 2, 4 or 8 elements"),
            ((1..=1 << 16).contains(&self.k), "a codebook has 1 to 65536 centroids"),
            (
                powers.iter().all(|n| n.is_power_of_two()),
                "members, slices and token groups are powers of two",
            ),
            (self.members * self.groups == shape.banks, "every bank is a member of a group"),
            (self.parts() * self.sub == self.dim, "the banks of a group hold a head"),
            (self.queries > 0 && self.query_heads > 0, "there is a row of queries"),
            (
                self.chunk(shape.beat_bits) <= self.lanes(shape.beat_bits),
                "a beat has no more sub-vectors than codes",
            ),
            (
                self.slices == 1 || shape.beats > 1,
                "a column has two beats where a bank holds several sub-vectors of a token",
            ),
            (self.slices <= shape.dram_cols, "a block of codes fits a row"),
            (shape.beat_bits % WORD_BITS == 0, "a beat is whole words of 64 bits for attention"),
            ((1..1 << 16).contains(&self.mul) && self.shift < 32, "the softmax's scale fits"),
            (self.frac <= 8 && (1..=32).contains(&self.result_bits), "a result has 1 to 32 bits"),
            (
                self.exp_table.len() == TABLE_LEN && self.reciprocal_table.len() == TABLE_LEN,
                "the tables of the softmax have 65 entries",
            ),
            (
                [&self.exp_table, &self.reciprocal_table]
                    .iter()
                    .all(|t| t.is_sorted_by(|a, b| a > b)),
                "the tables of the softmax fall",
            ),
            (shape.read_latency >= PROB_AHEAD, "a read takes as long as a probability"),
            (self.result_bits <= shape.buffer.word_bits, "a word holds a result of attention"),
            (
                self.encoders().is_power_of_two()
                    && self.encoders() <= self.chunk(shape.beat_bits) * shape.beats,
                "a codebook passes for a power of two of tokens, no more than a column has",
            ),
            (
                self.cluster.is_none_or(|c| (1..=31).contains(&c.weight_bits)),
                "a weight has 1 to 31 bits",
            ),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

/// Bits of a sum of `terms` products of two bytes (signed).
fn product_bits(terms: u32) -> u32 {
    // The largest is terms * 2^14, which a power of two reaches exactly.
    16 + index_bits(terms.next_power_of_two() * 2) - 1
}
