//! The buffer unit: one vector operation.

use super::bank::BankUnit;
use super::{fits, At, Event, Machine, Sink};
use pimc_rtl::isa::{VecOp, Vector};

/// (x*mul + 2^(shift-1)) >> shift, clamped to `bits`.
fn requant(x: i64, mul: i64, shift: u32, bits: u32) -> i128 {
    let product = i128::from(x) * i128::from(mul);
    let rounded = if shift == 0 { product } else { (product + (1i128 << (shift - 1))) >> shift };
    let top = (1i128 << (bits.max(1) - 1)) - 1;
    rounded.clamp(-top - 1, top)
}

impl Machine<'_> {
    /// Executes a vector operation, element by element.
    pub(super) fn vector(&mut self, v: &Vector, at: At, sink: &mut dyn Sink) -> Result<(), String> {
        self.built(v.op)?;
        if v.len == 0 || v.a_step > 1 || v.b_step > 1 {
            return Err("a vector operation of length 0 or a step above 1".into());
        }
        overlap(v)?;
        match v.op {
            VecOp::LoadBytes => return self.load_bytes(v),
            VecOp::LoadPlanes => return self.load_planes(v),
            VecOp::Argmax => {
                let mut best = (0, self.word(v.a, 0)?);
                for i in 1..v.len {
                    let x = self.word(v.a, i * v.a_step)?;
                    if x > best.1 {
                        best = (i, x);
                    }
                }
                return self.write(v.d, best.0.into(), at, sink);
            }
            VecOp::Sum => {
                let mut sum = 0i128;
                for i in 0..v.len {
                    sum += i128::from(self.word(v.a, i * v.a_step)?);
                    self.in_word(sum)?;
                }
                return self.write(v.d, sum, at, sink);
            }
            VecOp::Merge => {
                for (i, word) in self.merge(v)?.into_iter().enumerate() {
                    self.write(v.d.saturating_add(i as u32), word, at, sink)?;
                }
                return Ok(());
            }
            _ => {}
        }
        for i in 0..v.len {
            let a = |m: &Self| m.word(v.a, i * v.a_step);
            let b = |m: &Self| m.word(v.b, i * v.b_step);
            let word = match v.op {
                VecOp::Add => i128::from(a(self)?) + i128::from(b(self)?),
                VecOp::Mul => self.product(a(self)?, b(self)?)?,
                VecOp::Relu => a(self)?.max(0).into(),
                VecOp::Requant => self.requant(a(self)?, b(self)?)?,
                VecOp::Table => {
                    let offset = a(self)?.checked_add(128).and_then(|x| u32::try_from(x).ok());
                    let offset = offset.ok_or("a table input below -128")?;
                    if offset > 255 {
                        return Err("a table input above 127".into());
                    }
                    self.word(v.b, offset)?.into()
                }
                // Copy; the others have returned.
                _ => a(self)?.into(),
            };
            self.write(v.d.saturating_add(i), word, at, sink)?;
        }
        Ok(())
    }

    /// Whether an operation is built.
    pub(super) fn built(&self, op: VecOp) -> Result<(), String> {
        if self.shape.buffer.ops.contains(&op) {
            return Ok(());
        }
        Err(format!("operation {op:?} is not built"))
    }

    pub(super) fn word(&self, base: u32, offset: u32) -> Result<i64, String> {
        let addr = base.saturating_add(offset);
        let word = self.memory.get(addr as usize).copied();
        word.ok_or_else(|| format!("address {addr} is past the end of vector memory"))
    }

    pub(super) fn in_word(&self, x: i128) -> Result<(), String> {
        let bits = self.shape.buffer.word_bits;
        if fits(x, bits) {
            return Ok(());
        }
        Err(format!("{x} is wider than a word of {bits} bits"))
    }

    pub(super) fn write(
        &mut self,
        addr: u32,
        x: i128,
        at: At,
        sink: &mut dyn Sink,
    ) -> Result<(), String> {
        self.in_word(x)?;
        let data = x as i64;
        let slot = self.memory.get_mut(addr as usize);
        *slot.ok_or_else(|| format!("address {addr} is past the end of vector memory"))? = data;
        sink.event(&Event::Write { at, addr, data });
        Ok(())
    }

    fn product(&self, a: i64, b: i64) -> Result<i128, String> {
        let bits = self.shape.buffer.mul_bits;
        for x in [a, b] {
            if !fits(x.into(), bits) {
                return Err(format!("factor {x} is wider than {bits} bits"));
            }
        }
        Ok(i128::from(a) * i128::from(b))
    }

    fn requant(&self, x: i64, word: i64) -> Result<i128, String> {
        let fields = self.shape.buffer.requant.ok_or("no requantiser is built")?;
        if !fits(x.into(), fields.in_bits) {
            return Err(format!("{x} is wider than a requantiser's {} bits", fields.in_bits));
        }
        let field = |at: u32, bits: u32| {
            if bits == 0 || at > 63 {
                return 0;
            }
            ((word as u64 >> at) & (u64::MAX >> (64 - bits.min(64)))) as u32
        };
        let cut = 64 - fields.mul_bits.clamp(1, 64);
        let mul = word << cut >> cut;
        let shift = field(fields.mul_bits, fields.shift_bits);
        let narrow = field(fields.mul_bits + fields.shift_bits, fields.narrow_bits);
        if shift > 62 || narrow >= fields.out_bits {
            return Err(format!("requantiser constants with shift {shift}, narrower by {narrow}"));
        }
        Ok(requant(x, mul, shift, fields.out_bits - narrow))
    }

    fn load_bytes(&mut self, v: &Vector) -> Result<(), String> {
        let (in_word, in_block) = (v.d as usize, v.b as usize);
        let most = self.shape.load_bits() as usize / 8;
        if !(1..=most).contains(&in_word) || in_block == 0 || in_block % in_word != 0 {
            return Err(format!("words of {in_word} bytes in blocks of {in_block}"));
        }
        if self.attention.is_some() {
            return self.load_queries(v);
        }
        let (mut word, mut at, mut block) = (0, 0, 0);
        for i in 0..v.len.next_multiple_of(v.b) {
            let x = if i < v.len { self.word(v.a, i * v.a_step)? } else { 0 };
            let byte = i8::try_from(x).map_err(|_| format!("input {x} is wider than a byte"))?;
            for unit in taking(&mut self.units, v)? {
                unit.load_byte(word, at, byte)?;
            }
            at += 1;
            block += 1;
            if at == in_word || block == in_block {
                word += 1;
                at = 0;
                block %= in_block;
            }
        }
        Ok(())
    }

    /// A load to attention units: whole words, which the units share out among themselves.
    fn load_queries(&mut self, v: &Vector) -> Result<(), String> {
        let mut bytes = Vec::with_capacity(v.len as usize);
        for i in 0..v.len {
            let x = self.word(v.a, i * v.a_step)?;
            bytes.push(i8::try_from(x).map_err(|_| format!("input {x} is wider than a byte"))?);
        }
        let units = self.attention.as_mut().ok_or("there are no attention units")?;
        let words = bytes.chunks(v.d as usize);
        (0..).zip(words).try_for_each(|(word, bytes)| units.load(word, bytes))
    }

    fn load_planes(&mut self, v: &Vector) -> Result<(), String> {
        let gated = self.shape.bank.gated.ok_or("no plane memory is built")?;
        let group = self.shape.beat_bits;
        for i in 0..v.len.next_multiple_of(group) {
            let x = if i < v.len { self.word(v.a, i * v.a_step)? } else { 0 };
            if !fits(x.into(), gated.planes) {
                return Err(format!("input {x} is wider than {} planes", gated.planes));
            }
            for unit in taking(&mut self.units, v)? {
                unit.load_plane((v.d * group + i) as usize, x)?;
            }
        }
        Ok(())
    }
}

/// The bank units that a load goes to.
fn taking<'u>(units: &'u mut [BankUnit], v: &Vector) -> Result<&'u mut [BankUnit], String> {
    match v.bank.checked_sub(1) {
        None => Ok(units),
        Some(bank) => {
            let (bank, end) = (bank as usize, v.last as usize);
            units.get_mut(bank..end).ok_or_else(|| format!("a load to banks {bank} .. {end}"))
        }
    }
}

/// Elements pass a pipeline, some at a time, so an element must not be read after an earlier one has
/// been written over it.
fn overlap(v: &Vector) -> Result<(), String> {
    let one_word = matches!(v.op, VecOp::Argmax | VecOp::Sum);
    if v.op.loads() || one_word || v.len == 1 {
        return Ok(());
    }
    let written = v.d..v.d.saturating_add(v.len);
    let clash = |base: u32, step: u32| match step {
        0 => written.contains(&base),
        _ => base < v.d && v.d < base.saturating_add(v.len),
    };
    let reads_b = !matches!(v.op, VecOp::Copy | VecOp::Relu | VecOp::Table);
    let table =
        v.op == VecOp::Table && v.b < v.d.saturating_add(v.len) && v.d < v.b.saturating_add(256);
    if clash(v.a, v.a_step) || (reads_b && clash(v.b, v.b_step)) || table {
        return Err("an operand is overwritten before it is read".into());
    }
    Ok(())
}
