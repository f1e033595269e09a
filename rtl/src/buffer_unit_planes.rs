//! Turns a vector into bit planes for the banks' plane memories.

use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};

/// A step of `lanes` values in per clock; after each group of `beat_bits` values, one plane out per
/// clock, or two, while the next group comes in. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct PlanePacker {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// An operation begins: the next group is group 0.
    pub start: Signal<In, Bit>,
    /// Its first group.
    pub first_group: Wire<In>,
    /// A step is there.
    pub valid: Signal<In, Bit>,
    /// Lanes that have a value; the others hold 0.
    pub there: Vec<Signal<In, Bit>>,
    /// The values, of which as many low bits are taken as there are planes.
    pub x: Vec<Wire<In>>,

    /// A plane is written, or two are.
    pub we: Signal<Out, Bit>,
    /// Its group.
    pub group: Wire<Out>,
    /// Which bit of the values it holds; of two planes at once, which two.
    pub plane: Wire<Out>,
    /// That bit of every value of the group, the first value lowest; of two bits the lower one.
    pub data: Wire<Out>,
    /// The higher one; only with two planes at once. Behind an odd last plane it means nothing.
    pub second: Vec<Wire<Out>>,

    group_ends: Signal<Local, Bit>,
    count: Vec<Reg>,
    entry: Vec<Join>,
    grown: Vec<Wire<Local>>,
    incoming: Vec<Reg>,
    outgoing: Vec<Reg>,
    writing: Flop<Bit>,
    plane_index: Reg,
    group_index: Reg,
    lanes: Const,
    rest: Const,
    last_step: Const,
    last_plane: Const,
    at_once: Const,
    _lanes: usize,
    _many: usize,
    _incoming: usize,
    _whole: usize,
    _planes: usize,
    _staying: usize,
    _second: usize,
}

impl Logic for PlanePacker {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, writing, plane_index, group_index);
        for i in 0..self._many {
            self.count[i].clock.next = self.clock.val();
            self.count[i].d.next = self.count[i].q.val();
        }
        for p in 0..self._incoming {
            self.incoming[p].clock.next = self.clock.val();
            self.incoming[p].d.next = self.incoming[p].q.val();
        }
        for p in 0..self._planes {
            self.outgoing[p].clock.next = self.clock.val();
            self.outgoing[p].d.next = self.outgoing[p].q.val();
        }

        comment!("---- count the steps of a group ----");
        self.group_ends.next = self.valid.val();
        for i in 0..self._many {
            if self.count[i].q.val() != self.last_step.val() {
                self.group_ends.next = false;
            }
            if self.valid.val() {
                self.count[i].d.next = self.count[i].q.val() + 1.into();
            }
            if self.start.val() | self.group_ends.val() {
                self.count[i].d.next = 0.into();
            }
        }

        comment!("---- a step enters at the top of every plane ----");
        for p in 0..self._planes {
            for l in 0..self._lanes {
                self.entry[p].x[l].next = (self.there[l].val() & self.x[l].val().get_bit(p)).into();
            }
        }
        for p in 0..self._whole {
            self.grown[p].next = self.entry[p].y.val();
        }
        for p in 0..self._incoming {
            self.grown[p].next = (self.incoming[p].q.val() >> self.lanes.val())
                | (self.entry[p].y.val() << self.rest.val());
            if self.valid.val() {
                self.incoming[p].d.next = self.grown[p].val();
            }
        }

        comment!("---- planes leave, the lowest first ----");
        for p in 0..self._staying {
            if self.writing.q.val() {
                self.outgoing[p].d.next = self.outgoing[p + self.at_once.val()].q.val();
            }
        }
        if self.writing.q.val() {
            self.plane_index.d.next = self.plane_index.q.val() + 1.into();
            if self.plane_index.q.val() == self.last_plane.val() {
                self.writing.d.next = false;
                self.group_index.d.next = self.group_index.q.val() + 1.into();
            }
        }
        if self.group_ends.val() {
            self.writing.d.next = true;
            self.plane_index.d.next = 0.into();
        }
        for p in 0..self._planes {
            if self.group_ends.val() {
                self.outgoing[p].d.next = self.grown[p].val();
            }
        }
        if self.start.val() {
            self.group_index.d.next = self.first_group.val();
        }
        self.we.next = self.writing.q.val();
        self.group.next = self.group_index.q.val();
        self.plane.next = self.plane_index.q.val();
        self.data.next = self.outgoing[0].q.val();
        for i in 0..self._second {
            self.second[i].next = self.outgoing[1].q.val();
        }
    }
}

impl PlanePacker {
    /// The packer of a channel's buffer unit, for groups of `beat_bits` values of `planes` bits.
    pub fn new(shape: &ChannelShape) -> Self {
        let (planes, groups) = shape.bank.gated.map_or((1, 1), |g| (g.planes, g.groups));
        let (lanes, steps) = (shape.lanes() as usize, shape.group_steps());
        let many = (steps > 1) as usize;
        let word = u(shape.beat_bits);
        let value = s(shape.buffer.word_bits);
        let (at_once, clocks) = (shape.planes_at_once() as usize, shape.plane_clocks());
        let planes = planes as usize;
        PlanePacker {
            there: vec![Signal::default(); lanes],
            x: vec![Wire::new(value); lanes],
            first_group: Wire::new(u(index_bits(groups))),
            group: Wire::new(u(index_bits(groups))),
            plane: Wire::new(u(index_bits(clocks))),
            data: Wire::new(word),
            second: vec![Wire::new(word); at_once - 1],
            count: vec![Reg::new(u(index_bits(steps))); many],
            entry: vec![Join::new(lanes, u(1)); planes],
            grown: vec![Wire::new(word); planes],
            incoming: vec![Reg::data(word); planes * many],
            outgoing: vec![Reg::data(word); planes],
            plane_index: Reg::new(u(index_bits(clocks))),
            group_index: Reg::new(u(index_bits(groups))),
            lanes: Const::new(lanes),
            rest: Const::new(shape.beat_bits as usize - lanes),
            last_step: Const::new(steps as usize - 1),
            last_plane: Const::new(clocks as usize - 1),
            at_once: Const::new(at_once),
            _lanes: lanes,
            _many: many,
            _incoming: planes * many,
            _whole: planes * (1 - many),
            _planes: planes,
            _staying: planes - at_once,
            _second: at_once - 1,
            ..PlanePacker::default()
        }
    }
}

impl Unit for PlanePacker {
    fn module(&self) -> String {
        let (word, group) = (self.data.ty().width, self.group.ty().width);
        let value = self.x.first().map_or(1, |x| x.ty().width);
        format!("pimc_plane_packer_l{}_v{value}_p{}_w{word}_g{group}", self._lanes, self._planes)
    }

    fn contract(&self) -> Contract {
        let (planes, lanes, width) = (self._planes, self._lanes, self.data.ty().width);
        let (at_once, clocks) = (self.at_once.val(), self.last_plane.val() + 1);
        let pairs = match at_once {
            1 => "",
            _ => " Two leave at once: plane_o counts them in pairs.",
        };
        Contract {
            summary: "Plane packer: turns a vector into bit planes for the banks' plane memories."
                .into(),
            layout: format!(
                "Group g holds values {width}*g to {width}*g + {}. Plane p of a group holds bit p of \
                 its values, the first value lowest; the groups of an operation come in order, the \
                 planes of a group from 0 to {}.{pairs}",
                width - 1,
                planes - 1
            ),
            latency: format!(
                "From the last step of a group to its first plane: 1 clock, and {clocks} clocks for \
                 all planes."
            ),
            throughput: format!("A step of {lanes} values per clock."),
            preconditions: format!(
                "Every group is {} steps long, and ends at least {clocks} clocks after the one before \
                 it.",
                self.last_step.val() + 1
            ),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("start", "steps"), ("we", "planes of plane memory")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
