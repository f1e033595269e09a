//! Wave files as users have them: FST beside VCD, broken files, and those of another simulator.

use crate::common::{
    cache, compile, compile_for, few_banks, golden_cases, on_all, options, small_cache, tool,
};
use pimc_cosim::report::WaveCounts;
use pimc_cosim::verilator::{build, Design, Port, Toolchain, WaveFormat};
use pimc_cosim::{check_wave, cosim, export_testbench, Error, Inputs, Level, Quiet};
use pimc_golden::{run_step, State};
use pimc_ir::generated_cache::{ClusterModel, Prompt};
use pimc_ir::testing::ModelBuilder;
use pimc_ir::{CacheId, CacheType, Model, Side};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Compiles golden's model of that name into `tree`; its vectors.
fn compiled(name: &str, tree: &Path) -> Inputs {
    let (_, case) = golden_cases().into_iter().find(|c| c.0 == name).expect("such a case");
    compile(&pimc_ir::load(&case.join("model.ir")).unwrap(), tree);
    Inputs::File(case.join("vectors.safetensors"))
}

/// Runs the tree's Verilog with the first vector's waveform kept in `wave`; whether it agreed.
fn simulated(tree: &Path, inputs: Inputs, wave: &Path, format: WaveFormat) -> bool {
    let mut options = options(inputs);
    options.levels = vec![Level::Rtl];
    (options.wave, options.wave_format) = (Some(wave.to_path_buf()), format);
    cosim(tree, &options, &Quiet).unwrap_or_else(|e| panic!("{e}")).agreed()
}

/// What a wave file shows that agrees with the tree.
fn agreed(tree: &Path, wave: &Path) -> WaveCounts {
    let report = check_wave(tree, wave, None).unwrap_or_else(|e| panic!("{e}"));
    assert!(report.divergence.is_none(), "{:?}", report.divergence);
    report.counts
}

#[test]
fn an_fst_file_is_checked_as_its_vcd_twin_and_refused_when_it_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("out");
    let inputs = compiled("supermask_plain", &tree);
    let [vcd, fst] = ["vcd", "fst"].map(|ending| dir.path().join(format!("right.{ending}")));
    assert!(simulated(&tree, inputs.clone(), &vcd, WaveFormat::Vcd));
    assert!(simulated(&tree, inputs.clone(), &fst, WaveFormat::Fst));
    let counts = agreed(&tree, &fst);
    assert_eq!(counts, agreed(&tree, &vcd));
    assert!(counts.runs == 1 && counts.columns >= 16);

    // One bit of one column is another: the design that the file shows is not that of the tree.
    let other = dir.path().join("other");
    compiled("supermask_plain", &other);
    let bank = other.join("mem/bank_05.hex");
    let image = fs::read_to_string(&bank).unwrap();
    let mut lines: Vec<String> = image.lines().map(str::to_string).collect();
    let first = lines.iter_mut().find(|l| !l.starts_with(['/', '@'])).expect("a column");
    let digit = u8::from_str_radix(&first[first.len() - 1..], 16).expect("a digit") ^ 1;
    first.replace_range(first.len() - 1.., &format!("{digit:x}"));
    fs::write(&bank, lines.join("\n")).unwrap();
    let wrong = dir.path().join("wrong.fst");
    assert!(!simulated(&other, inputs, &wrong, WaveFormat::Fst));
    let report = check_wave(&tree, &wrong, None).unwrap_or_else(|e| panic!("{e}"));
    let d = report.divergence.expect("a difference");
    assert_eq!((d.bank, d.signal.rsplit('.').next()), (Some(5), Some("rd_data_i")), "{d}");

    let bytes = fs::read(&fst).unwrap();
    let broken = dir.path().join("broken.fst");
    for part in [1, 100, 400, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&broken, &bytes[..part]).unwrap();
        let refused = check_wave(&tree, &broken, None);
        assert!(matches!(refused, Err(Error::Content { .. })), "{part} bytes: {refused:?}");
    }
    // A flipped bit may stand where nothing is looked at; it never ends in a panic.
    let wrong = (330..bytes.len()).step_by(bytes.len() / 60).filter(|&at| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        fs::write(&broken, bytes).unwrap();
        check_wave(&tree, &broken, None).map_or(true, |r| r.divergence.is_some())
    });
    assert!(wrong.count() > 20, "most flipped bits are noticed");
}

#[test]
fn without_the_libraries_of_fst_the_message_says_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    // A header that is found and lacks another of that name, as if it were not there itself.
    fs::create_dir(dir.path().join("include")).unwrap();
    fs::write(dir.path().join("include/lz4.h"), "#include \"absent/lz4.h\"\n").unwrap();
    let mut tools = Toolchain::find(None).unwrap();
    tools.fst_libs = Some(dir.path().to_path_buf());
    let design = Design {
        top: "toggle".into(),
        sources: vec![(
            "toggle.sv".into(),
            "module toggle (input wire clk_i, output logic q_o);\n  \
             always_ff @(posedge clk_i) q_o <= !q_o;\nendmodule\n"
                .into(),
        )],
        params: Vec::new(),
        control: "`verilator_config\n".into(),
        ports: vec![Port { name: "q_o".into(), bits: 1 }],
        waves: WaveFormat::Fst,
    };
    let said = build(&tools, &design, &cache()).map(|b| b.object).unwrap_err().to_string();
    for words in ["lz4.h is missing", "apt-get install zlib1g-dev liblz4-dev", "--vcd FILE"] {
        assert!(said.contains(words), "{said}");
    }
}

/// What is wrong with the runs of a tree in Icarus Verilog, by the project's own testbench; what it
/// printed, and what its waveform shows, if nothing is. The testbench and the waveform are in `out` then.
fn icarus_runs(tree: &Path, inputs: &Inputs, out: &Path) -> Result<(String, WaveCounts), String> {
    let bench = export_testbench(tree, inputs, out).unwrap();
    let run = |mut command: Command| {
        let shown = format!("{command:?}");
        let out = command.output().unwrap_or_else(|e| panic!("{shown}: {e}"));
        let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        out.status.success().then_some(said.clone()).ok_or(format!("{shown}\n{said}"))
    };
    let object = out.join("run.vvp");
    let mut compiler = Command::new(tool("PIMC_IVERILOG"));
    compiler.args(["-g2012", "-s", "pimc_run", "-o"]).arg(&object).args(&bench.sources);
    let mut simulator = Command::new(tool("PIMC_VVP"));
    simulator.arg(&object).args(&bench.plusargs);
    let said = run(compiler).and_then(|_| run(simulator))?;
    if !said.lines().any(|l| l == "done") {
        return Err(said);
    }
    // What the script says, with the file that it names.
    let steps = out.join("steps.safetensors");
    let script = fs::read_to_string(out.join("run.sh")).unwrap();
    assert_eq!(script.contains("--inputs"), steps.is_file());
    let given = steps.is_file().then_some(Inputs::File(steps));
    let report =
        check_wave(tree, &out.join("wave.vcd"), given.as_ref()).map_err(|e| e.to_string())?;
    match report.divergence {
        Some(d) => Err(d.to_string()),
        None => Ok((said, report.counts)),
    }
}

/// What is wrong with the first vector's run in Icarus Verilog.
fn icarus_flaw(name: &str, case: &Path) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("out");
    compile(&pimc_ir::load(&case.join("model.ir")).unwrap(), &tree);
    let inputs = Inputs::File(case.join("vectors.safetensors"));
    match icarus_runs(&tree, &inputs, &dir.path().join("bench")) {
        Err(why) => Some(format!("{name}: {why}")),
        Ok((_, counts)) if counts.runs == 1 && counts.columns >= 16 => None,
        Ok(shown) => Some(format!("{name}: not everything was shown: {shown:?}")),
    }
}

/// Runs steps on a cache in Icarus Verilog: their arguments and columns, and results that are golden's; how
/// many runs they took. The tree is in `out` of the folder, the testbench in `bench`.
fn cache_in_icarus(model: &Model, vectors: &[Vec<Vec<i64>>], folder: &Path) -> u64 {
    let (target, tree, bench) = (few_banks(), folder.join("out"), folder.join("bench"));
    compile_for(model, &target, &tree);
    let (said, counts) = icarus_runs(&tree, &Inputs::Given(vectors.to_vec()), &bench).unwrap();
    assert!(counts.commands > 0 && counts.writes > 0, "{counts:?}");
    let plan = pimc_lower::lower(model, &target).unwrap();
    let (mut state, mut expected) = (State::initial(model), vec![]);
    for (i, inputs) in vectors.iter().enumerate() {
        let golden = run_step(model, &mut state, inputs).unwrap();
        expected.extend((vectors.len() > 1).then(|| format!("vector {i}")));
        let mut words = vec![0; plan.result.len as usize];
        for (at, word) in golden.result().iter().enumerate() {
            words[(plan.result_at(at as u32) - plan.result.addr) as usize] = *word;
        }
        expected.extend(words.iter().enumerate().map(|(at, word)| format!("result {at} {word}")));
    }
    let shown = |l: &&str| l.starts_with("vector ") || l.starts_with("result ");
    let said: Vec<&str> = said.lines().filter(shown).collect();
    assert_eq!(said, expected);
    counts.runs
}

fn written(model: ModelBuilder, folder: &Path) -> Model {
    pimc_ir::load(&model.write(folder, "model.ir").unwrap()).unwrap()
}

#[test]
fn steps_on_a_cache_run_in_icarus() {
    let (dir, f) = (tempfile::tempdir().unwrap(), small_cache());
    let model = written(f.builder("hbm3-pim", 7), dir.path());
    let vectors = [f.step(1, 1, &[10]), f.step(2, 0, &[7]), f.step(3, 1, &[11])];
    assert_eq!(cache_in_icarus(&model, &vectors, dir.path()), 3);
}

/// What waits to be clustered comes into the banks by the host's hand, and there are several runs to a step;
/// one weight that was another would show.
#[test]
fn a_prompt_is_clustered_in_icarus() {
    let dir = tempfile::tempdir().unwrap();
    let ty = CacheType { heads: 1, dim: 8, k: 3, ..small_cache().ty };
    let f = ClusterModel { ty, tokens: 12, queries: 1, iterations: 1, weight_bits: 9 };
    let model = written(f.builder("hbm3-pim", 7), dir.path());
    let step = f.step(1, Prompt::Noise, 12);
    let runs = cache_in_icarus(&model, std::slice::from_ref(&step), dir.path());
    assert!(runs >= 2, "{runs}");

    let codebook = |step: &[Vec<i64>]| {
        let mut state = State::initial(&model);
        run_step(&model, &mut state, step).unwrap();
        state.cache(CacheId(0)).codebook(Side::Key).to_vec()
    };
    let other = |token: usize| {
        let mut step = step.clone();
        step[3][token] = if step[3][token] > 100 { 1 } else { 255 };
        step
    };
    let right = codebook(&step);
    let differs = |step: &Vec<Vec<i64>>| codebook(step) != right;
    let wrong = (0..12).map(other).find(differs).expect("a weight that matters");
    let wave = dir.path().join("bench/wave.vcd");
    let report = check_wave(&dir.path().join("out"), &wave, Some(&Inputs::Given(vec![wrong])));
    let d = report.unwrap().divergence.expect("a difference");
    assert!(d.vector == Some(0) && d.launch.is_some(), "{d}");
    assert!(d.signal.ends_with("rd_data_i") || d.signal.ends_with("score_o"), "{d}");
}

/// Runs those of golden's models in Icarus Verilog, where what nothing has written is unknown.
fn icarus(names: &[&str]) {
    let mut cases = golden_cases();
    cases.retain(|c| names.contains(&c.0.as_str()));
    assert_eq!(cases.len(), names.len());
    let flaws = on_all(&cases, |(name, case)| icarus_flaw(name, case));
    assert!(flaws.is_empty(), "{}", flaws.join("\n"));
}

#[test]
fn a_waveform_of_icarus_is_as_it_must_be() {
    icarus(&["int_8", "bqq_grid", "supermask_plain", "supermask_one_weight"]);
}

#[test]
fn a_waveform_of_icarus_knows_every_bit_where_inputs_are_padded() {
    icarus(&["network", "pq_k3_sub3", "pq_k512_sub8", "pq_one_row", "pq_one_weight"]);
}
