//! The unit against plain integers: whole attentions, one after the other, with scores and columns as
//! close to each other as the scheduler may put them, and further apart.

use super::*;
use crate::attention::{AttentionMode, AttentionParam, OUT_LATENCY, SCORE_LATENCY};
use crate::shape::{choice_bits, BankShape, StreamMode};
use crate::testing::{channel, exp2_neg, log2, reciprocal, softmax, stated, Rng};
use std::collections::BTreeMap;

/// The channel around a shape.
fn around(shape: &AttentionShape, beats: u32, beat_bits: u32) -> ChannelShape {
    let bank = BankShape {
        attention: Some(shape.clone()),
        lookups: vec![],
        gated: None,
        blocks: None,
        mac: None,
        byte_words: 0,
        result_bits: 16,
    };
    let modes = bank.modes().len() as u32;
    let mut channel = channel(bank);
    channel.isa.mode_bits = choice_bits(modes);
    ChannelShape { banks: shape.members * shape.groups, beats, beat_bits, ..channel }
}

/// What an attention is about: the cache, who sees what, and how the scores lie.
#[derive(Clone, Debug)]
struct Step {
    length: u32,
    limits: Vec<u32>,
    scores: Scores,
    /// Clocks between columns beyond the fewest.
    gaps: u64,
}

#[derive(Clone, Copy, Debug)]
enum Scores {
    /// Of so many bits.
    Random(u32),
    Equal,
    OneAbove,
    Least,
    Extremes,
}

/// The unit, its surroundings, and what is to come out of it, by clock.
struct Bench {
    shape: AttentionShape,
    channel: ChannelShape,
    uut: Inst<SoftmaxUnit>,
    rng: Rng,
    now: u64,
    modes: Vec<StreamMode>,
    probs: BTreeMap<u64, Vec<i128>>,
    values: BTreeMap<u64, i128>,
    /// What the banks hold: by bank, row, slice, element.
    outputs: Vec<i128>,
    selected: usize,
    checked: usize,
}

impl Bench {
    /// `beyond` is what the shape asks that only the units of the banks do not do.
    fn new(shape: &AttentionShape, beats: u32, beat_bits: u32, beyond: &[&str]) -> Self {
        let channel = around(shape, beats, beat_bits);
        assert_eq!(
            shape.faults(&ChannelShape { read_latency: PROB_AHEAD, ..channel.clone() }),
            beyond
        );
        let modes = channel.bank.modes();
        let outputs = (channel.banks * shape.rows() * shape.slices * shape.sub) as usize;
        Bench {
            shape: shape.clone(),
            uut: Inst::new(SoftmaxUnit::new(shape, &channel)),
            channel,
            rng: Rng::new(u64::from(shape.dim + 1000 * shape.groups + beats)),
            now: 0,
            modes,
            probs: BTreeMap::new(),
            values: BTreeMap::new(),
            outputs: vec![0; outputs],
            selected: 0,
            checked: 0,
        }
    }

    /// A clock: what is on the ports is checked first.
    fn clock(&mut self) {
        let part = (self.shape.rows() * self.shape.slices * self.shape.sub) as usize;
        for (b, wire) in self.uut.out_value.iter_mut().enumerate() {
            wire.set(self.outputs[b * part + self.selected]);
        }
        settle(&mut self.uut);
        let probs: Vec<i128> = self.uut.prob.iter().map(|p| p.get()).collect();
        match self.probs.remove(&self.now) {
            Some(want) => {
                assert_eq!(probs, want, "clock {} of {:?}", self.now, self.shape);
                self.checked += 1;
            }
            None => assert!(probs.iter().all(|p| *p == 0), "no beat in clock {}", self.now),
        }
        let value = self.uut.value_valid.val().then(|| self.uut.value.get());
        assert_eq!(value, self.values.remove(&self.now), "clock {} of {:?}", self.now, self.shape);
        let select = |x: i128| x as usize;
        let (row, slice, element) =
            (self.uut.out_row.get(), self.uut.out_slice.get(), self.uut.out_element.get());
        let (slices, sub) = (self.shape.slices as usize, self.shape.sub as usize);
        self.selected = (select(row) * slices + select(slice)) * sub + select(element);
        clock(&mut self.uut);
        self.uut.stream_start.next = false;
        self.uut.col_soon.next = false;
        self.uut.score_valid.next = false;
        self.uut.param_we.next = false;
        self.now += 1;
    }

    fn clocks(&mut self, count: u64) {
        for _ in 0..count {
            self.clock();
        }
    }

    fn start(&mut self, mode: AttentionMode) {
        let number = self.modes.iter().position(|m| *m == StreamMode::Attention(mode)).unwrap();
        self.uut.mode.set(number as i128);
        self.uut.stream_start.next = true;
        self.clock();
    }

    fn param(&mut self, param: AttentionParam, value: u32) {
        self.uut.param_we.next = true;
        self.uut.param_index.set(param.index().into());
        self.uut.param_value.set(value.into());
        self.clock();
        // What is not written is not taken.
        self.uut.param_value.set(12345);
    }

    /// Lanes of a beat, of the ports and of its kind.
    fn lanes(&self, exact: bool) -> (u32, u32) {
        let bits = self.channel.beat_bits;
        let lanes = if exact { self.shape.chunk(bits) } else { self.shape.lanes(bits) };
        (self.shape.score_lanes(bits), lanes)
    }

    /// The position of the token in a lane, if there is one.
    fn position(&self, exact: bool, place: i128, length: i128) -> Option<i128> {
        let p = &self.shape;
        let (sink, recent) = (i128::from(p.sink), i128::from(p.recent));
        if !exact {
            return (place < (length - sink - recent).max(0)).then_some(sink + place);
        }
        if place < sink {
            return (place < length).then_some(place);
        }
        let i = place - sink;
        if i >= recent {
            return None;
        }
        let ring = if length < sink { 0 } else { (length - sink) % recent };
        let position = if i >= ring { length - recent + i - ring } else { length - ring + i };
        (position >= sink && position < length).then_some(position)
    }

    /// The parts of the scores of a beat, by bank, lane and row.
    fn parts(&mut self, scores: Scores, exact: bool, first: bool) -> Vec<i128> {
        let p = self.shape.clone();
        let (ports, lanes) = self.lanes(exact);
        let most = 16384 * i128::from(p.sub * p.slices);
        let least = -16256 * i128::from(p.sub * p.slices);
        let mut parts = vec![];
        for bank in 0..self.channel.banks {
            for lane in 0..ports {
                for row in 0..p.rows() {
                    let above = first && lane == row % lanes && bank < p.members;
                    let x = match scores {
                        Scores::Random(bits) => {
                            (self.rng.next() as i128 & ((1 << bits) - 1)) - (1 << (bits - 1))
                        }
                        Scores::Equal => -77,
                        Scores::OneAbove => {
                            if above {
                                most
                            } else {
                                -most / 3
                            }
                        }
                        Scores::Least => least,
                        Scores::Extremes => {
                            if self.rng.below(2) == 0 {
                                most
                            } else {
                                least
                            }
                        }
                    };
                    parts.push(if lane < lanes { x.clamp(least, most) } else { 0 });
                }
            }
        }
        parts
    }

    /// The scores of a beat: of every token group, lane and row, with what is not visible left out.
    fn scores_of(&self, step: &Step, exact: bool, beat: u32, parts: &[i128]) -> Vec<Option<i128>> {
        let p = &self.shape;
        let (ports, lanes) = self.lanes(exact);
        let (rows, beats) = (p.rows(), self.channel.beats);
        let mut scores = vec![];
        for group in 0..p.groups {
            for lane in 0..ports {
                let (block, beat) = (beat / beats, beat % beats);
                let place =
                    block * lanes * beats * p.groups + group * lanes * beats + beat * lanes + lane;
                let position = self.position(exact, place.into(), step.length.into());
                let position = position.filter(|_| lane < lanes);
                for row in 0..rows {
                    let limit = step.limits[(row / p.query_heads) as usize].min(step.length);
                    let sum: i128 = (0..p.members)
                        .map(|m| ((group * p.members + m) * ports + lane) * rows + row)
                        .map(|at| parts[at as usize])
                        .sum();
                    scores.push(position.filter(|x| *x < limit.into()).map(|_| sum));
                }
            }
        }
        scores
    }

    /// One attention.
    fn attend(&mut self, step: &Step) {
        let p = self.shape.clone();
        let beats = self.channel.beats;
        let compressed = step.length.saturating_sub(p.exact_places());
        let ring = if step.length < p.sink || p.recent == 0 {
            0
        } else {
            (step.length - p.sink) % p.recent
        };
        self.param(AttentionParam::Compressed, compressed);
        self.param(AttentionParam::Length, step.length);
        self.param(AttentionParam::Ring, ring);
        self.param(AttentionParam::Place, 0x20304);
        for (q, limit) in step.limits.iter().enumerate() {
            self.param(AttentionParam::Limit(q as u32), *limit);
        }
        self.start(AttentionMode::Table);

        // Scores. Those of the last stream are still on their way when the next begins.
        let mut kinds = vec![];
        if p.exact_places() > 0 {
            kinds.push((true, p.exact_blocks(&self.channel)));
        }
        if compressed > 0 {
            kinds.push((false, compressed.div_ceil(p.code_block(&self.channel))));
        }
        let rows = p.rows() as usize;
        let mut scores: Vec<(bool, Vec<Vec<Option<i128>>>)> = vec![];
        let last_kind = kinds.last().map(|k| k.0);
        for (exact, blocks) in &kinds {
            let mode = if *exact { AttentionMode::ExactScores } else { AttentionMode::Scores };
            let next = (last_kind != Some(*exact)).then_some(AttentionMode::Scores);
            if scores.is_empty() {
                self.start(mode);
            }
            // From its start to the scores of its first beat.
            self.clocks(u64::from(PROB_AHEAD + 1 + SCORE_LATENCY));
            let mut of_kind = vec![];
            for beat in 0..blocks * beats {
                // None once the next stream has begun.
                let begun = next.is_some() && beat + SCORE_LATENCY >= blocks * beats;
                if beat % beats == 0 && step.gaps > 0 && !begun {
                    let gap = self.rng.below(step.gaps);
                    self.clocks(gap);
                }
                let parts = self.parts(step.scores, *exact, beat == 0);
                of_kind.push(self.scores_of(step, *exact, beat, &parts));
                self.uut.score_valid.next = true;
                parts.iter().zip(&mut self.uut.score).for_each(|(x, wire)| wire.set(*x));
                match next.filter(|_| beat + 1 + SCORE_LATENCY == blocks * beats) {
                    Some(next) => self.start(next),
                    None => self.clock(),
                }
            }
            if let Some(next) = next.filter(|_| blocks * beats <= SCORE_LATENCY) {
                self.start(next);
            }
            scores.push((*exact, of_kind));
        }
        let largest: Vec<Option<i128>> = (0..rows)
            .map(|r| {
                scores
                    .iter()
                    .flat_map(|k| &k.1)
                    .flat_map(|b| b.iter().skip(r).step_by(rows))
                    .copied()
                    .flatten()
                    .max()
            })
            .collect();

        // Values, as soon as the largest scores are there.
        self.clocks(u64::from(MAX_LATENCY - 1));
        let half = if p.shift > 0 { 1i128 << (p.shift - 1) } else { 0 };
        let mut sums = vec![0i128; rows];
        let mut group_sums = vec![0i128; rows * p.groups as usize];
        for (exact, of_kind) in &scores {
            self.start(if *exact { AttentionMode::ExactValues } else { AttentionMode::Buckets });
            for block in of_kind.chunks(beats as usize) {
                for slice in 0..p.slices {
                    if step.gaps > 0 {
                        let gap = self.rng.below(step.gaps);
                        self.clocks(gap);
                    }
                    for (q, beat) in block.iter().enumerate() {
                        let probs: Vec<i128> = beat
                            .iter()
                            .enumerate()
                            .map(|(at, score)| {
                                let below = score.zip(largest[at % rows]).map(|(s, m)| m - s);
                                below.map_or(0, |d| {
                                    exp2_neg((d * i128::from(p.mul) + half) >> p.shift)
                                })
                            })
                            .collect();
                        if slice == 0 {
                            let per_group = beat.len() / p.groups as usize;
                            for (at, prob) in probs.iter().enumerate() {
                                sums[at % rows] += prob;
                                group_sums[at / per_group * rows + at % rows] += prob;
                            }
                        }
                        self.probs.insert(self.now + u64::from(PROB_AHEAD + 1) + q as u64, probs);
                    }
                    self.uut.col_soon.next = true;
                    self.clocks(beats.into());
                }
            }
            // The last of the beats enters, and then the next stream may begin.
            self.clocks(u64::from(PROB_AHEAD + 1));
        }

        // Results, as soon as the outputs are there.
        let part = (p.slices * p.sub) as usize;
        for (at, output) in self.outputs.iter_mut().enumerate() {
            let (row, group) = (at / part % rows, at / part / rows / p.members as usize);
            let sum = group_sums[group * rows + row];
            let value = match self.rng.below(4) {
                0 => -128,
                1 => 127,
                _ => self.rng.below(256) as i128 - 128,
            };
            *output = sum * value;
        }
        self.clocks(u64::from(OUT_LATENCY - 1));
        let first = self.now + u64::from(NORMALISE_LATENCY);
        for (row, &sum) in sums.iter().enumerate() {
            for d in 0..p.dim as usize {
                let (member, within) = (d / part, d % part);
                let o: i128 = (0..p.groups as usize)
                    .map(|g| ((g * p.members as usize + member) * rows + row) * part + within)
                    .map(|at| self.outputs[at])
                    .sum();
                let limit = 1i128 << (p.result_bits - 1);
                let value = if sum == 0 {
                    0
                } else {
                    let (r, e) = reciprocal(sum);
                    let s = 16 + e - p.frac;
                    ((o * r + (1 << (s - 1))) >> s).clamp(-limit, limit - 1)
                };
                self.values.insert(first + (row * p.row_results() as usize + d) as u64, value);
            }
            if p.state() {
                let octaves = |m: i128| (m * i128::from(p.mul) + half) >> p.shift;
                let lse = largest[row].map_or(-(1 << 31), |m| octaves(m) + log2(sum));
                self.values.insert(first + ((row + 1) * p.row_results() as usize - 1) as u64, lse);
            }
        }
        self.start(AttentionMode::Normalise);
        self.clocks(u64::from(NORMALISE_LATENCY + p.rows() * p.row_results()));
        assert!(self.probs.is_empty() && self.values.is_empty(), "all was checked");
    }

    /// Attentions of every kind of scores, and caches from empty to full.
    fn run(&mut self) {
        let p = self.shape.clone();
        let (sink, exact, most) = (p.sink, p.exact_places(), p.tokens);
        let lengths = [
            0,
            1,
            sink,
            sink + 1,
            exact.saturating_sub(1),
            exact,
            exact + 1,
            exact + 5,
            most / 2,
            most - 1,
            most,
        ];
        let all = [
            Scores::Random(14),
            Scores::Equal,
            Scores::OneAbove,
            Scores::Least,
            Scores::Extremes,
            Scores::Random(9),
        ];
        for (at, length) in lengths.into_iter().filter(|n| *n <= most).enumerate() {
            for (k, scores) in all.into_iter().enumerate() {
                // Six of each are more than the slow shapes need.
                if at > 2 && (at + k) % 2 == 1 {
                    continue;
                }
                let limits = (0..p.queries)
                    .map(|q| match (at + k + q as usize) % 4 {
                        0 => length,
                        1 => length.saturating_sub(q),
                        2 => self.rng.below(u64::from(length) + 1) as u32,
                        _ => {
                            if k == 1 {
                                0
                            } else {
                                length
                            }
                        }
                    })
                    .collect();
                let gaps = [0, 3, 9][(at + k) % 3];
                self.attend(&Step { length, limits, scores, gaps });
            }
        }
        assert!(self.checked > 0);
    }
}

fn check(shape: &AttentionShape, beats: u32, beat_bits: u32) {
    Bench::new(shape, beats, beat_bits, &[]).run();
}

#[test]
fn one_group_of_two_members() {
    check(&softmax(2, 1, 1), 4, 64);
}

#[test]
fn two_slices_in_two_groups_of_one_member() {
    let shape = AttentionShape { queries: 2, k: 512, sink: 0, ..softmax(1, 2, 2) };
    check(&shape, 4, 64);
}

#[test]
fn eight_members_and_four_rows() {
    let shape =
        AttentionShape { dim: 16, sub: 2, k: 16, queries: 2, query_heads: 2, ..softmax(8, 1, 1) };
    check(&shape, 2, 64);
}

#[test]
fn four_groups_and_eight_rows_without_recent_tokens() {
    let shape = AttentionShape {
        dim: 16,
        sub: 8,
        k: 64,
        queries: 4,
        query_heads: 2,
        recent: 0,
        ..softmax(2, 1, 4)
    };
    check(&shape, 3, 64);
}

#[test]
fn more_places_in_a_beat_than_codes() {
    let shape = AttentionShape { dim: 1, sub: 1, k: 512, recent: 21, ..softmax(1, 1, 2) };
    assert!(shape.chunk(64) > shape.lanes(64));
    Bench::new(&shape, 4, 64, &["a beat has no more sub-vectors than codes"]).run();
}

#[test]
fn nothing_is_exact() {
    let shape = AttentionShape { sink: 0, recent: 0, queries: 2, ..softmax(2, 2, 1) };
    check(&shape, 4, 64);
}

#[test]
fn wide_beats_and_eight_heads() {
    let shape =
        AttentionShape { k: 512, query_heads: 8, recent: 30, tokens: 500, ..softmax(4, 2, 2) };
    check(&shape, 2, 128);
}

#[test]
fn columns_of_one_beat() {
    let shape = AttentionShape { queries: 2, recent: 17, sink: 3, ..softmax(2, 2, 4) };
    let beyond = "a column has two beats where a bank holds several sub-vectors of a token";
    Bench::new(&shape, 1, 64, &[beyond]).run();
    check(&AttentionShape { dim: 4, groups: 1, members: 1, slices: 1, ..shape }, 1, 64);
}

#[test]
fn everything_is_exact() {
    let shape = AttentionShape { sink: 10, recent: 30, tokens: 40, ..softmax(2, 1, 2) };
    check(&shape, 4, 64);
}

#[test]
fn log_sum_exps_behind_the_rows() {
    check(&stated(softmax(2, 1, 2)), 4, 64);
    let heads = AttentionShape { queries: 2, query_heads: 2, ..softmax(2, 2, 1) };
    check(&stated(heads), 2, 64);
    check(&stated(AttentionShape { dim: 1, sub: 1, k: 16, ..softmax(1, 1, 1) }), 4, 64);
    check(&stated(AttentionShape { mul: 3, shift: 0, query_heads: 3, ..softmax(2, 1, 1) }), 4, 64);
}

#[test]
fn extremes_of_the_scale_and_of_results() {
    for (mul, shift, frac, result_bits) in [
        (65535, 0, 8, 32),
        (1, 31, 0, 2),
        (1, 0, 8, 8),
        (65535, 31, 4, 12),
        (40000, 20, 3, 1),
        (3, 2, 0, 8),
    ] {
        let shape = AttentionShape { mul, shift, frac, result_bits, ..softmax(2, 1, 2) };
        check(&shape, 2, 64);
    }
}

/// Every channel there may be: the constants hold, and one clock less would not do.
#[test]
fn trees_are_in_time() {
    let mut most = 0;
    for (members, groups) in (0..11).flat_map(|m| (0..11 - m).map(move |g| (1 << m, 1 << g))) {
        for (k, beat_bits) in [(2, 128), (4, 64), (16, 128), (256, 64), (512, 64), (65536, 64)] {
            let shape = AttentionShape { k, ..softmax(members, 1, groups) };
            let channel = around(&softmax(members, 1, groups), 4, beat_bits);
            let levels = levels(&shape, &channel);
            let lanes = groups * shape.score_lanes(beat_bits);
            let plan = TreePlan::new(lanes, levels);
            let largest = SoftmaxScores::latency(&shape, levels) + SoftmaxMax::latency(plan);
            assert!(levels < 5 && largest <= MAX_LATENCY, "{members} {groups} {k}: {largest}");
            // From the last beat of values to the first result's sum being looked at.
            let sum = OUT_LATENCY + NORMALISE_LATENCY - crate::softmax_normalise::RESULT_CLOCKS;
            assert!(SoftmaxSum::latency(plan) <= sum, "{members} {groups} {k}");
            most = most.max(largest);
            assert!(members * lanes > 1024 || levels == 2, "{members} {groups} {k}: {levels}");
        }
    }
    assert_eq!(most, MAX_LATENCY);
}

#[test]
fn many_tokens() {
    let shape = AttentionShape { tokens: 20_000, recent: 64, ..softmax(2, 1, 1) };
    let mut bench = Bench::new(&shape, 4, 64, &[]);
    for (scores, length) in
        [(Scores::Equal, 20_000), (Scores::Random(11), 19_999), (Scores::Least, 4097)]
    {
        bench.attend(&Step { length, limits: vec![length], scores, gaps: 0 });
    }
}
