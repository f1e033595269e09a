//! Results of the banks into vector memory, as matrix rows end.

use crate::hdl::prelude::*;
use crate::isa::VecOp;
use crate::shape::ChannelShape;

/// Takes a word of every bank per matrix row: side by side, or added up and added to what earlier
/// passes left. Only the operations of the shape are built; optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct ResultCollect {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// An operation starts. Its operands, below, are held until the next one.
    pub start: Signal<In, Bit>,
    /// Number of the operation in [`VecOp::ALL`].
    pub op: Wire<In>,
    /// Address of the first element.
    pub d: Wire<In>,
    /// Elements less 1; only where rows are taken side by side.
    pub len_less_1: Vec<Wire<In>>,
    /// Rows of a pass; only where they are added up.
    pub rows: Vec<Wire<In>>,
    /// Passes over the same elements; only where rows are added up.
    pub passes: Vec<Wire<In>>,

    /// A matrix row has ended in every bank.
    pub row_valid: Signal<In, Bit>,
    /// Its result in each bank.
    pub results: Vec<Wire<In>>,
    /// Address of the element that a row is added to.
    pub before_addr: Vec<Wire<Out>>,
    /// That element, one clock later.
    pub before: Vec<Wire<In>>,

    /// Something is written.
    pub writes: Signal<Out, Bit>,
    /// Lanes that are written.
    pub we: Vec<Signal<Out, Bit>>,
    /// Address of lane 0.
    pub addr: Wire<Out>,
    /// The lanes' words.
    pub data: Vec<Wire<Out>>,

    taking: Flop<Bit>,
    mine: Signal<Local, Bit>,
    taken: Signal<Local, Bit>,
    at: Reg,
    left: Vec<Reg>,
    row: Vec<Reg>,
    next_row: Vec<Wire<Local>>,
    pass: Vec<Reg>,
    next_pass: Vec<Wire<Local>>,
    element: Vec<Wire<Local>>,
    s1_addr: Reg,
    s1_we: Vec<Flop<Bit>>,
    s1_data: Vec<Reg>,
    row_sum: Vec<Wire<Local>>,
    s1_added: Vec<Flop<Bit>>,
    s1_first: Vec<Flop<Bit>>,
    s1_sum: Vec<Reg>,
    total: Vec<Wire<Local>>,
    s2_we: Vec<Flop<Bit>>,
    s2_addr: Vec<Reg>,
    s2_data: Vec<Reg>,

    op_collect: Const,
    op_collect_sum: Const,
    lanes: Const,
    _lanes: usize,
    _plain: usize,
    _plain_lanes: usize,
    _sum: usize,
    _sum_lanes: usize,
    _result_bits: u32,
}

impl Logic for ResultCollect {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, taking, at, s1_addr);
        for i in 0..self._plain {
            self.left[i].clock.next = self.clock.val();
            self.left[i].d.next = self.left[i].q.val();
        }
        for l in 0..self._plain_lanes {
            self.s1_we[l].clock.next = self.clock.val();
            self.s1_data[l].clock.next = self.clock.val();
        }
        for i in 0..self._sum {
            self.row[i].clock.next = self.clock.val();
            self.row[i].d.next = self.row[i].q.val();
            self.pass[i].clock.next = self.clock.val();
            self.pass[i].d.next = self.pass[i].q.val();
            self.s1_added[i].clock.next = self.clock.val();
            self.s1_first[i].clock.next = self.clock.val();
            self.s1_sum[i].clock.next = self.clock.val();
            self.s2_we[i].clock.next = self.clock.val();
            self.s2_addr[i].clock.next = self.clock.val();
            self.s2_data[i].clock.next = self.clock.val();
        }

        comment!("---- from its start to the next operation's, an operation takes every row ----");
        self.mine.next = false;
        for _i in 0..self._plain {
            if self.op.val() == self.op_collect.val() {
                self.mine.next = true;
            }
        }
        for _i in 0..self._sum {
            if self.op.val() == self.op_collect_sum.val() {
                self.mine.next = true;
            }
        }
        if self.start.val() {
            self.taking.d.next = self.mine.val();
        }
        self.taken.next = self.taking.q.val() & self.row_valid.val();

        comment!("---- where a row goes ----");
        self.s1_addr.d.next = self.at.q.val();
        for i in 0..self._plain {
            if self.taken.val() & (self.op.val() == self.op_collect.val()) {
                self.at.d.next = self.at.q.val() + self.lanes.val().into();
                self.left[i].d.next = self.left[i].q.val() - self.lanes.val().into();
            }
            if self.start.val() {
                self.left[i].d.next = self.len_less_1[i].val();
            }
        }
        for i in 0..self._sum {
            self.next_row[i].next = self.row[i].q.val() + 1.into();
            self.next_pass[i].next = self.pass[i].q.val() + 1.into();
            if self.taken.val() & (self.op.val() == self.op_collect_sum.val()) {
                self.row[i].d.next = self.next_row[i].val();
                if self.next_row[i].val() == self.rows[i].val() {
                    self.row[i].d.next = 0.into();
                    self.pass[i].d.next = self.next_pass[i].val();
                    if self.next_pass[i].val() == self.passes[i].val() {
                        self.pass[i].d.next = 0.into();
                        self.at.d.next = self.at.q.val() + self.rows[i].val();
                    }
                }
            }
            if self.start.val() {
                self.row[i].d.next = 0.into();
                self.pass[i].d.next = 0.into();
            }
            self.element[i].next = self.at.q.val() + self.row[i].q.val();
            self.before_addr[i].next = self.element[i].val();
            if self.op.val() == self.op_collect_sum.val() {
                self.s1_addr.d.next = self.element[i].val();
            }
        }
        if self.start.val() {
            self.at.d.next = self.d.val();
        }

        comment!("---- stage 1: the results side by side, without those past the end ----");
        for i in 0..self._plain {
            for l in 0..self._lanes {
                self.s1_data[l].d.next = signed_cast(self.results[l].val());
                self.s1_we[l].d.next = self.taken.val()
                    & (self.op.val() == self.op_collect.val())
                    & (self.left[i].q.val() >= l.into());
            }
        }

        comment!("---- stages 1 and 2: the results added up, and added to what was there ----");
        for i in 0..self._sum {
            self.row_sum[i].next = 0.into();
            for l in 0..self._sum_lanes {
                self.row_sum[i].next = self.row_sum[i].val() + signed_cast(self.results[l].val());
            }
            self.s1_sum[i].d.next = self.row_sum[i].val();
            self.s1_added[i].d.next =
                self.taken.val() & (self.op.val() == self.op_collect_sum.val());
            self.s1_first[i].d.next = self.pass[i].q.val() == 0;
            self.total[i].next = self.s1_sum[i].q.val();
            if !self.s1_first[i].q.val() {
                self.total[i].next = self.s1_sum[i].q.val() + self.before[i].val();
            }
            self.s2_data[i].d.next = self.total[i].val();
            self.s2_addr[i].d.next = self.s1_addr.q.val();
            self.s2_we[i].d.next = self.s1_added[i].q.val();
        }

        comment!("---- write ----");
        self.writes.next = false;
        self.addr.next = self.s1_addr.q.val();
        for l in 0..self._lanes {
            self.we[l].next = false;
            self.data[l].next = 0.into();
        }
        for _i in 0..self._plain {
            self.writes.next = self.s1_we[0].q.val();
            for l in 0..self._lanes {
                self.we[l].next = self.s1_we[l].q.val();
                self.data[l].next = self.s1_data[l].q.val();
            }
        }
        for i in 0..self._sum {
            if self.s2_we[i].q.val() {
                self.writes.next = true;
                self.addr.next = self.s2_addr[i].q.val();
                self.we[0].next = true;
                self.data[0].next = self.s2_data[i].q.val();
            }
        }
    }
}

impl ResultCollect {
    /// The collection of a channel's results; nothing where none is collected.
    pub fn new(shape: &ChannelShape) -> Option<Self> {
        let has = |op: VecOp| shape.buffer.ops.contains(&op) as usize;
        let code = |op: VecOp| Const::named(VecOp::bits(), op.code() as usize);
        let (plain, sum) = (has(VecOp::Collect), has(VecOp::CollectSum));
        let lanes = shape.lanes() as usize;
        let (addr, word) = (u(shape.isa.addr_bits), s(shape.buffer.word_bits));
        let of = |there: usize| vec![Wire::new(addr); there];
        (plain + sum > 0).then(|| ResultCollect {
            op: Wire::new(u(VecOp::bits())),
            d: Wire::new(addr),
            len_less_1: of(plain),
            rows: of(sum),
            passes: of(sum),
            results: vec![Wire::new(s(shape.bank.result_bits)); lanes],
            before_addr: vec![Wire::new(addr); sum],
            before: vec![Wire::new(word); sum],
            we: vec![Signal::default(); lanes],
            addr: Wire::new(addr),
            data: vec![Wire::new(word); lanes],
            at: Reg::new(addr),
            left: vec![Reg::new(addr); plain],
            row: vec![Reg::new(addr); sum],
            next_row: of_local(addr, sum),
            pass: vec![Reg::new(addr); sum],
            next_pass: of_local(addr, sum),
            element: of_local(addr, sum),
            s1_addr: Reg::data(addr),
            s1_we: vec![Flop::default(); plain * lanes],
            s1_data: vec![Reg::data(word); plain * lanes],
            row_sum: of_local(word, sum),
            s1_added: vec![Flop::default(); sum],
            s1_first: vec![Flop::default(); sum],
            s1_sum: vec![Reg::data(word); sum],
            total: of_local(word, sum),
            s2_we: vec![Flop::default(); sum],
            s2_addr: vec![Reg::data(addr); sum],
            s2_data: vec![Reg::data(word); sum],
            op_collect: code(VecOp::Collect),
            op_collect_sum: code(VecOp::CollectSum),
            lanes: Const::new(lanes),
            _lanes: lanes,
            _plain: plain,
            _plain_lanes: plain * lanes,
            _sum: sum,
            _sum_lanes: sum * lanes,
            _result_bits: shape.bank.result_bits,
            ..ResultCollect::default()
        })
    }
}

fn of_local(ty: Ty, there: usize) -> Vec<Wire<Local>> {
    vec![Wire::new(ty); there]
}

impl Unit for ResultCollect {
    fn module(&self) -> String {
        "pimc_result_collect".into()
    }

    fn contract(&self) -> Contract {
        let lanes = self._lanes;
        let mut formula = vec![];
        if self._plain > 0 {
            formula.push(format!(
                "Op {}: row n of bank b goes to d_i + {lanes}*n + b, those past len_less_1_i nowhere.",
                self.op_collect.val()
            ));
        }
        if self._sum > 0 {
            formula.push(format!(
                "Op {}: the sum of row n over the banks is added to d_i + n / (rows_i*passes_i) * rows_i + \
                 n mod rows_i; the first of the passes_i passes writes it.",
                self.op_collect_sum.val()
            ));
        }
        let latency = match self._sum {
            0 => "1 clock from row_valid_i to the write.",
            _ => "From row_valid_i to the write: 1 clock side by side, 2 clocks added up.",
        };
        Contract {
            summary: "Result collect: results of the banks into vector memory, as matrix rows end."
                .into(),
            formula: formula.join("\n"),
            latency: latency.into(),
            throughput: "A row per clock.".into(),
            preconditions:
                "Operands are held from start_i to the last row; an element is added to at most once \
                 in 3 clocks."
                    .into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("start", "vector operation"),
            ("row_valid", "results of the banks"),
            ("writes", "to vector memory"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
