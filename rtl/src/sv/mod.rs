//! SystemVerilog out of elaborated units: one module per shape and file, leaves first.
//!
//! What is printed is accepted without a pragma by Verilator (5.006 and later, `-Wall`), Icarus 11
//! and Yosys 0.23; where these differ the plainest text wins. A `Vec` of signals is one flat packed
//! vector with `+:` selects, a `Vec` of instances a generate loop, a loop of a kernel a loop.

mod copies;
mod expr;
mod header;
mod instances;
mod library;
mod names;
mod parts;
mod places;
mod process;
mod registers;
mod simplify;
mod text;
mod writer;

use crate::hdl::tree::{elaborate, Cell, ChildKind};
use crate::hdl::{Inst, Unit};

/// What the files say about where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Version of pimc.
    pub version: String,
    /// Lines about the source: file, hash, options.
    pub source: Vec<String>,
    /// What single units serve.
    pub units: Vec<UnitSource>,
}

/// Where a kind of unit comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitSource {
    /// What the names of its modules begin with.
    pub module: String,
    /// Lines about it: the objects of the source that it serves, and the ranges proven of it.
    pub lines: Vec<String>,
    /// The place in the source that its stages point to: `model.ir:14:3`.
    pub place: Option<String>,
}

impl Provenance {
    /// What is said of a module.
    fn of(&self, module: &str) -> Option<&UnitSource> {
        self.units.iter().find(|u| module.starts_with(&u.module))
    }
}

/// One module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SvFile {
    /// File name: the module's name and `.sv`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Prints `top` and everything below it, in dependency order, with the library cells that are used.
///
/// # Panics
/// If a kernel is wrong: an undriven signal, operands of unlike sign, a value that does not fit.
/// These are errors of a unit's author; the tests of each unit print it at every kind of shape.
pub fn emit<U: Unit>(top: &Inst<U>, provenance: &Provenance) -> Vec<SvFile> {
    let scopes = elaborate(top);
    let mut files = vec![];
    let uses_ram = scopes
        .iter()
        .flat_map(|s| &s.children)
        .any(|c| matches!(c.kinds[0], ChildKind::Cell(Cell::Ram { .. })));
    if uses_ram {
        files.push(SvFile {
            name: format!("{}.sv", library::RAM),
            text: header::ram(provenance) + library::RAM_TEXT,
        });
    }
    for scope in &scopes {
        files.push(SvFile {
            name: format!("{}.sv", scope.card.module),
            text: header::of(scope, provenance)
                + &places::locate(&writer::module(scope, &scopes), provenance),
        });
    }
    files
}
