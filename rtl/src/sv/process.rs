//! From the statements of a kernel to processes: what must stay together stays in one `always_comb`,
//! everything else stands alone.

use super::names::{key, substitute, Names};
use super::simplify::simplify;
use crate::hdl::tree::{Cell, ChildKind, Expr, Index, Ref, Scope, Stmt};
use std::collections::BTreeSet;

/// Statements that form one process, in order, with the comments before them.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Banners above it.
    pub comments: Vec<String>,
    /// Its statements.
    pub body: Vec<Stmt>,
    /// Nets it writes.
    pub writes: BTreeSet<String>,
}

/// One statement of the top level with what it touches.
struct Step {
    comments: Vec<String>,
    stmt: Stmt,
    reads: BTreeSet<String>,
    writes: BTreeSet<String>,
}

/// The processes of a scope in the order of their first statements, and the flags that the shape
/// fixes, which are not nets.
pub fn processes(scope: &Scope, names: &Names) -> (Vec<Process>, BTreeSet<String>) {
    let mut steps = vec![];
    let mut comments = vec![];
    let (body, fixed) = simplify(scope, names, prepare(scope, names, &scope.body));
    for stmt in body {
        match stmt {
            // A banner above another is that of a block which is not built.
            Stmt::Comment(c) => {
                if c.starts_with("----") {
                    comments.clear();
                }
                comments.push(c);
            }
            Stmt::For { var, from, to, body } => {
                for (at, part) in fission(&body, names).into_iter().enumerate() {
                    let part = Stmt::For { var: var.clone(), from, to, body: part };
                    let part = super::copies::whole(&part, names).unwrap_or(part);
                    let above = if at == 0 { std::mem::take(&mut comments) } else { vec![] };
                    steps.push(Step::new(part, above, names));
                }
            }
            stmt => steps.push(Step::new(stmt, std::mem::take(&mut comments), names)),
        }
    }
    (group(steps, &scope.card.module, names), fixed)
}

impl Step {
    fn new(stmt: Stmt, comments: Vec<String>, names: &Names) -> Step {
        let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
        touch(&stmt, names, &mut reads, &mut writes);
        Step { comments, stmt, reads, writes }
    }
}

/// Clocks go, loops of no or one round are undone, and cells that are expressions become them.
fn prepare(scope: &Scope, names: &Names, body: &[Stmt]) -> Vec<Stmt> {
    let block = |b: &[Stmt]| prepare(scope, names, b);
    let mut out = vec![];
    for stmt in body {
        match stmt {
            Stmt::Assign(t, _) if names.signal(t).is_clock => {}
            Stmt::Assign(t, e) => out.push(cell_input(scope, t, e)),
            Stmt::If(c, a, b) => {
                let (a, b) = (block(a), block(b));
                if !a.is_empty() || !b.is_empty() {
                    out.push(Stmt::If(c.clone(), a, b));
                }
            }
            Stmt::Case(e, cases) => {
                let cases = cases.iter().map(|(label, body)| (label.clone(), block(body)));
                out.push(Stmt::Case(e.clone(), cases.collect()));
            }
            Stmt::For { from, to, .. } if from >= to => {}
            Stmt::For { var, from, to, body } if from + 1 == *to => {
                let body: Vec<Stmt> = body.iter().map(|s| substitute(s, var, *from)).collect();
                out.extend(block(&body));
            }
            Stmt::For { var, from, to, body } => {
                let body = block(body);
                if !body.is_empty() {
                    out.push(Stmt::For { var: var.clone(), from: *from, to: *to, body });
                }
            }
            Stmt::Comment(c) => out.push(Stmt::Comment(c.clone())),
        }
    }
    out
}

/// Driving a count of ones is assigning the count, driving a table a case over its words.
fn cell_input(scope: &Scope, target: &Ref, value: &Expr) -> Stmt {
    let child = scope.children.iter().find(|c| target.0.len() == 2 && c.name == target.0[0].0);
    let output = || {
        let mut output = target.clone();
        output.0[1].0 = "y".into();
        output
    };
    match child.map(|c| &c.kinds[0]) {
        Some(ChildKind::Cell(Cell::Popcount)) => {
            Stmt::Assign(output(), Expr::Popcount(Box::new(value.clone())))
        }
        Some(ChildKind::Cell(Cell::Table { words })) => {
            let word = |x: u64| vec![Stmt::Assign(output(), Expr::Lit(x.into()))];
            let mut cases: Vec<_> =
                words.iter().enumerate().map(|(at, x)| (at.to_string(), word(*x))).collect();
            if !words.len().is_power_of_two() || words.len() < 2 {
                cases.push(("default".into(), word(0)));
            }
            Stmt::Case(value.clone(), cases)
        }
        _ => Stmt::Assign(target.clone(), value.clone()),
    }
}

/// The net under a reference: both sides of a `Split` or `Join` are one.
fn net(r: &Ref, names: &Names) -> String {
    names.signal(r).net.clone()
}

/// The nets that a statement reads and writes.
pub fn touch(
    stmt: &Stmt,
    names: &Names,
    reads: &mut BTreeSet<String>,
    writes: &mut BTreeSet<String>,
) {
    match stmt {
        Stmt::Assign(t, e) => {
            read_ref_indices(t, names, reads);
            read(e, names, reads);
            writes.insert(net(t, names));
        }
        Stmt::If(c, a, b) => {
            read(c, names, reads);
            a.iter().chain(b).for_each(|s| touch(s, names, reads, writes));
        }
        Stmt::Case(e, cases) => {
            read(e, names, reads);
            cases.iter().flat_map(|c| &c.1).for_each(|s| touch(s, names, reads, writes));
        }
        Stmt::For { body, .. } => body.iter().for_each(|s| touch(s, names, reads, writes)),
        Stmt::Comment(_) => {}
    }
}

fn read_ref_indices(r: &Ref, names: &Names, reads: &mut BTreeSet<String>) {
    fn index(i: &Index, names: &Names, reads: &mut BTreeSet<String>) {
        match i {
            Index::Signal(r) => {
                reads.insert(net(r, names));
            }
            Index::Add(a, b) | Index::Sub(a, b) | Index::Mul(a, b) => {
                index(a, names, reads);
                index(b, names, reads);
            }
            Index::Lit(_) | Index::Var(_) | Index::Const(_) => {}
        }
    }
    r.0.iter().filter_map(|(_, i)| i.as_ref()).for_each(|i| index(i, names, reads));
}

/// The nets an expression reads.
pub fn read(e: &Expr, names: &Names, reads: &mut BTreeSet<String>) {
    match e {
        Expr::Ref(r) => {
            if let Some(super::names::Entry::Signal(s)) = names.get(r) {
                reads.insert(s.net.clone());
                read_ref_indices(r, names, reads);
            }
        }
        Expr::Lit(_) => {}
        Expr::Cast(e, _) | Expr::Signed(e) | Expr::Unsigned(e) => read(e, names, reads),
        Expr::Unary(_, e) | Expr::Popcount(e) => read(e, names, reads),
        Expr::Binary(_, a, b) | Expr::Bit(a, b) => {
            read(a, names, reads);
            read(b, names, reads);
        }
    }
}

/// Splits the body of a loop into parts that share no net that the loop writes. Comments go with
/// the statement below them.
fn fission(body: &[Stmt], names: &Names) -> Vec<Vec<Stmt>> {
    let mut parts: Vec<(Vec<Stmt>, BTreeSet<String>, BTreeSet<String>)> = vec![];
    let mut above = vec![];
    for stmt in body {
        if let Stmt::Comment(_) = stmt {
            above.push(stmt.clone());
            continue;
        }
        let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
        touch(stmt, names, &mut reads, &mut writes);
        let mut merged = (vec![], BTreeSet::new(), BTreeSet::new());
        let mut at = parts.len();
        let mut index = 0;
        parts.retain(|part| {
            let tied = !part.2.is_disjoint(&writes)
                || !part.2.is_disjoint(&reads)
                || !part.1.is_disjoint(&writes);
            if tied {
                at = at.min(index);
                merged.0.extend(part.0.iter().cloned());
                merged.1.extend(part.1.iter().cloned());
                merged.2.extend(part.2.iter().cloned());
            }
            index += 1;
            !tied
        });
        merged.0.append(&mut above);
        merged.0.push(stmt.clone());
        merged.1.append(&mut reads);
        merged.2.append(&mut writes);
        parts.insert(at.min(parts.len()), merged);
    }
    parts.into_iter().map(|p| p.0).collect()
}

/// Joins the steps that write a common net, and those that read one between two writes of it.
fn group(steps: Vec<Step>, module: &str, names: &Names) -> Vec<Process> {
    let mut of: Vec<usize> = (0..steps.len()).collect();
    let join = |of: &mut Vec<usize>, a: usize, b: usize| {
        let (low, high) = (of[a].min(of[b]), of[a].max(of[b]));
        of.iter_mut().filter(|o| **o == high).for_each(|o| *o = low);
    };
    let nets: BTreeSet<&String> = steps.iter().flat_map(|s| &s.writes).collect();
    for net in nets {
        let writers: Vec<usize> =
            (0..steps.len()).filter(|i| steps[*i].writes.contains(net)).collect();
        let (Some(first), Some(last)) = (writers.first(), writers.last()) else { continue };
        for w in &writers {
            join(&mut of, *first, *w);
        }
        let between = steps.iter().enumerate().take(*last).skip(*first + 1);
        for (reader, _) in between.filter(|(_, s)| s.reads.contains(net)) {
            join(&mut of, *first, reader);
        }
    }
    // A process stands where its first statement does that says more than "hold the value".
    let mut processes: Vec<(usize, usize, Process)> = vec![];
    for (i, step) in steps.into_iter().enumerate() {
        let at = match processes.iter().position(|(g, ..)| *g == of[i]) {
            Some(at) => at,
            None => {
                let empty = Process { comments: vec![], body: vec![], writes: BTreeSet::new() };
                processes.push((of[i], i, empty));
                processes.len() - 1
            }
        };
        let (_, place, process) = &mut processes[at];
        if process.body.iter().all(is_hold) {
            *place = i;
            process.comments.extend(step.comments);
        } else {
            process.body.extend(step.comments.into_iter().map(Stmt::Comment));
        }
        process.body.push(step.stmt);
        process.writes.extend(step.writes);
    }
    processes.sort_by_key(|(_, place, _)| *place);
    let mut out: Vec<Process> = processes.into_iter().map(|(.., p)| p).collect();
    for process in &mut out {
        drop_dead(&mut process.body, names);
        check_order(process, module, names);
    }
    out
}

/// `r.d = r.q`, which `dff_setup!` writes.
fn is_hold(stmt: &Stmt) -> bool {
    match stmt {
        Stmt::Assign(target, Expr::Ref(value)) => {
            let (to, from) = (key(target), key(value));
            to.strip_suffix("$d").is_some_and(|r| from.strip_suffix("$q") == Some(r))
        }
        Stmt::For { body, .. } => body.iter().all(is_hold),
        _ => false,
    }
}

/// Drops an assignment that a later one at the same level replaces before anybody reads it.
fn drop_dead(body: &mut Vec<Stmt>, names: &Names) {
    for stmt in body.iter_mut() {
        match stmt {
            Stmt::If(_, a, b) => {
                drop_dead(a, names);
                drop_dead(b, names);
            }
            Stmt::Case(_, cases) => cases.iter_mut().for_each(|(_, body)| drop_dead(body, names)),
            Stmt::For { body, .. } => drop_dead(body, names),
            Stmt::Assign(..) | Stmt::Comment(_) => {}
        }
    }
    let mut at = 0;
    while at < body.len() {
        let dead = match &body[at] {
            Stmt::Assign(target, _) => {
                let mut dead = false;
                let written = net(target, names);
                for later in &body[at + 1..] {
                    let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
                    touch(later, names, &mut reads, &mut writes);
                    if reads.contains(&written) {
                        break;
                    }
                    if let Stmt::Assign(again, _) = later {
                        if again == target {
                            dead = true;
                            break;
                        }
                    }
                }
                dead
            }
            _ => false,
        };
        if dead {
            body.remove(at);
        } else {
            at += 1;
        }
    }
}

/// In a process, nothing may be read before it is written: the simulation would take the value of
/// the pass before, the hardware would be a latch.
fn check_order(process: &Process, module: &str, names: &Names) {
    let mut written = BTreeSet::new();
    for stmt in &process.body {
        let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
        touch(stmt, names, &mut reads, &mut writes);
        if let Stmt::Assign(..) = stmt {
            let early = reads.iter().find(|r| process.writes.contains(*r) && !written.contains(*r));
            if let Some(early) = early {
                panic!("{module}: {early} is read before it is written in one process");
            }
        }
        written.extend(writes);
    }
}

/// A process that gives one signal one of two values: the signal, the condition, the value if it
/// holds, the value if not.
pub fn choice(process: &Process) -> Option<(&Ref, &Expr, &Expr, &Expr)> {
    match &process.body[..] {
        [Stmt::Assign(target, no), Stmt::If(test, then, otherwise)] if otherwise.is_empty() => {
            match &then[..] {
                [Stmt::Assign(again, yes)] if again == target => Some((target, test, yes, no)),
                _ => None,
            }
        }
        [Stmt::If(test, then, otherwise)] => match (&then[..], &otherwise[..]) {
            ([Stmt::Assign(target, yes)], [Stmt::Assign(again, no)]) if again == target => {
                Some((target, test, yes, no))
            }
            _ => None,
        },
        _ => None,
    }
}

/// `key` of a process that is one plain assignment.
pub fn single(process: &Process) -> Option<(String, &Ref, &Expr)> {
    match &process.body[..] {
        [Stmt::Assign(target, value)] => Some((key(target), target, value)),
        _ => None,
    }
}
