//! What no in-bank unit can beat: bytes per column interval, less row turnaround, less refresh.

use super::Target;

/// Limits of one bank of a target, in GB/s (10^9 bytes a second).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// A column every column interval.
    pub peak: f64,
    /// With one row open at a time: row bytes per
    /// `max(rc, rcd + (columns - 1)*ccd + rtp + rp, columns*ccd)`.
    pub after_rows: f64,
    /// The same, less the share `rfc / refi` of the time that refresh takes.
    pub after_refresh: f64,
}

impl Target {
    /// Clocks from a row's activate to the next row's when every column is read.
    pub fn row_clocks(&self) -> u64 {
        self.dram_clocks(self.columns.into())
    }

    /// Clocks to read `columns` columns one open row after another, refresh not counted.
    pub fn column_clocks(&self, columns: u64) -> u64 {
        self.clocks_at(columns, self.column_interval())
    }

    /// The same when the DRAM alone sets the interval of the columns, however slow the units are.
    pub fn dram_clocks(&self, columns: u64) -> u64 {
        self.clocks_at(columns, self.timing.ccd)
    }

    /// The same at an interval of `interval` clocks.
    pub(crate) fn clocks_at(&self, columns: u64, interval: u32) -> u64 {
        let (whole, rest) = (columns / u64::from(self.columns), columns % u64::from(self.columns));
        let t = &self.timing;
        let turn = u64::from(t.rcd + t.rtp + t.rp);
        let interval = u64::from(interval);
        let row = |columns: u64| {
            (turn + (columns - 1) * interval).max(t.rc.into()).max(columns * interval)
        };
        let whole = whole.saturating_mul(row(self.columns.into()));
        whole + if rest > 0 { row(rest) } else { 0 }
    }

    /// How much longer everything takes because refresh takes `rfc` clocks of every `refi`.
    pub fn refresh_factor(&self) -> f64 {
        let (refi, rfc) = (f64::from(self.timing.refi), f64::from(self.timing.rfc));
        refi / (refi - rfc)
    }

    /// The limits of one bank.
    pub fn limits(&self) -> Limits {
        let t = &self.timing;
        let gb_per_s = |bytes: u64, clocks: u64| {
            // Bytes per picosecond are TB/s.
            1000.0 * bytes as f64 / (clocks as f64 * f64::from(t.tck_ps))
        };
        let after_rows = gb_per_s(self.row_bytes(), self.row_clocks());
        Limits {
            peak: gb_per_s(u64::from(self.column_bits) / 8, t.ccd.into()),
            after_rows,
            after_refresh: after_rows / self.refresh_factor(),
        }
    }
}
