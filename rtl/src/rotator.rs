//! Rotates the words of a vector by any number of places.

use crate::hdl::prelude::*;

/// `y[i] = x[(i + amount) mod lanes]`: a stage for each bit of the amount, which turns by its
/// weight or not. Stages that the lanes do not need are empty `Vec`s.
#[derive(LogicBlock, Default)]
pub struct Rotator {
    /// Places to turn.
    pub amount: Wire<In>,
    /// Words.
    pub x: Vec<Wire<In>>,
    /// Words, turned.
    pub y: Vec<Wire<Out>>,

    // A field per stage: elements of one `Vec` must not feed each other.
    turned_1: Vec<Wire<Local>>,
    turned_2: Vec<Wire<Local>>,
    turned_4: Vec<Wire<Local>>,
    turned_8: Vec<Wire<Local>>,
    turned_16: Vec<Wire<Local>>,
    turned_32: Vec<Wire<Local>>,
    rest_1: Const,
    rest_2: Const,
    rest_4: Const,
    rest_8: Const,
    rest_16: Const,
    rest_32: Const,
    _lanes: usize,
    _stage_2: usize,
    _stage_4: usize,
    _stage_8: usize,
    _stage_16: usize,
    _stage_32: usize,
    _last_1: usize,
    _last_2: usize,
    _last_4: usize,
    _last_8: usize,
    _last_16: usize,
    _last_32: usize,
}

impl Logic for Rotator {
    #[hdl_gen]
    fn update(&mut self) {
        // Each net is written once whichever way: Icarus never settles when a chain of stages is first
        // copied and then turned.
        comment!("---- a stage for each bit of the amount ----");
        if self.amount.val().get_bit(0) {
            for i in 0..self.rest_1.val() {
                self.turned_1[i].next = self.x[i + 1].val();
            }
            for i in 0..1 {
                self.turned_1[i + self.rest_1.val()].next = self.x[i].val();
            }
        } else {
            for i in 0..self._lanes {
                self.turned_1[i].next = self.x[i].val();
            }
        }
        for _s in 0..self._stage_2 {
            if self.amount.val().get_bit(1) {
                for i in 0..self.rest_2.val() {
                    self.turned_2[i].next = self.turned_1[i + 2].val();
                }
                for i in 0..2 {
                    self.turned_2[i + self.rest_2.val()].next = self.turned_1[i].val();
                }
            } else {
                for i in 0..self._lanes {
                    self.turned_2[i].next = self.turned_1[i].val();
                }
            }
        }
        for _s in 0..self._stage_4 {
            if self.amount.val().get_bit(2) {
                for i in 0..self.rest_4.val() {
                    self.turned_4[i].next = self.turned_2[i + 4].val();
                }
                for i in 0..4 {
                    self.turned_4[i + self.rest_4.val()].next = self.turned_2[i].val();
                }
            } else {
                for i in 0..self._lanes {
                    self.turned_4[i].next = self.turned_2[i].val();
                }
            }
        }
        for _s in 0..self._stage_8 {
            if self.amount.val().get_bit(3) {
                for i in 0..self.rest_8.val() {
                    self.turned_8[i].next = self.turned_4[i + 8].val();
                }
                for i in 0..8 {
                    self.turned_8[i + self.rest_8.val()].next = self.turned_4[i].val();
                }
            } else {
                for i in 0..self._lanes {
                    self.turned_8[i].next = self.turned_4[i].val();
                }
            }
        }
        for _s in 0..self._stage_16 {
            if self.amount.val().get_bit(4) {
                for i in 0..self.rest_16.val() {
                    self.turned_16[i].next = self.turned_8[i + 16].val();
                }
                for i in 0..16 {
                    self.turned_16[i + self.rest_16.val()].next = self.turned_8[i].val();
                }
            } else {
                for i in 0..self._lanes {
                    self.turned_16[i].next = self.turned_8[i].val();
                }
            }
        }
        for _s in 0..self._stage_32 {
            if self.amount.val().get_bit(5) {
                for i in 0..self.rest_32.val() {
                    self.turned_32[i].next = self.turned_16[i + 32].val();
                }
                for i in 0..32 {
                    self.turned_32[i + self.rest_32.val()].next = self.turned_16[i].val();
                }
            } else {
                for i in 0..self._lanes {
                    self.turned_32[i].next = self.turned_16[i].val();
                }
            }
        }
        for i in 0..self._last_1 {
            self.y[i].next = self.turned_1[i].val();
        }
        for i in 0..self._last_2 {
            self.y[i].next = self.turned_2[i].val();
        }
        for i in 0..self._last_4 {
            self.y[i].next = self.turned_4[i].val();
        }
        for i in 0..self._last_8 {
            self.y[i].next = self.turned_8[i].val();
        }
        for i in 0..self._last_16 {
            self.y[i].next = self.turned_16[i].val();
        }
        for i in 0..self._last_32 {
            self.y[i].next = self.turned_32[i].val();
        }
    }
}

impl Rotator {
    /// For `lanes` words of type `word`; `lanes` is a power of two, 2 to 64.
    pub fn new(lanes: usize, word: Ty) -> Self {
        let stage = |by: usize| (by < lanes) as usize;
        let turned = |by: usize| vec![Wire::new(word); lanes * stage(by)];
        let rest = |by: usize| Const::new(lanes.saturating_sub(by));
        let last = |by: usize| if 2 * by == lanes { lanes } else { 0 };
        Rotator {
            amount: Wire::new(u(lanes.trailing_zeros())),
            x: vec![Wire::new(word); lanes],
            y: vec![Wire::new(word); lanes],
            turned_1: turned(1),
            turned_2: turned(2),
            turned_4: turned(4),
            turned_8: turned(8),
            turned_16: turned(16),
            turned_32: turned(32),
            rest_1: rest(1),
            rest_2: rest(2),
            rest_4: rest(4),
            rest_8: rest(8),
            rest_16: rest(16),
            rest_32: rest(32),
            _lanes: lanes,
            _stage_2: stage(2),
            _stage_4: stage(4),
            _stage_8: stage(8),
            _stage_16: stage(16),
            _stage_32: stage(32),
            _last_1: last(1),
            _last_2: last(2),
            _last_4: last(4),
            _last_8: last(8),
            _last_16: last(16),
            _last_32: last(32),
        }
    }
}

impl Unit for Rotator {
    fn module(&self) -> String {
        let word = self.y.first().map_or(s(1), Wire::ty);
        let sign = if word.signed { "s" } else { "u" };
        format!("pimc_rotator_l{}_{sign}{}", self._lanes, word.width)
    }

    fn contract(&self) -> Contract {
        let lanes = self._lanes;
        let (width, stages) = (self.y.first().map_or(1, |y| y.ty().width), lanes.trailing_zeros());
        let stages = match stages {
            1 => "a stage".into(),
            n => format!("{n} stages"),
        };
        Contract {
            summary: match width {
                1 => format!("Rotator: turns {lanes} bits by any number of places."),
                _ => {
                    format!("Rotator: turns {lanes} words of {width} bits by any number of places.")
                }
            },
            formula: format!("Word i of y_o is word (i + amount_i) mod {lanes} of x_i."),
            latency: format!("Combinational: {stages} of two-way choices."),
            layout: "Words lie side by side, word 0 lowest.".into(),
            ..Contract::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_lanes_turns_by_every_amount() {
        for bits in 1..=6 {
            let lanes = 1usize << bits;
            let mut uut = Inst::new(Rotator::new(lanes, s(9)));
            for (i, x) in uut.x.iter_mut().enumerate() {
                x.set(3 * i as i128 - 100);
            }
            for amount in 0..lanes {
                uut.amount.set(amount as i128);
                settle(&mut uut);
                for i in 0..lanes {
                    let want = 3 * ((i + amount) % lanes) as i128 - 100;
                    assert_eq!(uut.y[i].get(), want, "{lanes} lanes by {amount}: {i}");
                }
            }
        }
    }
}
