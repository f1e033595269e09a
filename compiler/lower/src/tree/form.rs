//! The tree of a mapping that ends at the schedule: commands, what is done with their columns, what the
//! banks hold, and a report. No hardware, and no file that could be taken for it.

use super::{bank_head, bank_path, json_text, put_model, Contents, OutputFile, OutputTree};
use super::{FORMAT_VERSION, SCHEDULE_TARGET};
use crate::attention::literal::{Follow, FormPlan, Gather, Work, VALUE_BYTES};
use crate::commands::{write_command, write_end, write_head, Command, Timed};
use crate::hex;
use crate::images::Banks;
use crate::report::{form_html, FormReport};
use pimc_ir::{Diagnostics, Model, Side};
use serde_json::{json, Value};
use std::io::{self, Write};

/// Where this mapping ends.
pub const ENDS_AT: &str = "schedule";
/// The levels of co-simulation that it has.
pub const LEVELS: [&str; 2] = ["golden", "schedule"];
/// Why it has no others.
pub const WHY: &str =
    "`attention = \"indirect\"` is a schedule for comparison: no unit of pimc looks up in \
                       DRAM rows, so there is no hardware to simulate or to check";

/// The word of a target for it.
pub(crate) fn gather_name(gather: Gather) -> &'static str {
    match gather {
        Gather::Centroid => "centroid",
        Gather::Element => "element",
    }
}

/// What manifest and report say of the mapping.
pub(crate) fn mapping(plan: &FormPlan) -> Value {
    json!({
        "attention": "indirect",
        "gather": gather_name(plan.form.gather),
        "ends_at": ENDS_AT,
        "levels": LEVELS,
        "why": WHY,
    })
}

/// Everything that the plan writes.
pub(super) fn emit<'a>(
    plan: &'a FormPlan,
    model: &'a Model,
) -> Result<OutputTree<'a>, Diagnostics> {
    let mut files = Vec::new();
    let mut put = |path: &str, contents: Contents<'a>| {
        files.push(OutputFile { path: path.to_string(), contents });
    };
    put("schedule/commands.csv", Contents::Stream(Box::new(move |to| commands(plan, to))));
    put("schedule/accesses.csv", Contents::Stream(Box::new(move |to| accesses(plan, to))));
    put(SCHEDULE_TARGET, Contents::Text(plan.target.source.clone()));
    for bank in 0..plan.target.units() {
        let columns = move |to: &mut dyn Write| bank_columns(plan, model, bank, to);
        put(&bank_path(bank), Contents::Stream(Box::new(columns)));
    }
    put("mem/layout.json", Contents::Text(json_text(&layout(plan, model))));
    let report = FormReport::new(plan, model);
    let text = serde_json::to_value(&report).map(|v| json_text(&v));
    put("report.json", Contents::Text(text.unwrap_or_default()));
    put("report.html", Contents::Text(form_html(&report)));
    let (module, inputs) = put_model(model, &plan.target, &mut put)?;
    let option = |name: &str, value: &str| (name.to_string(), value.to_string());
    Ok(OutputTree {
        files,
        inputs,
        options: vec![
            option("target", &plan.target.name),
            option("mapping.attention", "indirect"),
            option("mapping.gather", gather_name(plan.form.gather)),
        ],
        model: module,
        rtl: Vec::new(),
        mapping: Some(mapping(plan)),
    })
}

/// Writes lines as a step is made.
struct Lines<'a> {
    to: &'a mut dyn Write,
    failed: io::Result<()>,
    line: fn(&mut dyn Write, Option<&Timed>, Option<Work>) -> io::Result<()>,
}

impl Lines<'_> {
    fn put(&mut self, timed: Option<&Timed>, work: Option<Work>) {
        if self.failed.is_ok() {
            self.failed = (self.line)(self.to, timed, work);
        }
    }
}

impl Follow for Lines<'_> {
    fn command(&mut self, timed: Timed, work: Option<Work>) {
        self.put(Some(&timed), work);
    }

    fn between(&mut self, work: Work) {
        self.put(None, Some(work));
    }
}

/// The commands of the first step.
fn commands(plan: &FormPlan, to: &mut dyn Write) -> io::Result<()> {
    writeln!(
        to,
        "# Attention in the form of AQPIM. The column of a lookup is every bank's own, counted"
    )?;
    writeln!(to, "# from the one here; accesses.csv says what is done with a column.")?;
    write_head(&plan.target, to)?;
    let mut lines = Lines {
        to,
        failed: Ok(()),
        line: |to, timed, _| timed.map_or(Ok(()), |timed| write_command(timed, to)),
    };
    let made = plan.run(&plan.first_step(), &mut lines);
    lines.failed?;
    write_end(made.cycles, to)
}

/// What is done with the columns of the first step, and on the buffer die.
fn accesses(plan: &FormPlan, to: &mut dyn Write) -> io::Result<()> {
    writeln!(
        to,
        "# What every bank's unit does with the column of a command, and what the buffer die does,"
    )?;
    writeln!(
        to,
        "# which has no cycle: it comes between the commands around it. Tokens and places are of"
    )?;
    writeln!(to, "# a token group; `register` is a code's place among those that the unit holds.")?;
    writeln!(to, "cycle,command,row,column,work,details")?;
    let line = |to: &mut dyn Write, timed: Option<&Timed>, work: Option<Work>| {
        let Some(work) = work else { return Ok(()) };
        match timed.map(|timed| (timed.cycle, timed.command)) {
            Some((cycle, command @ (Command::Read { row, col } | Command::Write { row, col }))) => {
                write!(to, "{cycle},{},{row},{col},", command.name())?;
            }
            _ => write!(to, "-1,,-1,-1,")?,
        }
        writeln!(to, "{},{}", work.name(), details(work))
    };
    let mut lines = Lines { to, failed: Ok(()), line };
    plan.run(&plan.first_step(), &mut lines);
    lines.failed
}

/// The numbers of what is done.
fn details(work: Work) -> String {
    match work {
        Work::Query { slot, query, head } => format!("slot={slot} query={query} head={head}"),
        Work::Entries { slice, first } => format!("slice={slice} centroid={first}"),
        Work::Table { first } => format!("entry={first}"),
        Work::ExactKeys { slice, block } | Work::ExactValues { slice, block } => {
            format!("slice={slice} block={block}")
        }
        Work::Codes { anew } => format!("anew={}", u8::from(anew)),
        Work::Key { token, register, .. } => format!("token={token} register={register}"),
        Work::Value { slice, token, register, element, .. } => {
            let element = element.map_or(String::new(), |e| format!(" element={e}"));
            format!("slice={slice} token={token} register={register}{element}")
        }
        Work::Token { slot, side, token } => {
            let side = if side == Side::Key { "key" } else { "value" };
            format!("slot={slot} side={side} token={token}")
        }
        Work::Capture { slice, place } | Work::PutToken { slice, place } => {
            format!("slice={slice} place={place}")
        }
        Work::Distances { slice, first, element } => {
            let element = element.map_or(String::new(), |e| format!(" element={e}"));
            format!("slice={slice} centroid={first}{element}")
        }
        Work::PutCode { slice, token } => format!("slice={slice} token={token}"),
        Work::Softmax | Work::Result | Work::Captured | Work::Nearest | Work::Take => String::new(),
    }
}

fn bank_columns(plan: &FormPlan, model: &Model, bank: u32, to: &mut dyn Write) -> io::Result<()> {
    to.write_all(bank_head(bank).as_bytes())?;
    let images = plan.images(model);
    let mut lines = Vec::new();
    for row in 0..plan.layout.rows() as u32 {
        lines.clear();
        for col in 0..plan.layout.columns {
            hex::column_lines(&images.column(bank, row, col).unwrap_or_default(), &mut lines);
        }
        to.write_all(&lines)?;
    }
    Ok(())
}

/// Where everything lies.
fn layout(plan: &FormPlan, model: &Model) -> Value {
    let (l, target) = (&plan.layout, &plan.target);
    let head = |slot: u32| {
        let slices = |row: &dyn Fn(u32) -> u32| (0..l.slices).map(row).collect::<Vec<_>>();
        let sides = |row: &dyn Fn(Side, u32) -> u32| Side::BOTH.map(|s| slices(&|i| row(s, i)));
        json!({
            "head": slot,
            "codebook_rows": sides(&|side, slice| l.book_row(slot, side, slice)),
            "table_rows": slices(&|slice| l.table_row(slot, slice)),
            "exact_rows": Side::BOTH.map(|side| l.exact_row(slot, side)),
            "code_rows": sides(&|side, slice| l.code_row(slot, side, slice)),
        })
    };
    json!({
        "format_version": FORMAT_VERSION,
        "mapping": mapping(plan),
        "banks": {
            "count": target.units(),
            "rows": target.rows,
            "rows_used": l.rows(),
            "columns": target.columns,
            "column_bits": target.column_bits,
            "files": (0..target.units()).map(bank_path).collect::<Vec<_>>(),
        },
        "cache": {
            "name": model.module.caches[plan.id.0].name.text,
            "rule": "keys, then values, a list of slices each; bank b is member b mod members of token group b / members and has `slices` neighbouring sub-vectors; token t is token group t mod token_groups' number t / token_groups, and places of exact tokens likewise; values lie in slots of value_bytes, codes as many a word of 64 bits as fit",
            "members": l.members,
            "token_groups": l.groups,
            "slices": l.slices,
            "value_bytes": VALUE_BYTES,
            "code_bits": l.code_bits,
            "codes_per_column": l.codes,
            "exact_per_column": l.per_column(),
            "centroids": if l.by_element(Side::Value) { "keys: elements side by side; values: an element of all centroids" } else { "elements side by side" },
            "heads": (0..l.slots).map(head).collect::<Vec<_>>(),
        },
    })
}
