//! Vector memory: runs of elements, from any address on, read and written whole.

use crate::buffer_unit_run::RunAddress;
use crate::hdl::prelude::*;
use crate::rotator::Rotator;
use crate::shape::ChannelShape;

/// A memory per lane, in two copies, one for each read port. A run is as many elements as there are
/// lanes, from any address on; its first element is element 0 of a port, whatever its lane.
#[derive(LogicBlock, Default)]
pub struct VectorMemory {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Port A: address of the run's first element.
    pub a_addr: Wire<In>,
    /// Port A: the run, one clock later.
    pub a: Vec<Wire<Out>>,
    /// Port B: address of the run's first element.
    pub b_addr: Wire<In>,
    /// Port B: the run, one clock later.
    pub b: Vec<Wire<Out>>,

    /// Elements of a run that are written.
    pub we: Vec<Signal<In, Bit>>,
    /// Address of its first element.
    pub waddr: Wire<In>,
    /// The run.
    pub wdata: Vec<Wire<In>>,

    run_a: Inst<RunAddress>,
    run_b: Inst<RunAddress>,
    run_w: Inst<RunAddress>,
    lane_a: Vec<Ram>,
    lane_b: Vec<Ram>,
    s1_first_a: Reg,
    s1_first_b: Reg,
    back: Wire<Local>,
    turn_a: Inst<Rotator>,
    turn_b: Inst<Rotator>,
    turn_we: Inst<Rotator>,
    turn_w: Inst<Rotator>,
    _lanes: usize,
    _depth: usize,
}

impl Logic for VectorMemory {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, s1_first_a, s1_first_b);
        for l in 0..self._lanes {
            self.lane_a[l].clock.next = self.clock.val();
            self.lane_b[l].clock.next = self.clock.val();
        }

        comment!("---- write: the run is turned so that each element meets its lane ----");
        self.run_w.addr.next = self.waddr.val();
        self.back.next = !self.run_w.first.val() + 1.into();
        self.turn_we.amount.next = self.back.val();
        self.turn_w.amount.next = self.back.val();
        for l in 0..self._lanes {
            self.turn_we.x[l].next = self.we[l].val().into();
            self.turn_w.x[l].next = self.wdata[l].val();
        }

        comment!("---- the lanes: two copies, one for each read port ----");
        self.run_a.addr.next = self.a_addr.val();
        self.run_b.addr.next = self.b_addr.val();
        for l in 0..self._lanes {
            self.lane_a[l].we.next = self.turn_we.y[l].val().get_bit(0);
            self.lane_a[l].waddr.next = self.run_w.words[l].val();
            self.lane_a[l].wdata.next = self.turn_w.y[l].val();
            self.lane_a[l].raddr.next = self.run_a.words[l].val();
            self.lane_b[l].we.next = self.turn_we.y[l].val().get_bit(0);
            self.lane_b[l].waddr.next = self.run_w.words[l].val();
            self.lane_b[l].wdata.next = self.turn_w.y[l].val();
            self.lane_b[l].raddr.next = self.run_b.words[l].val();
        }

        comment!("---- read: turned back, so that the first element comes first ----");
        self.s1_first_a.d.next = self.run_a.first.val();
        self.s1_first_b.d.next = self.run_b.first.val();
        self.turn_a.amount.next = self.s1_first_a.q.val();
        self.turn_b.amount.next = self.s1_first_b.q.val();
        for l in 0..self._lanes {
            self.turn_a.x[l].next = self.lane_a[l].rdata.val();
            self.turn_b.x[l].next = self.lane_b[l].rdata.val();
            self.a[l].next = self.turn_a.y[l].val();
            self.b[l].next = self.turn_b.y[l].val();
        }
    }
}

impl VectorMemory {
    /// The vector memory of a channel.
    pub fn new(shape: &ChannelShape) -> Self {
        let lanes = shape.lanes() as usize;
        let (addr_bits, word) = (shape.isa.addr_bits, s(shape.buffer.word_bits));
        let lane_bits = lanes.trailing_zeros();
        let depth = (shape.vector_depth() as usize).div_ceil(lanes);
        let memory = Ram::with_depth(depth, addr_bits - lane_bits, word);
        let run = || Inst::new(RunAddress::new(lanes, addr_bits));
        let turn = |word: Ty| Inst::new(Rotator::new(lanes, word));
        VectorMemory {
            a_addr: Wire::new(u(addr_bits)),
            a: vec![Wire::new(word); lanes],
            b_addr: Wire::new(u(addr_bits)),
            b: vec![Wire::new(word); lanes],
            we: vec![Signal::default(); lanes],
            waddr: Wire::new(u(addr_bits)),
            wdata: vec![Wire::new(word); lanes],
            run_a: run(),
            run_b: run(),
            run_w: run(),
            lane_a: vec![memory.clone(); lanes],
            lane_b: vec![memory; lanes],
            s1_first_a: Reg::new(u(lane_bits)),
            s1_first_b: Reg::new(u(lane_bits)),
            back: Wire::new(u(lane_bits)),
            turn_a: turn(word),
            turn_b: turn(word),
            turn_we: turn(u(1)),
            turn_w: turn(word),
            _lanes: lanes,
            _depth: depth,
            ..VectorMemory::default()
        }
    }

    /// Elements that it holds.
    pub fn depth(&self) -> usize {
        self._depth * self._lanes
    }
}

impl Unit for VectorMemory {
    fn module(&self) -> String {
        "pimc_vector_memory".into()
    }

    fn contract(&self) -> Contract {
        let (lanes, depth) = (self._lanes, self._depth);
        let width = self.a.first().map_or(1, |a| a.ty().width);
        Contract {
            summary: format!(
                "Vector memory: {lanes} lanes of {depth} words of {width} bits, read by two ports \
                 and written by one in runs of {lanes} elements from any address on."
            ),
            latency: "1 clock from a_addr_i to a_o, and from b_addr_i to b_o. A read sees what was \
                      written in an earlier clock."
                .into(),
            throughput: "A run per port and clock.".into(),
            layout: format!(
                "Element e is word e / {lanes} of lane e mod {lanes}. The elements of a run lie side \
                 by side, the first lowest; bit i of we_i writes element i of the run."
            ),
            preconditions: "No element beyond the depth is written; what is read there means \
                            nothing."
                .into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("a_addr", "read ports"), ("we", "write port")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
