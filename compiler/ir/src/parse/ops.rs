//! Ops: from operands as written to [`OpKind`].

use super::resolve::{Global, Names};
use super::syntax::{Arg, ArgValue};
use super::types::{Attrs, Rule};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::module::{
    CacheId, Name, OpKind, Operand, ParamId, Scalar, ValueId, WeightId, ITERATIONS,
};

/// The form of every op, shown in messages.
const FORMS: &[(&str, &str)] = &[
    ("matvec", "`matvec @weight, %x`"),
    ("add", "`add %a, %b` or `add %a, @param`"),
    ("requant", "`requant %x, mul=M, shift=S`"),
    ("relu", "`relu %x`"),
    ("table", "`table %x, @param`"),
    ("argmax", "`argmax %x`"),
    ("concat", "`concat %a, %b, ..`"),
    ("slice", "`slice %x, start=S, len=L`"),
    ("append", "`append @cache, %k, %v, %n`"),
    ("attend", "`attend @cache, %q, %limit, mul=M, shift=S, frac=F`"),
    ("merge", "`merge %a, %b, dim=D, frac=F`"),
    ("cluster", "`cluster @cache, %keys, %values, %weights, %n`"),
];

/// The op that the line `%name = op args : type` means.
pub(super) fn op_kind(
    op: &Name,
    args: &[Arg],
    names: &Names,
    diags: &mut Diagnostics,
) -> Option<OpKind> {
    let Some(&(name, form)) = FORMS.iter().find(|(name, _)| *name == op.text) else {
        let known: Vec<&str> = FORMS.iter().map(|(name, _)| *name).collect();
        diags.push(
            Diagnostic::error(Code::P0107, format!("unknown op `{}`", op.text))
                .at(&op.span, "not an op")
                .help(format!("the ops are {}", known.join(", "))),
        );
        return None;
    };
    let rules: &[Rule] = match name {
        "requant" => &[Rule::int_or_global("mul"), Rule::int_or_global("shift")],
        "slice" => &[Rule::int("start"), Rule::int("len")],
        "attend" => &[Rule::int("mul"), Rule::int("shift"), Rule::int("frac"), Rule::flag("state")],
        "merge" => &[Rule::int("dim"), Rule::int("frac")],
        "cluster" => &[Rule::int("iterations").optional()],
        _ => &[],
    };
    let is_attr = |a: &&Arg| a.key.is_some() || matches!(a.value, ArgValue::Word(_));
    let operands: Vec<&Arg> = args.iter().filter(|a| !is_attr(a)).collect();
    let attrs =
        Attrs::read(&format!("`{name}`"), &op.span, rules, args.iter().filter(is_attr), diags)?;
    let count = match name {
        "matvec" | "add" | "table" | "merge" => 2..=2,
        "attend" => 3..=3,
        "append" => 4..=4,
        "cluster" => 5..=5,
        "concat" => 1..=usize::MAX,
        _ => 1..=1,
    };
    let mut reader = Reader { form, names, diags };
    if !count.contains(&operands.len()) {
        let d = Diagnostic::error(
            Code::P0111,
            format!("`{name}` does not take {} operands", operands.len()),
        );
        reader.diags.push(
            d.at(&op.span, format!("expected {form}")).help("docs/ops.md describes every op"),
        );
        return None;
    }
    Some(match name {
        "matvec" => {
            let (weight, x) = (reader.weight(operands[0]), reader.value(operands[1]));
            OpKind::Matvec { weight: weight?, x: x? }
        }
        "add" => {
            let a = reader.value(operands[0]);
            let b = match operands[1].value {
                ArgValue::Global(_) => reader.param(operands[1]).map(Operand::Param),
                _ => reader.value(operands[1]).map(Operand::Value),
            };
            OpKind::Add { a: a?, b: b? }
        }
        "requant" => {
            let x = reader.value(operands[0]);
            let (mul, shift) = (reader.scalar(&attrs, "mul"), reader.scalar(&attrs, "shift"));
            OpKind::Requant { x: x?, mul: mul?, shift: shift? }
        }
        "relu" => OpKind::Relu { x: reader.value(operands[0])? },
        "table" => {
            let (x, table) = (reader.value(operands[0]), reader.param(operands[1]));
            OpKind::Table { x: x?, table: table? }
        }
        "argmax" => OpKind::Argmax { x: reader.value(operands[0])? },
        "concat" => {
            let xs: Vec<Option<ValueId>> = operands.iter().map(|a| reader.value(a)).collect();
            OpKind::Concat { xs: xs.into_iter().collect::<Option<Vec<_>>>()? }
        }
        "append" => {
            let cache = reader.cache(operands[0]);
            let [k, v, n] = [1, 2, 3].map(|i| reader.value(operands[i]));
            OpKind::Append { cache: cache?, k: k?, v: v?, n: n? }
        }
        "attend" => {
            let cache = reader.cache(operands[0]);
            let [q, limit] = [1, 2].map(|i| reader.value(operands[i]));
            let [mul, shift, frac] =
                ["mul", "shift", "frac"].map(|key| attrs.word(key, reader.diags));
            OpKind::Attend {
                cache: cache?,
                q: q?,
                limit: limit?,
                mul: mul?,
                shift: shift?,
                frac: frac?,
                state: attrs.get("state").is_some(),
            }
        }
        "merge" => {
            let [a, b] = [0, 1].map(|i| reader.value(operands[i]));
            let (dim, frac) = (attrs.size("dim", reader.diags), attrs.word("frac", reader.diags));
            OpKind::Merge { a: a?, b: b?, dim: dim?, frac: frac? }
        }
        "cluster" => {
            let cache = reader.cache(operands[0]);
            let [k, v, weights, n] = [1, 2, 3, 4].map(|i| reader.value(operands[i]));
            let iterations = match attrs.get("iterations") {
                Some(_) => attrs.word("iterations", reader.diags)?,
                None => ITERATIONS,
            };
            OpKind::Cluster { cache: cache?, k: k?, v: v?, weights: weights?, n: n?, iterations }
        }
        _ => {
            let x = reader.value(operands[0]);
            let (start, len) = (reader.position(&attrs, "start"), reader.position(&attrs, "len"));
            OpKind::Slice { x: x?, start: start?, len: len? }
        }
    })
}

/// Reads operands of one op.
struct Reader<'a> {
    form: &'static str,
    names: &'a Names,
    diags: &'a mut Diagnostics,
}

impl Reader<'_> {
    fn wrong(&mut self, arg: &Arg, expected: &str) {
        let d = Diagnostic::error(Code::P0111, "operand of another kind");
        self.diags.push(
            d.at(&arg.span, format!("expected {expected}")).help(format!("write {}", self.form)),
        );
    }

    fn value(&mut self, arg: &Arg) -> Option<ValueId> {
        match &arg.value {
            ArgValue::Value(name) => self.names.value(name, &arg.span, self.diags),
            _ => {
                self.wrong(arg, "a value such as `%x`");
                None
            }
        }
    }

    fn weight(&mut self, arg: &Arg) -> Option<WeightId> {
        let ArgValue::Global(name) = &arg.value else {
            self.wrong(arg, "a weight such as `@w`");
            return None;
        };
        match self.names.global(name, &arg.span, self.diags)? {
            Global::Weight(id) => Some(id),
            _ => {
                self.wrong_kind(arg, name, "a weight");
                None
            }
        }
    }

    fn cache(&mut self, arg: &Arg) -> Option<CacheId> {
        let ArgValue::Global(name) = &arg.value else {
            self.wrong(arg, "a cache such as `@kv`");
            return None;
        };
        match self.names.global(name, &arg.span, self.diags)? {
            Global::Cache(id) => Some(id),
            _ => {
                self.wrong_kind(arg, name, "a cache");
                None
            }
        }
    }

    fn param(&mut self, arg: &Arg) -> Option<ParamId> {
        let ArgValue::Global(name) = &arg.value else {
            self.wrong(arg, "a parameter such as `@b`");
            return None;
        };
        match self.names.global(name, &arg.span, self.diags)? {
            Global::Param(id) => Some(id),
            _ => {
                self.wrong_kind(arg, name, "a parameter");
                None
            }
        }
    }

    fn wrong_kind(&mut self, arg: &Arg, name: &str, expected: &str) {
        self.diags.push(
            Diagnostic::error(Code::P0204, format!("`@{name}` is not {expected}"))
                .at(&arg.span, format!("expected {expected}"))
                .also(&self.names.declared(name), "declared here")
                .help(format!("write {}", self.form)),
        );
    }

    fn scalar(&mut self, attrs: &Attrs, key: &str) -> Option<Scalar> {
        match attrs.int(key) {
            Some((n, _)) => Some(Scalar::Const(n)),
            None => self.param(attrs.get(key)?).map(Scalar::Param),
        }
    }

    /// A place in a vector: not negative.
    fn position(&mut self, attrs: &Attrs, key: &str) -> Option<usize> {
        let (n, span) = attrs.int(key)?;
        let position = usize::try_from(n).ok();
        if position.is_none() {
            self.diags.push(
                Diagnostic::error(Code::P0307, format!("`{key}` is negative"))
                    .at(span, "expected 0 or more")
                    .help("elements are counted from 0"),
            );
        }
        position
    }
}
