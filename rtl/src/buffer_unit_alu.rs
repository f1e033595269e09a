//! The arithmetic of the vector operations in one lane, from the words that were read to the word to
//! write.

use crate::hdl::prelude::*;
use crate::isa::VecOp;
use crate::requantiser::Requantiser;
use crate::shape::ChannelShape;

/// A lane in stages 1 to 4 of the buffer unit's pipeline: every operation but loads, tables and
/// reductions. Only the operations of the shape are built; optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct VectorAlu {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Number of the operation in [`VecOp::ALL`]; held from its start to its last result.
    pub op: Wire<In>,
    /// Stage 1: an element.
    pub valid: Signal<In, Bit>,
    /// Stage 1: operand A.
    pub a: Wire<In>,
    /// Stage 1: operand B.
    pub b: Wire<In>,

    /// Stage 4: `y` is a result.
    pub we: Signal<Out, Bit>,
    /// Stage 4: the result.
    pub y: Wire<Out>,

    s2_valid: Flop<Bit>,
    s2_a: Reg,
    s2_b: Reg,
    unused_b: Vec<Unused>,
    unused_op: Vec<Unused>,
    s2_x: Vec<Wire<Local>>,
    s2_y: Vec<Wire<Local>>,
    s3_valid: Flop<Bit>,
    s3_value: Reg,
    s3_product: Vec<Reg>,
    s4_valid: Flop<Bit>,
    s4_value: Reg,
    requantiser: Vec<Inst<Requantiser>>,

    op_add: Const,
    op_mul: Const,
    op_relu: Const,
    op_requant: Const,

    _add: usize,
    _mul: usize,
    _relu: usize,
    _requant: usize,
    _unused_b: usize,
    _unused_op: usize,
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
        for i in 0..self._mul {
            self.s3_product[i].clock.next = self.clock.val();
        }

        self.s2_valid.d.next = self.valid.val();
        self.s2_a.d.next = self.a.val();
        self.s2_b.d.next = self.b.val();
        for i in 0..self._unused_b {
            self.unused_b[i].x.next = unsigned_cast(self.s2_b.q.val());
        }

        for i in 0..self._unused_op {
            self.unused_op[i].x.next = self.op.val();
        }

        comment!("---- stage 3: sums and selections ----");
        self.s3_valid.d.next = self.s2_valid.q.val();
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

        comment!("---- stage 3: products ----");
        for i in 0..self._mul {
            self.s2_x[i].next = bit_cast(self.s2_a.q.val(), self._mul_bits);
            self.s2_y[i].next = bit_cast(self.s2_b.q.val(), self._mul_bits);
            self.s3_product[i].d.next = self.s2_x[i].val() * self.s2_y[i].val();
        }

        comment!("---- stage 4: the sum of value and product ----");
        self.s4_valid.d.next = self.s3_valid.q.val();
        self.s4_value.d.next = self.s3_value.q.val();
        for i in 0..self._mul {
            if self.op.val() == self.op_mul.val() {
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

        comment!("---- the result ----");
        self.y.next = self.s4_value.q.val();
        for i in 0..self._requant {
            if self.op.val() == self.op_requant.val() {
                self.y.next = self.requantiser[i].y.val();
            }
        }
        self.we.next = self.s4_valid.q.val();
    }
}

impl VectorAlu {
    /// A lane of a channel's buffer unit.
    pub fn new(shape: &ChannelShape) -> Self {
        let buffer = &shape.buffer;
        let has = |op: VecOp| buffer.ops.contains(&op) as usize;
        let code = |op: VecOp| Const::named(VecOp::bits(), op.code() as usize);
        let word = s(buffer.word_bits);
        let products = has(VecOp::Mul);
        let factor = Wire::new(s(buffer.mul_bits.max(1)));
        let product = s((2 * buffer.mul_bits).clamp(1, buffer.word_bits));
        let requant = buffer.requant.filter(|_| has(VecOp::Requant) > 0);
        // Where nothing is chosen, every operation copies.
        let chooses = [VecOp::Add, VecOp::Mul, VecOp::Relu, VecOp::Requant].map(has);
        let unused_op = 1 - chooses.into_iter().max().unwrap_or(0);
        VectorAlu {
            unused_op: vec![Unused::new(VecOp::bits()); unused_op],
            _unused_op: unused_op,
            op: Wire::new(u(VecOp::bits())),
            a: Wire::new(word),
            b: Wire::new(word),
            y: Wire::new(word),
            s2_a: Reg::data(word),
            s2_b: Reg::data(word),
            unused_b: vec![Unused::new(word.width); 1 - has(VecOp::Add)],
            s2_x: vec![factor.clone(); products],
            s2_y: vec![factor; products],
            s3_value: Reg::data(word),
            s3_product: vec![Reg::data(product); products],
            s4_value: Reg::data(word),
            requantiser: requant.iter().map(|r| Inst::new(Requantiser::new(*r))).collect(),
            op_add: code(VecOp::Add),
            op_mul: code(VecOp::Mul),
            op_relu: code(VecOp::Relu),
            op_requant: code(VecOp::Requant),
            _add: has(VecOp::Add),
            _mul: has(VecOp::Mul),
            _relu: has(VecOp::Relu),
            _requant: requant.iter().len(),
            _unused_b: 1 - has(VecOp::Add),
            _mul_bits: buffer.mul_bits.max(1),
            _requant_in: requant.map_or(1, |r| r.in_bits),
            _constant_bits: requant.map_or(1, |r| r.constant_bits()),
            _ops: VecOp::ALL
                .into_iter()
                .filter(|op| buffer.ops.contains(op) && formula(*op).is_some())
                .collect(),
            ..VectorAlu::default()
        }
    }
}

/// What an operation writes, in the words of a header; `None` if not this unit computes it.
fn formula(op: VecOp) -> Option<&'static str> {
    Some(match op {
        VecOp::Copy => "A",
        VecOp::Add => "A + B",
        VecOp::Mul => "A * B",
        VecOp::Relu => "max(A, 0)",
        VecOp::Requant => "A requantised with the constants in B",
        VecOp::Table | VecOp::Argmax | VecOp::Sum => return None,
        VecOp::Collect | VecOp::CollectSum => return None,
        VecOp::LoadBytes | VecOp::LoadPlanes | VecOp::Merge => return None,
    })
}

impl Unit for VectorAlu {
    fn module(&self) -> String {
        "pimc_vector_alu".into()
    }

    fn contract(&self) -> Contract {
        let line = |op: &VecOp| formula(*op).map(|f| format!("{}: {f}", op.code()));
        let ops: Vec<String> = self._ops.iter().filter_map(line).collect();
        Contract {
            summary:
                "Arithmetic of the vector operations in one lane, stages 1 to 4 of the buffer \
                      unit."
                    .into(),
            formula: format!(
                "y_o by op_i:\n{}\nSums wrap at {} bits; that none does is proven where the widths \
                 come from.",
                ops.join("\n"),
                self.y.ty().width
            ),
            latency: "3 clocks from an element to we_o and y_o.".into(),
            throughput: "One element per clock.".into(),
            layout: "An element's A and B are inputs in stage 1, its result is there in stage 4."
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
            fields: &["a", "b", "y", "s2_a", "s2_b", "s3_value", "s4_value"],
        })
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
