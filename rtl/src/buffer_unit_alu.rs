//! The arithmetic of the vector operations, from the words that were read to the word to write.

use crate::hdl::prelude::*;
use crate::isa::VecOp;
use crate::requantiser::Requantiser;
use crate::shape::ChannelShape;

/// Stages 1 to 4 of the buffer unit's pipeline. Only the operations of the shape are built;
/// optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct VectorAlu {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Number of the operation in [`VecOp::ALL`]; held from its start to its last result.
    pub op: Wire<In>,
    /// Stage 1: an element.
    pub valid: Signal<In, Bit>,
    /// Stage 1: it is the operation's first; only when there are reductions.
    pub first: Vec<Signal<In, Bit>>,
    /// Stage 1: it is the operation's last; only when there are reductions.
    pub last: Vec<Signal<In, Bit>>,
    /// Stage 1: operand A.
    pub a: Wire<In>,
    /// Stage 1: operand B.
    pub b: Wire<In>,
    /// Stage 2: the bank's word.
    pub drained: Wire<In>,
    /// Stage 3: the table's word.
    pub table_word: Vec<Wire<In>>,

    /// Stage 4: `y` is a result.
    pub we: Signal<Out, Bit>,
    /// Stage 4: the result.
    pub y: Wire<Out>,

    s2_valid: Flop<Bit>,
    s2_first: Vec<Flop<Bit>>,
    s2_last: Vec<Flop<Bit>>,
    s2_a: Reg,
    s2_b: Reg,
    unused_b: Vec<Unused>,
    s2_index: Vec<Reg>,
    s2_position: Vec<Wire<Local>>,
    s2_better: Vec<Signal<Local, Bit>>,
    s2_x: Vec<Wire<Local>>,
    s2_y: Vec<Wire<Local>>,
    s3_valid: Flop<Bit>,
    s3_last: Vec<Flop<Bit>>,
    s3_largest: Vec<Reg>,
    s3_value: Reg,
    s3_product: Vec<Reg>,
    s4_valid: Flop<Bit>,
    s4_last: Vec<Flop<Bit>>,
    s4_value: Reg,
    requantiser: Vec<Inst<Requantiser>>,

    op_add: Const,
    op_mul: Const,
    op_relu: Const,
    op_requant: Const,
    op_table: Const,
    op_argmax: Const,
    op_sum: Const,
    op_drain: Const,
    op_drain_mac: Const,
    op_drain_ones: Const,
    op_load_bytes: Const,
    op_load_planes: Const,

    _add: usize,
    _mul: usize,
    _relu: usize,
    _requant: usize,
    _table: usize,
    _argmax: usize,
    _sum: usize,
    _reductions: usize,
    _unused_b: usize,
    _drain: usize,
    _drain_mac: usize,
    _drain_ones: usize,
    _load_bytes: usize,
    _load_planes: usize,
    _products: usize,
    _word_bits: u32,
    _mul_bits: u32,
    _requant_in: u32,
    _constant_bits: u32,
    _ops: Vec<VecOp>,
}

impl Logic for VectorAlu {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, s2_valid, s2_a, s2_b, s3_valid, s3_value, s4_valid, s4_value);
        for i in 0..self._reductions {
            self.s2_first[i].clock.next = self.clock.val();
            self.s2_last[i].clock.next = self.clock.val();
            self.s3_last[i].clock.next = self.clock.val();
            self.s4_last[i].clock.next = self.clock.val();
            self.s2_first[i].d.next = self.first[i].val();
            self.s2_last[i].d.next = self.last[i].val();
            self.s3_last[i].d.next = self.s2_last[i].q.val();
            self.s4_last[i].d.next = self.s3_last[i].q.val();
        }
        for i in 0..self._argmax {
            self.s2_index[i].clock.next = self.clock.val();
            self.s3_largest[i].clock.next = self.clock.val();
        }
        for i in 0..self._products {
            self.s3_product[i].clock.next = self.clock.val();
        }

        self.s2_valid.d.next = self.valid.val();
        self.s2_a.d.next = self.a.val();
        self.s2_b.d.next = self.b.val();
        for i in 0..self._unused_b {
            self.unused_b[i].x.next = unsigned_cast(self.s2_b.q.val());
        }

        comment!("---- stage 3: sums and selections ----");
        self.s3_valid.d.next = self.s2_valid.q.val();
        for i in 0..self._argmax {
            self.s2_index[i].d.next = self.s2_index[i].q.val();
            self.s3_largest[i].d.next = self.s3_largest[i].q.val();
            if self.s2_valid.q.val() {
                self.s2_index[i].d.next = self.s2_index[i].q.val() + 1.into();
            }
            if self.first[i].val() {
                self.s2_index[i].d.next = 0.into();
            }
            self.s2_position[i].next = self.s2_index[i].q.val();
            self.s2_better[i].next =
                self.s2_first[i].q.val() | (self.s2_a.q.val() > self.s3_largest[i].q.val());
            if self.s2_better[i].val() {
                self.s3_largest[i].d.next = self.s2_a.q.val();
            }
        }
        self.s3_value.d.next = self.s2_a.q.val();
        for _i in 0..self._add {
            if self.op.val() == self.op_add.val() {
                self.s3_value.d.next = self.s2_a.q.val() + self.s2_b.q.val();
            }
        }
        for _i in 0..self._mul {
            if self.op.val() == self.op_mul.val() {
                self.s3_value.d.next = 0.into();
            }
        }
        for _i in 0..self._relu {
            if (self.op.val() == self.op_relu.val()) & (self.s2_a.q.val() < 0.into()) {
                self.s3_value.d.next = 0.into();
            }
        }
        for i in 0..self._argmax {
            if self.op.val() == self.op_argmax.val() {
                self.s3_value.d.next = self.s3_value.q.val();
                if self.s2_valid.q.val() & self.s2_better[i].val() {
                    self.s3_value.d.next = signed_cast(self.s2_position[i].val());
                }
            }
        }
        for i in 0..self._sum {
            if (self.op.val() == self.op_sum.val()) & !self.s2_first[i].q.val() {
                self.s3_value.d.next = self.s3_value.q.val() + self.s2_a.q.val();
            }
        }
        for _i in 0..self._drain {
            if self.op.val() == self.op_drain.val() {
                self.s3_value.d.next = self.drained.val();
            }
        }

        comment!("---- stage 3: products ----");
        for i in 0..self._products {
            self.s2_x[i].next = bit_cast(self.drained.val(), self._mul_bits);
        }
        for i in 0..self._mul {
            if self.op.val() == self.op_mul.val() {
                self.s2_x[i].next = bit_cast(self.s2_a.q.val(), self._mul_bits);
            }
        }
        for i in 0..self._products {
            self.s2_y[i].next = bit_cast(self.s2_b.q.val(), self._mul_bits);
            self.s3_product[i].d.next = self.s2_x[i].val() * self.s2_y[i].val();
        }

        comment!("---- stage 4: the sum of value and product, or the table's word ----");
        self.s4_valid.d.next = self.s3_valid.q.val();
        self.s4_value.d.next = self.s3_value.q.val();
        for i in 0..self._table {
            if self.op.val() == self.op_table.val() {
                self.s4_value.d.next = self.table_word[i].val();
            }
        }
        for i in 0..self._mul {
            if self.op.val() == self.op_mul.val() {
                self.s4_value.d.next = self.s3_value.q.val() + self.s3_product[i].q.val();
            }
        }
        for i in 0..self._drain_mac {
            if self.op.val() == self.op_drain_mac.val() {
                self.s4_value.d.next = self.s3_value.q.val() + self.s3_product[i].q.val();
            }
        }
        for i in 0..self._drain_ones {
            if self.op.val() == self.op_drain_ones.val() {
                self.s4_value.d.next = self.s3_value.q.val() + self.s3_product[i].q.val();
            }
        }

        comment!("---- stages 3 and 4: requantiser; its constants lie in B ----");
        for i in 0..self._requant {
            self.requantiser[i].clock.next = self.clock.val();
            self.requantiser[i].x.next = bit_cast(self.s2_a.q.val(), self._requant_in);
            self.requantiser[i].constants.next =
                bit_cast(unsigned_cast(self.s2_b.q.val()), self._constant_bits);
        }

        comment!("---- the result: a reduction has one, a load has none ----");
        self.y.next = self.s4_value.q.val();
        for i in 0..self._requant {
            if self.op.val() == self.op_requant.val() {
                self.y.next = self.requantiser[i].y.val();
            }
        }
        self.we.next = self.s4_valid.q.val();
        for i in 0..self._argmax {
            if (self.op.val() == self.op_argmax.val()) & !self.s4_last[i].q.val() {
                self.we.next = false;
            }
        }
        for i in 0..self._sum {
            if (self.op.val() == self.op_sum.val()) & !self.s4_last[i].q.val() {
                self.we.next = false;
            }
        }
        for _i in 0..self._load_bytes {
            if self.op.val() == self.op_load_bytes.val() {
                self.we.next = false;
            }
        }
        for _i in 0..self._load_planes {
            if self.op.val() == self.op_load_planes.val() {
                self.we.next = false;
            }
        }
    }
}

impl VectorAlu {
    /// The arithmetic of a channel's buffer unit.
    pub fn new(shape: &ChannelShape) -> Self {
        let buffer = &shape.buffer;
        let has = |op: VecOp| buffer.ops.contains(&op) as usize;
        let code = |op: VecOp| Const::named(VecOp::bits(), op.code() as usize);
        let word = s(buffer.word_bits);
        let [argmax, sum, table] = [VecOp::Argmax, VecOp::Sum, VecOp::Table].map(has);
        let products = [VecOp::Mul, VecOp::DrainMac, VecOp::DrainOnes].map(has);
        let products = products.into_iter().max().unwrap_or(0);
        let reductions = argmax.max(sum);
        let factor = Wire::new(s(buffer.mul_bits.max(1)));
        let product = s((2 * buffer.mul_bits).clamp(1, buffer.word_bits));
        let requant = buffer.requant.filter(|_| has(VecOp::Requant) > 0);
        VectorAlu {
            op: Wire::new(u(VecOp::bits())),
            a: Wire::new(word),
            b: Wire::new(word),
            drained: Wire::new(word),
            table_word: vec![Wire::new(word); table],
            y: Wire::new(word),
            first: vec![Signal::default(); reductions],
            last: vec![Signal::default(); reductions],
            s2_first: vec![Flop::default(); reductions],
            s2_last: vec![Flop::default(); reductions],
            s3_last: vec![Flop::default(); reductions],
            s4_last: vec![Flop::default(); reductions],
            s2_a: Reg::data(word),
            s2_b: Reg::data(word),
            unused_b: vec![Unused::new(word.width); 1 - has(VecOp::Add)],
            s2_index: vec![Reg::new(u(word.width.min(shape.isa.addr_bits))); argmax],
            s2_position: vec![Wire::new(u(word.width)); argmax],
            s2_better: vec![Signal::default(); argmax],
            s2_x: vec![factor.clone(); products],
            s2_y: vec![factor; products],
            s3_largest: vec![Reg::data(word); argmax],
            s3_value: Reg::data(word),
            s3_product: vec![Reg::data(product); products],
            s4_value: Reg::data(word),
            requantiser: requant.iter().map(|r| Inst::new(Requantiser::new(*r))).collect(),
            op_add: code(VecOp::Add),
            op_mul: code(VecOp::Mul),
            op_relu: code(VecOp::Relu),
            op_requant: code(VecOp::Requant),
            op_table: code(VecOp::Table),
            op_argmax: code(VecOp::Argmax),
            op_sum: code(VecOp::Sum),
            op_drain: code(VecOp::Drain),
            op_drain_mac: code(VecOp::DrainMac),
            op_drain_ones: code(VecOp::DrainOnes),
            op_load_bytes: code(VecOp::LoadBytes),
            op_load_planes: code(VecOp::LoadPlanes),
            _add: has(VecOp::Add),
            _mul: has(VecOp::Mul),
            _relu: has(VecOp::Relu),
            _requant: requant.iter().len(),
            _table: table,
            _argmax: argmax,
            _sum: sum,
            _reductions: reductions,
            _unused_b: 1 - has(VecOp::Add),
            _drain: has(VecOp::Drain),
            _drain_mac: has(VecOp::DrainMac),
            _drain_ones: has(VecOp::DrainOnes),
            _load_bytes: has(VecOp::LoadBytes),
            _load_planes: has(VecOp::LoadPlanes),
            _products: products,
            _mul_bits: buffer.mul_bits.max(1),
            _requant_in: requant.map_or(1, |r| r.in_bits),
            _constant_bits: requant.map_or(1, |r| r.constant_bits()),
            _ops: VecOp::ALL.into_iter().filter(|op| buffer.ops.contains(op)).collect(),
            ..VectorAlu::default()
        }
    }
}

/// What an operation writes, in the words of a header.
fn formula(op: VecOp) -> &'static str {
    match op {
        VecOp::Copy => "A",
        VecOp::Add => "A + B",
        VecOp::Mul => "A * B",
        VecOp::Relu => "max(A, 0)",
        VecOp::Requant => "A requantised with the constants in B",
        VecOp::Table => "the word at address b + A + 128",
        VecOp::Argmax => "once, the index of the largest A, the lowest on a tie",
        VecOp::Sum => "once, the sum of A",
        VecOp::Drain => "the result of a bank",
        VecOp::DrainMac => "A + (the result of a bank) * B",
        VecOp::DrainOnes => "A + (the count of ones of a bank) * B",
        VecOp::Collect => "the results of the banks, row by row",
        VecOp::CollectSum => "the sum of the banks' results, row by row",
        VecOp::LoadBytes | VecOp::LoadPlanes => "nothing; A goes to the banks",
    }
}

impl Unit for VectorAlu {
    fn module(&self) -> String {
        "pimc_vector_alu".into()
    }

    fn contract(&self) -> Contract {
        let ops: Vec<String> =
            self._ops.iter().map(|op| format!("{}: {}", op.code(), formula(*op))).collect();
        Contract {
            summary: "Arithmetic of the vector operations, stages 1 to 4 of the buffer unit."
                .into(),
            formula: format!(
                "y_o by op_i:\n{}\nSums wrap at {} bits; that none does is proven where the widths \
                 come from.",
                ops.join("\n"),
                self.y.ty().width
            ),
            latency: "3 clocks from an element to we_o and y_o.".into(),
            throughput: "One element per clock.".into(),
            layout:
                "An element's A and B are inputs in stage 1, the bank's word is in stage 2, the \
                     table's word in stage 3, its result in stage 4."
                    .into(),
            preconditions: "op_i is held from the first element to the last result.".into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("op", "operands, stage by stage"), ("we", "result")]
    }

    fn proven_width(&self) -> Option<ProvenWidth> {
        Some(ProvenWidth {
            name: "WordW",
            bits: self.y.ty().width,
            reason: "Every word of vector memory and every sum fits, see above.",
            fields: &[
                "a",
                "b",
                "drained",
                "table_word",
                "y",
                "s2_a",
                "s2_b",
                "s3_value",
                "s3_largest",
                "s4_value",
            ],
        })
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
