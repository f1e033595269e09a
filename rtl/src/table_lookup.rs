//! Table lookup: the codes of a beat to table entries, through an adder tree into the accumulator.

use crate::hdl::prelude::*;
use crate::shape::{index_bits, LookupShape};
use crate::table_build::{addr_bits, entry_bits, name_of, table_depth};

/// One table memory per lane, read with one code each per clock.
#[derive(LogicBlock)]
pub struct TableLookup {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Writes `entry`.
    pub we: Signal<In, Bit>,
    /// To the tables of which chunk of lanes; only when there are several.
    pub part: Vec<Wire<In>>,
    /// To which entry.
    pub waddr: Wire<In>,
    /// One entry per lane of the chunk.
    pub entry: Vec<Wire<In>>,
    /// A beat is on `codes`.
    pub valid: Signal<In, Bit>,
    /// It is the first of a matrix row.
    pub first: Signal<In, Bit>,
    /// One code per lane, the first lowest.
    pub codes: Wire<In>,
    /// The beat's number in its matrix row; only when the tables hold several blocks.
    pub block: Vec<Wire<In>>,
    /// Sum so far, two clocks after `codes`.
    pub sum: Wire<Out>,
    code: Split,
    block_base: Vec<Wire<Local>>,
    table: Vec<Ram>,
    valid_e: Flop<Bit>,
    first_e: Flop<Bit>,
    beat_sum: Wire<Local>,
    kept: Wire<Local>,
    acc: Reg,
    chunk: Const,
    code_bits: Const,
    _shape: Option<LookupShape>,
    _lanes: usize,
    _parts: usize,
    _many_parts: usize,
    _one_part: usize,
    _many_blocks: usize,
    _one_block: usize,
}

impl TableLookup {
    /// The unit of a shape.
    pub fn new(p: &LookupShape) -> Self {
        let lanes = p.lanes as usize;
        let entry = s(entry_bits(p));
        let addr = addr_bits(p);
        let many_parts = (p.chunks() > 1) as usize;
        let many_blocks = (p.blocks > 1) as usize;
        let table = Ram::with_depth(table_depth(p) as usize, addr, entry);
        TableLookup {
            clock: Signal::default(),
            we: Signal::default(),
            part: vec![Wire::new(u(index_bits(p.chunks()))); many_parts],
            waddr: Wire::new(u(addr)),
            entry: vec![Wire::new(entry); p.chunk as usize],
            valid: Signal::default(),
            first: Signal::default(),
            codes: Wire::new(u(p.lanes * p.code_bits)),
            block: vec![Wire::new(u(index_bits(p.blocks))); many_blocks],
            sum: Wire::new(s(Self::sum_bits(p))),
            code: Split::new(lanes, p.code_bits),
            block_base: vec![Wire::new(u(addr)); many_blocks],
            table: vec![table; lanes],
            valid_e: Flop::default(),
            first_e: Flop::default(),
            beat_sum: Wire::new(s(Self::sum_bits(p))),
            kept: Wire::new(s(Self::sum_bits(p))),
            acc: Reg::data(s(Self::sum_bits(p))),
            chunk: Const::new(p.chunk as usize),
            code_bits: Const::new(p.code_bits as usize),
            _shape: Some(*p),
            _lanes: lanes,
            _parts: p.chunks() as usize,
            _many_parts: many_parts,
            _one_part: 1 - many_parts,
            _many_blocks: many_blocks,
            _one_block: 1 - many_blocks,
        }
    }

    /// Width of `sum`: sums are modular and need the bits of the proven result, at least an entry's.
    pub fn sum_bits(p: &LookupShape) -> u32 {
        p.acc_bits.max(entry_bits(p))
    }

    /// Bits of a beat that hold codes.
    pub fn codes_bits(p: &LookupShape) -> u32 {
        p.lanes * p.code_bits
    }
}

impl Logic for TableLookup {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, valid_e, first_e, acc);
        comment!("---- tables: written by the builder, read with the codes ----");
        for l in 0..self._lanes {
            self.table[l].clock.next = self.clock.val();
            self.table[l].waddr.next = self.waddr.val();
        }
        for _i in 0..self._one_part {
            for l in 0..self._lanes {
                self.table[l].we.next = self.we.val();
                self.table[l].wdata.next = self.entry[l].val();
            }
        }
        for i in 0..self._many_parts {
            for p in 0..self._parts {
                for c in 0..self.chunk.val() {
                    self.table[p * self.chunk.val() + c].we.next =
                        self.we.val() & (self.part[i].val() == p);
                    self.table[p * self.chunk.val() + c].wdata.next = self.entry[c].val();
                }
            }
        }
        self.code.x.next = self.codes.val();
        for _i in 0..self._one_block {
            for l in 0..self._lanes {
                self.table[l].raddr.next = self.code.y[l].val();
            }
        }
        for i in 0..self._many_blocks {
            self.block_base[i].next = self.block[i].val() << self.code_bits.val();
            for l in 0..self._lanes {
                self.table[l].raddr.next = self.block_base[i].val() | self.code.y[l].val();
            }
        }
        self.valid_e.d.next = self.valid.val();
        self.first_e.d.next = self.first.val();

        comment!("---- adder tree and accumulator ----");
        self.beat_sum.next = 0.into();
        for l in 0..self._lanes {
            self.beat_sum.next = self.beat_sum.val() + self.table[l].rdata.val();
        }
        self.kept.next = self.acc.q.val();
        if self.first_e.q.val() {
            self.kept.next = 0.into();
        }
        if self.valid_e.q.val() {
            self.acc.d.next = self.kept.val() + self.beat_sum.val();
        }
        self.sum.next = self.acc.q.val();
    }
}

impl Unit for TableLookup {
    fn module(&self) -> String {
        let shape = self._shape.as_ref().map(name_of).unwrap_or_default();
        let (entry, acc) = (self.entry[0].ty().width, self.sum.ty().width);
        format!("pimc_table_lookup_{shape}_e{entry}_a{acc}")
    }

    fn contract(&self) -> Contract {
        let p = self._shape.unwrap_or_else(|| unreachable!("made by new"));
        Contract {
            summary: format!("Table lookup: {} codes of {} bits per clock.", p.lanes, p.code_bits),
            formula: "sum += sum over lanes of table[lane][block][code], from 0 at first_i.".into(),
            latency: "2 clocks from codes_i to sum_o.".into(),
            throughput: "A beat every clock.".into(),
            layout: format!(
                "Code l is bits {w}*l +: {w} of codes_i and belongs to sub-vector block * {lanes} + l. \
                 Each lane has a table of {} entries at block * {} + code.",
                table_depth(&p),
                1u32 << p.code_bits,
                w = p.code_bits,
                lanes = p.lanes
            ),
            preconditions: format!(
                "The tables are complete before the first beat; codes are below {}. The sum of a row \
                 fits {} bits: proven from the tables' ranges and the codes, so that wrapping in \
                 between does no harm.",
                p.k,
                self.sum.ty().width
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("we", "table write"),
            ("valid", "column beat"),
            ("sum", "sum of the matrix row so far"),
        ]
    }

    fn proven_width(&self) -> Option<ProvenWidth> {
        Some(ProvenWidth::of_row_sum(self.sum.ty().width))
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table_build::TableBuild;
    use crate::testing::{pack, Rng};

    fn shape(k: u32, sub: u32, lanes: u32, blocks: u32) -> LookupShape {
        let chunk = (1..=8 / sub).rev().find(|c| lanes % c == 0).unwrap_or(1);
        let code_bits = index_bits(k);
        LookupShape { k, sub, code_bits, lanes, chunk, blocks, entry_bits: 19, acc_bits: 26 }
    }

    /// Builds the tables of `blocks` blocks for x and codebooks[sub-vector][centroid][byte], then looks
    /// up rows[row][sub-vector]; checks every partial sum against dot products.
    fn check(p: &LookupShape, codebooks: &[Vec<Vec<i8>>], x: &[i8], rows: &[Vec<usize>]) {
        let (lanes, chunk, sub) = (p.lanes as usize, p.chunk as usize, p.sub as usize);
        let chunks = p.chunks() as usize;
        let mut build = Inst::new(TableBuild::new(p, p.blocks * p.chunks()));
        let mut lookup = Inst::new(TableLookup::new(p));
        let mut word = 0;
        let mut step = |build: &mut Inst<TableBuild>, lookup: &mut Inst<TableLookup>| {
            settle(build);
            let addr = build.byte_addr.get() as usize;
            lookup.we.next = build.we.val();
            lookup.waddr.set(build.addr.get());
            for (to, from) in lookup.part.iter_mut().zip(&build.part) {
                to.set(from.get());
            }
            for (to, from) in lookup.entry.iter_mut().zip(&build.entry) {
                to.set(from.get());
            }
            build.bytes.set(word);
            clock(build);
            clock(lookup);
            let from = addr * chunk * sub;
            word = x.get(from..from + chunk * sub).map_or(0, pack);
        };
        build.restart.next = true;
        step(&mut build, &mut lookup);
        build.restart.next = false;
        build.valid.next = true;
        for block in 0..p.blocks as usize {
            for j in 0..p.k as usize {
                for c in 0..chunks {
                    let books = codebooks.iter().skip(block * lanes + c * chunk).take(chunk);
                    let bytes: Vec<i8> = books.flat_map(|book| book[j].clone()).collect();
                    build.centroids.set(pack(&bytes));
                    step(&mut build, &mut lookup);
                }
            }
        }
        build.valid.next = false;
        for _ in 0..3 {
            step(&mut build, &mut lookup);
        }
        for codes in rows {
            let mut sum = 0i64;
            for (beat, codes) in codes.chunks(lanes).enumerate() {
                lookup.valid.next = true;
                lookup.first.next = beat == 0;
                let bits = codes.iter().rev().fold(0i128, |w, c| w << p.code_bits | *c as i128);
                lookup.codes.set(bits);
                if let Some(b) = lookup.block.first_mut() {
                    b.set(beat as i128);
                }
                clock(&mut lookup);
                lookup.valid.next = false;
                clock(&mut lookup);
                for (l, code) in codes.iter().enumerate() {
                    let v = beat * lanes + l;
                    let terms = codebooks[v][*code].iter().zip(&x[v * sub..]);
                    sum += terms.map(|(c, x)| *c as i64 * *x as i64).sum::<i64>();
                }
                assert_eq!(lookup.sum.get() as i64, sum, "beat {beat}");
            }
        }
    }

    fn random(p: &LookupShape, seed: u64) {
        let mut rng = Rng::new(seed);
        let vectors = (p.lanes * p.blocks) as usize;
        let mut byte = |extreme: bool| if extreme { -128 } else { rng.below(256) as u8 as i8 };
        let books: Vec<Vec<Vec<i8>>> = (0..vectors)
            .map(|v| (0..p.k).map(|_| (0..p.sub).map(|_| byte(v == 0)).collect()).collect())
            .collect();
        let x: Vec<i8> = (0..vectors * p.sub as usize).map(|i| byte(i < p.sub as usize)).collect();
        let rows: Vec<Vec<usize>> = (0..4)
            .map(|_| (0..vectors).map(|_| rng.below(p.k as u64) as usize).collect())
            .collect();
        check(p, &books, &x, &rows);
        check(p, &books, &x, &[vec![p.k as usize - 1; vectors], vec![0; vectors]]);
    }

    #[test]
    fn lookups_agree_with_dot_products() {
        random(&shape(16, 2, 16, 3), 1);
        random(&shape(2, 1, 64, 2), 2);
        random(&shape(512, 8, 7, 2), 3);
        random(&shape(512, 1, 7, 1), 4);
        random(&shape(5, 3, 21, 2), 5);
        random(&shape(256, 4, 8, 1), 6);
        random(&shape(16, 8, 1, 3), 7);
    }
}
