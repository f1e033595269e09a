//! The output tree: every file that a compilation writes, in a fixed order.
//!
//! | files | hold |
//! |---|---|
//! | `rtl/*.sv`, `rtl/pimc.f`, `rtl/pimc.core` | the hardware, its file list, its FuseSoC core |
//! | `schedule/program.pims`, `program.hex`, `commands.csv`, `trace.json`, `target.toml` | the program as text and as words, its commands, its run for trace viewers, the target |
//! | `mem/bank_*.hex`, `buffer.hex`, `layout.json` | what the banks and vector memory hold, and where everything lies |
//! | `model/` | the module and its tensor files, under their own names |
//! | `map.json`, `report.json`, `report.html` | where everything comes from, and what it costs |
//! | `manifest.json` | the checksum of every input and output |
//!
//! A mapping that ends at the schedule has no `rtl/`, no program, no map and no trace for viewers: see
//! [`emit_any`] and `form.rs`.

mod form;
mod layout;
mod map;
mod read;
mod rtl;
mod write;

pub(crate) use form::gather_name;
pub use form::{ENDS_AT, LEVELS, WHY};
pub use read::{read_any, read_tree, FileBanks, FormFiles, ReadTree, TreeFiles};
pub use rtl::{provenance, unit_ops};
pub use write::write_tree;

use crate::diag::error;
use crate::hex;
use crate::images::Images;
use crate::plan::{Lowered, Plan};
use crate::report::{html, write_trace, Report};
use crate::target::Target;
use crate::{assembly, commands};
use pimc_ir::checksum::sha256;
use pimc_ir::{Code, Diagnostics, Model, Span, Stamp};
use pimc_rtl::program::encode;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The version of `manifest.json`, `map.json` and `mem/layout.json`.
pub const FORMAT_VERSION: u32 = 1;

/// Where the target is kept.
const SCHEDULE_TARGET: &str = "schedule/target.toml";

/// Writes a file's bytes.
pub type Writer<'a> = Box<dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync + 'a>;

/// How a file's bytes come about.
pub enum Contents<'a> {
    /// They are here.
    Text(String),
    /// They are written when asked for, so that a large image is never in memory.
    Stream(Writer<'a>),
    /// A bank's columns, stream by stream, so that the streams of a large model are worked on one
    /// after another in every bank.
    Bank {
        /// The images of all banks.
        images: Arc<Images<'a>>,
        /// Which bank.
        bank: u32,
        /// How many streams there are.
        streams: usize,
    },
    /// They are a file's, whose SHA-256 is known.
    Copy {
        /// The file.
        from: PathBuf,
        /// Its SHA-256 when it was read, in hexadecimal.
        sha256: String,
        /// What it was before it was read.
        stamp: Option<Stamp>,
    },
}

/// A file of the tree.
pub struct OutputFile<'a> {
    /// Its path in the tree, with `/`.
    pub path: String,
    /// Its bytes.
    pub contents: Contents<'a>,
}

impl OutputFile<'_> {
    /// Writes the file's bytes.
    ///
    /// # Errors
    /// Of the writer, or of the file copied from.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        match &self.contents {
            Contents::Text(text) => to.write_all(text.as_bytes()),
            Contents::Stream(write) => write(to),
            Contents::Bank { images, bank, streams } => {
                to.write_all(bank_head(*bank).as_bytes())?;
                (0..*streams).try_for_each(|stream| images.write_stream(stream, *bank, to))
            }
            Contents::Copy { from, .. } => {
                io::copy(&mut std::fs::File::open(from)?, to).map(|_| ())
            }
        }
    }
}

/// All files but the manifest, which says what they hold.
pub struct OutputTree<'a> {
    /// In order of path within their folder's place in the list above.
    pub files: Vec<OutputFile<'a>>,
    /// The inputs: name and SHA-256.
    pub inputs: Vec<(String, String)>,
    /// The options that shaped the output: name and value.
    pub options: Vec<(String, String)>,
    /// Path of the module in the tree.
    pub model: String,
    /// Files of hardware, in dependency order.
    pub rtl: Vec<String>,
    /// What the manifest says of a mapping that ends before hardware.
    pub mapping: Option<serde_json::Value>,
}

/// Everything that a lowered model writes.
///
/// # Errors
/// As [`emit`].
pub fn emit_any<'a>(lowered: &'a Lowered, model: &'a Model) -> Result<OutputTree<'a>, Diagnostics> {
    match lowered {
        Lowered::Hardware(plan) => emit(plan, model),
        Lowered::Form(plan) => form::emit(plan, model),
    }
}

/// Everything that a plan of that model writes.
///
/// # Errors
/// P0704 when a tensor file's name is absolute, so that the tree could not hold it.
pub fn emit<'a>(plan: &'a Plan, model: &'a Model) -> Result<OutputTree<'a>, Diagnostics> {
    let mut files = Vec::new();
    let mut put = |path: &str, contents: Contents<'a>| {
        files.push(OutputFile { path: path.to_string(), contents });
    };
    let sources = rtl::sources(plan, model);
    let names: Vec<String> = sources.iter().map(|f| f.name.clone()).collect();
    put("rtl/pimc.f", Contents::Text(rtl::file_list(&names)));
    put("rtl/pimc.core", Contents::Text(rtl::core(&names, plan, model)));
    let map = map::map(plan, model, &names);
    for file in sources {
        put(&format!("rtl/{}", file.name), Contents::Text(file.text));
    }
    put(
        "schedule/program.pims",
        Contents::Stream(Box::new(move |to| assembly::write(plan, model, to))),
    );
    put("schedule/program.hex", Contents::Stream(Box::new(move |to| program_hex(plan, to))));
    put(
        "schedule/commands.csv",
        Contents::Stream(Box::new(move |to| {
            commands::write_timed(plan.commands(), &plan.target, to)
        })),
    );
    put("schedule/trace.json", Contents::Stream(Box::new(move |to| write_trace(plan, model, to))));
    put(SCHEDULE_TARGET, Contents::Text(plan.target.source.clone()));
    let images = Arc::new(Images::new(model, plan));
    for bank in 0..plan.target.units() {
        let (images, streams) = (images.clone(), images.streams());
        put(&bank_path(bank), Contents::Bank { images, bank, streams });
    }
    put("mem/buffer.hex", Contents::Stream(Box::new(move |to| buffer_hex(plan, to))));
    put("mem/layout.json", Contents::Text(json_text(&layout::layout(plan, model))));
    put("map.json", Contents::Text(json_text(&map)));
    let report = Report::new(plan, model);
    let text = serde_json::to_value(&report).map(|v| json_text(&v));
    put("report.json", Contents::Text(text.unwrap_or_default()));
    put("report.html", Contents::Text(html(&report)));

    let (module, inputs) = put_model(model, &plan.target, &mut put)?;
    Ok(OutputTree {
        files,
        inputs,
        options: vec![("target".to_string(), plan.target.name.clone())],
        model: module,
        rtl: names,
        mapping: None,
    })
}

/// The module and its tensor files, under their own names: the module's path, and all inputs, of which the
/// target is the last.
fn put_model<'a>(
    model: &'a Model,
    target: &Target,
    put: &mut dyn FnMut(&str, Contents<'a>),
) -> Result<(String, Vec<(String, String)>), Diagnostics> {
    let places = model_places(model)?;
    put(&places.module, Contents::Text(model.source.clone()));
    let mut inputs = vec![(model.file_name.clone(), sha256(model.source.as_bytes()))];
    for (file, path) in model.files().iter().zip(places.tensors) {
        inputs.push((file.name.clone(), file.sha256.clone()));
        let contents = Contents::Copy {
            from: file.path.clone(),
            sha256: file.sha256.clone(),
            stamp: file.stamp.clone(),
        };
        put(&path, contents);
    }
    inputs.push(("target".to_string(), sha256(target.source.as_bytes())));
    Ok((places.module, inputs))
}

/// The first line of a bank's file.
fn bank_head(bank: u32) -> String {
    format!("// Bank {bank}: a column of 256 bits a line, from row 0, column 0.\n")
}

fn bank_path(bank: u32) -> String {
    format!("mem/bank_{bank:02}.hex")
}

/// JSON with two spaces of indentation and a line end.
fn json_text(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

fn program_hex(plan: &Plan, to: &mut dyn Write) -> io::Result<()> {
    let isa = &plan.shape.isa;
    let words = encode(&plan.program, isa)
        .map_err(|e| io::Error::other(e.first().map_or(String::new(), ToString::to_string)))?;
    let bits = isa.word_bits();
    writeln!(to, "// Program words of {bits} bits: opcode 4, delay {}, operands.", isa.delay_bits)?;
    hex::write_words(words, bits, to)
}

fn buffer_hex(plan: &Plan, to: &mut dyn Write) -> io::Result<()> {
    let bits = plan.shape.buffer.word_bits;
    writeln!(to, "// Constants of vector memory: words of {bits} bits, two's complement.")?;
    if let Some((base, _)) = plan.constants.first() {
        writeln!(to, "@{base:x}")?;
    }
    let mask = u128::from(u64::MAX) >> (64 - bits.clamp(1, 64));
    let words = plan.constants.iter().map(|&(_, w)| u128::from(w as u64) & mask);
    hex::write_words(words, bits, to)
}

/// Where the module and its tensor files lie in the tree.
struct Places {
    module: String,
    tensors: Vec<String>,
}

/// The module lies in `model/`, or as many folders below it as a tensor file's name climbs, so that
/// every name keeps its meaning and stays in the tree.
fn model_places(model: &Model) -> Result<Places, Diagnostics> {
    let mut found = Diagnostics::new(model.file_name.clone(), model.source.clone());
    let mut climbs = 0usize;
    let mut names = Vec::new();
    for file in model.files() {
        match parts(&file.name) {
            Some((up, parts)) => {
                climbs = climbs.max(up);
                names.push((up, parts));
            }
            None => {
                let declared = model.module.weights.iter().map(|w| &w.file);
                let mut declared = declared.chain(model.module.params.iter().map(|p| &p.file));
                let span: Span =
                    declared.find(|n| n.text == file.name).map_or(0..0, |n| n.span.clone());
                found.push(
                    error(Code::P0704, format!("`{}` is an absolute name", file.name))
                        .at(&span, "the output tree cannot keep it")
                        .help("name tensor files relative to the module's folder"),
                );
            }
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    let below = |up: usize| {
        // The folder that a name which climbs `up` folders starts from.
        let depth = climbs - up;
        std::iter::once("model").chain(std::iter::repeat_n("module", depth)).collect::<Vec<_>>()
    };
    let module = below(0).join("/") + "/" + &model.file_name;
    let tensors =
        names.iter().map(|(up, parts)| below(*up).join("/") + "/" + &parts.join("/")).collect();
    Ok(Places { module, tensors })
}

/// How many folders a relative name climbs first, and the rest of it; none for another name.
fn parts(name: &str) -> Option<(usize, Vec<String>)> {
    let (mut up, mut rest) = (0, Vec::<String>::new());
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => rest.push(part.to_string_lossy().into_owned()),
            Component::CurDir => {}
            Component::ParentDir => {
                if rest.pop().is_none() {
                    up += 1;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!rest.is_empty()).then_some((up, rest))
}
