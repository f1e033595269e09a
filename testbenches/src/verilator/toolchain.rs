//! Finds Verilator and a C++ compiler.
//!
//! Verilator is taken from the first of these places that has one new enough:
//! 1. the path that the caller gives (an executable, or a folder that holds `bin/verilator_bin`);
//! 2. the environment variable `PIMC_VERILATOR`, read the same way;
//! 3. the environment variable `VERILATOR_ROOT`;
//! 4. `verilator_bin`, then `verilator`, on `PATH`;
//! 5. the Python wheel in `.tools/venv` of the current folder or a folder above it;
//! 6. the same above the folder of the running program.
//!
//! A place that the user named (1, 2) must do: if it does not, that is an error and no further
//! place is looked at. Only `verilator_bin` is called, never the Perl script around it, so Perl
//! need not be there.

use crate::error::Error;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A version as it is compared: major, minor. `5.006` is (5, 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0, self.1)
    }
}

/// The oldest Verilator that is accepted.
pub const OLDEST: Version = Version(5, 6);

/// Verilator and the compiler for what it writes.
#[derive(Clone, Debug)]
pub struct Toolchain {
    /// `verilator_bin`.
    pub verilator: PathBuf,
    /// Folder that holds `include/verilated.h`.
    pub root: PathBuf,
    /// Its version.
    pub version: Version,
    /// Which rule found it, in words.
    pub found_by: String,
    /// The C++ compiler.
    pub cxx: PathBuf,
    /// First line of what the compiler says of its version.
    pub cxx_version: String,
    /// From the environment variable `PIMC_FST_LIBS`: folder with `include` and `lib` of lz4 and
    /// zlib, which Verilator's FST writer takes; those of the system if none is given.
    pub fst_libs: Option<PathBuf>,
}

impl Toolchain {
    /// Finds Verilator (from `verilator` if given) and a compiler.
    ///
    /// # Errors
    /// [`Error::NoVerilator`] or [`Error::NoCompiler`], each with what was tried and what to do.
    pub fn find(verilator: Option<&Path>) -> Result<Toolchain, Error> {
        let (bin, root, version, found_by) = find_verilator(verilator)?;
        let (cxx, cxx_version) = find_compiler()?;
        let fst_libs = env::var_os("PIMC_FST_LIBS").map(PathBuf::from);
        Ok(Toolchain { verilator: bin, root, version, found_by, cxx, cxx_version, fst_libs })
    }

    /// One line for people: which Verilator, which compiler.
    pub fn describe(&self) -> String {
        format!(
            "Verilator {} ({}, {}), {}",
            self.version,
            self.verilator.display(),
            self.found_by,
            self.cxx_version
        )
    }
}

type Found = (PathBuf, PathBuf, Version, String);

fn find_verilator(option: Option<&Path>) -> Result<Found, Error> {
    let named = [
        (option.map(Path::to_path_buf), "the option"),
        (env::var_os("PIMC_VERILATOR").map(PathBuf::from), "PIMC_VERILATOR"),
    ];
    for (path, by) in named {
        let Some(path) = path else { continue };
        return examine(&path).map(|(b, r, v)| (b, r, v, format!("from {by}"))).map_err(|why| {
            Error::NoVerilator { tried: format!("  {} (from {by}): {why}", path.display()) }
        });
    }
    let mut tried = Vec::new();
    for (path, by) in unnamed_places() {
        match examine(&path) {
            Ok((b, r, v)) => return Ok((b, r, v, by)),
            Err(why) => tried.push(format!("  {} ({by}): {why}", path.display())),
        }
    }
    if tried.is_empty() {
        tried.push(
            "  looked at: PIMC_VERILATOR, VERILATOR_ROOT, PATH, .tools/venv above the current folder"
                .into(),
        );
    }
    Err(Error::NoVerilator { tried: tried.join("\n") })
}

fn unnamed_places() -> Vec<(PathBuf, String)> {
    let mut places = Vec::new();
    if let Some(root) = env::var_os("VERILATOR_ROOT") {
        places.push((PathBuf::from(root), "from VERILATOR_ROOT".to_string()));
    }
    for name in ["verilator_bin", "verilator"] {
        if let Some(path) = on_path(name) {
            places.push((path, "on PATH".to_string()));
        }
    }
    let starts = [env::current_dir().ok(), env::current_exe().ok()];
    let mut seen = Vec::new();
    for above in starts.iter().flatten().flat_map(|p| p.ancestors()) {
        let lib = above.join(".tools/venv/lib");
        if seen.contains(&lib) {
            continue;
        }
        for python in sorted_entries(&lib) {
            let root = python.join("site-packages/verilator");
            if root.is_dir() {
                places.push((root, "in .tools/venv".to_string()));
            }
        }
        seen.push(lib);
    }
    places
}

fn sorted_entries(dir: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        dir.read_dir().into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    entries
}

/// The first file of that name in a folder of `PATH`, links resolved.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|p| p.is_file())
        .map(|p| p.canonicalize().unwrap_or(p))
}

/// Executable, root and version of the Verilator at `path`, or why it will not do.
fn examine(path: &Path) -> Result<(PathBuf, PathBuf, Version), String> {
    let bin = if path.is_dir() {
        let inside = path.join("bin/verilator_bin");
        if inside.is_file() {
            inside
        } else {
            on_path("verilator_bin").ok_or("holds no bin/verilator_bin")?
        }
    } else if path.file_name().is_some_and(|n| n == "verilator") {
        let beside = path.with_file_name("verilator_bin");
        if !beside.is_file() {
            return Err("there is no verilator_bin beside it".into());
        }
        beside
    } else if path.is_file() {
        path.to_path_buf()
    } else {
        return Err("no such file or folder".into());
    };
    let root = root_of(&bin, path).ok_or("its folder include/verilated.h was not found")?;
    let version = version_of(&root)?;
    if version < OLDEST {
        return Err(format!("version {version} is older than {OLDEST}"));
    }
    Ok((bin, root, version))
}

fn root_of(bin: &Path, given: &Path) -> Option<PathBuf> {
    let above = bin.parent()?.parent()?;
    let mut roots = vec![given.to_path_buf(), above.to_path_buf(), above.join("share/verilator")];
    roots.extend(env::var_os("VERILATOR_ROOT").map(PathBuf::from));
    if let Some(built_in) = ask(bin, &["--getenv", "VERILATOR_ROOT"]) {
        roots.push(PathBuf::from(built_in.trim()));
    }
    roots.into_iter().find(|r| r.join("include/verilated.h").is_file())
}

/// The version stands in a header: builds outside a release print no number when asked.
fn version_of(root: &Path) -> Result<Version, String> {
    let header = root.join("include/verilated_config.h");
    let text =
        std::fs::read_to_string(&header).map_err(|e| format!("{}: {e}", header.display()))?;
    let quoted = text
        .lines()
        .find_map(|l| l.strip_prefix("#define VERILATOR_VERSION "))
        .and_then(|l| l.split('"').nth(1))
        .ok_or("include/verilated_config.h states no version")?;
    parse_version(quoted).ok_or_else(|| format!("version `{quoted}` is not understood"))
}

fn parse_version(text: &str) -> Option<Version> {
    let mut parts = text.split_whitespace().next()?.split('.');
    Some(Version(parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn find_compiler() -> Result<(PathBuf, String), Error> {
    let mut names: Vec<String> =
        ["PIMC_CXX", "CXX"].iter().filter_map(|v| env::var(v).ok()).collect();
    names.extend(["g++", "clang++", "c++"].map(String::from));
    for name in &names {
        let path = PathBuf::from(name);
        let path = if path.is_file() { Some(path) } else { on_path(name) };
        if let Some(path) = path {
            if let Some(said) = ask(&path, &["--version"]) {
                return Ok((path, said.lines().next().unwrap_or_default().to_string()));
            }
        }
    }
    Err(Error::NoCompiler { looked_for: names.join(", ") })
}

/// What a program prints when called so; `None` if it cannot be run or fails.
fn ask(program: &Path, args: &[&str]) -> Option<String> {
    let out = Command::new(program).args(args).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

/// The folder for what is kept between runs: `PIMC_CACHE`, else `pimc` in the user's cache folder,
/// else a folder in the system's place for temporary files.
pub fn cache_dir() -> PathBuf {
    if let Some(dir) = env::var_os("PIMC_CACHE") {
        return PathBuf::from(dir);
    }
    let user = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
        .or_else(|| env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache")));
    user.unwrap_or_else(env::temp_dir).join("pimc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_minor_number() {
        assert_eq!(parse_version("5.006 2023-01-22"), Some(Version(5, 6)));
        assert_eq!(parse_version("5.49"), Some(Version(5, 49)));
        assert_eq!(parse_version("UNKNOWN.REV"), None);
        assert!(Version(5, 49) > Version(5, 6) && Version(4, 228) < OLDEST);
        assert_eq!(Version(5, 6).to_string(), "5.006");
    }

    #[test]
    fn a_named_place_that_will_not_do_is_an_error_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let message = Toolchain::find(Some(dir.path().join("nothing").as_path())).unwrap_err();
        let text = message.to_string();
        assert!(text.contains("no such file or folder"), "{text}");
        assert!(text.contains("--level golden,schedule,native"), "{text}");
    }

    #[test]
    fn a_version_that_is_too_old_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["bin", "include"] {
            std::fs::create_dir(dir.path().join(sub)).unwrap();
        }
        std::fs::write(dir.path().join("bin/verilator_bin"), "").unwrap();
        std::fs::write(dir.path().join("include/verilated.h"), "").unwrap();
        std::fs::write(
            dir.path().join("include/verilated_config.h"),
            "#define VERILATOR_VERSION \"4.228 2022-10-01\"\n",
        )
        .unwrap();
        let text = Toolchain::find(Some(dir.path())).unwrap_err().to_string();
        assert!(text.contains("version 4.228 is older than 5.006"), "{text}");
    }
}
