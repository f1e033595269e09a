//! Latencies of the units in clocks: facts of the hardware that the scheduler relies on. The
//! simulation test of each unit checks them.

use crate::attention::{AttentionMode, AttentionShape, ACCUMULATE_LATENCY, MEAN_CLOCKS};
use crate::isa::{VecOp, Vector};
use crate::shape::{ChannelShape, StreamMode};

/// Clocks of a vector operation on top of its steps: to the issue of what needs its results, which
/// may be the program's end.
pub const VEC_LATENCY: u32 = 6;
/// The same of a load of bytes.
pub const BYTES_LATENCY: u32 = 2;
/// The same of a load of planes, on top of the clocks of its groups and of the last one's planes.
pub const PLANES_LATENCY: u32 = 1;
/// From the last beat of a matrix row entering the data path to its result leaving the bank unit;
/// for a row of a block, see [`BLOCK_LATENCY`].
pub const UNIT_LATENCY: u32 = 2;
/// From the last beat of a row of A of a binary quadratic block to its result.
pub const BLOCK_LATENCY: u32 = 3;
/// From a collected result leaving the bank units to the issue of what needs it, which may be the
/// program's end.
pub const COLLECT_CLOCKS: u32 = 2;
/// From the key and row entering the sign generator to its first word being ready; also the
/// fewest clocks between the first columns of two matrix rows in mode `Mask`.
pub const SEED_CLOCKS: u32 = 4;

/// Clocks by which the sequencer's idle refresh comes before its deadline: a start in the last of
/// them, whose program begins with a refresh of its own, still keeps it. So a program ends at least
/// that long before its last refresh is overdue.
pub const IDLE_CLOCKS: u32 = 2;

/// Steps of the buffer unit that an operation takes, but for a load of planes, which takes whole
/// groups.
fn vec_steps(v: &Vector, shape: &ChannelShape) -> u32 {
    match v.op {
        VecOp::Table | VecOp::Argmax => v.len,
        // B is the bytes of a block, of which the last one is filled up, D those of a word.
        VecOp::LoadBytes => {
            let words = v.len.next_multiple_of(v.b.max(1)).div_ceil(v.d.max(1));
            words * v.d.div_ceil(shape.lanes())
        }
        _ => v.len.div_ceil(shape.lanes()),
    }
}

/// Clocks that the buffer unit is busy with an operation, from its issue to the issue of one that
/// reads what it wrote.
pub fn vec_clocks(v: &Vector, shape: &ChannelShape) -> u32 {
    match v.op {
        VecOp::LoadBytes => vec_steps(v, shape) + BYTES_LATENCY,
        VecOp::LoadPlanes => {
            let before = v.len.div_ceil(shape.beat_bits) - 1;
            let last = shape.group_steps() + shape.plane_clocks();
            before * shape.group_clocks() + last + PLANES_LATENCY
        }
        _ => vec_steps(v, shape) + VEC_LATENCY,
    }
}

/// Clocks from a row's last beat entering the data path to its result leaving the bank unit.
pub fn row_clocks(mode: StreamMode) -> u32 {
    match mode {
        StreamMode::Blocks => BLOCK_LATENCY,
        _ => UNIT_LATENCY,
    }
}

/// Clocks from the issue of a column read to the end of all that its data do in the attention units.
pub fn attention_clocks(mode: AttentionMode, shape: &ChannelShape) -> u32 {
    let means = match (&shape.bank.attention, mode) {
        (Some(a), AttentionMode::Update) => a.chunk(shape.beat_bits) * shape.beats * MEAN_CLOCKS,
        _ => 0,
    };
    1 + shape.read_latency + shape.beats + mode.latency() + means
}

/// Clocks from the issue of a stream of mode `Clear` to the issue of the next one: a word of sums a clock.
pub fn clear_clocks(attention: &AttentionShape, beat_bits: u32) -> u32 {
    attention.mean_depth(beat_bits)
}

/// Clocks from the issue of a stream of mode `Accumulate` to the issue of the next one, or to another
/// encoder, weight or token.
pub fn accumulate_clocks(attention: &AttentionShape) -> u32 {
    attention.slices + ACCUMULATE_LATENCY
}

/// Clocks from the issue of a column read to the result of a row that ends in the column's last beat
/// leaving the bank unit, in the slowest mode of the shape: one to the command port, the read, the
/// beats, of which the first is in the clock behind the data.
pub fn column_clocks(shape: &ChannelShape) -> u32 {
    let row = shape.bank.modes().into_iter().map(row_clocks).max();
    shape.read_latency + 1 + shape.beats + row.unwrap_or(UNIT_LATENCY)
}
