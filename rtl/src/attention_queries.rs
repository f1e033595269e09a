//! Attention queries: the sub-vectors of the queries' rows that a bank works with.

use crate::attention::AttentionShape;
use crate::hdl::prelude::*;
use crate::shape::{choice_bits, index_bits};

/// Registers for a sub-vector of every row and slice. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct AttentionQueries {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The member whose sub-vectors these are; only when there are two or more.
    pub member: Vec<Wire<In>>,
    /// Sets the row of the loads that follow; only when there are two or more.
    pub row_we: Vec<Signal<In, Bit>>,
    /// The row.
    pub row: Vec<Wire<In>>,
    /// Loads a sub-vector of a query.
    pub we: Signal<In, Bit>,
    /// Its number in the query: the slice in the low bits, the member above.
    pub addr: Wire<In>,
    /// The sub-vector.
    pub data: Wire<In>,
    /// The slice that is shown; only when there are two or more.
    pub at: Vec<Wire<In>>,
    /// Its sub-vectors, of every row.
    pub shown: Vec<Wire<Out>>,
    /// The sub-vectors of row 0, of every slice: the new token, when it is encoded at once.
    pub token: Vec<Wire<Out>>,
    mine: Signal<Local, Bit>,
    unused_addr: Vec<Unused>,
    load_row: Vec<Reg>,
    load: Vec<Signal<Local, Bit>>,
    load_slice: Vec<Wire<Local>>,
    word: Vec<Reg>,
    slice_bits: Const,
    rows: Const,
    _rows: usize,
    _one_row: usize,
    _many_rows: usize,
    _slices: usize,
    _one_slice: usize,
    _many_slices: usize,
    _token: usize,
    _one_member: usize,
    _many_members: usize,
    _members_alone: usize,
    _members_of_slices: usize,
    _spare_addr: usize,
    _slice_bits: u32,
    _member_bits: u32,
}

impl Logic for AttentionQueries {
    #[hdl_gen]
    fn update(&mut self) {
        comment!("---- loads ----");
        for _i in 0..self._one_member {
            self.mine.next = self.we.val();
        }
        for i in 0..self._members_alone {
            self.mine.next = self.we.val() & (self.addr.val() == self.member[i].val());
        }
        for i in 0..self._members_of_slices {
            self.mine.next = self.we.val()
                & (bit_cast(self.addr.val() >> self.slice_bits.val(), self._member_bits)
                    == self.member[i].val());
        }
        for i in 0..self._spare_addr {
            self.unused_addr[i].x.next = self.addr.val();
        }
        for r in 0..self._one_row {
            self.load[r].next = self.mine.val();
        }
        for i in 0..self._many_rows {
            self.load_row[i].clock.next = self.clock.val();
            self.load_row[i].d.next = self.load_row[i].q.val();
            if self.row_we[i].val() {
                self.load_row[i].d.next = self.row[i].val();
            }
            for r in 0..self._rows {
                self.load[r].next = self.mine.val() & (self.load_row[i].q.val() == r);
            }
        }
        for s in 0..self._slices {
            for r in 0..self._rows {
                self.word[s * self.rows.val() + r].clock.next = self.clock.val();
                self.word[s * self.rows.val() + r].d.next =
                    self.word[s * self.rows.val() + r].q.val();
            }
        }
        for _i in 0..self._one_slice {
            for r in 0..self._rows {
                if self.load[r].val() {
                    self.word[r].d.next = self.data.val();
                }
            }
        }
        for i in 0..self._many_slices {
            self.load_slice[i].next = bit_cast(self.addr.val(), self._slice_bits);
            for s in 0..self._slices {
                for r in 0..self._rows {
                    if self.load[r].val() & (self.load_slice[i].val() == s) {
                        self.word[s * self.rows.val() + r].d.next = self.data.val();
                    }
                }
            }
        }

        comment!("---- the sub-vectors of a slice ----");
        for _i in 0..self._one_slice {
            for r in 0..self._rows {
                self.shown[r].next = self.word[r].q.val();
            }
        }
        for i in 0..self._many_slices {
            for r in 0..self._rows {
                self.shown[r].next =
                    self.word[self.at[i].val().index() * self.rows.val() + r].q.val();
            }
        }
        for s in 0..self._token {
            self.token[s].next = self.word[s * self.rows.val()].q.val();
        }
    }
}

impl AttentionQueries {
    /// The queries of a shape.
    pub fn new(p: &AttentionShape) -> Self {
        let (rows, slices) = (p.rows() as usize, p.slices as usize);
        let (many_rows, many_slices) = ((rows > 1) as usize, (slices > 1) as usize);
        let token = if p.takes() { slices } else { 0 };
        let word = u(p.sub_bits());
        let (row, slice) = (u(index_bits(p.rows())), u(index_bits(p.slices)));
        let (slice_bits, member_bits) = (choice_bits(p.slices), choice_bits(p.members));
        let many_members = (p.members > 1) as usize;
        let addr = u(index_bits(p.parts()));
        let unused_addr = Unused::above(addr, slice_bits + member_bits);
        AttentionQueries {
            member: vec![Wire::new(u(member_bits)); many_members],
            row_we: vec![Signal::default(); many_rows],
            row: vec![Wire::new(row); many_rows],
            addr: Wire::new(addr),
            data: Wire::new(word),
            at: vec![Wire::new(slice); many_slices],
            shown: vec![Wire::new(word); rows],
            token: vec![Wire::new(word); token],
            _spare_addr: unused_addr.len(),
            unused_addr,
            load_row: vec![Reg::new(row); many_rows],
            load: vec![Signal::default(); rows],
            load_slice: vec![Wire::new(slice); many_slices],
            word: vec![Reg::data(word); rows * slices],
            rows: Const::new(rows),
            slice_bits: Const::new(slice_bits as usize),
            _one_member: 1 - many_members,
            _many_members: many_members,
            _members_alone: many_members * (1 - many_slices),
            _members_of_slices: many_members * many_slices,
            _slice_bits: slice_bits,
            _member_bits: member_bits,
            _rows: rows,
            _one_row: 1 - many_rows,
            _many_rows: many_rows,
            _slices: slices,
            _one_slice: 1 - many_slices,
            _many_slices: many_slices,
            _token: token,
            ..AttentionQueries::default()
        }
    }
}

impl Unit for AttentionQueries {
    fn module(&self) -> String {
        "pimc_attention_queries".into()
    }

    fn contract(&self) -> Contract {
        let bytes = self.data.ty().width / 8;
        let token = if self._token > 0 {
            " token_o shows row 0 of every slice, the lowest first."
        } else {
            ""
        };
        Contract {
            summary: format!(
                "Attention queries: for {} rows and {} slices a sub-vector of {bytes} bytes each.",
                self._rows, self._slices
            ),
            formula: "shown = the sub-vectors of slice at.".into(),
            latency: "1 clock from data_i to shown_o; none from at_i.".into(),
            throughput: "A load every clock.".into(),
            layout: format!("shown_o is one sub-vector of every row, row 0 lowest.{token}"),
            preconditions: "What is shown has been loaded. Not reset.".into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        let shown = if self._many_slices > 0 { "at" } else { "shown" };
        let load = match (self._many_members, self._many_rows) {
            (1, _) => "member",
            (_, 1) => "row_we",
            _ => "we",
        };
        vec![(load, "loads"), (shown, "sub-vectors of a slice")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
