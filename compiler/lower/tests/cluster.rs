//! Caches that are filled by clustering in the banks: the interpreter's runs against golden, results,
//! codebooks, codes and exact tokens, and every run's commands against the DRAM's rules.

mod common;

use pimc_golden::{run_step, State};
use pimc_ir::generated::Noise;
use pimc_ir::testing::{CacheArrays, ModelBuilder};
use pimc_ir::{CacheId, CacheType, Model, Side};
use pimc_lower::images::Images;
use pimc_lower::interp::Ignore;
use pimc_lower::{lower, Plan, Target};

/// A function that clusters and attends.
#[derive(Clone, Copy, Debug)]
struct Fill {
    ty: CacheType,
    /// Tokens that are given.
    tokens: usize,
    queries: usize,
    iterations: u32,
    weight_bits: u32,
}

/// What the tokens and weights of a step are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Noise,
    /// All the same token.
    Same,
    /// The largest and the smallest bytes, and weights as large as they can be.
    Extreme,
    /// Weights of 0.
    Weightless,
}

impl Fill {
    fn text(&self, target: &str) -> String {
        let Fill { ty, tokens, queries, iterations, weight_bits } = self;
        let (q, kv) = (queries * ty.heads * ty.dim, tokens * ty.token_len());
        let w = tokens * ty.kv_heads;
        format!(
            "pimc 1\n\ntarget \"{target}\"\n\ncache @kv : {ty} from \"kv.safetensors\"\n\n\
             func @main(%q: i8<{q}>, %k: i8<{kv}>, %v: i8<{kv}>, %w: i{weight_bits}<{w}>, %n: i32<1>, \
             %limit: i32<{queries}>) -> i16<{q}> {{\n  \
             %len = cluster @kv, %k, %v, %w, %n, iterations={iterations} : i32<1>\n  \
             %o = attend @kv, %q, %limit, mul=3000, shift=12, frac=8 : i16<{q}>\n  return %o\n}}\n"
        )
    }

    fn model(&self, target: &str) -> Model {
        let (ty, mut noise) = (&self.ty, Noise(7));
        let mut bytes = |n: usize| -> Vec<i8> { (0..n).map(|_| noise.word() as i8).collect() };
        let book = ty.kv_heads * ty.parts() * ty.k * ty.sub;
        let exact = ty.exact(ty.start) * ty.token_len();
        let codes = ty.compressed(ty.start) * ty.kv_heads * ty.parts();
        let arrays = CacheArrays {
            key_codebook: bytes(book),
            value_codebook: bytes(book),
            key_codes: vec![1; codes],
            value_codes: vec![0; codes],
            keys: bytes(exact),
            values: bytes(exact),
        };
        let built = ModelBuilder::new(self.text(target)).cache("kv", &arrays).build();
        built.unwrap_or_else(|found| panic!("{}", found.render(false)))
    }

    fn step(&self, seed: u64, kind: Kind, n: usize) -> Vec<Vec<i64>> {
        let (ty, mut noise) = (&self.ty, Noise(seed));
        let most = (1i64 << (self.weight_bits - 1)) - 1;
        let len = self.tokens * ty.token_len();
        let mut bytes = |n: usize| -> Vec<i64> {
            let byte = |i: usize, word: u64| match kind {
                Kind::Same => (i % ty.token_len() % 120) as i64 - 3,
                Kind::Extreme => [-128, 127][(word % 2) as usize],
                _ => i64::from(word as i8),
            };
            (0..n).map(|i| byte(i, noise.word())).collect()
        };
        let (q, k, v) = (bytes(self.queries * ty.heads * ty.dim), bytes(len), bytes(len));
        let weight = |word: u64| match kind {
            Kind::Weightless => 0,
            Kind::Extreme => most,
            // A third of them weigh nothing.
            _ if word % 3 == 0 => 0,
            _ => (word >> 8) as i64 & most,
        };
        let w = (0..self.tokens * ty.kv_heads).map(|_| weight(noise.word())).collect();
        let limits = (0..self.queries).map(|i| n as i64 - i as i64).collect();
        vec![q, k, v, w, vec![n as i64], limits]
    }
}

fn plan(model: &Model, target: &Target) -> Plan {
    lower(model, target).unwrap_or_else(|found| panic!("{}", found.render(false)))
}

/// Runs steps and compares everything; the runs of each.
fn agree(f: &Fill, target: &Target, steps: &[(Kind, usize)]) -> Vec<usize> {
    let model = f.model(&target.name);
    let plan = plan(&model, target);
    let cache = plan.cache.as_ref().expect("a cache");
    let images = Images::new(&model, &plan);
    let mut machine = plan.machine(&images).expect("a machine");
    let mut driver = cache.driver();
    let mut state = State::initial(&model);
    let mut counts = Vec::new();
    for (i, (kind, n)) in steps.iter().enumerate() {
        let inputs = f.step(100 + i as u64, *kind, *n);
        let golden = run_step(&model, &mut state, &inputs).expect("golden");
        let name = format!("{f:?} on {}, step {i} {kind:?} {n}", target.name);
        let launches = plan.launches(&mut driver, &inputs).expect("runs");
        counts.push(launches.len());
        let mut result = Vec::new();
        for launch in launches {
            for c in launch.columns {
                machine.host_column(c.bank, c.row, c.col, c.data).expect("a column");
            }
            for (addr, word) in launch.args {
                machine.host_arg(addr, word).expect("an argument");
            }
            let run = plan.run_to_end(&mut machine, &inputs, &mut Ignore);
            result = run.unwrap_or_else(|fault| panic!("{name}: {fault}")).0;
            let broken = plan.violation_with(machine.args()).expect("a program that runs");
            assert!(broken.is_none(), "{name}: {}", broken.expect("a violation"));
        }
        let (held, read) = (state.cache(CacheId(0)), |b, r, c| machine.column(b, r, c));
        assert_eq!(driver.length() as usize, held.tokens());
        for side in Side::BOTH {
            for group in 0..cache.layout.groups {
                let book = cache.codebook(side, group, &read);
                assert!(book.as_deref() == Some(held.codebook(side)), "{name}: codebook {group}");
            }
            let codes = cache.codes(&driver, side, &read);
            assert!(codes.as_deref() == Some(held.codes(side)), "{name}: codes");
            for position in 0..driver.length() {
                let exact = cache.exact(&driver, side, position, &read);
                let token = held.exact(position as usize).map(|t| t.side(side).to_vec());
                assert_eq!(exact, token, "{name}: {side:?} of position {position}");
            }
        }
        assert_eq!(result, golden.result(), "{name}");
    }
    counts
}

fn hbm(channels: u32) -> Target {
    let target = Target::named("hbm3-pim").expect("a target");
    let changes =
        [("unit", "table_bytes", "1000000"), ("stack", "channels", &channels.to_string())];
    target.with(&changes).expect("a target")
}

fn cache(heads: usize, kv_heads: usize, dim: usize, sub: usize, k: usize) -> CacheType {
    CacheType { heads, kv_heads, dim, tokens: 256, sub, k, sink: 4, recent: 8, start: 0 }
}

fn fill(ty: CacheType) -> Fill {
    Fill { ty, tokens: 90, queries: 1, iterations: 4, weight_bits: 9 }
}

/// Counts at which something begins or ends, and more steps on the cache that was filled before.
fn counts(f: &Fill) -> Vec<(Kind, usize)> {
    let exact = f.ty.sink + f.ty.recent;
    let at = |c: usize| (exact + c).min(f.tokens);
    vec![
        (Kind::Noise, f.tokens),
        (Kind::Noise, 0),
        (Kind::Noise, 1.min(f.tokens)),
        (Kind::Noise, at(0)),
        (Kind::Noise, at(1)),
        (Kind::Noise, at(f.ty.k - 1)),
        (Kind::Same, at(f.ty.k)),
        (Kind::Weightless, at(f.ty.k + 3)),
        (Kind::Extreme, f.tokens),
        (Kind::Noise, at(2 * f.ty.k)),
    ]
}

#[test]
fn every_shape_agrees() {
    for (heads, kv_heads, dim, sub, k) in [
        (1, 1, 32, 2, 16),
        (4, 1, 64, 4, 64),
        (2, 2, 128, 8, 32),
        (1, 1, 64, 1, 5),
        (4, 2, 32, 8, 10),
        (1, 1, 16, 4, 40),
        (2, 1, 8, 2, 7),
    ] {
        for (sink, recent) in [(4, 8), (0, 0), (0, 5), (3, 0)] {
            for channels in [1, 2] {
                let ty = CacheType { sink, recent, ..cache(heads, kv_heads, dim, sub, k) };
                let f = Fill { queries: 1 + sink % 3, ..fill(ty) };
                agree(&f, &hbm(channels), &counts(&f));
            }
        }
    }
}

#[test]
fn every_target_agrees() {
    for target in Target::built_in() {
        let target = target.with(&[("unit", "table_bytes", "1000000")]).expect("a target");
        let f = fill(cache(2, 1, 64, 4, 64));
        agree(&f, &target, &[(Kind::Noise, 90), (Kind::Extreme, 70)]);
    }
}

#[test]
fn every_number_of_encoders_agrees() {
    for sub in [1, 2, 4, 8] {
        for encoders in ["1", "2", "3", "8", "16", "64"] {
            let target = hbm(1).with(&[("unit", "encoders", encoders)]).expect("a target");
            let f = fill(cache(1, 1, 32, sub, 12));
            agree(&f, &target, &[(Kind::Noise, 90), (Kind::Noise, 23)]);
        }
    }
}

#[test]
fn iterations_and_weights_agree() {
    for (iterations, weight_bits) in [(0, 8), (1, 1), (2, 32), (7, 2)] {
        let f = Fill { iterations, weight_bits, ..fill(cache(1, 1, 32, 4, 16)) };
        agree(&f, &hbm(1), &[(Kind::Noise, 90), (Kind::Extreme, 90), (Kind::Weightless, 80)]);
    }
}

/// Codebooks over several rows and in slices that begin anywhere, pages that begin within a batch, scripts of
/// several runs.
#[test]
fn long_ones_agree() {
    for (dim, sub, k, channels) in [(128, 4, 512, 2), (64, 1, 250, 1), (64, 2, 90, 4)] {
        let ty = CacheType { tokens: 4000, ..cache(1, 1, dim, sub, k) };
        let f = Fill { tokens: 2500, iterations: 2, ..fill(ty) };
        let runs = agree(&f, &hbm(channels), &[(Kind::Noise, 2500), (Kind::Noise, 1300)]);
        assert!(runs[0] > runs[1] && runs[1] > 8, "{runs:?}");
    }
}

/// The estimate of a run is near its clocks, and the plan's are the sums over the runs of the first step.
#[test]
fn estimates_are_near() {
    for (f, target) in [
        (fill(cache(1, 1, 32, 2, 16)), hbm(1)),
        (
            Fill { tokens: 1000, ..fill(CacheType { tokens: 1000, ..cache(1, 1, 128, 4, 512) }) },
            hbm(2),
        ),
        (
            Fill { tokens: 1000, ..fill(CacheType { tokens: 1000, ..cache(8, 2, 64, 2, 64) }) },
            hbm(1),
        ),
        (fill(cache(1, 1, 64, 8, 40)), Target::named("lpddr5x-pim").expect("a target")),
    ] {
        let plan = plan(&f.model(&target.name), &target);
        let (mut all, mut estimated) = (0, 0);
        for args in plan.runs() {
            let walk = pimc_lower::walk::Walk::with_args(&plan.program, &args, target.timing.refi);
            let end = walk.map(|i| i.expect("runs").cycle).last().expect("an end");
            all += end;
            let e = plan.estimate_with(&args);
            estimated += e;
            println!(
                "run {end} {e} {:?}",
                plan.cache.as_ref().unwrap().cluster.unwrap().map.size_of(&args)
            );
        }
        println!("{f:?}: {} {}", plan.cycles, plan.estimate.cycles);
        assert_eq!((all, estimated), (plan.cycles, plan.estimate.cycles));
        let error = plan.estimate.error(plan.cycles);
        assert!(error.abs() < 0.03, "{f:?}: {error}");
        assert!(plan.violation().expect("runs").is_none());
    }
}
