//! Block unit: what binary quadratic blocks need beside a gated sum, which does the adding.

use crate::block_control::BlockControl;
use crate::block_planes::BlockPlanes;
use crate::block_rows::BlockRows;
use crate::hdl::prelude::*;
use crate::shape::{index_bits, BlockShape, GatedShape};

/// Steers a gated sum through B, the sum of the inputs and A. The gated sum stands beside it,
/// because masks use it too.
#[derive(LogicBlock, Default)]
pub struct BlockUnit {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The next beat is the first of a stream.
    pub restart: Signal<In, Bit>,
    /// The fields of [`crate::isa::Block`], in their order; held.
    pub block: Wire<In>,
    /// A beat is on `word`.
    pub beat: Signal<In, Bit>,
    /// The beat.
    pub word: Wire<In>,

    /// Its group of inputs.
    pub group: Wire<Out>,
    /// The planes of that group, one clock later.
    pub x_planes: Vec<Wire<In>>,

    /// To the gated sum: a beat of signs.
    pub sum_valid: Signal<Out, Bit>,
    /// To the gated sum: it begins a sum.
    pub sum_first: Signal<Out, Bit>,
    /// To the gated sum: the signs.
    pub signs: Wire<Out>,
    /// To the gated sum: planes of inputs or of t_k, one clock later.
    pub planes: Vec<Wire<Out>>,
    /// The gated sum, two clocks behind the beat.
    pub sum: Wire<In>,
    /// Its ones.
    pub ones: Wire<In>,

    /// The result of a row of a block is on `row_value`.
    pub row_valid: Signal<Out, Bit>,
    /// The result.
    pub row_value: Wire<Out>,

    control: Inst<BlockControl>,
    inner: Inst<BlockPlanes>,
    rows: Inst<BlockRows>,
    unused_sum: Vec<Unused>,
    all: Ones,
    common: Const,
    x_top: Const,
    t_top: Const,
    _common: usize,
    _x_more: usize,
    _t_more: usize,
    _x_planes: usize,
    _many_groups: usize,
    _spare_sum: usize,
    _r_bits: u32,
    _t_factor_bits: u32,
    _s_bits: u32,
    _u_bits: u32,
    _t_bits: u32,
    _t_k_bits: u32,
    _x_sum_bits: u32,
    _row_bits: u32,
    _shape: Option<BlockShape>,
}

impl Logic for BlockUnit {
    #[hdl_gen]
    fn update(&mut self) {
        comment!("---- what the beat is ----");
        self.control.clock.next = self.clock.val();
        self.control.restart.next = self.restart.val();
        self.control.block.next = self.block.val();
        self.control.beat.next = self.beat.val();
        self.group.next = self.control.group.val();

        comment!("---- to the gated sum ----");
        self.sum_valid.next = self.control.sum_valid.val();
        self.sum_first.next = self.control.sum_first.val();
        self.signs.next = self.word.val();
        if self.control.plus.val() {
            self.signs.next = self.all.val();
        }
        for p in 0..self._common {
            self.planes[p].next = self.x_planes[p].val();
            if self.control.take_t.val() {
                self.planes[p].next = self.inner.planes[p].val();
            }
        }
        for p in 0..self._x_more {
            self.planes[self.common.val() + p].next = self.x_planes[self.common.val() + p].val();
            if self.control.take_t.val() {
                self.planes[self.common.val() + p].next = self.inner.planes[self.t_top.val()].val();
            }
        }
        for p in 0..self._t_more {
            self.planes[self.common.val() + p].next = self.x_planes[self.x_top.val()].val();
            if self.control.take_t.val() {
                self.planes[self.common.val() + p].next =
                    self.inner.planes[self.common.val() + p].val();
            }
        }

        comment!("---- inner sums ----");
        self.inner.clock.next = self.clock.val();
        self.inner.valid.next = self.control.t_valid.val();
        self.inner.first.next = self.control.t_first.val();
        self.inner.t.next = bit_cast(self.sum.val(), self._t_bits);
        for i in 0..self._many_groups {
            self.inner.group[i].next = self.control.t_group[i].val();
        }

        comment!("---- scalars and rows ----");
        self.rows.clock.next = self.clock.val();
        self.rows.rts_valid.next = self.control.scalars_rts.val();
        self.rows.r.next = signed_cast(bit_cast(self.word.val(), self._r_bits));
        self.rows.t.next = signed_cast(bit_cast(self.word.val() >> 16, self._t_factor_bits));
        self.rows.s.next = signed_cast(bit_cast(self.word.val() >> 32, self._s_bits));
        self.rows.u_valid.next = self.control.scalars_u.val();
        self.rows.u.next = signed_cast(bit_cast(self.word.val(), self._u_bits));
        self.rows.t_valid.next = self.control.t_valid.val();
        self.rows.t_first.next = self.control.t_first.val();
        self.rows.t_k.next = bit_cast(self.sum.val(), self._t_k_bits);
        self.rows.setup.next = self.control.scalars_end.val();
        self.rows.x_sum.next = bit_cast(self.sum.val(), self._x_sum_bits);
        self.rows.acc_valid.next = self.control.row_valid.val();
        self.rows.acc.next = bit_cast(self.sum.val(), self._row_bits);
        self.rows.ones.next = self.ones.val();
        for i in 0..self._spare_sum {
            self.unused_sum[i].x.next = self.sum.val();
        }
        self.row_valid.next = self.rows.valid.val();
        self.row_value.next = self.rows.value.val();
    }
}

impl BlockUnit {
    /// For blocks of shape `p` beside a gated sum of shape `g`, with fields of `field_bits` and
    /// beats of `beat_bits`.
    pub fn new(p: &BlockShape, g: &GatedShape, field_bits: u32, beat_bits: u32) -> Self {
        let word = u(beat_bits);
        let t_groups = p.inner.div_ceil(beat_bits);
        let (common, most) = (g.planes.min(p.t_bits), g.planes.max(p.t_bits));
        let control = BlockControl::new(p, field_bits, g.groups, t_groups);
        let used = p.t_bits.max(p.x_sum_bits).max(p.row_bits);
        let unused_sum = Unused::above(s(g.acc_bits), used);
        BlockUnit {
            block: Wire::new(control.block.ty()),
            word: Wire::new(word),
            group: Wire::new(u(index_bits(g.groups))),
            x_planes: vec![Wire::new(word); g.planes as usize],
            signs: Wire::new(word),
            planes: vec![Wire::new(word); most as usize],
            sum: Wire::new(s(g.acc_bits)),
            ones: Wire::new(u(p.ones_bits())),
            row_value: Wire::new(s(p.result_bits)),
            inner: Inst::new(BlockPlanes::new(p.t_bits, t_groups, beat_bits)),
            rows: Inst::new(BlockRows::new(p)),
            _spare_sum: unused_sum.len(),
            unused_sum,
            all: Ones::new(beat_bits),
            common: Const::new(common as usize),
            x_top: Const::new(g.planes as usize - 1),
            t_top: Const::new(p.t_bits as usize - 1),
            _common: common as usize,
            _x_more: (g.planes - common) as usize,
            _t_more: (p.t_bits - common) as usize,
            _x_planes: g.planes as usize,
            _many_groups: control.t_group.len(),
            _r_bits: p.r_bits,
            _t_factor_bits: p.t_factor_bits,
            _s_bits: p.s_bits,
            _u_bits: p.u_bits,
            _t_bits: p.t_bits,
            _t_k_bits: BlockRows::t_k_bits(p),
            _x_sum_bits: p.x_sum_bits,
            _row_bits: p.row_bits,
            _shape: Some(*p),
            control: Inst::new(control),
            ..BlockUnit::default()
        }
    }
}

impl Unit for BlockUnit {
    fn module(&self) -> String {
        "pimc_block_unit".into()
    }

    fn contract(&self) -> Contract {
        Contract {
            summary: "Block unit: binary quadratic blocks, with the help of a gated sum.".into(),
            formula: "value of row a = r*acc_a + 2s*X*ones_a + u'*X + t*T, with t_k = the sum of \
                      +-x by row k of B, X = the sum of x, T = the sum of t_k, acc_a = the sum of \
                      +-t_k by row a of A, and ones_a its ones."
                .into(),
            latency: "3 clocks from the last beat of a row of A to row_valid_o; of the gated sum, 2 \
                      from signs_o to sum_i."
                .into(),
            throughput: "a beat every clock.".into(),
            layout: "a block and basis is the rows of B; the scalars, r in bits 15:0, t in 31:16 and \
                     2s in 63:32 of the first beat, u' in the second; the rows of A. Each row begins \
                     with a beat of its own; a 1 is +1, and the bits behind its end are 0."
                .into(),
            preconditions: "block_i is held from restart_i to the stream's last row_valid_o. Inputs \
                            behind a block's last are 0."
                .into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("restart", "stream, and its beats"),
            ("group", "inputs, one clock behind their group"),
            ("sum_valid", "gated sum: planes_o one clock behind signs_o, sum_i two"),
            ("row_valid", "results of the rows of A"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
