//! The outputs of the banks divided by the sums of the probabilities.

use crate::attention::{AttentionShape, NORMALISE_LATENCY};
use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};
use crate::softmax_divide::{SoftmaxDivide, DIVIDE_LATENCY};
use crate::softmax_log::{SoftmaxLog, LOG_LATENCY};
use crate::softmax_reciprocal::{SoftmaxReciprocal, RECIPROCAL_LATENCY};
use crate::softmax_tree::{SumTree, TreePlan};

/// Clocks from the number of a result to it: the reciprocal, then the quotient.
pub const RESULT_CLOCKS: u32 = RECIPROCAL_LATENCY + DIVIDE_LATENCY;

/// Clocks from an output being chosen to all banks showing it.
const SELECT_CLOCKS: u32 = 1;

/// Results one a clock, the elements of a row one after the other.
#[derive(LogicBlock, Default)]
pub struct SoftmaxNormalise {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// The results are wanted.
    pub start: Signal<In, Bit>,
    /// The sum of the probabilities of every row; held while results come.
    pub sum: Vec<Wire<In>>,

    /// The largest score of every row, held likewise; of shapes that give log-sum-exps.
    pub largest_score: Vec<Wire<In>>,

    /// Row of the outputs that the banks are to show in the next clock.
    pub out_row: Wire<Out>,
    /// Their slice.
    pub out_slice: Wire<Out>,
    /// Their element of the sub-vector.
    pub out_element: Wire<Out>,
    /// An output of every bank, selected a clock ago.
    pub out_value: Vec<Wire<In>>,

    /// A result is there.
    pub value_valid: Signal<Out, Bit>,
    /// It.
    pub value: Wire<Out>,

    waits: Reg,
    running: Flop<Bit>,
    element: Vec<Reg>,
    row: Vec<Reg>,
    is_row_end: Signal<Local, Bit>,
    is_end: Signal<Local, Bit>,
    there: Reg,

    sum_row: Wire<Local>,
    reciprocal: Inst<SoftmaxReciprocal>,

    log: Vec<Inst<SoftmaxLog>>,
    number: Wire<Local>,
    largest_row: Vec<Wire<Local>>,
    is_log: Vec<Reg>,
    log_number: Const,
    log_last: Const,

    row_line: Vec<Reg>,
    element_line: Vec<Reg>,
    chosen: Wire<Local>,
    member: Vec<Reg>,
    group_value: Vec<Wire<Local>>,
    total: Vec<Inst<SumTree>>,
    total_held: Vec<Reg>,
    output_total: Wire<Local>,

    divide: Inst<SoftmaxDivide>,

    members: Const,
    last_element: Const,
    last_row: Const,
    waits_last: Const,
    there_last: Const,
    line_last: Const,
    slice_at: Const,
    member_at: Const,
    _shape: Option<AttentionShape>,
    _logs: usize,
    _log_rows: usize,
    _rows: usize,
    _one_row: usize,
    _members: usize,
    _one_member: usize,
    _groups: usize,
    _one_group: usize,
    _group_count: usize,
    _line: usize,
    _dim: usize,
    _chosen: usize,
    _element_bits: u32,
    _one_element: usize,
    _sub: usize,
    _no_sub: usize,
    _slices: usize,
    _one_slice: usize,
    _sub_bits: u32,
    _slice_bits: u32,
    _member_bits: u32,
    _levels: u32,
}

impl SoftmaxNormalise {
    /// The unit of a shape in a channel, with so many levels of adders in a stage.
    pub fn new(shape: &AttentionShape, channel: &ChannelShape, levels: u32) -> Self {
        let rows = shape.rows();
        let (out, sum) = (s(shape.out_bits()), u(shape.sum_bits()));
        let reciprocal = SoftmaxReciprocal::new(shape);
        let divide = SoftmaxDivide::new(out, &reciprocal, shape.frac, shape.result_bits);
        let value = divide.value.ty();
        let many = |n: u32| (n > 1) as usize;
        let line =
            (RECIPROCAL_LATENCY - SELECT_CLOCKS - TreePlan::stages(shape.groups, levels)) as usize;
        let waits = NORMALISE_LATENCY - RESULT_CLOCKS - 1;
        let element = u(index_bits(shape.row_results()));
        let (logs, results) = (shape.state() as usize, shape.row_results());
        let chosen = u(index_bits(shape.dim));
        let row = u(index_bits(rows));
        let member = u(index_bits(shape.members));
        let tree = || {
            let plan = TreePlan::new(shape.groups, levels);
            Inst::new(SumTree::new(plan, out, out))
        };
        let log = |n: u32| n.trailing_zeros();
        SoftmaxNormalise {
            sum: vec![Wire::new(sum); rows as usize],
            out_row: Wire::new(row),
            out_slice: Wire::new(u(index_bits(shape.slices))),
            out_element: Wire::new(u(index_bits(shape.sub))),
            out_value: vec![Wire::new(out); channel.banks as usize],
            value: Wire::new(value),
            waits: Reg::new(u(waits)),
            element: vec![Reg::new(element); many(results)],
            row: vec![Reg::new(row); many(rows)],
            there: Reg::new(u(RESULT_CLOCKS)),
            sum_row: Wire::new(sum),
            reciprocal: Inst::new(reciprocal),
            largest_score: vec![Wire::new(s(shape.score_bits())); logs * rows as usize],
            log: (0..logs).map(|_| Inst::new(SoftmaxLog::new(shape))).collect(),
            number: Wire::new(element),
            largest_row: vec![Wire::new(s(shape.score_bits())); logs],
            is_log: vec![Reg::new(u(LOG_LATENCY)); logs],
            log_number: Const::new(shape.dim as usize),
            log_last: Const::new(LOG_LATENCY as usize - 1),
            row_line: vec![Reg::data(row); many(rows) * line],
            element_line: vec![Reg::data(chosen); many(shape.dim) * line],
            chosen: Wire::new(chosen),
            member: vec![Reg::data(member); many(shape.members)],
            group_value: vec![Wire::new(out); shape.groups as usize],
            total: (0..many(shape.groups)).map(|_| tree()).collect(),
            total_held: vec![Reg::data(out); 1 - many(shape.groups)],
            output_total: Wire::new(out),
            divide: Inst::new(divide),
            members: Const::new(shape.members as usize),
            last_element: Const::new(results as usize - 1),
            last_row: Const::new(rows as usize - 1),
            waits_last: Const::new(waits as usize - 1),
            there_last: Const::new(RESULT_CLOCKS as usize - 1),
            line_last: Const::new(line - 1),
            slice_at: Const::new(log(shape.sub) as usize),
            member_at: Const::new((log(shape.sub) + log(shape.slices)) as usize),
            _shape: Some(shape.clone()),
            _logs: logs,
            _log_rows: logs * many(rows),
            _rows: many(rows),
            _one_row: 1 - many(rows),
            _members: many(shape.members),
            _one_member: 1 - many(shape.members),
            _groups: many(shape.groups),
            _one_group: 1 - many(shape.groups),
            _group_count: shape.groups as usize,
            _line: line,
            _dim: many(results),
            _chosen: many(shape.dim),
            _element_bits: chosen.width,
            _one_element: 1 - many(shape.dim),
            _sub: many(shape.sub),
            _no_sub: 1 - many(shape.sub),
            _slices: many(shape.slices),
            _one_slice: 1 - many(shape.slices),
            _sub_bits: log(shape.sub).max(1),
            _slice_bits: log(shape.slices).max(1),
            _member_bits: member.width,
            _levels: levels,
            ..SoftmaxNormalise::default()
        }
    }
}

impl Logic for SoftmaxNormalise {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, waits, running, there);
        self.reciprocal.clock.next = self.clock.val();
        self.divide.clock.next = self.clock.val();
        for i in 0..self._rows {
            self.row[i].clock.next = self.clock.val();
            for k in 0..self._line {
                self.row_line[k].clock.next = self.clock.val();
            }
        }
        for i in 0..self._dim {
            self.element[i].clock.next = self.clock.val();
        }
        for _i in 0..self._chosen {
            for k in 0..self._line {
                self.element_line[k].clock.next = self.clock.val();
            }
        }
        for i in 0..self._logs {
            self.log[i].clock.next = self.clock.val();
            self.is_log[i].clock.next = self.clock.val();
        }
        for i in 0..self._members {
            self.member[i].clock.next = self.clock.val();
        }
        for i in 0..self._groups {
            self.total[i].clock.next = self.clock.val();
        }
        for i in 0..self._one_group {
            self.total_held[i].clock.next = self.clock.val();
        }

        comment!("---- the number of the result ----");
        self.waits.d.next = self.waits.q.val() << 1 | self.start.val().into();
        self.is_row_end.next = self.running.q.val();
        self.number.next = 0.into();
        for i in 0..self._dim {
            self.number.next = self.element[i].q.val();
            self.is_row_end.next =
                self.running.q.val() & (self.element[i].q.val() == self.last_element.val());
            self.element[i].d.next = self.element[i].q.val();
            if self.running.q.val() {
                self.element[i].d.next = self.element[i].q.val() + 1.into();
            }
        }
        for i in 0..self._logs {
            if self.is_row_end.val() {
                self.element[i].d.next = 0.into();
            }
        }
        self.is_end.next = self.is_row_end.val();
        for i in 0..self._rows {
            self.is_end.next = self.is_row_end.val() & (self.row[i].q.val() == self.last_row.val());
            self.row[i].d.next = self.row[i].q.val();
            if self.is_row_end.val() {
                self.row[i].d.next = self.row[i].q.val() + 1.into();
            }
            if self.is_end.val() {
                self.row[i].d.next = 0.into();
            }
        }
        if self.waits.q.val().get_bit(self.waits_last.val()) {
            self.running.d.next = true;
        }
        if self.is_end.val() {
            self.running.d.next = false;
        }
        self.there.d.next = self.there.q.val() << 1 | self.running.q.val().into();

        comment!("---- the reciprocal of its row's sum ----");
        for _i in 0..self._one_row {
            self.sum_row.next = self.sum[0].val();
        }
        for i in 0..self._rows {
            self.sum_row.next = self.sum[self.row[i].q.val().index()].val();
        }
        self.reciprocal.sum.next = self.sum_row.val();

        for i in 0..self._logs {
            comment!("---- its log-sum-exp ----");
            self.is_log[i].d.next =
                self.is_log[i].q.val() << 1 | (self.number.val() == self.log_number.val()).into();
            self.largest_row[i].next = self.largest_score[0].val();
            self.log[i].behind.next = self.reciprocal.behind[i].val();
            self.log[i].scale.next = self.reciprocal.scale.val();
            self.log[i].empty.next = self.reciprocal.empty.val();
        }
        for i in 0..self._log_rows {
            self.largest_row[i].next = self.largest_score[self.row[i].q.val().index()].val();
        }
        for i in 0..self._logs {
            self.log[i].largest.next = self.largest_row[i].val();
        }

        comment!("---- the outputs are chosen so late that they meet it ----");
        for _i in 0..self._one_row {
            self.out_row.next = 0.into();
        }
        for i in 0..self._rows {
            self.row_line[0].d.next = self.row[i].q.val();
            for k in 1..self._line {
                self.row_line[k].d.next = self.row_line[k - 1].q.val();
            }
            self.out_row.next = self.row_line[self.line_last.val()].q.val();
        }
        for _i in 0..self._one_element {
            self.chosen.next = 0.into();
        }
        for _i in 0..self._chosen {
            self.element_line[0].d.next = bit_cast(self.number.val(), self._element_bits);
            for k in 1..self._line {
                self.element_line[k].d.next = self.element_line[k - 1].q.val();
            }
            self.chosen.next = self.element_line[self.line_last.val()].q.val();
        }
        for _i in 0..self._no_sub {
            self.out_element.next = 0.into();
        }
        for _i in 0..self._sub {
            self.out_element.next = bit_cast(self.chosen.val(), self._sub_bits);
        }
        for _i in 0..self._one_slice {
            self.out_slice.next = 0.into();
        }
        for _i in 0..self._slices {
            self.out_slice.next =
                bit_cast(self.chosen.val() >> self.slice_at.val(), self._slice_bits);
        }

        comment!("---- of the banks those that hold it, summed over the token groups ----");
        for i in 0..self._members {
            self.member[i].d.next =
                bit_cast(self.chosen.val() >> self.member_at.val(), self._member_bits);
            for g in 0..self._group_count {
                self.group_value[g].next = self.out_value[g * self.members.val()].val();
                for m in 1..self.members.val() {
                    if self.member[i].q.val() == m {
                        self.group_value[g].next = self.out_value[g * self.members.val() + m].val();
                    }
                }
            }
        }
        for _i in 0..self._one_member {
            for g in 0..self._group_count {
                self.group_value[g].next = self.out_value[g].val();
            }
        }
        for i in 0..self._one_group {
            self.total_held[i].d.next = self.group_value[0].val();
            self.output_total.next = self.total_held[i].q.val();
        }
        for i in 0..self._groups {
            for g in 0..self._group_count {
                self.total[i].x[g].next = self.group_value[g].val();
            }
        }
        for i in 0..self._groups {
            self.output_total.next = self.total[i].sum.val();
        }

        comment!("---- the quotient ----");
        self.divide.dividend.next = self.output_total.val();
        self.divide.fraction.next = self.reciprocal.fraction.val();
        self.divide.scale.next = self.reciprocal.scale.val();
        self.divide.empty.next = self.reciprocal.empty.val();
        for i in 0..self._logs {
            self.divide.is_log[i].next = self.is_log[i].q.val().get_bit(self.log_last.val());
            self.divide.log[i].next = self.log[i].value.val();
        }
        self.value_valid.next = self.there.q.val().get_bit(self.there_last.val());
        self.value.next = self.divide.value.val();
    }
}

impl Unit for SoftmaxNormalise {
    fn module(&self) -> String {
        let p = self._shape.as_ref().unwrap_or_else(|| unreachable!("made by new"));
        format!(
            "pimc_softmax_normalise_r{}_m{}_n{}_e{}_g{}_f{}_u{}_q{}_y{}{}",
            p.rows(),
            p.members,
            p.slices,
            p.sub,
            p.groups,
            1 << self._levels,
            p.sum_bits(),
            p.frac,
            p.result_bits,
            if p.state() { "_log" } else { "" }
        )
    }

    fn contract(&self) -> Contract {
        let p = self._shape.as_ref().unwrap_or_else(|| unreachable!("made by new"));
        let groups = match p.groups {
            1 => String::new(),
            groups => format!(", summed over {groups} token groups"),
        };
        Contract {
            summary: "Outputs divided by the sums of the probabilities.".into(),
            formula: format!(
                "value_o of row r and element d = clamp((o * fraction + 2^(s - 1)) >> s) to {} \
                 signed bits, where o is the output of the banks{groups}, fraction and scale are of \
                 the reciprocal of sum_i[r], and s = scale + {}, which leaves {} bits behind the \
                 point. 0 where the sum is 0.{}",
                p.result_bits,
                31 - p.frac,
                p.frac,
                if p.state() { " Behind the elements of a row is its log-sum-exp." } else { "" }
            ),
            latency: format!(
                "{NORMALISE_LATENCY} clocks from start_i to the first value_o, then one a clock, {} \
                 in all.",
                p.rows() * p.row_results()
            ),
            layout: format!(
                "Rows outermost. Element d is with member d / {} of a token group, at slice d / {} \
                 mod {}, element d mod {}; bank group * {} + member.",
                p.slices * p.sub,
                p.sub,
                p.slices,
                p.sub,
                p.members
            ),
            preconditions: "out_value_i shows the outputs that were chosen in the clock before; they \
                            fit its width summed, too. No start before the last result."
                .into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("start", "sums of probabilities"),
            ("out_row", "outputs of the banks"),
            ("value_valid", "results"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
