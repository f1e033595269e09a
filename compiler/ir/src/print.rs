//! Text from modules, and tidy text from text.
//!
//! Both ways end in `lay_out`, so a printed module and a formatted file look alike: one statement
//! to a line, the declarations and the ops of a paragraph aligned in columns, ops indented by two.

use crate::diag::Diagnostics;
use crate::module::{CacheId, Module, Name, OpKind, Operand, Scalar, ValueId, ITERATIONS};
use crate::parse::read_lines;
use crate::parse::syntax::{Arg, ArgValue, Size, Statement, TensorKind, TypeText};
use itertools::Itertools;

/// Ops longer than this do not push the types of their neighbours to the right.
const ALIGN_UP_TO: usize = 48;

/// The canonical text of a module. Comments are not part of it; [`format()`] keeps them.
///
/// `parse(&print(&m))` gives `m` again, but for places and comments.
pub fn print(module: &Module) -> String {
    let value = |id: ValueId| format!("%{}", module.func.values[id.0].name.text);
    let mut rows = vec![
        Row::plain("pimc 1".to_string()),
        Row::Blank,
        Row::plain(format!("target {}", quote(&module.target.text))),
        Row::Blank,
    ];
    for w in &module.weights {
        rows.push(Row::tensor("weight", &w.name, w.ty.to_string(), &w.file));
    }
    for p in &module.params {
        rows.push(Row::tensor("param", &p.name, p.ty.to_string(), &p.file));
    }
    for c in &module.caches {
        rows.push(Row::tensor("cache", &c.name, c.ty.to_string(), &c.file));
    }
    if matches!(rows.last(), Some(Row::Tensor { .. })) {
        rows.push(Row::Blank);
    }
    let func = &module.func;
    let inputs = func.values[..func.inputs].iter();
    let inputs = inputs.map(|v| format!("%{}: {}", v.name.text, v.ty)).join(", ");
    let name = &func.name.text;
    rows.push(Row::plain(format!("func @{name}({inputs}) -> {} {{", func.result_ty)));
    for (i, op) in func.ops.iter().enumerate() {
        let y = func.value_of_op(i);
        let text = format!("{} = {}", value(y), op_text(module, &op.kind));
        rows.push(Row::Op { text, ty: func.values[y.0].ty.to_string(), comment: None });
    }
    rows.push(Row::Plain {
        indent: true,
        text: format!("return {}", value(func.result)),
        comment: None,
    });
    rows.push(Row::plain("}".to_string()));
    lay_out(rows)
}

/// An op without its result: `add %0, @b`.
fn op_text(module: &Module, kind: &OpKind) -> String {
    let value = |id: &ValueId| format!("%{}", module.func.values[id.0].name.text);
    let param = |id: usize| format!("@{}", module.params[id].name.text);
    let of_cache = |id: CacheId| format!("@{}", module.caches[id.0].name.text);
    let scalar = |s: &Scalar| match s {
        Scalar::Const(n) => n.to_string(),
        Scalar::Param(p) => param(p.0),
    };
    match kind {
        OpKind::Matvec { weight, x } => {
            format!("matvec @{}, {}", module.weights[weight.0].name.text, value(x))
        }
        OpKind::Add { a, b: Operand::Value(b) } => format!("add {}, {}", value(a), value(b)),
        OpKind::Add { a, b: Operand::Param(b) } => format!("add {}, {}", value(a), param(b.0)),
        OpKind::Requant { x, mul, shift } => {
            format!("requant {}, mul={}, shift={}", value(x), scalar(mul), scalar(shift))
        }
        OpKind::Relu { x } => format!("relu {}", value(x)),
        OpKind::Table { x, table } => format!("table {}, {}", value(x), param(table.0)),
        OpKind::Argmax { x } => format!("argmax {}", value(x)),
        OpKind::Concat { xs } => {
            format!("concat {}", xs.iter().map(value).join(", "))
        }
        OpKind::Slice { x, start, len } => format!("slice {}, start={start}, len={len}", value(x)),
        OpKind::Append { cache, k, v, n } => {
            format!("append {}, {}, {}, {}", of_cache(*cache), value(k), value(v), value(n))
        }
        OpKind::Attend { cache, q, limit, mul, shift, frac, state } => {
            let state = if *state { ", state" } else { "" };
            let (cache, q, limit) = (of_cache(*cache), value(q), value(limit));
            format!("attend {cache}, {q}, {limit}, mul={mul}, shift={shift}, frac={frac}{state}")
        }
        OpKind::Merge { a, b, dim, frac } => {
            format!("merge {}, {}, dim={dim}, frac={frac}", value(a), value(b))
        }
        OpKind::Cluster { cache, k, v, weights, n, iterations } => {
            let iterations = match *iterations {
                ITERATIONS => String::new(),
                i => format!(", iterations={i}"),
            };
            let values = [k, v, weights, n].map(value).join(", ");
            format!("cluster {}, {values}{iterations}", of_cache(*cache))
        }
    }
}

/// The same text, tidied: canonical spacing, aligned columns, at most one blank line in a row.
/// Comments and the order of statements stay. Names need not have a meaning.
///
/// # Errors
/// The syntax errors of the text (P01xx); a text with any is not touched.
pub fn format(source: &str) -> Result<String, Diagnostics> {
    let mut diags = Diagnostics::new("", source);
    let (lines, _) = read_lines(source, &mut diags);
    let mut inside = false;
    let rows = lines
        .into_iter()
        .map(|line| {
            let comment = line.comment.map(|c| c.text);
            let Some(statement) = line.statement else {
                return match comment {
                    Some(text) => Row::Plain { indent: inside, text, comment: None },
                    None => Row::Blank,
                };
            };
            inside = match statement {
                Statement::Func { .. } => true,
                Statement::Close => false,
                _ => inside,
            };
            row(statement, comment)
        })
        .collect();
    diags.result(lay_out(rows))
}

fn row(statement: Statement, comment: Option<String>) -> Row {
    let text = match statement {
        Statement::Version { number, .. } => format!("pimc {number}"),
        Statement::Target { name } => format!("target {}", quote(&name.text)),
        Statement::Tensor { kind, name, ty, file } => {
            let keyword = match kind {
                TensorKind::Weight => "weight",
                TensorKind::Param => "param",
                TensorKind::Cache => "cache",
            };
            let Row::Tensor { head, ty, file, .. } =
                Row::tensor(keyword, &name, type_text(&ty), &file)
            else {
                return Row::Blank;
            };
            return Row::Tensor { head, ty, file, comment };
        }
        Statement::Func { name, inputs, result } => {
            let inputs: Vec<String> = inputs
                .iter()
                .map(|(name, ty)| format!("%{}: {}", name.text, type_text(ty)))
                .collect();
            let (name, inputs) = (name.text, inputs.join(", "));
            format!("func @{name}({inputs}) -> {} {{", type_text(&result))
        }
        Statement::Op { name, op, args, ty } => {
            let text =
                format!("%{} = {} {}", name.text, op.text, args.iter().map(arg_text).join(", "));
            return Row::Op { text, ty: type_text(&ty), comment };
        }
        Statement::Return { value } => {
            let text = format!("return %{}", value.text);
            return Row::Plain { indent: true, text, comment };
        }
        Statement::Close => "}".to_string(),
    };
    Row::Plain { indent: false, text, comment }
}

fn type_text(ty: &TypeText) -> String {
    let size = match ty.size {
        Size::One(n) => Some(n.to_string()),
        Size::Two(r, c) => Some(format!("{r}x{c}")),
        Size::Absent => None,
    };
    let parts = size.into_iter().chain(ty.attrs.iter().map(arg_text)).join(", ");
    format!("{}<{parts}>", ty.head.text)
}

fn arg_text(arg: &Arg) -> String {
    let value = match &arg.value {
        ArgValue::Value(name) => format!("%{name}"),
        ArgValue::Global(name) => format!("@{name}"),
        ArgValue::Int { value, hex: true } => format!("0x{value:x}"),
        ArgValue::Int { value, hex: false } => value.to_string(),
        ArgValue::Pair(a, b) => format!("{a}x{b}"),
        ArgValue::Word(word) => word.clone(),
    };
    match &arg.key {
        Some(key) => format!("{key}={value}"),
        None => value,
    }
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// One line of the output.
enum Row {
    Blank,
    Plain { indent: bool, text: String, comment: Option<String> },
    Tensor { head: String, ty: String, file: String, comment: Option<String> },
    Op { text: String, ty: String, comment: Option<String> },
}

impl Row {
    fn plain(text: String) -> Row {
        Row::Plain { indent: false, text, comment: None }
    }

    fn tensor(keyword: &str, name: &Name, ty: String, file: &Name) -> Row {
        let head = format!("{keyword:6} @{}", name.text);
        Row::Tensor { head, ty, file: quote(&file.text), comment: None }
    }
}

/// Pads the columns of each run of neighbouring declarations or ops, and collapses blank lines.
fn lay_out(rows: Vec<Row>) -> String {
    let mut out = String::new();
    let mut blank = false;
    let mut runs = rows.iter().peekable();
    while let Some(first) = runs.next() {
        let same = |r: &&Row| std::mem::discriminant(*r) == std::mem::discriminant(first);
        let mut run = vec![first];
        while let Some(next) = runs.next_if(same) {
            run.push(next);
        }
        if matches!(first, Row::Blank) {
            blank = !out.is_empty();
            continue;
        }
        if std::mem::take(&mut blank) {
            out.push('\n');
        }
        let width = |column: fn(&Row) -> &str| {
            run.iter()
                .map(|r| column(r).chars().count())
                .filter(|&w| w <= ALIGN_UP_TO)
                .max()
                .unwrap_or(0)
        };
        let (first_width, second_width) = (width(first_column), width(second_column));
        for row in run {
            let (text, comment) = match row {
                Row::Blank => continue,
                Row::Plain { indent, text, comment } => {
                    (format!("{}{text}", if *indent { "  " } else { "" }), comment)
                }
                Row::Tensor { head, ty, file, comment } => {
                    (format!("{head:first_width$} : {ty:second_width$} from {file}"), comment)
                }
                Row::Op { text, ty, comment } => (format!("  {text:first_width$} : {ty}"), comment),
            };
            out.push_str(&text);
            if let Some(comment) = comment {
                out.push_str("  ");
                out.push_str(comment);
            }
            out.push('\n');
        }
    }
    out
}

fn first_column(row: &Row) -> &str {
    match row {
        Row::Tensor { head, .. } => head,
        Row::Op { text, .. } => text,
        _ => "",
    }
}

fn second_column(row: &Row) -> &str {
    match row {
        Row::Tensor { ty, .. } => ty,
        _ => "",
    }
}
