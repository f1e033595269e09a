//! Parts of signals at fixed places that a process reads, as nets of their own: Icarus takes the
//! whole signal where an `always_comb` reads `x[3]` or `x[7:4]`, and says sorry.

use super::expr::Printer;
use super::names::Names;
use super::process::Process;
use crate::hdl::tree::{Expr, Index, Ref, Stmt};
use crate::hdl::Ty;
use std::collections::BTreeMap;

/// The parts that have got a net, by the signal's net, lowest bit and type: the name of theirs.
#[derive(Debug, Default)]
pub struct Parts(BTreeMap<(String, u32, (u32, bool)), String>);

impl Parts {
    /// Names the parts that `process` reads, and reads those names. Returns the processes that drive
    /// the parts which no process before has named.
    pub fn take(&mut self, process: &mut Process, names: &mut Names, module: &str) -> Vec<Process> {
        let body = std::mem::take(&mut process.body);
        let mut taking = Taking { parts: self, names, module, process, drivers: vec![] };
        let body = taking.block(&body);
        let mut drivers = taking.drivers;
        process.body = body;
        // A banner stands above all that belongs to its process.
        if let Some(first) = drivers.first_mut() {
            first.comments = std::mem::take(&mut process.comments);
        }
        drivers
    }

    /// The nets of the parts, in the order of what they are parts of.
    pub fn nets(&self) -> impl Iterator<Item = &String> {
        self.0.values()
    }
}

/// The parts of one process.
struct Taking<'a> {
    parts: &'a mut Parts,
    names: &'a mut Names,
    module: &'a str,
    process: &'a Process,
    drivers: Vec<Process>,
}

impl Taking<'_> {
    fn block(&mut self, body: &[Stmt]) -> Vec<Stmt> {
        body.iter().map(|stmt| self.stmt(stmt)).collect()
    }

    fn stmt(&mut self, stmt: &Stmt) -> Stmt {
        match stmt {
            // A part that is driven is no trouble; its index is read.
            Stmt::Assign(target, value) => Stmt::Assign(self.indices(target), self.expr(value)),
            Stmt::If(test, a, b) => Stmt::If(self.expr(test), self.block(a), self.block(b)),
            Stmt::Case(e, cases) => {
                let e = self.expr(e);
                let cases = cases.iter().map(|(label, body)| (label.clone(), self.block(body)));
                Stmt::Case(e, cases.collect())
            }
            Stmt::For { var, from, to, body } => {
                Stmt::For { var: var.clone(), from: *from, to: *to, body: self.block(body) }
            }
            Stmt::Comment(c) => Stmt::Comment(c.clone()),
        }
    }

    fn expr(&mut self, e: &Expr) -> Expr {
        let printer = Printer { names: self.names, module: self.module, width: None };
        if let Some((r, lo, ty)) = printer.part(e) {
            return Expr::Ref(self.name(&r.clone(), lo, ty, e));
        }
        let mut boxed = |e: &Expr| Box::new(self.expr(e));
        match e {
            Expr::Ref(r) => Expr::Ref(self.indices(r)),
            Expr::Lit(x) => Expr::Lit(*x),
            Expr::Cast(e, n) => Expr::Cast(boxed(e), *n),
            Expr::Signed(e) => Expr::Signed(boxed(e)),
            Expr::Unsigned(e) => Expr::Unsigned(boxed(e)),
            Expr::Binary(op, a, b) => Expr::Binary(*op, boxed(a), boxed(b)),
            Expr::Unary(op, e) => Expr::Unary(*op, boxed(e)),
            Expr::Bit(e, at) => Expr::Bit(boxed(e), boxed(at)),
            Expr::Popcount(e) => Expr::Popcount(boxed(e)),
        }
    }

    fn indices(&mut self, r: &Ref) -> Ref {
        let segment = |(name, index): &(String, Option<Index>)| {
            (name.clone(), index.as_ref().map(|i| self.index(i)))
        };
        Ref(r.0.iter().map(segment).collect())
    }

    fn index(&mut self, index: &Index) -> Index {
        let mut boxed = |i: &Index| Box::new(self.index(i));
        match index {
            Index::Add(a, b) => Index::Add(boxed(a), boxed(b)),
            Index::Sub(a, b) => Index::Sub(boxed(a), boxed(b)),
            Index::Mul(a, b) => Index::Mul(boxed(a), boxed(b)),
            Index::Signal(r) => match self.expr(&Expr::Ref((**r).clone())) {
                Expr::Ref(r) => Index::Signal(Box::new(r)),
                _ => index.clone(),
            },
            Index::Lit(_) | Index::Var(_) | Index::Const(_) => index.clone(),
        }
    }

    /// The net of the part `e`, which is of type `ty` and lies at bit `lo` of the net of `r`.
    fn name(&mut self, r: &Ref, lo: u32, ty: Ty, e: &Expr) -> Ref {
        let signal = self.names.signal(r);
        let net = signal.net.clone();
        let hi = lo + ty.width - 1;
        assert!(
            !self.process.writes.contains(&net),
            "{}: a process reads {net}[{hi}:{lo}] and drives {net}: read a signal of its own there",
            self.module
        );
        let key = (net.clone(), lo, (ty.width, ty.signed));
        if let Some(name) = self.parts.0.get(&key) {
            return Ref(vec![(name.clone(), None)]);
        }
        let word = signal.count > 1 && ty == signal.ty && lo % ty.width == 0;
        let place = match ty.width {
            1 => format!("{lo}"),
            width if word => format!("word_{}", lo / width),
            _ => format!("{hi}_{lo}"),
        };
        let short = net.strip_suffix("_i").or(net.strip_suffix("_q")).unwrap_or(&net);
        let name = [short, &net].into_iter().map(|base| format!("{base}_{place}"));
        let Some(name) = name.into_iter().find(|name| !self.names.is_taken(name)) else {
            panic!("{}: no name is left for {net}[{hi}:{lo}]", self.module)
        };
        self.names.add_local(&name, ty);
        self.parts.0.insert(key, name.clone());
        let part = Ref(vec![(name.clone(), None)]);
        self.drivers.push(Process {
            comments: vec![],
            body: vec![Stmt::Assign(part.clone(), e.clone())],
            writes: [name].into(),
        });
        part
    }
}
