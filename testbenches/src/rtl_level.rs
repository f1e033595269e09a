//! The level `rtl`: vectors through the generated Verilog, the waveform of each of their runs checked
//! while the next one runs.

use crate::error::Error;
use crate::report::{Divergence, WaveCounts};
use crate::steps::RunAt;
use crate::testbench::{RunEnd, Simulation, Violation};
use crate::verilator::WaveFormat;
use crate::wave::expect::Reference;
use crate::wave::{check, WaveResult};
use pimc_lower::attention::HostColumn;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

/// One run of the program.
#[derive(Clone, Copy, Debug)]
pub struct JobRun<'a> {
    /// Its arguments; none where the program takes none.
    pub args: &'a [u32],
    /// Columns of the banks that the host writes before it.
    pub columns: &'a [HostColumn],
}

/// One vector.
#[derive(Clone, Copy, Debug)]
pub struct JobVector<'a> {
    /// What the host writes to vector memory before the first run.
    pub inputs: &'a [(u32, i64)],
    /// Its runs; the result is there after the last one.
    pub runs: &'a [JobRun<'a>],
}

/// What to run.
pub struct Job<'a> {
    /// What the host writes before the first run: address and word.
    pub constants: &'a [(u32, i64)],
    /// Program words.
    pub program: &'a [u128],
    /// The vectors.
    pub vectors: &'a [JobVector<'a>],
    /// Where the result lies: address and length.
    pub result: (u32, usize),
    /// Clocks after which a run is given up.
    pub max_clocks: u64,
    /// Folder for wave files while they are needed.
    pub folder: &'a Path,
    /// The form of the wave files.
    pub format: WaveFormat,
    /// The file to which the waveform of the first vector's first run goes, to be kept.
    pub keep_first: Option<&'a Path>,
    /// Bytes of waveforms after which no further ones are written.
    pub max_wave_bytes: u64,
}

/// What came out of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Results of the vectors that were run.
    pub results: Vec<Vec<i64>>,
    /// How much of the waveforms was compared.
    pub waves: WaveCounts,
    /// Vectors of which the waveform of every run was checked, or of one that showed a difference.
    pub checked: usize,
    /// Bytes of the waveforms.
    pub wave_bytes: u64,
    /// Clocks of all runs.
    pub clocks: u64,
    /// Clocks from the first command to the end, of the vectors that were run.
    pub program: u64,
    /// The first difference in a waveform and the op that it belongs to.
    pub divergence: Option<(Divergence, Option<usize>)>,
    /// A broken DRAM rule: in which run, and what its clocks count from.
    pub violation: Option<(RunAt, Violation, u64)>,
    /// The run that did not come to its end.
    pub endless: Option<RunAt>,
    /// The wave file that shows the difference; in [`Job::folder`].
    pub wave: Option<PathBuf>,
}

/// A waveform that waits for its check.
struct Waiting {
    at: RunAt,
    /// Whether every run of the vector before it has a waveform, and no run comes after it.
    completes: bool,
    path: PathBuf,
    kept: bool,
}

/// What the check of a waveform came to.
struct Told {
    at: RunAt,
    completes: bool,
    path: PathBuf,
    result: Result<WaveResult, Error>,
}

/// Runs the vectors until the last, or the first that shows something wrong. `reference` makes the
/// reference of a run; `done` is told how many runs are done.
///
/// # Errors
/// What stops the simulation or the reading of a waveform.
pub fn run<'r>(
    sim: &mut Simulation,
    job: &Job<'_>,
    reference: &(dyn Fn(RunAt) -> Box<dyn Reference + 'r> + Sync),
    done: &(dyn Fn(usize) + Sync),
) -> Result<Outcome, Error> {
    let mut out = Outcome::default();
    sim.load_program(job.program)?;
    write_all(sim, job.constants)?;
    // One waveform is being checked while the next is being written; a third would only wait.
    let (to_check, waiting) = sync_channel::<Waiting>(1);
    let (tell, told) = sync_channel::<Told>(1 << 16);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for w in waiting {
                let Waiting { at, completes, path, kept } = w;
                let result = check(&path, &mut *reference(at));
                let clean = matches!(&result, Ok(r) if r.divergence.is_none());
                if clean && !kept {
                    // A temporary file; its folder goes in the end in any case.
                    let _ = std::fs::remove_file(&path);
                }
                if tell.send(Told { at, completes, path, result }).is_err() || !clean {
                    return;
                }
            }
        });
        let simulated = simulate(sim, job, &mut out, |w| to_check.send(w).is_ok(), done);
        drop(to_check);
        for run in told {
            let checked = run.result?;
            out.waves += checked.counts;
            out.checked += usize::from(run.completes || checked.divergence.is_some());
            if let Some((d, op)) = checked.divergence {
                out.divergence = Some((d.in_run(run.at), op));
                out.wave = Some(run.path);
                break;
            }
        }
        // A difference that was found explains why a simulation went astray, so it comes first.
        match simulated {
            Err(e) if out.divergence.is_none() => Err(e),
            _ => Ok(()),
        }
    })?;
    Ok(out)
}

/// Simulates vectors, hands on their waveforms, and stops early when `hand_on` says so.
fn simulate(
    sim: &mut Simulation,
    job: &Job<'_>,
    out: &mut Outcome,
    hand_on: impl Fn(Waiting) -> bool,
    done: &(dyn Fn(usize) + Sync),
) -> Result<(), Error> {
    let mut runs_done = 0;
    for (vector, JobVector { inputs, runs }) in job.vectors.iter().enumerate() {
        let mut all_traced = true;
        for (i, run) in runs.iter().enumerate() {
            let at = RunAt { vector, launch: (runs.len() > 1).then_some(i) };
            let keep = job.keep_first.filter(|_| vector == 0 && i == 0);
            let path = keep.map_or_else(|| temporary(job, at), Path::to_path_buf);
            let traced = out.wave_bytes < job.max_wave_bytes;
            all_traced &= traced;
            if traced {
                sim.open_wave(&path)?;
            }
            let inputs = if i == 0 { *inputs } else { &[] };
            let ended = drive(sim, run, inputs, job.max_clocks);
            sim.close_wave();
            let end = ended?;
            out.clocks += end.clocks;
            let mut go_on = true;
            if traced {
                out.wave_bytes += path.metadata().map_or(0, |m| m.len());
                let completes = all_traced && i + 1 == runs.len();
                go_on = hand_on(Waiting { at, completes, path, kept: keep.is_some() });
            }
            if let Some(violation) = sim.violation() {
                out.violation = Some((at, violation, end.first_command));
                return Ok(());
            }
            if !end.done {
                out.endless = Some(at);
                return Ok(());
            }
            out.program += end.program;
            runs_done += 1;
            if i + 1 == runs.len() {
                out.results.push(sim.read(job.result.0, job.result.1)?);
            }
            done(runs_done);
            if !go_on {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What the host writes before a run, and the run.
fn drive(
    sim: &mut Simulation,
    run: &JobRun<'_>,
    inputs: &[(u32, i64)],
    max_clocks: u64,
) -> Result<RunEnd, Error> {
    sim.write_args(run.args)?;
    sim.write_columns(run.columns)?;
    write_all(sim, inputs)?;
    sim.run(max_clocks)
}

/// The file for the waveform of a run while it is needed.
fn temporary(job: &Job<'_>, at: RunAt) -> PathBuf {
    let ending = match job.format {
        WaveFormat::Vcd => "vcd",
        WaveFormat::Fst => "fst",
    };
    let launch = at.launch.map_or(String::new(), |launch| format!("_launch_{launch}"));
    job.folder.join(format!("vector_{}{launch}.{ending}", at.vector))
}

/// Writes words in runs of neighbouring addresses.
fn write_all(sim: &mut Simulation, words: &[(u32, i64)]) -> Result<(), Error> {
    for run in words.chunk_by(|a, b| b.0 == a.0 + 1) {
        sim.write(run[0].0, run.iter().map(|w| w.1))?;
    }
    Ok(())
}
