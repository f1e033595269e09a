//! The sequencer on programs whose work their arguments decide.

use crate::sequencer::{at, body, check_with, expand};
use crate::shapes::{attention_alone, cached, everything, fit, Rng};
use pimc_rtl::isa::{Action, Block, Instr, SetTo, Stream};
use pimc_rtl::native::{BankSignals, Command, Inputs, NativeChannel};
use pimc_rtl::shape::ChannelShape;
use pimc_rtl::timing::IDLE_CLOCKS;

/// A random `Set`. Arguments are small; row and column counters also take what wraps.
pub fn set(rng: &mut Rng) -> Action {
    let to = match rng.below(9) {
        0 => SetTo::Pointer,
        1 => SetTo::Advance,
        2 => SetTo::Row,
        3 => SetTo::Col,
        4 => SetTo::Base,
        5 => SetTo::Keep,
        6 => SetTo::Return,
        _ => SetTo::Param(rng.below(10)),
    };
    let from = (rng.below(3) > 0).then(|| rng.below(8));
    let add = match rng.below(3) {
        0 => 0,
        1 => rng.below(100),
        _ => rng.next() as u32,
    };
    Action::Set { to, from, add }
}

fn begun() -> Vec<Instr> {
    let stream = Stream {
        mode: 3,
        columns_less_1: 2,
        tail_beats_less_1: 1,
        coats_less_1: 0,
        sign_key: 1,
        block: Block::default(),
    };
    vec![at(Action::Ref, 25), at(Action::Row { row: 5, col: 6 }, 2), at(Action::Stream(stream), 2)]
}

fn pointed(program: &mut Vec<Instr>) {
    // These keep their values from run to run; a program sets them before it uses them.
    for (to, add) in [(SetTo::Pointer, 3), (SetTo::Keep, 1), (SetTo::Base, 40)] {
        program.push(at(Action::Set { to, from: None, add }, 2));
    }
}

fn fitted(program: &[Instr]) -> ChannelShape {
    let shape = fit(&cached(), program);
    assert_eq!(shape.check(), Ok(()));
    shape
}

#[test]
fn random_programs_with_arguments_run_clock_by_clock_as_expanded() {
    for seed in 0..60 {
        let mut rng = Rng(seed);
        let args: Vec<u32> = (0..64).map(|_| rng.below(4)).collect();
        let mut program = begun();
        pointed(&mut program);
        body(&mut rng, 4, &mut program, &cached());
        program.extend([at(Action::Wait, 2), at(Action::End, 0)]);
        check_with(&program, &args, &fitted(&program));
    }
}

/// A loop of no rounds takes its delay and nothing else, even the least delay; what it would have
/// left on the stack of loops is not there.
#[test]
fn loops_of_no_rounds_are_passed_over() {
    for (delay, counts) in [2, 3, 7].into_iter().flat_map(|d| {
        [[0, 0, 0], [0, 2, 0], [2, 0, 0], [2, 0, 1], [1, 1, 0], [3, 2, 1]].map(|c| (d, c))
    }) {
        let mut program = begun();
        pointed(&mut program);
        let first = program.len() as u32;
        let ends = [first + 8, first + 6, first + 4];
        program.push(at(Action::LoopArg { arg: 0, end: ends[0] }, delay));
        program.push(at(Action::LoopArg { arg: 1, end: ends[1] }, delay));
        program.push(at(Action::LoopArg { arg: 2, end: ends[2] }, delay));
        program.push(at(Action::Next, 2));
        program.push(at(Action::Read, 3));
        program.push(at(Action::Next, 2));
        program.push(at(Action::Write, 3));
        program.push(at(Action::Next, 2));
        program.extend([at(Action::Pre, 2), at(Action::End, 0)]);
        let mut args = vec![9; 64];
        args[3..6].copy_from_slice(&counts);
        let shape = fitted(&program);
        check_with(&program, &args, &shape);
        let count = |code| {
            let ports = expand(&program, &args, &shape);
            ports.values().filter(|p| p.command_code() == Some(code)).count() as u32
        };
        assert_eq!((count(1), count(4)), (counts[0] * counts[1], counts[0]));
    }
}

/// Counts are whole words.
#[test]
fn a_loop_runs_more_often_than_any_field_of_the_program_says() {
    let mut program = begun();
    pointed(&mut program);
    let end = program.len() as u32 + 3;
    program.push(at(Action::LoopArg { arg: 1, end }, 2));
    program.extend([at(Action::Write, 2), at(Action::Next, 2), at(Action::End, 0)]);
    let mut args = vec![0; 64];
    args[4] = 1000;
    check_with(&program, &args, &fitted(&program));
}

/// At every clock around the one from which a refresh is due, and after the counter ran out.
#[test]
fn a_refresh_is_due_from_the_very_clock() {
    let within = 120;
    let border = cached().refi - IDLE_CLOCKS - within + 1;
    let mut taken = vec![];
    let waits = [border - 1, border, border + 1, border + within, border + 2 * within];
    for wait in waits {
        let program = [
            at(Action::Ref, wait),
            at(Action::RefreshDue { within }, 31),
            at(Action::Pre, 2),
            at(Action::RefreshDue { within: 0 }, 31),
            at(Action::Wait, 2),
            at(Action::End, 0),
        ];
        let shape = fitted(&program);
        let args = vec![0; 64];
        check_with(&program, &args, &shape);
        let ports = expand(&program, &args, &shape);
        let refreshes = ports.values().filter(|p| p.command_code() == Some(3)).count();
        let end = ports.iter().find(|p| p.1.ends()).map(|p| *p.0).unwrap();
        taken.push((refreshes, end - u64::from(wait)));
    }
    assert_eq!(taken, [(1, 8), (1, 8), (2, 37), (2, 37), (2, 37)]);
}

/// No bank units are built beside attention units that have all the work; there are columns to write
/// for every bank.
#[test]
fn a_channel_of_attention_alone_has_no_bank_units() {
    let shape = attention_alone();
    assert_eq!(shape.check(), Ok(()));
    let mut channel = NativeChannel::new(&shape);
    let argument = Some((3, 9));
    let seen = (0..3).map(|_| channel.step(&Inputs { argument, ..Inputs::default() }).command);
    assert_eq!(seen.collect::<Vec<_>>(), [None, Some(Command::Refresh), None]);
    assert_eq!(channel.bank(3), BankSignals::default());
    assert_eq!(channel.write_data().len(), 4 * 4);
    assert!(NativeChannel::new(&everything()).write_data().is_empty());
}
