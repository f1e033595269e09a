//! Reading a tree back: the model and target that it was made from, and what its files really hold.

use super::{bank_path, write, FORMAT_VERSION};
use crate::attention::literal::FormPlan;
use crate::commands::{read_csv, Trace};
use crate::diag::error;
use crate::hex;
use crate::images::{Banks, Column};
use crate::interp::{Fault, Machine};
use crate::plan::{lower, lower_any, Lowered, Plan};
use crate::target::Target;
use pimc_ir::{Code, Diagnostics, Model};
use pimc_rtl::isa::Instr;
use pimc_rtl::program::decode;
use rayon::prelude::*;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The banks as the files of a tree hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileBanks {
    columns: u32,
    banks: Vec<Vec<Column>>,
}

impl FileBanks {
    /// A bank's columns, in order of address.
    pub fn bank(&self, bank: u32) -> &[Column] {
        self.banks.get(bank as usize).map_or(&[], Vec::as_slice)
    }
}

impl Banks for FileBanks {
    fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        let at = u64::from(row) * u64::from(self.columns) + u64::from(col);
        self.banks.get(bank as usize)?.get(usize::try_from(at).ok()?).copied()
    }
}

/// A tree that was read.
#[derive(Debug)]
pub struct TreeFiles {
    /// The folder.
    pub dir: PathBuf,
    /// The model in `model/`.
    pub model: Model,
    /// Its plan for the target in `schedule/target.toml`, made anew.
    pub plan: Plan,
    /// The program of `schedule/program.hex`.
    pub program: Vec<Instr>,
    /// The banks of `mem/bank_*.hex`.
    pub banks: FileBanks,
    /// The constants of `mem/buffer.hex`: address and word.
    pub constants: Vec<(u32, i64)>,
    /// Files of hardware, in dependency order, relative to the folder.
    pub rtl: Vec<String>,
    /// Files that are not what the manifest says, or are missing, in order.
    pub changed: Vec<String>,
}

impl TreeFiles {
    /// A channel that runs what the files hold.
    ///
    /// # Errors
    /// If a constant does not fit.
    pub fn machine(&self) -> Result<Machine<'_>, Fault> {
        let mut machine = Machine::new(&self.plan.shape, &self.program, &self.banks);
        for &(addr, word) in &self.constants {
            machine.host_write(addr, word)?;
        }
        Ok(machine)
    }
}

fn damaged(path: &Path, why: impl std::fmt::Display) -> Diagnostics {
    let d = error(Code::P0703, format!("`{}`: {why}", path.display()))
        .help("name a folder that `pimc compile` wrote, or compile again");
    Diagnostics::one(path.display().to_string(), d)
}

fn text(path: &Path) -> Result<String, Diagnostics> {
    let bytes = fs::read(path).map_err(|e| damaged(path, e))?;
    String::from_utf8(bytes).map_err(|_| damaged(path, "not text"))
}

/// A tree of a mapping that ends at the schedule.
#[derive(Debug)]
pub struct FormFiles {
    /// The folder.
    pub dir: PathBuf,
    /// The model in `model/`.
    pub model: Model,
    /// Its plan for the target in `schedule/target.toml`, made anew.
    pub plan: FormPlan,
    /// The commands of `schedule/commands.csv`.
    pub commands: Trace,
    /// The banks of `mem/bank_*.hex`.
    pub banks: FileBanks,
    /// Files that are not what the manifest says, or are missing, in order.
    pub changed: Vec<String>,
}

/// A tree of either kind.
#[derive(Debug)]
pub enum ReadTree {
    /// Of hardware.
    Hardware(Box<TreeFiles>),
    /// Of a mapping that ends at the schedule.
    Form(Box<FormFiles>),
}

/// What every tree has.
struct Opened {
    model: Model,
    target: Target,
    /// None where the manifest lists no hardware.
    rtl: Option<Vec<String>>,
    changed: Vec<String>,
}

/// Reads the manifest, the model and the target of the tree in the folder `dir`.
fn open(dir: &Path) -> Result<Opened, Diagnostics> {
    let path = dir.join("manifest.json");
    let manifest: Value = serde_json::from_str(&text(&path)?).map_err(|e| damaged(&path, e))?;
    let outputs = manifest["outputs"].as_object().filter(|_| manifest["tool"] == "pimc");
    let outputs = outputs.ok_or_else(|| damaged(&path, "not a manifest of pimc"))?;
    let version = &manifest["format_version"];
    if *version != FORMAT_VERSION {
        let why = format!("of format version {version}; this pimc reads {FORMAT_VERSION}");
        return Err(damaged(&path, why));
    }
    let inside = |name: &str| super::parts(name).is_some_and(|(up, _)| up == 0);
    let module = manifest["model"].as_str().filter(|name| inside(name));
    let module = module.ok_or_else(|| damaged(&path, "names no module in the tree"))?;
    let outputs: Vec<(&String, &Value)> = outputs.iter().collect();
    let bad = |(name, entry): &(&String, &Value)| {
        let good = inside(name)
            && write::sha256_of(&dir.join(name)).is_ok_and(|sum| entry["sha256"] == sum.as_str());
        (!good).then(|| name.to_string())
    };
    let changed: Vec<String> = outputs.par_iter().filter_map(bad).collect();
    let rtl = manifest["rtl"].as_array().map(|names| {
        let names = names.iter().filter_map(Value::as_str).filter(|n| inside(n));
        names.map(|n| format!("rtl/{n}")).collect()
    });
    let model = pimc_ir::load(&dir.join(module))?;
    let target_path = dir.join("schedule/target.toml");
    let target = Target::from_toml("schedule/target.toml", &text(&target_path)?)?;
    Ok(Opened { model, target, rtl, changed })
}

/// Reads the tree of hardware in the folder `dir`.
///
/// # Errors
/// P0703 when it is no tree or a file is missing; P0701 and P0702 for a program or image that says
/// nothing; what is wrong with the model or the target; P0607 where there is no hardware.
pub fn read_tree(dir: &Path) -> Result<TreeFiles, Diagnostics> {
    let opened = open(dir)?;
    let plan = lower(&opened.model, &opened.target)?;
    hardware(dir, opened, plan)
}

/// Reads the tree in the folder `dir`, of whichever kind.
///
/// # Errors
/// As [`read_tree`]; P0706 for commands that are none.
pub fn read_any(dir: &Path) -> Result<ReadTree, Diagnostics> {
    let opened = open(dir)?;
    match lower_any(&opened.model, &opened.target)? {
        Lowered::Hardware(plan) => Ok(ReadTree::Hardware(Box::new(hardware(dir, opened, *plan)?))),
        Lowered::Form(plan) => {
            let name = "schedule/commands.csv";
            let commands = read_csv(name, &text(&dir.join(name))?)?;
            let banks = read_banks(dir, &plan.target, plan.layout.rows() as u32)?;
            let Opened { model, changed, .. } = opened;
            let dir = dir.to_path_buf();
            let files = FormFiles { dir, model, plan: *plan, commands, banks, changed };
            Ok(ReadTree::Form(Box::new(files)))
        }
    }
}

fn hardware(dir: &Path, opened: Opened, plan: Plan) -> Result<TreeFiles, Diagnostics> {
    let Opened { model, rtl, changed, .. } = opened;
    let program = read_program(dir, &plan)?;
    let banks = read_banks(dir, &plan.target, plan.dram_rows)?;
    let constants = read_constants(dir, &plan)?;
    let rtl = rtl.ok_or_else(|| damaged(&dir.join("manifest.json"), "lists no hardware"))?;
    Ok(TreeFiles { dir: dir.to_path_buf(), model, plan, program, banks, constants, rtl, changed })
}

fn read_program(dir: &Path, plan: &Plan) -> Result<Vec<Instr>, Diagnostics> {
    let name = "schedule/program.hex";
    let text = text(&dir.join(name))?;
    let isa = &plan.shape.isa;
    let words = hex::read_words(name, &text, isa.word_bits(), Code::P0701)?;
    let words: Vec<u128> = words.iter().map(|w| w.1).collect();
    decode(&words, isa).map_err(|errors| {
        let mut found = Diagnostics::new(name, "");
        for e in errors {
            found.push(error(Code::P0701, e.to_string()).help("compile again"));
        }
        found
    })
}

fn read_banks(dir: &Path, target: &Target, rows: u32) -> Result<FileBanks, Diagnostics> {
    let count = rows as usize * target.columns as usize;
    let banks: Vec<Result<Vec<Column>, Diagnostics>> = (0..target.units())
        .into_par_iter()
        .map(|bank| {
            let name = bank_path(bank);
            hex::read_columns(&name, &text(&dir.join(&name))?, count)
        })
        .collect();
    // Of several that are wrong, the first.
    let banks = banks.into_iter().collect::<Result<_, _>>()?;
    Ok(FileBanks { columns: target.columns, banks })
}

fn read_constants(dir: &Path, plan: &Plan) -> Result<Vec<(u32, i64)>, Diagnostics> {
    let name = "mem/buffer.hex";
    let bits = plan.shape.buffer.word_bits.clamp(1, 64);
    let path = dir.join(name);
    let words = hex::read_words(name, &text(&path)?, bits, Code::P0702)?;
    let depth = u64::from(plan.shape.buffer.depth);
    if let Some((addr, _)) = words.iter().find(|w| w.0 >= depth) {
        return Err(damaged(&path, format!("address {addr:#x} is past the end of vector memory")));
    }
    let signed = |w: u128| ((w as u64) << (64 - bits)) as i64 >> (64 - bits);
    Ok(words.iter().map(|&(addr, w)| (addr as u32, signed(w))).collect())
}
