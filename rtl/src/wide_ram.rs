//! Wide memory: words of several fields, as many memories beside each other as a word of the
//! simulation asks for.

use crate::hdl::prelude::*;
use crate::shape::index_bits;

/// Bits of a word of one memory, at most: what a simulated signal holds without a sign.
const MAX_BITS: u32 = 127;

/// One write port, one read port, a word of `fields` fields.
#[derive(LogicBlock, Default)]
pub struct WideRam {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Writes in this clock.
    pub we: Signal<In, Bit>,
    /// Where to.
    pub waddr: Wire<In>,
    /// What.
    pub wdata: Vec<Wire<In>>,
    /// Address read.
    pub raddr: Wire<In>,
    /// The word, one clock later.
    pub rdata: Vec<Wire<Out>>,
    word: Vec<Join>,
    part: Vec<Ram>,
    part_word: Vec<Split>,
    per_part: Const,
    _parts: usize,
    _per_part: usize,
    _depth: u32,
}

impl Logic for WideRam {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self._parts {
            for m in 0..self._per_part {
                self.word[i].x[m].next = self.wdata[i * self.per_part.val() + m].val();
            }
        }
        for i in 0..self._parts {
            self.part[i].clock.next = self.clock.val();
            self.part[i].we.next = self.we.val();
            self.part[i].waddr.next = self.waddr.val();
            self.part[i].wdata.next = self.word[i].y.val();
            self.part[i].raddr.next = self.raddr.val();
            self.part_word[i].x.next = self.part[i].rdata.val();
        }
        for i in 0..self._parts {
            for m in 0..self._per_part {
                self.rdata[i * self.per_part.val() + m].next = self.part_word[i].y[m].val();
            }
        }
    }
}

impl WideRam {
    /// A memory of `depth` words of `fields` fields of a type, with addresses of `addr_bits`.
    pub fn new(depth: u32, addr_bits: u32, fields: u32, field: Ty) -> Self {
        let fits = |n: &u32| fields % n == 0 && n * field.width <= MAX_BITS;
        let per_part = (1..=fields).rev().find(fits).unwrap_or(1);
        let (parts, per) = ((fields / per_part) as usize, per_part as usize);
        let split = if field.signed {
            Split::signed(per, field.width)
        } else {
            Split::new(per, field.width)
        };
        let part = Ram::with_depth(depth as usize, addr_bits, u(per_part * field.width));
        WideRam {
            waddr: Wire::new(u(addr_bits)),
            wdata: vec![Wire::new(field); fields as usize],
            raddr: Wire::new(u(addr_bits)),
            rdata: vec![Wire::new(field); fields as usize],
            word: vec![Join::new(per, field); parts],
            part: vec![part; parts],
            part_word: vec![split; parts],
            per_part: Const::new(per),
            _parts: parts,
            _per_part: per,
            _depth: depth,
            ..WideRam::default()
        }
    }

    /// Of `depth` words, with the addresses that they need.
    pub fn of_depth(depth: u32, fields: u32, field: Ty) -> Self {
        WideRam::new(depth, index_bits(depth), fields, field)
    }
}

impl Unit for WideRam {
    fn module(&self) -> String {
        let (fields, field) = (self.wdata.len(), self.wdata[0].ty());
        let sign = if field.signed { "s" } else { "u" };
        let addr = self.waddr.ty().width;
        format!("pimc_wide_ram_n{fields}_{sign}{}_d{}_a{addr}", field.width, self._depth)
    }

    fn contract(&self) -> Contract {
        let (fields, bits) = (self.wdata.len(), self.wdata[0].ty().width);
        Contract {
            summary: format!(
                "Wide memory: {} words of {fields} fields of {bits} bits; one write port, one read \
                 port.",
                self._depth
            ),
            formula: "rdata = the word at raddr, from before a write in that clock.".into(),
            latency: "1 clock from raddr_i to rdata_o.".into(),
            throughput: "A read and a write every clock.".into(),
            layout: format!("Field i is bits {bits}*i +: {bits} of wdata_i and rdata_o."),
            preconditions: format!("Addresses below {}. Not reset.", self._depth),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("we", "write port"), ("raddr", "read port")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
