//! Columns written back: a program that reads a column, puts tokens into it, writes it and reads it
//! again, as often as its arguments say, on the native level and in Verilator, both against bytes
//! written into an array. Its commands are those that the walk says, and both checkers of the DRAM's
//! rules see the writes.

use crate::common::cache;
use pimc_cosim::dram::DramTiming;
use pimc_cosim::testbench::{design, Simulation, Traced};
use pimc_cosim::verilator::{build, Toolchain, WaveFormat};
use pimc_cosim::wave::reader::Wave;
use pimc_lower::commands::{expand_with, Command as Issued, Expanded, Timed};
use pimc_lower::{legality, Target};
use pimc_rtl::attention::{AttentionMode, AttentionParam};
use pimc_rtl::channel::emit_channel;
use pimc_rtl::isa::{Action, Block, Instr, IsaShape, SetTo, Stream, VecOp, Vector};
use pimc_rtl::native::{Command, Inputs, NativeChannel};
use pimc_rtl::program::encode;
use pimc_rtl::shape::{BufferShape, ChannelShape, StreamMode};
use pimc_rtl::sv::Provenance;
use pimc_rtl::testing::{attention, attention_channel};
use pimc_rtl::timing::vec_clocks;
use std::collections::VecDeque;
use std::path::Path;

const BANKS: usize = 4;
const MEMBERS: usize = 2;
/// Elements of a sub-vector, of which a bank has one of a token.
const SUB: usize = 4;
const ROW: u32 = 1;
const COL: u32 = 6;
const COLUMN_BYTES: usize = 32;

type Column = [u8; COLUMN_BYTES];

fn target() -> Target {
    Target::named("hbm3-pim").unwrap()
}

/// Two banks to a token, two token groups, with the target's DRAM.
fn shape(program: &[Instr]) -> ChannelShape {
    let target = target();
    let timing = &target.timing;
    let cache = attention(BANKS as u32, (MEMBERS as u32, SUB as u32, 16), (1, 2), (2, 6, 100));
    let shape = attention_channel(BANKS as u32, cache, 64);
    let buffer = BufferShape { ops: vec![VecOp::CollectSum, VecOp::LoadBytes], ..shape.buffer };
    let isa = IsaShape::smallest(program, &shape.bank, shape.beats, buffer.depth);
    ChannelShape {
        read_latency: timing.cl,
        write_latency: timing.extra.cwl,
        dram_rows: target.rows,
        dram_cols: target.columns,
        refi: timing.refi,
        rfc: timing.rfc,
        isa,
        program_depth: program.len() as u32,
        arg_words: 32,
        buffer,
        ..shape
    }
}

/// Puts the token in vector memory into as many places as argument 0 says, whose row and column are
/// arguments 1 and 2, and which are the arguments from 3 on. `recovery` is the time from a write to
/// the precharge.
fn program(recovery: u32) -> Vec<Instr> {
    let target = target();
    let modes = shape(&[]).bank.modes();
    let insert = StreamMode::Attention(AttentionMode::InsertToken);
    let set = |to, from, add| Action::Set { to, from, add };
    let stream = Stream {
        mode: modes.iter().position(|m| *m == insert).unwrap() as u32,
        columns_less_1: 0,
        tail_beats_less_1: 3,
        coats_less_1: 0,
        sign_key: 0,
        block: Block::default(),
    };
    let load = Vector {
        op: VecOp::LoadBytes,
        a: 0,
        a_step: 1,
        b: SUB as u32,
        b_step: 0,
        d: SUB as u32,
        len: (MEMBERS * SUB) as u32,
        bank: 0,
        last: 0,
    };
    let place = SetTo::Param(AttentionParam::Place.index());
    let load_row = SetTo::Param(AttentionParam::LoadRow.index());
    let (rfc, all) = (target.timing.rfc, u32::MAX);
    let mut program = vec![
        (Action::Ref, rfc),
        (Action::RefreshDue { within: 9 }, rfc),
        (Action::RefreshDue { within: all }, rfc),
        (set(SetTo::Pointer, None, 0), 2),
        (set(load_row, None, 0), 2),
        (Action::Vec(load), vec_clocks(&load, &shape(&[])) + 2),
        (set(SetTo::Row, Some(1), 0), 2),
        (Action::Act, 40),
        (Action::Stream(stream), 2),
    ];
    let end = program.len() as u32 + 8;
    program.extend([
        (Action::LoopArg { arg: 0, end }, 2),
        (set(place, Some(2), 0), 2),
        (set(SetTo::Col, None, COL), 2),
        (Action::Read, 60),
        (set(SetTo::Col, None, COL), 2),
        (Action::Write, 60),
        (set(SetTo::Advance, None, 1), 2),
        (Action::Next, 2),
        // Its neighbours as they were, and once more at the last place.
        (set(SetTo::Pointer, None, 0), 2),
        (set(SetTo::Col, None, COL - 1), 2),
        (Action::Read, 60),
        (Action::Read, 60),
        (Action::Read, 60),
        (set(SetTo::Col, None, COL), 2),
        (Action::Read, 60),
        (set(SetTo::Col, None, COL), 2),
        (Action::Write, recovery),
        (Action::Pre, 40),
        (Action::End, 0),
    ]);
    program.into_iter().map(|(action, delay)| Instr { action, delay }).collect()
}

/// The clocks that a write needs before the precharge.
fn recovery() -> u32 {
    let x = target().timing.extra;
    x.cwl.unwrap() + x.bl.unwrap() + x.wr.unwrap()
}

/// Clocks of a run, at most.
const LIMIT: u64 = 20_000;

/// A token and the places, lane, beat and group, that it goes to.
struct Job {
    token: [i8; MEMBERS * SUB],
    places: Vec<(u32, u32, u32)>,
}

impl Job {
    /// The column's row is argument 1.
    fn args(&self) -> Vec<u32> {
        let place = |&(lane, beat, group): &(u32, u32, u32)| lane | beat << 8 | group << 16;
        let places = self.places.iter().map(place);
        [self.places.len() as u32, ROW].into_iter().chain(places).collect()
    }
}

/// Runs on what the one before left; one has no places, and inserts at the last one's.
fn jobs() -> Vec<Job> {
    vec![
        Job {
            token: [1, -2, 3, -4, 127, -128, 0, 55],
            places: vec![(0, 0, 0), (1, 3, 0), (0, 2, 1), (1, 3, 1)],
        },
        Job { token: [-1; 8], places: vec![(1, 3, 0)] },
        Job { token: [9; 8], places: vec![] },
        Job { token: [5; 8], places: vec![(0, 1, 0)] },
    ]
}

/// What the banks begin with.
fn image(bank: usize, row: u32, col: u32) -> Column {
    std::array::from_fn(|i| (bank * 31 + row as usize * 7 + col as usize * 3 + i) as u8)
}

/// The columns that every read of every run shows, bank by bank: from the jobs alone.
fn expected() -> Vec<Vec<[Column; BANKS]>> {
    let mut column: [Column; BANKS] = std::array::from_fn(|bank| image(bank, ROW, COL));
    let beside = |col| std::array::from_fn(|bank| image(bank, ROW, col));
    let mut last = (0, 0, 0);
    let insert =
        |column: &mut [Column; BANKS], (lane, beat, group): (u32, u32, u32), token: &[i8]| {
            for (member, part) in token.chunks(SUB).enumerate() {
                let at = 8 * beat as usize + SUB * lane as usize;
                let bank = group as usize * MEMBERS + member;
                let bytes: Vec<u8> = part.iter().map(|x| *x as u8).collect();
                column[bank][at..at + SUB].copy_from_slice(&bytes);
            }
        };
    let run = |job: Job| {
        let mut reads = vec![];
        for place in job.places {
            reads.push(column);
            insert(&mut column, place, &job.token);
            last = place;
        }
        reads.extend([beside(COL - 1), column, beside(COL + 1), column]);
        insert(&mut column, last, &job.token);
        reads
    };
    jobs().into_iter().map(run).collect()
}

/// The commands of a run, and the clock of its end.
fn commands(program: &[Instr], args: &[u32]) -> (Vec<Timed>, u64) {
    let target = target();
    let (mut list, mut end) = (vec![], 0);
    for item in expand_with(program, args, target.timing.refi, target.columns) {
        match item.unwrap() {
            Expanded::Command(timed) => list.push(timed),
            Expanded::End { cycle } => end = cycle,
        }
    }
    (list, end)
}

fn words(columns: &[Column]) -> Vec<u64> {
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    columns.iter().flat_map(|c| c.chunks_exact(8).map(word)).collect()
}

/// A run of the native channel, on banks that keep what is written: the words of every read, and
/// the commands from the first on.
fn native_run(
    channel: &mut NativeChannel,
    written: &mut Option<Vec<u64>>,
    shape: &ChannelShape,
) -> (Vec<Vec<u64>>, Vec<(u64, Command)>) {
    let (mut due, mut writes) = (VecDeque::new(), VecDeque::new());
    let (mut reads, mut commands, mut open, mut first) = (vec![], vec![], None, None);
    for clock in 0..LIMIT {
        let now = channel.cycle();
        let data: Option<Vec<u64>> =
            due.front().is_some_and(|d: &(u64, Vec<u64>)| d.0 == now).then(|| {
                let (_, words) = due.pop_front().unwrap();
                words
            });
        let garbage = vec![now; 4 * BANKS];
        let rd_data = Some(data.as_deref().unwrap_or(&garbage));
        channel.drive(&Inputs { start: clock == 0, rd_data, ..Inputs::default() });
        if writes.front() == Some(&now) {
            writes.pop_front();
            *written = Some(channel.write_data());
        }
        let out = channel.outputs();
        channel.tick();
        // In the clock of the start there may be an idle refresh.
        if let Some(command) = out.command.filter(|_| clock > 0) {
            commands.push((now - *first.get_or_insert(now), command));
            match command {
                Command::Activate(row) => open = Some(row),
                Command::Precharge => open = None,
                Command::Refresh => assert_eq!(open, None),
                Command::Write(col) => {
                    assert_eq!((open, col), (Some(ROW), COL));
                    writes.push_back(now + u64::from(shape.write_latency.unwrap()));
                }
                Command::Read(col) => {
                    let row = open.unwrap();
                    let image: Vec<Column> = (0..BANKS).map(|b| image(b, row, col)).collect();
                    let there = written.clone().filter(|_| col == COL);
                    let column = there.unwrap_or_else(|| words(&image));
                    reads.push(column.clone());
                    due.push_back((now + u64::from(shape.read_latency), column));
                }
            }
        }
        if out.done {
            return (reads, commands);
        }
    }
    panic!("no end");
}

#[test]
fn what_is_written_is_read_back_on_the_native_level() {
    let program = program(recovery());
    let shape = shape(&program);
    assert_eq!(shape.check(), Ok(()));
    let mut channel = NativeChannel::new(&shape);
    for (at, word) in encode(&program, &shape.isa).unwrap().into_iter().enumerate() {
        channel.step(&Inputs { program: Some((at as u32, word)), ..Inputs::default() });
    }
    let mut written = None;
    for (run, (job, expected)) in jobs().iter().zip(expected()).enumerate() {
        for (at, &arg) in job.args().iter().enumerate() {
            channel.step(&Inputs { argument: Some((at as u32, arg)), ..Inputs::default() });
        }
        for (at, &x) in job.token.iter().enumerate() {
            let (host_addr, host_write) = (at as u32, Some(x.into()));
            channel.step(&Inputs { host_addr, host_write, ..Inputs::default() });
        }
        let (reads, shown) = native_run(&mut channel, &mut written, &shape);
        let expected: Vec<Vec<u64>> = expected.iter().map(|columns| words(columns)).collect();
        assert_eq!(reads, expected, "run {run}");
        let (issued, _) = commands(&program, &job.args());
        let issued: Vec<(u64, Command)> = issued
            .iter()
            .map(|timed| {
                let command = match timed.command {
                    Issued::Act { row } => Command::Activate(row),
                    Issued::Read { col, .. } => Command::Read(col),
                    Issued::Write { col, .. } => Command::Write(col),
                    Issued::Pre => Command::Precharge,
                    Issued::Ref => Command::Refresh,
                    Issued::Rfm => panic!("no refresh management"),
                };
                (timed.cycle, command)
            })
            .collect();
        assert_eq!(shown, issued, "run {run}");
        assert_eq!(shown.iter().filter(|c| c.1 == Command::Refresh).count(), 2);
    }
}

/// A simulation of the generated Verilog with the program loaded.
fn simulation(program: &[Instr], folder: &Path) -> (Simulation, ChannelShape) {
    let shape = shape(program);
    let rows = ROW + 1;
    for bank in 0..BANKS {
        let mut text = String::new();
        for at in 0..rows * shape.dram_cols {
            let column = image(bank, at / shape.dram_cols, at % shape.dram_cols);
            text.extend(column.iter().rev().map(|byte| format!("{byte:02x}")));
            text.push('\n');
        }
        std::fs::write(folder.join(format!("bank_{bank:02}.hex")), text).unwrap();
    }
    let provenance =
        Provenance { version: "0".into(), source: vec!["writes".into()], ..Provenance::default() };
    let files = emit_channel(&shape, &provenance);
    let rtl: Vec<(String, String)> = files.into_iter().map(|f| (f.name, f.text)).collect();
    let timing = DramTiming::of(&target());
    let design = design(&shape, &timing, rows.into(), &rtl, Traced::All, WaveFormat::Vcd);
    let built = build(&Toolchain::find(None).unwrap(), &design, &cache()).unwrap();
    let mut sim = Simulation::new(&built, &shape, folder).unwrap();
    sim.load_program(&encode(program, &shape.isa).unwrap()).unwrap();
    (sim, shape)
}

/// The columns that the reads of a wave show, bank by bank.
fn waved(path: &Path, latency: usize) -> Vec<[Column; BANKS]> {
    let wave = Wave::open(path).unwrap();
    let find = |scope: &str, name: &str| {
        let found = wave.vars.iter().position(|v| v.scope.ends_with(scope) && v.name == name);
        found.unwrap_or_else(|| panic!("{scope} {name}"))
    };
    let clock = find("u_channel", "clk_i");
    let mut parts =
        vec![wave.whole(find("u_channel", "cmd_valid_o")), wave.whole(find("u_channel", "cmd_o"))];
    for bank in 0..BANKS {
        parts.push(wave.whole(find(&format!("gen_dram[{bank}].u_dram"), "rd_data_o")));
    }
    let mut clocks: Vec<(bool, [Column; BANKS])> = vec![];
    wave.sample(clock, &parts, |_, v| {
        let column = |bank: usize| -> Column {
            let words = v[2 + bank].words;
            std::array::from_fn(|i| (words[i / 8] >> (8 * (i % 8))) as u8)
        };
        clocks.push((v[0].is_set() && v[1].is(1), std::array::from_fn(column)));
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    let read = |at: &usize| clocks[*at].0;
    (0..clocks.len()).filter(read).map(|at| clocks[at + latency].1).collect()
}

#[test]
fn what_is_written_is_read_back_in_verilator() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(recovery());
    let (mut sim, shape) = simulation(&program, folder.path());
    for (run, (job, expected)) in jobs().iter().zip(expected()).enumerate() {
        let path = folder.path().join(format!("{run}.vcd"));
        sim.open_wave(&path).unwrap();
        sim.write_args(&job.args()).unwrap();
        sim.write(0, job.token.map(i64::from)).unwrap();
        let end = sim.run(LIMIT).unwrap();
        sim.close_wave();
        assert!(end.done, "run {run}");
        let (_, clocks) = commands(&program, &job.args());
        assert_eq!(end.program, clocks, "run {run}");
        assert_eq!(waved(&path, shape.read_latency as usize), expected, "run {run}");
        assert_eq!(sim.violation(), None, "run {run}");
    }
}

/// A precharge a clock before the written data have settled: the rule, bank and clock that both say.
#[test]
fn a_write_that_is_cut_short_is_seen_by_both_checkers() {
    for early in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let program = program(recovery() - early);
        let job = &jobs()[0];
        let (list, end) = commands(&program, &job.args());
        let target = target();
        let mut checker = legality::Checker::new(&target);
        list.iter().for_each(|timed| checker.command(timed));
        let broken = checker.end(end);
        let (mut sim, _) = simulation(&program, folder.path());
        sim.write_args(&job.args()).unwrap();
        let ran = sim.run(LIMIT).unwrap();
        assert!(ran.done);
        let seen = sim.violation();
        if early == 0 {
            assert!(broken.is_empty(), "{broken:?}");
            assert_eq!(seen, None);
            continue;
        }
        let pre = list.iter().rev().find(|timed| timed.command == Issued::Pre).unwrap().cycle;
        assert!(broken.iter().all(|b| (b.rule, b.cycle) == ("WR", pre)), "{broken:?}");
        let seen = seen.unwrap();
        let clock = seen.cycle - ran.first_command;
        assert_eq!((seen.rule, clock, seen.earliest - ran.first_command), ("WR", pre, pre + 1));
    }
}
