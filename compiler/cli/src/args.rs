//! What can be typed. The texts here are the command line's help; DESIGN of each option: one
//! meaning, the same name in every command.

use clap::{Args, Parser, Subcommand};
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
    /// Quantize real weights to a model and its tensors.
    Quantize(Quantize),
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
            Command::Quantize(_) => "quantize",
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
    #[arg(long, value_name = "NAME_OR_TOML")]
    pub target: Option<String>,
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
