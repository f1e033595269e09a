//! Planted faults: one thing at a time is made wrong in the files of a compiled model, and
//! co-simulation must find it and say where. A check that lets one pass is a defect.

mod common;

use common::{compile, on_all, options};
use pimc_cosim::{cosim, Divergence, Inputs, Level, Quiet};
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
    /// The levels that must each find it, all that look at the file.
    levels: &'static [Level],
    edit: Edit,
}

const RTL: &[Level] = &[Level::Rtl];
const FILES: &[Level] = &[Level::Schedule, Level::Native, Level::Rtl];

fn rtl(name: &'static str, file: &'static str, from: &'static str, to: &'static str) -> Fault {
    Fault { name, levels: RTL, edit: Rtl(file, from, to) }
}

fn in_files(name: &'static str, edit: Edit) -> Fault {
    Fault { name, levels: FILES, edit }
}

fn data_paths() -> Vec<Fault> {
    vec![
        rtl("swapped lanes", "pimc_table_lookup", "code[4*i +: 4]", "code[4*(i ^ 1) +: 4]"),
        rtl("dropped carry", "pimc_table_lookup", "beat_sum + ", "beat_sum ^ "),
        rtl(
            "table written one entry further",
            "pimc_table_build",
            "addr_e_q <= entry_at_q;",
            "addr_e_q <= entry_at_q + 1'b1;",
        ),
        rtl(
            "stale table",
            "pimc_table_lookup",
            "we_i & (part_i == 2'(p));",
            "we_i & (part_i == 2'(p)) & (p != 2);",
        ),
        rtl(
            "centroid times the wrong input",
            "pimc_table_build",
            "$signed(x[8*i +: 8])",
            "$signed(x[8*(i ^ 1) +: 8])",
        ),
        rtl(
            "wrong sign correction",
            "pimc_gated_sum",
            "$countones(enable & negate)",
            "$countones(enable & ~negate)",
        ),
        rtl("plane of the wrong weight", "pimc_gated_sum", "<< p)", "<< (p ^ 1))"),
        rtl("sign plane added", "pimc_gated_sum", "(negate_count) - (", "(negate_count) + ("),
        rtl("mask one bit off", "pimc_gated_sum", "enable = bits_e_q;", "enable = bits_e_q >> 1;"),
        rtl(
            "zeros counted for ones",
            "pimc_gated_sum",
            "$countones(bits_e_q)",
            "$countones(~bits_e_q)",
        ),
        rtl(
            "row not begun at zero",
            "pimc_gated_sum",
            "assign kept = first_e_q ?",
            "assign kept = (first_e_q & 1'b0) ?",
        ),
        rtl("wrong tap of the xorshift", "pimc_sign_gen", "(low_a >> 17)", "(low_a >> 16)"),
        rtl(
            "wrong mixing factor",
            "pimc_sign_gen",
            "factor = 32'h846ca68b",
            "factor = 32'h846ca68a",
        ),
        rtl(
            "crossed bytes of the multiply-add row",
            "pimc_mac_row",
            "x[8*i +: 8]",
            "x[8*(i ^ 1) +: 8]",
        ),
        rtl("rounding lost", "pimc_requantiser", "half_up = shifted +", "half_up = shifted & ~"),
        rtl("logical shift", "pimc_requantiser", ">>> s1_shift_q", ">> s1_shift_q"),
        rtl("no upper clamp", "pimc_requantiser", "if (rounded_q > ", "if (1'b0 && rounded_q > "),
        rtl(
            "largest of the operation before",
            "pimc_vector_reduce",
            "s2_first_q | ($signed(s2_x_q",
            "($signed(s2_x_q",
        ),
        rtl("relu turned round", "pimc_vector_alu", "OP_RELU) & (s2_a_q <", "OP_RELU) & (s2_a_q >"),
    ]
}

fn control() -> Vec<Fault> {
    vec![
        rtl(
            "late read",
            "pimc_column_control",
            "assign col_valid_o = reads_q[19];",
            "logic late_q;\n  always_ff @(posedge clk_i) late_q <= reads_q[19];\n  \
             assign col_valid_o = late_q;",
        ),
        rtl("early read", "pimc_column_control", "= reads_q[19];", "= reads_q[18];"),
        rtl("ignored tail", "pimc_bank_unit", "(beat_q == beats_less_1_q)", "(beat_q == 2'd3)"),
        rtl("result index stands", "pimc_bank_unit", "row_d = row_q + 1'b1;", "row_d = row_q;"),
        rtl(
            "counter not reset by a stream",
            "pimc_bank_unit",
            "if (stream_start_i) begin\n      row_d = 1'b0;",
            "if (stream_start_i) begin\n      row_d = row_q;",
        ),
        rtl(
            "shifted plane",
            "pimc_plane_packer",
            "incoming_q[64*p +: 64] >> 16)",
            "incoming_q[64*p +: 64] >> 17)",
        ),
        rtl(
            "drain one index ahead",
            "pimc_vector_steps",
            "index_o = step_index_q;",
            "index_o = step_index_q + 1'b1;",
        ),
        rtl(
            "neighbouring banks drained for one another",
            "pimc_buffer_unit",
            "results_i[19*i +: 19]",
            "results_i[19*(i ^ 1) +: 19]",
        ),
        rtl("run that stays in its word", "pimc_run_address", "lane > 4'(l)", "lane > 4'(l + 1)"),
        rtl(
            "run written one lane off",
            "pimc_vector_memory",
            "~run_w_first + 4'd1",
            "~run_w_first",
        ),
        rtl("stage that never turns", "pimc_rotator_l16_s", "amount_i[2]", "amount_i[2] & 1'b0"),
        rtl(
            "element past the end",
            "pimc_vector_steps",
            "(left_q >= 9'(l))",
            "(left_q >= 9'(l - 1))",
        ),
        rtl("byte in another place", "pimc_byte_packer", "entry[l*8 + k]", "entry[(l ^ 1)*8 + k]"),
        rtl(
            "sum without its last lane",
            "pimc_vector_reduce",
            "l < 16; l++) begin\n      step_sum",
            "l < 15; l++) begin\n      step_sum",
        ),
        rtl(
            "column address off by one",
            "pimc_dram_commands",
            "command_col_d = col_q;",
            "command_col_d = col_d;",
        ),
        rtl(
            "precharge for a refresh",
            "pimc_dram_commands",
            "command_d = CMD_REF;",
            "command_d = CMD_PRE;",
        ),
    ]
}

fn is_act(a: &Action) -> bool {
    matches!(a, Action::Act)
}

fn is_drain(a: &Action) -> bool {
    matches!(a, Action::Vec(v) if v.op == VecOp::Drain)
}

fn files() -> Vec<Fault> {
    vec![
        in_files("activate to read too short", Program(is_act, 1, |p, i| p[i].delay -= 1)),
        in_files(
            "early drain",
            Program(is_drain, 0, |p, i| p[i - 1].delay = p[i - 1].delay.saturating_sub(4).max(2)),
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

/// Golden's network of every format and op, and its vectors.
fn case() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/tests/vectors/network")
}

/// What one level finds in a fresh tree with this edit.
fn find(edit: Option<&Edit>, level: Level) -> Result<Option<Divergence>, String> {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("out");
    compile(&pimc_ir::load(&case().join("model.ir")).unwrap(), &tree);
    if let Some(edit) = edit {
        plant(&tree, edit)?;
    }
    let mut options = options(Inputs::File(case().join("vectors.safetensors")));
    options.levels = vec![level];
    options.native_vectors = usize::MAX;
    cosim(&tree, &options, &Quiet).map(|r| r.divergence).map_err(|e| e.to_string())
}

/// What is wrong with how a fault was met; nothing when it was caught and placed.
fn missed(fault: &Fault, level: Level) -> Option<String> {
    let told = |why: String| Some(format!("{} at level {level}: {why}", fault.name));
    match find(Some(&fault.edit), level) {
        Err(e) => told(format!("no verdict: {e}")),
        Ok(None) => told("not caught".into()),
        Ok(Some(d)) => {
            let placed = d.op.is_some() || d.cycle.is_some() || d.command.is_some();
            let shown = !d.signal.is_empty() && d.expected != d.got;
            (!placed || !shown).then(|| format!("{}: caught, but where? {d}", fault.name))
        }
    }
}

#[test]
fn every_planted_fault_is_caught() {
    let faults: Vec<Fault> = [data_paths(), control(), files()].into_iter().flatten().collect();
    assert!(faults.len() >= 20);
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
fn without_a_fault_nothing_is_found() {
    for level in [Level::Schedule, Level::Native, Level::Rtl] {
        let found = find(None, level).expect("a verdict");
        assert!(found.is_none(), "{found:?}");
    }
}
