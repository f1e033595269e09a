//! A step in the paper's form, executed: its commands as they come, on what the banks hold, with what the
//! units and the buffer die do.
//!
//! Columns are those of the commands' rows and columns, so an address that is wrong is data that is wrong.
//! A command finds a row open or is a fault, a lookup finds a table that was written there or is a fault,
//! and the registers and the buffer hold no more than their bytes.

use super::die::Die;
use super::driver::FormDriver;
use super::layout::FormLayout;
use super::memory::{put_value, value, Memory};
use super::work::{Follow, Work};
use super::{BUFFER_BYTES, VALUE_BYTES};
use crate::column::{code, put_code};
use crate::commands::{Command, Timed};
use crate::images::{Banks, Column};
use pimc_ir::{softmax_tables, CacheType};
use pimc_rtl::attention::AttentionShape;

/// The numbers of the softmax and the result, which the hardware of our own mapping has as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    pub(super) shape: AttentionShape,
}

impl Numbers {
    /// Of an `attend` with these constants and a result of so many bits, in hardware that is shaped so.
    pub(crate) fn new(
        shape: AttentionShape,
        (mul, shift, frac): (u32, u32, u32),
        result_bits: u32,
    ) -> Numbers {
        let table = |t: &[i64; 65]| t.iter().map(|&x| x as u32).collect();
        Numbers {
            shape: AttentionShape {
                mul,
                shift,
                frac,
                result_bits,
                exp_table: table(&softmax_tables::EXP),
                reciprocal_table: table(&softmax_tables::REC),
                ..shape
            },
        }
    }
}

/// The vectors of a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepInputs<'a> {
    /// Queries, `[T][H][D]`.
    pub q: &'a [i64],
    /// New keys and values, `[T][G][D]` each.
    pub new: [&'a [i64]; 2],
    /// How many tokens each query sees.
    pub limit: &'a [i64],
}

/// What one bank's unit holds.
#[derive(Clone, Debug, Default)]
struct Unit {
    /// The bank's part of the query, by slice.
    q: Vec<i64>,
    /// Entries of a table, or distances.
    buffer: Vec<i64>,
    /// Columns of codes.
    codes: Vec<Column>,
    /// Sums of weighted values, by slice.
    out: Vec<i64>,
    /// A token's sub-vectors, by slice.
    x: Vec<i64>,
    /// The column that will be written back.
    taken: Column,
}

/// The banks with their units, and the buffer die.
pub struct FormMachine<'a> {
    layout: &'a FormLayout,
    numbers: &'a Numbers,
    cache: CacheType,
    memory: Memory<'a>,
    units: Vec<Unit>,
    die: Die,
    inputs: StepInputs<'a>,
    result: Vec<i64>,
    /// Key/value head, query and query head being attended to.
    at: (u32, u32, u32),
    open: Option<u32>,
    /// The first thing that went wrong, and its clock.
    fault: Option<(u64, String)>,
    clock: u64,
    lookups: u64,
}

impl<'a> FormMachine<'a> {
    /// The machine on banks that hold `image`.
    pub fn new(
        layout: &'a FormLayout,
        numbers: &'a Numbers,
        cache: CacheType,
        image: &'a dyn Banks,
    ) -> FormMachine<'a> {
        let banks = layout.members * layout.groups;
        FormMachine {
            layout,
            numbers,
            cache,
            memory: Memory::new(image, banks, layout),
            units: vec![Unit::default(); banks as usize],
            die: Die::new(layout, banks),
            inputs: StepInputs::default(),
            result: Vec::new(),
            at: (0, 0, 0),
            open: None,
            fault: None,
            clock: 0,
            lookups: 0,
        }
    }

    /// Begins a step with these inputs; `driver` knows the lengths as they are when its queries attend.
    pub fn begin(&mut self, driver: &FormDriver, inputs: StepInputs<'a>) {
        self.die.step(driver);
        self.result = vec![0; inputs.q.len()];
        self.inputs = inputs;
        (self.open, self.fault, self.clock) = (None, None, 0);
    }

    /// The result of the step that was followed, `[T][H][D]`.
    ///
    /// # Errors
    /// The clock at which a command could not be executed, and why.
    pub fn result(&mut self) -> Result<Vec<i64>, (u64, String)> {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(std::mem::take(&mut self.result)),
        }
    }

    /// The column at (row, col) of a bank as it is now.
    pub fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        self.memory.column(bank, row, col)
    }

    /// Entries and centroids that were looked up, in all banks, since the machine was made.
    pub fn lookups(&self) -> u64 {
        self.lookups
    }

    /// The column of a bank in the open row.
    fn read(&self, bank: usize, row: u32, col: u32) -> Result<Column, String> {
        let none = || format!("row {row}, column {col} of bank {bank} holds nothing");
        self.memory.column(bank as u32, row, col).ok_or_else(none)
    }

    fn step(&mut self, work: Work, row: u32, col: u32) -> Result<(), String> {
        let l = self.layout;
        for bank in 0..self.units.len() {
            let group = l.bank(bank as u32).1;
            match work {
                Work::Table { .. } | Work::Key { .. } | Work::Value { .. } => {}
                Work::PutCode { slice, token } => {
                    let mut column = self.units[bank].taken;
                    if token % l.groups == group {
                        let at = bank * l.slices as usize + slice as usize;
                        let bit = l.code_bit(token / l.groups % l.codes);
                        put_code(&mut column, bit, l.code_bits, self.die.nearest[at].1);
                    }
                    self.memory.write(bank as u32, row, col, column);
                }
                Work::PutToken { slice, place } => {
                    let mut column = self.units[bank].taken;
                    if place % l.groups == group {
                        let first = place / l.groups % l.per_column() * l.sub;
                        for d in 0..l.sub {
                            let x = self.units[bank].x[(slice * l.sub + d) as usize];
                            put_value(&mut column, first + d, x);
                        }
                    }
                    self.memory.write(bank as u32, row, col, column);
                }
                _ => {
                    let column = self.read(bank, row, col)?;
                    self.taken(bank, group, work, column)?;
                    continue;
                }
            }
            self.looked_up(bank, group, work, row, col)?;
        }
        Ok(())
    }

    /// What a bank's unit does with the column of the command.
    fn taken(&mut self, bank: usize, group: u32, work: Work, column: Column) -> Result<(), String> {
        let l = self.layout;
        let (unit, die) = (&mut self.units[bank], &mut self.die);
        let sub = l.sub as usize;
        // Sub-vector i of the column.
        let vector = |i: u32| (0..l.sub).map(move |d| value(&column, i * l.sub + d));
        let slice_of = |slice: u32| slice as usize * sub..(slice as usize + 1) * sub;
        let most = (BUFFER_BYTES / VALUE_BYTES) as usize;
        match work {
            Work::Entries { slice, first } => {
                if first as usize % most == 0 {
                    unit.buffer.clear();
                }
                let q = &unit.q[slice_of(slice)];
                for i in 0..l.per_column().min(l.k.saturating_sub(first)) {
                    unit.buffer.push(q.iter().zip(vector(i)).map(|(q, c)| q * c).sum());
                }
                if unit.buffer.len() > most {
                    return Err(format!("the buffer of bank {bank} holds {most} entries"));
                }
            }
            Work::ExactKeys { slice, block } => {
                let q = &unit.q[slice_of(slice)];
                for i in 0..l.per_column() {
                    let score = q.iter().zip(vector(i)).map(|(q, x)| q * x).sum();
                    die.exact_score(group, block * l.per_column() + i, score);
                }
            }
            Work::ExactValues { slice, block } => {
                for i in 0..l.per_column() {
                    let weight = die.exact_weight(group, block * l.per_column() + i);
                    let out = unit.out[slice_of(slice)].iter_mut();
                    out.zip(vector(i)).for_each(|(out, x)| *out += weight * x);
                }
            }
            Work::Codes { anew } => {
                if anew {
                    unit.codes.clear();
                }
                unit.codes.push(column);
                let most = (BUFFER_BYTES / (l.values * VALUE_BYTES)).max(1) as usize;
                if unit.codes.len() > most {
                    return Err(format!("the registers of bank {bank} hold {most} columns"));
                }
            }
            Work::Capture { slice, place } => {
                if place % l.groups == group {
                    let part = l.bank(bank as u32).0 * l.slices + slice;
                    let at = place / l.groups % l.per_column();
                    let to = &mut die.token[slice_of(part)];
                    to.iter_mut().zip(vector(at)).for_each(|(to, x)| *to = x);
                }
            }
            Work::Distances { slice, first, element: None } => {
                let x = &unit.x[slice_of(slice)];
                for i in 0..l.per_column().min(l.k.saturating_sub(first)) {
                    let far = x.iter().zip(vector(i)).map(|(x, c)| (x - c).pow(2)).sum();
                    die.distance(bank * l.slices as usize + slice as usize, first + i, far);
                }
            }
            Work::Distances { slice, first, element: Some(element) } => {
                let x = unit.x[(slice * l.sub + element) as usize];
                if first as usize % most == 0 && element == 0 {
                    unit.buffer = vec![0; most];
                }
                for i in 0..l.values.min(l.k.saturating_sub(first)) {
                    let far = &mut unit.buffer[(first + i) as usize % most];
                    *far += (x - value(&column, i)).pow(2);
                    if element + 1 == l.sub {
                        let at = bank * l.slices as usize + slice as usize;
                        die.distance(at, first + i, *far);
                    }
                }
            }
            Work::Take => unit.taken = column,
            _ => return Err(format!("a read for {}", work.name())),
        }
        Ok(())
    }

    /// What a bank does with a table: writes it, or looks up in it, or in the codebook of values, at a
    /// column of its own.
    fn looked_up(
        &mut self,
        bank: usize,
        group: u32,
        work: Work,
        row: u32,
        col: u32,
    ) -> Result<(), String> {
        let l = self.layout;
        match work {
            Work::Table { first } => {
                let most = BUFFER_BYTES / VALUE_BYTES;
                let from = (first % most) as usize;
                let buffer = self.units[bank].buffer.get(from..).unwrap_or_default();
                let entries = &buffer[..buffer.len().min(l.values as usize)];
                if entries.is_empty() {
                    return Err(format!("no entry for column {col} of bank {bank}'s table"));
                }
                // The slot of the row, which the command's column says.
                self.memory.write_entries(bank as u32, row, col * l.values, entries);
            }
            Work::Key { token, register, tokens } => {
                let code = self.code(bank, register, tokens)?;
                let (over, own, slot) = l.own(col, code, 1);
                if over > 0 {
                    return Err(format!("the entry of code {code} is in a row that is not open"));
                }
                let entry = self.memory.entry(bank as u32, row, own * l.values + slot);
                let none = || format!("bank {bank} has no entry of code {code} in row {row}");
                self.die.score(group, token, entry.ok_or_else(none)?);
                self.lookups += 1;
            }
            Work::Value { slice, token, register, element, tokens } => {
                let code = self.code(bank, register, tokens)?;
                let wide = if element.is_some() { 1 } else { l.sub };
                let (over, own, slot) = l.own(col, code, wide);
                if over >= l.rows_in_reach() {
                    return Err(format!("the centroid of code {code} is out of reach"));
                }
                let column = self.read(bank, row + over, own)?;
                let weight = self.die.weight(group, token);
                let first = slice * l.sub + element.unwrap_or(0);
                for d in 0..wide {
                    let out = &mut self.units[bank].out[(first + d) as usize];
                    *out += weight * value(&column, slot + d);
                }
                self.lookups += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// The code in a bank's register.
    fn code(&self, bank: usize, register: u32, tokens: u32) -> Result<u32, String> {
        if tokens != 1 {
            // Codes of several tokens are several columns, and a bank opens one at a time.
            return Err(format!("a column access for {tokens} tokens"));
        }
        let l = self.layout;
        let column = self.units[bank].codes.get((register / l.codes) as usize);
        let column =
            column.ok_or_else(|| format!("register {register} of bank {bank} is empty"))?;
        let code = code(column, l.code_bit(register % l.codes), l.code_bits);
        if code >= l.k {
            return Err(format!("bank {bank} holds a code of {code}, of {} centroids", l.k));
        }
        Ok(code)
    }

    /// What the buffer die does between two commands.
    fn moved(&mut self, work: Work) -> Result<(), String> {
        let l = self.layout;
        let (dim, sub) = (self.cache.dim, (l.slices * l.sub) as usize);
        // Where a bank's part of a head begins.
        let part = |bank: usize| l.bank(bank as u32).0 as usize * sub;
        match work {
            Work::Query { slot, query, head } => {
                self.at = (slot, query, head);
                let q = self.row().and_then(|at| self.inputs.q.get(at..at + dim));
                let q = q.ok_or("a query that is not among the inputs")?;
                for (bank, unit) in self.units.iter_mut().enumerate() {
                    unit.q = q[part(bank)..][..sub].to_vec();
                    unit.out = vec![0; sub];
                }
                self.die.begin();
            }
            Work::Softmax => {
                let limit = self.inputs.limit.get(self.at.1 as usize);
                self.die.softmax(self.numbers, *limit.ok_or("a query without a limit")?);
            }
            Work::Result => {
                let at = self.row().ok_or("a result of no query")?;
                for d in 0..dim {
                    let (member, element) = (d / sub, d % sub);
                    let of =
                        |group: usize| self.units[group * l.members as usize + member].out[element];
                    let out: i64 = (0..l.groups as usize).map(of).sum();
                    self.result[at + d] = self.die.divide(self.numbers, out);
                }
            }
            Work::Token { slot, side, token } => {
                let at = (token as usize * self.cache.kv_heads + slot as usize) * dim;
                let new = self.inputs.new[side as usize].get(at..at + dim);
                self.die.token = new.ok_or("a new token that is not among the inputs")?.to_vec();
                self.broadcast();
            }
            Work::Captured => self.broadcast(),
            Work::Nearest => {
                let missing = self.die.nearest.iter().any(|n| n.0 == i64::MAX);
                return if missing { Err("a token without distances".into()) } else { Ok(()) };
            }
            _ => return Err(format!("{} without a column", work.name())),
        }
        Ok(())
    }

    /// Every bank takes its part of the token, which is to be compared.
    fn broadcast(&mut self) {
        let l = self.layout;
        let sub = (l.slices * l.sub) as usize;
        for (bank, unit) in self.units.iter_mut().enumerate() {
            let member = l.bank(bank as u32).0 as usize;
            unit.x = self.die.token[member * sub..][..sub].to_vec();
        }
        self.die.nearest.fill((i64::MAX, 0));
    }

    /// Where the query head's row begins, among the queries and among the results.
    fn row(&self) -> Option<usize> {
        let (slot, query, head) = self.at;
        let heads = slot as usize * self.cache.group() + head as usize;
        let at = (query as usize * self.cache.heads + heads) * self.cache.dim;
        (at + self.cache.dim <= self.result.len()).then_some(at)
    }

    fn obey(&mut self, timed: Timed, work: Option<Work>) -> Result<(), String> {
        let (row, col) = match timed.command {
            Command::Act { row } => {
                self.open = Some(row);
                return Ok(());
            }
            Command::Pre | Command::Ref | Command::Rfm => {
                self.open = None;
                return Ok(());
            }
            Command::Read { row, col } | Command::Write { row, col } => (row, col),
        };
        if self.open != Some(row) || col >= self.memory.columns() {
            return Err(format!("column {col} of row {row}, which is not open"));
        }
        let work = work.ok_or("a column access for nothing")?;
        let writes =
            matches!(work, Work::Table { .. } | Work::PutCode { .. } | Work::PutToken { .. });
        if writes != matches!(timed.command, Command::Write { .. }) {
            return Err(format!("{} for {}", timed.command.name(), work.name()));
        }
        self.step(work, row, col)
    }

    fn note(&mut self, done: Result<(), String>) {
        if let Err(why) = done {
            self.fault.get_or_insert((self.clock, why));
        }
    }
}

impl Follow for FormMachine<'_> {
    fn command(&mut self, timed: Timed, work: Option<Work>) {
        self.clock = timed.cycle;
        if self.fault.is_none() {
            let done = self.obey(timed, work);
            self.note(done);
        }
    }

    fn between(&mut self, work: Work) {
        if self.fault.is_none() {
            let done = self.moved(work);
            self.note(done);
        }
    }
}
