//! Stage 0 of a vector operation: which elements are taken in which clock.

use crate::buffer_unit_bytes::word_bytes;
use crate::hdl::prelude::*;
use crate::isa::VecOp;
use crate::shape::{index_bits, ChannelShape};

/// Takes an operation apart into steps. A step takes as many elements as there are lanes; one for
/// tables, merges and the index of the largest, the bytes of a word (or what of them the lanes can take) for
/// byte loads. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct VectorSteps {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// An operation starts. Its operands, below, are held until the next one.
    pub start: Signal<In, Bit>,
    /// Number of the operation in [`VecOp::ALL`].
    pub op: Wire<In>,
    /// Address of operand A.
    pub a: Wire<In>,
    /// Step of A.
    pub a_step: Wire<In>,
    /// Address of operand B; bytes of a block for `LoadBytes`.
    pub b: Wire<In>,
    /// Step of B.
    pub b_step: Wire<In>,
    /// Bytes of a word for `LoadBytes`; only when bytes are loaded.
    pub word_bytes: Vec<Wire<In>>,
    /// Elements less 1.
    pub len_less_1: Wire<In>,

    /// A step is taken in this clock.
    pub step: Signal<Out, Bit>,
    /// Address of its first element of A.
    pub a_addr: Wire<Out>,
    /// Address of its first element of B.
    pub b_addr: Wire<Out>,
    /// Lanes that have an element.
    pub there: Vec<Signal<Out, Bit>>,
    /// It is the operation's first; only when there are reductions.
    pub first: Vec<Signal<Out, Bit>>,
    /// It is the operation's last; only when there are reductions or merges.
    pub last: Vec<Signal<Out, Bit>>,
    /// It ends a word of bytes; only when a word has more bytes than there are lanes.
    pub word_ends: Vec<Signal<Out, Bit>>,

    unused_op: Vec<Unused>,
    running: Flop<Bit>,
    left: Reg,
    a_at: Reg,
    b_at: Reg,
    starting: Vec<Flop<Bit>>,
    advance: Wire<Local>,
    taken: Signal<Local, Bit>,
    spent: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    empty: Vec<Flop<Bit>>,
    full: Signal<Local, Bit>,
    block_left: Vec<Reg>,
    block_ends: Vec<Signal<Local, Bit>>,
    word_left: Vec<Reg>,
    word_done: Vec<Signal<Local, Bit>>,
    phase: Vec<Reg>,
    resting: Vec<Signal<Local, Bit>>,

    op_table: Const,
    op_argmax: Const,
    op_merge: Const,
    op_load_bytes: Const,
    op_load_planes: Const,
    lanes: Const,
    group_end: Const,
    period_end: Const,
    _unused_op: usize,
    _lanes: usize,
    _table: usize,
    _argmax: usize,
    _merge: usize,
    _reductions: usize,
    _lasts: usize,
    _loads: usize,
    _load_bytes: usize,
    _whole_words: usize,
    _split_words: usize,
    _phases: usize,
    _rest: usize,
}

impl Logic for VectorSteps {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, running, left, a_at, b_at);
        for i in 0..self._reductions {
            self.starting[i].clock.next = self.clock.val();
            self.starting[i].d.next = self.start.val();
        }
        for i in 0..self._loads {
            self.empty[i].clock.next = self.clock.val();
            self.empty[i].d.next = self.empty[i].q.val();
        }
        for i in 0..self._load_bytes {
            self.block_left[i].clock.next = self.clock.val();
            self.block_left[i].d.next = self.block_left[i].q.val();
        }
        for i in 0..self._split_words {
            self.word_left[i].clock.next = self.clock.val();
            self.word_left[i].d.next = self.word_left[i].q.val();
        }
        for i in 0..self._phases {
            self.phase[i].clock.next = self.clock.val();
            self.phase[i].d.next = self.phase[i].q.val();
        }

        for i in 0..self._unused_op {
            self.unused_op[i].x.next = self.op.val();
        }

        comment!("---- how many elements a step takes ----");
        self.advance.next = self.lanes.val().into();
        for _i in 0..self._table {
            if self.op.val() == self.op_table.val() {
                self.advance.next = 1.into();
            }
        }
        for _i in 0..self._argmax {
            if self.op.val() == self.op_argmax.val() {
                self.advance.next = 1.into();
            }
        }
        for _i in 0..self._merge {
            if self.op.val() == self.op_merge.val() {
                self.advance.next = 1.into();
            }
        }
        for i in 0..self._whole_words {
            if self.op.val() == self.op_load_bytes.val() {
                self.advance.next = self.word_bytes[i].val();
            }
        }
        for i in 0..self._split_words {
            self.word_done[i].next = self.word_left[i].q.val() <= self.lanes.val().into();
            self.word_ends[i].next = self.word_done[i].val();
            if (self.op.val() == self.op_load_bytes.val()) & self.word_done[i].val() {
                self.advance.next = self.word_left[i].q.val();
            }
        }

        comment!("---- planes leave for more clocks than a group has steps: it rests ----");
        for i in 0..self._phases {
            if self.running.q.val() & (self.op.val() == self.op_load_planes.val()) {
                self.phase[i].d.next = self.phase[i].q.val() + 1.into();
                if self.phase[i].q.val() == self.period_end.val() {
                    self.phase[i].d.next = 0.into();
                }
            }
            if self.start.val() {
                self.phase[i].d.next = 0.into();
            }
        }
        for i in 0..self._rest {
            self.resting[i].next = (self.op.val() == self.op_load_planes.val())
                & (self.phase[i].q.val() > self.group_end.val().into());
        }

        comment!(
            "---- steps to the last; a load fills up its block or group with empty lanes ----"
        );
        self.taken.next = self.running.q.val();
        for i in 0..self._rest {
            if self.resting[i].val() {
                self.taken.next = false;
            }
        }
        self.spent.next = self.left.q.val() < self.advance.val();
        for i in 0..self._loads {
            if self.empty[i].q.val() {
                self.spent.next = true;
            }
        }
        self.ends.next = self.spent.val();
        for i in 0..self._load_bytes {
            self.block_ends[i].next = self.block_left[i].q.val() == self.advance.val();
            if (self.op.val() == self.op_load_bytes.val()) & !self.block_ends[i].val() {
                self.ends.next = false;
            }
        }
        for i in 0..self._phases {
            if (self.op.val() == self.op_load_planes.val())
                & (self.phase[i].q.val() != self.group_end.val())
            {
                self.ends.next = false;
            }
        }

        comment!("---- count elements, step addresses ----");
        if self.taken.val() {
            self.left.d.next = self.left.q.val() - self.advance.val();
            if self.a_step.val().get_bit(0) {
                self.a_at.d.next = self.a_at.q.val() + self.advance.val();
            }
            if self.b_step.val().get_bit(0) {
                self.b_at.d.next = self.b_at.q.val() + self.advance.val();
            }
            if self.ends.val() {
                self.running.d.next = false;
            }
        }
        if self.start.val() {
            self.running.d.next = true;
            self.left.d.next = self.len_less_1.val();
            self.a_at.d.next = self.a.val();
            self.b_at.d.next = self.b.val();
        }
        for i in 0..self._loads {
            if self.taken.val() {
                self.empty[i].d.next = self.spent.val();
            }
            if self.start.val() {
                self.empty[i].d.next = false;
            }
        }
        for i in 0..self._load_bytes {
            if self.taken.val() {
                self.block_left[i].d.next = self.block_left[i].q.val() - self.advance.val();
            }
            if self.start.val() | (self.taken.val() & self.block_ends[i].val()) {
                self.block_left[i].d.next = self.b.val();
            }
        }
        for i in 0..self._split_words {
            if self.taken.val() {
                self.word_left[i].d.next = self.word_left[i].q.val() - self.advance.val();
            }
            if self.start.val() | (self.taken.val() & self.word_done[i].val()) {
                self.word_left[i].d.next = self.word_bytes[i].val();
            }
        }

        comment!("---- the step ----");
        self.step.next = self.taken.val();
        self.a_addr.next = self.a_at.q.val();
        self.b_addr.next = self.b_at.q.val();
        for i in 0..self._reductions {
            self.first[i].next = self.starting[i].q.val();
        }
        for i in 0..self._lasts {
            self.last[i].next = self.taken.val() & self.ends.val();
        }
        self.full.next = self.taken.val();
        for i in 0..self._loads {
            if self.empty[i].q.val() {
                self.full.next = false;
            }
        }
        self.there[0].next = self.full.val();
        for l in 1..self._lanes {
            self.there[l].next =
                self.full.val() & (self.left.q.val() >= l.into()) & (self.advance.val() > l.into());
        }
    }
}

impl VectorSteps {
    /// The steps of a channel's vector operations.
    pub fn new(shape: &ChannelShape) -> Self {
        let has = |op: VecOp| shape.buffer.ops.contains(&op) as usize;
        let code = |op: VecOp| Const::named(VecOp::bits(), op.code() as usize);
        let lanes = shape.lanes() as usize;
        let addr = u(shape.isa.addr_bits);
        let bytes = has(VecOp::LoadBytes);
        let split = bytes * (lanes < word_bytes(shape)) as usize;
        let loads = bytes.max(has(VecOp::LoadPlanes));
        let reductions = has(VecOp::Argmax).max(has(VecOp::Sum));
        let lasts = reductions.max(has(VecOp::Merge));
        let (steps, period) = (shape.group_steps(), shape.group_clocks());
        let phases = has(VecOp::LoadPlanes) * (period > 1) as usize;
        let rest = phases * (period > steps) as usize;
        // Without these, every step is the same.
        let single = has(VecOp::Table) + has(VecOp::Argmax) + has(VecOp::Merge);
        let looks = single + bytes + phases > 0;
        let unused_op = vec![Unused::new(VecOp::bits()); 1 - looks as usize];
        VectorSteps {
            _unused_op: unused_op.len(),
            unused_op,
            op: Wire::new(u(VecOp::bits())),
            a: Wire::new(addr),
            a_step: Wire::new(u(1)),
            b: Wire::new(addr),
            b_step: Wire::new(u(1)),
            word_bytes: vec![Wire::new(addr); bytes],
            len_less_1: Wire::new(addr),
            a_addr: Wire::new(addr),
            b_addr: Wire::new(addr),
            there: vec![Signal::default(); lanes],
            first: vec![Signal::default(); reductions],
            last: vec![Signal::default(); lasts],
            word_ends: vec![Signal::default(); split],
            left: Reg::new(addr),
            a_at: Reg::new(addr),
            b_at: Reg::new(addr),
            starting: vec![Flop::default(); reductions],
            advance: Wire::new(addr),
            empty: vec![Flop::default(); loads],
            block_left: vec![Reg::new(addr); bytes],
            block_ends: vec![Signal::default(); bytes],
            word_left: vec![Reg::new(addr); split],
            word_done: vec![Signal::default(); split],
            phase: vec![Reg::new(u(index_bits(period))); phases],
            resting: vec![Signal::default(); rest],
            op_table: code(VecOp::Table),
            op_argmax: code(VecOp::Argmax),
            op_merge: code(VecOp::Merge),
            op_load_bytes: code(VecOp::LoadBytes),
            op_load_planes: code(VecOp::LoadPlanes),
            lanes: Const::new(lanes),
            group_end: Const::new(steps as usize - 1),
            period_end: Const::new(period as usize - 1),
            _lanes: lanes,
            _table: has(VecOp::Table),
            _argmax: has(VecOp::Argmax),
            _merge: has(VecOp::Merge),
            _reductions: reductions,
            _lasts: lasts,
            _loads: loads,
            _load_bytes: bytes,
            _whole_words: bytes - split,
            _split_words: split,
            _phases: phases,
            _rest: rest,
            ..VectorSteps::default()
        }
    }
}

impl Unit for VectorSteps {
    fn module(&self) -> String {
        "pimc_vector_steps".into()
    }

    fn contract(&self) -> Contract {
        let lanes = self._lanes;
        let mut throughput = format!("A step per clock, of {lanes} elements");
        for (built, text) in [
            (self._table, ", of 1 for a table"),
            (self._argmax, ", of 1 for the index of the largest"),
            (self._merge, ", of 1 for a merge"),
            (self._whole_words, ", of the bytes of a word for a load of bytes"),
            (self._split_words, ", of what is left of a word's bytes for a load of bytes"),
        ] {
            if built > 0 {
                throughput += text;
            }
        }
        throughput += ".";
        if self._rest > 0 {
            let (steps, period) = (self.group_end.val() + 1, self.period_end.val() + 1);
            throughput += &format!(
                " A load of planes takes a group in {steps} clocks and rests until {period} are over."
            );
        }
        let mut preconditions =
            String::from("Operands are held from start_i to the operation's last step.");
        if self._load_bytes > 0 {
            preconditions += " In a load of bytes, a block is a whole number of words.";
        }
        Contract {
            summary: "Vector steps: which elements of an operation are taken in which clock."
                .into(),
            formula:
                "A step takes the elements from a_addr_o and b_addr_o on that there_o has a bit \
                      for; the addresses stand still where a_step_i or b_step_i is 0."
                    .into(),
            latency: "1 clock from start_i to the first step.".into(),
            throughput,
            preconditions,
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("start", "vector operation"), ("step", "step")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
