//! Registers: control is reset, data is not.

use super::text::statement;
use super::writer::Writer;
use crate::hdl::tree::{Cell, Child, ChildKind, Scope};

/// Whether a module has a reset: registers of control, its own or below it.
pub fn has_reset(scope: &Scope, scopes: &[Scope]) -> bool {
    scope.children.iter().flat_map(|c| &c.kinds).any(|kind| match kind {
        ChildKind::Cell(cell) => *cell == Cell::Register { reset: true },
        ChildKind::Unit(at) => has_reset(&scopes[*at], scopes),
    })
}

impl Writer<'_> {
    /// The clocked processes: one for the registers that are reset, one for those that are not.
    pub(super) fn registers(&self) -> String {
        let (mut reset, mut load, mut data) = (String::new(), String::new(), String::new());
        for child in &self.scope.children {
            let ChildKind::Cell(Cell::Register { reset: is_reset }) = child.kinds[0] else {
                continue;
            };
            assert!(self.has_clock(), "{}: registers need a clock", self.scope.card.module);
            let (d, q) = (format!("{}$d", child.name), format!("{}$q", child.name));
            let (Some(to), Some(from)) = (self.names.by_key(&q), self.names.by_key(&d)) else {
                continue;
            };
            let next = self.next.get(&d).unwrap_or(&from.net);
            let line = format!("{} <= {next};", to.net);
            if is_reset {
                reset += &format!("      {} <= {};\n", to.net, first_value(child, to.bits()));
                load += &statement(6, &line);
            } else {
                data += &statement(4, &line);
            }
        }
        let mut out = String::new();
        if !reset.is_empty() {
            out += &format!(
                "  always_ff @(posedge clk_i or negedge rst_ni) begin\n    if (!rst_ni) begin\n{reset}    \
                 end else begin\n{load}    end\n  end\n\n"
            );
        }
        if !data.is_empty() {
            out += &format!(
                "  // Data: not reset, written before it is looked at.\n  \
                 always_ff @(posedge clk_i) begin\n{data}  end\n\n"
            );
        }
        out
    }
}

/// What a register of `bits` bits holds after reset.
fn first_value(child: &Child, bits: u32) -> String {
    let states = child.ports.iter().find(|p| p.name == "q").map(|p| &p.states);
    match states.and_then(|s| s.first()) {
        Some(label) => format!("St{}", label.rsplit('$').next().unwrap_or(label)),
        None if bits == 1 => "1'b0".into(),
        None => "'0".into(),
    }
}
