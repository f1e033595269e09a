//! The testbench around the generated Verilog: what is built, and one running simulation of it.

use crate::dram::{DramTiming, DRAM_BANK, DRAM_BUS, DRAM_PACKAGE, DRAM_RULES, RULES};
use crate::error::Error;
use crate::verilator::{Built, Design, Model, Port, PortId, WaveFormat};
use crate::wave::reader::sign_extend;
use crate::wave::signals::{attention_names, signal_names};
use pimc_lower::attention::HostColumn;
use pimc_rtl::shape::{index_bits, ChannelShape};
use std::fmt::Write as _;
use std::path::Path;

/// The testbench's text.
pub const TESTBENCH: &str = include_str!("../sv/pimc_tb.sv");

/// Which signals a wave file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traced {
    /// Those that the waveform check reads.
    Checked,
    /// All.
    All,
}

/// A package of numbers, as SystemVerilog: name and text of its file.
pub(crate) fn package(name: &str, about: &str, numbers: &[(&str, u64)]) -> (String, String) {
    let mut text = format!("// {about}\npackage {name};\n");
    for (number, value) in numbers {
        let _ = writeln!(text, "  localparam int {number} = {value};");
    }
    text.push_str("endpackage\n");
    (format!("{name}.sv"), text)
}

/// The testbench for a channel of that shape: names and texts of its files, in dependency order.
pub fn testbench(
    shape: &ChannelShape,
    timing: &DramTiming,
    image_rows: u64,
) -> [(String, String); 6] {
    let mut numbers = vec![
        ("Banks", u64::from(shape.banks)),
        ("ProgAddrBits", index_bits(shape.program_depth).into()),
        ("ProgBits", shape.isa.word_bits().into()),
        ("AddrBits", index_bits(shape.buffer.depth).into()),
        ("WordBits", shape.buffer.word_bits.into()),
        ("RowBits", index_bits(shape.dram_rows).into()),
        ("ColAddrBits", index_bits(shape.dram_cols).into()),
        ("Rows", shape.dram_rows.into()),
        ("ImageRows", image_rows.max(1)),
        ("Cols", shape.dram_cols.into()),
        ("ColBits", (shape.beats * shape.beat_bits).into()),
        ("ReadLatency", shape.read_latency.into()),
        ("WriteLatency", shape.write_latency.unwrap_or(0).into()),
        ("CmdBits", if shape.write_latency.is_some() { 3 } else { 2 }),
    ];
    let mut defines = "";
    if shape.write_latency.is_some() {
        numbers.push(("ArgAddrBits", index_bits(shape.arg_words).into()));
        defines = "`define PIMC_TB_WRITES\n";
    }
    let (name, text) =
        package("pimc_tb_pkg", "Shape of the channel and numbers of the DRAM.", &numbers);
    // Packed as `timing_t` of pimc_dram_pkg is.
    let dram = format!("{}endpackage\n", timing.constant("Timing"));
    [
        (name, defines.to_string() + &text.replace("endpackage\n", &dram)),
        ("pimc_dram_pkg.sv".into(), DRAM_PACKAGE.into()),
        ("pimc_dram_rules.sv".into(), DRAM_RULES.into()),
        ("pimc_dram_bus.sv".into(), DRAM_BUS.into()),
        ("pimc_dram_bank.sv".into(), DRAM_BANK.into()),
        ("pimc_tb.sv".into(), TESTBENCH.into()),
    ]
}

/// The design to build: testbench, bank model and the generated files `rtl` (name, text).
pub fn design(
    shape: &ChannelShape,
    timing: &DramTiming,
    image_rows: u64,
    rtl: &[(String, String)],
    traced: Traced,
    waves: WaveFormat,
) -> Design {
    let addr_bits = u64::from(index_bits(shape.buffer.depth));
    let prog_addr_bits = u64::from(index_bits(shape.program_depth));
    let mut ports = vec![
        ("rst_ni", 1),
        ("load_i", 1),
        ("quiet_i", 1),
        ("prog_we_i", 1),
        ("prog_addr_i", prog_addr_bits),
        ("prog_data_i", shape.isa.word_bits().into()),
        ("host_we_i", 1),
        ("host_addr_i", addr_bits),
        ("host_wdata_i", u64::from(shape.buffer.word_bits)),
        ("host_rdata_o", u64::from(shape.buffer.word_bits)),
        ("start_i", 1),
        ("busy_o", 1),
        ("done_o", 1),
        ("cmd_valid_o", 1),
        ("now_o", 64),
        ("violations_o", 32),
        ("bank_o", 8),
        ("rule_o", 8),
        ("cycle_o", 64),
        ("earliest_o", 64),
    ];
    if shape.write_latency.is_some() {
        let arg_addr_bits = index_bits(shape.arg_words).into();
        ports.extend([("arg_we_i", 1), ("arg_addr_i", arg_addr_bits), ("arg_data_i", 32)]);
        ports.extend([
            ("host_mem_we_i", 1),
            ("host_mem_bank_i", 8),
            ("host_mem_row_i", index_bits(shape.dram_rows).into()),
            ("host_mem_col_i", index_bits(shape.dram_cols).into()),
            ("host_mem_data_i", (shape.beats * shape.beat_bits).into()),
        ]);
    }
    let mut sources = rtl.to_vec();
    sources.extend(testbench(shape, timing, image_rows));
    Design {
        top: "pimc_tb".into(),
        control: control(&sources, traced),
        sources,
        params: Vec::new(),
        ports: ports.into_iter().map(|(n, b)| Port { name: n.into(), bits: b as u32 }).collect(),
        waves,
    }
}

/// The Verilator control file: repeated units stay modules of their own (see `verilator::build`),
/// and only the lines that declare checked signals, or stand on the way to them, are traced.
fn control(sources: &[(String, String)], traced: Traced) -> String {
    let mut text = String::from("`verilator_config\n");
    for (name, source) in sources {
        let repeated = source.lines().filter_map(|l| l.strip_prefix("module ")).filter_map(|l| {
            let module = l.split([' ', '(', '#']).next()?;
            let repeated = ["pimc_dram_bank", "pimc_dram_bus", "pimc_vector_alu"].contains(&module);
            let units = ["pimc_bank_unit", "pimc_attention_unit"];
            let unit = units.iter().any(|name| module.starts_with(name)) || repeated;
            unit.then_some(module)
        });
        for module in repeated {
            let _ = writeln!(text, "no_inline -module \"{module}\"");
        }
        if traced == Traced::Checked {
            let _ = writeln!(text, "tracing_off -file \"*{name}\"");
            // Neighbouring lines must be one range: Verilator switches off at the line after a
            // range, and in 5.006 that wins over switching on at the same line.
            for run in traced_lines(source).chunk_by(|a, b| a + 1 == *b) {
                let (first, last) = (run[0], run[run.len() - 1]);
                let _ = writeln!(text, "tracing_on -file \"*{name}\" -lines {first}-{last}");
            }
        }
    }
    text
}

/// Lines, from 1, on which a checked signal or an instance on the way to one is named.
fn traced_lines(source: &str) -> Vec<usize> {
    let module = source.lines().find_map(|l| l.strip_prefix("module ")).unwrap_or_default();
    let module = module.split([' ', '(', '#']).next().unwrap_or_default();
    let (channel, buffer, bank) = signal_names();
    let attention = attention_names();
    let names: Vec<&str> = if module == "pimc_channel" {
        let way = ["clk_i", "u_buffer", "u_bank", "gen_bank", "u_attention"];
        channel.iter().copied().chain(way).collect()
    } else if module.starts_with("pimc_bank_unit") {
        bank.to_vec()
    } else if module == "pimc_attention_banks" {
        vec!["u_unit", "gen_unit"]
    } else if module == "pimc_attention_unit" {
        attention.to_vec()
    } else if module.starts_with("pimc_buffer_unit") {
        buffer.to_vec()
    } else if module == "pimc_tb" {
        vec!["u_channel", "pimc_channel"]
    } else {
        return Vec::new();
    };
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    source
        .lines()
        .enumerate()
        .filter(|(_, l)| l.split(|c| !is_word(c)).any(|w| names.contains(&w)))
        .map(|(i, _)| i + 1)
        .collect()
}

/// What `bank_o` of the testbench says where a rule between banks is broken.
const CHANNEL: u64 = 255;

/// A broken DRAM rule, as the models report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule's name.
    pub rule: &'static str,
    /// The rule in words.
    pub about: &'static str,
    /// Bank; none where the rule is the channel's.
    pub bank: Option<usize>,
    /// Clock, counted like [`RunEnd::first_command`].
    pub cycle: u64,
    /// First clock at which the command would have been legal.
    pub earliest: u64,
    /// How many rules were broken in all banks so far.
    pub count: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunEnd {
    /// Whether `done_o` came.
    pub done: bool,
    /// Clocks from the start, a wait for the end of an idle refresh included.
    pub clocks: u64,
    /// Clocks of them from the first command on.
    pub program: u64,
    /// Clock since reset of the first command after the start.
    pub first_command: u64,
}

/// A running simulation of the testbench.
pub struct Simulation {
    model: Model,
    ids: Ids,
    word_bits: u32,
    word_words: usize,
}

struct Ids {
    prog_we: PortId,
    prog_addr: PortId,
    prog_data: PortId,
    /// Write, address and data of argument memory, where there is one.
    arg: Option<[PortId; 3]>,
    /// Write, bank, row, column and data of the banks, where the channel writes them too.
    column: Option<[PortId; 5]>,
    host_we: PortId,
    host_addr: PortId,
    host_wdata: PortId,
    host_rdata: PortId,
    start: PortId,
    done: PortId,
    cmd_valid: PortId,
    now: PortId,
    violations: PortId,
    violation: [PortId; 4],
}

impl Simulation {
    /// Loads the built testbench, takes it through reset and loads the bank images from the folder
    /// `images`.
    ///
    /// # Errors
    /// [`Error::Simulation`] when an image cannot be loaded.
    pub fn new(built: &Built, shape: &ChannelShape, images: &Path) -> Result<Simulation, Error> {
        // The seed makes what was never written the same pattern in every run.
        let args = [
            format!("+mem={}", images.display()),
            "+verilator+rand+reset+2".into(),
            "+verilator+seed+7".into(),
        ];
        let mut model = Model::load(built, &args)?;
        let ids = Ids {
            prog_we: model.port("prog_we_i"),
            prog_addr: model.port("prog_addr_i"),
            prog_data: model.port("prog_data_i"),
            arg: (shape.arg_words > 0)
                .then(|| ["arg_we_i", "arg_addr_i", "arg_data_i"].map(|n| model.port(n))),
            column: (shape.write_latency.is_some()).then(|| {
                let names = ["we", "bank", "row", "col", "data"];
                names.map(|name| model.port(&format!("host_mem_{name}_i")))
            }),
            host_we: model.port("host_we_i"),
            host_addr: model.port("host_addr_i"),
            host_wdata: model.port("host_wdata_i"),
            host_rdata: model.port("host_rdata_o"),
            start: model.port("start_i"),
            done: model.port("done_o"),
            cmd_valid: model.port("cmd_valid_o"),
            now: model.port("now_o"),
            violations: model.port("violations_o"),
            violation: ["bank_o", "rule_o", "cycle_o", "earliest_o"].map(|n| model.port(n)),
        };
        let [rst, load, quiet] = ["rst_ni", "load_i", "quiet_i"].map(|n| model.port(n));
        let (args, columns) = (ids.arg.iter().map(|p| p[0]), ids.column.iter().map(|p| p[0]));
        let always = [ids.prog_we, ids.host_we, ids.start];
        for port in always.into_iter().chain(args).chain(columns) {
            model.set(port, 0);
        }
        model.set(quiet, 1);
        // Reset is seen to fall, so that an asynchronous reset takes effect whatever the
        // registers hold.
        model.set(rst, 1);
        model.set(load, 0);
        model.clock(1)?;
        model.set(rst, 0);
        model.set(load, 1);
        model.clock(2)?;
        model.set(load, 0);
        model.clock(1)?;
        model.set(rst, 1);
        let word_words = shape.buffer.word_bits.div_ceil(64) as usize;
        Ok(Simulation { model, ids, word_bits: shape.buffer.word_bits, word_words })
    }

    /// Writes the program.
    ///
    /// # Errors
    /// [`Error::Simulation`].
    pub fn load_program(&mut self, words: &[u128]) -> Result<(), Error> {
        self.model.set(self.ids.prog_we, 1);
        for (addr, word) in words.iter().enumerate() {
            self.model.set(self.ids.prog_addr, addr as u64);
            self.model.set_words(self.ids.prog_data, &[*word as u64, (*word >> 64) as u64]);
            self.model.clock(1)?;
        }
        self.model.set(self.ids.prog_we, 0);
        Ok(())
    }

    /// Writes arguments of the program, from the first on; a channel without argument memory takes
    /// none.
    ///
    /// # Errors
    /// [`Error::Simulation`].
    pub fn write_args(&mut self, words: &[u32]) -> Result<(), Error> {
        let Some([we, addr, data]) = self.ids.arg else { return Ok(()) };
        self.model.set(we, 1);
        for (at, &word) in words.iter().enumerate() {
            self.model.set(addr, at as u64);
            self.model.set(data, word.into());
            self.model.clock(1)?;
        }
        self.model.set(we, 0);
        Ok(())
    }

    /// Writes columns of the banks; a channel that writes none takes none.
    ///
    /// # Errors
    /// [`Error::Simulation`].
    pub fn write_columns(&mut self, columns: &[HostColumn]) -> Result<(), Error> {
        let Some([we, bank, row, col, data]) = self.ids.column else { return Ok(()) };
        self.model.set(we, 1);
        for column in columns {
            self.model.set(bank, column.bank.into());
            self.model.set(row, column.row.into());
            self.model.set(col, column.col.into());
            self.model.set_words(data, &column.data);
            self.model.clock(1)?;
        }
        self.model.set(we, 0);
        Ok(())
    }

    /// Writes words of vector memory from address `addr` on.
    ///
    /// # Errors
    /// [`Error::Simulation`].
    pub fn write(&mut self, addr: u32, words: impl IntoIterator<Item = i64>) -> Result<(), Error> {
        self.model.set(self.ids.host_we, 1);
        for (i, word) in words.into_iter().enumerate() {
            self.model.set(self.ids.host_addr, u64::from(addr) + i as u64);
            // A word wider than 64 bits repeats the sign.
            let mut wide = vec![word as u64];
            wide.resize(self.word_words.max(1), (word >> 63) as u64);
            self.model.set_words(self.ids.host_wdata, &wide);
            self.model.clock(1)?;
        }
        self.model.set(self.ids.host_we, 0);
        Ok(())
    }

    /// Reads words of vector memory.
    ///
    /// # Errors
    /// [`Error::Simulation`].
    pub fn read(&mut self, addr: u32, len: usize) -> Result<Vec<i64>, Error> {
        let mut words = Vec::with_capacity(len);
        for i in 0..len {
            self.model.set(self.ids.host_addr, u64::from(addr) + i as u64);
            self.model.clock(1)?;
            let word = self.model.get(self.ids.host_rdata);
            words.push(sign_extend(word, self.word_bits));
        }
        Ok(words)
    }

    /// Starts the program and runs to its end, at most `max` clocks.
    ///
    /// # Errors
    /// [`Error::Simulation`].
    pub fn run(&mut self, max: u64) -> Result<RunEnd, Error> {
        self.model.set(self.ids.start, 1);
        self.model.clock(1)?;
        self.model.set(self.ids.start, 0);
        let mut clocks = 1;
        let (ran, _) = self.model.clock_until(self.ids.cmd_valid, max)?;
        clocks += ran;
        let first_command = self.model.get(self.ids.now);
        let (ran, done) = self.model.clock_until(self.ids.done, max.saturating_sub(ran))?;
        clocks += ran;
        // One clock more, so that a wave file holds the edge at which the end is seen.
        self.model.clock(1)?;
        Ok(RunEnd { done, clocks, program: ran, first_command })
    }

    /// The first broken DRAM rule, if any was.
    pub fn violation(&self) -> Option<Violation> {
        let count = self.model.get(self.ids.violations);
        let [bank, rule, cycle, earliest] = self.ids.violation.map(|p| self.model.get(p));
        let (rule, about) = RULES.get(rule as usize).copied().unwrap_or(RULES[0]);
        let bank = (bank != CHANNEL).then_some(bank as usize);
        (count > 0).then_some(Violation { rule, about, bank, cycle, earliest, count })
    }

    /// Begins to write a wave file.
    ///
    /// # Errors
    /// [`Error::Simulation`] when the file cannot be written.
    pub fn open_wave(&mut self, path: &Path) -> Result<(), Error> {
        self.model.open_wave(path)
    }

    /// Ends the wave file.
    pub fn close_wave(&mut self) {
        self.model.close_wave();
    }
}
