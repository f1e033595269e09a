//! A sweep from its inputs to its tables.

use crate::axes::{choices, Axis, Choice, Place, Shard};
use crate::digest::digest;
use crate::evaluate::{evaluate, Outcome, Quality};
use crate::files::{failed, unusable, write_all};
use crate::plot;
use crate::store::{self, Line, Store};
use crate::sweep::{self, Subject, Sweep};
use crate::tables::{self, Row};
use crate::weights::{self, Made, Reference, Weights};
use crate::Error;
use pimc_ir::checksum::sha256;
use pimc_ir::{load, Code, Diagnostic, Diagnostics, Model};
use pimc_lower::Target;
use pimc_quantize::{Progress, RecipeText, Series};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The version of the lines of finished points: those of another are not taken.
const POINT_VERSION: &str = "1";

/// Where the effective sweep is kept, which also marks the folder as one of a sweep.
const SWEEP_FILE: &str = "sweep.toml";

/// Where quantized models are kept.
const MODELS: &str = "models";

/// Where quantized matrices are kept, which several models may share.
const MATRICES: &str = "matrices";

/// What to explore.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The model.
    pub model: &'a Path,
    /// The sweep file; none is the default sweep.
    pub sweep: Option<&'a Path>,
    /// Real weights and the recipe to quantize them by.
    pub quantize: Option<(&'a Path, &'a Path)>,
    /// Inputs on which results are compared.
    pub inputs: Option<&'a Path>,
    /// The output folder.
    pub output: &'a Path,
    /// Compute the points of one shard alone, and make no tables.
    pub shard: Option<Shard>,
    /// Compute nothing: make the tables from what is there.
    pub merge: bool,
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Points of the sweep.
    pub points: usize,
    /// Points that were there before.
    pub before: usize,
    /// Points computed now.
    pub computed: usize,
    /// The tables; none after a shard.
    pub tables: Option<Tables>,
}

/// The tables, in memory.
#[derive(Clone, Debug)]
pub struct Tables {
    /// The names of the axes.
    pub axes: Vec<String>,
    /// Every point.
    pub rows: Vec<Row>,
    /// The text of `summary.txt`.
    pub summary: String,
}

/// A point of the sweep.
struct Point {
    index: usize,
    target: usize,
    /// Its values of the target's axes.
    choice: Choice,
    /// Its set of weights.
    weights: usize,
    key: String,
}

/// A sweep, ready to run.
pub struct Plan {
    model: Model,
    model_digest: String,
    sweep: Sweep,
    series: Option<Series>,
    /// Choices of the format axes, and the weights of each.
    formats: Vec<Choice>,
    weights: Vec<Weights>,
    points: Vec<Point>,
    inputs: Option<PathBuf>,
}

impl Plan {
    /// Reads everything that a sweep is made from.
    ///
    /// # Errors
    /// What is wrong with the model, the sweep, the recipe, the weights or the inputs.
    pub fn new(request: &Request<'_>) -> Result<Plan, Diagnostics> {
        let model = load(request.model)?;
        let target = Target::of_model(&model, request.model)?;
        let (series, recipe) = match request.quantize {
            None => (None, None),
            Some((weights, recipe)) => {
                let recipe = RecipeText::read(recipe)?;
                recipe.parsed()?;
                let mut series = Series::open(weights)?;
                series.keep_in(&request.output.join(MATRICES));
                (Some(series), Some(recipe))
            }
        };
        let subject = Subject { target: &target, recipe: recipe.as_ref() };
        let sweep = match request.sweep {
            Some(path) => {
                let (text, name) = pimc_ir::read_source(path)?;
                sweep::read(&text, &name, path.parent().unwrap_or(Path::new("")), &subject)?
            }
            None => {
                let text = sweep::default_text(&subject);
                sweep::read(&text, "the default sweep", Path::new(""), &subject)?
            }
        };
        let files: Vec<&str> = model.files().iter().map(|f| f.sha256.as_str()).collect();
        let model_digest = digest(&[&[model.source.as_str()], &files[..]].concat());
        let format_axes: Vec<&Axis> = sweep.axes.iter().filter(|a| a.is_format()).collect();
        let formats = choices(&format_axes);
        let weights = match (&series, &recipe) {
            (Some(series), Some(recipe)) => {
                let calibration = calibration(recipe)?;
                let origin = digest(&[version(), series.sha256(), &calibration]);
                let set = |c: &Choice| weights::of_choice(recipe, &format_axes, c, &origin);
                formats.iter().map(set).collect::<Result<_, _>>()?
            }
            _ => vec![Weights { digest: model_digest.clone(), recipe: None, name: String::new() }],
        };
        let inputs = request.inputs.map(Path::to_path_buf);
        let mut plan =
            Plan { model, model_digest, sweep, series, formats, weights, points: vec![], inputs };
        plan.points = plan.all_points()?;
        Ok(plan)
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there are none; a sweep has at least one.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Names of the axes, in the order of the tables.
    pub fn axes(&self) -> Vec<String> {
        self.sweep.axes.iter().map(Axis::name).collect()
    }

    fn target_axes(&self) -> Vec<&Axis> {
        self.sweep.axes.iter().filter(|a| !a.is_format()).collect()
    }

    /// The target of a point, with its values; or why there is no such target.
    fn target(&self, target: usize, choice: &Choice) -> Result<Target, Diagnostics> {
        let axes = self.target_axes();
        let changes: Vec<(&str, &str, &str)> = axes
            .iter()
            .zip(choice)
            .filter_map(|(axis, &v)| match &axis.place {
                Place::Target { section, key } => {
                    Some((section.as_str(), key.as_str(), axis.values[v].toml.as_str()))
                }
                Place::Format { .. } => None,
            })
            .collect();
        self.sweep.targets[target].with(&changes)
    }

    /// All points: targets, then values of the target, then weights, which change fastest.
    fn all_points(&self) -> Result<Vec<Point>, Diagnostics> {
        let inputs = match &self.inputs {
            None => String::new(),
            Some(path) => {
                let bytes = std::fs::read(path).map_err(|e| failed_input(path, &e))?;
                digest(&[&sha256(&bytes), &self.model_digest])
            }
        };
        let axes = self.target_axes();
        let mut points = vec![];
        for target in 0..self.sweep.targets.len() {
            for choice in choices(&axes) {
                // Of a target that cannot be, the values tell what it would be.
                let text = match self.target(target, &choice) {
                    Ok(target) => target.source,
                    Err(_) => format!("{} {choice:?}", self.sweep.source),
                };
                for (weights, set) in self.weights.iter().enumerate() {
                    let parts = [POINT_VERSION, version(), &set.digest, &text, &inputs];
                    let (index, choice) = (points.len(), choice.clone());
                    points.push(Point { index, target, choice, weights, key: digest(&parts) });
                }
            }
        }
        Ok(points)
    }

    /// A point's value of every axis.
    fn values(&self, point: &Point) -> Vec<String> {
        let choice = point.choice.iter().chain(&self.formats[point.weights]);
        self.sweep.axes.iter().zip(choice).map(|(a, &v)| a.values[v].shown.clone()).collect()
    }
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn failed_input(path: &Path, e: &std::io::Error) -> Diagnostics {
    let message = format!("`{}` cannot be read: {e}", path.display());
    let d = Diagnostic::error(Code::P0401, message).help("name a safetensors file");
    Diagnostics::one(path.display().to_string(), d)
}

/// The checksum of a recipe's calibration file.
fn calibration(recipe: &RecipeText) -> Result<String, Diagnostics> {
    let Some(named) = recipe.parsed()?.calibration else { return Ok(String::new()) };
    // A file that is not there is for the quantizer to report, in its place in the recipe.
    let bytes = std::fs::read(recipe.folder.join(named.file.value)).unwrap_or_default();
    Ok(sha256(&bytes))
}

/// Runs a sweep, or a shard of it, or makes its tables.
///
/// # Errors
/// What is wrong with the inputs or the folder; [`Error::Bug`] for an illegal schedule.
pub fn explore(
    plan: &Plan,
    request: &Request<'_>,
    progress: &dyn Progress,
) -> Result<Finished, Error> {
    let folder = request.output;
    prepare_folder(folder, &plan.sweep.source)?;
    let done = store::read(folder)?;
    let ours = |p: &&Point| {
        let shard = request.shard;
        shard.is_none_or(|s| s.has(p.index, p.weights, plan.weights.len()))
    };
    let before = plan.points.iter().filter(ours).filter(|p| done.contains_key(&p.key)).count();
    let left: Vec<&Point> =
        plan.points.iter().filter(ours).filter(|p| !done.contains_key(&p.key)).collect();
    if request.merge && !left.is_empty() {
        let help =
            "run the shards that are missing, or leave `--merge` out: then they are computed here";
        let why = format!("{} of {} points are not there", left.len(), plan.points.len());
        return Err(unusable(folder, why, help).into());
    }
    let computed = left.len();
    if !left.is_empty() {
        compute(plan, &left, request, progress)?;
    }
    let tables = match request.shard {
        Some(_) => None,
        None => Some(write_tables(plan, folder, &store::read(folder)?)?),
    };
    Ok(Finished { points: plan.points.len(), before, computed, tables })
}

/// Makes the output folder of a sweep, or sees that it is one of an earlier sweep.
///
/// # Errors
/// P0804.
pub fn open_folder(folder: &Path, plan: &Plan) -> Result<(), Diagnostics> {
    prepare_folder(folder, &plan.sweep.source)
}

fn prepare_folder(folder: &Path, sweep: &str) -> Result<(), Diagnostics> {
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
    let mark = folder.join(SWEEP_FILE);
    if std::fs::read_to_string(&mark).is_ok_and(|text| text == sweep) {
        return Ok(());
    }
    let empty = folder.read_dir().map_err(|e| failed(folder, &e))?.next().is_none();
    if !empty && !mark.is_file() {
        let help = "name a new or empty folder, or one of an earlier sweep";
        return Err(unusable(folder, format!("it holds something, and no {SWEEP_FILE}"), help));
    }
    write_all(&[(&mark, sweep.as_bytes())])
}

/// Sets of weights that are made at a time, so that matrices which several of them share are made
/// side by side, points appear early and not all models are in memory.
const SETS_AT_A_TIME: usize = 16;

fn compute(
    plan: &Plan,
    left: &[&Point],
    request: &Request<'_>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let store = Store::open(request.output, request.shard)?;
    let reference = request.inputs.map(|path| Reference::new(path, &plan.model)).transpose()?;
    let models = request.output.join(MODELS);
    if plan.series.is_some() {
        for folder in [&models, &request.output.join(MATRICES)] {
            std::fs::create_dir_all(folder).map_err(|e| failed(folder, &e))?;
        }
    }
    let mut of_set: BTreeMap<usize, Vec<&Point>> = BTreeMap::new();
    for point in left {
        of_set.entry(point.weights).or_default().push(point);
    }
    let sets: Vec<(usize, Vec<&Point>)> = of_set.into_iter().collect();
    for some in sets.chunks(SETS_AT_A_TIME) {
        if let Some(series) = &plan.series {
            let there = |w: &Weights| weights::is_there(&models, &w.name);
            let missing: Vec<RecipeText> = some
                .iter()
                .map(|(set, _)| &plan.weights[*set])
                .filter(|w| !there(w))
                .filter_map(|w| w.recipe.clone())
                .collect();
            series.prepare(&missing, progress);
        }
        progress.begin("points", some.iter().map(|(_, points)| points.len() as u64).sum());
        some.par_iter().try_for_each(|(set, points)| {
            let work = Work { plan, store: &store, models: &models, reference: reference.as_ref() };
            work.set(&plan.weights[*set], points, progress)
        })?;
    }
    Ok(())
}

/// What the points of a set of weights need.
struct Work<'a> {
    plan: &'a Plan,
    store: &'a Store,
    models: &'a Path,
    reference: Option<&'a Reference>,
}

impl Work<'_> {
    fn set(&self, set: &Weights, points: &[&Point], progress: &dyn Progress) -> Result<(), Error> {
        let made = match (&self.plan.series, &set.recipe) {
            (Some(series), Some(recipe)) => match self.made(series, recipe, &set.name) {
                Ok(made) => Some(made),
                // A parameter that does not go with the matrix is a result, like a memory too small.
                Err(found) if is_a_result(&found) => {
                    let refused = Outcome::refused(&found);
                    return points.par_iter().try_for_each(|point| {
                        self.finish(point, refused.clone()).inspect(|()| progress.step())
                    });
                }
                Err(found) => return Err(found.into()),
            },
            _ => None,
        };
        let model = made.as_ref().map_or(&self.plan.model, |m| &m.model);
        let mut quality = made.as_ref().map_or(
            Quality { unchanged: true, weight_error: None, activation_error: None, outputs: None },
            |m| m.quality.clone(),
        );
        quality.outputs = self.reference.map(|r| r.compare(model)).transpose()?;
        points.par_iter().try_for_each(|point| {
            let outcome = match self.plan.target(point.target, &point.choice) {
                Ok(target) => {
                    evaluate(model, &target, &quality).map_err(|bug| Error::Bug(bug.0))?
                }
                Err(found) => Outcome::refused(&found),
            };
            self.finish(point, outcome).inspect(|()| progress.step())
        })
    }

    fn made(&self, series: &Series, recipe: &RecipeText, name: &str) -> Result<Made, Diagnostics> {
        match weights::left(self.models, name) {
            Some(made) => Ok(made),
            None => weights::make(series, recipe, self.models, name),
        }
    }

    fn finish(&self, point: &Point, outcome: Outcome) -> Result<(), Error> {
        let axes = self.plan.axes();
        let mut values: BTreeMap<String, String> =
            axes.into_iter().zip(self.plan.values(point)).collect();
        values.insert("target".into(), self.plan.sweep.targets[point.target].name.clone());
        let line = Line { key: point.key.clone(), point: values, outcome };
        Ok(self.store.append(&line)?)
    }
}

/// Whether what the quantizer says is about the parameters, and not about the files: layers that do
/// not fit together, types that the language does not have.
fn is_a_result(found: &Diagnostics) -> bool {
    let about = |d: &Diagnostic| d.code == Code::P0414 || d.code.as_str().starts_with("P03");
    found.list().iter().all(about)
}

fn write_tables(
    plan: &Plan,
    folder: &Path,
    done: &BTreeMap<String, Outcome>,
) -> Result<Tables, Diagnostics> {
    let axes = plan.axes();
    let row = |point: &Point| {
        let outcome = done.get(&point.key)?.clone();
        let target = plan.sweep.targets[point.target].name.clone();
        Some(Row { index: point.index, target, values: plan.values(point), outcome, pareto: false })
    };
    let mut rows: Vec<Row> = plan.points.iter().filter_map(row).collect();
    tables::mark_pareto(&mut rows);
    let name = &plan.model.file_name;
    let summary = tables::summary(&rows, &axes, name);
    let all = tables::csv(&rows, &axes);
    let header = all.split_inclusive('\n').next().unwrap_or("");
    let front = tables::csv(rows.iter().filter(|r| r.pareto), &axes);
    let front = if front.is_empty() { header } else { &front };
    let json = format!("{:#}\n", tables::json(&rows, &axes, name));
    let svg = plot::svg(&rows, name)
        .map_err(|why| unusable(folder, why, "please report this: the plot cannot be drawn"))?;
    let path = |name: &str| folder.join(name);
    write_all(&[
        (&path("points.csv"), all.as_bytes()),
        (&path("points.json"), json.as_bytes()),
        (&path("pareto.csv"), front.as_bytes()),
        (&path("plot.svg"), svg.as_bytes()),
        (&path("summary.txt"), summary.as_bytes()),
    ])?;
    Ok(Tables { axes, rows, summary })
}

/// The names of all targets of the rows, in order of first appearance.
pub(crate) fn targets(rows: &[Row]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    rows.iter().map(|r| r.target.as_str()).filter(|t| seen.insert(*t)).collect()
}
