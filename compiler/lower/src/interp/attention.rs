//! The attention units of all banks and the softmax unit, in plain integers: what each column of a
//! stream means, from [`pimc_rtl::attention`] alone.

use super::means::Means;
use super::softmax::Softmax;
use super::At;
use crate::column::byte;
use crate::images::Column;
use pimc_rtl::attention::{AttentionMode, AttentionParam, AttentionShape, NORMALISE_LATENCY};
use pimc_rtl::isa::Stream;
use pimc_rtl::shape::ChannelShape;
use pimc_rtl::timing::{accumulate_clocks, attention_clocks, clear_clocks, COLLECT_CLOCKS};

/// What one bank's unit holds. Tables and buckets are indexed by slice, centroid, row.
#[derive(Clone, Debug, Default)]
struct Unit {
    /// Queries, by row and slice; `sub` bytes each.
    q: Vec<i8>,
    table: Vec<i64>,
    bucket: Vec<i64>,
    /// Outputs, by slice, element, row.
    out: Vec<i64>,
    /// The tokens that were taken, by encoder and slice.
    x: Vec<i8>,
    /// Distance from the nearest centroid so far, and its index, by encoder and slice.
    nearest: Vec<(i64, u32)>,
    /// Sums of the centroids' tokens, where anything is clustered.
    means: Option<Means>,
    write: Column,
}

/// The stream under way.
#[derive(Clone, Copy, Debug)]
struct Streaming {
    mode: AttentionMode,
    columns: u32,
    tail: u32,
    /// Column of the row, which is a slice's codebook or a block.
    column: u32,
    /// Rows before it.
    row: u32,
}

/// The attention hardware of a channel.
#[derive(Clone, Debug)]
pub(super) struct Units {
    shape: AttentionShape,
    beats: u32,
    words: u32,
    lanes: u32,
    chunk: u32,
    /// From a read to the end of what its data do, by mode.
    clocks: [u64; AttentionMode::ALL.len()],
    units: Vec<Unit>,
    softmax: Softmax,
    stream: Option<Streaming>,
    /// Scores of a block as they are added up, by group, beat, lane, row.
    partial: Vec<i64>,
    place: (u32, u32, u32),
    encoder: u32,
    weight: u32,
    /// Clocks of `Clear` and `Accumulate`, and that up to which encoder and weight must stay.
    clear: u64,
    accumulate: u64,
    chosen: u64,
    load_row: u32,
    /// Clock at which the stream's last data are through, and a column may be written.
    through: u64,
    written: u64,
    results: Vec<i64>,
    /// By beat and bank: the part of the score of lane 0, row 0, as it is added up over a block.
    first: Vec<Vec<i64>>,
    /// The same of a block that is done.
    sums: Vec<Vec<i64>>,
}

impl Units {
    pub(super) fn new(channel: &ChannelShape, shape: &AttentionShape) -> Units {
        let (slices, rows, sub) = (shape.slices, shape.rows(), shape.sub);
        let entries = (slices * shape.k * rows) as usize;
        let unit = Unit {
            q: vec![0; (rows * slices * sub) as usize],
            table: vec![0; entries],
            bucket: vec![0; entries],
            out: vec![0; (slices * sub * rows) as usize],
            x: vec![0; (shape.encoders() * slices * sub) as usize],
            nearest: vec![(0, 0); (shape.encoders() * slices) as usize],
            means: shape.cluster.map(|c| Means::new(shape, &c)),
            write: [0; 4],
        };
        let (lanes, chunk) = (shape.lanes(channel.beat_bits), shape.chunk(channel.beat_bits));
        Units {
            beats: channel.beats,
            words: channel.beat_words(),
            lanes,
            chunk,
            clocks: AttentionMode::ALL.map(|mode| attention_clocks(mode, channel).into()),
            units: vec![unit; channel.banks as usize],
            softmax: Softmax::new(channel, shape),
            stream: None,
            partial: Vec::new(),
            place: (0, 0, 0),
            encoder: 0,
            weight: 0,
            clear: clear_clocks(shape, channel.beat_bits).into(),
            accumulate: accumulate_clocks(shape).into(),
            chosen: 0,
            load_row: 0,
            through: 0,
            written: 0,
            results: Vec::new(),
            first: Vec::new(),
            sums: Vec::new(),
            shape: shape.clone(),
        }
    }

    /// Takes a parameter.
    pub(super) fn param(&mut self, index: u32, value: u32, at: At) -> Result<(), String> {
        let param = AttentionParam::of(index).ok_or(format!("there is no parameter {index}"))?;
        if matches!(param, AttentionParam::Encoder | AttentionParam::Weight) {
            if at.cycle < self.chosen {
                return Err("an encoder or a weight changes while it is used".into());
            }
            let cluster = self.shape.cluster.ok_or("a parameter of what clusters")?;
            if value >= cluster.encoders && param == AttentionParam::Encoder {
                return Err(format!("there is no encoder {value}"));
            }
            if value >> cluster.weight_bits != 0 && param == AttentionParam::Weight {
                return Err(format!("a weight of {value} is wider than it can be"));
            }
        }
        match param {
            AttentionParam::Encoder => self.encoder = value,
            AttentionParam::Weight => self.weight = value,
            AttentionParam::Place => self.place = (value & 255, value >> 8 & 255, value >> 16),
            AttentionParam::LoadRow => self.load_row = value,
            _ => self.softmax.param(param, value),
        }
        Ok(())
    }

    /// Sub-vector `word` of a row of queries.
    pub(super) fn load(&mut self, word: u32, bytes: &[i8]) -> Result<(), String> {
        let (slices, sub) = (self.shape.slices, self.shape.sub as usize);
        let (member, slice) = (word / slices, word % slices);
        let at = (self.load_row * slices + slice) as usize * sub;
        let mine = |bank: &u32| bank % self.shape.members == member;
        for bank in (0..self.units.len() as u32).filter(mine) {
            let to = self.units[bank as usize].q.get_mut(at..at + sub);
            to.ok_or("a load past the last row")?.copy_from_slice(&bytes[..sub]);
        }
        Ok(())
    }

    /// Begins a stream.
    pub(super) fn stream(&mut self, mode: AttentionMode, s: &Stream, at: At) -> Result<(), String> {
        let cycle = at.cycle;
        if cycle < self.through {
            return Err("a stream begins while the last one's data are under way".into());
        }
        let stream = Streaming {
            mode,
            columns: s.columns_less_1 + 1,
            tail: s.tail_beats_less_1 + 1,
            column: 0,
            row: 0,
        };
        self.stream = Some(stream);
        if matches!(mode, AttentionMode::Table | AttentionMode::Combine | AttentionMode::Encode) {
            let none = (i64::MAX, 0);
            self.units.iter_mut().for_each(|unit| unit.nearest.fill(none));
        }
        match mode {
            AttentionMode::Table => {
                self.softmax.reset();
                for unit in &mut self.units {
                    unit.bucket.fill(0);
                    unit.out.fill(0);
                }
            }
            AttentionMode::Take => {
                let len = (self.shape.slices * self.shape.sub) as usize;
                for unit in &mut self.units {
                    unit.x[..len].copy_from_slice(&unit.q[..len]);
                }
            }
            AttentionMode::Clear => {
                self.through = cycle + self.clear;
                self.means(|means, _, _| {
                    means.clear();
                    Ok(())
                })?;
            }
            AttentionMode::Accumulate => {
                self.through = cycle + self.accumulate;
                self.chosen = self.through;
                let weight = i64::from(self.weight);
                self.means(|means, x, nearest| means.add(weight, x, nearest))?;
            }
            AttentionMode::Normalise => {
                let results = self.normalise()?;
                let clocks = NORMALISE_LATENCY + results.len() as u32 + COLLECT_CLOCKS;
                self.through = cycle + u64::from(clocks);
                self.results = results;
            }
            _ => {}
        }
        Ok(())
    }

    /// The results of a stream that has begun, which are collected.
    pub(super) fn results(&mut self) -> Vec<i64> {
        std::mem::take(&mut self.results)
    }

    /// Accumulators of each bank that the last column has brought about, beat by beat.
    pub(super) fn sums(&mut self) -> Vec<Vec<i64>> {
        std::mem::take(&mut self.sums)
    }

    /// A run begins: clocks count from its first instruction.
    pub(super) fn start(&mut self) {
        (self.through, self.written, self.chosen, self.stream) = (0, 0, 0, None);
    }

    /// The clock at which all that has begun is done.
    pub(super) fn through(&self) -> u64 {
        self.through
    }

    /// Takes the column that was read, of every bank.
    pub(super) fn column(&mut self, columns: &[Column], at: At) -> Result<(), String> {
        let cycle = at.cycle;
        let mut s = self.stream.ok_or("a read outside of a stream")?;
        if s.mode == AttentionMode::Update && cycle < self.through {
            return Err("a column is read while means of the last one are made".into());
        }
        self.through = cycle + self.clocks[s.mode as usize];
        let last = s.column + 1 == s.columns;
        let beats = if last { s.tail } else { self.beats };
        match s.mode {
            AttentionMode::Table | AttentionMode::Combine | AttentionMode::Encode => {
                self.codebook(s, columns, beats)?;
            }
            AttentionMode::ExactScores | AttentionMode::Scores => self.scores(s, columns, last)?,
            AttentionMode::ExactValues | AttentionMode::Buckets => self.values(s, columns)?,
            AttentionMode::Capture => self.capture(s, columns),
            AttentionMode::InsertCode
            | AttentionMode::InsertToken
            | AttentionMode::InsertCentroid => {
                self.insert(s, columns);
                self.written = self.through;
                self.chosen = self.through;
            }
            AttentionMode::Update => {
                self.update(s, columns, beats)?;
                self.written = self.through;
            }
            _ => {
                return Err(format!("a read in a stream of mode {}", s.mode.name()));
            }
        }
        s.column += 1;
        if last {
            (s.column, s.row) = (0, s.row + 1);
        }
        self.stream = Some(s);
        Ok(())
    }

    /// The column that is written, of every bank.
    pub(super) fn written(&mut self, at: At) -> Result<Vec<Column>, String> {
        if at.cycle < self.written {
            return Err("a column is written before it is ready".into());
        }
        Ok(self.units.iter().map(|unit| unit.write).collect())
    }
    fn index(&self, slice: u32, centroid: u32, row: u32) -> usize {
        ((slice * self.shape.k + centroid) * self.shape.rows() + row) as usize
    }

    /// Columns of a codebook: a row is a slice's.
    fn codebook(&mut self, s: Streaming, columns: &[Column], beats: u32) -> Result<(), String> {
        let (k, rows, sub) = (self.shape.k, self.shape.rows(), self.shape.sub as usize);
        let (slices, out_bits) = (self.shape.slices, self.shape.out_bits());
        let slice = s.row;
        if slice >= slices {
            return Err("a codebook of more slices than there are".into());
        }
        let first = s.column * self.beats * self.chunk;
        let count = (beats * self.chunk).min(k.saturating_sub(first));
        let outs = (slice as usize * sub) * rows as usize;
        for (bank, column) in columns.iter().enumerate() {
            for i in 0..count {
                let (c, at) = (first + i, (i as usize) * sub);
                let index = self.index(slice, c, 0);
                let unit = &mut self.units[bank];
                let centroid = |d: usize| i64::from(byte(column, at + d));
                match s.mode {
                    AttentionMode::Table => {
                        for row in 0..rows as usize {
                            let q = (row * slices as usize + slice as usize) * sub;
                            unit.table[index + row] =
                                (0..sub).map(|d| i64::from(unit.q[q + d]) * centroid(d)).sum();
                        }
                    }
                    AttentionMode::Combine => {
                        for d in 0..sub {
                            for row in 0..rows as usize {
                                let out = &mut unit.out[outs + d * rows as usize + row];
                                *out += unit.bucket[index + row] * centroid(d);
                                if !super::fits((*out).into(), out_bits) {
                                    return Err(format!("an output of bank {bank} overflowed"));
                                }
                            }
                        }
                    }
                    _ => {}
                }
                // Whatever a codebook is read for, the tokens that were taken are encoded.
                for (e, nearest) in unit
                    .nearest
                    .iter_mut()
                    .skip(slice as usize)
                    .step_by(slices as usize)
                    .enumerate()
                {
                    let x = &unit.x[(e * slices as usize + slice as usize) * sub..];
                    let far = |d: usize| (i64::from(x[d]) - centroid(d)).pow(2);
                    let distance = (0..sub).map(far).sum();
                    if distance < nearest.0 {
                        *nearest = (distance, c);
                    }
                }
            }
        }
        Ok(())
    }

    /// Lanes of a beat that hold something.
    fn used(&self, mode: AttentionMode) -> u32 {
        match mode {
            AttentionMode::ExactScores | AttentionMode::ExactValues => self.chunk,
            _ => self.lanes,
        }
    }

    fn code(&self, column: &Column, beat: u32, lane: u32) -> u32 {
        let (bits, in_word) = (self.shape.code_bits(), self.lanes / self.words);
        let word = column[(beat * self.words + lane / in_word) as usize];
        (word >> (lane % in_word * bits)) as u32 & ((1 << bits) - 1)
    }

    fn scores(&mut self, s: Streaming, columns: &[Column], last: bool) -> Result<(), String> {
        let (rows, sub, slices) = (self.shape.rows(), self.shape.sub, self.shape.slices);
        let used = self.used(s.mode);
        let size = self.shape.groups * self.beats * used * rows;
        if s.column == 0 {
            self.partial = vec![0; size as usize];
            self.first = vec![vec![0; columns.len()]; self.beats as usize];
        }
        for (bank, column) in columns.iter().enumerate() {
            let group = bank as u32 / self.shape.members;
            let unit = &self.units[bank];
            for beat in 0..self.beats {
                for lane in 0..used {
                    let to = (((group * self.beats + beat) * used + lane) * rows) as usize;
                    // Lanes past the last token may hold anything.
                    let code = self.code(column, beat, lane).min(self.shape.k - 1);
                    let from = self.index(s.column, code, 0);
                    let at = ((beat * self.chunk + lane) * sub) as usize;
                    for row in 0..rows as usize {
                        let part = if s.mode == AttentionMode::Scores {
                            unit.table[from + row]
                        } else {
                            let q = (row * slices as usize + s.column as usize) * sub as usize;
                            let product =
                                |d| i64::from(unit.q[q + d]) * i64::from(byte(column, at + d));
                            (0..sub as usize).map(product).sum()
                        };
                        self.partial[to + row] += part;
                        if lane == 0 && row == 0 {
                            self.first[beat as usize][bank] += part;
                        }
                    }
                }
            }
        }
        if last {
            let exact = s.mode == AttentionMode::ExactScores;
            self.sums = self.first.clone();
            self.softmax.scores(exact, s.row, used, &self.partial);
        }
        Ok(())
    }

    fn values(&mut self, s: Streaming, columns: &[Column]) -> Result<(), String> {
        let (rows, sub) = (self.shape.rows() as usize, self.shape.sub as usize);
        let used = self.used(s.mode);
        let exact = s.mode == AttentionMode::ExactValues;
        let weights = self.softmax.weights(exact, s.row, s.column == 0)?;
        let (out_bits, sum_bits) = (self.shape.out_bits(), self.shape.sum_bits());
        for (bank, column) in columns.iter().enumerate() {
            let group = bank as u32 / self.shape.members;
            for beat in 0..self.beats {
                for lane in 0..used {
                    let from = ((group * self.beats + beat) * used + lane) as usize * rows;
                    let weights = &weights[from..from + rows];
                    if exact {
                        let at = (beat * self.chunk + lane) as usize * sub;
                        let out = s.column as usize * sub * rows;
                        let unit = &mut self.units[bank];
                        for d in 0..sub {
                            let v = i64::from(byte(column, at + d));
                            for (row, p) in weights.iter().enumerate() {
                                let out = &mut unit.out[out + d * rows + row];
                                *out += p * v;
                                if !super::fits((*out).into(), out_bits) {
                                    return Err(format!("an output of bank {bank} overflowed"));
                                }
                            }
                        }
                        continue;
                    }
                    let code = self.code(column, beat, lane).min(self.shape.k - 1);
                    let to = self.index(s.column, code, 0);
                    let buckets = &mut self.units[bank].bucket[to..to + rows];
                    for (bucket, p) in buckets.iter_mut().zip(weights) {
                        *bucket += p;
                        if *bucket >> sum_bits != 0 {
                            return Err(format!("a bucket of bank {bank} overflowed"));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The banks of the place's group give the tokens from the place on to all of them.
    fn capture(&mut self, s: Streaming, columns: &[Column]) {
        let (lane, beat, group) = self.place;
        let (members, sub) = (self.shape.members, self.shape.sub as usize);
        let at = (beat * self.chunk + lane) as usize * sub;
        let (slices, encoders) = (self.shape.slices as usize, self.shape.encoders() as usize);
        for bank in 0..self.units.len() {
            let from = &columns[(group * members) as usize + bank % members as usize];
            for e in 0..encoders {
                let to = (e * slices + s.column as usize) * sub;
                for d in 0..sub {
                    // Past the column's end is what nobody wants.
                    let at = (at + e * sub + d) % (8 * from.len());
                    self.units[bank].x[to + d] = byte(from, at);
                }
            }
        }
    }

    fn insert(&mut self, s: Streaming, columns: &[Column]) {
        let (lane, beat, group) = self.place;
        let (bits, in_word, sub) =
            (self.shape.code_bits(), self.lanes / self.words, self.shape.sub);
        let at = ((beat * self.chunk + lane) * sub) as usize;
        for (bank, column) in columns.iter().enumerate() {
            let unit = &mut self.units[bank];
            unit.write = *column;
            let every = s.mode == AttentionMode::InsertCentroid;
            if bank as u32 / self.shape.members != group && !every {
                continue;
            }
            let chosen = (self.encoder * self.shape.slices + s.column) as usize;
            if s.mode == AttentionMode::InsertCode {
                let code = u64::from(unit.nearest[chosen].1);
                let word = &mut unit.write[(beat * self.words + lane / in_word) as usize];
                let shift = lane % in_word * bits;
                *word = *word & !(((1 << bits) - 1) << shift) | code << shift;
                continue;
            }
            for d in 0..sub as usize {
                let byte = match every {
                    true => unit.x[chosen * sub as usize + d],
                    false => unit.q[s.column as usize * sub as usize + d],
                } as u8;
                let (word, shift) = ((at + d) / 8, (at + d) % 8 * 8);
                unit.write[word] = unit.write[word] & !(255 << shift) | u64::from(byte) << shift;
            }
        }
    }

    /// Does something to the sums of every bank; with them come the chosen encoder's token and its codes, by
    /// slice.
    fn means(
        &mut self,
        mut f: impl FnMut(&mut Means, &[i8], &[(i64, u32)]) -> Result<(), String>,
    ) -> Result<(), String> {
        let slices = self.shape.slices as usize;
        let (from, len) = (self.encoder as usize * slices, slices * self.shape.sub as usize);
        for (bank, unit) in self.units.iter_mut().enumerate() {
            let means = unit.means.as_mut().ok_or("there is nothing that clusters")?;
            let x = &unit.x[from * self.shape.sub as usize..][..len];
            f(means, x, &unit.nearest[from..][..slices])
                .map_err(|e| format!("{e} of bank {bank}"))?;
        }
        Ok(())
    }

    /// A column of a codebook, whose centroids become the means of what was added to them.
    fn update(&mut self, s: Streaming, columns: &[Column], beats: u32) -> Result<(), String> {
        let (k, slice) = (self.shape.k, s.row);
        if slice >= self.shape.slices {
            return Err("a codebook of more slices than there are".into());
        }
        let first = s.column * self.beats * self.chunk;
        let count = (beats * self.chunk).min(k.saturating_sub(first));
        for (unit, column) in self.units.iter_mut().zip(columns) {
            let means = unit.means.as_ref().ok_or("there is nothing that clusters")?;
            unit.write = *column;
            for i in 0..count {
                means.put(slice, first + i, &mut unit.write, i);
            }
        }
        Ok(())
    }

    /// Outputs divided by their sums, rows outermost.
    fn normalise(&self) -> Result<Vec<i64>, String> {
        let (rows, sub) = (self.shape.rows() as usize, self.shape.sub as usize);
        let (slices, members) = (self.shape.slices as usize, self.shape.members as usize);
        let mut results = Vec::new();
        for row in 0..rows {
            for d in 0..self.shape.dim as usize {
                let (member, slice, element) = (d / (slices * sub), d / sub % slices, d % sub);
                let of = |group: usize| {
                    let unit = &self.units[group * members + member];
                    unit.out[(slice * sub + element) * rows + row]
                };
                let out: i64 = (0..self.shape.groups as usize).map(of).sum();
                if !super::fits(out.into(), self.shape.out_bits()) {
                    return Err("a sum of outputs overflowed".into());
                }
                results.push(self.softmax.divide(row, out));
            }
            if self.shape.state() {
                results.push(self.softmax.log_sum_exp(row));
            }
        }
        Ok(results)
    }
}
