//! The shape of the hardware from the proof, and whether it fits the target.

use super::{lookup_blocks, lookup_lanes};
use super::{Content, Mapping, TaskKind, Word};
use crate::area::Area;
use crate::diag::error;
use crate::plan::Refused;
use crate::ranges::{signed_bits, BlockProof, Proof};
use crate::remedy::Need;
use crate::target::Target;
use pimc_ir::{softmax_tables, Code, Diagnostics, Model, Op, OpKind, ValueId, WeightType};
use pimc_rtl::attention::MergeShape;
use pimc_rtl::isa::{Block, IsaShape, VecOp};
use pimc_rtl::shape::{
    BankShape, BlockShape, BufferShape, ChannelShape, GatedShape, LookupShape, MacShape,
    RequantShape,
};
use pimc_rtl::softmax_log::LOG_BITS;

/// Reports what of a model does not fit its target.
pub(crate) struct Fit<'a> {
    pub(crate) model: &'a Model,
    pub(crate) target: &'a Target,
    pub(crate) found: Diagnostics,
    needs: Vec<Need>,
}

/// A budget of a target: what it is, its unit, and the value of the target that gives more of it.
pub(crate) struct Memory {
    what: &'static str,
    unit: &'static str,
    section: &'static str,
    key: &'static str,
}

const fn memory(
    what: &'static str,
    unit: &'static str,
    section: &'static str,
    key: &'static str,
) -> Memory {
    Memory { what, unit, section, key }
}

pub(crate) const ROWS: Memory = memory("rows of a bank", "rows", "stack", "channels");
pub(crate) const TABLES: Memory =
    memory("lookup tables of a bank unit", "bytes", "unit", "table_bytes");
const INPUTS: Memory = memory("input memories of a bank unit", "bytes", "unit", "input_bytes");
pub(crate) const VECTORS: Memory =
    memory("vector memory of the buffer unit", "bytes", "buffer", "vector_bytes");
pub(crate) const AREA: Memory = memory("area of a bank unit", "gate equivalents", "unit", "gates");
pub(crate) const PROGRAM: Memory = memory("program memory", "words", "sequencer", "program_words");

impl<'a> Fit<'a> {
    pub(crate) fn new(model: &'a Model, target: &'a Target) -> Fit<'a> {
        let found = Diagnostics::new(model.file_name.clone(), model.source.clone());
        Fit { model, target, found, needs: Vec::new() }
    }

    /// What was found, and the budgets that are too small, if nothing else is wrong.
    pub(crate) fn refused(self) -> Refused {
        let other = self.found.list().iter().any(|d| d.code != Code::P0606);
        Refused { needs: if other { Vec::new() } else { self.needs }, found: self.found }
    }

    /// Reports a memory of `have` that must hold `need`, at an op.
    pub(crate) fn memory(&mut self, op: usize, memory: Memory, need: u128, have: u128) {
        if need <= have {
            return;
        }
        let Memory { what, unit, section, key } = memory;
        self.needs.push(Need { section, key, need });
        let name = &self.target.name;
        self.report(
            op,
            Code::P0606,
            format!("the model does not fit target `{name}`: {what}"),
            format!("needs {need} {unit}, there are {have}"),
            "use a smaller layer or format, or a target with more of it",
        );
    }

    /// Reports what the units cannot be built for.
    pub(crate) fn units(&mut self, shape: &ChannelShape) {
        for fault in shape.check().err().unwrap_or_default() {
            self.report(
                0,
                Code::P0607,
                format!("no channel is built where this does not hold: {fault}"),
                "of this function".into(),
                "change the sizes or the target that the message names",
            );
        }
    }

    /// Reports something at an op.
    pub(crate) fn report(
        &mut self,
        op: usize,
        code: Code,
        message: String,
        label: String,
        help: &str,
    ) {
        let mut d = error(code, message).help(help);
        if let Some(op) = self.model.module.func.ops.get(op) {
            d = d.at(&op.span, label);
        } else {
            d = d.at(&self.model.module.func.span, label);
        }
        self.found.push(d);
    }

    /// What can be told before mapping, so that mapping cannot run out of the machine's own memory.
    pub(crate) fn types(&mut self) {
        let func = &self.model.module.func;
        let mut tasks = 0u128;
        for (i, op) in func.ops.iter().enumerate() {
            if let OpKind::Merge { a, dim, .. } = op.kind {
                tasks += 8 * (func.values[a.0].ty.len / (dim + 1)) as u128;
                continue;
            }
            let OpKind::Matvec { weight, .. } = op.kind else {
                tasks += 8;
                continue;
            };
            let weight = &self.model.module.weights[weight.0];
            match weight.ty {
                WeightType::Pq { sub, .. } if sub > 8 => {
                    let mut d = error(
                        Code::P0607,
                        format!("no unit is built for sub-vectors of {sub} inputs"),
                    )
                    .at(&op.span, "this needs at most 8");
                    d = d.also(&weight.span, format!("sub={sub}"));
                    let help =
                        format!("quantize @{} again with sub of 8 or less", weight.name.text);
                    self.found.push(d.help(help));
                }
                WeightType::Pq { sub, k, .. } => {
                    let lookup = lookup_lanes(k, sub, self.target.beat_bits);
                    // Cut into pieces as small as can be, a bank has a block of tables.
                    let entries = k as u128 * u128::from(lookup.lanes);
                    let have = u128::from(self.target.table_bytes);
                    // An entry has at least a bit; the exact width is checked after the proof.
                    self.memory(i, TABLES, entries / 8, have);
                }
                WeightType::Bqq { cols, bases, block_cols, .. } => {
                    tasks += (cols / block_cols * bases) as u128;
                }
                WeightType::Int { cols, group: Some(size), .. } => {
                    tasks += 4 * (cols / size) as u128;
                }
                _ => {}
            }
        }
        let last = func.ops.len().saturating_sub(1);
        let have = u128::from(self.target.program_words);
        // A task takes at least a word; requants may take eight.
        self.memory(last, PROGRAM, tasks / 8, have);
    }

    /// What the mapping needs of the DRAM and of vector memory, before words are proven.
    pub(crate) fn mapping(&mut self, mapping: &Mapping) {
        let last = self.model.module.func.ops.len().saturating_sub(1);
        let rows = u128::from(self.target.rows);
        self.memory(last, ROWS, mapping.dram_rows.into(), rows);
        let bytes = u128::from(self.target.vector_bytes);
        // A word has at least a bit.
        let need = u128::from(mapping.depth) / 8;
        self.memory(last, VECTORS, need, bytes);
    }

    /// What the hardware needs, once widths are known.
    pub(crate) fn hardware(&mut self, shape: &ChannelShape, proof: &Proof) {
        let bytes = |bits: u128| bits.div_ceil(8);
        let last = self.model.module.func.ops.len().saturating_sub(1);
        let table_bits: u128 = shape.bank.lookups.iter().map(lookup_bits).sum();
        let largest = shape.bank.lookups.iter().max_by_key(|l| lookup_bits(l));
        if let Some(l) = largest {
            let at = proof.lookups.get(&(l.k as usize, l.sub as usize)).map_or(last, |e| e.0.op);
            let have = self.target.table_bytes.into();
            self.memory(at, TABLES, bytes(table_bits), have);
        }
        let planes = shape.bank.gated.map_or(0, |g| {
            u128::from(g.planes) * u128::from(g.groups) * u128::from(shape.beat_bits)
        });
        let input_bits = u128::from(shape.bank.byte_words) * u128::from(shape.load_bits()) + planes;
        let have = self.target.input_bytes.into();
        self.memory(last, INPUTS, bytes(input_bits), have);
        let vector_bits = u128::from(shape.buffer.depth) * u128::from(shape.buffer.word_bits);
        let have = self.target.vector_bytes.into();
        self.memory(last, VECTORS, bytes(vector_bits), have);
        if let Some(have) = self.target.unit_gates {
            self.memory(last, AREA, Area::of(shape).bank.into(), have.into());
        }
        for (extent, what) in [
            (&proof.word, "a word of vector memory"),
            (&proof.gated, "the accumulator of the gated adder tree"),
            (&proof.mac, "the accumulator of the multiply-add row"),
            (&proof.planes, "an input of the gated adder tree"),
        ] {
            if extent.bits() > 64 {
                let (lo, hi) = extent.range;
                self.report(
                    extent.op,
                    Code::P0608,
                    format!("{what} would need {} bits", extent.bits()),
                    format!("proven range {lo} .. {hi}; a word has at most 64 bits"),
                    "requantize the op's input to fewer bits",
                );
            }
        }
    }
}

fn lookup_bits(l: &LookupShape) -> u128 {
    u128::from(l.lanes) * u128::from(l.blocks) * u128::from(l.k) * u128::from(l.entry_bits)
}

/// The hardware of a mapping. The field widths of the program word are left at 0: they follow from
/// the program, whose delays follow from this.
pub(crate) fn shape(
    model: &Model,
    target: &Target,
    mapping: &Mapping,
    proof: &Proof,
) -> ChannelShape {
    let mut bank = BankShape {
        lookups: Vec::new(),
        gated: None,
        blocks: None,
        mac: None,
        attention: None,
        byte_words: 0,
        result_bits: 1,
    };
    let mut blocks: Option<Block> = None;
    let mut coats = None;
    for place in &mapping.streams {
        let ty = model.module.weights[place.weight.0].ty;
        match (ty, place.content) {
            (WeightType::Pq { sub, k, .. }, _) => {
                let mut l = lookup_lanes(k, sub, target.beat_bits);
                let blocks = lookup_blocks(&l, place.inputs as usize) as u32;
                bank.byte_words = bank.byte_words.max(blocks * l.chunks());
                let extents = proof.lookups.get(&(k, sub));
                l.blocks = blocks;
                l.entry_bits = extents.map_or(1, |e| e.0.bits());
                l.acc_bits = extents.map_or(1, |e| e.1.bits());
                match bank.lookups.iter_mut().find(|o| (o.k, o.sub) == (l.k, l.sub)) {
                    Some(other) => other.blocks = other.blocks.max(blocks),
                    None => bank.lookups.push(l),
                }
            }
            (WeightType::Int { .. }, _) => {
                bank.byte_words = bank.byte_words.max(place.inputs.div_ceil(target.beat_bits / 8));
            }
            (WeightType::Bqq { .. }, _) => {
                let most = blocks.get_or_insert(place.block);
                most.x_beats_less_1 = most.x_beats_less_1.max(place.block.x_beats_less_1);
                most.inner_less_1 = most.inner_less_1.max(place.block.inner_less_1);
            }
            (WeightType::Supermask { .. }, _) => coats = coats.max(Some(place.coats)),
        }
    }
    if let (Some(most), Some(p)) = (blocks, &proof.blocks) {
        bank.blocks = Some(block_shape(p, most, proof.planes.bits()));
    }
    if blocks.is_some() || coats.is_some() {
        bank.gated = Some(GatedShape {
            planes: proof.planes.bits(),
            groups: groups(mapping, target.beat_bits),
            acc_bits: proof.gated.bits(),
            generated_signs: coats,
        });
    }
    if mapping.streams.iter().any(|s| matches!(s.content, Content::Int { .. })) {
        bank.mac = Some(MacShape { acc_bits: proof.mac.bits() });
    }
    // A function without a matvec still runs on a channel, and a channel's banks have a data path:
    // the smallest one, with what feeds it and takes its results.
    let idle = bank.modes().is_empty();
    if idle {
        bank.mac = Some(MacShape { acc_bits: 16 });
        bank.byte_words = 1;
    }
    let accumulators = bank.lookups.iter().map(|l| l.acc_bits);
    let accumulators = accumulators.chain(bank.gated.map(|g| g.acc_bits));
    let accumulators = accumulators.chain(bank.blocks.map(|b| b.result_bits));
    bank.result_bits = accumulators.chain(bank.mac.map(|m| m.acc_bits)).max().unwrap_or(1);
    let ops: Vec<VecOp> = VecOp::ALL
        .into_iter()
        .filter(|op| uses(mapping, *op) || idle && matches!(op, VecOp::Collect | VecOp::LoadBytes))
        .collect();
    let multiplies = ops.contains(&VecOp::Mul);
    let requant = requantiser(mapping, proof);
    let requant_bits = requant.map_or(0, |r| r.constant_bits().max(r.out_bits));
    let mul_bits = if multiplies { proof.factor.bits() } else { 0 };
    let merge = merge_shape(model);
    let merge_bits = if merge.is_some() { LOG_BITS } else { 0 };
    let word_bits = signed_bits(proof.word.range).max(requant_bits).max(mul_bits).max(merge_bits);
    let buffer = BufferShape {
        // Results and factors pass through words, so none is wider.
        word_bits: word_bits.max(bank.result_bits),
        depth: u32::try_from(mapping.depth).unwrap_or(u32::MAX),
        requant,
        merge,
        ops,
        mul_bits,
    };
    channel(target, bank, buffer)
}

/// A channel of a target with these units, whose banks are only read. The field widths of the program
/// word are left at 0.
pub(crate) fn channel(target: &Target, bank: BankShape, buffer: BufferShape) -> ChannelShape {
    ChannelShape {
        banks: target.units(),
        beats: target.beats(),
        beat_bits: target.beat_bits,
        read_latency: target.timing.cl,
        write_latency: None,
        dram_rows: target.rows,
        dram_cols: target.columns,
        refi: target.timing.refi,
        rfc: target.timing.rfc,
        isa: IsaShape::smallest(&[], &bank, target.beats(), 2),
        program_depth: 0,
        arg_words: 0,
        // Every lane of vector memory has two words at least.
        buffer: BufferShape { depth: buffer.depth.max(2 * target.units()), ..buffer },
        bank,
    }
}

/// The unit of the binary quadratic blocks, for at most `most` of each dimension.
fn block_shape(p: &BlockProof, most: Block, x_bits: u32) -> BlockShape {
    let [r, t, s2, u] = p.scalars;
    let mut shape = BlockShape {
        x_bits,
        t_bits: p.t.bits(),
        inner: most.inner_less_1 + 1,
        x_beats: most.x_beats_less_1 + 1,
        x_sum_bits: p.x_sum.bits(),
        t_sum_bits: p.t_sum.bits(),
        constant_bits: p.constant.bits(),
        ones_factor_bits: p.ones_factor.bits(),
        row_bits: p.row.bits(),
        r_bits: r.bits(),
        t_factor_bits: t.bits(),
        s_bits: s2.bits(),
        u_bits: u.bits(),
        result_bits: p.result.bits(),
    };
    if p.result.range == (0, 0) {
        // Nothing but zeros: as wide as the operands, so that no bit of a product is left over.
        shape.ones_factor_bits = shape.s_bits + shape.x_sum_bits;
        shape.constant_bits =
            (shape.t_factor_bits + shape.t_sum_bits).max(shape.u_bits + shape.x_sum_bits);
        let ones = shape.ones_bits() + 1;
        shape.result_bits = (shape.r_bits + shape.row_bits)
            .max(shape.ones_factor_bits + ones)
            .max(shape.constant_bits);
    }
    shape
}

/// A table of the softmax, as shapes have it.
pub(crate) fn softmax_table(table: &[i64; 65]) -> Vec<u32> {
    table.iter().map(|&x| x as u32).collect()
}

/// The narrowest merge unit that does every merge of a model, if there is one.
pub(crate) fn merge_shape(model: &Model) -> Option<MergeShape> {
    let means = |x: ValueId, dim: usize| {
        let means = model.range(x).chunks(dim + 1).flat_map(move |row| &row[..dim]);
        means.map(|r| signed_bits((r.0.into(), r.1.into()))).max().unwrap_or(1)
    };
    let bits = |op: &Op| match op.kind {
        OpKind::Merge { a, b, dim, .. } => Some(means(a, dim).max(means(b, dim))),
        _ => None,
    };
    let mean_bits = model.module.func.ops.iter().filter_map(bits).max()?;
    Some(MergeShape {
        mean_bits,
        exp_table: softmax_table(&softmax_tables::EXP),
        reciprocal_table: softmax_table(&softmax_tables::REC),
        log_table: softmax_table(&softmax_tables::LOG),
    })
}

/// The narrowest requantiser that does every requant of a model.
fn requantiser(mapping: &Mapping, proof: &Proof) -> Option<RequantShape> {
    let all = || {
        mapping.constants.iter().filter_map(|(_, word)| match *word {
            Word::Requant { mul, shift, bits } => Some((mul, shift, bits)),
            Word::Int(_) => None,
        })
    };
    let unsigned = |n: u32| 32 - n.leading_zeros();
    let out_bits = all().map(|r| r.2).max()?;
    Some(RequantShape {
        in_bits: proof.requant.bits(),
        mul_bits: all().map(|r| signed_bits((r.0.into(), r.0.into()))).max().unwrap_or(1),
        shift_bits: all().map(|r| unsigned(r.1)).max().unwrap_or(1).max(1),
        out_bits,
        narrow_bits: all().map(|r| unsigned(out_bits - r.2)).max().unwrap_or(0),
    })
}

/// The words of the constants, as vector memory holds them.
pub(crate) fn constant_words(mapping: &Mapping, buffer: &BufferShape) -> Vec<(u32, i64)> {
    let word = |word: Word| match (word, buffer.requant) {
        (Word::Int(n), _) => n,
        (Word::Requant { mul, shift, bits }, Some(fields)) => {
            // The fields are made to hold every constant.
            fields.constant(mul, shift, bits, buffer.word_bits).unwrap_or(0)
        }
        (Word::Requant { .. }, None) => 0,
    };
    mapping.constants.iter().map(|&(addr, w)| (addr, word(w))).collect()
}

fn uses(mapping: &Mapping, op: VecOp) -> bool {
    mapping.tasks.iter().any(|t| matches!(&t.kind, TaskKind::Vec { vector, .. } if vector.op == op))
}

/// Most groups of inputs that are loaded as bit planes.
fn groups(mapping: &Mapping, beat_bits: u32) -> u32 {
    let end = |t: &super::Task| match &t.kind {
        TaskKind::Vec { vector, .. } if vector.op == VecOp::LoadPlanes => {
            vector.d + vector.len.div_ceil(beat_bits)
        }
        _ => 0,
    };
    mapping.tasks.iter().map(end).max().unwrap_or(0).max(1)
}
