//! The cost model of a whole program: what its tasks should take, told before any instruction is
//! placed.
//!
//! | task | clocks |
//! |---|---|
//! | load, operation of the buffer unit | `pimc_rtl::timing::vec_clocks` |
//! | stream | its rows one open row at a time, the first one opened while its inputs or the last results are waited for |
//! | refresh | `rfc` for every window of rows that fits between two refreshes, unless a wait for the buffer unit hides it |
//! | drain | from a stream's last column to the results that it leaves |
//!
//! The report sets it beside the clocks of the schedule and of the co-simulation. It knows tasks and
//! no instruction, so that it can go wrong: a test holds it within 3 % on every example.

use crate::mapping::{Content, Mapping, StreamPlace, TaskKind};
use crate::target::{Target, REFRESH_MARGIN};
use pimc_ir::Model;
use pimc_rtl::isa::{Vector, MIN_DELAY};
use pimc_rtl::shape::ChannelShape;
use pimc_rtl::timing::{column_clocks, vec_clocks, COLLECT_CLOCKS, SEED_CLOCKS};
use serde::Serialize;

/// Clocks that a program is expected to take, and what they go into.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// All of it: the sum of the parts.
    pub cycles: u64,
    /// Streams: columns and the turnaround of their rows.
    pub streams: u64,
    /// Refreshes that nothing hides, the one at the start included.
    pub refresh: u64,
    /// Loads of inputs into the bank units.
    pub loads: u64,
    /// Other operations of the buffer unit.
    pub buffer: u64,
    /// Waits for the results of a stream's last column.
    pub drains: u64,
    /// Per op of the function: the clocks of its tasks.
    pub ops: Vec<u64>,
}

/// The clocks at which things are done, task by task.
struct Clock<'a> {
    target: &'a Target,
    shape: &'a ChannelShape,
    /// All tasks so far are done.
    now: u64,
    last_ref: u64,
    /// When the last task, a load, was begun; none when it was no load.
    loading: Option<u64>,
    /// The last stream's rows are closed.
    closed: u64,
    collecting: bool,
    parts: Estimate,
}

impl Estimate {
    /// Adds another run's clocks, those of the ops left out.
    pub(crate) fn add(&mut self, run: &Estimate) {
        self.cycles += run.cycles;
        self.streams += run.streams;
        self.loads += run.loads;
        self.buffer += run.buffer;
        self.refresh += run.refresh;
        self.drains += run.drains;
    }

    /// How far the estimate is from `cycles`, as a share of them.
    pub fn error(&self, cycles: u64) -> f64 {
        if cycles == 0 {
            return 0.0;
        }
        self.cycles as f64 / cycles as f64 - 1.0
    }

    /// The estimate of a mapping on hardware of that shape.
    pub(crate) fn new(
        model: &Model,
        target: &Target,
        shape: &ChannelShape,
        mapping: &Mapping,
    ) -> Estimate {
        let parts = Estimate { ops: vec![0; model.module.func.ops.len()], ..Estimate::default() };
        let mut clock = Clock {
            target,
            shape,
            now: 0,
            last_ref: 0,
            loading: None,
            closed: 0,
            collecting: false,
            parts,
        };
        for task in &mapping.tasks {
            let before = clock.now;
            match &task.kind {
                TaskKind::Vec { vector, .. } => clock.vector(vector),
                TaskKind::Stream { stream, .. } => clock.stream(&mapping.streams[*stream]),
            }
            if let Some(op) = clock.parts.ops.get_mut(task.op) {
                *op += clock.now - before;
            }
        }
        clock.end()
    }
}

impl Clock<'_> {
    fn vector(&mut self, vector: &Vector) {
        if vector.op.collects() {
            self.collecting = true;
            return;
        }
        let clocks = u64::from(vec_clocks(vector, self.shape));
        let (refi, rfc) = self.refresh();
        if clocks >= rfc && self.now >= self.last_ref + refi / 2 {
            // Refreshed meanwhile.
            self.last_ref = self.now;
        }
        self.loading = vector.op.loads().then_some(self.now);
        self.now += clocks;
        *if vector.op.loads() { &mut self.parts.loads } else { &mut self.parts.buffer } += clocks;
        // In longer waits refreshes come when they are due.
        self.last_ref += (self.now - self.last_ref) / refi * refi;
    }

    fn refresh(&self) -> (u64, u64) {
        (self.target.timing.refi.into(), self.target.timing.rfc.into())
    }

    fn stream(&mut self, place: &StreamPlace) {
        let t = &self.target.timing;
        let (_, rfc) = self.refresh();
        let mut interval = self.target.column_interval();
        if place.content == Content::Mask {
            interval = interval.max(SEED_CLOCKS.div_ceil(place.row_columns));
        }
        // The first row is opened while the last results or a load are waited for. Between it and its
        // first read come the collection, the stream, which does not wait for a load, and a loop; the
        // data of a read find the inputs.
        let collecting = std::mem::take(&mut self.collecting);
        let step = u64::from(MIN_DELAY);
        let (issued, reads) = match self.loading.take() {
            None => (self.closed, self.now + (2 + u64::from(collecting)) * step),
            Some(load) => {
                let inputs = self.now.saturating_sub(self.shape.read_latency.into());
                let free = if collecting { self.now + 3 * step } else { 0 };
                (self.closed.max(load + 2 * step), inputs.max(free))
            }
        };
        let opens = reads.saturating_sub(t.rcd.into()).max(issued);
        let begin = opens.max(self.last_ref + rfc);
        let exposed = begin.saturating_sub(opens.max(self.now));
        let (columns, of_row) = (u64::from(place.columns.max(1)), u64::from(self.target.columns));
        let (whole, rest) = ((columns - 1) / of_row, (columns - 1) % of_row + 1);
        let (row, last_row) =
            (self.target.clocks_at(of_row, interval), self.target.clocks_at(rest, interval));
        let closed = self.rows(begin, whole, row);
        let end = self.rows(closed, 1, last_row);
        let refreshing = exposed + (end - begin) - whole * row - last_row;
        // The last row is closed while the results are waited for.
        let last_read = end - last_row + u64::from(t.rcd) + (rest - 1) * u64::from(interval);
        let mut done = last_read + u64::from(column_clocks(self.shape));
        if collecting {
            done += u64::from(COLLECT_CLOCKS);
        }
        self.closed = end;
        let all = done - self.now;
        let drain = (done - last_read - u64::from(interval)).min(all - refreshing);
        self.parts.refresh += refreshing;
        self.parts.drains += drain;
        self.parts.streams += all - refreshing - drain;
        self.now = done;
    }

    /// The end of `count` rows of `row` clocks each from `at` on: as many as there is room for until the
    /// next refresh is due, and then a refresh before every window of them.
    fn rows(&mut self, at: u64, count: u64, row: u64) -> u64 {
        let (refi, rfc) = self.refresh();
        let room = (self.last_ref + refi - REFRESH_MARGIN / 2).saturating_sub(at) / row;
        let window = ((refi - REFRESH_MARGIN).saturating_sub(rfc) / row).max(1);
        let left = count.saturating_sub(room);
        let refreshes = left.div_ceil(window);
        let end = at + count * row + refreshes * rfc;
        if refreshes > 0 {
            self.last_ref = end - (left - (refreshes - 1) * window) * row - rfc;
        }
        end
    }

    fn end(mut self) -> Estimate {
        let (_, rfc) = self.refresh();
        let closing = self.closed.saturating_sub(self.now);
        self.parts.streams += closing;
        self.now += closing;
        let refreshing = (self.last_ref + rfc).saturating_sub(self.now);
        self.parts.refresh += refreshing;
        self.now += refreshing;
        Estimate { cycles: self.now, ..self.parts }
    }
}
