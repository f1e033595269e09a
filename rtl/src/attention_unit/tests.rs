//! The streams of a step through the units of one member, one of each token group, against plain
//! integers.

mod bench;
mod cluster;
mod model;

use crate::attention::{
    AttentionMode, AttentionShape, BUCKET_LATENCY, CODE_LATENCY, OUT_LATENCY, PLACE_LATENCY,
    TABLE_LATENCY,
};
use crate::shape::MacShape;
use crate::testing::{attention, attention_channel, clustering, Rng};
use bench::Bench;
use model::{Data, Model};

/// Fewest clocks from the last beat of a stream to the first of the next, which does not need it.
const NEXT: u32 = 2;

/// A cache on so many banks with beats of so many bits.
fn shapes() -> Vec<(u32, AttentionShape, u32)> {
    let window = (3, 9, 150);
    let cache = |banks, parts, rows, tokens, beat_bits| {
        (banks, attention(banks, parts, rows, tokens), beat_bits)
    };
    vec![
        cache(4, (4, 4, 512), (2, 2), window, 64),
        cache(2, (4, 2, 16), (1, 3), window, 64),
        cache(4, (2, 4, 256), (1, 2), window, 64),
        cache(2, (8, 8, 100), (1, 1), window, 64),
        cache(4, (1, 8, 64), (2, 4), window, 64),
        cache(2, (2, 1, 5), (1, 1), window, 64),
        cache(2, (4, 8, 1), (1, 1), window, 64),
        cache(4, (8, 2, 3), (3, 1), window, 64),
        cache(8, (2, 4, 30), (1, 2), (3, 0, 100), 64),
        cache(2, (8, 4, 64), (1, 1), (0, 0, 100), 64),
        cache(2, (4, 4, 512), (1, 4), window, 128),
        cache(4, (2, 2, 16), (1, 1), window, 128),
        cache(2, (4, 8, 200), (2, 1), window, 128),
        cache(8, (1, 2, 9), (1, 1), window, 128),
        cache(2, (2, 8, 2), (1, 1), window, 128),
        // What clusters does all that, too.
        clusters(cache(4, (8, 4, 30), (1, 2), window, 64), 8),
        clusters(cache(4, (2, 2, 30), (1, 1), (0, 7, 90), 64), 16),
        clusters(cache(4, (4, 4, 30), (1, 2), (3, 0, 100), 64), 2),
        clusters(cache(2, (4, 1, 40), (1, 1), (0, 0, 100), 128), 1),
    ]
}

fn clusters(
    (banks, p, beat_bits): (u32, AttentionShape, u32),
    encoders: u32,
) -> (u32, AttentionShape, u32) {
    (banks, clustering(p, encoders, 18), beat_bits)
}

/// Scores of exact and compressed keys, weights into buckets, outputs: each stream as close behind
/// the one before as the latencies allow.
fn attend(bench: &mut Bench, model: &mut Model, rng: &mut Rng) {
    bench.load(&model.query, rng);
    let mut scores = vec![];
    bench.stream(AttentionMode::Table, &model.codebook(&model.keys), NEXT);
    model.clear();
    let mut distance = TABLE_LATENCY;
    if model.p.has_exact() {
        let columns = model.exact_scores(rng, &mut scores);
        bench.stream(AttentionMode::ExactScores, &columns, NEXT);
        distance = NEXT;
    }
    let columns = model.scores(rng, &mut scores);
    bench.stream(AttentionMode::Scores, &columns, distance);

    let columns = model.buckets(rng);
    bench.stream(AttentionMode::Buckets, &columns, NEXT);
    bench.stream(AttentionMode::Combine, &model.codebook(&model.values), BUCKET_LATENCY);
    model.combine();
    if model.p.has_exact() {
        let columns = model.exact_values(rng);
        bench.stream(AttentionMode::ExactValues, &columns, NEXT);
    }
    bench.wait(OUT_LATENCY);
    bench.outputs(&model.outputs);
    bench.scores(&scores, "keys");

    // Codes of keys right behind their tables; the outputs and buckets begin anew.
    bench.stream(AttentionMode::Table, &model.codebook(&model.keys), NEXT);
    model.clear();
    let mut scores = vec![];
    let columns = model.scores(rng, &mut scores);
    bench.stream(AttentionMode::Scores, &columns, TABLE_LATENCY);
    bench.stream(AttentionMode::Combine, &model.codebook(&model.values), NEXT);
    bench.wait(OUT_LATENCY);
    bench.outputs(&model.outputs);
    bench.scores(&scores, "codes");

    // Weights of codes right behind the buckets being cleared.
    bench.stream(AttentionMode::Table, &model.codebook(&model.keys), NEXT);
    model.clear();
    let columns = model.buckets(rng);
    bench.stream(AttentionMode::Buckets, &columns, TABLE_LATENCY);
    bench.stream(AttentionMode::Combine, &model.codebook(&model.values), BUCKET_LATENCY);
    model.combine();
    let columns = model.exact_scores(rng, &mut vec![]);
    bench.other_stream(&columns);
    bench.wait(OUT_LATENCY);
    bench.outputs(&model.outputs);
}

/// A token leaves the window, or is new, and its code goes into a column; so does the new token.
fn append(bench: &mut Bench, model: &mut Model, rng: &mut Rng) {
    bench.load(&model.query, rng);
    if model.p.takes() {
        bench.stream(AttentionMode::Take, &[], NEXT);
        model.take();
        bench.stream(AttentionMode::Encode, &model.codebook(&model.values), NEXT);
    } else {
        let place = model.place(model.chunk, rng);
        bench.place(place);
        let columns = model.capture(place, rng);
        bench.stream(AttentionMode::Capture, &columns, NEXT);
        bench.stream(AttentionMode::Encode, &model.codebook(&model.values), PLACE_LATENCY);
    }
    let codes = model.encode();
    let place = model.place(model.lanes, rng);
    // The first code is wanted when the first beat of its column is in the unit.
    bench.place_at(place, CODE_LATENCY);
    for (s, code) in codes.iter().enumerate() {
        let (column, want) = model.insert_code(place, *code, rng);
        bench.insert(AttentionMode::InsertCode, s, &column);
        bench.wait(PLACE_LATENCY);
        bench.written(&want, "code");
    }
    if model.p.has_exact() {
        let place = model.place(model.chunk, rng);
        bench.place(place);
        for s in 0..codes.len() {
            let (column, want) = model.insert_token(place, s, rng);
            bench.insert(AttentionMode::InsertToken, s, &column);
            bench.wait(PLACE_LATENCY);
            bench.written(&want, "token");
        }
    }
}

fn every_shape(data: Data, gap: usize, seed: u64) {
    for (at, (banks, p, beat_bits)) in shapes().into_iter().enumerate() {
        let mut rng = Rng::new(seed + at as u64);
        let member = rng.below(p.members.into()) as u32;
        let mut channel = attention_channel(banks, p.clone(), beat_bits);
        // Every other bank has a bank unit beside it.
        channel.bank.mac = (at % 2 == 1).then_some(MacShape { acc_bits: 20 });
        assert!(p.faults(&channel).is_empty(), "{p:?}");
        let mut bench = Bench::new(&channel, member, gap);
        let mut model = Model::new(&channel, data, &mut rng);
        // Twice: what the first head has left must not be seen by the second.
        for _ in 0..2 {
            attend(&mut bench, &mut model, &mut rng);
            append(&mut bench, &mut model, &mut rng);
            model.renew(data, &mut rng);
        }
    }
}

#[test]
fn random_numbers() {
    every_shape(Data::Random, 0, 1);
}

#[test]
fn gaps_between_columns() {
    every_shape(Data::Random, 3, 100);
}

/// Every byte -128, every weight the largest there is, for as many tokens as there may be.
#[test]
fn extremes() {
    every_shape(Data::Lowest, 0, 200);
}

/// One code in every lane of beat after beat: every sum is still on its way when it is wanted.
#[test]
fn the_same_code_everywhere() {
    every_shape(Data::OneCode, 0, 300);
}

/// Centroids of two values only, so that many are equally near.
#[test]
fn equidistant_centroids() {
    every_shape(Data::Few, 0, 400);
}

/// The table's latency is no longer than it must be: one clock earlier is too early.
#[test]
#[should_panic(expected = "scores of codes")]
fn tables_are_not_there_a_clock_earlier() {
    let p = attention(2, (2, 8, 4), (1, 1), (0, 0, 100));
    let channel = attention_channel(2, p, 64);
    let mut rng = Rng::new(5);
    let mut bench = Bench::new(&channel, 0, 0);
    let mut model = Model::new(&channel, Data::OneCode, &mut rng);
    model.code = 3;
    bench.load(&model.query, &mut rng);
    bench.stream(AttentionMode::Table, &model.codebook(&model.keys), NEXT);
    let mut scores = vec![];
    let columns = model.scores(&mut rng, &mut scores);
    bench.stream(AttentionMode::Scores, &columns, TABLE_LATENCY - 1);
    bench.scores(&scores, "codes");
}
