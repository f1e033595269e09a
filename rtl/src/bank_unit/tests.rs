//! Streams through a bank unit against plain integers: every mode, every kind of shape.

use super::*;
mod blocks;
use crate::shape::{GatedShape, LookupShape, MacShape};
use crate::testing::{self, channel, pack, signs_of, Rng};
use crate::timing::row_clocks;

fn empty() -> BankShape {
    BankShape {
        lookups: vec![],
        gated: None,
        blocks: None,
        mac: None,
        attention: None,
        byte_words: 0,
        result_bits: 24,
    }
}

fn lookup(k: u32, sub: u32, blocks: u32) -> LookupShape {
    testing::lookup(k, sub, blocks, (19, 23))
}

/// Bits of a beat, each with the beats of a column of 256.
const FOLDS: [(u32, u32); 2] = [(64, 4), (128, 2)];

/// The lookup unit on beats of `size` bits.
fn folded(l: LookupShape, size: u32) -> LookupShape {
    if size > 64 {
        testing::wide(l)
    } else {
        l
    }
}

/// A bank unit with the columns of a stream on their way to it, and what it has reported.
struct Bench {
    uut: Inst<BankUnit>,
    interval: usize,
    /// Bits of a beat.
    size: usize,
    /// Beats of a column.
    beats: usize,
    mode: StreamMode,
    /// `column_acc` at every `column_done`.
    columns: Vec<i128>,
    /// `row_value` at every `row_valid`.
    results: Vec<i128>,
}

impl Bench {
    fn new(bank: BankShape) -> Bench {
        Bench::folded(bank, FOLDS[0])
    }

    /// With beats of so many bits, and so many of them to a column, as far apart as those take.
    fn folded(bank: BankShape, (beat_bits, beats): (u32, u32)) -> Bench {
        let shape = ChannelShape { beat_bits, beats, ..channel(bank) };
        let uut = Inst::new(BankUnit::new(&shape));
        let (size, beats) = (beat_bits as usize, beats as usize);
        let (mode, columns, results) = (StreamMode::Mac, vec![], vec![]);
        Bench { uut, interval: beats, size, beats, mode, columns, results }
    }

    fn clock(&mut self) {
        clock(&mut self.uut);
        if self.uut.column_done.val() {
            self.columns.push(self.uut.column_acc.get());
        }
        if self.uut.row_valid.val() {
            self.results.push(self.uut.row_value.get());
        }
    }

    fn start(&mut self, mode: StreamMode) {
        self.mode = mode;
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
    fn rows(&mut self, rows: &[Vec<u128>]) {
        self.columns.clear();
        self.results.clear();
        let masked = !self.uut.sign_start.is_empty();
        let mut columns = vec![];
        for row in rows {
            let last = row.len().div_ceil(self.beats) - 1;
            for (at, beats) in row.chunks(self.beats).enumerate() {
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
                    port.set(beats.get(b).map_or(u128::MAX, |x| *x) as i128);
                }
            }
            self.clock();
        }
        self.uut.col_valid.next = false;
        if masked {
            self.uut.sign_start[0].next = false;
        }
        // The last column entered `interval` clocks ago; its result is still to come.
        let beats = columns.last().map_or(self.beats, |c| c.2.len());
        for _ in self.interval..beats + row_clocks(self.mode) as usize {
            self.clock();
        }
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
        for (group, x) in x.chunks(self.size).enumerate() {
            let word =
                |p| x.iter().enumerate().fold(0, |w, (j, x)| w | (i128::from(x >> p & 1)) << j);
            let at_once = 1 + self.uut.load_second.len();
            for p in (0..planes).step_by(at_once) {
                self.uut.plane_we[0].next = true;
                self.uut.plane[0].set((p / at_once) as i128);
                self.uut.plane_group[0].set(group as i128);
                self.uut.load_data.set(word(p));
                for second in &mut self.uut.load_second {
                    second.set(word(p + 1));
                }
                self.clock();
            }
        }
        self.uut.plane_we[0].next = false;
    }
}

/// Bits to beats of `size`, the first lowest.
fn bits(row: &[bool], size: usize) -> Vec<u128> {
    let word = |c: &[bool]| c.iter().enumerate().fold(0u128, |w, (j, b)| w | (*b as u128) << j);
    row.chunks(size).map(word).collect()
}

/// Fields of `bits` to a beat: as many to each of its words of 64 bits, from the lowest bit on.
fn beat_of(fields: &[u64], bits: u32, words: usize) -> u128 {
    let in_word = fields.len().div_ceil(words).max(1);
    let at = |i: usize| (i / in_word * 64) as u32 + (i % in_word) as u32 * bits;
    fields.iter().enumerate().fold(0, |beat, (i, field)| beat | u128::from(*field) << at(i))
}

fn inputs(rng: &mut Rng, n: usize) -> Vec<i8> {
    (0..n).map(|i| if i % 7 == 0 { -128 } else { rng.below(256) as u8 as i8 }).collect()
}

/// Codebook and codes of `rows` x `vectors` through lookup unit `unit` of the bank.
fn run_lookup(bench: &mut Bench, unit: u32, vectors: usize, rows: usize, seed: u64) {
    let mut rng = Rng::new(seed);
    let p = bench.uut._shape.bank.lookups[unit as usize];
    let (lanes, chunk, sub) = (p.lanes as usize, p.chunk as usize, p.sub as usize);
    let (blocks, words) = (vectors.div_ceil(lanes), bench.size.div_ceil(64));
    let x = inputs(&mut rng, vectors * sub);
    let book: Vec<Vec<Vec<i8>>> =
        (0..vectors).map(|_| (0..p.k).map(|_| inputs(&mut rng, sub)).collect()).collect();
    bench.load_bytes(&x, chunk * sub, lanes * sub);
    let mut beats = vec![];
    for block in 0..blocks {
        for j in 0..p.k as usize {
            for c in 0..lanes / chunk {
                let mut bytes = vec![];
                for i in 0..chunk {
                    let centroid = book.get(block * lanes + c * chunk + i);
                    let byte = |b| u64::from(centroid.map_or(0, |c| c[j][b]) as u8);
                    bytes.extend((0..sub).map(byte));
                }
                beats.push(beat_of(&bytes, 8, words));
            }
        }
    }
    bench.start(StreamMode::Build(unit));
    bench.rows(&[beats]);
    assert!(bench.columns.is_empty() && bench.results.is_empty(), "a codebook has no results");

    let codes: Vec<Vec<u64>> =
        (0..rows).map(|_| (0..vectors).map(|_| rng.below(p.k as u64)).collect()).collect();
    let beat = |c: &[u64]| {
        let mut c = c.to_vec();
        c.resize(lanes, 0);
        beat_of(&c, p.code_bits, words)
    };
    let stream: Vec<Vec<u128>> =
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
            if (v + 1) % (bench.beats * lanes) == 0 || v + 1 == vectors {
                partial.push(sum as i128);
            }
        }
        assert_eq!(bench.results[r], sum as i128, "row {r}");
    }
    assert_eq!(bench.results.len(), rows);
    assert_eq!(bench.columns, partial, "the accumulator after every column");
}

#[test]
fn lookups_of_every_shape() {
    for (k, sub, blocks) in
        [(16, 2, 3), (2, 1, 2), (512, 8, 1), (512, 1, 2), (2, 8, 1), (5, 3, 2), (256, 4, 5)]
    {
        for fold in FOLDS {
            let l = folded(lookup(k, sub, blocks), fold.0);
            let bank = BankShape { lookups: vec![l], byte_words: blocks * l.chunks(), ..empty() };
            let mut bench = Bench::folded(bank, fold);
            let vectors = (l.lanes * blocks) as usize;
            run_lookup(&mut bench, 0, vectors, 3, k as u64);
            // Fewer sub-vectors than the tables hold, and a single row; the tables are overwritten.
            run_lookup(&mut bench, 0, (vectors - l.lanes as usize / 2).max(1), 1, k as u64 + 1);
            run_lookup(&mut bench, 0, 1, 5, k as u64 + 2);
        }
    }
}

#[test]
fn two_codebooks_and_integer_weights_share_a_bank() {
    for fold in FOLDS {
        let (a, b) = (folded(lookup(16, 2, 2), fold.0), folded(lookup(256, 4, 3), fold.0));
        let bank = BankShape {
            byte_words: (2 * a.chunks()).max(3 * b.chunks()),
            lookups: vec![a, b],
            mac: Some(MacShape { acc_bits: 22 }),
            ..empty()
        };
        let mut bench = Bench::folded(bank, fold);
        for seed in 0..2 {
            run_lookup(&mut bench, 0, 32, 2, seed);
            run_lookup(&mut bench, 1, 24, 2, seed + 10);
            run_mac(&mut bench, 61, 3, seed);
        }
    }
}

fn run_mac(bench: &mut Bench, cols: usize, rows: usize, seed: u64) {
    let mut rng = Rng::new(seed);
    let x = inputs(&mut rng, cols);
    let weights: Vec<Vec<i8>> = (0..rows).map(|_| inputs(&mut rng, cols)).collect();
    let bytes = bench.size / 8;
    bench.load_bytes(&x, bytes, bytes);
    let beat = |c: &[i8]| c.iter().rev().fold(0u128, |w, b| w << 8 | u128::from(*b as u8));
    let stream: Vec<Vec<u128>> =
        weights.iter().map(|w| w.chunks(bytes).map(beat).collect()).collect();
    bench.start(StreamMode::Mac);
    // The last word of x holds bytes of an earlier, longer x; the weights there are zero.
    bench.rows(&stream);
    for (r, w) in weights.iter().enumerate() {
        let want: i64 = w.iter().zip(&x).map(|(w, x)| *w as i64 * *x as i64).sum();
        assert_eq!(bench.results[r], want as i128, "row {r}");
    }
}

#[test]
fn integer_weights_alone() {
    for cols in [1, 8, 9, 32, 33, 100, 256] {
        for fold in FOLDS {
            let bank = BankShape {
                byte_words: (cols as u32).div_ceil(fold.0 / 8),
                mac: Some(MacShape { acc_bits: 24 }),
                ..empty()
            };
            let mut bench = Bench::folded(bank, fold);
            run_mac(&mut bench, cols, 4, cols as u64);
            bench.interval = 6;
            run_mac(&mut bench, cols, 4, cols as u64 + 1);
        }
    }
}

fn masked(coats: u32, groups: u32) -> BankShape {
    let shape = GatedShape { planes: 8, groups, acc_bits: 21, generated_signs: Some(coats) };
    BankShape { gated: Some(shape), ..empty() }
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
    let size = bench.size;
    let stream: Vec<Vec<u128>> = weights
        .iter()
        .map(|row| {
            let group = |g: &[usize]| -> Vec<u128> {
                let coat = |c| g.iter().map(|w| *w > c).collect::<Vec<_>>();
                (0..coats).map(|c| bits(&coat(c), size)[0]).collect()
            };
            row.chunks(size).flat_map(group).collect()
        })
        .collect();
    bench.start(StreamMode::Mask);
    // The first columns of two rows are at least a seed apart.
    let (interval, columns) = (bench.interval, stream[0].len().div_ceil(bench.beats));
    bench.interval = interval.max((SEED_CLOCKS as usize).div_ceil(columns));
    bench.rows(&stream);
    bench.interval = interval;
    for (r, row) in weights.iter().enumerate() {
        let signs = signs_of(key, bank + 16 * r as u32, row.len());
        let want: i64 = row.iter().zip(&signs).zip(x).map(|((w, s), x)| *w as i64 * s * x).sum();
        assert_eq!(bench.results[r], want as i128, "row {r} of bank {bank}");
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
        for fold in FOLDS {
            let mut bench = Bench::folded(masked(most, (cols as u32).div_ceil(fold.0)), fold);
            for (bank, key) in [(0, 0), (15, 0xdead_beef)] {
                run_mask(&mut bench, bank, key, coats, &rows, &x);
            }
            bench.interval = 7;
            run_mask(&mut bench, 3, 1, coats, &rows[2..3], &x);
        }
    }
}

#[test]
fn a_result_leaves_when_the_latency_says() {
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
    // The beat is in the data path in clock 0, the next one.
    let mut seen = vec![];
    for clock in 0..UNIT_LATENCY + 3 {
        if bench.uut.row_valid.val() {
            seen.push((clock, bench.uut.row_value.get()));
        }
        bench.clock();
    }
    assert_eq!(seen, [(UNIT_LATENCY, 8)]);
}
