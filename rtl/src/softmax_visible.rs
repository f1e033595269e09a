//! Which tokens of a beat a query sees.

use crate::attention::AttentionShape;
use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};
use crate::softmax_ends::place_type;

/// Clocks from `restart` to the first beat's tokens being told.
pub const VISIBLE_LATENCY: u32 = 2;

/// Counts the places of exact tokens or the compressed tokens, and tells for each lane of the next beat
/// and each query whether the query sees the token there.
#[derive(LogicBlock, Default)]
pub struct SoftmaxVisible {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// The next beat is the first of its kind.
    pub restart: Signal<In, Bit>,
    /// Its kind: exact tokens, not compressed ones; only where there are any.
    pub exact: Vec<Signal<In, Bit>>,
    /// A beat is there: from the next clock on the one behind it is told.
    pub step: Signal<In, Bit>,

    /// Ends of the visible places, see [`crate::softmax_ends::SoftmaxEnds`].
    pub code_end: Vec<Wire<In>>,
    /// The sink's.
    pub sink_end: Vec<Wire<In>>,
    /// The newest tokens'.
    pub young_end: Vec<Wire<In>>,
    /// The oldest tokens' first.
    pub old_first: Vec<Wire<In>>,
    /// The oldest tokens'.
    pub old_end: Vec<Wire<In>>,

    /// By token group, lane and query.
    pub visible: Vec<Wire<Out>>,

    fill: Flop<Bit>,
    advance: Signal<Local, Bit>,
    of_exact: Vec<Flop<Bit>>,
    beat: Vec<Reg>,
    ends_block: Vec<Signal<Local, Bit>>,
    by: Wire<Local>,
    place: Reg,
    group_place: Vec<Wire<Local>>,
    lane_place: Vec<Wire<Local>>,
    code_seen: Vec<Wire<Local>>,
    exact_seen: Vec<Wire<Local>>,
    seen: Vec<Reg>,

    sink: Const,
    queries: Const,
    lanes: Const,
    last_beat: Const,
    code_span: Const,
    code_step: Const,
    code_jump: Const,
    exact_span: Const,
    exact_step: Const,
    exact_jump: Const,
    _exact: usize,
    _sink: usize,
    _recent: usize,
    _blocks: usize,
    _groups: usize,
    _one_group: usize,
    _many_groups: usize,
    _lanes: usize,
    _queries: usize,
    _code_lanes: usize,
    _exact_lanes: usize,
    _all: usize,
    _beats: u32,
    _places: (u32, u32),
}

impl SoftmaxVisible {
    /// The unit of a shape in a channel.
    pub fn new(shape: &AttentionShape, channel: &ChannelShape) -> Self {
        let place = place_type(shape, channel);
        let (beats, groups) = (channel.beats, shape.groups as usize);
        let lanes = shape.score_lanes(channel.beat_bits) as usize;
        let queries = shape.queries as usize;
        let all = groups * lanes * queries;
        let exact = (shape.exact_places() > 0) as usize;
        let (sink, recent) = ((shape.sink > 0) as usize, (shape.recent > 0) as usize);
        let blocks = (groups > 1 && beats > 1) as usize;
        let ends = |there: usize| vec![Wire::new(place); there];
        // From a beat to the next, and from the last beat of a block to the first of the next.
        let in_beat = [shape.lanes(channel.beat_bits), shape.chunk(channel.beat_bits)];
        let [code_step, exact_step] =
            in_beat.map(|n| Const::new((if beats == 1 { n * shape.groups } else { n }) as usize));
        let [code_jump, exact_jump] =
            in_beat.map(|n| Const::new((n + n * beats * (shape.groups - 1)) as usize));
        let [code_span, exact_span] = in_beat.map(|n| Const::new((n * beats) as usize));
        SoftmaxVisible {
            exact: vec![Signal::default(); exact],
            code_end: ends(queries),
            sink_end: ends(sink * queries),
            young_end: ends(recent * queries),
            old_first: ends(recent),
            old_end: ends(recent * queries),
            visible: vec![Wire::new(u(1)); all],
            of_exact: vec![Flop::default(); exact],
            beat: vec![Reg::new(u(index_bits(beats))); blocks],
            ends_block: vec![Signal::default(); blocks],
            by: Wire::new(place),
            place: Reg::new(place),
            group_place: vec![Wire::new(place); groups],
            lane_place: vec![Wire::new(place); groups * lanes],
            code_seen: vec![Wire::new(u(1)); all],
            exact_seen: vec![Wire::new(u(1)); exact * all],
            seen: vec![Reg::data(u(1)); all],
            sink: Const::new(shape.sink as usize),
            queries: Const::new(queries),
            lanes: Const::new(lanes),
            last_beat: Const::new(beats as usize - 1),
            code_span,
            code_step,
            code_jump,
            exact_span,
            exact_step,
            exact_jump,
            _exact: exact,
            _sink: sink,
            _recent: recent,
            _blocks: blocks,
            _groups: groups,
            _one_group: (groups == 1) as usize,
            _many_groups: (groups > 1) as usize,
            _lanes: lanes,
            _queries: queries,
            _code_lanes: in_beat[0] as usize,
            _exact_lanes: in_beat[1] as usize,
            _all: all,
            _beats: beats,
            _places: (shape.sink, shape.recent),
            ..SoftmaxVisible::default()
        }
    }
}

impl Logic for SoftmaxVisible {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, fill, place);
        for i in 0..self._exact {
            self.of_exact[i].clock.next = self.clock.val();
        }
        for i in 0..self._blocks {
            self.beat[i].clock.next = self.clock.val();
        }
        for i in 0..self._all {
            self.seen[i].clock.next = self.clock.val();
        }

        comment!(
            "---- the next beat, told ahead; it goes on with a beat, and once at the start ----"
        );
        self.fill.d.next = self.restart.val();
        self.advance.next = self.step.val() | self.fill.q.val();
        for i in 0..self._exact {
            self.of_exact[i].d.next = self.of_exact[i].q.val();
            if self.restart.val() {
                self.of_exact[i].d.next = self.exact[i].val();
            }
        }

        comment!(
            "---- place of lane 0 in group 0; the other groups' of a block lie behind its own ----"
        );
        for i in 0..self._blocks {
            self.ends_block[i].next = self.beat[i].q.val() == self.last_beat.val();
            self.beat[i].d.next = self.beat[i].q.val();
            if self.advance.val() {
                self.beat[i].d.next = self.beat[i].q.val() + 1.into();
                if self.ends_block[i].val() {
                    self.beat[i].d.next = 0.into();
                }
            }
            if self.restart.val() {
                self.beat[i].d.next = 0.into();
            }
        }
        self.by.next = self.code_step.val().into();
        for i in 0..self._blocks {
            if self.ends_block[i].val() {
                self.by.next = self.code_jump.val().into();
            }
        }
        for e in 0..self._exact {
            if self.of_exact[e].q.val() {
                self.by.next = self.exact_step.val().into();
                for i in 0..self._blocks {
                    if self.ends_block[i].val() {
                        self.by.next = self.exact_jump.val().into();
                    }
                }
            }
        }
        if self.advance.val() {
            self.place.d.next = self.place.q.val() + self.by.val();
        }
        if self.restart.val() {
            self.place.d.next = 0.into();
        }

        comment!("---- places of the lanes ----");
        for _i in 0..self._one_group {
            self.group_place[0].next = self.place.q.val();
        }
        for _i in 0..self._many_groups {
            for g in 0..self._groups {
                self.group_place[g].next = self.place.q.val() + (g * self.code_span.val()).into();
            }
            for e in 0..self._exact {
                for g in 0..self._groups {
                    if self.of_exact[e].q.val() {
                        self.group_place[g].next =
                            self.place.q.val() + (g * self.exact_span.val()).into();
                    }
                }
            }
        }
        for g in 0..self._groups {
            for l in 0..self._lanes {
                self.lane_place[g * self.lanes.val() + l].next =
                    self.group_place[g].val() + l.into();
            }
        }

        comment!("---- compressed tokens ----");
        for g in 0..self._groups {
            for l in 0..self._code_lanes {
                for q in 0..self._queries {
                    self.code_seen[(g * self.lanes.val() + l) * self.queries.val() + q].next =
                        (self.lane_place[g * self.lanes.val() + l].val() < self.code_end[q].val())
                            .into();
                }
            }
            for l in self._code_lanes..self._lanes {
                for q in 0..self._queries {
                    self.code_seen[(g * self.lanes.val() + l) * self.queries.val() + q].next =
                        0.into();
                }
            }
        }

        comment!("---- exact tokens: of the sink, the newest ones, the oldest ones ----");
        for _e in 0..self._exact {
            for g in 0..self._groups {
                for l in 0..self._exact_lanes {
                    for q in 0..self._queries {
                        self.exact_seen[(g * self.lanes.val() + l) * self.queries.val() + q].next =
                            0.into();
                        for _i in 0..self._sink {
                            if self.lane_place[g * self.lanes.val() + l].val()
                                < self.sink_end[q].val()
                            {
                                self.exact_seen
                                    [(g * self.lanes.val() + l) * self.queries.val() + q]
                                    .next = 1.into();
                            }
                        }
                        for i in 0..self._recent {
                            if (self.lane_place[g * self.lanes.val() + l].val()
                                >= self.sink.val().into())
                                & (self.lane_place[g * self.lanes.val() + l].val()
                                    < self.young_end[q].val())
                            {
                                self.exact_seen
                                    [(g * self.lanes.val() + l) * self.queries.val() + q]
                                    .next = 1.into();
                            }
                            if (self.lane_place[g * self.lanes.val() + l].val()
                                >= self.old_first[i].val())
                                & (self.lane_place[g * self.lanes.val() + l].val()
                                    < self.old_end[q].val())
                            {
                                self.exact_seen
                                    [(g * self.lanes.val() + l) * self.queries.val() + q]
                                    .next = 1.into();
                            }
                        }
                    }
                }
                for l in self._exact_lanes..self._lanes {
                    for q in 0..self._queries {
                        self.exact_seen[(g * self.lanes.val() + l) * self.queries.val() + q].next =
                            0.into();
                    }
                }
            }
        }

        for i in 0..self._all {
            self.seen[i].d.next = self.seen[i].q.val();
        }
        if self.advance.val() {
            for i in 0..self._all {
                self.seen[i].d.next = self.code_seen[i].val();
            }
        }
        for e in 0..self._exact {
            if self.advance.val() & self.of_exact[e].q.val() {
                for i in 0..self._all {
                    self.seen[i].d.next = self.exact_seen[i].val();
                }
            }
        }
        for i in 0..self._all {
            self.visible[i].next = self.seen[i].q.val();
        }
    }
}

impl Unit for SoftmaxVisible {
    fn module(&self) -> String {
        let (sink, recent) = self._places;
        format!(
            "pimc_softmax_visible_g{}_l{}_c{}_x{}_b{}_q{}_s{sink}_r{recent}_p{}",
            self._groups,
            self._lanes,
            self._code_lanes,
            self._exact_lanes,
            self._beats,
            self._queries,
            self.by.ty().width
        )
    }

    fn contract(&self) -> Contract {
        let (codes, places, beats) = (self._code_lanes, self._exact_lanes, self._beats);
        let span = |lanes: usize| match self._groups {
            1 => format!("token beat * {lanes} + lane"),
            groups => format!(
                "token block * {} + group * {} + beat * {lanes} + lane",
                lanes as u32 * beats * groups as u32,
                lanes as u32 * beats
            ),
        };
        let exact = match self._exact {
            0 => String::new(),
            _ => format!(" Lane l < {places} of exact ones is at the place {}.", span(places)),
        };
        let blocks = match self._groups {
            1 => String::new(),
            _ => format!(" A block has {beats} beats."),
        };
        Contract {
            summary: "Which tokens of the next beat the queries see.".into(),
            formula: format!(
                "Lane l < {codes} of compressed tokens is {}.{exact}{blocks} Beats count from \
                 restart_i. What of those is below the ends is visible.",
                span(codes)
            ),
            latency: format!(
                "{VISIBLE_LATENCY} clocks from restart_i, 1 from step_i, to visible_o of the next beat."
            ),
            throughput: "A beat every clock.".into(),
            layout: "visible_o by token group, lane, query.".into(),
            preconditions: "The ends are there in the clock behind restart_i, and held.".into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("restart", "beats"),
            ("code_end", "ends of the visible places, by query"),
            ("visible", "visible tokens of the next beat"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
