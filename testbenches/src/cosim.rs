//! Co-simulation of an output tree: the same vectors through every level, compared word for word.
//!
//! The reference is golden, from the model alone. The model is also lowered anew in memory, and
//! the interpreter's run of that plan, checked against golden op by op, says what the waveform must
//! show. What is examined is what stands in the files: program, images, constants, Verilog.

use crate::error::Error;
use crate::inputs::Inputs;
use crate::levels::Run;
use crate::progress::Progress;
use crate::reference::{Compiled, PlanReference};
use crate::report::{Divergence, Level, Report};
use crate::steps::RunAt;
use crate::verilator::WaveFormat;
use crate::wave::{check, WaveResult};
use pimc_lower::tree::{read_tree, FileBanks, TreeFiles};
use pimc_rtl::isa::Instr;
use std::path::{Path, PathBuf};

/// What to co-simulate and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The input vectors.
    pub inputs: Inputs,
    /// The levels to run; golden is always evaluated, since all others are compared with it.
    pub levels: Vec<Level>,
    /// Vectors that the level native runs, at most: it is some hundred times slower than the
    /// others. The report says how many were run.
    pub native_vectors: usize,
    /// Verilator to use, instead of looking for one.
    pub verilator: Option<PathBuf>,
    /// File for the waveform of the first vector, which is then kept; its form is the build's.
    pub wave: Option<PathBuf>,
    /// The form of wave files.
    pub wave_format: WaveFormat,
    /// Whether wave files hold all signals, instead of those that are checked.
    pub trace_all: bool,
    /// Bytes of waveforms after which further vectors are run without one; the report says how
    /// many were checked.
    pub max_wave_bytes: u64,
    /// Folder for what is kept between runs; the user's cache folder if none is given.
    pub cache: Option<PathBuf>,
}

impl Options {
    /// Every level on these inputs, everything else as most people want it.
    pub fn new(inputs: Inputs) -> Options {
        Options {
            inputs,
            levels: Level::ALL.to_vec(),
            native_vectors: 2,
            verilator: None,
            wave: None,
            wave_format: WaveFormat::Vcd,
            trace_all: false,
            max_wave_bytes: 8 << 30,
            cache: None,
        }
    }
}

/// A tree taken apart: what it must do, and what its files hold.
pub(crate) struct Tree {
    /// From the model in the tree.
    pub(crate) compiled: Compiled,
    /// From `schedule/program.hex`.
    pub(crate) program: Vec<Instr>,
    /// From `mem/bank_*.hex`.
    pub(crate) banks: FileBanks,
    /// From `mem/buffer.hex`.
    pub(crate) constants: Vec<(u32, i64)>,
    /// Names and texts of `rtl/*.sv`.
    pub(crate) rtl: Vec<(String, String)>,
    /// Files that are not what the manifest says.
    pub(crate) changed: Vec<String>,
    pub(crate) dir: PathBuf,
}

impl Tree {
    pub(crate) fn read(dir: &Path) -> Result<Tree, Error> {
        let tree = read_tree(dir)?;
        let TreeFiles { dir, model, plan, program, banks, constants, rtl, changed } = tree;
        let mut texts = Vec::new();
        for name in rtl {
            let path = dir.join(&name);
            let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
            let file = path.file_name().map(|n| n.to_string_lossy().into_owned());
            texts.push((file.unwrap_or(name), text));
        }
        let compiled = Compiled::of_plan(model, plan);
        Ok(Tree { compiled, program, banks, constants, rtl: texts, changed, dir })
    }
}

/// Runs the levels on the tree in `dir` and compares them.
///
/// # Errors
/// What keeps it from an answer: a damaged tree, inputs that do not fit, a missing tool. That levels
/// differ is an answer: [`Report::divergence`].
pub fn cosim(dir: &Path, options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    progress.stage("reading the output tree");
    let tree = Tree::read(dir)?;
    let vectors = options.inputs.vectors(&tree.compiled.model.module)?;
    let mut report = Report::new(&tree.compiled, vectors.len(), tree.changed.clone());
    let compiled = &tree.compiled;
    // Steps on a cache: each one's reference follows from those before.
    let steps = compiled.plan.cache.as_ref().map(|_| compiled.steps(&vectors)).transpose()?;
    if let Some(steps) = &steps {
        report.set_steps(steps);
    }
    let run = Run { tree: &tree, vectors: &vectors, steps, options, progress };
    report.divergence = run.levels(&mut report)?;
    Ok(report)
}

/// Checks the waveform `wave`, made by any simulator from the tree in `dir`. The inputs of each run
/// are those given, or what the waveform shows the host write.
///
/// # Errors
/// As [`cosim`], and a wave file that cannot be read or shows another design.
pub fn check_wave(dir: &Path, wave: &Path, inputs: Option<&Inputs>) -> Result<WaveReport, Error> {
    let tree = Tree::read(dir)?;
    let compiled = &tree.compiled;
    let vectors = match inputs {
        Some(inputs) => Some(inputs.vectors(&compiled.model.module)?),
        None => None,
    };
    let steps = match &vectors {
        Some(vectors) if compiled.plan.cache.is_some() => {
            let fault = |(i, why)| Error::Usage {
                what: format!("step {i} cannot be run: {why}"),
                help: "give the inputs that the waveform was made with".into(),
            };
            Some(compiled.runs(vectors).map_err(fault)?)
        }
        _ => None,
    };
    let mut reference = match &vectors {
        Some(vectors) => {
            PlanReference::given(compiled, vectors, steps.as_deref(), RunAt::default())
        }
        None => PlanReference::recovered(compiled),
    };
    let WaveResult { counts, divergence } = check(wave, &mut reference)?;
    let divergence = divergence.map(|(d, op)| {
        let mut d = match d.vector {
            Some(run) => d.in_run(reference.run_at(run)),
            None => d,
        };
        d.op = op.and_then(|o| compiled.place(o));
        d.wave = Some(wave.to_path_buf());
        d
    });
    Ok(WaveReport { counts, divergence })
}

/// What the check of one wave file came to.
#[derive(Clone, Debug, serde::Serialize)]
pub struct WaveReport {
    /// How much was compared.
    pub counts: crate::report::WaveCounts,
    /// The first difference.
    pub divergence: Option<Divergence>,
}
