//! DRAM commands: the row and column counters and the command port.

use crate::hdl::prelude::*;
use crate::shape::{index_bits, ChannelShape};

/// `cmd_o` of an activate.
pub const CMD_ACT: u32 = 0;
/// `cmd_o` of a read.
pub const CMD_READ: u32 = 1;
/// `cmd_o` of a precharge.
pub const CMD_PRE: u32 = 2;
/// `cmd_o` of a refresh.
pub const CMD_REF: u32 = 3;
/// `cmd_o` of a write, where there are any.
pub const CMD_WRITE: u32 = 4;

/// One strobe per clock, at most; the command is on the port one clock later. Optional ports are
/// `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct DramCommands {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Sets the counters from `operands`.
    pub set: Signal<In, Bit>,
    /// Column above row.
    pub operands: Wire<In>,
    /// Activates the counted row.
    pub act: Signal<In, Bit>,
    /// Reads the counted column, and counts it up.
    pub read: Signal<In, Bit>,
    /// Precharges, and counts the row up.
    pub pre: Signal<In, Bit>,
    /// Refreshes.
    pub refresh: Signal<In, Bit>,
    /// Writes the counted column, and counts it up; only where columns are written, as what follows.
    pub write: Vec<Signal<In, Bit>>,
    /// Sets the row counter, and the column counter to 0.
    pub set_row: Vec<Signal<In, Bit>>,
    /// The row.
    pub new_row: Vec<Wire<In>>,
    /// Sets the column counter.
    pub set_col: Vec<Signal<In, Bit>>,
    /// The column.
    pub new_col: Vec<Wire<In>>,

    /// A command, to every bank.
    pub cmd_valid: Signal<Out, Bit>,
    /// Which.
    pub cmd: Wire<Out>,
    /// Row of an activate.
    pub cmd_row: Wire<Out>,
    /// Column of a read or a write.
    pub cmd_col: Wire<Out>,

    operand_row: Wire<Local>,
    operand_col: Wire<Local>,
    row: Reg,
    col: Reg,
    command_valid: Flop<Bit>,
    command: Reg,
    command_row: Reg,
    command_col: Reg,
    cmd_act: Const,
    cmd_read: Const,
    cmd_pre: Const,
    cmd_ref: Const,
    cmd_write: Const,
    col_at: Const,
    last_col: Const,
    _writes: usize,
    _row_bits: u32,
    _col_bits: u32,
}

impl Logic for DramCommands {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, row, col, command_valid, command, command_row, command_col);

        comment!("---- counters; the column wraps at the end of the DRAM row ----");
        self.operand_row.next = bit_cast(self.operands.val(), self._row_bits);
        self.operand_col.next = bit_cast(self.operands.val() >> self.col_at.val(), self._col_bits);
        if self.read.val() {
            self.col.d.next = self.col.q.val() + 1.into();
            if self.col.q.val() == self.last_col.val() {
                self.col.d.next = 0.into();
            }
        }
        if self.pre.val() {
            self.row.d.next = self.row.q.val() + 1.into();
        }
        if self.set.val() {
            self.row.d.next = self.operand_row.val();
            self.col.d.next = self.operand_col.val();
        }
        for i in 0..self._writes {
            if self.write[i].val() {
                self.col.d.next = self.col.q.val() + 1.into();
                if self.col.q.val() == self.last_col.val() {
                    self.col.d.next = 0.into();
                }
            }
            if self.set_row[i].val() {
                self.row.d.next = self.new_row[i].val();
                self.col.d.next = 0.into();
            }
            if self.set_col[i].val() {
                self.col.d.next = self.new_col[i].val();
            }
        }

        comment!("---- command port ----");
        self.command_valid.d.next =
            self.act.val() | self.read.val() | self.pre.val() | self.refresh.val();
        if self.act.val() {
            self.command.d.next = self.cmd_act.val().into();
            self.command_row.d.next = self.row.q.val();
        }
        if self.read.val() {
            self.command.d.next = self.cmd_read.val().into();
            self.command_col.d.next = self.col.q.val();
        }
        if self.pre.val() {
            self.command.d.next = self.cmd_pre.val().into();
        }
        if self.refresh.val() {
            self.command.d.next = self.cmd_ref.val().into();
        }
        for i in 0..self._writes {
            if self.write[i].val() {
                self.command_valid.d.next = true;
                self.command.d.next = self.cmd_write.val().into();
                self.command_col.d.next = self.col.q.val();
            }
        }
        self.cmd_valid.next = self.command_valid.q.val();
        self.cmd.next = self.command.q.val();
        self.cmd_row.next = self.command_row.q.val();
        self.cmd_col.next = self.command_col.q.val();
    }
}

impl DramCommands {
    /// The command port of a channel.
    pub fn new(shape: &ChannelShape) -> Self {
        let (row, col) = (u(index_bits(shape.dram_rows)), u(index_bits(shape.dram_cols)));
        let isa = &shape.isa;
        let writes = shape.write_latency.iter().len();
        let bits = if writes > 0 { 3 } else { 2 };
        let code = |cmd: u32| Const::named(bits, cmd as usize);
        DramCommands {
            write: vec![Signal::default(); writes],
            set_row: vec![Signal::default(); writes],
            new_row: vec![Wire::new(row); writes],
            set_col: vec![Signal::default(); writes],
            new_col: vec![Wire::new(col); writes],
            operands: Wire::new(u(isa.row_bits + isa.col_bits)),
            cmd: Wire::new(u(bits)),
            cmd_row: Wire::new(row),
            cmd_col: Wire::new(col),
            operand_row: Wire::new(u(isa.row_bits)),
            operand_col: Wire::new(u(isa.col_bits)),
            row: Reg::new(row),
            col: Reg::new(col),
            command: Reg::new(u(bits)),
            command_row: Reg::new(row),
            command_col: Reg::new(col),
            cmd_act: code(CMD_ACT),
            cmd_read: code(CMD_READ),
            cmd_pre: code(CMD_PRE),
            cmd_ref: code(CMD_REF),
            cmd_write: code(CMD_WRITE),
            _writes: writes,
            col_at: Const::new(isa.row_bits as usize),
            last_col: Const::new(shape.dram_cols as usize - 1),
            _row_bits: isa.row_bits,
            _col_bits: isa.col_bits,
            ..DramCommands::default()
        }
    }
}

impl Unit for DramCommands {
    fn module(&self) -> String {
        "pimc_dram_commands".into()
    }

    fn contract(&self) -> Contract {
        let write = match self._writes {
            0 => String::new(),
            _ => format!(", {CMD_WRITE} to write"),
        };
        Contract {
            summary: "DRAM commands: the row and column counters and the command port.".into(),
            formula: format!(
                "cmd_o is {CMD_ACT} to activate, {CMD_READ} to read, {CMD_PRE} to precharge, \
                 {CMD_REF} to refresh{write}."
            ),
            latency: "1 clock from a strobe to the command.".into(),
            layout: format!(
                "operands_i holds the row in bits {}:0 and the column above it.",
                self._row_bits - 1
            ),
            preconditions: "At most one strobe in a clock.".into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("set", "from the program"), ("cmd_valid", "command port")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
