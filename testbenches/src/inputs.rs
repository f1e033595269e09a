//! Input vectors: given in a file, or made from a seed.

use crate::error::Error;
use pimc_ir::generated::Noise;
use pimc_ir::{Batch, BatchFile, Func, Module, OpKind, ValueId};
use std::path::PathBuf;

/// Where the input vectors come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// A safetensors file with one `[batch, len]` tensor per input of the function.
    File(PathBuf),
    /// Vectors made from a seed: evenly spread over each input's type, but for the first (all
    /// elements the most negative value) and the second (all the largest).
    Random {
        /// How many vectors.
        count: usize,
        /// The seed.
        seed: u64,
    },
    /// Given: `[vector][input][element]`.
    Given(Vec<Vec<Vec<i64>>>),
}

impl Inputs {
    /// The vectors for the function of `module`: `[vector][input][element]`.
    ///
    /// # Errors
    /// A file that cannot be read or does not fit the function; no vector at all.
    pub fn vectors(&self, module: &Module) -> Result<Vec<Vec<Vec<i64>>>, Error> {
        let func = &module.func;
        let vectors = match self {
            Inputs::File(path) => {
                let inputs: Vec<Batch> = BatchFile::open(path).and_then(|f| f.read_inputs(func))?;
                let count = inputs.first().map_or(0, Vec::len);
                (0..count).map(|v| inputs.iter().map(|b| b[v].clone()).collect()).collect()
            }
            Inputs::Random { count, seed } => {
                let mut words = Noise(*seed);
                let mut counts = Counts::of(module);
                let vector = |v| {
                    let mut vector = random_vector(func, v, &mut words);
                    counts.bound(&mut vector, &mut words);
                    vector
                };
                (0..*count).map(vector).collect()
            }
            Inputs::Given(vectors) => vectors.clone(),
        };
        if vectors.is_empty() {
            return Err(Error::Usage {
                what: "there is no input vector to run".into(),
                help: "give at least one, or `--random N` with N of 1 or more".into(),
            });
        }
        Ok(vectors)
    }
}

/// How many tokens steps may take in, and what they weigh: random numbers would be more than a step has, or
/// negative, as a rule.
struct Counts {
    takes: Vec<Take>,
    /// Per cache: how many tokens it may hold, and how many there is room for.
    room: Vec<(u64, u64)>,
}

/// An op that takes tokens in.
struct Take {
    cache: usize,
    /// The value that holds the count.
    n: ValueId,
    /// Tokens of a step.
    tokens: u64,
    /// Of a cache that is filled anew: the weights.
    weights: Option<ValueId>,
}

impl Counts {
    fn of(module: &Module) -> Counts {
        let (func, caches) = (&module.func, &module.caches);
        let takes = func.ops.iter().filter_map(|op| {
            let (cache, k, n, weights) = match op.kind {
                OpKind::Append { cache, k, n, .. } => (cache, k, n, None),
                OpKind::Cluster { cache, k, n, weights, .. } => (cache, k, n, Some(weights)),
                _ => return None,
            };
            let tokens = func.values[k.0].ty.len / caches[cache.0].ty.token_len();
            let weights = weights.filter(|w| w.0 < func.inputs);
            let take = Take { cache: cache.0, n, tokens: tokens as u64, weights };
            (n.0 < func.inputs).then_some(take)
        });
        let room = caches.iter().map(|c| (c.ty.tokens as u64, (c.ty.tokens - c.ty.start) as u64));
        Counts { takes: takes.collect(), room: room.collect() }
    }

    /// Puts counts that there is room for into a vector, and weights that are not negative.
    fn bound(&mut self, vector: &mut [Vec<i64>], words: &mut Noise) {
        for take in &self.takes {
            let (holds, room) = &mut self.room[take.cache];
            let count = match (words.word() % 2, take.weights) {
                // One token as often as not, as in decoding, and a whole prompt.
                (0, None) => 1,
                (0, Some(_)) => take.tokens,
                _ => words.word() % (take.tokens + 1),
            };
            if take.weights.is_some() {
                *room = *holds;
            }
            let count = count.min(take.tokens).min(*room);
            *room -= count;
            vector[take.n.0].fill(count as i64);
            if let Some(weights) = take.weights {
                vector[weights.0].iter_mut().filter(|w| **w < 0).for_each(|w| *w = !*w);
            }
        }
    }
}

fn random_vector(func: &Func, vector: usize, words: &mut Noise) -> Vec<Vec<i64>> {
    let inputs = &func.values[..func.inputs];
    let element = |ty: pimc_ir::IntTy, words: &mut Noise| match vector {
        0 => ty.min(),
        1 => ty.max(),
        // The high bits of a word, as a number of the type's width.
        _ => words.word() as i64 >> (64 - ty.bits),
    };
    inputs.iter().map(|v| (0..v.ty.len).map(|_| element(v.ty.elem, words)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pimc_ir::generated_cache::ClusterModel;
    use pimc_ir::testing::ModelBuilder;
    use pimc_ir::CacheType;

    #[test]
    fn random_vectors_begin_with_the_extremes_and_repeat_for_a_seed() {
        let text = "pimc 1\ntarget \"hbm3-pim\"\nfunc @main(%x: i8<40>, %z: i3<2>) -> i8<40> {\n  \
                    %y = relu %x : i8<40>\n  return %y\n}";
        let model = ModelBuilder::new(text).build().unwrap();
        let make = |seed| Inputs::Random { count: 5, seed }.vectors(&model.module).unwrap();
        let vectors = make(3);
        assert_eq!(vectors[0], [vec![-128; 40], vec![-4; 2]]);
        assert_eq!(vectors[1], [vec![127; 40], vec![3; 2]]);
        assert!(vectors[2][0].iter().any(|x| *x > 64) && vectors[2][0].iter().any(|x| *x < -64));
        assert!(vectors.iter().all(|v| v[1].iter().all(|x| (-4..4).contains(x))));
        assert_eq!(vectors, make(3));
        assert_ne!(vectors, make(4));
    }

    #[test]
    fn random_prompts_are_those_that_golden_takes() {
        let (dim, sub, k) = (8, 2, 4);
        // Of one and of more key/value heads; of a cache that is empty and of one that holds tokens.
        for (heads, tokens, recent, start) in [(2, 20, 2, 0), (1, 16, 1, 12)] {
            let (kv_heads, sink) = (heads, 1);
            let ty = CacheType { heads, kv_heads, dim, tokens, sub, k, sink, recent, start };
            let f = ClusterModel { ty, tokens: 24, queries: 1, iterations: 1, weight_bits: 5 };
            let model = f.builder("hbm3-pim", 1).build().unwrap();
            let vectors = Inputs::Random { count: 20, seed: 3 }.vectors(&model.module).unwrap();
            let mut state = pimc_golden::State::initial(&model);
            for vector in &vectors {
                pimc_golden::run_step(&model, &mut state, vector).unwrap();
            }
            let (counts, most) = (vectors.iter().map(|v| v[4][0]), tokens as i64);
            assert!(counts.clone().all(|n| (0..=most).contains(&n)));
            assert!(counts.clone().any(|n| n == most) && counts.clone().any(|n| n < most));
            assert!(vectors.iter().all(|v| v[3].iter().all(|w| (0..16).contains(w))));
            assert!(vectors[0][3].iter().chain(&vectors[1][3]).all(|w| *w == 15));
        }
    }

    #[test]
    fn no_vector_is_an_error() {
        let text = "pimc 1\ntarget \"hbm3-pim\"\nfunc @main(%x: i8<4>) -> i8<4> {\n  \
                    %y = relu %x : i8<4>\n  return %y\n}";
        let model = ModelBuilder::new(text).build().unwrap();
        let none = Inputs::Random { count: 0, seed: 1 }.vectors(&model.module);
        assert!(matches!(none, Err(Error::Usage { .. })));
    }
}
