//! `pimc explain`: the manual of the diagnostics.

use crate::args::Explain;
use crate::outcome::{Failure, Outcome};
use pimc_ir::diag::explain;
use pimc_ir::Code;
use serde_json::json;

pub fn run(args: &Explain) -> Result<Outcome, Failure> {
    let Some(text) = &args.code else { return Ok(list()) };
    let unknown = || {
        Failure::input(format!("there is no code `{text}`"), "`pimc explain` alone lists all codes")
    };
    let code = Code::from_text(text).ok_or_else(unknown)?;
    let page = explain(code);
    Ok(Outcome::done(
        page.page,
        json!({
            "code": code.as_str(),
            "title": code.title(),
            "page": page.page,
            "bad": page.bad,
            "tensors": page.tensors,
            "message": page.message,
            "good": page.good,
        }),
    ))
}

fn list() -> Outcome {
    let lines = Code::ALL.iter().map(|c| format!("{c}  {}\n", c.title())).collect::<String>();
    let codes: Vec<_> =
        Code::ALL.iter().map(|c| json!({ "code": c.as_str(), "title": c.title() })).collect();
    Outcome::done(lines, json!({ "codes": codes }))
}
