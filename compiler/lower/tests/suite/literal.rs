//! Steps in the paper's form, executed on what the banks hold, against golden: results, and the cache in
//! the banks; and every step's commands against the DRAM's rules.

use crate::common::some_steps;
use pimc_golden::{run_step, State};
use pimc_ir::generated_cache::CacheModel;
use pimc_ir::{CacheId, CacheType, Model, Side};
use pimc_lower::attention::literal::{Cause, Follow, FormPlan, Gather, Work};
use pimc_lower::commands::{Command, Timed};
use pimc_lower::images::{Banks, Column};
use pimc_lower::{legality, Target};

const BOTH: [Gather; 2] = [Gather::Centroid, Gather::Element];

fn hbm() -> Target {
    Target::named("hbm3-pim").expect("a target")
}

fn with(target: &Target, section: &str, key: &str, value: &str) -> Target {
    target.with(&[(section, key, value)]).unwrap_or_else(|d| panic!("{}", d.render(false)))
}

fn cache(heads: usize, kv_heads: usize, dim: usize, sub: usize, k: usize) -> CacheType {
    CacheType { heads, kv_heads, dim, tokens: 256, sub, k, sink: 4, recent: 8, start: 0 }
}

fn function(ty: CacheType) -> CacheModel {
    CacheModel::new(ty)
}

fn model(f: &CacheModel, target: &Target) -> Model {
    f.model(&target.name, 7).unwrap_or_else(|d| panic!("{}", d.render(false)))
}

fn plan(model: &Model, target: &Target, gather: Gather) -> FormPlan {
    FormPlan::new(model, target, gather).unwrap_or_else(|r| panic!("{}", r.found.render(false)))
}

/// The columns of all banks, made once.
struct Loaded {
    rows: u32,
    columns: u32,
    all: Vec<Option<Column>>,
}

impl Loaded {
    fn new(plan: &FormPlan, images: &dyn Banks) -> Loaded {
        let (rows, columns) = (plan.layout.rows() as u32, plan.layout.columns);
        let column = |bank, at: u32| images.column(bank, at / columns, at % columns);
        let bank = |bank| (0..rows * columns).map(move |at| column(bank, at));
        let all = (0..plan.target.units()).flat_map(bank).collect();
        Loaded { rows, columns, all }
    }
}

impl Banks for Loaded {
    fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        let at = (bank * self.rows + row) * self.columns + col;
        let there = row < self.rows && col < self.columns;
        self.all.get(at as usize).copied().flatten().filter(|_| there)
    }
}

/// Runs steps, each with its count and limits, and compares everything.
fn agree(f: &CacheModel, target: &Target, gather: Gather, steps: &[(usize, Vec<i64>)]) {
    let model = model(f, target);
    let plan = plan(&model, target, gather);
    let (images, what) = (Loaded::new(&plan, &plan.images(&model)), format!("{f:?}, {gather:?}"));
    let all: Vec<_> =
        (0..).zip(steps).map(|(i, (count, limits))| f.step(100 + i, *count, limits)).collect();
    let (mut machine, mut driver) = (plan.machine(&images), plan.driver());
    let mut state = State::initial(&model);
    for (i, inputs) in all.iter().enumerate() {
        let golden = run_step(&model, &mut state, inputs).expect("golden");
        let step = plan.step(&mut driver, inputs).expect("a step");
        machine.begin(&driver, plan.inputs(inputs));
        let mut commands: Vec<Timed> = Vec::new();
        let made = plan.run(&step, &mut (&mut machine, &mut commands));
        let result = machine.result().unwrap_or_else(|(at, why)| panic!("{what}: {at}: {why}"));
        assert_eq!(result, golden.result(), "{what}, step {i}");
        let held = state.cache(CacheId(0));
        assert_eq!(driver.length() as usize, held.tokens());
        let read = |bank, row, col| machine.column(bank, row, col);
        for side in Side::BOTH {
            let codes = plan.layout.held_codes(&driver, side, &read);
            assert_eq!(codes.as_deref(), Some(held.codes(side)), "{what}, step {i}, {side:?}");
            for position in 0..driver.length() {
                let exact = plan.layout.held_exact(&driver, side, position, &read);
                let token = held.exact(position as usize).map(|t| t.side(side).to_vec());
                assert_eq!(exact, token, "{what}, step {i}, {side:?} of position {position}");
            }
        }
        let broken = legality::check(target, commands, made.cycles);
        assert_eq!(broken.first().map(ToString::to_string), None, "{what}, step {i}");
        assert_eq!(made.causes.iter().sum::<u64>(), made.cycles, "{what}, step {i}");
        assert_eq!(made.clocks(Cause::Append) > 0, !step.appends.is_empty(), "{what}, step {i}");
    }
}

#[test]
fn every_shape_agrees() {
    for (heads, kv_heads, dim, sub, k) in [
        (1, 1, 32, 2, 16),
        (4, 1, 64, 4, 64),
        (8, 1, 128, 8, 256),
        (2, 2, 128, 4, 512),
        (1, 1, 128, 2, 300),
        (4, 2, 32, 8, 10),
        (1, 1, 64, 1, 5),
    ] {
        for (sink, recent) in [(0, 0), (8, 32), (0, 5), (3, 0), (1, 1)] {
            for start in [0, 1, 40, 700] {
                let ty = CacheType {
                    tokens: 800,
                    sink,
                    recent,
                    start,
                    ..cache(heads, kv_heads, dim, sub, k)
                };
                for gather in BOTH {
                    let f = CacheModel { queries: 2, append: start != 40, ..function(ty) };
                    agree(&f, &hbm(), gather, &some_steps(&f, 3));
                }
            }
        }
    }
}

/// A context of the length that the form is for, 512 centroids, codes of 9 bits.
#[test]
fn thousands_of_tokens_agree() {
    let ty =
        CacheType { tokens: 8192, sink: 8, recent: 32, start: 5000, ..cache(2, 1, 128, 4, 512) };
    for (gather, channels) in
        [(Gather::Centroid, "2"), (Gather::Element, "2"), (Gather::Centroid, "8")]
    {
        let f = function(ty);
        let target = with(&hbm(), "stack", "channels", channels);
        agree(&f, &target, gather, &[(1, vec![5001]), (1, vec![2500])]);
    }
}

#[test]
fn steps_from_an_empty_cache_and_over_token_groups() {
    let steps: Vec<_> = (0..40).map(|i| (1, vec![i + 1])).collect();
    for channels in ["1", "4"] {
        let target = with(&hbm(), "stack", "channels", channels);
        for gather in BOTH {
            agree(&function(cache(2, 2, 32, 4, 16)), &target, gather, &steps);
        }
    }
}

#[test]
fn every_target_with_writes_agrees() {
    for target in Target::built_in() {
        let ty =
            CacheType { tokens: 3000, sink: 8, recent: 32, start: 1500, ..cache(2, 1, 64, 4, 64) };
        for gather in BOTH {
            let f = CacheModel { queries: 2, ..function(ty) };
            agree(&f, &target, gather, &some_steps(&f, 3));
        }
    }
}

/// Queries that take longer to transfer than from refresh to refresh.
#[test]
fn long_transfers_are_refreshed() {
    let ty = CacheType { tokens: 32, sink: 2, recent: 4, start: 20, ..cache(1, 1, 1 << 16, 8, 4) };
    let f = CacheModel { mul: 1, shift: 12, ..function(ty) };
    agree(&f, &hbm(), Gather::Centroid, &[(1, vec![21])]);
}

/// The largest scores and weights that there are, which take the most bits.
#[test]
fn extremes_agree() {
    let ty = CacheType { start: 60, ..cache(1, 1, 64, 8, 16) };
    let f = CacheModel { mul: 1, shift: 20, bits: 32, ..function(ty) };
    let target = hbm();
    let model = model(&f, &target);
    let low = vec![-128; 64];
    let inputs = [low.clone(), low.clone(), low, vec![1], vec![61]];
    for gather in BOTH {
        let plan = plan(&model, &target, gather);
        let (images, mut state) = (plan.images(&model), State::initial(&model));
        let (mut machine, mut driver) = (plan.machine(&images), plan.driver());
        let golden = run_step(&model, &mut state, &inputs).expect("golden");
        let step = plan.step(&mut driver, &inputs).expect("a step");
        machine.begin(&driver, plan.inputs(&inputs));
        plan.run(&step, &mut machine);
        assert_eq!(machine.result().expect("a result"), golden.result());
    }
}

/// An image with one bit of one column changed.
struct Changed<'a> {
    image: &'a dyn Banks,
    at: (u32, u32, u32),
    bit: u32,
}

impl Banks for Changed<'_> {
    fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        let mut column = self.image.column(bank, row, col)?;
        if (bank, row, col) == self.at {
            column[self.bit as usize / 64] ^= 1 << (self.bit % 64);
        }
        Some(column)
    }
}

/// Whoever changes a codebook, a code or an exact token in a bank changes the result: all are read.
#[test]
fn what_lies_in_the_banks_decides() {
    let ty = CacheType { tokens: 600, start: 500, ..cache(1, 1, 64, 4, 16) };
    let f = CacheModel { append: false, bits: 32, mul: 1, shift: 3, ..function(ty) };
    let (target, inputs) = (hbm(), f.step(1, 0, &[500]));
    let model = model(&f, &target);
    for gather in BOTH {
        let plan = plan(&model, &target, gather);
        let images = plan.images(&model);
        let run = |image: &dyn Banks| {
            let (mut machine, mut driver) = (plan.machine(image), plan.driver());
            let step = plan.step(&mut driver, &inputs).expect("a step");
            machine.begin(&driver, plan.inputs(&inputs));
            plan.run(&step, &mut machine);
            machine.result()
        };
        let right = run(&images).expect("a result");
        // Every row that holds something, the first slot that is used.
        for row in 0..plan.layout.rows() as u32 {
            for bank in [0, 7, 15] {
                let column = images.column(bank, row, 0).expect("a column");
                if column != [0; 4] {
                    let changed = Changed { image: &images, at: (bank, row, 0), bit: 5 };
                    assert_ne!(run(&changed).as_ref(), Ok(&right), "{gather:?} {bank} {row}");
                }
            }
        }
    }
}

/// Follows what it is told to, with one change.
struct Bent<'a, F> {
    to: &'a mut dyn Follow,
    bend: F,
}

impl<F: FnMut(&mut Timed, &mut Option<Work>) -> bool> Follow for Bent<'_, F> {
    fn command(&mut self, mut timed: Timed, mut work: Option<Work>) {
        if (self.bend)(&mut timed, &mut work) {
            self.to.command(timed, work);
        }
    }

    fn between(&mut self, work: Work) {
        self.to.between(work);
    }
}

type Bend<'a> = Box<dyn FnMut(&mut Timed, &mut Option<Work>) -> bool + 'a>;

/// Commands that are not obeyed as they come: each a fault that is told, or another result.
#[test]
fn the_machine_obeys_the_commands() {
    let ty = CacheType { tokens: 600, start: 500, ..cache(1, 1, 64, 4, 512) };
    let f = CacheModel { append: false, bits: 32, mul: 1, shift: 3, ..function(ty) };
    let (target, inputs) = (hbm(), f.step(1, 0, &[500]));
    let model = model(&f, &target);
    let plan = plan(&model, &target, Gather::Centroid);
    let images = plan.images(&model);
    let run = |bend: Bend<'_>| {
        let (mut machine, mut driver) = (plan.machine(&images), plan.driver());
        let step = plan.step(&mut driver, &inputs).expect("a step");
        machine.begin(&driver, plan.inputs(&inputs));
        plan.run(&step, &mut Bent { to: &mut machine, bend });
        machine.result()
    };
    let right = run(Box::new(|_, _| true)).expect("a result");
    let fault = |bend: Bend<'_>, part: &str| {
        let (_, why) = run(bend).expect_err(part);
        assert!(why.contains(part), "no `{part}` in `{why}`");
    };
    // A row that is opened is another, is not opened, or is closed too soon.
    fault(
        Box::new(|timed, _| {
            if let Command::Act { row } = &mut timed.command {
                *row += 1;
            }
            true
        }),
        "which is not open",
    );
    fault(Box::new(|timed, _| !matches!(timed.command, Command::Act { .. })), "which is not open");
    // The table is not written, or not to the end.
    fault(Box::new(|_, work| !matches!(work, Some(Work::Table { .. }))), "no entry of code");
    let last = |work: &Option<Work>| matches!(work, Some(Work::Table { first }) if *first == 496);
    fault(Box::new(move |_, work| !last(work)), "no entry of code");
    // Codes are not read, or those of the batch before are kept.
    fault(Box::new(|_, work| !matches!(work, Some(Work::Codes { .. }))), "is empty");
    let keep = |_: &mut Timed, work: &mut Option<Work>| {
        if let Some(Work::Codes { anew }) = work {
            *anew = false;
        }
        true
    };
    fault(Box::new(keep), "hold 16 columns");
    // Several tokens with one column of a bank.
    fault(
        Box::new(|_, work| {
            if let Some(Work::Key { tokens, .. }) = work {
                *tokens = 16;
            }
            true
        }),
        "a column access for 16 tokens",
    );
    // An exact column or a lookup is left out, or a token is looked up twice: another result.
    for (i, name) in ["exact_keys", "exact_values", "lookup_key", "lookup_value"].iter().enumerate()
    {
        let mut seen = 0;
        let bend = move |_: &mut Timed, work: &mut Option<Work>| {
            seen += usize::from(work.is_some_and(|w| w.name() == *name));
            seen != 1 || work.is_none_or(|w| w.name() != *name)
        };
        let got = run(Box::new(bend)).expect("a result");
        assert_ne!(got, right, "{i}: {name}");
    }
}

/// Lookups are what the paper says: a column access of every bank for a token's sub-vector, and the table
/// was written before.
#[test]
fn a_lookup_is_a_column_access_of_every_bank() {
    let ty =
        CacheType { tokens: 4200, sink: 8, recent: 32, start: 4096, ..cache(1, 1, 128, 4, 512) };
    let f = CacheModel { append: false, ..function(ty) };
    let target = with(&hbm(), "stack", "channels", "2");
    let (model, inputs) = (model(&f, &target), f.step(1, 0, &[4096]));
    for (gather, values) in [(Gather::Centroid, 1), (Gather::Element, 4)] {
        let plan = plan(&model, &target, gather);
        let (images, mut driver) = (plan.images(&model), plan.driver());
        let mut machine = plan.machine(&images);
        let step = plan.step(&mut driver, &inputs).expect("a step");
        machine.begin(&driver, plan.inputs(&inputs));
        let made = plan.run(&step, &mut machine);
        assert_eq!(made.lookups, [4056, values * 4056]);
        assert_eq!(machine.lookups(), 32 * (1 + values) * 4056);
        assert_eq!(plan.layout.rows_in_reach(), if gather == Gather::Centroid { 4 } else { 1 });
    }
}

#[test]
fn what_the_form_cannot_do_is_said() {
    let refused = |f: &CacheModel, target: &Target| {
        let model = model(f, target);
        FormPlan::new(&model, target, Gather::Centroid).expect_err("refused").found.render(false)
    };
    // 1024 entries of two bytes are two rows of a kilobyte.
    let long = refused(&function(cache(1, 1, 64, 4, 1024)), &hbm());
    for part in ["P0607", "a table has 2 rows, and a lookup reaches one", "at most 512 centroids"] {
        assert!(long.contains(part), "{long}");
    }
    // A target that does not say what writes need, and one that leaves no time for them.
    let text = hbm().source;
    let lines = text.lines().filter(|l| !l.starts_with("cwl") && !l.starts_with("wr "));
    let no_writes = lines.map(|l| format!("{l}\n")).collect::<String>();
    let no_writes = Target::from_toml("t.toml", &no_writes).expect("a target");
    let found = refused(&function(cache(1, 1, 64, 4, 16)), &no_writes);
    assert!(found.contains("P0607") && found.contains("does not say cwl, wr"), "{found}");
    let slow = hbm().with(&[("bank", "columns", "2"), ("timing", "wr", "5000")]).expect("a target");
    let found = refused(&function(cache(1, 1, 64, 4, 16)), &slow);
    assert!(
        found.contains("P0607") && found.contains("the target refreshes every 5070"),
        "{found}"
    );
    let few = with(&hbm(), "bank", "rows", "20");
    let rows = refused(&function(cache(1, 1, 128, 4, 512)), &few);
    assert!(rows.contains("P0606") && rows.contains("rows of a bank"), "{rows}");
}
