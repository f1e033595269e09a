//! Shapes and random numbers for the tests.

use pimc_rtl::isa::{Instr, IsaShape, VecOp};
use pimc_rtl::shape::{
    BankShape, BlockShape, BufferShape, ChannelShape, GatedShape, LookupShape, MacShape,
    RequantShape,
};
use pimc_rtl::testing::merge;

/// SplitMix64: the same numbers every time.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// Below `n`.
    pub fn below(&mut self, n: u32) -> u32 {
        (self.next() % u64::from(n)) as u32
    }

    /// A signed value of `bits`; the ends come often.
    pub fn signed(&mut self, bits: u32) -> i64 {
        let limit = 1i64 << (bits - 1);
        match self.below(8) {
            0 => -limit,
            1 => limit - 1,
            _ => (self.next() as i64) >> (64 - bits),
        }
    }
}

/// A channel with every block, for programs of `isa`.
pub fn everything() -> ChannelShape {
    ChannelShape {
        banks: 16,
        beats: 4,
        beat_bits: 64,
        read_latency: 9,
        write_latency: None,
        dram_rows: 64,
        dram_cols: 8,
        refi: 300,
        rfc: 20,
        isa: IsaShape {
            delay_bits: 10,
            row_bits: 6,
            col_bits: 3,
            count_bits: 7,
            mode_bits: 3,
            columns_bits: 4,
            beats_bits: 2,
            coats_bits: 2,
            key_bits: 32,
            block_bits: 7,
            addr_bits: 9,
            bank_bits: 5,
            dynamic: Default::default(),
        },
        program_depth: 200,
        arg_words: 0,
        bank: BankShape {
            lookups: vec![LookupShape {
                k: 4,
                sub: 2,
                code_bits: 2,
                lanes: 32,
                chunk: 4,
                blocks: 2,
                entry_bits: 17,
                acc_bits: 22,
            }],
            gated: Some(GatedShape {
                planes: 9,
                groups: 3,
                acc_bits: 22,
                generated_signs: Some(3),
            }),
            blocks: Some(BlockShape {
                x_bits: 8,
                t_bits: 15,
                inner: 70,
                x_beats: 2,
                x_sum_bits: 15,
                t_sum_bits: 21,
                constant_bits: 26,
                ones_factor_bits: 18,
                row_bits: 22,
                r_bits: 4,
                t_factor_bits: 5,
                s_bits: 4,
                u_bits: 10,
                result_bits: 27,
            }),
            mac: Some(MacShape { acc_bits: 22 }),
            attention: None,
            byte_words: 20,
            result_bits: 27,
        },
        buffer: BufferShape {
            // Wider than a log-sum-exp.
            word_bits: 33,
            depth: 500,
            ops: VecOp::ALL.to_vec(),
            merge: Some(merge(20)),
            requant: Some(RequantShape {
                in_bits: 20,
                mul_bits: 16,
                shift_bits: 5,
                out_bits: 12,
                narrow_bits: 4,
            }),
            mul_bits: 14,
        },
    }
}

/// `shape` with the field widths and the depth of `program`.
pub fn fit(shape: &ChannelShape, program: &[Instr]) -> ChannelShape {
    let isa = IsaShape::smallest(program, &shape.bank, shape.beats, shape.buffer.depth);
    ChannelShape { isa, program_depth: program.len() as u32, ..shape.clone() }
}

/// `shape` on beats of 128 bits, two to a column.
pub fn wide_beats(shape: ChannelShape) -> ChannelShape {
    let lookups = shape.bank.lookups.iter().map(|l| pimc_rtl::testing::wide(*l)).collect();
    ChannelShape {
        beats: 2,
        beat_bits: 128,
        isa: IsaShape { beats_bits: 1, ..shape.isa },
        bank: BankShape { lookups, ..shape.bank },
        ..shape
    }
}

/// Everything, and attention: in four banks, all of them to a token.
pub fn cached() -> ChannelShape {
    let all = everything();
    let attention = pimc_rtl::testing::attention(4, (4, 8, 64), (2, 1), (4, 8, 200));
    let bank = BankShape { attention: Some(attention), ..all.bank };
    let isa = IsaShape::smallest(&[], &bank, all.beats, all.buffer.depth);
    ChannelShape {
        banks: 4,
        read_latency: 13,
        write_latency: Some(5),
        arg_words: 64,
        isa: IsaShape { dynamic: isa.dynamic, mode_bits: isa.mode_bits, ..all.isa },
        bank,
        ..all
    }
}

/// Attention alone: two banks to a token, two token groups, a window that tokens leave.
pub fn attention_alone() -> ChannelShape {
    let attention = pimc_rtl::testing::attention(4, (2, 4, 16), (1, 2), (2, 6, 100));
    let shape = pimc_rtl::testing::attention_channel(4, attention, 64);
    ChannelShape {
        read_latency: 12,
        write_latency: Some(4),
        rfc: 20,
        arg_words: 20,
        isa: IsaShape { coats_bits: 0, key_bits: 0, addr_bits: 6, ..shape.isa },
        buffer: BufferShape {
            ops: vec![VecOp::CollectSum, VecOp::LoadBytes],
            merge: None,
            ..shape.buffer
        },
        ..shape
    }
}

/// Two banks that look codes up, and the operations that such a layer needs.
pub fn product_quantized() -> ChannelShape {
    ChannelShape {
        banks: 2,
        beats: 2,
        beat_bits: 16,
        read_latency: 3,
        write_latency: None,
        dram_rows: 16,
        dram_cols: 4,
        refi: 200,
        rfc: 12,
        isa: IsaShape {
            delay_bits: 6,
            row_bits: 4,
            col_bits: 2,
            count_bits: 3,
            mode_bits: 1,
            columns_bits: 2,
            beats_bits: 1,
            coats_bits: 0,
            key_bits: 0,
            block_bits: 0,
            addr_bits: 5,
            bank_bits: 0,
            dynamic: Default::default(),
        },
        program_depth: 16,
        arg_words: 0,
        bank: BankShape {
            lookups: vec![LookupShape {
                k: 4,
                sub: 1,
                code_bits: 2,
                lanes: 8,
                chunk: 2,
                blocks: 1,
                entry_bits: 15,
                acc_bits: 18,
            }],
            gated: None,
            blocks: None,
            mac: None,
            attention: None,
            byte_words: 4,
            result_bits: 18,
        },
        buffer: BufferShape {
            word_bits: 20,
            depth: 32,
            ops: vec![VecOp::Add, VecOp::Requant, VecOp::Collect, VecOp::LoadBytes],
            requant: Some(RequantShape {
                in_bits: 19,
                mul_bits: 12,
                shift_bits: 4,
                out_bits: 8,
                narrow_bits: 0,
            }),
            mul_bits: 0,
            merge: None,
        },
    }
}

/// `ops` and `gated` in the place of everything.
fn only_gated(
    gated: GatedShape,
    blocks: Option<BlockShape>,
    ops: &[VecOp],
    isa: IsaShape,
) -> ChannelShape {
    let all = everything();
    ChannelShape {
        isa,
        bank: BankShape {
            lookups: vec![],
            gated: Some(gated),
            blocks,
            mac: None,
            byte_words: 0,
            ..all.bank
        },
        buffer: BufferShape { ops: ops.to_vec(), requant: None, merge: None, ..all.buffer },
        ..all
    }
}

/// A supermask of one coat, and nothing after it.
pub fn masked() -> ChannelShape {
    let all = everything();
    let gated = GatedShape { generated_signs: Some(1), ..all.bank.gated.unwrap() };
    let isa = IsaShape { mode_bits: 0, coats_bits: 0, block_bits: 0, ..all.isa };
    only_gated(gated, None, &[VecOp::Collect, VecOp::LoadPlanes], isa)
}

/// Binary quadratic blocks whose inner sums are one group.
pub fn quadratic() -> ChannelShape {
    let all = everything();
    let gated = GatedShape { planes: 8, generated_signs: None, ..all.bank.gated.unwrap() };
    let blocks = all.bank.blocks.map(|b| BlockShape { inner: 64, ..b });
    let isa = IsaShape { mode_bits: 0, coats_bits: 0, key_bits: 0, ..all.isa };
    only_gated(gated, blocks, &[VecOp::Sum, VecOp::CollectSum, VecOp::LoadPlanes], isa)
}

/// Plain weights in two banks, the fewest there can be.
pub fn plain() -> ChannelShape {
    let all = everything();
    let isa = IsaShape { mode_bits: 0, coats_bits: 0, key_bits: 0, block_bits: 0, ..all.isa };
    ChannelShape {
        banks: 2,
        isa,
        bank: BankShape { lookups: vec![], gated: None, blocks: None, ..all.bank },
        buffer: BufferShape {
            ops: vec![VecOp::Copy, VecOp::Argmax, VecOp::Collect, VecOp::LoadBytes],
            requant: None,
            merge: None,
            ..all.buffer
        },
        ..all
    }
}

/// Merges of states of attention, and nothing beside them but what a channel has.
pub fn merging() -> ChannelShape {
    let all = plain();
    ChannelShape {
        buffer: BufferShape {
            word_bits: 32,
            ops: vec![VecOp::Collect, VecOp::LoadBytes, VecOp::Merge],
            merge: Some(merge(32)),
            ..all.buffer
        },
        ..all
    }
}
