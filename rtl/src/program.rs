//! The program as the sequencer's memory holds it: instructions to words and back, and the
//! narrowest fields that hold a program.

use crate::isa::{
    Action, Block, DynamicIsa, Field, Instr, IsaShape, SetTo, Stream, VecOp, Vector, LOOP_DEPTH,
    MIN_DELAY, OPCODE_BITS,
};
use crate::shape::{choice_bits, index_bits, BankShape, StreamMode};
use thiserror::Error;

/// Most bits of a program word: what a simulated wire holds.
pub const MAX_WORD_BITS: u32 = 127;

/// Why an instruction has no word, or a word no instruction. `index` counts from the program's
/// first word.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProgramError {
    /// A value is too large for its field.
    #[error("instruction {index}: {field} {value} does not fit in {bits} bits")]
    Field {
        /// Which instruction.
        index: usize,
        /// Which field.
        field: &'static str,
        /// What it should hold.
        value: u32,
        /// Its width.
        bits: u32,
    },
    /// A delay that is shorter than program memory takes to read.
    #[error("instruction {index}: delay {delay} is less than {MIN_DELAY}")]
    Delay {
        /// Which instruction.
        index: usize,
        /// Its delay.
        delay: u32,
    },
    /// A loop or a vector of no length.
    #[error("instruction {index}: {field} is 0, at least 1 is needed")]
    Zero {
        /// Which instruction.
        index: usize,
        /// Which field.
        field: &'static str,
    },
    /// `Next` without a `Loop`.
    #[error("instruction {index}: next without a loop")]
    Next {
        /// Which instruction.
        index: usize,
    },
    /// A loop's end is not the instruction behind its `Next`.
    #[error("instruction {index}: a loop that does not end at {end}")]
    LoopEnd {
        /// Which instruction.
        index: usize,
        /// Where it says that it ends.
        end: u32,
    },
    /// An instruction that no program of this shape has.
    #[error("instruction {index}: the program word has no fields for opcode {opcode}")]
    Absent {
        /// Which instruction.
        index: usize,
        /// Its opcode.
        opcode: u32,
    },
    /// Too many loops in one another.
    #[error("instruction {index}: loops nest deeper than {LOOP_DEPTH}")]
    Depth {
        /// Which instruction.
        index: usize,
    },
    /// The last instruction is not an `End`, or stands in a loop.
    #[error("the program's last instruction is not an end outside of loops")]
    End,
    /// The fields together are wider than a word may be.
    #[error("a program word of {bits} bits is wider than {MAX_WORD_BITS}")]
    Width {
        /// How wide.
        bits: u32,
    },
    /// An opcode or an operation without a meaning.
    #[error("word {index}: {field} {value} has no meaning")]
    Unknown {
        /// Which word.
        index: usize,
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: u32,
    },
    /// Bits are set that no field of the instruction covers.
    #[error("word {index}: bits are set outside of the fields of opcode {opcode}")]
    Stray {
        /// Which word.
        index: usize,
        /// Its opcode.
        opcode: u32,
    },
}

/// The operands of an instruction in the order of the layout: name and value.
fn operands(action: &Action) -> Vec<(&'static str, u32)> {
    match *action {
        Action::End | Action::Wait | Action::Act | Action::Read | Action::Pre | Action::Ref => {
            vec![]
        }
        Action::Next | Action::Write => vec![],
        Action::Row { row, col } => vec![("row", row), ("column", col)],
        Action::Loop { count } => vec![("count", count)],
        Action::Stream(s) => vec![
            ("mode", s.mode),
            ("columns less 1", s.columns_less_1),
            ("tail beats less 1", s.tail_beats_less_1),
            ("coats less 1", s.coats_less_1),
            ("sign key", s.sign_key),
            ("beats of a row of B less 1", s.block.x_beats_less_1),
            ("rows of B less 1", s.block.inner_less_1),
            ("beats of a row of A less 1", s.block.t_beats_less_1),
            ("rows of A less 1", s.block.rows_less_1),
            ("slots less 1", s.block.slots_less_1),
        ],
        Action::Vec(v) => vec![
            ("operation", v.op.code()),
            ("step of a", v.a_step),
            ("step of b", v.b_step),
            ("address a", v.a),
            ("address b", v.b),
            ("address d", v.d),
            // The word holds the length less 1, so that an address is as wide as a length.
            ("length less 1", v.len.saturating_sub(1)),
            ("first bank", v.bank),
            ("last bank", v.last),
        ],
        Action::Set { to, from, add } => vec![
            ("argument", from.unwrap_or(0)),
            ("whether there is an argument", from.is_some().into()),
            ("destination", to.code()),
            ("parameter", to.param()),
            ("constant", add),
        ],
        Action::LoopArg { arg, end } => vec![("argument", arg), ("end", end)],
        Action::RefreshDue { within } => vec![("clocks", within)],
    }
}

impl IsaShape {
    /// The operand fields of an opcode, in the order of the operands.
    fn fields(&self, opcode: u32) -> Vec<Field> {
        match opcode {
            2 => self.row_fields(),
            7 => self.loop_fields(),
            9 => self.stream_fields(),
            10 => self.vec_fields(),
            11 => self.set_fields(),
            12 => self.loop_arg_fields(),
            14 => self.refresh_due_fields(),
            _ => vec![],
        }
    }

    /// Whether the shape lacks the fields of an opcode.
    fn lacks(&self, opcode: u32) -> bool {
        match opcode {
            11 => self.dynamic.to_bits == 0,
            12 => self.dynamic.end_bits == 0 || self.dynamic.arg_bits == 0,
            14 => self.dynamic.within_bits == 0,
            _ => false,
        }
    }

    /// The narrowest fields that hold `program`, for a channel with these bank units, beats to a
    /// column, and words of vector memory.
    pub fn smallest(
        program: &[Instr],
        bank: &BankShape,
        beats: u32,
        vector_depth: u32,
    ) -> IsaShape {
        let generated = bank.gated.and_then(|g| g.generated_signs);
        let mask = bank.modes().contains(&StreamMode::Mask);
        let mut isa = IsaShape {
            delay_bits: value_bits(MIN_DELAY),
            row_bits: 1,
            col_bits: 1,
            count_bits: 1,
            mode_bits: choice_bits(bank.modes().len() as u32),
            columns_bits: 1,
            beats_bits: index_bits(beats),
            coats_bits: if mask { choice_bits(generated.unwrap_or(1)) } else { 0 },
            key_bits: if mask { 32 } else { 0 },
            block_bits: bank.blocks.is_some().into(),
            addr_bits: index_bits(vector_depth),
            bank_bits: 0,
            dynamic: DynamicIsa::least(bank.attention.as_ref()),
        };
        let widen = |bits: &mut u32, value: u32| *bits = (*bits).max(value_bits(value));
        for instr in program {
            widen(&mut isa.delay_bits, instr.delay);
            match instr.action {
                Action::Row { row, col } => {
                    widen(&mut isa.row_bits, row);
                    widen(&mut isa.col_bits, col);
                }
                Action::Loop { count } => widen(&mut isa.count_bits, count),
                Action::Stream(s) => {
                    widen(&mut isa.columns_bits, s.columns_less_1);
                    widen(&mut isa.beats_bits, s.tail_beats_less_1);
                    if bank.blocks.is_some() {
                        for value in s.block.fields() {
                            widen(&mut isa.block_bits, value);
                        }
                    }
                }
                Action::Vec(v) => {
                    for value in [v.a, v.b, v.d, v.len.saturating_sub(1)] {
                        widen(&mut isa.addr_bits, value);
                    }
                    let bank = v.bank.max(v.last);
                    if bank > 0 {
                        widen(&mut isa.bank_bits, bank);
                    }
                }
                Action::Set { to, from, add } => {
                    isa.dynamic.to_bits = SetTo::BITS;
                    widen(&mut isa.dynamic.add_bits, add);
                    if let SetTo::Param(index) = to {
                        widen(&mut isa.dynamic.param_bits, index);
                    }
                    if let Some(arg) = from {
                        widen(&mut isa.dynamic.arg_bits, arg);
                    }
                }
                Action::LoopArg { arg, end } => {
                    widen(&mut isa.dynamic.arg_bits, arg);
                    widen(&mut isa.dynamic.end_bits, end);
                }
                Action::RefreshDue { within } => widen(&mut isa.dynamic.within_bits, within),
                _ => {}
            }
        }
        isa
    }
}

/// Bits needed to write `value`; at least 1.
fn value_bits(value: u32) -> u32 {
    (32 - value.leading_zeros()).max(1)
}

/// The word of one instruction, the `index`th of its program.
///
/// # Errors
/// If a value does not fit, a delay is too short, or a count is 0.
pub fn encode_instr(index: usize, instr: &Instr, isa: &IsaShape) -> Result<u128, ProgramError> {
    if instr.delay < MIN_DELAY && instr.action != Action::End {
        return Err(ProgramError::Delay { index, delay: instr.delay });
    }
    match instr.action {
        Action::Loop { count: 0 } => return Err(ProgramError::Zero { index, field: "count" }),
        Action::Vec(v) if v.len == 0 => return Err(ProgramError::Zero { index, field: "length" }),
        _ => {}
    }
    if isa.word_bits() > MAX_WORD_BITS {
        return Err(ProgramError::Width { bits: isa.word_bits() });
    }
    let opcode = instr.action.opcode();
    if isa.lacks(opcode) {
        return Err(ProgramError::Absent { index, opcode });
    }
    let delay = ("delay", instr.delay);
    let at_delay = Field { at: OPCODE_BITS, bits: isa.delay_bits };
    let operands = operands(&instr.action).into_iter().zip(isa.fields(opcode));
    let mut word = u128::from(opcode);
    for ((field, value), place) in std::iter::once((delay, at_delay)).chain(operands) {
        if u64::from(value) >> place.bits.min(63) != 0 {
            return Err(ProgramError::Field { index, field, value, bits: place.bits });
        }
        word |= u128::from(value) << place.at;
    }
    Ok(word)
}

/// The instruction behind the `Next` of the loop that begins at `index`; none if it has no `Next`.
pub fn loop_end(program: &[Instr], index: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, instr) in program.iter().enumerate().skip(index) {
        if instr.action.loops() {
            depth += 1;
        } else if instr.action == Action::Next {
            depth = depth.checked_sub(1)?;
        }
        if depth == 0 {
            return (at > index).then_some(at + 1);
        }
    }
    None
}

/// The words of a whole program.
///
/// # Errors
/// Every instruction that has no word, loops that are not nested as the sequencer nests them, and a
/// program that does not end.
pub fn encode(program: &[Instr], isa: &IsaShape) -> Result<Vec<u128>, Vec<ProgramError>> {
    let mut errors = vec![];
    let mut words = Vec::with_capacity(program.len());
    let mut depth = 0usize;
    for (index, instr) in program.iter().enumerate() {
        match instr.action {
            action if action.loops() && depth == LOOP_DEPTH => {
                errors.push(ProgramError::Depth { index });
            }
            action if action.loops() => depth += 1,
            Action::Next if depth == 0 => errors.push(ProgramError::Next { index }),
            Action::Next => depth -= 1,
            _ => {}
        }
        if let Action::LoopArg { end, .. } = instr.action {
            if loop_end(program, index) != Some(end as usize) {
                errors.push(ProgramError::LoopEnd { index, end });
            }
        }
        match encode_instr(index, instr, isa) {
            Ok(word) => words.push(word),
            Err(error) => errors.push(error),
        }
    }
    if depth != 0 || program.last().map(|i| i.action) != Some(Action::End) {
        errors.push(ProgramError::End);
    }
    if errors.is_empty() {
        Ok(words)
    } else {
        Err(errors)
    }
}

/// The instruction of one word, the `index`th of its program.
///
/// # Errors
/// If the opcode or the operation has no meaning, or a bit is set that the instruction does not have.
pub fn decode_instr(index: usize, word: u128, isa: &IsaShape) -> Result<Instr, ProgramError> {
    let take = |f: &Field| {
        let mask = (1u128 << f.bits) - 1;
        (word.checked_shr(f.at).unwrap_or(0) & mask) as u32
    };
    let opcode = take(&Field { at: 0, bits: OPCODE_BITS });
    if isa.lacks(opcode) {
        return Err(ProgramError::Unknown { index, field: "opcode", value: opcode });
    }
    let delay = Field { at: OPCODE_BITS, bits: isa.delay_bits };
    let fields = isa.fields(opcode);
    let end = fields.last().map_or(delay.at + delay.bits, |f| f.at + f.bits);
    let v: Vec<u32> = fields.iter().map(take).collect();
    let action = match (opcode, v.as_slice()) {
        (0, []) => Action::End,
        (1, []) => Action::Wait,
        (2, &[row, col]) => Action::Row { row, col },
        (3, []) => Action::Act,
        (4, []) => Action::Read,
        (5, []) => Action::Pre,
        (6, []) => Action::Ref,
        (7, &[count]) => Action::Loop { count },
        (8, []) => Action::Next,
        (9, &[mode, columns_less_1, tail_beats_less_1, coats_less_1, sign_key, x, i, t, r, n]) => {
            Action::Stream(Stream {
                mode,
                columns_less_1,
                tail_beats_less_1,
                coats_less_1,
                sign_key,
                block: Block {
                    x_beats_less_1: x,
                    inner_less_1: i,
                    t_beats_less_1: t,
                    rows_less_1: r,
                    slots_less_1: n,
                },
            })
        }
        (10, &[op, a_step, b_step, a, b, d, len_less_1, bank, last]) => {
            let Some(&op) = VecOp::ALL.get(op as usize) else {
                return Err(ProgramError::Unknown { index, field: "operation", value: op });
            };
            let len = len_less_1.saturating_add(1);
            Action::Vec(Vector { op, a, a_step, b, b_step, d, len, bank, last })
        }
        (11, &[arg, takes, to, param, add]) => {
            let from = match (takes, arg) {
                (0, 0) => None,
                (0, _) => return Err(ProgramError::Stray { index, opcode }),
                _ => Some(arg),
            };
            let to = match (to, param) {
                (0, 0) => SetTo::Pointer,
                (1, 0) => SetTo::Advance,
                (2, 0) => SetTo::Row,
                (3, 0) => SetTo::Col,
                (4, _) => SetTo::Param(param),
                (5, 0) => SetTo::Base,
                (6, 0) => SetTo::Keep,
                (7, 0) => SetTo::Return,
                (0..=7, _) => return Err(ProgramError::Stray { index, opcode }),
                _ => {
                    let field = "destination";
                    return Err(ProgramError::Unknown { index, field, value: to });
                }
            };
            Action::Set { to, from, add }
        }
        (12, &[arg, end]) => Action::LoopArg { arg, end },
        (13, []) => Action::Write,
        (14, &[within]) => Action::RefreshDue { within },
        _ => return Err(ProgramError::Unknown { index, field: "opcode", value: opcode }),
    };
    if word.checked_shr(end).unwrap_or(0) != 0 {
        return Err(ProgramError::Stray { index, opcode });
    }
    Ok(Instr { action, delay: take(&delay) })
}

/// The program of `words`.
///
/// # Errors
/// Every word that is not an instruction.
pub fn decode(words: &[u128], isa: &IsaShape) -> Result<Vec<Instr>, Vec<ProgramError>> {
    let mut errors = vec![];
    let mut program = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        match decode_instr(index, *word, isa) {
            Ok(instr) => program.push(instr),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() {
        Ok(program)
    } else {
        Err(errors)
    }
}

#[cfg(test)]
mod tests;
