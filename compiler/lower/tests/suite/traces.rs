//! Command traces as text: written, read back, refused with their place.

use crate::common::*;
use pimc_ir::Code;
use pimc_lower::commands::{expand, read_csv, write_csv, Command, Expanded, Timed};
use pimc_lower::legality::check;
use pimc_lower::Target;

fn target() -> Target {
    Target::named("hbm3-pim").expect("built in")
}

#[test]
fn the_trace_of_a_program_reads_back() {
    for seed in 0..12 {
        let model = random(seed).build().unwrap_or_else(|d| panic!("{d}"));
        let plan = plan(&model, &target());
        let mut text = Vec::new();
        write_csv(&plan.program, &plan.target, &mut text).expect("memory");
        let text = String::from_utf8(text).expect("text");
        let read = read_csv("commands.csv", &text).unwrap_or_else(|d| panic!("{d}"));
        assert_eq!(read.end, Some(plan.cycles));
        let plain = |t: &Timed| Timed { instr: 0, ..*t };
        let program: Vec<Timed> = expand(&plan.program, plan.target.columns)
            .filter_map(|item| match item.expect("a program that runs") {
                Expanded::Command(t) => Some(plain(&t)),
                Expanded::End { .. } => None,
            })
            .collect();
        assert_eq!(read.commands.iter().map(plain).collect::<Vec<_>>(), program);
        assert_eq!(check(&plan.target, read.commands.iter().copied(), plan.cycles), []);
        // A command's instruction is its line.
        let lines: Vec<&str> = text.lines().collect();
        for t in &read.commands {
            assert!(lines[t.instr].starts_with(&format!("{},{}", t.cycle, t.command.name())));
        }
        // The header says what a user needs to know.
        for word in ["hbm3-pim", "769 ps", "-1 is all", "from the first command"] {
            assert!(text.contains(word), "{word}");
        }
    }
}

#[test]
fn every_command_and_address() {
    let text = "cycle,command,bank,row,column\r\n\r\n# a comment\r\n5,ACT,3,7,-1\r\n 6 , RD , -1 , 7 , 31 \r\n\
                7,WR,0,7,0\n8,PRE,-1,-1,-1\n9,REF,2,-1,-1\n10,RFM,-1,-1,-1\n# end: 12";
    let read = read_csv("t.csv", text).unwrap_or_else(|d| panic!("{d}"));
    let at = |instr, cycle, command, bank| Timed { cycle, command, bank, instr };
    let expected = [
        at(3, 5, Command::Act { row: 7 }, Some(3)),
        at(4, 6, Command::Read { row: 7, col: 31 }, None),
        at(5, 7, Command::Write { row: 7, col: 0 }, Some(0)),
        at(6, 8, Command::Pre, None),
        at(7, 9, Command::Ref, Some(2)),
        at(8, 10, Command::Rfm, None),
    ];
    assert_eq!(read.commands, expected);
    assert_eq!(read.end, Some(12));
}

#[test]
fn mistakes_point_at_their_field() {
    let head = "cycle,command,bank,row,column\n";
    let at = |line: &str| -> Vec<String> {
        let text = format!("# a comment\n{head}0,REF,-1,-1,-1\n{line}\n9,PRE,-1,-1,-1\n");
        let found = read_csv("t.csv", &text).expect_err("a mistake");
        let place = |d: &pimc_ir::Diagnostic| {
            assert!(d.code == Code::P0706 && !d.help.is_empty());
            text[d.primary.as_ref().map_or(0..0, |l| l.span.clone())].to_string()
        };
        found.list().iter().map(place).collect()
    };
    assert_eq!(at("x,ACT,-1,1,-1"), ["x"]);
    assert_eq!(at("-1,ACT,-1,1,-1"), ["-1"]);
    assert_eq!(at("+1,ACT,-1,1,-1"), ["+1"]);
    assert_eq!(at("1.5,ACT,-1,1,-1"), ["1.5"]);
    assert_eq!(at("281474976710657,ACT,-1,1,-1"), ["281474976710657"]);
    assert_eq!(at("1,READ,-1,1,-1"), ["READ"]);
    assert_eq!(at("1,ACT,-2,1,-1"), ["-2"]);
    assert_eq!(at("1,ACT,4294967296,1,-1"), ["4294967296"]);
    assert_eq!(at("1,ACT,-1,-1,-1"), ["-1"]);
    assert_eq!(at("1,ACT,-1,1,5"), ["5"]);
    assert_eq!(at("1,RD,-1,1,-1"), ["-1"]);
    assert_eq!(at("1,PRE,-1,1,-1"), ["1"]);
    assert_eq!(at("1,REF,-1,-1,0"), ["0"]);
    assert_eq!(at("1,REF,-1,-1"), ["1,REF,-1,-1"]);
    assert_eq!(at("1,REF,-1,-1,-1,"), ["1,REF,-1,-1,-1,"]);
}

#[test]
fn texts_that_are_no_traces() {
    let codes = |text: &str| -> Vec<Code> {
        let found = read_csv("t.csv", text).expect_err("a mistake");
        found.list().iter().map(|d| d.code).collect()
    };
    assert_eq!(codes(""), [Code::P0706]);
    assert_eq!(codes("# end: 5\n"), [Code::P0706]);
    assert_eq!(codes("0,REF,-1,-1,-1\n"), [Code::P0706]);
    let head = "cycle,command,bank,row,column\n";
    assert_eq!(codes(&format!("{head}# end: soon\n")), [Code::P0706]);
    assert_eq!(codes(&format!("{head}# end: 5\n# end: 6\n")), [Code::P0706]);
    // A file of another kind: a number of mistakes, the others counted.
    let found = read_csv("t.csv", &"\u{2028}é,\n".repeat(1000)).expect_err("mistakes");
    assert!(found.omitted() > 900);
}
