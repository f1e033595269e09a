//! The merge unit: two states of attention, a row of each. By the language's page on `merge`.

use super::softmax::{exp2_neg, Sum};
use super::{fits, Machine};
use pimc_rtl::attention::PROB_BITS;
use pimc_rtl::isa::Vector;

impl Machine<'_> {
    /// The row that comes of those at A and B.
    pub(super) fn merge(&self, v: &Vector) -> Result<Vec<i128>, String> {
        let shape = self.shape.buffer.merge.as_ref().ok_or("no merge unit is built")?;
        if v.a_step != 1 || v.b_step != 1 {
            return Err("a merge of rows whose steps are not 1".into());
        }
        let end = v.len - 1;
        let (log_a, log_b) = (self.log_sum_exp(v.a, end)?, self.log_sum_exp(v.b, end)?);
        let (x, lx, y, ly) =
            if log_b > log_a { (v.b, log_b, v.a, log_a) } else { (v.a, log_a, v.b, log_b) };
        let weight = match ly == i64::from(i32::MIN) {
            true => 0,
            false => exp2_neg(&shape.exp_table, i128::from(lx) - i128::from(ly)),
        };
        let one = 1i64 << (PROB_BITS - 1);
        let sum = Sum::of(one + weight).ok_or("a sum of no weights")?;
        let clamp = |z: i128| z.clamp(i32::MIN.into(), i32::MAX.into());
        let mut row = Vec::with_capacity(v.len as usize);
        for i in 0..end {
            let (x, y) = (self.word(x, i)?, self.word(y, i)?);
            for mean in [x, y] {
                if !fits(mean.into(), shape.mean_bits) {
                    let bits = shape.mean_bits;
                    return Err(format!("an element of a state is {mean}: wider than {bits} bits"));
                }
            }
            let both = i128::from(x) * i128::from(one) + i128::from(y) * i128::from(weight);
            row.push(clamp(sum.divide(&shape.reciprocal_table, both, 0)));
        }
        row.push(clamp((lx + sum.log2(&shape.log_table)).into()));
        Ok(row)
    }

    /// A log-sum-exp, behind the elements of a row.
    fn log_sum_exp(&self, row: u32, end: u32) -> Result<i64, String> {
        let log = self.word(row, end)?;
        match fits(log.into(), 32) {
            true => Ok(log),
            false => Err(format!("a log-sum-exp is {log}: wider than 32 bits")),
        }
    }
}
