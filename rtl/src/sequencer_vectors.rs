//! The operands of a vector operation, held for the buffer unit.

use crate::hdl::prelude::*;
use crate::isa::VecOp;
use crate::shape::ChannelShape;

/// Takes the operands of `Vec` apart and holds them until the next.
#[derive(LogicBlock, Default)]
pub struct VectorIssue {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// An operation is issued.
    pub issue: Signal<In, Bit>,
    /// Its operands.
    pub operands: Wire<In>,
    /// Base of vector memory; only where programs set it.
    pub base: Vec<Wire<In>>,

    /// It starts; one clock after `issue`.
    pub start: Signal<Out, Bit>,
    /// Which operation.
    pub op: Wire<Out>,
    /// Step of A.
    pub a_step: Wire<Out>,
    /// Step of B.
    pub b_step: Wire<Out>,
    /// Address of A.
    pub a: Wire<Out>,
    /// Address of B.
    pub b: Wire<Out>,
    /// Address of the result.
    pub d: Wire<Out>,
    /// Elements less 1.
    pub len_less_1: Wire<Out>,
    /// 1 + the first bank of a load, 0 for all; only when there are loads to some banks.
    pub bank: Vec<Wire<Out>>,
    /// 1 + the last bank of a load, 0 for all; with `bank`.
    pub last: Vec<Wire<Out>>,

    started: Flop<Bit>,
    held: Reg,
    based: Vec<Reg>,
    loads: Vec<Signal<Local, Bit>>,
    collects: Vec<Signal<Local, Bit>>,
    op_load_bytes: Const,
    op_collect: Const,
    op_collect_sum: Const,
    a_step_at: Const,
    b_step_at: Const,
    a_at: Const,
    b_at: Const,
    d_at: Const,
    len_at: Const,
    bank_at: Const,
    last_at: Const,
    _dynamic: usize,
    _banks: usize,
    _bank_bits: u32,
    _op_bits: u32,
    _addr_bits: u32,
}

impl Logic for VectorIssue {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, started, held);
        self.started.d.next = self.issue.val();
        if self.issue.val() {
            self.held.d.next = self.operands.val();
        }
        self.start.next = self.started.q.val();
        self.op.next = bit_cast(self.held.q.val(), self._op_bits);
        self.a_step.next = bit_cast(self.held.q.val() >> self.a_step_at.val(), 1);
        self.b_step.next = bit_cast(self.held.q.val() >> self.b_step_at.val(), 1);
        self.a.next = bit_cast(self.held.q.val() >> self.a_at.val(), self._addr_bits);
        self.b.next = bit_cast(self.held.q.val() >> self.b_at.val(), self._addr_bits);
        self.d.next = bit_cast(self.held.q.val() >> self.d_at.val(), self._addr_bits);
        self.len_less_1.next = bit_cast(self.held.q.val() >> self.len_at.val(), self._addr_bits);
        for i in 0..self._dynamic {
            self.based[i].clock.next = self.clock.val();
            self.based[i].d.next = self.based[i].q.val();
            if self.issue.val() {
                self.based[i].d.next = self.base[i].val();
            }
            self.loads[i].next = self.op.val() == self.op_load_bytes.val();
            self.collects[i].next = (self.op.val() == self.op_collect.val())
                | (self.op.val() == self.op_collect_sum.val());
            if self.loads[i].val() {
                self.a.next = bit_cast(self.held.q.val() >> self.a_at.val(), self._addr_bits)
                    + self.based[i].q.val();
            }
            if self.collects[i].val() {
                self.d.next = bit_cast(self.held.q.val() >> self.d_at.val(), self._addr_bits)
                    + self.based[i].q.val();
            }
        }
        for i in 0..self._banks {
            self.bank[i].next = bit_cast(self.held.q.val() >> self.bank_at.val(), self._bank_bits);
            self.last[i].next = bit_cast(self.held.q.val() >> self.last_at.val(), self._bank_bits);
        }
    }
}

impl VectorIssue {
    /// The operands of a channel's vector operations.
    pub fn new(shape: &ChannelShape) -> Self {
        let isa = &shape.isa;
        let fields = isa.vec_fields();
        let end = fields.last().map_or(0, |f| f.at + f.bits);
        let op_bits = fields.first().map_or(1, |f| f.bits);
        let at =
            |i: usize| Const::new(fields.get(i).map_or(0, |f| f.at - isa.operands_at()) as usize);
        let operands = u(end - isa.operands_at());
        let banks = (isa.bank_bits > 0) as usize;
        let dynamic = shape.bank.attention.is_some() as usize;
        let code = |op: VecOp| Const::named(VecOp::bits(), op.code() as usize);
        let addr = || Wire::new(u(isa.addr_bits));
        VectorIssue {
            operands: Wire::new(operands),
            op: Wire::new(u(op_bits)),
            a_step: Wire::new(u(1)),
            b_step: Wire::new(u(1)),
            a: addr(),
            b: addr(),
            d: addr(),
            len_less_1: addr(),
            bank: vec![Wire::new(u(isa.bank_bits)); banks],
            last: vec![Wire::new(u(isa.bank_bits)); banks],
            held: Reg::new(operands),
            base: vec![Wire::new(u(isa.addr_bits)); dynamic],
            based: vec![Reg::new(u(isa.addr_bits)); dynamic],
            loads: vec![Signal::default(); dynamic],
            collects: vec![Signal::default(); dynamic],
            op_load_bytes: code(VecOp::LoadBytes),
            op_collect: code(VecOp::Collect),
            op_collect_sum: code(VecOp::CollectSum),
            a_step_at: at(1),
            b_step_at: at(2),
            a_at: at(3),
            b_at: at(4),
            d_at: at(5),
            len_at: at(6),
            bank_at: at(7),
            last_at: at(8),
            _dynamic: dynamic,
            _banks: banks,
            _bank_bits: isa.bank_bits,
            _op_bits: op_bits,
            _addr_bits: isa.addr_bits,
            ..VectorIssue::default()
        }
    }
}

impl Unit for VectorIssue {
    fn module(&self) -> String {
        "pimc_vector_issue".into()
    }

    fn contract(&self) -> Contract {
        let bank = if self._banks > 0 { ", first and last bank of a load" } else { "" };
        let base = "The base is added to the address of A of a load of bytes, and to that of the result of a \
                    collection.";
        let formula = if self._dynamic > 0 { base.into() } else { String::new() };
        Contract {
            formula,
            summary: "Vector issue: holds the operands of a vector operation for the buffer unit."
                .into(),
            latency: "1 clock from issue_i to start_o and the operands.".into(),
            layout: format!(
                "operands_i, lowest first: operation, step of A, step of B, addresses of A, B and \
                 the result, length less 1{bank}."
            ),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("issue", "from the program"), ("start", "to the buffer unit")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
