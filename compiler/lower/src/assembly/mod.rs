//! The schedule program as text: `schedule/program.pims`.
//!
//! One instruction a line: its name, its operands, and `+N`, the clocks until the next one issues.
//! `//` begins a comment. Names: `end`, `wait`, `row ROW COLUMN`, `act`, `read`, `pre`, `ref`,
//! `loop COUNT`, `next`,
//! `stream mode=M columns=N tail=N coats=N key=0xKEY block=N,N,N,N,N` (columns per matrix row, beats
//! used of its last column; for binary quadratic blocks beats of a row of B, rows of B, beats of a row
//! of A, rows of A, slots, otherwise absent), and `vec OP a=ADDR:STEP b=ADDR:STEP d=ADDR len=N
//! bank=B last=B` (the first and the last bank that a load goes to; no last when they are one, neither
//! when it goes to all).
//!
//! With arguments: `set WHAT = VALUE`, where WHAT is `pointer`, `row`, `col` or `param N` and VALUE
//! a number, `arg N` (counted from the pointer) or `arg N plus NUMBER`; `advance VALUE` moves the
//! pointer on; `loop arg N end=INSTRUCTION` (counted from 0); `write`; `ref due=CLOCKS`. A number is
//! of 32 bits and may be negative.

mod parse;

pub use parse::parse;

use crate::plan::Plan;
use pimc_ir::Model;
use pimc_rtl::attention::AttentionParam;
use pimc_rtl::isa::{Action, Instr, SetTo, VecOp};
use pimc_rtl::shape::{ChannelShape, StreamMode};
use std::io::{self, Write};

/// The operations' names, in the order of [`VecOp::ALL`].
const VEC_OPS: [(VecOp, &str); 13] = [
    (VecOp::Copy, "copy"),
    (VecOp::Add, "add"),
    (VecOp::Mul, "mul"),
    (VecOp::Relu, "relu"),
    (VecOp::Requant, "requant"),
    (VecOp::Table, "table"),
    (VecOp::Argmax, "argmax"),
    (VecOp::Sum, "sum"),
    (VecOp::Collect, "collect"),
    (VecOp::CollectSum, "collect_sum"),
    (VecOp::LoadBytes, "load_bytes"),
    (VecOp::LoadPlanes, "load_planes"),
    (VecOp::Merge, "merge"),
];

/// The name of an operation in the text.
pub fn vec_op_name(op: VecOp) -> &'static str {
    VEC_OPS.iter().find(|o| o.0 == op).map_or("", |o| o.1)
}

/// One instruction, as its line says it.
pub fn instruction(instr: &Instr) -> String {
    let body = match instr.action {
        Action::End => "end".to_string(),
        Action::Wait => "wait".to_string(),
        Action::Row { row, col } => format!("row {row} {col}"),
        Action::Act => "act".to_string(),
        Action::Read => "read".to_string(),
        Action::Pre => "pre".to_string(),
        Action::Ref => "ref".to_string(),
        Action::Loop { count } => format!("loop {count}"),
        Action::LoopArg { arg, end } => format!("loop arg {arg} end={end}"),
        Action::Set { to: SetTo::Advance, from, add } => format!("advance {}", value(from, add)),
        Action::Set { to, from, add } => {
            let what = match to {
                SetTo::Pointer | SetTo::Advance => "pointer".to_string(),
                SetTo::Row => "row".to_string(),
                SetTo::Col => "col".to_string(),
                SetTo::Param(index) => format!("param {index}"),
                SetTo::Base => "base".to_string(),
                SetTo::Keep => "kept".to_string(),
                SetTo::Return => "back".to_string(),
            };
            format!("set {what} = {}", value(from, add))
        }
        Action::Write => "write".to_string(),
        Action::RefreshDue { within } => format!("ref due={within}"),
        Action::Next => "next".to_string(),
        Action::Stream(s) => {
            let block = match s.block.fields() {
                [0, 0, 0, 0, 0] => String::new(),
                fields => {
                    let counts = fields.map(|n| (u64::from(n) + 1).to_string());
                    format!(" block={}", counts.join(","))
                }
            };
            format!(
                "stream mode={} columns={} tail={} coats={} key={:#010x}{block}",
                s.mode,
                u64::from(s.columns_less_1) + 1,
                u64::from(s.tail_beats_less_1) + 1,
                u64::from(s.coats_less_1) + 1,
                s.sign_key
            )
        }
        Action::Vec(v) => {
            let bank = match (v.bank.checked_sub(1), v.last.checked_sub(1)) {
                (Some(bank), Some(last)) if last != bank => format!(" bank={bank} last={last}"),
                (Some(bank), _) => format!(" bank={bank}"),
                (None, _) => String::new(),
            };
            format!(
                "vec {} a={}:{} b={}:{} d={} len={}{bank}",
                vec_op_name(v.op),
                v.a,
                v.a_step,
                v.b,
                v.b_step,
                v.d,
                v.len
            )
        }
    };
    format!("{body} +{}", instr.delay)
}

/// What a `Set` sets: an argument, a constant, or their sum. Constants are signed here.
fn value(from: Option<u32>, add: u32) -> String {
    match (from, add as i32) {
        (None, add) => add.to_string(),
        (Some(arg), 0) => format!("arg {arg}"),
        (Some(arg), add) => format!("arg {arg} plus {add}"),
    }
}

/// What an instruction does, where its name and numbers do not say it to people.
fn comment(instr: &Instr, shape: &ChannelShape) -> Option<String> {
    Some(match instr.action {
        Action::Stream(s) => mode_name(shape, s.mode),
        Action::Set { to: SetTo::Param(index), .. } => param_name(index),
        Action::Set { to: SetTo::Pointer, .. } => "arguments count from there".into(),
        Action::Set { to: SetTo::Advance, .. } => "arguments count from so much further on".into(),
        Action::Set { to: SetTo::Keep, .. } => {
            "kept for later: where arguments count from, and this".into()
        }
        Action::Set { to: SetTo::Return, .. } => {
            "arguments count from what was kept, and this".into()
        }
        Action::Set { to: SetTo::Base, .. } => {
            "vector memory: loads of bytes and collections count from there".into()
        }
        Action::Set { to: SetTo::Row, .. } => "row of the next activate; column 0".into(),
        Action::Set { to: SetTo::Col, .. } => "column of the next read or write".into(),
        Action::LoopArg { arg, end } => {
            format!("as often as argument {arg} says; if 0 on to instruction {end}")
        }
        Action::Write => "the column goes back to every bank".into(),
        Action::RefreshDue { within } => {
            format!("a refresh if fewer than {within} clocks are left to it")
        }
        _ => return None,
    })
}

/// What a parameter of the attention units is, for people.
fn param_name(index: u32) -> String {
    match AttentionParam::of(index) {
        Some(AttentionParam::Compressed) => "attention: compressed tokens".into(),
        Some(AttentionParam::Length) => "attention: tokens in the cache".into(),
        Some(AttentionParam::Ring) => "attention: place of the oldest recent token".into(),
        Some(AttentionParam::Place) => "attention: a place in a block".into(),
        Some(AttentionParam::LoadRow) => "attention: row of the next load".into(),
        Some(AttentionParam::Encoder) => "attention: encoder of a token".into(),
        Some(AttentionParam::Weight) => "attention: weight of a token".into(),
        Some(AttentionParam::Limit(query)) => format!("attention: tokens that query {query} sees"),
        None => "attention: no such parameter".into(),
    }
}

/// What a stream mode is, for people.
pub fn mode_name(shape: &ChannelShape, mode: u32) -> String {
    let lookup = |i: u32| {
        shape
            .bank
            .lookups
            .get(i as usize)
            .map_or(String::new(), |l| format!(" of k={}, sub={}", l.k, l.sub))
    };
    match shape.bank.modes().get(mode as usize) {
        Some(StreamMode::Build(i)) => format!("build tables{}", lookup(*i)),
        Some(StreamMode::Lookup(i)) => format!("look up codes{}", lookup(*i)),
        Some(StreamMode::Blocks) => "binary quadratic blocks".into(),
        Some(StreamMode::Mask) => "mask planes".into(),
        Some(StreamMode::Mac) => "integer weights".into(),
        Some(StreamMode::Attention(m)) => format!("attention: {}", m.name()),
        None => "no such mode".into(),
    }
}

/// Writes instructions, indented by their loops; `before` gives the comment lines that stand before
/// instruction i.
fn write_lines(
    program: &[Instr],
    shape: Option<&ChannelShape>,
    before: &dyn Fn(usize) -> Vec<String>,
    to: &mut dyn Write,
) -> io::Result<()> {
    let mut depth = 0usize;
    for (i, instr) in program.iter().enumerate() {
        for line in before(i) {
            writeln!(to, "{line}")?;
        }
        if instr.action == Action::Next {
            depth = depth.saturating_sub(1);
        }
        let mut line = format!("{}{}", "  ".repeat(depth + 1), instruction(instr));
        if let Some(comment) = shape.and_then(|shape| comment(instr, shape)) {
            line.push_str(&format!("  // {comment}"));
        }
        writeln!(to, "{line}")?;
        if instr.action.loops() {
            depth += 1;
        }
    }
    Ok(())
}

/// A program without comments.
pub fn print(program: &[Instr]) -> String {
    let mut out = Vec::new();
    // Writing to memory cannot fail.
    let _ = write_lines(program, None, &|_| Vec::new(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Writes a plan's program, with a comment before each step: what it does, the clock of its first
/// action, and the op that it belongs to.
pub fn write(plan: &Plan, model: &Model, to: &mut dyn Write) -> io::Result<()> {
    let tck = plan.target.timing.tck_ps;
    writeln!(to, "// Schedule program of {} for target {}.", model.file_name, plan.target.name)?;
    writeln!(to, "// Generated by pimc {}; do not edit.", env!("CARGO_PKG_VERSION"))?;
    writeln!(
        to,
        "// {} clocks of {tck} ps. +N: the next instruction issues N clocks later.",
        plan.cycles
    )?;
    let mut ops = vec![None; plan.steps.len()];
    for (i, step) in plan.steps.iter().enumerate() {
        let first_of_op = i == 0 || plan.steps[i - 1].op != step.op;
        ops[i] = step.op.filter(|_| first_of_op);
    }
    let before = |i: usize| {
        let from = plan.steps.partition_point(|s| s.first < i);
        let upto = plan.steps.partition_point(|s| s.first <= i);
        let mut lines = Vec::new();
        for (step, op) in plan.steps[from..upto].iter().zip(&ops[from..upto]) {
            if let &Some(op) = op {
                let (line, _) = model.line_col(&model.module.func.ops[op].span);
                lines.push(String::new());
                let text = one_line(model.op_text(op));
                lines.push(format!("// ---- {}:{line} {text} ----", model.file_name));
            }
            lines.push(format!("// {} @{}", step.what, step.cycle));
        }
        lines
    };
    write_lines(&plan.program, Some(&plan.shape), &before, to)
}

/// A text on one line, its white space joined.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
