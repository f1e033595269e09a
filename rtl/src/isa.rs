//! The schedule program: one instruction set, known to the sequencer that runs it, the scheduler
//! that writes it and the interpreter that executes it.
//!
//! An instruction issues, and the next one issues `delay` clocks later (at least [`MIN_DELAY`]).
//! Word layout, least significant first: opcode (4), delay (`delay_bits`), operands in the order
//! of [`IsaShape`]'s lists of fields, each as wide as it says.
//!
//! A program whose work is known only when it runs (on a cache that grows) takes numbers from
//! argument memory, which the host writes before a run: words of [`ARG_BITS`] bits, counted from a
//! pointer that the program moves on.

use crate::attention::{AttentionShape, ARG_BITS};
use crate::shape::index_bits;

/// Fewest clocks between two instructions: program memory takes one clock to read.
pub const MIN_DELAY: u32 = 2;
/// Loops that can nest.
pub const LOOP_DEPTH: usize = 4;
/// Bits of an opcode.
pub const OPCODE_BITS: u32 = 4;

/// What one instruction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Ends the program: `done` rises when it issues.
    End,
    /// Nothing but its delay.
    Wait,
    /// Sets the row and column counters.
    Row {
        /// DRAM row of the next activate.
        row: u32,
        /// DRAM column of the next read.
        col: u32,
    },
    /// Activates the row counter's row in every bank.
    Act,
    /// Reads the column counter's column in every bank, then counts it up (it wraps at the row's end).
    Read,
    /// Precharges every bank, then counts the row counter up.
    Pre,
    /// Refreshes every bank.
    Ref,
    /// Repeats what follows, up to its `Next`, `count` times (at least once).
    Loop {
        /// How often.
        count: u32,
    },
    /// Ends the body of the innermost loop.
    Next,
    /// Begins a stream of columns: resets the bank units' counters and says what columns mean.
    Stream(Stream),
    /// Starts an operation of the buffer unit.
    Vec(Vector),
    /// Sets what `to` says to an argument, or 0, plus a constant; the sum wraps at 32 bits.
    Set {
        /// What.
        to: SetTo,
        /// The argument, counted from the pointer; none is 0.
        from: Option<u32>,
        /// The constant.
        add: u32,
    },
    /// As `Loop`, as often as an argument says. If that is 0 the next instruction is `end`.
    LoopArg {
        /// The argument, counted from the pointer.
        arg: u32,
        /// The instruction behind the loop's `Next`.
        end: u32,
    },
    /// Writes the column counter's column in every bank, then counts it up as `Read` does.
    Write,
    /// If fewer than `within` clocks are left to the sequencer's next refresh: as `Ref`. Otherwise
    /// nothing, and the next instruction issues [`MIN_DELAY`] clocks later.
    RefreshDue {
        /// How many clocks.
        within: u32,
    },
}

/// What `Set` sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetTo {
    /// The pointer into argument memory.
    Pointer,
    /// The pointer, on from where it is.
    Advance,
    /// The row counter; the column counter becomes 0.
    Row,
    /// The column counter.
    Col,
    /// A parameter of the attention units, by its number.
    Param(u32),
    /// What is added to the address in vector memory from which bytes are loaded, or to which results are
    /// collected. It is 0 before the first run, and keeps its value from run to run.
    Base,
    /// The pointer that is kept: what the pointer is now, and the sum.
    Keep,
    /// The pointer: the one that is kept, and the sum.
    Return,
}

impl SetTo {
    /// Bits of its number in the program.
    pub const BITS: u32 = 3;

    /// Its number in the program, in which all parameters are one.
    pub fn code(self) -> u32 {
        match self {
            SetTo::Pointer => 0,
            SetTo::Advance => 1,
            SetTo::Row => 2,
            SetTo::Col => 3,
            SetTo::Param(_) => 4,
            SetTo::Base => 5,
            SetTo::Keep => 6,
            SetTo::Return => 7,
        }
    }

    /// The parameter's number; 0 if it is none.
    pub fn param(self) -> u32 {
        match self {
            SetTo::Param(index) => index,
            _ => 0,
        }
    }
}

impl Vector {
    /// What it does where [`SetTo::Base`] has this value.
    pub fn based(self, base: u32) -> Vector {
        match self.op {
            VecOp::LoadBytes => Vector { a: self.a.wrapping_add(base), ..self },
            op if op.collects() => Vector { d: self.d.wrapping_add(base), ..self },
            _ => self,
        }
    }
}

/// Operands of `Stream`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stream {
    /// Index into [`crate::shape::BankShape::modes`].
    pub mode: u32,
    /// Columns per matrix row (for `Build`: columns of the whole codebook), less 1.
    pub columns_less_1: u32,
    /// Beats used of a matrix row's last column, less 1.
    pub tail_beats_less_1: u32,
    /// Supermask: coats less 1. Beats of a row come in the order group of inputs, coat.
    pub coats_less_1: u32,
    /// Supermask: seed ^ mix32(layer), the sign generator's key.
    pub sign_key: u32,
    /// Binary quadratic blocks: how a matrix row, which is one block and basis, divides into beats.
    pub block: Block,
}

/// Geometry of the blocks of a stream of mode `Blocks`; see [`crate::shape::BlockShape`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Block {
    /// Beats of a row of B, less 1: groups of inputs of a block column.
    pub x_beats_less_1: u32,
    /// Rows of B, less 1: the inner dimension.
    pub inner_less_1: u32,
    /// Beats of a row of A, less 1: groups of the inner dimension.
    pub t_beats_less_1: u32,
    /// Rows of A, less 1: rows of the block.
    pub rows_less_1: u32,
    /// Blocks of one block row that follow one another in a bank, less 1: block n takes the inputs
    /// of slot n mod that many.
    pub slots_less_1: u32,
}

impl Block {
    /// Its fields, in the order of the program word.
    pub fn fields(&self) -> [u32; 5] {
        [
            self.x_beats_less_1,
            self.inner_less_1,
            self.t_beats_less_1,
            self.rows_less_1,
            self.slots_less_1,
        ]
    }
}

/// Operands of `Vec`. Element i reads A at `a + i*a_step` and B at `b + i*b_step`, and writes `d + i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vector {
    /// What is computed.
    pub op: VecOp,
    /// Address of operand A.
    pub a: u32,
    /// Step of A: 0 or 1.
    pub a_step: u32,
    /// Address of operand B (for loads: see [`VecOp`]).
    pub b: u32,
    /// Step of B: 0 or 1.
    pub b_step: u32,
    /// Address of the result.
    pub d: u32,
    /// Elements; at least 1.
    pub len: u32,
    /// Loads: 0 for every bank, or 1 + the number of the first bank that takes them.
    pub bank: u32,
    /// Loads: 0 for every bank, or 1 + the number of the last bank that takes them.
    pub last: u32,
}

/// Operations of the buffer unit, per element. Sums wrap at the word width; lowering proves that
/// none does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VecOp {
    /// d = A.
    Copy,
    /// d = A + B.
    Add,
    /// d = A * B.
    Mul,
    /// d = max(A, 0).
    Relu,
    /// d = requant(A, constants in B).
    Requant,
    /// d = word at address b + A + 128.
    Table,
    /// One word at d: index of the largest A, lowest on a tie.
    Argmax,
    /// One word at d: the sum of A.
    Sum,
    /// The results of matrix rows as their columns come in, row n of a stream from bank b to
    /// d + n*banks + b. Issued before the stream's first read; ends with the stream's last row.
    Collect,
    /// The same with the results of all banks added up: one element a row. A pass is `a` rows, and
    /// every element is the sum of `b` passes that follow one another: row n goes to
    /// d + n / (a*b) * a + n mod a.
    CollectSum,
    /// Bytes of A to every bank's byte memory (or to those of some banks) from word 0: a word takes `d` bytes and a block of
    /// words ends after `b` bytes, which is a multiple of `d`. The last block is filled up with
    /// zeros, and so are the unused bytes of a word.
    LoadBytes,
    /// A to every bank's plane memory (or to those of some banks) from group `d`: beat_bits inputs to a group,
    /// the last one filled up with zeros.
    LoadPlanes,
    /// Rows A and B of states of attention, a log-sum-exp behind `len - 1` elements, to one row: the
    /// attention over the tokens of both. Steps are 1.
    Merge,
}

impl VecOp {
    /// Every operation; its number in the program is its index here.
    pub const ALL: [VecOp; 13] = [
        VecOp::Copy,
        VecOp::Add,
        VecOp::Mul,
        VecOp::Relu,
        VecOp::Requant,
        VecOp::Table,
        VecOp::Argmax,
        VecOp::Sum,
        VecOp::Collect,
        VecOp::CollectSum,
        VecOp::LoadBytes,
        VecOp::LoadPlanes,
        VecOp::Merge,
    ];

    /// Bits of its number in the program.
    pub fn bits() -> u32 {
        index_bits(VecOp::ALL.len() as u32)
    }

    /// Whether it loads the inputs of the bank units.
    pub fn loads(self) -> bool {
        matches!(self, VecOp::LoadBytes | VecOp::LoadPlanes)
    }

    /// Whether it collects results, which takes as long as the stream that follows.
    pub fn collects(self) -> bool {
        matches!(self, VecOp::Collect | VecOp::CollectSum)
    }

    /// Its number in the program.
    pub fn code(self) -> u32 {
        VecOp::ALL.iter().position(|o| *o == self).unwrap_or(0) as u32
    }
}

/// Field widths of the program word, as small as the program allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IsaShape {
    /// Delay field.
    pub delay_bits: u32,
    /// DRAM row.
    pub row_bits: u32,
    /// DRAM column.
    pub col_bits: u32,
    /// Loop count.
    pub count_bits: u32,
    /// Stream mode; 0 when there is one.
    pub mode_bits: u32,
    /// Columns per matrix row.
    pub columns_bits: u32,
    /// Beats of the last column.
    pub beats_bits: u32,
    /// Coats; 0 when no supermask of two coats or more is built.
    pub coats_bits: u32,
    /// Sign key: 32, or 0 when no supermask is built.
    pub key_bits: u32,
    /// Each field of [`Block`]; 0 when no binary quadratic blocks are built.
    pub block_bits: u32,
    /// Vector memory address, and length less 1.
    pub addr_bits: u32,
    /// First and last bank of a load; 0 when every load goes to all banks.
    pub bank_bits: u32,
    /// Instructions on arguments and refreshes; all 0 when the program has none.
    pub dynamic: DynamicIsa,
}

/// Field widths of the instructions whose effect is known only when the program runs. All are built
/// where there are attention units, and none where not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DynamicIsa {
    /// What a `Set` sets: [`SetTo::BITS`], or 0 when there is no `Set`.
    pub to_bits: u32,
    /// Number of a parameter; 0 when none is set.
    pub param_bits: u32,
    /// An argument, counted from the pointer; 0 when none is used.
    pub arg_bits: u32,
    /// The constant of a `Set`; 0 when there is no `Set`.
    pub add_bits: u32,
    /// Where a `LoopArg` ends; 0 when there is none.
    pub end_bits: u32,
    /// Clocks of a `RefreshDue`; 0 when there is none.
    pub within_bits: u32,
}

impl DynamicIsa {
    /// The least that a channel has, with these attention units or none.
    pub fn least(attention: Option<&AttentionShape>) -> DynamicIsa {
        attention.map_or_else(DynamicIsa::default, |a| DynamicIsa {
            to_bits: SetTo::BITS,
            param_bits: a.param_bits(),
            arg_bits: 1,
            add_bits: 1,
            end_bits: 1,
            within_bits: 1,
        })
    }

    /// The bit of a `Set` that says whether it takes an argument; 0 when none is used.
    pub fn flag_bits(&self) -> u32 {
        self.arg_bits.min(1)
    }
}

/// One instruction: an action and the clocks until the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instr {
    /// What it does.
    pub action: Action,
    /// Clocks until the next instruction.
    pub delay: u32,
}

impl Action {
    /// Whether it begins a loop.
    pub fn loops(&self) -> bool {
        matches!(self, Action::Loop { .. } | Action::LoopArg { .. })
    }

    /// Its opcode.
    pub fn opcode(&self) -> u32 {
        match self {
            Action::End => 0,
            Action::Wait => 1,
            Action::Row { .. } => 2,
            Action::Act => 3,
            Action::Read => 4,
            Action::Pre => 5,
            Action::Ref => 6,
            Action::Loop { .. } => 7,
            Action::Next => 8,
            Action::Stream(_) => 9,
            Action::Vec(_) => 10,
            Action::Set { .. } => 11,
            Action::LoopArg { .. } => 12,
            Action::Write => 13,
            Action::RefreshDue { .. } => 14,
        }
    }
}

/// A field of an instruction word: its offset from bit 0 and its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// First bit.
    pub at: u32,
    /// Width; may be 0.
    pub bits: u32,
}

impl IsaShape {
    /// Where the operands begin.
    pub fn operands_at(&self) -> u32 {
        OPCODE_BITS + self.delay_bits
    }

    fn layout(&self, widths: &[u32]) -> Vec<Field> {
        let mut at = self.operands_at();
        widths
            .iter()
            .map(|&bits| {
                let field = Field { at, bits };
                at += bits;
                field
            })
            .collect()
    }

    /// Fields of `Row`: row, col.
    pub fn row_fields(&self) -> Vec<Field> {
        self.layout(&[self.row_bits, self.col_bits])
    }

    /// Field of `Loop`: count.
    pub fn loop_fields(&self) -> Vec<Field> {
        self.layout(&[self.count_bits])
    }

    /// Fields of `Stream`: mode, columns, tail beats, coats, sign key, the five of its blocks.
    pub fn stream_fields(&self) -> Vec<Field> {
        self.layout(&[
            self.mode_bits,
            self.columns_bits,
            self.beats_bits,
            self.coats_bits,
            self.key_bits,
            self.block_bits,
            self.block_bits,
            self.block_bits,
            self.block_bits,
            self.block_bits,
        ])
    }

    /// Fields of `Vec`: op, a step, b step, a, b, d, length less 1, first bank, last bank.
    pub fn vec_fields(&self) -> Vec<Field> {
        let a = self.addr_bits;
        self.layout(&[VecOp::bits(), 1, 1, a, a, a, a, self.bank_bits, self.bank_bits])
    }

    /// Fields of `Set`: argument, whether it takes one, what it sets, parameter, constant.
    pub fn set_fields(&self) -> Vec<Field> {
        let d = &self.dynamic;
        self.layout(&[d.arg_bits, d.flag_bits(), d.to_bits, d.param_bits, d.add_bits])
    }

    /// Fields of `LoopArg`: argument, end.
    pub fn loop_arg_fields(&self) -> Vec<Field> {
        self.layout(&[self.dynamic.arg_bits, self.dynamic.end_bits])
    }

    /// Field of `RefreshDue`: within.
    pub fn refresh_due_fields(&self) -> Vec<Field> {
        self.layout(&[self.dynamic.within_bits])
    }

    /// Bits of the count of a loop: of its field, or of an argument.
    pub fn round_bits(&self) -> u32 {
        match self.dynamic.end_bits {
            0 => self.count_bits,
            _ => self.count_bits.max(ARG_BITS),
        }
    }

    /// Bits of a program word: the widest instruction.
    pub fn word_bits(&self) -> u32 {
        let all = [
            self.row_fields(),
            self.loop_fields(),
            self.stream_fields(),
            self.vec_fields(),
            self.set_fields(),
            self.loop_arg_fields(),
            self.refresh_due_fields(),
        ];
        all.iter().filter_map(|f| f.last().map(|l| l.at + l.bits)).max().unwrap_or(0)
    }
}
