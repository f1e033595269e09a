//! The bank unit: one column register, the beat counter, and the data paths that the shape asks for.

use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape, StreamMode};

/// What stands beside one bank. Optional ports are `Vec`s of none or one; one whose block is not
/// built is not there.
#[derive(LogicBlock)]
pub struct BankUnit {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A stream begins: resets every counter. The mode, coats and key are held from here until the
    /// last result of the stream is written.
    pub stream_start: Signal<In, Bit>,
    /// Index into [`crate::shape::BankShape::modes`]; only when there are two or more.
    pub mode: Vec<Wire<In>>,
    /// Mask: coats less 1; only when the shape knows more than one coat.
    pub coats_less_1: Vec<Wire<In>>,
    /// Mask: the key of the sign generator.
    pub sign_key: Vec<Wire<In>>,
    /// Mask: the number of this bank.
    pub bank: Vec<Wire<In>>,
    /// Mask: seeds the sign generator for the next matrix row, `SEED_CLOCKS` before the clock of
    /// `col_valid` of its first column.
    pub sign_start: Vec<Signal<In, Bit>>,

    /// A column of the stream is on `rd_data` in this clock.
    pub col_valid: Signal<In, Bit>,
    /// It is the first of a matrix row. Not looked at when the mode is `Build`.
    pub col_first: Signal<In, Bit>,
    /// It is the last of a matrix row. Not looked at when the mode is `Build`.
    pub col_last: Signal<In, Bit>,
    /// Beats of it that are used, less 1.
    pub col_beats: Wire<In>,
    /// The column, `beats` words of `beat_bits`.
    pub rd_data: Vec<Wire<In>>,

    /// Byte memory: write `load_data` to word `byte_addr`.
    pub byte_we: Vec<Signal<In, Bit>>,
    /// Byte memory: the word.
    pub byte_addr: Vec<Wire<In>>,
    /// Plane memory: write `load_data` to plane `plane` of group `plane_group`.
    pub plane_we: Vec<Signal<In, Bit>>,
    /// Plane memory: the bit of the inputs.
    pub plane: Vec<Wire<In>>,
    /// Plane memory: the group of `beat_bits` inputs.
    pub plane_group: Vec<Wire<In>>,
    /// 64 bits for either memory; only when one of them is built.
    pub load_data: Vec<Wire<In>>,

    /// Index of a matrix row in this bank.
    pub drain_index: Wire<In>,
    /// Its result, one clock after `drain_index`.
    pub result: Wire<Out>,
    /// Its count of ones, at the same time; only when ones are counted.
    pub ones: Vec<Wire<Out>>,
}

impl BankUnit {
    /// The unit of a channel's shape.
    pub fn new(shape: &ChannelShape) -> Self {
        let bank = &shape.bank;
        let modes = bank.modes();
        let masked = modes.contains(&StreamMode::Mask) as usize;
        let coats = bank.gated.and_then(|g| g.generated_signs).unwrap_or(0);
        let bytes = (bank.byte_words > 0) as usize;
        let gated = bank.gated.iter().len();
        let planes = bank.gated.map_or(0, |g| g.planes);
        let groups = bank.gated.map_or(0, |g| g.groups);
        let ones_bits = bank.gated.and_then(|g| g.column_signs).unwrap_or(0);
        BankUnit {
            clock: Signal::default(),
            stream_start: Signal::default(),
            mode: vec![Wire::new(u(index_bits(modes.len() as u32))); (modes.len() > 1) as usize],
            coats_less_1: vec![Wire::new(u(index_bits(coats))); (coats > 1) as usize],
            sign_key: vec![Wire::new(u(32)); masked],
            bank: vec![Wire::new(u(index_bits(shape.banks))); masked],
            sign_start: vec![Signal::default(); masked],
            col_valid: Signal::default(),
            col_first: Signal::default(),
            col_last: Signal::default(),
            col_beats: Wire::new(u(index_bits(shape.beats))),
            rd_data: vec![Wire::new(u(shape.beat_bits)); shape.beats as usize],
            byte_we: vec![Signal::default(); bytes],
            byte_addr: vec![Wire::new(u(index_bits(bank.byte_words))); bytes],
            plane_we: vec![Signal::default(); gated],
            plane: vec![Wire::new(u(index_bits(planes))); gated],
            plane_group: vec![Wire::new(u(index_bits(groups))); gated],
            load_data: vec![Wire::new(u(64)); (bytes + gated > 0) as usize],
            drain_index: Wire::new(u(index_bits(bank.result_depth))),
            result: Wire::new(s(bank.result_bits)),
            ones: vec![Wire::new(u(ones_bits.max(1))); (ones_bits > 0) as usize],
        }
    }
}

impl Logic for BankUnit {
    // The data paths follow.
    fn update(&mut self) {}
}
