//! The part of the program that clusters. It goes through a script ([`super::script`]) and knows no row.

use super::script::ClusterMap;
use crate::attention::program::{PartOf, Writer};
use pimc_rtl::attention::{AttentionMode, AttentionParam};
use pimc_rtl::isa::SetTo;
use pimc_rtl::timing::{accumulate_clocks, clear_clocks};

/// The first words of an entry: row, column and place of a token.
const TOKEN: [u32; 3] = [1, 2, 3];
/// The word behind them.
const FOURTH: u32 = 4;

fn param(of: AttentionParam) -> SetTo {
    SetTo::Param(of.index())
}

impl Writer<'_> {
    /// What the script says.
    pub(in crate::attention) fn cluster(&mut self, map: &ClusterMap) {
        self.part(PartOf::Cluster, "first centroids".into());
        self.b.set(SetTo::Pointer, None, map.script());
        self.b.set(param(AttentionParam::Encoder), None, 0);
        self.b.begin_again(0);
        self.capture(TOKEN, 0);
        self.centroid(map);
        self.b.end();
        self.advance(1);

        self.part(PartOf::Cluster, "clear sums".into());
        self.b.begin(0);
        let at = self.stream(AttentionMode::Clear, 1, 1);
        let clocks = clear_clocks(self.attention, self.target.beat_bits);
        // Waited for here, since what comes next is a loop.
        self.b.wait_closed(at + u64::from(clocks));
        self.b.end();
        self.advance(1);

        self.codebook_part(PartOf::Cluster, "encode tokens and add them up".into());
        self.b.begin(0);
        self.added_up();
        self.b.end();
        self.advance(1);

        self.codebook_part(PartOf::Cluster, "centroids become means".into());
        self.b.begin(0);
        self.update(map);
        self.b.end();
        self.advance(1);

        self.codebook_part(PartOf::Cluster, "encode tokens and keep their codes".into());
        self.b.begin_again(0);
        self.capture(TOKEN, 0);
        self.codebook_from(AttentionMode::Encode, Some(FOURTH), 0);
        self.codes_kept(map);
        self.b.end();
    }

    fn advance(&mut self, words: u32) {
        self.b.set(SetTo::Advance, None, words);
    }

    /// Puts the token into the columns of its centroid; the pointer ends on the last of the entry's words.
    fn centroid(&mut self, map: &ClusterMap) {
        let (l, mode) = (self.layout, AttentionMode::InsertCentroid);
        let data = self.data(mode);
        self.stream(mode, l.slices, l.beats);
        self.place(FOURTH);
        self.advance(FOURTH + 1);
        self.b.begin_again(0);
        self.open_row(1);
        self.advance(2);
        self.b.settle_read(1);
        self.b.begin_again(0);
        self.b.set(SetTo::Col, Some(1), 0);
        let read = self.b.read(0, data);
        self.b.set(SetTo::Col, Some(1), 0);
        self.advance(1);
        self.b.write(read + data);
        self.b.end_within_row(map.held().centroids.min(l.slices));
        self.b.pre();
        self.b.end();
    }

    /// Encodes batches and adds them up. The row of the next one is opened while a batch is added up; behind the
    /// last entry stands a row for that too.
    fn added_up(&mut self) {
        let entry = FOURTH + self.attention.encoders();
        let [row, column, place] = TOKEN;
        self.advance(1);
        self.open_row(row);
        self.b.settle();
        self.b.begin_again(0);
        self.capture_open(column, place);
        self.codebook_from(AttentionMode::Encode, Some(FOURTH), 0);
        self.open_row(entry + row);
        self.accumulate();
        self.advance(entry);
        self.b.end();
        self.b.pre();
        self.advance(1);
    }

    /// Opens the row that a word says.
    fn open_row(&mut self, row: u32) {
        self.b.set(SetTo::Row, Some(row), 0);
        self.b.refresh_due();
        self.b.act();
    }

    /// Adds a batch up, whose weights stand behind the entry's first words.
    fn accumulate(&mut self) {
        let encoders = self.attention.encoders();
        for e in 0..encoders {
            if e > 0 {
                // What was added last has to be done before another is chosen.
                let done = self.b.stream_ready();
                self.b.wait_until(done);
            }
            if encoders > 1 {
                self.b.set(param(AttentionParam::Encoder), None, e);
            }
            self.b.set(param(AttentionParam::Weight), Some(FOURTH + 1 + e), 0);
            let at = self.stream(AttentionMode::Accumulate, 1, 1);
            self.b.busy(at, accumulate_clocks(self.attention).into());
        }
    }

    /// Every column of the codebook is read, changed and written, some of them while a row is open.
    fn update(&mut self, map: &ClusterMap) {
        let (l, mode) = (self.layout, AttentionMode::Update);
        let data = self.data(mode);
        let total = l.slices * l.codebook_columns;
        let together = map.held().means;
        self.stream(mode, l.codebook_columns, l.codebook_tail);
        for row in 0..total.div_ceil(l.columns) {
            let here = (total - row * l.columns).min(l.columns);
            let (whole, rest) = (here / together, here % together);
            if whole > 0 {
                self.b.begin_rounds(whole);
                self.update_piece(row, together, data);
                self.b.end();
            }
            if rest > 0 {
                self.update_piece(row, rest, data);
            }
            // Back to the first piece, whose columns the next row has too.
            let back = 2 * here.div_ceil(together);
            if (row + 1) * l.columns < total {
                self.advance(back.wrapping_neg());
            } else if back < 2 * map.pieces() {
                self.advance(2 * map.pieces() - back);
            }
        }
    }

    /// `columns` columns of a row of the codebook; its number counts from the first.
    fn update_piece(&mut self, row: u32, columns: u32, data: u64) {
        self.b.set(SetTo::Row, Some(1), row);
        self.b.refresh_due();
        self.b.act();
        for i in 0..columns {
            self.b.set(SetTo::Col, Some(2), i);
            let read = self.b.read(0, data);
            self.b.set(SetTo::Col, Some(2), i);
            self.b.write(read + data);
        }
        self.b.pre();
        self.advance(2);
    }

    /// Puts the codes of a batch to their places; the pointer ends on the last of the entry's words.
    fn codes_kept(&mut self, map: &ClusterMap) {
        let (l, mode) = (self.layout, AttentionMode::InsertCode);
        let data = self.data(mode);
        self.advance(FOURTH + 1);
        self.b.begin_again(0);
        self.open_row(1);
        self.advance(2);
        self.b.settle_read(4);
        self.b.begin_again(0);
        self.b.set(param(AttentionParam::Encoder), Some(1), 0);
        self.stream(mode, l.slices, l.beats);
        self.place(3);
        for slice in 0..l.slices {
            self.b.set(SetTo::Col, Some(2), slice);
            let read = self.b.read(0, data);
            self.b.set(SetTo::Col, Some(2), slice);
            if slice + 1 == l.slices {
                self.advance(3);
            }
            self.b.write(read + data);
        }
        self.b.end_within_row(map.held().codes.min(self.attention.encoders()));
        self.b.pre();
        self.b.end();
    }
}
