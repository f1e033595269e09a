//! Sums of intervals along the rows of a matrix, at about the speed at which the codes can be read.
//!
//! A row may be cut into shares of equally many terms (what one memory bank adds up, where the inputs
//! are dealt out); each share is summed on its own. Every sum is exact. Where the bounds of the terms
//! allow it, both ends of an interval travel in one 64-bit word; where not, in 128 bits each.

use super::{Interval, Wide};
use crate::tensors::{IntView, PqView};
use rayon::prelude::*;

/// Rows that are worked on together: their codes stay in the cache while tables come and go.
const BLOCK_ROWS: usize = 128;
/// Bytes of the tables that are in use at a time.
const TABLE_BYTES: usize = 16 << 10;
/// Sub-vectors that a table covers at least, so that a row's cache lines are used as they come.
const LEAST_PARTS: usize = 32;

/// What sums of intervals along the rows of a matrix are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSums {
    /// The whole of each row.
    pub rows: Vec<Wide>,
    /// Every share of every row, and every prefix of its sum in any order.
    pub share: Wide,
    /// Every row, and every sum of some of its shares.
    pub total: Wide,
}

impl RowSums {
    fn merged(parts: impl Iterator<Item = RowSums>) -> RowSums {
        let none = RowSums { rows: Vec::new(), share: (0, 0), total: (0, 0) };
        parts.fold(none, |mut all, part| {
            all.rows.extend(part.rows);
            all.share = join(all.share, part.share);
            all.total = join(all.total, part.total);
            all
        })
    }
}

fn join(a: Wide, b: Wide) -> Wide {
    (a.0.min(b.0), a.1.max(b.1))
}

fn plus(a: Wide, b: Wide) -> Wide {
    (a.0 + b.0, a.1 + b.1)
}

fn or_zero(a: Wide) -> Wide {
    (a.0.min(0), a.1.max(0))
}

/// Sums of the entries that the codes of a product-quantized weight choose. `entries` has what
/// centroid j of sub-vector s can be at s*k + j; `share` sub-vectors make a share.
pub fn pq_rows(v: &PqView<'_>, entries: &[Wide], share: usize) -> RowSums {
    let ends = Tables::new(v, entries, share);
    // With 0 in every entry a prefix is within the sum; otherwise entries are widened to contain it.
    let wider: Vec<Wide> = entries.iter().map(|&e| or_zero(e)).collect();
    let prefixes = (wider != entries).then(|| Tables::new(v, &wider, share));
    let blocks: Vec<RowSums> = (0..v.rows().div_ceil(BLOCK_ROWS))
        .into_par_iter()
        .map(|b| {
            let rows = b * BLOCK_ROWS..v.rows().min((b + 1) * BLOCK_ROWS);
            let mut sums = reduce(&ends.sums(v, rows.clone()), ends.shares);
            if let Some(prefixes) = &prefixes {
                sums.share = prefixes.sums(v, rows).into_iter().fold((0, 0), join);
            }
            sums
        })
        .collect();
    RowSums::merged(blocks.into_iter())
}

/// Rows of `shares` sums each, prefixes being within the sums.
fn reduce(sums: &[Wide], shares: usize) -> RowSums {
    let mut all = RowSums { rows: Vec::new(), share: (0, 0), total: (0, 0) };
    for row in sums.chunks(shares) {
        let (mut end, mut any) = ((0, 0), (0, 0));
        for &sum in row {
            all.share = join(all.share, sum);
            end = plus(end, sum);
            any = plus(any, or_zero(sum));
        }
        all.rows.push(end);
        all.total = join(all.total, any);
    }
    all
}

/// Table entries, made for adding.
struct Tables<'a> {
    entries: &'a [Wide],
    k: usize,
    parts: usize,
    share: usize,
    shares: usize,
    /// The entries as words, where that is possible.
    packed: Option<Packed>,
}

/// Entries as words: the upper end in the high half, the lower end in the low half, each less the
/// smallest of its sub-vector, so that halves are never negative.
struct Packed {
    /// Words of a sub-vector: k, rounded up.
    stride: usize,
    words: Vec<u64>,
    /// Per share: the sum of what the entries are less.
    base: Vec<(i64, i64)>,
    /// Sub-vectors whose sum cannot overflow a half.
    run: usize,
}

impl<'a> Tables<'a> {
    fn new(v: &PqView<'_>, entries: &'a [Wide], share: usize) -> Tables<'a> {
        let (k, parts) = (v.k(), v.parts());
        let share = share.clamp(1, parts);
        let shares = parts.div_ceil(share);
        let packed = if v.code_bytes(0).is_some() { pack(entries, k, parts, share) } else { None };
        Tables { entries, k, parts, share, shares, packed }
    }

    /// Sums of all shares of some rows.
    fn sums(&self, v: &PqView<'_>, rows: std::ops::Range<usize>) -> Vec<Wide> {
        let Some(packed) = &self.packed else {
            let bank = |r: usize, start: usize| {
                let parts = start..self.parts.min(start + self.share);
                parts.map(|s| self.entries[s * self.k + v.code(r, s)]).fold((0, 0), plus)
            };
            let starts = || (0..self.parts).step_by(self.share);
            return rows.flat_map(|r| starts().map(move |start| bank(r, start))).collect();
        };
        let codes: Vec<&[u8]> = rows.filter_map(|r| v.code_bytes(r)).collect();
        // In order, before they are read table by table, which memory would answer much slower.
        codes.iter().for_each(|row| touch(row));
        let mut sums = vec![(0i64, 0i64); codes.len() * self.shares];
        for (n, start) in (0..self.parts).step_by(self.share).enumerate() {
            let end = self.parts.min(start + self.share);
            for from in (start..end).step_by(packed.run) {
                let to = end.min(from + packed.run);
                let words = &packed.words[from * packed.stride..to * packed.stride];
                let mut add = |r: usize, word: u64| {
                    let sum = &mut sums[r * self.shares + n];
                    sum.0 += (word & 0xffff_ffff) as i64;
                    sum.1 += (word >> 32) as i64;
                };
                match packed.stride {
                    16 => run::<16>(&codes, from..to, words, &mut add),
                    64 => run::<64>(&codes, from..to, words, &mut add),
                    _ => run::<256>(&codes, from..to, words, &mut add),
                }
            }
        }
        let based = |(i, sum): (usize, (i64, i64))| {
            let base = packed.base[i % self.shares];
            (i128::from(sum.0 + base.0), i128::from(sum.1 + base.1))
        };
        sums.into_iter().enumerate().map(based).collect()
    }
}

fn pack(entries: &[Wide], k: usize, parts: usize, share: usize) -> Option<Packed> {
    let stride = [16, 64, 256].into_iter().find(|&s| k <= s)?;
    let small = |x: i128| i64::try_from(x).ok().filter(|x| x.unsigned_abs() < 1 << 40);
    let mut words = vec![0u64; parts * stride];
    let mut base = vec![(0i64, 0i64); parts.div_ceil(share)];
    let mut widest = 1u64;
    for s in 0..parts {
        let book = &entries[s * k..(s + 1) * k];
        let least = (book.iter().map(|e| e.0).min()?, book.iter().map(|e| e.1).min()?);
        let base = &mut base[s / share];
        // At most 2^20 sub-vectors, so no sum of these leaves 64 bits.
        *base = (base.0 + small(least.0)?, base.1 + small(least.1)?);
        for (word, e) in words[s * stride..].iter_mut().zip(book) {
            let low = u32::try_from(e.0 - least.0).ok()?;
            let high = u32::try_from(e.1 - least.1).ok()?;
            widest = widest.max(low.max(high).into());
            *word = u64::from(high) << 32 | u64::from(low);
        }
    }
    let cached = (TABLE_BYTES / 8 / stride).max(LEAST_PARTS);
    let run = cached.min((u64::from(u32::MAX) / widest) as usize);
    Some(Packed { stride, words, base, run })
}

/// Brings bytes into the cache.
pub fn touch(bytes: &[u8]) {
    // Bytes of a cache line.
    const LINE: usize = 64;
    let lines = bytes.iter().step_by(LINE).chain(bytes.last());
    std::hint::black_box(lines.fold(0, |all, b| all ^ b));
}

/// Adds up the words that the codes `parts` of each row choose, `STRIDE` words to a sub-vector. Codes
/// are below `STRIDE`.
fn run<const STRIDE: usize>(
    codes: &[&[u8]],
    parts: std::ops::Range<usize>,
    words: &[u64],
    add: &mut impl FnMut(usize, u64),
) {
    // Four rows at a time, so that additions need not wait for one another.
    for (n, rows) in codes.chunks(4).enumerate() {
        let row = |i: usize| &rows[i.min(rows.len() - 1)][parts.clone()];
        let mut sum = [0u64; 4];
        let pairs = row(0).iter().zip(row(1)).zip(row(2).iter().zip(row(3)));
        for (table, ((&a, &b), (&c, &d))) in words.chunks_exact(STRIDE).zip(pairs) {
            sum[0] += table[usize::from(a) % STRIDE];
            sum[1] += table[usize::from(b) % STRIDE];
            sum[2] += table[usize::from(c) % STRIDE];
            sum[3] += table[usize::from(d) % STRIDE];
        }
        (0..rows.len()).for_each(|i| add(4 * n + i, sum[i]));
    }
}

/// Sums of q*x along the rows of an integer weight: the columns from `first` on, of which `x` has an
/// interval each; `share` columns make a share. Scales are not applied.
pub fn int_rows(v: &IntView<'_>, first: usize, x: &[Interval], share: usize) -> RowSums {
    let share = share.clamp(1, x.len().max(1));
    let bytes = x.iter().all(|x| -128 <= x.0 && x.1 <= 127);
    let ends = Factors::new(x);
    let wider: Vec<Interval> = x.iter().map(|x| (x.0.min(0), x.1.max(0))).collect();
    let prefixes = (wider != x).then(|| Factors::new(&wider));
    let blocks: Vec<RowSums> = (0..v.rows().div_ceil(BLOCK_ROWS))
        .into_par_iter()
        .map(|b| {
            let rows = b * BLOCK_ROWS..v.rows().min((b + 1) * BLOCK_ROWS);
            let sums = |x: &[Interval], factors: &Factors| -> Vec<Wide> {
                let row = |r: usize| {
                    let q = &v.bytes(r)[first..first + x.len()];
                    let shares = (0..x.len()).step_by(share).map(|c| c..x.len().min(c + share));
                    let sum = |at: std::ops::Range<usize>| match bytes {
                        true => factors.sum(&q[at.clone()], at),
                        false => super::dot_range(
                            q[at.clone()].iter().map(|&q| (q as i8).into()),
                            &x[at],
                        ),
                    };
                    shares.map(sum).collect::<Vec<Wide>>()
                };
                rows.clone().flat_map(row).collect()
            };
            let mut reduced = reduce(&sums(x, &ends), x.len().div_ceil(share));
            if let Some(prefixes) = &prefixes {
                reduced.share = sums(&wider, prefixes).into_iter().fold((0, 0), join);
            }
            reduced
        })
        .collect();
    RowSums::merged(blocks.into_iter())
}

/// Ends of intervals of bytes; a product of two bytes fits a 16-bit word.
struct Factors {
    low: Vec<i16>,
    high: Vec<i16>,
}

impl Factors {
    fn new(x: &[Interval]) -> Factors {
        Factors {
            low: x.iter().map(|x| x.0 as i16).collect(),
            high: x.iter().map(|x| x.1 as i16).collect(),
        }
    }

    fn sum(&self, q: &[u8], at: std::ops::Range<usize>) -> Wide {
        let (low, high) = (&self.low[at.clone()], &self.high[at]);
        let mut sum = (0i128, 0i128);
        // 2^16 products of 15 bits and a sign fit 32 bits.
        let pieces = q.chunks(1 << 16).zip(low.chunks(1 << 16)).zip(high.chunks(1 << 16));
        for ((q, low), high) in pieces {
            let mut ends = (0i32, 0i32);
            for ((&q, &low), &high) in q.iter().zip(low).zip(high) {
                let (a, b) = (i16::from(q as i8) * low, i16::from(q as i8) * high);
                ends.0 += i32::from(a.min(b));
                ends.1 += i32::from(a.max(b));
            }
            sum = (sum.0 + i128::from(ends.0), sum.1 + i128::from(ends.1));
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ModelBuilder;
    use crate::{Model, WeightId, WeightView};
    use proptest::prelude::*;

    /// Each share's term by term sum, and what follows from them.
    fn plainly(
        rows: usize,
        terms: usize,
        share: usize,
        term: impl Fn(usize, usize) -> Wide,
    ) -> RowSums {
        let mut all = RowSums { rows: Vec::new(), share: (0, 0), total: (0, 0) };
        for r in 0..rows {
            let (mut end, mut any) = ((0, 0), (0, 0));
            for first in (0..terms).step_by(share) {
                let mine = || (first..terms.min(first + share)).map(|i| term(r, i));
                all.share = join(all.share, mine().map(or_zero).fold((0, 0), plus));
                let sum = mine().fold((0, 0), plus);
                (end, any) = (plus(end, sum), plus(any, or_zero(sum)));
            }
            all.rows.push(end);
            all.total = join(all.total, any);
        }
        all
    }

    fn model(
        ty: &str,
        rows: usize,
        cols: usize,
        of: impl Fn(ModelBuilder) -> ModelBuilder,
    ) -> Model {
        let text = format!(
            "pimc 1\ntarget \"hbm3-pim\"\nweight @w : {ty} from \"w\"\nfunc @main(%x: i8<{cols}>) -> \
             i64<{rows}> {{\n  %y = matvec @w, %x : i64<{rows}>\n  return %y\n}}\n"
        );
        of(ModelBuilder::new(text)).build().unwrap_or_else(|d| panic!("{d}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        /// More rows than a block, more sub-vectors than a table holds, every width of codes, entries to
        /// one side of 0, and entries that no half word holds.
        #[test]
        fn codes_choose_sums(
            seed: u64,
            rows in 1..150usize,
            parts in 1..150usize,
            k in prop::sample::select(vec![2usize, 16, 17, 64, 65, 256, 300]),
            share in 1..150usize,
            bits in 3..34u32,
            one_side: bool,
        ) {
            let mut word = seed;
            let mut next = || {
                word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                (word >> 33) as i64
            };
            let codes: Vec<u16> = (0..rows * parts).map(|_| (next() % k as i64) as u16).collect();
            let entries: Vec<Wide> = (0..parts * k).map(|_| {
                let (a, b) = (next() % (1 << bits), next() % (1 << bits));
                let (a, b) = (i128::from(a.min(b)) << (bits / 8), i128::from(a.max(b)) << (bits / 8));
                if one_side { (a, b) } else { (a - b, b) }
            }).collect();
            let ty = format!("pq<{rows}x{parts}, sub=1, k={k}>");
            let model = model(&ty, rows, parts, |b| b.pq("w", &codes, &vec![0; parts * k]));
            let WeightView::Pq(v) = model.weight(WeightId(0)) else { panic!("pq") };
            let term = |r: usize, s: usize| entries[s * k + usize::from(codes[r * parts + s])];
            prop_assert_eq!(pq_rows(&v, &entries, share), plainly(rows, parts, share, term));
        }

        #[test]
        fn integers_weigh_sums(seed: u64, rows in 1..150usize, cols in 1..80usize, first in 0..20usize, share in 1..80usize, one_side: bool) {
            let mut word = seed;
            let mut next = || {
                word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                (word >> 56) as i8
            };
            let all = first + cols;
            let q: Vec<i8> = (0..rows * all).map(|_| next()).collect();
            let x: Vec<Interval> = (0..cols).map(|_| {
                let (a, b) = (i64::from(next()), i64::from(next()));
                if one_side { (a.min(b), a.max(b)) } else { (-128, 127) }
            }).collect();
            let ty = format!("int<{rows}x{all}, bits=8>");
            let model = model(&ty, rows, all, |b| b.int("w", &q, &[]));
            let WeightView::Int(v) = model.weight(WeightId(0)) else { panic!("int") };
            let term = |r: usize, c: usize| {
                let w = i128::from(q[r * all + first + c]);
                let (a, b) = (w * i128::from(x[c].0), w * i128::from(x[c].1));
                (a.min(b), a.max(b))
            };
            prop_assert_eq!(int_rows(&v, first, &x, share), plainly(rows, cols, share, term));
        }
    }
}
