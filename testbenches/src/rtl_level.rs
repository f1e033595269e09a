//! The level `rtl`: vectors through the generated Verilog, each one's waveform checked while the
//! next one runs.

use crate::error::Error;
use crate::report::{Divergence, WaveCounts};
use crate::testbench::{Simulation, Violation};
use crate::verilator::WaveFormat;
use crate::wave::expect::Reference;
use crate::wave::{check, WaveResult};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

/// What to run.
pub struct Job<'a> {
    /// What the host writes before the first run: address and word.
    pub constants: &'a [(u32, i64)],
    /// Program words.
    pub program: &'a [u128],
    /// Per vector: what the host writes before its run.
    pub inputs: &'a [Vec<(u32, i64)>],
    /// Per vector: the program's arguments; none where it takes none.
    pub args: &'a [Vec<u32>],
    /// Where the result lies: address and length.
    pub result: (u32, usize),
    /// Clocks after which a run is given up.
    pub max_clocks: u64,
    /// Folder for wave files while they are needed.
    pub folder: &'a Path,
    /// The form of the wave files.
    pub format: WaveFormat,
    /// The file to which the first vector's waveform goes, to be kept.
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
    /// Bytes of the waveforms.
    pub wave_bytes: u64,
    /// Clocks of all runs.
    pub clocks: u64,
    /// Clocks from the first command to the end, of the vectors that were run.
    pub program: u64,
    /// The first difference in a waveform and the op that it belongs to.
    pub divergence: Option<(Divergence, Option<usize>)>,
    /// A broken DRAM rule: in which vector, and what its clocks count from.
    pub violation: Option<(usize, Violation, u64)>,
    /// The vector that did not come to its end.
    pub endless: Option<usize>,
    /// The wave file that shows the difference; in [`Job::folder`].
    pub wave: Option<PathBuf>,
}

/// A waveform that waits for its check.
struct Waiting {
    vector: usize,
    path: PathBuf,
    kept: bool,
}

/// Runs the vectors until the last, or the first that shows something wrong. `reference` makes the
/// reference of a vector's run; `done` is told how many vectors are done.
///
/// # Errors
/// What stops the simulation or the reading of a waveform.
pub fn run<'r>(
    sim: &mut Simulation,
    job: &Job<'_>,
    reference: &(dyn Fn(usize) -> Box<dyn Reference + 'r> + Sync),
    done: &(dyn Fn(usize) + Sync),
) -> Result<Outcome, Error> {
    let mut out = Outcome::default();
    sim.load_program(job.program)?;
    write_all(sim, job.constants)?;
    // One waveform is being checked while the next is being written; a third would only wait.
    let (to_check, waiting) = sync_channel::<Waiting>(1);
    let (tell, told) = sync_channel::<(usize, PathBuf, Result<WaveResult, Error>)>(1 << 16);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for w in waiting {
                let result = check(&w.path, &mut *reference(w.vector));
                let clean = matches!(&result, Ok(r) if r.divergence.is_none());
                if clean && !w.kept {
                    // A temporary file; its folder goes in the end in any case.
                    let _ = std::fs::remove_file(&w.path);
                }
                if tell.send((w.vector, w.path, result)).is_err() || !clean {
                    return;
                }
            }
        });
        let simulated = simulate(sim, job, &mut out, |w| to_check.send(w).is_ok(), done);
        drop(to_check);
        for (vector, path, result) in told {
            let checked = result?;
            out.waves += checked.counts;
            if let Some((mut d, op)) = checked.divergence {
                d.vector = Some(vector);
                out.divergence = Some((d, op));
                out.wave = Some(path);
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
    for (vector, inputs) in job.inputs.iter().enumerate() {
        let keep = job.keep_first.filter(|_| vector == 0);
        let ending = match job.format {
            WaveFormat::Vcd => "vcd",
            WaveFormat::Fst => "fst",
        };
        let temporary = || job.folder.join(format!("vector_{vector}.{ending}"));
        let path = keep.map_or_else(temporary, Path::to_path_buf);
        let traced = out.wave_bytes < job.max_wave_bytes;
        if traced {
            sim.open_wave(&path)?;
        }
        let args = job.args.get(vector).map_or(&[][..], Vec::as_slice);
        let written = sim.write_args(args).and_then(|()| write_all(sim, inputs));
        let ended = written.and_then(|()| sim.run(job.max_clocks));
        sim.close_wave();
        let end = ended?;
        out.clocks += end.clocks;
        let mut go_on = true;
        if traced {
            out.wave_bytes += path.metadata().map_or(0, |m| m.len());
            go_on = hand_on(Waiting { vector, path, kept: keep.is_some() });
        }
        if let Some(violation) = sim.violation() {
            out.violation = Some((vector, violation, end.first_command));
            return Ok(());
        }
        if !end.done {
            out.endless = Some(vector);
            return Ok(());
        }
        out.program += end.program;
        out.results.push(sim.read(job.result.0, job.result.1)?);
        done(vector + 1);
        if !go_on {
            return Ok(());
        }
    }
    Ok(())
}

/// Writes words in runs of neighbouring addresses.
fn write_all(sim: &mut Simulation, words: &[(u32, i64)]) -> Result<(), Error> {
    for run in words.chunk_by(|a, b| b.0 == a.0 + 1) {
        sim.write(run[0].0, run.iter().map(|w| w.1))?;
    }
    Ok(())
}
