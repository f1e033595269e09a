//! From files to a checked [`Model`].

use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::layout::{param_tensor, signed_at, weight_tensors, TensorSpec};
use crate::mapping;
use crate::module::{Module, Name, Span};
use crate::parse::parse;
use crate::tensors::{Bytes, Model, Slice, UsedFile};
use crate::verify;
use safetensors::SafeTensors;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;
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
    load_at(source, file_name, &|name| PathBuf::from(name), open)
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
        Diagnostics::one(shown.to_string(), d.help("name a text file in the language of pimc"))
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
    open: &dyn Fn(&str) -> io::Result<Bytes>,
) -> Result<Model, Diagnostics> {
    let module = parse(&source).map_err(|mut diags| {
        diags.set_file_name(&file_name);
        diags
    })?;
    let mut diags = Diagnostics::new(file_name.clone(), source.as_str());
    let sound = verify::module_rules(&module, &mut diags);
    let mut files = Files { opened: BTreeMap::new(), used: Vec::new(), path_of, open };
    let (mut weights, mut params) = (Vec::new(), Vec::new());
    for (weight, sound) in module.weights.iter().zip(sound) {
        // Shapes follow from the type, so a wrong type says nothing about its tensors.
        if !sound {
            continue;
        }
        let specs = weight_tensors(&weight.name.text, &weight.ty);
        if let Some(slices) = files.tensors(&weight.file, &weight.span, &specs, &mut diags) {
            verify::weight_contents(weight, &slices, &mut diags);
            weights.push(slices);
        }
    }
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
    if diags.has_errors() {
        diags.sort();
        return Err(diags);
    }
    let mut warnings = Diagnostics::new(file_name.clone(), source.as_str());
    verify::unused(&module, &mut warnings);
    warnings.sort();
    let used = files.used;
    let mut model = Model {
        module,
        source,
        file_name,
        weights,
        params,
        files: used,
        ranges: Vec::new(),
        warnings,
    };
    let ranges = verify::value_rules(&model, &mut diags);
    model.ranges = diags.result(ranges)?;
    Ok(model)
}

/// The tensor files of a module, each opened once.
struct Files<'a> {
    /// By name; `None` when it cannot be used, which has been reported.
    opened: BTreeMap<String, Option<Opened>>,
    used: Vec<UsedFile>,
    path_of: &'a dyn Fn(&str) -> PathBuf,
    open: &'a dyn Fn(&str) -> io::Result<Bytes>,
}

/// An open file and what is in it.
struct Opened {
    bytes: Bytes,
    tensors: BTreeMap<String, (safetensors::Dtype, Vec<usize>, Range<usize>)>,
}

impl Files<'_> {
    /// The tensors that the declaration at `span` needs from `file`.
    fn tensors(
        &mut self,
        file: &Name,
        span: &Span,
        specs: &[TensorSpec],
        diags: &mut Diagnostics,
    ) -> Option<Vec<Slice>> {
        if !self.opened.contains_key(&file.text) {
            let opened = self.open_file(file, diags);
            self.opened.insert(file.text.clone(), opened);
        }
        let opened = self.opened.get(&file.text)?.as_ref()?;
        let slices: Vec<Option<Slice>> =
            specs.iter().map(|spec| opened.tensor(spec, file, span, diags)).collect();
        slices.into_iter().collect()
    }

    fn open_file(&mut self, file: &Name, diags: &mut Diagnostics) -> Option<Opened> {
        let path = (self.path_of)(&file.text);
        let bytes = match (self.open)(&file.text) {
            Ok(bytes) => bytes,
            Err(e) => {
                let message = format!("tensor file `{}` cannot be opened", file.text);
                diags.push(
                    Diagnostic::error(Code::P0401, message).at(&file.span, e.to_string()).help(
                        format!(
                            "file names are relative to the folder of the module: looked for {}",
                            path.display()
                        ),
                    ),
                );
                return None;
            }
        };
        match Opened::read(bytes) {
            Ok(opened) => {
                let sha256: String = Sha256::digest((*opened.bytes).as_ref())
                    .iter()
                    .map(|b| format!("{b:02x}"))
                    .collect();
                self.used.push(UsedFile { name: file.text.clone(), path, sha256 });
                Some(opened)
            }
            Err(why) => {
                let message = format!("`{}` is not a valid safetensors file", file.text);
                diags.push(
                    Diagnostic::error(Code::P0402, message)
                        .at(&file.span, why)
                        .help("write it anew: it may be cut off, or another kind of file"),
                );
                None
            }
        }
    }
}

impl Opened {
    fn read(bytes: Bytes) -> Result<Opened, String> {
        let data = (*bytes).as_ref();
        let tensors = tensors_of(data)?;
        Ok(Opened { bytes, tensors })
    }

    fn tensor(
        &self,
        spec: &TensorSpec,
        file: &Name,
        span: &Span,
        diags: &mut Diagnostics,
    ) -> Option<Slice> {
        let problem = find(&self.tensors, spec, &file.text);
        match problem {
            Ok(range) => Some(Slice { file: self.bytes.clone(), range }),
            Err(d) => {
                let text = match d.code {
                    Code::P0403 => "needed by this declaration".to_string(),
                    _ => format!("needs {} {:?}", dtype_name(spec.dtype), spec.shape),
                };
                diags.push(d.at(span, text));
                None
            }
        }
    }
}

/// Dtype, shape and place of every tensor of a safetensors file.
pub(crate) type Directory = BTreeMap<String, (safetensors::Dtype, Vec<usize>, Range<usize>)>;

/// The directory of a safetensors file, or why it is none.
pub(crate) fn tensors_of(data: &[u8]) -> Result<Directory, String> {
    let file = SafeTensors::deserialize(data).map_err(|e| e.to_string())?;
    let start = data.as_ptr() as usize;
    Ok(file
        .iter()
        .map(|(name, view)| {
            let at = view.data().as_ptr() as usize - start;
            let range = at..at + view.data().len();
            (name.to_string(), (view.dtype(), view.shape().to_vec(), range))
        })
        .collect())
}

/// The place of a tensor that is as `spec` says; the diagnostic has no place as yet.
pub(crate) fn find(
    directory: &Directory,
    spec: &TensorSpec,
    file: &str,
) -> Result<Range<usize>, Diagnostic> {
    let name = &spec.name;
    let Some((dtype, shape, range)) = directory.get(name) else {
        let mut names: Vec<&str> = directory.keys().take(8).map(String::as_str).collect();
        if directory.len() > names.len() {
            names.push("..");
        }
        return Err(Diagnostic::error(Code::P0403, format!("`{file}` has no tensor `{name}`"))
            .help(format!(
                "it holds: {}",
                if names.is_empty() { "nothing".to_string() } else { names.join(", ") }
            )));
    };
    if *dtype != spec.dtype {
        let (is, must) = (dtype_name(*dtype), dtype_name(spec.dtype));
        return Err(Diagnostic::error(Code::P0404, format!("tensor `{name}` of `{file}` is {is}, not {must}"))
            .help(format!("store `{name}` as {must} of shape {:?}: nothing is converted, since hardware computes with exactly these integers", spec.shape)));
    }
    if *shape != spec.shape {
        return Err(Diagnostic::error(Code::P0405, format!("tensor `{name}` of `{file}` has shape {shape:?}, not {:?}", spec.shape))
            .help("correct the type of the declaration, or the file; bits are packed eight to a byte along the last axis"));
    }
    Ok(range.clone())
}

/// The name of a dtype as safetensors headers write it.
pub(crate) fn dtype_name(dtype: safetensors::Dtype) -> String {
    format!("{dtype:?}")
}

/// A module's own tensors, for those who write its files.
pub fn tensors_of_module(module: &Module) -> Vec<(String, Vec<TensorSpec>)> {
    let mut files: Vec<(String, Vec<TensorSpec>)> = Vec::new();
    let weights = module.weights.iter().map(|w| (&w.file, weight_tensors(&w.name.text, &w.ty)));
    let params = module.params.iter().map(|p| (&p.file, vec![param_tensor(&p.name.text, p.ty)]));
    for (file, specs) in weights.chain(params) {
        match files.iter_mut().find(|(name, _)| *name == file.text) {
            Some((_, list)) => list.extend(specs),
            None => files.push((file.text.clone(), specs)),
        }
    }
    files
}
