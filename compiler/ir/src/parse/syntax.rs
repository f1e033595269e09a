//! The text as statements, one to a line: what `GRAMMAR.md` says, before any name has a meaning.

use crate::module::{Comment, Name, Span};

/// One line: a statement, a comment, both or neither.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) statement: Option<Statement>,
    pub(crate) comment: Option<Comment>,
    /// The statement, without the blanks around it.
    pub(crate) span: Span,
}

impl Line {
    /// Neither a statement nor a comment.
    pub(crate) fn is_blank(&self) -> bool {
        self.statement.is_none() && self.comment.is_none()
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Statement {
    /// `pimc 1`
    Version { number: i64, span: Span },
    /// `target "name"`
    Target { name: Name },
    /// `weight @w : type from "file"`, and the same of `param` and `cache`
    Tensor { kind: TensorKind, name: Name, ty: TypeText, file: Name },
    /// `func @main(%x: type, ..) -> type {`
    Func { name: Name, inputs: Vec<(Name, TypeText)>, result: TypeText },
    /// `%y = op arg, .. : type`
    Op { name: Name, op: Name, args: Vec<Arg>, ty: TypeText },
    /// `return %y`
    Return { value: Name },
    /// `}`
    Close,
}

/// Which of the declarations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TensorKind {
    Weight,
    Param,
    Cache,
}

/// A type as written: `i8<64>`, `pq<256x64, sub=2, k=16>` or `pq_kv<heads=8, ..>`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TypeText {
    pub(crate) head: Name,
    pub(crate) size: Size,
    pub(crate) attrs: Vec<Arg>,
    pub(crate) span: Span,
}

/// `N` or `RxC`, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    One(i64),
    Two(i64, i64),
    Absent,
}

/// An operand of an op or an attribute of a type, with its key if it has one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arg {
    pub(crate) key: Option<String>,
    pub(crate) value: ArgValue,
    pub(crate) span: Span,
}

/// What an argument is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ArgValue {
    /// `%x`
    Value(String),
    /// `@w`
    Global(String),
    /// A number, and whether it was written in hexadecimal.
    Int { value: i64, hex: bool },
    /// `MxN`
    Pair(i64, i64),
    /// A bare word.
    Word(String),
}

/// Comments stand apart from what a line means.
pub(crate) fn comments(lines: &[Line]) -> Vec<Comment> {
    lines.iter().filter_map(|l| l.comment.clone()).collect()
}
