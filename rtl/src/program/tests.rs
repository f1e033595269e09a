//! Programs to words and back, and what is refused.

use super::*;
use crate::shape::GatedShape;
use crate::testing::blocks;
use proptest::prelude::*;

fn bank() -> BankShape {
    BankShape {
        lookups: vec![],
        gated: Some(GatedShape { planes: 8, groups: 4, acc_bits: 20, generated_signs: Some(3) }),
        blocks: Some(blocks(14)),
        mac: None,
        attention: None,
        byte_words: 0,
        result_bits: 20,
    }
}

fn action() -> impl Strategy<Value = Action> {
    let v = 0u32..2000;
    let block = (0u32..6, 0u32..200, 0u32..4, 0u32..600, 0u32..5);
    let block = block.prop_map(|(x, inner, t, rows, slots)| Block {
        x_beats_less_1: x,
        inner_less_1: inner,
        t_beats_less_1: t,
        rows_less_1: rows,
        slots_less_1: slots,
    });
    prop_oneof![
        Just(Action::Wait),
        Just(Action::Act),
        Just(Action::Read),
        Just(Action::Pre),
        Just(Action::Ref),
        Just(Action::Write),
        (0u32..1 << 15, 0u32..64).prop_map(|(row, col)| Action::Row { row, col }),
        (0u32..200_000).prop_map(|within| Action::RefreshDue { within }),
        (0u32..8, 0u32..20, prop::option::of(0u32..70), any::<u32>()).prop_map(
            |(to, param, from, add)| {
                let to = match to {
                    0 => SetTo::Pointer,
                    1 => SetTo::Advance,
                    2 => SetTo::Row,
                    3 => SetTo::Col,
                    5 => SetTo::Base,
                    6 => SetTo::Keep,
                    7 => SetTo::Return,
                    _ => SetTo::Param(param),
                };
                Action::Set { to, from, add: add >> (param + 5) }
            }
        ),
        (0u32..2, 0u32..5000, 0u32..4, 0u32..3, any::<u32>(), block).prop_map(
            |(m, c, t, o, k, block)| Action::Stream(Stream {
                mode: m,
                columns_less_1: c,
                tail_beats_less_1: t,
                coats_less_1: o,
                sign_key: k,
                block,
            })
        ),
        (
            0usize..VecOp::ALL.len(),
            v.clone(),
            v.clone(),
            v.clone(),
            v,
            0u32..4,
            (0u32..17, 0u32..17)
        )
            .prop_map(|(op, a, b, d, len, s, (bank, last))| {
                Action::Vec(Vector {
                    op: VecOp::ALL[op],
                    a,
                    a_step: s & 1,
                    b,
                    b_step: s >> 1,
                    d,
                    len: len + 1,
                    bank,
                    last,
                })
            }),
    ]
}

fn end() -> Instr {
    Instr { action: Action::End, delay: 0 }
}

proptest! {
    #[test]
    fn programs_survive_the_way_to_words_and_back(
        body in prop::collection::vec((action(), 2u32..9000), 0..40),
        count in 1u32..70000,
        arg in prop::option::of(0u32..300),
    ) {
        let first = match arg {
            Some(arg) => Action::LoopArg { arg, end: body.len() as u32 + 2 },
            None => Action::Loop { count },
        };
        let mut program = vec![Instr { action: first, delay: 2 }];
        program.extend(body.iter().map(|&(action, delay)| Instr { action, delay }));
        program.extend([Instr { action: Action::Next, delay: 2 }, end()]);
        let isa = IsaShape::smallest(&program, &bank(), 4, 100);
        let words = encode(&program, &isa).unwrap();
        prop_assert!(words.iter().all(|w| w >> isa.word_bits() == 0));
        prop_assert_eq!(decode(&words, &isa).unwrap(), program);
    }
}

#[test]
fn the_smallest_shape_is_the_smallest() {
    let row = Action::Row { row: 9, col: 4 };
    let program = vec![Instr { action: row, delay: 8 }, end()];
    let isa = IsaShape::smallest(&program, &bank(), 4, 100);
    assert!(encode(&program, &isa).is_ok());
    for (narrow, field, value, bits) in [
        (IsaShape { row_bits: 3, ..isa }, "row", 9, 3),
        (IsaShape { col_bits: 2, ..isa }, "column", 4, 2),
        (IsaShape { delay_bits: 3, ..isa }, "delay", 8, 3),
    ] {
        let error = ProgramError::Field { index: 0, field, value, bits };
        assert_eq!(encode(&program, &narrow), Err(vec![error]));
    }
    assert_eq!((isa.coats_bits, isa.key_bits, isa.addr_bits), (2, 32, 7));
    assert_eq!((isa.block_bits, isa.bank_bits), (1, 0));
    let bare = BankShape { gated: None, blocks: None, ..bank() };
    let isa = IsaShape::smallest(&program, &bare, 4, 100);
    assert_eq!((isa.coats_bits, isa.key_bits, isa.block_bits), (0, 0, 0));
}

#[test]
fn every_mistake_of_a_program_is_told() {
    let isa = IsaShape::smallest(&[], &bank(), 4, 16);
    let at = |action| Instr { action, delay: 2 };
    let vector =
        Vector { op: VecOp::Add, a: 0, a_step: 1, b: 0, b_step: 1, d: 0, len: 0, bank: 0, last: 0 };
    let program = [
        at(Action::Next),
        Instr { action: Action::Ref, delay: 1 },
        at(Action::Loop { count: 0 }),
        at(Action::Vec(vector)),
        at(Action::Vec(Vector { len: 17, ..vector })),
        at(Action::Vec(Vector { len: 1, b_step: 2, ..vector })),
    ];
    assert_eq!(
        encode(&program, &isa).unwrap_err(),
        [
            ProgramError::Next { index: 0 },
            ProgramError::Delay { index: 1, delay: 1 },
            ProgramError::Zero { index: 2, field: "count" },
            ProgramError::Zero { index: 3, field: "length" },
            ProgramError::Field { index: 4, field: "length less 1", value: 16, bits: 4 },
            ProgramError::Field { index: 5, field: "step of b", value: 2, bits: 1 },
            ProgramError::End,
        ]
    );
    let dynamic = [at(Action::RefreshDue { within: 3 }), at(Action::Write), end()];
    let absent = ProgramError::Absent { index: 0, opcode: 14 };
    assert_eq!(encode(&dynamic, &isa).unwrap_err(), [absent]);
    let nest = [at(Action::Loop { count: 1 }); LOOP_DEPTH + 1];
    let depth = ProgramError::Depth { index: LOOP_DEPTH };
    assert_eq!(encode(&nest, &isa).unwrap_err(), [depth, ProgramError::End]);
    let wide = IsaShape { addr_bits: 31, ..isa };
    let width = ProgramError::Width { bits: wide.word_bits() };
    assert_eq!(encode(&[end()], &wide).unwrap_err(), [width]);
}

/// A program without such instructions has no bit for them; one with them has as few as it can.
#[test]
fn fields_of_arguments_are_there_where_they_are_used() {
    let at = |action| Instr { action, delay: 2 };
    let fields = |program: &[Instr]| {
        let isa = IsaShape::smallest(program, &bank(), 4, 16);
        let d = isa.dynamic;
        ([d.to_bits, d.param_bits, d.arg_bits, d.add_bits, d.end_bits, d.within_bits], isa)
    };
    assert_eq!(fields(&[at(Action::Write), end()]).0, [0; 6]);
    let set = |to, from, add| at(Action::Set { to, from, add });
    assert_eq!(fields(&[set(SetTo::Row, None, 9)]).0, [3, 0, 0, 4, 0, 0]);
    assert_eq!(fields(&[set(SetTo::Param(8), Some(0), 0)]).0, [3, 4, 1, 1, 0, 0]);
    assert_eq!(fields(&[at(Action::RefreshDue { within: 700 })]).0, [0, 0, 0, 0, 0, 10]);
    let nested = [
        at(Action::LoopArg { arg: 5, end: 5 }),
        at(Action::LoopArg { arg: 1, end: 4 }),
        at(Action::Write),
        at(Action::Next),
        at(Action::Next),
        end(),
    ];
    let (widths, isa) = fields(&nested);
    assert_eq!((widths, isa.round_bits()), ([0, 0, 3, 0, 3, 0], 32));
    let wrong = |end| {
        let mut program = nested;
        program[1].action = Action::LoopArg { arg: 1, end };
        encode(&program, &isa).unwrap_err()
    };
    assert_eq!(wrong(5), [ProgramError::LoopEnd { index: 1, end: 5 }]);
    assert_eq!(wrong(3), [ProgramError::LoopEnd { index: 1, end: 3 }]);
    let mut deeper = vec![at(Action::LoopArg { arg: 0, end: 0 }); LOOP_DEPTH + 1];
    deeper.push(end());
    assert!(encode(&deeper, &isa)
        .unwrap_err()
        .contains(&ProgramError::Depth { index: LOOP_DEPTH }));
    // A parameter that is none, an argument that is not taken.
    let (_, isa) = fields(&[set(SetTo::Param(3), Some(3), 3)]);
    let f = isa.set_fields();
    let word = |bits: &[(usize, u128)]| {
        bits.iter().fold(11 | 2 << OPCODE_BITS, |w, &(i, value)| w | value << f[i].at)
    };
    assert_eq!(
        decode(&[word(&[(3, 1)]), word(&[(0, 1), (2, 2)])], &isa).unwrap_err(),
        [
            ProgramError::Stray { index: 0, opcode: 11 },
            ProgramError::Stray { index: 1, opcode: 11 },
        ]
    );
    let bare = fields(&[]).1;
    let unknown = ProgramError::Unknown { index: 0, field: "opcode", value: 11 };
    assert_eq!(decode(&[11], &bare).unwrap_err(), [unknown]);
}

#[test]
fn words_without_a_meaning_are_refused() {
    let isa = IsaShape::smallest(&[], &bank(), 4, 16);
    let operation = 10 | 15 << isa.operands_at();
    let stray = 3 | 1 << isa.operands_at();
    assert_eq!(
        decode(&[15, operation, stray], &isa).unwrap_err(),
        [
            ProgramError::Unknown { index: 0, field: "opcode", value: 15 },
            ProgramError::Unknown { index: 1, field: "operation", value: 15 },
            ProgramError::Stray { index: 2, opcode: 3 },
        ]
    );
}
