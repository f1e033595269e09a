//! `pimc quantize`: real weights to a model and its tensors.

use crate::args::Quantize;
use crate::files::replace;
use crate::outcome::{Failure, Outcome};
use crate::progress::Stages;
use pimc_quantize::{quantize, Request};
use serde_json::json;

pub fn run(args: &Quantize) -> Result<Outcome, Failure> {
    let tensors = args.output.with_extension("safetensors");
    // The name becomes a string of the module.
    let plain = |name: &&str| !name.chars().any(char::is_control);
    let name = tensors.file_name().and_then(|n| n.to_str()).filter(plain);
    let Some(name) = name.filter(|_| args.output.extension().is_some_and(|e| e == "ir")) else {
        let message = format!("{:?} is no name for a model", args.output);
        return Err(Failure::input(message, "name a file that ends with `.ir`, in plain text"));
    };
    let request = Request {
        recipe: &args.recipe,
        weights: &args.weights,
        tensor_file: name,
        writes: &[&args.output, &tensors],
    };
    let made = quantize(&request, &Stages::new())?;
    // The tensors first: a model never stands without them.
    replace(&[(&tensors, &made.tensors), (&args.output, made.ir_text.as_bytes())])?;
    let report = serde_json::to_value(&made.report)
        .map_err(|e| Failure::bug(format!("the report is no JSON: {e}")))?;
    Ok(Outcome::done(
        format!(
            "{}\nwrote {} and {}\n",
            made.report.to_table(),
            args.output.display(),
            tensors.display()
        ),
        json!({ "model": args.output, "tensors": tensors, "report": report }),
    ))
}
