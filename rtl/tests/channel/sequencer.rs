//! The sequencer clock by clock against an expansion of its program.

use crate::arguments;
use crate::shapes::{everything, fit, Rng};
use pimc_rtl::attention::PROB_AHEAD;
use pimc_rtl::hdl::{clock, settle, Inst};
use pimc_rtl::isa::{Action, Block, Instr, SetTo, Stream, VecOp, Vector, MIN_DELAY};
use pimc_rtl::program::encode;
use pimc_rtl::sequencer::Sequencer;
use pimc_rtl::sequencer_commands::{CMD_ACT, CMD_PRE, CMD_READ, CMD_REF, CMD_WRITE};
use pimc_rtl::shape::{ChannelShape, StreamMode};
use pimc_rtl::timing::{IDLE_CLOCKS, SEED_CLOCKS};
use std::collections::BTreeMap;

/// What the ports show in one clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ports {
    command: Option<(u32, i128, i128)>,
    stream: Option<Vec<i128>>,
    seed: bool,
    column: Option<(bool, bool, i128)>,
    vector: Option<Vec<i128>>,
    param: Option<(i128, i128)>,
    soon: bool,
    done: bool,
}

impl Ports {
    /// The command's code.
    pub fn command_code(&self) -> Option<u32> {
        self.command.map(|c| c.0)
    }

    /// Whether the program ends here.
    pub fn ends(&self) -> bool {
        self.done
    }
}

fn ports(uut: &Sequencer) -> Ports {
    let command = uut.cmd.get() as u32;
    let row = if command == CMD_ACT { uut.cmd_row.get() } else { 0 };
    let col = if [CMD_READ, CMD_WRITE].contains(&command) { uut.cmd_col.get() } else { 0 };
    let held = [&uut.mode, &uut.block, &uut.coats_less_1, &uut.sign_key];
    let held = || held.iter().map(|v| v.first().map_or(0, |w| w.get())).collect();
    let vector = || {
        let wires = [
            &uut.vec_op,
            &uut.vec_a,
            &uut.vec_a_step,
            &uut.vec_b,
            &uut.vec_b_step,
            &uut.vec_d,
            &uut.vec_len_less_1,
        ];
        let banks = [&uut.vec_bank, &uut.vec_last].map(|w| w.first().map_or(0, |w| w.get()));
        wires.iter().map(|w| w.get()).chain(banks).collect()
    };
    let column = || (uut.col_first.val(), uut.col_last.val(), uut.col_beats.get());
    Ports {
        command: uut.cmd_valid.val().then_some((command, row, col)),
        stream: uut.stream_start.val().then(held),
        seed: uut.sign_start.first().is_some_and(|s| s.val()),
        column: uut.col_valid.val().then(column),
        vector: uut.vec_start.val().then(vector),
        param: uut
            .param_we
            .first()
            .filter(|we| we.val())
            .map(|_| (uut.param_index[0].get(), uut.param_value[0].get())),
        soon: uut.col_soon.first().is_some_and(|s| s.val()),
        done: uut.done.val(),
    }
}

/// What the program means with these arguments, clock by clock from its first instruction.
pub fn expand(program: &[Instr], args: &[u32], shape: &ChannelShape) -> BTreeMap<u64, Ports> {
    /// `visit` tells the count of a loop.
    type Visit<'a> = dyn FnMut(&Instr) -> u32 + 'a;
    fn body(program: &[Instr], mut at: usize, visit: &mut Visit<'_>, rounds: u32) -> usize {
        let first = at;
        for _ in 0..rounds {
            at = first;
            loop {
                let instr = &program[at];
                let count = visit(instr);
                at += 1;
                match instr.action {
                    Action::LoopArg { end, .. } if count == 0 => at = end as usize,
                    Action::Loop { .. } | Action::LoopArg { .. } => {
                        at = body(program, at, visit, count);
                    }
                    Action::Next | Action::End => break,
                    _ => {}
                }
            }
        }
        at
    }
    let mut clocks: BTreeMap<u64, Ports> = BTreeMap::new();
    let (mut now, mut row, mut col, mut column) = (0u64, 0u32, 0u32, 0u32);
    let (mut pointer, mut kept, mut base, mut refreshed) = (0u32, 0u32, 0u32, None);
    let interval = u64::from(shape.refi - IDLE_CLOCKS);
    let mut stream = Stream {
        mode: 0,
        columns_less_1: 0,
        tail_beats_less_1: 0,
        coats_less_1: 0,
        sign_key: 0,
        block: Block::default(),
    };
    let latency = u64::from(shape.read_latency);
    let mask = shape.bank.modes().iter().position(|m| *m == StreamMode::Mask);
    body(
        program,
        0,
        &mut |instr| {
            let mut command = |c, row, col| {
                clocks.entry(now).or_default().command =
                    Some((c, i128::from(row), i128::from(col)));
            };
            let arg = |pointer: u32, n: u32| args[pointer.wrapping_add(n) as usize % args.len()];
            let (mut count, mut delay) = (0, instr.delay);
            match instr.action {
                Action::Row { row: r, col: c } => (row, col) = (r, c),
                Action::Act => command(CMD_ACT, row, 0),
                Action::Pre => {
                    command(CMD_PRE, 0, 0);
                    row = (row + 1) % shape.dram_rows;
                }
                Action::Ref => {
                    command(CMD_REF, 0, 0);
                    refreshed = Some(now);
                }
                Action::RefreshDue { within } => {
                    // Full in the clock after a refresh.
                    let left = (refreshed.unwrap() + 1 + interval).saturating_sub(now);
                    if left < u64::from(within) {
                        command(CMD_REF, 0, 0);
                        refreshed = Some(now);
                    } else {
                        delay = MIN_DELAY;
                    }
                }
                Action::Set { to, from, add } => {
                    let value = from.map_or(0, |n| arg(pointer, n)).wrapping_add(add);
                    match to {
                        SetTo::Pointer => pointer = value,
                        SetTo::Advance => pointer = pointer.wrapping_add(value),
                        SetTo::Row => (row, col) = (value % shape.dram_rows, 0),
                        SetTo::Col => col = value % shape.dram_cols,
                        SetTo::Base => base = value,
                        SetTo::Keep => kept = pointer.wrapping_add(value),
                        SetTo::Return => pointer = kept.wrapping_add(value),
                        SetTo::Param(n) => {
                            clocks.entry(now).or_default().param = Some((n.into(), value.into()));
                        }
                    }
                }
                Action::Write => {
                    command(CMD_WRITE, 0, col);
                    col = (col + 1) % shape.dram_cols;
                }
                Action::Read => {
                    command(CMD_READ, 0, col);
                    col = (col + 1) % shape.dram_cols;
                    if shape.bank.attention.is_some() {
                        let soon = now + latency - u64::from(PROB_AHEAD);
                        clocks.entry(soon).or_default().soon = true;
                    }
                    let (first, last) = (column == 0, column == stream.columns_less_1);
                    column = if last { 0 } else { column + 1 };
                    let beats = if last { stream.tail_beats_less_1 } else { shape.beats - 1 };
                    clocks.entry(now + latency).or_default().column =
                        Some((first, last, i128::from(beats)));
                    if first && Some(stream.mode as usize) == mask {
                        let seed = now + latency - u64::from(SEED_CLOCKS);
                        clocks.entry(seed).or_default().seed = true;
                    }
                }
                Action::Stream(s) => {
                    (stream, column) = (s, 0);
                    let block = s.block.fields().into_iter().rev();
                    let block = block.fold(0, |w, f| w << shape.isa.block_bits | i128::from(f));
                    let [mode, coats, key] = [s.mode, s.coats_less_1, s.sign_key].map(i128::from);
                    clocks.entry(now).or_default().stream = Some(vec![mode, block, coats, key]);
                }
                Action::Vec(v) => {
                    let based = |at: u32| at.wrapping_add(base) % (1 << shape.isa.addr_bits);
                    let a = if v.op == VecOp::LoadBytes { based(v.a) } else { v.a };
                    let d = if v.op.collects() { based(v.d) } else { v.d };
                    let operands =
                        [v.op.code(), a, v.a_step, v.b, v.b_step, d, v.len - 1, v.bank, v.last];
                    clocks.entry(now).or_default().vector = Some(operands.map(i128::from).to_vec());
                }
                Action::End => clocks.entry(now).or_default().done = true,
                Action::Loop { count: rounds } => count = rounds,
                Action::LoopArg { arg: n, .. } => count = arg(pointer, n),
                Action::Wait | Action::Next => {}
            }
            now += u64::from(delay);
            count
        },
        1,
    );
    clocks
}

fn sequencer(program: &[Instr], args: &[u32], shape: &ChannelShape) -> Inst<Sequencer> {
    let mut uut = Inst::new(Sequencer::new(shape));
    for (at, word) in encode(program, &shape.isa).unwrap().into_iter().enumerate() {
        uut.prog_we.next = true;
        uut.prog_addr.set(at as i128);
        uut.prog_data.set(word as i128);
        clock(&mut uut);
    }
    uut.prog_we.next = false;
    for (at, &arg) in args.iter().enumerate() {
        uut.arg_we[0].next = true;
        uut.arg_addr[0].set(at as i128);
        uut.arg_data[0].set(arg.into());
        clock(&mut uut);
    }
    uut.arg_we.iter_mut().for_each(|we| we.next = false);
    uut
}

fn check(program: &[Instr], shape: &ChannelShape) {
    check_with(program, &[], shape);
}

/// Starts it and compares the ports from the program's first command to well past its end.
pub fn check_with(program: &[Instr], args: &[u32], shape: &ChannelShape) {
    let mut uut = sequencer(program, args, shape);
    for run in 0..2 {
        uut.start.next = true;
        clock(&mut uut);
        uut.start.next = false;
        settle(&mut uut);
        assert!(uut.busy.val(), "busy from the clock after the start");
        for _ in 0..=shape.rfc {
            if ports(&uut).command.is_some() {
                break;
            }
            clock(&mut uut);
        }
        let want = expand(program, args, shape);
        let end = want.iter().find(|(_, p)| p.done).map(|(t, _)| *t).unwrap();
        let last = want.keys().max().copied().unwrap();
        for t in 0..=last {
            let got = ports(&uut);
            let mut expected = want.get(&t).cloned().unwrap_or_default();
            if t > end && got.command.is_some_and(|c| c.0 == CMD_REF) {
                // An idle refresh; its time has a test of its own.
                expected.command = got.command;
            }
            assert_eq!(got, expected, "run {run}, clock {t}");
            assert_eq!(uut.busy.val(), t < end, "run {run}, clock {t}");
            clock(&mut uut);
        }
    }
}

pub fn at(action: Action, delay: u32) -> Instr {
    Instr { action, delay }
}

/// A random body; loops nest up to `depth` more.
pub fn body(rng: &mut Rng, depth: u32, out: &mut Vec<Instr>, shape: &ChannelShape) {
    let kinds = if shape.bank.attention.is_some() { 14 } else { 9 };
    for _ in 0..1 + rng.below(5) {
        let delay = 2 + if rng.below(3) == 0 { rng.below(30) } else { rng.below(3) };
        let action = match rng.below(kinds) {
            0 => Action::Wait,
            1 => Action::Row { row: rng.below(shape.dram_rows), col: rng.below(shape.dram_cols) },
            2 => Action::Act,
            3 | 4 => Action::Read,
            5 => Action::Pre,
            6 => Action::Ref,
            7 => Action::Stream(Stream {
                mode: rng.below(shape.bank.modes().len() as u32),
                columns_less_1: rng.below(4),
                tail_beats_less_1: rng.below(shape.beats),
                coats_less_1: rng.below(3),
                sign_key: rng.next() as u32,
                block: Block {
                    x_beats_less_1: rng.below(2),
                    inner_less_1: rng.below(70),
                    t_beats_less_1: rng.below(2),
                    rows_less_1: rng.below(100),
                    slots_less_1: rng.below(3),
                },
            }),
            9..=11 => arguments::set(rng),
            12 => Action::Write,
            13 => Action::RefreshDue { within: rng.below(shape.refi) },
            _ => Action::Vec(Vector {
                op: VecOp::ALL[rng.below(VecOp::ALL.len() as u32) as usize],
                a: rng.below(500),
                a_step: rng.below(2),
                b: rng.below(500),
                b_step: rng.below(2),
                d: rng.below(500),
                len: 1 + rng.below(500),
                bank: rng.below(17),
                last: rng.below(17),
            }),
        };
        // A stream begins when the columns before it have met their data.
        if matches!(action, Action::Stream(_)) {
            out.push(at(Action::Wait, shape.read_latency + 2));
        }
        out.push(at(action, delay));
        if depth > 0 && rng.below(3) == 0 {
            let first = out.len();
            out.push(at(Action::Loop { count: 1 + rng.below(4) }, 2 + rng.below(3)));
            body(rng, depth - 1, out, shape);
            out.push(at(Action::Next, 2 + rng.below(3)));
            if kinds > 9 && rng.below(4) > 0 {
                let end = out.len() as u32;
                out[first].action = Action::LoopArg { arg: rng.below(8), end };
            }
        }
    }
}

#[test]
fn random_programs_run_clock_by_clock_as_expanded() {
    for seed in 0..60 {
        let mut rng = Rng(seed);
        let mut program = vec![at(Action::Ref, 25), at(Action::Row { row: 5, col: 6 }, 2)];
        let stream = Stream {
            mode: 3,
            columns_less_1: 2,
            tail_beats_less_1: 1,
            coats_less_1: 2,
            sign_key: 0x8000_0001,
            block: Block::default(),
        };
        program.push(at(Action::Stream(stream), 2));
        body(&mut rng, 4, &mut program, &everything());
        program.push(at(Action::Wait, 2));
        program.push(at(Action::End, 0));
        let shape = fit(&everything(), &program);
        check(&program, &shape);
    }
}

#[test]
fn four_loops_nest_and_each_counts_anew() {
    let mut program = vec![at(Action::Ref, 20), at(Action::Row { row: 63, col: 7 }, 2)];
    for count in [3, 1, 2, 5] {
        program.push(at(Action::Loop { count }, 2));
        program.push(at(Action::Read, 3));
    }
    for _ in 0..4 {
        program.push(at(Action::Next, 2));
        program.push(at(Action::Pre, 2));
    }
    program.push(at(Action::End, 0));
    let shape = fit(&everything(), &program);
    check(&program, &shape);
    let reads = expand(&program, &[], &shape)
        .values()
        .filter(|p| p.command.is_some_and(|c| c.0 == CMD_READ))
        .count();
    assert_eq!(reads, 3 + 3 + 3 * 2 + 3 * 2 * 5);
}

#[test]
fn the_longest_delay_is_kept() {
    let program = [at(Action::Ref, 1000), at(Action::Pre, 1023), at(Action::End, 0)];
    let shape = ChannelShape { refi: 5000, ..fit(&everything(), &program) };
    assert_eq!(shape.isa.delay_bits, 10);
    check(&program, &shape);
}

#[test]
fn a_shape_without_supermask_and_with_one_mode_has_no_fields_for_them() {
    let mut shape = everything();
    shape.bank.lookups.clear();
    (shape.bank.gated, shape.bank.blocks) = (None, None);
    let stream = Stream {
        mode: 0,
        columns_less_1: 1,
        tail_beats_less_1: 2,
        coats_less_1: 0,
        sign_key: 0,
        block: Block::default(),
    };
    let program = [
        at(Action::Ref, 20),
        at(Action::Row { row: 0, col: 1 }, 2),
        at(Action::Stream(stream), 2),
        at(Action::Read, 4),
        at(Action::Read, 20),
        at(Action::End, 0),
    ];
    let shape = fit(&shape, &program);
    assert_eq!((shape.isa.mode_bits, shape.isa.coats_bits, shape.isa.key_bits), (0, 0, 0));
    check(&program, &shape);
}

/// Clocks of the commands while `start` is given at some clocks, over `clocks` clocks.
fn commands(uut: &mut Inst<Sequencer>, clocks: u64, starts: &[u64]) -> Vec<(u64, u32)> {
    let mut seen = vec![];
    for t in 0..clocks {
        uut.start.next = starts.contains(&t);
        settle(uut);
        if uut.cmd_valid.val() {
            seen.push((t, uut.cmd.get() as u32));
        }
        clock(uut);
    }
    uut.start.next = false;
    seen
}

#[test]
fn an_idle_channel_refreshes_in_time_and_only_as_often_as_needed() {
    let program = [at(Action::Ref, 20), at(Action::End, 0)];
    let shape = fit(&everything(), &program);
    let mut uut = Inst::new(Sequencer::new(&shape));
    let seen = commands(&mut uut, 2000, &[]);
    assert_eq!(seen[0], (1, CMD_REF), "the first comes right after reset");
    let gap = u64::from(shape.refi) - 1;
    assert!(seen.windows(2).all(|w| w[1].0 - w[0].0 == gap), "{seen:?}");
    assert_eq!(seen.len() as u64, 1 + 1998 / gap);
}

/// Whenever the start comes, the refreshes keep their interval and their duration, and the first
/// one after the start is the program's.
#[test]
fn a_start_at_any_clock_keeps_the_refresh_interval() {
    let program = [at(Action::Ref, 40), at(Action::Pre, 2), at(Action::End, 0)];
    let shape = ChannelShape { refi: 90, ..fit(&everything(), &program) };
    let (refi, rfc) = (u64::from(shape.refi), u64::from(shape.rfc));
    for start in refi + 40..3 * refi + 40 {
        let mut uut = sequencer(&program, &[], &shape);
        let seen = commands(&mut uut, 5 * refi, &[start]);
        let pre = seen.iter().position(|c| c.1 == CMD_PRE).unwrap();
        assert_eq!(seen[pre - 1].0 + 40, seen[pre].0);
        let own = seen[pre - 1].0;
        let before = seen[pre - 2].0;
        assert!(own == start + 2 || (own == before + rfc && before <= start), "start {start}");
        assert!(before <= start, "no refresh of its own once it is started at {start}");
        let refreshes: Vec<u64> = seen.iter().filter(|c| c.1 == CMD_REF).map(|c| c.0).collect();
        for w in refreshes.windows(2) {
            assert!((rfc..=refi).contains(&(w[1] - w[0])), "start {start}: {refreshes:?}");
        }
    }
}

#[test]
fn a_start_while_busy_is_not_taken() {
    let program = [at(Action::Ref, 40), at(Action::Pre, 2), at(Action::End, 0)];
    let shape = fit(&everything(), &program);
    let mut uut = sequencer(&program, &[], &shape);
    let seen = commands(&mut uut, 250, &[60, 70, 80]);
    assert_eq!(seen.iter().filter(|c| c.1 == CMD_PRE).count(), 1);
}
