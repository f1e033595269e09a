//! What the integer softmax costs: attention against the same scores and values in floating point, and
//! two windows merged against both at once. All tokens are exact here, so that nothing else differs.

use pimc_golden::attention::{attend, merge, CacheState, Softmax};
use pimc_golden::State;
use pimc_ir::generated::Noise;
use pimc_ir::testing::{CacheArrays, ModelBuilder};
use pimc_ir::CacheId;

const DIM: usize = 64;
const FRAC: u32 = 8;
const SHIFT: u32 = 11;

/// A normal deviate, near enough.
fn normal(noise: &mut Noise) -> f64 {
    let uniform = |noise: &mut Noise| (noise.word() >> 11) as f64 / (1u64 << 53) as f64;
    (0..12).map(|_| uniform(noise)).sum::<f64>() - 6.0
}

fn byte(x: f64) -> i8 {
    x.round().clamp(-128.0, 127.0) as i8
}

/// Keys and values of some tokens.
struct Tokens {
    keys: Vec<i8>,
    values: Vec<i8>,
}

impl Tokens {
    fn random(noise: &mut Noise, count: usize) -> Tokens {
        let mut bytes =
            |spread: f64| (0..count * DIM).map(|_| byte(spread * normal(noise))).collect();
        Tokens { keys: bytes(32.0), values: bytes(45.0) }
    }

    fn len(&self) -> usize {
        self.keys.len() / DIM
    }

    /// A cache of one head that holds the tokens of a range.
    fn cache(&self, tokens: std::ops::Range<usize>) -> CacheState {
        let n = tokens.len();
        let part = tokens.start * DIM..tokens.end * DIM;
        let text = format!(
            "pimc 1\ntarget \"hbm3-pim\"\ncache @kv : pq_kv<heads=1, kv_heads=1, dim={DIM}, tokens={n}, \
             sub=4, k=1, sink=0, recent={n}, start={n}> from \"kv\"\n\
             func @main(%q: i8<{DIM}>, %l: i32<1>) -> i16<{DIM}> {{\n  \
             %o = attend @kv, %q, %l, mul=1, shift=0, frac=8 : i16<{DIM}>\n  return %o\n}}\n"
        );
        let arrays = CacheArrays {
            keys: self.keys[part.clone()].to_vec(),
            values: self.values[part].to_vec(),
            ..CacheArrays::default()
        };
        let model = ModelBuilder::new(text).cache("kv", &arrays).build();
        let model = model.unwrap_or_else(|d| panic!("{d}"));
        State::initial(&model).cache(CacheId(0)).clone()
    }

    /// Attention in floating point, from the integer scores.
    fn exact(&self, q: &[i64], mul: u32) -> Vec<f64> {
        let dot = |k: &[i8]| k.iter().zip(q).map(|(&k, &q)| i64::from(k) * q).sum::<i64>();
        let scores: Vec<i64> = self.keys.chunks(DIM).map(dot).collect();
        let most = scores.iter().max().copied().unwrap_or(0);
        let octave = f64::from(mul) / f64::from(1u32 << SHIFT) / 4096.0;
        let (mut sum, mut out) = (0.0, vec![0.0; DIM]);
        for (&s, v) in scores.iter().zip(self.values.chunks(DIM)) {
            let weight = (-((most - s) as f64 * octave)).exp2();
            sum += weight;
            out.iter_mut().zip(v).for_each(|(o, &v)| *o += weight * f64::from(v));
        }
        out.iter().map(|o| o / sum).collect()
    }
}

/// Relative error (L2) of a row of integers of `FRAC` fractional bits, beyond what comes of rounding its
/// elements: `roundings` halves of the last bit.
fn error(got: &[i128], exact: &[f64], roundings: f64) -> f64 {
    let unit = f64::from(1u32 << FRAC);
    let square = |x: f64| x * x;
    let off = got.iter().zip(exact).map(|(&g, e)| square(g as f64 / unit - e)).sum::<f64>().sqrt();
    let rounding = roundings * 0.5 / unit * (exact.len() as f64).sqrt();
    (off - rounding).max(0.0) / exact.iter().map(|&e| square(e)).sum::<f64>().sqrt()
}

/// A query whose scores spread by `octaves`, and the `mul` that makes it so.
fn query(noise: &mut Noise, octaves: f64) -> (Vec<i64>, u32) {
    let q: Vec<i64> = (0..DIM).map(|_| byte(40.0 * normal(noise)).into()).collect();
    let spread = 32.0 * (q.iter().map(|q| q * q).sum::<i64>() as f64).sqrt();
    let mul = octaves * 4096.0 / spread * f64::from(1u32 << SHIFT);
    assert!((1.0..65536.0).contains(&mul), "{mul}");
    (q, mul as u32)
}

/// From flat to one token alone, as the standard deviation of the scores in octaves.
const SPREADS: [f64; 10] = [0.02, 0.1, 0.3, 0.6, 1.0, 2.0, 3.0, 4.5, 6.0, 9.0];

#[test]
fn attention_is_off_by_less_than_a_fifth_of_a_percent() {
    let mut noise = Noise(0x5eed);
    let mut worst = (0.0, 0, 0.0);
    for count in [1, 2, 5, 40, 300, 2000, 4096, 32768] {
        let tokens = Tokens::random(&mut noise, count);
        let cache = tokens.cache(0..count);
        for spread in SPREADS {
            for _ in 0..(40_000 / count).clamp(6, 60) {
                let (q, mul) = query(&mut noise, spread);
                let softmax = Softmax { mul, shift: SHIFT, frac: FRAC, state: false };
                let got = attend(&cache, &q, &[count as i64], &softmax);
                let error = error(&got, &tokens.exact(&q, mul), 1.0);
                if error > worst.0 {
                    worst = (error, count, spread);
                }
                assert!(error < 0.002, "{error} of {count} tokens, {spread} octaves");
            }
        }
        assert_eq!(tokens.len(), count);
    }
    println!("worst: {worst:?}");
}

/// The weights of several caches of one query, merged, against those of one cache that holds all.
#[test]
fn merged_windows_are_as_near() {
    let mut noise = Noise(0xface);
    let (mut worst, mut beside, mut apart) = (0f64, 0f64, 0f64);
    for count in [2, 40, 2000, 4096] {
        let tokens = Tokens::random(&mut noise, count);
        let both = tokens.cache(0..count);
        for cut in [1, count / 3, count / 2, count - 1].into_iter().filter(|c| *c > 0) {
            let (a, b) = (tokens.cache(0..cut), tokens.cache(cut..count));
            for spread in SPREADS.into_iter().cycle().take(40) {
                let (q, mul) = query(&mut noise, spread);
                let softmax = Softmax { mul, shift: SHIFT, frac: FRAC, state: true };
                let state = |cache| -> Vec<i64> {
                    let row = attend(cache, &q, &[count as i64], &softmax);
                    row.iter().map(|&x| x as i64).collect()
                };
                let (merged, whole) = (merge(&state(&a), &state(&b), DIM), state(&both));
                // A mean of two rounded means is rounded once more.
                let exact = tokens.exact(&q, mul);
                let off = error(&merged[..DIM], &exact, 2.0);
                worst = worst.max(off);
                assert!(off < 0.002, "{off} of {count} tokens cut at {cut}, {spread} octaves");
                let one: Vec<f64> = whole[..DIM].iter().map(|&x| x as f64 / 256.0).collect();
                beside = beside.max(error(&merged[..DIM], &one, 0.0));
                // Units of 1/4096 octave.
                apart = apart.max((merged[DIM] as i64 - whole[DIM]).abs() as f64);
            }
        }
    }
    println!("worst: {worst}; of attention over both {beside}, log-sum-exp {apart}");
    assert!(beside < 0.004, "{beside} away from attention over both");
    assert!(apart <= 4.0, "the log-sum-exp is off by {apart} of 4096 in an octave");
}
