//! From files to a checked [`Model`].

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::layout::{cache_tensors, param_tensor, signed_at, weight_tensors};
use crate::mapping;
use crate::module::Module;
use crate::parse::parse;
use crate::tensor_files::{hashed, Files, Open};
use crate::tensors::{Bytes, Model, Slice};
use crate::verify;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Largest `.ir` file, in bytes: tensors do not belong into it.
pub const MAX_SOURCE: u64 = 64 << 20;

/// Reads, parses, maps and verifies the model in the file `path`. Tensor files are looked for
/// relative to its folder.
///
/// # Errors
/// Everything that is wrong with the text; or, if nothing is, with its types and tensors.
pub fn load(path: &Path) -> Result<Model, Diagnostics> {
    let (source, file_name) = read_source(path)?;
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    load_at(source, file_name, &|name| folder.join(name), &|name| mapping::map(&folder.join(name)))
}

/// As [`load`], of a text and files that the caller has: `open` gives the bytes of a tensor file by
/// the name that the module writes.
///
/// # Errors
/// As [`load`].
pub fn load_from(
    source: String,
    file_name: String,
    open: &dyn Fn(&str) -> io::Result<Bytes>,
) -> Result<Model, Diagnostics> {
    load_at(source, file_name, &|name| PathBuf::from(name), &|name| Ok((open(name)?, None)))
}

/// The text of the `.ir` file `path` and the name to show for it.
///
/// # Errors
/// P0101, P0102, P0103: unreadable, not a regular file, too large, not UTF-8.
pub fn read_source(path: &Path) -> Result<(String, String), Diagnostics> {
    let file_name = path
        .file_name()
        .map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    let shown = path.display();
    let unreadable = |e: io::Error| {
        let d = Diagnostic::error(Code::P0102, format!("`{shown}` cannot be read: {e}"));
        Diagnostics::one(
            shown.to_string(),
            d.help("name a text file that is there and can be read"),
        )
    };
    let (file, len) = mapping::open_regular(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_SOURCE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_SOURCE {
        let d = Diagnostic::error(Code::P0103, format!("`{shown}` has {len} bytes")).help(format!(
            "a module has at most {MAX_SOURCE} bytes; large tensors live in safetensors files"
        ));
        return Err(Diagnostics::one(shown.to_string(), d));
    }
    match String::from_utf8(bytes) {
        Ok(source) => Ok((source, file_name)),
        Err(e) => {
            let at = e.utf8_error().valid_up_to();
            let source = String::from_utf8_lossy(e.as_bytes()).into_owned();
            let mut diags = Diagnostics::new(file_name, source);
            diags.push(
                Diagnostic::error(Code::P0101, "the file is not UTF-8 text")
                    .at(
                        &(at..at + char::REPLACEMENT_CHARACTER.len_utf8()),
                        format!("byte {at} begins no character"),
                    )
                    .help("save the file as UTF-8"),
            );
            Err(diags)
        }
    }
}

fn load_at(
    source: String,
    file_name: String,
    path_of: &dyn Fn(&str) -> PathBuf,
    open: &Open<'_>,
) -> Result<Model, Diagnostics> {
    let module = parse(&source).map_err(|mut diags| {
        diags.set_file_name(&file_name);
        diags
    })?;
    let mut diags = Diagnostics::new(file_name.clone(), source.as_str());
    let verify::Sound { weights: sound, caches: sound_caches } =
        verify::module_rules(&module, &mut diags);
    let mut files = Files::new(path_of, open);
    let mut weights: Vec<Option<Vec<Slice>>> = Vec::new();
    for (weight, sound) in module.weights.iter().zip(sound) {
        // Shapes follow from the type, so a wrong type says nothing about its tensors.
        let specs = weight_tensors(&weight.name.text, &weight.ty);
        let slices = sound.then(|| files.tensors(&weight.file, &weight.span, &specs, &mut diags));
        weights.push(slices.flatten());
    }
    let mut params = Vec::new();
    for param in &module.params {
        let spec = param_tensor(&param.name.text, param.ty);
        let size = spec.dtype.bitsize() / 8;
        if let Some(slices) = files.tensors(&param.file, &param.span, &[spec], &mut diags) {
            let values: Vec<i64> =
                (0..param.ty.len).map(|i| signed_at(slices[0].bytes(), size, i)).collect();
            verify::param_contents(param, &values, &mut diags);
            params.push(values);
        }
    }
    let mut caches: Vec<Option<Vec<Slice>>> = Vec::new();
    for (cache, sound) in module.caches.iter().zip(sound_caches) {
        let tensors = || {
            let specs = cache_tensors(&cache.name.text, &cache.ty);
            files.tensors(&cache.file, &cache.span, &specs, &mut diags)
        };
        caches.push(sound.then(tensors).flatten());
    }
    // Checksums take about as long as everything that follows; they are of no use to a wrong model.
    let used = files.used;
    let checked = || checked(module, source, file_name, Tensors { weights, params, caches }, diags);
    let (model, used) = rayon::join(checked, || hashed(used));
    let mut model = model?;
    model.files = used;
    Ok(model)
}

/// The tensors of the declarations, in their order.
struct Tensors {
    weights: Vec<Option<Vec<Slice>>>,
    params: Vec<Vec<i64>>,
    caches: Vec<Option<Vec<Slice>>>,
}

/// The model of a module and its tensors (none for a declaration that has an error), without its
/// files.
fn checked(
    module: Module,
    source: String,
    file_name: String,
    tensors: Tensors,
    mut diags: Diagnostics,
) -> Result<Model, Diagnostics> {
    let Tensors { weights, params, caches } = tensors;
    for (weight, slices) in module.weights.iter().zip(&weights) {
        if let Some(slices) = slices {
            verify::weight_contents(weight, slices, &mut diags);
            slices.iter().for_each(Slice::release);
        }
    }
    for (cache, slices) in module.caches.iter().zip(&caches) {
        if let Some(slices) = slices {
            verify::cache_contents(cache, slices, &mut diags);
        }
    }
    if diags.has_errors() {
        diags.sort();
        return Err(diags);
    }
    let mut warnings = Diagnostics::new(file_name.clone(), source.as_str());
    verify::unused(&module, &mut warnings);
    warnings.sort();
    let mut model = Model {
        module,
        source,
        file_name,
        // Without an error there are the tensors of every weight.
        weights: weights.into_iter().flatten().collect(),
        params,
        caches: caches.into_iter().flatten().collect(),
        files: Vec::new(),
        ranges: Vec::new(),
        warnings,
    };
    let ranges = verify::value_rules(&model, &mut diags);
    model.ranges = diags.result(ranges)?;
    Ok(model)
}
