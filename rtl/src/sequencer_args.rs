//! Arguments: what the host hands to a run, and what `Set` makes of it.

use crate::attention::ARG_BITS;
use crate::hdl::prelude::*;
use crate::isa::SetTo;
use crate::shape::{index_bits, ChannelShape};

/// Argument memory with its pointer, and the sum of a `Set`, whose effect comes a clock after it
/// issues: that is when the argument has left the memory.
#[derive(LogicBlock, Default)]
pub struct Arguments {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Host: write an argument.
    pub arg_we: Signal<In, Bit>,
    /// Host: its address.
    pub arg_addr: Wire<In>,
    /// Host: the argument.
    pub arg_data: Wire<In>,

    /// A `Set` issues.
    pub set: Signal<In, Bit>,
    /// Operands of the `Set`, or of another instruction whose lowest field is an argument; they stay
    /// for a second clock.
    pub operands: Wire<In>,

    /// The argument, one clock after its operands.
    pub arg: Wire<Out>,
    /// Sets the row counter, and the column counter to 0.
    pub set_row: Signal<Out, Bit>,
    /// The row.
    pub row: Wire<Out>,
    /// Sets the column counter.
    pub set_col: Signal<Out, Bit>,
    /// The column.
    pub col: Wire<Out>,
    /// A parameter for the attention units.
    pub param_we: Signal<Out, Bit>,
    /// Which.
    pub param_index: Wire<Out>,
    /// Its value.
    pub param_value: Wire<Out>,
    /// Base of vector memory.
    pub base: Wire<Out>,

    memory: Ram,
    pointer: Reg,
    kept: Reg,
    base_addr: Reg,
    setting: Flop<Bit>,
    offset: Wire<Local>,
    takes: Wire<Local>,
    to: Wire<Local>,
    add: Wire<Local>,
    value: Wire<Local>,
    place: Wire<Local>,
    to_pointer: Const,
    to_advance: Const,
    to_row: Const,
    to_col: Const,
    to_param: Const,
    to_base: Const,
    to_keep: Const,
    to_return: Const,
    takes_at: Const,
    to_at: Const,
    param_at: Const,
    add_at: Const,
    _arg_bits: u32,
    _to_bits: u32,
    _param_bits: u32,
    _add_bits: u32,
    _addr_bits: u32,
    _base_bits: u32,
    _row_bits: u32,
    _col_bits: u32,
}

impl Logic for Arguments {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, pointer, kept, base_addr, setting);
        self.memory.clock.next = self.clock.val();

        comment!("---- operands ----");
        self.offset.next = bit_cast(self.operands.val(), self._arg_bits);
        self.takes.next = bit_cast(self.operands.val() >> self.takes_at.val(), 1);
        self.to.next = bit_cast(self.operands.val() >> self.to_at.val(), self._to_bits);
        self.param_index.next =
            bit_cast(self.operands.val() >> self.param_at.val(), self._param_bits);
        self.add.next = bit_cast(self.operands.val() >> self.add_at.val(), self._add_bits);

        comment!("---- argument memory: the word at the offset from the pointer ----");
        self.memory.we.next = self.arg_we.val();
        self.memory.waddr.next = self.arg_addr.val();
        self.memory.wdata.next = self.arg_data.val();
        self.memory.raddr.next = self.pointer.q.val() + self.offset.val();
        self.arg.next = self.memory.rdata.val();

        comment!("---- the sum, a clock later ----");
        self.setting.d.next = self.set.val();
        self.value.next = self.add.val();
        if self.takes.val() == 1 {
            self.value.next = self.memory.rdata.val() + self.add.val();
        }
        self.place.next = bit_cast(self.value.val(), self._addr_bits);
        if self.setting.q.val() & (self.to.val() == self.to_pointer.val()) {
            self.pointer.d.next = self.place.val();
        }
        if self.setting.q.val() & (self.to.val() == self.to_advance.val()) {
            self.pointer.d.next = self.pointer.q.val() + self.place.val();
        }
        if self.setting.q.val() & (self.to.val() == self.to_keep.val()) {
            self.kept.d.next = self.pointer.q.val() + self.place.val();
        }
        if self.setting.q.val() & (self.to.val() == self.to_return.val()) {
            self.pointer.d.next = self.kept.q.val() + self.place.val();
        }
        if self.setting.q.val() & (self.to.val() == self.to_base.val()) {
            self.base_addr.d.next = bit_cast(self.value.val(), self._base_bits);
        }
        self.base.next = self.base_addr.q.val();
        self.set_row.next = self.setting.q.val() & (self.to.val() == self.to_row.val());
        self.row.next = bit_cast(self.value.val(), self._row_bits);
        self.set_col.next = self.setting.q.val() & (self.to.val() == self.to_col.val());
        self.col.next = bit_cast(self.value.val(), self._col_bits);
        self.param_we.next = self.setting.q.val() & (self.to.val() == self.to_param.val());
        self.param_value.next = self.value.val();
    }
}

impl Arguments {
    /// The argument memory of a channel.
    pub fn new(shape: &ChannelShape) -> Self {
        let (isa, dynamic) = (&shape.isa, &shape.isa.dynamic);
        let (addr, word) = (u(index_bits(shape.arg_words)), u(ARG_BITS));
        let base = u(isa.addr_bits);
        let (row, col) = (u(index_bits(shape.dram_rows)), u(index_bits(shape.dram_cols)));
        let fields = isa.set_fields();
        let end = fields.last().map_or(0, |f| f.at + f.bits);
        let at =
            |i: usize| Const::new(fields.get(i).map_or(0, |f| f.at - isa.operands_at()) as usize);
        let to = |to: SetTo| Const::named(SetTo::BITS, to.code() as usize);
        Arguments {
            arg_addr: Wire::new(addr),
            arg_data: Wire::new(word),
            operands: Wire::new(u(end - isa.operands_at())),
            arg: Wire::new(word),
            row: Wire::new(row),
            col: Wire::new(col),
            param_index: Wire::new(u(dynamic.param_bits)),
            param_value: Wire::new(word),
            base: Wire::new(base),
            memory: Ram::with_depth(shape.arg_words as usize, addr.width, word),
            pointer: Reg::new(addr),
            kept: Reg::new(addr),
            base_addr: Reg::new(base),
            offset: Wire::new(u(dynamic.arg_bits)),
            takes: Wire::new(u(1)),
            to: Wire::new(u(SetTo::BITS)),
            add: Wire::new(u(dynamic.add_bits)),
            value: Wire::new(word),
            place: Wire::new(addr),
            to_pointer: to(SetTo::Pointer),
            to_advance: to(SetTo::Advance),
            to_row: to(SetTo::Row),
            to_col: to(SetTo::Col),
            to_param: to(SetTo::Param(0)),
            to_base: to(SetTo::Base),
            to_keep: to(SetTo::Keep),
            to_return: to(SetTo::Return),
            takes_at: at(1),
            to_at: at(2),
            param_at: at(3),
            add_at: at(4),
            _arg_bits: dynamic.arg_bits,
            _to_bits: SetTo::BITS,
            _param_bits: dynamic.param_bits,
            _add_bits: dynamic.add_bits,
            _addr_bits: addr.width,
            _base_bits: base.width,
            _row_bits: row.width,
            _col_bits: col.width,
            ..Arguments::default()
        }
    }
}

impl Unit for Arguments {
    fn module(&self) -> String {
        "pimc_arguments".into()
    }

    fn contract(&self) -> Contract {
        Contract {
            summary: format!(
                "Arguments: {} words that the host hands to a run, and what Set makes of them.",
                self.memory.words().len()
            ),
            formula:
                "arg_o is the word at the pointer plus the offset. A Set takes it, or 0, adds \
                      its constant, and sets the pointer, moves it on, or sets the row counter, \
                      the column counter, a parameter or the base of vector memory to the sum. Keep \
                      keeps the pointer plus the sum, return makes that plus the sum the pointer."
                    .into(),
            latency: "1 clock from set_i and operands_i to what is set, and to arg_o.".into(),
            throughput: "One Set in two clocks.".into(),
            layout: format!(
                "operands_i, lowest first: offset, whether an argument is taken, destination \
                 (3 bits: {} pointer, {} advance, {} row, {} column, {} parameter, {} base, \
                 {} keep, {} return), parameter, constant.",
                SetTo::Pointer.code(),
                SetTo::Advance.code(),
                SetTo::Row.code(),
                SetTo::Col.code(),
                SetTo::Param(0).code(),
                SetTo::Base.code(),
                SetTo::Keep.code(),
                SetTo::Return.code()
            ),
            preconditions: "operands_i stay for the clock after set_i. No address is past the \
                            memory's end."
                .into(),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("arg_we", "host: argument memory"),
            ("set", "from the program"),
            ("arg", "count of a loop"),
            ("set_row", "to the DRAM commands"),
            ("param_we", "to the attention units"),
            ("base", "to the vector operations"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
