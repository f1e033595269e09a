//! From references of a kernel to nets of the module.

use crate::hdl::tree::{Cell, Child, ChildKind, Index, Net, NetKind, Ref, Scope, Stmt};
use crate::hdl::{u, Ty};
use std::collections::BTreeMap;

/// What a reference may name.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A net, or part of one.
    Signal(Signal),
    /// A constant.
    Constant(usize),
    /// A word of ones.
    Ones(Ty),
    /// A state of an enum: its label, and the enum's net type.
    State(String, Ty),
}

/// A net as seen by the kernel: `count` elements of type `ty`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The net's name in the module.
    pub net: String,
    /// Type of an element.
    pub ty: Ty,
    /// Elements; 1 is a plain net.
    pub count: usize,
    /// Elements per instance, when it is a port of a `Vec` of children.
    pub per_child: usize,
    /// Enum type, when it holds states.
    pub states: Option<String>,
    /// The name of its width, if it has one.
    pub width: Option<String>,
    /// It is a clock, and not written out.
    pub is_clock: bool,
}

impl Signal {
    /// Bits of the whole net.
    pub fn bits(&self) -> u32 {
        self.ty.width * self.count as u32
    }
}

/// Every name that a module's kernel may use.
pub struct Names {
    entries: BTreeMap<String, Entry>,
    /// Constants with a name in the module: its name, width and value.
    labels: BTreeMap<String, (String, u32, usize)>,
    module: String,
}

/// `PlainName` or `plainName` to `plain_name`.
pub fn snake(name: &str) -> String {
    let mut out = String::new();
    for (at, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// The name of a port: `_i` or `_o` behind the field's name.
pub fn port(net: &Net) -> String {
    match net.kind {
        _ if net.is_clock => "clk_i".into(),
        NetKind::Input => format!("{}_i", net.name),
        _ => format!("{}_o", net.name),
    }
}

/// A reference without its indices.
pub fn key(r: &Ref) -> String {
    r.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join("$")
}

impl Names {
    /// The names of a scope.
    pub fn new(scope: &Scope) -> Names {
        let mut names = Names {
            entries: BTreeMap::new(),
            labels: BTreeMap::new(),
            module: scope.card.module.clone(),
        };
        for net in &scope.nets {
            let name = match net.kind {
                NetKind::Local => net.name.clone(),
                _ => port(net),
            };
            names.add(net.name.clone(), name, net, 1);
            names.label_width(scope, &net.name, &net.name);
        }
        for child in &scope.children {
            for net in &child.ports {
                let name = child_net(child, net);
                let key = format!("{}${}", child.name, net.name);
                names.add(key.clone(), name, net, child.kinds.len());
                if matches!(child.kinds[0], ChildKind::Cell(Cell::Register { .. })) && !net.is_clock
                {
                    names.label_width(scope, &child.name, &key);
                }
            }
        }
        names
    }

    /// Names the width of the signal under `key` of a field, if it is the proven one.
    fn label_width(&mut self, scope: &Scope, field: &str, key: &str) {
        let proven = scope.card.proven_width.as_ref().filter(|w| w.fields.contains(&field));
        let (Some(proven), Some(Entry::Signal(signal))) = (proven, self.entries.get_mut(key))
        else {
            return;
        };
        assert_eq!(signal.bits(), proven.bits, "{}: {field} is {}", self.module, proven.name);
        signal.width = Some(proven.name.to_string());
    }

    fn add(&mut self, key: String, name: String, net: &Net, children: usize) {
        if let NetKind::Constant(x) = net.kind {
            if net.ty.width < usize::BITS {
                let label = net.name.to_ascii_uppercase();
                self.labels.insert(key.clone(), (label, net.ty.width, x));
            }
            self.entries.insert(key, Entry::Constant(x));
            return;
        }
        if net.kind == NetKind::Ones {
            self.entries.insert(key, Entry::Ones(net.ty));
            return;
        }
        let mut states = None;
        for state in &net.states {
            let (ty, label) = state.split_once('$').unwrap_or(("state", state));
            states = Some(format!("{}_e", snake(ty)));
            let label = format!("St{label}");
            self.entries.insert(state.clone(), Entry::State(label, net.ty));
        }
        let per_child = net.count.unwrap_or(1);
        let signal = Signal {
            net: name,
            ty: net.ty,
            count: per_child * children,
            per_child,
            states,
            width: None,
            is_clock: net.is_clock,
        };
        self.entries.insert(key, Entry::Signal(signal));
    }

    /// Adds a net that the kernel has not.
    pub fn add_local(&mut self, name: &str, ty: Ty) {
        let signal = Signal {
            net: name.to_string(),
            ty,
            count: 1,
            per_child: 1,
            states: None,
            width: None,
            is_clock: false,
        };
        self.entries.insert(name.to_string(), Entry::Signal(signal));
    }

    /// Whether a net or an entry is called `name`.
    pub fn is_taken(&self, name: &str) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|(k, e)| k == name || matches!(e, Entry::Signal(s) if s.net == name))
    }

    /// Gives a signal another net: a child's output that is this module's `net`.
    pub fn rename(&mut self, key: &str, net: &str) {
        if let Some(Entry::Signal(s)) = self.entries.get_mut(key) {
            s.net = net.to_string();
        }
    }

    /// What a reference names; `None` for a loop variable.
    pub fn get(&self, r: &Ref) -> Option<&Entry> {
        self.entries.get(&key(r))
    }

    /// The name of a constant, where it is used in its own width.
    pub fn label(&self, r: &Ref, want: Ty) -> Option<String> {
        let (label, width, _) = self.labels.get(&key(r))?;
        (want == u(*width)).then(|| label.clone())
    }

    /// The named constants: name, width, value.
    pub fn labels(&self) -> Vec<&(String, u32, usize)> {
        let mut labels: Vec<_> = self.labels.values().collect();
        labels.sort_by_key(|l| (l.1, l.2));
        labels
    }

    /// The signal a reference names.
    pub fn signal(&self, r: &Ref) -> &Signal {
        match self.get(r) {
            Some(Entry::Signal(s)) => s,
            _ => panic!("{}: no signal {}", self.module, key(r)),
        }
    }

    /// The signal under a key.
    pub fn by_key(&self, key: &str) -> Option<&Signal> {
        match self.entries.get(key) {
            Some(Entry::Signal(s)) => Some(s),
            _ => None,
        }
    }

    /// The element a reference selects, as an index into its net; `None` when it names the whole.
    pub fn element(&self, r: &Ref) -> Option<Index> {
        let signal = self.signal(r);
        if signal.count == 1 {
            return None;
        }
        let mut indices = r.0.iter().filter_map(|(_, i)| i.clone());
        let first = indices.next()?;
        let index = match indices.next() {
            Some(second) => {
                let stride = Box::new(Index::Lit(signal.per_child));
                let base =
                    if signal.per_child == 1 { first } else { Index::Mul(stride, Box::new(first)) };
                Index::Add(Box::new(base), Box::new(second))
            }
            None => first,
        };
        Some(self.fold(index))
    }

    /// Constants put in, sums and products of numbers carried out.
    pub fn fold(&self, index: Index) -> Index {
        let pair = |a: Index, b: Index| (self.fold(a), self.fold(b));
        match index {
            Index::Const(name) => match self.entries.get(&name.replace('.', "$")) {
                Some(Entry::Constant(x)) => Index::Lit(*x),
                _ => panic!("{}: {name} in an index is not a `Const`", self.module),
            },
            Index::Add(a, b) => match pair(*a, *b) {
                (Index::Lit(a), Index::Lit(b)) => Index::Lit(a + b),
                (Index::Lit(0), b) => b,
                (a, Index::Lit(0)) => a,
                (a, b) => Index::Add(Box::new(a), Box::new(b)),
            },
            Index::Sub(a, b) => match pair(*a, *b) {
                (Index::Lit(a), Index::Lit(b)) => Index::Lit(a - b),
                (a, Index::Lit(0)) => a,
                (a, b) => Index::Sub(Box::new(a), Box::new(b)),
            },
            Index::Mul(a, b) => match pair(*a, *b) {
                (Index::Lit(a), Index::Lit(b)) => Index::Lit(a * b),
                (Index::Lit(0), _) | (_, Index::Lit(0)) => Index::Lit(0),
                (Index::Lit(1), b) => b,
                (a, Index::Lit(1)) => a,
                (a, b) => Index::Mul(Box::new(a), Box::new(b)),
            },
            other => other,
        }
    }
}

/// The net in the parent that a child's port is.
fn child_net(child: &Child, port: &Net) -> String {
    let name = &child.name;
    match &child.kinds[0] {
        ChildKind::Cell(Cell::Register { .. }) => format!("{name}_{}", port.name),
        ChildKind::Cell(
            Cell::Popcount | Cell::Table { .. } | Cell::Split | Cell::Join | Cell::Unused { .. },
        ) => name.clone(),
        _ => format!("{name}_{}", port.name),
    }
}

/// The nets that a child adds to its parent: name and declaration.
pub fn child_decls(child: &Child, names: &Names) -> Vec<(String, Decl)> {
    let signal = |port: &str| names.by_key(&format!("{}${port}", child.name));
    let pick: Vec<&str> = match &child.kinds[0] {
        ChildKind::Cell(Cell::Popcount | Cell::Table { .. }) => vec!["y"],
        ChildKind::Cell(Cell::Split) => vec!["x"],
        ChildKind::Cell(Cell::Join) => vec!["y"],
        // One is the parity of its bits, several are the words themselves.
        ChildKind::Cell(Cell::Unused { .. }) if child.kinds.len() == 1 => {
            return vec![(child.name.clone(), Decl { ty: u(1), states: None, width: None })];
        }
        ChildKind::Cell(Cell::Unused { used }) => {
            let (module, name) = (&names.module, &child.name);
            assert!(*used == 0, "{module}: several `Unused` of a part of a word: {name}");
            vec!["x"]
        }
        _ => child.ports.iter().filter(|p| !p.is_clock).map(|p| p.name.as_str()).collect(),
    };
    pick.into_iter().filter_map(signal).map(|s| (s.net.clone(), Decl::of(s))).collect()
}

/// How a net is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decl {
    /// Type of the whole net.
    pub ty: Ty,
    /// Enum type.
    pub states: Option<String>,
    /// Name of its width.
    pub width: Option<String>,
}

impl Decl {
    /// Of a whole net.
    pub fn of(s: &Signal) -> Decl {
        Decl { ty: whole_type(s), states: s.states.clone(), width: s.width.clone() }
    }
}

/// The type of a whole net: a vector of several elements is unsigned.
fn whole_type(s: &Signal) -> Ty {
    if s.count == 1 {
        s.ty
    } else {
        u(s.bits())
    }
}

/// Puts a number for a loop variable, everywhere in a statement.
pub fn substitute(stmt: &Stmt, var: &str, value: usize) -> Stmt {
    use crate::hdl::tree::{Expr, Op};
    fn index(i: &Index, var: &str, value: usize) -> Index {
        let two =
            |a: &Index, b: &Index| (Box::new(index(a, var, value)), Box::new(index(b, var, value)));
        match i {
            Index::Var(v) if v == var => Index::Lit(value),
            Index::Signal(r) => Index::Signal(Box::new(reference(r, var, value))),
            Index::Add(a, b) => {
                let (a, b) = two(a, b);
                Index::Add(a, b)
            }
            Index::Sub(a, b) => {
                let (a, b) = two(a, b);
                Index::Sub(a, b)
            }
            Index::Mul(a, b) => {
                let (a, b) = two(a, b);
                Index::Mul(a, b)
            }
            other => other.clone(),
        }
    }
    fn reference(r: &Ref, var: &str, value: usize) -> Ref {
        let segment = |(name, i): &(String, Option<Index>)| {
            (name.clone(), i.as_ref().map(|i| index(i, var, value)))
        };
        Ref(r.0.iter().map(segment).collect())
    }
    fn expr(e: &Expr, var: &str, value: usize) -> Expr {
        let boxed = |e: &Expr| Box::new(expr(e, var, value));
        match e {
            Expr::Ref(r) if r.0.len() == 1 && r.0[0] == (var.to_string(), None) => {
                Expr::Lit(value as i128)
            }
            Expr::Ref(r) => Expr::Ref(reference(r, var, value)),
            Expr::Lit(x) => Expr::Lit(*x),
            Expr::Cast(e, n) => Expr::Cast(boxed(e), *n),
            Expr::Signed(e) => Expr::Signed(boxed(e)),
            Expr::Unsigned(e) => Expr::Unsigned(boxed(e)),
            Expr::Binary(op, a, b) => match (*op, expr(a, var, value), expr(b, var, value)) {
                (Op::Add, Expr::Lit(a), Expr::Lit(b)) => Expr::Lit(a + b),
                (Op::Sub, Expr::Lit(a), Expr::Lit(b)) => Expr::Lit(a - b),
                (Op::Mul, Expr::Lit(a), Expr::Lit(b)) => Expr::Lit(a * b),
                (op, a, b) => Expr::Binary(op, Box::new(a), Box::new(b)),
            },
            Expr::Unary(op, e) => Expr::Unary(*op, boxed(e)),
            Expr::Bit(e, i) => Expr::Bit(boxed(e), boxed(i)),
            Expr::Popcount(e) => Expr::Popcount(boxed(e)),
        }
    }
    let all = |body: &[Stmt]| body.iter().map(|s| substitute(s, var, value)).collect();
    match stmt {
        Stmt::Assign(t, e) => Stmt::Assign(reference(t, var, value), expr(e, var, value)),
        Stmt::If(c, a, b) => Stmt::If(expr(c, var, value), all(a), all(b)),
        Stmt::Case(e, cases) => Stmt::Case(
            expr(e, var, value),
            cases.iter().map(|(label, body)| (label.clone(), all(body))).collect(),
        ),
        Stmt::For { var: inner, from, to, body } => {
            let body = if inner == var { body.clone() } else { all(body) };
            Stmt::For { var: inner.clone(), from: *from, to: *to, body }
        }
        Stmt::Comment(c) => Stmt::Comment(c.clone()),
    }
}
