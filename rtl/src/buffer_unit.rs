//! The buffer unit: vector memory and the vector operations on it.

use crate::buffer_unit_alu::VectorAlu;
use crate::buffer_unit_bytes::BytePacker;
use crate::buffer_unit_drain::DrainSelect;
use crate::buffer_unit_planes::PlanePacker;
use crate::hdl::prelude::*;
use crate::isa::VecOp;
use crate::shape::{index_bits, ChannelShape};

/// Vector memory with two read ports and a write port, and the pipeline of vector operations. Only
/// the operations of the shape are built; optional ports are `Vec`s of none or one.
///
/// Element i of an operation that starts in clock c is addressed in clock c + 1 + i (stage 0), read
/// in stage 1, and written in stage 5, clock c + 6 + i: what it wrote is seen by an operation that
/// starts `len + VEC_LATENCY` clocks later.
#[derive(LogicBlock, Default)]
pub struct BufferUnit {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A program runs: the host port is off.
    pub busy: Signal<In, Bit>,
    /// Host: write a word.
    pub host_we: Signal<In, Bit>,
    /// Host: the word's address.
    pub host_addr: Wire<In>,
    /// Host: the word to write.
    pub host_wdata: Wire<In>,
    /// Host: the word at `host_addr` one clock earlier.
    pub host_rdata: Wire<Out>,

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
    /// Address of the result; bytes of a word for `LoadBytes`.
    pub d: Wire<In>,
    /// Elements less 1.
    pub len_less_1: Wire<In>,

    /// Index at which every bank shows its result.
    pub drain_index: Wire<Out>,
    /// Results of the banks.
    pub results: Vec<Wire<In>>,
    /// Counts of ones of the banks; only when they are drained.
    pub ones: Vec<Wire<In>>,

    /// Byte memories: write `load_data`.
    pub byte_we: Vec<Signal<Out, Bit>>,
    /// Byte memories: word.
    pub byte_addr: Vec<Wire<Out>>,
    /// Plane memories: write `load_data`.
    pub plane_we: Vec<Signal<Out, Bit>>,
    /// Plane memories: bit of the inputs.
    pub plane: Vec<Wire<Out>>,
    /// Plane memories: group of inputs.
    pub plane_group: Vec<Wire<Out>>,
    /// What either memory takes.
    pub load_data: Wire<Out>,

    running: Flop<Bit>,
    left: Reg,
    a_addr: Reg,
    b_addr: Reg,
    s0_first: Vec<Flop<Bit>>,
    s1_valid: Flop<Bit>,
    s1_first: Vec<Flop<Bit>>,
    s1_last: Flop<Bit>,
    table_addr: Vec<Reg>,
    ram_a: Ram,
    ram_b: Ram,
    drain: Inst<DrainSelect>,
    alu: Inst<VectorAlu>,
    s5_we: Flop<Bit>,
    s5_addr: Reg,
    s5_data: Reg,
    write_en: Signal<Local, Bit>,
    write_addr: Wire<Local>,
    write_data: Wire<Local>,
    ram_we: Signal<Local, Bit>,
    ram_waddr: Wire<Local>,
    ram_wdata: Wire<Local>,
    bytes: Vec<Inst<BytePacker>>,
    planes: Vec<Inst<PlanePacker>>,

    op_table: Const,
    op_drain_ones: Const,
    op_load_bytes: Const,
    op_load_planes: Const,
    table_bias: Const,
    _table: usize,
    _reductions: usize,
    _ones: usize,
    _ones_banks: usize,
    _banks: usize,
    _load_bytes: usize,
    _load_planes: usize,
    _addr_bits: u32,
    _plane_bits: u32,
}

impl Logic for BufferUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self, clock, running, left, a_addr, b_addr, s1_valid, s1_last, s5_we, s5_addr, s5_data
        );
        self.ram_a.clock.next = self.clock.val();
        self.ram_b.clock.next = self.clock.val();
        self.drain.clock.next = self.clock.val();
        self.alu.clock.next = self.clock.val();

        comment!("---- stage 0: count elements, step addresses ----");
        for i in 0..self._reductions {
            self.s0_first[i].clock.next = self.clock.val();
            self.s1_first[i].clock.next = self.clock.val();
            self.s0_first[i].d.next = self.start.val();
            self.s1_first[i].d.next = self.s0_first[i].q.val();
        }
        if self.running.q.val() {
            self.left.d.next = self.left.q.val() - 1.into();
            self.a_addr.d.next = self.a_addr.q.val() + self.a_step.val();
            self.b_addr.d.next = self.b_addr.q.val() + self.b_step.val();
            if self.left.q.val() == 0 {
                self.running.d.next = false;
            }
        }
        if self.start.val() {
            self.running.d.next = true;
            self.left.d.next = self.len_less_1.val();
            self.a_addr.d.next = self.a.val();
            self.b_addr.d.next = self.b.val();
        }
        self.s1_valid.d.next = self.running.q.val();
        self.s1_last.d.next = self.running.q.val() & (self.left.q.val() == 0);

        comment!("---- vector memory: two copies, one for each read port ----");
        self.ram_a.raddr.next = self.a_addr.q.val();
        self.ram_b.raddr.next = self.b_addr.q.val();
        for i in 0..self._table {
            self.table_addr[i].clock.next = self.clock.val();
            self.table_addr[i].d.next =
                unsigned_cast(bit_cast(self.ram_a.rdata.val(), self._addr_bits))
                    + self.b.val()
                    + self.table_bias.val().into();
            if self.op.val() == self.op_table.val() {
                self.ram_b.raddr.next = self.table_addr[i].q.val();
            }
        }
        if !self.busy.val() {
            self.ram_b.raddr.next = self.host_addr.val();
        }
        self.host_rdata.next = self.ram_b.rdata.val();

        comment!("---- the banks' results ----");
        self.drain.start.next = self.start.val();
        self.drain.step.next = self.running.q.val();
        self.drain_index.next = self.drain.index.val();
        for b in 0..self._banks {
            self.drain.results[b].next = self.results[b].val();
        }
        for b in 0..self._ones_banks {
            self.drain.ones[b].next = self.ones[b].val();
        }
        for i in 0..self._ones {
            self.drain.take_ones[i].next = self.op.val() == self.op_drain_ones.val();
        }

        comment!("---- stages 1 to 4: arithmetic ----");
        self.alu.op.next = self.op.val();
        self.alu.valid.next = self.s1_valid.q.val();
        for i in 0..self._reductions {
            self.alu.first[i].next = self.s1_first[i].q.val();
            self.alu.last[i].next = self.s1_last.q.val();
        }
        self.alu.a.next = self.ram_a.rdata.val();
        self.alu.b.next = self.ram_b.rdata.val();
        self.alu.drained.next = self.drain.word.val();
        for i in 0..self._table {
            self.alu.table_word[i].next = self.ram_b.rdata.val();
        }

        comment!("---- stage 5: write ----");
        self.s5_we.d.next = self.alu.we.val();
        self.s5_data.d.next = self.alu.y.val();
        if self.s5_we.q.val() {
            self.s5_addr.d.next = self.s5_addr.q.val() + 1.into();
        }
        if self.start.val() {
            self.s5_addr.d.next = self.d.val();
        }
        self.write_en.next = self.s5_we.q.val();
        self.write_addr.next = self.s5_addr.q.val();
        self.write_data.next = self.s5_data.q.val();
        self.ram_we.next = self.write_en.val();
        self.ram_waddr.next = self.write_addr.val();
        self.ram_wdata.next = self.write_data.val();
        if !self.busy.val() {
            self.ram_we.next = self.host_we.val();
            self.ram_waddr.next = self.host_addr.val();
            self.ram_wdata.next = self.host_wdata.val();
        }
        self.ram_a.we.next = self.ram_we.val();
        self.ram_a.waddr.next = self.ram_waddr.val();
        self.ram_a.wdata.next = self.ram_wdata.val();
        self.ram_b.we.next = self.ram_we.val();
        self.ram_b.waddr.next = self.ram_waddr.val();
        self.ram_b.wdata.next = self.ram_wdata.val();

        comment!("---- loads of the banks' input memories ----");
        for i in 0..self._load_bytes {
            self.bytes[i].clock.next = self.clock.val();
            self.bytes[i].start.next = self.start.val();
            self.bytes[i].word_bytes.next = self.d.val();
            self.bytes[i].block_bytes.next = self.b.val();
            self.bytes[i].valid.next =
                self.s1_valid.q.val() & (self.op.val() == self.op_load_bytes.val());
            self.bytes[i].last.next = self.s1_last.q.val();
            self.bytes[i].x.next = unsigned_cast(bit_cast(self.ram_a.rdata.val(), 8));
            self.byte_we[i].next = self.bytes[i].we.val();
            self.byte_addr[i].next = self.bytes[i].addr.val();
        }
        for i in 0..self._load_planes {
            self.planes[i].clock.next = self.clock.val();
            self.planes[i].start.next = self.start.val();
            self.planes[i].valid.next =
                self.s1_valid.q.val() & (self.op.val() == self.op_load_planes.val());
            self.planes[i].last.next = self.s1_last.q.val();
            self.planes[i].x.next =
                unsigned_cast(bit_cast(self.ram_a.rdata.val(), self._plane_bits));
            self.plane_we[i].next = self.planes[i].we.val();
            self.plane[i].next = self.planes[i].plane.val();
            self.plane_group[i].next = self.planes[i].group.val();
        }
        self.load_data.next = 0.into();
        for i in 0..self._load_bytes {
            self.load_data.next = self.bytes[i].data.val();
        }
        for i in 0..self._load_planes {
            if self.planes[i].we.val() {
                self.load_data.next = self.planes[i].data.val();
            }
        }
    }
}

impl BufferUnit {
    /// The buffer unit of a channel.
    pub fn new(shape: &ChannelShape) -> Self {
        let (buffer, bank) = (&shape.buffer, &shape.bank);
        let has = |op: VecOp| buffer.ops.contains(&op) as usize;
        let code = |op: VecOp| Const::named(VecOp::bits(), op.code() as usize);
        let (bytes, planes) = (has(VecOp::LoadBytes), has(VecOp::LoadPlanes));
        let ones = has(VecOp::DrainOnes);
        let reductions = has(VecOp::Argmax).max(has(VecOp::Sum));
        let banks = shape.banks as usize;
        let addr_bits = shape.isa.addr_bits;
        let (addr, word) = (u(addr_bits), s(buffer.word_bits));
        let ram = || Ram::with_depth(shape.vector_depth() as usize, addr_bits, word);
        let ones_bits = 1;
        let plane_bits = bank.gated.map_or(1, |g| g.planes);
        let groups = bank.gated.map_or(1, |g| g.groups);
        BufferUnit {
            host_addr: Wire::new(addr),
            host_wdata: Wire::new(word),
            host_rdata: Wire::new(word),
            op: Wire::new(u(VecOp::bits())),
            a: Wire::new(addr),
            a_step: Wire::new(u(1)),
            b: Wire::new(addr),
            b_step: Wire::new(u(1)),
            d: Wire::new(addr),
            len_less_1: Wire::new(addr),
            drain_index: Wire::new(u(index_bits(buffer.depth))),
            results: vec![Wire::new(s(bank.result_bits)); banks],
            ones: vec![Wire::new(u(ones_bits)); banks * ones],
            byte_we: vec![Signal::default(); bytes],
            byte_addr: vec![Wire::new(u(index_bits(bank.byte_words))); bytes],
            plane_we: vec![Signal::default(); planes],
            plane: vec![Wire::new(u(index_bits(plane_bits))); planes],
            plane_group: vec![Wire::new(u(index_bits(groups))); planes],
            load_data: Wire::new(u(64)),
            s0_first: vec![Flop::default(); reductions],
            s1_first: vec![Flop::default(); reductions],
            left: Reg::new(addr),
            a_addr: Reg::new(addr),
            b_addr: Reg::new(addr),
            table_addr: vec![Reg::new(addr); has(VecOp::Table)],
            ram_a: ram(),
            ram_b: ram(),
            drain: Inst::new(DrainSelect::new(shape, ones > 0)),
            alu: Inst::new(VectorAlu::new(shape)),
            s5_addr: Reg::new(addr),
            s5_data: Reg::data(word),
            write_addr: Wire::new(addr),
            write_data: Wire::new(word),
            ram_waddr: Wire::new(addr),
            ram_wdata: Wire::new(word),
            bytes: (0..bytes).map(|_| Inst::new(BytePacker::new(shape))).collect(),
            planes: (0..planes).map(|_| Inst::new(PlanePacker::new(shape))).collect(),
            op_table: code(VecOp::Table),
            op_drain_ones: code(VecOp::DrainOnes),
            op_load_bytes: code(VecOp::LoadBytes),
            op_load_planes: code(VecOp::LoadPlanes),
            table_bias: Const::new(128),
            _table: has(VecOp::Table),
            _reductions: reductions,
            _ones: ones,
            _ones_banks: banks * ones,
            _banks: banks,
            _load_bytes: bytes,
            _load_planes: planes,
            _addr_bits: addr_bits,
            _plane_bits: plane_bits,
            ..BufferUnit::default()
        }
    }

    /// The word that is written in this clock: address, word.
    pub fn written(&self) -> Option<(i128, i128)> {
        self.write_en.val().then(|| (self.write_addr.get(), self.write_data.get()))
    }
}

impl Unit for BufferUnit {
    fn module(&self) -> String {
        "pimc_buffer_unit".into()
    }

    fn contract(&self) -> Contract {
        let (depth, width) = (self.ram_a.words().len(), self.host_wdata.ty().width);
        Contract {
            summary: format!(
                "Buffer unit: {depth} words of {width} bits and vector operations on \
                              them."
            ),
            formula: "Element i of an operation reads A at a_i + i*a_step_i and B at b_i + \
                      i*b_step_i, and writes at d_i + i; pimc_vector_alu says what."
                .into(),
            latency:
                "An operation that starts in clock c addresses element i in clock c + 1 + i and \
                      writes it in clock c + 6 + i. host_rdata_o is the word at host_addr_i one \
                      clock earlier."
                    .into(),
            throughput: "One element per clock.".into(),
            preconditions:
                "Operands are held until the next start_i, which comes when the operation \
                            has written its last element and every load has left. The host port is \
                            used while busy_i is low."
                    .into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("busy", "host port, off while busy"),
            ("start", "vector operation"),
            ("drain_index", "results of the banks"),
            ("byte_we", "input memories of the banks"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
