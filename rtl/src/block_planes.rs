//! Block planes: the inner sums t_k of a block, kept as bit planes for the gated sum of A.

use crate::hdl::prelude::*;
use crate::shape::index_bits;

/// Registers for `groups` groups of `beat_bits` t_k. Lanes behind the last t_k are zero: a sign
/// there adds nothing. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct BlockPlanes {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// A t_k is there: the next one, k counting up.
    pub valid: Signal<In, Bit>,
    /// k is 0.
    pub first: Signal<In, Bit>,
    /// t_k.
    pub t: Wire<In>,
    /// The group whose planes are shown; only when there are two or more.
    pub group: Vec<Wire<In>>,
    /// Its bit planes.
    pub planes: Vec<Wire<Out>>,

    next_lane: Reg,
    lane: Wire<Local>,
    next_group: Vec<Reg>,
    at: Vec<Wire<Local>>,
    one: Wire<Local>,
    lane_bit: Wire<Local>,
    kept: Wire<Local>,
    bits: Split,
    mark: Vec<Wire<Local>>,
    write: Vec<Signal<Local, Bit>>,
    word: Vec<Reg>,
    all: Ones,
    last_lane: Const,
    count: Const,
    _planes: usize,
    _groups: usize,
    _many: usize,
    _single: usize,
    _groups_of_many: usize,
    _t_bits: u32,
}

impl Logic for BlockPlanes {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, next_lane);

        comment!("---- where t_k goes ----");
        self.lane.next = self.next_lane.q.val();
        if self.first.val() {
            self.lane.next = 0.into();
        }
        if self.valid.val() {
            self.next_lane.d.next = self.lane.val() + 1.into();
            if self.lane.val() == self.last_lane.val() {
                self.next_lane.d.next = 0.into();
            }
        }
        for i in 0..self._many {
            self.next_group[i].clock.next = self.clock.val();
            self.next_group[i].d.next = self.next_group[i].q.val();
            self.at[i].next = self.next_group[i].q.val();
            if self.first.val() {
                self.at[i].next = 0.into();
            }
            if self.valid.val() {
                self.next_group[i].d.next = self.at[i].val();
                if self.lane.val() == self.last_lane.val() {
                    self.next_group[i].d.next = self.at[i].val() + 1.into();
                }
            }
            for g in 0..self._groups {
                self.write[g].next = self.valid.val() & (self.at[i].val() == g);
            }
        }
        for g in 0..self._single {
            self.write[g].next = self.valid.val();
        }

        comment!("---- the first t_k of a group clears the lanes behind it ----");
        self.one.next = 1.into();
        self.lane_bit.next = self.one.val() << self.lane.val();
        self.kept.next = self.all.val();
        if self.lane.val() == 0 {
            self.kept.next = 0.into();
        }
        self.bits.x.next = unsigned_cast(self.t.val());
        for p in 0..self._planes {
            self.mark[p].next = 0.into();
            if self.bits.y[p].val() == 1 {
                self.mark[p].next = self.lane_bit.val();
            }
        }
        for g in 0..self._groups {
            for p in 0..self._planes {
                self.word[g * self.count.val() + p].clock.next = self.clock.val();
                self.word[g * self.count.val() + p].d.next =
                    self.word[g * self.count.val() + p].q.val();
                if self.write[g].val() {
                    self.word[g * self.count.val() + p].d.next =
                        (self.word[g * self.count.val() + p].q.val() & self.kept.val())
                            | self.mark[p].val();
                }
            }
        }

        comment!("---- the planes of a group ----");
        for p in 0..self._planes {
            self.planes[p].next = self.word[p].q.val();
        }
        for i in 0..self._many {
            for g in 0..self._groups_of_many {
                if self.group[i].val() == g {
                    for p in 0..self._planes {
                        self.planes[p].next = self.word[g * self.count.val() + p].q.val();
                    }
                }
            }
        }
    }
}

impl BlockPlanes {
    /// For t_k of `t_bits`, in `groups` groups of `beat_bits`.
    pub fn new(t_bits: u32, groups: u32, beat_bits: u32) -> Self {
        let (word, lane, group) = (u(beat_bits), u(index_bits(beat_bits)), u(index_bits(groups)));
        let (planes, many) = (t_bits as usize, (groups > 1) as usize);
        BlockPlanes {
            t: Wire::new(s(t_bits)),
            group: vec![Wire::new(group); many],
            planes: vec![Wire::new(word); planes],
            next_lane: Reg::new(lane),
            lane: Wire::new(lane),
            next_group: vec![Reg::new(group); many],
            at: vec![Wire::new(group); many],
            one: Wire::new(word),
            lane_bit: Wire::new(word),
            kept: Wire::new(word),
            bits: Split::new(planes, 1),
            mark: vec![Wire::new(word); planes],
            write: vec![Signal::default(); groups as usize],
            word: vec![Reg::data(word); planes * groups as usize],
            all: Ones::new(beat_bits),
            last_lane: Const::new(beat_bits as usize - 1),
            count: Const::new(planes),
            _planes: planes,
            _groups: groups as usize,
            _many: many,
            _single: 1 - many,
            _groups_of_many: many * groups as usize,
            _t_bits: t_bits,
            ..BlockPlanes::default()
        }
    }
}

impl Unit for BlockPlanes {
    fn module(&self) -> String {
        format!("pimc_block_planes_p{}_g{}", self._planes, self._groups)
    }

    fn contract(&self) -> Contract {
        let lanes = self.last_lane.val() + 1;
        Contract {
            summary: format!(
                "Block planes: {} inner sums t_k of {} bits, as bit planes.",
                lanes * self._groups,
                self._t_bits
            ),
            formula: format!(
                "bit j of plane p of group g is bit p of t_({lanes}g + j), and 0 where there is no \
                 such t_k."
            ),
            latency: "1 clock from t_i to the planes; none from group_i to planes_o.".into(),
            throughput: "a t_k every clock.".into(),
            layout: format!("planes_o holds plane 0 in its lowest {lanes} bits."),
            preconditions: "groups that the t_k since first_i have not reached are not looked at."
                .into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        let mut groups = vec![("valid", "inner sums, one after the other")];
        groups.push((if self._many > 0 { "group" } else { "planes" }, "planes of a group"));
        groups
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    /// Feeds t_k with gaps, then compares the groups that they reach.
    fn check(uut: &mut Inst<BlockPlanes>, t: &[i64], rng: &mut Rng, size: usize) {
        for (k, x) in t.iter().enumerate() {
            uut.valid.next = true;
            uut.first.next = k == 0;
            uut.t.set(i128::from(*x));
            clock(uut);
            uut.valid.next = false;
            // Between two t_k the port has what it will, and `first` too.
            uut.first.next = rng.below(2) == 1;
            uut.t.set(-1);
            for _ in 0..rng.below(3) {
                clock(uut);
            }
        }
        for (group, t) in t.chunks(size).enumerate() {
            if let Some(port) = uut.group.first_mut() {
                port.set(group as i128);
            }
            settle(uut);
            for (p, plane) in uut.planes.iter().enumerate() {
                let word = |w: u128, (j, t): (usize, &i64)| w | ((t >> p & 1) as u128) << j;
                let want = t.iter().enumerate().fold(0, word);
                assert_eq!(plane.get() as u128, want, "plane {p} of group {group} of {}", t.len());
            }
        }
    }

    #[test]
    fn planes_hold_the_inner_sums_and_zeros_behind_them() {
        let mut rng = Rng::new(3);
        for (t_bits, groups, size) in
            [(1, 1, 64), (2, 1, 64), (14, 3, 64), (20, 4, 64), (1, 1, 128), (20, 3, 128)]
        {
            let mut uut = Inst::new(BlockPlanes::new(t_bits, groups, size));
            let low = -(1i64 << (t_bits - 1));
            let most = (size * groups) as usize;
            // After many t_k come fewer, down to one: nothing stale remains in their groups.
            for inner in [most, 192, 65, 64, 3, 1, most - 1, 70, 1] {
                for fill in [Some(low), Some(-1), Some(-low - 1), None] {
                    let any = |rng: &mut Rng| rng.below(1 << t_bits) as i64 + low;
                    let t: Vec<i64> = (0..inner.min(most))
                        .map(|_| fill.unwrap_or_else(|| any(&mut rng)))
                        .collect();
                    check(&mut uut, &t, &mut rng, size as usize);
                }
            }
        }
    }
}
