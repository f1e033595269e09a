//! Shapes: every number that decides what hardware is built. Lowering fills them in from proven
//! ranges; the units take them as run-time widths. Nothing here knows a model, a file or a cycle.

use crate::attention::{AttentionMode, AttentionShape, MergeShape, ARG_BITS};
use crate::isa::{IsaShape, VecOp};
use crate::program::MAX_WORD_BITS;

/// Bits of a word of a beat: the eight bytes of the longest sub-vector.
pub const WORD_BITS: u32 = 64;

/// Bits needed to number `n` things; at least 1.
pub fn index_bits(n: u32) -> u32 {
    if n <= 2 {
        1
    } else {
        32 - (n - 1).leading_zeros()
    }
}

/// Bits to choose one of `n`; none when there is no choice.
pub fn choice_bits(n: u32) -> u32 {
    if n > 1 {
        index_bits(n)
    } else {
        0
    }
}

/// One channel: sequencer, bank units, buffer unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ChannelShape {
    /// Banks that work in lock step.
    pub banks: u32,
    /// Beats per column: a column of `beats * beat_bits` bits is chewed in `beats` clocks.
    pub beats: u32,
    /// Bits of a beat, at most 128. A beat of more than a word is so many self-contained words of
    /// 64 bits, the lowest first: what does not fill a word leaves its top bits unused.
    pub beat_bits: u32,
    /// Clocks from a column read to its data.
    pub read_latency: u32,
    /// Clocks from a column write to its data; none where nothing is written.
    pub write_latency: Option<u32>,
    /// Rows of a DRAM bank.
    pub dram_rows: u32,
    /// Columns of a DRAM row.
    pub dram_cols: u32,
    /// Longest time between refreshes, in clocks; kept by the sequencer when it is idle.
    pub refi: u32,
    /// Duration of a refresh, in clocks.
    pub rfc: u32,
    /// Field widths of the schedule program.
    pub isa: IsaShape,
    /// Words of program memory.
    pub program_depth: u32,
    /// Words of argument memory; 0 where the program takes no arguments.
    pub arg_words: u32,
    /// One bank unit.
    pub bank: BankShape,
    /// The buffer unit.
    pub buffer: BufferShape,
}

impl ChannelShape {
    /// Checks what the units rely on.
    ///
    /// # Errors
    /// Every contradiction between the numbers, in words.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let (bank, buffer, isa) = (&self.bank, &self.buffer, &self.isa);
        let has = |op: VecOp| buffer.ops.contains(&op);
        let modes = bank.modes();
        let masked = modes.contains(&StreamMode::Mask);
        let coats = bank.gated.and_then(|g| g.generated_signs).filter(|_| masked);
        let multiplies = has(VecOp::Mul);
        let collects = has(VecOp::Collect) || has(VecOp::CollectSum);
        let mut faults = vec![];
        let mut want = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_string());
            }
        };
        want(
            self.banks.is_power_of_two() && (2..=1024).contains(&self.banks),
            "the banks are a power of two, 2 to 1024",
        );
        want(self.beats > 0, "there is a beat");
        want(
            (1..=WORD_BITS).contains(&self.beat_bits) || self.beat_bits == 2 * WORD_BITS,
            "a beat has 1 to 64 bits, or 128",
        );
        want(
            !masked || self.beat_bits % WORD_BITS == 0,
            "a beat is whole words of 64 bits where signs are generated",
        );
        want(
            bank.lookups.iter().all(|l| {
                let words = self.beat_words();
                l.lanes % words == 0 && l.chunk % words == 0
            }),
            "every word of a beat has as many lookups as the others, and as many centroids",
        );
        want((1..=100).contains(&self.read_latency), "a read takes 1 to 100 clocks");
        want(
            !masked || self.read_latency >= crate::timing::SEED_CLOCKS,
            "a read takes at least the clocks of a seed where signs are generated",
        );
        want(
            self.write_latency.is_none_or(|clocks| (1..=100).contains(&clocks)),
            "a write takes 1 to 100 clocks",
        );
        want(
            self.write_latency.is_some() == bank.attention.is_some(),
            "columns are written where there is attention",
        );
        want(self.rfc >= 2 && self.refi > self.rfc, "a refresh takes 2 clocks, and less than refi");
        want(!modes.is_empty(), "there is a stream mode");
        want(self.program_depth > 0, "there is program memory");
        let dynamic = &isa.dynamic;
        let widths = [
            dynamic.to_bits,
            dynamic.arg_bits,
            dynamic.add_bits,
            dynamic.end_bits,
            dynamic.within_bits,
        ];
        want(
            widths.iter().all(|&bits| (bits > 0) == bank.attention.is_some()),
            "there are fields of arguments where there is attention",
        );
        want(
            (self.arg_words > 0) == bank.attention.is_some() && self.arg_words <= 1 << 16,
            "there is argument memory where there is attention, of at most 65536 words",
        );
        want(
            dynamic.arg_bits <= index_bits(self.arg_words),
            "the field of an argument is no wider than its address",
        );
        want(
            dynamic.end_bits <= index_bits(self.program_depth),
            "the end field is no wider than a program address",
        );
        want(
            dynamic.param_bits == bank.attention.as_ref().map_or(0, |a| a.param_bits()),
            "the parameter field is as wide as the parameters need",
        );
        want(dynamic.add_bits <= ARG_BITS && dynamic.within_bits <= 32, "constants have 32 bits");
        want(isa.row_bits <= index_bits(self.dram_rows), "the row field is no wider than a row");
        want(
            isa.col_bits <= index_bits(self.dram_cols),
            "the column field is no wider than a column",
        );
        want(
            isa.mode_bits == choice_bits(modes.len() as u32),
            "the mode field is as wide as the modes need",
        );
        want(
            isa.coats_bits == coats.map_or(0, choice_bits),
            "the coats field is as wide as the coats need",
        );
        want(
            isa.key_bits == if masked { 32 } else { 0 },
            "the key has 32 bits if signs are generated",
        );
        want(
            isa.beats_bits == index_bits(self.beats),
            "the beats field is as wide as the beats need",
        );
        want(
            (isa.block_bits > 0) == bank.blocks.is_some(),
            "the fields of a block are there where blocks are built",
        );
        let attention = bank.attention.iter().flat_map(|a| a.faults(self));
        for fault in bank.blocks.iter().flat_map(|b| b.faults(self)).chain(attention) {
            want(false, fault);
        }
        want(
            bank.gated.is_none_or(|g| g.generated_signs.is_some() || bank.blocks.is_some()),
            "the gated adder tree has masks or blocks to add",
        );
        want(isa.word_bits() <= MAX_WORD_BITS, "a program word has at most 127 bits");
        want(
            isa.addr_bits >= index_bits(buffer.depth) && isa.addr_bits < 31,
            "an address reaches all of vector memory",
        );
        want(
            isa.addr_bits > choice_bits(self.lanes()),
            "addresses are wider than what tells the lanes of vector memory apart",
        );
        want(
            bank.gated.is_none() || self.beat_bits % self.lanes().max(1) == 0,
            "the inputs of a beat of planes are a whole number for every lane",
        );
        want(buffer.word_bits <= 64, "a word of vector memory has at most 64 bits");
        want(bank.result_bits <= buffer.word_bits, "a word of vector memory holds a result");
        want(
            bank.attention.as_ref().is_none_or(|a| a.result_bits <= bank.result_bits),
            "a result is as wide as those of attention",
        );
        want(
            bank.byte_words == 0 || bank.byte_words == bank.loaded_words(),
            "input memory has as many words as a query has sub-vectors",
        );
        want(collects, "results are collected");
        want(
            has(VecOp::LoadBytes) == (bank.byte_words > 0 || bank.attention.is_some()),
            "bytes are loaded where there is memory for them",
        );
        want(
            has(VecOp::LoadPlanes) == bank.gated.is_some(),
            "planes are loaded where there is plane memory",
        );
        want(
            bank.gated.is_none_or(|g| (1..=self.beat_bits).contains(&g.planes)),
            "a group has no more planes than inputs",
        );
        want(
            !multiplies || (1..=buffer.word_bits).contains(&buffer.mul_bits),
            "factors are no wider than a word",
        );
        want(!has(VecOp::Table) || isa.addr_bits >= 8, "an address reaches a table of 256 words");
        want(
            buffer.requant.is_some() == has(VecOp::Requant),
            "the requantiser has a shape where it is used",
        );
        want(buffer.merge.is_some() == has(VecOp::Merge), "a merge has a shape where it is used");
        let merge = buffer.merge.iter().flat_map(|m| m.faults(self));
        merge.for_each(|fault| want(false, fault));
        if let Some(r) = buffer.requant {
            want(r.in_bits <= buffer.word_bits, "a word holds the requantiser's input");
            want(r.out_bits <= buffer.word_bits, "a word holds the requantiser's result");
            want(r.constant_bits() <= buffer.word_bits, "a word holds the requantiser's constants");
            want(
                r.in_bits > 0 && r.mul_bits > 0 && r.shift_bits > 0 && r.out_bits > 0,
                "no width of the requantiser is 0",
            );
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    /// Words of 64 bits of a beat; 1 where a beat is narrower.
    pub fn beat_words(&self) -> u32 {
        self.beat_bits.div_ceil(WORD_BITS)
    }

    /// Bits of a word of inputs on its way to the bank units: of a beat, at least 64.
    pub fn load_bits(&self) -> u32 {
        self.beat_bits.max(WORD_BITS)
    }

    /// Elements that the buffer unit takes at once: one for each bank.
    pub fn lanes(&self) -> u32 {
        self.banks
    }

    /// Clocks in which the buffer unit reads a group of inputs for plane memory.
    pub fn group_steps(&self) -> u32 {
        self.beat_bits.div_ceil(self.lanes())
    }

    /// Planes of a group that leave the buffer unit at once: two where one a clock would be slower
    /// than the group's inputs come in.
    pub fn planes_at_once(&self) -> u32 {
        let planes = self.bank.gated.map_or(1, |g| g.planes);
        if planes > self.group_steps() {
            2
        } else {
            1
        }
    }

    /// Clocks in which the planes of a group leave the buffer unit.
    pub fn plane_clocks(&self) -> u32 {
        self.bank.gated.map_or(1, |g| g.planes).div_ceil(self.planes_at_once())
    }

    /// Clocks from a group of inputs for plane memory to the next.
    pub fn group_clocks(&self) -> u32 {
        self.group_steps().max(self.plane_clocks())
    }

    /// Words of vector memory that are built: those asked for, and more where the program's address
    /// fields, which also hold the lengths of blocks, reach further.
    pub fn vector_depth(&self) -> u32 {
        let reached = self.isa.addr_bits.checked_sub(1).and_then(|n| 1u32.checked_shl(n));
        match reached {
            Some(half) if self.buffer.depth <= half && half > 1 => half + 1,
            _ => self.buffer.depth,
        }
    }
}

/// What a column means to the bank unit. The modes that a model uses are numbered in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamMode {
    /// Codebook columns for lookup unit i: build its tables.
    Build(u32),
    /// Code columns for lookup unit i: look up and add.
    Lookup(u32),
    /// Bits are mask planes: 1 adds x with the generated sign (supermask).
    Mask,
    /// A matrix row is a block and basis of binary quadratic weights; it has a result for every row
    /// of the block.
    Blocks,
    /// Bytes are weights: multiply by x and add.
    Mac,
    /// Attention on a product-quantized key/value cache.
    Attention(AttentionMode),
}

/// One bank unit. Only blocks that the model uses are built.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BankShape {
    /// Table builder and table lookup, one per distinct (k, sub).
    pub lookups: Vec<LookupShape>,
    /// Gated adder tree.
    pub gated: Option<GatedShape>,
    /// Binary quadratic blocks, on the gated adder tree.
    pub blocks: Option<BlockShape>,
    /// Multiply-add row for plain integer weights.
    pub mac: Option<MacShape>,
    /// Attention units, which stand beside the bank unit.
    pub attention: Option<AttentionShape>,
    /// Words (of the bytes of a beat, at least 8) of the byte-wise input memory of builders and
    /// multiply-add; 0 when unused.
    pub byte_words: u32,
    /// Width of a result word: the widest accumulator.
    pub result_bits: u32,
}

impl BankShape {
    /// Words of input memory that loads of bytes address: those of the bank unit, or the sub-vectors
    /// of a query.
    pub fn loaded_words(&self) -> u32 {
        self.byte_words.max(self.attention.as_ref().map_or(0, |a| a.parts()))
    }

    /// Whether there is anything in a bank unit.
    pub fn has_unit(&self) -> bool {
        self.modes().iter().any(|m| !matches!(m, StreamMode::Attention(_)))
    }

    /// The stream modes of this unit; a mode's number is its index here.
    pub fn modes(&self) -> Vec<StreamMode> {
        let mut modes = Vec::new();
        for i in 0..self.lookups.len() as u32 {
            modes.extend([StreamMode::Build(i), StreamMode::Lookup(i)]);
        }
        if let Some(g) = &self.gated {
            if g.generated_signs.is_some() {
                modes.push(StreamMode::Mask);
            }
        }
        if self.blocks.is_some() {
            modes.push(StreamMode::Blocks);
        }
        if self.mac.is_some() {
            modes.push(StreamMode::Mac);
        }
        if let Some(attention) = &self.attention {
            modes.extend(AttentionMode::of(attention).iter().copied().map(StreamMode::Attention));
        }
        modes
    }
}

/// Table builder and lookup for one (k, sub).
///
/// A beat of codes holds `lanes` codes of `code_bits`, the lowest first, as many in each of its words;
/// code i of beat q of a matrix row belongs to sub-vector `q*lanes + i`. A beat of the codebook holds
/// centroid j of `chunk` neighbouring sub-vectors, `sub` bytes each, as many in each of its words. Beats of the codebook come in the order
/// block (of `lanes` sub-vectors), centroid j, chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LookupShape {
    /// Centroids per codebook.
    pub k: u32,
    /// Inputs per sub-vector, 1..=8.
    pub sub: u32,
    /// Bits of a code: index_bits(k).
    pub code_bits: u32,
    /// Lookups per beat: 64 / code_bits of each of its words.
    pub lanes: u32,
    /// Sub-vectors per codebook beat: of each of its words the largest divisor of a word's lanes that
    /// is at most 8/sub.
    pub chunk: u32,
    /// Blocks of `lanes` sub-vectors that the tables hold, at most.
    pub blocks: u32,
    /// Width of a table entry (signed), from the proven range.
    pub entry_bits: u32,
    /// Width of the accumulator (signed), from the proven range of the sum.
    pub acc_bits: u32,
}

impl LookupShape {
    /// Codebook beats per centroid of a block.
    pub fn chunks(&self) -> u32 {
        self.lanes / self.chunk
    }
}

/// Gated adder tree over one-bit weights: inputs lie as bit planes, a beat of inputs to a plane word. Masks
/// and binary quadratic blocks share it; the tree itself is as wide as the inner sums of blocks,
/// where those have more bits than an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GatedShape {
    /// Bits of an input (signed): planes held, for masks and blocks alike.
    pub planes: u32,
    /// Plane words (groups of beat_bits inputs) held.
    pub groups: u32,
    /// Width of the accumulator (signed): of the sums of masks, and of t_k, X and acc_a of blocks.
    pub acc_bits: u32,
    /// Present when signs are generated (supermask): the most coats of any op.
    pub generated_signs: Option<u32>,
}

/// Binary quadratic blocks: y_a += r*acc_a + 2s*X*ones_a + u'*X + t*T for every row a of a block, with
/// t_k = sum_j B[k,j] x_j over signs, X = sum_j x_j, T = sum_k t_k, acc_a = sum_k A[a,k] t_k over signs
/// and ones_a the ones of row a of A. With u' = u - l*sum s this is the language's formula, since the
/// sum of row a of A is 2*ones_a - l.
///
/// A matrix row of the stream is one block and basis, in beats of `beat_bits`:
///
/// | beats | hold |
/// |---|---|
/// | `inner` rows of `x_beats` | B: bit j of beat q is the sign of input `beat_bits`*q + j, 1 is +1 |
/// | `scalar_beats(x_beats)` | beat 0: r (16 bits), t (16), 2s (32); beat 1: u' (64); zero beyond |
/// | `rows` rows of `t_beats` | A: bit k of beat q is the sign of t_(`beat_bits`*q + k) |
///
/// While the scalars pass, X is summed: their first `x_beats` beats run the inputs through the
/// adder tree with every sign +1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockShape {
    /// Bits of an input (signed).
    pub x_bits: u32,
    /// Bits of a t_k (signed).
    pub t_bits: u32,
    /// Largest inner dimension: t_k held.
    pub inner: u32,
    /// Most beats of a row of B.
    pub x_beats: u32,
    /// Bits of X (signed).
    pub x_sum_bits: u32,
    /// Bits of T (signed).
    pub t_sum_bits: u32,
    /// Bits of u'*X + t*T (signed), and of its terms.
    pub constant_bits: u32,
    /// Bits of 2s*X (signed).
    pub ones_factor_bits: u32,
    /// Bits of acc_a (signed).
    pub row_bits: u32,
    /// Bits of r (signed), at most 16.
    pub r_bits: u32,
    /// Bits of t (signed), at most 16.
    pub t_factor_bits: u32,
    /// Bits of 2s (signed), at most 17.
    pub s_bits: u32,
    /// Bits of u' (signed), at most 64.
    pub u_bits: u32,
    /// Bits of a result (signed).
    pub result_bits: u32,
}

impl BlockShape {
    /// Beats that the scalars take: as many as X. The products of the scalars are ready for the
    /// first row of A even if it follows at once.
    pub fn scalar_beats(x_beats: u32) -> u32 {
        x_beats.max(SCALAR_BEATS)
    }

    /// Bits of a count of ones of a row of A (unsigned).
    pub fn ones_bits(&self) -> u32 {
        u32::BITS - self.inner.leading_zeros()
    }

    /// Contradictions with the adder tree that does the sums and with the bank.
    pub(crate) fn faults(&self, shape: &ChannelShape) -> Vec<&'static str> {
        let bank = &shape.bank;
        let widths = [
            self.x_bits,
            self.t_bits,
            self.x_sum_bits,
            self.t_sum_bits,
            self.constant_bits,
            self.ones_factor_bits,
            self.row_bits,
            self.r_bits,
            self.t_factor_bits,
            self.s_bits,
            self.u_bits,
            self.result_bits,
        ];
        let sums = self.t_bits.max(self.x_sum_bits).max(self.row_bits);
        let rules = [
            (
                shape.beat_bits % WORD_BITS == 0,
                "a beat is whole words of 64 bits where blocks are built",
            ),
            (self.inner > 0 && self.x_beats > 0, "a block has an input and an inner sum"),
            (!widths.contains(&0), "no width of a block is 0"),
            (
                self.r_bits <= 16 && self.t_factor_bits <= 16 && self.s_bits <= 32,
                "the scalars r, t and 2s of a block fit their beat",
            ),
            (self.u_bits <= 64, "the scalar u' of a block fits its beat"),
            (
                self.t_sum_bits.max(self.t_bits) <= 64,
                "inner sums of a block and their total have at most 64 bits",
            ),
            (self.result_bits <= bank.result_bits, "a result word holds a block's results"),
            (bank.gated.is_some(), "blocks have a gated adder tree"),
            (
                bank.gated.is_none_or(|g| self.x_bits <= g.planes && sums <= g.acc_bits),
                "the gated adder tree holds a block's inputs and sums",
            ),
            (
                bank.gated.is_none_or(|g| self.x_beats <= g.groups),
                "the plane memory holds a block's inputs",
            ),
        ];
        rules.into_iter().filter(|(holds, _)| !holds).map(|(_, fault)| fault).collect()
    }
}

/// Fewest beats of the scalars of a block: those that hold them.
pub const SCALAR_BEATS: u32 = 2;

/// An int8 multiply-add for every byte of a beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MacShape {
    /// Width of the accumulator (signed).
    pub acc_bits: u32,
}

/// The buffer unit: a vector memory and an arithmetic pipeline, as many elements wide as there are
/// banks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BufferShape {
    /// Width of a word (signed): the widest value of the model.
    pub word_bits: u32,
    /// Words of vector memory.
    pub depth: u32,
    /// The vector operations that are built, in the order of [`VecOp::ALL`].
    pub ops: Vec<VecOp>,
    /// Requantiser fields, when `Requant` is built.
    pub requant: Option<RequantShape>,
    /// Width of multiplier operands when `Mul` is built.
    pub mul_bits: u32,
    /// The merge unit, when `Merge` is built.
    pub merge: Option<MergeShape>,
}

/// Requantiser: (x*mul + 2^(shift-1)) >> shift, clamped to the result's width.
/// Its constants lie in one word of vector memory: mul in the low `mul_bits`, shift above it, and
/// above that by how many bits the result is narrower than `out_bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequantShape {
    /// Width of the input x (signed).
    pub in_bits: u32,
    /// Width of mul (signed).
    pub mul_bits: u32,
    /// Width of shift (unsigned).
    pub shift_bits: u32,
    /// Width of the widest result (signed).
    pub out_bits: u32,
    /// Width of the field that narrows the result; 0 when every result is `out_bits` wide.
    pub narrow_bits: u32,
}

impl RequantShape {
    /// Bits of a constants word.
    pub fn constant_bits(&self) -> u32 {
        self.mul_bits + self.shift_bits + self.narrow_bits
    }

    /// The constants word for a result of `bits`, as the signed word of `word_bits` that vector
    /// memory holds; `None` if a constant does not fit its field.
    pub fn constant(&self, mul: i64, shift: u32, bits: u32, word_bits: u32) -> Option<i64> {
        let fits = |x: u32, bits: u32| u64::from(x) >> bits.min(63) == 0;
        let narrow = self.out_bits.checked_sub(bits)?;
        let limit = 1i64.checked_shl(self.mul_bits.checked_sub(1)?)?;
        let in_range = (-limit..limit).contains(&mul) && bits > 0;
        if !in_range || !fits(shift, self.shift_bits) || !fits(narrow, self.narrow_bits) {
            return None;
        }
        if self.constant_bits() > word_bits || word_bits > 64 || self.mul_bits > 62 {
            return None;
        }
        let low = mul & (2 * limit - 1);
        let above = i64::from(shift) | i64::from(narrow) << self.shift_bits;
        let word = low | above << self.mul_bits;
        Some(word << (64 - word_bits) >> (64 - word_bits))
    }
}
