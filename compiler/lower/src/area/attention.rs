//! Attention units and the softmax unit, by what they are made of.

use super::{accumulator, adder, choice, kept, multiplier, register, tree, Part};
use pimc_rtl::attention::{AttentionShape, ClusterShape, PROB_BITS};
use pimc_rtl::shape::ChannelShape;

/// Bits of the memories of an attention unit: tables, buckets, and the sums of what is clustered.
pub(crate) fn unit_memory_bits(a: &AttentionShape, shape: &ChannelShape) -> u64 {
    a.memory_bits(shape) + a.mean_memory_bits(shape.beat_bits)
}

/// Everything of an attention unit but its memories.
pub(super) fn attention_unit(a: &AttentionShape, shape: &ChannelShape) -> Vec<Part> {
    let beat = shape.beat_bits;
    let (rows, lanes, chunk) = (a.rows(), a.lanes(beat), a.chunk(beat));
    let each = |n: u32, what: f64| f64::from(n) * what;
    let column = kept(beat * shape.beats) + choice(beat, shape.beats) + kept(64);
    let queries = kept(rows * a.slices * a.sub * 8) + choice(rows * a.sub * 8, a.slices);
    let dot = each(a.sub, multiplier(8, 8)) + tree(a.sub, a.entry_bits());
    let dots = each(chunk * rows, dot + register(a.entry_bits()));
    // An entry of a word is chosen, a bucket is added to, with what is on its way.
    let entry = choice(a.entry_bits(), chunk) + register(a.entry_bits());
    let bucket = adder(a.bucket_bits(shape)) + choice(a.bucket_bits(shape), chunk + 2);
    let lane = entry + bucket + register(a.bucket_bits(shape));
    let scores = if a.slices > 1 { shape.beats * lanes * rows } else { 0 };
    let sums = each(scores, accumulator(a.part_bits()));
    let weights = each(chunk * rows, tree(lanes, a.sum_bits()));
    let product = multiplier(a.sum_bits() + 1, 8) + adder(a.out_bits());
    let held = kept(a.slices * a.sub * rows * a.out_bits());
    let outputs = weights + each(chunk * a.sub * rows, product) + held;
    let square = adder(9) + multiplier(9, 9) / 2.0;
    let distance = each(chunk * a.sub, square) + each(chunk, 2.0 * adder(20) + register(20));
    let encode = distance + kept(a.slices * (a.sub * 8 + 20 + a.code_bits()));
    let place = kept(beat * shape.beats) + choice(beat, 2);
    let mut parts = vec![
        ("column", column),
        ("queries", queries),
        ("products with centroids", dots),
        ("tables and buckets", each(lanes * rows, lane)),
        ("scores", sums),
        ("outputs", outputs),
        ("nearest centroid", encode),
        ("columns that are written", place),
    ];
    if let Some(cluster) = &a.cluster {
        // An encoder more; synthesis finds nothing in a square that a product would not have.
        let more = encode + each(chunk * a.sub, multiplier(9, 9) / 2.0);
        let taken = choice(a.sub_bits(), chunk) + register(a.sub_bits());
        let chosen = choice(a.sub_bits() + a.code_bits(), cluster.encoders);
        parts.push(("encoders", each(cluster.encoders - 1, more + taken) + chosen));
        parts.push(("means", means(a, cluster) + choice(beat * shape.beats, 2)));
    }
    parts
}

/// Sums of tokens and the means of them, but for the memory of the sums.
fn means(a: &AttentionShape, cluster: &ClusterShape) -> f64 {
    let (weight, total, sum) = (cluster.weight_bits, cluster.total_bits(), cluster.sum_bits());
    let add = multiplier(8, weight) + register(weight + 8) + adder(sum);
    // What is left of the dividend, and a divisor that fits into it or not.
    let divide = adder(sum) + kept(sum + 2) + choice(sum + 2, 2) + adder(total) + choice(total, 2);
    let element = add + divide + choice(8, 2);
    f64::from(a.sub) * element + adder(total) + adder(sum) + kept(weight + total)
}

/// The softmax unit but its memory of scores.
pub(super) fn softmax_unit(a: &AttentionShape, shape: &ChannelShape) -> f64 {
    let lanes = a.groups * a.score_lanes(shape.beat_bits) * a.rows();
    let (score, sum) = (a.score_bits(), a.sum_bits());
    let reduced = tree(a.members, score) + register(score);
    let scale = multiplier(score, 32 - a.mul.leading_zeros()) + register(score);
    // A straight line between two entries of a table of 64, shifted by up to 19.
    let table = choice(PROB_BITS + 12, 64) + multiplier(14, 6) + adder(PROB_BITS);
    let shift = 5.0 * choice(PROB_BITS, 2) + 3.0 * register(PROB_BITS);
    let lane = reduced + scale + table + shift + 2.0 * adder(score) + adder(sum);
    let divide = multiplier(a.out_bits(), 17) + 6.0 * choice(a.out_bits(), 2) + table;
    let rows = f64::from(a.rows()) * (accumulator(sum) + kept(score));
    f64::from(lanes) * lane + rows + divide + tree(a.groups, a.out_bits())
}
