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

/// How many tokens steps may append: a random count would be more than a step has, as a rule.
struct Counts {
    /// Per append: the value that holds the count, tokens of a step, and tokens that there is room for.
    appends: Vec<(ValueId, u64, u64)>,
}

impl Counts {
    fn of(module: &Module) -> Counts {
        let appends = module.func.ops.iter().filter_map(|op| match op.kind {
            OpKind::Append { cache, k, n, .. } if n.0 < module.func.inputs => {
                let ty = module.caches[cache.0].ty;
                let tokens = module.func.values[k.0].ty.len / ty.token_len();
                Some((n, tokens as u64, (ty.tokens - ty.start) as u64))
            }
            _ => None,
        });
        Counts { appends: appends.collect() }
    }

    /// Puts a count that there is room for into a vector.
    fn bound(&mut self, vector: &mut [Vec<i64>], words: &mut Noise) {
        for (n, tokens, room) in &mut self.appends {
            // One token as often as not, as in decoding.
            let count = match words.word() % 2 {
                0 => 1,
                _ => words.word() % (*tokens + 1),
            };
            let count = count.min(*tokens).min(*room);
            *room -= count;
            vector[n.0].fill(count as i64);
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
    use pimc_ir::testing::ModelBuilder;

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
    fn no_vector_is_an_error() {
        let text = "pimc 1\ntarget \"hbm3-pim\"\nfunc @main(%x: i8<4>) -> i8<4> {\n  \
                    %y = relu %x : i8<4>\n  return %y\n}";
        let model = ModelBuilder::new(text).build().unwrap();
        let none = Inputs::Random { count: 0, seed: 1 }.vectors(&model.module);
        assert!(matches!(none, Err(Error::Usage { .. })));
    }
}
