//! The timeline of a run: what the banks, the buffer unit and refresh do, as an inline SVG.

use crate::plan::Plan;
use crate::walk::{collects, loads, Walk};
use pimc_rtl::isa::Action;
use pimc_rtl::timing::vec_clocks;
use std::fmt::Write;

/// Bars that are drawn of one lane; more are joined.
const MAX_BARS: usize = 1200;

/// A stretch of time.
#[derive(Clone, Debug)]
struct Bar {
    from: u64,
    to: u64,
    op: usize,
    what: String,
    light: bool,
}

/// The bars of a run.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    cycles: u64,
    banks: Vec<Bar>,
    buffer: Vec<Bar>,
    refresh: Vec<u64>,
    rfc: u64,
}

impl Timeline {
    pub(super) fn new(plan: &Plan) -> Timeline {
        let (mut banks, mut buffer): (Vec<Bar>, Vec<Bar>) = (Vec::new(), Vec::new());
        for (i, step) in plan.steps.iter().enumerate() {
            let Some(op) = step.op else { continue };
            let next = plan.steps.get(i + 1).map_or(plan.cycles, |s| s.cycle);
            let bar = |to, light| Bar { from: step.cycle, to, op, what: step.what.clone(), light };
            if step.stream.is_some() {
                banks.push(bar(next, false));
                continue;
            }
            // A step of the buffer unit is one operation, after refreshes and waits.
            let until = plan.steps.get(i + 1).map_or(plan.program.len(), |s| s.first);
            let of = plan.program[step.first..until].iter().find_map(|i| match i.action {
                // What is collected is seen in the banks' lane.
                Action::Vec(v) if !collects(v.op) => Some(v),
                _ => None,
            });
            if let Some(v) = of {
                let clocks = u64::from(vec_clocks(&v, &plan.shape));
                buffer.push(bar(step.cycle + clocks, loads(v.op)));
            }
        }
        let refresh = Walk::new(&plan.program)
            .flatten()
            .filter(|i| i.action == Action::Ref)
            .map(|i| i.cycle)
            .collect();
        Timeline {
            cycles: plan.cycles.max(1),
            banks: joined(banks),
            buffer: joined(buffer),
            refresh,
            rfc: plan.target.timing.rfc.into(),
        }
    }

    /// The drawing, 1000 units wide.
    pub(super) fn svg(
        &self,
        colour: &dyn Fn(usize) -> String,
        escape: &dyn Fn(&str) -> String,
    ) -> String {
        let x = |cycle: u64| 90.0 + 900.0 * cycle as f64 / self.cycles as f64;
        let mut out = String::from(
            "<svg viewBox=\"0 0 1020 150\" role=\"img\" aria-label=\"timeline of one run\">\n",
        );
        for (i, name) in ["banks", "buffer unit", "refresh"].iter().enumerate() {
            let y = 28 + 36 * i;
            let _ = writeln!(out, "<text x=\"84\" y=\"{y}\" class=\"lane\">{name}</text>");
        }
        let mut bars = |y: usize, bars: &[Bar]| {
            for b in bars {
                let (from, to) = (x(b.from), x(b.to.min(self.cycles)));
                let opacity = if b.light { "0.55" } else { "1" };
                let _ = writeln!(
                    out,
                    "<rect x=\"{from:.2}\" y=\"{y}\" width=\"{:.2}\" height=\"24\" fill=\"{}\" \
                     opacity=\"{opacity}\"><title>{}: clocks {} to {}</title></rect>",
                    (to - from).max(0.4),
                    colour(b.op),
                    escape(&b.what),
                    b.from,
                    b.to,
                );
            }
        };
        bars(12, &self.banks);
        bars(48, &self.buffer);
        // Refreshes closer than a pixel are one.
        let mut last = f64::MIN;
        for &at in &self.refresh {
            let (from, to) = (x(at), x((at + self.rfc).min(self.cycles)));
            if from - last >= 0.5 {
                last = from;
                let _ = writeln!(
                    out,
                    "<rect x=\"{from:.2}\" y=\"84\" width=\"{:.2}\" height=\"24\" class=\"refresh\">\
                     <title>refresh at clock {at}</title></rect>",
                    (to - from).max(0.4),
                );
            }
        }
        for i in 0..=4u64 {
            let cycle = self.cycles * i / 4;
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"132\" class=\"tick\">{cycle}</text>",
                x(cycle)
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

/// Joins neighbouring bars of one op until few enough are left.
fn joined(mut bars: Vec<Bar>) -> Vec<Bar> {
    while bars.len() > MAX_BARS {
        let mut fewer: Vec<Bar> = Vec::with_capacity(bars.len() / 2 + 1);
        for pair in bars.chunks(2) {
            let mut bar = pair[0].clone();
            if let Some(other) = pair.get(1) {
                bar.to = bar.to.max(other.to);
                bar.what = "several steps".into();
            }
            fewer.push(bar);
        }
        bars = fewer;
    }
    bars
}
