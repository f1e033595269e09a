//! Units of one member, one of each token group, clock by clock.

use crate::attention::{AttentionMode, AttentionParam, SCORE_LATENCY};
use crate::attention_unit::AttentionUnit;
use crate::hdl::prelude::*;
use crate::shape::{ChannelShape, StreamMode};
use crate::testing::{pack, Rng};

/// A column of every group's bank: its beats, with the weights of each.
pub struct Column {
    pub first: bool,
    pub last: bool,
    /// `beats[group][beat]`.
    pub beats: Vec<Vec<u128>>,
    /// `prob[group][beat][lane * rows + row]`; none in modes without weights.
    pub prob: Vec<Vec<Vec<i64>>>,
}

/// A place of a block.
#[derive(Clone, Copy)]
pub struct Place {
    pub lane: usize,
    pub beat: usize,
    pub group: usize,
}

/// Scores of every group in a clock.
type Scores = Vec<Vec<i64>>;

pub struct Bench {
    units: Vec<Inst<AttentionUnit>>,
    channel: ChannelShape,
    gap: usize,
    now: u32,
    seen: Vec<(u32, Scores)>,
    entered: Vec<u32>,
}

impl Bench {
    /// With columns so many clocks further apart than they must be.
    pub fn new(channel: &ChannelShape, member: u32, gap: usize) -> Bench {
        let p = channel.bank.attention.as_ref().unwrap();
        let unit = |group| {
            let mut unit = Inst::new(AttentionUnit::new(channel).unwrap());
            unit.bank.set(i128::from(group * p.members + member));
            unit
        };
        let units = (0..p.groups).map(unit).collect();
        Bench { units, channel: channel.clone(), gap, now: 0, seen: vec![], entered: vec![] }
    }

    fn clock(&mut self) {
        for unit in &mut self.units {
            settle(unit);
        }
        for i in 0..self.units[0].x_out.len() {
            let x = self.units.iter().fold(0, |x, unit| x | unit.x_out[i].get());
            for unit in &mut self.units {
                unit.x_in[i].set(x);
            }
        }
        let valid: Vec<bool> = self.units.iter().map(|u| u.score_valid.val()).collect();
        assert!(valid.iter().all(|v| *v == valid[0]), "in lock step");
        if valid[0] {
            let of = |u: &Inst<AttentionUnit>| u.score.iter().map(|s| s.get() as i64).collect();
            self.seen.push((self.now, self.units.iter().map(of).collect()));
        }
        for unit in &mut self.units {
            clock(unit);
        }
        self.now += 1;
    }

    fn each(&mut self, set: impl Fn(&mut AttentionUnit)) {
        self.units.iter_mut().for_each(|unit| set(unit));
    }

    /// So many clocks behind the last beat of the stream before, less the one that follows.
    pub fn wait(&mut self, clocks: u32) {
        for _ in 1..clocks {
            self.clock();
        }
    }

    pub fn param(&mut self, param: AttentionParam, value: u32) {
        self.each(|u| {
            u.param_we.next = true;
            u.param_index.set(param.index().into());
            u.param_value.set(value.into());
        });
        self.clock();
        // Another parameter is none of the unit's business.
        self.each(|u| u.param_index.set(AttentionParam::Length.index().into()));
        self.each(|u| u.param_value.set(0xffff_ffff));
        self.clock();
        self.each(|u| u.param_we.next = false);
    }

    pub fn place(&mut self, at: Place) {
        self.param(AttentionParam::Place, (at.lane | at.beat << 8 | at.group << 16) as u32);
    }

    /// Sets the place, between the last beat and the column whose first beat enters so many clocks
    /// behind it.
    pub fn place_at(&mut self, at: Place, clocks: u32) {
        let column = self.now + clocks - 2;
        self.place(at);
        assert!(self.now <= column, "parameters are set in time");
        while self.now < column {
            self.clock();
        }
    }

    /// Loads `query[row][sub-vector of this member]`; what is loaded for others is random.
    pub fn load(&mut self, query: &[Vec<Vec<i8>>], rng: &mut Rng) {
        let p = self.channel.bank.attention.clone().unwrap();
        let member = self.units[0].bank.get() as u32 % p.members;
        for (row, vectors) in query.iter().enumerate() {
            self.param(AttentionParam::LoadRow, row as u32);
            for word in 0..p.parts() {
                let (of, slice) = (word / p.slices, (word % p.slices) as usize);
                let random = i128::from(rng.next());
                let mine = pack(&vectors[slice]) | random << p.sub_bits();
                let data = if of == member { mine } else { random };
                self.each(|u| {
                    u.byte_we.next = true;
                    u.byte_addr.set(word.into());
                    u.load_data.set(data & i128::from(u64::MAX));
                });
                self.clock();
            }
            self.each(|u| u.byte_we.next = false);
        }
    }

    fn set_mode(&mut self, mode: AttentionMode) {
        let modes = self.channel.bank.modes();
        let number = modes.iter().position(|m| *m == StreamMode::Attention(mode)).unwrap();
        self.each(|u| u.mode.set(number as i128));
    }

    /// A stream whose first beat enters so many clocks behind the last beat of the one before; up
    /// to the clock of its last beat.
    pub fn stream(&mut self, mode: AttentionMode, columns: &[Column], distance: u32) {
        self.set_mode(mode);
        self.each(|u| u.stream_start.next = true);
        for _ in 2..distance {
            self.clock();
            self.each(|u| u.stream_start.next = false);
        }
        if columns.is_empty() {
            self.clock();
            self.each(|u| u.stream_start.next = false);
        }
        self.columns(columns, matches!(mode, AttentionMode::ExactScores | AttentionMode::Scores));
    }

    /// A stream without columns; up to the clock behind its start.
    pub fn start(&mut self, mode: AttentionMode) {
        self.stream(mode, &[], 0);
    }

    /// A stream that is the bank unit's, if there is one.
    pub fn other_stream(&mut self, columns: &[Column]) {
        if !matches!(self.channel.bank.modes()[0], StreamMode::Attention(_)) {
            self.each(|u| u.mode.set(0));
            self.each(|u| u.stream_start.next = true);
            self.columns(columns, false);
        }
    }

    /// A column of slice `s` of a stream of inserts.
    pub fn insert(&mut self, mode: AttentionMode, s: usize, column: &Column) {
        if s == 0 {
            self.stream(mode, std::slice::from_ref(column), 2);
        } else {
            self.columns(std::slice::from_ref(column), false);
        }
    }

    fn columns(&mut self, columns: &[Column], scored: bool) {
        let interval = self.channel.beats as usize + self.gap;
        let Some(tail) = columns.last() else { return };
        let clocks = (columns.len() - 1) * interval + 1 + tail.beats[0].len();
        for at in 0..clocks {
            let starts = (at % interval == 0).then(|| columns.get(at / interval)).flatten();
            for (g, unit) in self.units.iter_mut().enumerate() {
                unit.col_valid.next = starts.is_some();
                if let Some(column) = starts {
                    unit.col_first.next = column.first;
                    unit.col_last.next = column.last;
                    unit.col_beats.set(column.beats[g].len() as i128 - 1);
                    for (b, port) in unit.rd_data.iter_mut().enumerate() {
                        port.set(column.beats[g].get(b).map_or(-1, |x| *x as i128));
                    }
                }
            }
            // The beat that enters in this clock.
            let beat = at.checked_sub(1).and_then(|at| {
                let column = &columns[at / interval];
                (at % interval < column.beats[0].len()).then_some((column, at % interval))
            });
            for (g, unit) in self.units.iter_mut().enumerate() {
                let prob = beat.and_then(|(column, q)| column.prob.get(g).map(|prob| &prob[q]));
                for (i, port) in unit.prob.iter_mut().enumerate() {
                    port.set(prob.map_or(0xffff, |prob| prob[i].into()));
                }
            }
            if scored && beat.is_some_and(|(column, _)| column.last) {
                self.entered.push(self.now);
            }
            self.clock();
            self.each(|u| u.stream_start.next = false);
            self.each(|u| u.col_valid.next = false);
        }
        self.each(|u| u.prob.iter_mut().for_each(|port| port.set(0xffff)));
    }

    /// The scores of all streams since the last look, each in its clock.
    pub fn scores(&mut self, want: &[Scores], what: &str) {
        self.wait(SCORE_LATENCY + 2);
        let entered = std::mem::take(&mut self.entered);
        let clocks: Vec<u32> = entered.iter().map(|at| at + SCORE_LATENCY).collect();
        let (seen_in, seen): (Vec<u32>, Vec<Scores>) =
            std::mem::take(&mut self.seen).into_iter().unzip();
        assert_eq!(seen_in, clocks, "clocks of the scores of {what}");
        assert_eq!(seen.len(), want.len());
        for (at, (seen, want)) in seen.iter().zip(want).enumerate() {
            assert_eq!(seen, want, "scores of {what}, beat {at}");
        }
    }

    /// `want[group][row][slice][element]`.
    pub fn outputs(&mut self, want: &[Vec<Vec<Vec<i64>>>]) {
        let p = self.channel.bank.attention.clone().unwrap();
        let elements = p.slices * p.sub;
        for at in 0..p.rows() * elements {
            let (r, s, e) = (at / elements, at % elements / p.sub, at % p.sub);
            self.each(|u| {
                let selects = [(&mut u.out_row, r), (&mut u.out_slice, s), (&mut u.out_element, e)];
                for (port, at) in selects {
                    port.iter_mut().for_each(|port| port.set(at.into()));
                }
            });
            self.clock();
            for (g, (unit, want)) in self.units.iter().zip(want).enumerate() {
                let (value, want) = (unit.out_value.get(), &want[r as usize][s as usize]);
                assert_eq!(value, want[e as usize].into(), "group {g} row {r} slice {s}");
            }
        }
    }

    /// `want[group][beat]`, and that it is held.
    pub fn written(&mut self, want: &[Vec<u128>], what: &str) {
        for _ in 0..3 {
            for (unit, want) in self.units.iter().zip(want) {
                let seen: Vec<u128> = unit.wr_data.iter().map(|w| w.get() as u128).collect();
                let mask = u128::MAX >> (128 - self.channel.beat_bits);
                let seen: Vec<u128> = seen.iter().map(|w| w & mask).collect();
                assert_eq!(&seen, want, "a column with a {what}");
            }
            self.clock();
        }
    }
}
