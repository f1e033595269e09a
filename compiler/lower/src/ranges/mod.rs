//! What every word, table entry and accumulator can be: the proof behind every width.
//!
//! The tasks of a model are executed on intervals instead of numbers, from the actual weights.
//! Inputs may be anything of their types. An accumulator must hold every prefix of its sum, so the
//! terms are widened to contain 0 before they are added: the sum then bounds every prefix, in any
//! order. What is written to vector memory is met with what the model proves of the value.

mod blocks;
mod streams;

use crate::mapping::{Content, Known, Mapping, Split, Task, TaskKind, Word};
use pimc_ir::{Model, ValueId, WeightType, WeightView};
use pimc_rtl::isa::{VecOp, Vector};
use std::collections::BTreeMap;

/// Smallest and largest value, both included.
pub type Wide = (i128, i128);

/// Bits of the narrowest signed word that holds a range.
pub fn signed_bits(range: Wide) -> u32 {
    let bits = |x: i128| 129 - if x < 0 { (!x).leading_zeros() } else { x.leading_zeros() };
    bits(range.0).max(bits(range.1))
}

fn join(a: Wide, b: Wide) -> Wide {
    (a.0.min(b.0), a.1.max(b.1))
}

fn plus(a: Wide, b: Wide) -> Wide {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

fn times(a: Wide, b: Wide) -> Wide {
    let all = [
        a.0.saturating_mul(b.0),
        a.0.saturating_mul(b.1),
        a.1.saturating_mul(b.0),
        a.1.saturating_mul(b.1),
    ];
    all.iter().fold((all[0], all[0]), |r, &p| join(r, (p, p)))
}

/// A range that contains 0 as well.
fn or_zero(a: Wide) -> Wide {
    (a.0.min(0), a.1.max(0))
}

/// A range and the op that reaches furthest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Everything it can be.
    pub range: Wide,
    /// The op that needs the most bits.
    pub op: usize,
}

impl Extent {
    const NONE: Extent = Extent { range: (0, 0), op: 0 };

    fn add(&mut self, range: Wide, op: usize) {
        if signed_bits(range) > signed_bits(self.range) {
            self.op = op;
        }
        self.range = join(self.range, range);
    }

    /// Bits of the narrowest signed word that holds it.
    pub fn bits(&self) -> u32 {
        signed_bits(self.range)
    }
}

/// What is proven of one op.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpProof {
    /// All elements of its value.
    pub value: Option<Wide>,
    /// All accumulators of its streams, any prefix.
    pub acc: Option<Wide>,
    /// All words it writes, temporaries included.
    pub words: Option<Wide>,
}

/// What is proven of the binary quadratic blocks; names as in [`pimc_rtl::shape::BlockShape`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockProof {
    /// t_k.
    pub t: Extent,
    /// X.
    pub x_sum: Extent,
    /// T.
    pub t_sum: Extent,
    /// u'*X + t*T and its terms.
    pub constant: Extent,
    /// 2s*X.
    pub ones_factor: Extent,
    /// acc_a.
    pub row: Extent,
    /// r, t, 2s and u'.
    pub scalars: [Extent; 4],
    /// A row's result.
    pub result: Extent,
}

/// What is proven of a model's mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Every word of vector memory and every running sum in the buffer unit.
    pub word: Extent,
    /// Every operand of a multiplication.
    pub factor: Extent,
    /// Every input of a requantiser.
    pub requant: Extent,
    /// Every input that is loaded as bit planes.
    pub planes: Extent,
    /// The gated adder tree's accumulator.
    pub gated: Extent,
    /// The multiply-add row's accumulator.
    pub mac: Extent,
    /// Everything inside of binary quadratic blocks, where there are any.
    pub blocks: Option<BlockProof>,
    /// Per (k, sub): table entries and accumulator of the lookup unit.
    pub lookups: BTreeMap<(usize, usize), (Extent, Extent)>,
    /// Per op.
    pub ops: Vec<OpProof>,
}

/// State of the execution on intervals.
struct Prover<'a> {
    model: &'a Model,
    mapping: &'a Mapping,
    memory: Vec<Wide>,
    /// Entries of the tables, by sub-vector and centroid.
    tables: Vec<Wide>,
    /// The collection of the next stream's results.
    collect: Option<(&'a Task, Vector, Known)>,
    /// Requantiser constants by address.
    requants: BTreeMap<usize, Word>,
    proof: Proof,
}

/// Proves a mapping whose vector memory fits the target.
pub(crate) fn prove(model: &Model, mapping: &Mapping) -> Proof {
    let func = &model.module.func;
    let mut prover = Prover {
        model,
        mapping,
        memory: vec![(0, 0); mapping.depth as usize],
        tables: Vec::new(),
        collect: None,
        requants: BTreeMap::new(),
        proof: Proof::of_values(model),
    };
    for (v, value) in func.values[..func.inputs].iter().enumerate() {
        let range = (i128::from(value.ty.elem.min()), i128::from(value.ty.elem.max()));
        prover.proof.word.add(range, 0);
        let at = mapping.regions[v].addr as usize;
        prover.memory[at..at + value.ty.len].fill(range);
    }
    for &(addr, word) in &mapping.constants {
        match word {
            Word::Int(n) => {
                let word = (i128::from(n), i128::from(n));
                prover.proof.word.add(word, 0);
                prover.memory[addr as usize] = word;
            }
            Word::Requant { .. } => {
                prover.requants.insert(addr as usize, word);
            }
        }
    }
    for task in &mapping.tasks {
        match &task.kind {
            TaskKind::Vec { vector, known } => prover.vec(task, vector, *known),
            TaskKind::Stream { stream, x } => prover.stream(task.op, *stream, *x as usize),
        }
    }
    prover.proof
}

impl Proof {
    /// What the model itself proves: the range of every op's value.
    pub(crate) fn of_values(model: &Model) -> Proof {
        let func = &model.module.func;
        let op = |i: usize| {
            let range = model.range(func.value_of_op(i));
            let value = range.iter().map(|r| (i128::from(r.0), i128::from(r.1))).reduce(join);
            OpProof { value, ..OpProof::default() }
        };
        Proof {
            word: Extent::NONE,
            factor: Extent::NONE,
            requant: Extent::NONE,
            planes: Extent::NONE,
            gated: Extent::NONE,
            mac: Extent::NONE,
            blocks: None,
            lookups: BTreeMap::new(),
            ops: (0..func.ops.len()).map(op).collect(),
        }
    }
}

/// (x*mul + 2^(shift-1)) >> shift.
fn requant(x: i128, mul: i128, shift: u32) -> i128 {
    let half = if shift == 0 { 0 } else { 1i128 << (shift - 1) };
    (x * mul + half) >> shift
}

impl<'a> Prover<'a> {
    fn vec(&mut self, task: &'a Task, v: &Vector, known: Known) {
        let op = task.op;
        let (len, a, b, d) = (v.len as usize, v.a as usize, v.b as usize, v.d as usize);
        let at = |memory: &[Wide], base: usize, step: u32, i: usize| {
            memory[base + if step == 0 { 0 } else { i }]
        };
        match v.op {
            VecOp::LoadBytes => return,
            VecOp::LoadPlanes => {
                for &x in &self.memory[a..a + len] {
                    self.proof.planes.add(x, op);
                }
                return;
            }
            VecOp::Collect | VecOp::CollectSum => {
                self.collect = Some((task, *v, known));
                return;
            }
            VecOp::Argmax => return self.write(task, d, (0, len as i128 - 1), known, 0),
            VecOp::Sum => {
                let words = &self.memory[a..a + len];
                let prefix = words.iter().fold((0, 0), |s, &x| plus(s, or_zero(x)));
                let sum = words.iter().fold((0, 0), |s, &x| plus(s, x));
                self.running(op, prefix);
                return self.write(task, d, sum, known, 0);
            }
            _ => {}
        }
        for i in 0..len {
            let x = || at(&self.memory, a, v.a_step, i);
            let y = || at(&self.memory, b, v.b_step, i);
            let mut factors = None;
            let word = match v.op {
                VecOp::Add => plus(x(), y()),
                VecOp::Mul => {
                    factors = Some((x(), y()));
                    times(x(), y())
                }
                VecOp::Relu => (x().0.max(0), x().1.max(0)),
                VecOp::Requant => {
                    let x = x();
                    self.requant(op, x, b + if v.b_step == 0 { 0 } else { i })
                }
                VecOp::Table => {
                    let (lo, hi) = (x().0 + 128, x().1 + 128);
                    let entries = &self.memory[b + lo as usize..=b + hi as usize];
                    entries.iter().copied().reduce(join).unwrap_or((0, 0))
                }
                // It clamps, and the model knows it better.
                VecOp::Merge => (i32::MIN.into(), i32::MAX.into()),
                // Copy; the others have returned.
                _ => x(),
            };
            if let Some((a, b)) = factors {
                self.proof.factor.add(a, op);
                self.proof.factor.add(b, op);
            }
            self.write(task, d + i, word, known, i);
        }
    }

    /// Range of a requantised x, the constants at `at`.
    fn requant(&mut self, op: usize, x: Wide, at: usize) -> Wide {
        self.proof.requant.add(x, op);
        let Some(&Word::Requant { mul, shift, bits }) = self.requants.get(&at) else { return x };
        // Monotone in x, upward or downward by the sign of mul.
        let (p, q) = (requant(x.0, mul.into(), shift), requant(x.1, mul.into(), shift));
        let (lo, hi) = (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1);
        (p.min(q).clamp(lo, hi), p.max(q).clamp(lo, hi))
    }

    /// A running sum of the buffer unit.
    fn running(&mut self, op: usize, range: Wide) {
        self.proof.word.add(range, op);
        let words = &mut self.proof.ops[op].words;
        *words = Some(words.map_or(range, |w| join(w, range)));
    }

    /// What a word of that range can be if it is an element of a value.
    fn met(&self, word: Wide, value: ValueId, i: usize) -> Wide {
        let proven = self.model.range(value)[i];
        // Both are sound, so the truth is in what they have in common.
        (word.0.max(proven.0.into()), word.1.min(proven.1.into()))
    }

    fn write(&mut self, task: &Task, addr: usize, word: Wide, known: Known, i: usize) {
        let word = match known {
            Known::Elements(value) => self.met(word, value, i),
            Known::From(value, first) => self.met(word, value, first + i),
            Known::Nothing => word,
        };
        self.running(task.op, word);
        self.memory[addr] = word;
    }
}

impl Proof {
    /// One line for a unit's header: what its sum can be, and why that is so.
    pub fn line(what: &str, extent: &Extent, model: &Model) -> String {
        // Without ops it is an input that goes furthest.
        let func = &model.module.func;
        let span = func.ops.get(extent.op).map_or(&func.span, |op| &op.span);
        let text = model.source[span.clone()].trim();
        let (line, column) = model.line_col(span);
        format!(
            "{what}: {} .. {}, so {} bits; furthest at {}:{line}:{column} `{text}`",
            extent.range.0,
            extent.range.1,
            extent.bits(),
            model.file_name,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_at_the_edges() {
        assert_eq!(signed_bits((0, 0)), 1);
        assert_eq!(signed_bits((-1, 0)), 1);
        assert_eq!(signed_bits((0, 1)), 2);
        assert_eq!(signed_bits((-128, 127)), 8);
        assert_eq!(signed_bits((-129, 0)), 9);
        assert_eq!(signed_bits((0, 128)), 9);
        assert_eq!(signed_bits((i64::MIN.into(), i64::MAX.into())), 64);
    }

    #[test]
    fn products_of_ranges() {
        assert_eq!(times((-2, 3), (-5, 7)), (-15, 21));
        assert_eq!(times((-4, -2), (3, 3)), (-12, -6));
    }
}
