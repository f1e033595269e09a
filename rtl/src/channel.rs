//! The channel: sequencer, bank units, buffer unit.

use crate::attention_banks::AttentionBanks;
use crate::bank_unit::BankUnit;
use crate::buffer_unit::BufferUnit;
use crate::hdl::prelude::*;
use crate::sequencer::Sequencer;
use crate::shape::{index_bits, ChannelShape, StreamMode};
use crate::sv::{emit, Provenance, SvFile};

/// One channel, between a DRAM whose banks work in lock step and a host.
#[derive(LogicBlock)]
pub struct Channel {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A DRAM command, to every bank.
    pub cmd_valid: Signal<Out, Bit>,
    /// Which: 0 activate, 1 read, 2 precharge, 3 refresh; where there are writes, 4 write.
    pub cmd: Wire<Out>,
    /// Row of an activate.
    pub cmd_row: Wire<Out>,
    /// Column of a read or a write.
    pub cmd_col: Wire<Out>,
    /// The column of every bank, `beats` words each, bank 0 lowest; sampled `read_latency` clocks
    /// after the read.
    pub rd_data: Vec<Wire<In>>,
    /// The columns to write, as `rd_data`; only where there are writes. They stay until the next ones,
    /// and are taken `write_latency` clocks after the write.
    pub wr_data: Vec<Wire<Out>>,

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

    /// Host: write a word of vector memory.
    pub host_we: Signal<In, Bit>,
    /// Host: its address.
    pub host_addr: Wire<In>,
    /// Host: the word to write.
    pub host_wdata: Wire<In>,
    /// Host: the word at `host_addr` one clock earlier.
    pub host_rdata: Wire<Out>,

    /// Runs the program.
    pub start: Signal<In, Bit>,
    /// A program runs or will.
    pub busy: Signal<Out, Bit>,
    /// The program ends in this clock.
    pub done: Signal<Out, Bit>,

    /// Runs the program, drives everything else.
    pub sequencer: Inst<Sequencer>,
    /// One per bank; none where all work is that of the attention units.
    pub bank: Vec<Inst<BankUnit>>,
    /// The attention units and their softmax, where there are some.
    pub attention: Vec<Inst<AttentionBanks>>,
    /// Vectors.
    pub buffer: Inst<BufferUnit>,

    load_bank: Vec<Reg>,
    load_last: Vec<Reg>,
    takes_load: Vec<Signal<Local, Bit>>,
    row_valid: Vec<Join>,
    unused_row_valid: Vec<Unused>,
    beats: Const,
    _units: usize,
    _no_units: usize,
    _rows: usize,
    _no_rows: usize,
    _attention: usize,
    _columns: usize,
    _beats: usize,
    _mode: usize,
    _blocks: usize,
    _coats: usize,
    _masked: usize,
    _bytes: usize,
    _planes: usize,
    _second: usize,
    _bank_loads: usize,
    _bytes_of_all: usize,
    _bytes_of_one: usize,
    _planes_of_all: usize,
    _planes_of_one: usize,
    _shape: ChannelShape,
}

impl Logic for Channel {
    #[hdl_gen]
    fn update(&mut self) {
        comment!("---- sequencer ----");
        self.sequencer.clock.next = self.clock.val();
        self.sequencer.prog_we.next = self.prog_we.val();
        self.sequencer.prog_addr.next = self.prog_addr.val();
        self.sequencer.prog_data.next = self.prog_data.val();
        self.sequencer.start.next = self.start.val();
        self.busy.next = self.sequencer.busy.val();
        self.done.next = self.sequencer.done.val();
        self.cmd_valid.next = self.sequencer.cmd_valid.val();
        self.cmd.next = self.sequencer.cmd.val();
        self.cmd_row.next = self.sequencer.cmd_row.val();
        self.cmd_col.next = self.sequencer.cmd_col.val();

        comment!("---- bank units, in lock step ----");
        for b in 0..self._units {
            self.bank[b].clock.next = self.clock.val();
            self.bank[b].stream_start.next = self.sequencer.stream_start.val();
            self.bank[b].col_valid.next = self.sequencer.col_valid.val();
            self.bank[b].col_first.next = self.sequencer.col_first.val();
            self.bank[b].col_last.next = self.sequencer.col_last.val();
            self.bank[b].col_beats.next = self.sequencer.col_beats.val();
            self.bank[b].load_data.next = self.buffer.load_data.val();
        }
        for b in 0..self._units {
            for q in 0..self._beats {
                self.bank[b].rd_data[q].next = self.rd_data[b * self.beats.val() + q].val();
            }
        }
        for i in 0..self._mode {
            for b in 0..self._units {
                self.bank[b].mode[i].next = self.sequencer.mode[i].val();
            }
        }
        for i in 0..self._blocks {
            for b in 0..self._units {
                self.bank[b].block[i].next = self.sequencer.block[i].val();
            }
        }
        for i in 0..self._coats {
            for b in 0..self._units {
                self.bank[b].coats_less_1[i].next = self.sequencer.coats_less_1[i].val();
            }
        }
        for i in 0..self._masked {
            for b in 0..self._units {
                self.bank[b].bank[i].next = b.into();
                self.bank[b].sign_key[i].next = self.sequencer.sign_key[i].val();
                self.bank[b].sign_start[i].next = self.sequencer.sign_start[i].val();
            }
        }
        for i in 0..self._bank_loads {
            // A clock behind: a load's last word leaves when the next operation begins.
            self.load_bank[i].clock.next = self.clock.val();
            self.load_bank[i].d.next = self.sequencer.vec_bank[i].val();
            self.load_last[i].clock.next = self.clock.val();
            self.load_last[i].d.next = self.sequencer.vec_last[i].val();
            for b in 0..self._units {
                self.takes_load[b].next = (self.load_bank[i].q.val() == 0)
                    | ((self.load_bank[i].q.val() < (b + 2).into())
                        & (self.load_last[i].q.val() > b.into()));
            }
        }
        for i in 0..self._bytes_of_all {
            for b in 0..self._units {
                self.bank[b].byte_we[i].next = self.buffer.byte_we[i].val();
            }
        }
        for i in 0..self._bytes_of_one {
            for b in 0..self._units {
                self.bank[b].byte_we[i].next =
                    self.buffer.byte_we[i].val() & self.takes_load[b].val();
            }
        }
        for i in 0..self._bytes {
            for b in 0..self._units {
                self.bank[b].byte_addr[i].next = self.buffer.byte_addr[i].val();
            }
        }
        for i in 0..self._planes_of_all {
            for b in 0..self._units {
                self.bank[b].plane_we[i].next = self.buffer.plane_we[i].val();
            }
        }
        for i in 0..self._planes_of_one {
            for b in 0..self._units {
                self.bank[b].plane_we[i].next =
                    self.buffer.plane_we[i].val() & self.takes_load[b].val();
            }
        }
        for i in 0..self._second {
            for b in 0..self._units {
                self.bank[b].load_second[i].next = self.buffer.load_second[i].val();
            }
        }
        for i in 0..self._planes {
            for b in 0..self._units {
                self.bank[b].plane[i].next = self.buffer.plane[i].val();
                self.bank[b].plane_group[i].next = self.buffer.plane_group[i].val();
            }
        }

        comment!("---- attention units ----");
        for i in 0..self._attention {
            self.sequencer.arg_we[i].next = self.arg_we[i].val();
            self.sequencer.arg_addr[i].next = self.arg_addr[i].val();
            self.sequencer.arg_data[i].next = self.arg_data[i].val();
            self.attention[i].clock.next = self.clock.val();
            self.attention[i].stream_start.next = self.sequencer.stream_start.val();
            self.attention[i].mode.next = self.sequencer.mode[i].val();
            self.attention[i].col_soon.next = self.sequencer.col_soon[i].val();
            self.attention[i].col_valid.next = self.sequencer.col_valid.val();
            self.attention[i].col_first.next = self.sequencer.col_first.val();
            self.attention[i].col_last.next = self.sequencer.col_last.val();
            self.attention[i].col_beats.next = self.sequencer.col_beats.val();
            self.attention[i].byte_we.next = self.buffer.byte_we[i].val();
            self.attention[i].byte_addr.next = self.buffer.byte_addr[i].val();
            self.attention[i].load_data.next = self.buffer.load_data.val();
            self.attention[i].param_we.next = self.sequencer.param_we[i].val();
            self.attention[i].param_index.next = self.sequencer.param_index[i].val();
            self.attention[i].param_value.next = self.sequencer.param_value[i].val();
            for c in 0..self._columns {
                self.attention[i].rd_data[c].next = self.rd_data[c].val();
                self.wr_data[c].next = self.attention[i].wr_data[c].val();
            }
        }

        comment!("---- buffer unit ----");
        self.buffer.clock.next = self.clock.val();
        self.buffer.busy.next = self.sequencer.busy.val();
        self.buffer.host_we.next = self.host_we.val();
        self.buffer.host_addr.next = self.host_addr.val();
        self.buffer.host_wdata.next = self.host_wdata.val();
        self.host_rdata.next = self.buffer.host_rdata.val();
        self.buffer.start.next = self.sequencer.vec_start.val();
        self.buffer.op.next = self.sequencer.vec_op.val();
        self.buffer.a.next = self.sequencer.vec_a.val();
        self.buffer.a_step.next = self.sequencer.vec_a_step.val();
        self.buffer.b.next = self.sequencer.vec_b.val();
        self.buffer.b_step.next = self.sequencer.vec_b_step.val();
        self.buffer.d.next = self.sequencer.vec_d.val();
        self.buffer.len_less_1.next = self.sequencer.vec_len_less_1.val();
        for _i in 0..self._no_rows {
            self.buffer.row_valid.next = false;
            for b in 0..self._no_units {
                self.buffer.results[b].next = 0.into();
            }
        }
        for i in 0..self._rows {
            for b in 0..self._units {
                self.buffer.results[b].next = self.bank[b].row_value.val();
                self.row_valid[i].x[b].next = self.bank[b].row_valid.val().into();
            }
            // All banks end a row in the same clock; the first one says so.
            self.unused_row_valid[i].x.next = self.row_valid[i].y.val();
            self.buffer.row_valid.next = self.row_valid[i].y.val().get_bit(0);
        }
        for i in 0..self._attention {
            // A result of attention is that of bank 0; the others add nothing.
            if self.attention[i].value_valid.val() {
                for b in 0..self._units {
                    self.buffer.results[b].next = 0.into();
                }
                self.buffer.results[0].next = self.attention[i].value.val();
                self.buffer.row_valid.next = true;
            }
        }
    }
}

impl Channel {
    /// The channel of a shape.
    ///
    /// # Panics
    /// If the shape contradicts itself; [`ChannelShape::check`] tells how.
    pub fn new(shape: &ChannelShape) -> Self {
        if let Err(faults) = shape.check() {
            panic!("the shape contradicts itself: {}", faults.join("; "));
        }
        let sequencer = Sequencer::new(shape);
        let buffer = BufferUnit::new(shape);
        let banks = shape.banks as usize;
        let attention: Vec<AttentionBanks> = AttentionBanks::new(shape).into_iter().collect();
        let units = if shape.bank.has_unit() { banks } else { 0 };
        let (bytes, planes) = (buffer.byte_we.len(), buffer.plane_we.len());
        let bank_loads = sequencer.vec_bank.len();
        // The field is as wide as the program needs, a bank's number may be wider.
        let load_bank = u(shape.isa.bank_bits.max(index_bits(shape.banks + 1)));
        Channel {
            clock: Signal::default(),
            cmd_valid: Signal::default(),
            cmd: Wire::new(sequencer.cmd.ty()),
            cmd_row: Wire::new(sequencer.cmd_row.ty()),
            cmd_col: Wire::new(sequencer.cmd_col.ty()),
            rd_data: vec![Wire::new(u(shape.beat_bits)); banks * shape.beats as usize],
            wr_data: attention.first().map_or_else(Vec::new, |a| a.wr_data.clone()),
            prog_we: Signal::default(),
            prog_addr: Wire::new(sequencer.prog_addr.ty()),
            prog_data: Wire::new(sequencer.prog_data.ty()),
            arg_we: sequencer.arg_we.clone(),
            arg_addr: sequencer.arg_addr.clone(),
            arg_data: sequencer.arg_data.clone(),
            host_we: Signal::default(),
            host_addr: Wire::new(buffer.host_addr.ty()),
            host_wdata: Wire::new(buffer.host_wdata.ty()),
            host_rdata: Wire::new(buffer.host_rdata.ty()),
            start: Signal::default(),
            busy: Signal::default(),
            done: Signal::default(),
            load_bank: vec![Reg::data(load_bank); bank_loads],
            load_last: vec![Reg::data(load_bank); bank_loads],
            takes_load: vec![Signal::default(); banks * bank_loads],
            row_valid: vec![Join::new(banks, u(1)); units.min(1)],
            unused_row_valid: Unused::above(u(shape.banks), 1).into_iter().take(units).collect(),
            beats: Const::new(shape.beats as usize),
            _units: units,
            _no_units: banks - units,
            _rows: units.min(1),
            _no_rows: 1 - units.min(1),
            _attention: attention.len(),
            _columns: attention.first().map_or(0, |a| a.rd_data.len()),
            _beats: shape.beats as usize,
            _mode: sequencer.mode.len(),
            _blocks: sequencer.block.len(),
            _coats: sequencer.coats_less_1.len(),
            _masked: sequencer.sign_key.len(),
            _bytes: bytes,
            _planes: planes,
            _second: buffer.load_second.len(),
            _bank_loads: bank_loads,
            _bytes_of_all: bytes * (1 - bank_loads),
            _bytes_of_one: bytes * bank_loads,
            _planes_of_all: planes * (1 - bank_loads),
            _planes_of_one: planes * bank_loads,
            sequencer: Inst::new(sequencer),
            bank: (0..units).map(|_| Inst::new(BankUnit::new(shape))).collect(),
            attention: attention.into_iter().map(Inst::new).collect(),
            buffer: Inst::new(buffer),
            _shape: shape.clone(),
        }
    }

    /// Its shape.
    pub fn shape(&self) -> &ChannelShape {
        &self._shape
    }
}

/// Mode numbers and what they mean, for the header.
fn modes(shape: &ChannelShape) -> String {
    let name = |m: &StreamMode| match m {
        StreamMode::Build(i) => format!("build tables of lookup {i}"),
        StreamMode::Lookup(i) => format!("look up {i}"),
        StreamMode::Mask => "mask".into(),
        StreamMode::Blocks => "binary quadratic blocks".into(),
        StreamMode::Mac => "multiply and add".into(),
        StreamMode::Attention(m) => format!("attention: {}", m.name()),
    };
    let modes = shape.bank.modes();
    let list: Vec<String> =
        modes.iter().enumerate().map(|(i, m)| format!("{i} {}", name(m))).collect();
    list.join(", ")
}

impl Unit for Channel {
    fn module(&self) -> String {
        "pimc_channel".into()
    }

    fn contract(&self) -> Contract {
        let shape = &self._shape;
        let column = shape.beats * shape.beat_bits;
        let units = match (shape.bank.has_unit(), &shape.bank.attention) {
            (_, None) => "bank units",
            (true, _) => "bank units and attention units",
            (false, _) => "attention units",
        };
        let (code, write, data, host) = match shape.write_latency {
            None => ("", String::new(), "", ""),
            Some(clocks) => (
                ", 4 write",
                format!(" wr_data_o is taken {clocks} clocks after it shows a write."),
                " wr_data_o likewise.",
                ", arg_*",
            ),
        };
        Contract {
            summary: format!(
                "Channel: a sequencer, {} {units} in lock step and a buffer unit.",
                shape.banks
            ),
            formula: format!(
                "Row r of a matrix lies in bank r mod {}. Stream modes: {}.",
                shape.banks,
                modes(shape)
            ),
            latency: format!(
                "A command issued at program cycle c is on the command port c clocks after the \
                 program's first refresh. rd_data_i is sampled {} clocks after cmd_valid_o shows a \
                 read.{write} host_rdata_o is the word at host_addr_i one clock earlier.",
                shape.read_latency
            ),
            throughput: format!("A column of {column} bits per bank in {} clocks.", shape.beats),
            layout: format!(
                "cmd_o: 0 activate, 1 read, 2 precharge, 3 refresh{code}. rd_data_i: column of bank \
                 b at bits {column}*b +: {column}.{data}"
            ),
            preconditions: format!("prog_*{host} and host_* are used while busy_o is low."),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("cmd_valid", "DRAM command, to every bank"),
            ("rd_data", "DRAM read data"),
            ("wr_data", "DRAM written data"),
            ("prog_we", "host: program memory"),
            ("arg_we", "host: argument memory"),
            ("host_we", "host: vector memory"),
            ("start", "host: run"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

/// The SystemVerilog of a channel: `pimc_channel` last, behind the modules it needs.
///
/// # Panics
/// If the shape contradicts itself; [`ChannelShape::check`] tells how.
pub fn emit_channel(shape: &ChannelShape, provenance: &Provenance) -> Vec<SvFile> {
    emit(&Inst::new(Channel::new(shape)), provenance)
}
