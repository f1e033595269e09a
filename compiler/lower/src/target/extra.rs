//! Values of a target that only some commands need: those that go to a single bank, writes,
//! refreshes of one bank. Our own schedules issue none of these; the legality checkers take them,
//! and refuse one of which the target does not say the value that it needs.

use super::read::{int, Kind};

/// The values; none where the target does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// Bank groups of a pseudo-channel: neighbouring banks, as many in each.
    pub bank_groups: Option<u32>,
    /// Column access to column access of a bank in another group.
    pub ccd_s: Option<u32>,
    /// Column access to column access of a bank in the same group.
    pub ccd_l: Option<u32>,
    /// Activate to activate of a bank in another group.
    pub rrd_s: Option<u32>,
    /// Activate to activate of a bank in the same group.
    pub rrd_l: Option<u32>,
    /// Activate to write.
    pub rcd_wr: Option<u32>,
    /// Write to its data.
    pub cwl: Option<u32>,
    /// Clocks that the data of a column take on the bus.
    pub bl: Option<u32>,
    /// End of a write's data to precharge.
    pub wr: Option<u32>,
    /// End of a write's data to a read of another group.
    pub wtr_s: Option<u32>,
    /// End of a write's data to a read of the same group.
    pub wtr_l: Option<u32>,
    /// Clocks that the data bus rests between a read's data and a write's.
    pub turn: Option<u32>,
    /// Refresh of a bank to a refresh or an activate of another.
    pub rrefd: Option<u32>,
    /// Refresh of a bank to any command of that bank.
    pub rfc_pb: Option<u32>,
    /// Refresh management of all banks to any command.
    pub rfm: Option<u32>,
    /// Refresh management of a bank to any command of that bank.
    pub rfm_pb: Option<u32>,
    /// Refreshes that may be postponed; none of them where the target does not say.
    pub postpone: Option<u32>,
}

const CLOCKS: Kind = int(1, 10_000);

/// Section, key, what it may be, what it says: as the values that must be there.
pub(super) const VALUES: [(&str, &str, Kind, &str); 20] = [
    ("pseudo_channel", "bank_groups", int(1, 16), "bank groups"),
    ("timing", "ccd_s", CLOCKS, "column access to column access, another group"),
    ("timing", "ccd_l", CLOCKS, "column access to column access, the same group"),
    ("timing", "rrd_s", CLOCKS, "activate to activate, another group"),
    ("timing", "rrd_l", CLOCKS, "activate to activate, the same group"),
    ("timing", "rcd_wr", CLOCKS, "activate to write"),
    ("timing", "cwl", int(1, 100), "write to data"),
    ("timing", "bl", int(1, 100), "clocks of a column's data on the bus"),
    ("timing", "wr", CLOCKS, "end of written data to precharge"),
    ("timing", "wtr_s", CLOCKS, "end of written data to read, another group"),
    ("timing", "wtr_l", CLOCKS, "end of written data to read, the same group"),
    ("timing", "turn", int(0, 100), "clocks that the data bus rests from a read to a write"),
    ("refresh", "rrefd", CLOCKS, "refresh of a bank to refresh or activate of another"),
    ("refresh", "rfc_pb", int(1, 1 << 20), "refresh of a bank to any command of it"),
    ("refresh", "rfm", int(1, 1 << 20), "refresh management to any command"),
    ("refresh", "rfm_pb", int(1, 1 << 20), "refresh management of a bank to any command of it"),
    ("refresh", "postpone", int(0, 64), "refreshes that may be postponed"),
    ("unit", "encoders", int(1, 256), "tokens that are encoded while a codebook passes, at most"),
    ("unit", "query_rows", int(1, 4096), "rows of queries that a bank unit serves at a time"),
    ("unit", "gates", int(1, 1 << 40), "gate equivalents of a bank unit, by the area proxy"),
];

impl Extra {
    /// The values, from what looks one up by section and key.
    pub(super) fn from(get: impl Fn(&'static str, &'static str) -> Option<u32>) -> Extra {
        let timing = |key| get("timing", key);
        let refresh = |key| get("refresh", key);
        Extra {
            bank_groups: get("pseudo_channel", "bank_groups"),
            ccd_s: timing("ccd_s"),
            ccd_l: timing("ccd_l"),
            rrd_s: timing("rrd_s"),
            rrd_l: timing("rrd_l"),
            rcd_wr: timing("rcd_wr"),
            cwl: timing("cwl"),
            bl: timing("bl"),
            wr: timing("wr"),
            wtr_s: timing("wtr_s"),
            wtr_l: timing("wtr_l"),
            turn: timing("turn"),
            rrefd: refresh("rrefd"),
            rfc_pb: refresh("rfc_pb"),
            rfm: refresh("rfm"),
            rfm_pb: refresh("rfm_pb"),
            postpone: refresh("postpone"),
        }
    }
}
