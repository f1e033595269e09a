//! Attention dots: dot products of the sub-vectors of a beat with those of every row of queries.

use crate::attention::AttentionShape;
use crate::hdl::prelude::*;

/// Bits of an int8.
const BYTE: u32 = 8;

/// `chunk` times as many products as there are rows: entries of the tables, or scores of exact keys.
#[derive(LogicBlock, Default)]
pub struct AttentionDots {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// A beat: `chunk` sub-vectors, the first lowest.
    pub word: Wire<In>,
    /// The sub-vector of every row of queries.
    pub query: Vec<Wire<In>>,
    /// Their products, one clock later: of the first sub-vector all rows, and so on.
    pub dot: Vec<Wire<Out>>,
    value: Split,
    row: Vec<Split>,
    product: Vec<Wire<Local>>,
    sum: Vec<Wire<Local>>,
    entry: Vec<Reg>,
    sub: Const,
    rows: Const,
    chunk: Const,
    _rows: usize,
    _entries: usize,
}

impl Logic for AttentionDots {
    #[hdl_gen]
    fn update(&mut self) {
        comment!("---- products ----");
        self.value.x.next = self.word.val();
        for r in 0..self._rows {
            self.row[r].x.next = self.query[r].val();
        }
        for r in 0..self._rows {
            for c in 0..self.chunk.val() {
                for j in 0..self.sub.val() {
                    self.product[(c * self.rows.val() + r) * self.sub.val() + j].next =
                        self.value.y[c * self.sub.val() + j].val() * self.row[r].y[j].val();
                }
            }
        }

        comment!("---- sums ----");
        for i in 0..self._entries {
            self.sum[i].next = 0.into();
            for j in 0..self.sub.val() {
                self.sum[i].next = self.sum[i].val() + self.product[i * self.sub.val() + j].val();
            }
        }
        for i in 0..self._entries {
            self.entry[i].clock.next = self.clock.val();
            self.entry[i].d.next = self.sum[i].val();
            self.dot[i].next = self.entry[i].q.val();
        }
    }
}

impl AttentionDots {
    /// For a shape with beats of `beat_bits`.
    pub fn new(p: &AttentionShape, beat_bits: u32) -> Self {
        let (rows, chunk, sub) = (p.rows() as usize, p.chunk(beat_bits) as usize, p.sub as usize);
        let entry = s(p.entry_bits());
        AttentionDots {
            word: Wire::new(u(beat_bits)),
            query: vec![Wire::new(u(p.sub_bits())); rows],
            dot: vec![Wire::new(entry); chunk * rows],
            value: Split::signed(chunk * sub, BYTE),
            row: vec![Split::signed(sub, BYTE); rows],
            product: vec![Wire::new(s(2 * BYTE)); chunk * rows * sub],
            sum: vec![Wire::new(entry); chunk * rows],
            entry: vec![Reg::data(entry); chunk * rows],
            sub: Const::new(sub),
            rows: Const::new(rows),
            chunk: Const::new(chunk),
            _rows: rows,
            _entries: chunk * rows,
            ..AttentionDots::default()
        }
    }
}

impl Unit for AttentionDots {
    fn module(&self) -> String {
        "pimc_attention_dots".into()
    }

    fn contract(&self) -> Contract {
        let (chunk, sub) = (self.chunk.val(), self.sub.val());
        Contract {
            summary: format!(
                "Attention dots: int8 dot products of length {sub} of {chunk} sub-vectors with {} rows \
                 of queries per clock.",
                self._rows
            ),
            formula: "dot[c][row] = sum over j of word[c][j] * query[row][j].".into(),
            latency: "1 clock from word_i and query_i to dot_o.".into(),
            throughput: "A beat every clock.".into(),
            layout: format!(
                "A sub-vector is {sub} bytes, the lowest first. Product c, row is word c*{} + row of \
                 dot_o.",
                self._rows
            ),
            preconditions: String::new(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("word", "beat and rows"), ("dot", "products, one clock later")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
