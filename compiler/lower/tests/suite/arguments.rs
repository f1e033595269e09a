//! Programs whose work their arguments decide: control flow, commands, text, and what the
//! interpreter makes of them.

use crate::common::*;
use pimc_ir::Code;
use pimc_lower::assembly;
use pimc_lower::commands::{expand_with, write_csv_with, Command, Expanded};
use pimc_lower::images::{Banks, Column};
use pimc_lower::interp::{Event, Ignore, Machine};
use pimc_lower::walk::{Issue, ProgramError, Walk};
use pimc_lower::Target;
use pimc_rtl::attention::AttentionMode;
use pimc_rtl::isa::{Action, Block, Instr, SetTo, Stream};
use pimc_rtl::shape::{ChannelShape, StreamMode};
use pimc_rtl::testing::{attention, attention_channel};
use pimc_rtl::timing::IDLE_CLOCKS;

const REFI: u32 = 3900;

fn at(action: Action, delay: u32) -> Instr {
    Instr { action, delay }
}

fn two(actions: &[Action]) -> Vec<Instr> {
    actions.iter().map(|&action| at(action, 2)).collect()
}

fn walk(program: &[Instr], args: &[u32]) -> Result<Vec<Issue>, ProgramError> {
    Walk::with_args(program, args, REFI).collect()
}

/// The clock and the place of every instruction that issues.
fn order(program: &[Instr], args: &[u32]) -> Vec<(u64, usize)> {
    let issues = walk(program, args).unwrap_or_else(|e| panic!("{e}"));
    issues.iter().map(|i| (i.cycle, i.index)).collect()
}

fn set(to: SetTo, from: Option<u32>, add: u32) -> Action {
    Action::Set { to, from, add }
}

#[test]
fn loops_run_as_often_as_their_arguments_say() {
    let program = [
        at(Action::Ref, 10),
        at(Action::LoopArg { arg: 0, end: 6 }, 3),
        at(Action::Act, 4),
        at(Action::LoopArg { arg: 1, end: 5 }, 5),
        at(Action::Next, 6),
        at(Action::Next, 7),
        at(Action::End, 0),
    ];
    // The skipped loop takes its own delay, and so does the skipped inner one.
    assert_eq!(order(&program, &[0, 9]), [(0, 0), (10, 1), (13, 6)]);
    assert_eq!(
        order(&program, &[2, 0]),
        [(0, 0), (10, 1), (13, 2), (17, 3), (22, 5), (29, 2), (33, 3), (38, 5), (45, 6)]
    );
    assert_eq!(
        order(&program, &[1, 2]),
        [(0, 0), (10, 1), (13, 2), (17, 3), (22, 4), (28, 4), (34, 5), (41, 6)]
    );
    let rounds = order(&program, &[3, 4]).iter().filter(|i| i.1 == 4).count();
    assert_eq!(rounds, 12);
}

#[test]
fn the_pointer_says_where_arguments_are() {
    let program = two(&[
        set(SetTo::Pointer, None, 2),
        set(SetTo::Row, Some(1), 5),
        set(SetTo::Advance, Some(0), 0),
        set(SetTo::Col, Some(0), u32::MAX),
        set(SetTo::Advance, None, (-3i32) as u32),
        set(SetTo::Param(8), Some(0), 0),
        set(SetTo::Pointer, Some(0), 1),
        set(SetTo::Param(0), Some(0), 1),
        Action::End,
    ]);
    let args = [u32::MAX, 0, 2, 70, 9];
    let issues = walk(&program, &args).expect("runs");
    let values: Vec<u32> = issues.iter().map(|i| i.value).collect();
    // The pointer goes 2, 4, 1, 1.
    assert_eq!(values, [2, 75, 2, 8, u32::MAX - 2, 0, 1, 1, 0]);
    let missing = |program: &[Action]| walk(&two(program), &args).expect_err("a fault");
    let past = [set(SetTo::Pointer, None, 4), set(SetTo::Row, Some(1), 0), Action::End];
    assert_eq!(missing(&past), ProgramError::Arg { index: 1, arg: 5 });
    let count = [Action::LoopArg { arg: 5, end: 2 }, Action::Next, Action::End];
    assert_eq!(missing(&count), ProgramError::Arg { index: 0, arg: 5 });
    let end = [Action::LoopArg { arg: 0, end: 1 }, Action::Next, Action::End];
    assert_eq!(missing(&end), ProgramError::LoopEnd { index: 0, end: 1 });
    let deep = two(&[Action::LoopArg { arg: 2, end: 0 }; 6]);
    assert!(matches!(walk(&deep, &args), Err(ProgramError::LoopEnd { index: 0, .. })));
}

#[test]
fn loops_of_arguments_nest_as_deep_as_others() {
    let nest = |depth: usize| {
        let ends = (0..depth as u32).map(|i| 2 * depth as u32 - i);
        let mut program: Vec<Action> = ends.map(|end| Action::LoopArg { arg: 0, end }).collect();
        program.extend(vec![Action::Next; depth]);
        program.push(Action::End);
        walk(&two(&program), &[2]).map(|issues| issues.len())
    };
    assert_eq!(nest(4), Ok((1 + 2 + 4 + 8) + (2 + 4 + 8 + 16) + 1));
    assert_eq!(nest(5), Err(ProgramError::Depth { index: 4 }));
}

/// The counter shows refi - IDLE_CLOCKS in the clock after a refresh, and less by one in each that
/// follows.
#[test]
fn a_refresh_that_is_due_comes_at_the_very_clock() {
    let within = 500;
    let last_free = REFI - IDLE_CLOCKS - within + 1;
    let run = |wait: u32| {
        let program = [
            at(Action::Ref, wait),
            at(Action::RefreshDue { within }, 351),
            at(Action::RefreshDue { within }, 351),
            at(Action::End, 0),
        ];
        let issues = walk(&program, &[]).expect("runs");
        let refreshes: Vec<bool> = issues.iter().map(Issue::refreshes).collect();
        (refreshes, issues[3].cycle - u64::from(wait))
    };
    assert_eq!(run(last_free - 2), (vec![true, false, false, false], 4));
    // Its time comes two clocks after it was looked at.
    assert_eq!(run(last_free - 1), (vec![true, false, true, false], 353));
    assert_eq!(run(last_free), (vec![true, false, true, false], 353));
    // A refresh that came counts anew.
    assert_eq!(run(last_free + 1), (vec![true, true, false, false], 353));
    // A counter that ran out stays at 0: nothing is fewer than 0.
    let never = [
        at(Action::Ref, 2 * REFI),
        at(Action::RefreshDue { within: 0 }, 9),
        at(Action::RefreshDue { within: 1 }, 9),
        at(Action::End, 0),
    ];
    let issues = walk(&never, &[]).expect("runs");
    assert_eq!(issues.iter().map(|i| i.value).collect::<Vec<_>>(), [0, 0, 1, 0]);
    let unknown = two(&[Action::RefreshDue { within: 9 }, Action::End]);
    assert_eq!(walk(&unknown, &[]), Err(ProgramError::Refresh { index: 0 }));
    let bare: Result<Vec<Issue>, _> = Walk::new(&never).collect();
    assert_eq!(bare, Err(ProgramError::Refresh { index: 1 }));
}

#[test]
fn commands_follow_arguments_and_writes_count_columns() {
    let program = two(&[
        Action::Ref,
        set(SetTo::Row, Some(0), 0),
        set(SetTo::Col, Some(1), 0),
        Action::Act,
        Action::Write,
        Action::Read,
        Action::Pre,
        set(SetTo::Row, None, 7),
        Action::Act,
        Action::Write,
        Action::RefreshDue { within: u32::MAX },
        Action::End,
    ]);
    let commands: Vec<Command> = expand_with(&program, &[40, 31], REFI, 32)
        .filter_map(|item| match item.unwrap_or_else(|e| panic!("{e}")) {
            Expanded::Command(t) => Some(t.command),
            Expanded::End { .. } => None,
        })
        .collect();
    use Command::*;
    assert_eq!(
        commands,
        [
            Ref,
            Act { row: 40 },
            Write { row: 40, col: 31 },
            Read { row: 40, col: 0 },
            Pre,
            Act { row: 7 },
            Write { row: 7, col: 0 },
            Ref
        ]
    );
    let target = Target::named("hbm3-pim").expect("built in");
    let mut csv = Vec::new();
    write_csv_with(&program, &[40, 31], &target, &mut csv).expect("memory");
    let csv = String::from_utf8(csv).expect("text");
    assert!(csv.contains("\n8,WR,-1,40,31\n10,RD,-1,40,0\n"), "{csv}");
    let trace = pimc_lower::commands::read_csv("c", &csv).expect("reads");
    assert_eq!(trace.commands.len(), commands.len());
}

#[test]
fn the_text_says_arguments() {
    let program = two(&[
        Action::Ref,
        set(SetTo::Pointer, None, 12),
        set(SetTo::Pointer, Some(3), 0),
        set(SetTo::Advance, None, (-4i32) as u32),
        set(SetTo::Advance, Some(2), 9),
        set(SetTo::Row, Some(0), u32::MAX),
        set(SetTo::Col, Some(1), 1 << 31),
        set(SetTo::Param(0), Some(5), 0),
        set(SetTo::Param(9), None, 0),
        Action::LoopArg { arg: 6, end: 14 },
        Action::LoopArg { arg: 7, end: 13 },
        Action::Write,
        Action::Next,
        Action::Next,
        Action::RefreshDue { within: 700 },
        Action::End,
    ]);
    let text = assembly::print(&program);
    let said: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(
        said[1..12],
        [
            "set pointer = 12 +2",
            "set pointer = arg 3 +2",
            "advance -4 +2",
            "advance arg 2 plus 9 +2",
            "set row = arg 0 plus -1 +2",
            "set col = arg 1 plus -2147483648 +2",
            "set param 0 = arg 5 +2",
            "set param 9 = 0 +2",
            "loop arg 6 end=14 +2",
            "loop arg 7 end=13 +2",
            "write +2",
        ]
    );
    assert_eq!(said[14], "ref due=700 +2");
    assert_eq!(assembly::parse("p", &text).expect("parses"), program);
    let wrong = |text: &str| -> Vec<String> {
        let found = assembly::parse("p", text).expect_err("a mistake");
        let at = found.list().iter().map(|d| {
            assert_eq!(d.code, Code::P0701);
            text[d.primary.as_ref().map_or(0..0, |l| l.span.clone())].to_string()
        });
        at.collect()
    };
    assert_eq!(wrong("set row = x +2\nend +2\n"), ["x"]);
    assert_eq!(wrong("set rows = 1 +2\nend +2\n"), ["rows"]);
    assert_eq!(wrong("set row 1 +2\nend +2\n"), ["1"]);
    assert_eq!(wrong("set row = -2147483649 +2\nend +2\n"), ["-2147483649"]);
    assert_eq!(wrong("set row = arg 1 plus +2\nend +2\n"), ["+2"]);
    assert_eq!(wrong("advance arg -1 +2\nend +2\n"), ["-1"]);
    assert_eq!(wrong("loop arg 1 +2\nnext +2\nend +2\n"), ["+2", "next"]);
    assert_eq!(wrong("loop arg 1 end=1 +2\nnext +2\nend +2\n"), ["loop"]);
    assert_eq!(wrong("loop arg 1 end=2 +2\nend +2\n"), ["loop"]);
    assert_eq!(wrong("ref due=x +2\nend +2\n"), ["x"]);
    assert_eq!(wrong("write 1 +2\nend +2\n"), ["1"]);
}

/// A bank that holds its number and the address.
struct Plain;

impl Banks for Plain {
    fn column(&self, bank: u32, row: u32, col: u32) -> Option<Column> {
        (row < 9).then(|| [u64::from(bank), u64::from(row), u64::from(col), 0])
    }
}

/// Columns are read, a token is put into them, and they are written back, each behind the one before.
#[test]
fn the_interpreter_keeps_what_is_written() {
    let cache = attention(4, (4, 2, 16), (1, 1), (4, 12, 1000));
    let shape = ChannelShape { arg_words: 2, ..attention_channel(4, cache, 64) };
    let insert = StreamMode::Attention(AttentionMode::InsertToken);
    let stream = Stream {
        mode: shape.bank.modes().iter().position(|m| *m == insert).expect("a mode") as u32,
        columns_less_1: 0,
        tail_beats_less_1: 3,
        coats_less_1: 0,
        sign_key: 0,
        block: Block::default(),
    };
    // Place 0 of beat 2 is word 2, in two parts: an argument and a constant.
    let program = [
        at(Action::Ref, 2),
        at(set(SetTo::Row, Some(0), 0), 2),
        at(Action::Act, 2),
        at(Action::Stream(stream), 2),
        at(set(SetTo::Param(3), Some(1), 482), 2),
        at(set(SetTo::Col, Some(1), 0), 2),
        at(Action::Read, 90),
        at(set(SetTo::Col, Some(1), 0), 2),
        at(Action::Write, 2),
        // The write has counted the column up.
        at(Action::Read, 90),
        at(set(SetTo::Col, Some(1), 1), 2),
        at(Action::Write, 2),
        at(Action::Pre, 2),
        at(Action::End, 2),
    ];
    let mut machine = Machine::new(&shape, &program, &Plain);
    for (addr, word) in [(0, 6), (1, 30)] {
        machine.host_arg(addr, word).expect("there");
    }
    assert!(machine.host_arg(2, 0).is_err());
    let mut events: Vec<Event> = Vec::new();
    machine.run(&mut events).unwrap_or_else(|f| panic!("{f}"));
    let written = events.iter().filter_map(|e| match e {
        Event::Command { command: Command::Write { row, col }, .. } => Some((*row, *col)),
        _ => None,
    });
    assert_eq!(written.collect::<Vec<_>>(), [(6, 30), (6, 31)]);
    // The token that nothing has loaded is 0; what lay there was the column's number.
    assert_eq!(machine.column(0, 6, 30), Some([0, 6, 0, 0]));
    assert_eq!(machine.column(3, 6, 31), Some([3, 6, 0, 0]));
    assert_eq!(machine.column(3, 6, 29), Some([3, 6, 29, 0]));
    assert_eq!(machine.column(3, 9, 29), None);
}

#[test]
fn what_cannot_be_written_is_told() {
    let why = |shape: &ChannelShape, program: &[Instr]| {
        let mut machine = Machine::new(shape, program, &Plain);
        machine.run(&mut Ignore).expect_err("a fault").why
    };
    let cache = attention(4, (4, 2, 16), (1, 1), (4, 12, 1000));
    let shape = ChannelShape { arg_words: 2, ..attention_channel(4, cache, 64) };
    let closed = two(&[Action::Write, Action::End]);
    assert!(why(&shape, &closed).contains("a write with no open row"));
    let model = random(3).build().unwrap_or_else(|d| panic!("{d}"));
    let plan = plan(&model, &Target::named("hbm3-pim").expect("built in"));
    let opened = two(&[Action::Ref, Action::Act, Action::Write, Action::End]);
    assert!(why(&plan.shape, &opened).contains("no attention units"));
}
