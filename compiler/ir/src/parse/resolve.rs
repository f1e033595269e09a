//! From statements to a [`Module`]: the order of statements, and names to ids.

use super::syntax::{comments, Arg, Line, Statement, TensorKind, TypeText};
use super::types::{cache_ty, vec_ty, weight_ty};
use super::{ops, Broken};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::module::{
    Cache, CacheId, Func, Module, Name, Op, Param, ParamId, Span, Value, ValueId, Weight, WeightId,
};
use crate::types::VecTy;
use std::collections::BTreeMap;

/// The version of the language that this crate reads.
pub const VERSION: i64 = 1;

/// What a name stands for; `None` when its definition was itself wrong.
pub(super) type Known<T> = Option<T>;

/// What an `@name` stands for.
#[derive(Clone, Copy)]
pub(super) enum Global {
    Weight(WeightId),
    Param(ParamId),
    Cache(CacheId),
    Func,
}

/// The names of a module while it is being resolved.
#[derive(Default)]
pub(super) struct Names {
    globals: BTreeMap<String, (Known<Global>, Span)>,
    values: BTreeMap<String, (Known<ValueId>, Span)>,
    /// Names that the function defines somewhere, with the place.
    later: BTreeMap<String, Span>,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Top,
    Inside,
    After,
}

struct FuncHead<'a> {
    name: &'a Name,
    inputs: &'a [(Name, TypeText)],
    result: &'a TypeText,
    span: Span,
}

struct OpLine<'a> {
    name: &'a Name,
    op: &'a Name,
    args: &'a [Arg],
    ty: &'a TypeText,
    span: Span,
}

/// The statements of a module, each in its place.
#[derive(Default)]
struct Parts<'a> {
    version: Option<Span>,
    target: Option<&'a Name>,
    tensors: Vec<(TensorKind, &'a Name, &'a TypeText, &'a Name, Span)>,
    func: Option<FuncHead<'a>>,
    ops: Vec<OpLine<'a>>,
    result: Option<(&'a Name, Span)>,
    closed: bool,
}

/// The module, if nothing is wrong with it.
pub(super) fn resolve(
    source: &str,
    lines: &[Line],
    broken: &[Broken],
    diags: &mut Diagnostics,
) -> Option<Module> {
    let parts = sort_parts(lines, broken, diags);
    missing_parts(source, &parts, broken, diags);
    let mut names = Names::default();
    broken.iter().for_each(|b| names.forgive(&b.text));

    let (mut weights, mut params, mut caches) = (Vec::new(), Vec::new(), Vec::new());
    for (kind, name, ty, file, span) in &parts.tensors {
        let (name, file, span) = ((*name).clone(), (*file).clone(), span.clone());
        let global = match kind {
            TensorKind::Weight => weight_ty(ty, diags).map(|ty| {
                weights.push(Weight { name: name.clone(), ty, file, span });
                Global::Weight(WeightId(weights.len() - 1))
            }),
            TensorKind::Param => vec_ty(ty, diags).map(|ty| {
                params.push(Param { name: name.clone(), ty, file, span });
                Global::Param(ParamId(params.len() - 1))
            }),
            TensorKind::Cache => cache_ty(ty, diags).map(|ty| {
                caches.push(Cache { name: name.clone(), ty, file, span });
                Global::Cache(CacheId(caches.len() - 1))
            }),
        };
        names.define_global(&name, global, diags);
    }
    let func = parts.func.as_ref().and_then(|head| resolve_func(head, &parts, &mut names, diags));
    Some(Module {
        target: parts.target?.clone(),
        weights,
        params,
        caches,
        func: func?,
        comments: comments(lines),
    })
}

/// Puts statements in their places and reports those that have none.
fn sort_parts<'a>(lines: &'a [Line], broken: &[Broken], diags: &mut Diagnostics) -> Parts<'a> {
    let mut parts = Parts::default();
    let mut part = Part::Top;
    // A broken line before all statements may have been the version.
    let mut excused =
        broken.first().is_some_and(|b| lines[..b.before].iter().all(|l| l.statement.is_none()));
    let mut begun = false;
    let mut opening = broken.iter().filter(|b| b.text.trim_start().starts_with("func")).peekable();
    for (index, line) in lines.iter().enumerate() {
        let Some(statement) = &line.statement else { continue };
        if part == Part::Top && opening.next_if(|b| b.before <= index).is_some() {
            part = Part::Inside;
        }
        if let Statement::Version { number, span } = statement {
            if begun {
                out_of_place(diags, span, "the version stands once, in the first statement");
            } else if *number != VERSION {
                diags.push(
                    Diagnostic::error(Code::P0104, format!("version {number} of the language"))
                        .at(span, format!("this is pimc {VERSION}"))
                        .help(format!(
                            "write `pimc {VERSION}`, or use a pimc that knows version {number}"
                        )),
                );
            }
            parts.version = Some(span.clone());
            begun = true;
            continue;
        }
        begun = true;
        if parts.version.is_none() && !excused {
            diags.push(
                Diagnostic::error(Code::P0104, "the version line is missing")
                    .at(&line.span, "this statement stands before the version")
                    .help(format!("begin the file with `pimc {VERSION}`")),
            );
            excused = true;
        }
        part = place(statement, &line.span, part, &mut parts, diags);
    }
    parts.closed |= part == Part::After;
    parts
}

/// Puts one statement in its place; where the next one stands.
fn place<'a>(
    statement: &'a Statement,
    span: &Span,
    part: Part,
    parts: &mut Parts<'a>,
    diags: &mut Diagnostics,
) -> Part {
    match (statement, part) {
        (Statement::Target { name }, Part::Top) if parts.target.is_none() => {
            parts.target = Some(name);
        }
        (Statement::Target { name }, _) => {
            out_of_place(diags, span, "a module has one target, before the function");
            parts.target.get_or_insert(name);
        }
        (Statement::Tensor { kind, name, ty, file }, _) => {
            if part != Part::Top {
                out_of_place(
                    diags,
                    span,
                    "weights, parameters and caches stand before the function",
                );
            }
            parts.tensors.push((*kind, name, ty, file, span.clone()));
        }
        (Statement::Func { name, inputs, result }, Part::Top) => {
            parts.func = Some(FuncHead { name, inputs, result, span: span.clone() });
            return Part::Inside;
        }
        (Statement::Func { .. }, _) => out_of_place(diags, span, "a module has one function"),
        (Statement::Op { name, op, args, ty }, Part::Inside) => {
            if parts.result.is_some() {
                out_of_place(diags, span, "`return` is the last statement of the function");
            }
            parts.ops.push(OpLine { name, op, args, ty, span: span.clone() });
        }
        (Statement::Return { value }, Part::Inside) => match &parts.result {
            Some(_) => out_of_place(diags, span, "a function returns once"),
            None => parts.result = Some((value, span.clone())),
        },
        (Statement::Close, Part::Inside) => return Part::After,
        (Statement::Op { .. } | Statement::Return { .. } | Statement::Close, _) => {
            out_of_place(diags, span, "this belongs into the function");
        }
        (Statement::Version { .. }, _) => {}
    }
    part
}

fn out_of_place(diags: &mut Diagnostics, span: &Span, why: &str) {
    diags.push(Diagnostic::error(Code::P0112, "statement out of place").at(span, why).help(
        "the order is: `pimc 1`, target, weights, params and caches, `func @main(..) -> .. {`, \
                 ops, `return`, `}`",
    ));
}

/// Reports what is missing, unless a broken line was meant to be it.
fn missing_parts(source: &str, parts: &Parts, broken: &[Broken], diags: &mut Diagnostics) {
    let meant = |word: &str| broken.iter().any(|b| b.text.trim_start().starts_with(word));
    let end = source.trim_end().len();
    let last = source[..end].char_indices().next_back().map_or(0, |(i, _)| i);
    let mut missing = |what: &str, help: &str| {
        diags.push(
            Diagnostic::error(Code::P0113, format!("{what} is missing"))
                .at(&(last..end), "the file ends here")
                .help(help),
        );
    };
    let nothing = parts.version.is_none() && parts.func.is_none() && parts.tensors.is_empty();
    if parts.version.is_none() && nothing && broken.is_empty() && parts.target.is_none() {
        missing("the version line", "begin the file with `pimc 1`");
    }
    if parts.target.is_none() && !meant("target") && broken.len() < 10 {
        missing("the target", "name one: `target \"hbm3-pim\"`");
    }
    if parts.func.is_none() {
        if !meant("func") && broken.len() < 10 {
            missing("the function", "a module has one: `func @main(%x: i8<64>) -> i32<10> {`");
        }
        return;
    }
    if parts.result.is_none() && !meant("return") {
        missing("`return`", "end the function with `return %name`");
    }
    if !parts.closed && !meant("}") {
        missing("the closing `}` of the function", "close the function with `}`");
    }
}

fn resolve_func(
    head: &FuncHead,
    parts: &Parts,
    names: &mut Names,
    diags: &mut Diagnostics,
) -> Option<Func> {
    if head.name.text != "main" {
        diags.push(
            Diagnostic::error(Code::P0204, format!("the function is called `@{}`", head.name.text))
                .at(&head.name.span, "expected `@main`")
                .help("a module has one function, and its name is `@main`"),
        );
    }
    names.define_global(head.name, Some(Global::Func), diags);
    for line in &parts.ops {
        names.later.entry(line.name.text.clone()).or_insert(line.name.span.clone());
    }
    let mut good = true;
    let mut values = Vec::new();
    for (name, ty) in head.inputs {
        let ty = vec_ty(ty, diags);
        good &= names.define_value(name, ty, &mut values, diags);
    }
    let inputs = values.len();
    let result_ty = vec_ty(head.result, diags);
    let mut ops = Vec::new();
    for line in &parts.ops {
        let kind = ops::op_kind(line.op, line.args, names, diags);
        let ty = vec_ty(line.ty, diags);
        good &= kind.is_some();
        // A value is known by its type even when its op is wrong.
        good &= names.define_value(line.name, ty, &mut values, diags);
        if let Some(kind) = kind {
            ops.push(Op { kind, span: line.span.clone() });
        }
    }
    let (name, result_span) = parts.result.as_ref()?;
    let result = names.value(&name.text, &name.span, diags)?;
    let result_ty = result_ty?;
    good.then(|| Func {
        name: head.name.clone(),
        inputs,
        values,
        ops,
        result_ty,
        result,
        result_span: result_span.clone(),
        span: head.span.clone(),
    })
}

impl Names {
    /// Names that a broken line would have defined are known, but nothing is known about them.
    fn forgive(&mut self, text: &str) {
        let text = text.trim_start();
        let after = |sigil: char| {
            text.split(sigil).skip(1).map(|piece| {
                let end = piece
                    .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .unwrap_or(piece.len());
                piece[..end].to_string()
            })
        };
        if ["weight", "param", "cache"].iter().any(|word| text.starts_with(word)) {
            self.globals.extend(after('@').take(1).map(|name| (name, (None, 0..0))));
        } else if text.starts_with("func") {
            self.values.extend(after('%').map(|name| (name, (None, 0..0))));
        } else if text.starts_with('%') {
            self.values.extend(after('%').take(1).map(|name| (name, (None, 0..0))));
        }
    }

    fn define_global(&mut self, name: &Name, what: Known<Global>, diags: &mut Diagnostics) {
        match self.globals.get(&name.text) {
            Some((Some(_), first)) => twice(&format!("@{}", name.text), name, first, diags),
            _ => {
                self.globals.insert(name.text.clone(), (what, name.span.clone()));
            }
        }
    }

    fn define_value(
        &mut self,
        name: &Name,
        ty: Option<VecTy>,
        values: &mut Vec<Value>,
        diags: &mut Diagnostics,
    ) -> bool {
        if let Some((Some(_), first)) = self.values.get(&name.text) {
            twice(&format!("%{}", name.text), name, first, diags);
            return false;
        }
        let id = ty.map(|ty| {
            values.push(Value { name: name.clone(), ty });
            ValueId(values.len() - 1)
        });
        self.values.insert(name.text.clone(), (id, name.span.clone()));
        id.is_some()
    }

    /// The value `%text`, used at `span`. Errors are reported once: not for a value whose own
    /// definition is wrong.
    pub(super) fn value(
        &self,
        text: &str,
        span: &Span,
        diags: &mut Diagnostics,
    ) -> Option<ValueId> {
        if let Some((id, _)) = self.values.get(text) {
            return *id;
        }
        diags.push(match self.later.get(text) {
            Some(place) => Diagnostic::error(
                Code::P0203,
                format!("`%{text}` is used before its definition"),
            )
            .at(span, "used here")
            .also(place, "defined here")
            .help(
                "ops are evaluated in order: an op can use only the inputs and the values above it",
            ),
            None => Diagnostic::error(Code::P0202, format!("no value is called `%{text}`"))
                .at(span, "not defined")
                .help(self.nearest('%', text)),
        });
        None
    }

    /// The weight, parameter, cache or function `@text`, used at `span`.
    pub(super) fn global(
        &self,
        text: &str,
        span: &Span,
        diags: &mut Diagnostics,
    ) -> Option<Global> {
        if let Some((id, _)) = self.globals.get(text) {
            return *id;
        }
        diags.push(
            Diagnostic::error(Code::P0202, format!("no declaration is called `@{text}`"))
                .at(span, "not declared")
                .help(self.nearest('@', text)),
        );
        None
    }

    /// Where `@text` is declared.
    pub(super) fn declared(&self, text: &str) -> Span {
        self.globals.get(text).map_or(0..0, |g| g.1.clone())
    }

    fn nearest(&self, sigil: char, text: &str) -> String {
        // Of the names that mean something; as many changed letters as the name has are no likeness.
        let likeness = |name: &&String| {
            let d = distance(name, text);
            (d <= 2 && d < text.len()).then_some(d)
        };
        let names: Vec<&String> = match sigil {
            '%' => self.values.iter().filter(|v| v.1 .0.is_some()).map(|v| v.0).collect(),
            _ => self.globals.iter().filter(|g| g.1 .0.is_some()).map(|g| g.0).collect(),
        };
        let best = names.into_iter().filter(|n| likeness(n).is_some()).min_by_key(likeness);
        match best {
            Some(name) => format!("did you mean `{sigil}{name}`?"),
            _ if sigil == '%' => {
                "define it by an op above this line, or as an input of the function".to_string()
            }
            _ => format!("declare it: `weight @{text} : ..`, `param` or `cache`"),
        }
    }
}

fn twice(shown: &str, name: &Name, first: &Span, diags: &mut Diagnostics) {
    diags.push(
        Diagnostic::error(Code::P0201, format!("`{shown}` is defined twice"))
            .at(&name.span, "again here")
            .also(first, "first here")
            .help("names are defined once: rename one of them"),
    );
}

/// Edit distance, of names cut to 32 bytes.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (&a.as_bytes()[..a.len().min(32)], &b.as_bytes()[..b.len().min(32)]);
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
