//! Batch scripts for a Slurm cluster: a job array that computes the shards, and a job that merges them.
//! Nothing is started here.

use crate::files::{unusable, write_all};
use pimc_ir::Diagnostics;
use std::path::{Path, PathBuf};

/// What the scripts run.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program.
    pub program: PathBuf,
    /// Its arguments for this sweep, without `--slurm`; paths are absolute.
    pub arguments: Vec<String>,
}

/// The scripts as written.
#[derive(Clone, Debug)]
pub struct Scripts {
    /// The job array.
    pub sweep: PathBuf,
    /// The job that merges.
    pub merge: PathBuf,
    /// The line to type.
    pub submit: String,
}

/// A word as a shell reads it back unchanged.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=+:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Writes `sweep.sbatch` and `merge.sbatch` for `shards` shards into the folder, an absolute path.
///
/// # Errors
/// P0804.
pub fn write(folder: &Path, command: &Command, shards: usize) -> Result<Scripts, Diagnostics> {
    let shown = folder.display().to_string();
    // Slurm reads `%` in the name of a log, and a comment ends with its line.
    if shown.contains(|c: char| c.is_whitespace() || c == '%' || c == '\\') {
        let help = "name a folder without blanks, `%` and `\\` for a sweep on Slurm";
        return Err(unusable(folder, "its name cannot stand in a batch script", help));
    }
    let words = std::iter::once(command.program.display().to_string())
        .chain(command.arguments.iter().cloned())
        .map(|w| quoted(&w))
        .collect::<Vec<_>>()
        .join(" ");
    let last = shards - 1;
    let head = |name: &str, log: &str| {
        format!("#!/bin/bash\n#SBATCH --job-name={name}\n#SBATCH --output={shown}/{log}\n")
    };
    let threads = "export RAYON_NUM_THREADS=\"${SLURM_CPUS_PER_TASK:-1}\"\n";
    let sweep_text = format!(
        "{}#SBATCH --array=0-{last}\n#SBATCH --cpus-per-task=1\n# A shard of the sweep; submitted again \
         it goes on where it was. Ask for more CPUs with `sbatch -c N`.\nset -eu\n{threads}\
         exec {words} --shard \"$SLURM_ARRAY_TASK_ID/{shards}\"\n",
        head("pimc-sweep", "shard-%a.log")
    );
    let merge_text = format!(
        "{}# The tables, from the points of all shards.\nset -eu\nexec {words} --merge\n",
        head("pimc-merge", "merge.log")
    );
    let (sweep, merge) = (folder.join("sweep.sbatch"), folder.join("merge.sbatch"));
    write_all(&[(&sweep, sweep_text.as_bytes()), (&merge, merge_text.as_bytes())])?;
    let submit = format!(
        "sbatch --dependency=afterok:$(sbatch --parsable {}) {}",
        quoted(&sweep.display().to_string()),
        quoted(&merge.display().to_string())
    );
    Ok(Scripts { sweep, merge, submit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_from_a_shell_as_they_were() {
        assert_eq!(quoted("/a/b-c_1.ir"), "/a/b-c_1.ir");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$(x)"), "'$(x)'");
    }

    #[test]
    fn scripts_run_the_shards_and_then_the_merge() {
        let folder = tempfile::tempdir().unwrap();
        let arguments = vec!["explore".into(), "/m o/x.ir".into(), "-o".into(), "/out".into()];
        let command = Command { program: "/bin/pimc".into(), arguments };
        let scripts = write(folder.path(), &command, 4).unwrap();
        let text = std::fs::read_to_string(scripts.sweep).unwrap();
        assert!(text.contains("#SBATCH --array=0-3\n"), "{text}");
        let run = "exec /bin/pimc explore '/m o/x.ir' -o /out --shard \"$SLURM_ARRAY_TASK_ID/4\"";
        assert!(text.contains(run), "{text}");
        let text = std::fs::read_to_string(scripts.merge).unwrap();
        assert!(text.ends_with("-o /out --merge\n"), "{text}");
        assert!(scripts.submit.starts_with("sbatch --dependency=afterok:$(sbatch --parsable "));
        assert!(write(Path::new("/a b"), &command, 4).is_err());
    }
}
