//! What a stream's columns mean, counted at the read and delayed to the data.

use crate::attention::PROB_AHEAD;
use crate::hdl::prelude::*;
use crate::shape::{choice_bits, index_bits, ChannelShape, StreamMode};
use crate::timing::SEED_CLOCKS;

/// Holds the operands of `Stream`, counts the columns of a matrix row, and delays the control of a
/// column to the clock of its data. Optional ports are `Vec`s of none or one.
#[derive(LogicBlock, Default)]
pub struct ColumnControl {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// A stream begins.
    pub stream: Signal<In, Bit>,
    /// Its operands.
    pub operands: Wire<In>,
    /// A column is read.
    pub read: Signal<In, Bit>,

    /// The stream begins; one clock after `stream`.
    pub stream_start: Signal<Out, Bit>,
    /// Its mode; only when there are two or more.
    pub mode: Vec<Wire<Out>>,
    /// Fields of its blocks, in the order of [`crate::isa::Block`]; only when blocks are built.
    pub block: Vec<Wire<Out>>,
    /// Coats less 1; only when there may be two or more.
    pub coats_less_1: Vec<Wire<Out>>,
    /// Key of the sign generator.
    pub sign_key: Vec<Wire<Out>>,
    /// Seeds the sign generator.
    pub sign_start: Vec<Signal<Out, Bit>>,
    /// The data of a column are there in [`PROB_AHEAD`] clocks; only with attention units.
    pub col_soon: Vec<Signal<Out, Bit>>,
    /// The data of a column are there.
    pub col_valid: Signal<Out, Bit>,
    /// It is the first of its matrix row.
    pub col_first: Signal<Out, Bit>,
    /// It is the last of its matrix row.
    pub col_last: Signal<Out, Bit>,
    /// Beats of it that are used, less 1.
    pub col_beats: Wire<Out>,

    started: Flop<Bit>,
    stream_mode: Vec<Reg>,
    operand_columns: Wire<Local>,
    operand_beats: Wire<Local>,
    columns_less_1: Reg,
    tail_beats_less_1: Reg,
    held_block: Vec<Reg>,
    coats: Vec<Reg>,
    key: Vec<Reg>,
    column: Reg,
    first: Signal<Local, Bit>,
    last: Signal<Local, Bit>,
    reads: Reg,
    firsts: Reg,
    lasts: Reg,
    mode_mask: Const,
    whole_column: Const,
    columns_at: Const,
    beats_at: Const,
    coats_at: Const,
    key_at: Const,
    block_at: Const,
    data_at: Const,
    soon_at: Const,
    seed_at: Const,
    _mode: usize,
    _blocks: usize,
    _coats: usize,
    _masked: usize,
    _masked_of_many: usize,
    _soon: usize,
    _mode_bits: u32,
    _columns_bits: u32,
    _beats_bits: u32,
    _block_bits: u32,
    _coats_bits: u32,
    _read_latency: u32,
}

impl Logic for ColumnControl {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(
            self,
            clock,
            started,
            columns_less_1,
            tail_beats_less_1,
            column,
            reads,
            firsts,
            lasts
        );
        for i in 0..self._mode {
            self.stream_mode[i].clock.next = self.clock.val();
            self.stream_mode[i].d.next = self.stream_mode[i].q.val();
        }
        for i in 0..self._blocks {
            self.held_block[i].clock.next = self.clock.val();
            self.held_block[i].d.next = self.held_block[i].q.val();
        }
        for i in 0..self._coats {
            self.coats[i].clock.next = self.clock.val();
            self.coats[i].d.next = self.coats[i].q.val();
        }
        for i in 0..self._masked {
            self.key[i].clock.next = self.clock.val();
            self.key[i].d.next = self.key[i].q.val();
        }

        comment!("---- operands of the stream ----");
        self.started.d.next = self.stream.val();
        self.operand_columns.next =
            bit_cast(self.operands.val() >> self.columns_at.val(), self._columns_bits);
        self.operand_beats.next =
            bit_cast(self.operands.val() >> self.beats_at.val(), self._beats_bits);
        if self.stream.val() {
            self.columns_less_1.d.next = self.operand_columns.val();
            self.tail_beats_less_1.d.next = self.operand_beats.val();
        }
        for i in 0..self._mode {
            if self.stream.val() {
                self.stream_mode[i].d.next = bit_cast(self.operands.val(), self._mode_bits);
            }
            self.mode[i].next = self.stream_mode[i].q.val();
        }
        for i in 0..self._blocks {
            if self.stream.val() {
                self.held_block[i].d.next =
                    bit_cast(self.operands.val() >> self.block_at.val(), self._block_bits);
            }
            self.block[i].next = self.held_block[i].q.val();
        }
        for i in 0..self._coats {
            if self.stream.val() {
                self.coats[i].d.next =
                    bit_cast(self.operands.val() >> self.coats_at.val(), self._coats_bits);
            }
            self.coats_less_1[i].next = self.coats[i].q.val();
        }
        for i in 0..self._masked {
            if self.stream.val() {
                self.key[i].d.next = bit_cast(self.operands.val() >> self.key_at.val(), 32);
            }
            self.sign_key[i].next = self.key[i].q.val();
        }
        self.stream_start.next = self.started.q.val();

        comment!("---- columns of a matrix row ----");
        self.first.next = self.column.q.val() == 0;
        self.last.next = self.column.q.val() == self.columns_less_1.q.val();
        if self.read.val() {
            self.column.d.next = self.column.q.val() + 1.into();
            if self.last.val() {
                self.column.d.next = 0.into();
            }
        }
        if self.stream.val() {
            self.column.d.next = 0.into();
        }

        comment!("---- delay to the data: bit n is n clocks behind the command ----");
        self.reads.d.next = self.reads.q.val() << 1;
        self.firsts.d.next = self.firsts.q.val() << 1;
        self.lasts.d.next = self.lasts.q.val() << 1;
        if self.read.val() {
            self.reads.d.next = (self.reads.q.val() << 1) | 1.into();
            if self.first.val() {
                self.firsts.d.next = (self.firsts.q.val() << 1) | 1.into();
            }
            if self.last.val() {
                self.lasts.d.next = (self.lasts.q.val() << 1) | 1.into();
            }
        }
        for i in 0..self._soon {
            self.col_soon[i].next = self.reads.q.val().get_bit(self.soon_at.val());
        }
        self.col_valid.next = self.reads.q.val().get_bit(self.data_at.val());
        self.col_first.next = self.firsts.q.val().get_bit(self.data_at.val());
        self.col_last.next = self.lasts.q.val().get_bit(self.data_at.val());
        self.col_beats.next = self.whole_column.val().into();
        if self.lasts.q.val().get_bit(self.data_at.val()) {
            self.col_beats.next = self.tail_beats_less_1.q.val();
        }

        comment!("---- the sign generator starts ahead of a row's first column ----");
        for i in 0..self._masked {
            self.sign_start[i].next = self.firsts.q.val().get_bit(self.seed_at.val());
        }
        for i in 0..self._masked_of_many {
            if self.stream_mode[i].q.val() != self.mode_mask.val() {
                self.sign_start[i].next = false;
            }
        }
    }
}

impl ColumnControl {
    /// The column control of a channel.
    pub fn new(shape: &ChannelShape) -> Self {
        let isa = &shape.isa;
        let modes = shape.bank.modes();
        let mask = modes.iter().position(|m| *m == StreamMode::Mask);
        let masked = mask.iter().len();
        let coats = shape.bank.gated.and_then(|g| g.generated_signs).filter(|_| masked > 0);
        let coats_bits = coats.map_or(0, choice_bits);
        let (blocks, block) = (shape.bank.blocks.iter().len(), u(5 * isa.block_bits));
        let soon = shape.bank.attention.iter().len();
        let mode_bits = choice_bits(modes.len() as u32);
        let fields = isa.stream_fields();
        let end = fields.last().map_or(0, |f| f.at + f.bits);
        let at =
            |i: usize| Const::new(fields.get(i).map_or(0, |f| f.at - isa.operands_at()) as usize);
        let some = |bits: u32| (bits > 0) as usize;
        let pipe = Reg::new(u(shape.read_latency + 1));
        ColumnControl {
            operands: Wire::new(u(end - isa.operands_at())),
            mode: vec![Wire::new(u(mode_bits)); some(mode_bits)],
            block: vec![Wire::new(block); blocks],
            coats_less_1: vec![Wire::new(u(coats_bits)); some(coats_bits)],
            sign_key: vec![Wire::new(u(32)); masked],
            sign_start: vec![Signal::default(); masked],
            col_soon: vec![Signal::default(); soon],
            col_beats: Wire::new(u(index_bits(shape.beats))),
            stream_mode: vec![Reg::new(u(mode_bits)); some(mode_bits)],
            operand_columns: Wire::new(u(isa.columns_bits)),
            operand_beats: Wire::new(u(isa.beats_bits)),
            columns_less_1: Reg::new(u(isa.columns_bits)),
            tail_beats_less_1: Reg::new(u(index_bits(shape.beats))),
            held_block: vec![Reg::new(block); blocks],
            coats: vec![Reg::new(u(coats_bits)); some(coats_bits)],
            key: vec![Reg::new(u(32)); masked],
            column: Reg::new(u(isa.columns_bits)),
            reads: pipe.clone(),
            firsts: pipe.clone(),
            lasts: pipe,
            mode_mask: Const::named(mode_bits.max(1), mask.unwrap_or(0)),
            whole_column: Const::new(shape.beats as usize - 1),
            columns_at: at(1),
            beats_at: at(2),
            coats_at: at(3),
            key_at: at(4),
            block_at: at(5),
            data_at: Const::new(shape.read_latency as usize),
            soon_at: Const::new(shape.read_latency.saturating_sub(PROB_AHEAD) as usize),
            seed_at: Const::new(shape.read_latency.saturating_sub(SEED_CLOCKS) as usize),
            _mode: some(mode_bits),
            _blocks: blocks,
            _coats: some(coats_bits),
            _masked: masked,
            _soon: soon,
            _masked_of_many: masked * some(mode_bits),
            _mode_bits: mode_bits,
            _columns_bits: isa.columns_bits,
            _beats_bits: isa.beats_bits,
            _block_bits: block.width,
            _coats_bits: coats_bits,
            _read_latency: shape.read_latency,
            ..ColumnControl::default()
        }
    }
}

impl Unit for ColumnControl {
    fn module(&self) -> String {
        "pimc_column_control".into()
    }

    fn contract(&self) -> Contract {
        let latency = self._read_latency;
        let seed = match self._masked {
            0 => String::new(),
            _ => format!(" sign_start_o comes {SEED_CLOCKS} clocks before a row's first column."),
        };
        let soon = match self._soon {
            0 => String::new(),
            _ => format!(" col_soon_o comes {PROB_AHEAD} clocks before col_valid_o."),
        };
        Contract {
            summary: "Column control: what a stream's columns mean, at the clock of their data."
                .into(),
            formula:
                "col_first_o and col_last_o mark the first and the last column of a matrix row; \
                      the last has its tail's beats, every other one all of them."
                    .into(),
            latency: format!(
                "1 clock from stream_i to the stream's operands; {} clocks from read_i, which is \
                 {latency} from the command on the port, to col_valid_o.{seed}{soon}",
                latency + 1
            ),
            throughput: "One column per clock.".into(),
            preconditions:
                "A stream begins when the columns of the one before have met their data.".into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("stream", "from the program"), ("stream_start", "to the bank units")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
