//! The memory of scores: a word holds those of a beat.

use crate::hdl::prelude::*;
use crate::shape::index_bits;

/// Clocks from the address to the scores.
pub const READ_LATENCY: u32 = 2;

/// Most bits of a memory's word.
const WORD_BITS: u32 = 127;

/// A memory for as many scores as a word of it holds, side by side.
#[derive(LogicBlock, Default)]
pub struct SoftmaxMemory {
    /// Clock.
    pub clock: Signal<In, Clock>,

    /// Writes the scores of a beat.
    pub we: Signal<In, Bit>,
    /// Where to.
    pub waddr: Wire<In>,
    /// They.
    pub score: Vec<Wire<In>>,

    /// Address read.
    pub raddr: Wire<In>,
    /// The scores there, later.
    pub read: Vec<Wire<Out>>,

    word: Vec<Join>,
    bank: Vec<Ram>,
    part: Vec<Split>,
    held: Vec<Reg>,
    packed: Const,
    _banks: usize,
    _scores: usize,
    _packed: usize,
    _depth: u32,
}

impl SoftmaxMemory {
    /// Of `depth` words of `scores` scores of `bits` bits.
    pub fn new(depth: u32, scores: usize, bits: u32) -> Self {
        let fits = |n: &usize| scores % n == 0 && *n as u32 * bits <= WORD_BITS;
        let packed = (1..=scores).rev().find(fits).unwrap_or(1);
        let banks = scores / packed;
        let addr = index_bits(depth);
        let memory = Ram::with_depth(depth as usize, addr, u(packed as u32 * bits));
        SoftmaxMemory {
            waddr: Wire::new(u(addr)),
            score: vec![Wire::new(s(bits)); scores],
            raddr: Wire::new(u(addr)),
            read: vec![Wire::new(s(bits)); scores],
            word: vec![Join::new(packed, s(bits)); banks],
            bank: vec![memory; banks],
            part: vec![Split::signed(packed, bits); banks],
            held: vec![Reg::data(s(bits)); scores],
            packed: Const::new(packed),
            _banks: banks,
            _scores: scores,
            _packed: packed,
            _depth: depth,
            ..SoftmaxMemory::default()
        }
    }
}

impl Logic for SoftmaxMemory {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self._scores {
            self.held[i].clock.next = self.clock.val();
        }
        for b in 0..self._banks {
            self.bank[b].clock.next = self.clock.val();
            for i in 0..self._packed {
                self.word[b].x[i].next = self.score[b * self.packed.val() + i].val();
            }
        }
        for b in 0..self._banks {
            self.bank[b].we.next = self.we.val();
            self.bank[b].waddr.next = self.waddr.val();
            self.bank[b].wdata.next = self.word[b].y.val();
            self.bank[b].raddr.next = self.raddr.val();
        }
        for b in 0..self._banks {
            self.part[b].x.next = self.bank[b].rdata.val();
        }
        for b in 0..self._banks {
            for i in 0..self._packed {
                self.held[b * self.packed.val() + i].d.next = self.part[b].y[i].val();
            }
        }
        for i in 0..self._scores {
            self.read[i].next = self.held[i].q.val();
        }
    }
}

impl Unit for SoftmaxMemory {
    fn module(&self) -> String {
        let bits = self.score[0].ty().width;
        format!("pimc_softmax_memory_d{}_n{}_s{bits}", self._depth, self._scores)
    }

    fn contract(&self) -> Contract {
        let bits = self.score[0].ty().width;
        Contract {
            summary: format!("Memory of scores, {} in a word.", self._scores),
            latency: format!("{READ_LATENCY} clocks from raddr_i to read_o."),
            throughput: "A word written and a word read every clock.".into(),
            layout: format!(
                "{} memories of {} words side by side, each of {} scores of {bits} bits, the first \
                 lowest.",
                self._banks, self._depth, self._packed
            ),
            preconditions: "Words are read after they have been written.".into(),
            ..Contract::default()
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![("we", "write"), ("raddr", "read")]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    #[test]
    fn scores_come_back_two_clocks_after_their_address() {
        for (depth, scores, bits) in [(8, 7, 18), (5, 56, 22), (9, 13, 24), (2, 1, 30), (16, 8, 64)]
        {
            let mut uut = Inst::new(SoftmaxMemory::new(depth, scores, bits));
            let mut rng = Rng::new(3);
            let words: Vec<Vec<i128>> = (0..depth)
                .map(|_| (0..scores).map(|_| s(bits).wrap(rng.next().into())).collect())
                .collect();
            for (at, word) in words.iter().enumerate() {
                uut.we.next = true;
                uut.waddr.set(at as i128);
                word.iter().zip(&mut uut.score).for_each(|(x, wire)| wire.set(*x));
                clock(&mut uut);
            }
            uut.we.next = false;
            for at in 0..words.len() + 2 {
                uut.raddr.set(at.min(words.len() - 1) as i128);
                settle(&mut uut);
                if let Some(at) = at.checked_sub(READ_LATENCY as usize) {
                    let read: Vec<i128> = uut.read.iter().map(|x| x.get()).collect();
                    assert_eq!(read, words[at], "{depth} {scores} {bits}");
                }
                clock(&mut uut);
            }
        }
    }
}
