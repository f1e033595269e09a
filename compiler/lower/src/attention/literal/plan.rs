//! A function on a cache in the paper's form, as a mapping: what lies where, and steps with their data. It
//! ends at the schedule, for no unit of ours does this.

use super::driver::FormDriver;
use super::images::FormImages;
use super::layout::FormLayout;
use super::machine::{FormMachine, Numbers, StepInputs};
use super::writer::{run, FormStep};
use super::{Follow, Form, Gather, LiteralStep, Work};
use crate::attention::{find, layout, Found, StepError};
use crate::commands::{Command, Timed};
use crate::images::Banks;
use crate::legality::{check_part, Checker, Violation};
use crate::mapping::{Fit, ROWS};
use crate::plan::Refused;
use crate::target::{Target, REFRESH_MARGIN};
use pimc_ir::{CacheId, CacheType, Code, Model, OpKind, ValueId};

/// A function on a cache in the paper's form.
#[derive(Clone, Debug, PartialEq)]
pub struct FormPlan {
    /// The target.
    pub target: Target,
    /// The form.
    pub form: Form,
    /// Where the cache lies.
    pub layout: FormLayout,
    /// The cache.
    pub id: CacheId,
    /// Its sizes.
    pub ty: CacheType,
    /// Most tokens that a step appends.
    pub tokens: u32,
    /// Queries of a step.
    pub queries: u32,
    /// The op that appends, if there is one, and the op that attends.
    pub ops: (Option<usize>, usize),
    numbers: Numbers,
    q: ValueId,
    limit: ValueId,
    /// Keys, values and count.
    append: Option<[ValueId; 3]>,
}

impl FormPlan {
    /// The plan of a function.
    ///
    /// # Errors
    /// P0607 for what this mapping cannot do, P0606 where the banks have too few rows, at the op.
    pub fn new(model: &Model, target: &Target, gather: Gather) -> Result<FormPlan, Refused> {
        let mut fit = Fit::new(model, target);
        only_attention(model, &mut fit);
        if !fit.found.is_empty() {
            return Err(fit.refused());
        }
        let Some(found) = find(model, &mut fit) else { return Err(fit.refused()) };
        let func = &model.module.func;
        let Found { cache: id, append, attend, q, limit, scale, .. } = found;
        let ty = model.module.caches[id.0].ty;
        let layout = FormLayout::new(target, &ty, gather);
        sizes(&mut fit, attend, &ty, &layout);
        writes(&mut fit, attend, target);
        if !fit.found.is_empty() {
            return Err(fit.refused());
        }
        fit.memory(attend, ROWS, layout.rows().into(), target.rows.into());
        if !fit.found.is_empty() {
            return Err(fit.refused());
        }
        let queries = func.values[limit.0].ty.len as u32;
        let tokens = append.as_ref().map_or(0, |(_, [k, ..])| func.values[k.0].ty.len);
        let shape = layout::units(&ty, queries, target);
        Ok(FormPlan {
            target: target.clone(),
            form: Form { gather, ..Form::default() },
            layout,
            id,
            ty,
            tokens: (tokens / ty.token_len()) as u32,
            queries,
            ops: (append.as_ref().map(|a| a.0), attend),
            numbers: Numbers::new(shape, scale, func.result_ty.elem.bits),
            q,
            limit,
            append: append.map(|a| a.1),
        })
    }

    /// The cache as it is before the first step.
    pub fn driver(&self) -> FormDriver {
        FormDriver::new(self.ty)
    }

    /// The next step, with the function's inputs.
    ///
    /// # Errors
    /// If it appends what it does not have or there is no room for.
    pub fn step(
        &self,
        driver: &mut FormDriver,
        inputs: &[Vec<i64>],
    ) -> Result<FormStep, StepError> {
        let count = self.append.and_then(|[.., n]| inputs.get(n.0)?.first().copied());
        driver.step(count.unwrap_or(0), self.tokens, self.queries)
    }

    /// The first step, with all its tokens if there is room for them.
    pub fn first_step(&self) -> FormStep {
        let mut driver = self.driver();
        let room = (self.ty.tokens - self.ty.start).min(self.tokens as usize);
        match driver.step(room as i64, self.tokens, self.queries) {
            Ok(step) => step,
            // There is room for so many.
            Err(_) => driver.attends(Vec::new(), self.queries),
        }
    }

    /// A step on a cache that is full: nothing is appended.
    pub fn full_step(&self) -> FormStep {
        let full = CacheType { start: self.ty.tokens, ..self.ty };
        FormDriver::new(full).attends(Vec::new(), self.queries)
    }

    /// Makes a step, for `follow` to see.
    pub fn run(&self, step: &FormStep, follow: &mut dyn Follow) -> LiteralStep {
        run(&self.target, &self.layout, self.form, step, follow)
    }

    /// The first rule that the first step's commands break, and its clocks.
    pub fn violation(&self) -> (Option<Violation>, u64) {
        let mut checked = Checked(Checker::new(&self.target));
        let made = self.run(&self.first_step(), &mut checked);
        (checked.0.end(made.cycles).into_iter().next(), made.cycles)
    }

    /// What of the function's inputs a step takes.
    pub fn inputs<'a>(&self, inputs: &'a [Vec<i64>]) -> StepInputs<'a> {
        let of = |id: ValueId| inputs.get(id.0).map_or(&[][..], Vec::as_slice);
        let [k, v] = self.append.map_or([&[][..]; 2], |[k, v, _]| [of(k), of(v)]);
        StepInputs { q: of(self.q), new: [k, v], limit: of(self.limit) }
    }

    /// What the banks hold before the first step.
    pub fn images<'a>(&'a self, model: &'a Model) -> FormImages<'a> {
        FormImages::new(&self.layout, model.cache(self.id))
    }

    /// The machine on banks that hold `image`.
    pub fn machine<'a>(&'a self, image: &'a dyn Banks) -> FormMachine<'a> {
        FormMachine::new(&self.layout, &self.numbers, self.ty, image)
    }
}

/// Commands as they come, shown to the checker of legality.
pub struct Checked<'a>(
    /// The checker.
    pub Checker<'a>,
);

impl Follow for Checked<'_> {
    fn command(&mut self, timed: Timed, _: Option<Work>) {
        if !self.0.is_full() {
            self.0.command(&timed);
        }
    }

    fn between(&mut self, _: Work) {}
}

/// Says that a target which asks for this form gets no hardware.
pub(crate) fn no_hardware(fit: &mut Fit<'_>) {
    let func = &fit.model.module.func;
    let attends = func.ops.iter().position(|op| matches!(op.kind, OpKind::Attend { .. }));
    let message = "`attention = \"indirect\"` ends at the schedule: there is no hardware for it";
    let help = "for hardware write `attention = \"resident\"` under [mapping] of the target; `pimc cosim` \
                runs golden and schedule as it is";
    fit.report(attends.unwrap_or(0), Code::P0607, message.into(), "this op".into(), help);
}

/// Reports the ops that this form has no commands for.
fn only_attention(model: &Model, fit: &mut Fit<'_>) {
    for (i, op) in model.module.func.ops.iter().enumerate() {
        let message = match op.kind {
            OpKind::Append { .. } | OpKind::Attend { state: false, .. } => continue,
            OpKind::Attend { .. } => "`attention = \"indirect\"` has no log-sum-exp",
            _ => "`attention = \"indirect\"` has no commands for this op: only an append and an attend",
        };
        let help =
            "write `attention = \"resident\"` under [mapping] of the target, or leave the op out";
        fit.report(i, Code::P0607, message.into(), "this op".into(), help);
    }
}

/// Reports a target that does not say what writes need, or refreshes too often for one.
fn writes(fit: &mut Fit<'_>, attend: usize, target: &Target) {
    let command = |cycle, command| Timed { cycle, command, bank: None, instr: 0 };
    let write =
        [command(0, Command::Act { row: 0 }), command(1, Command::Write { row: 0, col: 0 })];
    let found = check_part(target, write);
    if let Some(missing) = found.iter().find(|violation| violation.rule == "TARGET") {
        let message = format!("`attention = \"indirect\"` writes tables: {}", missing.why);
        let help = "add them under [timing] of the target, as the built-in ones have them";
        fit.report(attend, Code::P0607, message, "of this cache".into(), help);
        return;
    }
    let (t, e) = (&target.timing, &target.timing.extra);
    let or = |value: Option<u32>| u64::from(value.unwrap_or_default());
    let written = or(e.cwl) + or(e.bl) + or(e.wr);
    let open = u64::from(t.rcd).max(or(e.rcd_wr)) + written;
    let need = u64::from(t.rfc) + open.max(t.ras.into()).max(t.rc.into()) + u64::from(t.rp);
    if need + REFRESH_MARGIN > u64::from(t.refi) {
        let need = need + REFRESH_MARGIN;
        let message = format!(
            "`attention = \"indirect\"`: a refresh and a row that is written need {need} clocks"
        );
        let label = format!("the target refreshes every {}", t.refi);
        fit.report(attend, Code::P0607, message, label, "raise `refi` of the target");
    }
}

/// Reports sizes that the form cannot take.
fn sizes(fit: &mut Fit<'_>, attend: usize, ty: &CacheType, layout: &FormLayout) {
    let mut want = |holds: bool, what: String, help: &str| {
        if !holds {
            let message = format!("`attention = \"indirect\"` takes no cache with {what}");
            fit.report(attend, Code::P0607, message, "of this cache".into(), help);
        }
    };
    let sub = matches!(ty.sub, 1 | 2 | 4 | 8);
    want(sub, format!("sub-vectors of {} elements", ty.sub), "take 1, 2, 4 or 8");
    let parts = ty.dim / ty.sub.max(1);
    want(
        parts.is_power_of_two(),
        format!("{parts} sub-vectors of a head"),
        "take sizes of which there are a power of two",
    );
    let (rows, values) = (layout.columns_of(layout.k).div_ceil(layout.columns), layout.columns);
    want(
        layout.table_in_a_row(),
        format!("{} centroids: a table has {rows} rows, and a lookup reaches one", ty.k),
        &format!("take at most {} centroids, or longer rows", values * layout.values),
    );
}
