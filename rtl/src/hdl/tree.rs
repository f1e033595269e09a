//! rust-hdl's hidden syntax tree, read once and turned into ours: the only place that knows it.

use super::unit::{take_card, Card};
use super::word::Ty;
use rust_hdl_core::ast::{
    BlackBox, Verilog, VerilogBlock, VerilogBlockOrConditional, VerilogConditional,
    VerilogExpression, VerilogLiteral, VerilogOp, VerilogOpUnary, VerilogStatement,
};
use rust_hdl_core::prelude::{Atom, AtomKind, Block, Probe, TypeKind};

/// The leaves that are not kernels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// `d` to `q` at the clock.
    Register {
        /// 0, or the first state, after reset.
        reset: bool,
    },
    /// Synchronous memory of `depth` words.
    Ram {
        /// Words.
        depth: usize,
    },
    /// y = count of ones of x.
    Popcount,
    /// y = word x of a table.
    Table {
        /// Its words; beyond them it is 0.
        words: Vec<u64>,
    },
    /// Parts y of the word x.
    Split,
    /// Word y of the parts x.
    Join,
    /// The bits of x from `used` up are read by nobody.
    Unused {
        /// The first of them.
        used: u32,
    },
}

const CELL: &str = "pimc cell ";

/// How a cell tells the visitor what it is.
pub(super) fn cell(cell: &Cell) -> Verilog {
    let name = match cell {
        Cell::Register { reset: true } => "register".into(),
        Cell::Register { reset: false } => "data".into(),
        Cell::Ram { depth } => format!("ram {depth}"),
        Cell::Popcount => "popcount".into(),
        Cell::Table { words } => {
            let words: Vec<String> = words.iter().map(u64::to_string).collect();
            format!("table {}", words.join(","))
        }
        Cell::Split => "split".into(),
        Cell::Join => "join".into(),
        Cell::Unused { used } => format!("unused {used}"),
    };
    Verilog::Blackbox(BlackBox { name: format!("{CELL}{name}"), code: String::new() })
}

fn read_cell(name: &str) -> Option<Cell> {
    Some(match name.strip_prefix(CELL)? {
        "register" => Cell::Register { reset: true },
        "data" => Cell::Register { reset: false },
        "popcount" => Cell::Popcount,
        "split" => Cell::Split,
        "join" => Cell::Join,
        other => match other.split_once(' ')? {
            ("ram", depth) => Cell::Ram { depth: depth.parse().ok()? },
            ("table", words) => {
                let words = words.split(',').map(str::parse).collect::<Result<_, _>>();
                Cell::Table { words: words.ok()? }
            }
            ("unused", used) => Cell::Unused { used: used.parse().ok()? },
            _ => return None,
        },
    })
}

/// What a net is to its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetKind {
    /// Input port.
    Input,
    /// Output port.
    Output,
    /// Local signal.
    Local,
    /// [`super::Const`].
    Constant(usize),
    /// Every bit is 1.
    Ones,
}

/// A signal of a block; a `Vec` of signals is one net with a count.
#[derive(Clone, Debug)]
pub struct Net {
    /// Field name.
    pub name: String,
    /// Its part.
    pub kind: NetKind,
    /// Type of it, or of one element.
    pub ty: Ty,
    /// Elements, when it is a `Vec`.
    pub count: Option<usize>,
    /// Clocks are wired by the back end.
    pub is_clock: bool,
    /// Names of the states, when it is an enum.
    pub states: Vec<String>,
}

/// What a child is.
#[derive(Clone, Debug)]
pub enum ChildKind {
    /// A leaf.
    Cell(Cell),
    /// A unit: the index of its scope in the design.
    Unit(usize),
}

/// A child of a block; a `Vec` of children is one child with a count.
#[derive(Clone, Debug)]
pub struct Child {
    /// Field name.
    pub name: String,
    /// What each of them is: all the same, or units of several shapes.
    pub kinds: Vec<ChildKind>,
    /// Whether it is a `Vec`.
    pub is_vec: bool,
    /// Its ports (of the first, when it is a `Vec`).
    pub ports: Vec<Net>,
}

/// One unit, elaborated.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Module name and header.
    pub card: Card,
    /// Its signals in the order of the fields.
    pub nets: Vec<Net>,
    /// Its children in the order of the fields.
    pub children: Vec<Child>,
    /// Its kernel.
    pub body: Vec<Stmt>,
}

/// A reference to a signal: field names, each with its index if it is an element of a `Vec`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ref(pub Vec<(String, Option<Index>)>);

/// An index in a reference or a select.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Index {
    /// A number.
    Lit(usize),
    /// A loop variable.
    Var(String),
    /// `NAME.val()` of a constant.
    Const(String),
    /// `signal.val().index()`.
    Signal(Box<Ref>),
    /// Sum.
    Add(Box<Index>, Box<Index>),
    /// Difference.
    Sub(Box<Index>, Box<Index>),
    /// Product.
    Mul(Box<Index>, Box<Index>),
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    LogicalAnd,
    LogicalOr,
    Eq,
    Ne,
    Lt,
    Le,
    Ge,
    Gt,
}

/// Unary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Unary {
    Not,
    Neg,
    All,
    Any,
    Xor,
}

/// An expression of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A signal, a constant or a loop variable.
    Ref(Ref),
    /// A literal.
    Lit(i128),
    /// `bit_cast`.
    Cast(Box<Expr>, u32),
    /// `signed_cast`.
    Signed(Box<Expr>),
    /// `unsigned_cast`.
    Unsigned(Box<Expr>),
    /// An operation on two.
    Binary(Op, Box<Expr>, Box<Expr>),
    /// An operation on one.
    Unary(Unary, Box<Expr>),
    /// `get_bit`.
    Bit(Box<Expr>, Box<Expr>),
    /// Count of ones; what a popcount cell becomes.
    Popcount(Box<Expr>),
}

/// A statement of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// `target.next = value`.
    Assign(Ref, Expr),
    /// `if`.
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// `match` on states; the label `default` is the wildcard.
    Case(Expr, Vec<(String, Vec<Stmt>)>),
    /// `for var in from..to`.
    For {
        /// Loop variable.
        var: String,
        /// First value.
        from: usize,
        /// Past the last value.
        to: usize,
        /// Body.
        body: Vec<Stmt>,
    },
    /// `comment!`.
    Comment(String),
}

/// Elaborates the tree under `block` into its units, leaves first.
///
/// # Panics
/// If a kernel holds what the back end does not know, with the name of the unit.
pub fn elaborate(block: &dyn Block) -> Vec<Scope> {
    take_card();
    let mut e = Elaborator::default();
    block.accept("top", &mut e);
    e.scopes
}

struct Open {
    name: String,
    card: Option<Card>,
    nets: Vec<Net>,
    children: Vec<Child>,
    code: Verilog,
}

#[derive(Default)]
struct Elaborator {
    stack: Vec<Open>,
    scopes: Vec<Scope>,
}

fn is_port(net: &Net) -> bool {
    matches!(net.kind, NetKind::Input | NetKind::Output)
}

/// `name$3` is element 3 of the `Vec` called name.
fn split_element(name: &str) -> (&str, Option<usize>) {
    match name.rsplit_once('$') {
        Some((base, at)) => (base, at.parse().ok()),
        None => (name, None),
    }
}

impl Probe for Elaborator {
    fn visit_start_scope(&mut self, name: &str, node: &dyn Block) {
        self.stack.push(Open {
            name: name.into(),
            card: take_card(),
            nets: vec![],
            children: vec![],
            code: node.hdl(),
        });
    }

    fn visit_atom(&mut self, name: &str, atom: &dyn Atom) {
        let Some(open) = self.stack.last_mut() else { return };
        let (name, at) = split_element(name);
        if at.is_some_and(|at| at > 0) {
            if let Some(net) = open.nets.iter_mut().find(|n| n.name == name) {
                net.count = net.count.map(|n| n + 1);
                assert_eq!(net.ty.width as usize, atom.bits(), "{name}: elements of unlike width");
                return;
            }
        }
        let d = atom.descriptor();
        let signed = matches!(d.kind, TypeKind::Signed(_));
        let kind = match atom.kind() {
            AtomKind::InputParameter => NetKind::Input,
            AtomKind::OutputParameter => NetKind::Output,
            AtomKind::LocalSignal => NetKind::Local,
            AtomKind::Constant if d.name == super::wire::ONES => NetKind::Ones,
            AtomKind::Constant => NetKind::Constant(literal(&atom.verilog()) as usize),
            other => panic!("{name}: a signal of kind {other:?}"),
        };
        let states = match d.kind {
            TypeKind::Enum(states) => states.iter().map(|n| n.replace("::", "$")).collect(),
            _ => vec![],
        };
        open.nets.push(Net {
            name: name.into(),
            kind,
            ty: Ty { width: atom.bits() as u32, signed },
            count: at.map(|_| 1),
            is_clock: d.name == "clock",
            states,
        });
    }

    fn visit_end_scope(&mut self, _: &str, _: &dyn Block) {
        let Some(open) = self.stack.pop() else { return };
        let kind = match (open.card, &open.code) {
            (Some(card), code) => {
                let body = match code {
                    Verilog::Combinatorial(block) => statements(&card.module, block),
                    Verilog::Empty => vec![],
                    other => panic!("{}: a unit is a kernel, not {other:?}", card.module),
                };
                let scope = Scope { card, nets: open.nets.clone(), children: open.children, body };
                ChildKind::Unit(self.add(scope))
            }
            (None, Verilog::Blackbox(b)) => match read_cell(&b.name) {
                Some(cell) => ChildKind::Cell(cell),
                None => panic!("{}: not a cell of ours: {}", open.name, b.name),
            },
            (None, _) => panic!("{}: a block in a unit is an `Inst` or a cell", open.name),
        };
        let Some(parent) = self.stack.last_mut() else { return };
        let (name, at) = split_element(&open.name);
        if at.is_some_and(|at| at > 0) {
            if let Some(child) = parent.children.iter_mut().find(|c| c.name == name) {
                child.kinds.push(kind);
                let widths = |nets: &[Net]| -> Vec<(Ty, Option<usize>)> {
                    nets.iter().filter(|n| is_port(n)).map(|n| (n.ty, n.count)).collect()
                };
                assert!(
                    widths(&child.ports) == widths(&open.nets),
                    "{name}: the instances of a `Vec` have ports of unlike width"
                );
                return;
            }
        }
        let ports =
            open.nets.into_iter().filter(|n| matches!(n.kind, NetKind::Input | NetKind::Output));
        parent.children.push(Child {
            name: name.into(),
            kinds: vec![kind],
            is_vec: at.is_some(),
            ports: ports.collect(),
        });
    }
}

impl Elaborator {
    /// Adds a unit, unless one of its name is there; they must then be the same.
    fn add(&mut self, scope: Scope) -> usize {
        let name = &scope.card.module;
        match self.scopes.iter().position(|s| s.card.module == *name) {
            Some(at) => {
                let known = &self.scopes[at];
                assert!(
                    known.body == scope.body && known.card.contract == scope.card.contract,
                    "{name}: two shapes under one name"
                );
                at
            }
            None => {
                self.scopes.push(scope);
                self.scopes.len() - 1
            }
        }
    }
}

/// Reads a kernel.
fn statements(unit: &str, block: &VerilogBlock) -> Vec<Stmt> {
    block.iter().flat_map(|s| statement(unit, s)).collect()
}

fn statement(unit: &str, statement: &VerilogStatement) -> Vec<Stmt> {
    match statement {
        VerilogStatement::Assignment(VerilogExpression::Signal(target), value) => {
            vec![Stmt::Assign(reference(unit, target), expression(unit, value))]
        }
        VerilogStatement::If(c) => vec![conditional(unit, c)],
        VerilogStatement::Match(m) => {
            let cases = m
                .cases
                .iter()
                .map(|c| (c.condition.replace("::", "$"), statements(unit, &c.block)));
            vec![Stmt::Case(expression(unit, &m.test), cases.collect())]
        }
        VerilogStatement::Loop(l) => vec![Stmt::For {
            var: l.index.clone(),
            from: l.from.as_usize(),
            to: l.to.as_usize(),
            body: statements(unit, &l.block),
        }],
        VerilogStatement::Macro(block) => statements(unit, block),
        VerilogStatement::Comment(text) => {
            // The macro's text as the compiler prints it: comment! ("...").
            let text = text.trim_start_matches(|c| c != '"').trim_start_matches('"');
            vec![Stmt::Comment(text.split('"').next().unwrap_or(text).into())]
        }
        other => panic!("{unit}: a statement the back end does not know: {other:?}"),
    }
}

fn conditional(unit: &str, c: &VerilogConditional) -> Stmt {
    let otherwise = match &c.otherwise {
        VerilogBlockOrConditional::None => vec![],
        VerilogBlockOrConditional::Block(b) => statements(unit, b),
        VerilogBlockOrConditional::Conditional(s) => statement(unit, s),
    };
    Stmt::If(expression(unit, &c.test), statements(unit, &c.then), otherwise)
}

fn expression(unit: &str, e: &VerilogExpression) -> Expr {
    let boxed = |e: &VerilogExpression| Box::new(expression(unit, e));
    match e {
        VerilogExpression::Signal(name) => Expr::Ref(reference(unit, name)),
        VerilogExpression::Literal(l) => Expr::Lit(literal(l)),
        VerilogExpression::Paren(e) => expression(unit, e),
        VerilogExpression::Cast(e, width) => Expr::Cast(boxed(e), *width as u32),
        VerilogExpression::Signed(e) => Expr::Signed(boxed(e)),
        VerilogExpression::Unsigned(e) => Expr::Unsigned(boxed(e)),
        VerilogExpression::Unary(op, e) => Expr::Unary(unary(op), boxed(e)),
        VerilogExpression::Binary(a, op, b) => Expr::Binary(binary(op), boxed(a), boxed(b)),
        VerilogExpression::Index(e, i) => Expr::Bit(boxed(e), boxed(i)),
        other => panic!("{unit}: an expression the back end does not know: {other:?}"),
    }
}

fn unary(op: &VerilogOpUnary) -> Unary {
    match op {
        VerilogOpUnary::Not => Unary::Not,
        VerilogOpUnary::Neg => Unary::Neg,
        VerilogOpUnary::All => Unary::All,
        VerilogOpUnary::Any => Unary::Any,
        VerilogOpUnary::Xor => Unary::Xor,
    }
}

fn binary(op: &VerilogOp) -> Op {
    match op {
        VerilogOp::Add => Op::Add,
        VerilogOp::Sub => Op::Sub,
        VerilogOp::Mul => Op::Mul,
        VerilogOp::LogicalAnd => Op::LogicalAnd,
        VerilogOp::LogicalOr => Op::LogicalOr,
        VerilogOp::BitXor => Op::Xor,
        VerilogOp::BitAnd => Op::And,
        VerilogOp::BitOr => Op::Or,
        VerilogOp::Shl => Op::Shl,
        VerilogOp::Shr => Op::Shr,
        VerilogOp::Eq => Op::Eq,
        VerilogOp::Lt => Op::Lt,
        VerilogOp::Le => Op::Le,
        VerilogOp::Ne => Op::Ne,
        VerilogOp::Ge => Op::Ge,
        VerilogOp::Gt => Op::Gt,
    }
}

/// A literal's fields are private; its text is `<bits>'<base><digits>`.
fn literal(l: &VerilogLiteral) -> i128 {
    let text = l.to_string();
    let digits = text.split_once('\'').map_or("", |(_, rest)| rest);
    let radix = if digits.starts_with('b') { 2 } else { 16 };
    i128::from_str_radix(digits.get(1..).unwrap_or(""), radix).unwrap_or(0)
}

/// Reads `lane[i]$acc$next`, the text that the kernel's path became.
fn reference(unit: &str, raw: &str) -> Ref {
    let text: String = raw.chars().filter(|c| !c.is_whitespace()).collect();
    let text = text.replace("::", "$");
    let text = text.strip_suffix("$next").unwrap_or(&text);
    let mut segments = vec![];
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(['$', '[']).unwrap_or(rest.len());
        let name = rest[..end].to_string();
        rest = &rest[end..];
        let mut index = None;
        if rest.starts_with('[') {
            let close = closing(rest).unwrap_or_else(|| panic!("{unit}: cannot read {raw}"));
            index = Some(parse_index(unit, &rest[1..close]));
            rest = &rest[close + 1..];
        }
        rest = rest.strip_prefix('$').unwrap_or(rest);
        segments.push((name, index));
    }
    Ref(segments)
}

/// Where the bracket or parenthesis that opens `text` closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, c)| {
        depth += matches!(c, '[' | '(') as i32 - matches!(c, ']' | ')') as i32;
        (depth == 0).then_some(at)
    })
}

/// Reads an index: sums and products of numbers, loop variables, `constant$val()` and
/// `signal$val()$index()`.
fn parse_index(unit: &str, text: &str) -> Index {
    if closing(text) == Some(text.len() - 1) && text.starts_with('(') {
        return parse_index(unit, &text[1..text.len() - 1]);
    }
    for ops in [['+', '-'], ['*', '*']] {
        // Split at the last operator outside parentheses, as operators are left-associative.
        let mut depth = 0;
        for (at, c) in text.char_indices().rev() {
            depth += matches!(c, ']' | ')') as i32 - matches!(c, '[' | '(') as i32;
            if depth == 0 && ops.contains(&c) {
                let a = Box::new(parse_index(unit, &text[..at]));
                let b = Box::new(parse_index(unit, &text[at + 1..]));
                return match c {
                    '+' => Index::Add(a, b),
                    '-' => Index::Sub(a, b),
                    _ => Index::Mul(a, b),
                };
            }
        }
    }
    if let Ok(n) = text.trim_end_matches("usize").parse() {
        return Index::Lit(n);
    }
    if let Some(signal) = text.strip_suffix("$val()$index()") {
        return Index::Signal(Box::new(reference(unit, signal)));
    }
    if let Some(name) = text.strip_suffix("$val()") {
        return Index::Const(name.into());
    }
    assert!(
        text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !text.starts_with('_'),
        "{unit}: an index the back end does not know: {text}"
    );
    Index::Var(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_with_their_indices() {
        let r = reference("unit", "lane[i * step$val() + 1usize]$acc$next");
        let product =
            Index::Mul(Box::new(Index::Var("i".into())), Box::new(Index::Const("step".into())));
        let index = Index::Add(Box::new(product), Box::new(Index::Lit(1)));
        assert_eq!(r, Ref(vec![("lane".into(), Some(index)), ("acc".into(), None)]));
        let r = reference("unit", "beats[beat$q$val()$index()]");
        let at = Ref(vec![("beat".into(), None), ("q".into(), None)]);
        assert_eq!(r, Ref(vec![("beats".into(), Some(Index::Signal(Box::new(at))))]));
    }

    #[test]
    fn differences_group_to_the_left() {
        let lit = |n| Box::new(Index::Lit(n));
        let left = Index::Sub(lit(9), lit(2));
        assert_eq!(parse_index("unit", "9-2-3"), Index::Sub(Box::new(left), lit(3)));
    }

    #[test]
    #[should_panic(expected = "does not know: _n")]
    fn a_hidden_field_in_an_index_is_refused() {
        parse_index("unit", "i*_n");
    }
}
