//! The manual of the codes.

use super::Code;

/// What the bad example of a code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExampleKind {
    /// The text of a module is wrong whatever its tensors hold.
    Text,
    /// The text is right, and the tensors or files are wrong as the explanation says.
    Tensors,
}

/// The text of a module.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// What is wrong with it.
    pub kind: ExampleKind,
    /// The module.
    pub text: &'static str,
}

/// The page of one code.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// Its code.
    pub code: Code,
    /// What the mistake is, and why it is one.
    pub text: &'static str,
    /// A module that makes it.
    pub bad: Example,
    /// The same without it.
    pub good: &'static str,
}

/// Every page, in the order of [`Code::ALL`].
pub const EXPLANATIONS: &[Explanation] = &[];

/// The page of a code.
pub fn explain(code: Code) -> Option<&'static Explanation> {
    EXPLANATIONS.iter().find(|e| e.code == code)
}
