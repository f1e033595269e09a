//! What a bank unit of a shape consists of: its blocks, and the widths between them.

use super::BankUnit;
use crate::block_unit::BlockUnit;
use crate::gated_sum::GatedSum;
use crate::hdl::prelude::*;
use crate::lookup_unit::{LookupPorts, LookupUnit};
use crate::mac_row::MacRow;
use crate::shape::{index_bits, ChannelShape, StreamMode};
use crate::sign_gen::SignGen;
use crate::table_lookup::TableLookup;

/// Widths that follow from a shape.
struct Widths {
    step: u32,
    byte: u32,
    lookup_sum: u32,
    acc: u32,
}

impl Widths {
    fn of(shape: &ChannelShape) -> Widths {
        let bank = &shape.bank;
        let steps = bank.lookups.iter().map(|l| l.blocks);
        let steps = steps.chain(bank.gated.map(|g| g.groups));
        let steps = steps.chain(bank.mac.map(|_| bank.byte_words));
        let byte = bank.lookups.iter().map(|l| 8 * l.chunk * l.sub);
        let byte = byte.chain(bank.mac.map(|_| shape.beat_bits));
        let lookup_sum = bank.lookups.iter().map(TableLookup::sum_bits).max();
        let sums = lookup_sum.into_iter();
        let sums = sums.chain(bank.gated.map(|g| g.acc_bits));
        let sums = sums.chain(bank.mac.as_ref().map(MacRow::sum_bits));
        Widths {
            step: index_bits(steps.max().unwrap_or(1)),
            byte: byte.max().unwrap_or(shape.beat_bits),
            lookup_sum: lookup_sum.unwrap_or(1),
            acc: sums.max().unwrap_or(1).max(bank.result_bits),
        }
    }
}

/// `there` elements, each made by `make`.
fn vec_of<T>(there: bool, make: impl FnOnce() -> T) -> Vec<T> {
    there.then(make).into_iter().collect()
}

impl BankUnit {
    /// The unit of a channel's shape.
    pub fn new(shape: &ChannelShape) -> Self {
        let bank = &shape.bank;
        let w = Widths::of(shape);
        let modes = bank.modes();
        let mode_of = |m: StreamMode| modes.iter().position(|x| *x == m);
        let number = |m: StreamMode| Const::new(mode_of(m).unwrap_or(0));
        let has = |m: StreamMode| mode_of(m).is_some();
        let (mask, blocks, mac) =
            (has(StreamMode::Mask), has(StreamMode::Blocks), has(StreamMode::Mac));
        let coats = bank.gated.and_then(|g| g.generated_signs).unwrap_or(0);
        let bytes = bank.byte_words > 0;
        let gated = bank.gated.is_some();
        let plane_count = bank.gated.map_or(0, |g| g.planes);
        let second = if gated { shape.planes_at_once() as usize - 1 } else { 0 };
        let block_bits = shape.isa.block_bits;
        // Blocks hand the planes on to the adder tree, widened where inner sums have more bits.
        let gated_blocks = bank.gated.zip(bank.blocks);
        let tree_planes = gated_blocks.map_or(0, |(g, b)| g.planes.max(b.t_bits) as usize);
        let block_unit = |(g, b)| Inst::new(BlockUnit::new(&b, &g, block_bits, shape.beat_bits));
        let gated_sum = |g| GatedSum::new(g, bank.blocks.as_ref(), shape.beat_bits);
        let groups = bank.gated.map_or(1, |g| g.groups);
        let beat = u(shape.beat_bits);
        let flag = |n: bool| vec![Signal::default(); n as usize];
        let memory = |depth: u32, ty: Ty| Ram::with_depth(depth as usize, index_bits(depth), ty);
        let ports = LookupPorts {
            beat_bits: shape.beat_bits,
            step_bits: w.step,
            byte_words: bank.byte_words,
            byte_bits: w.byte,
            sum_bits: w.lookup_sum,
        };
        let lookup = bank.lookups.iter().map(|l| Inst::new(LookupUnit::new(l, &ports))).collect();
        let word = shape.load_bits();
        let load_bits = match (gated, bytes) {
            (true, _) => word,
            (false, true) => w.byte,
            (false, false) => 0,
        };
        let unused_load = Unused::above(u(word), load_bits);
        let unused_acc = Unused::above(s(w.acc), bank.result_bits);
        let no_start = bank.lookups.is_empty() && !mask && !blocks;
        let blocks_alone = modes == [StreamMode::Blocks];
        let unread = if blocks_alone { 0 } else { bank.result_bits };
        let many_modes = modes.len() > 1;
        let many_coats = coats > 1;
        BankUnit {
            clock: Signal::default(),
            stream_start: Signal::default(),
            mode: vec_of(many_modes, || Wire::new(u(index_bits(modes.len() as u32)))),
            block: vec_of(blocks, || Wire::new(u(5 * block_bits))),
            coats_less_1: vec_of(many_coats, || Wire::new(u(index_bits(coats)))),
            sign_key: vec_of(mask, || Wire::new(u(32))),
            bank: vec_of(mask, || Wire::new(u(index_bits(shape.banks)))),
            sign_start: vec_of(mask, Signal::default),
            col_valid: Signal::default(),
            col_first: Signal::default(),
            col_last: Signal::default(),
            col_beats: Wire::new(u(index_bits(shape.beats))),
            rd_data: vec![Wire::new(beat); shape.beats as usize],
            byte_we: vec_of(bytes, Signal::default),
            byte_addr: vec_of(bytes, || Wire::new(u(index_bits(bank.byte_words)))),
            plane_we: vec_of(gated, Signal::default),
            plane: vec_of(gated, || Wire::new(u(index_bits(shape.plane_clocks())))),
            plane_group: vec_of(gated, || Wire::new(u(index_bits(groups)))),
            load_data: Wire::new(u(word)),
            load_second: vec![Wire::new(beat); second],
            row_valid: Signal::default(),
            row_value: Wire::new(s(bank.result_bits)),

            column: vec![Reg::data(beat); shape.beats as usize],
            column_first: Flop::default(),
            column_last: Flop::default(),
            beats_less_1: Reg::new(u(index_bits(shape.beats))),
            beat: Reg::new(u(index_bits(shape.beats))),
            busy: Flop::default(),
            word: Wire::new(beat),
            unused_start: vec_of(no_start, || Unused::new(1)),
            unused_word: Unused::above(beat, if modes.is_empty() { 0 } else { shape.beat_bits }),
            last_beat: Signal::default(),
            row_first: Signal::default(),
            next_step: Reg::new(u(w.step)),
            step: Wire::new(u(w.step)),
            next_coat: vec_of(many_coats, || Reg::new(u(index_bits(coats)))),
            coat: vec_of(many_coats, || Wire::new(u(index_bits(coats)))),
            last_coat: Signal::default(),
            first_coat: vec_of(mask, Signal::default),

            mode_build: vec![Signal::default(); bank.lookups.len()],
            mode_lookup: vec![Signal::default(); bank.lookups.len()],
            mode_mask: flag(mask),
            mode_blocks: flag(blocks),
            mode_mac: flag(mac),
            building: Signal::default(),

            byte_raddr: vec_of(bytes, || Wire::new(u(index_bits(bank.byte_words)))),
            bytes: vec_of(bytes, || memory(bank.byte_words, u(w.byte))),
            _no_start: no_start as usize,
            _no_mode: modes.is_empty() as usize,
            _spare_load: unused_load.len(),
            unused_load,
            lookup,
            group: vec_of(gated, || Wire::new(u(index_bits(groups)))),
            plane_en: vec![Signal::default(); plane_count as usize],
            plane_data: vec![Wire::new(beat); plane_count as usize],
            planes: (0..plane_count).map(|_| memory(groups, beat)).collect(),
            signs: vec_of(mask, || Inst::new(SignGen::new(shape.banks, shape.beat_bits))),
            blocks: gated_blocks.into_iter().map(block_unit).collect(),
            sum_valid: flag(gated),
            sum_first: flag(gated),
            sum_bits: vec_of(gated, || Wire::new(beat)),
            gated: bank.gated.iter().map(|g| Inst::new(gated_sum(g))).collect(),
            mac: bank.mac.iter().map(|m| Inst::new(MacRow::new(m, shape.beat_bits))).collect(),

            column_end: Flop::default(),
            row_end: Flop::default(),
            done: Flop::default(),
            row_done: Flop::default(),
            column_done: Signal::default(),
            acc: Wire::new(s(w.acc)),
            _spare_acc: unused_acc.len(),
            unused_acc,
            unused_column_acc: Unused::above(s(bank.result_bits), unread),
            unused_row_done: vec_of(blocks_alone, || Unused::new(1)),
            column_acc: Wire::new(s(bank.result_bits)),

            mask_mode: number(StreamMode::Mask),
            blocks_mode: number(StreamMode::Blocks),
            mac_mode: number(StreamMode::Mac),
            _shape: shape.clone(),
            _byte_bits: w.byte,
            _byte_addr_bits: index_bits(bank.byte_words),
            _group_bits: index_bits(groups),
            _result_bits: bank.result_bits,
            _bytes: bytes as usize,
            _beats: shape.beats as usize,
            _lookups: bank.lookups.len(),
            _mask: mask as usize,
            _blocks: blocks as usize,
            _blocks_alone: blocks_alone as usize,
            _mac: mac as usize,
            _gated: gated as usize,
            _both: (blocks && mask) as usize,
            _planes: plane_count as usize,
            _single: plane_count as usize * (1 - second),
            _low: plane_count.div_ceil(2) as usize * second,
            _high: plane_count as usize / 2 * second,
            _planes_of_mask: if blocks { 0 } else { plane_count as usize },
            _planes_of_blocks: if blocks { plane_count as usize } else { 0 },
            _tree_planes_of_blocks: tree_planes,
            _many_modes: many_modes as usize,
            _one_mode: !many_modes as usize,
            _many_coats: many_coats as usize,
            _one_coat: (mask && !many_coats) as usize,
        }
    }
}
