//! The area proxy: gate equivalents (a two-input NAND each) from the shape of a channel.
//!
//! It counts what grows with the shape: adder cells, multiplier cells, registers, multiplexers, bits
//! of memory. It knows nothing of wires, of timing or of a process, so it ranks designs and does not
//! size them; `docs/area.md` compares it with what synthesis makes of generated units.
//!
//! | constant | value | source |
//! |---|---|---|
//! | [`ADDER`] | 7 | ours: two XOR and three NAND |
//! | [`MULTIPLIER`] | 8 | ours: an adder cell and the AND of a partial product |
//! | [`REGISTER`] | 5 | ASAP7: DFFHQNx1 of .2916 um2 over [`NAND_UM2`] |
//! | [`MUX`] | 2.33 | ours: seven gate pitches to a NAND's three |
//! | [`XOR`] | 2.33 | ours: the same |
//! | [`AND`] | 1.33 | ours: four gate pitches to three |
//! | [`MEMORY`] | 1.5 | ours: eight transistors to four, at three quarters of the area each, for a read and a write port |
//! | [`NAND_UM2`] | .0583 | ours: an ASAP7 NAND2 of 4 x 54 nm by 270 nm |
//! | [`ATTACC_UNIT_MM2`] | .094 | AttAcc (ASPLOS 2024): a bank unit in a DRAM process |
//! | [`ANCHOR_UM2`] | 9106 | an open reproduction in ASAP7: 16 FP16 multiply-adds with two buffers of 512 B |

mod attention;

use attention::{attention_unit, softmax_unit};
use pimc_rtl::isa::VecOp;
use pimc_rtl::shape::{BankShape, BlockShape, BufferShape, ChannelShape, LookupShape};
use serde::{Deserialize, Serialize};

/// A bit of an adder.
pub const ADDER: f64 = 7.0;
/// A bit times a bit of a multiplier.
pub const MULTIPLIER: f64 = 8.0;
/// A bit of a register.
pub const REGISTER: f64 = 5.0;
/// A bit of a choice between two.
pub const MUX: f64 = 2.33;
/// An exclusive or.
pub const XOR: f64 = 2.33;
/// An and.
pub const AND: f64 = 1.33;
/// A bit of a memory with a read and a write port.
pub const MEMORY: f64 = 1.5;
/// Square micrometres of a gate equivalent in ASAP7.
pub const NAND_UM2: f64 = 0.0583;
/// Square millimetres of AttAcc's bank unit, in a DRAM process.
pub const ATTACC_UNIT_MM2: f64 = 0.094;
/// Square micrometres of the same unit, in ASAP7.
pub const ANCHOR_UM2: f64 = 9106.0;
/// Units of the size of AttAcc's that a die bears: a quarter of it.
pub const ATTACC_UNITS_BORNE: f64 = 2.42;

/// Gate equivalents of the control of a sequencer: counters, refresh, decoding; as synthesised.
const SEQUENCER_CONTROL: f64 = 2500.0;

/// Gate equivalents of a design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Area {
    /// One bank unit.
    pub bank: u64,
    /// Of those, its memories.
    pub bank_memory: u64,
    /// The buffer unit.
    pub buffer: u64,
    /// Of those, vector memory and the softmax's memory of scores.
    pub buffer_memory: u64,
    /// The sequencer with its program memory.
    pub sequencer: u64,
    /// All bank units, the buffer unit and the sequencer.
    pub total: u64,
}

impl Area {
    /// The area of a channel.
    pub fn of(shape: &ChannelShape) -> Area {
        let memory = bank_memory(shape);
        let logic = |parts: Vec<Part>| parts.iter().map(|p| p.1).sum::<f64>();
        let bank = memory + logic(bank_parts(shape));
        let buffer = vector_memory(shape) + logic(buffer_parts(shape));
        let program = f64::from(shape.program_depth) * f64::from(shape.isa.word_bits());
        let control = SEQUENCER_CONTROL + REGISTER * f64::from(shape.isa.word_bits());
        let sequencer = program * MEMORY + control;
        let whole = |x: f64| x.round() as u64;
        let (bank, buffer, sequencer) = (whole(bank), whole(buffer), whole(sequencer));
        let total = u64::from(shape.banks) * bank + buffer + sequencer;
        let (bank_memory, buffer_memory) = (whole(memory), whole(vector_memory(shape)));
        Area { bank, bank_memory, buffer, buffer_memory, sequencer, total }
    }

    /// Square millimetres of one bank unit in a DRAM process: its gates in ASAP7, times how much
    /// larger AttAcc's unit is than its reproduction in ASAP7.
    pub fn bank_mm2(&self) -> f64 {
        self.bank as f64 * NAND_UM2 * ATTACC_UNIT_MM2 / ANCHOR_UM2
    }
}

fn adder(bits: u32) -> f64 {
    ADDER * f64::from(bits)
}

fn multiplier(a: u32, b: u32) -> f64 {
    MULTIPLIER * f64::from(a) * f64::from(b)
}

fn register(bits: u32) -> f64 {
    REGISTER * f64::from(bits)
}

/// A choice between `n` words.
fn choice(bits: u32, n: u32) -> f64 {
    MUX * f64::from(bits) * f64::from(n.saturating_sub(1))
}

/// A register that keeps its value, or takes another.
fn kept(bits: u32) -> f64 {
    register(bits) + choice(bits, 2)
}

/// Adds to itself, or starts anew.
fn accumulator(bits: u32) -> f64 {
    adder(bits) + kept(bits)
}

/// The sum of `n` words, in words of `bits`.
fn tree(n: u32, bits: u32) -> f64 {
    f64::from(n.saturating_sub(1)) * adder(bits)
}

/// Number of ones among `n` bits: about an adder cell a bit.
fn count_ones(n: u32) -> f64 {
    adder(n)
}

fn bits(a: u32, b: u32) -> f64 {
    f64::from(a) * f64::from(b)
}

/// Bits of the tables of a lookup unit.
fn table_bits(l: &LookupShape) -> f64 {
    bits(l.lanes, l.entry_bits) * bits(l.blocks, l.k)
}

/// Tables, byte memory and plane memory of a bank unit.
fn bank_memory(shape: &ChannelShape) -> f64 {
    let bank = &shape.bank;
    let tables: f64 = bank.lookups.iter().map(table_bits).sum();
    let planes = bank.gated.map_or(0.0, |g| bits(g.planes, g.groups) * f64::from(shape.beat_bits));
    let attention = bank
        .attention
        .as_ref()
        .map_or(0.0, |a| (a.memory_bits(shape) + a.mean_memory_bits(shape.beat_bits)) as f64);
    MEMORY * (tables + planes + attention + bits(bank.byte_words, 64))
}

/// What a part is called, and its gate equivalents.
pub type Part = (&'static str, f64);

/// Everything of a bank unit but its memories.
pub fn bank_parts(shape: &ChannelShape) -> Vec<Part> {
    let BankShape { lookups, gated, blocks, mac, result_bits, .. } = &shape.bank;
    let beat = shape.beat_bits;
    if let (Some(a), false) = (&shape.bank.attention, shape.bank.has_unit()) {
        return attention_unit(a, shape);
    }
    // The column, a beat of it chosen, counters; the result of one of the modes.
    let results = register(*result_bits) + choice(*result_bits, shape.bank.modes().len() as u32);
    let column = kept(beat * shape.beats) + choice(beat, shape.beats) + kept(64) + results;
    let mut parts = vec![("column and results", column)];
    parts.extend(lookups.iter().map(|l| ("lookup unit", lookup_unit(l, beat))));
    if let Some(g) = gated {
        let planes = f64::from(g.planes.max(blocks.map_or(0, |b| b.t_bits)));
        // A plane's bits are turned by the sign and gated, then counted; so are the signs themselves.
        let gates = f64::from(beat) * (XOR + AND);
        let counts = planes * (gates + count_ones(beat)) + count_ones(beat);
        let sums = planes * adder(g.acc_bits) + accumulator(g.acc_bits) + register(beat);
        // The ones of the signs of a block's row are counted here too.
        let ones = blocks.map_or(0.0, |b| count_ones(beat) + accumulator(b.ones_bits()));
        parts.push(("gated adder tree", counts + sums + ones));
        if g.generated_signs.is_some() {
            // The lower half of a product of 32 bits, four words of state, three shifts by two steps.
            let signs = multiplier(32, 32) / 2.0 + 4.0 * kept(32) + 6.0 * 32.0 * XOR;
            parts.push(("sign generator", signs));
        }
    }
    parts.extend(blocks.map(|b| ("blocks", block_unit(&b, beat))));
    parts.extend(shape.bank.attention.iter().flat_map(|a| attention_unit(a, shape)));
    if let Some(m) = mac {
        let lanes = beat / 8;
        let sum = f64::from(lanes) * multiplier(8, 8) + tree(lanes, 16 + 3);
        parts.push(("multiply-add row", sum + accumulator(m.acc_bits) + register(beat)));
    }
    parts
}

/// Table builder and table lookup.
fn lookup_unit(l: &LookupShape, beat: u32) -> f64 {
    let products = f64::from(l.chunk * l.sub) * multiplier(8, 8);
    let dots = f64::from(l.chunk) * (tree(l.sub, l.entry_bits) + register(l.entry_bits));
    let build = products + dots + register(beat) + accumulator(32);
    build + tree(l.lanes, l.acc_bits.min(l.entry_bits + 4)) + accumulator(l.acc_bits)
}

/// What binary quadratic blocks add to the gated adder tree: inner sums as planes, scalars, products.
fn block_unit(b: &BlockShape, beat: u32) -> f64 {
    let groups = b.inner.div_ceil(beat);
    // Every t_k is written on its own; its planes or the inputs' go to the adder tree.
    let place = kept(b.t_bits) + choice(b.t_bits, 2);
    let planes = f64::from(groups * beat) * place + choice(beat * b.t_bits, groups + 1);
    let held = b.r_bits + b.t_factor_bits + b.s_bits + b.u_bits;
    let sums = b.x_sum_bits + b.constant_bits + b.ones_factor_bits;
    let factor = b.u_bits.max(b.t_factor_bits).max(b.s_bits);
    let scalars = multiplier(factor, b.x_sum_bits.max(b.t_sum_bits)) + adder(b.constant_bits);
    let rows = multiplier(b.r_bits, b.row_bits) + multiplier(b.ones_factor_bits, b.ones_bits());
    let results = 2.0 * adder(b.result_bits) + 2.0 * register(b.result_bits);
    planes + kept(held + sums) + accumulator(b.t_sum_bits) + scalars + rows + results
}

/// Vector memory in two copies: one for each read port. The softmax's scores too.
fn vector_memory(shape: &ChannelShape) -> f64 {
    let scores = shape.bank.attention.as_ref().map_or(0.0, |a| a.score_memory_bits(shape) as f64);
    MEMORY * (2.0 * bits(shape.vector_depth(), shape.buffer.word_bits) + scores)
}

/// Everything of the buffer unit but its memory.
pub fn buffer_parts(shape: &ChannelShape) -> Vec<Part> {
    let BufferShape { word_bits: word, requant, mul_bits, ops, .. } = &shape.buffer;
    let (word, lanes) = (*word, shape.lanes());
    let each = f64::from(lanes);
    let has = |op: VecOp| ops.contains(&op);
    // Two read ports and the write port, whose enables turn too.
    let stages = f64::from(lanes.ilog2());
    let mut parts = vec![("rotators", each * stages * choice(3 * word + 1, 2))];
    let mut lane = 4.0 * register(word) + choice(word, 4);
    if has(VecOp::Add) {
        lane += adder(word);
    }
    if has(VecOp::Mul) {
        lane += multiplier(*mul_bits, *mul_bits) + register(word);
    }
    parts.push(("lanes", each * lane));
    if let Some(r) = requant {
        let product = r.in_bits + r.mul_bits;
        let shift = f64::from(r.shift_bits) * choice(product, 2) + adder(product);
        let clamp = 2.0 * choice(r.out_bits, 2) + register(product + r.shift_bits);
        let one = multiplier(r.in_bits, r.mul_bits) + register(product) + shift + clamp;
        parts.push(("requantisers", each * one));
    }
    if has(VecOp::Sum) {
        let sum = tree(lanes, word) + each * register(word) + accumulator(word);
        parts.push(("sum", sum));
    }
    if has(VecOp::Argmax) {
        parts.push(("argmax", adder(word) + 2.0 * kept(word)));
    }
    let mut collect = 0.0;
    if has(VecOp::Collect) || has(VecOp::CollectSum) {
        collect += each * register(word);
    }
    if has(VecOp::CollectSum) {
        collect += tree(lanes, word) + accumulator(word);
    }
    parts.push(("collection of results", collect));
    if has(VecOp::LoadBytes) {
        parts.push(("byte packer", kept(shape.load_bits())));
    }
    if let Some(g) = shape.bank.gated.filter(|_| has(VecOp::LoadPlanes)) {
        parts.push(("plane packer", 2.0 * f64::from(g.planes) * kept(shape.beat_bits)));
    }
    if let Some(a) = &shape.bank.attention {
        parts.push(("softmax unit", softmax_unit(a, shape)));
    }
    // Steps, addresses, the host's port.
    parts.push(("control", 8.0 * accumulator(shape.isa.addr_bits) + kept(2 * word)));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_grow_with_what_they_are_made_of() {
        assert_eq!(adder(10), 70.0);
        assert_eq!(multiplier(8, 8), 512.0);
        assert_eq!(tree(1, 8), 0.0);
        assert_eq!(choice(64, 4), 3.0 * 64.0 * MUX);
        let l = LookupShape {
            k: 16,
            sub: 2,
            code_bits: 4,
            lanes: 16,
            chunk: 4,
            blocks: 2,
            entry_bits: 16,
            acc_bits: 19,
        };
        assert_eq!(table_bits(&l), 16.0 * 16.0 * 32.0);
        // Eight multipliers of 8 x 8 and fifteen adders at least.
        assert!(lookup_unit(&l, 64) > 8.0 * 512.0 + 15.0 * adder(16));
    }

    #[test]
    fn the_anchor_is_its_own_area() {
        // As many gates as the ASAP7 unit has are AttAcc's unit in a DRAM process.
        let gates = (ANCHOR_UM2 / NAND_UM2).round() as u64;
        let area = Area {
            bank: gates,
            bank_memory: 0,
            buffer: 0,
            buffer_memory: 0,
            sequencer: 0,
            total: 0,
        };
        assert!((area.bank_mm2() - ATTACC_UNIT_MM2).abs() < 1e-6);
    }
}
