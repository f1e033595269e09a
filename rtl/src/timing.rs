//! Latencies of the units in clocks: facts of the hardware that the scheduler relies on. The
//! simulation test of each unit checks them.

use crate::isa::{VecOp, Vector};
use crate::shape::{ChannelShape, StreamMode};

/// From the last element of a vector operation being issued to its result being readable.
pub const VEC_LATENCY: u32 = 6;
/// From the last beat of a matrix row entering the data path to its result leaving the bank unit;
/// for a row of a block, see [`BLOCK_LATENCY`].
pub const UNIT_LATENCY: u32 = 2;
/// From the last beat of a row of A of a binary quadratic block to its result.
pub const BLOCK_LATENCY: u32 = 3;
/// From a result leaving the bank units to its being readable in vector memory, when it is collected.
pub const COLLECT_CLOCKS: u32 = VEC_LATENCY + 4;
/// From the key and row entering the sign generator to its first word being ready; also the
/// fewest clocks between the first columns of two matrix rows in mode `Mask`.
pub const SEED_CLOCKS: u32 = 4;

/// Clocks by which the sequencer's idle refresh comes before its deadline: a start in the last of
/// them, whose program begins with a refresh of its own, still keeps it. So a program ends at least
/// that long before its last refresh is overdue.
pub const IDLE_CLOCKS: u32 = 2;

/// Clocks that the buffer unit is busy with an operation, from its issue to the issue of one that
/// reads what it wrote.
pub fn vec_clocks(v: &Vector, shape: &ChannelShape) -> u32 {
    let planes = shape.bank.gated.map_or(0, |g| g.planes);
    let len = v.len;
    match v.op {
        // B is the bytes of a block, of which the last one is filled up.
        VecOp::LoadBytes => len.next_multiple_of(v.b.max(1)) + VEC_LATENCY,
        VecOp::LoadPlanes => len.next_multiple_of(shape.beat_bits) + planes + VEC_LATENCY,
        _ => len + VEC_LATENCY,
    }
}

/// Clocks from a row's last beat entering the data path to its result leaving the bank unit.
pub fn row_clocks(mode: StreamMode) -> u32 {
    match mode {
        StreamMode::Blocks => BLOCK_LATENCY,
        _ => UNIT_LATENCY,
    }
}

/// Clocks from the issue of a column read to the result of a row that ends in the column's last beat
/// leaving the bank unit, in the slowest mode of the shape: one to the command port, the read, the
/// beats, of which the first is in the clock behind the data.
pub fn column_clocks(shape: &ChannelShape) -> u32 {
    let row = shape.bank.modes().into_iter().map(row_clocks).max();
    shape.read_latency + 1 + shape.beats + row.unwrap_or(UNIT_LATENCY)
}
