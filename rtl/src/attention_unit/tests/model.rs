//! What the streams mean, in plain integers: caches, queries, and the columns that hold them.

use super::bench::{Column, Place};
use crate::attention::AttentionShape;
use crate::shape::ChannelShape;
use crate::testing::Rng;

/// What the bytes, codes and weights are.
#[derive(Clone, Copy, PartialEq)]
pub enum Data {
    Random,
    /// Bytes of -128, one code, the largest weights.
    Lowest,
    /// The same with bytes of 127.
    Highest,
    /// Random bytes and weights, one code.
    OneCode,
    /// Bytes of two values.
    Few,
}

/// A codebook: `[slice][centroid]`.
pub type Book = Vec<Vec<Vec<i8>>>;

/// Slices of one member, in every token group.
pub struct Model {
    pub p: AttentionShape,
    pub lanes: usize,
    pub chunk: usize,
    pub beats: usize,
    words: usize,
    blocks: usize,
    pub data: Data,
    pub code: u64,
    /// `[row][slice]`.
    pub query: Vec<Vec<Vec<i8>>>,
    pub keys: Book,
    pub values: Book,
    /// `[group][lane][slice][centroid][row]`.
    buckets: Vec<Vec<Vec<Vec<Vec<i64>>>>>,
    /// `[group][row][slice][element]`.
    pub outputs: Vec<Vec<Vec<Vec<i64>>>>,
    /// The token that is encoded: `[slice]`.
    pub x: Vec<Vec<i8>>,
}

fn dot(a: &[i8], b: &[i8]) -> i64 {
    a.iter().zip(b).map(|(a, b)| i64::from(*a) * i64::from(*b)).sum()
}

/// Fields of a beat, as many in each of its words of 64 bits; `rest` where there is none.
fn beat_of(fields: &[u64], bits: usize, words: usize, rest: u128) -> u128 {
    let in_word = fields.len() / words;
    fields.iter().enumerate().fold(rest, |beat, (i, field)| {
        let at = i / in_word * 64 + i % in_word * bits;
        let mask = (u128::MAX >> (128 - bits)) << at;
        beat & !mask | u128::from(*field) << at
    })
}

pub fn bytes_of(vectors: &[Vec<i8>]) -> u128 {
    let bytes = vectors.concat();
    bytes.iter().rev().fold(0, |beat, byte| beat << 8 | u128::from(*byte as u8))
}

impl Model {
    pub fn new(channel: &ChannelShape, data: Data, rng: &mut Rng) -> Model {
        let p = channel.bank.attention.clone().unwrap();
        let mut model = Model {
            lanes: p.lanes(channel.beat_bits) as usize,
            chunk: p.chunk(channel.beat_bits) as usize,
            beats: channel.beats as usize,
            words: channel.beat_bits as usize / 64,
            blocks: p.code_blocks(channel) as usize,
            data,
            code: 0,
            query: vec![],
            keys: vec![],
            values: vec![],
            buckets: vec![],
            outputs: vec![],
            x: vec![vec![0; p.sub as usize]; p.slices as usize],
            p,
        };
        model.renew(data, rng);
        model
    }

    /// Other queries and codebooks.
    pub fn renew(&mut self, data: Data, rng: &mut Rng) {
        self.code = rng.below(self.p.k.into());
        let (rows, slices, k) = (self.p.rows(), self.p.slices, self.p.k);
        self.data = data;
        let mut vectors = |n: u32| -> Vec<Vec<i8>> { (0..n).map(|_| self.vector(rng)).collect() };
        let query = (0..rows).map(|_| vectors(slices)).collect();
        let mut book = || (0..slices).map(|_| vectors(k)).collect();
        let (keys, values) = (book(), book());
        (self.query, self.keys, self.values) = (query, keys, values);
        self.clear();
    }

    fn vector(&self, rng: &mut Rng) -> Vec<i8> {
        let byte = |rng: &mut Rng| match self.data {
            Data::Lowest => -128,
            Data::Highest => 127,
            Data::Few => [-128, 127][rng.below(2) as usize],
            _ if rng.below(8) == 0 => -128,
            _ => rng.below(256) as u8 as i8,
        };
        (0..self.p.sub).map(|_| byte(rng)).collect()
    }

    fn one_code(&self, rng: &mut Rng) -> u64 {
        match self.data {
            Data::OneCode | Data::Lowest | Data::Highest => self.code,
            _ => rng.below(self.p.k.into()),
        }
    }

    fn weight(&self, rng: &mut Rng) -> i64 {
        match self.data {
            Data::Lowest | Data::Highest => 1 << 15,
            _ if rng.below(4) == 0 => 1 << 15,
            _ => rng.below(1 << 15) as i64,
        }
    }

    fn column(&self, first: bool, last: bool, beats: Vec<Vec<u128>>) -> Column {
        Column { first, last, beats, prob: vec![] }
    }

    /// What a table stream clears.
    pub fn clear(&mut self) {
        let (groups, rows) = (self.p.groups as usize, self.p.rows() as usize);
        let (slices, k, sub) = (self.p.slices as usize, self.p.k as usize, self.p.sub as usize);
        self.buckets = vec![vec![vec![vec![vec![0; rows]; k]; slices]; self.lanes]; groups];
        self.outputs = vec![vec![vec![vec![0; sub]; slices]; rows]; groups];
    }

    /// The columns of a codebook, the same in every group. Where its last beat is not full there is
    /// the token that is encoded: nothing would be nearer.
    pub fn codebook(&self, book: &Book) -> Vec<Column> {
        let mut columns = vec![];
        for (centroids, x) in book.iter().zip(&self.x) {
            let beat = |c: &[Vec<i8>]| {
                let mut c = c.to_vec();
                c.resize(self.chunk, x.clone());
                bytes_of(&c)
            };
            let beats: Vec<u128> = centroids.chunks(self.chunk).map(beat).collect();
            let count = beats.len().div_ceil(self.beats);
            for (at, beats) in beats.chunks(self.beats).enumerate() {
                let beats = vec![beats.to_vec(); self.groups()];
                columns.push(self.column(at == 0, at + 1 == count, beats));
            }
        }
        columns
    }

    pub fn groups(&self) -> usize {
        self.p.groups as usize
    }

    pub fn slices(&self) -> usize {
        self.p.slices as usize
    }

    fn rows(&self) -> usize {
        self.p.rows() as usize
    }

    /// A column for each slice of a block; `beat(group, slice, beat)` makes its beats.
    pub fn block(&self, mut beat: impl FnMut(usize, usize, usize) -> u128) -> Vec<Column> {
        let column = |s| {
            let of = |g| (0..self.beats).map(|b| beat(g, s, b)).collect();
            self.column(s == 0, s + 1 == self.slices(), (0..self.groups()).map(of).collect())
        };
        (0..self.slices()).map(column).collect()
    }

    /// Codes of a block: `[group][beat][slice][lane]`.
    fn codes(&self, rng: &mut Rng) -> Vec<Vec<Vec<Vec<u64>>>> {
        let lanes = |rng: &mut Rng| (0..self.lanes).map(|_| self.one_code(rng)).collect();
        let slices = |rng: &mut Rng| (0..self.slices()).map(|_| lanes(rng)).collect();
        let beats = |rng: &mut Rng| (0..self.beats).map(|_| slices(rng)).collect();
        (0..self.groups()).map(|_| beats(rng)).collect()
    }

    fn code_beat(&self, codes: &[u64], rng: &mut Rng) -> u128 {
        let rest = u128::from(rng.next()) << 64 | u128::from(rng.next());
        let rest = rest & (u128::MAX >> (128 - 64 * self.words));
        beat_of(codes, self.p.code_bits() as usize, self.words, rest)
    }

    /// Exact sub-vectors of a block: `[group][beat][slice][lane]`.
    pub fn exact(&self, rng: &mut Rng) -> Vec<Vec<Vec<Vec<Vec<i8>>>>> {
        let lanes = |rng: &mut Rng| (0..self.chunk).map(|_| self.vector(rng)).collect();
        let slices = |rng: &mut Rng| (0..self.slices()).map(|_| lanes(rng)).collect();
        let beats = |rng: &mut Rng| (0..self.beats).map(|_| slices(rng)).collect();
        (0..self.groups()).map(|_| beats(rng)).collect()
    }

    /// Scores of the beats of a block: `score(group, beat, lane, row)`.
    fn score_beats(
        &self,
        scores: &mut Vec<Vec<Vec<i64>>>,
        score: impl Fn(usize, usize, usize, usize) -> i64,
    ) {
        for b in 0..self.beats {
            let of = |g| {
                let lane = |l| (0..self.rows()).map(move |r| (l, r));
                (0..self.lanes).flat_map(lane).map(|(l, r)| score(g, b, l, r)).collect()
            };
            scores.push((0..self.groups()).map(of).collect());
        }
    }

    /// Blocks of exact keys, and their scores.
    pub fn exact_scores(&self, rng: &mut Rng, scores: &mut Vec<Vec<Vec<i64>>>) -> Vec<Column> {
        let mut columns = vec![];
        for _ in 0..2 {
            let keys = self.exact(rng);
            columns.extend(self.block(|g, s, b| bytes_of(&keys[g][b][s])));
            self.score_beats(scores, |g, b, l, r| {
                let part = |s: usize| dot(&keys[g][b][s][l], &self.query[r][s]);
                if l < self.chunk {
                    (0..self.slices()).map(part).sum()
                } else {
                    0
                }
            });
        }
        columns
    }

    /// Blocks of key codes, and their scores.
    pub fn scores(&self, rng: &mut Rng, scores: &mut Vec<Vec<Vec<i64>>>) -> Vec<Column> {
        let mut columns = vec![];
        for _ in 0..3 {
            let codes = self.codes(rng);
            columns.extend(self.block(|g, s, b| self.code_beat(&codes[g][b][s], rng)));
            self.score_beats(scores, |g, b, l, r| {
                let part =
                    |s: usize| dot(&self.keys[s][codes[g][b][s][l] as usize], &self.query[r][s]);
                (0..self.slices()).map(part).sum()
            });
        }
        columns
    }

    /// Weights of a beat: of `width` lanes from place `first` those below `count`, random of others.
    fn weights(&self, width: usize, first: usize, count: usize, rng: &mut Rng) -> Vec<i64> {
        let mut weights = vec![];
        for l in 0..self.lanes {
            for _ in 0..self.rows() {
                let there = l >= width || first + l < count;
                weights.push(if there { self.weight(rng) } else { 0 });
            }
        }
        weights
    }

    /// Gives the columns of a block the weights of its beats, the same for every slice.
    fn weigh(
        &self,
        columns: &mut [Column],
        (width, block, count): (usize, usize, usize),
        rng: &mut Rng,
    ) -> Vec<Vec<Vec<i64>>> {
        let first = |g: usize, b: usize| ((block * self.groups() + g) * self.beats + b) * width;
        let prob: Vec<Vec<Vec<i64>>> = (0..self.groups())
            .map(|g| {
                let beat = |b| self.weights(width, first(g, b), count, rng);
                (0..self.beats).map(beat).collect()
            })
            .collect();
        for column in columns {
            column.prob = prob.clone();
        }
        prob
    }

    /// Value codes of as many tokens as there may be.
    pub fn buckets(&mut self, rng: &mut Rng) -> Vec<Column> {
        let mut columns = vec![];
        let count = (self.p.tokens - self.p.exact_places()) as usize;
        for block in 0..self.blocks {
            let codes = self.codes(rng);
            let mut of_block = self.block(|g, s, b| self.code_beat(&codes[g][b][s], rng));
            let prob = self.weigh(&mut of_block, (self.lanes, block, count), rng);
            for (g, b, s) in self.places() {
                for l in 0..self.lanes {
                    for r in 0..self.rows() {
                        let code = codes[g][b][s][l] as usize;
                        self.buckets[g][l][s][code][r] += prob[g][b][l * self.rows() + r];
                    }
                }
            }
            columns.extend(of_block);
        }
        columns
    }

    /// Every group, beat and slice.
    fn places(&self) -> Vec<(usize, usize, usize)> {
        let (beats, slices) = (self.beats, self.slices());
        let of = |g| (0..beats).flat_map(move |b| (0..slices).map(move |s| (g, b, s)));
        (0..self.groups()).flat_map(of).collect()
    }

    /// Buckets times the value codebook into the outputs.
    pub fn combine(&mut self) {
        for (out, lanes) in self.outputs.iter_mut().zip(&self.buckets) {
            for (r, row) in out.iter_mut().enumerate() {
                for (s, slice) in row.iter_mut().enumerate() {
                    for (c, centroid) in self.values[s].iter().enumerate() {
                        let weight: i64 = lanes.iter().map(|lane| lane[s][c][r]).sum();
                        for (out, x) in slice.iter_mut().zip(centroid) {
                            *out += weight * i64::from(*x);
                        }
                    }
                }
            }
        }
    }

    /// Exact values of every place, added to the outputs.
    pub fn exact_values(&mut self, rng: &mut Rng) -> Vec<Column> {
        let mut columns = vec![];
        let count = self.p.exact_places() as usize;
        let in_block = self.chunk * self.beats * self.groups();
        for block in 0..count.div_ceil(in_block) {
            let values = self.exact(rng);
            let mut of_block = self.block(|g, s, b| bytes_of(&values[g][b][s]));
            let prob = self.weigh(&mut of_block, (self.chunk, block, count), rng);
            for (g, b, s) in self.places() {
                for (l, value) in values[g][b][s].iter().enumerate() {
                    for r in 0..self.rows() {
                        let weight = prob[g][b][l * self.rows() + r];
                        for (out, x) in self.outputs[g][r][s].iter_mut().zip(value) {
                            *out += weight * i64::from(*x);
                        }
                    }
                }
            }
            columns.extend(of_block);
        }
        columns
    }

    /// A place of a block whose beats have so many lanes.
    pub fn place(&self, lanes: usize, rng: &mut Rng) -> Place {
        let mut below = |n: usize| rng.below(n as u64) as usize;
        let edge = [0, lanes - 1, below(lanes)];
        Place { lane: edge[below(3)], beat: below(self.beats), group: below(self.groups()) }
    }

    /// A block of exact tokens, out of which the one at the place is taken.
    pub fn capture(&mut self, at: Place, rng: &mut Rng) -> Vec<Column> {
        let tokens = self.exact(rng);
        let of_slice = |s: usize| tokens[at.group][at.beat][s][at.lane].clone();
        self.x = (0..self.slices()).map(of_slice).collect();
        self.block(|g, s, b| bytes_of(&tokens[g][b][s]))
    }

    /// The new token is the one that is encoded.
    pub fn take(&mut self) {
        self.x = self.query[0].clone();
    }

    /// The code of the nearest value centroid in each slice.
    pub fn encode(&self) -> Vec<u64> {
        self.nearest(&self.x)
    }

    /// The code of the value centroid nearest to a token's sub-vector in each slice.
    pub fn nearest(&self, token: &[Vec<i8>]) -> Vec<u64> {
        let square = |a: &i8, b: &i8| (i64::from(*a) - i64::from(*b)).pow(2);
        let nearest = |(x, book): (&Vec<i8>, &Vec<Vec<i8>>)| {
            let distance =
                |c: &Vec<i8>| -> i64 { c.iter().zip(x).map(|(a, b)| square(a, b)).sum() };
            // The first of several.
            (0..book.len()).min_by_key(|c| distance(&book[*c])).unwrap() as u64
        };
        token.iter().zip(&self.values).map(nearest).collect()
    }

    /// A column of codes, and what it is with the code at the place: `[group][beat]`.
    pub fn insert_code(&self, at: Place, code: u64, rng: &mut Rng) -> (Column, Vec<Vec<u128>>) {
        let mut codes = self.codes(rng);
        let rest = rng.next();
        let beat = |codes: &[u64]| self.code_beat(codes, &mut Rng::new(rest));
        let column = self.block(|g, _, b| beat(&codes[g][b][0])).swap_remove(0);
        codes[at.group][at.beat][0][at.lane] = code;
        (column, self.block(|g, _, b| beat(&codes[g][b][0])).swap_remove(0).beats)
    }

    /// A column of exact tokens, and what it is with slice `s` of the new one at the place.
    pub fn insert_token(&self, at: Place, s: usize, rng: &mut Rng) -> (Column, Vec<Vec<u128>>) {
        let mut tokens = self.exact(rng);
        let column = self.block(|g, _, b| bytes_of(&tokens[g][b][0])).swap_remove(0);
        tokens[at.group][at.beat][0][at.lane] = self.query[0][s].clone();
        (column, self.block(|g, _, b| bytes_of(&tokens[g][b][0])).swap_remove(0).beats)
    }
}
