//! `mem/layout.json`: where everything lies in the banks and in vector memory.

use super::{bank_path, FORMAT_VERSION};
use crate::attention::CachePlan;
use crate::mapping::{Content, Region, Split, StreamPlace};
use crate::plan::Plan;
use pimc_ir::{Model, Side};
use serde_json::{json, Value};

pub(super) fn layout(plan: &Plan, model: &Model) -> Value {
    let func = &model.module.func;
    let (target, shape) = (&plan.target, &plan.shape);
    let region = |r: &Region| json!({"address": r.addr, "words": r.len});
    let value = |v: usize| {
        let value = &func.values[v];
        let Region { addr, len } = plan.regions[v];
        json!({
            "name": value.name.text, "type": value.ty.to_string(),
            "address": addr, "words": len,
        })
    };
    let isa = &shape.isa;
    json!({
        "format_version": FORMAT_VERSION,
        "banks": {
            "count": target.units(),
            "rows": target.rows,
            "rows_used": plan.dram_rows,
            "columns": target.columns,
            "column_bits": target.column_bits,
            "beat_bits": shape.beat_bits,
            "rule": "rows over the banks: matrix row r is in bank r mod count, at index r / count; inputs over the banks: a slice of every row in each bank, the first in bank 0, or the blocks and bases of a block row, number n in bank n mod count; a line of a file is a column",
            "files": (0..target.units()).map(bank_path).collect::<Vec<_>>(),
        },
        "streams": plan.streams.iter().map(|s| stream(s, plan, model)).collect::<Vec<_>>(),
        "cache": plan.cache.as_ref().map(|c| cache(c, model)),
        "vector_memory": {
            "words": shape.buffer.depth,
            "word_bits": shape.buffer.word_bits,
            "file": "mem/buffer.hex",
            "constants": plan.constants.first().map(|first| {
                json!({"address": first.0, "words": plan.constants.len()})
            }),
            "inputs": (0..func.inputs).map(value).collect::<Vec<_>>(),
            "result": region(&plan.result),
            "values": (0..func.values.len()).map(value).collect::<Vec<_>>(),
        },
        "program": {
            "words": plan.program.len(),
            "word_bits": isa.word_bits(),
            "file": "schedule/program.hex",
            "fields": {
                "delay": isa.delay_bits, "row": isa.row_bits, "column": isa.col_bits,
                "count": isa.count_bits, "mode": isa.mode_bits, "columns": isa.columns_bits,
                "beats": isa.beats_bits, "coats": isa.coats_bits, "key": isa.key_bits,
                "block": isa.block_bits, "address": isa.addr_bits, "bank": isa.bank_bits,
            },
        },
    })
}

fn stream(s: &StreamPlace, plan: &Plan, model: &Model) -> Value {
    let holds = match s.content {
        Content::Codebook => "codebook".to_string(),
        Content::Codes => "codes".to_string(),
        Content::Blocks => "blocks, a basis each".to_string(),
        Content::Mask => "mask planes".to_string(),
        Content::Int { group } => format!("integers of group {group}"),
    };
    let split = match s.split {
        Split::Rows => "rows",
        Split::Inputs => "inputs",
    };
    json!({
        "weight": model.module.weights[s.weight.0].name.text,
        "holds": holds,
        "first_row": s.first_row,
        "rows": s.dram_rows(plan.target.columns),
        "over_the_banks": split,
        "matrix_rows_per_bank": s.rows,
        "inputs_per_bank": s.inputs,
        "columns_per_matrix_row": s.row_columns,
        "beats_of_last_column": s.tail_beats,
        "columns": s.columns,
        "coats": s.coats,
    })
}

/// Rows of a cache; what is in a column `pimc_rtl::attention` says.
fn cache(c: &CachePlan, model: &Model) -> Value {
    let l = &c.layout;
    let slots = (0..l.slots).map(|slot| {
        let rows = |of: &dyn Fn(Side) -> u32| Side::BOTH.map(of);
        json!({
            "head": slot,
            "codebook_rows": rows(&|side| l.codebook_row(slot, side)),
            "exact_rows": rows(&|side| l.exact_row(slot, side)),
        })
    });
    json!({
        "name": model.module.caches[c.id.0].name.text,
        "rule": "keys, then values; bank b is member b mod members of token group b / members and has `slices` neighbouring sub-vectors; a page is a frame of rows, two for each head",
        "members": l.members,
        "token_groups": l.groups,
        "slices": l.slices,
        "codes_per_beat": l.lanes,
        "exact_per_beat": l.chunk,
        "heads": slots.collect::<Vec<_>>(),
        "first_frame_row": l.frame_row(0),
        "rows_per_frame": l.page_rows(),
        "frames": l.pages(),
        "tokens_per_page": l.page_tokens(),
        "arguments": c.arguments.words(),
    })
}
