//! Turns a vector into bit planes for the banks' plane memories.

use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};

/// One value in per clock; after each group of `beat_bits` values, one plane out per clock, while
/// the next group comes in.
#[derive(LogicBlock, Default)]
pub struct PlanePacker {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// An operation begins: the next group is group 0.
    pub start: Signal<In, Bit>,
    /// A value is there.
    pub valid: Signal<In, Bit>,
    /// It is the last one: zeros fill its group.
    pub last: Signal<In, Bit>,
    /// The value.
    pub x: Wire<In>,

    /// A plane is written.
    pub we: Signal<Out, Bit>,
    /// Its group.
    pub group: Wire<Out>,
    /// Which bit of the values it holds.
    pub plane: Wire<Out>,
    /// That bit of every value of the group, the first value lowest.
    pub data: Wire<Out>,

    filling: Flop<Bit>,
    shift: Signal<Local, Bit>,
    count: Reg,
    group_ends: Signal<Local, Bit>,
    entry: Wire<Local>,
    bits: Split,
    incoming: Vec<Reg>,
    full: Flop<Bit>,
    outgoing: Vec<Reg>,
    writing: Flop<Bit>,
    plane_index: Reg,
    group_index: Reg,
    top: Const,
    last_plane: Const,
    _planes: usize,
    _planes_less_1: usize,
}

impl Logic for PlanePacker {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, filling, count, full, writing, plane_index, group_index);
        for p in 0..self._planes {
            self.incoming[p].clock.next = self.clock.val();
            self.incoming[p].d.next = self.incoming[p].q.val();
            self.outgoing[p].clock.next = self.clock.val();
            self.outgoing[p].d.next = self.outgoing[p].q.val();
        }

        comment!("---- count the values of a group; zeros fill up the last one ----");
        self.shift.next = self.valid.val() | self.filling.q.val();
        self.group_ends.next = self.shift.val() & (self.count.q.val() == self.top.val());
        if self.shift.val() {
            self.count.d.next = self.count.q.val() + 1.into();
        }
        if self.valid.val() & self.last.val() {
            self.filling.d.next = true;
        }
        if self.group_ends.val() {
            self.count.d.next = 0.into();
            self.filling.d.next = false;
        }
        self.full.d.next = self.group_ends.val();

        comment!("---- a value enters at the top of every plane ----");
        self.entry.next = 0.into();
        if self.valid.val() {
            self.entry.next = self.x.val();
        }
        self.bits.x.next = self.entry.val();
        for p in 0..self._planes {
            if self.shift.val() {
                self.incoming[p].d.next =
                    (self.incoming[p].q.val() >> 1) | (self.bits.y[p].val() << self.top.val());
            }
        }

        comment!("---- planes leave, the lowest first ----");
        for p in 0..self._planes_less_1 {
            if self.writing.q.val() {
                self.outgoing[p].d.next = self.outgoing[p + 1].q.val();
            }
        }
        if self.writing.q.val() {
            self.plane_index.d.next = self.plane_index.q.val() + 1.into();
            if self.plane_index.q.val() == self.last_plane.val() {
                self.writing.d.next = false;
                self.group_index.d.next = self.group_index.q.val() + 1.into();
            }
        }
        if self.full.q.val() {
            self.writing.d.next = true;
            self.plane_index.d.next = 0.into();
        }
        for p in 0..self._planes {
            if self.full.q.val() {
                self.outgoing[p].d.next = self.incoming[p].q.val();
            }
        }
        if self.start.val() {
            self.group_index.d.next = 0.into();
        }
        self.we.next = self.writing.q.val();
        self.group.next = self.group_index.q.val();
        self.plane.next = self.plane_index.q.val();
        self.data.next = self.outgoing[0].q.val();
    }
}

impl PlanePacker {
    /// The packer of a channel's buffer unit, for groups of `beat_bits` values of `planes` bits.
    pub fn new(shape: &ChannelShape) -> Self {
        let (planes, groups) = shape.bank.gated.map_or((1, 1), |g| (g.planes, g.groups));
        let word = u(shape.beat_bits);
        PlanePacker {
            x: Wire::new(u(planes)),
            group: Wire::new(u(index_bits(groups))),
            plane: Wire::new(u(index_bits(planes))),
            data: Wire::new(word),
            count: Reg::new(u(index_bits(shape.beat_bits))),
            entry: Wire::new(u(planes)),
            bits: Split::new(planes as usize, 1),
            incoming: vec![Reg::data(word); planes as usize],
            outgoing: vec![Reg::data(word); planes as usize],
            plane_index: Reg::new(u(index_bits(planes))),
            group_index: Reg::new(u(index_bits(groups))),
            top: Const::new(shape.beat_bits as usize - 1),
            last_plane: Const::new(planes as usize - 1),
            _planes: planes as usize,
            _planes_less_1: planes as usize - 1,
            ..PlanePacker::default()
        }
    }
}

impl Unit for PlanePacker {
    fn module(&self) -> String {
        let (planes, group) = (self.x.ty().width, self.group.ty().width);
        format!("pimc_plane_packer_p{planes}_w{}_g{group}", self.data.ty().width)
    }

    fn contract(&self) -> Contract {
        let (planes, width) = (self.x.ty().width, self.data.ty().width);
        Contract {
            summary: "Plane packer: turns a vector into bit planes for the banks' plane memories."
                .into(),
            layout: format!(
                "Group g holds values {width}*g to {width}*g + {}; the last group is filled up with \
                 zeros. Plane p of a group holds bit p of its values, the first value lowest; the \
                 groups of an operation come in order, the planes of a group from 0 to {}.",
                width - 1,
                planes - 1
            ),
            latency: format!(
                "From the last value of a group, filled up, to its first plane: 2 clocks, and \
                 {planes} clocks for all planes."
            ),
            throughput: "One value per clock.".into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("start", "values, one by one"), ("we", "planes of plane memory")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
