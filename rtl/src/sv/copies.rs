//! Loops that only copy one vector to another, which are one assignment of the whole.

use super::names::{Entry, Names};
use crate::hdl::tree::{Expr, Index, Ref, Stmt};
use std::collections::BTreeMap;

/// A loop, or loops in each other, that copy every element of a vector to the same element of
/// another: the assignment of the whole.
pub fn whole(stmt: &Stmt, names: &Names) -> Option<Stmt> {
    let mut loops: BTreeMap<&str, usize> = BTreeMap::new();
    let mut inner = stmt;
    while let Stmt::For { var, from: 0, to, body } = inner {
        let [only] = &body[..] else { return None };
        loops.insert(var, *to);
        inner = only;
    }
    let Stmt::Assign(target, Expr::Ref(source)) = inner else { return None };
    let Some(Entry::Signal(from)) = names.get(source) else { return None };
    let to = names.signal(target);
    let (a, b) = (linear(&names.element(target)?)?, linear(&names.element(source)?)?);
    let same = a == b && to.ty == from.ty && to.count == from.count;
    (same && covers(&a, &loops, to.count))
        .then(|| Stmt::Assign(bare(target), Expr::Ref(bare(source))))
}

fn bare(r: &Ref) -> Ref {
    Ref(r.0.iter().map(|(name, _)| (name.clone(), None)).collect())
}

/// An index as a sum of loop variables times numbers, and a number.
#[derive(Debug, Default, PartialEq)]
struct Linear {
    factors: BTreeMap<String, usize>,
    offset: usize,
}

fn linear(index: &Index) -> Option<Linear> {
    match index {
        Index::Lit(n) => Some(Linear { offset: *n, ..Linear::default() }),
        Index::Var(v) => {
            Some(Linear { factors: BTreeMap::from([(v.clone(), 1)]), ..Linear::default() })
        }
        Index::Add(a, b) => {
            let (mut a, b) = (linear(a)?, linear(b)?);
            for (var, factor) in b.factors {
                *a.factors.entry(var).or_default() += factor;
            }
            a.offset += b.offset;
            Some(a)
        }
        Index::Mul(a, b) => {
            let (a, b) = (linear(a)?, linear(b)?);
            let (number, mut sum) = if a.factors.is_empty() { (a, b) } else { (b, a) };
            if !number.factors.is_empty() {
                return None;
            }
            sum.factors.values_mut().for_each(|f| *f *= number.offset);
            sum.offset *= number.offset;
            Some(sum)
        }
        Index::Sub(..) | Index::Const(_) | Index::Signal(_) => None,
    }
}

/// Whether the loops go through 0 to `count` - 1, each number once.
fn covers(index: &Linear, loops: &BTreeMap<&str, usize>, count: usize) -> bool {
    let mut factors: Vec<(usize, usize)> = vec![];
    for (var, to) in loops {
        match index.factors.get(*var) {
            Some(factor) => factors.push((*factor, *to)),
            None => return false,
        }
    }
    factors.sort_unstable();
    let mut reach = 1;
    for (factor, to) in factors {
        if factor != reach {
            return false;
        }
        reach *= to;
    }
    index.offset == 0 && index.factors.len() == loops.len() && reach == count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn var(name: &str) -> Box<Index> {
        Box::new(Index::Var(name.into()))
    }

    #[test]
    fn the_order_of_a_product_does_not_matter() {
        let lit = || Box::new(Index::Lit(4));
        let a = Index::Add(Box::new(Index::Mul(lit(), var("b"))), var("q"));
        let b = Index::Add(var("q"), Box::new(Index::Mul(var("b"), lit())));
        assert_eq!(linear(&a), linear(&b));
    }

    #[test]
    fn only_loops_over_everything_cover() {
        let lit = Box::new(Index::Lit(4));
        let index = Index::Add(Box::new(Index::Mul(lit, var("b"))), var("q"));
        let index = linear(&index).unwrap();
        assert!(covers(&index, &BTreeMap::from([("b", 16), ("q", 4)]), 64));
        assert!(!covers(&index, &BTreeMap::from([("b", 16), ("q", 3)]), 64));
        assert!(!covers(&index, &BTreeMap::from([("b", 15), ("q", 4)]), 64));
        assert!(!covers(&index, &BTreeMap::from([("b", 64)]), 64));
    }
}
