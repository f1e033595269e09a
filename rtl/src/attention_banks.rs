//! The attention units of a channel and the softmax between them.

use crate::attention_unit::AttentionUnit;
use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};
use crate::softmax_unit::SoftmaxUnit;

/// An attention unit for each bank, in lock step, and one softmax unit. Bank `group * members +
/// member` is a member of a token group. Optional ports of the units are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct AttentionBanks {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A stream begins.
    pub stream_start: Signal<In, Bit>,
    /// Its mode.
    pub mode: Wire<In>,
    /// The data of a column are there some clocks later.
    pub col_soon: Signal<In, Bit>,
    /// The data of a column are there.
    pub col_valid: Signal<In, Bit>,
    /// It is the first of its matrix row.
    pub col_first: Signal<In, Bit>,
    /// It is the last of its matrix row.
    pub col_last: Signal<In, Bit>,
    /// Beats of it that are used, less 1.
    pub col_beats: Wire<In>,
    /// The column of every bank, `beats` words each, bank 0 lowest.
    pub rd_data: Vec<Wire<In>>,

    /// A sub-vector of a query for every group.
    pub byte_we: Signal<In, Bit>,
    /// Its number.
    pub byte_addr: Wire<In>,
    /// It.
    pub load_data: Wire<In>,

    /// A parameter.
    pub param_we: Signal<In, Bit>,
    /// Which.
    pub param_index: Wire<In>,
    /// Its value.
    pub param_value: Wire<In>,

    /// The column to write to every bank, as `rd_data`.
    pub wr_data: Vec<Wire<Out>>,
    /// A result is there.
    pub value_valid: Signal<Out, Bit>,
    /// It.
    pub value: Wire<Out>,

    /// One per bank.
    pub unit: Vec<Inst<AttentionUnit>>,
    /// Between them.
    pub softmax: Inst<SoftmaxUnit>,

    score_valid: Join,
    unused_score_valid: Vec<Unused>,
    captured: Vec<Wire<Local>>,
    unused_row: Vec<Unused>,
    unused_slice: Vec<Unused>,
    unused_element: Vec<Unused>,
    unused_addr: Vec<Unused>,
    beats: Const,
    members: Const,
    probs: Const,
    _spare: usize,
    _part_bits: u32,
    _banks: usize,
    _beats: usize,
    _members: usize,
    _groups: usize,
    _probs: usize,
    _moved: usize,
    _row: usize,
    _no_row: usize,
    _slice: usize,
    _no_slice: usize,
    _element: usize,
    _no_element: usize,
}

impl Logic for AttentionBanks {
    #[hdl_gen]
    fn update(&mut self) {
        comment!("---- streams, loads and parameters, to all alike ----");
        for b in 0..self._banks {
            self.unit[b].clock.next = self.clock.val();
            self.unit[b].bank.next = b.into();
            self.unit[b].stream_start.next = self.stream_start.val();
            self.unit[b].mode.next = self.mode.val();
            self.unit[b].col_valid.next = self.col_valid.val();
            self.unit[b].col_first.next = self.col_first.val();
            self.unit[b].col_last.next = self.col_last.val();
            self.unit[b].col_beats.next = self.col_beats.val();
            self.unit[b].byte_we.next = self.byte_we.val();
            self.unit[b].byte_addr.next = bit_cast(self.byte_addr.val(), self._part_bits);
            self.unit[b].load_data.next = self.load_data.val();
            self.unit[b].param_we.next = self.param_we.val();
            self.unit[b].param_index.next = self.param_index.val();
            self.unit[b].param_value.next = self.param_value.val();
        }
        for i in 0..self._spare {
            self.unused_addr[i].x.next = self.byte_addr.val();
        }
        self.softmax.clock.next = self.clock.val();
        self.softmax.stream_start.next = self.stream_start.val();
        self.softmax.mode.next = self.mode.val();
        self.softmax.col_soon.next = self.col_soon.val();
        self.softmax.param_we.next = self.param_we.val();
        self.softmax.param_index.next = self.param_index.val();
        self.softmax.param_value.next = self.param_value.val();

        comment!("---- columns ----");
        for b in 0..self._banks {
            for q in 0..self._beats {
                self.unit[b].rd_data[q].next = self.rd_data[b * self.beats.val() + q].val();
                self.wr_data[b * self.beats.val() + q].next = self.unit[b].wr_data[q].val();
            }
        }

        comment!(
            "---- scores; all banks have theirs in the same clock, the first one says so ----"
        );
        for b in 0..self._banks {
            self.score_valid.x[b].next = self.unit[b].score_valid.val().into();
            for i in 0..self._probs {
                self.softmax.score[b * self.probs.val() + i].next = self.unit[b].score[i].val();
            }
        }
        self.unused_score_valid[0].x.next = self.score_valid.y.val();
        self.softmax.score_valid.next = self.score_valid.y.val().get_bit(0);

        comment!("---- probabilities of a token group, to each of its banks ----");
        for g in 0..self._groups {
            for m in 0..self._members {
                for i in 0..self._probs {
                    self.unit[g * self.members.val() + m].prob[i].next =
                        self.softmax.prob[g * self.probs.val() + i].val();
                }
            }
        }

        comment!("---- a token that leaves the window, from its group to all ----");
        for i in 0..self._moved {
            for m in 0..self._members {
                self.captured[i * self.members.val() + m].next = 0.into();
                for g in 0..self._groups {
                    self.captured[i * self.members.val() + m].next =
                        self.captured[i * self.members.val() + m].val()
                            | self.unit[g * self.members.val() + m].x_out[i].val();
                }
            }
        }
        for i in 0..self._moved {
            for g in 0..self._groups {
                for m in 0..self._members {
                    self.unit[g * self.members.val() + m].x_in[i].next =
                        self.captured[i * self.members.val() + m].val();
                }
            }
        }

        comment!("---- outputs and results ----");
        for b in 0..self._banks {
            self.softmax.out_value[b].next = self.unit[b].out_value.val();
        }
        for i in 0..self._row {
            for b in 0..self._banks {
                self.unit[b].out_row[i].next = self.softmax.out_row.val();
            }
        }
        for i in 0..self._no_row {
            self.unused_row[i].x.next = self.softmax.out_row.val();
        }
        for i in 0..self._slice {
            for b in 0..self._banks {
                self.unit[b].out_slice[i].next = self.softmax.out_slice.val();
            }
        }
        for i in 0..self._no_slice {
            self.unused_slice[i].x.next = self.softmax.out_slice.val();
        }
        for i in 0..self._element {
            for b in 0..self._banks {
                self.unit[b].out_element[i].next = self.softmax.out_element.val();
            }
        }
        for i in 0..self._no_element {
            self.unused_element[i].x.next = self.softmax.out_element.val();
        }
        self.value_valid.next = self.softmax.value_valid.val();
        self.value.next = self.softmax.value.val();
    }
}

impl AttentionBanks {
    /// The units of a channel; `None` if the channel has no attention.
    pub fn new(shape: &ChannelShape) -> Option<Self> {
        let p = shape.bank.attention.as_ref()?;
        let unit = AttentionUnit::new(shape)?;
        let softmax = SoftmaxUnit::new(p, shape);
        let (banks, beats) = (shape.banks as usize, shape.beats as usize);
        let probs = unit.prob.len();
        let byte_addr = u(index_bits(shape.bank.loaded_words()));
        let part_bits = unit.byte_addr.ty().width;
        let unused_addr = Unused::above(byte_addr, part_bits);
        let moved = unit.x_out.len();
        let ports = [unit.out_row.len(), unit.out_slice.len(), unit.out_element.len()];
        let unused = |there: usize| vec![Unused::new(1); 1 - there];
        let columns = vec![Wire::new(u(shape.beat_bits)); banks * beats];
        Some(AttentionBanks {
            mode: Wire::new(unit.mode.ty()),
            col_beats: Wire::new(unit.col_beats.ty()),
            rd_data: columns,
            byte_addr: Wire::new(byte_addr),
            load_data: Wire::new(unit.load_data.ty()),
            param_index: Wire::new(unit.param_index.ty()),
            param_value: Wire::new(unit.param_value.ty()),
            wr_data: vec![Wire::new(u(shape.beat_bits)); banks * beats],
            value: Wire::new(softmax.value.ty()),
            score_valid: Join::new(banks, u(1)),
            unused_score_valid: Unused::above(u(shape.banks), 1),
            captured: vec![Wire::new(u(p.sub_bits())); moved * p.members as usize],
            unused_row: unused(ports[0]),
            unused_slice: unused(ports[1]),
            unused_element: unused(ports[2]),
            _spare: unused_addr.len(),
            _part_bits: part_bits,
            unused_addr,
            beats: Const::new(beats),
            members: Const::new(p.members as usize),
            probs: Const::new(probs),
            _banks: banks,
            _beats: beats,
            _members: p.members as usize,
            _groups: p.groups as usize,
            _probs: probs,
            _moved: moved,
            _row: ports[0],
            _no_row: 1 - ports[0],
            _slice: ports[1],
            _no_slice: 1 - ports[1],
            _element: ports[2],
            _no_element: 1 - ports[2],
            unit: (0..banks).filter_map(|_| AttentionUnit::new(shape).map(Inst::new)).collect(),
            softmax: Inst::new(softmax),
            ..AttentionBanks::default()
        })
    }
}

impl Unit for AttentionBanks {
    fn module(&self) -> String {
        "pimc_attention_banks".into()
    }

    fn contract(&self) -> Contract {
        Contract {
            summary: format!(
                "Attention: a unit for each of {} banks, in lock step, and the softmax between them.",
                self._banks
            ),
            formula: format!(
                "Bank g*{0} + m is member m of token group g. The scores of a group's members are \
                 added up; its probabilities go to all of them.",
                self._members
            ),
            layout: "rd_data_i and wr_data_o hold the banks' columns side by side, bank 0 lowest."
                .into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("stream_start", "streams and their columns"),
            ("byte_we", "queries"),
            ("param_we", "parameters"),
            ("wr_data", "what is written"),
            ("value_valid", "results"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
