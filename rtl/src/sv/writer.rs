//! The text of one module below its header.

use super::expr::Printer;
use super::names::{child_decls, key, port, Decl, Names, Signal};
use super::parts::Parts;
use super::process::{choice, processes, read, single, touch, Process};
use super::registers::has_reset;
use super::text::statement;
use crate::hdl::tree::{
    Cell, Child, ChildKind, Expr, Index, Net, NetKind, Ref, Scope, Stmt, Unary,
};
use crate::hdl::{u, Ty};
use std::collections::{BTreeMap, BTreeSet};

/// Longest expression that is put into a port connection rather than on a net of its own.
const PIN_WIDTH: usize = 64;

/// Longest line that chooses between two values; a longer choice is an `if`.
const CHOICE_WIDTH: usize = 80;

/// `logic`, with its range.
fn type_text(ty: Ty) -> String {
    let sign = if ty.signed { " signed" } else { "" };
    if ty == u(1) {
        "logic".into()
    } else {
        format!("logic{sign} [{}:0]", ty.width - 1)
    }
}

fn decl_text(decl: &Decl) -> String {
    match (&decl.states, &decl.width) {
        (Some(states), _) => states.clone(),
        (None, Some(width)) => {
            let sign = if decl.ty.signed { " signed" } else { "" };
            format!("logic{sign} [{width}-1:0]")
        }
        (None, None) => type_text(decl.ty),
    }
}

/// Prints the module of `scope`; `scopes` holds the modules of its children.
pub fn module(scope: &Scope, scopes: &[Scope]) -> String {
    Writer::new(scope, scopes).write()
}

pub(super) struct Writer<'a> {
    pub(super) scope: &'a Scope,
    pub(super) scopes: &'a [Scope],
    pub(super) names: Names,
    processes: Vec<Process>,
    /// Child inputs that are connected to an expression: key of the port to the assignment, and the
    /// loop variable that numbers the children.
    pub(super) pins: BTreeMap<String, (Stmt, Option<String>)>,
    /// Registers whose next value is an expression: key of `d` to its text.
    pub(super) next: BTreeMap<String, String>,
    /// Nets that are not declared: they are pins, folded or renamed.
    gone: BTreeSet<String>,
    /// Nets of parts of signals.
    parts: Parts,
}

impl<'a> Writer<'a> {
    fn new(scope: &'a Scope, scopes: &'a [Scope]) -> Self {
        let names = Names::new(scope);
        let (processes, gone) = processes(scope, &names);
        let mut writer = Writer {
            scope,
            scopes,
            names,
            processes,
            pins: BTreeMap::new(),
            next: BTreeMap::new(),
            gone,
            parts: Parts::default(),
        };
        writer.check_driven();
        writer.take_vectors();
        writer.take_outputs();
        writer.take_pins();
        writer.take_parts();
        writer
    }

    pub(super) fn printer(&self) -> Printer<'_> {
        Printer { names: &self.names, module: &self.scope.card.module, width: None }
    }

    /// Prints what drives `signal`.
    fn printer_for<'s>(&'s self, signal: &'s Signal) -> Printer<'s> {
        let width = signal.width.as_deref().map(|name| (signal.ty.width, name));
        Printer { width, ..self.printer() }
    }

    fn child(&self, r: &Ref) -> Option<&'a Child> {
        self.scope.children.iter().find(|c| r.0.len() == 2 && c.name == r.0[0].0)
    }

    /// Every local, output and child input has a driver.
    fn check_driven(&self) {
        let written: BTreeSet<&String> = self.processes.iter().flat_map(|p| &p.writes).collect();
        let module = &self.scope.card.module;
        for net in &self.scope.nets {
            let driven = matches!(net.kind, NetKind::Local | NetKind::Output)
                && !self.gone.contains(&net.name);
            if let Some(signal) = self.names.by_key(&net.name).filter(|_| driven) {
                assert!(written.contains(&signal.net), "{module}: nothing drives {}", net.name);
            }
        }
        for child in &self.scope.children {
            for port in child.ports.iter().filter(|p| p.kind == NetKind::Input && !p.is_clock) {
                let key = format!("{}${}", child.name, port.name);
                if matches!(child.kinds[0], ChildKind::Cell(Cell::Popcount)) {
                    continue;
                }
                if let Some(signal) = self.names.by_key(&key) {
                    assert!(written.contains(&signal.net), "{module}: nothing drives {key}");
                }
            }
        }
    }

    /// Processes that read a net.
    fn readers(&self, net: &str) -> usize {
        let reads = |process: &Process| {
            let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
            process.body.iter().for_each(|s| touch(s, &self.names, &mut reads, &mut writes));
            reads.contains(net)
        };
        self.processes.iter().filter(|p| reads(p)).count()
    }

    /// A vector of inputs of children that only copies a vector is that vector.
    fn take_vectors(&mut self) {
        let mut at = 0;
        while at < self.processes.len() {
            let found = single(&self.processes[at]).and_then(|(to_key, target, value)| {
                let Expr::Ref(source) = value else { return None };
                let (to, from) = (self.names.signal(target), self.names.by_key(&key(source))?);
                let whole = to.count > 1 && self.names.element(target).is_none();
                (whole && is_instance(self.child(target)?) && self.readers(&to.net) == 0)
                    .then(|| (to_key, to.net.clone(), from.net.clone()))
            });
            match found {
                Some((key, from, to)) => self.replace(at, &key, from, &to),
                None => at += 1,
            }
        }
    }

    /// Removes the process at `at`, which connects the net `gone` under `key` with `net`.
    fn replace(&mut self, at: usize, key: &str, gone: String, net: &str) {
        self.names.rename(key, net);
        self.gone.insert(gone);
        let comments = self.processes.remove(at).comments;
        if let Some(next) = self.processes.get_mut(at) {
            next.comments.splice(0..0, comments);
        }
    }

    /// An output of a child that only becomes a signal of this module is connected to it.
    fn take_outputs(&mut self) {
        let mut at = 0;
        while at < self.processes.len() {
            let found = single(&self.processes[at]).and_then(|(_, target, value)| {
                let Expr::Ref(source) = value else { return None };
                let child = self.child(source)?;
                let unit = matches!(
                    child.kinds[0],
                    ChildKind::Unit(_) | ChildKind::Cell(Cell::Ram { .. })
                );
                let (from, to) = (self.names.by_key(&key(source))?, self.names.signal(target));
                let plain = target.0.len() == 1 && from.count == 1 && to.count == 1;
                (unit && plain && from.ty == to.ty && self.readers(&from.net) == 1)
                    .then(|| (key(source), from.net.clone(), to.net.clone()))
            });
            match found {
                Some((key, from, to)) => self.replace(at, &key, from, &to),
                None => at += 1,
            }
        }
    }

    /// Child inputs and next values that are one expression need no net.
    fn take_pins(&mut self) {
        for process in &self.processes {
            let (target, value, loop_of) = match &process.body[..] {
                [Stmt::Assign(target, value)] => (target, value, None),
                [Stmt::For { var, from: 0, to, body }] => match &body[..] {
                    [Stmt::Assign(target, value)] => (target, value, Some((var, *to))),
                    _ => continue,
                },
                _ => continue,
            };
            let Some(child) = self.child(target) else { continue };
            let signal = self.names.signal(target);
            let whole = match loop_of {
                None => signal.count == 1 || self.names.element(target).is_none(),
                Some((var, to)) => {
                    let by_var = target.0[0].1 == Some(Index::Var(var.clone()));
                    by_var && signal.per_child == 1 && to == child.kinds.len()
                }
            };
            if !whole || self.readers(&signal.net) > 0 {
                continue;
            }
            let text = self.printer_for(signal).value(value, signal.ty);
            match &child.kinds[0] {
                ChildKind::Cell(Cell::Register { .. }) if loop_of.is_none() => {
                    self.next.insert(key(target), text);
                    self.gone.insert(signal.net.clone());
                }
                ChildKind::Unit(_) | ChildKind::Cell(Cell::Ram { .. })
                    if text.len() <= PIN_WIDTH =>
                {
                    let stmt = Stmt::Assign(target.clone(), value.clone());
                    let var = loop_of.map(|(var, _)| var.clone());
                    self.pins.insert(key(target), (stmt, var));
                    self.gone.insert(signal.net.clone());
                }
                _ => {}
            }
        }
    }

    /// Parts at fixed places that an `always_comb` reads are nets, driven above it.
    fn take_parts(&mut self) {
        let mut at = 0;
        while at < self.processes.len() {
            if self.is_block(&self.processes[at]) {
                let process = &mut self.processes[at];
                let module = &self.scope.card.module;
                let drivers = self.parts.take(process, &mut self.names, module);
                let count = drivers.len();
                self.processes.splice(at..at, drivers);
                at += count;
            }
            at += 1;
        }
    }

    /// Whether the process is printed as an `always_comb`.
    fn is_block(&self, process: &Process) -> bool {
        !self.is_gone(process) && single(process).is_none() && self.choice(process).is_none()
    }

    fn is_gone(&self, process: &Process) -> bool {
        process.writes.iter().all(|w| self.gone.contains(w))
    }

    /// Whether the instances of a `Vec` are all of one module.
    pub(super) fn is_uniform(&self, child: &Child) -> bool {
        let module = |k: &ChildKind| match k {
            ChildKind::Unit(at) => format!("{at}"),
            ChildKind::Cell(cell) => format!("{cell:?}"),
        };
        child.kinds.iter().all(|k| module(k) == module(&child.kinds[0]))
    }

    pub(super) fn has_clock(&self) -> bool {
        self.scope.nets.iter().any(|n| n.is_clock)
    }

    fn write(&self) -> String {
        let name = &self.scope.card.module;
        let width = self.scope.card.proven_width.as_ref().map(|w| {
            format!(" #(\n  // {}\n  localparam int {} = {}\n)", w.reason, w.name, w.bits)
        });
        let width = width.unwrap_or_default();
        let mut out = format!("module {name}{width} (\n{}\n);\n\n", self.ports());
        let body = self.body() + &self.registers();
        out += &self.constants(&body);
        out += &self.enums();
        let decls = self.declarations();
        if !decls.is_empty() {
            out += &decls;
            out.push('\n');
        }
        out += &body;
        out + &format!("endmodule : {name}\n")
    }

    /// The named constants that `body` uses.
    fn constants(&self, body: &str) -> String {
        let words: BTreeSet<&str> =
            body.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        let used: Vec<_> =
            self.names.labels().into_iter().filter(|l| words.contains(l.0.as_str())).collect();
        let line = |(label, width, x): &(String, u32, usize)| {
            let ty = u(*width);
            let value = self.printer().literal(*x as i128, ty);
            format!("  localparam {} {label} = {value};\n", type_text(ty))
        };
        let mut out: String = used.iter().map(|l| line(l)).collect();
        if !out.is_empty() {
            out.push('\n');
        }
        out
    }

    fn ports(&self) -> String {
        let nets: Vec<&Net> = self
            .scope
            .nets
            .iter()
            .filter(|n| matches!(n.kind, NetKind::Input | NetKind::Output))
            .collect();
        let text = |n: &Net| match self.names.by_key(&n.name) {
            Some(s) => decl_text(&Decl::of(s)),
            None => String::new(),
        };
        let width = nets.iter().map(|n| text(n).len()).max().unwrap_or(0);
        let mut lines: Vec<String> = vec![];
        for net in nets {
            let direction = if net.kind == NetKind::Input { "input " } else { "output" };
            let group = self.scope.card.port_groups.iter().find(|(first, _)| *first == net.name);
            let banner = match group {
                Some((_, comment)) => format!("\n  // {comment}\n"),
                None => String::new(),
            };
            let text = text(net);
            lines.push(format!("{banner}  {direction} {text:width$} {}", port(net)));
            if net.is_clock && has_reset(self.scope, self.scopes) {
                lines.push(format!("  input  {:width$} rst_ni", "logic"));
            }
        }
        lines.join(",\n")
    }

    /// The enums of the states that registers hold.
    fn enums(&self) -> String {
        let children = self.scope.children.iter().flat_map(|c| &c.ports);
        let mut done = BTreeSet::new();
        let mut out = String::new();
        for net in self.scope.nets.iter().chain(children).filter(|n| !n.states.is_empty()) {
            let Some((ty, _)) = net.states[0].split_once('$') else { continue };
            if !done.insert(ty) {
                continue;
            }
            let labels =
                net.states.iter().map(|l| format!("    St{}", l.rsplit('$').next().unwrap_or(l)));
            let labels = labels.collect::<Vec<_>>().join(",\n");
            let base = type_text(net.ty);
            out += &format!(
                "  typedef enum {base} {{\n{labels}\n  }} {}_e;\n\n",
                super::names::snake(ty)
            );
        }
        out
    }

    fn declarations(&self) -> String {
        let mut decls: Vec<(String, Decl)> = vec![];
        for net in self.scope.nets.iter().filter(|n| n.kind == NetKind::Local) {
            if let Some(s) = self.names.by_key(&net.name) {
                decls.push((s.net.clone(), Decl::of(s)));
            }
        }
        for child in &self.scope.children {
            decls.extend(child_decls(child, &self.names));
        }
        let ports: BTreeSet<String> = self
            .scope
            .nets
            .iter()
            .filter(|n| matches!(n.kind, NetKind::Input | NetKind::Output))
            .map(port)
            .collect();
        for net in self.parts.nets() {
            decls.extend(self.names.by_key(net).map(|s| (net.clone(), Decl::of(s))));
        }
        let mut seen = BTreeSet::new();
        decls.retain(|(name, _)| {
            !self.gone.contains(name) && !ports.contains(name) && seen.insert(name.clone())
        });
        for (name, _) in &decls {
            assert!(
                !KEYWORDS.contains(&name.as_str()),
                "{}: {name} is a keyword of SystemVerilog",
                self.scope.card.module
            );
        }
        decls.iter().map(|(name, d)| format!("  {} {name};\n", decl_text(d))).collect()
    }

    /// Processes in order, each instance behind the last process that drives it.
    fn body(&self) -> String {
        let mut place: BTreeMap<usize, Vec<&Child>> = BTreeMap::new();
        for child in self.scope.children.iter().filter(|c| is_instance(c)) {
            let inputs: Vec<String> = child
                .ports
                .iter()
                .filter_map(|p| self.names.by_key(&format!("{}${}", child.name, p.name)))
                .map(|s| s.net.clone())
                .collect();
            let last = self
                .processes
                .iter()
                .rposition(|p| inputs.iter().any(|i| p.writes.contains(i)))
                .unwrap_or(0);
            place.entry(last).or_default().push(child);
        }
        let mut out = String::new();
        for (at, process) in self.processes.iter().enumerate() {
            for comment in &process.comments {
                if !out.is_empty() && !out.ends_with("\n\n") && !ends_with_comment(&out) {
                    out.push('\n');
                }
                out += &format!("  // {comment}\n");
            }
            let text = self.process(process);
            let block = text.starts_with("  always_comb");
            if block && !out.is_empty() && !out.ends_with("\n\n") && !ends_with_comment(&out) {
                out.push('\n');
            }
            out += &text;
            for child in place.get(&at).into_iter().flatten() {
                if !out.is_empty() && !out.ends_with("\n\n") && !ends_with_comment(&out) {
                    out.push('\n');
                }
                out += &self.instances(child);
                out.push('\n');
            }
        }
        if !out.is_empty() && !out.ends_with("\n\n") {
            out.push('\n');
        }
        out
    }

    fn process(&self, process: &Process) -> String {
        if self.is_gone(process) {
            return String::new();
        }
        if let Some((_, target, value)) = single(process) {
            let signal = self.names.signal(target);
            let (ty, p) = (signal.ty, self.printer_for(signal));
            let cell = self.child(target).filter(|c| c.kinds.len() == 1).map(|c| &c.kinds[0]);
            let value = match (cell, value) {
                (Some(ChildKind::Cell(Cell::Unused { used })), Expr::Ref(r)) => {
                    let reduce = if used + 1 == ty.width { "" } else { "^" };
                    format!("{reduce}{}", p.slice(r, *used, ty.width - used))
                }
                (Some(ChildKind::Cell(Cell::Unused { used: 0 })), _) if ty.width > 1 => {
                    format!("^({})", p.value(value, ty))
                }
                (Some(ChildKind::Cell(Cell::Unused { used: 1.. })), _) => {
                    panic!("{}: unused bits of an expression", self.scope.card.module)
                }
                _ => p.value(value, ty),
            };
            return statement(2, &format!("assign {} = {value};", p.target(target)));
        }
        for child in &self.scope.children {
            let parity = matches!(child.kinds[..], [ChildKind::Cell(Cell::Unused { .. })]);
            assert!(
                !parity || !process.writes.contains(&child.name),
                "{}: {} in a process of several statements",
                self.scope.card.module,
                child.name
            );
        }
        if let Some(line) = self.choice(process) {
            return line;
        }
        let mut out = String::from("  always_comb begin\n");
        self.block(&process.body, 4, &mut out);
        out + "  end\n\n"
    }

    /// A choice between two values in one line, if it fits.
    fn choice(&self, process: &Process) -> Option<String> {
        let (target, test, yes, no) = match choice(process)? {
            (target, Expr::Unary(Unary::Not, test), yes, no) => (target, &**test, no, yes),
            other => other,
        };
        let signal = self.names.signal(target);
        let (ty, p) = (signal.ty, self.printer_for(signal));
        let mut reads = BTreeSet::new();
        [test, yes, no].into_iter().for_each(|e| read(e, &self.names, &mut reads));
        if reads.contains(&self.names.signal(target).net) {
            return None;
        }
        let (yes, no) = (p.connection(yes, ty), p.connection(no, ty));
        let line = format!(
            "  assign {} = {} ? {yes} : {no};\n",
            p.target(target),
            self.printer().operand(test)
        );
        (line.len() <= CHOICE_WIDTH).then_some(line)
    }

    fn block(&self, body: &[Stmt], indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        let p = self.printer();
        for stmt in body {
            match stmt {
                Stmt::Comment(c) => *out += &format!("{pad}// {c}\n"),
                Stmt::Assign(target, value) => {
                    let signal = self.names.signal(target);
                    let value = self.printer_for(signal).value(value, signal.ty);
                    let text = format!("{} = {value};", p.target(target));
                    *out += &statement(indent, &text);
                }
                Stmt::If(..) => self.conditional(stmt, indent, out),
                Stmt::Case(e, cases) => {
                    *out += &format!("{pad}case ({})\n", p.own(e));
                    // Of a table: a word in each line.
                    let of_numbers = cases.iter().any(|(label, _)| label.parse::<usize>().is_ok());
                    for (label, body) in cases {
                        let number = label.parse().ok().zip(p.ty(e));
                        let label = match (number, label.as_str()) {
                            (Some((x, ty)), _) => p.literal(x, ty),
                            (None, "default") => "default".to_string(),
                            (None, label) => p.own(&Expr::Ref(Ref(label
                                .split('$')
                                .map(|s| (s.to_string(), None))
                                .collect()))),
                        };
                        if body.is_empty() {
                            *out += &format!("{pad}  {label}: ;\n");
                        } else if of_numbers {
                            let mut line = String::new();
                            self.block(body, 0, &mut line);
                            *out += &format!("{pad}  {label}: {line}");
                        } else {
                            *out += &format!("{pad}  {label}: begin\n");
                            self.block(body, indent + 4, out);
                            *out += &format!("{pad}  end\n");
                        }
                    }
                    let all = self.printer().ty(e).map_or(0, |t| 1usize << t.width.min(16));
                    if cases.len() < all && cases.iter().all(|(label, _)| label != "default") {
                        *out += &format!("{pad}  default: ;\n");
                    }
                    *out += &format!("{pad}endcase\n");
                }
                Stmt::For { var, from, to, body } => {
                    *out +=
                        &format!("{pad}for (int {var} = {from}; {var} < {to}; {var}++) begin\n");
                    self.block(body, indent + 2, out);
                    *out += &format!("{pad}end\n");
                }
            }
        }
    }

    fn conditional(&self, stmt: &Stmt, indent: usize, out: &mut String) {
        let pad = " ".repeat(indent);
        let mut stmt = stmt;
        let mut head = pad.clone();
        while let Stmt::If(test, then, otherwise) = stmt {
            let line = format!("{head}if ({}) begin", self.printer().own(test));
            *out += &statement(indent, line.trim_start());
            self.block(then, indent + 2, out);
            match &otherwise[..] {
                [] => break,
                [next @ Stmt::If(..)] => {
                    head = format!("{pad}end else ");
                    stmt = next;
                }
                body => {
                    *out += &format!("{pad}end else begin\n");
                    self.block(body, indent + 2, out);
                    break;
                }
            }
        }
        *out += &format!("{pad}end\n");
    }
}

fn ends_with_comment(text: &str) -> bool {
    text.lines().last().is_some_and(|l| l.trim_start().starts_with("//"))
}

fn is_instance(child: &Child) -> bool {
    matches!(child.kinds[0], ChildKind::Unit(_) | ChildKind::Cell(Cell::Ram { .. }))
}

/// Names that a signal may not have.
const KEYWORDS: [&str; 40] = [
    "alias", "assign", "begin", "bit", "break", "buf", "byte", "case", "cell", "checker", "class",
    "config", "const", "context", "cover", "default", "design", "do", "edge", "end", "enum",
    "event", "final", "for", "force", "input", "int", "local", "logic", "module", "output",
    "property", "pure", "ref", "reg", "return", "string", "table", "type", "wire",
];
