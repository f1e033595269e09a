//! Targets: a DRAM with its timing, and what may stand beside a bank.
//!
//! A target is a TOML file; the built-in ones are such files too. Times are in clocks of `tck_ps`,
//! and the units run on that clock.

mod extra;
mod limits;
mod read;

pub use extra::Extra;
pub use limits::Limits;

use crate::attention::literal::Gather;
use crate::mapping::Split;
use itertools::Itertools;
use pimc_ir::{Code, Diagnostics, Model};
use pimc_rtl::isa::MIN_DELAY;
use std::path::Path;

/// What a beat may have for bits, which a bank unit takes in one clock, the narrowest first: one word
/// or two of the eight bytes of the longest sub-vector.
pub const BEAT_BITS: [u32; 2] = [64, 128];

/// Bits of a beat where a target does not say: the narrowest whose beats of a column of `column_bits`
/// are no more than the clocks `ccd` between two columns; the widest where none is.
fn beat_bits(column_bits: u32, ccd: u32) -> u32 {
    let fits = |bits: &u32| column_bits.div_ceil(*bits) <= ccd;
    BEAT_BITS.into_iter().find(fits).unwrap_or(BEAT_BITS[BEAT_BITS.len() - 1])
}

/// A DRAM channel and the memories of the units beside its banks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// The TOML text that it was read from.
    pub source: String,
    /// Pseudo-channels that run one program in lock step.
    pub channels: u32,
    /// Banks of a pseudo-channel; all of them take every command.
    pub banks: u32,
    /// Rows of a bank.
    pub rows: u32,
    /// Columns of a row.
    pub columns: u32,
    /// Bits of a column access.
    pub column_bits: u32,
    /// Bits of a beat, which a bank unit takes in one clock: what folds its data paths.
    pub beat_bits: u32,
    /// Timing rules.
    pub timing: Timing,
    /// Most gate equivalents of one bank unit, by the area proxy; none sets no bound.
    pub unit_gates: Option<u64>,
    /// Tokens that are encoded while a codebook passes, at most: where a cache is filled by clustering.
    pub encoders: u32,
    /// Rows of queries that a bank unit serves at a time, at most: where a cache is attended to.
    pub query_rows: u32,
    /// Bytes of table memory of one bank unit.
    pub table_bytes: u64,
    /// Bytes of input memory of one bank unit.
    pub input_bytes: u64,
    /// Bytes of vector memory of the buffer unit.
    pub vector_bytes: u64,
    /// Words of program memory.
    pub program_words: u32,
    /// Which dimension of a matrix goes over the banks, where its format allows both; none leaves
    /// it to the cost model.
    pub split: Option<Split>,
    /// How attention on a cache is mapped.
    pub attention: Attention,
}

/// How attention on a cache is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// Tables are in the units' memories, and codes stream by: the mapping that there is hardware for.
    Resident,
    /// The form of AQPIM: tables in DRAM rows, a column access a lookup. It ends at the schedule.
    Indirect(Gather),
}

/// Timing rules of the DRAM, in clocks unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The clock, in picoseconds.
    pub tck_ps: u32,
    /// Activate to read.
    pub rcd: u32,
    /// Precharge to activate, and to refresh.
    pub rp: u32,
    /// Activate to precharge.
    pub ras: u32,
    /// Activate to activate of one bank.
    pub rc: u32,
    /// Read to precharge.
    pub rtp: u32,
    /// Read to data.
    pub cl: u32,
    /// All-bank read to all-bank read.
    pub ccd: u32,
    /// Window of four activates.
    pub faw: u32,
    /// Whether an all-bank activate counts against `faw` as one activate per bank.
    pub faw_all_bank: bool,
    /// Refresh to refresh, at most.
    pub refi: u32,
    /// Refresh to any other command.
    pub rfc: u32,
    /// What only some commands need.
    pub extra: Extra,
}

impl Timing {
    /// Clocks between two all-bank activates that the activate window asks for; 0 when it does not
    /// apply. An all-bank activate fills one window per four banks.
    pub fn all_bank_activate_gap(&self, banks: u32) -> u32 {
        if self.faw_all_bank {
            self.faw * banks.div_ceil(4)
        } else {
            0
        }
    }
}

/// Tokens that are encoded at once where a target does not say.
const ENCODERS: u32 = 8;

/// Rows of queries that are served at once where a target does not say: as many query heads share a key/value head
/// in most models that share them.
const QUERY_ROWS: u32 = 8;

/// Largest target file, in bytes.
const MAX_FILE: u64 = 1 << 20;

fn unknown(name: &str, path: &Path, why: &str) -> Diagnostics {
    let names = Target::built_in().into_iter().map(|t| t.name).join(", ");
    let d = crate::diag::error(Code::P0604, format!("there is no target `{name}`")).help(format!(
        "built in: {}; or the path of a TOML file: {} cannot be read: {why}",
        names,
        path.display()
    ));
    Diagnostics::one(name.to_string(), d)
}

/// The texts of the built-in targets, the default first.
const BUILT_IN: [&str; 8] = [
    include_str!("../../targets/hbm3-pim.toml"),
    include_str!("../../targets/hbm3-pim-uncapped.toml"),
    include_str!("../../targets/hbm3-6400.toml"),
    include_str!("../../targets/hbm2-pim.toml"),
    include_str!("../../targets/hbm4-pim.toml"),
    include_str!("../../targets/gddr6-aim.toml"),
    include_str!("../../targets/lpddr5-pim.toml"),
    include_str!("../../targets/lpddr5x-pim.toml"),
];

impl Target {
    /// The built-in targets, the default first.
    pub fn built_in() -> Vec<Target> {
        BUILT_IN.iter().filter_map(|text| Target::from_toml("built-in target", text).ok()).collect()
    }

    /// The built-in target of that name.
    pub fn named(name: &str) -> Option<Target> {
        Target::built_in().into_iter().find(|t| t.name == name)
    }

    /// Reads a target. `file_name` is shown in diagnostics, of which there is one for every value
    /// that is missing, unknown or senseless.
    pub fn from_toml(file_name: &str, text: &str) -> Result<Target, Diagnostics> {
        read::read(file_name, text)
    }

    /// The target that a module or an option names: a built-in one, or a TOML file, relative to
    /// `folder`.
    ///
    /// # Errors
    /// P0604 when it is neither; what is wrong with the file.
    pub fn find(name: &str, folder: &Path) -> Result<Target, Diagnostics> {
        if let Some(target) = Target::named(name) {
            return Ok(target);
        }
        let path = folder.join(name);
        // Devices and pipes never end; a target is a small regular file.
        let read = match std::fs::metadata(&path) {
            Ok(m) if m.is_file() && m.len() <= MAX_FILE => std::fs::read(&path),
            Ok(_) => Err(std::io::Error::other("not a regular file of at most 1 MiB")),
            Err(e) => Err(e),
        };
        match read.map(String::from_utf8) {
            Ok(Ok(text)) => Target::from_toml(&path.display().to_string(), &text),
            Ok(Err(_)) => Err(unknown(name, &path, "not UTF-8 text")),
            Err(e) => Err(unknown(name, &path, &e.to_string())),
        }
    }

    /// The target that the model in the file `path` names, which is the place to point at where the
    /// target's own file has none.
    ///
    /// # Errors
    /// As [`Target::find`].
    pub fn of_model(model: &Model, path: &Path) -> Result<Target, Diagnostics> {
        let named = &model.module.target;
        let folder = path.parent().unwrap_or(Path::new(""));
        Target::find(&named.text, folder).map_err(|found| {
            let mut out = Diagnostics::new(model.file_name.as_str(), model.source.as_str());
            for d in found.list() {
                if d.primary.is_some() {
                    return found;
                }
                out.push(d.clone().at(&named.span, "named here"));
            }
            out
        })
    }

    /// The target with some values changed: section, key, and the value as TOML writes it. The
    /// source text changes with them.
    ///
    /// # Errors
    /// What is wrong with the target that results.
    pub fn with(&self, changes: &[(&str, &str, &str)]) -> Result<Target, Diagnostics> {
        let text = changes.iter().fold(self.source.clone(), |text, (section, key, value)| {
            read::changed(&text, section, key, value)
        });
        Target::from_toml(&self.name, &text)
    }

    /// Banks of all channels, each with its unit. Bank b of channel c is number
    /// `c * banks + b`.
    pub fn units(&self) -> u32 {
        self.channels * self.banks
    }

    /// Beats per column: the clocks that a bank unit takes to chew one.
    pub fn beats(&self) -> u32 {
        self.column_bits / self.beat_bits
    }

    /// Clocks between two column reads: the DRAM's interval, or where that is longer the bank unit's
    /// or that of the sequencer, whose instructions are so many clocks apart.
    pub fn column_interval(&self) -> u32 {
        self.timing.ccd.max(self.beats()).max(MIN_DELAY)
    }

    /// Bits that a pseudo-channel's bus moves in a clock: a column access moves its bits in `bl` clocks, in
    /// 2 where the target does not say.
    pub fn bus_bits(&self) -> u32 {
        (self.column_bits / self.timing.extra.bl.unwrap_or(2).max(1)).max(1)
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> u64 {
        u64::from(self.columns) * u64::from(self.column_bits) / 8
    }
}

/// Clocks before a refresh is due that the schedule keeps free, for the commands around it.
pub const REFRESH_MARGIN: u64 = 32;
