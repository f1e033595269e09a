//! Texts that a tool takes badly, in units made for that: parts of signals, unused words.

use super::{tools, top};
use pimc_rtl::hdl::prelude::*;
use pimc_rtl::sv::{emit, Provenance};

/// The text of a unit, with which no tool has any trouble.
fn linted<U: Unit>(uut: &Inst<U>) -> String {
    let files = emit(uut, &Provenance::default());
    tools::lint(&format!("trouble/{}", top(&files)), top(&files), &files);
    files[0].text.clone()
}

/// Processes that read parts of every kind, and drive parts.
#[derive(LogicBlock)]
struct Choices {
    amount: Wire<In>,
    x: Vec<Wire<In>>,
    b: Vec<Wire<In>>,
    rows: Vec<Wire<In>>,
    y: Vec<Wire<Out>>,
    z: Wire<Out>,
    b_0: Signal<Local, Bit>,
    one: Const,
    _words: usize,
}

impl Logic for Choices {
    #[hdl_gen]
    fn update(&mut self) {
        self.b_0.next = self.amount.val().get_bit(2);
        comment!("---- words ----");
        for i in 0..self._words {
            self.y[i].next = self.x[i].val();
        }
        if self.amount.val().get_bit(0) & self.b_0.val() {
            self.y[0].next = self.x[1].val();
            self.y[1].next = self.x[0].val();
        }
        comment!("---- bits ----");
        self.z.next = bit_cast(self.amount.val() >> self.one.val(), 2);
        if self.amount.val().get_bit(0) {
            self.z.next = self.b[0].val() + bit_cast(unsigned_cast(self.x[1].val()), 3);
            if self.x[1].val() > self.x[self.rows[1].val().index()].val() {
                self.z.next = self.b[1].val() ^ self.rows[0].val();
            }
        }
    }
}

impl Unit for Choices {
    fn module(&self) -> String {
        "pimc_choices".into()
    }
    fn contract(&self) -> Contract {
        Contract::default()
    }
}

#[test]
fn a_process_reads_parts_by_their_names() {
    let mut uut = Inst::new(Choices {
        amount: Wire::new(u(3)),
        x: vec![Wire::new(s(4)); 2],
        b: vec![Wire::new(u(1)); 2],
        rows: vec![Wire::new(u(1)); 2],
        y: vec![Wire::new(s(4)); 2],
        z: Wire::new(u(3)),
        b_0: Signal::default(),
        one: Const::new(1),
        _words: 2,
    });
    let text = linted(&uut);
    let drivers = [
        "amount_0 = amount_i[0]",
        "amount_2_1 = amount_i[2:1]",
        "x_word_0 = x_i[3:0]",
        "x_word_1 = x_i[7:4]",
        "x_6_4 = x_i[6:4]",
        "b_i_0 = b_i[0]",
        "b_1 = b_i[1]",
        "rows_1 = rows_i[1]",
    ];
    for driver in drivers {
        let count = text.matches(&format!("  assign {driver};\n")).count();
        assert_eq!(count, 1, "{driver}\n{text}");
    }
    let lines = [
        "  logic signed [3:0] x_word_0;\n",
        "  // ---- words ----\n  assign amount_0 =",
        "  y_o[3:0] = x_word_1;\n",
        "  z_o = 3'(b_i_0) + x_6_4;\n",
        "  if (x_word_1 > $signed(x_i[4*rows_1 +: 4])) begin\n",
    ];
    for line in lines {
        assert!(text.contains(line), "{line}\n{text}");
    }

    uut.amount.set(5);
    uut.x[0].set(-3);
    uut.x[1].set(4);
    settle(&mut uut);
    assert_eq!((uut.y[0].get(), uut.y[1].get(), uut.z.get()), (4, -3, 0));
}

/// A process that reads a part of what it drives.
#[derive(LogicBlock)]
struct Chain {
    x: Wire<In>,
    y: Wire<Out>,
    t: Wire<Local>,
}

impl Logic for Chain {
    #[hdl_gen]
    fn update(&mut self) {
        self.t.next = self.x.val();
        self.y.next = 0.into();
        if self.t.val().get_bit(1) {
            self.y.next = 1.into();
            self.t.next = 0.into();
        }
    }
}

impl Unit for Chain {
    fn module(&self) -> String {
        "pimc_chain".into()
    }
    fn contract(&self) -> Contract {
        Contract::default()
    }
}

#[test]
#[should_panic(expected = "pimc_chain: a process reads t[1:1] and drives t")]
fn a_part_of_what_the_process_drives_is_refused() {
    let wire = || Wire::new(u(4));
    let uut = Inst::new(Chain { x: wire(), y: Wire::new(u(4)), t: Wire::new(u(4)) });
    emit(&uut, &Provenance::default());
}

/// Words that nobody reads: copied as a whole, computed one by one, and set apart.
#[derive(LogicBlock)]
struct Unread {
    x: Vec<Wire<In>>,
    y: Vec<Wire<In>>,
    z: Vec<Wire<In>>,
    unused_x: Vec<Unused>,
    unused_y: Vec<Unused>,
    unused_z: Vec<Unused>,
    _words: usize,
}

impl Logic for Unread {
    #[hdl_gen]
    fn update(&mut self) {
        for i in 0..self._words {
            self.unused_x[i].x.next = self.x[i].val();
            self.unused_y[i].x.next = unsigned_cast(self.y[i].val());
        }
        self.unused_z[0].x.next = self.z[1].val();
        self.unused_z[1].x.next = self.z[0].val();
    }
}

impl Unit for Unread {
    fn module(&self) -> String {
        "pimc_unread".into()
    }
    fn contract(&self) -> Contract {
        Contract::default()
    }
}

fn unread(unused_x: Vec<Unused>) -> Unread {
    let words = unused_x.len();
    Unread {
        x: vec![Wire::new(u(4)); words],
        y: vec![Wire::new(s(4)); words],
        z: vec![Wire::new(u(1)); 2],
        unused_x,
        unused_y: vec![Unused::new(4); words],
        unused_z: vec![Unused::new(1); 2],
        _words: words,
    }
}

#[test]
fn one_unused_word_is_a_parity_and_several_are_themselves() {
    let text = linted(&Inst::new(unread(vec![Unused::new(4); 3])));
    let lines = [
        "  logic [11:0] unused_x;\n",
        "  assign unused_x = x_i;\n",
        "    unused_y[4*i +: 4] = $unsigned($signed(y_i[4*i +: 4]));\n",
        "  unused_z[0] = z_1;\n",
    ];
    for line in lines {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let text = linted(&Inst::new(unread(vec![Unused::new(4)])));
    assert!(text.contains("  logic unused_x;\n"), "{text}");
    assert!(text.contains("  assign unused_x = ^x_i;\n"), "{text}");
}

#[test]
#[should_panic(expected = "pimc_unread: several `Unused` of a part of a word: unused_x")]
fn parts_of_several_unused_words_are_refused() {
    let part = Unused::above(u(4), 2);
    emit(&Inst::new(unread([part.clone(), part].concat())), &Provenance::default());
}

#[test]
#[should_panic(expected = "pimc_unread: unused_z in a process of several statements")]
fn one_unused_word_has_one_driver() {
    let mut unit = unread(vec![Unused::new(4)]);
    unit.unused_z = vec![Unused::new(1)];
    emit(&Inst::new(unit), &Provenance::default());
}

/// Tables: one as long as its index reaches, one shorter, one of a single word, and several.
#[derive(LogicBlock)]
struct Lookups {
    x: Vec<Wire<In>>,
    y: Vec<Wire<Out>>,
    squares: Table,
    primes: Table,
    one: Table,
    powers: Vec<Table>,
    _powers: usize,
}

impl Logic for Lookups {
    #[hdl_gen]
    fn update(&mut self) {
        self.squares.x.next = bit_cast(self.x[0].val() >> 1, 2);
        self.primes.x.next = self.x[1].val();
        self.one.x.next = bit_cast(self.x[0].val(), 1);
        self.y[0].next = self.squares.y.val() + self.primes.y.val();
        self.y[1].next = self.one.y.val();
        for i in 0..self._powers {
            self.powers[i].x.next = self.x[i].val();
            self.y[i + 2].next = self.powers[i].y.val();
        }
    }
}

impl Unit for Lookups {
    fn module(&self) -> String {
        "pimc_lookups".into()
    }
    fn contract(&self) -> Contract {
        Contract::default()
    }
}

#[test]
fn a_table_is_a_case_over_its_words() {
    let powers: Vec<u64> = (0..8).map(|i| 1 << (2 * i)).collect();
    let mut uut = Inst::new(Lookups {
        x: vec![Wire::new(u(3)); 2],
        y: vec![Wire::new(u(17)); 4],
        squares: Table::new(&[0, 1, 4, 9], 4),
        primes: Table::new(&[2, 3, 5, 7, 11], 5),
        one: Table::new(&[65537], 17),
        powers: vec![Table::new(&powers, 15); 2],
        _powers: 2,
    });
    let text = linted(&uut);
    let lines = [
        "    case (x_2_1)\n      2'd0: squares = '0;\n      2'd1: squares = 4'd1;\n",
        "      3'd4: primes = 5'd11;\n      default: primes = '0;\n    endcase\n",
        "      1'b0: one = 17'h10001;\n      default: one = '0;\n",
        "        3'd7: powers[15*i +: 15] = 15'd16384;\n      endcase\n",
    ];
    for line in lines {
        assert!(text.contains(line), "{line}\n{text}");
    }
    settle(&mut uut);
    let read = |uut: &Inst<Lookups>| -> Vec<i128> { uut.y.iter().map(|y| y.get()).collect() };
    assert_eq!(read(&uut), [2, 65537, 1, 1], "before any input has changed");
    uut.x[0].set(7);
    uut.x[1].set(5);
    settle(&mut uut);
    assert_eq!(read(&uut), [9, 0, 16384, 1024]);
    uut.x[1].set(4);
    settle(&mut uut);
    assert_eq!(read(&uut), [20, 0, 16384, 256]);
}
