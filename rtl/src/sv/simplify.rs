//! Flags that a shape fixes are put in where they are read, so that a module does not speak of what
//! it does not have. Only single-bit locals with one unconditional constant driver are fixed.

use super::expr::Printer;
use super::names::{key, Names};
use super::process::touch;
use crate::hdl::tree::{Expr, NetKind, Op, Scope, Stmt, Unary};
use crate::hdl::u;
use std::collections::{BTreeMap, BTreeSet};

/// The statements without fixed flags, and the flags that are gone.
pub fn simplify(
    scope: &Scope,
    names: &Names,
    mut body: Vec<Stmt>,
) -> (Vec<Stmt>, BTreeSet<String>) {
    let flags: BTreeSet<String> = scope
        .nets
        .iter()
        .filter(|n| n.kind == NetKind::Local && n.ty == u(1) && n.count.unwrap_or(1) == 1)
        .filter(|n| n.states.is_empty())
        .map(|n| n.name.clone())
        .collect();
    let mut gone = BTreeSet::new();
    let types = Printer { names, module: &scope.card.module, width: None };
    loop {
        body = chain(body, &flags, &types);
        let fixed = fixed(&body, &flags, names);
        let next = block(&body, &fixed, &types);
        let mut reads = BTreeSet::new();
        let mut writes = BTreeSet::new();
        next.iter().for_each(|s| touch(s, names, &mut reads, &mut writes));
        let dead: BTreeSet<&String> = fixed.keys().filter(|f| !reads.contains(*f)).collect();
        let next: Vec<Stmt> = next
            .into_iter()
            .filter(|s| !matches!(s, Stmt::Assign(t, _) if dead.contains(&key(t))))
            .collect();
        gone.extend(dead.into_iter().cloned());
        if next == body {
            return (next, gone);
        }
        body = next;
    }
}

/// Flags with one driver, a constant, on the top level.
fn fixed(body: &[Stmt], flags: &BTreeSet<String>, names: &Names) -> BTreeMap<String, bool> {
    let mut drivers: BTreeMap<String, usize> = BTreeMap::new();
    let mut values = BTreeMap::new();
    for stmt in body {
        let (mut reads, mut writes) = (BTreeSet::new(), BTreeSet::new());
        touch(stmt, names, &mut reads, &mut writes);
        for net in writes {
            *drivers.entry(net).or_default() += 1;
        }
        if let Stmt::Assign(target, Expr::Lit(x)) = stmt {
            values.insert(key(target), *x != 0);
        }
    }
    values.retain(|flag, _| flags.contains(flag) && drivers.get(flag) == Some(&1));
    values
}

/// `x = constant; x = f(x);` is `x = f(constant);`.
fn chain(body: Vec<Stmt>, flags: &BTreeSet<String>, types: &Printer) -> Vec<Stmt> {
    let mut out: Vec<Stmt> = vec![];
    for stmt in body {
        let before = match (out.last(), &stmt) {
            (Some(Stmt::Assign(first, Expr::Lit(x))), Stmt::Assign(second, _)) => {
                (first == second && flags.contains(&key(first))).then(|| (key(first), *x != 0))
            }
            _ => None,
        };
        match (before, stmt) {
            (Some((flag, x)), Stmt::Assign(target, value)) => {
                out.pop();
                out.push(Stmt::Assign(target, expr(&value, &BTreeMap::from([(flag, x)]), types)));
            }
            (_, stmt) => out.push(stmt),
        }
    }
    out
}

fn block(body: &[Stmt], fixed: &BTreeMap<String, bool>, types: &Printer) -> Vec<Stmt> {
    let mut out = vec![];
    for stmt in body {
        match stmt {
            Stmt::Assign(t, e) => out.push(Stmt::Assign(t.clone(), expr(e, fixed, types))),
            Stmt::If(test, a, b) => {
                let (test, a, b) =
                    (expr(test, fixed, types), block(a, fixed, types), block(b, fixed, types));
                match test {
                    Expr::Lit(0) => out.extend(b),
                    Expr::Lit(_) => out.extend(a),
                    test => out.push(Stmt::If(test, a, b)),
                }
            }
            Stmt::Case(e, cases) => {
                let cases =
                    cases.iter().map(|(label, body)| (label.clone(), block(body, fixed, types)));
                out.push(Stmt::Case(e.clone(), cases.collect()));
            }
            Stmt::For { var, from, to, body } => {
                let body = block(body, fixed, types);
                out.push(Stmt::For { var: var.clone(), from: *from, to: *to, body });
            }
            Stmt::Comment(c) => out.push(Stmt::Comment(c.clone())),
        }
    }
    out
}

fn flag_of(e: &Expr, fixed: &BTreeMap<String, bool>) -> Option<bool> {
    match e {
        Expr::Ref(r) => fixed.get(&key(r)).copied(),
        _ => None,
    }
}

/// Puts flags in where a truth value stands: alone, negated, or joined with others.
fn expr(e: &Expr, fixed: &BTreeMap<String, bool>, types: &Printer) -> Expr {
    if let Some(x) = flag_of(e, fixed) {
        return Expr::Lit(x as i128);
    }
    match e {
        Expr::Unary(Unary::Not, inner) => match (flag_of(inner, fixed), &**inner) {
            (Some(x), _) => Expr::Lit(!x as i128),
            (None, Expr::Binary(Op::And | Op::Or | Op::LogicalAnd | Op::LogicalOr, ..)) => {
                match expr(inner, fixed, types) {
                    Expr::Lit(x) => Expr::Lit((x == 0) as i128),
                    inner => Expr::Unary(Unary::Not, Box::new(inner)),
                }
            }
            _ => e.clone(),
        },
        Expr::Binary(op @ (Op::And | Op::Or | Op::LogicalAnd | Op::LogicalOr), a, b) => {
            let (x, y) = (expr(a, fixed, types), expr(b, fixed, types));
            // The neighbour of a flag may be a word; then the flag is a word too.
            if (x == **a && y == **b) || types.ty(e) != Some(u(1)) {
                return e.clone();
            }
            let is_and = matches!(op, Op::And | Op::LogicalAnd);
            match (x, y) {
                (Expr::Lit(l), other) | (other, Expr::Lit(l)) => match (is_and, l != 0) {
                    (true, true) | (false, false) => other,
                    (true, false) => Expr::Lit(0),
                    (false, true) => Expr::Lit(1),
                },
                (x, y) => Expr::Binary(*op, Box::new(x), Box::new(y)),
            }
        }
        _ => e.clone(),
    }
}

#[cfg(test)]
mod tests {
    use crate::hdl::prelude::*;
    use crate::sv::{emit, Provenance};

    /// A word, and bits that a constant flag gates.
    #[derive(LogicBlock)]
    struct Gates {
        x: Wire<In>,
        a: Signal<In, Bit>,
        word: Wire<Out>,
        both: Signal<Out, Bit>,
        either: Signal<Out, Bit>,
        chosen: Signal<Out, Bit>,
        never: Signal<Local, Bit>,
        always: Signal<Local, Bit>,
    }

    impl Logic for Gates {
        #[hdl_gen]
        fn update(&mut self) {
            self.never.next = false;
            self.always.next = true;
            self.always.next = self.always.val() & !self.never.val();
            self.word.next = self.x.val() & self.always.val().into();
            self.both.next = self.a.val() & self.always.val();
            self.either.next = self.a.val() | !self.never.val();
            self.chosen.next = self.a.val();
            if self.never.val() {
                self.chosen.next = false;
            }
        }
    }

    impl Unit for Gates {
        fn module(&self) -> String {
            "pimc_gates".into()
        }
        fn contract(&self) -> Contract {
            Contract::default()
        }
    }

    #[test]
    fn fixed_flags_are_put_in_and_words_left_alone() {
        let mut uut = Inst::new(Gates {
            x: Wire::new(u(4)),
            a: Signal::default(),
            word: Wire::new(u(4)),
            both: Signal::default(),
            either: Signal::default(),
            chosen: Signal::default(),
            never: Signal::default(),
            always: Signal::default(),
        });
        let text = &emit(&uut, &Provenance::default())[0].text;
        for line in
            ["both_o = a_i;", "either_o = 1'b1;", "chosen_o = a_i;", "word_o = x_i & 4'(always);"]
        {
            assert!(text.contains(&format!("  assign {line}\n")), "{line}\n{text}");
        }
        assert!(!text.contains("never"), "{text}");
        uut.x.set(15);
        settle(&mut uut);
        assert_eq!(uut.word.get(), 1, "the simulation agrees that the flag is one bit");
    }
}
