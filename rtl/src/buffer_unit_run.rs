//! Where a run of consecutive elements lies in the lanes of vector memory.

use crate::hdl::prelude::*;

/// Element e lies in lane e mod lanes, at word e / lanes. A run of as many elements as there are
/// lanes takes one word of each: lanes below the first element's lane hold elements of the next word.
#[derive(LogicBlock, Default)]
pub struct RunAddress {
    /// Address of the run's first element.
    pub addr: Wire<In>,
    /// Its lane.
    pub first: Wire<Out>,
    /// The word of every lane.
    pub words: Vec<Wire<Out>>,

    lane: Wire<Local>,
    word: Wire<Local>,
    next_word: Wire<Local>,
    lane_bits: Const,
    last: Const,
    _lanes: usize,
    _lane_bits: u32,
    _word_bits: u32,
}

impl Logic for RunAddress {
    #[hdl_gen]
    fn update(&mut self) {
        self.lane.next = bit_cast(self.addr.val(), self._lane_bits);
        self.word.next = bit_cast(self.addr.val() >> self.lane_bits.val(), self._word_bits);
        self.next_word.next = self.word.val() + 1.into();
        self.first.next = self.lane.val();
        for l in 0..self._lanes {
            self.words[l].next = self.word.val();
        }
        for l in 0..self.last.val() {
            if self.lane.val() > l.into() {
                self.words[l].next = self.next_word.val();
            }
        }
    }
}

impl RunAddress {
    /// For addresses of `addr_bits` in `lanes` lanes: a power of two, of which there are at least
    /// twice as many addresses.
    pub fn new(lanes: usize, addr_bits: u32) -> Self {
        let lane_bits = lanes.trailing_zeros();
        let word = u(addr_bits - lane_bits);
        RunAddress {
            addr: Wire::new(u(addr_bits)),
            first: Wire::new(u(lane_bits)),
            words: vec![Wire::new(word); lanes],
            lane: Wire::new(u(lane_bits)),
            word: Wire::new(word),
            next_word: Wire::new(word),
            lane_bits: Const::new(lane_bits as usize),
            last: Const::new(lanes - 1),
            _lanes: lanes,
            _lane_bits: lane_bits,
            _word_bits: word.width,
        }
    }
}

impl Unit for RunAddress {
    fn module(&self) -> String {
        format!("pimc_run_address_l{}_a{}", self._lanes, self.addr.ty().width)
    }

    fn contract(&self) -> Contract {
        let lanes = self._lanes;
        Contract {
            summary: format!("Run address: where {lanes} elements that follow one another lie."),
            formula: format!(
                "Element e lies in lane e mod {lanes} at word e / {lanes}. first_o is the lane of \
                 element addr_i; a lane's word is that of addr_i, and the next one in lanes below \
                 first_o."
            ),
            latency: "Combinational.".into(),
            layout: "Words lie side by side, that of lane 0 lowest.".into(),
            ..Contract::default()
        }
    }
}
