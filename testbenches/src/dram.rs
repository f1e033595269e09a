//! The DRAM models in SystemVerilog: their texts, and a target's numbers as they take them.

use pimc_lower::Target;
use std::fmt::Write as _;

/// The package that the models share.
pub const DRAM_PACKAGE: &str = include_str!("../sv/pimc_dram_pkg.sv");
/// The rules of a bank.
pub const DRAM_RULES: &str = include_str!("../sv/pimc_dram_rules.sv");
/// The rules between banks.
pub const DRAM_BUS: &str = include_str!("../sv/pimc_dram_bus.sv");
/// The DRAM bank model's text.
pub const DRAM_BANK: &str = include_str!("../sv/pimc_dram_bank.sv");
/// The rules of a channel without its content.
pub const DRAM_REPLAY: &str = include_str!("../sv/pimc_dram_replay.sv");

/// The numbers of a DRAM, in the order in which `timing_t` packs them, the first one highest.
pub const NUMBERS: [&str; 32] = [
    "banks",
    "group_shift",
    "rows",
    "cols",
    "rcd",
    "rcd_wr",
    "ras",
    "rp",
    "rc",
    "rtp",
    "cl",
    "cwl",
    "bl",
    "turn",
    "wr",
    "wtr_s",
    "wtr_l",
    "ccd",
    "ccd_s",
    "ccd_l",
    "rrd_s",
    "rrd_l",
    "faw",
    "faw_all_bank",
    "rfc",
    "rfc_pb",
    "rfm",
    "rfm_pb",
    "rrefd",
    "refi",
    "postpone",
    "end_margin",
];

/// The numbers of a DRAM as the models take them; an interval of 0 asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DramTiming([u32; NUMBERS.len()]);

impl DramTiming {
    /// Those of a target. What it does not say is 0, and one bank group.
    pub fn of(target: &Target) -> DramTiming {
        let (t, x) = (&target.timing, &target.timing.extra);
        let per_group = target.banks / x.bank_groups.unwrap_or(1);
        let said = |value: Option<u32>| value.unwrap_or(0);
        DramTiming([0; NUMBERS.len()])
            .with("banks", target.banks)
            .with("group_shift", per_group.max(1).ilog2())
            .with("rows", target.rows)
            .with("cols", target.columns)
            .with("rcd", t.rcd)
            .with("rcd_wr", said(x.rcd_wr))
            .with("ras", t.ras)
            .with("rp", t.rp)
            .with("rc", t.rc)
            .with("rtp", t.rtp)
            .with("cl", t.cl)
            .with("cwl", said(x.cwl))
            .with("bl", said(x.bl))
            .with("turn", said(x.turn))
            .with("wr", said(x.wr))
            .with("wtr_s", said(x.wtr_s))
            .with("wtr_l", said(x.wtr_l))
            .with("ccd", t.ccd)
            .with("ccd_s", said(x.ccd_s))
            .with("ccd_l", said(x.ccd_l))
            .with("rrd_s", said(x.rrd_s))
            .with("rrd_l", said(x.rrd_l))
            .with("faw", t.faw)
            .with("faw_all_bank", t.faw_all_bank.into())
            .with("rfc", t.rfc)
            .with("rfc_pb", said(x.rfc_pb))
            .with("rfm", said(x.rfm))
            .with("rfm_pb", said(x.rfm_pb))
            .with("rrefd", said(x.rrefd))
            .with("refi", t.refi)
            .with("postpone", said(x.postpone))
    }

    /// The value of a number; 0 for one that there is not.
    pub fn get(&self, name: &str) -> u32 {
        NUMBERS.iter().position(|n| *n == name).map_or(0, |at| self.0[at])
    }

    /// With another value of a number; one that there is not changes nothing.
    pub fn with(mut self, name: &str, value: u32) -> DramTiming {
        if let Some(at) = NUMBERS.iter().position(|n| *n == name) {
            self.0[at] = value;
        }
        self
    }

    /// As the models' port takes them: 64-bit words, the lowest first.
    pub fn words(&self) -> Vec<u64> {
        let mut halves = self.0.iter().rev();
        let mut words = Vec::new();
        while let Some(&low) = halves.next() {
            let high = halves.next().copied().unwrap_or(0);
            words.push(u64::from(high) << 32 | u64::from(low));
        }
        words
    }

    /// As a constant of SystemVerilog.
    pub(crate) fn constant(&self, name: &str) -> String {
        let mut text = format!("  localparam logic [{}:0] {name} = {{\n", 32 * NUMBERS.len() - 1);
        for (i, (number, value)) in NUMBERS.iter().zip(self.0).enumerate() {
            let comma = if i + 1 < NUMBERS.len() { "," } else { "" };
            let _ = writeln!(text, "      32'd{value}{comma}  // {number}");
        }
        text + "  };\n"
    }
}

/// The rules by their number on the models' `rule_o` ports: name and what it says.
pub const RULES: [(&str, &str); 21] = [
    ("none", ""),
    ("RCD", "activate to read or write"),
    ("RAS", "activate to precharge"),
    ("RP", "precharge to activate or refresh"),
    ("RC", "activate to activate or refresh"),
    ("CCD", "column access to column access"),
    ("RTP", "read to precharge"),
    ("RFC", "refresh to any command"),
    ("REFI", "refresh deadline"),
    ("OPEN", "activate or refresh while a row is open"),
    ("CLOSED", "read or write while no row is open"),
    ("RANGE", "row, column or bank that does not exist"),
    ("FAW", "window of four activates"),
    ("WR", "end of written data to precharge"),
    ("ROW", "read or write meant for another row"),
    ("END", "end of a run while a row is open"),
    ("START", "a run begins with a refresh of all banks"),
    ("RRD", "activate to activate of another bank"),
    ("WTR", "end of written data to read"),
    ("RTW", "read to write"),
    ("RREFD", "refresh of a bank to refresh or activate of another"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_those_of_the_models() {
        let rules = DRAM_PACKAGE.lines().filter_map(|line| {
            let (name, rest) =
                line.trim().strip_prefix("localparam logic [7:0] RULE_")?.split_once(" = 8'd")?;
            let (number, about) = rest.split_once(";  // ")?;
            Some((number.parse::<usize>().unwrap(), name, about))
        });
        let rules: Vec<(usize, &str, &str)> = rules.collect();
        assert_eq!(rules.len(), RULES.len() - 1);
        for (number, name, about) in rules {
            assert_eq!((name, about), RULES[number]);
        }
    }

    #[test]
    fn the_numbers_are_those_of_the_models() {
        let members = DRAM_PACKAGE.lines().filter_map(|line| {
            line.trim().strip_prefix("logic [31:0] ")?.split_once(';').map(|m| m.0)
        });
        assert_eq!(members.collect::<Vec<_>>(), NUMBERS);
        let timing = DramTiming([0; 32]).with("banks", 7).with("end_margin", 9).with("postpone", 3);
        let words = timing.words();
        assert_eq!((words.len(), words[0], words[15]), (16, 3 << 32 | 9, 7 << 32));
        assert!(timing.constant("T").contains("      32'd7,  // banks\n"));
    }
}
