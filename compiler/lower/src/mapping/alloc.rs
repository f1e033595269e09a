//! Vector memory: values live from the op that makes them to the last one that reads them.

use pimc_ir::{Func, OpKind, ValueId};

/// A run of words of vector memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region {
    /// First word.
    pub addr: u32,
    /// Words.
    pub len: u32,
}

/// First-fit allocator that remembers how much was ever used.
#[derive(Default)]
pub(super) struct Allocator {
    /// Free runs below `top`, by address, never adjacent.
    free: Vec<Region>,
    top: u64,
}

impl Allocator {
    /// A run of `len` words. Addresses past 32 bits saturate; the size check that follows refuses
    /// them.
    pub(super) fn take(&mut self, len: u32) -> Region {
        if let Some(i) = self.free.iter().position(|r| r.len >= len) {
            let region = Region { addr: self.free[i].addr, len };
            if self.free[i].len == len {
                self.free.remove(i);
            } else {
                self.free[i].addr += len;
                self.free[i].len -= len;
            }
            return region;
        }
        // A free run at the very end is grown.
        let at = match self.free.last() {
            Some(last) if u64::from(last.addr) + u64::from(last.len) == self.top => {
                let at = u64::from(last.addr);
                self.free.pop();
                at
            }
            _ => self.top,
        };
        self.top = at + u64::from(len);
        Region { addr: u32::try_from(at).unwrap_or(u32::MAX), len }
    }

    /// Gives a run back.
    pub(super) fn give(&mut self, region: Region) {
        let at = self.free.partition_point(|r| r.addr < region.addr);
        self.free.insert(at, region);
        if at + 1 < self.free.len() && region.addr + region.len == self.free[at + 1].addr {
            self.free[at].len += self.free.remove(at + 1).len;
        }
        if at > 0 && self.free[at - 1].addr + self.free[at - 1].len == self.free[at].addr {
            self.free[at - 1].len += self.free.remove(at).len;
        }
    }

    /// Words ever used.
    pub(super) fn high_water(&self) -> u64 {
        self.top
    }
}

/// Which values share memory and until when it is needed.
pub(super) struct Liveness {
    /// Per value: the value whose region it lies in, and its offset there. A slice lies in what it
    /// is a slice of.
    pub(super) home: Vec<(ValueId, u32)>,
    /// Per value that has a region: the last op that reads it or a slice of it; its own op when
    /// nothing does; past the last op for the result.
    pub(super) last_use: Vec<usize>,
}

impl Liveness {
    pub(super) fn new(func: &Func) -> Liveness {
        let mut home: Vec<(ValueId, u32)> =
            (0..func.values.len()).map(|v| (ValueId(v), 0)).collect();
        // An input nothing reads is given back before the first op, everything else after its own.
        let mut last_use: Vec<usize> =
            (0..func.values.len()).map(|v| v.saturating_sub(func.inputs)).collect();
        for (i, op) in func.ops.iter().enumerate() {
            if let OpKind::Slice { x, start, .. } = op.kind {
                let (root, offset) = home[x.0];
                home[func.inputs + i] = (root, offset + start as u32);
            }
            for x in op.kind.reads() {
                last_use[home[x.0].0 .0] = i;
            }
        }
        last_use[home[func.result.0].0 .0] = func.ops.len();
        Liveness { home, last_use }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_runs_are_joined_and_used_again() {
        let mut a = Allocator::default();
        let runs: Vec<Region> = (0..4).map(|_| a.take(10)).collect();
        a.give(runs[1]);
        a.give(runs[2]);
        assert_eq!(a.take(20), Region { addr: 10, len: 20 });
        a.give(runs[3]);
        // The free run at the end is grown, not left behind.
        assert_eq!(a.take(15), Region { addr: 30, len: 15 });
        assert_eq!(a.high_water(), 45);
    }

    #[test]
    fn live_runs_never_overlap() {
        let mut a = Allocator::default();
        let mut live: Vec<Region> = Vec::new();
        let mut state = 12345u32;
        for _ in 0..2000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if !live.is_empty() && state >> 31 == 0 {
                let gone = live.swap_remove((state >> 8) as usize % live.len());
                a.give(gone);
            } else {
                let got = a.take(1 + (state >> 12) % 37);
                for other in &live {
                    let apart =
                        got.addr + got.len <= other.addr || other.addr + other.len <= got.addr;
                    assert!(apart, "{got:?} overlaps {other:?}");
                }
                live.push(got);
            }
            assert!(live.iter().all(|r| u64::from(r.addr + r.len) <= a.high_water()));
        }
    }
}
