//! The sequencer: runs the schedule program.

mod contract;

use crate::hdl::prelude::*;
use crate::isa::{Action, Block, SetTo, Stream, VecOp, Vector, LOOP_DEPTH, MIN_DELAY, OPCODE_BITS};
use crate::sequencer_args::Arguments;
use crate::sequencer_columns::ColumnControl;
use crate::sequencer_commands::DramCommands;
use crate::sequencer_vectors::VectorIssue;
use crate::shape::{index_bits, ChannelShape};
use crate::timing::IDLE_CLOCKS;

/// What the sequencer does.
#[derive(Copy, Clone, PartialEq, Debug, LogicState)]
pub enum State {
    /// Waits for a start, and for the time of a refresh.
    Idle,
    /// Waits for the end of a refresh of its own.
    Refresh,
    /// Runs the program.
    Run,
}

/// Program memory and control flow. An instruction is decoded in one clock and shows on the ports
/// in the next. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct Sequencer {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Host: write a program word.
    pub prog_we: Signal<In, Bit>,
    /// Host: its address.
    pub prog_addr: Wire<In>,
    /// Host: the word.
    pub prog_data: Wire<In>,
    /// Host: write an argument; only where the program takes some, as what follows.
    pub arg_we: Vec<Signal<In, Bit>>,
    /// Host: its address.
    pub arg_addr: Vec<Wire<In>>,
    /// Host: the argument.
    pub arg_data: Vec<Wire<In>>,
    /// Runs the program from word 0.
    pub start: Signal<In, Bit>,
    /// A program runs or will.
    pub busy: Signal<Out, Bit>,
    /// The program ends in this clock.
    pub done: Signal<Out, Bit>,

    /// A DRAM command, to every bank.
    pub cmd_valid: Signal<Out, Bit>,
    /// Which, as [`crate::sequencer_commands`] numbers them.
    pub cmd: Wire<Out>,
    /// Row of an activate.
    pub cmd_row: Wire<Out>,
    /// Column of a read or a write.
    pub cmd_col: Wire<Out>,

    /// A stream begins. Mode, blocks, coats and key are held until the next one.
    pub stream_start: Signal<Out, Bit>,
    /// Index of its mode; only when there are two or more.
    pub mode: Vec<Wire<Out>>,
    /// Fields of the stream's blocks, in the order of [`Block`]; only when blocks are built.
    pub block: Vec<Wire<Out>>,
    /// Coats less 1; only when there may be two or more.
    pub coats_less_1: Vec<Wire<Out>>,
    /// Key of the sign generator.
    pub sign_key: Vec<Wire<Out>>,
    /// Seeds the sign generator.
    pub sign_start: Vec<Signal<Out, Bit>>,
    /// The data of a column are there some clocks later; only with attention units.
    pub col_soon: Vec<Signal<Out, Bit>>,
    /// The data of a column are there.
    pub col_valid: Signal<Out, Bit>,
    /// It is the first of its matrix row.
    pub col_first: Signal<Out, Bit>,
    /// It is the last of its matrix row.
    pub col_last: Signal<Out, Bit>,
    /// Beats of it that are used, less 1.
    pub col_beats: Wire<Out>,

    /// A vector operation starts. Its operands are held until the next one.
    pub vec_start: Signal<Out, Bit>,
    /// Which.
    pub vec_op: Wire<Out>,
    /// Step of A.
    pub vec_a_step: Wire<Out>,
    /// Step of B.
    pub vec_b_step: Wire<Out>,
    /// Address of A.
    pub vec_a: Wire<Out>,
    /// Address of B.
    pub vec_b: Wire<Out>,
    /// Address of the result.
    pub vec_d: Wire<Out>,
    /// Elements less 1.
    pub vec_len_less_1: Wire<Out>,
    /// 1 + the first bank of a load, 0 for all; only when there are loads to some banks.
    pub vec_bank: Vec<Wire<Out>>,
    /// 1 + the last bank of a load, 0 for all; with `vec_bank`.
    pub vec_last: Vec<Wire<Out>>,

    /// A parameter for the attention units; only where there are some, as what follows.
    pub param_we: Vec<Signal<Out, Bit>>,
    /// Which.
    pub param_index: Vec<Wire<Out>>,
    /// Its value.
    pub param_value: Vec<Wire<Out>>,

    program: Ram,
    opcode: Wire<Local>,
    delay: Wire<Local>,
    state: Flop<State>,
    pending: Flop<Bit>,
    ended: Flop<Bit>,
    wait: Reg,
    issue: Signal<Local, Bit>,
    idle_refresh: Signal<Local, Bit>,
    any_refresh: Signal<Local, Bit>,
    reading: Signal<Local, Bit>,
    refresh_in: Reg,
    pc: Reg,
    pc_next: Wire<Local>,
    loop_count: Wire<Local>,
    body_start: Wire<Local>,
    rounds_left: Wire<Local>,
    last_round: Signal<Local, Bit>,
    loop_start: Vec<Reg>,
    loop_left: Vec<Reg>,
    counting: Vec<Flop<Bit>>,
    enter: Vec<Signal<Local, Bit>>,
    skip: Vec<Signal<Local, Bit>>,
    skip_to: Vec<Wire<Local>>,
    due_within: Vec<Wire<Local>>,
    not_due: Vec<Signal<Local, Bit>>,
    arguments: Vec<Inst<Arguments>>,
    commands: Inst<DramCommands>,
    columns: Inst<ColumnControl>,
    vectors: Inst<VectorIssue>,

    op_end: Const,
    op_row: Const,
    op_act: Const,
    op_read: Const,
    op_pre: Const,
    op_ref: Const,
    op_loop: Const,
    op_next: Const,
    op_stream: Const,
    op_vec: Const,
    op_set: Const,
    op_loop_arg: Const,
    op_write: Const,
    op_refresh_due: Const,
    least_wait: Const,
    refresh_interval: Const,
    refresh_wait: Const,
    delay_at: Const,
    operands_at: Const,
    end_at: Const,

    _loops: usize,
    _inner_loops: usize,
    _mode: usize,
    _blocks: usize,
    _bank_loads: usize,
    _coats: usize,
    _masked: usize,
    _dynamic: usize,
    _set_operands: u32,
    _end_bits: u32,
    _within_bits: u32,
    _delay_bits: u32,
    _count_bits: u32,
    _row_operands: u32,
    _stream_operands: u32,
    _vec_operands: u32,
    _refi: u32,
    _rfc: u32,
}

impl Logic for Sequencer {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, state, pending, ended, wait, refresh_in, pc);
        self.program.clock.next = self.clock.val();
        self.commands.clock.next = self.clock.val();
        self.columns.clock.next = self.clock.val();
        self.vectors.clock.next = self.clock.val();
        for i in 0..self._loops {
            self.loop_start[i].clock.next = self.clock.val();
            self.loop_left[i].clock.next = self.clock.val();
            self.loop_start[i].d.next = self.loop_start[i].q.val();
            self.loop_left[i].d.next = self.loop_left[i].q.val();
        }
        for i in 0..self._dynamic {
            self.arguments[i].clock.next = self.clock.val();
            self.counting[i].clock.next = self.clock.val();
        }

        comment!("---- program memory: the word at pc ----");
        self.program.we.next = self.prog_we.val();
        self.program.waddr.next = self.prog_addr.val();
        self.program.wdata.next = self.prog_data.val();
        self.program.raddr.next = self.pc.q.val();
        self.opcode.next = bit_cast(self.program.rdata.val(), 4);
        self.delay.next =
            bit_cast(self.program.rdata.val() >> self.delay_at.val(), self._delay_bits);

        comment!("---- state: an instruction issues when the wait of the one before is over ----");
        self.issue.next = false;
        self.idle_refresh.next = false;
        self.ended.d.next = false;
        if self.wait.q.val() != 0 {
            self.wait.d.next = self.wait.q.val() - 1.into();
        }
        match self.state.q.val() {
            State::Idle => {
                if self.start.val() {
                    self.state.d.next = State::Run;
                } else if self.refresh_in.q.val() == 0 {
                    self.idle_refresh.next = true;
                    self.wait.d.next = self.refresh_wait.val().into();
                    self.state.d.next = State::Refresh;
                }
            }
            State::Refresh => {
                if self.start.val() {
                    self.pending.d.next = true;
                }
                if self.wait.q.val() == 0 {
                    self.pending.d.next = false;
                    self.state.d.next = State::Idle;
                    if self.pending.q.val() | self.start.val() {
                        self.state.d.next = State::Run;
                    }
                }
            }
            State::Run => {
                if self.wait.q.val() == 0 {
                    self.issue.next = true;
                    self.wait.d.next = self.delay.val() - 1.into();
                    if self.opcode.val() == self.op_end.val() {
                        self.wait.d.next = 0.into();
                        self.ended.d.next = true;
                        self.state.d.next = State::Idle;
                    }
                }
            }
        }
        for i in 0..self._dynamic {
            self.due_within[i].next =
                bit_cast(self.program.rdata.val() >> self.operands_at.val(), self._within_bits);
            self.not_due[i].next = self.refresh_in.q.val() >= self.due_within[i].val();
            // A refresh that is not due takes no longer than any instruction must.
            if self.issue.val()
                & (self.opcode.val() == self.op_refresh_due.val())
                & self.not_due[i].val()
            {
                self.wait.d.next = self.least_wait.val().into();
            }
        }
        self.busy.next = (self.state.q.val() == State::Run) | self.pending.q.val();
        self.done.next = self.ended.q.val();

        comment!("---- control flow: innermost loop first in the stack ----");
        self.pc_next.next = self.pc.q.val() + 1.into();
        self.loop_count.next =
            bit_cast(self.program.rdata.val() >> self.operands_at.val(), self._count_bits);
        self.body_start.next = self.loop_start[0].q.val();
        self.rounds_left.next = self.loop_left[0].q.val();
        self.last_round.next = self.rounds_left.val() == 1;
        if self.issue.val() {
            self.pc.d.next = self.pc_next.val();
            if self.opcode.val() == self.op_end.val() {
                self.pc.d.next = 0.into();
            }
            if (self.opcode.val() == self.op_next.val()) & !self.last_round.val() {
                self.pc.d.next = self.body_start.val();
            }
        }
        if self.issue.val() & (self.opcode.val() == self.op_loop.val()) {
            self.loop_start[0].d.next = self.pc_next.val();
            self.loop_left[0].d.next = self.loop_count.val();
            for i in 0..self._inner_loops {
                self.loop_start[i + 1].d.next = self.loop_start[i].q.val();
                self.loop_left[i + 1].d.next = self.loop_left[i].q.val();
            }
        }
        if self.issue.val() & (self.opcode.val() == self.op_next.val()) {
            self.loop_left[0].d.next = self.rounds_left.val() - 1.into();
            if self.last_round.val() {
                for i in 0..self._inner_loops {
                    self.loop_start[i].d.next = self.loop_start[i + 1].q.val();
                    self.loop_left[i].d.next = self.loop_left[i + 1].q.val();
                }
            }
        }

        comment!("---- arguments: a clock after their instruction, whose word is still there ----");
        for i in 0..self._dynamic {
            self.arguments[i].arg_we.next = self.arg_we[i].val();
            self.arguments[i].arg_addr.next = self.arg_addr[i].val();
            self.arguments[i].arg_data.next = self.arg_data[i].val();
            self.arguments[i].set.next =
                self.issue.val() & (self.opcode.val() == self.op_set.val());
            self.arguments[i].operands.next =
                bit_cast(self.program.rdata.val() >> self.operands_at.val(), self._set_operands);
            self.param_we[i].next = self.arguments[i].param_we.val();
            self.param_index[i].next = self.arguments[i].param_index.val();
            self.param_value[i].next = self.arguments[i].param_value.val();
        }
        for i in 0..self._dynamic {
            self.counting[i].d.next =
                self.issue.val() & (self.opcode.val() == self.op_loop_arg.val());
            self.skip[i].next = self.counting[i].q.val() & (self.arguments[i].arg.val() == 0);
            self.enter[i].next = self.counting[i].q.val() & (self.arguments[i].arg.val() != 0);
            self.skip_to[i].next =
                bit_cast(self.program.rdata.val() >> self.end_at.val(), self._end_bits);
            if self.skip[i].val() {
                self.pc.d.next = self.skip_to[i].val();
                // Memory reads it at once: the next instruction may issue in the next clock.
                self.program.raddr.next = self.skip_to[i].val();
            }
            if self.enter[i].val() {
                self.loop_start[0].d.next = self.pc.q.val();
                self.loop_left[0].d.next = self.arguments[i].arg.val();
                for k in 0..self._inner_loops {
                    self.loop_start[k + 1].d.next = self.loop_start[k].q.val();
                    self.loop_left[k + 1].d.next = self.loop_left[k].q.val();
                }
            }
        }

        comment!("---- DRAM commands ----");
        self.any_refresh.next =
            self.idle_refresh.val() | (self.issue.val() & (self.opcode.val() == self.op_ref.val()));
        for i in 0..self._dynamic {
            if self.issue.val()
                & (self.opcode.val() == self.op_refresh_due.val())
                & !self.not_due[i].val()
            {
                self.any_refresh.next = true;
            }
        }
        self.reading.next = self.issue.val() & (self.opcode.val() == self.op_read.val());
        self.commands.set.next = self.issue.val() & (self.opcode.val() == self.op_row.val());
        self.commands.operands.next =
            bit_cast(self.program.rdata.val() >> self.operands_at.val(), self._row_operands);
        self.commands.act.next = self.issue.val() & (self.opcode.val() == self.op_act.val());
        self.commands.read.next = self.reading.val();
        self.commands.pre.next = self.issue.val() & (self.opcode.val() == self.op_pre.val());
        self.commands.refresh.next = self.any_refresh.val();
        for i in 0..self._dynamic {
            self.commands.write[i].next =
                self.issue.val() & (self.opcode.val() == self.op_write.val());
            self.commands.set_row[i].next = self.arguments[i].set_row.val();
            self.commands.new_row[i].next = self.arguments[i].row.val();
            self.commands.set_col[i].next = self.arguments[i].set_col.val();
            self.commands.new_col[i].next = self.arguments[i].col.val();
        }
        self.cmd_valid.next = self.commands.cmd_valid.val();
        self.cmd.next = self.commands.cmd.val();
        self.cmd_row.next = self.commands.cmd_row.val();
        self.cmd_col.next = self.commands.cmd_col.val();

        comment!("---- clocks until an idle refresh ----");
        if self.refresh_in.q.val() != 0 {
            self.refresh_in.d.next = self.refresh_in.q.val() - 1.into();
        }
        if self.any_refresh.val() {
            self.refresh_in.d.next = self.refresh_interval.val().into();
        }

        comment!("---- columns ----");
        self.columns.stream.next = self.issue.val() & (self.opcode.val() == self.op_stream.val());
        self.columns.operands.next =
            bit_cast(self.program.rdata.val() >> self.operands_at.val(), self._stream_operands);
        self.columns.read.next = self.reading.val();
        self.stream_start.next = self.columns.stream_start.val();
        for i in 0..self._mode {
            self.mode[i].next = self.columns.mode[i].val();
        }
        for i in 0..self._blocks {
            self.block[i].next = self.columns.block[i].val();
        }
        for i in 0..self._coats {
            self.coats_less_1[i].next = self.columns.coats_less_1[i].val();
        }
        for i in 0..self._masked {
            self.sign_key[i].next = self.columns.sign_key[i].val();
            self.sign_start[i].next = self.columns.sign_start[i].val();
        }
        for i in 0..self._dynamic {
            self.col_soon[i].next = self.columns.col_soon[i].val();
        }
        self.col_valid.next = self.columns.col_valid.val();
        self.col_first.next = self.columns.col_first.val();
        self.col_last.next = self.columns.col_last.val();
        self.col_beats.next = self.columns.col_beats.val();

        comment!("---- vector operations ----");
        self.vectors.issue.next = self.issue.val() & (self.opcode.val() == self.op_vec.val());
        self.vectors.operands.next =
            bit_cast(self.program.rdata.val() >> self.operands_at.val(), self._vec_operands);
        self.vec_start.next = self.vectors.start.val();
        self.vec_op.next = self.vectors.op.val();
        self.vec_a_step.next = self.vectors.a_step.val();
        self.vec_b_step.next = self.vectors.b_step.val();
        self.vec_a.next = self.vectors.a.val();
        self.vec_b.next = self.vectors.b.val();
        self.vec_d.next = self.vectors.d.val();
        self.vec_len_less_1.next = self.vectors.len_less_1.val();
        for i in 0..self._dynamic {
            self.vectors.base[i].next = self.arguments[i].base.val();
        }
        for i in 0..self._bank_loads {
            self.vec_bank[i].next = self.vectors.bank[i].val();
            self.vec_last[i].next = self.vectors.last[i].val();
        }
    }
}

impl Sequencer {
    /// The sequencer of a channel.
    pub fn new(shape: &ChannelShape) -> Self {
        let isa = &shape.isa;
        let word = u(isa.word_bits());
        let pc = u(index_bits(shape.program_depth));
        let addr = || Wire::new(u(isa.addr_bits));
        let code = |action: Action| Const::named(OPCODE_BITS, action.opcode() as usize);
        let stream = Stream {
            mode: 0,
            columns_less_1: 0,
            tail_beats_less_1: 0,
            coats_less_1: 0,
            sign_key: 0,
            block: Block::default(),
        };
        let vector = Vector {
            op: VecOp::Copy,
            a: 0,
            a_step: 0,
            b: 0,
            b_step: 0,
            d: 0,
            len: 1,
            bank: 0,
            last: 0,
        };
        let set = Action::Set { to: SetTo::Pointer, from: None, add: 0 };
        let arguments: Vec<Arguments> =
            shape.bank.attention.iter().map(|_| Arguments::new(shape)).collect();
        let dynamic = arguments.len();
        let ports = || arguments.iter();
        let ends = isa.loop_arg_fields();
        let end_at = ends.last().map_or(0, |f| f.at);
        let set_fields = isa.set_fields();
        let set_end = set_fields.last().map_or(0, |f| f.at + f.bits);
        let rounds = u(isa.round_bits());
        let columns = ColumnControl::new(shape);
        let commands = DramCommands::new(shape);
        let vectors = VectorIssue::new(shape);
        let refresh_wait = shape.rfc.saturating_sub(2);
        let interval = shape.refi.saturating_sub(IDLE_CLOCKS);
        let wait_bits = isa.delay_bits.max(index_bits(refresh_wait + 1));
        Sequencer {
            prog_addr: Wire::new(pc),
            prog_data: Wire::new(word),
            arg_we: vec![Signal::default(); dynamic],
            arg_addr: ports().map(|a| Wire::new(a.arg_addr.ty())).collect(),
            arg_data: ports().map(|a| Wire::new(a.arg_data.ty())).collect(),
            param_we: vec![Signal::default(); dynamic],
            param_index: ports().map(|a| Wire::new(a.param_index.ty())).collect(),
            param_value: ports().map(|a| Wire::new(a.param_value.ty())).collect(),
            col_soon: columns.col_soon.clone(),
            counting: vec![Flop::default(); dynamic],
            enter: vec![Signal::default(); dynamic],
            skip: vec![Signal::default(); dynamic],
            skip_to: vec![Wire::new(u(isa.dynamic.end_bits)); dynamic],
            due_within: vec![Wire::new(u(isa.dynamic.within_bits)); dynamic],
            not_due: vec![Signal::default(); dynamic],
            cmd: Wire::new(commands.cmd.ty()),
            cmd_row: Wire::new(commands.cmd_row.ty()),
            cmd_col: Wire::new(commands.cmd_col.ty()),
            mode: columns.mode.clone(),
            block: columns.block.clone(),
            coats_less_1: columns.coats_less_1.clone(),
            sign_key: columns.sign_key.clone(),
            sign_start: columns.sign_start.clone(),
            col_beats: Wire::new(columns.col_beats.ty()),
            vec_op: Wire::new(vectors.op.ty()),
            vec_a_step: Wire::new(u(1)),
            vec_b_step: Wire::new(u(1)),
            vec_a: addr(),
            vec_b: addr(),
            vec_d: addr(),
            vec_len_less_1: addr(),
            vec_bank: vectors.bank.clone(),
            vec_last: vectors.last.clone(),
            program: Ram::with_depth(shape.program_depth as usize, pc.width, word),
            opcode: Wire::new(u(OPCODE_BITS)),
            delay: Wire::new(u(isa.delay_bits)),
            wait: Reg::new(u(wait_bits)),
            refresh_in: Reg::new(u(index_bits(interval + 1))),
            pc: Reg::new(pc),
            pc_next: Wire::new(pc),
            loop_count: Wire::new(u(isa.count_bits)),
            body_start: Wire::new(pc),
            rounds_left: Wire::new(rounds),
            loop_start: vec![Reg::new(pc); LOOP_DEPTH],
            loop_left: vec![Reg::new(rounds); LOOP_DEPTH],
            op_end: code(Action::End),
            op_row: code(Action::Row { row: 0, col: 0 }),
            op_act: code(Action::Act),
            op_read: code(Action::Read),
            op_pre: code(Action::Pre),
            op_ref: code(Action::Ref),
            op_loop: code(Action::Loop { count: 1 }),
            op_next: code(Action::Next),
            op_stream: code(Action::Stream(stream)),
            op_vec: code(Action::Vec(vector)),
            op_set: code(set),
            op_loop_arg: code(Action::LoopArg { arg: 0, end: 0 }),
            op_write: code(Action::Write),
            op_refresh_due: code(Action::RefreshDue { within: 0 }),
            least_wait: Const::named(wait_bits, MIN_DELAY as usize - 1),
            refresh_interval: Const::named(index_bits(interval + 1), interval as usize),
            refresh_wait: Const::named(wait_bits, refresh_wait as usize),
            delay_at: Const::new(OPCODE_BITS as usize),
            operands_at: Const::new(isa.operands_at() as usize),
            end_at: Const::new(end_at as usize),
            _loops: LOOP_DEPTH,
            _inner_loops: LOOP_DEPTH - 1,
            _mode: columns.mode.len(),
            _blocks: columns.block.len(),
            _bank_loads: vectors.bank.len(),
            _coats: columns.coats_less_1.len(),
            _masked: columns.sign_key.len(),
            _dynamic: dynamic,
            _set_operands: set_end - isa.operands_at(),
            _end_bits: isa.dynamic.end_bits,
            _within_bits: isa.dynamic.within_bits,
            _delay_bits: isa.delay_bits,
            _count_bits: isa.count_bits,
            _row_operands: commands.operands.ty().width,
            _stream_operands: columns.operands.ty().width,
            _vec_operands: vectors.operands.ty().width,
            _refi: shape.refi,
            _rfc: shape.rfc,
            arguments: arguments.into_iter().map(Inst::new).collect(),
            commands: Inst::new(commands),
            columns: Inst::new(columns),
            vectors: Inst::new(vectors),
            ..Sequencer::default()
        }
    }
}
