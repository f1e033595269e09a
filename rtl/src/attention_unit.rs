//! The attention unit: what stands beside one bank of a product-quantized key/value cache.
//!
//! A column enters in clock t, its beats come one per clock from t + 1. A beat addresses memories on
//! its first clock, meets queries, weights and centroids on its second.

mod build;
mod kernel;
#[cfg(test)]
mod tests;

use crate::attention_cluster::AttentionCluster;
use crate::attention_dots::AttentionDots;
use crate::attention_encode::AttentionEncode;
use crate::attention_lane::AttentionLane;
use crate::attention_outputs::AttentionOutputs;
use crate::attention_place::AttentionPlace;
use crate::attention_queries::AttentionQueries;
use crate::attention_scores::AttentionScores;
use crate::hdl::prelude::*;

/// Chews the columns of one bank. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct AttentionUnit {
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// The number of this bank: its member in the low bits, its token group above.
    pub bank: Wire<In>,

    /// A stream begins, of the mode that is on `mode` from here to the stream's last beat; at the
    /// latest with its first column.
    pub stream_start: Signal<In, Bit>,
    /// Index into [`crate::shape::BankShape::modes`].
    pub mode: Wire<In>,

    /// A column of the stream is on `rd_data` in this clock.
    pub col_valid: Signal<In, Bit>,
    /// It is the first of a slice's codebook.
    pub col_first: Signal<In, Bit>,
    /// It is the last of a slice's codebook.
    pub col_last: Signal<In, Bit>,
    /// Beats of it that are used, less 1.
    pub col_beats: Wire<In>,
    /// The column.
    pub rd_data: Vec<Wire<In>>,
    /// Weights of a beat of exact values or of value codes, in the clock in which it enters: word
    /// `lane * rows + row`.
    pub prob: Vec<Wire<In>>,

    /// Takes `load_data` for the row of queries that the parameter says, if it is of this member.
    pub byte_we: Signal<In, Bit>,
    /// The number of the sub-vector.
    pub byte_addr: Wire<In>,
    /// The sub-vector, lowest.
    pub load_data: Wire<In>,
    /// Sets a parameter.
    pub param_we: Signal<In, Bit>,
    /// Which: an index of [`crate::attention::AttentionParam`].
    pub param_index: Wire<In>,
    /// Its value.
    pub param_value: Wire<In>,

    /// The scores of a beat are on `score`.
    pub score_valid: Signal<Out, Bit>,
    /// This bank's part of the scores: word `lane * rows + row`.
    pub score: Vec<Wire<Out>>,
    /// The last column into which something was put.
    pub wr_data: Vec<Wire<Out>>,

    /// The sub-vectors that were captured in this clock; 0 unless the place is in this group. Only
    /// where there are several groups and tokens are taken out of columns.
    pub x_out: Vec<Wire<Out>>,
    /// `x_out` of this member in all groups, one or another.
    pub x_in: Vec<Wire<In>>,

    /// The output that is read: its row; only when there are two or more.
    pub out_row: Vec<Wire<In>>,
    /// Its slice; only when there are two or more.
    pub out_slice: Vec<Wire<In>>,
    /// Its element in the sub-vector; only when there are two or more.
    pub out_element: Vec<Wire<In>>,
    /// That output, one clock later.
    pub out_value: Wire<Out>,

    // What the stream is.
    is_table: Signal<Local, Bit>,
    is_exact_scores: Vec<Signal<Local, Bit>>,
    is_scores: Signal<Local, Bit>,
    is_exact_values: Vec<Signal<Local, Bit>>,
    is_buckets: Signal<Local, Bit>,
    is_combine: Signal<Local, Bit>,
    is_capture: Vec<Signal<Local, Bit>>,
    is_take: Vec<Signal<Local, Bit>>,
    is_encode: Signal<Local, Bit>,
    is_insert_code: Signal<Local, Bit>,
    is_insert_token: Vec<Signal<Local, Bit>>,
    is_codebook: Vec<Signal<Local, Bit>>,

    // Column register and position.
    column: Vec<Reg>,
    column_first: Flop<Bit>,
    column_last: Vec<Flop<Bit>>,
    unused_last: Vec<Unused>,
    beats_less_1: Reg,
    beat: Reg,
    busy: Flop<Bit>,
    word: Wire<Local>,
    last_beat: Signal<Local, Bit>,
    row_first: Signal<Local, Bit>,
    slice: Vec<Reg>,
    next_word: Vec<Reg>,
    book_word: Vec<Wire<Local>>,
    book_base: Vec<Wire<Local>>,
    book_at: Wire<Local>,
    codes: Split,

    // The beat on its second clock.
    word_e: Reg,
    beat_e: Reg,
    slice_e: Vec<Reg>,
    first_e: Flop<Bit>,
    tail_e: Vec<Flop<Bit>>,
    book_word_e: Vec<Reg>,
    book_at_e: Reg,
    prob_e: Vec<Reg>,
    table_e: Flop<Bit>,
    exact_values_e: Vec<Flop<Bit>>,
    buckets_e: Flop<Bit>,
    combine_e: Flop<Bit>,
    capture_e: Vec<Flop<Bit>>,
    encode_e: Flop<Bit>,
    insert_code_e: Flop<Bit>,
    insert_token_e: Vec<Flop<Bit>>,

    // Queries.
    unused_value: Unused,
    unused_load: Vec<Unused>,
    queries: Inst<AttentionQueries>,

    // Data paths.
    dots: Inst<AttentionDots>,
    table_f: Flop<Bit>,
    book_at_f: Reg,
    lane: Vec<Inst<AttentionLane>>,
    scores: Inst<AttentionScores>,
    outputs: Inst<AttentionOutputs>,
    slice_f: Vec<Reg>,
    place: Vec<Inst<AttentionPlace>>,
    encode: Vec<Inst<AttentionEncode>>,
    cluster: Vec<Inst<AttentionCluster>>,

    mode_table: Const,
    mode_exact_scores: Const,
    mode_scores: Const,
    mode_exact_values: Const,
    mode_buckets: Const,
    mode_combine: Const,
    mode_capture: Const,
    mode_take: Const,
    mode_encode: Const,
    mode_insert_code: Const,
    mode_insert_token: Const,
    param_place: Const,
    param_load_row: Const,
    last_beat_number: Const,
    rows: Const,
    entries: Const,
    member_bits: Const,
    book_bits: Const,
    codes_bits: Const,
    word_bits: Const,
    _beats: usize,
    _rows: usize,
    _slices: usize,
    _lanes: usize,
    _entries: usize,
    _probs: usize,
    _exact_entries: usize,
    _exact: usize,
    _capture: usize,
    _take: usize,
    _lasts: usize,
    _no_last: usize,
    _padded: usize,
    _sliced: usize,
    _captured_slice: usize,
    _book: usize,
    _book_alone: usize,
    _slice_alone: usize,
    _both: usize,
    _neither: usize,
    _one_word: usize,
    _two_words: usize,
    _many_rows: usize,
    _members: usize,
    _groups: usize,
    _groups_alone: usize,
    _groups_of_members: usize,
    _x_ports: usize,
    _x_alone: usize,
    _plain: usize,
    _cluster: usize,
    _cluster_sliced: usize,
    _tailed: usize,
    _elements: usize,
    _spare_load: usize,
    _codes_bits: u32,
    _lane_bits: u32,
    _beat_bits: u32,
    _member_bits: u32,
    _group_bits: u32,
    _row_bits: u32,
    _vector_bits: u32,
    _first_mode: usize,
    _shape: Option<(crate::attention::AttentionShape, u32, u32)>,
}

impl Unit for AttentionUnit {
    fn module(&self) -> String {
        "pimc_attention_unit".into()
    }

    fn contract(&self) -> Contract {
        build::contract(self)
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        let select = match (self._many_rows, self._sliced, self._elements) {
            (1, ..) => "out_row",
            (_, 1, _) => "out_slice",
            (_, _, 1) => "out_element",
            _ => "out_value",
        };
        let captured = match self.x_out.len() {
            0 | 1 => "captured sub-vector, over all token groups",
            _ => "captured sub-vectors, over all token groups",
        };
        vec![
            ("bank", "the number of this bank, fixed"),
            ("stream_start", "stream"),
            ("col_valid", "column, and weights of its beats"),
            ("byte_we", "queries"),
            ("param_we", "parameters"),
            ("score_valid", "scores"),
            ("wr_data", "column to write"),
            ("x_out", captured),
            (select, "outputs"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
