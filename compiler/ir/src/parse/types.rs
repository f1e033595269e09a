//! Types and attributes: from [`TypeText`] to [`VecTy`], [`WeightType`] and [`CacheType`].

use super::syntax::{Arg, ArgValue, Size, TypeText};
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::module::Span;
use crate::types::{CacheType, IntTy, VecTy, WeightType, MAX_SIZE};
use itertools::Itertools;

/// A vector type `iN<len>`.
pub(super) fn vec_ty(ty: &TypeText, diags: &mut Diagnostics) -> Option<VecTy> {
    let head = &ty.head.text;
    let bits = head.strip_prefix('i').and_then(|digits| {
        let canonical = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
        if canonical {
            digits.parse::<u32>().ok()
        } else {
            None
        }
    });
    let Some(bits) = bits else {
        diags.push(
            Diagnostic::error(Code::P0108, format!("unknown element type `{head}`"))
                .at(&ty.head.span, "expected i1 to i64")
                .help("values and parameters are vectors of signed integers, such as `i32<256>`"),
        );
        return None;
    };
    if !(1..=64).contains(&bits) {
        diags.push(
            Diagnostic::error(Code::P0110, format!("no integer type has {bits} bits"))
                .at(&ty.head.span, "expected i1 to i64")
                .help("a machine word of the model has 1 to 64 bits"),
        );
        return None;
    }
    if let Some(attr) = ty.attrs.first() {
        diags.push(
            Diagnostic::error(Code::P0109, "a vector type has no attributes")
                .at(&attr.span, "not expected here")
                .help(format!("write `{head}<N>`")),
        );
        return None;
    }
    match ty.size {
        Size::One(n) => Some(VecTy { elem: IntTy { bits }, len: size(n, &ty.span, diags)? }),
        Size::Two(..) | Size::Absent => {
            diags.push(
                Diagnostic::error(Code::P0108, "a value is a vector, not a matrix")
                    .at(&ty.span, "expected one length")
                    .help(format!("write `{head}<N>`")),
            );
            None
        }
    }
}

/// A weight type such as `pq<256x64, sub=2, k=16>`.
pub(super) fn weight_ty(ty: &TypeText, diags: &mut Diagnostics) -> Option<WeightType> {
    let head = ty.head.text.as_str();
    let rules: &[Rule] = match head {
        "pq" => &[Rule::int("sub"), Rule::int("k"), Rule::flag("shared")],
        "bqq" => &[Rule::int("bases"), Rule::pair("block")],
        "supermask" => &[
            Rule::int("coats"),
            Rule::int("seed"),
            Rule::int("layer").optional(),
            Rule::int("pruned").optional(),
            Rule::int("locked").optional(),
        ],
        "int" => &[Rule::int("bits"), Rule::int("group").optional()],
        _ => {
            diags.push(
                Diagnostic::error(Code::P0108, format!("unknown weight type `{head}`"))
                    .at(&ty.head.span, "expected pq, bqq, supermask or int")
                    .help("the weight types are pq, bqq, supermask and int"),
            );
            return None;
        }
    };
    let Size::Two(rows, cols) = ty.size else {
        diags.push(
            Diagnostic::error(Code::P0108, "a weight is a matrix")
                .at(&ty.span, "expected rows and columns")
                .help(format!("write the size as rows x columns: `{head}<256x64, ..>`")),
        );
        return None;
    };
    let (rows, cols) = (size(rows, &ty.span, diags), size(cols, &ty.span, diags));
    let attrs = Attrs::read(&format!("`{head}`"), &ty.head.span, rules, &ty.attrs, diags)?;
    let (rows, cols) = (rows?, cols?);
    Some(match head {
        "pq" => {
            let (sub, k) = (attrs.size("sub", diags), attrs.size("k", diags));
            WeightType::Pq { rows, cols, sub: sub?, k: k?, shared: attrs.get("shared").is_some() }
        }
        "bqq" => {
            let block = match attrs.get("block") {
                Some(Arg { value: ArgValue::Pair(m, n), span, .. }) => {
                    size(*m, span, diags).zip(size(*n, span, diags))
                }
                _ => None,
            };
            let bases = attrs.size("bases", diags)?;
            let (block_rows, block_cols) = block?;
            WeightType::Bqq { rows, cols, bases, block_rows, block_cols }
        }
        "supermask" => {
            let coats = attrs.size("coats", diags);
            let seed = attrs.word("seed", diags);
            let layer = attrs.word("layer", diags);
            let pruned = attrs.word("pruned", diags);
            let locked = attrs.word("locked", diags);
            WeightType::Supermask {
                rows,
                cols,
                coats: coats?,
                seed: seed?,
                layer: layer?,
                pruned: pruned?,
                locked: locked?,
            }
        }
        _ => {
            let bits = attrs.word("bits", diags);
            let group = match attrs.get("group") {
                Some(_) => Some(attrs.size("group", diags)?),
                None => None,
            };
            WeightType::Int { rows, cols, bits: bits?, group }
        }
    })
}

/// The type of a cache: `pq_kv<heads=8, kv_heads=2, dim=64, tokens=4096, sub=4, k=512, sink=8, recent=32>`.
pub(super) fn cache_ty(ty: &TypeText, diags: &mut Diagnostics) -> Option<CacheType> {
    let head = ty.head.text.as_str();
    if head != "pq_kv" {
        diags.push(
            Diagnostic::error(Code::P0108, format!("unknown cache type `{head}`"))
                .at(&ty.head.span, "expected pq_kv")
                .help("the one cache type is pq_kv"),
        );
        return None;
    }
    if ty.size != Size::Absent {
        diags.push(
            Diagnostic::error(Code::P0108, "a cache has no size before its attributes")
                .at(&ty.span, "expected attributes alone")
                .help("write `pq_kv<heads=8, kv_heads=2, dim=64, ..>`"),
        );
        return None;
    }
    const RULES: &[Rule] = &[
        Rule::int("heads"),
        Rule::int("kv_heads"),
        Rule::int("dim"),
        Rule::int("tokens"),
        Rule::int("sub"),
        Rule::int("k"),
        Rule::int("sink"),
        Rule::int("recent"),
        Rule::int("start").optional(),
    ];
    let attrs = Attrs::read(&format!("`{head}`"), &ty.head.span, RULES, &ty.attrs, diags)?;
    let mut size = |key: &str| attrs.size(key, diags);
    let (heads, kv_heads, dim) = (size("heads"), size("kv_heads"), size("dim"));
    let (tokens, sub, k) = (size("tokens"), size("sub"), size("k"));
    let mut count = |key: &str| attrs.word(key, diags).map(|n| n as usize);
    let (sink, recent, start) = (count("sink"), count("recent"), count("start"));
    Some(CacheType {
        heads: heads?,
        kv_heads: kv_heads?,
        dim: dim?,
        tokens: tokens?,
        sub: sub?,
        k: k?,
        sink: sink?,
        recent: recent?,
        start: start?,
    })
}

/// A length or a side of a matrix.
pub(super) fn size(n: i64, span: &Span, diags: &mut Diagnostics) -> Option<usize> {
    match usize::try_from(n) {
        Ok(n) if (1..=MAX_SIZE).contains(&n) => Some(n),
        _ => {
            diags.push(
                Diagnostic::error(Code::P0301, format!("size {n} is out of range"))
                    .at(span, "in this")
                    .help(format!("sizes are 1 to {MAX_SIZE}")),
            );
            None
        }
    }
}

/// What an attribute must look like.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    key: &'static str,
    form: Form,
    required: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Int,
    Pair,
    Flag,
    IntOrGlobal,
}

impl Rule {
    pub(super) const fn int(key: &'static str) -> Rule {
        Rule { key, form: Form::Int, required: true }
    }
    const fn pair(key: &'static str) -> Rule {
        Rule { key, form: Form::Pair, required: true }
    }
    pub(super) const fn flag(key: &'static str) -> Rule {
        Rule { key, form: Form::Flag, required: false }
    }
    pub(super) const fn int_or_global(key: &'static str) -> Rule {
        Rule { key, form: Form::IntOrGlobal, required: true }
    }
    pub(super) const fn optional(self) -> Rule {
        Rule { required: false, ..self }
    }
    fn example(&self) -> String {
        match self.form {
            Form::Int => format!("{}=N", self.key),
            Form::Pair => format!("{}=MxN", self.key),
            Form::Flag => self.key.to_string(),
            Form::IntOrGlobal => format!("{0}=N or {0}=@param", self.key),
        }
    }
}

/// Attributes that satisfy their rules.
pub(super) struct Attrs<'a> {
    by_key: Vec<(&'static str, &'a Arg)>,
}

impl<'a> Attrs<'a> {
    /// Checks the attributes of `owner`, which stands at `span`: each known, of its form, there
    /// once, and none missing.
    pub(super) fn read(
        owner: &str,
        span: &Span,
        rules: &[Rule],
        args: impl IntoIterator<Item = &'a Arg>,
        diags: &mut Diagnostics,
    ) -> Option<Attrs<'a>> {
        let mut by_key: Vec<(&'static str, &Arg)> = Vec::new();
        let mut good = true;
        let mut wrong = |d: Diagnostic, good: &mut bool| {
            diags.push(d);
            *good = false;
        };
        let known = rules.iter().map(Rule::example).join(", ");
        for arg in args {
            let (key, flag) = match (&arg.key, &arg.value) {
                (Some(key), _) => (key.as_str(), false),
                (None, ArgValue::Word(word)) => (word.as_str(), true),
                _ => ("", true),
            };
            let Some(rule) = rules.iter().find(|r| r.key == key) else {
                let d = Diagnostic::error(Code::P0109, format!("{owner} has no such attribute"))
                    .at(&arg.span, "not known")
                    .help(format!("the attributes of {owner} are: {known}"));
                wrong(d, &mut good);
                continue;
            };
            let fits = match rule.form {
                Form::Flag => flag,
                _ if flag => false,
                Form::Int => matches!(arg.value, ArgValue::Int { .. }),
                Form::Pair => matches!(arg.value, ArgValue::Pair(..)),
                Form::IntOrGlobal => {
                    matches!(arg.value, ArgValue::Int { .. } | ArgValue::Global(_))
                }
            };
            if !fits {
                let d = Diagnostic::error(Code::P0109, format!("`{key}` is not written like this"))
                    .at(&arg.span, format!("expected {}", rule.example()))
                    .help(format!("the attributes of {owner} are: {known}"));
                wrong(d, &mut good);
            } else if let Some(first) = by_key.iter().find(|(k, _)| *k == rule.key) {
                let d = Diagnostic::error(Code::P0109, format!("attribute `{key}` given twice"))
                    .at(&arg.span, "again here")
                    .also(&first.1.span, "first here")
                    .help("remove one of them");
                wrong(d, &mut good);
            } else {
                by_key.push((rule.key, arg));
            }
        }
        for rule in rules.iter().filter(|r| r.required) {
            if good && !by_key.iter().any(|(k, _)| *k == rule.key) {
                let d = Diagnostic::error(Code::P0109, format!("{owner} lacks `{}`", rule.key))
                    .at(span, format!("needs {}", rule.example()))
                    .help(format!("the attributes of {owner} are: {known}"));
                wrong(d, &mut good);
            }
        }
        good.then_some(Attrs { by_key })
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Arg> {
        self.by_key.iter().find(|(k, _)| *k == key).map(|(_, a)| *a)
    }

    /// The number of a required attribute.
    pub(super) fn int(&self, key: &str) -> Option<(i64, &'a Span)> {
        match self.get(key)? {
            Arg { value: ArgValue::Int { value, .. }, span, .. } => Some((*value, span)),
            _ => None,
        }
    }

    pub(super) fn size(&self, key: &str, diags: &mut Diagnostics) -> Option<usize> {
        let (n, span) = self.int(key)?;
        size(n, span, diags)
    }

    /// A number of 32 bits without sign; 0 when absent.
    pub(super) fn word(&self, key: &str, diags: &mut Diagnostics) -> Option<u32> {
        let Some((n, span)) = self.int(key) else { return Some(0) };
        let word = u32::try_from(n).ok();
        if word.is_none() {
            diags.push(
                Diagnostic::error(Code::P0110, format!("`{key}` is out of range"))
                    .at(span, "expected 0 to 4294967295")
                    .help("this is an unsigned number of 32 bits"),
            );
        }
        word
    }
}
