//! Binary quadratic blocks in a bank unit: one block and basis, beat by beat.
//!
//! From the table and the formula of [`pimc_rtl::shape::BlockShape`].

use super::bank::{bit, Streaming};
use super::{fits, wrap};
use pimc_rtl::shape::BlockShape;

/// The scalars of a block and basis.
#[derive(Clone, Copy, Default)]
struct Scalars {
    r: i64,
    t: i64,
    s2: i64,
    u: i64,
}

/// The block under way.
#[derive(Default)]
pub(super) struct BlockUnit {
    /// Blocks and bases that are done.
    done: usize,
    /// Beat within the present one.
    beat: usize,
    /// Sum of the present row of B or A, or of the inputs.
    sum: i128,
    ones: i64,
    /// Results of the rows of B, cut to the width of their planes.
    t: Vec<i64>,
    x_sum: i128,
    scalars: Scalars,
    /// What was too wide; harmless while every scalar is zero, as those of padding are.
    too_wide: Option<String>,
}

impl BlockUnit {
    /// The accumulator, as the adder tree holds it.
    pub(super) fn acc(&self, s: &Streaming) -> i64 {
        wrap(self.sum, s.acc_bits())
    }

    /// Takes a beat, with the bank's inputs; the result of a row of A that it ends.
    pub(super) fn beat(
        &mut self,
        s: &Streaming,
        beat: &[u64],
        inputs: &[i64],
    ) -> Result<Option<i64>, String> {
        let shape = s.blocks.ok_or("no binary quadratic blocks are built")?;
        let block = s.fields().block;
        let [x_beats, inner, t_beats, rows, slots] = block.fields().map(|n| n as usize + 1);
        let scalars = BlockShape::scalar_beats(x_beats as u32) as usize;
        let (first, size) = (self.done % slots * x_beats, 64 * beat.len());
        let x = |group: usize| {
            let at = size * (first + group);
            inputs.get(at..at + size).ok_or("a block with more inputs than there are")
        };
        let q = self.beat;
        self.beat += 1;
        if q < inner * x_beats {
            let part = signed(beat, x(q % x_beats)?);
            self.add(part, q % x_beats == 0);
            if (q + 1) % x_beats == 0 {
                self.check("a row of B", self.sum, shape.t_bits);
                self.t.push(wrap(self.sum, shape.t_bits));
            }
            return Ok(None);
        }
        let q = q - inner * x_beats;
        if q < scalars {
            self.scalar(q, beat[0]);
            if q < x_beats {
                let part = x(q)?.iter().map(|&x| i128::from(x)).sum();
                self.add(part, q == 0);
            }
            if q + 1 == x_beats {
                self.x_sum = self.sum;
            }
            return Ok(None);
        }
        let q = q - scalars;
        if q >= rows * t_beats {
            return Err("a block with more beats than it has rows".into());
        }
        let from = q % t_beats * size;
        let mut group = vec![0i64; size];
        for (to, t) in group.iter_mut().zip(self.t.iter().skip(from)) {
            *to = *t;
        }
        self.add(signed(beat, &group), from == 0);
        let ones: u32 = beat.iter().map(|word| word.count_ones()).sum();
        self.ones = i64::from(ones) + if from == 0 { 0 } else { self.ones };
        if (q + 1) % t_beats != 0 {
            return Ok(None);
        }
        Ok(Some(self.row(&shape)?))
    }

    /// The column register's last beat was that of a block: the next block begins.
    pub(super) fn end(&mut self) {
        *self = BlockUnit { done: self.done + 1, sum: self.sum, ..BlockUnit::default() };
    }

    fn add(&mut self, part: i128, first: bool) {
        self.sum = part + if first { 0 } else { self.sum };
    }

    fn scalar(&mut self, q: usize, beat: u64) {
        match q {
            0 => {
                self.scalars.r = i64::from(beat as i16);
                self.scalars.t = i64::from((beat >> 16) as i16);
                self.scalars.s2 = i64::from((beat >> 32) as i32);
            }
            1 => self.scalars.u = beat as i64,
            _ => {}
        }
    }

    fn check(&mut self, what: &str, value: i128, bits: u32) {
        if !fits(value, bits) && self.too_wide.is_none() {
            self.too_wide = Some(format!("{what}: {value} is wider than {bits} bits"));
        }
    }

    /// The result of the row of A in `sum` and `ones`.
    fn row(&mut self, shape: &BlockShape) -> Result<i64, String> {
        let Scalars { r, t, s2, u } = self.scalars;
        let t_sum: i128 = self.t.iter().map(|&t| i128::from(t)).sum();
        let ones_factor = i128::from(s2) * self.x_sum;
        let constant = i128::from(u) * self.x_sum + i128::from(t) * t_sum;
        let y = i128::from(r) * self.sum + ones_factor * i128::from(self.ones) + constant;
        for (what, value, bits) in [
            ("r", r.into(), shape.r_bits),
            ("t", t.into(), shape.t_factor_bits),
            ("2s", s2.into(), shape.s_bits),
            ("u'", u.into(), shape.u_bits),
            ("X", self.x_sum, shape.x_sum_bits),
            ("T", t_sum, shape.t_sum_bits),
            ("2s*X", ones_factor, shape.ones_factor_bits),
            ("u'*X + t*T", constant, shape.constant_bits),
            ("a row of A", self.sum, shape.row_bits),
            ("a result", y, shape.result_bits),
        ] {
            self.check(what, value, bits);
        }
        if [r, t, s2, u] != [0; 4] {
            if let Some(what) = &self.too_wide {
                return Err(what.clone());
            }
        }
        Ok(wrap(y, shape.result_bits))
    }
}

/// Sum of +-x by the bits of a beat, 1 is +.
fn signed(beat: &[u64], x: &[i64]) -> i128 {
    x.iter().enumerate().map(|(j, &x)| i128::from(if bit(beat, j) { x } else { -x })).sum()
}
