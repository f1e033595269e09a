//! Two runs of the interpreter, event by event: the first thing that one does otherwise.

use crate::reference::Compiled;
use crate::report::Divergence;
use itertools::{EitherOrBoth, Itertools};
use pimc_lower::interp::{At, Event};

/// Where an event comes from, the bank if it has one, the signal that shows it, and its value.
fn parts(event: &Event) -> (At, Option<u32>, &'static str, String) {
    match *event {
        Event::Command { at, command } => (at, None, "cmd_o", format!("{command:?}")),
        Event::Column { at, bank, acc } => (at, Some(bank), "column_acc", acc.to_string()),
        Event::Result { at, bank, data } => (at, Some(bank), "row_value_o", data.to_string()),
        Event::Taken { at, bank, data } => (at, Some(bank), "rd_data_i", format!("{data:016x?}")),
        Event::Write { at, addr, data } => {
            (at, None, "write_data", format!("{data} to word {addr}"))
        }
    }
}

impl Compiled {
    /// The first event of `got` that is not that of `expected`, as what `what` did with `vector`.
    pub fn compare_events(
        &self,
        what: &str,
        vector: usize,
        expected: &[Event],
        got: &[Event],
    ) -> Option<Divergence> {
        let (same, pair) = expected
            .iter()
            .zip_longest(got)
            .find_position(|pair| !matches!(pair, EitherOrBoth::Both(e, g) if e == g))?;
        let (want, have) = (pair.as_ref().left(), pair.as_ref().right());
        let (want, have) = (want.copied(), have.copied());
        let (at, bank, signal, _) = parts(have.or(want)?);
        let value = |event: Option<&Event>, other: Option<&Event>| {
            let Some(event) = event else { return "nothing more".to_string() };
            let (at, bank, signal, value) = parts(event);
            // What the two have in common is told once, by the rest of the message.
            match other.map(parts) {
                Some((a, b, s, _)) if (a.cycle, b, s) == (at.cycle, bank, signal) => value,
                _ => format!("{signal} {value} in cycle {}", at.cycle),
            }
        };
        let commands = got[..(same + 1).min(got.len())]
            .iter()
            .filter(|e| matches!(e, Event::Command { .. }))
            .count();
        Some(Divergence {
            what: what.to_string(),
            vector: Some(vector),
            op: self.plan.op_of(at.instr).and_then(|op| self.place(op)),
            bank: bank.map(|b| b as usize),
            command: commands.checked_sub(1),
            cycle: i64::try_from(at.cycle).ok(),
            signal: signal.to_string(),
            expected: value(want, have),
            got: value(have, want),
            ..Divergence::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pimc_ir::testing::ModelBuilder;
    use pimc_lower::Target;

    fn compiled() -> Compiled {
        let text = "pimc 1\ntarget \"hbm3-pim\"\nweight @w : int<20x9, bits=8> from \"w.safetensors\"\n\
                    func @main(%x: i8<9>) -> i32<20> {\n  %y = matvec @w, %x : i32<20>\n  return %y\n}\n";
        let q: Vec<i8> = (0..180).map(|i| (i * 7 % 251 - 125) as i8).collect();
        let model = ModelBuilder::new(text).int("w", &q, &[]).build().expect("a model");
        Compiled::new(model, &Target::named("hbm3-pim").expect("a target")).expect("a plan")
    }

    #[test]
    fn the_first_difference_is_told() {
        let compiled = compiled();
        let inputs = vec![(0..9).collect::<Vec<i64>>()];
        let (events, _) = compiled.run(&inputs).expect("a run");
        assert_eq!(compiled.compare_events("schedule", 0, &events, &events), None);

        let mut changed = events.clone();
        let column = changed.iter().rposition(|e| matches!(e, Event::Column { .. }));
        let Some(Event::Column { at, bank, acc }) = column.map(|i| &mut changed[i]) else {
            panic!("the model reads columns");
        };
        let (cycle, bank, sum) = (at.cycle, *bank, *acc);
        *acc += 1;
        let d = compiled.compare_events("schedule", 3, &events, &changed).expect("a difference");
        assert_eq!((d.vector, d.bank, d.cycle), (Some(3), Some(bank as usize), Some(cycle as i64)));
        assert_eq!((d.expected, d.got), (sum.to_string(), (sum + 1).to_string()));
        assert_eq!(d.op.map(|op| op.line), Some(5));
        let command = d.command.expect("a command");
        let reads = events.iter().filter(|e| matches!(e, Event::Command { .. })).nth(command);
        assert!(matches!(reads, Some(Event::Command { at, .. }) if at.cycle == cycle));

        let short = &events[..events.len() - 1];
        let d = compiled.compare_events("schedule", 0, &events, short).expect("a difference");
        assert_eq!(d.got, "nothing more");
    }
}
