//! The files of hardware, and what is said in them of where they come from.

use crate::plan::Plan;
use crate::ranges::Proof;
use pimc_ir::{Model, OpKind, WeightType};
use pimc_rtl::channel::emit_channel;
use pimc_rtl::sv::{Provenance, SvFile, UnitSource};

/// What the headers of the hardware say of its source: module and target, and of each kind of unit the
/// ops it serves and the ranges proven of it.
pub fn provenance(plan: &Plan, model: &Model) -> Provenance {
    let hash = pimc_ir::checksum::sha256(model.source.as_bytes());
    let source = vec![format!(
        "Source: {} (sha256 {}), target {}.",
        model.file_name,
        &hash[..12],
        plan.target.name
    )];
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_string(),
        source,
        units: unit_sources(plan, model),
    }
}

/// Ops that a header names; of more, it says how many.
const NAMED_OPS: usize = 6;

fn unit_sources(plan: &Plan, model: &Model) -> Vec<UnitSource> {
    let proof = &plan.proof;
    let line = |what: &str, extent| Proof::line(what, extent, model);
    let mut word = line("vector memory", &proof.word);
    let built = plan.shape.buffer.word_bits;
    if built > proof.word.bits() {
        // Constants of a requantiser, its widest result or an accumulator ask for more.
        word += &format!("; its words have {built} for what else passes through them");
    }
    let (planes, gated) = (line("bit-plane input", &proof.planes), line("gated sum", &proof.gated));
    let mac = line("multiply-add sum", &proof.mac);
    let mut units = vec![];
    let mut sums = vec![];
    for ((k, sub), (entry, acc)) in &proof.lookups {
        let entry = line(&format!("table entry (k={k}, sub={sub})"), entry);
        let acc = line(&format!("lookup sum (k={k}, sub={sub})"), acc);
        sums.push(acc.clone());
        units.push((format!("pimc_table_build_k{k}_s{sub}_"), vec![entry.clone()]));
        units.push((format!("pimc_table_lookup_k{k}_s{sub}_"), vec![acc.clone()]));
        units.push((format!("pimc_lookup_unit_k{k}_s{sub}_"), vec![entry, acc]));
    }
    if plan.shape.bank.gated.is_some() {
        sums.push(gated.clone());
        units.push(("pimc_plane_packer".into(), vec![planes.clone()]));
        units.push(("pimc_gated_sum".into(), vec![planes, gated]));
    }
    if let Some(p) = &proof.blocks {
        let t = line("inner product of a block's first factor", &p.t);
        let row = line("inner product of its second factor", &p.row);
        let result = line("result of a block's row", &p.result);
        sums.push(result.clone());
        units.push(("pimc_block_planes".into(), vec![t.clone()]));
        units.push(("pimc_block_rows".into(), vec![row.clone(), result.clone()]));
        units.push(("pimc_block_unit".into(), vec![t, row, result]));
    }
    if plan.shape.bank.mac.is_some() {
        sums.push(mac.clone());
        units.push(("pimc_mac_row".into(), vec![mac]));
    }
    units.push(("pimc_bank_unit".into(), sums));
    let plain = ["pimc_sign_gen", "pimc_requantiser", "pimc_byte_packer", "pimc_result_collect"];
    for module in plain.into_iter().chain(["pimc_merge_unit"]) {
        units.push((module.into(), vec![]));
    }
    for module in ["pimc_vector_alu", "pimc_buffer_unit"] {
        units.push((module.into(), vec![word.clone()]));
    }
    units.into_iter().map(|(module, ranges)| unit_source(module, ranges, model)).collect()
}

/// `model.ir:12:3`.
fn place(op: usize, model: &Model) -> String {
    let (line, column) = model.line_col(&model.module.func.ops[op].span);
    format!("{}:{line}:{column}", model.file_name)
}

fn unit_source(module: String, ranges: Vec<String>, model: &Model) -> UnitSource {
    let ops = &model.module.func.ops;
    let served = unit_ops(&module, model);
    let mut lines = vec![];
    // A unit that serves every op, or many kinds of them, points to none.
    let specific = served.len() < ops.len();
    if specific && !served.is_empty() {
        let named: Vec<String> = served
            .iter()
            .take(NAMED_OPS)
            .map(|&op| {
                let func = &model.module.func;
                let value = &func.values[func.value_of_op(op).0].name.text;
                format!("%{value} ({})", place(op, model))
            })
            .collect();
        let more = match served.len().saturating_sub(NAMED_OPS) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        lines.push(format!("Serves {}{more}.", named.join(", ")));
    }
    if !ranges.is_empty() {
        lines.push("Proven from the weights, for any inputs of the declared types:".into());
        lines.extend(ranges.into_iter().map(|range| format!("- {range}")));
    }
    let first = served.first().filter(|_| specific && module != "pimc_bank_unit");
    UnitSource { place: first.map(|&op| place(op, model)), module, lines }
}

/// The SystemVerilog of a plan, in dependency order.
pub(super) fn sources(plan: &Plan, model: &Model) -> Vec<SvFile> {
    emit_channel(&plan.shape, &provenance(plan, model))
}

/// `pimc.f`: the files in dependency order, relative to their folder.
pub(super) fn file_list(names: &[String]) -> String {
    names.iter().map(|n| format!("{n}\n")).collect()
}

/// `pimc.core`: the FuseSoC core.
pub(super) fn core(names: &[String], plan: &Plan, model: &Model) -> String {
    let stem = model.file_name.strip_suffix(".ir").unwrap_or(&model.file_name);
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let mut out = format!(
        "CAPI=2:\nname: \"::pimc_{name}:{}\"\ndescription: \"In-bank processing units of {stem} for {}\"\n\
         filesets:\n  rtl:\n    files:\n",
        env!("CARGO_PKG_VERSION"),
        plan.target.name
    );
    for name in names {
        out.push_str(&format!("      - {name}\n"));
    }
    out.push_str(
        "    file_type: systemVerilogSource\ntargets:\n  default: &default\n    filesets: [rtl]\n    \
         toplevel: pimc_channel\n  lint:\n    <<: *default\n    default_tool: verilator\n    tools:\n      \
         verilator:\n        mode: lint-only\n        verilator_options: [-Wall]\n",
    );
    out
}

/// The ops that a module serves, by the kind of unit that its name says. Control and memories serve
/// every op.
pub fn unit_ops(module: &str, model: &Model) -> Vec<usize> {
    let func = &model.module.func;
    let unit = module.strip_prefix("pimc_").unwrap_or(module);
    let is = |kinds: &[&str]| kinds.iter().any(|kind| unit.starts_with(kind));
    let serves = |kind: &OpKind| {
        let weight = match kind {
            OpKind::Matvec { weight, .. } => Some(model.module.weights[weight.0].ty),
            _ => None,
        };
        if is(&["lookup", "table"]) {
            let of = |k: usize, sub: usize| unit.contains(&format!("_k{k}_s{sub}_"));
            matches!(weight, Some(WeightType::Pq { k, sub, .. }) if of(k, sub))
        } else if is(&["gated", "plane"]) {
            matches!(weight, Some(WeightType::Bqq { .. } | WeightType::Supermask { .. }))
        } else if is(&["sign"]) {
            matches!(weight, Some(WeightType::Supermask { .. }))
        } else if is(&["mac"]) {
            matches!(weight, Some(WeightType::Int { .. }))
        } else if is(&["byte"]) {
            matches!(weight, Some(WeightType::Pq { .. } | WeightType::Int { .. }))
        } else if is(&["block"]) {
            matches!(weight, Some(WeightType::Bqq { .. }))
        } else if is(&["bank_unit", "column", "result"]) {
            weight.is_some()
        } else if is(&["requant"]) {
            matches!(kind, OpKind::Requant { .. })
        } else if is(&["merge"]) {
            matches!(kind, OpKind::Merge { .. })
        } else {
            true
        }
    };
    (0..func.ops.len()).filter(|&i| serves(&func.ops[i].kind)).collect()
}
