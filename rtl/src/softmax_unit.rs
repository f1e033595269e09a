//! Softmax over the scores of the banks: probabilities for the banks, and their outputs divided by
//! the sums of those.

use crate::attention::{AttentionShape, ARG_BITS, PROB_BITS};
use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};

/// One for all banks of a channel. Scores and probabilities of a lane lie by row; lanes lie by bank or
/// by token group: `(bank * lanes + lane) * rows + row`.
#[derive(LogicBlock, Default)]
pub struct SoftmaxUnit {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A stream begins.
    pub stream_start: Signal<In, Bit>,
    /// Its mode: the number of a stream mode of the banks.
    pub mode: Wire<In>,
    /// The data of a column come `PROB_AHEAD` clocks later.
    pub col_soon: Signal<In, Bit>,

    /// The banks' parts of the scores of a beat are there.
    pub score_valid: Signal<In, Bit>,
    /// They, by bank, lane and row.
    pub score: Vec<Wire<In>>,

    /// Writes a parameter.
    pub param_we: Signal<In, Bit>,
    /// Which: see [`crate::attention::AttentionParam`].
    pub param_index: Wire<In>,
    /// What.
    pub param_value: Wire<In>,

    /// Probabilities of the beat that enters the data path, by token group, lane and row.
    pub prob: Vec<Wire<Out>>,

    /// Row of the outputs that the banks are to show in the next clock.
    pub out_row: Wire<Out>,
    /// Their slice.
    pub out_slice: Wire<Out>,
    /// Their element of the sub-vector.
    pub out_element: Wire<Out>,
    /// An output of every bank, selected a clock ago.
    pub out_value: Vec<Wire<In>>,

    /// A result is there.
    pub value_valid: Signal<Out, Bit>,
    /// It.
    pub value: Wire<Out>,
}

impl SoftmaxUnit {
    /// The unit of a shape in a channel.
    pub fn new(shape: &AttentionShape, channel: &ChannelShape) -> Self {
        let lanes = shape.score_lanes(channel.beat_bits) * shape.rows();
        let scores = (channel.banks * lanes) as usize;
        let probs = (shape.groups * lanes) as usize;
        SoftmaxUnit {
            mode: Wire::new(u(channel.isa.mode_bits)),
            score: vec![Wire::new(s(shape.part_bits())); scores],
            param_index: Wire::new(u(shape.param_bits())),
            param_value: Wire::new(u(ARG_BITS)),
            prob: vec![Wire::new(u(PROB_BITS)); probs],
            out_row: Wire::new(u(index_bits(shape.rows()))),
            out_slice: Wire::new(u(index_bits(shape.slices))),
            out_element: Wire::new(u(index_bits(shape.sub))),
            out_value: vec![Wire::new(s(shape.out_bits())); channel.banks as usize],
            value: Wire::new(s(shape.result_bits)),
            ..SoftmaxUnit::default()
        }
    }
}

impl Logic for SoftmaxUnit {
    #[hdl_gen]
    fn update(&mut self) {}
}

impl Unit for SoftmaxUnit {
    fn module(&self) -> String {
        "pimc_softmax_unit".into()
    }

    fn contract(&self) -> Contract {
        Contract::default()
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("stream_start", "streams and their columns"),
            ("score_valid", "scores of a beat, from the banks"),
            ("param_we", "parameters"),
            ("prob", "probabilities of a beat, to the banks"),
            ("out_row", "outputs of the banks"),
            ("value_valid", "results"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
