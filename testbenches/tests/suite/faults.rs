//! Planted faults: one thing at a time is made wrong in the files of a compiled model, and
//! co-simulation must find it and say where. A check that lets one pass is a defect.

use crate::common::{compile, on_all, options};
use pimc_cosim::{cosim, Divergence, Inputs, Level, Quiet};
use pimc_ir::testing::ModelBuilder;
use pimc_ir::Model;
use pimc_lower::hex::write_words;
use pimc_lower::tree::read_tree;
use pimc_rtl::isa::{Action, Instr, VecOp};
use std::fs;
use std::path::{Path, PathBuf};

/// What is made wrong.
enum Edit {
    /// In the Verilog file whose name begins so: this text, which stands there once, for that.
    Rtl(&'static str, &'static str, &'static str),
    /// In the program: the n-th instruction that is so, changed.
    Program(fn(&Action) -> bool, usize, fn(&mut Vec<Instr>, usize)),
    /// In a memory file: the digit `at` places from the right in the `line`-th line of digits.
    Digit { file: &'static str, line: usize, at: usize },
    /// Two files take each other's place.
    Swap(&'static str, &'static str),
}
use Edit::{Digit, Program, Rtl, Swap};

struct Fault {
    name: &'static str,
    case: Case,
    /// The levels that must each find it, all that look at the file.
    levels: &'static [Level],
    edit: Edit,
}

/// What the fault is planted in.
#[derive(Clone, Copy)]
enum Case {
    /// Golden's network of every format and op, and its vectors.
    Network,
    /// Two supermasks of other keys, one after the other, several rows to a bank, on dense inputs.
    Seeds,
    /// Golden's states of attention to be merged.
    States,
}

const FILES: &[Level] = &[Level::Schedule, Level::Native, Level::Rtl];

fn in_files(name: &'static str, edit: Edit) -> Fault {
    Fault { name, case: Case::Network, levels: FILES, edit }
}

/// Faults in the Verilog of the network: name, the beginning of the one file that it is in, what
/// stands there once, and what then stands there.
const NETWORK: &str = r"
swapped lanes | pimc_table_lookup | code[4*i +: 4] ==> code[4*(i ^ 1) +: 4]
dropped carry | pimc_table_lookup | beat_sum + ==> beat_sum ^
table written one entry further | pimc_table_build | addr_e_q <= entry_at_q; ==> addr_e_q <= entry_at_q + 1'b1;
stale table | pimc_table_lookup | we_i & (part_i == 2'(p)); ==> we_i & (part_i == 2'(p)) & (p != 2);
centroid times the wrong input | pimc_table_build | $signed(x[8*i +: 8]) ==> $signed(x[8*(i ^ 1) +: 8])
wrong sign correction | pimc_gated_sum | $countones(enable & negate) ==> $countones(enable & ~negate)
plane of the wrong weight | pimc_gated_sum | << p) ==> << (p ^ 1))
sign plane added | pimc_gated_sum | (negate_count) - ( ==> (negate_count) + (
mask one bit off | pimc_gated_sum | enable = bits_e_q; ==> enable = bits_e_q >> 1;
zeros counted for ones | pimc_gated_sum | $countones(bits_e_q) ==> $countones(~bits_e_q)
row not begun at zero | pimc_gated_sum | assign kept = first_e_q ? ==> assign kept = (first_e_q & 1'b0) ?
wrong tap of the xorshift | pimc_sign_gen | (low_a >> 17) ==> (low_a >> 16)
wrong mixing factor | pimc_sign_gen | factor = 32'h846ca68b ==> factor = 32'h846ca68a
crossed bytes of the multiply-add row | pimc_mac_row | x[8*i +: 8] ==> x[8*(i ^ 1) +: 8]
rounding lost | pimc_requantiser | half_up = shifted + ==> half_up = shifted & ~
logical shift | pimc_requantiser | >>> s1_shift_q ==> >> s1_shift_q
no upper clamp | pimc_requantiser | if (rounded_q >  ==> if (1'b0 && rounded_q > 
largest of the operation before | pimc_vector_reduce | s2_better = s2_first_q | ==> s2_better =
relu turned round | pimc_vector_alu | OP_RELU) & (s2_a_q < ==> OP_RELU) & (s2_a_q >
late read | pimc_column_control | assign col_valid_o = reads_q[19]; ==> logic late_q; always_ff @(posedge clk_i) late_q <= reads_q[19]; assign col_valid_o = late_q;
early read | pimc_column_control | = reads_q[19]; ==> = reads_q[18];
ignored tail | pimc_bank_unit | (beat_q == beats_less_1_q) ==> (beat_q == 2'd3)
row counted twice | pimc_result_collect | row_d = next_row; ==> row_d = next_row + 1'b1;
collected where the one before ended | pimc_result_collect | at_d = d_i; ==> at_d = at_q;
shifted plane | pimc_plane_packer | incoming_q[64*p +: 64] >> 16) ==> incoming_q[64*p +: 64] >> 17)
row past the end collected | pimc_result_collect | (left_q >= 9'(l)) ==> (left_q >= 9'(l - 1))
neighbouring banks collected for one another | pimc_result_collect | = 24'($signed(results_i[23*l +: 23])) ==> = 24'($signed(results_i[23*(l ^ 1) +: 23]))
bank left out of the sum | pimc_result_collect | row_sum + 24'($signed(results_i[23*l +: 23])) ==> row_sum + 24'($signed(results_i[23*(l & 14) +: 23]))
load of one bank taken by all | pimc_channel | (load_bank_q == 5'd0) ==> 1'b1
scalar mistaken for another | pimc_block_rows | factor = 11'(held_t_q); ==> factor = 11'(held_s_q);
product before its factor | pimc_block_rows | third_q ? product + constant_q : ==> second_q ? product + constant_q :
inner product one lane further | pimc_block_planes | lane_bit = one << lane; ==> lane_bit = one << (lane + 6'd1);
scalars without the sum of the inputs | pimc_block_control | plus_o = part_q == StScalars; ==> plus_o = 1'b0;
rows of the wrong factor | pimc_block_control | take_t_o = in_a_q; ==> take_t_o = 1'b0;
run that stays in its word | pimc_run_address | lane > 4'(l) ==> lane > 4'(l + 1)
run written one lane off | pimc_vector_memory | ~run_w_first + 4'd1 ==> ~run_w_first
stage that never turns | pimc_rotator_l16_s | amount_i[2] ==> amount_i[2] & 1'b0
element past the end | pimc_vector_steps | (left_q >= 9'(l)) ==> (left_q >= 9'(l - 1))
byte in another place | pimc_byte_packer | entry[l*8 + k] ==> entry[(l ^ 1)*8 + k]
column address off by one | pimc_dram_commands | command_col_d = col_q; ==> command_col_d = col_d;
end one clock late | pimc_sequencer | assign done_o = ended_q; ==> logic late_q; always_ff @(posedge clk_i) late_q <= ended_q; assign done_o = late_q;
precharge for a refresh | pimc_dram_commands | command_d = CMD_REF; ==> command_d = CMD_PRE;
";

/// The same, in the seeds of two supermasks. The start that is late is so by two clocks: see
/// [`a_seed_one_clock_late_is_in_time`].
const SEEDS: &str = r"
late seed | pimc_column_control | = firsts_q[15]; ==> = firsts_q[17];
lost start | pimc_bank_unit | .start_i   (sign_start_i) ==> .start_i   (sign_start_i & ~busy_q)
lost seed | pimc_sign_gen | if (step_q == 2'd3) begin ==> if (step_q == 2'd3 & row_hash_q[7]) begin
wrong bank in the seed | pimc_channel | .bank_i         (4'(i)) ==> .bank_i         (4'(i ^ 1))
rows counted on from the layer before | pimc_bank_unit | .restart_i (stream_start_i) ==> .restart_i (1'b0)
";

/// The same, in the states.
const STATES: &str = r"
states the wrong way round | pimc_merge_unit | is_b_larger = log_b_q > ==> is_b_larger = log_b_q <
the last element for a log-sum-exp | pimc_merge_unit | b_end_q <= b_i + len_less_1_i; ==> b_end_q <= b_i + len_less_1_i - 1'b1;
elements before their weights | pimc_merge_unit | assign go_o = phases_q[12]; ==> assign go_o = phases_q[11];
element of the other state | pimc_merge_unit | s2_y_d = mean_a; ==> s2_y_d = mean_b;
weight of one alone | pimc_merge_unit | assign weights = one + ==> assign weights = one | 20'd0 &
no token weighs something | pimc_softmax_exp | valid_i & (score_i != least) ==> valid_i
log-sum-exp that wraps | pimc_softmax_log | if (s7_sum_q >  ==> if (1'b0 && s7_sum_q > 
quotient not rounded | pimc_softmax_divide | + 39'sd1; ==> + 39'sd0;
";

/// The faults of a table.
fn in_rtl(case: Case, table: &'static str) -> Vec<Fault> {
    let fault = |line: &'static str| {
        let (name, rest) = line.split_once(" | ")?;
        let (file, change) = rest.split_once(" | ")?;
        let (from, to) = change.split_once(" ==> ")?;
        Some(Fault { name, case, levels: &[Level::Rtl], edit: Rtl(file, from, to) })
    };
    let lines = table.lines().filter(|l| !l.is_empty());
    lines.map(|l| fault(l).unwrap_or_else(|| panic!("no fault: {l}"))).collect()
}

fn is_act(a: &Action) -> bool {
    matches!(a, Action::Act)
}

fn is_requant(a: &Action) -> bool {
    matches!(a, Action::Vec(v) if v.op == VecOp::Requant)
}

fn files() -> Vec<Fault> {
    vec![
        in_files(
            "activate to read too short",
            // A stream's first activate has other instructions between it and its reads.
            Program(is_act, 1, |p, i| {
                let reads = |a: &Action| matches!(a, Action::Read | Action::Loop { .. });
                let first = (i + 1..p.len()).find(|&j| reads(&p[j].action)).unwrap_or(i + 1);
                p[first - 1].delay -= 1;
            }),
        ),
        in_files(
            "operation before its results",
            Program(is_requant, 0, |p, i| p[i - 1].delay = p[i - 1].delay.saturating_sub(4).max(2)),
        ),
        in_files(
            "one column short",
            Program(
                |a| matches!(a, Action::Loop { .. }),
                0,
                |p, i| p[i].action = Action::Loop { count: 15 },
            ),
        ),
        in_files(
            "missing refresh",
            Program(|a| matches!(a, Action::Ref), 0, |p, i| p[i].action = Action::Wait),
        ),
        in_files(
            "wrong DRAM row",
            Program(
                |a| matches!(a, Action::Row { .. }),
                1,
                |p, i| p[i].action = Action::Row { row: 3, col: 0 },
            ),
        ),
        in_files("wrong code bit", Digit { file: "mem/bank_05.hex", line: 32, at: 3 }),
        // No code of this bank may name the centroid, so that the results stand; what is read does not.
        Fault {
            name: "wrong centroid",
            case: Case::Network,
            levels: &[Level::Native, Level::Rtl],
            edit: Digit { file: "mem/bank_07.hex", line: 2, at: 0 },
        },
        in_files("wrong constant", Digit { file: "mem/buffer.hex", line: 3, at: 1 }),
        in_files("banks mistaken for one another", Swap("mem/bank_00.hex", "mem/bank_01.hex")),
    ]
}

/// The one file of the tree's hardware whose name begins so.
fn module(tree: &Path, prefix: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir(tree.join("rtl"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.file_name().unwrap().to_string_lossy().starts_with(prefix))
        .collect();
    assert_eq!(found.len(), 1, "{prefix}: {found:?}");
    found.remove(0)
}

/// Makes the edit, which must change something; says so when it cannot.
fn plant(tree: &Path, edit: &Edit) -> Result<(), String> {
    match edit {
        Rtl(prefix, from, to) => {
            let path = module(tree, prefix);
            let text = fs::read_to_string(&path).unwrap();
            let times = text.matches(from).count();
            if times != 1 {
                return Err(format!("`{from}` stands {times} times in {prefix}*.sv"));
            }
            fs::write(&path, text.replace(from, to)).unwrap();
        }
        Program(wanted, nth, change) => {
            let files = read_tree(tree).unwrap();
            let mut program = files.program.clone();
            let mut places = (0..program.len()).filter(|&i| wanted(&program[i].action));
            let at = places.nth(*nth).expect("the program has such an instruction");
            change(&mut program, at);
            assert_ne!(program, files.program);
            let isa = &files.plan.shape.isa;
            let words = pimc_rtl::program::encode(&program, isa).expect("a program");
            let mut text = Vec::new();
            write_words(words, isa.word_bits(), &mut text).unwrap();
            fs::write(tree.join("schedule/program.hex"), text).unwrap();
        }
        Digit { file, line, at } => {
            let path = tree.join(file);
            let text = fs::read_to_string(&path).unwrap();
            let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
            let digits = |l: &&mut String| !l.starts_with(['/', '@']);
            let chosen = lines.iter_mut().filter(digits).nth(*line).expect("such a line");
            let place = chosen.len() - 1 - at;
            let digit = u8::from_str_radix(&chosen[place..=place], 16).expect("a digit") ^ 2;
            chosen.replace_range(place..=place, &format!("{digit:x}"));
            fs::write(&path, lines.join("\n")).unwrap();
        }
        Swap(a, b) => {
            let (a, b) = (tree.join(a), tree.join(b));
            let (first, second) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
            assert_ne!(first, second);
            fs::write(&a, second).unwrap();
            fs::write(&b, first).unwrap();
        }
    }
    Ok(())
}

/// The model of a case, and what it is run on; `folder` is where it is written if it is no file yet.
fn model_of(case: Case, folder: &Path) -> (Model, Inputs) {
    match case {
        Case::Network | Case::States => {
            let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/tests/vectors");
            let name = if matches!(case, Case::States) { "merge_states" } else { "network" };
            let folder = vectors.join(name);
            let model = pimc_ir::load(&folder.join("model.ir")).unwrap();
            (model, Inputs::File(folder.join("vectors.safetensors")))
        }
        Case::Seeds => {
            let text = "pimc 1\ntarget \"hbm3-pim\"\n\
                weight @a : supermask<40x130, coats=1, seed=0x5eed, layer=1> from \"t.safetensors\"\n\
                weight @b : supermask<35x40, coats=1, seed=0xfeed, layer=2> from \"t.safetensors\"\n\
                func @main(%x: i8<130>) -> i16<35> {\n  %0 = matvec @a, %x : i16<40>\n  \
                %1 = requant %0, mul=3, shift=4 : i8<40>\n  %2 = matvec @b, %1 : i16<35>\n  \
                return %2\n}\n";
            let mask = |bits: usize| -> Vec<bool> { (0..bits).map(|i| i * i % 7 < 3).collect() };
            let path = ModelBuilder::new(text)
                .supermask("a", &mask(40 * 130))
                .supermask("b", &mask(35 * 40))
                .write(folder, "seeds.ir")
                .unwrap_or_else(|d| panic!("{}", d.render(false)));
            let model = pimc_ir::load(&path).unwrap_or_else(|d| panic!("{}", d.render(false)));
            (model, Inputs::Random { count: 4, seed: 3 })
        }
    }
}

/// What one level finds in a fresh tree with this edit.
fn find(case: Case, edit: Option<&Edit>, level: Level) -> Result<Option<Divergence>, String> {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("out");
    let (model, inputs) = model_of(case, folder.path());
    compile(&model, &tree);
    if let Some(edit) = edit {
        plant(&tree, edit)?;
    }
    let mut options = options(inputs);
    options.levels = vec![level];
    options.native_vectors = usize::MAX;
    cosim(&tree, &options, &Quiet).map(|r| r.divergence).map_err(|e| e.to_string())
}

/// What is wrong with how a fault was met; nothing when it was caught and placed.
fn missed(fault: &Fault, level: Level) -> Option<String> {
    let told = |why: String| Some(format!("{} at level {level}: {why}", fault.name));
    match find(fault.case, Some(&fault.edit), level) {
        Err(e) => told(format!("no verdict: {e}")),
        Ok(None) => told("not caught".into()),
        Ok(Some(d)) => {
            let placed = d.op.is_some() || d.cycle.is_some() || d.command.is_some();
            let shown = !d.signal.is_empty() && d.expected != d.got;
            (!placed || !shown).then(|| format!("{}: caught, but where? {d}", fault.name))
        }
    }
}

/// Every fault at every level that must find it.
fn all_caught(faults: &[Fault]) {
    let checks: Vec<(&Fault, Level)> =
        faults.iter().flat_map(|f| f.levels.iter().map(move |l| (f, *l))).collect();
    let missed = on_all(&checks, |(fault, level)| missed(fault, *level));
    println!(
        "{} of {} checks of {} faults caught",
        checks.len() - missed.len(),
        checks.len(),
        faults.len()
    );
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn every_fault_planted_in_the_network_is_caught() {
    all_caught(&in_rtl(Case::Network, NETWORK));
}

#[test]
fn every_fault_planted_in_the_seeds_is_caught() {
    all_caught(&in_rtl(Case::Seeds, SEEDS));
}

#[test]
fn every_fault_planted_in_the_states_is_caught() {
    all_caught(&in_rtl(Case::States, STATES));
}

#[test]
fn every_fault_planted_in_a_file_is_caught() {
    all_caught(&files());
}

#[test]
fn without_a_fault_nothing_is_found() {
    let cases = [Case::Network, Case::Seeds, Case::States];
    for (case, level) in cases.into_iter().flat_map(|c| FILES.iter().map(move |l| (c, *l))) {
        let found = find(case, None, level).expect("a verdict");
        assert!(found.is_none(), "{found:?}");
    }
}

/// A seed takes four clocks from its start, which comes four clocks before the column; but the
/// column's first beat, which needs it, is taken up in the clock after that.
#[test]
fn a_seed_one_clock_late_is_in_time() {
    let late = Rtl("pimc_column_control", "= firsts_q[15];", "= firsts_q[16];");
    let found = find(Case::Seeds, Some(&late), Level::Rtl).expect("a verdict");
    assert!(found.is_none(), "{found:?}");
}
