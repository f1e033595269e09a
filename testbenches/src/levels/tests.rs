//! Steps of several runs: the cache comes into banks that hold nothing by the host's hand, and a run that
//! has nothing to do goes before every step's own.

use super::*;
use crate::cosim::{Options, Tree};
use crate::inputs::Inputs;
use crate::progress::Progress;
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::CacheType;
use pimc_lower::attention::{HostColumn, Launch};
use pimc_lower::images::Banks;
use pimc_lower::Target;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

fn function() -> CacheModel {
    let ty = CacheType {
        heads: 2,
        kv_heads: 2,
        dim: 16,
        tokens: 64,
        sub: 4,
        k: 4,
        sink: 2,
        recent: 4,
        start: 20,
    };
    CacheModel::new(ty)
}

/// The function compiled into `dir`, its bank images emptied.
fn emptied(dir: &Path) -> Tree {
    let target = Target::named("hbm3-pim").unwrap();
    let target = target.with(&[("unit", "table_bytes", "1000000")]).unwrap();
    let four = [("pseudo_channel", "banks", "4"), ("pseudo_channel", "bank_groups", "1")];
    let target = target.with(&four).unwrap();
    let path = function().builder(&target.name, 7).write(dir, "model.ir").unwrap();
    let model = pimc_ir::load(&path).unwrap();
    let plan = pimc_lower::lower(&model, &target).unwrap();
    let out = dir.join("out");
    pimc_lower::write_tree(&pimc_lower::emit(&plan, &model).unwrap(), &out).unwrap();
    for bank in 0..4 {
        let path = out.join(format!("mem/bank_{bank:02}.hex"));
        let text = std::fs::read_to_string(&path).unwrap();
        let empty = |line: &str| match line.starts_with(['/', '@']) {
            true => line.to_string(),
            false => "0".repeat(line.len()),
        };
        std::fs::write(&path, text.lines().map(empty).join("\n")).unwrap();
    }
    Tree::read(&out).unwrap()
}

/// Every column of the plan's images that holds something.
fn contents(tree: &Tree) -> Vec<HostColumn> {
    let plan = &tree.compiled.plan;
    let places = (0..plan.dram_rows).cartesian_product(0..plan.target.columns);
    let all = (0..plan.target.units()).cartesian_product(places);
    all.filter_map(|(bank, (row, col))| {
        let data = tree.compiled.banks.column(bank, row, col)?;
        (data != [0; 4]).then_some(HostColumn { bank, row, col, data })
    })
    .collect()
}

/// The runs of every step: one with no arguments, then the step's own. `columns` are written before the
/// first of all.
fn launches(tree: &Tree, vectors: &[Vec<Vec<i64>>], columns: &[HostColumn]) -> Vec<Vec<Launch>> {
    let plan = &tree.compiled.plan;
    let mut driver = plan.driver().unwrap();
    let step = |(i, inputs): (usize, &Vec<Vec<i64>>)| {
        let columns = if i == 0 { columns.to_vec() } else { vec![] };
        let nothing = (0..plan.shape.arg_words).map(|at| (at, 0)).collect();
        let mut runs = vec![Launch { args: nothing, columns }];
        runs.extend(plan.launches(&mut driver, inputs).unwrap());
        runs
    };
    vectors.iter().enumerate().map(step).collect()
}

fn vectors() -> Vec<Vec<Vec<i64>>> {
    let f = function();
    [(1, 21), (0, 15), (1, 22)]
        .iter()
        .zip(0..)
        .map(|(&(n, limit), i)| f.step(i, n, &[limit]))
        .collect()
}

/// The folder that the integration tests keep their builds in: `tmp` of the target folder.
fn cache() -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.ancestors().nth(3).unwrap().join("tmp/cosim-cache")
}

/// A stage's name, and what it said it has done, and of how many.
type Stage = (String, Vec<(usize, usize)>);

/// What progress says, stage by stage.
#[derive(Default)]
struct Told(Mutex<Vec<Stage>>);

impl Progress for Told {
    fn stage(&self, what: &str) {
        self.0.lock().unwrap().push((what.into(), vec![]));
    }

    fn vectors(&self, done: usize, of: usize) {
        self.0.lock().unwrap().last_mut().unwrap().1.push((done, of));
    }
}

/// Runs the levels of steps that are launched that way; what differs, the report, and the progress.
fn run(
    tree: &Tree,
    launches: &[Vec<Launch>],
    levels: &[Level],
    wave: Option<&Path>,
) -> (Option<Divergence>, Report, Told) {
    let (vectors, told) = (vectors(), Told::default());
    let mut steps = Steps::new(&tree.compiled).unwrap();
    let runs = vectors.iter().zip(launches).map(|(inputs, launches)| {
        steps.launch(inputs, launches.clone()).unwrap_or_else(|e| panic!("{e}"))
    });
    let runs: Vec<StepRun> = runs.collect();
    let options = Options {
        levels: levels.to_vec(),
        native_vectors: vectors.len(),
        wave: wave.map(Path::to_path_buf),
        cache: Some(cache()),
        ..Options::new(Inputs::Given(vectors.clone()))
    };
    let mut report = Report::new(&tree.compiled, vectors.len(), vec![]);
    report.set_steps(&runs);
    let run =
        Run { tree, vectors: &vectors, steps: Some(runs), options: &options, progress: &told };
    let found = run.levels(&mut report).unwrap_or_else(|e| panic!("{e}"));
    (found, report, told)
}

#[test]
fn steps_of_several_runs_agree_and_are_counted_together() {
    let dir = tempfile::tempdir().unwrap();
    let tree = emptied(dir.path());
    let launches = launches(&tree, &vectors(), &contents(&tree));
    let wave = dir.path().join("first.vcd");
    let levels = [Level::Golden, Level::Native, Level::Rtl];
    let (found, report, told) = run(&tree, &launches, &levels, Some(&wave));
    assert_eq!(found, None);
    assert_eq!(report.levels.iter().map(|l| l.vectors).collect_vec(), [3; 3]);
    assert_eq!((report.waves.vectors, report.waves.counts.runs, report.native.runs), (3, 6, 6));
    assert_eq!(report.clocks.rtl, Some(report.cycles));
    for stage in ["native", "rtl"] {
        let told = told.0.lock().unwrap();
        let (_, seen) = told.iter().find(|(name, _)| name == stage).unwrap();
        assert_eq!(*seen, (1..=6).map(|n| (n, 6)).collect_vec(), "{stage}");
    }
    // The wave that is kept is the first run's, and no other is.
    let inputs = Inputs::Given(vectors());
    assert!(wave.is_file() && crate::check_wave(&tree.dir, &wave, Some(&inputs)).is_ok());

    // On the files' own banks the interpreter comes to the same, and golden to what is in them.
    let plan = &tree.compiled.plan;
    let machine = pimc_lower::interp::Machine::new(&plan.shape, &tree.program, &tree.banks);
    let mut steps = Steps::of(&tree.compiled, machine);
    let mut ahead = plan.driver().unwrap();
    let mut state = State::initial(&tree.compiled.model);
    for (inputs, launches) in vectors().iter().zip(launches) {
        let golden = pimc_golden::run_step(&tree.compiled.model, &mut state, inputs).unwrap();
        let step = steps.launch(inputs, launches).unwrap();
        assert_eq!(step.result, golden.result());
        plan.launches(&mut ahead, inputs).unwrap();
        steps.driver = Some(ahead.clone());
        assert_eq!(steps.differs(&state), None);
    }
    // One centroid in the banks of a token group is another: it is told which.
    let layout = &plan.cache.as_ref().unwrap().layout;
    let row = layout.codebook_row(1, pimc_ir::Side::Value);
    let mut data = steps.machine.column(2, row, 0).unwrap();
    data[0] ^= 1 << 40;
    steps.machine.host_column(2, row, 0, data).unwrap();
    let d = steps.differs(&state).expect("a difference");
    let what = "element 1 of centroid 1 of sub-vector 2 of the value of head 1, in the banks of \
                token group 0";
    assert_eq!(d.signal, what);
    let fault = steps.machine.host_column(2, plan.dram_rows, 0, data).unwrap_err();
    assert!(fault.why.contains("no content is there"), "{fault}");
}

/// A column that the host does not write is missed in the run that first reads it, and the run is named.
#[test]
fn a_column_that_is_not_written_is_seen_in_its_run() {
    let dir = tempfile::tempdir().unwrap();
    let tree = emptied(dir.path());
    let layout = &tree.compiled.plan.cache.as_ref().unwrap().layout;
    // Codes, which nobody reads where the arguments count none.
    let row = layout.frame_row(0) + layout.row_in_page(0, pimc_ir::Side::Key);
    let mut columns = contents(&tree);
    let at = columns.iter().position(|c| (c.bank, c.row, c.col) == (3, row, 0)).unwrap();
    columns.remove(at);
    let launches = launches(&tree, &vectors(), &columns);
    for level in [Level::Native, Level::Rtl] {
        let (found, report, _) = run(&tree, &launches, &[level], None);
        let d = found.unwrap_or_else(|| panic!("{level} sees it"));
        assert_eq!((d.vector, d.launch, d.bank), (Some(0), Some(1), Some(3)), "{level}: {d}");
        assert!(d.to_string().contains("\n  launch    1\n"), "{d}");
        assert!(d.command.is_some() && d.to_string().contains(" of the launch"), "{d}");
        assert!(report.levels.iter().all(|l| l.level != level));
        if let Some(wave) = &d.wave {
            assert!(wave.ends_with("cosim/vector_0_launch_1.vcd"), "{}", wave.display());
        }
    }
}
