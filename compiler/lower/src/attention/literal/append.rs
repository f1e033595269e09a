//! A token taken in. The paper appends a row of codes a step (P) and does not say how a token finds them;
//! here as its clustering does: distances go to the buffer die, which finds the least.

use super::writer::{Appended, Leaves, Writer};
use super::{Cause, Work};
use pimc_ir::Side;

impl Writer<'_> {
    /// Takes token `token` of the step into all heads.
    pub(super) fn append(&mut self, token: u32, appended: &Appended) {
        for slot in 0..self.l.slots {
            for side in Side::BOTH {
                if let Some(leaves) = &appended.leaves {
                    self.leave(slot, side, token, leaves);
                }
                if let Some(place) = appended.keeps {
                    self.keep(slot, side, token, place);
                }
            }
        }
    }

    /// Bytes that the append moves.
    fn moves(&mut self, bytes: u64) -> u64 {
        self.c.moved(|m| &mut m.appended, bytes);
        bytes
    }

    /// The new token goes to the banks.
    fn send(&mut self, slot: u32, side: Side, token: u32) {
        let bytes = self.vector_bytes();
        let bytes = self.moves(bytes);
        self.c.transfer(Cause::Append, bytes);
        self.c.between(Work::Token { slot, side, token });
    }

    /// A token becomes codes.
    fn leave(&mut self, slot: u32, side: Side, token: u32, leaves: &Leaves) {
        let l = self.l;
        match leaves.place {
            None => self.send(slot, side, token),
            Some(place) => {
                // By way of the buffer die: its codes may be another group's.
                for slice in 0..l.slices {
                    let (row, col, _) = l.exact_at(slot, side, slice, place / l.groups);
                    let bytes = self.of_banks(l.sub);
                    let bytes = self.moves(bytes);
                    self.c.read(Cause::Append, (row, col), bytes, Work::Capture { slice, place });
                }
                self.c.drain(Cause::Append);
                let bytes = self.vector_bytes();
                let bytes = self.moves(bytes);
                self.c.transfer(Cause::Append, bytes);
                self.c.between(Work::Captured);
            }
        }
        for slice in 0..l.slices {
            self.distances(slot, side, slice);
        }
        self.c.drain(Cause::Append);
        let bytes = self.of_banks(l.slices);
        let bytes = self.moves(bytes);
        self.c.transfer(Cause::Append, bytes);
        self.c.between(Work::Nearest);
        for slice in 0..l.slices {
            let (row, col, _) = l.code_at(slot, side, slice, leaves.token / l.groups);
            self.c.read(Cause::Append, (row, col), 0, Work::Take);
            let work = Work::PutCode { slice, token: leaves.token };
            self.c.write(Cause::Append, (row, col), work);
        }
    }

    /// Distances of all centroids of a sub-vector, two bytes each, go to the buffer die.
    fn distances(&mut self, slot: u32, side: Side, slice: u32) {
        let l = self.l;
        let row = l.book_row(slot, side, slice);
        if !l.by_element(side) {
            for at in 0..l.columns_of(l.k * l.sub) {
                let first = at * l.per_column();
                let bytes = self.of_banks(l.per_column().min(l.k - first));
                let bytes = self.moves(bytes);
                let to = self.at(row, at);
                let work = Work::Distances { slice, first, element: None };
                self.c.read(Cause::Append, to, bytes, work);
            }
            return;
        }
        for (from, to) in self.batches() {
            for element in 0..l.sub {
                let (offset, col) = l.element_at(element);
                for at in l.columns_of(from)..l.columns_of(to) {
                    let first = at * l.values;
                    let sent = if element + 1 == l.sub { l.values.min(l.k - first) } else { 0 };
                    let bytes = self.of_banks(sent);
                    let bytes = self.moves(bytes);
                    let to = self.at(row + offset, col + at);
                    let work = Work::Distances { slice, first, element: Some(element) };
                    self.c.read(Cause::Append, to, bytes, work);
                }
            }
        }
    }

    /// The new token is kept exact.
    fn keep(&mut self, slot: u32, side: Side, token: u32, place: u32) {
        self.send(slot, side, token);
        for slice in 0..self.l.slices {
            let (row, col, _) = self.l.exact_at(slot, side, slice, place / self.l.groups);
            self.c.read(Cause::Append, (row, col), 0, Work::Take);
            self.c.write(Cause::Append, (row, col), Work::PutToken { slice, place });
        }
    }
}
