//! Collecting results: what the buffer unit writes while a stream's rows end.

use super::{At, Machine, Sink};
use pimc_rtl::isa::{VecOp, Vector};

/// A `Collect` or `CollectSum` under way.
#[derive(Clone, Copy)]
pub(super) struct Collecting {
    v: Vector,
    /// Matrix rows that have come.
    rows: u32,
}

impl Collecting {
    pub(super) fn new(v: Vector, banks: u32) -> Result<Collecting, String> {
        let passes = v.op == VecOp::CollectSum;
        if v.len == 0 || passes && (v.a == 0 || v.b == 0 || v.len % v.a != 0) {
            return Err(format!("a collection of {} in passes of {} rows", v.len, v.a));
        }
        if passes && u64::from(v.len) * u64::from(v.b) > u64::from(u32::MAX) {
            return Err(format!("a collection of more than 2^32 rows over {banks} banks"));
        }
        Ok(Collecting { v, rows: 0 })
    }

    /// Rows that are still to come.
    pub(super) fn left(&self, banks: u32) -> u32 {
        let all = match self.v.op {
            VecOp::CollectSum => self.v.len * self.v.b,
            _ => self.v.len.div_ceil(banks),
        };
        all - self.rows
    }
}

impl Machine<'_> {
    /// A matrix row has ended in every bank, with these results.
    pub(super) fn collect(
        &mut self,
        collecting: &mut Collecting,
        results: &[i64],
        at: At,
        sink: &mut dyn Sink,
    ) -> Result<(), String> {
        if collecting.left(self.shape.banks) == 0 {
            return Err("a matrix row ends that is not collected".into());
        }
        let (v, n) = (collecting.v, collecting.rows);
        collecting.rows += 1;
        if v.op == VecOp::Collect {
            let first = n * self.shape.banks;
            for (i, &x) in (first..v.len).zip(results) {
                self.write(v.d.saturating_add(i), x.into(), at, sink)?;
            }
            return Ok(());
        }
        let (pass, row) = (n / v.a % v.b, n / (v.a * v.b) * v.a + n % v.a);
        // The adders of the tree are as wide as a word.
        let mut sums: Vec<i128> = results.iter().map(|&x| x.into()).collect();
        while sums.len() > 1 {
            sums = sums.chunks(2).map(|pair| pair.iter().sum()).collect();
            for &sum in &sums {
                self.in_word(sum)?;
            }
        }
        let sum = sums.first().copied().unwrap_or(0);
        let before = if pass == 0 { 0 } else { self.word(v.d, row)?.into() };
        self.write(v.d.saturating_add(row), before + sum, at, sink)
    }
}
