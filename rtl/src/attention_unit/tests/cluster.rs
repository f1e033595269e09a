//! Codebooks made of tokens, stream by stream, against plain integers.

use super::bench::{Bench, Column, Place};
use super::model::{bytes_of, Book, Data, Model};
use super::NEXT;
use crate::attention::{
    AttentionMode, AttentionParam, AttentionShape, CODE_LATENCY, MEAN_CLOCKS, PLACE_LATENCY,
};
use crate::shape::{ChannelShape, MacShape};
use crate::testing::{attention, attention_channel, clustering, Rng};
use crate::timing::{accumulate_clocks, attention_clocks, clear_clocks};

/// A token of a member: its sub-vectors by slice.
type Token = Vec<Vec<i8>>;

/// The units of a member, and what is in them.
struct Cluster {
    bench: Bench,
    model: Model,
    channel: ChannelShape,
    rng: Rng,
    /// What the encoders hold, where that is defined.
    x: Vec<Option<Token>>,
    /// `[slice][centroid]`: the sums of the elements, and of the weights.
    sums: Vec<Vec<(Vec<i64>, i64)>>,
    /// Which mode lets the next codebook pass.
    passes: usize,
}

impl Cluster {
    fn new(channel: &ChannelShape, data: Data, gap: usize, seed: u64) -> Cluster {
        let mut rng = Rng::new(seed);
        let p = channel.bank.attention.clone().unwrap();
        assert!(p.faults(channel).is_empty(), "{:?}", p.faults(channel));
        let member = rng.below(p.members.into()) as u32;
        let bench = Bench::new(channel, member, gap);
        let model = Model::new(channel, data, &mut rng);
        let x = vec![None; p.encoders() as usize];
        let channel = channel.clone();
        Cluster { bench, model, channel, rng, x, sums: vec![], passes: 0 }
    }

    fn p(&self) -> &AttentionShape {
        &self.model.p
    }

    fn encoders(&self) -> usize {
        self.p().encoders() as usize
    }

    fn largest_weight(&self) -> u64 {
        (1 << self.p().cluster.unwrap().weight_bits) - 1
    }

    /// Columns of tokens of which some are taken: from any place one, or from a place of a batch as many
    /// as there are encoders.
    fn capture(&mut self, batch: bool) {
        let (chunk, beats) = (self.model.chunk, self.model.beats);
        let n = if batch { self.encoders() } else { 1 };
        let first = self.rng.below((chunk * beats / n) as u64) as usize * n;
        let group = self.rng.below(self.p().groups.into()) as usize;
        let tokens = self.model.exact(&mut self.rng);
        let of = |place: usize, s: usize| tokens[group][place / chunk][s][place % chunk].clone();
        self.x = vec![None; self.encoders()];
        for (e, x) in self.x.iter_mut().take(n).enumerate() {
            *x = Some((0..self.model.slices()).map(|s| of(first + e, s)).collect());
        }
        self.model.x = self.x[0].clone().unwrap();
        self.bench.place(Place { lane: first % chunk, beat: first / chunk, group });
        let columns = self.model.block(|g, s, b| bytes_of(&tokens[g][b][s]));
        self.bench.stream(AttentionMode::Capture, &columns, NEXT);
    }

    /// A codebook passes, right behind a capture.
    fn encode(&mut self) {
        const MODES: [AttentionMode; 3] =
            [AttentionMode::Encode, AttentionMode::Table, AttentionMode::Combine];
        let columns = self.model.codebook(&self.model.values);
        self.bench.stream(MODES[self.passes % MODES.len()], &columns, PLACE_LATENCY);
        self.passes += 1;
    }

    /// From here on of encoder `e`. The one of a unit that has no other needs no parameter.
    fn choose(&mut self, e: usize) -> Token {
        if self.encoders() > 1 {
            self.bench.param(AttentionParam::Encoder, e as u32);
        }
        self.x[e].clone().unwrap()
    }

    fn clear(&mut self) {
        let p = self.p();
        self.sums = vec![vec![(vec![0; p.sub as usize], 0); p.k as usize]; p.slices as usize];
        self.bench.start(AttentionMode::Clear);
        self.bench.wait(clear_clocks(self.p(), self.channel.beat_bits));
    }

    /// What a token of some weight adds.
    fn note(&mut self, token: &Token, weight: u64) {
        let codes = self.model.nearest(token);
        for ((sums, x), code) in self.sums.iter_mut().zip(token).zip(codes) {
            let (sums, total) = &mut sums[code as usize];
            *total += weight as i64;
            sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += weight as i64 * i64::from(*x));
        }
    }

    /// Adds the token of encoder `e` so many times, each as close behind the other as may be.
    fn accumulate(&mut self, e: usize, weight: u64, times: usize) {
        let token = self.choose(e);
        self.bench.param(AttentionParam::Weight, weight as u32);
        for _ in 0..times {
            self.bench.start(AttentionMode::Accumulate);
            self.bench.wait(accumulate_clocks(self.p()));
            self.note(&token, weight);
        }
    }

    /// The codebook with the means of what was added.
    fn means(&self) -> Book {
        let mut book = self.model.values.clone();
        for (book, sums) in book.iter_mut().zip(&self.sums) {
            for (c, (sums, total)) in book.iter_mut().zip(sums).filter(|(_, sum)| sum.1 > 0) {
                let mean = |sum: &i64| (2 * sum + total).div_euclid(2 * total);
                *c = sums.iter().map(|sum| i8::try_from(mean(sum)).unwrap()).collect();
            }
        }
        book
    }

    /// Makes the codebook, a column at a time, and looks for each so many clocks before it is due.
    fn update(&mut self, early: u32) {
        let book = self.means();
        let columns = self.model.codebook(&self.model.values);
        let want = self.model.codebook(&book);
        let all = self.model.beats;
        let clocks = attention_clocks(AttentionMode::Update, &self.channel);
        // From the end of what `insert` does, which is behind the last beat that is used.
        let due = clocks - 1 - self.channel.read_latency - all as u32;
        assert_eq!(due, PLACE_LATENCY + MEAN_CLOCKS * (self.model.chunk * all) as u32);
        for (at, (column, want)) in columns.iter().zip(&want).enumerate() {
            self.bench.insert(AttentionMode::Update, at, column);
            self.bench.wait(due + (all - column.beats[0].len()) as u32 - early);
            // Of beats that are not used the bench makes ones.
            let rest = u128::MAX >> (128 - self.channel.beat_bits);
            let whole = |beats: &Vec<u128>| {
                let mut beats = beats.clone();
                beats.resize(all, rest);
                beats
            };
            let want: Vec<Vec<u128>> = want.beats.iter().map(whole).collect();
            self.bench.written(&want, "mean");
        }
        self.model.values = book;
    }

    /// A token becomes a centroid, in every group.
    fn seed(&mut self) {
        self.capture(false);
        let token = self.choose(0);
        let place = self.model.place(self.model.chunk, &mut self.rng);
        self.bench.place(place);
        for (s, x) in token.iter().enumerate() {
            let mut tokens = self.model.exact(&mut self.rng);
            let column = |tokens: &Vec<Vec<Vec<Token>>>| -> Column {
                self.model.block(|g, _, b| bytes_of(&tokens[g][b][s])).swap_remove(0)
            };
            let before = column(&tokens);
            tokens.iter_mut().for_each(|group| group[place.beat][s][place.lane] = x.clone());
            let after = column(&tokens);
            self.bench.insert(AttentionMode::InsertCentroid, s, &before);
            self.bench.wait(PLACE_LATENCY);
            self.bench.written(&after.beats, "centroid");
        }
    }

    /// The codes of all tokens of a batch are put into columns.
    fn fill(&mut self) {
        self.capture(true);
        self.encode();
        self.bench.wait(CODE_LATENCY);
        for e in (0..self.encoders()).rev() {
            let token = self.choose(e);
            let place = self.model.place(self.model.lanes, &mut self.rng);
            self.bench.place(place);
            for (s, code) in self.model.nearest(&token).into_iter().enumerate() {
                let (column, want) = self.model.insert_code(place, code, &mut self.rng);
                self.bench.insert(AttentionMode::InsertCode, s, &column);
                self.bench.wait(PLACE_LATENCY);
                self.bench.written(&want, "code");
            }
        }
    }

    /// A batch of tokens is added, some with no weight, some several times.
    fn batch(&mut self, largest: bool, times: usize) {
        self.capture(true);
        self.encode();
        self.bench.wait(CODE_LATENCY);
        let first = self.rng.below(self.encoders() as u64) as usize;
        for e in 0..self.encoders() {
            let e = (first + e) % self.encoders();
            let most = self.largest_weight();
            let weight = match self.rng.below(4) {
                _ if largest => most,
                0 => 0,
                1 => most,
                _ => self.rng.below(most + 1),
            };
            self.accumulate(e, weight, times);
        }
    }
}

/// A cluster on so many banks, with so many encoders and bits of a weight.
fn shapes() -> Vec<ChannelShape> {
    let window = (3, 9, 150);
    let cache = |banks, parts, tokens, beat_bits, (encoders, weight_bits)| {
        let p = attention(banks, parts, (1, 1), tokens);
        attention_channel(banks, clustering(p, encoders, weight_bits), beat_bits)
    };
    let mut shapes = vec![
        cache(2, (2, 4, 16), window, 64, (1, 18)),
        cache(2, (8, 4, 30), window, 64, (8, 18)),
        cache(4, (2, 4, 96), window, 64, (2, 18)),
        cache(4, (1, 2, 30), window, 64, (16, 31)),
        cache(4, (2, 8, 5), window, 64, (4, 2)),
        cache(2, (4, 1, 20), window, 64, (8, 1)),
        cache(2, (2, 1, 5), (0, 0, 127), 64, (32, 3)),
        cache(2, (4, 8, 1), (0, 0, 127), 64, (1, 18)),
        cache(8, (4, 4, 31), (3, 0, 100), 64, (4, 18)),
        cache(8, (2, 2, 3), (0, 5, 100), 64, (2, 18)),
        cache(2, (8, 4, 64), window, 128, (4, 18)),
        cache(4, (2, 2, 200), window, 128, (16, 9)),
        cache(2, (2, 8, 3), window, 128, (2, 18)),
        cache(8, (2, 1, 33), (0, 0, 127), 128, (32, 18)),
    ];
    // Every other one has a bank unit beside it.
    for channel in shapes.iter_mut().step_by(2) {
        channel.bank.mac = Some(MacShape { acc_bits: 20 });
    }
    shapes
}

fn every_shape(data: Data, gap: usize, seed: u64, rounds: usize) {
    for (at, channel) in shapes().iter().enumerate() {
        let mut cluster = Cluster::new(channel, data, gap, seed + at as u64);
        for _ in 0..rounds {
            cluster.seed();
            // The second codebook is made of the first.
            for _ in 0..2 {
                cluster.clear();
                for times in [1, 2] {
                    cluster.batch(false, times);
                }
                cluster.update(0);
            }
            cluster.fill();
            cluster.model.renew(data, &mut cluster.rng);
        }
        // Nothing was added: all stay.
        cluster.clear();
        cluster.update(0);
    }
}

#[test]
fn random_tokens() {
    every_shape(Data::Random, 0, 1, 2);
}

#[test]
fn gaps_between_columns() {
    every_shape(Data::Random, 3, 50, 1);
}

/// Means half way between two bytes, and centroids that are equally near.
#[test]
fn tokens_of_two_values() {
    every_shape(Data::Few, 0, 100, 1);
}

/// As many tokens as there may be, of the largest weight, all with the same centroid: full sums.
#[test]
fn full_sums() {
    for data in [Data::Lowest, Data::Highest] {
        for (at, channel) in shapes().iter().enumerate() {
            let mut cluster = Cluster::new(channel, data, 0, 150 + at as u64);
            cluster.clear();
            cluster.capture(true);
            cluster.encode();
            cluster.bench.wait(CODE_LATENCY);
            // Means that differ from the centroids they replace.
            let zero = vec![0; cluster.p().sub as usize];
            cluster.model.values.iter_mut().flatten().for_each(|c| *c = zero.clone());
            let (weight, tokens) = (cluster.largest_weight(), cluster.p().tokens as usize);
            cluster.accumulate(cluster.encoders() - 1, weight, tokens);
            cluster.update(0);
        }
    }
}

/// A bank with two encoders, whose tokens are both nearest to the last centroid; the sums are clear.
fn two_tokens() -> Cluster {
    let p = clustering(attention(2, (2, 8, 5), (1, 1), (0, 8, 100)), 2, 18);
    let mut cluster = Cluster::new(&attention_channel(2, p, 64), Data::Random, 0, 7);
    let book = &mut cluster.model.values[0];
    book.iter_mut().for_each(|c| *c = vec![-128; 8]);
    book[4] = vec![0; 8];
    cluster.clear();
    cluster.capture(true);
    cluster.encode();
    cluster.bench.wait(CODE_LATENCY);
    for x in &cluster.x {
        assert_eq!(cluster.model.nearest(x.as_ref().unwrap()), [4]);
    }
    assert_ne!(cluster.x[0], cluster.x[1]);
    cluster
}

/// A token is added twice, then the other: so many clocks from the first time to the second.
fn adds(clocks: u32) {
    let mut cluster = two_tokens();
    let token = cluster.choose(0);
    cluster.bench.param(AttentionParam::Weight, 1);
    cluster.bench.start(AttentionMode::Accumulate);
    cluster.note(&token, 1);
    cluster.bench.wait(clocks);
    cluster.bench.start(AttentionMode::Accumulate);
    cluster.note(&token, 1);
    cluster.bench.wait(accumulate_clocks(cluster.p()));
    cluster.accumulate(1, 1, 1);
    cluster.update(0);
}

/// Another weight so many clocks behind the start of a token.
fn weighs(clocks: u32) {
    let mut cluster = two_tokens();
    let token = cluster.choose(0);
    cluster.bench.param(AttentionParam::Weight, 1);
    cluster.bench.start(AttentionMode::Accumulate);
    cluster.note(&token, 1);
    cluster.bench.wait(clocks);
    cluster.bench.param(AttentionParam::Weight, 1000);
    cluster.accumulate(1, 1000, 1);
    cluster.update(0);
}

/// A token so many clocks behind the start of a clear.
fn clears(clocks: u32) {
    let mut cluster = two_tokens();
    cluster.accumulate(1, 1000, 1);
    let token = cluster.choose(0);
    cluster.bench.start(AttentionMode::Clear);
    cluster.sums[0][4] = (vec![0; 8], 0);
    cluster.bench.wait(clocks);
    cluster.bench.start(AttentionMode::Accumulate);
    cluster.note(&token, 1000);
    cluster.bench.wait(accumulate_clocks(cluster.p()));
    cluster.update(0);
}

fn clocks_of(of: impl Fn(&Cluster) -> u32) -> u32 {
    of(&two_tokens())
}

#[test]
fn the_stated_clocks_are_enough() {
    adds(clocks_of(|c| accumulate_clocks(c.p())));
    weighs(clocks_of(|c| accumulate_clocks(c.p())));
    clears(clocks_of(|c| clear_clocks(c.p(), c.channel.beat_bits)));
}

#[test]
#[should_panic(expected = "a column with a mean")]
fn a_sum_is_not_there_a_clock_earlier() {
    adds(clocks_of(|c| accumulate_clocks(c.p()) - 1));
}

#[test]
#[should_panic(expected = "a column with a mean")]
fn a_weight_is_needed_until_then() {
    weighs(clocks_of(|c| accumulate_clocks(c.p()) - 1));
}

#[test]
#[should_panic(expected = "a column with a mean")]
fn sums_are_not_clear_a_clock_earlier() {
    clears(clocks_of(|c| clear_clocks(c.p(), c.channel.beat_bits) - 1));
}

#[test]
#[should_panic(expected = "a column with a mean")]
fn means_are_not_there_a_clock_earlier() {
    let mut cluster = two_tokens();
    cluster.accumulate(0, 1, 1);
    cluster.update(1);
}
