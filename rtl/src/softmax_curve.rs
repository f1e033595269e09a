//! A falling curve in 64 straight pieces.

use crate::attention::TABLE_LEN;
use crate::hdl::prelude::*;

/// Clocks from a place on the curve to its value.
pub const CURVE_LATENCY: u32 = 3;

/// Bits of the number of a piece.
pub const PIECE_BITS: u32 = 6;

/// `value = start[piece] - ((drop[piece] * along + half) >> along_bits)`.
#[derive(LogicBlock, Default)]
pub struct SoftmaxCurve {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Which piece.
    pub piece: Wire<In>,
    /// Where in it.
    pub along: Wire<In>,

    /// The curve there.
    pub value: Wire<Out>,

    start: Table,
    drop: Table,
    s1_start: Reg,
    s1_drop: Reg,
    s1_along: Reg,
    s2_start: Reg,
    s2_fall: Reg,
    fall: Wire<Local>,
    s3_value: Reg,
    half: Const,
    along_bits: Const,
    _name: &'static str,
    _fall_bits: u32,
}

impl SoftmaxCurve {
    /// The curve through the points of a table, `along_bits` bits from one to the next. Its name is a
    /// part of the module's.
    pub fn new(name: &'static str, table: &[u32], along_bits: u32) -> Self {
        let pieces = TABLE_LEN - 1;
        let starts: Vec<u64> = table.iter().take(pieces).map(|x| u64::from(*x)).collect();
        let ends = table.windows(2).map(|ends| u64::from(ends[0].saturating_sub(ends[1])));
        let drops: Vec<u64> = ends.take(pieces).collect();
        let bits = |words: &[u64]| {
            let most = words.iter().max().copied().unwrap_or(0);
            (u64::BITS - most.leading_zeros()).max(1)
        };
        let (value, drop) = (bits(&starts), bits(&drops));
        SoftmaxCurve {
            piece: Wire::new(u(PIECE_BITS)),
            along: Wire::new(u(along_bits)),
            value: Wire::new(u(value)),
            start: Table::new(&starts, value),
            drop: Table::new(&drops, drop),
            s1_start: Reg::data(u(value)),
            s1_drop: Reg::data(u(drop)),
            s1_along: Reg::data(u(along_bits)),
            s2_start: Reg::data(u(value)),
            s2_fall: Reg::data(u(drop + along_bits)),
            fall: Wire::new(u(drop)),
            s3_value: Reg::data(u(value)),
            half: Const::new(1 << (along_bits - 1)),
            along_bits: Const::new(along_bits as usize),
            _name: name,
            _fall_bits: drop,
            ..SoftmaxCurve::default()
        }
    }
}

impl Logic for SoftmaxCurve {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, s1_start, s1_drop, s1_along, s2_start, s2_fall, s3_value);
        comment!("---- where the piece starts, and by how much it falls ----");
        self.start.x.next = self.piece.val();
        self.drop.x.next = self.piece.val();
        self.s1_start.d.next = self.start.y.val();
        self.s1_drop.d.next = self.drop.y.val();
        self.s1_along.d.next = self.along.val();

        comment!("---- how far it has fallen, rounded ----");
        self.s2_fall.d.next = self.s1_drop.q.val() * self.s1_along.q.val();
        self.s2_start.d.next = self.s1_start.q.val();
        self.fall.next = bit_cast(
            (self.s2_fall.q.val() + self.half.val().into()) >> self.along_bits.val(),
            self._fall_bits,
        );
        self.s3_value.d.next = self.s2_start.q.val() - self.fall.val();
        self.value.next = self.s3_value.q.val();
    }
}

impl Unit for SoftmaxCurve {
    fn module(&self) -> String {
        format!("pimc_softmax_curve_{}", self._name)
    }

    fn contract(&self) -> Contract {
        let along = self.along.ty().width;
        Contract {
            summary: format!(
                "A falling curve in {} straight pieces: {}.",
                TABLE_LEN - 1,
                self._name
            ),
            formula: format!(
                "value_o = start[piece_i] - ((drop[piece_i] * along_i + {}) >> {along}).",
                1u32 << (along - 1)
            ),
            latency: format!("{CURVE_LATENCY} clocks."),
            throughput: "A value every clock.".into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("piece", "a place on the curve"), ("value", "the curve there")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
