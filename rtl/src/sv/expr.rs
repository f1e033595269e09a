//! Expressions: their types, and their text in the width of their context.
//!
//! The rule is that of [`crate::hdl::Word`]: an expression is computed in the width of the wire it
//! drives or of the wider side of a comparison. Operands narrower than that are cast where they
//! stand, so no tool has to know the rule.

use super::names::{Entry, Names};
use crate::hdl::tree::{Expr, Index, Op, Ref, Unary};
use crate::hdl::{s, u, Ty};

/// A printed expression, and the operator at its root if it needs grouping.
struct Text {
    text: String,
    op: Option<Op>,
}

fn atom(text: String) -> Text {
    Text { text, op: None }
}

impl Text {
    /// As an operand: grouped unless it is an atom.
    fn grouped(self) -> String {
        match self.op {
            Some(_) => format!("({})", self.text),
            None => self.text,
        }
    }

    /// As the left operand of `op`: a chain of one operator needs no grouping.
    fn left_of(self, op: Op) -> String {
        let chain = matches!(op, Op::Add | Op::And | Op::Or | Op::Xor | Op::LogicalAnd)
            || op == Op::LogicalOr;
        if self.op == Some(op) && chain {
            self.text
        } else {
            self.grouped()
        }
    }
}

/// Prints the expressions of one module.
pub struct Printer<'a> {
    /// Its names.
    pub names: &'a Names,
    /// Its module name, for messages.
    pub module: &'a str,
    /// The width of what is driven, if it has a name.
    pub width: Option<(u32, &'a str)>,
}

impl Printer<'_> {
    fn fail(&self, what: &str, e: &Expr) -> ! {
        panic!("{}: {what}: {e:?}", self.module)
    }

    /// The type of an expression; `None` for a literal, which takes its neighbour's.
    pub fn ty(&self, e: &Expr) -> Option<Ty> {
        match e {
            Expr::Ref(r) => match self.names.get(r)? {
                Entry::Signal(s) => Some(s.ty),
                Entry::Constant(_) => None,
                Entry::Ones(ty) => Some(*ty),
                Entry::State(_, ty) => Some(*ty),
            },
            Expr::Lit(_) => None,
            Expr::Cast(e, n) => {
                Some(Ty { width: *n, signed: self.ty(e).is_some_and(|t| t.signed) })
            }
            Expr::Signed(e) => self.ty(e).map(|t| s(t.width)),
            Expr::Unsigned(e) => self.ty(e).map(|t| u(t.width)),
            Expr::Binary(op, a, b) => match op {
                Op::Shl | Op::Shr => self.ty(a),
                Op::Add | Op::Sub | Op::Mul | Op::And | Op::Or | Op::Xor => self.meet(e, a, b),
                _ => Some(u(1)),
            },
            Expr::Unary(Unary::Not | Unary::Neg, e) => self.ty(e),
            Expr::Unary(..) | Expr::Bit(..) => Some(u(1)),
            // A count is as wide as its cell made it; it drives nothing else.
            Expr::Popcount(_) => None,
        }
    }

    /// The type in which two operands meet.
    fn meet(&self, at: &Expr, a: &Expr, b: &Expr) -> Option<Ty> {
        match (self.ty(a), self.ty(b)) {
            (Some(a), Some(b)) => {
                if a.signed != b.signed {
                    self.fail("operands of unlike sign", at);
                }
                Some(Ty { width: a.width.max(b.width), signed: a.signed })
            }
            (a, b) => a.or(b),
        }
    }

    /// The expression as the value of a net of type `want`.
    pub fn value(&self, e: &Expr, want: Ty) -> String {
        if let Some(ty) = self.ty(e) {
            if ty.signed != want.signed || ty.width > want.width {
                self.fail(&format!("{ty:?} drives {want:?}"), e);
            }
        }
        match e {
            Expr::Lit(0) if want.width > 1 => "'0".into(),
            Expr::Ref(r) if want.width > 1 && self.is_all_ones(r, want) => "'1".into(),
            // At equal width the sign of what is assigned does not matter.
            Expr::Ref(r) if self.ty(e) == Some(want) => match self.names.get(r) {
                Some(Entry::Signal(_)) => self.target(r),
                _ => self.print(e, want).text,
            },
            _ => self.print(e, want).text,
        }
    }

    /// The expression at a port of a type: a cut as a part select and a whole signal without a
    /// change of sign, as Yosys takes a cast there for its operand. (A connection has no sign.)
    pub fn connection(&self, e: &Expr, want: Ty) -> String {
        let mut bare = e;
        loop {
            bare = match bare {
                Expr::Signed(inner) | Expr::Unsigned(inner) => inner,
                Expr::Cast(inner, n) if *n == want.width => inner,
                Expr::Ref(r) if self.is_all_ones(r, want) => break,
                Expr::Ref(_) if self.ty(bare).is_some_and(|ty| ty.width == want.width) => {
                    return self.own(bare)
                }
                _ => break,
            };
        }
        match e {
            Expr::Cast(inner, n) if *n == want.width => {
                let part = self.cut(inner, *n).map(|(r, lo)| self.slice(r, lo, *n));
                part.unwrap_or_else(|| self.value(e, want))
            }
            Expr::Lit(0) => self.literal(0, want),
            _ => self.value(e, want),
        }
    }

    /// The low `n` bits of a signal, or of a signal shifted right, as a part select, which is
    /// unsigned: the signal and the lowest bit.
    fn cut<'e>(&self, e: &'e Expr, n: u32) -> Option<(&'e Ref, u32)> {
        let width = self.ty(e)?.width;
        match e {
            Expr::Ref(r) if n < width => Some((r, 0)),
            Expr::Binary(Op::Shr, a, b) => match (&**a, &**b) {
                (Expr::Ref(r), b) => {
                    let lo = self.number(b)?;
                    (lo + n <= width).then_some((r, lo))
                }
                _ => None,
            },
            Expr::Unsigned(e) | Expr::Signed(e) => self.cut(e, n),
            _ => None,
        }
    }

    /// An expression that is printed as a part of a net at a fixed place: the signal, the part's
    /// lowest bit in the net, and its type.
    pub fn part<'e>(&self, e: &'e Expr) -> Option<(&'e Ref, u32, Ty)> {
        let (r, lo, ty) = match e {
            Expr::Ref(r) => match self.names.get(r)? {
                Entry::Signal(s) => (r, 0, s.ty),
                _ => return None,
            },
            Expr::Bit(inner, at) => match &**inner {
                Expr::Ref(r) => (r, self.number(at)?, u(1)),
                _ => return None,
            },
            Expr::Unsigned(inner) => match &**inner {
                Expr::Cast(source, n) => self.cut(source, *n).map(|(r, lo)| (r, lo, u(*n)))?,
                _ => return None,
            },
            Expr::Cast(inner, n) if !self.ty(inner)?.signed => {
                self.cut(inner, *n).map(|(r, lo)| (r, lo, u(*n)))?
            }
            _ => return None,
        };
        let width = self.names.signal(r).ty.width;
        match self.names.element(r) {
            None => (ty.width < width).then_some((r, lo, ty)),
            Some(Index::Lit(at)) => Some((r, at as u32 * width + lo, ty)),
            Some(_) => None,
        }
    }

    /// A literal or constant.
    fn number(&self, e: &Expr) -> Option<u32> {
        match e {
            Expr::Lit(n) => u32::try_from(*n).ok(),
            Expr::Ref(r) => match self.names.get(r) {
                Some(Entry::Constant(n)) => u32::try_from(*n).ok(),
                _ => None,
            },
            _ => None,
        }
    }

    fn is_all_ones(&self, r: &Ref, want: Ty) -> bool {
        match self.names.get(r) {
            Some(Entry::Constant(x)) => {
                *x as i128 == u(want.width).wrap(-1) && self.names.label(r, want).is_none()
            }
            Some(Entry::Ones(ty)) => ty.width == want.width,
            _ => false,
        }
    }

    /// The expression in its own width.
    pub fn own(&self, e: &Expr) -> String {
        self.print(e, self.own_ty(e)).text
    }

    /// The expression in its own width, grouped if it is not an atom.
    pub fn operand(&self, e: &Expr) -> String {
        self.print(e, self.own_ty(e)).grouped()
    }

    fn own_ty(&self, e: &Expr) -> Ty {
        match self.ty(e) {
            Some(ty) => ty,
            None => self.fail("a bare literal has no width here", e),
        }
    }

    /// `text`, of width `from`, in the width of `want`.
    fn widen(&self, text: String, from: u32, want: Ty) -> Text {
        if from == want.width {
            return atom(text);
        }
        atom(match self.width {
            Some((bits, name)) if bits == want.width => format!("{name}'({text})"),
            _ => format!("{}'({text})", want.width),
        })
    }

    /// The expression computed in the width of `want`, which is at least its own.
    fn print(&self, e: &Expr, want: Ty) -> Text {
        match e {
            Expr::Ref(r) => match self.names.get(r) {
                None => atom(format!("{}'({})", want.width, r.0[0].0)),
                Some(Entry::Constant(x)) => match self.names.label(r, want) {
                    Some(label) => atom(label),
                    None => atom(self.literal(*x as i128, want)),
                },
                Some(Entry::Ones(ty)) => {
                    self.widen(format!("{{{}{{1'b1}}}}", ty.width), ty.width, want)
                }
                Some(Entry::State(label, _)) => atom(label.clone()),
                Some(Entry::Signal(s)) => self.widen(self.select(r), s.ty.width, want),
            },
            Expr::Lit(x) => atom(self.literal(*x, want)),
            Expr::Cast(inner, n) => self.cast(inner, *n, want),
            Expr::Signed(inner) => {
                let own = self.own_ty(inner);
                let text = if own.signed {
                    self.own(inner)
                } else {
                    format!("$signed({})", self.own(inner))
                };
                self.widen(text, own.width, want)
            }
            Expr::Unsigned(inner) => {
                let own = self.own_ty(inner);
                if let Expr::Cast(source, n) = &**inner {
                    if let Some((r, lo)) = self.cut(source, *n) {
                        return self.widen(self.slice(r, lo, *n), *n, want);
                    }
                }
                self.widen(format!("$unsigned({})", self.own(inner)), own.width, want)
            }
            Expr::Binary(op, a, b) => self.binary(e, *op, a, b, want),
            Expr::Unary(op, inner) => self.unary(*op, inner, want),
            Expr::Bit(inner, at) => self.widen(self.bit(inner, at), 1, want),
            Expr::Popcount(inner) => {
                atom(format!("{}'($countones({}))", want.width, self.own(inner)))
            }
        }
    }

    fn unary(&self, op: Unary, inner: &Expr, want: Ty) -> Text {
        let own = self.own_ty(inner);
        match op {
            Unary::Not if own == u(1) => {
                self.widen(format!("!{}", self.print(inner, own).grouped()), 1, want)
            }
            Unary::Not => atom(format!("~{}", self.print(inner, want).grouped())),
            Unary::Neg => atom(format!("-{}", self.print(inner, want).grouped())),
            Unary::All => self.widen(format!("&{}", self.print(inner, own).grouped()), 1, want),
            Unary::Any => self.widen(format!("|{}", self.print(inner, own).grouped()), 1, want),
            Unary::Xor => self.widen(format!("^{}", self.print(inner, own).grouped()), 1, want),
        }
    }

    fn binary(&self, e: &Expr, op: Op, a: &Expr, b: &Expr, want: Ty) -> Text {
        let symbol = match op {
            Op::Add => "+",
            Op::Sub => "-",
            Op::Mul => "*",
            Op::And => "&",
            Op::Or => "|",
            Op::Xor => "^",
            Op::Shl => "<<",
            Op::Shr if self.own_ty(a).signed => ">>>",
            Op::Shr => ">>",
            Op::LogicalAnd => "&&",
            Op::LogicalOr => "||",
            Op::Eq => "==",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Ge => ">=",
            Op::Gt => ">",
        };
        match op {
            Op::Add | Op::Sub | Op::Mul | Op::And | Op::Or | Op::Xor => {
                let ty = self.meet(e, a, b).unwrap_or(want);
                let ty = Ty { width: want.width, signed: ty.signed };
                let (a, b) = (self.print(a, ty), self.print(b, ty));
                let text = format!("{} {symbol} {}", a.left_of(op), b.grouped());
                Text { text, op: Some(op) }
            }
            Op::Shl | Op::Shr => {
                let own = self.own_ty(a);
                let leaf = matches!(a, Expr::Ref(_));
                if op == Op::Shr && want.width > own.width && !leaf {
                    self.fail("a right shift in a wider context: name the operand first", e);
                }
                let left = self.print(a, Ty { width: want.width, signed: own.signed });
                let amount = match (self.number(b), b) {
                    (Some(n), _) => n.to_string(),
                    (None, Expr::Ref(r)) if self.names.get(r).is_none() => r.0[0].0.clone(),
                    (None, b) => self.print(b, self.own_ty(b)).grouped(),
                };
                Text { text: format!("{} {symbol} {amount}", left.grouped()), op: Some(op) }
            }
            _ => {
                let ty = match self.meet(e, a, b) {
                    Some(ty) => ty,
                    None => self.fail("a comparison of literals", e),
                };
                let (a, b) = (self.print(a, ty), self.print(b, ty));
                let text = format!("{} {symbol} {}", a.left_of(op), b.grouped());
                if want.width == 1 {
                    Text { text, op: Some(op) }
                } else {
                    self.widen(text, 1, want)
                }
            }
        }
    }

    fn cast(&self, inner: &Expr, n: u32, want: Ty) -> Text {
        let own = self.own_ty(inner);
        if n >= own.width {
            let leaf = matches!(inner, Expr::Ref(_) | Expr::Bit(..) | Expr::Signed(_));
            if n < want.width && !leaf {
                self.fail(
                    "a widened sum in a wider context: cast to the context, or name it",
                    inner,
                );
            }
            return self.print(inner, Ty { width: want.width, signed: own.signed });
        }
        let text = match self.cut(inner, n) {
            Some((r, lo)) if !own.signed => self.slice(r, lo, n),
            _ => format!("{n}'({})", self.own(inner)),
        };
        self.widen(text, n, want)
    }

    /// A literal of a type.
    pub fn literal(&self, x: i128, ty: Ty) -> String {
        let fits = ty.holds(x);
        assert!(fits, "{}: the literal {x} does not fit {ty:?}", self.module);
        let w = ty.width;
        match (ty.signed, x) {
            (true, i128::MIN..=-1) => format!("-{w}'sd{}", x.unsigned_abs()),
            (true, _) => format!("{w}'sd{x}"),
            (false, _) if w == 1 => format!("1'b{x}"),
            (false, _) if x >= 1 << 16 => {
                format!("{w}'h{x:0digits$x}", digits = w.div_ceil(4) as usize)
            }
            (false, _) => format!("{w}'d{x}"),
        }
    }

    /// A signal, or an element of one, as it is read: signed if its type is.
    fn select(&self, r: &Ref) -> String {
        let signal = self.names.signal(r);
        let text = self.target(r);
        if signal.ty.signed && text.ends_with(']') {
            format!("$signed({text})")
        } else {
            text
        }
    }

    /// A signal, or an element of one, as it is driven.
    pub fn target(&self, r: &Ref) -> String {
        let signal = self.names.signal(r);
        if self.names.element(r).is_none() {
            return signal.net.clone();
        }
        self.slice(r, 0, signal.ty.width)
    }

    /// `n` bits of a signal or an element, from its bit `lo`.
    pub fn slice(&self, r: &Ref, lo: u32, n: u32) -> String {
        let signal = self.names.signal(r);
        let (net, w) = (&signal.net, signal.ty.width);
        let range = |lo: u32| match n {
            1 => format!("{net}[{lo}]"),
            _ => format!("{net}[{}:{lo}]", lo + n - 1),
        };
        match self.names.element(r) {
            None if n == w => net.clone(),
            None => range(lo),
            Some(Index::Lit(at)) => {
                assert!(at < signal.count, "{}: {net} has no element {at}", self.module);
                range(at as u32 * w + lo)
            }
            Some(index) => {
                let base = self.scaled(&index, w);
                let base = if lo == 0 { base } else { format!("{base} + {lo}") };
                match n {
                    1 => format!("{net}[{base}]"),
                    _ => format!("{net}[{base} +: {n}]"),
                }
            }
        }
    }

    /// `w * index`.
    fn scaled(&self, index: &Index, w: u32) -> String {
        match (w, index) {
            (1, index) => self.index(index),
            (_, Index::Var(_) | Index::Signal(_)) => format!("{w}*{}", self.index(index)),
            _ => format!("{w}*({})", self.index(index)),
        }
    }

    fn index(&self, index: &Index) -> String {
        let group = |i: &Index| match i {
            Index::Add(..) | Index::Sub(..) => format!("({})", self.index(i)),
            _ => self.index(i),
        };
        match index {
            Index::Lit(n) => n.to_string(),
            Index::Var(v) => v.clone(),
            Index::Signal(r) => self.target(r),
            Index::Add(a, b) => format!("{} + {}", self.index(a), self.index(b)),
            Index::Sub(a, b) => format!("{} - {}", self.index(a), group(b)),
            Index::Mul(a, b) => format!("{}*{}", group(a), group(b)),
            Index::Const(name) => name.clone(),
        }
    }

    /// A bit of a signal.
    fn bit(&self, e: &Expr, at: &Expr) -> String {
        let Expr::Ref(r) = e else { self.fail("a bit of an expression: name it first", e) };
        let signal = self.names.signal(r);
        if let Some(lo) = self.number(at) {
            return self.slice(r, lo, 1);
        }
        let at = match at {
            Expr::Ref(v) if self.names.get(v).is_none() => v.0[0].0.clone(),
            at => self.own(at),
        };
        match self.names.element(r) {
            None => format!("{}[{at}]", signal.net),
            Some(index) => {
                format!("{}[{} + {at}]", signal.net, self.scaled(&index, signal.ty.width))
            }
        }
    }
}
