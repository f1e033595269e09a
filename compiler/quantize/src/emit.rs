//! The module's text and its tensor file.

use crate::matrix::{bytes_of_i32, bytes_of_i8};
use crate::network::IntLayer;
use crate::recipe::{Output, Recipe};
use pimc_ir::{param_tensor, weight_tensors, Dtype, IntTy, TensorSpec, VecTy, I8};
use std::collections::BTreeMap;
use std::fmt::Write;

const I32: IntTy = IntTy { bits: 32 };

/// Key of the tensor file's metadata: one JSON object.
pub const METADATA_KEY: &str = "pimc";

/// A parameter: its name, type and bytes.
struct ParamBytes {
    name: String,
    ty: VecTy,
    bytes: Vec<u8>,
}

fn params_of(layer: &IntLayer) -> Vec<ParamBytes> {
    let mut params = Vec::new();
    let mut add = |what: &str, elem: IntTy, len: usize, bytes: Vec<u8>| {
        let name = format!("{}_{what}", layer.name);
        params.push(ParamBytes { name, ty: VecTy { elem, len }, bytes });
    };
    if let Some(bias) = &layer.bias {
        add("bias", I32, bias.len(), bytes_of_i32(bias));
    }
    if let Some(requant) = layer.requant.as_ref().filter(|r| r.mul.len() > 1) {
        add("mul", I32, requant.mul.len(), bytes_of_i32(&requant.mul));
    }
    if let Some(table) = &layer.table {
        add(table.function, I8, table.values.len(), bytes_of_i8(&table.values));
    }
    params
}

/// The value that holds a layer's result, without its sigil.
pub fn result_value(layer: &IntLayer) -> String {
    let name = &layer.name;
    match (&layer.table, &layer.requant, layer.relu, &layer.bias) {
        (Some(table), ..) => format!("{name}_{}", table.function),
        (None, Some(_), ..) => format!("{name}_q"),
        (None, None, true, _) => format!("{name}_relu"),
        (None, None, false, Some(_)) => format!("{name}_sum"),
        (None, None, false, None) => name.clone(),
    }
}

/// The text of the module. `file` is the tensor file's name.
pub fn module_text(recipe: &Recipe, layers: &[IntLayer], file: &str) -> String {
    let quote = |s: &str| format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""));
    let file = quote(file);
    let mut decls = String::new();
    let mut body = String::new();
    for layer in layers {
        let _ = writeln!(decls, "weight @{} : {} from {file}", layer.name, layer.matrix.ty);
    }
    for p in layers.iter().flat_map(params_of) {
        let _ = writeln!(decls, "param @{} : {} from {file}", p.name, p.ty);
    }
    let inputs = layers.first().map_or(0, |l| l.matrix.ty.cols());
    let mut x = recipe.input.name.clone();
    let mut ty = VecTy { elem: I8, len: inputs };
    for layer in layers {
        let (name, len) = (&layer.name, layer.matrix.ty.rows());
        let mut op = |value: String, text: String, elem: IntTy, x: &mut String| {
            ty = VecTy { elem, len };
            let _ = writeln!(body, "%{value} = {text} : {ty}");
            *x = value;
        };
        let acc = layer.accumulator;
        op(name.clone(), format!("matvec @{name}, %{x}"), acc, &mut x);
        if layer.bias.is_some() {
            op(format!("{name}_sum"), format!("add %{x}, @{name}_bias"), acc, &mut x);
        }
        if layer.relu {
            op(format!("{name}_relu"), format!("relu %{x}"), acc, &mut x);
        }
        if let Some(r) = &layer.requant {
            let mul = match r.mul[..] {
                [mul] => mul.to_string(),
                _ => format!("@{name}_mul"),
            };
            let text = format!("requant %{x}, mul={mul}, shift={}", r.shift);
            op(format!("{name}_q"), text, r.to, &mut x);
        }
        if let Some(table) = &layer.table {
            let f = table.function;
            op(format!("{name}_{f}"), format!("table %{x}, @{name}_{f}"), I8, &mut x);
        }
    }
    if recipe.output == Output::Argmax {
        let bits = IntTy::spanning(0, ty.len as i128 - 1).map_or(32, |t| t.bits.max(32));
        ty = VecTy { elem: IntTy { bits }, len: 1 };
        let _ = writeln!(body, "%class = argmax %{x} : {ty}");
        x = "class".to_string();
    }
    let (target, input) = (quote(&recipe.target), &recipe.input.name);
    format!(
        "pimc 1\n\ntarget {target}\n\n{decls}\n\
         func @main(%{input}: i8<{inputs}>) -> {ty} {{\n{body}return %{x}\n}}\n"
    )
}

/// Every name that [`module_text`] gives to a value or a declaration, with the layer that causes it.
pub fn names(layers: &[crate::layers::Layer<'_>]) -> Vec<(usize, String)> {
    let suffixes = ["", "_sum", "_relu", "_q", "_bias", "_mul", "_gelu", "_silu"];
    let each = layers.iter().enumerate().flat_map(|(i, layer)| {
        suffixes.iter().map(move |s| (i, format!("{}{s}", layer.recipe.name.value)))
    });
    each.collect()
}

/// The tensor file: every tensor of section "Tensor files" of the language, and `metadata`.
///
/// # Errors
/// Why the writer refuses it; no input of the quantizer should lead there.
pub fn tensor_file(layers: &[IntLayer], metadata: &str) -> Result<Vec<u8>, String> {
    let params: Vec<ParamBytes> = layers.iter().flat_map(params_of).collect();
    let mut tensors: BTreeMap<String, (Dtype, Vec<usize>, &[u8])> = BTreeMap::new();
    let mut add = |spec: TensorSpec, bytes| {
        tensors.insert(spec.name, (spec.dtype, spec.shape, bytes));
    };
    for layer in layers {
        let specs = weight_tensors(&layer.name, &layer.matrix.ty);
        for (spec, bytes) in specs.into_iter().zip(&layer.matrix.tensors) {
            add(spec, bytes.as_slice());
        }
    }
    for p in &params {
        add(param_tensor(&p.name, p.ty), p.bytes.as_slice());
    }
    let mut views = Vec::new();
    for (name, (dtype, shape, bytes)) in &tensors {
        let view = safetensors::tensor::TensorView::new(*dtype, shape.clone(), bytes)
            .map_err(|e| format!("{name}: {e}"))?;
        views.push((name, view));
    }
    // One key only: the writer keeps no order of several.
    let info = [(METADATA_KEY.to_string(), metadata.to_string())].into_iter().collect();
    safetensors::serialize(views, Some(info)).map_err(|e| e.to_string())
}
