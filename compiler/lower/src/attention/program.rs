//! The program of a step on a cache: tokens are taken in, then attended to, one key/value head after
//! the other. It is the same for every context length.

use super::arguments::{ArgumentMap, TokenWord, TOKEN_WORDS};
use super::builder::Builder;
use super::bus::{interval, open_columns};
use super::layout::CacheLayout;
use super::merges::Merge;
use super::CachePlan;
use crate::target::Target;
use pimc_ir::Side;
use pimc_rtl::attention::{
    AttentionMode, AttentionParam, AttentionShape, LOADED_LATENCY, NORMALISE_LATENCY,
};
use pimc_rtl::isa::{Action, Block, Instr, SetTo, Stream, VecOp, Vector};
use pimc_rtl::shape::{ChannelShape, StreamMode};
use pimc_rtl::timing::{attention_clocks, vec_clocks, COLLECT_CLOCKS};

/// Clocks from a token being loaded to its being taken over.
const TAKE_CLOCKS: u64 = 4;

/// Where the vectors of a step lie in vector memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vectors {
    /// Queries, in the order query, query head, element.
    pub(crate) q: u32,
    /// New keys, in the order token, key/value head, element; none if the step appends nothing.
    pub(crate) k: Option<u32>,
    /// New values.
    pub(crate) v: Option<u32>,
    /// Results, in the order key/value head, query, query head of it, element.
    pub(crate) result: u32,
}

/// Which op of the function a part of the program belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartOf {
    /// The one that fills the cache anew.
    Cluster,
    /// The one that appends.
    Append,
    /// The one that attends.
    Attend,
    /// The merge of that number.
    Merge(usize),
}

/// A part of the program, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Its first instruction.
    pub(crate) first: usize,
    /// The op that it belongs to.
    pub(crate) of: PartOf,
    /// Whether it reads codebooks, for the most part.
    pub(crate) codebook: bool,
    /// What it does.
    pub(crate) what: String,
}

/// Writes the program of a plan, but for its scripts' words and arguments. `attend` is the op's number: some
/// merges may stand before it. A shape without attention units has none.
pub(crate) fn program(
    target: &Target,
    shape: &ChannelShape,
    plan: &CachePlan,
    vectors: &Vectors,
    attend: usize,
) -> (Vec<Instr>, Vec<Part>) {
    let Some(attention) = &shape.bank.attention else { return (Vec::new(), Vec::new()) };
    let (layout, map, merges) = (&plan.layout, &plan.arguments, plan.merges.as_slice());
    let b = Builder::new(target);
    let mut w = Writer { target, shape, attention, layout, map, vectors, b, parts: Vec::new() };
    let slots = layout.slots;
    w.b.set(SetTo::Pointer, None, 0);
    // What is skipped shall not have waited for the first refresh.
    w.b.refreshed_wait();
    let (before, behind) = merges.split_at(merges.partition_point(|m| m.op < attend));
    if let Some(cluster) = &plan.cluster {
        w.cluster(&cluster.map);
        w.b.set(SetTo::Pointer, None, 0);
        w.b.begin(cluster.map.attends());
        if vectors.k.is_some() && attention.encoders() > 1 {
            w.b.set(SetTo::Param(AttentionParam::Encoder.index()), None, 0);
        }
    }
    before.iter().for_each(|merge| w.merge(merge));
    if let (Some(k), Some(v)) = (vectors.k, vectors.v) {
        w.appends(k, v);
    }
    w.parameters();
    let ahead = vectors.k.is_some() && attention.recent > 0;
    for slot in 0..slots {
        w.attends(slot, ahead);
    }
    behind.iter().for_each(|merge| w.merge(merge));
    if plan.cluster.is_some() {
        // Runs that do not attend shall not wait for its results.
        let done = w.b.vec_ready().max(w.b.stream_ready());
        w.b.wait_until(done);
        w.b.end();
    }
    (w.b.finish(), w.parts)
}

/// Writes the parts of the program.
pub(super) struct Writer<'a> {
    pub(super) target: &'a Target,
    pub(super) shape: &'a ChannelShape,
    pub(super) attention: &'a AttentionShape,
    pub(super) layout: &'a CacheLayout,
    map: &'a ArgumentMap,
    vectors: &'a Vectors,
    pub(super) b: Builder<'a>,
    parts: Vec<Part>,
}

impl<'a> Writer<'a> {
    pub(super) fn part(&mut self, of: PartOf, what: String) {
        self.parts.push(Part { first: self.b.len(), of, codebook: false, what });
    }

    /// A part that reads a codebook.
    pub(super) fn codebook_part(&mut self, of: PartOf, what: String) {
        self.parts.push(Part { first: self.b.len(), of, codebook: true, what });
    }

    /// Clocks from a read to the end of what its data do in `mode`.
    pub(super) fn data(&self, mode: AttentionMode) -> u64 {
        attention_clocks(mode, self.shape).into()
    }

    /// Clocks between two columns of `mode`: the DRAM's and the units' interval, or the time that
    /// what leaves the banks for a column, or comes to them, takes on a pseudo-channel's bus.
    fn interval(&self, mode: AttentionMode) -> u64 {
        u64::from(interval(mode, self.attention, self.target))
    }

    pub(super) fn stream(&mut self, mode: AttentionMode, columns: u32, tail: u32) -> u64 {
        let modes = self.shape.bank.modes();
        let number = modes.iter().position(|m| *m == StreamMode::Attention(mode)).unwrap_or(0);
        self.b.stream(Action::Stream(Stream {
            mode: number as u32,
            columns_less_1: columns - 1,
            tail_beats_less_1: tail - 1,
            coats_less_1: 0,
            sign_key: 0,
            block: Block::default(),
        }))
    }

    /// A stream over whole rows from `row` on, behind what an argument says, if one does; `columns` columns in
    /// all.
    fn rows(
        &mut self,
        mode: AttentionMode,
        (from, row): (Option<u32>, u32),
        columns: u32,
        shape: (u32, u32),
    ) {
        let (data, interval) = (self.data(mode), self.interval(mode));
        let most = open_columns(interval as u32, 1, self.target);
        let mut at = 0;
        while at < columns {
            let column = at % self.layout.columns;
            let here = (columns - at).min(self.layout.columns - column).min(most);
            if at == 0 || column > 0 {
                self.b.set(SetTo::Row, from, row + at / self.layout.columns);
            }
            self.b.refresh_due();
            self.b.act();
            if at == 0 {
                self.stream(mode, shape.0, shape.1);
            }
            if column > 0 {
                self.b.set(SetTo::Col, None, column);
            }
            self.b.reads(here, None, interval, data);
            self.b.pre();
            at += here;
        }
    }

    /// A stream over a codebook.
    fn codebook(&mut self, mode: AttentionMode, slot: u32, side: Side) {
        self.codebook_from(mode, None, self.layout.codebook_row(slot, side));
    }

    /// The same of one whose first row is an argument, if one says it, plus `row`.
    pub(super) fn codebook_from(&mut self, mode: AttentionMode, from: Option<u32>, row: u32) {
        let l = self.layout;
        let columns = l.slices * l.codebook_columns;
        self.rows(mode, (from, row), columns, (l.codebook_columns, l.codebook_tail));
    }

    /// A stream over the exact tokens, if there are places for any.
    fn exact(&mut self, mode: AttentionMode, slot: u32, side: Side) {
        let l = self.layout;
        let columns = l.slices * l.exact_blocks;
        if columns > 0 {
            let row = l.exact_row(slot, side);
            self.rows(mode, (None, row), columns, (l.slices, l.beats));
        }
    }

    /// A stream over the codes of a side: the full pages, then what is used of the last one. The pointer ends at 0,
    /// or where it was.
    fn codes(&mut self, mode: AttentionMode, slot: u32, side: Side, keeps: bool) {
        let (l, data, interval) = (self.layout, self.data(mode), self.interval(mode));
        let in_page = l.row_in_page(slot, side);
        let used = l.page_blocks * l.slices;
        self.stream(mode, l.slices, l.beats);
        if keeps {
            self.b.set(SetTo::Keep, None, 0);
        }
        // The count stands before the page table.
        self.b.set(SetTo::Pointer, None, self.map.full_pages());
        self.b.begin_again(0);
        self.b.set(SetTo::Row, Some(1), in_page);
        self.b.set(SetTo::Advance, None, 1);
        self.b.refresh_due();
        self.b.act();
        self.b.reads(used, None, interval, data);
        self.b.pre();
        self.b.end();
        self.b.set(SetTo::Pointer, None, 0);
        self.b.begin(ArgumentMap::TAIL);
        self.b.set(SetTo::Row, Some(ArgumentMap::TAIL_ROW), in_page);
        self.b.refresh_due();
        self.b.act();
        self.b.reads(used, Some(ArgumentMap::TAIL_COLUMNS), interval, data);
        self.b.pre();
        self.b.end();
        if keeps {
            self.b.set(SetTo::Return, None, 0);
        }
    }

    /// Waits until neither units nor buffer unit have anything to do; all banks are closed.
    fn idle(&mut self) {
        self.b.wait_closed(self.b.vec_ready().max(self.b.stream_ready()));
    }

    fn load(&mut self, row: u32, a: u32) {
        let attention = self.attention;
        let (dim, sub) = (attention.dim, attention.sub);
        self.idle();
        self.b.refresh_between();
        self.b.set(SetTo::Param(AttentionParam::LoadRow.index()), None, row);
        let vector = Vector {
            op: VecOp::LoadBytes,
            a,
            a_step: 1,
            b: dim,
            b_step: 1,
            d: sub,
            len: dim,
            bank: 0,
            last: 0,
        };
        let clocks = vec_clocks(&vector, self.shape).into();
        self.b.vec(Action::Vec(vector), clocks);
    }

    /// Waits for the loads.
    fn loaded(&mut self) {
        let at = self.b.vec_ready();
        self.b.busy(at, 0);
    }

    /// Takes the step's tokens in.
    fn appends(&mut self, k: u32, v: u32) {
        let slots = self.layout.slots;
        let Some(count) = self.map.count() else {
            let first = self.map.token(0, TokenWord::Leaves);
            (0..slots).for_each(|slot| self.append("token 0", first, slot, k, v));
            return;
        };
        self.b.set(SetTo::Pointer, None, count);
        self.b.begin_again(0);
        self.b.set(SetTo::Base, Some(1 + TokenWord::Source as u32), 0);
        (0..slots).for_each(|slot| self.append("every token", 1, slot, k, v));
        self.b.set(SetTo::Advance, None, TOKEN_WORDS);
        self.b.settle_all();
        self.b.end();
        self.b.set(SetTo::Pointer, None, 0);
        self.b.set(SetTo::Base, None, 0);
    }

    /// Takes the token in whose words are `first` behind the pointer, in one head.
    fn append(&mut self, name: &str, first: u32, slot: u32, k: u32, v: u32) {
        let attention = self.attention;
        let (dim, recent) = (attention.dim, attention.recent);
        let arg = |word| first + word as u32;
        let word = slot * dim;
        let (leaves, keeps) = (arg(TokenWord::Leaves), arg(TokenWord::Keeps));
        let code = [TokenWord::CodeRow, TokenWord::CodeColumn, TokenWord::CodePlace].map(arg);
        let keep = [TokenWord::KeepRow, TokenWord::KeepColumn, TokenWord::KeepPlace].map(arg);
        let leave = [TokenWord::LeaveRow, TokenWord::LeaveColumn, TokenWord::LeavePlace].map(arg);
        self.codebook_part(
            PartOf::Append,
            format!("{name}, head {slot}: encode the token that leaves"),
        );
        self.b.begin(leaves);
        for (side, from) in Side::BOTH.into_iter().zip([k, v]) {
            if recent > 0 {
                self.capture(leave, self.layout.exact_row(slot, side));
            } else {
                self.load(0, from + word);
                let loaded = self.b.vec_ready() + u64::from(LOADED_LATENCY);
                self.b.busy(loaded, 0);
                let at = self.stream(AttentionMode::Take, 1, 1);
                self.b.busy(at, TAKE_CLOCKS);
            }
            self.codebook(AttentionMode::Encode, slot, side);
            self.insert(AttentionMode::InsertCode, code, self.layout.row_in_page(slot, side));
        }
        self.b.end();
        if self.layout.exact_places > 0 {
            self.part(PartOf::Append, format!("{name}, head {slot}: keep the new token"));
            self.b.begin(keeps);
            for (side, from) in Side::BOTH.into_iter().zip([k, v]) {
                self.load(0, from + word);
                self.loaded();
                let row = self.layout.exact_row(slot, side);
                self.insert(AttentionMode::InsertToken, keep, row);
            }
            self.b.end();
        }
    }

    pub(super) fn place(&mut self, arg: u32) {
        self.b.set(SetTo::Param(AttentionParam::Place.index()), Some(arg), 0);
    }

    /// Takes a token out of its block; the words say where row, column and place are.
    pub(super) fn capture(&mut self, [row, column, place]: [u32; 3], base: u32) {
        self.b.set(SetTo::Row, Some(row), base);
        self.b.refresh_due();
        self.b.act();
        self.capture_open(column, place);
    }

    /// The same where its row is open; closes it.
    pub(super) fn capture_open(&mut self, column: u32, place: u32) {
        let data = self.data(AttentionMode::Capture);
        self.stream(AttentionMode::Capture, self.layout.slices, self.layout.beats);
        self.place(place);
        self.b.set(SetTo::Col, Some(column), 0);
        self.b.reads(self.layout.slices, None, self.interval(AttentionMode::Capture), data);
        self.b.pre();
    }

    /// Reads every column of a block, puts something into it and writes it back.
    fn insert(&mut self, mode: AttentionMode, [row, column, place]: [u32; 3], base: u32) {
        let data = self.data(mode);
        self.b.set(SetTo::Row, Some(row), base);
        self.b.refresh_due();
        self.b.act();
        self.stream(mode, self.layout.slices, self.layout.beats);
        self.place(place);
        for slice in 0..self.layout.slices {
            self.b.set(SetTo::Col, Some(column), slice);
            let read = self.b.read(0, data);
            self.b.set(SetTo::Col, Some(column), slice);
            self.b.write(read + data);
        }
        self.b.pre();
    }

    /// Merges two states, row by row; refreshes come while the buffer unit works.
    fn merge(&mut self, merge: &Merge) {
        self.part(PartOf::Merge(merge.op), format!("merge {} rows", merge.rows.len()));
        for vector in merge.vectors() {
            self.b.refresh_due();
            let clocks = vec_clocks(&vector, self.shape).into();
            self.b.vec(Action::Vec(vector), clocks);
        }
    }

    /// Gives the units what depends on the length.
    fn parameters(&mut self) {
        self.part(PartOf::Attend, "lengths".into());
        for (param, arg) in [
            (AttentionParam::Compressed, ArgumentMap::COMPRESSED),
            (AttentionParam::Length, ArgumentMap::LENGTH),
            (AttentionParam::Ring, ArgumentMap::RING),
        ] {
            self.b.set(SetTo::Param(param.index()), Some(arg), 0);
        }
    }

    /// Attends in one head, in as many passes as it takes. The codebooks pass for the queries in every one of
    /// them, and for the token that leaves next in the first.
    fn attends(&mut self, slot: u32, ahead: bool) {
        let count = self.map.passes().count();
        let name = |which: &str| format!("head {slot}{which}");
        if count == 1 {
            self.attend(&name(""), slot, ahead, false);
            return;
        }
        self.attend(&name(", pass 1"), slot, ahead, false);
        self.b.set(SetTo::Pointer, None, self.map.pass(1));
        // Waited for here, and not in every round.
        self.idle();
        self.b.begin_rounds(count - 1);
        self.attend(&name(&format!(", passes 2 to {count}")), slot, false, true);
        self.b.set(SetTo::Advance, None, self.map.passes().words());
        // The next pass's queries come into memories that this one's may still be in.
        self.idle();
        self.b.end();
        self.b.set(SetTo::Pointer, None, 0);
        self.b.set(SetTo::Base, None, 0);
    }

    /// Attends in one pass over a head: the first, or `again` the one whose words the pointer is at.
    fn attend(&mut self, name: &str, slot: u32, ahead: bool, again: bool) {
        let (attention, passes) = (self.attention, self.map.passes());
        self.part(PartOf::Attend, format!("{name}: load queries"));
        if again {
            self.b.set(SetTo::Base, Some(passes.source()), 0);
        }
        for row in 0..attention.rows() {
            self.load(row, self.vectors.q + passes.query_at(slot, row));
        }
        // The units are told which tokens a query sees when they have served others.
        if slot == 0 || passes.count() > 1 {
            let first = if again { 0 } else { self.map.pass(0) };
            for i in 0..attention.queries {
                let limit = SetTo::Param(AttentionParam::Limit(i).index());
                self.b.set(limit, Some(first + i), 0);
            }
        }
        self.loaded();
        self.codebook_part(PartOf::Attend, format!("{name}: build tables"));
        self.encoding(ahead, slot, Side::Key, AttentionMode::Table);
        self.part(PartOf::Attend, format!("{name}: scores of exact keys"));
        self.exact(AttentionMode::ExactScores, slot, Side::Key);
        self.part(PartOf::Attend, format!("{name}: scores of key codes"));
        self.codes(AttentionMode::Scores, slot, Side::Key, again);
        self.part(PartOf::Attend, format!("{name}: weigh exact values"));
        self.exact(AttentionMode::ExactValues, slot, Side::Value);
        self.part(PartOf::Attend, format!("{name}: bucket weights by value codes"));
        self.codes(AttentionMode::Buckets, slot, Side::Value, again);
        self.codebook_part(PartOf::Attend, format!("{name}: combine buckets with centroids"));
        self.encoding(ahead, slot, Side::Value, AttentionMode::Combine);
        self.part(PartOf::Attend, format!("{name}: divide and collect"));
        if again {
            self.b.set(SetTo::Base, Some(passes.result()), 0);
        }
        self.normalise(slot * passes.count() * passes.results(), passes.results());
    }

    /// A codebook for `mode`; on the way it encodes the token that leaves the window next.
    fn encoding(&mut self, ahead: bool, slot: u32, side: Side, mode: AttentionMode) {
        let in_page = self.layout.row_in_page(slot, side);
        if ahead {
            self.b.begin(ArgumentMap::AHEAD);
            self.capture(ArgumentMap::AHEAD_TOKEN, self.layout.exact_row(slot, side));
            self.b.end();
        }
        self.codebook(mode, slot, side);
        if ahead {
            self.b.begin(ArgumentMap::AHEAD);
            self.insert(AttentionMode::InsertCode, ArgumentMap::AHEAD_CODE, in_page);
            self.b.end();
        }
    }

    /// Divides, and collects so many results behind those `before`.
    fn normalise(&mut self, before: u32, results: u32) {
        let vector = Vector {
            op: VecOp::CollectSum,
            a: results,
            a_step: 1,
            b: 1,
            b_step: 1,
            d: self.vectors.result + before,
            len: results,
            bank: 0,
            last: 0,
        };
        self.b.refresh_due();
        self.b.vec(Action::Vec(vector), 0);
        let at = self.stream(AttentionMode::Normalise, 1, 1);
        let clocks = u64::from(NORMALISE_LATENCY + results + COLLECT_CLOCKS + 1);
        self.b.busy(at, clocks);
        self.b.vec_until(at + clocks);
    }
}
