//! Block control: what the beats of binary quadratic blocks are, counted from the stream's start.

use crate::hdl::prelude::*;
use crate::shape::{index_bits, BlockShape, SCALAR_BEATS};

/// What a beat holds.
#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum Part {
    /// A row of B.
    B,
    /// The scalars.
    Scalars,
    /// A row of A.
    A,
}

/// Counts beats, rows and blocks, and tells the data paths when a sum of theirs is complete.
/// Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct BlockControl {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The next beat is the first of a stream.
    pub restart: Signal<In, Bit>,
    /// The fields of [`crate::isa::Block`], in their order; held.
    pub block: Wire<In>,
    /// A beat is there.
    pub beat: Signal<In, Bit>,

    /// Its group of inputs.
    pub group: Wire<Out>,
    /// It takes part in a sum.
    pub sum_valid: Signal<Out, Bit>,
    /// It begins a sum.
    pub sum_first: Signal<Out, Bit>,
    /// All its signs are +1.
    pub plus: Signal<Out, Bit>,
    /// It holds r, t and 2s.
    pub scalars_rts: Signal<Out, Bit>,
    /// It holds u'.
    pub scalars_u: Signal<Out, Bit>,

    /// It is of A and takes t_k for its inputs; one clock behind the beat, like what follows.
    pub take_t: Signal<Out, Bit>,
    /// Their group; only when there are two or more.
    pub t_group: Vec<Wire<Out>>,
    /// It was the last of the scalars.
    pub scalars_end: Signal<Out, Bit>,

    /// The sum is t_k; two clocks behind the beat, like what follows.
    pub t_valid: Signal<Out, Bit>,
    /// k is 0.
    pub t_first: Signal<Out, Bit>,
    /// The sum is that of a row of A.
    pub row_valid: Signal<Out, Bit>,

    field: Split,
    part: Flop<Part>,
    beat_at: Reg,
    row_at: Reg,
    beats_less_1: Wire<Local>,
    rows_less_1: Wire<Local>,
    row_end: Signal<Local, Bit>,
    part_end: Signal<Local, Bit>,
    slot: Reg,
    base: Reg,
    in_a: Flop<Bit>,
    t_group_e: Vec<Reg>,
    scalars_done: Flop<Bit>,
    b_end: Flop<Bit>,
    b_first: Flop<Bit>,
    a_end: Flop<Bit>,
    t_done: Flop<Bit>,
    t_is_first: Flop<Bit>,
    a_done: Flop<Bit>,
    fewest: Const,
    _many_groups: usize,
    _group_bits: u32,
    _t_group_bits: u32,
}

impl Logic for BlockControl {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, part, beat_at, row_at, slot, base, in_a, scalars_done);
        dff_setup!(self, clock, b_end, b_first, a_end, t_done, t_is_first, a_done);

        comment!("---- the part: rows of so many beats ----");
        self.field.x.next = self.block.val();
        self.beats_less_1.next = self.field.y[0].val();
        self.rows_less_1.next = 0.into();
        match self.part.q.val() {
            Part::B => {
                self.rows_less_1.next = self.field.y[1].val();
            }
            Part::Scalars => {
                if self.field.y[0].val() < self.fewest.val().into() {
                    self.beats_less_1.next = self.fewest.val().into();
                }
            }
            Part::A => {
                self.beats_less_1.next = self.field.y[2].val();
                self.rows_less_1.next = self.field.y[3].val();
            }
        }
        self.row_end.next = self.beat.val() & (self.beat_at.q.val() == self.beats_less_1.val());
        self.part_end.next = self.row_end.val() & (self.row_at.q.val() == self.rows_less_1.val());

        comment!("---- position in it ----");
        if self.beat.val() {
            self.beat_at.d.next = self.beat_at.q.val() + 1.into();
        }
        if self.row_end.val() {
            self.beat_at.d.next = 0.into();
            self.row_at.d.next = self.row_at.q.val() + 1.into();
        }
        if self.part_end.val() {
            self.row_at.d.next = 0.into();
            match self.part.q.val() {
                Part::B => {
                    self.part.d.next = Part::Scalars;
                }
                Part::Scalars => {
                    self.part.d.next = Part::A;
                }
                Part::A => {
                    self.part.d.next = Part::B;
                }
            }
        }
        if self.restart.val() {
            self.part.d.next = Part::B;
            self.beat_at.d.next = 0.into();
            self.row_at.d.next = 0.into();
        }

        comment!("---- the inputs of a block follow those of the block before, slot by slot ----");
        if self.part_end.val() & (self.part.q.val() == Part::A) {
            self.slot.d.next = self.slot.q.val() + 1.into();
            self.base.d.next =
                self.base.q.val() + bit_cast(self.field.y[0].val(), self._group_bits) + 1.into();
            if self.slot.q.val() == self.field.y[4].val() {
                self.slot.d.next = 0.into();
                self.base.d.next = 0.into();
            }
        }
        if self.restart.val() {
            self.slot.d.next = 0.into();
            self.base.d.next = 0.into();
        }
        self.group.next = self.base.q.val() + bit_cast(self.beat_at.q.val(), self._group_bits);

        comment!("---- what to do with the beat; the scalars come with the sum of the inputs ----");
        self.plus.next = self.part.q.val() == Part::Scalars;
        self.sum_first.next = self.beat_at.q.val() == 0;
        self.sum_valid.next = self.beat.val();
        if self.plus.val() & (self.beat_at.q.val() > self.field.y[0].val()) {
            self.sum_valid.next = false;
        }
        self.scalars_rts.next = self.beat.val() & self.plus.val() & (self.beat_at.q.val() == 0);
        self.scalars_u.next = self.beat.val() & self.plus.val() & (self.beat_at.q.val() == 1);

        comment!("---- one clock behind the beat ----");
        self.in_a.d.next = self.part.q.val() == Part::A;
        self.take_t.next = self.in_a.q.val();
        for i in 0..self._many_groups {
            self.t_group_e[i].clock.next = self.clock.val();
            self.t_group_e[i].d.next = bit_cast(self.beat_at.q.val(), self._t_group_bits);
            self.t_group[i].next = self.t_group_e[i].q.val();
        }
        self.scalars_done.d.next = self.row_end.val() & self.plus.val();
        self.scalars_end.next = self.scalars_done.q.val();
        self.b_end.d.next = self.row_end.val() & (self.part.q.val() == Part::B);
        self.b_first.d.next = self.row_at.q.val() == 0;
        self.a_end.d.next = self.row_end.val() & (self.part.q.val() == Part::A);

        comment!("---- two clocks behind, when the sum is there ----");
        self.t_done.d.next = self.b_end.q.val();
        self.t_is_first.d.next = self.b_first.q.val();
        self.a_done.d.next = self.a_end.q.val();
        self.t_valid.next = self.t_done.q.val();
        self.t_first.next = self.t_is_first.q.val();
        self.row_valid.next = self.a_done.q.val();
    }
}

impl BlockControl {
    /// For blocks of shape `p` whose fields have `field_bits`, over `groups` groups of inputs and
    /// `t_groups` of t_k.
    pub fn new(p: &BlockShape, field_bits: u32, groups: u32, t_groups: u32) -> Self {
        let fewest = SCALAR_BEATS - 1;
        let most = BlockShape::scalar_beats(p.x_beats).max(t_groups);
        let (field, group) = (u(field_bits), u(index_bits(groups)));
        let t_group = u(index_bits(t_groups));
        let many_groups = (t_groups > 1) as usize;
        BlockControl {
            block: Wire::new(u(5 * field_bits)),
            group: Wire::new(group),
            t_group: vec![Wire::new(t_group); many_groups],
            field: Split::new(5, field_bits),
            beat_at: Reg::new(u(index_bits(most))),
            row_at: Reg::new(field),
            beats_less_1: Wire::new(u(field_bits.max(index_bits(SCALAR_BEATS)))),
            rows_less_1: Wire::new(field),
            slot: Reg::new(field),
            base: Reg::new(group),
            t_group_e: vec![Reg::new(t_group); many_groups],
            fewest: Const::new(fewest as usize),
            _many_groups: many_groups,
            _group_bits: group.width,
            _t_group_bits: t_group.width,
            ..BlockControl::default()
        }
    }
}

impl Unit for BlockControl {
    fn module(&self) -> String {
        let t_group = if self._many_groups > 0 { self._t_group_bits } else { 0 };
        format!(
            "pimc_block_control_f{}_b{}_g{}_t{t_group}",
            self.row_at.q.ty().width,
            self.beat_at.q.ty().width,
            self._group_bits,
        )
    }

    fn contract(&self) -> Contract {
        let field = self.row_at.q.ty().width;
        Contract {
            summary: "Block control: what the beats of binary quadratic blocks are.".into(),
            formula: format!(
                "a block and basis is rows of B, of as many beats as inputs take; the scalars, as \
                 many beats again but at least {SCALAR_BEATS}; rows of A. Block n has the inputs of \
                 slot n mod the slots, which begin at group slot * beats of a row of B."
            ),
            latency: "group_o to scalars_u_o in the clock of beat_i, take_t_o to scalars_end_o one \
                      clock later, t_valid_o to row_valid_o two."
                .into(),
            throughput: "a beat every clock.".into(),
            layout: format!(
                "block_i is five fields of {field} bits, the lowest first, each less 1: beats of a \
                 row of B, rows of B, beats of a row of A, rows of A, slots."
            ),
            preconditions: "block_i is held from restart_i to the stream's last row_valid_o. \
                            restart_i and beat_i not in one clock."
                .into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("restart", "stream, and its beats"),
            ("group", "what to do with the beat"),
            ("take_t", "one clock behind the beat"),
            ("t_valid", "two clocks behind: what the sum is"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Block;
    use crate::testing::blocks;
    use crate::testing::Rng;

    const FIELD_BITS: u32 = 8;

    /// What is told of a beat: in its clock, and then one and two clocks later.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    struct Told {
        group: i128,
        sum_valid: bool,
        sum_first: bool,
        plus: bool,
        scalars: (bool, bool),
        take_t: Option<i128>,
        scalars_end: bool,
        /// t_k, with whether it is the first.
        t_k: Option<bool>,
        row: bool,
    }

    /// The beats of `units` blocks, from the layout's table.
    fn want(block: &Block, units: u32) -> Vec<Told> {
        let (x_beats, inner) = (block.x_beats_less_1 + 1, block.inner_less_1 + 1);
        let (t_beats, rows) = (block.t_beats_less_1 + 1, block.rows_less_1 + 1);
        let mut beats = vec![];
        for unit in 0..units {
            let base = unit % (block.slots_less_1 + 1) * x_beats;
            let at = |q: u32| Told {
                group: i128::from((base + q) % 8),
                sum_valid: true,
                sum_first: q == 0,
                ..Told::default()
            };
            for row in 0..inner {
                for q in 0..x_beats {
                    let t_k = (q + 1 == x_beats).then_some(row == 0);
                    beats.push(Told { t_k, ..at(q) });
                }
            }
            let scalars = BlockShape::scalar_beats(x_beats);
            for q in 0..scalars {
                beats.push(Told {
                    sum_valid: q < x_beats,
                    plus: true,
                    scalars: (q == 0, q == 1),
                    scalars_end: q + 1 == scalars,
                    ..at(q)
                });
            }
            for _ in 0..rows {
                for q in 0..t_beats {
                    let take_t = Some(i128::from(q));
                    beats.push(Told { take_t, row: q + 1 == t_beats, ..at(q) });
                }
            }
        }
        beats
    }

    /// Beats with gaps, `gap` in eight clocks being one.
    fn check(uut: &mut Inst<BlockControl>, block: &Block, units: u32, gap: u64) {
        let mut rng = Rng::new(gap);
        let fields = block.fields().into_iter().rev();
        uut.block.set(fields.fold(0, |word, f| word << FIELD_BITS | i128::from(f)));
        uut.restart.next = true;
        clock(uut);
        uut.restart.next = false;
        let mut beats = want(block, units).into_iter();
        let mut behind = [None, None];
        loop {
            let beat = if rng.below(8) < gap { Some(None) } else { beats.next().map(Some) };
            let beat: Option<Told> = match beat {
                Some(beat) => beat,
                None if behind == [None, None] => break,
                None => None,
            };
            uut.beat.next = beat.is_some();
            settle(uut);
            let strobes = (uut.scalars_rts.val(), uut.scalars_u.val());
            match &beat {
                Some(b) => {
                    assert_eq!(uut.sum_valid.val(), b.sum_valid, "{b:?}");
                    assert_eq!(strobes, b.scalars, "{b:?}");
                    assert_eq!(uut.plus.val(), b.plus, "{b:?}");
                    if b.sum_valid {
                        assert_eq!(uut.sum_first.val(), b.sum_first, "{b:?}");
                    }
                    if b.sum_valid && b.take_t.is_none() {
                        assert_eq!(uut.group.get(), b.group, "{b:?}");
                    }
                }
                None => assert!(!uut.sum_valid.val() && strobes == (false, false)),
            }
            let last: Option<Told> = behind[0].clone();
            assert_eq!(uut.scalars_end.val(), last.as_ref().is_some_and(|b| b.scalars_end));
            if let Some(b) = &last {
                assert_eq!(uut.take_t.val(), b.take_t.is_some(), "{b:?}");
                if let (Some(group), Some(port)) = (b.take_t, uut.t_group.first()) {
                    assert_eq!(port.get(), group, "{b:?}");
                }
            }
            let t_k = behind[1].as_ref().and_then(|b| b.t_k);
            assert_eq!(uut.t_valid.val(), t_k.is_some());
            if let Some(first) = t_k {
                assert_eq!(uut.t_first.val(), first);
            }
            assert_eq!(uut.row_valid.val(), behind[1].as_ref().is_some_and(|b| b.row));
            behind = [beat, last];
            clock(uut);
        }
    }

    #[test]
    fn every_beat_is_told_what_it_is() {
        for t_groups in [1, 4] {
            let p = BlockShape { x_beats: 6, ..blocks(12) };
            let mut uut = Inst::new(BlockControl::new(&p, FIELD_BITS, 8, t_groups));
            for (x_beats, inner, t_beats, rows, slots, units) in [
                (1, 1, 1, 1, 1, 5),
                (2, 3, 1, 2, 4, 9),
                (6, 5, t_groups, 4, 1, 3),
                (1, 192, t_groups, 200, 3, 4),
                (4, 64, 1, 7, 2, 3),
            ] {
                let block = Block {
                    x_beats_less_1: x_beats - 1,
                    inner_less_1: inner - 1,
                    t_beats_less_1: t_beats - 1,
                    rows_less_1: rows - 1,
                    slots_less_1: slots - 1,
                };
                for gap in [0, 2, 6] {
                    check(&mut uut, &block, units, gap);
                }
            }
        }
    }

    #[test]
    fn a_stream_begins_anew_wherever_the_last_one_stopped() {
        let p = blocks(12);
        let mut uut = Inst::new(BlockControl::new(&p, FIELD_BITS, 8, 1));
        let block = Block { inner_less_1: 2, rows_less_1: 1, slots_less_1: 3, ..Block::default() };
        for beats in 0..20 {
            uut.beat.next = true;
            for _ in 0..beats {
                clock(&mut uut);
            }
            // What is behind the beats comes out before the next stream.
            uut.beat.next = false;
            clock(&mut uut);
            clock(&mut uut);
            check(&mut uut, &block, 3, 0);
        }
    }
}
