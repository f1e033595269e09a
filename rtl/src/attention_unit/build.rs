//! What an attention unit of a shape consists of, and what its header says.

use super::AttentionUnit;
use crate::attention::{
    AttentionMode, AttentionParam, AttentionShape, ARG_BITS, BUCKET_LATENCY, CODE_LATENCY,
    MEAN_CLOCKS, OUT_LATENCY, PLACE_LATENCY, PROB_BITS, SCORE_LATENCY, TABLE_LATENCY,
};
use crate::attention_cluster::AttentionCluster;
use crate::attention_dots::AttentionDots;
use crate::attention_encode::AttentionEncode;
use crate::attention_lane::AttentionLane;
use crate::attention_outputs::AttentionOutputs;
use crate::attention_place::AttentionPlace;
use crate::attention_queries::AttentionQueries;
use crate::attention_scores::AttentionScores;
use crate::hdl::prelude::*;
use crate::shape::{choice_bits, index_bits, ChannelShape, StreamMode, WORD_BITS};
use crate::timing::{accumulate_clocks, clear_clocks};

/// `there` elements, each made by `make`.
fn vec_of<T>(there: bool, make: impl FnOnce() -> T) -> Vec<T> {
    there.then(make).into_iter().collect()
}

impl AttentionUnit {
    /// The unit of one bank of a channel; `None` if the channel has no attention.
    pub fn new(channel: &ChannelShape) -> Option<Self> {
        Some(AttentionUnit::of(channel.bank.attention.as_ref()?, channel))
    }

    fn of(p: &AttentionShape, channel: &ChannelShape) -> Self {
        let modes = channel.bank.modes();
        let mode_bits = index_bits(modes.len() as u32);
        let first_mode = modes.iter().position(|m| matches!(m, StreamMode::Attention(_)));
        let first_mode = first_mode.unwrap_or(0);
        let mode = |m: AttentionMode| Const::named(mode_bits, first_mode + m as usize);
        let param = |x: AttentionParam| Const::named(p.param_bits(), x.index() as usize);
        let beat_bits = channel.beat_bits;
        let (rows, lanes) = (p.rows() as usize, p.lanes(beat_bits) as usize);
        let entries = p.chunk(beat_bits) as usize * rows;
        let (exact, take, capture) = (p.has_exact(), p.takes(), p.captures());
        let cluster = p.cluster.is_some();
        let (sliced, book) = (p.slices > 1, p.table_words(beat_bits) > 1);
        let padded = p.table_words(beat_bits) > 1 && p.k % p.chunk(beat_bits) > 0;
        let lasts = sliced || padded;
        let (members, groups) = (p.members > 1, p.groups > 1);
        let place = AttentionPlace::new(p, channel);
        // Sub-vectors that are taken of a beat.
        let taken = place.taken.len();
        let x_ports = if groups { taken } else { 0 };
        let clusters = AttentionCluster::new(p, channel);
        let tailed = clusters.iter().any(|c| !c.col_beats.is_empty());
        let two_words = beat_bits > WORD_BITS;
        let codes_bits = p.lanes(WORD_BITS) * p.code_bits();
        let (word, vector) = (u(beat_bits), u(p.sub_bits()));
        let (slice, beat) = (u(index_bits(p.slices)), u(index_bits(channel.beats)));
        let (row, element) = (u(index_bits(p.rows())), u(index_bits(p.sub)));
        let book_word = u(index_bits(p.table_words(beat_bits)));
        let book_at = u(p.table_addr_bits(beat_bits));
        let byte_addr = u(index_bits(p.parts()));
        let load = u(channel.load_bits());
        let unused_load = Unused::above(load, vector.width);
        let lane = || Inst::new(AttentionLane::new(p, channel));
        AttentionUnit {
            bank: Wire::new(u(index_bits(channel.banks))),
            mode: Wire::new(u(mode_bits)),
            col_beats: Wire::new(beat),
            rd_data: vec![Wire::new(word); channel.beats as usize],
            prob: vec![Wire::new(u(PROB_BITS)); lanes * rows],
            byte_addr: Wire::new(byte_addr),
            load_data: Wire::new(load),
            param_index: Wire::new(u(p.param_bits())),
            param_value: Wire::new(u(ARG_BITS)),
            score: vec![Wire::new(s(p.part_bits())); lanes * rows],
            wr_data: vec![Wire::new(word); channel.beats as usize],
            x_out: vec![Wire::new(vector); x_ports],
            x_in: vec![Wire::new(vector); x_ports],
            out_row: vec_of(rows > 1, || Wire::new(row)),
            out_slice: vec_of(sliced, || Wire::new(slice)),
            out_element: vec_of(p.sub > 1, || Wire::new(element)),
            out_value: Wire::new(s(p.out_bits())),

            is_exact_scores: vec_of(exact, Signal::default),
            is_exact_values: vec_of(exact, Signal::default),
            is_insert_token: vec_of(exact, Signal::default),
            is_capture: vec_of(capture, Signal::default),
            is_take: vec_of(take, Signal::default),
            is_codebook: vec_of(sliced, Signal::default),

            column: vec![Reg::data(word); channel.beats as usize],
            column_last: vec_of(lasts, Flop::default),
            unused_last: vec_of(!lasts, || Unused::new(1)),
            beats_less_1: Reg::new(beat),
            beat: Reg::new(beat),
            word: Wire::new(word),
            slice: vec_of(sliced, || Reg::new(slice)),
            next_word: vec_of(book, || Reg::new(book_word)),
            book_word: vec_of(book, || Wire::new(book_word)),
            book_base: vec_of(book && sliced, || Wire::new(book_at)),
            book_at: Wire::new(book_at),
            codes: Split::new(lanes, p.code_bits()),

            word_e: Reg::data(word),
            beat_e: Reg::data(beat),
            slice_e: vec_of(sliced, || Reg::data(slice)),
            tail_e: vec_of(padded, Flop::default),
            book_word_e: vec_of(book, || Reg::data(book_word)),
            book_at_e: Reg::data(book_at),
            prob_e: vec![Reg::data(u(PROB_BITS)); lanes * rows],
            exact_values_e: vec_of(exact, Flop::default),
            capture_e: vec_of(capture, Flop::default),
            insert_token_e: vec_of(exact, Flop::default),

            unused_value: Unused::new(ARG_BITS),
            _spare_load: unused_load.len(),
            unused_load,
            queries: Inst::new(AttentionQueries::new(p)),

            dots: Inst::new(AttentionDots::new(p, beat_bits)),
            book_at_f: Reg::data(book_at),
            lane: std::iter::repeat_with(lane).take(lanes).collect(),
            scores: Inst::new(AttentionScores::new(p, channel)),
            outputs: Inst::new(AttentionOutputs::new(p, channel)),
            slice_f: vec_of(sliced && capture && !cluster, || Reg::data(slice)),
            place: vec_of(!cluster, || Inst::new(place)),
            encode: vec_of(!cluster, || Inst::new(AttentionEncode::new(p, beat_bits))),
            cluster: clusters.into_iter().map(Inst::new).collect(),

            mode_table: mode(AttentionMode::Table),
            mode_exact_scores: mode(AttentionMode::ExactScores),
            mode_scores: mode(AttentionMode::Scores),
            mode_exact_values: mode(AttentionMode::ExactValues),
            mode_buckets: mode(AttentionMode::Buckets),
            mode_combine: mode(AttentionMode::Combine),
            mode_capture: mode(AttentionMode::Capture),
            mode_take: mode(AttentionMode::Take),
            mode_encode: mode(AttentionMode::Encode),
            mode_insert_code: mode(AttentionMode::InsertCode),
            mode_insert_token: mode(AttentionMode::InsertToken),
            param_place: param(AttentionParam::Place),
            param_load_row: param(AttentionParam::LoadRow),
            last_beat_number: Const::new(channel.beats as usize - 1),
            rows: Const::new(rows),
            entries: Const::new(entries),
            member_bits: Const::new(choice_bits(p.members) as usize),
            book_bits: Const::new(choice_bits(p.table_words(beat_bits)) as usize),
            codes_bits: Const::new(codes_bits as usize),
            word_bits: Const::new(WORD_BITS as usize),
            _beats: channel.beats as usize,
            _rows: rows,
            _slices: p.slices as usize,
            _lanes: lanes,
            _entries: entries,
            _probs: lanes * rows,
            _exact_entries: entries * exact as usize,
            _exact: exact as usize,
            _capture: capture as usize,
            _take: take as usize,
            _lasts: lasts as usize,
            _no_last: !lasts as usize,
            _padded: padded as usize,
            _sliced: sliced as usize,
            _captured_slice: (sliced && capture) as usize,
            _book: book as usize,
            _book_alone: (book && !sliced) as usize,
            _slice_alone: (sliced && !book) as usize,
            _both: (book && sliced) as usize,
            _neither: (!book && !sliced) as usize,
            _one_word: !two_words as usize,
            _two_words: two_words as usize,
            _many_rows: (rows > 1) as usize,
            _members: members as usize,
            _groups: groups as usize,
            _groups_alone: (groups && !members) as usize,
            _groups_of_members: (groups && members) as usize,
            _x_ports: x_ports,
            _x_alone: if groups { 0 } else { taken },
            _plain: !cluster as usize,
            _cluster: cluster as usize,
            _cluster_sliced: (cluster && sliced) as usize,
            _tailed: tailed as usize,
            _elements: (p.sub > 1) as usize,
            _codes_bits: codes_bits,
            _lane_bits: p.lane_bits(beat_bits),
            _beat_bits: beat.width,
            _member_bits: choice_bits(p.members),
            _group_bits: choice_bits(p.groups),
            _row_bits: row.width,
            _vector_bits: vector.width,
            _first_mode: first_mode,
            _shape: Some((p.clone(), beat_bits, channel.beats)),
            ..AttentionUnit::default()
        }
    }
}

/// The header of the unit.
pub(super) fn contract(unit: &AttentionUnit) -> Contract {
    let Some((p, beat_bits, beats)) = &unit._shape else { return Contract::default() };
    let (lanes, chunk) = (p.lanes(*beat_bits), p.chunk(*beat_bits));
    let names = AttentionMode::of(p).iter().filter(|m| built(p, **m));
    let names = names.map(|m| format!("{} {}", unit._first_mode + *m as usize, m.name()));
    let mut formula = format!(
        "Stream modes: {}.\n\
         table: table[s][c][row] = query[row][s] . c; buckets := 0, outputs := 0.\n\
         scores: score[lane][row] = sum over s of table[s][code[s]][row].\n\
         buckets: bucket[lane][s][code][row] += prob[lane][row].\n\
         combine: output[row][s] += (sum over lanes of bucket[lane][s][c][row]) * c.\n\
         encode: code[s] = the lowest c of the least |x[s] - c|^2.\n\
         insert_code: wr_data = the column with code[s] at the place.\n",
        names.collect::<Vec<_>>().join(", ")
    );
    if p.has_exact() {
        formula += "exact_scores: score[lane][row] = sum over s of query[row][s] . key[lane][s].\n\
                    exact_values: output[row][s] += sum over lanes of prob[lane][row] * value[lane][s].\n\
                    insert_token: wr_data = the column with query[0][s] at the place.\n";
    }
    formula += match (p.captures(), p.encoders()) {
        (true, 1) => "capture: x[s] = the sub-vector at the place.",
        (true, _) => "capture: x[s] = the sub-vector at the place, in every encoder another.",
        (false, _) => "take: x[s] = query[0][s].",
    };
    if p.captures() && p.takes() {
        formula += "\ntake: x[s] = query[0][s], in encoder 0.";
    }
    if p.cluster.is_some() {
        formula += "\nclear, accumulate, update, insert_centroid: see pimc_attention_cluster.";
    }
    let update = match p.cluster {
        None => String::new(),
        Some(_) => format!(
            " Clocks of an update on top: {}; of clear: {}; of accumulate: {}.",
            chunk * beats * MEAN_CLOCKS,
            clear_clocks(p, *beat_bits),
            accumulate_clocks(p)
        ),
    };
    let place = match p.groups {
        1 => "lane, and beat from bit 8",
        _ => "lane, beat from bit 8, and token group from bit 16",
    };
    Contract {
        summary: format!(
            "Attention unit of a bank: {} of the {} sub-vectors of {} elements of a token, for {} rows of \
             queries.",
            p.slices,
            p.parts(),
            p.sub,
            p.rows()
        ),
        formula,
        latency: format!(
            "Clocks from a column's last beat entering the data path, which is as many clocks behind \
             col_valid_i as the column has beats: {TABLE_LATENCY} to a beat that uses its tables or \
             fills buckets, {SCORE_LATENCY} to score_valid_o, {BUCKET_LATENCY} to a beat that uses its \
             buckets, {OUT_LATENCY} to its outputs, {CODE_LATENCY} to its code, {PLACE_LATENCY} to what \
             is captured or inserted. From an output's select to out_value_o: 1.{update}"
        ),
        throughput: format!("A column every {beats} clocks."),
        layout: format!(
            "A beat holds {chunk} centroids or exact sub-vectors, or {lanes} codes of {} bits, as many \
             in each word of {WORD_BITS} bits, the lowest first. Slices of a codebook follow one \
             another; a block of tokens is a column for each slice. The place is {place}.",
            p.code_bits()
        ),
        preconditions: format!(
            "Columns at least {beats} clocks apart. A stream starts behind the last beat of the one \
             before, at the latest with its first column, and its mode is held until its last beat. \
             Codes are below {}; prob_i is there in the clock in which its beat enters.",
            p.k
        ),
    }
}

/// Whether a shape's unit does something in a mode.
fn built(p: &AttentionShape, mode: AttentionMode) -> bool {
    match mode {
        AttentionMode::ExactScores | AttentionMode::ExactValues | AttentionMode::InsertToken => {
            p.has_exact()
        }
        AttentionMode::Capture => p.captures(),
        AttentionMode::Take => p.takes(),
        AttentionMode::Normalise => false,
        _ => true,
    }
}
