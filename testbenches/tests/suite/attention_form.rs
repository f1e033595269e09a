//! Attention in the paper's form, a mapping that ends at the schedule: trees without hardware, golden and
//! schedule on them step after step, faults in their files, and what is refused.

use crate::common::options;
use pimc_cosim::{
    check_wave, cosim, export_testbench, Error, Inputs, Level, Options, Quiet, Report,
};
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::CacheType;
use pimc_lower::{emit_any, lower, lower_any, read_any, read_tree, write_tree, ReadTree, Target};
use std::path::{Path, PathBuf};

fn indirect(gather: &str, channels: &str) -> Target {
    let gather = format!("\"{gather}\"");
    let changes = [
        ("mapping", "attention", "\"indirect\""),
        ("mapping", "gather", gather.as_str()),
        ("stack", "channels", channels),
    ];
    Target::named("hbm3-pim").unwrap().with(&changes).unwrap()
}

fn function(ty: CacheType, queries: usize) -> CacheModel {
    CacheModel { queries, ..CacheModel::new(ty) }
}

fn small() -> CacheModel {
    let (tokens, start) = (256, 100);
    let ty = CacheType {
        heads: 2,
        kv_heads: 2,
        dim: 32,
        tokens,
        sub: 4,
        k: 16,
        sink: 4,
        recent: 8,
        start,
    };
    function(ty, 1)
}

/// A compiled function in a folder of its own.
struct Made {
    dir: tempfile::TempDir,
    f: CacheModel,
}

impl Made {
    fn new(f: CacheModel, target: &Target) -> Made {
        let dir = tempfile::tempdir().unwrap();
        // Written, since trees hold copies of tensor files.
        let path = f.builder(&target.name, 7).write(dir.path(), "model.ir").unwrap();
        let model = pimc_ir::load(&path).unwrap();
        let lowered = lower_any(&model, target).unwrap_or_else(|d| panic!("{}", d.render(false)));
        write_tree(&emit_any(&lowered, &model).unwrap(), &dir.path().join("out")).unwrap();
        Made { dir, f }
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn steps(&self, count: usize) -> Inputs {
        let mut length = self.f.ty.start as i64;
        let step = |i: usize| {
            let new = (i + 1) % (self.f.queries + 1);
            length += new as i64;
            let limits: Vec<i64> = (0..self.f.queries).map(|q| length - (i * q) as i64).collect();
            self.f.step(100 + i as u64, new, &limits)
        };
        Inputs::Given((0..count).map(step).collect())
    }

    fn run(&self, count: usize) -> Report {
        cosim(&self.tree(), &options(self.steps(count)), &Quiet).unwrap_or_else(|e| panic!("{e}"))
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.tree().join(name)).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.tree().join(name), text).unwrap();
    }
}

#[test]
fn golden_and_schedule_agree_and_nothing_else_is_claimed() {
    let long = CacheType {
        heads: 4,
        kv_heads: 1,
        dim: 128,
        tokens: 2048,
        sub: 4,
        k: 512,
        sink: 8,
        recent: 32,
        start: 1500,
    };
    for (f, gather, channels) in [
        (small(), "centroid", "1"),
        (small(), "element", "2"),
        (function(long, 2), "centroid", "2"),
        (function(long, 1), "element", "4"),
    ] {
        let made = Made::new(f, &indirect(gather, channels));
        let report = made.run(3);
        assert!(report.agreed(), "{f:?}: {}", report.divergence.unwrap());
        let run: Vec<(Level, usize)> = report.levels.iter().map(|l| (l.level, l.vectors)).collect();
        assert_eq!(run, [(Level::Golden, 3), (Level::Schedule, 3)], "{f:?}");
        let absent: Vec<Level> = report.absent.iter().map(|a| a.level).collect();
        assert_eq!(absent, [Level::Native, Level::Rtl]);
        assert!(report.absent.iter().all(|a| a.why.contains("no hardware")), "{report:?}");
        let played = report.replayed.expect("the rules in SystemVerilog were asked");
        assert_eq!(played.steps, 3);
        assert!(played.commands > 100, "{played:?}");
        assert_eq!((report.waves.vectors, report.native.runs, report.clocks.rtl), (0, 0, None));
        assert_eq!(report.clocks.schedule, report.cycles);
        assert!(report.cycles > 0 && report.changed.is_empty());
    }
}

/// What is asked for by name and is not there is refused; so is whatever needs hardware.
#[test]
fn hardware_is_refused() {
    let made = Made::new(small(), &indirect("centroid", "1"));
    let tree = made.tree();
    let refused = |options: Options, part: &str| match cosim(&tree, &options, &Quiet) {
        Err(Error::Usage { what, help }) => {
            assert!(what.contains(part) && what.contains("no hardware"), "{what}");
            assert!(help.contains("--level golden,schedule"), "{help}");
        }
        other => panic!("{part}: {other:?}"),
    };
    let base = || options(made.steps(1));
    let levels = |levels: &[Level]| Options { levels: levels.to_vec(), named: true, ..base() };
    refused(levels(&[Level::Golden, Level::Native]), "no level native");
    refused(levels(&Level::ALL), "no level native");
    refused(Options { named: false, ..levels(&[Level::Rtl]) }, "no level rtl");
    refused(Options { wave: Some("w.vcd".into()), ..base() }, "no level rtl");
    let named = cosim(&tree, &levels(&[Level::Golden, Level::Schedule]), &Quiet).unwrap();
    assert!(named.agreed() && named.replayed.is_none() && named.levels.len() == 2);

    let code = |found: Result<(), Error>| match found {
        Err(Error::Model(found)) => found.render(false),
        other => panic!("{other:?}"),
    };
    let wave = check_wave(&tree, Path::new("w.vcd"), None).map(|_| ());
    let bench = export_testbench(&tree, &made.steps(1), &made.dir.path().join("bench")).map(|_| ());
    for said in [code(wave), code(bench)] {
        assert!(said.contains("P0607") && said.contains("there is no hardware"), "{said}");
        assert!(said.contains("model.ir:9"), "{said}");
    }
    assert!(read_tree(&tree).is_err());
    let Ok(ReadTree::Form(files)) = read_any(&tree) else { panic!("another tree") };
    assert!(lower(&files.model, &files.plan.target).is_err());
}

/// The files decide: a bit of a bank, a command that comes too early, another command, one that is missing.
#[test]
fn faults_in_the_files_are_found() {
    let made = Made::new(small(), &indirect("centroid", "1"));
    let told = |part: &str| {
        let report = made.run(2);
        let d = report.divergence.expect(part);
        assert!(d.to_string().contains(part), "no `{part}` in {d}");
        assert_eq!(report.levels.len(), 1, "{d}");
        assert_eq!(d.op.as_ref().map_or(9, |op| op.line), 9, "{d}");
        report.changed
    };
    // The last column that is not zero holds codes of values.
    let name = "mem/bank_03.hex";
    let image = made.file(name);
    let lines: Vec<&str> = image.lines().collect();
    let last = lines.iter().rposition(|l| !l.starts_with('/') && l.chars().any(|c| c != '0'));
    let bent = |(i, line): (usize, &&str)| match Some(i) == last {
        true => {
            let end = if line.ends_with('1') { '2' } else { '1' };
            format!("{}{end}\n", &line[..line.len() - 1])
        }
        false => format!("{line}\n"),
    };
    made.write(name, &lines.iter().enumerate().map(bent).collect::<String>());
    assert_eq!(told("expected"), [name]);
    made.write(name, &image);

    let name = "schedule/commands.csv";
    let trace = made.file(name);
    let lines: Vec<&str> = trace.lines().collect();
    let read = lines.iter().position(|l| l.contains(",RD,")).unwrap();
    let with = |line: String| {
        let mut lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        lines[read] = line;
        lines.join("\n") + "\n"
    };
    let (cycle, rest) = lines[read].split_once(',').unwrap();
    let cycle: u64 = cycle.parse().unwrap();
    made.write(name, &with(format!("{},{rest}", cycle - 1)));
    assert_eq!(told("RCD"), [name]);
    // Another column is legal, and not what the step does.
    let (start, _) = lines[read].rsplit_once(',').unwrap();
    made.write(name, &with(format!("{start},31")));
    told("col: 31");
    made.write(name, &trace.replace("# end: ", "# end: 1"));
    told("the end at 1");
    made.write(name, &trace);
    assert!(made.run(1).agreed());
}

#[test]
fn steps_that_are_none_are_refused() {
    let made = Made::new(small(), &indirect("centroid", "1"));
    let step = made.f.step(1, 2, &[100]);
    let options = options(Inputs::Given(vec![step]));
    let Err(Error::Usage { what, .. }) = cosim(&made.tree(), &options, &Quiet) else {
        panic!("a step of two tokens was run");
    };
    assert!(what.contains("step 0") && what.contains("not 2"), "{what}");
}
