//! The files of hardware, and what is said in them of where they come from.

use crate::plan::Plan;
use crate::ranges::Proof;
use pimc_ir::{Model, OpKind, WeightType};
use pimc_rtl::channel::emit_channel;
use pimc_rtl::sv::{Provenance, SvFile};

/// What the headers of the hardware say of its source: module, target and proven ranges.
pub fn provenance(plan: &Plan, model: &Model) -> Provenance {
    let hash = super::write::sha256(model.source.as_bytes());
    let mut source = vec![
        format!(
            "Source: {} (sha256 {}), target {}.",
            model.file_name,
            &hash[..12],
            plan.target.name
        ),
        "Proven ranges, from the weights and any inputs of the declared types:".to_string(),
    ];
    let proof = &plan.proof;
    for ((k, sub), (entry, acc)) in &proof.lookups {
        source.push(Proof::line(&format!("table entry (k={k}, sub={sub})"), entry, model));
        source.push(Proof::line(&format!("lookup sum (k={k}, sub={sub})"), acc, model));
    }
    if plan.shape.bank.gated.is_some() {
        source.push(Proof::line("bit-plane input", &proof.planes, model));
        source.push(Proof::line("gated sum", &proof.gated, model));
    }
    if let Some(blocks) = &proof.blocks {
        source.push(Proof::line("inner product of a block", &blocks.t, model));
        source.push(Proof::line("result of a block's row", &blocks.result, model));
    }
    if plan.shape.bank.mac.is_some() {
        source.push(Proof::line("multiply-add sum", &proof.mac, model));
    }
    let mut words = Proof::line("vector memory", &proof.word, model);
    let built = plan.shape.buffer.word_bits;
    if built > proof.word.bits() {
        // Constants of a requantiser, its widest result or an accumulator ask for more.
        words += &format!("; its words have {built} for what else passes through them");
    }
    source.push(words);
    Provenance { version: env!("CARGO_PKG_VERSION").to_string(), source }
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
        } else if is(&["bank_unit", "column", "collect"]) {
            weight.is_some()
        } else if is(&["requant"]) {
            matches!(kind, OpKind::Requant { .. })
        } else {
            true
        }
    };
    (0..func.ops.len()).filter(|&i| serves(&func.ops[i].kind)).collect()
}
