//! `map.json`: from names and instructions back to the lines of the module.

use super::{rtl::unit_ops, FORMAT_VERSION};
use crate::assembly::one_line;
use crate::plan::Plan;
use pimc_ir::Model;
use serde_json::{json, Value};

pub(super) fn map(plan: &Plan, model: &Model, rtl: &[String]) -> Value {
    let func = &model.module.func;
    let ops: Vec<Value> = func
        .ops
        .iter()
        .enumerate()
        .map(|(i, op)| {
            let (line, column) = model.line_col(&op.span);
            let region = plan.regions[func.value_of_op(i).0];
            json!({
                "op": i,
                "value": func.values[func.value_of_op(i).0].name.text,
                "text": one_line(model.op_text(i)),
                "line": line, "column": column,
                "start": op.span.start, "end": op.span.end,
                "address": region.addr, "words": region.len,
            })
        })
        .collect();
    let steps: Vec<Value> = plan
        .steps
        .iter()
        .map(|s| {
            json!({
                "instruction": s.first, "cycle": s.cycle, "op": s.op,
                "stream": s.stream, "what": s.what,
            })
        })
        .collect();
    let names: Vec<Value> = rtl
        .iter()
        .map(|name| {
            let module = name.strip_suffix(".sv").unwrap_or(name);
            json!({"module": module, "file": format!("rtl/{name}"), "ops": unit_ops(module, model)})
        })
        .collect();
    json!({
        "format_version": FORMAT_VERSION,
        "source": model.file_name,
        "ops": ops,
        "rtl": names,
        "steps": steps,
    })
}
