//! The softmax unit: which tokens a query sees, weights from scores, results from outputs and sums.
//! All in integers; the formulas are those of the language's page on `attend`.

use pimc_rtl::attention::{AttentionParam, AttentionShape, OCTAVE_BITS, PROB_BITS};
use pimc_rtl::shape::ChannelShape;

/// Its state. Scores are by block; in a block by group, beat, lane, row.
#[derive(Clone, Debug)]
pub(super) struct Softmax {
    shape: AttentionShape,
    beats: u32,
    compressed: i64,
    length: i64,
    ring: i64,
    limits: Vec<i64>,
    /// Scores of visible tokens: of the exact ones, and of the compressed ones.
    scores: [Vec<Vec<Option<i64>>>; 2],
    /// The largest score of a row.
    max: Vec<Option<i64>>,
    sum: Vec<i64>,
}

impl Softmax {
    pub(super) fn new(channel: &ChannelShape, shape: &AttentionShape) -> Softmax {
        let rows = shape.rows() as usize;
        Softmax {
            beats: channel.beats,
            compressed: 0,
            length: 0,
            ring: 0,
            limits: vec![0; shape.queries as usize],
            scores: [Vec::new(), Vec::new()],
            max: vec![None; rows],
            sum: vec![0; rows],
            shape: shape.clone(),
        }
    }

    pub(super) fn param(&mut self, param: AttentionParam, value: u32) {
        let value = i64::from(value);
        match param {
            AttentionParam::Compressed => self.compressed = value,
            AttentionParam::Length => self.length = value,
            AttentionParam::Ring => self.ring = value,
            AttentionParam::Limit(i) => {
                if let Some(limit) = self.limits.get_mut(i as usize) {
                    *limit = value;
                }
            }
            _ => {}
        }
    }

    /// A head begins.
    pub(super) fn reset(&mut self) {
        self.scores = [Vec::new(), Vec::new()];
        self.max.fill(None);
        self.sum.fill(0);
    }

    /// Position of the token at an exact place, if there is one.
    fn exact_position(&self, e: i64) -> Option<i64> {
        let (sink, recent) = (i64::from(self.shape.sink), i64::from(self.shape.recent));
        if e < sink {
            return (e < self.length).then_some(e);
        }
        let i = e - sink;
        if i >= recent {
            return None;
        }
        let oldest = self.length - recent;
        let position =
            if i >= self.ring { oldest + i - self.ring } else { self.length - self.ring + i };
        (position >= sink && position < self.length).then_some(position)
    }

    fn position(&self, exact: bool, index: i64) -> Option<i64> {
        if exact {
            return self.exact_position(index);
        }
        (index < self.compressed).then_some(index + i64::from(self.shape.sink))
    }

    /// The scores of a block, `lanes` to a beat.
    pub(super) fn scores(&mut self, exact: bool, block: u32, lanes: u32, scores: &[i64]) {
        let (rows, heads) = (self.shape.rows() as usize, self.shape.query_heads as usize);
        let per_group = (self.beats * lanes) as usize;
        let first = block as usize * self.shape.groups as usize * per_group;
        let mut kept = Vec::with_capacity(scores.len());
        for (i, token) in scores.chunks(rows).enumerate() {
            let position = self.position(exact, (first + i) as i64);
            for (row, &score) in token.iter().enumerate() {
                let seen = position.is_some_and(|p| p < self.limits[row / heads]);
                let score = seen.then_some(score);
                self.max[row] = self.max[row].max(score);
                kept.push(score);
            }
        }
        self.scores[usize::from(exact)].push(kept);
    }

    /// The weights of a block, as its scores were; added to the sums if `count`.
    pub(super) fn weights(
        &mut self,
        exact: bool,
        block: u32,
        count: bool,
    ) -> Result<Vec<i64>, String> {
        let rows = self.shape.rows() as usize;
        let scores = self.scores[usize::from(exact)].get(block as usize);
        let scores = scores.ok_or("values of a block whose scores were not taken")?;
        let weight = |(i, score): (usize, &Option<i64>)| match (score, self.max[i % rows]) {
            (Some(score), Some(max)) => weight(&self.shape, max - score),
            _ => 0,
        };
        let weights: Vec<i64> = scores.iter().enumerate().map(weight).collect();
        if count {
            for (i, weight) in weights.iter().enumerate() {
                self.sum[i % rows] += weight;
            }
        }
        Ok(weights)
    }

    /// The log-sum-exp of a row.
    pub(super) fn log_sum_exp(&self, row: usize) -> i64 {
        let (Some(sum), Some(max)) = (Sum::of(self.sum[row]), self.max[row]) else {
            return i32::MIN.into();
        };
        let (mul, shift) = (i128::from(self.shape.mul), self.shape.shift);
        let octaves = ((i128::from(max) * mul + half(shift)) >> shift) as i64;
        octaves + sum.log2(&self.shape.log_table)
    }

    /// A result: an output of a row over its sum.
    pub(super) fn divide(&self, row: usize, out: i64) -> i64 {
        divide(&self.shape, self.sum[row], out)
    }
}

/// 2^18 * 2^-y of the distance from the largest score.
pub(crate) fn weight(shape: &AttentionShape, distance: i64) -> i64 {
    let (mul, shift) = (i128::from(shape.mul), shape.shift);
    exp2_neg(&shape.exp_table, (i128::from(distance) * mul + half(shift)) >> shift)
}

/// An output over a sum of weights, 0 where there is none.
pub(crate) fn divide(shape: &AttentionShape, sum: i64, out: i64) -> i64 {
    let Some(sum) = Sum::of(sum) else { return 0 };
    let result = sum.divide(&shape.reciprocal_table, out.into(), shape.frac);
    let limit = 1i128 << (shape.result_bits - 1);
    result.clamp(-limit, limit - 1) as i64
}

/// 2^18 * 2^-y.
pub(super) fn exp2_neg(table: &[u32], y: i128) -> i64 {
    let octave = y >> OCTAVE_BITS;
    if octave > i128::from(PROB_BITS) {
        return 0;
    }
    let fraction = (y & ((1 << OCTAVE_BITS) - 1)) as usize;
    let (a, b) = (fraction >> 6, (fraction & 63) as i64);
    let entry = |i: usize| i64::from(table[i]);
    let e = entry(a) - (((entry(a) - entry(a + 1)) * b + 32) >> 6);
    (e + ((1 << octave) >> 1)) >> octave
}

/// A sum of weights: its exponent, and step of the octave and place in it.
pub(super) struct Sum(u32, usize, i64);

impl Sum {
    /// Of a sum that is not 0.
    pub(super) fn of(sum: i64) -> Option<Sum> {
        let exponent = sum.checked_ilog2()?;
        let scaled = if exponent >= 15 { sum >> (exponent - 15) } else { sum << (15 - exponent) };
        Some(Sum(exponent, ((scaled >> 9) & 63) as usize, scaled & 511))
    }

    /// Its logarithm in 1/4096 octaves: 0 of a weight of 1 alone.
    pub(super) fn log2(&self, table: &[u32]) -> i64 {
        let &Sum(exponent, a, b) = self;
        let entry = |i: usize| i64::from(table[i]);
        let within = entry(a) + (((entry(a + 1) - entry(a)) * b + 256) >> 9);
        ((i64::from(exponent) - i64::from(PROB_BITS - 1)) << OCTAVE_BITS) + within
    }

    /// What was weighted over it, with `frac` fractional bits.
    pub(super) fn divide(&self, table: &[u32], out: i128, frac: u32) -> i128 {
        let &Sum(exponent, a, b) = self;
        let entry = |i: usize| i64::from(table[i]);
        let r = entry(a) - (((entry(a) - entry(a + 1)) * b + 256) >> 9);
        let shift = 16 + exponent - frac;
        (out * i128::from(r) + half(shift)) >> shift
    }
}

/// Half of the last bit that a shift keeps.
fn half(shift: u32) -> i128 {
    if shift == 0 {
        0
    } else {
        1 << (shift - 1)
    }
}
