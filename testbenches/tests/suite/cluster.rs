//! Functions that cluster a prompt, through every level: each step is many runs of the program, and the
//! codebooks that it leaves in the banks are golden's.

use crate::common::{compile_for, few_banks, options};
use pimc_cosim::{cosim, Divergence, Inputs, Level, Quiet, Report};
use pimc_ir::generated_cache::{ClusterModel, Prompt};
use pimc_ir::CacheType;
use pimc_lower::hex::write_words;
use pimc_lower::tree::read_tree;
use pimc_lower::Target;
use pimc_rtl::attention::{AttentionMode, AttentionParam};
use pimc_rtl::isa::{Action, Instr, SetTo};
use pimc_rtl::shape::StreamMode;
use std::path::{Path, PathBuf};

/// The levels that look at the program.
const IN_FILES: &[Level] = &[Level::Schedule, Level::Native, Level::Rtl];

/// Two token groups of two banks each.
fn base() -> ClusterModel {
    let ty = CacheType {
        heads: 2,
        kv_heads: 1,
        dim: 8,
        tokens: 128,
        sub: 4,
        k: 5,
        sink: 2,
        recent: 3,
        start: 9,
    };
    ClusterModel { ty, tokens: 40, queries: 1, iterations: 2, weight_bits: 9 }
}

/// The function compiled into `dir`: the tree.
fn tree(f: &ClusterModel, target: &Target, dir: &Path) -> PathBuf {
    let path = f.builder(&target.name, 7).write(dir, "model.ir").unwrap();
    let tree = dir.join("out");
    compile_for(&pimc_ir::load(&path).unwrap(), target, &tree);
    tree
}

fn steps(f: &ClusterModel, steps: &[(Prompt, usize)]) -> Vec<Vec<Vec<i64>>> {
    steps.iter().zip(100..).map(|(&(prompt, n), seed)| f.step(seed, prompt, n)).collect()
}

/// What the levels say of steps on a tree.
fn run(tree: &Path, vectors: &[Vec<Vec<i64>>], levels: &[Level]) -> Report {
    let mut options = options(Inputs::Given(vectors.to_vec()));
    options.levels = levels.to_vec();
    options.native_vectors = vectors.len();
    cosim(tree, &options, &Quiet).unwrap_or_else(|e| panic!("{e}"))
}

/// Runs steps on the levels, which must agree, in several runs each where there is something to cluster.
fn agree(f: &ClusterModel, target: &Target, given: &[(Prompt, usize)], levels: &[Level]) {
    let dir = tempfile::tempdir().unwrap();
    let (tree, vectors) = (tree(f, target, dir.path()), steps(f, given));
    let report = run(&tree, &vectors, levels);
    if let Some(d) = &report.divergence {
        panic!("{f:?}: {d}");
    }
    let ran: Vec<(Level, usize)> = report.levels.iter().map(|l| (l.level, l.vectors)).collect();
    assert_eq!(ran, levels.iter().map(|l| (*l, given.len())).collect::<Vec<_>>(), "{f:?}");
    // At least one for the keys and one for the values.
    let sides = |n: usize| if f.ty.compressed(n) > 0 { 2 * f.ty.kv_heads } else { 1 };
    let least = given.iter().map(|step| sides(step.1)).sum::<usize>() as u64;
    if levels.contains(&Level::Native) {
        assert!(report.native.runs >= least, "{f:?}: {report:?}");
    }
    if levels.contains(&Level::Rtl) {
        assert!(report.waves.counts.runs >= least, "{f:?}: {report:?}");
        assert_eq!(report.waves.vectors, given.len(), "{f:?}");
        assert_eq!(report.clocks.rtl, Some(report.cycles), "{f:?}");
    }
}

fn with_encoders(target: &Target, encoders: &str) -> Target {
    target.with(&[("unit", "encoders", encoders)]).unwrap()
}

/// Several heads, slices and token groups, every size of sub-vector; nothing to cluster, as few tokens as
/// centroids, weights of 0 and the largest; steps on what the one before left.
#[test]
fn prompts_agree_on_the_native_level() {
    let of = |ty| ClusterModel { ty, tokens: 20, iterations: 1, ..base() };
    let two_heads = of(CacheType { heads: 4, kv_heads: 2, dim: 16, k: 4, ..base().ty });
    let slices = of(CacheType { dim: 16, sub: 2, k: 16, sink: 0, recent: 0, ..base().ty });
    let single = of(CacheType { heads: 1, dim: 4, sub: 1, k: 6, ..base().ty });
    let long = of(CacheType { heads: 1, dim: 32, sub: 8, k: 3, recent: 0, ..base().ty });
    let f = base();
    let exact = f.ty.sink + f.ty.recent;
    let many = [
        (Prompt::Noise, f.tokens),
        (Prompt::Noise, exact),
        (Prompt::Weightless, exact + 1),
        (Prompt::Extreme, exact + f.ty.k),
    ];
    let two = [(Prompt::Noise, 20), (Prompt::Extreme, 13)];
    let levels = [Level::Golden, Level::Schedule, Level::Native];
    for (f, encoders, given) in [
        (f, "8", &many[..]),
        (two_heads, "4", &two[..1]),
        (slices, "2", &two[..1]),
        (single, "4", &two[..1]),
        (long, "1", &two),
    ] {
        agree(&f, &with_encoders(&few_banks(), encoders), given, &levels);
    }
}

/// In the generated Verilog, with waveforms of every run.
#[test]
fn prompts_agree_in_verilog() {
    let ty = CacheType { heads: 4, kv_heads: 2, dim: 32, sink: 0, recent: 0, ..base().ty };
    let slices = ClusterModel { ty, queries: 2, ..base() };
    for (f, encoders) in [(slices, "4"), (base(), "2")] {
        let given = [(Prompt::Noise, f.tokens), (Prompt::Extreme, 22), (Prompt::Same, 3)];
        let levels = [Level::Golden, Level::Schedule, Level::Rtl];
        agree(&f, &with_encoders(&few_banks(), encoders), &given, &levels);
    }
}

/// Changes an instruction if it is one that is meant; whether it was.
type Change = fn(&mut Instr, &[StreamMode]) -> bool;

/// Changes one instruction of the tree's program.
fn plant(tree: &Path, change: Change) {
    let files = read_tree(tree).unwrap();
    let (isa, modes) = (&files.plan.shape.isa, files.plan.shape.bank.modes());
    let mut program = files.program;
    assert!(program.iter_mut().any(|instr| change(instr, &modes)), "no such instruction");
    let words = pimc_rtl::program::encode(&program, isa).unwrap();
    let mut text = Vec::new();
    write_words(words, isa.word_bits(), &mut text).unwrap();
    std::fs::write(tree.join("schedule/program.hex"), text).unwrap();
}

/// What a level says of a prompt on a tree that was changed.
fn found(level: Level, change: &dyn Fn(&Path)) -> Divergence {
    let dir = tempfile::tempdir().unwrap();
    let target = with_encoders(&few_banks(), "2");
    let tree = tree(&base(), &target, dir.path());
    change(&tree);
    let report = run(&tree, &steps(&base(), &[(Prompt::Noise, 20)]), &[level]);
    let d = report.divergence.unwrap_or_else(|| panic!("{level} sees nothing"));
    assert!(d.vector == Some(0) && d.launch.is_some() && d.cycle.is_some(), "{level}: {d}");
    d
}

fn sets(instr: &Instr, param: AttentionParam) -> Option<(Option<u32>, u32)> {
    match instr.action {
        Action::Set { to, from, add } if to == SetTo::Param(param.index()) => Some((from, add)),
        _ => None,
    }
}

/// The second of the encoders is the first once more.
fn same_encoder(instr: &mut Instr, _: &[StreamMode]) -> bool {
    let second = sets(instr, AttentionParam::Encoder) == Some((None, 1));
    if let (true, Action::Set { add, .. }) = (second, &mut instr.action) {
        *add = 0;
    }
    second
}

/// A token weighs what the next one does.
fn next_weight(instr: &mut Instr, _: &[StreamMode]) -> bool {
    let weighs = sets(instr, AttentionParam::Weight).is_some();
    if let (true, Action::Set { from: Some(word), .. }) = (weighs, &mut instr.action) {
        *word += 1;
    }
    weighs
}

/// The sums of the iteration before stay.
fn no_clear(instr: &mut Instr, modes: &[StreamMode]) -> bool {
    let clear = StreamMode::Attention(AttentionMode::Clear);
    let clears = matches!(&instr.action, Action::Stream(s) if modes[s.mode as usize] == clear);
    if clears {
        instr.action = Action::Wait;
    }
    clears
}

/// Every level that looks at the program says in which run it goes wrong.
#[test]
fn wrong_programs_are_caught_at_every_level() {
    for change in [same_encoder as Change, next_weight, no_clear] {
        for &level in IN_FILES {
            found(level, &|tree| plant(tree, change));
        }
    }
}
