//! The buffer unit: vector memory and the vector operations on it.

use crate::buffer_unit_alu::VectorAlu;
use crate::buffer_unit_bytes::BytePacker;
use crate::buffer_unit_collect::ResultCollect;
use crate::buffer_unit_memory::VectorMemory;
use crate::buffer_unit_planes::PlanePacker;
use crate::buffer_unit_reduce::VectorReduce;
use crate::buffer_unit_steps::VectorSteps;
use crate::hdl::prelude::*;
use crate::isa::VecOp;
use crate::merge_unit::MergeUnit;
use crate::shape::{index_bits, ChannelShape};
use crate::softmax_log::LOG_BITS;

/// Vector memory and the pipeline of vector operations on it, as many elements wide as there are
/// banks. Only the operations of the shape are built; optional ports are `Vec`s of none or one.
///
/// Step i of an operation that starts in clock c is addressed in clock c + 1 + i (stage 0), read in
/// stage 1, and written in stage 5, clock c + 6 + i, while the program still runs. The steps of a merge
/// start later, and are written three stages later.
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

    /// A matrix row has ended in every bank.
    pub row_valid: Signal<In, Bit>,
    /// Its results.
    pub results: Vec<Wire<In>>,

    /// Byte memories: write `load_data`.
    pub byte_we: Vec<Signal<Out, Bit>>,
    /// Byte memories: word.
    pub byte_addr: Vec<Wire<Out>>,
    /// Plane memories: write `load_data`, and `load_second`.
    pub plane_we: Vec<Signal<Out, Bit>>,
    /// Plane memories: bit of the inputs; of two planes at once, which two.
    pub plane: Vec<Wire<Out>>,
    /// Plane memories: group of inputs.
    pub plane_group: Vec<Wire<Out>>,
    /// What either memory takes.
    pub load_data: Wire<Out>,
    /// The second of two planes at once.
    pub load_second: Vec<Wire<Out>>,

    steps: Inst<VectorSteps>,
    s1_step: Flop<Bit>,
    s1_there: Vec<Flop<Bit>>,
    s1_first: Vec<Flop<Bit>>,
    s1_last: Vec<Flop<Bit>>,
    s1_word_ends: Vec<Flop<Bit>>,
    memory: Inst<VectorMemory>,
    operand_a: Vec<Wire<Local>>,
    operand_b: Vec<Wire<Local>>,
    table_addr: Vec<Reg>,
    table_word: Vec<Reg>,
    each: Signal<Local, Bit>,
    alu: Vec<Inst<VectorAlu>>,
    reduce: Vec<Inst<VectorReduce>>,
    merge: Vec<Inst<MergeUnit>>,
    merges: Vec<Signal<Local, Bit>>,
    collects: Signal<Local, Bit>,
    collect: Vec<Inst<ResultCollect>>,
    s5_we: Vec<Flop<Bit>>,
    s5_addr: Reg,
    s5_data: Vec<Reg>,
    write_en: Vec<Signal<Local, Bit>>,
    write_addr: Wire<Local>,
    write_data: Vec<Wire<Local>>,
    write_next: Wire<Local>,
    bytes: Vec<Inst<BytePacker>>,
    planes: Vec<Inst<PlanePacker>>,

    op_table: Const,
    op_argmax: Const,
    op_sum: Const,
    op_merge: Const,
    op_collect: Const,
    op_collect_sum: Const,
    op_load_bytes: Const,
    op_load_planes: Const,
    table_bias: Const,
    lanes: Const,
    _lanes: usize,
    _table: usize,
    _argmax: usize,
    _sum: usize,
    _merge: usize,
    _reductions: usize,
    _lasts: usize,
    _sum_lanes: usize,
    _reduced_lanes: usize,
    _collect: usize,
    _plain: usize,
    _added: usize,
    _group_bits: u32,
    _load_bytes: usize,
    _split_words: usize,
    _byte_lanes: usize,
    _load_planes: usize,
    _second: usize,
    _addr_bits: u32,
    _log_bits: u32,
}

impl Logic for BufferUnit {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, s1_step, s5_addr);
        for l in 0..self._lanes {
            self.s1_there[l].clock.next = self.clock.val();
            self.s5_we[l].clock.next = self.clock.val();
            self.s5_data[l].clock.next = self.clock.val();
        }

        comment!("---- stage 0: which elements ----");
        self.steps.clock.next = self.clock.val();
        self.collects.next = false;
        for _i in 0..self._plain {
            if self.op.val() == self.op_collect.val() {
                self.collects.next = true;
            }
        }
        for _i in 0..self._added {
            if self.op.val() == self.op_collect_sum.val() {
                self.collects.next = true;
            }
        }
        self.steps.start.next = self.start.val() & !self.collects.val();
        for i in 0..self._merge {
            self.merges[i].next = self.op.val() == self.op_merge.val();
            self.merge[i].clock.next = self.clock.val();
            self.merge[i].start.next = self.start.val() & self.merges[i].val();
            self.merge[i].a.next = self.a.val();
            self.merge[i].b.next = self.b.val();
            self.merge[i].len_less_1.next = self.len_less_1.val();
            if self.merges[i].val() {
                self.steps.start.next = self.merge[i].go.val();
            }
        }
        self.steps.op.next = self.op.val();
        self.steps.a.next = self.a.val();
        self.steps.a_step.next = self.a_step.val();
        self.steps.b.next = self.b.val();
        self.steps.b_step.next = self.b_step.val();
        for i in 0..self._load_bytes {
            self.steps.word_bytes[i].next = self.d.val();
        }
        self.steps.len_less_1.next = self.len_less_1.val();
        self.s1_step.d.next = self.steps.step.val();
        for l in 0..self._lanes {
            self.s1_there[l].d.next = self.steps.there[l].val();
        }
        for i in 0..self._reductions {
            self.s1_first[i].clock.next = self.clock.val();
            self.s1_first[i].d.next = self.steps.first[i].val();
        }
        for i in 0..self._lasts {
            self.s1_last[i].clock.next = self.clock.val();
            self.s1_last[i].d.next = self.steps.last[i].val();
        }
        for i in 0..self._split_words {
            self.s1_word_ends[i].clock.next = self.clock.val();
            self.s1_word_ends[i].d.next = self.steps.word_ends[i].val();
        }

        comment!("---- vector memory; port B reads the operand, the table or what the host asks for ----");
        self.memory.clock.next = self.clock.val();
        self.memory.a_addr.next = self.steps.a_addr.val();
        for i in 0..self._added {
            if self.op.val() == self.op_collect_sum.val() {
                self.memory.a_addr.next = self.collect[0].before_addr[i].val();
            }
        }
        self.memory.b_addr.next = self.steps.b_addr.val();
        for i in 0..self._table {
            self.table_addr[i].clock.next = self.clock.val();
            self.table_addr[i].d.next =
                unsigned_cast(bit_cast(self.operand_a[0].val(), self._addr_bits))
                    + self.b.val()
                    + self.table_bias.val().into();
            if self.op.val() == self.op_table.val() {
                self.memory.b_addr.next = self.table_addr[i].q.val();
            }
        }
        for i in 0..self._merge {
            if self.merge[i].reads.val() {
                self.memory.a_addr.next = self.merge[i].a_addr.val();
                self.memory.b_addr.next = self.merge[i].b_addr.val();
            }
        }
        if !self.busy.val() {
            self.memory.b_addr.next = self.host_addr.val();
        }
        self.host_rdata.next = self.memory.b[0].val();

        comment!("---- stage 1: the operands; one that stands still goes to every lane ----");
        for l in 0..self._lanes {
            self.operand_a[l].next = self.memory.a[0].val();
            if self.a_step.val().get_bit(0) {
                self.operand_a[l].next = self.memory.a[l].val();
            }
            self.operand_b[l].next = self.memory.b[0].val();
            if self.b_step.val().get_bit(0) {
                self.operand_b[l].next = self.memory.b[l].val();
            }
        }

        comment!("---- stages 1 to 4: arithmetic, a lane for each bank ----");
        self.each.next = true;
        for _i in 0..self._argmax {
            if self.op.val() == self.op_argmax.val() {
                self.each.next = false;
            }
        }
        for _i in 0..self._sum {
            if self.op.val() == self.op_sum.val() {
                self.each.next = false;
            }
        }
        for i in 0..self._merge {
            if self.merges[i].val() {
                self.each.next = false;
            }
        }
        for _i in 0..self._load_bytes {
            if self.op.val() == self.op_load_bytes.val() {
                self.each.next = false;
            }
        }
        for _i in 0..self._load_planes {
            if self.op.val() == self.op_load_planes.val() {
                self.each.next = false;
            }
        }
        for l in 0..self._lanes {
            self.alu[l].clock.next = self.clock.val();
            self.alu[l].op.next = self.op.val();
            self.alu[l].valid.next = self.s1_there[l].q.val() & self.each.val();
            self.alu[l].a.next = self.operand_a[l].val();
            self.alu[l].b.next = self.operand_b[l].val();
        }
        for i in 0..self._table {
            self.table_word[i].clock.next = self.clock.val();
            self.table_word[i].d.next = self.memory.b[0].val();
        }
        for i in 0..self._reductions {
            self.reduce[i].clock.next = self.clock.val();
            self.reduce[i].op.next = self.op.val();
            self.reduce[i].step.next = self.s1_step.q.val();
            self.reduce[i].first.next = self.s1_first[i].q.val();
            self.reduce[i].last.next = self.s1_last[i].q.val();
            for l in 0..self._sum_lanes {
                self.reduce[i].there[l].next = self.s1_there[l].q.val();
            }
            for l in 0..self._reduced_lanes {
                self.reduce[i].x[l].next = self.operand_a[l].val();
            }
        }

        comment!("---- stages 1 to 8: a merge of two states of attention ----");
        for i in 0..self._merge {
            self.merge[i].step.next = self.s1_step.q.val() & self.merges[i].val();
            self.merge[i].last.next = self.s1_last[i].q.val();
            self.merge[i].x_a.next = bit_cast(self.operand_a[0].val(), self._log_bits);
            self.merge[i].x_b.next = bit_cast(self.operand_b[0].val(), self._log_bits);
        }

        comment!("---- results of the banks, as they come ----");
        for i in 0..self._collect {
            self.collect[i].clock.next = self.clock.val();
            self.collect[i].start.next = self.start.val();
            self.collect[i].op.next = self.op.val();
            self.collect[i].d.next = self.d.val();
            self.collect[i].row_valid.next = self.row_valid.val();
            for l in 0..self._lanes {
                self.collect[i].results[l].next = self.results[l].val();
            }
        }
        for i in 0..self._plain {
            self.collect[0].len_less_1[i].next = self.len_less_1.val();
        }
        for i in 0..self._added {
            self.collect[0].rows[i].next = self.a.val();
            self.collect[0].passes[i].next = self.b.val();
            self.collect[0].before[i].next = self.memory.a[0].val();
        }

        comment!("---- stage 5: write ----");
        for l in 0..self._lanes {
            self.s5_we[l].d.next = self.alu[l].we.val();
            self.s5_data[l].d.next = self.alu[l].y.val();
        }
        for i in 0..self._table {
            if self.op.val() == self.op_table.val() {
                self.s5_data[0].d.next = self.table_word[i].q.val();
            }
        }
        for i in 0..self._reductions {
            if self.reduce[i].we.val() {
                self.s5_we[0].d.next = true;
                self.s5_data[0].d.next = self.reduce[i].y.val();
            }
        }
        for i in 0..self._merge {
            if self.merge[i].we.val() {
                self.s5_we[0].d.next = true;
                self.s5_data[0].d.next = self.merge[i].y.val();
            }
        }
        self.write_next.next = self.s5_addr.q.val() + self.lanes.val().into();
        for _i in 0..self._table {
            if self.op.val() == self.op_table.val() {
                self.write_next.next = self.s5_addr.q.val() + 1.into();
            }
        }
        for i in 0..self._merge {
            if self.merges[i].val() {
                self.write_next.next = self.s5_addr.q.val() + 1.into();
            }
        }
        if self.s5_we[0].q.val() {
            self.s5_addr.d.next = self.write_next.val();
        }
        if self.start.val() {
            self.s5_addr.d.next = self.d.val();
        }
        self.write_addr.next = self.s5_addr.q.val();
        for l in 0..self._lanes {
            self.write_en[l].next = self.s5_we[l].q.val();
            self.write_data[l].next = self.s5_data[l].q.val();
        }
        for i in 0..self._collect {
            if self.collect[i].writes.val() {
                self.write_addr.next = self.collect[i].addr.val();
                for l in 0..self._lanes {
                    self.write_en[l].next = self.collect[i].we[l].val();
                    self.write_data[l].next = self.collect[i].data[l].val();
                }
            }
        }
        self.memory.waddr.next = self.write_addr.val();
        for l in 0..self._lanes {
            self.memory.we[l].next = self.write_en[l].val() & self.busy.val();
            self.memory.wdata[l].next = self.write_data[l].val();
        }
        if !self.busy.val() {
            self.memory.we[0].next = self.host_we.val();
            self.memory.waddr.next = self.host_addr.val();
            self.memory.wdata[0].next = self.host_wdata.val();
        }

        comment!("---- loads of the banks' input memories ----");
        for i in 0..self._load_bytes {
            self.bytes[i].clock.next = self.clock.val();
            self.bytes[i].start.next = self.start.val();
            self.bytes[i].valid.next =
                self.s1_step.q.val() & (self.op.val() == self.op_load_bytes.val());
            for l in 0..self._byte_lanes {
                self.bytes[i].there[l].next = self.s1_there[l].q.val();
                self.bytes[i].x[l].next = self.operand_a[l].val();
            }
            self.byte_we[i].next = self.bytes[i].we.val();
            self.byte_addr[i].next = self.bytes[i].addr.val();
        }
        for i in 0..self._split_words {
            self.bytes[i].word_ends[i].next = self.s1_word_ends[i].q.val();
        }
        for i in 0..self._load_planes {
            self.planes[i].clock.next = self.clock.val();
            self.planes[i].start.next = self.start.val();
            self.planes[i].first_group.next = bit_cast(self.d.val(), self._group_bits);
            self.planes[i].valid.next =
                self.s1_step.q.val() & (self.op.val() == self.op_load_planes.val());
            for l in 0..self._lanes {
                self.planes[i].there[l].next = self.s1_there[l].q.val();
                self.planes[i].x[l].next = self.operand_a[l].val();
            }
            self.plane_we[i].next = self.planes[i].we.val();
            self.plane[i].next = self.planes[i].plane.val();
            self.plane_group[i].next = self.planes[i].group.val();
        }
        for i in 0..self._second {
            self.load_second[i].next = self.planes[0].second[i].val();
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
        let second = planes * (shape.planes_at_once() as usize - 1);
        let lanes = shape.lanes() as usize;
        let addr_bits = shape.isa.addr_bits;
        let (addr, word) = (u(addr_bits), s(buffer.word_bits));
        let plane_clocks = shape.plane_clocks();
        let groups = bank.gated.map_or(1, |g| g.groups);
        let (steps, reduce) = (VectorSteps::new(shape), VectorReduce::new(shape));
        let collect = ResultCollect::new(shape);
        let (packer, split) = (BytePacker::new(shape), steps.word_ends.len());
        let (reductions, lasts) = (reduce.iter().len(), steps.last.len());
        let reduced = reduce.as_ref().map_or(0, VectorReduce::lanes);
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
            results: vec![Wire::new(s(bank.result_bits)); lanes],
            byte_we: vec![Signal::default(); bytes],
            byte_addr: vec![Wire::new(u(index_bits(bank.loaded_words()))); bytes],
            plane_we: vec![Signal::default(); planes],
            plane: vec![Wire::new(u(index_bits(plane_clocks))); planes],
            plane_group: vec![Wire::new(u(index_bits(groups))); planes],
            load_data: Wire::new(u(shape.load_bits())),
            load_second: vec![Wire::new(u(shape.beat_bits)); second],
            steps: Inst::new(steps),
            s1_there: vec![Flop::default(); lanes],
            s1_first: vec![Flop::default(); reductions],
            s1_last: vec![Flop::default(); lasts],
            s1_word_ends: vec![Flop::default(); split],
            memory: Inst::new(VectorMemory::new(shape)),
            operand_a: vec![Wire::new(word); lanes],
            operand_b: vec![Wire::new(word); lanes],
            table_addr: vec![Reg::data(addr); has(VecOp::Table)],
            table_word: vec![Reg::data(word); has(VecOp::Table)],
            alu: (0..lanes).map(|_| Inst::new(VectorAlu::new(shape))).collect(),
            reduce: reduce.into_iter().map(Inst::new).collect(),
            merges: vec![Signal::default(); has(VecOp::Merge)],
            merge: MergeUnit::new(shape).into_iter().map(Inst::new).collect(),
            s5_we: vec![Flop::default(); lanes],
            s5_addr: Reg::new(addr),
            s5_data: vec![Reg::data(word); lanes],
            write_en: vec![Signal::default(); lanes],
            write_addr: Wire::new(addr),
            write_data: vec![Wire::new(word); lanes],
            write_next: Wire::new(addr),
            _byte_lanes: packer.lanes(),
            bytes: std::iter::repeat_with(|| Inst::new(BytePacker::new(shape)))
                .take(bytes)
                .collect(),
            planes: (0..planes).map(|_| Inst::new(PlanePacker::new(shape))).collect(),
            op_table: code(VecOp::Table),
            op_argmax: code(VecOp::Argmax),
            op_sum: code(VecOp::Sum),
            op_merge: code(VecOp::Merge),
            op_collect: code(VecOp::Collect),
            op_collect_sum: code(VecOp::CollectSum),
            op_load_bytes: code(VecOp::LoadBytes),
            op_load_planes: code(VecOp::LoadPlanes),
            table_bias: Const::new(128),
            lanes: Const::new(lanes),
            _lanes: lanes,
            _table: has(VecOp::Table),
            _argmax: has(VecOp::Argmax),
            _sum: has(VecOp::Sum),
            _merge: has(VecOp::Merge),
            _log_bits: LOG_BITS,
            _reductions: reductions,
            _lasts: lasts,
            _sum_lanes: lanes * has(VecOp::Sum),
            _reduced_lanes: reduced,
            _collect: collect.iter().len(),
            _plain: has(VecOp::Collect),
            _added: has(VecOp::CollectSum),
            _group_bits: index_bits(groups),
            collect: collect.into_iter().map(Inst::new).collect(),
            _load_bytes: bytes,
            _split_words: split,
            _load_planes: planes,
            _second: second,
            _addr_bits: addr_bits,
            ..BufferUnit::default()
        }
    }

    /// What is written in this clock: the address of the run's first element, and the words of the
    /// lanes that are written.
    pub fn written(&self) -> Option<(i128, Vec<Option<i128>>)> {
        let words = self.write_en.iter().zip(&self.write_data);
        let words = || words.map(|(en, word)| en.val().then(|| word.get())).collect();
        self.write_en.iter().any(Signal::val).then(|| (self.write_addr.get(), words()))
    }
}

impl Unit for BufferUnit {
    fn module(&self) -> String {
        "pimc_buffer_unit".into()
    }

    fn contract(&self) -> Contract {
        let (depth, width) = (self.memory.depth(), self.host_wdata.ty().width);
        let lanes = self._lanes;
        Contract {
            summary: format!(
                "Buffer unit: {depth} words of {width} bits and vector operations on them, {lanes} \
                 elements wide."
            ),
            formula: "Element i of an operation reads A at a_i + i*a_step_i and B at b_i + \
                      i*b_step_i, and writes at d_i + i; pimc_vector_alu says what. pimc_vector_steps \
                      says which elements are a step."
                .into(),
            latency:
                "An operation that starts in clock c addresses step i in clock c + 1 + i and \
                      writes it in clock c + 6 + i. host_rdata_o is the word at host_addr_i one \
                      clock earlier."
                    .into(),
            throughput: "A step per clock.".into(),
            layout:
                "results_i holds the banks' results side by side, bank 0 lowest. What is written shows \
                 on write_en, a bit per element of the run from write_addr on, and on write_data, the \
                 elements side by side, the first lowest."
                    .into(),
            preconditions: "Operands are held until the next start_i, which comes after the last \
                            element is written and not before the last load leaves. The host port \
                            is used while busy_i is low."
                .into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("busy", "host port, off while busy"),
            ("start", "vector operation"),
            ("row_valid", "results of the banks"),
            ("byte_we", "input memories of the banks"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
