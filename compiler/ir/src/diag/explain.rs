//! The manual of the codes: one page each, in the folder `explain` of this crate.
//!
//! A page holds fenced blocks, in this order, each but the first text optional:
//! `ir` (a module that makes the mistake), `tensors` (what its files hold, if that is the mistake),
//! `text` (the message), `ir` (the module put right). A test makes every mistake, so pages and
//! messages cannot drift apart.

use super::Code;

/// The page of one code, in parts.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// Its code.
    pub code: Code,
    /// The whole page.
    pub page: &'static str,
    /// A module that makes the mistake.
    pub bad: Option<&'static str>,
    /// What the module's tensor files hold, when that is the mistake.
    pub tensors: Option<&'static str>,
    /// The message.
    pub message: Option<&'static str>,
    /// The module put right.
    pub good: Option<&'static str>,
}

/// The page of a code, taken apart.
pub fn explain(code: Code) -> Explanation {
    let page = code.page();
    let mut all = Explanation { code, page, bad: None, tensors: None, message: None, good: None };
    // Odd pieces lie between fences: the language, then the block.
    for piece in page.split("```").skip(1).step_by(2) {
        let Some((language, block)) = piece.split_once('\n') else { continue };
        match language {
            "ir" if all.bad.is_none() => all.bad = Some(block),
            "ir" => all.good = Some(block),
            "tensors" => all.tensors = Some(block),
            "text" => all.message = Some(block),
            _ => {}
        }
    }
    all
}
