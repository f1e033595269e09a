//! Attention outputs: values times weights, into an accumulator for every element and row.
//!
//! Exact values and centroids go through the same products: a centroid's weight is the sum of its
//! buckets over the lanes.

use crate::attention::{AttentionShape, PROB_BITS};
use crate::hdl::prelude::*;
use crate::shape::{choice_bits, index_bits, ChannelShape};

/// Bits of an int8.
const BYTE: u32 = 8;

/// The outputs of a bank's slices. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct AttentionOutputs {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The outputs begin at 0.
    pub clear: Signal<In, Bit>,

    /// A beat of exact values; only where tokens are kept exact.
    pub exact: Vec<Signal<In, Bit>>,
    /// A beat of centroids.
    pub combine: Signal<In, Bit>,
    /// The beat's slice; only when there are two or more.
    pub slice: Vec<Wire<In>>,
    /// The beat: sub-vectors, the first lowest.
    pub word: Wire<In>,
    /// The weights of exact values, of the first one of all rows, and so on.
    pub prob: Vec<Wire<In>>,
    /// The buckets of the centroids: of every lane those of the first centroid of all rows, and so on.
    pub bucket: Vec<Wire<In>>,

    /// The output that is read: its row; only when there are two or more.
    pub out_row: Vec<Wire<In>>,
    /// Its slice; only when there are two or more.
    pub out_slice: Vec<Wire<In>>,
    /// Its element in the sub-vector; only when there are two or more.
    pub out_element: Vec<Wire<In>>,
    /// That output, one clock later.
    pub out_value: Wire<Out>,

    total: Vec<Wire<Local>>,
    weight: Vec<Reg>,
    valid_f: Flop<Bit>,
    slice_f: Vec<Reg>,
    word_f: Reg,
    value: Split,
    product: Vec<Wire<Local>>,
    sum: Vec<Wire<Local>>,
    valid_g: Flop<Bit>,
    slice_g: Vec<Reg>,
    term: Vec<Reg>,
    add: Vec<Signal<Local, Bit>>,
    out: Vec<Reg>,
    read_at: Vec<Wire<Local>>,
    row_base: Vec<Wire<Local>>,
    slice_base: Vec<Wire<Local>>,
    read: Reg,
    lanes: Const,
    weights: Const,
    rows: Const,
    chunk: Const,
    sub: Const,
    held: Const,
    sub_shift: Const,
    held_shift: Const,
    _exact: usize,
    _sliced: usize,
    _whole: usize,
    _slices: usize,
    _rows: usize,
    _weights: usize,
    _sums: usize,
    _many_rows: usize,
    _many_elements: usize,
    _one_out: usize,
    _many_outs: usize,
}

impl Logic for AttentionOutputs {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, valid_f, word_f, valid_g, read);

        comment!("---- weights: buckets summed over the lanes, or those of exact values ----");
        for i in 0..self._weights {
            self.total[i].next = 0.into();
            for l in 0..self.lanes.val() {
                self.total[i].next =
                    self.total[i].val() + self.bucket[l * self.weights.val() + i].val();
            }
        }
        for _i in 0..self._exact {
            if self.exact[0].val() {
                for j in 0..self._weights {
                    self.total[j].next = self.prob[j].val();
                }
            }
        }
        for i in 0..self._weights {
            self.weight[i].clock.next = self.clock.val();
            self.weight[i].d.next = signed_cast(self.total[i].val());
        }
        self.valid_f.d.next = self.combine.val();
        for i in 0..self._exact {
            self.valid_f.d.next = self.combine.val() | self.exact[i].val();
        }
        self.word_f.d.next = self.word.val();
        for i in 0..self._sliced {
            self.slice_f[i].clock.next = self.clock.val();
            self.slice_f[i].d.next = self.slice[i].val();
            self.slice_g[i].clock.next = self.clock.val();
            self.slice_g[i].d.next = self.slice_f[i].q.val();
        }

        comment!("---- products, summed over the sub-vectors of the beat ----");
        self.value.x.next = self.word_f.q.val();
        for r in 0..self._rows {
            for j in 0..self.sub.val() {
                for c in 0..self.chunk.val() {
                    self.product[(r * self.sub.val() + j) * self.chunk.val() + c].next =
                        self.weight[c * self.rows.val() + r].q.val()
                            * self.value.y[c * self.sub.val() + j].val();
                }
            }
        }
        for i in 0..self._sums {
            self.sum[i].next = 0.into();
            for c in 0..self.chunk.val() {
                self.sum[i].next = self.sum[i].val() + self.product[i * self.chunk.val() + c].val();
            }
        }
        self.valid_g.d.next = self.valid_f.q.val();
        for i in 0..self._sums {
            self.term[i].clock.next = self.clock.val();
            self.term[i].d.next = self.sum[i].val();
        }

        comment!("---- accumulators ----");
        for s in 0..self._whole {
            self.add[s].next = self.valid_g.q.val();
        }
        for i in 0..self._sliced {
            for s in 0..self._slices {
                self.add[s].next = self.valid_g.q.val() & (self.slice_g[i].q.val() == s);
            }
        }
        for r in 0..self._rows {
            for s in 0..self._slices {
                for j in 0..self.sub.val() {
                    self.out[r * self.held.val() + s * self.sub.val() + j].clock.next =
                        self.clock.val();
                    self.out[r * self.held.val() + s * self.sub.val() + j].d.next =
                        self.out[r * self.held.val() + s * self.sub.val() + j].q.val();
                    if self.add[s].val() {
                        self.out[r * self.held.val() + s * self.sub.val() + j].d.next =
                            self.out[r * self.held.val() + s * self.sub.val() + j].q.val()
                                + self.term[r * self.sub.val() + j].q.val();
                    }
                    if self.clear.val() {
                        self.out[r * self.held.val() + s * self.sub.val() + j].d.next = 0.into();
                    }
                }
            }
        }

        comment!("---- read ----");
        for i in 0..self._sliced {
            self.slice_base[i].next = self.out_slice[i].val() << self.sub_shift.val();
        }
        for i in 0..self._many_rows {
            self.row_base[i].next = self.out_row[i].val() << self.held_shift.val();
        }
        for i in 0..self._many_outs {
            self.read_at[i].next = 0.into();
        }
        for i in 0..self._many_elements {
            self.read_at[i].next = self.out_element[i].val();
        }
        for i in 0..self._sliced {
            self.read_at[i].next = self.read_at[i].val() | self.slice_base[i].val();
        }
        for i in 0..self._many_rows {
            self.read_at[i].next = self.read_at[i].val() | self.row_base[i].val();
        }
        for i in 0..self._one_out {
            self.read.d.next = self.out[i].q.val();
        }
        for _i in 0..self._many_outs {
            self.read.d.next = self.out[self.read_at[0].val().index()].q.val();
        }
        self.out_value.next = self.read.q.val();
    }
}

impl AttentionOutputs {
    /// For the units of a channel.
    pub fn new(p: &AttentionShape, channel: &ChannelShape) -> Self {
        let (rows, slices, sub) = (p.rows() as usize, p.slices as usize, p.sub as usize);
        let chunk = p.chunk(channel.beat_bits) as usize;
        let lanes = p.lanes(channel.beat_bits) as usize;
        let (weights, sums, outs) = (chunk * rows, sub * rows, rows * slices * sub);
        let (exact, sliced) = (p.has_exact() as usize, (slices > 1) as usize);
        let (many_rows, many_elements) = ((rows > 1) as usize, (sub > 1) as usize);
        let many_outs = (outs > 1) as usize;
        let word = u(channel.beat_bits);
        // A bit more than a sum of weights has: its sign.
        let weight_bits = p.sum_bits() + 1;
        let out = s(p.out_bits());
        let slice = u(index_bits(p.slices));
        let at = u(index_bits(outs as u32));
        AttentionOutputs {
            exact: vec![Signal::default(); exact],
            slice: vec![Wire::new(slice); sliced],
            word: Wire::new(word),
            prob: vec![Wire::new(u(PROB_BITS)); exact * weights],
            bucket: vec![Wire::new(u(p.bucket_bits(channel))); lanes * weights],
            out_row: vec![Wire::new(u(index_bits(p.rows()))); many_rows],
            out_slice: vec![Wire::new(slice); sliced],
            out_element: vec![Wire::new(u(index_bits(p.sub))); many_elements],
            out_value: Wire::new(out),
            total: vec![Wire::new(u(weight_bits)); weights],
            weight: vec![Reg::data(s(weight_bits)); weights],
            slice_f: vec![Reg::data(slice); sliced],
            word_f: Reg::data(word),
            value: Split::signed(chunk * sub, BYTE),
            product: vec![Wire::new(out); sums * chunk],
            sum: vec![Wire::new(out); sums],
            slice_g: vec![Reg::data(slice); sliced],
            term: vec![Reg::data(out); sums],
            add: vec![Signal::default(); slices],
            out: vec![Reg::data(out); outs],
            read_at: vec![Wire::new(at); many_outs],
            row_base: vec![Wire::new(at); many_rows],
            slice_base: vec![Wire::new(at); sliced],
            read: Reg::data(out),
            lanes: Const::new(lanes),
            weights: Const::new(weights),
            rows: Const::new(rows),
            chunk: Const::new(chunk),
            sub: Const::new(sub),
            held: Const::new(slices * sub),
            sub_shift: Const::new(choice_bits(p.sub) as usize),
            held_shift: Const::new(choice_bits(p.slices * p.sub) as usize),
            _exact: exact,
            _sliced: sliced,
            _whole: 1 - sliced,
            _slices: slices,
            _rows: rows,
            _weights: weights,
            _sums: sums,
            _many_rows: many_rows,
            _many_elements: many_elements,
            _one_out: 1 - many_outs,
            _many_outs: many_outs,
            ..AttentionOutputs::default()
        }
    }
}

impl Unit for AttentionOutputs {
    fn module(&self) -> String {
        "pimc_attention_outputs".into()
    }

    fn contract(&self) -> Contract {
        let (chunk, sub, rows) = (self.chunk.val(), self.sub.val(), self._rows);
        let (exact, exact_weight) = match self._exact {
            0 => ("", ""),
            _ => (" exact values or", "prob[c][row], or of centroids "),
        };
        Contract {
            summary: format!(
                "Attention outputs: {chunk}{exact} centroids of {sub} elements times their weights per                  clock, for {rows} rows of queries."
            ),
            formula: format!(
                "out[row][slice][j] += sum over c of weight[c][row] * word[c][j], weight =                  {exact_weight}the sum over lanes of bucket[lane][c][row]."
            ),
            latency: "3 clocks from word_i to its sums in the accumulators; 1 from the select to                       out_value_o."
                .into(),
            throughput: "A beat every clock.".into(),
            layout: format!(
                "Word c*{rows} + row of the weights is that of sub-vector c; the buckets of a lane are                  {} words.",
                self._weights
            ),
            preconditions: format!(
                "An output fits {} bits: a weight is at most 2^18 for each token.",
                self.out_value.ty().width
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        let beat = if self._exact > 0 { "exact" } else { "combine" };
        let select = match (self._many_rows, self._sliced, self._many_elements) {
            (1, ..) => "out_row",
            (_, 1, _) => "out_slice",
            (_, _, 1) => "out_element",
            _ => "out_value",
        };
        vec![("clear", "begins"), (beat, "beat and weights"), (select, "outputs")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
