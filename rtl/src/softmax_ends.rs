//! Up to where the queries see the tokens.

use crate::attention::{AttentionParam, AttentionShape, ARG_BITS};
use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};

// The kernel says it as a number, which folds into that of each query.
const _: () = assert!(AttentionParam::LIMITS == 8);

/// Clocks from a parameter to the ends that follow from it.
pub const ENDS_LATENCY: u32 = 3;

/// The type of a place, and of what is compared with it: it may lie below the first token.
pub fn place_type(shape: &AttentionShape, channel: &ChannelShape) -> Ty {
    let exact = shape.exact_block(channel) * (shape.exact_blocks(channel) + 1);
    let codes = shape.code_block(channel) * (shape.code_blocks(channel) + 1);
    let most = (2 * (shape.tokens + shape.exact_places())).max(exact).max(codes);
    s(u32::BITS - most.leading_zeros() + 1)
}

/// Holds the parameters of the softmax, and makes of the positions up to which a query sees tokens the
/// places up to which it sees them.
#[derive(LogicBlock, Default)]
pub struct SoftmaxEnds {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Writes a parameter.
    pub param_we: Signal<In, Bit>,
    /// Which.
    pub param_index: Wire<In>,
    /// What.
    pub param_value: Wire<In>,

    /// Compressed tokens that a query sees, by query.
    pub code_end: Vec<Wire<Out>>,
    /// The end of the sink's places that it sees; only where there is a sink.
    pub sink_end: Vec<Wire<Out>>,
    /// The end of those behind the sink up to the newest token; only where recent ones are kept.
    pub young_end: Vec<Wire<Out>>,
    /// The place of the oldest token behind the newest one; with that.
    pub old_first: Vec<Wire<Out>>,
    /// The end of the places from there on that it sees; with that.
    pub old_end: Vec<Wire<Out>>,

    value: Wire<Local>,
    unused_param_value: Vec<Unused>,
    compressed: Reg,
    length: Reg,
    ring: Vec<Reg>,
    limit: Vec<Reg>,

    cached: Vec<Wire<Local>>,
    codes: Wire<Local>,
    bound: Vec<Reg>,
    seen: Vec<Wire<Local>>,
    code_limit: Vec<Wire<Local>>,
    next_code: Vec<Reg>,
    next_sink: Vec<Reg>,
    wide_ring: Vec<Wire<Local>>,
    newest: Vec<Wire<Local>>,
    room: Vec<Wire<Local>>,
    back: Vec<Wire<Local>>,
    next_young: Vec<Reg>,
    next_first: Vec<Reg>,
    old_limit: Vec<Wire<Local>>,
    next_old: Vec<Reg>,

    param_compressed: Const,
    param_length: Const,
    param_ring: Const,
    sink: Const,
    recent: Const,
    exact: Const,
    _shape: (u32, u32, u32),
    _queries: usize,
    _sink: usize,
    _recent: usize,
    _unused: usize,
    _token_bits: u32,
    _place_bits: u32,
}

impl SoftmaxEnds {
    /// The unit of a shape in a channel.
    pub fn new(shape: &AttentionShape, channel: &ChannelShape) -> Self {
        let place = place_type(shape, channel);
        let token_bits = index_bits(shape.tokens + 1);
        let (param, index) = (u(ARG_BITS), u(shape.param_bits()));
        let queries = shape.queries as usize;
        let (sink, recent) = ((shape.sink > 0) as usize, (shape.recent > 0) as usize);
        let wires = |there: usize| vec![Wire::new(place); there];
        let outputs = |there: usize| vec![Wire::new(place); there];
        let registers = |there: usize| vec![Reg::data(place); there];
        let number = |p: AttentionParam| Const::named(index.width, p.index() as usize);
        SoftmaxEnds {
            param_index: Wire::new(index),
            param_value: Wire::new(param),
            code_end: outputs(queries),
            sink_end: outputs(sink * queries),
            young_end: outputs(recent * queries),
            old_first: outputs(recent),
            old_end: outputs(recent * queries),
            value: Wire::new(u(token_bits)),
            unused_param_value: Unused::above(param, token_bits),
            compressed: Reg::data(u(token_bits)),
            length: Reg::data(u(token_bits)),
            ring: vec![Reg::data(u(token_bits)); recent],
            limit: vec![Reg::data(u(token_bits)); queries],
            cached: wires(recent),
            codes: Wire::new(place),
            // As wide as a place, so that it can be read as one.
            bound: vec![Reg::data(u(place.width)); queries],
            seen: wires(queries),
            code_limit: wires(queries),
            next_code: registers(queries),
            next_sink: registers(sink * queries),
            wide_ring: vec![Wire::new(u(place.width)); recent],
            newest: wires(recent),
            room: wires(recent),
            back: wires(recent),
            next_young: registers(recent * queries),
            next_first: registers(recent),
            old_limit: wires(recent * queries),
            next_old: registers(recent * queries),
            param_compressed: number(AttentionParam::Compressed),
            param_length: number(AttentionParam::Length),
            param_ring: number(AttentionParam::Ring),
            sink: Const::new(shape.sink as usize),
            recent: Const::new(shape.recent as usize),
            exact: Const::new(shape.exact_places() as usize),
            _shape: (shape.sink, shape.recent, shape.tokens),
            _queries: queries,
            _sink: sink,
            _recent: recent,
            _unused: (token_bits < ARG_BITS) as usize,
            _token_bits: token_bits,
            _place_bits: place.width,
            ..SoftmaxEnds::default()
        }
    }
}

impl Logic for SoftmaxEnds {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, compressed, length);
        for q in 0..self._queries {
            self.limit[q].clock.next = self.clock.val();
            self.bound[q].clock.next = self.clock.val();
            self.next_code[q].clock.next = self.clock.val();
        }
        for _i in 0..self._sink {
            for q in 0..self._queries {
                self.next_sink[q].clock.next = self.clock.val();
            }
        }
        for i in 0..self._recent {
            self.ring[i].clock.next = self.clock.val();
            self.next_first[i].clock.next = self.clock.val();
            for q in 0..self._queries {
                self.next_young[q].clock.next = self.clock.val();
                self.next_old[q].clock.next = self.clock.val();
            }
        }

        comment!("---- parameters ----");
        self.value.next = bit_cast(self.param_value.val(), self._token_bits);
        for i in 0..self._unused {
            self.unused_param_value[i].x.next = self.param_value.val();
        }
        if self.param_we.val() & (self.param_index.val() == self.param_compressed.val()) {
            self.compressed.d.next = self.value.val();
        }
        if self.param_we.val() & (self.param_index.val() == self.param_length.val()) {
            self.length.d.next = self.value.val();
        }
        for i in 0..self._recent {
            self.ring[i].d.next = self.ring[i].q.val();
            if self.param_we.val() & (self.param_index.val() == self.param_ring.val()) {
                self.ring[i].d.next = self.value.val();
            }
        }
        for q in 0..self._queries {
            self.limit[q].d.next = self.limit[q].q.val();
            if self.param_we.val() & (self.param_index.val() == q + 8) {
                self.limit[q].d.next = self.value.val();
            }
        }

        comment!("---- positions below `seen` are those of visible tokens ----");
        for q in 0..self._queries {
            self.bound[q].d.next = self.limit[q].q.val();
            if self.limit[q].q.val() > self.length.q.val() {
                self.bound[q].d.next = self.length.q.val();
            }
            self.seen[q].next = signed_cast(self.bound[q].q.val());
        }

        comment!("---- compressed tokens follow the sink ----");
        self.codes.next = signed_cast(bit_cast(self.compressed.q.val(), self._place_bits));
        for q in 0..self._queries {
            self.code_limit[q].next = self.seen[q].val() - self.sink.val().into();
            self.next_code[q].d.next = self.code_limit[q].val();
            if self.code_limit[q].val() > self.codes.val() {
                self.next_code[q].d.next = self.codes.val();
            }
            self.code_end[q].next = self.next_code[q].q.val();
        }

        comment!("---- a token of the sink is at the place of its position ----");
        for _i in 0..self._sink {
            for q in 0..self._queries {
                self.next_sink[q].d.next = self.seen[q].val();
                if self.seen[q].val() > self.sink.val().into() {
                    self.next_sink[q].d.next = self.sink.val().into();
                }
                self.sink_end[q].next = self.next_sink[q].q.val();
            }
        }

        comment!("---- recent ones: the places before that of the next token hold the newest ----");
        for i in 0..self._recent {
            self.cached[i].next = signed_cast(bit_cast(self.length.q.val(), self._place_bits));
            self.wide_ring[i].next = self.ring[i].q.val();
            self.newest[i].next = signed_cast(self.wide_ring[i].val()) + self.sink.val().into();
            self.back[i].next = self.newest[i].val() - self.cached[i].val();
            for q in 0..self._queries {
                self.next_young[q].d.next = self.seen[q].val() + self.back[i].val();
                self.young_end[q].next = self.next_young[q].q.val();
            }
        }

        comment!("---- and those from there on the oldest, if the window is full ----");
        for i in 0..self._recent {
            self.room[i].next = -self.cached[i].val() + self.exact.val().into();
            self.next_first[i].d.next = self.newest[i].val();
            if self.room[i].val() > 0.into() {
                self.next_first[i].d.next = self.newest[i].val() + self.room[i].val();
            }
            self.old_first[i].next = self.next_first[i].q.val();
            for q in 0..self._queries {
                self.old_limit[q].next =
                    self.seen[q].val() + self.back[i].val() + self.recent.val().into();
                self.next_old[q].d.next = self.old_limit[q].val();
                if self.old_limit[q].val() > self.exact.val().into() {
                    self.next_old[q].d.next = self.exact.val().into();
                }
                self.old_end[q].next = self.next_old[q].q.val();
            }
        }
    }
}

impl Unit for SoftmaxEnds {
    fn module(&self) -> String {
        let (sink, recent, tokens) = self._shape;
        let (queries, width) = (self._queries, self._place_bits);
        let bits = self.param_index.ty().width;
        format!("pimc_softmax_ends_q{queries}_s{sink}_r{recent}_n{tokens}_i{bits}_p{width}")
    }

    fn contract(&self) -> Contract {
        let (sink, recent, tokens) = self._shape;
        let exact = match (sink, recent) {
            (0, 0) => String::new(),
            (_, 0) => format!("Of the places of exact tokens those below sink_end; sink = {sink}. "),
            _ => format!(
                "Of the places of exact tokens those {}from {sink} and below young_end, and from \
                 old_first and below old_end: place {sink} + i of the recent window's {recent} holds \
                 position n - ring + i if i < ring, n - {recent} + i - ring otherwise, if that is a \
                 token behind the sink. ",
                if sink > 0 { "below sink_end, " } else { "" }
            ),
        };
        Contract {
            summary: "Up to where the queries see the tokens.".into(),
            formula: format!(
                "Query q sees positions below min(limit[q], n). {exact}Of the compressed tokens those \
                 below code_end, which are at the positions from {sink} on."
            ),
            latency: format!("{ENDS_LATENCY} clocks from a parameter to the ends."),
            preconditions: format!(
                "Parameters are at most {tokens}, the most tokens in the cache; ring is (n - {sink}) \
                 mod the recent window, or 0 before n reaches {sink}."
            ),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("param_we", "parameters"), ("code_end", "ends of the visible places, by query")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
