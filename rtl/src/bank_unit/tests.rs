//! Streams through a bank unit against plain integers: every mode, every kind of shape.

use super::*;
use crate::shape::{GatedShape, LookupShape, MacShape};
use crate::testing::{self, channel, pack, signs_of, Rng};

fn empty() -> BankShape {
    BankShape {
        lookups: vec![],
        gated: None,
        mac: None,
        byte_words: 0,
        result_bits: 24,
        result_depth: 40,
    }
}

fn lookup(k: u32, sub: u32, blocks: u32) -> LookupShape {
    testing::lookup(k, sub, blocks, (19, 23))
}

/// A bank unit with the columns of a stream on their way to it, and what it has reported.
struct Bench {
    uut: Inst<BankUnit>,
    interval: usize,
    /// `column_acc` at every `column_done`.
    columns: Vec<i128>,
}

impl Bench {
    fn new(bank: BankShape) -> Bench {
        let uut = Inst::new(BankUnit::new(&channel(bank)));
        Bench { uut, interval: 4, columns: vec![] }
    }

    fn clock(&mut self) {
        clock(&mut self.uut);
        if self.uut.column_done.val() {
            self.columns.push(self.uut.column_acc.get());
        }
    }

    fn start(&mut self, mode: StreamMode) {
        let modes = self.uut._shape.bank.modes();
        let number = modes.iter().position(|m| *m == mode).unwrap();
        if let Some(m) = self.uut.mode.first_mut() {
            m.set(number as i128);
        }
        self.uut.stream_start.next = true;
        self.clock();
        self.uut.stream_start.next = false;
    }

    /// Streams matrix rows of beats, each row from a column boundary, columns `interval` apart. Beats
    /// that are not used are filled with ones: they must not count.
    fn rows(&mut self, rows: &[Vec<u64>]) {
        self.columns.clear();
        let masked = !self.uut.sign_start.is_empty();
        let mut columns = vec![];
        for row in rows {
            let last = row.len().div_ceil(4) - 1;
            for (at, beats) in row.chunks(4).enumerate() {
                columns.push((at == 0, at == last, beats.to_vec()));
            }
        }
        let lead = SEED_CLOCKS as usize;
        let ticks = columns.len() * self.interval + lead;
        for tick in 0..ticks {
            let column = |tick: usize| {
                (tick % self.interval == 0).then(|| columns.get(tick / self.interval)).flatten()
            };
            if masked {
                self.uut.sign_start[0].next = column(tick).is_some_and(|c| c.0);
            }
            let now = tick.checked_sub(lead).and_then(column);
            self.uut.col_valid.next = now.is_some();
            if let Some((first, last, beats)) = now {
                self.uut.col_first.next = *first;
                self.uut.col_last.next = *last;
                self.uut.col_beats.set(beats.len() as i128 - 1);
                for (b, port) in self.uut.rd_data.iter_mut().enumerate() {
                    port.set(beats.get(b).map_or(u64::MAX, |x| *x) as i128);
                }
            }
            self.clock();
        }
        self.uut.col_valid.next = false;
        if masked {
            self.uut.sign_start[0].next = false;
        }
        // The last column entered `interval` clocks ago; its results are written now.
        let beats = columns.last().map_or(4, |c| c.2.len());
        for _ in self.interval..beats + UNIT_LATENCY as usize {
            self.clock();
        }
    }

    fn result(&mut self, index: usize) -> (i128, Option<i128>) {
        self.uut.drain_index.set(index as i128);
        self.clock();
        (self.uut.result.get(), self.uut.ones.first().map(|o| o.get()))
    }

    fn load_bytes(&mut self, x: &[i8], word_bytes: usize, block_bytes: usize) {
        let mut at = 0;
        for block in x.chunks(block_bytes) {
            for word in block.chunks(word_bytes) {
                self.uut.byte_we[0].next = true;
                self.uut.byte_addr[0].set(at);
                self.uut.load_data.set(pack(word));
                self.clock();
                at += 1;
            }
        }
        self.uut.byte_we[0].next = false;
    }

    fn load_planes(&mut self, x: &[i64], planes: usize) {
        for (group, x) in x.chunks(64).enumerate() {
            for p in 0..planes {
                let word =
                    x.iter().enumerate().fold(0u64, |w, (j, x)| w | ((x >> p & 1) as u64) << j);
                self.uut.plane_we[0].next = true;
                self.uut.plane[0].set(p as i128);
                self.uut.plane_group[0].set(group as i128);
                self.uut.load_data.set(word as i128);
                self.clock();
            }
        }
        self.uut.plane_we[0].next = false;
    }
}

fn bits(row: &[bool]) -> Vec<u64> {
    let word = |c: &[bool]| c.iter().enumerate().fold(0u64, |w, (j, b)| w | (*b as u64) << j);
    row.chunks(64).map(word).collect()
}

fn inputs(rng: &mut Rng, n: usize) -> Vec<i8> {
    (0..n).map(|i| if i % 7 == 0 { -128 } else { rng.below(256) as u8 as i8 }).collect()
}

/// Codebook and codes of `rows` x `vectors` through lookup unit `unit` of the bank.
fn run_lookup(bench: &mut Bench, unit: u32, vectors: usize, rows: usize, seed: u64) {
    let mut rng = Rng::new(seed);
    let p = bench.uut._shape.bank.lookups[unit as usize];
    let (lanes, chunk, sub) = (p.lanes as usize, p.chunk as usize, p.sub as usize);
    let blocks = vectors.div_ceil(lanes);
    let x = inputs(&mut rng, vectors * sub);
    let book: Vec<Vec<Vec<i8>>> =
        (0..vectors).map(|_| (0..p.k).map(|_| inputs(&mut rng, sub)).collect()).collect();
    bench.load_bytes(&x, chunk * sub, lanes * sub);
    let mut beats = vec![];
    for block in 0..blocks {
        for j in 0..p.k as usize {
            for c in 0..lanes / chunk {
                let mut word = 0u64;
                for i in (0..chunk).rev() {
                    for byte in (0..sub).rev() {
                        let centroid = book.get(block * lanes + c * chunk + i);
                        let value = centroid.map_or(0, |b| b[j][byte]);
                        word = word << 8 | (value as u8) as u64;
                    }
                }
                beats.push(word);
            }
        }
    }
    bench.start(StreamMode::Build(unit));
    bench.rows(&[beats]);
    assert!(bench.columns.is_empty(), "a codebook has no results");

    let codes: Vec<Vec<u64>> =
        (0..rows).map(|_| (0..vectors).map(|_| rng.below(p.k as u64)).collect()).collect();
    let beat = |c: &[u64]| c.iter().rev().fold(0u64, |w, c| w << p.code_bits | c);
    let stream: Vec<Vec<u64>> =
        codes.iter().map(|row| row.chunks(lanes).map(beat).collect()).collect();
    let term = |v: usize, code: u64| -> i64 {
        let c = &book[v][code as usize];
        (0..sub).map(|i| c[i] as i64 * x[v * sub + i] as i64).sum()
    };
    bench.start(StreamMode::Lookup(unit));
    bench.rows(&stream);
    let mut partial = vec![];
    for (r, row) in codes.iter().enumerate() {
        let mut sum = 0;
        for (v, code) in row.iter().enumerate() {
            sum += term(v, *code);
            if (v + 1) % (4 * lanes) == 0 || v + 1 == vectors {
                partial.push(sum as i128);
            }
        }
        assert_eq!(bench.result(r).0, sum as i128, "row {r}");
    }
    assert_eq!(bench.columns, partial, "the accumulator after every column");
}

#[test]
fn lookups_of_every_shape() {
    for (k, sub, blocks) in
        [(16, 2, 3), (2, 1, 2), (512, 8, 1), (512, 1, 2), (2, 8, 1), (5, 3, 2), (256, 4, 5)]
    {
        let l = lookup(k, sub, blocks);
        let bank = BankShape { lookups: vec![l], byte_words: blocks * l.chunks(), ..empty() };
        let mut bench = Bench::new(bank);
        let vectors = (l.lanes * blocks) as usize;
        run_lookup(&mut bench, 0, vectors, 3, k as u64);
        // Fewer sub-vectors than the tables hold, and a single row; the tables are overwritten.
        run_lookup(&mut bench, 0, (vectors - l.lanes as usize / 2).max(1), 1, k as u64 + 1);
        run_lookup(&mut bench, 0, 1, 5, k as u64 + 2);
    }
}

#[test]
fn two_codebooks_and_integer_weights_share_a_bank() {
    let (a, b) = (lookup(16, 2, 2), lookup(256, 4, 3));
    let bank = BankShape {
        byte_words: (2 * a.chunks()).max(3 * b.chunks()),
        lookups: vec![a, b],
        mac: Some(MacShape { acc_bits: 22 }),
        ..empty()
    };
    let mut bench = Bench::new(bank);
    for seed in 0..2 {
        run_lookup(&mut bench, 0, 32, 2, seed);
        run_lookup(&mut bench, 1, 24, 2, seed + 10);
        run_mac(&mut bench, 61, 3, seed);
    }
}

fn run_mac(bench: &mut Bench, cols: usize, rows: usize, seed: u64) {
    let mut rng = Rng::new(seed);
    let x = inputs(&mut rng, cols);
    let weights: Vec<Vec<i8>> = (0..rows).map(|_| inputs(&mut rng, cols)).collect();
    bench.load_bytes(&x, 8, 8);
    let beat = |c: &[i8]| c.iter().rev().fold(0u64, |w, b| w << 8 | (*b as u8) as u64);
    let stream: Vec<Vec<u64>> = weights.iter().map(|w| w.chunks(8).map(beat).collect()).collect();
    bench.start(StreamMode::Mac);
    // The last word of x holds bytes of an earlier, longer x; the weights there are zero.
    bench.rows(&stream);
    for (r, w) in weights.iter().enumerate() {
        let want: i64 = w.iter().zip(&x).map(|(w, x)| *w as i64 * *x as i64).sum();
        assert_eq!(bench.result(r).0, want as i128, "row {r}");
    }
}

#[test]
fn integer_weights_alone() {
    for cols in [1, 8, 9, 32, 33, 100, 256] {
        let bank = BankShape {
            byte_words: (cols as u32).div_ceil(8),
            mac: Some(MacShape { acc_bits: 24 }),
            ..empty()
        };
        let mut bench = Bench::new(bank);
        run_mac(&mut bench, cols, 4, cols as u64);
        bench.interval = 6;
        run_mac(&mut bench, cols, 4, cols as u64 + 1);
    }
}

fn gated(signs: bool, mask: bool, coats: u32, groups: u32) -> BankShape {
    let shape = GatedShape {
        planes: 8,
        groups,
        acc_bits: 21,
        column_signs: signs.then_some(10),
        generated_signs: mask.then_some(coats),
    };
    BankShape { gated: Some(shape), ..empty() }
}

fn run_signs(bench: &mut Bench, cols: usize, rows: &[Vec<bool>], x: &[i64]) {
    bench.load_planes(&x[..cols], 8);
    bench.start(StreamMode::Signs);
    bench.rows(&rows.iter().map(|r| bits(r)).collect::<Vec<_>>());
    for (r, row) in rows.iter().enumerate() {
        let sum: i64 = row.iter().zip(x).map(|(b, x)| if *b { *x } else { -x }).sum();
        let ones = row.iter().filter(|b| **b).count();
        let (result, counted) = bench.result(r);
        assert_eq!(result, sum as i128, "row {r}");
        if let Some(counted) = counted {
            assert_eq!(counted, ones as i128, "row {r}");
        }
    }
}

#[test]
fn sign_columns() {
    let mut rng = Rng::new(5);
    for cols in [1, 63, 64, 65, 128, 256, 257, 640] {
        let x: Vec<i64> = inputs(&mut rng, cols).into_iter().map(i64::from).collect();
        let mut rows = vec![vec![false; cols], vec![true; cols]];
        rows.extend((0..3).map(|_| (0..cols).map(|_| rng.below(2) == 1).collect()));
        let mut bench = Bench::new(gated(true, false, 0, (cols as u32).div_ceil(64)));
        run_signs(&mut bench, cols, &rows, &x);
        run_signs(&mut bench, cols, &rows[..1], &vec![-128; cols]);
    }
}

/// `coats[row][col]` through a bank: nested masks, in the order group, coat.
fn run_mask(
    bench: &mut Bench,
    bank: u32,
    key: u32,
    coats: usize,
    weights: &[Vec<usize>],
    x: &[i64],
) {
    bench.load_planes(x, 8);
    bench.uut.bank[0].set(bank as i128);
    bench.uut.sign_key[0].set(key as i128);
    if let Some(c) = bench.uut.coats_less_1.first_mut() {
        c.set(coats as i128 - 1);
    }
    let stream: Vec<Vec<u64>> = weights
        .iter()
        .map(|row| {
            let group = |g: &[usize]| -> Vec<u64> {
                (0..coats).map(|c| bits(&g.iter().map(|w| *w > c).collect::<Vec<_>>())[0]).collect()
            };
            row.chunks(64).flat_map(group).collect()
        })
        .collect();
    bench.start(StreamMode::Mask);
    bench.rows(&stream);
    for (r, row) in weights.iter().enumerate() {
        let signs = signs_of(key, bank + 16 * r as u32, row.len());
        let want: i64 = row.iter().zip(&signs).zip(x).map(|((w, s), x)| *w as i64 * s * x).sum();
        assert_eq!(bench.result(r).0, want as i128, "row {r} of bank {bank}");
    }
}

#[test]
fn masks_with_generated_signs() {
    let mut rng = Rng::new(9);
    for (cols, most, coats) in
        [(1, 1, 1), (64, 1, 1), (200, 3, 3), (256, 3, 2), (65, 15, 15), (640, 2, 1)]
    {
        let x: Vec<i64> = inputs(&mut rng, cols).into_iter().map(i64::from).collect();
        let mut rows = vec![vec![0; cols], vec![coats; cols]];
        rows.extend(
            (0..4).map(|_| {
                (0..cols).map(|_| rng.below(coats as u64 + 1) as usize).collect::<Vec<_>>()
            }),
        );
        let mut bench = Bench::new(gated(false, true, most, (cols as u32).div_ceil(64)));
        for (bank, key) in [(0, 0), (15, 0xdead_beef)] {
            run_mask(&mut bench, bank, key, coats, &rows, &x);
        }
        bench.interval = 7;
        run_mask(&mut bench, 3, 1, coats, &rows[2..3], &x);
    }
}

#[test]
fn signs_and_masks_take_turns_in_one_gated_sum() {
    let mut rng = Rng::new(11);
    let x: Vec<i64> = inputs(&mut rng, 130).into_iter().map(i64::from).collect();
    let mut bench = Bench::new(gated(true, true, 3, 3));
    for coats in [1, 3, 2] {
        let rows: Vec<Vec<bool>> =
            (0..3).map(|_| (0..130).map(|_| rng.below(2) == 1).collect()).collect();
        run_signs(&mut bench, 130, &rows, &x);
        let weights: Vec<Vec<usize>> = (0..3)
            .map(|_| (0..130).map(|_| rng.below(coats as u64 + 1) as usize).collect())
            .collect();
        run_mask(&mut bench, 6, 77, coats, &weights, &x);
    }
}

#[test]
fn a_result_is_readable_no_earlier_than_the_latency_says() {
    let mut bench =
        Bench::new(BankShape { byte_words: 1, mac: Some(MacShape { acc_bits: 16 }), ..empty() });
    bench.load_bytes(&[1; 8], 8, 8);
    bench.start(StreamMode::Mac);
    bench.uut.col_valid.next = true;
    bench.uut.col_first.next = true;
    bench.uut.col_last.next = true;
    bench.uut.col_beats.set(0);
    bench.uut.rd_data[0].set(0x0101_0101_0101_0101);
    bench.clock();
    bench.uut.col_valid.next = false;
    // The beat is in the data path in the next clock, and the address UNIT_LATENCY clocks after it.
    let mut seen = vec![];
    for _ in 0..=UNIT_LATENCY + 1 {
        seen.push(bench.result(0).0);
    }
    let first = seen.iter().position(|x| *x == 8).unwrap() as u32;
    assert_eq!(first, UNIT_LATENCY, "{seen:?}");
}
