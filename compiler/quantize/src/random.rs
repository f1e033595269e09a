//! The deterministic generator behind every random choice of the quantizer.
//!
//! Every block of every weight draws from its own stream, whose seed comes from the recipe's seed,
//! the weight's name and the block's position. So the bytes of the result depend neither on the
//! number of threads nor on the order in which blocks finish.

/// Finaliser of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators").
fn mix64(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A splitmix64 stream.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Rng {
        Rng { state: mix64(seed) }
    }

    /// The stream of one piece of work: `seed`, a name and the piece's position.
    pub fn for_piece(seed: u64, name: &str, position: &[usize]) -> Rng {
        let mut state = mix64(seed);
        for byte in name.bytes() {
            state = mix64(state ^ u64::from(byte)).wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
        for &at in position {
            state = mix64(state ^ at as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
        }
        Rng { state }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix64(self.state)
    }

    /// Uniform in [0, 1), with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in 0..n; n is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next_u64()) * n as u128) >> 64) as usize
    }

    /// Standard normal, by the polar method of Marsaglia; the second value of a pair is dropped.
    pub fn normal(&mut self) -> f64 {
        loop {
            let (a, b) = (2.0 * self.uniform() - 1.0, 2.0 * self.uniform() - 1.0);
            let q = a * a + b * b;
            if q > 0.0 && q < 1.0 {
                return a * (-2.0 * q.ln() / q).sqrt();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_matches_its_published_sequence() {
        // First outputs of splitmix64 from state 1234567.
        let mut rng = Rng { state: 1_234_567 };
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn streams_of_different_pieces_differ() {
        let first = |name, at: &[usize]| Rng::for_piece(7, name, at).next_u64();
        let all =
            [first("a", &[0, 0]), first("a", &[0, 1]), first("a", &[1, 0]), first("b", &[0, 0])];
        for (i, x) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|y| y != x));
        }
    }

    #[test]
    fn normal_has_zero_mean_and_unit_variance() {
        let mut rng = Rng::new(1);
        let xs: Vec<f64> = (0..40_000).map(|_| rng.normal()).collect();
        let mean = xs.iter().sum::<f64>() / xs.len() as f64;
        let var = xs.iter().map(|x| x * x).sum::<f64>() / xs.len() as f64;
        assert!(mean.abs() < 0.02 && (var - 1.0).abs() < 0.03, "{mean} {var}");
    }
}
