//! What can be typed. The texts here are the help that the program prints; an option of one name
//! means the same in every command.

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use pimc_cosim::Level;
use pimc_explore::Shard;
use std::path::PathBuf;

/// Compiles quantized models to in-memory-compute hardware and proves the result bit for bit.
#[derive(Debug, Parser)]
#[command(name = "pimc", version, max_term_width = 100, after_help = EXIT_STATUS)]
pub struct Cli {
    /// Print one JSON object on standard output instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_STATUS: &str =
    "Exit status: 0 done and agreed, 1 a check failed, 2 the input or the usage \
    is wrong, 3 a bug in pimc.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Compile a model to Verilog, a schedule and memory images.
    Compile(Compile),
    /// Run a compiled model at several levels and compare them word for word.
    Cosim(Cosim),
    /// Check a waveform from any simulator against the golden trace, or a command trace.
    Check(Check),
    /// Quantize real weights to a model and its tensors.
    Quantize(Quantize),
    /// Sweep targets and weight formats: time, bytes, area and error of every design.
    Explore(Explore),
    /// Lay out model files in the one standard form.
    Fmt(Fmt),
    /// Explain a diagnostic: what it means, an example, and the mended example.
    Explain(Explain),
    /// Say which tools pimc finds on this machine and what it can run with them.
    Doctor(Doctor),
    /// List the built-in targets.
    Targets,
    /// Say what a compiled model is: sizes, cycles, and where its report lies.
    Report(Report),
}

impl Command {
    /// The name as typed.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Compile(_) => "compile",
            Command::Cosim(_) => "cosim",
            Command::Check(_) => "check",
            Command::Quantize(_) => "quantize",
            Command::Explore(_) => "explore",
            Command::Fmt(_) => "fmt",
            Command::Explain(_) => "explain",
            Command::Doctor(_) => "doctor",
            Command::Targets => "targets",
            Command::Report(_) => "report",
        }
    }
}

#[derive(Debug, Args)]
pub struct Compile {
    /// The model.
    #[arg(value_name = "MODEL.ir")]
    pub model: PathBuf,
    /// Folder for the output tree; replaced if pimc wrote it, else it must be new or empty.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// A built-in target or a target TOML, instead of the one the model names.
    #[arg(long, value_name = "NAME_OR_TOML", value_parser = NonEmptyStringValueParser::new())]
    pub target: Option<String>,
}

/// The levels by their names.
fn levels() -> impl TypedValueParser<Value = Level> {
    PossibleValuesParser::new(Level::ALL.map(Level::name))
        .map(|name| Level::ALL.into_iter().find(|l| l.name() == name).unwrap_or(Level::Golden))
}

#[derive(Debug, Args)]
pub struct Cosim {
    /// A folder written by `pimc compile`.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Input vectors, one tensor per parameter of the function, with a leading batch dimension.
    #[arg(long, value_name = "F.safetensors", conflicts_with_all = ["random", "seed"])]
    pub inputs: Option<PathBuf>,
    /// Run this many random input vectors.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
    pub random: u32,
    /// Seed of the random inputs.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Levels to run and compare; without it, all that the tree has.
    #[arg(long, value_name = "LEVELS", value_delimiter = ',', value_parser = levels())]
    pub level: Option<Vec<Level>>,
    /// Vectors that the level `native` runs at most; it is some hundred times slower than the others.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub native_vectors: usize,
    /// Write the outputs here, as tensor `result`, if the levels agree.
    #[arg(long, value_name = "F.safetensors")]
    pub outputs: Option<PathBuf>,
    /// Write the waveform of the rtl level here, as VCD.
    #[arg(long, value_name = "F", conflicts_with = "fst")]
    pub vcd: Option<PathBuf>,
    /// Write the waveform of the rtl level here, as FST.
    #[arg(long, value_name = "F")]
    pub fst: Option<PathBuf>,
    /// The Verilator to run: its program or its folder.
    #[arg(long, value_name = "PATH")]
    pub verilator: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Check {
    /// A folder written by `pimc compile`.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The waveform, VCD or FST.
    #[arg(long, value_name = "F", required_unless_present = "commands")]
    pub wave: Option<PathBuf>,
    /// The inputs of its runs, as for `cosim`: of steps on a cache, which a waveform does not show.
    #[arg(long, value_name = "F.safetensors", requires = "wave")]
    pub inputs: Option<PathBuf>,
    /// A command trace as schedule/commands.csv has it, to be checked against the DRAM's rules.
    #[arg(long, value_name = "F.csv", conflicts_with = "wave")]
    pub commands: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Quantize {
    /// Real weights.
    #[arg(value_name = "WEIGHTS.safetensors")]
    pub weights: PathBuf,
    /// Which matrix becomes what.
    #[arg(long, value_name = "R.toml")]
    pub recipe: PathBuf,
    /// The model to write; its tensors lie beside it.
    #[arg(short, long, value_name = "MODEL.ir")]
    pub output: PathBuf,
}

#[derive(Debug, Args)]
pub struct Explore {
    /// The model.
    #[arg(value_name = "MODEL.ir")]
    pub model: PathBuf,
    /// Folder for points, tables, plot and quantized models; a sweep that was stopped goes on there.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// The axes, a TOML file; without it, the built-in targets with some channels, banks and splits.
    #[arg(long, value_name = "S.toml")]
    pub sweep: Option<PathBuf>,
    /// Real weights, to sweep over formats.
    #[arg(long, value_name = "W.safetensors", requires = "recipe")]
    pub weights: Option<PathBuf>,
    /// The recipe whose formats are swept.
    #[arg(long, value_name = "R.toml", requires = "weights")]
    pub recipe: Option<PathBuf>,
    /// Compare results with the model's on these inputs, and with their tensor `labels`, if any.
    #[arg(long, value_name = "F.safetensors")]
    pub inputs: Option<PathBuf>,
    /// Compute the points of shard I of N alone, without tables.
    #[arg(long, value_name = "I/N", value_parser = Shard::parse, conflicts_with_all = ["merge", "slurm"])]
    pub shard: Option<Shard>,
    /// Compute nothing: make the tables from the points of all shards.
    #[arg(long, conflicts_with = "slurm")]
    pub merge: bool,
    /// Write batch scripts for a Slurm job array of N shards, and start nothing.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub slurm: Option<u32>,
}

#[derive(Debug, Args)]
pub struct Fmt {
    /// Model files, rewritten in place; `-` reads standard input and writes standard output.
    #[arg(value_name = "MODEL.ir", required = true)]
    pub files: Vec<PathBuf>,
    /// Change nothing; exit with 1 if a file is not in the standard form.
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// A code such as P0302; without one, all codes are listed.
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Look at this Verilator: its program or its folder.
    #[arg(long, value_name = "PATH")]
    pub verilator: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Report {
    /// A folder written by `pimc compile`.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}
