//! What the header of the sequencer says.

use super::Sequencer;
use crate::hdl::prelude::*;

impl Unit for Sequencer {
    fn module(&self) -> String {
        "pimc_sequencer".into()
    }

    fn contract(&self) -> Contract {
        let (codes, meaning, args) = match self._dynamic {
            0 => ("", "", ""),
            _ => (
                ", 11 set, 12 loop of an argument, 13 write, 14 refresh that may be due",
                " A loop of an argument that is 0 goes on behind its Next. A refresh that may be due \
                 comes if fewer clocks than it says are left to an idle one, and otherwise takes 2 \
                 clocks.",
                " Nor is argument memory.",
            ),
        };
        Contract {
            summary: format!(
                "Sequencer: runs a program of at most {} words.",
                self.program.words().len()
            ),
            formula: format!(
                "An instruction issues, and the next one as many clocks later as its delay says; \
                 its effect is on the ports one clock after it issues. Loop repeats what \
                 follows, up to its Next, count times.{meaning}"
            ),
            latency: format!(
                "start_i to the program's first effect: 2 clocks, or the end of an idle refresh. \
                 When no program runs, a refresh comes at most {} clocks after the last one and \
                 takes {}; the first comes after reset.",
                self._refi, self._rfc
            ),
            throughput: "One instruction in two clocks.".into(),
            layout: format!(
                "A program word holds, lowest first, opcode (4 bits), delay ({}), operands. Opcodes: \
                 0 end, 1 wait, 2 row, 3 activate, 4 read, 5 precharge, 6 refresh, 7 loop, 8 next, 9 \
                 stream, 10 vector operation{codes}.",
                self._delay_bits
            ),
            preconditions: format!(
                "Delays are at least 2. Loops nest at most {} deep. A program begins with a refresh \
                 and ends with all banks precharged; it sets the row counter and the stream before it \
                 uses them. Program memory is not written while it runs.{args}",
                self._loops
            ),
        }
    }

    fn port_groups(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("prog_we", "host: program memory"),
            ("arg_we", "host: argument memory"),
            ("start", "host: run"),
            ("cmd_valid", "DRAM command"),
            ("stream_start", "columns, to the bank units"),
            ("vec_start", "vector operation, to the buffer unit"),
            ("param_we", "parameters, to the attention units"),
        ]
    }

    fn clock(&mut self) -> Option<&mut Signal<In, Clock>> {
        Some(&mut self.clock)
    }
}
