//! The sweep file: which axes, with which values. `docs/sweep.md` is its grammar.

use crate::axes::{self, Axis, Place, Value};
use pimc_ir::{Code, Diagnostic, Diagnostics, Span};
use pimc_lower::Target;
use pimc_quantize::change::{changed, Change, PARAMETERS};
use pimc_quantize::recipe::parse_recipe;
use pimc_quantize::RecipeText;
use std::path::Path;
use toml::de::{DeTable, DeValue};
use toml::Spanned;

/// Points of a sweep at most.
pub const MAX_POINTS: usize = 100_000;

/// The sweep that is made where no file is given, but for its targets and formats.
const DEFAULT: &str = include_str!("default.toml");

/// What is added to it where there are weights: the parameters of the recipe's formats.
const DEFAULT_FORMATS: [(&str, &str); 3] = [
    ("pq", "k = [4, 16, 64]\nsub = [1, 2, 4]\n"),
    ("bqq", "bases = [1, 2, 3]\neffort = [\"fast\"]\n"),
    ("int", "bits = [2, 4, 8]\n"),
];

/// A sweep: targets times the values of all axes.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The file's name in diagnostics.
    pub file_name: String,
    /// Its text.
    pub source: String,
    /// The targets.
    pub targets: Vec<Target>,
    /// The axes, those of the target first, otherwise in the order of the text.
    pub axes: Vec<Axis>,
}

/// What a sweep is about.
pub struct Subject<'a> {
    /// The target that the model names.
    pub target: &'a Target,
    /// The recipe, if weights are quantized.
    pub recipe: Option<&'a RecipeText>,
}

/// The default sweep for a subject, as text.
pub fn default_text(subject: &Subject<'_>) -> String {
    let built_in = Target::built_in();
    let names: Vec<String> = built_in.iter().map(|t| format!("\"{}\"", t.name)).collect();
    // A target of the user's own is swept alone.
    let targets = match built_in.contains(subject.target) {
        true => format!("targets = [{}]\n\n", names.join(", ")),
        false => String::new(),
    };
    let mut text = targets + DEFAULT;
    let recipe = subject.recipe.map_or("", |r| r.text.as_str());
    let ours = |format: &str| recipe.contains(&format!("\"{format}\""));
    let formats: String =
        DEFAULT_FORMATS.iter().filter(|(f, _)| ours(f)).map(|(_, axes)| *axes).collect();
    if !formats.is_empty() {
        text += &format!("\n[format]\n{formats}");
    }
    text
}

/// Mistakes found so far.
struct Reader<'a> {
    text: &'a str,
    found: Diagnostics,
}

impl Reader<'_> {
    fn error(&mut self, code: Code, span: &Span, message: String, label: &str, help: &str) {
        self.found.push(Diagnostic::error(code, message).at(span, label).help(help));
    }

    fn wrong_type(&mut self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) {
        let label = format!("this is a {}", value.get_ref().type_str());
        let message = format!("`{key}` must be {expected}");
        self.error(Code::P0801, &value.span(), message, &label, &format!("write {expected}"));
    }

    fn table<'a>(&mut self, key: &str, value: &'a Spanned<DeValue<'a>>) -> Option<&'a DeTable<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, value, "a table of axes");
        }
        table
    }

    /// The values of an axis: a list, each once.
    fn values(&mut self, key: &str, value: &Spanned<DeValue<'_>>) -> Vec<Value> {
        let Some(list) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of values, as in `[1, 2]`");
            return vec![];
        };
        let mut values: Vec<Value> = vec![];
        for item in list {
            let span = item.span();
            let Some((toml, shown)) = literal(self.text, item) else {
                self.wrong_type(key, item, "an integer, a number, a text, true, false or a pair");
                continue;
            };
            if values.iter().any(|v| v.shown == shown) {
                let message = format!("`{key}` has the value {shown} twice");
                let help = "name each value once";
                self.error(Code::P0802, &span, message, "a second time", help);
            } else {
                values.push(Value { toml, shown, span });
            }
        }
        if list.is_empty() {
            let message = format!("`{key}` has no values");
            let help = "give at least one value, or leave the axis out";
            self.error(Code::P0802, &value.span(), message, "an empty list", help);
        }
        values
    }
}

/// A value as TOML writes it, and as the tables show it.
fn literal(text: &str, item: &Spanned<DeValue<'_>>) -> Option<(String, String)> {
    let written = text.get(item.span()).unwrap_or("").to_string();
    Some(match item.get_ref() {
        DeValue::Integer(i) => {
            let value = i128::from_str_radix(&i.as_str().replace('_', ""), i.radix()).ok()?;
            (value.to_string(), value.to_string())
        }
        DeValue::Float(f) => (written, f.as_str().to_string()),
        DeValue::Boolean(b) => (b.to_string(), b.to_string()),
        DeValue::String(s) if !s.contains(char::is_control) => (written, s.to_string()),
        DeValue::Array(pair) if pair.len() == 2 => {
            let sides: Option<Vec<String>> =
                pair.iter().map(|side| literal(text, side).map(|l| l.1)).collect();
            let sides = sides?;
            (format!("[{}]", sides.join(", ")), sides.join("x"))
        }
        _ => return None,
    })
}

/// Reads a sweep. Names of targets that are files are relative to `folder`.
///
/// # Errors
/// P0801 to P0803, located in the text, and what is wrong with a target.
pub fn read(
    text: &str,
    file_name: &str,
    folder: &Path,
    subject: &Subject<'_>,
) -> Result<Sweep, Diagnostics> {
    let mut reader = Reader { text, found: Diagnostics::new(file_name, text) };
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(e) => {
            let help =
                "a sweep is a TOML file of lists: `key = [values]` under [target] and [format]";
            let span = e.span().unwrap_or(0..0);
            reader.error(Code::P0801, &span, "this is not TOML".into(), e.message().trim(), help);
            return Err(reader.found);
        }
    };
    let mut targets = vec![subject.target.clone()];
    let mut axes = vec![];
    for (key, value) in document.get_ref() {
        let name: &str = key.get_ref().as_ref();
        match name {
            "targets" => targets = read_targets(&mut reader, value, folder)?,
            "target" => {
                for (section, inner) in reader.table(name, value).into_iter().flatten() {
                    let section: &str = section.get_ref().as_ref();
                    for (key, value) in reader.table(section, inner).into_iter().flatten() {
                        let place = Place::Target {
                            section: section.to_string(),
                            key: key.get_ref().to_string(),
                        };
                        let values = reader.values(key.get_ref(), value);
                        axes.push(Axis { place, values, span: key.span() });
                    }
                }
            }
            "format" => read_formats(&mut reader, None, name, value, &mut axes),
            "layer" => {
                for (layer, inner) in reader.table(name, value).into_iter().flatten() {
                    let layer: &str = layer.get_ref().as_ref();
                    read_formats(&mut reader, Some(layer), layer, inner, &mut axes);
                }
            }
            _ => {
                let message = format!("a sweep has no key `{name}`");
                let help = "known: targets, [target], [format], [layer.NAME]";
                reader.error(Code::P0801, &key.span(), message, "not known", help);
            }
        }
    }
    axes.sort_by_key(|a| (a.is_format(), a.span.start));
    if reader.found.is_empty() {
        check_target_keys(&mut reader, &axes, &targets);
        check_formats(&mut reader, &axes, subject.recipe);
    }
    let points = axes::count(&axes, targets.len());
    if reader.found.is_empty() && points.is_none_or(|n| n > MAX_POINTS) {
        let many =
            points.map_or("more points than can be counted".into(), |n| format!("{n} points"));
        let message = format!("the sweep has {many}");
        let span = axes.last().map_or(0..0, |a| a.span.clone());
        let help = format!("leave out values: at most {MAX_POINTS} points");
        reader.error(Code::P0802, &span, message, "the last axis of them", &help);
    }
    if !reader.found.is_empty() {
        return Err(reader.found);
    }
    Ok(Sweep { file_name: file_name.into(), source: text.into(), targets, axes })
}

fn read_targets(
    reader: &mut Reader<'_>,
    value: &Spanned<DeValue<'_>>,
    folder: &Path,
) -> Result<Vec<Target>, Diagnostics> {
    let mut targets: Vec<Target> = vec![];
    for value in reader.values("targets", value) {
        match Target::find(&value.shown, folder) {
            // Points are told apart by the target's name.
            Ok(target) if targets.iter().any(|t| t.name == target.name) => {
                let message = format!("two targets are called `{}`", target.name);
                let help = "give every target file a `name` of its own";
                reader.error(Code::P0802, &value.span, message, "the second one", help);
            }
            Ok(target) => targets.push(target),
            // What is wrong with a target's file is shown there; what has no place, here.
            Err(found) if found.list().iter().any(|d| d.primary.is_some()) => return Err(found),
            Err(found) => {
                for d in found.list() {
                    reader.found.push(d.clone().at(&value.span, "named here"));
                }
            }
        }
    }
    Ok(targets)
}

fn read_formats(
    reader: &mut Reader<'_>,
    layer: Option<&str>,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    axes: &mut Vec<Axis>,
) {
    for (key, value) in reader.table(name, value).into_iter().flatten() {
        let parameter: &str = key.get_ref().as_ref();
        if !PARAMETERS.iter().any(|p| p.0 == parameter) {
            let known: Vec<String> =
                PARAMETERS.iter().map(|(key, format)| format!("{key} ({format})")).collect();
            let message = format!("no format has a parameter `{parameter}` to sweep");
            let help = format!("known: {}", known.join(", "));
            reader.error(Code::P0801, &key.span(), message, "not known", &help);
            continue;
        }
        let place = Place::Format { layer: layer.map(Into::into), key: parameter.into() };
        let values = reader.values(parameter, value);
        axes.push(Axis { place, values, span: key.span() });
    }
}

/// Keys that no target has. Whether a value makes sense depends on the others, so it is seen point by
/// point.
fn check_target_keys(reader: &mut Reader<'_>, axes: &[Axis], targets: &[Target]) {
    for axis in axes {
        let (Place::Target { section, key }, Some(target)) = (&axis.place, targets.first()) else {
            continue;
        };
        let first = axis.values.first().map_or("", |v| v.toml.as_str());
        let found = match target.with(&[(section, key, first)]) {
            Ok(_) => continue,
            Err(found) => found,
        };
        if let Some(d) = found.list().iter().find(|d| d.code == Code::P0605) {
            reader.error(Code::P0801, &axis.span, d.message.clone(), "not known", &d.help);
        }
    }
}

/// Parameters of formats against the recipe.
fn check_formats(reader: &mut Reader<'_>, axes: &[Axis], recipe: Option<&RecipeText>) {
    for axis in axes {
        let Place::Format { layer, key } = &axis.place else { continue };
        let Some(recipe) = recipe else {
            let message = format!("`{key}` is of the weights, and there are none to quantize");
            let help =
                "give what the model was made from: `--weights W.safetensors --recipe R.toml`";
            reader.error(Code::P0803, &axis.span, message, "an axis of a weight format", help);
            continue;
        };
        for value in &axis.values {
            let change = Change { layer: layer.as_deref(), key, value: &value.toml };
            // The recipe itself has been read before.
            let Ok((text, counts)) = changed(&recipe.text, &recipe.file_name, &[change]) else {
                continue;
            };
            if counts == [0] {
                let formats: Vec<&str> =
                    PARAMETERS.iter().filter(|p| p.0 == key).map(|p| p.1).collect();
                let whose = layer.as_ref().map_or("no layer".into(), |l| format!("no layer `{l}`"));
                let message = format!("{whose} of the recipe is of format {}", formats.join(", "));
                let help = "leave the axis out, or change the recipe";
                reader.error(Code::P0802, &axis.span, message, "would change nothing", help);
                break;
            }
            if let Err(found) = parse_recipe(&text, &recipe.file_name) {
                let (message, help) = found.list().first().map_or_else(
                    || ("no recipe has this value".to_string(), String::new()),
                    |d| (d.message.clone(), d.help.clone()),
                );
                reader.error(Code::P0802, &value.span, message, "this value", &help);
            }
        }
    }
}
