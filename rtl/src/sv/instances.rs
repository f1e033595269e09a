//! Instances of units and memories, with their connections.

use super::library;
use super::names::{port, substitute, Signal};
use super::registers::has_reset;
use super::writer::Writer;
use crate::hdl::tree::{Cell, Child, ChildKind, Stmt};

impl Writer<'_> {
    /// The instances of a child: one, a generate loop, or one by one when their shapes differ.
    pub(super) fn instances(&self, child: &Child) -> String {
        let count = child.kinds.len();
        if count == 1 {
            return self.instance(child, 0, None, 2);
        }
        if self.is_uniform(child) {
            let name = &child.name;
            let mut out = format!("  for (genvar i = 0; i < {count}; i++) begin : gen_{name}\n");
            out += &self.instance(child, 0, Some("i"), 4);
            return out + "  end\n";
        }
        (0..count).map(|at| self.instance(child, at, None, 2)).collect::<Vec<_>>().join("\n")
    }

    fn instance(&self, child: &Child, at: usize, var: Option<&str>, indent: usize) -> String {
        let pad = " ".repeat(indent);
        let (module, clocked, reset) = match &child.kinds[at] {
            ChildKind::Unit(unit) => {
                let scope = &self.scopes[*unit];
                let clocked = scope.nets.iter().any(|n| n.is_clock);
                (scope.card.module.clone(), clocked, has_reset(scope, self.scopes))
            }
            ChildKind::Cell(Cell::Ram { depth }) => {
                let port = |name: &str| self.names.by_key(&format!("{}${name}", child.name));
                let (addr, data) = (port("raddr"), port("rdata"));
                let width = |s: Option<&Signal>| s.map_or(0, |s| s.ty.width);
                let (addr, data) = (width(addr), width(data));
                let parameters = format!("#(.AddrW({addr}), .DataW({data}), .Depth({depth}))");
                (format!("{} {parameters}", library::RAM), true, false)
            }
            other => panic!("{}: {other:?} is no instance", self.scope.card.module),
        };
        let mut pins: Vec<(String, Option<String>)> = vec![];
        if clocked {
            assert!(self.has_clock(), "{}: no clock for {module}", self.scope.card.module);
            pins.push(("clk_i".into(), None));
        }
        if reset {
            pins.push(("rst_ni".into(), None));
        }
        for net in child.ports.iter().filter(|n| !n.is_clock) {
            let key = format!("{}${}", child.name, net.name);
            let text = match self.pins.get(&key) {
                Some((stmt, loop_var)) => self.pin(stmt, loop_var.as_deref(), at, var),
                None => self.connection(&key, at, var),
            };
            let name = port(net);
            let same = text == name;
            pins.push((name, (!same).then_some(text)));
        }
        let width = pins.iter().filter(|p| p.1.is_some()).map(|p| p.0.len()).max().unwrap_or(0);
        let lines = pins.iter().map(|(name, text)| match text {
            None => format!("{pad}  .{name}"),
            Some(text) => format!("{pad}  .{name:width$} ({text})"),
        });
        let lines = lines.collect::<Vec<_>>().join(",\n");
        let suffix =
            if child.kinds.len() > 1 && var.is_none() { format!("_{at}") } else { String::new() };
        format!("{pad}{module} u_{}{suffix} (\n{lines}\n{pad});\n", child.name)
    }

    /// The expression at a child's input, for instance `at` or the generate variable `genvar`.
    fn pin(&self, stmt: &Stmt, var: Option<&str>, at: usize, genvar: Option<&str>) -> String {
        let stmt = match (var, genvar) {
            (Some(var), None) => substitute(stmt, var, at),
            _ => stmt.clone(),
        };
        let Stmt::Assign(target, value) = &stmt else { return String::new() };
        let ty = self.names.signal(target).ty;
        let text = self.printer().connection(value, ty);
        match (var, genvar) {
            (Some(var), Some(_)) => rename_var(&text, var),
            _ => text,
        }
    }

    /// The part of a port's net that belongs to one instance.
    fn connection(&self, key: &str, at: usize, var: Option<&str>) -> String {
        let Some(signal) = self.names.by_key(key) else {
            panic!("{}: no signal {key}", self.scope.card.module)
        };
        let part = signal.ty.width * signal.per_child as u32;
        let net = &signal.net;
        match var {
            _ if part == signal.bits() => net.clone(),
            Some(var) if part == 1 => format!("{net}[{var}]"),
            Some(var) => format!("{net}[{part}*{var} +: {part}]"),
            None if part == 1 => format!("{net}[{at}]"),
            None => {
                let low = part * at as u32;
                format!("{net}[{}:{low}]", low + part - 1)
            }
        }
    }
}

/// The loop variable of a kernel as the generate variable.
fn rename_var(text: &str, var: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_alphanumeric() || c == '_' || c == '\'' || c == '$' {
            word.push(c);
            continue;
        }
        out += if word == var { "i" } else { &word };
        word.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}
